/* `rnnc run` and `rnnc grad`: the order of things, and the results as files. */
#define _XOPEN_SOURCE 700

#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run_data.h"

/* ---- Extents and positions ---- */

static int axis_of(const RunData *data, int index) {
    return data->graph->indices.at[index].axis;
}

int64_t run_count(RunData *data, int index_count, const int *indices, const int64_t *extent,
                  Shape shape) {
    int64_t count = shape_count(shape);
    bool fits = !__builtin_mul_overflow(count, data->batch, &count);
    for (int k = 0; k < index_count; k++)
        fits = fits && !__builtin_mul_overflow(count, extent[axis_of(data, indices[k])], &count);
    if (!fits) arena_exhausted(data->arena);
    return count;
}

void run_copy(const RunData *data, const GraphPort *port, const double *from,
              const int64_t *from_extent, double *to, const int64_t *to_extent) {
    int64_t row = shape_count(port->type.shape) * data->batch, at[MAX_DOMAIN] = {0};
    for (int k = 0; k < port->index_count; k++) {
        int a = axis_of(data, port->indices[k]);
        if (from_extent[a] == 0 || to_extent[a] == 0) return;
    }
    for (;;) {
        int64_t source = 0, target = 0;
        for (int k = 0; k < port->index_count; k++) {
            int a = axis_of(data, port->indices[k]);
            source = source * from_extent[a] + at[k];
            target = target * to_extent[a] + at[k];
        }
        memcpy(to + target * row, from + source * row, (size_t)row * sizeof *to);
        int k = port->index_count - 1;
        for (; k >= 0; k--) {
            int a = axis_of(data, port->indices[k]);
            if (++at[k] < from_extent[a] && at[k] < to_extent[a]) break;
            at[k] = 0;
        }
        if (k < 0) return;
    }
}

int64_t *run_longest(const RunData *data, int64_t *const *lengths) {
    const Graph *graph = data->graph;
    int64_t *longest = ARENA_ARRAY(data->arena, graph->axes.count, int64_t);
    for (int a = 0; a < graph->axes.count; a++) {
        if (lengths[a])
            for (int64_t b = 0; b < data->batch; b++)
                longest[a] = lengths[a][b] > longest[a] ? lengths[a][b] : longest[a];
        else
            longest[a] = data->extent[a];
    }
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *axis = &graph->axes.at[a];
        if (axis->kind == AXIS_SLOW && !lengths[a])
            longest[a] =
                longest[axis->base] / axis->every + (longest[axis->base] % axis->every != 0);
    }
    return longest;
}

/* ---- What is asked for ---- */

static int find_output(const Graph *graph, const char *name) {
    for (int i = 0; i < graph->outputs.count; i++)
        if (strcmp(graph->outputs.at[i].name, name) == 0) return i;
    return -1;
}

static int find_axis(const Graph *graph, const char *name) {
    for (int a = 0; a < graph->axes.count; a++)
        if (strcmp(graph->axes.at[a].name, name) == 0) return a;
    return -1;
}

/* Whether an array of this port has dimensions that a file can have; E-TENSOR if not. */
static bool rank_fits(RunData *data, const GraphPort *port, bool batched) {
    int rank = port->index_count + batched + port->type.shape.rank;
    if (rank <= RT_MAX_RANK) return true;
    diag_error(data->c->diags, "E-TENSOR", (Span){0},
               "%s has %d dimensions%s when a file may have at most %d", port->name, rank,
               batched ? " with that of the batch" : "", RT_MAX_RANK);
    return false;
}

/* Before anything is read: the names of --out and --out-lengths, and whether there is a loss. */
static bool check_names(RunData *data) {
    const Options *o = data->c->options;
    Diags *diags = data->c->diags;
    for (int i = 0; i < o->out_tensors.count; i++)
        if (find_output(data->graph, o->out_tensors.at[i].name) < 0)
            diag_error(diags, "E-TENSOR", (Span){0}, "--out: model %s has no output %s",
                       data->graph->model, o->out_tensors.at[i].name);
    for (int i = 0; i < o->out_lengths.count; i++)
        if (find_axis(data->graph, o->out_lengths.at[i].name) < 0)
            diag_error(diags, "E-TENSOR", (Span){0}, "--out-lengths: model %s has no time axis %s",
                       data->graph->model, o->out_lengths.at[i].name);
    for (int i = 0; i < o->out_tensors.count; i++) {
        int slot = find_output(data->graph, o->out_tensors.at[i].name);
        if (slot >= 0) (void)rank_fits(data, &data->graph->outputs.at[slot], false);
    }
    if (o->loss && data->graph->losses.count == 0)
        diag_error(diags, "E-TENSOR", (Span){0}, "--loss: model %s has no loss",
                   data->graph->model);
    if (o->command == COMMAND_GRAD && data->graph->losses.count == 0 && !o->upstream.count)
        diag_error(diags, "E-TENSOR", (Span){0},
                   "model %s has no loss: --upstream NAME=FILE gives the gradient of an output to "
                   "start from",
                   data->graph->model);
    return diags->errors == 0;
}

