"""Small dense tensors for the conversion scripts, standard library only.

A Tensor is a shape and a flat row-major list. Files: .npy (version 1.0) and .safetensors, both
read and written; float32, float64, int32 and int64 as rnnc takes them.
"""
import array
import ast
import json
import struct
import sys

_FORMATS = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|i1": "b", "|u1": "B", "|b1": "B"}
_WRITTEN = {"f": "<f4", "d": "<f8", "i": "<i4", "q": "<i8"}
_WIDTHS = {"f": "F32", "d": "F64", "q": "I64"}


class Tensor:
    """A shape and its elements in row-major order; `kind` is 'f' or 'i'; 'd'
    and 'q' where a file is to hold float64 or int64."""

    def __init__(self, shape, data, kind="f"):
        self.shape, self.data, self.kind = tuple(shape), list(data), kind
        count = 1
        for d in self.shape:
            count *= d
        if count != len(self.data):
            raise ValueError("%d elements do not fill shape %s" % (len(self.data), self.shape))

    def __add__(self, other):
        if self.shape != other.shape:
            raise ValueError("shapes %s and %s differ" % (self.shape, other.shape))
        return Tensor(self.shape, [a + b for a, b in zip(self.data, other.data)])

    def __getitem__(self, i):
        """Entry i of the first dimension, or a slice of it."""
        step = len(self.data) // self.shape[0]
        if isinstance(i, slice):
            a, b, _ = i.indices(self.shape[0])
            return Tensor((b - a,) + self.shape[1:], self.data[a * step:b * step], self.kind)
        return Tensor(self.shape[1:], self.data[i * step:(i + 1) * step], self.kind)

    def reshape(self, *shape):
        return Tensor(shape, self.data, self.kind)

    def scale(self, s):
        return Tensor(self.shape, [s * a for a in self.data])

    def t(self):
        """A matrix transposed."""
        n, m = self.shape
        return Tensor((m, n), [self.data[i * m + j] for j in range(m) for i in range(n)], self.kind)

    def swap01(self):
        """The first two dimensions exchanged ([B, T, ...] to [T, B, ...])."""
        return stack([stack([self[i][j] for i in range(self.shape[0])])
                      for j in range(self.shape[1])])

    def flip(self):
        """The first dimension in reverse order."""
        return stack([self[i] for i in reversed(range(self.shape[0]))])

    def split(self, n):
        """The first dimension cut in n equal parts (the gates of a stacked matrix)."""
        k = self.shape[0] // n
        return [self[i * k:(i + 1) * k] for i in range(n)]


def stack(parts):
    return Tensor((len(parts),) + parts[0].shape, [v for p in parts for v in p.data], parts[0].kind)


def zeros(*shape):
    count = 1
    for d in shape:
        count *= d
    return Tensor(shape, [0.0] * count)


def from_lists(rows, kind="f"):
    """A tensor from nested lists of numbers."""
    shape, level = [], rows
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0]

    def leaves(x):
        if isinstance(x, list):
            for y in x:
                yield from leaves(y)
        else:
            yield x
    return Tensor(shape, leaves(rows), kind)


def read_npy(path):
    with open(path, "rb") as f:
        raw = f.read()
    if raw[:6] != b"\x93NUMPY" or raw[6] != 1:
        raise ValueError("%s is not a .npy file of version 1" % path)
    size = struct.unpack("<H", raw[8:10])[0]
    head = ast.literal_eval(raw[10:10 + size].decode("latin-1"))
    if head["fortran_order"] or head["descr"] not in _FORMATS:
        raise ValueError("%s: %s is not supported" % (path, head))
    values = array.array(_FORMATS[head["descr"]])
    values.frombytes(raw[10 + size:])
    if sys.byteorder == "big":
        values.byteswap()
    return Tensor(head["shape"], values, "f" if "f" in head["descr"] else "i")


def _bytes(t):
    values = array.array(t.kind, t.data)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def write_npy(path, t):
    shape = repr(tuple(t.shape))
    head = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (_WRITTEN[t.kind], shape)
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode("latin-1"))
        f.write(_bytes(t))


def write_safetensors(path, tensors):
    """`tensors` maps names to Tensors, written as float32 unless their kind is 'd' or 'q'."""
    head, body = {}, b""
    for name in sorted(tensors):
        kind = tensors[name].kind if tensors[name].kind in "dq" else "f"
        data = _bytes(Tensor(tensors[name].shape, tensors[name].data, kind))
        head[name] = {"dtype": _WIDTHS[kind], "shape": list(tensors[name].shape),
                      "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


def read_safetensors(path):
    """Names to Tensors."""
    with open(path, "rb") as f:
        raw = f.read()
    size = struct.unpack("<Q", raw[:8])[0]
    tensors, kinds = {}, {width: kind for kind, width in _WIDTHS.items()}
    for name, about in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        kind = kinds[about["dtype"]]
        begin, end = about["data_offsets"]
        values = array.array(kind)
        values.frombytes(raw[8 + size + begin:8 + size + end])
        if sys.byteorder == "big":
            values.byteswap()
        tensors[name] = Tensor(about["shape"], values, kind)
    return tensors
