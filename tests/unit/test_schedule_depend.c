/* The dependence analysis: which edge systems become which loops, what it refuses and in which
 * words, and that whatever it accepts can be evaluated, on demand and in the order that it gives.
 */
#include "schedule_case.h"

static jmp_buf oom;

/* Memory out ends the test program: no test asks for much. */
static Arena *fresh(void) {
    if (setjmp(oom)) abort();
    return arena_new(&oom);
}

/* --- systems as texts: `0>1` is an edge, `0>1@t-1` one with a label; axes are t, u, v --- */

static const char *const label_words[] = {"", "lt", "le", "gt", "ge", "all", "rate"};

static DepEdges edges_of(Arena *arena, const char *text) {
    DepEdges edges = {0};
    while (*text) {
        DepEdge edge = {.from = text[0] - '0', .to = text[2] - '0'};
        for (text += 3; *text == '@';) {
            Label label = {.axis = text[1] - 't'};
            char *end;
            text += 2;
            label.offset = strtol(text, &end, 10);
            for (int k = LABEL_LT; k <= LABEL_RATE; k++)
                if (strncmp(text, label_words[k], strlen(label_words[k])) == 0) {
                    label.kind = (LabelKind)k;
                    end = (char *)(uintptr_t)text + strlen(label_words[k]);
                }
            text = end;
            edge.labels[edge.label_count++] = label;
        }
        vec_push(arena, &edges, edge);
        while (*text == ' ') text++;
    }
    return edges;
}

/* `0 1` is a block, `t>{…}` a loop forward, `t<{…}` backward; parts are separated by `|`. */
static void put_nests(Text *out, Nest *const *nests, int count) {
    for (int i = 0; i < count; i++) {
        if (i) text_puts(out, " | ");
        if (nests[i]->kind == NEST_BLOCK) {
            for (int m = 0; m < nests[i]->members.count; m++)
                text_printf(out, "%s%d", m ? " " : "", nests[i]->members.at[m]);
            continue;
        }
        text_printf(out, "%c%c{", 't' + nests[i]->axis, nests[i]->backward ? '<' : '>');
        put_nests(out, nests[i]->children.at, nests[i]->children.count);
        text_puts(out, "}");
    }
}

static const struct {
    int nodes;
    const char *edges, *want; /* nests, or a word of failure */
} systems[] = {
    {3, "", "2 1 0"},
    {3, "2>1 1>0", "2 1 0"},
    {1, "0>0@t-1", "t>{0}"},
    {1, "0>0@t1", "t<{0}"},
    {1, "0>0@t-4000", "t>{0}"},
    {1, "0>0@tlt", "t>{0}"},
    {1, "0>0@tgt", "t<{0}"},
    {2, "0>1 1>0@t-1", "t>{0 1}"},
    {2, "1>0 0>1@t-1", "t>{1 0}"},
    {3, "0>1 1>1@t-1 1>2", "0 | t>{1} | 2"},
    {3, "0>1@t5 1>1@t-1 1>2@tall", "0 | t>{1} | 2"}, /* labels outside of a cycle bind nothing */
    {2, "0>0@t-1 1>1@t-1", "t>{1} | t>{0}"},         /* two recurrences, not one */
    {2, "0>0@t-1 1>1@t1 0>1", "t>{0} | t<{1}"},
    {2, "0>1@tle 1>0@t-1", "t>{0 1}"}, /* `le` may be the same position */
    {2, "0>1@tge 1>0@t1", "t<{0 1}"},
    {1, "0>0@t-1@u0 0>0@t0@u-1", "t>{u>{0}}"},
    {1, "0>0@t-1@u1", "t>{0}"},
    {1, "0>0@t-1@u1 0>0@t0@u-1", "t>{u>{0}}"},
    {1, "0>0@t-1@u1 0>0@t1@u-1", "both"},
    {1, "0>0@tall@u-1", "u>{0}"},
    {2, "0>1@tall 1>0@u-1", "u>{0 1}"},
    {1, "0>0@tall@u-1 0>0@t-1", "u>{t>{0}}"},
    {1, "0>0@tall@u-1 0>0@t-1 0>0@u1", "all"},
    {3, "0>1 1>2@t-1 2>0 1>1@u-1", "t>{2 0 | u>{1}}"},
    {3, "0>0@u-1 0>1 1>1@u1 1>2 2>0@t-1", "t>{u>{0} | u<{1} | 2}"},
    {1, "0>0@t-1@u-1@v-1", "t>{0}"},
    {1, "0>0@t-1 0>0@u-1 0>0@v-1", "t>{u>{v>{0}}}"},
    {1, "0>0", "instant"},
    {2, "0>1 1>0", "instant"},
    {2, "0>1@tle 1>0@tge", "instant"},
    {2, "0>1 1>0@tle", "instant"},
    {1, "0>0@tall", "all"},
    {2, "0>1@tall 1>0@t-1", "all"},
    {2, "0>1@trate 1>0@trate", "rate"},
    {2, "0>1@trate 1>0@t-1", "rate"},
    {2, "0>1@tall 1>0 0>0", "instant"}, /* the plainer reason first */
    {2, "0>1@t-1 1>0@t1", "both"},
    {2, "0>1@t-2 1>0@t1", "both"}, /* computable after retiming; refused */
};

