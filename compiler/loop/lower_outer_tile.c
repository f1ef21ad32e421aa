/* Tiles of sums of outer products: some rows of a result times the vectors of a panel, which stay
 * in registers while the positions of a block go by. */
#include "loop/lower_outer.h"

enum { VECTOR = 4 }; /* lanes in which the rows of a tile are copied */

typedef struct Tile {
    const Value *value;
    int rows, vectors, tail;
    LExpr *own; /* where it begins in the value */
    int sums[OUTER_ROWS * OUTER_VECTORS];
} Tile;

/* Element l of a tail in row r of a tile. */
typedef struct TailAt {
    LBlock *body;
    LExpr *l, *local, *there; /* there: from the beginning of the tile */
} TailAt;

static TailAt each_of_tail(Outer *o, LBlock *out, const Tile *tile, int64_t count) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int64_t columns = tile->value->type.shape.dim[1];
    LStmt *each = loop_for(m, fn->fn, out, "r", loop_int(m, 0), loop_int(m, tile->rows), 1);
    LExpr *r = loop_var(m, fn->fn, each->var);
    LStmt *all = loop_for(m, fn->fn, &each->body, "l", loop_int(m, 0), loop_int(m, count), 1);
    LExpr *l = loop_var(m, fn->fn, all->var);
    return (TailAt){&all->body, l, loop_add(m, loop_mul(m, r, loop_int(m, o->lanes)), l),
                    loop_add(m, loop_mul(m, r, loop_int(m, columns)), l)};
}

/* What earlier blocks gave, into the sums. */
static void load_tile(Outer *o, LBlock *out, Tile *tile) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int64_t columns = tile->value->type.shape.dim[1];
    int buffer = fn->places[tile->value->id].buffer;
    if (tile->tail) {
        TailAt at = each_of_tail(o, out, tile, o->lanes);
        LStmt *test = loop_if(m, at.body, loop_op(m, SOP_LT, at.l, loop_int(m, tile->tail), NULL));
        LExpr *e = loop_load(m, fn->fn, buffer, loop_add(m, tile->own, at.there), 1, false);
        loop_store(m, &test->body, o->local, at.local, e, false);
        loop_store(m, &test->otherwise, o->local, at.local, lower_real(fn->lower, 0, 1), false);
    }
    for (int i = 0; i < tile->rows * tile->vectors; i++) {
        int64_t r = i / tile->vectors, v = i % tile->vectors;
        LExpr *at = loop_add(m, tile->own, loop_int(m, r * columns + v * o->lanes));
        loop_set(m, out, tile->sums[i],
                 tile->tail
                     ? loop_load(m, fn->fn, o->local, loop_int(m, r * o->lanes), o->lanes, true)
                     : loop_load(m, fn->fn, buffer, at, o->lanes, false));
    }
}

/* buffer[start + …] := the sums, or with `add` what is there and the sums. */
static void store_tile(Outer *o, LBlock *out, const Tile *tile, int buffer, LExpr *start,
                       bool add) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int64_t columns = tile->value->type.shape.dim[1];
    for (int i = 0; i < tile->rows * tile->vectors; i++) {
        int64_t r = i / tile->vectors, v = i % tile->vectors;
        LExpr *sum = loop_var(m, fn->fn, tile->sums[i]);
        if (tile->tail) {
            loop_store(m, out, o->local, loop_int(m, r * o->lanes), sum, true);
            continue;
        }
        LExpr *at = loop_add(m, start, loop_int(m, r * columns + v * o->lanes));
        if (add)
            sum = lower_op(fn->lower, SOP_ADD, loop_load(m, fn->fn, buffer, at, o->lanes, false),
                           sum);
        loop_store(m, out, buffer, at, sum, false);
    }
    if (!tile->tail) return;
    TailAt at = each_of_tail(o, out, tile, tile->tail);
    LExpr *to = lower_let(fn, at.body, "at", loop_add(m, start, at.there));
    LExpr *sum = loop_load(m, fn->fn, o->local, at.local, 1, false);
    if (add) sum = lower_op(fn->lower, SOP_ADD, loop_load(m, fn->fn, buffer, to, 1, false), sum);
    loop_store(m, at.body, buffer, to, sum, false);
}

/* The rows of a tile for all positions of the block, so that tiles of all panels read them in one
 * run. */
