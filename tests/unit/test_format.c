/* rnnc fmt: what it writes, and on every program that it is idempotent, keeps the tree and keeps
 * each comment between the same tokens; the same on programs with random blanks and newlines. */
#include "grammar_case.h"

static const char *format_of(Case *c) {
    Text text = text_new(c->arena);
    ast_format(c->ast, &text);
    return text_string(&text);
}

/* The source without blanks and newlines, comments included; ';' left out, since some go. */
static const char *essence(Arena *arena, const char *text) {
    Text out = text_new(arena);
    for (; *text; text++)
        if (!strchr(" \t\r\n;", *text)) text_write(&out, text, 1);
    return text_string(&out);
}

static void check_text(const char *path, const char *text) {
    Case before = case_string(text);
    if (before.diags->errors) fail_msg("%s:\n%s", path, case_errors(&before));
    const char *once = format_of(&before);
    Case after = case_string(once);
    if (after.diags->errors) fail_msg("%s:\n%s\n%s", path, once, case_errors(&after));
    if (!ast_equal(before.ast, after.ast)) fail_msg("%s: another tree:\n%s", path, once);
    assert_string_equal(case_tree(&before), case_tree(&after));
    const char *twice = format_of(&after);
    if (strcmp(once, twice) != 0) fail_msg("%s: once\n%stwice\n%s", path, once, twice);
    const char *old = essence(before.arena, text), *new = essence(before.arena, once);
    if (strncmp(old, "\xEF\xBB\xBF", 3) == 0) old += 3;
    assert_string_equal(old, new);
    assert_int_equal(before.ast->comments.count, after.ast->comments.count);
    for (int i = 0; i < before.ast->comments.count; i++)
        assert_int_equal(before.ast->comments.at[i].alone, after.ast->comments.at[i].alone);
    case_free(&after);
    case_free(&before);
}

static uint32_t random_below(uint32_t *seed, uint32_t n) {
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % n;
}

/* Changes blanks of a program where that leaves the tree as it is. */
static void shake(const char *text, uint32_t seed, Text *out) {
    int depth = 0;
    bool comment = false;
    for (const char *at = text; *at; at++) {
        if (*at == '#') comment = true;
        if (!comment && (*at == '(' || *at == '[')) depth++;
        if (!comment && (*at == ')' || *at == ']')) depth--;
        if (*at == '\n') {
            if (!comment && random_below(&seed, 6) == 0) text_puts(out, " ;");
            comment = false;
            for (uint32_t n = random_below(&seed, 3); n > 0; n--) text_puts(out, "\r\n \t");
            if (random_below(&seed, 8) == 0) text_puts(out, "\n# shaken");
            text_puts(out, "\n");
        } else if (*at == ' ' && !comment) {
            static const char *const blanks[] = {" ", "  ", "\t", "\n", "\n\n", " # in\n"};
            text_puts(out, blanks[random_below(&seed, depth > 0 ? 6 : 3)]);
        } else {
            text_write(out, at, 1);
            if (!comment && strchr("([,+*", *at) && depth > 0 && random_below(&seed, 3) == 0)
                text_puts(out, random_below(&seed, 2) ? " " : "\n");
        }
    }
}

/* ';' may not stand where the grammar wants no end of a statement. */
static bool parses(const char *text) {
    Case c = case_string(text);
    bool good = c.diags->errors == 0;
    case_free(&c);
    return good;
}

static int shaken;

static void check_program(const char *path) {
    size_t length;
    char *bytes = read_file(path, &length);
    if (!parses(bytes)) { /* the goldens of errors */
        free(bytes);
        return;
    }
    check_text(path, bytes);
    for (uint32_t seed = 0; seed < 20; seed++) {
        Text text = text_new(arena_new(&case_oom));
        shake(bytes, seed, &text);
        if (parses(text_string(&text))) {
            check_text(path, text_string(&text));
            shaken++;
        }
        arena_free(text.arena);
    }
    free(bytes);
}

