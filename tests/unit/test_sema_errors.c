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

/* The words of a source, in order: names, numbers, and the rest by single characters. */
typedef struct Word {
    uint32_t at;
    int length, kind;
} Word;

static int words_of(const Source *source, Word *words, int most) {
    int count = 0;
    for (uint32_t i = 0; i < source->length && count < most;) {
        const char *text = source->text + i;
        if (*text == '#') {
            i += (uint32_t)strcspn(text, "\n");
            continue;
        }
        int kind = *text >= '0' && *text <= '9'                   ? 1
                   : strchr("+-*/%@^<>=~", *text) != NULL         ? 2
                   : strchr("[](){},:.", *text) != NULL           ? 3
                   : strchr(" \t\r\n\";", *text) == NULL && *text ? 0
                                                                  : -1;
        size_t length = kind == 0
                            ? strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "_0123456789")
                        : kind == 1 ? strspn(text, "0123456789.")
                                    : 1;
        if (length == 0) length = 1;
        if (kind >= 0) words[count++] = (Word){i, (int)length, kind};
        i += (uint32_t)length;
    }
    return count;
}

/* One word replaced by another of its kind, from the same file: the errors lie deeper than syntax.
 * Whatever comes of it, there is a diagnosis or a graph that the verifier passes. */
static void swapped(const char *path, uint32_t seed, int rounds) {
    Case c;
    static Word words[4000];
    case_open(&c, case_file_source, path, NULL, NULL, 0);
    const Source *whole = c.ast->source;
    int count = words_of(whole, words, 4000);
    for (int round = 0; round < rounds; round++) {
        uint32_t draw[2];
        for (int k = 0; k < 2; k++) draw[k] = (seed = seed * 1664525u + 1013904223u) >> 8;
        const Word *from = &words[draw[0] % (uint32_t)count], *to = from;
        for (int k = 0; k < 200 && (to == from || to->kind != from->kind); k++)
            to = &words[(draw[1] + (uint32_t)k) % (uint32_t)count];
        char *text = arena_printf(c.arena, "%.*s%.*s%s", (int)from->at, whole->text, to->length,
                                  whole->text + to->at, whole->text + from->at + from->length);
        Case d;
        case_open(&d, case_text_source, text, "grammar/prelude.rnn", NULL, 0);
        for (int m = 0; m < d.ast->items.count; m++)
            for (int mode = 0; mode < 3 && d.diags->errors == 0; mode++) {
                const Item *item = d.ast->items.at[m];
                if (item->kind != ITEM_MODEL) break;
                Graph *graph = sema_graph(d.program, item->name, (Mode)mode, d.diags);
                if (graph != NULL) graph_verify(graph, "sema", d.diags);
                if (graph == NULL && d.diags->errors == 0)
                    fail_msg("no graph, no error:\n%s", text);
            }
        if (strstr(case_diags(&d), "[internal]") != NULL) fail_msg("%s\n%s", text, case_diags(&d));
        case_close(&d);
    }
    case_close(&c);
}

static void test_swapped(void **state) {
    (void)state;
    swapped("tests/golden/programs/04_clockwork.rnn", 1, 150);
    swapped("tests/golden/programs/10_charlm.rnn", 2, 100);
    swapped("tests/golden/programs/cells.rnn", 3, 300);
    swapped("tests/golden/sema/modes.rnn", 4, 150);
    swapped("tests/golden/sema/clocks.rnn", 5, 150);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_errors), cmocka_unit_test(test_torn),
                                       cmocka_unit_test(test_swapped)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
