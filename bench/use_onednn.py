"""oneDNN: one layer of LSTM, GRU (reset after the product) or RNN, forward or with gradients.
Settings: the layout that it chooses for the weights, and the plain one."""
import ctypes
import os

from worker import Block, Work, drawn, io_blocks, pointers

GATES = {"LSTM": "ifgo", "GRU": "zrn", "RNN": [""]}
BIASES = {"LSTM": ["bi", "bf", "bg", "bo"], "GRU": ["bz", "br", "bn", "cn"], "RNN": ["b"]}
LIB = None


def lib():
    global LIB
    if LIB is None:
        LIB = ctypes.CDLL(os.environ["BENCH_ONEDNN"])
        LIB.onednn_version.restype = ctypes.c_int64
        LIB.onednn_open.restype = ctypes.c_void_p
    return LIB


def version():
    v = lib().onednn_version()
    return f"oneDNN {v // 10000}.{v // 100 % 100}.{v % 100}"


def settings(case, threads):
    fits = case["cell"] in GATES and len(case["stack"]) == 1
    return ["any", "plain"] if fits and not (case["dense"] and case["O"] > 1) else []


class Gates:
    """The gradient of one matrix out of [inputs][gates][H], as [H][inputs]."""

    def __init__(self, block, inputs, gates, hidden, gate):
        self.of = (block, inputs, gates, hidden, gate)

    def __call__(self):
        block, inputs, gates, hidden, gate = self.of
        source = (ctypes.c_float * block.count).from_address(block.at)
        out = Block(inputs * hidden)
        to = (ctypes.c_float * out.count).from_address(out.at)
        for i in range(inputs):
            start = (i * gates + gate) * hidden
            to[i::inputs] = source[start:start + hidden]
        return out


def prepare(case, setting, threads):
    T, B, I, H = (case[k] for k in "TBIH")
    cell = case["cell"]
    gates, biases = GATES[cell], BIASES[cell]
    w = [drawn("l.W" + g, [H, I]) for g in gates]
    u = [drawn("l.U" + g, [H, H]) for g in gates]
    b = [drawn("l." + n, [H]) for n in biases]
    x, d_y, _ = io_blocks(case)
    y = Block(T * B * H)
    d_x, d_w = Block(x.count), Block(I * len(gates) * H)
    d_u, d_b = Block(H * len(gates) * H), Block(len(biases) * H)
    sizes = (ctypes.c_int64 * 6)(T, B, I, H, len(gates), len(biases))
    p = ctypes.c_void_p
    layer = lib().onednn_open(
        list(GATES).index(cell), sizes, int(case["training"]), int(setting == "plain"),
        pointers(w), pointers(u), pointers(b), p(x.at), p(y.at), p(d_y.at), p(d_x.at), p(d_w.at),
        p(d_u.at), p(d_b.at))
    if not layer:
        return "oneDNN refuses"
    if case["dense"]: # a plain loop behind the layer
        v, d, dense = drawn("d.W", [1, H]), drawn("d.b", [1]), Block(T * B)
        lib().onednn_dense(p(layer), p(y.at), p(v.at), p(d.at), p(dense.at),
                           ctypes.c_int64(T * B), ctypes.c_int64(H))
        y = [y, v, d, dense]
    tensors = {"y": y[-1] if case["dense"] else y}
    if case["training"]:
        tensors["d_x"] = d_x
        for k, g in enumerate(gates):
            tensors["d_l.W" + g] = Gates(d_w, I, len(gates), H, k)
            tensors["d_l.U" + g] = Gates(d_u, H, len(gates), H, k)
        for k, n in enumerate(biases):
            part = Block(H)
            part.at, part.memory = d_b.at + 4 * H * k, d_b.memory
            tensors["d_l." + n] = part
    work = Work(tensors, symbol=ctypes.cast(lib().onednn_run, p), args=pointers([layer]))
    work.kept = (w, u, b, x, y, d_y, d_x, d_w, d_u, d_b)
    return work
