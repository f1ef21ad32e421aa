#!/usr/bin/env python3
"""A language model of characters, truncated backpropagation through time.

    python3 examples/shakespeare/run.py [--seed=0] [--epochs=20] [--text=FILE]

The last tenth of the text is not trained on and gives the bits per character."""
import json
import math
import os
import sys

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, ".."))
from tasks import data, folder, load, metadata, rnnc  # noqa: E402


def main():
    options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:])
    text = options.get("text") or data("text_tinyshakespeare/input.txt", "text_fortunes/input.txt")
    out = folder("shakespeare")
    spec = os.path.join(HERE, "charlm.rnn")
    with open(text, encoding="utf-8", newline="") as f:
        size = "V=%d" % len(set(f.read()))
    at = lambda name: os.path.join(out, name)  # noqa: E731
    seconds = rnnc("train", spec, "-D", size, "--text", "w,y=" + text, "--valid=0.1", "--batch=32",
                   "--window=64", "--epochs=" + options.get("epochs", "20"), "--lr=0.002",
                   "--schedule=cosine", "--clip=5", "--seed=" + options.get("seed", "0"), "-o",
                   at("w.safetensors"), "--curve", at("curve.svg"), "--log", at("log.jsonl"))
    with open(at("log.jsonl")) as f:
        best = json.loads(f.read().splitlines()[-1])["best"]
    print("%.3f bits per character (%.4f nats); trained in %.0f s" % (best / math.log(2), best,
                                                                      seconds))
    letters = metadata(at("w.safetensors"))["vocabulary"]
    start = "start=%d" % max(0, letters.find("\n"))
    rnnc("run", spec, "-D", size, "-D", "temperature=0.8", "-D", start, "--weights",
         at("w.safetensors"), "--lengths", "t=600", "--seed=1", "--out", "c=" + at("c.npy"))
    print("".join(letters[k] for k in load(at("c.npy"))[1]))


if __name__ == "__main__":
    main()
