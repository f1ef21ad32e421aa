/* Sums of outer products by a library (--gemm=blas): dᵀ x over all rows of position and sequence.
 * Where all sequences have all positions the vectors lie as matrices already, and one product is
 * all; else blocks of rows are gathered first. The results go where they belong, the caller's
 * gradients or the value's own rows. */
#include "loop/lower_outer.h"

/* From so many rows and columns on. */
enum { LEAST = 64 };

bool outer_by_gemm(const Lower *lower, const Value *value) {
    if (!lower->options.blas || !outer_is(value)) return false;
    int64_t least = lower->options.eager ? 2 : LEAST;
    for (int i = 0; i < 2; i++) {
        const Value *source = lower->schedule->values.at[value->uses.at[i].value];
        if (source->type.dtype != DT_FLOAT || source->count < least) return false;
    }
    return true;
}

/* The most columns, and rows, of such sums. */
static void widest(const Lower *lower, int64_t width[2]) {
    width[0] = width[1] = 0;
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        for (int side = 0; side < 2 && outer_by_gemm(lower, value); side++)
            if (value->type.shape.dim[1 - side] > width[side])
                width[side] = value->type.shape.dim[1 - side];
    }
}

/* From row to row of what is gathered. */
static int64_t stride_of(const Lower *lower, int64_t width) {
    int64_t line = 64 / loop_type_size(lower->real);
    return (width + line - 1) / line * line;
}

/* Numbers of a thread for one side. */
static Size side_floats(const Lower *lower, int64_t width) {
    Size rows = size_plus(size_symbol(0), size_constant(outer_block_rows(lower)));
    return size_times(rows, size_constant(stride_of(lower, width)));
}

void outer_place_rows(Fn *fn, int work_argument, Size *bytes) {
    Lower *lower = fn->lower;
    int64_t width[2];
    widest(lower, width);
    if (!width[0] || fn->step) return;
    Size threads = size_constant(lower->options.threads > 1 ? lower->options.threads : 1);
    for (int side = 0; side < 2; side++) {
        Size floats = size_times(side_floats(lower, width[side]), threads);
        fn->gathered[side] = lower_work_buffer(fn, work_argument, side ? "left" : "right",
                                               lower->real, floats, "[row][element]", bytes);
    }
}

/* The vectors of one side as a matrix: where it begins, how far it is from row to row. */
typedef struct Side {
    int buffer;
    LExpr *at;
    int64_t stride;
} Side;

/* As they lie, where every row counts. */
static Side in_place(Outer *o, LBlock *out, const Value *value, int use) {
    Fn *fn = o->fn;
    const Use *of = &value->uses.at[use];
    const Value *source = fn->lower->schedule->values.at[of->value];
    const RowPlace *place = lower_place_of(fn, source, of->access);
    const Row row = {.flat = loop_int(fn->lower->module, 0), .flat_index = value->attr->index};
    LExpr *at = lower_let(fn, out, "from", lower_row(fn, value, source, of->access, &row));
    return (Side){place->buffer, at, place->stride};
}

/* Rows of the block, one behind the other. */
static Side gather(Outer *o, LBlock *out, const Value *value, int use) {
    Fn *fn = o->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int64_t width[2], count = value->type.shape.dim[use], whole = count / o->lanes * o->lanes;
    widest(lower, width);
    int side = 1 - use;
    LExpr *room = size_expr(fn, side_floats(lower, width[side]));
    LExpr *start = fn->thread ? loop_mul(m, fn->thread, room) : loop_int(m, 0);
    Side to = {fn->gathered[side], lower_let(fn, out, "start", start),
               stride_of(lower, width[side])};
    LStmt *rows = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, rows->var);
    Row row = outer_listed(o, &rows->body, k);
    LExpr *at = loop_add(m, to.at, loop_mul(m, k, loop_int(m, to.stride)));
    at = lower_let(fn, &rows->body, "to", at);
    for (int part = 0; part < 2; part++) {
        int64_t low = part ? whole : 0, high = part ? count : whole;
        int lanes = part ? 1 : o->lanes;
        if (low == high) continue;
        LStmt *each =
            loop_for(m, fn->fn, &rows->body, "i", loop_int(m, low), loop_int(m, high), lanes);
        LExpr *i = loop_var(m, fn->fn, each->var);
        LExpr *x = outer_element(o, &each->body, value, use, &row, i, lanes);
        loop_store(m, &each->body, to.buffer, loop_add(m, at, i), x, false);
    }
    return to;
}

