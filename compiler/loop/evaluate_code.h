/* Inside the Loop evaluator: a function as instructions over a file of registers, made by
 * evaluate_compile.c, executed by evaluate_run.c. A register is a byte offset; a value's lanes lie
 * there side by side in their own type, masks as 0 and 1 of their width. Constants have negative
 * offsets. */
#ifndef RNNC_LOOP_EVALUATE_CODE_H
#define RNNC_LOOP_EVALUATE_CODE_H

#include "loop/evaluate.h"

#define EV_FLOATS(op) op##_F32, op##_F64
#define EV_INTS(op) op##_I32, op##_I64
#define EV_MASKS(op) op##_M32, op##_M64

typedef enum EvCode {
    EV_FLOATS(EV_ADD), EV_INTS(EV_ADD), /* the four of a kind stand in this order: see typed() */
    EV_FLOATS(EV_SUB), EV_INTS(EV_SUB),
    EV_FLOATS(EV_MUL), EV_INTS(EV_MUL),
    EV_FLOATS(EV_DIV), EV_INTS(EV_DIV),
    EV_FLOATS(EV_NEG), EV_INTS(EV_NEG),
    EV_FLOATS(EV_MIN), EV_INTS(EV_MIN),
    EV_FLOATS(EV_MAX), EV_INTS(EV_MAX),
    EV_FLOATS(EV_LT), EV_INTS(EV_LT),
    EV_FLOATS(EV_LE), EV_INTS(EV_LE),
    EV_FLOATS(EV_GT), EV_INTS(EV_GT),
    EV_FLOATS(EV_GE), EV_INTS(EV_GE),
    EV_FLOATS(EV_EQ), EV_INTS(EV_EQ),
    EV_FLOATS(EV_NE), EV_INTS(EV_NE),
    EV_FLOATS(EV_FMA),
    EV_FLOATS(EV_ABS),
    EV_INTS(EV_MOD),
    EV_MULHI,
    EV_INTS(EV_AND),
    EV_INTS(EV_OR),
    EV_INTS(EV_XOR),
    EV_INTS(EV_SHL),
    EV_INTS(EV_SHR),
    EV_MASKS(EV_MAND),
    EV_MASKS(EV_MOR),
    EV_MASKS(EV_MNOT),
    EV_MASKS(EV_SELECT),
    EV_MATH,    /* EXPANDED operation c, on doubles of type `type` */
    EV_CONVERT, /* from type c to `type` */
    EV_MOVE,    /* c bytes */
    EV_SPLAT,   /* an element of c bytes */
    EV_LOAD,    /* buffer b, index in a, aligned: c */
    EV_STORE,   /* buffer b, index in a, value in d, aligned: c */
    EV_BUFFER,  /* sets up buffer b: offset in a (EV_NONE: 0), count in c */
    EV_JUMP,    /* to c */
    EV_MASKS(EV_JUMP_UNLESS), /* a, to c */
    EV_FOR_TEST, /* d below a, or to c */
    EV_FOR_NEXT, /* d by b; below a: to c */
    EV_CALL,    /* calls[c] */
    EV_GEMM,    /* rows, columns, depth in a, b, c; flags in d; three MATRIX follow: C, A, B */
    EV_MATRIX,  /* in buffer b, from the index in a on, the stride in c */
    EV_REGION,  /* on all threads up to c: d is the thread, a how many */
    EV_BARRIER,
    EV_REGION_END,
    EV_RETURN,  /* a of `type`, or nothing for VOID */
    EV_END      /* of a function with a result: a defect */
} EvCode;

typedef struct EvIns {
    uint16_t code, type;
    int32_t lanes, d, a, b, c;
} EvIns;

enum { EV_NONE = INT32_MIN, EV_POOL = -2, EV_MATRICES = 3 };

typedef struct EvConst {
    int32_t at, lanes, size;
    uint64_t bits; /* of one lane, in the low `size` bytes as the host stores them */
} EvConst;

