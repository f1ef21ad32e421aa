/* The Loop IR: nested loops over flat buffers, with explicit lanes, fma and order; no tensors,
 * gates, states or gradients, and nothing of C or LLVM.
 *
 * It deals with memory, not with arrays: a buffer is a run of elements somewhere behind a pointer
 * argument, on the stack, or in a constant table; an index is an integer expression that counts
 * elements. Everything that decides bits or speed is decided before: backends print, one case a
 * node. There are no optimisation passes on it but the expansion of math and the removal of fma for
 * targets without. */
#ifndef RNNC_LOOP_LOOP_H
#define RNNC_LOOP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "support/diag.h"
#include "support/names.h"
#include "support/text.h"
#include "support/vec.h"

/* M32 and M64 are masks, made by comparisons of that width, never stored; I8 is storage only
 * (bools, narrow weights), U16 the storage of bfloat16. Arithmetic is done in F32, F64, I32 and
 * I64. */
typedef enum LoopType {
    LT_F32,
    LT_F64,
    LT_I8,
    LT_U16,
    LT_I32,
    LT_I64,
    LT_M32,
    LT_M64,
    LT_VOID
} LoopType;

typedef enum ScalarOp {
#define SCALAR_OP(id, text, operands, kind) SOP_##id,
#include "loop/scalar_ops.def"
#undef SCALAR_OP
    SOP_COUNT
} ScalarOp;

typedef enum ScalarKind {
    SK_ARITH,
    SK_BITS,
    SK_COMPARE,
    SK_MASK,
    SK_SELECT,
    SK_CONVERT,
    SK_EXPANDED
} ScalarKind;

typedef struct ScalarOpInfo {
    const char *text;
    int operands;
    ScalarKind kind;
} ScalarOpInfo;

extern const ScalarOpInfo scalar_op_info[SOP_COUNT];

typedef enum LExprKind {
    LE_FLOAT, /* number, of type F32 (already rounded) or F64; lanes 1 */
    LE_INT,   /* integer, of type I32 or I64; lanes 1 */
    LE_VAR,   /* var */
    LE_LOAD,  /* `lanes` consecutive elements of `buffer` from index a; aligned: index*size is a
                 multiple of lanes*size; or, where `integer` is not 0, so far apart */
    LE_OP,    /* op on a, b, c, all of the expression's lanes */
    LE_SPLAT, /* a (lanes 1) in every lane */
    LE_LANE   /* lane `integer` of a, lanes 1 */
} LExprKind;

typedef struct LExpr LExpr;
struct LExpr {
    LExprKind kind;
    LoopType type;
    int lanes;
    ScalarOp op;
    double number;
    int64_t integer;
    int var, buffer;
    bool aligned;
    LExpr *a, *b, *c;
};

typedef enum LStmtKind {
    LS_LET,     /* var = value, once; visible to the end of the block */
    LS_MUTABLE, /* the same, and LS_SET may follow */
    LS_SET,     /* var = value */
    LS_STORE,   /* value's lanes to `buffer` from `index` */
    LS_FOR,     /* var from low below high by step (constant > 0); var is an I64, not to be set; the
                 * body changes nothing     that high reads */
    LS_IF,      /* condition (a mask, lanes 1) then body else otherwise */
    LS_BREAK,   /* leaves the innermost LS_FOR */
    LS_RETURN,  /* value, or NULL in a void function */
    LS_PARALLEL, /* a region: body once on every thread of the function's pool, var is the thread,
                  * var2 the number of threads; without a pool once, as thread 0 of 1. `low`, where
                  * it is not NULL: one thread needs about so many ns, and meets others at `high`
                  * barriers; as thread 0 of 1, too, where the runtime finds that faster */
    LS_BARRIER,  /* all threads of the region meet */
    LS_CALL,     /* a function of the same module: callee, args (for a pointer: a LOAD of one lane,
                  * whose address is meant; element 0 of an argument: what was
                  * given, NULL too; for a pool: NULL, the own one is meant); var: declared for
                  * the result, or -1 */
    LS_GEMM,     /* a product of matrices by the runtime, in an order of its own: args, gemm */
    LS_COMMENT   /* text, for readers of what is emitted */
} LStmtKind;

/* C = A B (rows × columns, each a sum of `depth` products), added to what C holds with GEMM_ADD,
 * subtracted with GEMM_MINUS. C, A and B are LOADs of one lane, whose addresses are meant; each
 * lies row by row, so many elements from row to row, A as its transpose with GEMM_A_TRANSPOSED, B
 * alike. C overlaps neither A nor B. Sizes of 0 or less: of rows or columns, nothing is done; of
 * depth, C becomes 0 or, with GEMM_ADD, stays. The order of each sum is the library's, so its bits
 * are, too. */
typedef enum GemmArg {
    GEMM_C,
    GEMM_A,
    GEMM_B,
    GEMM_ROWS,
    GEMM_COLUMNS,
    GEMM_DEPTH,
    GEMM_C_STRIDE,
    GEMM_A_STRIDE,
    GEMM_B_STRIDE,
    GEMM_ARGS
} GemmArg;
enum { GEMM_ADD = 1, GEMM_MINUS = 2, GEMM_A_TRANSPOSED = 4, GEMM_B_TRANSPOSED = 8 };

