"""One contender in a process of its own, with its own libraries, environment and cores: reads a
line of JSON from the driver, answers with one. Every contender draws the same numbers."""
import ctypes
import importlib
import json
import os
import resource
import statistics
import sys
import time
import zlib

NATIVE = None


def native():
    """The stop watch and the probes; what their calls take."""
    global NATIVE
    if NATIVE is None:
        lib = ctypes.CDLL(os.environ["BENCH_NATIVE"])
        p, i, d = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
        for name, result, args in (
                ("time", d, [p, p, i, ctypes.POINTER(i), ctypes.POINTER(i)]),
                ("fill", None, [p, i, ctypes.c_uint64, ctypes.c_float]), ("peak", d, []),
                ("error", d, [p, p, i]), ("read", d, [i, ctypes.c_int]), ("tanh", d, []),
                ("barrier", d, [ctypes.c_int, ctypes.c_int])):
            function = getattr(lib, "bench_" + name)
            function.restype, function.argtypes = result, args
            setattr(lib, name, function)
        NATIVE = lib
    return NATIVE


class Block:
    """Floats aligned to 64 bytes."""

    def __init__(self, count, bytes_=None):
        size = (bytes_ if bytes_ is not None else count * 4) + 64
        self.memory = ctypes.create_string_buffer(size)
        self.at = (ctypes.addressof(self.memory) + 63) // 64 * 64
        self.count = count

    def bytes(self):
        return ctypes.string_at(self.at, self.count * 4)

    def numpy(self, shape):
        import numpy
        offset = self.at - ctypes.addressof(self.memory) # the array keeps the memory
        return numpy.frombuffer(self.memory, numpy.float32, self.count, offset).reshape(shape)


def size(shape):
    count = 1
    for n in shape:
        count *= n
    return count


def drawn(name, shape):
    """Numbers of a tensor by its name: weights small enough for states that stay tame."""
    block = Block(size(shape))
    scale = 1.0 if name in ("x", "d_y") else shape[-1] ** -0.5 if len(shape) > 1 else 0.1
    native().fill(block.at, block.count, zlib.crc32(name.encode()), scale)
    return block


def io_blocks(case):
    """x, the upstream gradient, and room for y."""
    T, B = case["T"], case["B"]
    return (drawn("x", [T, B, case["I"]]), drawn("d_y", [T, B, case["O"]]),
            Block(T * B * case["O"]))


def pointers(values):
    """An array of pointers for a native call; blocks stay alive with it."""
    array = (ctypes.c_void_p * len(values))()
    for i, value in enumerate(values):
        array[i] = value.at if isinstance(value, Block) else value
    array.kept = values
    return array


class Work:
    """What is timed: `call` in Python, or `symbol` with `args` in C; and the tensors it leaves."""

    def __init__(self, tensors, call=None, symbol=None, args=None):
        self.tensors, self.call, self.symbol, self.args = tensors, call, symbol, args

    def once(self):
        if self.call:
            self.call()
        else:
            calls, lost = ctypes.c_int64(), ctypes.c_int64()
            native().time(self.symbol, self.args, 0, calls, lost)

    def time(self, budget):
        if not self.call:
            calls, lost = ctypes.c_int64(), ctypes.c_int64()
            ns = native().time(self.symbol, self.args, budget, calls, lost)
            return {"ns": ns, "calls": calls.value, "lost": lost.value}
        good, bad, call, now = [], [], self.call, time.perf_counter_ns
        begin = now()
        call()
        if now() - begin > budget:
            begin -= budget
        else:
            begin = now()
        while True:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
            start = now()
            call()
            took = now() - start
            after = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
            (bad if after > before else good).append(took)
            if now() - begin >= budget:
                break
        return {"ns": statistics.median(good or bad), "calls": len(good) + len(bad),
                "lost": len(bad)}


def tensors_bytes(tensors):
    """Blocks, arrays of numpy, or calls that give them."""
    for name, value in tensors.items():
        value = value() if callable(value) else value
        if isinstance(value, Block):
            yield name, value.bytes()
        else:
            import numpy
            yield name, numpy.ascontiguousarray(value, numpy.float32).tobytes()


def favour(nice):
    """Before everybody else while a slice lasts, where that is allowed: the driver gave this
    process a session, so that Linux schedules it as a group. Interrupted calls are told apart."""
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write(str(nice))
    except OSError:
        pass


def resident(what):
    """MB of this process: VmRSS now, VmHWM at most since the mark was reset."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(what):
                return int(line.split()[1]) / 1024
    return 0


def reset_most():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


class Server:
    def __init__(self, module):
        self.module, self.works = module, {}

    def op_open(self, q):
        before = resident("VmRSS")
        reset_most()
        made = self.module.prepare(q["case"], q["setting"], q["threads"])
        if isinstance(made, str):
            return {"skip": made}
        made.once()
        memory = resident("VmHWM") - before
        names = []
        for name, data in tensors_bytes(made.tensors):
            with open(f"{q['out']}.{name}.f32", "wb") as file:
                file.write(data)
            names.append(name)
        self.works[q["id"]] = made
        return {"tensors": names, "about": getattr(made, "about", ""), "mb": memory}

    def op_settings(self, q):
        return {"settings": self.module.settings(q["case"], q["threads"]),
                "version": self.module.version()}

    def op_time(self, q):
        favour(-20)
        answer = self.works[q["id"]].time(q["ns"])
        favour(0)
        answer["peak"] = native().peak()
        return answer

    def op_close(self, q):
        self.works.clear()
        return {}

    def op_machine(self, q):
        lib = native()
        favour(-20)
        answer = {"peak": lib.peak(), "tanh": lib.tanh(),
                  "read": {str(n): lib.read(n, q["threads"]) for n in q["sizes"]},
                  "barrier": lib.barrier(0, 1) if q["threads"] > 1 else 0}
        favour(0)
        return answer

    def op_error(self, q):
        with open(q["a"], "rb") as file:
            a = file.read()
        with open(q["b"], "rb") as file:
            b = file.read()
        if len(a) != len(b):
            return {"error": float("inf")}
        return {"error": native().error(a, b, len(a) // 4), "same": a == b}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1) # what libraries print is no answer
    cores = [int(n) for n in os.environ["BENCH_CORES"].split(",")]
    os.sched_setaffinity(0, cores)
    server = None
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if server is None:
                name = sys.argv[1]
                server = Server(importlib.import_module(name) if name != "machine" else None)
            answer = getattr(server, "op_" + question["op"])(question)
        except Exception as error: # a contender that fails is left out with a word
            answer = {"skip": f"{type(error).__name__}: {error}"[:300]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    import worker # one module for all, under one name

    worker.main()
