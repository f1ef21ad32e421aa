/* The state between calls: what is read at earlier positions, and the position. One layout serves
 * the step function and the chunks of a sequence function that carries. */
#include "loop/lower_internal.h"

#include <math.h>

/* Values without a name may have the same label. */
static void name_kept(Lower *lower, int i) {
    static const char *const kinds[] = {"kept", "first", "running"};
    Kept *kept = &lower->kept.at[i];
    const Value *value = lower->schedule->values.at[kept->value];
    const char *name =
        arena_printf(lower->arena, "%s_%s", kinds[kept->kind], lower_name(lower, value));
    kept->name = name_of(lower->names, name);
    for (int j = 0, n = 2; j < i; j++)
        if (lower->kept.at[j].name == kept->name) {
            kept->name = name_of(lower->names, arena_printf(lower->arena, "%s_%d", name, n++));
            j = -1;
        }
}

/* Instances that are carried along one axis advance together. */
void lower_carry_places(Lower *lower) {
    const Graph *graph = lower->graph;
    lower->carry_place = ARENA_ARRAY(lower->arena, graph->carries.count + 1, int);
    lower->position_places = 0;
    for (int c = 0; c < graph->carries.count; c++) {
        int first = 0;
        while (graph->carries.at[first].axis != graph->carries.at[c].axis) first++;
        lower->carry_place[c] = first < c ? lower->carry_place[first] : lower->position_places++;
    }
    if (!lower->position_places) lower->position_places = 1;
}

LExpr *lower_position_at(Fn *fn, int place, LExpr *b) {
    LoopModule *m = fn->lower->module;
    return place ? loop_add(m, loop_mul(m, fn->batch, loop_int(m, place)), b) : b;
}

/* One state goes through all functions of a model. */
static void take_layout(Lower *lower) {
    const Lower *from = lower->layout;
    for (int i = 0; i < lower->kept.count; i++)
        for (int j = 0; j < from->kept.count; j++)
            if (from->kept.at[j].name == lower->kept.at[i].name) {
                lower->kept.at[i].ring = from->kept.at[j].ring;
                lower->kept.at[i].offset = from->kept.at[j].offset;
            }
    lower->clock_offset = from->clock_offset;
    lower->positions_offset = from->positions_offset;
    lower->ends_offset = from->ends_offset;
    lower->state_size = from->state_size;
}

void lower_state_layout(Lower *lower, bool step) {
    const Schedule *schedule = lower->schedule;
    for (int i = 0; i < schedule->accesses.count; i++)
        if (schedule->accesses.at[i].carry) lower->carries = true;
    lower->carries = lower->carries || lower->graph->carries.count > 0;
    if (!step && !lower->carries) return;
    lower_collect_kept(lower, step);
    lower_carry_places(lower);
    /* What chunks carry comes first: that is what a state file holds. */
    for (int i = 0, next = 0; i < lower->kept.count; i++)
        if (lower->kept.at[i].carried) {
            Kept kept = lower->kept.at[i];
            for (int j = i; j > next; j--) lower->kept.at[j] = lower->kept.at[j - 1];
            lower->kept.at[next++] = kept;
        }
    for (int i = 0; i < lower->kept.count; i++) name_kept(lower, i);
    if (lower->layout) {
        take_layout(lower);
        return;
    }
    Size bytes = size_constant(64);
    lower->clock_offset = size_constant(0);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < lower->kept.count; i++) {
            Kept *kept = &lower->kept.at[i];
            const Value *value = schedule->values.at[kept->value];
            if ((value->count > 1) != (pass == 0)) continue;
            bool one_row = value->inplace && !kept->slots;
            kept->ring = kept->kind != KEPT_LAGS || one_row ? 0 : kept->lags + 1;
            kept->offset = bytes;
            int64_t row = lower_stride(lower, value) *
                          (value->count > 1 ? loop_type_size(lower_type(lower, value)) : 8);
            bytes =
                size_plus(bytes, size_times(size_symbol(0),
                                            size_constant(row * (kept->ring ? kept->ring : 1))));
        }
        if (pass == 0) {
            lower->positions_offset = bytes;
            bytes = size_plus(
                bytes, size_times(size_symbol(0), size_constant(8 * lower->position_places)));
            lower->ends_offset = bytes;
            if (step && lower->latency)
                bytes = size_plus(bytes, size_times(size_symbol(0), size_constant(8)));
        }
    }
    lower->state_size = bytes;
}

