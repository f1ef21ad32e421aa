/* Models as machine code in memory, by backends/llvm: each function an object of its own, compiled
 * when it is first called. */
#include "numeric.h"

#include "backends/machine.h"
#include "rnn_rt.h"

typedef struct Code {
    const Machine *machine;
    const Built **models;
    void **loaded; /* [models] */
    int count;
} Code;

static bool call_machine(Engine *engine, Arena *arena, const Built *built, int index,
                         const LoopValue *args, int count, int64_t *result, const char **error) {
    const Code *code = engine->handle;
    const LFunction *function =
        built->in->module->functions.at[built->in->functions.at[index].function];
    void *loaded = NULL;
    (void)count;
    for (int m = 0; m < code->count; m++)
        if (code->models[m] == built) loaded = code->loaded[m];
    void *symbol = loaded ? code->machine->symbol(loaded, index) : NULL;
    if (!symbol) {
        *error = arena_printf(arena, "there is no code of %s", function->name);
        return false;
    }
    *result = compiled_invoke(arena, function, symbol, args);
    return true;
}

static void close_machine(Engine *engine) {
    const Code *code = engine->handle;
    for (int m = 0; m < code->count; m++)
        if (code->loaded[m]) code->machine->close(code->loaded[m]);
}

Engine *machine_engine(Arena *arena, const Compiler *compiler, Built *const *models, int count,
                       bool *missing, const char **error) {
    Code *code = ARENA_NEW(arena, Code);
    const char *why = "";
    *missing = false;
    *error = NULL;
    *code = (Code){machine_find(arena, &why), ARENA_ARRAY(arena, count + 1, const Built *),
                   ARENA_ARRAY(arena, count + 1, void *), count};
    if (!code->machine) {
        *missing = true;
        return NULL;
    }
    Engine *engine = ARENA_NEW(arena, Engine);
    *engine = (Engine){"llvm", call_machine, close_machine, code};
    for (int m = 0; m < count && !*error; m++) {
        const Built *built = code->models[m] = models[m];
        const MachineTarget *target = target_machine(arena, built->in->module->target.name);
        assert_non_null(target);
        MachineSymbol *symbols = ARENA_ARRAY(arena, 6, MachineSymbol);
        symbols[0] = (MachineSymbol){"rnn_rt_pool_run", (uintptr_t)rnn_rt_pool_run};
        symbols[1] = (MachineSymbol){"rnn_rt_pool_barrier", (uintptr_t)rnn_rt_pool_barrier};
        symbols[2] = (MachineSymbol){"rnn_rt_pool_for", (uintptr_t)rnn_rt_pool_for};
        if (loop_has_gemm(built->in->module) && !machine_blas(arena, symbols + 3, &why)) {
            *missing = true;
            return NULL;
        }
        MachineOptions options = {.target = *target,
                                  .symbols = symbols,
                                  .level = compiler->flags[0][2] - '0',
                                  .calls = "rnnc",
                                  .version = "test"};
        code->loaded[m] = code->machine->open(arena, built->in, &options, built->c->diags, &why);
        if (!code->loaded[m]) *error = why;
    }
    if (!*error) return engine;
    close_machine(engine);
    return NULL;
}
