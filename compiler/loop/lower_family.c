/* One family as a loop over tiles (lower_tile.c).
 *
 * At batch 1 (`single`) a tile is NB blocks of units with KS chains of k, straight from registers
 * into the epilogue. Otherwise a tile is NB blocks times several rows, one chain each; its
 * accumulators go through a small scratch array, so that the epilogue is printed once, as a loop
 * over rows. */
#include "loop/lower_tile.h"

static Row row_at(Fn *fn, const Family *family, bool flat, int flat_index, LExpr *r) {
    Row row = {.b = r};
    if (flat) row = (Row){.flat = r, .flat_index = flat_index};
    (void)fn;
    (void)family;
    return row;
}

/* One group of blocks: all rows. */
static void group(Tile *tile, LBlock *out, bool single, bool flat, int flat_index, LExpr *row_begin,
                  LExpr *row_count) {
    Fn *fn = tile->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Family *family = tile->family;
    int accs = family->accs.count, nb = tile->nb;
    LExpr *lanes = loop_int(m, tile->lanes);
    if (single) {
        Row row = row_at(fn, family, flat, flat_index, loop_int(m, 0));
        LExpr **results = ARENA_ARRAY(lower->arena, nb * accs + 1, LExpr *);
        tile->rows = 1;
        if (accs) tile_products(tile, out, &row, results);
        for (int b = 0; b < nb; b++) {
            LExpr *unit =
                lower_let(fn, out, "u", loop_mul(m, loop_add(m, tile->q, loop_int(m, b)), lanes));
            tile_epilogue(tile, out, &row, unit, results + b * accs);
        }
        return;
    }
    int rows = accs ? tile_rows(lower, tile->block, family, nb) : 1;
    if (flat) lower_share_rows(fn, out, rows, &row_begin, &row_count);
    LStmt *over = loop_for(m, fn->fn, out, "r", row_begin, row_count, rows);
    LBlock *body = &over->body;
    LExpr *r0 = loop_var(m, fn->fn, over->var);
    if (rows == 1) {
        Row row = row_at(fn, family, flat, flat_index, r0);
        LExpr **results = ARENA_ARRAY(lower->arena, nb * accs + 1, LExpr *);
        tile->rows = 1;
        if (accs) tile_products(tile, body, &row, results);
        for (int b = 0; b < nb; b++) {
            LExpr *unit =
                lower_let(fn, body, "u", loop_mul(m, loop_add(m, tile->q, loop_int(m, b)), lanes));
            tile_epilogue(tile, body, &row, unit, results + b * accs);
        }
        return;
    }
    int64_t per_row = (int64_t)nb * accs * tile->lanes;
    if (fn->scratch < 0)
        fn->scratch = loop_buffer(m, fn->fn,
                                  (LBuffer){.name = name_of(lower->names, "tile"),
                                            .type = lower->real,
                                            .base = LB_LOCAL,
                                            .count = loop_int(m, 0),
                                            .align = 64,
                                            .written = true,
                                            .layout = "accumulators of a tile"});
    if (per_row * rows > fn->scratch_count) {
        fn->scratch_count = per_row * rows;
        fn->fn->buffers.at[fn->scratch].count = loop_int(m, fn->scratch_count);
    }
    /* What is left in the end takes a whole tile, too, with rows that were done before, where that
     * is less work than a few rows after the others. */
    LExpr *left = lower_let(fn, body, "left", loop_sub(m, row_count, r0));
    LExpr *again =
        loop_op(m, SOP_MAND, loop_op(m, SOP_GT, loop_int(m, rows), left, NULL),
                loop_op(m, SOP_GT, loop_add(m, left, left), loop_int(m, rows), NULL), NULL);
    again = loop_op(m, SOP_MAND, again,
                    loop_op(m, SOP_GE, row_count, loop_add(m, row_begin, loop_int(m, rows)), NULL),
                    NULL);
    LExpr *start =
        lower_let(fn, body, "start",
                  lower_select(lower, again, loop_sub(m, row_count, loop_int(m, rows)), r0));
    LExpr *nr = loop_min(m, loop_int(m, rows), loop_sub(m, row_count, start));
    nr = lower_let(fn, body, "rows", nr);
    LStmt *whole = loop_if(m, body, loop_op(m, SOP_EQ, nr, loop_int(m, rows), NULL));
    /* Else two at a time, which read the weights once; of an odd number the last one twice. */
    int few = rows >= 4 ? 2 : 1;
    for (int variant = 0; variant < 2; variant++) {
        LBlock *into = variant ? &whole->otherwise : &whole->body;
        tile->rows = variant ? few : rows;
        LExpr *at[MOST_ROWS]; /* in the tile */
        for (int i = 0; i < tile->rows; i++) at[i] = loop_int(m, i);
        if (variant) {
            LStmt *some = loop_for(m, fn->fn, into, "i", loop_int(m, 0), nr, few);
            into = &some->body;
            at[0] = loop_var(m, fn->fn, some->var);
            if (few > 1)
                at[1] = lower_let(fn, into, "next",
                                  loop_min(m, loop_add(m, at[0], loop_int(m, 1)),
                                           loop_sub(m, nr, loop_int(m, 1))));
        }
        Row list[MOST_ROWS];
        for (int i = 0; i < tile->rows; i++)
            list[i] = row_at(fn, family, flat, flat_index,
                             lower_let(fn, into, "b", loop_add(m, start, at[i])));
        LExpr **results = ARENA_ARRAY(lower->arena, tile->rows * nb * accs, LExpr *);
        tile_products(tile, into, list, results);
        for (int i = 0; i < tile->rows; i++)
            for (int b = 0; b < nb; b++)
                for (int a = 0; a < accs; a++)
                    loop_store(m, into, fn->scratch,
                               loop_add(m, loop_mul(m, at[i], loop_int(m, per_row)),
                                        loop_int(m, (int64_t)(b * accs + a) * tile->lanes)),
                               results[(i * nb + b) * accs + a], tile->lanes > 1);
    }
    LExpr *done = lower_let(fn, body, "done", loop_sub(m, r0, start));
    LStmt *each = loop_for(m, fn->fn, body, "i", done, nr, 1);
    LExpr *i = loop_var(m, fn->fn, each->var);
    LStmt *blocks = NULL;
    LBlock *inner = &each->body;
    LExpr *b = loop_int(m, 0);
    LExpr *r = lower_let(fn, inner, "b", loop_add(m, start, i));
    if (nb > 1) {
        blocks = loop_for(m, fn->fn, inner, "q", loop_int(m, 0), loop_int(m, nb), 1);
        inner = &blocks->body;
        b = loop_var(m, fn->fn, blocks->var);
    }
    bool in_panels = flat && lower_panels_in(fn, family);
    LExpr **loaded = ARENA_ARRAY(lower->arena, accs, LExpr *);
    for (int a = 0; a < accs; a++) {
        LExpr *at = loop_add(m, loop_mul(m, i, loop_int(m, per_row)),
                             loop_add(m, loop_mul(m, b, loop_int(m, (int64_t)accs * tile->lanes)),
                                      loop_int(m, (int64_t)a * tile->lanes)));
        const Value *acc = lower->schedule->values.at[family->accs.at[a]];
        loaded[a] = lower_let(fn, inner, lower_name(lower, acc),
                              loop_load(m, fn->fn, fn->scratch, at, tile->lanes, tile->lanes > 1));
    }
    Row row = row_at(fn, family, flat, flat_index, r);
    if (in_panels) {
        fn->map_position[flat_index] =
            lower_let(fn, inner, "position", loop_op(m, SOP_DIV, r, fn->batch, NULL));
        row = (Row){.b = lower_let(fn, inner, "b", loop_op(m, SOP_MOD, r, fn->batch, NULL))};
    }
    LExpr *unit = lower_let(fn, inner, "u", loop_mul(m, loop_add(m, tile->q, b), lanes));
    tile_epilogue(tile, inner, &row, unit, loaded);
    if (in_panels) fn->map_position[flat_index] = NULL;
}

