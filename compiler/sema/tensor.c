/* Functions of tensors: shapes change within one position. */
#include "sema/elab.h"

static const Value *shape_fault(const Ctx *c, Span span, const char *name, const char *takes,
                                const Value *a, const Value *b) {
    if (b == NULL)
        sema_error(c, "E-SHAPE", span, "%s takes %s, not %s", name, takes,
                   ty_shape_text(c->e->arena, &a->type));
    else
        sema_error(c, "E-SHAPE", span, "%s takes %s, not %s and %s", name, takes,
                   ty_shape_text(c->e->arena, &a->type), ty_shape_text(c->e->arena, &b->type));
    return unknown_value(c);
}

/* The sizes in a bracket; NULL entries are open, count -1 after an error. */
static int bracket_sizes(const Ctx *c, const EntryList *bracket, const Poly *sizes[MAX_RANK]) {
    if (bracket->count > MAX_RANK) {
        sema_error(c, "E-LIMIT", bracket->at[0].span, "%d dimensions when at most %d are allowed",
                   bracket->count, MAX_RANK);
        return -1;
    }
    for (int i = 0; i < bracket->count; i++) {
        if (bracket->at[i].kind != ENTRY_EXPR) {
            sema_error(c, "E-INDEX", bracket->at[i].span, "a size is one integer");
            return -1;
        }
        sizes[i] = elab_size(c, bracket->at[i].a, "a size");
        if (sizes[i] == NULL && c->e->emit) return -1;
    }
    return bracket->count;
}

static const Value *constant_tensor(const Ctx *c, Name name, const EntryList *bracket, Span span) {
    Ty type = ty_float();
    bool iota = strcmp(name, "iota") == 0;
    type.rank = bracket_sizes(c, bracket, type.dim);
    if (type.rank < 0) return unknown_value(c);
    if (!iota) return emit_constant(c, strcmp(name, "ones") == 0, &type, span);
    if (type.rank != 1) {
        sema_error(c, "E-SHAPE", span, "iota takes one size, not %d", type.rank);
        return unknown_value(c);
    }
    type.dtype = DT_INT;
    type.number = true;
    type.bound = type.dim[0];
    return emit_op(c, OP_IOTA, &type, 0, NULL, NULL, span);
}

const Value *concat_values(const Ctx *c, int count, const Value **values, Span span) {
    Ty type = ty_float();
    const Value *kind = values[0];
    const Poly *first = poly_constant(c->e->arena, 0), *one = poly_constant(c->e->arena, 1);
    for (int i = 0; i < count; i++) {
        if (values[i]->type.unknown) return unknown_value(c);
        Ty joined;
        if (!join_types(c, kind, values[i], &joined)) {
            sema_error(c, "E-TYPE", span, "concat joins %s and %s",
                       ty_text(c->e->arena, &kind->type, c->e->graph),
                       ty_text(c->e->arena, &values[i]->type, c->e->graph));
            return unknown_value(c);
        }
        if (kind->num.kind != NUM_NONE || joined.dtype != kind->type.dtype) kind = values[i];
    }
    Ty element = kind->type;
    for (int i = 0; i < count && element.number; i++)
        if (poly_compare(values[i]->type.bound, element.bound) != POLY_EQUAL) element.bound = NULL;
    if (kind->num.kind != NUM_NONE && element.dtype == DT_INT) element = ty_float();
    for (int i = 0; i < count; i++) {
        Ty part = ty_shaped(element, &values[i]->type);
        values[i] = flow(c, values[i], &part, false, span, "a part of concat", (Span){0});
        if (values[i]->type.unknown) return values[i];
        const Ty *a = &values[i]->type;
        int rank = a->rank == 0 ? 1 : a->rank;
        if (i == 0) {
            type = ty_shaped(element, a);
            type.rank = rank;
        }
        bool fits = rank == type.rank;
        for (int d = 1; fits && d < rank; d++)
            fits = poly_compare(a->dim[d], type.dim[d]) != POLY_DIFFERENT;
        if (!fits)
            return shape_fault(c, span, "concat", "parts that differ in the first dim only",
                               values[0], values[i]);
        first = poly_add(c->e->arena, first, a->rank == 0 ? one : a->dim[0]);
    }
    type.dim[0] = first;
    return emit_op(c, OP_CONCAT, &type, count, values, NULL, span);
}

