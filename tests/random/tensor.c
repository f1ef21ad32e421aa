/* Expressions within one position that change shapes, and those over time. */
#include "draft.h"

#include <math.h>
#include <string.h>

static double most(Piece e) {
    return fmax(fabs(e.low), fabs(e.high));
}

/* The sum of n values of at most m each. */
static Piece sum_of(const char *text, double n, double m) {
    return (Piece){text, -n * m, n * m};
}

Piece gen_product(Draft *draft, Shape shape, Piece operand, int64_t k) {
    Gen *gen = draft->gen;
    int64_t n = shape.dim[0];
    operand = gen_fit(draft, operand, 2 * op_info[OP_MATMUL].low, 2 * op_info[OP_MATMUL].high);
    bool left = gen_chance(gen, 80);
    const Readable *p = NULL;
    for (int i = 0; i < draft->values.count && gen_chance(gen, 15); i++) /* one that is there */
        if (!*draft->values.at[i].indices && !*draft->values.at[i].family &&
            shape_equal(draft->values.at[i].type.shape, left ? gen_matrix(n, k) : gen_matrix(k, n)))
            p = &draft->values.at[i];
    if (!p) p = draft_param(draft, left ? gen_matrix(n, k) : gen_matrix(k, n));
    double bound = (double)k * most(operand) * fmax(fabs(p->low), fabs(p->high));
    const char *text = left ? arena_printf(gen->arena, "%s @ %s", p->name, operand.text)
                            : arena_printf(gen->arena, "%s @ %s", operand.text, p->name);
    return (Piece){arena_printf(gen->arena, "(%s)", text), -bound, bound};
}

static Piece call(Draft *draft, const char *name, Piece in, double low, double high) {
    return (Piece){arena_printf(draft->gen->arena, "%s(%s)", name, in.text), low, high};
}

static Piece scalar_of(Draft *draft, const char *domain, int depth) {
    Gen *gen = draft->gen;
    int64_t n = gen_size(gen), m = gen_size(gen);
    Piece a = gen_expr(draft, domain, gen_vector(n), depth - 1);
    switch (gen_below(gen, 8)) {
    case 0: {
        Piece b = gen_expr(draft, domain, gen_vector(n), depth - 1);
        a = gen_fit(draft, a, -1, 1);
        b = gen_fit(draft, b, -1, 1);
        return sum_of(arena_printf(gen->arena, "dot(%s, %s)", a.text, b.text), (double)n, 1);
    }
    case 1: return sum_of(call(draft, "sum", a, 0, 0).text, (double)n, most(a));
    case 2: return call(draft, "mean", a, a.low, a.high);
    case 3: return call(draft, gen_chance(gen, 50) ? "max" : "min", a, a.low, a.high);
    case 4:
        a = gen_fit(draft, a, op_info[OP_LOGSUMEXP].low, op_info[OP_LOGSUMEXP].high);
        return call(draft, "logsumexp", a, a.low, a.high + 4);
    case 5:
        return (Piece){arena_printf(gen->arena, "(%s)[%d]", a.text, gen_below(gen, (int)n)), a.low,
                       a.high};
    case 6:
        if (m * n > 81) break;
        a = gen_expr(draft, domain, gen_matrix(m, n), depth - 1);
        return call(draft, "mean", a, a.low, a.high);
    default: break;
    }
    return call(draft, "mean", a, a.low, a.high);
}

static Piece parts(Draft *draft, const char *domain, int64_t n, int depth) {
    Gen *gen = draft->gen;
    Text out = text_new(gen->arena);
    Piece whole = {.low = INFINITY, .high = -INFINITY};
    text_puts(&out, "concat(");
    for (int64_t done = 0; done < n;) {
        int64_t part = 1 + gen_below(gen, (int)(n - done));
        Shape shape = part == 1 && gen_chance(gen, 50) ? gen_scalar : gen_vector(part);
        Piece e = gen_expr(draft, domain, shape, depth - 1);
        text_printf(&out, "%s%s", done ? ", " : "", e.text);
        whole.low = fmin(whole.low, e.low);
        whole.high = fmax(whole.high, e.high);
        done += part;
    }
    text_puts(&out, ")");
    whole.text = text_string(&out);
    return whole;
}

static Piece row_of(Draft *draft, Piece e, const char *name) {
    const OpInfo *row = &op_info[OP_SOFTMAX];
    e = gen_fit(draft, e, row->low, row->high);
    if (strcmp(name, "log_softmax") == 0) return call(draft, name, e, -12, 0);
    return call(draft, name, e, 0, 1);
}

