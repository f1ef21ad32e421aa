/* Large functions in parts: a statement that can stand alone becomes a function of its own, which
 * is called where it stood. What LLVM does to a function, above all its registers, costs more than
 * the function is long; so a gradient of many layers would. Bits and the order of things are the
 * same: a part is one statement of the Loop IR. */
#include "llvm.h"

/* In statements. A function of one layer is left alone; what a loop repeats is a part only where it
 * does enough that its call is not seen. */
enum { SPLIT_FROM = 1500, PART_LEAST = 6, PART_LEAST_INSIDE = 150, PART_MOST = 1500 };

static int block_size(const LBlock *block) {
    int size = 0;
    for (int i = 0; i < block->count; i++)
        size += 1 + block_size(&block->at[i]->body) + block_size(&block->at[i]->otherwise);
    return size;
}

bool llvm_is_large(const LFunction *function) {
    return block_size(&function->body) >= SPLIT_FROM;
}

/* ---- what may stand alone ---- */

typedef struct Part {
    bool *used, *own;   /* [vars] */
    bool *buffers;      /* [buffers] */
    bool movable, loop; /* loop: a BREAK is that of a loop inside */
} Part;

static void find_in(const EmitLlvm *e, const LExpr *x, Part *part) {
    if (!x) return;
    if (x->kind == LE_VAR) part->used[x->var] = true;
    if (x->kind == LE_LOAD) part->buffers[x->buffer] = true;
    find_in(e, x->a, part);
    find_in(e, x->b, part);
    find_in(e, x->c, part);
}

static void find_stmt(const EmitLlvm *e, const LStmt *s, Part *part) {
    bool loop = part->loop;
    if (!live_stmt(&e->live, e->function, s)) return;
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE: part->own[s->var] = true; break;
    case LS_SET: part->movable &= part->own[s->var]; break;
    case LS_STORE: part->buffers[s->buffer] = true; break;
    case LS_FOR:
        part->own[s->var] = true;
        part->loop = true;
        break;
    case LS_BREAK: part->movable &= part->loop; break;
    case LS_RETURN:
    case LS_PARALLEL:
    case LS_BARRIER:
    case LS_CALL: part->movable = false; break;
    case LS_GEMM:
        for (int i = 0; i < s->args.count; i++) find_in(e, s->args.at[i], part);
        break;
    case LS_IF:
    case LS_COMMENT: break;
    }
    find_in(e, s->index, part);
    find_in(e, s->value, part);
    find_in(e, s->low, part);
    find_in(e, s->high, part);
    for (int i = 0; i < s->body.count && part->movable; i++) find_stmt(e, s->body.at[i], part);
    for (int i = 0; i < s->otherwise.count && part->movable; i++)
        find_stmt(e, s->otherwise.at[i], part);
    part->loop = loop;
}

static Part part_of(EmitLlvm *e, const LStmt *s) {
    const LFunction *f = e->function;
    Part part = {.used = ARENA_ARRAY(e->arena, f->vars.count + 1, bool),
                 .own = ARENA_ARRAY(e->arena, f->vars.count + 1, bool),
                 .buffers = ARENA_ARRAY(e->arena, f->buffers.count + 1, bool),
                 .movable = true};
    find_stmt(e, s, &part);
    return part;
}

static bool has_part(const LBlock *block, int least) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (1 + block_size(&s->body) + block_size(&s->otherwise) >= least) return true;
    }
    return false;
}

/* ---- the function ---- */

/* Its parameters, in this order: variables from outside, then buffers; `give`: what a call passes.
 */
static unsigned parameters(EmitLlvm *e, const Part *part, LLVMTypeRef *types, LLVMValueRef *give) {
    const LFunction *f = e->function;
    unsigned count = 0;
    for (int i = 0; i < f->vars.count; i++) {
        if (!part->used[i] || part->own[i]) continue;
        const LVar *var = &f->vars.at[i];
        const LExpr read = {.kind = LE_VAR, .type = var->type, .lanes = var->lanes, .var = i};
        types[count] = llvm_type(e, var->type, var->lanes);
        give[count++] = llvm_expr(e, &read);
    }
    for (int i = 0; i < f->buffers.count; i++) {
        if (!part->buffers[i] || f->buffers.at[i].base == LB_TABLE) continue;
        types[count] = LLVMPointerTypeInContext(e->context, 0);
        give[count++] = e->buffers[i];
    }
    return count;
}

