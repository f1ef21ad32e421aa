"""--features: what it changes (lanes, fma, what LLVM and C compilers are told), what is refused, and
the bits of what comes out, by LLVM and by C, here and under emulators."""
import json
import os
import shutil
import subprocess
import unittest

from files import Case
from test_machine import LIBRARY, WIDE, WIDE_PROGRAM

X86 = os.uname().machine == "x86_64"
with open("/proc/cpuinfo") as f:
    HERE = set(f.read().split())

# --cpu, --features: name of the target, lanes, fma, what a C compiler is told.
ROWS = (
    ("x86-64", "", "x86-64", 4, False, ""),
    ("x86-64-v2", "+avx", "x86-64-v2,+avx", 8, False, "-mpopcnt -mavx"),
    ("x86-64-v2", "+sse4.1,-popcnt", "x86-64-v2,-popcnt", 4, False, "-msse4.2"),
    ("x86-64-v2", "+fma", "x86-64-v2,+fma", 8, True, "-mpopcnt -mfma"),
    ("x86-64-v2", "+avx2,+fma,-popcnt", "x86-64-v2,-popcnt,+avx2,+fma", 8, True, "-mavx2 -mfma"),
    ("x86-64-v2", "+avx512bw", "x86-64-v2,+fma,+avx512bw", 16, True, "-mpopcnt -mfma -mavx512bw"),
    ("x86-64-v3", "+fma", "x86-64-v3", 8, True, "-mavx2 -mfma"),
    ("x86-64-v3", "-fma", "x86-64-v3,-fma", 8, False, "-mavx2"),
    ("x86-64-v3", "-avx", "x86-64-v3,-avx", 4, False, "-msse4.2"),
    ("x86-64-v3", "-sse4.2,+fma", "x86-64-v3,-avx2", 8, True, "-mfma"),
    ("x86-64-v4", "-avx512f", "x86-64-v4,-avx512f", 8, True, "-mavx2 -mfma"),
    ("x86-64-v4", "-fma", "x86-64-v4,-fma", 16, False, "-mavx512vl -mavx512bw -mavx512dq"),
    ("x86-64-v4", "-avx512dq,+prefer-256-bit", "x86-64-v4,-avx512dq,+prefer-256-bit", 8, True,
     "-mfma -mavx512vl -mavx512bw -mprefer-vector-width=256"),
    ("armv8-a", "+fma", "armv8-a", 4, True, ""),
    ("armv8-a", "-fma", "armv8-a,-fma", 4, False, ""),
)


class Features(Case):
    def setUp(self):
        super().setUp()
        self.write("m.rnn", WIDE)
        self.write("main.c", WIDE_PROGRAM)

    @staticmethod
    def asked(cpu, features):
        return ("--prefix=net", "--cpu=" + cpu) + (("--features=" + features,) if features else ())

    def test_what_follows(self):
        for cpu, features, name, lanes, fma, flags in ROWS:
            asked = self.asked(cpu, features)
            said = json.loads(self.rnnc("m.rnn", *asked, "--emit=manifest", "-o", "-")[0])
            self.assertEqual((said["target"], said["lanes"], said["fma"], said["cflags"]),
                             (name, lanes, fma, flags))
            self.rnnc("m.rnn", *asked, "-o", "net.c")
            top = self.read("net.c").decode().replace("\n * ", " ").split("*/")[0]
            self.assertIn("for %s." % name, top)
            self.assertEqual("gcc and clang: %s)" % flags in top, flags != "", top)
            self.assertIn(name.encode(), self.read("net.h"))

    def test_refused(self):
        for cpu, features, words in (
                ("x86-64-v3", "fma", "'fma' is neither +NAME nor -NAME"),
                ("x86-64-v3", "+fma,,-avx", "'' is neither"), ("x86-64-v3", "+", "'+' is neither"),
                ("x86-64-v3", "+avx512g", "no avx512g, did you mean 'avx512f'?"),
                ("x86-64-v3", "+sve2000", "no sve2000, which knows sse4.1, sse4.2, popcnt, avx, avx2, fma,"),
                ("x86-64-v3", "-sse2", "there is no x86-64-v3 without sse2"),
                ("armv8-a", "+avx2", "armv8-a has no avx2, which knows fma"),
                ("generic", "-fma", "generic has no fma"),
                ("x86-64-v2,x86-64-v3", "+avx512f", "can only be taken away")):
            self.fails(2, words, "m.rnn", "--emit=manifest", "--cpu=" + cpu, "--features=" + features)
        listed = self.rnnc("--list-targets")[0].decode()
        for word in ("--features=+NAME,-NAME of x86_64", "avx512vl", "prefer-256-bit", "of aarch64"):
            self.assertIn(word, listed)

    @unittest.skipIf("avx512f" in HERE or not X86, "this processor has AVX-512")
    def test_not_here(self):
        self.fails(2, "this processor has no avx512", "run", "m.rnn", "--cpu=x86-64-v4", "--out", "y=y.npy")

    def test_another_architecture(self):
        other = "armv8-a" if X86 else "x86-64-v3"
        self.fails(2, "%s: this processor has no %s" % (other, other), "run", "m.rnn", "--cpu=" + other,
                   "--out", "y=y.npy")

    def printed(self, part, *runner):
        subprocess.run(["cc", "-std=c11", "-O1", "main.c", *part, "-ldl", "-o", "main"], cwd=self.folder, check=True)
        return subprocess.run([*runner, self.path("main")], cwd=self.folder, check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    @unittest.skipUnless(os.path.exists(LIBRARY), "LLVM is not built in")
    @unittest.skipUnless(X86, "another processor")
    def test_bits(self):
        """With fma there is one result, without it another one, whatever else a target has. What C
        compilers make without the flags is the same."""
        emulator = shutil.which("qemu-x86_64")
        bits = {False: set(), True: set()}
        ran = 0
        for cpu, features, name, lanes, fma, flags in ROWS:
            needs = {"avx512dq", "avx512vl"} if lanes == 16 or cpu == "x86-64-v4" else \
                {"avx2", "fma"} if lanes == 8 else set()
            # Sandy Bridge has AVX and nothing beyond.
            runner = (emulator, "-cpu", "SandyBridge") if name.endswith("+avx") else ()
            if cpu == "armv8-a" or not needs <= HERE or (runner and not emulator):
                continue
            ran += 1
            self.rnnc("m.rnn", *self.asked(cpu, features), "--emit=obj", "-o", "net.o")
            bits[fma].add(self.printed(["net.o"], *runner))
            if features in ("+avx", "-fma", "-avx512f"):
                self.rnnc("m.rnn", *self.asked(cpu, features), "-o", "net.c")
                bits[fma].add(self.printed(["net.c", *flags.split()], *runner))
                bits[fma].add(self.printed(["net.c"]))
        self.assertGreater(ran, 2)
        self.assertEqual(len(bits[False]), 1)
        if bits[True]:
            self.assertEqual(len(bits[True]), 1)
            self.assertNotEqual(bits[True], bits[False], "fma must show")
        if shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64"):
            self.rnnc("m.rnn", *self.asked("armv8-a", "-fma"), "--emit=obj", "-o", "net.o")
            subprocess.run(["aarch64-linux-gnu-gcc", "-static", "main.c", "net.o", "-o", "arm"], cwd=self.folder,
                           check=True, stderr=subprocess.DEVNULL)
            done = subprocess.run(["qemu-aarch64", self.path("arm")], check=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
            self.assertEqual({done.stdout}, bits[False])
