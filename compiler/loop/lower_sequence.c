/* Functions over whole sequences: forward, and for training the loss and the gradient. */
#include "loop/lower_internal.h"

bool lower_input_live(const Lower *lower, int slot) {
    int node = lower->graph->inputs.at[slot].node;
    return node >= 0 && lower->schedule->values.at[node]->live &&
           lower->schedule->values.at[node]->kind == VALUE_INPUT;
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

void lower_input_arguments(Fn *fn) {
    const Graph *graph = fn->lower->graph;
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        if (!lower_input_live(fn->lower, i)) continue;
        if (port->kind == PORT_UPSTREAM)
            lower_arg(fn, ROLE_UPSTREAM, port->of);
        else
            lower_arg(fn, ROLE_INPUT, i);
    }
}

static void output_arguments(Fn *fn) {
    const Lower *lower = fn->lower;
    const Graph *graph = lower->graph;
    for (int i = 0; i < graph->outputs.count; i++)
        if (graph->outputs.at[i].kind == PORT_MODEL) lower_arg(fn, ROLE_OUTPUT, i);
    if (lower->kind == SEQUENCE_FORWARD) return;
    if (graph->losses.count > 0) lower_arg(fn, ROLE_LOSS, 0);
    if (lower->kind == SEQUENCE_GRAD) lower_arg(fn, ROLE_GRADS, 0);
    for (int i = 0; i < graph->outputs.count; i++)
        if (graph->outputs.at[i].kind == PORT_INPUT_GRAD)
            lower_arg(fn, ROLE_INPUT_GRAD, graph->outputs.at[i].of);
}

void lower_pool_argument(Fn *fn) {
    if (fn->lower->options.threads > 1) lower_arg(fn, ROLE_POOL, 0);
}

void lower_work_check(Fn *fn, LBlock *out, int bytes_arg, Size work) {
    LoopModule *m = fn->lower->module;
    LExpr *large = lower_too_large(fn, work);
    if (large)
        loop_return(m, &loop_if(m, out, large)->body, loop_int_of(m, LT_I32, LOOP_BAD_SPACE));
    LExpr *small = loop_op(m, SOP_LT, loop_var(m, fn->fn, fn->fn->args.at[bytes_arg].var),
                           size_expr(fn, work), NULL);
    loop_return(m, &loop_if(m, out, small)->body, loop_int_of(m, LT_I32, LOOP_BAD_SPACE));
}

/* A mask: the workspace has no room for all of the tape. */
static LExpr *too_small(Fn *fn, int bytes_arg, Size work) {
    LoopModule *m = fn->lower->module;
    LExpr *large = lower_too_large(fn, work);
    LExpr *small = loop_op(m, SOP_LT, loop_var(m, fn->fn, fn->fn->args.at[bytes_arg].var),
                           size_expr(fn, work), NULL);
    return large ? loop_op(m, SOP_MOR, large, small, NULL) : small;
}

/* Where each chunk begins: as the state says, or at 0. */
static void begin_chunk(Fn *fn, LBlock *out) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LStmt *test = loop_if(m, out, fn->has_state);
    for (int part = 0; part < 2 * lower->position_places; part++) {
        LStmt *each = loop_for(m, fn->fn, part % 2 ? &test->otherwise : &test->body, "b",
                               loop_int(m, 0), fn->batch, 1);
        LExpr *at = lower_position_at(fn, part / 2, loop_var(m, fn->fn, each->var));
        loop_store(m, &each->body, fn->start, at,
                   part % 2 ? loop_int(m, 0) : loop_load(m, fn->fn, fn->positions, at, 1, false),
                   false);
    }
}

/* Where generated axes stopped. */
static void store_found(Fn *fn, LBlock *out) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    for (int s = 0; s < lower->graph->axes.count; s++) {
        if (!lower->axis_used[s] || !lower->graph->axes.at[s].generated ||
            lower->graph->axes.at[s].kind != AXIS_RUN)
            continue;
        int arg = lower_arg(fn, ROLE_OUT_LENGTHS, s);
        int buffer = loop_buffer(m, fn->fn,
                                 (LBuffer){.name = fn->fn->args.at[arg].name,
                                           .type = LT_I32,
                                           .base = LB_ARG,
                                           .arg = arg,
                                           .offset = loop_int(m, 0),
                                           .count = fn->batch,
                                           .written = true});
        LExpr *wanted = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                                loop_int_of(m, LT_I32, 0), NULL);
        LStmt *each =
            loop_for(m, fn->fn, &loop_if(m, out, wanted)->body, "b", loop_int(m, 0), fn->batch, 1);
        LExpr *b = loop_var(m, fn->fn, each->var);
        loop_store(m, &each->body, buffer, b,
                   loop_convert(m, SOP_CONVERT, LT_I32, lower_length(fn, NULL, s, b)), false);
    }
}

