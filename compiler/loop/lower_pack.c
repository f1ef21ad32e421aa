/* Packed weights: where each product and each parameter that is read element by element lies, and
 * the code that puts them there. */
#include "loop/lower_internal.h"

/* --- packed weights
 * --------------------------------------------------------------------------------------------- */

enum { MOST_APART = 1 << 20 }; /* of the units of a block, in a vector that is loaded at once */

typedef struct PlainScan {
    Lower *lower;
    const Value *reader;
} PlainScan;

static void scan_plain(void *user, const Use *use, bool boundary) {
    PlainScan *scan = user;
    Lower *lower = scan->lower;
    const Value *source = lower->schedule->values.at[use->value];
    (void)boundary;
    if (source->kind != VALUE_PARAM || lower->plain_offset[source->id] >= 0) return;
    lower->plain_offset[source->id] = lower->weight_count;
    int64_t line = 64 / loop_type_size(lower->real);
    lower->weight_count += (source->count + line - 1) / line * line;
}

void lower_layout_weights(Lower *lower) {
    const Schedule *schedule = lower->schedule;
    lower->family_offset = ARENA_ARRAY(lower->arena, schedule->families.count + 1, int64_t);
    lower->plain_offset = ARENA_ARRAY(lower->arena, schedule->values.count + 1, int64_t);
    int64_t line = 64 / loop_type_size(lower->real);
    for (int i = 0; i < schedule->families.count; i++) {
        lower->family_offset[i] = lower->weight_count;
        const Family *family = schedule->families.at[i];
        int64_t count = lower_is_tiled(lower, family) ? lower_family_weights(lower, family) : 0;
        lower->weight_count += (count + line - 1) / line * line;
        lower_remark_packed(lower, schedule->families.at[i]);
    }
    lower->matrix_offset = ARENA_ARRAY(lower->arena, schedule->values.count + 1, int64_t);
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        lower->plain_offset[i] = lower->matrix_offset[i] = -1;
        if (!lower_needs_matrix(lower, value)) continue;
        lower->matrix_offset[i] = lower->weight_count;
        lower->weight_count += (value->view.dim[0] * value->view.dim[1] + line - 1) / line * line;
    }
    for (int i = 0; i < schedule->values.count; i++) {
        PlainScan scan = {lower, schedule->values.at[i]};
        if (scan.reader->live) schedule_uses(schedule, scan.reader, scan_plain, &scan);
    }
    for (int i = 0; i < schedule->outputs.count; i++)
        scan_plain(&(PlainScan){lower, NULL}, &(Use){schedule->outputs.at[i], -1}, false);
    for (int i = 0; i < lower->graph->inputs.count; i++)
        if (lower->graph->inputs.at[i].fallback >= 0)
            scan_plain(&(PlainScan){lower, NULL}, &(Use){lower->graph->inputs.at[i].fallback, -1},
                       false);
}

bool lower_subtracted(const Schedule *schedule, const Value *product) {
    const Value *acc = schedule->values.at[product->acc];
    for (int i = 0; acc != product && i < acc->terms.count; i++)
        if (acc->terms.at[i].a.value == product->id) return acc->terms.at[i].sign < 0;
    return false;
}

/* One product of a family in its packed weights: how many numbers lie before it. */
typedef struct Packed {
    const Value *product;
    int params; /* buffer */
    int width, nb, lanes;
    int64_t before, per_block; /* per_block: numbers of a block of units */
    bool minus;
} Packed;

/* A parameter, as its product takes it; or those of `lanes` units, which lie side by side in a
 * transposed matrix only. Lines of weights are written whole: that is what packing costs. */
static void pack_number(Fn *fn, LBlock *out, const Packed *p, LExpr *to, LExpr *from, int lanes) {
    LoopModule *m = fn->lower->module;
    int64_t apart = p->product->view.stride[0];
    LExpr *w = lanes > 1 && apart > 1 ? loop_load_apart(m, fn->fn, p->params, from, lanes, apart)
                                      : loop_load(m, fn->fn, p->params, from, lanes, false);
    if (p->minus) w = loop_op(m, SOP_NEG, w, NULL, NULL);
    loop_store(m, out, fn->weights, to, w, lanes > 1);
}

