/* What the files of the adjoint share. */
#ifndef RNNC_ADJOINT_INTERNAL_H
#define RNNC_ADJOINT_INTERNAL_H

#include "adjoint/adjoint.h"
#include "graph/relation.h"
#include "passes/rewrite.h"

typedef struct Terms {
    VEC(int) nodes;
} Terms;

typedef struct Adjoint {
    Rewrite rewrite;
    Graph *graph; /* rewrite.graph: forward nodes, and behind them those of the gradient */
    int forward;  /* nodes below are forward */
    Arena *arena;
    Diags *diags;
    Span span;
    bool *wanted; /* by forward node: a gradient of it is needed, and one arrives */
    Terms *terms; /* by forward node: contributions of its users, last user first */
    int *of_read; /* by forward node: READ: the VAR that stands for its adjoint; -1 */
    Terms *reads; /* by forward node: the READs of it */
    bool *under;  /* by forward node: a branch of a select is made from it */
    bool *risky;  /* by forward node: it, or what it is made from, may be infinite or NaN where its
                     operands are finite */
    Relation *const *relations; /* of the forward graph */
    const Node *current;        /* whose adjoint is handed on */
    bool *alone; /* by forward node: it and all that it is made from are the same for all
                    sequences, and without time; its adjoint is the sum over the batch */
    int user;    /* whose contributions are added: a forward node, or -1 */
    bool failed;
} Adjoint;

/* --- build.c: nodes --- */
const Node *adjoint_node(const Adjoint *a, int id);
int adjoint_op(Adjoint *a, Op op, int x, int y, int z); /* -1: no operand */
int adjoint_attr(Adjoint *a, Op op, int x, const Attr *attr);
int adjoint_number(Adjoint *a, double value);
int adjoint_whole(Adjoint *a, int64_t value); /* an int */
int adjoint_zeros(Adjoint *a, Shape shape);
int adjoint_shaped(Adjoint *a, Op op, int x, Shape shape); /* RESHAPE, BROADCAST, ONEHOT */
int adjoint_index(Adjoint *a, int index, bool mirrored, int carry);
int adjoint_length(Adjoint *a, int axis);
int adjoint_both(Adjoint *a, int x, int y);     /* and; -1 is true */
int adjoint_where(Adjoint *a, int mask, int x); /* x, else 0; mask -1: everywhere */
int adjoint_widen(Adjoint *a, int x, int domain_count, const int *domain);
int adjoint_over(Adjoint *a, int x, int index); /* sum over all positions of an index */
bool adjoint_has(const Node *node, int index);
int adjoint_fresh_index(Adjoint *a, int axis);
void adjoint_refuse(Adjoint *a, const Node *node, const char *why);

/* d times, or by, the derivative x of the current node. The branch of a select that is not taken
 * adds nothing, not even a NaN: where d is 0 nothing comes of an infinite derivative. */
int adjoint_times(Adjoint *a, int d, int x);
int adjoint_by(Adjoint *a, int d, int x);
int adjoint_outer(Adjoint *a, int d, int x, bool first); /* d xᵀ, or x dᵀ */

/* Adds `x` to the adjoint of node `to`: summed over what `to` does not have. */
void adjoint_add(Adjoint *a, int to, int x);

/* --- rules: contributions of `node`, whose adjoint is d, to those of its operands --- */
void adjoint_point(Adjoint *a, const Node *node, int d); /* elementwise */
void adjoint_tensor(Adjoint *a, const Node *node, int d);
void adjoint_time(Adjoint *a, const Node *node, int d); /* all of class TIME */
/* What the adjoint of `read`, over its own domain, adds to that of its source. */
int adjoint_of_source(Adjoint *a, const Node *read, int d);

#endif
