/* Packed weights: where each product and each parameter that is read element by element lies, and
 * the code that puts them there. */
#include "loop/lower_internal.h"

/* --- packed weights
 * --------------------------------------------------------------------------------------------- */

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
        int64_t count = lower_family_weights(lower, schedule->families.at[i]);
        lower->weight_count += (count + line - 1) / line * line;
    }
    for (int i = 0; i < schedule->values.count; i++) lower->plain_offset[i] = -1;
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

/* Whether the sum that a product is added up in subtracts it. */
static bool subtracted(const Schedule *schedule, const Value *product) {
    const Value *acc = schedule->values.at[product->acc];
    for (int i = 0; acc != product && i < acc->terms.count; i++)
        if (acc->terms.at[i].a.value == product->id) return acc->terms.at[i].sign < 0;
    return false;
}

/* weights[to + …] of one product: for its blocks of units, k, and lanes. Lanes beyond the last unit
 * are zero. */
static void pack_product(Fn *fn, LBlock *out, int params, const Family *family, int width,
                         int number, int64_t before, const Value *product, int64_t first_block,
                         int64_t blocks, int nb, int64_t per_block) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const View *view = &product->view;
    lower_at(lower, product->span);
    int lanes = lower_family_lanes(lower, family);
    int64_t base = lower->interface_->param_offsets.at[view->param] + view->offset;
    LExpr *low, *high;
    lower_share(fn, out, blocks, &low, &high);
    LStmt *over = loop_for(m, fn->fn, out, "q", low, high, 1);
    LExpr *q = loop_var(m, fn->fn, over->var);
    LBlock *body = &over->body;
    LExpr *group = nb > 1 ? loop_op(m, SOP_DIV, q, loop_int(m, nb), NULL) : q;
    LExpr *inside = nb > 1 ? loop_op(m, SOP_MOD, q, loop_int(m, nb), NULL) : loop_int(m, 0);
    LExpr *start =
        loop_add(m,
                 loop_int(m, lower->family_offset[family->number] + first_block * per_block +
                                 before * nb * lanes + number * lanes),
                 loop_add(m, loop_mul(m, group, loop_int(m, per_block * nb)),
                          loop_mul(m, inside, loop_int(m, (int64_t)width * lanes))));
    start = lower_let(fn, body, "start", start);
    LStmt *ks = loop_for(m, fn->fn, body, "k", loop_int(m, 0), loop_int(m, view->dim[1]), 1);
    LExpr *k = loop_var(m, fn->fn, ks->var);
    bool minus = subtracted(lower->schedule, product);
    if (view->stride[0] == 1 && (first_block + blocks) * lanes <= family->count) {
        /* The units of a block lie side by side: a transposed matrix. */
        LExpr *unit = loop_mul(m, loop_add(m, q, loop_int(m, first_block)), loop_int(m, lanes));
        LExpr *from = loop_add(m, loop_int(m, base),
                               loop_add(m, unit, loop_mul(m, k, loop_int(m, view->stride[1]))));
        LExpr *w = loop_load(m, fn->fn, params, from, lanes, false);
        if (minus) w = loop_op(m, SOP_NEG, w, NULL, NULL);
        LExpr *to = loop_add(m, start, loop_mul(m, k, loop_int(m, (int64_t)nb * width * lanes)));
        loop_store(m, &ks->body, fn->weights, to, w, lanes > 1);
        return;
    }
    LStmt *ls = loop_for(m, fn->fn, &ks->body, "l", loop_int(m, 0), loop_int(m, lanes), 1);
    LExpr *l = loop_var(m, fn->fn, ls->var);
    LExpr *unit = lower_let(
        fn, &ls->body, "u",
        loop_add(m, loop_mul(m, loop_add(m, q, loop_int(m, first_block)), loop_int(m, lanes)), l));
    LExpr *to = lower_let(
        fn, &ls->body, "to",
        loop_add(m, start,
                 loop_add(m, loop_mul(m, k, loop_int(m, (int64_t)nb * width * lanes)), l)));
    LExpr *from = loop_add(m, loop_int(m, base),
                           loop_add(m, loop_mul(m, unit, loop_int(m, view->stride[0])),
                                    loop_mul(m, k, loop_int(m, view->stride[1]))));
    LExpr *w = loop_load(m, fn->fn, params, from, 1, false);
    if (minus) w = loop_op(m, SOP_NEG, w, NULL, NULL);
    LBlock *store = &ls->body;
    if ((first_block + blocks) * lanes > family->count) {
        LStmt *test = loop_if(m, store, loop_op(m, SOP_LT, unit, loop_int(m, family->count), NULL));
        loop_store(m, &test->otherwise, fn->weights, to, lower_real(lower, 0, 1), false);
        store = &test->body;
    }
    loop_store(m, store, fn->weights, to, w, false);
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
            pack_product(fn, out, params, family, width, p, before, product, 0, whole, nb,
                         per_block);
            if (whole < blocks)
                pack_product(fn, out, params, family, width, p, before, product, whole,
                             blocks - whole, 1, per_block);
        }
        before += segment->length * width;
    }
}

/* Parameters that are read element by element, row-major, padded with zeros. */
static void pack_plain(Fn *fn, LBlock *out, int params, const Value *value) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const View *view = &value->view;
    lower_at(lower, value->span);
    int64_t line = 64 / loop_type_size(lower->real), offset = lower->plain_offset[value->id];
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
    int64_t padded = (value->count + line - 1) / line * line;
    if (padded > value->count) {
        LStmt *rest =
            loop_for(m, fn->fn, out, "i", loop_int(m, value->count), loop_int(m, padded), 1);
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
    bool region = lower_pack_on_threads(fn);
    LBlock *whole = out;
    if (region) out = lower_region(fn, out);
    for (int b = 0; b < schedule->blocks.count; b++)
        for (int f = 0; f < schedule->blocks.at[b]->families.count; f++)
            pack_family(fn, out, params, schedule->blocks.at[b],
                        schedule->families.at[schedule->blocks.at[b]->families.at[f]]);
    if (region) lower_end_region(fn);
    out = whole;
    for (int i = 0; i < schedule->values.count; i++)
        if (fn->lower->plain_offset[i] >= 0) pack_plain(fn, out, params, schedule->values.at[i]);
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
