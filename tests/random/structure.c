/* Policies about the shape of a program: equal subterms, products side by side, several axes and
 * indices, types, and what a program says beside its equations. */
#include "draft.h"

#include <math.h>
#include <string.h>

void policy_plain(Draft *draft) {
    Gen *gen = draft->gen;
    for (int i = 1 + gen_below(gen, 3); i > 0; i--) {
        Shape shape = gen_shape(gen);
        draft_equation(draft, "t", gen_float(shape), gen_expr(draft, "t", shape, 3));
    }
}

void policy_shared(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_shape(gen);
    Piece common = gen_expr(draft, "t", shape, 2);
    common = gen_fit(draft, common, -2, 2);
    for (int i = 2 + gen_below(gen, 2); i > 0; i--) {
        Piece in[] = {common, gen_expr(draft, "t", shape, 1)};
        draft_equation(draft, "t", gen_float(shape),
                       gen_op(draft, gen_chance(gen, 50) ? OP_MUL : OP_ADD, 2, in, shape));
    }
}

static Piece identity(Draft *draft, Piece e, Shape shape) {
    static const char *const forms[] = {"(%s * 1 + 0)",
                                        "(0 + %s / 1)",
                                        "(-(-%s))",
                                        "(%s ^ 1)",
                                        "(if 1 < 2 then %s else 0)",
                                        "(%s - 0)",
                                        "((2 * 3 - 5) * %s)",
                                        "(if t >= 0 or 1 > 2 then %s else 1)",
                                        "detach(%s)"};
    Gen *gen = draft->gen;
    const char *form = forms[gen_below(gen, 9)];
    Text out = text_new(gen->arena);
    if (shape.rank == 1 && gen_chance(gen, 20)) form = "concat(%s)";
    if (shape.rank == 1 && gen_chance(gen, 10)) form = "(%s)[:]";
    if (shape.rank && gen_chance(gen, 20))
        form = arena_printf(gen->arena, "(%%s + zeros%s)", gen_shape_text(gen, shape));
    if (shape.rank == 2 && gen_chance(gen, 30)) form = "((%s).T).T";
    const char *at = strstr(form, "%s");
    text_write(&out, form, (size_t)(at - form));
    text_printf(&out, "%s%s", e.text, at + 2);
    e.text = text_string(&out);
    return e;
}

void policy_identities(Draft *draft) {
    Gen *gen = draft->gen;
    for (int i = 1 + gen_below(gen, 2); i > 0; i--) {
        Shape shape = gen_shape(gen);
        Piece e = gen_expr(draft, "t", shape, 1);
        for (int k = 1 + gen_below(gen, 3); k > 0; k--) e = identity(draft, e, shape);
        Piece in[] = {e, gen_expr(draft, "t", shape, 1)};
        draft_equation(draft, "t", gen_float(shape), gen_op(draft, OP_MUL, 2, in, shape));
    }
}

/* Several products on one operand, in a loop or not. */
void policy_fan(Draft *draft) {
    Gen *gen = draft->gen;
    int64_t k = gen_size(gen), n = gen_size(gen);
    bool loop = gen_chance(gen, 60);
    int count = 2 + gen_below(gen, 3), state = -1;
    Piece operand;
    if (loop) {
        state = draft_state(draft, "t", gen_float(gen_vector(k)), -1, 1, -1, NULL);
        operand = gen_read(draft, &draft->values.at[state], "t");
    } else {
        operand = gen_expr(draft, "t", gen_vector(k), 1);
    }
    Text sum = text_new(gen->arena);
    for (int i = 0; i < count; i++) {
        Shape shape = gen_vector(loop ? k : gen_chance(gen, 50) ? n : gen_size(gen));
        Piece e = gen_product(draft, shape, operand, k);
        if (gen_chance(gen, 50)) {
            Piece in[] = {e, gen_leaf(draft, "t", shape)};
            e = gen_op(draft, OP_ADD, 2, in, shape);
        }
        e = (Piece){arena_printf(gen->arena, "%s(%s)", i ? "sigmoid" : "tanh", e.text), -1, 1};
        if (!loop) {
            draft_equation(draft, "t", gen_float(shape), e);
            continue;
        }
        text_printf(&sum, "%s%s", i == 0 ? "" : gen_chance(gen, 50) ? " * " : " - ", e.text);
    }
    if (!loop) return;
    Piece e = gen_expr(draft, "t", gen_vector(k), 1);
    e = gen_fit(draft, e, -1, 1);
    draft_close(
        draft, state,
        (Piece){arena_printf(gen->arena, "0.25 * (%s) + 0.25 * %s", text_string(&sum), e.text), -1,
                1},
        0);
    draft_settle(draft);
}

