/* `rnnc run --backend=interp`: the equations as they are, without passes. */
#include "graph/interpret.h"

#include <string.h>

#include "run_data.h"

double *run_cut(RunData *data, const GraphPort *port, const double *values,
                const int64_t *longest) {
    int64_t count = run_count(data, port->index_count, port->indices, longest, port->type.shape);
    double *cut = ARENA_ARRAY(data->arena, count, double);
    run_copy(data, port, values, data->extent, cut, longest);
    return cut;
}

/* The inputs cut to the longest sequence, as the interpreter wants them. */
static const double **cut_inputs(RunData *data) {
    const Graph *graph = data->graph;
    const int64_t *longest = run_longest(data, data->lengths);
    const double **cut = ARENA_ARRAY(data->arena, graph->inputs.count, const double *);
    for (int i = 0; i < graph->inputs.count; i++)
        if (data->inputs[i]) cut[i] = run_cut(data, &graph->inputs.at[i], data->inputs[i], longest);
    return cut;
}

static InterpState *states_in(RunData *data, Names *names) {
    InterpState *states = ARENA_ARRAY(data->arena, data->states.count, InterpState);
    for (int i = 0; i < data->states.count; i++) {
        const RunState *state = &data->states.at[i];
        states[i] = (InterpState){.name = name_of(names, state->name),
                                  .lags = state->lags,
                                  .count = shape_count(state->shape),
                                  .values = state->values};
    }
    return states;
}

static bool take_states(RunData *data, const InterpResult *result) {
    data->state_out = ARENA_ARRAY(data->arena, data->states.count, double *);
    for (int i = 0; i < data->states.count; i++) {
        for (int k = 0; k < result->state_count; k++)
            if (strcmp(data->states.at[i].name, result->state[k].name) == 0)
                data->state_out[i] = result->state[k].values;
        if (data->state_out[i]) continue;
        diag_error(data->c->diags, "internal", (Span){0}, "the interpreter left no state %s",
                   data->states.at[i].name);
        return false;
    }
    return true;
}

bool run_interp_refused(RunData *data, const InterpResult *result, ExitStatus *status) {
    switch (result->status) {
    case INTERP_OK: return false;
    case INTERP_CYCLE:
        diag_error(data->c->diags, "internal", result->span, "%s", result->message);
        break;
    case INTERP_MEMORY:
        text_printf(&data->c->log, "rnnc: error: %s\n", result->message);
        *status = EXIT_OUTSIDE;
        break;
    case INTERP_LENGTH:
    case INTERP_VALUE:
    case INTERP_PER:
    case INTERP_MISSING:
        diag_error(data->c->diags, "E-RUN", result->span, "%s", result->message);
        break;
    }
    return true;
}

InterpCall run_interp_call(RunData *data) {
    const Options *o = data->c->options;
    return (InterpCall){.single = o->real == LT_F32,
                        .reduce_sum = o->reduce_sum,
                        .batch = data->batch,
                        .lengths = data->lengths,
                        .inputs = cut_inputs(data),
                        .params = (const double **)data->params,
                        .seed = o->seed,
                        .state = data->load_state ? states_in(data, data->c->names) : NULL,
                        .state_count = data->load_state ? data->states.count : 0,
                        .want_state = data->keep_state};
}

bool run_interp(RunData *data, ExitStatus *status) {
    const Graph *graph = data->graph;
    InterpCall call = run_interp_call(data);
    /* First of all the results' memory: an absurd length should not take hours to fail. */
    data->outputs = ARENA_ARRAY(data->arena, graph->outputs.count, double *);
    for (int i = 0; i < graph->outputs.count; i++) {
        const GraphPort *port = &graph->outputs.at[i];
        int64_t count =
            run_count(data, port->index_count, port->indices, data->extent, port->type.shape);
        data->outputs[i] = ARENA_ARRAY(data->arena, count, double);
    }
    InterpResult *result = interpret(data->arena, graph, &call);
    if (run_interp_refused(data, result, status)) return false;
    data->found = result->lengths;
    data->loss = result->loss;
    int64_t *reached = run_longest(data, result->lengths);
    for (int i = 0; i < graph->outputs.count; i++) {
        const GraphPort *port = &graph->outputs.at[i];
        run_copy(data, port, result->outputs[i], reached, data->outputs[i], data->extent);
    }
    return !data->keep_state || take_states(data, result);
}