int lower_state_buffer(Fn *fn, const Kept *kept) {
    Lower *lower = fn->lower;
    const Value *value = lower->schedule->values.at[kept->value];
    for (int i = 0; i < fn->fn->buffers.count; i++)
        if (fn->fn->buffers.at[i].name == kept->name && fn->fn->buffers.at[i].arg == fn->state)
            return i;
    int64_t rows = kept->ring ? kept->ring : 1;
    return loop_buffer(
        lower->module, fn->fn,
        (LBuffer){.name = kept->name,
                  .type = lower_type(lower, value),
                  .base = LB_ARG,
                  .arg = fn->state,
                  .offset = size_expr(fn, kept->offset),
                  .align = value->count > 1 ? 64 : 0,
                  .written = lower_writes_state(fn),
                  .count = loop_mul(lower->module, fn->batch,
                                    loop_int(lower->module, rows * lower_stride(lower, value))),
                  .layout = kept->ring
                                ? arena_printf(lower->arena, "[%d slots][batch][%lld]", kept->ring,
                                               (long long)lower_stride(lower, value))
                                : arena_printf(lower->arena, "[batch][%lld]",
                                               (long long)lower_stride(lower, value))});
}

void lower_state_header(Fn *fn) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int clock = loop_buffer(m, fn->fn,
                            (LBuffer){.name = name_of(lower->names, "calls"),
                                      .type = LT_I64,
                                      .base = LB_ARG,
                                      .arg = fn->state,
                                      .offset = loop_int(m, 0),
                                      .count = loop_int(m, 8),
                                      .align = 64,
                                      .written = lower_writes_state(fn),
                                      .layout = "steps taken, for the slots"});
    fn->positions = loop_buffer(
        m, fn->fn,
        (LBuffer){.name = name_of(lower->names, "position"),
                  .type = LT_I64,
                  .base = LB_ARG,
                  .arg = fn->state,
                  .offset = size_expr(fn, lower->positions_offset),
                  .count = loop_mul(m, fn->batch, loop_int(m, lower->position_places)),
                  .written = lower_writes_state(fn),
                  .layout = lower->position_places > 1 ? "[axis][batch]: steps since the reset"
                                                       : "[batch]: steps since the reset"});
    (void)clock;
    if (!lower->latency || lower->interface_->no_step) return;
    fn->ends = loop_buffer(m, fn->fn,
                           (LBuffer){.name = name_of(lower->names, "end"),
                                     .type = LT_I64,
                                     .base = LB_ARG,
                                     .arg = fn->state,
                                     .offset = size_expr(fn, lower->ends_offset),
                                     .count = fn->batch,
                                     .written = lower_writes_state(fn),
                                     .layout = "[batch]: length, once it is known"});
}

void lower_kept_places(Fn *fn) {
    Lower *lower = fn->lower;
    for (int k = 0; k < lower->kept.count; k++) {
        const Kept *kept = &lower->kept.at[k];
        const Value *value = lower->schedule->values.at[kept->value];
        RowPlace *places = kept->kind == KEPT_FIRST     ? fn->firsts
                           : kept->kind == KEPT_RUNNING ? fn->runs
                                                        : fn->places;
        places[value->id] = (RowPlace){.buffer = lower_state_buffer(fn, kept),
                                       .type = lower_type(lower, value),
                                       .stride = lower_stride(lower, value),
                                       .padded = value->count > 1,
                                       .batched = true,
                                       .ring = kept->ring};
    }
}

static int clock_buffer(const Fn *fn) {
    return fn->positions - 1; /* lower_state_header makes both, one after the other */
}

static LExpr *row_at_lag(Fn *fn, const Kept *kept, LExpr *lag, LExpr *b) {
    LoopModule *m = fn->lower->module;
    const Value *value = fn->lower->schedule->values.at[kept->value];
    LExpr *index = b;
    if (kept->ring) {
        LExpr *clock = fn->clock ? fn->clock
                                 : loop_load(m, fn->fn, clock_buffer(fn), loop_int(m, 0), 1, false);
        LExpr *slot = lower_slot_before(fn, value, clock, kept->ring, lag);
        index = loop_add(m, loop_mul(m, slot, fn->batch), index);
    }
    return loop_mul(m, index, loop_int(m, lower_stride(fn->lower, value)));
}

