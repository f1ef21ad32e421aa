/* The bound that the interpreter carries: cases worked out by hand, balls against samples from
 * within them, what is fragile, and sums in other orders. */
#include "test_interpret.h"

#include <float.h>

#include "graph/interpret_ball.h"

static const Rounding f32 = {true, 0x1p-24 + 0x1p-53, 0x1p-149, (double)FLT_MAX};
/* Nothing is rounded: what is left is how distances are passed on. */
static const Rounding none = {false, 0, 0, DBL_MAX};

static uint64_t seed = 1;

static double uniform(double low, double high) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(seed >> 11) * 0x1p-53;
}

static void within(double value, double low, double high) {
    if (!(value >= low && value <= high))
        fail_msg("%.17g when it should lie in [%.17g, %.17g]", value, low, high);
}

static InterpResult *run_bound(double roundoff) {
    call.roundoff = roundoff;
    return run();
}

/* ---- By hand ---- */

static void dot_product(void **state) {
    (void)state;
    const double a[3] = {1.5, -2.25, 3.1f}, b[3] = {0.7f, 1.9f, -4};
    double mass = 0;
    for (int i = 0; i < 3; i++) mass += fabs(a[i] * b[i]);
    output("y", node(OP_DOT, NULL, 2, param(dims(1, 3), a), param(dims(1, 3), b)));
    within(run_bound(0x1p-24)->bounds[0][0], 3 * 0x1p-24 * mass, 3.001 * 0x1p-24 * mass);
    within(run_bound(0x1p-53)->bounds[0][0], 6 * 0x1p-53 * mass, 6.001 * 0x1p-53 * mass);
    assert_null(run_bound(0)->bounds);
}

/* What a type cannot hold is rounded on the way in. */
static void representation(void **state) {
    (void)state;
    const double p[1] = {0.1}, x[1] = {1.0 / 3};
    output("p", param(dims(1, 1), p));
    output("x", input("x", floats(dims(1, 1)), -1, -1, x));
    output("c", number(0.7));
    InterpResult *r = run_bound(0x1p-24);
    assert_true(r->bounds[0][0] == fabs(0.1 - (double)0.1f));
    assert_true(r->bounds[1][0] == fabs(1.0 / 3 - (double)(float)(1.0 / 3)));
    assert_true(r->bounds[2][0] == fabs(0.7 - (double)0.7f));
    r = run_bound(0x1p-53);
    for (int i = 0; i < 3; i++) assert_true(r->bounds[i][0] == 0);
}

/* h[t] = 2 h[t-1] + x[t]: what a step rounds is doubled by each later one. */
static void growing(void **state) {
    (void)state;
    enum { T = 30 };
    double x[T], exact = 0, bound = 0;
    float single = 0;
    for (int t = 0; t < T; t++) x[t] = (double)(float)uniform(0.5, 1);
    int a = axis("t"), t = index_on("t", a);
    int in = input("x", floats(dims(0)), t, -1, x);
    int h = variable("h", floats(dims(0)), t, -1);
    define(h, bin(OP_ADD, bin(OP_MUL, number(2), shifted(h, t, -1, number(0))), in));
    output("h", h);
    lengths(a, T);
    InterpResult *r = run_bound(0x1p-24);
    for (int i = 0; i < T; i++) {
        double before = 2 * exact;
        exact = before + x[i];
        single = 2 * single + (float)x[i];
        /* The product rounds, then the sum; both at most like this. */
        bound = 2 * bound + 0x1p-24 * (2 * fabs(before) + fabs(x[i]));
        assert_true(fabs((double)single - r->outputs[0][i]) <= r->bounds[0][i]);
        within(r->bounds[0][i], i > 0 ? 0.4 * bound : 0, 1.01 * bound);
    }
    assert_true(r->bounds[0][T - 1] > 0x1p-24 * exact);
}

