/* The verifier of Schedules: each rule, broken by a change of the text of a sound schedule. */
#include "schedule_case.h"

static const char *const programs[] = {
    /* 0: a state read in full beside two stages, a slice, a mean over time */
    "size I = 6, H = 5\n"
    "model M(x[t]: [I], s: [H] = 0) -> y[t]: [H], m[t]: [] {\n"
    "    time k in t\n"
    "    use f = GRU[H]\n"
    "    param A: [H, H + I] ~ glorot\n"
    "    h[t] = f(x[t])\n"
    "    state c[t] = s\n"
    "    c[t]: [H] = tanh(A @ concat(c[t-1], x[t]))\n"
    "    y[t] = h[t] + c[t] + x[first][0]\n"
    "    m[t] = mean[k <= t](max(h[k]))\n"
    "}\n",
    /* 1: a state in place, lags, two lengths */
    "size H = 20, P = 9\n"
    "model M(x[t]: [H]) -> h[t]: [H] {\n"
    "    param A, U: [H, H] ~ glorot\n"
    "    param B: [P, H] ~ glorot\n"
    "    param C: [H, P] ~ glorot\n"
    "    state h[t]: [H] = 0\n"
    "    state c[t]: [H] = 0\n"
    "    f[t] = sigmoid(U @ h[t-1] + A @ h[t-2] + x[t])\n"
    "    c[t] = f[t] * c[t-1] + x[t]\n"
    "    p[t] = tanh(B @ c[t])\n"
    "    h[t] = tanh(C @ p[t])\n"
    "}\n",
    /* 2: a stop */
    "size H = 4, V = 6\n"
    "model M(s: [H]) -> w[u]: int(V) {\n"
    "    time u <= 20\n"
    "    param E: [V, H] ~ glorot\n"
    "    param U: [H, H] ~ glorot\n"
    "    state h[u] = s\n"
    "    state w[u]: int(V) = 0\n"
    "    h[u]: [H] = tanh(E[w[u-1]] + U @ h[u-1])\n"
    "    w[u] = argmax(E @ h[u])\n"
    "    stop u when w[u] == 3\n"
    "}\n",
};

