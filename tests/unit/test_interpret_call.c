/* The interpreter's calls: carried state, generation with stop, losses over a batch, and everything
 * that is refused. */
#include "test_interpret.h"

enum { T = 17 };

/* h[t] = tanh(x[t] + 0.9 h[t-1] - 0.4 h[t-3] + 0.1 noise[t]) every 2, k[t] = h[t] + t, carried. */
static void carried_system(int it, const double *x) {
    int in = input("x", floats(dims(1, 2)), it, -1, x);
    int h = variable("l1.h", floats(dims(1, 2)), it, -1);
    int one = shifted(h, it, -1, number(0.3)), three = shifted(h, it, -3, number(0.3));
    At at = at_index(it, 0);
    Attr noise = {.draw = DRAW_NORMAL, .site = name_of(names, "l1.e#0"), .at_count = 1, .at = &at,
                  .carry = 1};
    int e = typed(OP_DRAW, floats(dims(1, 2)), &noise, 1, number(0.1));
    int past = bin(OP_SUB, bin(OP_MUL, number(0.9), one), bin(OP_MUL, number(0.4), three));
    int new = un(OP_TANH, bin(OP_ADD, bin(OP_ADD, in, past), e));
    Attr clock = {.index = it, .every = 2, .carry = 1};
    int hold = node(OP_HOLD, &clock, 2, new, one);
    define(h, hold);
    Attr place = {.index = it, .carry = 1};
    int k = bin(OP_ADD, h, node(OP_INDEX, &place, 0));
    g->nodes.at[one]->attr.carry = g->nodes.at[three]->attr.carry = 1;
    output("k", k);
}

static void chunks(void **state) {
    (void)state;
    enum { B = 2, W = B * 2 };
    int t = axis("t"), it = index_on("t", t);
    vec_push(arena, &g->carries, (GraphCarry){.name = name_of(names, "l1"), .axis = t});
    call.batch = B;
    call.seed = 5;
    lengths(t, T, T);
    double *x = numbers(T * W, -1, 1, 9);
    carried_system(it, x);
    call.want_state = true;
    const InterpResult *whole = run(), *part = NULL;
    assert_int_equal(whole->state_count, 2);
    const InterpState *end = &whole->state[0];
    assert_string_equal(end->name, "l1.h");
    assert_string_equal(whole->state[1].name, "l1.t");
    assert_int_equal(end->lags, 3);
    near(whole->state[1].values[0], T, 0);
    /* In chunks of lengths that differ within the batch; 0 is one of them, 1 is below the lag. */
    static const int cuts[5][B] = {{0, 1}, {1, 5}, {6, 0}, {8, 2}, {2, 9}};
    int from[B] = {0, 0};
    for (int c = 0; c < 5; c++) {
        int most = cuts[c][0] > cuts[c][1] ? cuts[c][0] : cuts[c][1];
        double *piece = ARENA_ARRAY(arena, most * W, double);
        for (int s = 0; s < most; s++)
            for (int b = 0; b < B; b++)
                for (int i = 0; i < 2; i++)
                    piece[(s * B + b) * 2 + i] =
                        s < cuts[c][b] ? x[((from[b] + s) * B + b) * 2 + i] : (double)NAN;
        lengths(t, cuts[c][0], cuts[c][1]);
        call.inputs[0] = piece;
        part = run();
        for (int b = 0; b < B; b++) {
            for (int s = 0; s < cuts[c][b]; s++)
                all_near(part->outputs[0] + (s * B + b) * 2,
                         whole->outputs[0] + ((from[b] + s) * B + b) * 2, 2, 0);
            from[b] += cuts[c][b];
            near(part->state[1].values[b], from[b], 0);
        }
        call.state = part->state;
        call.state_count = part->state_count;
    }
    all_near(part->state[0].values, end->values, 3 * W, 0);
    /* A chunk of length 0 from the reset leaves the boundary values. */
    call.state = NULL;
    lengths(t, 0, 0);
    part = run();
    for (int i = 0; i < 3 * W; i++) near(part->state[0].values[i], 0.3, 0);
    near(part->state[1].values[1], 0, 0);
    call.state = part->state;
    call.state_count = 1;
    refused(INTERP_MISSING, "l1.t");
}

