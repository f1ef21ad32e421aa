/* The interpreter over time: recurrences, reductions, pointers, clocks, slower axes, ctc; each
 * against loops, recursion or enumeration written out here. */
#include "test_interpret.h"

enum { I = 3, H = 4 };

typedef struct Lstm {
    const double *w[4], *u[4], *b[4];
} Lstm;

static Lstm lstm_weights(uint64_t seed) {
    Lstm l;
    for (int k = 0; k < 4; k++) {
        l.w[k] = numbers(H * I, -1, 1, seed + (uint64_t)k);
        l.u[k] = numbers(H * H, -1, 1, seed + 10 + (uint64_t)k);
        l.b[k] = numbers(H, -1, 1, seed + 20 + (uint64_t)k);
    }
    return l;
}

/* The equations of an LSTM over `it`, looking back (-1) or ahead (+1). Returns h. */
static int lstm(const Lstm *l, int x, int it, int64_t offset) {
    int h = variable("h", floats(dims(1, H)), it, -1),
        c = variable("c", floats(dims(1, H)), it, -1);
    int before = shifted(h, it, offset, number(0)), gate[4];
    for (int k = 0; k < 4; k++) {
        int wx = bin(OP_MATMUL, param(dims(2, H, I), l->w[k]), x);
        int uh = bin(OP_MATMUL, param(dims(2, H, H), l->u[k]), before);
        int sum = bin(OP_ADD, bin(OP_ADD, wx, uh), param(dims(1, H), l->b[k]));
        gate[k] = un(k == 3 ? OP_TANH : OP_SIGMOID, sum);
    }
    int kept = bin(OP_MUL, gate[1], shifted(c, it, offset, number(0)));
    define(c, bin(OP_ADD, kept, bin(OP_MUL, gate[0], gate[3])));
    define(h, bin(OP_MUL, gate[2], un(OP_TANH, c)));
    return h;
}

/* The same as a loop; x and h are [length][stride]. */
static void lstm_loop(const Lstm *l, const double *x, double *h, int length, int x_stride,
                      int h_stride, bool backward) {
    double hs[H] = {0}, cs[H] = {0};
    for (int step = 0; step < length; step++) {
        int t = backward ? length - 1 - step : step;
        double gate[4][H], next[H];
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < H; i++) {
                double wx = 0, uh = 0;
                for (int j = 0; j < I; j++) wx += l->w[k][i * I + j] * x[t * x_stride + j];
                for (int j = 0; j < H; j++) uh += l->u[k][i * H + j] * hs[j];
                double sum = wx + uh + l->b[k][i];
                gate[k][i] = k == 3 ? tanh(sum) : 1 / (1 + exp(-sum));
            }
        for (int i = 0; i < H; i++) {
            cs[i] = gate[1][i] * cs[i] + gate[0][i] * gate[3][i];
            next[i] = gate[2][i] * tanh(cs[i]);
        }
        for (int i = 0; i < H; i++) h[t * h_stride + i] = hs[i] = next[i];
    }
}

/* Both directions, ragged batch, padding that holds NaN; outputs are 0 beyond each length. */
static void bidirectional(void **state) {
    (void)state;
    enum { T = 9, B = 3 };
    static const int len[B] = {9, 1, 5};
    Lstm f = lstm_weights(1), r = lstm_weights(100);
    int t = axis("t"), it = index_on("t", t);
    call.batch = B;
    lengths(t, len[0], len[1], len[2]);
    double *x = numbers(T * B * I, -1, 1, 7);
    for (int s = 0; s < T; s++)
        for (int b = 0; b < B; b++)
            for (int i = 0; i < I && s >= len[b]; i++) x[(s * B + b) * I + i] = NAN;
    int in = input("x", floats(dims(1, I)), it, -1, x);
    output("y", bin(OP_CONCAT, lstm(&f, in, it, -1), lstm(&r, in, it, 1)));
    double want[T * B * 2 * H] = {0};
    for (int b = 0; b < B; b++) {
        lstm_loop(&f, x + b * I, want + b * 2 * H, len[b], B * I, B * 2 * H, false);
        lstm_loop(&r, x + b * I, want + b * 2 * H + H, len[b], B * I, B * 2 * H, true);
    }
    all_near(run()->outputs[0], want, T * B * 2 * H, 1e-14);
    call.single = true;
    all_near(run()->outputs[0], want, T * B * 2 * H, 1e-5);
}

