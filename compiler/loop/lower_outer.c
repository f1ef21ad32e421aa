/* Sums of outer products over all positions of all sequences: the gradients of matrices. One
 * product of matrices for all that read the same vectors as columns:
 *
 *   blocks of positions, their rows listed (sequences may be shorter than others)
 *     groups of panels of columns, packed once, that the second cache holds: [panel][row][vectors]
 *       each matrix: rows of a tile, whose lines stay in the first cache
 *         each panel: a tile of rows × vectors stays in registers while the positions go by
 *
 * One chain for each element, in the order of the list, that goes on from block to block. So
 * blocks, tiles, lanes and what is grouped decide no bits. What nobody reads but the caller starts
 * from zero with the first block, and is added to the caller's array with the last. */
#include "loop/lower_outer.h"

enum { TILE_ROWS = 6, MOST_VECTORS = 4, BLOCK_ROWS = 256, LINE = 16, GROUP_BYTES = 512 << 10 };

/* A panel from `column` on: whole vectors, or with `tail` one that has so many elements. */
typedef struct Columns {
    LExpr *column, *slot; /* slot: of the group */
    int vectors, tail;
} Columns;

bool outer_is(const Value *value) {
    return value->live && value->kind == VALUE_ROW && value->op == OP_TSUM && value->over_batch &&
           value->uses.count == 2;
}

static bool can_list(Fn *fn, const Value *value) {
    return outer_is(value) && lower_flat_use(fn, &value->uses.at[0], value->attr->index) &&
           lower_flat_use(fn, &value->uses.at[1], value->attr->index);
}

typedef struct ReaderScan {
    const Value *value;
    bool read;
} ReaderScan;

static void note_read(void *user, const Use *use, bool boundary) {
    ReaderScan *scan = user;
    (void)boundary;
    scan->read = scan->read || use->value == scan->value->id;
}

/* The parameter whose gradient a value is, where nobody else reads it; or -1. */
static int only_gradient(const Fn *fn, const Value *value) {
    const Schedule *schedule = fn->lower->schedule;
    int param = -1, ports = 0;
    for (int o = 0; o < schedule->outputs.count; o++) {
        if (schedule->outputs.at[o] != value->id) continue;
        const GraphPort *port = &fn->lower->graph->outputs.at[o];
        ports++;
        if (port->kind == PORT_PARAM_GRAD) param = port->of;
    }
    ReaderScan scan = {value, false};
    for (int i = 0; i < schedule->values.count && !scan.read; i++)
        if (schedule->values.at[i]->live)
            schedule_uses(schedule, schedule->values.at[i], note_read, &scan);
    for (int s = 0; s < schedule->stops.count; s++)
        scan.read = scan.read || schedule->stops.at[s] == value->id;
    return ports == 1 && !scan.read ? param : -1;
}

/* Sums that are nothing but gradients. */
static void find_added(Fn *fn) {
    const Lower *lower = fn->lower;
    if (lower->kind != SEQUENCE_GRAD || !fn->sequence) return;
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        int param = can_list(fn, value) ? only_gradient(fn, value) : -1;
        if (param >= 0) fn->added[i] = 1 + lower->interface_->param_offsets.at[param];
    }
}

static int vectors_of(const Lower *lower) {
    return lower->module->target.registers >= 32 ? MOST_VECTORS : 2;
}

/* Numbers of a row of a panel: whole lines, and no more than the widest sum has columns. */
static int64_t most_columns(const Lower *lower) {
    int64_t most = 0;
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        if (outer_is(value) && value->type.shape.dim[1] > most) most = value->type.shape.dim[1];
    }
    return most;
}

static int64_t panel_width(const Lower *lower) {
    int64_t width = (int64_t)vectors_of(lower) * lower->lanes, most = most_columns(lower);
    if (most < width) width = most;
    return (width + LINE - 1) / LINE * LINE;
}

/* Tests of small models have several blocks, too, and several groups of panels. */
int64_t outer_block_rows(const Lower *lower) {
    return lower->options.eager ? LINE : BLOCK_ROWS;
}

/* Panels of a group: what is left of whole ones, and of whole vectors, has panels of its own. */
static int64_t group_panels(const Lower *lower) {
    int64_t width = panel_width(lower), panels = most_columns(lower) / width + 2;
    int64_t fit = GROUP_BYTES / (BLOCK_ROWS * width * loop_type_size(lower->real));
    if (lower->options.eager) fit = 2;
    return panels < fit ? panels : fit;
}

static Size panel_floats(const Lower *lower) {
    Size rows = size_plus(size_symbol(0), size_constant(outer_block_rows(lower)));
    return size_times(rows, size_constant(panel_width(lower)));
}

