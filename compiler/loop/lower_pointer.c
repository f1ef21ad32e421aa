/* Positions that are computed: the rows that pointers lead to, and the position of the largest
 * value over time. What a pointer names outside of a sequence, which only one that is computed can
 * do, is NaN. */
#include "loop/lower_row.h"

#include <math.h>

/* Pointer `k` of the operation, and whether it names a position of the source's dim `d`. */
static LExpr *pointer(RowOp *op, int k, int d, LExpr *inside) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    const Schedule *schedule = lower->schedule;
    const Use *use = &op->value->uses.at[k];
    const Value *source = row_operand(op, 0);
    const Access *access = &schedule->accesses.at[op->value->uses.at[0].access];
    int axis = lower->graph->indices.at[source->domain[d]].axis;
    LExpr *p = lower_element(fn, op->out, op->value, use, op->row, loop_int(lower->module, 0), 1,
                             WANT_INT);
    p = fn->pointers[k] = lower_let(fn, op->out, "pointer", p);
    bool before =
        schedule->values.at[use->value]->type.pointer == PTR_PAST && access->boundary >= 0;
    LExpr *low = lower_op(lower, SOP_GE, p, loop_int(lower->module, before ? -1 : 0));
    LExpr *high = lower_op(lower, SOP_LT, p, lower_length(fn, op->value, axis, op->row->b));
    low = lower_op(lower, SOP_MAND, low, high);
    return inside ? lower_op(lower, SOP_MAND, inside, low) : low;
}

static LExpr *nothing(const RowOp *op, int lanes) {
    Lower *lower = op->fn->lower;
    if (op->value->type.dtype == DT_FLOAT) return lower_real(lower, NAN, lanes);
    return loop_int(lower->module, 0);
}

void row_through_pointers(RowOp *op) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    const Access *access = &fn->lower->schedule->accesses.at[op->value->uses.at[0].access];
    LExpr *inside = NULL;
    for (int d = 0; d < access->at_count; d++)
        if (access->at[d].kind == AT_POINTER)
            inside = pointer(op, access->at[d].operand, d, inside);
    bool whole =
        op->value->type.dtype == DT_FLOAT && row_vectors(op, 0) && fn->places[op->value->id].padded;
    LStmt *test = loop_if(m, op->out, inside);
    for (int part = 0; part < 2; part++) {
        LBlock *out = part ? &test->otherwise : &test->body;
        LExpr *i = loop_int(m, 0);
        int lanes = whole && op->value->count > 1 ? fn->lower->lanes : 1;
        if (op->value->count > 1) {
            LStmt *each = loop_for(m, fn->fn, out, "i", i, loop_int(m, op->value->count), lanes);
            i = loop_var(m, fn->fn, each->var);
            out = &each->body;
        }
        row_write(op, out, i, part ? nothing(op, lanes) : row_read(op, out, 0, i, lanes));
    }
    for (int d = 0; d < access->at_count; d++)
        if (access->at[d].kind == AT_POINTER) fn->pointers[access->at[d].operand] = NULL;
}

/* TARGMAX, element by element: the first of the largest, in the order of the reduction; -1 of none.
 */
void row_largest_position(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *value = op->value;
    const Attr *attr = value->attr;
    LBlock *body = op->out;
    LExpr *low, *high, *i = loop_int(m, 0);
    row_range(op, body, &low, &high);
    if (value->count > 1) {
        LStmt *units = loop_for(m, fn->fn, body, "i", i, loop_int(m, value->count), 1);
        i = loop_var(m, fn->fn, units->var);
        body = &units->body;
    }
    int best = loop_mutable(m, fn->fn, body, "best", lower_real(lower, 0, 1));
    int where = loop_mutable(m, fn->fn, body, "where", loop_int(m, -1));
    LStmt *loop = loop_for(m, fn->fn, body, "s", low, high, 1);
    LExpr *at = loop_var(m, fn->fn, loop->var);
    if (attr->mirrored)
        at = lower_let(fn, &loop->body, "back",
                       loop_sub(m, loop_sub(m, loop_add(m, low, high), loop_int(m, 1)), at));
    LExpr **bound = &fn->map_position[attr->index], *saved = *bound;
    *bound = at;
    LExpr *e = lower_let(fn, &loop->body, "x", row_read(op, &loop->body, 0, i, 1));
    *bound = saved;
    LExpr *none = lower_op(lower, SOP_LT, loop_var(m, fn->fn, where), loop_int(m, 0));
    LExpr *more = lower_op(lower, SOP_GT, e, loop_var(m, fn->fn, best));
    LStmt *first = loop_if(m, &loop->body, none);
    LStmt *test = loop_if(m, &first->otherwise, more);
    LBlock *parts[] = {&first->body, &test->body};
    for (int part = 0; part < 2; part++) {
        loop_set(m, parts[part], best, e);
        loop_set(m, parts[part], where, at);
    }
    LExpr *found = loop_var(m, fn->fn, where);
    if (attr->mirrored) { /* as the mirrored model counts */
        int axis = lower->graph->indices.at[attr->index].axis;
        LExpr *last = loop_sub(m, lower_length(fn, value, axis, op->row->b), loop_int(m, 1));
        LExpr *some = lower_op(lower, SOP_GE, found, loop_int(m, 0));
        found = lower_select(lower, some, loop_sub(m, last, found), found);
    }
    row_write(op, body, i, found);
}
