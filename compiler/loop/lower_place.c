/* Buffers and addresses: where the rows of values lie, and the index of the row that a use reads.
 */
#include "loop/lower_internal.h"

/* --- sizes
 * -------------------------------------------------------------------------------------------------
 */

Size size_constant(int64_t value) {
    Size size = {0};
    if (value) size.terms[size.count++] = (Monomial){.coefficient = value};
    return size;
}

Size size_symbol(int symbol) {
    Size size = size_constant(1);
    size.terms[0].power[symbol] = 1;
    return size;
}

static void add_monomial(Size *size, Monomial m) {
    for (int i = 0; i < size->count; i++)
        if (memcmp(size->terms[i].power, m.power, sizeof m.power) == 0) {
            size->terms[i].coefficient += m.coefficient;
            return;
        }
    if (size->count < (int)(sizeof size->terms / sizeof size->terms[0]))
        size->terms[size->count++] = m;
}

Size size_plus(Size a, Size b) {
    for (int i = 0; i < b.count; i++) add_monomial(&a, b.terms[i]);
    return a;
}

Size size_times(Size a, Size b) {
    Size out = {0};
    for (int i = 0; i < a.count; i++)
        for (int j = 0; j < b.count; j++) {
            Monomial m = a.terms[i];
            m.coefficient *= b.terms[j].coefficient;
            for (int s = 0; s < MAX_SYMBOLS; s++)
                m.power[s] = (unsigned char)(m.power[s] + b.terms[j].power[s]);
            add_monomial(&out, m);
        }
    return out;
}

void lower_describe_size(Fn *fn, Size size) {
    Interface *in = fn->lower->interface_;
    InterfaceFunction *described = &in->functions.at[in->functions.count - 1];
    for (int i = 0; i < size.count; i++) {
        InterfaceTerm term = {.coefficient = size.terms[i].coefficient};
        memcpy(term.powers, size.terms[i].power, sizeof term.powers);
        vec_push(fn->lower->arena, &described->bytes, term);
    }
}

LExpr *size_expr(Fn *fn, Size size) {
    LoopModule *m = fn->lower->module;
    LExpr *sum = loop_int(m, 0);
    for (int i = 0; i < size.count; i++) {
        LExpr *product = loop_int(m, size.terms[i].coefficient);
        for (int s = 0; s < MAX_SYMBOLS; s++)
            for (int p = 0; p < size.terms[i].power[s]; p++)
                product = loop_mul(m, product, s ? fn->extent[s - 1] : fn->batch);
        sum = loop_add(m, sum, product);
    }
    return sum;
}

/* --- places
 * ---------------------------------------------------------------------------------------------------
 */

LoopType lower_type(const Lower *lower, const Value *value) {
    if (value->type.dtype == DT_FLOAT) return lower->real;
    return value->count == 1 ? LT_I64 : lower->integer;
}

int64_t lower_stride(const Lower *lower, const Value *value) {
    if (value->count == 1) return 1;
    int64_t line = 64 / loop_type_size(lower_type(lower, value));
    return (value->count + line - 1) / line * line;
}

static Size rows_of(const Fn *fn, const RowPlace *place) {
    Size rows = place->batched ? size_symbol(0) : size_constant(1);
    for (int d = 0; d < place->dim_count; d++) {
        int axis = fn->lower->graph->indices.at[place->dims[d]].axis;
        rows = size_times(
            rows, size_plus(size_symbol(1 + axis), size_constant(place->pre[d] + place->post[d])));
    }
    if (place->ring) rows = size_times(rows, size_constant(place->ring));
    if (place->window) rows = size_times(rows, size_constant(place->window));
    return rows;
}

static bool single_storage(const Fn *fn, const Value *value) {
    return !fn->step && (value->storage == STORE_SINGLE || value->storage == STORE_INPLACE);
}

bool lower_batched(const Fn *fn, const Value *value) {
    return value->batched || (fn->step && (value->domain_count > 0 || fn->lower->late[value->id]));
}

/* Rows of an even number of lines would meet in few sets of the first cache, which is what a
 * product of many rows asks at once. */
