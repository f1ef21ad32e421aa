/* Gradients of what reads other positions: a read is turned round, a reduction becomes one over the
 * positions that had it in their range. */
#include "adjoint/internal.h"

static int compare(Adjoint *a, Op op, int x, int y) {
    return adjoint_op(a, op, x, y, -1);
}

static int plus(Adjoint *a, int x, int64_t offset) {
    return offset ? adjoint_op(a, OP_ADD, x, adjoint_whole(a, offset), -1) : x;
}

static int position(Adjoint *a, int index) {
    return adjoint_index(a, index, false, 0);
}

static int axis_of(const Adjoint *a, int index) {
    return a->graph->indices.at[index].axis;
}

/* --- READ ----------------------------------------------------------------------------------------
 */

/* The place of the source's first dim that index `j` of the reader names by `kind`; -1. */
static int dim_of(const Node *read, int j, AtKind kind) {
    for (int k = 0; k < read->attr.at_count; k++)
        if (read->attr.at[k].kind == kind && read->attr.at[k].index == j) return k;
    return -1;
}

static bool mapped(const Node *read, int j) {
    return dim_of(read, j, AT_INDEX) >= 0 || dim_of(read, j, AT_SCALE) >= 0 ||
           dim_of(read, j, AT_DIV) >= 0;
}

static int read_at(Adjoint *a, int x, const At *at, int count) {
    int in[2] = {x, adjoint_number(a, 0)};
    Attr attr = {.at_count = count, .at = (At *)at};
    return rewrite_node(&a->rewrite, OP_READ, 2, in, &attr, a->span);
}

/* x, over `j`, at j as `how` says, the other indices as they are. */
static int reread(Adjoint *a, int x, int j, At how) {
    const Node *node = adjoint_node(a, x);
    At at[MAX_DOMAIN];
    for (int i = 0; i < node->domain_count; i++)
        at[i] = node->domain[i] == j
                    ? how
                    : (At){.kind = AT_INDEX, .index = node->domain[i], .operand = -1};
    return read_at(a, x, at, node->domain_count);
}

/* All indices at once, so that they may change places. `fresh`: index that stands for dim k. */
static int turn_round(Adjoint *a, const Node *read, int x, const int *fresh) {
    const Node *node = adjoint_node(a, x), *source = adjoint_node(a, read->in[0]);
    At at[MAX_DOMAIN];
    bool same = true;
    for (int i = 0; i < node->domain_count; i++) {
        int k = dim_of(read, node->domain[i], AT_INDEX);
        at[i] = (At){.kind = AT_INDEX, .index = node->domain[i], .operand = -1};
        if (k >= 0) {
            at[i].index = source->domain[k];
            at[i].offset = -read->attr.at[k].offset;
        }
        for (int f = 0; f < read->attr.at_count; f++)
            if (fresh[f] == node->domain[i]) at[i].index = source->domain[f];
        same = same && at[i].index == node->domain[i] && at[i].offset == 0;
    }
    return same ? x : read_at(a, x, at, node->domain_count);
}

/* x[v] for source index i = factor*v + offset: where i - offset is a multiple. */
static int from_slower(Adjoint *a, int x, int j, int i, const At *how) {
    int64_t groups = how->offset / how->factor, rest = how->offset % how->factor;
    if (rest < 0) {
        rest += how->factor;
        groups--;
    }
    if (groups)
        x = reread(a, x, j, (At){.kind = AT_INDEX, .index = j, .offset = -groups, .operand = -1});
    x = reread(a, x, j, (At){.kind = AT_DIV, .index = i, .factor = how->factor, .operand = -1});
    int phase = compare(a, OP_MOD, position(a, i), adjoint_whole(a, how->factor));
    return adjoint_where(a, compare(a, OP_EQ, phase, adjoint_whole(a, rest)), x);
}

/* x[t] for source index i = t / factor: the sum over the positions of i. */
static int from_faster(Adjoint *a, int x, int j, int i, const At *how) {
    int sum = -1;
    for (int64_t m = 0; m < how->factor; m++) {
        At at = {.kind = AT_SCALE, .index = i, .factor = how->factor, .offset = m, .operand = -1};
        int part = reread(a, x, j, at);
        sum = sum < 0 ? part : adjoint_op(a, OP_ADD, sum, part, -1);
    }
    return sum;
}

