/* The support library: arenas, vectors, texts, names, places and diagnostics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/diag.h"
#include "support/names.h"

static jmp_buf unexpected_oom;

static Arena *new_arena(void) {
    Arena *arena = arena_new(&unexpected_oom);
    assert_non_null(arena);
    return arena;
}

static void arena_gives_zeroed_aligned_memory(void **state) {
    (void)state;
    Arena *arena = new_arena();
    assert_int_equal(arena_used(arena), 0);
    size_t asked = 0;
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *at = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)at % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++) assert_int_equal(at[i], 0);
        memset(at, 0xAA, size);
        asked += size;
    }
    unsigned char *large = arena_alloc(arena, 9 << 20);
    assert_int_equal(large[0], 0);
    assert_int_equal(large[(9 << 20) - 1], 0);
    assert_true(arena_used(arena) >= asked + (9 << 20));
    arena_free(arena);
    arena_free(NULL);
}

static void arena_copies(void **state) {
    (void)state;
    Arena *arena = new_arena();
    char *part = arena_strndup(arena, "hello", 3);
    assert_string_equal(part, "hel");
    int numbers[] = {1, 2, 3};
    int *copy = arena_copy(arena, numbers, sizeof numbers);
    assert_true(copy != numbers);
    assert_memory_equal(copy, numbers, sizeof numbers);
    assert_string_equal(arena_printf(arena, "%s-%d", "x", 7), "x-7");
    assert_non_null(arena_copy(arena, NULL, 0));
    arena_free(arena);
}

static void out_of_memory_jumps(void **state) {
    (void)state;
    jmp_buf oom;
    Arena *volatile arena = arena_new(&oom);
    assert_non_null(arena);
    volatile int jumps = 0;
    if (setjmp(oom) == 0)
        arena_alloc(arena, SIZE_MAX);
    else
        jumps++;
    if (setjmp(oom) == 0)
        arena_array(arena, SIZE_MAX / 2, 3); /* the product overflows */
    else
        jumps++;
    if (setjmp(oom) == 0)
        arena_alloc(arena, SIZE_MAX - sizeof(max_align_t)); /* the chunk's header overflows */
    else
        jumps++;
    assert_int_equal(jumps, 3);
    arena_free(arena);
}

static void add_one(void *what) {
    volatile int **last = what;
    **last = **last * 10 + 1;
}

static void add_two(void *what) {
    volatile int **last = what;
    **last = **last * 10 + 2;
}

/* What an arena owns ends with it, the last first, on the way out of memory, too. */
static void arenas_own(void **state) {
    (void)state;
    jmp_buf oom;
    volatile int ended = 0; /* it changes before the jump */
    Arena *const arena = arena_new(&oom);
    assert_non_null(arena);
    if (setjmp(oom) == 0) {
        volatile int **at = arena_alloc(arena, sizeof *at);
        *at = &ended;
        arena_own(arena, add_one, at);
        arena_own(arena, add_two, at);
        assert_int_equal(ended, 0);
        arena_exhausted(arena);
    }
    arena_free(arena);
    assert_int_equal(ended, 21);
}

static void vectors_grow(void **state) {
    (void)state;
    Arena *arena = new_arena();
    VEC(int) list = {0};
    for (int i = 0; i < 1000; i++) vec_push(arena, &list, i * 3);
    assert_int_equal(list.count, 1000);
    assert_true(list.room >= 1000);
    for (int i = 0; i < 1000; i++) assert_int_equal(list.at[i], i * 3);
    struct pair { int a, b; };
    VEC(struct pair) pairs = {0};
    vec_push(arena, &pairs, (struct pair){1, 2}); /* commas are no obstacle */
    assert_int_equal(pairs.at[0].b, 2);
    arena_free(arena);
}