/* The units of a block that does not have all: lanes beyond the last one are zero. */
static void pack_last(Fn *fn, LBlock *out, const Packed *p, LExpr *to, LExpr *from, LExpr *unit,
                      int64_t count) {
    LoopModule *m = fn->lower->module;
    LStmt *ls = loop_for(m, fn->fn, out, "l", loop_int(m, 0), loop_int(m, p->lanes), 1);
    LExpr *l = loop_var(m, fn->fn, ls->var);
    to = lower_let(fn, &ls->body, "to", loop_add(m, to, l));
    LExpr *left = loop_op(m, SOP_LT, loop_add(m, unit, l), loop_int(m, count), NULL);
    LStmt *test = loop_if(m, &ls->body, left);
    LExpr *shift = loop_mul(m, l, loop_int(m, p->product->view.stride[0]));
    pack_number(fn, &test->body, p, to, loop_add(m, from, shift), 1);
    loop_store(m, &test->otherwise, fn->weights, to, lower_real(fn->lower, 0, 1), false);
}

/* Blocks of units `first` below `end`, counted from `origin`: for each of them k and lanes. */
static void pack_blocks(Fn *fn, LBlock *out, const Packed *p, const Family *family, int64_t origin,
                        int64_t first, int64_t end) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const View *view = &p->product->view;
    int64_t lanes = p->lanes, row = (int64_t)p->width * lanes;
    LExpr *low, *high;
    lower_share(fn, out, loop_int(m, end - first), &low, &high);
    LStmt *over = loop_for(m, fn->fn, out, "q", loop_add(m, low, loop_int(m, first)),
                           loop_add(m, high, loop_int(m, first)), 1);
    LExpr *q = loop_var(m, fn->fn, over->var);
    LBlock *body = &over->body;
    LExpr *group = p->nb > 1 ? loop_op(m, SOP_DIV, q, loop_int(m, p->nb), NULL) : q;
    LExpr *inside = p->nb > 1 ? loop_op(m, SOP_MOD, q, loop_int(m, p->nb), NULL) : loop_int(m, 0);
    LExpr *start = loop_add(
        m, loop_int(m, lower->family_offset[family->number] + origin * p->per_block + p->before),
        loop_add(m, loop_mul(m, group, loop_int(m, p->per_block * p->nb)),
                 loop_mul(m, inside, loop_int(m, row))));
    start = lower_let(fn, body, "start", start);
    LExpr *unit = loop_mul(m, loop_add(m, q, loop_int(m, origin)), loop_int(m, lanes));
    LExpr *from =
        loop_add(m, loop_int(m, lower->interface_->param_offsets.at[view->param] + view->offset),
                 loop_mul(m, unit, loop_int(m, view->stride[0])));
    from = lower_let(fn, body, "from", from);
    LStmt *ks = loop_for(m, fn->fn, body, "k", loop_int(m, 0), loop_int(m, view->dim[1]), 1);
    LExpr *k = loop_var(m, fn->fn, ks->var);
    LExpr *to = loop_add(m, start, loop_mul(m, k, loop_int(m, p->nb * row)));
    LExpr *at = loop_add(m, from, loop_mul(m, k, loop_int(m, view->stride[1])));
    if ((origin + end) * lanes <= family->count && view->stride[0] < MOST_APART)
        pack_number(fn, &ks->body, p, to, at, (int)lanes);
    else
        pack_last(fn, &ks->body, p, to, at, unit, family->count);
}

/* Blocks `origin` and those behind it, which lie in groups of nb; the last one of the family may
 * not have all units. */
static void pack_product(Fn *fn, LBlock *out, const Packed *p, const Family *family, int64_t origin,
                         int64_t blocks) {
    lower_at(fn->lower, p->product->span);
    int64_t whole = (origin + blocks) * p->lanes > family->count ? blocks - 1 : blocks;
    if (whole) pack_blocks(fn, out, p, family, origin, 0, whole);
    if (whole < blocks) pack_blocks(fn, out, p, family, origin, whole, blocks);
}

static void pack_family(Fn *fn, LBlock *out, int params, const Block *block, const Family *family) {
    Lower *lower = fn->lower;
    int lanes = lower_family_lanes(lower, family);
    int64_t blocks = (family->count + lanes - 1) / lanes;
    int64_t per_block = lower_family_weights(lower, family) / blocks;
    int nb = lower_blocks_of(lower, block, family);
    if (nb > blocks) nb = (int)blocks;
    int64_t whole = blocks / nb * nb, before = 0;
    for (int s = 0; s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        int width = segment->products.count;
        for (int p = 0; p < width; p++) {
            const Value *product = lower->schedule->values.at[segment->products.at[p]];
            Packed packed = {.product = product,
                             .params = params,
                             .width = width,
                             .nb = nb,
                             .lanes = lanes,
                             .before = before * nb * lanes + (int64_t)p * lanes,
                             .per_block = per_block,
                             .minus = lower_subtracted(lower->schedule, product)};
            if (whole) pack_product(fn, out, &packed, family, 0, whole);
            packed.nb = 1;
            packed.before = (before + p) * lanes;
            if (whole < blocks) pack_product(fn, out, &packed, family, whole, blocks - whole);
        }
        before += segment->length * width;
    }
}

