/* `rnnc run` and `rnnc grad`: tensors in, one call of a model through the interpreter or through
 * compiled C, tensors out. */
#ifndef RNNC_RUN_H
#define RNNC_RUN_H

#include "output.h"
#include "pipeline.h"

/* Compiles, reads the tensors, runs, and adds every result to `outputs`. What is wrong is in
 * c->diags (then EXIT_INPUT, or what report makes of it) or was added to c->log (then the status
 * says which kind). */
ExitStatus run_model(Compilation *c, Outputs *outputs);

#endif
