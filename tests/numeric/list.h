/* The models that the numeric tests run: all of a folder, in the modes that they have, at several
 * sizes. */
#ifndef RNNC_TEST_NUMERIC_LIST_H
#define RNNC_TEST_NUMERIC_LIST_H

#include "numeric.h"

typedef struct Case {
    const char *what, *file, *model;
    Mode mode;
    const Define *defines;
    int define_count;
    bool swept;      /* `defines` holds one of many values of its size */
    bool may_refuse; /* E-LOWER is an answer */
} Case;

/* Fills `list` with the models of the files of `folder`; returns how many. A file whose first line
 * is `# sizes NAME` is taken at many values of that size; `# modes` in it: also in eval and train
 * mode. */
int list_folder(Arena *arena, const char *folder, bool may_refuse, Case *list, int most);

#endif
