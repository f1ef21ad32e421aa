/* Operations that visit a range of positions: reductions over an index, softmax over an index,
 * tconcat, ctc. Their operands are kept at all positions, so a second pass over a range only looks
 * them up. Sums run in the order of positions, from the end where the operation is mirrored; in
 * single precision every addition is rounded. */
#include "graph/interpret_run.h"

#include <inttypes.h>
#include <math.h>

static int64_t place_of(const Frame *frame, const Node *node, int index) {
    for (int k = 0; k < node->domain_count; k++)
        if (node->domain[k] == index) return frame->at[k];
    return 0;
}

static int64_t bound_of(const Frame *frame, const Node *node, const Bound *bound, int64_t length,
                        int64_t none) {
    switch (bound->kind) {
    case BOUND_NONE: return none;
    case BOUND_INDEX: return place_of(frame, node, bound->index) + bound->offset;
    case BOUND_FIRST: return bound->offset;
    case BOUND_LAST: return length + bound->offset;
    }
    return none;
}

/* How many numbers a loop accumulates. */
static int64_t sums_of(const Run *run, const Plan *plan, const Loop *loop) {
    switch ((int)plan->node->op) {
    case OP_TSOFTMAX:
    case OP_TARGMAX:
    case OP_TLOGSUMEXP: return 2 * plan->count;
    case OP_TCONCAT: return loop->high * run->plans[plan->node->in[0]].count;
    case OP_CTC: return loop->labels + 2 * (2 * loop->labels + 1);
    }
    return plan->count;
}

/* Sets up the loop; false when a length had to be asked for. */
static bool begin(Run *run, Frame *frame, const Plan *plan) {
    const Node *node = plan->node;
    int axis = run->graph->indices.at[node->attr.index].axis;
    const Bound *high = &node->attr.high;
    Loop loop = {0};
    int64_t length = 0;
    /* A range that ends at an index of the same axis lies within the length as that index does. */
    bool implied = high->kind == BOUND_INDEX && high->offset <= 1 &&
                   node->attr.low.kind != BOUND_LAST &&
                   !(node->attr.mirrored && node->op == OP_TARGMAX);
    if (implied)
        length = place_of(frame, node, high->index) + 1;
    else if (!interp_ask_length(run, frame, axis, &length))
        return false;
    if (node->op == OP_CTC &&
        !interp_ask_length(run, frame, run->graph->indices.at[node->attr.index2].axis,
                           &loop.labels))
        return false;
    loop.low = bound_of(frame, node, &node->attr.low, length, 0);
    loop.high = bound_of(frame, node, high, length, length);
    if (loop.low < 0) loop.low = 0;
    if (loop.high > length) loop.high = length;
    if (loop.high < loop.low) loop.high = loop.low;
    int64_t sums = sums_of(run, plan, &loop);
    if (sums > INT64_MAX / 16) longjmp(run->out, 1);
    Loop *kept = interp_push_bytes(run, sizeof *kept);
    *kept = loop;
    kept->sums = interp_push_bytes(run, (size_t)sums * sizeof(double));
    for (int64_t i = 0; i < sums; i++) kept->sums[i] = 0;
    if (run->rounding) {
        int64_t errors = interp_bound_loop_size(plan, kept, run->plans[node->in[0]].count);
        kept->errors = interp_push_bytes(run, (size_t)errors * sizeof(double));
        for (int64_t i = 0; i < errors; i++) kept->errors[i] = 0;
    }
    if (node->op == OP_TMAX || node->op == OP_TLOGSUMEXP || node->op == OP_TSOFTMAX)
        for (int64_t i = 0; i < plan->count; i++) kept->sums[i] = -INFINITY;
    if (node->op == OP_TARGMAX)
        for (int64_t i = 0; i < plan->count; i++) kept->sums[plan->count + i] = -1;
    frame->loop = kept;
    return true;
}

static double larger(double a, double b) {
    return a != a ? a : b != b || b > a ? b : a;
}

/* Takes the value at position `s` into the sums. */
static void visit(const Plan *plan, const Plan *operand, Loop *loop, int64_t s,
                  const double *value) {
    double *sums = loop->sums;
    bool narrow = plan->narrow;
    int64_t count = plan->count;
    if (plan->node->op == OP_TCONCAT) {
        memcpy(sums + loop->done * operand->count, value, (size_t)operand->count * sizeof *value);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        double x = value[i];
        switch ((int)plan->node->op) {
        case OP_TMAX: sums[i] = larger(sums[i], x); break;
        case OP_TARGMAX:
            if (loop->done == 0 || x > sums[i]) {
                sums[i] = x;
                sums[count + i] = (double)s;
            }
            break;
        case OP_TLOGSUMEXP:
        case OP_TSOFTMAX:
            if (loop->pass == 0)
                sums[i] = larger(sums[i], x);
            else
                sums[count + i] = interp_round(
                    narrow,
                    sums[count + i] + interp_round(narrow, exp(interp_round(narrow, x - sums[i]))));
            break;
        case OP_TSUM:
        case OP_TMEAN: sums[i] = interp_round(narrow, sums[i] + x); break;
        }
    }
}

