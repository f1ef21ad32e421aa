/* Tuning files: what `rnnc tune` found to be fast on one machine, for compilations to come.
 *
 *   rnnc tuning 1
 *   model NAME HASH            of its equations, sizes and all
 *   target NAME f32|f64 threads=N
 *   infer OPTION …             what `forward` and `step` are to be made with; nothing: by the rules
 *   train OPTION …             `loss` and `grad`
 *
 * `#` begins a comment. Options are those that change no bit: --tile=RxV, --layout=,
 * --unroll-time=,
 * --threads=N:SPLIT, --disable-pass= of what --list-passes calls free. */
#ifndef RNNC_TUNING_H
#define RNNC_TUNING_H

#include "pipeline.h"

/* Reads c->options->tuning into c->force, c->choices and those of training, where the options of
 * the command line leave something open. False: c->diags says what is wrong, or does not fit. */
bool tuning_read(Compilation *c);

/* Takes over what `made` leaves open. */
void made_merge(Made *made, const Force *force, const Choices *choices);

/* As options, each behind a blank; nothing where all is as the rules say. */
void made_text(const Made *made, int threads, Text *out);

/* A file that holds these choices, with a word each on how they were found; NULL: they were not. */
void tuning_write(Compilation *c, const Made made[2], const char *const notes[2], Text *out);

#endif
