/* From text to Graph: every program of the tests and every model of the prelude in all modes,
 * through the verifier; Graphs of small models as text (RNNC_UPDATE=1 rewrites them); limits;
 * bounded work. */
#include "sema_case.h"

static void verified(Case *c, const char *model) {
    for (int mode = MODE_INFER; mode <= (int)MODE_TRAIN; mode++) {
        Graph *graph =
            c->diags->errors > 0 ? NULL : sema_graph(c->program, model, (Mode)mode, c->diags);
        if (graph == NULL || !graph_verify(graph, "sema", c->diags))
            fail_msg("%s, %s, mode %d:\n%s", c->ast->source->path, model, mode, case_diags(c));
    }
}

/* Models that no caller gives their sizes or models cannot be compiled alone. */
static bool alone(const char *model) {
    static const char *const applied[] = {"Dense",     "Bi",          "Attention", "Luong",
                                          "BasicLSTM", "HardSigmoid", "ReluGRU",   "Forward",
                                          "Backward",  "Stateful"};
    for (size_t i = 0; i < sizeof applied / sizeof *applied; i++)
        if (strcmp(model, applied[i]) == 0) return false;
    return true;
}

static void folder(const char *path) {
    Case list;
    const char *names[200];
    case_open(&list, case_text_source, "size A = 1", NULL, NULL, 0);
    int count = case_files(&list, path, names, 200);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        Case c;
        const char *file = arena_printf(list.arena, "%s/%s", path, names[i]);
        case_open(&c, case_file_source, file, "grammar/prelude.rnn", NULL, 0);
        if (c.diags->list.count > 0) fail_msg("%s", case_diags(&c));
        for (int k = 0; k < c.ast->items.count; k++)
            if (c.ast->items.at[k]->kind == ITEM_MODEL && alone(c.ast->items.at[k]->name))
                verified(&c, c.ast->items.at[k]->name);
        case_close(&c);
    }
    case_close(&list);
}

static void test_programs(void **state) {
    (void)state;
    folder("tests/golden/programs");
    folder("tests/models");
    folder("tests/golden/sema/models");
}

/* The prelude as a program of its own, with sizes for all. */
static void test_prelude(void **state) {
    (void)state;
    Case c;
    SemaDefine defines[] = {{"H", 4, false}, {"I", 3, false}, {"O", 2, false}, {"P", 3, false},
                            {"V", 6, false}, {"D", 5, false}, {"N", 2, false}, {"G", 3, false},
                            {"M", 4, false}, {"Q", 3, false}, {"K", 2, false}, {"C", 2, false},
                            {"R", 5, false}, {"S", 4, false}};
    case_open(&c, case_file_source, "grammar/prelude.rnn", NULL, defines, 14);
    if (c.diags->list.count > 0) fail_msg("%s", case_diags(&c));
    int models = 0;
    for (int k = 0; k < c.ast->items.count; k++) {
        if (c.ast->items.at[k]->kind != ITEM_MODEL) continue;
        models++;
        if (strcmp(c.ast->items.at[k]->name, "Bi") != 0) verified(&c, c.ast->items.at[k]->name);
    }
    assert_true(models > 25);
    case_close(&c);
    case_open(&c, case_text_source,
              "model M(x[t]: [3]) -> y[t]: [8] {\n use a = Bi[LSTM, 4]\n use b = Bi[GRU, 4]\n"
              " y[t] = b(a(x[t]))\n}\n",
              "grammar/prelude.rnn", NULL, 0);
    verified(&c, "M");
    case_close(&c);
}