/* Visits all positions `passes` times; false when an operand had to be asked for. */
static bool visit_all(Run *run, Frame *frame, const Plan *plan, int passes) {
    Loop *loop = frame->loop;
    const Plan *operand = &run->plans[plan->node->in[0]];
    for (; loop->pass < passes; loop->pass++, loop->done = 0)
        for (; loop->done < loop->high - loop->low; loop->done++) {
            int64_t s =
                plan->node->attr.mirrored ? loop->high - 1 - loop->done : loop->low + loop->done;
            const double *value = interp_operand(run, frame, 0, s, 0);
            if (!value) return false;
            /* Before the value is taken: `sums` is what it meets. */
            if (run->rounding) interp_bound_visit(run, plan, operand, loop, value);
            visit(plan, operand, loop, s, value);
        }
    return true;
}

static void step_reduction(Run *run, Frame *frame, Plan *plan) {
    const Node *node = plan->node;
    bool narrow = plan->narrow;
    int64_t length = 0;
    if (!visit_all(run, frame, plan, node->op == OP_TLOGSUMEXP ? 2 : 1)) return;
    const Loop *loop = frame->loop;
    const double *sums = loop->sums;
    if (node->op == OP_TARGMAX && node->attr.mirrored &&
        !interp_ask_length(run, frame, run->graph->indices.at[node->attr.index].axis, &length))
        return;
    double *out = interp_out(run, frame);
    for (int64_t i = 0; i < plan->count; i++) {
        double rest = sums[i];
        if (node->op == OP_TMEAN && loop->high > loop->low)
            rest = interp_round(narrow, rest / (double)(loop->high - loop->low));
        if (node->op == OP_TLOGSUMEXP && !isinf(rest))
            rest = interp_round(narrow, rest + interp_round(narrow, log(sums[plan->count + i])));
        if (node->op == OP_TARGMAX) {
            rest = sums[plan->count + i];
            if (node->attr.mirrored && rest >= 0) rest = (double)(length - 1) - rest;
        }
        out[i] = rest;
    }
    if (run->rounding) interp_bound_reduced(run, plan, loop, out);
    interp_finish(run, frame);
}

/* Maximum and sum of one range (and the bound of the sum) are kept a while: all positions of the
 * range divide by them. */
enum { KEPT = 3 };

static double *normaliser(Run *run, Plan *plan, int64_t where, bool make) {
    if (!plan->tags) {
        plan->tags = interp_alloc(run, run->sequence, plan->slots, sizeof *plan->tags);
        plan->recent =
            interp_alloc(run, run->sequence, plan->slots * KEPT * plan->count, sizeof(double));
    }
    int64_t slot = (int64_t)((uint64_t)where * 0x9E3779B97F4A7C15u >> 32) & (plan->slots - 1);
    if (make) plan->tags[slot] = where + 1;
    return plan->tags[slot] == where + 1 ? plan->recent + slot * KEPT * plan->count : NULL;
}

static void step_softmax(Run *run, Frame *frame, Plan *plan) {
    const Node *node = plan->node;
    Loop *loop = frame->loop;
    int64_t s = place_of(frame, node, node->attr.index), outer = frame->where;
    for (int k = 0; k < node->domain_count; k++)
        if (node->domain[k] == node->attr.index) outer -= s * plan->stride[k];
    const double *value = NULL;
    if (s >= loop->low && s < loop->high) {
        const double *known = normaliser(run, plan, outer, false);
        if (known && loop->pass == 0) {
            memcpy(loop->sums, known, 2 * (size_t)plan->count * sizeof *known);
            if (run->rounding)
                memcpy(loop->errors, known + 2 * plan->count, (size_t)plan->count * sizeof *known);
            loop->pass = 2;
        } else if (loop->pass < 2) {
            if (!visit_all(run, frame, plan, 2)) return;
            double *kept = normaliser(run, plan, outer, true);
            memcpy(kept, loop->sums, 2 * (size_t)plan->count * sizeof *known);
            if (run->rounding)
                memcpy(kept + 2 * plan->count, loop->errors, (size_t)plan->count * sizeof *known);
        }
        if (!(value = interp_operand(run, frame, 0, s, 0))) return;
    }
    double *out = interp_out(run, frame);
    for (int64_t i = 0; i < plan->count; i++) {
        if (!value) {
            out[i] = 0;
            continue;
        }
        double e = interp_round(plan->narrow, value[i] - loop->sums[i]);
        e = interp_round(plan->narrow, exp(e));
        out[i] = interp_round(plan->narrow, e / loop->sums[plan->count + i]);
    }
    if (run->rounding) interp_bound_tsoftmax(run, plan, &run->plans[node->in[0]], loop, value, out);
    interp_finish(run, frame);
}

