/* Bounds of operations within one position that are not elementwise, and of the losses: moved
 * elements take their planes along; sums count their terms; softmax and its kin are bounded as a
 * whole, since what an error of the maximum or of the mean does to all elements cancels. */
#include "graph/interpret_run.h"

#include <math.h>

/* One operand as balls. */
typedef struct Row {
    const Plan *plan;
    const double *value;
    int64_t first, count, step;
} Row;

static Row row_of(const Run *run, const Plan *plan, const double *const *in, int j) {
    const Plan *from = &run->plans[plan->node->in[j]];
    return (Row){from, in[j], 0, from->count, 1};
}

static Ball at(const Rounding *r, const Row *row, int64_t i) {
    return interp_ball(r, row->plan, row->value, row->first + i * row->step);
}

/* ---- Sums of products ---- */

typedef struct Products {
    double e, mass;
    int64_t terms, present;
    bool exact, infinite;
} Products;

static void add_product(const Rounding *r, Products *sum, Ball a, Ball b) {
    double v = a.v * b.v, e = 0;
    sum->terms++;
    if (a.e != 0 || b.e != 0) e = fabs(a.v) * b.e + fabs(b.v) * a.e + a.e * b.e;
    if (!isfinite(v)) {
        if (!(e == 0)) sum->e = INFINITY;
        sum->infinite = true;
        return;
    }
    if (v == 0 && e == 0) return;
    sum->present++;
    sum->e += e;
    sum->mass += fabs(v) + e;
    sum->exact = sum->exact && e == 0 &&
                 (sum->present == 1 ? ball_mul(r, a, b).e == 0 : ball_grained(r, v, sum->mass));
    if (sum->present == 2) sum->exact = sum->exact && ball_grained(r, sum->mass - fabs(v), 0);
}

static void put_products(const Run *run, const Plan *plan, const Products *sum, double *out) {
    const Rounding *r = run->rounding;
    double e = sum->e + (sum->exact ? 0 : (double)sum->terms * r->tiny);
    if (sum->infinite)
        e = e > 0 && !isnan(*out) ? INFINITY : 0;
    else if (!isfinite(*out) || sum->mass > r->limit)
        e = INFINITY;
    out[PLANE_ERROR * plan->count] = isnan(e) ? INFINITY : e;
    out[PLANE_MASS * plan->count] = sum->infinite ? 0 : sum->mass;
    out[PLANE_ROUNDS * plan->count] = sum->exact ? -(double)sum->terms : (double)sum->terms;
}

static void matmul(const Run *run, const Plan *plan, const double *const *in, double *out) {
    const Rounding *r = run->rounding;
    Row a = row_of(run, plan, in, 0), b = row_of(run, plan, in, 1);
    const Shape *left = &a.plan->node->type.shape, *right = &b.plan->node->type.shape;
    int64_t m = left->rank == 2 ? left->dim[0] : 1, n = right->rank == 2 ? right->dim[1] : 1;
    int64_t inner = right->dim[0];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++, out++) {
            Products sum = {.exact = true};
            for (int64_t k = 0; k < inner; k++)
                add_product(r, &sum, at(r, &a, i * inner + k), at(r, &b, k * n + j));
            put_products(run, plan, &sum, out);
        }
}

static void conv(const Run *run, const Plan *plan, const double *const *in, double *out) {
    const Rounding *r = run->rounding;
    Row w = row_of(run, plan, in, 0), x = row_of(run, plan, in, 1);
    const Shape *ws = &w.plan->node->type.shape, *xs = &x.plan->node->type.shape;
    const Shape *ys = &plan->node->type.shape;
    const Attr *attr = &plan->node->attr;
    int64_t area = 1;
    for (int d = 2; d < ws->rank; d++) area *= ws->dim[d];
    for (int64_t i = 0; i < plan->count; i++, out++) {
        Products sum = {.exact = true};
        for (int64_t l = 0; l < xs->dim[0] * area; l++) {
            int64_t place = 0, step = 1, rest = i, cell = l;
            bool inside = true;
            for (int d = xs->rank; d-- > 1;) {
                int64_t p = rest % ys->dim[d] * attr->dims[d - 1] - attr->pads[d - 1] +
                            cell % ws->dim[d + 1];
                inside = inside && p >= 0 && p < xs->dim[d];
                place += p * step;
                step *= xs->dim[d];
                rest /= ys->dim[d];
                cell /= ws->dim[d + 1];
            }
            place += cell * step; /* what is left is the channel */
            if (inside)
                add_product(r, &sum, at(r, &w, rest * xs->dim[0] * area + l), at(r, &x, place));
            else
                sum.terms++;
        }
        put_products(run, plan, &sum, out);
    }
}

