/* The rules of types, shapes and domains, one case an operation. They say what can be computed;
 * what the language allows (an int beside a float, say) is stricter and sema's affair. An int or
 * bool in float arithmetic counts as a number; the pass `expand` makes the conversion a node. */
#include "graph/graph.h"

#include <stddef.h>

static bool fail(const char **why, const char *message) {
    if (why) *why = message;
    return false;
}

static Type plain(DType dtype, Shape shape) {
    return (Type){.dtype = dtype, .shape = shape};
}

static const Shape scalar = {0};

/* Widens `to` by `from`: equal ranks with each dim equal or 1, or one of them a scalar. */
static bool join_shapes(Shape *to, Shape from) {
    if (from.rank == 0) return true;
    if (to->rank == 0) {
        *to = from;
        return true;
    }
    if (to->rank != from.rank) return false;
    for (int d = 0; d < to->rank; d++) {
        if (to->dim[d] == 1)
            to->dim[d] = from.dim[d];
        else if (from.dim[d] != 1 && from.dim[d] != to->dim[d])
            return false;
    }
    return true;
}

static bool fits_into(Shape from, Shape to) {
    Shape joined = to;
    return join_shapes(&joined, from) && shape_equal(joined, to);
}

/* The type of a value that is one of two: branches of a select, parts of a concat. */
static bool join_values(Type *to, Type from, const char **why) {
    if (to->dtype != from.dtype) {
        DType dtype = to->dtype == DT_FLOAT || from.dtype == DT_FLOAT ? DT_FLOAT : DT_INT;
        *to = plain(dtype, to->shape);
        return true;
    }
    if (to->dtype != DT_INT ||
        type_equal((Type){DT_INT, to->bound, to->pointer, to->axis, scalar},
                   (Type){DT_INT, from.bound, from.pointer, from.axis, scalar}))
        return true;
    if (to->pointer != PTR_NONE && from.pointer != PTR_NONE) {
        if (to->axis != from.axis) return fail(why, "pointers into different axes");
        to->pointer = PTR_PAST;
        return true;
    }
    *to = plain(DT_INT, to->shape);
    return true;
}

/* Arithmetic: float, unless an int meets an int or a bool. */
static DType number_type(Type a, Type b) {
    if (a.dtype == DT_FLOAT || b.dtype == DT_FLOAT) return DT_FLOAT;
    return a.dtype == DT_INT || b.dtype == DT_INT ? DT_INT : DT_FLOAT;
}

static bool matmul_type(Shape a, Shape b, Shape *to, const char **why) {
    if (a.rank < 1 || a.rank > 2 || b.rank < 1 || b.rank > 2 || a.rank + b.rank == 2)
        return fail(why, "matmul takes [m,k][k], [m,k][k,n] or [k][k,n]");
    if (a.dim[a.rank - 1] != b.dim[0]) return fail(why, "inner dimensions of matmul differ");
    *to = (Shape){0};
    if (a.rank == 2) to->dim[to->rank++] = a.dim[0];
    if (b.rank == 2) to->dim[to->rank++] = b.dim[1];
    return true;
}

static bool conv_type(Shape w, Shape x, const Attr *attr, Shape *to, const char **why) {
    if (x.rank < 2 || x.rank > 4 || w.rank != x.rank + 1)
        return fail(why, "conv takes [K,C,q...] and [C,R...] with 1 to 3 spatial dims");
    if (w.dim[1] != x.dim[0]) return fail(why, "channels of conv differ");
    *to = (Shape){.rank = x.rank, .dim = {w.dim[0]}};
    for (int d = 1; d < x.rank; d++) {
        int64_t stride = attr->dims[d - 1], pad = attr->pads[d - 1];
        if (stride < 1 || pad < 0 || pad > INT32_MAX) return fail(why, "stride or pad of conv");
        int64_t room = x.dim[d] + 2 * pad - w.dim[d + 1];
        if (room < 0) return fail(why, "kernel of conv larger than its operand");
        to->dim[d] = room / stride + 1;
    }
    return true;
}

static bool pool_type(Shape x, const Attr *attr, Shape *to, const char **why) {
    if (x.rank < 2) return fail(why, "pooling takes [C,R...]");
    *to = x;
    for (int d = 1; d < x.rank; d++) {
        if (attr->dims[d - 1] < 1 || attr->dims[d - 1] > x.dim[d])
            return fail(why, "window of pooling");
        to->dim[d] = x.dim[d] / attr->dims[d - 1];
    }
    return true;
}

