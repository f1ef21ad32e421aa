"""rnnc itself: its C by gcc and by clang, its machine code by LLVM. Settings are these three."""
import ctypes
import functools
import json
import os
import subprocess

from worker import Block, Work, drawn, io_blocks, pointers, size

RNNC = os.environ.get("BENCH_RNNC", "")
FOLDER = os.environ.get("BENCH_FOLDER", "")
RUNTIME = os.environ.get("BENCH_RUNTIME", "")
BLAS = os.environ.get("BENCH_RNNC_BLAS", "") # for --options=--gemm=blas
OPTIONS = os.environ.get("BENCH_OPTIONS", "").split()


def version():
    return subprocess.run([RNNC, "--version"], capture_output=True, text=True).stdout.split("\n")[0]


def settings(case, threads):
    return ["gcc", "clang"] + (["llvm"] if has_llvm() else [])


@functools.lru_cache()
def has_llvm():
    """Whether this rnnc was built with LLVM."""
    tiny = "model M(x[t]: []) -> y[t]: [] {\n    y[t] = x[t]\n}\n"
    done = subprocess.run([RNNC, "-", "--emit=llvm", "-o", "-"], input=tiny.encode(),
                          capture_output=True)
    return done.returncode == 0


def run(words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:2])}: {done.stderr.strip()[:200]}")
    return done.stdout


def shim(manifest, header):
    """C that calls each function with an array of pointers, so that no convention is guessed."""
    lines = [f'#include "{header}"']
    for function in manifest["functions"]:
        args = []
        for i, arg in enumerate(function["args"]):
            args.append(f"a[{i}]" if arg["pointer"] else f"*(const int64_t *)a[{i}]")
        zero = "" if function["name"] != "grad" else ZERO
        lines.append(f"int64_t call_{function['name']}(void *const *a);\n"
                     f"int64_t call_{function['name']}(void *const *a) {{ {zero}"
                     f"return {function['symbol']}({', '.join(args)}); }}")
    return "\n".join(lines) + "\n"


# Gradients are added to what is there: a training step begins with zeros. The two arrays and their
# sizes stand behind the arguments.
ZERO = ("for (int i = 0; i < 2; i++) __builtin_memset(((void *const *)a[30])[i], 0, "
        "(size_t)((const int64_t *)a[31])[i]); ")


def build(case, setting, threads):
    base = os.path.join(FOLDER, case["key"])
    source, stem = base + ".rnn", f"{base}-{setting}-{threads}"
    with open(source, "w") as file:
        file.write(case["source"])
    words = [RNNC, source, "--cpu=native", "--prefix=m"] + OPTIONS
    words += ["--mode=train"] if case["training"] else []
    words += [f"--threads={threads}"] if threads > 1 else []
    manifest = json.loads(run(words + ["--emit=manifest", "-o", "-"]))
    code = stem + (".o" if setting == "llvm" else ".c")
    run(words + (["--emit=obj"] if setting == "llvm" else []) + ["-o", code])
    with open(stem + "-shim.c", "w") as file:
        file.write(shim(manifest, os.path.basename(stem) + ".h"))
    compiler = "clang" if setting == "clang" else "gcc"
    flags = [] if setting == "llvm" else ["-march=native"]
    flags += [RUNTIME] if threads > 1 else []
    flags += [BLAS] if "gemm" in manifest else []
    run([compiler, "-O2", "-fPIC", "-shared", "-o", stem + ".so", code, stem + "-shim.c", *flags])
    return manifest, ctypes.CDLL(stem + ".so")


def pool(threads):
    """A pool of the runtime, its threads on the cores of this process."""
    lib, made = ctypes.CDLL(RUNTIME), ctypes.c_void_p()
    cores = (ctypes.c_int * threads)(*sorted(os.sched_getaffinity(0))[:threads])
    error = ctypes.create_string_buffer(256)
    if lib.rnn_rt_pool_create(ctypes.byref(made), threads, cores, error, ctypes.c_size_t(256)):
        raise RuntimeError(error.value.decode())
    return made


POOLS = {} # one for all cases


def prepare(case, setting, threads):
    if threads > 1 and not RUNTIME:
        return "the runtime was not built"
    if threads > 1 and threads not in POOLS:
        POOLS[threads] = pool(threads)
    manifest, lib = build(case, setting, threads)
    functions = {f["name"]: f for f in manifest["functions"]}
    params = Block(manifest["param_count"])
    for p in manifest["params"]:
        values = drawn(p["name"], p["shape"])
        ctypes.memmove(params.at + 4 * p["offset"], values.at, 4 * values.count)
    x, d_y, y = io_blocks(case)
    d_params, d_x = Block(params.count), Block(x.count)
    weights = Block(0, manifest["weight_bytes"])
    scalars = {"batch": case["B"], "steps": case["T"], "work_bytes": 0}
    fields = {"params": params, "weights": weights, "input": x, "output": y, "upstream": d_y,
              "d_params": d_params, "d_input": d_x, "loss": None, "lengths": None,
              "pool": POOLS[threads].value if threads > 1 else None}
    keep = []

    def values(name):
        out = []
        for arg in functions[name]["args"]:
            if arg["pointer"]:
                out.append(fields[arg["role"]])
            else:
                keep.append(ctypes.c_int64(scalars[arg["role"]]))
                out.append(ctypes.addressof(keep[-1]))
        return out

    def call(name):
        function = getattr(lib, "call_" + name)
        function.restype = ctypes.c_int64
        return function(pointers(values(name)))

    name = "grad" if case["training"] else "forward"
    scalars["work_bytes"] = call(name + "_work_bytes")
    fields["work"] = Block(0, scalars["work_bytes"])
    if not case["training"] and call("pack"):
        raise RuntimeError("pack failed")
    args = values(name)
    if case["training"]:
        zeroed = pointers([d_params, d_x])
        sizes = (ctypes.c_int64 * 2)(4 * d_params.count, 4 * d_x.count)
        keep += [zeroed, sizes]
        args += [None] * (30 - len(args)) + [ctypes.addressof(zeroed), ctypes.addressof(sizes)]
    args = pointers(args)
    function = getattr(lib, "call_" + name)
    function.restype = ctypes.c_int64
    if function(args):
        raise RuntimeError(name + " refuses")
    tensors = {"y": y}
    if case["training"]:
        tensors["d_x"] = d_x
        for p in manifest["params"]:
            part = Block(size(p["shape"]))
            part.at, part.memory = d_params.at + 4 * p["offset"], d_params.memory
            tensors["d_" + p["name"]] = part
    work = Work(tensors, symbol=ctypes.cast(function, ctypes.c_void_p), args=args)
    work.kept = (lib, keep, fields)
    work.about = f"workspace {scalars['work_bytes']}"
    return work
