/* Parallel regions through the C backend: what threads of a pool compute is what the Loop evaluator
 * has, for any number of them, by each compiler; without a pool it is one thread. */
#include "region_case.h"

/* Our own runtime for what is loaded, which does not see it. */
static const char door[] =
    "\nvoid (*door_run)(struct rnn_rt_pool *, void (*)(void *, int64_t, int64_t), void *);\n"
    "void (*door_barrier)(struct rnn_rt_pool *, int64_t);\n"
    "struct rnn_rt_pool *rnn_rt_pool_for(struct rnn_rt_pool *pool, int64_t ns, int64_t barriers);\n"
    "struct rnn_rt_pool *rnn_rt_pool_for(struct rnn_rt_pool *pool, int64_t ns, int64_t barriers) "
    "{\n"
    "    static int call; /* by turns one thread */\n"
    "    return ns > barriers && call++ % 3 ? pool : 0;\n"
    "}\n"
    "void rnn_rt_pool_run(struct rnn_rt_pool *pool,\n"
    "                     void (*function)(void *, int64_t, int64_t), void *context) {\n"
    "    door_run(pool, function, context);\n"
    "}\n"
    "void rnn_rt_pool_barrier(struct rnn_rt_pool *pool, int64_t thread) {\n"
    "    door_barrier(pool, thread);\n"
    "}\n";

static void check(Case *x, const char *compiler, const char *const *flags, bool strict) {
    compile_file(x, compiler, flags, strict, "m.c", "m.so");
    Library library = load(x, "net_forward");
    Forward *forward;
    memcpy(&forward, &library.function, sizeof forward);
    void (*run)(RtPool *, RtPoolFunction *, void *) = rnn_rt_pool_run;
    void (*barrier)(RtPool *, int64_t) = rnn_rt_pool_barrier;
    memcpy(dlsym(library.handle, "door_run"), &run, sizeof run);
    memcpy(dlsym(library.handle, "door_barrier"), &barrier, sizeof barrier);
    static float in[COUNT], bias[UNITS], want[COUNT], got[COUNT];
    _Alignas(64) static float work[2 * UNITS];
    fill(in, bias);
    for (int threads = 0; threads < 5; threads++) {
        RtPool *pool = NULL;
        if (threads) assert_int_equal(rnn_rt_pool_create(&pool, threads, NULL, NULL, 0), RT_OK);
        for (int with = 0; with < 2; with++) {
            evaluate(x, in, with ? bias : NULL, threads, want);
            for (int again = 0; again < 20; again++) {
                memset(got, 0, sizeof got);
                assert_int_equal(forward(in, got, work, UNITS, STEPS, with ? bias : NULL, pool), 0);
                assert_memory_equal(want, got, sizeof got);
            }
        }
        assert_int_equal(forward(in, got, work, UNITS, 0, NULL, pool), 1);
        rnn_rt_pool_destroy(pool);
    }
    dlclose(library.handle);
}

static void computes(void **state) {
    (void)state;
    static const char *const plain[] = {"-shared", "-fPIC", "-std=c99", "-O0", NULL};
    static const char *const fast[] = {"-shared", "-fPIC", "-std=c99", "-O3",
                                       "-mavx2",  "-mfma", NULL};
    static const char *const compilers[] = {"gcc", "clang"};
    Case *x = parsed(program());
    const char *code = emit(x);
    write_file(path_of(x, "m.c"), arena_printf(x->arena, "%s%s", code, door));
    for (int i = 0; i < 2; i++) {
        if (!has_program(x, compilers[i])) continue;
        check(x, compilers[i], plain, true);
        if (machine_has(1)) check(x, compilers[i], fast, true);
    }
    case_done(x);
}

/* With -g every line of a region's function says where it comes from. */
static void lines(void **state) {
    (void)state;
    static const char *const flags[] = {"-shared", "-fPIC", "-std=c99", "-O1", "-g", NULL};
    Case *x = parsed(program());
    place(x);
    const char *code = emit(x);
    const char *from = strstr(code, "#line 3 \"m.rnn\"\nstatic void net_forward_region_2(");
    assert_non_null(from);
    write_file(path_of(x, "m.c"), arena_printf(x->arena, "%s%s", code, door));
    if (has_program(x, "gcc") && machine_has(1)) check(x, "gcc", flags, true);
    case_done(x);
}

