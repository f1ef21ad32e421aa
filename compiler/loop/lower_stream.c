/* Which models can run step by step, and what a step must keep for the next ones.
 *
 * A value is timed (it has a position), static (known before the first step), or late (made from
 * timed ones: the last state, a running sum). In a step a late value is that of the sequence so
 * far, so nothing that has a position may depend on one: its earlier values would have to change.
 */
#include "loop/lower_internal.h"

typedef struct Search {
    Lower *lower;
    const Value *reader;
    const char *why;
    bool late, all;
} Search;

static bool timed(const Value *value) {
    return value->domain_count > 0;
}

static const char *place_text(Lower *lower, const Value *value) {
    if (value->name) return value->name;
    const Span *span = &value->span;
    int line = span->source ? source_place(span->source, span->begin).line : 0;
    return arena_printf(lower->arena, "a value in line %d", line);
}

static void find_late(void *user, const Use *use, bool boundary) {
    Search *s = user;
    const Value *source = s->lower->schedule->values.at[use->value];
    (void)boundary;
    if (timed(source) || s->lower->late[source->id]) s->late = true;
}

/* Operands come before their readers within a block, and blocks are in order. */
static void mark_late(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    lower->late = ARENA_ARRAY(lower->arena, schedule->values.count + 1, bool);
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        lower->late[i] = value->live && value->kind == VALUE_LEAF && value->op == OP_LENGTH;
    }
    for (int b = 0; b < schedule->blocks.count; b++)
        for (int i = 0; i < schedule->blocks.at[b]->values.count; i++) {
            const Value *value = schedule->values.at[schedule->blocks.at[b]->values.at[i]];
            Search s = {.lower = lower};
            if (timed(value)) continue;
            schedule_uses(schedule, value, find_late, &s);
            if (s.late || lower_over_time(value)) lower->late[value->id] = true;
        }
}

bool lower_static(const Lower *lower, const Value *value) {
    return !timed(value) && !lower->late[value->id];
}

/* A boundary that is computed is made by reset: all its family must be static then. */
static bool reset_can_make(const Lower *lower, const Value *boundary) {
    const Schedule *schedule = lower->schedule;
    if (!lower_static(lower, boundary)) return false;
    if (schedule_is_leaf(boundary) || boundary->family < 0) return true;
    const Family *family = schedule->families.at[boundary->family];
    for (int i = 0; i < family->values.count; i++)
        if (!lower_static(lower, schedule->values.at[family->values.at[i]])) return false;
    return true;
}

/* How a use reads positions that a step does not have; NULL: it has them. */
static const char *not_there(const Lower *lower, const Value *reader, const Use *use) {
    const Value *source = lower->schedule->values.at[use->value];
    bool running = lower_reduction(lower, reader).kind == REDUCTION_RUNNING;
    for (int d = 0; d < source->domain_count; d++) {
        Reach reach = lower_reach(lower, reader, use, d);
        if (reach.kind == REACH_LAST && (timed(reader) || running)) return "at the end";
        if (reach.kind == REACH_UNKNOWN) return "at positions that are computed";
        if (reach.kind == REACH_NOW && running)
            return "at the position that it is computed for, at each of the past";
    }
    return NULL;
}

static void check_use(void *user, const Use *use, bool boundary) {
    Search *s = user;
    Lower *lower = s->lower;
    const Value *source = lower->schedule->values.at[use->value];
    bool changes =
        lower->late[source->id] &&
        (timed(s->reader) || lower_reduction(lower, s->reader).kind == REDUCTION_RUNNING);
    if (s->why) return;
    int64_t ahead;
    if (changes && !lower_counts_past(lower->schedule, s->reader, &ahead)) {
        s->why = arena_printf(lower->arena, "%s depends on the whole sequence through %s",
                              place_text(lower, s->reader), place_text(lower, source));
        return;
    }
    if (boundary) return;
    const char *how = not_there(lower, s->reader, use);
    if (how)
        s->why = arena_printf(lower->arena, "%s reads %s %s", place_text(lower, s->reader),
                              place_text(lower, source), how);
    if (s->why || use->access < 0 || source->boundary < 0) return;
    if (!reset_can_make(lower, lower->schedule->values.at[source->boundary]))
        s->why = arena_printf(lower->arena, "the boundary value of %s depends on the sequence",
                              place_text(lower, source));
}

static const char *other_axis(Lower *lower, const Value *value, int a, int *axis) {
    a = lower_run_axis(lower, a);
    if (*axis >= 0 && a != *axis)
        return arena_printf(lower->arena, "it runs over several axes (%s)",
                            place_text(lower, value));
    *axis = a;
    return NULL;
}