static const Value *concat(const Ctx *c, const Expr *expr) {
    int count = expr->args.count;
    if (!call_args(c, expr, 1, 1000000, NULL)) return unknown_value(c);
    const Value **values = ARENA_ARRAY(c->e->arena, count, const Value *);
    for (int i = 0; i < count; i++) values[i] = elab(c, expr->args.at[i].value);
    return concat_values(c, count, values, expr->span);
}

/* sum, mean, max, min over all dims, or over one. */
static const Value *over_dims(const Ctx *c, const Expr *expr, Name name, Op op) {
    static const char *const names[] = {NULL, "dim"};
    if (!call_args(c, expr, 1, 2, names)) return unknown_value(c);
    const Value *x = elab(c, expr->args.at[0].value);
    const Expr *dim = call_arg(expr, 1, "dim");
    bool ints =
        x->type.dtype == DT_INT && x->type.number && x->num.kind == NUM_NONE && op != OP_MEAN;
    if (!ints) x = float_operand(c, x, name, expr->span);
    if (x->type.unknown) return x;
    Ty type = {.dtype = ints ? DT_INT : DT_FLOAT, .number = ints};
    Attr attr = {.dim = -1};
    if (dim != NULL) {
        bool open = false;
        int64_t at = 0;
        if (!elab_integer(c, dim, "a dimension", &at, &open)) return unknown_value(c);
        if (at < 0 || at >= x->type.rank) {
            sema_error(c, "E-SHAPE", dim->span, "dimension %lld of %s", (long long)at,
                       ty_shape_text(c->e->arena, &x->type));
            return unknown_value(c);
        }
        attr.dim = (int)at;
        for (int d = 0; d < x->type.rank; d++)
            if (d != attr.dim) type.dim[type.rank++] = x->type.dim[d];
    }
    return emit_op(c, op, &type, 1, &x, &attr, expr->span);
}

static const Value *last_dim(const Ctx *c, const Expr *expr, Name name, Op op) {
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Value *x = float_operand(c, elab(c, expr->args.at[0].value), name, expr->span);
    if (x->type.unknown) return x;
    if (x->type.rank == 0) return shape_fault(c, expr->span, name, "a tensor", x, NULL);
    Ty type = ty_shaped(ty_float(), &x->type);
    if (op == OP_LOGSUMEXP || op == OP_ARGMAX) type.rank--;
    if (op == OP_ARGMAX) {
        type.dtype = DT_INT;
        type.bound = x->type.dim[x->type.rank - 1];
        if (type.bound == NULL) return unknown_value(c);
    }
    return emit_op(c, op, &type, 1, &x, NULL, expr->span);
}

static const Value *vectors(const Ctx *c, const Expr *expr, Name name) {
    if (!call_args(c, expr, 2, 2, NULL)) return unknown_value(c);
    const Value *in[2];
    bool dot = strcmp(name, "dot") == 0;
    for (int i = 0; i < 2; i++)
        in[i] = float_operand(c, elab(c, expr->args.at[i].value), name, expr->args.at[i].span);
    if (in[0]->type.unknown || in[1]->type.unknown) return unknown_value(c);
    Ty type = ty_float();
    bool fits = in[0]->type.rank == 1 && in[1]->type.rank == 1;
    if (fits && dot) fits = poly_compare(in[0]->type.dim[0], in[1]->type.dim[0]) != POLY_DIFFERENT;
    if (!fits)
        return shape_fault(c, expr->span, name, dot ? "vectors of one size" : "vectors", in[0],
                           in[1]);
    if (!dot) {
        type.rank = 2;
        type.dim[0] = in[0]->type.dim[0];
        type.dim[1] = in[1]->type.dim[0];
    }
    return emit_op(c, dot ? OP_DOT : OP_OUTER, &type, 2, in, NULL, expr->span);
}

