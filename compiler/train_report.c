/* How a training run goes: a line for people that is written over where a terminal allows it, JSON
 * lines for programs, and the picture of both losses. */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "train_run.h"

/* Seconds between lines within a round: on a terminal, where they pass, and elsewhere. */
static double between(const TrainRun *run) {
    return run->watch->terminal ? 0.2 : 30;
}

static bool failed(TrainRun *run, ExitStatus *status, const char *path, const char *why) {
    text_printf(&run->c->log, "rnnc: error: %s: %s\n", path, why);
    *status = EXIT_OUTSIDE;
    return false;
}

/* ---- JSON lines ---- */

static void end_log(void *what) {
    FILE **log = what;
    if (*log) fclose(*log);
    *log = NULL;
}

/* A number, or null: JSON has no NaN. */
static void put_number(Text *out, const char *key, double value) {
    text_printf(out, ", \"%s\": ", key);
    if (isfinite(value))
        text_printf(out, "%.9g", value);
    else
        text_puts(out, "null");
}

static bool put_line(TrainRun *run, Text *line, ExitStatus *status) {
    if (!run->log) return true;
    text_puts(line, "}\n");
    if (fputs(text_string(line), run->log) >= 0 && fflush(run->log) == 0) return true;
    return failed(run, status, run->o->log, strerror(errno));
}

static bool log_start(TrainRun *run, ExitStatus *status) {
    Text line = text_new(run->c->arena);
    text_printf(&line,
                "{\"event\": \"%s\", \"model\": \"%s\", \"engine\": \"%s\", \"dtype\": \"%s\", "
                "\"seed\": %" PRIu64 ", \"parameters\": %zu, \"sequences\": %" PRId64
                ", \"validation\": %" PRId64 ", \"batch\": %" PRId64 ", \"update\": %" PRId64
                ", \"updates\": ",
                run->o->resume ? "resume" : "start", run->engine->train->model, run->engine->by,
                run->engine->real == RT_F32 ? "f32" : "f64", run->c->options->seed, run->n,
                run->train.count, run->valid.count, run->o->batch, run->at.step);
    if (run->total >= 0)
        text_printf(&line, "%" PRId64, run->total);
    else
        text_puts(&line, "null");
    return put_line(run, &line, status);
}

bool train_report_open(TrainRun *run, ExitStatus *status) {
    /* What compiling had to say comes before the first line of training. */
    if (run->c->log.length) {
        Text *log = &run->c->log;
        char *text = arena_strndup(run->c->arena, text_string(log), log->length - 1);
        run->watch->say(run->watch->user, text, false);
        *log = text_new(run->c->arena);
    }
    run->began = train_clock();
    run->told = run->began - (run->watch->terminal ? between(run) : 0);
    run->first_step = run->at.step;
    if (!run->o->log) return true;
    arena_own(run->c->arena, end_log, &run->log);
    run->log = fopen(run->o->log, run->o->resume ? "a" : "w");
    if (!run->log) return failed(run, status, run->o->log, strerror(errno));
    return log_start(run, status);
}

/* ---- Lines ---- */

/* "1:05:09" or "3:07". */
static void put_time(Text *out, double seconds) {
    int64_t whole = (int64_t)(seconds + 0.5);
    if (whole >= 3600)
        text_printf(out, "%" PRId64 ":%02d:%02d", whole / 3600, (int)(whole / 60 % 60),
                    (int)(whole % 60));
    else
        text_printf(out, "%d:%02d", (int)(whole / 60), (int)(whole % 60));
}

static double speed(const TrainRun *run, double now) {
    return now > run->began ? (double)run->positions / (now - run->began) : 0;
}

static void put_speed(const TrainRun *run, Text *out, double now) {
    double rate = speed(run, now);
    int64_t done = run->at.step - run->first_step;
    text_printf(out, "  %.*f%s steps/s",
                rate < 1e4   ? 0
                : rate < 1e7 ? 1
                             : 1,
                rate < 1e4   ? rate
                : rate < 1e7 ? rate * 1e-3
                             : rate * 1e-6,
                rate < 1e4   ? ""
                : rate < 1e7 ? "k"
                             : "M");
    if (run->total < 0 || done <= 0) return;
    text_puts(out, "  left ");
    put_time(out, (now - run->began) / (double)done * (double)(run->total - run->at.step));
}