static Piece vector_of(Draft *draft, const char *domain, int64_t n, int depth) {
    Gen *gen = draft->gen;
    int64_t k = gen_size(gen);
    Piece e;
    switch (gen_below(gen, 12)) {
    case 0:
    case 1:
    case 2:
        return gen_product(draft, gen_vector(n), gen_expr(draft, domain, gen_vector(k), depth - 1),
                           k);
    case 3: return parts(draft, domain, n, depth);
    case 4: /* some of more */
        e = gen_expr(draft, domain, gen_vector(n + k), depth - 1);
        k = gen_below(gen, (int)k + 1);
        return (Piece){
            arena_printf(gen->arena, "(%s)[%lld:%lld]", e.text, (long long)k, (long long)(n + k)),
            e.low, e.high};
    case 5: return row_of(draft, gen_expr(draft, domain, gen_vector(n), depth - 1), "softmax");
    case 6: return row_of(draft, gen_expr(draft, domain, gen_vector(n), depth - 1), "log_softmax");
    case 7:
        e = gen_expr(draft, domain, gen_vector(n), depth - 1);
        return call(draft, "layernorm", gen_fit(draft, e, -2, 2), -6, 6);
    case 8:
        if (n * k > 81) return (Piece){0};
        e = gen_expr(draft, domain, gen_matrix(k, n), depth - 1);
        return sum_of(arena_printf(gen->arena, "sum(%s, dim = 0)", e.text), (double)k, most(e));
    case 9:
        if (n * k > 81) return (Piece){0};
        e = gen_expr(draft, domain, gen_matrix(n, k), depth - 1);
        return (Piece){arena_printf(gen->arena, "%s(%s, dim = 1)",
                                    gen_chance(gen, 50) ? "mean" : "max", e.text),
                       e.low, e.high};
    case 10: /* a row or a column */
        if (n * k > 81) return (Piece){0};
        if (gen_chance(gen, 50)) {
            e = gen_expr(draft, domain, gen_matrix(k, n), depth - 1);
            return (Piece){arena_printf(gen->arena, "(%s)[%d]", e.text, gen_below(gen, (int)k)),
                           e.low, e.high};
        }
        e = gen_expr(draft, domain, gen_matrix(n, k), depth - 1);
        return (Piece){arena_printf(gen->arena, "(%s)[:, %d]", e.text, gen_below(gen, (int)k)),
                       e.low, e.high};
    default: /* one of a table */
        e = gen_pick(draft, domain, (Type){.dtype = DT_INT, .bound = 5});
        if (!e.text) return (Piece){0};
        if (gen_chance(gen, 20) && n == 5)
            return (Piece){arena_printf(gen->arena, "onehot[5](%s)", e.text), 0, 1};
        const Readable *table = draft_param(draft, gen_matrix(5, n));
        return (Piece){arena_printf(gen->arena, "%s[%s]", table->name, e.text), table->low,
                       table->high};
    }
}

static Piece matrix_of(Draft *draft, const char *domain, int64_t m, int64_t n, int depth) {
    Gen *gen = draft->gen;
    Piece a, b;
    switch (gen_below(gen, 6)) {
    case 0:
        a = gen_fit(draft, gen_expr(draft, domain, gen_vector(m), depth - 1), -2, 2);
        b = gen_fit(draft, gen_expr(draft, domain, gen_vector(n), depth - 1), -2, 2);
        return (Piece){arena_printf(gen->arena, "outer(%s, %s)", a.text, b.text), -4, 4};
    case 1:
        a = gen_fit(draft, gen_expr(draft, domain, gen_vector(m), depth - 1), -2, 2);
        b = gen_fit(draft, gen_expr(draft, domain, gen_vector(n), depth - 1), -2, 2);
        return (Piece){arena_printf(gen->arena, "(col(%s) %c row(%s))", a.text,
                                    gen_chance(gen, 50) ? '+' : '*', b.text),
                       -4, 4};
    case 2:
        a = gen_expr(draft, domain, gen_matrix(n, m), depth - 1);
        return (Piece){arena_printf(gen->arena, "(%s).T", a.text), a.low, a.high};
    case 3:
        a = gen_expr(draft, domain, gen_vector(m * n), depth - 1);
        return (Piece){
            arena_printf(gen->arena, "reshape[%lld, %lld](%s)", (long long)m, (long long)n, a.text),
            a.low, a.high};
    case 4: {
        int64_t k = gen_size(gen);
        if (k * m > 81 || k * n > 81) return (Piece){0};
        a = gen_fit(draft, gen_expr(draft, domain, gen_matrix(m, k), depth - 1), -1, 1);
        b = gen_fit(draft, gen_expr(draft, domain, gen_matrix(k, n), depth - 1), -1, 1);
        return sum_of(arena_printf(gen->arena, "(%s @ %s)", a.text, b.text), (double)k, 1);
    }
    default: return row_of(draft, gen_expr(draft, domain, gen_matrix(m, n), depth - 1), "softmax");
    }
}

