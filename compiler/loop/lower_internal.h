/* What the files of lowering share: the state of one function that is being built, and where values
 * lie in it. */
#ifndef RNNC_LOOP_LOWER_INTERNAL_H
#define RNNC_LOOP_LOWER_INTERNAL_H

#include "loop/lower.h"

/* A size in elements or bytes: Σ coefficient · Π symbol^power. Symbol 0 is the batch, symbol 1+a
 * the array extent of axis a. Kept as a polynomial so that sizes print as short expressions. */
enum { MAX_SYMBOLS = INTERFACE_SYMBOLS };
typedef struct Monomial {
    int64_t coefficient;
    unsigned char power[MAX_SYMBOLS];
} Monomial;
typedef struct Size {
    int count;
    Monomial terms[24];
} Size;

/* Where the rows of a value lie in a function. A row is its elements, row-major, at one position.
 */
typedef struct RowPlace {
    int buffer; /* -1: not in memory */
    LoopType type;
    int64_t stride; /* elements from row to row */
    bool padded;    /* rows are whole vectors, aligned */
    bool batched;
    LExpr *shift; /* elements before the first row; NULL: none */
    int panel;    /* how many values lie side by side there (lower_panel.c); 0: rows of its own */
    int slot;     /* which of them this one is */
    int dim_count;
    int dims[MAX_DOMAIN]; /* indices, outermost first */
    int64_t pre[MAX_DOMAIN], post[MAX_DOMAIN];
    int ring;            /* step: number of slots; 0: none */
    int64_t window, low; /* step, of a value over two positions: rows of each sequence, and the
                            position of the first of them, from the current one; 0: one row */
} RowPlace;

/* Values side by side: how many, and where. */
typedef struct Panel {
    int count, buffer;
} Panel;

/* What a state keeps of a variable. LAGS: `ring` slots of one row a sequence, the value at lag j in
 * slot (clock - j) mod ring; ring 0: one row, updated in place. FIRST: the row of the first step.
 * RUNNING: a reduction over the steps so far. */
typedef enum KeptKind { KEPT_LAGS, KEPT_FIRST, KEPT_RUNNING } KeptKind;
typedef struct Kept {
    KeptKind kind;
    int value;
    int lags, ring;
    int carried; /* lags that chunks of the sequence function carry, too: at most `lags` */
    bool slots;  /* one row that a loop updates in place is not enough */
    Size offset; /* bytes from the start of the state */
    Name name;   /* of its buffer; no other has it */
} Kept;

/* The positions of one index, counted from the current one, at which a step has a value over two
 * indices: from low below high. index -1: it is over one. */
typedef struct Window {
    int index;
    int64_t low, high;
} Window;

/* Functions over whole sequences. Those of training pack the parameters, which change from call to
 * call, into their workspace. */
typedef enum SequenceKind { SEQUENCE_FORWARD, SEQUENCE_LOSS, SEQUENCE_GRAD } SequenceKind;

/* The parts of a gradient in chunks (lower_tape.c), each lowered from a schedule of its own, and
 * the sizes of their values. */
typedef struct LowerTape {
    int axis, longest_lag;
    int64_t budget; /* bytes; 0: none */
    int row_count, total_count;
    const Type *rows, *totals;
    const Graph
        *graphs[TAPE_PARTS]; /* that the parts, or what they are the gradients of, came from */
    struct Lower *parts[TAPE_PARTS];
    Size sizes[TAPE_PARTS];
} LowerTape;