static void test_graphs(void **state) {
    (void)state;
    Case list;
    const char *names[50];
    case_open(&list, case_text_source, "size A = 1", NULL, NULL, 0);
    int count = case_files(&list, "tests/golden/sema", names, 50);
    assert_true(count >= 3);
    for (int i = 0; i < count; i++) {
        Case c;
        const char *file = arena_printf(list.arena, "tests/golden/sema/%s", names[i]);
        case_open(&c, case_file_source, file, NULL, NULL, 0);
        if (c.diags->errors > 0) fail_msg("%s", case_diags(&c));
        Text text = text_new(c.arena);
        for (int mode = MODE_INFER; mode <= (int)MODE_TRAIN; mode++) {
            Graph *graph =
                sema_graph(c.program, sema_model(c.program, NULL, c.diags), (Mode)mode, c.diags);
            if (graph == NULL || !graph_verify(graph, "sema", c.diags))
                fail_msg("%s", case_diags(&c));
            graph_print(graph, &text);
            text_puts(&text, "\n");
        }
        text_puts(&text, case_diags(&c));
        case_golden(&c, arena_printf(c.arena, "%.*s.graph", (int)strlen(file) - 4, file),
                    text_string(&text));
        case_close(&c);
    }
    case_close(&list);
}

static const char *first_code(const char *source) {
    static char code[32];
    Case c;
    case_open(&c, case_text_source, source, NULL, NULL, 0);
    const char *model = c.diags->errors > 0 ? NULL : sema_model(c.program, NULL, c.diags);
    if (model != NULL) sema_graph(c.program, model, MODE_INFER, c.diags);
    snprintf(code, sizeof code, "%s", c.diags->list.count > 0 ? c.diags->list.at[0]->code : "");
    case_close(&c);
    return code;
}

/* Chains of equations: written forwards and with declared shapes they may be as long as the limit
 * of unrolling; written backwards without a shape they are refused, not followed down the C stack.
 */
static void test_chains(void **state) {
    (void)state;
    assert_string_equal(
        first_code("model M(x[t]: [2]) -> y[t]: [2] {\n h[0,t] = x[t]\n"
                   " for i in 0:20000 { h[i+1,t] = h[i,t] + 1 }\n y[t] = h[20000,t]\n}\n"),
        "");
    assert_string_equal(
        first_code("model M(x[t]: [2]) -> y[t]: [2] {\n h[20000,t] = x[t]\n"
                   " for i in 0:20000 { h[i,t]: [2] = h[i+1,t] + 1 }\n y[t] = h[0,t]\n}\n"),
        "");
    assert_string_equal(
        first_code("model M(x[t]: [2]) -> y[t]: [2] {\n h[20000,t] = x[t]\n"
                   " for i in 0:20000 { h[i,t] = h[i+1,t] + 1 }\n y[t] = h[0,t]\n}\n"),
        "E-LIMIT");
    assert_string_equal(
        first_code("model M(x: [2]) -> y: [2] {\n for i in 0:9999999999999 { }\n y = x\n}\n"),
        "E-LIMIT");
    assert_string_equal(
        first_code("model M(x: [2]) -> y: [2] { y = x * sum[i in 0:99999999](1) }\n"), "E-LIMIT");
}

/* Numbers at compile time never overflow silently. */
static void test_overflow(void **state) {
    (void)state;
    assert_string_equal(first_code("size A = 4000000000 * 4000000000 * 4000000000\n"
                                   "model M(x: [2]) -> y: [2] { y = x }\n"),
                        "E-LIMIT");
    assert_string_equal(
        first_code("size A = 3000000000\nmodel M(x: [A, A, A]) -> y: [A, A, A] { y = x }\n"),
        "E-LIMIT");
    assert_string_equal(first_code("size A = 0\nmodel M(x: [A]) -> y: [A] { y = x }\n"), "E-SHAPE");
    assert_string_equal(first_code("size A = 7 % 0\nmodel M(x: [2]) -> y: [2] { y = x }\n"),
                        "E-TYPE");
    assert_string_equal(first_code("size A = 2 ^ 70\nmodel M(x: [2]) -> y: [2] { y = x }\n"),
                        "E-SIZEARG");
    assert_string_equal(
        first_code("model M(x[t]: [2] = 0) -> y[t]: [2] { y[t] = x[t-9007199254740991] }\n"),
        "E-LIMIT");
    assert_string_equal(first_code("model M(x: [2]) -> y: [2] { y = x[9007199254740991:] }\n"),
                        "E-INDEX");
}

