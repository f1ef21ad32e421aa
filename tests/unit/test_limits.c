/* Every limit of the language (docs/language.md, section 19): one below it and at it a program is
 * accepted, one above it is refused, by a located error that says what the limit is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "pipeline.h"

/* A program that has `n` of what is limited. */
typedef void (*Make)(Text *out, int64_t n);

typedef struct Limit {
    const char *what;
    int64_t most;
    Make make;
    const char *code, *message; /* of the refusal; the message holds the limit */
    bool compiled;              /* a limit of code, not of the language */
    int64_t over; /* what is tried above: most + 1, or where the count is rough, this */
} Limit;

static void repeat(Text *out, const char *text, int64_t n) {
    for (int64_t i = 0; i < n; i++) text_puts(out, text);
}

static void brackets(Text *out, int64_t n) {
    text_puts(out, "model M(x[t]: []) -> h[t]: [] { h[t] = ");
    repeat(out, "(", n - 1);
    text_puts(out, "x[t]");
    repeat(out, ")", n - 1);
    text_puts(out, " }\n");
}

static void blocks(Text *out, int64_t n) {
    text_puts(out, "model M(x[t]: []) -> h[t]: [] {\n");
    for (int64_t i = 1; i < n; i++) text_printf(out, "for i%d in 0:1 {\n", (int)i);
    repeat(out, "}", n - 1);
    text_puts(out, "\nh[t] = x[t] }\n");
}

static void operators(Text *out, int64_t n) {
    text_puts(out, "const C = 1");
    repeat(out, " + 1", n - 1);
    text_puts(out, "\nmodel M(x[t]: []) -> h[t]: [] { h[t] = C * x[t] }\n");
}

static void dimensions(Text *out, int64_t n) {
    text_puts(out, "model M(x[t]: [1");
    repeat(out, ", 1", n - 1);
    text_puts(out, "]) -> h[t]: [1");
    repeat(out, ", 1", n - 1);
    text_puts(out, "] { h[t] = x[t] }\n");
}

static void elements(Text *out, int64_t n) {
    text_printf(out, "model M(x[t]: [%lld]) -> h[t]: [] { h[t] = sum(x[t]) }\n", (long long)n);
}

static void columns(Text *out, int64_t n) {
    text_printf(out,
                "model M(x[t]: [%lld]) -> h[t]: [65536] {\n"
                "param W: [65536, %lld] ~ glorot\nh[t] = W @ x[t] }\n",
                (long long)n, (long long)n);
}

static void joined(Text *out, int64_t n) {
    text_printf(out,
                "model M(x[t]: [1073741824], y[t]: [%lld]) -> h[t]: [] {\n"
                "h[t] = sum(concat(x[t], y[t])) }\n",
                (long long)n);
}

static void indices(Text *out, int64_t n) {
    for (int side = 0; side < 2; side++) {
        text_puts(out, side ? ") -> h[" : "model M(x[");
        for (int64_t i = 0; i < n; i++) text_printf(out, "%st%d", i ? "," : "", (int)i);
        text_puts(out, "]: []");
    }
    text_puts(out, " { h[");
    for (int64_t i = 0; i < n; i++) text_printf(out, "%st%d", i ? "," : "", (int)i);
    text_puts(out, "] = x[");
    for (int64_t i = 0; i < n; i++) text_printf(out, "%st%d", i ? "," : "", (int)i);
    text_puts(out, "] }\n");
}

static void terms(Text *out, int64_t n) {
    text_printf(out, "const C = sum[i in 0:%lld](1)\n", (long long)n);
    text_puts(out, "model M(x[t]: []) -> h[t]: [] { h[t] = C * x[t] }\n");
}

/* Each turn of the loop is one, and its equation another. */
static void turns(Text *out, int64_t n) {
    text_printf(out, "model M(x[t]: []) -> h[t]: [] {\nfor i in 0:%lld { g[i,t] = x[t] }\n",
                (long long)(n / 2 - 1));
    text_puts(out, "a[t] = g[0,t]\n");
    text_puts(out, n % 2 ? "b[t] = x[t]\nh[t] = a[t] + b[t] }\n" : "h[t] = a[t] }\n");
}

