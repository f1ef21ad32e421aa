/* Reductions: over a time index, over a window of it, or over a range known at compile time. */
#include "sema/elab.h"

static bool is(Name name, const char *what) {
    return strcmp(name, what) == 0;
}

/* What a bracket says: `t`, `s <= t`, `s in a:b`. */
typedef struct Range {
    int index;
    Bound low, high;
} Range;

/* One end, `position + add`, as a bound. */
static bool range_end(const Ctx *c, const Expr *expr, int axis, int64_t add, Bound *to) {
    Linear form;
    const Graph *graph = c->e->graph;
    bool first = expr->kind == EXPR_NAME && strcmp(expr->name, "first") == 0;
    if (first || (expr->kind == EXPR_NAME && strcmp(expr->name, "last") == 0)) {
        *to = (Bound){first ? BOUND_FIRST : BOUND_LAST, -1, first ? add : add - 1};
        return true;
    }
    if (!linear_slot(c, expr, &form)) {
        sema_error(c, "E-TIME", expr->span,
                   "a bound is an index ± constant, a constant, first or last");
        return false;
    }
    if (form.index >= 0 &&
        (form.divide != 0 || form.factor != 1 || graph->indices.at[form.index].axis != axis)) {
        sema_error(c, "E-TIME", expr->span, "a bound is an index of axis '%s' ± constant",
                   graph->axes.at[axis].name);
        return false;
    }
    if (form.offset > INT32_MAX || form.offset < -INT32_MAX) {
        sema_error(c, "E-LIMIT", expr->span,
                   "the bound of a range is %lld steps away when it may be at most %d",
                   (long long)form.offset, INT32_MAX);
        return false;
    }
    *to = (Bound){form.index >= 0 ? BOUND_INDEX : BOUND_FIRST, form.index, form.offset + add};
    return true;
}

/* [t + a, t + b) seen from the other end is [t - b + 1, t - a + 1). */
static Bound mirror(Bound bound) {
    switch (bound.kind) {
    case BOUND_NONE: break;
    case BOUND_INDEX: bound.offset = 1 - bound.offset; break;
    case BOUND_FIRST: bound.kind = BOUND_LAST, bound.offset = -bound.offset; break;
    case BOUND_LAST: bound.kind = BOUND_FIRST, bound.offset = -bound.offset; break;
    }
    return bound;
}

static bool time_range(const Ctx *c, const EntryList *bracket, Name name, Range *to) {
    const Entry *entry = &bracket->at[0];
    const Expr *expr = entry->a;
    *to = (Range){.index = -1};
    bool window = entry->kind == ENTRY_RANGE;
    bool bounded = entry->kind == ENTRY_EXPR && expr->kind == EXPR_BINARY && expr->op >= AST_LT &&
                   expr->op <= AST_GE;
    const Expr *at = bounded ? expr->a : expr;
    Name called = window                                               ? entry->name
                  : entry->kind == ENTRY_EXPR && at->kind == EXPR_NAME ? at->name
                                                                       : NULL;
    const IndexName *index = called == NULL ? NULL : find_index(c, called);
    if (bracket->count != 1 || index == NULL) {
        if (entry->kind == ENTRY_EXPR && expr->kind == EXPR_ERROR) return false;
        sema_error(c, "E-TIME", entry->span,
                   "%s[…] takes one time index, a bound of it (s <= t) or a "
                   "range (s in t-8:t+1, j in 0:n)",
                   name);
        return false;
    }
    to->index = index->index;
    int axis = c->e->graph->indices.at[to->index].axis;
    if (window) {
        if (!range_end(c, entry->a, axis, 0, &to->low) ||
            !range_end(c, entry->b, axis, 0, &to->high))
            return false;
    } else if (bounded) {
        bool below = expr->op == AST_LT || expr->op == AST_LE;
        int64_t add = expr->op == AST_LE || expr->op == AST_GT ? 1 : 0;
        if (!range_end(c, expr->b, axis, add, below ? &to->high : &to->low)) return false;
    }
    if (to->low.index == to->index && to->low.kind == BOUND_INDEX) to->low.index = -2;
    if (to->high.index == to->index && to->high.kind == BOUND_INDEX) to->high.index = -2;
    if (to->low.index == -2 || to->high.index == -2) {
        sema_error(c, "E-TIME", entry->span,
                   "'%s' bounds itself; make a second index: time s in %s", called, called);
        return false;
    }
    if (index_mirrored(c->body, to->index)) {
        Bound low = mirror(to->high), high = mirror(to->low);
        to->low = low;
        to->high = high;
    }
    return true;
}

