/* Finds the library of backends/llvm, and gives its outputs rows in the table of backends; and that
 * of products of matrices, for code that runs at once. */
#define _XOPEN_SOURCE 700

#include "machine.h"

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "backend.h"

#define LIBRARY "rnnc-llvm.so"
#define BLAS "rnnc-blas.so"

/* The folder of this program, with a slash. */
static const char *own_folder(Arena *arena) {
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0) return "./";
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    return slash ? arena_strndup(arena, path, (size_t)(slash + 1 - path)) : "./";
}

/* A library of ours, or NULL. */
static void *open_library(Arena *arena, const char *name, const char **why) {
    /* Beside rnnc; beside the folder of a test; where `make install` puts it. */
    static const char *const places[] = {"", "../", "../lib/rnnc/"};
    const char *folder = own_folder(arena);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *path = arena_printf(arena, "%s%s%s", folder, places[i], name);
        if (access(path, R_OK) != 0) continue;
        /* Stays open: the loader counts, and closes it with the process. */
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        const char *error = handle ? NULL : dlerror();
        if (error) *why = arena_printf(arena, "%s cannot be used: %s", name, error);
        return handle;
    }
    return NULL;
}

const Machine *machine_find(Arena *arena, const char **why) {
    *why = "LLVM is not built in";
    void *handle = open_library(arena, LIBRARY, why);
    if (!handle) return NULL;
    const Machine *machine = dlsym(handle, "rnnc_machine");
    if (machine && machine->layout == MACHINE_LAYOUT && machine->single() == arena_is_single())
        return machine;
    const char *error = machine ? "it belongs to another rnnc" : dlerror();
    *why = arena_printf(arena, "%s cannot be used: %s", LIBRARY, error ? error : "no symbol");
    return NULL;
}

bool machine_blas(Arena *arena, MachineSymbol symbols[2], const char **why) {
    *why = "no BLAS is built in";
    void *handle = open_library(arena, BLAS, why);
    for (int i = 0; i < 2 && handle; i++) {
        const char *name = loop_gemm_symbol(i ? LT_F64 : LT_F32);
        void *at = dlsym(handle, name);
        if (!at) {
            *why = arena_printf(arena, "%s cannot be used: no symbol", BLAS);
            return false;
        }
        symbols[i] = (MachineSymbol){name, (uintptr_t)at};
    }
    return handle != NULL;
}

static bool emit(const Interface *interface_, const BackendOptions *options, MachineKind kind,
                 Text *out, Diags *diags) {
    const char *why;
    const Machine *machine = machine_find(out->arena, &why);
    if (!machine) {
        diag_error(diags, "internal", (Span){0}, "%s", why);
        return false;
    }
    return machine->emit(interface_, options->machine, kind, out, diags);
}

static bool emit_text(const Interface *interface_, const BackendOptions *options, Text *out,
                      Diags *diags) {
    return emit(interface_, options, MACHINE_TEXT, out, diags);
}

static bool emit_assembly(const Interface *interface_, const BackendOptions *options, Text *out,
                          Diags *diags) {
    return emit(interface_, options, MACHINE_ASSEMBLY, out, diags);
}

static bool emit_object(const Interface *interface_, const BackendOptions *options, Text *out,
                        Diags *diags) {
    return emit(interface_, options, MACHINE_OBJECT, out, diags);
}

const Backend llvm_backend = {"llvm", "LLVM's text form, before its optimiser", emit_text};
const Backend assembly_backend = {"asm", "assembly, through LLVM", emit_assembly};
const Backend object_backend = {"obj", "an object file, through LLVM", emit_object};
