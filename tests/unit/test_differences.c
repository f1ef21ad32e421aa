/* Gradients against differences: what is right passes, what is wrong is named, kinks are counted,
 * what is detached and divisors stand still. */
#include "differences.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "pipeline.h"
#include "verify_each.h"

typedef struct Subject {
    jmp_buf oom;
    Arena *arena;
    Gradient gradient;
    VerifyCase drawn;
} Subject;

static const Source *load(void *user, Arena *arena, const char *path, const char **why) {
    Source *source = ARENA_NEW(arena, Source);
    (void)why;
    *source = (Source){path, user, (uint32_t)strlen(user)};
    return source;
}

static void prepare(Subject *s, const char *text) {
    static const VerifySize size = {3, {5, 1, 3}};
    Options *options = ARENA_NEW(s->arena, Options);
    options->file = "m.rnn";
    options->mode = MODE_TRAIN;
    options->optional_passes = true;
    Compilation *c = compilation_new(s->arena, options);
    c->read = load;
    c->read_user = (void *)(uintptr_t)text;
    assert_true(compilation_run(c, STAGE_GRAPH));
    s->drawn = verify_draw_sized(s->arena, c->graph, &size, false, false, 1e9, 1);
    AdjointOptions how = differences_options(s->arena, c->graph, &s->drawn.call);
    assert_true(gradient_build(c->graph, &how, true, &s->gradient, c->diags));
}

static void open_subject(Subject *s, const char *text) {
    s->arena = arena_new(&s->oom);
    prepare(s, text);
}

static Differences check(Subject *s) {
    return differences_check(s->arena, &s->gradient, &s->drawn.call, 100, 7);
}

static const char elman[] =
    "model M(x[t]: [3]) -> h[t]: [4], n: [] {\n"
    "    param W: [4, 3] ~ glorot\n    param U: [4, 4] ~ glorot\n"
    "    param F: [2] = 1 frozen\n"
    "    state h[t]: [4] = 0\n    h[t] = tanh(W @ x[t] + U @ h[t-1])\n"
    "    n = sum(F) * sum(h[last])\n    loss mean[t](mean(square(h[t] - 1)))\n}\n";

static void right(void **state) {
    (void)state;
    Subject s;
    if (setjmp(s.oom)) fail_msg("out of memory");
    open_subject(&s, elman);
    Differences found = check(&s);
    assert_int_equal(found.result, DIFFERENCES_SAME);
    assert_int_equal(found.tensors.count, 3); /* W, U, x; nothing of what is frozen */
    assert_int_equal(found.checked, 12 + 16 + 45);
    assert_int_equal(found.kinks, 0);
    for (int i = 0; i < 3; i++) assert_true(found.tensors.at[i].worst < 1e-6);
    arena_free(s.arena);
}

/* Each gradient in turn is a millionth and a half too large. */
static void damaged(void **state) {
    (void)state;
    for (int o = 0; o < 3; o++) {
        Subject s;
        if (setjmp(s.oom)) fail_msg("out of memory");
        open_subject(&s, elman);
        Graph *graph = s.gradient.graph;
        GraphPort *port = &graph->outputs.at[o];
        Attr attr = {.number = 1 + 1.5e-6};
        Node *was = graph->nodes.at[port->node];
        int factor = graph_add(graph, OP_CONST, (Type){.dtype = DT_FLOAT}, 0, NULL, 0, NULL, &attr,
                               was->span);
        int in[] = {port->node, factor};
        port->node = graph_add(graph, OP_MUL, was->type, was->domain_count, was->domain, 2, in,
                               NULL, was->span);
        Differences found = check(&s);
        assert_int_equal(found.result, DIFFERENCES_WRONG);
        assert_non_null(strstr(found.words, port->name + 2));
        assert_non_null(strstr(found.words, "differences say"));
        arena_free(s.arena);
    }
}

/* A gradient that is zero, and one of the wrong branch. */
static void missing(void **state) {
    (void)state;
    Subject s;
    if (setjmp(s.oom)) fail_msg("out of memory");
    open_subject(&s, elman);
    Graph *graph = s.gradient.graph;
    GraphPort *port = &graph->outputs.at[0];
    Attr attr = {.number = 0};
    port->node = graph_add(graph, OP_CONST, graph->nodes.at[port->node]->type, 0, NULL, 0, NULL,
                           &attr, port->span);
    assert_int_equal(check(&s).result, DIFFERENCES_WRONG);
    arena_free(s.arena);
}

/* |0 x| has a slope to either side, and the gradient is one of many. */
static void kinks(void **state) {
    (void)state;
    Subject s;
    if (setjmp(s.oom)) fail_msg("out of memory");
    open_subject(&s, "model M(x[t]: [2]) -> y[t]: [2] {\n    param b: [2] = 0\n"
                     "    y[t] = relu(b + 0 * x[t]) + floor(3 * x[t])\n}\n");
    for (int i = 0; i < 2; i++) ((double *)(uintptr_t)s.drawn.call.params[0])[i] = 0;
    Differences found = check(&s);
    assert_int_equal(found.result, DIFFERENCES_SAME);
    assert_int_equal(found.kinks, 2);
    arena_free(s.arena);
}

static void stands_still(void **state) {
    (void)state;
    Subject s;
    if (setjmp(s.oom)) fail_msg("out of memory");
    open_subject(&s, "model M(x[t]: [], m[t]: []) -> y[t]: [] {\n    param a: [] = 1\n"
                     "    state h[t]: [] = 0\n    h[t] = detach(h[t-1]) * a + x[t]\n"
                     "    y[t] = h[t] + detach(x[t]) * a\n"
                     "    loss sum[t](square(m[t]) * y[t]) per sum[t](square(m[t]))\n}\n");
    Differences found = check(&s);
    if (found.words) print_message("%s\n", found.words);
    assert_int_equal(found.result, DIFFERENCES_SAME);
    assert_int_equal(found.checked, 1 + 15 + 15);
    arena_free(s.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(right), cmocka_unit_test(damaged),
                                       cmocka_unit_test(missing), cmocka_unit_test(kinks),
                                       cmocka_unit_test(stands_still)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