/* Two layers, the second one backward, over many steps: deep stacks, and memory well below a
 * gigabyte. */
static void long_sequence(void **state) {
    (void)state;
    enum { T = 30000 };
    Lstm f = lstm_weights(1), r = lstm_weights(100);
    int t = axis("t"), it = index_on("t", t);
    lengths(t, T);
    double *x = numbers(T * I, -1, 1, 7), *a = ARENA_ARRAY(arena, T * H, double),
           *b = ARENA_ARRAY(arena, T * H, double);
    int h = lstm(&f, input("x", floats(dims(1, I)), it, -1, x), it, -1);
    Attr front = {.dims = {0}, .ends = {I}};
    output("y", lstm(&r, node(OP_SLICE, &front, 1, h), it, 1));
    lstm_loop(&f, x, a, T, I, H, false);
    lstm_loop(&r, a, b, T, H, H, true);
    call.memory_limit = 200u << 20;
    all_near(run()->outputs[0], b, T * H, 1e-12);
    call.memory_limit = 1u << 20;
    refused(INTERP_MEMORY, "memory");
}

static void lags_and_boundaries(void **state) {
    (void)state;
    enum { T = 7 };
    int t = axis("t"), it = index_on("t", t);
    lengths(t, T);
    double *x = numbers(T, -1, 1, 3);
    int in = input("x", floats(dims(0)), it, -1, x), v = variable("v", floats(dims(0)), it, -1);
    int back = shifted(v, it, -3, number(0.5)), ahead = shifted(in, it, 2, in);
    define(v, bin(OP_ADD, bin(OP_MUL, number(0.5), back), ahead));
    output("v", v);
    At first = {.kind = AT_FIRST}, last = {.kind = AT_LAST};
    output("first", read_at(v, -1, 1, first, first));
    output("last", read_at(v, -1, 1, last, last));
    Attr position = {.index = it};
    output("t", node(OP_INDEX, &position, 0));
    position.mirrored = true;
    output("r", node(OP_INDEX, &position, 0));
    Attr slot = {.slot = t};
    output("len", node(OP_LENGTH, &slot, 0));
    const InterpResult *r = run();
    double want[T];
    for (int s = 0; s < T; s++) {
        want[s] = 0.5 * (s >= 3 ? want[s - 3] : 0.5) + (s + 2 < T ? x[s + 2] : x[s]);
        near(r->outputs[3][s], s, 0);
        near(r->outputs[4][s], T - 1 - s, 0);
    }
    all_near(r->outputs[0], want, T, 1e-15);
    near(r->outputs[1][0], want[0], 1e-15);
    near(r->outputs[2][0], want[T - 1], 1e-15);
    near(r->outputs[5][0], T, 0);
}

/* Reductions over every kind of range, against loops. */
static void ranges(void **state) {
    (void)state;
    enum { T = 6, KINDS = 7, OPS = 5 };
    static const Op ops[OPS] = {OP_TSUM, OP_TMEAN, OP_TMAX, OP_TLOGSUMEXP, OP_TARGMAX};
    int t = axis("t"), it = index_on("t", t), is = index_on("s", t);
    lengths(t, T);
    double *x = numbers(T * 2, -2, 2, 5);
    int in = input("x", floats(dims(1, 2)), is, -1, x);
    Bound none = {0}, first = {BOUND_FIRST, 0, 1}, last = {BOUND_LAST, 0, -2};
    Bound here = {BOUND_INDEX, it, 0}, next = {BOUND_INDEX, it, 1}, back = {BOUND_INDEX, it, -2},
          far = {BOUND_INDEX, it, 3};
    const Bound kinds[KINDS][2] = {{none, none}, {none, here}, {none, next},
                                   {next, none}, {back, far}, {first, last}, {last, none}};
    for (int k = 0; k < KINDS; k++)
        for (int o = 0; o < OPS; o++) {
            Attr attr = {.index = is, .low = kinds[k][0], .high = kinds[k][1]};
            int y = node(ops[o], &attr, 1, in);
            /* On t in any case, so that all outputs are alike. */
            Attr one = {.index = it};
            int zero = bin(OP_MUL, number(0), un(OP_FLOAT, node(OP_INDEX, &one, 0)));
            output("y", bin(OP_ADD, y, zero));
        }
    const InterpResult *r = run();
    for (int k = 0; k < KINDS; k++)
        for (int s = 0; s < T; s++) {
            int lows[KINDS] = {0, 0, 0, s + 1, s - 2, 1, T - 2};
            int highs[KINDS] = {T, s, s + 1, T, s + 3, T - 2, T};
            for (int e = 0; e < 2; e++) {
                double sum = 0, top = -INFINITY, all = 0, where = -1;
                int n = 0;
                for (int p = 0; p < T; p++) {
                    if (p < lows[k] || p >= highs[k]) continue;
                    double v = x[p * 2 + e];
                    sum += v;
                    all += exp(v);
                    n++;
                    if (v > top) {
                        top = v;
                        where = p;
                    }
                }
                double want[OPS] = {sum, n ? sum / n : 0, top, log(all), where};
                for (int o = 0; o < OPS; o++)
                    near(r->outputs[k * OPS + o][s * 2 + e], want[o], 1e-14);
            }
        }
}