static void spread_rows(RowPlace *place) {
    int64_t line = 64 / loop_type_size(place->type), lines = place->stride / line;
    if (lines >= 8 && lines % 2 == 0 && (place->batched || place->dim_count)) place->stride += line;
}

static void describe(const Fn *fn, const Value *value, RowPlace *place) {
    const Lower *lower = fn->lower;
    *place = (RowPlace){.buffer = -1,
                        .slot = place->slot,
                        .type = lower_type(lower, value),
                        .stride = lower_stride(lower, value),
                        .padded = value->count > 1,
                        .batched = lower_batched(fn, value)};
    if (fn->step) {
        const Window *window = &lower->windows[value->id];
        if (window->index < 0) return;
        place->window = window->high - window->low;
        place->low = window->low;
        return;
    }
    int map[MAX_DOMAIN];
    int maps = schedule_map_domain(lower->schedule, value, map);
    for (int d = 0; d < value->domain_count; d++) {
        if (single_storage(fn, value)) {
            bool is_map = false;
            for (int i = 0; i < maps; i++) is_map = is_map || map[i] == value->domain[d];
            if (!is_map) continue;
        }
        place->dims[place->dim_count] = value->domain[d];
        place->pre[place->dim_count] = value->pre[d];
        place->post[place->dim_count++] = value->post[d];
    }
    if (value->id >= 0 && fn->panel_of && fn->panel_of[value->id])
        place->panel = fn->panels.at[fn->panel_of[value->id] - 1].count;
    else
        spread_rows(place);
}

static const char *layout_text(const Fn *fn, const RowPlace *place, int64_t count) {
    Text text = text_new(fn->lower->arena);
    if (place->panel) {
        text_printf(&text, "[%s][%lld blocks][batch][%d values][%d]",
                    fn->lower->graph->indices.at[place->dims[0]].name,
                    (long long)(place->stride / fn->lower->lanes), place->panel, fn->lower->lanes);
        return text_string(&text);
    }
    for (int d = 0; d < place->dim_count; d++) {
        text_printf(&text, "[%s", fn->lower->graph->indices.at[place->dims[d]].name);
        if (place->pre[d] + place->post[d])
            text_printf(&text, " + %lld", (long long)(place->pre[d] + place->post[d]));
        text_puts(&text, "]");
    }
    if (place->window) text_printf(&text, "[%lld of a window]", (long long)place->window);
    if (place->batched) text_puts(&text, "[batch]");
    if (place->stride != count)
        text_printf(&text, "[%lld of %lld]", (long long)count, (long long)place->stride);
    else
        text_printf(&text, "[%lld]", (long long)count);
    return text_string(&text);
}

typedef struct Scan {
    const Schedule *schedule;
    const Value *reader;
    bool *copied;
} Scan;

static void scan_use(void *user, const Use *use, bool boundary) {
    Scan *scan = user;
    const Value *source = scan->schedule->values.at[use->value];
    if (source->kind != VALUE_INPUT) return;
    if (source->count > 1 &&
        (boundary || (scan->reader->kind != VALUE_PRODUCT && scan->reader->kind != VALUE_ROW)))
        scan->copied[source->id] = true;
    for (int d = 0; d < source->domain_count; d++)
        if (source->pre[d] || source->post[d]) scan->copied[source->id] = true;
}

/* Must an input be copied into rows of our own? Whole vectors are read only from padded rows, and
 * rows before and behind the sequence exist only in ours. */
static bool *copied_inputs(const Fn *fn) {
    const Schedule *schedule = fn->lower->schedule;
    Scan scan = {schedule, NULL, ARENA_ARRAY(fn->lower->arena, schedule->values.count, bool)};
    for (int i = 0; i < schedule->values.count; i++) {
        scan.reader = schedule->values.at[i];
        if (scan.reader->live) schedule_uses(schedule, scan.reader, scan_use, &scan);
        /* One that the caller may leave out is read through rows of ours, which hold its default
         * then. */
        if (scan.reader->kind == VALUE_INPUT &&
            fn->lower->graph->inputs.at[scan.reader->slot].fallback >= 0)
            scan.copied[scan.reader->id] = true;
    }
    return scan.copied;
}

