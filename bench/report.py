"""What was measured: a line a case on the terminal, a table in Markdown, everything in JSON."""
import json
import os
import platform
import time


def ms(ns):
    value = ns / 1e6
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def row(case, contenders, machine, limit, threads):
    """Plain data: times by contender, best of ours and of the peers."""
    out = {"case": case["name"], "key": case["key"], "training": case["training"],
           "threads": threads, "limit_ns": limit, "machine": machine, "contenders": []}
    for c in contenders:
        out["contenders"].append({
            "peer": c.peer.name, "setting": c.setting, "own": c.peer.own, "ns": c.median(),
            "all_ns": c.times, "peaks": c.peaks, "lost": c.lost, "calls": c.calls,
            "error": max(c.error.values()), "about": c.about})
    return out


def best(row, own, peer=None):
    fitting = [c for c in row["contenders"]
               if c["own"] == own and (peer is None or c["peer"] == peer)]
    return min(fitting, key=lambda c: c["ns"]) if fitting else None


def line(row):
    ours, theirs = best(row, True), best(row, False)
    words = [f"{row['case']:24}{' train' if row['training'] else ''}", f"{row['threads']}t",
             f"limit {ms(row['limit_ns'])}"]
    words += [f"{c['setting']} {ms(c['ns'])}" for c in row["contenders"] if c["own"]]
    if ours:
        words.append(f"share {row['limit_ns'] / ours['ns']:.0%}")
    if theirs:
        words.append(f"best peer {theirs['peer']} {theirs['setting']} {ms(theirs['ns'])}")
    if ours and theirs:
        words.append(f"ratio {theirs['ns'] / ours['ns']:.2f}")
    return "  ".join(words)


def markdown(rows, said, peers):
    names = []
    for r in rows:
        for c in r["contenders"]:
            if not c["own"] and c["peer"] not in names:
                names.append(c["peer"])
    settings = ["gcc", "clang", "llvm"]
    out = [f"Median ms of interleaved runs, {time.strftime('%d %B %Y')}, {platform.machine()}. "
           "`limit`: roofline from limits measured in the same run; `share`: limit over the best "
           "of rnnc; `ratio`: best peer over the best of rnnc; peak in GFLOP/s of one core, "
           "barrier in ns, both measured beside the times.", ""]
    head = ["case", "threads", *("rnnc " + s for s in settings), "limit", "share", *names, "ratio",
            "peak", "barrier"]
    out += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        own = {c["setting"]: c for c in r["contenders"] if c["own"]}
        ours, theirs = best(r, True), best(r, False)
        cells = [("*training*, " if r["training"] else "") + r["case"], str(r["threads"])]
        cells += [ms(own[s]["ns"]) if s in own else "" for s in settings]
        cells += [ms(r["limit_ns"]), f"{r['limit_ns'] / ours['ns']:.0%}" if ours else ""]
        for name in names:
            c = best(r, False, name)
            cells.append(f"{ms(c['ns'])} ({c['setting']})" if c else "")
        cells.append(f"**{theirs['ns'] / ours['ns']:.2f}**" if ours and theirs else "")
        peaks = sorted(p for c in r["contenders"] for p in c["peaks"])
        cells += [f"{peaks[0]:.0f}-{peaks[-1]:.0f}", f"{r['machine']['barrier']:.0f}"
                  if r["threads"] > 1 else ""]
        out.append("| " + " | ".join(cells) + " |")
    out += ["", "Peers: " + "; ".join(f"{p.name}: {p.version}" for p in peers if p.version) + ".",
            ""] + ["- " + s for s in said]
    return "\n".join(out) + "\n"


def write(folder, rows, said, peers, args):
    with open(os.path.join(folder, "bench.md"), "w") as file:
        file.write(markdown(rows, said, peers))
    with open(os.path.join(folder, "bench.json"), "w") as file:
        json.dump({"rows": rows, "said": said, "rounds": args.rounds, "slice_ms": args.slice,
                   "versions": {p.name: p.version for p in peers}}, file, indent=1)