static const Value *without(const Ctx *c, const Value *value, const Range *range, bool keep,
                            Span span) {
    Value *to = arena_copy(c->e->arena, value, sizeof *value);
    to->count = 0;
    for (int i = 0; i < value->count; i++)
        if (keep || value->index[i] != range->index) value_add_index(c, to, value->index[i], span);
    if (keep) value_add_index(c, to, range->index, span);
    if (range->low.kind == BOUND_INDEX) value_add_index(c, to, range->low.index, span);
    if (range->high.kind == BOUND_INDEX) value_add_index(c, to, range->high.index, span);
    return to;
}

static const Value *over_time(const Ctx *c, const Expr *expr, Name name, const EntryList *bracket) {
    static const struct {
        const char *name;
        Op op;
    } table[] = {{"sum", OP_TSUM},         {"mean", OP_TMEAN},           {"max", OP_TMAX},
                 {"min", OP_TMAX},         {"logsumexp", OP_TLOGSUMEXP}, {"argmax", OP_TARGMAX},
                 {"softmax", OP_TSOFTMAX}, {"concat", OP_TCONCAT}};
    Range range;
    size_t at = 0;
    while (at < sizeof table / sizeof *table && !is(name, table[at].name)) at++;
    if (at == sizeof table / sizeof *table) {
        sema_error(c, "E-INDEX", expr->span,
                   "%s is no reduction over time; there are sum, mean, max, min, "
                   "logsumexp, argmax, softmax and concat",
                   name);
        return unknown_value(c);
    }
    Op op = table[at].op;
    if (!call_args(c, expr, 1, 1, NULL) || !time_range(c, bracket, name, &range)) {
        return unknown_value(c);
    }
    refuse_carry(c, expr->span, "a reduction over time");
    const Value *x = elab(c, expr->args.at[0].value);
    if (x->type.unknown) return x;
    const Graph *graph = c->e->graph;
    int axis = graph->indices.at[range.index].axis;
    /* Seen at the definition; in one mode, or with one flag, a branch may do without the index. */
    bool constant = x->num.kind != NUM_NONE || (c->e->emit && !c->inst->model->models_in);
    if (!value_has(x, range.index) && !constant) {
        Name index = graph->indices.at[range.index].name;
        sema_error(c, "E-TIME", expr->args.at[0].span,
                   "the operand of %s[%s] does not depend on '%s'", name, index, index);
        return unknown_value(c);
    }
    bool ints = op == OP_TCONCAT || (op == OP_TSUM && x->type.dtype == DT_INT && x->type.number);
    if (!ints || x->num.kind != NUM_NONE) x = float_operand(c, x, name, expr->args.at[0].span);
    if (x->type.unknown) return x;
    Ty type = x->type;
    Attr attr = {.index = range.index,
                 .low = range.low,
                 .high = range.high,
                 .mirrored = index_mirrored(c->body, range.index),
                 .carry = c->body->carry};
    if (op == OP_TSUM && type.dtype == DT_INT) type.bound = NULL;
    if (op == OP_TARGMAX)
        type = ty_shaped((Ty){.dtype = DT_INT, .pointer = PTR_POS, .axis = axis}, &x->type);
    if (op == OP_TARGMAX && attr.mirrored)
        sema_error(c, "E-TIME", expr->span, "a model with pointers cannot be reversed");
    if (op == OP_TCONCAT) {
        int64_t fixed = graph->axes.at[axis].fixed;
        if (range.low.kind != BOUND_NONE || range.high.kind != BOUND_NONE) {
            sema_error(c, "E-TIME", expr->span, "concat joins all steps of an axis, not a range");
            return unknown_value(c);
        }
        if (fixed == 0) {
            Name axis_name = graph->axes.at[axis].name;
            Diag *diag = sema_error(c, "E-TIME", expr->span,
                                    "concat[…] joins the steps of an axis of "
                                    "fixed length, and '%s' has none",
                                    axis_name);
            sema_note(c, diag, graph->axes.at[axis].span, "write 'time %s = n' in the model",
                      axis_name);
            return unknown_value(c);
        }
        const Poly *one = type.rank == 0 ? poly_constant(c->e->arena, 1) : type.dim[0];
        if (type.rank == 0) type.rank = 1;
        type.dim[0] = poly_mul(c->e->arena, one, axis_length(c, axis));
    }
    /* The least is minus the largest of what is negated. */
    bool least = is(name, "min");
    if (least) x = emit_op(c, OP_NEG, &x->type, 1, &x, NULL, expr->span);
    const Value *value = emit_op(c, op, &type, 1, &x, &attr, expr->span);
    if (least) value = emit_op(c, OP_NEG, &type, 1, &value, NULL, expr->span);
    return value->type.unknown ? value : without(c, value, &range, op == OP_TSOFTMAX, expr->span);
}

