"""`rnnc verify`: every cell of the prelude and the examples agree; what it prints, leaves out and
refuses; a compiled model that computes something else is caught."""
import concurrent.futures
import os
import re
import stat
import subprocess

from files import RNNC, ROOT, Case

TRIPLE = "model M(x[t]: []) -> y[t]: [] {\n    y[t] = 3 * x[t]\n}\n"


def models(path):
    with open(path) as f:
        return re.findall(r"^model (\w+)", f.read(), re.MULTILINE)


class Verify(Case):
    def verdict(self, *args, status=0, env=None):
        out, _ = self.rnnc("verify", *args, status=status, env=env)
        return out.decode()

    def all_agree(self, path, names, forward="3 sequences of 5, 1, 3"):
        """Two at a time; each must have compared gradients and forward."""
        def one(name):
            env = dict(os.environ, CC=os.environ.get("CC", "cc") + " -O0")
            done = subprocess.run([RNNC, "verify", path, "--model=" + name], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, env=env)
            good = (done.returncode == 0 and done.stdout.endswith("verdict: all agree\n") and
                    "gradients against differences" in done.stdout and
                    "\n  grad  " in done.stdout and
                    "  forward  " + forward in done.stdout)
            return None if good else "%s: %d\n%s" % (name, done.returncode, done.stdout)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            bad = [words for words in pool.map(one, names) if words]
        self.assertEqual(bad, [])

    def test_prelude(self):
        programs = os.path.join(ROOT, "tests", "numeric", "programs")
        with open(os.path.join(ROOT, "grammar", "prelude.rnn")) as f:
            cells = set(re.findall(r"^model (\w+)", f.read(), re.MULTILINE))
        path, names = os.path.join(programs, "prelude.rnn"), []
        with open(path) as f:
            used = set(re.findall(r"\b[A-Z]\w*", f.read()))
        self.all_agree(path, models(path))
        axes = {"SelfAttention": "SelfAtt", "Attention": "AdditiveAtt", "Luong": "LuongDecoder"}
        self.all_agree(os.path.join(programs, "axes.rnn"), axes.values())
        self.write("conv.rnn", "model M(x[t]: [2, 5, 4]) -> h[t]: [3, 5, 4] {\n"
                               "    use f = ConvLSTM[3]\n    h[t] = f(x[t])\n}\n")
        self.all_agree(self.path("conv.rnn"), ["M"])
        self.assertEqual(cells - used - set(axes), {"ConvLSTM"})

    def test_examples(self):
        folder, count = os.path.join(ROOT, "examples"), 0
        for where, _, files in os.walk(folder):
            for name in sorted(files):
                if name.endswith(".rnn"):
                    path = os.path.join(where, name)
                    # The norm of a gradient that saturation makes nothing of has no bound.
                    forward = ["1 sequence of 1"] if name == "memory.rnn" else []
                    self.all_agree(path, models(path)[-1:], *forward)
                    count += 1
        self.assertGreater(count, 0)

    def test_table(self):
        self.write("m.rnn", "model M(x[t]: [3]) -> y[t]: [4] {\n    use f = carry GRU[4]\n"
                            "    y[t] = f(x[t])\n    loss sum[t](sum(square(y[t])))\n}\n")
        out = self.verdict("m.rnn")
        for words in ("model M, seed 0", "input x", "sampled: 24 elements",
                       " against the interpreter, --dtype=f32", "step     3 sequences of 6"):
            self.assertIn(words, out)
        self.assertEqual(out, self.verdict("m.rnn"), "the same every time")
        self.assertNotEqual(out, self.verdict("m.rnn", "--seed=1"))
        self.assertIn("grad     3 sequences of 5, 1, 3", out)
        self.assertNotIn("slopes", out)
        wide = self.verdict("m.rnn", "--dtype=f64")
        self.assertIn("--dtype=f64", wide)
        self.assertRegex(wide, r"slopes   3 sequences of 5, 1, 3 +[1-9]\d* numbers, worst relative error")
        out = self.verdict("m.rnn", "--backend=interp")
        self.assertNotIn(" against the interp", out)
        self.assertIn("all agree", out)

    def test_sizes_of_the_user(self):
        self.write("m.rnn", "size H = 3\nmodel A(x[t]: [H]) -> y[t]: [H] {\n    y[t] = tanh(x[t])\n}\n"
                            "model B(x: []) -> y: [] {\n    y = 2 * x\n}\n")
        self.assertIn("input x          75 ", self.verdict("m.rnn", "--model=A", "-D", "H=5"))
        self.assertIn("step: none, it has no time", self.verdict("m.rnn"))

    def test_without_code(self):
        """Said, and the rest is compared; where nothing is left, that is an error."""
        many = range(17)
        self.write("m.rnn", "model M(%s) -> y: [] {\n    y = %s\n}\n" % (
            ", ".join("x%d[t%d]: []" % (i, i) for i in many),
            " + ".join("sum[t%d](x%d[t%d])" % (i, i, i) for i in many)))
        out = self.verdict("m.rnn")
        self.assertIn("code: none, ", out)
        self.assertIn("all agree", out)
        self.write("n.rnn", "model M(x[t]: int(5)) -> y[t]: int(5) {\n    y[t] = x[t]\n}\n")
        self.assertIn("none: no parameter and no real input", self.verdict("n.rnn"))
        self.fails(1, "nothing could be compared", "verify", "n.rnn", "--backend=interp")

    def test_refused(self):
        self.write("m.rnn", TRIPLE)
        self.fails(1, "E-NAME", "verify", "m.rnn", "--model=Q")
        self.fails(2, "--weights has no meaning for 'verify'", "verify", "m.rnn", "--weights=w")
        self.fails(3, "", "verify", "m.rnn", "--backend=c", env={"CC": self.path("none")})

    def test_other_gradient_is_caught(self):
        """The same in the function grad alone."""
        self.write("m.rnn", TRIPLE)
        self.write("cc", '#!/bin/sh\nfor a; do case "$a" in *.c) sed -i '
                         '"/^int32_t .*_grad(/,/^}/s#\\* 3\\.0f#* 3.125f#g" "$a";; esac; done\nexec cc "$@"\n')
        os.chmod(self.path("cc"), stat.S_IRWXU)
        out = self.verdict("m.rnn", "--backend=c", status=70, env={"CC": self.path("cc")})
        self.assertRegex(out, r"verdict: differs: grad, 1 sequence of 1: the gradient of input x, "
                              r"element 0, is \S+ by C when the interpreter has \S+, bound")

    def test_other_code_is_caught(self):
        """A C compiler that is given 3.125 for 3: exit 70, with element and both numbers."""
        self.write("m.rnn", TRIPLE)
        self.write("cc", '#!/bin/sh\nfor a; do case "$a" in *.c) sed -i "s#3\\.0f \\*#3.125f *#g" '
                         '"$a";; esac; done\nexec cc "$@"\n')
        os.chmod(self.path("cc"), stat.S_IRWXU)
        out = self.verdict("m.rnn", "--backend=c", status=70, env={"CC": self.path("cc")})
        self.assertRegex(out, r"verdict: differs: forward, 1 sequence of 1: output y, element 0, is "
                              r"\S+ by C when the interpreter has \S+, bound")
