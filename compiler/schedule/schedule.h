/* The Schedule: which values are computed in which loop, in which direction, in which stage and
 * together with which others; no addresses and no lanes.
 *
 * A value is what an operation of the Graph computes, in the normal form of docs/internals (sums
 * are n-ary and hold their products, products name a view of a parameter, reads are part of the
 * use). A block is what runs at one position of the loops around it; within a block, a stage is
 * what runs between two points where whole vectors must be complete ("full reads"); within a stage,
 * a family is the values of one length, which become one loop over tiles of units. Nothing here
 * knows a cell. */
#ifndef RNNC_SCHEDULE_SCHEDULE_H
#define RNNC_SCHEDULE_SCHEDULE_H

#include "graph/graph.h"
#include "schedule/choices.h"
#include "schedule/depend.h"
#include "support/remark.h"

typedef enum ValueKind {
    VALUE_INPUT,   /* the caller's tensor: slot */
    VALUE_PARAM,   /* elements of a parameter: view */
    VALUE_CONST,   /* number, in every element */
    VALUE_LEAF,    /* INDEX, LENGTH, IOTA: computed where it is used */
    VALUE_SUM,     /* terms */
    VALUE_PRODUCT, /* view @ uses[0] */
    VALUE_POINT,   /* op on uses, element by element; VAR is a copy */
    VALUE_ROW      /* op on uses that reads whole rows: reductions, rearrangements, gathers */
} ValueKind;

/* Where a use reads when not at its own position. */
typedef struct Access {
    int at_count;
    At at[MAX_DOMAIN]; /* for each index of the source's domain */
    int boundary;      /* value read outside of the sequence, or -1 */
    int carry;         /* 1 + graph->carries, 0: none */
} Access;

typedef struct Use {
    int value;
    int access; /* in schedule->accesses; -1: own position */
} Use;

typedef struct Term {
    int sign; /* 1 or -1 */
    Use a, b; /* a, or with `pair` a*b */
    bool pair;
} Term;

/* Elements of parameter `param`: offset + Σ i_d * stride[d]. */
typedef struct View {
    int param;
    int64_t offset;
    int rank;
    int64_t dim[MAX_RANK], stride[MAX_RANK];
} View;

/* Decided by storage; see lowering.md's table in docs/internals. */
typedef enum Storage {
    STORE_NONE,   /* lives in registers of its family, or is read where it lies (inputs, parameters)
                   */
    STORE_SINGLE, /* one row a sequence: written and read within one position of the loops */
    STORE_INPLACE, /* one row a sequence that carries the value to the next position */
    STORE_HISTORY  /* a row for each position, and rows before and after for boundary values */
} Storage;

typedef struct Value {
    int id;
    ValueKind kind;
    Op op;
    Type type;
    int64_t count; /* elements */
    int domain_count;
    int domain[MAX_DOMAIN];
    Relation relations[MAX_DOMAIN]; /* where it is wanted, by index of the domain */
    bool batched;
    bool over_batch; /* TSUM: over the sequences, too */
    VEC(Term) terms;
    VEC(Use) uses;
    View view;
    double number;
    int slot;
    const Attr *attr;
    Name name; /* or NULL */
    Span span;

    bool live;
    int readers;              /* uses by live values, outputs, stops, losses */
    int block, stage, family; /* -1 before they are decided; family -1: a prologue of its stage */
    int nest;                 /* innermost loop that it is in, by number; -1 */
    int acc;                  /* PRODUCT: the accumulator's value (itself or its sum) */
    bool inplace;             /* one row a sequence may carry the value from position to position */
    Storage storage;
    int64_t pre[MAX_DOMAIN], post[MAX_DOMAIN]; /* HISTORY: positions before 0 and behind the last,
                                                  for each index of the domain */
    bool bounds;                               /* the boundary of another value */
    int boundary;                              /* HISTORY, INPLACE: value found there, or -1 */
    int boundary_index[MAX_DOMAIN]; /* what the boundary's domain calls each index of this one; -1
                                     */
} Value;

/* Products of a family that read the same vector at the same place: one loop over k. */
typedef struct Segment {
    Use operand;
    int64_t length; /* K */
    int chains;     /* KS at batch 1 */
    VEC(int) products;
} Segment;

typedef struct Family {
    int number, stage;
    int64_t count;    /* units */
    int domain_count; /* map indices: those that no loop around binds */
    int domain[MAX_DOMAIN];
    bool batched;
    VEC(int) values; /* in topological order */
    VEC(int) accs;   /* values */
    VEC(Segment) segments;
} Family;

typedef struct Block {
    int number;
    int stages;
    VEC(int) values;    /* topological order */
    VEC(int) prologues; /* values computed row by row at the start of their stage, in order */
    VEC(int) families;  /* in schedule->families, by stage */
    int loops[MAX_DOMAIN], loop_count; /* axes of the loops around, outermost first */
} Block;

typedef struct SNest SNest;
struct SNest {
    NestKind kind;
    int number;
    Block *block; /* BLOCK */
    int axis;     /* LOOP */
    bool backward;
    bool scan; /* linear and elementwise in its own values */
    VEC(int) members;
    VEC(SNest *) children;
};