static const Value *ctc(const Ctx *c, const Expr *expr, const EntryList *bracket) {
    static const char *const names[] = {NULL, NULL, "blank"};
    if (!call_args(c, expr, 3, 3, names)) return unknown_value(c);
    int index[2];
    for (int i = 0; i < 2; i++) {
        const Expr *at =
            bracket->count == 2 && bracket->at[i].kind == ENTRY_EXPR ? bracket->at[i].a : NULL;
        const IndexName *name =
            at != NULL && at->kind == EXPR_NAME ? find_index(c, at->name) : NULL;
        if (name == NULL) {
            sema_error(c, "E-TIME", expr->span,
                       "ctc takes two time indices: ctc[t,u](lp[t], y[u], "
                       "blank = k)");
            return unknown_value(c);
        }
        index[i] = name->index;
    }
    refuse_carry(c, expr->span, "a reduction over time");
    const Value *in[2] = {float_operand(c, elab(c, call_arg(expr, 0, NULL)), "ctc", expr->span),
                          elab(c, call_arg(expr, 1, NULL))};
    bool open = false;
    int64_t blank = 0;
    if (!elab_integer(c, call_arg(expr, 2, "blank"), "the blank of ctc", &blank, &open) && !open)
        return unknown_value(c);
    if (in[0]->type.unknown || in[1]->type.unknown) return unknown_value(c);
    if (index[0] == index[1] || !value_has(in[0], index[0]) || !value_has(in[1], index[1]) ||
        value_has(in[0], index[1]) || value_has(in[1], index[0])) {
        sema_error(c, "E-TIME", expr->span,
                   "ctc[t,u] takes log-probabilities over t and labels over u");
        return unknown_value(c);
    }
    if (in[0]->type.rank != 1) {
        sema_error(c, "E-SHAPE", expr->span, "ctc takes log-probabilities [V], not %s",
                   ty_shape_text(c->e->arena, &in[0]->type));
        return unknown_value(c);
    }
    int64_t size;
    if (blank < 0 || (poly_value(in[0]->type.dim[0], &size) && blank >= size)) {
        sema_error(c, "E-TYPE", expr->span, "the blank of ctc is %lld when it should be 0 to %lld",
                   (long long)blank,
                   poly_value(in[0]->type.dim[0], &size) ? (long long)size - 1 : 0);
        return unknown_value(c);
    }
    Ty label = {.dtype = DT_INT, .bound = in[0]->type.dim[0]}, type = ty_float();
    in[1] = flow(c, in[1], &label, false, expr->span, "the labels of ctc", (Span){0});
    Attr attr = {.index = index[0],
                 .index2 = index[1],
                 .slot = (int)blank,
                 .mirrored = index_mirrored(c->body, index[0])};
    const Value *value = emit_op(c, OP_CTC, &type, 2, in, &attr, expr->span);
    Range first = {.index = index[0]}, second = {.index = index[1]};
    if (value->type.unknown) return value;
    return without(c, without(c, value, &first, false, expr->span), &second, false, expr->span);
}

