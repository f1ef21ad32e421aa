/* One boundary a value: the last step of the normal form. */
#include "schedule/schedule.h"

static bool same_boundary(const Schedule *schedule, int a, int b) {
    if (a == b || a < 0 || b < 0) return true;
    const Value *x = schedule->values.at[a], *y = schedule->values.at[b];
    return x->kind == VALUE_CONST && y->kind == VALUE_CONST && x->number == y->number;
}

static bool ahead(const Access *access) {
    for (int d = 0; d < access->at_count; d++)
        if ((access->at[d].kind == AT_INDEX || access->at[d].kind == AT_SCALE) &&
            access->at[d].offset > 0)
            return true;
    return false;
}

typedef struct Ends {
    Schedule *schedule;
    Value *reader;
    bool changed;
} Ends;

static void split_use(void *user, const Use *use, bool boundary) {
    Ends *ends = user;
    Schedule *schedule = ends->schedule;
    Value *source = schedule->values.at[use->value];
    if (source->batched && !ends->reader->batched && !schedule_over_batch(ends->reader))
        ends->reader->batched = ends->changed = true;
    if (boundary || use->access < 0 || source->batched || source->domain_count == 0) return;
    const Access *access = &schedule->accesses.at[use->access];
    if (access->boundary < 0) return;
    if (ahead(access) || schedule->values.at[access->boundary]->batched)
        source->batched = ends->changed = true;
}

/* A value that no sequence changes has one row for all of them, unless sequences differ in what
 * stands behind or before it: they end at places of their own, or begin with values of their own.
 * Then so do all that read it. */
void normal_sequences(Schedule *schedule) {
    Ends ends = {.schedule = schedule, .changed = true};
    while (ends.changed) {
        ends.changed = false;
        for (int i = 0; i < schedule->values.count; i++) {
            ends.reader = schedule->values.at[i];
            schedule_uses(schedule, ends.reader, split_use, &ends);
        }
    }
}

/* A position is computed where it is used; one that is read elsewhere needs rows like any other
 * value. */
static void keep_positions(Schedule *schedule) {
    int count = schedule->values.count;
    int *copy = ARENA_ARRAY(schedule->arena, count, int); /* 1 + the copy of a leaf */
    for (int i = 0; i < count; i++) {
        Value *value = schedule->values.at[i];
        for (int j = 0; j < schedule_use_count(value); j++) {
            Use *use = schedule_use_at(value, j);
            if (!use) continue;
            const Value *source = schedule->values.at[use->value];
            if (use->access < 0 || source->kind != VALUE_LEAF || source->op != OP_INDEX) continue;
            if (!copy[source->id]) {
                Value *c = schedule_value(schedule, VALUE_POINT, OP_VAR, source->type);
                c->domain_count = source->domain_count;
                memcpy(c->domain, source->domain, sizeof c->domain);
                c->batched = source->batched;
                c->span = source->span;
                vec_push(schedule->arena, &c->uses, (Use){source->id, -1});
                copy[source->id] = 1 + c->id;
            }
            use->value = copy[source->id] - 1;
        }
    }
}

/* Rows beyond a sequence hold one boundary value, or what a chunk carries; a source that is read
 * with another boundary (two names of one value, each with a boundary of its own), or by who does
 * not carry it, is read through a copy. */
void normal_boundaries(Schedule *schedule) {
    keep_positions(schedule);
    normal_sequences(schedule);
    Arena *arena = schedule->arena;
    int count = schedule->values.count;
    int *first = ARENA_ARRAY(arena, count, int); /* 1 + access that gave a source its boundary */
    VEC(int) copies = {0};
    for (int i = 0; i < 2 * count; i++) {
        /* First what a state carries: it keeps the name. */
        bool carried = i < count;
        Value *value = schedule->values.at[i % count];
        if (!value->live) continue;
        for (int j = 0; j < schedule_use_count(value); j++) {
            Use *use = schedule_use_at(value, j);
            if (!use || use->access < 0) continue;
            const Access *access = &schedule->accesses.at[use->access];
            int boundary = access->boundary;
            if (boundary < 0 || carried != (access->carry > 0)) continue;
            if (!first[use->value]) {
                first[use->value] = use->access + 1;
                continue;
            }
            const Access *known = &schedule->accesses.at[first[use->value] - 1];
            if (same_boundary(schedule, boundary, known->boundary) && carried == (known->carry > 0))
                continue;
            int copy = -1;
            for (int k = 0; k + 1 < copies.count && copy < 0; k += 2) {
                const Value *c = schedule->values.at[copies.at[k]];
                if (c->uses.at[0].value == use->value &&
                    same_boundary(schedule, copies.at[k + 1], boundary))
                    copy = c->id;
            }
            if (copy < 0) {
                const Value *source = schedule->values.at[use->value];
                Value *c = schedule_value(schedule, VALUE_POINT, OP_VAR, source->type);
                c->domain_count = source->domain_count;
                memcpy(c->domain, source->domain, sizeof c->domain);
                c->batched = source->batched;
                c->span = source->span;
                vec_push(arena, &c->uses, (Use){use->value, -1});
                vec_push(arena, &copies, c->id);
                vec_push(arena, &copies, boundary);
                copy = c->id;
            }
            use->value = copy;
        }
    }
}

static void name_indices(void *user, const Use *use, bool boundary) {
    Schedule *schedule = user;
    Value *source = schedule->values.at[use->value];
    if (boundary || use->access < 0) return;
    const Access *access = &schedule->accesses.at[use->access];
    if (access->boundary < 0 || access->boundary != source->boundary) return;
    for (int d = 0; d < access->at_count; d++)
        if (access->at[d].kind == AT_INDEX && !access->at[d].offset)
            source->boundary_index[d] = access->at[d].index;
}

/* The boundary depends on no index that is read elsewhere. */
static void unname_indices(void *user, const Use *use, bool boundary) {
    Schedule *schedule = user;
    Value *source = schedule->values.at[use->value];
    if (boundary || use->access < 0) return;
    const Access *access = &schedule->accesses.at[use->access];
    if (access->boundary < 0 || access->boundary != source->boundary) return;
    for (int d = 0; d < access->at_count; d++)
        if (access->at[d].kind != AT_INDEX || access->at[d].offset) source->boundary_index[d] = -1;
}

void schedule_boundary_indices(Schedule *schedule) {
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        memcpy(value->boundary_index, value->domain, sizeof value->domain);
        if (value->boundary >= 0) schedule->values.at[value->boundary]->bounds = true;
    }
    for (int i = 0; i < schedule->values.count; i++)
        if (schedule->values.at[i]->live)
            schedule_uses(schedule, schedule->values.at[i], name_indices, schedule);
    for (int i = 0; i < schedule->values.count; i++)
        if (schedule->values.at[i]->live)
            schedule_uses(schedule, schedule->values.at[i], unname_indices, schedule);
}
