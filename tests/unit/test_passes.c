/* Passes: each rewrite on a small graph as text, and all of them on random graphs, where the
 * interpreter gives the same before and after. */
#include "passes/passes.h"

#include "random_graph.h"

static const char head[] =
    "graph m train\naxis t run\naxis u run fixed 4\nindex t in t\nindex s in t\nindex u in u\n"
    "input x[t]: f[3] = %0\ninput w[t]: int(3)[] = %1\ninput c: bool[] = %2\n"
    "param W: f[4, 3] ~ glorot\nparam U: f[3, 4] ~ glorot\ncarry l in t\n"
    "%0 x[t]: f[3] = input x\n%1 w[t]: int(3)[] = input w\n%2 c: bool[] = input c\n"
    "%3: f[4, 3] = param W\n%4: f[3, 4] = param U\n"
    "%5: f[] = const 0.0\n%6: f[] = const -0.0\n%7: f[] = const 1.0\n"
    "%8: f[3] = const 0.5\n%9: bool[] = const 1.0\n";

/* Runs the pass, then dce; the lines of what is left, the header taken off. */
static const char *after(GraphCase *c, const char *pass, const char *body, bool *changed) {
    char text[4096];
    snprintf(text, sizeof text, "%s%s", head, body);
    *c = graph_case(text);
    bool dropped = false;
    const char *before = graph_case_text(c, c->graph);
    Graph *to = pass_named(pass)->run(c->graph, changed);
    assert_string_equal(graph_case_text(c, c->graph), before); /* the old graph is as it was */
    assert_int_equal(*changed, to != c->graph);
    if (!graph_verify(to, pass, c->diags)) fail_msg("%s\n%s", body, graph_case_errors(c));
    to = pass_dce(to, &dropped);
    if (!graph_verify(to, "dce", c->diags)) fail_msg("%s\n%s", body, graph_case_errors(c));
    const char *lines = strstr(graph_case_text(c, to), "\n%0");
    return lines ? lines + 1 : "";
}

typedef struct Case {
    const char *before, *after;
} Case;

#define X "%0 x[t]: f[3] = input x\n"
#define OUT "output o[t]: f[3] = "

