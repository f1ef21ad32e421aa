/* The C backend, inside: one C99 file from a Loop module. emit.c orders the file; stmt.c,
 * expr.c and ops.c have one case a node; region.c makes functions of parallel regions, gemm.c calls
 * for products of matrices; scope.c keeps names apart; types.c spells types and constants;
 * prelude.c and soft_fma.c print what the rest turned out to need. */
#ifndef RNNC_BACKENDS_C_C_H
#define RNNC_BACKENDS_C_C_H

#include "../backend.h"
#include "../identifier.h"
#include "../live.h"

extern const Backend c_backend;

/* What the printed functions need of the prelude, for each type and lane count. */
typedef enum CUse {
    USE_VECTOR = 1,    /* typedef f32x16 */
    USE_UNALIGNED = 2, /* typedef f32x16_any, at an element's alignment */
    USE_UNSIGNED = 4,  /* typedef u32x16 (of I32, I64) */
    USE_SPLAT = 8,
    USE_SELECT = 16,
    USE_MIN = 32,
    USE_MAX = 64,
    USE_FMA = 128,
    USE_ALIAS = 256,     /* lanes 1: typedef f32_any, for memory behind a void pointer */
    USE_FROM_BITS = 512, /* lanes 1: f32_of_bits */
    USE_TO_BITS = 1024,  /* lanes 1: bits_of_f32 */
    USE_ABS = 2048,      /* lanes 1: abs_f32 */
    USE_MULHI = 4096     /* of I32 */
} CUse;

enum { C_LANE_LEVELS = 7 }; /* 1, 2, 4 … 64 lanes */

typedef struct CUses {
    unsigned of[LT_VOID + 1][C_LANE_LEVELS];
} CUses;

/* What one statement knows of an expression: how often it is used, and the constant that holds it.
 */
typedef struct CNode {
    const LExpr *expr;
    int uses;
    bool prepared;
    const char *name;
} CNode;

typedef VEC(CNode) CNodes;

/* How strongly C binds; BITS asks for parentheses around every operator inside, as compilers do. */
typedef enum Binding {
    B_ANY,
    B_TERNARY,
    B_OR,
    B_AND,
    B_COMPARE,
    B_BITS,
    B_ADD,
    B_MUL,
    B_UNARY,
    B_POST
} Binding;

/* An identifier that is visible: itself, the word that it was made of, and the word's last number
 * before it. */
typedef struct CScopeName {
    struct CWord *own, *base;
    int before;
} CScopeName;

typedef struct CScope {
    VEC(CScopeName) stack;
    struct CWord **words; /* by name: open hash table */
    int word_count, word_room;
} CScope;

typedef struct EmitC {
    const LoopModule *module;
    const LFunction *function;
    Arena *arena;
    Text *out;
    Diags *diags;
    int depth; /* of indentation, 4 blanks each */
    LPlace at; /* in the source; no line: nobody asks */
    CUses uses;
    Live live;
    const char **vars, **buffers; /* their identifiers, once declared */
    bool *used;                   /* [buffers]: of the statement at hand */
    bool *overlaps;               /* [buffers]: another one may lie in the same memory */
    const char *prefix, *upper;   /* of the module, as an identifier and in capitals */
    CScope scope;
    const char *const *args; /* the function's, as they are called */
    Text *regions;           /* functions that this one runs on its pool */
    const bool *loads;       /* [buffers]: outside of regions; NULL: there is no pool */
    int region_count;
    bool any_region;    /* in the module */
    bool any_choice;    /* of them, one that may run on one thread */
    bool any_gemm;      /* the same */
    const char *pool;   /* the pool, as it is called where we are */
    const char *thread; /* within a region: its variable */
    CNode *nodes;       /* of the statement being printed: open hash table */
    int node_count, node_room;
} EmitC;

/* expr.c. A statement calls c_expr_begin, c_expr_count on each of its expressions, c_expr_prepare
 * on each (which prints the constants that must stand before the statement; with a hint, the
 * expression itself becomes one), then c_expr. */
void c_expr_begin(EmitC *c);
void c_expr_count(EmitC *c, const LExpr *expr);
void c_expr_prepare(EmitC *c, const LExpr *expr, const char *hint);
void c_expr(EmitC *c, Text *out, const LExpr *expr);

/* `*(const f32x16 *)(w + i)`, or `w[i]`. */
void c_element(EmitC *c, Text *out, int buffer, const LExpr *index, int lanes, bool aligned,
               bool written);

/* `e` as an operand of an operator that binds as `around` does. */
void c_print(EmitC *c, Text *out, const LExpr *e, Binding around);

/* Whether a conversion is printed lane by lane. */
bool c_by_lane(const LExpr *e);

/* ops.c. c_open and c_close put the parentheses that `own` within `around` needs. */
void c_operation(EmitC *c, Text *out, const LExpr *e, Binding around);
void c_open(Text *out, Binding own, Binding around);
void c_close(Text *out, Binding own, Binding around);

/* types.c. A constant of C of this type. */
void c_number(Text *out, LoopType type, double value);
void c_integer(Text *out, LoopType type, int64_t value);

/* f32x16, or float for lanes 1; the prelude will define it. c_use asks for more (CUse). */
const char *c_type(EmitC *c, LoopType type, int lanes);
void c_use(EmitC *c, LoopType type, int lanes, unsigned use);

/* The element of a vector in lower and upper case, f32 and F32; masks are integers. */
const char *c_element_name(LoopType type);
const char *c_element_upper(LoopType type);
bool c_is_float(LoopType type);
bool c_is_mask(LoopType type);

/* scope.c. Declares an identifier: the first of hint, hint_2, hint_3 … that nothing visible has.
 * c_leave ends the newest until `visible` are left, as many as c_visible said. */
const char *c_declare(EmitC *c, const char *hint);
int c_visible(const EmitC *c);
void c_leave(EmitC *c, int visible);

/* emit.c. A string constant. */
void c_string(const char *string, Text *out);

/* stmt.c. c_line ends and writes one line of code, c_put a line of text; c_buffer declares one;
 * c_buffer_type is `const float *`, and `restrict` where no other buffer may lie in its memory and
 * that is `wanted`. */
void c_line(EmitC *c, Text *line);
void c_put(EmitC *c, const char *text);
void c_block(EmitC *c, const LBlock *block);
void c_buffer(EmitC *c, int buffer);
const char *c_buffer_type(EmitC *c, int buffer, bool wanted);
void c_function(EmitC *c, const LFunction *function);

/* region.c */
void c_region(EmitC *c, const LStmt *region);
void c_barrier(EmitC *c);
void c_pool_prototypes(Text *out, bool choices);

/* gemm.c */
void c_gemm(EmitC *c, const LStmt *s);
void c_gemm_prototype(LoopType type, Text *out);

/* prelude.c */
void c_prelude(const CUses *uses, const LoopModule *module, Text *out);
void c_soft_fma(LoopType type, Text *out);

#endif
