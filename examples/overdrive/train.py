#!/usr/bin/env python3
"""Trains overdrive.rnn on what circuit.c answers to synthetic signals, by rnnc train.

    train.py CIRCUIT OUT.safetensors [--epochs=160] [--seed=1] [--check=FILE.wav]

CIRCUIT is the compiled circuit.c; OUT gets the weights under the names of overdrive.rnn. Nothing
recorded is used: the excitation is sweeps, noise bursts, plucked strings and made-up syllables at
many levels. The error-to-signal ratio, sum (y - target)^2 / sum target^2, is printed for excitation
from another seed, and for a check file that took no part in training. Standard library only.
"""
import array
import json
import math
import os
import random
import struct
import subprocess
import sys
import wave

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, ".."))
from tasks import folder, load, rnnc, save, sequences_first  # noqa: E402

RATE, STREAMS = 48000, 64


def loudest(out):
    most = max(map(abs, out))
    return [v / most for v in out]


def sweep(rand):
    high = rand.uniform(4000, 14000) / 40
    scale = 2 * math.pi * 40 / math.log(high)
    out = [math.sin(scale * (high ** (k / RATE) - 1)) for k in range(RATE)]
    return out if rand.random() < 0.5 else out[::-1]


def noise(rand):
    """Bursts of noise, each through a one-pole low-pass of its own."""
    out = [0.0] * RATE
    at = 0
    while at < RATE:
        length = min(RATE - at, int(rand.uniform(0.02, 0.3) * RATE))
        pole, level, y = rand.uniform(0.3, 0.97), rand.uniform(0.1, 1), 0.0
        for k in range(at, at + length):
            y = pole * y + (1 - pole) * rand.gauss(0, 1)
            out[k] = level * y
        at += length + int(rand.uniform(0, 0.1) * RATE)
    return loudest(out)


def pluck(rand):
    """Karplus and Strong's plucked strings, one to four at a time."""
    out = [0.0] * RATE
    at = 0
    while at < RATE:
        length = min(RATE - at, int(rand.uniform(0.2, 1.2) * RATE))
        for _ in range(rand.randrange(1, 5)):
            period = int(RATE / (82.4 * 2 ** (rand.uniform(0, 42) / 12)))
            line = [rand.uniform(-1, 1) for _ in range(period)]
            loss, level = rand.uniform(0.985, 0.999) / 2, rand.uniform(0.3, 1)
            for k in range(0, length, period):
                for i in range(min(period, length - k)):
                    out[at + k + i] += level * line[i]
                line = [loss * (line[i] + line[i - 1]) for i in range(period)]
        at += length
    return loudest(out)


def resonance(signal, frequency, width):
    """Through a two-pole filter that passes what does not change as it is."""
    r = math.exp(-math.pi * width / RATE)
    a, b = 2 * r * math.cos(2 * math.pi * frequency / RATE), -r * r
    gain, y, before, out = 1 - a - b, 0.0, 0.0, []
    for v in signal:
        y, before = gain * v + a * y + b * before, y
        out.append(y)
    return out


def voice(rand):
    """Syllables: pulses of a gliding pitch through four formants, or breath through one, and pauses.
    Unlike the others it is lopsided: the peaks of one sign are higher."""
    out, sign = [0.0] * RATE, rand.choice((-1, 1))
    at, pitch = int(rand.uniform(0, 0.1) * RATE), rand.uniform(80, 280)
    while at < RATE:
        length = min(RATE - at, int(rand.uniform(0.06, 0.35) * RATE))
        if rand.random() < 0.75:
            begin, end = pitch * rand.uniform(0.8, 1.25), pitch * rand.uniform(0.7, 1.2)
            breath, phase, flow, source = rand.uniform(0, 0.02), 0.0, 0.0, []
            pole = math.exp(-2 * math.pi * rand.uniform(100, 1000) / RATE)
            for k in range(length):
                phase += (begin + (end - begin) * k / length) / RATE
                flow *= pole
                if phase >= 1:
                    phase -= 1
                    flow += rand.uniform(0.9, 1.1)
                source.append(flow + breath * rand.gauss(0, 1))
            for low, high in ((250, 900), (850, 2500), (2200, 3300), (3300, 4500)):
                source = resonance(source, rand.uniform(low, high), rand.uniform(50, 250))
            level = rand.uniform(0.2, 1)
        else:
            source = [rand.gauss(0, 1) for _ in range(length)]
            source = resonance(source, rand.uniform(2500, 8000), rand.uniform(500, 3000))
            source = [a - b for a, b in zip(source, [0.0] + source)]
            level = rand.uniform(0.05, 0.4)
        rise, fall = rand.uniform(0.005, 0.06) * RATE, rand.uniform(0.02, 0.15) * RATE
        level *= sign / max(map(abs, source))
        for k, v in enumerate(source):
            out[at + k] = level * min(1, k / rise, (length - k) / fall) * v
        at += length + int(rand.choice((0, 0, rand.uniform(0, 0.2))) * RATE)
    return loudest(out)


