/* `rnnc train`: parameters from data, through the gradient of the model. */
#ifndef RNNC_TRAIN_H
#define RNNC_TRAIN_H

#include "pipeline.h"

/* Where a run tells how it goes, while it goes; main.c prints. */
typedef struct TrainWatch {
    void *user;
    bool terminal; /* passing lines are wanted */
    /* One line. `passing`: the next one is written over it. */
    void (*say)(void *user, const char *line, bool passing);
} TrainWatch;

/* Trains and writes the files that the options name, as it goes. What is wrong is in c->diags (then
 * EXIT_INPUT, or what report makes of it) or in c->log. A signal that ends the process is held back
 * until a checkpoint is written, and ends it then: call signals_release with *mask in the end. */
ExitStatus train_model(Compilation *c, const TrainWatch *watch);

#endif
