#!/usr/bin/env python3
"""Runs every case of one or more tables through `rnnc run` and compares what comes out.

    run.py [--rnnc=build/rnnc] [--backend=interp] [--only=TEXT] [--keep=WHERE] FOLDER ...
           [-- ARG ...]

FOLDER holds a cases.tsv (see cases.py); WHERE keeps the outputs. A case of the kind `close` passes
when every element satisfies |a - b| <= tolerance * max(1, |b|); one of the kind `accuracy` when
the share of equal labels reaches what its row asks. ARGs go to rnnc as they are. Exit status 1 if
a case fails or none ran. Standard library only.
"""
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

import cases
import tensors

TESTS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def distance(got, want):
    """The largest |a - b| / max(1, |b|); infinite if an element is not a number."""
    worst = 0.0
    for a, b in zip(got.data, want.data):
        error = abs(a - b) / max(1.0, abs(b))
        if not error <= worst:
            worst = error if error == error else float("inf")
    return worst


def command(rnnc, backend, folder, case, work, run, extra):
    """One call of rnnc; run counts from 0, and the state goes from each run to the next."""
    line = [rnnc, "run", os.path.join(TESTS, case.spec), "--model=" + case.model,
            "--backend=" + backend] + case.options
    for define in case.defines:
        line += ["-D", define]
    if case.weights != "-":
        line += ["--weights", os.path.join(folder, case.weights)]
    for option, pairs in (("--in", case.ins), ("--lengths", case.lengths)):
        for pair in pairs:
            name, path = pair.split("=", 1)
            line += [option, "%s=%s" % (name, os.path.join(folder, path))]
    if run > 0:
        line += ["--state-in", os.path.join(work, "state%d.safetensors" % (run - 1))]
    if run < case.runs - 1:
        line += ["--state-out", os.path.join(work, "state%d.safetensors" % run)]
    for name, _, _ in case.outs:
        line += ["--out", "%s=%s" % (name, os.path.join(work, name + ".npy"))]
    return line + extra


def judge(folder, case, work):
    """(passed, what to print) from the outputs of the last run."""
    passed, words = True, []
    for name, path, tolerance in case.outs:
        got = tensors.read_npy(os.path.join(work, name + ".npy"))
        want = tensors.read_npy(os.path.join(folder, path))
        if got.shape != want.shape:
            passed = False
            words.append("%s has shape %s, not %s" % (name, list(got.shape), list(want.shape)))
        elif case.kind == "accuracy":
            share = sum(a == b for a, b in zip(got.data, want.data)) / len(want.data)
            passed = passed and share >= tolerance
            words.append("%s %.4f right (>= %g)" % (name, share, tolerance))
        else:
            error = distance(got, want)
            passed = passed and error <= tolerance
            words.append("%s %.1e%s" % (name, error,
                                        "" if error <= tolerance else " > %g" % tolerance))
    return passed, ", ".join(words)


def run_case(rnnc, backend, folder, case, work, extra):
    os.makedirs(work, exist_ok=True)
    for run in range(case.runs):
        line = command(rnnc, backend, folder, case, work, run, extra)
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              errors="replace")
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip().splitlines()
            return False, "exit status %d: %s\n    %s" % (
                done.returncode, words[0] if words else "no message", " ".join(line))
    try:
        return judge(folder, case, work)
    except (OSError, ValueError) as error:
        return False, str(error)


def main(arguments):
    options = {"rnnc": os.path.join(TESTS, "..", "build", "rnnc"), "backend": "interp",
               "only": "", "keep": ""}
    folders, extra = [], []
    for i, argument in enumerate(arguments):
        if argument == "--":
            extra = arguments[i + 1:]
            break
        name, equals, value = argument[2:].partition("=")
        if argument.startswith("--") and equals and name in options:
            options[name] = value
        elif argument.startswith("-"):
            print(__doc__, file=sys.stderr)
            return 2
        else:
            folders.append(argument)
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    counts = {"pass": 0, "FAIL": 0, "skipped": 0}
    with tempfile.TemporaryDirectory() as scratch:
        for folder in folders:
            for case in cases.read_table(os.path.join(folder, "cases.tsv")):
                if options["only"] not in case.name:
                    continue
                if case.kind == "skip":
                    verdict, words = "skipped", case.note
                else:
                    work = os.path.join(options["keep"] or scratch, case.name)
                    passed, words = run_case(options["rnnc"], options["backend"], folder, case,
                                             work, extra)
                    verdict = "pass" if passed else "FAIL"
                    if not passed and case.note != "-":
                        words += " [%s]" % case.note
                counts[verdict] += 1
                print("%-7s %s: %s" % (verdict, case.name, words), flush=True)
    print("%d passed, %d failed, %d skipped" % tuple(counts.values()))
    return 1 if counts["FAIL"] or not counts["pass"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
