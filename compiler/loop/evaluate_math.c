/* Conversions, and EXPANDED operations through libm in double, for modules that are evaluated
 * before loop_expand_math: right to about an ulp of the type, not the bits of the expansion. */
#include "loop/evaluate_code.h"

#include <math.h>

static double log_add_exp(double a, double b) {
    if (isnan(a) || isnan(b)) return a + b;
    double most = a < b ? b : a;
    if (isinf(most)) return most; /* inf - inf below would be NaN */
    return most + log1p(exp(-fabs(a - b)));
}

static double compute(ScalarOp op, double a, double b) {
    switch ((int)op) {
    case SOP_EXP: return exp(a);
    case SOP_LOG: return log(a);
    case SOP_SIGMOID: return 1 / (1 + exp(-a));
    case SOP_TANH: return tanh(a);
    case SOP_SOFTPLUS: return a > 0 ? a + log1p(exp(-a)) : log1p(exp(a));
    case SOP_LOGADDEXP: return log_add_exp(a, b);
    case SOP_POW: return pow(a, b);
    case SOP_SQRT: return sqrt(a);
    case SOP_FLOOR: return floor(a);
    case SOP_ERF: return erf(a);
    case SOP_SIN: return sin(a);
    case SOP_COS: return cos(a);
    }
    return NAN;
}

void eval_math(ScalarOp op, LoopType type, int lanes, void *d, const void *a, const void *b) {
    for (int n = 0; n < lanes; n++) {
        if (type == LT_F64) {
            double x = ((const double *)a)[n], y = b ? ((const double *)b)[n] : 0;
            ((double *)d)[n] = compute(op, x, y);
        } else {
            float x = ((const float *)a)[n], y = b ? ((const float *)b)[n] : 0;
            ((float *)d)[n] = (float)compute(op, (double)x, (double)y);
        }
    }
}

/* ---- conversions ---- */

static bool is_float(LoopType type) {
    return type == LT_F32 || type == LT_F64;
}

static double read_float(LoopType from, const void *a, int n) {
    return from == LT_F32 ? (double)((const float *)a)[n] : ((const double *)a)[n];
}

static int64_t read_int(LoopType from, const void *a, int n) {
    switch (from) {
    case LT_I8: return ((const int8_t *)a)[n];
    case LT_U16: return ((const uint16_t *)a)[n];
    case LT_I32: return ((const int32_t *)a)[n];
    case LT_I64: return ((const int64_t *)a)[n];
    case LT_F32:
    case LT_F64:
    case LT_M32:
    case LT_M64:
    case LT_VOID: break;
    }
    return 0;
}

/* Modulo 2^width. */
static void write_int(LoopType to, void *d, int n, int64_t value) {
    switch (to) {
    case LT_I8: ((uint8_t *)d)[n] = (uint8_t)value; return;
    case LT_U16: ((uint16_t *)d)[n] = (uint16_t)value; return;
    case LT_I32: ((uint32_t *)d)[n] = (uint32_t)value; return;
    case LT_I64: ((int64_t *)d)[n] = value; return;
    case LT_F32: ((float *)d)[n] = (float)value; return;
    case LT_F64: ((double *)d)[n] = (double)value; return;
    case LT_M32:
    case LT_M64:
    case LT_VOID: return;
    }
}

/* Whether `value`, cut towards zero, is a number of type `to`. */
static bool holds(LoopType to, double value) {
    double whole = trunc(value);
    switch (to) {
    case LT_I8: return whole >= -128 && whole <= 127;
    case LT_U16: return whole >= 0 && whole <= 65535;
    case LT_I32: return whole >= -2147483648.0 && whole <= 2147483647.0;
    case LT_I64: return whole >= -9223372036854775808.0 && whole < 9223372036854775808.0;
    case LT_F32:
    case LT_F64:
    case LT_M32:
    case LT_M64:
    case LT_VOID: break;
    }
    return false;
}

bool eval_convert(LoopType from, LoopType to, int lanes, void *d, const void *a) {
    for (int n = 0; n < lanes; n++) {
        if (!is_float(from)) {
            write_int(to, d, n, read_int(from, a, n));
            continue;
        }
        double value = read_float(from, a, n);
        if (to == LT_F32)
            ((float *)d)[n] = (float)value;
        else if (to == LT_F64)
            ((double *)d)[n] = value;
        else if (holds(to, value))
            write_int(to, d, n, (int64_t)value);
        else
            return false;
    }
    return true;
}
