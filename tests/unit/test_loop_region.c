/* Parallel regions in the Loop IR: the rules of the verifier, each broken; the text form; and the
 * evaluator, which runs threads in turn and finds where they meet in memory. */
#include "region_case.h"

static void fail_with(const char *got, const char *want, const char *text) {
    if (!want && got) fail_msg("%s\n%s", got, text);
    if (want && !got) fail_msg("taken instead of: %s\n%s", want, text);
    if (want && !strstr(got, want)) fail_msg("%s instead of %s\n%s", got, want, text);
}

/* ---- the verifier ---- */

/* Around the body of a region; %s more statements behind it. */
static const char frame[] =
    "module \"m\" f32 target \"test\" lanes 8 fma registers 16 l2 0\n"
    "function f(q: ptr f32 written, n n.0: i64%s) -> i32 exported {\n"
    "buffer q#0: f32[16] in q$0 written\n"
    "buffer l#1: f32[16] local align 64 written\n"
    "mutable m.1: i64 = n.0\n"
    "parallel t.2 of k.3 {\n%s\n}\n%s\nreturn i32(0)\n}\n"
    "function g(row: ptr f32 written, i i.0: i64) -> i64 {\n"
    "buffer row#0: f32[1] in row$0 written\n"
    "store row#0[0] = f32(1)\n"
    "return i.0\n}\n"
    "function p(pool: pool) -> i32 { parallel t.0 of k.1 { }\nreturn i32(0)\n}\n";

static void with(const char *args, const char *body, const char *behind, const char *message) {
    Case *x = case_new("m", 8, true, LT_F32);
    const char *text = arena_printf(x->arena, frame, args, body, behind);
    Source source = {.path = "test.loop", .text = text, .length = (uint32_t)strlen(text)};
    LoopModule *m = loop_parse(x->arena, x->names, &source, x->diags);
    show_diags(x);
    assert_non_null(m);
    bool sound = loop_verify(m, false, "test", x->diags);
    fail_with(sound ? NULL : x->diags->list.at[0]->message, message, body);
    case_done(x);
}

static void body(const char *text, const char *message) {
    with(", pool: pool", text, "", message);
}

static const char apart[] = "a barrier that not all threads may reach";

static void verifies(void **state) {
    (void)state;
    body("", NULL);
    with("", "barrier", "", NULL);
    body("let a.5: i64 = m.1 + t.2*k.3\nbarrier\nstore q#0[a.5] = load.f32 q#0[m.1]\nbarrier",
         NULL);
    body("set m.1 = 3", "m.1 is set by every thread");
    body("return i32(0)", "return from a parallel region");
    body("break", "break outside of a loop");
    body("parallel a.5 of b.6 { }", "a parallel region lies in another");
    with(", pool: pool", "", "parallel a.5 of b.6 for f32(1) ns with 2 barriers { }",
         "the time of a region is f32x1 and should be one i64");
    with(", pool: pool", "", "parallel a.5 of b.6 for 1 ns with f32(2) barriers { }",
         "the number of barriers is f32x1 and should be one i64");
    with(", pool: pool", "", "barrier", "barrier outside of a parallel region");
    with(", pool: pool", "", "set m.1 = t.2", "");
    with(", pool: pool, other: pool", "", "", "a second pool other");
    body("call r.5: i32 = p(pool)", "is given a pool that is at work");
    with("", "", "call r.5: i32 = p(pool)", "wants a pool, which there is none");
    with(", pool: pool", "", "call r.5: i32 = p(pool)", NULL);
    with(", pool: pool", "", "call r.5: i32 = p(n.0)", "argument pool wants a pool");
    with(", pool: pool", "", "call r.5: i64 = g(load.f32 q#0[0], pool)", "");
}