/* Blocks of units one after the other, those of this thread; *out: the body. */
static LExpr *all_units(Tile *tile, LBlock **out, int64_t blocks) {
    Fn *fn = tile->fn;
    LoopModule *m = fn->lower->module;
    if (blocks == 1 && !fn->part) return loop_int(m, 0);
    LExpr *low, *high, *lanes = loop_int(m, tile->lanes);
    lower_share_groups(fn, *out, blocks, &low, &high);
    LStmt *units = loop_for(m, fn->fn, *out, "u", loop_mul(m, low, lanes), loop_mul(m, high, lanes),
                            tile->lanes);
    *out = &units->body;
    return loop_var(m, fn->fn, units->var);
}

/* Panels hold the rows of one block of units side by side: position, block, sequence. */
static void elementwise_panels(Tile *tile, LBlock *out, bool flat, int flat_index, LExpr *row_begin,
                               LExpr *row_count, int64_t blocks) {
    Fn *fn = tile->fn;
    LoopModule *m = fn->lower->module;
    if (flat) {
        int axis = fn->lower->graph->indices.at[flat_index].axis;
        const char *name = fn->lower->graph->axes.at[axis].name;
        LStmt *steps = loop_for(m, fn->fn, out, name, loop_int(m, 0), fn->longest[axis], 1);
        fn->map_position[flat_index] = loop_var(m, fn->fn, steps->var);
        out = &steps->body;
        row_begin = loop_int(m, 0);
        row_count = fn->batch;
    }
    LExpr *unit = all_units(tile, &out, blocks);
    LStmt *over = loop_for(m, fn->fn, out, "b", row_begin, row_count, 1);
    Row row = {.b = loop_var(m, fn->fn, over->var)};
    tile_epilogue(tile, &over->body, &row, unit, NULL);
    if (flat) fn->map_position[flat_index] = NULL;
}

