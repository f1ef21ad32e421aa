/* Remarks of lowering: what the files beside this one decided of tiles, packing, threads and
 * memory, in words. They call as they decide, with what they decided by; nothing is found out here.
 * Tiles of `step` are those of `forward`, and said there. */
#include <inttypes.h>

#include "loop/lower_tile.h"
#include "schedule/remark.h"

/* The list, now about `function`; NULL: nobody asked. */
static Remarks *about(const Lower *lower, const char *function) {
    Remarks *remarks = lower->options.remarks;
    if (remarks)
        remarks->function = remarks->target
                                ? arena_printf(lower->arena, "%s, %s", function, remarks->target)
                                : function;
    return remarks;
}

static const char *function_of(const Lower *lower) {
    static const char *const names[] = {"forward", "loss", "grad"};
    return names[lower->kind];
}

static Remarks *of(const Fn *fn) {
    return fn->step ? NULL : about(fn->lower, function_of(fn->lower));
}

static const Value *value_of(const Lower *lower, int id) {
    return lower->schedule->values.at[id];
}

static const char *axis_of(const Lower *lower, const SNest *nest) {
    return lower->graph->axes.at[nest->axis].name;
}

static Span span_of(const Lower *lower, const SNest *nest) {
    return value_of(lower, nest->members.at[0])->span;
}

/* ---- weights ---- */

void lower_remark_packed(Lower *lower, const Family *family) {
    const char *function = lower->kind == SEQUENCE_FORWARD ? "pack" : function_of(lower);
    Remarks *remarks = about(lower, function);
    if (!remarks || !family->segments.count || !lower_is_tiled(lower, family)) return;
    const Schedule *schedule = lower->schedule;
    const Value *first = value_of(lower, family->values.at[0]);
    int lanes = lower_family_lanes(lower, family);
    int64_t blocks = tile_blocks_in(lower, family);
    int packed = lower_blocks_of(lower, schedule->blocks.at[first->block], family);
    if (packed > blocks) packed = (int)blocks;
    for (int s = 0; s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        int width = segment->products.count;
        int64_t numbers = segment->length * width * lanes * blocks;
        remark_done(remarks, REMARK_PACKED, value_of(lower, segment->products.at[0])->span,
                    "%s: %" PRId64 " bytes, [tile %" PRId64 "%s][k %" PRId64 "][block %d]"
                    "[product %d][unit %d]%s",
                    remark_matrices(schedule, segment->products.at, width),
                    numbers * loop_type_size(lower->real), (blocks + packed - 1) / packed,
                    family->segments.count > 1
                        ? arena_printf(lower->arena, " with %d parts", family->segments.count)
                        : "",
                    segment->length, packed, width, lanes,
                    blocks * lanes > family->count
                        ? arena_printf(lower->arena, ", %" PRId64 " of the units padding",
                                       blocks * lanes - family->count)
                        : "");
    }
}

/* ---- tiles ---- */

static int most_chains(const Family *family) {
    int most = 1;
    for (int s = 0; s < family->segments.count; s++)
        if (family->segments.at[s].chains > most) most = family->segments.at[s].chains;
    return most;
}

static const char *plural(int count) {
    return count == 1 ? "" : "s";
}

/* Where the weights of one walk over the units come from. */
static const char *source_of(const Lower *lower, const Family *family) {
    int64_t bytes = lower_family_weights(lower, family) * loop_type_size(lower->real);
    int64_t cache = lower->options.target.l2_bytes;
    return arena_printf(lower->arena, "%" PRId64 " KB of weights%s", (bytes + 1023) >> 10,
                        bytes <= cache ? ""
                                       : arena_printf(lower->arena,
                                                      ", more than the second cache of %" PRId64
                                                      " KB holds: each walk reads them from beyond",
                                                      cache >> 10));
}