static void programs(void **state) {
    (void)state;
    for_each_file("golden/programs", ".rnn", check_program);
    for_each_file("golden/ast", ".rnn", check_program);
    assert_true(shaken > 100);
}

static void layout(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"\n\n  \n", ""},
        {"size H=3", "size H = 3\n"},
        {"# a  \r\n\n\n\n#b", "# a\n\n#b\n"},
        {"const a=-b^2*c+d@e-f/g%h", "const a = -b^2 * c + d @ e - f / g % h\n"},
        {"const a = 2 ^ - 1 - - 2", "const a = 2^-1 - -2\n"},
        {"const a=x[t - 1]+W[g+1,2 * v](k)", "const a = x[t-1] + W[g+1, 2*v](k)\n"},
        {"const a=x [ : ,1 :, : 2,1 : 2 ][i in 0 : n](b)",
         "const a = x[:, 1:, :2, 1:2][i in 0:n](b)\n"},
        {"const a=f (x,k=3) . T", "const a = f(x, k = 3).T\n"},
        {"const a=1 . T", "const a = 1 .T\n"},
        {"const a=s[i<=t](not b and(c or d))", "const a = s[i <= t](not b and (c or d))\n"},
        {"const a=if(b)then(c)else-d", "const a = if (b) then (c) else -d\n"},
        {"const a = ((b) * ((c)))", "const a = ((b) * ((c)))\n"},
        {"const a = 1;const b = 2;", "const a = 1; const b = 2\n"},
        {"model A[ H ,n=2](x[t]:[H]=0,y:int (3))->z:[],w[t]:bool [2]{z=1}",
         "model A[H, n = 2](x[t]: [H] = 0, y: int(3)) -> z: [], w[t]: bool[2] { z = 1 }\n"},
        {"model A() -> y: []\n{\n\n\ny = 1 # c\n\n\n# d\n\n}",
         "model A() -> y: []\n{\n    y = 1  # c\n\n    # d\n}\n"},
        {"model A() -> y: [] {\nloss-y;loss (y)\nloss[t] = (y)\nfor g in 0 : n-1{\nu = 1}\n}",
         "model A() -> y: [] {\n    loss -y; loss (y)\n    loss[t] = (y)\n"
         "    for g in 0:n-1 {\n        u = 1 }\n}\n"},
        {"model A() -> y: [] {\nx,y~normal(1)\nq = f(a,\n# in\nb\n)\ny = if a\nthen b\nelse c\n}",
         "model A() -> y: [] {\n    x, y ~ normal(1)\n    q = f(a,\n        # in\n        b\n"
         "    )\n"
         "    y = if a\n        then b\n        else c\n}\n"},
        {"size A = 1 # one\nsize BB = 22 # two\n\nsize C = 3 # three",
         "size A = 1    # one\nsize BB = 22  # two\n\nsize C = 3  # three\n"},
        {"import   \"a  b.rnn\"", "import \"a  b.rnn\"\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Case c = case_string(cases[i][0]);
        assert_string_equal(case_errors(&c), "");
        assert_string_equal(format_of(&c), cases[i][1]);
        case_free(&c);
        check_text("layout", cases[i][0]);
    }
}

/* Sources with errors are not fmt's business, but must not hurt it. */
static void errors_are_survived(void **state) {
    (void)state;
    static const char *const cases[] = {")", "}}}", "((((", "{[}", "#", ";", "\"", "a\"b\n\"", "-",
                                        "1e+", "= {", "\x80\xff", "for", "{;}", "];;;[", "<", "!"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Case c = case_string(cases[i]);
        format_of(&c);
        case_free(&c);
    }
    Case c = case_parse("nul.rnn", "a\0b # \0\n\0", 9);
    format_of(&c);
    case_free(&c);
}

int main(void) {
    if (setjmp(case_oom)) return 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),
        cmocka_unit_test(programs),
        cmocka_unit_test(errors_are_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
