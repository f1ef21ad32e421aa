/* The meaning of operations within one position that are not elementwise, and of the losses. Plain
 * loops; sums run in index order, rounded after every addition when the result is narrow. */
#include "graph/interpret_run.h"

#include <inttypes.h>
#include <math.h>

static const Shape *shape_of(const Run *run, const Plan *plan, int j) {
    return &run->graph->nodes.at[plan->node->in[j]]->type.shape;
}

/* An int operand as an index below `bound`. */
static int64_t index_of(Run *run, const Plan *plan, double value, int64_t bound) {
    if (value >= 0 && value < (double)bound && value == floor(value)) return (int64_t)value;
    char name[120];
    interp_spell(run, plan->node->id, NULL, name, sizeof name);
    interp_fail(run, INTERP_VALUE, plan->node->id,
                "%.17g is no index below %" PRId64 " in %s, sequence %" PRId64, value, bound, name,
                run->b);
}

/* ---- Products ---- */

/* out[m,n] = a[m,k] b[k,n]. Four results at a time are four chains; each runs in the order of k. */
static void matmul_double(const double *a, const double *b, double *out, int64_t m, int64_t k,
                          int64_t n) {
    int64_t i = 0;
    for (; n == 1 && i + 4 <= m; i += 4) {
        const double *r0 = a + i * k, *r1 = r0 + k, *r2 = r1 + k, *r3 = r2 + k;
        double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int64_t l = 0; l < k; l++) {
            s0 += r0[l] * b[l];
            s1 += r1[l] * b[l];
            s2 += r2[l] * b[l];
            s3 += r3[l] * b[l];
        }
        out[i] = s0;
        out[i + 1] = s1;
        out[i + 2] = s2;
        out[i + 3] = s3;
    }
    for (; i < m; i++) {
        double *row = out + i * n;
        for (int64_t j = 0; j < n; j++) row[j] = 0;
        for (int64_t l = 0; l < k; l++)
            for (int64_t j = 0; j < n; j++) row[j] += a[i * k + l] * b[l * n + j];
    }
}

static void matmul_single(const double *a, const double *b, double *out, int64_t m, int64_t k,
                          int64_t n) {
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float sum = 0;
            for (int64_t l = 0; l < k; l++) {
                float product = (float)(a[i * k + l] * b[l * n + j]);
                sum = sum + product;
            }
            out[i * n + j] = (double)sum;
        }
}

static void matmul(const Run *run, const Plan *plan, const double *const *in, double *out) {
    const Shape *a = shape_of(run, plan, 0), *b = shape_of(run, plan, 1);
    int64_t m = a->rank == 2 ? a->dim[0] : 1, n = b->rank == 2 ? b->dim[1] : 1;
    if (plan->narrow)
        matmul_single(in[0], in[1], out, m, b->dim[0], n);
    else
        matmul_double(in[0], in[1], out, m, b->dim[0], n);
}

/* Sum of the products of one window: w [C, q0, q1, q2] on x [C, r0, r1, r2], beginning at `from`.
 */
static double window(bool narrow, const double *w, const double *x, int64_t channels,
                     const int64_t q[3], const int64_t r[3], const int64_t from[3]) {
    double sum = 0;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < q[0]; i++)
            for (int64_t j = 0; j < q[1]; j++)
                for (int64_t k = 0; k < q[2]; k++) {
                    int64_t p0 = from[0] + i, p1 = from[1] + j, p2 = from[2] + k;
                    if (p0 < 0 || p0 >= r[0] || p1 < 0 || p1 >= r[1] || p2 < 0 || p2 >= r[2])
                        continue; /* padding */
                    double a = w[((c * q[0] + i) * q[1] + j) * q[2] + k];
                    double b = x[((c * r[0] + p0) * r[1] + p1) * r[2] + p2];
                    sum = interp_round(narrow, sum + interp_round(narrow, a * b));
                }
    return sum;
}

static void conv(const Run *run, const Plan *plan, const double *const *in, double *out) {
    const Shape *w = shape_of(run, plan, 0), *x = shape_of(run, plan, 1),
                *y = &plan->node->type.shape;
    const Attr *attr = &plan->node->attr;
    int64_t q[3] = {1, 1, 1}, r[3] = {1, 1, 1}, s[3] = {1, 1, 1}, size[3] = {1, 1, 1}, pad[3] = {0};
    for (int d = 0; d + 1 < x->rank && d < 3; d++) {
        q[d] = w->dim[d + 2];
        r[d] = x->dim[d + 1];
        s[d] = attr->dims[d];
        pad[d] = attr->pads[d];
        size[d] = y->dim[d + 1];
    }
    int64_t channels = x->dim[0], kernel = channels * q[0] * q[1] * q[2];
    for (int64_t o = 0; o < w->dim[0]; o++)
        for (int64_t i = 0; i < size[0]; i++)
            for (int64_t j = 0; j < size[1]; j++)
                for (int64_t k = 0; k < size[2]; k++) {
                    int64_t from[3] = {i * s[0] - pad[0], j * s[1] - pad[1], k * s[2] - pad[2]};
                    *out++ = window(plan->narrow, in[0] + o * kernel, in[1], channels, q, r, from);
                }
}

