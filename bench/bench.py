"""make bench: rnnc and its peers, interleaved in one run, after their outputs and gradients were
compared. Standard library only; each contender is a process of its own (worker.py).

    python3 bench/bench.py --rnnc=build/rnnc --build=build [--cases=WORDS] [--peers=WORDS]
                           [--threads=1,2] [--rounds=N] [--slice=MS] [--quick] [--list]
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cases as table
import peers as all_peers
import report

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 2e-4 # of the largest number of a tensor: sums in other orders, T steps long


class Worker:
    """A contender's process. It is stopped while others are timed."""

    def __init__(self, peer, threads, core):
        self.peer, self.threads = peer, threads
        env = dict(os.environ, **peer.env)
        env.update({name: str(threads) for name in (
            "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")})
        env["BENCH_CORES"] = "0,1" if threads > 1 else str(core)
        if threads > 1:
            env["OMP_PROC_BIND"], env["OMP_PLACES"] = "true", "cores"
        self.process = subprocess.Popen(
            [peer.python, os.path.join(HERE, "worker.py"), peer.module], env=env, text=True,
            start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def send(self, **question):
        if self.threads > 1:
            self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            return {"skip": "the process died"}
        if self.threads > 1: # threads that spin while they wait disturb nobody
            self.process.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def ask(self, **question):
        try:
            self.send(**question)
        except OSError:
            return {"skip": "the process died"}
        return self.answer()

    def end(self):
        self.process.kill()
        self.process.wait()


class Contender:
    """One setting of one peer on one case."""

    def __init__(self, worker, setting, ident):
        self.worker, self.setting, self.id = worker, setting, ident
        self.peer = worker.peer
        self.name = f"{self.peer.name} {setting}"
        self.times, self.peaks, self.error, self.lost, self.calls = [], [], {}, 0, 0

    def median(self):
        return statistics.median(self.times)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rnnc", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--cases", default="", help="words: what the key begins with, or the name contains")
    parser.add_argument("--peers", default="", help="names of peers; rnnc is always there")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--slice", type=float, default=0, help="ms for each contender and round")
    parser.add_argument("--core", type=int, default=os.cpu_count() - 1)
    parser.add_argument("--options", default="", help="more options for rnnc")
    parser.add_argument("--into", default="", help="a page whose table is replaced")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def chosen(words, name, key):
    """WORDS are separated by commas; spaces belong to them. `oneDNN =`: that name alone."""
    words = [w.strip().lower() for w in words.split(",") if w.strip()]
    return not words or any(key.lower().startswith(w) or w in name.lower() + " =" for w in words)


def out_path(folder, case, contender):
    return os.path.join(folder, "out", f"{case['key']}-{contender.name.replace(' ', '_')}")


def agree(case, contenders, machine, folder, say, wrong):
    """The contenders that compute what the first one does; others are said by name. What rnnc
    cannot do, or does in other bits, goes to `wrong`."""
    good, reference = [], None
    for c in contenders:
        if reference is None and not c.peer.own:
            return [] # nothing of ours to compare with
        path = out_path(folder, case, c)
        answer = c.worker.ask(op="open", id=c.id, case=case, setting=c.setting,
                              threads=c.worker.threads, out=path)
        if "skip" in answer:
            say(f"{case['name']}: {c.name} left out: {answer['skip']}")
            wrong.append(c) if c.peer.own else None
            continue
        c.tensors, c.path, c.about = set(answer["tensors"]), path, answer["about"]
        c.memory = answer["mb"]
        if reference is None:
            reference = c
        for name in sorted(c.tensors & reference.tensors):
            got = machine.ask(op="error", a=f"{path}.{name}.f32", b=f"{reference.path}.{name}.f32")
            c.error[name] = got.get("error", float("inf"))
            if c.peer.own and not got.get("same"):
                wrong.append(c)
                say(f"{case['name']}: {c.name}: bits of {name} differ from {reference.name}'s")
        worst = max(c.error, key=c.error.get)
        if c.peer.own or c.error[worst] <= TOLERANCE:
            good.append(c)
        else:
            say(f"{case['name']}: {c.name} left out: {worst} differs by {c.error[worst]:.1e}")
    for c in good: # large
        for name in c.tensors:
            if c is not reference:
                os.remove(f"{c.path}.{name}.f32")
    return good


