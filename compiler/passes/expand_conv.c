/* Convolution and pooling, in terms of slices: one for each place of the kernel or window, every
 * stride-th element of each spatial dim. A convolution is then a sum of products of the kernel's
 * [K, C] at that place with the slice, channels by positions. */
#include "passes/expand.h"
#include "passes/passes.h"

/* Zeros before and behind along dim d, as rows of a matrix whose columns are the dims before it. */
static int pad(Expand *e, int x, int d, int64_t before, int64_t behind) {
    Shape shape = expand_type(e, x)->shape;
    int64_t outer = 1, inner = 1;
    int in[3], count = 0;
    if (!before && !behind) return x;
    for (int i = 0; i < d; i++) outer *= shape.dim[i];
    for (int i = d + 1; i < shape.rank; i++) inner *= shape.dim[i];
    Shape rows = {.rank = 2, .dim = {outer, shape.dim[d] * inner}};
    x = expand_shaped(e, OP_RESHAPE, x, rows);
    x = expand_op(e, OP_TRANSPOSE, x, -1, -1);
    Shape zeros = {.rank = 2, .dim = {before * inner, outer}};
    if (before) in[count++] = expand_shaped(e, OP_BROADCAST, expand_const(e, 0, DT_FLOAT), zeros);
    in[count++] = x;
    zeros.dim[0] = behind * inner;
    if (behind) in[count++] = expand_shaped(e, OP_BROADCAST, expand_const(e, 0, DT_FLOAT), zeros);
    x = rewrite_node(&e->rewrite, OP_CONCAT, count, in, NULL, e->span);
    shape.dim[d] += before + behind;
    x = expand_op(e, OP_TRANSPOSE, x, -1, -1);
    return expand_shaped(e, OP_RESHAPE, x, shape);
}

/* Elements from, from + stride, … of dim d, `count` of them. */
static int every(Expand *e, int x, int d, int64_t from, int64_t count, int64_t stride) {
    Shape shape = expand_type(e, x)->shape;
    Attr attr = {0};
    for (int i = 0; i < shape.rank; i++) attr.ends[i] = shape.dim[i];
    attr.dims[d] = from / stride * stride;
    attr.ends[d] = (from / stride + count) * stride;
    x = rewrite_node(&e->rewrite, OP_SLICE, 1, &x, &attr, e->span);
    if (stride == 1) return x;
    /* Groups of `stride`, and one element of each. */
    Shape groups = {.rank = 3, .dim = {count, stride, 1}};
    for (int i = 0; i < d; i++) groups.dim[0] *= shape.dim[i];
    for (int i = d + 1; i < shape.rank; i++) groups.dim[2] *= shape.dim[i];
    x = expand_shaped(e, OP_RESHAPE, x, groups);
    Attr one = {.dims = {0, from % stride},
                .ends = {groups.dim[0], from % stride + 1, groups.dim[2]},
                .drop = 2};
    x = rewrite_node(&e->rewrite, OP_SLICE, 1, &x, &one, e->span);
    shape.dim[d] = count;
    return expand_shaped(e, OP_RESHAPE, x, shape);
}

/* The place after `at` in row-major order over `size`; false behind the last. */
static bool next_place(int64_t *at, const int64_t *size, int rank) {
    for (int d = rank - 1; d >= 0; d--) {
        if (++at[d] < size[d]) return true;
        at[d] = 0;
    }
    return false;
}

static int slice_at(Expand *e, int x, const int64_t *at, const Shape *result,
                    const int64_t *strides) {
    for (int d = 1; d < result->rank; d++)
        x = every(e, x, d, at[d - 1], result->dim[d], strides[d - 1]);
    return x;
}

/* W [K, C, q…] at one place: [K, C]. */
static int kernel_at(Expand *e, int w, const int64_t *at) {
    Shape shape = expand_type(e, w)->shape;
    Attr attr = {.ends = {shape.dim[0], shape.dim[1]}};
    for (int d = 2; d < shape.rank; d++) {
        attr.dims[d] = at[d - 2];
        attr.ends[d] = at[d - 2] + 1;
        attr.drop |= 1u << d;
    }
    return rewrite_node(&e->rewrite, OP_SLICE, 1, &w, &attr, e->span);
}

static int convolution(Expand *e, const Node *node) {
    int w = node->in[0], x = node->in[1], sum = -1, spatial = node->type.shape.rank - 1;
    Shape kernel = expand_type(e, w)->shape, result = node->type.shape;
    int64_t at[MAX_RANK] = {0}, positions = 1;
    for (int d = 1; d <= spatial; d++) {
        int64_t size = expand_type(e, x)->shape.dim[d], before = node->attr.pads[d - 1];
        int64_t stride = node->attr.dims[d - 1];
        int64_t end = ((kernel.dim[d + 1] - 1) / stride + result.dim[d]) * stride;
        int64_t behind = end - size - before; /* whole groups for the last place of the kernel */
        x = pad(e, x, d, before, behind > 0 ? behind : 0);
        positions *= result.dim[d];
    }
    Shape columns = {.rank = 2, .dim = {kernel.dim[1], positions}};
    do {
        int part = slice_at(e, x, at, &result, node->attr.dims);
        part = expand_op(e, OP_MATMUL, kernel_at(e, w, at),
                         expand_shaped(e, OP_RESHAPE, part, columns), -1);
        sum = sum < 0 ? part : expand_op(e, OP_ADD, sum, part, -1);
    } while (next_place(at, kernel.dim + 2, spatial));
    return expand_shaped(e, OP_RESHAPE, sum, result);
}

static int pooling(Expand *e, const Node *node) {
    int x = node->in[0], all = -1;
    int64_t at[MAX_RANK] = {0}, count = 1;
    for (int d = 1; d < node->type.shape.rank; d++) count *= node->attr.dims[d - 1];
    do {
        int part = slice_at(e, x, at, &node->type.shape, node->attr.dims);
        Op op = node->op == OP_MAXPOOL ? OP_MAX : OP_ADD;
        all = all < 0 ? part : expand_op(e, op, all, part, -1);
    } while (next_place(at, node->attr.dims, node->type.shape.rank - 1));
    if (node->op == OP_MAXPOOL) return all;
    return expand_op(e, OP_DIV, all, expand_const(e, (double)count, DT_FLOAT), -1);
}

int expand_conv(Expand *e, const Node *node) {
    return node->op == OP_CONV ? convolution(e, node) : pooling(e, node);
}
