/* Random draws. A number is a function of seed, site, sequence, positions and element, as
 * runtime/rnn_rt.h defines it: Philox4x32-10, whose counter is the place. So forward and gradient,
 * any order and any number of lanes give the same. The bits are those of the interpreter, but for
 * normal numbers and exponentials, which are computed in f64 by our own log, cos and exp. */
#include "loop/lower_row.h"

#include <math.h>
#include <string.h>

#include "rnn_rt.h"

enum { COUNTERS = 4, KEYS = 2, ROUNDS = 10, MOST_SIDE_BY_SIDE = 4 };

static bool is_draw(const Value *value) {
    return value->live && value->kind == VALUE_ROW && value->op == OP_DRAW;
}

bool lower_seed_argument(Fn *fn, bool static_only) {
    const Lower *lower = fn->lower;
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        if (!is_draw(value) || (static_only && !lower_static(lower, value))) continue;
        lower_arg(fn, ROLE_SEED, 0);
        return true;
    }
    return false;
}

/* --- the generator --- */

static LExpr *word(Lower *lower, uint32_t bits) {
    return loop_int_of(lower->module, LT_I32, (int32_t)bits);
}

static LExpr *low_word(Lower *lower, LExpr *wide) {
    return loop_convert(lower->module, SOP_CONVERT, LT_I32, wide);
}

static LExpr *high_word(Lower *lower, LExpr *wide) {
    LExpr *high = lower_op(lower, SOP_SHR, wide, loop_int(lower->module, 32));
    return low_word(lower, high);
}

/* Words 0 and 1 of the four that each counter gives under the key, in variables of `out`. A round
 * waits for the one before: several counters at a time fill the gaps. */
static void philox_side_by_side(Fn *fn, LBlock *out, LExpr *counter[][COUNTERS],
                                LExpr *const key[KEYS], int count, LExpr *words[][2]) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    static const uint32_t factor[2] = {0xCD9E8D57u, 0xD2511F53u};
    static const uint32_t step[KEYS] = {0x9E3779B9u, 0xBB67AE85u};
    int lanes = counter[0][0]->lanes, c[MOST_SIDE_BY_SIDE][COUNTERS], k[KEYS];
    for (int g = 0; g < count; g++)
        for (int i = 0; i < COUNTERS; i++)
            c[g][i] = loop_mutable(m, fn->fn, out, "word", counter[g][i]);
    for (int i = 0; i < KEYS; i++) k[i] = loop_mutable(m, fn->fn, out, "key", key[i]);
    LStmt *round = loop_for(m, fn->fn, out, "turn", loop_int(m, 0), loop_int(m, ROUNDS), 1);
    LBlock *body = &round->body;
    LExpr *high[MOST_SIDE_BY_SIDE][2], *low[MOST_SIDE_BY_SIDE][2];
    for (int g = 0; g < count; g++)
        for (int half = 0; half < 2; half++) {
            LExpr *by = loop_splat(m, word(lower, factor[half]), lanes);
            LExpr *from = loop_var(m, fn->fn, c[g][half ? 0 : 2]);
            high[g][half] = lower_let(fn, body, "high", lower_op(lower, SOP_MULHI, from, by));
            low[g][half] = lower_let(fn, body, "low", lower_op(lower, SOP_MUL, from, by));
        }
    for (int g = 0; g < count; g++) {
        for (int half = 0; half < 2; half++) {
            LExpr *odd = loop_var(m, fn->fn, c[g][2 * half + 1]);
            LExpr *mixed = lower_op(lower, SOP_XOR, high[g][half], odd);
            LExpr *own = loop_splat(m, loop_var(m, fn->fn, k[half]), lanes);
            loop_set(m, body, c[g][2 * half], lower_op(lower, SOP_XOR, mixed, own));
        }
        for (int half = 0; half < 2; half++) loop_set(m, body, c[g][2 * half + 1], low[g][half]);
    }
    for (int i = 0; i < KEYS; i++)
        loop_set(m, body, k[i],
                 lower_op(lower, SOP_ADD, loop_var(m, fn->fn, k[i]), word(lower, step[i])));
    for (int g = 0; g < count; g++)
        for (int i = 0; i < 2; i++) words[g][i] = loop_var(m, fn->fn, c[g][i]);
}

