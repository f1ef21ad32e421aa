/* Sums of outer products over all positions of all sequences: the gradients of matrices. One
 * product of matrices for all that read the same vectors as columns:
 *
 *   blocks of positions, their rows listed (sequences may be shorter than others)
 *     panels of columns, packed once: [row][vectors]
 *       each matrix: tiles of rows × vectors, which stay in registers while the rows go by
 *
 * One chain for each element, in the order of the list; the length of a block depends on the batch
 * alone. So tiles, lanes and what is grouped decide no bits. */
#include "loop/lower_row.h"

enum { TILE_ROWS = 6, MOST_VECTORS = 4, BLOCK_ROWS = 256, LINE = 16 };

typedef struct Outer {
    Fn *fn;
    const Value *first; /* whose columns and positions all have */
    VEC(const Value *) values;
    const Row *row;
    int vectors, lanes;  /* of a panel */
    int count;           /* rows of the block: a variable */
    int local;           /* for what is left of a vector, or -1 */
    LExpr *panel, *list; /* where those of this thread begin */
} Outer;

static bool is_outer(const Value *value) {
    return value->live && value->kind == VALUE_ROW && value->op == OP_TSUM && value->over_batch &&
           value->uses.count == 2;
}

static bool can_list(Fn *fn, const Value *value) {
    return is_outer(value) && lower_flat_use(fn, &value->uses.at[0], value->attr->index) &&
           lower_flat_use(fn, &value->uses.at[1], value->attr->index);
}

static int vectors_of(const Lower *lower) {
    return lower->module->target.registers >= 32 ? MOST_VECTORS : 2;
}

/* Numbers of a row of a panel: whole lines, and no more than the widest sum has columns. */
static int64_t panel_width(const Lower *lower) {
    int64_t width = (int64_t)vectors_of(lower) * lower->lanes, most = 0;
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        if (is_outer(value) && value->type.shape.dim[1] > most) most = value->type.shape.dim[1];
    }
    if (most < width) width = most;
    return (width + LINE - 1) / LINE * LINE;
}

void lower_place_outer(Fn *fn, int work_argument, Size *bytes) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    bool any = false;
    for (int i = 0; i < lower->schedule->values.count && !fn->step; i++)
        any = any || is_outer(lower->schedule->values.at[i]);
    if (!any) return;
    /* At most BLOCK_ROWS, or one position of the batch, for each thread. */
    Size rows = size_plus(size_symbol(0), size_constant(BLOCK_ROWS));
    int64_t threads = lower->options.threads > 1 ? lower->options.threads : 1;
    Size floats = size_times(rows, size_constant(panel_width(lower) * threads));
    fn->panel = loop_buffer(m, fn->fn,
                            (LBuffer){.name = name_of(lower->names, "panel"),
                                      .type = lower->real,
                                      .base = LB_ARG,
                                      .arg = work_argument,
                                      .offset = lower_offset(fn, *bytes),
                                      .count = size_expr(fn, floats),
                                      .align = 64,
                                      .written = true,
                                      .layout = "[row][vectors]"});
    *bytes = size_plus(*bytes, size_times(floats, size_constant(loop_type_size(lower->real))));
    /* A line for each sequence, so that lines stay whole. */
    Size listed = size_times(
        size_plus(size_times(size_symbol(0), size_constant(8)), size_constant(BLOCK_ROWS)),
        size_constant(threads));
    fn->panel_rows = loop_buffer(m, fn->fn,
                                 (LBuffer){.name = name_of(lower->names, "row"),
                                           .type = LT_I64,
                                           .base = LB_ARG,
                                           .arg = work_argument,
                                           .offset = lower_offset(fn, *bytes),
                                           .count = size_expr(fn, listed),
                                           .align = 64,
                                           .written = true,
                                           .layout = "position * batch + sequence"});
    *bytes = size_plus(*bytes, size_times(listed, size_constant(8)));
}

static LExpr *element(Outer *o, LBlock *out, const Value *value, int use, const Row *row,
                      LExpr *index, int lanes) {
    return lower_element(o->fn, out, value, &value->uses.at[use], row, index, lanes, WANT_REAL);
}

/* The row of number k in the list. */
static Row listed(Outer *o, LBlock *out, LExpr *k) {
    LoopModule *m = o->fn->lower->module;
    LExpr *flat = loop_load(m, o->fn->fn, o->fn->panel_rows, loop_add(m, o->list, k), 1, false);
    return (Row){.b = loop_int(m, 0),
                 .flat = lower_let(o->fn, out, "row", flat),
                 .flat_index = o->first->attr->index};
}

