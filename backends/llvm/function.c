/* A function of the Loop IR as one of LLVM: its head, what it asks of its pointers, where its
 * buffers lie. */
#include "llvm.h"

/* ---- room on the stack ---- */

/* Before the branch that ends the entry block: in a loop it would be taken at every turn. */
static LLVMValueRef room(EmitLlvm *e, LLVMTypeRef type, const char *name) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    LLVMPositionBuilderBefore(e->builder, e->entry);
    LLVMValueRef at = LLVMBuildAlloca(e->builder, type, name);
    LLVMPositionBuilderAtEnd(e->builder, here);
    return at;
}

LLVMValueRef llvm_room(EmitLlvm *e, LLVMTypeRef type, const char *name) {
    return room(e, type, name);
}

/* ---- buffers ---- */

/* An argument, from the stack, by a load that LLVM may not merge with others. Each statement of the
 * function's outermost block computes its addresses anew, as a few additions: otherwise all of them
 * would be alive from the beginning to the end, and in a function of a hundred loops that is more
 * than registers and their allocator can bear. */
static LLVMValueRef again(EmitLlvm *e, int arg) {
    const LArg *a = &e->function->args.at[arg];
    LLVMTypeRef type =
        a->pointer ? LLVMPointerTypeInContext(e->context, 0) : llvm_element(e, a->type);
    LLVMValueRef value = LLVMBuildLoad2(e->builder, type, e->kept[arg], a->name);
    LLVMSetVolatile(value, true);
    return value;
}

static void keep_arguments(EmitLlvm *e) {
    const LFunction *f = e->function;
    for (int i = 0; i < f->args.count; i++) {
        LLVMValueRef value = LLVMGetParam(e->self, (unsigned)i);
        if (!live_arg(&e->live, f, i).used) continue;
        e->kept[i] = llvm_room(e, LLVMTypeOf(value), f->args.at[i].name);
        LLVMSetVolatile(LLVMBuildStore(e->builder, value, e->kept[i]), true);
    }
}

static LLVMValueRef table(EmitLlvm *e, const LBuffer *b) {
    int64_t count = b->count->integer;
    LLVMValueRef *numbers = ARENA_ARRAY(e->arena, count + 1, LLVMValueRef);
    for (int64_t i = 0; i < count; i++) numbers[i] = llvm_number(e, b->type, b->table[i]);
    LLVMTypeRef element = llvm_element(e, b->type);
    LLVMValueRef global = LLVMAddGlobal(e->out, LLVMArrayType2(element, (uint64_t)count), b->name);
    LLVMSetInitializer(global, LLVMConstArray2(element, numbers, (uint64_t)count));
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    LLVMSetAlignment(global, 64);
    return global;
}

LLVMValueRef llvm_buffer(EmitLlvm *e, int index) {
    const LBuffer *b = &e->function->buffers.at[index];
    LLVMValueRef at = NULL;
    switch (b->base) {
    case LB_ARG:
        at = again(e, b->arg);
        if (b->offset && !(b->offset->kind == LE_INT && b->offset->integer == 0)) {
            LLVMValueRef offset = llvm_expr(e, b->offset);
            /* Not `inbounds`: a pointer of an output that nobody wants is NULL. */
            at = LLVMBuildGEP2(e->builder, llvm_element(e, LT_I8), at, &offset, 1, b->name);
        }
        break;
    case LB_LOCAL:
        at =
            room(e, LLVMArrayType2(llvm_element(e, b->type), (uint64_t)b->count->integer), b->name);
        LLVMSetAlignment(at, 64);
        break;
    case LB_TABLE: at = table(e, b); break;
    }
    return at;
}

/* Addresses of what `s` uses. */
static void find_buffers(EmitLlvm *e, const LStmt *s, bool *used) {
    const LFunction *f = e->function;
    bool any = false;
    memset(used, 0, (size_t)f->buffers.count * sizeof *used);
    live_stmt_buffers(f, s, used);
    for (int i = 0; i < f->buffers.count; i++) {
        used[i] = used[i] && e->live.buffers[i];
        any = any || (used[i] && f->buffers.at[i].base == LB_ARG);
    }
    for (int i = 0; any && i < f->args.count; i++)
        if (!f->args.at[i].pointer && e->kept[i]) e->vars[f->args.at[i].var] = again(e, i);
    llvm_begin(e);
    for (int i = 0; i < f->buffers.count; i++)
        if (used[i] && (f->buffers.at[i].base == LB_ARG || !e->buffers[i]))
            e->buffers[i] = llvm_buffer(e, i);
}

static LLVMMetadataRef string(EmitLlvm *e, const char *text) {
    return LLVMMDStringInContext2(e->context, text, strlen(text));
}

/* What may overlap has one mark, and what may not has another: brothers in a tree of types, which
 * LLVM takes to be apart. */
static void make_marks(EmitLlvm *e) {
    const LFunction *f = e->function;
    LLVMMetadataRef root_name = string(e, arena_printf(e->arena, "memory of %s", f->name));
    LLVMMetadataRef root = LLVMMDNodeInContext2(e->context, &root_name, 1);
    LLVMMetadataRef zero = LLVMValueAsMetadata(llvm_integer(e, LT_I64, 0));
    for (int i = 0; i < f->buffers.count; i++) {
        if (f->buffers.at[i].alias) {
            e->marks[i] = e->marks[f->buffers.at[i].alias - 1];
            continue;
        }
        const char *name = arena_printf(e->arena, "%s %d", f->buffers.at[i].name, i);
        LLVMMetadataRef parts[] = {string(e, name), root, zero};
        LLVMMetadataRef type = LLVMMDNodeInContext2(e->context, parts, 3);
        LLVMMetadataRef access[] = {type, type, zero};
        e->marks[i] = LLVMMetadataAsValue(e->context, LLVMMDNodeInContext2(e->context, access, 3));
    }
}