static void philox(Fn *fn, LBlock *out, LExpr *const counter[COUNTERS], LExpr *const key[KEYS],
                   LExpr *words[2]) {
    LExpr *one[1][COUNTERS], *got[1][2];
    memcpy(one[0], counter, sizeof one[0]);
    philox_side_by_side(fn, out, one, key, 1, got);
    memcpy(words, got[0], sizeof got[0]);
}

void lower_draw_key(Fn *fn, LBlock *out, LExpr *const site[2], LExpr *key[2]) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int seed_arg = lower_arg(fn, ROLE_SEED, 0);
    LExpr *seed = loop_var(m, fn->fn, fn->fn->args.at[seed_arg].var);
    LExpr *counter[] = {site[0], site[1], word(lower, 0), word(lower, 0)};
    LExpr *seeds[] = {lower_let(fn, out, "seed_low", low_word(lower, seed)),
                      lower_let(fn, out, "seed_high", high_word(lower, seed))};
    philox(fn, out, counter, seeds, key);
}

void row_draw_key(Fn *fn, LBlock *out, const Value *value, LExpr *key[2]) {
    uint64_t site = rt_hash_name(value->attr->site);
    LExpr *words[] = {word(fn->lower, (uint32_t)site), word(fn->lower, (uint32_t)(site >> 32))};
    lower_draw_key(fn, out, words, key);
}

/* The key that a third position, and so on, makes of one: its variables are set anew. */
static void absorb(Fn *fn, LBlock *out, LExpr *const counter[COUNTERS], const int key[KEYS]) {
    LoopModule *m = fn->lower->module;
    LExpr *now[KEYS], *words[2];
    for (int i = 0; i < KEYS; i++) now[i] = loop_var(m, fn->fn, key[i]);
    philox(fn, out, counter, now, words);
    for (int i = 0; i < KEYS; i++) loop_set(m, out, key[i], words[i]);
}

/* --- the place of a row --- */

/* The positions that name a draw: counted from the reset where they are carried, from the end where
 * they are mirrored. */
static LExpr *position(RowOp *op, int k) {
    Fn *fn = op->fn;
    const Graph *graph = fn->lower->graph;
    const Attr *attr = op->value->attr;
    const At *at = &attr->at[k];
    Attr index = {.index = at->index, .mirrored = at->kind == AT_MIRROR};
    int axis = graph->indices.at[at->index].axis;
    if (attr->carry && graph->carries.at[attr->carry - 1].axis == axis) index.carry = attr->carry;
    LExpr *position = lower_count(fn, op->value, &index, op->row);
    position = loop_add(fn->lower->module, position, loop_int(fn->lower->module, at->offset));
    return lower_let(fn, op->out, "place", position);
}

/* Whether a position may have more than 32 bits: one that goes on from call to call. */
static bool may_be_long(const RowOp *op) {
    return op->fn->step || op->value->attr->carry;
}

/* Counter (without the element) and key of the row at hand. */
static void row_place(RowOp *op, LExpr *const site[KEYS], LExpr *counter[COUNTERS],
                      LExpr *key[KEYS]) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int count = op->value->attr->at_count, own[KEYS] = {-1, -1};
    LExpr *at[MAX_DOMAIN], *zero = word(lower, 0);
    for (int k = 0; k < count; k++) at[k] = position(op, k);
    bool is_long = count > 0 && may_be_long(op);
    for (int i = 0; i < KEYS; i++) {
        key[i] = site[i];
        if (count <= 2 && !is_long) continue;
        own[i] = loop_mutable(m, fn->fn, op->out, "key", site[i]);
        key[i] = loop_var(m, fn->fn, own[i]);
    }
    for (int k = 2; k < count; k++) {
        LExpr *more[] = {low_word(lower, at[k]), high_word(lower, at[k]), word(lower, (uint32_t)k),
                         zero};
        absorb(fn, op->out, more, own);
    }
    if (is_long) {
        LExpr *high[2];
        for (int k = 0; k < 2; k++)
            high[k] = k < count ? lower_let(fn, op->out, "high", high_word(lower, at[k])) : zero;
        LExpr *any = count > 1 ? lower_op(lower, SOP_OR, high[0], high[1]) : high[0];
        LStmt *test = loop_if(m, op->out, lower_op(lower, SOP_NE, any, zero));
        LExpr *more[] = {zero, high[0], zero, high[1]};
        absorb(fn, &test->body, more, own);
    }
    counter[1] = count > 0 ? low_word(lower, at[0]) : zero;
    counter[2] = low_word(lower, op->row->b);
    counter[3] = count > 1 ? low_word(lower, at[1]) : zero;
}

