"""The command line apart from `run`: statuses, messages, files that appear whole or not at all."""
import json
import os
import subprocess

from files import RNNC, Case

MODEL = """size I = 3, H = 2
model Net(x[t]: [I]) -> h[t]: [H] {   # a comment
    param W: [H, I] ~ glorot
    param U: [H, H] ~ orthogonal
    state h[t] = 0
    h[t] = tanh(W @ x[t] + U @ h[t-1])
}
"""
LARGE = MODEL.replace("I = 3, H = 2", "I = 40, H = 72")
BROKEN = MODEL.replace("W @ x[t]", "W @ y[t]")


class Usage(Case):
    def test_no_file(self):
        self.fails(2, "no file is given")
        self.fails(2, "no file is given", "check")

    def test_two_files(self):
        self.fails(2, ["'a.rnn'", "'b.rnn'"], "a.rnn", "b.rnn")

    def test_unknown_option(self):
        self.fails(2, ["'--emti'", "did you mean '--emit'"], "--emti=c", "m.rnn")
        self.fails(2, "unknown option '-q'", "-q", "m.rnn")

    def test_values(self):
        self.fails(2, "--emit: 'grpah' is not known, did you mean 'graph'", "--emit=grpah", "m.rnn")
        self.fails(2, "-o needs a value", "m.rnn", "-o")
        self.fails(2, "--verify-each takes no value", "--verify-each=1", "m.rnn")
        self.fails(2, "-D: 'H' is not NAME=VALUE", "-D", "H", "m.rnn")
        self.fails(2, "-D: 'two' is not a number", "-DH=two", "m.rnn")
        self.fails(2, "-D: H is defined twice", "-DH=2", "-DH=3", "m.rnn")
        self.fails(2, "--seed", "run", "--seed=-1", "m.rnn")
        self.fails(2, "--color", "--color=blue", "m.rnn")
        self.fails(2, "-O", "-O7", "m.rnn")
        self.fails(2, "cannot begin a symbol", "--prefix=a-b", "m.rnn")
        self.fails(2, "--model is given twice", "--model=A", "--model=B", "m.rnn")

    def test_wrong_command(self):
        self.fails(2, "--weights has no meaning for compiling", "--weights=w", "m.rnn")
        self.fails(2, "-o has no meaning for 'check'", "check", "-o", "x", "m.rnn")
        self.fails(2, "--emit has no meaning for 'run'", "run", "--emit=c", "m.rnn")

    def test_not_built_yet(self):
        for command in ("import",):
            self.fails(2, "'%s' is not built yet" % command, command, "m.rnn")
        self.fails(2, "--dtype=bf16 is not built yet", "--dtype=bf16", "m.rnn")
        self.fails(2, "say --emit=lib", "m.rnn", "-o", "libm.a")

    def test_threads(self):
        self.write("m.rnn", MODEL)
        for bad in ("0", "-1", "2x", "1025", "", "+2"):
            self.fails(2, "--threads=%s: a number from 1 to 1024" % bad, "--threads=" + bad, "m.rnn")
        self.rnnc("m.rnn", "--threads=1", "-o", "one.c")
        self.rnnc("m.rnn", "-o", "none.c")
        self.assertEqual(self.read("one.c").replace(b"one.h", b"none.h"), self.read("none.c"))
        self.rnnc("m.rnn", "--threads=4", "-o", "m.c")
        self.assertIn(b"struct rnn_rt_pool *pool);", self.read("m.h"))
        self.assertIn(b"struct rnn_rt_pool;", self.read("m.h"))

    def test_gemm(self):
        self.write("m.rnn", LARGE)
        self.fails(2, "--gemm: 'mkl' is none of builtin, blas", "--gemm=mkl", "m.rnn")
        self.rnnc("m.rnn", "--gemm=builtin", "-o", "one.c")
        self.rnnc("m.rnn", "-o", "none.c")
        self.assertEqual(self.read("one.c").replace(b"one.h", b"none.h"), self.read("none.c"))
        self.assertNotIn(b"gemm", self.read("none.c") + self.read("none.h"))
        self.rnnc("m.rnn", "--gemm=blas", "-o", "m.c")
        self.assertIn(b"\nvoid rnn_rt_sgemm(int flags,", self.read("m.c"))
        self.assertIn(b"librnn_rt_blas", self.read("m.h"))
        self.rnnc("m.rnn", "--gemm=blas", "--dtype=f64", "-o", "m.c")
        self.assertIn(b" rnn_rt_dgemm(8, ", self.read("m.c"))
        manifest = json.loads(self.rnnc("m.rnn", "--gemm=blas", "--emit=manifest", "-o", "-")[0])
        self.assertEqual((manifest["gemm"], manifest["requires"]), ("blas", ["rnn_rt_blas"]))
        self.rnnc("m.rnn", "--gemm=blas", "--threads=2", "--emit=pc", "-o", "m.pc")
        self.assertIn(b"Requires: rnn_rt rnn_rt_blas\n", self.read("m.pc"))
        self.rnnc("m.rnn", "--gemm=blas", "--emit=cmake", "-o", "mConfig.cmake")
        self.assertIn(b"INTERFACE_LINK_LIBRARIES rnnc::rnn_rt_blas)", self.read("mConfig.cmake"))
        # A model without a large product needs no library.
        self.write("m.rnn", MODEL)
        self.rnnc("m.rnn", "--gemm=blas", "-o", "m.c")
        self.assertNotIn(b"gemm", self.read("m.c") + self.read("m.h"))

    def test_gemm_runs(self):
        self.write("m.rnn", LARGE)
        if not os.path.exists(os.path.join(os.path.dirname(RNNC), "rnnc-blas.so")):
            self.fails(3, "--gemm=blas: no BLAS is built in", "verify", "--gemm=blas", "m.rnn")
            self.skipTest("libopenblas-dev is not installed")
        for words in (("--backend=c", "--dtype=f64"), ("--threads=2",)):
            said = self.rnnc("verify", "m.rnn", "--gemm=blas", *words)[0]
            self.assertIn(b"verdict: all agree", said)

    def test_forced_choices(self):
        """What the rules decide can be forced; wrong values are refused with what is right."""
        self.write("m.rnn", MODEL)
        for bad in ("4", "4x", "0x1", "9x1", "1x9", "2x2x5", "2x2x2x2", "x2", "automatic", "2 x 2"):
            self.fails(2, ["--tile=%s: ROWSxVECTORS or ROWSxVECTORSxCHAINS, rows from 1 to 8" % bad],
                       "--tile=" + bad, "m.rnn")
        for bad in ("0", "65", "two", ""):
            self.fails(2, "--unroll-time=%s: a number of steps from 1 to 64" % bad,
                       "--unroll-time=" + bad, "m.rnn")
        self.fails(2, "--layout: 'column' is none of auto, rows, panels", "--layout=column", "m.rnn")
        self.fails(2, "--threads=N:SPLIT: 'batch' is none of auto, units, sequences, none",
                   "--threads=2:batch", "m.rnn")
        self.fails(2, "--tile has no meaning for 'fmt'", "fmt", "--tile=2x2", "m.rnn")
        size = ["-D", "H=40", "--emit=loop"]
        plain, _ = self.rnnc("m.rnn", *size)
        again, words = self.rnnc("m.rnn", "--tile=autoxauto", "--layout=auto", "--unroll-time=1", *size)
        self.assertEqual((plain == again, words), (True, ""))
        for option in ("--tile=2x2", "--tile=autox3", "--tile=5xauto", "--unroll-time=2"):
            out, words = self.rnnc("m.rnn", option, *size)
            self.assertTrue(plain != out, option)
            self.assertEqual(words, "", option)
        out, words = self.rnnc("m.rnn", "--tile=2x2x1", *size)
        self.assertIn("with the chains of --tile results differ in their last bits [W-BITS]", words)
        out, _ = self.rnnc("m.rnn", "--unroll-time=4", *size)
        self.assertIn(b"let whole", out)
        self.assertRegex(out, rb"for t\S* in 0 to whole\S* step 4 ")
        self.write("b.rnn", MODEL.replace("    state", "    param b: [H] = 0\n    state").replace("tanh(", "tanh(b + "))
        panels, rows = (self.rnnc("b.rnn", "-D", "I=8", how, *size)[0]
                        for how in ("--layout=panels", "--layout=rows"))
        self.assertEqual((b"panel" in panels, b"panel" in rows), (True, False))
        split = [self.rnnc("m.rnn", "--threads=2" + how, "-D", "H=600", "--emit=loop")[0]
                 for how in ("", ":units", ":sequences", ":none")]
        self.assertEqual(len(set(split)), 4)

    def test_targets(self):
        self.write("m.rnn", MODEL)
        self.fails(2, "--cpu: 'x86-64-v9' is not known", "--cpu=x86-64-v9", "m.rnn")
        self.fails(2, "--target: 'sparc' is not known", "--target=sparc", "m.rnn")
        self.fails(2, "generic has no fma", "--target=generic", "--features=+fma", "m.rnn")
        self.fails(2, "is not of --target", "--target=aarch64-linux-gnu", "--cpu=x86-64-v3", "m.rnn")

    def test_lists(self):
        out, _ = self.rnnc("--list-targets")
        for name in ("generic", "x86-64-v2", "x86-64-v3", "x86-64-v4", "armv8-a"):
            self.assertIn(name, out.decode())
        out, _ = self.rnnc("--list-passes")
        for name in ("simplify", "cse", "dce"):
            self.assertIn(name, out.decode())

    def test_help_and_version(self):
        out, err = self.rnnc("--help")
        self.assertIn(b"rnnc check", out)
        self.assertEqual(err, "")
        self.assertRegex(self.rnnc("--version")[0], rb"^rnnc \d+\.\d+\.\d+\n$")

    def test_passes(self):
        self.write("m.rnn", MODEL)
        self.fails(2, "no pass 'ces', did you mean 'cse'", "--emit=graph", "--disable-pass=ces", "m.rnn")
        self.fails(2, "no pass 'all2'", "--emit=graph", "--print-after=all2", "m.rnn")
        _, err = self.rnnc("--emit=graph", "--print-after=all", "--verify-each", "m.rnn")
        self.assertIn("# after simplify", err)
        _, err = self.rnnc("--emit=graph", "--time-passes", "m.rnn")
        self.assertRegex(err, r"simplify +[0-9.]+ ms")
        _, err = self.rnnc("--emit=graph", "--disable-pass=cse", "m.rnn")
        self.assertIn("W-BITS", err)
        self.write("m.rnn", MODEL.replace("W @ x[t] +", "a[t] +").replace("}", "    a[t] = W @ x[t]\n}"))
        self.assertNotEqual(self.rnnc("--emit=graph", "--passes=", "m.rnn")[0],
                            self.rnnc("--emit=graph", "m.rnn")[0])


