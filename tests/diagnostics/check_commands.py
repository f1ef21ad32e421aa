#!/usr/bin/env python3
"""Messages of command lines: runs every example of commands.md and compares all that rnnc prints.

    check_commands.py RNNC [--write]       --write puts the messages of today into the page

An example is a block with a program, m.rnn, and a block with the command and what it prints; a block
with a command alone runs with the program before it. FILES lie in the folder. Standard library only.
"""
import os
import re
import shlex
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "commands.md")
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
from files import npy_bytes, safetensors_bytes  # noqa: E402

FILES = {
    "x.npy": npy_bytes((3, 2), [0.5] * 6),
    "x4.npy": npy_bytes((4, 2), [0.5] * 8),
    "x33.npy": npy_bytes((3, 3), [0.5] * 9),
    "batch.npy": npy_bytes((3, 2, 2), [0.5] * 12),
    "batch3.npy": npy_bytes((3, 3, 2), [0.5] * 18),
    "empty.npy": npy_bytes((0, 2), []),
    "nobody.npy": npy_bytes((3, 0, 2), []),
    "ints.npy": npy_bytes((3,), [0, 4, 5], "<i4"),
    "labels.npy": npy_bytes((3,), [0, 1, 2], "<i4"),
    "late.npy": npy_bytes((3,), [0, 0, 2], "<i4"),
    "lengths.npy": npy_bytes((2,), [3, 1], "<i4"),
    "lengths3.npy": npy_bytes((3,), [3, 1, 2], "<i4"),
    "negative.npy": npy_bytes((2,), [3, -1], "<i4"),
    "long.npy": npy_bytes((2,), [3, 9], "<i4"),
    "real.npy": npy_bytes((2,), [3, 1]),
    "b.st": safetensors_bytes({"b": ((2,), [1, 2])}),
    "b3.st": safetensors_bytes({"b": ((3,), [1, 2, 3])}),
    "bint.st": safetensors_bytes({"b": ((2,), [1, 2], "<i4")}),
    "more.st": safetensors_bytes({"b": ((2,), [1, 2]), "c": ((1,), [1])}),
    "state.st": safetensors_bytes({"f.h": ((2,), [1, 2]), "f.t": ((), [-1], "<i8")}),
    "states.st": safetensors_bytes({"f.h": ((2, 2), [1] * 4), "g": ((1,), [1])}),
    "stateint.st": safetensors_bytes({"f.h": ((2,), [1, 2], "<i4"), "f.t": ((), [0], "<i8")}),
    "junk.st": b"junk",
    "junk.npy": b"junk",
    "junk.rnn": b"\xff\n",
    "lib.rnn": b"model Lib(x: [2]) -> y: [2] {\n    y = x + nothing\n}\n",
    "old.tune": b"rnnc tuning 1\nmodel M 0123456789abcdef\n",
    "loop.rnn": b'import "loop.rnn"\n',
}
BLOCK = re.compile(r"^```\n(.*?)^```\n", re.S | re.M)


def run(rnnc, source, command):
    """What rnnc prints and its exit status, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, data in FILES.items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        with open(os.path.join(folder, "m.rnn"), "w", encoding="utf-8") as f:
            f.write(source)
        done = subprocess.run([rnnc] + shlex.split(command)[1:], cwd=folder, check=False,
                              stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL)
        left = sorted(set(os.listdir(folder)) - set(FILES) - {"m.rnn"})
    said = done.stderr.decode("utf-8", errors="backslashreplace")
    if done.returncode != 0 and left:
        said += "left: %s\n" % " ".join(left)
    return "$ %s\n%sstatus %d\n" % (command, said, done.returncode)


def main(arguments):
    if not arguments or arguments[1:] not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    rnnc = os.path.abspath(arguments[0])
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    source, count, wrong, out, end = "", 0, 0, [], 0
    for match in BLOCK.finditer(page):
        text = match.group(1)
        if not text.startswith("$ rnnc"):
            source = text
            continue
        count += 1
        prints = run(rnnc, source, text.split("\n", 1)[0][2:])
        if prints != text:
            wrong += 1
            if not arguments[1:]:
                print("--- page\n%s--- rnnc\n%s" % (text, prints))
        out += [page[end:match.start(1)], prints]
        end = match.end(1)
    print("%d examples, %d differ" % (count, wrong))
    if wrong and arguments[1:]:
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write("".join(out) + page[end:])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
