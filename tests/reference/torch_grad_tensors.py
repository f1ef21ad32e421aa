"""More of what PyTorch differentiates for grads/: operations on tensors of up to 3 dimensions."""
import torch
import torch.nn.functional as F


def shapes(case):
    x, s, v = case.stream("x", 2, 3), case.stream("s"), case.stream("v", 3)
    c, w = case.stream("c", 2, 3, 4), case.labels("w", 0, 4)
    A, P = case.param("A", 3, 2), case.param("P", 2, 3, 4)
    q, z = case.param("q", 4), case.param("z", shift=1.0)
    for b in range(case.batch):
        out = {name: [] for name in "abdefghk"}
        ones = [case.one(tensor, b) for tensor in (x, s, v, c, w)]
        for xt, st, vt, ct, wt in zip(*ones):
            out["a"].append(xt @ A + A.T @ xt.T)
            out["b"].append((z * xt).T + vt[:, None] * xt[:, 1][None, :] - st)
            out["d"].append(P[:, :, wt] * xt + ct[:, :, wt] / (2 + P[1, 0:2, 2:3].square()) +
                            (vt * st)[None, :])
            out["e"].append(torch.cat([vt @ A, A @ xt[:, 2], torch.stack([
                st, q[wt], xt.sum() * z, ct.square().mean(), vt[2]])]))
            out["f"].append(torch.cat([xt * z, st * xt[1:2], q[1:4][None, :]]))
            out["g"].append(torch.softmax(ct * z, -1) + torch.log_softmax(P, -1) * st +
                            F.layer_norm(ct + P, (4,)))
            out["h"].append(torch.cat([ct.max(2)[0][0], ct.min(1)[0][1], ct.sum(0)[:, 3],
                                       (P * ct).mean(2)[1][0:2]]))
            clipped = torch.minimum(torch.maximum(vt, -z * torch.ones_like(vt)), xt[0].square())
            out["k"].append(clipped.sum() + torch.logsumexp(ct.reshape(6, 4), -1)[4] +
                            F.mse_loss(xt, xt * st) +
                            F.binary_cross_entropy_with_logits(xt * z, torch.sigmoid(xt)))
        for name, values in out.items():
            case.upstream(name, torch.stack(values), b=b)
    return case


def joined(case):
    x, y, m = case.stream("x", 2), case.value("y", 6), case.value("m", 2)
    w = case.param("W", 3, 6)
    losses = []
    for b in range(case.batch):
        one = x[:, b]
        z = w @ (one * m[b]).reshape(-1) + (one[:, 0] * one[:, 1]).max() * w[:, 0]
        n = m[b].mean() * (one.reshape(-1) @ y[b])
        losses.append(F.binary_cross_entropy_with_logits(z, torch.sigmoid(y[b, 0:3])))
        case.upstream("z", z, "", b)
        case.upstream("n", n.expand(3), b=b)
    case.loss(case.reduce(losses))
    return case


def on_tensors(Case):
    yield shapes(Case("shapes", "Shapes", {"t": [2, 3]}))
    yield joined(Case("joined", "Joined", {"t": [3, 3]}))
