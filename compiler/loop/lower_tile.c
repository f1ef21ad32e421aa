/* One tile of a family: its shape, the products of all its accumulators over k, and the elementwise
 * epilogue of a block of units of one row. Shapes and orders are those of docs/internals, "Tiles".
 */
#include "loop/lower_tile.h"

enum { MOST_BLOCKS = 24, FIRST_CACHE = 32 << 10 };

int lower_family_lanes(const Lower *lower, const Family *family) {
    return family->count == 1 ? 1 : lower->lanes;
}

int64_t tile_blocks_in(const Lower *lower, const Family *family) {
    int lanes = lower_family_lanes(lower, family);
    return (family->count + lanes - 1) / lanes;
}

static int widest(const Family *family) {
    int most = 0;
    for (int i = 0; i < family->segments.count; i++)
        if (family->segments.at[i].products.count > most)
            most = family->segments.at[i].products.count;
    return most;
}

/* Packed numbers of one block of units. */
static int64_t block_weights(const Lower *lower, const Family *family) {
    int64_t sum = 0;
    for (int i = 0; i < family->segments.count; i++)
        sum += family->segments.at[i].products.count * family->segments.at[i].length;
    return sum * lower_family_lanes(lower, family);
}

int64_t lower_family_weights(const Lower *lower, const Family *family) {
    return block_weights(lower, family) * tile_blocks_in(lower, family);
}

/* Blocks of a tile with several rows: more accumulators leave room for fewer. The weights are
 * packed for batch 1 (lower_blocks_of), since both read the same ones. */
int tile_blocks(const Lower *lower, const Family *family) {
    bool many = lower->options.target.registers >= 32;
    int accs = family->accs.count;
    if (!accs || family->count == 1) return 1;
    if (lower->options.force.vectors) return lower->options.force.vectors;
    return accs == 1 ? (many ? 4 : 2) : accs == 2 && many ? 2 : 1;
}

int tile_blocks_why(const Lower *lower, const Block *block, const Family *family,
                    const char **why) {
    *why = lower->options.force.vectors ? "forced" : "as the registers allow";
    int accs = family->accs.count, w = widest(family);
    if (!accs || family->count == 1) return 1;
    if (!block->loop_count || family->domain_count || lower->options.force.vectors)
        return tile_blocks(lower, family);
    int64_t bytes = 0;
    for (int i = 0; i < block->families.count; i++)
        bytes += lower_family_weights(lower, lower->schedule->families.at[block->families.at[i]]) *
                 loop_type_size(lower->real);
    bool many = lower->options.target.registers >= 32;
    /* Weights that stay in the first cache: one tile, whose blocks wait for nothing but loads. */
    int64_t blocks = tile_blocks_in(lower, family);
    int chains = 1;
    for (int i = 0; i < family->segments.count; i++)
        if (family->segments.at[i].chains > chains) chains = family->segments.at[i].chains;
    *why = "the weights of a step fit the first cache: all units are one tile";
    if (bytes <= FIRST_CACHE && accs * blocks * chains <= (many ? 24 : 12)) return (int)blocks;
    *why = "two blocks cover the latency of loads";
    if (many && accs <= 4 && w <= 3) return 2;
    if (many && accs <= 4 && w == 4 && bytes > 1 << 20) return 2;
    if (!many && accs == 1) return 2;
    *why = "a block keeps enough loads in flight";
    return 1;
}

int lower_blocks_of(const Lower *lower, const Block *block, const Family *family) {
    const char *why;
    return tile_blocks_why(lower, block, family, &why);
}

/* Rows of a tile beyond batch 1: as many as the registers hold. */
int tile_rows(const Lower *lower, const Block *block, const Family *family, int nb) {
    int accs = family->accs.count * nb;
    if (lower->options.force.rows) return lower->options.force.rows;
    int bound = (lower->options.target.registers >= 32 ? 24 : 12) / (accs ? accs : 1);
    if (bound > MOST_ROWS) bound = MOST_ROWS;
    if (bound < 1) bound = 1;
    if (block->loop_count)
        while (bound & (bound - 1)) bound--; /* batches are powers of two more often than not */
    return bound;
}

