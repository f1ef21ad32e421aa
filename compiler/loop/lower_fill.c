/* What surrounds the computation: rows before and behind the sequences, inputs that need rows of
 * ours, and outputs in the caller's layout. */
#include "loop/lower_internal.h"

typedef struct Filling {
    Fn *fn;
    LBlock *out;
    const Value *reader;
    int before;
    const SNest *nest; /* the loop that begins behind the filling; NULL: a block */
    const Value *late; /* only what has this boundary, which is computed just now; or NULL */
} Filling;

/* Place in the domain of a value of what its boundary calls `index`; -1: nothing. */
static int index_of_boundary(const Value *value, int index) {
    for (int d = 0; d < value->domain_count; d++)
        if (value->boundary_index[d] == index) return d;
    return -1;
}

/* What the boundary calls this index of the value; -1: nothing. */
static int boundary_name(const Value *value, int index) {
    for (int d = 0; d < value->domain_count; d++)
        if (value->domain[d] == index) return value->boundary_index[d];
    return -1;
}

/* Does the boundary value depend on this index of the value? */
static bool depends_on(const Value *value, const Value *boundary, int index) {
    for (int i = 0; i < boundary->domain_count; i++) {
        int d = index_of_boundary(value, boundary->domain[i]);
        if (d >= 0 && value->domain[d] == index) return true;
    }
    return false;
}

static const Value *boundary_of(const Fn *fn, const Value *value) {
    return fn->lower->schedule->values.at[value->boundary];
}

/* Positions by the names of the boundary, in place of our own. */
static void name_positions(Fn *fn, const Value *value, const Row *row) {
    const Graph *graph = fn->lower->graph;
    const Value *boundary = boundary_of(fn, value);
    Arena *arena = fn->lower->arena;
    LExpr **map = ARENA_ARRAY(arena, graph->indices.count + 1, LExpr *);
    LExpr **loops = arena_copy(arena, fn->loop_position,
                               ((size_t)graph->axes.count + 1) * sizeof *fn->loop_position);
    for (int k = 0; k < boundary->domain_count; k++) {
        int index = boundary->domain[k], d = index_of_boundary(value, index);
        map[index] = lower_position(fn, value, d < 0 ? index : value->domain[d], row);
        loops[graph->indices.at[index].axis] = NULL;
    }
    fn->map_position = map;
    fn->loop_position = loops;
}

/* The boundary has the indices that the readers gave it. */
void lower_store_boundary(Fn *fn, LBlock *out, const Value *value, const Row *row) {
    LoopModule *m = fn->lower->module;
    Use use = {value->boundary, -1};
    LExpr *i = loop_int(m, 0);
    if (value->count > 1) {
        LStmt *loop = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, value->count), 1);
        i = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    LExpr **map = fn->map_position, **loops = fn->loop_position;
    name_positions(fn, value, row);
    LExpr *e = lower_element(fn, out, value, &use, row, i, 1, lower_want(value));
    fn->map_position = map;
    fn->loop_position = loops;
    lower_store(fn, out, value, row, i, e);
}

static const Kept *kept_value(const Fn *fn, const Value *value) {
    for (int i = 0; fn->has_state && i < fn->lower->kept.count; i++)
        if (fn->lower->kept.at[i].value == value->id && fn->lower->kept.at[i].carried)
            return &fn->lower->kept.at[i];
    return NULL;
}

/* Rows before position 0 of a value that a state keeps: from the state, where the caller gave one.
 */
static void load_state(Fn *fn, LBlock *out, const Value *value, const Kept *kept, const Row *row,
                       LExpr *lag) {
    LoopModule *m = fn->lower->module;
    int buffer = lower_state_buffer(fn, kept);
    const RowPlace *place = &fn->places[value->id];
    LExpr *from = loop_int(m, 0);
    for (int j = 1; j <= kept->carried; j++) {
        LExpr *r = lower_state_row(fn, kept, j, row->b);
        from = j == 1
                   ? r
                   : loop_op(m, SOP_SELECT, loop_op(m, SOP_EQ, lag, loop_int(m, j), NULL), r, from);
    }
    from = lower_let(fn, out, "kept", from);
    LExpr *to = lower_let(fn, out, "to", lower_row(fn, value, value, -1, row));
    LStmt *loop = loop_for(m, fn->fn, out, "i", loop_int(m, 0), loop_int(m, value->count), 1);
    LExpr *i = loop_var(m, fn->fn, loop->var);
    loop_store(m, &loop->body, place->buffer, loop_add(m, to, i),
               loop_load(m, fn->fn, buffer, loop_add(m, from, i), 1, false), false);
}