/* W @ concat(x, h[t-1]) and rows of a product. */
void policy_joined(Draft *draft) {
    Gen *gen = draft->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    Piece x = gen_fit(draft, gen_expr(draft, "t", gen_vector(k), 1), -1, 1);
    int gates = 1 + gen_below(gen, 3);
    int h = draft_state(draft, "t", gen_float(gen_vector(n)), -1, 1, -1, NULL);
    Piece old = gen_read(draft, &draft->values.at[h], "t");
    const Readable *w = draft_param(draft, gen_matrix(gates * n, n + k));
    const char *z = draft_name(draft, "z");
    Text sum = text_new(gen->arena);
    const char *both = gen_chance(gen, 50) ? arena_printf(gen->arena, "%s, %s", x.text, old.text)
                                           : arena_printf(gen->arena, "%s, %s", old.text, x.text);
    draft_add(draft, "%s[t] = %s @ concat(%s)", z, w->name, both);
    for (int g = 0; g < gates; g++)
        text_printf(&sum, "%s%s(%s[t][%lld:%lld])", g ? " * " : "", g ? "sigmoid" : "tanh", z,
                    (long long)(g * n), (long long)((g + 1) * n));
    draft_close(draft, h, (Piece){text_string(&sum), -1, 1}, 0);
    draft_settle(draft);
    if (gen_chance(gen, 30)) { /* columns of a parameter */
        const Readable *p = draft_param(draft, gen_matrix(n, n + k));
        draft_equation(
            draft, "t", gen_float(gen_vector(n)),
            (Piece){arena_printf(gen->arena, "%s[:, %lld:] @ %s", p->name, (long long)n, x.text),
                    -8, 8});
    }
}

void policy_prefix(Draft *draft) {
    Gen *gen = draft->gen;
    static const char *const past[] = {"s <= t", "s < t", "s <= t-1", "s in t-2:t+1", "s <= t"},
                             *const all[] = {"s >= t", "s > t", "s", "s in t-1:t+3", "s != t"};
    const char *range =
        draft->past_only || gen_chance(gen, 60) ? past[gen_below(gen, 5)] : all[gen_below(gen, 4)];
    int64_t n = gen_size(gen), k = gen_size(gen);
    draft_second(draft);
    switch (gen_below(gen, 4)) {
    case 0: { /* attention */
        const Readable *q =
            draft_equation(draft, "t", gen_float(gen_vector(k)),
                           gen_fit(draft, gen_expr(draft, "t", gen_vector(k), 2), -1, 1));
        const char *query = q->name;
        Piece v = gen_pick(draft, "s", gen_float(gen_vector(n)));
        if (!v.text) v = gen_depend(draft, gen_expr(draft, "s", gen_vector(n), 1), 's');
        const char *a = draft_name(draft, "a");
        draft_add(draft, "%s[t,s] = softmax[%s](dot(%s[t], %s[s]))", a, range, query, query);
        draft_equation(draft, "t", gen_float(gen_vector(n)),
                       (Piece){arena_printf(gen->arena, "sum[%s](%s[t,s] * %s)", range, a, v.text),
                               v.low, v.high});
        break;
    }
    case 1: { /* a sum over one's own past */
        Piece x = gen_fit(draft, gen_expr(draft, "t", gen_vector(n), 1), -1, 1);
        int h = draft_state(draft, "t", gen_float(gen_vector(n)), -1, 1, -1, NULL);
        const char *name = draft->values.at[h].name;
        static const char *const own[] = {"s < t", "s in t-3:t", "s <= t-2"};
        draft_close(draft, h,
                    (Piece){arena_printf(gen->arena, "tanh(%s + 0.2 * %s[%s](%s[s]) + %s[t-1])",
                                         x.text, gen_chance(gen, 50) ? "sum" : "mean",
                                         own[gen_below(gen, 3)], name, name),
                            -1, 1},
                    0);
        draft_settle(draft);
        break;
    }
    default:
        for (int i = 0; i < 2; i++) {
            Shape shape = gen_shape(gen);
            Piece e = gen_over_time(draft, "t", shape, 3);
            if (e.text) draft_equation(draft, "t", gen_float(shape), e);
        }
    }
}

