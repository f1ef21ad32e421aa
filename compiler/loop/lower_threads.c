/* Threads: what a region splits, and how.
 *
 * A family over all positions splits its rows or its blocks of units and needs no barrier. A loop
 * over time is one region: with as many sequences as keep each thread busy every thread has
 * sequences of its own, and nobody waits; with fewer each has blocks of units of its own, and all
 * meet after each stage. Whatever is neither runs on the first thread, between barriers. No bit
 * depends on it: tiles compute each element in one order, whoever does. */
#include "loop/lower_internal.h"

enum {
    UNIT_BYTES = 64 << 10, /* weights of a step from which a barrier a stage may pay */
    FLAT_NS = 3500,        /* of work without barriers, that pays even between far cores */
    ROWS_EACH = 4          /* sequences a thread from which none need to meet */
};

bool lower_may_thread(const Fn *fn) {
    return fn->lower->options.threads > 1 && !fn->step && !fn->thread && loop_pool(fn->fn) >= 0;
}

/* number * count / parts: where the share of a thread begins. */
static LExpr *share(Fn *fn, LBlock *out, const char *name, LExpr *number, LExpr *parts,
                    LExpr *count) {
    LoopModule *m = fn->lower->module;
    return lower_let(fn, out, name, loop_op(m, SOP_DIV, loop_mul(m, count, number), parts, NULL));
}

LBlock *lower_region(Fn *fn, LBlock *out, LExpr *ns, LExpr *barriers) {
    LoopModule *m = fn->lower->module;
    LStmt *region = loop_parallel(m, fn->fn, out);
    if (ns && !fn->lower->options.eager) {
        region->low = ns;
        region->high = barriers ? barriers : loop_int(m, 0);
    }
    fn->thread = loop_var(m, fn->fn, region->var);
    fn->threads = loop_var(m, fn->fn, region->var2);
    return &region->body;
}

void lower_end_region(Fn *fn) {
    fn->thread = fn->threads = fn->part = fn->parts = NULL;
    fn->row_low = fn->row_high = fn->own_low = fn->own_high = fn->meet = NULL;
    fn->split = false;
}

/* --- what one thread takes, in ns, about: a processor of 4 GHz with two units for fma --- */

/* count * each / rate, for times of some microseconds and more. */
static LExpr *at_rate(Fn *fn, LExpr *count, int64_t each, int64_t rate) {
    LoopModule *m = fn->lower->module;
    if (each >= 64 * rate) return loop_mul(m, count, loop_int(m, each / rate));
    return loop_op(m, SOP_DIV, loop_mul(m, count, loop_int(m, each)), loop_int(m, rate), NULL);
}

static int64_t rate_of_products(const Fn *fn) {
    return fn->lower->lanes > 1 ? 8 * fn->lower->lanes : 2;
}

LExpr *lower_ns_of_products(Fn *fn, LExpr *count, int64_t each) {
    return at_rate(fn, count, each, rate_of_products(fn));
}

LExpr *lower_ns_of_moves(Fn *fn, LExpr *count, int64_t each) {
    return at_rate(fn, count, each, 4);
}

/* Of a step at batch 1, for its weights have to come from a cache. */
static int64_t ns_of_weights(const Fn *fn, int64_t bytes) {
    int64_t rate = fn->lower->lanes > 1 ? 30 * fn->lower->lanes : 8;
    int64_t most = bytes > fn->lower->options.target.l2_bytes ? 130 : 240;
    return bytes / (rate < most ? rate : most);
}

LBlock *lower_rows_region(Fn *fn, LBlock *out, LExpr *numbers) {
    if (!lower_may_thread(fn)) return out;
    out = lower_region(fn, out, lower_ns_of_moves(fn, numbers, 1), NULL);
    fn->split = true;
    return out;
}