static void test_systems(void **state) {
    static const char *const failures[] = {"", "instant", "all", "rate", "both"};
    (void)state;
    for (size_t i = 0; i < sizeof systems / sizeof *systems; i++) {
        Arena *arena = fresh();
        DepEdges edges = edges_of(arena, systems[i].edges);
        DepResult result = depend_nests(arena, systems[i].nodes, &edges, 3);
        Text text = text_new(arena);
        if (result.failure == DEP_OK)
            put_nests(&text, result.nests.at, result.nests.count);
        else
            text_puts(&text, failures[result.failure]);
        if (strcmp(text_string(&text), systems[i].want) != 0)
            fail_msg("%s: %s, not %s", systems[i].edges, text_string(&text), systems[i].want);
        arena_free(arena);
    }
}

/* Long chains and rings need no deep stack. */
static void test_long_systems(void **state) {
    enum { LONG = 50000 };
    (void)state;
    Arena *arena = fresh();
    DepEdges edges = {0};
    for (int i = 0; i + 1 < LONG; i++) vec_push(arena, &edges, (DepEdge){.from = i, .to = i + 1});
    DepResult chain = depend_nests(arena, LONG, &edges, 1);
    assert_int_equal(chain.nests.count, 1);
    assert_int_equal(chain.nests.at[0]->members.count, LONG);
    vec_push(
        arena, &edges,
        (DepEdge){.from = LONG - 1, .to = 0, .label_count = 1, .labels = {{0, LABEL_OFFSET, -1}}});
    DepResult ring = depend_nests(arena, LONG, &edges, 1);
    assert_int_equal(ring.nests.count, 1);
    assert_int_equal(ring.nests.at[0]->kind, NEST_LOOP);
    assert_int_equal(ring.nests.at[0]->children.at[0]->members.count, LONG);
    edges.at[edges.count - 1].label_count = 0;
    DepResult bad = depend_nests(arena, LONG, &edges, 1);
    assert_int_equal(bad.failure, DEP_INSTANT);
    assert_int_equal(bad.cycle.count, LONG);
    arena_free(arena);
}

/* --- random systems --- */

enum { SIDE = 4, MOST_NODES = 6, AXES = 2, CELLS = SIDE * SIDE };

typedef struct System {
    int nodes, axes;
    DepEdges edges;
    unsigned char mark[MOST_NODES][CELLS]; /* 1: in progress, 2: done */
} System;

static int side(const System *system, int axis) {
    return axis < system->axes ? SIDE : 1;
}