Piece gen_tensor(Draft *draft, const char *domain, Shape shape, int depth) {
    if (depth <= 0) return (Piece){0};
    switch (shape.rank) {
    case 0: return scalar_of(draft, domain, depth);
    case 1: return vector_of(draft, domain, shape.dim[0], depth);
    case 2: return matrix_of(draft, domain, shape.dim[0], shape.dim[1], depth);
    default: return (Piece){0};
    }
}

/* ---- over time ---- */

/* Which positions a reduction over s ranges over, in a value at t; empty ones are possible. */
static const char *range_of(Draft *draft) {
    Gen *gen = draft->gen;
    int a = gen_below(gen, 4), b = gen_below(gen, draft->past_only ? 2 : 4);
    int kind = gen_below(gen, draft->past_only ? 3 : 6);
    switch (kind) {
    case 0: return "s <= t";
    case 1: return "s < t";
    case 2:
        if (draft->past_only && b > 1) b = 1;
        return arena_printf(gen->arena, "s in t-%d:t+%d", a, b);
    case 3: return "s >= t";
    case 4: return "s > t";
    default: return arena_printf(gen->arena, "s in t-%d:t+%d", a, b);
    }
}

static Piece reduction(Draft *draft, const char *range, const char *inner, Shape shape, int depth,
                       bool bounded) {
    static const char *const names[] = {"sum", "mean", "max", "min", "logsumexp"};
    Gen *gen = draft->gen;
    int kind = gen_below(gen, 5);
    Piece e = gen_expr(draft, inner, shape, depth - 1);
    char s = inner[strlen(inner) - 1];
    e = gen_depend(draft, e, s); /* it must run over the index */
    e = gen_fit(draft, e, op_info[OP_TSUM].low, op_info[OP_TSUM].high);
    Piece out = {arena_printf(gen->arena, "%s[%s](%s)", names[kind], range, e.text), fmin(e.low, 0),
                 fmax(e.high, 0)};
    if (kind == 0) out.low *= 40, out.high *= 40;
    if (kind == 4) out.high += 4;
    /* over nothing they are infinite */
    if (kind == 2 || kind == 4) out.low = bounded || kind == 4 ? -INFINITY : out.low;
    if (kind == 3 && bounded) out.high = INFINITY;
    return out;
}

Piece gen_over_time(Draft *draft, const char *domain, Shape shape, int depth) {
    Gen *gen = draft->gen;
    bool has_t = strchr(domain, 't') != NULL;
    if (draft->streams || depth <= 0 || strchr(domain, 's') || strchr(domain, 'k'))
        return (Piece){0};
    if (has_t && strchr(domain, 'u')) return (Piece){0};
    if (!has_t && !strchr(domain, 'v')) { /* over all steps */
        const char *inner = arena_printf(gen->arena, "%st", domain);
        if (gen_chance(gen, 30)) {
            for (int i = 0; i < 8; i++) {
                const Readable *v = &draft->values.at[gen_below(gen, draft->values.count)];
                if (strcmp(v->indices, "t") != 0 || v->lag || *v->family ||
                    !type_equal(v->type, gen_float(shape)))
                    continue;
                return (Piece){arena_printf(gen->arena, "%s[%s]", v->name,
                                            gen_chance(gen, 60) ? "last" : "first"),
                               v->low, v->high};
            }
        }
        draft->closed += draft->own == 't';
        Piece e = reduction(draft, "t", inner, shape, depth, false);
        draft->closed -= draft->own == 't';
        return e;
    }
    if (!has_t) return (Piece){0};
    draft_second(draft);
    const char *range = range_of(draft);
    return reduction(draft, range, gen_chance(gen, 60) ? "ts" : "s", shape, depth, true);
}