static void step_tconcat(Run *run, Frame *frame, Plan *plan) {
    if (!visit_all(run, frame, plan, 1)) return;
    double *out = interp_out(run, frame);
    memcpy(out, frame->loop->sums, (size_t)plan->count * sizeof(double));
    if (run->rounding) interp_bound_reduced(run, plan, frame->loop, out);
    interp_finish(run, frame);
}

static double log_add(double a, double b) {
    if (a == -INFINITY) return b;
    if (b == -INFINITY) return a;
    return a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}

/* One step of the forward variable over blanks and labels in turn; `alpha` of the step before. */
static void ctc_forward(const Loop *loop, const double *lp, int blank, const double *alpha,
                        double *to) {
    const double *labels = loop->sums;
    for (int64_t i = 0; i < 2 * loop->labels + 1; i++) {
        int symbol = i % 2 ? (int)labels[i / 2] : blank;
        double path = -INFINITY;
        if (loop->done == 0) {
            if (i < 2) path = 0;
        } else {
            path = alpha[i];
            if (i >= 1) path = log_add(path, alpha[i - 1]);
            if (i >= 2 && i % 2 && labels[i / 2] != labels[i / 2 - 1])
                path = log_add(path, alpha[i - 2]);
        }
        to[i] = path == -INFINITY ? path : path + lp[symbol];
    }
}

/* Forward variable in the log domain, in double. Pass 0 reads the labels, pass 1 the steps. */
static void step_ctc(Run *run, Frame *frame, Plan *plan) {
    const Node *node = plan->node;
    Loop *loop = frame->loop;
    int64_t states = 2 * loop->labels + 1;
    double *labels = loop->sums, *alpha = labels + loop->labels, *next = alpha + states;
    const double *value;
    for (; loop->pass == 0 && loop->done < loop->labels; loop->done++) {
        int64_t u = node->attr.mirrored ? loop->labels - 1 - loop->done : loop->done;
        if (!(value = interp_operand(run, frame, 1, 0, u))) return;
        if (value[0] == (double)node->attr.slot)
            interp_fail(run, INTERP_VALUE, node->id,
                        "label %" PRId64 " of sequence %" PRId64 " is the blank (%d)", u, run->b,
                        node->attr.slot);
        labels[loop->done] = value[0];
    }
    if (loop->pass == 0) {
        loop->pass = 1;
        loop->done = 0;
    }
    for (; loop->done < loop->high; loop->done++) {
        int64_t t = node->attr.mirrored ? loop->high - 1 - loop->done : loop->done;
        if (!(value = interp_operand(run, frame, 0, t, 0))) return;
        ctc_forward(loop, value, node->attr.slot, alpha, next);
        if (run->rounding) interp_bound_visit(run, plan, &run->plans[node->in[0]], loop, value);
        memcpy(alpha, next, (size_t)states * sizeof *alpha);
    }
    double all = loop->high == 0 ? (loop->labels == 0 ? 0.0 : -INFINITY) : alpha[states - 1];
    if (loop->high > 0 && loop->labels > 0) all = log_add(all, alpha[states - 2]);
    double *out = interp_out(run, frame);
    *out = interp_round(plan->narrow, all == 0 ? 0 : -all);
    if (run->rounding) interp_bound_reduced(run, plan, loop, out);
    interp_finish(run, frame);
}

void interp_step_loop(Run *run, Frame *frame) {
    Plan *plan = &run->plans[frame->node];
    if (!frame->loop && !begin(run, frame, plan)) return;
    if (plan->node->op == OP_TSOFTMAX)
        step_softmax(run, frame, plan);
    else if (plan->node->op == OP_CTC)
        step_ctc(run, frame, plan);
    else if (plan->node->op == OP_TCONCAT)
        step_tconcat(run, frame, plan);
    else
        step_reduction(run, frame, plan);
}
