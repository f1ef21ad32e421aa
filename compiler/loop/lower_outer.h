/* What lower_outer.c and lower_outer_gemm.c share: sums of outer products that have the same
 * vectors as columns, and the rows of a block of positions that they are over. */
#ifndef RNNC_LOOP_LOWER_OUTER_H
#define RNNC_LOOP_LOWER_OUTER_H

#include "loop/lower_row.h"

/* Rows and vectors of a tile: 24 sums, 4 vectors and a splat fit 32 registers. SIDE: numbers that a
 * copied position of a tile has room for. */
enum { OUTER_ROWS = 6, OUTER_VECTORS = 4, OUTER_SIDE = 8 };

typedef struct Outer {
    Fn *fn;
    const Value *first; /* whose columns and positions all have */
    VEC(const Value *) values;
    const Row *row;
    int vectors, lanes;    /* of a panel */
    int count;             /* rows of the block: a variable */
    LExpr *goes_on, *ends; /* masks: were there blocks before this one, is it the last? */
    int local;             /* for what is left of a vector, or -1 */
    LExpr *panel, *list;   /* where those of this thread begin */
    LExpr *side;           /* the same of copied rows of a tile; NULL: none are copied */
} Outer;

/* A panel from `column` on: whole vectors, or with `tail` one that has so many elements. */
typedef struct Columns {
    LExpr *column, *slot; /* slot: of the group */
    int vectors, tail;
} Columns;

bool outer_is(const Value *value); /* a sum of outer products over positions and sequences */
/* The positions from `begin` below `end` that are in the range of their sequence. */
void outer_list_rows(Outer *o, LBlock *out, LExpr *begin, LExpr *end);
/* The row of number k in the list. */
Row outer_listed(Outer *o, LBlock *out, LExpr *k);
/* Elements of vector `use` of a value, from `index` on. */
LExpr *outer_element(Outer *o, LBlock *out, const Value *value, int use, const Row *row,
                     LExpr *index, int lanes);
int64_t
outer_block_rows(const Lower *lower); /* a block has no more, or one position of the batch */
/* The region that its threads share, each with a list of its own; its body. */
LBlock *outer_region(Outer *o, LBlock *out);
/* A loop over blocks of positions, from *begin below *end; its body. */
LBlock *outer_blocks(Outer *o, LBlock *out, LExpr **begin, LExpr **end);

int64_t outer_panel_width(const Lower *lower); /* numbers of a row of a panel */
/* Where a panel of the group begins. */
LExpr *outer_panel_start(Outer *o, LBlock *out, const Columns *panel);

/* --- lower_outer_tile.c --- */
/* Rows `first` on of a value, of all positions of the block, to where tiles of all panels read them
 * in one run. */
void outer_copy_side(Outer *o, LBlock *out, const Value *value, LExpr *first, int rows);
/* Adds the positions of the block to a tile of a value. */
void outer_tile(Outer *o, LBlock *out, const Value *value, LExpr *first, int rows,
                const Columns *panel, bool copied);

/* --- lower_outer_gemm.c: by a library --- */
bool outer_by_gemm(const Lower *lower, const Value *value);
/* Room for rows that are gathered, where such sums are. */
void outer_place_rows(Fn *fn, int work_argument, Size *bytes);
void outer_gemm(Outer *o, LBlock *out);

#endif