/* exp(e - max), over the sum of these: of the member `own`, 0 where that lies outside of the range.
 */
static const Value *own_weight(const Ctx *c, const Expr *expr, int count, const Value **values,
                               int64_t own) {
    const Value *most = values[0], *total = NULL, *weight = NULL;
    Span span = expr->span;
    for (int i = 0; i < count; i++) {
        values[i] = float_operand(c, values[i], "softmax", span);
        most = i == 0 ? values[i] : pair_op(c, OP_MAX, most, values[i], "softmax", span);
    }
    for (int i = 0; i < count; i++) {
        const Value *part = binary_op(c, AST_SUB, values[i], most, span);
        if (part->type.unknown) return part;
        part = emit_op(c, OP_EXP, &part->type, 1, &part, NULL, span);
        total = i == 0 ? part : binary_op(c, AST_ADD, total, part, span);
        if (i == own) weight = part;
    }
    if (weight != NULL) return binary_op(c, AST_DIV, weight, total, span);
    return emit_constant(c, 0, &total->type, span);
}

/* Folds the members of an unrolled reduction; `own`: of softmax, the member whose weight it is. */
static const Value *fold(const Ctx *c, const Expr *expr, Name name, int count, const Value **values,
                         int64_t own) {
    if (count == 0 && is(name, "sum")) return number_value(c, num_of_int(c->e->arena, 0));
    if (count == 0) {
        sema_error(c, "E-SHAPE", expr->span, "%s over an empty range", name);
        return unknown_value(c);
    }
    if (is(name, "concat")) return concat_values(c, count, values, expr->span);
    if (is(name, "argmax")) {
        for (int i = 0; i < count; i++) {
            if (values[i]->type.unknown || values[i]->type.rank == 0) continue;
            sema_error(c, "E-SHAPE", expr->span, "argmax over a range takes scalars, not %s",
                       ty_shape_text(c->e->arena, &values[i]->type));
            return unknown_value(c);
        }
        const Value *joined = concat_values(c, count, values, expr->span);
        if (joined->type.unknown) return joined;
        Ty type = {.dtype = DT_INT, .bound = joined->type.dim[0]};
        return emit_op(c, OP_ARGMAX, &type, 1, &joined, NULL, expr->span);
    }
    if (is(name, "softmax")) return own_weight(c, expr, count, values, own);
    Op op = is(name, "max")         ? OP_MAX
            : is(name, "min")       ? OP_MIN
            : is(name, "logsumexp") ? OP_LOGADDEXP
                                    : OP_ADD;
    const Value *total = values[0];
    for (int i = 1; i < count; i++) total = pair_op(c, op, total, values[i], name, expr->span);
    if (!is(name, "mean")) return total;
    return binary_op(c, AST_DIV, total, number_value(c, num_of_int(c->e->arena, count)),
                     expr->span);
}

/* At a definition: one member, with the variable as an unknown. */
static const Value *symbolic(const Ctx *c, const Expr *expr, Name name, const Poly *low,
                             const Poly *high) {
    c->e->reducing++;
    const Value *value = elab(c, expr->args.at[0].value);
    c->e->reducing--;
    if (value->type.unknown) return value;
    const Poly *times = poly_sub(c->e->arena, high, low);
    Value *to = arena_copy(c->e->arena, value, sizeof *value);
    to->num = (Num){.kind = value->num.kind == NUM_NONE ? NUM_NONE : NUM_OPEN};
    if (is(name, "concat")) {
        if (to->num.kind != NUM_NONE) to->type = ty_float(), to->num.kind = NUM_NONE;
        const Poly *dim = to->type.rank == 0 ? poly_constant(c->e->arena, 1) : to->type.dim[0];
        if (to->type.rank == 0) to->type.rank = 1;
        to->type.dim[0] = poly_mul(c->e->arena, dim, times);
    } else if (is(name, "argmax")) {
        to->type = (Ty){.dtype = DT_INT, .bound = times};
        to->type.unknown = times == NULL;
    }
    /* Dimensions that depend on the variable itself are for the instance to add up. */
    for (int d = 0; d < to->type.rank; d++)
        for (int i = 0; to->type.dim[d] != NULL && i < to->type.dim[d]->count; i++)
            for (int k = 0; k < to->type.dim[d]->terms[i].degree; k++)
                if (to->type.dim[d]->terms[i].names[k] == c->env->name) return unknown_value(c);
    return to;
}

