/* Policies that write recurrences: cells, scans, systems of several states, clocks, boundary
 * values, two dimensions. Their states are bounded, and mostly contract. */
#include "draft.h"

#include <math.h>
#include <string.h>

/* A vector that is there at t, with its size. */
static Piece some_vector(Draft *draft, const char *domain, int64_t *k) {
    for (int i = 0; i < 6; i++) {
        *k = gen_size(draft->gen);
        Piece e = gen_pick(draft, domain, gen_float(gen_vector(*k)));
        if (e.text) return e;
    }
    return gen_expr(draft, domain, gen_vector(*k), 1);
}

static Piece plus(Draft *draft, Piece a, Piece b) {
    return (Piece){arena_printf(draft->gen->arena, "%s + %s", a.text, b.text), a.low + b.low,
                   a.high + b.high};
}

/* W @ x + U @ h + b */
static Piece drive(Draft *draft, Shape shape, Piece x, int64_t k, Piece h) {
    Piece sum = gen_product(draft, shape, x, k);
    sum = plus(draft, sum, gen_product(draft, shape, h, shape.dim[0]));
    if (gen_chance(draft->gen, 70))
        sum = plus(draft, sum, gen_read(draft, draft_param(draft, shape), "t"));
    return sum;
}

static Piece wrapped(Draft *draft, const char *function, Piece e) {
    return (Piece){arena_printf(draft->gen->arena, "%s(%s)", function, e.text),
                   strcmp(function, "sigmoid") == 0 ? 0 : -1, 1};
}

static int direction(Draft *draft) {
    return draft->past_only || gen_chance(draft->gen, 80) ? -1 : 1;
}

void policy_linear(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_chance(gen, 15) ? gen_scalar
                  : gen_chance(gen, 15) && gen->sizes[0] * gen->sizes[1] <= 81
                      ? gen_matrix(gen->sizes[0], gen->sizes[1])
                      : gen_vector(gen_size(gen));
    Piece b = gen_fit(draft, gen_expr(draft, "t", shape, 2), -1, 1), a, c;
    int lag = 1 + (gen_chance(gen, 20) ? gen_below(gen, 3) : 0);
    int state = draft_state(draft, "t", gen_float(shape), -4, 4, direction(draft) * lag, NULL);
    Piece h = gen_read(draft, &draft->values.at[state], "t");
    switch (gen_below(gen, 4)) {
    case 0: a = (Piece){gen_chance(gen, 50) ? "0.5" : "0.75", 0.5, 0.75}; break;
    case 1: a = gen_read(draft, draft_param(draft, shape), "t"); break;
    case 2: /* leaky: the whole is a mean of two */
        a = wrapped(draft, "sigmoid", gen_leaf(draft, "t", shape));
        b = (Piece){arena_printf(gen->arena, "(1 - %s) * %s", a.text, b.text), -1, 1};
        break;
    default:
        a = wrapped(draft, "sigmoid", gen_leaf(draft, "t", shape));
        a = (Piece){arena_printf(gen->arena, "(0.75 * %s)", a.text), 0, 0.75};
        break;
    }
    bool swapped = gen_chance(gen, 50);
    c = (Piece){arena_printf(gen->arena, "%s * %s + %s", swapped ? h.text : a.text,
                             swapped ? a.text : h.text, b.text),
                -4, 4};
    if (gen_chance(gen, 20) && b.high <= 1)
        c.text = arena_printf(gen->arena, "if %s then %s else %s",
                              gen_condition(draft, "t", gen_scalar, 1).text, c.text, h.text);
    draft_close(draft, state, c, 0);
    draft_settle(draft);
}

/* A product that is read a step later: it moves to its reader. */
void policy_pushed(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_vector(gen_size(gen));
    int64_t k;
    Piece x = some_vector(draft, "t", &k);
    int sign = direction(draft);
    int h = draft_state(draft, "t", gen_float(shape), -1, 1, sign, NULL);
    int p = draft_state(draft, "t", gen_float(shape), -64, 64, sign, "0");
    Piece old = gen_read(draft, &draft->values.at[h], "t");
    Piece leak = {arena_printf(gen->arena, "0.25 * %s", old.text), -0.25, 0.25};
    Piece sum = plus(draft, gen_product(draft, shape, x, k), leak);
    sum = plus(draft, sum, gen_read(draft, &draft->values.at[p], "t"));
    draft_close(draft, h, wrapped(draft, "tanh", sum), 0);
    Piece now = {arena_printf(gen->arena, "%s[t]", draft->values.at[h].name), -1, 1};
    Piece product = gen_product(draft, shape, now, shape.dim[0]);
    if (gen_chance(gen, 40)) product = plus(draft, product, leak); /* which stays */
    draft_close(draft, p, product, 0);
    draft_settle(draft);
    /* Nobody else reads it: it would have to be there, then. */
    for (int i = p; i + 1 < draft->values.count; i++)
        draft->values.at[i] = draft->values.at[i + 1];
    draft->values.count--;
}

