/* Policies that use models in models, families, the prelude, axes that end themselves; and those
 * whose operations are not compiled yet. */
#include "body.h"

#include <math.h>
#include <string.h>

/* A model of its own with a vector at t as input; its outputs' names and types are `values` of the
 * result that are marked by `ports`. */
typedef struct Sub {
    Body *body;
    int64_t in;
    Readable outputs[2];
    int count;
} Sub;

static Sub sub_model(Gen *gen, bool carried) {
    static void (*const policies[])(Body *) = {policy_plain,  policy_linear, policy_gated,
                                               policy_system, policy_shared, policy_fan,
                                               policy_clock,  policy_joined, policy_window};
    Sub sub = {.in = gen_size(gen)};
    Body *body = body_new(gen, arena_printf(gen->arena, "Sub%d", gen->model_count++), false);
    sub.body = body;
    body->streams = carried;
    if (carried) body->past_only = true;
    body_input(body, "t", gen_float(gen_vector(sub.in)), gen_chance(gen, 50) ? "0" : NULL);
    for (int i = 1 + gen_below(gen, 2); i > 0; i--) policies[gen_below(gen, carried ? 8 : 9)](body);
    for (int i = body->values.count - 1; i >= 0 && sub.count < 2; i--) {
        const Readable *v = &body->values.at[i];
        if (strcmp(v->indices, "t") != 0 || v->type.dtype != DT_FLOAT || v->name[0] == 'x' ||
            v->low < -100 || v->high > 100)
            continue;
        sub.outputs[sub.count++] = *v;
        body_output(body, v);
        if (gen_chance(gen, 60)) break;
    }
    text_puts(&gen->models, body_text(body));
    return sub;
}

/* A stream of this vector that an application takes. */
static Piece argument(Body *body, int64_t n) {
    return gen_depend(body, gen_fit(body, gen_expr(body, "t", gen_vector(n), 1), -1, 1), 't');
}

static void apply(Body *body, const Sub *sub, const char *instance) {
    Gen *gen = body->gen;
    Piece x = argument(body, sub->in);
    if (sub->count > 1 && gen_chance(gen, 50)) {
        const char *a = body_name(body, "e"), *b = body_name(body, "e");
        body_add(body, "%s[t], %s[t] = %s(%s)", a, b, instance, x.text);
        for (int i = 0; i < 2; i++) {
            Readable v = sub->outputs[i];
            v.name = i ? b : a;
            v.boundary = false;
            vec_push(gen->arena, &body->values, v);
        }
        return;
    }
    const Readable *v = &sub->outputs[0];
    body_equation(body, "t", v->type,
                  (Piece){arena_printf(gen->arena, "%s(%s)", instance, x.text), v->low, v->high});
}

void policy_instance(Body *body) {
    Gen *gen = body->gen;
    int kind = gen_below(gen, 5); /* 0: reversed, 1: carried, 2: both ways, else plain */
    if (!body->main || (body->past_only && (kind == 0 || kind == 2))) kind = 3;
    Sub sub = sub_model(gen, kind == 1);
    if (!sub.count) return;
    const char *f = body_name(body, "f");
    body_line(body, &body->head, "use %s = %s%s", f,
              kind == 0   ? "reverse "
              : kind == 1 ? "carry "
                          : "",
              sub.body->name);
    apply(body, &sub, f);
    if (kind == 2) {
        const char *g = body_name(body, "f");
        body_line(body, &body->head, "use %s = reverse %s", g, sub.body->name);
        apply(body, &sub, g);
    } else if (gen_chance(gen, 30)) {
        apply(body, &sub, f); /* shares the parameters, has a state of its own */
    }
}