/* A line for each sequence, so that lines stay whole. */
static Size list_length(const Lower *lower) {
    Size rows = size_constant(outer_block_rows(lower));
    return size_plus(size_times(size_symbol(0), size_constant(8)), rows);
}

/* As many rows as a block has, or one position of the batch, for each thread. */
static void place_panels(Fn *fn, int work_argument, Size threads, Size *bytes) {
    Lower *lower = fn->lower;
    Size floats =
        size_times(size_times(panel_floats(lower), threads), size_constant(group_panels(lower)));
    fn->panel = loop_buffer(lower->module, fn->fn,
                            (LBuffer){.name = name_of(lower->names, "panel"),
                                      .type = lower->real,
                                      .base = LB_ARG,
                                      .arg = work_argument,
                                      .offset = lower_offset(fn, *bytes),
                                      .count = size_expr(fn, floats),
                                      .align = 64,
                                      .written = true,
                                      .layout = "[panel][row][vectors]"});
    *bytes = size_plus(*bytes, size_times(floats, size_constant(loop_type_size(lower->real))));
}

void lower_place_outer(Fn *fn, int work_argument, Size *bytes) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    bool any = false, tiled = false;
    for (int i = 0; i < lower->schedule->values.count && !fn->step; i++) {
        const Value *value = lower->schedule->values.at[i];
        any = any || outer_is(value);
        tiled = tiled || (outer_is(value) && !outer_by_gemm(lower, value));
    }
    if (!any) return;
    Size threads = size_constant(lower->options.threads > 1 ? lower->options.threads : 1);
    outer_place_rows(fn, work_argument, bytes);
    if (tiled) place_panels(fn, work_argument, threads, bytes);
    Size listed = size_times(list_length(lower), threads);
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
    find_added(fn);
}

LExpr *outer_element(Outer *o, LBlock *out, const Value *value, int use, const Row *row,
                     LExpr *index, int lanes) {
    return lower_element(o->fn, out, value, &value->uses.at[use], row, index, lanes, WANT_REAL);
}

/* The row of number k in the list. */
Row outer_listed(Outer *o, LBlock *out, LExpr *k) {
    LoopModule *m = o->fn->lower->module;
    LExpr *flat = loop_load(m, o->fn->fn, o->fn->panel_rows, loop_add(m, o->list, k), 1, false);
    return (Row){.b = loop_int(m, 0),
                 .flat = lower_let(o->fn, out, "row", flat),
                 .flat_index = o->first->attr->index};
}

/* The positions from `begin` below `end` that are in the range of their sequence. */
void outer_list_rows(Outer *o, LBlock *out, LExpr *begin, LExpr *end) {
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

/* Where a panel of the group begins. */
static LExpr *panel_start(Outer *o, LBlock *out, const Columns *panel) {
    LoopModule *m = o->fn->lower->module;
    LExpr *room = size_expr(o->fn, panel_floats(o->fn->lower));
    return lower_let(o->fn, out, "start", loop_add(m, o->panel, loop_mul(m, panel->slot, room)));
}

/* Behind the last element of a tail: zeros. */
static void pack_panel(Outer *o, LBlock *out, const Columns *panel) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    LExpr *start = panel_start(o, out, panel);
    LStmt *rows = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, rows->var);
    Row row = outer_listed(o, &rows->body, k);
    LExpr *to = loop_add(m, start, loop_mul(m, k, loop_int(m, panel_width(fn->lower))));
    to = lower_let(fn, &rows->body, "to", to);
    for (int v = 0; v < panel->vectors && !panel->tail; v++) {
        LExpr *shift = loop_int(m, (int64_t)v * o->lanes);
        LExpr *x = outer_element(o, &rows->body, o->first, 1, &row,
                                 loop_add(m, panel->column, shift), o->lanes);
        loop_store(m, &rows->body, fn->panel, loop_add(m, to, shift), x, o->lanes > 1);
    }
    if (!panel->tail) return;
    LStmt *all = loop_for(m, fn->fn, &rows->body, "l", loop_int(m, 0), loop_int(m, panel->tail), 1);
    LExpr *l = loop_var(m, fn->fn, all->var);
    LExpr *x = outer_element(o, &all->body, o->first, 1, &row, loop_add(m, panel->column, l), 1);
    loop_store(m, &all->body, fn->panel, loop_add(m, to, l), x, false);
    LStmt *rest =
        loop_for(m, fn->fn, &rows->body, "l", loop_int(m, panel->tail), loop_int(m, o->lanes), 1);
    loop_store(m, &rest->body, fn->panel, loop_add(m, to, loop_var(m, fn->fn, rest->var)),
               lower_real(fn->lower, 0, 1), false);
}

