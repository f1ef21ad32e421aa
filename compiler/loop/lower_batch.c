/* Sums over the sequences of the batch, and sums over time of outer products: gradients of
 * parameters. A tile of the result stays in registers while all positions of all sequences go by;
 * one chain for each element, so tiles and lanes decide no bits. */
#include "loop/lower_row.h"

/* Rows and vectors of a tile: 4 × 2 accumulators, 2 vectors and a splat fit 16 registers. A sum of
 * vectors has one row. */
enum { TILE_ROWS = 4, TILE_VECTORS = 2, MOST_TILE = TILE_ROWS * TILE_VECTORS };

typedef struct Tile {
    LExpr *row, *column; /* first of each */
    int rows, vectors, lanes;
    int sums[MOST_TILE];
} Tile;

static LExpr *element(RowOp *op, LBlock *out, int use, const Row *row, LExpr *index, int lanes) {
    return lower_element(op->fn, out, op->value, &op->value->uses.at[use], row, index, lanes,
                         WANT_REAL);
}

/* What one position adds. */
static void add_position(RowOp *op, LBlock *out, const Tile *tile, const Row *row) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    bool outer = op->value->uses.count == 2;
    LExpr *x[TILE_VECTORS];
    for (int v = 0; v < tile->vectors; v++)
        x[v] = lower_let(fn, out, "x",
                         element(op, out, outer, row,
                                 loop_add(m, tile->column, loop_int(m, (int64_t)v * tile->lanes)),
                                 tile->lanes));
    for (int r = 0; r < tile->rows; r++) {
        LExpr *f = NULL;
        if (outer) {
            f = element(op, out, 0, row, loop_add(m, tile->row, loop_int(m, r)), 1);
            f = lower_let(fn, out, "f", loop_splat(m, f, tile->lanes));
        }
        for (int v = 0; v < tile->vectors; v++) {
            int sum = tile->sums[r * tile->vectors + v];
            LExpr *so_far = loop_var(m, fn->fn, sum);
            loop_set(m, out, sum,
                     f ? loop_op(m, SOP_FMA, f, x[v], so_far)
                       : lower_op(fn->lower, SOP_ADD, so_far, x[v]));
        }
    }
}

/* All positions of one sequence; BSUM has one. */
static void add_sequence(RowOp *op, LBlock *out, const Tile *tile, const Row *row) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    const Value *value = op->value;
    if (value->op == OP_BSUM) {
        add_position(op, out, tile, row);
        return;
    }
    RowOp at = {fn, out, value, row};
    LExpr *low, *high;
    row_range(&at, out, &low, &high);
    LStmt *loop = loop_for(m, fn->fn, out, "s", low, high, 1);
    LExpr *s = loop_var(m, fn->fn, loop->var);
    if (value->attr->mirrored)
        s = lower_let(fn, &loop->body, "back",
                      loop_sub(m, loop_sub(m, loop_add(m, low, high), loop_int(m, 1)), s));
    LExpr **bound = &fn->map_position[value->attr->index], *saved = *bound;
    *bound = s;
    add_position(op, &loop->body, tile, row);
    *bound = saved;
}

static void sum_tile(RowOp *op, LBlock *out, Tile *tile) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    const Value *value = op->value;
    const RowPlace *place = &fn->places[value->id];
    int64_t columns = value->uses.count == 2 ? value->type.shape.dim[1] : 0;
    for (int i = 0; i < tile->rows * tile->vectors; i++)
        tile->sums[i] = loop_mutable(m, fn->fn, out, "sum", lower_real(fn->lower, 0, tile->lanes));
    Row row = *op->row;
    LBlock *body = out;
    if (schedule_over_batch(value)) {
        LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        row.b = loop_var(m, fn->fn, each->var);
        body = &each->body;
    }
    add_sequence(op, body, tile, &row);
    LExpr *start = lower_row(fn, value, value, -1, op->row);
    for (int r = 0; r < tile->rows; r++)
        for (int v = 0; v < tile->vectors; v++) {
            LExpr *at = loop_mul(m, loop_add(m, tile->row, loop_int(m, r)), loop_int(m, columns));
            at = loop_add(m, at, loop_add(m, tile->column, loop_int(m, (int64_t)v * tile->lanes)));
            loop_store(m, out, place->buffer, value->count == 1 ? start : loop_add(m, start, at),
                       loop_var(m, fn->fn, tile->sums[r * tile->vectors + v]), false);
        }
}

/* Loops over what a step of `width` divides from `from` on, or a thread's share of them; returns
 * where it ended. */
static int64_t blocks(RowOp *op, LBlock **out, const char *name, int64_t from, int64_t count,
                      int64_t width, bool shared, LExpr **at) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    int64_t to = from + (count - from) / width * width;
    if (to - from > width) {
        LExpr *low = loop_int(m, from), *high = loop_int(m, to);
        if (shared && fn->split) {
            lower_share(fn, *out, loop_int(m, (to - from) / width), &low, &high);
            low = loop_add(m, loop_int(m, from), loop_mul(m, low, loop_int(m, width)));
            high = loop_add(m, loop_int(m, from), loop_mul(m, high, loop_int(m, width)));
        }
        LStmt *loop = loop_for(m, fn->fn, *out, name, low, high, width);
        *at = loop_var(m, fn->fn, loop->var);
        *out = &loop->body;
    } else {
        *at = loop_int(m, from);
        if (shared && fn->split) *out = lower_first_thread(fn, *out, false);
    }
    return to;
}

static void sum_columns(RowOp *op, LBlock *out, LExpr *row, int rows, int64_t columns) {
    int lanes = op->fn->lower->lanes;
    const int vectors[] = {TILE_VECTORS, 1, 1}, widths[] = {lanes, lanes, 1};
    int64_t done = 0;
    bool shared = op->value->uses.count != 2;
    for (int level = lanes > 1 ? 0 : 2; level < 3 && done < columns; level++) {
        Tile tile = {.row = row, .rows = rows, .vectors = vectors[level], .lanes = widths[level]};
        int64_t width = (int64_t)tile.vectors * tile.lanes;
        if (columns - done < width) continue;
        LBlock *body = out;
        done = blocks(op, &body, "i", done, columns, width, shared, &tile.column);
        sum_tile(op, body, &tile);
    }
}

/* Threads have elements of their own. */
static LBlock *sum_region(RowOp *op) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    const Value *value = op->value;
    if (value->op != OP_TSUM || !schedule_over_batch(value) || !lower_may_thread(fn))
        return op->out;
    LExpr *rows =
        loop_mul(m, fn->longest[fn->lower->graph->indices.at[value->attr->index].axis], fn->batch);
    return lower_rows_region(fn, op->out, loop_mul(m, rows, loop_int(m, value->count / 5 + 1)));
}

void row_sum(RowOp *op) {
    const Value *value = op->value;
    bool outer = value->uses.count == 2;
    int64_t rows = outer ? value->type.shape.dim[0] : 1;
    int64_t columns = outer ? value->type.shape.dim[1] : value->count, done = 0;
    LBlock *out = sum_region(op);
    for (int height = outer ? TILE_ROWS : 1; height > 0 && done < rows; height -= TILE_ROWS - 1) {
        if (rows - done < height) continue;
        LBlock *body = out;
        LExpr *row;
        done = blocks(op, &body, "r", done, rows, height, outer, &row);
        sum_columns(op, body, row, height, columns);
    }
    if (out != op->out) lower_end_region(op->fn);
}
