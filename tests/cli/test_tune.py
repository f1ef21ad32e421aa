"""`rnnc tune` and `--tuning`: what is found is written, read back, and the same as its options; what
does not fit is refused."""
import os
import re

from files import Case

MODEL = """size I = 8, H = 40
model M(x[t]: [I]) -> h[t]: [H] {
    param W: [H, I]
    param U: [H, H]
    param b: [H]
    state h[t] = 0
    h[t] = tanh(W @ x[t] + U @ h[t-1] + b)
}
"""
CPU = ("--target=x86_64-linux-gnu", "--cpu=x86-64-v3")


class Tune(Case):
    def setUp(self):
        super().setUp()
        self.write("m.rnn", MODEL)

    def tuning(self, *lines, target="x86-64-v3 f32 threads=1", mark=None):
        """A file for this model, by the mark that rnnc itself says is its own."""
        text = "rnnc tuning 1\nmodel M %s\ntarget %s\n%s"
        if not mark:
            self.write("m.tune", text % ("0", target, ""))
            said = self.fails(1, "E-TUNING", "m.rnn", *CPU, "--tuning=m.tune", "--emit=loop")
            mark = re.search(r"have the mark ([0-9a-f]{16})", said).group(1)
        self.write("m.tune", text % (mark, target, "".join(line + "\n" for line in lines)))
        return mark

    def loop(self, *args):
        return self.rnnc("m.rnn", *CPU, "--emit=loop", *args)[0]

    def test_found(self):
        """Every kind is tried, the file is written beside the model, and later compilations read it."""
        env = dict(os.environ, CC=os.environ.get("CC", "cc") + " -O0")
        out = self.rnnc("tune", "m.rnn", "--lengths=t=6", "--mode=infer", env=env)[0].decode()
        for part in ("forward", "--tile=autox3", "--tile=8x", "--layout=rows", "--unroll-time=4",
                     "--disable-pass=zigzag", "the rules and the best", "written: m.tune"):
            self.assertIn(part, out)
        for row in re.findall(r"^  (?:as|--).*$", out, re.M):
            self.assertRegex(row, r" +[\d.]+ (ns|us|ms) +\d+\.\d\d(  taken)?$| the same code$")
        file = self.read("m.tune").decode()
        self.assertRegex(file, r"\Arnnc tuning 1 .*\nmodel M [0-9a-f]{16}\ntarget \S+ f32 threads=1\n"
                               r"infer( --\S+)*   # forward .*, 6 steps, batch 1\n\Z")
        self.rnnc("m.rnn", "--cpu=native", "--tuning=m.tune", "-o", "m.c")
        self.rnnc("verify", "m.rnn", "--tuning=m.tune", env=env)

    def test_nothing_to_tune(self):
        """Without a product and a loop hardly a choice makes other code; what does not is not timed."""
        self.write("m.rnn", "model M(x[t]: [2]) -> y[t]: [2] {\n    y[t] = 2 * x[t]\n}\n")
        out = self.rnnc("tune", "m.rnn", "--lengths=t=3", "--mode=infer", "-o", "none.tune")[0].decode()
        self.assertEqual((out.count("the same code"), out.count("taken")), (16, 0), out)
        self.assertRegex(self.read("none.tune").decode(), r"\ninfer   # forward ")

    def test_read(self):
        """The lines of a tuning are options of the functions that they are about."""
        self.tuning("infer --tile=3x2 --layout=rows   # tried", "", "train --unroll-time=2")
        self.assertEqual(self.loop("--tuning=m.tune") == self.loop("--tile=3x2", "--layout=rows"), True)
        train = self.loop("--mode=train", "--tuning=m.tune").decode()
        plain = self.loop("--mode=train").decode()
        forced = self.loop("--mode=train", "--unroll-time=2").decode()
        tiled = self.loop("--mode=train", "--tile=3x2", "--layout=rows").decode()
        grad = "\nfunction grad("
        self.assertTrue(plain.split(grad)[1] != forced.split(grad)[1] == train.split(grad)[1])
        self.assertTrue(tiled.split("\nfunction ")[2] == train.split("\nfunction ")[2])
        # What the command line says stands.
        self.assertTrue(self.loop("--tuning=m.tune", "--tile=4x1") ==
                        self.loop("--tile=4x1", "--layout=rows"))
        self.tuning("infer --disable-pass=zigzag")
        self.assertTrue(self.loop("--tuning=m.tune") == self.loop("--disable-pass=zigzag"))
        self.rnnc("m.rnn", *CPU, "--tuning=m.tune", "-o", "m.c", "-MD")
        self.assertIn(b"m.rnn m.tune", self.read("m.d"))

    def test_refused(self):
        mark = self.tuning("infer --tile=2x2")
        args = ("m.rnn", "--emit=loop", "--tuning=m.tune")
        self.fails(1, ["m.tune:2:9: error: model M is another one than was tuned", "run 'rnnc tune' again"],
                   *args, *CPU, "-D", "H=41")
        self.fails(1, ["m.tune:3:8: error: the tuning is for 'x86-64-v3 f32 threads=1'",
                       "this compilation is for 'generic f32 threads=1'"], *args, "--target=generic")
        self.fails(1, "this compilation is for 'x86-64-v3 f64 threads=1'", *args, *CPU, "--dtype=f64")
        self.fails(1, "this compilation is for 'x86-64-v3 f32 threads=2'", *args, *CPU, "--threads=2")
        for line, words in (
                ("infer --tile=9x9", "4:7: error: --tile=9x9: ROWSxVECTORS"),
                ("infer --tile=2x2x2", "chains decide bits"),
                ("infer --disable-pass=hoist", "only choices that change no bit"),
                ("infer --seed=3", "'--seed=3' is no option of a tuning"),
                ("infer --layout=rows --layout=of", "4:21: error: --layout: 'of' is none of"),
                ("infer --threads=2:units", "the tuning is for 2 threads, this compilation for 1"),
                ("eval --tile=2x2", "'eval' is none of model, target, infer, train")):
            self.tuning(line, mark=mark)
            self.fails(1, words, *args, *CPU)
        self.write("m.tune", "rnnc tuning 2\n")
        self.fails(1, "m.tune:1:13: error: this is no tuning file that this rnnc reads", *args, *CPU)
        self.write("m.tune", b"rnnc tuning 1\n\0\xff")
        self.fails(1, "E-TUNING", *args, *CPU)
        self.write("m.tune", "rnnc tuning 1\nmodel M %s\n" % mark)
        self.fails(1, "the file ends before 'model' and 'target'", *args, *CPU)
        self.fails(1, "cannot read none.tune", "m.rnn", "--tuning=none.tune", "--emit=loop")
        self.fails(2, "'tune' times compiled code alone", "tune", "m.rnn", "--backend=interp")
        self.fails(2, "--mode=infer or --mode=train", "tune", "m.rnn", "--mode=eval")
        self.fails(2, "--tuning has no meaning for 'tune'", "tune", "m.rnn", "--tuning=m.tune")
        self.fails(2, "-o says where", "tune", "-")
        self.fails(1, "'tune' wants an axis", "tune", "m.rnn", "--lengths=q=3")