/* ---- Rows ---- */

/* The sum of a row in any order; `scale`: then divided by. */
static Ball sum_row(const Rounding *r, const Row *row, double scale) {
    double v = 0, e = 0, mass = 0;
    bool exact = true, infinite = false;
    for (int64_t i = 0; i < row->count; i++) {
        Ball x = at(r, row, i);
        v += x.v;
        e += x.e;
        infinite = infinite || !isfinite(x.v);
        mass += fabs(x.v) + x.e;
    }
    for (int64_t i = 0; i < row->count && e == 0 && exact; i++)
        exact = ball_grained(r, at(r, row, i).v, mass);
    if (infinite)
        e = isfinite(e) ? 0 : INFINITY;
    else if (e != 0 || !exact)
        e += (double)row->count * r->unit * mass;
    if (!infinite && mass > r->limit) e = INFINITY;
    Ball sum = {v, e};
    return scale == 1 ? sum : ball_div(r, sum, (Ball){scale, 0});
}

static Ball extreme_row(const Rounding *r, const Row *row, bool most) {
    Ball x = at(r, row, 0);
    for (int64_t i = 1; i < row->count; i++) x = ball_extreme(most, x, at(r, row, i));
    return x;
}

/* Sum of the e^x, each x less the maximum before exp, and how much more it may be. */
typedef struct Powers {
    double top, sum, more;
    bool finite; /* the maximum is */
} Powers;

/* How much more one of them may be. */
static double more_of(const Rounding *r, const Powers *all, Ball x) {
    if (isinf(x.e)) return INFINITY;
    if (x.v == -INFINITY) return 0;
    return exp(x.v - all->top) * expm1(x.e + r->unit * fabs(x.v - all->top));
}

static Powers powers_of(const Rounding *r, const Row *row) {
    Ball top = extreme_row(r, row, true);
    Powers all = {.top = top.v, .finite = isfinite(top.v)};
    for (int64_t i = 0; i < row->count && all.finite; i++) {
        Ball x = at(r, row, i);
        all.sum += exp(x.v - top.v);
        all.more += more_of(r, &all, x);
    }
    if (isinf(top.e)) all.more = INFINITY;
    return all;
}

/* The error of the logarithm of the sum: from what it is made of, and by its own rounding. */
static double spread(const Rounding *r, const Powers *all, int64_t count) {
    return log1p(all->more / all->sum) + ((double)count + 3) * r->unit + (double)count * r->tiny +
           3 * r->unit * log(all->sum);
}

static Ball log_sum_exp(const Rounding *r, const Row *row) {
    Powers all = powers_of(r, row);
    if (!all.finite) return (Ball){all.top, isfinite(all.more) ? 0 : INFINITY};
    return ball_round(r, all.top + log(all.sum), spread(r, &all, row->count), 2, true);
}

static void softmax(const Run *run, const Plan *plan, const Row *row, bool logarithm, double *out) {
    const Rounding *r = run->rounding;
    Powers all = powers_of(r, row);
    double n = (double)row->count;
    for (int64_t i = 0; i < row->count; i++) {
        Ball x = at(r, row, i), y = {out[i], 0};
        double d = x.e + r->unit * fabs(x.v - all.top);
        if (isinf(all.more) || isinf(x.e)) {
            y.e = INFINITY;
        } else if (all.finite && isfinite(x.v) && logarithm) {
            y = ball_round(r, out[i], d + spread(r, &all, row->count), 1, true);
        } else if (all.finite && isfinite(x.v)) {
            double rest = all.sum - exp(x.v - all.top), more = all.more - more_of(r, &all, x);
            d += rest > 0 && more > 0 ? log1p(more / rest) : 0;
            y = ball_round(r, out[i], ball_share(out[i], rest > 0 ? rest / all.sum : 0, d), n + 7,
                           true);
        }
        interp_put_bound(plan, out, i, y.e);
    }
}

/* (x - mean) / s with s = sqrt(variance + 1e-5): a step of x by d moves the result by
 * (d - mean d - y mean(y d)) / s. The smallest s within the bounds stands for all. */
