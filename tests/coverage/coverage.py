#!/usr/bin/env python3
"""Branch coverage by room, from what gcov has counted.

    coverage.py [--bar=85] [--files=N] [--lines=FILE] BUILD

BUILD was made with --coverage and has run tests. A branch is one way out of a condition, as gcov
numbers them at -O0: `a && b` has four, a switch one for each label. Counts of a line that is
compiled into several objects (headers) are added. Nothing is left out but what is generated
(BUILD/gen), and the tests themselves. `--files` lists the files with the most branches that were
never taken, `--lines` their lines. Exit status 1 below the bar. Standard library only.
"""
import json
import os
import subprocess
import sys


def room(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in ("compiler", "backends") and len(parts) > 2 else parts[0]


def counts(build):
    """(file, line) -> the counts of its branches."""
    found = {}
    data = []
    for folder, _, files in os.walk(os.path.join(build, "obj")):
        data += [os.path.join(folder, name) for name in files if name.endswith(".gcno")]
    for start in range(0, len(data), 40):
        text = subprocess.run(["gcov", "--json-format", "--stdout", "--branch-probabilities"] +
                              data[start:start + 40], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, universal_newlines=True, check=True).stdout
        for line in text.splitlines():
            if not line.startswith("{"):
                continue
            for file in json.loads(line)["files"]:
                path = os.path.normpath(file["file"])
                if path.split("/")[0] not in ("compiler", "backends", "grammar", "runtime"):
                    continue
                for entry in file["lines"]:
                    new = [branch["count"] for branch in entry["branches"] if not branch["throw"]]
                    if not new:
                        continue
                    # One line may stand for several functions of a macro: those are apart.
                    key = (path, entry["line_number"], entry.get("function_name", ""), len(new))
                    old = found.get(key, [0] * len(new))
                    found[key] = [a + b for a, b in zip(old, new)]
    return found


def main(argv):
    bar, most, lines, rest = 0.0, 0, None, []
    for word in argv:
        name, _, value = word.partition("=")
        if name == "--bar":
            bar = float(value)
        elif name == "--files":
            most = int(value)
        elif name == "--lines":
            lines = value
        else:
            rest.append(word)
    if len(rest) != 1:
        raise SystemExit(__doc__)
    rooms, files, missing = {}, {}, {}
    for (path, line, _, _), branches in sorted(counts(rest[0]).items()):
        taken = sum(1 for count in branches if count)
        for table, key in ((rooms, room(path)), (files, path), (rooms, "total")):
            old = table.get(key, (0, 0))
            table[key] = (old[0] + taken, old[1] + len(branches))
        if taken < len(branches):
            missing.setdefault(path, []).append((line, taken, len(branches)))
    if not files:
        raise SystemExit("coverage: %s has no counts" % rest[0])
    for name in sorted(rooms, key=lambda name: (name == "total", name)):
        taken, count = rooms[name]
        print("%-20s %6d of %6d branches  %5.1f %%" % (name, taken, count, 100 * taken / count))
    for path in sorted(files, key=lambda path: files[path][0] - files[path][1])[:most]:
        taken, count = files[path]
        print("  %-38s %5d never taken of %5d" % (path, count - taken, count))
    for line, taken, count in missing.get(lines, []):
        print("%s:%d: %d of %d" % (lines, line, taken, count))
    taken, count = rooms["total"]
    return 1 if 100 * taken < bar * count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
