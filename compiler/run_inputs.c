/* The inputs and lengths of `rnnc run`, and the upstream gradients of `rnnc grad`: ranks decide
 * whether the call is one sequence or a batch, extents of arrays give lengths, and all that does
 * not fit is listed at once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run_data.h"

typedef struct Given {
    const Named *option;
    bool upstream; /* of an output, whose extents are those of the inputs */
    int slot;
    const GraphPort *port;
    const char *label; /* in messages */
    RtTensor tensor;
    bool good, batched;
} Given;

typedef struct Inputs {
    RunData *data;
    Given *in;
    int in_count;
    RtTensor *length_tensors; /* [--lengths], for files */
    int64_t *length_numbers;  /* [--lengths]: N, or -1 */
    int *length_axes;         /* [--lengths]: axis */
    Diag *problem;
} Inputs;

/* One error for all inputs, one note for each thing that is wrong. */
static void wrong(Inputs *inputs, const char *text) {
    Diags *diags = inputs->data->c->diags;
    if (!inputs->problem)
        inputs->problem = diag_error(diags, "E-TENSOR", (Span){0}, "the inputs do not fit model %s",
                                     inputs->data->graph->model);
    diag_note(diags, inputs->problem, (Span){0}, "%s", text);
}

static const char *axis_name(const RunData *data, int index) {
    return data->graph->axes.at[data->graph->indices.at[index].axis].name;
}

/* "[t, batch, 3]": what a file should hold. */
static const char *wanted_shape(const RunData *data, const GraphPort *port, bool batched) {
    Text text = text_new(data->arena);
    const char *between = "[";
    bool first = data->c->options->batch_first;
    if (batched && first) {
        text_puts(&text, "[batch");
        between = ", ";
    }
    for (int k = 0; k < port->index_count; k++) {
        text_printf(&text, "%s%s", between, axis_name(data, port->indices[k]));
        between = ", ";
    }
    if (batched && !first) {
        text_printf(&text, "%sbatch", between);
        between = ", ";
    }
    for (int k = 0; k < port->type.shape.rank; k++) {
        text_printf(&text, "%s%" PRId64, between, port->type.shape.dim[k]);
        between = ", ";
    }
    text_puts(&text, *between == '[' ? "[]" : "]");
    return text_string(&text);
}

static const char *shape_text(const RunData *data, const RtTensor *tensor) {
    char text[256];
    return arena_printf(data->arena, "%s",
                        rt_shape_text(tensor->rank, tensor->shape, text, sizeof text));
}

/* Where dim `k` of the positions, the batch, and dim `k` of the shape lie in a file. */
static int position_dim(const RunData *data, bool batched, int k) {
    return k + (batched && data->c->options->batch_first);
}
static int batch_dim(const RunData *data, const GraphPort *port) {
    return data->c->options->batch_first ? 0 : port->index_count;
}
static int shape_dim(const GraphPort *port, bool batched, int k) {
    return port->index_count + batched + k;
}

static bool read_npy(RunData *data, const char *path, RtTensor *tensor, const char **why) {
    char error[512];
    RtStatus status = strcmp(path, "-") == 0
                          ? rt_npy_read_stream(stdin, "standard input", tensor, error, sizeof error)
                          : rt_npy_read(path, tensor, error, sizeof error);
    if (status == RT_OK) return true;
    if (status == RT_ERR_NOMEM) arena_exhausted(data->arena);
    *why = arena_printf(data->arena, "%s", error);
    return false;
}

/* The inputs, or the outputs. */
static const GraphPort *ports(const Graph *graph, bool outputs, int *count) {
    *count = outputs ? graph->outputs.count : graph->inputs.count;
    return outputs ? graph->outputs.at : graph->inputs.at;
}

static const char *dtype_wanted(const GraphPort *port) {
    switch (port->type.dtype) {
    case DT_FLOAT: return "floating numbers";
    case DT_INT: return "int32 or int64";
    case DT_BOOL: return "bool";
    }
    return "";
}

static bool dtype_fits(const GraphPort *port, RtDtype dtype) {
    switch (port->type.dtype) {
    case DT_FLOAT: return !rt_dtype_is_integer(dtype);
    case DT_INT: return dtype == RT_I32 || dtype == RT_I64;
    case DT_BOOL: return dtype == RT_BOOL;
    }
    return false;
}

