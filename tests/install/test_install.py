#!/usr/bin/env python3
"""rnnc from where `make install` has put it: RNNC_PREFIX=folder test_install.py [NAME ...]

The runtime and emitted libraries are found by pkg-config and by CMake, from an installed prefix that
was moved after it was made; the program that is built says the same each way."""
import os
import shutil
import subprocess
import tempfile
import unittest

PREFIX = os.path.abspath(os.environ["RNNC_PREFIX"])
CC = os.environ.get("CC", "cc")

MODEL = """model Net(x[t]: [3]) -> y[t]: [2] {
    param W: [2, 3] ~ glorot
    state y[t] = 0
    y[t] = tanh(W @ x[t] + 0.5 * y[t-1])
}
"""

# Weights from the runtime, a sequence through the model.
PROGRAM = """#include <rnn_rt.h>
#include <stdio.h>
#include <stdlib.h>
#include "net.h"
int main(void) {
    static float params[NET_PARAM_COUNT];
    float x[6] = {1, 2, 3, -1, -2, -3}, y[4];
    for (int i = 0; i < NET_PARAM_COUNT; i++) params[i] = 0.125f * (float)(i + 1);
    char error[200];
    RtTensorSet set = {0};
    if (rt_safetensors_read("absent", &set, error, sizeof error) == RT_OK) return 1;
    void *weights = aligned_alloc(64, (NET_WEIGHT_BYTES / 64 + 1) * 64);
    int64_t bytes = Net_forward_work_bytes(1, 2);
    void *work = aligned_alloc(64, ((size_t)bytes / 64 + 1) * 64);
    if (Net_pack(params, weights) || Net_forward(weights, 1, 2, NULL, x, y, work, bytes)) return 2;
    for (int i = 0; i < 4; i++) printf("%a\\n", (double)y[i]);
    free(weights);
    free(work);
    return 0;
}
"""

# -[1 2; 3 4]², its first factor transposed; then one without terms.
PRODUCT = """#include <rnn_rt.h>
#include <stdio.h>
int main(void) {
    const double a[] = {1, 3, 2, 4}, b[] = {1, 2, 3, 4};
    double c[] = {9, 9, 99, 9, 9, 99};
    rnn_rt_dgemm(RT_GEMM_A_TRANSPOSED | RT_GEMM_MINUS, 2, 2, 2, a, 2, b, 2, c, 3);
    for (int i = 0; i < 6; i++) printf("%g%s", c[i], i % 3 == 2 ? "\\n" : " ");
    rnn_rt_dgemm(0, 0, 2, 2, a, 2, b, 2, c, 3);
    rnn_rt_dgemm(RT_GEMM_ADD, 2, 2, 0, a, 2, b, 2, c, 3);
    if (c[0] != -7) return 1;
    rnn_rt_dgemm(0, 1, 2, 0, a, 2, b, 2, c, 3);
    printf("%g %g\\n", c[0], c[1]);
    return 0;
}
"""

