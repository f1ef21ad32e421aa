/* A model as C, compiled and opened, and calls of its functions. Private to run_c*.c. */
#ifndef RNNC_RUN_COMPILED_H
#define RNNC_RUN_COMPILED_H

#include "run_data.h"

/* Buffers are those of one call of the function over sequences, or of the steps of forward;
 * data->arena owns them. */
struct Compiled {
    RunData *data;
    const Interface *in;
    void *handle; /* of dlopen; or, with `machine`, of code in memory */
    const Machine *machine;
    int function, size; /* forward, loss or grad, and what tells its workspace */
    void *params, *weights, *state, *work, *loss, *grads;
    int64_t state_bytes, work_bytes;
    void **inputs, **outputs;    /* by slot, of the types that the function asks for */
    void **upstream, **in_grads; /* by slot of outputs, inputs */
    void **rows;                 /* [states] of export_state and import_state */
    int32_t **lengths, **found;  /* by axis */
    /* step: rows of inputs and outputs by slot, positions told by axis, which sequences are over */
    void **row_in, **row_out;
    int64_t **at;
    unsigned char *ended;
};

/* Makes the pool that --threads asks for, once a compilation, whose arena ends it. */
bool compiled_pool(Compilation *c);

/* run_door.c: loads the library of products where the model asks for them; behind emitted C what
 * takes addresses of the runtime, and puts them there. */
bool run_find_blas(Compilation *c);
void run_door(const Compilation *c, Text *code);
void run_open_door(const Compilation *c, void *handle);

/* What calls function `index` of the interface with an array of pointers. */
void *compiled_symbol(const Compiled *r, int index);
/* What the roles of its arguments ask for: pointers, and addresses of scalars. */
void **compiled_args(Compiled *r, int index);
/* Calls function `index` of the interface with them. */
int64_t compiled_call(Compiled *r, int index);
/* The same of one that returns a status; false where it refuses, said in c->diags. */
bool compiled_checked(Compiled *r, int index, ExitStatus *status);

/* Aligned to 64 bytes, zeroed, the arena's. */
void *compiled_aligned(Arena *arena, int64_t bytes);
double *compiled_widen(Arena *arena, LoopType type, const void *from, int64_t count);
/* The type of an argument; LT_VOID: there is none such. */
LoopType compiled_type(const Compiled *r, int index, ArgRole role, int slot);

/* Parameters, weights, inputs and lengths of `data`. */
bool compiled_begin(Compiled *r, RunData *data, ExitStatus *status);
bool compiled_pack(Compiled *r, ExitStatus *status); /* which begin leaves out where it can */
/* Whether `bytes`, told by function `size`, are within the memory budget; else says so. */
bool compiled_within(Compilation *c, const Interface *in, int size, int64_t bytes);
/* Workspace for function `work_size` (-1: none) and for a reset; with `state` a state that is
 * reset. */
bool compiled_space(Compiled *r, int work_size, bool state, ExitStatus *status);

#endif
