/* One batch of programs: built for every group, run on data of all lengths, compared. */
#define _XOPEN_SOURCE 700

#include "check.h"

#include <math.h>
#include <unistd.h>

const Group groups[GROUPS] = {{"generic f32", &target_generic, LT_F32, SETS, 1},
                              {"8 lanes f32", &target_8, LT_F32, SETS, 1},
                              {"8 lanes f64", &target_8, LT_F64, 2, 1},
                              {"armv8-a f32", &target_arm, LT_F32, 0, 20}};

static const char *const level_0[] = {"-O0", NULL}, *const level_2[] = {"-O2", NULL};
static const char *const arm_o2[] = {"-O2", "-std=c99", NULL};
static const char *const o0[] = {"-O0", "-std=c99", NULL}, *const o3[] = {"-O3", "-std=c99", NULL},
                         *const plain[] = {"-w", NULL},
                         *const o0_avx2[] = {"-O0", "-std=c99", "-mavx2", "-mfma", NULL},
                         *const o3_avx2[] = {"-O3", "-std=c99", "-mavx2", "-mfma", NULL};

/* Of a program with more statements: clang takes half a minute. */
enum { ANY = 0, LONG = 6000 };

const Column columns[COLUMNS] = {{"tcc, generic", 0, {"tcc", plain}, 1, ANY},
                                 {"gcc -O0, generic", 0, {"gcc", o0}, 1, ANY},
                                 {"clang -O3, generic", 0, {"clang", o3}, 10, LONG},
                                 {"gcc -O0, x86-64-v3", 1, {"gcc", o0_avx2}, 1, ANY},
                                 {"gcc -O3, x86-64-v3", 1, {"gcc", o3_avx2}, 1, ANY},
                                 {"clang -O3, x86-64-v3", 1, {"clang", o3_avx2}, 1, LONG},
                                 {"clang -O3, x86-64-v3 f64", 2, {"clang", o3_avx2}, 25, LONG},
                                 {"llvm -O2, generic", 0, {"llvm", level_2}, 10, ANY},
                                 {"llvm -O0, x86-64-v3", 1, {"llvm", level_0}, 10, ANY},
                                 {"llvm -O2, x86-64-v3", 1, {"llvm", level_2}, 1, ANY},
                                 {"llvm -O2, x86-64-v3 f64", 2, {"llvm", level_2}, 10, ANY},
                                 {"llvm -O2, armv8-a", 3, {"aarch64 llvm", level_2}, 20, ANY},
                                 {"gcc -O2, armv8-a", 3, {"aarch64 gcc", arm_o2}, 40, ANY}};

const char *fault_name(FaultKind kind) {
    static const char *const names[] = {"none",        "refused",
                                        "internal",    "beyond the interpreter's bound",
                                        "padding",     "steps differ from forward",
                                        "bits differ", "the C compiler refuses",
                                        "crash"};
    return names[kind];
}

typedef struct Subject {
    uint64_t seed;
    RandomProgram program;
    Built *built[GROUPS];
    bool compiled; /* not refused */
    Data *data[SETS];
    Outcome *want[GROUPS][SETS], *steps[GROUPS];
    bool trained; /* in train mode, with the functions of training */
    Outcome *gradients[GROUPS][SETS];
    bool faulty;
} Subject;

typedef struct Check {
    Arena *arena;
    const CheckOptions *options;
    Tally *tally;
} Check;

static void report(Check *check, Subject *subject, FaultKind kind, int column, const char *where,
                   const char *words) {
    Tally *tally = check->tally;
    subject->faulty = true;
    if (tally->fault_count++ >= 8) return;
    Fault *fault = &tally->faults[tally->fault_count - 1];
    *fault = (Fault){.kind = kind, .seed = subject->seed, .column = column};
    snprintf(fault->words, sizeof fault->words, "%s: %s", where, words);
}