static double extreme(bool most, double a, double b) {
    return a != a ? a : b != b || (most ? b > a : b < a) ? b : a;
}

static void pool(const Run *run, const Plan *plan, const double *x, double *out) {
    const Shape *from = shape_of(run, plan, 0), *to = &plan->node->type.shape;
    const int64_t *side = plan->node->attr.dims;
    int64_t area = 1;
    for (int d = 0; d + 1 < from->rank; d++) area *= side[d];
    for (int64_t i = 0; i < plan->count; i++) {
        double result = 0;
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
            if (plan->node->op == OP_AVGPOOL)
                result = interp_round(plan->narrow, result + x[place]);
            else
                result = cell == 0 ? x[place] : extreme(true, result, x[place]);
        }
        if (plan->node->op == OP_AVGPOOL)
            result = interp_round(plan->narrow, result / (double)area);
        out[i] = result;
    }
}

/* ---- Moving elements ---- */

static void slice(const Run *run, const Plan *plan, const double *x, double *out) {
    const Shape *from = shape_of(run, plan, 0);
    const Attr *attr = &plan->node->attr;
    for (int64_t i = 0; i < plan->count; i++) {
        int64_t place = 0, step = 1, rest = i;
        for (int d = from->rank; d-- > 0;) {
            int64_t size = attr->ends[d] - attr->dims[d];
            place += (attr->dims[d] + rest % size) * step;
            rest /= size;
            step *= from->dim[d];
        }
        out[i] = x[place];
    }
}

static void broadcast(const Run *run, const Plan *plan, const double *x, double *out) {
    const Shape *from = shape_of(run, plan, 0), *to = &plan->node->type.shape;
    for (int64_t i = 0; i < plan->count; i++) {
        int64_t place = 0, step = 1, rest = i;
        for (int d = to->rank; d-- > 0 && from->rank > 0;) {
            if (from->dim[d] != 1) place += rest % to->dim[d] * step;
            rest /= to->dim[d];
            step *= from->dim[d];
        }
        out[i] = x[place];
    }
}

static void concat(const Run *run, const Plan *plan, const double *const *in, double *out) {
    for (int j = 0; j < plan->node->in_count; j++) {
        int64_t count = run->plans[plan->node->in[j]].count;
        /* A float among ints: its parts are rounded as the result is. */
        for (int64_t i = 0; i < count; i++) *out++ = interp_round(plan->narrow, in[j][i]);
    }
}

/* ---- Along a dimension: `count` elements, `step` apart ---- */

static double sum_along(bool narrow, const double *x, int64_t count, int64_t step) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum = interp_round(narrow, sum + x[i * step]);
    return sum;
}

static double extreme_along(bool most, const double *x, int64_t count, int64_t step) {
    double result = x[0];
    for (int64_t i = 1; i < count; i++) result = extreme(most, result, x[i * step]);
    return result;
}

static void reduce(const Run *run, const Plan *plan, const double *x, double *out) {
    const Shape *from = shape_of(run, plan, 0);
    Op op = plan->node->op;
    int dim = plan->node->attr.dim;
    int64_t count = dim < 0 ? shape_count(*from) : from->dim[dim], inner = 1;
    for (int d = dim + 1; dim >= 0 && d < from->rank; d++) inner *= from->dim[d];
    for (int64_t i = 0; i < plan->count; i++) {
        const double *first = x + i / inner * inner * count + i % inner;
        if (op == OP_RMAX || op == OP_RMIN) {
            out[i] = extreme_along(op == OP_RMAX, first, count, inner);
            continue;
        }
        out[i] = sum_along(plan->narrow, first, count, inner);
        if (op == OP_MEAN) out[i] = interp_round(plan->narrow, out[i] / (double)count);
    }
}

/* log(sum(e^x)); infinite when the maximum is. */
static double log_sum_exp(bool narrow, const double *x, int64_t count) {
    double top = extreme_along(true, x, count, 1), sum = 0;
    if (isinf(top)) return top;
    for (int64_t i = 0; i < count; i++) {
        double e = interp_round(narrow, exp(interp_round(narrow, x[i] - top)));
        sum = interp_round(narrow, sum + e);
    }
    return interp_round(narrow, top + interp_round(narrow, log(sum)));
}

static void softmax(bool narrow, const double *x, double *out, int64_t count) {
    double top = extreme_along(true, x, count, 1);
    for (int64_t i = 0; i < count; i++)
        out[i] = interp_round(narrow, exp(interp_round(narrow, x[i] - top)));
    double sum = sum_along(narrow, out, count, 1);
    for (int64_t i = 0; i < count; i++) out[i] = interp_round(narrow, out[i] / sum);
}

static void log_softmax(bool narrow, const double *x, double *out, int64_t count) {
    double top = extreme_along(true, x, count, 1), sum = 0;
    for (int64_t i = 0; i < count; i++) {
        out[i] = interp_round(narrow, x[i] - top);
        sum = interp_round(narrow, sum + interp_round(narrow, exp(out[i])));
    }
    double log_sum = interp_round(narrow, log(sum));
    for (int64_t i = 0; i < count; i++) out[i] = interp_round(narrow, out[i] - log_sum);
}

