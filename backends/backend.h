/* A backend turns a Loop module into text or bytes: a struct of functions and a row in a table. */
#ifndef RNNC_BACKENDS_BACKEND_H
#define RNNC_BACKENDS_BACKEND_H

#include "machine.h"

typedef struct BackendOptions {
    const char *header_name; /* what the emitted file includes: "m.h" */
    const char *version;     /* of rnnc, for the first comment */
    const char *flags; /* a C compiler needs for the target: "-mavx2 -mfma"; NULL or "": none */
    const MachineOptions *machine; /* for llvm, asm, obj; NULL elsewhere */
} BackendOptions;

typedef struct Backend {
    const char *name; /* --emit= */
    const char *description;
    /* Appends the whole file. False after an internal error, reported to `diags`. */
    bool (*emit)(const Interface *interface_, const BackendOptions *options, Text *out,
                 Diags *diags);
} Backend;

extern const Backend *const backends[]; /* NULL-terminated */

extern const Backend llvm_backend, assembly_backend, object_backend; /* machine.c */

const Backend *backend_find(const char *name);

/* The header that goes with the code of any backend: C99, callable from C++. */
bool backend_header(const Interface *interface_, const BackendOptions *options, Text *out,
                    Diags *diags);

#endif
