#!/usr/bin/env python3
"""Coefficients of the polynomials of loop_expand_math, by a Remez exchange in 60 digits.

    python3 tools/math_coefficients.py > compiler/loop/expand_coefs.h

Needs mpmath. Each polynomial minimises the largest weighted error on a grid of Chebyshev points;
its coefficients are rounded to the type one after the other, the rest being fitted again each time.
The comment at each table says the error of the rounded polynomial, relative to the function.
"""
import sys

from mpmath import mp, mpf

mp.dps = 60
GRID = 700
EXPM1_F32 = ("0x1.fffffep-2", "0x1.5554aep-3", "0x1.555676p-5", "0x1.122886p-7", "0x1.6bebdep-10")


def rounded(value, bits):
    """The nearest number of `bits` significant bits (exponents are unbounded here)."""
    mantissa, exponent = mp.frexp(value)
    return mp.ldexp(mp.nint(mp.ldexp(mantissa, bits)), exponent - bits)


def grid(low, high):
    middle, radius = (mpf(low) + high) / 2, (mpf(high) - low) / 2
    points = [middle - radius * mp.cos(mp.pi * (k + mpf("0.5")) / GRID) for k in range(GRID)]
    return points


def alternate(errors, wanted):
    """Indexes of `wanted` extrema of alternating sign, dropping the smallest at the ends."""
    picked = []
    for i, e in enumerate(errors):
        if picked and (errors[picked[-1]] > 0) == (e > 0):
            if abs(e) > abs(errors[picked[-1]]):
                picked[-1] = i
        else:
            picked.append(i)
    while len(picked) > wanted:
        if abs(errors[picked[0]]) < abs(errors[picked[-1]]):
            picked.pop(0)
        else:
            picked.pop()
    return picked


def minimax(points, values, weights, powers):
    """c with the least max |(value - sum c_i x^powers_i) * weight|, and that maximum."""
    n = len(powers)
    table = [[x ** p for p in powers] for x in points]
    chosen = [round((len(points) - 1) * k / n) for k in range(n + 1)]
    for _ in range(30):
        system, right = mp.matrix(n + 1), mp.matrix(n + 1, 1)
        for row, k in enumerate(chosen):
            for column in range(n):
                system[row, column] = table[k][column]
            system[row, n] = (-1) ** row / weights[k]
            right[row] = values[k]
        solution = mp.lu_solve(system, right)
        c = [solution[i] for i in range(n)]
        errors = [(v - mp.fdot(c, t)) * w for v, t, w in zip(values, table, weights)]
        picked = alternate(errors, n + 1)
        most = max(abs(e) for e in errors)
        if len(picked) < n + 1 or picked == chosen or most < abs(solution[n]) * mpf("1.0001"):
            break
        chosen = picked
    return c, most


def fit(function, weight, low, high, powers, bits):
    """Rounded coefficients and the error of the rounded polynomial."""
    points = grid(low, high)
    values = [function(x) for x in points]
    weights = [abs(weight(x)) for x in points]
    left, rest, fixed = list(values), list(powers), []
    while rest:
        c, _ = minimax(points, left, weights, rest)
        fixed.append(rounded(c[0], bits))
        left = [v - fixed[-1] * x ** rest[0] for v, x in zip(left, points)]
        rest = rest[1:]
    return fixed, max(abs(v * w) for v, w in zip(left, weights))


def text(value):
    return float(value).hex() if value == mpf(float(value)) else "inexact"


def table(name, what, coefficients, error):
    print("/* %s: 2^%.1f */" % (what, float(mp.log(error, 2))))
    print("static const double %s[] = {" % name)
    for c in coefficients:
        print("    %s," % text(c))
    print("};\n")
    print(name, len(coefficients), mp.nstr(mp.log(error, 2), 4), file=sys.stderr)


def two_types(name, what, function, weight, low, high, terms, step=1):
    """Tables NAME_f32 and NAME_f64 of terms[0] and terms[1] coefficients of x^0, x^step, ..."""
    for suffix, bits, n in (("f32", 24, terms[0]), ("f64", 53, terms[1])):
        bound = high[0 if bits == 24 else 1] if isinstance(high, tuple) else high
        c, error = fit(function, weight, low, bound, [step * i for i in range(n)], bits)
        table(name + "_" + suffix, what, c, error)