/* Without products there are no weights to hold: row after row, as they lie in memory. */
static void elementwise_rows(Tile *tile, LBlock *out, bool flat, int flat_index, LExpr *row_begin,
                             LExpr *row_count, int64_t blocks) {
    Fn *fn = tile->fn;
    LoopModule *m = fn->lower->module;
    if (lower_panels_in(fn, tile->family)) {
        elementwise_panels(tile, out, flat, flat_index, row_begin, row_count, blocks);
        return;
    }
    LStmt *over = loop_for(m, fn->fn, out, "r", row_begin, row_count, 1);
    Row row = row_at(fn, tile->family, flat, flat_index, loop_var(m, fn->fn, over->var));
    LBlock *body = &over->body;
    LExpr *unit = all_units(tile, &body, blocks);
    tile_epilogue(tile, body, &row, unit, NULL);
}

static bool family_batched(Fn *fn, const Family *family) {
    for (int i = 0; i < family->values.count; i++)
        if (lower_batched(fn, fn->lower->schedule->values.at[family->values.at[i]])) return true;
    return false;
}

/* Zig-zag: what the last step left in the caches is used first. Where the other families of the
 * step push it out anyway, turning round only costs. */
static bool turns(Fn *fn, const Block *block, const Family *family) {
    if (!fn->parity) return false;
    int64_t others = 0;
    for (int i = 0; i < block->families.count; i++)
        if (block->families.at[i] != family->number)
            others += lower_family_weights(fn->lower,
                                           fn->lower->schedule->families.at[block->families.at[i]]);
    others *= loop_type_size(fn->lower->real);
    bool off = fn->lower->schedule->choices.off[CHOICE_zigzag];
    bool turning = !off && others * 4 <= fn->lower->options.target.l2_bytes * 3;
    lower_remark_turn(fn, family, turning, off, others);
    return turning;
}

