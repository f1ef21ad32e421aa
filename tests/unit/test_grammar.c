/* The grammar: goldens of trees and errors, limits, bytes, recovery, and two parses at once.
 * tests/golden/ast/X.rnn is parsed; X.ast is its tree, X.err its errors (no file: there are none).
 * RNNC_UPDATE=1 rewrites them. */
#include <pthread.h>

#include "grammar_case.h"

static void write_golden(const char *path, const char *text) {
    if (!*text) {
        remove(path);
        return;
    }
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void compare_golden(const char *source_path, const char *ending, const char *text) {
    char path[1024];
    snprintf(path, sizeof path, "%.*s%s", (int)strlen(source_path) - 4, source_path, ending);
    if (getenv("RNNC_UPDATE")) {
        write_golden(path, text);
        return;
    }
    FILE *there = fopen(path, "rb");
    if (!there) {
        if (*text) fail_msg("%s does not exist, and the text is:\n%s", path, text);
        return;
    }
    fclose(there);
    size_t length;
    char *wanted = read_file(path, &length);
    if (strcmp(wanted, text) != 0) fail_msg("%s differs; the text is:\n%s", path, text);
    free(wanted);
}

static void check_golden(const char *path) {
    size_t length;
    char *bytes = read_file(path, &length);
    Case c = case_parse(path, bytes, length);
    compare_golden(path, ".ast", case_tree(&c));
    compare_golden(path, ".err", case_errors(&c));
    case_free(&c);
    free(bytes);
}

static void goldens(void **state) {
    (void)state;
    assert_true(for_each_file("golden/ast", ".rnn", check_golden) >= 15);
}

static void check_parses(const char *path) {
    size_t length;
    char *bytes = read_file(path, &length);
    Case c = case_parse(path, bytes, length);
    if (c.diags->list.count > 0) fail_msg("%s:\n%s", path, case_errors(&c));
    assert_true(c.ast->items.count > 0);
    case_free(&c);
    free(bytes);
}

static void programs_parse(void **state) {
    (void)state;
    assert_int_equal(for_each_file("golden/programs", ".rnn", check_parses), 11);
}

/* "const a = " + `before` n times + "w" + `after` n times. */
static Case parse_repeated(const char *before, int n, const char *after) {
    size_t b = strlen(before), a = strlen(after);
    char *text = malloc(64 + (size_t)n * (a + b));
    assert_non_null(text);
    char *at = text + sprintf(text, "const a = ");
    for (int i = 0; i < n; i++, at += b) memcpy(at, before, b);
    *at++ = 'w';
    for (int i = 0; i < n; i++, at += a) memcpy(at, after, a);
    *at = '\0';
    Case c = case_parse("deep.rnn", text, (size_t)(at - text));
    free(text);
    return c;
}

static void nesting_is_limited(void **state) {
    (void)state;
    static const struct {
        const char *before, *after;
        int per_level; /* levels of the tree, or brackets, that one repetition makes */
    } shapes[] = {
        {"(", ")", 1},          {"-", "", 1},
        {"not ", "", 1},        {"2 ^ ", "", 1},
        {"", " + a", 1},        {"", " @ a", 1},
        {"f(", ")", 1},         {"x[", "]", 1},
        {"", "[1]", 1},         {"", "(b)", 1},
        {"", ".T", 1},          {"if a then b else ", "", 1},
        {"if ", " then b else c", 1}, {"if a then ", " else c", 1},
        {"f(1, x = -(a + ", "))", 3},
        {"a or b and c < d + e * f @ -g ^ (", ")", 8},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int most = 256 / shapes[i].per_level;
        Case good = parse_repeated(shapes[i].before, most - 1, shapes[i].after);
        if (good.diags->errors) fail_msg("%s: %s", shapes[i].before, case_errors(&good));
        case_tree(&good);
        case_free(&good);
        static const int too_many[] = {257, 1000, 100000};
        for (int k = 0; k < 3; k++) {
            Case bad = parse_repeated(shapes[i].before, too_many[k], shapes[i].after);
            if (bad.diags->errors == 0) fail_msg("%s %d", shapes[i].before, too_many[k]);
            for (int j = 0; j < bad.diags->list.count; j++)
                assert_string_equal(bad.diags->list.at[j]->code, "E-LIMIT");
            case_tree(&bad);
            case_free(&bad);
        }
    }
}

static void blocks_are_limited(void **state) {
    (void)state;
    for (int n = 255; n <= 256; n++) {
        Text text = text_new(arena_new(&case_oom));
        text_puts(&text, "model A() -> y: [] {\n");
        for (int i = 0; i < n; i++) text_puts(&text, "for g in 0:2 {\n");
        text_puts(&text, "y = ((1))\n");
        for (int i = 0; i <= n; i++) text_puts(&text, "}\n");
        Case c = case_string(text_string(&text));
        if (n == 255)
            assert_string_equal(case_errors(&c), "");
        else
            assert_string_equal(case_errors(&c), "E-LIMIT 257:14 more than 256 open blocks\n");
        case_free(&c);
        arena_free(text.arena);
    }
}

/* The deepest that is allowed, blocks and levels at once, fits the parser's stack; one chain that
 * is too long is one error. */
static void limits_add_up(void **state) {
    (void)state;
    Text text = text_new(arena_new(&case_oom));
    text_puts(&text, "model A() -> y: [] {\n");
    for (int i = 0; i < 255; i++) text_puts(&text, "z = 1\nfor g in 0:2 {\n");
    text_puts(&text, "y = a, z\ny = 1 + ");
    for (int i = 0; i < 254; i++) text_puts(&text, "x[1, i in 2:");
    text_puts(&text, "1");
    for (int i = 0; i < 254; i++) text_puts(&text, "]");
    for (int i = 0; i <= 255; i++) text_puts(&text, "\n}");
    Case c = case_string(text_string(&text));
    assert_string_equal(
        case_errors(&c),
        "E-SYNTAX 512:6 unexpected ',', expected operator, 'every' or end of line\n");
    case_free(&c);
    Case chain = parse_repeated("", 100000, " + a");
    assert_int_equal(chain.diags->errors, 1);
    case_free(&chain);
    arena_free(text.arena);
}

/* A wide tree is no deep one. */
static void width_is_free(void **state) {
    (void)state;
    Text text = text_new(arena_new(&case_oom));
    text_puts(&text, "const a = f(1");
    for (int i = 0; i < 20000; i++) text_puts(&text, ", -x[1] ^ 2 + (b)");
    text_puts(&text, ")\n");
    for (int i = 0; i < 2000; i++) text_puts(&text, "model M(x: []) -> y: [] { y = x }\n");
    Case c = case_string(text_string(&text));
    assert_string_equal(case_errors(&c), "");
    assert_int_equal(c.ast->items.count, 2001);
    case_free(&c);
    arena_free(text.arena);
}

static void large_files(void **state) {
    (void)state;
    size_t size = (size_t)(16 << 20) + 1;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, ' ', size);
    memcpy(text + size - 20, "\nconst a = 1", 12);
    Case good = case_parse("big.rnn", text, size - 1);
    assert_string_equal(case_errors(&good), "");
    assert_int_equal(good.ast->items.count, 1);
    case_free(&good);
    Case bad = case_parse("big.rnn", text, size);
    assert_string_equal(case_errors(&bad),
                        "E-LIMIT 1:1 file has more than 16777216 bytes\n");
    assert_int_equal(bad.ast->items.count, 0);
    case_free(&bad);
    free(text);
}