static void layernorm(const Run *run, const Plan *plan, const Row *row, double *out) {
    const Rounding *r = run->rounding;
    double n = (double)row->count, mass = 0, mean_e = 0, squares = 0, centre_e = 0, inner = 0;
    Ball mean = sum_row(r, row, n);
    for (int64_t i = 0; i < row->count; i++) {
        Ball x = at(r, row, i);
        mass += fabs(x.v) / n;
        mean_e += x.e / n;
    }
    double round_mean = n == 1 ? 0 : (n + 1) * r->unit * (mass + mean_e);
    for (int64_t i = 0; i < row->count; i++) {
        Ball x = at(r, row, i);
        /* Of the mean, 1/n is the element's own. */
        double c = x.v - mean.v, own = x.e * (n == 1 ? -1 : 1 - 2 / n);
        double e = own + mean_e + round_mean + r->unit * fabs(c);
        squares += c * c / n;
        centre_e += e * e / n;
        inner += fabs(c) * x.e / n + e * x.e / n;
        if (!(n * c * c < r->limit)) centre_e = INFINITY;
    }
    double s = sqrt(squares + 1e-5), least = s - sqrt(centre_e);
    if (!(least > sqrt(0.99e-5))) least = sqrt(0.99e-5);
    for (int64_t i = 0; i < row->count; i++) {
        Ball x = at(r, row, i);
        double c = fabs(x.v - mean.v), own = x.e * (n == 1 ? -1 : 1 - 2 / n) + mean_e;
        double reach = c + own + round_mean;
        double moved = (own + reach / least * inner / least) / least;
        /* An error of the mean is one of all centred numbers; it moves the variance by its square.
         */
        double rounded =
            (round_mean + r->unit * c) / least +
            reach / least * (((n + 8) / 2) * r->unit + (round_mean / least) * (round_mean / least));
        double e = moved + rounded;
        Ball y = ball_round(r, out[i], isfinite(centre_e) ? e : INFINITY, 2,
                            isfinite(mean.e) && isfinite(x.e));
        interp_put_bound(plan, out, i, y.e);
    }
}

/* Whether another element may be the first maximum in compiled code. */
static bool rivals(const Rounding *r, const Row *row, int64_t best) {
    Ball won = at(r, row, best);
    for (int64_t i = 0; i < row->count; i++) {
        Ball x = at(r, row, i);
        if (i != best && x.v + x.e > won.v - won.e) return true;
        if (i != best && x.v == won.v && x.e + won.e > 0) return true;
    }
    return isinf(won.e);
}

static void along_last(Run *run, const Plan *plan, const double *const *in, double *out) {
    const Rounding *r = run->rounding;
    Row row = row_of(run, plan, in, 0);
    const Shape *from = &row.plan->node->type.shape;
    int64_t count = from->dim[from->rank - 1], rows = row.count / count;
    row.count = count;
    for (int64_t i = 0; i < rows; i++, row.first += count) {
        Op op = plan->node->op;
        if (op == OP_SOFTMAX || op == OP_LOG_SOFTMAX)
            softmax(run, plan, &row, op == OP_LOG_SOFTMAX, out + i * count);
        else if (op == OP_LAYERNORM)
            layernorm(run, plan, &row, out + i * count);
        else if (op == OP_LOGSUMEXP)
            interp_put_bound(plan, out, i, log_sum_exp(r, &row).e);
        else {
            if (rivals(r, &row, (int64_t)out[i]))
                interp_fragile(run, plan->node->id, NULL, "the largest element is not clear");
            interp_put_bound(plan, out, i, 0);
        }
    }
}

static void reduce(const Run *run, const Plan *plan, const double *const *in, double *out) {
    const Rounding *r = run->rounding;
    Row row = row_of(run, plan, in, 0);
    const Shape *from = &row.plan->node->type.shape;
    Op op = plan->node->op;
    int dim = plan->node->attr.dim;
    int64_t inner = 1;
    for (int d = dim + 1; dim >= 0 && d < from->rank; d++) inner *= from->dim[d];
    if (dim >= 0) row.count = from->dim[dim];
    row.step = inner;
    for (int64_t i = 0; i < plan->count; i++) {
        row.first = i / inner * inner * row.count + i % inner;
        Ball y = op == OP_RMAX || op == OP_RMIN
                     ? extreme_row(r, &row, op == OP_RMAX)
                     : sum_row(r, &row, op == OP_MEAN ? (double)row.count : 1);
        interp_put_bound(plan, out, i, y.e);
    }
}

static void pool(const Run *run, const Plan *plan, const double *const *in, double *out) {
    const Rounding *r = run->rounding;
    Row x = row_of(run, plan, in, 0);
    const Shape *from = &x.plan->node->type.shape, *to = &plan->node->type.shape;
    const int64_t *side = plan->node->attr.dims;
    int64_t area = 1;
    for (int d = 0; d + 1 < from->rank; d++) area *= side[d];
    for (int64_t i = 0; i < plan->count; i++) {
        Ball y = {0, 0};
        double e = 0, mass = 0;
        for (int64_t cell = 0; cell < area; cell++) {
            int64_t place = 0, step = 1, rest = i, inner = cell;
            for (int d = from->rank; d-- > 0;) {
                int64_t p = rest % to->dim[d];
                if (d > 0) {
                    p = p * side[d - 1] + inner % side[d - 1];
                    inner /= side[d - 1];
                }
                place += p * step;
                rest /= to->dim[d];
                step *= from->dim[d];
            }
            Ball b = at(r, &x, place);
            y = cell == 0 ? b : ball_extreme(true, y, b);
            e += b.e;
            mass += fabs(b.v) + b.e;
        }
        if (plan->node->op == OP_AVGPOOL)
            y = ball_round(r, out[i], (e + (double)(area + 1) * r->unit * mass) / (double)area, 1,
                           isfinite(e));
        interp_put_bound(plan, out, i, y.e);
    }
}