/* h[t] = tanh(0.5 h[t-1] + x): the bound settles. */
static void contracting(void **state) {
    (void)state;
    enum { T = 500 };
    double x[T];
    for (int t = 0; t < T; t++) x[t] = (double)(float)uniform(-1, 1);
    int a = axis("t"), t = index_on("t", a);
    int in = input("x", floats(dims(0)), t, -1, x);
    int h = variable("h", floats(dims(0)), t, -1);
    define(h, un(OP_TANH, bin(OP_ADD, bin(OP_MUL, number(0.5), shifted(h, t, -1, number(0))), in)));
    output("h", h);
    lengths(a, T);
    InterpResult *r = run_bound(0x1p-24);
    for (int i = 1; i < T; i++) within(r->bounds[0][i], 0x1p-26, 20 * 0x1p-24);
}

/* (a + b) - a: compiled code may add a and -a first, or lose b. */
static void cancellation(void **state) {
    (void)state;
    const double a[1] = {1e6}, b[1] = {(double)0.1f};
    int p = param(dims(1, 1), a), q = param(dims(1, 1), b);
    output("y", bin(OP_SUB, bin(OP_ADD, p, q), p));
    output("z", bin(OP_SUB, un(OP_TANH, bin(OP_ADD, p, q)), un(OP_TANH, p)));
    InterpResult *r = run_bound(0x1p-24);
    float sum = (float)a[0] + (float)b[0];
    assert_true(fabs((double)(sum - (float)a[0]) - r->outputs[0][0]) <= r->bounds[0][0]);
    within(r->bounds[0][0], 0x1p-24 * 3e6, 2.1 * 0x1p-24 * 3e6);
}

/* A sum of sums is bounded in every order of its terms. */
static void reordered(void **state) {
    (void)state;
    enum { N = 7 };
    for (int round = 0; round < 200; round++) {
        double x[N];
        for (int i = 0; i < N; i++) x[i] = (double)(float)(uniform(-1, 1) * exp(uniform(-9, 9)));
        end_test(state);
        begin_test(state);
        int s = param(dims(0), &x[0]);
        for (int i = 1; i < N; i++)
            s = i % 3 == 2 ? bin(OP_SUB, s, un(OP_NEG, param(dims(0), &x[i])))
                           : bin(OP_ADD, s, param(dims(0), &x[i]));
        output("s", un(OP_VAR, s));
        InterpResult *r = run_bound(0x1p-24);
        double most = 0;
        for (int k = 0; k < 400; k++) {
            float sum = 0;
            double rest[N];
            memcpy(rest, x, sizeof x);
            for (int i = N; i > 0; i--) {
                int pick = (int)uniform(0, i);
                sum += (float)rest[pick];
                rest[pick] = rest[i - 1];
            }
            most = fmax(most, fabs((double)sum - r->outputs[0][0]));
        }
        within(most, 0, r->bounds[0][0]);
    }
}

/* Counters, halves and their sums and products are exact, so comparisons of them are not fragile.
 */
static void exact(void **state) {
    (void)state;
    double x[9] = {0};
    int a = axis("t"), t = index_on("t", a);
    int in = input("x", floats(dims(0)), t, -1, x);
    int h = variable("h", floats(dims(0)), t, -1);
    define(h, bin(OP_ADD, bin(OP_ADD, shifted(h, t, -1, number(0)), number(0.5)), in));
    output("h", h);
    output("c", bin(OP_GE, h, number(2)));
    output("m", bin(OP_MOD, h, number(2)));
    output("f", un(OP_FLOOR, bin(OP_MUL, h, h)));
    output("d", bin(OP_EQ, bin(OP_DIV, h, number(4)), number(0.5)));
    lengths(a, 9);
    InterpResult *r = run_bound(0x1p-24);
    if (r->fragile) fail_msg("%s", r->fragile_message);
    for (int o = 0; o < 5; o++)
        for (int i = 0; i < 9; i++) assert_true(r->bounds[o][i] == 0);
}