void outer_copy_side(Outer *o, LBlock *out, const Value *value, LExpr *first, int rows) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    const Use *use = &value->uses.at[0];
    const Value *source = fn->lower->schedule->values.at[use->value];
    LStmt *over = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, over->var);
    Row row = outer_listed(o, &over->body, k);
    LExpr *to = loop_add(m, o->side, loop_mul(m, k, loop_int(m, OUTER_SIDE)));
    bool plain = source->kind != VALUE_CONST && !schedule_is_leaf(source) &&
                 source->type.dtype == DT_FLOAT && source->count > 1;
    if (!plain || rows < VECTOR || o->lanes < VECTOR) {
        for (int r = 0; r < rows; r++)
            loop_store(m, &over->body, fn->panel_side, loop_add(m, to, loop_int(m, r)),
                       outer_element(o, &over->body, value, 0, &row,
                                     loop_add(m, first, loop_int(m, r)), 1),
                       false);
        return;
    }
    /* Two vectors, which overlap in the middle. */
    const RowPlace *place = lower_place_of(fn, source, use->access);
    LExpr *from = loop_add(m, lower_row(fn, value, source, use->access, &row), first);
    from = lower_let(fn, &over->body, "from", from);
    const int shifts[] = {0, rows - VECTOR};
    for (int i = 0; i < 2; i++) {
        int r = shifts[i];
        LExpr *x =
            loop_load(m, fn->fn, place->buffer, loop_add(m, from, loop_int(m, r)), VECTOR, false);
        loop_store(m, &over->body, fn->panel_side, loop_add(m, to, loop_int(m, r)), x, false);
    }
}

static void add_rows(Outer *o, LBlock *out, Tile *tile, const Columns *panel, LExpr *first,
                     bool copied) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    LExpr *start = outer_panel_start(o, out, panel);
    LStmt *over = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, over->var), *x[OUTER_VECTORS];
    Row row = {0};
    LExpr *side = NULL;
    if (copied)
        side = loop_add(m, o->side, loop_mul(m, k, loop_int(m, OUTER_SIDE)));
    else
        row = outer_listed(o, &over->body, k);
    LExpr *from = loop_add(m, start, loop_mul(m, k, loop_int(m, outer_panel_width(fn->lower))));
    for (int v = 0; v < tile->vectors; v++)
        x[v] = lower_let(fn, &over->body, "x",
                         loop_load(m, fn->fn, fn->panel,
                                   loop_add(m, from, loop_int(m, (int64_t)v * o->lanes)), o->lanes,
                                   o->lanes > 1));
    for (int r = 0; r < tile->rows; r++) {
        LExpr *f = copied ? loop_load(m, fn->fn, fn->panel_side, loop_add(m, side, loop_int(m, r)),
                                      1, false)
                          : outer_element(o, &over->body, tile->value, 0, &row,
                                          loop_add(m, first, loop_int(m, r)), 1);
        f = lower_let(fn, &over->body, "f", loop_splat(m, f, o->lanes));
        for (int v = 0; v < tile->vectors; v++) {
            int sum = tile->sums[r * tile->vectors + v];
            loop_set(m, &over->body, sum, loop_op(m, SOP_FMA, f, x[v], loop_var(m, fn->fn, sum)));
        }
    }
}

void outer_tile(Outer *o, LBlock *out, const Value *value, LExpr *first, int rows,
                const Columns *panel, bool copied) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int64_t added = fn->added[value->id];
    int buffer = fn->places[value->id].buffer;
    Tile t = {.value = value, .rows = rows, .vectors = panel->vectors, .tail = panel->tail};
    LExpr *inside = loop_mul(m, first, loop_int(m, value->type.shape.dim[1]));
    inside = loop_add(m, inside, panel->column);
    t.own = loop_add(m, lower_row(fn, value, value, -1, o->row), inside);
    t.own = lower_let(fn, out, "to", t.own);
    for (int i = 0; i < rows * t.vectors; i++)
        t.sums[i] = loop_mutable(m, fn->fn, out, "sum", lower_real(fn->lower, 0, o->lanes));
    load_tile(o, added ? &loop_if(m, out, o->goes_on)->body : out, &t);
    add_rows(o, out, &t, panel, first, copied);
    if (!added) {
        store_tile(o, out, &t, buffer, t.own, false);
        return;
    }
    LStmt *test = loop_if(m, out, o->ends);
    LExpr *gradient = loop_add(m, loop_int(m, added - 1), inside);
    gradient = lower_let(fn, &test->body, "gradient", gradient);
    store_tile(o, &test->body, &t, lower_gradients_buffer(fn), gradient, true);
    store_tile(o, &test->otherwise, &t, buffer, t.own, false);
}
