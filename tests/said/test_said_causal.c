/* Causality: the static verdict on random systems of equations against their evaluation on demand,
 * at lengths from 0 on. None may be accepted that asks for a value in order to compute it; what is
 * refused though it can be evaluated is counted by reason. What is accepted goes on to Loop code,
 * which gives the values of the interpreter. CAUSAL_SEEDS=FIRST:LAST tries others; CAUSAL_SHOW=n
 * prints the first n systems that are refused for nothing, made small. */
#include "said.h"

#include "graph/interpret.h"

typedef enum Found {
    NO_PROGRAM,      /* another rule of the language refuses it */
    RUNS,            /* accepted, and evaluated like the interpreter */
    NOT_LOWERED_YET, /* accepted, E-LOWER */
    CYCLES,          /* refused, and not evaluable */
    OVER_INSTANT,    /* refused though evaluable at all the lengths: by reason */
    OVER_ALL,
    OVER_RATE,
    OVER_BOTH,
    FOUND_COUNT
} Found;

static const char *const found_names[FOUND_COUNT] = {
    "no program (another rule)",
    "accepted, equal to the interpreter",
    "accepted, E-LOWER",
    "refused, rightly",
    "refused though evaluable: instantaneous cycle",
    "refused though evaluable: needs its own whole sequence",
    "refused though evaluable: crosses rates",
    "refused though evaluable: past and future",
};

typedef struct Judged {
    Found found;
    const char *defect;
    const char *code;  /* of NO_PROGRAM */
    const char *words; /* why it is refused */
} Judged;

/* Pointers into the past, which plain random data does not hold. */
static void draw_pointers(Data *data, Dice *dice_) {
    for (int i = 0; i < data->graph->inputs.count; i++) {
        const GraphPort *port = &data->graph->inputs.at[i];
        if (port->type.pointer != PTR_PAST || !data->inputs[i]) continue;
        for (int64_t k = 0; k < port_count(data, port); k++)
            data->inputs[i][k] = dice(dice_, (int)(k / data->batch) + 1) - 1;
    }
}

enum { SIZES = 7 };

static Data *data_of(Arena *arena, const Graph *graph, int size) {
    static const int64_t extents[SIZES] = {0, 1, 2, 3, 5, 9, 7}, ragged[] = {7, 2, 4, 1};
    bool last = size == SIZES - 1;
    Dice dice_ = dice_new((uint64_t)size);
    Data *data =
        data_new(arena, graph, last ? 4 : 1, extents[size], ragged, last ? 4 : 0, (uint64_t)size);
    draw_pointers(data, &dice_);
    return data;
}

static InterpStatus on_demand(Arena *arena, const Graph *graph, int size, const char **words) {
    Data *data = data_of(arena, graph, size);
    InterpCall call = {.batch = data->batch,
                       .lengths = data->lengths,
                       .inputs = (const double **)data->inputs,
                       .params = (const double **)data->params};
    InterpResult *result = interpret(arena, graph, &call);
    *words = result->message;
    return result->status;
}

static Found reason_of(Arena *arena, const Graph *graph) {
    DepEdges edges = depend_graph(arena, graph, INDEX_FREE);
    switch (depend_nests(arena, graph->nodes.count, &edges, graph->axes.count).failure) {
    case DEP_INSTANT: return OVER_INSTANT;
    case DEP_ALL: return OVER_ALL;
    case DEP_RATE: return OVER_RATE;
    case DEP_OK:
    case DEP_BOTH: break;
    }
    return OVER_BOTH;
}

/* Compiled, against the interpreter; NULL when equal. */
static const char *lowered(Arena *arena, const Built *built, int size) {
    Data *data = data_of(arena, built->graph, size);
    Outcome *want = run_interpreter(arena, built, data, false);
    Outcome *got = run_forward(&evaluator, arena, built, data, NULL);
    const char *words = compare_near(arena, data, got, want, 1e-9);
    if (words || got->status != LOOP_OK) return words;
    return compare_padding(arena, data, got);
}