LExpr *lower_state_row(Fn *fn, const Kept *kept, int lag, LExpr *b) {
    return row_at_lag(fn, kept, loop_int(fn->lower->module, lag), b);
}

/* After a chunk: the last rows of each sequence, and its position. Rows before position 0 are those
 * that the chunk began with, so a chunk shorter than the lag keeps what it must. */
void lower_save_state(Fn *fn, LBlock *out) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    for (int k = 0; k < lower->kept.count; k++) {
        const Kept *kept = &lower->kept.at[k];
        const Value *value = lower->schedule->values.at[kept->value];
        const RowPlace *place = &fn->places[value->id];
        if (!kept->carried) continue;
        int buffer = lower_state_buffer(fn, kept), index = value->domain[0];
        int axis = lower->graph->indices.at[index].axis;
        LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        Row row = {.b = loop_var(m, fn->fn, each->var)};
        for (int lag = kept->carried; lag >= 1; lag--) {
            LExpr *at = loop_sub(m, lower_length(fn, NULL, axis, row.b), loop_int(m, lag));
            fn->map_position[index] = lower_let(fn, &each->body, "at", at);
            LExpr *from = lower_let(fn, &each->body, "from", lower_row(fn, value, value, -1, &row));
            LExpr *to = lower_let(fn, &each->body, "to", lower_state_row(fn, kept, lag, row.b));
            LStmt *loop =
                loop_for(m, fn->fn, &each->body, "i", loop_int(m, 0), loop_int(m, value->count), 1);
            LExpr *i = loop_var(m, fn->fn, loop->var);
            loop_store(m, &loop->body, buffer, loop_add(m, to, i),
                       loop_load(m, fn->fn, place->buffer, loop_add(m, from, i), 1, false), false);
            fn->map_position[index] = NULL;
        }
    }
    for (int c = 0, saved = 0; c < lower->graph->carries.count; c++) {
        int axis = lower->graph->carries.at[c].axis;
        if (lower->carry_place[c] != saved) continue;
        saved++;
        LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        LExpr *b = loop_var(m, fn->fn, each->var);
        LExpr *at = lower_position_at(fn, lower->carry_place[c], b);
        loop_store(m, &each->body, fn->positions, at,
                   loop_add(m, loop_load(m, fn->fn, fn->positions, at, 1, false),
                            lower_length(fn, NULL, axis, b)),
                   false);
    }
}

/* --- reset, export, import
 * --------------------------------------------------------------------------------------- */

static LoopType row_type(const Lower *lower, const Value *value) {
    return value->type.dtype == DT_FLOAT ? lower->real
           : value->type.dtype == DT_INT ? LT_I32
                                         : LT_I8;
}