/* The positions from `begin` below `end` that are in the range of their sequence. */
static void list_rows(Outer *o, LBlock *out, LExpr *begin, LExpr *end) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    LStmt *over = loop_for(m, fn->fn, out, "t", begin, end, 1);
    LExpr *t = loop_var(m, fn->fn, over->var);
    LStmt *each = loop_for(m, fn->fn, &over->body, "b", loop_int(m, 0), fn->batch, 1);
    Row row = {.b = loop_var(m, fn->fn, each->var)};
    RowOp at = {fn, &each->body, o->first, &row};
    LExpr *low, *high;
    row_range(&at, &each->body, &low, &high);
    LExpr *inside = loop_op(m, SOP_MAND, loop_op(m, SOP_GE, t, low, NULL),
                            loop_op(m, SOP_LT, t, high, NULL), NULL);
    LBlock *body = &loop_if(m, &each->body, inside)->body;
    LExpr *position = t;
    if (o->first->attr->mirrored)
        position = loop_sub(m, loop_sub(m, loop_add(m, low, high), loop_int(m, 1)), t);
    LExpr *count = loop_var(m, fn->fn, o->count);
    loop_store(m, body, fn->panel_rows, loop_add(m, o->list, count),
               loop_add(m, loop_mul(m, position, fn->batch), row.b), false);
    loop_set(m, body, o->count, loop_add(m, count, loop_int(m, 1)));
}

/* `vectors` whole ones from `column` on, or with `tail` one that has so many elements, and zeros.
 */
static void pack_panel(Outer *o, LBlock *out, LExpr *column, int vectors, int tail) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    LStmt *rows = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, rows->var);
    Row row = listed(o, &rows->body, k);
    LExpr *to = loop_add(m, o->panel, loop_mul(m, k, loop_int(m, panel_width(fn->lower))));
    to = lower_let(fn, &rows->body, "to", to);
    for (int v = 0; v < vectors && !tail; v++) {
        LExpr *shift = loop_int(m, (int64_t)v * o->lanes);
        LExpr *x = element(o, &rows->body, o->first, 1, &row, loop_add(m, column, shift), o->lanes);
        loop_store(m, &rows->body, fn->panel, loop_add(m, to, shift), x, o->lanes > 1);
    }
    if (!tail) return;
    LStmt *all = loop_for(m, fn->fn, &rows->body, "l", loop_int(m, 0), loop_int(m, tail), 1);
    LExpr *l = loop_var(m, fn->fn, all->var);
    LExpr *x = element(o, &all->body, o->first, 1, &row, loop_add(m, column, l), 1);
    loop_store(m, &all->body, fn->panel, loop_add(m, to, l), x, false);
    LStmt *rest =
        loop_for(m, fn->fn, &rows->body, "l", loop_int(m, tail), loop_int(m, o->lanes), 1);
    loop_store(m, &rest->body, fn->panel, loop_add(m, to, loop_var(m, fn->fn, rest->var)),
               lower_real(fn->lower, 0, 1), false);
}

/* Between the result and a local vector a row. */
static void move_tail(Outer *o, LBlock *out, const Value *value, LExpr *to, int rows, int tail,
                      bool in) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int64_t columns = value->type.shape.dim[1];
    int buffer = fn->places[value->id].buffer;
    LStmt *each = loop_for(m, fn->fn, out, "r", loop_int(m, 0), loop_int(m, rows), 1);
    LExpr *r = loop_var(m, fn->fn, each->var);
    LStmt *all =
        loop_for(m, fn->fn, &each->body, "l", loop_int(m, 0), loop_int(m, in ? o->lanes : tail), 1);
    LExpr *l = loop_var(m, fn->fn, all->var);
    LExpr *own = loop_add(m, loop_mul(m, r, loop_int(m, o->lanes)), l);
    LExpr *there = loop_add(m, to, loop_add(m, loop_mul(m, r, loop_int(m, columns)), l));
    if (!in) {
        loop_store(m, &all->body, buffer, there, loop_load(m, fn->fn, o->local, own, 1, false),
                   false);
        return;
    }
    LStmt *test = loop_if(m, &all->body, loop_op(m, SOP_LT, l, loop_int(m, tail), NULL));
    loop_store(m, &test->body, o->local, own, loop_load(m, fn->fn, buffer, there, 1, false), false);
    loop_store(m, &test->otherwise, o->local, own, lower_real(fn->lower, 0, 1), false);
}