/* Whether a loop around binds this index of the value. */
static bool is_open(const Fn *fn, const Value *value, int index) {
    int axis = fn->lower->graph->indices.at[index].axis;
    return fn->loop_position[axis] &&
           schedule_loop_index(fn->lower->schedule, value, axis) == index;
}

/* Is the boundary known at one position of this index of the value: that of the loop around? */
static bool known_here(const Fn *fn, const Value *boundary, int name) {
    for (int i = 0; i < boundary->domain_count; i++)
        if (boundary->domain[i] == name) return is_open(fn, boundary, name);
    return false;
}

/* Positions before or behind the sequence on dim `d`; the other dims over all of theirs. `late`:
 * the boundary is computed just now; so where it depends on the loop around, its position, and all
 * of the indices that the value has there for itself. */
static void fill_rows(Fn *fn, LBlock *out, const Value *value, int d, bool behind, bool late) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const RowPlace *place = &fn->places[value->id];
    const Value *boundary = lower->schedule->values.at[value->boundary];
    Row row = {.b = loop_int(m, 0)};
    if (place->batched) {
        LStmt *loop = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        row.b = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    }
    LExpr *lag = NULL;
    bool bound[MAX_DOMAIN] = {false}, here[MAX_DOMAIN] = {false};
    LExpr **loops = fn->loop_position;
    for (int k = 0; late && k < place->dim_count; k++)
        here[k] = known_here(fn, boundary, boundary_name(value, place->dims[k]));
    if (late) {
        fn->loop_position =
            arena_copy(lower->arena, loops, ((size_t)lower->graph->axes.count + 1) * sizeof *loops);
        for (int k = 0; k < value->domain_count; k++)
            fn->loop_position[lower->graph->indices.at[value->domain[k]].axis] = NULL;
    }
    for (int k = 0; k < place->dim_count; k++) {
        int index = place->dims[k], axis = lower->graph->indices.at[index].axis;
        LExpr *low, *high;
        if (here[k]) {
            fn->map_position[index] = loops[axis];
            bound[k] = true;
            continue;
        }
        if (k == d && !behind) {
            low = loop_int(m, -place->pre[k]);
            high = loop_int(m, 0);
        } else if (k == d) {
            low = lower_let(fn, out, "length", lower_length(fn, NULL, axis, row.b));
            high = loop_add(m, low, loop_int(m, place->post[k]));
        } else if (is_open(fn, value, index)) {
            continue;
        } else if (depends_on(value, boundary, index)) {
            low = loop_int(m, 0);
            high = fn->longest[axis];
        } else {
            low = loop_int(m, -place->pre[k]);
            high = loop_add(m, fn->extent[axis], loop_int(m, place->post[k]));
        }
        LStmt *loop = loop_for(m, fn->fn, out, lower->graph->indices.at[index].name, low, high, 1);
        fn->map_position[index] = loop_var(m, fn->fn, loop->var);
        if (k == d) lag = loop_sub(m, loop_int(m, 0), fn->map_position[index]);
        bound[k] = true;
        out = &loop->body;
    }
    const Kept *kept = behind ? NULL : kept_value(fn, value);
    if (kept) {
        LExpr *known = fn->has_state;
        if (place->pre[d] > kept->carried) { /* what chunks do not carry begins anew */
            LExpr *near = loop_op(m, SOP_LE, lag, loop_int(m, kept->carried), NULL);
            known = lower_op(lower, SOP_MAND, lower_as(lower, known, WANT_MASK),
                             lower_as(lower, near, WANT_MASK));
        }
        LStmt *given = loop_if(m, out, known);
        load_state(fn, &given->body, value, kept, &row, lag);
        out = &given->otherwise;
    }
    lower_store_boundary(fn, out, value, &row);
    for (int k = 0; k < place->dim_count; k++)
        if (bound[k]) fn->map_position[place->dims[k]] = NULL;
    fn->loop_position = loops;
}

/* The one row of an in-place value, before its loop. */
static void fill_inplace(Fn *fn, LBlock *out, const Value *value) {
    Row row;
    LBlock *body = lower_rows(fn, out, value, &row);
    lower_store_boundary(fn, body, value, &row);
    for (int d = 0; d < value->domain_count; d++) fn->map_position[value->domain[d]] = NULL;
}

