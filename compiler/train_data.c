/* The sequences of a training run: read as `rnnc run` reads its inputs, kept in the types that the
 * engine takes, put together into batches. */
#include "train_data.h"

#include <inttypes.h>
#include <string.h>

#include "run_data.h"

/* ---- Reading ---- */

static RtDtype dtype_of(const TrainEngine *engine, const GraphPort *port) {
    switch (port->type.dtype) {
    case DT_FLOAT: return engine->real;
    case DT_INT: return RT_I32;
    case DT_BOOL: return RT_BOOL;
    }
    return RT_F32;
}

/* The graph of train mode with the inputs that either mode reads. */
static const Graph *graph_of_both(const TrainEngine *engine) {
    Arena *arena = engine->c->arena;
    Graph *both = arena_copy(arena, engine->train, sizeof *both);
    memset(&both->inputs, 0, sizeof both->inputs);
    for (int i = 0; i < engine->train->inputs.count; i++) {
        GraphPort port = engine->train->inputs.at[i];
        if (port.node < 0 && engine->eval->inputs.at[i].node >= 0) port.node = 0;
        vec_push(arena, &both->inputs, port);
    }
    return both;
}

/* One element of the file's values, in the type of the engine. False: it does not fit. */
static bool store(RtDtype dtype, unsigned char *to, double value) {
    float single = (float)value;
    switch (dtype) {
    case RT_F32: memcpy(to, &single, sizeof single); return true;
    case RT_F64: memcpy(to, &value, sizeof value); return true;
    case RT_I32: {
        if (!(value >= INT32_MIN && value <= INT32_MAX)) return false;
        int32_t whole = (int32_t)value;
        memcpy(to, &whole, sizeof whole);
        return true;
    }
    default: *to = value != 0; return true;
    }
}

/* From [positions, batch, element] of doubles to sequence after sequence. */
static bool take_input(TrainEngine *engine, const RunData *read, int slot, TrainStream *stream) {
    RtDtype dtype = dtype_of(engine, stream->port);
    size_t width = rt_dtype_size(dtype);
    int64_t elements = (int64_t)(stream->bytes / width);
    const double *values = read->inputs[slot];
    stream->at = ARENA_ARRAY(engine->c->arena,
                             (size_t)read->batch * (size_t)stream->positions * stream->bytes + 1,
                             unsigned char);
    for (int64_t p = 0; p < stream->positions; p++)
        for (int64_t b = 0; b < read->batch; b++) {
            unsigned char *to = stream->at + (size_t)(b * stream->positions + p) * stream->bytes;
            const double *from = values + (p * read->batch + b) * elements;
            for (int64_t i = 0; i < elements; i++)
                if (!store(dtype, to + (size_t)i * width, from[i])) {
                    diag_error(engine->c->diags, "E-RUN", (Span){0},
                               "%s holds %.0f in sequence %" PRId64 ", which is out of range",
                               stream->port->name, from[i], b);
                    return false;
                }
        }
    return true;
}

TrainData *train_data_read(TrainEngine *engine) {
    Compilation *c = engine->c;
    Arena *arena = c->arena, *reading = arena_new_in(arena);
    RunData read = {.arena = reading, .c = c, .graph = graph_of_both(engine)};
    bool good = run_read_inputs(&read);
    if (good && !read.batched) {
        diag_error(c->diags, "E-TENSOR", (Span){0},
                   "the inputs are one sequence when training takes a batch: every tensor needs "
                   "an axis of all sequences");
        good = false;
    }
    TrainData *data = ARENA_NEW(arena, TrainData);
    data->graph = engine->train;
    data->count = read.batch;
    int axes = engine->train->axes.count;
    data->lengths = ARENA_ARRAY(arena, axes + 1, int64_t *);
    if (good) data->extent = arena_copy(arena, read.extent, (size_t)axes * sizeof *read.extent);
    for (int a = 0; good && a < axes; a++)
        if (read.lengths[a])
            data->lengths[a] =
                arena_copy(arena, read.lengths[a], (size_t)read.batch * sizeof **read.lengths);
    data->inputs = ARENA_ARRAY(arena, engine->train->inputs.count + 1, TrainStream);
    for (int i = 0; good && i < engine->train->inputs.count; i++) {
        TrainStream *stream = &data->inputs[i];
        stream->port = &engine->train->inputs.at[i];
        stream->bytes = (size_t)shape_count(stream->port->type.shape) *
                        rt_dtype_size(dtype_of(engine, stream->port));
        stream->positions = 1;
        for (int k = 0; k < stream->port->index_count; k++)
            stream->positions *=
                data->extent[engine->train->indices.at[stream->port->indices[k]].axis];
        if (read.inputs[i]) good = take_input(engine, &read, i, stream);
    }
    arena_free(reading);
    return good ? data : NULL;
}

