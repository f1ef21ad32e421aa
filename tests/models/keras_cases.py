"""Keras 2 layer vectors (keras-js): LSTM and SimpleRNN, all 18."""
import json
import os

from tensors import Tensor, zeros

GATES = {"SimpleRNN": [""], "LSTM": ["i", "f", "c", "o"]}


def _tensor(entry):
    return Tensor(entry["shape"], [float(v) for v in entry["data"]])


def _weights(op, arrays):
    """Kernels are [in, gates * units] in Keras, so transposed and cut here."""
    gates, out = GATES[op], {}
    kernel, recurrent = arrays[0].t(), arrays[1].t()
    bias = arrays[2] if len(arrays) > 2 else zeros(kernel.shape[0])
    for name, stacked in (("W", kernel), ("U", recurrent), ("b", bias)):
        for gate, part in zip(gates, stacked.split(len(gates))):
            out["l.%s%s" % (name, gate)] = part
    return out


def _cell(op, attributes):
    if attributes["activation"] == "sigmoid":
        return {"SimpleRNN": "SigmoidRNN", "LSTM": "SigmoidLSTM"}[op]
    return {"SimpleRNN": "SimpleRNN", "LSTM": "HardLSTM"}[op]


def add(table, data):
    folder = os.path.join(data, "kerasjs_layers")
    with open(os.path.join(folder, "cases.json")) as f:
        attributes = {name: case["attrs"] for name, case in json.load(f).items()}
    for op in ("LSTM", "SimpleRNN"):
        with open(os.path.join(folder, op + ".json")) as f:
            vectors = json.load(f)
        for name in sorted(vectors):
            attrs, vector = attributes[name], vectors[name]
            x, want = _tensor(vector["input"]), _tensor(vector["expected"])
            kind, out = "Forward", "sequence" if attrs["return_sequences"] else "final"
            if attrs["stateful"]:
                # A reversed model carries no state from call to call, so the layer's
                # go_backwards is done here; its outputs are in that order already.
                kind = "Stateful"
                x = x.flip() if attrs["go_backwards"] else x
            elif attrs["go_backwards"]:
                # Keras gives the sequence in the order of computation, rnnc in that of time.
                kind = "Backward"
                want = want.flip() if attrs["return_sequences"] else want
            weights = _weights(op, [_tensor(w) for w in vector["weights"]])
            table.add("kerasjs_layers/" + name.replace("recurrent.", ""), "models/keras.rnn",
                      kind + _cell(op, attrs), weights, {"x": x}, {out: want},
                      {"I": x.shape[1], "H": attrs["units"]}, runs=2 if attrs["stateful"] else 1)