def excitation(seed, seconds):
    """Signals of one second each, at levels spread over 30 dB."""
    rand, kinds, out = random.Random(seed), [sweep, noise, pluck, voice], []
    for i in range(seconds):
        signal, level = kinds[i % 4](rand), 10 ** (rand.uniform(-30, 0) / 20)
        out += [level * v for v in signal]
    return out


def through_circuit(circuit, out, name, signal=None, wav=None):
    """in.NAME.npy and target.NAME.npy in volts, [T, 1], of a signal in -1..1 or of a WAV file."""
    at = [os.path.join(out, "%s.%s.npy" % (kind, name)) for kind in ("in", "target")]
    if wav is None:
        wav = os.path.join(out, name + ".wav")
        with wave.open(wav, "wb") as f:
            f.setnchannels(1)
            f.setsampwidth(2)
            f.setframerate(RATE)
            f.writeframes(array.array("h", (round(32767 * v) for v in signal)).tobytes())
    subprocess.run([circuit, wav] + at, check=True, stderr=subprocess.DEVNULL)
    return at


def as_streams(path, to):
    """[T, 1] as [RATE, STREAMS, 1], a second each."""
    _, values = load(path)
    rows = [values[RATE * b:RATE * (b + 1)] for b in range(STREAMS)]
    save(to, (RATE, STREAMS, 1), sequences_first(rows, RATE, 1))


def rename(path, to):
    """net.W of training.rnn is W of overdrive.rnn."""
    with open(path, "rb") as f:
        raw = f.read()
    size = struct.unpack("<Q", raw[:8])[0]
    head = {k.removeprefix("net."): v for k, v in json.loads(raw[8:8 + size]).items()}
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(to, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + raw[8 + size:])


def error_to_signal(weights, out, name, paths):
    found = os.path.join(out, "y.npy")
    rnnc("run", os.path.join(HERE, "overdrive.rnn"), "--weights", weights, "--in", "x=" + paths[0],
         "--out", "y=" + found)
    y, target = load(found)[1], load(paths[1])[1]
    ratio = sum((a - b) ** 2 for a, b in zip(y, target)) / sum(b * b for b in target)
    print("%s: error to signal %.2f %%" % (name, 100 * ratio))


def main():
    options = {"epochs": "160", "seed": "1", "check": ""}
    files = []
    for argument in sys.argv[1:]:
        name, equals, value = argument[2:].partition("=")
        if argument.startswith("--") and equals and name in options:
            options[name] = value
        else:
            files.append(argument)
    if len(files) != 2:
        sys.exit(__doc__)
    out, seed = folder("overdrive"), int(options["seed"])
    learn = through_circuit(files[0], out, "learn", excitation(seed, STREAMS))
    held = through_circuit(files[0], out, "held", excitation(seed + 1000, 12))
    streams = [os.path.join(out, name) for name in ("x.npy", "target.npy")]
    for path, to in zip(learn, streams):
        as_streams(path, to)
    trained = os.path.join(out, "training.safetensors")
    seconds = rnnc("train", os.path.join(HERE, "training.rnn"), "--in", "x=" + streams[0], "--in",
                   "target=" + streams[1], "--batch=16", "--window=256",
                   "--epochs=" + options["epochs"], "--lr=0.01",
                   "--schedule=one-cycle:rise=0.05,end-divisor=1000", "--clip=1", "--seed=%d" % seed,
                   "-o", trained, "--curve", os.path.join(out, "curve.svg"))
    rename(trained, files[1])
    print("trained in %.0f s" % seconds)
    error_to_signal(files[1], out, "held-out excitation", held)
    if options["check"]:
        check = through_circuit(files[0], out, "check", wav=options["check"])
        error_to_signal(files[1], out, os.path.basename(options["check"]), check)


if __name__ == "__main__":
    main()
