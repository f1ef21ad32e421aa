/* Fused multiply-add in software, as text of the emitted file: exact for all operands, and the same
 * bits as the instruction, for C that was made for a target with fma and is compiled without. */
#include "c.h"

/* The product of two floats is exact in double. The sum is not: its last bit is set when something
 * was lost ("round to odd"), after which rounding once more to float is right: 53 >= 24 + 2 bits.
 */
static const char single[] =
    "\n"
    "FMA_ALONE static float fma_f32(float a, float b, float c)\n"
    "{\n"
    "    const double product = (double)a * (double)b, term = (double)c;\n"
    "    union { double value; uint64_t bits; } sum;\n"
    "    sum.value = product + term;\n"
    "    /* What the sum has lost, exactly; NaN where it is not finite. */\n"
    "    const double part = sum.value - product;\n"
    "    const double lost = (product - (sum.value - part)) + (term - part);\n"
    "    if ((lost > 0 || lost < 0) && (sum.bits & 1) == 0) {\n"
    "        sum.bits += (lost > 0) == (sum.value > 0) ? (uint64_t)1 : ~(uint64_t)0;\n"
    "    }\n"
    "    return (float)sum.value;\n"
    "}\n";

/* In integers: 53 x 53 bits give 106; both terms are laid into 128 bits with the last one standing
 * for all that was shifted out, added, normalised and rounded to even. */
static const char parts[] =
    "\n"
    "/* The significand of a finite number in bits 52 to 0, and the weight "
    "of its bit 0 as a power of 2. */\n"
    "static uint64_t fma_parts(double value, int *exponent)\n"
    "{\n"
    "    union { double value; uint64_t bits; } both;\n"
    "    both.value = value;\n"
    "    uint64_t digits = both.bits & 0xfffffffffffff;\n"
    "    int field = (int)(both.bits >> 52 & 0x7ff);\n"
    "    if (field == 0) {\n"
    "        for (field = 1; digits >> 52 == 0; field--) { digits <<= 1; }\n"
    "    } else {\n"
    "        digits |= (uint64_t)1 << 52;\n"
    "    }\n"
    "    *exponent = field - 1075;\n"
    "    return digits;\n"
    "}\n";

