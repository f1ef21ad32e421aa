/* Expressions of the pointwise operations, driven by the rows of graph/ops.def: operands are
 * brought into the range of the row, and the range of the result is found by trying values in it.
 */
#include "draft.h"

#include <math.h>
#include <string.h>

#include "passes/fold.h"

/* How an operation is written: an operator, or NULL for a function of its own name. */
static const char *operator_of(Op op) {
    static const struct {
        Op op;
        const char *text;
    } infix[] = {{OP_ADD, "+"}, {OP_SUB, "-"}, {OP_MUL, "*"},   {OP_DIV, "/"}, {OP_MOD, "%"},
                 {OP_POW, "^"}, {OP_LT, "<"},  {OP_LE, "<="},   {OP_GT, ">"},  {OP_GE, ">="},
                 {OP_EQ, "=="}, {OP_NE, "!="}, {OP_AND, "and"}, {OP_OR, "or"}};
    for (size_t i = 0; i < sizeof infix / sizeof *infix; i++)
        if (infix[i].op == op) return infix[i].text;
    return NULL;
}

static bool comparison(Op op) {
    return op == OP_LT || op == OP_LE || op == OP_GT || op == OP_GE || op == OP_EQ || op == OP_NE;
}

/* The result of an operation on operands in these ranges, with a margin for what lies between the
 * values that are tried. */
static void result_range(Op op, int count, const Piece *in, Piece *out) {
    enum { TRIES = 17 };
    const Type real = {.dtype = DT_FLOAT};
    const Type *types[3] = {&real, &real, &real};
    double low = INFINITY, high = -INFINITY;
    for (int i = 0; i < TRIES; i++)
        for (int k = 0; k < (count > 1 ? TRIES : 1); k++) {
            double x[3] = {in[0].low + (in[0].high - in[0].low) * i / (TRIES - 1),
                           count > 1 ? in[1].low + (in[1].high - in[1].low) * k / (TRIES - 1) : 0,
                           count > 2 ? in[2].high : 0};
            double y = 0;
            if (!fold_constant(op, count, x, types, real, &y)) continue;
            low = fmin(low, y);
            high = fmax(high, y);
        }
    if (low > high) low = high = 0;
    double margin = 0.1 * (high - low);
    /* a bound that the function itself has stays: 0 of exp, relu, sqrt */
    out->low = low >= 0 && low - margin < 0 ? low * 0.5 : low - margin;
    out->high = high + margin;
}

Piece gen_fit(Draft *draft, Piece e, double low, double high) {
    Gen *gen = draft->gen;
    double most = fmax(fabs(e.low), fabs(e.high)), room = fmin(fabs(low), fabs(high));
    Piece out = {.low = low, .high = high};
    if (e.low >= low && e.high <= high) return e;
    if (low < 0 && high > 0 && most <= 100 && gen_chance(gen, 40)) {
        double factor = 1;
        while (most * factor > room) factor *= 0.5;
        out.text = arena_printf(gen->arena, "(%g * %s)", factor, e.text);
        out.low = e.low * factor;
        out.high = e.high * factor;
    } else if (low < 0 && high >= 1 && room >= 1 && gen_chance(gen, 50)) {
        out.text = arena_printf(gen->arena, "tanh(%s)", e.text);
        out.low = -1;
        out.high = 1;
    } else if (gen_chance(gen, 40)) {
        out.text = arena_printf(gen->arena, "clip(%s, %g, %g)", e.text, low, high);
    } else if (low == 0) {
        out.text = high == 1 ? arena_printf(gen->arena, "sigmoid(%s)", e.text)
                             : arena_printf(gen->arena, "(%g * sigmoid(%s))", high, e.text);
    } else {
        out.text = arena_printf(gen->arena, "(%g + %g * sigmoid(%s))", low, high - low, e.text);
    }
    return out;
}

