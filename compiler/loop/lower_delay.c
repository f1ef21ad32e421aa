/* When a step computes what: reads ahead and slower axes.
 *
 * Step n takes the inputs of position n of the run axis. A value with delay d is at position n - d
 * then, on an axis `every P` at (n - d) / P in the steps where that is whole. A delay is the least
 * with which all that the value reads is there; all outputs have the largest of theirs, the latency
 * of the model. Positions before the first and, when a sequence has ended, behind the last are
 * computed, too, but only their boundary values are ever read. */
#include "loop/lower_internal.h"

enum { MOST_DELAY = 1 << 20 };

int64_t lower_every(const Lower *lower, int index) {
    int axis = lower->graph->indices.at[index].axis;
    int64_t every = 1;
    for (; lower->graph->axes.at[axis].kind == AXIS_SLOW; axis = lower->graph->axes.at[axis].base)
        every *= lower->graph->axes.at[axis].every;
    return every;
}

int lower_run_axis(const Lower *lower, int axis) {
    while (lower->graph->axes.at[axis].kind == AXIS_SLOW) axis = lower->graph->axes.at[axis].base;
    return axis;
}

/* Steps from one position of a value to its next; 1 for what has none. */
static int64_t rate_of(const Lower *lower, const Value *value) {
    return value->domain_count ? lower_every(lower, value->domain[0]) : 1;
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* --- delays --------------------------------------------------------------------------------------
 */

typedef struct Groups {
    Lower *lower;
    int *parent;
    int64_t *delay; /* by root */
    const Value *reader;
    bool changed;
} Groups;

static int root_of(const Groups *g, int id) {
    while (g->parent[id] != id) id = g->parent[id] = g->parent[g->parent[id]];
    return id;
}

static void join(Groups *g, int a, int b) {
    g->parent[root_of(g, a)] = root_of(g, b);
}

static bool waits(const Lower *lower, const Value *value) {
    return value->live && value->domain_count > 0 && !lower->late[value->id];
}

static void join_reader(void *user, const Use *use, bool boundary) {
    Groups *g = user;
    if (!boundary && g->lower->schedule->values.at[use->value]->domain_count > 1)
        join(g, g->reader->id, use->value);
}

static void join_loops(Groups *g, const SNest *nest) {
    int first = -1;
    for (int i = 0; nest->kind == NEST_LOOP && i < nest->members.count; i++) {
        const Value *value = g->lower->schedule->values.at[nest->members.at[i]];
        if (!waits(g->lower, value)) continue;
        if (first >= 0) join(g, first, value->id);
        first = value->id;
    }
}

/* Together are the values of a family, of a loop, and what is computed again at each step for its
 * reader. */
static void join_all(Groups *g) {
    const Schedule *schedule = g->lower->schedule;
    for (int i = 0; i <= schedule->values.count; i++) g->parent[i] = i;
    for (int f = 0; f < schedule->families.count; f++)
        for (int i = 1; i < schedule->families.at[f]->values.count; i++)
            join(g, schedule->families.at[f]->values.at[0], schedule->families.at[f]->values.at[i]);
    for (int i = 0; i < schedule->nests.count; i++) join_loops(g, schedule->nests.at[i]);
    for (int i = 0; i < schedule->values.count; i++) {
        g->reader = schedule->values.at[i];
        if (!g->reader->live) continue;
        if (g->reader->acc >= 0) join(g, i, g->reader->acc);
        schedule_uses(schedule, g->reader, join_reader, g);
    }
}

static void need(void *user, const Use *use, bool boundary) {
    Groups *g = user;
    const Value *source = g->lower->schedule->values.at[use->value];
    int64_t *own = &g->delay[root_of(g, g->reader->id)];
    if (boundary || source->kind == VALUE_LEAF || source->domain_count > 1) return;
    for (int d = 0; d < source->domain_count; d++) {
        Reach reach = lower_reach(g->lower, g->reader, use, d);
        int64_t ahead = reach.high - 1;
        if (reach.kind == REACH_FIRST || reach.kind == REACH_LAST) ahead = 0;
        int64_t least =
            g->delay[root_of(g, source->id)] + ahead * lower_every(g->lower, source->domain[d]);
        if (least <= *own) continue;
        *own = least;
        g->changed = true;
    }
}

static void need_all(Groups *g, const Value *value) {
    int64_t ahead = 1, every = 1, k, *own = &g->delay[root_of(g, value->id)];
    g->reader = value;
    schedule_uses(g->lower->schedule, value, need, g);
    /* Which positions there are is known later, too, than the position itself. */
    if (lower_over_time(value)) {
        ahead = lower_reduction(g->lower, value).high;
        every = lower_every(g->lower, value->attr->index);
    } else if (value->domain_count && lower_counts_past(g->lower->schedule, value, &k)) {
        ahead = k;
        every = rate_of(g->lower, value);
    }
    if ((ahead - 1) * every <= *own) return;
    *own = (ahead - 1) * every;
    g->changed = true;
}

static const char *mixed(const Groups *g) {
    const Schedule *schedule = g->lower->schedule;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        const Value *other = schedule->values.at[root_of(g, i)];
        if (waits(g->lower, value) && waits(g->lower, other) &&
            rate_of(g->lower, value) != rate_of(g->lower, other))
            return "a recurrence runs over axes of different rates";
    }
    return NULL;
}

