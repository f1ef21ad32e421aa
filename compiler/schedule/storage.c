/* Where values live: in registers of their family, in one row a sequence, or in a row for each
 * position. */
#include "schedule/schedule.h"

typedef struct Reading {
    Schedule *schedule;
    Value *reader;
} Reading;

static bool is_prologue(const Value *value) {
    return value->family < 0;
}

/* Rows before and behind the sequence that a read at `at` may reach. */
static void widen(Value *source, const Access *access) {
    for (int d = 0; d < access->at_count; d++) {
        const At *at = &access->at[d];
        int64_t pre = 0, post = 0;
        switch (at->kind) {
        case AT_INDEX:
        case AT_SCALE:
            pre = at->offset < 0 ? -at->offset : 0;
            post = at->offset > 0 ? at->offset : 0;
            break;
        case AT_POINTER: pre = access->boundary >= 0; break; /* -1: before the first */
        case AT_DIV:
        case AT_FIRST:
        case AT_LAST:
        case AT_MIRROR: break;
        }
        if (pre > source->pre[d]) source->pre[d] = pre;
        if (post > source->post[d]) source->post[d] = post;
    }
    if (access->boundary >= 0) source->boundary = access->boundary;
}

static void keep(Value *value, Storage storage) {
    if (storage > value->storage) value->storage = storage;
}

/* One step back in the direction of the one loop around, everything else at its own position. */
static bool one_back(const Schedule *schedule, const Block *block, const Value *reader,
                     const Value *source, const Access *access) {
    if (block->loop_count != 1) return false;
    int own = schedule_loop_index(schedule, source, block->loops[0]);
    int reading = schedule_loop_index(schedule, reader, block->loops[0]);
    for (int d = 0; d < access->at_count; d++) {
        const At *at = &access->at[d];
        if (at->kind != AT_INDEX) return false;
        if (source->domain[d] == own) {
            if (at->index != reading || (at->offset != 1 && at->offset != -1)) return false;
        } else if (at->index != source->domain[d] || at->offset) {
            return false;
        }
    }
    return true;
}

/* At other positions of the loops around than the reader's own. */
static bool elsewhere(const Schedule *schedule, const Block *block, const Value *reader,
                      const Use *use) {
    DepEdge edge = schedule_edge(schedule, reader, use);
    for (int l = 0; l < edge.label_count; l++)
        for (int i = 0; i < block->loop_count; i++)
            if (edge.labels[l].axis == block->loops[i] &&
                (edge.labels[l].kind != LABEL_OFFSET || edge.labels[l].offset))
                return true;
    return false;
}

static void visit(void *user, const Use *use, bool boundary) {
    Reading *reading = user;
    Schedule *schedule = reading->schedule;
    Value *reader = reading->reader, *source = schedule->values.at[use->value];
    if (use->access >= 0) widen(source, &schedule->accesses.at[use->access]);
    if (schedule_is_leaf(source)) return;
    if (boundary || source->block != reader->block) {
        keep(source, STORE_HISTORY);
        source->inplace = false;
        return;
    }
    const Block *block = schedule->blocks.at[source->block];
    if (schedule_carried(schedule, reader, use)) {
        keep(source, STORE_HISTORY);
        bool earlier =
            reader->stage < source->stage ||
            (is_prologue(reader) && !is_prologue(source) && reader->stage == source->stage);
        bool same = reader->family == source->family && !is_prologue(source) &&
                    reader->kind != VALUE_PRODUCT;
        if (use->access < 0 || schedule->accesses.at[use->access].carry || !(earlier || same) ||
            !one_back(schedule, block, reader, source, &schedule->accesses.at[use->access]))
            source->inplace = false;
        return;
    }
    bool together = use->access < 0 && reader->family == source->family && !is_prologue(reader) &&
                    reader->kind != VALUE_PRODUCT;
    if (together) return;
    bool far = use->access >= 0 || elsewhere(schedule, block, reader, use);
    keep(source, far ? STORE_HISTORY : STORE_SINGLE);
    if (far) source->inplace = false;
}

void storage_decide(Schedule *schedule) {
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        value->boundary = -1;
        value->inplace = !schedule_is_leaf(value); /* the caller's rows are not ours to write */
        value->storage = STORE_NONE;
    }
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        if (!value->live || schedule_is_leaf(value)) continue;
        Reading reading = {schedule, value};
        schedule_uses(schedule, value, visit, &reading);
        if (is_prologue(value)) keep(value, STORE_SINGLE);
    }
    VEC(int) roots = {0};
    for (int i = 0; i < schedule->outputs.count; i++)
        vec_push(schedule->arena, &roots, schedule->outputs.at[i]);
    for (int i = 0; i < schedule->stops.count; i++)
        vec_push(schedule->arena, &roots, schedule->stops.at[i]);
    for (int i = 0; i < roots.count; i++) {
        Value *value = schedule->values.at[roots.at[i]];
        if (schedule_is_leaf(value)) continue;
        keep(value, STORE_HISTORY);
        value->inplace = false;
    }
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        if (!value->live || schedule_is_leaf(value)) continue;
        bool looped = value->block >= 0 && schedule->blocks.at[value->block]->loop_count > 0;
        if (value->storage == STORE_SINGLE && !looped) value->storage = STORE_HISTORY;
        if (value->storage == STORE_HISTORY && value->inplace && value->boundary >= 0 && looped)
            value->storage = STORE_INPLACE;
        else
            value->inplace = false;
    }
    schedule_boundary_indices(schedule);
}