typedef struct Lower {
    Arena *arena;
    LowerTape *tape; /* of a gradient; NULL: it keeps all of the tape */
    SequenceKind kind;
    const struct Lower *layout; /* whose layout of the state this one has, too; NULL: its own */
    Names *names;
    const Schedule *schedule;
    const Graph *graph;
    LowerOptions options;
    LoopModule *module;
    Interface *interface_;
    Diags *diags;
    LoopType real;          /* F32, F64 */
    LoopType integer;       /* I32, I64: integers of vectors */
    int lanes;              /* of `real` */
    int64_t *family_offset; /* in packed weights, by family */
    int64_t *plain_offset;  /* by value: VALUE_PARAM read element by element; -1 */
    /* lower_gemm.c */
    bool *gemm;             /* by family: its products are a library's, but in a step */
    int *gemm_in;           /* by value that products are added up in: in whose rows; -1 */
    bool *gemm_home;        /* by value: some are added up in its rows */
    int64_t *matrix_offset; /* by product: of its matrix, row by row, in packed weights; -1 */
    bool steps;             /* there is a step function, which reads packed tiles */
    int64_t weight_count;   /* numbers */
    bool *axis_used;        /* by axis */
    VEC(Kept) kept;
    Size clock_offset, positions_offset, state_size;
    bool *feeds_math; /* by value: a function of the expansion reads it */
    const char *
        *labels;      /* by value: a name for readers of the code, where it has none of its own */
    LExpr **computed; /* by value: of the epilogue that is being made, in lower_family.c */
    struct Loaded **loaded; /* the same */
    bool carries;           /* the sequence function takes a state */
    int *carry_place;       /* by carry of the graph: which of the axes that have one */
    int position_places;    /* how many axes have one, at least 1: each has positions of its own */
    bool *late;             /* by value: without time, but made from what is over time */
    Window *windows;        /* by value; index -1 where it has none */
    /* lower_delay.c; the last entry is of who reads the outputs, and of all that has no position */
    int step_axis;
    int64_t *delay;  /* by value, in steps of the run axis */
    int64_t latency; /* of the outputs */
    int64_t period;  /* of all slower axes together; 1: there is none */
    bool *outside;   /* by value: boundary values are read from its row of a step */
    Size ends_offset;
} Lower;

typedef struct Fn {
    Lower *lower;
    LFunction *fn;
    bool step;
    bool sequence; /* over whole sequences */
    Size before;   /* bytes of the workspace before the values */
    LExpr *base;   /* and before these, where a function has several parts; NULL: none */
    LExpr *begin;  /* position of the sequence where a chunk begins; NULL: there are no chunks */
    LExpr *steps;  /* with `begin`: positions that the caller's arrays have */
    LExpr *batch;
    LExpr **extent;        /* by axis: positions that arrays have */
    LExpr **longest;       /* by axis: largest length of the batch */
    int *lengths;          /* by axis: buffer of I64 [batch], or -1 */
    int weights;           /* buffer */
    int params;            /* buffer, where the function takes them flat; -1 */
    int state;             /* argument, or -1 */
    RowPlace *places;      /* by value */
    RowPlace *firsts;      /* step, by value: the row of the first step */
    RowPlace *runs;        /* step, by value: the reduction so far */
    RowPlace *inputs;      /* by graph input: the caller's tensor */
    LExpr **loop_position; /* by axis: inside a loop over it */
    LExpr **map_position;  /* by index: inside a loop over a map index */
    LExpr **window_at; /* step, by index: inside a loop over a window, the position from the current
                          one */
    LExpr *pointers[MAX_DOMAIN + 1]; /* by use of the row operation that reads through them */
    LExpr *clock;                    /* step: number of the call, for rings and zig-zag */
    int positions; /* buffer of I64 [axes that carry][batch]: steps since the reset; -1 */
    int ends;      /* step with a latency: buffer of I64 [batch], the length once it is known */
    int start; /* forward of a model that carries: buffer of I64 [axes that carry][batch], position
                  where the chunk begins; -1 */
    LExpr *has_state; /* forward of a model that carries: a mask; NULL elsewhere */
    unsigned char *filled_pre, *filled_post; /* by value: boundary rows are in place, a bit a dim */
    LExpr **given; /* by graph input: a mask that is false when the caller gave none; NULL: always
                      given */
    LExpr *parity; /* parity of the innermost loop, or NULL: zig-zag */
    uint64_t *wanted; /* by value: for which of these arguments, a bit each; NULL: all always */
    VEC(int) wanted_args;
    int panel, panel_rows, panel_side; /* lower_outer.c: buffers, or -1 */
    int gathered[2];       /* lower_outer_gemm.c: buffers, of columns and of rows of the results */
    VEC(Panel) panels;     /* lower_panel.c */
    int *panel_of;         /* by value: 1 + its panel, 0 where it has none; or NULL */
    bool *summed;          /* by value: it was, together with another one */
    int64_t *added;        /* by value: 1 + where in the gradients the sum itself adds it; 0: not */
    /* In a region (lower_threads.c); NULL: in none, or all of it. */
    LExpr *thread, *threads;
    LExpr *part, *parts;       /* of the groups of a family */
    LExpr *row_low, *row_high; /* sequences that families compute */
    LExpr *own_low, *own_high; /* sequences that row operations compute */
    LExpr *meet;               /* do threads wait for each other after each stage? */
    bool split;                /* does each have a share of the outermost loop over rows? */
    int scratch;               /* LOCAL buffer for accumulators, -1 */
    int64_t scratch_count;
} Fn;

