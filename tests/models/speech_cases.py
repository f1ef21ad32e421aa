"""Characters, digits, noise suppression and voice activity: four trained nets."""
import gzip
import json
import os

from tensors import Tensor, read_npy, stack


def _reader(data, folder):
    return lambda name: read_npy(os.path.join(data, folder, name + ".npy"))


def add_charrnn(table, data):
    folder = os.path.join(data, "charrnn_ml5_shakespeare")
    npy = _reader(data, "charrnn_ml5_shakespeare")
    weights = {"E": npy("embedding"), "C": npy("rnnlm_softmax_w").t(), "d": npy("rnnlm_softmax_b")}
    for layer in (0, 1):
        cell = "rnnlm_multi_rnn_cell_cell_%d_basic_lstm_cell_" % layer
        kernel, bias = npy(cell + "weights").t(), npy(cell + "biases")
        for gate, rows, b in zip("ijfo", kernel.split(4), bias.split(4)):
            columns = rows.t()                          # [in + hidden, hidden]
            half = columns.shape[0] - rows.shape[0]
            name = "l%d." % (layer + 1)
            weights[name + "W" + gate] = columns[:half].t()
            weights[name + "U" + gate] = columns[half:].t()
            weights[name + "b" + gate] = b
    with open(os.path.join(folder, "vocab.json")) as f:
        vocabulary = json.load(f)
    with open(os.path.join(folder, "golden_text.txt"), newline="") as f:
        text = f.read()
    symbols = Tensor((len(text),), [vocabulary[c] for c in text], "i")
    table.add("charrnn_ml5_shakespeare/logits", "models/charrnn.rnn", "CharRNN", weights,
              {"w": symbols}, {"z": npy("golden_logits")})


def add_mnist(table, data):
    npy = _reader(data, "tflm_mnist_lstm")
    weights = {"V": npy("fc_W"), "d": npy("fc_b")}
    for gate in "ifco":
        for letter in "WRb":
            weights[letter + gate] = npy("%s_%s" % (letter, gate))
    samples = npy("samples").scale(1 / 255)
    table.add("tflm_mnist_lstm/samples", "models/mnist.rnn", "Digits", weights,
              {"x": samples.swap01()}, {"digit": Tensor((10,), range(10), "i")}, tolerance=0)
    name = "tflm_mnist_lstm/t10k"
    try:
        with gzip.open(os.path.join(data, "mnist_t10k", "images-idx3-ubyte.gz")) as f:
            pixels = f.read()[16:]
        with gzip.open(os.path.join(data, "mnist_t10k", "labels-idx1-ubyte.gz")) as f:
            labels = f.read()[8:]
    except FileNotFoundError:
        table.skip(name, "no data: mnist_t10k")
        return
    count = 500
    images = Tensor((count, 28, 28), [v / 255.0 for v in pixels[:count * 784]])
    table.add(name, "models/mnist.rnn", "Digits", weights, {"x": images.swap01()},
              {"digit": Tensor((count,), labels[:count], "i")}, kind="accuracy", tolerance=0.97,
              note="the first 500 images; upstream's own program reaches 0.978")


def add_rnnoise(table, data):
    npy = _reader(data, "rnnoise_v0.1")
    weights = {}
    for name, ours in (("input_dense", "dense"), ("denoise_output", "to_gains"),
                       ("vad_output", "to_vad")):
        weights[ours + ".W"] = npy(name + "_weights").scale(1 / 256).t()
        weights[ours + ".b"] = npy(name + "_bias").scale(1 / 256)
    for name, ours in (("vad_gru", "voice"), ("noise_gru", "noise"), ("denoise_gru", "denoise")):
        parts = (npy(name + "_weights").t(), npy(name + "_recurrent_weights").t(),
                 npy(name + "_bias"))
        for letter, part in zip("WUb", parts):
            for gate, block in zip("zrn", part.scale(1 / 256).split(3)):
                weights["%s.%s%s" % (ours, letter, gate)] = block
    vad = npy("golden_vad")
    table.add("rnnoise_v0.1/speech", "models/rnnoise.rnn", "RNNoise", weights,
              {"x": npy("golden_features")},
              {"gains": npy("golden_gains"), "vad": vad.reshape(vad.shape[0], 1)},
              note="the C library reads tanh from a table; exact functions differ by 5e-6")


def add_silero(table, data):
    npy = _reader(data, "silero_vad")
    weights = {}
    parts = (npy("lstm_cell.weight_ih"), npy("lstm_cell.weight_hh"),
             npy("lstm_cell.bias_ih") + npy("lstm_cell.bias_hh"))
    for letter, part in zip("WUb", parts):
        for gate, block in zip("ifgo", part.split(4)):
            weights["l.%s%s" % (letter, gate)] = block
    weights["w"] = npy("final_conv.weight").reshape(128)
    weights["b"] = npy("final_conv.bias").reshape()
    state = npy("golden_state")
    steps = [state[t] for t in range(state.shape[0])]
    table.add("silero_vad/speech", "models/silero.rnn", "Silero", weights,
              {"x": npy("lstm_input")},
              {"p": npy("golden_prob"), "h": stack([s[0] for s in steps]),
               "c": stack([s[1] for s in steps])})
