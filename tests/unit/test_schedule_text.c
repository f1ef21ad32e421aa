/* The text form of Schedules: what was printed and read back prints the same bytes and is lowered
 * to the same Loop code; broken texts give located errors and never more. */
#include "schedule_case.h"

#include "loop/loop.h"
#include "loop/lower.h"
#include "random_graph.h"

static const char *lowered(Case *c, const Schedule *schedule) {
    LowerOptions options = {.target = {.lanes = 16, .fma = true, .l2_bytes = 1 << 20},
                            .real = LT_F32,
                            .prefix = "m",
                            .axes_needed =
                                ARENA_ARRAY(c->arena, schedule->graph->axes.count + 1, bool)};
    Interface *interface_ = lower_schedule(c->arena, c->names, schedule, &options, c->diags);
    if (!interface_) return NULL;
    Text text = text_new(c->arena);
    loop_print(interface_->module, &text);
    return text_string(&text);
}

static void round_trip(Case *c, const char *what, const Schedule *schedule) {
    const char *first = schedule_text(c->arena, schedule);
    Schedule *again = schedule_read(c, schedule->graph, first);
    if (!again)
        fail_msg("%s\n%s\n%s", what, first, case_diags(c));
    else {
        const char *second = schedule_text(c->arena, again);
        if (strcmp(first, second) != 0) fail_msg("%s\n%s\nread back:\n%s", what, first, second);
        if (!schedule_verify(again, c->diags)) fail_msg("%s\n%s", what, case_diags(c));
        const char *code = lowered(c, schedule), *same = lowered(c, again);
        if ((code == NULL) != (same == NULL) || (code != NULL && strcmp(code, same) != 0))
            fail_msg("%s: other code\n%s", what, first);
    }
}

static void test_programs_round_trip(void **state) {
    Case files;
    (void)state;
    schedule_open(&files, "model M(x[t]: [2]) -> y[t]: [2] { y[t] = x[t] }\n");
    const char *names[64];
    int count = case_files(&files, "tests/golden/programs", names, 64), read = 0;
    for (int f = 0; f < count; f++)
        for (int mode = MODE_INFER; mode <= MODE_TRAIN; mode++) {
            Case c;
            const char *path = arena_printf(files.arena, "tests/golden/programs/%s", names[f]);
            schedule_open_file(&c, path);
            Schedule *schedule = schedule_case(&c, NULL, (Mode)mode);
            if (schedule) {
                round_trip(&c, path, schedule);
                read++;
            }
            case_close(&c);
        }
    assert_true(read >= 20);
    case_close(&files);
}

/* Each cell of the prelude as a layer; ports are declared by what it needs. */
static const char *const cells[] = {
    "Elman[H]",
    "DelayedRNN[H]",
    "LSTM[H]",
    "PeepholeLSTM[H]",
    "FullPeepholeLSTM[H]",
    "CIFG[H]",
    "LSTMP[Q, H]",
    "CIFGP[Q, H]",
    "MultiplicativeLSTM[H]",
    "GRU[H]",
    "GRUAfter[H]",
    "SCRN[H, 6]",
    "SRU[H]",
    "QRNN[H]",
    "MinGRU[H]",
    "MinLSTM[H]",
    "IndRNN[H]",
    "reverse LSTM[H]",
};

static void test_cells_round_trip(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        for (int off = -1; off < CHOICE_COUNT; off++) {
            Case c;
            char text[512];
            snprintf(text, sizeof text,
                     "size H = 20, Q = 36\n"
                     "model M(x[t]: [H]) -> h[t]: [H] {\n"
                     "    use f = %s\n"
                     "    h[t] = f(x[t])\n"
                     "}\n",
                     cells[i]);
            schedule_open(&c, text);
            Choices choices = {.chains = 0};
            if (off >= 0) choices.off[off] = true;
            choices.chains = off > 0 ? off % (MOST_FORCED_CHAINS + 1) : 0;
            const Graph *graph = schedule_graph(&c, NULL, MODE_INFER);
            const Schedule *schedule = schedule_build_with(c.arena, graph, &choices, NULL, c.diags);
            if (!schedule || !schedule_verify(schedule, c.diags)) fail_msg("%s", case_diags(&c));
            round_trip(&c, cells[i], schedule);
            case_close(&c);
        }
}