static void long_tokens(void **state) {
    (void)state;
    size_t size = 1 << 20;
    char *text = malloc(size + 1);
    assert_non_null(text);
    memset(text, '7', size);
    memcpy(text, "const a = ", 10);
    Case number = case_parse("n.rnn", text, size);
    assert_string_equal(case_errors(&number), "E-SYNTAX 1:11 number is too large\n");
    case_free(&number);
    memset(text + 11, 'x', size - 11);
    Case bad = case_parse("n.rnn", text, size);
    assert_string_equal(
        case_errors(&bad),
        "E-SYNTAX 1:11 malformed number '7xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...'\n");
    case_free(&bad);
    memset(text + 10, '-', size - 10);
    Case signs = case_parse("n.rnn", text, size);
    assert_int_equal(signs.diags->errors, 1);
    assert_string_equal(signs.diags->list.at[0]->code, "E-LIMIT");
    case_free(&signs);
    memset(text + 10, '\0', size - 10);
    Case zeros = case_parse("n.rnn", text, size);
    assert_true(zeros.diags->full);
    case_free(&zeros);
    free(text);
}

/* Every prefix and every single missing byte of a file parses to something without a crash. */
static void cut_files(void **state) {
    (void)state;
    static const char text[] = "size H = 2 # c\nmodel A[H](x[t]: [H] = 0) -> y[t]: [H] {\n"
                               "    param W: [H, H] ~ glorot\n    use f = carry B[H]\n"
                               "    for g in 0:H { w[g] = if x[t] then f(1, a = 2) else -W.T }\n"
                               "    y[t] = sum[s in t-7:t+1](x[s] @ W[:, 2]) every 2\n}\n";
    char copy[sizeof text];
    for (size_t n = 0; n < sizeof text; n++) {
        Case prefix = case_parse("cut.rnn", text, n);
        case_tree(&prefix);
        case_free(&prefix);
        if (n == sizeof text - 1) break;
        memcpy(copy, text, n);
        memcpy(copy + n, text + n + 1, sizeof text - n - 1);
        Case hole = case_string(copy);
        case_tree(&hole);
        case_free(&hole);
    }
}

