/* The functions of a module: pack, forward, step, and the sizes they need. */
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

static void layout_weights(Lower *lower) {
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

static int term_sign(const Schedule *schedule, const Value *product) {
    const Value *acc = schedule->values.at[product->acc];
    for (int i = 0; acc != product && i < acc->terms.count; i++)
        if (acc->terms.at[i].a.value == product->id) return acc->terms.at[i].sign;
    return 1;
}

/* weights[to + …] of one product: for its blocks of units, k, and lanes. Lanes beyond the last unit
 * are zero. */
static void pack_product(Fn *fn, LBlock *out, int params, const Family *family, int width,
                         int number, int64_t before, const Value *product, int64_t first_block,
                         int64_t blocks, int nb, int64_t per_block) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const View *view = &product->view;
    int lanes = lower_family_lanes(lower, family);
    int64_t base = lower->interface_->param_offsets.at[view->param] + view->offset;
    LStmt *over = loop_for(m, fn->fn, out, "q", loop_int(m, 0), loop_int(m, blocks), 1);
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
    if (term_sign(lower->schedule, product) < 0) w = loop_op(m, SOP_NEG, w, NULL, NULL);
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

void lower_pack(Lower *lower) {
    LoopModule *m = lower->module;
    Fn fn = lower_function(lower, "pack", LT_I32,
                           "Puts the parameters into the order in which the code reads them.\n"
                           "Call it once, and again whenever a parameter has changed.",
                           true);
    int arg = lower_arg(&fn, ROLE_PARAMS, 0);
    lower_arg(&fn, ROLE_WEIGHTS, 0);
    int params = loop_buffer(m, fn.fn,
                             (LBuffer){.name = name_of(lower->names, "param"),
                                       .type = lower->real,
                                       .base = LB_ARG,
                                       .arg = arg,
                                       .offset = loop_int(m, 0),
                                       .count = loop_int(m, lower->interface_->param_count)});
    LBlock *out = &fn.fn->body;
    const Schedule *schedule = lower->schedule;
    for (int b = 0; b < schedule->blocks.count; b++)
        for (int f = 0; f < schedule->blocks.at[b]->families.count; f++)
            pack_family(&fn, out, params, schedule->blocks.at[b],
                        schedule->families.at[schedule->blocks.at[b]->families.at[f]]);
    for (int i = 0; i < schedule->values.count; i++)
        if (lower->plain_offset[i] >= 0) pack_plain(&fn, out, params, schedule->values.at[i]);
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    lower->interface_->pack = lower_finish(&fn);
}

/* --- sequences and steps
 * -------------------------------------------------------------------------------------------- */

static bool input_live(const Lower *lower, int slot) {
    int node = lower->graph->inputs.at[slot].node;
    return node >= 0 && lower->schedule->values.at[node]->live &&
           lower->schedule->values.at[node]->kind == VALUE_INPUT;
}

static void mark_axis(Lower *lower, int axis) {
    lower->axis_used[axis] = true;
    if (lower->graph->axes.at[axis].kind == AXIS_SLOW)
        mark_axis(lower, lower->graph->axes.at[axis].base);
}

static void find_axes(Lower *lower) {
    const Graph *graph = lower->graph;
    lower->axis_used = ARENA_ARRAY(lower->arena, graph->axes.count + 1, bool);
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        if (!value->live) continue;
        for (int d = 0; d < value->domain_count; d++)
            mark_axis(lower, graph->indices.at[value->domain[d]].axis);
        if (value->kind == VALUE_LEAF && value->op == OP_LENGTH)
            mark_axis(lower, value->attr->slot);
        bool reduces = value->op == OP_TSUM || value->op == OP_TMAX || value->op == OP_TCONCAT;
        if (value->kind == VALUE_ROW && reduces)
            mark_axis(lower, graph->indices.at[value->attr->index].axis);
    }
    for (int i = 0; i < graph->outputs.count; i++)
        for (int d = 0; d < graph->outputs.at[i].index_count; d++)
            mark_axis(lower, graph->indices.at[graph->outputs.at[i].indices[d]].axis);
    for (int i = 0; i < graph->carries.count; i++) /* a position goes on, whatever is read of it */
        mark_axis(lower, graph->carries.at[i].axis);
}