/* Parameters that are read element by element, row-major, padded with zeros. */
static void pack_plain(Fn *fn, LBlock *out, int params, const Value *value, int64_t offset) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const View *view = &value->view;
    lower_at(lower, value->span);
    int64_t line = 64 / loop_type_size(lower->real), count = 1;
    for (int d = 0; d < view->rank; d++) count *= view->dim[d];
    int64_t base = lower->interface_->param_offsets.at[view->param] + view->offset;
    LBlock *body = out;
    LExpr *from = loop_int(m, base), *to = loop_int(m, 0);
    for (int d = 0; d < view->rank; d++) {
        LStmt *loop = loop_for(m, fn->fn, body, "i", loop_int(m, 0), loop_int(m, view->dim[d]), 1);
        LExpr *i = loop_var(m, fn->fn, loop->var);
        from = loop_add(m, from, loop_mul(m, i, loop_int(m, view->stride[d])));
        to = loop_add(m, loop_mul(m, to, loop_int(m, view->dim[d])), i);
        body = &loop->body;
    }
    loop_store(m, body, fn->weights, loop_add(m, loop_int(m, offset), to),
               loop_load(m, fn->fn, params, from, 1, false), false);
    int64_t padded = (count + line - 1) / line * line;
    if (padded > count) {
        LStmt *rest = loop_for(m, fn->fn, out, "i", loop_int(m, count), loop_int(m, padded), 1);
        loop_store(m, &rest->body, fn->weights,
                   loop_add(m, loop_int(m, offset), loop_var(m, fn->fn, rest->var)),
                   lower_real(lower, 0, 1), false);
    }
}

int lower_params_buffer(Fn *fn) {
    Lower *lower = fn->lower;
    int arg = lower_arg(fn, ROLE_PARAMS, 0);
    return loop_buffer(lower->module, fn->fn,
                       (LBuffer){.name = name_of(lower->names, "param"),
                                 .type = lower->real,
                                 .base = LB_ARG,
                                 .arg = arg,
                                 .offset = loop_int(lower->module, 0),
                                 .written = fn->fn->args.at[arg].written,
                                 .count = loop_int(lower->module, lower->interface_->param_count)});
}

void lower_weights_in_work(Fn *fn, int work_argument) {
    Lower *lower = fn->lower;
    fn->before = size_constant(lower->weight_count * (int64_t)loop_type_size(lower->real));
    fn->weights = loop_buffer(lower->module, fn->fn,
                              (LBuffer){.name = name_of(lower->names, "weight"),
                                        .type = lower->real,
                                        .base = LB_ARG,
                                        .arg = work_argument,
                                        .offset = lower_offset(fn, size_constant(0)),
                                        .align = 64,
                                        .written = true,
                                        .count = loop_int(lower->module, lower->weight_count)});
}

void lower_pack_into(Fn *fn, LBlock *out, int params) {
    const Schedule *schedule = fn->lower->schedule;
    bool region = lower_may_thread(fn);
    LBlock *whole = out;
    fn->params = params;
    if (region) {
        LExpr *one = loop_int(fn->lower->module, 1);
        out = lower_region(fn, out, lower_ns_of_moves(fn, one, fn->lower->weight_count), NULL);
    }
    for (int b = 0; b < schedule->blocks.count; b++)
        for (int f = 0; f < schedule->blocks.at[b]->families.count; f++) {
            const Family *family = schedule->families.at[schedule->blocks.at[b]->families.at[f]];
            if (lower_is_tiled(fn->lower, family))
                pack_family(fn, out, params, schedule->blocks.at[b], family);
        }
    if (region) lower_end_region(fn);
    out = whole;
    for (int i = 0; i < schedule->values.count; i++) {
        const int64_t *offsets[] = {fn->lower->plain_offset, fn->lower->matrix_offset};
        for (int k = 0; k < 2; k++)
            if (offsets[k][i] >= 0)
                pack_plain(fn, out, params, schedule->values.at[i], offsets[k][i]);
    }
}

void lower_pack(Lower *lower) {
    LoopModule *m = lower->module;
    Fn fn = lower_function(lower, "pack", LT_I32,
                           "Puts the parameters into the order in which the code reads them.\n"
                           "Call it once, and again whenever a parameter has changed.",
                           true);
    int params = lower_params_buffer(&fn);
    lower_arg(&fn, ROLE_WEIGHTS, 0);
    LBlock *out = &fn.fn->body;
    lower_pack_into(&fn, out, params);
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    lower->interface_->pack = lower_finish(&fn);
}