void lower_remark_tile(Fn *fn, const Block *block, const Family *family, bool alone, bool flat,
                       int nb) {
    const Lower *lower = fn->lower;
    Remarks *remarks = of(fn);
    int accs = family->accs.count;
    if (!remarks || !accs) return;
    const char *why, *names = remark_names(lower->schedule, family->accs.at, accs);
    Span span = value_of(lower, family->accs.at[0])->span;
    int registers = lower->options.target.registers, lanes = lower_family_lanes(lower, family);
    int packed = tile_blocks_why(lower, block, family, &why);
    int64_t blocks = tile_blocks_in(lower, family);
    if (nb > blocks) nb = (int)blocks;
    if (alone) {
        int chains = block->loop_count ? most_chains(family) : 1;
        remark_done(
            remarks, REMARK_TILED, span,
            "%s: %s1 row x %d vector%s of %d units x %d sum%s%s = %d of %d registers; %s; %s",
            names, block->loop_count ? "at batch 1, " : "", nb, plural(nb), lanes, accs,
            plural(accs), chains > 1 ? arena_printf(lower->arena, " x %d chains", chains) : "",
            nb * accs * chains, registers, packed == nb ? why : "as packed",
            source_of(lower, family));
        return;
    }
    int rows = tile_rows(lower, block, family, nb);
    bool held = nb * accs <= rows;
    remark_done(
        remarks, REMARK_TILED, span,
        "%s: %s %d row%s x %d vector%s of %d units x %d sum%s = %d of %d registers; %s held, "
        "%s streamed; %s",
        names, flat ? "all positions and sequences in tiles of" : "larger batches in tiles of",
        rows, plural(rows), nb, plural(nb), lanes, accs, plural(accs), rows * nb * accs, registers,
        held ? "weights" : "elements", held ? "elements" : "weights", source_of(lower, family));
}

void lower_remark_gemm(Fn *fn, const Family *family, bool second_pass) {
    Remarks *remarks = of(fn);
    if (!remarks) return;
    const Schedule *schedule = fn->lower->schedule;
    remark_missed(remarks, REMARK_TILED, value_of(fn->lower, family->accs.at[0])->span,
                  "%s: products over all positions by a library, as --gemm=blas asks%s",
                  remark_names(schedule, family->accs.at, family->accs.count),
                  second_pass ? ", then a second pass over what they give" : "");
}

void lower_remark_turn(Fn *fn, const Family *family, bool turning, bool off, int64_t others) {
    Remarks *remarks = of(fn);
    const Lower *lower = fn->lower;
    if (!remarks) return;
    Span span = value_of(lower, family->accs.at[0])->span;
    const char *names = remark_names(lower->schedule, family->accs.at, family->accs.count);
    if (turning)
        remark_done(
            remarks, REMARK_ZIGZAG, span,
            "%s: blocks up and down in turn; a step begins with the weights that the last one "
            "left in the caches",
            names);
    else if (off)
        remark_missed(remarks, REMARK_ZIGZAG, span, "%s: switched off", names);
    else
        remark_missed(remarks, REMARK_ZIGZAG, span,
                      "%s: the %" PRId64 " KB of the other weights of a step push these out of the "
                      "second cache (%" PRId64 " KB)",
                      names, others >> 10, lower->options.target.l2_bytes >> 10);
}

/* ---- memory ---- */

void lower_remark_panel(Fn *fn, int panel) {
    Remarks *remarks = of(fn);
    const Schedule *schedule = fn->lower->schedule;
    int count = 0, *members = ARENA_ARRAY(fn->lower->arena, schedule->values.count + 1, int);
    if (panel < 0)
        remark_missed(remarks, REMARK_PANEL, (Span){0},
                      "values between loops have rows of their own, as --layout=rows asks");
    for (int i = 0; remarks && panel >= 0 && i < schedule->values.count; i++)
        if (fn->panel_of[i] == panel + 1) members[count++] = i;
    if (count < 2) return; /* alone it is a row in another order */
    remark_done(
        remarks, REMARK_PANEL, value_of(fn->lower, members[0])->span,
        "%s: side by side, [position][block of units][batch][value %d][unit %d], as the tiles "
        "that read them go",
        remark_names(schedule, members, count), count, fn->lower->lanes);
}

void lower_remark_kept(Fn *fn) {
    Remarks *remarks = of(fn);
    const Lower *lower = fn->lower;
    const Schedule *schedule = lower->schedule;
    int count = 0, *kept = ARENA_ARRAY(lower->arena, schedule->values.count + 1, int);
    int64_t bytes = 0;
    for (int i = 0; remarks && i < schedule->values.count; i++) {
        const RowPlace *place = &fn->places[i];
        const Value *value = value_of(lower, i);
        if (place->buffer < 0 || !value->live || !place->dim_count || !place->batched) continue;
        if (value->storage != STORE_HISTORY) continue;
        kept[count++] = i;
        bytes += (place->panel ? value->count : place->stride) * loop_type_size(place->type);
    }
    if (count)
        remark_done(remarks, REMARK_KEPT, value_of(lower, kept[0])->span,
                    "%s: a row for each position, %" PRId64 " bytes a position and sequence",
                    remark_names(schedule, kept, count), bytes);
}

/* ---- loops ---- */

