/* What the analysis finds in the programs of docs/language.md, and the schedules of named cells in
 * full. The text of a cell is a golden file beside its program, tests/golden/schedule;
 * RNNC_UPDATE=1 writes them. */
#include "schedule_case.h"

#include "schedule/choices.h"

static bool is_product(const Value *value) {
    return value->kind == VALUE_PRODUCT || (value->kind == VALUE_ROW && value->op == OP_MATMUL);
}

/* `t> 4` is a loop forward with four products, `t<` one backward, `scan t>` a scan; loops stand in
 * order, inner ones in braces. Behind them the products that are computed for all positions at
 * once, and those computed once. */
static void put_loop(const Schedule *schedule, const SNest *nest, Text *out) {
    int products = 0;
    for (int i = 0; i < nest->members.count; i++)
        products += is_product(schedule->values.at[nest->members.at[i]]);
    text_printf(out, "%s%s%c %d", nest->scan ? "scan " : "",
                schedule->graph->axes.at[nest->axis].name, nest->backward ? '<' : '>', products);
    for (int i = 0; i < nest->children.count; i++) {
        if (nest->children.at[i]->kind != NEST_LOOP) continue;
        text_puts(out, " {");
        put_loop(schedule, nest->children.at[i], out);
        text_puts(out, "}");
    }
}

static const char *found(const Schedule *schedule) {
    Text out = text_new(schedule->arena);
    int map = 0, once = 0;
    for (int i = 0; i < schedule->nests.count; i++) {
        if (schedule->nests.at[i]->kind != NEST_LOOP) continue;
        put_loop(schedule, schedule->nests.at[i], &out);
        text_puts(&out, ", ");
    }
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live || value->nest >= 0 || !is_product(value)) continue;
        if (value->domain_count)
            map++;
        else
            once++;
    }
    text_printf(&out, "map %d, once %d", map, once);
    return text_string(&out);
}

/* The table of language.md, section 6, is of the equations as they are written: M @ concat(a, b) is
 * one product there. In the normal form it is one a part, which is what `split` says where that
 * differs. */
static const struct {
    const char *file, *model;
    Mode mode;
    const char *written, *split;
} table[] = {
    {"01_lstm", NULL, MODE_TRAIN, "t> 4, map 4, once 1", NULL},
    {"02_gru", NULL, MODE_TRAIN, "t> 3, t> 3, map 7, once 0", NULL},
    {"03_peephole_cifg", NULL, MODE_TRAIN, "t> 4, t> 4, map 7, once 0", NULL},
    {"04_clockwork", NULL, MODE_TRAIN, "t> 2, t> 1, t> 1, t> 1, map 10, once 0",
     "t> 2, t> 1, t> 1, t> 1, map 13, once 0"},
    {"05_scrn", NULL, MODE_TRAIN, "scan t> 0, t> 1, map 5, once 0", NULL},
    {"07_bilstm_stack", NULL, MODE_INFER, "t> 4, t< 4, t> 4, t< 4, t> 4, t< 4, map 25, once 0",
     "t> 4, t< 4, t> 4, t< 4, t> 4, t< 4, map 42, once 0"},
    {"09_ctc", NULL, MODE_INFER, "t> 4, t< 4, t> 4, t< 4, t> 4, t< 4, map 25, once 0",
     "t> 4, t< 4, t> 4, t< 4, t> 4, t< 4, map 42, once 0"},
    {"08_seq2seq", NULL, MODE_TRAIN, "t> 4, t< 4, u> 7, map 10, once 1",
     "t> 4, t< 4, u> 7, map 15, once 1"},
    {"08_seq2seq", NULL, MODE_INFER, "t> 4, t< 4, u> 8, map 9, once 1",
     "t> 4, t< 4, u> 12, map 10, once 1"},
    {"10_charlm", NULL, MODE_INFER, "t> 4, t> 4, map 9, once 0", NULL},
    {"cells", "Elman", MODE_TRAIN, "t> 1, map 1, once 0", NULL},
    {"cells", "SRU", MODE_TRAIN, "scan t> 0, map 3, once 0", NULL},
    {"cells", "QRNN", MODE_TRAIN, "scan t> 0, map 6, once 0", NULL},
    {"cells", "MinGRU", MODE_TRAIN, "scan t> 0, map 2, once 0", NULL},
    {"cells", "SelectiveScan", MODE_TRAIN, "scan t> 0, map 4, once 0", NULL},
    {"cells", "SelfAttention", MODE_TRAIN, "map 3, once 0", NULL},
    {"cells", "HeadAttention", MODE_TRAIN, "map 3, once 0", NULL},
    {"cells", "Transducer", MODE_TRAIN, "t> 0 {u> 0}, map 0, once 0", NULL},
};

static void test_table(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int off = 0; off < 2; off++) {
            Case c;
            char path[128];
            snprintf(path, sizeof path, "tests/golden/programs/%s.rnn", table[i].file);
            schedule_open_file(&c, path);
            Choices choices = {.chains = 0};
            choices.off[CHOICE_concat] = off;
            const Graph *graph = schedule_graph(&c, table[i].model, table[i].mode);
            const Schedule *schedule = schedule_build_with(c.arena, graph, &choices, NULL, c.diags);
            if (!schedule || !schedule_verify(schedule, c.diags)) fail_msg("%s", case_diags(&c));
            const char *want = off || !table[i].split ? table[i].written : table[i].split;
            const char *is = found(schedule);
            if (strcmp(is, want) != 0)
                fail_msg("%s %s: %s, not %s", table[i].file, table[i].model ? table[i].model : "",
                         is, want);
            case_close(&c);
        }
}

/* --- cells in full --- */