/* Whether a column that runs is of this group. */
static bool has_column(const CheckOptions *options, int g) {
    bool has = false;
    for (int c = 0; c < COLUMNS; c++)
        has |= columns[c].group == g && (!options->only || (options->only >> c & 1));
    return has && !options->no_columns;
}

/* Whether the program has this group. */
static bool has_group(const Check *check, const Subject *s, int g) {
    if (groups[g].sets == 0 && !has_column(check->options, g)) return false;
    return check->options->all || s->seed % (uint64_t)groups[g].every == 0;
}

/* ---- building ---- */

static const char *write_program(Arena *arena, const RandomProgram *program) {
    const char *base = getenv("TMPDIR");
    char *path = arena_printf(arena, "%s/rnnc-program-XXXXXX", base && *base ? base : "/tmp");
    int file = mkstemp(path);
    size_t length = strlen(program->text);
    if (file < 0 || write(file, program->text, length) != (ssize_t)length || close(file))
        fail_msg("cannot write a program to %s", path);
    return path;
}

/* The gradient of one program in so many: its code is long. One that has none is taken without. */
static bool has_gradient(Check *check, const Subject *s, const char *path) {
    Spec spec = {.file = path,
                 .model = s->program.model,
                 .mode = MODE_TRAIN,
                 .real = LT_F32,
                 .target = target_generic,
                 .training = true};
    if (s->seed % (check->options->all ? 3 : 20) != 1) return false;
    return model_build(check->arena, &spec)->result != NOT_LOWERED;
}

static void build(Check *check, Subject *s) {
    Arena *arena = check->arena;
    const char *path = write_program(arena, &s->program);
    s->compiled = true;
    s->trained = has_gradient(check, s, path);
    check->tally->trained += s->trained;
    for (int g = 0; g < GROUPS && s->compiled; g++) {
        if (!has_group(check, s, g)) continue;
        Spec spec = {.file = path,
                     .model = s->program.model,
                     .mode = s->trained ? MODE_TRAIN : MODE_INFER,
                     .training = s->trained,
                     .real = groups[g].real,
                     .target = *groups[g].target,
                     .prefix = arena_printf(arena, "r%llu", (unsigned long long)s->seed)};
        Built *built = s->built[g] = model_build(arena, &spec);
        switch (built->result) {
        case BUILT: continue;
        case NOT_LOWERED:
            if (!s->program.may_refuse)
                report(check, s, FAULT_REFUSED, -1, groups[g].name, built->words);
            built->graph = built->c->graph;
            check->tally->refused++;
            break;
        case NOT_CHECKED:
        case BROKEN: {
            bool user = false;
            for (int i = 0; i < built->c->diags->list.count; i++)
                user |= built->c->diags->list.at[i]->kind == DIAG_ERROR &&
                        strcmp(built->c->diags->list.at[i]->code, "internal") != 0;
            const char *error = strstr(built->words, "error:");
            report(check, s, user ? FAULT_REFUSED : FAULT_INTERNAL, -1, groups[g].name,
                   error ? error : built->words);
        }
        }
        s->compiled = false;
    }
    unlink(path);
}

/* ---- data ---- */

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 31)) * 0x9E3779B97F4A7C15u;
    return x ^ (x >> 29);
}

/* A pointer that points: earlier or nowhere, or anywhere in the sequence. */
static void aim_pointers(Data *data, uint64_t seed) {
    for (int i = 0; i < data->graph->inputs.count; i++) {
        const GraphPort *port = &data->graph->inputs.at[i];
        if (!port->type.pointer || port->index_count != 1 || !data->inputs[i]) continue;
        int64_t n = port_count(data, port), row = data->batch * shape_count(port->type.shape);
        for (int64_t e = 0; e < n; e++) {
            int64_t at = e / row;
            data->inputs[i][e] =
                port->type.pointer == PTR_POS
                    ? 0
                    : (double)((int64_t)(mix(seed + (uint64_t)e) % (uint64_t)(at + 1)) - 1);
        }
    }
}

