/* Elementwise operations and sums as Loop expressions, on one lane or many.
 *
 * Bools are masks while they are in registers and 0 or 1 in memory; integers of vectors have the
 * width of the model's floats, so that one mask serves both. */
#include "loop/lower_internal.h"

enum { LONGEST_LABEL = 64 };

typedef struct Labeling {
    Lower *lower;
    const char *name;
} Labeling;

static void label_operand(void *user, const Use *use, bool boundary) {
    Labeling *labeling = user;
    Lower *lower = labeling->lower;
    const Value *source = lower->schedule->values.at[use->value];
    if (boundary || use->access >= 0 || source->name || source->readers != 1) return;
    if (schedule_is_leaf(source) || lower->labels[source->id]) return;
    const char *tail = source->kind == VALUE_SUM ? "sum" : op_info[source->op].text;
    /* A chain of values without names of their own must not make names as long as the chain. */
    bool fits = strlen(labeling->name) + strlen(tail) < LONGEST_LABEL;
    lower->labels[source->id] =
        fits ? arena_printf(lower->arena, "%s_%s", labeling->name, tail) : labeling->name;
}

/* What feeds one value only is named after it: the sum inside of a gate `i` is `i_sum`. */
void lower_label(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    lower->labels = ARENA_ARRAY(lower->arena, schedule->values.count + 1, const char *);
    lower->feeds_math = ARENA_ARRAY(lower->arena, schedule->values.count, bool);
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        for (int j = 0; value->live && value->kind == VALUE_POINT && j < value->uses.count; j++)
            if (value->op != OP_MUL && value->op != OP_DIV)
                lower->feeds_math[value->uses.at[j].value] = true;
    }
    for (int round = 0; round < 3; round++)
        for (int i = schedule->values.count - 1; i >= 0; i--) {
            const Value *value = schedule->values.at[i];
            Labeling labeling = {lower, value->name ? value->name : lower->labels[i]};
            if (value->live && labeling.name)
                schedule_uses(schedule, value, label_operand, &labeling);
        }
}

const char *lower_name(Lower *lower, const Value *value) {
    const char *known = value->name ? value->name : lower->labels[value->id];
    if (!known) return arena_printf(lower->arena, "v%d", value->id);
    char *name = arena_strndup(lower->arena, known, strlen(known));
    for (char *c = name; *c; c++)
        if (*c == '.' || *c == '#') *c = '_';
    return name;
}

LExpr *lower_let(Fn *fn, LBlock *out, const char *name, LExpr *value) {
    if (value->kind == LE_VAR || value->kind == LE_INT || value->kind == LE_FLOAT) return value;
    int var = loop_let(fn->lower->module, fn->fn, out, name, value);
    return loop_var(fn->lower->module, fn->fn, var);
}

LExpr *lower_op(Lower *lower, ScalarOp op, LExpr *a, LExpr *b) {
    return loop_op(lower->module, op, a, b, NULL);
}

LExpr *lower_real(Lower *lower, double value, int lanes) {
    return loop_splat(lower->module, loop_float(lower->module, lower->real, value), lanes);
}

LExpr *lower_select(Lower *lower, LExpr *mask, LExpr *a, LExpr *b) {
    return loop_op(lower->module, SOP_SELECT, mask, a, b);
}

Want lower_want(const Value *value) {
    switch (value->type.dtype) {
    case DT_FLOAT: return WANT_REAL;
    case DT_INT: return WANT_INT;
    case DT_BOOL: return WANT_MASK;
    }
    return WANT_REAL;
}

static bool is_mask(const LExpr *e) {
    return e->type == LT_M32 || e->type == LT_M64;
}

static bool is_real(const LExpr *e) {
    return e->type == LT_F32 || e->type == LT_F64;
}

static LExpr *integer(Lower *lower, int64_t value, LoopType type, int lanes) {
    return loop_splat(lower->module, loop_int_of(lower->module, type, value), lanes);
}

/* The type that integers have beside `lanes` lanes of the model's floats. */
static LoopType integer_type(const Lower *lower, int lanes) {
    return lanes == 1 ? LT_I64 : lower->integer;
}