LExpr *lower_offset(Fn *fn, Size bytes) {
    LExpr *own = size_expr(fn, bytes);
    return fn->base ? loop_add(fn->lower->module, fn->base, own) : own;
}

int lower_caller_buffer(Fn *fn, LBuffer buffer) {
    for (int i = 0; i < fn->fn->buffers.count; i++) {
        const LBuffer *known = &fn->fn->buffers.at[i];
        bool whole = known->count->kind != LE_INT || known->count->integer != 1 ||
                     (buffer.count->kind == LE_INT && buffer.count->integer == 1);
        /* else it is only passed on */
        if (known->base == LB_ARG && known->arg == buffer.arg && known->type == buffer.type &&
            known->written == buffer.written && whole)
            return i;
    }
    return loop_buffer(fn->lower->module, fn->fn, buffer);
}

int lower_work_buffer(Fn *fn, int work_argument, const char *name, LoopType type, Size count,
                      const char *layout, Size *bytes) {
    Lower *lower = fn->lower;
    LBuffer buffer = {.name = name_of(lower->names, name),
                      .type = type,
                      .base = LB_ARG,
                      .arg = work_argument,
                      .offset = lower_offset(fn, *bytes),
                      .count = size_expr(fn, count),
                      .align = 64,
                      .written = true,
                      .layout = layout};
    *bytes = size_plus(*bytes, size_times(count, size_constant(loop_type_size(type))));
    return loop_buffer(lower->module, fn->fn, buffer);
}

/* One I64 a sequence in the workspace. */
static int place_numbers(Fn *fn, int work_argument, const char *name, int rows, Size *bytes) {
    Lower *lower = fn->lower;
    LBuffer buffer = {.name = name_of(lower->names, name),
                      .type = LT_I64,
                      .base = LB_ARG,
                      .arg = work_argument,
                      .offset = lower_offset(fn, *bytes),
                      .count = loop_mul(lower->module, fn->batch, loop_int(lower->module, rows)),
                      .written = true,
                      .layout = rows > 1 ? "[axis][batch]" : "[batch]"};
    *bytes = size_plus(*bytes, size_times(size_symbol(0), size_constant(8 * rows)));
    return loop_buffer(lower->module, fn->fn, buffer);
}

Size place_values(Fn *fn, int work_argument) {
    Lower *lower = fn->lower;
    const Schedule *schedule = lower->schedule;
    bool *copied = copied_inputs(fn);
    Size bytes = fn->before;
    lower_find_panels(fn);
    for (int i = 0; i < schedule->values.count; i++)
        if (fn->places[i].buffer < 0) describe(fn, schedule->values.at[i], &fn->places[i]);
    lower_place_outer(fn, work_argument, &bytes);
    /* Rows of whole vectors first: each is a multiple of 64 bytes, so everything stays aligned;
     * then 8-byte scalars, lengths among them, then the others. */
    for (int pass = 0; pass < 3; pass++) {
        for (int a = 0; pass == 1 && a < lower->graph->axes.count && !fn->step; a++)
            if (lower->axis_used[a])
                fn->lengths[a] = place_numbers(
                    fn, work_argument,
                    arena_printf(lower->arena, "len_%s", lower->graph->axes.at[a].name), 1, &bytes);
        if (pass == 1 && lower->carries && !fn->step)
            fn->start = place_numbers(fn, work_argument, "start", lower->position_places, &bytes);
        for (int i = 0; i < schedule->values.count; i++) {
            Value *value = schedule->values.at[i];
            RowPlace *place = &fn->places[i];
            bool stored =
                value->live && (schedule_is_leaf(value) ? copied[i] : value->storage != STORE_NONE);
            int turn = value->count > 1 ? 0 : loop_type_size(place->type) == 8 ? 1 : 2;
            if (!stored || turn != pass || place->buffer >= 0) continue;
            Panel *panel = place->panel ? &fn->panels.at[fn->panel_of[i] - 1] : NULL;
            if (panel && panel->buffer >= 0) {
                place->buffer = panel->buffer;
                continue;
            }
            int64_t width = place->stride * (panel ? panel->count : 1);
            Size elements = size_times(rows_of(fn, place), size_constant(width));
            const char *name = panel ? "panel" : lower_name(lower, value);
            LBuffer buffer = {.name = name_of(lower->names, name),
                              .type = place->type,
                              .base = LB_ARG,
                              .arg = work_argument,
                              .offset = lower_offset(fn, bytes),
                              .count = size_expr(fn, elements),
                              .align = place->padded ? 64 : 0,
                              .written = true,
                              .layout = layout_text(fn, place, value->count)};
            place->buffer = loop_buffer(lower->module, fn->fn, buffer);
            if (panel) panel->buffer = place->buffer;
            bytes =
                size_plus(bytes, size_times(elements, size_constant(loop_type_size(place->type))));
        }
    }
    return bytes;
}