void lower_remark_unrolled(Fn *fn, const SNest *nest, bool innermost) {
    int times = fn->lower->options.force.unroll;
    Remarks *remarks = of(fn);
    if (!remarks) return;
    if (times < 2)
        remark_missed(remarks, REMARK_UNROLLED, span_of(fn->lower, nest),
                      "the loop over %s: a step a turn, unless --unroll-time says otherwise",
                      axis_of(fn->lower, nest));
    else if (innermost)
        remark_done(remarks, REMARK_UNROLLED, span_of(fn->lower, nest),
                    "the loop over %s: %d steps a turn, and a second loop for the rest",
                    axis_of(fn->lower, nest), times);
    else
        remark_missed(remarks, REMARK_UNROLLED, span_of(fn->lower, nest),
                      "the loop over %s: it holds another loop, which is",
                      axis_of(fn->lower, nest));
}

void lower_remark_clock(Fn *fn, const Value *held, int64_t period) {
    Remarks *remarks = of(fn);
    if (remarks && held)
        remark_done(remarks, REMARK_SKIPPED, held->span,
                    "%s and what only it needs: computed every %" PRId64 " steps",
                    remark_value(fn->lower->schedule, held), period);
}

void lower_remark_outer(Fn *fn, const Value *const *values, int count, int rows, int vectors) {
    Remarks *remarks = of(fn);
    const Lower *lower = fn->lower;
    int *ids = ARENA_ARRAY(lower->arena, count + 1, int);
    for (int i = 0; i < count; i++) ids[i] = values[i]->id;
    if (!remarks || !count) return;
    Text with = text_new(lower->arena);
    remark_use(lower->schedule, &values[0]->uses.at[1], &with);
    if (!rows) {
        remark_done(remarks, REMARK_SUMMED, values[0]->span,
                    "%s: outer products with %s over all positions and sequences, %d product%s of "
                    "matrices by a library, as --gemm=blas asks",
                    remark_names(lower->schedule, ids, count), text_string(&with), count,
                    plural(count));
        return;
    }
    remark_done(remarks, REMARK_SUMMED, values[0]->span,
                "%s: outer products with %s over all positions and sequences, %d product%s of "
                "matrices in tiles of %d rows x %d vectors",
                remark_names(lower->schedule, ids, count), text_string(&with), count, plural(count),
                rows, vectors);
}

/* ---- threads ---- */

void lower_remark_alone(Fn *fn, const SNest *nest, const char *why) {
    if (why)
        remark_missed(of(fn), REMARK_THREADS, span_of(fn->lower, nest), "the loop over %s: %s",
                      axis_of(fn->lower, nest), why);
}

void lower_remark_loop(Fn *fn, const SNest *nest, bool single, bool units, int64_t bytes,
                       int64_t least, int rows_each) {
    Remarks *remarks = of(fn);
    const Lower *lower = fn->lower;
    if (!remarks) return;
    int stages = nest->children.at[0]->block->stages;
    Span span = span_of(lower, nest);
    const char *axis = axis_of(lower, nest);
    const char *weights =
        arena_printf(lower->arena, "weights of %" PRId64 " KB a step, %s %" PRId64, bytes >> 10,
                     bytes < least ? "fewer than the" : "of at least", least >> 10);
    if (single && !units)
        remark_missed(remarks, REMARK_THREADS, span,
                      "the loop over %s at batch 1: %s KB from which a barrier may pay", axis,
                      weights);
    else if (single)
        remark_done(remarks, REMARK_THREADS, span,
                    "the loop over %s at batch 1: blocks of units, %d barrier%s a step, if the "
                    "pool is fast enough (%s KB)",
                    axis, stages, plural(stages), weights);
    else if (!units)
        remark_done(remarks, REMARK_THREADS, span,
                    "the loop over %s, larger batches: sequences, without a barrier (%s KB)", axis,
                    weights);
    else if (lower->options.force.split == SPLIT_UNITS)
        remark_done(
            remarks, REMARK_THREADS, span,
            "the loop over %s, larger batches: blocks of units, %d barrier%s a step (forced)", axis,
            stages, plural(stages));
    else
        remark_done(remarks, REMARK_THREADS, span,
                    "the loop over %s, larger batches: sequences from %d a thread on, without a "
                    "barrier; below blocks of units, %d barrier%s a step (%s KB)",
                    axis, rows_each, stages, plural(stages), weights);
}

void lower_remark_flat(Fn *fn, const Family *family, bool groups, int64_t least) {
    Remarks *remarks = of(fn);
    const Lower *lower = fn->lower;
    if (!remarks) return;
    remark_done(
        remarks, REMARK_THREADS, value_of(lower, family->accs.at[0])->span,
        "%s: %s of all positions, without a barrier, from %" PRId64
        " rows (positions x sequences) on; with fewer the product is too small for a region",
        remark_names(lower->schedule, family->accs.at, family->accs.count),
        groups ? "blocks of units" : "rows", least);
}
