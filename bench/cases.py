"""The cases: models in rnnc's language, their sizes, and what the limit of each counts."""

# A layer's products [rows, columns] that need no state, those that do, activations of one step.
# H: units, I: inputs.
CELLS = {
    "LSTM": ("LSTM[H]", lambda H, I: ([[4 * H, I]], [[4 * H, H]], 5 * H)),
    "GRU": ("GRUAfter[H]", lambda H, I: ([[3 * H, I]], [[3 * H, H]], 3 * H)),
    "RNN": ("Elman[H]", lambda H, I: ([[H, I]], [[H, H]], H)),
    "peephole LSTM": ("PeepholeLSTM[H]", lambda H, I: ([[4 * H, I]], [[4 * H, H]], 5 * H)),
    "multiplicative LSTM": ("MultiplicativeLSTM[H]",
                            lambda H, I: ([[5 * H, I]], [[H, H], [4 * H, H]], 5 * H)),
    "SCRN": ("SCRN[H, H/4]",
             lambda H, I: ([[H + H // 4, I], [H, H // 4]], [[H, H]], H)),
    "LSTM with projection": ("LSTMP[H, H/2]",
                             lambda H, I: ([[4 * H, I]], [[4 * H, H // 2], [H // 2, H]], 5 * H)),
    "random cell": ("Drawn[H]", lambda H, I: ([], [[4 * H, H]], 6 * H)),
}
# The recurrence of program 3 of the generator (tests/random), 256 wide instead of 8.
MODELS = {"random cell": """
model Drawn[H](x[t]: [H] = 0.5) -> h[t]: [H] {
    param K, L, M, N: [H, H] ~ glorot
    state h[t]: [H] = -0.5
    h[t] = 0.25 * (tanh(tanh(K @ h[t-1]) + x[t-1]) * sigmoid(L @ h[t-1])
                   * sigmoid(clip(M @ h[t-1], -2, 2) + h[t-1])
                   - sigmoid(0.5 * (h[t-1] @ N) + h[t-1])) + 0.25 * tanh(h[t-1] * h[t-1])
}
"""}
SHORT = {"random cell": "random", "peephole LSTM": "peephole", "multiplicative LSTM": "mLSTM", "LSTM with projection": "LSTMP"}

PLAIN = """size I = {I}, H = {H}
model M(x[t]: [I]) -> y[t]: [{O}] {{
    use l = {model}
    y[t] = l(x[t])
}}
"""
SQUARE = """
size H = {H}
model M(x[t]: [H]) -> y[t]: [H] {{
    use l = {model}
    y[t] = l(x[t])
}}
"""
DENSE = """size I = {I}, H = {H}
model M(x[t]: [I]) -> y[t]: [1] {{
    use l = {model}
    use d = Dense[1]
    y[t] = d(l(x[t]))
}}
"""
STACK = """size I = {I}, H = {H}
model M(x[t]: [I]) -> y[t]: [{O}] {{
    for k in 0:{layers} {{ use l[k] = {model} }}
    y[t] = {nested}
}}
"""


def counts(cell, inputs, hidden):
    hoisted, recurrent, activations = CELLS[cell][1](hidden, inputs)
    return {"hoisted": hoisted, "recurrent": recurrent, "activations": activations}


def case(cell, hidden, steps, batch, training=False, inputs=None, dense=False, layers=1, bi=False):
    """`stack` names the instances of every layer: a peer takes its weights from there."""
    inputs = hidden if inputs is None else inputs
    name = f"{cell} {hidden}" if inputs == hidden else f"{cell} {inputs}→{hidden}"
    name = f"{layers} × bidirectional {name}" if bi else f"{layers} × {name}" if layers > 1 else name
    name += " + dense" if dense else ""
    key = f"{SHORT.get(cell, cell)}-{hidden}" + (f"x{layers}" if layers > 1 else "")
    out = hidden // 2 if cell == "LSTM with projection" else 2 * hidden if bi else hidden
    words = {"I": inputs, "H": hidden, "O": out, "model": CELLS[cell][0], "layers": layers}
    if layers > 1 or bi:
        words["nested"] = "x[t]"
        for k in range(layers):
            words["nested"] = f"l[{k}]({words['nested']})"
        words["model"] = f"Bi[{cell}, H]" if bi else words["model"]
    template = DENSE if dense else STACK if layers > 1 or bi else PLAIN
    template = SQUARE if cell in MODELS else template
    stack, widths = [], inputs
    totals = []
    for k in range(layers):
        prefix = "l" if layers == 1 and not bi else f"l.{k}"
        stack.append([prefix + ".f", prefix + ".b"] if bi else [prefix])
        totals += [counts(cell, widths, hidden)] * len(stack[-1])
        widths = out
    if dense:
        totals.append({"hoisted": [[1, hidden]], "recurrent": [], "activations": 0})
    return {"name": f"{name}, T {steps:,}, B {batch}",
            "key": f"{key}-T{steps}-B{batch}" + ("-train" if training else ""), "cell": cell,
            "I": inputs, "H": hidden, "T": steps, "B": batch, "O": 1 if dense else out,
            "training": training, "dense": dense, "bi": bi, "stack": stack, "layers": totals,
            "source": MODELS.get(cell, "") + template.format(**words)}


def cases():
    made = [case("LSTM", n, 100, 1) for n in (64, 128, 256, 512, 1024)]
    made += [case("LSTM", 256, 25, 16), case("LSTM", 512, 25, 16), case("LSTM", 1024, 25, 64),
             case("GRU", 512, 100, 1), case("GRU", 1024, 25, 32), case("LSTM", 1536, 50, 1),
             case("GRU", 2816, 10, 1), case("RNN", 256, 100, 1),
             case("LSTM", 40, 44100, 1, inputs=1, dense=True),
             case("LSTM", 8, 44100, 1, inputs=1, dense=True),
             case("LSTM", 16, 44100, 1, inputs=1, dense=True),
             case("LSTM", 64, 44100, 1, inputs=1, dense=True),
             case("LSTM", 1024, 25, 1, inputs=512, layers=3, bi=True)]
    made += [case("LSTM", n, 50, 32, True) for n in (128, 256, 512, 1024)]
    made += [case("LSTM", 256, 100, 1, True), case("GRU", 512, 50, 32, True),
             case("RNN", 256, 50, 32, True)]
    for cell in ("peephole LSTM", "multiplicative LSTM", "SCRN", "LSTM with projection",
                 "random cell"):
        made += [case(cell, 256, 50, 32, True), case(cell, 256, 100, 1, True),
                 case(cell, 256, 100, 1)]
    return made


def bar(case, threads):
    """The least ratio of the best peer's time to ours that we hold ourselves to."""
    training, one = case["training"], case["B"] == 1
    if case["cell"] not in ("LSTM", "GRU", "RNN"):
        return (8 if one else 2.5) if training else 2.2
    if training:
        return 1.3 if one else 1.05
    if len(case["stack"]) > 1:
        return 1.5
    if case["dense"]:
        return 3.5 if threads == 1 else 1.5
    return 1.03 if not one else 1.3 if case["H"] <= 256 else 1.25


def limit_ns(case, machine, threads):
    """The roofline: what needs no state at peak, recurrent products at the slower of peak and
    weight bandwidth, activations, a near barrier a step. `machine` was measured in this run."""
    rate = machine["peak"] * threads
    positions, total = case["T"] * case["B"], 0
    for layer in case["layers"]:
        hoisted = sum(2 * rows * columns for rows, columns in layer["hoisted"])
        products = sum(2 * rows * columns for rows, columns in layer["recurrent"])
        step = products * case["B"] / rate
        if products:
            step = max(step, products * 2 / machine["read"][str(products * 2)])
        total += hoisted * positions / rate + case["T"] * step
        total += layer["activations"] * positions / (machine["tanh"] * threads)
        if threads > 1 and products:
            total += case["T"] * machine["barrier"]
        if case["training"]:
            total += (2 * hoisted + products) * positions / rate + case["T"] * step
    if "one" in machine and threads > 1:
        total = min(total, limit_ns(case, machine["one"], 1))
    return total


def weight_bytes(case):
    """Sizes at which reading is measured."""
    return sorted({sum(4 * rows * columns for rows, columns in layer["recurrent"])
                   for layer in case["layers"] if layer["recurrent"]})
