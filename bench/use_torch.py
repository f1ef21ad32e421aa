"""PyTorch: its own layers eagerly, with and without oneDNN, and traced (TorchScript); any cell as
a loop over steps, eagerly, traced, and with its step compiled (torch.compile). Forward, or forward
and backward with the gradients of weights and inputs."""
import functools

import torch

import own
from worker import Work, drawn, io_blocks

LAYERS = {"LSTM": (torch.nn.LSTM, "ifgo"), "GRU": (torch.nn.GRU, "rzn"),
          "RNN": (torch.nn.RNN, [""])}


class F:
    sigmoid, tanh = staticmethod(torch.sigmoid), staticmethod(torch.tanh)
    split = staticmethod(functools.partial(torch.chunk, dim=-1))
    cat, clip = staticmethod(torch.cat), staticmethod(torch.clamp)


def version():
    return "PyTorch " + torch.__version__


def settings(case, threads):
    if case["cell"] in LAYERS:
        return ["eager", "no oneDNN"] + ([] if case["training"] else ["TorchScript"])
    return ["eager", "TorchScript", "compiled step"]


def tensor(name, shape):
    return torch.from_numpy(drawn(name, shape).numpy(shape).copy())


class Layers(torch.nn.Module):
    """The library's layers, perhaps with a dense one behind them."""

    def __init__(self, case):
        super().__init__()
        kind, gates = LAYERS[case["cell"]]
        I, H = case["I"], case["H"]
        self.rnn = kind(I, H, len(case["stack"]), bidirectional=case["bi"])
        self.dense = torch.nn.Linear(H, case["O"]) if case["dense"] else None
        with torch.no_grad():
            if self.dense:
                self.dense.weight.copy_(tensor("d.W", [case["O"], H]))
                self.dense.bias.copy_(tensor("d.b", [case["O"]]))
            for name, prefix, g, rows in self.parts(case):
                weight = getattr(self.rnn, name)
                mark = {"weight_ih": ".W", "weight_hh": ".U", "bias_ih_l": ".b"}.get(name[:9])
                if mark:
                    shape = [H] + list(weight.shape[1:])
                    weight[rows] = tensor(prefix + mark + g, shape)
                else:
                    weight[rows] = tensor(prefix + ".cn", [H]) if g == "n" else torch.zeros(H)

    def parts(self, case):
        """(name of PyTorch, prefix of ours, gate, its rows)"""
        _, gates = LAYERS[case["cell"]]
        H = case["H"]
        for k, prefixes in enumerate(case["stack"]):
            for prefix, end in zip(prefixes, ("", "_reverse")):
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    for n, g in enumerate(gates):
                        yield f"{kind}_l{k}{end}", prefix, g, slice(n * H, (n + 1) * H)

    def forward(self, x):
        y = self.rnn(x)[0]
        return self.dense(y) if self.dense else y

    def gradients(self, case):
        out = {}
        for name, prefix, g, rows in self.parts(case):
            mark = {"weight_ih": ".W", "weight_hh": ".U", "bias_ih_l": ".b"}.get(name[:9])
            if not mark and g != "n":
                continue
            out[f"d_{prefix}{mark + g if mark else '.cn'}"] = (
                lambda n=name, r=rows: getattr(self.rnn, n).grad[r].numpy())
        return out


class Own(torch.nn.Module):
    """Any cell, a step at a time."""

    def __init__(self, case, compiled):
        super().__init__()
        self.cell, self.batch = own.cell(case), case["B"]
        parts = {}
        for name, leaf, k, n, shape in own.rows(self.cell.leaves):
            parts.setdefault(leaf, []).append(tensor("l." + name, shape))
        for leaf, values in parts.items():
            whole = torch.stack(values) if leaf == "p" else torch.cat(values)
            setattr(self, leaf, torch.nn.Parameter(whole))
        self.step = functools.partial(Own.one, self.cell.step)
        if compiled:
            self.step = torch.compile(self.step, dynamic=False)

    @staticmethod
    def one(step, p, g, s):
        return step(p, F, g, s)

    def forward(self, x):
        p = {leaf: getattr(self, leaf) for leaf in self.cell.leaves}
        s = tuple(torch.full((self.batch, n), self.cell.initial) for n in self.cell.states)
        hoisted, out = self.cell.hoist(p, x, F), []
        many = isinstance(hoisted, tuple)
        for g in zip(*(h.unbind(0) for h in hoisted)) if many else hoisted.unbind(0):
            s, y = self.step(p, g, s)
            out.append(y)
        return torch.stack(out)

    def gradients(self, case):
        return {"d_l." + name: (lambda f=leaf, k=k, n=n:
                                getattr(self, f).grad.reshape(n, -1)[k].numpy())
                for name, leaf, k, n, _ in own.rows(self.cell.leaves)}


def prepare(case, setting, threads):
    torch.set_num_threads(threads)
    T, B, I = (case[k] for k in "TBI")
    if case["T"] > 1000 and setting == "TorchScript" and case["cell"] not in LAYERS:
        return "too many steps to trace"
    x = tensor("x", [T, B, I])
    made = Layers(case) if case["cell"] in LAYERS else Own(case, setting == "compiled step")
    last, onednn = {}, setting != "no oneDNN"
    training = case["training"]
    if not training:
        made.eval()
        for p in made.parameters():
            p.requires_grad_(False)
    function = made
    if setting == "TorchScript":
        function = torch.jit.trace(made, x, check_trace=False)
        function = function if training else torch.jit.freeze(function)

    if not training:
        def call():
            torch.backends.mkldnn.enabled = onednn
            with torch.inference_mode():
                last["y"] = function(x)

        return Work({"y": lambda: last["y"].numpy()}, call=warm(call))

    x.requires_grad_(True)
    d_y = tensor("d_y", [T, B, case["O"]])

    def call():
        torch.backends.mkldnn.enabled = onednn
        x.grad = None
        made.zero_grad(set_to_none=True)
        y = function(x)
        y.backward(d_y)
        last["y"] = y

    tensors = {"y": lambda: last["y"].detach().numpy(), "d_x": lambda: x.grad.numpy()}
    tensors.update(made.gradients(case))
    return Work(tensors, call=warm(call))


def warm(call):
    for _ in range(3): # what compiles does so in the first calls
        call()
    return call