static bool slice_type(Shape x, const Attr *attr, Shape *to, const char **why) {
    *to = (Shape){0};
    if (x.rank < 1) return fail(why, "slice of a scalar");
    for (int d = 0; d < x.rank; d++) {
        int64_t from = attr->dims[d], end = attr->ends[d];
        if (from < 0 || end > x.dim[d] || from >= end) return fail(why, "slice out of range");
        bool drop = attr->drop >> d & 1u;
        if (drop && end != from + 1) return fail(why, "a dropped dim has one entry");
        if (!drop) to->dim[to->rank++] = end - from;
    }
    return true;
}

static bool concat_type(const Graph *graph, int count, const int *in, Type *type,
                        const char **why) {
    for (int i = 0; i < count; i++) {
        Type part = graph->nodes.at[in[i]]->type;
        if (part.shape.rank == 0) part.shape = (Shape){.rank = 1, .dim = {1}};
        if (i == 0) {
            *type = part;
            continue;
        }
        if (part.shape.rank != type->shape.rank) return fail(why, "ranks of concat differ");
        for (int d = 1; d < part.shape.rank; d++)
            if (part.shape.dim[d] != type->shape.dim[d])
                return fail(why, "dims of concat after the first differ");
        if (!join_values(type, part, why)) return false;
        type->shape.dim[0] += part.shape.dim[0];
    }
    return true;
}

static bool draw_type(const Graph *graph, int count, const int *in, const Attr *attr, Type *type,
                      const char **why) {
    static const int arguments[] = {1, 2, 1, 1};
    if (count != arguments[attr->draw]) return fail(why, "number of arguments of the draw");
    if (attr->draw == DRAW_CATEGORICAL) {
        Shape logits = graph->nodes.at[in[0]]->type.shape;
        if (logits.rank != 1 || type->shape.rank != 0)
            return fail(why, "categorical takes [V] and gives a scalar");
        *type = plain(DT_INT, scalar);
        type->bound = logits.dim[0];
        return true;
    }
    for (int i = 0; i < count; i++)
        if (!fits_into(graph->nodes.at[in[i]]->type.shape, type->shape))
            return fail(why, "an argument of the draw does not fit its shape");
    *type = plain(attr->draw == DRAW_BERNOULLI ? DT_BOOL : DT_FLOAT, type->shape);
    return true;
}

static bool label_type(Type scores, Type label, const char **why) {
    if (scores.shape.rank != 1) return fail(why, "scores are no vector");
    if (label.dtype != DT_INT || label.pointer != PTR_NONE || label.shape.rank != 0)
        return fail(why, "the label is no int");
    if (label.bound != scores.shape.dim[0]) return fail(why, "bound of the label is not the size");
    return true;
}

static bool read_type(const Graph *graph, int count, const int *in, Type *type, const char **why) {
    *type = graph->nodes.at[in[0]]->type;
    if (count < 2 || in[1] < 0) return true;
    const Type *boundary = &graph->nodes.at[in[1]]->type;
    if (boundary->dtype != type->dtype) return fail(why, "type of the boundary value");
    if (!fits_into(boundary->shape, type->shape)) return fail(why, "shape of the boundary value");
    return true;
}

/* Leaves and TIME: what their attributes decide. */
static bool has_index(const Node *node, int index) {
    for (int i = 0; i < node->domain_count; i++)
        if (node->domain[i] == index) return true;
    return false;
}