/* ---- Batches ---- */

TrainGather *train_gather_new(Arena *arena, const TrainData *data, int64_t batch) {
    const Graph *graph = data->graph;
    TrainGather *gather = ARENA_NEW(arena, TrainGather);
    gather->extent = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t);
    gather->lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    gather->inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, void *);
    for (int a = 0; a < graph->axes.count; a++)
        if (data->lengths[a]) gather->lengths[a] = ARENA_ARRAY(arena, batch, int64_t);
    for (int i = 0; i < graph->inputs.count; i++) {
        const TrainStream *stream = &data->inputs[i];
        if (stream->at)
            gather->inputs[i] =
                arena_alloc(arena, (size_t)batch * (size_t)stream->positions * stream->bytes + 1);
    }
    return gather;
}

static int axis_of(const Graph *graph, const GraphPort *port, int k) {
    return graph->indices.at[port->indices[k]].axis;
}

/* One input of one sequence: positions of the window, cut to the extents of the batch. */
static void copy_sequence(TrainGather *gather, const TrainData *data, int input, int64_t item,
                          int64_t place, int axis, int64_t from) {
    const Graph *graph = data->graph;
    const TrainStream *stream = &data->inputs[input];
    const GraphPort *port = stream->port;
    int64_t at[MAX_DOMAIN] = {0};
    for (int k = 0; k < port->index_count; k++)
        if (gather->extent[axis_of(graph, port, k)] == 0) return;
    const unsigned char *base = stream->at + (size_t)(item * stream->positions) * stream->bytes;
    unsigned char *out = gather->inputs[input];
    for (;;) {
        int64_t source = 0, target = 0;
        for (int k = 0; k < port->index_count; k++) {
            int a = axis_of(graph, port, k);
            source = source * data->extent[a] + at[k] + (a == axis ? from : 0);
            target = target * gather->extent[a] + at[k];
        }
        memcpy(out + (size_t)(target * gather->batch.batch + place) * stream->bytes,
               base + (size_t)source * stream->bytes, stream->bytes);
        int k = port->index_count - 1;
        for (; k >= 0 && ++at[k] == gather->extent[axis_of(graph, port, k)]; k--) at[k] = 0;
        if (k < 0) return;
    }
}

static void set_lengths(TrainGather *gather, const TrainSet *set, RtRange items, int axis,
                        int64_t from, int64_t most) {
    const TrainData *data = set->data;
    const Graph *graph = data->graph;
    for (int a = 0; a < graph->axes.count; a++) {
        gather->extent[a] = data->extent[a];
        if (!data->lengths[a]) {
            if (a == axis && gather->extent[a] > most) gather->extent[a] = most;
            continue;
        }
        gather->extent[a] = 0;
        for (size_t i = items.begin; i < items.end; i++) {
            int64_t length = data->lengths[a][set->items[i]];
            if (a == axis) {
                length = length > from ? length - from : 0;
                length = length > most ? most : length;
            }
            gather->lengths[a][i - items.begin] = length;
            if (length > gather->extent[a]) gather->extent[a] = length;
        }
    }
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *slow = &graph->axes.at[a];
        if (slow->kind == AXIS_SLOW)
            gather->extent[a] = gather->extent[slow->base] / slow->every +
                                (gather->extent[slow->base] % slow->every != 0);
    }
}

/* The first axis that a caller gives lengths of; -1: none. */
static int counted_axis(const Graph *graph) {
    for (int a = 0; a < graph->axes.count; a++)
        if (graph->axes.at[a].kind == AXIS_RUN) return a;
    return -1;
}

int64_t train_gather(TrainGather *gather, const TrainSet *set, RtRange items, int axis,
                     int64_t from, int64_t most) {
    const TrainData *data = set->data;
    int64_t batch = (int64_t)(items.end - items.begin), positions = 0;
    int counted = axis >= 0 ? axis : counted_axis(data->graph);
    gather->batch.batch = batch;
    gather->batch.extent = gather->extent;
    gather->batch.lengths = gather->lengths;
    gather->batch.inputs = gather->inputs;
    set_lengths(gather, set, items, axis, from, most);
    if (counted < 0)
        positions = batch;
    else
        for (int64_t b = 0; b < batch; b++)
            positions +=
                data->lengths[counted] ? gather->lengths[counted][b] : gather->extent[counted];
    for (int i = 0; i < data->graph->inputs.count; i++)
        for (int64_t b = 0; data->inputs[i].at && b < batch; b++)
            copy_sequence(gather, data, i, set->items[items.begin + (size_t)b], b, axis, from);
    return positions;
}