void policy_window(Draft *draft) {
    static const char *const names[] = {"sum", "mean", "max", "min", "logsumexp"};
    Gen *gen = draft->gen;
    draft_second(draft);
    for (int i = 1 + gen_below(gen, 2); i > 0; i--) {
        Shape shape = gen_shape(gen);
        int kind = gen_below(gen, 5), low = gen_below(gen, 5),
            high = gen_below(gen, draft->past_only ? 2 : 4);
        Piece e = gen_pick(draft, "s", gen_float(shape));
        if (!e.text) e = gen_expr(draft, "s", shape, 2);
        e = gen_depend(draft, e, 's');
        e = gen_fit(draft, e, -2, 2);
        Piece w = {
            arena_printf(gen->arena, "%s[s in t-%d:t+%d](%s)", names[kind], low, high, e.text),
            kind == 0                ? -20
            : kind == 2 || kind == 4 ? -INFINITY
                                     : fmin(e.low, 0),
            kind == 0   ? 20
            : kind == 3 ? INFINITY
                        : fmax(e.high, 0) + 3 * (kind == 4)};
        if (low > gen->lag) gen->lag = low;
        draft_equation(draft, "t", gen_float(shape), gen_fit(draft, w, -8, 8));
    }
}

void policy_totals(Draft *draft) {
    Gen *gen = draft->gen;
    for (int i = 1 + gen_below(gen, 2); i > 0; i--) {
        Shape shape = gen_shape(gen);
        Piece e = gen_over_time(draft, "", shape, 3);
        if (!e.text) continue;
        draft_equation(draft, "", gen_float(shape), e);
        if (gen_chance(gen, 30) && !draft->past_only) {
            e = gen_expr(draft, "t", shape, 2);
            draft_equation(draft, "t", gen_float(shape), e);
        }
    }
    if (gen_chance(gen, 25) && !draft->past_only) {
        Piece e = gen_depend(draft, gen_expr(draft, "t", gen_scalar, 2), 't');
        e = gen_fit(draft, e, -4, 4);
        draft_equation(draft, "t", gen_float(gen_scalar),
                       (Piece){arena_printf(gen->arena, "softmax[t](%s)", e.text), 0, 1});
    }
}

/* A second axis, with attention over the first or a recurrence that reads it. */
void policy_axes(Draft *draft) {
    Gen *gen = draft->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    gen->axes = 2;
    draft->has_u = true;
    const Readable *y =
        draft_input(draft, "u", gen_float(gen_vector(k)), gen_chance(gen, 50) ? "0" : NULL);
    const char *yn = y->name;
    Piece m = gen_pick(draft, "t", gen_float(gen_vector(n)));
    if (!m.text)
        m = gen_read(draft,
                     draft_equation(draft, "t", gen_float(gen_vector(n)),
                                    gen_product(draft, gen_vector(n),
                                                gen_expr(draft, "t", gen_vector(k), 1), k)),
                     "t");
    m = gen_fit(draft, gen_depend(draft, m, 't'), -2, 2);
    int d = draft_state(draft, "u", gen_float(gen_vector(n)), -1, 1, -1, NULL);
    const char *dn = draft->values.at[d].name, *a = draft_name(draft, "a"),
               *c = draft_name(draft, "c");
    bool loop = gen_chance(gen, 60);
    Piece in =
        gen_product(draft, gen_vector(n), (Piece){arena_printf(gen->arena, "%s[u]", yn), -1, 1}, k);
    const Readable *own = draft_param(draft, gen_matrix(n, n));
    const char *uo = own->name;
    draft_add(draft, "%s[u,t] = softmax[t](dot(%s[u%s], %s))", a, dn, loop ? "-1" : "", m.text);
    draft_add(draft, "%s[u] = sum[t](%s[u,t] * %s)", c, a, m.text);
    draft_close(draft, d,
                (Piece){loop ? arena_printf(gen->arena, "tanh(%s + %s @ %s[u-1] + %s[u])", in.text,
                                            uo, dn, c)
                             : arena_printf(gen->arena, "tanh(%s + %s @ %s[u-1])", in.text, uo, dn),
                        -1, 1},
                0);
    draft_settle(draft);
    vec_push(gen->arena, &draft->values,
             (Readable){.name = c,
                        .family = "",
                        .indices = "u",
                        .type = gen_float(gen_vector(n)),
                        .low = -2,
                        .high = 2});
    if (gen_chance(gen, 50)) {
        Shape shape = gen_shape(gen);
        draft_equation(draft, "u", gen_float(shape), gen_expr(draft, "u", shape, 3));
    }
    if (gen_chance(gen, 30)) {
        Shape shape = gen_vector(gen->sizes[0] > 9 ? 3 : gen->sizes[0]);
        draft_equation(draft, "tu", gen_float(shape), gen_expr(draft, "tu", shape, 2));
    }
}

