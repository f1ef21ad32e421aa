/* Addresses, in the shape that processors take them: what a loop does not change, what grows by the
 * same step at each of its turns, and a constant. Elements of a tile then differ in the constant
 * alone, products with the loop's variable are sums, and LLVM need not search for either, which
 * took it a quarter of its time. */
#include "llvm.h"

/* `constant + slope * factor * variable of the loop`, and a rest. */
typedef struct Linear {
    uint64_t constant, slope;
    int factor; /* a variable; -1: 1 */
} Linear;

static bool declares(const LBlock *block, int var) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->var == var || declares(&s->body, var) || declares(&s->otherwise, var)) return true;
    }
    return false;
}

/* A variable that the innermost loop does not change. */
static bool is_fixed(const EmitLlvm *e, const LExpr *x) {
    return e->loop && x->kind == LE_VAR && !e->function->vars.at[x->var].mutable_ &&
           x->var != e->loop->stmt->var && !declares(&e->loop->stmt->body, x->var);
}

/* Whether it has the same value wherever its variables are seen. */
static bool is_pure(const EmitLlvm *e, const LExpr *x) {
    if (!x || x->kind == LE_INT) return true;
    if (x->kind == LE_VAR) return !e->function->vars.at[x->var].mutable_;
    return x->kind == LE_OP && is_pure(e, x->a) && is_pure(e, x->b) && is_pure(e, x->c);
}

/* What a variable stands for, where that can be said again; else the expression itself. */
static const LExpr *meaning(const EmitLlvm *e, const LExpr *x) {
    while (x->kind == LE_VAR && e->lets[x->var] && is_pure(e, e->lets[x->var])) x = e->lets[x->var];
    return x;
}

static Linear linear(const EmitLlvm *e, const LExpr *x) {
    const Linear none = {0, 0, -1};
    x = meaning(e, x);
    if (x->kind == LE_INT) return (Linear){(uint64_t)x->integer, 0, -1};
    if (x->kind == LE_VAR && e->loop && x->var == e->loop->stmt->var) return (Linear){0, 1, -1};
    if (x->kind != LE_OP || (x->op != SOP_ADD && x->op != SOP_MUL)) return none;
    Linear a = linear(e, x->a);
    if (x->op == SOP_MUL && x->b->kind == LE_INT) {
        uint64_t by = (uint64_t)x->b->integer;
        return (Linear){a.constant * by, a.slope * by, a.factor};
    }
    if (x->op == SOP_MUL) {
        bool product = a.slope && a.factor < 0 && is_fixed(e, x->b);
        return product ? (Linear){0, a.slope, x->b->var} : none;
    }
    Linear b = linear(e, x->b);
    if (a.slope && b.slope && a.factor != b.factor) return none;
    return (Linear){a.constant + b.constant, a.slope + b.slope, a.slope ? a.factor : b.factor};
}

static LLVMValueRef sum(EmitLlvm *e, LLVMValueRef a, LLVMValueRef b) {
    return a && b ? LLVMBuildAdd(e->builder, a, b, "") : a ? a : b;
}

/* The rest; NULL: there is none. */
static LLVMValueRef rest_of(EmitLlvm *e, const LExpr *x) {
    Linear all = linear(e, x);
    if (!all.constant && !all.slope) return meaning(e, x)->kind == LE_INT ? NULL : llvm_expr(e, x);
    x = meaning(e, x);
    if (x->kind != LE_OP) return NULL;
    LLVMValueRef a = rest_of(e, x->a);
    if (x->op == SOP_ADD) return sum(e, a, rest_of(e, x->b));
    uint64_t constant = x->b->kind == LE_INT ? 0 : linear(e, x->a).constant;
    if (constant) a = sum(e, a, llvm_integer(e, LT_I64, (int64_t)constant));
    return a ? LLVMBuildMul(e->builder, a, llvm_expr(e, x->b), "") : NULL;
}

/* slope * factor * what the loop counts, as a sum that grows with it. */
static LLVMValueRef growing(EmitLlvm *e, uint64_t slope, int factor) {
    LlvmLoop *loop = e->loop;
    for (LlvmGrowing *g = loop->growing; g; g = g->next)
        if (g->slope == slope && g->factor == factor) return g->value;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    LLVMMetadataRef place = LLVMGetCurrentDebugLocation2(e->builder);
    LlvmGrowing *g = ARENA_NEW(e->arena, LlvmGrowing);
    LLVMValueRef by = llvm_integer(e, LT_I64, (int64_t)slope), first = loop->low;
    LLVMPositionBuilderBefore(e->builder, LLVMGetBasicBlockTerminator(loop->before));
    if (factor >= 0) by = LLVMBuildMul(e->builder, e->vars[factor], by, "");
    if (!LLVMIsConstant(first) || !LLVMIsNull(first))
        first = LLVMBuildMul(e->builder, first, by, "");
    LLVMValueRef step = llvm_integer(e, LT_I64, loop->stmt->step);
    step = loop->stmt->step == 1 ? by : LLVMBuildMul(e->builder, by, step, "");
    LLVMPositionBuilderBefore(e->builder, LLVMGetFirstInstruction(loop->body));
    LLVMValueRef value = LLVMBuildPhi(e->builder, llvm_element(e, LT_I64), "");
    LLVMAddIncoming(value, &first, &loop->before, 1);
    LLVMPositionBuilderAtEnd(e->builder, here);
    LLVMSetCurrentDebugLocation2(e->builder, place);
    *g = (LlvmGrowing){slope, factor, value, step, loop->growing};
    loop->growing = g;
    return value;
}

void llvm_grow(EmitLlvm *e, const LlvmLoop *loop) {
    LLVMBasicBlockRef last = LLVMGetInsertBlock(e->builder);
    for (LlvmGrowing *g = loop->growing; g; g = g->next) {
        LLVMValueRef next = LLVMBuildAdd(e->builder, g->value, g->step, "");
        LLVMAddIncoming(g->value, &next, &last, 1);
    }
}

LLVMValueRef llvm_address(EmitLlvm *e, int buffer, const LExpr *index) {
    LoopType element = e->function->buffers.at[buffer].type;
    LLVMTypeRef type = llvm_element(e, element);
    Linear all = linear(e, index);
    LLVMValueRef at = e->buffers[buffer], rest = rest_of(e, index);
    if (rest) at = LLVMBuildGEP2(e->builder, type, at, &rest, 1, "");
    /* A processor multiplies by up to 8 itself. */
    bool scales = all.factor < 0 && all.slope * (uint64_t)loop_type_size(element) <= 8;
    if (all.slope) {
        LLVMValueRef step = llvm_integer(e, LT_I64, (int64_t)all.slope), grows;
        grows = !scales ? growing(e, all.slope, all.factor) : e->vars[e->loop->stmt->var];
        if (scales && all.slope > 1) grows = LLVMBuildMul(e->builder, grows, step, "");
        at = LLVMBuildGEP2(e->builder, type, at, &grows, 1, "");
    }
    if (!all.constant) return at;
    LLVMValueRef constant = llvm_integer(e, LT_I64, (int64_t)all.constant);
    return LLVMBuildGEP2(e->builder, type, at, &constant, 1, "");
}