static void tile(Outer *o, LBlock *out, const Value *value, LExpr *first, int rows, LExpr *column,
                 int vectors, int tail) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    int64_t columns = value->type.shape.dim[1];
    int buffer = fn->places[value->id].buffer, sums[TILE_ROWS * MOST_VECTORS];
    LExpr *to = loop_add(m, loop_mul(m, first, loop_int(m, columns)), column);
    to = lower_let(fn, out, "to", loop_add(m, lower_row(fn, value, value, -1, o->row), to));
    if (tail) move_tail(o, out, value, to, rows, tail, true);
    for (int i = 0; i < rows * vectors; i++) {
        int64_t r = i / vectors, v = i % vectors;
        LExpr *at = loop_add(m, to, loop_int(m, r * columns + v * o->lanes));
        LExpr *e = tail ? loop_load(m, fn->fn, o->local, loop_int(m, r * o->lanes), o->lanes, true)
                        : loop_load(m, fn->fn, buffer, at, o->lanes, false);
        sums[i] = loop_mutable(m, fn->fn, out, "sum", e);
    }
    LStmt *over = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, over->var), *x[MOST_VECTORS];
    Row row = listed(o, &over->body, k);
    LExpr *from = loop_add(m, o->panel, loop_mul(m, k, loop_int(m, panel_width(fn->lower))));
    for (int v = 0; v < vectors; v++)
        x[v] = lower_let(fn, &over->body, "x",
                         loop_load(m, fn->fn, fn->panel,
                                   loop_add(m, from, loop_int(m, (int64_t)v * o->lanes)), o->lanes,
                                   o->lanes > 1));
    for (int r = 0; r < rows; r++) {
        LExpr *f = element(o, &over->body, value, 0, &row, loop_add(m, first, loop_int(m, r)), 1);
        f = lower_let(fn, &over->body, "f", loop_splat(m, f, o->lanes));
        for (int v = 0; v < vectors; v++)
            loop_set(m, &over->body, sums[r * vectors + v],
                     loop_op(m, SOP_FMA, f, x[v], loop_var(m, fn->fn, sums[r * vectors + v])));
    }
    for (int i = 0; i < rows * vectors; i++) {
        int64_t r = i / vectors, v = i % vectors;
        LExpr *at = loop_add(m, to, loop_int(m, r * columns + v * o->lanes));
        loop_store(m, out, tail ? o->local : buffer, tail ? loop_int(m, r * o->lanes) : at,
                   loop_var(m, fn->fn, sums[i]), tail > 0);
    }
    if (tail) move_tail(o, out, value, to, rows, tail, false);
}

static void tiles(Outer *o, LBlock *out, LExpr *column, int vectors, int tail) {
    LoopModule *m = o->fn->lower->module;
    pack_panel(o, out, column, vectors, tail);
    for (int i = 0; i < o->values.count; i++) {
        const Value *value = o->values.at[i];
        int64_t rows = value->type.shape.dim[0], count = rows / TILE_ROWS;
        int64_t whole = count * TILE_ROWS;
        lower_at(o->fn->lower, value->span);
        if (whole) {
            LExpr *low, *high, *each = loop_int(m, TILE_ROWS);
            lower_share(o->fn, out, count, &low, &high);
            LStmt *over = loop_for(m, o->fn->fn, out, "r", loop_mul(m, low, each),
                                   loop_mul(m, high, each), TILE_ROWS);
            tile(o, &over->body, value, loop_var(m, o->fn->fn, over->var), TILE_ROWS, column,
                 vectors, tail);
        }
        if (rows > whole)
            tile(o, lower_first_thread(o->fn, out, false), value, loop_int(m, whole),
                 (int)(rows - whole), column, vectors, tail);
    }
}

static void panels(Outer *o, LBlock *out) {
    LoopModule *m = o->fn->lower->module;
    int64_t columns = o->first->type.shape.dim[1], width = (int64_t)o->vectors * o->lanes;
    int64_t whole = columns / width * width;
    if (whole) {
        LStmt *over = loop_for(m, o->fn->fn, out, "i", loop_int(m, 0), loop_int(m, whole), width);
        tiles(o, &over->body, loop_var(m, o->fn->fn, over->var), o->vectors, 0);
    }
    int rest = (int)((columns - whole) / o->lanes), tail = (int)(columns % o->lanes);
    if (rest) tiles(o, out, loop_int(m, whole), rest, 0);
    if (tail) tiles(o, out, loop_int(m, columns - tail), 1, tail);
}