static const Value *column(const Ctx *c, const Expr *expr, Name name) {
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Value *x = elab(c, expr->args.at[0].value);
    if (x->type.unknown) return x;
    if (x->type.rank != 1) return shape_fault(c, expr->span, name, "a vector", x, NULL);
    Ty type = x->type;
    const Poly *one = poly_constant(c->e->arena, 1);
    bool col = strcmp(name, "col") == 0;
    type.rank = 2;
    type.dim[0] = col ? x->type.dim[0] : one;
    type.dim[1] = col ? one : x->type.dim[0];
    return emit_op(c, OP_RESHAPE, &type, 1, &x, NULL, expr->span);
}

static const Value *reshape(const Ctx *c, const Expr *expr, const EntryList *bracket) {
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Value *x = elab(c, expr->args.at[0].value);
    Ty type = x->type;
    type.rank = bracket_sizes(c, bracket, type.dim);
    if (x->type.unknown || type.rank < 0) return unknown_value(c);
    if (x->num.kind != NUM_NONE) x = float_operand(c, x, "reshape", expr->span);
    type.dtype = x->type.dtype;
    const Poly *a = poly_constant(c->e->arena, 1), *b = a;
    for (int d = 0; d < x->type.rank; d++) a = poly_mul(c->e->arena, a, x->type.dim[d]);
    for (int d = 0; d < type.rank; d++) b = poly_mul(c->e->arena, b, type.dim[d]);
    if (poly_compare(a, b) == POLY_DIFFERENT) {
        Text from = text_new(c->e->arena), to = text_new(c->e->arena);
        poly_print(a, &from);
        poly_print(b, &to);
        sema_error(c, "E-SHAPE", expr->span, "reshape of %s with %s elements to %s with %s",
                   ty_shape_text(c->e->arena, &x->type), text_string(&from),
                   ty_shape_text(c->e->arena, &type), text_string(&to));
        return unknown_value(c);
    }
    return emit_op(c, OP_RESHAPE, &type, 1, &x, NULL, expr->span);
}

static const Value *onehot(const Ctx *c, const Expr *expr, const EntryList *bracket) {
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Value *w = elab(c, expr->args.at[0].value);
    Ty type = ty_float(), label = {.dtype = DT_INT};
    type.rank = bracket_sizes(c, bracket, type.dim);
    if (w->type.unknown || type.rank < 0) return unknown_value(c);
    if (type.rank != 1) {
        sema_error(c, "E-SHAPE", expr->span, "onehot takes one size, not %d", type.rank);
        return unknown_value(c);
    }
    label.bound = type.dim[0];
    label = ty_shaped(label, &(Ty){.rank = 0});
    w = flow(c, w, &label, false, expr->span, "the operand of onehot", (Span){0});
    return emit_op(c, OP_ONEHOT, &type, 1, &w, NULL, expr->span);
}

/* One number of a bracket or argument for each spatial dim; false after an error or when open. */
static bool spatial(const Ctx *c, const EntryList *bracket, const Expr *one, int dims,
                    const char *what, int64_t least, int64_t to[MAX_RANK], Span span, bool *open) {
    int given = bracket != NULL ? bracket->count : 1;
    if (given != 1 && given != dims) {
        sema_error(c, "E-SHAPE", span, "%d entries for %d spatial dimensions", given, dims);
        return false;
    }
    for (int d = 0; d < dims; d++) {
        const Entry *entry = bracket == NULL ? NULL : &bracket->at[given == 1 ? 0 : d];
        if (entry != NULL && entry->kind != ENTRY_EXPR) {
            sema_error(c, "E-INDEX", entry->span, "%s is one integer", what);
            return false;
        }
        if (!elab_integer(c, entry != NULL ? entry->a : one, what, &to[d], open)) return false;
        if (to[d] < least || to[d] > INT32_MAX) {
            sema_error(c, "E-SHAPE", entry != NULL ? entry->span : one->span,
                       "%s is %lld when it should be at least %lld", what, (long long)to[d],
                       (long long)least);
            return false;
        }
    }
    return true;
}