/* --- state of one family
 * ------------------------------------------------------------------------------------ */

typedef struct Epilogue {
    Fn *fn;
    LBlock *out;
    const Family *family;
    const Row *row;
    LExpr *unit; /* first unit of the block */
    int lanes;
    LExpr **accumulator; /* by family->accs */
    LExpr **computed;    /* by value id */
    struct Loaded **loaded, *last;
    const Value *reader;
} Epilogue;

/* An element that was loaded, as one that wants it may use it again; by value id, in a list. */
struct Loaded {
    Use use;
    Want want;
    LExpr *value;
    struct Loaded *next, *before; /* of the same value; of all */
};

static int acc_number(const Family *family, int value) {
    for (int i = 0; i < family->accs.count; i++)
        if (family->accs.at[i] == value) return i;
    return -1;
}

/* The term that an accumulator starts from: the first positive plain one that lies in memory. */
static int start_term(const Schedule *schedule, const Family *family, const Value *sum) {
    if (sum->kind != VALUE_SUM) return -1;
    for (int i = 0; i < sum->terms.count; i++) {
        const Term *t = &sum->terms.at[i];
        const Value *a = schedule->values.at[t->a.value];
        if (t->pair || t->sign < 0 || a->count != sum->count || a->kind == VALUE_CONST ||
            a->kind == VALUE_LEAF)
            continue;
        if (t->a.access < 0 && a->family == family->number && !schedule_is_leaf(a)) continue;
        return i;
    }
    return -1;
}

static LExpr *get_operand(void *user, const Use *use, Want want) {
    Epilogue *e = user;
    const Schedule *schedule = e->fn->lower->schedule;
    const Value *source = schedule->values.at[use->value];
    bool here = use->access < 0 && source->family == e->family->number && !schedule_is_leaf(source);
    if (here && source->kind == VALUE_PRODUCT && source->acc != source->id)
        return NULL; /* in the accumulator */
    if (here) return lower_as(e->fn->lower, e->computed[source->id], want);
    for (const struct Loaded *known = e->loaded[source->id]; known; known = known->next)
        if (known->want == want && schedule_same_use(schedule, known->use, *use))
            return known->value;
    LExpr *value = lower_element(e->fn, e->out, e->reader, use, e->row, e->unit, e->lanes, want);
    if (value->kind != LE_VAR && source->kind != VALUE_CONST)
        value = lower_let(e->fn, e->out, lower_name(e->fn->lower, source), value);
    struct Loaded *loaded = ARENA_NEW(e->fn->lower->arena, struct Loaded);
    *loaded = (struct Loaded){*use, want, value, e->loaded[source->id], e->last};
    e->loaded[source->id] = e->last = loaded;
    return value;
}

/* position % P == 0, for every lane. */
static LExpr *ticks(Epilogue *e, const Value *hold) {
    Fn *fn = e->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *rest = lower_since_tick(fn, hold, e->row);
    LExpr *tick = loop_convert(m, SOP_CONVERT, lower->integer, rest);
    if (tick->type == rest->type) tick = rest;
    tick = lower_let(fn, e->out, "rest", tick);
    return lower_op(lower, SOP_EQ, loop_splat(m, tick, e->lanes),
                    loop_splat(m, loop_int_of(m, lower->integer, 0), e->lanes));
}

