#!/usr/bin/env python3
"""The models of examples/ in PyTorch: the same data, split, initialisers, optimiser, schedule, number of
updates and choice of the best round, so that figures can stand side by side.

    python3 examples/digits/run.py && python3 bench/torch_tasks.py digits --seed=0

reads what the example's script left in BUILD/examples. Tasks: digits, sentiment, forecast, heartbeat,
shakespeare; --epochs= as there. Made with torch 2.15.0, numpy not needed."""
import copy
import math
import os
import sys
import time

import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "examples"))
from tasks import data, folder, load  # noqa: E402


def tensor(path):
    shape, values = load(path)
    kind = torch.float32 if values.typecode == "f" else torch.int32
    out = torch.frombuffer(bytearray(values.tobytes()), dtype=kind).reshape(shape)
    return out if kind == torch.float32 else out.long()


# ---- Initialisers of the language ----

def glorot(w):
    nn.init.xavier_uniform_(w)


def cell(kind, inputs, hidden):
    """A layer as the prelude initialises it, with the prelude's biases alone."""
    net = getattr(nn, kind)(inputs, hidden)
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    with torch.no_grad():
        for g in range(gates):
            rows = slice(g * hidden, (g + 1) * hidden)
            glorot(net.weight_ih_l0[rows])
            nn.init.orthogonal_(net.weight_hh_l0[rows])
        net.bias_ih_l0.zero_()
        net.bias_hh_l0.zero_()
        if kind == "LSTM":
            net.bias_ih_l0[hidden:2 * hidden] = 1
    keep = torch.zeros(gates * hidden)
    if kind == "GRU":
        keep[2 * hidden:] = 1
    net.bias_hh_l0.register_hook(lambda g: g * keep)
    return net


def dense(inputs, outputs):
    net = nn.Linear(inputs, outputs)
    glorot(net.weight)
    nn.init.zeros_(net.bias)
    return net


# ---- Training ----

def rate(step, total, peak, cosine):
    return peak * (1 + math.cos(math.pi * step / total)) / 2 if cosine else peak


