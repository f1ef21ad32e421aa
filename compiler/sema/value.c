/* Types and compile-time numbers: making, joining, printing. */
#include "sema/value.h"

#include <math.h>

Ty ty_float(void) {
    return (Ty){.dtype = DT_FLOAT};
}

Ty ty_bool(void) {
    return (Ty){.dtype = DT_BOOL};
}

Ty ty_unknown(void) {
    return (Ty){.unknown = true};
}

Ty ty_of_num(const Num *num) {
    Ty type = ty_float();
    if (num->kind == NUM_INT) type = (Ty){.dtype = DT_INT, .number = true};
    if (num->kind == NUM_BOOL) type.dtype = DT_BOOL;
    return type;
}

Ty ty_shaped(Ty type, const Ty *shape) {
    type.unknown = type.unknown || shape->unknown;
    type.rank = shape->rank;
    for (int d = 0; d < shape->rank; d++) type.dim[d] = shape->dim[d];
    return type;
}

bool ty_same_shape(const Ty *a, const Ty *b) {
    if (a->unknown || b->unknown) return true;
    if (a->rank != b->rank) return false;
    for (int d = 0; d < a->rank; d++)
        if (poly_compare(a->dim[d], b->dim[d]) == POLY_DIFFERENT) return false;
    return true;
}

bool ty_join_shape(const Ty *a, const Ty *b, Ty *to) {
    if (a->unknown || b->unknown) {
        to->unknown = true;
        return true;
    }
    const Ty *wide = a->rank == 0 ? b : a;
    Ty joined = *to;
    joined.rank = wide->rank;
    for (int d = 0; d < wide->rank; d++) {
        joined.dim[d] = wide->dim[d];
        if (a->rank == 0 || b->rank == 0) continue;
        if (a->rank != b->rank) return false;
        if (poly_is(a->dim[d], 1))
            joined.dim[d] = b->dim[d];
        else if (!poly_is(b->dim[d], 1) && poly_compare(a->dim[d], b->dim[d]) == POLY_DIFFERENT)
            return false;
        else if (a->dim[d] == NULL)
            joined.dim[d] = b->dim[d];
    }
    *to = joined;
    return true;
}

static void shape_print(const Ty *type, Text *out) {
    text_puts(out, "[");
    for (int d = 0; d < type->rank; d++) {
        if (d > 0) text_puts(out, ", ");
        poly_print(type->dim[d], out);
    }
    text_puts(out, "]");
}

void ty_print(const Ty *type, const Graph *graph, Text *out) {
    bool plain = type->dtype == DT_FLOAT;
    if (type->unknown) {
        text_puts(out, "?");
        return;
    }
    if (type->dtype == DT_BOOL) text_puts(out, "bool");
    if (type->dtype == DT_INT && type->pointer != PTR_NONE)
        text_printf(out, "%s(%s)", type->pointer == PTR_PAST ? "past" : "pos",
                    type->axis >= 0 ? graph->axes.at[type->axis].name : "any axis");
    else if (type->dtype == DT_INT && type->bound != NULL) {
        text_puts(out, "int(");
        poly_print(type->bound, out);
        text_puts(out, ")");
    } else if (type->dtype == DT_INT)
        text_puts(out, "int");
    if (plain || type->rank > 0) shape_print(type, out);
}

const char *ty_text(Arena *arena, const Ty *type, const Graph *graph) {
    Text text = text_new(arena);
    ty_print(type, graph, &text);
    return text_string(&text);
}

const char *ty_shape_text(Arena *arena, const Ty *type) {
    Text text = text_new(arena);
    shape_print(type, &text);
    return text_string(&text);
}

bool num_double(const Num *num, double *value) {
    int64_t integer;
    if (num->kind == NUM_INT && poly_value(num->integer, &integer)) {
        *value = (double)integer;
        return true;
    }
    if (num->kind == NUM_BOOL) *value = num->truth ? 1 : 0;
    if (num->kind == NUM_REAL) *value = num->real;
    return num->kind == NUM_REAL || num->kind == NUM_BOOL;
}

bool num_int(const Num *num, int64_t *value) {
    return num->kind == NUM_INT && poly_value(num->integer, value);
}

Num num_of_int(Arena *arena, int64_t value) {
    return (Num){.kind = NUM_INT, .integer = poly_constant(arena, value)};
}

Num num_of_real(double value) {
    return (Num){.kind = NUM_REAL, .real = value};
}

Num num_of_bool(bool truth) {
    return (Num){.kind = NUM_BOOL, .truth = truth};
}

Num num_open(void) {
    return (Num){.kind = NUM_OPEN};
}
