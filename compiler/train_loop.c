/* The updates of a training run, and what happens between them: validation, the best parameters,
 * checkpoints. Every number is a function of the options and of the step, so a run that goes on
 * from a checkpoint gives the bits of one that never stopped. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "signals.h"
#include "train_run.h"

static bool refuse(TrainRun *run, ExitStatus *status, const char *what) {
    *status = EXIT_INPUT;
    Diag *diag =
        diag_error(run->c->diags, "E-RUN", (Span){0}, "update %" PRId64 " (epoch %" PRId64 "): %s",
                   run->at.step + 1, run->at.epoch + 1, what);
    if (run->rounds.count > 0)
        diag_note(run->c->diags, diag, (Span){0}, "%s has the parameters of update %.0f",
                  run->c->options->out,
                  run->valid.count ? run->rounds.at[run->stopping.best_round - 1].step
                                   : run->rounds.at[run->rounds.count - 1].step);
    return false;
}

/* ---- One pass over some sequences ---- */

RtRange train_group(const TrainRun *run) {
    return rt_batch_at((size_t)run->train.count, (size_t)run->o->batch, (size_t)run->at.group);
}

static int64_t window_from(const TrainRun *run, int64_t window) {
    return run->axis < 0 ? 0 : window * run->window;
}

static int64_t window_most(const TrainRun *run) {
    return run->axis < 0 ? INT64_MAX : run->window;
}

bool train_validate(TrainRun *run, double *loss, ExitStatus *status) {
    int losses = run->engine->losses.count;
    double *sums = ARENA_ARRAY(run->c->arena, 4 * losses + 1, double);
    double *pers = sums + losses, *one = pers + losses, *weight = one + losses;
    size_t batch = (size_t)run->o->batch, count = (size_t)run->valid.count;
    int64_t windows = 1;
    if (run->axis >= 0) {
        int64_t extent = run->valid.data->extent[run->axis];
        windows = extent / run->window + (extent % run->window != 0);
    }
    for (size_t g = 0; g < rt_batch_count(count, batch, false); g++) {
        RtRange items = rt_batch_at(count, batch, g);
        if (!run->engine->kind->reset(run->engine, MODE_EVAL, (int64_t)(items.end - items.begin),
                                      status))
            return false;
        for (int64_t w = 0; w < windows; w++) {
            TrainGather *gather = run->gather_valid;
            if (train_gather(gather, &run->valid, items, run->axis, window_from(run, w),
                             window_most(run)) == 0 &&
                run->axis >= 0)
                continue;
            gather->batch.seed = run->c->options->seed;
            if (!run->engine->kind->losses(run->engine, &gather->batch, run->params, one, weight,
                                           status))
                return false;
            for (int i = 0; i < losses; i++) {
                sums[i] += one[i];
                pers[i] += weight[i];
            }
        }
    }
    *status = EXIT_INPUT;
    return train_engine_loss(run->engine, sums, pers, loss);
}

/* ---- One update ---- */

/* The seed of the draws of one update. */
static uint64_t draw_seed(const TrainRun *run) {
    uint32_t words[4];
    rt_random_words(run->c->options->seed, rt_hash_name("train"), 0, &run->at.step, 1, 0, words);
    return (uint64_t)words[0] << 32 | words[1];
}

static void shuffle(TrainRun *run) {
    size_t count = (size_t)run->train.count;
    if (run->o->text_file) {
        memcpy(run->shuffled.items, run->train.items, count * sizeof *run->shuffled.items);
        return;
    }
    rt_permutation(run->c->options->seed, "epoch", (uint64_t)run->at.epoch, count,
                   run->shuffled.items);
    for (size_t i = 0; i < count; i++)
        run->shuffled.items[i] = run->train.items[run->shuffled.items[i]];
}

/* The first parameter whose gradient is no number. */
static const char *not_finite(const TrainRun *run) {
    for (int i = 0; i < run->places.count; i++) {
        const RtPlace *place = &run->places.at[i];
        size_t end = i + 1 < run->places.count ? run->places.at[i + 1].offset : run->n;
        for (size_t k = place->offset; k < end; k++)
            if (!isfinite(run->engine->real == RT_F32 ? (double)((const float *)run->grads)[k]
                                                      : ((const double *)run->grads)[k]))
                return place->name;
    }
    return "a parameter";
}

static double rate_now(TrainRun *run) {
    run->schedule.base = run->plateau_rate;
    return rt_schedule_at(&run->schedule,
                          (uint64_t)(run->o->schedule_epochs ? run->at.epoch : run->at.step));
}

/* Clips the gradients, applies them. The norm is that of before. */
static bool apply(TrainRun *run, double *norm, ExitStatus *status) {
    const TrainOptions *o = run->o;
    const RtRange *ranges = run->ranges.at;
    size_t count = (size_t)run->ranges.count;
    uint64_t step = (uint64_t)run->at.step + 1;
    double limit = o->clip_norm >= 0 ? o->clip_norm : INFINITY;
    bool single = run->engine->real == RT_F32;
    char error[256];
    *norm = single ? rt_clip_norm_f32(run->grads, run->n, ranges, count, limit)
                   : rt_clip_norm_f64(run->grads, run->n, ranges, count, limit);
    if (!isfinite(*norm))
        return refuse(
            run, status,
            arena_printf(run->c->arena, "the gradient of %s is not finite", not_finite(run)));
    if (o->clip_value >= 0 && single)
        rt_clip_value_f32(run->grads, run->n, (float)o->clip_value);
    else if (o->clip_value >= 0)
        rt_clip_value_f64(run->grads, run->n, o->clip_value);
    run->optimiser.learning_rate = rate_now(run);
    RtStatus done = single
                        ? rt_optimise_f32(&run->optimiser, step, run->n, ranges, count, run->grads,
                                          run->params, run->moments, error, sizeof error)
                        : rt_optimise_f64(&run->optimiser, step, run->n, ranges, count, run->grads,
                                          run->params, run->moments, error, sizeof error);
    return done == RT_OK || refuse(run, status, arena_printf(run->c->arena, "%s", error));
}

