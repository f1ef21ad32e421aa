/* Parameters and states of `rnnc run`: sets of named tensors, compared with what the model has. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run_data.h"

typedef struct SetCheck {
    RunData *data;
    const char *what; /* "the weights in FILE do not fit model M" */
    Diag *problem;
} SetCheck;

static void wrong(SetCheck *check, const char *text) {
    Diags *diags = check->data->c->diags;
    if (!check->problem)
        check->problem = diag_error(diags, "E-TENSOR", (Span){0}, "%s", check->what);
    diag_note(diags, check->problem, (Span){0}, "%s", text);
}

static const char *shape_text(Arena *arena, int rank, const int64_t *shape) {
    char text[256];
    return arena_printf(arena, "%s", rt_shape_text(rank, shape, text, sizeof text));
}

static void end_set(void *set) {
    rt_set_free(set);
}

RtTensorSet *run_set(Arena *arena) {
    RtTensorSet *set = ARENA_NEW(arena, RtTensorSet);
    arena_own(arena, end_set, set);
    return set;
}

static void end_tensor(void *tensor) {
    rt_tensor_free(tensor);
}

void run_own_tensor(Arena *arena, RtTensor *tensor) {
    arena_own(arena, end_tensor, tensor);
}

static bool read_set(SetCheck *check, const char *path, RtTensorSet *set) {
    char error[512];
    RtStatus status = strcmp(path, "-") == 0 ? rt_safetensors_read_stream(stdin, "standard input",
                                                                          set, error, sizeof error)
                                             : rt_safetensors_read(path, set, error, sizeof error);
    if (status == RT_OK) return true;
    if (status == RT_ERR_NOMEM) arena_exhausted(check->data->arena);
    wrong(check, error);
    return false;
}

static bool same_shape(const RtTensor *tensor, int rank, const int64_t *shape) {
    bool same = tensor->rank == rank;
    for (int k = 0; same && k < rank; k++) same = tensor->shape[k] == shape[k];
    return same;
}

/* ---- Parameters ---- */

static void take_param(SetCheck *check, const RtTensorSet *set, int slot) {
    RunData *data = check->data;
    const GraphParam *param = &data->graph->params.at[slot];
    const RtTensor *tensor = set ? rt_set_find(set, param->name) : NULL;
    const char *wanted = shape_text(data->arena, param->shape.rank, param->shape.dim);
    if (!tensor) {
        wrong(check, arena_printf(data->arena, "%s %s is missing", param->name, wanted));
    } else if (rt_dtype_is_integer(tensor->dtype)) {
        wrong(check, arena_printf(data->arena, "%s holds %s when it should be floating numbers",
                                  param->name, rt_dtype_name(tensor->dtype)));
    } else if (!same_shape(tensor, param->shape.rank, param->shape.dim)) {
        wrong(check, arena_printf(data->arena, "%s has shape %s when it should be %s", param->name,
                                  shape_text(data->arena, tensor->rank, tensor->shape), wanted));
    } else {
        if (tensor->dtype == RT_F64 && data->c->options->real == LT_F32)
            text_printf(&data->c->log, "rnnc: note: %s holds float64 and is rounded to float32\n",
                        param->name);
        data->params[slot] = ARENA_ARRAY(data->arena, tensor->count, double);
        rt_tensor_to_f64(tensor, data->params[slot]);
    }
}

static bool is_param(const Graph *graph, const char *name) {
    for (int i = 0; i < graph->params.count; i++)
        if (strcmp(graph->params.at[i].name, name) == 0) return true;
    return false;
}

static bool read_params(RunData *data) {
    const char *path = data->c->options->weights;
    SetCheck check = {.data = data};
    check.what = path ? arena_printf(data->arena, "the weights in %s do not fit model %s", path,
                                     data->graph->model)
                      : arena_printf(data->arena, "model %s has parameters: --weights is missing",
                                     data->graph->model);
    RtTensorSet *set = run_set(data->arena);
    data->params = ARENA_ARRAY(data->arena, data->graph->params.count, double *);
    if (path && !read_set(&check, path, set)) return false;
    for (int i = 0; i < data->graph->params.count; i++) take_param(&check, path ? set : NULL, i);
    for (size_t i = 0; i < set->count; i++)
        if (!is_param(data->graph, set->at[i].name))
            wrong(&check,
                  arena_printf(data->arena, "%s %s is no parameter of the model", set->at[i].name,
                               shape_text(data->arena, set->at[i].rank, set->at[i].shape)));
    rt_set_free(set);
    return !check.problem;
}

/* ---- States ---- */

