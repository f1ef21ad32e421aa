/* Several turns of a loop in one (loop/unroll.c): the same stores as turn by turn, for every number
 * of turns, wherever the loop ends early; and what is known of a turn is folded. */
#include <string.h>

#include "test_loop.h"

enum { ROOM = 64 };

/* q counts the stores; a loop in the loop with a break of its own, a branch every fourth turn, a
 * variable that is set, one that is set outside, the result of a call; ends where t is `last`. */
static const char text[] =
    "module \"m\" f32 target \"test\" lanes 8 fma registers 16 l2 0\n"
    "function g(i i.0: i64) -> i64 { return i.0*3 }\n"
    "function f(q: ptr i64 written, n n.0: i64, last last.1: i64) -> i32 exported {\n"
    "buffer q#0: i64[64] in q$0 written\n"
    "mutable at.2: i64 = 0\n"
    "for t.3 in 0 to n.0 {\n"
    "    let rest.4: i64 = mod(t.3 + 1, 4)\n"
    "    mutable sum.5: i64 = t.3\n"
    "    if eq(rest.4, 0) { set sum.5 = sum.5 + 100 } else { set sum.5 = sum.5 + 1 }\n"
    "    for s.6 in 0 to 9 {\n"
    "        if gt(s.6, t.3) { break }\n"
    "        set sum.5 = sum.5 + s.6\n"
    "    }\n"
    "    call r.7: i64 = g(sum.5)\n"
    "    let turned.8: i64 = select(eq(and(t.3, 1), 0), r.7, 0 - r.7)\n"
    "    store q#0[at.2] = turned.8\n"
    "    set at.2 = at.2 + 1\n"
    "    if eq(t.3, last.1) { break }\n"
    "}\n"
    "return i32(0)\n}\n";

typedef struct Made {
    Arena *arena;
    Names *names;
    LoopModule *m;
    const char *words; /* of the module */
} Made;

/* The module, its loop with `times` turns in one, verified and read back. */
static Made make(Arena *arena, int times) {
    Made made = {.arena = arena, .names = names_new(arena)};
    Diags *diags = diags_new(arena);
    Source source = {.path = "test.loop", .text = text, .length = (uint32_t)strlen(text)};
    made.m = loop_parse(arena, made.names, &source, diags);
    assert_non_null(made.m);
    LFunction *f = made.m->functions.at[1];
    LStmt *end = f->body.at[--f->body.count];
    loop_unroll(made.m, f, &f->body, times);
    vec_push(arena, &f->body, end);
    Text words = text_new(arena), said = text_new(arena);
    bool sound = loop_verify(made.m, true, "unroll", diags);
    loop_print(made.m, &words);
    made.words = text_string(&words);
    diags_render(diags, false, &said);
    if (!sound) fail_msg("%s\n%s", text_string(&said), made.words);
    return made;
}

static void call(const Made *made, int64_t n, int64_t last, int64_t *q) {
    const char *error = NULL;
    int64_t result;
    for (int i = 0; i < ROOM; i++) q[i] = -7;
    LoopValue args[] = {
        {.pointer = q, .bytes = ROOM * sizeof *q}, {.integer = n}, {.integer = last}};
    if (!loop_evaluate(made->arena, made->m, "f", args, 3, &result, &error))
        fail_msg("%s\n%s", error, made->words);
}

static void same_stores(void **state) {
    (void)state;
    jmp_buf oom;
    if (setjmp(oom)) fail_msg("out of memory");
    Arena *arena = arena_new(&oom);
    const Made plain = make(arena, 1);
    for (int times = 2; times <= 9; times++) {
        const Made made = make(arena, times);
        for (int64_t n = 0; n < 20; n++)
            for (int64_t last = -1; last <= n; last++) {
                int64_t want[ROOM], got[ROOM];
                call(&plain, n, last, want);
                call(&made, n, last, got);
                if (memcmp(want, got, sizeof want) != 0)
                    fail_msg("%d turns in one, %d turns, the last %d\n%s", times, (int)n, (int)last,
                             made.words);
            }
    }
    arena_free(arena);
}

static int count(const char *words, const char *part) {
    int found = 0;
    for (const char *at = words; (at = strstr(at, part)) != NULL; at++) found++;
    return found;
}

/* Four turns know their number modulo 4 and 2, two only the latter, three neither; the loop for the
 * rest knows nothing. */
static void folds(void **state) {
    static const struct {
        int times, mods, ands;
    } rows[] = {{1, 1, 1}, {2, 3, 1}, {3, 4, 4}, {4, 1, 1}, {8, 1, 1}};
    (void)state;
    jmp_buf oom;
    if (setjmp(oom)) fail_msg("out of memory");
    Arena *arena = arena_new(&oom);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const Made made = make(arena, rows[i].times);
        int mods = count(made.words, "mod(t"), ands = count(made.words, "and(t");
        if (mods != rows[i].mods || ands != rows[i].ands)
            fail_msg("%d turns: %d mod, %d and\n%s", rows[i].times, mods, ands, made.words);
    }
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_stores), cmocka_unit_test(folds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
