/* A module: the table of the parameters that the header declares, the functions, and for code in
 * memory what calls them by an array of pointers. */
#include "llvm.h"

#include <llvm-c/Analysis.h>

/* ---- the table of the parameters ---- */

static LLVMValueRef constant(EmitLlvm *e, LLVMValueRef value, const char *name) {
    LLVMValueRef global = LLVMAddGlobal(e->out, LLVMTypeOf(value), name);
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    return global;
}

static LLVMValueRef text(EmitLlvm *e, const char *string) {
    LLVMValueRef bytes = LLVMConstStringInContext2(e->context, string, strlen(string), false);
    LLVMValueRef global = constant(e, bytes, "");
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr);
    return global;
}

static LLVMValueRef doubles(EmitLlvm *e, const double *values, int64_t count) {
    LLVMTypeRef element = llvm_element(e, LT_F64);
    if (!values) return LLVMConstNull(LLVMPointerTypeInContext(e->context, 0));
    LLVMValueRef *numbers = ARENA_ARRAY(e->arena, count + 1, LLVMValueRef);
    for (int64_t i = 0; i < count; i++) numbers[i] = LLVMConstReal(element, values[i]);
    return constant(e, LLVMConstArray2(element, numbers, (uint64_t)count), "values");
}

static const char *initial_text(InitialKind kind) {
    switch (kind) {
    case INITIAL_VALUES: return "values";
    case INITIAL_GLOROT: return "glorot";
    case INITIAL_HE: return "he";
    case INITIAL_ORTHOGONAL: return "orthogonal";
    case INITIAL_NORMAL: return "normal";
    case INITIAL_UNIFORM: return "uniform";
    }
    return "";
}

/* As the header's `struct PREFIX_param`. */
static void params(EmitLlvm *e, const Interface *in) {
    const Graph *graph = in->graph;
    if (!graph || graph->params.count == 0) return;
    const char *prefix = identifier_of(e->arena, e->module->prefix);
    LLVMTypeRef long_ = llvm_element(e, LT_I64);
    LLVMValueRef *rows = ARENA_ARRAY(e->arena, graph->params.count, LLVMValueRef);
    for (int i = 0; i < graph->params.count; i++) {
        const GraphParam *p = &graph->params.at[i];
        int64_t count = shape_count(p->shape);
        LLVMValueRef shape[MAX_RANK];
        for (int d = 0; d < MAX_RANK; d++)
            shape[d] = llvm_integer(e, LT_I64, d < p->shape.rank ? p->shape.dim[d] : 0);
        LLVMValueRef row[] = {text(e, p->name),
                              llvm_integer(e, LT_I32, p->shape.rank),
                              LLVMConstArray2(long_, shape, MAX_RANK),
                              llvm_integer(e, LT_I64, in->param_offsets.at[i]),
                              llvm_integer(e, LT_I64, count),
                              text(e, initial_text(p->initial)),
                              llvm_number(e, LT_F64, p->a),
                              llvm_number(e, LT_F64, p->b),
                              doubles(e, p->values, count),
                              llvm_integer(e, LT_I32, p->frozen)};
        rows[i] = LLVMConstStructInContext(e->context, row, sizeof row / sizeof *row, false);
    }
    LLVMTypeRef type = LLVMTypeOf(rows[0]);
    LLVMValueRef table = constant(e, LLVMConstArray2(type, rows, (uint64_t)graph->params.count),
                                  arena_printf(e->arena, "%s_params", prefix));
    LLVMSetLinkage(table, LLVMExternalLinkage);
}

/* ---- calls by an array of pointers ---- */

static void add_call(EmitLlvm *e, const MachineOptions *options, int index, int function) {
    const LFunction *f = e->module->functions.at[function];
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0), result = llvm_element(e, LT_I64);
    LLVMValueRef self =
        LLVMAddFunction(e->out, arena_printf(e->arena, "%s_call_%d", options->calls, index),
                        LLVMFunctionType(result, &pointer, 1, false));
    llvm_describe(e, self, &options->target);
    LLVMPositionBuilderAtEnd(e->builder, LLVMAppendBasicBlockInContext(e->context, self, "entry"));
    LLVMValueRef *args = ARENA_ARRAY(e->arena, f->args.count + 1, LLVMValueRef);
    for (int i = 0; i < f->args.count; i++) {
        LLVMValueRef at = llvm_integer(e, LT_I64, i), list = LLVMGetParam(self, 0);
        LLVMValueRef place = LLVMBuildGEP2(e->builder, pointer, list, &at, 1, "");
        args[i] = LLVMBuildLoad2(e->builder, pointer, place, "");
        if (f->args.at[i].pointer) continue;
        args[i] = LLVMBuildLoad2(e->builder, result, args[i], "");
        if (f->args.at[i].type == LT_I32)
            args[i] = LLVMBuildTrunc(e->builder, args[i], llvm_element(e, LT_I32), "");
    }
    LLVMValueRef value = LLVMBuildCall2(e->builder, llvm_function_type(e, f),
                                        e->functions[function], args, (unsigned)f->args.count, "");
    if (f->result == LT_VOID) value = LLVMConstInt(result, 0, false);
    if (f->result == LT_I32) value = LLVMBuildSExt(e->builder, value, result, "");
    LLVMBuildRet(e->builder, value);
}