static const char *const names[] = {"forward", "loss", "grad"};
static const char *const docs[] = {
    "Runs whole sequences.", "The loss of a batch, and the outputs that it is made from.",
    ("Gradients of parameters and inputs, added to what the arrays hold: of the loss, where the\n"
     "model has one, and of what the upstream gradients of outputs say.")};
static const char *const size_names[] = {"forward_work_bytes", "loss_work_bytes",
                                         "grad_work_bytes"};

static void make_size(Lower *lower, Size work, int *place) {
    const char *doc = arena_printf(
        lower->arena, "Bytes of workspace that %s needs; -1 when an argument is out of its range.",
        names[lower->kind]);
    if (lower->tape)
        doc = arena_printf(lower->arena,
                           "%s\nAt most %lld, the budget, if that can be done by keeping chunks of "
                           "the sequence\none at a time, else the least that can be done. With any "
                           "workspace from the least to\nall of the tape grad takes as few chunks "
                           "as fit.",
                           doc, (long long)lower->tape->budget);
    Fn size = lower_function(lower, size_names[lower->kind], LT_I64, doc, false);
    lower_arg(&size, ROLE_BATCH, 0);
    axis_arguments(&size, false);
    if (lower->tape)
        lower_tape_sizes(&size, work, lower->tape->budget);
    else
        lower_return_size(&size, work);
    *place = lower_finish(&size);
}

void lower_sequence(Lower *lower) {
    LoopModule *m = lower->module;
    Interface *in = lower->interface_;
    int *const places[] = {&in->forward, &in->loss, &in->grad};
    int *const sizes[] = {&in->forward_work, &in->loss_work, &in->grad_work};
    bool packs = lower->kind != SEQUENCE_FORWARD;
    Fn fn = lower_function(lower, names[lower->kind], LT_I32, docs[lower->kind], false);
    fn.sequence = true;
    int params = packs ? lower_params_buffer(&fn) : -1;
    if (!packs) lower_arg(&fn, ROLE_WEIGHTS, 0);
    lower_arg(&fn, ROLE_BATCH, 0);
    axis_arguments(&fn, true);
    lower_input_arguments(&fn);
    output_arguments(&fn);
    if (lower->carries) lower_arg(&fn, ROLE_STATE, 0);
    lower_seed_argument(&fn, false);
    int work_arg = lower_arg(&fn, ROLE_WORK, 0), bytes_arg = lower_arg(&fn, ROLE_WORK_BYTES, 0);
    lower_pool_argument(&fn);
    if (packs) lower_weights_in_work(&fn, work_arg);
    int chunks = lower->tape ? lower_tape_function(lower) : -1;
    Size work = place_values(&fn, work_arg);
    lower_remark_kept(&fn);
    lower_find_wanted(&fn);
    LBlock *out = &fn.fn->body;
    lower_checks(&fn, out);
    if (lower->tape)
        lower_tape_call(&fn, &loop_if(m, out, too_small(&fn, bytes_arg, work))->body, chunks,
                        bytes_arg);
    else
        lower_work_check(&fn, out, bytes_arg, work);
    if (lower->carries) {
        lower_state_header(&fn);
        fn.has_state = loop_op(m, SOP_NE, loop_var(m, fn.fn, fn.fn->args.at[fn.state].var),
                               loop_int_of(m, LT_I32, 0), NULL);
    }
    lower_lengths(&fn, out);
    if (lower->carries) begin_chunk(&fn, out);
    if (packs) lower_pack_into(&fn, out, params);
    lower_copy_inputs(&fn, out);
    lower_nests(&fn, out);
    lower_at(lower, (Span){0});
    if (packs) lower_store_loss(&fn, out);
    lower_copy_outputs(&fn, out);
    lower_add_gradients(&fn, out);
    lower_at(lower, (Span){0});
    store_found(&fn, out);
    if (lower->carries) lower_save_state(&fn, &loop_if(m, out, fn.has_state)->body);
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    *places[lower->kind] = lower_finish(&fn);
    make_size(lower, work, sizes[lower->kind]);
}