class Input(Case):
    def test_unreadable(self):
        self.fails(1, "cannot read nothing.rnn: No such file", "check", "nothing.rnn")
        self.fails(1, "cannot read %s: Is a directory" % self.folder, "check", self.folder)

    def test_located_error(self):
        self.write("m.rnn", BROKEN)
        err = self.fails(1, ["m.rnn:6:", "[E-", "  6 | ", "^"], "check", "m.rnn")
        self.assertNotIn("\033", err)

    def test_color(self):
        self.write("m.rnn", BROKEN)
        self.fails(1, "\033[", "check", "--color=always", "m.rnn", env={"NO_COLOR": "1"})
        err = self.fails(1, "error", "check", "--color=never", "m.rnn")
        self.assertNotIn("\033", err)

    def test_check_is_silent(self):
        self.write("m.rnn", MODEL)
        self.assertEqual(self.rnnc("check", "m.rnn"), (b"", ""))

    def test_check_looks_at_every_model(self):
        self.write("m.rnn", BROKEN + MODEL.replace("Net", "Last").replace("size I = 3, H = 2", ""))
        self.fails(1, "m.rnn:6:", "check", "m.rnn")

    def test_check_of_a_library(self):
        self.write("m.rnn", "model Twice[N](x[t]: [N]) -> y[t]: [N] {\n    y[t] = 2 * x[t]\n}\n")
        self.assertEqual(self.rnnc("check", "m.rnn"), (b"", ""))
        self.fails(1, "E-SIZEARG", "check", "--model=Twice", "m.rnn")
        self.rnnc("check", "--model=Twice", "-D", "N=3", "m.rnn")

    def test_check_finds_cycles(self):
        self.write("m.rnn", "model M(x[t]: []) -> y[t]: [] {\n    a[t]: [] = y[t] + x[t]\n"
                            "    y[t]: [] = a[t]\n}\n")
        self.fails(1, "E-CAUSAL", "check", "m.rnn")

    def test_not_compiled_yet(self):
        many = range(17)
        self.write("m.rnn", "model M(%s) -> y: [] {\n    y = %s\n}\n" % (
            ", ".join("x%d[t%d]: []" % (i, i) for i in many),
            " + ".join("sum[t%d](x%d[t%d])" % (i, i, i) for i in many)))
        self.fails(1, ["m.rnn:1:", "E-LOWER", "17 axes, more than the 15"], "m.rnn", "-o", "m.c")

    def test_unknown_names(self):
        self.write("m.rnn", MODEL)
        self.fails(1, "Nett", "check", "--model=Nett", "m.rnn")
        self.fails(1, ["no model 'LSTM' of its own", "'use f = LSTM[…]'", "<prelude>:"], "check",
                   "--model=LSTM", "m.rnn")
        self.fails(1, "-D Q", "check", "-DQ=3", "m.rnn")

    def test_standard_input(self):
        out, _ = self.rnnc("--emit=graph", "-", stdin=MODEL.encode())
        self.assertIn(b"graph Net infer", out)

    def test_model_and_define(self):
        self.write("m.rnn", MODEL + MODEL.replace("Net", "Other").replace("size I = 3, H = 2", ""))
        self.assertIn(b"graph Other", self.rnnc("--emit=graph", "m.rnn")[0])
        out, _ = self.rnnc("--emit=graph", "--model=Net", "-DH=7", "m.rnn")
        self.assertIn(b"graph Net", out)
        self.assertIn(b"[7, 3]", out)

    def test_modes(self):
        self.write("m.rnn", MODEL)
        self.assertIn(b"graph Net train", self.rnnc("--emit=graph", "--mode=train", "m.rnn")[0])
        self.rnnc("--mode=train", "m.rnn", "-o", "m.c")
        with open(self.path("m.h")) as file:
            header = file.read()
        self.assertIn("for training", header)
        self.assertIn("Net_grad(", header)