static void make_reset(Lower *lower) {
    LoopModule *m = lower->module;
    Fn fn = lower_function(lower, "reset", LT_I32,
                           "Puts sequences [first, first + count) of a state to their beginning.\n"
                           "A new state is reset whole (first 0, count batch) before it is used.\n"
                           "A workspace, where it asks for one, is that of step.",
                           true);
    lower_arg(&fn, ROLE_WEIGHTS, 0);
    lower_arg(&fn, ROLE_BATCH, 0);
    int first_arg = lower_arg(&fn, ROLE_FIRST, 0), count_arg = lower_arg(&fn, ROLE_COUNT, 0);
    /* Boundary values may be inputs without time, and what is computed from them. */
    bool computed = lower_static_needed(lower);
    for (int k = 0; k < lower->kept.count; k++) {
        const Value *value = lower->schedule->values.at[lower->kept.at[k].value];
        const Value *boundary =
            value->boundary >= 0 ? lower->schedule->values.at[value->boundary] : NULL;
        if (boundary && boundary->kind == VALUE_INPUT) lower_arg(&fn, ROLE_INPUT, boundary->slot);
    }
    for (int i = 0; computed && i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        if (value->live && value->kind == VALUE_INPUT && lower_static(lower, value))
            lower_arg(&fn, ROLE_INPUT, value->slot);
    }
    lower_arg(&fn, ROLE_STATE, 0);
    if (computed) lower_seed_argument(&fn, true);
    int work_arg = computed ? lower_arg(&fn, ROLE_WORK, 0) : -1;
    int bytes_arg = computed ? lower_arg(&fn, ROLE_WORK_BYTES, 0) : -1;
    lower_state_header(&fn);
    if (computed) lower_kept_places(&fn); /* then its workspace is that of a step */
    Size work = computed ? place_values(&fn, work_arg) : size_constant(0);
    LBlock *out = &fn.fn->body;
    LExpr *first = loop_var(m, fn.fn, fn.fn->args.at[first_arg].var),
          *count = loop_var(m, fn.fn, fn.fn->args.at[count_arg].var);
    lower_check_batch(&fn, out);
    LExpr *bad = loop_op(m, SOP_MOR, loop_op(m, SOP_LT, first, loop_int(m, 0), NULL),
                         loop_op(m, SOP_LT, count, loop_int(m, 0), NULL), NULL);
    bad = loop_op(m, SOP_MOR, bad, loop_op(m, SOP_GT, count, loop_sub(m, fn.batch, first), NULL),
                  NULL);
    loop_return(m, &loop_if(m, out, bad)->body, loop_int_of(m, LT_I32, LOOP_BAD_LENGTH));
    if (lower->period > 1) { /* slower axes go by the clock of all */
        LExpr *clock = loop_load(m, fn.fn, clock_buffer(&fn), loop_int(m, 0), 1, false);
        LExpr *rest = loop_op(m, SOP_MOD, clock, loop_int(m, lower->period), NULL);
        LStmt *some = loop_if(m, out, loop_op(m, SOP_NE, count, fn.batch, NULL));
        LStmt *between = loop_if(m, &some->body, loop_op(m, SOP_NE, rest, loop_int(m, 0), NULL));
        loop_return(m, &between->body, loop_int_of(m, LT_I32, LOOP_BAD_LENGTH));
    }
    if (computed) {
        LExpr *given = loop_var(m, fn.fn, fn.fn->args.at[bytes_arg].var);
        LExpr *small = loop_op(m, SOP_LT, given, size_expr(&fn, work), NULL);
        loop_return(m, &loop_if(m, out, small)->body, loop_int_of(m, LT_I32, LOOP_BAD_SPACE));
        lower_copy_inputs(&fn, out);
        lower_static_values(&fn, out);
    }
    LStmt *whole = loop_if(m, out, loop_op(m, SOP_EQ, count, fn.batch, NULL));
    loop_store(m, &whole->body, clock_buffer(&fn), loop_int(m, 0), loop_int(m, 0), false);
    LStmt *each = loop_for(m, fn.fn, out, "n", loop_int(m, 0), count, 1);
    LExpr *b = lower_let(&fn, &each->body, "b", loop_add(m, first, loop_var(m, fn.fn, each->var)));
    Row row = {.b = b};
    for (int place = 0; place < lower->position_places; place++)
        loop_store(m, &each->body, fn.positions, lower_position_at(&fn, place, b), loop_int(m, 0),
                   false);
    if (fn.ends >= 0) loop_store(m, &each->body, fn.ends, b, loop_int(m, NO_END), false);
    for (int k = 0; k < lower->kept.count; k++) {
        const Kept *kept = &lower->kept.at[k];
        const Value *value = lower->schedule->values.at[kept->value];
        int buffer = lower_state_buffer(&fn, kept);
        LBlock *body = &each->body;
        LExpr *slot = loop_int(m, 0), *i = loop_int(m, 0);
        if (kept->ring) {
            LStmt *loop =
                loop_for(m, fn.fn, body, "slot", loop_int(m, 0), loop_int(m, kept->ring), 1);
            slot = loop_var(m, fn.fn, loop->var);
            body = &loop->body;
        }
        if (value->count > 1) {
            LStmt *loop =
                loop_for(m, fn.fn, body, "i", loop_int(m, 0), loop_int(m, value->count), 1);
            i = loop_var(m, fn.fn, loop->var);
            body = &loop->body;
        }
        LExpr *to = loop_add(m,
                             loop_mul(m, loop_add(m, loop_mul(m, slot, fn.batch), b),
                                      loop_int(m, lower_stride(lower, value))),
                             i);
        Use use = {kept->kind == KEPT_LAGS ? value->boundary : -1, -1};
        const Value *boundary = use.value >= 0 ? lower->schedule->values.at[use.value] : NULL;
        LoopType type = lower_type(lower, value);
        bool low =
            kept->kind == KEPT_RUNNING && value->op == OP_TMAX && value->type.dtype == DT_FLOAT;
        for (int part = 0; part < 2; part++) {
            LBlock *into = body;
            LExpr *given =
                boundary && boundary->kind == VALUE_INPUT ? fn.given[boundary->slot] : NULL;
            Use from = use;
            if (part && !given) break;
            if (given) {
                LStmt *test = part == 0 ? loop_if(m, body, given) : body->at[body->count - 1];
                into = part ? &test->otherwise : &test->body;
                if (part) from.value = lower->graph->inputs.at[boundary->slot].fallback;
            }
            LExpr *e = boundary
                           ? lower_element(&fn, into, value, &from, &row, i, 1, lower_want(value))
                           : lower_real(lower, low ? -INFINITY : 0, 1);
            if (value->type.dtype != DT_FLOAT) {
                e = lower_as(lower, e, WANT_INT);
                if (e->type != type) e = loop_convert(m, SOP_CONVERT, type, e);
            }
            loop_store(m, into, buffer, to, e, false);
        }
    }
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    lower->interface_->reset = lower_finish(&fn);
    if (!computed) return;
    Fn size = lower_function(
        lower, "reset_work_bytes", LT_I64,
        "Bytes of workspace that reset needs; -1 when an argument is out of its range.", true);
    lower_arg(&size, ROLE_BATCH, 0);
    lower_return_size(&size, work);
    lower->interface_->reset_work = lower_finish(&size);
}

