/* What the files of operations on whole rows share: one operation at one row. */
#ifndef RNNC_LOOP_LOWER_ROW_H
#define RNNC_LOOP_LOWER_ROW_H

#include "loop/lower_internal.h"

typedef struct RowOp {
    Fn *fn;
    LBlock *out;
    const Value *value;
    const Row *row;
} RowOp;

const Value *row_operand(const RowOp *op, int i);
/* Elements of operand i from `index` on. */
LExpr *row_read(RowOp *op, LBlock *out, int i, LExpr *index, int lanes);
void row_write(RowOp *op, LBlock *out, LExpr *index, LExpr *e);
/* Can whole vectors of operand i be loaded from any multiple of the lanes? */
bool row_vectors(const RowOp *op, int i);
/* The larger (`least`: smaller) of a running maximum and a new element; NaN stays. */
LExpr *row_better(Lower *lower, LExpr *best, LExpr *e, bool least);

/* --- lower_draw.c. The key of a draw's site, for all its rows; then each row. --- */
void row_draw_key(Fn *fn, LBlock *out, const Value *value, LExpr *key[2]);
void row_draw(RowOp *op, LExpr *const site[2]);

/* --- lower_pointer.c --- */
void row_through_pointers(RowOp *op);
void row_largest_position(RowOp *op);

/* --- lower_over.c: TSUM, TMAX, TCONCAT --- */
/* The positions of a reduction for one sequence, half-open. */
void row_range(RowOp *op, LBlock *out, LExpr **low, LExpr **high);
void row_over_time(RowOp *op);
void row_running(RowOp *op); /* a step, of a reduction that the state keeps */

/* --- lower_batch.c: sums over time of outer products, and over the batch --- */
void row_sum(RowOp *op);

/* --- lower_outer.c: sums of outer products over all positions of all sequences --- */
/* False where the rows cannot be walked as one run: then row_sum does it. */
bool row_outer(RowOp *op, const Block *block);

#endif