/* To the next batch; at the end of an epoch, or where --eval-every says so, a round is over. */
static void advance(TrainRun *run, bool updated) {
    TrainPlace *at = &run->at;
    if (updated) at->step++;
    if (++at->window == run->windows) {
        at->window = 0;
        at->group++;
    }
    if (at->group == run->groups) {
        at->group = 0;
        at->epoch++;
        shuffle(run);
        if (!run->o->eval_every) at->due = 1;
    }
    if (updated && run->o->eval_every && at->step % run->o->eval_every == 0) at->due = 1;
}

static bool update(TrainRun *run, ExitStatus *status) {
    TrainEngine *engine = run->engine;
    TrainGather *gather = run->gather;
    RtRange items = train_group(run);
    double loss, norm;
    int64_t positions = train_gather(gather, &run->shuffled, items, run->axis,
                                     window_from(run, run->at.window), window_most(run));
    if (positions == 0 && run->axis >= 0) {
        advance(run, false);
        return true;
    }
    int64_t batch = gather->batch.batch;
    if (run->at.window == 0 && !engine->kind->reset(engine, MODE_TRAIN, batch, status))
        return false;
    gather->batch.seed = draw_seed(run);
    memset(run->grads, 0, run->n * rt_dtype_size(engine->real));
    if (!engine->kind->gradient(engine, &gather->batch, run->params, run->grads, &loss, status))
        return false;
    if (!isfinite(loss))
        return refuse(run, status, isnan(loss) ? "the loss is nan" : "the loss is infinite");
    if (!apply(run, &norm, status)) return false;
    run->positions += positions;
    run->at.loss += loss * (double)batch;
    run->at.weight += (double)batch;
    train_report_step(run, loss, norm);
    advance(run, true);
    return true;
}

/* ---- Rounds ---- */

/* Validation, the best parameters, the files. *stop: it does not get better. A round that is cut
 * off by the end of the run is no part of the checkpoint: who goes on, with more updates, has it
 * whole. */
static bool end_round(TrainRun *run, bool cut, bool *stop, ExitStatus *status) {
    double valid = NAN;
    bool better = true;
    if (cut && !train_write_checkpoint(run, status)) return false;
    if (run->valid.count > 0 && !train_validate(run, &valid, status)) return false;
    TrainRound round = {(double)run->at.step, run->at.loss / run->at.weight, valid,
                        run->optimiser.learning_rate};
    vec_push(run->c->arena, &run->rounds, round);
    run->at.loss = run->at.weight = 0;
    run->at.due = 0;
    if (run->valid.count > 0) {
        RtVerdict verdict = rt_stopping_update(&run->stopping, valid);
        better = verdict == RT_VERDICT_BETTER;
        *stop = run->o->patience > 0 && verdict == RT_VERDICT_STOP;
        if (run->o->plateau) rt_plateau_update(&run->plateau, valid, &run->plateau_rate);
    }
    if (better) memcpy(run->best, run->params, run->n * rt_dtype_size(run->engine->real));
    if (better && !train_write_weights(run, run->best, status)) return false;
    return train_report_round(run, better, status) && (cut || train_write_checkpoint(run, status));
}

static bool finished(const TrainRun *run) {
    const TrainOptions *o = run->o;
    int64_t epochs = o->epochs >= 0 ? o->epochs : o->steps >= 0 ? INT64_MAX : 10;
    return run->at.epoch >= epochs || (o->steps >= 0 && run->at.step >= o->steps);
}

bool train_loop(TrainRun *run, bool *stopped, ExitStatus *status) {
    bool stop = run->o->patience > 0 && run->stopping.bad >= (uint64_t)run->o->patience;
    shuffle(run);
    while (!stop) {
        if (signals_pending()) {
            *stopped = true;
            bool last = run->valid.count == 0 || run->rounds.count == 0;
            return train_write_checkpoint(run, status) &&
                   (!last || train_write_weights(run, run->params, status)) &&
                   train_report_end(run, "signal", status);
        }
        if (run->at.due) {
            if (!end_round(run, false, &stop, status)) return false;
        } else if (!finished(run)) {
            if (!update(run, status)) {
                ExitStatus ignored;
                (void)train_report_end(run, "error", &ignored);
                return false;
            }
        } else if (run->at.weight > 0) {
            if (!end_round(run, true, &stop, status)) return false;
        } else {
            break;
        }
    }
    /* Nothing to train on is asked for: the initial parameters, then. */
    if (run->rounds.count == 0) {
        memcpy(run->best, run->params, run->n * rt_dtype_size(run->engine->real));
        if (!train_write_checkpoint(run, status)) return false;
    }
    return train_write_weights(run, run->best, status) &&
           train_report_end(run, stop ? "patience" : "done", status);
}
