/* What the Graphs of sema mean, by the reference interpreter: reverse, outer indices, sharing,
 * slower axes, families, initialisers, draws. Two ways of writing one thing must give the same
 * numbers. */
#include <math.h>

#include "graph/interpret.h"
#include "sema_case.h"

enum { BATCH = 3, LONGEST = 7 };
static const int64_t lengths_of[BATCH] = {7, 4, 1};

static double noise(const char *name, int64_t a, int64_t b, int64_t c) {
    uint64_t h = 1469598103934665603u;
    for (const char *n = name; *n; n++) h = (h ^ (uint64_t)*n) * 1099511628211u;
    h = (h ^ (uint64_t)a) * 1099511628211u;
    h = (h ^ (uint64_t)b) * 1099511628211u;
    h = (h ^ (uint64_t)c) * 1099511628211u;
    return (double)(h >> 40) / (double)(1 << 24) * 2 - 1;
}

/* The part of a name behind the last dot, so that instances with one model share numbers. */
static const char *tail(const char *name) {
    const char *dot = strrchr(name, '.');
    return dot == NULL ? name : dot + 1;
}

/* Runs a graph whose ports have at most one time index. Inputs depend on name and position,
 * parameters on the last part of their name. With `flip`, inputs are given and outputs taken from
 * the end on. */
static double *run(Case *c, const Graph *graph, bool flip, int output, int64_t *count) {
    InterpCall call = {.batch = BATCH, .seed = 5};
    int64_t **lengths = ARENA_ARRAY(c->arena, graph->axes.count + 1, int64_t *);
    for (int a = 0; a < graph->axes.count; a++)
        if (graph->axes.at[a].kind == AXIS_RUN && graph->axes.at[a].fixed == 0)
            lengths[a] = arena_copy(c->arena, lengths_of, sizeof lengths_of);
    const double **inputs = ARENA_ARRAY(c->arena, graph->inputs.count + 1, const double *);
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        int64_t size = shape_count(port->type.shape), steps = port->index_count > 0 ? LONGEST : 1;
        double *values = ARENA_ARRAY(c->arena, steps * BATCH * size, double);
        if (port->fallback >= 0) continue;
        for (int64_t t = 0; t < steps; t++)
            for (int64_t b = 0; b < BATCH; b++)
                for (int64_t k = 0; k < size; k++) {
                    int64_t at = flip && steps > 1 && t < lengths_of[b] ? lengths_of[b] - 1 - t : t;
                    double *to = &values[(t * BATCH + b) * size + k];
                    *to = noise(port->name, at, b, k);
                    if (port->type.dtype == DT_INT && port->type.pointer != PTR_NONE)
                        *to = t == 0 ? -1 : floor((*to + 1) / 2 * (double)t);
                    else if (port->type.dtype == DT_INT)
                        *to = floor((*to + 1) / 2 * (double)port->type.bound);
                }
        inputs[i] = values;
    }
    const double **params = ARENA_ARRAY(c->arena, graph->params.count + 1, const double *);
    for (int i = 0; i < graph->params.count; i++) {
        int64_t size = shape_count(graph->params.at[i].shape);
        double *values = ARENA_ARRAY(c->arena, size, double);
        for (int64_t k = 0; k < size; k++) {
            values[k] = noise(tail(graph->params.at[i].name), 0, 0, k);
            if (graph->params.at[i].values != NULL) values[k] = graph->params.at[i].values[k];
        }
        params[i] = values;
    }
    call.lengths = lengths;
    call.inputs = inputs;
    call.params = params;
    InterpResult *result = interpret(c->arena, graph, &call);
    if (result->status != INTERP_OK) {
        Text text = text_new(c->arena);
        graph_print(graph, &text);
        fail_msg("%s\n%s", result->message, text_string(&text));
    }
    const GraphPort *port = &graph->outputs.at[output];
    int64_t size = shape_count(port->type.shape), steps = port->index_count > 0 ? LONGEST : 1;
    *count = steps * BATCH * size;
    double *from = result->outputs[output], *to = ARENA_ARRAY(c->arena, *count, double);
    for (int64_t t = 0; t < steps; t++)
        for (int64_t b = 0; b < BATCH; b++)
            for (int64_t k = 0; k < size; k++) {
                int64_t at = flip && steps > 1 && t < lengths_of[b] ? lengths_of[b] - 1 - t : t;
                to[(t * BATCH + b) * size + k] = from[(at * BATCH + b) * size + k];
            }
    return to;
}

