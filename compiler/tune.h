/* `rnnc tune`: what makes a model fast on this machine, found by trying. */
#ifndef RNNC_TUNE_H
#define RNNC_TUNE_H

#include "pipeline.h"

/* Appends a table to `table` and the tuning file to `file` (tuning.h). Another status than
 * EXIT_DONE: c->diags or c->log says why. */
ExitStatus tune_model(Compilation *c, Text *table, Text *file);

#endif
