/* ThreadSanitizer, where a compiler has it: over the pool of threads with its tests, and over
 * emitted regions, of which it must find the one that lacks a barrier. */
#include "region_case.h"

/* Calls net_forward as often as its argument says. */
static const char driver[] =
    "#include <stdlib.h>\n"
    "#include \"m.h\"\n"
    "#include \"rnn_rt.h\"\n"
    "static float x[48 * 9], y[48 * 9], bias[48];\n"
    "static float work[2 * 48] __attribute__((aligned(64)));\n"
    "int main(int argc, char **argv) {\n"
    "    struct rnn_rt_pool *pool;\n"
    "    int bad = argc < 2 || rnn_rt_pool_create(&pool, 3, NULL, NULL, 0) != RT_OK;\n"
    "    if (bad) return 3;\n"
    "    for (int i = atoi(argv[1]); i > 0; i--)\n"
    "        bad |= net_forward(x, y, work, 48, 9, bias, pool);\n"
    "    rnn_rt_pool_destroy(pool);\n"
    "    return bad;\n"
    "}\n";

/* The status of a program that was built so; -1: this compiler cannot. Its addresses are not
 * random, since ThreadSanitizer wants many of them for itself. */
static int status_of(const Case *x, const char *compiler, const char *const *files,
                     const char *argument) {
    static const char *const flags[] = {"-std=gnu11",        "-O1",       "-g", "-w",
                                        "-fsanitize=thread", "-Iruntime", "-o"};
    const char *argv[40];
    int count = 0;
    argv[count++] = compiler;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) argv[count++] = flags[i];
    argv[count++] = path_of(x, "u");
    for (int i = 0; files[i]; i++) argv[count++] = files[i];
    argv[count++] = "runtime/rt_threads.c";
    argv[count++] = "runtime/rt_tensor.c";
    argv[count++] = "-lcmocka";
    argv[count++] = "-lpthread";
    argv[count] = NULL;
    if (run_program(x, (char *const *)(uintptr_t)argv) != 0) return -1;
    const char *plain[] = {path_of(x, "u"), argument, NULL};
    const char *fixed[] = {"setarch", "-R", path_of(x, "u"), argument, NULL};
    int status = run_program(x, (char *const *)(uintptr_t)fixed);
    return status == 127 ? run_program(x, (char *const *)(uintptr_t)plain) : status;
}

/* Whether the compiler has it, and it runs here. */
static bool has_tsan(Case *x, const char *compiler) {
    write_file(path_of(x, "u.c"), "int main(void) { return 0; }\n");
    const char *files[] = {path_of(x, "u.c"), NULL};
    bool there = has_program(x, compiler) && status_of(x, compiler, files, NULL) == 0;
    if (!there) print_message("skipped: %s has no ThreadSanitizer here\n", compiler);
    return there;
}

static const char *const compilers[] = {"gcc", "clang"};

static void pools(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        Case *x = case_new("net", 1, false, LT_F32);
        const char *const files[] = {"tests/unit/test_rt_threads.c", NULL};
        if (has_tsan(x, compilers[i])) {
            int status = status_of(x, compilers[i], files, NULL);
            if (status) show_log(x);
            assert_int_equal(status, 0);
        }
        case_done(x);
    }
}

/* The region that may run on one thread, which finds no race, runs on all. */
static void always(char *text) {
    static const char cost[] = " for units.0*steps.1 ns with steps.1*2 barriers";
    char *at = strstr(text, cost);
    assert_non_null(at);
    memmove(at, at + sizeof cost - 1, strlen(at + sizeof cost - 1) + 1);
}

static void regions(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++)
        for (int barriers = 0; barriers < 2; barriers++) {
            if (i == 1 && !barriers) continue; /* clang looks at no access of 32 bytes */
            static char text[sizeof region_program + 100];
            snprintf(text, sizeof text, region_program, barriers ? "barrier" : "", "barrier");
            always(text);
            Case *x = parsed(text);
            if (has_tsan(x, compilers[i])) {
                emit(x);
                write_file(path_of(x, "u.c"), driver);
                const char *files[] = {path_of(x, "m.c"), path_of(x, "u.c"), NULL};
                int status = status_of(x, compilers[i], files, "20");
                if (status != (barriers ? 0 : 66)) {
                    print_error("%s: status %d\n", compilers[i], status);
                    show_log(x);
                }
                assert_true(barriers ? status == 0 : status == 66); /* what it exits with */
            }
            case_done(x);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pools), cmocka_unit_test(regions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
