/* Operations of Loop expressions as C: one case each of loop/scalar_ops.def. */
#include "c.h"

static const char *unsigned_type(EmitC *c, LoopType type, int lanes) {
    if (lanes == 1) return loop_type_size(type) == 8 ? "uint64_t" : "uint32_t";
    c_use(c, type, lanes, USE_UNSIGNED);
    return arena_printf(c->arena, "u%dx%d", 8 * loop_type_size(type), lanes);
}

static LoopType integer_of(LoopType type) {
    return loop_type_size(type) == 8 ? LT_I64 : LT_I32;
}

void c_open(Text *out, Binding own, Binding around) {
    if (own < around) text_puts(out, "(");
}

void c_close(Text *out, Binding own, Binding around) {
    if (own < around) text_puts(out, ")");
}

/* `left`: how strongly the left operand must bind; the right one more, where C groups from the
 * left. */
static void infix(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding own, Binding left,
                  Binding around) {
    c_open(out, own, around);
    c_print(c, out, e->a, left);
    text_printf(out, " %s ", sign);
    c_print(c, out, e->b, left == own ? (Binding)(own + 1) : left);
    c_close(out, own, around);
}

/* A macro of the prelude on all operands: FMA_F32X16(a, b, c). */
static void macro(EmitC *c, Text *out, const LExpr *e, const char *name, unsigned use) {
    c_use(c, e->type, e->lanes, use);
    text_printf(out, "%s_%s", name, c_element_upper(e->type));
    if (e->lanes > 1) text_printf(out, "X%d", e->lanes);
    const LExpr *operands[] = {e->a, e->b, e->c};
    for (int i = 0; i < 3 && operands[i]; i++) {
        text_puts(out, i ? ", " : "(");
        c_print(c, out, operands[i], B_ANY);
    }
    text_puts(out, ")");
}

/* Integer arithmetic that may wrap goes through the unsigned type. */
static void wrapped(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    const char *type = unsigned_type(c, e->type, e->lanes);
    c_open(out, B_UNARY, around);
    text_printf(out, "(%s)(", c_type(c, e->type, e->lanes));
    if (e->b) {
        text_printf(out, "(%s)", type);
        c_print(c, out, e->a, B_UNARY);
    }
    text_printf(out, "%s%s%s(%s)", e->b ? " " : "", sign, e->b ? " " : "", type);
    c_print(c, out, e->b ? e->b : e->a, B_UNARY);
    text_puts(out, ")");
    c_close(out, B_UNARY, around);
}

static void prefix(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    c_open(out, B_UNARY, around);
    text_puts(out, sign);
    c_print(c, out, e, B_POST); /* -(-1.0f), never --1 */
    c_close(out, B_UNARY, around);
}

static void arithmetic(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding own,
                       Binding around) {
    bool unsigned_ =
        !c_is_float(e->type) && e->op != SOP_DIV && (e->type == LT_I32 || live_wraps(&c->live, e));
    if (unsigned_)
        wrapped(c, out, e, sign, around);
    else if (e->op == SOP_SUB && e->a->kind == LE_INT && e->a->integer == 0)
        prefix(c, out, e->b, "-", around);
    else
        infix(c, out, e, sign, own, own, around);
}

/* a > b ? b : a, or with masks. */
static void extreme(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    if (e->lanes > 1) {
        macro(c, out, e, e->op == SOP_MIN ? "MIN" : "MAX", e->op == SOP_MIN ? USE_MIN : USE_MAX);
        return;
    }
    c_open(out, B_TERNARY, around);
    c_print(c, out, e->a, B_ADD);
    text_printf(out, " %s ", sign);
    c_print(c, out, e->b, B_ADD);
    text_puts(out, " ? ");
    c_print(c, out, e->b, B_OR);
    text_puts(out, " : ");
    c_print(c, out, e->a, B_OR);
    c_close(out, B_TERNARY, around);
}

