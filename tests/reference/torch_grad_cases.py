"""What PyTorch differentiates for grads/: one function a model of grads.rnn, one line a case."""
import torch
import torch.nn.functional as F

from tensors import Tensor
from torch_grad_tensors import on_tensors
from torch_grad_time import through_time

nn = torch.nn
RAGGED = {"t": [4, 7, 1]}


# ---- Layers of torch.nn, from gradients of their outputs ----------------------------------------

def layer(case, module, width, cells=False):
    """y, h_n and, where there are cells, c_n, with the first state as inputs."""
    module = case.layer(module, [""])
    x = case.stream("x", module.input_size)
    first = [case.value("h0", width).unsqueeze(0)]
    if cells:
        first.append(case.value("c0", module.hidden_size).unsqueeze(0))
    y, last = module(case.packed(x), tuple(first) if cells else first[0])
    case.upstream("y", case.padded(y))
    for name, value in zip(("h_n", "c_n"), last if cells else [last]):
        case.upstream(name, value[0], "")
    return case


def both_lstm(case):
    module = case.layer(nn.LSTM(3, 4, bidirectional=True), ["f.", "b."])
    y, (h, _) = module(case.packed(case.stream("x", 3)))
    case.upstream("y", case.padded(y))
    case.upstream("hf_n", h[0], "")
    case.upstream("hb_n", h[1], "")
    return case


def recurrent(Case):
    for name, axes in (("batch", {"t": [7, 7, 7]}), ("ragged", RAGGED), ("one_step", {"t": [1, 1]}),
                       ("sequence", {"t": 9})):
        yield layer(Case("tanh_" + name, "Tanh", axes, I=3, H=4), nn.RNN(3, 4), 4)
        yield layer(Case("lstm_" + name, "Lstm", axes, I=3, H=4), nn.LSTM(3, 4), 4, True)
        yield layer(Case("gru_" + name, "Gru", axes, I=4, H=5), nn.GRU(4, 5), 5)
    yield layer(Case("relu_ragged", "Relu", RAGGED, I=3, H=7), nn.RNN(3, 7, nonlinearity="relu"), 7)
    for name, axes in (("ragged", RAGGED), ("one_step", {"t": 1})):
        yield layer(Case("projected_" + name, "Projected", axes, I=3, H=5, P=2),
                    nn.LSTM(3, 5, proj_size=2), 2, True)
    yield both_lstm(Case("both_lstm_batch", "BothLstm", {"t": [5, 5]}, I=3, H=4))
    yield both_lstm(Case("both_lstm_ragged", "BothLstm", RAGGED, I=3, H=4))


# ---- Losses --------------------------------------------------------------------------------------

def dense(case, h, outputs, instance="out."):
    return F.linear(h, case.param(instance + "W", outputs, h.shape[-1]),
                    case.param(instance + "b", outputs))


def mean_over_time(case, losses, axes="t"):
    """One number a sequence: the mean over its steps of losses [T, B]."""
    return [case.one(losses, b, axes).mean() for b in range(case.batch)]


def tanh_mse(case):
    module = case.layer(nn.RNN(3, 4), ["l."])
    z = dense(case, case.padded(module(case.packed(case.stream("x", 3)))[0]), 3)
    losses = F.mse_loss(z, case.targets("y", 3), reduction="none").mean(-1)
    case.loss(case.reduce(mean_over_time(case, losses)))
    return case


def gru_before(case):
    """By hand: torch.nn.GRU has only the reset after the product."""
    p = case.params_of("Wz Wr Wn", 4, 3, instance="l.")
    p.update(case.params_of("Uz Ur Un", 4, 4, instance="l."))
    p.update(case.params_of("bz br bn", 4, instance="l."))
    v, d = case.param("out.W", 3, 4), case.param("out.b", 3)
    x, y = case.stream("x", 3), case.targets("y", 3)
    losses = []
    for b in range(case.batch):
        h, out = torch.zeros(4, dtype=x.dtype), []
        for xt in case.one(x, b):
            z = torch.sigmoid(p["Wz"] @ xt + p["Uz"] @ h + p["bz"])
            r = torch.sigmoid(p["Wr"] @ xt + p["Ur"] @ h + p["br"])
            n = torch.tanh(p["Wn"] @ xt + p["Un"] @ (r * h) + p["bn"])
            h = (1 - z) * n + z * h
            out.append(v @ h + d)
        losses.append(F.mse_loss(torch.stack(out), case.one(y, b)))
    case.loss(case.reduce(losses))
    return case