static void blocks_of(const SNest *nest, int *first, int *last) {
    const SNest *from = nest, *to = nest;
    while (from->kind == NEST_LOOP) from = from->children.at[0];
    while (to->kind == NEST_LOOP) to = to->children.at[to->children.count - 1];
    *first = from->block->number;
    *last = to->block->number;
}

/* Whether one loop has both: then the rows are filled where the boundary is computed. */
static bool in_one_loop(const Schedule *schedule, const Value *a, const Value *b) {
    for (int i = 0; i < schedule->nests.count; i++) {
        int first, last;
        blocks_of(schedule->nests.at[i], &first, &last);
        if (a->block < first || a->block > last) continue;
        return schedule->nests.at[i]->kind == NEST_LOOP && b->block >= first && b->block <= last;
    }
    return false;
}

/* Whether a forward loop of `nests` binds this index of the value, and so writes behind the shorter
 * sequences. */
static bool goes_forward(const Fn *fn, const SNest *nest, const Value *value, int index) {
    int axis = fn->lower->graph->indices.at[index].axis, first, last;
    blocks_of(nest, &first, &last);
    if (nest->kind != NEST_LOOP || value->block < first || value->block > last) return false;
    if (nest->axis == axis && !nest->backward &&
        schedule_loop_index(fn->lower->schedule, value, axis) == index)
        return true;
    for (int i = 0; i < nest->children.count; i++)
        if (goes_forward(fn, nest->children.at[i], value, index)) return true;
    return false;
}

static bool written_over(const Fn *fn, const Value *value, int index) {
    const Schedule *schedule = fn->lower->schedule;
    for (int i = 0; i < schedule->nests.count; i++)
        if (goes_forward(fn, schedule->nests.at[i], value, index)) return true;
    return false;
}

static bool ready(const Filling *f, const Value *boundary) {
    if (schedule_is_leaf(boundary)) return true;
    bool late = in_one_loop(f->fn->lower->schedule, boundary, f->reader);
    return f->late ? late : !late && boundary->block < f->before;
}

static void fill_use(void *user, const Use *use, bool is_boundary) {
    Filling *f = user;
    Fn *fn = f->fn;
    const Value *source = fn->lower->schedule->values.at[use->value];
    const RowPlace *place = &fn->places[source->id];
    if (is_boundary || use->access < 0 || source->boundary < 0 || place->buffer < 0) return;
    if (f->late && source->boundary != f->late->id) return;
    /* Who reads no boundary may stand before it is computed. */
    if (fn->lower->schedule->accesses.at[use->access].boundary < 0) return;
    if (!ready(f, boundary_of(fn, source))) return;
    lower_at(fn->lower, source->span);
    bool inplace = source->storage == STORE_INPLACE;
    if (inplace && !fn->filled_pre[source->id]) fill_inplace(fn, f->out, source);
    if (inplace) fn->filled_pre[source->id] = 1;
    bool member = false;
    for (int i = 0; f->nest && i < f->nest->members.count; i++)
        member = member || f->nest->members.at[i] == source->id;
    for (int d = 0; d < place->dim_count && !inplace; d++) {
        unsigned char bit = (unsigned char)(1 << d);
        /* What a loop binds was filled before it. */
        if (!f->late && is_open(fn, source, place->dims[d])) continue;
        if (place->pre[d] && !(fn->filled_pre[source->id] & bit)) {
            fill_rows(fn, f->out, source, d, false, f->late);
            fn->filled_pre[source->id] |= bit;
        }
        /* A forward loop writes over what lies behind the shorter sequences. */
        int axis = fn->lower->graph->indices.at[place->dims[d]].axis;
        bool last = !member || (f->nest->backward && f->nest->axis == axis);
        if (f->late) last = !written_over(fn, source, place->dims[d]);
        if (place->post[d] && last && !(fn->filled_post[source->id] & bit)) {
            fill_rows(fn, f->out, source, d, true, f->late);
            fn->filled_post[source->id] |= bit;
        }
    }
}

void lower_fill_uses(Fn *fn, LBlock *out, const Value *reader, int before, const SNest *nest) {
    if (fn->step) return;
    Filling f = {.fn = fn, .out = out, .reader = reader, .before = before, .nest = nest};
    schedule_uses(fn->lower->schedule, reader, fill_use, &f);
}

