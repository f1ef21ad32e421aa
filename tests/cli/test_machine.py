"""Machine code from the command line: objects, libraries, code in memory; without LLVM, too."""
import os
import shutil
import subprocess
import unittest

from files import RNNC, Case

LIBRARY = os.path.join(os.path.dirname(RNNC), "rnnc-llvm.so")
CC = os.environ.get("CC", "cc").split()

MODEL = """size I = 3, H = 2
model Net(x[t]: [I]) -> y[t]: [H] {
    param W: [H, I] ~ glorot
    param b: [H] = 1
    state y[t] = 0
    y[t] = tanh(W @ x[t] + 0.5 * y[t-1] + b)
}
"""

# Prints two outputs; the same program links against code of either backend.
PROGRAM = """#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net.h"
int main(void) {
    float params[NET_PARAM_COUNT], x[6] = {1, 2, 3, -1, -2, -3}, y[4];
    for (int i = 0; i < NET_PARAM_COUNT; i++) params[i] = 0.125f * (float)(i + 1);
    void *weights = aligned_alloc(64, (NET_WEIGHT_BYTES + 63) / 64 * 64 + 64);
    int64_t bytes = net_forward_work_bytes(1, 2);
    void *work = aligned_alloc(64, ((size_t)bytes + 63) / 64 * 64 + 64);
    if (net_pack(params, weights)) return 1;
    if (net_forward(weights, 1, 2, NULL, x, y, work, bytes)) return 2;
    if (net_forward(NULL, 1, 2, NULL, x, y, work, bytes) != NET_BAD_POINTER) return 3;
    if (net_forward(weights, 1, 2, NULL, x, y, (char *)work + 4, bytes) != NET_BAD_POINTER) return 4;
    if (net_forward(weights, -1, 2, NULL, x, y, work, bytes) != NET_BAD_LENGTH) return 5;
    if (net_forward(weights, 1, 2, NULL, x, y, work, bytes - 1) != NET_BAD_SPACE) return 6;
    for (int i = 0; i < NET_PARAMS; i++)
        printf("%s %d %d %d %s %g %g\\n", net_params[i].name, (int)net_params[i].rank,
               (int)net_params[i].shape[0], (int)net_params[i].offset, net_params[i].initial,
               net_params[i].a, net_params[i].b);
    for (int i = 0; i < 4; i++) printf("%a\\n", (double)y[i]);
    free(weights);
    free(work);
    return 0;
}
"""


