/* Static libraries. */
#ifndef RNNC_BACKENDS_ARCHIVE_H
#define RNNC_BACKENDS_ARCHIVE_H

#include "loop/interface.h"

/* Appends a library that holds this object, which has the functions of `interface_`. */
void archive_write(const Interface *interface_, const Text *object, Text *out);

#endif