void policy_family(Body *body) {
    Gen *gen = body->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    int count = 2 + gen_below(gen, 2);
    Piece x = gen_pick(body, "t", gen_float(gen_vector(k)));
    if (!x.text) x = gen_expr(body, "t", gen_vector(k), 1);
    const char *h = body_name(body, "h"), *w = body_name(body, "p"), *u = body_name(body, "p"),
               *y = body_name(body, "e");
    x = gen_depend(body, gen_fit(body, x, -1, 1), 't');
    if (gen_chance(gen, 50)) { /* side by side, perhaps with clocks */
        bool clock = gen_chance(gen, 50);
        body_add(
            body,
            "for g in 0:%d {\n"
            "        param %s[g]: [%lld, %lld] ~ glorot\n"
            "        state %s[g,t]: [%lld] = 0\n"
            "        for j in g:%d { param %s[g,j]: [%lld, %lld] ~ orthogonal }\n"
            "        %s[g,t] = tanh(%s[g] @ %s + sum[j in g:%d](%s[g,j] @ %s[j,t-1]))%s\n    }",
            count, w, (long long)n, (long long)k, h, (long long)n, count, u, (long long)n,
            (long long)n, h, w, x.text, count, u, h, clock ? " every 2^g" : "");
        body_add(body, "%s[t] = concat[g in 0:%d](%s[g,t])", y, count, h);
        n *= count;
    } else { /* on top of each other */
        static const char *const cells[] = {"Elman", "GRU", "MinGRU", "LSTM", "IndRNN"};
        bool first = gen_chance(gen, 50);
        const char *cell = cells[gen_below(gen, 5)], *f = body_name(body, "f");
        body_add(body, "%s[0,t] = %s", h, x.text);
        body_add(body,
                 "for l in 0:%d {\n"
                 "        use %s[l] = %s%s[%lld]\n"
                 "        %s[l+1,t] = %s%s[l](%s[l,t])\n    }",
                 count, f, !first && !body->past_only ? "reverse " : "", cell, (long long)n, h,
                 gen_chance(gen, 30) ? "0.5 * " : "", f, h);
        body_add(body, "%s[t] = %s[%d,t]", y, h, count);
    }
    vec_push(gen->arena, &body->values,
             (Readable){.name = y,
                        .family = "",
                        .indices = "t",
                        .type = gen_float(gen_vector(n)),
                        .low = -1,
                        .high = 1});
}

/* A cell of the prelude with its bracket; {size}: what its first output has. */
static const char *prelude_cell(Gen *gen, int64_t n, double *high) {
    static const char *const cells[] = {"Elman", "DelayedRNN",         "LSTM",   "PeepholeLSTM",
                                        "CIFG",  "FullPeepholeLSTM",   "GRU",    "GRUAfter",
                                        "QRNN",  "MultiplicativeLSTM", "MinGRU", "MinLSTM",
                                        "IndRNN"};
    *high = 8;
    if (gen_chance(gen, 10)) return arena_printf(gen->arena, "CIFGP[3, %lld]", (long long)n);
    if (gen_chance(gen, 10)) return arena_printf(gen->arena, "LSTMP[3, %lld]", (long long)n);
    if (gen_chance(gen, 10)) return arena_printf(gen->arena, "SCRN[%lld, 2]", (long long)n);
    return arena_printf(gen->arena, "%s[%lld]", cells[gen_below(gen, 13)], (long long)n);
}

void policy_prelude(Body *body) {
    Gen *gen = body->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    double high;
    const char *f = body_name(body, "f"), *cell = prelude_cell(gen, n, &high);
    bool reverse = !body->past_only && gen_chance(gen, 25);
    Piece x = argument(body, k);
    if (gen_chance(gen, 15)) {
        cell = arena_printf(gen->arena, "Dense[%lld]", (long long)n);
        reverse = false;
    } else if (gen_chance(gen, 10)) {
        cell = "LayerNorm";
        n = k;
        reverse = false;
    }
    body_line(body, &body->head, "use %s = %s%s", f,
              reverse ? "reverse "
              : gen_chance(gen, 15) && strcmp(cell, "LayerNorm") && strncmp(cell, "Dense", 5)
                  ? "carry "
                  : "",
              cell);
    body_equation(body, "t", gen_float(gen_vector(n)),
                  (Piece){arena_printf(gen->arena, "%s(%s)", f, x.text), -high, high});
}

void policy_argument(Body *body) {
    static const char *const cells[] = {"Elman", "LSTM", "GRU", "MinGRU", "IndRNN"};
    Gen *gen = body->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    const char *f = body_name(body, "f"), *cell = cells[gen_below(gen, 5)];
    Piece x = argument(body, k);
    int64_t out = n;
    if (!body->past_only && gen_chance(gen, 50)) {
        body_line(body, &body->head, "use %s = Bi[%s, %lld]", f, cell, (long long)n);
        out = 2 * n;
    } else {
        const char *name = arena_printf(gen->arena, "With%d", gen->model_count++);
        text_printf(
            &gen->models,
            "model %s[Cell, H, K = 2](x[t]: [I]) -> y[t]: [H] {\n    use a = Cell[H]\n"
            "    use b = Cell[H]\n    param W: [H, I] ~ glorot\n    y[t] = tanh(b(a(x[t])) + "
            "W @ x[t] / K)\n}\n",
            name);
        body_line(body, &body->head, "use %s = %s[%s, %lld]", f, name, cell, (long long)n);
    }
    body_equation(body, "t", gen_float(gen_vector(out)),
                  (Piece){arena_printf(gen->arena, "%s(%s)", f, x.text), -8, 8});
}

