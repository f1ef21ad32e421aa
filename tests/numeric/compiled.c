/* Many models as one shared object, made by a C compiler of the system, in a folder that is gone
 * afterwards. A few lines of C behind each model turn its functions into ones that take an array of
 * pointers, so that no calling convention is guessed here. */
#define _XOPEN_SOURCE 700

#include "numeric.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backends/backend.h"
#include "backends/identifier.h"
#include "rnn_rt.h"

extern char **environ;

typedef int64_t (*Trampoline)(void *const *args);

void compiled_calls(const Interface *in, Text *out) {
    for (int f = 0; f < in->functions.count; f++) {
        const LFunction *function = in->module->functions.at[in->functions.at[f].function];
        if (!function->exported) continue;
        text_printf(out,
                    "int64_t %s_call_%d(void *const *a);\nint64_t %s_call_%d(void *const *a) {\n   "
                    " (void)a;\n    %s%s(",
                    in->module->prefix, f, in->module->prefix, f,
                    function->result == LT_VOID ? "" : "return ",
                    identifier_symbol(in->module, function->name));
        for (int i = 0; i < function->args.count; i++) {
            const LArg *arg = &function->args.at[i];
            if (i) text_puts(out, ", ");
            if (arg->pointer)
                text_printf(out, "a[%d]", i);
            else
                text_printf(out, "(%s)*(const int64_t *)a[%d]", identifier_type(arg->type), i);
        }
        text_printf(out, ");\n%s}\n", function->result == LT_VOID ? "    return 0;\n" : "");
    }
}

/* The runtime is in this program, which the loaded object does not see: its own address is put
 * there. */
static const char pool_door[] =
    "struct rnn_rt_pool;\n"
    "typedef void PoolFunction(void *, int64_t, int64_t);\n"
    "void (*door_run)(struct rnn_rt_pool *, PoolFunction *, void *);\n"
    "void (*door_barrier)(struct rnn_rt_pool *, int64_t);\n"
    "struct rnn_rt_pool *(*door_for)(struct rnn_rt_pool *, int64_t, int64_t);\n"
    "struct rnn_rt_pool *rnn_rt_pool_for(struct rnn_rt_pool *p, int64_t ns, int64_t barriers);\n"
    "struct rnn_rt_pool *rnn_rt_pool_for(struct rnn_rt_pool *p, int64_t ns, int64_t barriers) {\n"
    "    return door_for(p, ns, barriers);\n"
    "}\n"
    "void rnn_rt_pool_run(struct rnn_rt_pool *p, PoolFunction *f, void *context);\n"
    "void rnn_rt_pool_barrier(struct rnn_rt_pool *p, int64_t thread);\n"
    "void rnn_rt_pool_run(struct rnn_rt_pool *p, PoolFunction *f, void *context) {\n"
    "    door_run(p, f, context);\n"
    "}\n"
    "void rnn_rt_pool_barrier(struct rnn_rt_pool *p, int64_t thread) {\n"
    "    door_barrier(p, thread);\n"
    "}\n";

static void open_door(void *handle) {
    void (*run)(RtPool *, RtPoolFunction *, void *) = rnn_rt_pool_run;
    void (*barrier)(RtPool *, int64_t) = rnn_rt_pool_barrier;
    RtPool *(*choose)(RtPool *, int64_t, int64_t) = rnn_rt_pool_for;
    void *run_at = dlsym(handle, "door_run"), *barrier_at = dlsym(handle, "door_barrier");
    void *for_at = dlsym(handle, "door_for");
    if (for_at) memcpy(for_at, &choose, sizeof choose);
    if (run_at) memcpy(run_at, &run, sizeof run);
    if (barrier_at) memcpy(barrier_at, &barrier, sizeof barrier);
}

static bool write_file(const char *path, const Text *text) {
    FILE *file = fopen(path, "w");
    if (!file) return false;
    bool good = fwrite(text_string(text), 1, text->length, file) == text->length;
    return fclose(file) == 0 && good;
}

int64_t compiled_invoke(Arena *arena, const LFunction *function, void *symbol,
                        const LoopValue *args) {
    int count = function->args.count, at = loop_pool(function);
    void **list = ARENA_ARRAY(arena, count + 1, void *);
    int64_t *scalars = ARENA_ARRAY(arena, count + 1, int64_t);
    Trampoline trampoline;
    RtPool *pool = NULL;
    memcpy(&trampoline, &symbol, sizeof trampoline);
    for (int i = 0; i < count; i++) {
        scalars[i] = args[i].integer;
        list[i] = function->args.at[i].pointer ? args[i].pointer : (void *)&scalars[i];
    }
    char why[200] = "";
    if (at >= 0 && args[at].integer > 1 &&
        rnn_rt_pool_create(&pool, (int)args[at].integer, NULL, why, sizeof why) != RT_OK)
        fail_msg("%s", why);
    if (at >= 0) list[at] = pool;
    int64_t result = trampoline(list);
    rnn_rt_pool_destroy(pool);
    return result;
}

