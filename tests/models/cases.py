"""The table of cases: one row is one call of `rnnc run` and what must come out of it.

Columns, separated by tabs; lists by spaces; paths relative to the table's folder
except `spec`, which is relative to this folder's parent (tests/):
  name      family/case
  kind      close | accuracy | skip (only name and note matter)
  spec      the .rnn file
  model     the model in it
  defines   NAME=VALUE ... for -D
  options   further options of rnnc, or -
  weights   the .safetensors file, or - if the model has no parameters
  ins       input=file.npy ...
  lengths   axis=file.npy ..., or -
  runs      how many times the input runs, the state carried from run to run
  outs      output=file.npy:tolerance ...   (accuracy: output=labels.npy:least share)
  note      what to know when it fails, or -
"""
import os

import tensors

COLUMNS = ["name", "kind", "spec", "model", "defines", "options", "weights", "ins", "lengths",
           "runs", "outs", "note"]


class Case:
    """One row as read from a table."""

    def __init__(self, row):
        if len(row) != len(COLUMNS):
            raise ValueError("a row of %d columns, not %d: %s" % (len(row), len(COLUMNS), row))
        for column, text in zip(COLUMNS, row):
            setattr(self, column, text)
        self.runs = int(self.runs)
        for column in ("defines", "options", "ins", "lengths"):
            text = getattr(self, column)
            setattr(self, column, [] if text == "-" else text.split(" "))
        outs = "" if self.outs == "-" else self.outs
        self.outs = []
        for text in outs.split():
            name, rest = text.split("=", 1)
            path, tolerance = rest.rsplit(":", 1)
            self.outs.append((name, path, float(tolerance)))


def read_table(path):
    with open(path) as f:
        lines = [line.rstrip("\n").split("\t") for line in f if line.strip()]
    if lines[0] != COLUMNS:
        raise ValueError("%s does not start with the columns of this version" % path)
    return [Case(row) for row in lines[1:]]


class Table:
    """Collects cases and writes their files under `folder`."""

    def __init__(self, folder):
        self.folder, self.rows = folder, []

    def _file(self, case, name, tensor):
        path = os.path.join(case, name + ".npy")
        tensors.write_npy(os.path.join(self.folder, path), tensor)
        return path

    def add(self, name, spec, model, weights, ins, outs, defines=None, lengths=None, runs=1,
            tolerance=1e-5, kind="close", note="-", options=()):
        """Writes the tensors of one case and its row; weights, ins, outs map names to Tensors."""
        os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        weight_file = "-"
        if weights:
            weight_file = os.path.join(name, "weights.safetensors")
            tensors.write_safetensors(os.path.join(self.folder, weight_file), weights)
        in_files = ["%s=%s" % (k, self._file(name, "in_" + k, v)) for k, v in ins.items()]
        length_files = ["%s=%s" % (k, self._file(name, "len_" + k, v))
                        for k, v in (lengths or {}).items()]
        out_files = ["%s=%s:%g" % (k, self._file(name, "want_" + k, v), tolerance)
                     for k, v in outs.items()]
        sizes = ["%s=%d" % item for item in (defines or {}).items()]
        self.rows.append([name, kind, spec, model, " ".join(sizes) or "-",
                          " ".join(options) or "-", weight_file, " ".join(in_files),
                          " ".join(length_files) or "-", str(runs), " ".join(out_files), note])

    def skip(self, name, why):
        """A row that only says why the cases of that name are not here."""
        self.rows.append([name, "skip"] + ["-"] * 7 + ["1", "-", why])

    def write(self, replace=None):
        """Writes cases.tsv; with `replace`, only the rows whose names start so are replaced."""
        path, kept = os.path.join(self.folder, "cases.tsv"), []
        if replace is not None and os.path.exists(path):
            with open(path) as f:
                rows = [line.rstrip("\n").split("\t") for line in f][1:]
            kept = [row for row in rows if not row[0].startswith(replace)]
        with open(path, "w") as f:
            for row in [COLUMNS] + sorted(kept + self.rows):
                f.write("\t".join(row) + "\n")