/* The mean over the batch, and a quotient of sums. */
static void losses(void **state) {
    (void)state;
    call.batch = 3;
    const double x[3] = {1.25f, -2.5f, 0.1f};
    int in = input("x", floats(dims(0)), -1, -1, x);
    loss(un(OP_TANH, in), -1);
    loss(un(OP_EXP, in), un(OP_EXP, un(OP_NEG, in)));
    InterpResult *r = run_bound(0x1p-24);
    float mean = 0, over = 0, under = 0;
    for (int b = 0; b < 3; b++) {
        mean += tanhf((float)x[b]);
        over += expf((float)x[b]);
        under += expf(-(float)x[b]);
        within(r->loss_bounds[b], 0x1p-25 * fabs(tanh(x[b])), 8 * 0x1p-24);
    }
    double got = (double)(mean / 3 + over / under);
    assert_true(fabs(got - r->loss) <= r->loss_bound);
    within(r->loss_bound, 0x1p-24 * fabs(r->loss), 40 * 0x1p-24);
}

/* The bounds of a state go into the next chunk. */
static void chunks(void **state) {
    (void)state;
    double x[6] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6};
    vec_push(arena, &g->carries, (GraphCarry){.name = name_of(names, ""), .axis = 0});
    int a = axis("t"), t = index_on("t", a);
    int in = input("x", floats(dims(0)), t, -1, x);
    int h = variable("h", floats(dims(0)), t, -1);
    At at = at_index(t, -1);
    Attr attr = {.at_count = 1, .at = &at, .carry = 1};
    define(h, bin(OP_ADD, bin(OP_MUL, number(1.7), node(OP_READ, &attr, 2, h, number(0))), in));
    output("h", h);
    lengths(a, 6);
    InterpResult *whole = run_bound(0x1p-24);
    lengths(a, 4);
    call.want_state = true;
    InterpResult *first = run_bound(0x1p-24);
    call.state = first->state;
    call.state_count = first->state_count;
    call.inputs[0] = x + 4;
    lengths(a, 2);
    InterpResult *second = run_bound(0x1p-24);
    for (int i = 0; i < 2; i++) {
        assert_true(second->outputs[0][i] == whole->outputs[0][4 + i]);
        within(second->bounds[0][i] / whole->bounds[0][4 + i], 0.99, 1.01);
    }
}

/* ---- Balls against samples ---- */

/* The exact result, by long double where double cancels. */
static double formula(Op op, double a, double b) {
    switch ((int)op) {
    case OP_SIGMOID: return a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a));
    case OP_TANH: return tanh(a);
    case OP_RELU: return a < 0 ? 0 : a;
    case OP_GELU: return a / 2 * erfc(-a / sqrt(2.0));
    case OP_SILU: return a / (1 + exp(-a));
    case OP_SOFTPLUS: return log1p(exp(a));
    case OP_SOFTSIGN: return a / (1 + fabs(a));
    case OP_HARD_SIGMOID: return fmin(fmax(a / 6 + 0.5, 0), 1);
    case OP_HARD_TANH: return fmin(fmax(a, -1), 1);
    case OP_EXP: return exp(a);
    case OP_LOG: return log(a);
    case OP_SQRT: return sqrt(a);
    case OP_RSQRT: return 1 / sqrt(a);
    case OP_ABS: return fabs(a);
    case OP_ERF: return erf(a);
    case OP_SIN: return sin(a);
    case OP_COS: return cos(a);
    case OP_SQUARE: return a * a;
    case OP_NEG: return -a;
    case OP_LEAKY_RELU: return a < 0 ? b * a : a;
    case OP_ELU: return a < 0 ? b * expm1(a) : a;
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    case OP_DIV: return a / b;
    case OP_MOD: return a - b * floor(a / b);
    case OP_POW: return pow(a, b);
    case OP_MIN: return fmin(a, b);
    case OP_MAX: return fmax(a, b);
    case OP_LOGADDEXP: return fmax(a, b) + log1p(exp(-fabs(a - b)));
    }
    return 0;
}

