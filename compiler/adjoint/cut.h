/* A graph cut along its time axis in chunks, so that a gradient can keep one of them at a time:
 *
 *   before   what the values that chunks read back are before position 0
 *   chunk    one chunk: from the rows before it to those at its end, and its share of each total
 *   after    what is made of the totals, losses among it
 *
 * Each is a graph as any other, with a gradient of its own; docs/internals, section 15. */
#ifndef RNNC_ADJOINT_CUT_H
#define RNNC_ADJOINT_CUT_H

#include "graph/graph.h"

/* Row j of a value, from 1: what it is j positions before a chunk. */
typedef struct CutRow {
    int lag;
    Type type;
} CutRow;

/* Inputs of all three are those of the model, and behind them PORT_ROW and PORT_TOTAL, and
 * PORT_LENGTH; outputs PORT_ROW (before, chunk), PORT_TOTAL (chunk), PORT_OUTPUT, and the losses
 * of `after`. Positions inside of a chunk count from its beginning; what names them (INDEX, DRAW,
 * HOLD) has the one carry, and so counts from the beginning of the sequence. */
typedef struct Cut {
    int axis;
    int longest_lag;
    VEC(CutRow) rows;
    VEC(Type) totals;
    Graph *before, *chunk, *after;
} Cut;

/* `graph` has FORM_PRIMITIVE. NULL with the reason, and the place of it, where the graph cannot be
 * cut: it reads ahead, has several axes, needs all of a sequence before its recurrences end … */
Cut *cut_build(const Graph *graph, const char **why, Span *where);

#endif
