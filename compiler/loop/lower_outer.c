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

/* SIDE_PANELS: from which on copying the rows of a tile pays. */
enum { BLOCK_ROWS = 256, LINE = 16, GROUP_BYTES = 512 << 10, SIDE_PANELS = 4 };

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
    return lower->module->target.registers >= 32 ? OUTER_VECTORS : 2;
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

int64_t outer_panel_width(const Lower *lower) {
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
    int64_t width = outer_panel_width(lower), panels = most_columns(lower) / width + 2;
    int64_t fit = GROUP_BYTES / (BLOCK_ROWS * width * loop_type_size(lower->real));
    if (lower->options.eager) fit = 2;
    return panels < fit ? panels : fit;
}

static Size panel_floats(const Lower *lower) {
    Size rows = size_plus(size_symbol(0), size_constant(outer_block_rows(lower)));
    return size_times(rows, size_constant(outer_panel_width(lower)));
}

/* A line for each sequence, so that lines stay whole. */
static Size list_length(const Lower *lower) {
    Size rows = size_constant(outer_block_rows(lower));
    return size_plus(size_times(size_symbol(0), size_constant(8)), rows);
}

/* Rows of all results whose columns are those of a value. */
static int64_t rows_beside(const Lower *lower, const Value *value) {
    const Schedule *schedule = lower->schedule;
    int64_t rows = 0;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *other = schedule->values.at[i];
        if (outer_is(other) && schedule_same_use(schedule, value->uses.at[1], other->uses.at[1]))
            rows += other->type.shape.dim[0];
    }
    return rows;
}

/* What the second cache does not hold comes from far for each panel anew. */
static bool copies_side(const Lower *lower, const Value *value) {
    int64_t bytes = rows_beside(lower, value) * BLOCK_ROWS * loop_type_size(lower->real);
    return lower->options.eager ||
           (bytes > lower->options.target.l2_bytes &&
            value->type.shape.dim[1] / outer_panel_width(lower) >= SIDE_PANELS);
}

/* Of a thread: whole lines, whatever the batch. */
static Size side_floats(const Lower *lower) {
    Size rows = size_times(size_symbol(0), size_constant(2));
    rows = size_plus(rows, size_constant(outer_block_rows(lower)));
    return size_times(rows, size_constant(OUTER_SIDE));
}

static void place_side(Fn *fn, int work_argument, Size threads, Size *bytes) {
    Lower *lower = fn->lower;
    bool any = false;
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        any = any || (outer_is(value) && copies_side(lower, value));
    }
    if (!any) return;
    Size floats = size_times(side_floats(lower), threads);
    fn->panel_side = lower_work_buffer(fn, work_argument, "side", lower->real, floats,
                                       "[row][8]: rows of a tile", bytes);
}

/* As many rows as a block has, or one position of the batch, for each thread. */
static void place_panels(Fn *fn, int work_argument, Size threads, Size *bytes) {
    Lower *lower = fn->lower;
    Size floats =
        size_times(size_times(panel_floats(lower), threads), size_constant(group_panels(lower)));
    fn->panel = lower_work_buffer(fn, work_argument, "panel", lower->real, floats,
                                  "[panel][row][vectors]", bytes);
}