const char *lower_find_delays(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    int count = schedule->values.count;
    Groups g = {.lower = lower,
                .parent = ARENA_ARRAY(lower->arena, count + 1, int),
                .delay = ARENA_ARRAY(lower->arena, count + 1, int64_t)};
    join_all(&g);
    const char *why = mixed(&g);
    if (why) return why;
    g.changed = true;
    for (int round = 0; g.changed; round++) {
        g.changed = false;
        for (int i = 0; i < count; i++)
            if (waits(lower, schedule->values.at[i])) need_all(&g, schedule->values.at[i]);
        for (int i = 0; i < count; i++)
            if (g.delay[i] > MOST_DELAY || round > count) return "it reads too far ahead";
    }
    int64_t latency = 0;
    for (int o = 0; o < schedule->outputs.count; o++) {
        int64_t own = g.delay[root_of(&g, schedule->outputs.at[o])];
        if (own > latency) latency = own;
    }
    /* What has no position waits for the outputs, and the outputs for it. */
    for (int i = 0; i <= count; i++)
        g.parent[i] = i == count || lower->late[i] ? count : g.parent[i];
    g.delay[count] = latency;
    for (int i = 0; i < count; i++)
        if (schedule->values.at[i]->live && lower->late[i] &&
            !schedule_is_leaf(schedule->values.at[i]))
            need_all(&g, schedule->values.at[i]);
    lower->latency = g.delay[count];
    for (int i = 0; i <= count; i++) lower->delay[i] = g.delay[root_of(&g, i)];
    for (int i = 0; i < count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live || !value->domain_count) continue;
        int64_t every = rate_of(lower, value), a = lower->period, b = every;
        while (b) {
            int64_t rest = a % b;
            a = b;
            b = rest;
        }
        lower->period = lower->period / a * every;
        if (lower->period > MOST_DELAY) return "its axes have no common period";
    }
    return NULL;
}

Value lower_output_reader(const Lower *lower, const Value *value) {
    Value reader = *value;
    reader.id = lower->schedule->values.count;
    reader.kind = VALUE_POINT;
    return reader;
}

/* --- what must be kept for a delayed reader
 * ----------------------------------------------------------
 */

/* How many positions before the newest one the reader reaches back on dim `d`. *held: it also reads
 * in steps that compute none. */
int64_t lower_lag(const Lower *lower, const Value *reader, const Use *use, int d, bool *held) {
    const Value *source = lower->schedule->values.at[use->value];
    Reach reach = lower_reach(lower, reader, use, d);
    int64_t every = lower_every(lower, source->domain[d]);
    int64_t apart = lower->delay[reader->id] - lower->delay[source->id];
    int64_t low = reach.kind == REACH_LAST ? 0 : reach.low;
    bool same = rate_of(lower, reader) % every == 0;
    *held = every > 1 && !(same && apart % every == 0);
    return floor_div(apart + (same ? 0 : every - 1), every) - low;
}