/* Sizes as unknowns: what an instance may make right is left open, what none can is refused. */
static void test_polynomials(void **state) {
    (void)state;
    static const char *const body =
        "size A = 4, B = 2, N = 8\nmodel M(x: [A*B], y: [B*A], z: [N]) -> o: [%s] {\n %s\n}\n";
    static const char *const cases[][3] = {{"A*B", "o = x + y", ""},
                                           {"2*A*B", "o = concat(x, y)", ""},
                                           {"A*B - B", "o = x[B:]", ""},
                                           {"N", "o = reshape[N](reshape[N/4, 4](z))", ""},
                                           {"A*B", "o = x + z", "E-SHAPE"},
                                           {"A", "o = x[0:A]", ""},
                                           {"2*A", "o = concat[i in 0:2](x[i*A:(i+1)*A])", ""},
                                           {"A*B", "o = reshape[A, B](x)[0]", "E-SHAPE"},
                                           {"N", "o = if N > 5 then z else z @ z", ""},
                                           {"(A + B)^2", "o = concat(zeros[A^2 + B^2], x, y)", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char source[600];
        snprintf(source, sizeof source, body, cases[i][0], cases[i][1]);
        const char *code = first_code(source);
        if (strcmp(code, "E-UNUSED") == 0) code = "";
        if (strcmp(code, cases[i][2]) != 0)
            fail_msg("%s: %s instead of %s", source, code, cases[i][2]);
    }
}

/* Members of a family may differ in shape; a definition must not take one for the other. */
static void test_families(void **state) {
    (void)state;
    static const char *const sources[] = {
        /* The first layer has another input size. */
        "size L = 3\nmodel M[H](x[t]: [I]) -> y[t]: [H] {\n h[0,t] = x[t]\n"
        " for l in 0:1 { param W[l]: [H, I] ~ glorot }\n for l in 1:L { param W[l]: [H, H] ~ "
        "glorot }\n"
        " for l in 0:L {\n  state h[l+1,t]: [H] = 0\n  h[l+1,t] = tanh(W[l] @ h[l,t])\n }\n"
        " y[t] = h[L,t]\n}\nsize H = 4, I = 2\n",
        /* Shapes that depend on the member, joined. */
        "size L = 3\nmodel M(x: [2]) -> y: [6] {\n for l in 0:L { a[l] = zeros[l+1] + x[0] }\n"
        " y = concat[l in 0:L](a[l])\n}\n",
        "size L = 3\nmodel M(x: [2]) -> y: [5] {\n for l in 0:1 { a[l]: [2] = x }\n a[1] = "
        "concat(x, 1)\n"
        " y = concat[l in 0:2](a[l])\n}\n",
        /* Two loops over one name, states in both, a clock in one. */
        "size L = 2\nmodel M(x[t]: [2]) -> y[t]: [3] {\n"
        " for l in 0:L {\n  state a[l,t]: [2] = 0\n  a[l,t] = x[t] + a[l,t-1] every 2^l\n }\n"
        " for l in L:2*L {\n  state a[l,t]: [3] = 0\n  a[l,t] = a[l,t-1] + sum(a[l-L,t]) every 2\n "
        "}\n"
        " y[t] = sum[l in L:2*L](a[l,t])\n}\n",
        /* Branches that only some members could take. */
        "size L = 2\nmodel M(x[t]: [2]) -> y[t]: [2] {\n for l in 0:L {\n"
        "  param W[l]: [2, if l == 0 then 2 else 4] ~ glorot\n"
        "  h[l,t] = W[l] @ (if l == 0 then x[t] else concat(h[l-1,t], x[t]))\n }\n y[t] = "
        "h[L-1,t]\n}\n"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (first_code(sources[i])[0] != '\0') {
            Case c;
            case_open(&c, case_text_source, sources[i], NULL, NULL, 0);
            sema_graph(c.program, "M", MODE_INFER, c.diags);
            fail_msg("%s\n%s", sources[i], case_diags(&c));
        }
}

/* Files that are not on the disk: "d<n>.rnn" imports "d<n+1>.rnn"; the others as written here. */
static const Source *virtual_load(void *user, Arena *arena, const char *path, const char **why) {
    static const char *const files[][2] = {
        {"lib/a.rnn", "import \"../base.rnn\"\nimport \"./sub/../b.rnn\"\nsize K = 9\n"
                      "model A(x: [N]) -> y: [N] { y = Base(x) * K }\n"},
        {"lib/b.rnn", "import \"a.rnn\"\nimport \"../base.rnn\"\n"
                      "model B(x: [N]) -> y: [N] { y = A(x) + Base(x) }\n"
                      "model Twice(x: [N]) -> y: [N] { y = x + x }\n"},
        {"base.rnn",
         "model Base(x: [N]) -> y: [N] { y = x }\nmodel Twice(x: [N]) -> y: [N] { y = 2 * x }\n"}};
    Source *source = ARENA_NEW(arena, Source);
    int number;
    int *loads = user;
    ++*loads;
    source->path = path;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strcmp(path, files[i][0]) == 0) source->text = files[i][1];
    if (sscanf(path, "d%d.rnn", &number) == 1)
        source->text = arena_printf(arena, "import \"d%d.rnn\"\n", number + 1);
    *why = "it is not there";
    if (source->text == NULL) return NULL;
    source->length = (uint32_t)strlen(source->text);
    return source;
}

static void imports(const char *text, const char *code, int files) {
    Case c = {0};
    if (setjmp(c.oom)) fail_msg("out of memory");
    c.arena = arena_new(&c.oom);
    c.names = names_new(c.arena);
    c.diags = diags_new(c.arena);
    int loads = 0;
    c.ast = grammar_parse(c.arena, c.names, case_text_source(&c, text), c.diags);
    c.program = sema_program(c.arena, c.names, c.ast, NULL, virtual_load, &loads, NULL, 0, c.diags);
    const char *model = c.diags->errors > 0 ? NULL : sema_model(c.program, NULL, c.diags);
    if (model != NULL) sema_graph(c.program, model, MODE_INFER, c.diags);
    const char *got = c.diags->list.count > 0 ? c.diags->list.at[0]->code : "";
    if (strcmp(got, code) != 0 || loads != files)
        fail_msg("%s\n%s instead of %s, %d files\n%s", text, got, code, loads, case_diags(&c));
    case_close(&c);
}

static void test_imports(void **state) {
    (void)state;
    static const char *const all =
        "import \"lib/a.rnn\"\nimport \"lib/b.rnn\"\nimport \"base.rnn\"\n";
    char text[600];
    /* A circle of two files and a diamond: each is read once. */
    snprintf(text, sizeof text, "%smodel M(x: [3]) -> y: [3] { y = A(x) + B(x) + Base(x) }\n", all);
    imports(text, "", 3);
    /* Sizes stay in their file, and the models of imports of imports out of sight. */
    snprintf(text, sizeof text, "%smodel M(x: [3]) -> y: [3] { y = x * K }\n", all);
    imports(text, "E-NAME", 3);
    imports("import \"lib/b.rnn\"\nmodel M(x: [3]) -> y: [3] { y = A(x) }\n", "E-NAME", 3);
    /* Two imports with one name: told where it is used; the file's own hides both. */
    snprintf(text, sizeof text, "%smodel M(x: [3]) -> y: [3] { y = Twice(x) }\n", all);
    imports(text, "E-DUP", 3);
    snprintf(text, sizeof text,
             "%smodel Twice(x: [N]) -> y: [N] { y = x }\n"
             "model M(x: [3]) -> y: [3] { y = Twice(x) }\n",
             all);
    imports(text, "", 3);
    imports("import \"d1.rnn\"\nmodel M(x: [3]) -> y: [3] { y = x }\n", "E-LIMIT", 64);
    imports("import \"case.rnn\"\nmodel M(x: [3]) -> y: [3] { y = x }\n", "", 0);
    imports("import \"absent.rnn\"\nmodel M(x: [3]) -> y: [3] { y = x }\n", "E-IMPORT", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs), cmocka_unit_test(test_prelude),
        cmocka_unit_test(test_graphs),   cmocka_unit_test(test_chains),
        cmocka_unit_test(test_overflow), cmocka_unit_test(test_polynomials),
        cmocka_unit_test(test_families), cmocka_unit_test(test_imports)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