static void axis_arguments(Fn *fn, bool lengths) {
    const Graph *graph = fn->lower->graph;
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *axis = &graph->axes.at[a];
        if (!fn->lower->axis_used[a]) continue;
        if (axis->kind == AXIS_RUN && axis->fixed) {
            fn->extent[a] = loop_int(fn->lower->module, axis->fixed);
        } else if (axis->kind == AXIS_RUN) {
            lower_arg(fn, ROLE_STEPS, a);
            if (lengths) lower_arg(fn, ROLE_LENGTHS, a);
            if (lengths && axis->generated) lower_arg(fn, ROLE_OUT_LENGTHS, a);
        }
    }
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *axis = &graph->axes.at[a];
        LoopModule *m = fn->lower->module;
        if (fn->lower->axis_used[a] && axis->kind == AXIS_SLOW)
            fn->extent[a] = loop_op(
                m, SOP_DIV, loop_add(m, fn->extent[axis->base], loop_int(m, axis->every - 1)),
                loop_int(m, axis->every), NULL);
    }
}

static void input_arguments(Fn *fn) {
    for (int i = 0; i < fn->lower->graph->inputs.count; i++)
        if (input_live(fn->lower, i)) lower_arg(fn, ROLE_INPUT, i);
}

static void output_arguments(Fn *fn) {
    for (int i = 0; i < fn->lower->graph->outputs.count; i++) lower_arg(fn, ROLE_OUTPUT, i);
}

static void work_check(Fn *fn, LBlock *out, int bytes_arg, Size work) {
    LoopModule *m = fn->lower->module;
    LExpr *large = lower_too_large(fn, work);
    if (large)
        loop_return(m, &loop_if(m, out, large)->body, loop_int_of(m, LT_I32, LOOP_BAD_SPACE));
    LExpr *small = loop_op(m, SOP_LT, loop_var(m, fn->fn, fn->fn->args.at[bytes_arg].var),
                           size_expr(fn, work), NULL);
    loop_return(m, &loop_if(m, out, small)->body, loop_int_of(m, LT_I32, LOOP_BAD_SPACE));
}

static Size make_forward(Lower *lower) {
    LoopModule *m = lower->module;
    Fn fn = lower_function(lower, "forward", LT_I32, "Runs whole sequences.", false);
    lower_arg(&fn, ROLE_WEIGHTS, 0);
    lower_arg(&fn, ROLE_BATCH, 0);
    axis_arguments(&fn, true);
    input_arguments(&fn);
    output_arguments(&fn);
    if (lower->carries) lower_arg(&fn, ROLE_STATE, 0);
    lower_seed_argument(&fn, false);
    int work_arg = lower_arg(&fn, ROLE_WORK, 0), bytes_arg = lower_arg(&fn, ROLE_WORK_BYTES, 0);
    Size work = place_values(&fn, work_arg);
    LBlock *out = &fn.fn->body;
    lower_checks(&fn, out);
    work_check(&fn, out, bytes_arg, work);
    if (lower->carries) {
        lower_state_header(&fn);
        fn.has_state = loop_op(m, SOP_NE, loop_var(m, fn.fn, fn.fn->args.at[fn.state].var),
                               loop_int_of(m, LT_I32, 0), NULL);
    }
    lower_lengths(&fn, out);
    if (lower->carries) {
        LStmt *test = loop_if(m, out, fn.has_state);
        for (int part = 0; part < 2 * lower->position_places; part++) {
            LStmt *each = loop_for(m, fn.fn, part % 2 ? &test->otherwise : &test->body, "b",
                                   loop_int(m, 0), fn.batch, 1);
            LExpr *at = lower_position_at(&fn, part / 2, loop_var(m, fn.fn, each->var));
            loop_store(m, &each->body, fn.start, at,
                       part % 2 ? loop_int(m, 0) : loop_load(m, fn.fn, fn.positions, at, 1, false),
                       false);
        }
    }
    lower_copy_inputs(&fn, out);
    lower_nests(&fn, out);
    lower_copy_outputs(&fn, out);
    for (int s = 0; s < lower->graph->axes.count; s++) {
        if (!lower->axis_used[s] || !lower->graph->axes.at[s].generated ||
            lower->graph->axes.at[s].kind != AXIS_RUN)
            continue;
        int arg = lower_arg(&fn, ROLE_OUT_LENGTHS, s);
        int buffer = loop_buffer(m, fn.fn,
                                 (LBuffer){.name = fn.fn->args.at[arg].name,
                                           .type = LT_I32,
                                           .base = LB_ARG,
                                           .arg = arg,
                                           .offset = loop_int(m, 0),
                                           .count = fn.batch,
                                           .written = true});
        LExpr *wanted = loop_op(m, SOP_NE, loop_var(m, fn.fn, fn.fn->args.at[arg].var),
                                loop_int_of(m, LT_I32, 0), NULL);
        LStmt *each =
            loop_for(m, fn.fn, &loop_if(m, out, wanted)->body, "b", loop_int(m, 0), fn.batch, 1);
        LExpr *b = loop_var(m, fn.fn, each->var);
        loop_store(m, &each->body, buffer, b,
                   loop_convert(m, SOP_CONVERT, LT_I32, lower_length(&fn, NULL, s, b)), false);
    }
    if (lower->carries) lower_save_state(&fn, &loop_if(m, out, fn.has_state)->body);
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    lower->interface_->forward = lower_finish(&fn);

    Fn size = lower_function(
        lower, "forward_work_bytes", LT_I64,
        "Bytes of workspace that forward needs; -1 when an argument is out of its range.", false);
    lower_arg(&size, ROLE_BATCH, 0);
    axis_arguments(&size, false);
    lower_return_size(&size, work);
    lower->interface_->forward_work = lower_finish(&size);
    return work;
}