/* Data set `z` of a program: whole and ragged, short and long. */
static Data *draw(Arena *arena, const Graph *graph, const RandomProgram *program, int z,
                  uint64_t seed) {
    static const int64_t with_empty[] = {5, 0, 3, 1, 7}, filled[] = {6, 1, 3, 7, 2},
                         batches[] = {2, 3, 5, 9, 8, 17}, late[] = {37, 20, 37, 1};
    uint64_t r = mix(seed * 8 + (uint64_t)z);
    int64_t lag = program->lag, few = program->axes > 1 ? 4 : 6;
    const int64_t shorts[] = {0, 1, 2, lag, lag + 1}, middle[] = {2, 5, lag + 1, lag + 3};
    int64_t batch = 1, steps = 0;
    const int64_t *lengths = NULL;
    int count = 0;
    switch (z) {
    case 0: steps = middle[r % 4]; break;
    case 1:
        batch = batches[r % (uint64_t)few];
        steps = 7;
        lengths = r / 64 % 2 ? with_empty : filled;
        count = 5;
        break;
    case 2:
        batch = 1 + (int64_t)(r / 64 % 2);
        steps = shorts[r % 5];
        break;
    default:
        batch = 1 + (int64_t)(r % 3);
        steps = program->axes > 1 ? 9 : 37;
        lengths = late;
        count = r / 64 % 2 ? 4 : 0;
    }
    Data *data = data_new(arena, graph, batch, steps, lengths, count, seed * 8 + (uint64_t)z);
    aim_pointers(data, seed);
    return data;
}

/* ---- comparisons ---- */

static const char *where_of(Check *check, int group, int set) {
    return arena_printf(check->arena, "%s, data %d", groups[group].name, set);
}

/* Gradients: the last data set is long, and its bounds say nothing. */
static void run_gradients(Check *check, Subject *s, int z) {
    Arena *arena = check->arena;
    const Data *data = s->data[z];
    Outcome *near =
        z < SETS - 1 ? run_gradient_bounded(arena, s->built[0], data, LT_F32, NULL) : NULL;
    check->tally->fragile_gradients += near && near->fragile;
    for (int g = 0; g < GROUPS && !s->faulty; g++) {
        if (!s->built[g]) continue;
        const char *where = arena_printf(arena, "%s, gradient", where_of(check, g, z));
        Outcome *got = s->gradients[g][z] =
            run_gradient(&evaluator, arena, s->built[g], data, NULL);
        check->tally->gradients++;
        if (got->error) {
            report(check, s, FAULT_INTERNAL, -1, where, got->error);
            return;
        }
        const char *words = near && groups[g].real == LT_F32
                                ? compare_bound(arena, data, got, near, &check->tally->used)
                                : NULL;
        if (words) report(check, s, FAULT_INTERPRETER, -1, where, words);
        if (words || got->status != LOOP_OK || g == 2) continue;
        const CallOptions dirty = {.fill = 0x5A};
        Outcome *poisoned =
            run_gradient(&evaluator, arena, s->built[g], data_poisoned(arena, data), &dirty);
        words = compare_padding(arena, data, got);
        if (!words) words = compare_exact(arena, data, poisoned, got);
        if (words) report(check, s, FAULT_PADDING, -1, where, words);
    }
}