static const Case simplified[] = {
    /* variables: the name goes to what has none */
    {"%10 a[t]: f[3] = neg %0\n%11 b[t]: f[3] = var %10\n" OUT "%11\n",
     X "%1 a[t]: f[3] = neg %0\n" OUT "%1\n"},
    {"%10 [t]: f[3] = neg %0\n%11 b[t]: f[3] = var %10\n" OUT "%11\n",
     X "%1 b[t]: f[3] = neg %0\n" OUT "%1\n"},
    /* a variable over more indices than its value stays */
    {"%10 b[t]: f[3] = var %8\n" OUT "%10\n",
     "%0: f[3] = const 0.5\n%1 b[t]: f[3] = var %0\n" OUT "%1\n"},
    /* what a recurrence goes through stays, what is only on it goes */
    {"%10 h[t]: f[3] = var %12\n%11 [t]: f[3] = read %10 [t-1] else %5\n%12 g[t]: f[3] = var %13\n"
     "%13 [t]: f[3] = add %11, %0\n" OUT "%10\n",
     X "%1: f[] = const 0.0\n%2 [t]: f[3] = read %4 [t-1] else %1\n%3 g[t]: f[3] = add %2, %0\n"
       "%4 h[t]: f[3] = var %3\n" OUT "%4\n"},
    /* carried state keeps its name */
    {"%10 a[t]: f[3] = neg %0\n%11 l.b[t]: f[3] = var %10\n"
     "%12 [t]: f[3] = read %11 [t-1] else %5 carry l in t\n" OUT "%12\n",
     X "%1: f[] = const 0.0\n%2 a[t]: f[3] = neg %0\n%3 l.b[t]: f[3] = var %2\n"
       "%4 [t]: f[3] = read %3 [t-1] else %1 carry l in t\n" OUT "%4\n"},
    /* and is known as such where the name has gone to */
    {"%10 l.b[t]: f[3] = var %11\n%11 [t]: f[3] = neg %12\n%12 [t]: f[3] = neg %13\n"
     "%13 a[t]: f[3] = exp %0\n%14 [t]: f[3] = read %10 [t-1] else %5 carry l in t\n" OUT "%14\n",
     X "%1: f[] = const 0.0\n%2 a[t]: f[3] = exp %0\n%3 [t]: f[3] = neg %2\n"
       "%4 l.b[t]: f[3] = neg %3\n%5 [t]: f[3] = read %4 [t-1] else %1 carry l in t\n" OUT "%5\n"},
    {"%10 [t]: f[3] = neg %0\n%11 l.b[t]: f[3] = var %10\n"
     "%12 [t]: f[3] = read %11 [t-1] else %5 carry l in t\n" OUT "%12\n",
     X "%1: f[] = const 0.0\n%2 l.b[t]: f[3] = neg %0\n"
       "%3 [t]: f[3] = read %2 [t-1] else %1 carry l in t\n" OUT "%3\n"},
    /* detach matters to gradients alone, and so stays in training */
    {"%10 [t]: f[3] = detach %0\n" OUT "%10\n", X "%1 [t]: f[3] = detach %0\n" OUT "%1\n"},
    /* constants */
    {"%10: f[] = const 9.0\n%11: f[] = sqrt %10\n%12: f[3] = div %8, %11\n%13 [t]: f[3] = mul %0, "
     "%12\n" OUT "%13\n",
     X "%1: f[3] = const 0.16666666666666666\n%2 [t]: f[3] = mul %0, %1\n" OUT "%2\n"},
    {"%10: int[] = const 7.0\n%11: int[] = const 2.0\n%12: int[] = mod %10, %11\n%13: bool[] = lt "
     "%12, %11\n"
     "output o: int[] = %12\noutput q: bool[] = %13\n",
     "%0: int[] = const 1.0\n%1: bool[] = const 1.0\noutput o: int[] = %0\noutput q: bool[] = "
     "%1\n"},
    {"%10: int[] = const 7.0\n%11: int[] = const 0.0\n%12: int[] = mod %10, %11\noutput o: int[] = "
     "%12\n",
     "%0: int[] = const 7.0\n%1: int[] = const 0.0\n%2: int[] = mod %0, %1\noutput o: int[] = "
     "%2\n"},
    {"%10: f[2, 3] = broadcast %11\n%11: f[1, 3] = reshape %8\noutput o: f[2, 3] = %10\n",
     "%0: f[2, 3] = const 0.5\noutput o: f[2, 3] = %0\n"},
    {"%10: f[] = div %5, %5\noutput o: f[] = %10\n", "%0: f[] = const nan\noutput o: f[] = %0\n"},
    /* neutral elements */
    {"%10 [t]: f[3] = mul %0, %7\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[3] = div %0, %7\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[3] = sub %0, %5\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[3] = add %6, %0\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[3] = sigmoid %0\n%11 [t]: f[3] = add %10, %5\n" OUT "%11\n",
     X "%1 [t]: f[3] = sigmoid %0\n" OUT "%1\n"},
    /* … where they would change a bit: -0 + 0, nan * 0, -0 - -0 */
    {"%10 [t]: f[3] = add %0, %5\n" OUT "%10\n",
     X "%1: f[] = const 0.0\n%2 [t]: f[3] = add %0, %1\n" OUT "%2\n"},
    {"%10 [t]: f[3] = mul %0, %5\n" OUT "%10\n",
     X "%1: f[] = const 0.0\n%2 [t]: f[3] = mul %0, %1\n" OUT "%2\n"},
    {"%10 [t]: f[3] = sub %0, %6\n" OUT "%10\n",
     X "%1: f[] = const -0.0\n%2 [t]: f[3] = sub %0, %1\n" OUT "%2\n"},
    {"%10: bool[] = and %9, %2\noutput o: bool[] = %10\n",
     "%0 c: bool[] = input c\noutput o: bool[] = %0\n"},
    {"%10: bool[] = or %2, %9\noutput o: bool[] = %10\n",
     "%0: bool[] = const 1.0\noutput o: bool[] = %0\n"},
    /* twice */
    {"%10 [t]: f[3] = neg %0\n%11 [t]: f[3] = neg %10\n" OUT "%11\n", X OUT "%0\n"},
    {"%10: f[3, 4] = transpose %3\n%11: f[4, 3] = transpose %10\noutput o: f[4, 3] = %11\n",
     "%0: f[4, 3] = param W\noutput o: f[4, 3] = %0\n"},
    {"%10: f[12] = reshape %3\n%11: f[6, 2] = reshape %10\n%12: f[4, 3] = reshape %11\n"
     "output o: f[4, 3] = %12\n",
     "%0: f[4, 3] = param W\noutput o: f[4, 3] = %0\n"},
    /* selects: a branch, over the domain of the select */
    {"%10 [t]: f[3] = select %9, %0, %8\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[3] = select %9, %8, %0\n" OUT "%10\n",
     "%0: f[3] = const 0.5\n%1 [t]: f[3] = var %0\n" OUT "%1\n"},
    {"%10: f[] = sum %8\n%11: f[3] = select %9, %10, %8\noutput o: f[3] = %11\n",
     "%0: f[3] = const 0.5\n%1: f[] = sum %0\n%2: f[3] = broadcast %1\noutput o: f[3] = %2\n"},
    /* reads at the reader's own position */
    {"%10 [t]: f[3] = read %0 [t]\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[3] = read %0 [t] else %8\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [s]: f[3] = read %0 [s]\noutput o[s]: f[3] = %10\n",
     X "%1 [s]: f[3] = read %0 [s]\noutput o[s]: f[3] = %1\n"},
    {"%10: f[3] = read %8 []\noutput o: f[3] = %10\n",
     "%0: f[3] = const 0.5\noutput o: f[3] = %0\n"},
    {"%10 [t]: f[3] = read %11 [t-1] else %5\n%11 [t]: f[3] = hold %0, %10 over t every 1\n" OUT
     "%11\n",
     X OUT "%0\n"},
    /* moves of nothing */
    {"%10 [t]: f[3] = concat %0\n" OUT "%10\n", X OUT "%0\n"},
    {"%10: f[1] = concat %7\noutput o: f[1] = %10\n",
     "%0: f[1] = const 1.0\noutput o: f[1] = %0\n"},
    {"%10 [t]: f[3] = slice %0 [0:3]\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[3] = broadcast %0\n" OUT "%10\n", X OUT "%0\n"},
    {"%10 [t]: f[] = sum %0\n%11 [t]: f[1, 3] = broadcast %10\n%12 [t]: f[2, 3] = broadcast %11\n"
     "output o[t]: f[2, 3] = %12\n",
     X "%1 [t]: f[] = sum %0\n%2 [t]: f[2, 3] = broadcast %1\noutput o[t]: f[2, 3] = %2\n"},
    {"%10 [t]: f[3] = float %0\n" OUT "%10\n", X OUT "%0\n"},
    /* one-hot products */
    {"%10 [t]: f[3] = onehot %1\n%11 [t]: f[4] = matmul %3, %10\noutput o[t]: f[4] = %11\n",
     "%0 w[t]: int(3)[] = input w\n%1: f[4, 3] = param W\n%2: f[3, 4] = transpose %1\n"
     "%3 [t]: f[4] = gather %2, %0\noutput o[t]: f[4] = %3\n"},
    {"%10 [t]: f[3] = onehot %1\n%11 [t]: f[4] = matmul %10, %4\noutput o[t]: f[4] = %11\n",
     "%0 w[t]: int(3)[] = input w\n%1: f[3, 4] = param U\n%2 [t]: f[4] = gather %1, %0\n"
     "output o[t]: f[4] = %2\n"},
    {"%10 [t]: f[3] = onehot %1\n%11: f[3, 4] = transpose %3\n%12: f[4, 3] = transpose %11\n"
     "%13 [t]: f[4] = matmul %12, %10\noutput o[t]: f[4] = %13\n",
     "%0 w[t]: int(3)[] = input w\n%1: f[4, 3] = param W\n%2: f[3, 4] = transpose %1\n"
     "%3 [t]: f[4] = gather %2, %0\noutput o[t]: f[4] = %3\n"},
};