LExpr *lower_as(Lower *lower, LExpr *e, Want want) {
    LoopType type = integer_type(lower, e->lanes);
    switch (want) {
    case WANT_REAL:
        if (is_real(e)) return e;
        if (is_mask(e)) {
            /* Through an integer of the mask's own width, since a select needs equal widths. */
            LoopType own = e->type == LT_M32 ? LT_I32 : LT_I64;
            e = lower_select(lower, e, integer(lower, 1, own, e->lanes),
                             integer(lower, 0, own, e->lanes));
        }
        return loop_convert(lower->module, SOP_CONVERT, lower->real, e);
    case WANT_INT:
        if (is_mask(e)) {
            LoopType own = e->type == LT_M32 ? LT_I32 : LT_I64;
            e = lower_select(lower, e, integer(lower, 1, own, e->lanes),
                             integer(lower, 0, own, e->lanes));
        }
        if (is_real(e)) return e; /* verified graphs have none */
        return e->type == type ? e : loop_convert(lower->module, SOP_CONVERT, type, e);
    case WANT_MASK: {
        if (is_mask(e)) {
            LoopType wanted = loop_mask_of(lower->real);
            if (e->lanes > 1 || e->type == wanted) return e;
            LoopType own = e->type == LT_M32 ? LT_I32 : LT_I64;
            e = lower_select(lower, e, integer(lower, 1, own, 1), integer(lower, 0, own, 1));
            if (own != lower->integer)
                e = loop_convert(lower->module, SOP_CONVERT, lower->integer, e);
            return lower_op(lower, SOP_NE, e, integer(lower, 0, lower->integer, 1));
        }
        if (is_real(e)) return lower_op(lower, SOP_NE, e, lower_real(lower, 0, e->lanes));
        if (e->type != lower->integer)
            e = loop_convert(lower->module, SOP_CONVERT, lower->integer, e);
        return lower_op(lower, SOP_NE, e, integer(lower, 0, lower->integer, e->lanes));
    }
    }
    return e;
}

/* --- elements in memory
 * ---------------------------------------------------------------------------------------- */

/* A number where it lies, as the type of registers: bytes and 32-bit inputs are widened. */
static LExpr *widen(Lower *lower, LExpr *e, const Value *source, int lanes) {
    if (is_real(e)) return e;
    LoopType type = integer_type(lower, e->lanes);
    if (e->type != type) e = loop_convert(lower->module, SOP_CONVERT, type, e);
    if (source->type.dtype == DT_BOOL) {
        LoopType mask_int = lower->integer;
        if (e->type != mask_int) e = loop_convert(lower->module, SOP_CONVERT, mask_int, e);
        e = lower_op(lower, SOP_NE, e, integer(lower, 0, mask_int, e->lanes));
    }
    (void)lanes;
    return e;
}

/* One element in every lane. Masks travel as integers. */
static LExpr *spread(Lower *lower, LExpr *e, int lanes) {
    if (lanes == 1 || e->lanes == lanes) return e;
    if (is_mask(e)) {
        e = lower_as(lower, e, WANT_INT);
        if (e->type != lower->integer)
            e = loop_convert(lower->module, SOP_CONVERT, lower->integer, e);
        return lower_op(lower, SOP_NE, loop_splat(lower->module, e, lanes),
                        integer(lower, 0, lower->integer, lanes));
    }
    if (!is_real(e) && e->type != lower->integer)
        e = loop_convert(lower->module, SOP_CONVERT, lower->integer, e);
    return loop_splat(lower->module, e, lanes);
}

