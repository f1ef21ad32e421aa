#!/usr/bin/env python3
"""Trains overdrive.rnn as examples/overdrive/train.py does, but by PyTorch: same excitation, numbers
and all, loss, batches, windows, optimiser, schedule and updates; only the random numbers of the first
weights and of the order of sequences are others.

    torch_overdrive.py CIRCUIT OUT.safetensors [--epochs=160] [--seed=1] [--check=FILE.wav]

CIRCUIT is the compiled circuit.c; OUT gets the weights under the names of overdrive.rnn. Needs numpy
and PyTorch. The error-to-signal ratio, sum (y - target)^2 / sum target^2, is printed for excitation
from another seed, and for a check file that took no part in training.
"""
import json
import os
import struct
import sys
import time

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "examples", "overdrive"))
import train as example  # noqa: E402

RATE, STREAMS, HIDDEN, BATCH, WINDOW = example.RATE, example.STREAMS, 16, 16, 256


def through_circuit(circuit, name, signal=None, wav=None):
    """(input, output) in volts, [T] each, of a signal in -1..1 or of a WAV file."""
    out = example.folder("torch_overdrive")
    return [np.load(path)[:, 0] for path in example.through_circuit(circuit, out, name, signal, wav)]


class Net(torch.nn.Module):
    """The equations of overdrive.rnn; PyTorch's gate order is i, f, g, o."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(1, HIDDEN)
        self.out = torch.nn.Linear(HIDDEN, 1)
        self.skip = torch.nn.Parameter(torch.zeros(1))
        w, u, wb, ub = self.lstm.parameters()
        with torch.no_grad():
            for k in range(4):
                rows = slice(k * HIDDEN, (k + 1) * HIDDEN)
                torch.nn.init.xavier_uniform_(w[rows])
                torch.nn.init.orthogonal_(u[rows])
            wb.zero_()
            ub.zero_()
            wb[HIDDEN:2 * HIDDEN] = 1
            torch.nn.init.xavier_uniform_(self.out.weight)
            self.out.bias.zero_()
        ub.requires_grad = False  # one bias a gate

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
    learn = through_circuit(files[0], "learn", example.excitation(options["seed"], STREAMS))
    held = through_circuit(files[0], "held", example.excitation(options["seed"] + 1000, 12))
    x, target = [torch.from_numpy(a).reshape(STREAMS, -1, 1).transpose(0, 1).contiguous()
                 for a in learn]
    net = Net()
    starts = range(0, RATE, WINDOW)
    updates = len(starts) * STREAMS // BATCH
    adam = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        adam, 1e-2, total_steps=options["epochs"] * updates, pct_start=0.05, final_div_factor=1e3,
        cycle_momentum=False)
    begin = time.time()
    for epoch in range(options["epochs"]):
        order, total = torch.randperm(STREAMS), 0.0
        for first in range(0, STREAMS, BATCH):
            state, rows = None, order[first:first + BATCH]
            for k in starts:
                y, state = net(x[k:k + WINDOW, rows], state)
                state = tuple(v.detach() for v in state)
                want = target[k:k + WINDOW, rows]
                # per stream, so that the quiet ones count too; the floor keeps silence from ruling
                loss = 0.0
                for a, b in ((y, want), (emphasis(y), emphasis(want))):
                    loss = loss + (((a - b) ** 2).mean(0) / ((b ** 2).mean(0) + 1e-3)).mean()
                adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                adam.step()
                schedule.step()
                total += loss.item()
        if epoch % 5 == 4 or epoch == options["epochs"] - 1:
            print("epoch %d: loss %.4f, held-out error to signal %.4f, %.0f s"
                  % (epoch + 1, total / updates, evaluate(net, held), time.time() - begin), flush=True)
            write_safetensors(files[1], net.named())
    if options["check"]:
        print("%s: error to signal %.4f" % (os.path.basename(options["check"]),
              evaluate(net, through_circuit(files[0], "check", wav=options["check"]))))
    print("torch %s, numpy %s" % (torch.__version__, np.__version__))


if __name__ == "__main__":
    main()
