/* Gradients of operations within one position that are not elementwise. */
#include "adjoint/internal.h"

static int matmul(Adjoint *a, int x, int y) {
    return adjoint_op(a, OP_MATMUL, x, y, -1);
}

static int transposed(Adjoint *a, int x) {
    return adjoint_op(a, OP_TRANSPOSE, x, -1, -1);
}

static void product(Adjoint *a, const Node *node, int d) {
    int x = node->in[0], y = node->in[1];
    int rank_x = adjoint_node(a, x)->type.shape.rank, rank_y = adjoint_node(a, y)->type.shape.rank;
    if (a->wanted[x]) {
        if (rank_x == 1)
            adjoint_add(a, x, matmul(a, y, d));
        else if (rank_y == 1)
            adjoint_add(a, x, adjoint_outer(a, d, y, true));
        else
            adjoint_add(a, x, matmul(a, d, transposed(a, y)));
    }
    if (!a->wanted[y]) return;
    if (rank_x == 1)
        adjoint_add(a, y, adjoint_outer(a, d, x, false));
    else if (rank_y == 1)
        adjoint_add(a, y, matmul(a, d, x));
    else
        adjoint_add(a, y, matmul(a, transposed(a, x), d));
}

/* The dims before d as one, dim d, those behind as one. */
static Shape three(Shape s, int d) {
    Shape to = {.rank = 3, .dim = {1, s.dim[d], 1}};
    for (int i = 0; i < d; i++) to.dim[0] *= s.dim[i];
    for (int i = d + 1; i < s.rank; i++) to.dim[2] *= s.dim[i];
    return to;
}

/* SUM over dims of size 1 of the operand that are larger in the result. */
static void broadcast(Adjoint *a, const Node *node, int d) {
    Shape from = adjoint_node(a, node->in[0])->type.shape, to = node->type.shape;
    if (from.rank == 0) {
        adjoint_add(a, node->in[0], d);
        return;
    }
    for (int i = to.rank - 1; i >= 0; i--) {
        if (from.dim[i] == to.dim[i]) continue;
        Attr attr = {.dim = i};
        Shape kept = adjoint_node(a, d)->type.shape;
        kept.dim[i] = 1;
        d = adjoint_shaped(a, OP_RESHAPE, adjoint_attr(a, OP_SUM, d, &attr), kept);
    }
    adjoint_add(a, node->in[0], d);
}

static void concat(Adjoint *a, const Node *node, int d) {
    int64_t from = 0;
    for (int k = 0; k < node->in_count; k++) {
        Shape part = adjoint_node(a, node->in[k])->type.shape, whole = node->type.shape;
        int64_t rows = part.rank ? part.dim[0] : 1;
        Attr attr = {.drop = part.rank ? 0 : 1};
        for (int i = 0; i < whole.rank; i++) attr.ends[i] = whole.dim[i];
        attr.dims[0] = from;
        attr.ends[0] = from + rows;
        if (a->wanted[node->in[k]])
            adjoint_add(a, node->in[k], adjoint_attr(a, OP_SLICE, d, &attr));
        from += rows;
    }
}

/* Zeros before and behind, along dim 0 of a matrix or a vector. */
static int pad_rows(Adjoint *a, int x, int64_t before, int64_t behind) {
    int in[3], count = 0;
    Shape zeros = adjoint_node(a, x)->type.shape;
    zeros.dim[0] = before;
    if (before) in[count++] = adjoint_zeros(a, zeros);
    in[count++] = x;
    zeros.dim[0] = behind;
    if (behind) in[count++] = adjoint_zeros(a, zeros);
    return count == 1 ? x : rewrite_node(&a->rewrite, OP_CONCAT, count, in, NULL, a->span);
}

/* Zeros around a slice, dim by dim: as columns of a matrix whose rows are the dims before. */
static void slice(Adjoint *a, const Node *node, int d) {
    Shape whole = adjoint_node(a, node->in[0])->type.shape, part = whole;
    for (int i = 0; i < whole.rank; i++) part.dim[i] = node->attr.ends[i] - node->attr.dims[i];
    d = adjoint_shaped(a, OP_RESHAPE, d, part);
    for (int i = 0; i < whole.rank; i++) {
        int64_t before = node->attr.dims[i], behind = whole.dim[i] - node->attr.ends[i];
        if (!before && !behind) continue;
        Shape s = three(part, i);
        Shape rows = {.rank = 2, .dim = {s.dim[0], s.dim[1] * s.dim[2]}};
        if (s.dim[0] == 1) rows = (Shape){.rank = 1, .dim = {s.dim[1] * s.dim[2]}};
        d = adjoint_shaped(a, OP_RESHAPE, d, rows);
        if (s.dim[0] > 1) d = transposed(a, d);
        d = pad_rows(a, d, before * s.dim[2], behind * s.dim[2]);
        if (s.dim[0] > 1) d = transposed(a, d);
        part.dim[i] = whole.dim[i];
        d = adjoint_shaped(a, OP_RESHAPE, d, part);
    }
    adjoint_add(a, node->in[0], d);
}

