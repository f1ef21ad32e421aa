/* Inside the Loop verifier: what verify.c (functions, statements) and verify_expr.c share. */
#ifndef RNNC_LOOP_VERIFY_CHECK_H
#define RNNC_LOOP_VERIFY_CHECK_H

#include "loop/loop.h"

enum { SCOPE_NOT_YET, SCOPE_VISIBLE, SCOPE_LEFT };

typedef struct CheckVar {
    char scope;        /* SCOPE_… */
    bool is_product;   /* holds a product of floats at some place */
    bool from_outside; /* of the parallel region that is being looked at */
    int bounds;        /* loops around, whose bound reads it */
} CheckVar;

typedef struct Check {
    const LoopModule *module;
    const LFunction *function;
    const LStmt *statement; /* NULL: about the function itself */
    bool final;
    const char *after;
    Diags *diags;
    CheckVar *vars;     /* [function->vars] */
    int loops;          /* around the statement, within its parallel region */
    bool in_parallel;
    bool args_only;     /* extents of buffers: of scalar arguments alone */
    bool in_bound;      /* of a loop: nothing that the loop may change */
    int nodes, depth;   /* of the expression, written out as a tree */
} Check;

/* Reports; the message names pass, function and statement. */
void check_fail(Check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Checks an expression; false once something was wrong with it. */
bool check_expr(Check *c, const LExpr *e);

/* Checks it and that it is one lane of I64. */
bool check_index(Check *c, const LExpr *e, const char *what);

/* Checks index, lanes and alignment of an access against its buffer. */
bool check_access(Check *c, int buffer, const LExpr *index, int lanes, bool aligned);

/* Checks that all threads reach each barrier of a region whose statements are sound. */
void check_barriers(Check *c, const LStmt *region);

/* Whether a contraction could join it to a sum: a float product, however renamed. */
bool check_is_product(const Check *c, const LExpr *e);

bool check_is_arith(LoopType type);
bool check_is_mask(LoopType type);

#endif
