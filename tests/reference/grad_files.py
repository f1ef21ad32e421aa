"""The table of gradient cases, and the measure that they are held to.

One row is one call of `rnnc grad`; its files lie in a folder of its name: weights.safetensors,
in_INPUT.npy, len_AXIS.npy, up_OUTPUT.npy (gradients to start from), state.safetensors (a first
state of what is carried), and what is expected: want_loss.npy (absent without a loss),
want_grads.safetensors, want_in_grads.safetensors; what would be empty is absent. Columns, separated
by tabs, lists by spaces:
  name      of the case
  model     of grads.rnn
  defines   NAME=VALUE ... for -D, or -
  options   further options of rnnc, or -
  divisor   an input in the divisor of a loss, through which no gradient goes, or -
"""
import os

COLUMNS = ["name", "model", "defines", "options", "divisor"]


# The floor is a share of the largest gradient of a tensor: sums in which large terms cancel carry
# the rounding of these terms. In single precision PyTorch itself needs as much, see README.md.
FLOOR = {"f32": 0.2, "f64": 1e-3}


def distance(got, want, floor):
    """The largest |a - b| / max(|a|, |b|, floor * G), G the largest expected number; infinite where
    0 is expected and something else came: padding, rows that are not looked up, dead units."""
    largest = max([abs(b) for b in want.data], default=0.0)
    worst = 0.0
    for a, b in zip(got.data, want.data):
        if a == b:
            continue
        error = abs(a - b) / max(abs(a), abs(b), floor * largest) if b else float("inf")
        if not error <= worst:
            worst = error if error == error else float("inf")
    return worst


def write_table(folder, rows):
    with open(os.path.join(folder, "cases.tsv"), "w") as f:
        for row in [COLUMNS] + sorted(rows):
            f.write("\t".join(row) + "\n")


def read_table(folder):
    with open(os.path.join(folder, "cases.tsv")) as f:
        lines = [line.rstrip("\n").split("\t") for line in f if line.strip()]
    if lines[0] != COLUMNS:
        raise ValueError("cases.tsv does not start with the columns of this version")
    return [dict(zip(COLUMNS, line)) for line in lines[1:]]
