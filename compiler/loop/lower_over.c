/* Reductions over positions: whole sequences and windows in one loop nest each, and in a step what
 * runs on from position to position. Sums of outer products read their two vectors. */
#include "loop/lower_row.h"

static LExpr *bound_at(RowOp *op, const Bound *bound, LExpr *length, bool high) {
    LoopModule *m = op->fn->lower->module;
    switch (bound->kind) {
    case BOUND_NONE: return high ? length : loop_int(m, 0);
    case BOUND_INDEX:
        return loop_add(m, lower_position(op->fn, op->value, bound->index, op->row),
                        loop_int(m, bound->offset));
    case BOUND_FIRST: return loop_int(m, bound->offset);
    case BOUND_LAST: return loop_add(m, length, loop_int(m, bound->offset));
    }
    return length;
}

/* Positions of an axis that have been taken in a step; those ahead of them are behind the end. */
static LExpr *taken_on(Fn *fn, int axis, LExpr *b) {
    LoopModule *m = fn->lower->module;
    int64_t every = 1;
    for (; fn->lower->graph->axes.at[axis].kind == AXIS_SLOW;
         axis = fn->lower->graph->axes.at[axis].base)
        every *= fn->lower->graph->axes.at[axis].every;
    LExpr *taken = lower_taken(fn, b);
    if (every == 1) return taken;
    return loop_op(m, SOP_DIV, loop_add(m, taken, loop_int(m, every - 1)), loop_int(m, every),
                   NULL);
}

/* Of element i of a sum of outer products: the elements of the two vectors. */
static LExpr *row_of(const RowOp *op, LExpr *i) {
    LoopModule *m = op->fn->lower->module;
    return loop_op(m, SOP_DIV, i, loop_int(m, op->value->type.shape.dim[1]), NULL);
}

static LExpr *column_of(const RowOp *op, LExpr *i) {
    LoopModule *m = op->fn->lower->module;
    return loop_op(m, SOP_MOD, i, loop_int(m, op->value->type.shape.dim[1]), NULL);
}

/* In a step: one more position for the reduction that the state keeps, when there is one: the first
 * steps of a sum over s < t - 1 have none. */
void row_running(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *value = op->value;
    const RowPlace *place = &fn->runs[value->id];
    const Reduction r = lower_reduction(fn->lower, value);
    bool outer = value->uses.count == 2;
    int index = value->attr->index, axis = lower->graph->indices.at[index].axis;
    LBlock *out = value->domain_count ? op->out : lower_on_tick(fn, op->out, value, index);
    LExpr *position = lower_position(fn, value, index, op->row);
    LExpr *s = lower_let(fn, out, "s", loop_add(m, position, loop_int(m, r.high - 1)));
    int64_t from = r.from > 0 ? r.from : 0;
    if (fn->ends >= 0)
        out = &loop_if(m, out, loop_op(m, SOP_LT, s, taken_on(fn, axis, op->row->b), NULL))->body;
    if (r.high < 1 || from > 0 || fn->lower->delay[value->id])
        out = &loop_if(m, out, loop_op(m, SOP_GE, s, loop_int(m, from), NULL))->body;
    if (r.to < INT64_MAX)
        out = &loop_if(m, out, loop_op(m, SOP_LT, s, loop_int(m, r.to), NULL))->body;
    LExpr *i = loop_int(m, 0);
    if (value->count > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "i", i, loop_int(m, value->count), 1);
        i = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    LExpr *at = loop_add(m, lower_row_in(fn, place, value, value, -1, op->row), i);
    LExpr *so_far = lower_let(fn, out, "so_far", loop_load(m, fn->fn, place->buffer, at, 1, false));
    fn->window_at[index] = loop_int(m, r.high - 1);
    LExpr *e = lower_let(fn, out, "x", row_read(op, out, 0, outer ? row_of(op, i) : i, 1));
    LExpr *f = outer ? lower_let(fn, out, "y", row_read(op, out, 1, column_of(op, i), 1)) : NULL;
    fn->window_at[index] = NULL;
    if (value->type.dtype != DT_FLOAT) {
        e = lower_as(lower, e, WANT_INT);
        if (e->type != place->type) e = loop_convert(m, SOP_CONVERT, place->type, e);
    }
    LExpr *next = value->op == OP_TMAX ? row_better(lower, so_far, e, false)
                  : outer              ? loop_op(m, SOP_FMA, e, f, so_far)
                                       : lower_op(lower, SOP_ADD, so_far, e);
    loop_store(m, out, place->buffer, at, next, false);
    i = loop_int(m, 0);
    out = op->out;
    if (value->count > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "i", i, loop_int(m, value->count), 1);
        i = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    at = loop_add(m, lower_row_in(fn, place, value, value, -1, op->row), i);
    row_write(op, out, i, loop_load(m, fn->fn, place->buffer, at, 1, false));
}

