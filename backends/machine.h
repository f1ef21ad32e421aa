/* Machine code: the door to backends/llvm. That room is a shared library beside the program, loaded
 * when it is first asked for, so that nothing else pays for LLVM, and everything else works without
 * it. */
#ifndef RNNC_BACKENDS_MACHINE_H
#define RNNC_BACKENDS_MACHINE_H

#include "loop/interface.h"

/* A processor in LLVM's words. */
typedef struct MachineTarget {
    const char *triple;   /* NULL: no machine code for this one */
    const char *cpu;      /* "" is the architecture's least */
    const char *features; /* "+avx2,+fma" */
    int level; /* what a running program asks its processor for; 0: it cannot. x86-64: 1 to 4 */
} MachineTarget;

/* One of several processors that an object is for. */
typedef struct MachineVersion {
    const char *name; /* behind symbols: "x86_64_v3" */
    const Interface *interface_;
    MachineTarget target;
} MachineVersion;

typedef enum MachineKind { MACHINE_TEXT, MACHINE_ASSEMBLY, MACHINE_OBJECT } MachineKind;

/* A function of this program that code in memory may call. */
typedef struct MachineSymbol {
    const char *name;
    uint64_t address;
} MachineSymbol;

typedef struct MachineOptions {
    MachineTarget target;
    int level; /* of optimisation, 0 to 3 */
    /* Several processors, from weak to strong: each function is there for all of them, and which
     * one a call means is chosen when the program is loaded. None: `target` alone. */
    const MachineVersion *versions;
    int version_count;
    /* Not NULL: also `int64_t CALLS_call_N(void *const *args)` for function N of the interface,
     * which calls it with pointers as they are and scalars from the int64_t behind theirs. */
    const char *calls;
    const MachineSymbol *symbols; /* for code in memory; the last has no name; NULL: none */
    const char *version;          /* of rnnc */
    void *user;
    void (*stage)(void *user, const char *what); /* a stage is done; may be NULL */
} MachineOptions;

/* Sizes of what both sides must see alike. */
#define MACHINE_LAYOUT                                                                             \
    ((int64_t)(sizeof(Interface) + 1000 * sizeof(LFunction) + 1000000 * sizeof(LStmt)) +           \
     SOP_COUNT + (int64_t)sizeof(MachineOptions) * 1000000000)

/* What the library offers. */
typedef struct Machine {
    int64_t layout;      /* MACHINE_LAYOUT: the library of another rnnc is refused */
    int (*single)(void); /* arena_is_single: so is that of another build */
    /* Appends the module as LLVM's text, assembly or an object file. False after an error,
     * reported to `diags`. */
    bool (*emit)(const Interface *interface_, const MachineOptions *options, MachineKind kind,
                 Text *out, Diags *diags);
    /* The model in memory, for `symbol`; NULL with the reason in *why. The arena ends it if `close`
     * does not; all arguments must stay as long. */
    void *(*open)(Arena *arena, const Interface *interface_, const MachineOptions *options,
                  Diags *diags, const char **why);
    /* CALLS_call_N of function N of the interface; compiled when it is first asked for. NULL after
     * an error, reported to `diags`. */
    void *(*symbol)(void *opened, int function);
    void (*close)(void *opened);
} Machine;

/* NULL with the reason in *why where LLVM is not built in. */
const Machine *machine_find(Arena *arena, const char **why);

/* The runtime's products of matrices, of F32 and F64, from a library of their own beside the
 * program; false with the reason in *why where none is built in. */
bool machine_blas(Arena *arena, MachineSymbol symbols[2], const char **why);

#endif