Piece gen_number(Draft *draft) {
    static const double numbers[] = {0, 1, -1, 0.5, 2, 0.25, -0.5, 0.1, 1.5, -0.75};
    double x = numbers[gen_below(draft->gen, 10)];
    return (Piece){arena_printf(draft->gen->arena, x < 0 ? "(%g)" : "%g", x), x, x};
}

Piece gen_op(Draft *draft, Op op, int count, const Piece *given, Shape shape) {
    Gen *gen = draft->gen;
    const OpInfo *row = &op_info[op];
    const char *infix = operator_of(op);
    Piece out = {0}, in[3];
    (void)shape;
    for (int i = 0; i < count; i++) in[i] = gen_fit(draft, given[i], row->low, row->high);
    if (op == OP_NEG)
        out.text = arena_printf(gen->arena, "(-%s)", in[0].text);
    else if (infix)
        out.text = arena_printf(gen->arena, "(%s %s %s)", in[0].text, infix, in[1].text);
    else if (count == 1)
        out.text = arena_printf(gen->arena, "%s(%s)", row->text, in[0].text);
    else
        out.text = arena_printf(gen->arena, "%s(%s, %s)", row->text, in[0].text, in[1].text);
    if (comparison(op))
        out.low = 0, out.high = 1;
    else
        result_range(op, count, in, &out);
    return out;
}

static bool word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

Piece gen_depend(Draft *draft, Piece e, char index) {
    bool choice = strstr(e.text, "if ") != NULL; /* of one known at compile time half is left */
    for (const char *at = e.text; *at && !choice; at++)
        if (*at == index && (at == e.text || !word(at[-1])) && !word(at[1])) return e;
    return (Piece){arena_printf(draft->gen->arena, "(%s + 0.1 * float(%c))", e.text, index), e.low,
                   e.high + 4};
}

/* ---- what can be read ---- */

static int axis_letter(char index) {
    return index == 's' ? 't' : index;
}

/* The index of the domain at which an index of a value is read, or 0. */
static char meet(Draft *draft, const Readable *v, char index, const char *domain) {
    char found = 0;
    if (v->lag) { /* an open recurrence is read at its own index alone */
        if (index == draft->own && draft->closed) return 0;
        return strchr(domain, index) ? index : 0;
    }
    for (int i = 0; domain[i]; i++)
        if (axis_letter(domain[i]) == axis_letter(index) &&
            (!found || gen_chance(draft->gen, 50) || domain[i] == index))
            found = domain[i];
    return found;
}

static bool readable(Draft *draft, const Readable *v, const char *domain) {
    if (v->dead) return false;
    for (int i = 0; v->indices[i]; i++) {
        if (strlen(v->indices) > 1 && !strchr(domain, v->indices[i])) return false;
        if (!meet(draft, v, v->indices[i], domain)) return false;
    }
    return true;
}

static int offset_of(Draft *draft, const Readable *v, char at) {
    Gen *gen = draft->gen;
    if (v->lag) {
        if (v->indices[0] != draft->own && at != draft->own) return 0;
        int most = v->lag < 0 ? -v->lag : v->lag, k = 1 + gen_below(gen, most);
        return v->lag < 0 ? -k : k;
    }
    if (!v->boundary || strlen(v->indices) > 1 || !gen_chance(gen, 25)) return 0;
    int k = 1 + (gen_chance(gen, 20) ? gen_below(gen, 3) : 0);
    if (k > gen->lag) gen->lag = k;
    return draft->past_only || gen_chance(gen, 60) ? -k : k;
}

Piece gen_read(Draft *draft, const Readable *v, const char *domain) {
    Text out = text_new(draft->gen->arena);
    Piece piece = {.low = v->low, .high = v->high};
    text_puts(&out, v->name);
    if (*v->family || *v->indices) text_printf(&out, "[%s", v->family);
    if (*v->family && !*v->indices) out.at[--out.length] = 0;
    for (int i = 0; v->indices[i]; i++) {
        bool one = strlen(v->indices) == 1;
        char at = one ? meet(draft, v, v->indices[i], domain) : v->indices[i];
        int offset = offset_of(draft, v, at);
        text_printf(&out, "%s%c", i ? "," : "", at);
        if (offset) text_printf(&out, "%+d", offset);
    }
    if (*v->family || *v->indices) text_puts(&out, "]");
    piece.text = text_string(&out);
    return piece;
}

