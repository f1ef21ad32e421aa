/* Stages, partial sums, accumulators, families and segments of each block.
 *
 * A full read needs all elements of its operand: the vector of a product, the operand of a row
 * operation, a single element that a longer vector uses, a value at other positions. Between the
 * stages of a block everything that was computed is complete. */
#include "schedule/stages.h"

#include "schedule/remark.h"

static bool same_map(const Schedule *schedule, const Value *a, const Value *b) {
    int x[MAX_DOMAIN], y[MAX_DOMAIN];
    int n = schedule_map_domain(schedule, a, x), m = schedule_map_domain(schedule, b, y);
    if (n != m || a->batched != b->batched) return false;
    for (int i = 0; i < n; i++)
        if (x[i] != y[i]) return false;
    return true;
}

bool stage_full_read(const Staging *s, const Value *reader, const Use *use, bool boundary) {
    const Value *operand = s->schedule->values.at[use->value];
    if (boundary || use->access >= 0) return true;
    if (reader->kind == VALUE_PRODUCT || reader->kind == VALUE_ROW) return true;
    if (s->prologue[operand->id]) return false;
    return (operand->count == 1 && reader->count > 1) || !same_map(s->schedule, reader, operand);
}

bool stage_in_block(const Staging *s, const Use *use) {
    const Value *operand = s->schedule->values.at[use->value];
    return operand->block == s->block->number && !schedule_is_leaf(operand) &&
           !schedule_carried(s->schedule, s->value, use);
}

static void visit_prologue(void *user, const Use *use, bool boundary) {
    Staging *s = user;
    if (!stage_in_block(s, use)) return;
    if (boundary || !s->prologue[use->value]) s->all_early = false;
}

static void visit_stage(void *user, const Use *use, bool boundary) {
    Staging *s = user;
    if (!stage_in_block(s, use)) return;
    int stage =
        s->schedule->values.at[use->value]->stage + stage_full_read(s, s->value, use, boundary);
    if (stage > s->stage) s->stage = stage;
}

static void visit_length(void *user, const Use *use, bool boundary) {
    Staging *s = user;
    const Schedule *schedule = s->schedule;
    const Value *operand = schedule->values.at[use->value];
    (void)boundary;
    for (int i = 0; i < schedule->stops.count; i++) {
        const Value *stop = schedule->values.at[schedule->stops.at[i]];
        int axis = schedule->graph->stops.at[i].axis;
        if (stop->block == s->block->number && stop->stage >= s->stage &&
            (schedule_needs_length(schedule, s->value, axis) ||
             (schedule_is_leaf(operand) && schedule_needs_length(schedule, operand, axis))))
            s->stage = stop->stage + 1;
    }
}

/* A scalar that only earlier things feed is computed at the start of the stage, for every row.
 * Whether all its operands are earlier depends on its stage, which depends on whether they are
 * prologues: operands come first in the order of the block, so one pass decides both. */
static void find_stages(Staging *s) {
    for (int i = 0; i < s->block->values.count; i++) {
        Value *value = s->schedule->values.at[s->block->values.at[i]];
        if (schedule_is_leaf(value)) continue;
        s->value = value;
        s->stage = 0;
        bool row = value->kind == VALUE_ROW || value->kind == VALUE_LEAF;
        s->prologue[value->id] = row;
        schedule_uses(s->schedule, value, visit_stage, s);
        schedule_uses(s->schedule, value, visit_length, s); /* found between two stages */
        value->stage = s->stage;
        if (!row && value->count == 1 && value->kind != VALUE_PRODUCT) {
            s->all_early = true;
            schedule_uses(s->schedule, value, visit_prologue, s);
            if (!s->all_early) {
                /* Operands of earlier stages are complete too. */
                bool early = true;
                for (int j = 0; j < schedule_use_count(value); j++) {
                    const Use *use = schedule_use_at(value, j);
                    if (!use) continue;
                    const Value *operand = s->schedule->values.at[use->value];
                    if (stage_in_block(s, use) && !s->prologue[operand->id] &&
                        operand->stage >= value->stage)
                        early = false;
                }
                s->all_early = early;
            }
            s->prologue[value->id] = s->all_early;
        }
    }
}

/* --- partial sums --- */

static bool owned_product(const Schedule *schedule, const Value *sum, const Term *term) {
    const Value *p = schedule->values.at[term->a.value];
    if (term->pair || term->a.access >= 0 || p->kind != VALUE_PRODUCT || p->readers != 1)
        return false;
    if (p->count != sum->count || p->block != sum->block || p->domain_count != sum->domain_count)
        return false;
    for (int i = 0; i < p->domain_count; i++)
        if (p->domain[i] != sum->domain[i]) return false;
    return p->batched == sum->batched;
}