/* Of values one by one: one axis, no reduction that a step cannot go on with, nothing that counts
 * from the end. */
static const char *why_not(Lower *lower, const Value *value, int *axis) {
    const char *why = NULL;
    for (int d = 0; d < value->domain_count && !why; d++)
        why = other_axis(lower, value, lower->graph->indices.at[value->domain[d]].axis, axis);
    if (lower_over_time(value) && !why)
        why = other_axis(lower, value, lower->graph->indices.at[value->attr->index].axis, axis);
    if (value->kind == VALUE_LEAF && value->op == OP_LENGTH && !why)
        why = other_axis(lower, value, value->attr->slot, axis);
    if (why) return why;
    if (lower_over_time(value) && lower_reduction(lower, value).kind == REDUCTION_NONE)
        return arena_printf(lower->arena, "%s %s", place_text(lower, value),
                            lower_reduction(lower, value).why);
    if ((value->kind == VALUE_LEAF || value->op == OP_HOLD) && value->attr && value->attr->mirrored)
        return arena_printf(lower->arena, "%s runs backwards", place_text(lower, value));
    if (schedule_draws_from_end(lower->schedule, value, -1))
        return arena_printf(lower->arena, "%s runs backwards", place_text(lower, value));
    return NULL;
}

const char *lower_no_step(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    const Value *where = NULL;
    int axis = -1;
    lower->step_axis = -1;
    mark_late(lower);
    lower->delay = ARENA_ARRAY(lower->arena, schedule->values.count + 1, int64_t);
    lower->period = 1;
    lower->windows = ARENA_ARRAY(lower->arena, schedule->values.count + 1, Window);
    for (int i = 0; i < schedule->values.count; i++) lower->windows[i].index = -1;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        const char *why = value->live ? why_not(lower, value, &axis) : NULL;
        if (why) return why;
    }
    if (axis < 0) return "it has no time";
    lower->step_axis = axis;
    const char *why = lower_find_windows(lower, &where);
    if (why) return arena_printf(lower->arena, "%s %s", place_text(lower, where), why);
    for (int i = 0; i < schedule->values.count; i++) {
        Search s = {.lower = lower, .reader = schedule->values.at[i]};
        if (!s.reader->live) continue;
        schedule_uses(schedule, s.reader, check_use, &s);
        if (s.why) return s.why;
    }
    for (int i = 0; i < schedule->nests.count; i++)
        if (schedule->nests.at[i]->kind == NEST_LOOP && schedule->nests.at[i]->backward)
            return "it runs backwards";
    const char *delays = lower_find_delays(lower);
    if (delays) return delays;
    if (lower->latency && lower->graph->carries.count)
        return "it carries a state from chunk to chunk, and reads ahead";
    /* A step knows the position on its own axis; each chunk begins a slower one anew. */
    for (int c = 0; c < lower->graph->carries.count; c++)
        if (lower->graph->carries.at[c].axis != axis)
            return arena_printf(lower->arena, "it carries a state along %s, which is slower",
                                lower->graph->axes.at[lower->graph->carries.at[c].axis].name);
    lower_find_outside(lower);
    return NULL;
}

/* --- what is kept --------------------------------------------------------------------------------
 */

/* `slots`: it is read at other positions than those that its loop reads, so one row is not enough.
 */
static void keep(Lower *lower, KeptKind kind, int value, int lags, bool carries, bool slots) {
    int carried = carries ? lags : 0;
    for (int i = 0; i < lower->kept.count; i++) {
        Kept *kept = &lower->kept.at[i];
        if (kept->value != value || kept->kind != kind) continue;
        kept->slots = kept->slots || slots;
        if (lags > kept->lags) kept->lags = lags;
        if (carried > kept->carried) kept->carried = carried;
        return;
    }
    vec_push(
        lower->arena, &lower->kept,
        (Kept){.kind = kind, .value = value, .lags = lags, .carried = carried, .slots = slots});
}

static void collect(void *user, const Use *use, bool boundary) {
    Search *s = user;
    Lower *lower = s->lower;
    const Value *source = lower->schedule->values.at[use->value];
    bool carried = use->access >= 0 && lower->schedule->accesses.at[use->access].carry;
    if (boundary) return;
    for (int d = 0; d < source->domain_count && (s->all || carried); d++) {
        const At *at = use->access >= 0 ? &lower->schedule->accesses.at[use->access].at[d] : NULL;
        int64_t offset = at && at->kind == AT_INDEX ? -at->offset : 0, lag = offset;
        bool held = false;
        if (at && at->kind == AT_FIRST && s->all) {
            keep(lower, KEPT_FIRST, use->value, 1, false, false);
            continue;
        }
        if (s->all && source->domain_count == 1 && source->kind != VALUE_LEAF)
            lag = lower_lag(lower, s->reader, use, d, &held);
        if (held) lag++; /* the newest is not always made anew */
        if (lag > 0) keep(lower, KEPT_LAGS, use->value, (int)lag, carried, held || lag != offset);
    }
}