/* Between the state and plain rows, one array a variable: [lags][batch][count], oldest first;
 * positions [batch]. */
static int transfer_array(Fn *fn, bool export_, int s, bool position) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const InterfaceState *state = &lower->interface_->states.at[s];
    LoopType type = LT_I64;
    if (!position) type = row_type(lower, lower->schedule->values.at[lower->kept.at[s].value]);
    char *name = arena_strndup(lower->arena, state->name, strlen(state->name));
    for (char *c = name; *c; c++)
        if (*c == '.' || *c == '#') *c = '_';
    for (int i = 0; i < fn->fn->args.count; i++)
        if (strcmp(fn->fn->args.at[i].name, name) == 0) {
            name = arena_printf(lower->arena, "%s_", name);
            i = -1;
        }
    int arg = loop_arg_pointer(m, fn->fn, name, type, export_, false,
                               position ? "[batch]: position" : "[lags][batch][elements]");
    vec_push(lower->arena,
             &lower->interface_->functions.at[lower->interface_->functions.count - 1].args,
             (InterfaceArg){export_ ? ROLE_OUTPUT : ROLE_INPUT, s});
    return loop_buffer(
        m, fn->fn,
        (LBuffer){
            .name = fn->fn->args.at[arg].name,
            .type = type,
            .base = LB_ARG,
            .arg = arg,
            .offset = loop_int(m, 0),
            .count = loop_mul(m, fn->batch, loop_int(m, position ? 1 : state->lags * state->count)),
            .written = export_});
}

static void refuse_length(Fn *fn, LBlock *out, LExpr *bad) {
    LoopModule *m = fn->lower->module;
    loop_return(m, &loop_if(m, out, bad)->body, loop_int_of(m, LT_I32, LOOP_BAD_LENGTH));
}

/* What no state ever is: a position below 0, behind the bound of its axis or another than that of
 * an instance that advances with it; an end below 0 or ahead of the position. Slower axes go by the
 * clock of all, so positions must differ by whole periods. `positions`: arrays, as many as there
 * are carries, or one; `end`: -1 where a step has no latency. */