static Graph *graph_of(Case *c, const char *model, Mode mode) {
    Graph *graph = c->diags->errors > 0 ? NULL : sema_graph(c->program, model, mode, c->diags);
    if (graph != NULL) graph_verify(graph, "sema", c->diags);
    if (c->diags->errors > 0) fail_msg("%s", case_diags(c));
    return graph;
}

/* Outputs 0 of two models of one source are equal; `flip` turns the second around. */
static void same(const char *source, Mode mode, bool flip) {
    Case c;
    int64_t count[2];
    case_open(&c, case_text_source, source, "grammar/prelude.rnn", NULL, 0);
    double *a = run(&c, graph_of(&c, "A", mode), false, 0, &count[0]);
    double *b = run(&c, graph_of(&c, "B", mode), flip, 0, &count[1]);
    assert_int_equal(count[0], count[1]);
    double largest = 0;
    for (int64_t i = 0; i < count[0]; i++) {
        if (!(fabs(a[i] - b[i]) <= 1e-12))
            fail_msg("%s: element %d is %.17g and %.17g", source, (int)i, a[i], b[i]);
        if (fabs(a[i]) > largest) largest = fabs(a[i]);
    }
    assert_true(largest > 0);
    case_close(&c);
}

static void reversed(const char *body) {
    Case c;
    (void)c;
    char source[3000];
    snprintf(source, sizeof source,
             "model M(x[t]: [4] = 0.25) -> y[t]: [4] {\n%s\n}\n"
             "model A(x[t]: [4]) -> y[t]: [4] {\n use f = reverse M\n y[t] = f(x[t])\n}\n"
             "model B(x[t]: [4]) -> y[t]: [4] {\n use f = M\n y[t] = f(x[t])\n}\n",
             body);
    same(source, MODE_TRAIN, true);
}

static void test_reverse(void **state) {
    (void)state;
    reversed(
        "param W: [4, 4] ~ glorot\n state y[t] = 0.5\n y[t] = tanh(W @ y[t-1] + x[t-2] + x[t+1])");
    reversed("y[t] = x[first] + 2 * x[last] + float(t) / 7");
    reversed("time s in t\n y[t] = sum[s <= t](x[s]) + 3 * max[s > t-2](x[s]) + mean[s < t](x[s])");
    reversed("time s in t\n y[t] = sum[s in t-2:t+1](x[s]) + sum[s >= t](x[s]) * 2 + "
             "sum[s in first:last](x[s])");
    reversed("time s in t\n a[t,s] = softmax[s in t-1:t+3](dot(x[t], x[s]))\n"
             " y[t] = sum[s in t-1:t+3](a[t,s] * x[s])");
    reversed("state y[t] = 1\n y[t] = x[t] * 2 every 3");
    reversed(
        "e[t]: [4] ~ normal(1)\n m: [4] ~ bernoulli(0.5)\n y[t] = e[t] + m * dropout(x[t], 0.5)");
    reversed("use f = reverse Elman[4]\n use g = Elman[4]\n y[t] = f(x[t]) + 2 * g(x[t])");
    reversed("sc[t] = sum(x[t])\n y[t] = x[t] * softmax[t](sc[t])");
    reversed("time s in t\n y[t] = if t == 0 then x[t] else if t > 2 then 2 * x[t] else x[t-1]");
}