/* Once the batch is known: whether what is asked for can be written. */
static bool check_ranks(RunData *data) {
    const Options *o = data->c->options;
    bool good = true;
    for (int i = 0; data->batched && i < o->out_tensors.count; i++) {
        int slot = find_output(data->graph, o->out_tensors.at[i].name);
        good = rank_fits(data, &data->graph->outputs.at[slot], true) && good;
    }
    for (int i = 0; i < data->states.count; i++) {
        const RunState *state = &data->states.at[i];
        int rank = (state->lags > 1) + data->batched + state->shape.rank;
        if (rank <= RT_MAX_RANK || !(o->state_in || o->state_out)) continue;
        diag_error(data->c->diags, "E-TENSOR", (Span){0},
                   "state %s has %d dimensions when a file may have at most %d", state->name, rank,
                   RT_MAX_RANK);
        good = false;
    }
    return good;
}

bool run_read(RunData *data) {
    bool inputs = run_read_inputs(data);
    return run_read_sets(data) && inputs;
}

/* ---- Results ---- */

static void end_bytes(void *what) {
    RunBytes *bytes = what;
    if (bytes->stream) fclose(bytes->stream);
    free(bytes->bytes);
    *bytes = (RunBytes){0};
}

RunBytes *run_bytes(Arena *arena) {
    RunBytes *bytes = ARENA_NEW(arena, RunBytes);
    arena_own(arena, end_bytes, bytes);
    bytes->stream = open_memstream(&bytes->bytes, &bytes->size);
    return bytes;
}

bool run_bytes_close(RunBytes *bytes) {
    FILE *stream = bytes->stream;
    bytes->stream = NULL;
    return stream && fclose(stream) == 0;
}

/* Adds a tensor as .npy to the outputs. */
static bool add_npy(RunData *data, Outputs *outputs, const char *path, RtDtype dtype, int rank,
                    const int64_t *shape, const double *values) {
    RtTensor tensor;
    RunBytes *out = run_bytes(data->arena);
    char error[512] = "no memory left";
    bool good = rt_tensor_init(&tensor, NULL, dtype, rank, shape, error, sizeof error) == RT_OK;
    for (size_t i = 0; good && i < tensor.count; i++) {
        if (dtype == RT_F32)
            ((float *)tensor.data)[i] = (float)values[i];
        else if (dtype == RT_F64)
            ((double *)tensor.data)[i] = values[i];
        else if (dtype == RT_BOOL)
            ((unsigned char *)tensor.data)[i] = values[i] != 0;
        else if (values[i] >= -2147483648.0 && values[i] <= 2147483647.0)
            ((int32_t *)tensor.data)[i] = (int32_t)values[i];
        else {
            snprintf(error, sizeof error, "%s: %.17g does not fit into int32", path, values[i]);
            good = false;
        }
    }
    good = good && out->stream &&
           rt_npy_write_stream(out->stream, path, &tensor, error, sizeof error) == RT_OK;
    good = run_bytes_close(out) && good;
    rt_tensor_free(&tensor);
    if (good)
        output_add(outputs, path, out->bytes, out->size);
    else
        text_printf(&data->c->log, "rnnc: error: %s\n", error);
    return good;
}

/* Puts the batch in front of the positions. */
static const double *turn(RunData *data, const double *values, int64_t positions, int64_t count) {
    double *turned = ARENA_ARRAY(data->arena, positions * data->batch * count, double);
    for (int64_t p = 0; p < positions; p++)
        for (int64_t b = 0; b < data->batch; b++)
            memcpy(turned + (b * positions + p) * count, values + (p * data->batch + b) * count,
                   (size_t)count * sizeof *values);
    return turned;
}