static void instances(Text *out, int64_t n) {
    text_puts(out, "model M0(x[t]: []) -> y[t]: [] { y[t] = x[t] }\n");
    for (int64_t i = 1; i <= n; i++)
        text_printf(out,
                    "model M%d(x[t]: []) -> y[t]: [] {\nuse f = M%d\n"
                    "y[t] = f(x[t]) }\n",
                    (int)i, (int)i - 1);
}

/* Sixteen instances inside of each other, with names of 255 and, the innermost, the rest. */
static void paths(Text *out, int64_t n) {
    text_puts(out, "model M0(x[t]: []) -> y[t]: [] { y[t] = x[t] }\n");
    for (int i = 1; i <= 17; i++) {
        int length = i == 1 ? (int)(n - 16 * (240 + 1)) : 240;
        text_printf(out, "model M%d(x[t]: []) -> y[t]: [] {\nuse ", i);
        repeat(out, "f", length);
        text_printf(out, " = M%d\ny[t] = ", i - 1);
        repeat(out, "f", length);
        text_puts(out, "(x[t]) }\n");
    }
}

static void names(Text *out, int64_t n) {
    for (int i = 0; i < 2; i++) {
        text_puts(out, i ? "[t]: []) -> h[t]: [] { h[t] = " : "model M(");
        repeat(out, "x", n);
    }
    text_puts(out, "[t] }\n");
}

static void lags(Text *out, int64_t n) {
    text_printf(out,
                "model M(x[t]: []) -> h[t]: [] {\nstate h[t]: [] = 0\n"
                "h[t] = x[t] + h[t-%lld] }\n",
                (long long)n);
}

static void bounds(Text *out, int64_t n) {
    text_printf(out, "model M(x[t]: int(%lld)) -> h[t]: [] { h[t] = float(x[t]) }\n", (long long)n);
}

static void axes(Text *out, int64_t n) {
    text_puts(out, "model M(");
    for (int i = 0; i < n; i++) text_printf(out, "%sx%d[t%d]: []", i ? ", " : "", i, i);
    text_puts(out, ") -> ");
    for (int i = 0; i < n; i++) text_printf(out, "%sy%d[t%d]: []", i ? ", " : "", i, i);
    text_puts(out, " {\n");
    for (int i = 0; i < n; i++) text_printf(out, "y%d[t%d] = x%d[t%d]\n", i, i, i, i);
    text_puts(out, "}\n");
}

static void file_bytes(Text *out, int64_t n) {
    text_puts(out, "model M(x[t]: []) -> h[t]: [] { h[t] = x[t] }\n#");
    char line[1024];
    memset(line, '-', sizeof line);
    while ((int64_t)out->length < n) {
        int64_t left = n - (int64_t)out->length;
        text_write(out, line, left < 1024 ? (size_t)left : sizeof line);
    }
}

/* Each equation reads the next one, which is not known yet. */
static void waiting(Text *out, int64_t n) {
    text_puts(out, "model M(x[t]: []) -> h[t]: [] {\nh[t] = v1[t]\n");
    for (int i = 1; i < n; i++) text_printf(out, "v%d[t] = v%d[t]\n", i, i + 1);
    text_printf(out, "v%d[t] = x[t] }\n", (int)n);
}

static void imports(Text *out, int64_t n) {
    text_printf(out, "import \"%d.rnn\"\nmodel M(x[t]: []) -> h[t]: [] { h[t] = x[t] }\n",
                (int)n - 1);
}

/* 2^63 - 1 is the largest. */
static void integers(Text *out, int64_t n) {
    text_printf(out,
                "size N = 2^62 - 1 + (2^62 - 100) + %d\n"
                "model M(x[t]: []) -> h[t]: [] { h[t] = N * x[t] }\n",
                (int)n);
}

static void windows(Text *out, int64_t n) {
    text_printf(out,
                "model M(x[t]: []) -> h[t]: [] {\ntime s in t\n"
                "h[t] = sum[s in t-%lld:t+1](x[s]) }\n",
                (long long)n);
}