static void test_same(void **state) {
    (void)state;
    /* A step as a function: the recurrence is the caller's, and t is an outer index. */
    same("model Cell[H](x: [I], h: [H]) -> n: [H] {\n param W: [H, I] ~ glorot\n param U: [H, H] ~ "
         "orthogonal\n"
         " param b: [H] = 0\n n = tanh(W @ x + U @ h + b)\n}\n"
         "model A(x[t]: [3]) -> h[t]: [4] {\n use c = Cell[4]\n state h[t] = 0\n h[t] = c(x[t], "
         "h[t-1])\n}\n"
         "model B(x[t]: [3]) -> h[t]: [4] {\n use e = Elman[4]\n h[t] = e(x[t])\n}\n",
         MODE_INFER, false);
    /* A recurrence inside, once at each outer position: over s for each t. */
    same(
        "model Sum(x[t]: [N]) -> y: [N] {\n state h[t]: [N] = 0\n h[t] = h[t-1] * 0.5 + x[t]\n y = "
        "h[last]\n}\n"
        "model A(x[t]: [3]) -> y[t]: [3] {\n time s in t\n use f = Sum\n y[t] = f(x[t] * x[s])\n}\n"
        "model B(x[t]: [3]) -> y[t]: [3] {\n state h[t]: [3] = 0\n h[t] = h[t-1] * 0.5 + x[t]\n"
        " y[t] = x[t] * h[last]\n}\n",
        MODE_INFER, false);
    /* Families, compile-time conditions, `if` on the family. */
    same("size L = 3\nmodel A(x[t]: [4]) -> y[t]: [4] {\n for l in 0:L {\n  param W[l]: [4, 4] ~ "
         "glorot\n"
         "  h[l,t] = tanh(W[l] @ (if l == 0 then x[t] else h[l-1,t]))\n }\n y[t] = h[L-1,t] + "
         "sum[j in 0:L](h[j,t])\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n param W[3]: [4, 4] ~ glorot\n param W[0], W[1], "
         "W[2]: [4, 4] ~ glorot\n"
         " a[t] = tanh(W[0] @ x[t])\n b[t] = tanh(W[1] @ a[t])\n c[t] = tanh(W[2] @ b[t])\n"
         " y[t] = c[t] + a[t] + b[t] + c[t] + 0 * sum(W[3])\n}\n",
         MODE_INFER, false);
    /* One instance applied twice shares its parameters; each application has its own state. */
    same("model A(x[t]: [4]) -> y[t]: [4] {\n use f = Elman[4]\n y[t] = f(f(x[t])) + f.b\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n use f = Elman[4]\n use g = Elman[4]\n"
         " param b: [4] = 0\n y[t] = g(f(x[t])) + b\n}\n",
         MODE_INFER, false);
    /* Slower axes: found by the axis, read at P*v + k and t/P; a step at an odd end is the
     * boundary. */
    same("model Half(x[t]: [N] = 1) -> y[v]: [N] {\n time v in t every 2\n y[v] = x[2*v] - "
         "x[2*v+1]\n}\n"
         "model A(x[t]: [4]) -> y[t]: [4] {\n time w in t every 2\n use f = Half\n h[w] = "
         "f(x[t])\n y[t] = h[t/2]\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n state a[t]: [4] = 1\n a[t] = x[t]\n state b[t]: [4] "
         "= 0\n"
         " b[t] = a[t] - a[t+1] every 2\n y[t] = b[t]\n}\n",
         MODE_INFER, false);
    /* A boundary value that depends on another index, read under a second name of it. */
    same("model A(x[t]: [2]) -> y[t]: [2] {\n time u = 3\n time w in u\n state a[t,u]: [2] = "
         "x[first] * float(u)\n"
         " a[t,u] = a[t-1,u] + x[t]\n y[t] = sum[w](a[t-1,w])\n}\n"
         "model B(x[t]: [2]) -> y[t]: [2] {\n state s[t]: [2] = 3 * x[first]\n s[t] = s[t-1] + 3 * "
         "x[t]\n"
         " y[t] = s[t-1]\n}\n",
         MODE_INFER, false);
    /* A model as a bracket parameter, applied by name; defaults of inputs without time. */
    same("model Act(a: [N]) -> y: [N] { y = tanh(a) * 2 }\n"
         "model Cell[H, F](x[t]: [I], h0: [H] = 0.5) -> h[t]: [H] {\n param W: [H, I] ~ glorot\n "
         "state h[t] = h0\n"
         " h[t] = F(W @ x[t] + h[t-1])\n}\n"
         "model A(x[t]: [4]) -> y[t]: [4] {\n use f = Cell[4, Act]\n y[t] = f(x[t], h0 = "
         "x[last])\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n param W: [4, 4] ~ glorot\n state y[t] = x[last]\n"
         " y[t] = tanh(W @ x[t] + y[t-1]) * 2\n}\n",
         MODE_INFER, false);
    /* Pointers, and `every` on a family with the phase from the start. */
    same("model A(x[t]: [3], p[t]: past(t)) -> y[t]: [3] {\n state y[t] = 1\n y[t] = x[t] + "
         "y[p[t]]\n}\n"
         "model Tree(x[t]: [N], p[t]: past(t)) -> y[t]: [N] {\n state y[t] = 1\n y[t] = x[t] + "
         "y[p[t]]\n}\n"
         "model B(x[t]: [3], p[t]: past(t)) -> y[t]: [3] {\n use f = Tree\n y[t] = f(x[t], "
         "p[t])\n}\n",
         MODE_INFER, false);
    /* Lengths, flags and activations from the bracket; an output on the caller's index of a
     * reduction. */
    same("model Pool(x[t]: [N] = 0) -> y[v]: [N] {\n time v in t every 3\n y[v] = x[3*v] * "
         "x[3*v+1]\n}\n"
         "model Table[T, flag, k](x: [N]) -> y[u]: [N] {\n time u = T\n param P: [T, N] ~ glorot\n"
         " y[u] = if flag and not (k > 1) then P[u] * x else x\n}\n"
         "model Wide[T](x[t]: [N]) -> y[t]: [T*N] {\n use f = Table[T, 1 < 2, k = 0.5]\n time u = "
         "T\n"
         " q[t,u] = f(x[t])\n y[t] = concat[u](q[t,u])\n}\n"
         "model A(x[t]: [3]) -> y: [9] {\n time v in t every 3\n use w = Wide[3]\n y = "
         "sum[v](w(Pool(x[t])))\n}\n"
         "model B(x[t]: [3] = 0) -> y: [9] {\n time v in t every 3\n param P: [3, 3] ~ glorot\n"
         " p[v] = x[3*v] * x[3*v+1]\n y = sum[v](reshape[9](P * row(p[v])))\n}\n",
         MODE_INFER, false);
    /* Ranges up to an end, windows beyond it. */
    same("model A(x[t]: [3]) -> y[t]: [3] {\n time s in t\n"
         " y[t] = sum[s < last](x[s]) + 2 * sum[s > first](x[s]) + 3 * sum[s in first:t](x[s]) +"
         " 5 * sum[s in t+2:last](x[s]) + 7 * sum[s >= 2](x[s])\n}\n"
         "model B(x[t]: [3]) -> y[t]: [3] {\n time s in t\n a = sum[t](x[t])\n"
         " state b[t]: [3] = 0\n b[t] = if t >= 2 then x[t] else 0 * x[t]\n"
         " y[t] = a - x[last] + 2 * (a - x[first]) + 3 * sum[s < t](x[s]) + 7 * sum[s](b[s]) +"
         " 5 * (sum[s >= t](x[s]) - (if t + 2 > len(t) - 1 then sum[s >= t](x[s]) else"
         " x[last] + sum[s in t:t+2](x[s])))\n}\n",
         MODE_INFER, false);
    /* Tensor entries, gathers, positions on an axis of bounded length as indices, concat over time.
     */
    same("model A(x[t]: [4], w[t]: int(4)) -> y[t]: [] {\n time t <= 9\n param P: [9, 4] ~ glorot\n"
         " y[t] = P[t][2] + x[t][w[t]] + P[:, 1][t] + sum(x[t][1:3])\n}\n"
         "model B(x[t]: [4], w[t]: int(4)) -> y[t]: [] {\n time t <= 9\n param P: [9, 4] ~ glorot\n"
         " y[t] = dot(P[t], onehot[4](2)) + dot(x[t], onehot[4](w[t])) + P.T[1][t] + x[t][1] + "
         "x[t][2]\n}\n",
         MODE_INFER, false);
}

