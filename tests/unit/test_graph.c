/* The Graph: its text form there and back for every operation, hostile texts, and each rule of the
 * verifier by a graph that breaks it. */
#include "graph_case.h"

static void check_same(const char *path) {
    char *text = graph_case_file(path);
    GraphCase c = graph_case(text);
    assert_string_equal(graph_case_text(&c, c.graph), text);
    graph_case_free(&c);
    free(text);
}

static void test_round_trip(void **state) {
    (void)state;
    check_same("tests/golden/graph/gru.graph");
    check_same("tests/golden/graph/all_ops.graph");
}

static void test_all_ops_are_there(void **state) {
    (void)state;
    char *text = graph_case_file("tests/golden/graph/all_ops.graph");
    GraphCase c = graph_case(text);
    for (int op = 0; op < OP_COUNT; op++)
        if (graph_case_count(c.graph, (Op)op) == 0) fail_msg("no %s", op_info[op].text);
    graph_case_free(&c);
    free(text);
}

static void test_names_and_spaces(void **state) {
    (void)state;
    GraphCase c =
        graph_case("# a comment\n\n  graph   \"a \\\"b\\\\ \\x07\"  eval # another\n"
                   "axis \"len\" run\nindex \"first\" in \"len\"\n"
                   "input x[ \"first\" ] : f[ 2 ]=%0\n"
                   "%0[\"first\"]:f[2]=input x\n%1:f[2]=tsum %0 over \"first\"[ , len)\n");
    assert_string_equal(c.graph->model, "a \"b\\ \a");
    assert_string_equal(graph_case_text(&c, c.graph),
                        "graph \"a \\\"b\\\\ \\x07\" eval\naxis \"len\" run\n"
                        "index \"first\" in \"len\"\ninput x[\"first\"]: f[2] = %0\n"
                        "%0 [\"first\"]: f[2] = input x\n"
                        "%1: f[2] = tsum %0 over \"first\" [, len)\n");
    graph_case_free(&c);
}

/* Where a bound is a quoted index it is no length. */
static void test_quoted_is_no_word(void **state) {
    (void)state;
    GraphCase c = graph_case("graph m eval\naxis t run\nindex s in t\nindex \"len\" in t\n"
                             "input x[s]: f[] = %0\n%0 [s]: f[] = input x\n"
                             "%1 [\"len\"]: f[] = tsum %0 over s [, \"len\")\n"
                             "%2: f[] = tsum %0 over s [, len)\n");
    assert_int_equal(c.graph->nodes.at[1]->attr.high.kind, BOUND_INDEX);
    assert_int_equal(c.graph->nodes.at[2]->attr.high.kind, BOUND_LAST);
    graph_case_free(&c);
}

typedef struct Bad {
    const char *text, *message;
} Bad;

static const Bad bad_texts[] = {
    {"", "no line 'graph NAME MODE'"},
    {"graph m", "expected infer, eval or train"},
    {"graph m train x", "expected the end of the line"},
    {"graph m train\nfoo", "expected a line of a graph"},
    {"graph m train\naxis t", "expected 'run'"},
    {"graph m train\naxis t slow v every 2", "no axis 'v'"},
    {"graph m train\nindex t in t", "no axis 't'"},
    {"graph m train\nparam W: f[2] = [1.0]", "number of values"},
    {"graph m train\nparam W: f[2] ~ foo", "expected an initialiser"},
    {"graph m train\nparam W: f[1, 1, 1, 1, 1, 1, 1, 1, 1] = 0.0", "too many dimensions"},
    {"graph m train\nparam W: f[-1] = 0.0", "dimension out of range"},
    {"graph m train\nparam W: f[99999999999999999999] = 0.0", "number too large"},
    {"graph m train\nparam \"W: f[] = 0.0\n", "quoted name without its end"},
    {"graph m train\nparam W: f[] = 1.0.0\n", "expected a number"},
    {"graph m train\n%1: f[] = const 0.0", "node %1 stands where %0 should"},
    {"graph m train\n%0: f[] = neg %7", "there is no node %7"},
    {"graph m train\n%0: f[] = neg %99999999999", "number out of range"},
    {"graph m train\n%0: f[] = frob %7", "expected an operation"},
    {"graph m train\n%0: f[] = add %0", "add has 1 operands, it takes 2 to 2"},
    {"graph m train\n%0 [t]: f[] = const 0.0", "no index 't'"},
    {"graph m train\n%0: f[] = param W", "no parameter 'W'"},
    {"graph m train\n%0: f[] = input W", "no input 'W'"},
    {"graph m train\n%0: f[] = index t", "no index 't'"},
    {"graph m train\n%0: f[] = const 0.0 carry l in t", "no axis 't'"},
    {"graph m train\noutput y: f[] = %3", "there is no node %3"},
    {"graph m train\nloss %3", "there is no node %3"},
    {"graph m train\n%0: f[] = const 0.0\nloss %0 per %3", "there is no node %3"},
    {"graph m train\naxis t run\nstop t when %3", "there is no node %3"},
    {"graph m train\n%0: f[] = draw foo s []", "expected the kind of the draw"},
};