static void import_positions(Fn *fn, LBlock *out, const int *positions, int end) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int count = lower->graph->carries.count ? lower->graph->carries.count : 1;
    LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
    LExpr *b = loop_var(m, fn->fn, each->var), *first = NULL;
    for (int c = 0; c < count; c++) {
        LExpr *at =
            lower_let(fn, &each->body, "at", loop_load(m, fn->fn, positions[c], b, 1, false));
        refuse_length(fn, &each->body, loop_op(m, SOP_LT, at, loop_int(m, 0), NULL));
        refuse_length(fn, &each->body, loop_op(m, SOP_GE, at, loop_int(m, NO_END), NULL));
        int same = 0;
        while (lower->carry_place[same] != lower->carry_place[c]) same++;
        if (same < c)
            refuse_length(
                fn, &each->body,
                loop_op(m, SOP_NE, at, loop_load(m, fn->fn, positions[same], b, 1, false), NULL));
        if (c == 0) first = at;
    }
    if (end >= 0) {
        LExpr *length =
            lower_let(fn, &each->body, "length", loop_load(m, fn->fn, end, b, 1, false));
        refuse_length(fn, &each->body, loop_op(m, SOP_LT, length, loop_int(m, 0), NULL));
        LStmt *known =
            loop_if(m, &each->body, loop_op(m, SOP_NE, length, loop_int(m, NO_END), NULL));
        refuse_length(fn, &known->body, loop_op(m, SOP_GT, length, first, NULL));
        first = loop_min(m, first, length);
    }
    /* A bound is of what steps take, and of one chunk. */
    for (int a = 0; a < lower->graph->axes.count && !lower->graph->carries.count; a++) {
        const Axis *axis = &lower->graph->axes.at[a];
        int64_t most = axis->fixed ? axis->fixed : axis->most;
        if (!lower->axis_used[a] || axis->kind != AXIS_RUN || !most) continue;
        refuse_length(fn, &each->body, loop_op(m, SOP_GT, first, loop_int(m, most), NULL));
    }
    if (lower->period == 1 || lower->interface_->no_step) return;
    LExpr *period = loop_int(m, lower->period);
    LExpr *wanted = loop_op(
        m, SOP_MOD, loop_load(m, fn->fn, positions[0], loop_int(m, 0), 1, false), period, NULL);
    LExpr *rest =
        loop_op(m, SOP_MOD, loop_load(m, fn->fn, positions[0], b, 1, false), period, NULL);
    refuse_length(fn, &each->body, loop_op(m, SOP_NE, rest, wanted, NULL));
    loop_store(m, out, clock_buffer(fn), loop_int(m, 0), wanted, false);
}

static void make_transfer(Lower *lower, bool export_, int listed) {
    LoopModule *m = lower->module;
    Fn fn =
        lower_function(lower, export_ ? "export_state" : "import_state", LT_I32,
                       export_ ? "Copies a state into plain arrays: each variable "
                                 "[lags][batch][elements], oldest first;\nthe position as [batch]."
                               : "The reverse of export_state, into a state that was reset.\n"
                                 "Positions that no state has are refused.",
                       true);
    lower_arg(&fn, ROLE_BATCH, 0);
    lower_arg(&fn, ROLE_STATE, 0);
    lower_state_header(&fn);
    LBlock *out = &fn.fn->body;
    lower_check_batch(&fn, out);
    int *arrays = ARENA_ARRAY(lower->arena, lower->interface_->states.count + 1, int);
    for (int s = 0; s < lower->interface_->states.count; s++)
        arrays[s] = transfer_array(&fn, export_, s, s >= listed);
    int last = lower->interface_->states.count - 1;
    if (!export_) import_positions(&fn, out, &arrays[listed], lower->latency ? arrays[last] : -1);
    for (int s = 0; s < lower->interface_->states.count; s++) {
        const InterfaceState *state = &lower->interface_->states.at[s];
        bool position = s >= listed; /* and the last of two the end */
        int number = lower->latency && s == last ? fn.ends : fn.positions;
        const Kept *kept = position ? NULL : &lower->kept.at[s];
        int plain = arrays[s];
        LoopType type = fn.fn->buffers.at[plain].type;
        LStmt *each = loop_for(m, fn.fn, out, "b", loop_int(m, 0), fn.batch, 1);
        LExpr *b = loop_var(m, fn.fn, each->var);
        if (position) {
            int place = lower->graph->carries.count ? lower->carry_place[s - listed] : 0;
            LExpr *at = lower_position_at(&fn, place, b);
            LExpr *e = export_ ? loop_load(m, fn.fn, number, at, 1, false)
                               : loop_load(m, fn.fn, plain, b, 1, false);
            loop_store(m, &each->body, export_ ? plain : number, export_ ? b : at, e, false);
            continue;
        }
        int buffer = lower_state_buffer(&fn, kept);
        LoopType own = fn.fn->buffers.at[buffer].type;
        LBlock *body = &each->body;
        LExpr *oldest = loop_int(m, 0);
        if (state->lags > 1) {
            LStmt *rows = loop_for(m, fn.fn, body, "k", oldest, loop_int(m, state->lags), 1);
            oldest = loop_var(m, fn.fn, rows->var);
            body = &rows->body;
        }
        LExpr *lag = loop_sub(m, loop_int(m, state->lags), oldest);
        LExpr *row = lower_let(&fn, body, "row", row_at_lag(&fn, kept, lag, b));
        LStmt *loop = loop_for(m, fn.fn, body, "i", loop_int(m, 0), loop_int(m, state->count), 1);
        LExpr *i = loop_var(m, fn.fn, loop->var);
        LExpr *at = loop_add(m, loop_mul(m, oldest, fn.batch), b);
        at = loop_add(m, loop_mul(m, at, loop_int(m, state->count)), i);
        LExpr *e = export_ ? loop_load(m, fn.fn, buffer, loop_add(m, row, i), 1, false)
                           : loop_load(m, fn.fn, plain, at, 1, false);
        LoopType to = export_ ? type : own;
        if (e->type != to) e = loop_convert(m, SOP_CONVERT, to, e);
        loop_store(m, &loop->body, export_ ? plain : buffer, export_ ? at : loop_add(m, row, i), e,
                   false);
    }
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    *(export_ ? &lower->interface_->export_state : &lower->interface_->import_state) =
        lower_finish(&fn);
}