static bool placed_type(const Graph *graph, Op op, int count, const int *in, const Attr *attr,
                        Type *type, const char **why) {
    Type a = count > 0 ? graph->nodes.at[in[0]]->type : (Type){0};
    int axis = attr->index >= 0 && attr->index < graph->indices.count
                   ? graph->indices.at[attr->index].axis
                   : -1;
    if (op == OP_INPUT) {
        if (attr->slot < 0 || attr->slot >= graph->inputs.count) return fail(why, "no such input");
        *type = graph->inputs.at[attr->slot].type;
    } else if (op == OP_GIVEN) {
        if (attr->slot < 0 || attr->slot >= graph->inputs.count) return fail(why, "no such input");
        *type = plain(DT_BOOL, scalar);
    } else if (op == OP_PARAM) {
        if (attr->slot < 0 || attr->slot >= graph->params.count)
            return fail(why, "no such parameter");
        *type = plain(DT_FLOAT, graph->params.at[attr->slot].shape);
    } else if (op == OP_IOTA) {
        if (type->shape.rank != 1 || type->dtype == DT_BOOL) return fail(why, "iota is a vector");
        if (type->dtype == DT_INT && type->bound != type->shape.dim[0])
            return fail(why, "bound of iota is not its size");
    } else if (op == OP_INDEX || op == OP_LENGTH) {
        /* As declared when that is an int: a position may count as int(n) or as a pointer. */
        if (type->dtype != DT_INT || type->shape.rank != 0) *type = plain(DT_INT, scalar);
    } else if (op == OP_DRAW) {
        return draw_type(graph, count, in, attr, type, why);
    } else if (op == OP_READ) {
        return read_type(graph, count, in, type, why);
    } else if (op == OP_TSUM) {
        *type = plain(a.dtype == DT_INT ? DT_INT : DT_FLOAT, a.shape);
    } else if (op == OP_TARGMAX) {
        *type = (Type){.dtype = DT_INT, .pointer = PTR_POS, .axis = axis, .shape = a.shape};
    } else if (op == OP_TCONCAT) {
        if (axis < 0 || graph->axes.at[axis].fixed < 1) return fail(why, "axis is not fixed");
        *type = a;
        if (a.shape.rank == 0) type->shape = (Shape){.rank = 1, .dim = {1}};
        if (graph->axes.at[axis].fixed > INT32_MAX / (type->shape.dim[0] + 1))
            return fail(why, "too many elements");
        type->shape.dim[0] *= graph->axes.at[axis].fixed;
    } else if (op == OP_HOLD) {
        if (!type_equal(a, graph->nodes.at[in[1]]->type)) return fail(why, "types of hold differ");
        *type = a;
    } else if (op == OP_CTC) {
        if (!label_type(a, graph->nodes.at[in[1]]->type, why)) return false;
        if (has_index(graph->nodes.at[in[0]], attr->index2) ||
            has_index(graph->nodes.at[in[1]], attr->index))
            return fail(why, "ctc of what is over the other index, too");
        if (attr->slot < 0 || attr->slot >= a.shape.dim[0]) return fail(why, "blank out of range");
        *type = plain(DT_FLOAT, scalar);
    } else if (op != OP_CONST) {
        *type = plain(DT_FLOAT, a.shape); /* TMEAN TMAX TLOGSUMEXP TSOFTMAX */
    }
    return true;
}

static bool unary_type(Op op, Type a, Type *type, const char **why) {
    if (op == OP_VAR || op == OP_DETACH) {
        *type = a;
    } else if (op == OP_NOT) {
        if (a.dtype != DT_BOOL) return fail(why, "not takes a bool");
        *type = a;
    } else {
        bool keeps = op == OP_NEG || op == OP_ABS || op == OP_SIGN || op == OP_SQUARE ||
                     op == OP_RELU || op == OP_FLOOR;
        *type = plain(keeps && a.dtype == DT_INT ? DT_INT : DT_FLOAT, a.shape);
    }
    return true;
}

/* What is below k because it is a remainder of a division by the constant k. Declared types keep to
 * what they say, so that an operand which becomes a constant later changes no type. */
static int64_t remainder_bound(const Node *divisor, const Type *declared) {
    if (divisor->op != OP_CONST || !(divisor->attr.number >= 1) ||
        divisor->attr.number > INT32_MAX ||
        divisor->attr.number != (double)(int64_t)divisor->attr.number)
        return 0;
    int64_t bound = (int64_t)divisor->attr.number;
    return declared->dtype != DT_INT || declared->bound == bound ? bound : 0;
}

