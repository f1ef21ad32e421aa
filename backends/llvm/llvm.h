/* Loop IR as LLVM IR, inside: module.c orders a module, function.c a function, stmt.c, expr.c and
 * ops.c have one case a node, address.c what is loaded and stored; region.c makes functions of
 * parallel regions, part.c of what is large; types.c types and constants; machine.c makes code of a
 * module, jit.c loads it. Nothing here decides speed or meaning: every value, its order and its
 * lanes come from the Loop IR; floating operations carry no flag that would let LLVM change them.
 */
#ifndef RNNC_BACKENDS_LLVM_LLVM_H
#define RNNC_BACKENDS_LLVM_LLVM_H

#include <llvm-c/Core.h>
#include <llvm-c/DebugInfo.h>
#include <llvm-c/TargetMachine.h>

#include "../identifier.h"
#include "../live.h"
#include "../machine.h"

/* The value of an expression within one statement. */
typedef struct LlvmMemo {
    const LExpr *expr;
    unsigned statement;
    LLVMValueRef value;
} LlvmMemo;

/* What grows by the same at each turn of a loop: slope * factor * its variable. */
typedef struct LlvmGrowing {
    uint64_t slope;
    int factor; /* a variable; -1: 1 */
    LLVMValueRef value, step;
    struct LlvmGrowing *next;
} LlvmGrowing;

/* A loop without loops inside. */
typedef struct LlvmLoop {
    const LStmt *stmt;
    LLVMBasicBlockRef before, body; /* that ends with the first test; its first one */
    LLVMValueRef low;
    LlvmGrowing *growing;
} LlvmLoop;

typedef struct EmitLlvm {
    const LoopModule *module;
    const LFunction *function;
    Arena *arena;
    Diags *diags;
    LLVMContextRef context;
    LLVMModuleRef out;
    LLVMBuilderRef builder;
    LLVMValueRef *functions;     /* [module->functions] */
    const char *version;         /* behind its symbols, where there are several; else NULL */
    const MachineTarget *target; /* what it is compiled for */
    Live live;
    LLVMValueRef self; /* the function at hand */
    /* Of the function at hand: values of variables, or where one that is set lies; the first
     * element of each buffer; what its accesses are marked with, so that those of buffers that do
     * not overlap are known to be apart. */
    LLVMValueRef *vars, *buffers, *marks;
    const LExpr **lets;         /* [vars]: what it is declared as; NULL: not yet, or not at once */
    LLVMValueRef *kept;         /* [args]: where each lies on the stack */
    LLVMBasicBlockRef after;    /* of the innermost loop: where a BREAK leads */
    LlvmLoop *loop;             /* at hand; NULL: none, or one with loops inside */
    LLVMValueRef entry;         /* the branch before which room on the stack is taken */
    LLVMDIBuilderRef places;    /* with -g; NULL: nobody asks for lines */
    LLVMMetadataRef unit;       /* compile unit */
    LLVMMetadataRef subprogram; /* of the function at hand */
    LLVMValueRef pool, thread;  /* within a region: where the pool is kept, and the thread */
    int region_count;           /* of the function at hand */
    bool splits;                /* the function at hand goes in parts */
    int part_count;
    bool closed; /* the block at hand has its end: nothing more goes there */
    LlvmMemo *memo;
    int memo_room, memo_count;
    unsigned statement;
} EmitLlvm;

/* types.c */
LLVMTypeRef llvm_element(EmitLlvm *e, LoopType type);
LLVMTypeRef llvm_type(EmitLlvm *e, LoopType type, int lanes);
LLVMTypeRef llvm_function_type(EmitLlvm *e, const LFunction *function);
LLVMValueRef llvm_number(EmitLlvm *e, LoopType type, double value);
LLVMValueRef llvm_integer(EmitLlvm *e, LoopType type, int64_t value);
bool llvm_is_float(LoopType type);

/* expr.c. A statement calls llvm_begin, then llvm_expr on each of its expressions, low before
 * high. */