/* y[u] = (3 y[u-1] + x) mod 17, until it meets its target; sequences stop at different steps. */
static void generation(void **state) {
    (void)state;
    enum { B = 3 };
    static const double starts[B] = {1, 2, 4}, targets[B] = {10, 6, 99};
    int u = axis("u"), iu = index_on("u", u);
    g->axes.at[u].generated = true;
    call.batch = B;
    lengths(u, 16, 16, 6);
    int start = input("start", floats(dims(0)), -1, -1, starts);
    int target = input("target", floats(dims(0)), -1, -1, targets);
    int y = variable("y", floats(dims(0)), iu, -1), before = shifted(y, iu, -1, start);
    define(y, bin(OP_MOD, bin(OP_MUL, number(3), before), number(17)));
    vec_push(arena, &g->stops, (GraphStop){.axis = u, .node = bin(OP_EQ, y, target)});
    output("y", y);
    output("next", shifted(y, iu, 1, number(-1))); /* its length is found first */
    At last = {.kind = AT_LAST};
    output("last", read_at(y, -1, 1, last, last));
    const InterpResult *r = run();
    int found[B];
    for (int b = 0, most = 0; b < 2; b++) {
        for (int i = 0; i < B; i++) {
            double v = starts[i];
            for (found[i] = 0; found[i] < call.lengths[u][i];) {
                v = fmod(3 * v, 17);
                if (b == 0) found[i]++;
                if (b == 1) {
                    near(r->outputs[0][found[i] * B + i], v, 0);
                    near(r->outputs[1][found[i] * B + i],
                         found[i] + 1 < r->lengths[u][i] ? fmod(3 * v, 17) : -1, 0);
                    found[i]++;
                }
                if (v == targets[i]) break;
            }
            assert_int_equal(r->lengths[u][i], found[i]);
            if (found[i] > most) most = found[i];
            if (b == 1) {
                near(r->outputs[2][i], v, 0);
                for (int s = found[i]; s < most; s++) near(r->outputs[0][s * B + i], 0, 0);
            }
        }
    }
    assert_true(found[0] != found[1] && found[2] == 6);
    /* A stop that depends on its own length has no meaning. */
    Attr slot = {.slot = u};
    define(y, bin(OP_ADD, before, un(OP_FLOAT, node(OP_LENGTH, &slot, 0))));
    refused(INTERP_CYCLE, "len(u)");
    call.lengths[u] = NULL;
    refused(INTERP_MISSING, "axis u");
    g->axes.at[u].most = 5;
    refused(INTERP_CYCLE, "len(u)");
}

static void batch_losses(void **state) {
    (void)state;
    enum { B = 3, N = 4 };
    static const int len[B] = {4, 1, 2};
    int t = axis("t"), it = index_on("t", t);
    call.batch = B;
    lengths(t, len[0], len[1], len[2]);
    double *x = numbers(N * B, -1, 1, 3), mean = 0, all = 0, one[B];
    for (int b = 0; b < B; b++) {
        double sum = 0;
        for (int s = 0; s < N; s++) {
            if (s < len[b]) sum += x[s * B + b] * x[s * B + b];
            else x[s * B + b] = NAN;
        }
        one[b] = sum / len[b];
        mean += one[b] / B;
        all += sum;
    }
    int square = un(OP_SQUARE, input("x", floats(dims(0)), it, -1, x));
    Attr slot = {.slot = t};
    int n = un(OP_FLOAT, node(OP_LENGTH, &slot, 0));
    loss(over(OP_TMEAN, it, square), -1);
    near(run()->loss, mean, 1e-15);
    loss(over(OP_TSUM, it, square), n);
    near(run()->loss, mean + all / 7, 1e-15);
    /* A penalty reads no input: once, also in the sum over the batch. */
    static const double w[] = {0.5, 0.25};
    loss(un(OP_SUM, param(dims(1, 2), w)), -1);
    g->nodes.at[g->nodes.count - 1]->attr.dim = -1;
    near(run()->loss, mean + all / 7 + 0.75, 1e-15);
    call.reduce_sum = true;
    const InterpResult *r = run();
    near(r->loss, mean * B + all / 7 + 0.75, 1e-15);
    for (int b = 0; b < B; b++) near(r->loss_of[b], one[b] + 0.75, 1e-15);
    loss(over(OP_TSUM, it, square), bin(OP_MUL, n, number(0)));
    refused(INTERP_PER, "divisor");
}