class Sizes(Case):
    def test_manifest(self):
        """The bytes that the manifest adds up are those that the function tells."""
        self.write("m.rnn", MODEL)
        options = ["--mode=train", "--prefix=net", "m.rnn"]
        self.rnnc(*options, "-o", "m.c")
        manifest = json.loads(self.rnnc(*options, "--emit=manifest")[0])
        functions = {f["name"]: f for f in manifest["functions"]}
        steps = [a["name"] + "_steps" for a in manifest["axes"]]
        sizes = {n: f for n, f in functions.items() if n.endswith("_work_bytes")}
        self.assertIn("grad_work_bytes", sizes)
        calls = "".join('printf("%%lld ", (long long)net_%s(%s));' %
                        (n, ", ".join("3" if a["name"] == "batch" else "7" for a in f["args"]))
                        for n, f in sizes.items())
        self.write("main.c", '#include <stdio.h>\n#include "m.h"\nint main(void) { %s return 0; }\n'
                   % calls)
        subprocess.run([*os.environ.get("CC", "cc").split(), "-w", "m.c", "main.c", "-o", "main"],
                       cwd=self.folder, check=True)
        told = subprocess.run([self.path("main")], stdout=subprocess.PIPE, text=True, check=True)
        for name, got in zip(sizes, told.stdout.split()):
            want = 0
            for term in sizes[name]["bytes"]:
                product = term["coefficient"]
                for of in term["of"]:
                    product *= 3 if of == "batch" else 7
                want += product
            self.assertEqual(int(got), want, name)
        self.assertTrue(steps)


