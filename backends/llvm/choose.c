/* One object for several processors. What callers see is an indirect function of ELF (`ifunc`): the
 * loader asks its resolver once, which looks at the processor, so a call costs what one into a
 * shared library costs, and nothing of ours is writable. */
#include "llvm.h"

#include <llvm-c/IRReader.h>

/* The level of this x86-64: what the rows of compiler/targets.c ask for, and that the system keeps
 * their registers. 0 where even the first one is more than it has. */
static const char level_text[] =
    "define internal i32 @rnnc.level() #0 {\n"
    "entry:\n"
    "  %n = call { i32, i32, i32, i32 } asm sideeffect \"cpuid\",\n"
    "       \"={ax},={bx},={cx},={dx},0,2\"(i32 0, i32 0)\n"
    "  %most = extractvalue { i32, i32, i32, i32 } %n, 0\n"
    "  %one = call { i32, i32, i32, i32 } asm sideeffect \"cpuid\",\n"
    "         \"={ax},={bx},={cx},={dx},0,2\"(i32 1, i32 0)\n"
    "  %c = extractvalue { i32, i32, i32, i32 } %one, 2\n"
    "  %has2 = and i32 %c, 9437184\n" /* sse4.2, popcnt */
    "  %is2 = icmp eq i32 %has2, 9437184\n"
    "  br i1 %is2, label %two, label %first\n"
    "first:\n"
    "  ret i32 1\n"
    "two:\n"
    "  %has3 = and i32 %c, 402657280\n" /* fma, osxsave, avx */
    "  %may3 = icmp eq i32 %has3, 402657280\n"
    "  %long = icmp uge i32 %most, 7\n"
    "  %ask = and i1 %may3, %long\n"
    "  br i1 %ask, label %more, label %second\n"
    "second:\n"
    "  ret i32 2\n"
    "more:\n"
    "  %seven = call { i32, i32, i32, i32 } asm sideeffect \"cpuid\",\n"
    "           \"={ax},={bx},={cx},={dx},0,2\"(i32 7, i32 0)\n"
    "  %b = extractvalue { i32, i32, i32, i32 } %seven, 1\n"
    "  %x = call { i32, i32 } asm sideeffect \"xgetbv\", \"={ax},={dx},{cx}\"(i32 0)\n"
    "  %kept = extractvalue { i32, i32 } %x, 0\n"
    "  %kept3 = and i32 %kept, 6\n" /* xmm, ymm */
    "  %keeps3 = icmp eq i32 %kept3, 6\n"
    "  %avx2 = and i32 %b, 32\n"
    "  %has.avx2 = icmp ne i32 %avx2, 0\n"
    "  %is3 = and i1 %keeps3, %has.avx2\n"
    "  br i1 %is3, label %three, label %second\n"
    "three:\n"
    "  %kept4 = and i32 %kept, 230\n" /* masks, zmm */
    "  %keeps4 = icmp eq i32 %kept4, 230\n"
    "  %avx512 = and i32 %b, -1073545216\n" /* f, dq, bw, vl */
    "  %has4 = icmp eq i32 %avx512, -1073545216\n"
    "  %is4 = and i1 %keeps4, %has4\n"
    "  %level = select i1 %is4, i32 4, i32 3\n"
    "  ret i32 %level\n"
    "}\n"
    "attributes #0 = { nounwind \"target-cpu\"=\"x86-64\" }\n";

LLVMModuleRef llvm_level_module(LLVMContextRef context, Diags *diags) {
    LLVMModuleRef module = NULL;
    char *message = NULL;
    LLVMMemoryBufferRef text =
        LLVMCreateMemoryBufferWithMemoryRangeCopy(level_text, sizeof level_text - 1, "level");
    if (!LLVMParseIRInContext(context, text, &module, &message)) return module; /* which owns it */
    diag_error(diags, "internal", (Span){0}, "LLVM cannot read the choice: %s", message);
    LLVMDisposeMessage(message);
    return NULL;
}

/* The function of this name in a version. */
static LLVMValueRef same_function(const LoopModule *module, const LFunction *wanted,
                                  const LLVMValueRef *functions) {
    for (int i = 0; i < module->functions.count; i++) {
        const LFunction *f = module->functions.at[i];
        if (f->name == wanted->name && f->exported && f->args.count == wanted->args.count)
            return functions[i];
    }
    return NULL;
}

/* The strongest version that the processor is good for; the weakest where none is. */
static void choose(EmitLlvm *e, const MachineOptions *options, const LFunction *f,
                   LLVMValueRef *const *functions) {
    const char *symbol = identifier_symbol(e->module, f->name);
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0),
                integer = llvm_element(e, LT_I32);
    LLVMValueRef resolver = LLVMAddFunction(e->out, arena_printf(e->arena, "%s.choose", symbol),
                                            LLVMFunctionType(pointer, NULL, 0, false));
    LLVMValueRef level = LLVMGetNamedFunction(e->out, "rnnc.level"), chosen = NULL;
    LLVMSetLinkage(resolver, LLVMInternalLinkage);
    llvm_describe(e, resolver, &(MachineTarget){NULL, "x86-64", "", 1});
    LLVMPositionBuilderAtEnd(e->builder,
                             LLVMAppendBasicBlockInContext(e->context, resolver, "entry"));
    LLVMValueRef has = LLVMBuildCall2(e->builder, LLVMFunctionType(integer, NULL, 0, false), level,
                                      NULL, 0, "level");
    for (int v = 0; v < options->version_count; v++) {
        const MachineVersion *version = &options->versions[v];
        LLVMValueRef own = same_function(version->interface_->module, f, functions[v]);
        if (!own) {
            diag_error(e->diags, "internal", (Span){0}, "%s is not the same for all processors",
                       symbol);
            own = LLVMConstNull(pointer);
        }
        LLVMValueRef least = llvm_integer(e, LT_I32, version->target.level);
        LLVMValueRef fits = LLVMBuildICmp(e->builder, LLVMIntSGE, has, least, "");
        chosen = chosen ? LLVMBuildSelect(e->builder, fits, own, chosen, "") : own;
    }
    LLVMBuildRet(e->builder, chosen);
    LLVMAddGlobalIFunc(e->out, symbol, strlen(symbol), llvm_function_type(e, f), 0, resolver);
}

void llvm_choose(EmitLlvm *e, const MachineOptions *options, LLVMValueRef *const *functions) {
    e->module = options->versions[0].interface_->module;
    LLVMSetCurrentDebugLocation2(e->builder, NULL);
    for (int i = 0; i < e->module->functions.count; i++)
        if (e->module->functions.at[i]->exported)
            choose(e, options, e->module->functions.at[i], functions);
}
