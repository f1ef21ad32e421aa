/* Rules of Loop expressions: types, lanes, scope, ranges that are known, and that no product feeds
 * a sum. */
#include "loop/verify_check.h"

#include <inttypes.h>
#include <math.h>

enum { MOST_NODES = 100000, MOST_DEPTH = 1000, BUFFER_ALIGN = 64 };

static bool is_float(LoopType type) {
    return type == LT_F32 || type == LT_F64;
}

bool check_is_arith(LoopType type) {
    return is_float(type) || type == LT_I32 || type == LT_I64;
}

bool check_is_mask(LoopType type) {
    return type == LT_M32 || type == LT_M64;
}

static bool is_storage(LoopType type) {
    return type == LT_I8 || type == LT_U16;
}

bool check_is_product(const Check *c, const LExpr *e) {
    if (!e || !is_float(e->type)) return false;
    switch (e->kind) {
    case LE_FLOAT:
    case LE_INT:
    case LE_LOAD: return false;
    case LE_VAR:
        return e->var >= 0 && e->var < c->function->vars.count && c->vars[e->var].is_product;
    case LE_SPLAT:
    case LE_LANE: return check_is_product(c, e->a);
    case LE_OP:
        if (e->op == SOP_MUL) return true;
        return (e->op == SOP_NEG || e->op == SOP_CONVERT) && check_is_product(c, e->a);
    }
    return false;
}

bool check_index(Check *c, const LExpr *e, const char *what) {
    if (!check_expr(c, e)) return false;
    if (e->type == LT_I64 && e->lanes == 1) return true;
    check_fail(c, "%s is %sx%d and should be one i64", what, loop_type_text(e->type), e->lanes);
    return false;
}

bool check_access(Check *c, int buffer, const LExpr *index, int lanes, bool aligned) {
    if (buffer < 0 || buffer >= c->function->buffers.count) {
        check_fail(c, "there is no buffer %d", buffer);
        return false;
    }
    if (!check_index(c, index, "the index")) return false;
    const LBuffer *b = &c->function->buffers.at[buffer];
    if (aligned && (b->align != BUFFER_ALIGN || lanes * loop_type_size(b->type) > BUFFER_ALIGN)) {
        check_fail(c, "aligned access of %d lanes to %s, which is not aligned so far", lanes,
                   b->name);
        return false;
    }
    if (index->kind != LE_INT) return true;
    if (aligned && index->integer % lanes) {
        check_fail(c, "aligned access at %" PRId64 ", not a multiple of %d lanes", index->integer,
                   lanes);
        return false;
    }
    bool known = b->count && b->count->kind == LE_INT;
    if (index->integer < 0 || (known && index->integer > b->count->integer - lanes)) {
        check_fail(c, "index %" PRId64 " with %d lanes is outside of %s", index->integer, lanes,
                   b->name);
        return false;
    }
    return true;
}

enum { MOST_APART = 1 << 24 };

static bool check_load(Check *c, const LExpr *e) {
    if (c->args_only) {
        check_fail(c, "the extent of a buffer reads memory");
        return false;
    }
    if (e->integer && (e->integer < 2 || e->integer > MOST_APART || e->lanes == 1 || e->aligned)) {
        check_fail(c, "load of %d lanes that are %lld elements apart", e->lanes,
                   (long long)e->integer);
        return false;
    }
    int across = e->integer ? (e->lanes - 1) * (int)e->integer + 1 : e->lanes;
    if (!check_access(c, e->buffer, e->a, across, e->aligned)) return false;
    const LBuffer *b = &c->function->buffers.at[e->buffer];
    if (b->type != e->type) {
        check_fail(c, "load of %s from %s, which holds %s", loop_type_text(e->type), b->name,
                   loop_type_text(b->type));
        return false;
    }
    if (c->in_bound && b->written) {
        check_fail(c, "the bound of a loop reads %s, which is written", b->name);
        return false;
    }
    return true;
}

