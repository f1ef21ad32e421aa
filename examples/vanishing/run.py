#!/usr/bin/env python3
"""Remember the first of so many inputs: with and without the regulariser, and the hand-written gradient
of memory.rnn against the compiler's.

    python3 examples/vanishing/run.py [--steps=40,80] [--seeds=0,1,2]"""
import array
import os
import random
import struct
import sys

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, ".."))
from tasks import argmax, folder, load, rnnc, save  # noqa: E402


def prepare(at, steps, count, name, seed):
    """One of four marks at the first step, noise on the fifth input at all of them."""
    rand = random.Random(seed)
    labels = [rand.randrange(4) for _ in range(count)]
    x = array.array("f")
    for t in range(steps):
        for label in labels:
            x.extend([1.0 if t == 0 and k == label else 0.0 for k in range(4)] + [rand.gauss(0, 1)])
    save(at("x%s.npy" % name), (steps, count, 5), x)
    save(at("y%s.npy" % name), (count,), array.array("i", labels))


def compare(at, spec):
    """dL/dh0 as the equations of the model have it, and as the compiler derives it."""
    save(at("h0.npy"), (1000, 32), array.array("f", [0.01]) * 32000)
    ins = ["--in", "x=" + at("xt.npy"), "--in", "y=" + at("yt.npy"), "--in", "h0=" + at("h0.npy")]
    weights = ["--weights", at("w.safetensors")]
    rnnc("run", spec, *weights, *ins, "--mode=eval", "--out", "e0=" + at("e0.npy"))
    rnnc("grad", spec, *weights, *ins, "--mode=eval", "--in-grads", at("g.safetensors"))
    with open(at("g.safetensors"), "rb") as f:
        raw = f.read()
    import json
    size = struct.unpack("<Q", raw[:8])[0]
    begin, end = json.loads(raw[8:8 + size])["h0"]["data_offsets"]
    got = array.array("f")
    got.frombytes(raw[8 + size + begin:8 + size + end])
    want = [v / 1000 for v in load(at("e0.npy"))[1]]
    most = max(map(abs, want))
    print("dL/dh0: largest %.3g, largest difference %.3g of it" %
          (most, max(abs(a - b) for a, b in zip(got, want)) / most))


def main():
    options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:])
    out = folder("vanishing")
    spec = os.path.join(HERE, "memory.rnn")
    at = lambda name: os.path.join(out, name)  # noqa: E731
    table = []
    for steps in map(int, options.get("steps", "40,80").split(",")):
        prepare(at, steps, 4000, "", 1)
        prepare(at, steps, 1000, "t", 2)
        for strength in ("0", options.get("strength", "1")):
            wrong = []
            for seed in options.get("seeds", "0,1,2").split(","):
                rnnc("train", spec, "-D", "strength=" + strength, "--in", "x=" + at("x.npy"), "--in",
                     "y=" + at("y.npy"), "--valid=0.1", "--batch=20", "--epochs=10",
                     "--optimizer=sgd", "--lr=" + options.get("lr", "0.05"), "--clip=1",
                     "--seed=" + seed, "-o", at("w.safetensors"), "--log", at("log.jsonl"))
                rnnc("run", spec, "--weights", at("w.safetensors"), "--in", "x=" + at("xt.npy"),
                     "--in", "y=" + at("yt.npy"), "--out", "z=" + at("z.npy"))
                _, z = load(at("z.npy"))
                _, y = load(at("yt.npy"))
                wrong.append(sum(argmax(z, 4 * i, 4) != v for i, v in enumerate(y)) / len(y))
            table.append("%d steps, strength %s: %s %% wrong" %
                         (steps, strength, ", ".join("%.1f" % (100 * w) for w in wrong)))
    compare(at, spec)
    print("\n".join(table))


if __name__ == "__main__":
    main()