void lower_family(Fn *fn, LBlock *out, const Block *block, const Family *family, bool single) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int flat_index = -1;
    if (lower_by_gemm(fn, family)) {
        lower_gemm_family(fn, out, block, family);
        return;
    }
    /* Threads with sequences of their own walk over them, not over rows of all. */
    bool flat = lower_flat(fn, family, &flat_index) && !fn->own_low;
    bool batched = family_batched(fn, family);
    LExpr *row_begin = loop_int(m, 0), *row_count = batched ? fn->batch : loop_int(m, 1);
    if (fn->row_low && batched) {
        row_begin = fn->row_low;
        row_count = fn->row_high;
    }
    if (flat) {
        int axis = lower->graph->indices.at[flat_index].axis;
        row_count = batched ? loop_mul(m, fn->longest[axis], fn->batch) : fn->longest[axis];
    } else if (!fn->step) {
        for (int d = 0; d < family->domain_count; d++) {
            int index = family->domain[d];
            LStmt *loop =
                loop_for(m, fn->fn, out, lower->graph->indices.at[index].name, loop_int(m, 0),
                         fn->longest[lower->graph->indices.at[index].axis], 1);
            fn->map_position[index] = loop_var(m, fn->fn, loop->var);
            out = &loop->body;
        }
    } else {
        out = lower_window_loop(fn, out, lower->schedule->values.at[family->values.at[0]]);
    }
    /* One row and nothing to walk over: straight through registers, with the chains of batch 1. */
    bool alone = !flat && (single || !batched) && (fn->step || family->domain_count == 0);
    Tile tile = {
        .fn = fn, .block = block, .family = family, .lanes = lower_family_lanes(lower, family)};
    tile_start(&tile);
    tile.chains = single && block->loop_count > 0;
    int64_t blocks = tile_blocks_in(lower, family);
    int packed = lower_blocks_of(lower, block, family);
    if (packed > blocks) packed = (int)blocks;
    int nb = alone ? packed : tile_blocks(lower, family);
    if (nb % packed && packed % nb) nb = 1; /* a tile ends where a group of packed ones ends */
    if (!family->accs.count && !alone) {
        elementwise_rows(&tile, out, flat, flat_index, row_begin, row_count, blocks);
        blocks = 0;
    }
    lower_remark_tile(fn, block, family, alone, flat, nb);
    bool region = false;
    if (flat && family->accs.count && !fn->thread) {
        out = lower_flat_region(fn, out, family, blocks / nb, row_count);
        region = fn->thread != NULL;
    }
    /* Tiles of nb blocks; then of as many as are packed together; then what is packed alone. */
    int64_t together = packed ? blocks / packed * packed : 0, base = 0;
    for (int part = 0; part < 3; part++) {
        int64_t end = part == 2 ? blocks : together;
        int64_t width = part == 2 ? 1 : part == 1 || nb < packed ? (nb < packed ? nb : packed) : nb;
        int64_t count = (end - base) / width, begin = base;
        if (!count) continue;
        base += count * width;
        tile.nb = (int)width;
        tile.packed = part == 2 ? 1 : packed;
        LBlock *into = out;
        tile.q = loop_int(m, begin);
        if (count > 1 || fn->part) {
            LExpr *low, *high;
            lower_share_groups(fn, out, count, &low, &high);
            LStmt *loop = loop_for(m, fn->fn, out, "g", low, high, 1);
            into = &loop->body;
            LExpr *g = loop_var(m, fn->fn, loop->var);
            if (family->accs.count && turns(fn, block, family))
                g = lower_let(
                    fn, into, "turned",
                    lower_select(
                        lower, loop_op(m, SOP_EQ, fn->parity, loop_int(m, 0), NULL), g,
                        loop_sub(m, loop_add(m, low, loop_sub(m, high, loop_int(m, 1))), g)));
            tile.q = lower_let(fn, into, "first",
                               loop_add(m, loop_int(m, begin), loop_mul(m, g, loop_int(m, width))));
        }
        group(&tile, into, alone, flat, flat_index, row_begin, row_count);
    }
    if (region) lower_end_region(fn);
    for (int d = 0; d < family->domain_count; d++) fn->map_position[family->domain[d]] = NULL;
    lower_leave_window(fn, lower->schedule->values.at[family->values.at[0]]);
}