static const Case merged[] = {
    {"%10 [t]: f[3] = neg %0\n%11 [t]: f[3] = neg %0\n%12 [t]: f[3] = add %10, %11\n" OUT "%12\n",
     X "%1 [t]: f[3] = neg %0\n%2 [t]: f[3] = add %1, %1\n" OUT "%2\n"},
    /* through several levels, and against the order of ids */
    {"%10 [t]: f[3] = exp %12\n%11 [t]: f[3] = exp %13\n%12 [t]: f[3] = neg %0\n%13 [t]: f[3] = "
     "neg %0\n"
     "%14 [t]: f[3] = sub %10, %11\n" OUT "%14\n",
     X "%1 [t]: f[3] = neg %0\n%2 [t]: f[3] = exp %1\n%3 [t]: f[3] = sub %2, %2\n" OUT "%3\n"},
    /* a product either way round, a sum not */
    {"%10 [t]: f[3] = mul %0, %8\n%11 [t]: f[3] = mul %8, %0\n%12 [t]: f[3] = sub %10, %11\n" OUT
     "%12\n",
     X "%1: f[3] = const 0.5\n%2 [t]: f[3] = mul %0, %1\n%3 [t]: f[3] = sub %2, %2\n" OUT "%3\n"},
    {"%10 [t]: f[3] = add %0, %8\n%11 [t]: f[3] = add %8, %0\n%12 [t]: f[3] = sub %10, %11\n" OUT
     "%12\n",
     X "%1: f[3] = const 0.5\n%2 [t]: f[3] = add %0, %1\n%3 [t]: f[3] = add %1, %0\n"
       "%4 [t]: f[3] = sub %2, %3\n" OUT "%4\n"},
    /* 0 and -0 are two constants */
    {"%10 [t]: f[3] = add %0, %5\n%11 [t]: f[3] = add %10, %6\n" OUT "%11\n",
     X "%1: f[] = const 0.0\n%2: f[] = const -0.0\n%3 [t]: f[3] = add %0, %1\n"
       "%4 [t]: f[3] = add %3, %2\n" OUT "%4\n"},
    /* draws of one site, of two */
    {"%10 [t]: f[3] = draw %7 normal a [t]\n%11 [t]: f[3] = draw %7 normal a [t]\n"
     "%12 [t]: f[3] = draw %7 normal b [t]\n%13 [t]: f[3] = concat %14, %15, %16\n"
     "%14 [t]: f[] = sum %10\n%15 [t]: f[] = sum %11\n%16 [t]: f[] = sum %12\n" OUT "%13\n",
     "%0: f[] = const 1.0\n%1 [t]: f[3] = draw %0 normal a [t]\n%2 [t]: f[3] = draw %0 normal b "
     "[t]\n"
     "%3 [t]: f[] = sum %1\n%4 [t]: f[] = sum %2\n%5 [t]: f[3] = concat %3, %3, %4\n" OUT "%5\n"},
    /* reads of other positions */
    {"%10 [t]: f[3] = read %0 [t-1] else %5\n%11 [t]: f[3] = read %0 [t-1] else %5\n"
     "%12 [t]: f[3] = read %0 [t-2] else %5\n%13 [t]: f[3] = clip %10, %11, %12\n" OUT "%13\n",
     X "%1: f[] = const 0.0\n%2 [t]: f[3] = read %0 [t-1] else %1\n"
       "%3 [t]: f[3] = read %0 [t-2] else %1\n%4 [t]: f[3] = clip %2, %2, %3\n" OUT "%4\n"},
    /* reductions over different ranges; sums over different dims */
    {"%10: f[3] = tsum %0 over t\n%11: f[3] = tsum %0 over t [2, )\n%12: f[3] = tsum %0 over t "
     "mirrored\n"
     "%13: f[3] = tsum %0 over t\n%14: f[12] = concat %10, %11, %12, %13\noutput o: f[12] = %14\n",
     X "%1: f[3] = tsum %0 over t\n%2: f[3] = tsum %0 over t [2, )\n%3: f[3] = tsum %0 over t "
       "mirrored\n"
       "%4: f[12] = concat %1, %2, %3, %1\noutput o: f[12] = %4\n"},
    /* named variables keep apart, carried state too */
    {"%10 a[t]: f[3] = var %0\n%11 b[t]: f[3] = var %0\n%12 [t]: f[3] = sub %10, %11\n" OUT "%12\n",
     X "%1 a[t]: f[3] = var %0\n%2 b[t]: f[3] = var %0\n%3 [t]: f[3] = sub %1, %2\n" OUT "%3\n"},
    /* one value over other positions: not the same, either way round */
    {"%10 [t]: f[3] = var %8\n%11 [t, u]: f[3] = var %8\n%12 [t, u]: f[3] = sub %10, %11\n"
     "output o[t, u]: f[3] = %12\n",
     "%0: f[3] = const 0.5\n%1 [t]: f[3] = var %0\n%2 [t, u]: f[3] = var %0\n"
     "%3 [t, u]: f[3] = sub %1, %2\noutput o[t, u]: f[3] = %3\n"},
    {"%10 [t, u]: f[3] = var %8\n%11 [t]: f[3] = var %8\n%12 [t, u]: f[3] = sub %10, %11\n"
     "output o[t, u]: f[3] = %12\n",
     "%0: f[3] = const 0.5\n%1 [t, u]: f[3] = var %0\n%2 [t]: f[3] = var %0\n"
     "%3 [t, u]: f[3] = sub %1, %2\noutput o[t, u]: f[3] = %3\n"},
    {"%10 l.a[t]: f[3] = neg %0\n%11 l.b[t]: f[3] = neg %0\n"
     "%12 [t]: f[3] = read %10 [t-1] else %5 carry l in t\n"
     "%13 [t]: f[3] = read %11 [t-1] else %5 carry l in t\n%14 [t]: f[3] = sub %12, %13\n" OUT
     "%14\n",
     X "%1: f[] = const 0.0\n%2 l.a[t]: f[3] = neg %0\n%3 l.b[t]: f[3] = neg %0\n"
       "%4 [t]: f[3] = read %2 [t-1] else %1 carry l in t\n"
       "%5 [t]: f[3] = read %3 [t-1] else %1 carry l in t\n%6 [t]: f[3] = sub %4, %5\n" OUT "%6\n"},
};