/* --- addresses
 * ---------------------------------------------------------------------------------------------------
 */

LExpr *lower_position(Fn *fn, const Value *reader, int index, const Row *row) {
    int axis = fn->lower->graph->indices.at[index].axis;
    if (fn->step) {
        LExpr *now = lower_now(fn, reader, row->b);
        int64_t every = lower_every(fn->lower, index);
        if (every > 1) now = lower_floor_div(fn, now, fn->lower->delay[reader->id], every);
        return fn->window_at[index] ? loop_add(fn->lower->module, now, fn->window_at[index]) : now;
    }
    if (fn->loop_position[axis] && schedule_loop_index(fn->lower->schedule, reader, axis) == index)
        return fn->loop_position[axis];
    if (fn->map_position[index]) return fn->map_position[index];
    return fn->loop_position[axis] ? fn->loop_position[axis] : loop_int(fn->lower->module, 0);
}

/* In a step, of the sequence so far. */
static LExpr *length_so_far(Fn *fn, const Value *reader, int axis, LExpr *b) {
    LoopModule *m = fn->lower->module;
    LExpr *length = reader->domain_count ? lower_taken(fn, b)
                                         : loop_add(m, lower_now(fn, reader, b), loop_int(m, 1));
    for (; fn->lower->graph->axes.at[axis].kind == AXIS_SLOW;
         axis = fn->lower->graph->axes.at[axis].base) {
        int64_t every = fn->lower->graph->axes.at[axis].every;
        length = lower_floor_div(fn, loop_add(m, length, loop_int(m, every - 1)),
                                 reader->domain_count ? 0 : fn->lower->delay[reader->id], every);
    }
    return length;
}

LExpr *lower_length(Fn *fn, const Value *reader, int axis, LExpr *b) {
    int64_t fixed = fn->lower->graph->axes.at[axis].fixed;
    if (fixed) return loop_int(fn->lower->module, fixed);
    if (fn->step) return length_so_far(fn, reader, axis, b);
    return loop_load(fn->lower->module, fn->fn, fn->lengths[axis], b, 1, false);
}

LExpr *lower_count(Fn *fn, const Value *reader, const Attr *attr, const Row *row) {
    LoopModule *m = fn->lower->module;
    LExpr *at = lower_position(fn, reader, attr->index, row);
    if (attr->mirrored) {
        /* Behind the end there is no position from it; 0 is one that everything can take. */
        int axis = fn->lower->graph->indices.at[attr->index].axis;
        at = loop_sub(m, loop_sub(m, lower_length(fn, reader, axis, row->b), loop_int(m, 1)), at);
        at = loop_op(m, SOP_MAX, at, loop_int(m, 0), NULL);
    }
    if (attr->carry && fn->start >= 0) {
        LExpr *begin = lower_position_at(fn, fn->lower->carry_place[attr->carry - 1], row->b);
        at = loop_add(m, at, loop_load(m, fn->fn, fn->start, begin, 1, false));
    }
    return at;
}

static bool reads_first(const Fn *fn, int access_number) {
    if (!fn->step || access_number < 0) return false;
    const Access *access = &fn->lower->schedule->accesses.at[access_number];
    for (int d = 0; d < access->at_count; d++)
        if (access->at[d].kind == AT_FIRST) return true;
    return false;
}

