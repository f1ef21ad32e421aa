"""What was measured: a line a case on the terminal, a table in Markdown, everything in JSON."""
import json
import math
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
            "error": max(c.error.values()), "about": c.about, "mb": c.memory})
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
        words.append(f"ratio {theirs['ns'] / ours['ns']:.2f} of {row.get('bar', 1):g}")
    return "  ".join(words)


def memory(row):
    """MB of ours and the least of the peers, in training."""
    ours = [c.get("mb", 0) for c in row["contenders"] if c["own"]]
    theirs = {} # a peer's later settings find memory that its first one left
    for c in row["contenders"]:
        if not c["own"]:
            theirs[c["peer"]] = max(theirs.get(c["peer"], 0), c.get("mb", 0))
    if not row["training"] or not ours or not ours[0]:
        return ""
    return f"{max(ours):.0f}" + (f" / {min(theirs.values()):.0f}" if theirs else "")


def markdown(rows, said, peers):
    names = []
    for r in rows:
        for c in r["contenders"]:
            if not c["own"] and c["peer"] not in names:
                names.append(c["peer"])
    settings = ["gcc", "clang", "llvm"]
    out = [f"Median ms of interleaved runs, {time.strftime('%d %B %Y')}, {platform.machine()}. "
           "`limit`: roofline from limits measured in the same run; `share`: limit over the best "
           "of rnnc; `ratio`: best peer over the best of rnnc, bold where it reaches the `bar` that we "
           "hold ourselves to; MB: what a process needs at most for the case, rnnc / the least of the "
           "peers, in training; peak in GFLOP/s of one core, "
           "barrier in ns, both measured beside the times.", ""]
    head = ["case", "threads", *("rnnc " + s for s in settings), "limit", "share", *names, "ratio",
            "bar", "MB", "peak", "barrier"]
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
        ratio = theirs["ns"] / ours["ns"] if ours and theirs else 0
        mark = "**" if ratio >= r.get("bar", 0) else ""
        cells.append(f"{mark}{ratio:.2f}{mark}" if ratio else "")
        cells.append(f"{r['bar']:g}" if "bar" in r else "")
        cells.append(memory(r))
        peaks = sorted(p for c in r["contenders"] for p in c["peaks"])
        cells += [f"{peaks[0]:.0f}-{peaks[-1]:.0f}", f"{r['machine']['barrier']:.0f}"
                  if r["threads"] > 1 else ""]
        out.append("| " + " | ".join(cells) + " |")
    out += ["", "Peers: " + "; ".join(f"{p.name}: {p.version}" for p in peers if p.version) + ".",
            ""] + ["- " + s for s in said]
    return "\n".join(out) + "\n"


COLOURS = ["#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb", "#000000"]


def svg(rows):
    """Time over limit, a line of marks a case: rnnc filled, its best; peers hollow. The scale is
    logarithmic; 1 is the limit."""
    names = ["rnnc"]
    for r in rows:
        names += [c["peer"] for c in r["contenders"] if not c["own"] and c["peer"] not in names]
    names = list(dict.fromkeys(names))
    left, width, step, top = 330, 560, 18, 46
    height = top + step * len(rows) + 30
    most = math.log10(40)
    low = math.log10(0.7)

    def place(ratio):
        return left + width * (min(max(math.log10(ratio), low), most) - low) / (most - low)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 20}" height="{height}" '
           'font-family="sans-serif" font-size="11">', '<rect width="100%" height="100%" fill="white"/>']
    for i, name in enumerate(names):
        x, colour = 10 + 110 * i, COLOURS[i % len(COLOURS)]
        out.append(f'<circle cx="{x}" cy="14" r="4" stroke="{colour}" '
                   f'fill="{colour if i == 0 else "none"}"/><text x="{x + 8}" y="18">{name}</text>')
    for ratio in (1, 1.5, 2, 3, 5, 10, 20, 40):
        x = place(ratio)
        out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 8}" y2="{height - 24}" '
                   f'stroke="{"#444" if ratio == 1 else "#ddd"}"/>'
                   f'<text x="{x:.1f}" y="{height - 10}" text-anchor="middle">{ratio:g}</text>')
    for k, r in enumerate(rows):
        y = top + step * k + 4
        words = ("training, " if r["training"] else "") + r["case"]
        words += ", 2 threads" if r["threads"] > 1 else ""
        out.append(f'<text x="{left - 10}" y="{y + 4}" text-anchor="end">{words}</text>')
        for i, name in reversed(list(enumerate(names))):
            c = best(r, i == 0, None if i == 0 else name)
            if c:
                colour = COLOURS[i % len(COLOURS)]
                out.append(f'<circle cx="{place(c["ns"] / r["limit_ns"]):.1f}" cy="{y}" r="4" '
                           f'stroke="{colour}" fill="{colour if i == 0 else "none"}"/>')
    return "\n".join(out + ["</svg>", ""])


def into(path, name, text):
    """Puts `text` between the two comments of this name in a page."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    with open(path) as file:
        page = file.read()
    before, rest = page.split(begin, 1)
    with open(path, "w") as file:
        file.write(before + begin + text + end + rest.split(end, 1)[1])


def write(folder, rows, said, peers, args):
    with open(os.path.join(folder, "bench.svg"), "w") as file:
        file.write(svg(rows))
    with open(os.path.join(folder, "bench.md"), "w") as file:
        file.write(markdown(rows, said, peers))
    with open(os.path.join(folder, "bench.json"), "w") as file:
        json.dump({"rows": rows, "said": said, "rounds": args.rounds, "slice_ms": args.slice,
                   "versions": {p.name: p.version for p in peers}}, file, indent=1)
