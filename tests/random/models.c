/* Policies that use models in models, families, the prelude, axes that end themselves; and those
 * whose operations are not compiled yet. */
#include "draft.h"

#include <math.h>
#include <string.h>

/* A model of its own with a vector at t as input; its outputs' names and types are `values` of the
 * result that are marked by `ports`. */
typedef struct Sub {
    Draft *draft;
    int64_t in;
    Readable outputs[2];
    int count;
} Sub;

static Sub sub_model(Gen *gen, bool carried) {
    static void (*const policies[])(Draft *) = {policy_plain,  policy_linear, policy_gated,
                                                policy_system, policy_shared, policy_fan,
                                                policy_clock,  policy_joined, policy_window};
    Sub sub = {.in = gen_size(gen)};
    Draft *draft = draft_new(gen, arena_printf(gen->arena, "Sub%d", gen->model_count++), false);
    sub.draft = draft;
    draft->streams = carried;
    if (carried) draft->past_only = true;
    draft_input(draft, "t", gen_float(gen_vector(sub.in)), gen_chance(gen, 50) ? "0" : NULL);
    for (int i = 1 + gen_below(gen, 2); i > 0; i--)
        policies[gen_below(gen, carried ? 8 : 9)](draft);
    for (int i = draft->values.count - 1; i >= 0 && sub.count < 2; i--) {
        const Readable *v = &draft->values.at[i];
        if (strcmp(v->indices, "t") != 0 || v->type.dtype != DT_FLOAT || v->name[0] == 'x' ||
            v->low < -100 || v->high > 100)
            continue;
        sub.outputs[sub.count++] = *v;
        draft_output(draft, v);
        if (gen_chance(gen, 60)) break;
    }
    if (!sub.count) {
        Piece e = gen_fit(draft, gen_expr(draft, "t", gen_vector(sub.in), 1), -1, 1);
        sub.outputs[sub.count++] = *draft_equation(draft, "t", gen_float(gen_vector(sub.in)), e);
        draft_output(draft, &sub.outputs[0]);
    }
    text_puts(&gen->models, draft_text(draft));
    return sub;
}

/* A stream of this vector that an application takes. */
static Piece argument(Draft *draft, int64_t n) {
    return gen_depend(draft, gen_fit(draft, gen_expr(draft, "t", gen_vector(n), 1), -1, 1), 't');
}

static void apply(Draft *draft, const Sub *sub, const char *instance) {
    Gen *gen = draft->gen;
    Piece x = argument(draft, sub->in);
    if (sub->count > 1 && gen_chance(gen, 50)) {
        const char *a = draft_name(draft, "e"), *b = draft_name(draft, "e");
        draft_add(draft, "%s[t], %s[t] = %s(%s)", a, b, instance, x.text);
        for (int i = 0; i < 2; i++) {
            Readable v = sub->outputs[i];
            v.name = i ? b : a;
            v.boundary = false;
            vec_push(gen->arena, &draft->values, v);
        }
        return;
    }
    const Readable *v = &sub->outputs[0];
    draft_equation(draft, "t", v->type,
                   (Piece){arena_printf(gen->arena, "%s(%s)", instance, x.text), v->low, v->high});
}

void policy_instance(Draft *draft) {
    Gen *gen = draft->gen;
    int kind = gen_below(gen, 5); /* 0: reversed, 1: carried, 2: both ways, else plain */
    if (!draft->main || (draft->past_only && (kind == 0 || kind == 2))) kind = 3;
    Sub sub = sub_model(gen, kind == 1);
    const char *f = draft_name(draft, "f");
    draft_line(draft, &draft->head, "use %s = %s%s", f,
               kind == 0   ? "reverse "
               : kind == 1 ? "carry "
                           : "",
               sub.draft->name);
    apply(draft, &sub, f);
    if (kind == 2) {
        const char *g = draft_name(draft, "f");
        draft_line(draft, &draft->head, "use %s = reverse %s", g, sub.draft->name);
        apply(draft, &sub, g);
    } else if (gen_chance(gen, 30)) {
        apply(draft, &sub, f); /* shares the parameters, has a state of its own */
    }
}