/* A row of a family or of a row operation. */
typedef struct Row {
    LExpr *b;    /* sequence */
    LExpr *flat; /* position*batch + sequence of the one map index, or NULL */
    int flat_index;
} Row;

/* --- lower.c --- */
/* What is built from now on comes from here: the line of a file of the user's, the application
 * where it is the prelude's text. Without a place, from the model as a whole. */
void lower_at(Lower *lower, Span span);

/* --- lower_place.c --- */
LoopType lower_type(const Lower *lower, const Value *value); /* of its elements in memory of ours */
int64_t lower_stride(const Lower *lower, const Value *value);
Size size_constant(int64_t value);
Size size_times(Size a, Size b);
Size size_plus(Size a, Size b);
Size size_symbol(int symbol);
LExpr *size_expr(Fn *fn, Size size);
LExpr *lower_offset(Fn *fn, Size bytes); /* in the workspace */
/* An array of the caller: the buffer that it has already, or a new one. */
int lower_caller_buffer(Fn *fn, LBuffer buffer);
/* Room in the workspace behind *bytes, which is a multiple of 64 and stays one. */
int lower_work_buffer(Fn *fn, int work_argument, const char *name, LoopType type, Size count,
                      const char *layout, Size *bytes);
/* Places for all stored values in the workspace; returns its size in bytes. */
Size place_values(Fn *fn, int work_argument); /* with the lengths of the axes */
LExpr *lower_position(Fn *fn, const Value *reader, int index, const Row *row);
/* In a step, of the sequence so far: up to the position of a reader that has none of its own, and
 * for one that counts its past (lower_counts_past) all that was taken. */
LExpr *lower_length(Fn *fn, const Value *reader, int axis, LExpr *b);
/* The value of an index at a row: counted from the reset where it is carried, from the end where it
 * is mirrored. */
LExpr *lower_count(Fn *fn, const Value *reader, const Attr *attr, const Row *row);
/* Element index where the row of `source` begins that `reader` uses at `access`. */
LExpr *lower_row_in(Fn *fn, const RowPlace *place, const Value *reader, const Value *source,
                    int access, const Row *row);
LExpr *lower_row(Fn *fn, const Value *reader, const Value *source, int access, const Row *row);
/* Does a value differ from sequence to sequence in this function? In a step all that depends on
 * time does. */
bool lower_batched(const Fn *fn, const Value *value);
const RowPlace *lower_place_of(Fn *fn, const Value *source, int access);
bool lower_flat(Fn *fn, const Family *family, int *index);

/* The same of one use by a value without that index. */
bool lower_flat_use(Fn *fn, const Use *use, int index);

/* --- lower_panel.c --- */
void lower_find_panels(Fn *fn);
bool lower_in_panel(const Fn *fn, const Value *value);
bool lower_panels_in(Fn *fn, const Family *family); /* does it read or write one? */
/* From the start of a row to element `index`, the first of a vector; lower_place.c. */
LExpr *lower_along(Fn *fn, const RowPlace *place, LExpr *index);

/* --- lower_threads.c --- */
/* Regions, where they pay: `out` itself where not. Over all positions, of a family in so many
 * groups of tiles; over a loop of the schedule. */
bool lower_may_thread(const Fn *fn);
/* Whose body splits itself; for work of about so many ns on one thread, with barriers (NULL: none)
 * if all run it. */