static void layernorm(bool narrow, const double *x, double *out, int64_t count) {
    double mean = interp_round(narrow, sum_along(narrow, x, count, 1) / (double)count), sum = 0;
    for (int64_t i = 0; i < count; i++) {
        out[i] = interp_round(narrow, x[i] - mean);
        sum = interp_round(narrow, sum + interp_round(narrow, out[i] * out[i]));
    }
    double variance = interp_round(narrow, sum / (double)count);
    double deviation = interp_round(narrow, sqrt(interp_round(narrow, variance + 1e-5)));
    for (int64_t i = 0; i < count; i++) out[i] = interp_round(narrow, out[i] / deviation);
}

static int64_t first_maximum(const double *x, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

static void along_last(const Run *run, const Plan *plan, const double *x, double *out) {
    const Shape *from = shape_of(run, plan, 0);
    int64_t count = from->dim[from->rank - 1], rows = shape_count(*from) / count;
    for (int64_t i = 0; i < rows; i++, x += count) {
        Op op = plan->node->op;
        if (op == OP_SOFTMAX)
            softmax(plan->narrow, x, out + i * count, count);
        else if (op == OP_LOG_SOFTMAX)
            log_softmax(plan->narrow, x, out + i * count, count);
        else if (op == OP_LAYERNORM)
            layernorm(plan->narrow, x, out + i * count, count);
        else if (op == OP_LOGSUMEXP)
            out[i] = log_sum_exp(plan->narrow, x, count);
        else
            out[i] = (double)first_maximum(x, count);
    }
}

/* ---- Losses ---- */

static double loss(Run *run, const Plan *plan, const double *a, const double *b) {
    bool narrow = plan->narrow;
    Op op = plan->node->op;
    int64_t count = run->plans[plan->node->in[0]].count;
    if (op == OP_NLL) return -a[index_of(run, plan, b[0], count)];
    if (op == OP_XENT) {
        double z = a[index_of(run, plan, b[0], count)];
        return interp_round(narrow, log_sum_exp(narrow, a, count) - z);
    }
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double e;
        if (op == OP_MSE) {
            double d = interp_round(narrow, a[i] - b[i]);
            e = interp_round(narrow, d * d);
        } else {
            double plus = a[i] > 0 ? a[i] + log1p(exp(-a[i])) : log1p(exp(a[i]));
            e = interp_round(narrow,
                             interp_round(narrow, plus) - interp_round(narrow, a[i] * b[i]));
        }
        sum = interp_round(narrow, sum + e);
    }
    return interp_round(narrow, sum / (double)count);
}

void interp_tensor(Run *run, const Plan *plan, const double *const *in, double *out) {
    const Shape *a = shape_of(run, plan, 0);
    int64_t count = plan->count;
    switch ((int)plan->node->op) {
    case OP_MATMUL: matmul(run, plan, in, out); break;
    case OP_CONV: conv(run, plan, in, out); break;
    case OP_MAXPOOL:
    case OP_AVGPOOL: pool(run, plan, in[0], out); break;
    case OP_TRANSPOSE:
        for (int64_t i = 0; i < count; i++)
            out[i] = in[0][i % a->dim[0] * a->dim[1] + i / a->dim[0]];
        break;
    case OP_RESHAPE: memcpy(out, in[0], (size_t)count * sizeof *out); break;
    case OP_BROADCAST: broadcast(run, plan, in[0], out); break;
    case OP_CONCAT: concat(run, plan, in, out); break;
    case OP_SLICE: slice(run, plan, in[0], out); break;
    case OP_GATHER:
        memcpy(out, in[0] + index_of(run, plan, in[1][0], a->dim[0]) * count,
               (size_t)count * sizeof *out);
        break;
    case OP_DOT:
        if (plan->narrow)
            matmul_single(in[0], in[1], out, 1, a->dim[0], 1);
        else
            matmul_double(in[0], in[1], out, 1, a->dim[0], 1);
        break;
    case OP_OUTER: {
        int64_t n = shape_of(run, plan, 1)->dim[0];
        for (int64_t i = 0; i < count; i++)
            out[i] = interp_round(plan->narrow, in[0][i / n] * in[1][i % n]);
        break;
    }
    case OP_SOFTMAX:
    case OP_LOG_SOFTMAX:
    case OP_LOGSUMEXP:
    case OP_ARGMAX:
    case OP_LAYERNORM: along_last(run, plan, in[0], out); break;
    case OP_SUM:
    case OP_MEAN:
    case OP_RMAX:
    case OP_RMIN: reduce(run, plan, in[0], out); break;
    case OP_ONEHOT: {
        int64_t one = index_of(run, plan, in[0][0], count);
        for (int64_t i = 0; i < count; i++) out[i] = i == one;
        break;
    }
    case OP_XENT:
    case OP_NLL:
    case OP_MSE:
    case OP_BCE: out[0] = loss(run, plan, in[0], in[1]); break;
    }
}
