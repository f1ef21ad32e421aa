/* Policies that write recurrences: cells, scans, systems of several states, clocks, boundary
 * values, two dimensions. Their states are bounded, and mostly contract. */
#include "body.h"

#include <math.h>
#include <string.h>

/* A vector that is there at t, with its size. */
static Piece some_vector(Body *body, const char *domain, int64_t *k) {
    for (int i = 0; i < 6; i++) {
        *k = gen_size(body->gen);
        Piece e = gen_pick(body, domain, gen_float(gen_vector(*k)));
        if (e.text) return e;
    }
    return gen_expr(body, domain, gen_vector(*k), 1);
}

static Piece plus(Body *body, Piece a, Piece b) {
    return (Piece){arena_printf(body->gen->arena, "%s + %s", a.text, b.text), a.low + b.low,
                   a.high + b.high};
}

/* W @ x + U @ h + b */
static Piece drive(Body *body, Shape shape, Piece x, int64_t k, Piece h) {
    Piece sum = gen_product(body, shape, x, k);
    sum = plus(body, sum, gen_product(body, shape, h, shape.dim[0]));
    if (gen_chance(body->gen, 70))
        sum = plus(body, sum, gen_read(body, body_param(body, shape), "t"));
    return sum;
}

static Piece wrapped(Body *body, const char *function, Piece e) {
    return (Piece){arena_printf(body->gen->arena, "%s(%s)", function, e.text),
                   strcmp(function, "sigmoid") == 0 ? 0 : -1, 1};
}

static int direction(Body *body) {
    return body->past_only || gen_chance(body->gen, 80) ? -1 : 1;
}

void policy_linear(Body *body) {
    Gen *gen = body->gen;
    Shape shape = gen_chance(gen, 15) ? gen_scalar
                  : gen_chance(gen, 15) && gen->sizes[0] * gen->sizes[1] <= 81
                      ? gen_matrix(gen->sizes[0], gen->sizes[1])
                      : gen_vector(gen_size(gen));
    Piece b = gen_fit(body, gen_expr(body, "t", shape, 2), -1, 1), a, c;
    int lag = 1 + (gen_chance(gen, 20) ? gen_below(gen, 3) : 0);
    int state = body_state(body, "t", gen_float(shape), -4, 4, direction(body) * lag, NULL);
    Piece h = gen_read(body, &body->values.at[state], "t");
    switch (gen_below(gen, 4)) {
    case 0: a = (Piece){gen_chance(gen, 50) ? "0.5" : "0.75", 0.5, 0.75}; break;
    case 1: a = gen_read(body, body_param(body, shape), "t"); break;
    case 2: /* leaky: the whole is a mean of two */
        a = wrapped(body, "sigmoid", gen_leaf(body, "t", shape));
        b = (Piece){arena_printf(gen->arena, "(1 - %s) * %s", a.text, b.text), -1, 1};
        break;
    default:
        a = wrapped(body, "sigmoid", gen_leaf(body, "t", shape));
        a = (Piece){arena_printf(gen->arena, "(0.75 * %s)", a.text), 0, 0.75};
        break;
    }
    bool swapped = gen_chance(gen, 50);
    c = (Piece){arena_printf(gen->arena, "%s * %s + %s", swapped ? h.text : a.text,
                             swapped ? a.text : h.text, b.text),
                -4, 4};
    if (gen_chance(gen, 20) && b.high <= 1)
        c.text = arena_printf(gen->arena, "if %s then %s else %s",
                              gen_condition(body, "t", gen_scalar, 1).text, c.text, h.text);
    body_close(body, state, c, 0);
    body_settle(body);
}

