/* Parallel regions through LLVM: in memory, and as an object that the system's linker takes; the
 * Loop evaluator's results for any number of threads. */
#include "region_case.h"

#include "targets.h"

static const MachineSymbol *symbols(Case *x) {
    MachineSymbol *list = ARENA_ARRAY(x->arena, 4, MachineSymbol);
    list[0] = (MachineSymbol){"rnn_rt_pool_run", (uintptr_t)rnn_rt_pool_run};
    list[1] = (MachineSymbol){"rnn_rt_pool_barrier", (uintptr_t)rnn_rt_pool_barrier};
    list[2] = (MachineSymbol){"rnn_rt_pool_for", (uintptr_t)rnn_rt_pool_for};
    return list;
}

/* NULL where there is no LLVM, or no such processor. */
static const Machine *find(Case *x, MachineOptions *options, int level) {
    const char *why = "";
    const Machine *machine = machine_find(x->arena, &why);
    const MachineTarget *target = target_machine(x->arena, "x86-64-v3");
    bool here = false;
#if defined(__x86_64__)
    here = machine_has(1);
#endif
    if (!machine || !target || !here) {
        print_message("skipped: %s\n", machine ? "another processor" : why);
        return NULL;
    }
    *options = (MachineOptions){
        .target = *target, .level = level, .calls = "test", .symbols = symbols(x), .version = "0"};
    return machine;
}

static void computes(void **state) {
    (void)state;
    static float in[COUNT], bias[UNITS], want[COUNT], got[COUNT];
    _Alignas(64) static float work[2 * UNITS];
    fill(in, bias);
    for (int level = 0; level < 4; level++) {
        Case *x = parsed(program());
        MachineOptions options;
        const Machine *machine = find(x, &options, level);
        if (level % 2) place(x); /* as with -g */
        const char *why = "";
        vec_push(x->arena, &x->interface_->functions, (InterfaceFunction){.function = 1});
        void *opened =
            machine ? machine->open(x->arena, x->interface_, &options, x->diags, &why) : NULL;
        void *symbol = opened ? machine->symbol(opened, 0) : NULL;
        show_diags(x);
        if (machine && !symbol) fail_msg("%s", why);
        int64_t (*call)(void *const *args);
        memcpy(&call, &symbol, sizeof call);
        for (int threads = 0; threads < 5 && symbol; threads++) {
            RtPool *pool = NULL;
            if (threads) assert_int_equal(rnn_rt_pool_create(&pool, threads, NULL, NULL, 0), RT_OK);
            for (int with = 0; with < 2; with++) {
                int64_t units = UNITS, steps = STEPS;
                void *args[] = {in, got, work, &units, &steps, with ? bias : NULL, pool};
                evaluate(x, in, with ? bias : NULL, threads, want);
                for (int again = 0; again < 20; again++) {
                    memset(got, 0, sizeof got);
                    assert_int_equal(call(args), 0);
                    assert_memory_equal(want, got, sizeof got);
                }
            }
            rnn_rt_pool_destroy(pool);
        }
        if (opened) machine->close(opened);
        case_done(x);
    }
}

/* Of the region's function nobody outside knows; of the runtime it asks two functions. */
static void text_of_code(void **state) {
    (void)state;
    Case *x = parsed(program());
    MachineOptions options;
    const Machine *machine = find(x, &options, 2);
    Text out = text_new(x->arena);
    if (machine) {
        assert_true(machine->emit(x->interface_, &options, MACHINE_TEXT, &out, x->diags));
        const char *text = text_string(&out);
        assert_non_null(strstr(text, "define internal void @net_forward_region_1(ptr"));
        assert_non_null(strstr(text, "define internal void @net_forward_region_2(ptr"));
        assert_null(strstr(text, "region_3"));
        assert_non_null(strstr(text, "declare void @rnn_rt_pool_run(ptr, ptr, ptr)"));
        assert_non_null(strstr(text, "declare void @rnn_rt_pool_barrier(ptr, i64)"));
        assert_non_null(strstr(text, "declare ptr @rnn_rt_pool_for(ptr, i64, i64)"));
    }
    case_done(x);
}

/* In an object for several processors each has regions of its own, compiled for it. */
static void several_processors(void **state) {
    (void)state;
    Case *x = parsed(program());
    MachineOptions options;
    const Machine *machine = find(x, &options, 2);
    const MachineTarget *other = target_machine(x->arena, "x86-64-v4");
    Text out = text_new(x->arena), object = text_new(x->arena);
    if (machine && other) {
        const MachineVersion versions[] = {{"v3", x->interface_, options.target},
                                           {"v4", x->interface_, *other}};
        options.calls = NULL;
        options.versions = versions;
        options.version_count = 2;
        assert_true(machine->emit(x->interface_, &options, MACHINE_TEXT, &out, x->diags));
        assert_true(machine->emit(x->interface_, &options, MACHINE_OBJECT, &object, x->diags));
        int found = 0, numbers[2] = {0};
        const char *at = text_string(&out);
        while ((at = strstr(at, "define internal void @net_forward")) != NULL) {
            const char *end = strchr(at, '\n'), *group = strstr(at, ") #");
            assert_true(group && group < end);
            if (strstr(at, "region_2(") && strstr(at, "region_2(") < end)
                numbers[found++ & 1] = atoi(group + 3);
            at = end;
        }
        assert_int_equal(found, 2);
        assert_int_not_equal(numbers[0], numbers[1]);
    }
    case_done(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(computes), cmocka_unit_test(text_of_code),
                                       cmocka_unit_test(several_processors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