static int across_rates(Adjoint *a, const Node *read, int x) {
    const Node *source = adjoint_node(a, read->in[0]);
    for (int k = 0; k < read->attr.at_count && !a->failed; k++) {
        const At *how = &read->attr.at[k];
        if (how->kind != AT_SCALE && how->kind != AT_DIV) continue;
        int i = source->domain[k];
        if (adjoint_has(adjoint_node(a, x), i) || !adjoint_has(adjoint_node(a, x), how->index)) {
            adjoint_refuse(a, read, " across rates of one axis that it is read over twice");
            return x;
        }
        x = how->kind == AT_SCALE ? from_slower(a, x, how->index, i, how)
                                  : from_faster(a, x, how->index, i, how);
    }
    return x;
}

/* Which positions of the source are read at all. */
static int read_mask(Adjoint *a, const Node *read) {
    const Node *source = adjoint_node(a, read->in[0]);
    int mask = -1;
    for (int k = 0; k < read->attr.at_count; k++) {
        const At *how = &read->attr.at[k];
        int i = source->domain[k], one = -1;
        if (how->kind == AT_FIRST) {
            one = compare(a, OP_EQ, position(a, i), adjoint_whole(a, 0));
        } else if (how->kind == AT_LAST) {
            int last = plus(a, adjoint_length(a, axis_of(a, i)), -1);
            one = compare(a, OP_EQ, position(a, i), last);
        } else if (how->kind == AT_INDEX && dim_of(read, how->index, AT_INDEX) != k) {
            int first = dim_of(read, how->index, AT_INDEX); /* v[t, t+1]: a diagonal */
            int own = plus(a, position(a, i), -how->offset);
            int other = plus(a, position(a, source->domain[first]), -read->attr.at[first].offset);
            one = compare(a, OP_EQ, own, other);
        }
        mask = adjoint_both(a, mask, one);
    }
    return mask;
}

/* The dim of the source that is read at an earlier position than `index` has, by a pointer into the
 * past, whose only index on that axis it is; -1: there is none such. */
static int points_back(const Adjoint *a, const Node *read, int index) {
    int axis = axis_of(a, index), on_axis = 0;
    for (int i = 0; i < read->domain_count; i++) on_axis += axis_of(a, read->domain[i]) == axis;
    for (int k = 0; k < read->attr.at_count && on_axis == 1; k++) {
        if (read->attr.at[k].kind != AT_POINTER) continue;
        const Type *type = &adjoint_node(a, read->in[read->attr.at[k].operand])->type;
        if (type->pointer == PTR_PAST && type->axis == axis &&
            axis_of(a, adjoint_node(a, read->in[0])->domain[k]) == axis)
            return k;
    }
    return -1;
}

int adjoint_of_source(Adjoint *a, const Node *read, int d) {
    int fresh[MAX_DOMAIN];
    for (int k = 0; k < MAX_DOMAIN; k++) fresh[k] = -1;
    for (int k = 0; k < read->attr.at_count; k++) {
        const At *how = &read->attr.at[k];
        if (how->kind != AT_POINTER) continue;
        int i = adjoint_node(a, read->in[0])->domain[k];
        fresh[k] = adjoint_fresh_index(a, axis_of(a, i));
        int here = compare(a, OP_EQ, read->in[how->operand], position(a, fresh[k]));
        d = adjoint_where(a, here, d);
    }
    for (int i = 0; i < read->domain_count; i++) {
        if (mapped(read, read->domain[i])) continue;
        Attr attr = {.index = read->domain[i]};
        int k = points_back(a, read, attr.index);
        if (k >= 0) attr.low = (Bound){BOUND_INDEX, fresh[k], 1};
        d = adjoint_attr(a, OP_TSUM, d, &attr);
    }
    d = turn_round(a, read, d, fresh);
    d = across_rates(a, read, d);
    return adjoint_where(a, read_mask(a, read), d);
}

