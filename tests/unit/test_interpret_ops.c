/* The interpreter's operations within one position against values worked out by hand or by another
 * formula, in double and in single precision; draws against the runtime's functions. */
#include "test_interpret.h"

#include "rnn_rt.h"

typedef struct Case {
    Op op;
    double a, b, c, want;
} Case;

static const double inf = INFINITY;

static const Case cases[] = {
    {OP_VAR, 1.5, 0, 0, 1.5},
    {OP_DETACH, -2, 0, 0, -2},
    {OP_NEG, 1.5, 0, 0, -1.5},
    {OP_FLOAT, 3, 0, 0, 3},
    {OP_NOT, 0, 0, 0, 1},
    {OP_NOT, 1, 0, 0, 0},
    {OP_SIGMOID, 0, 0, 0, 0.5},
    {OP_SIGMOID, 2, 0, 0, 0.88079707797788244},
    {OP_SIGMOID, -800, 0, 0, 0},
    {OP_SIGMOID, 800, 0, 0, 1},
    {OP_SIGMOID, NAN, 0, 0, NAN},
    {OP_TANH, 0.5, 0, 0, 0.46211715726000976},
    {OP_TANH, NAN, 0, 0, NAN},
    {OP_RELU, -1, 0, 0, 0},
    {OP_RELU, 2, 0, 0, 2},
    {OP_RELU, NAN, 0, 0, NAN},
    {OP_GELU, 1, 0, 0, 0.84134474606854295},
    {OP_GELU, -1, 0, 0, -0.15865525393145705},
    {OP_SILU, 2, 0, 0, 1.7615941559557649},
    {OP_SOFTPLUS, 0, 0, 0, 0.69314718055994531},
    {OP_SOFTPLUS, 1000, 0, 0, 1000},
    {OP_SOFTPLUS, -1000, 0, 0, 0},
    {OP_SOFTSIGN, -3, 0, 0, -0.75},
    {OP_HARD_SIGMOID, 1.5, 0, 0, 0.75},
    {OP_HARD_SIGMOID, -9, 0, 0, 0},
    {OP_HARD_TANH, 1.5, 0, 0, 1},
    {OP_HARD_TANH, NAN, 0, 0, NAN},
    {OP_EXP, 1, 0, 0, 2.7182818284590451},
    {OP_LOG, 2, 0, 0, 0.69314718055994531},
    {OP_LOG, 0, 0, 0, -inf},
    {OP_SQRT, 2.25, 0, 0, 1.5},
    {OP_RSQRT, 4, 0, 0, 0.5},
    {OP_ABS, -2.5, 0, 0, 2.5},
    {OP_SIGN, -0.1, 0, 0, -1},
    {OP_SIGN, 0, 0, 0, 0},
    {OP_SIGN, NAN, 0, 0, NAN},
    {OP_FLOOR, -1.5, 0, 0, -2},
    {OP_ERF, 1, 0, 0, 0.84270079294971489},
    {OP_SIN, 1, 0, 0, 0.8414709848078965},
    {OP_COS, 1, 0, 0, 0.54030230586813977},
    {OP_SQUARE, -3, 0, 0, 9},
    {OP_LEAKY_RELU, -2, 0.25, 0, -0.5},
    {OP_LEAKY_RELU, 2, 0.25, 0, 2},
    {OP_ELU, -1, 2, 0, -1.2642411176571153},
    {OP_ELU, 3, 2, 0, 3},
    {OP_ADD, 1, 2, 0, 3},
    {OP_SUB, 1, 2, 0, -1},
    {OP_MUL, 3, -2, 0, -6},
    {OP_DIV, 3, 2, 0, 1.5},
    {OP_MOD, -1, 3, 0, 2},
    {OP_MOD, 7.5, 2, 0, 1.5},
    {OP_MOD, 5, -3, 0, -1},
    {OP_POW, 2, 10, 0, 1024},
    {OP_POW, 1, NAN, 0, NAN},
    {OP_POW, NAN, 0, 0, NAN},
    {OP_MIN, 1, 2, 0, 1},
    {OP_MIN, NAN, 2, 0, NAN},
    {OP_MIN, 2, NAN, 0, NAN},
    {OP_MAX, 1, 2, 0, 2},
    {OP_MAX, NAN, 2, 0, NAN},
    {OP_MAX, 2, NAN, 0, NAN},
    {OP_LOGADDEXP, 0, 0, 0, 0.69314718055994531},
    {OP_LOGADDEXP, -inf, -inf, 0, -inf},
    {OP_LOGADDEXP, -inf, 3, 0, 3},
    {OP_LOGADDEXP, inf, inf, 0, inf},
    {OP_LOGADDEXP, NAN, 1, 0, NAN},
    {OP_LOGADDEXP, 1000, 999, 0, 1000.3132616875182},
    {OP_LT, 1, 2, 0, 1},
    {OP_LT, NAN, 2, 0, 0},
    {OP_LE, 2, 2, 0, 1},
    {OP_GT, 2, 1, 0, 1},
    {OP_GE, 1, 2, 0, 0},
    {OP_EQ, 2, 2, 0, 1},
    {OP_EQ, NAN, NAN, 0, 0},
    {OP_NE, NAN, NAN, 0, 1},
    {OP_AND, 1, 1, 0, 1},
    {OP_AND, 1, 0, 0, 0},
    {OP_OR, 0, 1, 0, 1},
    {OP_OR, 0, 0, 0, 0},
    {OP_SELECT, 1, NAN, 3, NAN},
    {OP_SELECT, 0, NAN, 3, 3},
    {OP_CLIP, -5, -1, 1, -1},
    {OP_CLIP, 0.5, -1, 1, 0.5},
    {OP_CLIP, 5, -1, 1, 1},
    {OP_CLIP, NAN, -1, 1, NAN},
};

