"""`rnnc run`: ranks, batches, lengths, states, types, lists of what does not fit; both backends."""
import math
import os
import re
import signal
import stat
import subprocess
import unittest

from files import RNNC, Case, npy_bytes, npy_parse, safetensors_bytes, safetensors_parse

NET = """size I = 2, H = 1
model Net(x[t]: [I], h0: [H] = 0) -> h[t]: [H], n: [H] {
    param W: [H, I] ~ glorot
    param U: [H, H] ~ glorot
    state h[t] = h0
    h[t] = tanh(W @ x[t] + U @ h[t-1])
    n = h[last]
}
"""
W, U = [0.5, -0.25], [0.75]
WEIGHTS = {"W": ((1, 2), W), "U": ((1, 1), U)}
STREAM = [1.0, 2.0, -1.0, 0.5, 0.25, 0.125]  # [3, 2]


def net(stream, h=0.0):
    out = []
    for i in range(0, len(stream), 2):
        h = math.tanh(W[0] * stream[i] + W[1] * stream[i + 1] + U[0] * h)
        out.append(h)
    return out


COUNTER = """model Counter(x[t]: []) -> y[t]: [], p[t]: [] {
    use acc = carry Sum
    y[t], p[t] = acc(x[t])
}
model Sum(x[t]: []) -> s[t]: [], p[t]: [] {
    state s[t]: [] = 0
    state d[t]: [] = 0
    d[t] = x[t]
    s[t] = s[t-1] + d[t-2]
    p[t] = t
}
"""

BESIDE = """model Sum(x[t]: []) -> s[t]: [] {
    state s[t] = 0
    s[t] = s[t-1] + x[t]
}
model Outer(x[t]: []) -> y[t]: [] {
    use l = carry Sum
    state h[t]: [] = 0
    h[t] = l(x[t])
    y[t] = h[t] + 10 * h[t-1]
}
"""


RANKS = """model Ranks(x: [1,1,1,1,1,1,1,2], n[t]: []) -> g: [1,1,1,1,1,1,1,2], h[t]: [1,1,1,1,1,1,1,2] {
    g = x + 1
    h[t] = x + n[t]
}
"""

POSITIONS = """model Ramp(x[t]: []) -> h[t]: [] {
    state h[t]: [] = 0
    h[t] = x[t] + h[t-1] + t
}
model Two(x[t]: [], z[u]: []) -> y[t]: [], w[u]: [] {
    use f = carry Ramp
    use g = carry Ramp
    y[t] = f(x[t])
    w[u] = g(z[u])
}
model Pair(x[t]: []) -> y[t]: [] {
    use f = carry Ramp
    use g = carry Ramp
    y[t] = f(x[t]) + g(x[t])
}
"""