def lstm_last(case):
    module = case.layer(nn.LSTM(3, 4, num_layers=2), ["l.0.", "l.1."])
    _, (h, _) = module(case.packed(case.stream("x", 3)))
    losses = F.cross_entropy(dense(case, h[-1], 3), case.labels("y", 0, 3, ""), reduction="none")
    case.loss(case.reduce(list(losses.reshape(-1))))
    return case


def gru_bce(case):
    module = case.layer(nn.GRU(3, 4, num_layers=2), ["l.0.", "l.1."])
    z = dense(case, case.padded(module(case.packed(case.stream("x", 3)))[0]), 3)
    losses = F.binary_cross_entropy_with_logits(z, case.targets("y", 3), reduction="none").mean(-1)
    case.loss(losses[case.mask()].mean())
    return case


def both_tagger(case):
    """In eval mode, where the dropout of the model does nothing."""
    module = case.layer(nn.GRU(3, 3, num_layers=2, bidirectional=True),
                        ["f.0.", "b.0.", "f.1.", "b.1."])
    z = dense(case, case.padded(module(case.packed(case.stream("x", 3)))[0]), 4)
    losses = F.cross_entropy(z.movedim(-1, 1), case.labels("y", 0, 4), reduction="none")
    case.loss(case.reduce(mean_over_time(case, losses)))
    return case


def projected_nll(case):
    module = case.layer(nn.LSTM(3, 5, proj_size=2), ["l."])
    lp = F.log_softmax(dense(case, module(case.stream("x", 3))[0], 4), -1)
    losses = F.nll_loss(lp.movedim(-1, 1), case.labels("y", 0, 4), reduction="none")
    case.loss(case.reduce(list(losses.sum(0))))
    case.upstream("lp", lp)
    return case


def language(case):
    words, labels = case.labels("w", 0, 7), case.labels("y", 0, 7)
    e = F.embedding(words, case.param("e.E", 7, 4))
    z = dense(case, case.padded(case.layer(nn.LSTM(4, 5), ["l."])(case.packed(e))[0]), 7)
    losses = F.cross_entropy(z.movedim(-1, 1) if case.batched else z, labels, reduction="none")
    case.loss(losses[case.mask()].mean())
    return case


def tied(case):
    """The matrix E on both sides of the model; a penalty that counts once, not once a sequence;
    a learnt first state."""
    words, labels = case.labels("w", 0, 7), case.labels("y", 0, 7)
    e, u, h0 = case.param("E", 7, 4), case.param("U", 4, 4), case.param("h0", 4)
    losses = []
    for b in range(case.batch):
        h, out = h0, []
        for w in case.one(words, b):
            h = torch.tanh(e[w] + u @ h)
            out.append(e @ h)
        losses.append(F.cross_entropy(torch.stack(out), case.one(labels, b)))
    case.loss(case.reduce(losses) + 0.05 * u.square().sum())
    return case


def weighted(case):
    """A divisor that is an input and gets no gradient; gradients of outputs beside the loss; a
    sequence without steps."""
    w, u = case.param("l.W", 4, 3), case.param("l.U", 4, 4)
    d, v, c = case.param("l.b", 4), case.param("out.W", 3, 4), case.param("out.b", 3)
    x, y, m = case.stream("x", 3), case.targets("y", 3), case.targets("m")
    losses, weights = [], []
    for b in range(case.batch):
        h, out = torch.zeros(4, dtype=x.dtype), []
        for xt in case.one(x, b):
            h = torch.tanh(w @ xt + u @ h + d)
            out.append(v @ h + c)
        if out:
            squares = (torch.stack(out) - case.one(y, b)).square().mean(-1)
            losses.append((case.one(m, b) * squares).sum())
            weights.append(case.one(m, b).detach().sum())
            case.upstream("z", torch.stack(out), b=b)
    case.loss(sum(losses) / sum(weights))
    return case