static void test_bad_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad_texts / sizeof *bad_texts; i++) {
        GraphCase c = graph_case_bytes(bad_texts[i].text, strlen(bad_texts[i].text));
        assert_null(c.graph);
        assert_true(c.diags->errors > 0);
        if (!strstr(graph_case_errors(&c), bad_texts[i].message))
            fail_msg("%s\n%s", bad_texts[i].message, graph_case_errors(&c));
        assert_string_equal(c.diags->list.at[0]->code, "E-SYNTAX");
        graph_case_free(&c);
    }
}

static void survive(const char *text, size_t length) {
    GraphCase c = graph_case_bytes(text, length);
    if (c.graph && graph_verify(c.graph, NULL, c.diags)) {
        const char *once = graph_case_text(&c, c.graph);
        GraphCase again = graph_case_bytes(once, strlen(once));
        if (!again.graph) fail_msg("%s\n%s", once, graph_case_errors(&again));
        assert_string_equal(graph_case_text(&again, again.graph), once);
        graph_case_free(&again);
    } else {
        assert_true(c.diags->errors > 0);
    }
    graph_case_free(&c);
}

static uint32_t next(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Cut texts, texts with bytes changed, and texts with pieces of others in them. */
static void test_hostile(void **state) {
    (void)state;
    static const char bytes[] = "%[]():=,~+-*/\"\\0129tfx .\n\0\xff#";
    char *text = graph_case_file("tests/golden/graph/all_ops.graph");
    size_t length = strlen(text);
    char *work = malloc(length + 1);
    uint32_t seed = 1;
    assert_non_null(work);
    for (size_t cut = 0; cut < length; cut += 7) survive(text, cut);
    for (int round = 0; round < 1500; round++) {
        memcpy(work, text, length + 1);
        for (uint32_t changes = 1 + next(&seed) % 3; changes > 0; changes--) {
            size_t place = next(&seed) % length;
            if (next(&seed) % 2) {
                work[place] = bytes[next(&seed) % (sizeof bytes - 1)];
            } else {
                size_t from = next(&seed) % length, size = next(&seed) % 12;
                if (place + size < length && from + size < length)
                    memcpy(work + place, text + from, size);
            }
        }
        survive(work, length);
    }
    free(work);
    free(text);
}

/* Head of the graphs that break a rule. Nodes %0 … %9 are there. */
static const char head[] =
    "graph m train\naxis t run\naxis v slow t every 2\naxis u run fixed 4\n"
    "index t in t\nindex s in t\nindex v in v\nindex u in u\n"
    "input x[t]: f[3] = %0\ninput w[t]: int(5)[] = %1\ninput p[t]: past(t)[] = %2\n"
    "param W: f[4, 3] ~ glorot\ncarry l in t\n"
    "%0 [t]: f[3] = input x\n%1 [t]: int(5)[] = input w\n%2 [t]: past(t)[] = input p\n"
    "%3: f[4, 3] = param W\n%4: f[] = const 0.0\n%5: bool[] = const 1.0\n%6: int[] = const 1.0\n"
    "%7: f[] = read %4 []\n%8: f[4] = iota\n%9 [v]: f[3] = read %0 [2*v]\n";

static const Bad broken[] = {
    {"%10 [t]: f[2] = neg %0\n", "type is not that of its operands"},
    {"%10 [t]: bool[3] = neg %0\n", "type is not that of its operands"},
    {"%10: f[3] = neg %0\n", "domain lacks an index"},
    {"%10 [t, s]: f[3] = neg %0\n", "domain has 2 indices"},
    {"%10 [s, t]: f[3] = neg %0\n", "domain is not ascending"},
    {"%10 [t]: f[0] = neg %0\n", "dim 0 is 0"},
    {"%10: f[99999, 99999] = const 0.0\n", "elements"},
    {"%10 [t]: f[3] = add %0, %8\n", "dims equal or 1"},
    {"%10 [t]: bool[3] = not %0\n", "not takes a bool"},
    {"%10 [t]: bool[3] = and %0, %5\n", "and, or take bools"},
    {"%10 [t]: f[3] = select %0, %0, %0\n", "condition is no bool"},
    {"%10 [t]: int(5)[] = select %5, %1, %11\n%11: int(4)[] = const 1.0\n",
     "type is not that of its operands"},
    {"%10: int(4)[] = mod %6, %11\n%11: int[] = const 3.0\n", "type is not that of its operands"},
    {"%10 [t]: f[4] = matmul %3, %8\n", "inner dimensions"},
    {"%10 [t]: f[4] = matmul %0, %0\n", "matmul takes"},
    {"%10: f[3] = conv %3, %3 strides [1] pads [0]\n", "conv takes"},
    {"%10: f[4, 1] = maxpool %3 window [4]\n", "window of pooling"},
    {"%10: f[4] = maxpool %8 window []\n", "pooling takes"},
    {"%10: f[4] = transpose %8\n", "transpose takes a matrix"},
    {"%10: f[5] = reshape %8\n", "reshape changes the count"},
    {"%10: f[2] = broadcast %8\n", "broadcast of dims"},
    {"%10 [t]: f[7] = concat %0, %3\n", "ranks of concat"},
    {"%10: f[8, 3] = concat %3, %11\n%11: f[3, 4] = transpose %3\n", "dims of concat"},
    {"%10: f[4] = slice %8 [1:7]\n", "slice out of range"},
    {"%10: f[4] = slice %4 [1:7]\n", "slice of a scalar"},
    {"%10 [t]: f[3] = gather %3, %1\n", "bound of the gathered index"},
    {"%10 [t]: f[3] = gather %3, %0\n", "gather takes an int"},
    {"%10: f[3] = gather %4, %6\n", "gather from a scalar"},
    {"%10 [t]: f[] = dot %0, %8\n", "sizes of dot"},
    {"%10 [t]: f[] = dot %0, %4\n", "no vectors"},
    {"%10: f[] = softmax %4\n", "operand is a scalar"},
    {"%10: f[] = sum %8 dim 1\n", "no such dim"},
    {"%10 [t]: f[3] = onehot %1\n", "bound of onehot"},
    {"%10 [t]: f[3] = bsum %0\n", "bsum of what has time"},
    {"%10: int[] = bsum %6\n", "bsum of no float"},
    {"%10 [t]: f[] = xent %0, %1\n", "bound of the label"},
    {"%10 [t]: f[] = xent %0, %0\n", "the label is no int"},
    {"%10 [t]: f[] = mse %0, %8\n", "shapes of the loss differ"},
    {"%10: f[2, 2] = iota\n", "iota is a vector"},
    {"%10: int(3)[2] = iota\n", "bound of iota"},
    {"%10 [t]: f[3] = read %0 []\n", "0 positions for a source over 1"},
    {"%10 [t]: f[3] = read %0 [t-1]\n", "no boundary value"},
    {"%10 [t]: f[3] = read %0 [%2]\n", "no boundary value"},
    {"%10 [t]: f[3] = read %0 [t-1] else %5\n", "type of the boundary"},
    {"%10 [t]: f[3] = read %0 [t-1] else %8\n", "shape of the boundary"},
    {"%10 [u]: f[3] = read %0 [u]\n", "index of another axis"},
    {"%10 [v]: f[3] = read %0 [3*v]\n", "factor 3"},
    {"%10 [t]: f[3] = read %9 [t/3]\n", "divisor 3"},
    {"%10 [u]: f[3] = read %9 [u/2]\n", "divisor 2"},
    {"%10 [t]: f[3] = read %9 [t/2+1]\n", "offset on a position"},
    {"%10: f[3] = read %0 [first+1]\n", "offset on a position"},
    {"%10 [t]: f[3] = read %0 [%1] else %4\n", "no pointer into the axis"},
    {"%10 [t]: f[3] = read %0 [~t]\n", "a read at a mirror"},
    {"%10 [u]: f[3] = tsum %0 over t [, u)\n", "bound on another axis"},
    {"%10: f[3] = tsum %0 over t [, t)\n", "an index bounds itself"},
    {"%10: f[3] = tconcat %0 over t\n", "axis is not fixed"},
    {"%10 [t]: f[3] = hold %0, %0 over t every 0\n", "every is less than 1"},
    {"%10 [t]: f[3] = hold %0, %1 over t every 2\n", "types of hold"},
    {"%10: f[] = ctc %0, %1 over t, t blank 0\n", "ctc over two indices"},
    {"%10: f[] = ctc %0, %11 over t, u blank 3\n%11 [u]: int(3)[] = draw %8 categorical d [u]\n",
     "type is not that"},
    {"%10 [t]: f[] = draw %4 normal d [t-1]\n%11: f[] = const 0.0 mirrored\n", "mirrored without"},
    {"%10 [t]: f[] = draw %4 normal d [t/2]\n", "a draw is at an index"},
    {"%10 [t]: f[] = draw %4 uniform d [t]\n", "number of arguments"},
    {"%10 [t]: f[] = draw %8 normal d [t]\n", "argument of the draw"},
    {"%10 [t]: int(4)[2] = draw %8 categorical d [t]\n", "categorical takes"},
    {"%10 [t]: f[3] = neg %0 carry l in t\n", "carry 1 of 1"},
    {"input x[t]: f[3]\n", "input 'x' twice"},
    {"input y[t]: f[3] = %0\n", "input 'y' has another node"},
    {"input y: f[3] default %0\n", "default"},
    {"input y[t, t]: f[3]\n", "index 0 twice"},
    {"output y: f[3] = %0\n", "output 'y' lacks an index"},
    {"output y[t]: f[4] = %0\n", "output 'y' has another type"},
    {"output y: f[] = %4\noutput y: f[] = %4\n", "output 'y' twice"},
    {"loss %8\n", "loss is no scalar"},
    {"loss %6\n", "loss is no scalar"},
    {"loss %4 per %8\n", "divisor of a loss"},
    {"stop t when %4\n", "stop is no bool"},
    {"%10 [u]: bool[] = read %5 []\nstop t when %10\n", "domain has 1 indices"},
    {"param W: f[] = 0.0\n", "parameter 'W' twice"},
    {"param Q: f[0] = 0.0\n", "dim 0 is 0"},
    {"axis t run\n", "axis 't' twice"},
    {"axis q slow t every 0\n", "base or rate"},
    {"axis q run fixed 5 most 3\n", "lengths"},
    {"index t in t\n", "index 't' twice"},
    {"carry l in t\n", "carry 'l' twice"},
};

static void test_broken(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        char text[4096];
        snprintf(text, sizeof text, "%s%s", head, broken[i].text);
        GraphCase c = graph_case_bytes(text, strlen(text));
        if (!c.graph) fail_msg("%s\n%s", broken[i].text, graph_case_errors(&c));
        assert_false(graph_verify(c.graph, "breaking", c.diags));
        const char *errors = graph_case_errors(&c);
        if (!strstr(errors, broken[i].message))
            fail_msg("%s\nwanted: %s\n%s", broken[i].text, broken[i].message, errors);
        assert_string_equal(c.diags->list.at[0]->code, "internal");
        assert_non_null(strstr(errors, "after breaking: "));
        graph_case_free(&c);
    }
}