/* The range that a label reads from position p. */
static void range_of(const DepEdge *edge, int axis, int p, int size, int *low, int *high) {
    *low = p;
    *high = p + 1;
    for (int l = 0; l < edge->label_count; l++) {
        const Label *label = &edge->labels[l];
        if (label->axis != axis) continue;
        if (label->kind == LABEL_OFFSET) {
            *low = p + (int)label->offset;
            *high = *low + 1;
            continue;
        }
        *low = label->kind == LABEL_GT ? p + 1 : label->kind == LABEL_GE ? p : 0;
        *high = label->kind == LABEL_LT ? p : label->kind == LABEL_LE ? p + 1 : size;
    }
    if (*low < 0) *low = 0;
    if (*high > size) *high = size;
}

/* Calls for each (node, cell) that a node reads at a cell, until `visit` says no. */
static bool each_read(System *system, int node, int cell,
                      bool (*visit)(System *system, int node, int cell)) {
    for (int e = 0; e < system->edges.count; e++) {
        const DepEdge *edge = &system->edges.at[e];
        int low[2], high[2];
        if (edge->to != node) continue;
        for (int a = 0; a < 2; a++)
            range_of(edge, a, a ? cell % SIDE : cell / SIDE, side(system, a), &low[a], &high[a]);
        for (int t = low[0]; t < high[0]; t++)
            for (int u = low[1]; u < high[1]; u++)
                if (!visit(system, edge->from, t * SIDE + u)) return false;
    }
    return true;
}

/* The value of a node at a cell, on demand; false when it asks for itself. */
static bool demand(System *system, int node, int cell) {
    if (system->mark[node][cell]) return system->mark[node][cell] == 2;
    system->mark[node][cell] = 1;
    if (!each_read(system, node, cell, demand)) return false;
    system->mark[node][cell] = 2;
    return true;
}

static bool all_demanded(System *system) {
    memset(system->mark, 0, sizeof system->mark);
    for (int n = 0; n < system->nodes; n++)
        for (int t = 0; t < side(system, 0); t++)
            for (int u = 0; u < side(system, 1); u++)
                if (!demand(system, n, t * SIDE + u)) return false;
    return true;
}

static bool is_done(System *system, int node, int cell) {
    return system->mark[node][cell] == 2;
}

/* Runs the nests as they stand: blocks node by node, each over all positions that no loop binds. */
static bool run_nests(System *system, Nest *const *nests, int count, int *bound) {
    for (int i = 0; i < count; i++) {
        const Nest *nest = nests[i];
        if (nest->kind == NEST_LOOP) {
            int size = side(system, nest->axis);
            for (int k = 0; k < size; k++) {
                bound[nest->axis] = nest->backward ? size - 1 - k : k;
                if (!run_nests(system, nest->children.at, nest->children.count, bound))
                    return false;
            }
            bound[nest->axis] = -1;
            continue;
        }
        for (int m = 0; m < nest->members.count; m++)
            for (int t = 0; t < side(system, 0); t++)
                for (int u = 0; u < side(system, 1); u++) {
                    int node = nest->members.at[m], cell = t * SIDE + u;
                    if ((bound[0] >= 0 && bound[0] != t) || (bound[1] >= 0 && bound[1] != u))
                        continue;
                    if (!each_read(system, node, cell, is_done)) return false;
                    system->mark[node][cell] = 2;
                }
    }
    return true;
}

static bool all_run(System *system, const DepResult *result) {
    int bound[AXES] = {-1, -1};
    memset(system->mark, 0, sizeof system->mark);
    if (!run_nests(system, result->nests.at, result->nests.count, bound)) return false;
    for (int n = 0; n < system->nodes; n++)
        for (int t = 0; t < side(system, 0); t++)
            for (int u = 0; u < side(system, 1); u++)
                if (system->mark[n][t * SIDE + u] != 2) return false;
    return true;
}

static uint32_t next(uint32_t *seed, uint32_t below) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 9) % below;
}