Piece gen_pick(Draft *draft, const char *domain, Type type) {
    int found[400], count = 0;
    for (int i = 0; i < draft->values.count && count < 390; i++) {
        const Readable *v = &draft->values.at[i];
        if (!type_equal(v->type, type) || !readable(draft, v, domain)) continue;
        found[count++] = i;
        if (*v->indices) found[count++] = i; /* streams rather than parameters */
        if (v->lag) found[count++] = i;
    }
    if (!count) return (Piece){0};
    return gen_read(draft, &draft->values.at[found[gen_below(draft->gen, count)]], domain);
}

/* The position as a number. */
static Piece position(Draft *draft, const char *domain) {
    Gen *gen = draft->gen;
    char index = domain[gen_below(gen, (int)strlen(domain))];
    if (gen_chance(gen, 50))
        return (Piece){arena_printf(gen->arena, "(0.1 * float(%c))", index), 0, 4};
    int k = 2 + gen_below(gen, 3);
    return (Piece){arena_printf(gen->arena, "float(%c %% %d)", index, k), 0, k - 1};
}

Piece gen_leaf(Draft *draft, const char *domain, Shape shape) {
    Gen *gen = draft->gen;
    Piece e = {0};
    if (gen_chance(gen, 85)) e = gen_pick(draft, domain, gen_float(shape));
    if (e.text) return e;
    if (!shape.rank) {
        if (*domain && gen_chance(gen, 25)) return position(draft, domain);
        if (gen_chance(gen, 30)) return gen_read(draft, draft_param(draft, shape), domain);
        return gen_number(draft);
    }
    if (shape.rank == 1 && gen_chance(gen, 60)) { /* a product with any vector that is there */
        int64_t k = gen_size(gen);
        Piece v = gen_pick(draft, domain, gen_float(gen_vector(k)));
        if (v.text) return gen_product(draft, shape, v, k);
    }
    if (gen_chance(gen, 15))
        return (Piece){arena_printf(gen->arena, "ones%s", gen_shape_text(gen, shape)), 1, 1};
    if (shape.rank == 1 && gen_chance(gen, 15))
        return (Piece){arena_printf(gen->arena, "(0.25 * iota[%lld])", (long long)shape.dim[0]), 0,
                       0.25 * (double)(shape.dim[0] - 1)};
    return gen_read(draft, draft_param(draft, shape), domain);
}

Piece gen_condition(Draft *draft, const char *domain, Shape shape, int depth) {
    static const Op compare[] = {OP_LT, OP_LE, OP_GT, OP_GE, OP_EQ, OP_NE};
    Gen *gen = draft->gen;
    int kind = gen_below(gen, 10);
    Piece e = {0};
    if (kind < 2) e = gen_pick(draft, domain, (Type){.dtype = DT_BOOL, .shape = shape});
    if (e.text) return e;
    if (kind < 4 && depth > 0) {
        Piece in[] = {gen_condition(draft, domain, shape, depth - 1),
                      gen_condition(draft, domain, shape, depth - 1)};
        return (Piece){arena_printf(gen->arena, "(%s %s %s)", in[0].text,
                                    gen_chance(gen, 50) ? "and" : "or", in[1].text),
                       0, 1};
    }
    if (kind < 5 && depth > 0)
        return (Piece){arena_printf(gen->arena, "(not %s)",
                                    gen_condition(draft, domain, shape, depth - 1).text),
                       0, 1};
    if (kind < 7 && !shape.rank && *domain) {
        char index = domain[gen_below(gen, (int)strlen(domain))];
        return gen_chance(gen, 50)
                   ? (Piece){arena_printf(gen->arena, "(%c == %d)", index, gen_below(gen, 4)), 0, 1}
                   : (Piece){arena_printf(gen->arena, "(%c %% %d < %d)", index,
                                          2 + gen_below(gen, 3), 1 + gen_below(gen, 2)),
                             0, 1};
    }
    Piece in[] = {gen_expr(draft, domain, shape, depth - 1),
                  gen_chance(gen, 50) ? gen_number(draft)
                                      : gen_expr(draft, domain, shape, depth - 1)};
    return gen_op(draft, compare[gen_below(gen, 6)], 2, in, shape);
}

