#!/usr/bin/env python3
"""Trains overdrive.rnn on what circuit.c answers to synthetic signals, by PyTorch.

    torch_overdrive.py CIRCUIT OUT.safetensors [--epochs=N] [--seed=N] [--check=FILE.wav]

CIRCUIT is the compiled circuit.c; OUT gets the weights under the names of overdrive.rnn. Needs
numpy and PyTorch. Nothing recorded is used: the excitation is sweeps, noise bursts and plucked
strings at many levels. The error-to-signal ratio, sum (y - target)^2 / sum target^2, is printed
for excitation from another seed, and for a check file that took no part in training.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile
import wave

import numpy as np
import torch

RATE, HIDDEN, STREAMS, CHUNK = 48000, 16, 64, 512


def sweep(rng, n):
    t = np.arange(n) / n
    low, high = 40.0, rng.uniform(4000.0, 14000.0)
    phase = 2 * np.pi * low * n / RATE / np.log(high / low) * ((high / low) ** t - 1)
    return np.sin(phase if rng.random() < 0.5 else phase[::-1])


def noise(rng, n):
    """Bursts of noise, each through a one-pole low-pass of its own."""
    out = np.zeros(n)
    at = 0
    while at < n:
        length = min(n - at, int(rng.uniform(0.02, 0.3) * RATE))
        pole, level, y = rng.uniform(0.3, 0.97), rng.uniform(0.1, 1.0), 0.0
        for k, v in enumerate(rng.standard_normal(length)):
            y = pole * y + (1 - pole) * v
            out[at + k] = level * y
        at += length + int(rng.uniform(0.0, 0.1) * RATE)
    return out / np.abs(out).max()


def pluck(rng, n):
    """Karplus and Strong's plucked strings, one to four at a time."""
    out = np.zeros(n)
    at = 0
    while at < n:
        length = min(n - at, int(rng.uniform(0.2, 1.2) * RATE))
        for _ in range(rng.integers(1, 5)):
            period = int(RATE / (82.4 * 2 ** (rng.uniform(0, 42) / 12)))
            line, loss = rng.uniform(-1, 1, period), rng.uniform(0.985, 0.999)
            note = np.empty(length)
            for k in range(0, length, period):
                part = line[:length - k]
                note[k:k + period] = part
                line = loss * 0.5 * (line + np.roll(line, 1))
            out[at:at + length] += rng.uniform(0.3, 1.0) * note
        at += length
    return out / np.abs(out).max()


def excitation(seed, seconds):
    """Signals of one second each, at levels spread over 30 dB."""
    rng = np.random.default_rng(seed)
    kinds = [sweep, noise, pluck, pluck]
    parts = [kinds[i % 4](rng, RATE) * 10 ** (rng.uniform(-30, 0) / 20) for i in range(seconds)]
    return np.concatenate(parts)


def through_circuit(circuit, signal=None, wav=None):
    """(input, output) in volts, [T] each, of a signal in -1..1 or of a WAV file."""
    with tempfile.TemporaryDirectory() as work:
        if wav is None:
            wav = os.path.join(work, "in.wav")
            with wave.open(wav, "wb") as f:
                f.setnchannels(1)
                f.setsampwidth(2)
                f.setframerate(RATE)
                f.writeframes(np.round(32767 * signal).astype("<i2").tobytes())
        files = [os.path.join(work, name) for name in ("in.npy", "out.npy")]
        subprocess.run([circuit, wav] + files, check=True, stderr=subprocess.DEVNULL)
        return [np.load(name)[:, 0] for name in files]


class Net(torch.nn.Module):
    """The equations of overdrive.rnn; PyTorch's gate order is i, f, g, o."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(1, HIDDEN)
        self.out = torch.nn.Linear(HIDDEN, 1)
        self.skip = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x, state=None):
        h, state = self.lstm(x, state)
        return self.out(h) + self.skip * x, state

    def named(self):
        """The parameters under their names in overdrive.rnn."""
        w, u, wb, ub = [p.detach().numpy() for p in self.lstm.parameters()]
        result = {"V": self.out.weight.detach().numpy(), "d": self.out.bias.detach().numpy(),
                  "s": self.skip.detach().numpy()}
        for k, gate in enumerate("ifgo"):
            rows = slice(k * HIDDEN, (k + 1) * HIDDEN)
            result["W" + gate], result["U" + gate] = w[rows], u[rows]
            result["b" + gate] = (wb + ub)[rows]
        return result


def write_safetensors(path, tensors):
    head, body = {}, b""
    for name in sorted(tensors):
        data = np.ascontiguousarray(tensors[name], "<f4").tobytes()
        head[name] = {"dtype": "F32", "shape": list(tensors[name].shape),
                      "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


def emphasis(x):
    """High frequencies weighed up, as the ear does (first difference, coefficient 0.85)."""
    return torch.cat([x[:1], x[1:] - 0.85 * x[:-1]])


def esr(y, target):
    return (((y - target) ** 2).sum() / ((target ** 2).sum() + 1e-9)).item()


def evaluate(net, pair):
    with torch.no_grad():
        x, target = [torch.from_numpy(a).reshape(-1, 1, 1) for a in pair]
        return esr(net(x)[0], target)


def main():
    options = {"epochs": 160, "seed": 1, "check": ""}
    files = []
    for argument in sys.argv[1:]:
        name, equals, value = argument[2:].partition("=")
        if argument.startswith("--") and equals and name in options:
            options[name] = type(options[name])(value)
        else:
            files.append(argument)
    if len(files) != 2:
        sys.exit(__doc__)
    torch.manual_seed(options["seed"])
    torch.set_num_threads(1)
    train = through_circuit(files[0], excitation(options["seed"], STREAMS))
    valid = through_circuit(files[0], excitation(options["seed"] + 1000, 12))
    x, target = [torch.from_numpy(a).reshape(STREAMS, -1, 1).transpose(0, 1).contiguous()
                 for a in train]
    net = Net()
    chunks = x.shape[0] // CHUNK
    adam = torch.optim.Adam(net.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, 1e-2, total_steps=options["epochs"] * chunks, pct_start=0.05, final_div_factor=1e3)
    for epoch in range(options["epochs"]):
        state, total = None, 0.0
        for k in range(chunks):
            part = slice(k * CHUNK, (k + 1) * CHUNK)
            y, state = net(x[part], state)
            state = tuple(v.detach() for v in state)
            want = target[part]
            # per stream, so that the quiet ones count too; the floor keeps silence from ruling
            floor = 1e-3
            loss = 0.0
            for a, b in ((y, want), (emphasis(y), emphasis(want))):
                loss = loss + (((a - b) ** 2).mean(0) / ((b ** 2).mean(0) + floor)).mean()
            adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            schedule.step()
            total += loss.item()
        if epoch % 5 == 4 or epoch == options["epochs"] - 1:
            print("epoch %d: loss %.4f, held-out error to signal %.4f"
                  % (epoch + 1, total / chunks, evaluate(net, valid)), flush=True)
            write_safetensors(files[1], net.named())
    if options["check"]:
        print("%s: error to signal %.4f" % (os.path.basename(options["check"]),
              evaluate(net, through_circuit(files[0], wav=options["check"]))))
    print("torch %s, numpy %s" % (torch.__version__, np.__version__))


if __name__ == "__main__":
    main()
