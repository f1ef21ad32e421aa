"""emx-onnx-cgen: C from a model of ONNX, by gcc -O3 with and without -ffast-math. One thread."""
import ctypes
import os
import re
import subprocess
import sys
from importlib import metadata

import use_ort
from worker import Work, io_blocks, pointers

FOLDER = os.environ.get("BENCH_FOLDER", "")


def version():
    return "emx-onnx-cgen " + metadata.version("emx-onnx-cgen")


def settings(case, threads):
    small = case["H"] <= 256 and threads == 1 and case["B"] == 1
    return ["fast-math", "-O3"] if small and use_ort.settings(case, threads) else []


def prepare(case, setting, threads):
    stem = os.path.join(FOLDER, "emx-" + case["key"])
    with open(stem + ".onnx", "wb") as file:
        file.write(use_ort.model(case))
    done = subprocess.run([os.path.join(os.path.dirname(sys.executable), "emx-onnx-cgen"),
                           "compile", stem + ".onnx", stem + ".c", "--model-name", "emx",
                           "--large-weight-threshold", "0"],
                          capture_output=True, text=True)
    if done.returncode:
        return (done.stderr or done.stdout).strip().splitlines()[-1][:160]
    with open(stem + ".c") as file:
        code = file.read()
    head = re.search(r"^void emx\(([^)]*)\)\s*\{", code, re.M)
    if not head:
        return "no function emx"
    with open(stem + ".c", "a") as file:
        file.write("\nlong emx_call(void *const *a) { emx((void *)a[0], (void *)a[1]); return 0; }\n")
    library = f"{stem}-{setting}.so"
    subprocess.run(["gcc", "-O3", "-march=native", "-w", "-fPIC", "-shared", "-o", library,
                    stem + ".c", "-lm"] + (["-ffast-math"] if setting == "fast-math" else []),
                   check=True, capture_output=True)
    lib = ctypes.CDLL(library)
    x, _, y = io_blocks(case)
    work = Work({"y": y}, symbol=ctypes.cast(lib.emx_call, ctypes.c_void_p), args=pointers([x, y]))
    work.kept = (lib, x, y)
    return work
