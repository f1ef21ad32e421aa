/* Arithmetic on dimensions in normal form; every step checks for overflow. */
#include "sema/dims.h"

#include <string.h>

enum { MAX_DEGREE = 32, MAX_TERMS = 64 };

static const Poly *make(Arena *arena, const Monomial *terms, int count, bool opaque) {
    Poly *poly = ARENA_NEW(arena, Poly);
    poly->count = count;
    poly->opaque = opaque && count > 0;
    poly->terms = arena_copy(arena, terms, (size_t)count * sizeof *terms);
    return poly;
}

const Poly *poly_constant(Arena *arena, int64_t value) {
    Monomial term = {.factor = value};
    return make(arena, &term, value != 0, false);
}

const Poly *poly_name(Arena *arena, Name name, bool opaque) {
    Monomial term = {.factor = 1, .degree = 1};
    term.names = arena_copy(arena, &name, sizeof name);
    return make(arena, &term, 1, opaque);
}

static int order(const Monomial *a, const Monomial *b) {
    if (a->degree != b->degree) return a->degree > b->degree ? -1 : 1;
    for (int i = 0; i < a->degree; i++) {
        int c = strcmp(a->names[i], b->names[i]);
        if (c != 0) return c;
    }
    return 0;
}

/* Inserts a term into the sorted array; false on overflow. */
static bool insert(Monomial *terms, int *count, Monomial term) {
    int i = 0;
    while (i < *count && order(&terms[i], &term) < 0) i++;
    if (i < *count && order(&terms[i], &term) == 0) {
        if (__builtin_add_overflow(terms[i].factor, term.factor, &terms[i].factor)) return false;
        if (terms[i].factor == 0) {
            memmove(&terms[i], &terms[i + 1], (size_t)(*count - i - 1) * sizeof *terms);
            --*count;
        }
        return true;
    }
    if (*count == MAX_TERMS) return false;
    memmove(&terms[i + 1], &terms[i], (size_t)(*count - i) * sizeof *terms);
    terms[i] = term;
    ++*count;
    return true;
}

static const Poly *combine(Arena *arena, const Poly *a, const Poly *b, int64_t sign) {
    if (a == NULL || b == NULL) return NULL;
    Monomial terms[MAX_TERMS];
    int count = a->count;
    memcpy(terms, a->terms, (size_t)count * sizeof *terms);
    for (int i = 0; i < b->count; i++) {
        Monomial term = b->terms[i];
        if (__builtin_mul_overflow(term.factor, sign, &term.factor)) return NULL;
        if (!insert(terms, &count, term)) return NULL;
    }
    return make(arena, terms, count, a->opaque || b->opaque);
}

const Poly *poly_add(Arena *arena, const Poly *a, const Poly *b) {
    return combine(arena, a, b, 1);
}

const Poly *poly_sub(Arena *arena, const Poly *a, const Poly *b) {
    return combine(arena, a, b, -1);
}

static bool multiply(Arena *arena, const Monomial *a, const Monomial *b, Monomial *to) {
    if (__builtin_mul_overflow(a->factor, b->factor, &to->factor)) return false;
    to->degree = a->degree + b->degree;
    if (to->degree > MAX_DEGREE) return false;
    Name *names = ARENA_ARRAY(arena, to->degree, Name);
    int i = 0, j = 0;
    while (i < a->degree || j < b->degree) {
        bool left = j == b->degree || (i < a->degree && strcmp(a->names[i], b->names[j]) <= 0);
        names[i + j] = left ? a->names[i] : b->names[j];
        if (left)
            i++;
        else
            j++;
    }
    to->names = names;
    return true;
}

const Poly *poly_mul(Arena *arena, const Poly *a, const Poly *b) {
    if (a == NULL || b == NULL) return NULL;
    Monomial terms[MAX_TERMS];
    int count = 0;
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++) {
            Monomial term;
            if (!multiply(arena, &a->terms[i], &b->terms[j], &term)) return NULL;
            if (!insert(terms, &count, term)) return NULL;
        }
    return make(arena, terms, count, a->opaque || b->opaque);
}

/* Divides one term by another; false when that is not exact. */
static bool divide(Arena *arena, const Monomial *a, const Monomial *b, Monomial *to) {
    if (b->factor == -1 && a->factor == INT64_MIN) return false;
    if (a->factor % b->factor != 0 || a->degree < b->degree) return false;
    to->factor = a->factor / b->factor;
    to->degree = a->degree - b->degree;
    Name *names = ARENA_ARRAY(arena, to->degree + 1, Name);
    int kept = 0, j = 0;
    for (int i = 0; i < a->degree; i++) {
        if (j < b->degree && a->names[i] == b->names[j])
            j++;
        else if (kept < to->degree)
            names[kept++] = a->names[i];
        else
            return false;
    }
    to->names = names;
    return j == b->degree;
}

const Poly *poly_div(Arena *arena, const Poly *a, const Poly *b) {
    if (a == NULL || b == NULL || b->count == 0) return NULL;
    if (poly_compare(a, b) == POLY_EQUAL) return poly_constant(arena, 1);
    if (b->count != 1) return NULL;
    Monomial terms[MAX_TERMS];
    for (int i = 0; i < a->count; i++)
        if (!divide(arena, &a->terms[i], &b->terms[0], &terms[i])) return NULL;
    return make(arena, terms, a->count, a->opaque);
}

bool poly_value(const Poly *a, int64_t *value) {
    if (a == NULL || a->count > 1 || (a->count == 1 && a->terms[0].degree > 0)) return false;
    *value = a->count == 0 ? 0 : a->terms[0].factor;
    return true;
}

bool poly_is(const Poly *a, int64_t value) {
    int64_t is;
    return poly_value(a, &is) && is == value;
}

PolyOrder poly_compare(const Poly *a, const Poly *b) {
    if (a == NULL || b == NULL) return POLY_UNKNOWN;
    bool equal = a->count == b->count;
    for (int i = 0; equal && i < a->count; i++)
        equal = a->terms[i].factor == b->terms[i].factor && order(&a->terms[i], &b->terms[i]) == 0;
    if (equal) return POLY_EQUAL;
    return a->opaque || b->opaque ? POLY_UNKNOWN : POLY_DIFFERENT;
}

void poly_print(const Poly *a, Text *out) {
    if (a == NULL)
        text_puts(out, "?");
    else if (a->count == 0)
        text_puts(out, "0");
    for (int i = 0; a != NULL && i < a->count; i++) {
        const Monomial *term = &a->terms[i];
        uint64_t size = term->factor < 0 ? 0 - (uint64_t)term->factor : (uint64_t)term->factor;
        if (i > 0)
            text_puts(out, term->factor < 0 ? " - " : " + ");
        else if (term->factor < 0)
            text_puts(out, "-");
        if (size != 1 || term->degree == 0) text_printf(out, "%llu", (unsigned long long)size);
        for (int j = 0; j < term->degree; j++)
            text_printf(out, "%s%s", j > 0 || size != 1 ? "*" : "", term->names[j]);
    }
}
