/* Gradients of random programs against central differences, by the interpreter: parameters and
 * inputs, from losses and random upstream gradients, in train mode; every pass is verified.
 *
 *   GRADIENT_SEEDS=FIRST:LAST   other seeds
 *   GRADIENT_PRINT=1            prints a program that fails
 */
#include <math.h>

#include "../numeric/numeric.h"
#include "differences.h"
#include "generate.h"
#include "verify_each.h"

enum { SEEDS = 200, ELEMENTS = 4, TRIES = 3 };

static const double most_work = 3e6; /* of one evaluation */

typedef struct Counts {
    int programs, refused, calls, checked, kinks, redrawn, dropped, undefined, carried, failures;
} Counts;

static const Source *load(void *user, Arena *arena, const char *path, const char **why) {
    Source *source = ARENA_NEW(arena, Source);
    (void)why;
    *source = (Source){path, user, (uint32_t)strlen(user)};
    return source;
}

static void wrong(Counts *counts, uint64_t seed, const RandomProgram *program, const char *words) {
    counts->failures++;
    print_error("FAIL program %llu: %s\n", (unsigned long long)seed, words);
    if (getenv("GRADIENT_PRINT")) print_error("%s\n", program->text);
}

static const char *errors(Arena *arena, const Diags *diags) {
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    return text_string(&text);
}

/* E-GRAD alone, at a place. */
static bool refused(const Diags *diags) {
    for (int i = 0; i < diags->list.count; i++) {
        const Diag *diag = diags->list.at[i];
        if (diag->kind != DIAG_ERROR) continue;
        if (strcmp(diag->code, "E-GRAD") != 0 || !diag->span.source) return false;
    }
    return true;
}

/* False: a defect was found, or the program has no gradient. */
static bool check_size(Arena *arena, const Graph *graph, const VerifySize *size, uint64_t seed,
                       const RandomProgram *program, bool again, Counts *counts) {
    for (int try = 0; try < TRIES; try++) {
        Gradient gradient;
        Diags *diags = diags_new(arena);
        VerifyCase drawn = verify_draw_sized(arena, graph, size, seed % 2, try > 0, most_work,
                                             seed * 10 + (uint64_t)try);
        if (drawn.large) break;
        const AdjointOptions how = differences_options(arena, graph, &drawn.call);
        if (again) {
            InterpResult *before = interpret(arena, graph, &drawn.call);
            if (before->status != INTERP_OK) continue;
            drawn.call.state = before->state;
            drawn.call.state_count = before->state_count;
        }
        if (!gradient_build(graph, &how, true, &gradient, diags)) {
            counts->refused += refused(diags);
            if (!refused(diags)) wrong(counts, seed, program, errors(arena, diags));
            return false;
        }
        Differences found = differences_check(arena, &gradient, &drawn.call, ELEMENTS, seed);
        if (found.result == DIFFERENCES_REFUSED) {
            counts->redrawn++;
            continue;
        }
        counts->calls++;
        counts->carried += again;
        counts->checked += found.checked;
        counts->kinks += found.kinks;
        counts->undefined += found.undefined;
        if (found.result == DIFFERENCES_WRONG)
            wrong(counts, seed, program,
                  arena_printf(arena, "%lld sequences of %lld, …%s: %s", (long long)size->batch,
                               (long long)size->length[0], again ? ", from a state" : "",
                               found.words));
        return found.result != DIFFERENCES_WRONG;
    }
    counts->dropped++;
    return true;
}

static void check_program(Arena *arena, uint64_t seed, Counts *counts) {
    const ProgramOptions how = {.small = seed % 4 == 0};
    RandomProgram program = program_generate(arena, seed, &how);
    Options *options = ARENA_NEW(arena, Options);
    int64_t lag = program.lag, few = program.axes > 1 ? 3 : 5;
    const VerifySize sizes[] = {{3, {few, 1, 2}},
                                {1, {lag + 1, lag + 1, lag + 1}},
                                {2, {0, 0, 0}},
                                {2, {lag < 6 ? lag + 3 : 9, 0, 1}}};
    options->file = "program.rnn";
    options->model = program.model;
    options->mode = MODE_TRAIN;
    options->optional_passes = true;
    Compilation *c = compilation_new(arena, options);
    c->read = load;
    c->read_user = (void *)(uintptr_t)program.text;
    counts->programs++;
    if (!compilation_run(c, STAGE_GRAPH)) {
        wrong(counts, seed, &program, errors(arena, c->diags));
        return;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (i > 0 && (seed + i) % 2) continue;
        if (!check_size(arena, c->graph, &sizes[i], seed, &program, false, counts)) return;
    }
    if (c->graph->carries.count)
        check_size(arena, c->graph, &sizes[0], seed, &program, true, counts);
}

static void check_seed(uint64_t seed, Counts *counts) {
    Test test;
    TEST_OPEN(&test);
    check_program(test.arena, seed, counts);
    arena_free(test.arena);
}

static void programs(void **state) {
    (void)state;
    unsigned long long first = 1, last = 1 + SEEDS;
    const char *asked = getenv("GRADIENT_SEEDS");
    Counts counts = {0};
    if (asked) {
        char *end;
        first = strtoull(asked, &end, 10);
        last = *end == ':' ? strtoull(end + 1, NULL, 10) : first + 1;
    }
    for (unsigned long long seed = first; seed < last; seed++) check_seed(seed, &counts);
    print_message("%d programs, %d calls (%d from a state), %d elements compared, %d at kinks; %d "
                  "redrawn, %d left out, %d with NaN in outputs, %d without a gradient\n",
                  counts.programs, counts.calls, counts.carried, counts.checked, counts.kinks,
                  counts.redrawn, counts.dropped, counts.undefined, counts.refused);
    assert_int_equal(counts.failures, 0);
    /* What is left out may not be most of it. */
    assert_true(asked || counts.kinks * 20 <= counts.checked);
    assert_true(asked || counts.calls > counts.programs);
    assert_true(asked || counts.refused * 5 <= counts.programs);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