static Judged judge(Arena *arena, const char *text) {
    Said said = {.text = text, .real = LT_F64, .target = target_8};
    Names *names = names_new(arena);
    Verdict verdict;
    Judged judged = {.found = NO_PROGRAM};
    const Graph *graph = said_graph(arena, names, &said, &verdict);
    if (!graph) {
        judged.code = verdict.code;
        judged.words = verdict.words;
        if (strcmp(verdict.code, "internal") == 0) judged.defect = verdict.words;
        return judged;
    }
    bool accepted = schedule_causal(arena, graph, diags_new(arena)), cyclic = false;
    judged.words = accepted ? "accepted" : "E-CAUSAL";
    const char *words = NULL;
    for (int size = 0; size < SIZES && !cyclic; size++) {
        InterpStatus status = on_demand(arena, graph, size, &words);
        cyclic = status == INTERP_CYCLE;
        if (status != INTERP_OK && status != INTERP_CYCLE && status != INTERP_LENGTH)
            judged.defect = words;
    }
    judged.found = cyclic ? CYCLES : reason_of(arena, graph);
    if (judged.defect || !accepted) return judged;
    if (cyclic) {
        judged.defect = arena_printf(arena, "accepted, but %s", words);
        return judged;
    }
    Built *built = said_lower(arena, names, graph, &said);
    judged.found = built->result == NOT_LOWERED ? NOT_LOWERED_YET : RUNS;
    if (built->result == BROKEN) judged.defect = built->words;
    if (built->result != BUILT) return judged;
    for (int size = 0; size < SIZES && !judged.defect; size++)
        judged.defect = lowered(arena, built, size);
    return judged;
}

/* ---- making one small ---- */

static bool same(const Judged *a, const Judged *b) {
    if ((a->defect != NULL) != (b->defect != NULL)) return false;
    if (!a->defect) return a->found == b->found;
    return strncmp(a->defect, b->defect, 12) == 0;
}

/* In an arena of its own, which goes; a text that breaks the compiler is no answer here. */
static bool still(void *user, const char *text) {
    const Judged *wanted = user;
    Test test;
    TEST_OPEN(&test);
    Judged judged = judge(test.arena, text);
    bool kept = same(wanted, &judged);
    arena_free(test.arena);
    return kept;
}

typedef struct Count {
    int found[FOUND_COUNT], failures, shown;
    struct {
        char code[16];
        int count;
    } codes[16];
} Count;

static void count_code(Count *count, const char *code) {
    for (int i = 0; i < 16; i++) {
        if (count->codes[i].count && strcmp(count->codes[i].code, code) != 0) continue;
        if (!count->codes[i].count++)
            snprintf(count->codes[i].code, sizeof count->codes[i].code, "%s", code);
        return;
    }
}

static void try_seed(int seed, int show, Count *count) {
    Test test;
    TEST_OPEN(&test);
    const char *text = system_text(test.arena, (uint64_t)seed);
    Judged judged = judge(test.arena, text);
    if (getenv("CAUSAL_TEXT")) printf("%s# seed %d: %s\n\n", text, seed, judged.words);
    count->found[judged.found]++;
    if (judged.found == NO_PROGRAM) count_code(count, judged.code);
    bool over = judged.found >= OVER_INSTANT && judged.found <= OVER_BOTH;
    if (judged.defect && count->failures++ < 8) {
        const char *small = said_shrink(test.arena, text, still, &judged);
        printf("FAIL seed %d: %s\n%s", seed, judge(test.arena, small).defect, small);
    } else if (over && count->shown < show) {
        count->shown++;
        printf("seed %d: %s\n%s", seed, found_names[judged.found],
               said_shrink(test.arena, text, still, &judged));
    }
    arena_free(test.arena);
}

static void random_systems(void **state) {
    int first = 0, last = 2000;
    Count count = {0};
    const char *show = getenv("CAUSAL_SHOW");
    (void)state;
    dice_range("CAUSAL_SEEDS", &first, &last);
    for (int seed = first; seed < last; seed++) try_seed(seed, show ? atoi(show) : 0, &count);
    for (int i = 0; i < FOUND_COUNT; i++) printf("%7d %s\n", count.found[i], found_names[i]);
    for (int i = 0; i < 16 && count.codes[i].count; i++)
        printf("        %7d %s\n", count.codes[i].count, count.codes[i].code);
    assert_int_equal(count.failures, 0);
}

