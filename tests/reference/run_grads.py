#!/usr/bin/env python3
"""Holds `rnnc grad` to the losses and gradients of grads/, which PyTorch computed.

    run_grads.py [--rnnc=build/rnnc] [--backend=interp] [--dtype=f32] [--only=TEXT] [--keep=WHERE]
                 [FOLDER] [-- ARG ...]
    run_grads.py --differences [--rnnc=build/rnnc] [--only=TEXT] [FOLDER]

A tensor passes when |a - b| <= tolerance * max(|a|, |b|, floor * G) for all elements, G being the
largest expected gradient of the tensor; the loss when |a - b| <= tolerance * max(1, |b|). All that
is expected must come, and nothing else. --differences holds the stored numbers to the interpreter,
without `rnnc grad`: losses by `rnnc run` in double precision, gradients along a random direction of
each tensor by central differences. Exit status 1 if a case fails or none ran; where `rnnc grad`, or
an option, is not built yet, the cases are skipped. Standard library only.
"""
import os
import random
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "models"))

import grad_files
import tensors

SPEC = os.path.join(HERE, "grads.rnn")
TOLERANCE = {"f32": 1e-5, "f64": 1e-10}
# Exit status and message of what is refused because it is not there yet.
NOT_BUILT = [(2, r"^rnnc: error: .* not built yet$")]
OPTIONS = {"rnnc": os.path.join(HERE, "..", "..", "build", "rnnc"), "backend": "interp",
           "dtype": "f32", "only": "", "keep": "", "differences": ""}


class Failure(Exception):
    pass


class NotBuilt(Exception):
    pass


def named(folder, prefix):
    """NAME=PATH of the files prefixNAME.npy of a folder."""
    return ["%s=%s" % (name[len(prefix):-4], os.path.join(folder, name))
            for name in sorted(os.listdir(folder)) if name.startswith(prefix)]


def call(line):
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace")
    words = (done.stderr or done.stdout).strip()
    for status, message in NOT_BUILT:
        if done.returncode == status and re.search(message, words, re.MULTILINE):
            raise NotBuilt(re.search(message, words, re.MULTILINE).group())
    if done.returncode != 0:
        raise Failure("exit status %d: %s\n    %s" % (done.returncode, words, " ".join(line)))


def start(command, case, folder, options):
    """The part of a call that is the same for `grad` and `run`."""
    line = [options["rnnc"], command, SPEC, "--model=" + case["model"],
            "--backend=" + options["backend"], "--dtype=" + options["dtype"]]
    for define in case["defines"].split():
        line += ["-D", define] if define != "-" else []
    given = case["options"].split() if case["options"] != "-" else []
    if not any(option.startswith("--mode=") for option in given):
        line.append("--mode=train")
    line += given
    for pair in named(folder, "len_"):
        line += ["--lengths", pair]
    state = os.path.join(folder, "state.safetensors")
    if os.path.exists(state):
        line += ["--state-in", state]
    return line


# ---- Through rnnc grad ---------------------------------------------------------------------------

def compare(got, want, dtype):
    """The largest distance over all tensors and where it is; raises where a tensor is wrong."""
    for what, names in (("missing", want.keys() - got.keys()),
                        ("surplus", got.keys() - want.keys())):
        if names:
            raise Failure("%s: %s" % (what, " ".join(sorted(names))))
    worst = (0.0, "")
    for name in want:
        if tuple(got[name].shape) != tuple(want[name].shape):
            raise Failure("%s has shape %s, not %s" % (name, got[name].shape, want[name].shape))
        error = grad_files.distance(got[name], want[name], grad_files.FLOOR[dtype])
        worst = max(worst, (error, name))
    if worst[0] > TOLERANCE[dtype]:
        raise Failure("%s is wrong by %.1e > %g" % (worst[1], worst[0], TOLERANCE[dtype]))
    return worst[0]


def compare_loss(folder, path, tolerance):
    """Words on the loss; none where the model has no loss."""
    want = os.path.join(folder, "want_loss.npy")
    if not os.path.exists(want):
        return []
    want, got = tensors.read_npy(want), tensors.read_npy(path)
    if got.shape != ():
        raise Failure("the loss has shape %s" % list(got.shape))
    error = abs(got.data[0] - want.data[0]) / max(1.0, abs(want.data[0]))
    if not error <= tolerance:
        raise Failure("the loss is %r, not %r" % (got.data[0], want.data[0]))
    return ["loss %.1e" % error]


def by_grad(case, folder, work, options, extra):
    dtype = options["dtype"]
    line = start("grad", case, folder, options)
    weights = os.path.join(folder, "weights.safetensors")
    line += ["--weights", weights] if os.path.exists(weights) else []
    for option, prefix in (("--in", "in_"), ("--upstream", "up_")):
        for pair in named(folder, prefix):
            line += [option, pair]
    wanted = {"--grads": "want_grads.safetensors", "--in-grads": "want_in_grads.safetensors"}
    wanted = {option: name for option, name in wanted.items()
              if os.path.exists(os.path.join(folder, name))}
    for option in wanted:
        line += [option, os.path.join(work, option[2:])]
    if os.path.exists(os.path.join(folder, "want_loss.npy")):
        line += ["--loss", os.path.join(work, "loss")]
    call(line + extra)
    words = compare_loss(folder, os.path.join(work, "loss"), TOLERANCE[dtype])
    for option, name in wanted.items():
        error = compare(tensors.read_safetensors(os.path.join(work, option[2:])),
                        tensors.read_safetensors(os.path.join(folder, name)), dtype)
        words.append("%s %.1e" % (option[2:], error))
    return ", ".join(words)