/* Random graphs: what is built is sound, and reads back. */
static void test_random_round_trip(void **state) {
    int built = 0, looped = 0;
    (void)state;
    for (uint32_t seed = 1; seed <= 1500; seed++) {
        GraphCase g = graph_case_bytes("graph g infer\n", 14);
        RandomGraph r = random_graph(g.arena, g.names, seed, 4 + (int)(seed % 12));
        Diags *diags = diags_new(g.arena);
        PassOptions options = {0};
        if (!graph_verify(r.graph, "random", diags) || !schedule_causal(g.arena, r.graph, diags)) {
            arena_free(g.arena);
            continue;
        }
        const Graph *graph = passes_run(r.graph, &options, diags);
        Case c = {.arena = g.arena, .names = g.names, .diags = diags};
        if (!graph) fail_msg("%u: %s", seed, case_diags(&c));
        Schedule *schedule = schedule_build(g.arena, graph, diags);
        for (int i = 0; i < diags->list.count; i++)
            if (strcmp(diags->list.at[i]->code, "E-LOWER") != 0)
                fail_msg("%u: %s\n%s", seed, case_diags(&c), graph_case_text(&g, graph));
        if (schedule) {
            built++;
            for (int i = 0; i < schedule->nests.count; i++)
                looped += schedule->nests.at[i]->kind == NEST_LOOP;
            if (!schedule_verify(schedule, diags))
                fail_msg("%u: %s\n%s", seed, case_diags(&c), schedule_text(g.arena, schedule));
            round_trip(&c, arena_printf(g.arena, "%u", seed), schedule);
        }
        arena_free(g.arena);
    }
    assert_true(built >= 200 && looped >= 50);
}

/* --- broken texts --- */

static const char *const small = "size I = 3, H = 5\n"
                                 "model M(x[t]: [I], s: [H] = 0) -> y[t]: [H], m[t]: [] {\n"
                                 "    time k in t\n"
                                 "    use f = GRU[H]\n"
                                 "    param A: [H, H + I] ~ glorot\n"
                                 "    h[t] = f(x[t])\n"
                                 "    state c[t] = s\n"
                                 "    c[t]: [H] = tanh(A @ concat(c[t-1], x[t]))\n"
                                 "    y[t] = h[t] + c[t] + x[first][0]\n"
                                 "    m[t] = mean[k <= t](max(h[k]))\n"
                                 "}\n";

/* Reads a text that may be anything: what is accepted can be verified and printed. */
static bool try_text(const Graph *graph, const char *text, size_t length) {
    Case c = {0};
    if (setjmp(c.oom)) fail_msg("out of memory");
    c.arena = arena_new(&c.oom);
    c.diags = diags_new(c.arena);
    char *copy = arena_alloc(c.arena, length + 1);
    memcpy(copy, text, length);
    Source source = {"broken", copy, (uint32_t)length};
    Schedule *schedule = schedule_parse(c.arena, graph, &source, c.diags);
    if (schedule) {
        schedule_verify(schedule, c.diags);
        schedule_text(c.arena, schedule);
    } else {
        assert_true(c.diags->errors > 0);
        for (int i = 0; i < c.diags->list.count; i++) {
            assert_ptr_equal(c.diags->list.at[i]->span.source, &source);
            assert_true(c.diags->list.at[i]->span.end <= length);
        }
    }
    arena_free(c.arena);
    return schedule != NULL;
}

static void test_torn_texts(void **state) {
    Case c;
    (void)state;
    schedule_open(&c, small);
    const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
    const char *text = schedule_text(c.arena, schedule);
    size_t length = strlen(text);
    char *torn = malloc(2 * length + 1);
    assert_non_null(torn);
    assert_true(try_text(schedule->graph, text, length));
    for (size_t begin = 0; begin < length;) {
        size_t end = (size_t)(strchr(text + begin, '\n') - text) + 1;
        memcpy(torn, text, begin); /* without a line, */
        memcpy(torn + begin, text + end, length - end);
        try_text(schedule->graph, torn, length - (end - begin));
        memcpy(torn, text, end); /* with it twice, */
        memcpy(torn + end, text + begin, length - begin);
        try_text(schedule->graph, torn, length + (end - begin));
        try_text(schedule->graph, text, (begin + end) / 2); /* ended in its middle */
        begin = end;
    }
    static const char letters[] = "0123456789.%[]():,+-*/=<>@#\" \nabcvtK";
    uint32_t seed = 7;
    int accepted = 0;
    for (int i = 0; i < 4000; i++) {
        memcpy(torn, text, length);
        for (int k = 0; k < 1 + i % 3; k++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 8) % length;
            seed = seed * 1664525u + 1013904223u;
            torn[at] = letters[(seed >> 8) % (sizeof letters - 1)];
        }
        accepted += try_text(schedule->graph, torn, length);
    }
    assert_in_range(accepted, 20, 3000);
    free(torn);
    case_close(&c);
}