/* ---- arguments ---- */

/* Refuses pointers that are NULL or not aligned, before anything is computed from them. */
static void check_pointers(EmitLlvm *e) {
    const LFunction *f = e->function;
    LLVMTypeRef integer = llvm_element(e, LT_I64);
    LLVMValueRef bad = NULL, bits = NULL;
    for (int i = 0; i < f->args.count; i++) {
        LiveArg is = live_arg(&e->live, f, i);
        LLVMValueRef arg = LLVMGetParam(e->self, (unsigned)i);
        if (is.not_null) {
            LLVMValueRef null = LLVMBuildIsNull(e->builder, arg, "");
            bad = bad ? LLVMBuildOr(e->builder, bad, null, "") : null;
        }
        if (is.aligned) {
            LLVMValueRef address = LLVMBuildPtrToInt(e->builder, arg, integer, "");
            bits = bits ? LLVMBuildOr(e->builder, bits, address, "") : address;
        }
    }
    if (bits) {
        LLVMValueRef low = LLVMBuildAnd(e->builder, bits, LLVMConstInt(integer, 63, false), "");
        LLVMValueRef odd = LLVMBuildIsNotNull(e->builder, low, "");
        bad = bad ? LLVMBuildOr(e->builder, bad, odd, "") : odd;
    }
    if (!bad) return;
    LLVMBasicBlockRef refuse = llvm_new_block(e, "refuse"), good = llvm_new_block(e, "good");
    LLVMBuildCondBr(e->builder, bad, refuse, good);
    LLVMPositionBuilderAtEnd(e->builder, refuse);
    LLVMBuildRet(e->builder, llvm_integer(e, f->result, LOOP_BAD_POINTER));
    LLVMPositionBuilderAtEnd(e->builder, good);
}

static void take_arguments(EmitLlvm *e) {
    const LFunction *f = e->function;
    const char *const *names = identifier_args(e->arena, f);
    for (int i = 0; i < f->args.count; i++) {
        const LArg *arg = &f->args.at[i];
        LLVMValueRef value = LLVMGetParam(e->self, (unsigned)i);
        LLVMSetValueName2(value, names[i], strlen(names[i]));
        if (!arg->pointer) e->vars[arg->var] = value;
        if (arg->pointer && arg->var >= 0)
            e->vars[arg->var] = LLVMBuildZExt(e->builder, LLVMBuildIsNotNull(e->builder, value, ""),
                                              llvm_element(e, LT_I32), "");
    }
}

/* ---- functions ---- */

void llvm_declare(EmitLlvm *e, int function) {
    const LFunction *f = e->module->functions.at[function];
    const char *symbol = identifier_symbol(e->module, f->name);
    if (e->version) symbol = arena_printf(e->arena, "%s.%s", symbol, e->version);
    LLVMValueRef self = LLVMAddFunction(e->out, symbol, llvm_function_type(e, f));
    if (!f->exported || e->version) LLVMSetLinkage(self, LLVMInternalLinkage);
    e->functions[function] = self;
}

void llvm_open_function(EmitLlvm *e) {
    e->closed = false;
    llvm_debug_function(e);
    LLVMBasicBlockRef entry = llvm_new_block(e, "entry"), start = llvm_new_block(e, "start");
    LLVMPositionBuilderAtEnd(e->builder, entry);
    e->entry = LLVMBuildBr(e->builder, start);
    LLVMPositionBuilderAtEnd(e->builder, start);
}

void llvm_define(EmitLlvm *e, int function) {
    const LFunction *f = e->module->functions.at[function];
    e->function = f;
    e->self = e->functions[function];
    e->live = live_of(e->arena, f);
    e->vars = ARENA_ARRAY(e->arena, f->vars.count + 1, LLVMValueRef);
    e->lets = ARENA_ARRAY(e->arena, f->vars.count + 1, const LExpr *);
    e->buffers = ARENA_ARRAY(e->arena, f->buffers.count + 1, LLVMValueRef);
    e->marks = ARENA_ARRAY(e->arena, f->buffers.count + 1, LLVMValueRef);
    e->kept = ARENA_ARRAY(e->arena, f->args.count + 1, LLVMValueRef);
    e->after = NULL;
    e->region_count = e->part_count = 0;
    e->splits = llvm_is_large(f);
    llvm_open_function(e);
    take_arguments(e);
    if (live_checks(f)) check_pointers(e);
    make_marks(e);
    keep_arguments(e);
    bool *used = ARENA_ARRAY(e->arena, f->buffers.count + 1, bool);
    for (int i = 0; i < f->body.count; i++) {
        if (!live_stmt(&e->live, f, f->body.at[i])) continue;
        llvm_place(e, f->body.at[i]->at);
        find_buffers(e, f->body.at[i], used);
        llvm_statement(e, f->body.at[i]);
    }
    if (e->closed) return;
    if (f->result == LT_VOID)
        LLVMBuildRetVoid(e->builder);
    else
        LLVMBuildUnreachable(e->builder); /* the Loop verifier refuses such a function */
}