static void spans_point_at_the_source(void **state) {
    (void)state;
    Case c = case_string("const a = (b + c) * -d[1:2].T\nmodel M[H](x[t]: [H]) -> y: [] {\n"
                         "  y = 1 every 2\n}\n");
    const Expr *product = c.ast->items.at[0]->binds.at[0].value;
    assert_int_equal(product->span.begin, 10);
    assert_int_equal(product->span.end, 29);
    assert_int_equal(product->a->span.begin, 11);
    assert_int_equal(product->a->span.end, 16);
    assert_int_equal(product->a->parens, 1);
    assert_int_equal(product->b->span.begin, 20);
    const Item *model = c.ast->items.at[1];
    assert_int_equal(model->span.begin, 30);
    assert_int_equal(model->name_span.begin, 36);
    assert_true(model->has_params);
    const Stmt *y = model->body.at[0];
    assert_memory_equal(c.source.text + y->span.begin, "y = 1 every 2", 13);
    assert_int_equal(y->span.end - y->span.begin, 13);
    const Port *port = &model->inputs.at[0];
    assert_memory_equal(c.source.text + port->span.begin, "x[t]: [H]", 9);
    assert_int_equal(port->span.end - port->span.begin, 9);
    case_free(&c);
}

static void comments_are_kept(void **state) {
    (void)state;
    Case c = case_string("# one\nsize H = 2 # two \r\n  \t# three");
    assert_string_equal(case_errors(&c), "");
    assert_int_equal(c.ast->comments.count, 3);
    assert_true(c.ast->comments.at[0].alone);
    assert_false(c.ast->comments.at[1].alone);
    assert_true(c.ast->comments.at[2].alone);
    assert_int_equal(c.ast->comments.at[1].span.begin, 17);
    assert_int_equal(c.ast->comments.at[1].span.end, 23);
    case_free(&c);
}

typedef struct Job {
    const char *text;
    const char *tree;
    int wrong;
} Job;

