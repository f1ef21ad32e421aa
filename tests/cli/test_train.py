"""`rnnc train`: updates that can be done by hand, splits, windows, validation against `rnnc run`, exact
resume, signals, logs, curves, what is refused."""
import collections
import json
import math
import os
import pty
import random
import signal
import struct
import subprocess
import xml.etree.ElementTree as ElementTree

from files import ROOT, RNNC, Case, npy_bytes, safetensors_bytes, safetensors_parse

MODELS = """model Line(x[t]: [], y[t]: []) -> z[t]: [] {
    param a: [] = 1
    param f: [] = 3 frozen
    z[t] = a * x[t] + 0 * f
    loss mean[t](mse(z[t], y[t]))
}
model Two(x[t]: [2], y: int(2), w: [] = 1) -> z: [2] {
    param W: [4, 2] ~ glorot
    param U: [4, 4] ~ orthogonal
    param V: [2, 4] ~ normal(0.5)
    param b: [4] = 0
    state h[t]: [4] = 0
    h[t] = tanh(W @ x[t] + U @ h[t-1] + b)
    z = V @ dropout(h[last], 0.2)
    loss w * xent(z, y)
}
model Ratio(x[t]: [2], y[t]: [], m[t]: []) -> z[t]: [] {
    param W: [3, 2] ~ glorot
    param v: [3] = 0.5
    use l = carry Elman[3]
    z[t] = dot(v, l(W @ x[t]))
    loss sum[t](m[t] * mse(z[t], y[t])) per sum[t](m[t])
}
model Many(x[t]: [2], m[t]: [], y: int(2), w: [] = 1) -> z: [2] {
    param W: [2, 2] ~ glorot
    param v: [] = 0.5
    h[t] = W @ x[t]
    z = max[t](h[t])
    loss sum[t](m[t] * sum(square(h[t]))) per sum[t](m[t])
    loss sum[t](abs(h[t][0] - v)) per len(t)
    loss w * xent(z, y)
    loss 0.1 * square(v)
}
model Char(w[t]: int(V), y[t]: int(V)) -> z[t]: [V] {
    param E: [V, 4] ~ uniform(-0.5, 0.5)
    use l = carry GRU[6]
    param W: [V, 6] ~ glorot
    z[t] = W @ l(dropout(E[w[t]], 0.1))
    loss sum[t](xent(z[t], y[t])) per len(t)
}
model Bad(x[t]: []) -> z[t]: [] {
    param a: [] = 1
    param b: [] = 1
    z[t] = sqrt(b) * log(a * x[t])
    loss sum[t](z[t])
}
model Root(x[t]: []) -> z[t]: [] {
    param a: [] = 1
    param b: [] = 0
    z[t] = a * x[t] + sqrt(b)
    loss sum[t](z[t])
}
model Free(x[t]: []) -> z[t]: [] {
    param a: [] = 1
    z[t] = a * x[t]
}
model Still(x[t]: []) -> z: [] {
    param a: [] = 1 frozen
    z = sum[t](a * x[t])
    loss z
}
model Fixed(w[t]: int(V), y[t]: int(V)) -> z[t]: [V] {
    time t = 5
    param E: [V, V] ~ normal(1)
    z[t] = E[w[t]]
    loss mean[t](xent(z[t], y[t]))
}
size V = 12
"""
N, T = 21, 5
TEXT = "ababcabcdabcde\n" * 12


