/* Operations on whole rows, and scalars that are computed at the start of a stage: reductions,
 * rearrangements, lookups, general products, reductions over time. One loop nest each; the order of
 * every sum is fixed here. */
#include "loop/lower_row.h"

LBlock *lower_rows(Fn *fn, LBlock *out, const Value *value, Row *row) {
    LoopModule *m = fn->lower->module;
    int maps = 0;
    if (!fn->step) {
        int map[MAX_DOMAIN];
        maps = schedule_map_domain(fn->lower->schedule, value, map);
        for (int d = 0; d < maps; d++) {
            const Index *index = &fn->lower->graph->indices.at[map[d]];
            LStmt *loop = lower_split_loop(fn, out, index->name, fn->longest[index->axis], d == 0);
            fn->map_position[map[d]] = loop_var(m, fn->fn, loop->var);
            out = &loop->body;
        }
    } else {
        out = lower_window_loop(fn, out, value);
    }
    *row = (Row){.b = loop_int(m, 0)};
    if (lower_batched(fn, value)) {
        LExpr *low = fn->own_low ? fn->own_low : loop_int(m, 0);
        LExpr *high = fn->own_low ? fn->own_high : fn->batch;
        if (fn->split && !maps) lower_share(fn, out, fn->batch, &low, &high);
        LStmt *loop = loop_for(m, fn->fn, out, "b", low, high, 1);
        row->b = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    return out;
}

static void leave_rows(Fn *fn, const Value *value) {
    int map[MAX_DOMAIN];
    int maps = schedule_map_domain(fn->lower->schedule, value, map);
    for (int d = 0; d < maps; d++) fn->map_position[map[d]] = NULL;
    lower_leave_window(fn, value);
}

/* --- elements
 * ------------------------------------------------------------------------------------------------
 */

const Value *row_operand(const RowOp *op, int i) {
    return op->fn->lower->schedule->values.at[op->value->uses.at[i].value];
}

LExpr *row_read(RowOp *op, LBlock *out, int i, LExpr *index, int lanes) {
    return lower_element(op->fn, out, op->value, &op->value->uses.at[i], op->row, index, lanes,
                         lower_want(row_operand(op, i)));
}

void row_write(RowOp *op, LBlock *out, LExpr *index, LExpr *e) {
    lower_store(op->fn, out, op->value, op->row, index, e);
}

/* Can whole vectors of operand i be loaded from any multiple of the lanes? */
bool row_vectors(const RowOp *op, int i) {
    const Value *source = row_operand(op, i);
    if (source->count == 1 || source->type.dtype != DT_FLOAT) return false;
    if (source->kind == VALUE_CONST) return true;
    if (source->kind == VALUE_PARAM) return true;
    return lower_place_of(op->fn, source, op->value->uses.at[i].access)->padded;
}

/* --- sums
 * ------------------------------------------------------------------------------------------------------
 */

/* Σ of `count` elements of operand 0 from `base` (aligned to 64 bytes when `aligned`), in the one
 * order that all targets share: element 16*c + l goes to lane l of chain c mod 4; the chains of a
 * lane are added in order, then the lanes as a tree; what is left below 16 is added one by one at
 * the end. */
static LExpr *sum_row(RowOp *op, LBlock *out, LExpr *base, int64_t count, bool aligned) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int64_t groups = count / 16;
    LExpr *total = NULL;
    if (groups) {
        int lanes = aligned && row_vectors(op, 0) ? lower->lanes : 1;
        int buffer = loop_buffer(m, fn->fn,
                                 (LBuffer){.name = name_of(lower->names, "lane"),
                                           .type = lower->real,
                                           .base = LB_LOCAL,
                                           .count = loop_int(m, 16),
                                           .align = 64,
                                           .written = true,
                                           .layout = "lanes of a sum"});
        LStmt *over = loop_for(m, fn->fn, out, "l", loop_int(m, 0), loop_int(m, 16), lanes);
        LExpr *l = loop_var(m, fn->fn, over->var);
        int chain[4] = {0};
        int chains = groups < 4 ? (int)groups : 4;
        for (int c = 0; c < chains; c++)
            chain[c] = loop_mutable(m, fn->fn, &over->body, "chain",
                                    row_read(op, &over->body, 0,
                                             loop_add(m, base, loop_add(m, l, loop_int(m, 16 * c))),
                                             lanes));
        int64_t whole = groups / 4 * 4;
        if (groups > 4) {
            if (whole > 4) {
                LStmt *loop = loop_for(m, fn->fn, &over->body, "c", loop_int(m, 64),
                                       loop_int(m, whole * 16), 64);
                LExpr *at = loop_add(m, base, loop_add(m, loop_var(m, fn->fn, loop->var), l));
                for (int c = 0; c < 4; c++)
                    loop_set(m, &loop->body, chain[c],
                             lower_op(lower, SOP_ADD, loop_var(m, fn->fn, chain[c]),
                                      row_read(op, &loop->body, 0,
                                               loop_add(m, at, loop_int(m, 16 * c)), lanes)));
            }
            for (int64_t c = whole < 4 ? 4 : whole; c < groups; c++)
                loop_set(m, &over->body, chain[c - whole],
                         lower_op(lower, SOP_ADD, loop_var(m, fn->fn, chain[c - whole]),
                                  row_read(op, &over->body, 0,
                                           loop_add(m, base, loop_add(m, l, loop_int(m, 16 * c))),
                                           lanes)));
        }
        LExpr *lane = loop_var(m, fn->fn, chain[0]);
        for (int c = 1; c < chains; c++)
            lane = lower_op(lower, SOP_ADD, lane, loop_var(m, fn->fn, chain[c]));
        loop_store(m, &over->body, buffer, l, lane, lanes > 1);
        for (int half = 8; half > 0; half /= 2) {
            LStmt *tree = loop_for(m, fn->fn, out, "l", loop_int(m, 0), loop_int(m, half), 1);
            LExpr *at = loop_var(m, fn->fn, tree->var);
            LExpr *a = loop_load(m, fn->fn, buffer, at, 1, false);
            LExpr *b = loop_load(m, fn->fn, buffer, loop_add(m, at, loop_int(m, half)), 1, false);
            loop_store(m, &tree->body, buffer, at, lower_op(lower, SOP_ADD, a, b), false);
        }
        total = lower_let(fn, out, "sum", loop_load(m, fn->fn, buffer, loop_int(m, 0), 1, false));
    }
    for (int64_t i = groups * 16; i < count; i++) {
        LExpr *e = row_read(op, out, 0, loop_add(m, base, loop_int(m, i)), 1);
        total = lower_let(fn, out, "sum", total ? lower_op(lower, SOP_ADD, total, e) : e);
    }
    return total ? total : lower_real(lower, 0, 1);
}