typedef struct Tile {
    const Value *value;
    int rows, vectors, tail;
    LExpr *own; /* where it begins in the value */
    int sums[TILE_ROWS * MOST_VECTORS];
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

static void add_rows(Outer *o, LBlock *out, Tile *tile, const Columns *panel, LExpr *first) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    LExpr *start = panel_start(o, out, panel);
    LStmt *over = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, over->var), *x[MOST_VECTORS];
    Row row = outer_listed(o, &over->body, k);
    LExpr *from = loop_add(m, start, loop_mul(m, k, loop_int(m, panel_width(fn->lower))));
    for (int v = 0; v < tile->vectors; v++)
        x[v] = lower_let(fn, &over->body, "x",
                         loop_load(m, fn->fn, fn->panel,
                                   loop_add(m, from, loop_int(m, (int64_t)v * o->lanes)), o->lanes,
                                   o->lanes > 1));
    for (int r = 0; r < tile->rows; r++) {
        LExpr *f = outer_element(o, &over->body, tile->value, 0, &row,
                                 loop_add(m, first, loop_int(m, r)), 1);
        f = lower_let(fn, &over->body, "f", loop_splat(m, f, o->lanes));
        for (int v = 0; v < tile->vectors; v++) {
            int sum = tile->sums[r * tile->vectors + v];
            loop_set(m, &over->body, sum, loop_op(m, SOP_FMA, f, x[v], loop_var(m, fn->fn, sum)));
        }
    }
}

static void tile(Outer *o, LBlock *out, const Value *value, LExpr *first, int rows,
                 const Columns *panel) {
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
    add_rows(o, out, &t, panel, first);
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

/* The panels of a group: `whole` ones from `column` on, in a loop, and up to two others. */
typedef struct Group {
    LExpr *column, *count;
    Columns rest[2];
    int rests;
} Group;

/* In the body of a loop over the whole panels of a group: the one of this turn. */
static LBlock *each_panel(Outer *o, LBlock *out, const Group *group, Columns *panel) {
    LoopModule *m = o->fn->lower->module;
    LStmt *over = loop_for(m, o->fn->fn, out, "p", loop_int(m, 0), group->count, 1);
    LExpr *p = loop_var(m, o->fn->fn, over->var);
    LExpr *shift = loop_mul(m, p, loop_int(m, (int64_t)o->vectors * o->lanes));
    *panel = (Columns){loop_add(m, group->column, shift), p, o->vectors, 0};
    return &over->body;
}

static bool has_whole(const Group *group) {
    return group->count->kind != LE_INT || group->count->integer > 0;
}

static void tile_row(Outer *o, LBlock *out, const Value *value, LExpr *first, int rows,
                     const Group *group) {
    Columns panel;
    if (has_whole(group)) {
        LBlock *body = each_panel(o, out, group, &panel);
        tile(o, body, value, first, rows, &panel);
    }
    for (int i = 0; i < group->rests; i++) tile(o, out, value, first, rows, &group->rest[i]);
}

static void tiles(Outer *o, LBlock *out, const Group *group) {
    LoopModule *m = o->fn->lower->module;
    Columns panel;
    if (has_whole(group)) {
        LBlock *body = each_panel(o, out, group, &panel);
        pack_panel(o, body, &panel);
    }
    for (int i = 0; i < group->rests; i++) pack_panel(o, out, &group->rest[i]);
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
            tile_row(o, &over->body, value, loop_var(m, o->fn->fn, over->var), TILE_ROWS, group);
        }
        if (rows > whole)
            tile_row(o, lower_first_thread(o->fn, out, false), value, loop_int(m, whole),
                     (int)(rows - whole), group);
    }
}

static void panels(Outer *o, LBlock *out) {
    LoopModule *m = o->fn->lower->module;
    int64_t columns = o->first->type.shape.dim[1], width = (int64_t)o->vectors * o->lanes;
    int64_t whole = columns / width, most = group_panels(o->fn->lower);
    int rest = (int)((columns - whole * width) / o->lanes), tail = (int)(columns % o->lanes);
    Group last = {.column = loop_int(m, 0), .count = loop_int(m, whole)};
    if (rest) last.rest[last.rests++] = (Columns){loop_int(m, whole * width), NULL, rest, 0};
    if (tail) last.rest[last.rests++] = (Columns){loop_int(m, columns - tail), NULL, 1, tail};
    if (whole + last.rests > most) { /* all whole ones in groups, what is left of them alone */
        LStmt *over = loop_for(m, o->fn->fn, out, "i", loop_int(m, 0), loop_int(m, whole), most);
        LExpr *i = loop_var(m, o->fn->fn, over->var);
        LExpr *count = loop_min(m, loop_int(m, most), loop_sub(m, loop_int(m, whole), i));
        Group group = {.column = loop_mul(m, i, loop_int(m, width)),
                       .count = lower_let(o->fn, &over->body, "panels", count)};
        tiles(o, &over->body, &group);
        last.count = loop_int(m, whole = 0);
    }
    for (int i = 0; i < last.rests; i++) last.rest[i].slot = loop_int(m, whole + i);
    if (whole + last.rests > 0) tiles(o, out, &last);
}

