/* Values into nodes: constants, conversions, operations, and the flow of a value into a declared
 * type. */
#include <math.h>

#include "sema/elab.h"

const Value *unknown_value(const Ctx *c) {
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->type.unknown = true;
    value->node = -1;
    return value;
}

const Value *number_value(const Ctx *c, Num num) {
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->num = num;
    value->node = -1;
    value->type = num.kind == NUM_OPEN && num.mode ? ty_bool() : ty_of_num(&num);
    return value;
}

bool value_has(const Value *value, int index) {
    for (int i = 0; i < value->count; i++)
        if (value->index[i] == index) return true;
    return false;
}

bool value_add_index(const Ctx *c, Value *value, int index, Span span) {
    if (value_has(value, index)) return true;
    if (value->count == MAX_DOMAIN) {
        sema_error(c, "E-LIMIT", span, "a value depends on more than %d time indices", MAX_DOMAIN);
        return false;
    }
    value->index[value->count++] = index;
    return true;
}

bool index_mirrored(const Body *body, int index) {
    for (int i = 0; i < body->marks.count; i++)
        if (body->marks.at[i].index == index) return body->marks.at[i].mirrored;
    return false;
}

bool check_shape(const Ctx *c, const Ty *type, Span span) {
    int64_t count = 1;
    if (type->unknown) return true;
    for (int d = 0; d < type->rank; d++) {
        int64_t dim;
        if (!poly_value(type->dim[d], &dim)) {
            if (c->e->emit && c->e->diags->errors == 0) {
                sema_error(c, "E-LIMIT", span, "a dimension is not a number or beyond 64 bits");
                return false;
            }
            continue;
        }
        if (dim < 1) {
            sema_error(c, "E-SHAPE", span,
                       "dimension %d of %s is %lld when it should be at least 1", d,
                       ty_shape_text(c->e->arena, type), (long long)dim);
            return false;
        }
        if (dim > INT32_MAX || count > INT32_MAX / dim) {
            sema_error(c, "E-LIMIT", span, "a tensor %s has more than 2147483647 elements",
                       ty_shape_text(c->e->arena, type));
            return false;
        }
        count *= dim;
    }
    return true;
}

Type graph_type_of(const Ctx *c, const Ty *type, Span span) {
    Type to = {.dtype = type->dtype, .pointer = type->pointer, .axis = type->axis};
    if (type->dtype != DT_INT) to.pointer = PTR_NONE;
    if (to.pointer == PTR_NONE) to.axis = 0;
    if (type->dtype == DT_INT) poly_value(type->bound, &to.bound);
    check_shape(c, type, span);
    to.shape.rank = type->rank;
    for (int d = 0; d < type->rank; d++) poly_value(type->dim[d], &to.shape.dim[d]);
    return to;
}

/* Union of domains, types as computed, no node yet. */
static Value *prepare(const Ctx *c, const Ty *type, int count, const Value *const *in, Span span) {
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->type = *type;
    value->node = -1;
    for (int i = 0; i < count; i++) {
        if (in[i] == NULL) continue;
        if (in[i]->type.unknown) value->type.unknown = true;
        for (int k = 0; k < in[i]->count; k++)
            if (!value_add_index(c, value, in[i]->index[k], span)) value->type.unknown = true;
    }
    return value;
}

Span body_place(const Ctx *c, Span span) {
    if (c->body && c->body->up) span.within = &c->body->span;
    return span;
}