static void barriers(void **state) {
    (void)state;
    /* All come, as often. */
    body("for s.5 in 0 to n.0 { barrier }", NULL);
    body("for s.5 in t.2 to n.0 { store q#0[s.5] = f32(1) }\nbarrier", NULL);
    body("if gt(load.f32 q#0[0], f32(1)) { barrier }", NULL);
    body("for s.5 in 0 to n.0 {\nif gt(n.0, 4) { break }\nbarrier\n}", NULL);
    body("for s.5 in 0 to n.0 {\nfor u.6 in 0 to t.2 {\nif gt(u.6, 1) { break }\n}\nbarrier\n}",
         NULL);
    body("store l#1[0] = f32(2)\nif gt(load.f32 l#1[0], f32(1)) { barrier }", NULL);
    body("if eq(k.3, 1) { barrier }", NULL);
    /* Not so. */
    body("if eq(t.2, 0) { barrier }", apart);
    body("if eq(n.0, 0) { } else { if lt(t.2, n.0) { } else { barrier } }", apart);
    body("for s.5 in t.2 to n.0 { barrier }", apart);
    body("for s.5 in 0 to t.2 step 2 { barrier }", apart);
    body("let a.5: i64 = n.0 - t.2\nlet b.6: i64 = a.5*2\nif gt(b.6, 3) { barrier }", apart);
    body("mutable a.5: i64 = 0\nif eq(t.2, 1) { set a.5 = 1 }\nif eq(a.5, 1) { barrier }", apart);
    body("if gt(load.f32 q#0[t.2], f32(1)) { barrier }", apart);
    body("for s.5 in 0 to n.0 {\nif gt(s.5, t.2) { break }\nbarrier\n}", apart);
    body("for s.5 in 0 to n.0 {\nbarrier\nif gt(s.5, t.2) { break }\n}", apart);
    body("store l#1[0] = convert.f32(t.2)\nif gt(load.f32 l#1[0], f32(1)) { barrier }", apart);
    body("if eq(t.2, 0) { store l#1[0] = f32(2) }\nif gt(load.f32 l#1[0], f32(1)) { barrier }",
         apart);
    body("call r.5: i64 = g(load.f32 q#0[t.2], t.2)\nif gt(r.5, 1) { barrier }", apart);
    body("call r.5: i64 = g(load.f32 l#1[0], t.2)\nif gt(load.f32 l#1[0], f32(1)) { barrier }",
         apart);
    /* What follows from a later turn of a loop. */
    body("mutable a.5: i64 = 0\nmutable b.6: i64 = 0\nfor s.7 in 0 to n.0 {\n"
         "if eq(a.5, 1) { barrier }\nset a.5 = b.6\nset b.6 = t.2\n}",
         apart);
    body("mutable a.5: i64 = 0\nfor s.6 in 0 to n.0 {\nif gt(s.6, t.2) { break }\nset a.5 = 1\n}\n"
         "if eq(a.5, 1) { barrier }",
         apart);
}

/* ---- text ---- */

static const char *printed_(Case *x) {
    Text out = text_new(x->arena);
    loop_print(x->m, &out);
    return text_string(&out);
}

static void text_form(void **state) {
    (void)state;
    Case *x = parsed(program());
    const char *first = printed_(x);
    assert_non_null(strstr(first, "    pool: pool \"threads\") -> i32 exported \"Runs.\" {\n"));
    Case *y = parsed(first);
    assert_string_equal(printed_(y), first);
    assert_int_equal(loop_pool(y->m->functions.at[1]), 6);
    assert_int_equal(loop_pool(y->m->functions.at[0]), -1);
    case_done(y);
    case_done(x);
}

/* ---- the evaluator ---- */

/* Runs f(y, n, pool) of `text` by so many threads; its message, NULL: none. */
static const char *evaluated(Case *x, const char *text, int threads, float *y) {
    static const char around[] =
        "module \"net\" f32 target \"test\" lanes 8 fma registers 16 l2 0\n"
        "function f(y: ptr f32 written, n n.0: i64, pool: pool) -> i32 exported {\n"
        "buffer y#0: f32[64] in y$0 written\n"
        "buffer l#1: f32[8] local align 64 written\n"
        "mutable m.1: i64 = n.0\n"
        "%s\n"
        "return i32(0)\n}\n"
        "function g(i i.0: i64, at: ptr f32 written) -> void {\n"
        "buffer at#0: f32[1] in at$1 written\n"
        "buffer own#1: f32[1] local align 64 written\n"
        "store own#1[0] = convert.f32(i.0)\n"
        "call h(load.f32 own#1[0], load.f32 at#0[0])\n"
        "}\n"
        "function h(from: ptr f32, to: ptr f32 written) -> void {\n"
        "buffer from#0: f32[1] in from$0\n"
        "buffer to#1: f32[1] in to$1 written\n"
        "store to#1[0] = load.f32 from#0[0]\n"
        "}\n"
        "function r(pool: pool, y: ptr f32 written) -> void {\n"
        "buffer y#0: f32[64] in y$1 written\n"
        "parallel t.0 of k.1 { store y#0[t.0] = convert.f32(k.1) }\n"
        "}\n";
    const char *whole = arena_printf(x->arena, around, text), *error = NULL;
    Source source = {.path = "test.loop", .text = whole, .length = (uint32_t)strlen(whole)};
    LoopModule *m = loop_parse(x->arena, x->names, &source, x->diags);
    show_diags(x);
    assert_non_null(m);
    LoopValue args[] = {
        {.pointer = y, .bytes = 64 * sizeof *y}, {.integer = 40}, {.integer = threads}};
    int64_t status = -1;
    if (!loop_evaluate(x->arena, m, "f", args, 3, &status, &error)) return error;
    assert_int_equal(status, 0);
    return NULL;
}