void policy_slower(Draft *draft) {
    Gen *gen = draft->gen;
    int every = 1 + gen_below(gen, 4);
    int64_t n = gen_size(gen);
    const char *v = "v";
    if (strstr(text_string(&draft->head), "time v")) return;
    draft_line(draft, &draft->head, "time v in t every %d", every);
    Piece x = gen_fit(draft, gen_expr(draft, "t", gen_vector(n), 2), -1, 1);
    int h = draft_state(draft, "t", gen_float(gen_vector(n)), -1, 1, -1, NULL);
    const char *hn = draft->values.at[h].name;
    draft_close(draft, h,
                (Piece){gen_chance(gen, 50)
                            ? x.text
                            : arena_printf(gen->arena, "0.5 * %s + 0.5 * %s[t-1]", x.text, hn),
                        -1, 1},
                0);
    draft_settle(draft);
    int y = draft_state(draft, v, gen_float(gen_vector(n)), -1, 1, -1, NULL);
    const char *yn = draft->values.at[y].name, *w = draft_param(draft, gen_matrix(n, n))->name;
    draft_close(
        draft, y,
        (Piece){arena_printf(gen->arena, "tanh(%s @ %s[%d*v] + %s[%d*v+%d] + 0.5 * %s[v-1])", w, hn,
                             every, hn, every, gen_below(gen, every + 1), yn),
                -1, 1},
        0);
    draft_settle(draft);
    if (gen_chance(gen, 50)) {
        Piece in[] = {{arena_printf(gen->arena, "%s[t/%d]", yn, every), -1, 1},
                      gen_expr(draft, "t", gen_vector(n), 1)};
        draft_equation(draft, "t", gen_float(gen_vector(n)),
                       gen_op(draft, OP_ADD, 2, in, gen_vector(n)));
    }
}

void policy_whole(Draft *draft) {
    Gen *gen = draft->gen;
    Type token = {.dtype = DT_INT, .bound = 5}, flag = {.dtype = DT_BOOL};
    const char *w = draft_input(draft, "t", token, gen_chance(gen, 50) ? "2" : NULL)->name;
    if (gen_chance(gen, 50)) draft_input(draft, "t", flag, NULL);
    Shape shape = gen_vector(gen_size(gen));
    const char *table = draft_param(draft, gen_matrix(5, shape.dim[0]))->name;
    if (gen_chance(gen, 70))
        draft_equation(draft, "t", gen_float(shape),
                       (Piece){arena_printf(gen->arena, "%s[%s[t]]", table, w), -1.5, 1.5});
    if (gen_chance(gen, 40))
        draft_equation(draft, "t", flag, gen_condition(draft, "t", gen_scalar, 2));
    if (gen_chance(gen, 40)) {
        Piece z = gen_expr(draft, "t", gen_vector(5), 2);
        draft_equation(draft, "t", token,
                       (Piece){arena_printf(gen->arena, "argmax(%s)", z.text), 0, 4});
    }
    if (gen_chance(gen, 30)) {
        Piece f = {arena_printf(gen->arena, "(0.25 * float(%s[t]))", w), 0, 1};
        Piece in[] = {f, gen_expr(draft, "t", gen_scalar, 1)};
        draft_equation(draft, "t", gen_float(gen_scalar), gen_op(draft, OP_MUL, 2, in, gen_scalar));
    }
    if (gen_chance(gen, 30)) {
        const char *p = draft_param(draft, gen_matrix(3, shape.dim[0]))->name;
        draft_equation(draft, "t", gen_float(shape),
                       (Piece){arena_printf(gen->arena, "%s[t %% 3]", p), -1.5, 1.5});
    }
    Shape other = gen_shape(gen);
    draft_equation(draft, "t", gen_float(other), gen_expr(draft, "t", other, 3));
}