class Output(Case):
    def setUp(self):
        super().setUp()
        self.write("m.rnn", MODEL)

    def test_c_and_header(self):
        self.rnnc("m.rnn")
        self.assertEqual(sorted(os.listdir(self.folder)), ["m.c", "m.h", "m.rnn"])
        self.assertIn(b'#include "m.h"', self.read("m.c"))
        self.rnnc("m.rnn", "-o", "other.c", "--prefix=net")
        self.assertIn(b"net_forward", self.read("other.h"))

    def test_c_to_standard_output_is_whole(self):
        out, _ = self.rnnc("m.rnn", "-o", "-")
        self.write("whole.c", out)
        subprocess.run([*os.environ.get("CC", "cc").split(), "-std=c99", "-c", "whole.c", "-o", "whole.o"],
                       cwd=self.folder, check=True)

    def test_every_kind(self):
        for kind in ("ast", "graph", "schedule", "loop", "dot", "manifest", "remarks", "c"):
            out, _ = self.rnnc("--emit=" + kind, "m.rnn", "-o", "-")
            self.assertGreater(len(out), 20, kind)
            self.rnnc("--emit=" + kind, "m.rnn", "-o", "out." + kind)
            if kind not in ("c", "manifest"):
                self.assertEqual(self.read("out." + kind), out)

    def test_same_bytes_anywhere(self):
        os.mkdir(self.path("deep"))
        for kind in ("c", "schedule", "loop", "manifest"):
            a, _ = self.rnnc("--emit=" + kind, "m.rnn", "-o", "-")
            b, _ = self.rnnc("--emit=" + kind, "../m.rnn", "-o", "-", cwd=self.path("deep"),
                             env={"LC_ALL": "de_DE.UTF-8", "TZ": "Asia/Tokyo", "LANG": "tr_TR.UTF-8"})
            self.assertEqual(a, b, kind)

    def test_failure_leaves_nothing(self):
        self.write("bad.rnn", BROKEN)
        self.write("bad.c", "mine")
        self.fails(1, "bad.rnn:6:", "bad.rnn", "-o", "bad.c")
        self.assertEqual(self.read("bad.c"), b"mine")
        self.fails(3, "cannot write nowhere/m.c: No such file", "m.rnn", "-o", "nowhere/m.c")
        os.mkdir(self.path("n.h"))
        self.fails(3, "cannot write", "m.rnn", "-o", "n.c")
        self.assertEqual(sorted(os.listdir(self.folder)), ["bad.c", "bad.rnn", "m.rnn", "n.h"])

    def test_source_is_not_overwritten(self):
        self.fails(2, "would overwrite the source", "m.rnn", "-o", "m.rnn")
        self.fails(2, "two results go to m.h", "m.rnn", "-o", "m.h")
        self.assertEqual(self.read("m.rnn").decode(), MODEL)

    def test_mode_and_link_survive(self):
        self.write("real.graph", "old")
        os.chmod(self.path("real.graph"), 0o640)
        os.symlink("real.graph", self.path("link.graph"))
        self.rnnc("--emit=graph", "m.rnn", "-o", "link.graph")
        self.assertTrue(os.path.islink(self.path("link.graph")))
        self.assertEqual(os.stat(self.path("real.graph")).st_mode & 0o777, 0o640)
        self.assertIn(b"graph Net", self.read("real.graph"))

    def test_full_device(self):
        with open("/dev/full", "wb") as full:
            self.fails(3, "cannot write standard output: No space left", "--emit=graph", "m.rnn", stdout=full)
            self.fails(3, "cannot write standard output", "--help", stdout=full)
            self.fails(3, "cannot write standard output", "fmt", "m.rnn", stdout=full)
        self.fails(3, "cannot write /dev/full: No space left", "--emit=graph", "m.rnn", "-o", "/dev/full")

    def test_closed_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        try:
            self.fails(3, "cannot write standard output: Broken pipe", "--emit=graph", "m.rnn", stdout=writer)
        finally:
            os.close(writer)

    def test_closed_streams(self):
        done = subprocess.run(["sh", "-c", '"$0" --emit=graph m.rnn >&-', RNNC], cwd=self.folder,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"cannot write standard output", done.stderr)
        done = subprocess.run(["sh", "-c", '"$0" --emit=graph m.rnn -o out <&- >&- 2>&-', RNNC],
                              cwd=self.folder)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(self.read("out").startswith(b"graph Net"))

    def test_dependencies(self):
        self.write("cells a.rnn", MODEL)
        self.write("top.rnn", 'import "cells a.rnn"\nsize K = 4\n'
                              "model Top(x[t]: [3]) -> y[t]: [2] {\n"
                              "    use n = Net\n    y[t] = n(x[t])\n}\n")
        self.rnnc("top.rnn", "-o", "out.c", "-MD")
        self.assertEqual(self.read("out.d").decode(), "out.c out.h: top.rnn cells\\ a.rnn\ncells\\ a.rnn:\n")
        self.rnnc("--emit=graph", "top.rnn", "-o", "-", "-MF", "deps")
        self.assertEqual(self.read("deps").decode().split("\n")[0], "-: top.rnn cells\\ a.rnn")
        self.fails(2, "-MD needs -MF", "--emit=graph", "top.rnn", "-MD")


class Format(Case):
    UGLY = "size I=3,H = 2\nmodel M(x[t]:[I])->y[t]:[H]{ # c\n\n  param W:[H,I]~glorot\n y[t]=W@x[t]\n}\n"

    def test_idempotent(self):
        self.write("m.rnn", self.UGLY)
        once, _ = self.rnnc("fmt", "m.rnn")
        self.assertIn(b"# c", once)
        twice, _ = self.rnnc("fmt", "-", stdin=once)
        self.assertEqual(once, twice)
        self.assertEqual(self.read("m.rnn").decode(), self.UGLY)

    def test_in_place(self):
        self.write("m.rnn", self.UGLY)
        self.rnnc("fmt", "m.rnn", "-o", "m.rnn")
        self.assertIn(b"    y[t] = W @ x[t]", self.read("m.rnn"))

    def test_errors_write_nothing(self):
        self.write("m.rnn", "model M(\n")
        self.fails(1, "E-SYNTAX", "fmt", "m.rnn", "-o", "out.rnn")
        self.assertEqual(os.listdir(self.folder), ["m.rnn"])
