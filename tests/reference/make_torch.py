#!/usr/bin/env python3
"""Computes torch/: what PyTorch's recurrent layers answer, with seeded random weights.

    make_torch.py [FOLDER]       (default: this folder; rewrites FOLDER/torch and its rows)
"""
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "models"))

import torch

import cases
from tensors import Tensor

SPEC = "reference/torch.rnn"
GATES = {"RNN": [""], "GRU": ["r", "z", "n"], "LSTM": ["i", "f", "g", "o"]}


def ours(t, kind="f"):
    return Tensor(t.shape, t.detach().reshape(-1).tolist(), kind)


def cell_weights(net, layer, direction, instance):
    """One layer's parameters under the names of the cells; the two biases are added where
    only their sum matters (all but the candidate of the GRU, whose second is inside r * ( ))."""
    mark = "_l%d%s" % (layer, "_reverse" if direction else "")
    w, u, b, c = [getattr(net, part + mark) for part in
                  ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    out, gates = {}, GATES[net.mode.split("_")[0]]
    n = net.hidden_size
    for k, gate in enumerate(gates):
        rows = slice(k * n, (k + 1) * n)
        out["%s.W%s" % (instance, gate)] = ours(w[rows])
        out["%s.U%s" % (instance, gate)] = ours(u[rows])
        if net.mode == "GRU" and gate == "n":
            out[instance + ".bn"], out[instance + ".cn"] = ours(b[rows]), ours(c[rows])
        else:
            out["%s.b%s" % (instance, gate)] = ours((b[rows].double() + c[rows].double()).float())
    if getattr(net, "proj_size", 0):
        out[instance + ".Q"] = ours(getattr(net, "weight_hr" + mark))
    return out


def add(table, name, model, net, steps, batch, lengths=None):
    """One case; batch 0 is one sequence without a batch axis."""
    shape = (steps, batch, net.input_size) if batch else (steps, net.input_size)
    x = torch.randn(shape)
    with torch.no_grad():
        if lengths is None:
            y, state = net(x)
        else:
            packed = torch.nn.utils.rnn.pack_padded_sequence(
                x, torch.tensor(lengths), enforce_sorted=False)
            y, state = net(packed)
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=steps)
    both = net.bidirectional
    weights = {}
    for layer in range(net.num_layers):
        for direction in range(2 if both else 1):
            instance = "fb"[direction] if both else "l"
            if model.startswith("Stacked") or model == "BidirectionalLstm":
                instance += ".%d" % layer
            weights.update(cell_weights(net, layer, direction, instance))
    outs = {"y": ours(y)}
    h, c = state if isinstance(state, tuple) else (state, None)
    if both:
        outs["hf_n"], outs["hb_n"] = ours(h[-2]), ours(h[-1])
    else:
        outs["h_n"] = ours(h[-1])
        if c is not None and net.num_layers == 1:
            outs["c_n"] = ours(c[-1])
    sizes = {"I": net.input_size, "H": net.hidden_size}
    if getattr(net, "proj_size", 0):
        sizes["P"] = net.proj_size
    if net.num_layers > 1 or model.startswith("BidirectionalLstm"):
        sizes["L"] = net.num_layers
    ragged = {"t": Tensor((batch,), lengths, "i")} if lengths else None
    table.add("torch/" + name, SPEC, model, weights, {"x": ours(x)}, outs, sizes, lengths=ragged,
              tolerance=2e-6)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else HERE
    torch.manual_seed(20)
    torch.set_num_threads(1)
    table = cases.Table(folder)
    nn = torch.nn
    one_layer = [("tanh", "Tanh", nn.RNN, {}), ("relu", "Relu", nn.RNN, {"nonlinearity": "relu"}),
                 ("gru", "Gru", nn.GRU, {}), ("lstm", "Lstm", nn.LSTM, {}),
                 ("projected", "Projected", nn.LSTM, {"proj_size": 2})]
    for name, model, layer, options in one_layer:
        add(table, name + "_batch", model, layer(3, 5, **options), 17, 3)
        add(table, name + "_one_step", model, layer(4, 1 + 6, **options), 1, 0)
        add(table, name + "_ragged", model, layer(3, 9, **options), 17, 3, [9, 17, 1])
    add(table, "gru_batch_1", "Gru", nn.GRU(1, 6), 17, 1)
    add(table, "stacked_lstm", "StackedLstm", nn.LSTM(3, 6, num_layers=3), 17, 3)
    add(table, "stacked_lstm_sequence", "StackedLstm", nn.LSTM(2, 3, num_layers=2), 17, 0)
    add(table, "stacked_gru_ragged", "StackedGru", nn.GRU(4, 5, num_layers=2), 11, 3, [2, 11, 7])
    add(table, "both_tanh", "BidirectionalTanh", nn.RNN(3, 4, bidirectional=True), 17, 3)
    add(table, "both_lstm_ragged", "BidirectionalLstm",
        nn.LSTM(3, 5, num_layers=1, bidirectional=True), 17, 3, [17, 1, 6])
    add(table, "both_lstm_stacked", "BidirectionalLstm",
        nn.LSTM(4, 5, num_layers=2, bidirectional=True), 17, 3)
    add(table, "both_lstm_stacked_ragged", "BidirectionalLstm",
        nn.LSTM(2, 3, num_layers=3, bidirectional=True), 9, 3, [4, 9, 8])
    table.write(replace="torch/")
    print("%d cases by torch %s" % (len(table.rows), torch.__version__))


if __name__ == "__main__":
    main()