LISTS = """cmake_minimum_required(VERSION 3.13)
project(embed C)
find_package(rnnc REQUIRED)
rnnc_add_model(net net.rnn)
add_executable(by_model main.c)
target_link_libraries(by_model net rnnc::rnn_rt)
if(EXISTS "${CMAKE_SOURCE_DIR}/libraries")
    find_package(net REQUIRED PATHS "${CMAKE_SOURCE_DIR}/libraries" NO_DEFAULT_PATH)
    add_executable(by_library main.c)
    target_link_libraries(by_library net::net rnnc::rnn_rt)
endif()
"""


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="rnnc-install-")
        cls.prefix = os.path.join(cls.folder, "a prefix")
        shutil.copytree(PREFIX, cls.prefix)
        for name, text in (("net.rnn", MODEL), ("main.c", PROGRAM), ("CMakeLists.txt", LISTS)):
            with open(os.path.join(cls.folder, name), "w") as f:
                f.write(text)
        cls.rnnc = os.path.join(cls.prefix, "bin", "rnnc")
        cls.machine = os.path.exists(os.path.join(cls.prefix, "lib", "rnnc", "rnnc-llvm.so"))
        cls.call(cls.rnnc, "net.rnn", "-o", "net.c")
        if cls.machine:
            os.mkdir(os.path.join(cls.folder, "libraries"))
            for kind, out in (("lib", "libnet.a"), ("pc", "net.pc"), ("cmake", "netConfig.cmake")):
                cls.call(cls.rnnc, "net.rnn", "--emit=" + kind, "-o", "libraries/" + out)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def call(cls, *command, **env):
        done = subprocess.run(command, cwd=cls.folder, env=dict(os.environ, **env),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = done.stdout.decode()
        if done.returncode:
            raise AssertionError("%s: %d\n%s" % (" ".join(command), done.returncode, said))
        return said

    def want(self):
        """What the program prints with nothing but a compiler."""
        include, library = (os.path.join(self.prefix, part) for part in ("include", "lib/librnn_rt.a"))
        self.call(*CC.split(), "-std=c11", "-I" + include, "main.c", "net.c", library, "-lm", "-lpthread", "-o", "plain")
        printed = self.call("./plain")
        self.assertEqual(len(printed.split()), 4)
        return printed

    def test_pkg_config(self):
        if not shutil.which("pkg-config"):
            self.skipTest("pkg-config is not installed")
        if " " in PREFIX:
            self.skipTest("the prefix has a blank")
        # This file names the prefix it was installed for.
        path = os.path.join(PREFIX, "lib", "pkgconfig") + ":" + os.path.join(self.folder, "libraries")
        want = self.want()
        flags = self.call("pkg-config", "--static", "--cflags", "--libs", "rnn_rt", PKG_CONFIG_PATH=path).split()
        self.call(*CC.split(), "-std=c11", "main.c", "net.c", *flags, "-o", "by_c")
        self.assertEqual(self.call("./by_c"), want)
        self.assertRegex(self.call("pkg-config", "--modversion", "rnn_rt", PKG_CONFIG_PATH=path), r"^\d+\.\d+\.\d+\n$")
        if not self.machine:
            self.skipTest("LLVM is not built in: no library")
        os.rename(os.path.join(self.folder, "net.h"), os.path.join(self.folder, "net.aside"))
        try:
            flags = self.call("pkg-config", "--static", "--cflags", "--libs", "net", "rnn_rt", PKG_CONFIG_PATH=path).split()
            self.call(*CC.split(), "-std=c11", "main.c", *flags, "-o", "by_library")
        finally:
            os.rename(os.path.join(self.folder, "net.aside"), os.path.join(self.folder, "net.h"))
        self.assertEqual(self.call("./by_library"), want)

    def test_blas(self):
        """A product by CBLAS, with what pkg-config says of it."""
        path = os.path.join(PREFIX, "lib", "pkgconfig")
        if not os.path.exists(os.path.join(path, "rnn_rt_blas.pc")):
            self.skipTest("libopenblas-dev is not installed")
        if not shutil.which("pkg-config") or " " in PREFIX:
            self.skipTest("pkg-config is not installed, or the prefix has a blank")
        with open(os.path.join(self.folder, "product.c"), "w") as f:
            f.write(PRODUCT)
        flags = self.call("pkg-config", "--cflags", "--libs", "rnn_rt_blas", PKG_CONFIG_PATH=path).split()
        self.call(*CC.split(), "-std=c11", "product.c", *flags, "-o", "product")
        self.assertEqual(self.call("./product"), "-7 -10 99\n-15 -22 99\n0 0\n")

    def test_cmake(self):
        if not shutil.which("cmake"):
            self.skipTest("cmake is not installed")
        want = self.want()
        self.call("cmake", "-S", ".", "-B", "made", "-DCMAKE_PREFIX_PATH=" + self.prefix,
                  "-DCMAKE_BUILD_TYPE=Release", CC=CC)
        self.call("cmake", "--build", "made")
        for program in ("by_model", "by_library") if self.machine else ("by_model",):
            self.assertEqual(self.call("made/" + program), want, program)


if __name__ == "__main__":
    unittest.main(verbosity=1)