/* --- positions in a step -------------------------------------------------------------------------
 */

/* The position of the run axis that `reader` is at, of sequence b. */
LExpr *lower_now(Fn *fn, const Value *reader, LExpr *b) {
    LoopModule *m = fn->lower->module;
    LExpr *taken = loop_load(m, fn->fn, fn->positions, b, 1, false);
    return loop_sub(m, taken, loop_int(m, fn->lower->delay[reader->id]));
}

/* a / every, rounded down; a is at least -most. */
LExpr *lower_floor_div(Fn *fn, LExpr *a, int64_t most, int64_t every) {
    LoopModule *m = fn->lower->module;
    int64_t rounds = (most + every - 1) / every;
    a = loop_add(m, a, loop_int(m, rounds * every));
    return loop_sub(m, loop_op(m, SOP_DIV, a, loop_int(m, every), NULL), loop_int(m, rounds));
}

/* position % P of a value that is held; it ticks where that is 0. */
LExpr *lower_since_tick(Fn *fn, const Value *value, const Row *row) {
    LoopModule *m = fn->lower->module;
    int64_t every = value->attr->every, delay = fn->step ? fn->lower->delay[value->id] : 0;
    LExpr *at = lower_count(fn, value, value->attr, row);
    at = loop_add(m, at, loop_int(m, (delay + every - 1) / every * every));
    return loop_op(m, SOP_MOD, at, loop_int(m, every), NULL);
}

/* The slot of `source` at the position `offset` from that of `reader`: a position modulo the ring,
 * plus a multiple of the ring that keeps it from being negative. */
LExpr *lower_slot(Fn *fn, const Value *reader, const Value *source, int64_t ring, LExpr *offset) {
    const Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int64_t every = rate_of(lower, source), delay = lower->delay[reader->id];
    int64_t back = delay + lower->delay[source->id];
    LExpr *at = fn->clock;
    if (every > 1) {
        int64_t rounds = delay / every + 1;
        at = loop_add(m, at, loop_int(m, rounds * every - delay));
        at = loop_op(m, SOP_DIV, at, loop_int(m, every), NULL);
        delay = rounds;
    }
    int64_t whole = ring * ((delay + back + ring - 1) / ring + 1);
    offset = loop_add(m, offset, loop_int(m, whole - delay));
    return loop_op(m, SOP_MOD, loop_add(m, at, offset), loop_int(m, ring), NULL);
}

/* The slot of the row that lies `lag` before the one that the next step computes. */
LExpr *lower_slot_before(Fn *fn, const Value *value, LExpr *clock, int64_t ring, LExpr *lag) {
    const Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int64_t every = value->domain_count ? rate_of(lower, value) : 1;
    int64_t delay = lower->delay[value->id], rounds = delay;
    if (every > 1) {
        rounds = delay / every + 1;
        clock = loop_add(m, clock, loop_int(m, rounds * every - delay + every - 1));
        clock = loop_op(m, SOP_DIV, clock, loop_int(m, every), NULL);
    }
    int64_t whole = ring * ((rounds + ring - 1) / ring + 1);
    LExpr *turned = loop_add(m, clock, loop_sub(m, loop_int(m, whole - rounds), lag));
    return loop_op(m, SOP_MOD, turned, loop_int(m, ring), NULL);
}

static LExpr *on_tick(Fn *fn, int64_t delay, int64_t every) {
    LoopModule *m = fn->lower->module;
    int64_t phase = (every - delay % every) % every;
    LExpr *at = loop_add(m, fn->clock, loop_int(m, phase));
    return loop_op(m, SOP_EQ, loop_op(m, SOP_MOD, at, loop_int(m, every), NULL), loop_int(m, 0),
                   NULL);
}

