/* Products of matrices in the Loop IR: the text form, the rules of the verifier, each broken, and
 * the numbers and checks of the evaluator. That of the runtime's library: tests/numeric. */
#include "region_case.h"

static const char frame[] = "module \"m\" f32\n"
                            "target \"test\" lanes 8 fma registers 16 l2 0\n"
                            "\n"
                            "function f(\n"
                            "    a: ptr f32,\n"
                            "    b: ptr f32,\n"
                            "    c: ptr f32 written,\n"
                            "    d: ptr f64,\n"
                            "    m m.0: i64,\n"
                            "    pool: pool) -> i32 exported {\n"
                            "    buffer a#0: f32[12] in a$0\n"
                            "    buffer b#1: f32[20] in b$1\n"
                            "    buffer c#2: f32[24] in c$2 written\n"
                            "    buffer d#3: f64[8] in d$3\n"
                            "    buffer l#4: f32[8] local written\n"
                            "%s\n"
                            "    return i32(0)\n"
                            "}\n";

static LoopModule *module_of(Case *x, const char *body, const char **text) {
    *text = arena_printf(x->arena, frame, body);
    Source *source = ARENA_NEW(x->arena, Source);
    *source = (Source){.path = "test.loop", .text = *text, .length = (uint32_t)strlen(*text)};
    return loop_parse(x->arena, x->names, source, x->diags);
}

static const char plain[] = "    gemm m.0, 4, 3: c#2[1] by 5 = a#0[0] by 3 times b#1[0] by 4";

static void texts(void **state) {
    (void)state;
    static const char *const bodies[] = {
        plain, "    gemm 2, 4, 3: c#2[1] by 5 added a#0[m.0] by 2 transposed times b#1[0] by 4",
        "    gemm 2, 4, m.0 + 1: c#2[1] by 5 = minus a#0[0] by 3 times b#1[2] by 3 transposed",
        "    gemm 2, 4, 3: c#2[1] by 5 added minus a#0[0] by 2 transposed times b#1[2] by 3 "
        "transposed"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        Case *x = case_new("m", 8, true, LT_F32);
        const char *text;
        LoopModule *m = module_of(x, bodies[i], &text);
        show_diags(x);
        assert_non_null(m);
        assert_true(loop_verify(m, true, "test", x->diags));
        assert_true(loop_has_gemm(m));
        Text out = text_new(x->arena);
        loop_print(m, &out);
        assert_string_equal(text_string(&out), text);
        case_done(x);
    }
}

/* NULL: it cannot even be read. */
static void refused(const char *body, const char *message) {
    Case *x = case_new("m", 8, true, LT_F32);
    const char *text;
    LoopModule *m = module_of(x, body, &text);
    if (!message) {
        assert_null(m);
    } else {
        assert_non_null(m);
        assert_false(loop_verify(m, false, "test", x->diags));
        if (!strstr(x->diags->list.at[0]->message, message))
            fail_msg("%s instead of %s", x->diags->list.at[0]->message, message);
    }
    case_done(x);
}

static void rules(void **state) {
    (void)state;
    refused("gemm 2, 4: c#2[1] by 5 = a#0[0] by 3 times b#1[0] by 4", NULL);
    refused("gemm 2, 4, 3: c#2[1] by 5 transposed = a#0[0] by 3 times b#1[0] by 4", NULL);
    refused("gemm 2, 4, 3: c#2[1] by 5 = a#0[0] by 3 times b#9[0] by 4", NULL);
    refused("gemm 2, 4, 3: c#2[1] = a#0[0] by 3 times b#1[0] by 4", NULL);
    refused("gemm 2, 4, f32(3): c#2[1] by 5 = a#0[0] by 3 times b#1[0] by 4", "the depth is f32");
    refused("gemm 2, 4, 3: c#2[24] by 5 = a#0[0] by 3 times b#1[0] by 4", "c");
    refused("gemm 2, 4, 3: c#2[1] by 5 = d#3[0] by 3 times b#1[0] by 4", "A is no element");
    refused("gemm 2, 4, 3: c#2[1] by 5 = c#2[0] by 3 times b#1[0] by 4", "A lies in c, as C does");
    refused("gemm 2, 4, 3: b#1[1] by 5 = a#0[0] by 3 times a#0[0] by 4", "b, which is not marked");
    refused("gemm 2, 4, 3: c#2[1] by 3 = a#0[0] by 3 times b#1[0] by 4", "rows of C have 4");
    refused("gemm 2, 4, 3: c#2[1] by 5 = a#0[0] by 3 times b#1[0] by 3", "rows of B have 4");
    refused("gemm 4, 4, 3: c#2[1] by 5 = a#0[0] by 3 transposed times b#1[0] by 4", "rows of A have 4");
    refused("parallel t.1 of k.2 {\nstore l#4[0] = f32(0)\n"
            "gemm 1, 1, t.1: l#4[0] by 1 = a#0[0] by 3 times b#1[0] by 4\n"
            "if gt(load.f32 l#4[0], f32(1)) { barrier }\n}",
            "a barrier that not all threads may reach");
}

