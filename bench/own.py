"""Every cell as a user of PyTorch or JAX writes it: gates stacked into one matrix, the input
product for all steps at once, then a step. `F` is the library: sigmoid, tanh, split, cat, clip."""


class Cell:
    """leaves: {stacked array: (names of its parts, their shape)}."""

    def __init__(self, leaves, hoist, step, states, initial=0.0):
        self.leaves, self.hoist, self.step, self.states = leaves, hoist, step, states
        self.initial = initial


def gated(letters, marks):
    return [letter + mark for letter in letters for mark in marks]


def product(p, x, F=None, w="W", b="b"):
    return x @ p[w].T + p[b] if b in p else x @ p[w].T


def lstm(p, F, g, s):
    h, c = s
    i, f, g, o = F.split(g + h @ p["U"].T, 4)
    c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
    h = F.sigmoid(o) * F.tanh(c)
    return (h, c), h


def peephole(p, F, g, s):
    h, c = s
    i, f, g, o = F.split(g + h @ p["U"].T, 4)
    i = F.sigmoid(i + p["p"][0] * c)
    f = F.sigmoid(f + p["p"][1] * c)
    c = f * c + i * F.tanh(g)
    h = F.sigmoid(o + p["p"][2] * c) * F.tanh(c)
    return (h, c), h


def gru(p, F, g, s):
    h, = s
    z, r, n = F.split(g, 3)
    uz, ur, un = F.split(h @ p["U"].T, 3)
    z = F.sigmoid(z + uz)
    n = F.tanh(n + F.sigmoid(r + ur) * (un + p["c"]))
    h = (1 - z) * n + z * h
    return (h,), h


def elman(p, F, g, s):
    h = F.tanh(g + s[0] @ p["U"].T)
    return (h,), h


def multiplicative(p, F, g, s):
    h, c = s
    m = g[1] * (h @ p["Um"].T)
    i, f, g, o = F.split(g[0] + m @ p["U"].T, 4)
    c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
    h = F.sigmoid(o) * F.tanh(c)
    return (h, c), h


def scrn(p, F, g, s):
    h, slow = s
    slow = 0.05 * g[1] + 0.95 * slow
    h = F.sigmoid(slow @ p["P"].T + g[0] + h @ p["R"].T)
    return (h, slow), h


def projected(p, F, g, s):
    r, c = s
    i, f, g, o = F.split(g + r @ p["U"].T, 4)
    c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
    r = (F.sigmoid(o) * F.tanh(c)) @ p["Q"].T
    return (r, c), r


def drawn_cell(p, F, g, s):
    h, = s
    a = F.tanh(F.tanh(h @ p["K"].T) + g) * F.sigmoid(h @ p["L"].T)
    a = a * F.sigmoid(F.clip(h @ p["M"].T, -2.0, 2.0) + h) - F.sigmoid(0.5 * (h @ p["N"]) + h)
    h = 0.25 * a + 0.25 * F.tanh(h * h)
    return (h,), h


def before(p, x, F):
    """The input one step earlier; 0.5 before the first."""
    return F.cat([x[:1] * 0 + 0.5, x[:-1]])


def cell(case):
    """The cell of a case of one layer."""
    I, H, name = case["I"], case["H"], case["cell"]
    four = {"W": (gated("W", "ifgo"), [H, I]), "U": (gated("U", "ifgo"), [H, H]),
            "b": (gated("b", "ifgo"), [H])}
    if name == "LSTM":
        return Cell(four, product, lstm, [H, H])
    if name == "peephole LSTM":
        return Cell(dict(four, p=(gated("p", "ifo"), [H])), product, peephole, [H, H])
    if name == "GRU":
        return Cell({"W": (gated("W", "zrn"), [H, I]), "U": (gated("U", "zrn"), [H, H]),
                     "b": (gated("b", "zrn"), [H]), "c": (["cn"], [H])}, product, gru, [H])
    if name == "RNN":
        return Cell({"W": (["W"], [H, I]), "U": (["U"], [H, H]), "b": (["b"], [H])}, product,
                    elman, [H])
    if name == "multiplicative LSTM":
        return Cell(dict(four, Wm=(["Wm"], [H, I]), Um=(["Um"], [H, H])),
                    lambda p, x, F: (product(p, x), product(p, x, F, "Wm", "")), multiplicative, [H, H])
    if name == "SCRN":
        M = H // 4
        return Cell({"A": (["A"], [H, I]), "B": (["B"], [M, I]), "P": (["P"], [H, M]),
                     "R": (["R"], [H, H])},
                    lambda p, x, F: (product(p, x, F, "A", ""), product(p, x, F, "B", "")), scrn, [H, M])
    if name == "random cell":
        return Cell({n: ([n], [H, H]) for n in "KLMN"}, before, drawn_cell, [H], -0.5)
    if name == "LSTM with projection":
        P = H // 2
        return Cell(dict(four, U=(gated("U", "ifgo"), [H, P]), Q=(["Q"], [P, H])), product,
                    projected, [P, H])
    return None


def rows(leaves):
    """(name of a parameter, its leaf, the place among the parts, how many there are)."""
    for leaf, (names, shape) in leaves.items():
        for k, name in enumerate(names):
            yield name, leaf, k, len(names), shape