/* Type, rank and fixed dims of one input; its rank votes for a batch or against. */
static void check_alone(Inputs *inputs, Given *given) {
    RunData *data = inputs->data;
    const GraphPort *port = given->port;
    const RtTensor *tensor = &given->tensor;
    int rank = port->index_count + port->type.shape.rank;
    if (given->upstream && port->type.dtype != DT_FLOAT) {
        wrong(inputs, arena_printf(data->arena, "output %s has no gradient: it is %s", port->name,
                                   port->type.dtype == DT_INT ? "int" : "bool"));
        return;
    }
    if (!dtype_fits(port, tensor->dtype)) {
        wrong(inputs, arena_printf(data->arena, "%s holds %s when it should be %s", given->label,
                                   rt_dtype_name(tensor->dtype), dtype_wanted(port)));
        return;
    }
    bool fits = tensor->rank == rank || tensor->rank == rank + 1;
    given->batched = tensor->rank == rank + 1;
    for (int k = 0; fits && k < port->type.shape.rank; k++)
        fits = tensor->shape[shape_dim(port, given->batched, k)] == port->type.shape.dim[k];
    if (!fits) {
        wrong(inputs,
              arena_printf(data->arena, "%s has shape %s when it should be %s, or %s for a batch",
                           given->label, shape_text(data, tensor), wanted_shape(data, port, false),
                           wanted_shape(data, port, true)));
        return;
    }
    if (tensor->dtype == RT_F64 && data->c->options->real == LT_F32)
        text_printf(&data->c->log, "rnnc: note: %s holds float64 and is rounded to float32\n",
                    given->label);
    given->good = true;
}

static void read_given(Inputs *inputs, Given *given, const Named *option, bool upstream) {
    RunData *data = inputs->data;
    int count;
    const GraphPort *port = ports(data->graph, upstream, &count);
    const char *why;
    *given = (Given){.option = option, .upstream = upstream, .slot = -1, .label = option->name};
    if (upstream) given->label = arena_printf(data->arena, "--upstream %s", option->name);
    for (int i = 0; i < count; i++)
        if (strcmp(port[i].name, option->name) == 0) given->slot = i;
    run_own_tensor(data->arena, &given->tensor);
    if (given->slot < 0) {
        wrong(inputs, arena_printf(data->arena, "the model has no %s %s",
                                   upstream ? "output" : "input", option->name));
        return;
    }
    given->port = &port[given->slot];
    if (!read_npy(data, option->value, &given->tensor, &why))
        wrong(inputs, why);
    else
        check_alone(inputs, given);
}

static void read_inputs(Inputs *inputs) {
    RunData *data = inputs->data;
    const NamedList *in = &data->c->options->in, *up = &data->c->options->upstream;
    inputs->in_count = in->count + up->count;
    inputs->in = ARENA_ARRAY(data->arena, inputs->in_count, Given);
    for (int i = 0; i < in->count; i++) read_given(inputs, &inputs->in[i], &in->at[i], false);
    for (int i = 0; i < up->count; i++)
        read_given(inputs, &inputs->in[in->count + i], &up->at[i], true);
    for (int i = 0; i < data->graph->inputs.count; i++) {
        const GraphPort *port = &data->graph->inputs.at[i];
        bool there = port->node < 0 || port->fallback >= 0;
        for (int k = 0; k < in->count; k++) there = there || inputs->in[k].slot == i;
        if (!there)
            wrong(inputs,
                  arena_printf(data->arena, "%s is missing, %s, or %s for a batch", port->name,
                               wanted_shape(data, port, false), wanted_shape(data, port, true)));
    }
}

static int find_axis(const Graph *graph, const char *name) {
    for (int a = 0; a < graph->axes.count; a++)
        if (graph->axes.at[a].kind == AXIS_RUN && strcmp(graph->axes.at[a].name, name) == 0)
            return a;
    return -1;
}

/* `t=12` or `t=FILE`. */
static void read_lengths(Inputs *inputs) {
    RunData *data = inputs->data;
    const NamedList *list = &data->c->options->lengths;
    inputs->length_tensors = ARENA_ARRAY(data->arena, list->count, RtTensor);
    inputs->length_numbers = ARENA_ARRAY(data->arena, list->count, int64_t);
    inputs->length_axes = ARENA_ARRAY(data->arena, list->count, int);
    for (int i = 0; i < list->count; i++) {
        const Named *option = &list->at[i];
        const char *why;
        run_own_tensor(data->arena, &inputs->length_tensors[i]);
        inputs->length_numbers[i] = -1;
        inputs->length_axes[i] = find_axis(data->graph, option->name);
        if (inputs->length_axes[i] < 0) {
            wrong(inputs, arena_printf(data->arena, "the model has no time axis %s", option->name));
        } else if (strspn(option->value, "0123456789") == strlen(option->value)) {
            inputs->length_numbers[i] =
                strlen(option->value) < 16 ? strtoll(option->value, NULL, 10) : INT64_C(1) << 52;
        } else if (!read_npy(data, option->value, &inputs->length_tensors[i], &why)) {
            wrong(inputs, why);
        } else {
            RtTensor *tensor = &inputs->length_tensors[i];
            if ((tensor->dtype != RT_I32 && tensor->dtype != RT_I64) || tensor->rank > 1)
                wrong(inputs,
                      arena_printf(data->arena,
                                   "the lengths of %s are %s %s when they should be int32 or "
                                   "int64, [], or [batch] for a batch",
                                   option->name, rt_dtype_name(tensor->dtype),
                                   shape_text(data, tensor)));
        }
    }
}

