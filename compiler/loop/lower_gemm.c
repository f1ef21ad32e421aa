/* Products by a library (--gemm=blas): families over all positions whose products become one
 * product of matrices each, and the rest of which follows as a second pass over what came out.
 *
 * A sum that products are added up in needs rows in memory: its own where it is kept, else those of
 * a value of the family that is, and that is overwritten by the second pass. The matrices are read
 * where the parameters lie where a function takes them flat, else from a row-major copy. */
#include "loop/lower_tile.h"

/* From so many units and terms on a library is faster than tiles that need no second pass. */
enum { LEAST_UNITS = 64, LEAST_TERMS = 32, SHARED_ROWS = 8 };

static const Value *value_at(const Lower *lower, int id) {
    return lower->schedule->values.at[id];
}

/* Do the rows of an operand lie one behind the other, position by position and sequence by
 * sequence?
 */
static bool flat_operand(const Lower *lower, const Use *use, int index) {
    const Value *source = value_at(lower, use->value);
    bool stored = source->kind == VALUE_INPUT || source->storage == STORE_HISTORY;
    if (schedule_is_leaf(source) && source->kind != VALUE_INPUT) return false;
    if (!stored || source->type.dtype != DT_FLOAT || source->domain_count != 1 || !source->batched)
        return false;
    if (use->access < 0) return source->domain[0] == index;
    const Access *access = &lower->schedule->accesses.at[use->access];
    return access->at_count == 1 && access->at[0].kind == AT_INDEX && access->at[0].index == index;
}

static bool may_hold(const Lower *lower, const Family *family, const Value *value) {
    return value->live && value->storage == STORE_HISTORY && value->type.dtype == DT_FLOAT &&
           value->count == family->count && value->domain_count == 1 &&
           value->domain[0] == family->domain[0] && value->batched && !lower->gemm_home[value->id];
}

/* Finds rows for each accumulator; false, and none, where there are too few. */
static bool find_homes(Lower *lower, const Family *family) {
    int found = 0, accs = family->accs.count;
    for (int pass = 0; pass < 2; pass++)
        for (int a = 0; a < accs; a++) {
            int acc = family->accs.at[a], *home = &lower->gemm_in[acc];
            if (*home >= 0) continue;
            for (int i = pass ? 0 : family->values.count; i < family->values.count && *home < 0;
                 i++)
                if (may_hold(lower, family, value_at(lower, family->values.at[i])))
                    *home = family->values.at[i];
            if (!pass && may_hold(lower, family, value_at(lower, acc))) *home = acc;
            if (*home < 0) continue;
            lower->gemm_home[*home] = true;
            found++;
        }
    if (found == accs) return true;
    for (int a = 0; a < accs; a++) {
        int *home = &lower->gemm_in[family->accs.at[a]];
        if (*home >= 0) lower->gemm_home[*home] = false;
        *home = -1;
    }
    return false;
}

static bool fits(const Lower *lower, const Block *block, const Family *family) {
    bool eager = lower->options.eager;
    if (block->loop_count || family->domain_count != 1 || !family->batched || !family->accs.count ||
        family->count < (eager ? 2 : LEAST_UNITS))
        return false;
    for (int s = 0; s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        if (segment->length < (eager ? 2 : LEAST_TERMS) ||
            !flat_operand(lower, &segment->operand, family->domain[0]))
            return false;
    }
    return true;
}

void lower_find_gemms(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    int values = schedule->values.count;
    lower->gemm = ARENA_ARRAY(lower->arena, schedule->families.count + 1, bool);
    lower->gemm_in = ARENA_ARRAY(lower->arena, values + 1, int);
    lower->gemm_home = ARENA_ARRAY(lower->arena, values + 1, bool);
    for (int i = 0; i < values; i++) lower->gemm_in[i] = -1;
    for (int b = 0; b < schedule->blocks.count && lower->options.blas; b++) {
        const Block *block = schedule->blocks.at[b];
        for (int i = 0; i < block->families.count; i++) {
            const Family *family = schedule->families.at[block->families.at[i]];
            lower->gemm[family->number] = fits(lower, block, family) && find_homes(lower, family);
        }
    }
}

