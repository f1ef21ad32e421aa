"""`rnnc grad`: losses, gradients of parameters and inputs, upstream gradients, what is refused. The
numbers are sums that can be done by hand. Skipped while the command, or a backend, is not built."""
import os
import re
import subprocess

from files import RNNC, Case, safetensors_bytes, safetensors_parse

# z[t] = a x[t], loss mean over t and sequences of (z - y)^2; b is read by an output alone, f is
# frozen, n (an integer) and k (a default) are inputs besides.
LINE = """model Line(x[t]: [], y[t]: [], k: [] = 1, n: int(3) = 0) -> z[t]: [], s: [2], e: [] {
    param a: [] = 1
    param b: [2] = 1
    param f: [3] = 1 frozen
    z[t] = a * x[t] * k
    s = b * x[last]
    e = if n == 2 then 5 else sum(f)
    loss mean[t](mse(z[t], y[t]))
}
model Free(x[t]: [], y[t]: []) -> z[t]: [], s: [2] {
    param a: [] = 1
    param b: [2] = 1
    z[t] = a * x[t] + 0 * y[t]
    s = b * x[last]
}
model Penalty(x[t]: []) -> z[t]: [] {
    param a: [] = 1
    z[t] = a * x[t]
    loss sum[t](z[t])
    loss square(a)
}
model Ratio(x[t]: [], m[t]: []) -> z[t]: [] {
    param a: [] = 1
    z[t] = a * x[t]
    loss sum[t](m[t] * z[t]) per sum[t](m[t])
}
model Drop(x[t]: [8]) -> z[t]: [8] {
    z[t] = dropout(x[t], 0.5)
}
model Noise(x[t]: []) -> z[t]: [] {
    param a: [] = 1
    n[t]: [] ~ normal(1)
    z[t] = x[t] + a * n[t]
}
model Learnt(x: [], h: [] = 3 * a, k: [] = h + x) -> y: [] {
    param a: [] = 1
    y = x * h + k
    loss square(y)
}
model Keep(x[t]: []) -> y[t]: [] {
    use l = carry Decay
    y[t] = l(x[t])
    loss sum[t](y[t])
}
model Decay(x[t]: []) -> h[t]: [] {
    param a: [] = 1
    param p: [] = 0
    state h[t] = p
    h[t] = a * h[t-1] + x[t]
}
"""
WEIGHTS = {"a": ((), [2.0]), "b": ((2,), [3.0, 4.0]), "f": ((3,), [1.0, 1.0, 1.0])}
NAN, INF = float("nan"), float("inf")
XY = ["--in", "x=x.npy", "--in", "y=y.npy"]
BATCH = ["--in", "x=xb.npy", "--in", "y=yb.npy"]

# (expression of x, x, its gradient where 1 comes from above): section 16 of language.md, and what
# is not taken or has no gradient.
SEAMS = [
    ("relu(x)", [-1, 0, 1], [0, 0, 1]),
    ("abs(x)", [-1, 0, 1], [-1, 0, 1]),
    ("min(x, ones[3])", [0, 1, 2], [1, 1, 0]),
    ("min(ones[3], x)", [0, 1, 2], [1, 0, 0]),
    ("max(x, ones[3])", [0, 1, 2], [0, 1, 1]),
    ("max(ones[3], x)", [0, 1, 2], [0, 0, 1]),
    ("max(x) * ones[3]", [1, 2, 2], [0, 3, 0]),
    ("min(x) * ones[3]", [2, 1, 1], [0, 3, 0]),
    ("x[argmax(x)] * ones[3]", [1, 2, 2], [0, 3, 0]),
    ("floor(x) + sign(x) + x * detach(x)", [-1, 0, 2], [-1, 0, 2]),
    ("if x > 0 then log(x) else zeros[3]", [-1, 0, 2], [0, 0, 0.5]),
    ("if x > 0 then sqrt(x) else x", [-1, 0, 4], [1, 1, 0.25]),
    ("if x > 0 then 1 / x else zeros[3]", [-1, 0, 2], [0, 0, -0.25]),
    ("logaddexp(x, -inf * ones[3])", [-INF, 0, 1], [0, 1, 1]),
    ("logsumexp(x) * ones[3]", [-INF, 0, 0], [0, 1.5, 1.5]),
    ("logsumexp(x) * ones[3]", [-INF, -INF, -INF], [0, 0, 0]),
    ("sigmoid(x)", [-1000, 0, 1000], [0, 0.25, 0]),
    ("tanh(x)", [-1000, 0, 1000], [0, 1, 0]),
    ("softplus(x)", [-1000, 0, 1000], [0, 0.5, 1]),
    ("xent(x, 1) * ones[3]", [1000, 0, -1000], [3, -3, 0]),
]


