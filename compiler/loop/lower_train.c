/* What the functions of training give beside outputs: the loss of the batch, and gradients, added
 * to the caller's arrays. */
#include "loop/lower_internal.h"

static const Value *port_value(const Fn *fn, PortKind kind, int of) {
    const Graph *graph = fn->lower->graph;
    for (int o = 0; o < graph->outputs.count; o++)
        if (graph->outputs.at[o].kind == kind && graph->outputs.at[o].of == of)
            return fn->lower->schedule->values.at[fn->lower->schedule->outputs.at[o]];
    return NULL;
}

/* Over the sequences, in their order; of a value that is the same for all, too. */
static LExpr *sum_batch(Fn *fn, LBlock *out, const Value *value, const char *name) {
    LoopModule *m = fn->lower->module;
    int sum = loop_mutable(m, fn->fn, out, name, lower_real(fn->lower, 0, 1));
    LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
    Row row = {.b = loop_var(m, fn->fn, each->var)};
    Use use = {value->id, -1};
    LExpr *e = lower_element(fn, &each->body, value, &use, &row, loop_int(m, 0), 1, WANT_REAL);
    loop_set(m, &each->body, sum, lower_op(fn->lower, SOP_ADD, loop_var(m, fn->fn, sum), e));
    return lower_let(fn, out, name, loop_var(m, fn->fn, sum));
}

/* Language, section on losses: Σ loss / Σ per, or the mean or the sum over the batch; one that is
 * the same for all sequences counts once. */
static LExpr *one_loss(Fn *fn, LBlock *out, int number) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Value *value = port_value(fn, PORT_LOSS, number), *per = port_value(fn, PORT_PER, number);
    if (!per && !value->batched) {
        Row row = {.b = loop_int(m, 0)};
        Use use = {value->id, -1};
        return lower_element(fn, out, value, &use, &row, loop_int(m, 0), 1, WANT_REAL);
    }
    LExpr *sum = sum_batch(fn, out, value, "losses");
    if (!per && lower->options.reduce_sum) return sum;
    LExpr *divisor =
        per ? sum_batch(fn, out, per, "divisor") : lower_as(lower, fn->batch, WANT_REAL);
    if (per) {
        LExpr *nothing = loop_op(m, SOP_EQ, divisor, lower_real(lower, 0, 1), NULL);
        loop_return(m, &loop_if(m, out, nothing)->body, loop_int_of(m, LT_I32, LOOP_BAD_LOSS));
    }
    return lower_op(lower, SOP_DIV, sum, divisor);
}

static LExpr *given(Fn *fn, int arg) {
    LoopModule *m = fn->lower->module;
    return loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                   loop_int_of(m, LT_I32, 0), NULL);
}

void lower_store_loss(Fn *fn, LBlock *out) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    if (!lower->graph->losses.count) return;
    int arg = lower_arg(fn, ROLE_LOSS, 0);
    int buffer = lower_caller_buffer(fn, (LBuffer){.name = fn->fn->args.at[arg].name,
                                                   .type = lower->real,
                                                   .base = LB_ARG,
                                                   .arg = arg,
                                                   .offset = loop_int(m, 0),
                                                   .count = loop_int(m, 1),
                                                   .written = true});
    LExpr *total = NULL;
    for (int i = 0; i < lower->graph->losses.count; i++) {
        LExpr *one = lower_let(fn, out, "one", one_loss(fn, out, i));
        total = total ? lower_op(lower, SOP_ADD, total, one) : one;
    }
    loop_store(m, lower_if(fn, out, given(fn, arg)), buffer, loop_int(m, 0), total, false);
}

/* buffer[to + i] += value[i] at a row. */
static void add_row(Fn *fn, LBlock *out, const Value *value, const Row *row, int buffer, LExpr *to,
                    bool outermost) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    Use use = {value->id, -1};
    LExpr *i = loop_int(m, 0);
    if (value->count > 1) {
        LStmt *loop = lower_split_loop(fn, out, "i", loop_int(m, value->count), outermost);
        i = loop_var(m, fn->fn, loop->var);
        out = &loop->body;
    } else if (outermost) {
        out = lower_first_thread(fn, out, false);
    }
    LExpr *at = loop_add(m, to, i);
    LExpr *e = lower_element(fn, out, value, &use, row, i, 1, WANT_REAL);
    LExpr *so_far = lower_let(fn, out, "so_far", loop_load(m, fn->fn, buffer, at, 1, false));
    loop_store(m, out, buffer, at, lower_op(lower, SOP_ADD, so_far, e), false);
}