void policy_gated(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_vector(gen_size(gen));
    int64_t k;
    Piece x = some_vector(draft, "t", &k);
    int sign = direction(draft), kind = gen_below(gen, 3);
    int h = draft_state(draft, "t", gen_float(shape), -1, 1, sign, NULL);
    Piece old = gen_read(draft, &draft->values.at[h], "t");
    if (kind == 0) {
        draft_close(draft, h, wrapped(draft, "tanh", drive(draft, shape, x, k, old)), 0);
    } else if (kind == 1) { /* update and reset */
        Piece z = wrapped(draft, "sigmoid", drive(draft, shape, x, k, old));
        Piece r = wrapped(draft, "sigmoid", drive(draft, shape, x, k, old));
        const char *zn = draft_name(draft, "z"), *rn = draft_name(draft, "r");
        draft_add(draft, "%s[t] = %s", zn, z.text);
        draft_add(draft, "%s[t] = %s", rn, r.text);
        Piece gated = {arena_printf(gen->arena, "(%s[t] * %s)", rn, old.text), -1, 1};
        Piece n = wrapped(draft, "tanh", drive(draft, shape, x, k, gated));
        draft_close(draft, h,
                    (Piece){arena_printf(gen->arena, "(1 - %s[t]) * %s + %s[t] * %s", zn, n.text,
                                         zn, old.text),
                            -1, 1},
                    0);
    } else { /* four gates, a second state, perhaps peepholes */
        int c = draft_state(draft, "t", gen_float(shape), -4, 4, sign, NULL);
        Piece memory = gen_read(draft, &draft->values.at[c], "t");
        const char *gate[4];
        for (int g = 0; g < 4; g++) {
            Piece sum = drive(draft, shape, x, k, old);
            if (g < 3 && gen_chance(gen, 25)) {
                const Readable *p = draft_param(draft, shape);
                sum.text = arena_printf(gen->arena, "%s + %s * %s", sum.text, p->name, memory.text);
            }
            gate[g] = draft_name(draft, "g");
            draft_add(draft, "%s[t] = %s", gate[g],
                      wrapped(draft, g == 3 ? "tanh" : "sigmoid", sum).text);
        }
        draft_close(draft, c,
                    (Piece){arena_printf(gen->arena, "0.75 * %s[t] * %s + %s[t] * %s[t]", gate[0],
                                         memory.text, gate[1], gate[3]),
                            -4, 4},
                    0);
        draft_close(draft, h,
                    (Piece){arena_printf(gen->arena, "%s[t] * tanh(%s[t])", gate[2],
                                         draft->values.at[c].name),
                            -1, 1},
                    0);
    }
    draft_settle(draft);
}

static Type state_type(Gen *gen) {
    int kind = gen_below(gen, 10);
    if (kind == 0) return (Type){.dtype = DT_BOOL};
    if (kind == 1) return (Type){.dtype = DT_INT, .bound = 5};
    return gen_float(gen_shape(gen));
}

/* An integer or a bool of this type. */
static Piece whole(Draft *draft, const char *domain, Type type) {
    Gen *gen = draft->gen;
    if (type.dtype == DT_BOOL) return gen_condition(draft, domain, type.shape, 2);
    Piece a = gen_pick(draft, domain, type), b = gen_pick(draft, domain, type);
    if (!a.text)
        return (Piece){type.bound == 5 ? arena_printf(gen->arena, "%s %% 5", domain) : "0", 0, 4};
    return (Piece){arena_printf(gen->arena, "if %s then %s else %s",
                                gen_condition(draft, domain, gen_scalar, 1).text, a.text, b.text),
                   0, (double)type.bound - 1};
}

/* States of any operation that read each other. */
static void system_of(Draft *draft, const char *index, int count, int lag, int every) {
    Gen *gen = draft->gen;
    int states[3];
    for (int i = 0; i < count; i++) {
        Type type = state_type(gen);
        states[i] = draft_state(draft, index, type, type.dtype == DT_FLOAT ? -1 : 0,
                                type.dtype == DT_INT ? 4 : 1, lag, NULL);
    }
    for (int i = 0; i < count; i++) {
        Type type = draft->values.at[states[i]].type;
        Piece e = type.dtype == DT_FLOAT ? gen_expr(draft, index, type.shape, 3)
                                         : whole(draft, index, type);
        if (type.dtype == DT_FLOAT) { /* one that recurs */
            Piece own = gen_read(draft, &draft->values.at[states[i]], index);
            e = gen_fit(draft, e, -0.5, 0.5);
            e = (Piece){arena_printf(gen->arena, "0.5 * %s + %s", own.text, e.text), -1, 1};
        }
        draft_close(draft, states[i], e, gen_chance(gen, 50) ? every : 0);
    }
    draft_settle(draft);
}

void policy_system(Draft *draft) {
    Gen *gen = draft->gen;
    int lag = gen_chance(gen, 50) ? 1 : 2 + gen_below(gen, 4);
    system_of(draft, "t", 1 + gen_below(gen, 3), direction(draft) * lag, 0);
}