static void clear(Outer *o, LBlock *out) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    for (int i = 0; i < o->values.count; i++) {
        const Value *value = o->values.at[i];
        if (fn->added[value->id]) continue;
        LStmt *all = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, value->count), 1);
        lower_store(fn, &all->body, value, o->row, loop_var(m, fn->fn, all->var),
                    lower_real(fn->lower, 0, 1));
    }
}

static bool together(const Fn *fn, const Value *a, const Value *b) {
    const Schedule *schedule = fn->lower->schedule;
    const Attr *x = a->attr, *y = b->attr;
    return a->stage == b->stage && outer_by_gemm(fn->lower, a) == outer_by_gemm(fn->lower, b) &&
           lower_wanted(fn, &a->id, 1) == lower_wanted(fn, &b->id, 1) &&
           schedule_same_use(schedule, a->uses.at[1], b->uses.at[1]) && x->index == y->index &&
           x->mirrored == y->mirrored && memcmp(&x->low, &y->low, sizeof x->low) == 0 &&
           memcmp(&x->high, &y->high, sizeof x->high) == 0;
}

/* Each thread has rows of the results, and a panel and a list of its own; so there are no more than
 * panels. */
LBlock *outer_region(Outer *o, LBlock *out) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    out = lower_region(fn, out);
    LExpr *most = loop_int(m, fn->lower->options.threads);
    fn->threads = lower_let(fn, out, "busy", loop_min(m, fn->threads, most));
    out = &loop_if(m, out, loop_op(m, SOP_LT, fn->thread, fn->threads, NULL))->body;
    Size group = size_times(panel_floats(fn->lower), size_constant(group_panels(fn->lower)));
    LExpr *floats = size_expr(fn, group), *listed = size_expr(fn, list_length(fn->lower));
    o->panel = lower_let(fn, out, "own", loop_mul(m, fn->thread, floats));
    o->list = lower_let(fn, out, "list", loop_mul(m, fn->thread, listed));
    return out;
}

LBlock *outer_blocks(Outer *o, LBlock *out, LExpr **begin, LExpr **end) {
    Fn *fn = o->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *longest = fn->longest[lower->graph->indices.at[o->first->attr->index].axis];
    LExpr *most = loop_op(m, SOP_DIV, loop_int(m, outer_block_rows(lower)), fn->batch, NULL);
    most = lower_let(fn, out, "most", lower_op(lower, SOP_MAX, most, loop_int(m, 1)));
    LExpr *blocks =
        loop_op(m, SOP_DIV, loop_add(m, longest, loop_sub(m, most, loop_int(m, 1))), most, NULL);
    LStmt *over = loop_for(m, fn->fn, out, "n", loop_int(m, 0), blocks, 1);
    *begin = loop_mul(m, loop_var(m, fn->fn, over->var), most);
    *begin = lower_let(fn, &over->body, "begin", *begin);
    *end = loop_min(m, loop_add(m, *begin, most), longest);
    *end = lower_let(fn, &over->body, "end", *end);
    o->goes_on = loop_op(m, SOP_NE, *begin, loop_int(m, 0), NULL);
    o->ends = loop_op(m, SOP_EQ, *end, longest, NULL);
    o->count = loop_mutable(m, fn->fn, &over->body, "count", loop_int(m, 0));
    return &over->body;
}

bool row_outer(RowOp *op, const Block *block) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    if (fn->step || fn->panel_rows < 0 || !can_list(fn, op->value)) return false;
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
    o.panel = o.list = loop_int(m, 0);
    if (outer_by_gemm(lower, o.first)) {
        lower_remark_outer(fn, o.values.at, o.values.count, 0, 0);
        clear(&o, op->out);
        outer_gemm(&o, op->out);
        return true;
    }
    lower_remark_outer(fn, o.values.at, o.values.count, TILE_ROWS, o.vectors);
    if (o.first->type.shape.dim[1] % o.lanes)
        o.local = loop_buffer(m, fn->fn,
                              (LBuffer){.name = name_of(lower->names, "tail"),
                                        .type = lower->real,
                                        .base = LB_LOCAL,
                                        .count = loop_int(m, (int64_t)TILE_ROWS * o.lanes),
                                        .align = 64,
                                        .written = true,
                                        .layout = "[row][lanes]"});
    clear(&o, op->out);
    bool region = lower_may_thread(fn);
    LBlock *out = op->out;
    if (region) out = outer_region(&o, out);
    LExpr *begin, *end;
    out = outer_blocks(&o, out, &begin, &end);
    outer_list_rows(&o, out, begin, end);
    panels(&o, out);
    if (region) lower_end_region(fn);
    return true;
}