/* 0, 1 … in the lanes of a vector. */
static LExpr *lane_numbers(Fn *fn, int lanes) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    Name name = name_of(lower->names, "lane_numbers");
    int table = -1;
    for (int i = 0; i < fn->fn->buffers.count; i++) {
        const LBuffer *b = &fn->fn->buffers.at[i];
        if (b->base == LB_TABLE && b->name == name && b->count->integer == lanes) table = i;
    }
    if (table < 0) {
        double *numbers = ARENA_ARRAY(lower->arena, lanes, double);
        for (int i = 0; i < lanes; i++) numbers[i] = i;
        table = loop_buffer(m, fn->fn,
                            (LBuffer){.name = name,
                                      .type = LT_I32,
                                      .base = LB_TABLE,
                                      .count = loop_int(m, lanes),
                                      .align = 64,
                                      .table = numbers});
    }
    return loop_load(m, fn->fn, table, loop_int(m, 0), lanes, true);
}

/* Words 0 and 1 of `lanes` elements from each of `count` on. */
static void words_of(Fn *fn, LBlock *out, LExpr *const counter[COUNTERS], LExpr *const key[KEYS],
                     LExpr *const *elements, int count, int lanes, LExpr *words[][2]) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *all[MOST_SIDE_BY_SIDE][COUNTERS];
    for (int g = 0; g < count; g++) {
        for (int i = 1; i < COUNTERS; i++) all[g][i] = loop_splat(m, counter[i], lanes);
        all[g][0] = loop_splat(m, low_word(lower, elements[g]), lanes);
        if (lanes > 1) all[g][0] = lower_op(lower, SOP_ADD, all[g][0], lane_numbers(fn, lanes));
    }
    philox_side_by_side(fn, out, all, key, count, words);
}

void lower_draw_words(Fn *fn, LBlock *out, LExpr *const key[2], LExpr *element, LExpr *words[2]) {
    LExpr *zero = word(fn->lower, 0),
          *counter[COUNTERS] = {low_word(fn->lower, element), zero, zero, zero};
    philox(fn, out, counter, key, words);
}

/* --- numbers --- */

static LExpr *real_of(Lower *lower, LoopType type, double value, int lanes) {
    return loop_splat(lower->module, loop_float(lower->module, type, value), lanes);
}

static LExpr *shifted(Lower *lower, LExpr *bits, int by) {
    LExpr *count = loop_splat(lower->module, word(lower, (uint32_t)by), bits->lanes);
    return lower_op(lower, SOP_SHR, bits, count);
}

LExpr *lower_product(Lower *lower, LExpr *a, LExpr *b) {
    return loop_op(lower->module, SOP_FMA, a, b, real_of(lower, a->type, -0.0, a->lanes));
}

/* In f64: the word as a number without sign, plus `more`; exact. */
static LExpr *unsigned_of(Lower *lower, LExpr *bits, double more) {
    LExpr *top = loop_splat(lower->module, word(lower, 0x80000000u), bits->lanes);
    LExpr *moved =
        loop_convert(lower->module, SOP_CONVERT, LT_F64, lower_op(lower, SOP_XOR, bits, top));
    return lower_op(lower, SOP_ADD, moved, real_of(lower, LT_F64, 0x1p31 + more, bits->lanes));
}

/* rt_uniform24 of type `type`. */
static LExpr *uniform24(Fn *fn, LBlock *out, LExpr *const words[2], LoopType type) {
    Lower *lower = fn->lower;
    LExpr *bits = loop_convert(lower->module, SOP_CONVERT, type, shifted(lower, words[0], 8));
    return lower_let(fn, out, "u",
                     lower_op(lower, SOP_MUL, bits, real_of(lower, type, 0x1p-24, bits->lanes)));
}

LExpr *lower_draw_uniform(Fn *fn, LBlock *out, LExpr *const words[2]) {
    Lower *lower = fn->lower;
    int lanes = words[0]->lanes;
    LExpr *high = lower_let(fn, out, "high_bits", unsigned_of(lower, words[0], 0));
    LExpr *low = loop_convert(lower->module, SOP_CONVERT, LT_F64, shifted(lower, words[1], 11));
    LExpr *bits = loop_op(lower->module, SOP_FMA, high, real_of(lower, LT_F64, 0x1p21, lanes), low);
    bits = lower_let(fn, out, "bits", bits);
    return lower_let(fn, out, "u",
                     lower_op(lower, SOP_MUL, bits, real_of(lower, LT_F64, 0x1p-53, lanes)));
}

