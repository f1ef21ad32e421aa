/* The two walks over a model: the check at its definition, and (sema.h) its instance as a Graph. */
#ifndef RNNC_SEMA_INSTANCE_H
#define RNNC_SEMA_INSTANCE_H

#include "sema/elab.h"

/* Checks a model with its sizes as unknowns; models with models in their bracket are left out. */
void check_model(Elab *e, const Model *model);

/* The value that `-D` gives. */
Num num_of_define(Elab *e, const SemaDefine *define);

#endif