static bool elementwise_type(const Graph *graph, Op op, int count, const int *in, Type *type,
                             const char **why) {
    Type a = graph->nodes.at[in[0]]->type, b = graph->nodes.at[in[1]]->type;
    Shape shape = a.shape;
    for (int i = 1; i < count; i++)
        if (!join_shapes(&shape, graph->nodes.at[in[i]]->type.shape))
            return fail(why, "shapes: dims equal or 1 at equal ranks, or a scalar");
    if (op == OP_SELECT) {
        if (a.dtype != DT_BOOL) return fail(why, "condition is no bool");
        *type = b;
        if (!join_values(type, graph->nodes.at[in[2]]->type, why)) return false;
        type->shape = shape;
    } else if (op == OP_CLIP) {
        *type = plain(DT_FLOAT, shape);
    } else if (op == OP_AND || op == OP_OR) {
        if (a.dtype != DT_BOOL || b.dtype != DT_BOOL) return fail(why, "and, or take bools");
        *type = plain(DT_BOOL, shape);
    } else if (op >= OP_LT && op <= OP_NE) {
        *type = plain(DT_BOOL, shape);
    } else {
        bool keeps = op == OP_ADD || op == OP_SUB || op == OP_MUL || op == OP_MOD || op == OP_MIN ||
                     op == OP_MAX;
        const Type declared = *type;
        *type = plain(keeps ? number_type(a, b) : DT_FLOAT, shape);
        if (op == OP_MOD && type->dtype == DT_INT)
            type->bound = remainder_bound(graph->nodes.at[in[1]], &declared);
    }
    return true;
}

static bool tensor_type(const Graph *graph, Op op, int count, const int *in, const Attr *attr,
                        Type *type, const char **why) {
    Type a = graph->nodes.at[in[0]]->type;
    Type b = count > 1 ? graph->nodes.at[in[1]]->type : a;
    Shape declared = type->shape;
    Shape s = a.shape;
    if (op == OP_CONCAT) return concat_type(graph, count, in, type, why);
    if (op == OP_MATMUL || op == OP_CONV) {
        *type = plain(DT_FLOAT, scalar);
        return op == OP_MATMUL ? matmul_type(s, b.shape, &type->shape, why)
                               : conv_type(s, b.shape, attr, &type->shape, why);
    }
    *type = a; /* what moves elements keeps their type */
    if (op == OP_SLICE) return slice_type(s, attr, &type->shape, why);
    if (op == OP_TRANSPOSE) {
        if (s.rank != 2) return fail(why, "transpose takes a matrix");
        type->shape = (Shape){.rank = 2, .dim = {s.dim[1], s.dim[0]}};
    } else if (op == OP_RESHAPE) {
        if (shape_count(s) != shape_count(declared)) return fail(why, "reshape changes the count");
        type->shape = declared;
    } else if (op == OP_BROADCAST) {
        if (!fits_into(s, declared)) return fail(why, "broadcast of dims that are not 1");
        type->shape = declared;
    } else if (op == OP_GATHER) {
        if (s.rank < 1) return fail(why, "gather from a scalar");
        if (b.dtype != DT_INT || b.shape.rank != 0 || b.pointer != PTR_NONE)
            return fail(why, "gather takes an int");
        if (b.bound < 1 || b.bound > s.dim[0]) return fail(why, "bound of the gathered index");
        for (int d = 1; d < s.rank; d++) type->shape.dim[d - 1] = s.dim[d];
        type->shape.rank = s.rank - 1;
    } else if (op == OP_DOT || op == OP_OUTER) {
        if (s.rank != 1 || b.shape.rank != 1) return fail(why, "operands are no vectors");
        if (op == OP_DOT && s.dim[0] != b.shape.dim[0]) return fail(why, "sizes of dot differ");
        *type = plain(DT_FLOAT, scalar);
        if (op == OP_OUTER) type->shape = (Shape){.rank = 2, .dim = {s.dim[0], b.shape.dim[0]}};
    } else if (op == OP_MAXPOOL || op == OP_AVGPOOL) {
        *type = plain(DT_FLOAT, s);
        return pool_type(s, attr, &type->shape, why);
    } else if (op == OP_ONEHOT) {
        if (a.dtype != DT_INT || s.rank != 0 || declared.rank != 1 || a.pointer != PTR_NONE)
            return fail(why, "onehot of an int gives a vector");
        if (a.bound > declared.dim[0]) return fail(why, "bound of onehot's operand");
        *type = plain(DT_FLOAT, declared);
    } else if (op == OP_BSUM) {
        if (a.dtype != DT_FLOAT) return fail(why, "bsum of no float");
        if (graph->nodes.at[in[0]]->domain_count) return fail(why, "bsum of what has time");
        *type = plain(DT_FLOAT, s);
    } else if (op == OP_SUM || op == OP_MEAN || op == OP_RMAX || op == OP_RMIN) {
        if (attr->dim < -1 || attr->dim >= s.rank) return fail(why, "no such dim");
        Shape to = {0};
        for (int d = 0; attr->dim >= 0 && d < s.rank; d++)
            if (d != attr->dim) to.dim[to.rank++] = s.dim[d];
        *type = plain(a.dtype == DT_INT && op != OP_MEAN ? DT_INT : DT_FLOAT, to);
    } else { /* over the last dim */
        if (s.rank < 1) return fail(why, "operand is a scalar");
        *type = plain(DT_FLOAT, s);
        if (op == OP_LOGSUMEXP || op == OP_ARGMAX) type->shape.rank = s.rank - 1;
        if (op == OP_ARGMAX) {
            type->dtype = DT_INT;
            type->bound = s.dim[s.rank - 1];
        }
    }
    for (int d = type->shape.rank; d < MAX_RANK; d++) type->shape.dim[d] = 0;
    return true;
}

