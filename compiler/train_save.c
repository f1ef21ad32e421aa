/* What a training run leaves: the best parameters, and a checkpoint that holds all of the run, so
 * that it goes on as if it had never stopped. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "run_data.h"
#include "train_run.h"

static bool failed(TrainRun *run, ExitStatus *status, const char *error) {
    text_printf(&run->c->log, "rnnc: error: %s\n", error);
    *status = EXIT_OUTSIDE;
    return false;
}

/* ---- Parameters ---- */

bool train_write_weights(TrainRun *run, const void *params, ExitStatus *status) {
    RtTensorSet *set = run_set(run->c->arena);
    size_t width = rt_dtype_size(run->engine->real);
    RtStatus done = RT_OK;
    char error[512];
    for (int i = 0; done == RT_OK && i < run->places.count; i++) {
        const RtPlace *place = &run->places.at[i];
        RtTensor tensor;
        done = rt_tensor_init(&tensor, place->name, run->engine->real, place->rank, place->shape,
                              error, sizeof error);
        if (done != RT_OK) break;
        memcpy(tensor.data, (const char *)params + place->offset * width, tensor.count * width);
        done = rt_set_add(set, &tensor, error, sizeof error);
        if (done != RT_OK) rt_tensor_free(&tensor);
    }
    if (done == RT_OK && run->vocabulary)
        done = rt_set_add_metadata(set, "vocabulary", run->vocabulary, error, sizeof error);
    if (done == RT_OK) done = rt_safetensors_write(run->c->options->out, set, error, sizeof error);
    rt_set_free(set);
    if (done == RT_ERR_NOMEM) arena_exhausted(run->c->arena);
    return done == RT_OK || failed(run, status, error);
}

/* ---- Everything ---- */

enum { STATE_NAME = 256 };

/* What must be the same in the run that goes on, by the option that says it. */
typedef struct Identity {
    int64_t seed, batch, window, train, valid, positions, sum;
} Identity;

static Identity identity_of(const TrainRun *run) {
    return (Identity){.seed = (int64_t)run->c->options->seed,
                      .batch = run->o->batch,
                      .window = run->window,
                      .train = run->train.count,
                      .valid = run->valid.count,
                      .sum = run->c->options->reduce_sum,
                      .positions = run->axis < 0 ? 0 : run->train.data->extent[run->axis]};
}

/* The arrays beside parameters and moments; the numbers of rounds and of carried sequences say how
 * long some of them are. */
typedef struct Arrays {
    Arena *arena;
    VEC(RtArray) list;
    Identity identity;
    void **rows; /* [engine->variables] */
} Arrays;

/* Sequences whose state is carried into the next update; 0: it begins with fresh ones. */
static int64_t carried_batch(const TrainRun *run) {
    if (run->at.window == 0 || run->engine->variables.count == 0) return 0;
    RtRange items = train_group(run);
    return (int64_t)(items.end - items.begin);
}

static void add(Arrays *arrays, const char *name, RtDtype dtype, size_t count, void *data) {
    vec_push(arrays->arena, &arrays->list, (RtArray){name, dtype, count, data});
}

static RtCheckpoint describe(TrainRun *run, Arrays *arrays, int64_t rounds, int64_t batch) {
    Arena *arena = arrays->arena;
    TrainEngine *engine = run->engine;
    arrays->identity = identity_of(run);
    add(arrays, "identity", RT_I64, sizeof(Identity) / sizeof(int64_t), &arrays->identity);
    add(arrays, "place", RT_I64, 5, &run->at);
    add(arrays, "round", RT_F64, 2, &run->at.loss);
    add(arrays, "stopping", RT_I64, 3, &run->stopping.bad);
    add(arrays, "stopping_best", RT_F64, 1, &run->stopping.best);
    add(arrays, "plateau", RT_I64, 2, &run->plateau.bad);
    add(arrays, "plateau_best", RT_F64, 1, &run->plateau.best);
    add(arrays, "plateau_rate", RT_F64, 1, &run->plateau_rate);
    while (run->rounds.count < (int)rounds) vec_push(run->c->arena, &run->rounds, (TrainRound){0});
    add(arrays, "rounds", RT_F64, (size_t)rounds * 4, run->rounds.at);
    add(arrays, "best", engine->real, run->n, run->best);
    arrays->rows = ARENA_ARRAY(arena, engine->variables.count + 1, void *);
    for (int v = 0; v < engine->variables.count; v++) {
        const TrainVariable *variable = &engine->variables.at[v];
        size_t count = (size_t)train_variable_elements(variable, batch);
        arrays->rows[v] = arena_array(arena, count + 1, rt_dtype_size(variable->dtype));
        add(arrays, arena_printf(arena, "state/%s", variable->name), variable->dtype, count,
            arrays->rows[v]);
    }
    return (RtCheckpoint){.dtype = engine->real,
                          .n = run->n,
                          .places = run->places.at,
                          .place_count = (size_t)run->places.count,
                          .params = run->params,
                          .optimiser = &run->optimiser,
                          .state = run->moments,
                          .arrays = arrays->list.at,
                          .array_count = (size_t)arrays->list.count};
}

bool train_write_checkpoint(TrainRun *run, ExitStatus *status) {
    Arrays arrays = {.arena = arena_new_in(run->c->arena)};
    char error[512];
    int64_t batch = carried_batch(run);
    RtCheckpoint checkpoint = describe(run, &arrays, run->rounds.count, batch);
    if (batch) run->engine->kind->save(run->engine, batch, arrays.rows);
    RtStatus done = rt_checkpoint_write(run->checkpoint, &checkpoint, error, sizeof error);
    arena_free(arrays.arena);
    if (done == RT_ERR_NOMEM) arena_exhausted(run->c->arena);
    return done == RT_OK || failed(run, status, error);
}

