/* N3 and N5 of the normal form: what stands at one side of a loop's edge moves to the other.
 *
 * N3  a matrix product that one sum reads at another position of their loop is computed at that
 * position: the offset moves to the vector. One barrier a step less, and the product starts from
 * the sum's stream; adjoints of recurrences are made of this.
 * N5  a cheap pointwise value outside of a loop, made from one stream, goes back into the loop that
 * alone reads it: an operation instead of a pass over memory. So does a product with a vector of a
 * few numbers, the input of a model of one signal. */
#include "schedule/remark.h"

/* --- N3 --- */

static bool own_product(const Schedule *schedule, const Term *term, const Value *like) {
    if (term->pair || term->a.access >= 0) return false;
    const Value *product = schedule->values.at[term->a.value];
    return product->kind == VALUE_PRODUCT && product->readers == 1 &&
           product->uses.at[0].access < 0 && product->count == like->count;
}

static bool same_domain(const Value *a, const Value *b) {
    return a->domain_count == b->domain_count &&
           memcmp(a->domain, b->domain, sizeof *a->domain * (size_t)a->domain_count) == 0;
}

/* Offsets alone, with nothing but zeros outside: there the product is zero where its vector is. */
static bool plain_shift(const Schedule *schedule, const Access *access, const Value *source) {
    if (access->carry || access->boundary < 0) return false;
    const Value *boundary = schedule->values.at[access->boundary];
    if (boundary->kind != VALUE_CONST || boundary->number != 0) return false;
    for (int d = 0; d < access->at_count; d++)
        if (access->at[d].kind != AT_INDEX || access->at[d].index != source->domain[d])
            return false;
    return true;
}

static int zero_like(Schedule *schedule, const Value *like) {
    Value *zero = schedule_value(schedule, VALUE_CONST, OP_CONST, like->type);
    zero->span = like->span;
    return zero->id;
}

/* The product reads its vector where `access` said that the product is read. */
static void shift_product(Schedule *schedule, Value *product, int access) {
    Use *use = &product->uses.at[0];
    const Value *operand = schedule->values.at[use->value];
    Access shifted = schedule->accesses.at[access];
    shifted.boundary = zero_like(schedule, operand);
    use->access = schedule->accesses.count;
    vec_push(schedule->arena, &schedule->accesses, shifted);
    remark_done(schedule->remarks, REMARK_PUSHED, product->span,
                "%s: computed where it is read, a stage less in each step",
                remark_value(schedule, product));
}

static bool can_shift(const Schedule *schedule, const Value *sum, const Value *product,
                      int access) {
    const Value *operand = schedule->values.at[product->uses.at[0].value];
    return operand->nest == sum->nest && !schedule_is_leaf(operand) && same_domain(operand, sum) &&
           plain_shift(schedule, &schedule->accesses.at[access], operand);
}

/* The products that `term` of `sum` reads at another position; whether there were any. What else
 * the sum between them holds stays where it was. */
static bool take_products(Schedule *schedule, Value *sum, Term term, Value *inner) {
    Arena *arena = schedule->arena;
    int access = term.a.access, moved = 0;
    if (inner->kind == VALUE_PRODUCT) {
        if (inner->uses.at[0].access >= 0 || !can_shift(schedule, sum, inner, access)) return false;
        shift_product(schedule, inner, access);
        vec_push(arena, &sum->terms, (Term){.sign = term.sign, .a = {inner->id, -1}});
        return true;
    }
    for (int i = 0; i < inner->terms.count; i++) {
        Term t = inner->terms.at[i];
        Value *product = schedule->values.at[t.a.value];
        if (own_product(schedule, &t, inner) && can_shift(schedule, sum, product, access)) {
            shift_product(schedule, product, access);
            t.sign *= term.sign;
            vec_push(arena, &sum->terms, t);
            moved++;
        } else {
            inner->terms.at[i - moved] = t;
        }
    }
    if (!moved) return false;
    inner->terms.count -= moved;
    if (inner->terms.count) vec_push(arena, &sum->terms, term);
    return true;
}