static const Op continuous[] = {
    OP_SIGMOID,  OP_TANH,         OP_RELU,      OP_GELU, OP_SILU, OP_SOFTPLUS,
    OP_SOFTSIGN, OP_HARD_SIGMOID, OP_HARD_TANH, OP_EXP,  OP_LOG,  OP_SQRT,
    OP_RSQRT,    OP_ABS,          OP_ERF,       OP_SIN,  OP_COS,  OP_SQUARE,
    OP_NEG,      OP_LEAKY_RELU,   OP_ELU,       OP_ADD,  OP_SUB,  OP_MUL,
    OP_DIV,      OP_MOD,          OP_POW,       OP_MIN,  OP_MAX,  OP_LOGADDEXP};

/* No number within the operands' balls leaves the ball of the result; and for narrow balls the
 * distance is no more than a few times what was found. */
static void samples(void **state) {
    (void)state;
    for (size_t o = 0; o < sizeof continuous / sizeof *continuous; o++) {
        Op op = continuous[o];
        double low = op_info[op].low - 1, high = op_info[op].high + 1, worst = 0;
        bool two = op_info[op].class_ == CLASS_BINARY;
        int bounded = 0;
        for (int round = 0; round < 4000; round++) {
            double width = exp(uniform(-14, 1));
            Ball a = {uniform(low, high), width * uniform(0, 1)};
            Ball b = {uniform(low, high), width * uniform(0, 1)};
            bool jumps = false;
            double v = formula(op, a.v, b.v), most = 0;
            Ball y = two ? ball_binary(&none, op, a, b, &jumps) : ball_unary(&none, op, a, &jumps);
            if (isinf(y.e) || jumps) continue;
            bounded++;
            for (int k = 0; k < 60; k++) {
                double p = k < 9 ? k % 3 - 1 : uniform(-1, 1);
                double q = k < 9 ? k / 3 - 1 : uniform(-1, 1);
                double w = formula(op, a.v + p * a.e, b.v + q * b.e);
                if (isnan(v) && isnan(w)) continue;
                most = fmax(most, fabs(w - v));
                if (!(fabs(w - v) <= y.e * 1.0000001 + 1e-13 * (1 + fabs(v))))
                    fail_msg("%s(%g±%g, %g±%g) is %.9g, %.9g within, bound %g", op_info[op].text,
                             a.v, a.e, b.v, b.e, v, w, y.e);
            }
            if (width < 1e-4 && fabs(a.v) > 0.01) worst = fmax(worst, y.e / most);
        }
        if (bounded < 1500) fail_msg("%s: %d of 4000 bounded", op_info[op].text, bounded);
        /* Products of functions of one operand (gelu, silu) add up what has two signs. */
        bool chain = op == OP_GELU || op == OP_SILU || op == OP_SIN || op == OP_COS;
        if (!chain && worst > 4)
            fail_msg("%s: bound is %.3g of what was found", op_info[op].text, worst);
    }
}

/* Composites as compiled code makes them, in single precision. */
static float composite(Op op, float a) {
    switch ((int)op) {
    case OP_SIGMOID: return 1 / (1 + expf(-a));
    case OP_GELU: return a * 0.5f * (1 + erff(a * 0.70710678118654752440f));
    case OP_SILU: return a * (1 / (1 + expf(-a)));
    case OP_SOFTPLUS: return fmaxf(a, 0) + log1pf(expf(-fabsf(a)));
    case OP_SOFTSIGN: return a / (1 + fabsf(a));
    case OP_HARD_SIGMOID: return fminf(fmaxf(a / 6 + 0.5f, 0), 1);
    case OP_EXP: return expf(a);
    case OP_LOG: return logf(a);
    case OP_SQRT: return sqrtf(a);
    case OP_RSQRT: return 1 / sqrtf(a);
    case OP_TANH: return tanhf(a);
    case OP_ERF: return erff(a);
    case OP_SIN: return sinf(a);
    case OP_COS: return cosf(a);
    case OP_SQUARE: return a * a;
    }
    return (float)formula(op, (double)a, 0);
}