void lower_collect_kept(Lower *lower, bool step) {
    const Schedule *schedule = lower->schedule;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live) continue;
        Search s = {.lower = lower, .reader = value, .all = step};
        schedule_uses(schedule, value, collect, &s);
        if (step && lower_reduction(lower, value).kind == REDUCTION_RUNNING)
            keep(lower, KEPT_RUNNING, i, 1, false, false);
    }
    for (int o = 0; o < schedule->outputs.count && step; o++) {
        const Value *value = schedule->values.at[schedule->outputs.at[o]];
        Value reader = lower_output_reader(lower, value);
        Search s = {.lower = lower, .reader = &reader, .all = true};
        collect(&s, &(Use){value->id, -1}, false);
    }
}

typedef struct KeepFirst {
    Fn *fn;
    LBlock *out;
    const Value *reader;
} KeepFirst;

static void keep_first(void *user, const Use *use, bool boundary) {
    KeepFirst *k = user;
    Fn *fn = k->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *source = lower->schedule->values.at[use->value];
    const RowPlace *place = &fn->firsts[source->id];
    bool first = false;
    for (int d = 0; d < source->domain_count; d++)
        first = first || lower_reach(lower, k->reader, use, d).kind == REACH_FIRST;
    if (boundary || !first || place->buffer < 0 || fn->filled_pre[source->id]) return;
    fn->filled_pre[source->id] = true;
    LStmt *each = loop_for(m, fn->fn, k->out, "b", loop_int(m, 0), fn->batch, 1);
    Row row = {.b = loop_var(m, fn->fn, each->var)};
    LExpr *at = lower_now(fn, source, row.b);
    LStmt *begins = loop_if(m, &each->body, loop_op(m, SOP_EQ, at, loop_int(m, 0), NULL));
    LStmt *loop =
        loop_for(m, fn->fn, &begins->body, "i", loop_int(m, 0), loop_int(m, source->count), 1);
    LExpr *i = loop_var(m, fn->fn, loop->var);
    Use now = {source->id, -1};
    LExpr *e = lower_element(fn, &loop->body, source, &now, &row, i, 1, lower_want(source));
    if (source->type.dtype != DT_FLOAT) {
        e = lower_as(lower, e, WANT_INT);
        if (e->type != place->type) e = loop_convert(m, SOP_CONVERT, place->type, e);
    }
    LExpr *to = loop_add(m, loop_mul(m, row.b, loop_int(m, place->stride)), i);
    loop_store(m, &loop->body, place->buffer, to, e, false);
}

void lower_keep_first(Fn *fn, LBlock *out, const Value *reader) {
    KeepFirst k = {fn, out, reader};
    schedule_uses(fn->lower->schedule, reader, keep_first, &k);
}

/* --- static values in a reset --------------------------------------------------------------------
 */

bool lower_static_needed(const Lower *lower) {
    for (int k = 0; k < lower->kept.count; k++) {
        const Value *value = lower->schedule->values.at[lower->kept.at[k].value];
        if (lower->kept.at[k].kind == KEPT_LAGS && value->boundary >= 0 &&
            !schedule_is_leaf(lower->schedule->values.at[value->boundary]))
            return true;
    }
    return false;
}

void lower_static_values(Fn *fn, LBlock *out) {
    Lower *lower = fn->lower;
    const Schedule *schedule = lower->schedule;
    for (int b = 0; b < schedule->blocks.count; b++) {
        const Block *block = schedule->blocks.at[b];
        for (int stage = 0; stage < block->stages; stage++) {
            for (int i = 0; i < block->prologues.count; i++) {
                const Value *value = schedule->values.at[block->prologues.at[i]];
                if (value->stage == stage && lower_static(lower, value))
                    lower_prologue(fn, out, block, value);
            }
            for (int i = 0; i < block->families.count; i++) {
                const Family *family = schedule->families.at[block->families.at[i]];
                bool all = family->stage == stage;
                for (int v = 0; v < family->values.count && all; v++)
                    all = lower_static(lower, schedule->values.at[family->values.at[v]]);
                if (all) lower_family(fn, out, block, family, false);
            }
        }
    }
}