static void test_random_systems(void **state) {
    uint32_t seed = 20261120;
    int accepted = 0, looped = 0, nested = 0, refused_but_computable = 0;
    (void)state;
    for (int round = 0; round < 3000; round++) {
        Arena *arena = fresh();
        System system = {.nodes = 1 + (int)next(&seed, MOST_NODES),
                         .axes = 1 + (int)next(&seed, 2)};
        int count = 1 + (int)next(&seed, 2 * MOST_NODES);
        Text text = text_new(arena);
        for (int e = 0; e < count; e++) {
            DepEdge edge = {.from = (int)next(&seed, (uint32_t)system.nodes),
                            .to = (int)next(&seed, (uint32_t)system.nodes)};
            /* Mostly what programs have: forward without offset, back with one. */
            bool usual = next(&seed, 4) > 0;
            if (usual && edge.from >= edge.to)
                edge.labels[edge.label_count++] = (Label){(int)next(&seed, (uint32_t)system.axes),
                                                          LABEL_OFFSET, -1 - (int)next(&seed, 2)};
            for (int a = 0; !usual && a < system.axes; a++) {
                uint32_t kind = next(&seed, 10);
                if (kind < 2) continue;
                Label label = {a, kind < 5 ? LABEL_OFFSET : (LabelKind)(kind - 4), 0};
                if (label.kind == LABEL_OFFSET) label.offset = (int)next(&seed, 5) - 3;
                edge.labels[edge.label_count++] = label;
            }
            text_printf(&text, " %d>%d", edge.from, edge.to);
            for (int l = 0; l < edge.label_count; l++)
                text_printf(&text, "@%c%s%d", 't' + edge.labels[l].axis,
                            label_words[edge.labels[l].kind], (int)edge.labels[l].offset);
            vec_push(arena, &system.edges, edge);
        }
        DepResult result = depend_nests(arena, system.nodes, &system.edges, system.axes);
        bool computable = all_demanded(&system);
        if (result.failure == DEP_OK) {
            accepted++;
            for (int i = 0; i < result.nests.count; i++) {
                const Nest *nest = result.nests.at[i];
                looped += nest->kind == NEST_LOOP;
                for (int j = 0; j < nest->children.count; j++)
                    nested += nest->children.at[j]->kind == NEST_LOOP;
            }
            if (!computable) fail_msg("accepted, but asks for itself:%s", text_string(&text));
            if (!all_run(&system, &result)) fail_msg("not in this order:%s", text_string(&text));
        } else {
            assert_true(result.failure == DEP_ALL || result.failure == DEP_RATE ||
                        result.cycle.count > 0);
            refused_but_computable += computable;
            if (result.failure == DEP_INSTANT && computable)
                fail_msg("no instantaneous cycle:%s", text_string(&text));
        }
        arena_free(arena);
    }
    /* The generator reaches what it is for. */
    assert_in_range(accepted, 900, 2500);
    assert_true(looped > 500 && nested > 20);
    assert_in_range(refused_but_computable, 1, 150);
}

/* --- programs --- */