const RowPlace *lower_place_of(Fn *fn, const Value *source, int access) {
    if (reads_first(fn, access)) return &fn->firsts[source->id];
    const RowPlace *place = &fn->places[source->id];
    if (place->buffer < 0 && source->kind == VALUE_INPUT) return &fn->inputs[source->slot];
    return place;
}

/* The position on one dim of a place; NULL when the row is flat there. */
static LExpr *coordinate(Fn *fn, const Value *reader, const At *at, int index, const Row *row) {
    LoopModule *m = fn->lower->module;
    if (!at) {
        if (row->flat && index == row->flat_index) return NULL;
        return lower_position(fn, reader, index, row);
    }
    switch (at->kind) {
    case AT_INDEX:
        if (row->flat && at->index == row->flat_index) return NULL;
        return loop_add(m, lower_position(fn, reader, at->index, row), loop_int(m, at->offset));
    case AT_SCALE:
        return loop_add(
            m, loop_mul(m, lower_position(fn, reader, at->index, row), loop_int(m, at->factor)),
            loop_int(m, at->offset));
    case AT_DIV:
        return loop_op(m, SOP_DIV, lower_position(fn, reader, at->index, row),
                       loop_int(m, at->factor), NULL);
    case AT_LAST:
        return loop_sub(m,
                        lower_length(fn, reader, fn->lower->graph->indices.at[index].axis, row->b),
                        loop_int(m, 1));
    case AT_POINTER: return fn->pointers[at->operand];
    case AT_FIRST:
    case AT_MIRROR: return loop_int(m, 0);
    }
    return loop_int(m, 0);
}

static const At *at_of(const Access *access, const Value *source, int index) {
    if (!access) return NULL;
    for (int d = 0; d < access->at_count; d++)
        if (source->domain[d] == index) return &access->at[d];
    return NULL;
}

/* In a step there is one position; what is read at a lag lies in a slot of a ring, and a value over
 * two positions has a row for each of its window. */
static LExpr *step_row(Fn *fn, const RowPlace *place, const Value *reader, const Value *source,
                       const Access *access, const Row *row) {
    LoopModule *m = fn->lower->module;
    LExpr *index = place->batched ? row->b : loop_int(m, 0);
    if (place->ring > 1 || place->window) {
        LExpr *at = loop_int(m, place->window ? -place->low : 0);
        for (int d = 0; d < source->domain_count; d++) {
            At own = {.kind = AT_INDEX, .index = source->domain[d]};
            if (access) own = access->at[d];
            if (own.kind != AT_INDEX && own.kind != AT_SCALE) continue;
            at = loop_add(m, at, loop_int(m, own.offset));
            if (fn->window_at[own.index]) at = loop_add(m, at, fn->window_at[own.index]);
        }
        if (!place->window) at = lower_slot(fn, reader, source, place->ring, at);
        index = loop_add(m, loop_mul(m, at, place->batched ? fn->batch : loop_int(m, 1)), index);
    }
    return loop_mul(m, index, loop_int(m, place->stride));
}

LExpr *lower_row(Fn *fn, const Value *reader, const Value *source, int access, const Row *row) {
    return lower_row_in(fn, lower_place_of(fn, source, access), reader, source, access, row);
}

/* Where the first vector of a row lies in its panel. */
static LExpr *panel_row(Fn *fn, const RowPlace *place, LExpr *position, LExpr *flat, LExpr *b) {
    LoopModule *m = fn->lower->module;
    int64_t step = (int64_t)place->panel * fn->lower->lanes; /* from sequence to sequence */
    if (flat) {
        position = loop_add(m, position, loop_op(m, SOP_DIV, flat, fn->batch, NULL));
        b = loop_op(m, SOP_MOD, flat, fn->batch, NULL);
    }
    LExpr *at =
        loop_mul(m, loop_mul(m, position, fn->batch), loop_int(m, place->stride * place->panel));
    at = loop_add(m, at, loop_mul(m, b, loop_int(m, step)));
    return loop_add(m, at, loop_int(m, (int64_t)place->slot * fn->lower->lanes));
}

LExpr *lower_along(Fn *fn, const RowPlace *place, LExpr *index) {
    LoopModule *m = fn->lower->module;
    if (!place->panel) return index;
    return loop_mul(m, index, loop_mul(m, fn->batch, loop_int(m, place->panel)));
}