/* The row of a table, as a matrix of one row that is not zero. */
static void gather(Adjoint *a, const Node *node, int d) {
    Shape table = adjoint_node(a, node->in[0])->type.shape;
    if (!a->wanted[node->in[0]]) return;
    int hot = adjoint_shaped(a, OP_ONEHOT, node->in[1], (Shape){.rank = 1, .dim = {table.dim[0]}});
    if (table.rank == 1) {
        adjoint_add(a, node->in[0], adjoint_op(a, OP_MUL, hot, d, -1));
        return;
    }
    Shape row = {.rank = 1, .dim = {shape_count(node->type.shape)}};
    int rows = adjoint_op(a, OP_OUTER, hot, adjoint_shaped(a, OP_RESHAPE, d, row), -1);
    adjoint_add(a, node->in[0], adjoint_shaped(a, OP_RESHAPE, rows, table));
}

/* Repeats what was reduced over dim `dim` (-1: all) along it. */
static int along(Adjoint *a, int x, Shape whole, int dim) {
    if (dim < 0) return adjoint_shaped(a, OP_BROADCAST, x, whole);
    Shape kept = whole;
    kept.dim[dim] = 1;
    return adjoint_shaped(a, OP_BROADCAST, adjoint_shaped(a, OP_RESHAPE, x, kept), whole);
}

/* Elements that equal the largest, none before them: with a triangle of ones over the dim. */
static int first_of(Adjoint *a, const Node *node) {
    Shape whole = adjoint_node(a, node->in[0])->type.shape;
    int dim = node->attr.dim;
    Shape s = three(whole, dim < 0 ? 0 : dim);
    if (dim < 0) s = (Shape){.rank = 3, .dim = {1, shape_count(whole), 1}};
    int equal = adjoint_op(a, OP_EQ, node->in[0], along(a, node->id, whole, dim), -1);
    int ones = adjoint_op(a, OP_FLOAT, equal, -1, -1);
    Shape square = {.rank = 2, .dim = {s.dim[1], s.dim[1]}};
    Type number = {.dtype = DT_FLOAT, .shape = {.rank = 1, .dim = {s.dim[1]}}};
    int iota = graph_add(a->graph, OP_IOTA, number, 0, NULL, 0, NULL, NULL, a->span);
    vec_push(a->arena, &a->rewrite.as, iota);
    int row = adjoint_shaped(a, OP_RESHAPE, iota, (Shape){.rank = 2, .dim = {1, s.dim[1]}});
    int column = adjoint_shaped(a, OP_RESHAPE, iota, (Shape){.rank = 2, .dim = {s.dim[1], 1}});
    int below = adjoint_op(a, OP_LT, adjoint_shaped(a, OP_BROADCAST, row, square),
                           adjoint_shaped(a, OP_BROADCAST, column, square), -1);
    int triangle = adjoint_op(a, OP_FLOAT, below, -1, -1); /* [i, j]: j < i */
    /* Equal ones before, for each block of [n, inner]. */
    VEC(int) parts = {0};
    int64_t block = s.dim[1] * s.dim[2];
    int flat = adjoint_shaped(a, OP_RESHAPE, ones, (Shape){.rank = 1, .dim = {shape_count(whole)}});
    for (int64_t o = 0; o < s.dim[0]; o++) {
        Attr attr = {.dims = {o * block}, .ends = {(o + 1) * block}};
        int part = s.dim[0] > 1 ? adjoint_attr(a, OP_SLICE, flat, &attr) : flat;
        Shape matrix = {.rank = 2, .dim = {s.dim[1], s.dim[2]}};
        part = matmul(a, triangle, adjoint_shaped(a, OP_RESHAPE, part, matrix));
        part = adjoint_shaped(a, OP_RESHAPE, part, (Shape){.rank = 1, .dim = {block}});
        vec_push(a->arena, &parts, part);
    }
    int before = parts.count == 1
                     ? parts.at[0]
                     : rewrite_node(&a->rewrite, OP_CONCAT, parts.count, parts.at, NULL, a->span);
    before = adjoint_shaped(a, OP_RESHAPE, before, whole);
    return adjoint_both(a, equal, adjoint_op(a, OP_EQ, before, adjoint_number(a, 0), -1));
}

void adjoint_tensor(Adjoint *a, const Node *node, int d) {
    Shape from = adjoint_node(a, node->in[0])->type.shape;
    switch (node->op) {
    case OP_MATMUL: product(a, node, d); break;
    case OP_TRANSPOSE: adjoint_add(a, node->in[0], transposed(a, d)); break;
    case OP_RESHAPE: adjoint_add(a, node->in[0], adjoint_shaped(a, OP_RESHAPE, d, from)); break;
    case OP_BROADCAST: broadcast(a, node, d); break;
    case OP_CONCAT: concat(a, node, d); break;
    case OP_SLICE: slice(a, node, d); break;
    case OP_GATHER: gather(a, node, d); break;
    case OP_BSUM: adjoint_add(a, node->in[0], d); break;
    case OP_SUM: adjoint_add(a, node->in[0], along(a, d, from, node->attr.dim)); break;
    case OP_RMAX:
    case OP_RMIN:
        adjoint_add(a, node->in[0],
                    adjoint_where(a, first_of(a, node), along(a, d, from, node->attr.dim)));
        break;
    default: break; /* ARGMAX, ONEHOT: none; composites were expanded */
    }
}
