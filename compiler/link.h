/* Shared libraries. */
#ifndef RNNC_LINK_H
#define RNNC_LINK_H

#include "pipeline.h"

/* Appends the object as a shared library of this name. False with the reason in c->log. */
bool link_shared(Compilation *c, const char *name, const Text *object, Text *out);

#endif
