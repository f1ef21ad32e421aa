/* The build of a Schedule, step by step, and what its parts share. */
#include "schedule/schedule.h"

int schedule_use_count(const Value *value) {
    return 2 * value->terms.count + value->uses.count;
}

Use *schedule_use_at(Value *value, int i) {
    int terms = 2 * value->terms.count;
    if (i >= terms) return &value->uses.at[i - terms];
    Term *term = &value->terms.at[i / 2];
    return i % 2 == 0 ? &term->a : term->pair ? &term->b : NULL;
}

void schedule_uses(const Schedule *schedule, const Value *value, UseVisit visit, void *user) {
    for (int i = 0; i < schedule_use_count(value); i++) {
        const Use *use = schedule_use_at(schedule->values.at[value->id], i);
        if (!use) continue;
        visit(user, use, false);
        if (use->access < 0) continue;
        int boundary = schedule->accesses.at[use->access].boundary;
        if (boundary >= 0) visit(user, &(Use){boundary, -1}, true);
    }
}

typedef struct Liveness {
    Schedule *schedule;
    VEC(int) pending;
} Liveness;

static void mark(void *user, const Use *use, bool boundary) {
    Liveness *liveness = user;
    Value *value = liveness->schedule->values.at[use->value];
    (void)boundary;
    value->readers++;
    if (value->live) return;
    value->live = true;
    vec_push(liveness->schedule->arena, &liveness->pending, value->id);
}

void schedule_liveness(Schedule *schedule) {
    Liveness liveness = {.schedule = schedule};
    for (int i = 0; i < schedule->values.count; i++) {
        schedule->values.at[i]->live = false;
        schedule->values.at[i]->readers = 0;
    }
    for (int i = 0; i < schedule->outputs.count; i++)
        mark(&liveness, &(Use){schedule->outputs.at[i], -1}, false);
    for (int i = 0; i < schedule->stops.count; i++)
        mark(&liveness, &(Use){schedule->stops.at[i], -1}, false);
    for (int i = 0; i < liveness.pending.count; i++)
        schedule_uses(schedule, schedule->values.at[liveness.pending.at[i]], mark, &liveness);
}

int schedule_loop_index(const Schedule *schedule, const Value *value, int axis) {
    if (value->id < 0) return -1;
    Value *own = schedule->values.at[value->id];
    Wanted wanted = {value->id, own->domain_count, own->domain, own->relations, schedule->rule};
    return depend_loop_index(schedule->graph, &wanted, axis);
}

bool schedule_is_leaf(const Value *value) {
    return value->kind == VALUE_INPUT || value->kind == VALUE_PARAM || value->kind == VALUE_CONST ||
           (value->kind == VALUE_LEAF && value->op != OP_IOTA);
}

bool schedule_over_batch(const Value *value) {
    return value->kind == VALUE_ROW && (value->op == OP_BSUM || value->over_batch);
}

bool schedule_carried(const Schedule *schedule, const Value *reader, const Use *use) {
    const Block *block = schedule->blocks.at[reader->block];
    if (schedule->values.at[use->value]->block < 0) return false;
    DepEdge edge = schedule_edge(schedule, reader, use);
    for (int i = 0; i < block->loop_count; i++)
        if (depend_strict(&edge, block->loops[i])) return true;
    return false;
}

int schedule_map_domain(const Schedule *schedule, const Value *value, int domain[MAX_DOMAIN]) {
    int count = 0;
    for (int i = 0; i < value->domain_count; i++) {
        bool bound = false;
        if (value->block >= 0) {
            const Block *block = schedule->blocks.at[value->block];
            for (int l = 0; l < block->loop_count; l++)
                if (schedule_loop_index(schedule, value, block->loops[l]) == value->domain[i])
                    bound = true;
        }
        if (!bound) domain[count++] = value->domain[i];
    }
    return count;
}

