/* Balls: a number and how far the same number may be in compiled code.
 *
 * Each operation gives the ball of its result: what the operands' distances become (by the steepest
 * place within them), and the rounding of the operation itself as compiled code does it
 * (docs/accuracy.md has the errors of the functions). Distances are absolute; an infinite one says
 * nothing. `unit` holds the interpreter's own rounding, too. */
#ifndef RNNC_GRAPH_INTERPRET_BALL_H
#define RNNC_GRAPH_INTERPRET_BALL_H

#include <stdbool.h>

#include "graph/graph.h"

typedef struct Ball {
    double v, e;
} Ball;

typedef struct Rounding {
    bool single;
    double unit;  /* relative error of an operation: compiled code's and the interpreter's */
    double tiny;  /* the least number: error where results are subnormal */
    double limit; /* the largest number */
} Rounding;

/* What is stored of a value, one after the other, `count` numbers each: values; distances without
 * the rounding of a sum; sum of the magnitudes of its terms; how many roundings it has, in any
 * order of the terms: negative when all orders are exact. A value that is no sum has 0. Sums of
 * sums are so bounded as the one sum that compiled code may make of them. */
enum { PLANE_VALUE, PLANE_ERROR, PLANE_MASS, PLANE_ROUNDS, PLANES };

/* A number as the type holds it. */
Ball ball_leaf(const Rounding *r, double v);
/* `v` with distance `e` before rounding; `units`: how many units roundoff the operation adds.
 * `sure`: when v is not finite, compiled code finds the same. */
Ball ball_round(const Rounding *r, double v, double e, double units, bool sure);
/* Whether a sum of numbers like these, of magnitudes up to `mass`, is exact in any order. */
bool ball_grained(const Rounding *r, double v, double mass);

Ball ball_add(const Rounding *r, Ball a, Ball b);
Ball ball_mul(const Rounding *r, Ball a, Ball b);
Ball ball_div(const Rounding *r, Ball a, Ball b);
/* The larger or the smaller; NaN where one is. */
Ball ball_extreme(bool most, Ball a, Ball b);
/* How far e^x/(e^x + rest) may be, `y` of it and `others` = rest/(e^x + rest), when x less the
 * logarithm of the rest is known to `d`; no rounding. */
double ball_share(double y, double others, double d);
/* Elementwise operations; `jumps` is set when the operation is not continuous within the balls. */
Ball ball_unary(const Rounding *r, Op op, Ball a, bool *jumps);
Ball ball_binary(const Rounding *r, Op op, Ball a, Ball b, bool *jumps);
Ball ball_clip(Ball a, Ball low, Ball high, bool *jumps);

#endif