LExpr *lower_draw_normal(Fn *fn, LBlock *out, LExpr *const words[2]) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int lanes = words[0]->lanes;
    LExpr *unit = real_of(lower, LT_F64, 0x1p-32, lanes);
    LExpr *u = lower_op(lower, SOP_MUL, unsigned_of(lower, words[0], 0.5), unit);
    u = lower_let(fn, out, "u", u);
    LExpr *l = lower_let(fn, out, "log_u", loop_op(m, SOP_LOG, u, NULL, NULL));
    LExpr *minus_two = loop_op(m, SOP_NEG, lower_op(lower, SOP_ADD, l, l), NULL, NULL);
    LExpr *radius = lower_let(fn, out, "radius", loop_op(m, SOP_SQRT, minus_two, NULL, NULL));
    LExpr *turn = lower_op(lower, SOP_MUL, loop_convert(m, SOP_CONVERT, LT_F64, words[1]), unit);
    turn = lower_let(fn, out, "turns", turn);
    LExpr *angle =
        lower_product(lower, turn, real_of(lower, LT_F64, 6.283185307179586476925286766559, lanes));
    angle = lower_let(fn, out, "angle", angle);
    LExpr *wave = lower_let(fn, out, "wave", loop_op(m, SOP_COS, angle, NULL, NULL));
    return lower_let(fn, out, "z", lower_product(lower, radius, wave));
}

/* One vector of elements, from `element` on. */
static LExpr *element_of(RowOp *op, LBlock *out, LExpr *const words[2], LExpr *element) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    int lanes = words[0]->lanes, operands = op->value->uses.count;
    LExpr *a = operands > 0 ? row_read(op, out, 0, element, lanes) : NULL;
    LExpr *b = operands > 1 ? row_read(op, out, 1, element, lanes) : NULL;
    switch (op->value->attr->draw) {
    case DRAW_NORMAL: {
        LExpr *z = lower_draw_normal(fn, out, words);
        if (lower->real != LT_F64)
            z = lower_let(fn, out, "z", loop_convert(lower->module, SOP_CONVERT, lower->real, z));
        return a ? lower_product(lower, z, a) : z;
    }
    case DRAW_UNIFORM: {
        LExpr *u = lower->real == LT_F64 ? lower_draw_uniform(fn, out, words)
                                         : uniform24(fn, out, words, lower->real);
        if (!b) return u;
        LExpr *width = lower_let(fn, out, "width", lower_op(lower, SOP_SUB, b, a));
        return loop_op(lower->module, SOP_FMA, width, u, a);
    }
    case DRAW_BERNOULLI: return lower_op(lower, SOP_LT, uniform24(fn, out, words, lower->real), a);
    case DRAW_CATEGORICAL: break; /* not element by element */
    }
    return lower_real(lower, 0, lanes);
}

/* How many elements at once. What is normal is made in f64. */
static int lanes_of(const RowOp *op) {
    const Lower *lower = op->fn->lower;
    const RowPlace *place = &op->fn->places[op->value->id];
    int lanes = lower->lanes;
    if (op->value->attr->draw == DRAW_NORMAL && lower->real != LT_F64) lanes /= 2;
    if (op->value->count == 1 || lanes < 1 || !place->padded) return 1;
    for (int i = 0; i < op->value->uses.count; i++)
        if (row_operand(op, i)->count > 1 && !row_vectors(op, i)) return 1;
    return lanes;
}

/* --- categorical --- */

/* exp(logit - top) in f64. */
static LExpr *weight(RowOp *op, LBlock *out, LExpr *v, LExpr *top) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    LExpr *z = loop_convert(m, SOP_CONVERT, LT_F64, row_read(op, out, 0, v, 1));
    LExpr *less = lower_let(fn, out, "less", lower_op(fn->lower, SOP_SUB, z, top));
    return lower_let(fn, out, "weight", loop_op(m, SOP_EXP, less, NULL, NULL));
}

/* The inverse of the distribution function of softmax(logits), in f64 as the interpreter has it:
 * where rounding leaves no choice, the last that has a probability. */
