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

/* Marks the buffers that the statement, or one in it, loads or stores. Of what lies in a region
 * that becomes a function of its own, those behind arguments alone: the rest is that function's. */
void live_stmt_buffers(const LFunction *function, const LStmt *stmt, bool *used);

/* For each buffer: whether a statement of the block, seen so, loads from it. What the function
 * stores may be loaded in a region alone, which has its own. */
bool *live_loads(Arena *arena, const LFunction *function, const LBlock *block);

/* A region becomes a function of its own, which gets what `live_region` marks: variables from
 * outside that are printed there, buffers behind arguments. */
bool live_is_outlined(const LFunction *function, const LStmt *stmt);
typedef struct LiveRegion {
    bool *vars, *buffers;
    bool barriers; /* there are some */
} LiveRegion;
LiveRegion live_region(Arena *arena, const Live *live, const LFunction *function,
                       const LStmt *region);

/* Whether the function tests its pointers first (it is called from outside and can say so), and
 * what it then asks of one; `used`: anything in the function depends on the argument's value or
 * memory, or it is a pool that is called. */
typedef struct LiveArg {
    bool used, not_null, aligned;
} LiveArg;

bool live_checks(const LFunction *function);
LiveArg live_arg(const Live *live, const LFunction *function, int arg);

/* For each buffer: whether another one may lie in the same memory. */
bool *live_overlaps(Arena *arena, const LFunction *function);

#endif
