/* The bounds that lie beside the values: leaves, copies, elementwise operations. Sums keep their
 * terms' magnitudes and number, since compiled code adds a sum of sums in an order of its own. */
#include "graph/interpret_run.h"

#include <math.h>
#include <stdio.h>

void interp_fragile(Run *run, int node, const int64_t *at, const char *reason) {
    char name[200];
    if (run->fragile) return;
    if (!at && run->frame && run->frame->node == node) at = run->frame->at;
    interp_spell(run, node, at, name, sizeof name);
    run->fragile =
        arena_printf(run->work, "%s: %s, sequence %lld", name, reason, (long long)run->b);
}

/* Of what lies on a jump within its bound. */
static void jump(Run *run, const Plan *plan) {
    interp_fragile(run, plan->node->id, NULL, "an operand lies within its bound of a jump");
}

void interp_bound_leaf(const Run *run, const Plan *plan, double *value) {
    for (int64_t i = 0; i < plan->count; i++)
        interp_put_bound(plan, value, i, ball_leaf(run->rounding, value[i]).e);
}

/* A read at the reader's own position, which compiled code does not see. */
static bool own_position(const Run *run, const Node *node) {
    if (node->op != OP_READ) return false;
    const Node *source = run->graph->nodes.at[node->in[0]];
    for (int k = 0; k < node->attr.at_count; k++) {
        const At *at = &node->attr.at[k];
        if (at->kind != AT_INDEX || at->offset != 0 || at->index != source->domain[k]) return false;
    }
    return true;
}

