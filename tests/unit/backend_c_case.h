/* What the tests of the C backend share: an Interface around a hand-built module, the compilers
 * that are there, a compiled library to call into. Compilers run without a shell. */
#ifndef RNNC_TEST_BACKEND_C_CASE_H
#define RNNC_TEST_BACKEND_C_CASE_H

#define _XOPEN_SOURCE 700

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/backend.h"

#define STRICT                                                                                     \
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow",             \
        "-Wdouble-promotion", "-Wvla", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wundef",   \
        "-Werror"

typedef struct Case {
    jmp_buf oom;
    Arena *arena;
    Names *names;
    Diags *diags;
    LoopModule *m;
    LFunction *f;
    LBlock *body;
    Interface *interface_;
    char folder[64];
} Case;

static inline Case *case_new(const char *prefix, int lanes, bool fma, LoopType real) {
    Case *x = test_calloc(1, sizeof *x);
    if (setjmp(x->oom)) fail_msg("out of memory");
    x->arena = arena_new(&x->oom);
    x->names = names_new(x->arena);
    x->diags = diags_new(x->arena);
    Target target = {
        .name = "test", .lanes = lanes, .fma = fma, .registers = 16, .l2_bytes = 1 << 20};
    x->m = loop_module_new(x->arena, x->names, name_of(x->names, prefix), target, real);
    Graph *graph = ARENA_NEW(x->arena, Graph);
    graph->arena = x->arena;
    graph->names = x->names;
    graph->model = name_of(x->names, prefix);
    x->interface_ = ARENA_NEW(x->arena, Interface);
    *x->interface_ = (Interface){.model = graph->model,
                                 .graph = graph,
                                 .module = x->m,
                                 .pack = -1,
                                 .forward = -1,
                                 .step = -1,
                                 .reset = -1,
                                 .state_bytes = -1,
                                 .forward_work = -1,
                                 .step_work = -1,
                                 .init = -1,
                                 .init_work = -1,
                                 .export_state = -1,
                                 .import_state = -1};
    snprintf(x->folder, sizeof x->folder, "/tmp/rnnc_backend_c_XXXXXX");
    assert_non_null(mkdtemp(x->folder));
    return x;
}

static inline const char *path_of(const Case *x, const char *file) {
    return arena_printf(x->arena, "%s/%s", x->folder, file);
}

/* RNNC_KEEP: the emitted files stay. */
static inline void case_done(Case *x) {
    const char *files[] = {"m.c", "m.h", "m.so", "m.o", "m.json", "u.c", "u.cc", "log", "u"};
    for (size_t i = 0; i < sizeof files / sizeof *files && !getenv("RNNC_KEEP"); i++)
        unlink(path_of(x, files[i]));
    rmdir(x->folder); /* stays where it is not empty */
    arena_free(x->arena);
    test_free(x);
}

static inline void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}

static inline void show_diags(const Case *x) {
    Text text = text_new(x->arena);
    diags_render(x->diags, false, &text);
    if (text.length) print_error("%s", text_string(&text));
}

/* Verifies the module and writes m.c and m.h; gives the text of m.c. */
static inline const char *emit(Case *x) {
    bool sound = loop_verify(x->m, true, "the test", x->diags);
    show_diags(x);
    assert_true(sound);
    BackendOptions options = {.header_name = "m.h", .version = "0"};
    Text code = text_new(x->arena), header = text_new(x->arena);
    bool done = backend_find("c")->emit(x->interface_, &options, &code, x->diags);
    show_diags(x);
    assert_true(done);
    assert_true(backend_header(x->interface_, &options, &header, x->diags));
    write_file(path_of(x, "m.c"), text_string(&code));
    write_file(path_of(x, "m.h"), text_string(&header));
    return text_string(&code);
}

/* Runs a program of PATH with stdout and stderr in the file `log`; its exit status, 127 where it is
 * absent. */
static inline int run_program(const Case *x, char *const *argv) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int log = open(path_of(x, "log"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(log, 1);
        dup2(log, 2);
        execvp(argv[0], argv);
        _exit(127);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static inline void show_log(const Case *x) {
    char line[400];
    FILE *log = fopen(path_of(x, "log"), "r");
    for (int i = 0; log && i < 30 && fgets(line, sizeof line, log); i++) print_error("%s", line);
    if (log) fclose(log);
}

static inline bool has_program(const Case *x, const char *name) {
    char *argv[] = {(char *)(uintptr_t)name, (char *)(uintptr_t) "-v", NULL};
    bool there = run_program(x, argv) != 127;
    if (!there) print_message("skipped: there is no %s\n", name);
    return there;
}

/* needs: 0 nothing, 1 fma, 2 AVX-512; -m flags are those of x86. */
static inline bool machine_has(int needs) {
#if defined(__x86_64__)
    return needs == 0 || (needs == 1 && __builtin_cpu_supports("fma")) ||
           (needs == 2 && __builtin_cpu_supports("avx512f"));
#else
    return needs == 0;
#endif
}

/* Compiles m.c to m.so (or `input` to `output`) and fails on any message. `flags` ends with NULL.
 */
static inline void compile_file(const Case *x, const char *compiler, const char *const *flags,
                                bool strict, const char *input, const char *output) {
    static const char *const warnings[] = {STRICT};
    const char *argv[64];
    int count = 0;
    argv[count++] = compiler;
    for (int i = 0; flags[i]; i++) argv[count++] = flags[i];
    for (size_t i = 0; strict && i < sizeof warnings / sizeof *warnings; i++)
        argv[count++] = warnings[i];
    argv[count++] = "-o";
    argv[count++] = path_of(x, output);
    argv[count++] = path_of(x, input);
    argv[count] = NULL;
    int status = run_program(x, (char *const *)(uintptr_t)argv);
    if (status != 0) {
        print_error("%s %s %s: status %d\n", compiler, flags[0], flags[0] ? flags[1] : "", status);
        show_log(x);
    }
    assert_int_equal(status, 0);
}

typedef struct Library {
    void *handle;
    void *function; /* <prefix>_f */
} Library;

static inline Library load(const Case *x, const char *symbol) {
    Library library = {.handle = dlopen(path_of(x, "m.so"), RTLD_NOW | RTLD_LOCAL)};
    if (!library.handle) fail_msg("%s", dlerror());
    library.function = dlsym(library.handle, symbol);
    assert_non_null(library.function);
    return library;
}

#endif
