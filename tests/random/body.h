/* One model while it is written: its ports, declarations and equations as text, and the values that
 * later equations may read, with the range in which each of them lies. Private to the generator. */
#ifndef RNNC_TEST_RANDOM_BODY_H
#define RNNC_TEST_RANDOM_BODY_H

#include "generate.h"
#include "graph/graph.h"

typedef struct Gen {
    Arena *arena;
    uint64_t state; /* of the random numbers */
    const ProgramOptions *options;
    Text models; /* that the last one uses */
    int64_t sizes[3];
    int model_count, lag, axes;
    bool may_refuse;
} Gen;

int gen_below(Gen *gen, int n);
bool gen_chance(Gen *gen, int percent);
/* One of the program's dimensions. */
int64_t gen_size(Gen *gen);

/* An expression and the values that it may have. */
typedef struct Piece {
    const char *text;
    double low, high;
} Piece;

/* What may be read: `name[family indices]`. An index is a letter: t, u the axes of the header, s a
 * second index of t, v slower than t, k of fixed length. */
typedef struct Readable {
    const char *name, *family; /* family: "" or "2," */
    const char *indices;       /* "", "t", "tu" … */
    Type type;
    double low, high;
    bool boundary; /* may be read outside of its sequence */
    bool dead;     /* nothing reads it, and it is no output */
    int lag; /* while its recurrence is written: read at t+1 … t+lag, or back where negative */
} Readable;

typedef struct Body {
    Gen *gen;
    const char *name;
    bool main;
    bool past_only; /* no offsets ahead */
    bool streams;   /* no reductions over whole sequences, no second index, as under `carry` */
    Text inputs, outputs, head;
    VEC(const char *) equations;
    VEC(Readable) values;
    int count;              /* of names */
    int closed;             /* inside a reduction that binds the index of an open recurrence */
    bool has_second, has_u; /* axes that were declared */
    char own;               /* index of the recurrence that is being written */
} Body;

Body *body_new(Gen *gen, const char *name, bool main);
/* The text of the model. */
const char *body_text(Body *body);

Type gen_float(Shape shape);
Shape gen_vector(int64_t n);
Shape gen_matrix(int64_t m, int64_t n);
extern const Shape gen_scalar;
/* A vector mostly, else a scalar or a matrix. */
Shape gen_shape(Gen *gen);
const char *gen_shape_text(Gen *gen, Shape shape); /* "[3, 2]" */
const char *gen_type_text(Gen *gen, Type type);

/* A name of its own, with this beginning. */
const char *body_name(Body *body, const char *stem);
const char *body_indexed(Body *body, const char *name, const char *family, const char *indices);

/* Declarations. The results stay valid until the next one. */
const Readable *body_input(Body *body, const char *indices, Type type, const char *boundary);
const Readable *body_param(Body *body, Shape shape);
void body_output(Body *body, const Readable *value);
void body_second(Body *body);
/* `name[indices] = text`; brings the range into what later operations stand. */
const Readable *body_equation(Body *body, const char *indices, Type type, Piece piece);
/* A state that is read at offsets up to `lag`, its equation to come; `boundary` may be NULL. */
int body_state(Body *body, const char *indices, Type type, double low, double high, int lag,
               const char *boundary);
/* The equation of a state; every: 0 or the clock. */
void body_close(Body *body, int state, Piece piece, int every);
/* All equations of a recurrence are written: its states may be read as any other value. */
void body_settle(Body *body);

/* Adds a line as it is. */
void body_line(Body *body, Text *to, const char *format, ...) __attribute__((format(printf, 3, 4)));
void body_add(Body *body, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- expressions (expression.c) ---- */

Piece gen_expr(Body *body, const char *domain, Shape shape, int depth);
Piece gen_condition(Body *body, const char *domain, Shape shape, int depth);
Piece gen_leaf(Body *body, const char *domain, Shape shape);
/* Any value of this type that can be read in the domain, or text NULL. */
Piece gen_pick(Body *body, const char *domain, Type type);
Piece gen_read(Body *body, const Readable *value, const char *domain);
/* The same values brought into [low, high]. */
Piece gen_fit(Body *body, Piece piece, double low, double high);
Piece gen_op(Body *body, Op op, int count, const Piece *in, Shape shape);
Piece gen_number(Body *body);
/* The same, made to depend on an index where it does not. */
Piece gen_depend(Body *body, Piece piece, char index);

/* ---- operations on tensors and over time (tensor.c) ---- */

/* text NULL where none fits. */
Piece gen_tensor(Body *body, const char *domain, Shape shape, int depth);
Piece gen_over_time(Body *body, const char *domain, Shape shape, int depth);
/* W @ operand to this shape, of a new parameter. */
Piece gen_product(Body *body, Shape shape, Piece operand, int64_t k);

/* ---- policies (recurrences.c, structure.c, models.c) ---- */

void policy_linear(Body *body);
void policy_gated(Body *body);
void policy_system(Body *body);
void policy_backward(Body *body);
void policy_clock(Body *body);
void policy_boundary(Body *body);
void policy_grid(Body *body);
void policy_plain(Body *body);
void policy_shared(Body *body);
void policy_identities(Body *body);
void policy_fan(Body *body);
void policy_joined(Body *body);
void policy_prefix(Body *body);
void policy_window(Body *body);
void policy_totals(Body *body);
void policy_axes(Body *body);
void policy_slower(Body *body);
void policy_whole(Body *body);
void policy_limits(Body *body);
void policy_absent(Body *body);
void policy_dead(Body *body);
void policy_wide(Body *body);
void policy_ending(Body *body);
void policy_instance(Body *body);
void policy_family(Body *body);
void policy_prelude(Body *body);
void policy_argument(Body *body);
void policy_pointer(Body *body);
void policy_image(Body *body);
void policy_draw(Body *body);

#endif