static bool push_sum(Schedule *schedule, Value *sum) {
    int count = sum->terms.count;
    Term *terms = sum->terms.at;
    bool changed = false;
    sum->terms.at = NULL;
    sum->terms.count = sum->terms.room = 0;
    for (int i = 0; i < count; i++) {
        Value *inner = schedule->values.at[terms[i].a.value];
        bool fits = !terms[i].pair && terms[i].a.access >= 0 && inner->readers == 1 &&
                    inner->nest == sum->nest && inner->count == sum->count &&
                    inner->batched == sum->batched && same_domain(inner, sum) &&
                    (inner->kind == VALUE_SUM || inner->kind == VALUE_PRODUCT);
        if (!fits && !terms[i].pair && terms[i].a.access >= 0 && inner->kind == VALUE_PRODUCT &&
            inner->nest == sum->nest && inner->readers > 1)
            remark_missed(schedule->remarks, REMARK_PUSHED, inner->span,
                          "%s: read at another position, and elsewhere, too",
                          remark_value(schedule, inner));
        if (fits && take_products(schedule, sum, terms[i], inner))
            changed = true;
        else
            vec_push(schedule->arena, &sum->terms, terms[i]);
    }
    return changed;
}

bool normal_push(Schedule *schedule) {
    bool changed = false;
    int count = schedule->values.count;
    for (int i = 0; i < count; i++) {
        Value *value = schedule->values.at[i];
        if (value->live && value->kind == VALUE_SUM && value->nest >= 0)
            changed |= push_sum(schedule, value);
    }
    return changed;
}

/* --- N5 --- */

typedef struct Reader {
    int value;
    bool plain; /* at its own position */
    int next;   /* of the same source, -1 */
} Reader;

typedef struct Adoption {
    Schedule *schedule;
    const Value *reader;
    VEC(Reader) readers;
    int *first; /* by source */
    bool *loop; /* by block: of a loop, and no scan, which stays linear in what it holds */
} Adoption;

static void note_reader(void *user, const Use *use, bool boundary) {
    Adoption *a = user;
    Reader reader = {a->reader->id, !boundary && use->access < 0, a->first[use->value]};
    a->first[use->value] = a->readers.count;
    vec_push(a->schedule->arena, &a->readers, reader);
}

/* A rounded product must not stand before the sum that reads it: that would be an fma. */
static bool ends_in_product(const Value *value) {
    return (value->kind == VALUE_POINT && value->op == OP_MUL) ||
           (value->kind == VALUE_SUM && value->terms.count == 1 && value->terms.at[0].pair);
}

static bool adds(const Value *sum, const Value *value) {
    for (int i = 0; i < sum->terms.count; i++)
        if (!sum->terms.at[i].pair && sum->terms.at[i].a.value == value->id) return true;
    return false;
}

/* The block of a loop that alone reads the value, element by element and at its own position; -1.
 */
static int only_block(const Adoption *a, const Value *value) {
    int block = -1;
    for (int r = a->first[value->id]; r >= 0; r = a->readers.at[r].next) {
        const Reader *read = &a->readers.at[r];
        const Value *reader = a->schedule->values.at[read->value];
        if (!reader->live) continue;
        bool pointwise = reader->kind == VALUE_SUM || reader->kind == VALUE_POINT;
        if (!read->plain || !pointwise || reader->count != value->count ||
            reader->batched != value->batched || !same_domain(reader, value) ||
            (ends_in_product(value) && adds(reader, value)))
            return -1;
        if (block >= 0 && reader->block != block) return -1;
        block = reader->block;
    }
    return block >= 0 && a->loop[block] ? block : -1;
}

bool schedule_small_product(const Value *value) {
    return value->kind == VALUE_PRODUCT && value->view.dim[1] <= SMALL_PRODUCT;
}

