/* What the command line says about training, as plain data; part of Options. */
#ifndef RNNC_TRAIN_OPTIONS_H
#define RNNC_TRAIN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "rnn_rt.h"
#include "support/arena.h"

typedef struct TrainOptions {
    const char *text_input, *text_target, *text_file; /* --text INPUT,TARGET=FILE; NULL: none */
    double valid;                                     /* share kept for validation; 0: none */
    bool valid_last;                                  /* the last sequences, not a random choice */
    int64_t batch;                                    /* sequences of one update */
    int64_t epochs, steps;                            /* -1: not given */
    int64_t window;        /* time steps of one update, the state carried; 0: whole sequences */
    int64_t eval_every;    /* updates between validations; 0: an epoch */
    int64_t patience;      /* rounds without a better one; 0: never stop early */
    RtOptimiser optimiser; /* with its learning rate */
    RtSchedule schedule;   /* base and, where it is the whole run, period are filled in later */
    bool schedule_epochs;  /* its steps are epochs, not updates */
    bool plateau;          /* lower the rate where validation does not get better */
    RtPlateau plateau_rule;
    double clip_norm;                     /* negative: none */
    double clip_value;                    /* negative: none */
    const char *checkpoint, *log, *curve; /* NULL: the default, none, none */
    bool resume;
} TrainOptions;

/* What holds where nothing is said. */
TrainOptions train_options(void);

/* Takes one option of training, "--batch" and its value. False with the reason in *why. */
bool train_option(Arena *arena, TrainOptions *options, const char *name, const char *value,
                  const char **why);

/* What only the whole line shows to be wrong. `in`: --in or --lengths was given. */
bool train_options_check(Arena *arena, const TrainOptions *options, bool in, const char *out,
                         const char **why);

#endif