/* Several strings: C promises room for 4095 characters in one. */
static const char sum[] =
    "\n"
    "FMA_ALONE static double fma_f64(double a, double b, double c)\n"
    "{\n"
    "    union { double value; uint64_t bits; } x, y, z, result;\n"
    "    x.value = a;\n"
    "    y.value = b;\n"
    "    z.value = c;\n"
    "    const uint64_t infinity = (uint64_t)0x7ff << 52, magnitude = ~(uint64_t)0 >> 1;\n"
    "    if ((x.bits & magnitude) >= infinity || (y.bits & magnitude) >= infinity) {\n"
    "        return a * b + c;\n"
    "    }\n"
    "    if ((z.bits & magnitude) >= infinity) { return c; }\n"
    "    if ((x.bits & magnitude) == 0 || (y.bits & magnitude) == 0) { return a * b + c; }\n"
    "    if ((z.bits & magnitude) == 0) { return a * b; }\n"
    "    int x_exponent, y_exponent, c_exponent;\n"
    "    const uint64_t xd = fma_parts(a, &x_exponent), yd = fma_parts(b, &y_exponent);\n"
    "    const uint64_t cd = fma_parts(c, &c_exponent);\n"
    "    /* Bits 127 to 64 and 63 to 0 of the product, shifted up by 20, and of c, shifted up by "
    "72. */\n"
    "    const uint64_t low = (xd & 0xffffffff) * (yd & 0xffffffff);\n"
    "    const uint64_t mid1 = (xd >> 32) * (yd & 0xffffffff) + (low >> 32);\n"
    "    const uint64_t mid2 = (xd & 0xffffffff) * (yd >> 32) + (mid1 & 0xffffffff);\n"
    "    uint64_t p1 = (xd >> 32) * (yd >> 32) + (mid1 >> 32) + (mid2 >> 32);\n"
    "    uint64_t p0 = mid2 << 32 | (low & 0xffffffff);\n"
    "    p1 = p1 << 20 | p0 >> 44;\n"
    "    p0 <<= 20;\n"
    "    uint64_t c1 = cd << 8, c0 = 0;\n"
    "    int exponent = x_exponent + y_exponent - 20;\n"
    "    int shift = exponent - (c_exponent - 72);\n"
    "    uint64_t *s1 = &c1, *s0 = &c0; /* the term to be shifted down */\n"
    "    if (shift < 0) {\n"
    "        exponent -= shift;\n"
    "        shift = -shift;\n"
    "        s1 = &p1;\n"
    "        s0 = &p0;\n"
    "    }\n"
    "    if (shift >= 64) {\n"
    "        *s0 = shift >= 128 ? 1 : *s1 | (uint64_t)(*s0 != 0);\n"
    "        *s1 = 0;\n"
    "        shift -= 64;\n"
    "    }\n"
    "    if (shift > 0 && shift < 64) {\n"
    "        const uint64_t out = *s0 << (64 - shift);\n"
    "        *s0 = *s0 >> shift | *s1 << (64 - shift) | (uint64_t)(out != 0);\n"
    "        *s1 >>= shift;\n"
    "    }\n"
    "    uint64_t sign = (x.bits ^ y.bits) & ~magnitude;\n"
    "    uint64_t r1, r0;\n"
    "    if (sign == (z.bits & ~magnitude)) {\n"
    "        r0 = p0 + c0;\n"
    "        r1 = p1 + c1 + (uint64_t)(r0 < p0);\n"
    "    } else if (p1 > c1 || (p1 == c1 && p0 >= c0)) {\n"
    "        r0 = p0 - c0;\n"
    "        r1 = p1 - c1 - (uint64_t)(p0 < c0);\n"
    "    } else {\n"
    "        r0 = c0 - p0;\n"
    "        r1 = c1 - p1 - (uint64_t)(c0 < p0);\n"
    "        sign ^= ~magnitude;\n"
    "    }\n"
    "    if ((r1 | r0) == 0) { return 0.0; }\n"
    "    if (r1 == 0) {\n"
    "        r1 = r0;\n"
    "        r0 = 0;\n"
    "        exponent -= 64;\n"
    "    }\n";

static const char rounding[] =
    "    int up = 0;\n"
    "    while (r1 << up >> 63 == 0) { up++; }\n"
    "    if (up > 0) {\n"
    "        r1 = r1 << up | r0 >> (64 - up);\n"
    "        r0 <<= up;\n"
    "    }\n"
    "    r1 |= (uint64_t)(r0 != 0);\n"
    "    /* r1 is in [2^63, 2^64); its bit 63 is worth 2^(exponent + 127 - up). */\n"
    "    const int field = exponent + 127 - up + 1023;\n"
    "    int drop = field >= 1 ? 11 : 12 - field;\n"
    "    if (field > 2046) {\n"
    "        result.bits = sign | infinity;\n"
    "        return result.value;\n"
    "    }\n"
    "    if (drop > 63) {\n"
    "        /* Below half of the smallest number, or between half and it. */\n"
    "        result.bits = sign | (uint64_t)(drop == 64 && r1 > (uint64_t)1 << 63);\n"
    "        return result.value;\n"
    "    }\n"
    "    const uint64_t rest = r1 << (64 - drop), half = (uint64_t)1 << 63;\n"
    "    result.bits = (r1 >> drop) + (field >= 1 ? (uint64_t)(field - 1) << 52 : 0);\n"
    "    if (rest > half || (rest == half && (result.bits & 1) != 0)) { result.bits++; }\n"
    "    result.bits |= sign;\n"
    "    return result.value;\n"
    "}\n";

void c_soft_fma(LoopType type, Text *out) {
    if (type == LT_F32) {
        text_puts(out, single);
    } else {
        text_puts(out, parts);
        text_puts(out, sum);
        text_puts(out, rounding);
    }
}