/* The larger of a running maximum and a new element; NaN stays. */
LExpr *row_better(Lower *lower, LExpr *best, LExpr *e, bool least) {
    LExpr *beats = lower_op(lower, least ? SOP_LT : SOP_GT, e, best);
    LExpr *nan = lower_op(lower, SOP_NE, e, e);
    return lower_select(lower, lower_op(lower, SOP_MOR, beats, nan), e, best);
}

/* SUM, RMAX, RMIN over one dim, or over all elements (dim -1). */
static void reduce(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *value = op->value, *source = row_operand(op, 0);
    int dim = value->attr->dim;
    int64_t outer = 1, count = source->count, inner = 1;
    if (dim >= 0) {
        count = source->type.shape.dim[dim];
        for (int d = 0; d < dim; d++) outer *= source->type.shape.dim[d];
        for (int d = dim + 1; d < source->type.shape.rank; d++) inner *= source->type.shape.dim[d];
    }
    LBlock *out = op->out;
    LExpr *o = loop_int(m, 0), *i = loop_int(m, 0);
    if (outer > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "o", loop_int(m, 0), loop_int(m, outer), 1);
        o = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    if (inner > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, inner), 1);
        i = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    LExpr *base = loop_add(m, loop_mul(m, o, loop_int(m, count * inner)), i);
    LExpr *result;
    int64_t line = 64 / loop_type_size(lower->real);
    if (value->op == OP_SUM && inner == 1 && value->type.dtype == DT_FLOAT) {
        result = sum_row(op, out, base, count, outer == 1 || count % line == 0);
    } else {
        int best = loop_mutable(m, fn->fn, out, "best", row_read(op, out, 0, base, 1));
        LStmt *loop = loop_for(m, fn->fn, out, "k", loop_int(m, 1), loop_int(m, count), 1);
        LExpr *e = lower_let(
            fn, &loop->body, "x",
            row_read(
                op, &loop->body, 0,
                loop_add(m, base, loop_mul(m, loop_var(m, fn->fn, loop->var), loop_int(m, inner))),
                1));
        LExpr *so_far = loop_var(m, fn->fn, best);
        loop_set(m, &loop->body, best,
                 value->op == OP_SUM ? lower_op(lower, SOP_ADD, so_far, e)
                                     : row_better(lower, so_far, e, value->op == OP_RMIN));
        result = loop_var(m, fn->fn, best);
    }
    row_write(op, out, loop_add(m, loop_mul(m, o, loop_int(m, inner)), i), result);
}

