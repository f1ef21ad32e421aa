#!/usr/bin/env python3
"""Every code of an error or a warning has two tests at least that pin its line, column and text.

    check_codes.py        lists the codes with their tests; exit status 1 where one has fewer

Codes are read from the sources and must be those of docs/errors.md. Tests are files of tests/golden,
and examples of errors.md and commands.md. Standard library only.
"""
import collections
import glob
import os
import re
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
LEAST = 2
OF_TEXTS = {"E-LOOP"}  # of texts that tests read back and rnnc does not: tests/unit has them
CODE = re.compile(r'"([EW]-[A-Z]+)"')
PINNED = re.compile(r"^\S+:(?: \w+:|\d+:\d+: \w+:) .+ \[([EW]-[A-Z]+)\]$", re.M)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def files(*patterns):
    for pattern in patterns:
        yield from sorted(glob.glob(os.path.join(ROOT, pattern)))


def codes_of_sources():
    found = set()
    for path in files("compiler/*.c", "compiler/*/*.c", "grammar/*.[cly]", "backends/*.c",
                      "backends/*/*.c"):
        found |= set(CODE.findall(read(path)))
    return found - OF_TEXTS


def tests_of_codes():
    """code -> the tests that pin it"""
    tests = collections.defaultdict(set)
    for path in files("tests/golden/errors/*.err"):
        for code in PINNED.findall(read(path)):
            tests[code].add(os.path.basename(path))
    for path in files("tests/golden/ast/*.err"):
        for code in re.findall(r"^([EW]-[A-Z]+) \d+:\d+ .", read(path), re.M):
            tests[code].add(os.path.basename(path))
    for page in ("docs/errors.md", "tests/diagnostics/commands.md"):
        text = read(page)
        for block in re.finditer(r"^```\n(.*?)^```$", text, re.S | re.M):
            line = text.count("\n", 0, block.start()) + 1
            for code in PINNED.findall(block.group(1)):
                tests[code].add("%s:%d" % (os.path.basename(page), line))
    return tests


def main():
    codes, tests, wrong = codes_of_sources(), tests_of_codes(), 0
    listed = set(re.findall(r"^\| \[([EW]-[A-Z]+)\]", read("docs/errors.md"), re.M))
    for code in sorted(codes ^ listed):
        print("%s stands in %s alone" % (code, "the sources" if code in codes else "errors.md"))
        wrong += 1
    for code in sorted(codes):
        print("%-10s %3d tests" % (code, len(tests[code])))
        if len(tests[code]) < LEAST:
            print("  fewer than %d" % LEAST)
            wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