static const char *step_doc(Lower *lower) {
    Text text = text_new(lower->arena);
    text_puts(&text,
              "Takes one step of `batch` sequences. Equal to forward bit for bit at batch 1.");
    if (lower->latency)
        text_printf(&text,
                    "\nStep n gives the outputs of position n - %lld: they read ahead. Behind the "
                    "end of a sequence,\nas many more steps with `ended` give the last of them.",
                    (long long)lower->latency);
    if (lower->period > 1)
        text_puts(&text, "\nWhat is over a slower axis is read, and written, in steps that have a "
                         "position of it.");
    return text_string(&text);
}

static void make_step(Lower *lower) {
    LoopModule *m = lower->module;
    Fn fn = lower_function(lower, "step", LT_I32, step_doc(lower), true);
    lower_arg(&fn, ROLE_WEIGHTS, 0);
    lower_arg(&fn, ROLE_BATCH, 0);
    input_arguments(&fn);
    if (lower->latency) lower_arg(&fn, ROLE_ENDED, 0);
    output_arguments(&fn);
    lower_at_arguments(&fn);
    lower_arg(&fn, ROLE_STATE, 0);
    lower_seed_argument(&fn, false);
    int work_arg = lower_arg(&fn, ROLE_WORK, 0), bytes_arg = lower_arg(&fn, ROLE_WORK_BYTES, 0);
    lower_state_header(&fn);
    lower_kept_places(&fn);
    Size work = place_values(&fn, work_arg);
    LBlock *out = &fn.fn->body;
    int clock_buffer = fn.positions - 1;
    lower_checks(&fn, out);
    work_check(&fn, out, bytes_arg, work);
    fn.clock =
        lower_let(&fn, out, "clock", loop_load(m, fn.fn, clock_buffer, loop_int(m, 0), 1, false));
    lower_lengths(&fn, out);
    lower_note_ends(&fn, out);
    lower_copy_inputs(&fn, out);
    lower_nests(&fn, out);
    lower_copy_outputs(&fn, out);
    lower_store_at(&fn, out);
    loop_store(m, out, clock_buffer, loop_int(m, 0), loop_add(m, fn.clock, loop_int(m, 1)), false);
    LStmt *each = loop_for(m, fn.fn, out, "b", loop_int(m, 0), fn.batch, 1);
    LExpr *b = loop_var(m, fn.fn, each->var);
    loop_store(m, &each->body, fn.positions, b,
               loop_add(m, loop_load(m, fn.fn, fn.positions, b, 1, false), loop_int(m, 1)), false);
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    lower->interface_->step = lower_finish(&fn);

    Fn size = lower_function(
        lower, "step_work_bytes", LT_I64,
        "Bytes of workspace that step needs; -1 when an argument is out of its range.", true);
    lower_arg(&size, ROLE_BATCH, 0);
    lower_return_size(&size, work);
    lower->interface_->step_work = lower_finish(&size);
}

