#!/usr/bin/env python3
"""Sunspots of the next year, forecast from all years before, against persistence, a season of eleven
years and a linear model of nine years.

    python3 examples/forecast/run.py [--seed=0] [--epochs=60]

Years up to 1899 train, up to 1929 choose the best round, 1930 to 2008 judge."""
import array
import csv
import math
import os
import sys

HERE = os.path.relpath(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(HERE, ".."))
from tasks import data, folder, load, rnnc, save, sequences_first  # noqa: E402

PIECE, STEP = 48, 2
LEARN, CHOOSE = 1900, 1930


def read():
    with open(data("series_statsmodels/sunspots.csv"), newline="") as f:
        rows = list(csv.reader(f))[1:]
    return [int(float(r[0])) for r in rows], [float(r[1]) for r in rows]


def scaled(v):
    """Square roots: the noise of a count grows with it."""
    return math.sqrt(v) / 5 - 1


def unscaled(v):
    return 25 * max(0, v + 1) ** 2


def prepare(out, years, spots):
    """Pieces of PIECE years that overlap; those that end after LEARN are the last ones."""
    series = [scaled(v) for v in spots]
    ends = [e for e in range(PIECE, len(years)) if years[e] < CHOOSE]
    learn = [e for e in ends if years[e] < LEARN][::STEP]
    choose = [e for e in ends if years[e] >= LEARN][::6]
    for name, shift in (("x", 1), ("y", 0)):
        rows = [array.array("f", series[e - shift - PIECE + 1:e - shift + 1])
                for e in learn + choose]
        save(os.path.join(out, name + ".npy"), (PIECE, len(rows)), sequences_first(rows, PIECE, 1))
    save(os.path.join(out, "all.npy"), (len(series),), array.array("f", series))
    return len(choose) / len(learn + choose)


def solve(a, b):
    """a x = b by elimination."""
    n = len(b)
    rows = [list(a[i]) + [b[i]] for i in range(n)]
    for i in range(n):
        p = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[p] = rows[p], rows[i]
        for k in range(i + 1, n):
            f = rows[k][i] / rows[i][i]
            rows[k] = [u - f * v for u, v in zip(rows[k], rows[i])]
    x = [0] * n
    for i in reversed(range(n)):
        x[i] = (rows[i][n] - sum(rows[i][k] * x[k] for k in range(i + 1, n))) / rows[i][i]
    return x


def linear(series, years, order=9):
    """Least squares on the years that the net learns from and chooses by."""
    known = [t for t in range(order, len(years)) if years[t] < CHOOSE]
    rows = [[1] + [series[t - k] for k in range(1, order + 1)] for t in known]
    a = [[sum(r[i] * r[j] for r in rows) for j in range(order + 1)] for i in range(order + 1)]
    b = [sum(r[i] * series[t] for r, t in zip(rows, known)) for i in range(order + 1)]
    w = solve(a, b)
    return [w[0] + sum(w[k] * series[t - k] for k in range(1, order + 1)) if t >= order else 0
            for t in range(len(series))]


def picture(path, years, spots, forecast, first):
    """The years that judge, as SVG."""
    width, height, left, top = 760, 300, 50, 30
    x = lambda i: left + (width - left - 15) * (i - first) / (len(years) - 1 - first)  # noqa: E731
    y = lambda v: height - 30 - (height - 60) * v / 200  # noqa: E731
    out = ['<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" '
           'font-size="12" fill="#333"><rect width="100%%" height="100%%" fill="white"/>' %
           (width, height)]
    for v in range(0, 201, 50):
        out.append('<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%d'
                   '</text>' % (left, y(v), width - 15, left - 6, y(v) + 4, v))
    for i in range(first, len(years), 10):
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%d</text>' % (x(i), height - 10,
                                                                          years[i]))
    for values, color, name, place in ((spots, "#333", "sunspots", 0),
                                       (forecast, "#d62728", "forecast one year ahead", 90)):
        line = "L".join("%.1f %.1f" % (x(i), y(values[i])) for i in range(first, len(years)))
        out.append('<path d="M%s" fill="none" stroke="%s" stroke-width="1.5"/><text x="%d" y="%d" '
                   'fill="%s">%s</text>' % (line, color, left + place, top - 8, color, name))
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n</svg>\n")


def main():
    options = dict(a.lstrip("-").split("=", 1) for a in sys.argv[1:])
    out = folder("forecast")
    spec = os.path.join(HERE, "sunspots.rnn")
    years, spots = read()
    share = prepare(out, years, spots)
    at = lambda name: os.path.join(out, name)  # noqa: E731
    seconds = rnnc("train", spec, "--in", "x=" + at("x.npy"), "--in", "y=" + at("y.npy"),
                   "--valid=%.4f" % share, "--split=last", "--batch=8",
                   "--epochs=" + options.get("epochs", "60"), "--lr=0.005", "--schedule=cosine",
                   "--clip=1", "--seed=" + options.get("seed", "0"), "-o", at("w.safetensors"),
                   "--curve", at("curve.svg"), "--log", at("log.jsonl"))
    rnnc("run", spec, "--weights", at("w.safetensors"), "--in", "x=" + at("all.npy"), "--out",
         "z=" + at("z.npy"))
    _, z = load(at("z.npy"))
    series = [scaled(v) for v in spots]
    forecasts = {"the net": [0] + [unscaled(v) for v in z][:-1],
                 "persistence: as this year": [0] + spots[:-1],
                 "a season: as eleven years ago": [0] * 11 + spots[:-11],
                 "linear, of nine years": [unscaled(v) for v in linear(series, years)]}
    first = years.index(CHOOSE)
    for name, values in forecasts.items():
        wrong = [values[i] - spots[i] for i in range(first, len(years))]
        print("%-30s root mean square error %5.1f, mean error %5.1f" %
              (name, math.sqrt(sum(w * w for w in wrong) / len(wrong)),
               sum(map(abs, wrong)) / len(wrong)))
    picture(at("forecast.svg"), years, spots, forecasts["the net"], first)
    print("%d to %d, trained in %.0f s; %s" % (CHOOSE, years[-1], seconds, at("forecast.svg")))


if __name__ == "__main__":
    main()