void llvm_begin(EmitLlvm *e);
LLVMValueRef llvm_expr(EmitLlvm *e, const LExpr *expr);
/* Alignment and mark of a load or store of `lanes` elements. */
void llvm_access(EmitLlvm *e, LLVMValueRef access, int buffer, int lanes, bool aligned);

/* address.c. The address of element `index` of a buffer; at the end of a loop, what its addresses
 * need at the next turn. */
LLVMValueRef llvm_address(EmitLlvm *e, int buffer, const LExpr *index);
void llvm_grow(EmitLlvm *e, const LlvmLoop *loop);

/* ops.c */
LLVMValueRef llvm_operation(EmitLlvm *e, const LExpr *expr);
LLVMValueRef llvm_intrinsic(EmitLlvm *e, const char *name, LLVMTypeRef type, LLVMValueRef *operands,
                            int count);

/* stmt.c */
void llvm_block(EmitLlvm *e, const LBlock *block);
void llvm_statement(EmitLlvm *e, const LStmt *stmt);
LLVMBasicBlockRef llvm_new_block(EmitLlvm *e, const char *name);
void llvm_continue(EmitLlvm *e, LLVMBasicBlockRef block);

/* function.c. llvm_room is room on the stack for one value, llvm_buffer the first element of a
 * buffer; llvm_open_function begins the code of e->self. */
LLVMValueRef llvm_room(EmitLlvm *e, LLVMTypeRef type, const char *name);
LLVMValueRef llvm_buffer(EmitLlvm *e, int buffer);
void llvm_open_function(EmitLlvm *e);
void llvm_declare(EmitLlvm *e, int function);
void llvm_define(EmitLlvm *e, int function);

/* debug.c: lines of the source, where the module has them (-g); else nothing. Begin before the
 * first function and end behind the last; llvm_place is that of the instructions that follow. */
void llvm_debug_begin(EmitLlvm *e, const char *version);
void llvm_debug_function(EmitLlvm *e);
void llvm_place(EmitLlvm *e, LPlace at);
void llvm_debug_end(EmitLlvm *e);

/* choose.c. A module with the function that asks the processor; NULL after a defect. Then, of
 * several versions of each function, `functions[version][function]`: what callers see is chosen
 * among them when the program is loaded. */
LLVMModuleRef llvm_level_module(LLVMContextRef context, Diags *diags);
void llvm_choose(EmitLlvm *e, const MachineOptions *options, LLVMValueRef *const *functions);

/* What a function is compiled for. */
void llvm_describe(EmitLlvm *e, LLVMValueRef function, const MachineTarget *target);

/* part.c. Whether a function is to go in parts; then the statement as a call of its part, if it is
 * to be one. */
bool llvm_is_large(const LFunction *function);
bool llvm_part(EmitLlvm *e, const LStmt *stmt);

/* region.c */
void llvm_region(EmitLlvm *e, const LStmt *region);
void llvm_barrier(EmitLlvm *e);
LLVMValueRef llvm_runtime(EmitLlvm *e, const char *name, LLVMTypeRef type);

/* module.c. The whole module, checked; or, with `only` not negative, what calls function `only` of
 * the interface, and what it needs, seen by nobody else. NULL after a defect. The caller owns it.
 */
LLVMModuleRef llvm_module(LLVMContextRef context, const Interface *interface_,
                          const MachineOptions *options, int only, Arena *arena, Diags *diags);

/* machine.c. The processor of the options; NULL with the reason in *why. */
LLVMTargetMachineRef llvm_target(const MachineOptions *options, Arena *arena, const char **why);
bool llvm_emit(const Interface *interface_, const MachineOptions *options, MachineKind kind,
               Text *out, Diags *diags);
bool llvm_emit_part(const Interface *interface_, const MachineOptions *options, int only,
                    MachineKind kind, Text *out, Diags *diags);

/* jit.c */
void *llvm_open(Arena *arena, const Interface *interface_, const MachineOptions *options,
                Diags *diags, const char **why);
void *llvm_symbol(void *opened, int function);
void llvm_close(void *opened);

#endif