/* Parameters of an instance beside its application; gathers from any dimension; positions modulo k;
 * reductions that have two ways of writing. */
static void test_corners(void **state) {
    (void)state;
    same("model A(x[t]: [4]) -> y[t]: [4] {\n use f = Dense[3]\n y[t] = f.W.T @ f(x[t]) + "
         "sum(f.b)\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n param W: [3, 4] ~ glorot\n param b: [3] = 0\n"
         " y[t] = W.T @ (W @ x[t] + b) + sum(b)\n}\n",
         MODE_INFER, false);
    /* In a reduction over a range, and in a boundary value. */
    same("model A(x[t]: [2]) -> y[t]: [2] {\n use f = Dense[2]\n state y[t] = f.W @ f(x[first])\n"
         " y[t] = y[t-1] + f.b * sum[j in 0:2](f.W[j][0] * f(x[t])[j])\n}\n"
         "model B(x[t]: [2]) -> y[t]: [2] {\n use f = Dense[2]\n z[t] = f(x[t])\n"
         " state y[t] = f.W @ z[first]\n"
         " y[t] = y[t-1] + f.b * (f.W[0][0] * z[t][0] + f.W[1][0] * z[t][1])\n}\n",
         MODE_INFER, false);
    /* The application of a family member, in an equation that another one asked for. */
    same("model A(x[t]: [4]) -> y[t]: [4] {\n use f[1] = Dense[4]\n use f[2] = Dense[3]\n"
         " y[t] = b[t] + f[1](x[t])\n b[t] = f[1].W @ x[t] + f[2].W.T @ f[2](x[t])\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n use f[1] = Dense[4]\n use f[2] = Dense[3]\n"
         " d[t] = f[2](x[t])\n c[t] = f[1](x[t])\n b[t] = f[1].W @ x[t] + f[2].W.T @ d[t]\n"
         " y[t] = b[t] + c[t]\n}\n",
         MODE_INFER, false);
    same("model A(x[t]: [2, 3, 4], u[t]: int(2), v[t]: int(3), w[t]: int(4)) -> y[t]: [2] {\n"
         " y[t] = sum(x[t][:, v[t]], dim = 1) + x[t][:, v[t], w[t]] + x[t][u[t], 0:2, w[t]]\n}\n"
         "model B(x[t]: [2, 3, 4], u[t]: int(2), v[t]: int(3), w[t]: int(4)) -> y[t]: [2] {\n"
         " for i in 0:2 {\n  a[i,t] = onehot[3](v[t]) @ x[t][i]\n  b[i,t] = dot(a[i,t], "
         "onehot[4](w[t]))\n"
         "  c[i,t] = x[t][i] @ onehot[4](w[t])\n }\n"
         " y[t] = concat(sum(a[0,t]) + b[0,t], sum(a[1,t]) + b[1,t]) +"
         " (if float(u[t]) == 0 then c[0,t] else c[1,t])[0:2]\n}\n",
         MODE_INFER, false);
    same("model A(x[t]: [5]) -> y[t]: [] {\n k[t] = t % 3\n"
         " y[t] = x[t][t % 5] + x[t][k[t]] + (if t % 2 == 0 then 100 else t)\n}\n"
         "model B(x[t]: [5]) -> y[t]: [] {\n p[t] = float(t) - 5 * floor(t / 5)\n"
         " q[t] = float(t) - 3 * floor(t / 3)\n"
         " y[t] = sum[j in 0:5]((if p[t] == j then x[t][j] else 0) + (if q[t] == j then x[t][j] "
         "else 0)) +\n"
         "  (if floor(t / 2) * 2 == t then 100 else float(t))\n}\n",
         MODE_INFER, false);
    same("model A(x[t]: [3]) -> y[t]: [3] {\n for g in 0:3 {\n  e[g,t] = x[t] * (g + 1)\n"
         "  a[g,t] = softmax[g in 0:2](e[g,t])\n }\n"
         " y[t] = a[0,t] + 3 * a[1,t] + 9 * a[2,t] - min[t](x[t])\n}\n"
         "model B(x[t]: [3]) -> y[t]: [3] {\n s[t] = exp(x[t]) + exp(2 * x[t])\n"
         " y[t] = (exp(x[t]) + 3 * exp(2 * x[t])) / s[t] + max[t](-x[t])\n}\n",
         MODE_INFER, false);
}

