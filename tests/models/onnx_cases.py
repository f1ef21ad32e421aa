"""The ONNX node tests (one step) and the multi-step cases that ONNX Runtime answered."""
import json
import os

import tensors

GATES = {"RNN": ["i"], "GRU": ["z", "r", "h"], "LSTM": ["i", "o", "f", "c"]}


def _direction(op, instance, w, r, b):
    """The stacked matrices of one direction, cut by gate under the names of onnx.rnn."""
    gates = GATES[op]
    out = {}
    for gate, part in zip(gates, w.split(len(gates))):
        out["%s.W%s" % (instance, gate)] = part
    for gate, part in zip(gates, r.split(len(gates))):
        out["%s.R%s" % (instance, gate)] = part
    names = ["wb" + g for g in gates] + ["rb" + g for g in gates]
    for name, part in zip(names, b.split(2 * len(gates))):
        out["%s.%s" % (instance, name)] = part
    return out


def _case(table, folder, name):
    with open(os.path.join(folder, "case.json")) as f:
        case = json.load(f)
    op, attributes = case["op"], case["attributes"]
    data = {k: tensors.read_npy(os.path.join(folder, v["file"]))
            for part in ("graph_inputs", "graph_outputs") for k, v in case[part].items()}
    hidden = attributes["hidden_size"]
    directions = data["W"].shape[0]
    bias = data.get("B") or tensors.zeros(directions, 2 * len(GATES[op]) * hidden)
    direction = attributes.get("direction", "forward")
    instances = {"forward": "f", "reverse": "b", "bidirectional": "fb"}[direction]
    weights = {}
    for d, instance in enumerate(instances):
        weights.update(_direction(op, instance, data["W"][d], data["R"][d], bias[d]))
    ins = {"x": data["X"]}
    prefix = {"forward": "Forward", "reverse": "Reverse", "bidirectional": "Both"}[direction]
    if "initial_h" in data:
        prefix = "Started"
        ins["h0"], ins["c0"] = data["initial_h"][0], data["initial_c"][0]
    outs = {}
    for d, instance in enumerate(instances):
        mark = instance if directions == 2 else ""
        if "Y" in data:
            outs["y" + mark] = tensors.stack([step[d] for step in
                                              (data["Y"][t] for t in range(data["Y"].shape[0]))])
        for state in "hc":
            if "Y_" + state in data:
                outs["%s%s_n" % (state, mark)] = data["Y_" + state][d]
    linear = "Linear" if attributes.get("linear_before_reset") else ""
    table.add(name, "models/onnx.rnn", prefix + op + linear, weights, ins, outs,
              {"I": data["W"].shape[2], "H": hidden})


def add(table, data):
    for family in ("onnx_rnn_nodes", "onnx_rnn_multistep"):
        folder = os.path.join(data, family)
        for name in sorted(os.listdir(folder)):
            if os.path.isdir(os.path.join(folder, name)):
                _case(table, os.path.join(folder, name), "%s/%s" % (family, name))