/* Whether dim k is read outside of its axis; -1: it never is. */
static int outside(Adjoint *a, const Node *read, int k) {
    const At *how = &read->attr.at[k];
    int axis = axis_of(a, adjoint_node(a, read->in[0])->domain[k]), at, before = -1, behind = -1;
    if (how->kind == AT_POINTER)
        return compare(a, OP_LT, read->in[how->operand], adjoint_whole(a, 0));
    if (how->kind != AT_INDEX && how->kind != AT_SCALE) return -1;
    at = adjoint_index(a, how->index, false, read->attr.carry);
    if (how->kind == AT_SCALE) at = compare(a, OP_MUL, at, adjoint_whole(a, how->factor));
    at = plus(a, at, how->offset);
    if (how->offset < 0) before = compare(a, OP_LT, at, adjoint_whole(a, 0));
    if (how->offset > 0) behind = compare(a, OP_GE, at, adjoint_length(a, axis));
    return before < 0 ? behind : before;
}

static void of_boundary(Adjoint *a, const Node *read, int d) {
    int boundary = read->in_count > 1 ? read->in[1] : -1, mask = -1, dims = 0, only = -1;
    if (boundary < 0 || !a->wanted[boundary]) return;
    for (int k = 0; k < read->attr.at_count; k++) {
        const At *how = &read->attr.at[k];
        if (how->kind == AT_INDEX && how->offset == 0) continue;
        if (how->kind == AT_DIV || how->kind == AT_FIRST || how->kind == AT_LAST) continue;
        dims++;
        only = k;
    }
    const At *how = only >= 0 ? &read->attr.at[only] : NULL;
    if (dims == 1 && how->kind == AT_INDEX && !read->attr.carry &&
        !adjoint_has(adjoint_node(a, boundary), how->index)) {
        Attr attr = {.index = how->index};
        if (how->offset < 0)
            attr.high = (Bound){BOUND_FIRST, -1, -how->offset};
        else
            attr.low = (Bound){BOUND_LAST, -1, -how->offset};
        adjoint_add(a, boundary, adjoint_attr(a, OP_TSUM, d, &attr));
        return;
    }
    for (int k = 0; k < read->attr.at_count; k++) {
        int one = outside(a, read, k);
        if (one >= 0) mask = mask < 0 ? one : compare(a, OP_OR, mask, one);
    }
    if (mask >= 0) adjoint_add(a, boundary, adjoint_where(a, mask, d));
}

/* --- reductions ----------------------------------------------------------------------------------
 */

static int bound_value(Adjoint *a, const Node *node, const Bound *bound) {
    if (bound->kind == BOUND_INDEX) return plus(a, position(a, bound->index), bound->offset);
    if (bound->kind == BOUND_LAST)
        return plus(a, adjoint_length(a, axis_of(a, node->attr.index)), bound->offset);
    return adjoint_whole(a, bound->offset);
}

/* Whether the position is in the range, by bounds for which `turned` does not speak. */
static int within(Adjoint *a, const Node *node, bool low_turned, bool high_turned) {
    const Attr *attr = &node->attr;
    int mask = -1;
    if (attr->low.kind != BOUND_NONE && !low_turned)
        mask = compare(a, OP_GE, position(a, attr->index), bound_value(a, node, &attr->low));
    if (attr->high.kind != BOUND_NONE && !high_turned)
        mask = adjoint_both(
            a, mask,
            compare(a, OP_LT, position(a, attr->index), bound_value(a, node, &attr->high)));
    return mask;
}

/* s >= t + k is t < s - k + 1, s < t + k is t >= s - k + 1: so a reduction over s for each t
 * becomes a sum over t for each s, where the operand does not have t itself. Returns whether; *low
 * and *high say which of the bounds it speaks for. */
static bool turned_range(const Adjoint *a, const Node *node, Attr *turned, bool *low, bool *high) {
    const Attr *attr = &node->attr;
    const Node *operand = adjoint_node(a, node->in[0]);
    *low = attr->low.kind == BOUND_INDEX && !adjoint_has(operand, attr->low.index);
    *high = attr->high.kind == BOUND_INDEX && !adjoint_has(operand, attr->high.index);
    if (*low && *high && attr->low.index != attr->high.index) *high = false;
    if (!*low && !*high) return false;
    *turned = (Attr){.index = *low ? attr->low.index : attr->high.index};
    if (*low) turned->high = (Bound){BOUND_INDEX, attr->index, 1 - attr->low.offset};
    if (*high) turned->low = (Bound){BOUND_INDEX, attr->index, 1 - attr->high.offset};
    return true;
}