static void categorical(RowOp *op, LExpr *const words[2]) {
    Fn *fn = op->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *none = loop_int(m, 0), *count = loop_int(m, row_operand(op, 0)->count);
    LExpr *u = lower_draw_uniform(fn, op->out, words), *zero = loop_float(m, LT_F64, 0);
    int top = loop_mutable(m, fn->fn, op->out, "top", loop_float(m, LT_F64, -INFINITY));
    LStmt *each = loop_for(m, fn->fn, op->out, "v", none, count, 1);
    LExpr *z = row_read(op, &each->body, 0, loop_var(m, fn->fn, each->var), 1);
    z = lower_let(fn, &each->body, "logit", loop_convert(m, SOP_CONVERT, LT_F64, z));
    LStmt *test = loop_if(m, &each->body, lower_op(lower, SOP_GT, z, loop_var(m, fn->fn, top)));
    loop_set(m, &test->body, top, z);
    int all = loop_mutable(m, fn->fn, op->out, "all", zero);
    each = loop_for(m, fn->fn, op->out, "v", none, count, 1);
    LExpr *v = loop_var(m, fn->fn, each->var), *most = loop_var(m, fn->fn, top);
    LExpr *e = weight(op, &each->body, v, most);
    loop_set(m, &each->body, all, lower_op(lower, SOP_ADD, loop_var(m, fn->fn, all), e));
    int so_far = loop_mutable(m, fn->fn, op->out, "so_far", zero);
    int choice = loop_mutable(m, fn->fn, op->out, "choice", none);
    LExpr *mark = lower_op(lower, SOP_MUL, u, loop_var(m, fn->fn, all));
    mark = lower_let(fn, op->out, "mark", mark);
    each = loop_for(m, fn->fn, op->out, "v", none, count, 1);
    v = loop_var(m, fn->fn, each->var);
    e = weight(op, &each->body, v, most);
    loop_set(m, &loop_if(m, &each->body, lower_op(lower, SOP_GT, e, zero))->body, choice, v);
    loop_set(m, &each->body, so_far, lower_op(lower, SOP_ADD, loop_var(m, fn->fn, so_far), e));
    loop_break(
        m,
        &loop_if(m, &each->body, lower_op(lower, SOP_LT, mark, loop_var(m, fn->fn, so_far)))->body);
    row_write(op, op->out, none, loop_var(m, fn->fn, choice));
}

/* Elements from `from` below `to`, so many vectors of them at a time. */
static void draw_elements(RowOp *op, LExpr *const counter[COUNTERS], LExpr *const key[KEYS],
                          int64_t from, int64_t to, int lanes, int count) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    LExpr *elements[MOST_SIDE_BY_SIDE], *words[MOST_SIDE_BY_SIDE][2];
    if (from >= to) return;
    LStmt *each = loop_for(m, fn->fn, op->out, "e", loop_int(m, from), loop_int(m, to),
                           (int64_t)lanes * count);
    LExpr *first = loop_var(m, fn->fn, each->var);
    for (int g = 0; g < count; g++)
        elements[g] = loop_add(m, first, loop_int(m, (int64_t)g * lanes));
    words_of(fn, &each->body, counter, key, elements, count, lanes, words);
    for (int g = 0; g < count; g++)
        row_write(op, &each->body, elements[g], element_of(op, &each->body, words[g], elements[g]));
}

void row_draw(RowOp *op, LExpr *const site[2]) {
    Fn *fn = op->fn;
    LoopModule *m = fn->lower->module;
    LExpr *counter[COUNTERS], *key[KEYS], *words[1][2], *zero = loop_int(m, 0);
    row_place(op, site, counter, key);
    if (op->value->count == 1) {
        words_of(fn, op->out, counter, key, &zero, 1, 1, words);
        if (op->value->attr->draw == DRAW_CATEGORICAL)
            categorical(op, words[0]);
        else
            row_write(op, op->out, zero, element_of(op, op->out, words[0], zero));
        return;
    }
    int lanes = lanes_of(op), most = fn->lower->options.target.registers >= 32 ? 4 : 2;
    int64_t count = op->value->count, vectors = count / lanes,
            whole = vectors / most * most * lanes;
    draw_elements(op, counter, key, 0, whole, lanes, most);
    draw_elements(op, counter, key, whole, count, lanes, 1);
}