static bool plain_stream(const Schedule *schedule, const Value *sum, const Term *term) {
    const Value *a = schedule->values.at[term->a.value];
    return !term->pair && term->sign > 0 && a->count == sum->count && a->block != sum->block &&
           a->kind != VALUE_CONST;
}

/* Products of earlier stages than their sum's become a chain of sums, one a stage; what comes from
 * outside goes to the first. */
static void split_sum(Schedule *schedule, Block *block, Value *sum) {
    Arena *arena = schedule->arena;
    int previous = -1, last_stage = -1;
    for (;;) {
        int stage = sum->stage;
        for (int i = 0; i < sum->terms.count; i++)
            if (owned_product(schedule, sum, &sum->terms.at[i])) {
                int at = schedule->values.at[sum->terms.at[i].a.value]->stage;
                if (at > last_stage && at < stage) stage = at;
            }
        if (stage == sum->stage) return;
        last_stage = stage;
        int products = 0, negative = 0, stream = -1;
        for (int i = 0; i < sum->terms.count; i++) {
            const Term *term = &sum->terms.at[i];
            if (owned_product(schedule, sum, term) &&
                schedule->values.at[term->a.value]->stage == stage) {
                products++;
                if (term->sign < 0) negative++;
            } else if (stream < 0 && previous < 0 && plain_stream(schedule, sum, term)) {
                stream = i;
            }
        }
        if (products == 1 && !negative && stream < 0 && previous < 0) continue;
        Value *partial = schedule_value(schedule, VALUE_SUM, OP_ADD, sum->type);
        partial->domain_count = sum->domain_count;
        memcpy(partial->domain, sum->domain, sizeof sum->domain);
        memcpy(partial->relations, sum->relations, sizeof sum->relations);
        partial->batched = sum->batched;
        partial->span = sum->span;
        partial->block = sum->block;
        partial->nest = sum->nest;
        partial->stage = stage;
        partial->readers = 1;
        if (sum->name)
            partial->name =
                name_of(schedule->graph->names, arena_printf(arena, "%s.part%d", sum->name, stage));
        VEC(Term) rest = {0};
        for (int i = 0; i < sum->terms.count; i++) {
            Term term = sum->terms.at[i];
            bool mine = owned_product(schedule, sum, &term) &&
                        schedule->values.at[term.a.value]->stage == stage;
            if (mine || i == stream || (previous >= 0 && !term.pair && term.a.value == previous))
                vec_push(arena, &partial->terms, term);
            else
                vec_push(arena, &rest, term);
        }
        vec_push(arena, &rest, (Term){.sign = 1, .a = {partial->id, -1}});
        sum->terms.at = rest.at;
        sum->terms.count = rest.count;
        sum->terms.room = rest.room;
        previous = partial->id;
        /* Into the block's order, before the sum. */
        vec_push(arena, &block->values, partial->id);
        int at = block->values.count - 1;
        for (; block->values.at[at - 1] != sum->id; at--)
            block->values.at[at] = block->values.at[at - 1];
        block->values.at[at] = sum->id;
        block->values.at[at - 1] = partial->id;
    }
}

/* --- families --- */

static Family *family_for(Schedule *schedule, Block *block, const Value *value) {
    int domain[MAX_DOMAIN];
    int n = schedule_map_domain(schedule, value, domain);
    for (int i = 0; i < block->families.count; i++) {
        Family *family = schedule->families.at[block->families.at[i]];
        if (family->stage != value->stage || family->count != value->count ||
            family->domain_count != n || family->batched != value->batched)
            continue;
        bool same = true;
        for (int d = 0; d < n; d++) same = same && family->domain[d] == domain[d];
        if (same) return family;
    }
    Family *family = ARENA_NEW(schedule->arena, Family);
    family->number = schedule->families.count;
    family->stage = value->stage;
    family->count = value->count;
    family->domain_count = n;
    memcpy(family->domain, domain, sizeof domain);
    family->batched = value->batched;
    vec_push(schedule->arena, &schedule->families, family);
    vec_push(schedule->arena, &block->families, family->number);
    return family;
}

static void find_accumulators(Schedule *schedule, const Block *block) {
    for (int i = 0; i < block->values.count; i++) {
        Value *value = schedule->values.at[block->values.at[i]];
        if (value->kind == VALUE_PRODUCT && value->acc < 0) value->acc = value->id;
        if (value->kind != VALUE_SUM) continue;
        for (int j = 0; j < value->terms.count; j++) {
            const Term *term = &value->terms.at[j];
            Value *p = schedule->values.at[term->a.value];
            if (owned_product(schedule, value, term) && p->stage == value->stage)
                p->acc = value->id;
        }
    }
}