void lower_place_outer(Fn *fn, int work_argument, Size *bytes) {
    Lower *lower = fn->lower;
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
    if (tiled) place_side(fn, work_argument, threads, bytes);
    Size listed = size_times(list_length(lower), threads);
    fn->panel_rows = lower_work_buffer(fn, work_argument, "row", LT_I64, listed,
                                       "position * batch + sequence", bytes);
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

LExpr *outer_panel_start(Outer *o, LBlock *out, const Columns *panel) {
    LoopModule *m = o->fn->lower->module;
    LExpr *room = size_expr(o->fn, panel_floats(o->fn->lower));
    return lower_let(o->fn, out, "start", loop_add(m, o->panel, loop_mul(m, panel->slot, room)));
}

/* Behind the last element of a tail: zeros. */
static void pack_panel(Outer *o, LBlock *out, const Columns *panel) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    LExpr *start = outer_panel_start(o, out, panel);
    LStmt *rows = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_var(m, fn->fn, o->count), 1);
    LExpr *k = loop_var(m, fn->fn, rows->var);
    Row row = outer_listed(o, &rows->body, k);
    LExpr *to = loop_add(m, start, loop_mul(m, k, loop_int(m, outer_panel_width(fn->lower))));
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
    bool copied = rows == OUTER_ROWS && o->side;
    if (copied) outer_copy_side(o, out, value, first, rows);
    if (has_whole(group)) {
        LBlock *body = each_panel(o, out, group, &panel);
        outer_tile(o, body, value, first, rows, &panel, copied);
    }
    for (int i = 0; i < group->rests; i++)
        outer_tile(o, out, value, first, rows, &group->rest[i], copied);
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
        int64_t rows = value->type.shape.dim[0], count = rows / OUTER_ROWS;
        int64_t whole = count * OUTER_ROWS;
        lower_at(o->fn->lower, value->span);
        if (whole) {
            LExpr *low, *high, *each = loop_int(m, OUTER_ROWS);
            lower_share(o->fn, out, loop_int(m, count), &low, &high);
            LStmt *over = loop_for(m, o->fn->fn, out, "r", loop_mul(m, low, each),
                                   loop_mul(m, high, each), OUTER_ROWS);
            tile_row(o, &over->body, value, loop_var(m, o->fn->fn, over->var), OUTER_ROWS, group);
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

/* By each thread what it adds to. */
static void clear(Outer *o, LBlock *out) {
    Fn *fn = o->fn;
    LoopModule *m = fn->lower->module;
    for (int i = 0; i < o->values.count; i++) {
        const Value *value = o->values.at[i];
        if (fn->added[value->id]) continue;
        int64_t columns = value->type.shape.dim[1], rows = value->type.shape.dim[0];
        int64_t whole = rows / OUTER_ROWS * OUTER_ROWS;
        LExpr *low, *high, *each = loop_int(m, OUTER_ROWS * columns);
        lower_share(fn, out, loop_int(m, rows / OUTER_ROWS), &low, &high);
        low = loop_mul(m, low, each);
        high = loop_mul(m, high, each);
        for (int part = 0; part < 2; part++) {
            LBlock *into = part ? lower_first_thread(fn, out, false) : out;
            LStmt *all = loop_for(m, fn->fn, into, "i", part ? loop_int(m, whole * columns) : low,
                                  part ? loop_int(m, value->count) : high, 1);
            lower_store(fn, &all->body, value, o->row, loop_var(m, fn->fn, all->var),
                        lower_real(fn->lower, 0, 1));
            if (whole == rows) break;
        }
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
    int64_t numbers = 0;
    for (int i = 0; i < o->values.count; i++) numbers += o->values.at[i]->count;
    LExpr *steps = fn->longest[fn->lower->graph->indices.at[o->first->attr->index].axis];
    LExpr *ns = lower_ns_of_products(fn, loop_mul(m, steps, fn->batch), numbers);
    out = lower_region(fn, out, ns, NULL);
    LExpr *most = loop_int(m, fn->lower->options.threads);
    fn->threads = lower_let(fn, out, "busy", loop_min(m, fn->threads, most));
    out = &loop_if(m, out, loop_op(m, SOP_LT, fn->thread, fn->threads, NULL))->body;
    Size group = size_times(panel_floats(fn->lower), size_constant(group_panels(fn->lower)));
    LExpr *floats = size_expr(fn, group), *listed = size_expr(fn, list_length(fn->lower));
    o->panel = lower_let(fn, out, "own", loop_mul(m, fn->thread, floats));
    LExpr *side = size_expr(fn, side_floats(fn->lower));
    if (o->side) o->side = lower_let(fn, out, "side", loop_mul(m, fn->thread, side));
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
    lower_remark_outer(fn, o.values.at, o.values.count, OUTER_ROWS, o.vectors);
    if (o.first->type.shape.dim[1] % o.lanes)
        o.local = loop_buffer(m, fn->fn,
                              (LBuffer){.name = name_of(lower->names, "tail"),
                                        .type = lower->real,
                                        .base = LB_LOCAL,
                                        .count = loop_int(m, (int64_t)OUTER_ROWS * o.lanes),
                                        .align = 64,
                                        .written = true,
                                        .layout = "[row][lanes]"});
    if (fn->panel_side >= 0 && copies_side(lower, o.first)) o.side = loop_int(m, 0);
    bool region = lower_may_thread(fn);
    LBlock *out = op->out;
    if (region) out = outer_region(&o, out);
    clear(&o, out);
    LExpr *begin, *end;
    out = outer_blocks(&o, out, &begin, &end);
    outer_list_rows(&o, out, begin, end);
    panels(&o, out);
    if (region) lower_end_region(fn);
    return true;
}
