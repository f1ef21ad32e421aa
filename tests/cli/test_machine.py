"""Machine code from the command line: objects, libraries, code in memory; without LLVM, too."""
import glob
import json
import os
import shutil
import subprocess
import unittest

from files import RNNC, ROOT, Case, count, safetensors_bytes

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
        return safetensors_bytes({"W": ((2, 3), [.1, .2, .3, .4, .5, .6]), "b": ((2,), [1, -1])})

    def test_large_functions(self):
        """A gradient that goes in parts has the bits of C."""
        self.write("deep.rnn", """model Deep(x[t]: [3]) -> y[t]: [9] {
    use a = LSTM[9]
    use b = LSTM[9]
    h[t] = a(x[t])
    y[t] = b(h[t])
    loss sum(y[last] ^ 2)
}
""")
        self.rnnc("deep.rnn", "--mode=train", "--emit=obj")
        symbols = subprocess.run(["nm", "deep.o"], cwd=self.folder, check=True, stdout=subprocess.PIPE).stdout
        self.assertIn(b" t Deep_grad_part_1\n", symbols)
        weights = {}
        for name, inputs in (("a", 3), ("b", 9)):
            for gate in "ifgo":
                for part, width in (("W", inputs), ("U", 9)):
                    weights["%s.%s%s" % (name, part, gate)] = ((9, width), [((7 * k + len(weights)) % 23 - 11) / 16
                                                                        for k in range(9 * width)])
                weights["%s.b%s" % (name, gate)] = ((9,), [0.1] * 9)
        self.write("w.safetensors", safetensors_bytes(weights))
        for shape in ((5, 3), (5, 10, 3)):
            count = shape[0] * shape[-1] * (shape[1] if len(shape) == 3 else 1)
            self.npy("x.npy", shape, [(5 * k % 17 - 8) / 8 for k in range(count)])
            for backend in ("c", "llvm"):
                self.rnnc("grad", "deep.rnn", "--weights", "w.safetensors", "--in", "x=x.npy", "--loss", backend + ".npy",
                          "--grads", backend + ".safetensors", "--backend=" + backend, env={"CC": "cc -O0"})
            self.assertEqual(self.read("c.npy"), self.read("llvm.npy"))
            self.assertEqual(self.read("c.safetensors"), self.read("llvm.safetensors"))

    def test_examples(self):
        """Outputs and gradients of every example have the bits of C."""
        compared = 0
        for path in sorted(glob.glob(os.path.join(ROOT, "examples", "*", "*.rnn"))):
            about = json.loads(self.rnnc(path, "--emit=manifest")[0])
            weights = {p["name"]: (p["shape"], [((5 * k + i) % 29 - 14) / 64 for k in range(count(p["shape"]))])
                       for i, p in enumerate(about["params"])}
            self.write("w.safetensors", safetensors_bytes(weights))
            args = ["--weights", "w.safetensors"]
            for axis in about["axes"]:
                args += ["--lengths", "%s=5" % axis["name"]]
            for port in about["inputs"]:
                shape = [5 for _ in port["axes"]] + [2] + port["shape"]
                values = [(3 * k + len(args)) % 13 for k in range(count(shape))]
                if port["type"] == "float":
                    self.npy("in.%s.npy" % port["name"], shape, [v / 8 - 0.7 for v in values])
                else:
                    dtype = "|b1" if port["type"] == "bool" else "<i4"
                    bound = 2 if port["type"] == "bool" else port.get("bound") or 3
                    self.npy("in.%s.npy" % port["name"], shape, [v % bound for v in values], dtype)
                args += ["--in", "%s=in.%s.npy" % (port["name"], port["name"])]
            outs = [port["name"] for port in about["outputs"]]
            loss = "loss" in [f["name"] for f in json.loads(
                self.rnnc(path, "--emit=manifest", "--mode=train")[0])["functions"]]
            for backend in ("c", "llvm"):
                env = {"CC": "cc -O0"}
                wanted = [w for o in outs for w in ("--out", "%s=%s.%s.npy" % (o, backend, o))]
                self.rnnc("run", path, *args, *wanted, "--backend=" + backend, env=env)
                if loss:
                    self.rnnc("grad", path, *args, "--grads", backend + ".safetensors", "--loss", backend + ".loss.npy",
                              "--backend=" + backend, env=env)
            for name in [o + ".npy" for o in outs] + (["loss.npy"] if loss else []):
                self.assertEqual(self.read("c." + name), self.read("llvm." + name), (path, name))
            if loss:
                self.assertEqual(self.read("c.safetensors"), self.read("llvm.safetensors"), path)
            compared += 1 + loss
        self.assertGreaterEqual(compared, 12)

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