void interp_bound_copy(const Run *run, const Plan *from, const double *in, const Plan *plan,
                       double *out) {
    const Shape *a = &from->node->type.shape, *b = &plan->node->type.shape;
    if (own_position(run, plan->node)) {
        memcpy(out + plan->count, in + plan->count,
               (PLANES - 1) * (size_t)plan->count * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < plan->count; i++) {
        int64_t place = from->count == plan->count ? i : interp_element(a, b, i);
        interp_put_bound(plan, out, i, interp_ball(run->rounding, from, in, place).e);
    }
}

/* The planes of a sum or difference of two, or of one moved or negated. */
static void bound_sum(const Run *run, const Plan *plan, const double *const at[2],
                      const int64_t count[2], int terms, double *to) {
    const Rounding *r = run->rounding;
    double e = 0, mass = 0, rounds = terms - 1;
    bool exact = true;
    for (int j = 0; j < terms; j++) {
        e += at[j][PLANE_ERROR * count[j]];
        mass += at[j][PLANE_MASS * count[j]];
        rounds += fabs(at[j][PLANE_ROUNDS * count[j]]);
    }
    for (int j = 0; j < terms; j++)
        exact = exact && at[j][PLANE_ROUNDS * count[j]] <= 0 &&
                (terms == 1 || ball_grained(r, at[j][0], mass));
    if (!isfinite(to[0])) {
        /* An infinity among the terms is exact; one that the sum makes is not. */
        bool sure = false;
        for (int j = 0; j < terms; j++) sure = sure || !isfinite(at[j][0]);
        e = sure && isfinite(e) ? 0 : INFINITY;
        mass = INFINITY;
        rounds = 0;
    } else if (mass + e > r->limit) {
        e = INFINITY;
    }
    to[PLANE_ERROR * plan->count] = e;
    to[PLANE_MASS * plan->count] = mass;
    to[PLANE_ROUNDS * plan->count] = exact && e == 0 ? -rounds : rounds;
}

static bool is_sum(const Node *node) {
    switch ((int)node->op) {
    case OP_VAR:
    case OP_DETACH:
    case OP_FLOAT:
    case OP_NEG:
    case OP_ADD:
    case OP_SUB: return true;
    }
    return false;
}

static Ball draw(const Rounding *r, const Attr *attr, double v, Ball a, Ball b, bool given) {
    /* The uniform number is exact; the normal one is made of log, sqrt and cos. */
    if (attr->draw == DRAW_NORMAL)
        return ball_round(r, v, given && a.v != 0 ? fabs(v / a.v) * a.e : 8 * a.e, 12, true);
    return ball_round(r, v, a.e + b.e + 2 * r->unit * (fabs(a.v) + fabs(b.v)), 2, true);
}

void interp_bound_drawn(Run *run, const Plan *plan, const double *in, int64_t i, double u) {
    const Plan *from = &run->plans[plan->node->in[0]];
    if (plan->node->attr.draw == DRAW_BERNOULLI) {
        const Shape *shape = &from->node->type.shape;
        Ball p =
            interp_ball(run->rounding, from, in, interp_element(shape, &plan->node->type.shape, i));
        if (p.e > 0 && u >= p.v - p.e && u <= p.v + p.e) jump(run, plan);
        return;
    }
    /* A share of a sum of exponentials moves by twice what the logits do, at most; compiled code
     * makes it in double, too. */
    double top = -INFINITY, all = 0, so_far = 0, e = 0;
    for (int64_t v = 0; v < from->count; v++) {
        top = fmax(top, in[v]);
        e = fmax(e, interp_ball(run->rounding, from, in, v).e);
    }
    for (int64_t v = 0; v < from->count; v++) all += exp(in[v] - top);
    double near = expm1(2 * e) + 8 * (double)from->count * 0x1p-53;
    bool sure = near < INFINITY;
    for (int64_t v = 0; v + 1 < from->count; v++) {
        so_far += exp(in[v] - top) / all;
        sure = sure && !(fabs(u - so_far) <= near);
    }
    if (!sure && from->count > 1) jump(run, plan);
}

/* The ball of element `i`; operands as `x`. */
static Ball element_ball(Run *run, const Plan *plan, const Ball x[3], double v, bool *jumps) {
    const Rounding *r = run->rounding;
    const Node *node = plan->node;
    switch (op_info[node->op].class_) {
    case CLASS_UNARY: return ball_unary(r, node->op, x[0], jumps);
    case CLASS_BINARY: return ball_binary(r, node->op, x[0], x[1], jumps);
    case CLASS_SELECTION:
        if (node->op == OP_SELECT) return x[0].v != 0 ? x[1] : x[2];
        return ball_clip(x[0], x[1], x[2], jumps);
    case CLASS_LEAF:
        if (node->attr.draw == DRAW_BERNOULLI || node->attr.draw == DRAW_CATEGORICAL)
            return (Ball){v, 0};
        return draw(r, &node->attr, v, x[0], x[1], node->in_count > 0);
    case CLASS_TIME:
    case CLASS_TENSOR:
    case CLASS_LOSS: break;
    }
    return (Ball){v, INFINITY};
}

void interp_bound(Run *run, const Plan *plan, const double *const *in, double *out) {
    const Node *node = plan->node;
    const Shape *to = &node->type.shape;
    bool jumps = false, whole = node->type.dtype != DT_FLOAT;
    for (int64_t i = 0; i < plan->count; i++) {
        const Plan *from[3] = {0};
        const double *at[2] = {0};
        int64_t place[3] = {0}, counts[2] = {0};
        Ball x[3] = {0};
        for (int j = 0; j < node->in_count && j < 3; j++) {
            from[j] = &run->plans[node->in[j]];
            const Shape *shape = &from[j]->node->type.shape;
            place[j] = shape_equal(*shape, *to) ? i : interp_element(shape, to, i);
            x[j] = interp_ball(run->rounding, from[j], in[j], place[j]);
            if (j < 2) {
                at[j] = in[j] + place[j];
                counts[j] = from[j]->count;
            }
        }
        /* Integers are exact among themselves; one beside a float becomes one. */
        bool ints = whole;
        for (int j = 0; j < node->in_count && j < 3; j++)
            ints = ints && from[j]->node->type.dtype != DT_FLOAT;
        for (int j = 0; j < node->in_count && ints && j < 3; j++) x[j].e = 0;
        if (!whole && is_sum(node)) {
            bound_sum(run, plan, at, counts, node->in_count, out + i);
            continue;
        }
        Ball y = element_ball(run, plan, x, out[i], &jumps);
        double e = whole ? ball_leaf(run->rounding, out[i]).e : y.e;
        if (!whole && isfinite(out[i]) != isfinite(y.v) && node->op != OP_SIGN) e = INFINITY;
        interp_put_bound(plan, out, i, isnan(e) ? INFINITY : e);
    }
    if (jumps) jump(run, plan);
}
