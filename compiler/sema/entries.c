/* Entries of a tensor: `x[2]`, `x[a:b]`, `E[w]`, from the first dim on. */
#include "sema/elab.h"

/* One end of a slice; NULL takes the dimension's. */
static const Poly *slice_end(const Ctx *c, const Expr *expr, const Poly *otherwise) {
    return expr == NULL ? otherwise : elab_size(c, expr, "an end of a slice");
}

static const Poly *product_of(const Ctx *c, const Ty *type, int from, int end) {
    const Poly *all = poly_constant(c->e->arena, 1);
    for (int d = from; d < end; d++) all = poly_mul(c->e->arena, all, type->dim[d]);
    return all;
}

static const Value *as_matrix(const Ctx *c, const Value *value, const Poly *rows,
                              const Poly *columns, Span span) {
    Ty type = value->type;
    type.rank = 2;
    type.dim[0] = rows;
    type.dim[1] = columns;
    return emit_op(c, OP_RESHAPE, &type, 1, &value, NULL, span);
}

static const Value *turned(const Ctx *c, const Value *value, Span span) {
    Ty type = value->type;
    type.dim[0] = value->type.dim[1];
    type.dim[1] = value->type.dim[0];
    return emit_op(c, OP_TRANSPOSE, &type, 1, &value, NULL, span);
}

/* GATHER picks from the first dim. A later one is brought to the front: [a, n, b] as a matrix
 * [a, n*b] is turned to [n*b, a], which is [n, b*a]; what is picked, [b, a], is turned back. */
static const Value *gather(const Ctx *c, const Value *value, const Value *index, int at,
                           Span span) {
    Ty type = value->type;
    const Poly *bound = index->type.bound;
    if (index->type.pointer != PTR_NONE || index->type.dtype != DT_INT || bound == NULL) {
        bool position = index->type.dtype == DT_INT && index->type.number;
        sema_error(c, "E-TYPE", span,
                   "an entry of a tensor is an integer, a slice or an int(n), not %s%s",
                   ty_text(c->e->arena, &index->type, c->e->graph),
                   position ? "; bound the length of the axis: time t <= n" : "");
        return unknown_value(c);
    }
    if (index->type.rank != 0) {
        sema_error(c, "E-SHAPE", span, "an entry of a tensor is one int, not %s of them",
                   ty_shape_text(c->e->arena, &index->type));
        return unknown_value(c);
    }
    /* A position on an axis of at most n steps may pick from more than n entries. */
    int64_t have, most;
    int value_rank = type.rank;
    bool known = poly_value(bound, &have) && poly_value(type.dim[at], &most);
    bool fits = poly_compare(bound, type.dim[at]) != POLY_DIFFERENT ||
                (index->type.number && (!known || have <= most));
    if (!fits) {
        Text a = text_new(c->e->arena), b = text_new(c->e->arena);
        poly_print(bound, &a);
        poly_print(type.dim[at], &b);
        sema_error(c, "E-TYPE", span, "an int(%s) picks from %s entries", text_string(&a),
                   text_string(&b));
        return unknown_value(c);
    }
    for (int d = at + 1; d < type.rank; d++) type.dim[d - 1] = type.dim[d];
    type.rank--;
    const Poly *before = product_of(c, &value->type, 0, at);
    const Poly *behind = product_of(c, &value->type, at + 1, value->type.rank);
    const Poly *size = value->type.dim[at];
    if (at > 0) value = as_matrix(c, value, before, poly_mul(c->e->arena, size, behind), span);
    if (at > 0) value = turned(c, value, span);
    if (at > 0 && at + 1 < value_rank)
        value = as_matrix(c, value, size, poly_mul(c->e->arena, behind, before), span);
    Ty row = type;
    if (at > 0) row.rank = 1, row.dim[0] = poly_mul(c->e->arena, behind, before);
    const Value *in[2] = {value, index};
    value = emit_op(c, OP_GATHER, &row, 2, in, NULL, span);
    if (at == 0 || type.rank == 1) return value;
    value = turned(c, as_matrix(c, value, behind, before, span), span);
    return emit_op(c, OP_RESHAPE, &type, 1, &value, NULL, span);
}

/* Takes from <= i < end of one dimension, and drops it when it was a single entry. */
static const Value *cut(const Ctx *c, const Value *value, int at, const Poly *from, const Poly *end,
                        bool drop, Span span) {
    Ty type = value->type;
    int64_t low, high, size;
    const Poly *dim = type.dim[at];
    bool known = poly_value(from, &low) && poly_value(end, &high);
    bool sized = poly_value(dim, &size);
    bool empty = known ? low >= high : poly_compare(from, end) == POLY_EQUAL;
    if ((poly_value(from, &low) && low < 0) || empty ||
        (sized && poly_value(end, &high) && high > size)) {
        Text a = text_new(c->e->arena), b = text_new(c->e->arena), n = text_new(c->e->arena);
        poly_print(from, &a);
        poly_print(end, &b);
        poly_print(dim, &n);
        if (drop)
            sema_error(c, "E-INDEX", span, "entry %s of a dimension of %s", text_string(&a),
                       text_string(&n));
        else
            sema_error(c, "E-INDEX", span, "slice %s:%s of a dimension of %s", text_string(&a),
                       text_string(&b), text_string(&n));
        return unknown_value(c);
    }
    Attr attr = {.drop = drop ? 1u << at : 0};
    for (int d = 0; d < type.rank; d++) {
        poly_value(d == at ? from : NULL, &attr.dims[d]);
        poly_value(d == at ? end : type.dim[d], &attr.ends[d]);
    }
    type.dim[at] = poly_sub(c->e->arena, end, from);
    for (int d = at; drop && d + 1 < type.rank; d++) type.dim[d] = value->type.dim[d + 1];
    if (drop) type.rank--;
    return emit_op(c, OP_SLICE, &type, 1, &value, &attr, span);
}

const Value *tensor_entries(const Ctx *c, const Value *value, const EntryList *entries, Span span) {
    if (value->type.unknown) return value;
    if (value->num.kind != NUM_NONE || entries->count > value->type.rank) {
        sema_error(c, "E-INDEX", span, "%s for a tensor of rank %d",
                   counted(c, entries->count, "entry", "entries"), value->type.rank);
        return unknown_value(c);
    }
    const Poly *one = poly_constant(c->e->arena, 1), *zero = poly_constant(c->e->arena, 0);
    int at = 0;
    for (int i = 0; i < entries->count && !value->type.unknown; i++) {
        const Entry *entry = &entries->at[i];
        if (entry->kind == ENTRY_RANGE) {
            sema_error(c, "E-INDEX", entry->span,
                       "a range 'in' stands in the bracket of a reduction");
            return unknown_value(c);
        }
        if (entry->kind == ENTRY_SLICE) {
            const Poly *from = slice_end(c, entry->a, zero);
            const Poly *end = slice_end(c, entry->b, value->type.dim[at]);
            if (c->e->emit && (from == NULL || end == NULL)) return unknown_value(c);
            if (entry->a != NULL || entry->b != NULL)
                value = cut(c, value, at, from, end, false, entry->span);
            at++;
            continue;
        }
        const Value *index = elab(c, entry->a);
        if (index->type.unknown || index->num.kind == NUM_OPEN) return unknown_value(c);
        if (index->num.kind == NUM_INT && index->type.pointer == PTR_NONE) {
            const Poly *end = poly_add(c->e->arena, index->num.integer, one);
            value = cut(c, value, at, index->num.integer, end, true, entry->span);
        } else {
            value = gather(c, value, index, at, entry->span);
        }
    }
    return value;
}