/* NULL, or why the evaluator refuses. */
static const char *run(Case *x, const char *body, int64_t m, int threads, float *c) {
    static float a[12], b[20];
    static double d[8];
    const char *text, *error = NULL;
    for (int i = 0; i < 12; i++) a[i] = (float)(i + 1);
    for (int i = 0; i < 20; i++) b[i] = (float)(i % 7 - 3);
    for (int i = 0; i < 24; i++) c[i] = 100;
    LoopModule *module = module_of(x, body, &text);
    show_diags(x);
    assert_non_null(module);
    const LoopValue args[] = {{.pointer = a, .bytes = sizeof a},
                              {.pointer = b, .bytes = sizeof b},
                              {.pointer = c, .bytes = 24 * sizeof *c},
                              {.pointer = d, .bytes = sizeof d},
                              {.integer = m},
                              {.integer = threads}};
    int64_t result = -1;
    loop_evaluate(x->arena, module, "f", args, 6, &result, &error);
    return error;
}

/* Element by element, from the definition. */
static void numbers(void **state) {
    (void)state;
    for (int flags = 0; flags < 16; flags++)
        for (int depth = 0; depth <= 3; depth += 3) {
            Case *x = case_new("m", 8, true, LT_F32);
            bool a_turned = flags & GEMM_A_TRANSPOSED, b_turned = flags & GEMM_B_TRANSPOSED;
            bool minus = flags & GEMM_MINUS, add = flags & GEMM_ADD;
            float c[24];
            const char *body = arena_printf(
                x->arena, "gemm 2, 4, m.0: c#2[1] by 5 %s%s a#0[1] by %s times b#1[2] by %s",
                add ? "added" : "=", minus ? " minus" : "", a_turned ? "3 transposed" : "4",
                b_turned ? "4 transposed" : "5");
            assert_null(run(x, body, depth, 1, c));
            for (int i = 0; i < 24; i++) {
                int row = (i - 1) / 5, column = (i - 1) % 5;
                double want = 100, sum = 0;
                if (i >= 1 && row < 2 && column < 4) {
                    for (int k = 0; k < depth; k++) {
                        int at = a_turned ? 1 + k * 3 + row : 1 + row * 4 + k;
                        int bt = b_turned ? 2 + column * 4 + k : 2 + k * 5 + column;
                        sum += (at + 1) * (bt % 7 - 3);
                    }
                    want = (add ? 100 : 0) + (minus ? -sum : sum);
                }
                if ((double)c[i] != want) fail_msg("%s: c[%d] %g", body, i, (double)c[i]);
            }
            case_done(x);
        }
}

static void fails(const char *body, int64_t m, int threads, const char *message) {
    Case *x = case_new("m", 8, true, LT_F32);
    float c[24];
    const char *error = run(x, body, m, threads, c);
    if (!message != !error || (message && !strstr(error, message)))
        fail_msg("%s instead of %s", error ? error : "done", message ? message : "done");
    case_done(x);
}

static void checks(void **state) {
    (void)state;
    fails(plain, 4, 1, NULL);
    fails(plain, 5, 1, "is outside of c");
    fails(plain, -1, 1, NULL);
    fails("gemm 2, m.0, 3: c#2[1] by 5 = a#0[0] by 3 times b#1[0] by 6", 6, 1,
          "rows of c have 6 elements and lie 5 apart");
    fails("gemm 2, 4, 3: c#2[m.0] by 5 = a#0[0] by 3 times b#1[0] by 4", -1, 1, "is outside of c");
    fails("gemm 1, 4, 2: c#2[0] by 5 = l#4[0] by 2 times b#1[0] by 4", 0, 1, "not all written");
    fails("gemm 1, 4, 2: l#4[0] by 4 added a#0[0] by 2 times b#1[0] by 4", 0, 1, "not all written");
    fails("gemm 1, 4, 2: l#4[0] by 4 = a#0[0] by 2 times b#1[0] by 4\n"
          "gemm 1, 1, 4: c#2[0] by 4 = l#4[0] by 4 times b#1[0] by 4",
          0, 1, NULL);
    fails("parallel t.1 of k.2 {\n"
          "gemm 1, 4, 3: c#2[t.1*4] by 4 = a#0[t.1*3] by 3 times b#1[0] by 4\n}",
          0, 3, NULL);
    fails("parallel t.1 of k.2 {\n"
          "gemm 1, 4, 3: c#2[t.1*3] by 4 = a#0[t.1*3] by 3 times b#1[0] by 4\n}",
          0, 3, "since the last barrier");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts), cmocka_unit_test(rules),
                                       cmocka_unit_test(numbers), cmocka_unit_test(checks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