def chunk(case):
    """A chunk that begins with the state of the one before."""
    module = case.layer(nn.LSTM(3, 4), ["l."])
    h0, c0 = case.draw(case.batch, 4, scale=0.5), case.draw(case.batch, 4)
    y, _ = module(case.packed(case.stream("x", 3)), (h0.unsqueeze(0), c0.unsqueeze(0)))
    losses = F.mse_loss(case.padded(y), case.targets("y", 4), reduction="none").mean(-1)
    case.loss(case.reduce(mean_over_time(case, losses)))
    case.states = {"l.h": Tensor(h0.shape, h0.reshape(-1).tolist(), "f"),
                   "l.c": Tensor(c0.shape, c0.reshape(-1).tolist(), "f"),
                   "l.t": Tensor((case.batch,), [20] * case.batch, "q")}
    return case


def labels_ctc(case):
    module = case.layer(nn.RNN(3, 4), ["l."])
    logits = dense(case, case.padded(module(case.packed(case.stream("x", 3)))[0]), 4)
    y = case.labels("y", 1, 4, "u")
    losses = F.ctc_loss(F.log_softmax(logits, -1), y.T, tuple(case.lengths["t"]),
                        tuple(case.lengths["u"]), blank=0, reduction="none")
    case.loss(case.reduce(list(losses)))
    return case


def losses(Case):
    yield tanh_mse(Case("tanh_mse_sum", "TanhMse", RAGGED, ["--reduce=sum"], I=3, H=4, O=3))
    yield tanh_mse(Case("tanh_mse_batch_1", "TanhMse", {"t": [6]}, I=3, H=4, O=3))
    yield gru_before(Case("gru_before_mse", "GruBefore", {"t": [6, 6]}, I=3, H=4, O=3))
    yield gru_before(Case("gru_before_mse_ragged", "GruBefore", RAGGED, I=3, H=4, O=3))
    yield gru_before(Case("gru_before_mse_one_step", "GruBefore", {"t": 1}, I=3, H=4, O=3))
    yield lstm_last(Case("stacked_lstm_xent", "LstmLast", {"t": [5, 5, 5]}, I=3, H=4, O=3, L=2))
    yield lstm_last(Case("stacked_lstm_xent_ragged", "LstmLast", RAGGED, I=3, H=4, O=3, L=2))
    yield gru_bce(Case("stacked_gru_bce", "GruBce", RAGGED, I=3, H=4, O=3, L=2))
    yield both_tagger(Case("both_gru_stacked_xent", "BothTagger", {"t": [4, 5]}, ["--mode=eval"],
                           I=3, H=3, O=4, L=2))
    yield projected_nll(Case("projected_nll_and_upstream", "ProjectedNll", {"t": [6, 6]},
                             I=3, H=5, P=2, O=4))
    yield language(Case("language", "Language", {"t": [5, 9, 2]}, V=7, D=4, H=5))
    yield language(Case("language_sequence", "Language", {"t": 6}, V=7, D=4, H=5))
    yield tied(Case("tied", "Tied", {"t": [3, 6]}, V=7, H=4))
    yield weighted(Case("weighted_and_upstream", "Weighted", {"t": [3, 0, 5]}, divisor="m",
                        I=3, H=4, O=3))
    yield chunk(Case("chunk", "Chunk", {"t": [4, 3]}, I=3, H=4))
    yield labels_ctc(Case("ctc", "Labels", {"t": [7, 5, 7], "u": [2, 3, 1]}, I=3, H=4, V=4))


# ---- Other operations ----------------------------------------------------------------------------