/* Defaults are made of what the body declares, parameters and other defaults among it; a branch
 * that a mode chooses may do without the index of its reduction. */
static void test_defaults(void **state) {
    (void)state;
    same(
        "model C(x[t]: [N], a: [N] = 2 * b, b: [N] = k + p) -> y[t]: [N] {\n param p: [N] = 0\n"
        " k = x[first]\n state y[t] = a\n y[t] = 0.5 * y[t-1] + b * x[t]\n}\n"
        "model A(x[t]: [3]) -> y[t]: [3] {\n use c = C\n y[t] = c(x[t]) + c(x[t], b = x[last])\n}\n"
        "model B(x[t]: [3]) -> y[t]: [3] {\n param p: [3] = 0\n k = x[first] + p\n"
        " state h[t]: [3] = 2 * k\n h[t] = 0.5 * h[t-1] + k * x[t]\n"
        " state g[t]: [3] = 2 * x[last]\n g[t] = 0.5 * g[t-1] + x[last] * x[t]\n"
        " y[t] = h[t] + g[t]\n}\n",
        MODE_INFER, false);
    same("model A(x[t]: [3], b: [3] = 2 * x[first]) -> y[t]: [3] { y[t] = x[t] + b }\n"
         "model B(x[t]: [3]) -> y[t]: [3] { y[t] = x[t] + 2 * x[first] }\n",
         MODE_INFER, false);
    same("model A(x[t]: [3]) -> y[t]: [3] {\n param p: [3] = 0\n"
         " y[t] = x[t] * sum[t](if training then x[t] else p)\n}\n"
         "model B(x[t]: [3]) -> y[t]: [3] {\n param p: [3] = 0\n y[t] = x[t] * p * len(t)\n}\n",
         MODE_INFER, false);
}