/* Windowed causal attention; the weights outside the window are 0. */
static void attention(void **state) {
    (void)state;
    enum { T = 11, W = 3 };
    int t = axis("t"), it = index_on("t", t), is = index_on("s", t);
    lengths(t, T);
    double *x = numbers(T * I, -1, 1, 5), *y = ARENA_ARRAY(arena, T * I, double);
    int q = input("q", floats(dims(1, I)), it, -1, x);
    int k = shifted(q, is, 0, number(0)); /* the same stream at s */
    Attr window = {.index = is, .low = {BOUND_INDEX, it, 1 - W}, .high = {BOUND_INDEX, it, 1}};
    int a = node(OP_TSOFTMAX, &window, 1, bin(OP_DOT, q, k));
    output("a", a);
    output("y", node(OP_TSUM, &window, 1, bin(OP_MUL, a, k)));
    const InterpResult *r = run();
    for (int p = 0; p < T; p++) {
        double all = 0, weight[T] = {0};
        for (int s = p - W + 1 < 0 ? 0 : p - W + 1; s <= p; s++) {
            double dot = 0;
            for (int i = 0; i < I; i++) dot += x[p * I + i] * x[s * I + i];
            weight[s] = exp(dot);
            all += weight[s];
        }
        for (int s = 0; s < T; s++) {
            near(r->outputs[0][p * T + s], weight[s] / all, 1e-15);
            for (int i = 0; i < I; i++) y[p * I + i] += weight[s] / all * x[s * I + i];
        }
    }
    all_near(r->outputs[1], y, T * I, 1e-14);
}

/* A softmax over u at many t, asked for column by column: normalisers are evicted and found again.
 */
static void many_rows(void **state) {
    (void)state;
    enum { ROWS = 700, U = 3 };
    int t = axis("t"), u = axis("u"), it = index_on("t", t), iu = index_on("u", u);
    lengths(t, ROWS);
    lengths(u, U);
    double *x = numbers(ROWS * U, -1, 1, 5);
    int a = over(OP_TSOFTMAX, iu, input("x", floats(dims(0)), it, iu, x));
    output("column", over(OP_TSUM, it, bin(OP_MUL, a, a)));
    const InterpResult *r = run();
    for (int k = 0; k < U; k++) {
        double sum = 0;
        for (int p = 0; p < ROWS; p++) {
            double all = 0;
            for (int j = 0; j < U; j++) all += exp(x[p * U + j]);
            sum += exp(x[p * U + k]) * exp(x[p * U + k]) / (all * all);
        }
        near(r->outputs[0][k], sum, 1e-14);
    }
}

/* Sum over all monotone paths of a transducer's lattice. */
static double paths(const double *b, const double *e, int t, int u, int width) {
    if (t == 0 && u == 0) return 1;
    double sum = 0;
    if (t > 0) sum += paths(b, e, t - 1, u, width) * exp(b[(t - 1) * width + u]);
    if (u > 0) sum += paths(b, e, t, u - 1, width) * exp(e[t * width + u - 1]);
    return sum;
}