/* What the search has found, by hand or by machine, and has to stay as it is. */
static void known_systems(void **state) {
    static const struct {
        Found found;
        const char *text;
    } known[] = {
        {CYCLES, /* above the range that the sum wants */
         "model S(x[t]: []) -> d[t]: [] {\n time s in t\n state h[t]: [] = 0\n"
         " state a[t,s]: [] = 0\n h[t] = x[t] + 0.5 * d[t]\n a[t,s] = 0.5 * h[s] + x[t]\n"
         " c[t] = sum[s < t](a[t,s])\n d[t] = c[t] + a[t-1,t]\n}\n"},
        {OVER_INSTANT, /* at its end */
         "model S(x[t]: []) -> d[t]: [] {\n time s in t\n state h[t]: [] = 0\n"
         " state a[t,s]: [] = 0\n h[t] = x[t] + 0.5 * d[t]\n a[t,s] = 0.5 * h[s] + x[t]\n"
         " c[t] = sum[s < t](a[t,s])\n d[t] = c[t] + a[t-1,t-1]\n}\n"},
        {RUNS, /* an index that two reductions bind, over different ranges */
         "model S(x[t]: []) -> z: [] {\n time s in t\n"
         " b[t]: [] = x[t] + 0.5 * tanh(logsumexp[s < t](b[s]))\n z = mean[s](b[s])\n}\n"},
        {RUNS, /* the reader names the boundary's index otherwise */
         "model S(x[t]: [], y[u]: []) -> a[t]: [] {\n time r in u\n"
         " a[t]: [] = x[t] + max[r](c[t-1,r])\n state c[t,u]: [] = 0.5 * y[u]\n"
         " c[t,u] = 0.5 * x[t]\n}\n"},
        {CYCLES, /* one pointer of two */
         "model S(x[t]: [], p[t]: past(t)) -> a[s]: [] {\n time s in t\n"
         " a[s]: [] = x[s] + c[s-2,s]\n state b[t,s]: [] = 0.2\n b[t,s] = x[t] + c[s,p[t]]\n"
         " state c[t,s]: [] = 0.2\n c[t,s] = e[t] + b[t,t+1]\n"
         " e[t]: [] = x[t] + 0.2 * tanh(c[p[t],p[t]])\n}\n"},
        {RUNS, /* a row behind the end that a loop writes over, inside of another loop */
         "model S(x[t]: [], y[u]: []) -> c[t,u]: [] {\n state h[u,t]: [] = 0.5\n"
         " h[u,t] = x[t] + 0.3 * tanh(h[u,t-2]) + 0.5 * tanh(g[u-2,t-1])\n"
         " state g[u,t]: [] = 0.25\n g[u,t] = y[u] + 0.5 * tanh(h[u,t+2])\n"
         " c[t,u] = g[u,t]\n}\n"},
        {RUNS, /* a term that comes from a loop inside of the sum's */
         "model Leak(a[t]: [3]) -> b[t]: [3] { state b[t] = 0; b[t] = 0.5 * b[t-1] + a[t] }\n"
         "model S(x[t]: [3], y[u]: [3]) -> a[t,u]: [3] {\n use m = Leak\n"
         " state a[t,u]: [3] = 0.2\n"
         " a[t,u] = 0.4 * x[t] + 0.4 * tanh(b[t-1]) + 0.4 * m(a[t-1,u-1]) + 0 * y[u]\n"
         " state b[t]: [3] = 0.2\n b[t] = 0.4 * x[t] + 0.4 * tanh(a[t,first])\n}\n"},
        {RUNS, /* a boundary value that the loop computes, over the other index */
         "model S(x[t]: [], y[u]: []) -> h[t]: [] {\n state c[u,t]: [] = g[t]\n"
         " c[u,t] = 0.5 * c[u-1,t] + x[t] + y[u]\n state h[t]: [] = 0\n"
         " h[t] = tanh(c[last,t])\n g[t]: [] = 0.5 * h[t-1]\n}\n"},
        {RUNS, /* over the second index, where the value is read at the first one's past */
         "model S(x[t]: [], y[u]: []) -> h[u]: [] {\n state c[t,u]: [] = g[u]\n"
         " c[t,u] = 0.5 * c[t-1,u] + x[t] + y[u]\n state h[u]: [] = 0\n"
         " h[u] = tanh(c[last,u])\n g[u]: [] = 0.5 * h[u-1]\n}\n"},
        {RUNS, /* the boundary's index is that of the second slot, by the name of the first */
         "model S(x[t]: []) -> z: [] {\n time s in t\n state c[t,s]: [] = 0.5 * x[s]\n"
         " c[t,s] = 0.7 * x[t] + 0.3 * tanh(c[t-1,t])\n z = sum[s](c[last,s])\n}\n"},
        {RUNS, /* a boundary value that the loop computes behind its readers, for later turns */
         "model S(x[t]: [], y[u]: []) -> b[t,u]: [] {\n time s in t\n time r in u\n"
         " state b[t,u]: [] = 0.5 * c[t]\n b[t,u] = 0.5 * x[t] + 0.3 * sum[s < t](b[s,u-2])\n"
         " c[t]: [] = 0.4 * x[t] + 0.4 * tanh(mean[r](b[t,r]))\n}\n"},
        {RUNS, /* the same, behind the ends, at indices that come in turn */
         "model S(x[t]: []) -> g[t]: [] {\n time s in t\n"
         " b[t]: [] = 0.5 * x[t] + 0.5 * tanh(c[t+1])\n state c[t]: [] = 0.1\n"
         " c[t] = 0.5 * x[t] + 0.3 * g[t+2]\n state e[t,s]: [] = 0.5 * b[s]\n"
         " e[t,s] = 0.4 * x[t]\n state g[t]: [] = 0.1\n"
         " g[t] = 0.6 * x[t] + 0.4 * tanh(sum[s >= t](e[t+2,s]))\n}\n"},
        {RUNS, /* one value by its first index, one by the other */
         "model S(x[t]: []) -> c[s]: [], z: [] {\n time s in t\n state h[t,s]: [] = 0.1\n"
         " h[t,s] = 0.3 * x[t] + 0.2 * c[t-1]\n state c[s]: [] = 0.1\n"
         " c[s] = 0.7 * x[s] + 0.3 * logsumexp[t in s-3:s](h[t,s])\n"
         " z = sum[s](h[s,s-2])\n}\n"},
        {RUNS, /* by the last index */
         "model S(x[t]: []) -> z: [], b[t]: [] {\n time s in t\n state a[t,s]: [] = 0.2\n"
         " a[t,s] = 0.4 * x[t] + 0.5 * tanh(a[t,s-2])\n b[t] = x[t] + sum[s < t](a[s,s-2])\n"
         " e[t]: [] = 0.2 * tanh(min[s <= t](a[s,t-1]))\n z = min[t](e[t])\n}\n"},
        {NOT_LOWERED_YET, /* one by its first, one by its last */
         "model S(x[t]: []) -> z: [], b[t]: [], d[t]: [] {\n time s in t\n"
         " state a[t,s]: [] = 0.2\n a[t,s] = 0.4 * x[t] + 0.5 * tanh(a[t,s-2])\n"
         " b[t] = x[t] + sum[s < t](a[s,s-2])\n e[t]: [] = 0.2 * tanh(min[s <= t](a[s,t-1]))\n"
         " state c[t,s]: [] = 0.2\n c[t,s] = 0.4 * x[t] + 0.5 * tanh(c[t-2,s])\n"
         " d[t] = sum[s < t](c[t,s])\n z = min[t](e[t])\n}\n"},
        {OVER_ALL, /* wanted at its own position by one, elsewhere by the other: in any order */
         "model S(x[t]: [] = 0.3) -> a[t,u]: [] {\n time s in t\n time r in u\n"
         " a[t,u]: [] = x[t] + sum[s in t-1:t](g[s])\n state b[t]: [] = 0\n"
         " b[t] = x[t] + 0.2 * d[t-2,t-1]\n state d[t,s]: [] = 0.2\n"
         " d[t,s] = x[t-1] + 0.5 * tanh(logsumexp[r](a[s,r]))\n"
         " g[t]: [] = b[t-1] + 0.5 * tanh(max[s < t](d[s,s]))\n}\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        Test test;
        TEST_OPEN(&test);
        Judged judged = judge(test.arena, known[i].text);
        if (judged.defect) printf("%s\n", judged.defect);
        if (judged.found != known[i].found)
            printf("%s\nwas: %s\n", known[i].text, found_names[judged.found]);
        assert_null(judged.defect);
        assert_int_equal(judged.found, known[i].found);
        arena_free(test.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_systems),
                                       cmocka_unit_test(random_systems)};
    setvbuf(stdout, NULL, _IOLBF, 0); /* a run that is cut off has told what it found */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