static bool is_scalar_arg(const LFunction *f, int var) {
    for (int i = 0; i < f->args.count; i++)
        if (f->args.at[i].var == var) return !f->args.at[i].pointer;
    return false;
}

static bool check_var(Check *c, const LExpr *e) {
    if (e->var < 0 || e->var >= c->function->vars.count) {
        check_fail(c, "there is no variable %d", e->var);
        return false;
    }
    const LVar *v = &c->function->vars.at[e->var];
    if (c->vars[e->var].scope != SCOPE_VISIBLE) {
        check_fail(c, "%s.%d is read %s", v->name, e->var,
                   c->vars[e->var].scope == SCOPE_LEFT ? "outside of its block"
                                                       : "before it is declared");
        return false;
    }
    if (v->type != e->type || v->lanes != e->lanes) {
        check_fail(c, "%s.%d is read as %sx%d and is %sx%d", v->name, e->var,
                   loop_type_text(e->type), e->lanes, loop_type_text(v->type), v->lanes);
        return false;
    }
    if (c->args_only && !is_scalar_arg(c->function, e->var)) {
        check_fail(c, "the extent of a buffer reads %s.%d, which is no scalar argument", v->name,
                   e->var);
        return false;
    }
    return true;
}

/* ---- operations ---- */

static bool all_of_type(const LExpr *e, LoopType type) {
    const LExpr *operands[] = {e->a, e->b, e->c};
    for (int i = 0; i < scalar_op_info[e->op].operands; i++)
        if (operands[i]->type != type) return false;
    return true;
}

static bool constant_below(const LExpr *e, int64_t width) {
    if (e->kind == LE_SPLAT) e = e->a;
    return e->kind == LE_INT && e->integer >= 0 && e->integer < width;
}

static bool types_fit(const LExpr *e) {
    LoopType type = e->a->type;
    switch (scalar_op_info[e->op].kind) {
    case SK_ARITH:
        if (e->op == SOP_FMA || e->op == SOP_ABS) return is_float(type) && all_of_type(e, e->type);
        return check_is_arith(type) && all_of_type(e, e->type);
    case SK_BITS:
        if (e->op == SOP_MULHI && type != LT_I32) return false;
        return check_is_arith(type) && !is_float(type) && all_of_type(e, e->type);
    case SK_COMPARE:
        return check_is_arith(type) && all_of_type(e, type) && e->type == loop_mask_of(type);
    case SK_MASK: return check_is_mask(type) && all_of_type(e, e->type);
    case SK_SELECT:
        return check_is_mask(type) && check_is_arith(e->type) && e->b->type == e->type &&
               e->c->type == e->type && type == loop_mask_of(e->type);
    case SK_CONVERT:
        if (e->op == SOP_BITCAST)
            return check_is_arith(type) && check_is_arith(e->type) &&
                   loop_type_size(type) == loop_type_size(e->type);
        return (check_is_arith(type) || is_storage(type)) &&
               (check_is_arith(e->type) || is_storage(e->type));
    case SK_EXPANDED: return is_float(type) && all_of_type(e, e->type);
    }
    return false;
}

static bool check_sum(Check *c, const LExpr *e) {
    bool sums = (e->op == SOP_ADD || e->op == SOP_SUB) && is_float(e->type);
    if (!sums || !c->module->target.fma) return true;
    if (!check_is_product(c, e->a) && !check_is_product(c, e->b)) return true;
    check_fail(c, "a product feeds %s, which should be fma", scalar_op_info[e->op].text);
    return false;
}