static const Limit limits[] = {
    {"open brackets", 256, brackets, "E-LIMIT", "256", false, 0},
    {"open blocks", 256, blocks, "E-LIMIT", "256", false, 0},
    {"levels", 256, operators, "E-LIMIT", "256", false, 0},
    {"dimensions", 8, dimensions, "E-LIMIT", "9 dimensions when at most 8", false, 0},
    {"elements", 2147483647, elements, "E-LIMIT", "2147483647 elements", false, 0},
    {"elements of a matrix", 32767, columns, "E-LIMIT", "2147483647 elements", false, 0},
    {"elements of a concat", 1073741823, joined, "E-LIMIT", "2147483647 elements", false, 0},
    {"time indices", 8, indices, "E-LIMIT", "8", false, 0},
    {"terms", 100000, terms, "E-LIMIT", "100000", false, 0},
    {"turns", 100000, turns, "E-LIMIT", "100000", false, 0},
    {"instances", 256, instances, "E-LIMIT", "256", false, 0},
    {"joined names", 4096, paths, "E-LIMIT", "4097 characters when they may have at most 4096",
     false, 0},
    {"names", 255, names, "E-LIMIT", "256 characters when it may have at most 255", false, 0},
    {"lags", 4096, lags, "E-LIMIT", "4096", false, 0},
    {"bounds of an int", 2147483647, bounds, "E-TYPE", "2147483647", false, 0},
    {"axes of code", 15, axes, "E-LOWER", "16 axes, more than the 15", true, 0},
    {"bytes", 16777216, file_bytes, "E-LIMIT", "16777216", false, 0},
    {"waiting", 1200, waiting, "E-LIMIT", "2500", false, 2600},
    {"imports", 64, imports, "E-LIMIT", "64", false, 0},
    {"integers", 100, integers, "E-LIMIT", "64 bits", false, 0},
    {"windows", 2147483647, windows, "E-LIMIT",
     "-2147483648 steps away when it may be at most 2147483647", false, 0},
};

/* Imports: N.rnn imports the file of the number below. */
static const Source *file_of(void *user, Arena *arena, const char *path, const char **why) {
    const Text *text = user;
    Source *source = ARENA_NEW(arena, Source);
    Text out = text_new(arena);
    int number = 0;
    (void)why;
    if (strcmp(path, "main.rnn") == 0) {
        *source = (Source){path, text->at, (uint32_t)text->length};
        return source;
    }
    if (sscanf(path, "%d", &number) == 1 && number > 0)
        text_printf(&out, "import \"%d.rnn\"\n", number - 1);
    *source = (Source){path, text_string(&out), (uint32_t)out.length};
    return source;
}

static Arena *arena;
static Text program;

static const Diags *compile(const Limit *limit, int64_t n) {
    char *words[] = {"rnnc", "main.rnn"};
    const char *why = NULL;
    program = text_new(arena);
    limit->make(&program, n);
    Compilation *c = compilation_new(arena, options_parse(arena, 2, words, &why));
    c->read = file_of;
    c->read_user = &program;
    assert_true(target_choose(arena, &c->options->target, false, &c->target, &why));
    compilation_run(c, limit->compiled ? STAGE_LOOP : STAGE_GRAPH);
    return c->diags;
}

static const char *words_of(const Diags *diags) {
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    return text.length > 2000 ? "(long)" : text_string(&text);
}

static bool accepted(const Limit *limit, int64_t n) {
    jmp_buf no_memory;
    arena = arena_new(&no_memory);
    if (setjmp(no_memory)) fail_msg("%s %lld: no memory", limit->what, (long long)n);
    arena_limit(arena, (size_t)3 << 30);
    const Diags *diags = compile(limit, n);
    bool good = diags->errors == 0;
    if (!good && n <= limit->most)
        print_error("%s: %lld is refused\n%s\n", limit->what, (long long)n, words_of(diags));
    if (!good && n > limit->most) {
        const Diag *diag = diags->list.at[0];
        if (strcmp(diag->code, limit->code) != 0 || !strstr(diag->message, limit->message) ||
            !diag->span.source)
            fail_msg("%s: %lld is refused by\n%s", limit->what, (long long)n, words_of(diags));
    }
    arena_free(arena);
    return good;
}

static void test_limits(void **state) {
    const Limit *limit = *state;
    assert_true(accepted(limit, limit->most - 1));
    assert_true(accepted(limit, limit->most));
    assert_false(accepted(limit, limit->over ? limit->over : limit->most + 1));
}

int main(void) {
    enum { COUNT = sizeof limits / sizeof *limits };
    struct CMUnitTest tests[COUNT];
    for (int i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){limits[i].what, test_limits, NULL, NULL,
                                       (void *)(uintptr_t)&limits[i]};
    return _cmocka_run_group_tests("limits", tests, COUNT, NULL, NULL);
}