const Value *emit_op(const Ctx *c, Op op, const Ty *type, int count, const Value *const *in,
                     const Attr *attr, Span span) {
    Value *value = prepare(c, type, count, in, span);
    if (value->type.unknown || !check_shape(c, type, span)) {
        value->type = ty_unknown();
        return value;
    }
    if (!c->e->emit || c->e->diags->errors > 0) return value;
    Graph *graph = c->e->graph;
    int *nodes = ARENA_ARRAY(c->e->arena, count + 1, int);
    for (int i = 0; i < count; i++) {
        nodes[i] = in[i] == NULL ? -1 : in[i]->node;
        if (in[i] != NULL && nodes[i] < 0) {
            sema_error(c, "internal", span, "operand %d of %s has no node", i, op_info[op].text);
            return value;
        }
    }
    Type as = graph_type_of(c, type, span), want = as;
    const char *why = "types differ";
    int domain[MAX_DOMAIN];
    Attr none = {0};
    if (attr == NULL) attr = &none;
    bool right = graph_type(graph, op, count, nodes, attr, &as, &why);
    if (!right || !type_equal(as, want)) {
        sema_error(c, "internal", span, "%s does not fit its operands: %s", op_info[op].text, why);
        return value;
    }
    int domain_count = graph_domain(graph, op, count, nodes, attr, domain);
    if (domain_count < 0) {
        sema_error(c, "E-LIMIT", span, "a value depends on more than %d time indices", MAX_DOMAIN);
        return value;
    }
    value->node =
        graph_add(graph, op, as, domain_count, domain, count, nodes, attr, body_place(c, span));
    return value;
}

const Value *emit_constant(const Ctx *c, double number, const Ty *type, Span span) {
    Attr attr = {.number = number};
    return emit_op(c, OP_CONST, type, 0, NULL, &attr, span);
}

const Value *value_as(const Ctx *c, const Value *value, DType dtype, Span span) {
    if (value->type.unknown) return value;
    if (value->num.kind != NUM_NONE) {
        double number = 0;
        Ty type = {.dtype = dtype};
        if (!num_double(&value->num, &number) && c->e->emit && c->e->diags->errors == 0)
            sema_error(c, "internal", span, "a number that no definition left open is open");
        if (dtype == DT_INT) type.number = true;
        return emit_constant(c, number, &type, span);
    }
    if (value->type.dtype == dtype) return value;
    if (dtype != DT_FLOAT) return value;
    Ty type = ty_shaped(ty_float(), &value->type);
    return emit_op(c, OP_FLOAT, &type, 1, &value, NULL, span);
}

/* Whether a number is known to be an int(bound). */
static bool below(const Value *value, const Poly *bound) {
    int64_t number, most;
    if (value->num.kind == NUM_NONE) return poly_compare(value->type.bound, bound) == POLY_EQUAL;
    if (bound == NULL || !num_int(&value->num, &number)) return true; /* for the instance to say */
    return number >= 0 && (!poly_value(bound, &most) || number < most);
}

bool join_types(const Ctx *c, const Value *a, const Value *b, Ty *to) {
    (void)c;
    const Ty *x = &a->type, *y = &b->type;
    if (x->unknown || y->unknown) {
        *to = ty_unknown();
        return true;
    }
    if (x->dtype == y->dtype && x->dtype != DT_INT) {
        *to = *x;
        return true;
    }
    bool a_free = a->num.kind != NUM_NONE, b_free = b->num.kind != NUM_NONE;
    if (x->dtype == DT_INT && y->dtype == DT_INT) {
        if (x->pointer != y->pointer && !(x->number && a_free) && !(y->number && b_free))
            return false;
        if (x->pointer != PTR_NONE && y->pointer != PTR_NONE) {
            if (x->axis >= 0 && y->axis >= 0 && x->axis != y->axis) return false;
            *to = x->axis >= 0 ? *x : *y;
            return true;
        }
        if (x->number && y->number) {
            *to = a_free ? *y : *x;
            if (!below(a, to->bound) || !below(b, to->bound)) to->bound = NULL;
        } else if (a_free && x->pointer == PTR_NONE)
            *to = *y;
        else if (b_free && y->pointer == PTR_NONE)
            *to = *x;
        else {
            *to = *x;
            return poly_compare(x->bound, y->bound) != POLY_DIFFERENT &&
                   (x->bound == NULL) == (y->bound == NULL);
        }
        return true;
    }
    /* A position or a literal beside a float becomes a float. */
    *to = x->dtype == DT_FLOAT ? *x : *y;
    const Ty *other = x->dtype == DT_FLOAT ? y : x;
    return to->dtype == DT_FLOAT && other->dtype == DT_INT && other->number;
}

