#!/usr/bin/env python3
"""Runs every example of errors.md and compares what rnnc prints with what the page says.

    check_errors.py RNNC [--write]       --write puts the messages of today into the page

An example is a block with a program, m.rnn, followed by a block with the command (`rnnc check m.rnn`
where none is given) and its messages. Standard library only.
"""
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "errors.md")
PAIR = re.compile(r"```\n((?:model|import|size) [^`]*)```\n```\n(.*?)```\n", re.S)
ALONE = re.compile(r"(?<=\n\n)```\n(\$ rnnc .*?)```\n", re.S)


def write_npy(path, values):
    """Integers as int32, the one array that an example reads."""
    head = "{'descr': '<i4', 'fortran_order': False, 'shape': (%d,), }" % len(values)
    head += " " * (63 - (len(head) + 10) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode())
        f.write(struct.pack("<%di" % len(values), *values))


def run(rnnc, source, said):
    """The second block as it should be."""
    command = said.split("\n", 1)[0] if said.startswith("$ rnnc ") else None
    words = shlex.split(command[7:]) if command else ["check", "m.rnn"]
    with tempfile.TemporaryDirectory() as folder:
        if source is not None:
            with open(os.path.join(folder, "m.rnn"), "w", encoding="utf-8") as f:
                f.write(source)
        write_npy(os.path.join(folder, "w.npy"), [0, 4, 5, 1, 2])
        done = subprocess.run([rnnc] + words, cwd=folder, stderr=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, check=False)
    return (command + "\n" if command else "") + done.stderr.decode("utf-8")


def main(arguments):
    if not arguments or arguments[1:] not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    rnnc = os.path.abspath(arguments[0])
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    examples = [(m.span(2), m.group(1), m.group(2)) for m in PAIR.finditer(page)]
    examples += [(m.span(1), None, m.group(1)) for m in ALONE.finditer(page)]
    wrong = 0
    for (begin, end), source, said in sorted(examples, reverse=True):
        prints = run(rnnc, source, said)
        if prints.rstrip("\n") == said.rstrip("\n"):
            continue
        wrong += 1
        print("line %d\n--- page\n%s\n--- rnnc\n%s" %
              (page.count("\n", 0, begin) + 1, said.rstrip("\n"), prints.rstrip("\n")))
        page = page[:begin] + prints.rstrip("\n") + "\n" + page[end:]
    print("%d examples, %d differ" % (len(examples), wrong))
    if wrong and arguments[1:]:
        with open(PAGE, "w", encoding="utf-8") as f:
            f.write(page)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
