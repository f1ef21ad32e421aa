/* Reading source files. */
#ifndef RNNC_INPUT_H
#define RNNC_INPUT_H

#include "support/source.h"

/* The file as a source in `arena`; "-" is standard input. NULL with the reason in *why. */
const Source *input_source(Arena *arena, const char *path, const char **why);

#endif