# Wide enough that versions differ in layout, and with and without fma in bits.
WIDE = """size I = 7, H = 21
model Net(x[t]: [I]) -> y[t]: [H] {
    param W: [H, I]
    param U: [H, H]
    state y[t] = 0
    y[t] = tanh(W @ x[t] + U @ y[t-1])
}
"""

# Prints outputs of a sequence and of steps, and which version a call means: the name of the symbol
# where the library that is given has it.
WIDE_PROGRAM = """#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include "net.h"
enum { STEPS = 9 };
static void *block(int64_t bytes) { return aligned_alloc(64, ((size_t)bytes + 63) / 64 * 64 + 64); }
int main(void) {
    static float params[NET_PARAM_COUNT], x[STEPS * NET_X_SIZE], y[STEPS * NET_Y_SIZE], z[NET_Y_SIZE];
    for (int i = 0; i < NET_PARAM_COUNT; i++) params[i] = (float)(i % 31 - 15) / 37.0f;
    for (int i = 0; i < STEPS * NET_X_SIZE; i++) x[i] = (float)(i % 7 - 3) / 3.0f;
    void *weights = block(NET_WEIGHT_BYTES), *state = block(net_state_bytes(1));
    int64_t bytes = net_forward_work_bytes(1, STEPS), step_bytes = net_step_work_bytes(1);
    void *work = block(bytes), *step_work = block(step_bytes);
    if (net_pack(params, weights)) return 1;
    if (net_forward(weights, 1, STEPS, NULL, x, y, work, bytes)) return 2;
    if (net_reset(weights, 1, 0, 1, state)) return 3;
    for (int t = 0; t < STEPS; t++) {
        if (net_step(weights, 1, x + t * NET_X_SIZE, z, state, step_work, step_bytes)) return 4;
        for (int i = 0; i < NET_Y_SIZE; i++) {
            if (z[i] != y[t * NET_Y_SIZE + i]) return 5;
            printf("%a\\n", (double)z[i]);
        }
    }
    free(weights);
    free(state);
    free(work);
    free(step_work);
    Dl_info info;
    void *chosen = dlsym(RTLD_DEFAULT, "net_forward");
    if (chosen && dladdr(chosen, &info))
        fprintf(stderr, "%zx\\n", (size_t)((char *)chosen - (char *)info.dli_fbase));
    return 0;
}
"""


