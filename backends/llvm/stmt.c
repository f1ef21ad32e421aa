/* Statements of the Loop IR as LLVM IR: one case a node. A variable that is set lies on the stack
 * until LLVM's first pass gives it registers; every other one is a value. */
#include "llvm.h"

LLVMBasicBlockRef llvm_new_block(EmitLlvm *e, const char *name) {
    return LLVMAppendBasicBlockInContext(e->context, e->self, name);
}

/* What follows goes to `block`; the one at hand falls through to it unless it has ended. */
void llvm_continue(EmitLlvm *e, LLVMBasicBlockRef block) {
    if (!e->closed) LLVMBuildBr(e->builder, block);
    LLVMPositionBuilderAtEnd(e->builder, block);
    e->closed = false;
}

/* ---- variables and memory ---- */

static void declare(EmitLlvm *e, const LStmt *s) {
    const LVar *var = &e->function->vars.at[s->var];
    LLVMValueRef value = llvm_expr(e, s->value);
    if (!var->mutable_) e->lets[s->var] = s->value;
    if (var->mutable_) {
        e->vars[s->var] = llvm_room(e, llvm_type(e, var->type, var->lanes), var->name);
        LLVMBuildStore(e->builder, value, e->vars[s->var]);
        return;
    }
    /* A name for readers; a value that has one (an argument, an outer variable) keeps it. */
    size_t length;
    if (LLVMIsAInstruction(value) && !*LLVMGetValueName2(value, &length))
        LLVMSetValueName2(value, var->name, strlen(var->name));
    e->vars[s->var] = value;
}

static void store(EmitLlvm *e, const LStmt *s) {
    LLVMValueRef at = llvm_address(e, s->buffer, s->index);
    LLVMValueRef done = LLVMBuildStore(e->builder, llvm_expr(e, s->value), at);
    llvm_access(e, done, s->buffer, s->value->lanes, s->aligned);
}

/* ---- control ---- */

/* Marks the branch back: `unroll(disable)`. */
static void keep_rolled(EmitLlvm *e, LLVMValueRef branch) {
    static const char word[] = "llvm.loop.unroll.disable";
    LLVMMetadataRef string = LLVMMDStringInContext2(e->context, word, sizeof word - 1);
    LLVMMetadataRef disable = LLVMMDNodeInContext2(e->context, &string, 1);
    /* A loop's node names itself first, so that no two are one. */
    LLVMMetadataRef own = LLVMTemporaryMDNode(e->context, NULL, 0), parts[] = {own, disable};
    LLVMMetadataRef loop = LLVMMDNodeInContext2(e->context, parts, 2);
    LLVMMetadataReplaceAllUsesWith(own, loop);
    LLVMSetMetadata(branch, LLVMGetMDKindIDInContext(e->context, "llvm.loop", 9),
                    LLVMMetadataAsValue(e->context, loop));
}

static bool has_loops(const LBlock *block) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_FOR || has_loops(&s->body) || has_loops(&s->otherwise)) return true;
    }
    return false;
}

/* The test stands before the loop and at its end, so that a turn has one branch. */
static void for_loop(EmitLlvm *e, const LStmt *s) {
    const char *name = e->function->vars.at[s->var].name;
    LLVMValueRef low = llvm_expr(e, s->low), high = llvm_expr(e, s->high);
    LLVMTypeRef index = llvm_element(e, LT_I64);
    LLVMBasicBlockRef before = LLVMGetInsertBlock(e->builder), outer = e->after;
    LLVMBasicBlockRef body = llvm_new_block(e, name), after = llvm_new_block(e, "");
    LLVMValueRef enter = LLVMBuildICmp(e->builder, LLVMIntSLT, low, high, "");
    LLVMBuildCondBr(e->builder, enter, body, after);
    LLVMPositionBuilderAtEnd(e->builder, body);
    LLVMValueRef var = LLVMBuildPhi(e->builder, index, name);
    LLVMAddIncoming(var, &low, &before, 1);
    e->vars[s->var] = var;
    e->after = after;
    LlvmLoop loop = {.stmt = s, .before = before, .body = body, .low = low}, *around = e->loop;
    e->loop = has_loops(&s->body) ? NULL : &loop;
    llvm_block(e, &s->body);
    e->loop = around;
    e->after = outer;
    llvm_place(e, s->at);
    if (!e->closed) {
        llvm_grow(e, &loop);
        LLVMValueRef next = LLVMBuildNSWAdd(e->builder, var, llvm_integer(e, LT_I64, s->step), "");
        LLVMValueRef again = LLVMBuildICmp(e->builder, LLVMIntSLT, next, high, "");
        LLVMBasicBlockRef last = LLVMGetInsertBlock(e->builder);
        LLVMValueRef branch = LLVMBuildCondBr(e->builder, again, body, after);
        if (s->rolled) keep_rolled(e, branch);
        LLVMAddIncoming(var, &next, &last, 1);
    }
    e->closed = true;
    llvm_continue(e, after);
}