/* floor((R + 2p - q)/s) + 1, where `pad` -1 means (q - 1)/2, and so R for a stride of 1. */
static bool conv_dim(const Ctx *c, const Poly *r, const Poly *q, int64_t stride, int64_t *pad,
                     Span span, const Poly **to) {
    Arena *arena = c->e->arena;
    int64_t kernel, size;
    bool known = poly_value(q, &kernel);
    *to = NULL;
    if (*pad < 0 && known) {
        if (kernel % 2 == 0) {
            sema_error(c, "E-SHAPE", span, "a kernel of even size %lld needs 'pad ='",
                       (long long)kernel);
            return false;
        }
        *pad = (kernel - 1) / 2;
    }
    if (*pad < 0) {
        if (stride == 1) *to = r;
        return true;
    }
    const Poly *room = poly_sub(arena, poly_add(arena, r, poly_constant(arena, 2 * *pad)), q);
    if (poly_value(room, &size)) {
        if (size < 0) {
            sema_error(c, "E-SHAPE", span,
                       "a kernel of %lld is larger than its padded operand by %lld",
                       (long long)kernel, (long long)-size);
            return false;
        }
        *to = poly_constant(arena, size / stride + 1);
    } else if (stride == 1) {
        *to = poly_add(arena, room, poly_constant(arena, 1));
    }
    return true;
}

static const Value *conv(const Ctx *c, const Expr *expr, const EntryList *bracket) {
    static const char *const names[] = {NULL, NULL, "pad"};
    if (!call_args(c, expr, 2, 3, names)) return unknown_value(c);
    const Value *in[2];
    for (int i = 0; i < 2; i++)
        in[i] = float_operand(c, elab(c, expr->args.at[i].value), "conv", expr->args.at[i].span);
    const Ty *w = &in[0]->type, *x = &in[1]->type;
    if (w->unknown || x->unknown) return unknown_value(c);
    int dims = x->rank - 1;
    if (dims < 1 || dims > 3 || w->rank != x->rank + 1 ||
        poly_compare(w->dim[1], x->dim[0]) == POLY_DIFFERENT)
        return shape_fault(c, expr->span, "conv",
                           "[K,C,q…] and [C,R…] with 1 to 3 spatial dimensions", in[0], in[1]);
    Attr attr = {0};
    bool open = false;
    const Expr *pad = call_arg(expr, 2, "pad");
    for (int d = 0; d < dims; d++) attr.dims[d] = 1, attr.pads[d] = -1;
    if (bracket != NULL &&
        !spatial(c, bracket, NULL, dims, "a stride", 1, attr.dims, expr->span, &open))
        return unknown_value(c);
    if (pad != NULL && !spatial(c, NULL, pad, dims, "pad", 0, attr.pads, expr->span, &open))
        return unknown_value(c);
    Ty type = ty_float();
    type.rank = x->rank;
    type.dim[0] = w->dim[0];
    for (int d = 0; d < dims; d++)
        if (!conv_dim(c, x->dim[d + 1], w->dim[d + 2], attr.dims[d], &attr.pads[d], expr->span,
                      &type.dim[d + 1]))
            return unknown_value(c);
    return emit_op(c, OP_CONV, &type, 2, in, &attr, expr->span);
}

static const Value *pool(const Ctx *c, const Expr *expr, Name name, const EntryList *bracket) {
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Value *x = float_operand(c, elab(c, expr->args.at[0].value), name, expr->span);
    if (x->type.unknown) return x;
    if (x->type.rank < 2 || x->type.rank > 4)
        return shape_fault(c, expr->span, name, "[C,R…] with 1 to 3 spatial dimensions", x, NULL);
    Attr attr = {0};
    bool open = false;
    int dims = x->type.rank - 1;
    if (!spatial(c, bracket, NULL, dims, "a window", 1, attr.dims, expr->span, &open))
        return unknown_value(c);
    Ty type = ty_shaped(ty_float(), &x->type);
    for (int d = 1; d < type.rank; d++) {
        int64_t size;
        bool known = poly_value(type.dim[d], &size);
        type.dim[d] = known ? poly_constant(c->e->arena, size / attr.dims[d - 1])
                            : poly_div(c->e->arena, type.dim[d],
                                       poly_constant(c->e->arena, attr.dims[d - 1]));
    }
    return emit_op(c, strcmp(name, "maxpool") == 0 ? OP_MAXPOOL : OP_AVGPOOL, &type, 1, &x, &attr,
                   expr->span);
}

