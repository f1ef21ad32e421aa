"""Tensors as files for the tests of the command line, and a call of rnnc. Standard library only."""
import ast
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
RNNC = os.path.abspath(os.environ.get("RNNC", os.path.join(ROOT, "build", "rnnc")))
CODES = {"<f4": "f", "<f8": "d", "<i4": "i", "<i8": "q", "|b1": "?"}
NAMES = {"<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64", "|b1": "BOOL"}


def count(shape):
    n = 1
    for d in shape:
        n *= d
    return n


def npy_bytes(shape, values, dtype="<f4"):
    head = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (dtype, tuple(shape))
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    return (b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() +
            struct.pack("<%d%s" % (count(shape), CODES[dtype]), *values))


def npy_parse(raw):
    """(shape, values, dtype)"""
    size = struct.unpack("<H", raw[8:10])[0]
    head = ast.literal_eval(raw[10:10 + size].decode())
    shape, dtype = head["shape"], head["descr"]
    return shape, list(struct.unpack("<%d%s" % (count(shape), CODES[dtype]), raw[10 + size:])), dtype


def safetensors_bytes(tensors):
    """tensors: name -> (shape, values) or (shape, values, dtype)."""
    head, data = {}, b""
    for name, (shape, values, *dtype) in tensors.items():
        code = dtype[0] if dtype else "<f4"
        block = struct.pack("<%d%s" % (count(shape), CODES[code]), *values)
        head[name] = {"dtype": NAMES[code], "shape": list(shape),
                      "data_offsets": [len(data), len(data) + len(block)]}
        data += block
    text = json.dumps(head).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_parse(raw):
    """name -> (shape, values, dtype)"""
    size = struct.unpack("<Q", raw[:8])[0]
    out = {}
    for name, about in json.loads(raw[8:8 + size]).items():
        if name == "__metadata__":
            continue
        code = {v: k for k, v in NAMES.items()}[about["dtype"]]
        begin, end = about["data_offsets"]
        values = struct.unpack("<%d%s" % (count(about["shape"]), CODES[code]),
                               raw[8 + size + begin:8 + size + end])
        out[name] = (tuple(about["shape"]), list(values), code)
    return out


class Case(unittest.TestCase):
    """A test in a folder of its own."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="rnnc-cli-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        path = self.path(name)
        with open(path, "wb") as f:
            f.write(data if isinstance(data, bytes) else data.encode())
        return path

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def npy(self, name, shape, values, dtype="<f4"):
        return self.write(name, npy_bytes(shape, values, dtype))

    def read_npy(self, name):
        return npy_parse(self.read(name))

    def rnnc(self, *args, status=0, stdin=None, cwd=None, env=None, **more):
        """Runs rnnc in the folder; the exit status must be as asked. Returns (stdout, stderr)."""
        environment = dict(os.environ)
        environment.pop("NO_COLOR", None)
        environment.update(env or {})
        more.setdefault("stdout", subprocess.PIPE)
        done = subprocess.run([RNNC, *args], input=stdin, stderr=subprocess.PIPE,
                              cwd=cwd or self.folder, env=environment, **more)
        err = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, status, "rnnc %s\n%s" % (" ".join(args), err))
        return done.stdout, err

    def fails(self, status, words, *args, **more):
        """The call fails with this status and says these words."""
        out, err = self.rnnc(*args, status=status, **more)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, err)
        self.assertEqual(out or b"", b"")
        return err

    def close(self, got, want, tolerance=1e-6):
        self.assertEqual(len(got), len(want))
        for a, b in zip(got, want):
            self.assertLessEqual(abs(a - b), tolerance * max(1, abs(b)), "%r, not %r" % (got, want))
