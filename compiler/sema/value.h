/* Types and values of expressions, the same for the check at a definition (dimensions are
 * polynomials, no nodes) and for an instance (dimensions are numbers, nodes of a Graph). */
#ifndef RNNC_SEMA_VALUE_H
#define RNNC_SEMA_VALUE_H

#include "graph/graph.h"
#include "sema/dims.h"

/* A type. `unknown`: after an error, or open at the definition; it fits everything, silently. */
typedef struct Ty {
    bool unknown;
    DType dtype;
    bool
        number; /* DT_INT: a position, length or literal, which arithmetic takes; else int(bound) */
    const Poly *bound; /* DT_INT: of int(n); NULL for a pointer or an unbounded position */
    PointerKind pointer;
    int axis; /* of a pointer; -1: any (`first`) */
    int rank;
    const Poly *dim[MAX_RANK];
} Ty;

/* A number known at compile time. NUM_OPEN: known to be one, its value left to the instance. */
typedef enum NumKind { NUM_NONE, NUM_INT, NUM_REAL, NUM_BOOL, NUM_OPEN } NumKind;
typedef struct Num {
    NumKind kind;
    bool mode; /* depends on `training`, `generating`, and on nothing else that is open */
    bool truth;
    const Poly *integer;
    double real;
} Num;

/* The value of an expression. A compile-time number has no node until value_as gives it one. */
typedef struct Value {
    Ty type;
    Num num;
    int node;  /* -1: none */
    int count; /* time indices that it depends on, in order of first appearance */
    int index[MAX_DOMAIN];
} Value;

/* Scalars of a type. */
Ty ty_float(void);
Ty ty_bool(void);
Ty ty_unknown(void);

/* The type of a number of this kind. */
Ty ty_of_num(const Num *num);

/* `type` with the shape of `shape`. */
Ty ty_shaped(Ty type, const Ty *shape);

/* Equal shapes, where an unknown dimension equals all; false also for different ranks. */
bool ty_same_shape(const Ty *a, const Ty *b);

/* Elementwise: equal ranks with each dim equal or 1, or a scalar. False when they do not fit. */
bool ty_join_shape(const Ty *a, const Ty *b, Ty *to);

/* `[2*H, 3]`, `int(V)`, `past(n)`, … */
void ty_print(const Ty *type, const Graph *graph, Text *out);
const char *ty_text(Arena *arena, const Ty *type, const Graph *graph);
const char *ty_shape_text(Arena *arena, const Ty *type);

/* As a double; true when the number has a value. */
bool num_double(const Num *num, double *value);
bool num_int(const Num *num, int64_t *value);
Num num_of_int(Arena *arena, int64_t value);
Num num_of_real(double value);
Num num_of_bool(bool truth);
Num num_open(void);

#endif
