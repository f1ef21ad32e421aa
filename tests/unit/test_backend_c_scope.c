/* Names in emitted C: the first of h, h_2, h_3 … that nothing visible has, in blocks that begin and
 * end; and in a time that does not grow with what is visible. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "backends/c/c.h"

enum { DEPTH = 400, ROUNDS = 20000 };

typedef struct Visible {
    const char *name, *hint;
} Visible;

static EmitC scope_new(Arena *arena) {
    LoopModule *module = ARENA_NEW(arena, LoopModule);
    module->arena = arena;
    module->names = names_new(arena);
    return (EmitC){.module = module, .arena = arena, .prefix = "lstm", .upper = "LSTM"};
}

static bool is_visible(const Visible *visible, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(visible[i].name, name) == 0) return true;
    return false;
}

/* The rule, as it is said. */
static const char *declare_slowly(Arena *arena, Visible *visible, int *count, const char *hint) {
    int same = 1;
    for (int i = 0; i < *count; i++) same += strcmp(visible[i].hint, hint) == 0;
    const char *name = same == 1 ? hint : arena_printf(arena, "%s_%d", hint, same);
    while (is_visible(visible, *count, name)) name = arena_printf(arena, "%s_%d", hint, ++same);
    visible[(*count)++] = (Visible){name, hint};
    return name;
}

/* Hints that are numbered names of other hints, in random blocks. */
static void test_as_said(void **state) {
    (void)state;
    static const char *const hints[] = {"h", "h_2", "h_3", "h_2_2", "x", "x_4", "c", "h_9"};
    Arena *arena = arena_new(NULL);
    EmitC c = scope_new(arena);
    Visible *visible = ARENA_ARRAY(arena, DEPTH + 1, Visible);
    int count = 0;
    uint32_t random = 12345;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        if (count == DEPTH || random >> 28 == 0) {
            count = (int)((random >> 8 & 0xffff) % (uint32_t)(count + 1));
            c_leave(&c, count);
            continue;
        }
        const char *hint = hints[(random >> 24) % 8];
        const char *wanted = declare_slowly(arena, visible, &count, hint);
        assert_string_equal(c_declare(&c, hint), wanted);
        assert_int_equal(c_visible(&c), count);
    }
    arena_free(arena);
}

/* What the header's symbols and the language have is no name of ours. */
static void test_taken(void **state) {
    (void)state;
    Arena *arena = arena_new(NULL);
    EmitC c = scope_new(arena);
    assert_string_equal(c_declare(&c, "lstm_step"), "v_lstm_step");
    assert_string_equal(c_declare(&c, "LSTM_OK"), "v_LSTM_OK");
    assert_string_equal(c_declare(&c, "lstm"), "lstm");
    assert_string_equal(c_declare(&c, "while"), "while_");
    assert_string_equal(c_declare(&c, "l1.h#0"), "l1_h_0");
    arena_free(arena);
}

/* A walk over all that is visible would take 10^10 steps. */
static void test_many(void **state) {
    (void)state;
    Arena *arena = arena_new(NULL);
    EmitC c = scope_new(arena);
    const char *last = "";
    for (int i = 0; i < 200000; i++) last = c_declare(&c, "h");
    assert_string_equal(last, "h_200000");
    c_leave(&c, 3);
    assert_string_equal(c_declare(&c, "h"), "h_4");
    arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_said),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
