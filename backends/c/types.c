/* Types and constants as C. */
#include "c.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- types ---- */

bool c_is_float(LoopType type) {
    return type == LT_F32 || type == LT_F64;
}

bool c_is_mask(LoopType type) {
    return type == LT_M32 || type == LT_M64;
}

void c_use(EmitC *c, LoopType type, int lanes, unsigned use) {
    int level = 0;
    while ((1 << level) < lanes) level++;
    if (type == LT_M32) type = LT_I32;
    if (type == LT_M64) type = LT_I64;
    c->uses.of[type][level] |= use | (lanes > 1 ? (unsigned)USE_VECTOR : 0);
    /* min and max of floats are written with masks. */
    if (lanes > 1 && c_is_float(type) && (use & (USE_SELECT | USE_MIN | USE_MAX)))
        c->uses.of[type == LT_F32 ? LT_I32 : LT_I64][level] |= USE_VECTOR;
}

/* The letters and width of a vector's element: f32, i64; masks are integers. */
const char *c_element_name(LoopType type) {
    return type == LT_M32 ? "i32" : type == LT_M64 ? "i64" : loop_type_text(type);
}

const char *c_element_upper(LoopType type) {
    switch (type) {
    case LT_F32: return "F32";
    case LT_F64: return "F64";
    case LT_I8: return "I8";
    case LT_U16: return "U16";
    case LT_I32:
    case LT_M32: return "I32";
    case LT_I64:
    case LT_M64: return "I64";
    case LT_VOID: break;
    }
    return "VOID";
}

const char *c_type(EmitC *c, LoopType type, int lanes) {
    if (lanes == 1) return identifier_type(type);
    c_use(c, type, lanes, USE_VECTOR);
    return arena_printf(c->arena, "%sx%d", c_element_name(type), lanes);
}

/* ---- constants ---- */

void c_number(Text *out, LoopType type, double value) {
    if (!c_is_float(type)) {
        c_integer(out, type, (int64_t)value);
        return;
    }
    const char *suffix = type == LT_F32 ? "f" : "";
    if (isnan(value)) {
        text_printf(out, "(0.0%s / 0.0%s)", suffix, suffix);
        return;
    }
    if (isinf(value)) {
        text_printf(out, "(%s1.0%s / 0.0%s)", value < 0 ? "-" : "", suffix, suffix);
        return;
    }
    /* A decimal of few digits that is exactly this number reads best; hexadecimal is exact always.
     */
    char decimal[40];
    if (fabs(value) < 1e9 && value == (double)(int64_t)value)
        snprintf(decimal, sizeof decimal, "%.1f", value);
    else
        snprintf(decimal, sizeof decimal, "%.6g", value);
    double back = type == LT_F32 ? (double)(float)strtod(decimal, NULL) : strtod(decimal, NULL);
    if (back == value && (value == 0 || (fabs(value) > 1e-5 && fabs(value) < 1e9))) {
        bool plain = strchr(decimal, '.') || strchr(decimal, 'e');
        text_printf(out, "%s%s%s", decimal, plain ? "" : ".0", suffix);
    } else {
        text_printf(out, "%a%s", value, suffix);
    }
}

void c_integer(Text *out, LoopType type, int64_t value) {
    if (value == INT64_MIN)
        text_puts(out, "INT64_MIN");
    else if (type == LT_I32 && value == INT32_MIN)
        text_puts(out, "INT32_MIN");
    else if (value > INT32_MAX || value < -INT32_MAX)
        text_printf(out, "%sINT64_C(%" PRId64 ")", value < 0 ? "-" : "",
                    value < 0 ? -value : value);
    else
        text_printf(out, "%" PRId64, value);
}
