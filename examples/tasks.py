"""What the examples of training share: where data lie, arrays as files, calls of rnnc. Standard library
only.

RNNC_DATA (../shared/data) holds the data; BUILD (build) gets everything that is made; RNNC is the
program (BUILD/rnnc)."""
import array
import ast
import json
import os
import shlex
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.environ.get("BUILD", "build")
RNNC = os.environ.get("RNNC", os.path.join(BUILD, "rnnc"))
DATA = os.environ.get("RNNC_DATA", "../shared/data")
TYPES = {"f": "<f4", "i": "<i4"}


def data(*names):
    """The first of these files that is there: of RNNC_DATA, or of what debian.py unpacked."""
    for name in names:
        for folder in (DATA, os.path.join(BUILD, "debian")):
            path = os.path.join(folder, name)
            if os.path.exists(path):
                return path
    print("skipped: %s is not in %s (RNNC_DATA); README.md says where it comes from, and what "
          "examples/debian.py can get" % (names[0], DATA))
    sys.exit(0)


def folder(name):
    path = os.path.join(BUILD, "examples", name)
    os.makedirs(path, exist_ok=True)
    return path


def save(path, shape, values):
    """values: array('f') or array('i') in the order of the shape."""
    head = "{'descr': '%s', 'fortran_order': False, 'shape': %r, }" % (TYPES[values.typecode],
                                                                      tuple(shape))
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    if sys.byteorder == "big":
        values = array.array(values.typecode, values)
        values.byteswap()
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        values.tofile(f)


def load(path):
    """(shape, values)"""
    with open(path, "rb") as f:
        raw = f.read()
    size = struct.unpack("<H", raw[8:10])[0]
    head = ast.literal_eval(raw[10:10 + size].decode())
    values = array.array({v: k for k, v in TYPES.items()}[head["descr"]])
    values.frombytes(raw[10 + size:])
    if sys.byteorder == "big":
        values.byteswap()
    return head["shape"], values


def metadata(path):
    """What a .safetensors file says beside its tensors."""
    with open(path, "rb") as f:
        size = struct.unpack("<Q", f.read(8))[0]
        return json.loads(f.read(size)).get("__metadata__", {})


def sequences_first(rows, steps, width):
    """rows: for each sequence steps * width numbers; the layout [steps, sequences, width]."""
    out = array.array(rows[0].typecode)
    for t in range(steps):
        for row in rows:
            out.extend(row[t * width:(t + 1) * width])
    return out


def rnnc(*args):
    """Runs rnnc as the README says; returns the seconds that it took."""
    command = [RNNC] + [str(a) for a in args]
    print("$ " + " ".join(shlex.quote(c) for c in command), flush=True)
    since = time.monotonic()
    done = subprocess.run(command)
    if done.returncode:
        sys.exit(done.returncode)
    return time.monotonic() - since


def shuffled(items, seed):
    """A permutation that is the same on every machine and version of Python."""
    items, state = list(items), seed * 2 + 1
    for i in range(len(items) - 1, 0, -1):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        j = (state >> 33) % (i + 1)
        items[i], items[j] = items[j], items[i]
    return items


def argmax(values, first, count):
    return max(range(count), key=lambda k: values[first + k])