/* ---- the module ---- */

/* The text form stands alone: every function says what it is for. */
void llvm_describe(EmitLlvm *e, LLVMValueRef function, const MachineTarget *target) {
    const char *const pairs[][2] = {{"target-cpu", target->cpu},
                                    {"target-features", target->features}};
    for (int i = 0; i < 2; i++) {
        const char *word = pairs[i][0], *value = pairs[i][1];
        if (!*value) continue;
        LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                LLVMCreateStringAttribute(e->context, word, (unsigned)strlen(word),
                                                          value, (unsigned)strlen(value)));
    }
    unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(function, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(e->context, nounwind, 0));
}

static void find_needed(const LoopModule *module, int function, bool *needed);

static void find_calls(const LoopModule *module, const LBlock *block, bool *needed) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_CALL) find_needed(module, s->callee, needed);
        find_calls(module, &s->body, needed);
        find_calls(module, &s->otherwise, needed);
    }
}

/* The function and those that it calls. */
static void find_needed(const LoopModule *module, int function, bool *needed) {
    if (needed[function]) return;
    needed[function] = true;
    find_calls(module, &module->functions.at[function]->body, needed);
}

/* The functions of one processor: all, or with `only` not negative those that it needs. */
static void add_functions(EmitLlvm *e, const Interface *interface_, const MachineTarget *target,
                          int only) {
    const LoopModule *module = e->module = interface_->module;
    e->target = target;
    bool *needed = ARENA_ARRAY(e->arena, module->functions.count + 1, bool);
    e->functions = ARENA_ARRAY(e->arena, module->functions.count + 1, LLVMValueRef);
    if (only >= 0) find_needed(module, interface_->functions.at[only].function, needed);
    for (int i = 0; i < module->functions.count; i++) {
        needed[i] = needed[i] || only < 0;
        if (!needed[i]) continue;
        llvm_declare(e, i);
        llvm_describe(e, e->functions[i], target);
        if (only >= 0) LLVMSetLinkage(e->functions[i], LLVMInternalLinkage);
    }
    for (int i = 0; i < module->functions.count; i++)
        if (needed[i]) llvm_define(e, i);
}

/* Those of several processors, and the choice. */
static void add_versions(EmitLlvm *e, const MachineOptions *options) {
    LLVMValueRef **functions = ARENA_ARRAY(e->arena, options->version_count, LLVMValueRef *);
    for (int v = 0; v < options->version_count; v++) {
        const MachineVersion *version = &options->versions[v];
        e->version = version->name;
        add_functions(e, version->interface_, &version->target, -1);
        functions[v] = e->functions;
    }
    llvm_choose(e, options, functions);
}

LLVMModuleRef llvm_module(LLVMContextRef context, const Interface *interface_,
                          const MachineOptions *options, int only, Arena *arena, Diags *diags) {
    const LoopModule *module = interface_->module;
    EmitLlvm e = {.module = module, .arena = arena, .diags = diags, .context = context};
    int errors = diags->errors;
    const char *name = identifier_of(arena, module->prefix);
    e.out = options->version_count ? llvm_level_module(context, diags)
                                   : LLVMModuleCreateWithNameInContext(name, context);
    if (!e.out) return NULL;
    LLVMSetModuleIdentifier(e.out, name, strlen(name));
    LLVMSetSourceFileName(e.out, name, strlen(name));
    e.builder = LLVMCreateBuilderInContext(context);
    const char *ident = arena_printf(arena, "rnnc %s", options->version);
    LLVMMetadataRef word = LLVMMDStringInContext2(context, ident, strlen(ident));
    LLVMAddNamedMetadataOperand(
        e.out, "llvm.ident", LLVMMetadataAsValue(context, LLVMMDNodeInContext2(context, &word, 1)));
    if (only < 0) params(&e, interface_);
    llvm_debug_begin(&e, options->version);
    if (options->version_count)
        add_versions(&e, options);
    else
        add_functions(&e, interface_, &options->target, only);
    llvm_debug_end(&e);
    for (int i = 0; options->calls && i < interface_->functions.count; i++)
        if ((only < 0 || only == i) &&
            module->functions.at[interface_->functions.at[i].function]->exported)
            add_call(&e, options, i, interface_->functions.at[i].function);
    LLVMDisposeBuilder(e.builder);
    char *message = NULL;
    if (LLVMVerifyModule(e.out, LLVMReturnStatusAction, &message))
        diag_error(diags, "internal", (Span){0}, "LLVM refuses the module: %s", message);
    LLVMDisposeMessage(message);
    if (diags->errors == errors) return e.out;
    LLVMDisposeModule(e.out);
    return NULL;
}