static void runs(const char *text, int threads, const char *message) {
    Case *x = case_new("net", 8, true, LT_F32);
    float y[64] = {0};
    fail_with(evaluated(x, text, threads, y), message, text);
    case_done(x);
}

/* Each thread sees its own number; what is set outside is as it was; locals are its own. */
static void threads_in_turn(void **state) {
    (void)state;
    static const char text[] =
        "store l#1[0] = f32(7)\n"
        "set m.1 = m.1 + 2\n"
        "for again.2 in 0 to 3 {\n"
        "    parallel t.3 of k.4 {\n"
        "        store l#1[0] = convert.f32(t.3)\n"
        "        barrier\n"
        "        for i.5 in 0 to k.4 { store l#1[1] = convert.f32(i.5 + m.1) }\n"
        "        barrier\n"
        "        store y#0[t.3*2] = load.f32 l#1[0]\n"
        "        store y#0[t.3*2 + 1] = load.f32 l#1[1]\n"
        "    }\n"
        "}\n"
        "store y#0[63] = load.f32 l#1[0]\n";
    for (int threads = 0; threads < 9; threads++) {
        Case *x = case_new("net", 8, true, LT_F32);
        float y[64] = {0};
        int count = threads ? threads : 1;
        fail_with(evaluated(x, text, threads, y), NULL, text);
        for (int t = 0; t < count; t++) {
            assert_true(y[2 * t] == (float)t);
            assert_true(y[2 * t + 1] == (float)(count - 1 + 42));
        }
        assert_true(y[2 * count] == 0 && y[63] == 7);
        case_done(x);
    }
}

static void races(void **state) {
    (void)state;
    static const char written[] = "which thread 0 has written since the last barrier (function f: "
                                  "store y#0[0] = f32(1.0))";
    runs("parallel t.2 of k.3 { store y#0[0] = f32(1) }", 1, NULL);
    runs("parallel t.2 of k.3 { store y#0[0] = f32(1) }", 2, written);
    runs("parallel t.2 of k.3 { store y#0[0] = f32(1) }", 2,
         "function f: store y#0[0] = f32(1.0): thread 1 writes y[0], which thread 0 has written");
    runs("parallel t.2 of k.3 { store y#0[t.2] = f32(1) }", 8, NULL);
    /* Bytes side by side, and lanes that reach into a neighbour's. */
    runs("parallel t.2 of k.3 { store y#0[t.2*8] = splat(f32(1), 8) }", 8, NULL);
    runs("parallel t.2 of k.3 { store y#0[t.2*7] = splat(f32(1), 8) }", 2,
         "thread 1 writes y[7], which thread 0 has written");
    /* Reads of many are no race; a write among them is. */
    runs("store y#0[5] = f32(1)\nparallel t.2 of k.3 { store y#0[8 + t.2] = load.f32 y#0[5] }", 8,
         NULL);
    runs("parallel t.2 of k.3 { store y#0[8 + t.2] = load.f32 y#0[8 + k.3 - 1] }", 3,
         "thread 2 writes y[10], which several threads have read");
    runs("parallel t.2 of k.3 { store y#0[8 + t.2] = load.f32 y#0[9 - t.2] }", 2,
         "thread 1 reads y[8], which thread 0 has written");
    /* A barrier parts them, one of its own step alone. */
    runs("parallel t.2 of k.3 {\nlet v.4: f32 = load.f32 y#0[8 + k.3 - 1]\nbarrier\nstore y#0[8 + "
         "t.2] = v.4\n}",
         3, NULL);
    runs(
        "parallel t.2 of k.3 {\nfor s.4 in 0 to n.0 {\nstore y#0[t.2] = convert.f32(s.4)\nbarrier\n"
        "store y#0[32 + t.2] = load.f32 y#0[k.3 - 1 - t.2]\n}\n}",
        2, "thread");
    runs(
        "parallel t.2 of k.3 {\nfor s.4 in 0 to n.0 {\nstore y#0[t.2] = convert.f32(s.4)\nbarrier\n"
        "store y#0[32 + t.2] = load.f32 y#0[k.3 - 1 - t.2]\nbarrier\n}\n}",
        2, NULL);
    /* The end of a region parts, too. */
    runs("parallel t.2 of k.3 { store y#0[t.2] = f32(1) }\n"
         "parallel t.4 of k.5 { store y#0[k.5 - 1 - t.4] = f32(1) }",
         3, NULL);
    /* Within calls, where locals are nobody else's. */
    runs("parallel t.2 of k.3 { call g(t.2, load.f32 y#0[t.2]) }", 4, NULL);
    runs("parallel t.2 of k.3 { call g(t.2, load.f32 y#0[3]) }", 4,
         "function f: call g(t.2, load.f32 y#0[3]): function g: call h(load.f32 own#1[0], "
         "load.f32 at#0[0]): function h: store to#1[0] = load.f32 from#0[0]: thread 1 writes "
         "to[0], which thread 0 has written since the last barrier (function h: store to#1[0]");
    runs("parallel t.2 of k.3 {\ncall g(t.2, load.f32 l#1[0])\ncall g(t.2, load.f32 l#1[0])\n}", 4,
         NULL);
    runs("parallel t.2 of k.3 {\nif eq(t.2, 0) { call g(t.2, load.f32 y#0[1]) }\nif eq(t.2, 1) { "
         "store y#0[8] = load.f32 y#0[1] }\n}",
         2, "thread 1 reads y[1], which thread 0 has written");
    /* A pool that is passed on. */
    runs("call r(pool, load.f32 y#0[0])", 6, NULL);
}

