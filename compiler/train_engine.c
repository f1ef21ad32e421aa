/* What all engines of training have in common: the graphs of both modes, and the layout of the
 * parameters. */
#include "train_engine.h"

#include <string.h>

#include "gradient.h"
#include "run_data.h"

/* Sizes and axes belong to the model, not to the mode; parameters too. */
static bool same_params(const Graph *a, const Graph *b) {
    bool same = a->params.count == b->params.count;
    for (int i = 0; same && i < a->params.count; i++)
        same = strcmp(a->params.at[i].name, b->params.at[i].name) == 0 &&
               shape_equal(a->params.at[i].shape, b->params.at[i].shape);
    return same;
}

static Graph *eval_graph(Compilation *c) {
    Diags *diags = diags_new(c->arena);
    Graph *graph = sema_graph(c->program, c->model, MODE_EVAL, diags);
    bool good = graph && graph_verify(graph, "sema", diags) &&
                schedule_causal(c->arena, graph, diags) && diags->errors == 0;
    for (int i = 0; !good && i < diags->list.count; i++) {
        const Diag *diag = diags->list.at[i];
        if (diag->kind == DIAG_ERROR)
            diag_error(c->diags, diag->code, diag->span, "%s", diag->message);
    }
    if (!good) return NULL;
    if (!same_params(c->graph, graph)) {
        diag_error(c->diags, "internal", (Span){0}, "the modes of %s have other parameters",
                   graph->model);
        return NULL;
    }
    return graph;
}

/* Losses become outputs, so that batches can be put together whatever they count. */
static void losses_as_outputs(TrainEngine *engine, Graph *written) {
    Arena *arena = engine->c->arena;
    bool *batched = ARENA_ARRAY(arena, written->nodes.count + 1, bool);
    Graph *graph = engine->eval = gradient_with_losses(written);
    graph_batched(written, batched);
    for (int o = written->outputs.count; o < graph->outputs.count; o++) {
        GraphPort *port = &graph->outputs.at[o];
        TrainLoss loss = {.sum = o, .per = -1, .whole = !batched[port->node], .span = port->span};
        if (port->kind == PORT_LOSS)
            vec_push(arena, &engine->losses, loss);
        else
            engine->losses.at[engine->losses.count - 1].per = o;
        port->kind = PORT_MODEL;
    }
    memset(&graph->losses, 0, sizeof graph->losses);
}

bool train_engine_loss(TrainEngine *engine, const double *sums, const double *pers, double *loss) {
    *loss = 0;
    for (int i = 0; i < engine->losses.count; i++) {
        const TrainLoss *one = &engine->losses.at[i];
        bool summed = engine->c->options->reduce_sum && one->per < 0 && !one->whole;
        if (pers[i] == 0) {
            diag_error(engine->c->diags, "E-RUN", one->span, "the divisor of a loss is 0");
            return false;
        }
        *loss += summed ? sums[i] : sums[i] / pers[i];
    }
    return true;
}

static void list_variables(TrainEngine *engine) {
    RunData data = {.arena = engine->c->arena, .c = engine->c, .graph = engine->train};
    run_graph_states(&data);
    for (int i = 0; i < data.states.count; i++) {
        const RunState *state = &data.states.at[i];
        TrainVariable variable = {.name = state->name,
                                  .dtype = engine->real,
                                  .lags = state->lags,
                                  .count = shape_count(state->shape)};
        if (state->dtype == DT_INT) variable.dtype = RT_I32;
        if (state->dtype == DT_BOOL) variable.dtype = RT_BOOL;
        if (state->position) variable.dtype = RT_I64;
        vec_push(engine->c->arena, &engine->variables, variable);
    }
}

int64_t train_variable_elements(const TrainVariable *variable, int64_t batch) {
    return variable->lags * batch * variable->count;
}

TrainEngine *train_engine_open(Compilation *c, ExitStatus *status) {
    TrainEngine *engine = ARENA_NEW(c->arena, TrainEngine);
    engine->kind = c->options->backend == RUN_INTERP ? &train_interp : &train_c;
    engine->c = c;
    engine->train = c->graph;
    engine->real = c->options->real == LT_F64 ? RT_F64 : RT_F32;
    *status = EXIT_INPUT;
    if (engine->train->losses.count == 0) {
        diag_error(c->diags, "E-TRAIN", (Span){0}, "model %s has no loss", engine->train->model);
        return NULL;
    }
    Graph *eval = eval_graph(c);
    if (!eval) return NULL;
    losses_as_outputs(engine, eval);
    for (int i = 0; i < engine->train->params.count; i++) {
        vec_push(c->arena, &engine->param_offsets, engine->param_count);
        engine->param_count += shape_count(engine->train->params.at[i].shape);
    }
    engine->eval_axis = ARENA_ARRAY(c->arena, engine->eval->axes.count, int);
    for (int a = 0; a < engine->eval->axes.count; a++) {
        engine->eval_axis[a] = -1;
        for (int k = 0; k < engine->train->axes.count; k++)
            if (strcmp(engine->train->axes.at[k].name, engine->eval->axes.at[a].name) == 0)
                engine->eval_axis[a] = k;
    }
    list_variables(engine);
    return engine->kind->open(engine, status) ? engine : NULL;
}
