/* Models for another architecture, linked with remote/driver.c by a cross compiler and called under
 * an emulator: arguments go there and come back through pipes. */
#define _GNU_SOURCE

#include "numeric.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/backend.h"

extern char **environ;

/* An architecture of Debian's cross compilers and emulators. */
static const char cross[] = "aarch64-linux-gnu-gcc", emulator[] = "qemu-aarch64";

enum { SCALAR, POINTER, NONE };

typedef struct Remote {
    pid_t process;
    FILE *to, *from;
    Built *const *models;
    int *first; /* [models]: of its functions in the driver's table */
    int count;
} Remote;

static bool spawn(char *const *words, const posix_spawn_file_actions_t *actions, pid_t *child) {
    return posix_spawnp(child, words[0], actions, NULL, words, environ) == 0;
}

static bool is_installed(Arena *arena, const char *program) {
    char *path = arena_printf(arena, "%s", getenv("PATH") ? getenv("PATH") : ""), *rest = NULL;
    for (char *folder = strtok_r(path, ":", &rest); folder; folder = strtok_r(NULL, ":", &rest))
        if (access(arena_printf(arena, "%s/%s", folder, program), X_OK) == 0) return true;
    return false;
}

/* ---- calls ---- */

static void put(Remote *r, const void *from, size_t size) {
    if (size) fwrite(from, size, 1, r->to);
}

static void put_arg(Remote *r, const LoopValue *arg, bool pointer) {
    int32_t head[2] = {!pointer       ? SCALAR
                       : arg->pointer ? POINTER
                                      : NONE,
                       (int32_t)((uintptr_t)arg->pointer % 64)};
    int64_t value = pointer ? (int64_t)arg->bytes : arg->integer;
    put(r, head, sizeof head);
    put(r, &value, sizeof value);
    if (head[0] == POINTER) put(r, arg->pointer, arg->bytes);
}

static bool call_remote(Engine *engine, Arena *arena, const Built *built, int index,
                        const LoopValue *args, int count, int64_t *result, const char **error) {
    Remote *r = engine->handle;
    const LFunction *function =
        built->in->module->functions.at[built->in->functions.at[index].function];
    int32_t head[2] = {-1, count}, bad = 0;
    for (int m = 0; m < r->count; m++)
        if (r->models[m] == built) head[0] = r->first[m] + index;
    put(r, head, sizeof head);
    for (int i = 0; i < count; i++) put_arg(r, &args[i], function->args.at[i].pointer);
    bool good = fflush(r->to) == 0 && fread(result, sizeof *result, 1, r->from) == 1 &&
                fread(&bad, sizeof bad, 1, r->from) == 1;
    for (int i = 0; good && i < count; i++)
        if (function->args.at[i].pointer && args[i].pointer && args[i].bytes)
            good = fread(args[i].pointer, args[i].bytes, 1, r->from) == 1;
    if (!good)
        *error = arena_printf(arena, "%s ended in a call of %s", emulator, function->name);
    else if (bad)
        *error = arena_printf(arena, "%s was written outside of its bounds",
                              function->args.at[bad - 1].name);
    return good && !bad;
}

static void close_remote(Engine *engine) {
    Remote *r = engine->handle;
    int status;
    fclose(r->to);
    fclose(r->from);
    waitpid(r->process, &status, 0);
}

/* ---- building ---- */

typedef struct Build {
    Arena *arena;
    const char *folder;
    VEC(char *) words, files;
    Text table; /* the functions, as C */
    const char *error;
} Build;

static void add_file(Build *b, const char *name, const Text *text, bool compiled) {
    char *path = arena_printf(b->arena, "%s/%s", b->folder, name);
    FILE *file = fopen(path, "wb");
    bool good = file && fwrite(text_string(text), 1, text->length, file) == text->length;
    if (file && fclose(file) != 0) good = false;
    if (!good) b->error = "cannot write the code";
    vec_push(b->arena, &b->files, path);
    if (compiled) vec_push(b->arena, &b->words, path);
}

static void add_object(Build *b, const Built *built, const Machine *machine, int level) {
    const char *prefix = built->in->module->prefix;
    MachineOptions options = {.target = *target_machine(b->arena, built->in->module->target.name),
                              .level = level,
                              .calls = prefix,
                              .version = "test"};
    Text object = text_new(b->arena);
    if (!machine->emit(built->in, &options, MACHINE_OBJECT, &object, built->c->diags))
        b->error = "the backend reports a defect";
    add_file(b, arena_printf(b->arena, "%s.o", prefix), &object, true);
}

static void add_c(Build *b, const Built *built) {
    Text code = text_new(b->arena), header = text_new(b->arena);
    const char *prefix = built->in->module->prefix;
    BackendOptions options = {.header_name = arena_printf(b->arena, "%s.h", prefix),
                              .version = "test"};
    if (!backend_find("c")->emit(built->in, &options, &code, built->c->diags) ||
        !backend_header(built->in, &options, &header, built->c->diags))
        b->error = "the backend reports a defect";
    compiled_calls(built->in, &code);
    add_file(b, arena_printf(b->arena, "%s.c", prefix), &code, true);
    add_file(b, options.header_name, &header, false);
}

/* Functions that cannot be called from outside have a place in the table, too. */
static int add_functions(Build *b, const Interface *in) {
    for (int f = 0; f < in->functions.count; f++) {
        bool exported = in->module->functions.at[in->functions.at[f].function]->exported;
        text_printf(&b->table, exported ? "F(%s_call_%d)\n" : "G(%s_call_%d)\n", in->module->prefix,
                    f);
    }
    return in->functions.count;
}

