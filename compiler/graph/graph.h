/* The Graph: operations over axes, with offsets, shapes and types; no loops, no memory, no lanes.
 *
 * A node has a value at each position of its domain, a set of indices. An index is a name for a
 * position on an axis; an axis has a length for each sequence of the batch, known at run time.
 * Batch is implicit. Every operation but those of class TIME reads its operands at its own
 * position: an operand's domain is a subset of the node's. READ reaches other positions and is the
 * only operation that does, next to the reductions over an index; so the edges of the dependence
 * graph are labelled by READ's `at` and by the ranges of reductions, and nowhere else.
 *
 * Applications are inlined, families unrolled, the mode folded: a Graph is one model in one mode.
 */
#ifndef RNNC_GRAPH_GRAPH_H
#define RNNC_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "support/diag.h"
#include "support/names.h"
#include "support/source.h"
#include "support/text.h"
#include "support/vec.h"

typedef enum Op {
#define OP(id, text, least, most, class_, low, high) OP_##id,
#include "graph/ops.def"
#undef OP
    OP_COUNT
} Op;

typedef enum OpClass {
    CLASS_LEAF,
    CLASS_TIME,
    CLASS_UNARY,
    CLASS_BINARY,
    CLASS_SELECTION,
    CLASS_TENSOR,
    CLASS_LOSS
} OpClass;

typedef struct OpInfo {
    const char *text;
    int least, most; /* operands */
    OpClass class_;
    double low, high; /* range of operand values for the generator */
} OpInfo;

extern const OpInfo op_info[OP_COUNT];

enum { MAX_RANK = 8, MAX_DOMAIN = 8 };

typedef struct Shape {
    int rank;
    int64_t dim[MAX_RANK];
} Shape;

typedef enum DType { DT_FLOAT, DT_INT, DT_BOOL } DType;
typedef enum PointerKind { PTR_NONE, PTR_PAST, PTR_POS } PointerKind;

/* DT_INT with bound n holds 0 … n-1; bound 0: a position or a length, 64 bits. A pointer is a
 * DT_INT that holds a position of `axis`, or -1 for PTR_PAST. */
typedef struct Type {
    DType dtype;
    int64_t bound;
    PointerKind pointer;
    int axis; /* of a pointer */
    Shape shape;
} Type;

/* Where one index of the source of a READ is read, in terms of the reader's indices. */
typedef enum AtKind {
    AT_INDEX,   /* index + offset */
    AT_SCALE,   /* factor*index + offset: from a slower axis into its base */
    AT_DIV,     /* index / factor: from the base into a slower axis */
    AT_FIRST,   /* 0 */
    AT_LAST,    /* length - 1 */
    AT_POINTER, /* the value of operand `operand` */
    AT_MIRROR   /* length - 1 - index; of DRAW only: the position that names the draw */
} AtKind;

typedef struct At {
    AtKind kind;
    int index;
    int64_t factor, offset;
    int operand;
} At;

/* One end of the range of a reduction over an index s of axis a; ranges are clipped to [0, length).
 */
typedef enum BoundKind {
    BOUND_NONE,  /* 0 below, length above */
    BOUND_INDEX, /* position of `index` + offset (index is on the same axis as s) */
    BOUND_FIRST, /* offset */
    BOUND_LAST   /* length + offset */
} BoundKind;

typedef struct Bound {
    BoundKind kind;
    int index;
    int64_t offset;
} Bound;

typedef enum DrawKind { DRAW_NORMAL, DRAW_UNIFORM, DRAW_BERNOULLI, DRAW_CATEGORICAL } DrawKind;

/* What an operation needs beside its operands; ops.def says which field each one reads. */
typedef struct Attr {
    double number;
    int slot;
    int index, index2;
    int dim;
    int64_t every;
    int64_t dims[MAX_RANK], ends[MAX_RANK], pads[MAX_RANK];
    unsigned drop;
    Bound low, high; /* half-open: low <= s < high */
    bool mirrored;   /* INDEX, HOLD, reductions: written inside a `reverse`; positions and orders
                        count from the end */
    int carry; /* READ, INDEX, HOLD, DRAW: 1 + place in graph->carries of the instance that keeps
                  state; 0: none */
    int at_count;
    At *at; /* READ: one for each index of the source's domain, in its order; DRAW: positions in
               order */
    DrawKind draw;
    Name site; /* DRAW: call site, `l1.m#0` */
} Attr;

typedef struct Node {
    int id;
    Op op;
    Type type;
    int domain_count;
    int domain[MAX_DOMAIN]; /* indices, ascending */
    int in_count;
    int *in; /* ids; READ's boundary may be -1 */
    Attr attr;
    Name name; /* of the variable that it is the value of, with its instances (`bi.0.f.h`); NULL: a
                  temporary */
    Span span;
} Node;

typedef enum AxisKind { AXIS_RUN, AXIS_SLOW } AxisKind;

/* AXIS_RUN: length given by the caller (or found by `stop`). AXIS_SLOW: ceil(length(base) / every).
 */
typedef struct Axis {
    Name name;
    AxisKind kind;
    int base;
    int64_t every;
    int64_t fixed;  /* > 0: the length, always */
    int64_t most;   /* > 0: no length is larger */
    bool generated; /* this mode: no live input has it; its length comes from a stop, or from the
                       caller as a bound */
    Span span;
} Axis;

typedef struct Index {
    Name name; /* unique in the graph */
    int axis;
} Index;

/* What a port that a transformation made stands for: `of` numbers it in the graph that it was made
 * of. */