LExpr *lower_element(Fn *fn, LBlock *out, const Value *reader, const Use *use, const Row *row,
                     LExpr *index, int lanes, Want want) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *source = lower->schedule->values.at[use->value];
    LExpr *e = NULL;
    bool scalar = source->count == 1;
    if (source->kind == VALUE_CONST) {
        if (source->type.dtype == DT_FLOAT) return lower_real(lower, source->number, lanes);
        e = loop_int_of(m, integer_type(lower, lanes), (int64_t)source->number);
        if (source->type.dtype == DT_BOOL || want == WANT_MASK)
            e = lower_op(lower, SOP_NE, loop_int_of(m, lower->integer, (int64_t)source->number),
                         loop_int_of(m, lower->integer, 0));
        return lower_as(lower, spread(lower, e, lanes), want);
    }
    if (source->kind == VALUE_PARAM) {
        LExpr *at = loop_int(m, lower->plain_offset[source->id]);
        e = scalar ? loop_load(m, fn->fn, fn->weights, at, 1, false)
                   : loop_load(m, fn->fn, fn->weights, loop_add(m, at, index), lanes, lanes > 1);
    } else if (source->kind == VALUE_LEAF && source->op == OP_INDEX) {
        e = lower_count(fn, reader, source->attr, row);
    } else if (source->kind == VALUE_LEAF && source->op == OP_GIVEN) {
        LExpr *given = fn->given[source->attr->slot];
        e = given ? lower_as(lower, given, WANT_INT) : loop_int(m, 1);
    } else if (source->kind == VALUE_LEAF && source->op == OP_LENGTH) {
        e = lower_length(fn, reader, source->attr->slot, row->b);
    } else {
        const RowPlace *place = lower_place_of(fn, source, use->access);
        LExpr *start = lower_row(fn, reader, source, use->access, row);
        e = scalar ? loop_load(m, fn->fn, place->buffer, start, 1, false)
                   : loop_load(m, fn->fn, place->buffer,
                               loop_add(m, start, lower_along(fn, place, index)), lanes,
                               lanes > 1 && place->padded);
        e = widen(lower, e, source, lanes);
        e = lower_let(fn, out, lower_name(lower, source), e);
    }
    return lower_as(lower, spread(lower, e, lanes), want);
}

void lower_store(Fn *fn, LBlock *out, const Value *value, const Row *row, LExpr *index, LExpr *e) {
    Lower *lower = fn->lower;
    const RowPlace *place = &fn->places[value->id];
    LExpr *start = lower_row(fn, value, value, -1, row);
    if (value->type.dtype != DT_FLOAT) {
        e = lower_as(lower, e, WANT_INT);
        if (e->type != place->type) e = loop_convert(lower->module, SOP_CONVERT, place->type, e);
    }
    loop_store(lower->module, out, place->buffer,
               value->count == 1 ? start
                                 : loop_add(lower->module, start, lower_along(fn, place, index)),
               e, e->lanes > 1 && place->padded);
}

/* --- operations
 * ----------------------------------------------------------------------------------------------------
 */

/* a*b. Where a function subtracts it from something it must not be contracted: a*b + -0 is a*b. */
static LExpr *product(Lower *lower, const Value *value, LExpr *a, LExpr *b) {
    if (!lower->feeds_math[value->id]) return lower_op(lower, SOP_MUL, a, b);
    return loop_op(lower->module, SOP_FMA, a, b, lower_real(lower, -0.0, a->lanes));
}

static LExpr *compare(Lower *lower, ScalarOp op, LExpr *a, LExpr *b) {
    return lower_op(lower, op, a, b);
}

/* a % b for integers: in 0 … b-1 for negative a too; 0 when b is not positive. */
static LExpr *int_mod(Fn *fn, LBlock *out, LExpr *a, LExpr *b) {
    Lower *lower = fn->lower;
    LExpr *zero = integer(lower, 0, a->type, a->lanes), *one = integer(lower, 1, a->type, a->lanes);
    b = lower_let(fn, out, "modulus", lower_op(lower, SOP_MAX, b, one));
    LExpr *negative = lower_let(fn, out, "neg", lower_op(lower, SOP_LT, a, zero));
    LExpr *up = lower_op(lower, SOP_SUB, lower_op(lower, SOP_SUB, zero, a), one);
    LExpr *r = lower_let(fn, out, "rest",
                         lower_op(lower, SOP_MOD, lower_select(lower, negative, up, a), b));
    return lower_select(lower, negative,
                        lower_op(lower, SOP_SUB, lower_op(lower, SOP_SUB, b, one), r), r);
}

static Want operand_want(const Lower *lower, const Value *value, int operand) {
    switch (value->op) {
    case OP_NOT:
    case OP_AND:
    case OP_OR: return WANT_MASK;
    case OP_SELECT: return operand ? lower_want(value) : WANT_MASK;
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_EQ:
    case OP_NE:
        for (int i = 0; i < 2; i++)
            if (lower->schedule->values.at[value->uses.at[i].value]->type.dtype == DT_FLOAT)
                return WANT_REAL;
        return WANT_INT;
    default: return lower_want(value);
    }
}