static void texts_grow(void **state) {
    (void)state;
    Arena *arena = new_arena();
    Text text = text_new(arena);
    assert_string_equal(text_string(&text), "");
    text_puts(&text, "a");
    text_indent(&text, 3);
    text_write(&text, "bcd", 2);
    text_printf(&text, "[%d %s]", 42, "x");
    assert_string_equal(text_string(&text), "a   bc[42 x]");
    for (int i = 0; i < 5000; i++) text_printf(&text, "%04d", i);
    assert_int_equal(text.length, 12 + 20000);
    assert_int_equal(strlen(text_string(&text)), text.length);
    assert_string_equal(text_string(&text) + text.length - 8, "49984999");
    Text empty = text_new(arena);
    text_printf(&empty, "%s", "");
    text_indent(&empty, 0);
    assert_string_equal(text_string(&empty), "");
    arena_free(arena);
}

static void check_double(double value, const char *wanted) {
    Arena *arena = new_arena();
    Text text = text_new(arena);
    text_double(&text, value);
    assert_string_equal(text_string(&text), wanted);
    arena_free(arena);
}

static void doubles_read_back(void **state) {
    (void)state;
    check_double(0, "0.0");
    check_double(-0.0, "-0.0");
    check_double(3, "3.0");
    check_double(0.1, "0.1");
    check_double(1e300, "1e+300");
    check_double(INFINITY, "inf");
    check_double(-INFINITY, "-inf");
    check_double(NAN, "nan");
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 2000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        Arena *arena = new_arena();
        Text text = text_new(arena);
        text_double(&text, value);
        assert_true(strtod(text_string(&text), NULL) == value);
        assert_non_null(strpbrk(text_string(&text), ".e"));
        arena_free(arena);
    }
}

static void names_are_interned(void **state) {
    (void)state;
    Arena *arena = new_arena();
    Names *names = names_new(arena);
    Name a = name_of(names, "alpha");
    assert_ptr_equal(a, name_of_length(names, "alphabet", 5));
    assert_ptr_not_equal(a, name_of(names, "alphb"));
    assert_ptr_not_equal(name_of(names, ""), a);
    assert_ptr_not_equal(name_of_length(names, "a\0b", 3), name_of_length(names, "a\0c", 3));
    Name many[5000];
    char buffer[16];
    for (int i = 0; i < 5000; i++) {
        snprintf(buffer, sizeof buffer, "n%d", i);
        many[i] = name_of(names, buffer);
    }
    for (int i = 0; i < 5000; i++) {
        snprintf(buffer, sizeof buffer, "n%d", i);
        assert_ptr_equal(many[i], name_of(names, buffer));
        assert_string_equal(many[i], buffer);
    }
    assert_ptr_equal(a, name_of(names, "alpha"));
    assert_ptr_not_equal(a, name_of(names_new(arena), "alpha"));
    arena_free(arena);
}

static void nearest_names(void **state) {
    (void)state;
    const char *const candidates[] = {"glorot", "orthogonal", "h", "normal"};
    assert_string_equal(name_nearest("glorto", candidates, 4), "glorot");
    assert_string_equal(name_nearest("orthoganal", candidates, 4), "orthogonal");
    assert_string_equal(name_nearest("normal", candidates, 4), "normal");
    assert_null(name_nearest("uniform", candidates, 4));
    assert_null(name_nearest("x", candidates, 4)); /* one edit would change all of it */
    assert_null(name_nearest("normal", candidates, 0));
    char giant[200];
    memset(giant, 'a', sizeof giant);
    giant[199] = '\0';
    assert_null(name_nearest(giant, candidates, 4));
}

static void check_place(const Source *source, uint32_t offset, int line, int column) {
    Place place = source_place(source, offset);
    assert_int_equal(place.line, line);
    assert_int_equal(place.column, column);
}