void lower_fill_late(Fn *fn, LBlock *out, const Value *boundary) {
    const Schedule *schedule = fn->lower->schedule;
    if (fn->step || !boundary->bounds) return;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *reader = schedule->values.at[i];
        if (!reader->live || schedule_is_leaf(reader)) continue;
        Filling f = {.fn = fn, .out = out, .reader = reader, .late = boundary};
        schedule_uses(schedule, reader, fill_use, &f);
    }
}

void lower_fill_again(Fn *fn, LBlock *out, const Value *value) {
    const RowPlace *place = &fn->places[value->id];
    if (value->boundary < 0 || place->buffer < 0 || value->storage == STORE_INPLACE) return;
    for (int d = 0; d < place->dim_count; d++)
        if (place->post[d] && !is_open(fn, value, place->dims[d]))
            fill_rows(fn, out, value, d, true, false);
}

void lower_hold_behind(Fn *fn, LBlock *out, const Value *value, int axis, LExpr *at) {
    LoopModule *m = fn->lower->module;
    bool behind = value->storage == STORE_INPLACE;
    const RowPlace *place = &fn->places[value->id];
    for (int d = 0; d < place->dim_count; d++)
        if (place->post[d] && fn->lower->graph->indices.at[place->dims[d]].axis == axis)
            behind = true;
    if (!behind || value->boundary < 0 || place->buffer < 0 || !place->batched) return;
    LExpr *first = fn->own_low ? fn->own_low : loop_int(m, 0);
    LExpr *last = fn->own_low ? fn->own_high : fn->batch;
    LStmt *each = loop_for(m, fn->fn, out, "b", first, last, 1);
    Row row = {.b = loop_var(m, fn->fn, each->var)};
    LExpr *ended = loop_op(m, SOP_GE, at, lower_length(fn, NULL, axis, row.b), NULL);
    LBlock *body = &loop_if(m, &each->body, ended)->body;
    const Value *boundary = fn->lower->schedule->values.at[value->boundary];
    bool bound[MAX_DOMAIN] = {false};
    for (int d = 0; d < place->dim_count; d++) {
        if (is_open(fn, value, place->dims[d])) continue;
        int other = fn->lower->graph->indices.at[place->dims[d]].axis;
        bool own = depends_on(value, boundary, place->dims[d]);
        LExpr *low = loop_int(m, own ? 0 : -place->pre[d]);
        LExpr *high =
            own ? fn->longest[other] : loop_add(m, fn->extent[other], loop_int(m, place->post[d]));
        LStmt *loop = loop_for(m, fn->fn, body, fn->lower->graph->indices.at[place->dims[d]].name,
                               low, high, 1);
        fn->map_position[place->dims[d]] = loop_var(m, fn->fn, loop->var);
        bound[d] = true;
        body = &loop->body;
    }
    lower_store_boundary(fn, body, value, &row);
    for (int d = 0; d < place->dim_count; d++)
        if (bound[d]) fn->map_position[place->dims[d]] = NULL;
}

/* --- the caller's tensors
 * -------------------------------------------------------------------------------------- */

/* One element of an input where the caller has it, in the type that we keep. */
static LExpr *input_element(Fn *fn, const Value *value, const Row *row, LExpr *i, LoopType type) {
    LoopModule *m = fn->lower->module;
    const RowPlace *from = &fn->inputs[value->slot];
    LExpr *e = loop_load(m, fn->fn, from->buffer,
                         loop_add(m, lower_row_in(fn, from, value, value, -1, row), i), 1, false);
    return e->type == type ? e : loop_convert(m, SOP_CONVERT, type, e);
}

static bool is_copied(const Fn *fn, const Value *value) {
    return value->live && value->kind == VALUE_INPUT && fn->places[value->id].buffer >= 0 &&
           fn->inputs[value->slot].buffer >= 0; /* a reset has those without time only */
}

/* Numbers that inputs over all sequences have. */
static LExpr *numbers_of_inputs(Fn *fn) {
    const Schedule *schedule = fn->lower->schedule;
    Size all = size_constant(0);
    for (int v = 0; v < schedule->values.count; v++) {
        const Value *value = schedule->values.at[v];
        if (!is_copied(fn, value)) continue;
        Size rows = size_times(size_symbol(0), size_constant(value->count));
        for (int d = 0; d < value->domain_count; d++)
            rows = size_times(rows,
                              size_symbol(1 + fn->lower->graph->indices.at[value->domain[d]].axis));
        all = size_plus(all, rows);
    }
    return size_expr(fn, all);
}

