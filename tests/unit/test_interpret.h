/* What the tests of the interpreter share: graphs built node by node, and calls with their arrays.
 */
#ifndef RNNC_TEST_INTERPRET_H
#define RNNC_TEST_INTERPRET_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "graph/interpret.h"

static jmp_buf oom;
static Arena *arena;
static Names *names;
static Graph *g;
static InterpCall call;

enum { MOST = 64 };

#define UNUSED_OK __attribute__((unused))

static UNUSED_OK int begin_test(void **state) {
    (void)state;
    arena = arena_new(&oom);
    names = names_new(arena);
    g = graph_new(arena, names, name_of(names, "m"), MODE_INFER);
    call = (InterpCall){.batch = 1};
    call.lengths = ARENA_ARRAY(arena, MOST, int64_t *);
    call.inputs = (const double **)ARENA_ARRAY(arena, MOST, double *);
    call.params = (const double **)ARENA_ARRAY(arena, MOST, double *);
    return 0;
}

static UNUSED_OK int end_test(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static UNUSED_OK Shape dims(int rank, ...) {
    Shape shape = {.rank = rank};
    va_list args;
    va_start(args, rank);
    for (int d = 0; d < rank; d++) shape.dim[d] = va_arg(args, int);
    va_end(args);
    return shape;
}

static UNUSED_OK int axis(const char *name) {
    vec_push(arena, &g->axes, (Axis){.name = name_of(names, name), .kind = AXIS_RUN, .base = -1});
    return g->axes.count - 1;
}

static UNUSED_OK int slow_axis(const char *name, int base, int64_t every) {
    vec_push(arena, &g->axes,
             (Axis){.name = name_of(names, name), .kind = AXIS_SLOW, .base = base, .every = every});
    return g->axes.count - 1;
}

static UNUSED_OK int index_on(const char *name, int on) {
    vec_push(arena, &g->indices, (Index){.name = name_of(names, name), .axis = on});
    return g->indices.count - 1;
}

/* The lengths of an axis, one for each sequence of the batch. */
static UNUSED_OK void lengths(int of, ...) {
    va_list args;
    va_start(args, of);
    call.lengths[of] = ARENA_ARRAY(arena, call.batch, int64_t);
    for (int64_t b = 0; b < call.batch; b++) call.lengths[of][b] = va_arg(args, int);
    va_end(args);
}

static UNUSED_OK int node(Op op, const Attr *attr, int count, ...) {
    int in[8];
    va_list args;
    va_start(args, count);
    for (int i = 0; i < count; i++) in[i] = va_arg(args, int);
    va_end(args);
    const char *why = NULL;
    Type type = {0};
    if (!graph_type(g, op, count, in, attr, &type, &why)) fail_msg("%s: %s", op_info[op].text, why);
    return graph_node(g, op, count, in, attr, (Span){0});
}

/* A node whose type the operands do not decide: CONST, IOTA, DRAW, RESHAPE, BROADCAST, ONEHOT. */
static UNUSED_OK int typed(Op op, Type type, const Attr *attr, int count, ...) {
    int in[8], domain[MAX_DOMAIN];
    va_list args;
    va_start(args, count);
    for (int i = 0; i < count; i++) in[i] = va_arg(args, int);
    va_end(args);
    const char *why = NULL;
    if (!graph_type(g, op, count, in, attr, &type, &why)) fail_msg("%s: %s", op_info[op].text, why);
    int domain_count = graph_domain(g, op, count, in, attr, domain);
    return graph_add(g, op, type, domain_count, domain, count, in, attr, (Span){0});
}

static UNUSED_OK int number(double value) {
    return graph_const(g, value, DT_FLOAT, dims(0), (Span){0});
}

static UNUSED_OK Type floats(Shape shape) { return (Type){.dtype = DT_FLOAT, .shape = shape}; }
static UNUSED_OK Type ints(int64_t bound) { return (Type){.dtype = DT_INT, .bound = bound}; }

/* A CONST cannot hold different elements: a parameter does. Values are the test's own. */
static UNUSED_OK int param(Shape shape, const double *values) {
    GraphParam p = {.name = arena_printf(arena, "p%d", g->params.count), .shape = shape};
    vec_push(arena, &g->params, p);
    call.params[g->params.count - 1] = values;
    Attr attr = {.slot = g->params.count - 1};
    return node(OP_PARAM, &attr, 0);
}

/* An input over up to two indices (-1: none). */
static UNUSED_OK int input(const char *name, Type type, int i, int j, const double *values) {
    GraphPort port = {.name = name_of(names, name), .type = type, .fallback = -1};
    if (i >= 0) port.indices[port.index_count++] = i;
    if (j >= 0) port.indices[port.index_count++] = j;
    port.node = g->nodes.count;
    vec_push(arena, &g->inputs, port);
    call.inputs[g->inputs.count - 1] = values;
    Attr attr = {.slot = g->inputs.count - 1};
    return node(OP_INPUT, &attr, 0);
}

static UNUSED_OK int output(const char *name, int value) {
    const Node *n = g->nodes.at[value];
    GraphPort port = {.name = name_of(names, name), .type = n->type, .node = value, .fallback = -1};
    for (int k = 0; k < n->domain_count; k++) port.indices[port.index_count++] = n->domain[k];
    vec_push(arena, &g->outputs, port);
    return g->outputs.count - 1;
}

static UNUSED_OK void loss(int value, int per) {
    vec_push(arena, &g->losses, (GraphLoss){.node = value, .per = per});
}

/* A variable over up to two indices whose equation comes later (see `define`). */
static UNUSED_OK int variable(const char *name, Type type, int i, int j) {
    int domain[2], count = 0, later = 0;
    if (i >= 0) domain[count++] = i;
    if (j >= 0) domain[count++] = j;
    int id = graph_add(g, OP_VAR, type, count, domain, 1, &later, NULL, (Span){0});
    g->nodes.at[id]->name = name_of(names, name);
    return id;
}

static UNUSED_OK void define(int variable_, int value) { g->nodes.at[variable_]->in[0] = value; }

static UNUSED_OK At at_index(int index, int64_t offset) {
    return (At){.kind = AT_INDEX, .index = index, .offset = offset};
}

/* A read of `source` at `count` places. */
static UNUSED_OK int read_at(int source, int boundary, int count, At a, At b) {
    At at[2] = {a, b};
    Attr attr = {.at_count = count, .at = at};
    return node(OP_READ, &attr, 2, source, boundary);
}

/* h[t + offset] */
static UNUSED_OK int shifted(int source, int index, int64_t offset, int boundary) {
    return read_at(source, boundary, 1, at_index(index, offset), (At){0});
}

static UNUSED_OK int over(Op op, int index, int value) {
    Attr attr = {.index = index};
    return node(op, &attr, 1, value);
}

#define un(op, a) node(op, NULL, 1, a)
#define bin(op, a, b) node(op, NULL, 2, a, b)
#define tri(op, a, b, c) node(op, NULL, 3, a, b, c)

static UNUSED_OK InterpResult *run(void) {
    InterpResult *r = interpret(arena, g, &call);
    if (r->status != INTERP_OK) fail_msg("status %d: %s", (int)r->status, r->message);
    return r;
}

/* The status of a call that must fail, with `part` in its message. */
static UNUSED_OK void refused(InterpStatus status, const char *part) {
    InterpResult *r = interpret(arena, g, &call);
    if (r->status != status) fail_msg("status %d, not %d", (int)r->status, (int)status);
    if (!strstr(r->message, part)) fail_msg("\"%s\" without \"%s\"", r->message, part);
}

static UNUSED_OK void near(double got, double want, double tolerance) {
    if (isnan(want) ? isnan(got) : got == want) return;
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want))))
        fail_msg("%.17g when it should be %.17g", got, want);
}

static UNUSED_OK void all_near(const double *got, const double *want, int64_t count,
                               double tolerance) {
    for (int64_t i = 0; i < count; i++) {
        if (isnan(want[i]) ? isnan(got[i]) : got[i] == want[i]) continue;
        if (!(fabs(got[i] - want[i]) <= tolerance * fmax(1, fabs(want[i]))))
            fail_msg("element %d is %.17g when it should be %.17g", (int)i, got[i], want[i]);
    }
}

/* `count` numbers in [low, high], the same on every run. */
static UNUSED_OK double *numbers(int64_t count, double low, double high, uint64_t seed) {
    double *values = ARENA_ARRAY(arena, count, double);
    uint64_t x = seed * 2862933555777941757u + 3037000493u;
    for (int64_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        values[i] = low + (high - low) * (double)(x >> 11) * 0x1p-53;
    }
    return values;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

#endif