@unittest.skipUnless(os.path.exists(LIBRARY), "LLVM is not built in")
@unittest.skipUnless(os.uname().machine == "x86_64", "another processor")
class Versions(Case):
    """--cpu=A,B,C: one object for several processors, which chooses when it is loaded."""

    CPUS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")

    def setUp(self):
        super().setUp()
        self.write("m.rnn", WIDE)
        self.write("main.c", WIDE_PROGRAM)

    def build(self, *parts):
        subprocess.run(["cc", "-std=c11", "main.c", *parts, "-ldl", "-o", "main"], cwd=self.folder, check=True)

    def output(self, *emulator):
        """What it prints, and where net_forward lies."""
        done = subprocess.run([*emulator, self.path("main")], cwd=self.folder, check=True,
                              env=dict(os.environ, LD_LIBRARY_PATH=self.folder),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.stdout.decode(), done.stderr.decode().split()[-1:]

    def version_at(self, library, offset):
        for line in subprocess.run(["nm", library], cwd=self.folder, check=True,
                                   stdout=subprocess.PIPE).stdout.decode().splitlines():
            words = line.split()
            if len(words) == 3 and offset and int(words[0], 16) == int(offset[0], 16) and \
               words[2].startswith("net_forward."):
                return words[2][len("net_forward."):]
        return None

    def test_choice(self):
        with open("/proc/cpuinfo") as f:
            flags = f.read().split()
        best = "x86_64_v4" if "avx512dq" in flags and "avx512vl" in flags else \
            "x86_64_v3" if "avx2" in flags and "fma" in flags else "x86_64_v2"
        want = {}
        for cpu in ("x86-64-v2", "x86-64-v3"):
            if cpu == "x86-64-v3" and best == "x86_64_v2":
                self.skipTest("the processor has no fma")
            self.rnnc("m.rnn", "--prefix=net", "--emit=obj", "--cpu=" + cpu, "-o", "net.o")
            self.build("net.o")
            want[cpu.replace("-", "_")] = self.output()[0]
        self.assertNotEqual(want["x86_64_v2"], want["x86_64_v3"], "fma must show")
        want["x86_64_v4"] = want["x86_64_v3"]
        # The order of the list is of no matter.
        self.rnnc("m.rnn", "--prefix=net", "--emit=so", "--cpu=x86-64-v4,x86-64-v2,x86-64-v3", "-o", "libnet.so")
        first = self.read("libnet.so")
        self.rnnc("m.rnn", "--prefix=net", "--emit=so", "--cpu=" + ",".join(self.CPUS), "-o", "libnet.so")
        self.assertEqual(self.read("libnet.so"), first)
        self.assertIn(b"for x86-64-v2, x86-64-v3 and x86-64-v4", self.read("net.h").replace(b"\n *", b""))
        self.build("libnet.so")
        columns = [((), best)]
        if shutil.which("qemu-x86_64"):
            columns += [(("qemu-x86_64", "-cpu", cpu), version) for cpu, version in
                        (("Nehalem", "x86_64_v2"), ("Haswell", "x86_64_v3"))]
        for emulator, version in columns:
            printed, offset = self.output(*emulator)
            self.assertEqual(self.version_at("libnet.so", offset), version, emulator)
            self.assertEqual(printed, want[version], emulator)
        # Linked into the program itself, statically and not.
        for kind, out, flags in (("obj", "net.o", ()), ("lib", "libnet.a", ("-static",)), ("asm", "net.s", ("-pie",))):
            self.rnnc("m.rnn", "--prefix=net", "--emit=" + kind, "--cpu=" + ",".join(self.CPUS), "-o", out)
            self.build(out, *flags)
            self.assertEqual(self.output()[0], want[best], kind)
        if len(columns) == 1:
            self.skipTest("qemu-x86_64 is not installed: the weaker ones were not run")

    def test_room_for_each(self):
        """The header's size of packed weights is the largest; no writable data, nothing called."""
        sizes = []
        for cpu in (*self.CPUS, ",".join(self.CPUS)):
            self.rnnc("m.rnn", "--prefix=net", "--emit=obj", "--cpu=" + cpu, "-o", "net.o")
            line = [s for s in self.read("net.h").decode().splitlines() if "NET_WEIGHT_BYTES" in s and "#define" in s]
            sizes.append(int(line[0].split()[2]))
        self.assertEqual(sizes[3], max(sizes[:3]))
        self.assertLess(min(sizes), max(sizes))
        kinds = {}
        for line in subprocess.run(["nm", "net.o"], cwd=self.folder, check=True,
                                   stdout=subprocess.PIPE).stdout.decode().splitlines():
            kind, name = line.split()[-2:]
            kinds[name] = kind
            self.assertIn(kind, "TtRrDdiU", line)
            self.assertFalse(kind == "U" and name not in ("memcpy", "memset", "memmove"), line)
        self.assertEqual(kinds["net_forward"], "i")
        self.assertEqual(kinds["net_forward.x86_64_v3"], "t")

    def test_refused(self):
        two = "--cpu=x86-64-v2,x86-64-v3"
        for emit in ("c", "manifest", "loop"):
            self.fails(2, "several processors are for --emit=obj", "m.rnn", two, "--emit=" + emit)
        self.fails(2, "several processors are for --emit=obj", "run", "m.rnn", two, "--out", "y=y.npy")
        self.fails(2, "x86-64-v2 is given twice", "m.rnn", "--cpu=x86-64-v2,x86-64-v2", "--emit=obj")
        self.fails(2, "armv8-a cannot be one of several", "m.rnn", "--cpu=x86-64-v2,armv8-a", "--emit=obj")
        self.fails(2, "'x86-64-v9' is not known", "m.rnn", "--cpu=x86-64-v2,x86-64-v9", "--emit=obj")


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