static void copy_inputs(Fn *fn, LBlock *out) {
    LoopModule *m = fn->lower->module;
    const Schedule *schedule = fn->lower->schedule;
    for (int v = 0; v < schedule->values.count; v++) {
        const Value *value = schedule->values.at[v];
        const RowPlace *place = &fn->places[v];
        if (!is_copied(fn, value)) continue;
        lower_at(fn->lower, value->span);
        Row row;
        LBlock *taken = value->domain_count ? lower_on_tick(fn, out, value, value->domain[0]) : out;
        LBlock *body = lower_rows(fn, taken, value, &row);
        LExpr *given = fn->given[value->slot];
        LBlock *parts[2] = {body, NULL};
        if (given) {
            LStmt *test = loop_if(m, body, given);
            parts[0] = &test->body;
            parts[1] = &test->otherwise;
        }
        for (int part = 0; part < 2; part++) {
            LBlock *into = parts[part];
            if (!into) continue;
            LExpr *i = loop_int(m, 0);
            if (value->count > 1) {
                LStmt *loop =
                    loop_for(m, fn->fn, into, "i", loop_int(m, 0), loop_int(m, value->count), 1);
                i = loop_var(m, fn->fn, loop->var);
                into = &loop->body;
            }
            LExpr *e;
            if (part == 0) {
                e = input_element(fn, value, &row, i, place->type);
            } else {
                Use use = {fn->lower->graph->inputs.at[value->slot].fallback, -1};
                e = lower_element(fn, into, value, &use, &row, i, 1, lower_want(value));
                if (value->type.dtype != DT_FLOAT) {
                    e = lower_as(fn->lower, e, WANT_INT);
                    if (e->type != place->type) e = loop_convert(m, SOP_CONVERT, place->type, e);
                }
            }
            loop_store(m, into, place->buffer,
                       loop_add(m, lower_row_in(fn, place, value, value, -1, &row), i), e, false);
        }
        for (int d = 0; d < value->domain_count; d++) fn->map_position[value->domain[d]] = NULL;
    }
}

void lower_copy_inputs(Fn *fn, LBlock *out) {
    bool any = false;
    for (int v = 0; v < fn->lower->schedule->values.count; v++)
        any = any || is_copied(fn, fn->lower->schedule->values.at[v]);
    bool region = any && fn->sequence && lower_may_thread(fn);
    copy_inputs(fn, region ? lower_rows_region(fn, out, numbers_of_inputs(fn)) : out);
    if (region) lower_end_region(fn);
    lower_hold_outside(fn, out, -1, 0);
}

LExpr *lower_in_sequence(Fn *fn, LExpr *position) {
    return fn->begin ? loop_add(fn->lower->module, fn->begin, position) : position;
}

LExpr *lower_all_steps(Fn *fn, int64_t count) {
    LoopModule *m = fn->lower->module;
    return loop_mul(m, loop_mul(m, fn->steps, fn->batch), loop_int(m, count));
}

static LoopType caller_type(const Lower *lower, Type type) {
    switch (type.dtype) {
    case DT_FLOAT: return lower->real;
    case DT_INT: return LT_I32;
    case DT_BOOL: return LT_I8;
    }
    return lower->real;
}

/* A mask: this step has a position of the port; NULL: each has. */
static LExpr *there(Fn *fn, const Value *reader, LBlock *out, const GraphPort *port, LExpr *b) {
    LoopModule *m = fn->lower->module;
    int64_t every = port->index_count ? lower_every(fn->lower, port->indices[0]) : 1;
    LExpr *inside = lower_inside(fn, reader, b);
    if (every == 1) return inside;
    int ticks = loop_mutable(m, fn->fn, out, "ticks", loop_int(m, 0));
    loop_set(m, lower_on_tick(fn, out, reader, port->indices[0]), ticks, loop_int(m, 1));
    LExpr *mask = loop_op(m, SOP_NE, loop_var(m, fn->fn, ticks), loop_int(m, 0), NULL);
    return inside ? lower_op(fn->lower, SOP_MAND, inside, mask) : mask;
}

