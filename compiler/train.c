/* `rnnc train`: the order of things. Data, parameters, the loop, and the files that stay. */
#define _XOPEN_SOURCE 700

#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "run_data.h"
#include "signals.h"
#include "train_run.h"

double train_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- Parameters ---- */

/* --weights: to start from. */
static bool read_weights(TrainRun *run) {
    RunData data = {.arena = run->c->arena, .c = run->c, .graph = run->engine->train};
    if (!run_read_sets(&data)) return false;
    for (int i = 0; i < data.graph->params.count; i++) {
        size_t at = (size_t)run->engine->param_offsets.at[i];
        int64_t count = shape_count(data.graph->params.at[i].shape);
        for (int64_t k = 0; k < count; k++) {
            if (run->engine->real == RT_F32)
                ((float *)run->params)[at + (size_t)k] = (float)data.params[i][k];
            else
                ((double *)run->params)[at + (size_t)k] = data.params[i][k];
        }
    }
    return true;
}

static bool make_params(TrainRun *run, ExitStatus *status) {
    TrainEngine *engine = run->engine;
    Arena *arena = run->c->arena;
    size_t width = rt_dtype_size(engine->real);
    run->n = (size_t)engine->param_count;
    run->optimiser = run->o->optimiser;
    run->params = arena_array(arena, run->n + 1, width);
    run->grads = arena_array(arena, run->n + 1, width);
    run->best = arena_array(arena, run->n + 1, width);
    run->moments =
        arena_alloc(arena, rt_optimiser_bytes(&run->optimiser, engine->real, run->n) + 1);
    for (int i = 0; i < engine->train->params.count; i++) {
        const GraphParam *param = &engine->train->params.at[i];
        size_t at = (size_t)engine->param_offsets.at[i], count = (size_t)shape_count(param->shape);
        RtPlace place = {param->name, at, param->shape.rank, param->shape.dim};
        vec_push(arena, &run->places, place);
        if (!param->frozen && count > 0) vec_push(arena, &run->ranges, (RtRange){at, at + count});
    }
    if (run->ranges.count == 0) {
        diag_error(run->c->diags, "E-RUN", (Span){0}, "model %s has no parameter to train",
                   engine->train->model);
        return false;
    }
    uint64_t seed = run->c->options->seed;
    return engine->kind->init(engine, seed, run->params, status) &&
           (!run->c->options->weights || read_weights(run));
}

/* ---- Data ---- */

/* Divides the sequences of --in: those of validation are drawn, or the last. */
static void split(TrainRun *run, const TrainData *data) {
    Arena *arena = run->c->arena;
    size_t count = (size_t)data->count, held = rt_split_count(count, run->o->valid);
    int64_t *order = ARENA_ARRAY(arena, count + 1, int64_t);
    if (run->o->valid_last || held == 0)
        for (size_t i = 0; i < count; i++) order[i] = (int64_t)i;
    else
        rt_permutation(run->c->options->seed, "valid", 0, count, order);
    run->train = (TrainSet){data, order, (int64_t)(count - held)};
    run->valid = (TrainSet){data, order + (count - held), (int64_t)held};
}

/* --window, or what the model's axis says for a text. */
static bool choose_window(TrainRun *run) {
    const Graph *graph = run->engine->train;
    Diags *diags = run->c->diags;
    int axis = -1, axes = 0;
    run->axis = -1;
    if (!run->o->window && !run->o->text_file) return true;
    for (int a = 0; a < graph->axes.count; a++) {
        if (graph->axes.at[a].kind != AXIS_RUN) axes++;
        if (graph->axes.at[a].kind == AXIS_RUN && axis < 0) axis = a;
        if (graph->axes.at[a].kind == AXIS_RUN && axis != a) axes++;
    }
    if (axis < 0 || axes > 0) {
        diag_error(diags, "E-TENSOR", (Span){0},
                   "--window: model %s has %s time axis when windows need just one", graph->model,
                   axis < 0 ? "no" : "more than one");
        return false;
    }
    const Axis *of = &graph->axes.at[axis];
    int64_t bound = of->fixed > 0 ? of->fixed : of->most;
    run->axis = axis;
    run->window = run->o->window ? run->o->window : bound > 0 ? bound : 64;
    if ((bound > 0 && run->window > bound) || (of->fixed > 0 && run->window != bound)) {
        diag_error(diags, "E-TENSOR", of->span,
                   "--window=%" PRId64 ": axis %s has %s%" PRId64 " steps", run->window, of->name,
                   of->fixed > 0 ? "" : "at most ", bound);
        return false;
    }
    return true;
}