/* Which nodes reach an output, a stop or a loss: states of the others are nobody's. */
static bool *find_live(const Graph *graph, Arena *arena) {
    bool *live = ARENA_ARRAY(arena, graph->nodes.count, bool);
    VEC(int) open = {0};
    for (int i = 0; i < graph->outputs.count; i++)
        vec_push(arena, &open, graph->outputs.at[i].node);
    for (int i = 0; i < graph->stops.count; i++) vec_push(arena, &open, graph->stops.at[i].node);
    for (int i = 0; i < graph->losses.count; i++) {
        vec_push(arena, &open, graph->losses.at[i].node);
        if (graph->losses.at[i].per >= 0) vec_push(arena, &open, graph->losses.at[i].per);
    }
    for (int done = 0; done < open.count; done++) {
        const Node *node = graph->nodes.at[open.at[done]];
        if (live[node->id]) continue;
        live[node->id] = true;
        for (int k = 0; k < node->in_count; k++)
            if (node->in[k] >= 0 && !live[node->in[k]]) vec_push(arena, &open, node->in[k]);
        if (node->op == OP_INPUT && graph->inputs.at[node->attr.slot].fallback >= 0)
            vec_push(arena, &open, graph->inputs.at[node->attr.slot].fallback);
    }
    return live;
}

void run_graph_states(RunData *data) {
    const Graph *graph = data->graph;
    bool *live = find_live(graph, data->arena);
    int *place = ARENA_ARRAY(data->arena, graph->nodes.count, int);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (!live[i] || node->op != OP_READ || node->attr.carry == 0) continue;
        const Node *source = graph->nodes.at[node->in[0]];
        int64_t lag = 0;
        for (int k = 0; k < node->attr.at_count; k++)
            if (node->attr.at[k].kind == AT_INDEX && -node->attr.at[k].offset > lag)
                lag = -node->attr.at[k].offset;
        if (!place[source->id]) {
            const char *name = source->name;
            if (!name)
                name = arena_printf(data->arena, "%s.#%d",
                                    graph->carries.at[node->attr.carry - 1].name, source->id);
            vec_push(
                data->arena, &data->states,
                (RunState){.name = name, .shape = source->type.shape, .dtype = source->type.dtype});
            place[source->id] = data->states.count;
        }
        RunState *state = &data->states.at[place[source->id] - 1];
        if (lag > state->lags) state->lags = (int)lag;
    }
    for (int i = 0; i < graph->carries.count; i++) {
        const char *instance = graph->carries.at[i].name;
        const char *name =
            instance && *instance ? arena_printf(data->arena, "%s.t", instance) : "t";
        vec_push(data->arena, &data->states,
                 (RunState){.name = name, .dtype = DT_INT, .position = true, .lags = 1});
    }
}

/* The shape of a state in a file. */
static int file_shape(const RunData *data, const RunState *state, int64_t shape[RT_MAX_RANK]) {
    int rank = 0;
    if (state->lags > 1) shape[rank++] = state->lags;
    if (data->batched) shape[rank++] = data->batch;
    for (int k = 0; k < state->shape.rank && rank < RT_MAX_RANK; k++)
        shape[rank++] = state->shape.dim[k];
    return rank;
}

static void take_state(SetCheck *check, const RtTensorSet *set, RunState *state) {
    RunData *data = check->data;
    int64_t shape[RT_MAX_RANK] = {0};
    int rank = file_shape(data, state, shape);
    const char *wanted = shape_text(data->arena, rank, shape);
    const RtTensor *tensor = rt_set_find(set, state->name);
    if (!tensor) {
        wrong(check, arena_printf(data->arena, "%s %s is missing", state->name, wanted));
        return;
    }
    bool real = !rt_dtype_is_integer(tensor->dtype);
    bool boolean = tensor->dtype == RT_BOOL;
    if (real != (state->dtype == DT_FLOAT) || boolean != (state->dtype == DT_BOOL)) {
        static const char *const wanted_types[] = {
            [DT_FLOAT] = "floating numbers", [DT_INT] = "int32 or int64", [DT_BOOL] = "bool"};
        wrong(check, arena_printf(data->arena, "%s holds %s when it should be %s", state->name,
                                  rt_dtype_name(tensor->dtype), wanted_types[state->dtype]));
    } else if (!same_shape(tensor, rank, shape)) {
        wrong(check, arena_printf(data->arena, "%s has shape %s when it should be %s", state->name,
                                  shape_text(data->arena, tensor->rank, tensor->shape), wanted));
    } else {
        state->values = ARENA_ARRAY(data->arena, tensor->count, double);
        rt_tensor_to_f64(tensor, state->values);
        for (size_t i = 0; state->position && i < tensor->count; i++)
            if (state->values[i] < 0)
                wrong(check, arena_printf(data->arena, "%s is negative", state->name));
    }
}