/* Everything elementwise of one block of units of one row, all stores last. */
static void epilogue(Epilogue *e, const int *init) {
    Fn *fn = e->fn;
    const Schedule *schedule = fn->lower->schedule;
    for (int i = 0; i < e->family->values.count; i++) {
        const Value *value = schedule->values.at[e->family->values.at[i]];
        e->reader = value;
        lower_at(fn->lower, value->span);
        int acc = acc_number(e->family, value->id);
        LExpr *result;
        if (value->kind == VALUE_PRODUCT) {
            if (acc < 0) continue;
            result = e->accumulator[acc];
        } else if (value->kind == VALUE_SUM) {
            result = lower_sum(fn, e->out, value, acc >= 0 ? e->accumulator[acc] : NULL,
                               acc >= 0 ? init[acc] : -1, get_operand, e);
        } else {
            LExpr *tick = value->op == OP_HOLD ? ticks(e, value) : NULL;
            result = lower_point(fn, e->out, value, get_operand, e, tick);
        }
        if (result->lanes != e->lanes) result = loop_splat(fn->lower->module, result, e->lanes);
        e->computed[value->id] = lower_let(fn, e->out, lower_name(fn->lower, value), result);
    }
    for (int i = 0; i < e->family->values.count; i++) {
        const Value *value = schedule->values.at[e->family->values.at[i]];
        lower_at(fn->lower, value->span);
        if (fn->places[value->id].buffer >= 0 && e->computed[value->id])
            lower_store(fn, e->out, value, e->row, e->unit, e->computed[value->id]);
    }
}

void tile_epilogue(Tile *tile, LBlock *out, const Row *row, LExpr *unit, LExpr **accumulator) {
    Lower *lower = tile->fn->lower;
    const Schedule *schedule = lower->schedule;
    if (!lower->computed) {
        lower->computed = ARENA_ARRAY(lower->arena, schedule->values.count, LExpr *);
        lower->loaded = ARENA_ARRAY(lower->arena, schedule->values.count, struct Loaded *);
    }
    Epilogue e = {.fn = tile->fn,
                  .out = out,
                  .family = tile->family,
                  .row = row,
                  .unit = unit,
                  .lanes = tile->lanes,
                  .accumulator = accumulator,
                  .computed = lower->computed,
                  .loaded = lower->loaded};
    epilogue(&e, tile->init);
    for (int i = 0; i < e.family->values.count; i++) e.computed[e.family->values.at[i]] = NULL;
    for (; e.last; e.last = e.last->before) e.loaded[e.last->use.value] = NULL;
}

/* --- products
 * -------------------------------------------------------------------------------------------------
 */

static int chain_count(const Tile *tile, int acc) {
    int most = 1;
    const Schedule *schedule = tile->fn->lower->schedule;
    if (!tile->chains) return 1;
    for (int s = 0; s < tile->family->segments.count; s++) {
        const Segment *segment = &tile->family->segments.at[s];
        for (int p = 0; p < segment->products.count; p++)
            if (acc_number(tile->family, schedule->values.at[segment->products.at[p]]->acc) ==
                    acc &&
                segment->chains > most)
                most = segment->chains;
    }
    return most;
}

/* accumulator variable of (row, block, acc, chain) */
static int slot(const Tile *tile, int row, int block, int acc, int chain) {
    return ((row * tile->nb + block) * tile->family->accs.count + acc) * 4 + chain;
}

/* One turn of the k loop: chain j takes k + j. The smaller side is held in registers, the other
 * streamed. */
