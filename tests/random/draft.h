/* One model while it is written: its ports, declarations and equations as text, and the values that
 * later equations may read, with the range in which each of them lies. Private to the generator. */
#ifndef RNNC_TEST_RANDOM_DRAFT_H
#define RNNC_TEST_RANDOM_DRAFT_H

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

typedef struct Draft {
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
} Draft;

Draft *draft_new(Gen *gen, const char *name, bool main);
/* The text of the model. */
const char *draft_text(Draft *draft);

Type gen_float(Shape shape);
Shape gen_vector(int64_t n);
Shape gen_matrix(int64_t m, int64_t n);
extern const Shape gen_scalar;
/* A vector mostly, else a scalar or a matrix. */
Shape gen_shape(Gen *gen);
const char *gen_shape_text(Gen *gen, Shape shape); /* "[3, 2]" */
const char *gen_type_text(Gen *gen, Type type);

/* A name of its own, with this beginning. */
const char *draft_name(Draft *draft, const char *stem);
const char *draft_indexed(Draft *draft, const char *name, const char *family, const char *indices);

/* Declarations. The results stay valid until the next one. */
const Readable *draft_input(Draft *draft, const char *indices, Type type, const char *boundary);
const Readable *draft_param(Draft *draft, Shape shape);
void draft_output(Draft *draft, const Readable *value);
void draft_second(Draft *draft);
/* `name[indices] = text`; brings the range into what later operations stand. */
const Readable *draft_equation(Draft *draft, const char *indices, Type type, Piece piece);
/* A state that is read at offsets up to `lag`, its equation to come; `boundary` may be NULL. */
int draft_state(Draft *draft, const char *indices, Type type, double low, double high, int lag,
                const char *boundary);
/* The equation of a state; every: 0 or the clock. */
void draft_close(Draft *draft, int state, Piece piece, int every);
/* All equations of a recurrence are written: its states may be read as any other value. */
void draft_settle(Draft *draft);

/* Adds a line as it is. */
void draft_line(Draft *draft, Text *to, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void draft_add(Draft *draft, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- expressions (expression.c) ---- */

Piece gen_expr(Draft *draft, const char *domain, Shape shape, int depth);
Piece gen_condition(Draft *draft, const char *domain, Shape shape, int depth);
Piece gen_leaf(Draft *draft, const char *domain, Shape shape);
/* Any value of this type that can be read in the domain, or text NULL. */
Piece gen_pick(Draft *draft, const char *domain, Type type);
Piece gen_read(Draft *draft, const Readable *value, const char *domain);
/* The same values brought into [low, high]. */
Piece gen_fit(Draft *draft, Piece piece, double low, double high);
Piece gen_op(Draft *draft, Op op, int count, const Piece *in, Shape shape);
Piece gen_number(Draft *draft);
/* The same, made to depend on an index where it does not. */
Piece gen_depend(Draft *draft, Piece piece, char index);

/* ---- operations on tensors and over time (tensor.c) ---- */

/* text NULL where none fits. */
Piece gen_tensor(Draft *draft, const char *domain, Shape shape, int depth);
Piece gen_over_time(Draft *draft, const char *domain, Shape shape, int depth);
/* W @ operand to this shape, of a new parameter. */
Piece gen_product(Draft *draft, Shape shape, Piece operand, int64_t k);

/* ---- policies (recurrences.c, structure.c, models.c) ---- */

void policy_linear(Draft *draft);
void policy_gated(Draft *draft);
void policy_pushed(Draft *draft);
void policy_system(Draft *draft);
void policy_backward(Draft *draft);
void policy_clock(Draft *draft);
void policy_boundary(Draft *draft);
void policy_grid(Draft *draft);
void policy_plain(Draft *draft);
void policy_shared(Draft *draft);
void policy_identities(Draft *draft);
void policy_fan(Draft *draft);
void policy_joined(Draft *draft);
void policy_prefix(Draft *draft);
void policy_window(Draft *draft);
void policy_totals(Draft *draft);
void policy_axes(Draft *draft);
void policy_slower(Draft *draft);
void policy_whole(Draft *draft);
void policy_limits(Draft *draft);
void policy_absent(Draft *draft);
void policy_dead(Draft *draft);
void policy_wide(Draft *draft);
void policy_ending(Draft *draft);
void policy_instance(Draft *draft);
void policy_family(Draft *draft);
void policy_prelude(Draft *draft);
void policy_argument(Draft *draft);
void policy_pointer(Draft *draft);
void policy_image(Draft *draft);
void policy_draw(Draft *draft);

#endif
