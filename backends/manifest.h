/* The manifest: what a compiled model offers, as JSON, for programs that load the library by name.
 */
#ifndef RNNC_BACKENDS_MANIFEST_H
#define RNNC_BACKENDS_MANIFEST_H

#include "backend.h"

extern const Backend manifest_backend;

#endif