LExpr *lower_point(Fn *fn, LBlock *out, const Value *value, GetOperand get, void *user,
                   LExpr *ticks) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    Want want = lower_want(value);
    LExpr *a = NULL, *b = NULL, *c = NULL;
    LExpr **operands[] = {&a, &b, &c};
    for (int i = 0; i < value->uses.count && i < 3; i++)
        *operands[i] = get(user, &value->uses.at[i], operand_want(lower, value, i));
    switch (value->op) {
    case OP_VAR:
    case OP_FLOAT: return a;
    case OP_NEG: return lower_op(lower, SOP_SUB, integer(lower, 0, a->type, a->lanes), a);
    case OP_NOT: return loop_op(m, SOP_MNOT, a, NULL, NULL);
    case OP_SIGMOID: return loop_op(m, SOP_SIGMOID, a, NULL, NULL);
    case OP_TANH: return loop_op(m, SOP_TANH, a, NULL, NULL);
    case OP_SOFTPLUS: return loop_op(m, SOP_SOFTPLUS, a, NULL, NULL);
    case OP_EXP: return loop_op(m, SOP_EXP, a, NULL, NULL);
    case OP_LOG: return loop_op(m, SOP_LOG, a, NULL, NULL);
    case OP_SQRT: return loop_op(m, SOP_SQRT, a, NULL, NULL);
    case OP_ABS:
        if (want == WANT_REAL) return loop_op(m, SOP_ABS, a, NULL, NULL);
        return lower_op(lower, SOP_MAX, a,
                        lower_op(lower, SOP_SUB, integer(lower, 0, a->type, a->lanes), a));
    case OP_FLOOR: return want == WANT_REAL ? loop_op(m, SOP_FLOOR, a, NULL, NULL) : a;
    case OP_ERF: return loop_op(m, SOP_ERF, a, NULL, NULL);
    case OP_SIN: return loop_op(m, SOP_SIN, a, NULL, NULL);
    case OP_COS: return loop_op(m, SOP_COS, a, NULL, NULL);
    case OP_RELU: {
        LExpr *zero = want == WANT_REAL ? lower_real(lower, 0, a->lanes)
                                        : integer(lower, 0, a->type, a->lanes);
        return lower_op(lower, SOP_MAX, a, zero);
    }
    case OP_SIGN: {
        bool real = want == WANT_REAL;
        LExpr *zero = real ? lower_real(lower, 0, a->lanes) : integer(lower, 0, a->type, a->lanes);
        LExpr *one = real ? lower_real(lower, 1, a->lanes) : integer(lower, 1, a->type, a->lanes);
        LExpr *minus =
            real ? lower_real(lower, -1, a->lanes) : integer(lower, -1, a->type, a->lanes);
        LExpr *rest = lower_select(lower, compare(lower, SOP_EQ, a, zero), zero, a);
        return lower_select(lower, compare(lower, SOP_GT, a, zero), one,
                            lower_select(lower, compare(lower, SOP_LT, a, zero), minus, rest));
    }
    case OP_ADD: return lower_op(lower, SOP_ADD, a, b);
    case OP_SUB: return lower_op(lower, SOP_SUB, a, b);
    case OP_MUL:
        return want == WANT_REAL ? product(lower, value, a, b) : lower_op(lower, SOP_MUL, a, b);
    case OP_DIV: return lower_op(lower, SOP_DIV, a, b);
    case OP_MOD: {
        if (want != WANT_REAL) return int_mod(fn, out, a, b);
        LExpr *q = lower_let(fn, out, "q",
                             loop_op(m, SOP_FLOOR, lower_op(lower, SOP_DIV, a, b), NULL, NULL));
        return loop_op(m, SOP_FMA, loop_op(m, SOP_NEG, b, NULL, NULL), q, a);
    }
    case OP_POW: { /* NaN passes, in the exponent 0 and in the base 1 too */
        LExpr *nan =
            lower_op(lower, SOP_MOR, lower_op(lower, SOP_NE, a, a), lower_op(lower, SOP_NE, b, b));
        return lower_select(lower, nan, lower_op(lower, SOP_MUL, a, b),
                            lower_op(lower, SOP_POW, a, b));
    }
    case OP_LOGADDEXP: return lower_op(lower, SOP_LOGADDEXP, a, b);
    case OP_MIN:
    case OP_MAX: {
        ScalarOp keep = value->op == OP_MAX ? SOP_GE : SOP_LE;
        LExpr *other =
            want == WANT_REAL ? lower_select(lower, compare(lower, SOP_NE, a, a), a, b) : b;
        return lower_select(lower, compare(lower, keep, a, b), a, other);
    }
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_EQ:
    case OP_NE: {
        static const ScalarOp ops[] = {SOP_LT, SOP_LE, SOP_GT, SOP_GE, SOP_EQ, SOP_NE};
        return compare(lower, ops[value->op - OP_LT], a, b);
    }
    case OP_AND: return lower_op(lower, SOP_MAND, a, b);
    case OP_OR: return lower_op(lower, SOP_MOR, a, b);
    case OP_SELECT: {
        if (want == WANT_MASK)
            return lower_op(lower, SOP_MOR, lower_op(lower, SOP_MAND, a, b),
                            lower_op(lower, SOP_MAND, loop_op(m, SOP_MNOT, a, NULL, NULL), c));
        if (want == WANT_INT && a->lanes == 1)
            a = lower_op(lower, SOP_NE, lower_as(lower, a, WANT_INT), integer(lower, 0, LT_I64, 1));
        return lower_select(lower, a, b, c);
    }
    case OP_CLIP: {
        LExpr *high = lower_op(lower, SOP_MIN, a, c);
        return lower_select(lower, compare(lower, SOP_LT, a, b), b, high);
    }
    case OP_HOLD:
        if (want == WANT_MASK)
            return lower_op(lower, SOP_MOR, lower_op(lower, SOP_MAND, ticks, a),
                            lower_op(lower, SOP_MAND, loop_op(m, SOP_MNOT, ticks, NULL, NULL), b));
        if (want == WANT_INT && a->lanes == 1)
            ticks = lower_op(lower, SOP_NE, lower_as(lower, ticks, WANT_INT),
                             integer(lower, 0, LT_I64, 1));
        return lower_select(lower, ticks, a, b);
    default: /* normal.c lets no other operation be a POINT */ return a;
    }
}