/* Draws data until no comparison lies within the bound; then everything but compiled columns. */
static void run_set(Check *check, Subject *s, int z) {
    Arena *arena = check->arena;
    Tally *tally = check->tally;
    Outcome *sure = NULL;
    Data *data = NULL;
    for (int attempt = 0; attempt < 5; attempt++) {
        data =
            draw(arena, s->built[0]->graph, &s->program, z, s->seed + 1000003u * (unsigned)attempt);
        sure = run_bounded(arena, s->built[0], data, LT_F32);
        if (sure->error) {
            report(check, s, FAULT_INTERPRETER, -1, "interpreter", sure->error);
            return;
        }
        if (!sure->fragile) break;
        if (attempt < 4)
            tally->redrawn++;
        else
            tally->dropped++;
    }
    if (sure->status == LOOP_BAD_LOSS) return; /* forward computes no loss */
    if (s->trained) data = data_trained(arena, data, s->seed % 4 == 0, s->seed);
    s->data[z] = data;
    tally->sets++;
    for (int g = 0; g < GROUPS; g++) {
        if (!s->built[g]) continue;
        const CallOptions dirty = {.fill = g % 2 ? 0xFF : 0x3C};
        Outcome *got = s->want[g][z] = run_forward(&evaluator, arena, s->built[g], data, &dirty);
        const char *where = where_of(check, g, z);
        if (got->error) {
            report(check, s, FAULT_INTERNAL, -1, where, got->error);
            return;
        }
        if (z >= groups[g].sets) continue;
        Outcome *near =
            groups[g].real == LT_F32 ? sure : run_bounded(arena, s->built[g], data, LT_F64);
        const char *words = compare_bound(arena, data, got, near, &tally->used);
        if (words) {
            report(check, s, FAULT_INTERPRETER, -1, where, words);
            return;
        }
        if (got->status != LOOP_OK || g == 2) continue;
        Outcome *poisoned =
            run_forward(&evaluator, arena, s->built[g], data_poisoned(arena, data), NULL);
        words = compare_padding(arena, data, got);
        if (!words) words = compare_exact(arena, data, poisoned, got);
        if (words) report(check, s, FAULT_PADDING, -1, where, words);
    }
    if (s->trained && !s->faulty) run_gradients(check, s, z);
}

/* Whether the steps of the first data set are to be compared. */
static bool steps_of(const Subject *s, int g) {
    const Built *built = s->built[g];
    if (!built || built->in->step < 0 || !s->data[0] || !s->want[g][0]) return false;
    for (int a = 0; a < built->graph->axes.count; a++)
        if (built->graph->axes.at[a].generated) return false;
    return s->want[g][0]->status == LOOP_OK;
}

static void run_alone(Check *check, Subject *s) {
    const StepOptions dirty = {.fill = 0x77};
    for (int z = 0; z < SETS && !s->faulty; z++) run_set(check, s, z);
    for (int g = 0; g < GROUPS && !s->faulty; g++) {
        if (!steps_of(s, g)) continue;
        s->steps[g] = run_steps(&evaluator, check->arena, s->built[g], s->data[0], &dirty);
        check->tally->stepped += g == 0;
        const char *words = compare_exact(check->arena, s->data[0], s->steps[g], s->want[g][0]);
        if (words) report(check, s, FAULT_STEP, -1, groups[g].name, words);
    }
}

/* What is not compiled yet has a meaning all the same. */
static void interpret_alone(Check *check, Subject *s) {
    if (s->faulty || !s->built[0]->graph) return;
    for (int z = 0; z < SETS; z++) {
        Data *data = draw(check->arena, s->built[0]->graph, &s->program, z, s->seed);
        Outcome *out = run_interpreter(check->arena, s->built[0], data, false);
        if (out->error) report(check, s, FAULT_INTERPRETER, -1, "interpreter", out->error);
    }
}

/* ---- compiled columns ---- */

static bool runs_here(const Target *target) {
#if defined(__x86_64__)
    if (target->lanes == 8) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return target->lanes == 1 || target == &target_arm; /* that one under an emulator */
}

static void compare_column(Check *check, Subject *s, int column, Engine *engine) {
    int g = columns[column].group;
    check->tally->run[column]++;
    for (int z = 0; z < SETS && !s->faulty; z++) {
        if (!s->data[z] || !s->want[g][z]) continue;
        Outcome *got = run_forward(engine, check->arena, s->built[g], s->data[z], NULL);
        const char *words = compare_exact(check->arena, s->data[z], got, s->want[g][z]);
        if (words) report(check, s, FAULT_BITS, column, where_of(check, g, z), words);
        if (!s->gradients[g][z] || s->faulty) continue;
        got = run_gradient(engine, check->arena, s->built[g], s->data[z], NULL);
        words = compare_exact(check->arena, s->data[z], got, s->gradients[g][z]);
        if (words)
            report(check, s, FAULT_BITS, column,
                   arena_printf(check->arena, "%s, gradient", where_of(check, g, z)), words);
    }
    if (s->faulty || !s->steps[g]) return;
    const StepOptions clean = {.fill = 0};
    Outcome *got = run_steps(engine, check->arena, s->built[g], s->data[0], &clean);
    const char *words = compare_exact(check->arena, s->data[0], got, s->steps[g]);
    if (words) report(check, s, FAULT_BITS, column, "steps", words);
}