bool lower_by_gemm(const Fn *fn, const Family *family) {
    return !fn->step && fn->lower->gemm[family->number];
}

bool lower_is_tiled(const Lower *lower, const Family *family) {
    return !lower->gemm[family->number] || lower->steps;
}

/* --- matrices --- */

/* Whether a view is a matrix as it lies, or its transpose. */
static bool lies_in_rows(const View *view) {
    return view->stride[0] == 1 || view->stride[1] == 1;
}

bool lower_needs_matrix(const Lower *lower, const Value *product) {
    return product->kind == VALUE_PRODUCT && product->live && product->family >= 0 &&
           lower->gemm[product->family] &&
           (lower->kind == SEQUENCE_FORWARD || !lies_in_rows(&product->view));
}

/* Where the matrix of a product begins: B of `x Bᵀ` with GEMM_B_TRANSPOSED. */
static LExpr *matrix_of(Fn *fn, const Value *product, int64_t *stride, int *flags) {
    const Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const View *view = &product->view;
    int64_t offset = lower->matrix_offset[product->id];
    if (offset >= 0) {
        *flags = GEMM_B_TRANSPOSED;
        *stride = view->dim[1];
        return loop_load(m, fn->fn, fn->weights, loop_int(m, offset), 1, false);
    }
    bool turned = view->stride[1] == 1 && view->dim[1] > 1;
    if (view->stride[0] != 1) turned = true;
    *flags = turned ? GEMM_B_TRANSPOSED : 0;
    *stride = turned ? view->stride[0] : view->stride[1];
    int64_t least = turned ? view->dim[1] : view->dim[0];
    if (*stride < least) *stride = least; /* a single row */
    offset = lower->interface_->param_offsets.at[view->param] + view->offset;
    return loop_load(m, fn->fn, fn->params, loop_int(m, offset), 1, false);
}

/* --- code --- */

static void products(Fn *fn, LBlock *out, const Family *family, const Row *first, LExpr *rows) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    bool *begun = ARENA_ARRAY(lower->arena, lower->schedule->values.count, bool);
    for (int s = 0; s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        const Value *operand = value_at(lower, segment->operand.value);
        const RowPlace *from = lower_place_of(fn, operand, segment->operand.access);
        for (int p = 0; p < segment->products.count; p++) {
            const Value *product = value_at(lower, segment->products.at[p]);
            const Value *home = value_at(lower, lower->gemm_in[product->acc]);
            int flags = 0;
            int64_t stride = 0;
            lower_at(lower, product->span);
            LExpr *a = lower_row(fn, product, operand, segment->operand.access, first);
            LExpr *c = lower_row(fn, product, home, -1, first);
            LExpr *args[GEMM_ARGS];
            args[GEMM_C] = loop_load(m, fn->fn, fn->places[home->id].buffer, c, 1, false);
            args[GEMM_A] = loop_load(m, fn->fn, from->buffer, a, 1, false);
            args[GEMM_B] = matrix_of(fn, product, &stride, &flags);
            args[GEMM_ROWS] = rows;
            args[GEMM_COLUMNS] = loop_int(m, family->count);
            args[GEMM_DEPTH] = loop_int(m, segment->length);
            args[GEMM_C_STRIDE] = loop_int(m, fn->places[home->id].stride);
            args[GEMM_A_STRIDE] = loop_int(m, from->stride);
            args[GEMM_B_STRIDE] = loop_int(m, stride);
            if (begun[product->acc]) flags |= GEMM_ADD;
            if (lower_subtracted(lower->schedule, product)) flags |= GEMM_MINUS;
            begun[product->acc] = true;
            loop_gemm(m, out, flags, args);
        }
    }
}

