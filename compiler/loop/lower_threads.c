/* Threads: what a region splits, and how.
 *
 * A family over all positions splits its rows or its blocks of units and needs no barrier. A loop
 * over time is one region: with as many sequences as keep each thread busy every thread has
 * sequences of its own, and nobody waits; with fewer each has blocks of units of its own, and all
 * meet after each stage. Whatever is neither runs on the first thread, between barriers. No bit
 * depends on it: tiles compute each element in one order, whoever does. */
#include "loop/lower_internal.h"

enum {
    UNIT_BYTES = 512 << 10,    /* weights of a step from which a barrier a stage pays */
    FLAT_WORK = 4 << 20,       /* multiply-adds of a family over all positions, the same */
    PACKED_NUMBERS = 64 << 10, /* weights that threads pack together */
    ROWS_EACH = 4              /* sequences a thread from which none need to meet */
};

bool lower_pack_on_threads(const Fn *fn) {
    bool many = fn->lower->weight_count >= PACKED_NUMBERS || fn->lower->options.eager;
    return lower_may_thread(fn) && many;
}

bool lower_may_thread(const Fn *fn) {
    return fn->lower->options.threads > 1 && !fn->step && !fn->thread && loop_pool(fn->fn) >= 0;
}

/* number * count / parts: where the share of a thread begins. */
static LExpr *share(Fn *fn, LBlock *out, const char *name, LExpr *number, LExpr *parts,
                    LExpr *count) {
    LoopModule *m = fn->lower->module;
    return lower_let(fn, out, name, loop_op(m, SOP_DIV, loop_mul(m, count, number), parts, NULL));
}

LBlock *lower_region(Fn *fn, LBlock *out) {
    LoopModule *m = fn->lower->module;
    LStmt *region = loop_parallel(m, fn->fn, out);
    fn->thread = loop_var(m, fn->fn, region->var);
    fn->threads = loop_var(m, fn->fn, region->var2);
    return &region->body;
}

void lower_end_region(Fn *fn) {
    fn->thread = fn->threads = fn->part = fn->parts = NULL;
    fn->row_low = fn->row_high = fn->own_low = fn->own_high = fn->meet = NULL;
}

LBlock *lower_flat_region(Fn *fn, LBlock *out, const Family *family, int64_t groups, LExpr *rows) {
    LoopModule *m = fn->lower->module;
    if (!lower_may_thread(fn)) return out;
    int64_t work = fn->lower->options.eager ? 0 : FLAT_WORK;
    LExpr *least = loop_int(m, work / (lower_family_weights(fn->lower, family) + 1) + 1);
    out = lower_region(fn, out);
    LExpr *much = loop_op(m, SOP_GE, rows, least, NULL);
    LExpr *threads =
        lower_let(fn, out, "busy", lower_select(fn->lower, much, fn->threads, loop_int(m, 1)));
    out = &loop_if(m, out, loop_op(m, SOP_LT, fn->thread, threads, NULL))->body;
    fn->threads = threads;
    lower_remark_flat(fn, family, groups >= 4 * fn->lower->options.threads, least->integer);
    if (groups >= 4 * fn->lower->options.threads) {
        fn->part = fn->thread;
        fn->parts = fn->threads;
    }
    return out;
}

void lower_share_rows(Fn *fn, LBlock *out, int rows, LExpr **low, LExpr **high) {
    LoopModule *m = fn->lower->module;
    if (!fn->thread || fn->part) return;
    LExpr *count = loop_sub(m, *high, *low);
    LExpr *tiles =
        loop_op(m, SOP_DIV, loop_add(m, count, loop_int(m, rows - 1)), loop_int(m, rows), NULL);
    tiles = lower_let(fn, out, "tiles", tiles);
    LExpr *next = loop_add(m, fn->thread, loop_int(m, 1));
    LExpr *from = share(fn, out, "from", fn->thread, fn->threads, tiles);
    LExpr *to = share(fn, out, "to", next, fn->threads, tiles);
    LExpr *end = loop_min(m, *high, loop_add(m, *low, loop_mul(m, to, loop_int(m, rows))));
    *low = lower_let(fn, out, "low", loop_add(m, *low, loop_mul(m, from, loop_int(m, rows))));
    *high = lower_let(fn, out, "high", end);
}

void lower_share(Fn *fn, LBlock *out, int64_t count, LExpr **low, LExpr **high) {
    LoopModule *m = fn->lower->module;
    *low = loop_int(m, 0);
    *high = loop_int(m, count);
    if (!fn->thread) return;
    LExpr *all = *high;
    *low = share(fn, out, "low", fn->thread, fn->threads, all);
    *high = share(fn, out, "high", loop_add(m, fn->thread, loop_int(m, 1)), fn->threads, all);
}