void policy_gated(Body *body) {
    Gen *gen = body->gen;
    Shape shape = gen_vector(gen_size(gen));
    int64_t k;
    Piece x = some_vector(body, "t", &k);
    int sign = direction(body), kind = gen_below(gen, 3);
    int h = body_state(body, "t", gen_float(shape), -1, 1, sign, NULL);
    Piece old = gen_read(body, &body->values.at[h], "t");
    if (kind == 0) {
        body_close(body, h, wrapped(body, "tanh", drive(body, shape, x, k, old)), 0);
    } else if (kind == 1) { /* update and reset */
        Piece z = wrapped(body, "sigmoid", drive(body, shape, x, k, old));
        Piece r = wrapped(body, "sigmoid", drive(body, shape, x, k, old));
        const char *zn = body_name(body, "z"), *rn = body_name(body, "r");
        body_add(body, "%s[t] = %s", zn, z.text);
        body_add(body, "%s[t] = %s", rn, r.text);
        Piece gated = {arena_printf(gen->arena, "(%s[t] * %s)", rn, old.text), -1, 1};
        Piece n = wrapped(body, "tanh", drive(body, shape, x, k, gated));
        body_close(body, h,
                   (Piece){arena_printf(gen->arena, "(1 - %s[t]) * %s + %s[t] * %s", zn, n.text, zn,
                                        old.text),
                           -1, 1},
                   0);
    } else { /* four gates, a second state, perhaps peepholes */
        int c = body_state(body, "t", gen_float(shape), -4, 4, sign, NULL);
        Piece memory = gen_read(body, &body->values.at[c], "t");
        const char *gate[4];
        for (int g = 0; g < 4; g++) {
            Piece sum = drive(body, shape, x, k, old);
            if (g < 3 && gen_chance(gen, 25)) {
                const Readable *p = body_param(body, shape);
                sum.text = arena_printf(gen->arena, "%s + %s * %s", sum.text, p->name, memory.text);
            }
            gate[g] = body_name(body, "g");
            body_add(body, "%s[t] = %s", gate[g],
                     wrapped(body, g == 3 ? "tanh" : "sigmoid", sum).text);
        }
        body_close(body, c,
                   (Piece){arena_printf(gen->arena, "0.75 * %s[t] * %s + %s[t] * %s[t]", gate[0],
                                        memory.text, gate[1], gate[3]),
                           -4, 4},
                   0);
        body_close(body, h,
                   (Piece){arena_printf(gen->arena, "%s[t] * tanh(%s[t])", gate[2],
                                        body->values.at[c].name),
                           -1, 1},
                   0);
    }
    body_settle(body);
}

static Type state_type(Gen *gen) {
    int kind = gen_below(gen, 10);
    if (kind == 0) return (Type){.dtype = DT_BOOL};
    if (kind == 1) return (Type){.dtype = DT_INT, .bound = 5};
    return gen_float(gen_shape(gen));
}

/* An integer or a bool of this type. */
static Piece whole(Body *body, const char *domain, Type type) {
    Gen *gen = body->gen;
    if (type.dtype == DT_BOOL) return gen_condition(body, domain, type.shape, 2);
    Piece a = gen_pick(body, domain, type), b = gen_pick(body, domain, type);
    if (!a.text)
        return (Piece){type.bound == 5 ? arena_printf(gen->arena, "%s %% 5", domain) : "0", 0, 4};
    return (Piece){arena_printf(gen->arena, "if %s then %s else %s",
                                gen_condition(body, domain, gen_scalar, 1).text, a.text, b.text),
                   0, (double)type.bound - 1};
}

/* States of any operation that read each other. */
static void system_of(Body *body, const char *index, int count, int lag, int every) {
    Gen *gen = body->gen;
    int states[3];
    for (int i = 0; i < count; i++) {
        Type type = state_type(gen);
        states[i] = body_state(body, index, type, type.dtype == DT_FLOAT ? -1 : 0,
                               type.dtype == DT_INT ? 4 : 1, lag, NULL);
    }
    for (int i = 0; i < count; i++) {
        Type type = body->values.at[states[i]].type;
        Piece e = type.dtype == DT_FLOAT ? gen_expr(body, index, type.shape, 3)
                                         : whole(body, index, type);
        if (type.dtype == DT_FLOAT) { /* one that recurs */
            Piece own = gen_read(body, &body->values.at[states[i]], index);
            e = gen_fit(body, e, -0.5, 0.5);
            e = (Piece){arena_printf(gen->arena, "0.5 * %s + %s", own.text, e.text), -1, 1};
        }
        body_close(body, states[i], e, gen_chance(gen, 50) ? every : 0);
    }
    body_settle(body);
}

void policy_system(Body *body) {
    Gen *gen = body->gen;
    int lag = gen_chance(gen, 50) ? 1 : 2 + gen_below(gen, 4);
    system_of(body, "t", 1 + gen_below(gen, 3), direction(body) * lag, 0);
}

void policy_backward(Body *body) {
    Gen *gen = body->gen;
    bool before = body->past_only;
    body->past_only = false;
    system_of(body, "t", 1 + gen_below(gen, 2), 1 + gen_below(gen, 2), 0);
    if (gen_chance(gen, 50)) {
        int64_t k;
        Piece x = some_vector(body, "t", &k);
        Shape shape = gen_vector(gen_size(gen));
        int h = body_state(body, "t", gen_float(shape), -1, 1, 1, NULL);
        Piece old = gen_read(body, &body->values.at[h], "t");
        body_close(body, h, wrapped(body, "tanh", drive(body, shape, x, k, old)), 0);
        body_settle(body);
    }
    body->past_only = before;
}