static bool call_compiled(Engine *engine, Arena *arena, const Built *built, int index,
                          const LoopValue *args, int count, int64_t *result, const char **error) {
    const Interface *in = built->in;
    const LFunction *function = in->module->functions.at[in->functions.at[index].function];
    const char *name = arena_printf(arena, "%s_call_%d", in->module->prefix, index);
    void *symbol = dlsym(engine->handle, name);
    (void)count;
    if (!symbol) {
        *error = arena_printf(arena, "there is no symbol %s", name);
        return false;
    }
    *result = compiled_invoke(arena, function, symbol, args);
    return true;
}

static void close_compiled(Engine *engine) {
    dlclose(engine->handle);
}

void engine_close(Engine *engine) {
    if (engine->close) engine->close(engine);
}

/* Starts the compiler with both outputs to `log`; -1: it is not installed. */
static int start(Arena *arena, const Compiler *compiler, char *const *words, const char *log) {
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status = 0;
    (void)arena;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    int error = posix_spawnp(&child, compiler->program, &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error) return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return 1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return -1;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static const char *beginning(Arena *arena, const char *path) {
    char text[2000];
    FILE *file = fopen(path, "r");
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    if (file) fclose(file);
    return arena_strndup(arena, text, n);
}

Engine *compiled_engine(Arena *arena, const Compiler *compiler, Built *const *models, int count,
                        bool *missing, const char **error) {
    const char *base = getenv("TMPDIR");
    if (strcmp(compiler->program, "llvm") == 0)
        return machine_engine(arena, compiler, models, count, missing, error);
    if (strncmp(compiler->program, "aarch64", 7) == 0)
        return remote_engine(arena, compiler, models, count, missing, error);
    char *folder = arena_printf(arena, "%s/rnnc-numeric-XXXXXX", base && *base ? base : "/tmp");
    VEC(char *) words = {0};
    VEC(char *) files = {0};
    *missing = false;
    *error = NULL;
    if (!mkdtemp(folder)) {
        *error = "cannot make a folder";
        return NULL;
    }
    char *object = arena_printf(arena, "%s/models.so", folder),
         *log = arena_printf(arena, "%s/log", folder);
    vec_push(arena, &words, arena_printf(arena, "%s", compiler->program));
    for (int i = 0; compiler->flags[i]; i++)
        vec_push(arena, &words, arena_printf(arena, "%s", compiler->flags[i]));
    vec_push(arena, &words, arena_printf(arena, "-fPIC"));
    vec_push(arena, &words, arena_printf(arena, "-shared"));
    vec_push(arena, &words, arena_printf(arena, "-o"));
    vec_push(arena, &words, object);
    for (int m = 0; m < count && !*error; m++) {
        Text code = text_new(arena), header = text_new(arena);
        const char *prefix = models[m]->in->module->prefix;
        BackendOptions options = {.header_name = arena_printf(arena, "%s.h", prefix),
                                  .version = "test"};
        char *c = arena_printf(arena, "%s/%s.c", folder, prefix),
             *h = arena_printf(arena, "%s/%s.h", folder, prefix);
        if (!backend_find("c")->emit(models[m]->in, &options, &code, models[m]->c->diags) ||
            !backend_header(models[m]->in, &options, &header, models[m]->c->diags)) {
            *error = "the backend reports a defect";
            break;
        }
        compiled_calls(models[m]->in, &code);
        if (m == 0) text_puts(&code, pool_door);
        if (!write_file(c, &code) || !write_file(h, &header)) *error = "cannot write the code";
        vec_push(arena, &words, c);
        vec_push(arena, &files, c);
        vec_push(arena, &files, h);
    }
    vec_push(arena, &words, NULL);
    Engine *engine = NULL;
    if (!*error) {
        int status = start(arena, compiler, words.at, log);
        if (status < 0)
            *missing = true;
        else if (status)
            *error = beginning(arena, log);
    }
    if (!*error && !*missing) {
        engine = ARENA_NEW(arena, Engine);
        *engine = (Engine){compiler->program, call_compiled, close_compiled,
                           dlopen(object, RTLD_NOW | RTLD_LOCAL)};
        if (engine->handle) {
            open_door(engine->handle);
        } else {
            *error = dlerror();
            engine = NULL;
        }
    }
    for (int i = 0; i < files.count; i++) unlink(files.at[i]);
    unlink(object);
    unlink(log);
    rmdir(folder);
    return engine;
}
