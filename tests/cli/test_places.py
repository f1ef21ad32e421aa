"""-g: machine code and emitted C know the lines of the equations. What debuggers, profilers and
valgrind show comes from the same table, so it is read by gdb where that is installed, and by
binutils' objdump."""
import os
import re
import shutil
import subprocess
import unittest

from files import RNNC, Case
from test_machine import CC, LIBRARY

LINES = ["import \"cell.rnn\"",
         "model Net(x[t]: [3]) -> y[t]: [4] {",
         "    use a = Cell[4]",
         "    use b = Elman[4]",
         "    param W: [4, 4]; param U: [4, 4]",
         "    u[t] = a(x[t])",
         "    v[t] = b(u[t])",
         "    state y[t] = 0",
         "    y[t] = tanh(W @ v[t]",
         "                + U @ y[t-1])",
         "}"]
CELL = ["model Cell[H](x[t]: [I]) -> h[t]: [H] {",
        "    param U: [H, I]",
        "    state h[t] = 0",
        "    h[t] = sigmoid(U @ x[t]) * h[t-1]",
        "}"]

# What has code of its own: of the file, its equations (the cell of the prelude by its application);
# of the import, its equation.
EQUATIONS = {"m.rnn:7", "m.rnn:9", "m.rnn:10", "cell.rnn:4"}

PROGRAM = """#include <stdlib.h>
#include "net.h"
int main(void) {
    float x[6] = {1, 2, 3}, y[8];
    float *params = calloc(NET_PARAM_COUNT, sizeof *params);
    void *weights = aligned_alloc(64, NET_WEIGHT_BYTES);
    int64_t bytes = net_forward_work_bytes(1, 2);
    void *work = aligned_alloc(64, ((size_t)bytes + 63) / 64 * 64);
    int32_t status = net_pack(params, weights);
    if (!status) status = net_forward(weights, 1, 2, NULL, x, y, work, bytes);
    free(params);
    free(weights);
    free(work);
    return (int)status;
}
"""