def normalised(case):
    w, u = case.param("W", 4, 3), case.param("U", 4, 4)
    scale, shift = case.param("norm.scale", 4, shift=1.0), case.param("norm.shift", 4)
    x, y = case.stream("x", 3), case.targets("y", 4)
    losses = []
    for b in range(case.batch):
        h, out = torch.zeros(4, dtype=x.dtype), []
        for xt in case.one(x, b):
            h = torch.tanh(F.layer_norm(w @ xt + u @ h, (4,), scale, shift, 1e-5))
            out.append(h)
        losses.append(F.mse_loss(torch.stack(out), case.one(y, b)))
    case.loss(case.reduce(losses))
    return case


def pooled(case):
    h, _ = case.layer(nn.GRU(3, 4), ["l."])(case.packed(case.stream("x", 3)))
    h = case.padded(h)
    scores = torch.tanh(F.linear(h, case.param("W", 3, 4))) @ case.param("v", 3)
    a = torch.softmax(scores.masked_fill(~case.mask(), float("-inf")), 0)
    z = dense(case, (a.unsqueeze(-1) * h).sum(0), 3)
    losses = F.cross_entropy(z, case.labels("y", 0, 3, ""), reduction="none")
    case.loss(case.reduce(list(losses)))
    case.upstream("a", a)
    return case


def decoder(case):
    """Bahdanau's attention of each u over all t; then an Elman layer over u."""
    m, q, y = case.stream("m", 3), case.stream("q", 4, axes="u"), case.labels("y", 0, 3, "u")
    wm, wq = case.param("att.Wm", 3, 3), case.param("att.Wq", 3, 4)
    v = case.param("att.v", 3)
    module = case.layer(nn.RNN(7, 4), ["l."])
    out = case.param("out.W", 3, 4), case.param("out.b", 3)
    losses = []
    for b in range(case.batch):
        memory, queries = case.one(m, b), case.one(q, b, "u")
        keys = memory @ wm.T
        scores = torch.tanh(keys.unsqueeze(0) + (queries @ wq.T).unsqueeze(1)) @ v
        context = torch.softmax(scores, 1) @ memory
        h, _ = module(torch.cat([context, queries], 1))
        losses.append(F.cross_entropy(F.linear(h, *out), case.one(y, b, "u"), reduction="sum"))
    case.loss(sum(losses) / sum(case.lengths["u"]))
    return case


def causal(case):
    x = case.stream("x", 4)
    wq, wk, wv = case.param("att.Wq", 3, 4), case.param("att.Wk", 3, 4), case.param("att.Wv", 4, 4)
    for b in range(case.batch):
        one = case.one(x, b).unsqueeze(0)
        y = F.scaled_dot_product_attention(one @ wq.T, one @ wk.T, one @ wv.T, is_causal=True)
        case.upstream("y", y[0], b=b)
    return case


def images(case):
    """Shi's ConvLSTM, of 2 channels of 3x3 into 2."""
    wx = [case.param("l.Wx" + g, 2, 2, 3, 3, scale=0.3) for g in "ifgo"]
    wh = [case.param("l.Wh" + g, 2, 2, 3, 3, scale=0.3) for g in "ifgo"]
    ci, cf, co = [case.param("l.wc" + g, 2, 3, 3) for g in "ifo"]
    b = [case.param("l.b" + g, 2, 1, 1) for g in "ifgo"]
    x = case.stream("x", 2, 3, 3)
    h = c = torch.zeros(case.batch, 2, 3, 3, dtype=x.dtype)
    out = []
    for xt in x:
        i, f, g, o = [F.conv2d(xt, wx[k], padding=1) + F.conv2d(h, wh[k], padding=1) + b[k]
                      for k in range(4)]
        i, f = torch.sigmoid(i + ci * c), torch.sigmoid(f + cf * c)
        c = f * c + i * torch.tanh(g)
        h = torch.sigmoid(o + co * c) * torch.tanh(c)
        out.append(h)
    case.upstream("h", torch.stack(out))
    return case


