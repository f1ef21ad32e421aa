/* Emitted C through the system's compilers: the bits of the Loop evaluator, at every optimisation
 * level. All models of a target are one compilation. A compiler that is not installed, or code that
 * this processor cannot run, is skipped with a message. */
#include "numeric.h"

#include "guards.h"
#include "list.h"

enum { MOST = 800, ANY = 0, LONG = 6000 };

static const int64_t ragged[] = {5, 0, 3, 1, 4}, filled[] = {5, 1, 3, 4};

static bool runs_here(const Target *target) {
#if defined(__x86_64__)
    if (strcmp(target->name, target_v2.name) == 0) return __builtin_cpu_supports("sse4.2");
    if (target->lanes == 8) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (target->lanes == 16)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#endif
    return target->lanes == 1 ? !target->fma : strcmp(target->name, target_arm.name) == 0;
}

/* A compiler gets one model in `every`, one in `trained` of those with the functions of training,
 * or with NUMERIC_ALL=1 in the environment all: compiling is what costs. Optimisers get none of
 * more than `most` statements: they take half a minute for one of 10,000. */
typedef struct Choice_ {
    Compiler compiler;
    int every, trained, most;
} Choice_;

/* A model and its number among those with the functions of training, or without. */
typedef struct Candidate {
    Built *built;
    bool trained;
    int number;
} Candidate;

static bool takes(const Choice_ *choice, const Candidate *one) {
    int every = one->trained ? choice->trained : choice->every;
    if (getenv("NUMERIC_ALL")) return true;
    if (choice->most && one->built && model_statements(one->built) > choice->most) return false;
    return (one->number + every / 2) % every == 0;
}

static bool taken(const Choice_ *choices, int count, const Candidate *one) {
    for (int c = 0; c < count; c++)
        if (takes(&choices[c], one)) return true;
    return false;
}

/* Every model of the small programs, and with the functions of training, that a compiler takes; of
 * a size that is swept only three values, of the real ones those that are lowered. */
static int all_models(Test *test, Target target, LoopType real, const Choice_ *choices,
                      int choice_count, Candidate *to) {
    static Case list[MOST];
    int count = list_folder(test->arena, "tests/numeric/programs", false, list, MOST), built = 0;
    int numbers[2] = {0};
    count += list_folder(test->arena, "tests/golden/programs", true, list + count, MOST - count);
    for (int i = 0; i < 2 * count; i++) {
        const Case *one = &list[i / 2];
        double size = one->swept ? one->defines->value : 1;
        if (size != 1 && size != 17 && (size != 33 || i % 2)) continue;
        if (one->mode != MODE_INFER) continue;
        Candidate candidate = {.trained = i % 2, .number = numbers[i % 2]++};
        if (!taken(choices, choice_count, &candidate)) continue;
        Spec spec = {.file = one->file,
                     .model = one->model,
                     .mode = i % 2 ? MODE_TRAIN : MODE_INFER,
                     .training = i % 2,
                     .real = real,
                     .target = target,
                     .threads = i / 7 % 3 == 1 ? 3 : 0, /* whatever `every` is */
                     .forced = i / 11 % 5 == 2,
                     .prefix = arena_printf(test->arena, "m%d", i),
                     .defines = one->defines,
                     .define_count = one->define_count};
        candidate.built = model_build(test->arena, &spec);
        if (candidate.built->result != BUILT) continue;
        candidate.built->words =
            arena_printf(test->arena, "%s%s", one->what, i % 2 ? ", trained" : "");
        if (taken(choices, choice_count, &candidate)) to[built++] = candidate;
    }
    return built;
}

typedef struct Expected {
    Data *data[3];
    Outcome *outcome[3], *loss[3], *gradient[3];
} Expected;

typedef Outcome *Run(Engine *engine, Arena *arena, const Built *built, const Data *data,
                     const CallOptions *options);

static void refuse(Test *test, Engine *engine, Run *run, const char *what, const Built *built,
                   const Data *data, const CallOptions *options) {
    Outcome *got = run(engine, test->arena, built, data, options);
    test_expect(test, what,
                got->error ? got->error
                : got->status == LOOP_BAD_POINTER
                    ? NULL
                    : arena_printf(test->arena, "status %lld", (long long)got->status));
}

/* NULL where an array is needed, a workspace that is not aligned: a status, and nothing is written.
 */