static void check_cases(const char *pass, const Case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        GraphCase c;
        bool changed;
        const char *got = after(&c, pass, cases[i].before, &changed);
        if (strcmp(got, cases[i].after) != 0)
            fail_msg("%s of\n%sgives\n%swanted\n%s", pass, cases[i].before, got, cases[i].after);
        graph_case_free(&c);
    }
}

static void test_simplify(void **state) {
    (void)state;
    check_cases("simplify", simplified, sizeof simplified / sizeof *simplified);
}

static void test_cse(void **state) {
    (void)state;
    check_cases("cse", merged, sizeof merged / sizeof *merged);
}

static void test_infer_drops_detach(void **state) {
    (void)state;
    GraphCase c = graph_case("graph m infer\ninput x: f[] = %0\n%0: f[] = input x\n"
                             "%1: f[] = detach %0\noutput o: f[] = %1\n");
    bool changed;
    Graph *to = pass_simplify(c.graph, &changed);
    assert_int_equal(graph_case_count(to, OP_DETACH), 0);
    graph_case_free(&c);
}

static void test_dce(void **state) {
    (void)state;
    GraphCase c = graph_case(
        "graph m train\naxis t run\naxis g run most 4 generated\nindex t in t\nindex g in g\n"
        "input x[t]: f[] = %0\ninput y: f[] = %1 default %2\ninput z: f[] = %3 default %4\n"
        "param W: f[] = 0.0\ncarry l in t\n"
        "%0 [t]: f[] = input x\n%1: f[] = input y\n%2: f[] = const 1.0\n%3: f[] = input z\n"
        "%4: f[] = const 2.0\n%5: f[] = param W\n%6: f[] = exp %3\n"
        "%7: bool[] = lt %2, %3\n%8: f[] = const 3.0\n%9: f[] = const 4.0\n%10 [t]: f[] = neg %0\n"
        "%11 [t]: f[] = read %10 [t-1] else %9 carry l in t\n%12 [t]: f[] = read %10 [t-1] else "
        "%8\n"
        "output o: f[] = %6\nloss %8 per %9\nstop g when %7\n");
    bool changed;
    Graph *to = pass_dce(c.graph, &changed);
    assert_true(changed && graph_verify(to, "dce", c.diags));
    assert_int_equal(to->inputs.at[1].node, -1);
    assert_int_equal(to->inputs.at[1].fallback, -1);
    assert_true(to->inputs.at[2].node >= 0 && to->inputs.at[2].fallback >= 0);
    assert_int_equal(to->params.count, 1);
    assert_int_equal(graph_case_count(to, OP_PARAM), 0);
    assert_int_equal(graph_case_count(to, OP_READ), 1);
    assert_int_equal(to->nodes.count, 10);
    Graph *again = pass_dce(to, &changed);
    assert_true(!changed && again == to);
    graph_case_free(&c);
}