/* First maximum along the last dim. */
static void argmax(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *source = row_operand(op, 0);
    int64_t count = source->type.shape.dim[source->type.shape.rank - 1],
            outer = source->count / count;
    LBlock *out = op->out;
    LExpr *o = loop_int(m, 0);
    if (outer > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "o", loop_int(m, 0), loop_int(m, outer), 1);
        o = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    LExpr *base = loop_mul(m, o, loop_int(m, count));
    int best = loop_mutable(m, fn->fn, out, "best", row_read(op, out, 0, base, 1));
    int where = loop_mutable(m, fn->fn, out, "where", loop_int(m, 0));
    LStmt *loop = loop_for(m, fn->fn, out, "k", loop_int(m, 1), loop_int(m, count), 1);
    LExpr *k = loop_var(m, fn->fn, loop->var);
    LExpr *e =
        lower_let(fn, &loop->body, "x", row_read(op, &loop->body, 0, loop_add(m, base, k), 1));
    LExpr *so_far = loop_var(m, fn->fn, best);
    LStmt *then = loop_if(m, &loop->body, lower_op(lower, SOP_GT, e, so_far));
    loop_set(m, &then->body, best, e);
    loop_set(m, &then->body, where, k);
    row_write(op, out, o, loop_var(m, fn->fn, where));
}

/* --- rearrangements
 * -------------------------------------------------------------------------------------------- */

/* out[to + Σ i_d * out_stride_d] = operand[from + Σ i_d * stride_d], over all i. */
static void rearrange(RowOp *op, int which, int rank, const int64_t *dim, const int64_t *stride,
                      const int64_t *out_stride, int64_t from, int64_t to) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    LBlock *out = op->out;
    LExpr *source = loop_int(m, from), *target = loop_int(m, to);
    for (int d = 0; d < rank; d++) {
        if (dim[d] == 1) continue;
        LStmt *loop = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, dim[d]), 1);
        LExpr *i = loop_var(m, fn->fn, loop->var);
        source = loop_add(m, source, loop_mul(m, i, loop_int(m, stride[d])));
        target = loop_add(m, target, loop_mul(m, i, loop_int(m, out_stride[d])));
        out = &loop->body;
    }
    row_write(op, out, target, row_read(op, out, which, source, 1));
}

static void strides_of(Shape shape, int64_t *stride) {
    int64_t s = 1;
    for (int d = shape.rank - 1; d >= 0; d--) {
        stride[d] = s;
        s *= shape.dim[d];
    }
}