void policy_limits(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_vector(gen_size(gen));
    if (gen_chance(gen, 50)) {
        if (strstr(text_string(&draft->head), "time t ")) return;
        draft_line(draft, &draft->head, "time t <= %d", 37);
        const char *p = draft_param(draft, gen_matrix(37, shape.dim[0]))->name;
        draft_equation(draft, "t", gen_float(shape),
                       (Piece){arena_printf(gen->arena, "%s[t]", p), -1.5, 1.5});
        return;
    }
    if (strstr(text_string(&draft->head), "time k ")) return;
    int64_t n = 2 + gen_below(gen, 3);
    draft_line(draft, &draft->head, "time k = %lld", (long long)n);
    const char *table = draft_param(draft, gen_matrix(n, shape.dim[0]))->name;
    int h = draft_state(draft, "k", gen_float(shape), -1, 1, -1, NULL);
    const char *name = draft->values.at[h].name;
    draft_close(
        draft, h,
        (Piece){arena_printf(gen->arena, "tanh(%s[k] + 0.5 * %s[k-1])", table, name), -1, 1}, 0);
    draft_settle(draft);
    draft_equation(draft, "", gen_float(gen_vector(n * shape.dim[0])),
                   (Piece){arena_printf(gen->arena, "concat[k](%s[k])", name), -1, 1});
    Piece in[] = {{arena_printf(gen->arena, "%s[last]", name), -1, 1},
                  gen_expr(draft, "t", shape, 1)};
    draft_equation(draft, "t", gen_float(shape), gen_op(draft, OP_ADD, 2, in, shape));
}

void policy_absent(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_shape(gen);
    draft_input(draft, "", gen_float(shape), gen_chance(gen, 60) ? gen_number(draft).text : NULL);
    Piece e = gen_expr(draft, "", shape, 2);
    draft_equation(draft, "", gen_float(shape), e);
    draft_equation(draft, "t", gen_float(shape), gen_expr(draft, "t", shape, 2));
}

/* Equations that no output reads, and a loss, which this mode drops. */
void policy_dead(Draft *draft) {
    Gen *gen = draft->gen;
    int values = draft->values.count;
    for (int i = 1 + gen_below(gen, 2); i > 0; i--) {
        Shape shape = gen_shape(gen);
        draft_equation(draft, "t", gen_float(shape), gen_expr(draft, "t", shape, 2));
    }
    if (draft->main && !draft->streams && gen_chance(gen, 60)) {
        Piece e = gen_fit(draft, gen_expr(draft, "t", gen_scalar, 2), -8, 8);
        e = gen_depend(draft, e, 't');
        draft_add(draft, "loss %s[t](square(%s))%s", gen_chance(gen, 50) ? "mean" : "sum", e.text,
                  gen_chance(gen, 30) ? " per len(t)" : "");
    }
    for (int i = values; i < draft->values.count; i++) draft->values.at[i].dead = true;
}

void policy_wide(Draft *draft) {
    Gen *gen = draft->gen;
    int64_t n = gen_chance(gen, 50) ? 33 : 40, k = gen_chance(gen, 50) ? 31 : 70;
    if (gen->options->small) n = k = 3;
    Piece x = gen_fit(
        draft, gen_product(draft, gen_vector(k), gen_expr(draft, "t", gen_vector(3), 0), 3), -1, 1);
    int h = draft_state(draft, "t", gen_float(gen_vector(n)), -1, 1, -1, NULL);
    Piece old = gen_read(draft, &draft->values.at[h], "t");
    Piece a = gen_product(draft, gen_vector(n), x, k),
          b = gen_product(draft, gen_vector(n), old, n);
    draft_close(draft, h, (Piece){arena_printf(gen->arena, "tanh(%s + %s)", a.text, b.text), -1, 1},
                0);
    draft_settle(draft);
}
