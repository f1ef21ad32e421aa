/* Dimensions: polynomials over size names with integer coefficients, in normal form.
 *
 * Terms are sorted and merged, so equality is syntactic. A NULL polynomial is a dimension of which
 * nothing is known (after an error, or where a definition leaves it open); every operation on it
 * gives NULL, and so does an overflow. Quotients that are not exact become opaque names. */
#ifndef RNNC_SEMA_DIMS_H
#define RNNC_SEMA_DIMS_H

#include <stdbool.h>
#include <stdint.h>

#include "support/names.h"
#include "support/text.h"

typedef struct Monomial {
    int64_t factor; /* never 0 */
    int degree;
    const Name *names; /* [degree], sorted as strings */
} Monomial;

typedef struct Poly {
    int count;
    const Monomial *terms; /* sorted: higher degree first, then by names */
    bool opaque;           /* holds a quotient whose value only an instance knows */
} Poly;

typedef enum PolyOrder { POLY_EQUAL, POLY_DIFFERENT, POLY_UNKNOWN } PolyOrder;

/* The constant `value`. */
const Poly *poly_constant(Arena *arena, int64_t value);

/* The name `name` itself; an opaque one equals nothing but itself and differs from nothing. */
const Poly *poly_name(Arena *arena, Name name, bool opaque);

/* Sum, difference, product; NULL on overflow, or when an operand is NULL. */
const Poly *poly_add(Arena *arena, const Poly *a, const Poly *b);
const Poly *poly_sub(Arena *arena, const Poly *a, const Poly *b);
const Poly *poly_mul(Arena *arena, const Poly *a, const Poly *b);

/* The quotient when every term of `a` is divisible by the one term of `b`, or a = b; else NULL. */
const Poly *poly_div(Arena *arena, const Poly *a, const Poly *b);

/* True when the polynomial is a number, which goes to *value. */
bool poly_value(const Poly *a, int64_t *value);
bool poly_is(const Poly *a, int64_t value);

/* Equal, different for the sizes taken as unknowns, or not to be decided here. */
PolyOrder poly_compare(const Poly *a, const Poly *b);

/* `2*H + 1`; `?` for NULL. */
void poly_print(const Poly *a, Text *out);

#endif