LBlock *lower_flat_region(Fn *fn, LBlock *out, const Family *family, int64_t groups, LExpr *rows) {
    if (!lower_may_thread(fn)) return out;
    int64_t weights = lower_family_weights(fn->lower, family);
    out = lower_region(fn, out, lower_ns_of_products(fn, rows, weights), NULL);
    lower_remark_flat(fn, family, groups >= 4 * fn->lower->options.threads,
                      FLAT_NS * rate_of_products(fn) / (weights + 1) + 1);
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

LStmt *lower_split_loop(Fn *fn, LBlock *out, const char *name, LExpr *count, bool outermost) {
    LoopModule *m = fn->lower->module;
    LExpr *low = loop_int(m, 0), *high = count;
    if (fn->split && outermost) lower_share(fn, out, count, &low, &high);
    return loop_for(m, fn->fn, out, name, low, high, 1);
}

void lower_share(Fn *fn, LBlock *out, LExpr *count, LExpr **low, LExpr **high) {
    LoopModule *m = fn->lower->module;
    *low = loop_int(m, 0);
    *high = count;
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

typedef struct StepCost {
    int64_t weights, barriers;
} StepCost;

static StepCost step_cost(const Fn *fn, const SNest *nest) {
    StepCost cost = {0, 0};
    for (int i = 0; i < nest->children.count; i++) {
        const Block *block = nest->children.at[i]->block;
        cost.barriers += block->stages + block->prologues.count;
        for (int f = 0; f < block->families.count; f++)
            cost.weights += lower_family_weights(
                fn->lower, fn->lower->schedule->families.at[block->families.at[f]]);
    }
    return cost;
}

/* Sequences of its own for each thread. */
static LBlock *rows_region(Fn *fn, LBlock *out, LExpr *ns, LExpr *barriers) {
    LoopModule *m = fn->lower->module;
    out = lower_region(fn, out, ns, barriers);
    LExpr *next = loop_add(m, fn->thread, loop_int(m, 1));
    fn->own_low = share(fn, out, "own_low", fn->thread, fn->threads, fn->batch);
    fn->own_high = share(fn, out, "own_high", next, fn->threads, fn->batch);
    fn->row_low = fn->own_low;
    fn->row_high = fn->own_high;
    return out;
}

/* The same, or where they are too few (or always, if that is forced) blocks of units. */
static LBlock *rows_or_units_region(Fn *fn, LBlock *out, bool forced, LExpr *ns, LExpr *barriers) {
    LoopModule *m = fn->lower->module;
    LExpr *zero = loop_int(m, 0), *one = loop_int(m, 1);
    LExpr *least = loop_int(m, (int64_t)fn->lower->options.threads * ROWS_EACH);
    LExpr *few =
        forced ? loop_op(m, SOP_EQ, zero, zero, NULL) : loop_op(m, SOP_LT, fn->batch, least, NULL);
    if (ns) barriers = lower_let(fn, out, "barriers", lower_select(fn->lower, few, barriers, zero));
    out = rows_region(fn, out, ns, barriers);
    fn->part = lower_let(fn, out, "part", lower_select(fn->lower, few, fn->thread, zero));
    fn->parts = lower_let(fn, out, "parts", lower_select(fn->lower, few, fn->threads, one));
    fn->row_low = lower_let(fn, out, "row_low", lower_select(fn->lower, few, zero, fn->own_low));
    fn->row_high =
        lower_let(fn, out, "row_high", lower_select(fn->lower, few, fn->batch, fn->own_high));
    fn->meet = few;
    return out;
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
    StepCost cost = step_cost(fn, nest);
    int64_t bytes = cost.weights * loop_type_size(fn->lower->real);
    bool units = bytes >= UNIT_BYTES || fn->lower->options.eager, forced = split != SPLIT_AUTO;
    if (forced) units = split == SPLIT_UNITS;
    lower_remark_loop(fn, nest, single, units, bytes, UNIT_BYTES, ROWS_EACH);
    if (single && !units) return out;
    /* What is forced runs on all threads, whatever it costs. */
    LExpr *steps = fn->longest[nest->axis], *zero = loop_int(m, 0), *ns = NULL;
    LExpr *barriers = loop_mul(m, steps, loop_int(m, cost.barriers));
    if (single) {
        if (!forced) ns = loop_mul(m, steps, loop_int(m, ns_of_weights(fn, bytes)));
        out = lower_region(fn, out, ns, barriers);
        fn->part = fn->thread;
        fn->parts = fn->threads;
        fn->meet = loop_op(m, SOP_EQ, zero, zero, NULL);
        return out;
    }
    if (!forced) ns = lower_ns_of_products(fn, loop_mul(m, steps, fn->batch), cost.weights);
    return units ? rows_or_units_region(fn, out, forced, ns, barriers)
                 : rows_region(fn, out, ns, NULL);
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