class Places(Case):
    def setUp(self):
        super().setUp()
        self.write("m.rnn", "\n".join(LINES) + "\n")
        self.write("cell.rnn", "\n".join(CELL) + "\n")
        self.write("main.c", PROGRAM)

    def call(self, *command):
        return subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout.decode()

    def lines_of(self, path):
        """`FILE:LINE` of every row in the table of an object."""
        found = set()
        for row in self.call("objdump", "--dwarf=decodedline", path).splitlines():
            at = re.match(r"(\S+\.rnn)\s+(\d+)\s+0", row)
            if at:
                found.add("%s:%s" % (os.path.basename(at.group(1)), at.group(2)))
        return found

    def debug(self, program):
        if not shutil.which("gdb"):
            self.skipTest("gdb is not installed")
        said = self.call("gdb", "-batch", "-nx", "-ex", "set breakpoint pending on",
                         "-ex", "set debuginfod enabled off", "-ex", "break net_forward", "-ex", "run",
                         "-ex", "delete", "-ex", "break m.rnn:9", "-ex", "continue", "-ex", "info line",
                         "-ex", "delete", "-ex", "break cell.rnn:4", "-ex", "continue", program)
        self.assertRegex(said, r"\n9\s+y\[t\] = tanh\(W @ v\[t\]\n")
        self.assertRegex(said, r'Line 9 of "(.*/)?m\.rnn" starts at address')
        self.assertRegex(said, r"net_forward \(.*\) at (.*/)?m\.rnn:9\n")

    def test_emitted_c(self):
        self.rnnc("m.rnn", "-g", "--prefix=net", "--target=generic", "-o", "net.c")
        text = self.read("net.c").decode()
        self.assertIn('#line 9 "m.rnn"\n', text)
        self.assertNotIn(self.folder, text)
        # One line of C behind each directive, so that none belongs to a line that is not there.
        for line in re.findall(r'#line (\d+) "m.rnn"\n', text):
            self.assertLessEqual(int(line), len(LINES))
        flags = [f for f in CC[1:] if not f.startswith("-fsan") and not f.startswith("-fno-san")]
        if "tcc" not in CC[0]:
            self.call(CC[0], *flags, "-std=c99", "-g", "-O1", "-c", "net.c", "-o", "net.o")
            self.assertLessEqual(EQUATIONS, self.lines_of("net.o"))
        self.rnnc("m.rnn", "--prefix=net", "--target=generic", "-o", "net.c")
        plain = self.read("net.c").decode()
        self.assertNotIn("#line", plain)
        words = " ".join(re.sub(r'#line \d+ "[a-z.]+"\n', "", text).split())
        self.assertEqual(words.replace(" ", ""), "".join(plain.split()))

    def test_loop_text(self):
        """--verify-each reads it back, and prints it again."""
        text = self.rnnc("m.rnn", "-g", "--emit=loop", "--mode=train", "--verify-each")[0].decode()
        places = {"%s:%s" % p for p in re.findall(r'place "([a-z.]+)" (\d+)\n', text)}
        self.assertLessEqual(EQUATIONS, places)
        self.assertNotIn("prelude", text)
        plain = self.rnnc("m.rnn", "--emit=loop", "--mode=train")[0].decode()
        self.assertEqual(re.sub(r' *place "[a-z.]+" \d+\n', "", text), plain)

    @unittest.skipUnless(os.path.exists(LIBRARY), "LLVM is not built in")
    def test_machine_code(self):
        self.rnnc("m.rnn", "-g", "--prefix=net", "--emit=obj", "-o", "net.o")
        self.assertLessEqual(EQUATIONS, self.lines_of("net.o"))
        # Few rows have no line (what LLVM merges of several): most have one of those around it.
        rows = re.findall(r"\nm\.rnn\s+(\d+)\s+0", self.call("objdump", "--dwarf=decodedline", "net.o"))
        self.assertLess(rows.count("0"), len(rows) / 20)
        self.call("objcopy", "-O", "binary", "-j", ".text", "net.o", "code")
        code = self.read("code")
        self.rnnc("m.rnn", "--prefix=net", "--emit=obj", "-o", "plain.o")
        self.call("objcopy", "-O", "binary", "-j", ".text", "plain.o", "code")
        self.assertEqual(code, self.read("code"), "the same code with lines and without")
        self.assertEqual(self.lines_of("plain.o"), set())
        self.call("cc", "-std=c11", "main.c", "net.o", "-o", "main")
        self.debug("./main")

    @unittest.skipUnless(os.path.exists(LIBRARY), "LLVM is not built in")
    def test_same_bytes_anywhere(self):
        os.makedirs(self.path("deep/er"))
        for name in ("m.rnn", "cell.rnn"):
            shutil.copy(self.path(name), self.path("deep/er/" + name))
        for kind in ("obj", "so", "llvm", "c"):
            texts = []
            for folder in (self.folder, self.path("deep/er")):
                self.rnnc("m.rnn", "-g", "--emit=" + kind, "-o", "out.x", cwd=folder)
                with open(os.path.join(folder, "out.x"), "rb") as f:
                    texts.append(f.read())
            self.assertEqual(texts[0], texts[1], kind)
            self.assertNotIn(os.fsencode(self.folder), texts[0])

    def stops(self, *backend):
        """gdb stops in the code that `rnnc run` has made, and names the functions."""
        if not shutil.which("gdb"):
            self.skipTest("gdb is not installed")
        self.write("run.rnn", "model Net(x[t]: [3]) -> y[t]: [3] {\n    state y[t] = 0\n"
                              "    y[t] = tanh(x[t] + 0.5 * y[t-1])\n}\n")
        self.npy("x.npy", (2, 3), [0.5] * 6)
        command = (RNNC, "run", "run.rnn", *backend, "--in", "x=x.npy", "--out", "y=y.npy")
        self.call(*command)
        plain = self.read("y.npy")
        said = self.call("gdb", "-batch", "-nx", "-ex", "set breakpoint pending on",
                         "-ex", "set debuginfod enabled off", "-ex", "break run.rnn:3", "-ex", "run",
                         "-ex", "delete", "-ex", "continue", "--args", *command, "-g")
        self.assertRegex(said, r"Net_forward \(.*\) at (.*/)?run\.rnn:3\n3\s+y\[t\] = tanh")
        self.assertIn("exited normally", said)
        self.assertEqual(self.read("y.npy"), plain)

    @unittest.skipUnless(os.path.exists(LIBRARY), "LLVM is not built in")
    def test_in_memory(self):
        self.stops()

    def test_in_memory_by_c(self):
        self.stops("--backend=c")
