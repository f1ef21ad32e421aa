/* What the tests of the expansion of math share: modules of one operation, evaluated on arrays. */
#ifndef RNNC_TESTS_EXPAND_CASE_H
#define RNNC_TESTS_EXPAND_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loop/evaluate.h"

enum { CASE_POINTS = 4096 }; /* in one call */

/* out[i] = op(a[i], b[i]), expanded, for i below CASE_POINTS. */
typedef struct Case {
    Arena *arena;
    LoopModule *module;
    LoopProgram *program;
    ScalarOp op;
    LoopType type;
    int lanes, operations; /* of the expansion, loads, stores and constants not counted */
    bool fma;
} Case;

static jmp_buf case_oom;

static int case_buffer(Case *c, LFunction *f, const char *name, bool written) {
    int arg = loop_arg_pointer(c->module, f, name, c->type, written, false, NULL);
    return loop_buffer(c->module, f,
                       (LBuffer){.name = name_of(c->module->names, name), .type = c->type,
                                 .base = LB_ARG, .arg = arg,
                                 .count = loop_int(c->module, CASE_POINTS), .written = written});
}

/* The module, not yet expanded. */
static void case_build(Case *c, ScalarOp op, LoopType type, int lanes, bool fma) {
    *c = (Case){.op = op, .type = type, .lanes = lanes, .fma = fma};
    c->arena = arena_new(&case_oom);
    assert_non_null(c->arena);
    Names *names = names_new(c->arena);
    Target target = {.name = "test", .lanes = 16, .fma = fma, .registers = 32};
    c->module = loop_module_new(c->arena, names, name_of(names, "t"), target, type);
    LFunction *f = loop_function(c->module, "f", LT_VOID, true);
    int a = case_buffer(c, f, "a", false), b = case_buffer(c, f, "b", false);
    int out = case_buffer(c, f, "out", true);
    LStmt *loop = loop_for(c->module, f, &f->body, "i", loop_int(c->module, 0),
                           loop_int(c->module, CASE_POINTS), lanes);
    LExpr *i = loop_var(c->module, f, loop->var);
    LExpr *first = loop_load(c->module, f, a, i, lanes, false);
    LExpr *second =
        scalar_op_info[op].operands > 1 ? loop_load(c->module, f, b, i, lanes, false) : NULL;
    loop_store(c->module, &loop->body, out, i, loop_op(c->module, op, first, second, NULL), false);
}

static void case_verify(Case *c) {
    Diags *diags = diags_new(c->arena);
    if (!loop_verify(c->module, true, "expand_math", diags))
        fail_msg("%s: %s", scalar_op_info[c->op].text, diags->list.at[0]->message);
}

static int case_count(const LExpr *e) {
    if (!e) return 0;
    bool counted = e->kind == LE_OP && e->op != SOP_BITCAST;
    return counted + case_count(e->a) + case_count(e->b) + case_count(e->c);
}

static int case_count_block(const LBlock *block) {
    int count = 0;
    for (int i = 0; i < block->count; i++)
        count += case_count(block->at[i]->value) + case_count_block(&block->at[i]->body);
    return count;
}

static void case_open(Case *c, ScalarOp op, LoopType type, int lanes, bool fma) {
    const char *error = NULL;
    case_build(c, op, type, lanes, fma);
    loop_expand_math(c->module);
    case_verify(c);
    c->operations = case_count_block(&c->module->functions.at[0]->body);
    c->program = loop_program_new(c->arena, c->module, &error);
    if (!c->program) fail_msg("%s", error);
}

static void case_run(Case *c, const void *a, const void *b, void *out) {
    size_t bytes = (size_t)CASE_POINTS * (size_t)loop_type_size(c->type);
    LoopValue args[] = {{.pointer = (void *)(uintptr_t)a, .bytes = bytes},
                        {.pointer = (void *)(uintptr_t)b, .bytes = bytes},
                        {.pointer = out, .bytes = bytes}};
    const char *error = NULL;
    if (!loop_program_call(c->program, c->arena, "f", args, 3, NULL, &error))
        fail_msg("%s: %s", scalar_op_info[c->op].text, error);
}

static void case_close(Case *c) {
    arena_free(c->arena);
}

/* The k-th of a sequence of random 64 bits. */
static uint64_t case_random(uint64_t k) {
    uint64_t z = (k + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double case_uniform(uint64_t k, double low, double high) {
    return low + (high - low) * ((double)(case_random(k) >> 11) * 0x1p-53);
}

#endif