typedef struct Count {
    const char *body;
    Op gone;
    int nodes; /* left, after dce */
} Count;

#define Y "output o[t]: f[] = %10\n"

static const Count expanded[] = {
    {"%10 [t]: f[3] = softmax %0\n" OUT "%10\n", OP_SOFTMAX, 7},
    {"%10 [t]: f[3] = log_softmax %0\n" OUT "%10\n", OP_LOG_SOFTMAX, 8},
    {"%10 [t]: f[] = logsumexp %0\n" Y, OP_LOGSUMEXP, 21},
    {"%10: f[4, 3] = softmax %3\noutput o: f[4, 3] = %10\n", OP_SOFTMAX, 11},
    {"%10 [t]: f[3] = layernorm %0\n" OUT "%10\n", OP_LAYERNORM, 13},
    {"%10 [t]: f[] = xent %0, %1\n" Y, OP_XENT, 16},
    {"%10 [t]: f[] = nll %0, %1\n" Y, OP_NLL, 4},
    {"%10 [t]: f[] = mse %0, %8\n" Y, OP_MSE, 7},
    {"%10 [t]: f[] = bce %0, %8\n" Y, OP_BCE, 8},
    {"%10 [t]: f[] = dot %0, %8\n" Y, OP_DOT, 4},
    {"%10 [t]: f[3, 3] = outer %0, %0\noutput o[t]: f[3, 3] = %10\n", OP_OUTER, 6},
    {"%10 [t]: f[3] = silu %0\n" OUT "%10\n", OP_SILU, 3},
    {"%10 [t]: f[3] = gelu %0\n" OUT "%10\n", OP_GELU, 9},
    {"%10 [t]: f[3] = softsign %0\n" OUT "%10\n", OP_SOFTSIGN, 5},
    {"%10 [t]: f[3] = hard_sigmoid %0\n" OUT "%10\n", OP_HARD_SIGMOID, 8},
    {"%10 [t]: f[3] = hard_tanh %0\n" OUT "%10\n", OP_HARD_TANH, 4},
    {"%10 [t]: f[3] = rsqrt %0\n" OUT "%10\n", OP_RSQRT, 4},
    {"%10 [t]: f[3] = square %0\n" OUT "%10\n", OP_SQUARE, 2},
    {"%10 [t]: f[3] = leaky_relu %0, %7\n" OUT "%10\n", OP_LEAKY_RELU, 6},
    {"%10 [t]: f[3] = elu %0, %7\n" OUT "%10\n", OP_ELU, 9},
    {"%10 [t]: f[] = mean %0\n" Y, OP_MEAN, 4},
    {"%10: f[3] = tmean %0 over t\noutput o: f[3] = %10\n", OP_TMEAN, 7},
    {"%10: f[3] = tlogsumexp %0 over t\noutput o: f[3] = %10\n", OP_TLOGSUMEXP, 21},
    {"%10 [t]: f[3] = tsoftmax %0 over t\n" OUT "%10\n", OP_TSOFTMAX, 7},
};

