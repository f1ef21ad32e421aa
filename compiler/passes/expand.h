/* What the files of the pass `expand` share. Private to passes/. */
#ifndef RNNC_PASSES_EXPAND_H
#define RNNC_PASSES_EXPAND_H

#include "passes/rewrite.h"

typedef struct Expand {
    Rewrite rewrite;
    Span span; /* of the node that is expanded */
} Expand;

const Type *expand_type(const Expand *e, int id);

/* A node on one to three operands; -1 for those that it does not have. */
int expand_op(Expand *e, Op op, int a, int b, int c);

/* RESHAPE or BROADCAST to a shape; `a` itself when it has it. */
int expand_shaped(Expand *e, Op op, int a, Shape shape);

/* A scalar. */
int expand_const(Expand *e, double value, DType dtype);

/* SUM, RMAX over one dim, or over all with -1. */
int expand_over_dim(Expand *e, Op op, int a, int dim);

/* The maximum that an exponential is shifted by: no gradient goes through it. */
int expand_shift(Expand *e, int maximum);
/* `maximum`, and 0 where it is infinite: what a logsumexp may subtract without an inf - inf. */
int expand_finite(Expand *e, int maximum);

/* CONV, MAXPOOL, AVGPOOL. */
int expand_conv(Expand *e, const Node *node);

/* log of a sum of exponentials that were shifted by their maximum; -inf of 0, without a gradient.
 */
int expand_log_sum(Expand *e, int sum);

/* TSOFTMAX, TLOGSUMEXP, TMEAN. */
int expand_time(Expand *e, const Node *node);

/* What outputs, losses and stops are made from, by node. */
bool *expand_reached(const Graph *graph);

/* CTC. */
int expand_ctc(Expand *e, const Node *node);

#endif
