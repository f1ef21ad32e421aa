"""RTNeural's small nets, the Klon Centaur's gain stage, a Neural Amp Modeler capture."""
import json
import os
import struct

from tensors import Tensor, from_lists, read_npy

SPEC = "models/audio.rnn"


def _json(*path):
    with open(os.path.join(*path)) as f:
        return json.load(f)


def _csv(*path):
    with open(os.path.join(*path)) as f:
        values = [float(line) for line in f if line.strip()]
    return Tensor((len(values), 1), values)


def _wav(path):
    """The samples of a mono 16-bit WAV, full scale 1."""
    with open(path, "rb") as f:
        raw = f.read()
    at = 12
    while raw[at:at + 4] != b"data":
        at += 8 + struct.unpack("<I", raw[at + 4:at + 8])[0]
    count = struct.unpack("<I", raw[at + 4:at + 8])[0] // 2
    values = struct.unpack("<%dh" % count, raw[at + 8:at + 8 + 2 * count])
    return Tensor((count, 1), [v / 32768.0 for v in values])


def dense(name, weights):
    """Keras kernel [in, out] and bias [out] as the prelude's Dense."""
    return {name + ".W": from_lists(weights[0]).t(), name + ".b": from_lists(weights[1])}


def keras_lstm(name, weights):
    out = {}
    stacked = from_lists(weights[0]).t(), from_lists(weights[1]).t(), from_lists(weights[2])
    for letter, part in zip("WUb", stacked):
        for gate, block in zip("ifgo", part.split(4)):
            out["%s.%s%s" % (name, letter, gate)] = block
    return out


def keras_gru(name, weights):
    """reset_after=True: gates z, r, h; the first bias row belongs to the input."""
    out = {}
    for letter, part in zip("WU", (from_lists(weights[0]).t(), from_lists(weights[1]).t())):
        for gate, block in zip("zrn", part.split(3)):
            out["%s.%s%s" % (name, letter, gate)] = block
    inner, outer = [b.split(3) for b in (from_lists(weights[2][0]), from_lists(weights[2][1]))]
    out[name + ".bz"], out[name + ".br"] = inner[0] + outer[0], inner[1] + outer[1]
    out[name + ".bn"], out[name + ".cn"] = inner[2], outer[2]
    return out


def torch_lstm(name, state, layer, prefix):
    """One layer of torch.nn.LSTM: gates i, f, g, o, two biases that add up."""
    w, u, b, c = [from_lists(state["%s.%s_l%d" % (prefix, part, layer)])
                  for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    out = {}
    for letter, part in zip("WUb", (w, u, b + c)):
        for gate, block in zip("ifgo", part.split(4)):
            out["%s.%s%s" % (name, letter, gate)] = block
    return out


def add_rtneural(table, data):
    folder = os.path.join(data, "rtneural")

    def signals(name):
        return ({"x": _csv(folder, name + "_x_python.csv")},
                {"y": _csv(folder, name + "_y_python.csv")})

    layers = [layer["weights"] for layer in _json(folder, "lstm.json")["layers"]]
    weights = {**dense("a", layers[0]), **keras_lstm("l", layers[1]), **dense("out", layers[2])}
    table.add("rtneural/lstm", SPEC, "DenseLSTM", weights, *signals("lstm"))

    layers = [layer["weights"] for layer in _json(folder, "gru_1d.json")["layers"]]
    weights = {**keras_gru("g", layers[0]), **dense("a", layers[1]), **dense("out", layers[2])}
    table.add("rtneural/gru_1d", SPEC, "GRUDense", weights, *signals("gru_1d"))

    state = _json(folder, "lstm_torch.json")
    weights = torch_lstm("l", state, 0, "lstm")
    for k in range(3):
        weights.update(torch_lstm("m.%d" % k, state, k, "lstm2"))
    weights["out.W"] = from_lists(state["dense.weight"])
    weights["out.b"] = from_lists(state["dense.bias"])
    table.add("rtneural/lstm_torch", SPEC, "StackedLSTM", weights, *signals("lstm_torch"))


def add_klon(table, data):
    folder = os.path.join(data, "amp_klon")
    x = _wav(os.path.join(folder, "in_0.wav"))
    for gain in (0, 50, 100):
        layers = [layer["weights"] for layer in _json(folder, "centaur_%d.json" % gain)["layers"]]
        want = read_npy(os.path.join(folder, "golden_centaur_%d_in_0.npy" % gain))
        table.add("amp_klon/centaur_%d" % gain, SPEC, "Klon",
                  {**keras_gru("g", layers[0]), **dense("out", layers[1])},
                  {"x": x}, {"y": want.reshape(len(want.data), 1)})


def add_nam(table, data):
    folder = os.path.join(data, "amp_nam")
    model = _json(folder, "BossLSTM-1x16.nam")
    hidden, flat = model["config"]["hidden_size"], model["weights"]
    at = 0

    def take(*shape):
        nonlocal at
        count = 1
        for d in shape:
            count *= d
        at += count
        return Tensor(shape, flat[at - count:at])

    weights = {}
    w, b = take(4 * hidden, 1 + hidden), take(4 * hidden)
    for gate, rows, bias in zip("ifgo", w.split(4), b.split(4)):
        weights["W" + gate], weights["b" + gate] = rows, bias
    weights["h0"], weights["c0"] = take(hidden), take(hidden)
    weights["V"], weights["d"] = take(1, hidden), take(1)
    if at != len(flat):
        raise ValueError("the .nam file has %d weights, not %d" % (len(flat), at))
    x = read_npy(os.path.join(folder, "guitar_input.npy"))
    want = read_npy(os.path.join(folder, "golden_BossLSTM-1x16.npy"))
    ins, outs = ({"x": x.reshape(len(x.data), 1)}, {"y": want.reshape(len(want.data), 1)})
    table.add("amp_nam/BossLSTM-1x16", SPEC, "NAM", weights, ins, outs, {"H": hidden},
              options=["--dtype=f64"])
    # The original, in single precision, is itself 8.8e-6 from exact evaluation (README.md).
    table.add("amp_nam/BossLSTM-1x16_f32", SPEC, "NAM", weights, ins, outs, {"H": hidden},
              tolerance=2e-5, note="two single-precision programs, each about 1e-5 from exact")