/* `from` becomes `to` everywhere in the text of a program. */
static const struct {
    int program;
    const char *from, *to, *message;
} damages[] = {
    /* order: stages, families, loops */
    {0, "sigmoid v23", "sigmoid v29", "reads a value of a later stage"},
    {0, "sigmoid v23", "sigmoid v25", "reads what comes after it"},
    {0, " v25 ", " f.n.30 ", "reads in full what its own stage makes"},
    {0, "rmax f.h.33[k]", "rmax y.44[k]", "a prologue reads what a family of its stage makes"},
    {0, "= add v49, c50", "= add v52, c50", "reads a prologue that comes after it"},
    {1, "        stage 2\n", "", "reads what another family of its stage makes"},
    {0, "v5 + f.bz.10", "v5 + y.44", "reads a value of a later block"},
    {0, "c.39[t-1 else", "c.39[t+1 else", "reads what its loop has not reached"},
    {0, "c.39[t-1 else", "c.39[last else", "reads what its loop has not reached"},
    {0, "c.39[t-1 else", "c.39[t else", "reads in full what its own stage makes"},
    {0, "loop t forward", "loop t backward", "reads what its loop has not reached"},
    {0, "loop t forward", "scan t forward", "a scan that is not linear"},
    {0, "v13[t]: f[5]", "v13: f[5]", "in a loop over an axis that it does not have"},
    /* positions, lengths, sequences */
    {0, "sigmoid v23", "sigmoid v46", "reads at positions that it does not have"},
    {0, "v5 + f.bz.10", "v5 + x.0", "reads a value of another length"},
    {0, "= add v49, c50", "= add v49, v48", "once for all sequences, but reads one's own"},
    /* storage */
    {0, "history[1:0] else s.1", "history else s.1", "read beyond its rows"},
    {0, "history[1:0] else s.1", "history[1:0] else c2",
     "a boundary value that its rows do not hold"},
    {0, "history[1:0] else s.1", "inplace[1:0] else s.1",
     "updated in place before its last old read"},
    {1, "-> inplace[1:0]", "-> inplace[1:0]#", "updated in place without a first value"},
    {0, "v58[t]: f[5] = v5 + f.bz.10 -> history", "v58[t]: f[5] = v5 + f.bz.10 -> inplace else c2",
     "updated in place outside of all loops"},
    {0, "f.bz.10 -> history", "f.bz.10 -> single", "one row outside of all loops"},
    {0, "sigmoid v11 -> single", "sigmoid v11 -> single[1:0]",
     "one row with others before or behind"},
    {0, "history[1:0] else s.1", "single[1:0] else s.1",
     "read at other positions but not kept for them"},
    {0, "sigmoid v11 -> single", "sigmoid v11 -> register", "read elsewhere but kept in registers"},
    {0, "slice x.0[first] -> history", "slice x.0[first] -> register",
     "a prologue that is kept nowhere"},
    {0, "+ v43 -> history", "+ v43 -> register", "an output that is not kept"},
    /* products, accumulators, segments */
    {0, "chains=2: v20 v8\n", "chains=4: v20\n", "a product in no segment, or in two"},
    {0, ": v20 v8\n", ": v20 v8 v8\n", "a product in no segment, or in two"},
    {0, ": v20 v8\n", ": v20 v8 v13\n", "in a segment, but no product of its family"},
    {0, "acc v23 v11\n", "acc v23 v11 v11\n", "an accumulator of no product, or named twice"},
    {0, "acc v23 v11\n", "acc v23 v11 v13\n", "an accumulator of no product, or named twice"},
    {0, "acc v23 v11\n", "acc v23\n", "its accumulator is not one of its family"},
    {0, "-> in v11", "-> in v23", "not a term of its accumulator"},
    {0, "sigmoid v11", "sigmoid v8", "read by another value than its accumulator"},
    {0, "@ c.39[t-1 else s.1]", "@ v57", "reads another vector than its segment"},
    {1, "segment h.20[t-2 else", "segment h.20[t-1 else",
     "two segments of a family read it at one place"},
    {0, "K=5 chains=4: v56", "K=6 chains=4: v56", "the length of a segment is not its operand's"},
    {0, "chains=4: v56", "chains=2: v56", "another number of chains than its shape gives"},
    {0, "chains=4: v56", "chains=4:", "a segment without products"},
    /* families and prologues */
    {0, "family n=5\n", "family n=6\n", "another length than its family's"},
    {0, "family n=5 t\n", "family n=5\n", "walks over other indices than its family"},
    {0, "v25[t]: f[5] =", "v25[t]: f[5] once =", "batched or not, unlike its family"},
    {0, "        family n=5 t\n            y.44[t]", "        prologue y.44[t]",
     "a prologue of many elements that is no operation on rows"},
    {0, "        prologue v46[k]", "        family n=1 k\n            v46[k]",
     "works on whole rows, but is no prologue"},
    {0, "family n=5 t\n            y.44", "family n=5 t\n        family n=5 t\n            y.44",
     "a family without values"},
    /* what a value is */
    {0, "f.Uz(5:5, 5:1)", "f.Uz+1(5:5, 5:1)", "a view beyond its parameter"},
    {0, "param f.bz(5:1)", "param f.bz(6:1)", "a view beyond its parameter"},
    {0, "f.bz.10: f[5] =", "f.bz.10: f[4] =", "not as its view"},
    {0, "f.Uz(5:5, 5:1)", "f.Uz(4:5, 5:1)", "its length is not its view's number of rows"},
    {0, "v23[t]: f[5]", "v23[t]: bool[5]", "a sum that is no float"},
    {0, "x.0[t]: f[6]", "x.0[t]: bool[6]", "not as its port"},
    {0, "v43: f[]", "v43: f[1]", "works on rows of other shapes than its node"},
    {0, "= v13*f.n.30", "= c3*f.n.30", "computed for nobody"},
    /* what leaves */
    {0, "output m = m.55", "output m = y.44", "an output of another type than its port"},
    {0, "output m = m.55", "output m = v46", "an output over an index that its port has not"},
    {2, "stop u when v", "stop u when w.13#", "a stop that is no bool"},
    {2, "eq w.13, c14 -> history", "eq w.13, c14 -> single", "a stop that is not kept"},
};

static const char *damaged(Case *c, const char *text, const char *from, const char *to) {
    Text out = text_new(c->arena);
    bool found = false;
    for (const char *at; (at = strstr(text, from)) != NULL; text = at + strlen(from)) {
        text_write(&out, text, (size_t)(at - text));
        text_puts(&out, to);
        found = true;
    }
    if (!found) fail_msg("no '%s' in\n%s", from, text);
    text_puts(&out, text);
    return text_string(&out);
}

static void test_damages(void **state) {
    Case cases[sizeof programs / sizeof *programs];
    const Schedule *schedules[sizeof programs / sizeof *programs];
    (void)state;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        schedule_open(&cases[i], programs[i]);
        schedules[i] = schedule_case(&cases[i], NULL, MODE_INFER);
        assert_non_null(schedules[i]);
    }
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        Case *c = &cases[damages[i].program];
        const Schedule *schedule = schedules[damages[i].program];
        c->diags = diags_new(c->arena);
        const char *text =
            damaged(c, schedule_text(c->arena, schedule), damages[i].from, damages[i].to);
        const Schedule *broken = schedule_read(c, schedule->graph, text);
        if (!broken) {
            fail_msg("'%s' to '%s': %s", damages[i].from, damages[i].to, case_diags(c));
        } else {
            if (schedule_verify(broken, c->diags))
                fail_msg("'%s' to '%s' was accepted", damages[i].from, damages[i].to);
            if (!strstr(case_diags(c), damages[i].message))
                fail_msg("'%s' to '%s':\n%s", damages[i].from, damages[i].to, case_diags(c));
        }
    }
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) case_close(&cases[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