void row_range(RowOp *op, LBlock *out, LExpr **from, LExpr **to) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *value = op->value;
    const Attr *attr = value->attr;
    int axis = lower->graph->indices.at[attr->index].axis;
    LExpr *zero = loop_int(m, 0), *low, *high;
    if (fn->step) { /* a window: counted from the current position, clipped to the beginning */
        const Reduction r = lower_reduction(fn->lower, value);
        LExpr *position = lower_position(fn, value, attr->index, op->row);
        low = lower_op(lower, SOP_MAX, loop_int(m, r.low), loop_sub(m, zero, position));
        high = loop_int(m, r.high);
        if (fn->ends >= 0)
            high = loop_min(m, high, loop_sub(m, taken_on(fn, axis, op->row->b), position));
    } else {
        LExpr *length = lower_let(fn, out, "length", lower_length(fn, value, axis, op->row->b));
        low = lower_op(lower, SOP_MAX, bound_at(op, &attr->low, length, false), zero);
        high = loop_min(m, bound_at(op, &attr->high, length, true), length);
    }
    *from = lower_let(fn, out, "low", low);
    *to = lower_let(fn, out, "high", high);
}

/* TSUM, TMAX, TCONCAT: one loop over the positions for each vector of elements; positions ascend,
 * or descend inside a `reverse`. */
void row_over_time(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *value = op->value, *source = row_operand(op, 0);
    const Attr *attr = value->attr;
    LBlock *out = op->out;
    LExpr *zero = loop_int(m, 0), *low, *high;
    row_range(op, out, &low, &high);
    bool join = value->op == OP_TCONCAT, outer = value->uses.count == 2;
    int lanes = !join && row_vectors(op, outer) && lower->real == lower_type(lower, value) &&
                        value->count > 1
                    ? lower->lanes
                    : 1;
    LExpr *i = zero, *from = zero; /* element of the (last) operand; where its row begins in ours */
    LExpr *r = zero;
    LBlock *body = out;
    int64_t count = source->count;
    if (outer) {
        count = value->type.shape.dim[1];
        if (count % lanes) lanes = 1;
        LStmt *rows = loop_for(m, fn->fn, out, "r", zero, loop_int(m, value->type.shape.dim[0]), 1);
        r = loop_var(m, fn->fn, rows->var);
        from = loop_mul(m, r, loop_int(m, count));
        body = &rows->body;
    }
    if (count > 1) {
        LStmt *units = loop_for(m, fn->fn, body, "i", zero, loop_int(m, count), lanes);
        i = loop_var(m, fn->fn, units->var);
        body = &units->body;
    }
    int sum = -1;
    Want want = lower_want(value);
    if (!join) {
        LExpr *start = want == WANT_REAL
                           ? lower_real(lower, value->op == OP_TMAX ? -1.0 / 0.0 : 0.0, lanes)
                           : loop_int(m, 0);
        sum = loop_mutable(m, fn->fn, body, "sum", start);
    }
    LStmt *loop = loop_for(m, fn->fn, body, "s", low, high, 1);
    LExpr *s = loop_var(m, fn->fn, loop->var);
    LExpr *at = s;
    if (attr->mirrored)
        at = lower_let(fn, &loop->body, "back",
                       loop_sub(m, loop_sub(m, loop_add(m, low, high), loop_int(m, 1)), s));
    LExpr **bound = fn->step ? &fn->window_at[attr->index] : &fn->map_position[attr->index];
    LExpr *saved = *bound;
    *bound = at;
    LExpr *e =
        lower_element(fn, &loop->body, value, &value->uses.at[outer], op->row, i, lanes, want);
    LExpr *f = outer
                   ? lower_element(fn, &loop->body, value, &value->uses.at[0], op->row, r, 1, want)
                   : NULL;
    *bound = saved;
    if (join) {
        LExpr *position = attr->mirrored ? s : loop_sub(m, s, low);
        row_write(op, &loop->body, loop_add(m, loop_mul(m, position, loop_int(m, count)), i), e);
        return;
    }
    e = lower_let(fn, &loop->body, "x", e);
    LExpr *so_far = loop_var(m, fn->fn, sum);
    LExpr *next = value->op == OP_TMAX ? row_better(lower, so_far, e, false)
                  : outer              ? loop_op(m, SOP_FMA, loop_splat(m, f, lanes), e, so_far)
                                       : lower_op(lower, SOP_ADD, so_far, e);
    loop_set(m, &loop->body, sum, next);
    row_write(op, body, loop_add(m, from, i), loop_var(m, fn->fn, sum));
}