static void put_place(const TrainRun *run, Text *out, int64_t epoch) {
    text_printf(out, "epoch %" PRId64, epoch);
    if (run->o->epochs >= 0 || run->o->steps < 0)
        text_printf(out, "/%" PRId64, run->o->epochs >= 0 ? run->o->epochs : INT64_C(10));
    text_printf(out, "  update %" PRId64, run->at.step);
    if (run->total >= 0) text_printf(out, "/%" PRId64, run->total);
}

void train_report_step(TrainRun *run, double loss, double norm) {
    double now = train_clock();
    if (now - run->told < between(run)) return;
    run->told = now;
    Arena *arena = arena_new_in(run->c->arena);
    Text line = text_new(arena);
    put_place(run, &line, run->at.epoch + 1);
    text_printf(&line, "  loss %.4f  norm %.3g", loss, norm);
    put_speed(run, &line, now);
    run->watch->say(run->watch->user, text_string(&line), run->watch->terminal);
    arena_free(arena);
}

static bool write_curve(TrainRun *run, ExitStatus *status) {
    char error[512];
    if (!run->o->curve) return true;
    Arena *arena = arena_new_in(run->c->arena);
    Text picture = text_new(arena);
    train_curve(run, &picture);
    RtStatus done =
        rt_file_write(run->o->curve, text_string(&picture), picture.length, error, sizeof error);
    arena_free(arena);
    if (done == RT_OK) return true;
    text_printf(&run->c->log, "rnnc: error: %s\n", error);
    *status = EXIT_OUTSIDE;
    return false;
}

bool train_report_round(TrainRun *run, bool better, ExitStatus *status) {
    const TrainRound *round = &run->rounds.at[run->rounds.count - 1];
    bool valid = run->valid.count > 0;
    double now = train_clock();
    /* The epoch that ended, or that is under way. */
    int64_t epoch = run->at.epoch + (run->at.group > 0 || run->at.window > 0);
    Text line = text_new(run->c->arena), entry = text_new(run->c->arena);
    put_place(run, &line, epoch);
    text_printf(&line, "  loss %.4f", round->loss);
    if (valid) text_printf(&line, "  valid %.4f%s", round->valid, better ? " best" : "");
    put_speed(run, &line, now);
    run->watch->say(run->watch->user, text_string(&line), false);
    text_printf(&entry,
                "{\"event\": \"round\", \"round\": %d, \"epoch\": %" PRId64
                ", \"update\": %" PRId64,
                run->rounds.count, epoch, run->at.step);
    put_number(&entry, "loss", round->loss);
    put_number(&entry, "valid", round->valid);
    text_printf(&entry, ", \"best\": %s", valid && better ? "true" : "false");
    put_number(&entry, "rate", round->rate);
    put_number(&entry, "seconds", now - run->began);
    put_number(&entry, "steps_per_second", speed(run, now));
    return put_line(run, &entry, status) && write_curve(run, status);
}

bool train_report_end(TrainRun *run, const char *why, ExitStatus *status) {
    Text entry = text_new(run->c->arena);
    bool best = run->valid.count > 0 && run->stopping.best_round > 0;
    double now = train_clock();
    if (best && strcmp(why, "error") != 0) {
        const TrainRound *round = &run->rounds.at[run->stopping.best_round - 1];
        Text line = text_new(run->c->arena);
        text_printf(&line, "best: valid %.4f after update %.0f, in %s", round->valid, round->step,
                    run->c->options->out);
        run->watch->say(run->watch->user, text_string(&line), false);
    }
    text_printf(&entry, "{\"event\": \"end\", \"why\": \"%s\", \"update\": %" PRId64, why,
                run->at.step);
    put_number(&entry, "best", best ? run->rounds.at[run->stopping.best_round - 1].valid : NAN);
    put_number(&entry, "best_update",
               best ? run->rounds.at[run->stopping.best_round - 1].step : NAN);
    put_number(&entry, "seconds", now - run->began);
    return put_line(run, &entry, status) && (run->rounds.count == 0 || write_curve(run, status));
}
