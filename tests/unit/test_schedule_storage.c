/* Where values are kept: programs whose storage decides whether their numbers are right. */
#include "schedule_case.h"

static const Value *named(const Schedule *schedule, const char *name, ValueKind kind) {
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (value->live && value->kind == kind && value->name && strcmp(value->name, name) == 0)
            return value;
    }
    fail_msg("no value %s in\n%s", name, schedule_text(schedule->arena, schedule));
    return NULL;
}

/* What the caller owns is never a state that is updated in place: a step needs a slot for each lag.
 */
static void test_input_at_a_lag_is_not_in_place(void **state) {
    Case c;
    (void)state;
    schedule_open(&c, "size I = 20\n"
                      "model L(x[t]: [I] = 0) -> y[t]: [I] {\n"
                      "    param W: [I, I] ~ glorot\n"
                      "    y[t] = x[t] + W @ x[t-2]\n"
                      "}\n");
    const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
    const Value *x = named(schedule, "x", VALUE_INPUT);
    assert_int_equal(x->pre[0], 2);
    assert_false(x->inplace);
    case_close(&c);
}

/* A model that attends to its own past: all rows of what it reads there are kept, and its own
 * earlier turns are no value of a later stage. */
static void test_own_past_is_a_history(void **state) {
    Case c;
    (void)state;
    schedule_open(&c, "size I = 4, H = 20\n"
                      "model Own(x[t]: [I]) -> h[t]: [H] {\n"
                      "    time s in t\n"
                      "    param W: [H, I] ~ glorot\n"
                      "    param U: [H, H] ~ glorot\n"
                      "    k[t] = h[t][0:I]\n"
                      "    a[t,s] = softmax[s < t](dot(x[t], h[s][0:I]))\n"
                      "    m[t] = sum[s < t](a[t,s] * h[s])\n"
                      "    h[t]: [H] = tanh(W @ x[t] + U @ m[t])\n"
                      "}\n");
    const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
    int slices = 0;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live || value->op != OP_SLICE) continue;
        slices++;
        assert_int_equal(value->storage, STORE_HISTORY);
    }
    assert_int_equal(slices, 1);
    case_close(&c);
}

/* A reshape costs nothing where elements are read one by one, but what works on rows must see its
 * shape. */
static void test_rows_see_reshapes(void **state) {
    Case c;
    (void)state;
    schedule_open(&c, "model R(x[t]: [6]) -> y[t]: [2], z[t]: [2, 3], w[t]: [3], e[t]: [2, 3] {\n"
                      "    state v[t]: [6] = 0\n"
                      "    v[t] = x[t] + sum(reshape[2, 3](v[t-1]), dim = 0)[0]\n"
                      "    param A: [2, 3] ~ glorot\n"
                      "    y[t] = sum(reshape[2, 3](x[t]), dim = 1)\n"
                      "    z[t] = col(y[t]) * A + reshape[3, 2](x[t]).T\n"
                      "    w[t] = reshape[2, 3](v[t])[1]\n"
                      "    e[t] = exp(reshape[2, 3](x[t]))\n"
                      "}\n");
    const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
    int copies = 0;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        copies += value->live && value->kind == VALUE_POINT && value->op == OP_VAR;
        if (value->live && value->op == OP_EXP)
            assert_int_equal(schedule->values.at[value->uses.at[0].value]->kind, VALUE_INPUT);
    }
    assert_true(copies >= 3);
    case_close(&c);
}

/* What is made of products sinks to the stage that needs it: how many vectors a step stores beside
 * its state. */
static void test_sinking(void **state) {
    static const struct {
        const char *file;
        int stored;
    } cells[] = {{"lstm", 0}, {"gru", 2}, {"projection", 1}, {"peephole", 1}, {"weird", 5}};
    (void)state;
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
        Case c;
        char path[128];
        snprintf(path, sizeof path, "tests/golden/schedule/%s.rnn", cells[i].file);
        schedule_open_file(&c, path);
        const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
        int stored = 0;
        for (int v = 0; v < schedule->values.count; v++) {
            const Value *value = schedule->values.at[v];
            stored += value->live && value->storage == STORE_SINGLE && value->family >= 0;
        }
        if (stored != cells[i].stored)
            fail_msg("%s stores %d vectors, not %d\n%s", cells[i].file, stored, cells[i].stored,
                     schedule_text(c.arena, schedule));
        case_close(&c);
    }
}

/* Nothing sinks behind the stage that overwrites the old value of a state: c stays one row. */
static void test_sinking_spares_states(void **state) {
    Case c;
    (void)state;
    schedule_open(&c, "size H = 20\n"
                      "model M(x[t]: [H]) -> h[t]: [H] {\n"
                      "    param A, U: [H, H] ~ glorot\n"
                      "    state h[t] = 0\n"
                      "    state c[t]: [H] = 0\n"
                      "    c[t] = tanh(x[t] + U @ h[t-1] + c[t-1])\n"
                      "    e[t] = exp(c[t-1])\n"
                      "    h[t] = tanh(A @ c[t]) * e[t]\n"
                      "}\n");
    const Schedule *schedule = schedule_case(&c, NULL, MODE_INFER);
    assert_int_equal(named(schedule, "c", VALUE_POINT)->storage, STORE_INPLACE);
    assert_int_equal(named(schedule, "e", VALUE_POINT)->stage, 0);
    case_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_at_a_lag_is_not_in_place),
        cmocka_unit_test(test_own_past_is_a_history),
        cmocka_unit_test(test_rows_see_reshapes),
        cmocka_unit_test(test_sinking),
        cmocka_unit_test(test_sinking_spares_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