static void test_expand(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof expanded / sizeof *expanded; i++) {
        GraphCase c;
        bool changed;
        const char *got = after(&c, "expand", expanded[i].body, &changed);
        int nodes = 0;
        char gone[32];
        assert_true(changed);
        for (const char *line = got; line && *line;
             line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
            nodes += *line == '%';
        snprintf(gone, sizeof gone, " = %s ", op_info[expanded[i].gone].text);
        if (strstr(got, gone) || nodes != expanded[i].nodes)
            fail_msg("%d nodes, not %d\n%s", nodes, expanded[i].nodes, got);
        graph_case_free(&c);
    }
}

/* Operands get the shape and the type of the result; scalars stay. */
static const Case made_equal[] = {
    {"%10: f[1, 3] = reshape %8\n%11: f[4, 3] = mul %3, %10\noutput o: f[4, 3] = %11\n",
     "%0: f[4, 3] = param W\n%1: f[3] = const 0.5\n%2: f[1, 3] = reshape %1\n%3: f[4, 3] = "
     "broadcast %2\n"
     "%4: f[4, 3] = mul %0, %3\noutput o: f[4, 3] = %4\n"},
    {"%10 [t]: f[3] = mul %0, %2\n" OUT "%10\n",
     X "%1 c: bool[] = input c\n%2: f[] = float %1\n%3 [t]: f[3] = mul %0, %2\n" OUT "%3\n"},
    {"%10 [t]: int[] = add %1, %2\noutput o[t]: int[] = %10\n",
     "%0 w[t]: int(3)[] = input w\n%1 c: bool[] = input c\n%2: int[] = const 1.0\n%3: int[] = "
     "const 0.0\n"
     "%4: int[] = select %1, %2, %3\n%5 [t]: int[] = add %0, %4\noutput o[t]: int[] = %5\n"},
    {"%10 [t]: bool[] = lt %1, %7\noutput o[t]: bool[] = %10\n",
     "%0 w[t]: int(3)[] = input w\n%1: f[] = const 1.0\n%2 [t]: f[] = float %0\n%3 [t]: bool[] = "
     "lt %2, %1\n"
     "output o[t]: bool[] = %3\n"},
    {"%10 a[t]: f[3] = square %0\n" OUT "%10\n", X "%1 a[t]: f[3] = mul %0, %0\n" OUT "%1\n"},
};

static void test_expand_equal(void **state) {
    (void)state;
    check_cases("expand", made_equal, sizeof made_equal / sizeof *made_equal);
}

typedef struct Seen {
    int passes, timed;
    char order[200];
} Seen;

static void saw(void *user, const Pass *pass, const Graph *graph, bool changed) {
    Seen *seen = user;
    (void)graph;
    (void)changed;
    seen->passes++;
    strcat(seen->order, pass->name);
    strcat(seen->order, " ");
}

static double ticks(void *user) {
    return ++((Seen *)user)->timed;
}

static void took(void *user, const Pass *pass, double seconds) {
    (void)user;
    (void)pass;
    assert_true(seconds == 1);
}

static void test_runner(void **state) {
    (void)state;
    char *text = graph_case_file("tests/golden/graph/gru.graph");
    GraphCase c = graph_case(text);
    Seen seen = {0};
    const char *const off[] = {"cse", "cse"};
    PassOptions options = {.verify_each = true,
                           .needs = FORM_PRIMITIVE,
                           .user = &seen,
                           .after = saw,
                           .clock = ticks,
                           .timing = took};
    assert_non_null(passes_run(c.graph, &options, c.diags));
    assert_string_equal(seen.order, "simplify cse expand simplify cse dce ");
    assert_int_equal(seen.timed, 2 * seen.passes);
    seen = (Seen){0};
    options.disabled = off;
    options.disabled_count = 2;
    assert_non_null(passes_run(c.graph, &options, c.diags));
    assert_string_equal(seen.order, "simplify expand simplify dce ");
    assert_int_equal(c.diags->list.count, 1);
    assert_string_equal(c.diags->list.at[0]->code, "W-BITS");
    const char *const always[] = {"expand"}, *const wrong[] = {"simplfy"};
    options.disabled = always;
    options.disabled_count = 1;
    assert_null(passes_run(c.graph, &options, c.diags));
    options.disabled_count = 0;
    options.names = wrong;
    options.name_count = 1;
    assert_null(passes_run(c.graph, &options, c.diags));
    assert_non_null(strstr(graph_case_errors(&c), "did you mean 'simplify'"));
    const char *const without[] = {"simplify", "dce"};
    options.needs = 0;
    options.names = without;
    options.name_count = 2;
    assert_non_null(passes_run(c.graph, &options, c.diags));
    options.needs = FORM_PRIMITIVE;
    assert_null(passes_run(c.graph, &options, c.diags));
    assert_non_null(strstr(graph_case_errors(&c), "'expand' cannot be left out"));
    options.names = always;
    options.name_count = 1;
    seen = (Seen){0};
    assert_non_null(passes_run(c.graph, &options, c.diags));
    assert_string_equal(seen.order, "expand ");
    Text list = text_new(c.arena);
    pass_list(&list);
    assert_non_null(strstr(text_string(&list), "dce "));
    graph_case_free(&c);
    free(text);
}