def parts(name, what, value, sizes):
    """Value as a sum of numbers of the given bits, each the nearest to what is left."""
    print("/* %s in parts of %s bits */" % (what, ", ".join(str(s) for s in sizes)))
    print("static const double %s[] = {" % name)
    for size in sizes:
        part = rounded(value, size)
        value -= part
        print("    %s," % text(part))
    print("};\n")


def expm1_rest(r):
    return (mp.expm1(r) - r) / (r * r)


def log_rest(z):
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z


def main():
    half_ln2 = mp.ln(2) / 2
    print("/* Polynomials and constants of loop_expand_math, not written by hand: printed by")
    print(" * tools/math_coefficients.py. Behind each colon: the error relative to the function. */")
    print("#ifndef RNNC_LOOP_EXPAND_COEFS_H\n#define RNNC_LOOP_EXPAND_COEFS_H\n")

    # Degree 4 in float: fitted earlier, and measured over all floats. The product n ln 2 is rounded
    # on targets without fma, so the interval of doubles is a little wider.
    c = [mpf(float.fromhex(t)) for t in EXPM1_F32]
    error = max(abs((expm1_rest(r) - mp.polyval(c[::-1], r)) * r * r / mp.expm1(r))
                for r in grid(-half_ln2, half_ln2))
    what = "(expm1(r) - r) / r^2, |r| <= ln(2)/2"
    table("expm1_f32", what, c, error)
    bound = half_ln2 * (mpf(1) + mpf(2) ** -14)
    c, error = fit(expm1_rest, lambda r: r * r / mp.expm1(r), -bound, bound, range(11), 53)
    table("expm1_f64", what, c, error)

    two_types("log_rest", "(2 atanh(s) / s - 2) / z in z = s^2, |s| <= 1/5",
              log_rest, lambda z: z / (2 + z * log_rest(z)), mpf(10) ** -20, mpf(1) / 25, (4, 8))

    # The same without its first term, which pow adds in two parts.
    parts("two_thirds_f32", "2/3", mpf(2) / 3, (24, 24))
    parts("two_thirds_f64", "2/3", mpf(2) / 3, (53, 53))
    two_types("pow_rest", "(2 atanh(s) / s - 2 - 2/3 z) / z^2 in z = s^2, |s| <= 0.1716",
              lambda z: (log_rest(z) - mpf(2) / 3) / z, lambda z: z * z / (2 + z * log_rest(z)),
              mpf(10) ** -15, mpf("0.02945"), (4, 9))

    # Both conditions keep the leading part exact when multiplied by the integers that occur.
    parts("ln2_f32", "ln 2, for |n| < 2^9", mp.ln(2), (15, 24))
    parts("ln2_f64", "ln 2, for |n| < 2^12", mp.ln(2), (41, 53))
    parts("half_pi_f32", "pi/2", mp.pi / 2, (24, 24, 24))
    parts("half_pi_f64", "pi/2", mp.pi / 2, (53, 53, 53))

    # |r| passes pi/4 where the multiple of pi/2 is found with a rounded product.
    quarter = mp.pi / 4 + mpf("0.07"), mp.pi / 4 + mpf("0.001")
    two_types("sin_rest", "(sin(r) - r) / r^3 in r^2",
              lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
              lambda z: z * mp.sqrt(z) / mp.sin(mp.sqrt(z)),
              mpf(10) ** -20, (quarter[0] ** 2, quarter[1] ** 2), (4, 7))
    two_types("cos_rest", "(cos(r) - 1 + r^2/2) / r^4 in r^2",
              lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / (z * z),
              lambda z: z * z / mp.cos(mp.sqrt(z)),
              mpf(10) ** -20, (quarter[0] ** 2, quarter[1] ** 2), (3, 6))

    two_types("erf_near", "erf(x) / x - 1 in x^2, |x| <= 1",
              lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
              lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)),
              mpf(10) ** -20, mpf(1), (7, 13))

    def tail(t):
        x = 1 / t - 2
        return mp.erfc(x) * mp.exp(x * x)

    def tail_weight(t):
        x = 1 / t - 2
        return mp.exp(-x * x) / mp.erf(x)

    for suffix, bits, n, most in (("f32", 24, 6, mpf(4)), ("f64", 53, 14, mpf(6))):
        c, error = fit(tail, tail_weight, 1 / (most + 2), mpf(1) / 3, range(n), bits)
        table("erf_far_" + suffix,
              "exp(x^2) erfc(x) in 1 / (x + 2), 1 <= x <= %d, relative to erf(x)" % int(most),
              c, error)
    print("#endif")


main()