/* What the text cannot say. */
static void test_broken_structure(void **state) {
    (void)state;
    for (int what = 0; what < 8; what++) {
        GraphCase c = graph_case("graph m train\naxis t run\nindex t in t\ninput x[t]: f[3] = %0\n"
                                 "%0 [t]: f[3] = input x\n%1 [t]: f[3] = neg %0\n"
                                 "%2 [t]: f[] = draw %3 normal d [t]\n%3: f[] = const 1.0\n");
        Node *node = c.graph->nodes.at[1];
        if (what == 0) node->id = 2;
        if (what == 1) node->in[0] = 9;
        if (what == 2) node->in_count = 0;
        if (what == 3) node->domain[0] = 7;
        if (what == 4) node->type.bound = 3;
        if (what == 5) node->op = OP_COUNT;
        if (what == 6) c.graph->nodes.at[2]->attr.site = NULL;
        if (what == 7) node->type.shape.rank = 9;
        assert_false(graph_verify(c.graph, NULL, c.diags));
        graph_case_free(&c);
    }
}

static void test_batched(void **state) {
    (void)state;
    GraphCase c = graph_case(
        "graph m train\naxis t run\naxis u run fixed 4\naxis q run fixed 4 generated\n"
        "index t in t\nindex u in u\nindex q in q\nparam W: f[] = 0.0\ninput x: f[] = %10\n"
        "%0: f[] = param W\n"
        "%1 h[t]: f[] = var %2\n"
        "%2 [t]: f[] = add %3, %0\n"
        "%3 [t]: f[] = read %1 [t-1] else %0\n" /* the same for all sequences */
        "%4: f[] = read %1 [last]\n"            /* lengths differ */
        "%5 [u]: int[] = index u\n"
        "%6: int[] = tsum %5 over u\n" /* a fixed length */
        "%7 [q]: int[] = index q\n"
        "%8: int[] = tsum %7 over q\n"          /* a stop may come earlier */
        "%9 [t]: f[] = read %1 [t+1] else %0\n" /* the end shows */
        "%10: f[] = input x\n%11 [t]: f[] = mul %1, %10\n%12: f[] = draw %0 normal d []\n");
    static const bool wanted[] = {false, false, false, false, true, false, false,
                                  false, true,  true,  true,  true, true};
    bool batched[13];
    graph_batched(c.graph, batched);
    for (int i = 0; i < 13; i++)
        if (batched[i] != wanted[i]) fail_msg("%%%d", i);
    graph_case_free(&c);
}