static const Value *label_loss(const Ctx *c, const Expr *expr, Name name, Op op) {
    if (!call_args(c, expr, 2, 2, NULL)) return unknown_value(c);
    const Value *in[2] = {float_operand(c, elab(c, expr->args.at[0].value), name, expr->span),
                          elab(c, expr->args.at[1].value)};
    if (in[0]->type.unknown || in[1]->type.unknown) return unknown_value(c);
    if (in[0]->type.rank != 1) return shape_fault(c, expr->span, name, "scores [V]", in[0], NULL);
    Ty label = {.dtype = DT_INT, .bound = in[0]->type.dim[0]}, type = ty_float();
    in[1] = flow(c, in[1], &label, false, expr->args.at[1].span,
                 arena_printf(c->e->arena, "the label of %s", name), (Span){0});
    return emit_op(c, op, &type, 2, in, NULL, expr->span);
}

static const Value *pair_loss(const Ctx *c, const Expr *expr, Name name, Op op) {
    if (!call_args(c, expr, 2, 2, NULL)) return unknown_value(c);
    const Value *in[2];
    for (int i = 0; i < 2; i++)
        in[i] = float_operand(c, elab(c, expr->args.at[i].value), name, expr->args.at[i].span);
    if (!ty_same_shape(&in[0]->type, &in[1]->type))
        return shape_fault(c, expr->span, name, "equal shapes", in[0], in[1]);
    Ty type = ty_float();
    return emit_op(c, op, &type, 2, in, NULL, expr->span);
}

static bool is(Name name, const char *what) {
    return strcmp(name, what) == 0;
}

const Value *elab_tensor_call(const Ctx *c, const Expr *expr, Name name, const EntryList *bracket) {
    if (is(name, "zeros") || is(name, "ones") || is(name, "iota")) {
        if (bracket != NULL) return constant_tensor(c, name, bracket, expr->span);
    } else if (is(name, "reshape") || is(name, "onehot") || is(name, "maxpool") ||
               is(name, "avgpool")) {
        if (bracket != NULL && is(name, "reshape")) return reshape(c, expr, bracket);
        if (bracket != NULL && is(name, "onehot")) return onehot(c, expr, bracket);
        if (bracket != NULL) return pool(c, expr, name, bracket);
    } else if (is(name, "conv"))
        return conv(c, expr, bracket);
    else if (is(name, "concat"))
        return concat(c, expr);
    else if (is(name, "sum"))
        return over_dims(c, expr, name, OP_SUM);
    else if (is(name, "mean"))
        return over_dims(c, expr, name, OP_MEAN);
    else if (is(name, "max"))
        return over_dims(c, expr, name, OP_RMAX);
    else if (is(name, "min"))
        return over_dims(c, expr, name, OP_RMIN);
    else if (is(name, "softmax"))
        return last_dim(c, expr, name, OP_SOFTMAX);
    else if (is(name, "log_softmax"))
        return last_dim(c, expr, name, OP_LOG_SOFTMAX);
    else if (is(name, "logsumexp"))
        return last_dim(c, expr, name, OP_LOGSUMEXP);
    else if (is(name, "argmax"))
        return last_dim(c, expr, name, OP_ARGMAX);
    else if (is(name, "layernorm"))
        return last_dim(c, expr, name, OP_LAYERNORM);
    else if (is(name, "dot") || is(name, "outer"))
        return vectors(c, expr, name);
    else if (is(name, "col") || is(name, "row"))
        return column(c, expr, name);
    else if (is(name, "xent"))
        return label_loss(c, expr, name, OP_XENT);
    else if (is(name, "nll"))
        return label_loss(c, expr, name, OP_NLL);
    else if (is(name, "mse"))
        return pair_loss(c, expr, name, OP_MSE);
    else if (is(name, "bce"))
        return pair_loss(c, expr, name, OP_BCE);
    sema_error(c, "E-INDEX", expr->span, "%s takes a bracket: %s[…]%s", name, name,
               is(name, "zeros") || is(name, "ones") || is(name, "iota") ? "" : "(…)");
    return unknown_value(c);
}