typedef struct EvBuffer {
    char *base;
    int64_t count; /* elements that the program claims */
    int64_t limit; /* elements reachable without asking: 0 until eval_touch has looked at it */
    int64_t room;  /* bytes behind base */
    int size;
    bool shared; /* behind an argument: threads may meet there */
    unsigned char *written; /* locals: for each element */
} EvBuffer;

typedef struct EvCall {
    int callee;
    int32_t result;  /* register, or EV_NONE */
    int32_t *values; /* scalar: its register; pointer: the register of the index */
    int *buffers;    /* pointer: the buffer; scalar: -1; the own pool: EV_POOL */
    LoopValue *args; /* filled at the call */
} EvCall;

/* What a thread of a region has of its own; the file of registers and the buffers as of its
 * beginning, then what it does with them. */
typedef struct EvThread {
    char *regs;
    EvBuffer *buffers;
    int next, met; /* instructions: where it goes on, where it waits */
} EvThread;

typedef struct EvFunction {
    const LFunction *function;
    VEC(EvIns) code;
    VEC(const LStmt *) where; /* of each instruction; NULL in the prologue */
    VEC(EvConst) consts;
    VEC(EvCall) calls;
    int32_t *vars;            /* register of each variable */
    int32_t low, high;        /* registers lie in [low, high) */
    char *regs;
    EvBuffer *buffers;
    const LoopValue *args;    /* of the call in progress */
    EvThread *team;           /* of its regions, kept from one to the next */
    int team_count;
} EvFunction;

struct LoopProgram {
    Arena *arena;
    const LoopModule *module;
    EvFunction *functions;
    int64_t steps; /* turns of loops and calls in one call */
    struct EvShadow *shadow; /* who has touched what since the last barrier; made when needed */
};

/* One run: where an error goes. */
typedef struct EvRun {
    LoopProgram *program;
    Arena *arena;
    const char *message;
    int64_t steps; /* left */
    int thread;    /* of a region with more than one; -1: there is none */
} EvRun;

void eval_compile(Arena *arena, const LoopModule *module, EvFunction *to);

/* Calls function `index`; false with run->message set on a defect. */
bool eval_call(EvRun *run, int index, const LoopValue *args, int arg_count, int64_t *result);

/* Executes the code of a function whose arguments are in place, from an instruction on; *at is the
 * one reached. MET: a barrier, or the end of a region. */
typedef enum EvStop { EV_FAILED, EV_RETURNED, EV_MET } EvStop;
EvStop eval_execute(EvRun *run, EvFunction *f, int from, int64_t *result, int *at);

/* evaluate_region.c. All threads of a region, each up to its next barrier, in turn. *at is the
 * instruction that fails. */
bool eval_region(EvRun *run, EvFunction *f, const EvIns *region, int *at);

/* A product of matrices, by plain loops (evaluate_gemm.c). */
bool eval_gemm(EvRun *run, EvFunction *f, const EvIns *ins);

/* Notes that the thread touches `lanes` elements of memory behind an argument; false with run->message where another
 * thread has done so since the last barrier, and one of the two writes. */
bool eval_meet(EvRun *run, const EvFunction *f, const EvIns *ins, int64_t index, int lanes,
               bool writes);

/* This memory is another thing from now on. */
void eval_forget(EvRun *run, const char *at, int64_t bytes);

void eval_where(const EvRun *run, const EvFunction *f, int at, Text *out);

/* Looks closely at an access that the fast test did not let through; true makes it legal. */
bool eval_touch(EvRun *run, EvFunction *f, int buffer, int64_t index, int lanes);

/* Lanes of EXPANDED operation `op` (evaluate_math.c). */
void eval_math(ScalarOp op, LoopType type, int lanes, void *d, const void *a, const void *b);

/* Lanes of a conversion; false: a float out of the integer's range. */
bool eval_convert(LoopType from, LoopType to, int lanes, void *d, const void *a);

#endif