int run_file_shape(RunData *data, const GraphPort *port, int64_t *shape, const double **values) {
    bool batch_first = data->c->options->batch_first;
    int64_t positions = 1;
    int rank = 0;
    if (data->batched && batch_first) shape[rank++] = data->batch;
    for (int k = 0; k < port->index_count; k++) {
        shape[rank++] = data->extent[axis_of(data, port->indices[k])];
        positions *= shape[rank - 1];
    }
    if (data->batched && !batch_first) shape[rank++] = data->batch;
    for (int k = 0; k < port->type.shape.rank; k++) shape[rank++] = port->type.shape.dim[k];
    if (data->batched && batch_first)
        *values = turn(data, *values, positions, shape_count(port->type.shape));
    return rank;
}

static bool add_output(RunData *data, Outputs *outputs, const Named *option) {
    int slot = find_output(data->graph, option->name);
    const GraphPort *port = &data->graph->outputs.at[slot];
    int64_t shape[MAX_RANK + 1 + MAX_DOMAIN] = {0};
    const double *values = data->outputs[slot];
    int rank = run_file_shape(data, port, shape, &values);
    RtDtype dtype = data->c->options->real == LT_F64 ? RT_F64 : RT_F32;
    if (port->type.dtype == DT_INT) dtype = RT_I32;
    if (port->type.dtype == DT_BOOL) dtype = RT_BOOL;
    return add_npy(data, outputs, option->value, dtype, rank, shape, values);
}

static bool add_lengths(RunData *data, Outputs *outputs, const Named *option) {
    const Axis *axis = &data->graph->axes.at[find_axis(data->graph, option->name)];
    int a = find_axis(data->graph, option->name);
    double *values = ARENA_ARRAY(data->arena, data->batch, double);
    for (int64_t b = 0; b < data->batch; b++) {
        int base = axis->kind == AXIS_SLOW && !data->found[a] ? axis->base : a;
        int64_t length = data->found[base] ? data->found[base][b] : data->extent[base];
        if (base != a) length = length / axis->every + (length % axis->every != 0);
        values[b] = (double)length;
    }
    return add_npy(data, outputs, option->value, RT_I32, data->batched, &data->batch, values);
}

static bool add_results(RunData *data, Outputs *outputs) {
    const Options *o = data->c->options;
    bool good = true;
    for (int i = 0; good && i < o->out_tensors.count; i++)
        good = add_output(data, outputs, &o->out_tensors.at[i]);
    for (int i = 0; good && i < o->out_lengths.count; i++)
        good = add_lengths(data, outputs, &o->out_lengths.at[i]);
    if (good && o->loss)
        good = add_npy(data, outputs, o->loss, o->real == LT_F64 ? RT_F64 : RT_F32, 0, NULL,
                       &data->loss);
    if (good && o->state_out) {
        const char *bytes;
        size_t size;
        good = run_state_bytes(data, &bytes, &size);
        if (good) output_add(outputs, o->state_out, bytes, size);
    }
    for (int of_inputs = 0; of_inputs < 2; of_inputs++) {
        const char *bytes, *path = of_inputs ? o->in_grads : o->grads;
        size_t size;
        if (!good || !path) continue;
        good = run_grads_bytes(data, of_inputs, &bytes, &size);
        if (good) output_add(outputs, path, bytes, size);
    }
    return good;
}

/* ---- The order of things ---- */

ExitStatus run_model(Compilation *c, Outputs *outputs) {
    bool interp = c->options->backend == RUN_INTERP;
    ExitStatus status = EXIT_INPUT;
    if (!compilation_run(c, interp ? STAGE_GRAPH : STAGE_LOOP)) return EXIT_INPUT;
    RunData data = {.arena = c->arena, .c = c, .graph = c->graph};
    data.load_state = c->options->state_in != NULL;
    data.keep_state = c->options->state_out != NULL;
    run_graph_states(&data);
    if (!check_names(&data)) return EXIT_INPUT;
    if (!run_read(&data) || !check_ranks(&data)) return EXIT_INPUT;
    if (interp ? !run_interp(&data, &status) : !run_c(&data, &status)) return status;
    if (interp && c->options->command == COMMAND_GRAD && !run_gradients(&data, &status)) return status;
    return add_results(&data, outputs) ? EXIT_DONE : EXIT_OUTSIDE;
}
