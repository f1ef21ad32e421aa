/* The table of scalar operations and of the types they work on, from scalar_ops.def; and what every
 * room asks of a function. */
#include "loop/loop.h"

const ScalarOpInfo scalar_op_info[SOP_COUNT] = {
#define SCALAR_OP(id, text, operands, kind) [SOP_##id] = {text, operands, SK_##kind},
#include "loop/scalar_ops.def"
#undef SCALAR_OP
};

int loop_type_size(LoopType type) {
    switch (type) {
    case LT_I8: return 1;
    case LT_U16: return 2;
    case LT_F32:
    case LT_I32:
    case LT_M32: return 4;
    case LT_F64:
    case LT_I64:
    case LT_M64: return 8;
    case LT_VOID: return 0;
    }
    return 0;
}

const char *loop_type_text(LoopType type) {
    switch (type) {
    case LT_F32: return "f32";
    case LT_F64: return "f64";
    case LT_I8: return "i8";
    case LT_U16: return "u16";
    case LT_I32: return "i32";
    case LT_I64: return "i64";
    case LT_M32: return "m32";
    case LT_M64: return "m64";
    case LT_VOID: return "void";
    }
    return "?";
}

LoopType loop_mask_of(LoopType type) {
    return loop_type_size(type) == 8 ? LT_M64 : LT_M32;
}

int loop_pool(const LFunction *function) {
    for (int i = 0; i < function->args.count; i++)
        if (function->args.at[i].pool) return i;
    return -1;
}

const char *loop_gemm_symbol(LoopType type) {
    return type == LT_F64 ? "rnn_rt_dgemm" : "rnn_rt_sgemm";
}
