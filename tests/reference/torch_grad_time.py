"""More of what PyTorch differentiates for grads/: ways through time that torch.nn has no layer for,
sequence by sequence in torch operations."""
import torch


def each(case, name, step, axes="t"):
    """Starts from random gradients of what `step` gives for each sequence."""
    for b in range(case.batch):
        case.upstream(name, torch.stack(step(b)), axes, b=b)
    return case


def transducer(case):
    """In plain logsumexp over what there is: torch.logaddexp(-inf, -inf) has the gradient NaN."""
    blank, emit = case.stream("b", axes="tu"), case.stream("e", axes="tu")
    losses = []
    for k in range(case.batch):
        b, e = case.one(blank, k, "tu"), case.one(emit, k, "tu")
        a = {}
        for t in range(b.shape[0]):
            for u in range(b.shape[1]):
                ways = [a[t - 1, u] + b[t - 1, u]] if t else []
                ways += [a[t, u - 1] + e[t, u - 1]] if u else []
                a[t, u] = torch.logsumexp(torch.stack(ways), 0) if ways else b.new_zeros(())
        losses.append(-(a[t, u] + b[t, u]))
    case.loss(case.reduce(losses))
    return case


def delays(case):
    p = case.params_of("W V Z", 4, 3)
    p.update(case.params_of("U S", 4, 4))
    first, x = case.param("p", 4).square(), case.stream("x", 3)

    def step(b):
        one = case.one(x, b)
        outside = torch.full((3,), 0.5, dtype=x.dtype)
        at = lambda t: one[t] if 0 <= t < len(one) else outside
        h = [first] * 3
        for t in range(len(one)):
            h.append(torch.tanh(p["W"] @ at(t) + p["V"] @ at(t - 2) + p["Z"] @ at(t + 1) +
                                p["U"] @ h[-3] + p["S"] @ h[-1]))
        return h[3:]
    return each(case, "h", step)


def ends(case):
    p = case.params_of("W F G", 4, 3)
    u, x = case.param("U", 4, 4), case.stream("x", 3)

    def step(b):
        one = case.one(x, b)
        h = [torch.tanh(p["G"] @ one[-1])]
        for xt in one:
            h.append(torch.tanh(p["W"] @ xt + u @ h[-1] + p["F"] @ (one[0] - one[-1])))
        return h[1:]
    return each(case, "h", step)


def clocked(case):
    p = case.params_of("W V", 4, 3)
    p.update(case.params_of("U S R", 4, 4))
    x = case.stream("x", 3)

    def step(b):
        h = s = torch.zeros(4, dtype=x.dtype)
        out = []
        for t, xt in enumerate(case.one(x, b)):
            if t % 3 == 0:
                s = torch.tanh(p["V"] @ xt + p["R"] @ s + p["S"] @ h)
            h = torch.tanh(p["W"] @ xt + p["U"] @ h + s)
            out.append(h)
        return out
    return each(case, "h", step)


def pyramid(case):
    p = case.params_of("W V Z M N", 4, 3)
    u, x = case.param("U", 4, 4), case.stream("x", 3)

    def step(b):
        one = case.one(x, b)
        at = lambda t: one[t] if 0 <= t < len(one) else torch.zeros_like(one[0])
        g, out = torch.zeros(4, dtype=x.dtype), []
        for t, xt in enumerate(one):
            if t % 2 == 0:
                g = torch.tanh(p["W"] @ xt + p["V"] @ at(t + 1) + p["M"] @ at(t - 1) +
                               p["N"] @ at(t + 3) + u @ g)
            out.append(g * (p["Z"] @ xt))
        return out
    return each(case, "y", step)


def tree(case):
    """Each node reads two of those before it, or none (-1), which is the learnt p."""
    w, first = case.param("W", 4, 3), case.param("p", 4)
    left, right = case.param("L", 4, 4), case.param("R", 4, 4)
    x = case.stream("x", 3, axes="n")
    pointers = {}
    for name in "lr":
        values = torch.rand(case.shape("n", ()))
        for n in range(len(values)):
            values[n] = (values[n] * (n + 1)).floor() - 1
        pointers[name] = values.long()
        case.inputs[name] = ("n", pointers[name])

    def step(b):
        h = []
        for n, xn in enumerate(case.one(x, b, "n")):
            reads = [h[pointers[name][n, b]] if pointers[name][n, b] >= 0 else first
                     for name in "lr"]
            h.append(torch.tanh(w @ xn + left @ reads[0] + right @ reads[1]))
        return h
    return each(case, "h", step, "n")


def window(case):
    q, k, x = case.param("Q", 3, 4), case.param("K", 3, 4), case.stream("x", 4)

    def step(b):
        one = case.one(x, b)
        out = []
        for t in range(len(one)):
            near = one[max(t - 1, 0):t + 2]
            out.append(torch.softmax((near @ k.T) @ (q @ one[t]), 0) @ near)
        return out
    return each(case, "y", step)


def places(case):
    p, a, c = case.param("P", 6, 4), case.param("A", 4, 5), case.param("C", 3, 4)
    words, picks = case.labels("w", 0, 5), case.labels("y", 0, 4)
    losses = []
    for b in range(case.batch):
        z = [p[t] * a[:, w] + c[t % 3] for t, w in enumerate(case.one(words, b))]
        losses.append(sum(zt[k] for zt, k in zip(z, case.one(picks, b))) / len(z))
    case.loss(case.reduce(losses) + 0.1 * p.square().sum())
    return case


def backward(case):
    """Runs from the end, which also its lag and its clock count from."""
    w, u, s = case.param("b.W", 4, 3), case.param("b.U", 4, 4), case.param("b.S", 4, 4)
    x, k, first = case.stream("x", 3), case.value("k", 4), case.param("b.p", 4)

    def step(b):
        h, held = [first] * 2, None
        for t, xt in enumerate(case.one(x, b).flip(0)):
            held = torch.tanh(s @ h[-2]) if t % 2 == 0 else held
            h.append(torch.tanh(w @ xt + u @ h[-1] + held))
        return [ht * k[b] for ht in reversed(h[2:])]
    return each(case, "y", step)


def through_time(Case):
    yield transducer(Case("transducer", "Transducer", {"t": [3, 4], "u": [3, 2]}))
    yield delays(Case("delays", "Delays", {"t": [1, 6, 4]}, I=3, H=4))
    yield ends(Case("ends", "Ends", {"t": [4, 1]}, I=3, H=4))
    yield clocked(Case("clocked", "Clocked", {"t": [8, 2]}, I=3, H=4))
    yield pyramid(Case("pyramid", "Pyramid", {"t": [5, 4, 1]}, I=3, H=4))
    yield tree(Case("tree", "Tree", {"n": [7, 4]}, I=3, H=4))
    yield window(Case("window", "Window", {"t": [5, 1]}, D=4, H=3))
    yield places(Case("places", "Places", {"t": [6, 3]}, H=4, V=5))
    yield backward(Case("reversed", "Reversed", {"t": [6, 3]}, I=3, H=4))
