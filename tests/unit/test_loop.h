/* What the Loop tests share: an arena, a module for a target of so many lanes, short forms. */
#ifndef RNNC_TEST_LOOP_H
#define RNNC_TEST_LOOP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/evaluate.h"
#include "loop/loop.h"

/* A module with one function, `f`, and its body to append to. */
typedef struct Fixture {
    jmp_buf oom;
    Arena *arena;
    Names *names;
    LoopModule *m;
    LFunction *f;
    LBlock *body;
    const char *error; /* of the last run */
} Fixture;

static inline Fixture *fixture(int lanes, bool fma, LoopType result) {
    Fixture *x = test_calloc(1, sizeof *x);
    if (setjmp(x->oom)) fail_msg("out of memory");
    x->arena = arena_new(&x->oom);
    x->names = names_new(x->arena);
    Target target = {
        .name = "test", .lanes = lanes, .fma = fma, .registers = 16, .l2_bytes = 1 << 20};
    x->m = loop_module_new(x->arena, x->names, name_of(x->names, "test"), target, LT_F32);
    x->f = loop_function(x->m, "f", result, true);
    x->body = &x->f->body;
    return x;
}

static inline void done(Fixture *x) {
    arena_free(x->arena);
    test_free(x);
}

/* A pointer argument with one buffer over all of it. */
static inline int array(Fixture *x, const char *name, LoopType type, LExpr *count, bool written) {
    int arg = loop_arg_pointer(x->m, x->f, name, type, written, false, NULL);
    return loop_buffer(x->m, x->f,
                       (LBuffer){.name = name_of(x->names, name),
                                 .type = type,
                                 .base = LB_ARG,
                                 .arg = arg,
                                 .count = count,
                                 .written = written});
}

static inline int local(Fixture *x, const char *name, LoopType type, int64_t count) {
    return loop_buffer(x->m, x->f,
                       (LBuffer){.name = name_of(x->names, name),
                                 .type = type,
                                 .base = LB_LOCAL,
                                 .arg = -1,
                                 .count = loop_int(x->m, count),
                                 .align = 64,
                                 .written = true});
}

static inline LExpr *var(Fixture *x, int v) {
    return loop_var(x->m, x->f, v);
}

static inline LExpr *num(Fixture *x, int64_t value) {
    return loop_int(x->m, value);
}

static inline LExpr *flt(Fixture *x, double value) {
    return loop_float(x->m, LT_F32, value);
}

static inline LExpr *load(Fixture *x, int buffer, LExpr *index, int lanes) {
    return loop_load(x->m, x->f, buffer, index, lanes, false);
}

#define OP(x, op, a, b, c) loop_op((x)->m, SOP_##op, (a), (b), (c))

static inline bool run(Fixture *x, const LoopValue *args, int count, int64_t *result) {
    x->error = "";
    return loop_evaluate(x->arena, x->m, "f", args, count, result, &x->error);
}

static inline const char *printed(Fixture *x, const LoopModule *m) {
    Text out = text_new(x->arena);
    loop_print(m, &out);
    return text_string(&out);
}

#define POINTER(p) ((LoopValue){.pointer = (p), .bytes = sizeof(p)})
#define INTEGER(i) ((LoopValue){.integer = (i)})

#endif