/* All tensors must agree on whether there is a batch, and on its size. */
static void decide_batch(Inputs *inputs) {
    RunData *data = inputs->data;
    const char *single = NULL, *batch = NULL, *sized = NULL;
    data->batch = 1;
    for (int i = 0; i < inputs->in_count + data->c->options->lengths.count; i++) {
        const char *name;
        bool batched;
        int64_t size = 1;
        if (i < inputs->in_count) {
            const Given *given = &inputs->in[i];
            if (!given->good) continue;
            name = given->label;
            batched = given->batched;
            if (batched) size = given->tensor.shape[batch_dim(data, given->port)];
        } else {
            int k = i - inputs->in_count;
            const RtTensor *tensor = &inputs->length_tensors[k];
            if (!tensor->data || tensor->rank > 1) continue;
            name = arena_printf(data->arena, "--lengths %s", data->c->options->lengths.at[k].name);
            batched = tensor->rank == 1;
            if (batched) size = tensor->shape[0];
        }
        if (batched && sized && size != data->batch)
            wrong(inputs,
                  arena_printf(data->arena, "%s has %" PRId64 " sequences when %s has %" PRId64,
                               name, size, sized, data->batch));
        if (batched && !sized) {
            data->batch = size;
            sized = name;
        }
        if (batched)
            batch = name;
        else
            single = name;
    }
    data->batched = batch != NULL;
    if (batch && single)
        wrong(inputs,
              arena_printf(data->arena, "%s is a batch when %s is one sequence", batch, single));
    if (data->batched && data->batch < 1) wrong(inputs, "the batch is empty");
}

static int64_t slow_length(const Axis *axis, int64_t base) {
    return base / axis->every + (base % axis->every != 0);
}

/* The extents that the files give to an axis; they must agree. */
static void measure_axes(Inputs *inputs) {
    RunData *data = inputs->data;
    const Graph *graph = data->graph;
    const char **from = ARENA_ARRAY(data->arena, graph->axes.count, const char *);
    for (int a = 0; a < graph->axes.count; a++) {
        data->extent[a] = graph->axes.at[a].fixed > 0 ? graph->axes.at[a].fixed : -1;
        if (data->extent[a] > 0) from[a] = "the source";
    }
    for (int i = 0; i < inputs->in_count; i++) {
        const Given *given = &inputs->in[i];
        if (!given->good || given->upstream) continue;
        const GraphPort *port = given->port;
        for (int k = 0; k < port->index_count; k++) {
            int a = graph->indices.at[port->indices[k]].axis;
            int64_t extent = given->tensor.shape[position_dim(data, given->batched, k)];
            /* An input that is not read says nothing about what is generated. */
            if (graph->axes.at[a].kind == AXIS_SLOW || graph->axes.at[a].generated) continue;
            if (from[a] && data->extent[a] != extent)
                wrong(inputs,
                      arena_printf(
                          data->arena, "%s has %" PRId64 " positions on %s when %s has %" PRId64,
                          port->name, extent, graph->axes.at[a].name, from[a], data->extent[a]));
            if (from[a]) continue;
            data->extent[a] = extent;
            from[a] = port->name;
        }
    }
}

static bool axis_used(const Graph *graph, int axis) {
    bool used = false;
    for (int i = 0; i < graph->outputs.count; i++)
        for (int k = 0; k < graph->outputs.at[i].index_count; k++) {
            int a = graph->indices.at[graph->outputs.at[i].indices[k]].axis;
            used = used || a == axis ||
                   (graph->axes.at[a].kind == AXIS_SLOW && graph->axes.at[a].base == axis);
        }
    for (int i = 0; i < graph->stops.count; i++) used = used || graph->stops.at[i].axis == axis;
    return used;
}

