/* Operations of Loop expressions as LLVM IR: one case each of loop/scalar_ops.def. No floating
 * operation carries a flag, so LLVM must keep every rounding as it is written. */
#include "llvm.h"

#include <string.h>

LLVMValueRef llvm_intrinsic(EmitLlvm *e, const char *name, LLVMTypeRef type, LLVMValueRef *operands,
                            int count) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef callee = LLVMGetIntrinsicDeclaration(e->out, id, &type, 1);
    return LLVMBuildCall2(e->builder, LLVMIntrinsicGetType(e->context, id, &type, 1), callee,
                          operands, (unsigned)count, "");
}

static LLVMValueRef binary(EmitLlvm *e, const LExpr *expr, LLVMOpcode of_floats,
                           LLVMOpcode of_integers) {
    LLVMOpcode code = llvm_is_float(expr->a->type) ? of_floats : of_integers;
    LLVMValueRef a = llvm_expr(e, expr->a), b = llvm_expr(e, expr->b);
    return LLVMBuildBinOp(e->builder, code, a, b, "");
}

/* Comparisons of NaN are false, but for NE. */
static LLVMValueRef compare(EmitLlvm *e, const LExpr *expr, LLVMRealPredicate of_floats,
                            LLVMIntPredicate of_integers) {
    LLVMValueRef a = llvm_expr(e, expr->a), b = llvm_expr(e, expr->b);
    if (llvm_is_float(expr->a->type)) return LLVMBuildFCmp(e->builder, of_floats, a, b, "");
    return LLVMBuildICmp(e->builder, of_integers, a, b, "");
}

/* a > b ? b : a */
static LLVMValueRef extreme(EmitLlvm *e, const LExpr *expr, LLVMRealPredicate of_floats,
                            LLVMIntPredicate of_integers) {
    LLVMValueRef beyond = compare(e, expr, of_floats, of_integers);
    LLVMValueRef a = llvm_expr(e, expr->a), b = llvm_expr(e, expr->b);
    return LLVMBuildSelect(e->builder, beyond, b, a, "");
}

static LLVMValueRef fma3(EmitLlvm *e, const LExpr *expr) {
    LLVMValueRef operands[] = {llvm_expr(e, expr->a), llvm_expr(e, expr->b), llvm_expr(e, expr->c)};
    return llvm_intrinsic(e, "llvm.fma", llvm_type(e, expr->type, expr->lanes), operands, 3);
}

static LLVMValueRef absolute(EmitLlvm *e, const LExpr *expr) {
    LLVMValueRef operand = llvm_expr(e, expr->a);
    return llvm_intrinsic(e, "llvm.fabs", llvm_type(e, expr->type, expr->lanes), &operand, 1);
}

static LLVMValueRef negative(EmitLlvm *e, const LExpr *expr) {
    LLVMValueRef a = llvm_expr(e, expr->a);
    return llvm_is_float(expr->type) ? LLVMBuildFNeg(e->builder, a, "")
                                     : LLVMBuildNeg(e->builder, a, "");
}

/* The upper half of a product of unsigned integers. */
static LLVMValueRef upper_product(EmitLlvm *e, const LExpr *expr) {
    LLVMTypeRef wide = llvm_type(e, LT_I64, expr->lanes);
    LLVMValueRef a = LLVMBuildZExt(e->builder, llvm_expr(e, expr->a), wide, "");
    LLVMValueRef b = LLVMBuildZExt(e->builder, llvm_expr(e, expr->b), wide, "");
    LLVMValueRef half = llvm_integer(e, LT_I64, 32), by = half;
    if (expr->lanes > 1) {
        LLVMValueRef *each = ARENA_ARRAY(e->arena, expr->lanes, LLVMValueRef);
        for (int i = 0; i < expr->lanes; i++) each[i] = half;
        by = LLVMConstVector(each, (unsigned)expr->lanes);
    }
    LLVMValueRef high = LLVMBuildLShr(e->builder, LLVMBuildMul(e->builder, a, b, ""), by, "");
    return LLVMBuildTrunc(e->builder, high, llvm_type(e, expr->type, expr->lanes), "");
}