static void multiply(Tile *tile, LBlock *out, const Segment *segment, LExpr *k, int turns,
                     LExpr *const *bases, LExpr *const *weights, const int *vars) {
    Fn *fn = tile->fn;
    LoopModule *m = fn->lower->module;
    const Schedule *schedule = fn->lower->schedule;
    const RowPlace *place =
        lower_place_of(fn, schedule->values.at[segment->operand.value], segment->operand.access);
    const Value *operand = schedule->values.at[segment->operand.value];
    int w = segment->products.count, lanes = tile->lanes;
    LoopType real = fn->lower->real;
    for (int j = 0; j < turns; j++) {
        LExpr *kj = loop_add(m, k, loop_int(m, j));
        LExpr *h[MOST_ROWS];
        LExpr *vector[16 * 4 + 1] = {0};
        bool hold_weights = tile->nb * w <= tile->rows && tile->nb * w <= 64;
        for (int pass = 0; pass < 2; pass++) {
            bool load_weights = hold_weights == (pass == 0);
            if (!load_weights) {
                for (int i = 0; i < tile->rows; i++) {
                    LExpr *x;
                    if (operand->kind == VALUE_CONST)
                        x = loop_float(m, real, operand->number);
                    else if (operand->kind == VALUE_PARAM)
                        x = loop_load(
                            m, fn->fn, fn->weights,
                            loop_add(m, loop_int(m, fn->lower->plain_offset[operand->id]), kj), 1,
                            false);
                    else
                        x = loop_load(m, fn->fn, place->buffer, loop_add(m, bases[i], kj), 1,
                                      false);
                    x = loop_splat(m, x, lanes);
                    if (pass == 0 || tile->rows > 1 || tile->nb * w > 1)
                        x = lower_let(fn, out, "x", x);
                    h[i] = x;
                    if (pass == 1)
                        for (int b = 0; b < tile->nb; b++)
                            for (int p = 0; p < w; p++) {
                                lower_at(fn->lower,
                                         schedule->values.at[segment->products.at[p]]->span);
                                int acc =
                                    acc_number(tile->family,
                                               schedule->values.at[segment->products.at[p]]->acc);
                                int var = vars[slot(tile, i, b, acc, tile->chains ? j : 0)];
                                loop_set(m, out, var,
                                         loop_op(m, SOP_FMA, vector[b * w + p], h[i],
                                                 loop_var(m, fn->fn, var)));
                            }
                }
                continue;
            }
            for (int b = 0; b < tile->nb; b++)
                for (int p = 0; p < w; p++) {
                    lower_at(fn->lower, schedule->values.at[segment->products.at[p]]->span);
                    int64_t side = (int64_t)tile->packed * w * lanes; /* from k to k + 1 */
                    LExpr *at = loop_add(
                        m, weights[b / tile->packed],
                        loop_add(m, loop_mul(m, kj, loop_int(m, side)),
                                 loop_int(m, (int64_t)(b % tile->packed * w + p) * lanes)));
                    LExpr *v = loop_load(m, fn->fn, fn->weights, at, lanes, lanes > 1);
                    if (pass == 0) {
                        vector[b * w + p] = lower_let(fn, out, "w", v);
                        continue;
                    }
                    if (tile->rows > 1) v = lower_let(fn, out, "w", v);
                    int acc =
                        acc_number(tile->family, schedule->values.at[segment->products.at[p]]->acc);
                    for (int i = 0; i < tile->rows; i++) {
                        int var = vars[slot(tile, i, b, acc, tile->chains ? j : 0)];
                        loop_set(m, out, var,
                                 loop_op(m, SOP_FMA, v, h[i], loop_var(m, fn->fn, var)));
                    }
                }
        }
    }
}

/* Where the weights of a segment begin for the blocks from number b of the tile on: those of the
 * blocks before, of the segments before, and of blocks that are packed at its side. */
static LExpr *packed_at(const Tile *tile, int b, int64_t before, int width) {
    const Lower *lower = tile->fn->lower;
    LoopModule *m = lower->module;
    int64_t whole = block_weights(lower, tile->family), packed = tile->packed;
    LExpr *q = loop_add(m, tile->q, loop_int(m, b)), *aside = loop_int(m, 0);
    if (tile->nb < packed) {
        LExpr *inside = loop_op(m, SOP_MOD, q, loop_int(m, packed), NULL);
        aside = loop_mul(m, inside, loop_int(m, (int64_t)width * tile->lanes));
        q = loop_sub(m, q, inside);
    }
    LExpr *at = loop_add(m, loop_int(m, lower->family_offset[tile->family->number]),
                         loop_mul(m, q, loop_int(m, whole)));
    return loop_add(m, loop_add(m, at, loop_int(m, before * packed * tile->lanes)), aside);
}