static void test_dot(void **state) {
    (void)state;
    char *text = graph_case_file("tests/golden/graph/gru.graph");
    GraphCase c = graph_case(text);
    Text out = text_new(c.arena);
    graph_dot(c.graph, &out);
    assert_non_null(strstr(text_string(&out), "n8 -> n9 [style=dashed, label=\"t-1\"];"));
    assert_non_null(strstr(text_string(&out), "l.z = sigmoid\\nf[3] at t"));
    graph_case_free(&c);
    free(text);
}

/* Domains: a reduction's bounds stay, its own index goes; more than MAX_DOMAIN is said. */
static void test_domain(void **state) {
    (void)state;
    GraphCase c =
        graph_case("graph m train\naxis t run\nindex a in t\nindex b in t\nindex c in t\n"
                   "index d in t\nindex e in t\nindex f in t\nindex g in t\nindex h in t\n"
                   "index i in t\ninput x[a, b, c, d, e, f, g, h]: f[] = %0\n"
                   "input y[i]: f[] = %1\n"
                   "%0 [a, b, c, d, e, f, g, h]: f[] = input x\n%1 [i]: f[] = input y\n");
    int in[] = {0, 1}, domain[MAX_DOMAIN];
    assert_int_equal(graph_domain(c.graph, OP_ADD, 2, in, NULL, domain), -1);
    Attr attr = {.index = 2, .high = {BOUND_INDEX, 0, 1}};
    assert_int_equal(graph_domain(c.graph, OP_TSUM, 1, in, &attr, domain), 7);
    assert_int_equal(domain[2], 3);
    assert_int_equal(graph_domain(c.graph, OP_TSUM, 1, in + 1, &attr, domain), 2);
    assert_int_equal(domain[0], 0);
    graph_case_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_all_ops_are_there),
        cmocka_unit_test(test_names_and_spaces), cmocka_unit_test(test_quoted_is_no_word),
        cmocka_unit_test(test_bad_texts),        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_broken),           cmocka_unit_test(test_broken_structure),
        cmocka_unit_test(test_batched),          cmocka_unit_test(test_dot),
        cmocka_unit_test(test_domain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