static void two_axes(void **state) {
    (void)state;
    enum { T = 5, U = 4 };
    int t = axis("t"), u = axis("u"), it = index_on("t", t), iu = index_on("u", u);
    lengths(t, T);
    lengths(u, U);
    double *b = numbers(T * U, -2, 0, 1), *e = numbers(T * U, -2, 0, 2);
    int blank = input("b", floats(dims(0)), it, iu, b),
        emit = input("e", floats(dims(0)), it, iu, e);
    int a = variable("a", floats(dims(0)), it, iu), least = number(-INFINITY);
    At up[2] = {at_index(it, -1), at_index(iu, 0)}, left[2] = {at_index(it, 0), at_index(iu, -1)};
    int from_up =
        bin(OP_ADD, read_at(a, least, 2, up[0], up[1]), read_at(blank, least, 2, up[0], up[1]));
    int from_left = bin(OP_ADD, read_at(a, least, 2, left[0], left[1]),
                        read_at(emit, least, 2, left[0], left[1]));
    Attr pt = {.index = it}, pu = {.index = iu};
    int zero = graph_const(g, 0, DT_INT, dims(0), (Span){0});
    int corner = bin(OP_AND, bin(OP_EQ, node(OP_INDEX, &pt, 0), zero),
                     bin(OP_EQ, node(OP_INDEX, &pu, 0), zero));
    define(a, tri(OP_SELECT, corner, number(0), bin(OP_LOGADDEXP, from_up, from_left)));
    output("a", a);
    const InterpResult *r = run();
    for (int p = 0; p < T; p++)
        for (int s = 0; s < U; s++)
            near(r->outputs[0][p * U + s], log(paths(b, e, p, s, U)), 1e-14);
}

static double tree(const double *x, const double *l, const double *r, int n) {
    if (n < 0) return 0.25;
    return tanh(x[n] + 0.5 * tree(x, l, r, (int)l[n]) - 0.75 * tree(x, l, r, (int)r[n]));
}

static void pointers(void **state) {
    (void)state;
    enum { N = 7 };
    static const double left[N] = {-1, -1, 0, -1, 2, 3, 5}, right[N] = {-1, 0, 1, 2, -1, 4, 4};
    int n = axis("n"), in = index_on("n", n);
    lengths(n, N);
    double *x = numbers(N, -1, 1, 2);
    Type past = {.dtype = DT_INT, .pointer = PTR_PAST, .axis = n};
    int l = input("l", past, in, -1, left), r = input("r", past, in, -1, right);
    int value = input("x", floats(dims(0)), in, -1, x), h = variable("h", floats(dims(0)), in, -1);
    At at = {.kind = AT_POINTER, .operand = 2};
    Attr attr = {.at_count = 1, .at = &at};
    int hl = node(OP_READ, &attr, 3, h, number(0.25), l),
        hr = node(OP_READ, &attr, 3, h, number(0.25), r);
    int sum = bin(OP_SUB, bin(OP_MUL, number(0.5), hl), bin(OP_MUL, number(0.75), hr));
    define(h, un(OP_TANH, bin(OP_ADD, value, sum)));
    output("h", h);
    int best = over(OP_TARGMAX, in, h);
    output("max", node(OP_READ, &attr, 3, h, -1, best));
    const InterpResult *result = run();
    double most = -2;
    for (int i = 0; i < N; i++) {
        near(result->outputs[0][i], tree(x, left, right, i), 1e-15);
        most = fmax(most, tree(x, left, right, i));
    }
    near(result->outputs[1][0], most, 1e-15);
    static const double loop[N] = {-1, -1, 0, 3, 2, 3, 5}, wild[N] = {-1, -2, 0, 0, 0, 0, 0};
    call.inputs[0] = loop;
    refused(INTERP_VALUE, "input l[3]");
    call.inputs[0] = wild;
    refused(INTERP_VALUE, "input l[1]");
    call.inputs[0] = left;
    Type pos = {.dtype = DT_INT, .pointer = PTR_POS, .axis = n};
    static double anywhere[N] = {6, 5, 4, 3, 2, 1, 0};
    int p = input("p", pos, in, -1, anywhere);
    output("at", node(OP_READ, &attr, 3, value, -1, p));
    result = run();
    for (int i = 0; i < N; i++) near(result->outputs[2][i], x[N - 1 - i], 0);
    anywhere[2] = -1;
    refused(INTERP_VALUE, "input p[2]");
    anywhere[2] = N;
    refused(INTERP_VALUE, "input p[2]");
}