typedef struct Schedule {
    Arena *arena;
    const Graph *graph;
    Choices choices;
    Remarks *remarks; /* what is decided, in words; NULL: nobody asked */
    IndexRule rule;   /* the first by which an order is found */
    VEC(Value *) values;
    VEC(Access) accesses;
    VEC(int) outputs; /* value of each graph output */
    VEC(int) stops;   /* value of each graph stop */
    VEC(SNest *) nests;
    VEC(Block *) blocks;
    VEC(Family *) families;
} Schedule;

/* Builds the schedule of a graph that went through the passes (composites expanded). NULL after an
 * error: E-LOWER for an operation that is not lowered yet, with its place. */
Schedule *schedule_build(Arena *arena, const Graph *graph, Diags *diags);

/* The same with some choices switched off (NULL: none), and remarks (NULL: none). */
Schedule *schedule_build_with(Arena *arena, const Graph *graph, const Choices *choices,
                              Remarks *remarks, Diags *diags);

/* Text form (--emit=schedule), and back: schedule_parse(schedule_print(s)) prints the same bytes.
 * What an operation needs beside its operands is the graph's; spans become those of the text's
 * lines. NULL after an error (E-SYNTAX, located); what it gives is safe to print and to verify, no
 * more. */
void schedule_print(const Schedule *schedule, Text *out);
Schedule *schedule_parse(Arena *arena, const Graph *graph, const Source *source, Diags *diags);

/* Every rule of docs/internals, section "Schedule"; reports with code "internal". */
bool schedule_verify(const Schedule *schedule, Diags *diags);

/* The index of `value` that a loop over `axis` binds, or -1. */
int schedule_loop_index(const Schedule *schedule, const Value *value, int axis);

/* Does this value need the length of a generated axis, or what lies behind its end? Then it waits
 * for the stop. */
bool schedule_needs_length(const Schedule *schedule, const Value *value, int axis);

/* A random draw whose number is named by positions from the end of this axis (-1: of any). */
bool schedule_draws_from_end(const Schedule *schedule, const Value *value, int axis);

/* The labelled edge of a use, as the analysis of loops sees it. */
DepEdge schedule_edge(const Schedule *schedule, const Value *reader, const Use *use);

/* Whether the values of one loop compute what they read of each other by sums and by products with
 * what comes from outside alone: a scan. */
bool schedule_linear(const Schedule *schedule, const int *members, int count);

/* The number of k chains of a segment with `width` products at batch 1 follows from the shape
 * alone, where none is forced: it decides bits. */
int schedule_chains(const Schedule *schedule, const Block *block, const Family *family, int width);

/* Whether a use by `reader` is of an earlier turn of a loop around the reader's block. */
bool schedule_carried(const Schedule *schedule, const Value *reader, const Use *use);

/* Inputs, parameters, constants and leaves: no block computes them. */
bool schedule_is_leaf(const Value *value);

/* The indices of a value's domain that no loop around its block binds. */
int schedule_map_domain(const Schedule *schedule, const Value *value, int domain[MAX_DOMAIN]);

/* Whether two uses read the same values. */
bool schedule_same_use(const Schedule *schedule, Use a, Use b);

/* Steps of the build, in order; each in its file. */
/* views.c: whether a node is a view of a parameter, and which. */
bool normal_view(const Graph *graph, int id, View *view);
bool normal_values(Schedule *schedule, Diags *diags); /* normal.c: N1, N2 */
/* normal.c: merges sums into a sum that reads them, and products of two values into its pairs. */
void normal_merge(Schedule *schedule, Value *sum);
void normal_sequences(Schedule *schedule);  /* boundaries.c: what has rows by sequence */
void normal_boundaries(Schedule *schedule); /* boundaries.c: one boundary a value */
/* push.c: N3, once `nest` is known; whether anything changed. N5, once blocks are. */
bool normal_push(Schedule *schedule);
void normal_adopt(Schedule *schedule);
/* A product of a matrix of so few columns that a loop better computes it where it needs it. */
enum { SMALL_PRODUCT = 4 };
bool schedule_small_product(const Value *value);
/* nests.c: components, N3 to N5, blocks; false when it has reported why there is no order */
bool normal_nests(Schedule *schedule, Diags *diags);
void stage_blocks(Schedule *schedule);    /* stages.c: stages, partial sums, families, segments */
void storage_decide(Schedule *schedule);  /* storage.c */
void schedule_settle(Schedule *schedule); /* schedule.c: the order of the text */

/* A new value in `schedule`, alive, undecided. */
Value *schedule_value(Schedule *schedule, ValueKind kind, Op op, Type type);

/* Calls `visit` for each use of a value (terms, uses, and the boundaries of their accesses). */
/* The uses of a value one by one, to change them: `i` from 0 below schedule_use_count; NULL where a
 * term has no second factor. */
int schedule_use_count(const Value *value);
Use *schedule_use_at(Value *value, int i);

typedef void (*UseVisit)(void *user, const Use *use, bool boundary);
void schedule_uses(const Schedule *schedule, const Value *value, UseVisit visit, void *user);

/* Is it a sum over the sequences of the batch? */
bool schedule_over_batch(const Value *value);

/* Counts readers and marks what reaches an output or a stop. */
void schedule_liveness(Schedule *schedule);

/* Finds what the boundary of each value calls the indices of the value: its readers' names. */
void schedule_boundary_indices(Schedule *schedule);

/* Finds where each live value is wanted (graph/relation.h). */
void schedule_relations(Schedule *schedule);

#endif