/* What is read at t-k under carry has a name, for files of states and the generated interface. */
static void test_carried_names(void **state) {
    (void)state;
    Case c;
    case_open(&c, case_text_source,
              "model F(x[t]: [N] = 0, k[t]: [N] = 1) -> y[t]: [N] { y[t] = x[t-1] + k[t-2] }\n"
              "model M(x[t]: [2]) -> y[t]: [2] {\n use l = carry F\n y[t] = l(2 * x[t], x[t])\n}\n",
              NULL, NULL, 0);
    const Graph *graph = graph_of(&c, "M", MODE_INFER);
    int reads = 0;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (node->op != OP_READ || node->attr.carry == 0) continue;
        const char *name = graph->nodes.at[node->in[0]]->name;
        assert_non_null(name);
        assert_string_equal(name, node->attr.at[0].offset == -1 ? "l.x" : "l.k");
        reads++;
    }
    assert_int_equal(reads, 2);
    case_close(&c);
}

/* Draws hang on name and instance alone: an equation more changes none, another name all. */
static void test_draws(void **state) {
    (void)state;
    same("model A(x[t]: [4]) -> y[t]: [4] {\n e[t]: [4] ~ uniform(0, 1)\n y[t] = dropout(x[t], "
         "0.4) + e[t]\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n d[t]: [4] ~ normal(1)\n z[t] = dropout(d[t], 0.5)\n"
         " y[t] = dropout(x[t], 0.4) + e[t] + 0 * z[t]\n e[t]: [4] ~ uniform(0, 1)\n}\n",
         MODE_TRAIN, false);
    /* A rate of 0 draws nothing and keeps its place. */
    same("model A(x[t]: [4]) -> y[t]: [4] {\n y[t] = dropout(x[t], 0) + dropout(x[t], 0.5)\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n y[t] = 0 * dropout(x[t], 0.1) + dropout(x[t], 0.5) + "
         "x[t]\n}\n",
         MODE_TRAIN, false);
    /* In eval nothing is dropped; a mode chooses, and its dead inputs vanish. */
    same("model A(x[t]: [4]) -> y[t]: [4] {\n y[t] = dropout(x[t], 0.4)\n}\n"
         "model B(x[t]: [4]) -> y[t]: [4] {\n y[t] = if training then x[t] * 2 else x[t]\n}\n",
         MODE_EVAL, false);
}