@unittest.skipUnless(os.path.exists(LIBRARY), "LLVM is not built in")
class Machine(Case):
    def setUp(self):
        super().setUp()
        self.write("m.rnn", MODEL)
        self.write("main.c", PROGRAM)

    def build(self, *parts):
        """What the program prints that is linked from these."""
        flags = [f for f in CC[1:] if not f.startswith("-fsan") and not f.startswith("-fno-san")]
        subprocess.run([CC[0], *flags, "-std=c11", "main.c", *parts, "-o", "main"], cwd=self.folder,
                       check=True)
        return subprocess.run([self.path("main")], cwd=self.folder, check=True,
                              env=dict(os.environ, LD_LIBRARY_PATH=self.folder),
                              stdout=subprocess.PIPE).stdout.decode()

    def test_links_as_c_does(self):
        self.rnnc("m.rnn", "--prefix=net", "-o", "net.c")
        header = self.read("net.h")
        want = self.build("net.c")
        for kind, out in (("obj", "net.o"), ("asm", "net.s"), ("lib", "libnet.a"), ("so", "libnet.so")):
            os.remove(self.path("net.h"))
            self.rnnc("m.rnn", "--prefix=net", "--emit=" + kind, "-o", out)
            self.assertEqual(self.read("net.h"), header, kind)
            self.assertEqual(self.build(out), want, kind)

    def test_other_processors(self):
        """The same program for each of them; where it runs, in the same bits."""
        self.rnnc("m.rnn", "--prefix=net", "-o", "net.c")
        want = self.build("net.c")
        for cpu in ("x86-64-v3", "x86-64-v4"):
            with open("/proc/cpuinfo") as f:
                flags = f.read().split()
            self.rnnc("m.rnn", "--prefix=net", "--emit=obj", "--cpu=" + cpu, "-o", "net.o")
            if "avx512dq" in flags or (cpu == "x86-64-v3" and "avx2" in flags and "fma" in flags):
                self.assertEqual(self.build("net.o"), want, cpu)
        plain = set()
        for cpu in ("x86-64", "x86-64-v2"):
            self.rnnc("m.rnn", "--prefix=net", "--emit=obj", "--cpu=" + cpu, "-o", "net.o")
            plain.add(self.build("net.o"))
        self.assertEqual(len(plain), 1)
        self.rnnc("m.rnn", "--prefix=net", "--emit=obj", "--target=aarch64-linux-gnu", "-o", "net.o")
        if not shutil.which("aarch64-linux-gnu-gcc") or not shutil.which("qemu-aarch64"):
            self.skipTest("no cross compiler or no emulator")
        subprocess.run(["aarch64-linux-gnu-gcc", "-static", "main.c", "net.o", "-o", "arm"],
                       cwd=self.folder, check=True)
        done = subprocess.run(["qemu-aarch64", self.path("arm")], check=True, stdout=subprocess.PIPE)
        self.assertEqual(done.stdout.decode(), want)
        self.rnnc("m.rnn", "--prefix=net", "--emit=so", "--target=aarch64-linux-gnu", "-o", "libnet.so")
        self.assertEqual(self.read("libnet.so")[18], 183, "ELF's number of AArch64")

    def test_names_of_files(self):
        self.rnnc("m.rnn", "--emit=lib")
        self.rnnc("m.rnn", "--emit=so")
        self.rnnc("m.rnn", "--emit=obj")
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["libm.a", "libm.so", "m.h", "m.o", "m.rnn", "main.c"])
        out, _ = self.rnnc("m.rnn", "--emit=llvm")
        self.assertIn(b"define i32 @Net_forward(ptr ", out)

    def test_the_optimiser_may_change_nothing(self):
        """No flag on any floating operation, and fma where the Loop IR says so."""
        text = self.rnnc("m.rnn", "--emit=llvm")[0].decode()
        for word in ("fast", "reassoc", "contract", "nnan", "ninf", "nsz", "arcp", "afn", "fmuladd"):
            self.assertNotRegex(text, r"\b%s\b" % word)
        self.assertIn("@llvm.fma", text)
        text = self.rnnc("m.rnn", "--emit=llvm", "--features=-fma")[0].decode()
        self.assertNotIn("@llvm.fma", text)

    def test_same_bytes_anywhere(self):
        os.mkdir(self.path("deep"))
        for kind in ("obj", "asm", "llvm", "lib", "so"):
            self.rnnc("m.rnn", "--emit=" + kind, "-o", "out")
            first = self.read("out")
            self.rnnc("../m.rnn", "--emit=" + kind, "-o", "out", cwd=self.path("deep"),
                      env={"LC_ALL": "C", "TMPDIR": self.path("deep"), "HOME": "/nowhere"})
            self.assertEqual(self.read("deep/out"), first, kind)
            self.assertNotIn(os.fsencode(self.folder), first)

    def test_archive_is_one_of_ar(self):
        self.rnnc("m.rnn", "--emit=lib")
        listed = subprocess.run(["nm", "--print-armap", "libm.a"], cwd=self.folder, check=True,
                                stdout=subprocess.PIPE).stdout.decode()
        for name in ("Net_forward", "Net_pack", "Net_params"):
            self.assertIn("%s in model.o" % name, listed)

    def test_memory_of_the_caller(self):
        """No writable data, nothing called but memcpy and memset."""
        self.rnnc("m.rnn", "--emit=obj")
        for line in subprocess.run(["nm", "m.o"], cwd=self.folder, check=True,
                                   stdout=subprocess.PIPE).stdout.decode().splitlines():
            kind, name = line.split()[-2:]
            self.assertIn(kind, "TtRrDdU", line)
            if kind == "U":
                self.assertIn(name, ("memcpy", "memset", "memmove"))
        sections = subprocess.run(["objdump", "-h", "m.o"], cwd=self.folder, check=True,
                                  stdout=subprocess.PIPE).stdout.decode().split()
        at = sections.index(".data") if ".data" in sections else None
        self.assertTrue(at is None or int(sections[at + 1], 16) == 0)
        self.assertNotIn(".bss", [s for s in sections if s == ".bss" and
                                  int(sections[sections.index(s) + 1], 16) > 0])

    def test_run(self):
        self.npy("x.npy", (2, 3), [1, 2, 3, -1, -2, -3])
        self.write("w.safetensors", self.weights())
        args = ["run", "m.rnn", "--weights", "w.safetensors", "--in", "x=x.npy"]
        for backend in ("c", "llvm"):
            self.rnnc(*args, "--backend=" + backend, "--out", "y=%s.npy" % backend)
        self.assertEqual(self.read("c.npy"), self.read("llvm.npy"))
        # Without a compiler in reach it runs all the same.
        _, err = self.rnnc(*args, "--out", "y=y.npy", "--time-passes", env={"CC": "/nowhere/cc", "PATH": ""})
        self.assertEqual(self.read("y.npy"), self.read("c.npy"))
        for stage in ("llvm: module", "llvm: passes", "llvm: code", "llvm: link"):
            self.assertRegex(err, stage + r" +[0-9.]+ ms")

    @staticmethod
    def weights():
        from files import safetensors_bytes
        return safetensors_bytes({"W": ((2, 3), [.1, .2, .3, .4, .5, .6]), "b": ((2,), [1, -1])})

    def test_no_linker(self):
        self.fails(3, "cannot start a linker", "m.rnn", "--emit=so", env={"PATH": self.folder})
        self.assertEqual(sorted(os.listdir(self.folder)), ["m.rnn", "main.c"])

    def test_library_is_of_this_program(self):
        """A file of that name that is something else is refused, not crashed on."""
        os.mkdir(self.path("bin"))
        shutil.copy(RNNC, self.path("bin/rnnc"))
        self.write("bin/rnnc-llvm.so", "no library")
        done = subprocess.run([self.path("bin/rnnc"), "m.rnn", "--emit=obj"], cwd=self.folder,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"rnnc-llvm.so cannot be used", done.stderr)


class WithoutMachine(Case):
    def test_refused_by_name(self):
        """The program alone, as `make LLVM=0` leaves it."""
        self.write("m.rnn", MODEL)
        os.mkdir(self.path("bin"))
        shutil.copy(RNNC, self.path("bin/rnnc"))
        for kind in ("obj", "asm", "llvm", "lib", "so"):
            done = subprocess.run([self.path("bin/rnnc"), "m.rnn", "--emit=" + kind], cwd=self.folder,
                                  stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 3)
            self.assertIn(b"needs LLVM: LLVM is not built in", done.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["bin", "m.rnn"])
        self.npy("x.npy", (2, 3), [1, 2, 3, -1, -2, -3])
        self.write("w.safetensors", Machine.weights())
        done = subprocess.run([self.path("bin/rnnc"), "run", "m.rnn", "--weights", "w.safetensors", "--in",
                               "x=x.npy", "--out", "y=y.npy", "--backend=llvm"], cwd=self.folder,
                              stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"LLVM is not built in, --backend=llvm runs as c", done.stderr)
