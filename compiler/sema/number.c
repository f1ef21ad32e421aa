/* Arithmetic on numbers known at compile time: integers are polynomials, quotients exact or opaque.
 */
#include <math.h>

#include "sema/elab.h"

bool is_comparison(AstOp op) {
    return op >= AST_LT && op <= AST_NE;
}

static bool compare(AstOp op, double a, double b) {
    switch (op) {
    case AST_LT: return a < b;
    case AST_LE: return a <= b;
    case AST_GT: return a > b;
    case AST_GE: return a >= b;
    case AST_EQ: return a == b;
    case AST_NE: return a != b;
    case AST_OR:
    case AST_AND:
    case AST_NOT:
    case AST_ADD:
    case AST_SUB:
    case AST_MUL:
    case AST_DIV:
    case AST_MOD:
    case AST_MATMUL:
    case AST_POW:
    case AST_NEG: break;
    }
    return false;
}

/* Powers and remainders of integers; NUM_REAL when the result is no integer. */
static Num integer_power(const Ctx *c, const Num *a, const Num *b) {
    int64_t exponent;
    if (!num_int(b, &exponent)) return num_open();
    double x, y;
    if (exponent < 0 || exponent > 64)
        return num_double(a, &x) && num_double(b, &y) ? num_of_real(pow(x, y)) : num_open();
    const Poly *power = poly_constant(c->e->arena, 1);
    for (int64_t i = 0; i < exponent; i++) power = poly_mul(c->e->arena, power, a->integer);
    if (power != NULL) return (Num){.kind = NUM_INT, .integer = power};
    return num_double(a, &x) ? num_of_real(pow(x, (double)exponent)) : num_open();
}

static Num integer_quotient(const Ctx *c, const Num *a, const Num *b, Span span) {
    Num to = {.kind = NUM_INT, .integer = poly_div(c->e->arena, a->integer, b->integer)};
    double x, y;
    if (to.integer != NULL) return to;
    if (poly_is(b->integer, 0)) {
        sema_error(c, "E-TYPE", span, "division by zero");
        return num_open();
    }
    if (num_double(a, &x) && num_double(b, &y)) return num_of_real(x / y);
    if (a->integer == NULL || b->integer == NULL) return num_open();
    Text text = text_new(c->e->arena);
    const Poly *sides[2] = {a->integer, b->integer};
    for (int i = 0; i < 2; i++) {
        bool plain = sides[i]->count == 1 && sides[i]->terms[0].degree <= 1 &&
                     (sides[i]->terms[0].factor == 1 || sides[i]->terms[0].degree == 0);
        text_puts(&text, plain ? "" : "(");
        poly_print(sides[i], &text);
        text_puts(&text, i == 0 && plain ? "/" : i == 0 ? ")/" : plain ? "" : ")");
    }
    to.integer = poly_name(c->e->arena, name_of(c->e->names, text_string(&text)), true);
    return to;
}

static Num integer_binary(const Ctx *c, AstOp op, const Num *a, const Num *b, Span span) {
    Arena *arena = c->e->arena;
    Num to = {.kind = NUM_INT};
    int64_t x, y;
    if (op == AST_POW) return integer_power(c, a, b);
    if (op == AST_DIV) return integer_quotient(c, a, b, span);
    if (op == AST_ADD)
        to.integer = poly_add(arena, a->integer, b->integer);
    else if (op == AST_SUB)
        to.integer = poly_sub(arena, a->integer, b->integer);
    else if (op == AST_MUL)
        to.integer = poly_mul(arena, a->integer, b->integer);
    else if (!num_int(a, &x) || !num_int(b, &y))
        return num_open();
    else if (y == 0 || (x == INT64_MIN && y == -1)) {
        sema_error(c, "E-TYPE", span, "remainder of a division by zero");
        return num_open();
    } else {
        int64_t rest = x % y;
        return num_of_int(arena, rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest);
    }
    if (to.integer == NULL && num_int(a, &x) && num_int(b, &y)) {
        sema_error(c, "E-LIMIT", span, "a number known at compile time is beyond 64 bits");
        return num_open();
    }
    return to;
}

Num num_binary(const Ctx *c, AstOp op, const Num *a, const Num *b, Span span) {
    bool both = a->kind == NUM_INT && b->kind == NUM_INT;
    double x, y;
    if (is_comparison(op)) {
        const Poly *gap = both ? poly_sub(c->e->arena, a->integer, b->integer) : NULL;
        int64_t by;
        if (poly_value(gap, &by)) return num_of_bool(compare(op, (double)by, 0));
        if (num_double(a, &x) && num_double(b, &y)) return num_of_bool(compare(op, x, y));
        return num_open();
    }
    if (both) return integer_binary(c, op, a, b, span);
    if (!num_double(a, &x) || !num_double(b, &y)) return num_open();
    switch (op) {
    case AST_ADD: return num_of_real(x + y);
    case AST_SUB: return num_of_real(x - y);
    case AST_MUL: return num_of_real(x * y);
    case AST_DIV: return num_of_real(x / y);
    case AST_MOD: return num_of_real(x - y * floor(x / y));
    case AST_POW: return num_of_real(isnan(x) || isnan(y) ? (double)NAN : pow(x, y));
    case AST_OR:
    case AST_AND:
    case AST_NOT:
    case AST_LT:
    case AST_LE:
    case AST_GT:
    case AST_GE:
    case AST_EQ:
    case AST_NE:
    case AST_MATMUL:
    case AST_NEG: break;
    }
    return num_open();
}
