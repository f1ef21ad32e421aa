#!/usr/bin/env python3
"""Computes onnx/: what ONNX Runtime's recurrent operators answer, with seeded random weights.

    make_onnx.py [FOLDER]        (default: this folder; rewrites FOLDER/onnx and its rows)
"""
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "models"))

import numpy as np
import onnx
import onnxruntime

import cases
from tensors import Tensor

SPEC = "reference/onnx.rnn"
GATES = {"RNN": [""], "GRU": ["z", "r", "n"], "LSTM": ["i", "o", "f", "g"]}


def ours(a, kind="f"):
    return Tensor(a.shape, a.reshape(-1).tolist(), kind)


def answer(op, arrays, attributes, outputs):
    """One node of `op` by ONNX Runtime; `arrays` are its inputs in order, None where left out."""
    names = ["XWRBSHCP"[i] if a is not None else "" for i, a in enumerate(arrays)]
    given = {n: a for n, a in zip(names, arrays) if a is not None}
    helper = onnx.helper
    node = helper.make_node(op, names, outputs, **attributes)

    def info(name, array=None):
        kind = onnx.TensorProto.INT32 if array is not None and array.dtype == np.int32 \
            else onnx.TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, None if array is None else array.shape)

    graph = helper.make_graph([node], "g", [info(n, a) for n, a in given.items()],
                              [info(n) for n in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, given)


def add(table, rng, name, op, model, sizes, steps, batch, lengths=None, peephole=False, **options):
    """One case; batch 0 is one sequence, which the operator sees as a batch of one."""
    inputs, n = sizes
    gates = GATES[op]
    both = options.get("direction") == "bidirectional"
    directions = 2 if both else 1
    scale = 1.0 / np.sqrt(n)

    def random(*shape):
        return rng.uniform(-2 * scale, 2 * scale, shape).astype(np.float32)

    x = rng.standard_normal((steps, max(batch, 1), inputs)).astype(np.float32)
    w, r = random(directions, len(gates) * n, inputs), random(directions, len(gates) * n, n)
    b = random(directions, 2 * len(gates) * n)
    p = random(directions, 3 * n) if peephole else None
    arrays = [x, w, r, b, None if lengths is None else np.array(lengths, np.int32), None, None, p]
    while arrays[-1] is None:
        arrays.pop()
    outputs = ["Y", "Y_h", "Y_c"] if op == "LSTM" else ["Y", "Y_h"]
    results = dict(zip(outputs, answer(op, arrays, dict(hidden_size=n, **options), outputs)))

    weights = {}
    for d in range(directions):
        instance = "fb"[d] if both else "l"
        for k, gate in enumerate(gates):
            if options.get("input_forget") and gate == "f":
                continue                                # the operator does not read these rows
            rows = slice(k * n, (k + 1) * n)
            more = slice((len(gates) + k) * n, (len(gates) + k + 1) * n)
            weights["%s.W%s" % (instance, gate)] = ours(w[d, rows])
            weights["%s.U%s" % (instance, gate)] = ours(r[d, rows])
            total = (b[d, rows].astype(np.float64) + b[d, more]).astype(np.float32)
            weights["%s.b%s" % (instance, gate)] = ours(total)
        if peephole:
            for k, gate in enumerate("iof"):
                weights["%s.p%s" % (instance, gate)] = ours(p[d, k * n:(k + 1) * n])
    outs = {}
    for d in range(directions):
        mark = "fb"[d] if both else ""
        y = results["Y"][:, d]
        outs["y" + mark] = ours(y if batch else y[:, 0])
        for state in "hc":
            if "Y_" + state in results and not (peephole and state == "c"):
                last = results["Y_" + state][d]
                outs["%s%s_n" % (state, mark)] = ours(last if batch else last[0])
    ragged = {"t": Tensor((batch,), lengths, "i")} if lengths else None
    table.add("onnx/" + name, SPEC, model, weights, {"x": ours(x if batch else x[:, 0])}, outs,
              {"I": inputs, "H": n}, lengths=ragged, tolerance=2e-6)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else HERE
    rng = np.random.default_rng(21)
    table = cases.Table(folder)
    add(table, rng, "gru_batch", "GRU", "Gru", (3, 5), 17, 3, linear_before_reset=0)
    add(table, rng, "gru_sequence", "GRU", "Gru", (4, 8), 17, 0, linear_before_reset=0)
    add(table, rng, "gru_one_step", "GRU", "Gru", (2, 7), 1, 1, linear_before_reset=0)
    add(table, rng, "gru_ragged", "GRU", "Gru", (3, 9), 17, 3, [5, 17, 1], linear_before_reset=0)
    add(table, rng, "both_gru", "GRU", "BidirectionalGru", (3, 5), 17, 3,
        direction="bidirectional", linear_before_reset=0)
    add(table, rng, "both_gru_ragged", "GRU", "BidirectionalGru", (4, 3), 9, 3, [9, 2, 6],
        direction="bidirectional", linear_before_reset=0)
    add(table, rng, "peephole", "LSTM", "Peephole", (3, 6), 17, 3, peephole=True)
    add(table, rng, "coupled", "LSTM", "Coupled", (3, 6), 17, 3, input_forget=1)
    add(table, rng, "softsign", "RNN", "Softsign", (3, 5), 17, 3, activations=["Softsign"])
    table.write(replace="onnx/")
    print("%d cases by onnxruntime %s, onnx %s, numpy %s" % (
        len(table.rows), onnxruntime.__version__, onnx.__version__, np.__version__))


if __name__ == "__main__":
    main()