/* The accumulators of a tile, complete; results[(row*nb + block)*accs + acc]. */
void tile_products(Tile *tile, LBlock *out, const Row *rows, LExpr **results) {
    Fn *fn = tile->fn;
    LoopModule *m = fn->lower->module;
    const Schedule *schedule = fn->lower->schedule;
    const Family *family = tile->family;
    int accs = family->accs.count;
    int *vars = ARENA_ARRAY(fn->lower->arena, tile->rows * tile->nb * accs * 4, int);
    for (int i = 0; i < tile->rows; i++)
        for (int b = 0; b < tile->nb; b++)
            for (int a = 0; a < accs; a++) {
                const Value *acc = schedule->values.at[family->accs.at[a]];
                lower_at(fn->lower, acc->span);
                LExpr *start = lower_real(fn->lower, 0, tile->lanes);
                if (tile->init[a] >= 0) {
                    const Use *use = &acc->terms.at[tile->init[a]].a;
                    LExpr *unit =
                        loop_mul(m, loop_add(m, tile->q, loop_int(m, b)), loop_int(m, tile->lanes));
                    start =
                        lower_element(fn, out, acc, use, &rows[i], unit, tile->lanes, WANT_REAL);
                }
                const char *name = lower_name(fn->lower, acc);
                for (int c = 0; c < chain_count(tile, a); c++)
                    vars[slot(tile, i, b, a, c)] = loop_mutable(
                        m, fn->fn, out, name, c ? lower_real(fn->lower, 0, tile->lanes) : start);
            }
    int64_t before = 0;
    for (int s = 0; s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        LExpr *bases[MOST_ROWS] = {0};
        const Value *operand = schedule->values.at[segment->operand.value];
        const Value *reader = schedule->values.at[segment->products.at[0]];
        lower_at(fn->lower, reader->span);
        for (int i = 0; i < tile->rows; i++)
            if (operand->kind != VALUE_CONST && operand->kind != VALUE_PARAM)
                bases[i] =
                    lower_let(fn, out, "row",
                              lower_row(fn, reader, operand, segment->operand.access, &rows[i]));
        LExpr *weights[MOST_BLOCKS];
        for (int b = 0; b < tile->nb; b += tile->packed)
            weights[b / tile->packed] =
                lower_let(fn, out, "at", packed_at(tile, b, before, segment->products.count));
        int step = tile->chains ? segment->chains : 1;
        int64_t whole = segment->length - segment->length % step;
        if (whole) {
            LStmt *loop = loop_for(m, fn->fn, out, "k", loop_int(m, 0), loop_int(m, whole), step);
            loop->rolled = true;
            multiply(tile, &loop->body, segment, loop_var(m, fn->fn, loop->var), step, bases,
                     weights, vars);
        }
        if (whole < segment->length)
            multiply(tile, out, segment, loop_int(m, whole), (int)(segment->length - whole), bases,
                     weights, vars);
        before += segment->length * segment->products.count;
    }
    for (int i = 0; i < tile->rows; i++)
        for (int b = 0; b < tile->nb; b++)
            for (int a = 0; a < accs; a++) {
                LExpr *sum = loop_var(m, fn->fn, vars[slot(tile, i, b, a, 0)]);
                for (int c = 1; c < chain_count(tile, a); c++)
                    sum = lower_op(fn->lower, SOP_ADD, sum,
                                   loop_var(m, fn->fn, vars[slot(tile, i, b, a, c)]));
                results[(i * tile->nb + b) * accs + a] = sum;
            }
}

void tile_start(Tile *tile) {
    const Schedule *schedule = tile->fn->lower->schedule;
    const Family *family = tile->family;
    tile->init = ARENA_ARRAY(tile->fn->lower->arena, family->accs.count, int);
    for (int a = 0; a < family->accs.count; a++)
        tile->init[a] = start_term(schedule, family, schedule->values.at[family->accs.at[a]]);
}