void policy_family(Draft *draft) {
    Gen *gen = draft->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    int count = 2 + gen_below(gen, 2);
    Piece x = gen_pick(draft, "t", gen_float(gen_vector(k)));
    if (!x.text) x = gen_expr(draft, "t", gen_vector(k), 1);
    const char *h = draft_name(draft, "h"), *w = draft_name(draft, "p"),
               *u = draft_name(draft, "p"), *y = draft_name(draft, "e");
    x = gen_depend(draft, gen_fit(draft, x, -1, 1), 't');
    if (gen_chance(gen, 50)) { /* side by side, perhaps with clocks */
        bool clock = gen_chance(gen, 50);
        draft_add(
            draft,
            "for g in 0:%d {\n"
            "        param %s[g]: [%lld, %lld] ~ glorot\n"
            "        state %s[g,t]: [%lld] = 0\n"
            "        for j in g:%d { param %s[g,j]: [%lld, %lld] ~ orthogonal }\n"
            "        %s[g,t] = tanh(%s[g] @ %s + sum[j in g:%d](%s[g,j] @ %s[j,t-1]))%s\n    }",
            count, w, (long long)n, (long long)k, h, (long long)n, count, u, (long long)n,
            (long long)n, h, w, x.text, count, u, h, clock ? " every 2^g" : "");
        draft_add(draft, "%s[t] = concat[g in 0:%d](%s[g,t])", y, count, h);
        n *= count;
    } else { /* on top of each other */
        static const char *const cells[] = {"Elman", "GRU", "MinGRU", "LSTM", "IndRNN"};
        bool first = gen_chance(gen, 50);
        const char *cell = cells[gen_below(gen, 5)], *f = draft_name(draft, "f");
        draft_add(draft, "%s[0,t] = %s", h, x.text);
        draft_add(draft,
                  "for l in 0:%d {\n"
                  "        use %s[l] = %s%s[%lld]\n"
                  "        %s[l+1,t] = %s%s[l](%s[l,t])\n    }",
                  count, f, !first && !draft->past_only ? "reverse " : "", cell, (long long)n, h,
                  gen_chance(gen, 30) ? "0.5 * " : "", f, h);
        draft_add(draft, "%s[t] = %s[%d,t]", y, h, count);
    }
    vec_push(gen->arena, &draft->values,
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

void policy_prelude(Draft *draft) {
    Gen *gen = draft->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    double high;
    const char *f = draft_name(draft, "f"), *cell = prelude_cell(gen, n, &high);
    bool reverse = !draft->past_only && gen_chance(gen, 25);
    Piece x = argument(draft, k);
    if (gen_chance(gen, 15)) {
        cell = arena_printf(gen->arena, "Dense[%lld]", (long long)n);
        reverse = false;
    } else if (gen_chance(gen, 10)) {
        cell = "LayerNorm";
        n = k;
        reverse = false;
    }
    draft_line(draft, &draft->head, "use %s = %s%s", f,
               reverse ? "reverse "
               : gen_chance(gen, 15) && strcmp(cell, "LayerNorm") && strncmp(cell, "Dense", 5)
                   ? "carry "
                   : "",
               cell);
    draft_equation(draft, "t", gen_float(gen_vector(n)),
                   (Piece){arena_printf(gen->arena, "%s(%s)", f, x.text), -high, high});
}

void policy_argument(Draft *draft) {
    static const char *const cells[] = {"Elman", "LSTM", "GRU", "MinGRU", "IndRNN"};
    Gen *gen = draft->gen;
    int64_t n = gen_size(gen), k = gen_size(gen);
    const char *f = draft_name(draft, "f"), *cell = cells[gen_below(gen, 5)];
    Piece x = argument(draft, k);
    int64_t out = n;
    if (!draft->past_only && gen_chance(gen, 50)) {
        draft_line(draft, &draft->head, "use %s = Bi[%s, %lld]", f, cell, (long long)n);
        out = 2 * n;
    } else {
        const char *name = arena_printf(gen->arena, "With%d", gen->model_count++);
        text_printf(
            &gen->models,
            "model %s[Cell, H, K = 2](x[t]: [I]) -> y[t]: [H] {\n    use a = Cell[H]\n"
            "    use b = Cell[H]\n    param W: [H, I] ~ glorot\n    y[t] = tanh(b(a(x[t])) + "
            "W @ x[t] / K)\n}\n",
            name);
        draft_line(draft, &draft->head, "use %s = %s[%s, %lld]", f, name, cell, (long long)n);
    }
    draft_equation(draft, "t", gen_float(gen_vector(out)),
                   (Piece){arena_printf(gen->arena, "%s(%s)", f, x.text), -8, 8});
}

/* An axis of infer mode alone, which ends by itself. */
void policy_ending(Draft *draft) {
    Gen *gen = draft->gen;
    int64_t n = gen_size(gen);
    if (!draft->main || draft->has_u) return;
    draft->has_u = true;
    gen->axes = 2;
    const char *y = draft_name(draft, "w"), *s = draft_name(draft, "h"),
               *z = draft_name(draft, "e");
    const char *e = draft_param(draft, gen_matrix(5, n))->name,
               *u = draft_param(draft, gen_matrix(n, n))->name,
               *v = draft_param(draft, gen_matrix(5, n))->name,
               *b = draft_param(draft, gen_vector(n))->name;
    text_printf(&draft->inputs, ", tgt[u]: int(5)");
    draft_line(draft, &draft->head, "state %s[u]: int(5) = 1", y);
    draft_line(draft, &draft->head, "state %s[u]: [%lld] = %s", s, (long long)n, b);
    draft_add(draft, "%s[u] = tanh(%s[%s[u-1]] + %s @ %s[u-1])", s, e, y, u, s);
    draft_add(draft, "%s[u] = %s @ %s[u]", z, v, s);
    draft_add(draft, "%s[u] = if generating then argmax(%s[u]) else tgt[u]", y, z);
    if (gen_chance(gen, 70)) draft_add(draft, "stop u when %s[u] == %d", y, gen_below(gen, 5));
    vec_push(gen->arena, &draft->values,
             (Readable){.name = s,
                        .family = "",
                        .indices = "u",
                        .type = gen_float(gen_vector(n)),
                        .low = -1,
                        .high = 1,
                        .boundary = true});
    vec_push(gen->arena, &draft->values,
             (Readable){.name = y,
                        .family = "",
                        .indices = "u",
                        .type = {.dtype = DT_INT, .bound = 5},
                        .low = 0,
                        .high = 4,
                        .boundary = true});
    if (gen_chance(gen, 50)) {
        Shape shape = gen_shape(gen);
        draft_equation(draft, "u", gen_float(shape), gen_expr(draft, "u", shape, 2));
    }
}

/* ---- pointers, images, draws ---- */

void policy_pointer(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_vector(gen_size(gen));
    const char *p = draft_name(draft, "l");
    if (gen_chance(gen, 40)) { /* the place of the largest */
        Piece x = gen_pick(draft, "t", gen_float(shape));
        Piece e = gen_fit(draft, gen_expr(draft, "t", gen_scalar, 1), -2, 2);
        if (draft->past_only) return;
        const char *v = draft_equation(draft, "t", gen_float(shape),
                                       x.text ? x : gen_expr(draft, "t", shape, 1))
                            ->name;
        draft_add(draft, "%s = argmax[t](%s + 0.1 * float(t))", p, e.text);
        draft_equation(draft, "", gen_float(shape),
                       (Piece){arena_printf(gen->arena, "%s[%s]", v, p), -8, 8});
        return;
    }
    text_printf(&draft->inputs, ", %s[t]: past(t)", p);
    Piece x = gen_fit(draft, gen_expr(draft, "t", shape, 1), -1, 1);
    const char *u = draft_param(draft, gen_matrix(shape.dim[0], shape.dim[0]))->name;
    int h = draft_state(draft, "t", gen_float(shape), -1, 1, -1, NULL);
    const char *name = draft->values.at[h].name;
    draft_close(
        draft, h,
        (Piece){arena_printf(gen->arena, "tanh(%s + %s @ %s[%s[t]])", x.text, u, name, p), -1, 1},
        0);
    draft_settle(draft);
}

void policy_image(Draft *draft) {
    Gen *gen = draft->gen;
    const char *x = draft_name(draft, "x");
    text_printf(&draft->inputs, ", %s[t]: [2, 3, 4]", x);
    draft_line(draft, &draft->head, "param K%s: [2, 2, 3, 3] ~ glorot", x);
    const char *y = draft_name(draft, "e");
    draft_add(draft, "%s[t] = tanh(conv(K%s, %s[t]))", y, x, x);
    draft_equation(draft, "t", gen_float(gen_vector(4)),
                   (Piece){arena_printf(gen->arena, "reshape[4](%s[1, 2](%s[t][:, 0:1]))",
                                        gen_chance(gen, 50) ? "maxpool" : "avgpool", y),
                           -1, 1});
}

void policy_draw(Draft *draft) {
    Gen *gen = draft->gen;
    Shape shape = gen_vector(gen_size(gen));
    const char *d = draft_name(draft, "d"), *at = gen_chance(gen, 75) ? "[t]" : "";
    const char *number = arena_printf(gen->arena, "%s%s", d, at);
    switch (gen_below(gen, 4)) {
    case 0: draft_add(draft, "%s%s: %s ~ normal(1)", d, at, gen_shape_text(gen, shape)); break;
    case 1: draft_add(draft, "%s%s: %s ~ uniform(-1, 1)", d, at, gen_shape_text(gen, shape)); break;
    case 2:
        draft_add(draft, "%s%s: %s ~ bernoulli(0.625)", d, at, gen_shape_text(gen, shape));
        number = arena_printf(gen->arena, "(if %s then 1 else -0.5)", number);
        break;
    default:
        draft_add(draft, "%s%s ~ categorical(iota[3] * 0.5)", d, at);
        number =
            arena_printf(gen->arena, "(float(%s) * ones[%lld])", number, (long long)shape.dim[0]);
        break;
    }
    Piece in[] = {{number, -6, 6}, gen_expr(draft, "t", shape, 1)};
    draft_equation(draft, "t", gen_float(shape), gen_op(draft, OP_ADD, 2, in, shape));
}
