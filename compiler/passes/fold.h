/* Arithmetic on constants, for simplify. Private to passes/. */
#ifndef RNNC_PASSES_FOLD_H
#define RNNC_PASSES_FOLD_H

#include "graph/graph.h"

/* The value of an elementwise operation on constant operands of these types, in double; false when
 * it is left to run time: whole numbers beyond 2^53, or a division of whole numbers by 0. */
bool fold_constant(Op op, int count, const double *in, const Type *const *types, Type type,
                   double *value);

#endif