static void shift(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    const LExpr *by = e->b->kind == LE_SPLAT ? e->b->a : e->b;
    c_open(out, B_UNARY, around);
    text_printf(out, "(%s)((%s)", c_type(c, e->type, e->lanes),
                unsigned_type(c, e->type, e->lanes));
    c_print(c, out, e->a, B_UNARY);
    text_printf(out, " %s ", sign);
    if (e->lanes > 1 && by->lanes == 1 && by->kind != LE_INT) {
        text_printf(out, "(%s)", unsigned_type(c, e->type, e->lanes));
        by = e->b;
    }
    c_print(c, out, by, B_UNARY);
    text_puts(out, ")");
    c_close(out, B_UNARY, around);
}

static void compare(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    if (e->lanes == 1) {
        infix(c, out, e, sign, B_COMPARE, B_ADD, around);
        return;
    }
    c_open(out, B_UNARY, around);
    text_printf(out, "(%s)(", c_type(c, e->type, e->lanes));
    infix(c, out, e, sign, B_COMPARE, B_ADD, B_ANY);
    text_puts(out, ")");
    c_close(out, B_UNARY, around);
}

static void absolute(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->lanes == 1) {
        c_use(c, e->type, 1, USE_ABS | USE_FROM_BITS | USE_TO_BITS);
        text_printf(out, "abs_%s(", c_element_name(e->type));
        c_print(c, out, e->a, B_ANY);
        text_puts(out, ")");
        return;
    }
    c_open(out, B_UNARY, around);
    text_printf(out, "(%s)((%s)", c_type(c, e->type, e->lanes),
                c_type(c, integer_of(e->type), e->lanes));
    c_print(c, out, e->a, B_UNARY);
    text_puts(out, e->type == LT_F32 ? " & 0x7fffffff)" : " & 0x7fffffffffffffff)");
    c_close(out, B_UNARY, around);
}

static void cast(EmitC *c, Text *out, const LExpr *e, Binding around) {
    c_open(out, B_UNARY, around);
    text_printf(out, "(%s)", c_type(c, e->type, e->lanes));
    c_print(c, out, e->a, B_UNARY);
    c_close(out, B_UNARY, around);
}

static void convert(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->type == e->a->type) {
        c_print(c, out, e->a, around);
    } else if (e->lanes == 1) {
        cast(c, out, e, around);
    } else if (c_by_lane(e)) {
        text_printf(out, "(%s){", c_type(c, e->type, e->lanes));
        for (int i = 0; i < e->lanes; i++) {
            text_printf(out, "%s(%s)", i ? ", " : "", identifier_type(e->type));
            c_print(c, out, e->a, B_POST);
            text_printf(out, "[%d]", i);
        }
        text_puts(out, "}");
    } else {
        text_puts(out, "__builtin_convertvector(");
        c_print(c, out, e->a, B_ANY);
        text_printf(out, ", %s)", c_type(c, e->type, e->lanes));
    }
}

static void bitcast(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->type == e->a->type) {
        c_print(c, out, e->a, around);
    } else if (e->lanes > 1) {
        cast(c, out, e, around);
    } else if (c_is_float(e->type) == c_is_float(e->a->type)) {
        cast(c, out, e, around);
    } else {
        LoopType real = c_is_float(e->type) ? e->type : e->a->type;
        c_use(c, real, 1, c_is_float(e->type) ? USE_FROM_BITS : USE_TO_BITS);
        text_printf(out, c_is_float(e->type) ? "%s_of_bits(" : "bits_of_%s(", c_element_name(real));
        c_print(c, out, e->a, B_ANY);
        text_puts(out, ")");
    }
}

static void choose(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->lanes > 1) {
        macro(c, out, e, "SELECT", USE_SELECT);
        return;
    }
    c_open(out, B_TERNARY, around);
    c_print(c, out, e->a, B_OR);
    text_puts(out, " ? ");
    c_print(c, out, e->b, B_OR);
    text_puts(out, " : ");
    c_print(c, out, e->c, B_OR);
    c_close(out, B_TERNARY, around);
}

