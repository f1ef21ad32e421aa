"""`-R` and `--emit=remarks`: what tests/golden/remarks says, to the letter; RNNC_UPDATE=1 writes it."""
import os
import unittest

from files import ROOT, Case
from test_machine import LIBRARY

FOLDER = os.path.join(ROOT, "tests", "golden", "remarks")


class Remarks(Case):
    def remarks(self, name, *more):
        with open(os.path.join(FOLDER, name + ".rnn")) as file:
            self.write(name + ".rnn", file.read())
        with open(os.path.join(FOLDER, name + ".args")) as file:
            args = file.read().split()
        target = [] if "--target=generic" in args else ["--target=x86_64-linux-gnu"]
        return self.rnnc(name + ".rnn", *target, *args, *more)

    def test_golden(self):
        names = sorted(n[:-4] for n in os.listdir(FOLDER) if n.endswith(".rnn"))
        self.assertGreater(len(names), 3)
        for name in names:
            out = self.remarks(name, "--emit=remarks")[0].decode()
            path = os.path.join(FOLDER, name + ".remarks")
            if os.environ.get("RNNC_UPDATE"):
                with open(path, "w") as file:
                    file.write(out)
            with open(path) as file:
                self.assertEqual(file.read(), out, name)

    def test_beside_code(self):
        """The same on standard error, and the code is what it is without."""
        words = self.remarks("small", "--emit=remarks")[0].decode()
        self.remarks("small", "-o", "plain.c")
        said = self.remarks("small", "-R", "-o", "said.c")[1]
        self.assertEqual(words, said)
        self.fails(2, "-R has no meaning for 'run'", "run", "small.rnn", "-R")
        self.assertEqual(self.read("plain.c").replace(b"plain.h", b"said.h"), self.read("said.c"))

    @unittest.skipUnless(os.path.exists(LIBRARY), "LLVM is not built in")
    def test_processors(self):
        """Each processor of one object has its own remarks."""
        with open(os.path.join(FOLDER, "lstm.rnn")) as file:
            self.write("m.rnn", file.read())
        said = self.rnnc("m.rnn", "--target=x86_64-linux-gnu", "--cpu=x86-64-v3,x86-64-v4", "-R",
                         "--emit=asm", "-o", "m.s")[1]
        for part in ("\nforward:\n", "\nforward, x86-64-v4:\n", "\npack, x86-64-v4:\n"):
            self.assertIn(part, said)
