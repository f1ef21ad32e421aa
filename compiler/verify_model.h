/* `rnnc verify`: for one model, gradients against central differences, and what is compiled against
 * the interpreter, on random inputs. */
#ifndef RNNC_VERIFY_MODEL_H
#define RNNC_VERIFY_MODEL_H

#include "pipeline.h"

/* Appends a table and a verdict to `out`. EXIT_DEFECT: something differs, and the verdict names it.
 * Another status: c->diags or c->log says why nothing was verified. */
ExitStatus verify_model(Compilation *c, Text *out);

/* ---- verify_backend.c ---- */

typedef struct VerifyFound {
    Text *out;           /* the table */
    const char *differs; /* the first thing that differs; NULL: nothing does */
    const char *nothing; /* why there are no gradients to compare; NULL: there are */
    int compared;
} VerifyFound;

/* The C backend's forward, states and steps against the interpreter, within its bound. `c` has gone
 * to STAGE_LOOP. False: *status is that of the surroundings, and c->log says why. */
bool verify_backend(Compilation *c, VerifyFound *found, ExitStatus *status);

/* ---- verify_train.c ---- */

/* The compiled gradient against the interpreter's, and, in double precision, against central
 * differences. `c` has gone to STAGE_LOOP in train mode, with the functions of training. */
bool verify_train(Compilation *c, VerifyFound *found, ExitStatus *status);

/* "3 sequences of 5, 1, 3". */
struct VerifySize;
const char *verify_size_text(Arena *arena, const struct VerifySize *size);

#endif