/* Two modules of different period that read each other's held values. */
static void clocks(void **state) {
    (void)state;
    enum { T = 13 };
    int t = axis("t"), it = index_on("t", t);
    lengths(t, T);
    double *x = numbers(T, -1, 1, 2);
    int in = input("x", floats(dims(0)), it, -1, x), h[2], held[2];
    for (int k = 0; k < 2; k++) {
        h[k] = variable(k ? "slow" : "fast", floats(dims(0)), it, -1);
        held[k] = shifted(h[k], it, -1, number(0.1));
    }
    for (int k = 0; k < 2; k++) {
        int new = un(OP_TANH, bin(OP_ADD, in, bin(OP_SUB, held[0], held[1])));
        Attr attr = {.index = it, .every = k ? 3 : 2, .mirrored = false};
        define(h[k], node(OP_HOLD, &attr, 2, new, held[k]));
        output("h", h[k]);
    }
    const InterpResult *r = run();
    double f = 0.1, s = 0.1;
    for (int p = 0; p < T; p++) {
        double new = tanh(x[p] + (f - s));
        if (p % 2 == 0) f = new;
        if (p % 3 == 0) s = new;
        near(r->outputs[0][p], f, 1e-15);
        near(r->outputs[1][p], s, 1e-15);
    }
}

static void slower_axis(void **state) {
    (void)state;
    enum { T = 7 };
    int t = axis("t"), v = slow_axis("v", t, 2), it = index_on("t", t), iv = index_on("v", v);
    call.batch = 2;
    lengths(t, T, 4);
    double *x = numbers(T * 2, -1, 1, 2);
    int in = input("x", floats(dims(0)), it, -1, x);
    At even = {.kind = AT_SCALE, .index = iv, .factor = 2}, odd = even;
    odd.offset = 1;
    int pair = bin(OP_SUB, read_at(in, -1, 1, even, even), read_at(in, number(9), 1, odd, odd));
    output("pair", pair);
    At div = {.kind = AT_DIV, .index = it, .factor = 2};
    output("back", read_at(pair, -1, 1, div, div));
    Attr length = {.slot = v};
    output("len", node(OP_LENGTH, &length, 0));
    const InterpResult *r = run();
    static const int len[2] = {T, 4};
    for (int b = 0; b < 2; b++) {
        int half = (len[b] + 1) / 2;
        near(r->outputs[2][b], half, 0);
        assert_int_equal(r->lengths[v][b], half);
        double want[4] = {0};
        for (int p = 0; p < half; p++)
            want[p] = x[2 * p * 2 + b] - (2 * p + 1 < len[b] ? x[(2 * p + 1) * 2 + b] : 9);
        for (int p = 0; p < 4; p++) near(r->outputs[0][p * 2 + b], want[p], 0);
        for (int p = 0; p < T; p++) near(r->outputs[1][p * 2 + b], p < len[b] ? want[p / 2] : 0, 0);
    }
}

static void joined(void **state) {
    (void)state;
    int t = axis("t"), it = index_on("t", t);
    g->axes.at[t].fixed = 3;
    static const double x[] = {1, 2, 3, 4, 5, 6};
    int in = input("x", floats(dims(1, 2)), it, -1, x);
    output("y", over(OP_TCONCAT, it, in));
    Attr attr = {.index = it, .mirrored = true};
    output("r", node(OP_TCONCAT, &attr, 1, in));
    const InterpResult *r = run();
    all_near(r->outputs[0], x, 6, 0);
    all_near(r->outputs[1], (double[]){5, 6, 3, 4, 1, 2}, 6, 0);
}

/* Probability of a label sequence: all alignments one by one. */
static double alignments(const double *p, int steps, int symbols, const int *labels, int count) {
    double sum = 0;
    int path[8] = {0};
    for (;;) {
        int out[8], n = 0;
        double product = 1;
        for (int t = 0; t < steps; t++) {
            product *= p[t * symbols + path[t]];
            if (path[t] != 0 && (t == 0 || path[t] != path[t - 1])) out[n++] = path[t];
        }
        bool same = n == count;
        for (int i = 0; same && i < n; i++) same = out[i] == labels[i];
        if (same) sum += product;
        int k = 0;
        while (k < steps && ++path[k] == symbols) path[k++] = 0;
        if (k == steps) return sum;
    }
}