def convolutions(case):
    x, s = case.value("x", 2, 5, 4), case.value("s", 2, 6)
    a = F.conv2d(x, case.param("W", 2, 2, 3, 2), stride=2, padding=1)
    case.upstream("a", a[:, :, :, 0:2], "")
    case.upstream("p", F.max_pool2d(x, 2), "")
    case.upstream("q", F.avg_pool2d(x, 2), "")
    case.upstream("r", F.conv1d(s, case.param("w", 2, 2, 2), padding=1), "")
    return case


def functions(case):
    x, y = case.stream("x", 5), case.stream("y", 5)
    p = case.param("p", 5, scale=0.2, shift=1.5)
    q = x.square() + p
    # F.hardsigmoid's own gradient in double precision is 1/6 rounded to single.
    hard_sigmoid = torch.clamp(3 * x / 6 + 0.5, 0, 1)
    rows = [torch.sigmoid(x), torch.tanh(x), torch.relu(x), F.gelu(x), F.silu(x), F.softplus(x),
            F.softsign(x), hard_sigmoid, F.hardtanh(x), torch.exp(x), torch.log(q),
            torch.sqrt(q), torch.rsqrt(q), torch.abs(x), torch.erf(x), torch.sin(x), torch.cos(x),
            F.leaky_relu(x, 0.2), F.elu(x, 0.7), torch.logaddexp(x, y), torch.minimum(x, y),
            torch.maximum(x, y), torch.clamp(x, -0.5, 0.25), q ** y]
    case.upstream("a", torch.stack(rows, -2))
    case.upstream("b", torch.cat([torch.softmax(x, -1), torch.log_softmax(x * y, -1),
                                  F.layer_norm(x + y, (5,)) / p], -1))
    products = x.unsqueeze(-1) * y.unsqueeze(-2)
    case.upstream("c", torch.stack([
        torch.logsumexp(x, -1), x.max(-1)[0], y.min(-1)[0], x.square().mean(-1),
        (products.sum(-2) * p).sum(-1), products.flatten(-2).max(-1)[0], (x * p).sum(-1),
        torch.where(x[..., 0] > 0, y[..., 1], x[..., 2])], -1))
    return case


def over_time(case):
    x = case.stream("x", 3)
    for b in range(case.batch):
        one = case.one(x, b)
        for name, value in (("s", one.mean(0)), ("m", one.max(0)[0]), ("g", one.min(0)[0]),
                            ("l", torch.logsumexp(one, 0))):
            case.upstream(name, value, "", b)
        case.upstream("r", torch.cumsum(one.square(), 0), b=b)
        windows = [one[max(t - 1, 0):t + 2].max(0)[0] for t in range(len(one))]
        case.upstream("w", torch.stack(windows), b=b)
        none, squares = torch.zeros_like(one[0]), one.square()
        case.upstream("a", torch.stack([one[t + 1:].sum(0) * squares[t] for t in range(len(one))]),
                      b=b)
        case.upstream("b", torch.stack([one[t:].max(0)[0] for t in range(len(one))]), b=b)
        case.upstream("c", torch.stack([squares[:t - 1].mean(0) if t > 1 else none
                                        for t in range(len(one))]), b=b)
    return case


def operations(Case):
    yield normalised(Case("normalised", "Normalised", RAGGED, I=3, H=4))
    yield pooled(Case("pooled", "Pooled", RAGGED, I=3, H=4, O=3, K=3))
    yield decoder(Case("decoder", "Decoder", {"t": [6, 3], "u": [2, 4]}, I=3, D=4, K=3, H=4, O=3))
    yield causal(Case("causal", "Causal", {"t": [5, 3]}, D=4, K=3))
    yield images(Case("images", "Images", {"t": [3, 3]}, C=2, N=2))
    yield convolutions(Case("convolutions", "Convolutions", {"t": [1, 1]}, C=2, N=2))
    yield functions(Case("functions", "Functions", {"t": [3, 2]}, H=5))
    yield over_time(Case("over_time", "OverTime", {"t": [6, 2]}, H=3))


def cases(Case):
    yield from recurrent(Case)
    yield from losses(Case)
    yield from operations(Case)
    yield from through_time(Case)
    yield from on_tensors(Case)