/* Every message, with its place. `from` becomes `to` in the text of `small`. */
static const struct {
    const char *from, *to, *message;
} broken[] = {
    {"schedule M", "schedule N", "the graph is of another model"},
    {"schedule M", "schedule M without wings", "there is no such choice"},
    {"schedule M\n", "", "no line 'schedule NAME'"},
    {"loop t", "loop z", "there is no axis 'z'"},
    {"loop t forward", "loop t sideways", "expected forward or backward"},
    {"loop t forward\n", "loop t forward\n  loop t forward\n",
     "a loop around is over this axis already"},
    {"    block\n", "    map\n", "a map is outside of all loops"},
    {"map\n", "block\n", "a block is inside of a loop"},
    {"stage 0", "stage 1", "stages are numbered from 0 without a gap"},
    {"family n=5", "family m=5", "expected 'n'"},
    {"family n=5", "family n=x", "expected a whole number"},
    {" acc ", " acc 7 ", "expected a name"},
    {" acc ", " acc sum ", "expected a value, such as v7 or f.h.7"},
    {"chains=", "chains=-", "number out of range"},
    {": f[5] = tanh", ": g[5] = tanh", "expected 'f'"},
    {" = tanh ", " = tanh v0, ", "tanh takes 1 operands, not 2"},
    {" = tanh ", " = argmax ", "the graph's node of this number is another operation"},
    {" = product A(", " = product B(", "there is no parameter 'B'"},
    {" = product A(5:8, 5:1)", " = product A(5:8)", "a product needs rows and columns"},
    {" -> history", "", "expected '->' and where the value is kept"},
    {" -> history", " -> rows", "only inputs and constants have rows"},
    {" -> history", " -> in v1", "only a product is in an accumulator"},
    {" = input x", " = input y", "there is no input 'y'"},
    {" = input x", " = input x -> single", "inputs and constants have rows, no storage"},
    {"[1:0] else ", "[1:0, 0:0] else ", "more rows than indices"},
    {"[1:0] else ", "[1:] else ", "expected a whole number"},
    {"[t-1 else ", "[t-1, t else ", "one position for each index of the value"},
    {"[t-1 else ", "[0*t else ", "factor below 1"},
    {"[t-1 else ", "[t-99999999999 else ", "offset too large"},
    {"output y = ", "output z = ", "no such output, or named before"},
    {"output y = ", "output y = v77 # ", "value 77 is not defined"},
    {"output y = ", "output y = h.1 # ", "the value of this number has another name"},
    {"output y = ", "# ", "an output of the graph has no line"},
    {"output y = ", "stop t when v1\noutput y = ", "the graph has no such stop"},
    {"output y = ", "loop t forward\noutput y = ", "a loop around nothing"},
    {"output y = ", "here\noutput y = ", "expected a value, such as v7 or f.h.7"},
};

static const char *replaced(Case *c, const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at) fail_msg("no '%s' in\n%s", from, text);
    return arena_printf(c->arena, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

static void test_messages(void **state) {
    Case c;
    (void)state;
    schedule_open(&c, small);
    const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
    const char *text = schedule_text(c.arena, schedule);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        c.diags = diags_new(c.arena);
        const char *bad = replaced(&c, text, broken[i].from, broken[i].to);
        if (schedule_read(&c, schedule->graph, bad)) fail_msg("%s was accepted", broken[i].to);
        const Diag *diag = c.diags->list.at[0];
        if (!strstr(diag->message, broken[i].message))
            fail_msg("'%s' to '%s': %s", broken[i].from, broken[i].to, case_diags(&c));
        assert_string_equal(diag->code, "E-SYNTAX");
    }
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs_round_trip),
        cmocka_unit_test(test_cells_round_trip),
        cmocka_unit_test(test_random_round_trip),
        cmocka_unit_test(test_torn_texts),
        cmocka_unit_test(test_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
