#!/usr/bin/env python3
"""Heartbeats of an electrocardiogram in five classes (ECG5000).

    python3 examples/heartbeat/run.py [--seed=0] [--epochs=60]

A fifth of the 500 beats of each class is never trained on and gives the error."""
import array
import os
import sys

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, ".."))
from tasks import argmax, data, folder, load, rnnc, save, sequences_first, shuffled  # noqa: E402

NAMES = ["normal", "R-on-T", "premature ventricular", "supraventricular", "unclassified"]


def prepare(out):
    beats = []
    with open(data("ecg5000_train/ECG5000_TRAIN.txt")) as f:
        for line in f:
            numbers = [float(v) for v in line.split()]
            beats.append((int(numbers[0]) - 1, array.array("f", numbers[1:])))
    held, kept = [], []
    for label in range(5):
        own = shuffled([b for b in beats if b[0] == label], label)
        cut = max(1, len(own) // 5)
        held += own[:cut]
        kept += own[cut:]
    for name, part in (("", shuffled(kept, 1)), ("t", held)):
        steps = len(part[0][1])
        save(os.path.join(out, "x%s.npy" % name), (steps, len(part)),
             sequences_first([b[1] for b in part], steps, 1))
        save(os.path.join(out, "y%s.npy" % name), (len(part),),
             array.array("i", (b[0] for b in part)))
    print("%d beats to learn from, %d to be judged by" % (len(kept), len(held)))


def judge(out):
    _, z = load(os.path.join(out, "z.npy"))
    _, y = load(os.path.join(out, "yt.npy"))
    wrong = [argmax(z, 5 * i, 5) != label for i, label in enumerate(y)]
    for label, name in enumerate(NAMES):
        own = [w for w, k in zip(wrong, y) if k == label]
        print("  %-22s %3d beats, %d wrong" % (name, len(own), sum(own)))
    most = max(range(5), key=lambda k: sum(1 for v in y if v == k))
    print("  who always says '%s': %.1f %% wrong" % (NAMES[most],
                                                   100 * sum(v != most for v in y) / len(y)))
    return sum(wrong) / len(wrong)


def main():
    options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:])
    out = folder("heartbeat")
    spec = os.path.join(HERE, "heartbeat.rnn")
    prepare(out)
    at = lambda name: os.path.join(out, name)  # noqa: E731
    seconds = rnnc("train", spec, "--in", "x=" + at("x.npy"), "--in", "y=" + at("y.npy"),
                   "--valid=0.1", "--split=last", "--batch=16",
                   "--epochs=" + options.get("epochs", "60"), "--lr=0.01", "--schedule=cosine",
                   "--clip=1", "--seed=" + options.get("seed", "0"), "-o", at("w.safetensors"),
                   "--curve", at("curve.svg"), "--log", at("log.jsonl"))
    rnnc("run", spec, "--weights", at("w.safetensors"), "--in", "x=" + at("xt.npy"), "--out",
         "z=" + at("z.npy"))
    print("%.1f %% of the beats held out are wrong; trained in %.0f s" % (100 * judge(out), seconds))


if __name__ == "__main__":
    main()