/* ---- And back ---- */

static bool differs(TrainRun *run, const char *what, int64_t was, int64_t is) {
    if (was != is)
        diag_error(run->c->diags, "E-TENSOR", (Span){0},
                   "%s was made with %s %" PRId64 " when this run has %" PRId64, run->checkpoint,
                   what, was, is);
    return was != is;
}

/* Whether it is a checkpoint of this very run. */
static bool same_run(TrainRun *run, const Identity *was) {
    Identity is = identity_of(run);
    bool other = differs(run, "--seed", was->seed, is.seed);
    other = differs(run, "--batch", was->batch, is.batch) || other;
    other = differs(run, "--window", was->window, is.window) || other;
    other = differs(run, "sequences to train on", was->train, is.train) || other;
    other = differs(run, "sequences to validate on", was->valid, is.valid) || other;
    other = differs(run, "--reduce=sum", was->sum, is.sum) || other;
    other = differs(run, "positions", was->positions, is.positions) || other;
    return !other;
}

/* The settings of the optimiser that the command line gives hold, and must be the file's. */
static bool same_settings(TrainRun *run) {
    const RtOptimiser *a = &run->o->optimiser, *b = &run->optimiser;
    const struct {
        const char *name;
        double is, was;
    } settings[] = {
        {"momentum", a->momentum, b->momentum}, {"weight-decay", a->weight_decay, b->weight_decay},
        {"epsilon", a->epsilon, b->epsilon},    {"decay", a->decay, b->decay},
        {"beta1", a->beta1, b->beta1},          {"beta2", a->beta2, b->beta2},
        {"nesterov", a->nesterov, b->nesterov}, {"centred", a->centred, b->centred}};
    bool same = true;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (settings[i].is >= settings[i].was && settings[i].is <= settings[i].was) continue;
        diag_error(run->c->diags, "E-TENSOR", (Span){0},
                   "%s was made with %s=%.9g when this run has %.9g", run->checkpoint,
                   settings[i].name, settings[i].was, settings[i].is);
        same = false;
    }
    return same;
}

/* The integers of an array of the file; false where it has not so many. */
static bool peek(const RtTensorSet *set, const char *name, RtDtype dtype, size_t count, void *to) {
    const RtTensor *tensor = rt_set_find(set, name);
    if (!tensor || tensor->dtype != dtype || tensor->count != count) return false;
    memcpy(to, tensor->data, count * rt_dtype_size(dtype));
    return true;
}

static bool take(TrainRun *run, const RtTensorSet *set, ExitStatus *status) {
    Identity was;
    TrainPlace at = {0};
    const RtTensor *rounds = rt_set_find(set, "array/rounds");
    char error[512];
    if (!rounds || !peek(set, "array/identity", RT_I64, sizeof was / sizeof(int64_t), &was) ||
        !peek(set, "array/place", RT_I64, 5, &at)) {
        diag_error(run->c->diags, "E-TENSOR", (Span){0}, "%s is no checkpoint of rnnc train",
                   run->checkpoint);
        return false;
    }
    if (!same_run(run, &was)) return false;
    bool inside = at.step >= 0 && at.epoch >= 0 && at.group >= 0 && at.group < run->groups &&
                  at.window >= 0 && at.window < run->windows;
    if (!inside) {
        diag_error(run->c->diags, "E-TENSOR", (Span){0}, "%s: its place is outside of the data",
                   run->checkpoint);
        return false;
    }
    run->at = at;
    int64_t batch = carried_batch(run);
    Arrays arrays = {.arena = run->c->arena};
    RtCheckpoint checkpoint = describe(run, &arrays, (int64_t)rounds->count / 4, batch);
    RtStatus done = rt_checkpoint_from_set(set, run->checkpoint, &checkpoint, error, sizeof error);
    if (done == RT_ERR_NOMEM) arena_exhausted(run->c->arena);
    if (done != RT_OK) {
        diag_error(run->c->diags, "E-TENSOR", (Span){0}, "%s", error);
        return false;
    }
    if (run->valid.count > 0 && run->stopping.best_round > (uint64_t)run->rounds.count) {
        diag_error(run->c->diags, "E-TENSOR", (Span){0}, "%s: its best round is none of its rounds",
                   run->checkpoint);
        return false;
    }
    if (!same_settings(run)) return false;
    if (!run->o->plateau) run->plateau_rate = run->o->optimiser.learning_rate;
    return batch == 0 || (run->engine->kind->reset(run->engine, MODE_TRAIN, batch, status) &&
                          run->engine->kind->load(run->engine, batch, arrays.rows, status));
}

bool train_read_checkpoint(TrainRun *run, ExitStatus *status) {
    RtTensorSet *set = run_set(run->c->arena);
    char error[512];
    *status = EXIT_INPUT;
    RtStatus done = rt_safetensors_read(run->checkpoint, set, error, sizeof error);
    if (done == RT_ERR_NOMEM) arena_exhausted(run->c->arena);
    if (done != RT_OK) {
        diag_error(run->c->diags, "E-TENSOR", (Span){0}, "--resume: %s", error);
        return false;
    }
    bool good = take(run, set, status);
    rt_set_free(set);
    return good;
}