static void test_initial(void **state) {
    (void)state;
    Case c;
    case_open(
        &c, case_text_source,
        "size N = 3\nconst k = 0.5\nmodel M(x: [2, 3]) -> y: [2, 3] {\n"
        " param A: [N] = -(iota[N] + 1) * k\n param B: [2, 3] = row(iota[3]) + col(2 * iota[2])\n"
        " param C: [2] = k ^ 2\n for g in 0:2 { param D[g]: [2, 3] = exp(float(g)) + zeros[2, 3] "
        "}\n"
        " y = x + row(A) + B + col(C) + D[0] + D[1]\n}\n",
        NULL, NULL, 0);
    Graph *graph = graph_of(&c, "M", MODE_INFER);
    const GraphParam *p = graph->params.at;
    assert_int_equal(graph->params.count, 5);
    for (int i = 0; i < 3; i++) assert_true(p[0].values[i] == -(i + 1) * 0.5);
    for (int i = 0; i < 6; i++) assert_true(p[1].values[i] == i % 3 + 2 * (i / 3));
    assert_null(p[2].values);
    assert_true(p[2].a == 0.25);
    assert_string_equal(p[4].name, "D.1");
    assert_true(fabs(p[4].values[5] - exp(1.0)) < 1e-15);
    case_close(&c);
}

/* A function of numbers that are known is the number that it gives of values. */
static void test_numbers(void **state) {
    (void)state;
    static const char *const one[] = {"sqrt",  "rsqrt",  "exp",     "log",      "abs",
                                      "floor", "square", "sin",     "cos",      "sign",
                                      "erf",   "tanh",   "sigmoid", "softplus", "relu"};
    static const char *const two[] = {"min", "max", "logaddexp"};
    static const double numbers[] = {1.25, 0.3, 2.75};
    char source[500];
    for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
        double x = numbers[n], z = numbers[(n + 1) % 3];
        for (size_t i = 0; i < sizeof one / sizeof *one; i++) {
            snprintf(source, sizeof source,
                     "model A(x: [2]) -> y: [2] { y = 0 * x + %s(%g) + 1 }\n"
                     "model B(x: [2]) -> y: [2] { y = %s(0 * x + %g) + 1 }\n",
                     one[i], x, one[i], x);
            same(source, MODE_INFER, false);
        }
        for (size_t i = 0; i < sizeof two / sizeof *two; i++) {
            snprintf(source, sizeof source,
                     "model A(x: [2]) -> y: [2] { y = 0 * x + %s(%g, %g) }\n"
                     "model B(x: [2]) -> y: [2] { y = %s(0 * x + %g, 0 * x + %g) }\n",
                     two[i], x, z, two[i], x, z);
            same(source, MODE_INFER, false);
        }
    }
}

/* Sizes: `-D`, expressions, defaults, the header against the file. */
static void test_sizes(void **state) {
    (void)state;
    Case c;
    SemaDefine defines[] = {{"H", 5, false}, {"I", 7, false}, {"Z", 1, false}};
    case_open(&c, case_text_source,
              "size H = 2, K = 2*H\nmodel M[H, Q = K + 1](x[t]: [I]) -> y[t]: [H, Q] {\n"
              " param W: [H*Q, I] ~ glorot\n y[t] = reshape[H, Q](W @ x[t])\n}\n",
              NULL, defines, 3);
    Graph *graph = graph_of(&c, "M", MODE_INFER);
    assert_true(defines[0].used && defines[1].used && !defines[2].used);
    assert_int_equal(graph->outputs.at[0].type.shape.dim[0], 5);
    assert_int_equal(graph->outputs.at[0].type.shape.dim[1], 11);
    assert_int_equal(graph->inputs.at[0].type.shape.dim[0], 7);
    case_close(&c);
    /* Reductions over a range, choices and functions of numbers are numbers. */
    same("size n = sum[j in 0:4](j) / 2, m = max[j in 0:n](j)\n"
         "const k = sum[j in 0:3](j * 2) + tanh(0.0) + clip(5, 0, m) + (if m > 1 then 1 else 0)\n"
         "model A(x[t]: [3]) -> y[t]: [3] { y[t] = k * x[t] * ones[n] }\n"
         "model B(x[t]: [3]) -> y[t]: [3] { y[t] = 9 * x[t] }\n",
         MODE_INFER, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reverse),       cmocka_unit_test(test_same),
        cmocka_unit_test(test_draws),         cmocka_unit_test(test_initial),
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_corners),
        cmocka_unit_test(test_carried_names), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_numbers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