static bool make_data(TrainRun *run, ExitStatus *status) {
    Arena *arena = run->c->arena;
    *status = EXIT_INPUT;
    if (run->o->text_file) {
        if (!train_text_read(run->engine, &run->train, &run->valid, &run->vocabulary, status))
            return false;
    } else {
        TrainData *data = train_data_read(run->engine);
        if (!data) return false;
        split(run, data);
    }
    if (!choose_window(run)) return false;
    int64_t batch = run->o->batch < run->train.count ? run->o->batch : run->train.count;
    int64_t batch_valid = run->o->batch < run->valid.count ? run->o->batch : run->valid.count;
    run->gather = train_gather_new(arena, run->train.data, batch);
    run->gather_valid = train_gather_new(arena, run->valid.data, batch_valid);
    run->shuffled = run->train;
    run->shuffled.items = ARENA_ARRAY(arena, run->train.count + 1, int64_t);
    run->groups = (int64_t)rt_batch_count((size_t)run->train.count, (size_t)run->o->batch, false);
    run->windows = 1;
    if (run->axis >= 0) {
        int64_t extent = run->train.data->extent[run->axis];
        run->windows = extent / run->window + (extent % run->window != 0);
    }
    return true;
}

/* How long, and the rate that goes with it. */
static void plan(TrainRun *run) {
    const TrainOptions *o = run->o;
    int64_t epoch = run->groups * run->windows;
    int64_t epochs = o->epochs >= 0 ? o->epochs : o->steps >= 0 ? -1 : 10;
    run->total = o->steps;
    if (epochs >= 0 && (run->total < 0 || epochs * epoch < run->total)) run->total = epochs * epoch;
    run->schedule = o->schedule;
    if (run->schedule.period == 0) {
        int64_t rest = run->total - (int64_t)run->schedule.warmup;
        run->schedule.period = rest > 0 ? (uint64_t)rest : 1;
    }
    run->plateau = o->plateau_rule;
    run->plateau_rate = o->optimiser.learning_rate;
    run->stopping = rt_stopping(false, o->patience > 0 ? (uint64_t)o->patience : UINT64_MAX);
}

/* ---- Files ---- */

/* Hours later is too late: two results in one file, or a folder that takes none. */
static bool check_files(TrainRun *run, ExitStatus *status) {
    const char *paths[] = {run->c->options->out, run->checkpoint, run->o->curve, run->o->log,
                           run->c->options->weights};
    for (int i = 0; i < 4; i++) {
        const char *slash = paths[i] ? strrchr(paths[i], '/') : NULL;
        if (!paths[i]) continue;
        for (int k = i + 1; k < 5; k++)
            if (paths[k] && strcmp(paths[i], paths[k]) == 0 && !(i == 0 && k == 4)) {
                text_printf(&run->c->log, "rnnc: error: %s is named twice\n", paths[i]);
                *status = EXIT_USAGE;
                return false;
            }
        const char *folder = !slash              ? "."
                             : slash == paths[i] ? "/"
                                                 : arena_strndup(run->c->arena, paths[i],
                                                                 (size_t)(slash - paths[i]));
        if (access(folder, W_OK | X_OK) == 0) continue;
        text_printf(&run->c->log, "rnnc: error: cannot write %s: %s\n", paths[i], strerror(errno));
        *status = EXIT_OUTSIDE;
        return false;
    }
    return true;
}

/* ---- The whole ---- */

static bool prepare(TrainRun *run, ExitStatus *status) {
    const char *path = run->o->checkpoint;
    run->checkpoint =
        path ? path : arena_printf(run->c->arena, "%s.checkpoint", run->c->options->out);
    if (!check_files(run, status)) return false;
    *status = EXIT_INPUT;
    bool interp = run->c->options->backend == RUN_INTERP;
    if (!compilation_run(run->c, interp ? STAGE_GRAPH : STAGE_LOOP)) return false;
    run->engine = train_engine_open(run->c, status);
    if (!run->engine || !make_data(run, status) || !make_params(run, status)) return false;
    plan(run);
    return !run->o->resume || train_read_checkpoint(run, status);
}

ExitStatus train_model(Compilation *c, const TrainWatch *watch) {
    TrainRun *run = ARENA_NEW(c->arena, TrainRun);
    ExitStatus status = EXIT_INPUT;
    bool stopped = false;
    *run = (TrainRun){.c = c, .o = &c->options->train, .watch = watch};
    if (!prepare(run, &status) || !train_report_open(run, &status)) return status;
    sigset_t mask;
    signals_hold(&mask);
    bool good = train_loop(run, &stopped, &status);
    if (good && stopped)
        watch->say(watch->user,
                   arena_printf(c->arena,
                                "stopped after update %" PRId64 "; --resume goes on from %s",
                                run->at.step, run->checkpoint),
                   false);
    signals_release(&mask); /* ends the process, where one has come */
    return good ? EXIT_DONE : status;
}