static const Value *over_range(const Ctx *c, const Expr *expr, Name name, const Entry *entry) {
    static const char *const names[] = {"sum",       "mean",   "max",    "min",
                                        "logsumexp", "argmax", "concat", "softmax"};
    size_t at = 0;
    while (at < sizeof names / sizeof *names && !is(name, names[at])) at++;
    if (at == sizeof names / sizeof *names) {
        sema_error(c, "E-INDEX", expr->span, "%s cannot be unrolled over a range", name);
        return unknown_value(c);
    }
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Poly *low = elab_size(c, entry->a, "the range of a reduction");
    const Poly *high = elab_size(c, entry->b, "the range of a reduction");
    const Base *base = find_base(c, entry->name);
    refuse_predefined(c, entry->name, entry->span);
    if (base != NULL && base->kind != BASE_LOOP) {
        Diag *diag =
            sema_error(c, "E-DUP", entry->span, "'%s' is declared in this model", entry->name);
        sema_note(c, diag, base->span, "here");
        return unknown_value(c);
    }
    /* softmax keeps its index: the weight is that of the member at hand. */
    Num at_hand;
    int64_t own = -1;
    bool weight = is(name, "softmax"), bound = find_number(c, entry->name, &at_hand);
    if (weight && (!bound || at_hand.kind != NUM_INT)) {
        sema_error(c, "E-INDEX", entry->span,
                   "softmax keeps its index: '%s' is the variable of a loop around it, 'for %s in "
                   "a:b'",
                   entry->name, entry->name);
        return unknown_value(c);
    }
    if (weight) num_int(&at_hand, &own);
    Env env = {c->env, entry->name, {.kind = NUM_INT}};
    Ctx inner = *c;
    inner.env = &env;
    int64_t from, to;
    bool known = poly_value(low, &from) && poly_value(high, &to);
    /* Sizes and constants of a file are computed once, before any instance. */
    if (!c->e->emit && (c->body != NULL || c->inst != NULL || !known)) {
        env.num.integer = poly_name(c->e->arena, entry->name, false);
        return symbolic(&inner, expr, name, low, high);
    }
    if (!known) return unknown_value(c);
    VEC(const Value *) values = {0};
    for (int64_t i = from; i < to; i++) {
        if (++c->e->equations > MAX_EQUATIONS) {
            sema_error(c, "E-LIMIT", expr->span, "more than %d equations after unrolling",
                       MAX_EQUATIONS);
            return unknown_value(c);
        }
        env.num = num_of_int(c->e->arena, i);
        vec_push(c->e->arena, &values, elab(&inner, expr->args.at[0].value));
    }
    return fold(c, expr, name, values.count, values.at, own - from);
}

const Value *elab_reduction(const Ctx *c, const Expr *expr, Name name, const EntryList *bracket) {
    if (bracket->count == 0) return unknown_value(c);
    const Entry *entry = &bracket->at[0];
    if (entry->kind == ENTRY_RANGE && bracket->count == 1 && entry->name != NULL &&
        find_index(c, entry->name) == NULL)
        return over_range(c, expr, name, entry);
    if (c->body == NULL) {
        sema_error(c, "E-TYPE", expr->span, "there is no time here");
        return unknown_value(c);
    }
    return is(name, "ctc") ? ctc(c, expr, bracket) : over_time(c, expr, name, bracket);
}