typedef struct LStmt LStmt;
typedef VEC(LStmt *) LBlock;

/* A line of the source, for debuggers; line 0: none. */
typedef struct LPlace {
    Name file;
    int line;
} LPlace;

struct LStmt {
    LStmtKind kind;
    LPlace at;
    int var, var2;
    int buffer;
    LExpr *index, *value; /* STORE; LET, MUTABLE, SET, RETURN: value; IF: value is the condition */
    LExpr *low, *high;
    int64_t step;
    bool aligned;
    bool rolled; /* FOR: the compiler behind must not unroll it */
    LBlock body, otherwise;
    int callee;
    int gemm; /* flags */
    VEC(LExpr *) args;
    const char *text;
};

typedef struct LVar {
    Name name; /* a hint: backends make it unique */
    LoopType type;
    int lanes;
    bool mutable_;
} LVar;

typedef enum LBase { LB_ARG, LB_LOCAL, LB_TABLE } LBase;

/* `count` elements of `type`. LB_ARG: behind the pointer argument `arg`, `offset` bytes from its
 * start (an I64 expression over the scalar arguments); LB_LOCAL: on the stack, count constant;
 * LB_TABLE: constant data. align is 64 (packed weights, state, workspace, locals, tables) or 0 (the
 * element's). Two buffers of a function overlap only where `alias` of the later one names the
 * earlier one + 1; those of one chain of aliases may all overlap. */
typedef struct LBuffer {
    Name name;
    LoopType type;
    LBase base;
    int arg;
    LExpr *offset, *count;
    int align;
    int alias;
    bool written;
    const double *table; /* LB_TABLE: count numbers */
    const char *layout;  /* "[t][batch][128]", for comments; or NULL */
} LBuffer;

/* Regions. What a thread writes another may touch behind the next barrier, or the region's end, and
 * not before. The body reads variables and buffers from outside; of the variables it sets its own
 * alone. Each thread has LB_LOCAL buffers of its own, which hold nothing when it begins; those
 * outside are others, and stay as they are. All threads reach the same barriers: none stands under
 * a condition or in a loop that may differ from thread to thread. No RETURN or BREAK leaves a
 * region, no region lies in another, nor in a function with a pool that is called from one.
 *
 * A scalar argument has a variable of the function that stands for it; a pointer argument is
 * reached through buffers only. `pool`: the threads for the function's regions, a pointer that may
 * be NULL (one thread), without buffers; a function has one at most. */
typedef struct LArg {
    Name name;
    LoopType type; /* scalar: I32 or I64; pointer: the element's type, LT_VOID for bytes */
    bool pointer, written, nullable, pool;
    int var; /* scalar: its variable; nullable pointer: an I32 variable that is 0 when it is NULL,
                else 1 (or -1: not asked); others -1 */
    const char *doc; /* one line: shape, layout, unit, who owns it */
} LArg;

typedef struct LFunction {
    Name name;       /* without the prefix: "forward", "step" */
    LoopType result; /* I32: a status; I64: a size; VOID */
    bool exported;   /* static otherwise */
    const char *doc; /* what it does, for the header; lines separated by \n */
    VEC(LArg) args;
    VEC(LBuffer) buffers;
    VEC(LVar) vars;
    LBlock body;
} LFunction;

/* Status codes that generated functions return. */
typedef enum LoopStatus {
    LOOP_OK = 0,
    LOOP_BAD_LENGTH = 1,  /* a length, a number of steps or a batch size out of its range */
    LOOP_BAD_VALUE = 2,   /* an int input or label out of its range at a valid position */
    LOOP_BAD_SPACE = 3,   /* workspace or state too small */
    LOOP_BAD_POINTER = 4, /* NULL where an array is needed, or weights, state or workspace not
                             aligned to 64 bytes */
    LOOP_BAD_LOSS = 5     /* the divisor of a loss is 0 */
} LoopStatus;

/* What the code is for. `lanes` of F32 (F64 has half, at least 1). */
typedef struct Target {
    const char *name; /* "generic", "x86-64-v3", … */
    int lanes;        /* 1, 4, 8, 16 */
    bool fma;
    int registers; /* vector registers: 16 or 32 */
    int64_t l2_bytes;
} Target;

typedef struct LoopModule {
    Arena *arena;
    Names *names;
    Name prefix;
    Target target;
    LoopType real; /* F32 or F64: the model's dtype */
    VEC(LFunction *) functions;
    LPlace home, at; /* of what has no place of its own: where a function begins; of statements that
                        are built now */
} LoopModule;

LoopModule *loop_module_new(Arena *arena, Names *names, Name prefix, Target target, LoopType real);
LFunction *loop_function(LoopModule *module, const char *name, LoopType result, bool exported);

/* Expressions. Integer operations fold constants (x+0, x*1, c*c …); nothing else is changed. The
 * operands of an operation have equal lanes; `loop_splat` of lanes 1 is its argument. */