LBlock *lower_region(Fn *fn, LBlock *out, LExpr *ns, LExpr *barriers);
/* For work over all rows, of which `split` gives each thread some: so many numbers are moved. */
LBlock *lower_rows_region(Fn *fn, LBlock *out, LExpr *numbers);
/* Of `each` multiply-adds, or numbers that are copied or added up, for each of `count`. */
LExpr *lower_ns_of_products(Fn *fn, LExpr *count, int64_t each);
LExpr *lower_ns_of_moves(Fn *fn, LExpr *count, int64_t each);
LBlock *lower_flat_region(Fn *fn, LBlock *out, const Family *family, int64_t groups, LExpr *rows);
LBlock *lower_loop_region(Fn *fn, LBlock *out, const SNest *nest, bool single);
void lower_end_region(Fn *fn);
/* The share of a thread: of rows, in tiles of `rows`, between *low and *high; of groups. Outside of
 * a region, or where the other is split: all. */
void lower_share_rows(Fn *fn, LBlock *out, int rows, LExpr **low, LExpr **high);
/* Over `count` of something: the share of a thread, where it is the outermost of split loops. */
LStmt *lower_split_loop(Fn *fn, LBlock *out, const char *name, LExpr *count, bool outermost);
void lower_share_groups(Fn *fn, LBlock *out, int64_t count, LExpr **low, LExpr **high);
void lower_share(Fn *fn, LBlock *out, LExpr *count, LExpr **low, LExpr **high); /* of anything */
/* A barrier where threads have blocks of units of their own. */
void lower_meet(Fn *fn, LBlock *out);
/* What no thread may do twice. `begins`: behind a barrier. */
LBlock *lower_first_thread(Fn *fn, LBlock *out, bool begins);

/* --- lower_remark.c: what was decided, where somebody asked --- */
void lower_remark_packed(Lower *lower, const Family *family);
void lower_remark_tile(Fn *fn, const Block *block, const Family *family, bool alone, bool flat,
                       int nb);
void lower_remark_gemm(Fn *fn, const Family *family, bool second_pass);
void lower_remark_turn(Fn *fn, const Family *family, bool turning, bool off, int64_t others);
void lower_remark_panel(Fn *fn, int panel);
void lower_remark_kept(Fn *fn);
void lower_remark_unrolled(Fn *fn, const SNest *nest, bool innermost);
void lower_remark_clock(Fn *fn, const Value *held, int64_t period);
void lower_remark_outer(Fn *fn, const Value *const *values, int count, int rows, int vectors);
/* Why a loop stays on one thread: NULL, it need not. Then what its threads share. */
void lower_remark_alone(Fn *fn, const SNest *nest, const char *why);
void lower_remark_loop(Fn *fn, const SNest *nest, bool single, bool units, int64_t bytes,
                       int64_t least, int rows_each);
void lower_remark_flat(Fn *fn, const Family *family, bool groups, int64_t least);

/* --- lower_wanted.c --- */
#define WANTED_ALWAYS UINT64_MAX
/* Finds fn->wanted, once all arguments are there. */
void lower_find_wanted(Fn *fn);
uint64_t lower_wanted(const Fn *fn, const int *values, int count);
/* Where what is wanted for these arguments goes: it runs when one of them was given. */
LBlock *lower_if_wanted(Fn *fn, LBlock *out, uint64_t wanted);

/* An `if` on what no statement changes: the last one of the block goes on where it asks the same.
 */
LBlock *lower_if(Fn *fn, LBlock *out, LExpr *condition);

/* --- lower_outer.c --- */
/* Room for the panels of sums of outer products, where there are any. */
void lower_place_outer(Fn *fn, int work_argument, Size *bytes);

/* --- lower_point.c --- */
typedef enum Want { WANT_REAL, WANT_INT, WANT_MASK } Want;
Want lower_want(const Value *value);
LExpr *lower_as(Lower *lower, LExpr *value, Want want);
/* The value of one operation on its operands, which `get` delivers. */
typedef LExpr *(*GetOperand)(void *user, const Use *use, Want want);
LExpr *lower_point(Fn *fn, LBlock *out, const Value *value, GetOperand get, void *user,
                   LExpr *ticks);
/* SUM: the accumulator so far (or NULL), without the term `skip`. */
LExpr *lower_sum(Fn *fn, LBlock *out, const Value *sum, LExpr *accumulator, int skip,
                 GetOperand get, void *user);