/* ---- expressions ---- */

/* A pointwise operation on reals, of this class. */
static Op random_op(Gen *gen, OpClass class_) {
    for (;;) {
        Op op = (Op)gen_below(gen, OP_COUNT);
        if (op_info[op].class_ != class_ || comparison(op) || op == OP_AND || op == OP_OR ||
            op == OP_VAR || op == OP_FLOAT || op == OP_NOT)
            continue;
        return op;
    }
}

/* An operand beside one of the shape itself: of it, a scalar, or with dimensions of 1. */
static Piece partner(Draft *draft, const char *domain, Shape shape, int depth) {
    Gen *gen = draft->gen;
    if (shape.rank && gen_chance(gen, 20)) shape = gen_scalar;
    for (int d = 0; d < shape.rank; d++)
        if (gen_chance(gen, 8)) shape.dim[d] = 1;
    return gen_expr(draft, domain, shape, depth);
}

static Piece binary(Draft *draft, const char *domain, Shape shape, int depth) {
    Gen *gen = draft->gen;
    /* sums and products are what models are made of */
    static const Op common[] = {OP_ADD, OP_ADD, OP_SUB, OP_MUL, OP_MUL};
    Op op = gen_chance(gen, 60) ? common[gen_below(gen, 5)] : random_op(gen, CLASS_BINARY);
    Piece in[] = {gen_expr(draft, domain, shape, depth - 1),
                  partner(draft, domain, shape, depth - 1)};
    if (op == OP_LEAKY_RELU || op == OP_ELU)
        in[1] = (Piece){gen_chance(gen, 50) ? "0.01" : "0.3", 0.01, 0.3};
    else if (gen_chance(gen, 50)) {
        Piece swap = in[0];
        in[0] = in[1];
        in[1] = swap;
    }
    return gen_op(draft, op, 2, in, shape);
}

/* Both branches have the shape: of a condition that is known at compile time one is looked at. */
static Piece choice(Draft *draft, const char *domain, Shape shape, int depth) {
    Gen *gen = draft->gen;
    bool scalar = gen_chance(gen, 40);
    Piece c = gen_condition(draft, domain, scalar ? gen_scalar : shape, depth - 1),
          a = gen_expr(draft, domain, shape, depth - 1),
          b = gen_expr(draft, domain, shape, depth - 1);
    return (Piece){arena_printf(gen->arena, "(if %s then %s else %s)", c.text, a.text, b.text),
                   fmin(a.low, b.low), fmax(a.high, b.high)};
}

Piece gen_expr(Draft *draft, const char *domain, Shape shape, int depth) {
    Gen *gen = draft->gen;
    Piece e = {0};
    int kind = gen_below(gen, 100);
    if (depth <= 0) return gen_leaf(draft, domain, shape);
    if (kind < 20) return gen_leaf(draft, domain, shape);
    if (kind < 40) {
        Piece in = gen_expr(draft, domain, shape, depth - 1);
        return gen_op(draft, random_op(gen, CLASS_UNARY), 1, &in, shape);
    }
    if (kind < 68) return binary(draft, domain, shape, depth);
    if (kind < 76) return choice(draft, domain, shape, depth);
    if (kind < 80) e = gen_over_time(draft, domain, shape, depth);
    if (!e.text) e = gen_tensor(draft, domain, shape, depth);
    return e.text ? e : gen_leaf(draft, domain, shape);
}