static void clear(Outer *o, LBlock *out) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    for (int i = 0; i < o->values.count; i++) {
        const Value *value = o->values.at[i];
        LStmt *all = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, value->count), 1);
        lower_store(fn, &all->body, value, o->row, loop_var(m, fn->fn, all->var),
                    lower_real(fn->lower, 0, 1));
    }
}

static bool together(const Fn *fn, const Value *a, const Value *b) {
    const Schedule *schedule = fn->lower->schedule;
    const Attr *x = a->attr, *y = b->attr;
    return a->stage == b->stage && lower_wanted(fn, &a->id, 1) == lower_wanted(fn, &b->id, 1) &&
           schedule_same_use(schedule, a->uses.at[1], b->uses.at[1]) && x->index == y->index &&
           x->mirrored == y->mirrored && memcmp(&x->low, &y->low, sizeof x->low) == 0 &&
           memcmp(&x->high, &y->high, sizeof x->high) == 0;
}

/* Each thread has rows of the results, and a panel and a list of its own; so there are no more than
 * panels. */
static LBlock *threads_of_panels(Outer *o, LBlock *out) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    out = lower_region(fn, out);
    LExpr *most = loop_int(m, fn->lower->options.threads);
    fn->threads = lower_let(fn, out, "busy", loop_min(m, fn->threads, most));
    out = &loop_if(m, out, loop_op(m, SOP_LT, fn->thread, fn->threads, NULL))->body;
    Size rows = size_plus(size_symbol(0), size_constant(BLOCK_ROWS));
    LExpr *floats = size_expr(fn, size_times(rows, size_constant(panel_width(fn->lower))));
    LExpr *listed = size_expr(
        fn, size_plus(size_times(size_symbol(0), size_constant(8)), size_constant(BLOCK_ROWS)));
    o->panel = lower_let(fn, out, "own", loop_mul(m, fn->thread, floats));
    o->list = lower_let(fn, out, "list", loop_mul(m, fn->thread, listed));
    return out;
}

bool row_outer(RowOp *op, const Block *block) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    if (fn->step || fn->panel < 0 || !can_list(fn, op->value)) return false;
    if (fn->summed[op->value->id]) return true;
    Outer o = {.fn = fn,
               .first = op->value,
               .row = op->row,
               .vectors = vectors_of(lower),
               .lanes = lower->lanes,
               .local = -1};
    for (int i = 0; i < block->prologues.count; i++) {
        const Value *value = lower->schedule->values.at[block->prologues.at[i]];
        if (!can_list(fn, value) || !together(fn, value, op->value)) continue;
        vec_push(lower->arena, &o.values, value);
        fn->summed[value->id] = true;
    }
    if (o.first->type.shape.dim[1] % o.lanes)
        o.local = loop_buffer(m, fn->fn,
                              (LBuffer){.name = name_of(lower->names, "tail"),
                                        .type = lower->real,
                                        .base = LB_LOCAL,
                                        .count = loop_int(m, (int64_t)TILE_ROWS * o.lanes),
                                        .align = 64,
                                        .written = true,
                                        .layout = "[row][lanes]"});
    int axis = lower->graph->indices.at[o.first->attr->index].axis;
    LExpr *longest = fn->longest[axis];
    clear(&o, op->out);
    bool region = lower_may_thread(fn);
    LBlock *out = op->out;
    o.panel = o.list = loop_int(m, 0);
    if (region) out = threads_of_panels(&o, out);
    LExpr *most = loop_op(m, SOP_DIV, loop_int(m, BLOCK_ROWS), fn->batch, NULL);
    most = lower_let(fn, out, "most", lower_op(lower, SOP_MAX, most, loop_int(m, 1)));
    LExpr *blocks =
        loop_op(m, SOP_DIV, loop_add(m, longest, loop_sub(m, most, loop_int(m, 1))), most, NULL);
    LStmt *over = loop_for(m, fn->fn, out, "n", loop_int(m, 0), blocks, 1);
    LExpr *begin = loop_mul(m, loop_var(m, fn->fn, over->var), most);
    begin = lower_let(fn, &over->body, "begin", begin);
    LExpr *end = loop_min(m, loop_add(m, begin, most), longest);
    o.count = loop_mutable(m, fn->fn, &over->body, "count", loop_int(m, 0));
    list_rows(&o, &over->body, begin, lower_let(fn, &over->body, "end", end));
    panels(&o, &over->body);
    if (region) lower_end_region(fn);
    return true;
}
