"""The cases: models in rnnc's language, their sizes, and what the limit of each counts."""

CELLS = {
    # name: model of the prelude, gates, biases, activations a unit
    "LSTM": ("LSTM", 4, 5),
    "GRU": ("GRUAfter", 3, 3),
    "RNN": ("Elman", 1, 1),
}


def layer_counts(cell, inputs, hidden):
    """Products [rows, columns] that need no state, those that do, and activations of one step."""
    _, gates, activations = CELLS[cell]
    return {"hoisted": [[gates * hidden, inputs]], "recurrent": [[gates * hidden, hidden]],
            "activations": activations * hidden}


SOURCE = """size I = {I}, H = {H}
model M(x[t]: [I]) -> y[t]: [H] {{
    use l = {model}[H]
    y[t] = l(x[t])
}}
"""


def case(cell, hidden, steps, batch, training=False, inputs=None):
    inputs = hidden if inputs is None else inputs
    name = f"{cell} {hidden}, T {steps}, B {batch}"
    return {"name": name, "key": f"{cell}-{hidden}-T{steps}-B{batch}" + ("-train" if training else ""),
            "cell": cell, "I": inputs, "H": hidden, "T": steps, "B": batch, "O": hidden,
            "training": training,
            "source": SOURCE.format(I=inputs, H=hidden, model=CELLS[cell][0]),
            "layers": [layer_counts(cell, inputs, hidden)]}


def cases():
    forward = [("LSTM", 64, 100, 1), ("LSTM", 128, 100, 1), ("LSTM", 256, 100, 1),
               ("LSTM", 512, 100, 1), ("LSTM", 1024, 100, 1), ("LSTM", 256, 25, 16),
               ("LSTM", 512, 25, 16), ("LSTM", 1024, 25, 64), ("GRU", 512, 100, 1),
               ("GRU", 1024, 25, 32), ("LSTM", 1536, 50, 1), ("GRU", 2816, 10, 1),
               ("RNN", 256, 100, 1)]
    training = [("LSTM", 128, 50, 32), ("LSTM", 256, 50, 32), ("LSTM", 512, 50, 32),
                ("LSTM", 1024, 50, 32), ("LSTM", 256, 100, 1), ("GRU", 512, 50, 32)]
    return [case(*c) for c in forward] + [case(*c, training=True) for c in training]


def limit_ns(case, machine, threads):
    """The roofline: what needs no state at peak, recurrent products at the slower of peak and
    weight bandwidth, activations, a near barrier a step. `machine` was measured in this run."""
    flops_ns = machine["peak"] * threads
    positions, total = case["T"] * case["B"], 0
    for layer in case["layers"]:
        hoisted = sum(2 * rows * columns for rows, columns in layer["hoisted"])
        products = sum(2 * rows * columns for rows, columns in layer["recurrent"])
        total += hoisted * positions / flops_ns
        step = products * case["B"] / flops_ns
        if products:
            step = max(step, products * 2 / machine["read"][str(products * 2)])
        total += case["T"] * step
        total += layer["activations"] * positions / (machine["tanh"] * threads)
        if threads > 1 and products:
            total += case["T"] * machine["barrier"]
        if case["training"]:
            total += (2 * hoisted + products) * positions / flops_ns + case["T"] * step
    return total


def weight_bytes(case):
    """Sizes at which reading is measured."""
    return sorted({sum(4 * rows * columns for rows, columns in layer["recurrent"])
                   for layer in case["layers"] if layer["recurrent"]})