int schedule_chains(const Schedule *schedule, const Block *block, const Family *family, int width) {
    if (!block->loop_count || family->domain_count) return 1;
    if (schedule->choices.off[CHOICE_chains]) return 1;
    if (schedule->choices.chains) return schedule->choices.chains;
    int chains = width == 1 ? 4 : 2;
    while (chains > 1 && width * chains > 16) chains /= 2;
    return chains;
}

static void add_product(Schedule *schedule, Family *family, Value *product) {
    bool known = false;
    for (int i = 0; i < family->accs.count; i++)
        known = known || family->accs.at[i] == product->acc;
    if (!known) vec_push(schedule->arena, &family->accs, product->acc);
    for (int i = 0; i < family->segments.count; i++) {
        Segment *segment = &family->segments.at[i];
        if (schedule_same_use(schedule, segment->operand, product->uses.at[0])) {
            vec_push(schedule->arena, &segment->products, product->id);
            return;
        }
    }
    Segment segment = {.operand = product->uses.at[0], .length = product->view.dim[1]};
    vec_push(schedule->arena, &segment.products, product->id);
    vec_push(schedule->arena, &family->segments, segment);
}

/* One segment a product, but for those of one accumulator, whose order over k decides bits. The
 * number of chains stays that of the stacked segment. */
static void unstack(Schedule *schedule, Family *family) {
    Arena *arena = schedule->arena;
    int count = family->segments.count;
    Segment *old = arena_copy(arena, family->segments.at, (size_t)count * sizeof(Segment));
    family->segments.count = 0;
    for (int s = 0; s < count; s++) {
        int begin = family->segments.count;
        for (int p = 0; p < old[s].products.count; p++) {
            int product = old[s].products.at[p], acc = schedule->values.at[product]->acc,
                at = begin;
            while (at < family->segments.count &&
                   schedule->values.at[family->segments.at[at].products.at[0]]->acc != acc)
                at++;
            if (at == family->segments.count) {
                Segment alone = {
                    .operand = old[s].operand, .length = old[s].length, .chains = old[s].chains};
                vec_push(arena, &family->segments, alone);
            }
            vec_push(arena, &family->segments.at[at].products, product);
        }
    }
}

static void build_families(Schedule *schedule, Block *block, const bool *prologue, int known) {
    find_accumulators(schedule, block);
    for (int stage = 0; stage < block->stages; stage++)
        for (int i = 0; i < block->values.count; i++) {
            Value *value = schedule->values.at[block->values.at[i]];
            if (schedule_is_leaf(value) || value->stage != stage) continue;
            if (value->id < known && prologue[value->id]) {
                vec_push(schedule->arena, &block->prologues, value->id);
                continue;
            }
            Family *family = family_for(schedule, block, value);
            value->family = family->number;
            vec_push(schedule->arena, &family->values, value->id);
            if (value->kind == VALUE_PRODUCT) add_product(schedule, family, value);
        }
    for (int i = 0; i < block->families.count; i++) {
        Family *family = schedule->families.at[block->families.at[i]];
        for (int s = 0; s < family->segments.count; s++)
            family->segments.at[s].chains =
                schedule_chains(schedule, block, family, family->segments.at[s].products.count);
        if (schedule->choices.off[CHOICE_fuse]) unstack(schedule, family);
        remark_segments(schedule, block, family);
    }
}

void stage_blocks(Schedule *schedule) {
    for (int b = 0; b < schedule->blocks.count; b++) {
        Block *block = schedule->blocks.at[b];
        int known = schedule->values.count; /* partial sums come behind, and are no prologues */
        Staging s = {.schedule = schedule,
                     .block = block,
                     .prologue = ARENA_ARRAY(schedule->arena, known + 1, bool)};
        find_stages(&s);
        if (!schedule->choices.off[CHOICE_sink]) stage_sink(&s);
        int n = block->values.count;
        int *order = arena_copy(schedule->arena, block->values.at, (size_t)n * sizeof(int));
        for (int i = 0; i < n; i++) {
            Value *value = schedule->values.at[order[i]];
            if (value->kind == VALUE_SUM && !s.prologue[value->id])
                split_sum(schedule, block, value);
        }
        block->stages = 0;
        for (int i = 0; i < block->values.count; i++) {
            int stage = schedule->values.at[block->values.at[i]]->stage;
            if (stage >= block->stages) block->stages = stage + 1;
        }
        build_families(schedule, block, s.prologue, known);
    }
}
