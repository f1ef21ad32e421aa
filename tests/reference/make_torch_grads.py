#!/usr/bin/env python3
"""Computes grads/: losses and gradients by PyTorch in double precision, of grads.rnn's models.

    make_torch_grads.py [--single] [FOLDER]     (default: the folder grads beside this file)

Weights and inputs are seeded and exact in single precision; what is expected is stored in double.
--single writes nothing: it computes the same in single precision and says how far that is from
double, by the measure of run_grads.py. The cases themselves are in torch_grad_cases.py.
"""
import os
import shutil
import sys
import zlib

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "models"))

import torch

import grad_files
import tensors
from tensors import Tensor

GATES = {"RNN": [""], "GRU": ["r", "z", "n"], "LSTM": ["i", "f", "g", "o"]}


def ours(t, kind="d"):
    return Tensor(t.shape, t.detach().reshape(-1).tolist(), kind)


class Case:
    """One model, its tensors, and what is differentiated: a loss, and outputs times given numbers.

    `axes` maps a time axis to its lengths, one a sequence; one number if there is no batch. Tensors
    are [axes ..., batch, ...]; what lies behind the end of a sequence is poisoned in the files.
    """
    real = torch.float64

    def __init__(self, name, model, axes, options=(), divisor="-", **sizes):
        self.name, self.model, self.axes = name, model, axes
        self.options, self.divisor, self.sizes = options, divisor, sizes
        self.lengths = {k: [v] if isinstance(v, int) else v for k, v in axes.items()}
        self.batched = not isinstance(next(iter(axes.values())), int)
        self.batch = len(next(iter(self.lengths.values())))
        self.params, self.layers, self.inputs, self.files = {}, [], {}, {}
        self.total = torch.zeros((), dtype=self.real)
        self.states, self.loss_value = {}, None
        torch.manual_seed(zlib.crc32(name.encode()))

    def longest(self, axis):
        return max(self.lengths[axis])

    def draw(self, *shape, scale=1.0):
        return (torch.randn(shape) * scale).to(self.real)

    def shape(self, axes, shape):
        batch = [self.batch] if self.batched else []
        return [self.longest(axis) for axis in axes] + batch + list(shape)

    # ---- What goes in ---------------------------------------------------------------------------

    def param(self, name, *shape, scale=0.6, shift=0.0):
        values = (torch.randn(shape) * scale + shift).to(self.real)
        self.params[name] = values.requires_grad_()
        return self.params[name]

    def params_of(self, names, *shape, instance=""):
        """Parameters of equal shape, by their names: {"Wi": ...}."""
        return {name: self.param(instance + name, *shape) for name in names.split()}

    def layer(self, module, instances):
        """A module of torch.nn; `instances` are the prefixes of our names, layer by layer and of
        each layer forward first. The second bias is 0 where only the sum of both counts."""
        module.to(self.real)
        n, gru = module.hidden_size, module.mode == "GRU"
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(torch.randn(parameter.shape) * 0.6)
                if name.startswith("bias_hh"):
                    parameter[:2 * n if gru else None] = 0
        self.layers.append((module, instances))
        return module

    def stream(self, name, *shape, axes="t"):
        self.inputs[name] = (axes, self.draw(*self.shape(axes, shape)).requires_grad_())
        return self.inputs[name][1]

    def targets(self, name, *shape, axes="t"):
        """Reals in (0, 1)."""
        values = torch.rand(self.shape(axes, shape)).to(self.real)
        self.inputs[name] = (axes, values.requires_grad_())
        return self.inputs[name][1]

    def value(self, name, *shape):
        return self.stream(name, *shape, axes="")

    def labels(self, name, low, high, axes="t"):
        values = torch.randint(low, high, self.shape(axes, ()))
        self.inputs[name] = (axes, values)
        return values

    # ---- Sequences of a batch --------------------------------------------------------------------

    def packed(self, x):
        if not self.batched or len(set(self.lengths["t"])) == 1:
            return x
        return torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(self.lengths["t"]),
                                                       enforce_sorted=False)

    def padded(self, y):
        if not isinstance(y, torch.nn.utils.rnn.PackedSequence):
            return y
        return torch.nn.utils.rnn.pad_packed_sequence(y, total_length=self.longest("t"))[0]

    def mask(self, axes="t"):
        """True at the positions that a sequence has, [axes ..., batch]."""
        shape = [self.longest(axis) for axis in axes] + [self.batch]
        inside = torch.ones(shape, dtype=torch.bool)
        for k, axis in enumerate(axes):
            for b, length in enumerate(self.lengths[axis]):
                inside.select(-1, b).narrow(k, length, shape[k] - length).fill_(False)
        return inside if self.batched else inside.squeeze(-1)

    def one(self, tensor, b, axes="t"):
        """Sequence b alone, cut to its length."""
        if self.batched:
            tensor = tensor.select(len(axes), b)
        for k, axis in enumerate(axes):
            tensor = tensor.narrow(k, 0, self.lengths[axis][b])
        return tensor

    # ---- What is differentiated ------------------------------------------------------------------

    def upstream(self, name, output, axes="t", b=None):
        """Starts from random gradients of this output; with b, of sequence b of it."""
        if name not in self.files:
            shape = output.shape if b is None else self.shape(axes, output.shape[len(axes):])
            self.files[name] = (axes, self.draw(*shape))
        given = self.files[name][1]
        if b is None:
            inside = self.mask(axes).reshape(list(output.shape[:len(axes) + self.batched]) +
                                             [1] * (output.dim() - len(axes) - self.batched))
            self.total = self.total + (output * given * inside).sum()
        else:
            self.total = self.total + (output * self.one(given, b, axes)).sum()

    def loss(self, value):
        self.loss_value = value if self.loss_value is None else self.loss_value + value

    def reduce(self, losses):
        """The loss of the program from one number a sequence."""
        total = sum(losses)
        return total if "--reduce=sum" in self.options else total / len(losses)

    # ---- Gradients under our names ---------------------------------------------------------------

    def from_layers(self, weights, grads):
        for module, instances in self.layers:
            directions = 2 if module.bidirectional else 1
            n, kind = module.hidden_size, module.mode.split("_")[0]
            for place, instance in enumerate(instances):
                mark = "_l%d%s" % (place // directions, "_reverse" if place % directions else "")
                for k, gate in enumerate(GATES[kind]):
                    names = [("W" + gate, "weight_ih"), ("U" + gate, "weight_hh"),
                             ("b" + gate, "bias_ih")]
                    if kind == "GRU" and gate == "n":
                        names.append(("cn", "bias_hh"))
                    for our, theirs in names:
                        parameter = getattr(module, theirs + mark)
                        weights[instance + our] = parameter[k * n:(k + 1) * n]
                        grads[instance + our] = parameter.grad[k * n:(k + 1) * n]
                if getattr(module, "proj_size", 0):
                    parameter = getattr(module, "weight_hr" + mark)
                    weights[instance + "Q"], grads[instance + "Q"] = parameter, parameter.grad

    def gradients(self):
        """(weights, their gradients, gradients of inputs), by our names."""
        total = self.total if self.loss_value is None else self.total + self.loss_value
        total.backward()
        weights = dict(self.params)
        grads = {name: p.grad for name, p in self.params.items()}
        self.from_layers(weights, grads)
        ins = {name: x.grad for name, (axes, x) in self.inputs.items() if x.is_floating_point()}
        for name, grad in ins.items():
            axes, x = self.inputs[name]
            outside = ~self.mask(axes)
            if grad is None or (axes and grad[outside].any()):
                raise ValueError("%s: %s has gradients where it is not read" % (self.name, name))
        if any(grad is None for grad in grads.values()):
            raise ValueError("%s: a parameter has no gradient" % self.name)
        return weights, grads, ins

    def poisoned(self, axes, values):
        """NaN, or an integer out of its range, behind the end of each sequence."""
        values = values.detach().clone()
        if axes:
            values[~self.mask(axes)] = float("nan") if values.is_floating_point() else -7
        return ours(values, "f" if values.is_floating_point() else "i")

    def write(self, folder):
        weights, grads, ins = self.gradients()
        where = os.path.join(folder, self.name)
        os.makedirs(where)

        def path(name):
            return os.path.join(where, name)

        for file, values, kind in (("weights", weights, "f"), ("want_grads", grads, "d"),
                                   ("want_in_grads", ins, "d")):
            if values:
                tensors.write_safetensors(path(file + ".safetensors"),
                                          {k: ours(v, kind) for k, v in values.items()})
        for name, (axes, values) in self.inputs.items():
            tensors.write_npy(path("in_%s.npy" % name), self.poisoned(axes, values))
        for name, (axes, values) in self.files.items():
            tensors.write_npy(path("up_%s.npy" % name), self.poisoned(axes, values))
        for axis, lengths in self.lengths.items():
            if self.batched and len(set(lengths)) > 1:
                tensors.write_npy(path("len_%s.npy" % axis), Tensor((self.batch,), lengths, "i"))
        if self.states:
            tensors.write_safetensors(path("state.safetensors"), self.states)
        if self.loss_value is not None:
            tensors.write_npy(path("want_loss.npy"), ours(self.loss_value))
        return [self.name, self.model, " ".join("%s=%d" % s for s in self.sizes.items()) or "-",
                " ".join(self.options) or "-", self.divisor]


def single():
    """How far PyTorch's own single precision is from double, with two floors."""
    import torch_grad_cases
    results = []
    for real in (torch.float64, torch.float32):
        Case.real = real
        results.append({case.name: case.gradients()[1:] for case in torch_grad_cases.cases(Case)})
    for name, doubles in results[0].items():
        words = []
        for floor in grad_files.FLOOR.values():
            errors = [(grad_files.distance(ours(singles[tensor]), ours(one[tensor]), floor), tensor)
                      for one, singles in zip(doubles, results[1][name]) for tensor in one]
            words.append("floor %g: %.1e %s" % (floor, *max(errors)))
        print("%-28s %s" % (name, ", ".join(words)))


def main():
    torch.set_num_threads(1)
    if "--single" in sys.argv:
        return single()
    import torch_grad_cases
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "grads")
    shutil.rmtree(folder, ignore_errors=True)
    rows = [case.write(folder) for case in torch_grad_cases.cases(Case)]
    grad_files.write_table(folder, rows)
    print("%d cases by torch %s" % (len(rows), torch.__version__))


if __name__ == "__main__":
    main()