LExpr *loop_float(LoopModule *module, LoopType type, double value);
LExpr *loop_int(LoopModule *module, int64_t value); /* I64 */
LExpr *loop_int_of(LoopModule *module, LoopType type, int64_t value);
LExpr *loop_var(LoopModule *module, const LFunction *function, int var);
LExpr *loop_load(LoopModule *module, const LFunction *function, int buffer, LExpr *index, int lanes,
                 bool aligned);
/* Elements that lie `apart`, at least 2, from each other, in the lanes of a vector. */
LExpr *loop_load_apart(LoopModule *module, const LFunction *function, int buffer, LExpr *index,
                       int lanes, int64_t apart);
LExpr *loop_op(LoopModule *module, ScalarOp op, LExpr *a, LExpr *b, LExpr *c);
LExpr *loop_convert(LoopModule *module, ScalarOp op, LoopType to, LExpr *a); /* CONVERT, BITCAST */
LExpr *loop_splat(LoopModule *module, LExpr *a, int lanes);
LExpr *loop_lane(LoopModule *module, LExpr *a, int lane);

/* Short forms for I64 index arithmetic. */
LExpr *loop_add(LoopModule *module, LExpr *a, LExpr *b);
LExpr *loop_sub(LoopModule *module, LExpr *a, LExpr *b);
LExpr *loop_mul(LoopModule *module, LExpr *a, LExpr *b);
LExpr *loop_min(LoopModule *module, LExpr *a, LExpr *b);

/* Statements, appended to `block`. Those that declare a variable return it. */
int loop_let(LoopModule *module, LFunction *function, LBlock *block, const char *name,
             LExpr *value);
int loop_mutable(LoopModule *module, LFunction *function, LBlock *block, const char *name,
                 LExpr *value);
void loop_set(LoopModule *module, LBlock *block, int var, LExpr *value);
void loop_store(LoopModule *module, LBlock *block, int buffer, LExpr *index, LExpr *value,
                bool aligned);
LStmt *loop_for(LoopModule *module, LFunction *function, LBlock *block, const char *name,
                LExpr *low, LExpr *high, int64_t step);
LStmt *loop_if(LoopModule *module, LBlock *block, LExpr *condition);
void loop_return(LoopModule *module, LBlock *block, LExpr *value);
void loop_break(LoopModule *module, LBlock *block);
void loop_comment(LoopModule *module, LBlock *block, const char *text);
LStmt *loop_parallel(LoopModule *module, LFunction *function,
                     LBlock *block); /* variables: thread, threads */
void loop_barrier(LoopModule *module, LBlock *block);
/* Calls module->functions[callee]; gives the variable of the result, -1 of a void function. */
int loop_call(LoopModule *module, LFunction *function, LBlock *block, int callee,
              LExpr *const *args, int count);

/* Arguments as GemmArg says. */
void loop_gemm(LoopModule *module, LBlock *block, int flags, LExpr *const args[GEMM_ARGS]);
/* Its name in the runtime. */
const char *loop_gemm_symbol(LoopType type);
bool loop_has_gemm(const LoopModule *module);

/* Arguments and buffers. A scalar gives its variable, a pointer its place in `args` (what
 * LBuffer.arg wants); a nullable pointer gets its `var` here. */
int loop_arg_scalar(LoopModule *module, LFunction *function, const char *name, LoopType type,
                    const char *doc);
int loop_arg_pointer(LoopModule *module, LFunction *function, const char *name, LoopType type,
                     bool written, bool nullable, const char *doc);
/* The pool; and its place in the arguments of a function, -1 where it has none. */
int loop_arg_pool(LoopModule *module, LFunction *function, const char *name, const char *doc);
int loop_pool(const LFunction *function);
int loop_buffer(LoopModule *module, LFunction *function, LBuffer buffer);

/* Bytes of one element; width 0 for LT_VOID. */
int loop_type_size(LoopType type);
const char *loop_type_text(LoopType type); /* "f32", "i64", "m32" … */
LoopType loop_mask_of(LoopType type);      /* M32 for 4-byte types, M64 for 8-byte types */

/* Every rule: types, lanes, variables declared before use and in scope, LET once, indexes I64,
 * masks, buffers in range where constant, aligned accesses on aligned buffers, constant counts of
 * locals, no product that feeds a sum (where the target has fma), nothing behind a RETURN or BREAK
 * in its block, what is said of regions (as far as can be seen), calls form no cycle, and (final)
 * no EXPANDED operation and no FMA on a target without. Reports with code "internal". */
bool loop_verify(const LoopModule *module, bool final, const char *after, Diags *diags);

/* Text form and back, the same bytes when printed again. */
void loop_print(const LoopModule *module, Text *out);
LoopModule *loop_parse(Arena *arena, Names *names, const Source *source, Diags *diags);

/* The last statement of `block`, a loop by single steps from 0, as one that takes `times` of them a
 * turn, and another one for those that are left (unroll.c). Below 2: it stays. */
void loop_unroll(LoopModule *module, LFunction *function, LBlock *block, int times);

/* Replaces EXPANDED operations by polynomials (expand_math.c), then FMA by MUL and ADD where the
 * target has none. */
void loop_expand_math(LoopModule *module);

#endif
