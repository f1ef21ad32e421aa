#!/usr/bin/env python3
"""Sentences of reviews, liked or not: words into two GRUs, and a logistic regression on bags of words.

    python3 examples/sentiment/run.py [--seed=0] [--epochs=15]

Of 3,000 sentences 500 are never trained on and give the error."""
import array
import collections
import os
import re
import sys

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, ".."))
from tasks import argmax, data, folder, load, rnnc, save, shuffled  # noqa: E402

FILES = ["imdb_labelled.txt", "amazon_cells_labelled.txt", "yelp_labelled.txt"]
HELD = 500


def read():
    sentences = []
    place = os.path.dirname(data("sentiment_uci_sentences/" + FILES[0]))
    for name in FILES:
        with open(os.path.join(place, name), encoding="utf-8", newline="\n") as f:
            for line in f:
                text, _, label = line.rstrip("\n").rpartition("\t")
                words = re.findall(r"[a-z0-9]+|[!?]", text.lower().replace("'", ""))
                sentences.append((words or ["?"], int(label)))
    return shuffled(sentences, 2)


def prepare(out):
    """w.npy [T, N], y.npy [N], len.npy [N], and wt, yt, lent; the number of classes of words."""
    sentences = read()
    counts = collections.Counter(w for words, _ in sentences[HELD:] for w in words)
    known = sorted(w for w, n in counts.items() if n > 1)
    number = {w: i + 1 for i, w in enumerate(known)}
    for name, part in (("", sentences[HELD:]), ("t", sentences[:HELD])):
        steps = max(len(words) for words, _ in part)
        grid = array.array("i", [0]) * (steps * len(part))
        for b, (words, _) in enumerate(part):
            for t, word in enumerate(words):
                grid[t * len(part) + b] = number.get(word, 0)
        save(os.path.join(out, "w%s.npy" % name), (steps, len(part)), grid)
        save(os.path.join(out, "y%s.npy" % name), (len(part),),
             array.array("i", (label for _, label in part)))
        save(os.path.join(out, "len%s.npy" % name), (len(part),),
             array.array("i", (len(words) for words, _ in part)))
    print("%d sentences to learn from, %d to be judged by, %d words" %
          (len(sentences) - HELD, HELD, len(known)))
    return len(known) + 1


def main():
    options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:])
    out = folder("sentiment")
    spec = os.path.join(HERE, "sentiment.rnn")
    size = "V=%d" % prepare(out)
    at = lambda name: os.path.join(out, name)  # noqa: E731
    for model, rate in (("Bag", "0.01"), ("Sentiment", "0.003")):
        seconds = rnnc("train", spec, "--model=" + model, "-D", size, "--in", "w=" + at("w.npy"),
                       "--in", "y=" + at("y.npy"), "--lengths", "t=" + at("len.npy"), "--valid=0.1",
                       "--split=last", "--batch=32", "--epochs=" + options.get("epochs", "15"),
                       "--lr=" + rate, "--clip=1", "--seed=" + options.get("seed", "0"), "-o",
                       at(model + ".safetensors"), "--curve", at(model + ".svg"), "--log",
                       at(model + ".jsonl"))
        rnnc("run", spec, "--model=" + model, "-D", size, "--weights", at(model + ".safetensors"),
             "--in", "w=" + at("wt.npy"), "--lengths", "t=" + at("lent.npy"), "--out",
             "z=" + at("z.npy"))
        _, z = load(at("z.npy"))
        _, y = load(at("yt.npy"))
        wrong = sum(argmax(z, 2 * i, 2) != label for i, label in enumerate(y)) / len(y)
        print("%s: %.1f %% of the sentences held out are wrong; trained in %.0f s" %
              (model, 100 * wrong, seconds))


if __name__ == "__main__":
    main()