/* This thread's rows of the result. */
static void multiply(Outer *o, LBlock *out, const Value *value, Side d, Side x, LExpr *depth) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int64_t added = fn->added[value->id], columns = value->type.shape.dim[1];
    LExpr *low, *high;
    lower_share(fn, out, loop_int(m, value->type.shape.dim[0]), &low, &high);
    LExpr *begin = added ? loop_int(m, added - 1) : lower_row(fn, value, value, -1, o->row);
    int buffer = added ? lower_gradients_buffer(fn) : fn->places[value->id].buffer;
    LExpr *args[GEMM_ARGS] = {[GEMM_ROWS] = loop_sub(m, high, low),
                              [GEMM_COLUMNS] = loop_int(m, columns),
                              [GEMM_DEPTH] = depth,
                              [GEMM_C_STRIDE] = loop_int(m, columns),
                              [GEMM_A_STRIDE] = loop_int(m, d.stride),
                              [GEMM_B_STRIDE] = loop_int(m, x.stride)};
    begin = loop_add(m, begin, loop_mul(m, low, loop_int(m, columns)));
    args[GEMM_C] = loop_load(m, fn->fn, buffer, begin, 1, false);
    args[GEMM_A] = loop_load(m, fn->fn, d.buffer, loop_add(m, d.at, low), 1, false);
    args[GEMM_B] = loop_load(m, fn->fn, x.buffer, x.at, 1, false);
    loop_gemm(m, out, GEMM_ADD | GEMM_A_TRANSPOSED, args);
}

/* A mask: every row of position and sequence is in the range of the sums. */
static LExpr *all_rows(Outer *o, LBlock *out, LExpr *longest) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int all = loop_mutable(m, fn->fn, out, "all", loop_int(m, 1));
    LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
    const Row row = {.b = loop_var(m, fn->fn, each->var)};
    RowOp at = {fn, &each->body, o->first, &row};
    LExpr *low, *high;
    row_range(&at, &each->body, &low, &high);
    LExpr *less = loop_op(m, SOP_MOR, loop_op(m, SOP_NE, low, loop_int(m, 0), NULL),
                          loop_op(m, SOP_NE, high, longest, NULL), NULL);
    loop_set(m, &loop_if(m, &each->body, less)->body, all, loop_int(m, 0));
    return lower_let(fn, out, "whole",
                     loop_op(m, SOP_EQ, loop_var(m, fn->fn, all), loop_int(m, 1), NULL));
}

void outer_gemm(Outer *o, LBlock *out) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    LExpr *longest = fn->longest[fn->lower->graph->indices.at[o->first->attr->index].axis];
    LExpr *whole = all_rows(o, out, longest);
    bool region = lower_may_thread(fn);
    if (region) out = outer_region(o, out);
    LStmt *test = loop_if(m, out, whole);
    LExpr *rows = lower_let(fn, &test->body, "rows", loop_mul(m, longest, fn->batch));
    Side x = in_place(o, &test->body, o->first, 1);
    for (int i = 0; i < o->values.count; i++)
        multiply(o, &test->body, o->values.at[i], in_place(o, &test->body, o->values.at[i], 0), x,
                 rows);
    LExpr *begin, *end;
    LBlock *body = outer_blocks(o, &test->otherwise, &begin, &end);
    outer_list_rows(o, body, begin, end);
    x = gather(o, body, o->first, 1);
    for (int i = 0; i < o->values.count; i++)
        multiply(o, body, o->values.at[i], gather(o, body, o->values.at[i], 0), x,
                 loop_var(m, fn->fn, o->count));
    if (region) lower_end_region(fn);
}