LExpr *lower_sum(Fn *fn, LBlock *out, const Value *sum, LExpr *accumulator, int skip,
                 GetOperand get, void *user) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *total = accumulator;
    int first = -1;
    /* The start: the accumulator, else a plain term, a positive one before a negated one, else the
     * first pair: a product that would feed a sum later on must not be the start. */
    for (int pass = 0; pass < 3 && !total; pass++)
        for (int i = 0; i < sum->terms.count && !total; i++) {
            const Term *t = &sum->terms.at[i];
            if (i == skip || t->pair != (pass == 2)) continue;
            if (pass == 0 && t->sign < 0) continue;
            total = get(user, &t->a, WANT_REAL);
            if (t->pair) total = product(lower, sum, total, get(user, &t->b, WANT_REAL));
            if (t->sign < 0) total = loop_op(m, SOP_NEG, total, NULL, NULL);
            total = lower_let(fn, out, lower_name(lower, sum), total);
            first = i;
        }
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < sum->terms.count; i++) {
            const Term *t = &sum->terms.at[i];
            if (i == skip || i == first || t->pair != (pass == 1)) continue;
            LExpr *a = get(user, &t->a, WANT_REAL);
            if (!a) continue; /* a product that is in the accumulator */
            if (t->pair) {
                LExpr *b = get(user, &t->b, WANT_REAL);
                if (t->sign < 0) a = loop_op(m, SOP_NEG, a, NULL, NULL);
                total = loop_op(m, SOP_FMA, a, b, total);
            } else {
                total = lower_op(lower, t->sign > 0 ? SOP_ADD : SOP_SUB, total, a);
            }
            total = lower_let(fn, out, lower_name(lower, sum), total);
        }
    return total ? total : lower_real(lower, 0, 1);
}
