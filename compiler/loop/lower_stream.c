/* Which models can run step by step, and what a step must keep for the next ones.
 *
 * A value is timed (it has a position), static (known before the first step), or late (made from timed
 * ones: the last state, a running sum). In a step a late value is that of the sequence so far, so nothing
 * that has a position may depend on one: its earlier values would have to change. */
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
            if (s.late) lower->late[value->id] = true;
        }
}

bool lower_static(const Lower *lower, const Value *value) {
    return !timed(value) && !lower->late[value->id];
}

static bool over_time(const Value *value) {
    return value->kind == VALUE_ROW &&
           (value->op == OP_TSUM || value->op == OP_TMAX || value->op == OP_TCONCAT);
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

static void check_use(void *user, const Use *use, bool boundary) {
    Search *s = user;
    Lower *lower = s->lower;
    const Value *source = lower->schedule->values.at[use->value];
    if (s->why) return;
    if (timed(s->reader) && lower->late[source->id]) {
        s->why = arena_printf(lower->arena, "%s depends on the whole sequence through %s",
                              place_text(lower, s->reader), place_text(lower, source));
        return;
    }
    if (use->access < 0 || boundary) return;
    const Access *access = &lower->schedule->accesses.at[use->access];
    for (int d = 0; d < access->at_count; d++) {
        const At *at = &access->at[d];
        const char *how = NULL;
        if (at->kind == AT_INDEX && at->offset > 0) how = "ahead";
        else if (at->kind == AT_INDEX && at->index != source->domain[d]) how = "at other positions";
        else if (at->kind == AT_SCALE || at->kind == AT_DIV) how = "across rates";
        else if (at->kind == AT_LAST && timed(s->reader)) how = "at the end";
        if (how)
            s->why = arena_printf(lower->arena, "%s reads %s %s", place_text(lower, s->reader),
                                  place_text(lower, source), how);
    }
    if (s->why || source->boundary < 0) return;
    if (!reset_can_make(lower, lower->schedule->values.at[source->boundary]))
        s->why = arena_printf(lower->arena, "the boundary value of %s depends on the sequence",
                              place_text(lower, source));
}

static const char *why_not(Lower *lower, const Value *value, int *axis) {
    const Schedule *schedule = lower->schedule;
    for (int d = 0; d < value->domain_count; d++) {
        int a = lower->graph->indices.at[value->domain[d]].axis;
        if (*axis >= 0 && a != *axis)
            return arena_printf(lower->arena, "it runs over several axes (%s)",
                                place_text(lower, value));
        *axis = a;
    }
    if (value->domain_count > 1)
        return arena_printf(lower->arena, "%s runs over two positions", place_text(lower, value));
    if (over_time(value) &&
        (timed(value) || value->op == OP_TCONCAT || value->attr->mirrored ||
         value->attr->low.kind != BOUND_NONE || value->attr->high.kind != BOUND_NONE ||
         !timed(schedule->values.at[value->uses.at[0].value])))
        return arena_printf(lower->arena, "%s is no running reduction", place_text(lower, value));
    if ((value->kind == VALUE_LEAF || value->op == OP_HOLD) && value->attr && value->attr->mirrored)
        return arena_printf(lower->arena, "%s runs backwards", place_text(lower, value));
    Search s = {.lower = lower, .reader = value};
    schedule_uses(schedule, value, check_use, &s);
    return s.why;
}

const char *lower_no_step(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    int axis = -1;
    mark_late(lower);
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        const char *why = value->live ? why_not(lower, value, &axis) : NULL;
        if (why) return why;
    }
    if (axis < 0) return "it has no time";
    for (int i = 0; i < schedule->nests.count; i++)
        if (schedule->nests.at[i]->kind == NEST_LOOP && schedule->nests.at[i]->backward)
            return "it runs backwards";
    if (lower->graph->axes.at[axis].kind != AXIS_RUN) return "its axis is a slow one";
    return NULL;
}

/* --- what is kept --------------------------------------------------------------------------------
 */

static void keep(Lower *lower, KeptKind kind, int value, int lags, bool carried) {
    for (int i = 0; i < lower->kept.count; i++) {
        Kept *kept = &lower->kept.at[i];
        if (kept->value != value || kept->kind != kind) continue;
        if (lags > kept->lags) kept->lags = lags;
        kept->carried = kept->carried || carried;
        return;
    }
    vec_push(lower->arena, &lower->kept,
             (Kept){.kind = kind, .value = value, .lags = lags, .carried = carried});
}

static void collect(void *user, const Use *use, bool boundary) {
    Search *s = user;
    if (use->access < 0 || boundary) return;
    const Access *access = &s->lower->schedule->accesses.at[use->access];
    for (int d = 0; d < access->at_count; d++) {
        const At *at = &access->at[d];
        if (at->kind == AT_INDEX && at->offset < 0 && (s->all || access->carry))
            keep(s->lower, KEPT_LAGS, use->value, (int)-at->offset, access->carry > 0);
        if (at->kind == AT_FIRST && s->all) keep(s->lower, KEPT_FIRST, use->value, 1, false);
    }
}

void lower_collect_kept(Lower *lower, bool step) {
    const Schedule *schedule = lower->schedule;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live) continue;
        Search s = {.lower = lower, .all = step};
        schedule_uses(schedule, value, collect, &s);
        if (step && over_time(value)) keep(lower, KEPT_RUNNING, i, 1, false);
    }
}

typedef struct KeepFirst {
    Fn *fn;
    LBlock *out;
} KeepFirst;

static void keep_first(void *user, const Use *use, bool boundary) {
    KeepFirst *k = user;
    Fn *fn = k->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *source = lower->schedule->values.at[use->value];
    const RowPlace *place = &fn->firsts[source->id];
    if (boundary || use->access < 0 || place->buffer < 0 || fn->filled_pre[source->id]) return;
    fn->filled_pre[source->id] = true;
    LStmt *each = loop_for(m, fn->fn, k->out, "b", loop_int(m, 0), fn->batch, 1);
    Row row = {.b = loop_var(m, fn->fn, each->var)};
    LExpr *at = loop_load(m, fn->fn, fn->positions, row.b, 1, false);
    LStmt *begins = loop_if(m, &each->body, loop_op(m, SOP_EQ, at, loop_int(m, 0), NULL));
    LStmt *loop = loop_for(m, fn->fn, &begins->body, "i", loop_int(m, 0),
                           loop_int(m, source->count), 1);
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
    KeepFirst k = {fn, out};
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