/* The lengths of each sequence on each axis, from --lengths, the files, or the source. */
static void set_lengths(Inputs *inputs) {
    RunData *data = inputs->data;
    const Graph *graph = data->graph;
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *axis = &graph->axes.at[a];
        if (axis->kind == AXIS_SLOW) continue;
        int option = -1;
        for (int i = 0; i < data->c->options->lengths.count; i++)
            if (inputs->length_axes[i] == a) option = i;
        if (option < 0 && axis->generated && axis->most > 0) data->extent[a] = axis->most;
        if (option < 0 && data->extent[a] < 0) {
            if (axis_used(graph, a))
                wrong(inputs,
                      arena_printf(data->arena, "the length of %s is missing: --lengths %s=N",
                                   axis->name, axis->name));
            data->extent[a] = 0;
        }
        if (axis->fixed > 0 && option < 0) continue;
        data->lengths[a] = ARENA_ARRAY(data->arena, data->batch, int64_t);
        int64_t *values = ARENA_ARRAY(data->arena, data->batch, int64_t), most = 0;
        for (int64_t b = 0; b < data->batch; b++) values[b] = data->extent[a];
        if (option >= 0 && inputs->length_numbers[option] >= 0)
            for (int64_t b = 0; b < data->batch; b++) values[b] = inputs->length_numbers[option];
        else if (option >= 0 && inputs->length_tensors[option].count == (size_t)data->batch)
            (void)rt_tensor_to_i64(&inputs->length_tensors[option], values, NULL, 0);
        for (int64_t b = 0; b < data->batch; b++) {
            int64_t bound =
                axis->generated || data->extent[a] < 0 ? INT64_C(1) << 40 : data->extent[a];
            if (axis->most > 0 && axis->most < bound) bound = axis->most;
            if (values[b] < 0 || values[b] > bound)
                wrong(inputs, arena_printf(data->arena,
                                           "%s has length %" PRId64 " in sequence %" PRId64
                                           " when it may have 0 to %" PRId64,
                                           axis->name, values[b], b, bound));
            else if (values[b] > most)
                most = values[b];
            data->lengths[a][b] = values[b];
        }
        if (axis->generated || data->extent[a] < 0) data->extent[a] = most;
    }
    for (int a = 0; a < graph->axes.count; a++)
        if (graph->axes.at[a].kind == AXIS_SLOW)
            data->extent[a] = slow_length(&graph->axes.at[a], data->extent[graph->axes.at[a].base]);
}

/* Inputs on slower axes, and upstream gradients: now their numbers of positions are known. */
static void check_known(Inputs *inputs) {
    RunData *data = inputs->data;
    for (int i = 0; i < inputs->in_count; i++) {
        Given *given = &inputs->in[i];
        if (!given->good) continue;
        const GraphPort *port = given->port;
        for (int k = 0; k < port->index_count; k++) {
            int a = data->graph->indices.at[port->indices[k]].axis;
            int64_t extent = given->tensor.shape[position_dim(data, given->batched, k)];
            bool known = given->upstream || data->graph->axes.at[a].kind == AXIS_SLOW;
            if (known && extent != data->extent[a])
                wrong(inputs, arena_printf(data->arena,
                                           "%s has %" PRId64
                                           " positions on %s when it should have %" PRId64,
                                           given->label, extent, axis_name(data, port->indices[k]),
                                           data->extent[a]));
        }
    }
}

/* The values of a file as doubles, batch behind the positions. */
static void take_values(RunData *data, Given *given) {
    const GraphPort *port = given->port;
    const RtTensor *tensor = &given->tensor;
    double *values = ARENA_ARRAY(data->arena, tensor->count, double);
    double **to = given->upstream ? data->upstream : data->inputs;
    rt_tensor_to_f64(tensor, values);
    to[given->slot] = values;
    if (!data->c->options->batch_first || !given->batched || tensor->count == 0) return;
    int64_t count = shape_count(port->type.shape), batch = data->batch;
    int64_t positions = (int64_t)tensor->count / count / batch;
    double *turned = ARENA_ARRAY(data->arena, tensor->count, double);
    for (int64_t p = 0; p < positions; p++)
        for (int64_t b = 0; b < batch; b++)
            memcpy(turned + (p * batch + b) * count, values + (b * positions + p) * count,
                   (size_t)count * sizeof *values);
    to[given->slot] = turned;
}

bool run_read_inputs(RunData *data) {
    Inputs inputs = {.data = data};
    data->inputs = ARENA_ARRAY(data->arena, data->graph->inputs.count, double *);
    data->upstream = ARENA_ARRAY(data->arena, data->graph->outputs.count, double *);
    data->extent = ARENA_ARRAY(data->arena, data->graph->axes.count, int64_t);
    data->lengths = ARENA_ARRAY(data->arena, data->graph->axes.count, int64_t *);
    read_inputs(&inputs);
    read_lengths(&inputs);
    decide_batch(&inputs);
    if (!inputs.problem) measure_axes(&inputs);
    if (!inputs.problem) set_lengths(&inputs);
    if (!inputs.problem) check_known(&inputs);
    for (int i = 0; i < inputs.in_count; i++) {
        if (!inputs.problem && inputs.in[i].port->node >= 0) take_values(data, &inputs.in[i]);
        rt_tensor_free(&inputs.in[i].tensor);
    }
    for (int i = 0; i < data->c->options->lengths.count; i++)
        rt_tensor_free(&inputs.length_tensors[i]);
    return !inputs.problem;
}