typedef enum PortKind {
    PORT_MODEL,      /* as the model declares it */
    PORT_UPSTREAM,   /* input: the gradient of output `of` */
    PORT_PARAM_GRAD, /* output: the gradient of parameter `of` */
    PORT_INPUT_GRAD, /* output: the gradient of input `of` */
    PORT_LOSS,       /* output: loss `of` of one sequence */
    PORT_PER,        /* output: its divisor */
    PORT_ROW,        /* of a graph that is cut in chunks (adjoint/cut.h): a row before a chunk */
    PORT_TOTAL,      /* a sum over all chunks */
    PORT_LENGTH,     /* input: the length of the whole sequence */
    PORT_OUTPUT      /* output: output `of` of the model */
} PortKind;

/* A port of the model. `indices` in the order of the port's bracket: the layout of the caller's
 * array, [positions…, batch, shape…]. */
typedef struct GraphPort {
    Name name;
    Type type;
    int index_count;
    int indices[MAX_DOMAIN];
    int node; /* input: the INPUT node, or -1 when this mode does not read it; output: the value */
    PortKind kind;
    int of;
    bool shared; /* output without time, the same for all sequences: given once, [shape…] */
    int fallback; /* input: node of the default, without time, or -1 */
    int blank;    /* input of labels: 1 + the number that none of them is; 0: there is none */
    Span span;
} GraphPort;

typedef enum InitialKind {
    INITIAL_VALUES,
    INITIAL_GLOROT,
    INITIAL_HE,
    INITIAL_ORTHOGONAL,
    INITIAL_NORMAL,
    INITIAL_UNIFORM
} InitialKind;

typedef struct GraphParam {
    Name name; /* `enc.f.Wi`, `h.0.W` */
    Shape shape;
    InitialKind initial;
    double a, b; /* NORMAL: a; UNIFORM: a, b; VALUES: a in every element when values is NULL */
    const double *values; /* VALUES: row-major, or NULL */
    bool frozen;
    Span span;
} GraphParam;

typedef struct GraphLoss {
    int node; /* scalar, domain empty */
    int per;  /* scalar, domain empty, or -1 */
    Span span;
} GraphLoss;

typedef struct GraphStop {
    int axis;
    int node; /* bool scalar over one index of that axis */
    Span span;
} GraphStop;

typedef struct GraphCarry {
    Name name; /* of the instance: `l1`; "" for the model itself under streaming */
    int axis;
} GraphCarry;

typedef enum Mode { MODE_INFER, MODE_EVAL, MODE_TRAIN } Mode;

typedef struct Graph {
    Arena *arena;
    Names *names;
    Name model;
    Mode mode;
    VEC(Axis) axes;
    VEC(Index) indices;
    VEC(Node *)
    nodes; /* nodes.at[i]->id == i; not in topological order when there are recurrences */
    VEC(GraphPort) inputs, outputs;
    VEC(GraphParam) params;
    VEC(GraphLoss) losses;
    VEC(GraphStop) stops;
    VEC(GraphCarry) carries;
} Graph;

/* An empty graph. */
Graph *graph_new(Arena *arena, Names *names, Name model, Mode mode);

/* The input whose numbers an operand that is no more than a copy of it has; -1. */
int graph_copied_input(const Graph *graph, int node);

/* 1 + the number that no label of this input may be, which a CTC reads; 0: there is none. */
int graph_blank(const Graph *graph, int slot);

/* Adds a node with `count` operands; type and domain are the caller's to have computed (graph_type
 * and graph_domain do). The operands are copied. Returns its id. */
int graph_add(Graph *graph, Op op, Type type, int domain_count, const int *domain, int count,
              const int *in, const Attr *attr, Span span);

/* The type that `op` gives on the types of its operands (the rules of language.md, section 4; used
 * by the verifier and by passes that make nodes). `type` comes in as declared for operations whose
 * attr does not decide it (CONST, IOTA, INPUT, PARAM, DRAW, RESHAPE, BROADCAST, ONEHOT). False with
 * a message in *why when the operands do not fit. */
bool graph_type(const Graph *graph, Op op, int count, const int *in, const Attr *attr, Type *type,
                const char **why);

/* The domain of `op`: union of the operands' domains, less the index that a reduction removes, and
 * for READ the indices that its `at` and its boundary use. Returns the number of indices. */
int graph_domain(const Graph *graph, Op op, int count, const int *in, const Attr *attr,
                 int domain[MAX_DOMAIN]);

/* graph_type, graph_domain and graph_add in one step for nodes that passes make; the operands must
 * fit. */
int graph_node(Graph *graph, Op op, int count, const int *in, const Attr *attr, Span span);

/* A CONST of this value and shape. */
int graph_const(Graph *graph, double value, DType dtype, Shape shape, Span span);

/* Number of elements. */
int64_t shape_count(Shape shape);
bool shape_equal(Shape a, Shape b);
bool type_equal(Type a, Type b);

/* Every rule that a graph must keep: operand ids, arities, types and domains as graph_type and
 * graph_domain say, offsets, ports, losses scalar, names. Reports to `diags` with code "internal"
 * and returns false on a defect; `after` names the pass to blame. */
bool graph_verify(const Graph *graph, const char *after, Diags *diags);

/* What its text says that a port is `of`. */
const char *graph_port_word(PortKind kind);

/* Text form, and back: graph_parse(graph_print(g)) prints the same bytes. Spans are not kept. */
void graph_print(const Graph *graph, Text *out);
Graph *graph_parse(Arena *arena, Names *names, const Source *source, Diags *diags);

/* "normal", "uniform" … */
const char *graph_draw_text(DrawKind draw);

/* Graphviz text. */
void graph_dot(const Graph *graph, Text *out);

/* For each node whether its value differs from sequence to sequence: it depends on an input, a draw
 * or a length. `batched` has room for graph->nodes.count entries. */
void graph_batched(const Graph *graph, bool *batched);

#endif