static void refuse_pointers(Test *test, Engine *engine, Run *run, int index, const char *what,
                            const Built *built, const Data *data) {
    const InterfaceFunction *described = &built->in->functions.at[index];
    const LFunction *function = built->in->module->functions.at[described->function];
    const CallOptions shifted = {.fill = 0x5A, .work_shift = 8};
    bool aligned = false; /* single elements alone need no more than their own alignment */
    for (int i = 0; i < function->buffers.count; i++) {
        const LBuffer *buffer = &function->buffers.at[i];
        if (buffer->base == LB_ARG && described->args.at[buffer->arg].role == ROLE_WORK)
            aligned = aligned || buffer->align == 64;
    }
    if (aligned)
        refuse(test, engine, run, arena_printf(test->arena, "%s, workspace misaligned", what),
               built, data, &shifted);
    for (int i = 0; i < described->args.count; i++) {
        const CallOptions null = {.fill = 0x5A, .null_arg = i + 1};
        ArgRole role = described->args.at[i].role;
        if ((role == ROLE_WEIGHTS || role == ROLE_PARAMS) && built->in->weight_bytes <= 64)
            continue; /* nothing may be read: one line is the least */
        if (function->args.at[i].pointer && !function->args.at[i].nullable)
            refuse(test, engine, run,
                   arena_printf(test->arena, "%s, %s is NULL", what, function->args.at[i].name),
                   built, data, &null);
    }
}

static bool same_bits(Test *test, Engine *engine, const char *what, const Built *built,
                      const Expected *expected, int z) {
    static Run *const runs[] = {run_forward, run_loss, run_gradient};
    Outcome *const want[] = {expected->outcome[z], expected->loss[z], expected->gradient[z]};
    const Data *data = expected->data[z];
    for (int r = 0; r < 3; r++) {
        if (!want[r]) continue;
        Outcome *got = runs[r](engine, test->arena, built, data, NULL);
        const char *name = arena_printf(test->arena, "%s, %s, case %d%s", what, built->words, z,
                                        r == 0   ? ""
                                        : r == 1 ? ", loss"
                                                 : ", gradient");
        if (!test_expect(test, name, compare_exact(test->arena, data, got, want[r]))) return false;
    }
    return true;
}

static void run_compiler(Test *test, const Choice_ *choice, const char *what, const Candidate *all,
                         int count, Expected *expected) {
    const Compiler *compiler = &choice->compiler;
    bool missing;
    const char *error;
    Built **models = ARENA_ARRAY(test->arena, count + 1, Built *);
    int *number = ARENA_ARRAY(test->arena, count + 1, int), taken_count = 0;
    for (int m = 0; m < count; m++)
        if (takes(choice, &all[m])) {
            number[taken_count] = m;
            models[taken_count++] = all[m].built;
        }
    Engine *engine = compiled_engine(test->arena, compiler, models, taken_count, &missing, &error);
    if (missing) {
        print_message("skipped: %s is not installed\n", compiler->program);
        return;
    }
    if (!test_expect(test, what, error)) return;
    for (int n = 0; n < taken_count; n++)
        for (int z = 0; z < 3; z++)
            if (!same_bits(test, engine, what, models[n], &expected[number[n]], z)) break;
    for (int n = 0; n < taken_count; n++) {
        const Interface *in = models[n]->in;
        const char *name = arena_printf(test->arena, "%s, %s", what, models[n]->words);
        const Data *data = expected[number[n]].data[0];
        refuse_pointers(test, engine, run_forward, in->forward, name, models[n], data);
        if (in->loss >= 0) refuse_pointers(test, engine, run_loss, in->loss, name, models[n], data);
        if (in->grad >= 0)
            refuse_pointers(test, engine, run_gradient, in->grad, name, models[n], data);
    }
    engine_close(engine);
}

static void run_target(Target target, LoopType real, const Choice_ *compilers, int compiler_count) {
    Test test;
    static Candidate models[MOST];
    if (!runs_here(&target)) {
        print_message("skipped: this processor does not run %s\n", target.name);
        return;
    }
    TEST_OPEN(&test);
    int count = all_models(&test, target, real, compilers, compiler_count, models);
    Expected *expected = ARENA_ARRAY(test.arena, count + 1, Expected);
    for (int m = 0; m < count; m++) {
        const Built *built = models[m].built;
        for (int z = 0; z < 3; z++) {
            static const int64_t batches[] = {1, 4, 9};
            Data *data = data_new(test.arena, built->graph, batches[z], 5, z == 1 ? ragged : filled,
                                  z == 0   ? 0
                                  : z == 1 ? 5
                                           : 4,
                                  77);
            if (built->in->grad >= 0) data = data_trained(test.arena, data, z == 1, 78);
            expected[m].data[z] = data_poisoned(test.arena, data);
            expected[m].outcome[z] = run_forward(&evaluator, test.arena, built, data, NULL);
            if (built->in->loss >= 0)
                expected[m].loss[z] = run_loss(&evaluator, test.arena, built, data, NULL);
            if (built->in->grad >= 0)
                expected[m].gradient[z] = run_gradient(&evaluator, test.arena, built, data, NULL);
        }
    }
    for (int c = 0; c < compiler_count; c++)
        run_compiler(&test, &compilers[c],
                     arena_printf(test.arena, "%s %s, %s %s", compilers[c].compiler.program,
                                  compilers[c].compiler.flags[0], target.name,
                                  loop_type_text(real)),
                     models, count, expected);
    test_close(&test);
}

