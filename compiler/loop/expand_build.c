/* Builders of straight-line code on floats and their bits, for the expanders of math. */
#include "loop/expand.h"

LExpr *ex_keep(Expander *x, LExpr *e) {
    if (e->kind == LE_VAR || e->kind == LE_FLOAT || e->kind == LE_INT) return e;
    int var = loop_let(x->module, x->function, x->block, x->name, e);
    return loop_var(x->module, x->function, var);
}

LExpr *ex_op(Expander *x, ScalarOp op, LExpr *a, LExpr *b, LExpr *c) {
    return ex_keep(x, loop_op(x->module, op, a, b, c));
}

/* One variable for each constant of more than one lane. */
static LExpr *in_all_lanes(Expander *x, LExpr *constant, uint64_t bits) {
    if (x->lanes == 1) return constant;
    for (int i = 0; i < x->consts.count; i++) {
        const ExConst *k = &x->consts.at[i];
        if (k->type == constant->type && k->lanes == x->lanes && k->bits == bits)
            return loop_var(x->module, x->function, k->var);
    }
    LExpr *splat = loop_splat(x->module, constant, x->lanes);
    int var = loop_let(x->module, x->function, x->block, "k", splat);
    vec_push(x->module->arena, &x->consts, (ExConst){constant->type, x->lanes, var, bits});
    return loop_var(x->module, x->function, var);
}

LExpr *ex_real(Expander *x, double value) {
    LExpr *e = loop_float(x->module, x->type, value);
    uint64_t bits;
    memcpy(&bits, &e->number, sizeof bits);
    return in_all_lanes(x, e, bits);
}

LExpr *ex_int(Expander *x, int64_t value) {
    if (!x->wide) value = (int32_t)value;
    return in_all_lanes(x, loop_int_of(x->module, x->ints, value), (uint64_t)value);
}

LExpr *ex_shift(Expander *x, ScalarOp op, LExpr *a, int by) {
    LExpr *count = loop_int_of(x->module, x->ints, by);
    return ex_op(x, op, a, loop_splat(x->module, count, x->lanes), NULL);
}

LExpr *ex_bits(Expander *x, LExpr *a) {
    return ex_keep(x, loop_convert(x->module, SOP_BITCAST, x->ints, a));
}

LExpr *ex_from_bits(Expander *x, LExpr *a) {
    return ex_keep(x, loop_convert(x->module, SOP_BITCAST, x->type, a));
}

/* Not as float constants: their spelling differs between the languages that backends print. */
LExpr *ex_infinity(Expander *x, bool negative) {
    int64_t bits = ex_pick_int(x, 0x7f800000, 0x7ff0000000000000);
    int64_t sign = ex_pick_int(x, INT32_MIN, INT64_MIN);
    return ex_from_bits(x, ex_int(x, negative ? bits | sign : bits));
}

LExpr *ex_nan(Expander *x) {
    return ex_from_bits(x, ex_int(x, ex_pick_int(x, 0x7fc00000, 0x7ff8000000000000)));
}

LExpr *ex_select(Expander *x, LExpr *mask, LExpr *then, LExpr *otherwise) {
    return ex_op(x, SOP_SELECT, mask, then, otherwise);
}

LExpr *ex_add(Expander *x, LExpr *a, LExpr *b) {
    return ex_op(x, SOP_ADD, a, b, NULL);
}

LExpr *ex_sub(Expander *x, LExpr *a, LExpr *b) {
    return ex_op(x, SOP_SUB, a, b, NULL);
}

LExpr *ex_mul(Expander *x, LExpr *a, LExpr *b) {
    return ex_op(x, SOP_MUL, a, b, NULL);
}

LExpr *ex_div(Expander *x, LExpr *a, LExpr *b) {
    return ex_op(x, SOP_DIV, a, b, NULL);
}

LExpr *ex_fma(Expander *x, LExpr *a, LExpr *b, LExpr *c) {
    return ex_op(x, SOP_FMA, a, b, c);
}

LExpr *ex_neg(Expander *x, LExpr *a) {
    return ex_op(x, SOP_NEG, a, NULL, NULL);
}

LExpr *ex_abs(Expander *x, LExpr *a) {
    return ex_op(x, SOP_ABS, a, NULL, NULL);
}

LExpr *ex_with_sign(Expander *x, LExpr *a, LExpr *sign) {
    LExpr *mask = ex_int(x, ex_pick_int(x, INT32_MIN, INT64_MIN));
    LExpr *bit = ex_op(x, SOP_AND, ex_bits(x, sign), mask, NULL);
    return ex_from_bits(x, ex_op(x, SOP_OR, ex_bits(x, ex_abs(x, a)), bit, NULL));
}

/* The upper half of a's digits, rounded: 12 of 24, 26 of 53. Products with the rest are exact. */
static LExpr *upper_half(Expander *x, LExpr *a) {
    int drop = x->wide ? 27 : 12;
    LExpr *half = ex_int(x, (int64_t)1 << (drop - 1));
    LExpr *mask = ex_int(x, -((int64_t)1 << drop));
    LExpr *moved = ex_add(x, ex_bits(x, a), half);
    return ex_from_bits(x, ex_op(x, SOP_AND, moved, mask, NULL));
}

LExpr *ex_product_rest(Expander *x, LExpr *a, LExpr *b, LExpr *hi) {
    if (x->fma) return ex_fma(x, a, b, ex_neg(x, hi));
    LExpr *a1 = upper_half(x, a), *b1 = upper_half(x, b);
    LExpr *a2 = ex_sub(x, a, a1), *b2 = ex_sub(x, b, b1);
    LExpr *rest = ex_sub(x, ex_mul(x, a1, b1), hi);
    rest = ex_add(x, rest, ex_mul(x, a1, b2));
    rest = ex_add(x, rest, ex_mul(x, a2, b1));
    return ex_add(x, rest, ex_mul(x, a2, b2));
}

LExpr *ex_exact_fma(Expander *x, LExpr *a, LExpr *b, LExpr *c) {
    if (x->fma) return ex_fma(x, a, b, c);
    LExpr *hi = ex_mul(x, a, b);
    LExpr *lo = ex_product_rest(x, a, b, hi);
    return ex_add(x, ex_add(x, c, hi), lo);
}

LExpr *ex_poly(Expander *x, LExpr *a, LExpr *square, ExTable table) {
    int count = table.count;
    LExpr **terms = ARENA_ARRAY(x->module->arena, count, LExpr *);
    for (int i = 0; i < count; i++) terms[i] = ex_real(x, table.at[i]);
    for (LExpr *power = a; count > 1;) {
        /* An odd last term joins its neighbour, but on the first level, where that costs depth. */
        if (power != a && count % 2) {
            count--;
            terms[count - 1] = ex_fma(x, terms[count], power, terms[count - 1]);
        }
        for (int i = 0; i < count / 2; i++)
            terms[i] = ex_fma(x, terms[2 * i + 1], power, terms[2 * i]);
        if (count % 2) terms[count / 2] = terms[count - 1];
        count = (count + 1) / 2;
        if (count > 1) power = power == a && square ? square : ex_mul(x, power, power);
    }
    return terms[0];
}
