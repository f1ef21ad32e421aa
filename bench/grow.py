"""make bench-growth: time per step against units, batch, steps, layers and threads, forward and
training. rnnc alone, by LLVM; one quantity grows at a time, so that a cliff is seen as such.

    python3 bench/grow.py --rnnc=build/rnnc --build=build [--threads=1,2] [--only=H,B,T,layers]
"""
import argparse
import json
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bench
import cases as table
import peers as all_peers
import report

ROUNDS, SLICE = 5, 15e6


def rows(only):
    """(what grows, its value, case)"""
    for training in (False, True):
        if "H" in only:
            for n in (16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096):
                yield "H", n, table.case("LSTM", n, 20, 1, training)
        if "B" in only:
            for n in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256):
                yield "B", n, table.case("LSTM", 128, 25, n, training)
        if "T" in only:
            for n in (1, 2, 5, 10, 30, 100, 300, 1000, 10000, 100000):
                yield "T", n, table.case("LSTM", 64, n, 1, training)
        if "layers" in only:
            for n in (1, 2, 3, 4, 8, 16, 32):
                yield "layers", n, table.case("LSTM", 64, 50, 1, training, layers=n)


def measure(case, worker, machine, threads):
    answer = worker.ask(op="open", id=0, case=case, setting="llvm", threads=threads,
                        out=worker.out)
    if "skip" in answer:
        return None, answer["skip"]
    times, probes = [], []
    for _ in range(ROUNDS):
        probes.append(machine.ask(op="machine", sizes=table.weight_bytes(case), threads=threads))
        times.append(worker.ask(op="time", id=0, ns=int(SLICE))["ns"])
    worker.ask(op="close")
    found = bench.limits(probes)
    return statistics.median(times), table.limit_ns(case, found, threads)


def flops(case):
    """Of one position of one sequence: products alone."""
    one = sum(2 * rows * columns for layer in case["layers"]
              for rows, columns in layer["hoisted"] + layer["recurrent"])
    return one * (3 if case["training"] else 1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rnnc", required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--threads", default="1")
    parser.add_argument("--only", default="H,B,T,layers")
    parser.add_argument("--core", type=int, default=os.cpu_count() - 1)
    parser.add_argument("--options", default="")
    parser.add_argument("--into", default="", help="a page whose tables are replaced")
    args = parser.parse_args()
    folder = os.path.abspath(os.path.join(args.build, "bench"))
    os.makedirs(os.path.join(folder, "out"), exist_ok=True)
    found = all_peers.build(args, folder, bench.HERE, lambda name: False, print)
    out = {}
    for threads in [int(n) for n in args.threads.split(",")]:
        for what, value, case in rows(args.only.split(",")):
            worker = bench.Worker(found[0], threads, args.core) # compiled models would pile up
            machine = bench.Worker(all_peers.Peer("machine", "machine", sys.executable,
                                                  found[0].env), threads, args.core)
            worker.out = os.path.join(folder, "out", "grow")
            try:
                ns, limit = measure(case, worker, machine, threads)
            finally:
                worker.end()
                machine.end()
            if ns is None:
                print(f"{what} {value}: {limit}", flush=True)
                continue
            step = ns / case["T"]
            row = {"what": what, "value": value, "threads": threads, "training": case["training"],
                   "case": case["name"], "step_ns": step, "share": limit / ns,
                   "gflops": flops(case) * case["T"] * case["B"] / ns}
            out.setdefault((what, case["training"], threads), []).append(row)
            print(f"{'training ' if case['training'] else ''}{case['name']}, {threads} threads: "
                  f"{step / 1e3:.3f} us a step, {row['gflops']:.0f} GFLOP/s, "
                  f"share {row['share']:.0%}", flush=True)
            write(folder, out)
    if args.into:
        with open(os.path.join(folder, "growth.md")) as file:
            report.into(args.into, "growth", file.read())
    return 0


def write(folder, out):
    lines = []
    for (what, training, threads), group in out.items():
        lines += [f"{'Training' if training else 'Forward'}, {threads} "
                  f"thread{'s' if threads > 1 else ''}, {what} grows "
                  f"({group[0]['case']} …):", "", f"| {what} | µs a step | GFLOP/s | share |",
                  "|---|---|---|---|"]
        lines += [f"| {r['value']:,} | {r['step_ns'] / 1e3:.4g} | {r['gflops']:.0f} | "
                  f"{r['share']:.0%} |" for r in group] + [""]
    with open(os.path.join(folder, "growth.md"), "w") as file:
        file.write("\n".join(lines))
    with open(os.path.join(folder, "growth.json"), "w") as file:
        json.dump([row for group in out.values() for row in group], file, indent=1)


if __name__ == "__main__":
    sys.exit(main())
