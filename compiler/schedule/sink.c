/* Pointwise operations sink to later stages, where that saves a stored vector: products and
 * reductions run as early as they can, what is made of them only as early as it must. `1 - z` of a
 * GRU moves to the stage that uses it, so that z alone crosses. Sums that hold products stay: their
 * stage decides bits. */
#include "schedule/stages.h"

enum { MOST_ROUNDS = 20 };

typedef VEC(int) Ids;

typedef struct Sinking {
    Staging *s;
    Ids *readers; /* by value: values of the block that read it at this position, without full reads
                   */
    int *latest;  /* by value: the last stage that its readers allow */
    int *bound;   /* by value: the stage that overwrites an old value that it reads */
    bool *stored; /* by value: kept whatever happens */
} Sinking;

/* --- what is so before anything moves --- */

static void note_use(void *user, const Use *use, bool boundary) {
    Sinking *k = user;
    Staging *s = k->s;
    const Value *operand = s->schedule->values.at[use->value];
    if (schedule_is_leaf(operand) || operand->block != s->block->number) return;
    if (!stage_in_block(s, use)) {
        /* An old value may be overwritten where it lies, at the end of the tile that makes the new
         * one. */
        bool together = operand->count == s->value->count && !s->prologue[operand->id];
        int last = operand->stage - !together, *bound = &k->bound[s->value->id];
        k->stored[operand->id] = true;
        if (last >= s->value->stage && last < *bound) *bound = last;
        return;
    }
    bool whole = s->prologue[s->value->id] || stage_full_read(s, s->value, use, boundary);
    if (whole)
        k->stored[operand->id] = true;
    else
        vec_push(s->schedule->arena, &k->readers[operand->id], s->value->id);
}

static bool holds_product(const Staging *s, const Value *sum) {
    for (int i = 0; i < sum->terms.count; i++) {
        const Term *t = &sum->terms.at[i];
        const Value *a = s->schedule->values.at[t->a.value];
        if (a->kind == VALUE_PRODUCT && a->block == s->block->number) return true;
    }
    return false;
}

static void note_elsewhere(Sinking *k) {
    Schedule *schedule = k->s->schedule;
    for (int i = 0; i < schedule->outputs.count; i++) k->stored[schedule->outputs.at[i]] = true;
    for (int i = 0; i < schedule->stops.count; i++) k->stored[schedule->stops.at[i]] = true;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *reader = schedule->values.at[i];
        if (!reader->live || reader->block == k->s->block->number) continue;
        for (int j = 0; j < reader->uses.count; j++) k->stored[reader->uses.at[j].value] = true;
        for (int j = 0; j < reader->terms.count; j++) {
            k->stored[reader->terms.at[j].a.value] = true;
            if (reader->terms.at[j].pair) k->stored[reader->terms.at[j].b.value] = true;
        }
    }
    for (int i = 0; i < schedule->accesses.count; i++)
        if (schedule->accesses.at[i].boundary >= 0)
            k->stored[schedule->accesses.at[i].boundary] = true;
}

/* --- one move --- */

static void limit_use(void *user, const Use *use, bool boundary) {
    Sinking *k = user;
    Staging *s = k->s;
    if (!stage_in_block(s, use)) return;
    bool whole = s->prologue[s->value->id] || stage_full_read(s, s->value, use, boundary);
    int limit = s->value->stage - whole;
    if (limit < k->latest[use->value]) k->latest[use->value] = limit;
}

/* Later stages that read a value pointwise, and one more for storing it on their account. */
static int crossing(const Sinking *k, int id) {
    const Schedule *schedule = k->s->schedule;
    const Ids *readers = &k->readers[id];
    int stage = schedule->values.at[id]->stage, count = 0;
    for (int i = 0; i < readers->count; i++) {
        int at = schedule->values.at[readers->at[i]]->stage;
        bool known = at == stage;
        for (int j = 0; j < i && !known; j++)
            known = schedule->values.at[readers->at[j]]->stage == at;
        if (!known) count++;
    }
    return count + (count && !k->stored[id]);
}

typedef struct Cost {
    const Sinking *k;
    int sum;
    bool products; /* an operand is an accumulator */
} Cost;

static void add_operand(void *user, const Use *use, bool boundary) {
    Cost *cost = user;
    const Staging *s = cost->k->s;
    const Value *operand = s->schedule->values.at[use->value];
    (void)boundary;
    if (!stage_in_block(s, use) || s->prologue[operand->id]) return;
    cost->sum += crossing(cost->k, operand->id);
    if (operand->kind == VALUE_PRODUCT || holds_product(s, operand)) cost->products = true;
}

static bool cheap(const Value *value) {
    return value->kind == VALUE_SUM || value->op == OP_MUL || value->op == OP_ABS ||
           value->op == OP_MIN || value->op == OP_MAX || value->op == OP_SELECT;
}

static bool sink_one(Sinking *k, Value *value) {
    int before = 0, best = value->stage, first = value->stage, last = k->latest[value->id];
    if (k->bound[value->id] < last) last = k->bound[value->id];
    bool may_tie = cheap(value) && !k->stored[value->id];
    for (int stage = first; stage <= last; stage++) {
        value->stage = stage;
        k->s->value = value;
        Cost cost = {k, crossing(k, value->id), false};
        schedule_uses(k->s->schedule, value, add_operand, &cost);
        if (stage == first) {
            before = cost.sum;
            may_tie = may_tie && !cost.products;
        } else if (cost.sum < before || (cost.sum == before && may_tie)) {
            before = cost.sum;
            best = stage;
        }
    }
    value->stage = best;
    return best != first;
}

void stage_sink(Staging *s) {
    Arena *arena = s->schedule->arena;
    const Block *block = s->block;
    int count = s->schedule->values.count;
    Sinking k = {s, ARENA_ARRAY(arena, count, Ids), ARENA_ARRAY(arena, count, int),
                 ARENA_ARRAY(arena, count, int), ARENA_ARRAY(arena, count, bool)};
    int deepest = 0;
    for (int i = 0; i < block->values.count; i++) {
        const Value *value = s->schedule->values.at[block->values.at[i]];
        if (value->stage > deepest) deepest = value->stage;
    }
    if (!deepest) return;
    note_elsewhere(&k);
    for (int i = 0; i < count; i++) k.bound[i] = deepest;
    for (int i = 0; i < block->values.count; i++) {
        Value *value = s->schedule->values.at[block->values.at[i]];
        s->value = value;
        if (!schedule_is_leaf(value)) schedule_uses(s->schedule, value, note_use, &k);
    }
    bool moved = true;
    for (int round = 0; moved && round < MOST_ROUNDS; round++) {
        moved = false;
        for (int i = 0; i < count; i++) k.latest[i] = deepest;
        for (int i = block->values.count - 1; i >= 0; i--) {
            Value *value = s->schedule->values.at[block->values.at[i]];
            if (schedule_is_leaf(value)) continue;
            bool point = value->kind == VALUE_POINT ||
                         (value->kind == VALUE_SUM && !holds_product(s, value));
            bool read = k.readers[value->id].count > 0;
            if (point && read && !s->prologue[value->id] && !k.stored[value->id])
                moved = sink_one(&k, value) || moved;
            s->value = value;
            schedule_uses(s->schedule, value, limit_use, &k);
        }
    }
}
