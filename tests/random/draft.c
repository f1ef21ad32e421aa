/* Random numbers, names, declarations and the text of a model. */
#include "draft.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- random numbers: splitmix64 ---- */

static uint64_t next(Gen *gen) {
    uint64_t z = gen->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int gen_below(Gen *gen, int n) {
    return (int)(next(gen) % (uint64_t)n);
}

bool gen_chance(Gen *gen, int percent) {
    return gen_below(gen, 100) < percent;
}

int64_t gen_size(Gen *gen) {
    return gen->sizes[gen_below(gen, 3)];
}

/* ---- types ---- */

const Shape gen_scalar = {0, {0}};

Type gen_float(Shape shape) {
    return (Type){.dtype = DT_FLOAT, .shape = shape};
}

Shape gen_vector(int64_t n) {
    return (Shape){1, {n}};
}

Shape gen_matrix(int64_t m, int64_t n) {
    return (Shape){2, {m, n}};
}

Shape gen_shape(Gen *gen) {
    int64_t m = gen_size(gen), n = gen_size(gen);
    int kind = gen_below(gen, 10);
    if (kind < 2) return gen_scalar;
    if (kind < 3 && m * n <= 81) return gen_matrix(m, n);
    return gen_vector(m);
}

const char *gen_shape_text(Gen *gen, Shape shape) {
    Text out = text_new(gen->arena);
    text_puts(&out, "[");
    for (int d = 0; d < shape.rank; d++)
        text_printf(&out, "%s%lld", d ? ", " : "", (long long)shape.dim[d]);
    text_puts(&out, "]");
    return text_string(&out);
}

const char *gen_type_text(Gen *gen, Type type) {
    const char *shape = gen_shape_text(gen, type.shape);
    if (type.dtype == DT_FLOAT) return shape;
    if (!type.shape.rank) shape = "";
    if (type.dtype == DT_BOOL) return arena_printf(gen->arena, "bool%s", shape);
    return arena_printf(gen->arena, "int(%lld)%s", (long long)type.bound, shape);
}

/* ---- a draft ---- */

Draft *draft_new(Gen *gen, const char *name, bool main) {
    Draft *draft = ARENA_NEW(gen->arena, Draft);
    *draft = (Draft){.gen = gen,
                     .name = name,
                     .main = main,
                     .past_only = gen->options->past_only || gen_chance(gen, 60),
                     .inputs = text_new(gen->arena),
                     .outputs = text_new(gen->arena),
                     .head = text_new(gen->arena)};
    return draft;
}

/* Equations stand in any order. */
static void shuffle(Draft *draft) {
    for (int i = draft->equations.count - 1; i > 0; i--) {
        int k = gen_below(draft->gen, i + 1);
        const char *line = draft->equations.at[i];
        draft->equations.at[i] = draft->equations.at[k];
        draft->equations.at[k] = line;
    }
}

const char *draft_text(Draft *draft) {
    Text out = text_new(draft->gen->arena);
    shuffle(draft);
    text_printf(&out, "model %s(%s) -> %s {\n%s", draft->name, text_string(&draft->inputs),
                text_string(&draft->outputs), text_string(&draft->head));
    for (int i = 0; i < draft->equations.count; i++)
        text_printf(&out, "    %s\n", draft->equations.at[i]);
    text_puts(&out, "}\n");
    return text_string(&out);
}

const char *draft_name(Draft *draft, const char *stem) {
    return arena_printf(draft->gen->arena, "%s%d", stem, draft->count++);
}

const char *draft_indexed(Draft *draft, const char *name, const char *family, const char *indices) {
    Text out = text_new(draft->gen->arena);
    if (!*indices && !*family) return name;
    text_printf(&out, "%s[%s", name, family);
    if (!*indices) out.at[--out.length] = 0;
    for (int i = 0; indices[i]; i++) text_printf(&out, "%s%c", i ? "," : "", indices[i]);
    text_puts(&out, "]");
    return text_string(&out);
}

static char *formatted(Arena *arena, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *line = ARENA_ARRAY(arena, length + 1, char);
    vsnprintf(line, (size_t)length + 1, format, args);
    return line;
}

void draft_line(Draft *draft, Text *to, const char *format, ...) {
    va_list args;
    va_start(args, format);
    text_printf(to, "    %s\n", formatted(draft->gen->arena, format, args));
    va_end(args);
}

void draft_add(Draft *draft, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vec_push(draft->gen->arena, &draft->equations, formatted(draft->gen->arena, format, args));
    va_end(args);
}

static const Readable *add(Draft *draft, Readable value) {
    vec_push(draft->gen->arena, &draft->values, value);
    return &draft->values.at[draft->values.count - 1];
}

const Readable *draft_input(Draft *draft, const char *indices, Type type, const char *boundary) {
    const char *name = draft_name(draft, type.dtype == DT_FLOAT ? "x" : "w");
    text_printf(&draft->inputs, "%s%s: %s%s%s", draft->inputs.length ? ", " : "",
                draft_indexed(draft, name, "", indices), gen_type_text(draft->gen, type),
                boundary ? " = " : "", boundary ? boundary : "");
    return add(draft, (Readable){.name = name,
                                 .family = "",
                                 .indices = indices,
                                 .type = type,
                                 .low = type.dtype == DT_FLOAT ? -1 : 0,
                                 .high = type.dtype == DT_INT ? (double)type.bound - 1 : 1,
                                 .boundary = boundary && *indices});
}

/* The values that the harness gives: uniform, so that sums of products stay of order one. */
const Readable *draft_param(Draft *draft, Shape shape) {
    static const char *const vectors[] = {"= 0", "= 1", "~ normal(0.5)", "~ uniform(-1, 1)"};
    static const char *const others[] = {"~ glorot", "~ orthogonal", "~ he", "~ normal(0.1)"};
    const char *name = draft_name(draft, "p");
    double scale = shape.rank > 1 ? sqrt(2.0 / (double)shape.dim[shape.rank - 1]) : 0.6;
    draft_line(draft, &draft->head, "param %s: %s %s%s", name, gen_shape_text(draft->gen, shape),
               (shape.rank > 1 ? others : vectors)[gen_below(draft->gen, 4)],
               gen_chance(draft->gen, 5) ? " frozen" : "");
    return add(draft, (Readable){.name = name,
                                 .family = "",
                                 .indices = "",
                                 .type = gen_float(shape),
                                 .low = -scale,
                                 .high = scale});
}

void draft_output(Draft *draft, const Readable *value) {
    const char *family = value->family, *name = value->name;
    Gen *gen = draft->gen;
    if (*family) { /* an output has no family indices */
        name = draft_name(draft, "y");
        draft_add(draft, "%s = %s", draft_indexed(draft, name, "", value->indices),
                  draft_indexed(draft, value->name, family, value->indices));
    }
    text_printf(&draft->outputs, "%s%s: %s", draft->outputs.length ? ", " : "",
                draft_indexed(draft, name, "", value->indices), gen_type_text(gen, value->type));
}

void draft_second(Draft *draft) {
    if (!draft->has_second) draft_line(draft, &draft->head, "time s in t");
    draft->has_second = true;
}

const Readable *draft_equation(Draft *draft, const char *indices, Type type, Piece piece) {
    const char *name = draft_name(draft, "e");
    Gen *gen = draft->gen;
    if (type.dtype == DT_FLOAT && (piece.low < -8 || piece.high > 8))
        piece = gen_fit(draft, piece, -4, 4);
    bool boundary = *indices && gen_chance(gen, 30);
    if (boundary)
        draft_line(draft, &draft->head, "state %s: %s = %s",
                   draft_indexed(draft, name, "", indices), gen_type_text(gen, type),
                   type.dtype == DT_BOOL  ? "1 < 2"
                   : type.dtype == DT_INT ? "0"
                                          : gen_number(draft).text);
    bool typed = !boundary && gen_chance(gen, 20);
    draft_add(draft, "%s%s%s = %s", draft_indexed(draft, name, "", indices), typed ? ": " : "",
              typed ? gen_type_text(gen, type) : "", piece.text);
    return add(draft, (Readable){.name = name,
                                 .family = "",
                                 .indices = indices,
                                 .type = type,
                                 .low = piece.low < -2 || !boundary ? piece.low : -2,
                                 .high = piece.high > 2 || !boundary ? piece.high : 2,
                                 .boundary = boundary});
}

int draft_state(Draft *draft, const char *indices, Type type, double low, double high, int lag,
                const char *boundary) {
    Gen *gen = draft->gen;
    const char *name = draft_name(draft, "h");
    if (!boundary)
        boundary = type.dtype != DT_FLOAT ? (type.dtype == DT_BOOL ? "1 > 2" : "0")
                   : gen_chance(gen, 60)  ? "0"
                   : gen_chance(gen, 50)  ? arena_printf(gen->arena, "%g", low + (high - low) / 4)
                                          : arena_printf(gen->arena, "%g", high);
    draft_line(draft, &draft->head, "state %s: %s = %s", draft_indexed(draft, name, "", indices),
               gen_type_text(gen, type), boundary);
    if (abs(lag) > gen->lag) gen->lag = abs(lag);
    add(draft, (Readable){.name = name,
                          .family = "",
                          .indices = indices,
                          .type = type,
                          .low = low,
                          .high = high,
                          .boundary = true,
                          .lag = lag});
    draft->own = indices[0];
    return draft->values.count - 1;
}

void draft_close(Draft *draft, int state, Piece piece, int every) {
    Readable *value = &draft->values.at[state];
    if (value->type.dtype == DT_FLOAT) piece = gen_fit(draft, piece, value->low, value->high);
    draft_add(draft, "%s = %s%s", draft_indexed(draft, value->name, "", value->indices), piece.text,
              every ? arena_printf(draft->gen->arena, " every %d", every) : "");
}

void draft_settle(Draft *draft) {
    for (int i = 0; i < draft->values.count; i++) draft->values.at[i].lag = 0;
    draft->own = 0;
}