static void sum(Adjoint *a, const Node *node, int d) {
    Attr turned;
    bool low, high;
    if (turned_range(a, node, &turned, &low, &high)) d = adjoint_attr(a, OP_TSUM, d, &turned);
    adjoint_add(a, node->in[0], adjoint_where(a, within(a, node, low, high), d));
}

/* To the first of the largest, counted from the end inside of a `reverse`. */
static void maximum(Adjoint *a, const Node *node, int d) {
    int index = node->attr.index, x = node->in[0];
    int inside = within(a, node, false, false);
    int equal = adjoint_both(a, inside, compare(a, OP_EQ, x, node->id));
    int ones = adjoint_op(a, OP_FLOAT, equal, -1, -1);
    const Node *counted = adjoint_node(a, ones);
    if (!adjoint_has(counted, index)) { /* the same at all positions: the first of them */
        ones = adjoint_op(a, OP_MUL, ones,
                          adjoint_op(a, OP_FLOAT,
                                     compare(a, OP_GE, position(a, index), adjoint_whole(a, 0)), -1,
                                     -1),
                          -1);
        counted = adjoint_node(a, ones);
    }
    int other = adjoint_fresh_index(a, axis_of(a, index));
    int there = reread(a, ones, index, (At){.kind = AT_INDEX, .index = other, .operand = -1});
    Attr attr = {.index = other};
    if (node->attr.mirrored)
        attr.low = (Bound){BOUND_INDEX, index, 1};
    else
        attr.high = (Bound){BOUND_INDEX, index, 0};
    int before = adjoint_attr(a, OP_TSUM, there, &attr);
    int first = adjoint_both(a, equal, compare(a, OP_EQ, before, adjoint_number(a, 0)));
    Attr turned;
    bool low, high;
    d = adjoint_where(a, first, d);
    if (turned_range(a, node, &turned, &low, &high)) d = adjoint_attr(a, OP_TSUM, d, &turned);
    adjoint_add(a, x, d);
}

/* --- the rest ------------------------------------------------------------------------------------
 */

static void hold(Adjoint *a, const Node *node, int d) {
    int at = adjoint_index(a, node->attr.index, node->attr.mirrored, node->attr.carry);
    int phase = compare(a, OP_MOD, at, adjoint_whole(a, node->attr.every));
    int ticks = compare(a, OP_EQ, phase, adjoint_whole(a, 0));
    adjoint_add(a, node->in[0], adjoint_where(a, ticks, d));
    adjoint_add(a, node->in[1], adjoint_op(a, OP_SELECT, ticks, adjoint_number(a, 0), d));
}

static void joined(Adjoint *a, const Node *node, int d) {
    int index = node->attr.index;
    int64_t rows = a->graph->axes.at[axis_of(a, index)].fixed;
    Shape part = adjoint_node(a, node->in[0])->type.shape, whole = {.rank = 1, .dim = {rows}};
    for (int i = 0; i < part.rank; i++) whole.dim[whole.rank++] = part.dim[i];
    d = adjoint_shaped(a, OP_RESHAPE, d, whole);
    Attr attr = {.index = index, .mirrored = node->attr.mirrored};
    Type type = {.dtype = DT_INT, .bound = rows};
    int at = graph_add(a->graph, OP_INDEX, type, 1, &index, 0, NULL, &attr, a->span);
    vec_push(a->arena, &a->rewrite.as, at);
    adjoint_add(a, node->in[0], adjoint_op(a, OP_GATHER, d, at, -1));
}

void adjoint_time(Adjoint *a, const Node *node, int d) {
    switch (node->op) {
    case OP_READ: of_boundary(a, node, d); break; /* its source asks for the rest */
    case OP_TSUM: sum(a, node, d); break;
    case OP_TMAX: maximum(a, node, d); break;
    case OP_HOLD: hold(a, node, d); break;
    case OP_TCONCAT: joined(a, node, d); break;
    default: break; /* TARGMAX: none; composites were expanded */
    }
}
