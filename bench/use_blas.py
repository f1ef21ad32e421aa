"""The plain program over OpenBLAS, a step at a time (native/blas.c). Forward only."""
import ctypes
import os

from use_onednn import BIASES, GATES
from worker import Block, Work, drawn, io_blocks, pointers


def version():
    lib = ctypes.CDLL(os.environ["BENCH_BLAS"])
    lib.openblas_get_config.restype = ctypes.c_char_p
    return " ".join(lib.openblas_get_config().decode().split()[:2])


def settings(case, threads):
    fits = case["cell"] in GATES and len(case["stack"]) == 1 and not case["bi"]
    return ["step"] if fits and not case["training"] and not case["dense"] else []


def prepare(case, setting, threads):
    lib = ctypes.CDLL(os.environ["BENCH_BLAS"])
    lib.blas_open.restype = ctypes.c_void_p
    T, B, I, H = (case[k] for k in "TBIH")
    gates, biases = GATES[case["cell"]], BIASES[case["cell"]]
    w = [drawn("l.W" + g, [H, I]) for g in gates]
    u = [drawn("l.U" + g, [H, H]) for g in gates]
    b = [drawn("l." + n, [H]) for n in biases]
    x, _, _ = io_blocks(case)
    y, p = Block(T * B * H), ctypes.c_void_p
    sizes = (ctypes.c_int64 * 6)(T, B, I, H, len(gates), len(biases))
    layer = lib.blas_open(list(GATES).index(case["cell"]), sizes, pointers(w), pointers(u),
                          pointers(b), p(x.at), p(y.at))
    work = Work({"y": y}, symbol=ctypes.cast(lib.blas_run, p), args=pointers([layer]))
    work.kept = (x, y)
    return work