class Both:
    """Tests that each backend must pass."""
    backend = None

    def setUp(self):
        super().setUp()
        self.write("m.rnn", LINE)
        self.write("w", safetensors_bytes(WEIGHTS))
        self.write("wa", safetensors_bytes({"a": WEIGHTS["a"]}))
        self.write("wab", safetensors_bytes({"a": WEIGHTS["a"], "b": WEIGHTS["b"]}))
        self.npy("x.npy", (3,), [1, 2, 3])
        self.npy("y.npy", (3,), [0, 1, 2])
        call = self.line("Penalty", "wa", "--in", "x=x.npy", "--grads", "probe")
        probe = subprocess.run([RNNC] + call, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        if probe.returncode == 2 and probe.stderr.rstrip().endswith("is not built yet"):
            self.skipTest(probe.stderr.strip())

    def line(self, model, weights, *args):
        return (["grad", "m.rnn", "--model=" + model, "--backend=" + self.backend] +
                (["--weights", weights] if weights else []) + list(args))

    def grad(self, model, weights, *args, **more):
        return self.rnnc(*self.line(model, weights, "--grads", "g", *args), **more)

    def refused(self, words, model, weights, *args, status=1):
        """Refused with these words; no file is left."""
        before = sorted(os.listdir(self.folder))
        err = self.fails(status, words, *self.line(model, weights, *args))
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        return err

    def tensors(self, name):
        return safetensors_parse(self.read(name))

    def scalar(self, name, tensor="a"):
        shape, values, _ = self.tensors(name)[tensor]
        self.assertEqual(shape, ())
        return values[0]

    def test_by_hand(self):
        """z = 2, 4, 6, z - y = 2, 3, 4: loss 29/3, d_a = 2/3 (2 + 6 + 12), d_x = 4/3 (z - y)."""
        self.grad("Line", "w", *XY, "--loss", "l", "--in-grads", "i")
        shape, values, dtype = self.read_npy("l")
        self.assertEqual((shape, dtype), ((), "<f4"))
        self.close(values, [29 / 3])
        grads = self.tensors("g")
        self.assertEqual({k: v[0] for k, v in grads.items()}, {"a": (), "b": (2,), "f": (3,)})
        self.assertEqual({v[2] for v in grads.values()}, {"<f4"})
        self.close(grads["a"][1], [40 / 3])
        self.assertEqual(grads["b"][1] + grads["f"][1], [0.0] * 5)
        ins = self.tensors("i")
        self.assertEqual((ins["x"][0], ins["y"][0]), ((3,), (3,)))
        self.close(ins["x"][1], [8 / 3, 4, 16 / 3])
        self.close(ins["y"][1], [-4 / 3, -2, -8 / 3])

    def test_defaults(self):
        """x = 2, a = 2: h = 6, k = 8, y = 20, d_y = 40, so d_a = 40 (3 x + 3); with h = 4, k = 6,
        y = 14, d_y = 28, nothing; with k = 5 alone y = 17, d_y = 34, d_a = 34 * 3 x."""
        self.npy("x.npy", (), [2])
        self.npy("h.npy", (), [4])
        self.npy("k.npy", (), [5])
        self.write("wa", safetensors_bytes({"a": WEIGHTS["a"]}))
        x, h, k = (["--in", name + "=" + name + ".npy"] for name in "xhk")
        self.grad("Learnt", "wa", *x, "--in-grads", "i")
        self.close([self.scalar("g")], [360])
        self.assertEqual(sorted(self.tensors("i")), ["x"])
        self.close([self.scalar("i", "x")], [40 * (6 + 1)])
        self.grad("Learnt", "wa", *x, *h, "--in-grads", "i")
        self.close([self.scalar("g"), self.scalar("i", "h")], [0, 28 * (2 + 1)])
        self.grad("Learnt", "wa", *x, *k, "--in-grads", "i")
        self.close([self.scalar("g"), self.scalar("i", "k")], [34 * 6, 34])

    def test_inputs_with_gradients(self):
        """Real inputs that are given; integers have no gradient, but may be given."""
        self.npy("k.npy", (), [1])
        self.npy("n.npy", (), [2], "<i4")
        self.grad("Line", "w", *XY, "--in", "k=k.npy", "--in",
                  "n=n.npy", "--in-grads", "i")
        ins = self.tensors("i")
        self.assertEqual(sorted(ins), ["k", "x", "y"])
        self.assertEqual(ins["k"][0], ())
        self.close(ins["k"][1], [80 / 3])

    def test_batch_is_mean(self):
        """Two sequences; the second is the first one halved, with targets of 0."""
        self.npy("xb.npy", (3, 2), [1, 0.5, 2, 1, 3, 1.5])
        self.npy("yb.npy", (3, 2), [0, 0, 1, 0, 2, 0])
        ins = BATCH + ["--loss", "l", "--in-grads", "i"]
        second, d_second = (1 + 4 + 9) / 3, 2 / 3 * (0.5 + 2 + 4.5)
        self.grad("Line", "w", *ins)
        self.close(self.read_npy("l")[1], [(29 / 3 + second) / 2])
        self.close([self.scalar("g")], [(40 / 3 + d_second) / 2])
        shape, values, _ = self.tensors("i")["x"]
        self.assertEqual(shape, (3, 2))
        self.close(values[0::2], [4 / 3, 2, 8 / 3])
        self.grad("Line", "w", *ins, "--reduce=sum")
        self.close(self.read_npy("l")[1], [29 / 3 + second])
        self.close([self.scalar("g")], [40 / 3 + d_second])
        self.close(self.tensors("i")["x"][1][0::2], [8 / 3, 4, 16 / 3])

    def test_batch_first(self):
        self.npy("xb.npy", (2, 3), [1, 2, 3, 0.5, 1, 1.5])
        self.npy("yb.npy", (2, 3), [0, 1, 2, 0, 0, 0])
        self.npy("d.npy", (2, 3), [0, 0, 1, 0, 0, 0])
        self.grad("Line", "w", "--batch-first", "--reduce=sum", *BATCH,
                  "--in-grads", "i", "--upstream", "z=d.npy")
        shape, values, _ = self.tensors("i")["x"]
        self.assertEqual(shape, (2, 3))
        self.close(values[:3], [8 / 3, 4, 16 / 3 + 2])

    def test_needs_a_position(self):
        """The mean over no steps is refused, as `run` refuses it."""
        self.npy("x.npy", (0,), [])
        self.npy("y.npy", (0,), [])
        self.refused(r"axis t has length 0 in sequence 0", "Line", "w", *XY, "--grads", "g")

    def test_penalty_counts_once(self):
        """d_a = sum of x over the batch (or its mean), and 2 a."""
        self.npy("xb.npy", (3, 2), [1, 10, 2, 20, 3, 30])
        self.grad("Penalty", "wa", "--in", "x=xb.npy", "--loss", "l")
        self.close(self.read_npy("l")[1] + [self.scalar("g")], [66 + 4, 33 + 4])
        self.grad("Penalty", "wa", "--in", "x=xb.npy", "--loss", "l", "--reduce=sum")
        self.close(self.read_npy("l")[1] + [self.scalar("g")], [132 + 4, 66 + 4])

    def test_divisor_has_no_gradient(self):
        """One quotient of the whole batch, with --reduce=sum, too."""
        self.npy("xb.npy", (2, 2), [1, 2, 3, 4])
        self.npy("mb.npy", (2, 2), [1, 0, 0, 3])
        for option in ("--reduce=mean", "--reduce=sum"):
            self.grad("Ratio", "wa", "--in", "x=xb.npy", "--in", "m=mb.npy", "--loss", "l",
                      "--in-grads", "i", option)
            self.close(self.read_npy("l")[1] + [self.scalar("g")], [26 / 4, 13 / 4])
            self.close(self.tensors("i")["x"][1], [0.5, 0, 0, 1.5])
            self.close(self.tensors("i")["m"][1], [0.5, 1, 1.5, 2])

    def test_padding(self):
        """What lies behind an end is not read and has the gradient 0, upstream gradients, too."""
        self.npy("xb.npy", (3, 2), [1, 5, 2, NAN, 3, NAN])
        self.npy("yb.npy", (3, 2), [0, 9, 1, NAN, 2, NAN])
        self.npy("d.npy", (3, 2), [1, 1, 1, NAN, 1, NAN])
        self.npy("t.npy", (2,), [3, 1], "<i4")
        self.grad("Line", "w", *BATCH, "--lengths", "t=t.npy",
                  "--upstream", "z=d.npy", "--loss", "l", "--in-grads", "i")
        self.close(self.read_npy("l")[1], [(29 / 3 + 1) / 2])
        self.close([self.scalar("g")], [(40 / 3 + 10) / 2 + 11])
        shape, values, _ = self.tensors("i")["x"]
        self.assertEqual(shape, (3, 2))
        self.close(values, [4 / 3 + 2, 2 + 2, 2 + 2, 0, 8 / 3 + 2, 0])
        self.assertEqual([values[3], values[5]], [0, 0])

    def test_no_step(self):
        self.npy("x0.npy", (0,), [])
        self.grad("Penalty", "wa", "--in", "x=x0.npy", "--loss", "l", "--in-grads", "i")
        self.close(self.read_npy("l")[1] + [self.scalar("g")], [4, 4])
        self.assertEqual(self.tensors("i")["x"][:2], ((0,), []))

    def test_upstream(self):
        """Without a loss; of one output, and of both. Parameters that they do not reach have 0."""
        self.npy("dz.npy", (3,), [1, 0, -1])
        self.npy("ds.npy", (2,), [10, 20])
        ins = XY + ["--in-grads", "i"]
        self.grad("Free", "wab", *ins, "--upstream", "z=dz.npy")
        self.assertEqual(self.tensors("g")["b"][:2], ((2,), [0.0, 0.0]))
        self.close([self.scalar("g")], [-2])
        self.close(self.tensors("i")["x"][1], [2, 0, -2])
        self.grad("Free", "wab", *ins, "--upstream", "z=dz.npy", "--upstream", "s=ds.npy")
        self.close(self.tensors("g")["b"][1] + [self.scalar("g")], [30, 60, -2])
        self.close(self.tensors("i")["x"][1], [2, 0, -2 + 110])
        self.assertEqual(self.tensors("i")["y"][1], [0, 0, 0])

    def test_upstream_beside_loss(self):
        """They add up; an upstream gradient is not divided by the batch."""
        self.npy("xb.npy", (3, 2), [1, 0.5, 2, 1, 3, 1.5])
        self.npy("yb.npy", (3, 2), [0, 0, 1, 0, 2, 0])
        self.npy("dz.npy", (3, 2), [1, 0, 0, 0, 0, 2])
        ins = BATCH + ["--loss", "l"]
        self.grad("Line", "w", *ins)
        alone, loss = self.scalar("g"), self.read("l")
        self.grad("Line", "w", *ins, "--upstream", "z=dz.npy")
        self.close([self.scalar("g")], [alone + 1 + 3])
        self.assertEqual(self.read("l"), loss)

    def test_double(self):
        self.grad("Line", "w", *XY, "--loss", "l", "--in-grads", "i",
                  "--dtype=f64")
        self.assertEqual(self.read_npy("l")[2], "<f8")
        for name in ("g", "i"):
            self.assertEqual({v[2] for v in self.tensors(name).values()}, {"<f8"})
        self.close([self.scalar("g")], [40 / 3], 1e-15)

    def test_dropout_of_forward(self):
        """The mask of the gradient is that of the outputs with this seed; eval has none."""
        self.npy("x.npy", (5, 8), [1.0] * 40)
        self.npy("d.npy", (5, 8), [1.0] * 40)
        masks = []
        for seed in ("--seed=1", "--seed=1", "--seed=2"):
            self.rnnc(*self.line("Drop", None, "--in", "x=x.npy", "--upstream", "z=d.npy",
                                 "--in-grads", "i", seed))
            masks.append(self.tensors("i")["x"][1])
        self.rnnc("run", "m.rnn", "--model=Drop", "--backend=interp", "--mode=train", "--seed=1",
                  "--in", "x=x.npy", "--out", "z=z.npy")
        self.assertEqual(masks[0], self.read_npy("z.npy")[1])
        self.assertEqual(masks[0], masks[1])
        self.assertNotEqual(masks[0], masks[2])
        self.assertEqual(set(masks[0]), {0.0, 2.0})
        self.rnnc(*self.line("Drop", None, "--in", "x=x.npy", "--upstream", "z=d.npy",
                             "--in-grads", "i", "--mode=eval"))
        self.assertEqual(self.tensors("i")["x"][1], [1.0] * 40)

    def test_draws_of_forward(self):
        """d_a is the sum of the draws; outputs of the same call have the same draws."""
        self.npy("d.npy", (3,), [1, 1, 1])
        self.npy("x.npy", (3,), [0, 0, 0])
        sums = []
        for seed in ("--seed=5", "--seed=6"):
            self.grad("Noise", "wa", "--in", "x=x.npy", "--upstream", "z=d.npy", "--out", "z=z.npy",
                      "--dtype=f64", seed)
            sums.append(self.scalar("g"))
            self.close([sums[-1]], [sum(self.read_npy("z.npy")[1]) / 2], 1e-14)
        self.assertNotEqual(sums[0], sums[1])

    def test_carry(self):
        """h = 1 from the chunk before: h = 3, 8, 19; d_a is the sum of d h / d a = 1, 5, 18. The
        boundary counts only where a sequence begins: h = 7, 16, 35; d_a = 3 + 13 + 42."""
        self.write("wl", safetensors_bytes({"l.a": ((), [2.0]), "l.p": ((), [3.0])}))
        self.write("s", safetensors_bytes({"l.h": ((), [1.0]), "l.t": ((), [7], "<i8")}))
        self.grad("Keep", "wl", "--in", "x=x.npy", "--state-in", "s", "--state-out", "s2", "--loss",
                  "l", "--in-grads", "i")
        self.close(self.read_npy("l")[1] + [self.scalar("g", "l.a")], [30, 24])
        self.assertEqual(self.scalar("g", "l.p"), 0)
        self.close(self.tensors("i")["x"][1], [7, 3, 1])
        state = self.tensors("s2")
        self.assertEqual((state["l.h"][1], state["l.t"][1]), ([19], [10]))
        self.grad("Keep", "wl", "--in", "x=x.npy", "--loss", "l")
        self.close(self.read_npy("l")[1] + [self.scalar("g", "l.a"), self.scalar("g", "l.p")],
                   [58, 58, 14])

    def test_carry_of_a_batch(self):
        """Two sequences go on from states of their own."""
        self.write("wl", safetensors_bytes({"l.a": ((), [2.0]), "l.p": ((), [3.0])}))
        self.write("s", safetensors_bytes({"l.h": ((2,), [3.0, 1.0]),
                                           "l.t": ((2,), [2, 7], "<i8")}))
        self.npy("xb.npy", (3, 2), [1, 1, 2, 2, 3, 3])
        self.grad("Keep", "wl", "--in", "x=xb.npy", "--state-in", "s", "--loss", "l",
                  "--reduce=sum")
        self.close(self.read_npy("l")[1] + [self.scalar("g", "l.a"), self.scalar("g", "l.p")],
                   [58 + 30, 58 + 24, 0])

    def test_some_of_the_results(self):
        """Each of --loss, --grads and --in-grads may be asked for alone; - is standard output."""
        ins = XY
        self.grad("Line", "w", *ins, "--loss", "l", "--in-grads", "i")
        for option, name in (("--loss", "l"), ("--grads", "g"), ("--in-grads", "i")):
            self.rnnc(*self.line("Line", "w", *ins, option, "alone"))
            self.assertEqual(self.read("alone"), self.read(name))
            out, _ = self.rnnc(*self.line("Line", "w", *ins, option, "-"))
            self.assertEqual(out, self.read(name))
        self.refused("nothing to write", "Line", "w", *ins, status=2)

    def test_seams(self):
        """Each expression has an input and an output of its own."""
        source, call = ["model M("], ["grad", "s.rnn", "--backend=" + self.backend]
        self.npy("ones.npy", (3,), [1, 1, 1])
        for i, (_, x, _) in enumerate(SEAMS):
            source.append("x%d: [3]%s" % (i, ", " if i + 1 < len(SEAMS) else ") -> "))
            self.npy("x%d.npy" % i, (3,), x)
            call += ["--in", "x%d=x%d.npy" % (i, i), "--upstream", "z%d=ones.npy" % i]
        source.append(", ".join("z%d: [3]" % i for i in range(len(SEAMS))) + " {\n")
        for i, (expression, _, _) in enumerate(SEAMS):
            source.append("    z%d = %s\n" % (i, re.sub(r"\bx\b", "x%d" % i, expression)))
        self.write("s.rnn", "".join(source) + "}\n")
        self.rnnc(*call, "--in-grads", "i")
        grads = self.tensors("i")
        for i, (expression, x, want) in enumerate(SEAMS):
            with self.subTest(expression):
                self.close(grads["x%d" % i][1], want)

    def test_first_of_equal_steps(self):
        self.write("s.rnn", "model M(x[t]: [], y[t]: []) -> a: [], b: [] {\n"
                            "    a = max[t](x[t])\n    b = min[t](y[t])\n}\n")
        self.npy("x.npy", (4, 2), [1, 5, 3, 5, 3, NAN, 0, NAN])
        self.npy("u.npy", (2,), [2, 3])
        self.npy("t.npy", (2,), [4, 2], "<i4")
        self.rnnc("grad", "s.rnn", "--backend=" + self.backend, "--in", "x=x.npy",
                  "--in", "y=x.npy", "--lengths", "t=t.npy", "--upstream", "a=u.npy",
                  "--upstream", "b=u.npy", "--in-grads", "i")
        self.close(self.tensors("i")["x"][1], [0, 3, 2, 0, 0, 0, 0, 0])
        self.close(self.tensors("i")["y"][1], [0, 3, 0, 0, 0, 0, 2, 0])

    def test_nothing_over_time(self):
        self.write("s.rnn", "model M(x[t]: []) -> a: [] {\n    a = logsumexp[t](x[t])\n}\n")
        self.npy("x.npy", (2, 2), [-INF, 1, -INF, 1])
        self.npy("u.npy", (2,), [2, 3])
        self.rnnc("grad", "s.rnn", "--backend=" + self.backend, "--in", "x=x.npy",
                  "--upstream", "a=u.npy", "--in-grads", "i")
        self.close(self.tensors("i")["x"][1], [0, 1.5, 0, 1.5])

    def test_first_of_a_pool(self):
        self.write("s.rnn", "model M(x: [1, 5]) -> z: [1, 2] {\n    z = maxpool[2](x)\n}\n")
        self.npy("x.npy", (1, 5), [2, 2, 1, 3, 9])
        self.npy("u.npy", (1, 2), [1, 2])
        line = ["grad", "s.rnn", "--backend=" + self.backend, "--in", "x=x.npy", "--upstream",
                "z=u.npy", "--in-grads", "i"]
        done = subprocess.run([RNNC] + line, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        if "maxpool has no gradient yet [E-GRAD]" in done.stderr:
            self.skipTest("maxpool has no gradient yet")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.close(self.tensors("i")["x"][1], [1, 0, 0, 2, 0])

    # ---- What is refused -------------------------------------------------------------------------

    def test_needs_a_loss_or_upstream(self):
        ins = XY + ["--grads", "g"]
        self.refused(["Free", "no loss", "--upstream"], "Free", "wab", *ins)
        self.npy("d.npy", (3,), [1, 1, 1])
        self.refused("model Free has no loss", "Free", "wab", *ins, "--upstream", "z=d.npy",
                     "--loss", "l")

    def test_all_that_does_not_fit(self):
        """Missing, surplus and wrong tensors of all kinds in one list."""
        self.write("bad", safetensors_bytes({"b": ((3,), [1.0] * 3), "q": ((), [1.0])}))
        self.npy("d.npy", (3, 2, 2), [1] * 12)
        self.npy("e.npy", (3,), [1, 1, 1])
        err = self.refused(["a [] is missing", "f [3] is missing", "y is missing",
                            "q [] is no parameter", "no output r"], "Line", "bad",
                           "--in", "x=x.npy", "--upstream", "z=d.npy", "--upstream", "s=e.npy",
                           "--upstream", "r=d.npy", "--grads", "g", "--loss", "l",
                           "--in-grads", "i")
        wrong = ("b", "[3]", "[2]"), ("z", "[3, 2, 2]", "[t]"), ("s", "[3]", "[2]")
        for name, got, want in wrong:
            lines = [line for line in err.splitlines() if got in line and want in line]
            self.assertTrue(any(name in line.split() for line in lines), err)

    def test_upstream_of_another_length(self):
        self.npy("d.npy", (2,), [1, 1])
        self.refused("z has 2 positions on t when it should have 3", "Free", "wab", *XY,
                     "--upstream", "z=d.npy", "--grads", "g")

    def test_upstream_of_another_rank(self):
        """A call is batched in all its tensors or in none."""
        self.npy("d.npy", (3, 2), [1] * 6)
        self.refused("z is a batch when", "Free", "wab", *XY, "--upstream",
                     "z=d.npy", "--grads", "g")

    def test_upstream_of_integers(self):
        self.write("i.rnn", "model M(x[t]: []) -> w[t]: int(2), z[t]: [] {\n    param a: [] = 1\n"
                            "    z[t] = a * x[t]\n    w[t] = argmax(concat(z[t], 0))\n}\n")
        self.npy("d.npy", (3,), [1, 1, 1])
        self.fails(1, "w", "grad", "i.rnn", "--backend=" + self.backend, "--weights", "wa", "--in",
                   "x=x.npy", "--upstream", "w=d.npy", "--grads", "g")
        self.assertFalse(os.path.exists(self.path("g")))

    def test_command_line(self):
        ins = XY
        self.refused("--mode", "Line", "w", *ins, "--grads", "g", "--mode=infer", status=2)
        self.refused("--upstream: 'z' is not NAME=FILE", "Free", "wab", *ins, "--grads", "g",
                     "--upstream", "z", status=2)
        self.refused("--upstream: z is given twice", "Free", "wab", *ins, "--grads", "g",
                     "--upstream", "z=a", "--upstream", "z=b", status=2)
        self.refused("standard input is read more than once", "Free", "wab", "--in", "x=-",
                     "--in", "y=y.npy", "--upstream", "z=-", "--grads", "g", status=2)
        for option in ("--grads", "--in-grads", "--upstream"):
            self.fails(2, option, "run", "m.rnn", "--in", "x=x.npy", "--out", "z=z", option, "z=g")

    def test_all_files_or_none(self):
        self.refused("none/i", "Line", "w", *XY, "--grads", "g",
                     "--loss", "l", "--in-grads", "none/i", status=3)


class GradInterp(Both, Case):
    backend = "interp"


class GradCompiled(Both, Case):
    backend = "c"


CHUNKS = """size H = 3
model Two(x[t]: [2]) -> h[t]: [H] {
    param W: [H,2] ~ glorot
    param U: [H,H] ~ glorot
    param V: [H,H] ~ glorot
    param h0: [H] = 0.1
    state h[t] = h0
    h[t] = tanh(W @ x[t] + U @ h[t-1] + V @ h[t-3] + 0.01 * float(t))
}
model Chunks(x[t]: [2], y[t]: [H], k: [] = 1) -> h[t]: [H], z: [2] {
    use a = Two
    use b = GRU[H]
    param V: [2,H] ~ glorot
    state q[t] = 0
    q[t]: [H] = 0.3 * y[t] * y[t]
    u[t] = dropout(a(x[t]), 0.3)
    h[t] = b(u[t]) + 0.5 * q[t-2] * k
    m[t] = if t % 3 == 0 then 1 else 0
    z = V @ h[last] + V @ h[first]
    loss sum[t](m[t] * mse(h[t], y[t])) per sum[t](m[t])
    loss sum(z * z)
    loss 0.1 * sum(square(V))
}
model Back(x[t]: [2]) -> h[t]: [H] {
    use b = reverse GRU[H]
    h[t] = b(x[t])
}
"""


class GradBudget(Case):
    """--memory-budget: a sequence in chunks has the gradients of the whole."""
    STEPS, BATCH = 23, 2

    def setUp(self):
        super().setUp()
        self.write("m.rnn", CHUNKS)
        wave = lambda n, step: [((i * step) % 17 - 8) / 8 for i in range(n)]
        shapes = {"a.W": (3, 2), "a.U": (3, 3), "a.V": (3, 3), "a.h0": (3,), "V": (2, 3)}
        shapes.update({"b.W" + g: (3, 3) for g in "zrn"})
        shapes.update({"b.U" + g: (3, 3) for g in "zrn"})
        shapes.update({"b.b" + g: (3,) for g in "zrn"})
        sizes = {name: shape[0] * (shape + (1,))[1] for name, shape in shapes.items()}
        self.write("w", safetensors_bytes(
            {name: (shape, [v / 3 for v in wave(sizes[name], 5 + i)])
             for i, (name, shape) in enumerate(shapes.items())}))
        steps, batch = self.STEPS, self.BATCH
        self.npy("x.npy", (steps, batch, 2), wave(steps * batch * 2, 3))
        self.npy("y.npy", (steps, batch, 3), wave(steps * batch * 3, 7))
        self.npy("k.npy", (batch,), wave(batch, 5))
        self.npy("dh.npy", (steps, batch, 3), wave(steps * batch * 3, 11))
        self.npy("l.npy", (batch,), [steps, steps - 5], "<i4")

    def call(self, *args, model="Chunks", weights=("--weights", "w")):
        ins = ["--in", "x=x.npy"]
        if model == "Chunks":
            ins += ["--in", "y=y.npy", "--in", "k=k.npy", "--upstream", "h=dh.npy"]
        return (["grad", "m.rnn", "--model=" + model, "--dtype=f64", "--lengths", "t=l.npy"] + ins +
                list(weights) + list(args))

    def gradients(self, *args):
        self.rnnc(*self.call("--grads", "g", "--in-grads", "i", "--loss", "l", "--out", "h=h.npy",
                             "--out", "z=z.npy", *args))
        out = {"loss": self.read_npy("l")[1], "h": self.read_npy("h.npy")[1],
               "z": self.read_npy("z.npy")[1]}
        for file in "gi":
            for name, tensor in safetensors_parse(self.read(file)).items():
                out[file + name] = tensor[1]
        return out

    def least(self):
        err = self.fails(1, "--memory-budget allows 1000",
                         *self.call("--grads", "g", "--memory-budget=1k"))
        return int(re.search(r"workspace of (\d+) bytes at least", err).group(1))

    def test_whole(self):
        """Chunks of few positions, and longer ones."""
        want = self.gradients("--backend=interp")
        least = self.least()
        for budget in (least, least + least // 10):
            got = self.gradients("--backend=c", "--memory-budget=%d" % budget)
            self.assertEqual(sorted(got), sorted(want))
            for name, values in want.items():
                most = max(max(map(abs, values)), 1e-3)
                self.assertEqual(len(got[name]), len(values))
                for a, b in zip(got[name], values):
                    self.assertLessEqual(abs(a - b), 1e-12 * most, name)

    def test_refused(self):
        """A budget that cannot be met says the least; a model that cannot be cut says why."""
        least = self.least()
        self.rnnc(*self.call("--grads", "g", "--memory-budget=%d" % least))
        self.fails(1, "allows %d" % (least - 1),
                   *self.call("--grads", "g", "--memory-budget=%d" % (least - 1)))
        self.fails(1, "cannot be made in chunks of the sequence", "m.rnn", "--model=Back",
                   "--mode=train", "--memory-budget=1M", "-o", "m.c")
        self.fails(2, "a number of bytes", *self.call("--grads", "g", "--memory-budget=1T"))


class GradMode(Case):
    def test_default_mode(self):
        """grad looks at train mode: dropout has its mask without --mode."""
        self.write("m.rnn", LINE)
        self.npy("x.npy", (5, 8), [1.0] * 40)
        line = [RNNC, "grad", "m.rnn", "--model=Drop", "--in", "x=x.npy", "--upstream", "z=x.npy",
                "--in-grads", "i"]
        done = subprocess.run(line, cwd=self.folder, stderr=subprocess.PIPE, text=True)
        if done.returncode == 2 and done.stderr.rstrip().endswith("is not built yet"):
            self.skipTest(done.stderr.strip())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(set(safetensors_parse(self.read("i"))["x"][1]), {0.0, 2.0})
