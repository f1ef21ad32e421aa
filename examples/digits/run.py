#!/usr/bin/env python3
"""Digits row by row: MNIST's (or, of what Debian has, 8 by 8 pixels) through three recurrent nets.

    python3 examples/digits/run.py [--seed=0] [--epochs=20] [--models=ByElman,ByGRU,ByLSTM]

Of the images the last eighth is never trained on and gives the error; a tenth of the rest chooses the
best round."""
import array
import csv
import gzip
import os
import sys

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, ".."))
from tasks import argmax, data, folder, load, rnnc, save, sequences_first, shuffled  # noqa: E402


def mnist(path):
    with gzip.open(path) as f:
        raw = f.read()[16:]
    with gzip.open(os.path.join(os.path.dirname(path), "labels-idx1-ubyte.gz")) as f:
        labels = list(f.read()[8:])
    images = [array.array("f", (p / 255 for p in raw[784 * i:784 * i + 784]))
              for i in range(len(labels))]
    return images, labels, 28


def small(path):
    with open(path, newline="") as f:
        rows = [[float(v) for v in row] for row in csv.reader(f)]
    return [array.array("f", (p / 16 for p in r[:64])) for r in rows], [int(r[64]) for r in rows], 8


def prepare(out):
    """x.npy [side, N, side], y.npy [N] to learn from, and xt, yt to be judged by; the side."""
    path = data("mnist_t10k/images-idx3-ubyte.gz", "digits8x8/digits.csv")
    images, labels, side = (mnist if path.endswith(".gz") else small)(path)
    order = shuffled(range(len(labels)), 1)
    cut = len(order) * 7 // 8
    for name, part in (("", order[:cut]), ("t", order[cut:])):
        save(os.path.join(out, "x%s.npy" % name), (side, len(part), side),
             sequences_first([images[i] for i in part], side, side))
        save(os.path.join(out, "y%s.npy" % name), (len(part),),
             array.array("i", (labels[i] for i in part)))
    print("%d digits of %d by %d to learn from, %d to be judged by" % (cut, side, side,
                                                                       len(order) - cut))
    return side


def error(out, scores):
    _, z = load(scores)
    _, y = load(os.path.join(out, "yt.npy"))
    return sum(argmax(z, 10 * i, 10) != label for i, label in enumerate(y)) / len(y)


def main():
    options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:])
    seed, epochs = options.get("seed", "0"), options.get("epochs", "20")
    out = folder("digits")
    spec = os.path.join(HERE, "digits.rnn")
    size = "I=%d" % prepare(out)
    at = lambda name: os.path.join(out, name)  # noqa: E731
    for model in options.get("models", "ByElman,ByGRU,ByLSTM").split(","):
        seconds = rnnc("train", spec, "--model=" + model, "-D", size, "--in", "x=" + at("x.npy"),
                       "--in", "y=" + at("y.npy"), "--valid=0.1", "--split=last", "--batch=32",
                       "--epochs=" + epochs, "--lr=0.002", "--schedule=cosine", "--clip=1",
                       "--seed=" + seed, "-o", at(model + ".safetensors"), "--curve",
                       at(model + ".svg"), "--log", at(model + ".jsonl"))
        rnnc("run", spec, "--model=" + model, "-D", size, "--weights", at(model + ".safetensors"),
             "--in", "x=" + at("xt.npy"), "--out", "z=" + at("z.npy"))
        print("%s: %.2f %% of the digits held out are wrong; trained in %.0f s" %
              (model, 100 * error(out, at("z.npy")), seconds))


if __name__ == "__main__":
    main()