static const struct {
    const char *text, *want; /* the first lines of what is reported, or NULL */
} programs[] = {
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    h[t] = x[t] + tanh(h[t])\n"
     "}\n",
     "case.rnn:2:5: error: instantaneous cycle: h[t] -> h[t] [E-CAUSAL]"},
    {"model M(x[t]: [4]) -> a[t]: [4] {\n"
     "    state a[t] = 0\n"
     "    a[t] = x[t] * b[t] + a[t-1]\n"
     "    c[t]: [4] = exp(a[t])\n"
     "    b[t]: [4] = x[t] - c[t]\n"
     "}\n",
     "case.rnn:5:5: error: instantaneous cycle: b[t] -> a[t] -> c[t] -> b[t] [E-CAUSAL]"},
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    time s in t\n"
     "    a[t,s] = softmax[s <= t](dot(x[t], h[s]))\n"
     "    h[t] = sum[s <= t](a[t,s] * x[s])\n"
     "}\n",
     "case.rnn:4:5: error: instantaneous cycle: h[t] -> a[t,s] -> h[t] [E-CAUSAL]"},
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    h[t] = x[t] + h[last]\n"
     "}\n",
     "case.rnn:2:19: error: h[t] needs its own whole sequence [E-CAUSAL]"},
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    time s in t\n"
     "    state h[t] = 0\n"
     "    m[t]: [4] = mean[s](h[s])\n"
     "    h[t] = x[t] + h[t-1] * m[t]\n"
     "}\n",
     "case.rnn:4:17: error: h[t] needs its own whole sequence [E-CAUSAL]"},
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    time v in t every 2\n"
     "    state h[t] = 0\n"
     "    y[v]: [4] = tanh(h[2*v])\n"
     "    h[t] = x[t] + h[t-1] + y[t/2]\n"
     "}\n",
     "case.rnn:4:22: error: a recurrence crosses rates; `every` on an equation holds a value "
     "instead [E-CAUSAL]"},
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    state h[t] = 0\n"
     "    h[t] = x[t] + h[t-1] + h[t+1]\n"
     "}\n",
     "case.rnn:3:5: error: past and future of a sequence in one recurrence: h[t] -> h[t] "
     "[E-CAUSAL]"},
    {"model M(x[t]: [4]) -> a[t]: [4] {\n"
     "    state a[t] = 0\n"
     "    state b[t]: [4] = 0\n"
     "    a[t] = x[t] + b[t-2]\n"
     "    b[t] = tanh(a[t+1])\n"
     "}\n",
     "case.rnn:5:5: error: past and future of a sequence in one recurrence: b[t] -> a[t] -> b[t] "
     "[E-CAUSAL]"},
    /* the same, forward only */
    {"model M(x[t]: [4]) -> a[t]: [4] {\n"
     "    state a[t] = 0\n"
     "    state b[t]: [4] = 0\n"
     "    a[t] = x[t] + b[t-2]\n"
     "    b[t] = tanh(a[t-1])\n"
     "}\n",
     NULL},
    /* strictly past positions, by a bound, a window, a pointer, on another axis, by `every` */
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    time s in t\n"
     "    a[t,s] = softmax[s < t](dot(x[t], h[s]))\n"
     "    h[t] = x[t] + sum[s < t](a[t,s] * h[s])\n"
     "}\n",
     NULL},
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    time s in t\n"
     "    h[t] = x[t] + mean[s in t-3:t](h[s])\n"
     "}\n",
     NULL},
    {"model M(x[t]: [4], p[t]: past(t)) -> h[t]: [4] {\n"
     "    state h[t] = 0\n"
     "    h[t] = x[t] + tanh(h[p[t]])\n"
     "}\n",
     NULL},
    {"model M(x[t,u]: [4]) -> h[t,u]: [4] {\n"
     "    state h[t,u] = 0\n"
     "    h[t,u] = tanh(x[t,u] + h[t-1,u+1] + h[t,u-1])\n"
     "}\n",
     NULL},
    {"model M(x[t]: [4]) -> h[t]: [4] {\n"
     "    state h[t] = 0\n"
     "    h[t] = tanh(x[t] + h[t-1]) every 3\n"
     "}\n",
     NULL},
};

static void test_programs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        Case c;
        schedule_open(&c, programs[i].text);
        const char *model = sema_model(c.program, NULL, c.diags);
        const Graph *graph = model ? sema_graph(c.program, model, MODE_INFER, c.diags) : NULL;
        if (!graph) fail_msg("%s\n%s", programs[i].text, case_diags(&c));
        bool good = schedule_causal(c.arena, graph, c.diags);
        const char *said = case_diags(&c), *want = programs[i].want;
        if (good != !want) fail_msg("%s\n%s", programs[i].text, said);
        if (want && strncmp(said, want, strlen(want)) != 0)
            fail_msg("%s\nsays\n%s\nnot\n%s", programs[i].text, said, want);
        assert_int_equal(c.diags->errors, want ? 1 : 0);
        case_close(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_systems),
        cmocka_unit_test(test_long_systems),
        cmocka_unit_test(test_random_systems),
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