static void roundings(void **state) {
    (void)state;
    for (size_t o = 0; o < sizeof continuous / sizeof *continuous; o++) {
        Op op = continuous[o];
        double worst = 0;
        if (op_info[op].class_ == CLASS_BINARY) continue;
        for (int round = 0; round < 20000; round++) {
            double range = exp(uniform(0, 5)), x = (double)(float)uniform(-range, range);
            bool jumps = false;
            if (op == OP_LOG || op == OP_SQRT || op == OP_RSQRT) x = fabs(x);
            Ball y = ball_unary(&f32, op, (Ball){x, 0}, &jumps);
            double v = formula(op, x, 0), got = (double)composite(op, (float)x);
            if (isinf(y.e)) continue;
            if (!(fabs(got - v) <= y.e))
                fail_msg("%s(%.9g) is %.9g, should be %.9g, bound %g", op_info[op].text, x, got, v,
                         y.e);
            if (y.e > 0) worst = fmax(worst, fabs(got - v) / y.e);
        }
        bool rounds = op != OP_ABS && op != OP_NEG && op != OP_RELU && op != OP_HARD_TANH;
        if (rounds && worst < 0.1) fail_msg("%s: %.3g of the bound used", op_info[op].text, worst);
    }
}

/* Subnormal results, and those that single precision cannot hold. */
static void ends(void **state) {
    (void)state;
    const double x[4] = {(double)1e-30f, 90, -100, -1e-9};
    int p = param(dims(1, 4), x);
    output("square", un(OP_SQUARE, p));
    output("exp", un(OP_EXP, p));
    output("sqrt", un(OP_SQRT, un(OP_ABS, p)));
    InterpResult *r = run_bound(0x1p-24);
    within(r->bounds[0][0], 1e-60, 0x1p-147); /* underflows to 0 */
    assert_true(isinf(r->bounds[1][1]));      /* 1.2e39 */
    within(r->bounds[1][2], 0x1p-149, 0x1p-146);
    assert_true(r->fragile && strstr(r->fragile_message, "exp"));
    r = run_bound(0x1p-53);
    assert_false(r->fragile);
    within(r->bounds[1][1], 0x1p-54 * exp(90.0), 0x1p-50 * exp(90.0));
}

/* ---- What is fragile ---- */

static void expect_fragile(int value, bool fragile, const char *what) {
    InterpResult *r;
    g->outputs.count = 0;
    output("y", value);
    r = run_bound(0x1p-24);
    if (r->fragile != fragile)
        fail_msg("%s is%s fragile%s%s", what, fragile ? " not" : "", fragile ? "" : ": ",
                 fragile ? "" : r->fragile_message);
}