int lower_gradients_buffer(Fn *fn) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    return lower_caller_buffer(fn, (LBuffer){.name = name_of(lower->names, "d_param"),
                                             .type = lower->real,
                                             .base = LB_ARG,
                                             .arg = lower_arg(fn, ROLE_GRADS, 0),
                                             .offset = loop_int(m, 0),
                                             .count = loop_int(m, lower->interface_->param_count),
                                             .written = true});
}

static void add_params(Fn *fn, LBlock *start) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Interface *in = lower->interface_;
    int arg = lower_arg(fn, ROLE_GRADS, 0), buffer = lower_gradients_buffer(fn);
    LBlock *out = lower_if(fn, start, given(fn, arg));
    int64_t numbers = 0;
    for (int p = 0; p < lower->graph->params.count; p++) {
        const Value *value = port_value(fn, PORT_PARAM_GRAD, p);
        if (value && !fn->added[value->id]) numbers += value->count;
    }
    bool region = numbers && lower_may_thread(fn);
    if (region) out = lower_rows_region(fn, out, loop_int(m, numbers));
    Row row = {.b = loop_int(m, 0)};
    for (int p = 0; p < lower->graph->params.count; p++) {
        const Value *value = port_value(fn, PORT_PARAM_GRAD, p);
        if (!value || fn->added[value->id]) continue;
        lower_at(lower, value->span);
        LExpr *to = loop_int(m, in->param_offsets.at[p]);
        add_row(fn, out, value, &row, buffer, to, true);
    }
    if (region) lower_end_region(fn);
}

static void add_input(Fn *fn, LBlock *start, const GraphPort *port, const Value *value) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int arg = lower_arg(fn, ROLE_INPUT_GRAD, port->of);
    Size rows = size_symbol(0);
    for (int d = 0; d < port->index_count; d++)
        rows = size_times(rows, size_symbol(1 + lower->graph->indices.at[port->indices[d]].axis));
    int buffer = lower_caller_buffer(
        fn, (LBuffer){.name = fn->fn->args.at[arg].name,
                      .type = lower->real,
                      .base = LB_ARG,
                      .arg = arg,
                      .offset = loop_int(m, 0),
                      .written = true,
                      .count = fn->begin && port->index_count
                                   ? lower_all_steps(fn, value->count)
                                   : size_expr(fn, size_times(rows, size_constant(value->count))),
                      .layout = lower_shape_text(lower, port, false)});
    LBlock *whole = lower_if(fn, start, given(fn, arg));
    bool region = lower_may_thread(fn);
    if (region)
        whole = lower_rows_region(fn, whole,
                                  size_expr(fn, size_times(rows, size_constant(value->count))));
    LStmt *each = lower_split_loop(fn, whole, "b", fn->batch, !port->index_count);
    Row row = {.b = loop_var(m, fn->fn, each->var)};
    LBlock *out = &each->body;
    LExpr *index = loop_int(m, 0);
    for (int d = 0; d < port->index_count; d++) {
        int i = port->indices[d], axis = lower->graph->indices.at[i].axis;
        LExpr *length = lower_let(fn, out, "length", lower_length(fn, NULL, axis, row.b));
        LStmt *loop = lower_split_loop(fn, out, lower->graph->indices.at[i].name, length, d == 0);
        fn->map_position[i] = loop_var(m, fn->fn, loop->var);
        index = loop_add(m, d ? loop_mul(m, index, fn->extent[axis]) : index,
                         lower_in_sequence(fn, fn->map_position[i]));
        out = &loop->body;
    }
    index =
        loop_mul(m, loop_add(m, loop_mul(m, index, fn->batch), row.b), loop_int(m, value->count));
    add_row(fn, out, value, &row, buffer, lower_let(fn, out, "to", index), false);
    for (int d = 0; d < port->index_count; d++) fn->map_position[port->indices[d]] = NULL;
    if (region) lower_end_region(fn);
}

void lower_add_gradients(Fn *fn, LBlock *out) {
    const Lower *lower = fn->lower;
    if (lower->kind != SEQUENCE_GRAD) return;
    int given_inputs = lower->interface_->graph->inputs.count; /* behind them those of a cut */
    add_params(fn, out);
    for (int o = 0; o < lower->graph->outputs.count; o++) {
        const GraphPort *port = &lower->graph->outputs.at[o];
        if (port->kind == PORT_INPUT_GRAD && port->of < given_inputs)
            add_input(fn, out, port, lower->schedule->values.at[lower->schedule->outputs.at[o]]);
    }
}