bool graph_type(const Graph *graph, Op op, int count, const int *in, const Attr *attr, Type *type,
                const char **why) {
    static const Attr none = {0};
    if (!attr) attr = &none;
    if (count < op_info[op].least || count > op_info[op].most)
        return fail(why, "number of operands");
    switch (op_info[op].class_) {
    case CLASS_LEAF:
    case CLASS_TIME: return placed_type(graph, op, count, in, attr, type, why);
    case CLASS_UNARY: return unary_type(op, graph->nodes.at[in[0]]->type, type, why);
    case CLASS_BINARY:
    case CLASS_SELECTION: return elementwise_type(graph, op, count, in, type, why);
    case CLASS_TENSOR: return tensor_type(graph, op, count, in, attr, type, why);
    case CLASS_LOSS: {
        Type a = graph->nodes.at[in[0]]->type, b = graph->nodes.at[in[1]]->type;
        *type = plain(DT_FLOAT, scalar);
        if (op == OP_XENT || op == OP_NLL) return label_type(a, b, why);
        return shape_equal(a.shape, b.shape) || fail(why, "shapes of the loss differ");
    }
    }
    return fail(why, "unknown operation");
}

typedef struct Domain {
    int count;
    bool full;
    int *at;
} Domain;

static void domain_put(Domain *domain, int index) {
    int place = 0;
    while (place < domain->count && domain->at[place] < index) place++;
    if (place < domain->count && domain->at[place] == index) return;
    if (domain->count == MAX_DOMAIN) {
        domain->full = true;
        return;
    }
    for (int i = domain->count++; i > place; i--) domain->at[i] = domain->at[i - 1];
    domain->at[place] = index;
}

static void domain_put_node(Domain *domain, const Node *node, int except, int except2) {
    for (int i = 0; i < node->domain_count; i++)
        if (node->domain[i] != except && node->domain[i] != except2)
            domain_put(domain, node->domain[i]);
}

int graph_domain(const Graph *graph, Op op, int count, const int *in, const Attr *attr,
                 int domain[MAX_DOMAIN]) {
    static const Attr none = {0};
    Domain to = {0, false, domain};
    int except = -1, except2 = -1, skipped = -1;
    if (!attr) attr = &none;
    if (op == OP_INPUT && attr->slot >= 0 && attr->slot < graph->inputs.count) {
        const GraphPort *port = &graph->inputs.at[attr->slot];
        for (int i = 0; i < port->index_count; i++) domain_put(&to, port->indices[i]);
    }
    if (op == OP_INDEX || op == OP_HOLD || op == OP_TSOFTMAX) domain_put(&to, attr->index);
    if (op == OP_READ || op == OP_DRAW) {
        for (int i = 0; i < attr->at_count; i++) {
            AtKind kind = attr->at[i].kind;
            if (kind == AT_INDEX || kind == AT_SCALE || kind == AT_DIV || kind == AT_MIRROR)
                domain_put(&to, attr->at[i].index);
        }
        if (op == OP_READ) skipped = 0;
    } else if (op_info[op].class_ == CLASS_TIME && op != OP_HOLD) {
        if (op != OP_TSOFTMAX) except = attr->index;
        if (op == OP_CTC) except2 = attr->index2;
        if (attr->low.kind == BOUND_INDEX) domain_put(&to, attr->low.index);
        if (attr->high.kind == BOUND_INDEX) domain_put(&to, attr->high.index);
    }
    for (int i = 0; i < count; i++)
        if (i != skipped && in[i] >= 0)
            domain_put_node(&to, graph->nodes.at[in[i]], except, except2);
    return to.full ? -1 : to.count;
}