static const char *const o2_sse[] = {"-O2", "-std=c99", "-msse4.2", "-mpopcnt", NULL};
static const char *const arm_flags[] = {"-O2", "-std=c99", NULL};
static const char *const level_0[] = {"-O0", NULL}, *const level_2[] = {"-O2", NULL},
                         *const level_3[] = {"-O3", NULL};
static const char
    *const o0_plain[] = {"-O0", "-std=c99", NULL},
           *const o3_plain[] = {"-O3", "-std=c99", NULL}, *const tcc_flags[] = {"-w", NULL},
           *const o0_avx2[] = {"-O0", "-std=c99", "-mavx2", "-mfma", NULL},
           *const o3_avx2[] = {"-O3", "-std=gnu99", "-mavx2", "-mfma", NULL},
           *const o1_avx512[] = {"-O1",        "-std=c99",   "-mavx2",     "-mfma", "-mavx512f",
                                 "-mavx512vl", "-mavx512bw", "-mavx512dq", NULL};

#ifdef GUARDS_ARE_WATCHED
/* With sanitizers in it, where these tests have them, too: those of the same compiler. */
#ifdef __clang__
#define WATCHER "clang"
#else
#define WATCHER "gcc"
#endif
static const char *const watched[] = {"-O1", "-std=c99", "-fsanitize=address,undefined",
                                      "-fno-sanitize-recover=all", NULL};
static const char *const watched_avx2[] = {"-O1",
                                           "-std=c99",
                                           "-mavx2",
                                           "-mfma",
                                           "-fsanitize=address,undefined",
                                           "-fno-sanitize-recover=all",
                                           NULL};

static void sanitized(void **state) {
    (void)state;
    const Choice_ plain[] = {{{WATCHER, watched}, 6, 12, LONG}},
                  lanes[] = {{{WATCHER, watched_avx2}, 10, 20, LONG}};
    run_target(target_generic, LT_F32, plain, 1);
    run_target(target_8, LT_F32, lanes, 1);
}
#endif

static void generic(void **state) {
    (void)state;
    const Choice_ list[] = {{{"tcc", tcc_flags}, 1, 2, ANY},
                            {{"gcc", o0_plain}, 4, 24, ANY},
                            {{"clang", o3_plain}, 9, 80, LONG},
                            {{"llvm", level_2}, 20, 60, ANY}};
    run_target(target_generic, LT_F32, list, 4);
}

static void avx2(void **state) {
    (void)state;
    const Choice_ list[] = {{{"clang", o0_avx2}, 3, 16, ANY},
                            {{"gcc", o3_avx2}, 11, 60, LONG},
                            {{"llvm", level_0}, 40, 90, ANY},
                            {{"llvm", level_2}, 12, 40, ANY},
                            {{"llvm", level_3}, 60, 90, ANY}};
    run_target(target_8, LT_F32, list, 5);
}

static void avx512(void **state) {
    (void)state;
    const Choice_ list[] = {{{"clang", o1_avx512}, 7, 60, LONG}, {{"llvm", level_2}, 30, 90, ANY}};
    run_target(target_16, LT_F32, list, 2);
}

static void sse(void **state) {
    (void)state;
    const Choice_ list[] = {{{"llvm", level_2}, 9, 60, ANY}, {{"gcc", o2_sse}, 17, 60, LONG}};
    run_target(target_v2, LT_F32, list, 2);
}

static void arm(void **state) {
    (void)state;
    const Choice_ list[] = {{{"aarch64 llvm", level_2}, 5, 60, ANY},
                            {{"aarch64 gcc", arm_flags}, 11, 60, LONG}};
    run_target(target_arm, LT_F32, list, 2);
}

static void doubles(void **state) {
    (void)state;
    const Choice_ list[] = {{{"clang", o3_avx2}, 7, 90, LONG}, {{"llvm", level_2}, 30, 90, ANY}};
    run_target(target_8, LT_F64, list, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef GUARDS_ARE_WATCHED
        cmocka_unit_test(sanitized),
#endif
        cmocka_unit_test(generic),   cmocka_unit_test(avx2), cmocka_unit_test(avx512),
        cmocka_unit_test(sse),       cmocka_unit_test(arm),  cmocka_unit_test(doubles)};
    cmocka_set_test_filter(getenv("NUMERIC_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