static void *parse_often(void *data) {
    Job *job = data;
    for (int i = 0; i < 50; i++) {
        jmp_buf oom;
        Arena *arena = arena_new(&oom);
        if (!arena || setjmp(oom)) return NULL;
        Source source = {"thread.rnn", job->text, (uint32_t)strlen(job->text)};
        Text tree = text_new(arena);
        ast_print(grammar_parse(arena, names_new(arena), &source, diags_new(arena)), &tree);
        if (strcmp(text_string(&tree), job->tree) != 0) job->wrong++;
        arena_free(arena);
    }
    return NULL;
}

static void two_parses_at_once(void **state) {
    (void)state;
    Job jobs[2] = {{.text = "model A(x[t]: []) -> y: [] {\n y = (x[t] + 1\n}\nconst a = 2\n"},
                   {.text = "size H = 2\nmodel B() -> y: [] { for g in 0:2 { y = -g ^ 2 } }\n"}};
    Case alone[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        alone[i] = case_string(jobs[i].text);
        jobs[i].tree = case_tree(&alone[i]);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, parse_often, &jobs[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(jobs[i].wrong, 0);
        case_free(&alone[i]);
    }
}

static void equality_sees_every_difference(void **state) {
    (void)state;
    static const char *const base = "model A[H, n = 1](x[t]: [H] = 0) -> y: int(3) {\n"
                                    "param W: [H] ~ normal(1) frozen\nuse f = carry B[2]\n"
                                    "y: [2] = if a then -b[1:2] + c(k = 3).T else 4 every 5\n}\n";
    static const char *const changed[][2] = {
        {"H, n", "H, m"},     {"n = 1", "n = 2"},   {"x[t]", "x[u]"},  {"= 0)", "= 1)"},
        {"int(3)", "int(4)"}, {"int(3)", "past(3)"}, {"W: [H]", "V: [H]"}, {"~ norm", "= norm"},
        {"frozen", "Frozen"}, {"carry", "Carry"},   {"B[2]", "B[1]"},  {"[2] =", "[] ="},
        {"if a", "if b"},     {"-b", "b"},          {"1:2", "1: "},    {"+ c", "- c"},
        {"k = 3", "3"},       {".T", ".S"},         {"else 4", "else 4.0"}, {"every 5", ""},
        {"y: [2] =", "y: [2] ~"}, {"use f", "use g"},
    };
    Case a = case_string(base);
    assert_string_equal(case_errors(&a), "");
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        char text[512];
        const char *at = strstr(base, changed[i][0]);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - base), base, changed[i][1],
                 at + strlen(changed[i][0]));
        if (i == 20) strcpy(strstr(text, " every 5"), "\n}\n");
        Case b = case_string(text);
        if (b.diags->errors) fail_msg("%s\n%s", text, case_errors(&b));
        if (ast_equal(a.ast, b.ast)) fail_msg("equal: %s", text);
        case_free(&b);
    }
    Case same = case_string("model  A [H,n=1] (x[t]:[H]=0)->y:int((3))# c\n{ param W: [H] ~ "
                            "normal(1) frozen; use f = carry B[2]\n\ny: [2] = if (a) then "
                            "((-b[1:2])) + c(k = 3).T else 4 every 5}");
    assert_string_equal(case_errors(&same), "");
    assert_true(ast_equal(a.ast, same.ast));
    case_free(&same);
    case_free(&a);
}

int main(void) {
    if (setjmp(case_oom)) return 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens),
        cmocka_unit_test(programs_parse),
        cmocka_unit_test(nesting_is_limited),
        cmocka_unit_test(blocks_are_limited),
        cmocka_unit_test(limits_add_up),
        cmocka_unit_test(width_is_free),
        cmocka_unit_test(large_files),
        cmocka_unit_test(long_tokens),
        cmocka_unit_test(cut_files),
        cmocka_unit_test(spans_point_at_the_source),
        cmocka_unit_test(comments_are_kept),
        cmocka_unit_test(two_parses_at_once),
        cmocka_unit_test(equality_sees_every_difference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