static void ctc(void **state) {
    (void)state;
    enum { T = 5, V = 3, U = 3, B = 8 };
    static const int count[B] = {0, 1, 2, 2, 3, 3, 3, 1}, steps[B] = {5, 5, 5, 3, 5, 4, 3, 0};
    static const int labels[B][U] = {{0},       {1},       {1, 2},    {2, 2},
                                     {1, 1, 2}, {2, 1, 2}, {1, 1, 1}, {2}};
    int t = axis("t"), u = axis("u"), it = index_on("t", t), iu = index_on("u", u);
    call.batch = B;
    call.lengths[t] = ARENA_ARRAY(arena, B, int64_t);
    call.lengths[u] = ARENA_ARRAY(arena, B, int64_t);
    double *p = numbers(T * B * V, 0.1, 1, 4), y[U * B];
    for (int b = 0; b < B; b++) {
        call.lengths[t][b] = steps[b];
        call.lengths[u][b] = count[b];
        for (int k = 0; k < U; k++)
            y[k * B + b] = k < count[b] ? (double)labels[b][k] : (double)NAN;
    }
    int lp = un(OP_LOG, input("p", floats(dims(1, V)), it, -1, p));
    int label = input("y", ints(V), iu, -1, y);
    Attr attr = {.index = it, .index2 = iu, .slot = 0};
    loss(node(OP_CTC, &attr, 2, lp, label), -1);
    attr.mirrored = true;
    loss(node(OP_CTC, &attr, 2, lp, label), -1);
    const InterpResult *r = run();
    for (int b = 0; b < B; b++) {
        double own[T * V], sum;
        for (int s = 0; s < T; s++)
            for (int k = 0; k < V; k++) own[s * V + k] = p[(s * B + b) * V + k];
        sum = steps[b] ? alignments(own, steps[b], V, labels[b], count[b]) : 0;
        /* Once forward, once backward: both ends of the lattice give the same sum. */
        near(r->loss_of[b], sum > 0 ? -2 * log(sum) : INFINITY, 1e-14);
    }
    y[1] = 0;
    refused(INTERP_VALUE, "blank");
}

/* `reverse M` is flip, M, flip: a mirrored system on x equals the plain one on the flipped x. */
static void mirrored(void **state) {
    (void)state;
    enum { T = 8, OUTS = 5 };
    double *x = numbers(T, -1, 1, 6), flipped[T];
    for (int p = 0; p < T; p++) flipped[p] = x[T - 1 - p];
    double got[2][OUTS][T];
    for (int m = 0; m < 2; m++) {
        if (m) {
            end_test(NULL);
            begin_test(NULL);
            x = numbers(T, -1, 1, 6);
        }
        int t = axis("t"), it = index_on("t", t), is = index_on("s", t);
        lengths(t, T);
        int in = input("x", floats(dims(0)), it, -1, m ? x : flipped);
        int h = variable("h", floats(dims(0)), it, -1),
            held = shifted(h, it, m ? 1 : -1, number(0.5));
        Attr clock = {.index = it, .every = 3, .mirrored = m};
        define(h, node(OP_HOLD, &clock, 2, bin(OP_ADD, in, held), held));
        Attr place = {.index = it, .mirrored = m};
        Attr sum = {.index = is, .mirrored = m};
        (m ? &sum.low : &sum.high)[0] = (Bound){BOUND_INDEX, it, m ? 0 : 1};
        At draw = {.kind = m ? AT_MIRROR : AT_INDEX, .index = it};
        Attr noise = {
            .draw = DRAW_NORMAL, .site = name_of(names, "e#0"), .at_count = 1, .at = &draw};
        output("h", h);
        output("t", node(OP_INDEX, &place, 0));
        output("sum", node(OP_TSUM, &sum, 1, shifted(in, is, 0, number(0))));
        output("best",
               node(OP_TARGMAX, &sum, 1, un(OP_ABS, un(OP_SIGN, shifted(in, is, 0, number(0))))));
        output("e", typed(OP_DRAW, floats(dims(0)), &noise, 1, number(1)));
        call.single = true; /* so that the order of sums shows */
        const InterpResult *r = run();
        for (int o = 0; o < OUTS; o++)
            for (int p = 0; p < T; p++) got[m][o][p] = r->outputs[o][m ? T - 1 - p : p];
    }
    for (int o = 0; o < OUTS; o++) all_near(got[1][o], got[0][o], T, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(bidirectional), TEST(long_sequence), TEST(lags_and_boundaries),
        TEST(ranges),        TEST(attention),     TEST(many_rows),
        TEST(two_axes),      TEST(pointers),      TEST(clocks),
        TEST(slower_axis),   TEST(joined),        TEST(ctc),
        TEST(mirrored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