class Train(Case):
    def setUp(self):
        super().setUp()
        self.write("m.rnn", MODELS)
        rand = random.Random(4)
        self.lengths = [rand.randint(1, T) for _ in range(N)]
        x = [rand.gauss(0, 1) for _ in range(T * N * 2)]
        self.npy("x.npy", (T, N, 2), x)
        for t in range(T):
            for b in range(N):
                if t >= self.lengths[b]:
                    x[(t * N + b) * 2:(t * N + b) * 2 + 2] = [math.nan] * 2
        self.npy("xn.npy", (T, N, 2), x)
        self.npy("y.npy", (N,), [rand.randint(0, 1) for _ in range(N)], "<i4")
        self.npy("r.npy", (T, N), [rand.gauss(0, 1) for _ in range(T * N)])
        self.npy("mask.npy", (T, N), [float(rand.randint(1, 3)) for _ in range(T * N)])
        self.npy("len.npy", (N,), self.lengths, "<i4")
        self.write("t.txt", TEXT)

    def line(self, model, *args):
        engine = [] if any(a.startswith("--backend") for a in args) else ["--backend=interp"]
        return ["train", "m.rnn", "--model=" + model, "-o", "w"] + engine + list(args)

    def train(self, model, *args, **more):
        return self.rnnc(*self.line(model, *args), **more)[1]

    def two(self, *args):
        return self.train("Two", "--in", "x=x.npy", "--in", "y=y.npy", *args)

    def ratio(self, *args):
        return self.train("Ratio", "--in", "x=x.npy", "--in", "y=r.npy", "--in", "m=mask.npy",
                          *args)

    def char(self, *args):
        return self.train("Char", "--text", "w,y=t.txt", "-D", "V=6", *args)

    def refused(self, words, model, *args, status=1):
        before = sorted(os.listdir(self.folder))
        err = self.fails(status, words, *self.line(model, *args))
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        return err

    def weights(self, name="w"):
        return {k: v[1] for k, v in safetensors_parse(self.read(name)).items()}

    def log(self, name="log"):
        return [json.loads(line) for line in self.read(name).decode().splitlines()]

    # ---- Updates ----

    def test_one_update_of_sgd(self):
        # loss mean_b mean_t (x a - y)^2, a = 1: over b: mean(1, 4) = 2.5, 0.5; gradient 2 x (x - y)
        self.npy("x1.npy", (2, 2), [1, 1, 2, 1])
        self.npy("y1.npy", (2, 2), [0, 0, 0, 1])
        rate = ["--in", "x=x1.npy", "--in", "y=y1.npy", "--optimizer=sgd", "--epochs=1", "--log=log"]
        want = ((2 + 8) / 2 + (2 + 0) / 2) / 2
        self.train("Line", "--lr=0.1", *rate)
        self.close(self.weights()["a"], [1 - 0.1 * want])
        self.assertEqual(self.weights()["f"], [3])
        self.assertEqual(self.log()[1]["loss"], 1.5)
        self.train("Line", "--lr=0.1", "--clip=1.5", *rate)
        self.close(self.weights()["a"], [1 - 0.1 * 1.5])
        self.train("Line", "--lr=0.1", "--clip=value:0.25", *rate)
        self.close(self.weights()["a"], [1 - 0.1 * 0.25])
        self.train("Line", "--lr=0.1", "--dtype=f64", *rate)
        self.close(self.weights()["a"], [1 - 0.1 * want], 1e-15)
        self.train("Line", *rate[:4], "--optimizer=sgd:momentum=0.5,nesterov,weight-decay=0.5",
                   "--lr=0.1", "--epochs=1")
        self.close(self.weights()["a"], [1 - 0.1 * (want + 0.5) * 1.5])
        # Two batches of one: the second update starts from the first.
        self.train("Line", "--batch=1", "--lr=0.1", *rate)
        one, two = 5.0, 1.0
        ways = [1 - 0.1 * one, 1 - 0.1 * two]
        ends = [ways[0] - 0.1 * (ways[0] + (ways[0] - 1)), ways[1] - 0.1 * (ways[1] + 4 * ways[1])]
        got = self.weights()["a"][0]
        self.assertTrue(any(abs(got - e) < 1e-6 for e in ends), (got, ends))

    def test_start(self):
        # No updates: the initial parameters, which depend on the seed, or those that are given.
        self.two("--epochs=0")
        first = self.weights()
        self.assertEqual(first["b"], [0] * 4)
        for i in range(4):
            for j in range(4):
                rows = [sum(first["U"][4 * i + k] * first["U"][4 * j + k] for k in range(4))]
                self.close(rows, [1.0 if i == j else 0.0])
        self.assertLessEqual(max(abs(v) for v in first["W"]), 1)
        self.two("--epochs=0", "--seed=1")
        self.assertNotEqual(first["W"], self.weights()["W"])
        given = {"W": ((4, 2), [1.0] * 8), "U": ((4, 4), [0.5] * 16), "V": ((2, 4), [2.0] * 8),
                 "b": ((4,), [3.0] * 4)}
        self.write("start", safetensors_bytes(given))
        self.two("--epochs=0", "--weights", "start")
        self.assertEqual(self.weights(), {k: v for k, (_, v) in given.items()})

    def test_start_of_emitted_code(self):
        """init_params of the emitted C gives what train starts from, for the same seed."""
        main = """#include "two.h"
#include <stdio.h>
static _Alignas(64) unsigned char work[4096];
int main(void) {
    double params[TWO_PARAM_COUNT];
    if (two_init_params_work_bytes() > (int64_t)sizeof work) return 1;
    if (two_init_params(params, 77, work, sizeof work)) return 2;
    return fwrite(params, sizeof params, 1, stdout) != 1;
}
"""
        self.write("main.c", main)
        self.rnnc("m.rnn", "--model=Two", "--prefix=two", "--dtype=f64", "--target=generic", "-o", "two.c")
        cc = os.environ.get("CC", "cc").split()
        subprocess.run([*cc, "-w", "two.c", "main.c", "-o", "main"], cwd=self.folder, check=True)
        raw = subprocess.run(["./main"], cwd=self.folder, check=True, stdout=subprocess.PIPE).stdout
        numbers = list(struct.unpack("<%dd" % (len(raw) // 8), raw))
        for engine in ("c", "interp"):
            self.two("--epochs=0", "--seed=77", "--dtype=f64", "--backend=" + engine)
            start, at = self.weights(), 0
            for name in ("W", "U", "V", "b"):  # the order of the table
                size = len(start[name])
                drawn = name in "UV"  # by log and cos: other roundings without fma, and in the runtime
                self.close(numbers[at:at + size], start[name], 1e-13 if drawn else 0)
                at += size
            self.assertEqual(at, len(numbers))

    def test_padding_says_nothing(self):
        args = ["--lengths", "t=len.npy", "--epochs=3", "--batch=4", "--valid=0.2"]
        self.two(*args)
        clean, state = self.read("w"), self.read("w.checkpoint")
        self.train("Two", "--in", "x=xn.npy", "--in", "y=y.npy", *args)
        self.assertEqual(clean, self.read("w"))
        self.assertEqual(state, self.read("w.checkpoint"))

    def test_batch_first(self):
        self.two("--epochs=2")
        want = self.read("w")
        raw = struct.unpack("<%df" % (T * N * 2), self.read("x.npy")[-T * N * 8:])
        turned = [raw[(t * N + b) * 2 + i] for b in range(N) for t in range(T) for i in range(2)]
        self.npy("xb.npy", (N, T, 2), turned)
        self.train("Two", "--in", "x=xb.npy", "--in", "y=y.npy", "--batch-first", "--epochs=2")
        self.assertEqual(want, self.read("w"))

    # ---- Validation ----

    def loss_of(self, model, count, *args):
        self.rnnc("run", "m.rnn", "--model=" + model, "--mode=eval", "--weights", "w", "--loss", "l",
                  *args)
        return self.read_npy("l")[1][0]

    def tail(self, name, keep, first_axis_time=True):
        """The last `keep` sequences of an array of setUp."""
        shape, values, dtype = self.read_npy(name)
        if not first_axis_time:
            self.npy("v_" + name, (keep,), values[-keep:], dtype)
            return
        width = 1 if len(shape) < 3 else shape[2]
        out = []
        for t in range(T):
            out += values[(t * N + N - keep) * width:(t + 1) * N * width]
        self.npy("v_" + name, (T, keep) + tuple(shape[2:]), out, dtype)

    def test_validation_is_the_loss_of_eval(self):
        keep = 6  # of 21, in batches of 4 and 2
        for name in ("x.npy", "r.npy", "mask.npy"):
            self.tail(name, keep)
        for name in ("y.npy", "len.npy"):
            self.tail(name, keep, False)
        args = ["--valid=0.28", "--split=last", "--batch=4", "--epochs=2", "--log=log"]
        self.two("--lengths", "t=len.npy", *args)
        valid = [e["valid"] for e in self.log() if e["event"] == "round" and e["best"]][-1]
        want = self.loss_of("Two", keep, "--in", "x=v_x.npy", "--in", "y=v_y.npy", "--lengths",
                            "t=v_len.npy")
        self.close([valid], [want])
        # A `per` counts what its divisors count, whatever the batches; and so do windows.
        for window in ([], ["--window=2"]):
            self.ratio("--lr=0.01", *args, *window)
            valid = [e["valid"] for e in self.log() if e["event"] == "round" and e["best"]][-1]
            want = self.loss_of("Ratio", keep, "--in", "x=v_x.npy", "--in", "y=v_r.npy", "--in",
                                "m=v_mask.npy")
            self.close([valid], [want])

    def test_validation_of_many_divisors(self):
        """Each loss has a mean of its own, whatever the batches; with --reduce=sum one without is summed."""
        keep = 6
        for name in ("x.npy", "mask.npy"):
            self.tail(name, keep)
        for name in ("y.npy", "len.npy"):
            self.tail(name, keep, False)
        self.npy("u.npy", (N,), [0.5 + i for i in range(N)])
        self.tail("u.npy", keep, False)
        inputs = ["--in", "x=%sx.npy", "--in", "m=%smask.npy", "--in", "y=%sy.npy", "--in",
                  "w=%su.npy", "--lengths", "t=%slen.npy"]
        here, there = [[a.replace("%s", to) for a in inputs] for to in ("", "v_")]
        args = ["--valid=0.28", "--split=last", "--batch=4", "--epochs=1", "--log=log"]
        for engine, *reduce in (["interp"], ["interp", "--reduce=sum"], ["c", "--reduce=sum"]):
            self.train("Many", *here, *args, *reduce, "--backend=" + engine)
            valid = [e["valid"] for e in self.log() if e["event"] == "round"]
            self.close(valid, [self.loss_of("Many", keep, *there, *reduce, "--backend=interp")])

    def test_reduce(self):
        """The sum of four sequences is four times their mean; a divisor is what it is."""
        rate = ["--in", "x=x4.npy", "--in", "y=y4.npy", "--optimizer=sgd", "--epochs=1"]
        self.npy("x4.npy", (1, 4), [1, 2, 3, 4])
        self.npy("y4.npy", (1, 4), [0, 0, 1, 1])
        self.train("Line", *rate, "--lr=0.04")
        want = self.weights()["a"]
        for engine in ("--backend=interp", "--backend=c"):
            self.train("Line", *rate, "--lr=0.01", "--reduce=sum", engine)
            self.close(self.weights()["a"], want)
        self.ratio("--epochs=1", "--batch=4")
        want = self.weights()
        self.ratio("--epochs=1", "--batch=4", "--reduce=sum")
        self.assertEqual(self.weights(), want)
        self.refused("w.checkpoint was made with --reduce=sum 1 when this run has 0", "Ratio", "--in",
                     "x=x.npy", "--in", "y=r.npy", "--in", "m=mask.npy", "--epochs=2", "--batch=4",
                     "--resume")

    def test_split(self):
        self.two("--valid=0.3", "--epochs=1", "--log=log", "--batch=1")
        start = self.log()[0]
        self.assertEqual((start["sequences"], start["validation"]), (15, 6))
        self.assertEqual(self.log()[1]["update"], 15)
        rounds = self.log()[1]["valid"]
        self.two("--valid=0.3", "--epochs=1", "--log=log", "--batch=1", "--split=last")
        self.assertNotEqual(rounds, self.log()[1]["valid"])

    def test_best_is_kept(self):
        self.ratio("--valid=0.3", "--epochs=12", "--lr=0.5", "--log=log", "--eval-every=1")
        rounds = [e for e in self.log() if e["event"] == "round"]
        best = min(rounds, key=lambda e: e["valid"])
        self.assertLess(best["update"], rounds[-1]["update"])
        self.assertEqual(self.log()[-1]["best_update"], best["update"])
        kept = self.weights()
        self.ratio("--valid=0.3", "--lr=0.5", "--steps=%d" % best["update"])
        self.assertEqual(kept, self.weights())

    def test_patience(self):
        err = self.ratio("--valid=0.3", "--epochs=200", "--lr=0.5", "--log=log", "--patience=2")
        rounds = [e for e in self.log() if e["event"] == "round"]
        self.assertLess(len(rounds), 200)
        self.assertEqual([e["best"] for e in rounds[-3:]], [True, False, False])
        self.assertEqual(self.log()[-1]["why"], "patience")
        self.assertIn("best: valid", err)

    # ---- Rates ----

    def rates(self, *args):
        self.two("--log=log", "--eval-every=1", "--batch=7", "--optimizer=sgd", "--lr=0.1", *args)
        return [e["rate"] for e in self.log() if e["event"] == "round"]

    def test_schedules(self):
        self.close(self.rates("--epochs=2"), [0.1] * 6)
        self.close(self.rates("--epochs=2", "--schedule=step:period=1,factor=0.5"),
                   [0.1] * 3 + [0.05] * 3)
        self.close(self.rates("--epochs=3", "--schedule=exponential:factor=0.5"),
                   [0.1] * 3 + [0.05] * 3 + [0.025] * 3)
        self.close(self.rates("--steps=6", "--schedule=cosine"),
                   [0.05 * (1 + math.cos(math.pi * s / 6)) for s in range(6)])
        self.close(self.rates("--steps=6", "--schedule=cosine:last=0.02,period=3"),
                   [0.02 + 0.04 * (1 + math.cos(math.pi * min(s, 3) / 3)) for s in range(6)])
        got = self.rates("--steps=6", "--warmup=2", "--schedule=cosine")
        self.close(got, [0.1 / 3, 0.1 * 2 / 3] +
                   [0.05 * (1 + math.cos(math.pi * s / 4)) for s in range(4)])
        self.assertAlmostEqual(max(self.rates("--steps=10", "--schedule=one-cycle")), 0.1)
        got = self.rates("--steps=40", "--valid=0.3", "--schedule=plateau:factor=0.1,patience=1",
                         "--lr=3")
        self.assertLess(got[-1], got[0])

    # ---- Texts, windows ----

    def test_text(self):
        self.char("--batch=3", "--window=8", "--epochs=25", "--lr=0.02", "--valid=0.1", "--log=log")
        self.assertLess(self.log()[-1]["best"], 0.7)
        raw = self.read("w")
        head = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])
        self.assertEqual(head["__metadata__"]["vocabulary"], "\nabcde")

    def test_windows_of_a_text_are_one_long_call(self):
        self.char("--batch=1", "--window=7", "--epochs=2", "--valid=0.2", "--log=log")
        valid = self.log()[2]["valid"]
        classes = ["\nabcde".index(c) for c in TEXT]
        held = classes[-36:]
        self.npy("w.npy", (35,), held[:-1], "<i4")
        self.npy("y1.npy", (35,), held[1:], "<i4")
        want = self.loss_of("Char", 1, "-D", "V=6", "--in", "w=w.npy", "--in", "y=y1.npy")
        self.close([valid], [want])

    def test_text_of_bytes_and_other_alphabets(self):
        self.write("t.txt", bytes(range(256)) * 2)
        self.train("Char", "--text", "w,y=t.txt", "-D", "V=256", "--epochs=1", "--window=100")
        self.assertNotIn(b"vocabulary", self.read("w"))
        self.write("t.txt", "äöü€😀" * 30)
        err = self.char("--epochs=1", "--batch=2")
        self.assertIn("1 classes are never used", err)
        raw = self.read("w")
        head = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])
        self.assertEqual(head["__metadata__"]["vocabulary"], "äöü€😀")

    def test_fixed_axis(self):
        self.train("Fixed", "--text", "w,y=t.txt", "--batch=2", "--epochs=1", "--log=log")
        self.assertEqual(self.log()[1]["update"], (len(TEXT) - 1) // 2 // 5)

    # ---- Resume ----

    def same_end(self, how, cut, *more):
        """A run that is cut, and goes on, ends as one that was not."""
        names = ["w", "w.checkpoint", "c.svg"]
        for name in names:
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        how(*more, "--curve=c.svg")
        whole = [self.read(name) for name in names]
        for name in names:
            os.unlink(self.path(name))
        how(*more, "--steps=%d" % cut)
        how(*more, "--resume", "--curve=c.svg")
        for name, want in zip(names, whole):
            self.assertEqual(want, self.read(name), name)

    def test_resume_bit_for_bit(self):
        plain = ["--epochs=4", "--batch=4", "--valid=0.25", "--lengths", "t=len.npy"]
        for more in (["--optimizer=adam"], ["--optimizer=sgd:momentum=0.9", "--schedule=exponential"],
                     ["--optimizer=rmsprop:centred", "--schedule=plateau:patience=0"],
                     ["--dtype=f64", "--optimizer=adamw", "--eval-every=3"], ["--epochs=5"]):
            for cut in (0, 5, 8):
                self.same_end(self.two, cut, *plain, *more)
        for cut in (1, 7, 10):
            self.same_end(self.ratio, cut, "--epochs=2", "--batch=6", "--window=2", "--valid=0.2")
            self.same_end(self.char, cut, "--epochs=2", "--batch=3", "--window=9", "--valid=0.2")

    def test_signal(self):
        """SIGINT: a checkpoint, the end by the signal, and the same end after --resume."""
        args = self.line("Char", "--text", "w,y=t.txt", "-D", "V=6", "--batch=2", "--window=5",
                         "--valid=0.2", "--log=log")
        subprocess.run([RNNC] + args + ["--epochs=60"], cwd=self.folder, check=True,
                       stderr=subprocess.DEVNULL)
        whole = self.read("w"), self.read("w.checkpoint")
        os.unlink(self.path("w"))
        # Who starts the tests in the background may have it ignored, and what is ignored stays so.
        run = subprocess.Popen([RNNC] + args + ["--epochs=60"], cwd=self.folder,
                               stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        run.stderr.readline()
        run.send_signal(signal.SIGINT)
        err = run.stderr.read().decode()
        run.stderr.close()
        self.assertEqual(run.wait(), -signal.SIGINT, err)
        self.assertIn("--resume goes on from w.checkpoint", err)
        end = self.log()[-1]
        self.assertEqual((end["event"], end["why"]), ("end", "signal"))
        self.assertLess(end["update"], 60 * 13)
        self.rnnc(*args, "--epochs=60", "--resume")
        self.assertEqual(whole, (self.read("w"), self.read("w.checkpoint")))
        events = [e["event"] for e in self.log()]
        self.assertEqual(events.count("resume"), 1)
        self.assertEqual([e["epoch"] for e in self.log() if e["event"] == "round"],
                         list(range(1, 61)))

    def test_resume_of_another_run(self):
        self.two("--epochs=1", "--valid=0.2", "--batch=4")
        base = ["--in", "x=x.npy", "--in", "y=y.npy", "--resume"]
        for words, more in (("--batch 4 when this run has 5", ["--batch=5", "--valid=0.2"]),
                            ("--seed 0 when this run has 1",
                             ["--batch=4", "--valid=0.2", "--seed=1"]),
                            ("validate on 4 when this run has 0", ["--batch=4"]),
                            ("weight-decay=0 when this run has 0.5",
                             ["--batch=4", "--valid=0.2", "--optimizer=adam:weight-decay=0.5"]),
                            ("", ["--batch=4", "--valid=0.2", "--optimizer=sgd"]),
                            ("", ["--batch=4", "--valid=0.2", "--dtype=f64"])):
            self.refused(words, "Two", *base, *more)
        self.refused("w2: ", "Two", *base, "--checkpoint=w2")
        self.write("w2", self.read("w"))
        self.refused("w2 is no checkpoint of rnnc train", "Two", *base, "--checkpoint=w2")

    # ---- Compiled ----

    def near(self, name, want, tolerance=2e-4):
        got = self.weights(name)
        for key, values in want.items():
            self.close(got[key], values, tolerance)

    def test_compiled(self):
        """Compiled code computes what the interpreter does, draws included."""
        args = ["--in", "x=xn.npy", "--in", "y=y.npy", "--lengths", "t=len.npy", "--epochs=3",
                "--batch=4", "--valid=0.2", "--log=log"]
        self.train("Two", *args)
        want, rounds = self.weights(), [(e["loss"], e["valid"]) for e in self.log()[1:-1]]
        self.train("Two", *args, "--backend=c")
        self.assertEqual(self.log()[0]["engine"], "C")
        self.near("w", want)
        for a, b in zip(rounds, self.log()[1:-1]):
            self.close(a, (b["loss"], b["valid"]), 1e-4)
        self.refused("a sequence is empty", "Two", "--in", "x=x.npy", "--in", "y=y.npy",
                     "--lengths", "t=" + self.npy("l0.npy", (N,), [0] * N, "<i4"), "--backend=c")

    def test_compiled_windows(self):
        """The carried state: exact resume, and the interpreter goes on with what C left."""
        args = ["--batch=3", "--window=9", "--epochs=2", "--valid=0.2", "--lr=0.01"]
        self.char(*args)
        want = self.weights()
        self.char(*args, "--backend=c")
        self.near("w", want)
        whole = [self.read("w"), self.read("w.checkpoint")]
        self.char(*args, "--backend=c", "--steps=7")
        part = self.read("w.checkpoint")
        self.char(*args, "--backend=c", "--resume")
        self.assertEqual(whole, [self.read("w"), self.read("w.checkpoint")])
        self.write("w.checkpoint", part)
        self.char(*args, "--resume")
        self.near("w", want)

    # ---- Examples ----

    def test_trained_weights(self):
        """The committed weights of examples/digits name what is drawn, as generated C and by rnnc run."""
        there = os.path.join(ROOT, "examples", "digits")
        drawings = ["two", "five", "seven", "eight"]
        spec, weights = os.path.join(there, "digits.rnn"), os.path.join(there, "digits.safetensors")
        self.rnnc(spec, "--model=ByGRU", "--prefix=digits", "--target=generic", "-o", "digits.c")
        runtime = os.path.join(ROOT, "runtime")
        sources = [os.path.join(runtime, name) for name in sorted(os.listdir(runtime))
                   if name.endswith(".c") and name not in ("rt_threads.c", "rt_blas.c")]
        cc = os.environ.get("CC", "cc").split()
        subprocess.run([*cc, "-w", "-I.", "-I" + runtime, os.path.join(there, "name.c"), "digits.c",
                        *sources, "-o", "name", "-lm"], cwd=self.folder, check=True)
        said = subprocess.run(["./name", weights, "--image=x.npy"] +
                              [os.path.join(there, d + ".txt") for d in drawings], cwd=self.folder,
                              check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout
        self.assertEqual([line.split(": ")[1][0] for line in said.splitlines()], list("2578"))
        self.rnnc("run", spec, "--model=ByGRU", "--weights", weights, "--in", "x=x.npy", "--out",
                  "z=z.npy", "--backend=interp")
        z = self.read_npy("z.npy")[1]
        self.assertEqual(z.index(max(z)), 8)

    def test_the_project_reads_itself(self):
        """examples/shakespeare, small, on the reference of the language: it learns more than how
        often each letter stands there, and what it generates is made of the text's letters."""
        text = os.path.join(ROOT, "docs", "language.md")
        spec = os.path.join(ROOT, "examples", "shakespeare", "charlm.rnn")
        with open(text, encoding="utf-8", newline="") as f:
            letters = f.read()
        size = ["-D", "V=%d" % len(set(letters)), "-D", "H=32", "-D", "D=16"]
        self.rnnc("train", spec, *size, "--text", "w,y=" + text, "--valid=0.1", "--batch=16",
                  "--window=32", "--epochs=4", "--lr=0.01", "--clip=5", "-o", "w", "--log=log")
        held = letters[-(len(letters) // 10):]
        count = collections.Counter(letters[:-len(held)])
        known = [count[c] for c in held if count[c]]
        alone = -sum(math.log(n / (len(letters) - len(held))) for n in known) / len(known)
        self.assertLess(self.log()[-1]["best"], alone - 0.2)
        self.rnnc("run", spec, *size, "--weights", "w", "--backend=interp", "--lengths", "t=80",
                  "--out", "c=c.npy")
        raw = self.read("w")
        head = json.loads(raw[8:8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
        self.assertEqual(head["vocabulary"], "".join(sorted(set(letters))))
        said = [head["vocabulary"][k] for k in self.read_npy("c.npy")[1]]
        self.assertGreater(len(set(said)), 8)

    def test_gradients_as_equations(self):
        """examples/vanishing: dL/dh0 as the model's own equations have it is what `grad` gives."""
        spec = os.path.join(ROOT, "examples", "vanishing", "memory.rnn")
        rand = random.Random(3)
        size = ["-D", "H=6", "--backend=interp", "--dtype=f64"]
        self.npy("m.npy", (9, 4, 5), [rand.gauss(0, 1) for _ in range(180)])
        self.npy("k.npy", (4,), [0, 3, 1, 2], "<i4")
        self.npy("h.npy", (4, 6), [rand.gauss(0, 0.3) for _ in range(24)])
        self.npy("n.npy", (4,), [9, 1, 5, 2], "<i4")
        ins = ["--in", "x=m.npy", "--in", "y=k.npy", "--in", "h0=h.npy", "--lengths", "t=n.npy"]
        self.rnnc("train", spec, *size, "--in", "x=m.npy", "--in", "y=k.npy", "-o", "w",
                  "--epochs=1", "--batch=2")
        self.rnnc("run", spec, *size, "--weights", "w", *ins, "--mode=eval", "--out", "e0=e.npy")
        self.rnnc("grad", spec, *size, "--weights", "w", *ins, "--mode=train", "--in-grads", "g")
        got = safetensors_parse(self.read("g"))["h0"][1]
        self.close(got, [v / 4 for v in self.read_npy("e.npy")[1]], 1e-14)
        self.assertGreater(max(map(abs, got)), 1e-4)

    # ---- Files ----

    def test_curve(self):
        self.two("--epochs=3", "--valid=0.3", "--curve=c.svg")
        root = ElementTree.fromstring(self.read("c.svg"))
        lines = [e.get("d") for e in root if e.get("stroke-width") == "2"]
        self.assertEqual([line.count("L") for line in lines], [2, 2])
        self.two("--epochs=3", "--curve=c.svg")
        root = ElementTree.fromstring(self.read("c.svg"))
        self.assertEqual(len([e for e in root if e.get("stroke-width") == "2"]), 1)

    def test_lines(self):
        err = self.two("--epochs=2", "--valid=0.3")
        lines = err.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertRegex(lines[0], r"^epoch 1/2  update 1/2  loss \d\.\d{4}  valid \d\.\d{4} best  "
                                   r"[\d.]+k? steps/s  left \d+:\d\d$")
        self.assertRegex(lines[2], r"^best: valid \d\.\d{4} after update \d, in w$")

    def test_terminal(self):
        """There a line is written over by the next."""
        master, slave = pty.openpty()
        args = self.line("Two", "--in", "x=x.npy", "--in", "y=y.npy", "--epochs=2")
        subprocess.run([RNNC] + args, cwd=self.folder, stderr=slave, check=True)
        os.close(slave)
        said = os.read(master, 10000).decode()
        os.close(master)
        self.assertRegex(said, r"^\repoch 1/2  update 0/2  loss \d\.\d{4}  norm [\d.]+  [\d.]+k? "
                               r"steps/s\x1b\[K\r\x1b\[Kepoch 1/2  update 1/2  loss ")

    def test_same_bytes(self):
        self.two("--epochs=2", "--valid=0.3", "--curve=c.svg")
        first = [self.read(n) for n in ("w", "w.checkpoint", "c.svg")]
        self.two("--epochs=2", "--valid=0.3", "--curve=c.svg")
        self.assertEqual(first, [self.read(n) for n in ("w", "w.checkpoint", "c.svg")])

    # ---- What is refused ----

    def test_no_number(self):
        self.npy("x1.npy", (1, 3), [1, 1, -1])
        bad = self.line("Bad", "--in", "x=x1.npy", "--batch=1", "--log=log", "--lr=0.001")
        err = self.fails(1, "(epoch 1): the loss is nan", *bad)
        self.assertIn("update %d " % (self.log()[-1]["update"] + 1), err)
        self.assertNotIn("has the parameters", err)
        self.assertFalse(os.path.exists(self.path("w")))
        self.assertEqual(self.log()[-1]["why"], "error")
        self.fails(1, "update 1 (epoch 1): the gradient of b is not finite",
                   *self.line("Root", "--in", "x=x1.npy"))

    def test_data(self):
        err = self.refused(["x is missing", "y is missing", "no input q"], "Two", "--in", "q=x.npy")
        self.assertEqual(err.count("error:"), 1)
        self.npy("one.npy", (T, 2), [0] * (T * 2))
        self.npy("label.npy", (), [1], "<i4")
        self.refused("training takes a batch", "Two", "--in", "x=one.npy", "--in", "y=label.npy")
        self.npy("y2.npy", (N,), [2] * N, "<i4")
        self.refused("y", "Two", "--in", "x=x.npy", "--in", "y=y2.npy")
        self.refused("model Free has no loss", "Free", "--in", "x=r.npy")
        self.refused("no parameter to train", "Still", "--in", "x=r.npy")
        self.refused("6 different characters", "Char", "--text", "w,y=t.txt", "-D", "V=3")
        self.refused("no input q", "Char", "--text", "q,y=t.txt")
        self.refused("no stream of classes", "Two", "--text", "x,y=t.txt")
        self.refused("nothing.txt", "Char", "--text", "w,y=nothing.txt")
        self.write("bad.txt", b"abc\xff")
        self.refused("no UTF-8 text at byte 3", "Char", "--text", "w,y=bad.txt")
        self.write("short.txt", "ab")
        self.refused("too few for 32 streams", "Char", "--text", "w,y=short.txt")
        self.refused("axis t has 5 steps", "Fixed", "--text", "w,y=t.txt", "--window=4")
        self.refused("W [4, 2] is missing", "Two", "--in", "x=x.npy", "--in", "y=y.npy",
                     "--weights", self.write("none", safetensors_bytes({})))

    def test_command_line(self):
        both = ["--in", "x=x.npy", "--in", "y=y.npy"]
        for words, more in (("give -o", None), ("none of sgd", ["--optimizer=sdg"]),
                            ("'momentum' is nothing that can be set", ["--optimizer=adam:momentum=1"]),
                            ("'-1' is no number", ["--lr=-1"]), ("no whole number", ["--batch=0"]),
                            ("no whole number", ["--epochs=x"]), ("below 1", ["--valid=1"]),
                            ("neither random nor last", ["--split=first"]),
                            ("needs --valid", ["--patience=3"]),
                            ("needs --valid", ["--schedule=plateau"]),
                            ("schedule of epochs", ["--schedule=step", "--warmup=3"]),
                            ("neither norm:NUMBER", ["--clip=max:1"]),
                            ("not INPUT,TARGET=FILE", ["--text=w=t.txt"]),
                            ("do not go with it", ["--text=x,y=t.txt"]),
                            ("none of constant", ["--schedule=linear"]),
                            ("--weights is too much", ["--resume", "--weights=w"]),
                            ("no meaning for a text", ["--text=x,y=t.txt", "--batch-first"]),
                            ("has no meaning for 'train'", ["--mode=eval"]),
                            ("the weights go to a file", ["-o", "-"])):
            if more is None:
                self.fails(2, words, "train", "m.rnn", *both)
            elif more[0] == "-o":
                self.fails(2, words, "train", "m.rnn", *both, *more)
            else:
                self.refused(words, "Two", *both, *more, status=2)
        self.fails(2, "--batch has no meaning for 'run'", "run", "m.rnn", "--batch=3")
        for file in ("--log", "--curve", "--checkpoint"):
            self.refused("nowhere/f: No such file", "Two", *both, file + "=nowhere/f", status=3)
            self.refused("w is named twice", "Two", *both, file + "=w", status=2)