/* The size among those of the model that a dimension is; -1: none. */
static int size_of_model(const Ctx *c, const Poly *dim) {
    if (dim == NULL || dim->opaque || dim->count != 1 || dim->terms[0].degree != 1 ||
        dim->terms[0].factor != 1)
        return -1;
    for (int i = 0; c->inst != NULL && i < c->inst->sizes.count; i++)
        if (c->inst->sizes.at[i].name == dim->terms[0].names[0]) return i;
    return -1;
}

/* The value of a dimension where the sizes of its file give it. */
static bool file_value(const Ctx *c, const Poly *dim, int64_t *value) {
    *value = 0;
    if (dim == NULL || dim->opaque) return false;
    for (int i = 0; i < dim->count; i++) {
        int64_t term = dim->terms[i].factor, size;
        for (int k = 0; k < dim->terms[i].degree; k++) {
            FileBind *bind = map_get(&c->file->binds, dim->terms[i].names[k]);
            if (bind == NULL) return false;
            Num num = file_number(c->e, c->file, bind);
            if (!num_int(&num, &size) || __builtin_mul_overflow(term, size, &term)) return false;
        }
        if (__builtin_add_overflow(*value, term, value)) return false;
    }
    return true;
}

/* Where the model has a size, in its bracket or in its header. */
static Span size_span(const Model *model, int size) {
    int header = size - model->item->params.count;
    if (size < 0) return model->item->name_span;
    return header < 0 ? model->item->params.at[size].name_span : model->header_at.at[header];
}

void note_free_size(const Ctx *c, Diag *diag, const Ty *a, const Ty *b) {
    if (c->e->emit || c->inst == NULL || c->file == NULL || a->rank != b->rank) return;
    const Model *model = c->inst->model;
    for (int d = 0; d < a->rank; d++) {
        int64_t number, other;
        bool left = poly_value(a->dim[d], &number), right = poly_value(b->dim[d], &other);
        int size = size_of_model(c, left ? b->dim[d] : a->dim[d]);
        if (poly_compare(a->dim[d], b->dim[d]) != POLY_DIFFERENT || (left && right)) continue;
        if (left || right) {
            int64_t known, given = left ? number : other;
            if (size < 0 || (file_value(c, left ? b->dim[d] : a->dim[d], &known) && known != given))
                continue;
            Name name = c->inst->sizes.at[size].name;
            sema_note(c, diag, size_span(model, size),
                      "model '%s' has to hold for every value of '%s'; write %s in place of %lld",
                      model->name, name, name, (long long)given);
            return;
        }
        if (!file_value(c, a->dim[d], &number) || !file_value(c, b->dim[d], &other)) continue;
        if (number != other) continue;
        Text text = text_new(c->e->arena);
        poly_print(a->dim[d], &text);
        text_puts(&text, " and ");
        poly_print(b->dim[d], &text);
        sema_note(c, diag, size_span(model, size),
                  "model '%s' has to hold for all values of its sizes, also where %s differ",
                  model->name, text_string(&text));
        return;
    }
}

const char *shape_values(const Ctx *c, const Ty *type) {
    Text text = text_new(c->e->arena);
    bool names = false;
    text_printf(&text, "%s = [", ty_shape_text(c->e->arena, type));
    for (int d = 0; d < type->rank; d++) {
        int64_t value;
        names |= !poly_value(type->dim[d], &value);
        if (c->file == NULL || !file_value(c, type->dim[d], &value))
            return ty_shape_text(c->e->arena, type);
        text_printf(&text, "%s%lld", d > 0 ? ", " : "", (long long)value);
    }
    text_puts(&text, "]");
    return names ? text_string(&text) : ty_shape_text(c->e->arena, type);
}