static bool is_state(const RunData *data, const char *name) {
    for (int i = 0; i < data->states.count; i++)
        if (strcmp(data->states.at[i].name, name) == 0) return true;
    return false;
}

/* Instances that are carried along one axis advance together, so they are at one position. */
static void check_positions(SetCheck *check) {
    RunData *data = check->data;
    const Graph *graph = data->graph;
    int count = graph->carries.count, first = data->states.count - count;
    for (int i = 1; i < count; i++) {
        int same = 0;
        while (graph->carries.at[same].axis != graph->carries.at[i].axis) same++;
        const RunState *a = &data->states.at[first + same], *b = &data->states.at[first + i];
        for (int64_t k = 0; a->values && b->values && k < data->batch; k++)
            if (a->values[k] != b->values[k]) {
                wrong(check,
                      arena_printf(data->arena, "%s is %.0f when %s is %.0f: both go along %s",
                                   b->name, b->values[k], a->name, a->values[k],
                                   graph->axes.at[graph->carries.at[i].axis].name));
                break;
            }
    }
}

static bool read_states(RunData *data) {
    const Options *o = data->c->options;
    SetCheck check = {.data = data};
    if ((o->state_in || o->state_out) && data->graph->carries.count == 0) {
        diag_error(data->c->diags, "E-TENSOR", (Span){0}, "%s: model %s carries no state",
                   o->state_in ? "--state-in" : "--state-out", data->graph->model);
        return false;
    }
    if (!o->state_in) return true;
    check.what = arena_printf(data->arena, "the state in %s does not fit model %s", o->state_in,
                              data->graph->model);
    RtTensorSet *set = run_set(data->arena);
    if (!read_set(&check, o->state_in, set)) return false;
    for (int i = 0; i < data->states.count; i++) take_state(&check, set, &data->states.at[i]);
    check_positions(&check);
    for (size_t i = 0; i < set->count; i++)
        if (!is_state(data, set->at[i].name))
            wrong(&check,
                  arena_printf(data->arena, "%s is no state of the model", set->at[i].name));
    rt_set_free(set);
    return !check.problem;
}

bool run_read_sets(RunData *data) {
    bool params = read_params(data);
    return read_states(data) && params;
}

/* ---- --state-out ---- */

static void store(RtTensor *tensor, const double *values) {
    for (size_t i = 0; i < tensor->count; i++) {
        switch (tensor->dtype) {
        case RT_F32: ((float *)tensor->data)[i] = (float)values[i]; break;
        case RT_F64: ((double *)tensor->data)[i] = values[i]; break;
        case RT_I32: ((int32_t *)tensor->data)[i] = (int32_t)values[i]; break;
        case RT_I64: ((int64_t *)tensor->data)[i] = (int64_t)values[i]; break;
        case RT_BOOL: ((unsigned char *)tensor->data)[i] = values[i] != 0; break;
        case RT_F16:
        case RT_BF16:
        case RT_I8:
        case RT_U8:
        case RT_I16:
        case RT_U16: break;
        }
    }
}

static RtDtype state_dtype(const RunData *data, const RunState *state) {
    if (state->position) return RT_I64;
    switch (state->dtype) {
    case DT_FLOAT: return data->c->options->real == LT_F64 ? RT_F64 : RT_F32;
    case DT_INT: return RT_I32;
    case DT_BOOL: return RT_BOOL;
    }
    return RT_F32;
}

static RtStatus fill_set(RunData *data, RtTensorSet *set, char *error, size_t error_size) {
    for (int i = 0; i < data->states.count; i++) {
        const RunState *state = &data->states.at[i];
        int64_t shape[RT_MAX_RANK] = {0};
        int rank = file_shape(data, state, shape);
        RtTensor tensor;
        RtStatus status = rt_tensor_init(&tensor, state->name, state_dtype(data, state), rank,
                                         shape, error, error_size);
        if (status != RT_OK) return status;
        store(&tensor, data->state_out[i]);
        status = rt_set_add(set, &tensor, error, error_size);
        if (status != RT_OK) {
            rt_tensor_free(&tensor);
            return status;
        }
    }
    return RT_OK;
}

bool run_state_bytes(RunData *data, const char **bytes, size_t *size) {
    RtTensorSet *set = run_set(data->arena);
    RunBytes *out = run_bytes(data->arena);
    char error[512] = "no memory left";
    bool good =
        out->stream && fill_set(data, set, error, sizeof error) == RT_OK &&
        rt_safetensors_write_stream(out->stream, "state", set, error, sizeof error) == RT_OK;
    good = run_bytes_close(out) && good;
    rt_set_free(set);
    if (good) {
        *bytes = out->bytes;
        *size = out->size;
    } else {
        text_printf(&data->c->log, "rnnc: error: --state-out: %s\n", error);
    }
    return good;
}