LExpr *lower_row_in(Fn *fn, const RowPlace *place, const Value *reader, const Value *source,
                    int access_number, const Row *row) {
    LoopModule *m = fn->lower->module;
    const Access *access =
        access_number >= 0 ? &fn->lower->schedule->accesses.at[access_number] : NULL;
    if (fn->step) {
        /* The caller's tensors have one row a sequence, ours may have slots. */
        return step_row(fn, place, reader, source, access, row);
    }
    LExpr *index = loop_int(m, 0);
    bool flat = false;
    for (int d = 0; d < place->dim_count; d++) {
        int axis = fn->lower->graph->indices.at[place->dims[d]].axis;
        const At *at = at_of(access, source, place->dims[d]);
        LExpr *c = coordinate(fn, reader, at, place->dims[d], row);
        LExpr *extent = loop_add(m, fn->extent[axis], loop_int(m, place->pre[d] + place->post[d]));
        index = d ? loop_mul(m, index, extent) : index;
        if (!c) {
            flat = true;
            c = loop_int(m, at ? at->offset : 0);
        }
        index = loop_add(m, index, loop_add(m, c, loop_int(m, place->pre[d])));
    }
    if (place->panel) return panel_row(fn, place, index, flat ? row->flat : NULL, row->b);
    if (flat) {
        index =
            loop_add(m, loop_mul(m, index, place->batched ? fn->batch : loop_int(m, 1)), row->flat);
    } else if (place->batched) {
        index = loop_add(m, loop_mul(m, index, fn->batch), row->b);
    }
    index = loop_mul(m, index, loop_int(m, place->stride));
    return place->shift ? loop_add(m, place->shift, index) : index;
}

typedef struct FlatCheck {
    Fn *fn;
    int index;
    bool batched, over; /* over: some use has the index */
    bool good;
} FlatCheck;

static void check_flat(void *user, const Use *use, bool boundary) {
    FlatCheck *check = user;
    const Schedule *schedule = check->fn->lower->schedule;
    const Value *source = schedule->values.at[use->value];
    if (boundary) return;
    if (source->kind == VALUE_CONST || source->kind == VALUE_PARAM) return;
    if (source->kind == VALUE_LEAF) {
        check->good = false; /* a position or a length: different for each row */
        return;
    }
    const RowPlace *place = lower_place_of(check->fn, source, -1);
    const Access *access = use->access >= 0 ? &schedule->accesses.at[use->access] : NULL;
    bool over = false;
    for (int d = 0; d < place->dim_count; d++) {
        const At *at = at_of(access, source, place->dims[d]);
        if (at && (at->kind == AT_LAST || at->kind == AT_SCALE || at->kind == AT_DIV))
            check->good = false;
        int index = at ? at->index : place->dims[d];
        if (at && at->kind != AT_INDEX) continue;
        if (index != check->index) continue;
        over = true;
        if (d != place->dim_count - 1) check->good = false;
    }
    if (over ? place->batched != check->batched : place->batched) check->good = false;
    check->over = check->over || over;
}

bool lower_flat_use(Fn *fn, const Use *use, int index) {
    FlatCheck check = {fn, index, true, false, true};
    check_flat(&check, use, false);
    return check.good && check.over;
}

/* Whether the rows of a family over one map index can be walked as one run of position*batch +
 * sequence. */
bool lower_flat(Fn *fn, const Family *family, int *index) {
    if (fn->step || family->domain_count != 1) return false;
    FlatCheck check = {fn, family->domain[0], family->batched, false, true};
    const Schedule *schedule = fn->lower->schedule;
    for (int i = 0; i < family->values.count && check.good; i++) {
        const Value *reader = schedule->values.at[family->values.at[i]];
        schedule_uses(schedule, reader, check_flat, &check);
        const RowPlace *place = &fn->places[reader->id];
        if (place->buffer >= 0 &&
            (place->dim_count < 1 || place->dims[place->dim_count - 1] != check.index))
            check.good = false;
        if (reader->kind == VALUE_POINT && reader->op == OP_HOLD) check.good = false;
    }
    *index = check.index;
    return check.good;
}