static bool check_op(Check *c, const LExpr *e) {
    if ((int)e->op < 0 || e->op >= SOP_COUNT) {
        check_fail(c, "there is no operation %d", (int)e->op);
        return false;
    }
    const ScalarOpInfo *info = &scalar_op_info[e->op];
    const LExpr *operands[] = {e->a, e->b, e->c};
    for (int i = 0; i < 3; i++) {
        if ((operands[i] != NULL) != (i < info->operands)) {
            check_fail(c, "%s has not %d operands", info->text, info->operands);
            return false;
        }
        if (!operands[i]) continue;
        if (!check_expr(c, operands[i])) return false;
        if (operands[i]->lanes != e->lanes) {
            check_fail(c, "%s of %d lanes has an operand of %d", info->text, e->lanes,
                       operands[i]->lanes);
            return false;
        }
    }
    if (!types_fit(e)) {
        check_fail(c, "%s does not give %s from %s%s%s", info->text, loop_type_text(e->type),
                   loop_type_text(e->a->type), e->b ? ", " : "",
                   e->b ? loop_type_text(e->b->type) : "");
        return false;
    }
    if ((e->op == SOP_SHL || e->op == SOP_SHR) &&
        !constant_below(e->b, 8 * loop_type_size(e->type))) {
        check_fail(c, "%s by what is no constant below the width", info->text);
        return false;
    }
    if (c->final && info->kind == SK_EXPANDED) {
        check_fail(c, "%s should have been expanded", info->text);
        return false;
    }
    if (c->final && e->op == SOP_FMA && !c->module->target.fma) {
        check_fail(c, "fma on a target without");
        return false;
    }
    return check_sum(c, e);
}

/* ---- nodes ---- */

static bool check_literal(Check *c, const LExpr *e) {
    bool fits = e->lanes == 1;
    if (e->kind == LE_FLOAT)
        fits = fits && is_float(e->type) &&
               (e->type == LT_F64 || isnan(e->number) || (double)(float)e->number == e->number);
    else
        fits =
            fits && (e->type == LT_I64 || (e->type == LT_I32 && (int32_t)e->integer == e->integer));
    if (!fits) check_fail(c, "a constant that %s does not hold", loop_type_text(e->type));
    return fits;
}

static bool check_splat(Check *c, const LExpr *e) {
    if (!check_expr(c, e->a)) return false;
    if (e->a->lanes == 1 && e->lanes > 1 && e->a->type == e->type && !is_storage(e->type))
        return true;
    check_fail(c, "splat of %sx%d to %sx%d", loop_type_text(e->a->type), e->a->lanes,
               loop_type_text(e->type), e->lanes);
    return false;
}

static bool check_lane(Check *c, const LExpr *e) {
    if (!check_expr(c, e->a)) return false;
    if (e->lanes == 1 && e->a->type == e->type && check_is_arith(e->type) && e->integer >= 0 &&
        e->integer < e->a->lanes)
        return true;
    check_fail(c, "lane %" PRId64 " of %sx%d", e->integer, loop_type_text(e->a->type), e->a->lanes);
    return false;
}

static bool check_lanes(Check *c, int lanes) {
    int most = c->module->target.lanes > 1 ? c->module->target.lanes : 1;
    if (lanes >= 1 && lanes <= most && !(lanes & (lanes - 1))) return true;
    check_fail(c, "%d lanes on a target with %d", lanes, most);
    return false;
}

static bool check_kind(Check *c, const LExpr *e) {
    switch (e->kind) {
    case LE_FLOAT:
    case LE_INT: return check_literal(c, e);
    case LE_VAR: return check_var(c, e);
    case LE_LOAD: return check_load(c, e);
    case LE_OP: return check_op(c, e);
    case LE_SPLAT: return check_splat(c, e);
    case LE_LANE: return check_lane(c, e);
    }
    check_fail(c, "there is no kind %d of expressions", (int)e->kind);
    return false;
}

bool check_expr(Check *c, const LExpr *e) {
    if (!e) {
        check_fail(c, "an expression is missing");
        return false;
    }
    /* A shared node counts each time, as backends print it each time. */
    if (++c->nodes > MOST_NODES || c->depth >= MOST_DEPTH) {
        if (c->nodes <= MOST_NODES + 1) check_fail(c, "an expression is too large");
        c->nodes = MOST_NODES + 1;
        return false;
    }
    c->depth++;
    bool fine = check_lanes(c, e->lanes) && check_kind(c, e);
    c->depth--;
    return fine;
}