static const char *const cells[] = {"lstm", "gru", "projection", "peephole", "weird", "attention"};

static void test_cells(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        Case c;
        char path[128];
        snprintf(path, sizeof path, "tests/golden/schedule/%s.rnn", cells[i]);
        schedule_open_file(&c, path);
        const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
        snprintf(path, sizeof path, "tests/golden/schedule/%s.schedule", cells[i]);
        case_golden(&c, path, schedule_text(c.arena, schedule));
        case_close(&c);
    }
}

/* One stacked matrix or single ones, + or -, one sum or several: the same loops. */
static void test_ways_of_writing(void **state) {
    static const char *const ways[] = {
        "    param W: [3*H, H] ~ glorot\n"
        "    param U: [3*H, H] ~ glorot\n"
        "    z[t] = W @ x[t] + U @ h[t-1]\n"
        "    h[t]: [H] = sigmoid(z[t][0:H]) * tanh(z[t][H:2*H]) + sigmoid(z[t][2*H:3*H])\n",
        "    param Wa, Wb, Wc, Ua, Ub, Uc: [H, H] ~ glorot\n"
        "    h[t]: [H] = sigmoid(Wa @ x[t] + Ua @ h[t-1]) * tanh(Ub @ h[t-1] + Wb @ x[t])\n"
        "        + sigmoid(Wc @ x[t] - (0 - Uc @ h[t-1]))\n",
        "    param A, B, C: [H, 2*H] ~ glorot\n"
        "    v[t] = concat(x[t], h[t-1])\n"
        "    h[t]: [H] = sigmoid(A @ v[t]) * tanh(B @ v[t]) + sigmoid(C @ v[t])\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        Case c;
        char text[1024];
        snprintf(text, sizeof text,
                 "size H = 20\nmodel M(x[t]: [H]) -> h[t]: [H] {\n    state h[t] = 0\n%s}\n",
                 ways[i]);
        schedule_open(&c, text);
        const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
        if (strcmp(found(schedule), "t> 3, map 3, once 0") != 0)
            fail_msg("%s\n%s", text, schedule_text(c.arena, schedule));
        for (int f = 0; f < schedule->families.count; f++) {
            const Family *family = schedule->families.at[f];
            assert_int_equal(family->stage, 0);
            assert_int_equal(family->segments.count, 1);
            assert_int_equal(family->segments.at[0].products.count, 3);
            assert_int_equal(family->accs.count, 3);
        }
        case_close(&c);
    }
}

/* A parameter behind a detach is read where it lies, as one alone is. */
static void test_detached_parameter(void **state) {
    (void)state;
    Case c;
    schedule_open(&c, "model M(x[t]: [4]) -> y[t]: [4] {\n"
                      "    param W: [4, 4] ~ glorot\n"
                      "    y[t] = detach(W) @ x[t]\n"
                      "}\n");
    const Schedule *schedule = schedule_case(&c, NULL, MODE_TRAIN);
    const char *text = schedule_text(c.arena, schedule);
    if (!strstr(text, "product W") || strstr(text, "detach")) fail_msg("%s", text);
    case_close(&c);
}

static int stage_of(const Schedule *schedule, const char *name) {
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (value->live && value->name && !strcmp(value->name, name)) return value->stage;
    }
    fail_msg("no %s in\n%s", name, schedule_text(schedule->arena, schedule));
    return -1;
}

/* `1 - z` runs where it is used; it is stored for what reads it behind the loop, a term of a sum or
 * a factor in one, and is then computed as early as it can. */
static void test_sinking(void **state) {
    static const struct {
        const char *behind;
        int stage;
    } uses[] = {{"x[t]", 1}, {"2 * x[t] + g[t]", 0}, {"x[t] + x[t] * g[t]", 0}, {"g[t] * x[t]", 0}};
    (void)state;
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        Case c;
        char text[512];
        snprintf(text, sizeof text,
                 "size H = 20\nmodel M(x[t]: [H]) -> h[t]: [H], y[t]: [H] {\n"
                 "    param U, V: [H, H] ~ glorot\n    state h[t]: [H] = 0\n"
                 "    z[t] = sigmoid(U @ h[t-1] + x[t])\n    g[t] = 1 - z[t]\n"
                 "    n[t] = tanh(V @ (z[t] * h[t-1]))\n"
                 "    h[t] = z[t] * h[t-1] + g[t] * n[t]\n    y[t] = %s\n}\n",
                 uses[i].behind);
        schedule_open(&c, text);
        const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
        if (stage_of(schedule, "g") != uses[i].stage)
            fail_msg("%s\n%s", text, schedule_text(c.arena, schedule));
        case_close(&c);
    }
}

/* What --list-passes says of the choices: a line each, in the order of the table. */
static void test_choices(void **state) {
    (void)state;
    Case c;
    schedule_open(&c, "model M(x[t]: []) -> y[t]: [] {\n    y[t] = x[t]\n}\n");
    Text text = text_new(c.arena);
    choice_list(&text);
    const char *line = text_string(&text);
    for (int i = 0; i < CHOICE_COUNT; i++) {
        const char *name = choice_name((Choice)i), *end = strchr(line, '\n');
        assert_non_null(end);
        assert_int_equal(strncmp(line, name, strlen(name)), 0);
        const char *bits = strstr(line, "decides bits");
        assert_int_equal(bits && bits < end, choice_decides_bits((Choice)i));
        assert_int_equal(choice_named(name), i);
        line = end + 1;
    }
    assert_string_equal(line, "");
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_ways_of_writing),
        cmocka_unit_test(test_detached_parameter),
        cmocka_unit_test(test_sinking),
        cmocka_unit_test(test_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