void lower_share_groups(Fn *fn, LBlock *out, int64_t count, LExpr **low, LExpr **high) {
    LoopModule *m = fn->lower->module;
    *low = loop_int(m, 0);
    *high = loop_int(m, count);
    if (!fn->part) return;
    LExpr *all = *high;
    *low = share(fn, out, "low", fn->part, fn->parts, all);
    *high = share(fn, out, "high", loop_add(m, fn->part, loop_int(m, 1)), fn->parts, all);
}

/* --- a loop over time --- */

static bool one_level(const SNest *nest) {
    for (int i = 0; i < nest->children.count; i++)
        if (nest->children.at[i]->kind != NEST_BLOCK) return false;
    return true;
}

static bool stops_in(const Schedule *schedule, const SNest *nest) {
    for (int s = 0; s < schedule->stops.count; s++)
        for (int i = 0; i < nest->members.count; i++)
            if (nest->members.at[i] == schedule->stops.at[s]) return true;
    return false;
}

/* Does every family of the loop differ from sequence to sequence? */
static bool all_batched(const Fn *fn, const SNest *nest) {
    for (int i = 0; i < nest->members.count; i++) {
        const Value *value = fn->lower->schedule->values.at[nest->members.at[i]];
        if (!schedule_is_leaf(value) && !lower_batched(fn, value)) return false;
    }
    return true;
}

static int64_t step_bytes(const Fn *fn, const SNest *nest) {
    int64_t numbers = 0;
    for (int i = 0; i < nest->children.count; i++) {
        const Block *block = nest->children.at[i]->block;
        for (int f = 0; f < block->families.count; f++)
            numbers += lower_family_weights(
                fn->lower, fn->lower->schedule->families.at[block->families.at[f]]);
    }
    return numbers * loop_type_size(fn->lower->real);
}

LBlock *lower_loop_region(Fn *fn, LBlock *out, const SNest *nest, bool single) {
    LoopModule *m = fn->lower->module;
    ForceSplit split = fn->lower->options.force.split;
    if (!lower_may_thread(fn)) return out;
    const char *why = split == SPLIT_NONE                   ? "it is forced"
                      : !one_level(nest)                    ? "there is a loop in the loop"
                      : stops_in(fn->lower->schedule, nest) ? "a stop ends it"
                      : !all_batched(fn, nest)              ? "all sequences share a value of it"
                                                            : NULL;
    lower_remark_alone(fn, nest, why);
    if (why) return out;
    bool units = step_bytes(fn, nest) >= UNIT_BYTES || fn->lower->options.eager;
    if (split != SPLIT_AUTO) units = split == SPLIT_UNITS;
    lower_remark_loop(fn, nest, single, units, step_bytes(fn, nest), UNIT_BYTES, ROWS_EACH);
    if (single && !units) return out;
    out = lower_region(fn, out);
    LExpr *next = loop_add(m, fn->thread, loop_int(m, 1)), *zero = loop_int(m, 0);
    if (single) {
        fn->part = fn->thread;
        fn->parts = fn->threads;
        fn->meet = loop_op(m, SOP_EQ, zero, zero, NULL);
        return out;
    }
    fn->own_low = share(fn, out, "own_low", fn->thread, fn->threads, fn->batch);
    fn->own_high = share(fn, out, "own_high", next, fn->threads, fn->batch);
    if (!units) {
        fn->row_low = fn->own_low;
        fn->row_high = fn->own_high;
        return out;
    }
    LExpr *few =
        split == SPLIT_UNITS
            ? loop_op(m, SOP_EQ, zero, zero, NULL)
            : loop_op(m, SOP_LT, fn->batch, loop_mul(m, fn->threads, loop_int(m, ROWS_EACH)), NULL);
    LExpr *one = loop_int(m, 1);
    fn->part = lower_let(fn, out, "part", lower_select(fn->lower, few, fn->thread, zero));
    fn->parts = lower_let(fn, out, "parts", lower_select(fn->lower, few, fn->threads, one));
    fn->row_low = lower_let(fn, out, "row_low", lower_select(fn->lower, few, zero, fn->own_low));
    fn->row_high =
        lower_let(fn, out, "row_high", lower_select(fn->lower, few, fn->batch, fn->own_high));
    fn->meet = few;
    return out;
}

void lower_meet(Fn *fn, LBlock *out) {
    LoopModule *m = fn->lower->module;
    if (!fn->thread || !fn->meet) return;
    bool always = !fn->own_low;
    loop_barrier(m, always ? out : &loop_if(m, out, fn->meet)->body);
}

LBlock *lower_first_thread(Fn *fn, LBlock *out, bool begins) {
    LoopModule *m = fn->lower->module;
    if (!fn->thread) return out;
    if (begins) loop_barrier(m, out);
    return &loop_if(m, out, loop_op(m, SOP_EQ, fn->thread, loop_int(m, 0), NULL))->body;
}