/* ---- Losses ---- */

static Ball loss(const Run *run, const Plan *plan, const double *const *in) {
    const Rounding *r = run->rounding;
    Op op = plan->node->op;
    Row a = row_of(run, plan, in, 0), b = row_of(run, plan, in, 1);
    if (op == OP_NLL) return at(r, &a, (int64_t)in[1][0]);
    if (op == OP_XENT) {
        Ball z = at(r, &a, (int64_t)in[1][0]);
        z.v = -z.v;
        return ball_add(r, log_sum_exp(r, &a), z);
    }
    double v = 0, e = 0, mass = 0, n = (double)a.count;
    for (int64_t i = 0; i < a.count; i++) {
        Ball x = at(r, &a, i), y = at(r, &b, i), term;
        bool jumps = false;
        if (op == OP_MSE) {
            y.v = -y.v;
            Ball d = ball_add(r, x, y);
            term = ball_mul(r, d, d);
            mass += fabs(term.v) + term.e;
        } else {
            Ball plus = ball_unary(r, OP_SOFTPLUS, x, &jumps), product = ball_mul(r, x, y);
            mass += fabs(plus.v) + plus.e + fabs(product.v) + product.e;
            product.v = -product.v;
            term = ball_add(r, plus, product);
        }
        v += term.v;
        e += term.e;
    }
    if (!isfinite(v)) return (Ball){v, isfinite(e) ? 0 : INFINITY};
    return ball_round(r, v / n, (e + n * r->unit * mass) / n, 1, true);
}

/* The planes of elements that only move are moved as the elements were. */
static void move(Run *run, const Plan *plan, const double *const *in, double *out) {
    for (int p = PLANE_ERROR; p < PLANES; p++) {
        const double **planes = interp_push_bytes(run, (size_t)plan->node->in_count * sizeof *in);
        for (int j = 0; j < plan->node->in_count; j++)
            planes[j] = in[j] + p * run->plans[plan->node->in[j]].count;
        if (plan->node->op == OP_GATHER) planes[1] = in[1];
        interp_tensor(run, plan, planes, out + p * plan->count);
    }
}

void interp_bound_tensor(Run *run, const Plan *plan, const double *const *in, double *out) {
    const Rounding *r = run->rounding;
    switch ((int)plan->node->op) {
    case OP_MATMUL: matmul(run, plan, in, out); break;
    case OP_CONV: conv(run, plan, in, out); break;
    case OP_MAXPOOL:
    case OP_AVGPOOL: pool(run, plan, in, out); break;
    case OP_TRANSPOSE:
    case OP_RESHAPE:
    case OP_BROADCAST:
    case OP_CONCAT:
    case OP_SLICE:
    case OP_GATHER: move(run, plan, in, out); break;
    case OP_DOT: matmul(run, plan, in, out); break;
    case OP_OUTER: {
        Row a = row_of(run, plan, in, 0), b = row_of(run, plan, in, 1);
        for (int64_t i = 0; i < plan->count; i++)
            interp_put_bound(plan, out, i,
                             ball_mul(r, at(r, &a, i / b.count), at(r, &b, i % b.count)).e);
        break;
    }
    case OP_SOFTMAX:
    case OP_LOG_SOFTMAX:
    case OP_LOGSUMEXP:
    case OP_ARGMAX:
    case OP_LAYERNORM: along_last(run, plan, in, out); break;
    case OP_SUM:
    case OP_MEAN:
    case OP_RMAX:
    case OP_RMIN: reduce(run, plan, in, out); break;
    case OP_ONEHOT:
        for (int64_t i = 0; i < plan->count; i++) interp_put_bound(plan, out, i, 0);
        break;
    case OP_XENT:
    case OP_NLL:
    case OP_MSE:
    case OP_BCE: interp_put_bound(plan, out, 0, loss(run, plan, in).e); break;
    }
    if (plan->node->type.dtype != DT_FLOAT)
        for (int64_t i = 0; i < plan->count; i++)
            interp_put_bound(plan, out, i, ball_leaf(r, out[i]).e);
}