def fit(net, items, held, loss_of, epochs, batch, peak, clip, cosine=True):
    """loss_of(net, items): mean over these items. The parameters of the best epoch stay."""
    optimiser = torch.optim.Adam(net.parameters(), lr=peak)
    total, step, best, since = epochs * -(-len(items) // batch), 0, math.inf, time.monotonic()
    for epoch in range(epochs):
        net.train()
        order = items[torch.randperm(len(items))]
        for i in range(0, len(order), batch):
            for group in optimiser.param_groups:
                group["lr"] = rate(step, total, peak, cosine)
            optimiser.zero_grad()
            loss_of(net, order[i:i + batch]).backward()
            nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimiser.step()
            step += 1
        net.eval()
        with torch.no_grad():
            valid = sum(loss_of(net, held[i:i + batch]).item() * len(held[i:i + batch])
                        for i in range(0, len(held), batch)) / len(held)
        if valid < best:
            best, kept = valid, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    net.eval()
    return best, time.monotonic() - since


def last_share(count, share):
    held = max(1, int(count * share + 0.5))
    return torch.arange(count - held), torch.arange(count - held, count)


# ---- Tasks ----

class Classifier(nn.Module):
    def __init__(self, kind, inputs, hidden, outputs, pool):
        super().__init__()
        self.cell, self.top, self.pool = cell(kind, inputs, hidden), dense(hidden, outputs), pool

    def forward(self, x):
        h = self.cell(x)[0]
        return self.top(h.mean(0) if self.pool else h[-1])


def classify(name, net, x, y, xt, yt, epochs, batch, peak):
    items, held = last_share(x.shape[1], 0.1)
    loss = lambda n, i: nn.functional.cross_entropy(n(x[:, i]), y[i])  # noqa: E731
    _, seconds = fit(net, items, held, loss, epochs, batch, peak, 1)
    with torch.no_grad():
        wrong = (net(xt).argmax(1) != yt).float().mean().item()
    print("%s: %.2f %% wrong; trained in %.0f s" % (name, 100 * wrong, seconds), flush=True)


def digits(at, epochs):
    x, y, xt, yt = (tensor(at(n)) for n in ("x.npy", "y.npy", "xt.npy", "yt.npy"))
    for kind in ("RNN", "GRU", "LSTM"):
        net = Classifier(kind, x.shape[2], 64, 10, False)
        classify(kind, net, x, y, xt, yt, epochs or 20, 32, 0.002)


def heartbeat(at, epochs):
    x, y, xt, yt = (tensor(at(n)) for n in ("x.npy", "y.npy", "xt.npy", "yt.npy"))
    net = Classifier("GRU", 1, 32, 5, True)
    classify("heartbeat", net, x[..., None], y, xt[..., None], yt, epochs or 60, 16, 0.01)


class Words(nn.Module):
    def __init__(self, words, size, hidden):
        super().__init__()
        self.words = nn.Embedding(words, size)
        nn.init.normal_(self.words.weight, std=0.1)
        self.one, self.two = cell("GRU", size, hidden), cell("GRU", hidden, hidden)
        self.top, self.drop = dense(hidden, 2), nn.Dropout(0.3)

    def forward(self, w, lengths):
        h = self.two(self.drop(self.one(self.drop(self.words(w)))[0]))[0]
        mask = (torch.arange(len(w))[:, None] < lengths[None, :]).float()[..., None]
        return self.top(self.drop((h * mask).sum(0) / lengths[:, None]))


def sentiment(at, epochs):
    w, y, n, wt, yt, nt = (tensor(at(k + ".npy")) for k in ("w", "y", "len", "wt", "yt", "lent"))
    items, held = last_share(w.shape[1], 0.1)
    net = Words(int(w.max()) + 1, 32, 32)

    def loss(net, i):
        return nn.functional.cross_entropy(net(w[:n[i].max(), i], n[i]), y[i])

    _, seconds = fit(net, items, held, loss, epochs or 15, 32, 0.003, 1, cosine=False)
    with torch.no_grad():
        wrong = (net(wt, nt).argmax(1) != yt).float().mean().item()
    print("sentiment: %.2f %% wrong; trained in %.0f s" % (100 * wrong, seconds))


class Sunspots(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.cell = cell("GRU", 1, hidden)
        self.v = nn.Parameter(torch.randn(hidden) * 0.1)
        self.b = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.cell(x[..., None])[0] @ self.v + self.b


def forecast(at, epochs):
    import importlib.util
    spec = importlib.util.spec_from_file_location(
        "run", os.path.join(HERE, "..", "examples", "forecast", "run.py"))
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    years, spots = run.read()
    share = run.prepare(at(""), years, spots)
    x, y, series = tensor(at("x.npy")), tensor(at("y.npy")), tensor(at("all.npy"))
    items, held = last_share(x.shape[1], share)
    net = Sunspots(16)
    loss = lambda n, i: ((n(x[:, i]) - y[:, i])[11:] ** 2).sum() / len(i) / len(x)  # noqa: E731
    _, seconds = fit(net, items, held, loss, epochs or 60, 8, 0.005, 1)
    with torch.no_grad():
        z = net(series[:, None])[:, 0]
    first = years.index(run.CHOOSE)
    wrong = [run.unscaled(z[i - 1].item()) - spots[i] for i in range(first, len(years))]
    print("forecast: root mean square error %.1f; trained in %.0f s" %
          (math.sqrt(sum(w * w for w in wrong) / len(wrong)), seconds))


class CharLM(nn.Module):
    def __init__(self, letters, size, hidden):
        super().__init__()
        self.letters = nn.Embedding(letters, size)
        nn.init.normal_(self.letters.weight, std=0.3)
        self.cell, self.top = cell("LSTM", size, hidden), dense(hidden, letters)

    def forward(self, w, state):
        h, state = self.cell(self.letters(w), state)
        return self.top(h), tuple(s.detach() for s in state)


def shakespeare(at, epochs):
    with open(data("text_tinyshakespeare/input.txt"), encoding="utf-8", newline="") as f:
        text = f.read()
    letters = {c: i for i, c in enumerate(sorted(set(text)))}
    tokens = torch.tensor([letters[c] for c in text])
    held = int(len(tokens) * 0.1 + 0.5)
    batch, window, epochs = 32, 64, epochs or 20

    def streams(part):
        length = (len(part) - 1) // batch
        return (part[:batch * length].reshape(batch, length).t().contiguous(),
                part[1:batch * length + 1].reshape(batch, length).t().contiguous())

    x, y = streams(tokens[:len(tokens) - held])
    xv, yv = streams(tokens[len(tokens) - held:])
    net = CharLM(len(letters), 32, 128)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.002)
    total, step, best, since = epochs * -(-len(x) // window), 0, math.inf, time.monotonic()

    def loss_of(w, target, state):
        z, state = net(w, state)
        return nn.functional.cross_entropy(z.reshape(-1, len(letters)), target.reshape(-1)), state

    for epoch in range(epochs):
        state = None
        for i in range(0, len(x), window):
            for group in optimiser.param_groups:
                group["lr"] = rate(step, total, 0.002, True)
            optimiser.zero_grad()
            loss, state = loss_of(x[i:i + window], y[i:i + window], state)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5)
            optimiser.step()
            step += 1
        with torch.no_grad():
            state, valid = None, 0
            for i in range(0, len(xv), window):
                loss, state = loss_of(xv[i:i + window], yv[i:i + window], state)
                valid += loss.item() * len(xv[i:i + window])
        best = min(best, valid / len(xv))
        print("epoch %d: valid %.4f, %.0f s" % (epoch + 1, valid / len(xv),
                                                time.monotonic() - since), flush=True)
    print("%.3f bits per character; trained in %.0f s" % (best / math.log(2),
                                                          time.monotonic() - since))


def main():
    task = sys.argv[1]
    options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[2:])
    torch.manual_seed(int(options.get("seed", "0")))
    torch.set_num_threads(int(options.get("threads", "1")))
    out = folder(task)
    tasks = {f.__name__: f for f in (digits, heartbeat, sentiment, forecast, shakespeare)}
    tasks[task](lambda name: os.path.join(out, name), int(options.get("epochs", "0")))


if __name__ == "__main__":
    main()
