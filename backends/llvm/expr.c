/* Expressions of the Loop IR as LLVM IR, one case a node. A node that a statement uses twice is
 * computed once. */
#include "llvm.h"

/* ---- what was computed already ---- */

void llvm_begin(EmitLlvm *e) {
    e->statement++;
    e->memo_count = 0;
}

static LlvmMemo *slot_in(LlvmMemo *memo, int room, unsigned statement, const LExpr *expr) {
    size_t mask = (size_t)room - 1, at = ((uintptr_t)expr >> 4) * 2654435761u & mask;
    while (memo[at].statement == statement && memo[at].expr != expr) at = (at + 1) & mask;
    return &memo[at];
}

static void remember(EmitLlvm *e, const LExpr *expr, LLVMValueRef value) {
    if (2 * e->memo_count >= e->memo_room) {
        int room = e->memo_room ? 2 * e->memo_room : 64;
        LlvmMemo *grown = ARENA_ARRAY(e->arena, room, LlvmMemo);
        for (int i = 0; i < e->memo_room; i++)
            if (e->memo[i].statement == e->statement)
                *slot_in(grown, room, e->statement, e->memo[i].expr) = e->memo[i];
        e->memo = grown;
        e->memo_room = room;
    }
    *slot_in(e->memo, e->memo_room, e->statement, expr) = (LlvmMemo){expr, e->statement, value};
    e->memo_count++;
}

/* ---- memory ---- */

void llvm_access(EmitLlvm *e, LLVMValueRef access, int buffer, int lanes, bool aligned) {
    int size = loop_type_size(e->function->buffers.at[buffer].type);
    /* Buffers begin at multiples of 64 bytes, at most. */
    int align = aligned ? lanes * size : size;
    LLVMSetAlignment(access, (unsigned)(align > 64 ? 64 : align));
    if (e->marks[buffer])
        LLVMSetMetadata(access, LLVMGetMDKindIDInContext(e->context, "tbaa", 4), e->marks[buffer]);
}

static LLVMValueRef load_apart(EmitLlvm *e, const LExpr *expr) {
    LLVMTypeRef element = llvm_element(e, expr->type);
    LLVMValueRef first = llvm_address(e, expr->buffer, expr->a);
    LLVMValueRef all = LLVMGetPoison(llvm_type(e, expr->type, expr->lanes));
    for (int lane = 0; lane < expr->lanes; lane++) {
        LLVMValueRef by = llvm_integer(e, LT_I64, lane * expr->integer);
        LLVMValueRef at = LLVMBuildInBoundsGEP2(e->builder, element, first, &by, 1, "");
        LLVMValueRef one = LLVMBuildLoad2(e->builder, element, at, "");
        llvm_access(e, one, expr->buffer, 1, false);
        all = LLVMBuildInsertElement(e->builder, all, one, llvm_integer(e, LT_I64, lane), "");
    }
    return all;
}

static LLVMValueRef load(EmitLlvm *e, const LExpr *expr) {
    if (expr->integer) return load_apart(e, expr);
    LLVMValueRef value = LLVMBuildLoad2(e->builder, llvm_type(e, expr->type, expr->lanes),
                                        llvm_address(e, expr->buffer, expr->a), "");
    llvm_access(e, value, expr->buffer, expr->lanes, expr->aligned);
    return value;
}

/* ---- expressions ---- */

static LLVMValueRef variable(EmitLlvm *e, int var) {
    const LVar *v = &e->function->vars.at[var];
    if (!v->mutable_) return e->vars[var];
    return LLVMBuildLoad2(e->builder, llvm_type(e, v->type, v->lanes), e->vars[var], v->name);
}

static LLVMValueRef splat(EmitLlvm *e, const LExpr *expr) {
    LLVMTypeRef type = llvm_type(e, expr->type, expr->lanes);
    LLVMTypeRef index = LLVMInt32TypeInContext(e->context);
    LLVMValueRef one = llvm_expr(e, expr->a), none = LLVMGetPoison(type);
    if (expr->lanes == 1) return one;
    LLVMValueRef first =
        LLVMBuildInsertElement(e->builder, none, one, LLVMConstInt(index, 0, false), "");
    LLVMValueRef zeros = LLVMConstNull(LLVMVectorType(index, (unsigned)expr->lanes));
    return LLVMBuildShuffleVector(e->builder, first, none, zeros, "");
}

static LLVMValueRef lane(EmitLlvm *e, const LExpr *expr) {
    LLVMValueRef from = llvm_expr(e, expr->a);
    if (expr->a->lanes == 1) return from;
    return LLVMBuildExtractElement(e->builder, from, llvm_integer(e, LT_I64, expr->integer), "");
}

LLVMValueRef llvm_expr(EmitLlvm *e, const LExpr *expr) {
    switch (expr->kind) {
    case LE_FLOAT: return llvm_number(e, expr->type, expr->number);
    case LE_INT: return llvm_integer(e, expr->type, expr->integer);
    case LE_VAR: return variable(e, expr->var);
    case LE_LOAD:
    case LE_OP:
    case LE_SPLAT:
    case LE_LANE: break;
    }
    if (e->memo_count) {
        const LlvmMemo *known = slot_in(e->memo, e->memo_room, e->statement, expr);
        if (known->statement == e->statement) return known->value;
    }
    LLVMValueRef value = NULL;
    if (expr->kind == LE_LOAD)
        value = load(e, expr);
    else if (expr->kind == LE_OP)
        value = llvm_operation(e, expr);
    else
        value = expr->kind == LE_SPLAT ? splat(e, expr) : lane(e, expr);
    remember(e, expr, value);
    return value;
}