static int operand(const Case *c, int j) {
    double value = j == 0 ? c->a : j == 1 ? c->b : c->c;
    bool boolean = c->op == OP_NOT || c->op == OP_AND || c->op == OP_OR ||
                   (c->op == OP_SELECT && j == 0);
    return graph_const(g, value, boolean ? DT_BOOL : DT_FLOAT, dims(0), (Span){0});
}

static void elementwise(void **state) {
    (void)state;
    bool covered[OP_COUNT] = {false};
    int count = (int)(sizeof cases / sizeof *cases);
    for (int i = 0; i < count; i++) {
        const Case *c = &cases[i];
        int a = operand(c, 0), b = operand(c, 1), d = operand(c, 2), in = op_info[c->op].least;
        output("y", in == 1 ? un(c->op, a) : in == 2 ? bin(c->op, a, b) : tri(c->op, a, b, d));
        covered[c->op] = true;
    }
    const InterpResult *r = run();
    for (int i = 0; i < count; i++) near(r->outputs[i][0], cases[i].want, 3e-16);
    call.single = true;
    r = run();
    for (int i = 0; i < count; i++) {
        near(r->outputs[i][0], cases[i].want, 1.2e-7);
        near(r->outputs[i][0], (double)(float)r->outputs[i][0], 0); /* a float */
    }
    for (int op = 0; op < OP_COUNT; op++) {
        OpClass c = op_info[op].class_;
        if ((c == CLASS_UNARY || c == CLASS_BINARY || c == CLASS_SELECTION) && !covered[op])
            fail_msg("%s has no case", op_info[op].text);
    }
}

static void broadcasting(void **state) {
    (void)state;
    static const double a[] = {1, 2, 3}, b[] = {10, 20};
    int x = param(dims(2, 1, 3), a), y = param(dims(2, 2, 1), b);
    output("s", bin(OP_ADD, x, y));
    output("p", bin(OP_MUL, number(2), x));
    output("r", typed(OP_BROADCAST, floats(dims(2, 2, 3)), NULL, 1, x));
    const InterpResult *r = run();
    all_near(r->outputs[0], (double[]){11, 12, 13, 21, 22, 23}, 6, 0);
    all_near(r->outputs[1], (double[]){2, 4, 6}, 3, 0);
    all_near(r->outputs[2], (double[]){1, 2, 3, 1, 2, 3}, 6, 0);
}

static void products(void **state) {
    (void)state;
    static const double a[] = {1, 2, 3, 4, 5, 6}, v[] = {1, 0, -1}, w[] = {2, 3},
                        b[] = {1, 2, 3, 4, 5, 6};
    int m = param(dims(2, 2, 3), a), x = param(dims(1, 3), v), y = param(dims(1, 2), w),
        n = param(dims(2, 3, 2), b);
    output("0", bin(OP_MATMUL, m, x));
    output("1", bin(OP_MATMUL, y, m));
    output("2", bin(OP_MATMUL, m, n));
    output("3", un(OP_TRANSPOSE, m));
    output("4", bin(OP_OUTER, y, x));
    output("5", bin(OP_DOT, x, x));
    for (int single = 0; single < 2; single++) {
        call.single = single;
        const InterpResult *r = run();
        all_near(r->outputs[0], (double[]){-2, -2}, 2, 0);
        all_near(r->outputs[1], (double[]){14, 19, 24}, 3, 0);
        all_near(r->outputs[2], (double[]){22, 28, 49, 64}, 4, 0);
        all_near(r->outputs[3], (double[]){1, 4, 2, 5, 3, 6}, 6, 0);
        all_near(r->outputs[4], (double[]){2, 0, -2, 3, 0, -3}, 6, 0);
        near(r->outputs[5][0], 2, 0);
    }
}