/* Output `o`: [positions…][batch][shape], zero beyond each length. */
void lower_copy_outputs(Fn *fn, LBlock *start) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    for (int o = 0; o < lower->graph->outputs.count; o++) {
        const GraphPort *port = &lower->graph->outputs.at[o];
        const Value *value = lower->schedule->values.at[lower->schedule->outputs.at[o]];
        if (port->kind != PORT_MODEL && port->kind != PORT_OUTPUT) continue;
        lower_at(lower, port->span);
        int arg = lower_arg(fn, ROLE_OUTPUT, port->kind == PORT_OUTPUT ? port->of : o);
        LoopType type = caller_type(lower, port->type);
        bool batched = true;
        Size rows = size_symbol(0);
        for (int d = 0; d < port->index_count && !fn->step; d++)
            rows =
                size_times(rows, size_symbol(1 + lower->graph->indices.at[port->indices[d]].axis));
        int buffer = lower_caller_buffer(
            fn,
            (LBuffer){.name = port->name,
                      .type = type,
                      .base = LB_ARG,
                      .arg = arg,
                      .offset = loop_int(m, 0),
                      .written = true,
                      .count = fn->begin && port->index_count
                                   ? lower_all_steps(fn, value->count)
                                   : size_expr(fn, size_times(rows, size_constant(value->count))),
                      .layout = lower_shape_text(lower, port, fn->step)});
        LExpr *wanted = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                                loop_int_of(m, LT_I32, 0), NULL);
        LBlock *out = lower_if(fn, start, wanted);
        bool region = fn->sequence && port->index_count && lower_may_thread(fn);
        if (region)
            out = lower_rows_region(fn, out,
                                    size_expr(fn, size_times(rows, size_constant(value->count))));
        LExpr *index = loop_int(m, 0), *valid = NULL;
        for (int d = 0; d < port->index_count && !fn->step; d++) {
            int i = port->indices[d], axis = lower->graph->indices.at[i].axis;
            LExpr *bound = fn->extent[axis];
            if (fn->begin) bound = loop_min(m, bound, loop_sub(m, fn->steps, fn->begin));
            LStmt *loop =
                lower_split_loop(fn, out, lower->graph->indices.at[i].name, bound, d == 0);
            fn->map_position[i] = loop_var(m, fn->fn, loop->var);
            index = loop_add(m, d ? loop_mul(m, index, fn->extent[axis]) : index,
                             lower_in_sequence(fn, fn->map_position[i]));
            out = &loop->body;
        }
        LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        Row row = {.b = loop_var(m, fn->fn, each->var)};
        out = &each->body;
        index = loop_mul(
            m, loop_add(m, loop_mul(m, index, batched ? fn->batch : loop_int(m, 1)), row.b),
            loop_int(m, value->count));
        index = lower_let(fn, out, "to", index);
        for (int d = 0; d < port->index_count && !fn->step; d++) {
            int i = port->indices[d];
            LExpr *inside =
                loop_op(m, SOP_LT, fn->map_position[i],
                        lower_length(fn, NULL, lower->graph->indices.at[i].axis, row.b), NULL);
            valid = valid ? lower_op(lower, SOP_MAND, valid, inside) : inside;
        }
        Value at_latency = lower_output_reader(lower, value);
        const Value *reader = fn->step ? &at_latency : value;
        if (fn->step) valid = there(fn, &at_latency, out, port, row.b);
        LStmt *test = valid ? loop_if(m, out, valid) : NULL;
        for (int part = 0; part < (test ? 2 : 1); part++) {
            LBlock *into = test ? (part ? &test->otherwise : &test->body) : out;
            LExpr *i = loop_int(m, 0);
            if (value->count > 1) {
                LStmt *loop =
                    loop_for(m, fn->fn, into, "i", loop_int(m, 0), loop_int(m, value->count), 1);
                i = loop_var(m, fn->fn, loop->var);
                into = &loop->body;
            }
            LExpr *e;
            if (part) {
                e = type == lower->real ? lower_real(lower, 0, 1) : loop_int_of(m, LT_I32, 0);
            } else {
                Use use = {value->id, -1};
                e = lower_element(fn, into, reader, &use, &row, i, 1, lower_want(value));
                if (value->type.dtype != DT_FLOAT) e = lower_as(lower, e, WANT_INT);
            }
            if (e->type != type) e = loop_convert(m, SOP_CONVERT, type, e);
            loop_store(m, into, buffer, loop_add(m, index, i), e, false);
        }
        for (int d = 0; d < port->index_count; d++) fn->map_position[port->indices[d]] = NULL;
        if (region) lower_end_region(fn);
    }
}