static void run_column(Check *check, Subject *const *subjects, int count, int column) {
    Built *models[64];
    bool missing;
    const char *error;
    int g = columns[column].group;
    for (int i = 0; i < count; i++) models[i] = subjects[i]->built[g];
    if (!count) return;
    Engine *engine =
        compiled_engine(check->arena, &columns[column].compiler, models, count, &missing, &error);
    if (missing) {
        check->tally->missing[column] = 1;
        return;
    }
    if (error && count > 1) { /* whose code is it? */
        for (int i = 0; i < count; i++) run_column(check, subjects + i, 1, column);
        return;
    }
    if (error) {
        report(check, subjects[0], FAULT_COMPILER, column, columns[column].name, error);
        return;
    }
    for (int i = 0; i < count; i++) compare_column(check, subjects[i], column, engine);
    engine_close(engine);
}

/* Whether `make check` gives the program to the column. */
static bool has_turn(const Subject *s, int c) {
    const Column *column = &columns[c];
    uint64_t turn = s->seed + (uint64_t)c * (groups[column->group].every == 1);
    if (column->most && model_statements(s->built[column->group]) > column->most) return false;
    return turn % (uint64_t)column->every == 0;
}

static void run_columns(Check *check, Subject *subjects, int count) {
    for (int c = 0; c < COLUMNS; c++) {
        const Column *column = &columns[c];
        Subject *taken[64];
        int n = 0;
        if (check->options->only && !(check->options->only >> c & 1)) continue;
        if (!runs_here(groups[columns[c].group].target)) {
            check->tally->missing[c] = 1;
            continue;
        }
        for (int i = 0; i < count; i++)
            if (subjects[i].compiled && !subjects[i].faulty && subjects[i].built[column->group] &&
                (check->options->all || has_turn(&subjects[i], c)))
                taken[n++] = &subjects[i];
        run_column(check, taken, n, c);
    }
}

static void check_subjects(Check *check, Subject *subjects, int count) {
    for (int i = 0; i < count; i++) {
        Subject *s = &subjects[i];
        check->tally->programs++;
        for (int p = 0; p < POLICY_COUNT; p++)
            check->tally->policies[p] += (int)(s->program.policies >> p & 1);
        build(check, s);
        if (!s->compiled) {
            interpret_alone(check, s);
            continue;
        }
        if (check->options->count_firings) count_firings(check->arena, s->built[1], check->tally);
        run_alone(check, s);
    }
    if (!check->options->no_columns) run_columns(check, subjects, count);
}

void check_batch(Arena *arena, uint64_t first, int count, const ProgramOptions *generate,
                 const CheckOptions *options, Tally *tally) {
    Check check = {arena, options, tally};
    Subject *subjects = ARENA_ARRAY(arena, count, Subject);
    assert_true(count <= 64);
    for (int i = 0; i < count; i++) {
        subjects[i].seed = first + (uint64_t)i;
        subjects[i].program = program_generate(arena, subjects[i].seed, generate);
    }
    check_subjects(&check, subjects, count);
}

void check_program(Arena *arena, const RandomProgram *program, uint64_t seed,
                   const CheckOptions *options, Tally *tally) {
    Check check = {arena, options, tally};
    Subject *s = ARENA_NEW(arena, Subject);
    s->seed = seed;
    s->program = *program;
    check_subjects(&check, s, 1);
}