static void slice(RowOp *op) {
    const Value *source = row_operand(op, 0);
    const Attr *attr = op->value->attr;
    int64_t from_stride[MAX_RANK], to_stride[MAX_RANK], dim[MAX_RANK], from = 0;
    strides_of(source->type.shape, from_stride);
    int rank = source->type.shape.rank;
    int64_t s = 1;
    for (int d = rank - 1; d >= 0; d--) {
        dim[d] = attr->ends[d] - attr->dims[d];
        from += attr->dims[d] * from_stride[d];
        to_stride[d] = s;
        s *= dim[d];
    }
    rearrange(op, 0, rank, dim, from_stride, to_stride, from, 0);
}

static void transpose(RowOp *op) {
    Shape shape = row_operand(op, 0)->type.shape;
    int64_t dim[2] = {shape.dim[0], shape.dim[1]};
    int64_t from[2] = {shape.dim[1], 1}, to[2] = {1, shape.dim[0]};
    rearrange(op, 0, 2, dim, from, to, 0, 0);
}

static void broadcast(RowOp *op) {
    Shape shape = op->value->type.shape, source = row_operand(op, 0)->type.shape;
    int64_t from[MAX_RANK] = {0}, to[MAX_RANK], own[MAX_RANK];
    strides_of(shape, to);
    strides_of(source, own);
    if (source.rank == shape.rank)
        for (int d = 0; d < shape.rank; d++) from[d] = source.dim[d] == 1 ? 0 : own[d];
    rearrange(op, 0, shape.rank, shape.dim, from, to, 0, 0);
}

static void concat(RowOp *op) {
    int64_t to = 0, one[1] = {1};
    for (int i = 0; i < op->value->uses.count; i++) {
        int64_t n[1] = {row_operand(op, i)->count};
        rearrange(op, i, 1, n, one, one, 0, to);
        to += n[0];
    }
}

/* --- lookups
 * ------------------------------------------------------------------------------------------------------
 */

/* Row w of operand 0. Beyond a sequence's end w may be anything, so it is brought into range; at
 * valid positions the entry checks have refused what is not. */
static void gather(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *table = row_operand(op, 0);
    int64_t entries = table->type.shape.dim[0], size = table->count / entries;
    LExpr *w = lower_element(fn, op->out, op->value, &op->value->uses.at[1], op->row,
                             loop_int(m, 0), 1, WANT_INT);
    w = lower_op(lower, SOP_MIN, lower_op(lower, SOP_MAX, w, loop_int(m, 0)),
                 loop_int(m, entries - 1));
    LExpr *from = lower_let(fn, op->out, "entry", loop_mul(m, w, loop_int(m, size)));
    LBlock *out = op->out;
    LExpr *i = loop_int(m, 0);
    if (size > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, size), 1);
        i = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    row_write(op, out, i, row_read(op, out, 0, loop_add(m, from, i), 1));
}

static void onehot(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *w = lower_element(fn, op->out, op->value, &op->value->uses.at[0], op->row,
                             loop_int(m, 0), 1, WANT_INT);
    w = lower_let(fn, op->out, "w", w);
    LStmt *loop =
        loop_for(m, fn->fn, op->out, "i", loop_int(m, 0), loop_int(m, op->value->count), 1);
    LExpr *i = loop_var(m, fn->fn, loop->var);
    LExpr *same = lower_as(lower, lower_op(lower, SOP_EQ, i, w), WANT_MASK);
    row_write(op, &loop->body, i,
              lower_select(lower, same, lower_real(lower, 1, 1), lower_real(lower, 0, 1)));
}

static void iota(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LStmt *loop =
        loop_for(m, fn->fn, op->out, "i", loop_int(m, 0), loop_int(m, op->value->count), 1);
    LExpr *i = loop_var(m, fn->fn, loop->var);
    row_write(op, &loop->body, i,
              op->value->type.dtype == DT_FLOAT ? lower_as(lower, i, WANT_REAL) : i);
}

/* --- general products: neither operand is a packed parameter; one chain over k
 * ----------------------------------- */

