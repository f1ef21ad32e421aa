/* What of a function is printed, and what its arguments are asked: the same in every backend. */
#ifndef RNNC_BACKENDS_LIVE_H
#define RNNC_BACKENDS_LIVE_H

#include "loop/loop.h"

/* What a store, return, branch or call depends on: the rest would be unused. */
typedef struct Live {
    bool *vars, *buffers;
    bool *wraps; /* integer variables that hold bits (hashes): their arithmetic may wrap */
} Live;

Live live_of(Arena *arena, const LFunction *function);
bool live_stmt(const Live *live, const LFunction *function, const LStmt *stmt);
bool live_wraps(const Live *live, const LExpr *expr);

/* Marks the buffers that the statement, or one in it, loads or stores. */
void live_stmt_buffers(const LStmt *stmt, bool *used);

/* Whether the function tests its pointers first (it is called from outside and can say so), and
 * what it then asks of one; `used`: anything in the function depends on the argument's value or
 * memory. */
typedef struct LiveArg {
    bool used, not_null, aligned;
} LiveArg;

bool live_checks(const LFunction *function);
LiveArg live_arg(const Live *live, const LFunction *function, int arg);

/* For each buffer: whether another one may lie in the same memory. */
bool *live_overlaps(Arena *arena, const LFunction *function);

#endif