/* A product of odd size, and the same in float arithmetic of C. */
static void single_precision(void **state) {
    (void)state;
    enum { M = 7, K = 13 };
    const double *a = numbers(M * K, -1, 1, 1), *x = numbers(K, -1, 1, 2);
    int m = param(dims(2, M, K), a), v = param(dims(1, K), x);
    output("y", bin(OP_MATMUL, m, v));
    output("s", un(OP_SUM, bin(OP_MATMUL, m, v)));
    g->nodes.at[g->nodes.count - 1]->attr.dim = -1;
    const InterpResult *r = run();
    double exact[M];
    for (int i = 0; i < M; i++) {
        exact[i] = 0;
        for (int k = 0; k < K; k++) exact[i] += a[i * K + k] * x[k];
    }
    all_near(r->outputs[0], exact, M, 0);
    call.single = true;
    r = run();
    volatile float total = 0;
    for (int i = 0; i < M; i++) {
        volatile float sum = 0;
        for (int k = 0; k < K; k++) {
            volatile float product = (float)a[i * K + k] * (float)x[k];
            sum = sum + product;
        }
        near(r->outputs[0][i], (double)sum, 0);
        total = total + sum;
    }
    near(r->outputs[1][0], (double)total, 0);
}

static void convolutions(void **state) {
    (void)state;
    static const double w1[] = {1, 2, 3, -1, 0, 1}, x1[] = {1, 2, 3, 4};
    Attr same = {.dims = {1}, .pads = {1}}, stride = {.dims = {2}, .pads = {0}};
    int w = param(dims(3, 2, 1, 3), w1), x = param(dims(2, 1, 4), x1);
    output("same", node(OP_CONV, &same, 2, w, x));
    output("stride", node(OP_CONV, &stride, 2, w, x));
    enum { K = 2, C = 3, R = 5, S = 4, Q = 3, P = 2 };
    const double *w2 = numbers(K * C * Q * P, -1, 1, 3), *x2 = numbers(C * R * S, -1, 1, 4);
    Attr plane = {.dims = {2, 1}, .pads = {1, 0}};
    output("plane",
           node(OP_CONV, &plane, 2, param(dims(4, K, C, Q, P), w2), param(dims(3, C, R, S), x2)));
    static const double image[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    Attr area = {.dims = {2, 2}};
    int y = param(dims(3, 1, 3, 5), image);
    output("max", node(OP_MAXPOOL, &area, 1, y));
    output("avg", node(OP_AVGPOOL, &area, 1, y));
    const InterpResult *r = run();
    all_near(r->outputs[0], (double[]){8, 14, 20, 11, 2, 2, 2, -3}, 8, 0);
    all_near(r->outputs[1], (double[]){14, 2}, 2, 0);
    for (int k = 0, e = 0; k < K; k++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 3; j++, e++) {
                double sum = 0;
                for (int c = 0; c < C; c++)
                    for (int p = 0; p < Q; p++)
                        for (int q = 0; q < P; q++) {
                            int row = 2 * i - 1 + p, column = j + q;
                            if (row < 0 || row >= R) continue;
                            sum +=
                                w2[((k * C + c) * Q + p) * P + q] * x2[(c * R + row) * S + column];
                        }
                near(r->outputs[2][e], sum, 1e-15);
            }
    all_near(r->outputs[3], (double[]){7, 9}, 2, 0);
    all_near(r->outputs[4], (double[]){4, 6}, 2, 0);
}

static void moving(void **state) {
    (void)state;
    static const double a[] = {0, 1, 2, 3, 4, 5};
    int m = param(dims(2, 2, 3), a), one = graph_const(g, 1, DT_INT, dims(0), (Span){0});
    g->nodes.at[one]->type.bound = 2;
    Attr part = {.dims = {0, 1}, .ends = {2, 3}},
         drop = {.dims = {1, 0}, .ends = {2, 3}, .drop = 1};
    output("0", typed(OP_RESHAPE, floats(dims(2, 3, 2)), NULL, 1, m));
    output("1", node(OP_SLICE, &part, 1, m));
    output("2", node(OP_SLICE, &drop, 1, m));
    output("3", bin(OP_GATHER, m, one));
    output("4", tri(OP_CONCAT, number(7), bin(OP_GATHER, m, one), number(8)));
    output("5", typed(OP_ONEHOT, floats(dims(1, 2)), NULL, 1, one));
    output("6", typed(OP_IOTA, floats(dims(1, 3)), NULL, 0));
    output("7", bin(OP_CONCAT, m, m));
    const InterpResult *r = run();
    all_near(r->outputs[0], a, 6, 0);
    all_near(r->outputs[1], (double[]){1, 2, 4, 5}, 4, 0);
    all_near(r->outputs[2], (double[]){3, 4, 5}, 3, 0);
    all_near(r->outputs[3], (double[]){3, 4, 5}, 3, 0);
    all_near(r->outputs[4], (double[]){7, 3, 4, 5, 8}, 5, 0);
    all_near(r->outputs[5], (double[]){0, 1}, 2, 0);
    all_near(r->outputs[6], (double[]){0, 1, 2}, 3, 0);
    all_near(r->outputs[7], (double[]){0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5}, 12, 0);
}

static void reductions(void **state) {
    (void)state;
    static const double a[] = {1, 5, 5, -2, 0, 4}, odd[] = {1, NAN, 3};
    int m = param(dims(2, 2, 3), a), n = param(dims(1, 3), odd);
    Attr all = {.dim = -1}, rows = {.dim = 0}, columns = {.dim = 1};
    output("0", node(OP_SUM, &all, 1, m));
    output("1", node(OP_SUM, &rows, 1, m));
    output("2", node(OP_SUM, &columns, 1, m));
    output("3", node(OP_MEAN, &columns, 1, m));
    output("4", node(OP_RMAX, &all, 1, m));
    output("5", node(OP_RMIN, &rows, 1, m));
    output("6", un(OP_ARGMAX, m));
    output("7", un(OP_SOFTMAX, m));
    output("8", un(OP_LOG_SOFTMAX, m));
    output("9", un(OP_LOGSUMEXP, m));
    output("10", un(OP_LAYERNORM, m));
    output("11", node(OP_RMAX, &all, 1, n));
    for (int single = 0; single < 2; single++) {
        call.single = single;
        double tolerance = single ? 1e-6 : 1e-15;
        const InterpResult *r = run();
        near(r->outputs[0][0], 13, 0);
        all_near(r->outputs[1], (double[]){-1, 5, 9}, 3, 0);
        all_near(r->outputs[2], (double[]){11, 2}, 2, 0);
        all_near(r->outputs[3], (double[]){11 / 3.0, 2 / 3.0}, 2, tolerance);
        near(r->outputs[4][0], 5, 0);
        all_near(r->outputs[5], (double[]){-2, 0, 4}, 3, 0);
        all_near(r->outputs[6], (double[]){1, 2}, 2, 0);
        for (int i = 0; i < 2; i++) {
            double z = 0, mean = 0, variance = 0;
            for (int j = 0; j < 3; j++) {
                z += exp(a[i * 3 + j]);
                mean += a[i * 3 + j] / 3;
            }
            for (int j = 0; j < 3; j++)
                variance += (a[i * 3 + j] - mean) * (a[i * 3 + j] - mean) / 3;
            near(r->outputs[9][i], log(z), tolerance);
            for (int j = 0; j < 3; j++) {
                int e = i * 3 + j;
                near(r->outputs[7][e], exp(a[e]) / z, tolerance);
                near(r->outputs[8][e], a[e] - log(z), tolerance);
                near(r->outputs[10][e], (a[e] - mean) / sqrt(variance + 1e-5), tolerance);
            }
        }
        near(r->outputs[11][0], NAN, 0);
    }
}

static void losses(void **state) {
    (void)state;
    static const double z[] = {1, -2, 0.5}, t[] = {1, 0, 0.25};
    int a = param(dims(1, 3), z), b = param(dims(1, 3), t);
    int y = graph_const(g, 2, DT_INT, dims(0), (Span){0});
    g->nodes.at[y]->type.bound = 3;
    output("0", bin(OP_XENT, a, y));
    output("1", bin(OP_NLL, a, y));
    output("2", bin(OP_MSE, a, b));
    output("3", bin(OP_BCE, a, b));
    const InterpResult *r = run();
    double all = 0, mse = 0, bce = 0;
    for (int i = 0; i < 3; i++) {
        double p = 1 / (1 + exp(-z[i]));
        all += exp(z[i]);
        mse += (z[i] - t[i]) * (z[i] - t[i]) / 3;
        bce -= (t[i] * log(p) + (1 - t[i]) * log(1 - p)) / 3;
    }
    near(r->outputs[0][0], log(all) - 0.5, 1e-15);
    near(r->outputs[1][0], -0.5, 0);
    near(r->outputs[2][0], mse, 1e-15);
    near(r->outputs[3][0], bce, 1e-15);
}

static void draws(void **state) {
    (void)state;
    static const double logits[] = {0.5, -inf, 1.5, 0};
    int t = axis("t"), it = index_on("t", t);
    call.batch = 2;
    call.seed = 99;
    lengths(t, 40, 40);
    At at[] = {at_index(it, 0)}, back[] = {{.kind = AT_MIRROR, .index = it}};
    Attr normal = {.draw = DRAW_NORMAL, .site = name_of(names, "e#0"), .at_count = 1, .at = at};
    Attr uniform = {.draw = DRAW_UNIFORM, .site = name_of(names, "u#0"), .at_count = 1, .at = back};
    Attr mask = {.draw = DRAW_BERNOULLI, .site = name_of(names, "m#1")};
    Attr pick = {.draw = DRAW_CATEGORICAL, .site = name_of(names, "s#0"), .at_count = 1, .at = at};
    output("e", typed(OP_DRAW, floats(dims(1, 3)), &normal, 1, number(2)));
    output("u", typed(OP_DRAW, floats(dims(0)), &uniform, 2, number(-1), number(3)));
    output("m", typed(OP_DRAW, floats(dims(1, 5)), &mask, 1, number(0.4)));
    output("s", typed(OP_DRAW, ints(4), &pick, 1, param(dims(1, 4), logits)));
    const InterpResult *r = run();
    double all = exp(0.5) + exp(1.5) + 1;
    int seen[4] = {0};
    for (int64_t s = 0; s < 40; s++)
        for (int b = 0; b < 2; b++) {
            int64_t other = 39 - s;
            for (int e = 0; e < 3; e++)
                near(r->outputs[0][(s * 2 + b) * 3 + e],
                     2 * rt_normal(99, rt_draw_site("e", 0), (uint64_t)b, &s, 1, (uint64_t)e), 0);
            double u = rt_uniform(99, rt_draw_site("u", 0), (uint64_t)b, &other, 1, 0);
            near(r->outputs[1][s * 2 + b], -1 + 4 * u, 1e-15);
            u = rt_uniform(99, rt_draw_site("s", 0), (uint64_t)b, &s, 1, 0) * all;
            int want = u < exp(0.5) ? 0 : u < exp(0.5) + exp(1.5) ? 2 : 3;
            near(r->outputs[3][s * 2 + b], want, 0);
            seen[want]++;
        }
    assert_true(seen[0] > 0 && seen[1] == 0 && seen[2] > 0 && seen[3] > 0);
    for (int b = 0; b < 2; b++)
        for (uint64_t e = 0; e < 5; e++) {
            float u = rt_uniform24(99, rt_draw_site("m", 1), (uint64_t)b, NULL, 0, e);
            near(r->outputs[2][b * 5 + (int)e], (double)u < 0.4, 0);
        }
}

/* Ints are exact: positions above 2^24 survive single precision. */
static void exact_ints(void **state) {
    (void)state;
    int big = graph_const(g, 16777217, DT_INT, dims(0), (Span){0});
    int one = graph_const(g, 1, DT_INT, dims(0), (Span){0});
    output("i", bin(OP_ADD, big, one));
    output("f", un(OP_FLOAT, big));
    output("c", bin(OP_CONCAT, big, number(0.5)));
    call.single = true;
    const InterpResult *r = run();
    near(r->outputs[0][0], 16777218, 0);
    near(r->outputs[1][0], 16777216, 0);
    near(r->outputs[2][0], 16777216, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(elementwise), TEST(broadcasting), TEST(products), TEST(single_precision),
        TEST(convolutions), TEST(moving), TEST(reductions), TEST(losses), TEST(draws),
        TEST(exact_ints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