/* The verifier names the pass that broke a graph; here it was broken before. */
static void test_verify_each(void **state) {
    (void)state;
    GraphCase c = graph_case("graph m train\ninput x: f[3] = %0\n%0: f[3] = input x\n"
                             "%1: f[3] = neg %0\noutput o: f[3] = %1\n");
    c.graph->nodes.at[1]->type.shape.dim[0] = 2;
    PassOptions options = {.verify_each = true};
    assert_null(passes_run(c.graph, &options, c.diags));
    assert_non_null(strstr(graph_case_errors(&c), "after simplify: "));
    graph_case_free(&c);
}

static void test_axes_needed(void **state) {
    (void)state;
    GraphCase c = graph_case("graph m train\naxis a run\naxis b run\naxis c run\naxis d run\n"
                             "index a in a\nindex b in b\nindex c in c\nindex d in d\n"
                             "%0 [a]: int[] = index a\n%1: f[] = tmean %0 over a\n"
                             "%2 [b]: int[] = index b\n%3: int[] = read %2 [last]\n"
                             "%4 [c]: int[] = index c\n%5: int[] = tsum %4 over c\n"
                             "%6 [d]: int[] = index d\n%7: f[] = tmax %6 over d [0, 3)\n"
                             "%8: f[] = tmean %4 over c\n" /* reaches nothing */
                             "output p: f[] = %1\noutput q: int[] = %3\n"
                             "output r: int[] = %5\noutput s: f[] = %7\n");
    assert_non_null(c.graph);
    bool needed[4];
    passes_axes_needed(c.graph, needed);
    assert_true(needed[0] && needed[1] && !needed[2] && !needed[3]);
    graph_case_free(&c);
}

/* 100,000 nodes in one chain, and one cycle of as many: no pass recurses. */
static void test_long(void **state) {
    (void)state;
    for (int cyclic = 0; cyclic < 2; cyclic++) {
        GraphCase c =
            graph_case("graph m infer\naxis t run\nindex t in t\ninput x[t]: f[] = %0\n"
                       "%0 [t]: f[] = input x\n%1: f[] = const 0.0\n%2 h[t]: f[] = var %0\n"
                       "%3 [t]: f[] = read %2 [t-1] else %1\n");
        int last = cyclic ? 3 : 0;
        for (int i = 0; i < 100000; i++)
            last =
                graph_node(c.graph, i % 2 ? OP_TANH : OP_VAR, 1, &last, NULL, (Span){0});
        c.graph->nodes.at[2]->in[0] = last;
        vec_push(c.arena, &c.graph->outputs,
                 (GraphPort){
                     .name = name_of(c.names, "o"), .node = 2, .fallback = -1, .index_count = 1});
        Graph *to = passes_run(c.graph, NULL, c.diags);
        assert_non_null(to);
        assert_int_equal(graph_case_count(to, OP_TANH), 50000);
        assert_int_equal(graph_case_count(to, OP_VAR), cyclic);
        assert_true(graph_verify(to, "all", c.diags));
        graph_case_free(&c);
    }
}

static bool close(double a, double b) {
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b)) return a == b;
    return fabs(a - b) <= 1e-9 * fmax(1, fmax(fabs(a), fabs(b)));
}

static void compare(Arena *arena, const Graph *before, const Graph *now, uint32_t seed,
                    const char *pass, int *ran) {
    InterpResult *a = random_run(arena, before, seed), *b = random_run(arena, now, seed);
    if (a->status != INTERP_OK) return; /* not causal, or a value out of range: nothing to keep */
    if (b->status != INTERP_OK) fail_msg("seed %u, %s: %s", seed, pass, b->message);
    ++*ran;
    for (int i = 0; i < before->outputs.count; i++) {
        int64_t size = random_output_size(&before->outputs.at[i]);
        for (int64_t k = 0; k < size; k++)
            if (!close(a->outputs[i][k], b->outputs[i][k])) {
                Text text = text_new(arena);
                graph_print(before, &text);
                fail_msg("seed %u, %s, output %s[%d]: %.17g became %.17g\n%s", seed, pass,
                         before->outputs.at[i].name, (int)k, a->outputs[i][k], b->outputs[i][k],
                         getenv("RNNC_VERBOSE") ? text_string(&text) : "");
            }
    }
}