/* The table as C: the list of functions is read twice. */
static void add_table(Build *b) {
    Text list = b->table, text = text_new(b->arena);
    add_file(b, "list.h", &list, false);
    text_puts(&text, "#include <stdint.h>\ntypedef int64_t Function(void *const *);\n"
                     "#define F(name) Function name;\n#define G(name)\n#include \"list.h\"\n"
                     "#undef F\n#undef G\n#define F(name) name,\n#define G(name) 0,\n"
                     "extern Function *const functions[];\n"
                     "static int64_t ready(void *const *a) {\n    (void)a;\n    return 0;\n}\n"
                     "Function *const functions[] = {\n#include \"list.h\"\nready};\n"
                     /* One thread: emulators are no place for races. */
                     "struct rnn_rt_pool;\n"
                     "struct rnn_rt_pool *rnn_rt_pool_for(struct rnn_rt_pool *pool, int64_t ns,\n"
                     "                                    int64_t barriers) {\n"
                     "    (void)ns;\n    (void)barriers;\n    return pool;\n}\n"
                     "void rnn_rt_pool_run(struct rnn_rt_pool *pool,\n"
                     "                     void (*f)(void *, int64_t, int64_t), void *context) {\n"
                     "    (void)pool;\n    f(context, 0, 1);\n}\n"
                     "void rnn_rt_pool_barrier(struct rnn_rt_pool *pool, int64_t thread) {\n"
                     "    (void)pool;\n    (void)thread;\n}\n");
    add_file(b, "table.c", &text, true);
}

static void link_program(Build *b, char *program) {
    const char *const rest[] = {"tests/numeric/remote/driver.c", "-static", "-o"};
    char *log = arena_printf(b->arena, "%s/log", b->folder);
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = 0;
    for (int i = 0; i < 3; i++)
        vec_push(b->arena, &b->words, arena_strndup(b->arena, rest[i], strlen(rest[i])));
    vec_push(b->arena, &b->words, program);
    vec_push(b->arena, &b->words, NULL);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (!spawn(b->words.at, &actions, &child) || waitpid(child, &status, 0) < 0 || status != 0) {
        char text[1500];
        FILE *file = fopen(log, "r");
        size_t n = file ? fread(text, 1, sizeof text, file) : 0;
        if (file) fclose(file);
        b->error = arena_strndup(b->arena, text, n);
    }
    posix_spawn_file_actions_destroy(&actions);
    unlink(log);
}

static Remote *start(Arena *arena, const char *program, const char **error) {
    posix_spawn_file_actions_t actions;
    Remote *r = ARENA_NEW(arena, Remote);
    int in[2], out[2];
    char *words[] = {arena_printf(arena, "%s", emulator), arena_printf(arena, "%s", program), NULL};
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC)) {
        *error = "no pipe";
        return NULL;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    if (!spawn(words, &actions, &r->process)) *error = "the emulator does not start";
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    r->to = fdopen(in[1], "wb");
    r->from = fdopen(out[0], "rb");
    return r;
}

Engine *remote_engine(Arena *arena, const Compiler *compiler, Built *const *models, int count,
                      bool *missing, const char **error) {
    const char *base = getenv("TMPDIR"), *why = "";
    bool by_c = strcmp(compiler->program, "aarch64 gcc") == 0;
    const Machine *machine = by_c ? NULL : machine_find(arena, &why);
    Build b = {.arena = arena, .table = text_new(arena)};
    char *folder = arena_printf(arena, "%s/rnnc-remote-XXXXXX", base && *base ? base : "/tmp");
    *error = NULL;
    *missing = !is_installed(arena, cross) || !is_installed(arena, emulator) || !(machine || by_c);
    if (*missing) return NULL;
    if (!mkdtemp(folder)) {
        *error = "cannot make a folder";
        return NULL;
    }
    b.folder = folder;
    int *first = ARENA_ARRAY(arena, count + 1, int), functions = 0;
    vec_push(arena, &b.words, arena_printf(arena, "%s", cross));
    for (int i = 0; by_c && compiler->flags[i]; i++)
        vec_push(arena, &b.words, arena_printf(arena, "%s", compiler->flags[i]));
    for (int m = 0; m < count && !b.error; m++) {
        if (by_c)
            add_c(&b, models[m]);
        else
            add_object(&b, models[m], machine, compiler->flags[0][2] - '0');
        first[m] = functions;
        functions += add_functions(&b, models[m]->in);
    }
    char *program = arena_printf(arena, "%s/models", folder);
    add_table(&b);
    if (!b.error) link_program(&b, program);
    Engine *engine = ARENA_NEW(arena, Engine);
    Remote *r = b.error ? NULL : start(arena, program, &b.error);
    for (int i = 0; i < b.files.count; i++) unlink(b.files.at[i]);
    *error = b.error;
    *engine = (Engine){compiler->program, call_remote, close_remote, r};
    if (r) {
        r->models = models;
        r->first = first;
        r->count = count;
        /* The program has begun to run, or never will, once it answers. */
        int64_t result = 0;
        int32_t bad = 0, none[2] = {functions, 0};
        put(r, none, sizeof none);
        if (fflush(r->to) || fread(&result, sizeof result, 1, r->from) != 1 ||
            fread(&bad, sizeof bad, 1, r->from) != 1)
            *error = "the emulator does not answer";
    }
    unlink(program);
    rmdir(folder);
    return *error ? NULL : engine;
}