/* One lane, nothing that is taken along, nothing that is used of the number of the thread. */
static void small(void **state) {
    (void)state;
    static const char text[] = "module \"net\" f64 target \"test\" lanes 1 registers 16 l2 0\n"
                               "function f(y: ptr f64 written, pool: pool) -> void exported {\n"
                               "    buffer y#0: f64[4] in y$0 at 0 written\n"
                               "    buffer own#1: f64[2] local align 64 written\n"
                               "    parallel thread.0 of threads.1 {\n"
                               "        store own#1[0] = f64(1)\n"
                               "        barrier\n"
                               "    }\n"
                               "    parallel thread.2 of threads.3 {\n"
                               "        if eq(thread.2, 0) {\n"
                               "            store own#1[1] = f64(3)\n"
                               "            store y#0[0] = load.f64 own#1[1]\n"
                               "        }\n"
                               "    }\n"
                               "    parallel thread.4 of threads.5 {\n"
                               "    }\n"
                               "    store own#1[0] = f64(4)\n"
                               "    store y#0[1] = load.f64 own#1[0]\n"
                               "}\n"
                               "function idle(pool: pool) -> void exported {\n"
                               "}\n"
                               "function calls(y: ptr f64 written, pool: pool) -> void exported {\n"
                               "    buffer y#0: f64[4] in y$0 at 0 written\n"
                               "    call f(load.f64 y#0[0], pool)\n"
                               "}\n";
    static const char *const flags[] = {"-shared", "-fPIC", "-std=c99", "-O1", NULL};
    static const char *const tcc[] = {"-shared", NULL};
    static const char *const compilers[] = {"gcc", "clang", "tcc"};
    Case *x = parsed(text);
    const char *code = emit(x);
    write_file(path_of(x, "m.c"), arena_printf(x->arena, "%s%s", code, door));
    for (int i = 0; i < 3; i++) {
        if (!has_program(x, compilers[i])) continue;
        compile_file(x, compilers[i], i < 2 ? flags : tcc, i < 2, "m.c", "m.so");
        Library library = load(x, "net_calls");
        void (*f)(double *, RtPool *);
        memcpy(&f, &library.function, sizeof f);
        void (*run)(RtPool *, RtPoolFunction *, void *) = rnn_rt_pool_run;
        void (*barrier)(RtPool *, int64_t) = rnn_rt_pool_barrier;
        memcpy(dlsym(library.handle, "door_run"), &run, sizeof run);
        memcpy(dlsym(library.handle, "door_barrier"), &barrier, sizeof barrier);
        RtPool *pool = NULL;
        assert_int_equal(rnn_rt_pool_create(&pool, 2, NULL, NULL, 0), RT_OK);
        double y[4] = {0};
        f(y, pool);
        assert_true(y[0] == 3 && y[1] == 4);
        rnn_rt_pool_destroy(pool);
        dlclose(library.handle);
    }
    case_done(x);
}

/* The first lines behind `begin`, up to `end`. */
static const char *part(Case *x, const char *code, const char *begin, const char *end) {
    const char *from = strstr(code, begin);
    assert_non_null(from);
    const char *to = strstr(from, end);
    assert_non_null(to);
    return arena_strndup(x->arena, from, (size_t)(to - from));
}

/* `restrict` for memory that the region leaves as it is, and for all of it where no barrier is; the
 * header needs none of the runtime's. */
static void pointers(void **state) {
    (void)state;
    Case *x = parsed(program());
    const char *code = emit(x);
    const char *clear = part(x, code, "static void net_forward_region_1(", "\n}\n");
    const char *steps = part(x, code, "static void net_forward_region_2(", "\n}\n");
    assert_non_null(strstr(clear, "*restrict old = region->old;"));
    assert_non_null(strstr(steps, " *old = region->old;"));
    assert_non_null(strstr(steps, "*restrict x = region->x;"));
    assert_non_null(strstr(steps, "rnn_rt_pool_barrier(pool, thread);"));
    assert_null(strstr(clear, "pool"));
    assert_null(strstr(part(x, code, "int32_t net_forward(", "\n}\n"), "row["));
    FILE *file = fopen(path_of(x, "m.h"), "r");
    static char header[20000];
    assert_non_null(file);
    header[fread(header, 1, sizeof header - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(header, "\nstruct rnn_rt_pool;\n"));
    assert_non_null(strstr(header, "struct rnn_rt_pool *pool);"));
    assert_null(strstr(header, "calls nothing."));
    case_done(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(computes), cmocka_unit_test(lines),
                                       cmocka_unit_test(small), cmocka_unit_test(pointers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