LExpr *lower_let(Fn *fn, LBlock *out, const char *name, LExpr *value);
LExpr *lower_op(Lower *lower, ScalarOp op, LExpr *a, LExpr *b);
LExpr *lower_real(Lower *lower, double value, int lanes);
LExpr *lower_select(Lower *lower, LExpr *mask, LExpr *a, LExpr *b);
const char *lower_name(Lower *lower, const Value *value);
void lower_label(Lower *lower); /* finds the labels */
/* An element of a row for scalar code: value `source` at element `index`, as `want`. */
LExpr *lower_element(Fn *fn, LBlock *out, const Value *reader, const Use *use, const Row *row,
                     LExpr *index, int lanes, Want want);
void lower_store(Fn *fn, LBlock *out, const Value *value, const Row *row, LExpr *index,
                 LExpr *computed);

/* --- lower_family.c --- */
int lower_blocks_of(const Lower *lower, const Block *block, const Family *family); /* NB */
int64_t lower_family_weights(const Lower *lower, const Family *family); /* packed numbers */
int lower_family_lanes(const Lower *lower, const Family *family);
void lower_family(Fn *fn, LBlock *out, const Block *block, const Family *family, bool single);

/* --- lower_gemm.c --- */
void lower_find_gemms(Lower *lower);
bool lower_by_gemm(const Fn *fn, const Family *family);
bool lower_is_tiled(const Lower *lower, const Family *family);     /* in some function */
bool lower_needs_matrix(const Lower *lower, const Value *product); /* a copy of it, row by row */
void lower_gemm_family(Fn *fn, LBlock *out, const Block *block, const Family *family);

/* --- lower_row.c --- */
void lower_prologue(Fn *fn, LBlock *out, const Block *block, const Value *value);
/* Loops over the map indices of a value and its sequences; the row of the innermost body. */
LBlock *lower_rows(Fn *fn, LBlock *out, const Value *value, Row *row);

/* --- lower_draw.c --- */
/* An argument for the seed, where the function draws; `static_only`: what has no position. */
bool lower_seed_argument(Fn *fn, bool static_only);
/* The key of a site (its two words) under the seed; words 0 and 1 of an element of what is at no
 * position and in no batch; and the numbers they make, in f64: rt_uniform and rt_normal. */
void lower_draw_key(Fn *fn, LBlock *out, LExpr *const site[2], LExpr *key[2]);
void lower_draw_words(Fn *fn, LBlock *out, LExpr *const key[2], LExpr *element, LExpr *words[2]);
LExpr *lower_draw_uniform(Fn *fn, LBlock *out, LExpr *const words[2]);
LExpr *lower_draw_normal(Fn *fn, LBlock *out, LExpr *const words[2]);
/* A product that may be added to: written as a sum, so that nobody contracts it. */
LExpr *lower_product(Lower *lower, LExpr *a, LExpr *b);

/* --- lower_check.c --- */
/* Integers of the caller: in range at every valid position. */
void lower_check_inputs(Fn *fn, LBlock *out);

/* --- lower_nest.c --- */
void lower_nests(Fn *fn, LBlock *out);

/* --- lower_fill.c --- */
/* Boundary rows of everything that `reader` reads at other positions, as far as they are known
 * before block `before` and not filled yet. `nest`: the loop that begins then; NULL: a block. */
void lower_fill_uses(Fn *fn, LBlock *out, const Value *reader, int before, const SNest *nest);
/* Inside of a loop, once `boundary` is computed: rows that hold it for who reads earlier in a turn,
 * in turns that follow. */
void lower_fill_late(Fn *fn, LBlock *out, const Value *boundary);
/* After a turn of a loop: rows behind the sequences on axes that it does not bind. */
void lower_fill_again(Fn *fn, LBlock *out, const Value *value);
/* row of `value` at `row` := boundary */
void lower_store_boundary(Fn *fn, LBlock *out, const Value *value, const Row *row);
/* Position `at` of a backward loop lies behind some sequences: their rows hold the boundary. */
void lower_hold_behind(Fn *fn, LBlock *out, const Value *value, int axis, LExpr *at);
/* Inputs that need rows of ours. */
void lower_copy_inputs(Fn *fn, LBlock *out);
void lower_copy_outputs(Fn *fn, LBlock *out);
/* With chunks: a position of the sequence, and the size of an array over all of them. */
LExpr *lower_in_sequence(Fn *fn, LExpr *position);
LExpr *lower_all_steps(Fn *fn, int64_t count);