void policy_backward(Draft *draft) {
    Gen *gen = draft->gen;
    bool before = draft->past_only;
    draft->past_only = false;
    system_of(draft, "t", 1 + gen_below(gen, 2), 1 + gen_below(gen, 2), 0);
    if (gen_chance(gen, 50)) {
        int64_t k;
        Piece x = some_vector(draft, "t", &k);
        Shape shape = gen_vector(gen_size(gen));
        int h = draft_state(draft, "t", gen_float(shape), -1, 1, 1, NULL);
        Piece old = gen_read(draft, &draft->values.at[h], "t");
        draft_close(draft, h, wrapped(draft, "tanh", drive(draft, shape, x, k, old)), 0);
        draft_settle(draft);
    }
    draft->past_only = before;
}

void policy_clock(Draft *draft) {
    Gen *gen = draft->gen;
    int count = 1 + gen_below(gen, 2);
    for (int i = 0; i < count; i++)
        system_of(draft, "t", 1 + gen_below(gen, 2), -1 - gen_below(gen, 2), 1 + gen_below(gen, 4));
    if (gen_chance(gen, 50)) { /* a value that is held, no recurrence */
        Shape shape = gen_vector(gen_size(gen));
        Piece e = gen_fit(draft, gen_expr(draft, "t", shape, 2), -2, 2);
        int h = draft_state(draft, "t", gen_float(shape), -2, 2, -1, NULL);
        draft_close(draft, h, e, 2 + gen_below(gen, 2));
        draft_settle(draft);
    }
}

/* An expression that a boundary may be. */
static Piece boundary_of(Draft *draft, Shape shape) {
    Gen *gen = draft->gen;
    switch (gen_below(gen, 7)) {
    case 0: return gen_number(draft);
    case 1: return gen_read(draft, draft_param(draft, shape), "");
    case 2: return gen_read(draft, draft_input(draft, "", gen_float(shape), NULL), "");
    case 3: { /* what an instance of the sequence gives */
        Piece e = gen_expr(draft, "", shape, 2);
        return gen_fit(draft, e, -1, 1);
    }
    case 4: return (Piece){"(-0.0)", 0, 0};
    case 5: return gen_number(draft);
    default: {
        const Readable *p = draft_param(draft, shape);
        return (Piece){arena_printf(gen->arena, "tanh(%s)", p->name), -1, 1};
    }
    }
}

void policy_boundary(Draft *draft) {
    Gen *gen = draft->gen;
    int count = 1 + gen_below(gen, 2);
    for (int i = 0; i < count; i++) {
        Shape shape = gen_shape(gen);
        Piece at = boundary_of(draft, shape);
        int sign = direction(draft), lag = 1 + gen_below(gen, 3);
        bool recurs = gen_chance(gen, 60);
        Piece e = {0};
        if (!recurs) e = gen_fit(draft, gen_expr(draft, "t", shape, 2), -1, 1);
        int h = draft_state(draft, "t", gen_float(shape), -2, 2, sign * lag, at.text);
        Piece old = gen_read(draft, &draft->values.at[h], "t");
        if (recurs) {
            e = gen_fit(draft, gen_expr(draft, "t", shape, 2), -1, 1);
            e = (Piece){arena_printf(gen->arena, "%s + 0.5 * %s", e.text, old.text), -2, 2};
        }
        draft_close(draft, h, e, 0);
        draft_settle(draft);
        if (!recurs) draft_equation(draft, "t", gen_float(shape), old);
    }
}

/* Each reads at some of the places before it on both axes. */
void policy_grid(Draft *draft) {
    static const char *const places[] = {"t-1,u", "t,u-1", "t-1,u-1"};
    Gen *gen = draft->gen;
    Shape shape =
        gen_chance(gen, 50) ? gen_scalar : gen_vector(gen->sizes[0] > 9 ? 3 : gen->sizes[0]);
    const Readable *x = draft_input(draft, gen_chance(gen, 50) ? "tu" : "u", gen_float(shape), "0");
    Piece e = gen_read(draft, x, "tu");
    gen->axes = 2;
    draft->has_u = true;
    int h = draft_state(draft, "tu", gen_float(shape), -4, 4, -1, NULL);
    const char *name = draft->values.at[h].name;
    Text out = text_new(gen->arena);
    text_printf(&out, "%s + 0.4 * %s[%s]", e.text, name, places[gen_below(gen, 2)]);
    for (int i = gen_below(gen, 3); i > 0; i--) {
        const char *place = places[gen_below(gen, 3)];
        if (shape.rank && gen_chance(gen, 50))
            text_printf(&out, " + 0.5 * (%s @ %s[%s])",
                        draft_param(draft, gen_matrix(shape.dim[0], shape.dim[0]))->name, name,
                        place);
        else
            text_printf(&out, " + 0.25 * %s[%s]", name, place);
    }
    draft_close(draft, h, (Piece){arena_printf(gen->arena, "tanh(%s)", text_string(&out)), -1, 1},
                0);
    draft_settle(draft);
    if (gen_chance(gen, 50))
        draft_equation(draft, "t", gen_float(shape),
                       (Piece){arena_printf(gen->arena, "%s[t,last]", name), -4, 4});
}