bool schedule_same_use(const Schedule *schedule, Use a, Use b) {
    if (a.value != b.value) return false;
    if (a.access < 0 || b.access < 0) return a.access == b.access;
    const Access *x = &schedule->accesses.at[a.access], *y = &schedule->accesses.at[b.access];
    if (x->boundary != y->boundary || x->at_count != y->at_count || x->carry != y->carry)
        return false;
    for (int i = 0; i < x->at_count; i++) {
        const At *p = &x->at[i], *q = &y->at[i];
        if (p->kind != q->kind || p->offset != q->offset) return false;
        if ((p->kind == AT_INDEX || p->kind == AT_SCALE || p->kind == AT_DIV) &&
            p->index != q->index)
            return false;
    }
    return true;
}

/* --- the order of the text --- */

static void settle_block(Schedule *schedule, Block *block) {
    block->values.count = 0;
    for (int stage = 0; stage < block->stages; stage++) {
        for (int i = 0; i < block->prologues.count; i++)
            if (schedule->values.at[block->prologues.at[i]]->stage == stage)
                vec_push(schedule->arena, &block->values, block->prologues.at[i]);
        for (int i = 0; i < block->families.count; i++) {
            const Family *family = schedule->families.at[block->families.at[i]];
            for (int v = 0; family->stage == stage && v < family->values.count; v++)
                vec_push(schedule->arena, &block->values, family->values.at[v]);
        }
    }
}

/* False when there is nothing inside. Blocks are numbered anew, in order. */
static bool settle_nest(Schedule *schedule, SNest *nest, SNest *parent) {
    if (nest->kind == NEST_BLOCK) {
        if (!nest->block->values.count) return false;
        nest->block->number = schedule->blocks.count;
        vec_push(schedule->arena, &schedule->blocks, nest->block);
        for (int i = 0; i < nest->block->values.count; i++) {
            schedule->values.at[nest->block->values.at[i]]->block = nest->block->number;
            if (parent) vec_push(schedule->arena, &parent->members, nest->block->values.at[i]);
        }
        return true;
    }
    int kept = 0;
    nest->members.count = 0;
    for (int i = 0; i < nest->children.count; i++)
        if (settle_nest(schedule, nest->children.at[i], nest))
            nest->children.at[kept++] = nest->children.at[i];
    nest->children.count = kept;
    for (int i = 0; parent && i < nest->members.count; i++)
        vec_push(schedule->arena, &parent->members, nest->members.at[i]);
    return kept > 0;
}

/* Leaves belong to no block, blocks without anything else go, and values stand in the order of
 * stages, prologues, families: a schedule that was read back from its text is equal to this one. */
void schedule_settle(Schedule *schedule) {
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        if (schedule_is_leaf(value)) value->block = value->stage = value->nest = -1;
    }
    for (int b = 0; b < schedule->blocks.count; b++) settle_block(schedule, schedule->blocks.at[b]);
    schedule->blocks.count = 0;
    int kept = 0;
    for (int i = 0; i < schedule->nests.count; i++)
        if (settle_nest(schedule, schedule->nests.at[i], NULL))
            schedule->nests.at[kept++] = schedule->nests.at[i];
    schedule->nests.count = kept;
}

Schedule *schedule_build(Arena *arena, const Graph *graph, Diags *diags) {
    return schedule_build_with(arena, graph, NULL, NULL, diags);
}

Schedule *schedule_build_with(Arena *arena, const Graph *graph, const Choices *choices,
                              Remarks *remarks, Diags *diags) {
    Schedule *schedule = ARENA_NEW(arena, Schedule);
    schedule->arena = arena;
    schedule->graph = graph;
    schedule->remarks = remarks;
    if (choices) schedule->choices = *choices;
    if (!normal_values(schedule, diags)) return NULL;
    if (!normal_nests(schedule, diags)) return NULL;
    stage_blocks(schedule);
    storage_decide(schedule);
    schedule_settle(schedule);
    return schedule;
}