/* Where a value over `index` has a position in this step. */
LBlock *lower_on_tick(Fn *fn, LBlock *out, const Value *reader, int index) {
    int64_t every = fn->step && fn->clock ? lower_every(fn->lower, index) : 1;
    if (every == 1) return out;
    return &loop_if(fn->lower->module, out, on_tick(fn, fn->lower->delay[reader->id], every))->body;
}

/* A mask: the position of `reader` is one of sequence b; NULL: it always is. */
LExpr *lower_inside(Fn *fn, const Value *reader, LExpr *b) {
    LoopModule *m = fn->lower->module;
    LExpr *at = lower_now(fn, reader, b), *inside = NULL;
    if (fn->ends >= 0)
        inside = loop_op(m, SOP_LT, at, loop_load(m, fn->fn, fn->ends, b, 1, false), NULL);
    if (!fn->lower->delay[reader->id]) return inside;
    LExpr *begun = loop_op(m, SOP_GE, at, loop_int(m, 0), NULL);
    return inside ? loop_op(m, SOP_MAND, inside, begun, NULL) : begun;
}

/* Inputs taken so far, of those that sequence b has. */
LExpr *lower_taken(Fn *fn, LExpr *b) {
    LoopModule *m = fn->lower->module;
    LExpr *next = loop_add(m, loop_load(m, fn->fn, fn->positions, b, 1, false), loop_int(m, 1));
    if (fn->ends < 0) return next;
    return loop_min(m, next, loop_load(m, fn->fn, fn->ends, b, 1, false));
}

/* --- rows outside of the sequence
 * --------------------------------------------------------------------
 */

typedef struct Outside {
    Lower *lower;
    const Value *reader;
} Outside;

static void read_outside(void *user, const Use *use, bool boundary) {
    Outside *o = user;
    const Value *source = o->lower->schedule->values.at[use->value];
    if (boundary || use->access < 0 || source->boundary < 0 || source->domain_count > 1) return;
    for (int d = 0; d < source->domain_count; d++) {
        Reach reach = lower_reach(o->lower, o->reader, use, d);
        if (reach.kind == REACH_FIRST || reach.kind == REACH_LAST) continue;
        if (reach.high > 1 || (reach.low < 0 && o->lower->delay[source->id]))
            o->lower->outside[source->id] = true;
    }
}

void lower_find_outside(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    lower->outside = ARENA_ARRAY(lower->arena, schedule->values.count + 1, bool);
    for (int i = 0; i < schedule->values.count; i++) {
        Outside o = {lower, schedule->values.at[i]};
        if (o.reader->live) schedule_uses(schedule, o.reader, read_outside, &o);
    }
}

static bool behind(const Value *value, int block, int stage) {
    return value->block > block || (value->block == block && value->stage > stage);
}

/* After this stage: the rows of values at positions that are none of their sequence become boundary
 * values, as soon as both are there. Block -1: before the first. */
void lower_hold_outside(Fn *fn, LBlock *out, int block, int stage) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    if (!fn->step || !fn->clock) return; /* a reset fills all slots itself */
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        if (!lower->outside[i] || !value->live || fn->places[i].buffer < 0) continue;
        const Value *boundary = lower->schedule->values.at[value->boundary];
        bool leaf = schedule_is_leaf(boundary), input = value->kind == VALUE_INPUT;
        int last_block = input ? -1 : value->block, last_stage = input ? 0 : value->stage;
        if (!leaf && behind(boundary, last_block, last_stage)) {
            last_block = boundary->block;
            last_stage = boundary->stage;
        }
        if (last_block != block || last_stage != stage) continue;
        if (fn->ends < 0 && !lower->delay[i]) continue; /* it is at no other position */
        LBlock *into = lower_on_tick(fn, out, value, value->domain[0]);
        LStmt *each = loop_for(m, fn->fn, into, "b", loop_int(m, 0), fn->batch, 1);
        Row row = {.b = loop_var(m, fn->fn, each->var)};
        LStmt *test = loop_if(m, &each->body, lower_inside(fn, value, row.b));
        lower_store_boundary(fn, &test->otherwise, value, &row);
    }
}