/* Is there nothing left to do once the products are in place? */
static bool complete(const Lower *lower, const Family *family) {
    for (int i = 0; i < family->values.count; i++) {
        const Value *value = value_at(lower, family->values.at[i]);
        if (value->kind == VALUE_PRODUCT && value->acc != value->id) continue;
        if (lower->gemm_in[value->id] != value->id) return false;
        for (int t = 0; value->kind == VALUE_SUM && t < value->terms.count; t++) {
            const Value *a = value_at(lower, value->terms.at[t].a.value);
            if (value->terms.at[t].pair || a->kind != VALUE_PRODUCT || a->acc != value->id)
                return false;
        }
    }
    return true;
}

/* The rest of the family, row by row. */
static void second_pass(Tile *tile, LBlock *out, bool flat, int index, LExpr *low, LExpr *high) {
    Fn *fn = tile->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Family *family = tile->family;
    LStmt *over = loop_for(m, fn->fn, out, "r", low, high, 1);
    LBlock *body = &over->body;
    LExpr *r = loop_var(m, fn->fn, over->var);
    const Row whole = {.flat = r, .flat_index = index};
    Row row = whole;
    if (!flat || lower_panels_in(fn, family)) {
        fn->map_position[index] =
            lower_let(fn, body, "position", loop_op(m, SOP_DIV, r, fn->batch, NULL));
        row = (Row){.b = lower_let(fn, body, "b", loop_op(m, SOP_MOD, r, fn->batch, NULL))};
    }
    int64_t blocks = tile_blocks_in(lower, family);
    LExpr *unit = loop_int(m, 0);
    if (blocks > 1) {
        LStmt *units =
            loop_for(m, fn->fn, body, "u", unit, loop_int(m, blocks * tile->lanes), tile->lanes);
        body = &units->body;
        unit = loop_var(m, fn->fn, units->var);
    }
    LExpr **loaded = ARENA_ARRAY(lower->arena, family->accs.count, LExpr *);
    for (int a = 0; a < family->accs.count; a++) {
        const Value *acc = value_at(lower, family->accs.at[a]);
        const Value *home = value_at(lower, lower->gemm_in[acc->id]);
        const RowPlace *place = &fn->places[home->id];
        LExpr *at = loop_add(m, lower_row(fn, acc, home, -1, &whole), unit);
        loaded[a] =
            loop_load(m, fn->fn, place->buffer, at, tile->lanes, tile->lanes > 1 && place->padded);
        loaded[a] = lower_let(fn, body, lower_name(lower, acc), loaded[a]);
    }
    tile_epilogue(tile, body, &row, unit, loaded);
    fn->map_position[index] = NULL;
}

void lower_gemm_family(Fn *fn, LBlock *out, const Block *block, const Family *family) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int index = family->domain[0], ignored;
    int axis = lower->graph->indices.at[index].axis;
    LExpr *low = loop_int(m, 0), *high = loop_mul(m, fn->longest[axis], fn->batch);
    Tile tile = {
        .fn = fn, .block = block, .family = family, .lanes = lower_family_lanes(lower, family)};
    tile.init = ARENA_ARRAY(lower->arena, family->accs.count, int);
    for (int a = 0; a < family->accs.count; a++) tile.init[a] = -1;
    bool flat = lower_flat(fn, family, &ignored), region = false;
    if (!fn->thread) {
        out = lower_flat_region(fn, out, family, 0, high);
        region = fn->thread != NULL;
        lower_share_rows(fn, out, SHARED_ROWS, &low, &high);
    }
    const Row first = {.flat = low, .flat_index = index};
    LExpr *rows = lower_let(fn, out, "rows", loop_sub(m, high, low));
    products(fn, out, family, &first, rows);
    lower_remark_gemm(fn, family, !complete(lower, family));
    if (!complete(lower, family)) second_pass(&tile, out, flat, index, low, high);
    if (region) lower_end_region(fn);
}