class Both:
    """Tests that each backend must pass."""
    backend = None

    def test_arrays_of_nine_dimensions(self):
        """A file has at most 8: an array with one more is refused, not cut."""
        self.write("m.rnn", RANKS)
        self.npy("x.npy", (1, 1, 1, 1, 1, 1, 1, 2), [1.0, 2.0])
        self.npy("n.npy", (3,), [1.0, 2.0, 3.0])
        run = ["run", "m.rnn", "--backend=" + self.backend, "--in", "x=x.npy", "--in", "n=n.npy"]
        self.rnnc(*run, "--out", "g=g.npy")
        self.assertEqual(self.read_npy("g.npy")[0], (1, 1, 1, 1, 1, 1, 1, 2))
        self.fails(1, "h has 9 dimensions when a file may have at most 8", *run, "--out", "h=h.npy")

    def run_net(self, *args, **more):
        self.write("net.rnn", NET)
        if not os.path.exists(self.path("w.safetensors")):
            self.write("w.safetensors", safetensors_bytes(WEIGHTS))
        return self.rnnc("run", "net.rnn", "--backend=" + self.backend, "--weights", "w.safetensors",
                         *args, **more)

    def test_one_sequence(self):
        self.npy("x.npy", (3, 2), STREAM)
        self.run_net("--in", "x=x.npy", "--out", "h=h.npy", "--out", "n=n.npy")
        shape, values, dtype = self.read_npy("h.npy")
        self.assertEqual((shape, dtype), ((3, 1), "<f4"))
        self.close(values, net(STREAM))
        shape, values, _ = self.read_npy("n.npy")
        self.assertEqual(shape, (1,))
        self.close(values, net(STREAM)[-1:])

    def test_batch(self):
        other = [0.5 * v for v in STREAM]
        rows = [v for t in range(3) for s in (STREAM, other) for v in s[2 * t:2 * t + 2]]
        self.npy("x.npy", (3, 2, 2), rows)
        self.run_net("--in", "x=x.npy", "--out", "h=h.npy", "--out", "n=n.npy")
        shape, values, _ = self.read_npy("h.npy")
        self.assertEqual(shape, (3, 2, 1))
        self.close(values[0::2], net(STREAM))
        self.close(values[1::2], net(other))
        self.assertEqual(self.read_npy("n.npy")[0], (2, 1))
        self.npy("xb.npy", (2, 3, 2), STREAM + other)
        self.run_net("--batch-first", "--in", "x=xb.npy", "--out", "h=hb.npy")
        shape, turned, _ = self.read_npy("hb.npy")
        self.assertEqual(shape, (2, 3, 1))
        self.assertEqual(turned, values[0::2] + values[1::2])

    def test_lengths(self):
        rows = [v for t in range(3) for _ in range(2) for v in STREAM[2 * t:2 * t + 2]]
        self.npy("x.npy", (3, 2, 2), rows)
        self.npy("l.npy", (2,), [1, 3], "<i8")
        self.run_net("--in", "x=x.npy", "--lengths", "t=l.npy", "--out", "h=h.npy", "--out", "n=n.npy",
                     "--out-lengths", "t=f.npy")
        want = net(STREAM)
        self.close(self.read_npy("h.npy")[1], [want[0], want[0], 0, want[1], 0, want[2]])
        self.close(self.read_npy("n.npy")[1], [want[0], want[2]])
        self.assertEqual(self.read_npy("f.npy"), ((2,), [1, 3], "<i4"))

    def test_length_number(self):
        self.npy("x.npy", (3, 2), STREAM)
        self.run_net("--in", "x=x.npy", "--lengths", "t=2", "--out", "h=h.npy", "--out-lengths", "t=f.npy")
        shape, values, _ = self.read_npy("h.npy")
        self.assertEqual(shape, (3, 1))
        self.close(values, net(STREAM)[:2] + [0])
        self.assertEqual(self.read_npy("f.npy"), ((), [2], "<i4"))

    def test_input_with_default(self):
        self.npy("x.npy", (3, 2), STREAM)
        self.npy("h0.npy", (1,), [0.5])
        self.run_net("--in", "x=x.npy", "--in", "h0=h0.npy", "--out", "h=h.npy")
        self.close(self.read_npy("h.npy")[1], net(STREAM, 0.5))

    def test_precision(self):
        self.npy("x.npy", (3, 2), STREAM, "<f8")
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=h.npy")
        self.assertIn("x holds float64 and is rounded to float32", err)
        _, err = self.run_net("--dtype=f64", "--in", "x=x.npy", "--out", "h=d.npy")
        self.assertNotIn("rounded", err)
        _, values, dtype = self.read_npy("d.npy")
        self.assertEqual(dtype, "<f8")
        self.close(values, net(STREAM), 1e-14)

    def test_pipes(self):
        out, _ = self.run_net("--in", "x=-", "--out", "h=-", stdin=npy_bytes((3, 2), STREAM))
        self.close(npy_parse(out)[1], net(STREAM))

    def test_wrong_inputs(self):
        self.npy("x.npy", (3, 3), [0.0] * 9)
        self.npy("b.npy", (1,), [0.0])
        _, err = self.run_net("--in", "x=x.npy", "--in", "q=b.npy", "--out", "h=h.npy", status=1)
        self.assertIn("x has shape [3, 3] when it should be [t, 2], or [t, batch, 2] for a batch", err)
        self.assertIn("the model has no input q", err)
        _, err = self.run_net("--out", "h=h.npy", status=1)
        self.assertIn("x is missing", err)
        self.npy("x.npy", (3, 2, 2), [0.0] * 12)
        _, err = self.run_net("--in", "x=x.npy", "--in", "h0=b.npy", "--out", "h=h.npy", status=1)
        self.assertIn("x is a batch when h0 is one sequence", err)
        self.npy("b.npy", (3, 1), [0.0] * 3)
        _, err = self.run_net("--in", "x=x.npy", "--in", "h0=b.npy", "--out", "h=h.npy", status=1)
        self.assertIn("h0 has 3 sequences when x has 2", err)
        self.npy("x.npy", (3, 2), [0] * 6, "<i4")
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=h.npy", status=1)
        self.assertIn("x holds int32 when it should be floating numbers", err)
        self.assertFalse(os.path.exists(self.path("h.npy")))

    def test_wrong_lengths(self):
        self.npy("x.npy", (3, 2), STREAM)
        for value, words in (("t=4", "t has length 4 in sequence 0 when it may have 0 to 3"),
                             ("u=1", "no time axis u"), ("t=no.npy", "no.npy: cannot open")):
            _, err = self.run_net("--in", "x=x.npy", "--lengths", value, "--out", "h=h.npy", status=1)
            self.assertIn(words, err)
        _, err = self.run_net("--in", "x=x.npy", "--lengths", "t=0", "--out", "n=n.npy", status=1)
        self.assertIn("E-RUN", err)

    def test_wrong_weights(self):
        self.npy("x.npy", (3, 2), STREAM)
        self.write("w.safetensors", safetensors_bytes({"W": ((2, 1), W), "V": ((1,), [0.0])}))
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=h.npy", status=1)
        self.assertIn("W has shape [2, 1] when it should be [1, 2]", err)
        self.assertIn("U [1, 1] is missing", err)
        self.assertIn("V [1] is no parameter of the model", err)
        self.write("w.safetensors", b"nonsense")
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=h.npy", status=1)
        self.assertIn("w.safetensors", err)

    def test_wrong_names(self):
        self.npy("x.npy", (3, 2), STREAM)
        _, err = self.run_net("--in", "x=x.npy", "--out", "z=z.npy", "--out-lengths", "u=u.npy", status=1)
        self.assertIn("no output z", err)
        self.assertIn("no time axis u", err)
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=h.npy", "--state-out", "s", status=1)
        self.assertIn("--state-out: model Net carries no state", err)
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=o.npy", "--out", "n=o.npy", status=2)
        self.assertIn("two results go to o.npy", err)

    def test_results_appear_together(self):
        self.npy("x.npy", (3, 2), STREAM)
        before = sorted(os.listdir(self.folder) + ["net.rnn", "w.safetensors"])
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=h.npy", "--out", "n=nowhere/n.npy", status=3)
        self.assertIn("cannot write nowhere/n.npy", err)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        _, err = self.run_net("--in", "x=x.npy", "--out", "h=h.npy", "--out", "n=/dev/full", status=3)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_integers_and_bools(self):
        self.write("m.rnn", "model M(w[t]: int(4), b[t]: bool) -> v[t]: int(4), c[t]: bool {\n"
                            "    state v[t]: int(4) = 3\n"
                            "    v[t] = if b[t] then w[t] else v[t-1]\n    c[t] = not b[t]\n}\n")
        self.npy("w.npy", (4,), [0, 1, 2, 3], "<i8")
        self.npy("b.npy", (4,), [False, True, False, True], "|b1")
        args = ["run", "m.rnn", "--backend=" + self.backend, "--in", "w=w.npy", "--in", "b=b.npy",
                "--out", "v=v.npy", "--out", "c=c.npy"]
        self.rnnc(*args)
        self.assertEqual(self.read_npy("v.npy"), ((4,), [3, 1, 1, 3], "<i4"))
        self.assertEqual(self.read_npy("c.npy"), ((4,), [True, False, True, False], "|b1"))
        self.npy("w.npy", (4,), [0, 1, 2, 4], "<i4")
        self.fails(1, "E-RUN", *args)
        self.npy("w.npy", (4,), [0.0] * 4)
        self.fails(1, "w holds float32 when it should be int32 or int64", *args)

    def test_axes(self):
        self.write("m.rnn", "size H = 2\nmodel M(x[t]: [H], y[u]: [H], w[v]: []) -> z[t,u]: [], r[v]: [H] {\n"
                            "    time v in t every 2\n    state a[t,u]: [] = 0\n"
                            "    a[t,u] = a[t-1,u] + dot(x[t], y[u])\n    z[t,u] = a[t,u]\n"
                            "    r[v] = w[v] * x[2*v]\n}\n")
        self.npy("x.npy", (3, 2, 2), range(12))
        self.npy("y.npy", (2, 2, 2), range(8))
        self.npy("w.npy", (2, 2), [2, 3, 4, 5])
        self.npy("l.npy", (2,), [3, 2], "<i4")
        args = ["run", "m.rnn", "--backend=" + self.backend, "--in", "x=x.npy", "--in", "y=y.npy",
                "--lengths", "t=l.npy", "--out", "z=z.npy", "--out", "r=r.npy", "--out-lengths", "v=v.npy"]
        self.rnnc(*args, "--in", "w=w.npy")
        self.assertEqual(self.read_npy("z.npy"),
                         ((3, 2, 2), [1, 13, 5, 33, 6, 46, 46, 118, 15, 0, 123, 0], "<f4"))
        self.assertEqual(self.read_npy("r.npy"), ((2, 2, 2), [0, 2, 6, 9, 32, 36, 0, 0], "<f4"))
        self.assertEqual(self.read_npy("v.npy")[1], [2, 1])
        self.npy("w.npy", (3, 2), range(6))
        self.fails(1, "w has 3 positions on v when it should have 2", *args, "--in", "w=w.npy")

    def test_generation(self):
        self.write("m.rnn", "model M(n: int(9)) -> w[u]: int(9), c[u]: [] {\n    state w[u]: int(9) = 0\n"
                            "    w[u] = argmax(onehot[9](w[u-1]) * 2 + onehot[9](n))\n    c[u] = u\n"
                            "    stop u when u >= 2 * float(n)\n}\n")
        self.npy("n.npy", (2,), [1, 3], "<i4")
        args = ["run", "m.rnn", "--backend=" + self.backend, "--in", "n=n.npy", "--out", "c=c.npy",
                "--out-lengths", "u=u.npy"]
        self.rnnc(*args, "--lengths", "u=6")
        self.assertEqual(self.read_npy("u.npy"), ((2,), [3, 6], "<i4"))
        self.assertEqual(self.read_npy("c.npy")[0], (6, 2))
        self.assertEqual(self.read_npy("c.npy")[1][0::2], [0, 1, 2, 0, 0, 0])
        self.fails(1, "the length of u is missing: --lengths u=N", *args)

    def test_no_memory(self):
        with open(RNNC, "rb") as f:
            if b"__asan_init" in f.read():
                self.skipTest("sanitizers take address space without end")
        self.write("m.rnn", "model M() -> w[u]: [] {\n    w[u] = 1.0\n    stop u when u > 1e9\n}\n")
        limit = ["sh", "-c", 'ulimit -v 2000000; exec "$@"', "sh", RNNC, "run", "m.rnn", "--out", "w=w.npy",
                 "--lengths", "u=1000000000", "--backend=" + self.backend]
        done = subprocess.run(limit, cwd=self.folder, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn(b"no memory left", done.stderr)
        self.assertEqual(os.listdir(self.folder), ["m.rnn"])

    def test_state(self):
        self.write("m.rnn", COUNTER)
        args = ["run", "m.rnn", "--model=Counter", "--backend=" + self.backend]
        whole = [1.0, 2.0, 4.0, 8.0, 16.0]
        self.npy("x.npy", (5,), whole)
        self.rnnc(*args, "--in", "x=x.npy", "--out", "y=y.npy", "--out", "p=p.npy", "--state-out", "all")
        self.assertEqual(self.read_npy("y.npy")[1], [0, 0, 1, 3, 7])
        self.assertEqual(self.read_npy("p.npy")[1], [0, 1, 2, 3, 4])
        state = safetensors_parse(self.read("all"))
        self.assertEqual(state["acc.t"], ((), [5], "<i8"))
        self.assertEqual(state["acc.s"], ((), [7.0], "<f4"))
        self.assertEqual(state["acc.d"], ((2,), [8.0, 16.0], "<f4"))
        self.npy("a.npy", (2,), whole[:2])
        self.npy("b.npy", (3,), whole[2:])
        self.rnnc(*args, "--in", "x=a.npy", "--out", "y=ya.npy", "--state-out", "s")
        self.rnnc(*args, "--in", "x=b.npy", "--out", "y=yb.npy", "--out", "p=pb.npy", "--state-in", "s",
                  "--state-out", "s")
        self.assertEqual(self.read_npy("ya.npy")[1] + self.read_npy("yb.npy")[1], [0, 0, 1, 3, 7])
        self.assertEqual(self.read_npy("pb.npy")[1], [2, 3, 4])
        self.assertEqual(self.read("s"), self.read("all"))
        self.write("s", safetensors_bytes({"acc.s": ((2,), [0, 0]), "q": ((), [1.0]),
                                           "acc.t": ((), [1], "<i8")}))
        err = self.fails(1, "acc.s has shape [2] when it should be []", *args, "--in", "x=b.npy",
                         "--out", "y=yb.npy", "--state-in", "s")
        self.assertIn("acc.d [2] is missing", err)
        self.assertIn("q is no state", err)

    def test_state_of_a_batch(self):
        self.write("m.rnn", COUNTER)
        args = ["run", "m.rnn", "--model=Counter", "--backend=" + self.backend]
        self.npy("x.npy", (3, 2), [1, 10, 2, 20, 4, 40])
        self.npy("l.npy", (2,), [3, 1], "<i4")
        self.rnnc(*args, "--in", "x=x.npy", "--lengths", "t=l.npy", "--out", "y=y.npy", "--state-out", "s")
        state = safetensors_parse(self.read("s"))
        self.assertEqual(state["acc.t"], ((2,), [3, 1], "<i8"))
        self.assertEqual(state["acc.d"], ((2, 2), [2, 0, 4, 10], "<f4"))

    def test_state_beside(self):
        """What reads a carried variable from outside begins with its own boundary in each chunk."""
        self.write("m.rnn", BESIDE)
        args = ["run", "m.rnn", "--model=Outer", "--backend=" + self.backend, "--in", "x=x.npy"]
        self.npy("x.npy", (3,), [1, 3, 5])
        self.rnnc(*args, "--out", "y=a.npy", "--state-out", "s")
        self.rnnc(*args, "--out", "y=b.npy", "--state-in", "s")
        self.assertEqual(self.read_npy("a.npy")[1], [1, 14, 49])
        self.assertEqual(self.read_npy("b.npy")[1], [10, 113, 148])

    def test_positions(self):
        """Each axis along which something is carried has a position; what shares one, shares it."""
        self.write("m.rnn", POSITIONS)
        args = ["run", "m.rnn", "--model=Two", "--backend=" + self.backend, "--in", "x=x.npy", "--in",
                "z=z.npy", "--out", "y=y.npy", "--out", "w=w.npy"]
        self.npy("x.npy", (2,), [0, 0])
        self.npy("z.npy", (3,), [0, 0, 0])
        self.rnnc(*args, "--state-out", "s")
        self.rnnc(*args, "--state-in", "s", "--state-out", "s")
        self.assertEqual(self.read_npy("y.npy")[1], [3, 6])
        self.assertEqual(self.read_npy("w.npy")[1], [6, 10, 15])
        state = safetensors_parse(self.read("s"))
        self.assertEqual((state["f.t"][1], state["g.t"][1]), ([4], [6]))
        args = ["run", "m.rnn", "--model=Pair", "--backend=" + self.backend, "--in", "x=x.npy", "--out",
                "y=y.npy", "--state-in", "s"]
        state = {"f.h": ((), [0.0]), "g.h": ((), [0.0]), "f.t": ((), [4], "<i8"), "g.t": ((), [4], "<i8")}
        self.write("s", safetensors_bytes(state))
        self.rnnc(*args)
        self.assertEqual(self.read_npy("y.npy")[1], [8, 18])
        self.write("s", safetensors_bytes({**state, "g.t": ((), [6], "<i8")}))
        self.fails(1, "g.t is 6 when f.t is 4: both go along t", *args)
        self.write("s", safetensors_bytes({**state, "g.t": ((), [-1], "<i8")}))
        self.fails(1, "g.t is negative", *args)

    def test_loss(self):
        self.write("m.rnn", "model M(x[t]: [], y[t]: []) -> z[t]: [] {\n    param a: [] = 1\n"
                            "    z[t] = a * x[t]\n    loss mean[t](mse(z[t], y[t]))\n}\n")
        self.write("w", safetensors_bytes({"a": ((), [2.0])}))
        self.npy("x.npy", (2, 2), [1, 2, 3, 4])
        self.npy("y.npy", (2, 2), [0, 0, 0, 0])
        args = ["run", "m.rnn", "--weights=w", "--in", "x=x.npy", "--backend=" + self.backend,
                "--loss", "l.npy"]
        self.rnnc(*args, "--in", "y=y.npy", "--mode=eval")
        self.assertEqual(self.read_npy("l.npy"), ((), [30.0], "<f4"))
        self.rnnc(*args, "--in", "y=y.npy", "--mode=train", "--reduce=sum")
        self.assertEqual(self.read_npy("l.npy")[1], [60.0])
        self.fails(1, "y is missing", *args, "--mode=eval")
        self.fails(2, "--loss", *args, "--in", "y=y.npy")
        self.rnnc(*args[:-2], "--out", "z=z.npy")

    def test_generation_and_seed(self):
        self.write("m.rnn", "model M() -> w[u]: int(5) {\n    time u <= 50\n    param b: [5] = 0\n"
                            "    s[u]: int(5) ~ categorical(b)\n    w[u] = s[u]\n"
                            "    stop u when w[u] == 3\n}\n")
        self.write("w", safetensors_bytes({"b": ((5,), [0.0] * 5)}))
        args = ["run", "m.rnn", "--weights=w", "--out", "w=w.npy",
                "--out-lengths", "u=u.npy", "--backend=" + self.backend]
        self.rnnc(*args[:-1], "--backend=interp", "--seed=18446744073709551609")
        first = self.read("w.npy")
        shape, values, _ = npy_parse(first)
        length = self.read_npy("u.npy")[1][0]
        self.assertEqual(shape, (50,))
        self.assertEqual(values.index(3) + 1, length)
        self.assertEqual(values[length:], [0] * (50 - length))
        self.rnnc(*args, "--seed=18446744073709551609")
        self.assertEqual(self.read("w.npy"), first)
        self.rnnc(*args, "--seed=8")
        self.assertNotEqual(self.read("w.npy"), first)
        self.rnnc(*args, "--lengths", "u=1")
        self.assertEqual(self.read_npy("u.npy")[1], [1])
        self.fails(1, "0 to 50", *args, "--lengths", "u=51")


class Interp(Both, Case):
    backend = "interp"

    def test_usage(self):
        self.write("net.rnn", NET)
        self.fails(2, "nothing to write", "run", "net.rnn", "--in", "x=x.npy")
        self.fails(2, "--in: 'x' is not NAME=FILE", "run", "net.rnn", "--in", "x", "--out", "h=h")
        self.fails(2, "x is given twice", "run", "net.rnn", "--in", "x=a", "--in", "x=b", "--out", "h=h")
        self.fails(2, "standard input is read more than once", "run", "-", "--in", "x=-", "--out", "h=h")
        self.npy("x.npy", (3, 2), STREAM)
        self.fails(1, "--weights is missing", "run", "net.rnn", "--backend=interp", "--in", "x=x.npy",
                   "--out", "h=h")


@unittest.skipUnless(os.path.exists(os.path.join(os.path.dirname(RNNC), "rnnc-llvm.so")),
                     "LLVM is not built in")
class InMemory(Both, Case):
    backend = "llvm"


class Compiled(Both, Case):
    backend = "c"

    def test_compiler_is_found(self):
        self.npy("x.npy", (3, 2), STREAM)
        args = ["--in", "x=x.npy", "--out", "h=h.npy"]
        _, err = self.run_net(*args, status=3, env={"CC": "/nonexistent/cc"})
        self.assertIn("cannot start the C compiler '/nonexistent/cc'", err)
        _, err = self.run_net(*args, status=3, env={"CC": "false"})
        self.assertIn("'false' failed (status 1)", err)
        _, err = self.run_net(*args, status=3, env={"CC": "", "PATH": self.folder})
        self.assertIn("there is no C compiler", err)
        for compiler, level in (("gcc", "-O2"), ("clang", "-O2"), ("gcc -O0", "-O0"), ("cc -g -O1", "-O1")):
            _, err = self.run_net(*args, "-v", env={"CC": compiler})
            self.assertEqual(re.findall(r" (-O\S*)", err), [level])
            self.close(self.read_npy("h.npy")[1], net(STREAM))

    def test_no_shell(self):
        self.npy("x.npy", (3, 2), STREAM)
        tool = self.write("my cc", '#!/bin/sh\necho told >&2\nexec cc "$@"\n')
        os.chmod(tool, stat.S_IRWXU)
        os.mkdir(self.path("a b"))
        os.rename(tool, self.path("cc; touch oops"))
        env = {"CC": "", "PATH": self.folder + ":" + os.environ["PATH"], "TMPDIR": self.path("a b")}
        self.run_net("--in", "x=x.npy", "--out", "h=h.npy", env=env)
        self.assertFalse(os.path.exists(self.path("oops")))
        self.assertEqual(os.listdir(self.path("a b")), [])

    def test_signal_leaves_nothing(self):
        self.npy("x.npy", (3, 2), STREAM)
        self.write("net.rnn", NET)
        self.write("w.safetensors", safetensors_bytes(WEIGHTS))
        os.mkdir(self.path("tmp"))
        os.mkfifo(self.path("started"))
        slow = self.write("slow", "#!/bin/sh\necho > started\nsleep 1\nexit 1\n")
        os.chmod(slow, stat.S_IRWXU)
        run = subprocess.Popen([RNNC, "run", "net.rnn", "--backend=c", "--weights", "w.safetensors", "--in",
                                "x=x.npy", "--out", "h=h.npy"], cwd=self.folder, stderr=subprocess.DEVNULL,
                               env=dict(os.environ, CC=slow, TMPDIR=self.path("tmp")))
        self.read("started")
        run.terminate()
        self.assertEqual(run.wait(), -signal.SIGTERM)
        self.assertEqual(os.listdir(self.path("tmp")), [])

    def test_targets_agree(self):
        self.npy("x.npy", (3, 2), STREAM)
        results = set()
        for cpu in ("--cpu=x86-64", "--target=generic"):
            self.run_net("--in", "x=x.npy", "--out", "h=h.npy", cpu)
            results.add(self.read("h.npy"))
        self.assertEqual(len(results), 1)