static LLVMValueRef convert(EmitLlvm *e, const LExpr *expr) {
    LLVMTypeRef type = llvm_type(e, expr->type, expr->lanes);
    LLVMValueRef a = llvm_expr(e, expr->a);
    bool from_float = llvm_is_float(expr->a->type), to_float = llvm_is_float(expr->type);
    bool widens = loop_type_size(expr->type) > loop_type_size(expr->a->type);
    bool from_unsigned = expr->a->type == LT_U16;
    LLVMOpcode code = LLVMTrunc;
    if (loop_type_size(expr->type) == loop_type_size(expr->a->type) && from_float == to_float)
        return a;
    if (from_float && to_float)
        code = widens ? LLVMFPExt : LLVMFPTrunc;
    else if (from_float)
        code = expr->type == LT_U16 ? LLVMFPToUI : LLVMFPToSI;
    else if (to_float)
        code = from_unsigned ? LLVMUIToFP : LLVMSIToFP;
    else if (widens)
        code = from_unsigned ? LLVMZExt : LLVMSExt;
    return LLVMBuildCast(e->builder, code, a, type, "");
}

static LLVMValueRef bitcast(EmitLlvm *e, const LExpr *expr) {
    return LLVMBuildBitCast(e->builder, llvm_expr(e, expr->a),
                            llvm_type(e, expr->type, expr->lanes), "");
}

static LLVMValueRef choose(EmitLlvm *e, const LExpr *expr) {
    LLVMValueRef mask = llvm_expr(e, expr->a), b = llvm_expr(e, expr->b), c = llvm_expr(e, expr->c);
    return LLVMBuildSelect(e->builder, mask, b, c, "");
}

LLVMValueRef llvm_operation(EmitLlvm *e, const LExpr *expr) {
    switch (expr->op) {
    case SOP_ADD: return binary(e, expr, LLVMFAdd, LLVMAdd);
    case SOP_SUB: return binary(e, expr, LLVMFSub, LLVMSub);
    case SOP_MUL: return binary(e, expr, LLVMFMul, LLVMMul);
    case SOP_DIV: return binary(e, expr, LLVMFDiv, LLVMSDiv);
    case SOP_MOD: return binary(e, expr, LLVMFRem, LLVMSRem);
    case SOP_NEG: return negative(e, expr);
    case SOP_FMA: return fma3(e, expr);
    case SOP_MIN: return extreme(e, expr, LLVMRealOGT, LLVMIntSGT);
    case SOP_MAX: return extreme(e, expr, LLVMRealOLT, LLVMIntSLT);
    case SOP_ABS: return absolute(e, expr);
    case SOP_MULHI: return upper_product(e, expr);
    case SOP_AND:
    case SOP_MAND: return binary(e, expr, LLVMAnd, LLVMAnd);
    case SOP_OR:
    case SOP_MOR: return binary(e, expr, LLVMOr, LLVMOr);
    case SOP_XOR: return binary(e, expr, LLVMXor, LLVMXor);
    case SOP_SHL: return binary(e, expr, LLVMShl, LLVMShl);
    case SOP_SHR: return binary(e, expr, LLVMLShr, LLVMLShr);
    case SOP_LT: return compare(e, expr, LLVMRealOLT, LLVMIntSLT);
    case SOP_LE: return compare(e, expr, LLVMRealOLE, LLVMIntSLE);
    case SOP_GT: return compare(e, expr, LLVMRealOGT, LLVMIntSGT);
    case SOP_GE: return compare(e, expr, LLVMRealOGE, LLVMIntSGE);
    case SOP_EQ: return compare(e, expr, LLVMRealOEQ, LLVMIntEQ);
    case SOP_NE: return compare(e, expr, LLVMRealUNE, LLVMIntNE);
    case SOP_MNOT: return LLVMBuildNot(e->builder, llvm_expr(e, expr->a), "");
    case SOP_SELECT: return choose(e, expr);
    case SOP_CONVERT: return convert(e, expr);
    case SOP_BITCAST: return bitcast(e, expr);
    case SOP_EXP:
    case SOP_LOG:
    case SOP_SIGMOID:
    case SOP_TANH:
    case SOP_SOFTPLUS:
    case SOP_LOGADDEXP:
    case SOP_POW:
    case SOP_SQRT:
    case SOP_FLOOR:
    case SOP_ERF:
    case SOP_SIN:
    case SOP_COS:
    case SOP_COUNT: break;
    }
    diag_error(e->diags, "internal", (Span){0},
               "the LLVM backend meets '%s', which expand_math must replace",
               scalar_op_info[expr->op].text);
    return LLVMGetPoison(llvm_type(e, expr->type, expr->lanes));
}
