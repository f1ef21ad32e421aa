/* One training run. Private to train*.c. */
#ifndef RNNC_TRAIN_RUN_H
#define RNNC_TRAIN_RUN_H

#include <stdio.h>

#include "train.h"
#include "train_data.h"

/* Where a run stands; plain numbers, all of them in the checkpoint. */
typedef struct TrainPlace {
    int64_t step;                 /* updates done */
    int64_t epoch, group, window; /* what comes next */
    int64_t due;                  /* the end of a round waits for its validation */
    double loss, weight;          /* sums over the round */
} TrainPlace;

/* One round: from one validation to the next. */
typedef struct TrainRound {
    double step, loss, valid, rate; /* valid: NaN where there is none */
} TrainRound;

typedef struct TrainRun {
    Compilation *c;
    const TrainOptions *o;
    const TrainWatch *watch;
    TrainEngine *engine;
    /* parameters: flat arrays of the engine's type */
    size_t n;
    VEC(RtPlace) places;
    VEC(RtRange) ranges; /* what is trained */
    void *params, *grads, *moments, *best;
    RtOptimiser optimiser;
    RtSchedule schedule;
    RtStopping stopping;
    RtPlateau plateau;
    double plateau_rate;
    /* data */
    TrainSet train, valid, shuffled;
    TrainGather *gather, *gather_valid;
    const char *vocabulary; /* of a text */
    int axis;               /* that windows are cut of; -1: whole sequences */
    int64_t window;
    int64_t groups, windows; /* an epoch has groups * windows updates at most */
    int64_t total;           /* updates in all, at most */
    TrainPlace at;
    VEC(TrainRound) rounds;
    /* this process */
    const char *checkpoint;
    FILE *log;
    double began, told; /* seconds */
    int64_t positions;  /* time steps trained on */
    int64_t first_step;
} TrainRun;

double train_clock(void);

/* The validation loss: the mean over all sequences, as the loss counts them. */
bool train_validate(TrainRun *run, double *loss, ExitStatus *status);

/* Updates until the end, a signal (*stopped), or an error. */
bool train_loop(TrainRun *run, bool *stopped, ExitStatus *status);

/* train_save.c: parameters to the file of -o; all of the run; and back. */
bool train_write_weights(TrainRun *run, const void *params, ExitStatus *status);
bool train_write_checkpoint(TrainRun *run, ExitStatus *status);
bool train_read_checkpoint(TrainRun *run, ExitStatus *status);
/* The sequences of the group that comes next. */
RtRange train_group(const TrainRun *run);

/* train_report.c: lines for people, lines for programs, the picture. */
bool train_report_open(TrainRun *run, ExitStatus *status);
void train_report_step(TrainRun *run, double loss, double norm);
bool train_report_round(TrainRun *run, bool better, ExitStatus *status);
bool train_report_end(TrainRun *run, const char *why, ExitStatus *status);

/* train_curve.c: both losses over the updates, SVG. */
void train_curve(const TrainRun *run, Text *out);

#endif