static void jumps(void **state) {
    (void)state;
    /* Near 1 and near 0, but not exact: a tenth is none in binary. */
    const double one[1] = {0.1}, zeros[3] = {0}, ties[3] = {1, 1, 0};
    int tenth = param(dims(0), one), z = param(dims(1, 3), zeros), t = param(dims(1, 3), ties);
    int near_one = bin(OP_MUL, tenth, number(10)), near_zero = bin(OP_SUB, near_one, number(1));
    int far = bin(OP_MUL, tenth, number(13));
    const Op compares[] = {OP_LT, OP_LE, OP_GT, OP_GE, OP_EQ, OP_NE};
    for (int i = 0; i < 6; i++) {
        expect_fragile(bin(compares[i], near_one, number(1)), true, op_info[compares[i]].text);
        expect_fragile(bin(compares[i], far, number(1)), false, op_info[compares[i]].text);
    }
    expect_fragile(un(OP_FLOOR, near_one), true, "floor");
    expect_fragile(un(OP_FLOOR, far), false, "floor");
    expect_fragile(un(OP_SIGN, near_zero), true, "sign");
    expect_fragile(un(OP_SIGN, far), false, "sign");
    expect_fragile(bin(OP_MOD, near_one, number(0.5)), true, "mod");
    expect_fragile(bin(OP_MOD, far, number(0.5)), false, "mod");
    expect_fragile(un(OP_RELU, near_zero), false, "relu");
    expect_fragile(un(OP_ABS, near_zero), false, "abs");
    expect_fragile(bin(OP_DIV, near_one, number(0)), true, "division by a zero, whose sign is open");
    expect_fragile(bin(OP_DIV, number(1), near_zero), true, "1/0");
    expect_fragile(un(OP_LOG, near_zero), true, "log 0");
    expect_fragile(un(OP_SQRT, near_zero), true, "sqrt 0");
    expect_fragile(bin(OP_DIV, number(1), far), false, "a quotient");
    /* 2^24 + 1 is none in single precision, but among integers it is. */
    int big = graph_const(g, 0x1p24 + 1, DT_INT, dims(0), (Span){0});
    expect_fragile(bin(OP_GT, big, number(0x1p24)), true, "a large integer beside a float");
    expect_fragile(bin(OP_GT, big, graph_const(g, 0x1p24, DT_INT, dims(0), (Span){0})), false,
                   "large integers");
    expect_fragile(un(OP_ARGMAX, z), false, "argmax of zeros");
    expect_fragile(un(OP_ARGMAX, t), false, "argmax of ones");
    expect_fragile(un(OP_ARGMAX, bin(OP_MUL, t, tenth)), true, "argmax of a tie");
    expect_fragile(un(OP_ARGMAX, bin(OP_ADD, t, param(dims(1, 3), (const double[]){0, 0.1, 0}))),
                   false, "a clear argmax");
}

static void over_positions(void **state) {
    (void)state;
    const double x[5] = {0.1, 0.3, 0.7, 0.2, 0.5}, y[5] = {0.1, 0.7, 0.2, 0.7, 0.1};
    int a = axis("t"), t = index_on("t", a);
    lengths(a, 5);
    int p = input("x", floats(dims(0)), t, -1, x), q = input("y", floats(dims(0)), t, -1, y);
    expect_fragile(over(OP_TARGMAX, t, p), false, "a clear targmax");
    expect_fragile(over(OP_TARGMAX, t, q), true, "a tie over positions");
    expect_fragile(over(OP_TARGMAX, t, un(OP_FLOOR, p)), false, "a tie of zeros");
    /* The message has the node and where it is. */
    int c = bin(OP_GT, p, number(0.7));
    g->nodes.at[c]->name = name_of(names, "stop");
    expect_fragile(c, true, "x > 0.7");
    assert_non_null(strstr(run()->fragile_message, "stop[t=2]"));
    expect_fragile(over(OP_TSUM, t, p), false, "tsum");
    within(run()->bounds[0][0], 0x1p-24, 12 * 0x1p-24);
    expect_fragile(over(OP_TMAX, t, q), false, "tmax");
    within(run()->bounds[0][0], 1e-9, 0x1p-24);
    expect_fragile(over(OP_TLOGSUMEXP, t, q), false, "tlogsumexp");
    within(run()->bounds[0][0], 0x1p-24, 20 * 0x1p-24);
    expect_fragile(over(OP_TSOFTMAX, t, q), false, "tsoftmax");
    within(run()->bounds[0][1], 0x1p-27, 16 * 0x1p-24);
}

int main(void) {
    if (setjmp(oom)) return 1;
    const struct CMUnitTest tests[] = {TEST(dot_product), TEST(representation), TEST(growing),
                                       TEST(contracting), TEST(cancellation),   TEST(reordered),
                                       TEST(exact),       TEST(losses),         TEST(chunks),
                                       TEST(samples),     TEST(roundings),      TEST(ends),
                                       TEST(jumps),       TEST(over_positions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
