/* `rnnc grad` by the interpreter: the gradients of the parameters and of the inputs that were
 * given, from the losses and from upstream gradients of outputs. */
#include "gradient.h"

#include <stdio.h>
#include <string.h>

#include "run_data.h"

bool run_grad_wanted(const RunData *data, int input) {
    const GraphPort *port = &data->graph->inputs.at[input];
    const Options *o = data->c->options;
    bool given = false;
    for (int k = 0; k < o->in.count; k++)
        given = given || strcmp(o->in.at[k].name, port->name) == 0;
    return ((o->in_grads && given) || data->all_in_grads) && data->inputs[input] &&
           port->type.dtype == DT_FLOAT;
}

/* Which gradients are wanted, and from where. */
static AdjointOptions wanted(RunData *data) {
    const Graph *graph = data->graph;
    const Options *o = data->c->options;
    bool *upstream = ARENA_ARRAY(data->arena, graph->outputs.count, bool);
    bool *of_inputs = ARENA_ARRAY(data->arena, graph->inputs.count, bool);
    for (int i = 0; i < graph->outputs.count; i++) upstream[i] = data->upstream[i] != NULL;
    for (int i = 0; i < graph->inputs.count; i++) of_inputs[i] = run_grad_wanted(data, i);
    return (AdjointOptions){.losses = graph->losses.count > 0,
                            .reduce_sum = o->reduce_sum,
                            .upstream = upstream,
                            .of_inputs = of_inputs,
                            .of_params = o->grads != NULL};
}

static const double *result_of(const Gradient *gradient, const InterpResult *result, PortKind kind,
                               int of, const GraphPort **port) {
    for (int i = 0; i < gradient->graph->outputs.count; i++) {
        *port = &gradient->graph->outputs.at[i];
        if ((*port)->kind == kind && (*port)->of == of) return result->outputs[i];
    }
    return NULL;
}

static void take_gradients(RunData *data, const Gradient *gradient, const InterpResult *result) {
    const Graph *graph = data->graph;
    const Options *o = data->c->options;
    int64_t *reached = run_longest(data, result->lengths);
    const GraphPort *from;
    data->grads = ARENA_ARRAY(data->arena, graph->params.count, double *);
    data->in_grads = ARENA_ARRAY(data->arena, graph->inputs.count, double *);
    for (int i = 0; o->grads && i < graph->params.count; i++) {
        const GraphParam *param = &graph->params.at[i];
        const double *values = result_of(gradient, result, PORT_PARAM_GRAD, i, &from);
        int64_t count = shape_count(param->shape);
        data->grads[i] = ARENA_ARRAY(data->arena, count, double);
        if (values) memcpy(data->grads[i], values, (size_t)count * sizeof *values);
    }
    for (int i = 0; o->in_grads && i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        if (!run_grad_wanted(data, i)) continue;
        const double *values = result_of(gradient, result, PORT_INPUT_GRAD, i, &from);
        data->in_grads[i] = ARENA_ARRAY(
            data->arena,
            run_count(data, port->index_count, port->indices, data->extent, port->type.shape),
            double);
        if (values) run_copy(data, from, values, reached, data->in_grads[i], data->extent);
    }
}

bool run_gradients(RunData *data, ExitStatus *status) {
    const Graph *graph = data->graph;
    Gradient gradient;
    AdjointOptions how = wanted(data);
    if (!gradient_build(graph, &how, data->c->options->verify_each, &gradient, data->c->diags))
        return false;
    InterpCall call = run_interp_call(data);
    int64_t *longest = run_longest(data, data->lengths);
    double **upstream = ARENA_ARRAY(data->arena, graph->outputs.count, double *);
    for (int i = 0; i < graph->outputs.count; i++)
        if (data->upstream[i])
            upstream[i] = run_cut(data, &graph->outputs.at[i], data->upstream[i], longest);
    call.want_state = false;
    InterpResult *result = gradient_interpret(data->arena, &gradient, &call, upstream);
    if (run_interp_refused(data, result, status)) return false;
    take_gradients(data, &gradient, result);
    return true;
}

static RtStatus add_tensor(RunData *data, RtTensorSet *set, const char *name, int rank,
                           const int64_t *shape, const double *values, char *error, size_t size) {
    RtTensor tensor;
    bool wide = data->c->options->real == LT_F64;
    RtStatus status =
        rt_tensor_init(&tensor, name, wide ? RT_F64 : RT_F32, rank, shape, error, size);
    if (status != RT_OK) return status;
    for (size_t i = 0; i < tensor.count; i++) {
        if (wide)
            ((double *)tensor.data)[i] = values[i];
        else
            ((float *)tensor.data)[i] = (float)values[i];
    }
    status = rt_set_add(set, &tensor, error, size);
    if (status != RT_OK) rt_tensor_free(&tensor);
    return status;
}

static RtStatus fill_set(RunData *data, bool of_inputs, RtTensorSet *set, char *error,
                         size_t size) {
    const Graph *graph = data->graph;
    RtStatus status = RT_OK;
    for (int i = 0; !of_inputs && status == RT_OK && i < graph->params.count; i++) {
        const GraphParam *param = &graph->params.at[i];
        status = add_tensor(data, set, param->name, param->shape.rank, param->shape.dim,
                            data->grads[i], error, size);
    }
    for (int i = 0; of_inputs && status == RT_OK && i < graph->inputs.count; i++) {
        int64_t shape[MAX_RANK + 1 + MAX_DOMAIN] = {0};
        const double *values = data->in_grads[i];
        if (!values) continue;
        int rank = run_file_shape(data, &graph->inputs.at[i], shape, &values);
        status = add_tensor(data, set, graph->inputs.at[i].name, rank, shape, values, error, size);
    }
    return status;
}

bool run_grads_bytes(RunData *data, bool of_inputs, const char **bytes, size_t *size) {
    RtTensorSet *set = run_set(data->arena);
    RunBytes *out = run_bytes(data->arena);
    char error[512] = "no memory left";
    bool good =
        out->stream && fill_set(data, of_inputs, set, error, sizeof error) == RT_OK &&
        rt_safetensors_write_stream(out->stream, "gradients", set, error, sizeof error) == RT_OK;
    good = run_bytes_close(out) && good;
    rt_set_free(set);
    *bytes = out->bytes;
    *size = out->size;
    if (!good)
        text_printf(&data->c->log, "rnnc: error: %s: %s\n", of_inputs ? "--in-grads" : "--grads",
                    error);
    return good;
}
