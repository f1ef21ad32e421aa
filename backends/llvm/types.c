/* Types and constants of the Loop IR as LLVM's. */
#include "llvm.h"

bool llvm_is_float(LoopType type) {
    return type == LT_F32 || type == LT_F64;
}

LLVMTypeRef llvm_element(EmitLlvm *e, LoopType type) {
    switch (type) {
    case LT_F32: return LLVMFloatTypeInContext(e->context);
    case LT_F64: return LLVMDoubleTypeInContext(e->context);
    case LT_I8: return LLVMInt8TypeInContext(e->context);
    case LT_U16: return LLVMInt16TypeInContext(e->context);
    case LT_I32: return LLVMInt32TypeInContext(e->context);
    case LT_I64: return LLVMInt64TypeInContext(e->context);
    case LT_M32:
    case LT_M64:
        return LLVMInt1TypeInContext(e->context); /* never stored: the width is the use's */
    case LT_VOID: return LLVMVoidTypeInContext(e->context);
    }
    return NULL;
}

LLVMTypeRef llvm_type(EmitLlvm *e, LoopType type, int lanes) {
    LLVMTypeRef element = llvm_element(e, type);
    return lanes == 1 ? element : LLVMVectorType(element, (unsigned)lanes);
}

LLVMTypeRef llvm_function_type(EmitLlvm *e, const LFunction *function) {
    LLVMTypeRef *args = ARENA_ARRAY(e->arena, function->args.count + 1, LLVMTypeRef);
    for (int i = 0; i < function->args.count; i++)
        args[i] = function->args.at[i].pointer ? LLVMPointerTypeInContext(e->context, 0)
                                               : llvm_element(e, function->args.at[i].type);
    return LLVMFunctionType(llvm_element(e, function->result), args, (unsigned)function->args.count,
                            false);
}

LLVMValueRef llvm_number(EmitLlvm *e, LoopType type, double value) {
    if (llvm_is_float(type)) return LLVMConstReal(llvm_element(e, type), value);
    return llvm_integer(e, type, (int64_t)value);
}

LLVMValueRef llvm_integer(EmitLlvm *e, LoopType type, int64_t value) {
    return LLVMConstInt(llvm_element(e, type), (unsigned long long)value, true);
}
