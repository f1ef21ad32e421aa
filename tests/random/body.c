/* Random numbers, names, declarations and the text of a model. */
#include "body.h"

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

/* ---- a body ---- */

Body *body_new(Gen *gen, const char *name, bool main) {
    Body *body = ARENA_NEW(gen->arena, Body);
    *body = (Body){.gen = gen,
                   .name = name,
                   .main = main,
                   .past_only = gen->options->past_only || gen_chance(gen, 60),
                   .inputs = text_new(gen->arena),
                   .outputs = text_new(gen->arena),
                   .head = text_new(gen->arena)};
    return body;
}

/* Equations stand in any order. */
static void shuffle(Body *body) {
    for (int i = body->equations.count - 1; i > 0; i--) {
        int k = gen_below(body->gen, i + 1);
        const char *line = body->equations.at[i];
        body->equations.at[i] = body->equations.at[k];
        body->equations.at[k] = line;
    }
}

const char *body_text(Body *body) {
    Text out = text_new(body->gen->arena);
    shuffle(body);
    text_printf(&out, "model %s(%s) -> %s {\n%s", body->name, text_string(&body->inputs),
                text_string(&body->outputs), text_string(&body->head));
    for (int i = 0; i < body->equations.count; i++)
        text_printf(&out, "    %s\n", body->equations.at[i]);
    text_puts(&out, "}\n");
    return text_string(&out);
}

const char *body_name(Body *body, const char *stem) {
    return arena_printf(body->gen->arena, "%s%d", stem, body->count++);
}

const char *body_indexed(Body *body, const char *name, const char *family, const char *indices) {
    Text out = text_new(body->gen->arena);
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

void body_line(Body *body, Text *to, const char *format, ...) {
    va_list args;
    va_start(args, format);
    text_printf(to, "    %s\n", formatted(body->gen->arena, format, args));
    va_end(args);
}

void body_add(Body *body, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vec_push(body->gen->arena, &body->equations, formatted(body->gen->arena, format, args));
    va_end(args);
}

static const Readable *add(Body *body, Readable value) {
    vec_push(body->gen->arena, &body->values, value);
    return &body->values.at[body->values.count - 1];
}

const Readable *body_input(Body *body, const char *indices, Type type, const char *boundary) {
    const char *name = body_name(body, type.dtype == DT_FLOAT ? "x" : "w");
    text_printf(&body->inputs, "%s%s: %s%s%s", body->inputs.length ? ", " : "",
                body_indexed(body, name, "", indices), gen_type_text(body->gen, type),
                boundary ? " = " : "", boundary ? boundary : "");
    return add(body, (Readable){.name = name,
                                .family = "",
                                .indices = indices,
                                .type = type,
                                .low = type.dtype == DT_FLOAT ? -1 : 0,
                                .high = type.dtype == DT_INT ? (double)type.bound - 1 : 1,
                                .boundary = boundary && *indices});
}

/* The values that the harness gives: uniform, so that sums of products stay of order one. */
const Readable *body_param(Body *body, Shape shape) {
    static const char *const vectors[] = {"= 0", "= 1", "~ normal(0.5)", "~ uniform(-1, 1)"};
    static const char *const others[] = {"~ glorot", "~ orthogonal", "~ he", "~ normal(0.1)"};
    const char *name = body_name(body, "p");
    double scale = shape.rank > 1 ? sqrt(2.0 / (double)shape.dim[shape.rank - 1]) : 0.6;
    body_line(body, &body->head, "param %s: %s %s%s", name, gen_shape_text(body->gen, shape),
              (shape.rank > 1 ? others : vectors)[gen_below(body->gen, 4)],
              gen_chance(body->gen, 5) ? " frozen" : "");
    return add(body, (Readable){.name = name,
                                .family = "",
                                .indices = "",
                                .type = gen_float(shape),
                                .low = -scale,
                                .high = scale});
}

void body_output(Body *body, const Readable *value) {
    const char *family = value->family, *name = value->name;
    Gen *gen = body->gen;
    if (*family) { /* an output has no family indices */
        name = body_name(body, "y");
        body_add(body, "%s = %s", body_indexed(body, name, "", value->indices),
                 body_indexed(body, value->name, family, value->indices));
    }
    text_printf(&body->outputs, "%s%s: %s", body->outputs.length ? ", " : "",
                body_indexed(body, name, "", value->indices), gen_type_text(gen, value->type));
}

void body_second(Body *body) {
    if (!body->has_second) body_line(body, &body->head, "time s in t");
    body->has_second = true;
}

const Readable *body_equation(Body *body, const char *indices, Type type, Piece piece) {
    const char *name = body_name(body, "e");
    Gen *gen = body->gen;
    if (type.dtype == DT_FLOAT && (piece.low < -8 || piece.high > 8))
        piece = gen_fit(body, piece, -4, 4);
    bool boundary = *indices && gen_chance(gen, 30);
    if (boundary)
        body_line(body, &body->head, "state %s: %s = %s", body_indexed(body, name, "", indices),
                  gen_type_text(gen, type),
                  type.dtype == DT_BOOL  ? "1 < 2"
                  : type.dtype == DT_INT ? "0"
                                         : gen_number(body).text);
    bool typed = !boundary && gen_chance(gen, 20);
    body_add(body, "%s%s%s = %s", body_indexed(body, name, "", indices), typed ? ": " : "",
             typed ? gen_type_text(gen, type) : "", piece.text);
    return add(body, (Readable){.name = name,
                                .family = "",
                                .indices = indices,
                                .type = type,
                                .low = piece.low < -2 || !boundary ? piece.low : -2,
                                .high = piece.high > 2 || !boundary ? piece.high : 2,
                                .boundary = boundary});
}

int body_state(Body *body, const char *indices, Type type, double low, double high, int lag,
               const char *boundary) {
    Gen *gen = body->gen;
    const char *name = body_name(body, "h");
    if (!boundary)
        boundary = type.dtype != DT_FLOAT ? (type.dtype == DT_BOOL ? "1 > 2" : "0")
                   : gen_chance(gen, 60)  ? "0"
                   : gen_chance(gen, 50)  ? arena_printf(gen->arena, "%g", low + (high - low) / 4)
                                          : arena_printf(gen->arena, "%g", high);
    body_line(body, &body->head, "state %s: %s = %s", body_indexed(body, name, "", indices),
              gen_type_text(gen, type), boundary);
    if (abs(lag) > gen->lag) gen->lag = abs(lag);
    add(body, (Readable){.name = name,
                         .family = "",
                         .indices = indices,
                         .type = type,
                         .low = low,
                         .high = high,
                         .boundary = true,
                         .lag = lag});
    body->own = indices[0];
    return body->values.count - 1;
}

void body_close(Body *body, int state, Piece piece, int every) {
    Readable *value = &body->values.at[state];
    if (value->type.dtype == DT_FLOAT) piece = gen_fit(body, piece, value->low, value->high);
    body_add(body, "%s = %s%s", body_indexed(body, value->name, "", value->indices), piece.text,
             every ? arena_printf(body->gen->arena, " every %d", every) : "");
}

void body_settle(Body *body) {
    for (int i = 0; i < body->values.count; i++) body->values.at[i].lag = 0;
    body->own = 0;
}