# ---- By differences ------------------------------------------------------------------------------

class Differences:
    """The loss and the outputs times their upstream gradients as a function of all tensors."""

    def __init__(self, case, folder, work, options):
        self.case, self.folder, self.work = case, folder, work
        self.options = dict(options, dtype="f64", backend="interp")
        path = os.path.join(folder, "weights.safetensors")
        self.weights = tensors.read_safetensors(path) if os.path.exists(path) else {}
        self.ins = {pair.split("=")[0]: tensors.read_npy(pair.split("=", 1)[1])
                    for pair in named(folder, "in_")}
        self.ups = {pair.split("=")[0]: tensors.read_npy(pair.split("=", 1)[1])
                    for pair in named(folder, "up_")}
        self.loss = os.path.exists(os.path.join(folder, "want_loss.npy"))

    def value(self):
        line = start("run", self.case, self.folder, self.options)
        if self.weights:
            path = os.path.join(self.work, "weights")
            tensors.write_safetensors(path, self.weights)
            line += ["--weights", path]
        for name, tensor in self.ins.items():
            path = os.path.join(self.work, name + ".npy")
            tensors.write_npy(path, tensor)
            line += ["--in", "%s=%s" % (name, path)]
        for name in self.ups:
            line += ["--out", "%s=%s" % (name, os.path.join(self.work, "out_" + name))]
        loss = os.path.join(self.work, "loss")
        call(line + (["--loss", loss] if self.loss else []))
        total = tensors.read_npy(loss).data[0] if self.loss else 0.0
        for name, given in self.ups.items():
            got = tensors.read_npy(os.path.join(self.work, "out_" + name))
            if got.shape != given.shape:
                raise Failure("%s has shape %s, not %s" % (name, got.shape, given.shape))
            total += sum(a * b for a, b in zip(got.data, given.data) if b == b)
        return total

    def along(self, group, name, direction, step):
        before = group[name]
        group[name] = tensors.Tensor(before.shape, [a + step * d for a, d in
                                                    zip(before.data, direction)], "d")
        value = self.value()
        group[name] = before
        return value


def by_differences(case, folder, work, options, extra):
    d = Differences(case, folder, work, options)
    d.value()
    words = compare_loss(folder, os.path.join(work, "loss"), 1e-12)
    draws, worst, count = random.Random(case["name"]), 0.0, 0
    for file, group in (("grads", d.weights), ("in_grads", d.ins)):
        path = os.path.join(folder, "want_%s.safetensors" % file)
        wanted = tensors.read_safetensors(path) if os.path.exists(path) else {}
        expected = {k for k, v in group.items() if v.kind != "i"}
        if set(wanted) != expected:
            raise Failure("%s has %s" % (file, sorted(set(wanted) ^ expected)))
        for name, grad in wanted.items():
            if name == case["divisor"]:
                continue
            direction = [draws.choice((-1.0, 1.0)) for _ in grad.data]
            at = [d.along(group, name, direction, step) for step in (-2e-4, -1e-4, 1e-4, 2e-4)]
            got = (at[0] - at[3] + 8 * (at[2] - at[1])) / 1.2e-3
            want = sum(a * b for a, b in zip(grad.data, direction))
            scale = max([1e-3, abs(want)] + [abs(a) for a in grad.data])
            worst, count = max(worst, abs(got - want) / scale), count + 1
            if not abs(got - want) <= 1e-8 * scale:
                raise Failure("%s: by differences %.10g, stored %.10g" % (name, got, want))
    return ", ".join(words + ["%d tensors %.1e" % (count, worst)])


def main(arguments):
    options, folder, extra = dict(OPTIONS), os.path.join(HERE, "grads"), []
    for i, argument in enumerate(arguments):
        if argument == "--":
            extra = arguments[i + 1:]
            break
        name, equals, value = argument[2:].partition("=")
        if argument == "--differences":
            options[name] = "yes"
        elif argument.startswith("--") and equals and name in options:
            options[name] = value
        elif argument.startswith("-"):
            print(__doc__, file=sys.stderr)
            return 2
        else:
            folder = argument
    way = by_differences if options["differences"] else by_grad
    counts = {"pass": 0, "FAIL": 0, "skipped": 0}
    with tempfile.TemporaryDirectory() as scratch:
        for case in grad_files.read_table(folder):
            if options["only"] not in case["name"]:
                continue
            work = os.path.join(options["keep"] or scratch, case["name"])
            os.makedirs(work, exist_ok=True)
            try:
                words, verdict = way(case, os.path.join(folder, case["name"]), work, options,
                                     extra), "pass"
            except NotBuilt as why:
                words, verdict = str(why), "skipped"
            except (Failure, OSError, ValueError, KeyError) as why:
                words, verdict = str(why), "FAIL"
            counts[verdict] += 1
            print("%-7s %s: %s" % (verdict, case["name"], words), flush=True)
    print("%d passed, %d failed, %d skipped" % tuple(counts.values()))
    return 1 if counts["FAIL"] or not sum(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
