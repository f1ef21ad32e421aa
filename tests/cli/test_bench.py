"""`rnnc bench`: what is counted is right, whatever the time was; every function has a row, parts
add up; what it takes and refuses."""
import json
import os
import re
import subprocess
import sys

from files import RNNC, ROOT, Case

MODEL = """size I = 32, H = 48
model M(x[t]: [I]) -> h[t]: [H] {
    param W: [H, I]
    param U: [H, H]
    state h[t] = 0
    h[t] = W @ x[t] + U @ h[t-1]
}
"""
ROW = re.compile(r"^  ( *)(\S.*?) +([\d.]+) (ns|us|ms) +([\d.]+) (ns|us|ms) +(?:(\d+)%)? *(?:(\d+)%)?"
                 r" +([\d.]+) +([\d.]+)( \*)?$")
UNITS = {"ns": 1, "us": 1e3, "ms": 1e6}


class Bench(Case):
    def rows(self, *args):
        """(depth, name, ns, limit, MFLOP, MB) of every line of the tables."""
        env = dict(os.environ, CC=os.environ.get("CC", "cc") + " -O0")
        out = self.rnnc("bench", *args, env=env)[0].decode()
        found = []
        for line in out.splitlines():
            row = ROW.match(line)
            if row:
                depth, name, time, unit, limit, limit_unit, _, _, flops, mb, _ = row.groups()
                found.append((len(depth), name, float(time) * UNITS[unit],
                              float(limit) * UNITS[limit_unit], float(flops), float(mb)))
        return found, out

    def test_counts(self):
        self.write("m.rnn", MODEL)
        steps, batch, H, I = 50, 4, 48, 32
        rows, out = self.rows("m.rnn", "--lengths", "t=%d" % steps, "--batch=%d" % batch)
        whole = {name: (ns, limit, flops, mb) for depth, name, ns, limit, flops, mb in rows
                 if depth == 0}
        self.assertEqual(sorted(whole), ["forward", "grad", "pack", "step"], out)
        products = 2e-6 * H * (I + H) * batch
        # One sum may begin with an addition where the other begins with a product.
        self.assertAlmostEqual(whole["forward"][2], products * steps, delta=.02 * products * steps)
        self.assertAlmostEqual(whole["step"][2], products, delta=.002 + .02 * products)
        self.assertAlmostEqual(whole["grad"][2], 3 * products * steps,
                               delta=.1 * products * steps)
        # The recurrent weights come again each step, those of the input once.
        self.assertGreater(whole["forward"][3], 4e-6 * H * H * steps)
        self.assertLess(whole["forward"][3], 4e-6 * H * H * steps + 4e-6 * steps * batch * 16 * H)
        for name, (ns, limit, _, _) in whole.items():
            self.assertGreater(ns, 0, name)
            self.assertGreater(limit, 0, name)
        self.assertRegex(out, r"peak [1-9]\d* GFLOP/s, GB/s [1-9]\d* of 16K")

    def test_parts(self):
        self.write("m.rnn", MODEL)
        rows, out = self.rows("m.rnn", "--lengths", "t=200")
        name = "forward"
        at = [row[1] for row in rows].index(name)
        parts = []
        for row in rows[at + 1:]:
            if row[0] == 0:
                break
            parts.append(row)
        self.assertGreaterEqual(len(parts), 2, out)
        self.assertAlmostEqual(sum(p[4] for p in parts), rows[at][4], delta=.01, msg=out)
        self.assertGreater(sum(p[2] for p in parts), .5 * rows[at][2], out)

    def test_backends_count_alike(self):
        self.write("m.rnn", MODEL)
        counted = []
        for backend in ("c", "llvm"):
            rows, _ = self.rows("m.rnn", "--backend=" + backend, "--lengths=t=8", "-D", "H=16")
            counted.append([(row[1], row[4], row[5]) for row in rows])
        self.assertEqual(*counted)

    def test_models(self):
        """Draws, an axis that the model ends, integers, two precisions."""
        path = os.path.join(ROOT, "examples", "shakespeare", "charlm.rnn")
        rows, out = self.rows(path, "--lengths", "t=5", "--dtype=f64", "-D", "H=16")
        self.assertIn("forward", [row[1] for row in rows])
        self.assertIn("counted with a length or a condition that only running tells", out)

    def test_make_bench(self):
        """bench/bench.py without peers: the three of rnnc agree bit for bit, and there is a table."""
        done = subprocess.run(
            [sys.executable, os.path.join(ROOT, "bench", "bench.py"), "--rnnc=" + RNNC,
             "--build=" + self.folder, "--peers=none", "--cases=RNN-256-T100", "--rounds=1",
             "--slice=1"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)
        with open(os.path.join(self.folder, "bench", "bench.json")) as file:
            row, = json.load(file)["rows"]
        own = [c["setting"] for c in row["contenders"] if c["own"]]
        self.assertIn(own, (["gcc", "clang", "llvm"], ["gcc", "clang"]), done.stdout)
        for c in row["contenders"]:
            self.assertGreater(c["ns"], 0)
        with open(os.path.join(self.folder, "bench", "bench.md")) as file:
            self.assertIn("| RNN 256, T 100, B 1 | 1 |", file.read())

    def test_refusals(self):
        self.write("m.rnn", MODEL)
        for wrong in ("q=4", "t=0", "t=x"):
            self.fails(1, "wants an axis of the model", "bench", "m.rnn", "--lengths", wrong)
        self.fails(2, "times compiled code alone", "bench", "m.rnn", "--backend=interp")
        self.fails(2, "--in has no meaning for 'bench'", "bench", "m.rnn", "--in=x=x.npy")
        self.fails(2, "--batch", "bench", "m.rnn", "--batch=0")