/* --- lower_args.c --- */
Fn lower_part(Lower *lower, LFunction *function); /* a Fn without arguments of its own */
Fn lower_function(Lower *lower, const char *name, LoopType result, const char *doc, bool step);
int lower_arg(Fn *fn, ArgRole role, int slot);
bool lower_writes_state(const Fn *fn); /* every function but the one that exports it */
void lower_checks(Fn *fn, LBlock *out);
void lower_check_batch(Fn *fn, LBlock *out); /* that of a function without steps or work */
/* Step: the length of sequences that end with this step. */
void lower_note_ends(Fn *fn, LBlock *out);
/* Step: the axes whose position the caller is told, as arguments; and what they are told. */
void lower_at_arguments(Fn *fn);
void lower_store_at(Fn *fn, LBlock *out);
void lower_lengths(Fn *fn, LBlock *out);
/* Step: the block for sequences that take inputs in this step. */
LBlock *lower_going_on(Fn *fn, LBlock *out, LExpr *b);
/* A mask: these bytes may be more than 63 bits hold; NULL: they never are. */
LExpr *lower_too_large(Fn *fn, Size size);
void lower_refuse_size(Fn *fn);              /* -1 when an argument is out of range */
void lower_describe_size(Fn *fn, Size size); /* for the manifest */
void lower_return_size(Fn *fn, Size size);   /* -1 when an argument or the size is out of range */
int lower_finish(Fn *fn);                    /* its number in interface->functions */
const char *lower_shape_text(Lower *lower, const GraphPort *port, bool step);

/* --- lower_state.c --- */
void lower_state_layout(Lower *lower, bool step);
void lower_carry_places(Lower *lower);
void lower_state_functions(Lower *lower);
int lower_state_buffer(Fn *fn, const Kept *kept);
void lower_state_header(Fn *fn); /* clock and positions */
void lower_kept_places(Fn *fn);  /* the rows of a step that the state holds */
/* Element index of lag j of a kept variable, sequence b. */
LExpr *lower_state_row(Fn *fn, const Kept *kept, int lag, LExpr *b);
void lower_save_state(Fn *fn, LBlock *out);
/* Element of fn->positions and fn->start: of sequence b, on the axis of this place. */
LExpr *lower_position_at(Fn *fn, int place, LExpr *b);

/* --- lower_window.c --- */
enum { MOST_WINDOW = 1 << 20 };
/* A reduction over time in a step. RUNNING: at each step the position (now + high - 1), if it is in
 * [from, to), is added to what the state keeps. WINDOW: over positions now + low … now + high - 1.
 * `why` when it is neither. */
typedef enum ReductionKind { REDUCTION_NONE, REDUCTION_RUNNING, REDUCTION_WINDOW } ReductionKind;
typedef struct Reduction {
    ReductionKind kind;
    int64_t low, high, from, to;
    const char *why;
} Reduction;
Reduction lower_reduction(const Lower *lower, const Value *value);
bool lower_over_time(const Value *value);
/* Which positions of dim `d` of its source a use reads in a step, from the current one: from low
 * below high, in positions of the source. RUNNING: the one that is added at this step. RATE: the
 * source is over an axis that is slower or faster than the reader's. */
typedef enum ReachKind {
    REACH_NOW,
    REACH_WINDOW,
    REACH_RUNNING,
    REACH_FIRST,
    REACH_LAST,
    REACH_RATE,
    REACH_UNKNOWN
} ReachKind;
typedef struct Reach {
    ReachKind kind;
    int64_t low, high;
} Reach;
Reach lower_reach(const Lower *lower, const Value *reader, const Use *use, int d);
/* Finds lower->windows; NULL, or why a step has none for the value *where. */
const char *lower_find_windows(Lower *lower, const Value **where);
/* Step: the loop over the window of a value over two positions; else `out`. */
LBlock *lower_window_loop(Fn *fn, LBlock *out, const Value *value);
void lower_leave_window(Fn *fn, const Value *value);
/* min(len(t), t + k), as a mean over the past divides by: known when k - 1 more positions are. */
bool lower_counts_past(const Schedule *schedule, const Value *value, int64_t *k);