static void places(void **state) {
    (void)state;
    Source source = {"f", "ab\n\ncd", 6};
    check_place(&source, 0, 1, 1);
    check_place(&source, 2, 1, 3);
    check_place(&source, 3, 2, 1);
    check_place(&source, 5, 3, 2);
    check_place(&source, 6, 3, 3);
    check_place(&source, 999, 3, 3);
    uint32_t begin, end;
    source_line(&source, 5, &begin, &end);
    assert_int_equal(begin, 4);
    assert_int_equal(end, 6);
    source_line(&source, 2, &begin, &end);
    assert_int_equal(begin, 0);
    assert_int_equal(end, 2);
    source_line(&source, 3, &begin, &end);
    assert_int_equal(begin, end);
    Span a = {&source, 0, 2, NULL}, b = {&source, 4, 6, NULL}, none = {0};
    assert_int_equal(span_join(a, b).end, 6);
    assert_int_equal(span_join(a, b).begin, 0);
    assert_int_equal(span_join(a, none).end, 2);
    assert_int_equal(span_join(none, b).begin, 4);
}

static void diagnostics_render(void **state) {
    (void)state;
    Arena *arena = new_arena();
    Source one = {"one.rnn", "size H\n\tx = \xC3\xA9y + z\n", 20};
    Source two = {"two.rnn", "", 0};
    Diags *diags = diags_new(arena);
    diag_error(diags, "E-NAME", (Span){&one, 18, 19, NULL}, "no name '%s'", "z");
    Diag *diag = diag_warning(diags, "W-PREC", (Span){&one, 12, 15, NULL}, "unclear");
    diag_note(diags, diag, (Span){&one, 0, 4, NULL}, "see %d", 3);
    diag_error(diags, "E-NAME", (Span){&one, 5, 6, NULL}, "first");
    diag_error(diags, "E-SYNTAX", (Span){&two, 0, 0, NULL}, "empty");
    diag_error(diags, "E-OPTION", (Span){0}, "no place");
    assert_int_equal(diags->errors, 4);
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    assert_string_equal(text_string(&text),
                        "one.rnn:1:6: error: first [E-NAME]\n"
                        "  1 | size H\n"
                        "    |      ^\n"
                        "one.rnn:2:6: warning: unclear [W-PREC]\n"
                        "  2 | \tx = \xC3\xA9y + z\n"
                        "    | \t    ^~\n"
                        "one.rnn:1:1: note: see 3\n"
                        "  1 | size H\n"
                        "    | ^~~~\n"
                        "one.rnn:2:12: error: no name 'z' [E-NAME]\n"
                        "  2 | \tx = \xC3\xA9y + z\n"
                        "    | \t         ^\n"
                        "two.rnn:1:1: error: empty [E-SYNTAX]\n"
                        "  1 | \n"
                        "    | ^\n"
                        "rnnc: error: no place [E-OPTION]\n");
    Text colored = text_new(arena);
    diags_render(diags, true, &colored);
    assert_non_null(strstr(text_string(&colored), "\033[1;31merror:\033[0m first"));
    arena_free(arena);
}

static void diagnostics_are_limited(void **state) {
    (void)state;
    Arena *arena = new_arena();
    Source source = {"f", "abc", 3};
    Diags *diags = diags_new(arena);
    for (int i = 0; i < 3; i++) diag_error(diags, "E-NAME", (Span){&source, 0, 1, NULL}, "again");
    assert_int_equal(diags->list.count, 1);
    for (int i = 0; i < 200; i++)
        assert_non_null(diag_error(diags, "E-NAME", (Span){&source, 0, 1, NULL}, "error %d", i));
    assert_int_equal(diags->list.count, DIAG_MOST);
    assert_true(diags->full);
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    assert_non_null(strstr(text_string(&text), "more than 50 errors"));
    arena_free(arena);
}

int main(void) {
    if (setjmp(unexpected_oom)) return 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_zeroed_aligned_memory),
        cmocka_unit_test(arena_copies),
        cmocka_unit_test(out_of_memory_jumps),
        cmocka_unit_test(arenas_own),
        cmocka_unit_test(vectors_grow),
        cmocka_unit_test(texts_grow),
        cmocka_unit_test(doubles_read_back),
        cmocka_unit_test(names_are_interned),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(places),
        cmocka_unit_test(diagnostics_render),
        cmocka_unit_test(diagnostics_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