static const Value *refuse(const Ctx *c, const char *code, const Value *value, const Ty *type,
                           Span span, const char *what, Span at, const char *hint) {
    Diag *diag = sema_error(c, code, span, "%s is %s when it should be %s%s", what,
                            ty_text(c->e->arena, &value->type, c->e->graph),
                            ty_text(c->e->arena, type, c->e->graph), hint);
    if (at.source != NULL) sema_note(c, diag, at, "declared here");
    return unknown_value(c);
}

/* A compile-time number into a type. */
static const Value *flow_number(const Ctx *c, const Value *value, const Ty *type, Span span,
                                const char *what, Span at) {
    const Num *num = &value->num;
    bool boolean = value->type.dtype == DT_BOOL;
    if (boolean != (type->dtype == DT_BOOL))
        return refuse(c, "E-TYPE", value, type, span, what, at, "");
    double number = 0, bound;
    bool known = num_double(num, &number);
    if (type->dtype == DT_INT) {
        int64_t most;
        if (value->type.pointer != PTR_NONE) {
            if (type->pointer != PTR_POS)
                return refuse(c, "E-TYPE", value, type, span, what, at, "");
        } else if (type->pointer != PTR_NONE || (known && num->kind != NUM_INT)) {
            return refuse(c, "E-TYPE", value, type, span, what, at, "");
        }
        bound = poly_value(type->bound, &most) ? (double)most : INFINITY;
        if (known && type->bound != NULL && (number < 0 || number >= bound)) {
            Diag *diag = sema_error(c, "E-TYPE", span, "%s is %.0f when it should be 0 to %.0f",
                                    what, number, bound - 1);
            if (at.source != NULL) sema_note(c, diag, at, "declared here");
            return unknown_value(c);
        }
    }
    return emit_constant(c, number, type, span);
}

const Value *flow(const Ctx *c, const Value *value, const Ty *type, bool spread, Span span,
                  const char *what, Span at) {
    if (value->type.unknown || type->unknown) return value;
    bool scalar = value->type.rank == 0 && spread;
    if (!scalar && !ty_same_shape(&value->type, type)) {
        Diag *diag =
            sema_error(c, "E-SHAPE", span, "%s has shape %s when it should be %s", what,
                       ty_shape_text(c->e->arena, &value->type), ty_shape_text(c->e->arena, type));
        if (at.source != NULL) sema_note(c, diag, at, "declared here");
        note_free_size(c, diag, &value->type, type);
        return unknown_value(c);
    }
    if (value->num.kind != NUM_NONE) return flow_number(c, value, type, span, what, at);
    const Ty *from = &value->type;
    if (from->dtype != type->dtype) {
        bool position = from->dtype == DT_INT && from->number && type->dtype == DT_FLOAT;
        if (!position)
            return refuse(c, "E-TYPE", value, type, span, what, at,
                          type->dtype == DT_FLOAT ? "; convert it with float(…)" : "");
        value = value_as(c, value, DT_FLOAT, span);
    } else if (type->dtype == DT_INT) {
        bool fits = from->pointer == type->pointer;
        if (fits && from->pointer != PTR_NONE)
            fits = from->axis < 0 || type->axis < 0 || from->axis == type->axis;
        else if (fits && type->bound != NULL)
            fits = from->bound != NULL && poly_compare(from->bound, type->bound) != POLY_DIFFERENT;
        if (!fits) return refuse(c, "E-TYPE", value, type, span, what, at, "");
    }
    if (scalar && type->rank > 0) {
        Ty to = ty_shaped(value->type, type);
        return emit_op(c, OP_BROADCAST, &to, 1, &value, NULL, span);
    }
    return value;
}
