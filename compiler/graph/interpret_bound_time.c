/* Bounds of operations over positions: what a loop has to keep beside its sums.
 *
 *   TSUM, TMEAN           distances; magnitudes; how many terms are not grained, by the last of
 * them TMAX                  distance of the largest so far TARGMAX               the same; the
 * highest that any other may reach TLOGSUMEXP, TSOFTMAX  how much more the sum may be TCONCAT
 * distances of the elements CTC                   the sum over steps of the largest distance and of
 * the roundings */
#include "graph/interpret_run.h"

#include <math.h>

int64_t interp_bound_loop_size(const Plan *plan, const Loop *loop, int64_t operand_count) {
    if (plan->node->op == OP_TCONCAT) return loop->high * operand_count;
    return 3 * plan->count;
}

static void visit_argmax(const Plan *plan, const Loop *loop, int64_t i, Ball x, double *errors) {
    double best = loop->sums[i], *rival = &errors[plan->count + i];
    bool first = loop->done == 0;
    double other = x.v + x.e;
    if (first || x.v > best) {
        other = first ? -INFINITY : best + errors[i];
        /* A tie of two that are not exact is no clear win of the first. */
        errors[i] = x.e;
        if (first) *rival = -INFINITY;
    } else if (x.v == best && x.e + errors[i] > 0) {
        other = INFINITY;
    }
    if (other > *rival) *rival = other;
}

void interp_bound_visit(Run *run, const Plan *plan, const Plan *operand, Loop *loop,
                        const double *value) {
    const Rounding *r = run->rounding;
    double *errors = loop->errors;
    int64_t count = plan->count;
    if (plan->node->op == OP_TCONCAT) {
        for (int64_t i = 0; i < operand->count; i++)
            errors[loop->done * operand->count + i] = interp_ball(r, operand, value, i).e;
        return;
    }
    if (plan->node->op == OP_CTC) {
        double most = 0, magnitude = 1;
        for (int64_t i = 0; i < operand->count; i++) {
            Ball x = interp_ball(r, operand, value, i);
            if (x.e > most) most = x.e;
            if (isfinite(x.v) && fabs(x.v) > magnitude) magnitude = fabs(x.v);
        }
        /* Forward variables grow by a magnitude a step; each is three sums of logarithms. */
        errors[1] += magnitude;
        errors[0] += most + 8 * r->unit * errors[1];
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        Ball x = interp_ball(r, operand, value, i);
        switch ((int)plan->node->op) {
        case OP_TSUM:
        case OP_TMEAN:
            if (isfinite(x.v)) errors[count + i] += fabs(x.v) + x.e;
            errors[i] += x.e;
            if (x.v != 0 && !ball_grained(r, x.v, 0)) errors[2 * count + i] += 1;
            break;
        case OP_TMAX: errors[i] = ball_extreme(true, (Ball){loop->sums[i], errors[i]}, x).e; break;
        case OP_TARGMAX: visit_argmax(plan, loop, i, x, errors); break;
        case OP_TLOGSUMEXP:
        case OP_TSOFTMAX: {
            double top = loop->sums[i];
            if (loop->pass == 0 || x.v == -INFINITY || !isfinite(top)) {
                if (isinf(x.e)) errors[i] = INFINITY;
            } else {
                errors[i] += exp(x.v - top) * expm1(x.e + r->unit * fabs(x.v - top));
            }
            break;
        }
        }
    }
}

/* How far the logarithm of the sum of powers may be. */
static double spread(const Rounding *r, const Plan *plan, const Loop *loop, int64_t i) {
    double n = (double)(loop->high - loop->low);
    return log1p(loop->errors[i] / loop->sums[plan->count + i]) + (n + 3) * r->unit + n * r->tiny;
}

static Ball reduced(const Run *run, const Plan *plan, const Loop *loop, int64_t i, double v) {
    const Rounding *r = run->rounding;
    const double *errors = loop->errors;
    int64_t count = plan->count;
    double n = (double)(loop->high - loop->low), e = errors[i];
    switch ((int)plan->node->op) {
    case OP_TSUM:
    case OP_TMEAN: {
        double mass = errors[count + i];
        bool exact =
            e == 0 && (errors[2 * count + i] == 0 ? ball_grained(r, 0, mass) : n == 1 || mass == 0);
        if (!exact) e += n * r->unit * mass;
        if (!isfinite(v)) return (Ball){v, isfinite(e) ? 0 : INFINITY};
        if (mass > r->limit) e = INFINITY;
        if (plan->node->op == OP_TSUM || n == 0) return (Ball){v, e};
        return ball_div(r, (Ball){v * n, e}, (Ball){n, 0});
    }
    case OP_TLOGSUMEXP:
        if (!isfinite(v)) return (Ball){v, isfinite(e) ? 0 : INFINITY};
        e = spread(r, plan, loop, i) + 3 * r->unit * fabs(log(loop->sums[count + i]));
        return ball_round(r, v, e, 2, true);
    case OP_CTC:
        if (!isfinite(v)) return (Ball){v, isfinite(e) ? 0 : INFINITY};
        return ball_round(r, v, errors[0], 1, true);
    }
    return (Ball){v, e};
}

void interp_bound_reduced(Run *run, const Plan *plan, const Loop *loop, double *out) {
    for (int64_t i = 0; i < plan->count; i++) {
        if (plan->node->op == OP_TARGMAX) {
            double best = loop->sums[i] - loop->errors[i];
            if (loop->high > loop->low && !(loop->errors[plan->count + i] <= best))
                interp_fragile(run, plan->node->id, NULL, "the largest position is not clear");
            interp_put_bound(plan, out, i, 0);
            continue;
        }
        double e = reduced(run, plan, loop, i, out[i]).e;
        interp_put_bound(plan, out, i, isnan(e) ? INFINITY : e);
    }
}

void interp_bound_tsoftmax(Run *run, const Plan *plan, const Plan *operand, const Loop *loop,
                           const double *value, double *out) {
    const Rounding *r = run->rounding;
    for (int64_t i = 0; i < plan->count; i++) {
        double e = 0;
        if (value) {
            Ball x = interp_ball(r, operand, value, i);
            double top = loop->sums[i];
            if (isfinite(top) && isfinite(x.v)) {
                double p = exp(x.v - top), all = loop->sums[plan->count + i];
                double d = x.e + r->unit * fabs(x.v - top), more = loop->errors[i] - p * expm1(d);
                if (all - p > 0 && more > 0) d += log1p(more / (all - p));
                e = ball_share(out[i], all - p > 0 ? (all - p) / all : 0, d);
                e = ball_round(r, out[i], e, (double)(loop->high - loop->low) + 7, true).e;
            }
            if (isinf(x.e) || isinf(loop->errors[i])) e = INFINITY;
        }
        interp_put_bound(plan, out, i, isnan(e) ? INFINITY : e);
    }
}