/* Sums and products of one stream and of numbers. */
static bool cheap_of_one(const Schedule *schedule, Value *value) {
    bool mul = value->kind == VALUE_POINT && value->op == OP_MUL;
    if (value->kind != VALUE_SUM && !mul) return false;
    int stream = -1;
    for (int i = 0; i < schedule_use_count(value); i++) {
        const Use *use = schedule_use_at(value, i);
        if (!use) continue;
        const Value *source = schedule->values.at[use->value];
        if (source->kind == VALUE_CONST) continue;
        if (use->access >= 0 || source->kind == VALUE_PARAM || source->kind == VALUE_PRODUCT ||
            source->kind == VALUE_LEAF || source->count != value->count ||
            source->batched != value->batched || !same_domain(source, value) ||
            (stream >= 0 && stream != source->id))
            return false;
        stream = source->id;
    }
    return stream >= 0;
}

static void insert_first(Schedule *schedule, Block *block, int id) {
    vec_push(schedule->arena, &block->values, id);
    for (int i = block->values.count - 1; i > 0; i--) block->values.at[i] = block->values.at[i - 1];
    block->values.at[0] = id;
}

static void adopt(Schedule *schedule, Value *value, int to) {
    Block *old = schedule->blocks.at[value->block], *block = schedule->blocks.at[to];
    int kept = 0;
    for (int i = 0; i < old->values.count; i++)
        if (old->values.at[i] != value->id) old->values.at[kept++] = old->values.at[i];
    old->values.count = kept;
    value->nest = schedule->values.at[block->values.at[0]]->nest;
    value->block = to;
    insert_first(schedule, block, value->id);
}

static void find_loops(Adoption *a, const SNest *nest, bool inside) {
    if (nest->kind == NEST_BLOCK) a->loop[nest->block->number] = inside;
    for (int i = 0; nest->kind == NEST_LOOP && i < nest->children.count; i++)
        find_loops(a, nest->children.at[i], !nest->scan);
}

void normal_adopt(Schedule *schedule) {
    Adoption a = {.schedule = schedule,
                  .first = ARENA_ARRAY(schedule->arena, schedule->values.count, int),
                  .loop = ARENA_ARRAY(schedule->arena, schedule->blocks.count + 1, bool)};
    for (int i = 0; i < schedule->nests.count; i++) find_loops(&a, schedule->nests.at[i], false);
    for (int i = 0; i < schedule->values.count; i++) a.first[i] = -1;
    for (int i = 0; i < schedule->values.count; i++) {
        a.reader = schedule->values.at[i];
        if (a.reader->live) schedule_uses(schedule, a.reader, note_reader, &a);
    }
    for (int i = 0; i < schedule->outputs.count; i++) {
        a.reader = schedule->values.at[schedule->outputs.at[i]];
        note_reader(&a, &(Use){a.reader->id, -1}, true);
    }
    for (int i = 0; i < schedule->stops.count; i++) {
        a.reader = schedule->values.at[schedule->stops.at[i]];
        note_reader(&a, &(Use){a.reader->id, -1}, true);
    }
    /* From the last value to the first: who reads an adopted value may be adopted before. */
    for (int b = schedule->blocks.count - 1; b >= 0; b--) {
        const Block *block = schedule->blocks.at[b];
        for (int i = block->values.count - 1; i >= 0; i--) {
            Value *value = schedule->values.at[block->values.at[i]];
            bool cheap = !schedule->choices.off[CHOICE_adopt] && cheap_of_one(schedule, value);
            /* Whether a product starts a sum of its own decides bits: always. */
            if (!cheap && !schedule_small_product(value)) continue;
            int to = only_block(&a, value);
            if (to >= 0 && to != b) {
                adopt(schedule, value, to);
                remark_done(
                    schedule->remarks, REMARK_ADOPTED, value->span,
                    "%s: computed in the loop that alone reads it, without a pass over memory",
                    remark_value(schedule, value));
            } else if (!a.loop[b] && !cheap && schedule->nests.count > 1) {
                remark_missed(schedule->remarks, REMARK_ADOPTED, value->span,
                              "%s: few columns, but no loop alone reads it element by element",
                              remark_value(schedule, value));
            }
        }
    }
}