/* Only one mistake at a time; each is named. */
static void refusals(void **state) {
    (void)state;
    int t = axis("t"), it = index_on("t", t);
    call.batch = 2;
    static double w[2] = {1, 2}, good[] = {0, 1, 2, 0, 9, 1}, bad[] = {0, 1, 3, 0, 9, 1},
                  half[] = {0, 0.5, 1, 1, 1, 1}, nan[] = {0, 1, 1, NAN, 1, 1};
    int label = input("y", ints(3), it, -1, good);
    int z = bin(OP_ADD, un(OP_FLOAT, label), un(OP_SUM, param(dims(1, 2), w)));
    g->nodes.at[z - 1]->attr.dim = -1;
    output("z", z);
    refused(INTERP_MISSING, "axis t");
    lengths(t, 2, 3);
    run(); /* the 9 is padding */
    call.inputs[0] = bad;
    refused(INTERP_VALUE, "input y[1] of sequence 0 is 3");
    call.inputs[0] = half;
    refused(INTERP_VALUE, "input y[0] of sequence 1");
    call.inputs[0] = nan;
    refused(INTERP_VALUE, "input y[1] of sequence 1");
    call.inputs[0] = NULL;
    refused(INTERP_MISSING, "input y");
    call.inputs[0] = good;
    call.params[0] = NULL;
    refused(INTERP_MISSING, "parameter p0");
    call.params[0] = w;
    g->axes.at[t].most = 2;
    refused(INTERP_LENGTH, "length 3 in sequence 1");
    g->axes.at[t].most = 0;
    g->axes.at[t].fixed = 3;
    refused(INTERP_LENGTH, "length 2 in sequence 0");
    g->axes.at[t].fixed = 0;
    lengths(t, 2, -1);
    refused(INTERP_LENGTH, "-1");
    lengths(t, 2, 0);
    near(run()->outputs[0][0], 3, 0); /* 0 steps are fine where nothing needs one */
    output("s", over(OP_TSUM, it, z));
    near(run()->outputs[1][1], 0, 0);
    static const Op needy[] = {OP_TMEAN, OP_TMAX, OP_TARGMAX, OP_TSOFTMAX};
    for (int i = 0; i < 4; i++) {
        output("needy", over(needy[i], it, z));
        refused(INTERP_LENGTH, op_info[needy[i]].text + 1); /* as the language calls it */
        g->outputs.count--;
    }
    At first = {.kind = AT_FIRST};
    output("first", read_at(z, number(0), 1, first, first));
    refused(INTERP_LENGTH, "first or last");
    g->outputs.count--;
    lengths(t, 1, 2);
    output("ahead", read_at(z, -1, 1, at_index(it, 1), first));
    refused(INTERP_VALUE, "no boundary");
    call.batch = 0;
    refused(INTERP_LENGTH, "batch");
}

/* An input without time that was not given takes its default. */
static void defaults(void **state) {
    (void)state;
    static const double h0[] = {5, 6};
    int it = index_on("t", axis("t"));
    call.batch = 2;
    lengths(0, 2, 2);
    int in = input("h0", floats(dims(0)), -1, -1, NULL);
    g->inputs.at[0].fallback = bin(OP_ADD, number(1), number(2));
    int h = variable("h", floats(dims(0)), it, -1);
    define(h, bin(OP_MUL, number(2), shifted(h, it, -1, in)));
    output("h", h);
    all_near(run()->outputs[0], (double[]){6, 6, 12, 12}, 4, 0);
    call.inputs[0] = h0;
    all_near(run()->outputs[0], (double[]){10, 12, 20, 24}, 4, 0);
}

/* Values that ask for themselves: at once, through boundaries, through a whole sequence. */
static void cycles(void **state) {
    (void)state;
    int t = axis("t"), it = index_on("t", t);
    lengths(t, 5);
    int a = variable("a", floats(dims(0)), it, -1), b = variable("b", floats(dims(0)), it, -1);
    output("a", a);
    define(a, un(OP_TANH, b));
    define(b, un(OP_TANH, a));
    refused(INTERP_CYCLE, "a[t=0]");
    refused(INTERP_CYCLE, "b[t=0]");
    define(b, shifted(a, it, -1, a));
    refused(INTERP_CYCLE, "a[t=0]");
    int c = shifted(a, it, 1, number(0));
    define(b, bin(OP_ADD, shifted(a, it, -1, number(0)), c));
    refused(INTERP_CYCLE, "a[t=");
    int sum = over(OP_TSUM, it, a);
    Attr place = {.index = it};
    define(b, bin(OP_ADD, sum, node(OP_INDEX, &place, 0)));
    refused(INTERP_CYCLE, "a[t=0]");
    /* A read whose boundary asks for the read itself. */
    int in = input("x", floats(dims(0)), it, -1, numbers(5, 0, 1, 1));
    int r = shifted(in, it, -1, b);
    define(b, r);
    define(a, b);
    refused(INTERP_CYCLE, "b[t=0]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(chunks),   TEST(generation), TEST(batch_losses),
        TEST(refusals), TEST(defaults),   TEST(cycles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