/* Folding gives what the interpreter gives, NaN, infinities and signs of zeros included. */
static void test_fold(void **state) {
    (void)state;
    static const double values[] = {0.0, -0.0, 1, -2.5, 0.75, -40, 1e300, INFINITY, -INFINITY, NAN};
    enum { VALUES = sizeof values / sizeof *values };
    for (int op = OP_VAR; op <= OP_CLIP; op++) {
        GraphCase c = graph_case("graph m train\n");
        bool logic = op == OP_NOT || op == OP_AND || op == OP_OR, changed;
        int count = op_info[op].least, all = count == 1   ? VALUES
                                             : count == 2 ? VALUES * VALUES
                                                          : VALUES * VALUES * VALUES;
        for (int i = 0; i < all; i++) {
            int rest = i, in[3];
            for (int k = 0; k < count; k++, rest /= VALUES) {
                bool truth = logic || (op == OP_SELECT && k == 0);
                double value = values[rest % VALUES];
                in[k] = graph_const(c.graph, truth ? value > 0 : value, truth ? DT_BOOL : DT_FLOAT,
                                    (Shape){0}, (Span){0});
            }
            int id = graph_node(c.graph, (Op)op, count, in, NULL, (Span){0});
            vec_push(c.arena, &c.graph->outputs,
                     (GraphPort){.name = name_of(c.names, arena_printf(c.arena, "o%d", i)),
                                 .type = c.graph->nodes.at[id]->type,
                                 .node = id,
                                 .fallback = -1});
        }
        Graph *to = pass_simplify(c.graph, &changed);
        int dropped = graph_case_count(to, (Op)op);
        if (op != OP_DETACH && dropped > 0)
            fail_msg("%d of %s are left", dropped, op_info[op].text);
        InterpResult *a = random_run(c.arena, c.graph, 1), *b = random_run(c.arena, to, 1);
        assert_true(a->status == INTERP_OK && b->status == INTERP_OK);
        for (int i = 0; i < all; i++) {
            double x = a->outputs[i][0], y = b->outputs[i][0];
            /* ops.def: a NaN operand gives NaN; libm's pow has two exceptions. */
            if (op == OP_POW && (isnan(values[i % VALUES]) || isnan(values[i / VALUES % VALUES])))
                x = (double)NAN;
            bool same = isnan(x) ? isnan(y)
                        : x == y ? signbit(x) == signbit(y)
                                 : fabs(x - y) <= 4e-16 * fabs(x) + 1e-17;
            if (!same)
                fail_msg("%s of %g %g %g: %.17g, folded %.17g", op_info[op].text,
                         values[i % VALUES], values[i / VALUES % VALUES],
                         values[i / VALUES / VALUES], x, y);
        }
        graph_case_free(&c);
    }
}

static void test_random(void **state) {
    (void)state;
    int used[OP_COUNT] = {0}, ran = 0, runs = 0, passes;
    const Pass *table = pass_table(&passes);
    for (uint32_t seed = 1; seed <= 400; seed++) {
        GraphCase c = graph_case_bytes("graph m train", 13);
        RandomGraph r = random_graph(c.arena, c.names, seed, 40);
        for (int op = 0; op < OP_COUNT; op++) used[op] += r.used[op];
        if (!graph_verify(r.graph, "random", c.diags))
            fail_msg("seed %u\n%s", seed, graph_case_errors(&c));
        const char *order[6];
        for (int i = 0; i < 6; i++) order[i] = table[random_below(&r, passes)].name;
        PassOptions whole = {.verify_each = true};
        PassOptions shuffled = {.names = order, .name_count = 6, .verify_each = true};
        for (int i = 0; i <= passes + 1; i++) {
            bool changed = true;
            Graph *to = i < passes ? table[i].run(r.graph, &changed)
                                   : passes_run(r.graph, i == passes ? &whole : &shuffled, c.diags);
            const char *name = i < passes ? table[i].name : i == passes ? "all" : "any order";
            if (!to || !graph_verify(to, name, c.diags))
                fail_msg("seed %u\n%s", seed, graph_case_errors(&c));
            if (i == passes)
                for (int k = 0; k < to->nodes.count; k++)
                    assert_true(op_primitive(to->nodes.at[k]->op));
            compare(c.arena, r.graph, to, seed, name, &ran);
            runs++;
        }
        graph_case_free(&c);
    }
    for (int op = OP_CONST; op < OP_COUNT; op++)
        if (used[op] == 0) fail_msg("no random graph has %s", op_info[op].text);
    if (ran * 2 < runs) fail_msg("only %d of %d could be run", ran, runs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_simplify),
        cmocka_unit_test(test_cse),
        cmocka_unit_test(test_infer_drops_detach),
        cmocka_unit_test(test_dce),
        cmocka_unit_test(test_expand),
        cmocka_unit_test(test_expand_equal),
        cmocka_unit_test(test_runner),
        cmocka_unit_test(test_verify_each),
        cmocka_unit_test(test_axes_needed),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