static void take(EmitLlvm *e, const Part *part, const LLVMValueRef *outer_buffers) {
    const LFunction *f = e->function;
    unsigned count = 0;
    for (int i = 0; i < f->vars.count; i++) {
        if (!part->used[i] || part->own[i]) continue;
        LLVMValueRef value = LLVMGetParam(e->self, count++);
        LLVMSetValueName2(value, f->vars.at[i].name, strlen(f->vars.at[i].name));
        e->vars[i] = value;
        if (!f->vars.at[i].mutable_) continue;
        e->vars[i] = llvm_room(e, LLVMTypeOf(value), f->vars.at[i].name);
        LLVMBuildStore(e->builder, value, e->vars[i]);
    }
    for (int i = 0; i < f->buffers.count; i++) {
        if (!part->buffers[i]) continue;
        bool table = f->buffers.at[i].base == LB_TABLE;
        e->buffers[i] = table ? outer_buffers[i] : LLVMGetParam(e->self, count++);
    }
}

static LLVMValueRef define(EmitLlvm *e, const LStmt *s, const Part *part, LLVMTypeRef type) {
    const LFunction *f = e->function;
    EmitLlvm outer = *e;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    size_t length;
    const char *name = arena_printf(e->arena, "%s_part_%d", LLVMGetValueName2(e->self, &length),
                                    ++outer.part_count);
    e->self = LLVMAddFunction(e->out, name, type);
    LLVMSetLinkage(e->self, LLVMInternalLinkage);
    llvm_describe(e, e->self, e->target);
    unsigned noinline_ = LLVMGetEnumAttributeKindForName("noinline", 8);
    LLVMAddAttributeAtIndex(e->self, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(e->context, noinline_, 0));
    e->vars = ARENA_ARRAY(e->arena, f->vars.count + 1, LLVMValueRef);
    e->lets = ARENA_ARRAY(e->arena, f->vars.count + 1, const LExpr *);
    e->buffers = ARENA_ARRAY(e->arena, f->buffers.count + 1, LLVMValueRef);
    e->after = NULL;
    e->loop = NULL;
    e->splits = false;
    llvm_open_function(e);
    take(e, part, outer.buffers);
    llvm_statement(e, s);
    if (!e->closed) LLVMBuildRetVoid(e->builder);
    LLVMValueRef self = e->self;
    outer.memo = e->memo;
    outer.memo_room = e->memo_room;
    outer.statement = e->statement;
    *e = outer;
    LLVMPositionBuilderAtEnd(e->builder, here);
    llvm_place(e, s->at);
    return self;
}

bool llvm_part(EmitLlvm *e, const LStmt *s) {
    if (!e->splits || (s->kind != LS_FOR && s->kind != LS_IF)) return false;
    int size = 1 + block_size(&s->body) + block_size(&s->otherwise);
    int least = e->after ? PART_LEAST_INSIDE : PART_LEAST;
    if (size < least) return false;
    if (s->kind == LS_FOR) least = PART_LEAST_INSIDE;
    if (size > PART_MOST && (has_part(&s->body, least) || has_part(&s->otherwise, least)))
        return false;
    Part part = part_of(e, s);
    if (!part.movable) return false;
    const LFunction *f = e->function;
    int most = f->vars.count + f->buffers.count + 1;
    LLVMTypeRef *types = ARENA_ARRAY(e->arena, most, LLVMTypeRef);
    LLVMValueRef *give = ARENA_ARRAY(e->arena, most, LLVMValueRef);
    unsigned count = parameters(e, &part, types, give);
    LLVMTypeRef type = LLVMFunctionType(llvm_element(e, LT_VOID), types, count, false);
    LLVMBuildCall2(e->builder, type, define(e, s, &part, type), give, count, "");
    return true;
}