/* Where an axis comes in that is one too many: the port that has it. */
static Span place_of_axes(const Graph *graph) {
    const GraphPort *ports[] = {graph->inputs.at, graph->outputs.at};
    int counts[] = {graph->inputs.count, graph->outputs.count};
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < counts[side]; i++)
            for (int k = 0; k < ports[side][i].index_count; k++)
                if (graph->indices.at[ports[side][i].indices[k]].axis >= MAX_SYMBOLS - 2)
                    return ports[side][i].span;
    return graph->outputs.count > 0 ? graph->outputs.at[0].span : (Span){0};
}

Interface *lower_schedule(Arena *arena, Names *names, const Schedule *schedule,
                          const LowerOptions *options, Diags *diags) {
    Lower *lower = ARENA_NEW(arena, Lower);
    *lower = (Lower){.arena = arena,
                     .names = names,
                     .schedule = schedule,
                     .graph = schedule->graph,
                     .options = *options,
                     .diags = diags,
                     .real = options->real,
                     .integer = options->real == LT_F32 ? LT_I32 : LT_I64};
    lower->lanes = options->real == LT_F32     ? options->target.lanes
                   : options->target.lanes > 1 ? options->target.lanes / 2
                                               : 1;
    lower->module = loop_module_new(arena, names, name_of(names, options->prefix), options->target,
                                    options->real);
    Interface *interface_ = ARENA_NEW(arena, Interface);
    lower->interface_ = interface_;
    *interface_ = (Interface){.model = lower->graph->model,
                              .graph = lower->graph,
                              .module = lower->module,
                              .pack = -1,
                              .forward = -1,
                              .step = -1,
                              .reset = -1,
                              .state_bytes = -1,
                              .forward_work = -1,
                              .step_work = -1,
                              .reset_work = -1,
                              .export_state = -1,
                              .import_state = -1};
    for (int i = 0; i < lower->graph->params.count; i++) {
        vec_push(arena, &interface_->param_offsets, interface_->param_count);
        interface_->param_count += shape_count(lower->graph->params.at[i].shape);
    }
    if (lower->graph->axes.count >= MAX_SYMBOLS - 1) {
        diag_error(diags, "E-LOWER", place_of_axes(lower->graph),
                   "the model has %d axes, more than the %d that are compiled",
                   lower->graph->axes.count, MAX_SYMBOLS - 2);
        return NULL;
    }
    for (int i = 0; i < lower->graph->inputs.count; i++) {
        int fallback = lower->graph->inputs.at[i].fallback;
        if (fallback < 0 || lower->graph->inputs.at[i].node < 0) continue;
        ValueKind kind = schedule->values.at[fallback]->kind;
        if (kind == VALUE_CONST || kind == VALUE_PARAM) continue;
        diag_error(diags, "E-LOWER", lower->graph->inputs.at[i].span,
                   "a default that is computed is not compiled yet; run it with --backend=interp");
        return NULL;
    }
    lower_label(lower);
    find_axes(lower);
    layout_weights(lower);
    int64_t line = 64 / loop_type_size(lower->real);
    interface_->weight_bytes =
        (lower->weight_count ? lower->weight_count : line) * loop_type_size(lower->real);
    interface_->no_step = lower_no_step(lower);
    if (interface_->no_step) lower->latency = 0; /* there are no steps that could be late */
    interface_->step_axis = lower->step_axis;
    interface_->latency = lower->latency;
    interface_->period = lower->period;
    lower_state_layout(lower, !interface_->no_step);
    lower_pack(lower);
    make_forward(lower);
    if (!interface_->no_step) make_step(lower);
    lower_state_functions(lower);
    return interface_;
}