static void if_else(EmitLlvm *e, const LStmt *s) {
    LLVMBasicBlockRef then = llvm_new_block(e, "then"), after = llvm_new_block(e, "");
    LLVMBasicBlockRef otherwise = s->otherwise.count ? llvm_new_block(e, "else") : after;
    LLVMBuildCondBr(e->builder, llvm_expr(e, s->value), then, otherwise);
    LLVMPositionBuilderAtEnd(e->builder, then);
    llvm_block(e, &s->body);
    if (s->otherwise.count) {
        if (!e->closed) LLVMBuildBr(e->builder, after);
        LLVMPositionBuilderAtEnd(e->builder, otherwise);
        e->closed = false;
        llvm_block(e, &s->otherwise);
    }
    llvm_continue(e, after);
}

/* Without a pool: the body once, as thread 0 of 1. */
static void parallel(EmitLlvm *e, const LStmt *s) {
    if (s->var >= 0) e->vars[s->var] = llvm_integer(e, LT_I64, 0);
    if (s->var2 >= 0) e->vars[s->var2] = llvm_integer(e, LT_I64, 1);
    llvm_block(e, &s->body);
}

/* A pointer argument is a load: the address of that element is meant. */
static void call(EmitLlvm *e, const LStmt *s) {
    const LFunction *callee = e->module->functions.at[s->callee];
    LLVMValueRef *args = ARENA_ARRAY(e->arena, s->args.count + 1, LLVMValueRef);
    for (int i = 0; i < s->args.count; i++) {
        const LExpr *arg = s->args.at[i];
        if (!arg) { /* a pool that is passed on */
            args[i] = LLVMGetParam(e->self, (unsigned)loop_pool(e->function));
            continue;
        }
        args[i] =
            callee->args.at[i].pointer ? llvm_address(e, arg->buffer, arg->a) : llvm_expr(e, arg);
    }
    LLVMValueRef result =
        LLVMBuildCall2(e->builder, llvm_function_type(e, callee), e->functions[s->callee], args,
                       (unsigned)s->args.count, "");
    if (s->var >= 0) e->vars[s->var] = result;
}

/* In the order of the runtime's function: rows, columns, depth, A, B, C, each with its stride. */
static void gemm(EmitLlvm *e, const LStmt *s) {
    static const GemmArg order[] = {GEMM_ROWS,     GEMM_COLUMNS,  GEMM_DEPTH,
                                    GEMM_A,        GEMM_A_STRIDE, GEMM_B,
                                    GEMM_B_STRIDE, GEMM_C,        GEMM_C_STRIDE};
    LLVMTypeRef types[1 + GEMM_ARGS] = {llvm_element(e, LT_I32)};
    LLVMValueRef args[1 + GEMM_ARGS] = {llvm_integer(e, LT_I32, s->gemm)};
    for (int i = 0; i < GEMM_ARGS; i++) {
        const LExpr *arg = s->args.at[order[i]];
        bool matrix = order[i] < GEMM_ROWS;
        args[1 + i] = matrix ? llvm_address(e, arg->buffer, arg->a) : llvm_expr(e, arg);
        types[1 + i] = LLVMTypeOf(args[1 + i]);
    }
    LLVMTypeRef type = LLVMFunctionType(llvm_element(e, LT_VOID), types, 1 + GEMM_ARGS, false);
    const char *symbol = loop_gemm_symbol(s->args.at[GEMM_C]->type);
    LLVMBuildCall2(e->builder, type, llvm_runtime(e, symbol, type), args, 1 + GEMM_ARGS, "");
}

static void leave(EmitLlvm *e, const LStmt *s) {
    if (s->value)
        LLVMBuildRet(e->builder, llvm_expr(e, s->value));
    else
        LLVMBuildRetVoid(e->builder);
    e->closed = true;
}

void llvm_statement(EmitLlvm *e, const LStmt *s) {
    if (!live_stmt(&e->live, e->function, s)) return;
    llvm_begin(e);
    llvm_place(e, s->at);
    if (llvm_part(e, s)) return;
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE: declare(e, s); return;
    case LS_SET: LLVMBuildStore(e->builder, llvm_expr(e, s->value), e->vars[s->var]); return;
    case LS_STORE: store(e, s); return;
    case LS_FOR: for_loop(e, s); return;
    case LS_IF: if_else(e, s); return;
    case LS_BREAK:
        LLVMBuildBr(e->builder, e->after);
        e->closed = true;
        return;
    case LS_RETURN: leave(e, s); return;
    case LS_PARALLEL:
        if (live_is_outlined(e->function, s))
            llvm_region(e, s);
        else
            parallel(e, s);
        return;
    case LS_CALL: call(e, s); return;
    case LS_GEMM: gemm(e, s); return;
    case LS_BARRIER: llvm_barrier(e); return;
    case LS_COMMENT: return;
    }
}

void llvm_block(EmitLlvm *e, const LBlock *block) {
    for (int i = 0; i < block->count; i++) llvm_statement(e, block->at[i]);
}