/* Locals hold nothing at the beginning of a region, whatever they held outside; and outside they
 * hold what they did. */
static void locals(void **state) {
    (void)state;
    runs("store l#1[0] = f32(1)\nparallel t.2 of k.3 { store y#0[t.2] = load.f32 l#1[0] }", 1,
         "read of l[0], which was not written");
    runs("parallel t.2 of k.3 { store l#1[0] = f32(1) }\nstore y#0[0] = load.f32 l#1[0]", 2,
         "read of l[0], which was not written");
    runs("parallel t.2 of k.3 { store l#1[0] = f32(1) }\nparallel t.4 of k.5 { store y#0[t.4] = "
         "load.f32 l#1[0] }",
         2, "read of l[0], which was not written");
    runs("parallel t.2 of k.3 {\nif eq(t.2, 1) { store l#1[0] = f32(1) }\nbarrier\nif eq(t.2, 0) { "
         "store y#0[0] = load.f32 l#1[0] }\n}",
         2, "read of l[0], which was not written");
}

/* Each barrier of a real program, taken away. */
static void barriers_needed(void **state) {
    (void)state;
    static float in[COUNT], bias[UNITS], y[COUNT];
    _Alignas(64) static float work[2 * UNITS];
    fill(in, bias);
    for (int left = 0; left < 4; left++)
        for (int threads = 1; threads < 5; threads++) {
            static char text[sizeof region_program + 100];
            snprintf(text, sizeof text, region_program, left & 1 ? "barrier" : "",
                     left & 2 ? "barrier" : "");
            Case *x = parsed(text);
            LoopValue args[] = {{.pointer = in, .bytes = sizeof in},
                                {.pointer = y, .bytes = sizeof y},
                                {.pointer = work, .bytes = sizeof work},
                                {.integer = UNITS},
                                {.integer = STEPS},
                                {.pointer = bias, .bytes = sizeof bias},
                                {.integer = threads}};
            int64_t status;
            const char *error = NULL;
            bool fine = loop_evaluate(x->arena, x->m, "forward", args, 7, &status, &error);
            assert_int_equal(fine, threads == 1 || left == 3);
            if (!fine) assert_non_null(strstr(error, "since the last barrier"));
            case_done(x);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies),        cmocka_unit_test(barriers), cmocka_unit_test(text_form),
        cmocka_unit_test(threads_in_turn), cmocka_unit_test(races),    cmocka_unit_test(locals),
        cmocka_unit_test(barriers_needed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