/* --- lower_delay.c --- */
#define NO_END (INT64_C(1) << 62)            /* of a sequence that goes on; a double holds it */
const char *lower_find_delays(Lower *lower); /* NULL, or why there are none */
void lower_find_outside(Lower *lower);
int64_t lower_every(const Lower *lower, int index); /* steps of the run axis between positions */
int lower_run_axis(const Lower *lower, int axis);
int64_t lower_lag(const Lower *lower, const Value *reader, const Use *use, int d, bool *held);
LExpr *lower_now(Fn *fn, const Value *reader, LExpr *b);
LExpr *lower_slot(Fn *fn, const Value *reader, const Value *source, int64_t ring, LExpr *offset);
LExpr *lower_slot_before(Fn *fn, const Value *value, LExpr *clock, int64_t ring, LExpr *lag);
LBlock *lower_on_tick(Fn *fn, LBlock *out, const Value *reader, int index);
LExpr *lower_inside(Fn *fn, const Value *reader, LExpr *b);
LExpr *lower_taken(Fn *fn, LExpr *b);
LExpr *lower_floor_div(Fn *fn, LExpr *a, int64_t most, int64_t every);
LExpr *lower_since_tick(Fn *fn, const Value *value, const Row *row);
void lower_hold_outside(Fn *fn, LBlock *out, int block, int stage);
/* Who reads the outputs: a value at their latency over the indices of `value`. */
Value lower_output_reader(const Lower *lower, const Value *value);

/* --- lower_stream.c --- */
const char *lower_no_step(Lower *lower); /* why there is no step function, or NULL */
/* Neither over time nor made from what is: known before the first step. */
bool lower_static(const Lower *lower, const Value *value);
/* The static values, for boundary values that are computed. */
void lower_static_values(Fn *fn, LBlock *out);
bool lower_static_needed(const Lower *lower);
/* Step: first rows that `reader` uses are kept at the first step. */
void lower_keep_first(Fn *fn, LBlock *out, const Value *reader);
void lower_collect_kept(Lower *lower, bool step);

/* Loss of the batch, checked and stored; then gradients, added to what the caller has. */
void lower_store_loss(Fn *fn, LBlock *out);
int lower_gradients_buffer(Fn *fn); /* of the caller, all parameters */
void lower_add_gradients(Fn *fn, LBlock *out);

/* --- lower_pack.c --- */
void lower_layout_weights(Lower *lower);
void lower_pack(Lower *lower); /* the function */
/* Whether the sum that a product is added up in subtracts it. */
bool lower_subtracted(const Schedule *schedule, const Value *product);
/* The parameters `params` (a buffer) into fn->weights. */
void lower_pack_into(Fn *fn, LBlock *out, int params);
int lower_params_buffer(Fn *fn);
/* Packed weights at the start of the workspace. */
void lower_weights_in_work(Fn *fn, int work_argument);

/* --- lower_init.c --- */
void lower_init(Lower *lower); /* first values of the parameters, and the workspace for them */

/* --- lower_tape.c --- */
/* The function that goes by chunks, with the arguments of the one that is being made, and behind
 * them the length and the number of chunks. */
int lower_tape_function(Lower *lower);
/* Calls it with as few chunks as the workspace has room for, and returns; or refuses. */
void lower_tape_call(Fn *fn, LBlock *out, int callee, int bytes_arg);
/* The body of the function that tells the size. */
void lower_tape_sizes(Fn *fn, Size whole, int64_t budget);

/* --- lower_sequence.c --- */
void lower_sequence(Lower *lower);
bool lower_input_live(const Lower *lower, int slot);
void lower_input_arguments(Fn *fn);
/* The pool, behind all other arguments, where threads are wanted. */
void lower_pool_argument(Fn *fn);
void lower_work_check(Fn *fn, LBlock *out, int bytes_arg, Size work);

#endif