void lower_state_functions(Lower *lower) {
    if (!lower->state_size.count) return;
    int listed = 0;
    for (int k = 0; k < lower->kept.count; k++) {
        const Value *value = lower->schedule->values.at[lower->kept.at[k].value];
        if (lower->carries && !lower->kept.at[k].carried) continue;
        listed++;
        static const char *const kinds[] = {"", ".first", ".running"};
        const char *name =
            arena_printf(lower->arena, "%s%s", value->name ? value->name : lower_name(lower, value),
                         kinds[lower->kept.at[k].kind]);
        for (int s = 0, n = 2; s < lower->interface_->states.count; s++)
            if (strcmp(lower->interface_->states.at[s].name, name) == 0) {
                name = arena_printf(lower->arena, "%s.%d", name, n++);
                s = -1;
            }
        vec_push(
            lower->arena, &lower->interface_->states,
            (InterfaceState){name_of(lower->names, name), value->type,
                             lower->carries ? lower->kept.at[k].carried : lower->kept.at[k].lags,
                             value->count});
    }
    for (int c = 0; c < lower->graph->carries.count; c++) {
        const GraphCarry *carry = &lower->graph->carries.at[c];
        const char *name = *carry->name ? arena_printf(lower->arena, "%s.t", carry->name) : "t";
        vec_push(lower->arena, &lower->interface_->states,
                 (InterfaceState){name_of(lower->names, name), {.dtype = DT_INT}, 1, 1});
    }
    /* Of a step: windows and reductions go by it; with a latency the end is part of it. */
    for (int i = 0; i < (lower->latency ? 2 : 1) && !lower->graph->carries.count; i++) {
        const char *name = i ? "t_end" : "t";
        for (int s = 0; s < lower->interface_->states.count; s++)
            if (strcmp(lower->interface_->states.at[s].name, name) == 0) {
                name = arena_printf(lower->arena, "%s_", name);
                s = -1;
            }
        vec_push(lower->arena, &lower->interface_->states,
                 (InterfaceState){name_of(lower->names, name), {.dtype = DT_INT}, 1, 1});
    }
    const char *doc = "Bytes of a state of `batch` sequences; -1 when it is out of its range.";
    Fn fn = lower_function(lower, "state_bytes", LT_I64, doc, true);
    lower_arg(&fn, ROLE_BATCH, 0);
    lower_return_size(&fn, lower->state_size);
    lower->interface_->state_bytes = lower_finish(&fn);
    make_reset(lower);
    make_transfer(lower, true, listed);
    make_transfer(lower, false, listed);
}