static void matmul(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    Shape a = row_operand(op, 0)->type.shape, b = row_operand(op, 1)->type.shape;
    int64_t rows = a.rank == 2 ? a.dim[0] : 1, length = a.dim[a.rank - 1],
            columns = b.rank == 2 ? b.dim[1] : 1;
    LBlock *out = op->out;
    LExpr *i = loop_int(m, 0), *j = loop_int(m, 0);
    if (rows > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, rows), 1);
        i = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    if (columns > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "j", loop_int(m, 0), loop_int(m, columns), 1);
        j = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    int sum = loop_mutable(m, fn->fn, out, "sum", lower_real(lower, 0, 1));
    LStmt *loop = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_int(m, length), 1);
    LExpr *k = loop_var(m, fn->fn, loop->var);
    LExpr *x = row_read(op, &loop->body, 0, loop_add(m, loop_mul(m, i, loop_int(m, length)), k), 1);
    LExpr *y =
        row_read(op, &loop->body, 1, loop_add(m, loop_mul(m, k, loop_int(m, columns)), j), 1);
    loop_set(m, &loop->body, sum, loop_op(m, SOP_FMA, x, y, loop_var(m, fn->fn, sum)));
    row_write(op, out, loop_add(m, loop_mul(m, i, loop_int(m, columns)), j),
              loop_var(m, fn->fn, sum));
}

/* --- scalars
 * ----------------------------------------------------------------------------------------------------------
 */

static LExpr *get_scalar(void *user, const Use *use, Want want) {
    RowOp *op = user;
    return lower_element(op->fn, op->out, op->value, use, op->row,
                         loop_int(op->fn->lower->module, 0), 1, want);
}

static void scalar(RowOp *op) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *value = op->value;
    LExpr *tick = NULL;
    if (value->op == OP_HOLD) {
        tick = loop_op(m, SOP_EQ, lower_since_tick(fn, value, op->row), loop_int(m, 0), NULL);
        tick = lower_as(lower, tick, WANT_MASK);
    }
    LExpr *e = value->kind == VALUE_SUM ? lower_sum(fn, op->out, value, NULL, -1, get_scalar, op)
                                        : lower_point(fn, op->out, value, get_scalar, op, tick);
    row_write(op, op->out, loop_int(m, 0), lower_let(fn, op->out, lower_name(lower, value), e));
}

void lower_prologue(Fn *fn, LBlock *out, const Block *block, const Value *value) {
    Row row;
    LExpr *site[2] = {NULL, NULL};
    lower_at(fn->lower, value->span);
    if (value->kind == VALUE_ROW && value->op == OP_DRAW) row_draw_key(fn, out, value, site);
    RowOp op = {fn, lower_rows(fn, out, value, &row), value, &row};
    if (value->kind == VALUE_LEAF) {
        iota(&op);
    } else if (value->kind != VALUE_ROW) {
        scalar(&op);
    } else {
        switch (value->op) {
        case OP_SUM:
        case OP_RMAX:
        case OP_RMIN: reduce(&op); break;
        case OP_ARGMAX: argmax(&op); break;
        case OP_SLICE: slice(&op); break;
        case OP_TRANSPOSE: transpose(&op); break;
        case OP_BROADCAST: broadcast(&op); break;
        case OP_CONCAT: concat(&op); break;
        case OP_GATHER: gather(&op); break;
        case OP_ONEHOT: onehot(&op); break;
        case OP_BSUM: row_sum(&op); break;
        case OP_MATMUL: matmul(&op); break;
        case OP_READ: row_through_pointers(&op); break;
        case OP_TARGMAX: row_largest_position(&op); break;
        case OP_DRAW: row_draw(&op, site); break;
        case OP_TSUM:
        case OP_TMAX:
        case OP_TCONCAT:
            if (row_outer(&op, block)) break;
            if (!fn->step && value->op == OP_TSUM && (value->over_batch || value->uses.count == 2))
                row_sum(&op);
            else if (fn->step && lower_reduction(fn->lower, value).kind == REDUCTION_RUNNING)
                row_running(&op);
            else
                row_over_time(&op);
            break;
        default: break; /* normal.c lets no other operation be a ROW */
        }
    }
    leave_rows(fn, value);
}
