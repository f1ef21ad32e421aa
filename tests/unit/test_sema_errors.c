/* Diagnostics: each file of tests/golden/errors gives what stands in the `.err` beside it, and is
 * named after a code that it gives. RNNC_UPDATE=1 rewrites the `.err` files. */
#include "sema_case.h"

static void one(const char *name) {
    Case c;
    case_open(&c, case_file_source, name, "../../../grammar/prelude.rnn", NULL, 0);
    const char *model = c.diags->errors == 0 ? sema_model(c.program, NULL, c.diags) : NULL;
    for (int mode = MODE_INFER; model != NULL && mode <= (int)MODE_TRAIN; mode++)
        if (c.diags->errors == 0) {
            Graph *graph = sema_graph(c.program, model, (Mode)mode, c.diags);
            if (graph != NULL) graph_verify(graph, "sema", c.diags);
            if (graph == NULL && c.diags->errors == 0) fail_msg("%s: no graph and no error", name);
        }
    const char *text = case_diags(&c);
    const char *code = arena_printf(c.arena, "[%.*s]", (int)(strrchr(name, '-') - name), name);
    if (strstr(text, code) == NULL) fail_msg("%s: no %s in\n%s", name, code, text);
    if (strstr(text, "[internal]") != NULL) fail_msg("%s: %s", name, text);
    case_golden(&c, arena_printf(c.arena, "%.*s.err", (int)strlen(name) - 4, name), text);
    case_close(&c);
}

static void test_errors(void **state) {
    (void)state;
    Case c;
    case_open(&c, case_text_source, "size A = 1", NULL, NULL, 0);
    static const char *const codes[] = {"E-NAME",  "E-UNDEF", "E-DUP",     "E-UNUSED", "E-TIME",
                                        "E-INIT",  "E-SHAPE", "E-SIZEARG", "E-INDEX",  "E-TYPE",
                                        "E-CLOCK", "E-CARRY", "E-MODE",    "E-LOSS",   "W-PREC",
                                        "E-GRAD",  "E-LIMIT"};
    const char *names[500];
    assert_int_equal(chdir("tests/golden/errors"), 0);
    int count = case_files(&c, ".", names, 500);
    for (int i = 0; i < count; i++) one(names[i]);
    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++) {
        int files = 0;
        for (int i = 0; i < count; i++) files += strncmp(names[i], codes[k], strlen(codes[k])) == 0;
        if (files < 2) fail_msg("%s has %d files", codes[k], files);
    }
    assert_int_equal(chdir("../../.."), 0);
    case_close(&c);
}

/* Every prefix of a program, and every program with one token replaced, ends in a diagnosis or a
 * graph: nothing that the parser recovers from brings the elaborator down. */
static void torn(const char *path) {
    Case c;
    case_open(&c, case_file_source, path, NULL, NULL, 0);
    const Source *whole = c.ast->source;
    static const char *const wedges[] = {"[",       "]", "(", ",", "=",     "t",
                                         "every 2", "0", "{", "}", "x[t-1]"};
    for (uint32_t at = 0; at < whole->length; at += 11) {
        for (int k = -1; k < 1; k++) {
            const char *wedge = k < 0 ? "" : wedges[(at + (uint32_t)k * 5) % 11];
            char *text = k < 0 ? arena_strndup(c.arena, whole->text, at)
                               : arena_printf(c.arena, "%.*s%s%s", (int)at, whole->text, wedge,
                                              whole->text + at);
            Case d;
            case_open(&d, case_text_source, text, "grammar/prelude.rnn", NULL, 0);
            const char *model = sema_model(d.program, NULL, d.diags);
            for (int mode = 0; model != NULL && mode < 3; mode += 2)
                if (d.diags->errors == 0) sema_graph(d.program, model, (Mode)mode, d.diags);
            if (strstr(case_diags(&d), "[internal]") != NULL)
                fail_msg("%s\n%s", text, case_diags(&d));
            case_close(&d);
        }
    }
    case_close(&c);
}

static void test_torn(void **state) {
    (void)state;
    torn("tests/golden/programs/01_lstm.rnn");
    torn("tests/golden/programs/04_clockwork.rnn");
    torn("tests/golden/programs/cells.rnn");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors), cmocka_unit_test(test_torn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