void policy_clock(Body *body) {
    Gen *gen = body->gen;
    int count = 1 + gen_below(gen, 2);
    for (int i = 0; i < count; i++)
        system_of(body, "t", 1 + gen_below(gen, 2), -1 - gen_below(gen, 2), 1 + gen_below(gen, 4));
    if (gen_chance(gen, 50)) { /* a value that is held, no recurrence */
        Shape shape = gen_vector(gen_size(gen));
        Piece e = gen_fit(body, gen_expr(body, "t", shape, 2), -2, 2);
        int h = body_state(body, "t", gen_float(shape), -2, 2, -1, NULL);
        body_close(body, h, e, 2 + gen_below(gen, 2));
        body_settle(body);
    }
}

/* An expression that a boundary may be. */
static Piece boundary_of(Body *body, Shape shape) {
    Gen *gen = body->gen;
    switch (gen_below(gen, 7)) {
    case 0: return gen_number(body);
    case 1: return gen_read(body, body_param(body, shape), "");
    case 2: return gen_read(body, body_input(body, "", gen_float(shape), NULL), "");
    case 3: { /* what an instance of the sequence gives */
        Piece e = gen_expr(body, "", shape, 2);
        return gen_fit(body, e, -1, 1);
    }
    case 4: return (Piece){"(-0.0)", 0, 0};
    case 5: return gen_number(body);
    default: {
        const Readable *p = body_param(body, shape);
        return (Piece){arena_printf(gen->arena, "tanh(%s)", p->name), -1, 1};
    }
    }
}

void policy_boundary(Body *body) {
    Gen *gen = body->gen;
    int count = 1 + gen_below(gen, 2);
    for (int i = 0; i < count; i++) {
        Shape shape = gen_shape(gen);
        Piece at = boundary_of(body, shape);
        int sign = direction(body), lag = 1 + gen_below(gen, 3);
        bool recurs = gen_chance(gen, 60);
        Piece e = {0};
        if (!recurs) e = gen_fit(body, gen_expr(body, "t", shape, 2), -1, 1);
        int h = body_state(body, "t", gen_float(shape), -2, 2, sign * lag, at.text);
        Piece old = gen_read(body, &body->values.at[h], "t");
        if (recurs) {
            e = gen_fit(body, gen_expr(body, "t", shape, 2), -1, 1);
            e = (Piece){arena_printf(gen->arena, "%s + 0.5 * %s", e.text, old.text), -2, 2};
        }
        body_close(body, h, e, 0);
        body_settle(body);
        if (!recurs) body_equation(body, "t", gen_float(shape), old);
    }
}

/* Each reads at some of the places before it on both axes. */
void policy_grid(Body *body) {
    static const char *const places[] = {"t-1,u", "t,u-1", "t-1,u-1"};
    Gen *gen = body->gen;
    Shape shape =
        gen_chance(gen, 50) ? gen_scalar : gen_vector(gen->sizes[0] > 9 ? 3 : gen->sizes[0]);
    const Readable *x = body_input(body, gen_chance(gen, 50) ? "tu" : "u", gen_float(shape), "0");
    Piece e = gen_read(body, x, "tu");
    gen->axes = 2;
    body->has_u = true;
    int h = body_state(body, "tu", gen_float(shape), -4, 4, -1, NULL);
    const char *name = body->values.at[h].name;
    Text out = text_new(gen->arena);
    text_printf(&out, "%s + 0.4 * %s[%s]", e.text, name, places[gen_below(gen, 2)]);
    for (int i = gen_below(gen, 3); i > 0; i--) {
        const char *place = places[gen_below(gen, 3)];
        if (shape.rank && gen_chance(gen, 50))
            text_printf(&out, " + 0.5 * (%s @ %s[%s])",
                        body_param(body, gen_matrix(shape.dim[0], shape.dim[0]))->name, name,
                        place);
        else
            text_printf(&out, " + 0.25 * %s[%s]", name, place);
    }
    body_close(body, h, (Piece){arena_printf(gen->arena, "tanh(%s)", text_string(&out)), -1, 1}, 0);
    body_settle(body);
    if (gen_chance(gen, 50))
        body_equation(body, "t", gen_float(shape),
                      (Piece){arena_printf(gen->arena, "%s[t,last]", name), -4, 4});
}