def measure(case, contenders, machine, threads, rounds, budget):
    """Interleaved slices. A peer's setting that is far behind its best is not timed again."""
    probes = []
    for turn in range(rounds):
        probes.append(machine.ask(op="machine", sizes=table.weight_bytes(case), threads=threads))
        order = contenders[turn % len(contenders):] + contenders[:turn % len(contenders)]
        for c in order:
            if turn >= 2 and not c.peer.own:
                best = min(min(o.times) for o in contenders if o.peer is c.peer)
                if min(c.times) > 1.15 * best:
                    continue
            answer = c.worker.ask(op="time", id=c.id, ns=int(budget * 1e6))
            if "ns" not in answer:
                continue
            c.times.append(answer["ns"])
            c.peaks.append(answer["peak"])
            c.lost += answer["lost"]
            c.calls += answer["calls"]
    found = limits(probes)
    if threads > 1: # a peer may leave the others idle where meeting them costs more
        found["one"] = limits([machine.ask(op="machine", sizes=table.weight_bytes(case), threads=1)
                               for _ in range(3)])
    return found


def limits(probes):
    return {"peak": statistics.median(p["peak"] for p in probes),
            "tanh": statistics.median(p["tanh"] for p in probes),
            "barrier": min(p["barrier"] for p in probes),
            "barriers": [p["barrier"] for p in probes],
            "read": {n: max(p["read"][n] for p in probes) for n in probes[0]["read"]}}


def one_case(case, workers, machine, threads, args, folder, say, wrong):
    contenders = []
    for worker in workers:
        answer = worker.ask(op="settings", case=case, threads=threads)
        if "skip" in answer:
            if not worker.peer.silent:
                say(f"{worker.peer.name} left out: {answer['skip']}")
                worker.peer.silent = True
            continue
        worker.peer.version = answer["version"]
        contenders += [Contender(worker, s, len(contenders) + i)
                       for i, s in enumerate(answer["settings"])]
    contenders = agree(case, contenders, machine, folder, say, wrong)
    row = None
    if contenders:
        found = measure(case, contenders, machine, threads, args.rounds, args.slice)
        contenders = [c for c in contenders if c.times]
        row = report.row(case, contenders, found, table.limit_ns(case, found, threads), threads)
        row["bar"] = table.bar(case, threads)
    for worker in workers:
        worker.ask(op="close")
    return row


def main():
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)) # workers end with us
    if args.quick and not args.peers:
        args.peers = "oneDNN =,ONNX Runtime,JAX"
    args.rounds = args.rounds or (5 if args.quick else 11)
    args.slice = args.slice or (12 if args.quick else 30)
    folder = os.path.abspath(os.path.join(args.build, "bench"))
    os.makedirs(os.path.join(folder, "out"), exist_ok=True)
    wanted = [c for c in table.cases() if chosen(args.cases, c["name"], c["key"])]
    if args.list:
        for c in wanted:
            print(c["key"])
        return 0
    said = []

    def say(words):
        if words not in said:
            said.append(words)
            print("  " + words, file=sys.stderr, flush=True)

    peers = all_peers.build(args, folder, HERE, lambda name: chosen(args.peers, name, name), say)
    machine_peer = all_peers.Peer("machine", "machine", sys.executable, peers[0].env, own=False)
    rows, wrong, started = [], [], time.time()
    for threads in [int(n) for n in args.threads.split(",")]:
        workers = [Worker(p, threads, args.core) for p in peers]
        machine = Worker(machine_peer, threads, args.core)
        try:
            for case in wanted:
                row = one_case(case, workers, machine, threads, args, folder, say, wrong)
                if row:
                    rows.append(row)
                    print(report.line(row), flush=True)
                    report.write(folder, rows, said, peers, args)
        finally:
            for w in workers + [machine]:
                w.end()
    if args.into:
        report.into(args.into, "bench", report.markdown(rows, said, peers))
    print(f"{len(rows)} rows in {time.time() - started:.0f} s: {folder}/bench.md, .json, .svg")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