/* The upper half of a product of unsigned integers; of lanes by the macro, which multiplies every
 * other one as a number of twice the width. */
static void upper_product(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->lanes > 1) {
        if (e->lanes > 2) c_use(c, LT_I64, e->lanes / 2, USE_UNSIGNED);
        c_use(c, LT_I32, e->lanes, USE_UNSIGNED);
        macro(c, out, e, "MULHI", USE_MULHI);
        return;
    }
    c_open(out, B_UNARY, around);
    text_puts(out, "(int32_t)((uint64_t)(uint32_t)");
    c_print(c, out, e->a, B_UNARY);
    text_puts(out, " * (uint32_t)");
    c_print(c, out, e->b, B_UNARY);
    text_puts(out, " >> 32)");
    c_close(out, B_UNARY, around);
}

void c_operation(EmitC *c, Text *out, const LExpr *e, Binding around) {
    bool vector = e->lanes > 1;
    switch (e->op) {
    case SOP_ADD: arithmetic(c, out, e, "+", B_ADD, around); return;
    case SOP_SUB: arithmetic(c, out, e, "-", B_ADD, around); return;
    case SOP_MUL: arithmetic(c, out, e, "*", B_MUL, around); return;
    case SOP_DIV: arithmetic(c, out, e, "/", B_MUL, around); return;
    case SOP_MOD: infix(c, out, e, "%", B_MUL, B_MUL, around); return;
    case SOP_NEG:
        if (c_is_float(e->type))
            prefix(c, out, e->a, "-", around);
        else
            wrapped(c, out, e, "-", around);
        return;
    case SOP_FMA: macro(c, out, e, "FMA", USE_FMA); return;
    case SOP_MIN: extreme(c, out, e, ">", around); return;
    case SOP_MAX: extreme(c, out, e, "<", around); return;
    case SOP_ABS: absolute(c, out, e, around); return;
    case SOP_MULHI: upper_product(c, out, e, around); return;
    case SOP_AND: infix(c, out, e, "&", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY); return;
    case SOP_OR: infix(c, out, e, "|", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY); return;
    case SOP_XOR: infix(c, out, e, "^", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY); return;
    case SOP_SHL: shift(c, out, e, "<<", around); return;
    case SOP_SHR: shift(c, out, e, ">>", around); return;
    case SOP_LT: compare(c, out, e, "<", around); return;
    case SOP_LE: compare(c, out, e, "<=", around); return;
    case SOP_GT: compare(c, out, e, ">", around); return;
    case SOP_GE: compare(c, out, e, ">=", around); return;
    case SOP_EQ: compare(c, out, e, "==", around); return;
    case SOP_NE: compare(c, out, e, "!=", around); return;
    case SOP_MAND:
        if (vector)
            infix(c, out, e, "&", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY);
        else
            infix(c, out, e, "&&", B_AND, B_COMPARE,
                  around == B_AND || around <= B_TERNARY ? around : B_POST);
        return;
    case SOP_MOR:
        if (vector)
            infix(c, out, e, "|", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY);
        else
            infix(c, out, e, "||", B_OR, B_COMPARE, around <= B_TERNARY ? around : B_POST);
        return;
    case SOP_MNOT: prefix(c, out, e->a, vector ? "~" : "!", around); return;
    case SOP_SELECT: choose(c, out, e, around); return;
    case SOP_CONVERT: convert(c, out, e, around); return;
    case SOP_BITCAST: bitcast(c, out, e, around); return;
    case SOP_EXP:
    case SOP_LOG:
    case SOP_SIGMOID:
    case SOP_TANH:
    case SOP_SOFTPLUS:
    case SOP_LOGADDEXP:
    case SOP_POW:
    case SOP_SQRT:
    case SOP_FLOOR:
    case SOP_ERF:
    case SOP_SIN:
    case SOP_COS:
    case SOP_COUNT:
        diag_error(c->diags, "internal", (Span){0},
                   "the C backend meets '%s', which expand_math must replace",
                   scalar_op_info[e->op].text);
        return;
    }
}
