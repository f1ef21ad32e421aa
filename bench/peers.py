"""Who takes part, with which interpreter and surroundings; builds the native parts."""
import glob
import os
import subprocess
import sys


class Peer:
    def __init__(self, name, module, python, env, own=False):
        self.name, self.module, self.python, self.env, self.own = name, module, python, env, own
        self.version, self.silent = "", False


def compile_native(words, out, say, what):
    done = subprocess.run(["cc", "-O2", "-march=native", "-fPIC", "-shared", *words, "-o", out],
                          capture_output=True, text=True)
    if done.returncode:
        lines = [l for l in done.stderr.splitlines() if "error" in l] or ["cannot be built"]
        say(f"{what} left out: {lines[0][:160]}")
    return done.returncode == 0


def build(args, folder, here, wanted, say):
    """The peers that can start. Those that are not installed are said."""
    native = os.path.join(here, "native")
    stop_watch = os.path.join(folder, "libbench.so")
    if not compile_native(["-ffp-contract=fast", os.path.join(native, "bench.c"), "-lpthread",
                           "-lm"], stop_watch, say, "the bench"):
        sys.exit(1)
    base = {"BENCH_NATIVE": stop_watch, "PYTHONDONTWRITEBYTECODE": "1"}
    peers = [Peer("rnnc", "use_rnnc", sys.executable, dict(
        base, BENCH_RNNC=os.path.abspath(args.rnnc), BENCH_FOLDER=folder,
        BENCH_RNNC_BLAS=os.path.abspath(os.path.join(args.build, "rnnc-blas.so")),
        BENCH_OPTIONS=args.options), own=True)]
    runtime = os.path.join(folder, "librnn_rt.so") # for pools of threads
    sources = set(glob.glob(os.path.join(here, "..", "runtime", "*.c")))
    sources = sorted(sources - {os.path.join(here, "..", "runtime", "rt_blas.c")})
    if compile_native(sources + ["-lpthread", "-lm"], runtime, say, "two threads of rnnc"):
        peers[0].env["BENCH_RUNTIME"] = runtime
    peers += blas(folder, native, base, wanted, say)
    peers += onednn(args, folder, native, base, wanted, say)
    python = os.path.join(os.path.abspath(args.build), "peers", "venv", "bin", "python")
    base = dict(base, BENCH_FOLDER=folder)
    for name, module in (("ONNX Runtime", "use_ort"), ("PyTorch", "use_torch"),
                         ("JAX", "use_jax"), ("emx-onnx-cgen", "use_emx")):
        if not wanted(name):
            continue
        if not os.path.exists(python):
            say(f"{name} left out: no virtual environment, run make bench-peers")
            continue
        peers.append(Peer(name, module, python, base))
    return peers


def blas(folder, native, base, wanted, say):
    """OpenBLAS with the kernels that are quickest here: what it chooses itself may be others."""
    out = os.path.join(folder, "libblas-step.so")
    words = ["-O3", "-ffast-math", os.path.join(native, "blas.c"), "-lopenblas", "-lm"]
    if not wanted("OpenBLAS") or not compile_native(words, out, say, "OpenBLAS"):
        return []
    env = dict(base, BENCH_BLAS=out)
    if "avx512f" in open("/proc/cpuinfo").read():
        env["OPENBLAS_CORETYPE"] = "SkylakeX"
    return [Peer("OpenBLAS", "use_blas", sys.executable, env)]


def onednn(args, folder, native, base, wanted, say):
    """Debian's, and those of PyPI: the last one with OpenMP, and the newest, which uses TBB."""
    found = []
    peers = os.path.join(os.path.abspath(args.build), "peers")
    for name, include, library in (
            ("oneDNN", "/usr/include", "-ldnnl"),
            ("oneDNN gomp", f"{peers}/gomp/include", f"{peers}/gomp/lib/libdnnl.so.3"),
            ("oneDNN new", f"{peers}/venv/include", f"{peers}/venv/lib/libdnnl.so.3")):
        if not wanted(name):
            continue
        if not os.path.exists(f"{include}/oneapi/dnnl/dnnl.h"):
            say(f"{name} left out: not installed")
            continue
        out = os.path.join(folder, f"lib{name.replace(' ', '-')}.so")
        words = ["-I", include, os.path.join(native, "onednn.c"), library]
        if library[0] == "/":
            words += ["-Wl,--disable-new-dtags", "-Wl,-rpath," + os.path.dirname(library)]
        if compile_native(words, out, say, name):
            device = f"{peers}/venv/lib/libintelocl.so" # the newest one's cores are a device
            found.append(Peer(name, "use_onednn", sys.executable,
                              dict(base, BENCH_ONEDNN=out, OCL_ICD_FILENAMES=device)))
    return found