/* An axis of infer mode alone, which ends by itself. */
void policy_ending(Body *body) {
    Gen *gen = body->gen;
    int64_t n = gen_size(gen);
    if (!body->main || body->has_u) return;
    body->has_u = true;
    gen->axes = 2;
    const char *y = body_name(body, "w"), *s = body_name(body, "h"), *z = body_name(body, "e");
    const char *e = body_param(body, gen_matrix(5, n))->name,
               *u = body_param(body, gen_matrix(n, n))->name,
               *v = body_param(body, gen_matrix(5, n))->name,
               *b = body_param(body, gen_vector(n))->name;
    text_printf(&body->inputs, ", tgt[u]: int(5)");
    body_line(body, &body->head, "state %s[u]: int(5) = 1", y);
    body_line(body, &body->head, "state %s[u]: [%lld] = %s", s, (long long)n, b);
    body_add(body, "%s[u] = tanh(%s[%s[u-1]] + %s @ %s[u-1])", s, e, y, u, s);
    body_add(body, "%s[u] = %s @ %s[u]", z, v, s);
    body_add(body, "%s[u] = if generating then argmax(%s[u]) else tgt[u]", y, z);
    if (gen_chance(gen, 70)) body_add(body, "stop u when %s[u] == %d", y, gen_below(gen, 5));
    vec_push(gen->arena, &body->values,
             (Readable){.name = s,
                        .family = "",
                        .indices = "u",
                        .type = gen_float(gen_vector(n)),
                        .low = -1,
                        .high = 1,
                        .boundary = true});
    vec_push(gen->arena, &body->values,
             (Readable){.name = y,
                        .family = "",
                        .indices = "u",
                        .type = {.dtype = DT_INT, .bound = 5},
                        .low = 0,
                        .high = 4,
                        .boundary = true});
    if (gen_chance(gen, 50)) {
        Shape shape = gen_shape(gen);
        body_equation(body, "u", gen_float(shape), gen_expr(body, "u", shape, 2));
    }
}

/* ---- not compiled yet ---- */

void policy_pointer(Body *body) {
    Gen *gen = body->gen;
    Shape shape = gen_vector(gen_size(gen));
    const char *p = body_name(body, "l");
    gen->may_refuse = true;
    if (gen_chance(gen, 40)) { /* the place of the largest */
        Piece x = gen_pick(body, "t", gen_float(shape));
        Piece e = gen_fit(body, gen_expr(body, "t", gen_scalar, 1), -2, 2);
        if (body->past_only) return;
        const char *v =
            body_equation(body, "t", gen_float(shape), x.text ? x : gen_expr(body, "t", shape, 1))
                ->name;
        body_add(body, "%s = argmax[t](%s + 0.1 * float(t))", p, e.text);
        body_equation(body, "", gen_float(shape),
                      (Piece){arena_printf(gen->arena, "%s[%s]", v, p), -8, 8});
        return;
    }
    text_printf(&body->inputs, ", %s[t]: past(t)", p);
    Piece x = gen_fit(body, gen_expr(body, "t", shape, 1), -1, 1);
    const char *u = body_param(body, gen_matrix(shape.dim[0], shape.dim[0]))->name;
    int h = body_state(body, "t", gen_float(shape), -1, 1, -1, NULL);
    const char *name = body->values.at[h].name;
    body_close(
        body, h,
        (Piece){arena_printf(gen->arena, "tanh(%s + %s @ %s[%s[t]])", x.text, u, name, p), -1, 1},
        0);
    body_settle(body);
}

void policy_image(Body *body) {
    Gen *gen = body->gen;
    const char *x = body_name(body, "x");
    gen->may_refuse = true;
    text_printf(&body->inputs, ", %s[t]: [2, 3, 4]", x);
    body_line(body, &body->head, "param K%s: [2, 2, 3, 3] ~ glorot", x);
    const char *y = body_name(body, "e");
    body_add(body, "%s[t] = tanh(conv(K%s, %s[t]))", y, x, x);
    body_equation(body, "t", gen_float(gen_vector(4)),
                  (Piece){arena_printf(gen->arena, "reshape[4](%s[1, 2](%s[t][:, 0:1]))",
                                       gen_chance(gen, 50) ? "maxpool" : "avgpool", y),
                          -1, 1});
}

void policy_draw(Body *body) {
    Gen *gen = body->gen;
    Shape shape = gen_vector(gen_size(gen));
    const char *d = body_name(body, "d");
    gen->may_refuse = true;
    body_add(body, "%s[t]: %s ~ %s", d, gen_shape_text(gen, shape),
             gen_chance(gen, 50) ? "normal(1)" : "uniform(-1, 1)");
    Piece in[] = {{arena_printf(gen->arena, "%s[t]", d), -6, 6}, gen_expr(body, "t", shape, 1)};
    body_equation(body, "t", gen_float(shape), gen_op(body, OP_ADD, 2, in, shape));
}
