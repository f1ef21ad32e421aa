/* Parallel regions as LLVM IR: the body becomes a function, what it takes from outside a struct
 * that all threads read, and the region a call of the runtime. No pointer is said to be `noalias`,
 * and the marks of buffers (function.c) say nothing of calls, so a barrier keeps all accesses on
 * their side. */
#include "llvm.h"

typedef struct Region {
    const LStmt *stmt;
    LiveRegion in;
    LLVMTypeRef type;     /* of the struct */
    LLVMValueRef at;      /* it, in the function at hand */
    int *vars, *buffers;  /* [vars], [buffers]: the field, or -1 */
    int pool;             /* the same */
    unsigned *seen, turn; /* [vars]: the statement that has asked for it */
} Region;

/* ---- the struct ---- */

static void lay_out(EmitLlvm *e, Region *r) {
    const LFunction *f = e->function;
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0);
    LLVMTypeRef *fields = ARENA_ARRAY(e->arena, f->vars.count + f->buffers.count + 1, LLVMTypeRef);
    unsigned count = 0;
    r->vars = ARENA_ARRAY(e->arena, f->vars.count + 1, int);
    r->buffers = ARENA_ARRAY(e->arena, f->buffers.count + 1, int);
    r->seen = ARENA_ARRAY(e->arena, f->vars.count + 1, unsigned);
    r->pool = r->in.barriers ? (int)count : -1;
    if (r->in.barriers) fields[count++] = pointer;
    for (int i = 0; i < f->vars.count; i++) {
        r->vars[i] = r->in.vars[i] ? (int)count : -1;
        if (r->in.vars[i]) fields[count++] = llvm_type(e, f->vars.at[i].type, f->vars.at[i].lanes);
    }
    for (int i = 0; i < f->buffers.count; i++) {
        r->buffers[i] = r->in.buffers[i] ? (int)count : -1;
        if (r->in.buffers[i]) fields[count++] = pointer;
    }
    r->type = LLVMStructTypeInContext(e->context, fields, count, false);
}

static LLVMValueRef field(EmitLlvm *e, const Region *r, int index) {
    return LLVMBuildStructGEP2(e->builder, r->type, r->at, (unsigned)index, "");
}

static void fill(EmitLlvm *e, const Region *r, LLVMValueRef pool) {
    const LFunction *f = e->function;
    if (r->pool >= 0) LLVMBuildStore(e->builder, pool, field(e, r, r->pool));
    for (int i = 0; i < f->vars.count; i++) {
        if (r->vars[i] < 0) continue;
        const LVar *var = &f->vars.at[i];
        LExpr read = {.kind = LE_VAR, .type = var->type, .lanes = var->lanes, .var = i};
        LLVMBuildStore(e->builder, llvm_expr(e, &read), field(e, r, r->vars[i]));
    }
    for (int i = 0; i < f->buffers.count; i++)
        if (r->buffers[i] >= 0)
            LLVMBuildStore(e->builder, e->buffers[i], field(e, r, r->buffers[i]));
}

/* ---- the function ---- */

/* By a load that LLVM may not merge with others, for the reason that `again` has in function.c. */
static LLVMValueRef take(EmitLlvm *e, const Region *r, int index, LLVMTypeRef type,
                         const char *name) {
    LLVMValueRef value = LLVMBuildLoad2(e->builder, type, field(e, r, index), name);
    LLVMSetVolatile(value, true);
    return value;
}

static void take_vars(EmitLlvm *e, Region *r, const LExpr *x) {
    if (!x) return;
    if (x->kind == LE_VAR && r->vars[x->var] >= 0 && r->seen[x->var] != r->turn) {
        const LVar *var = &e->function->vars.at[x->var];
        r->seen[x->var] = r->turn;
        /* One that is set outside is read where it lies. */
        e->vars[x->var] = var->mutable_ ? field(e, r, r->vars[x->var])
                                        : take(e, r, r->vars[x->var],
                                               llvm_type(e, var->type, var->lanes), var->name);
    }
    take_vars(e, r, x->a);
    take_vars(e, r, x->b);
    take_vars(e, r, x->c);
}

static void take_vars_of(EmitLlvm *e, Region *r, const LStmt *s) {
    take_vars(e, r, s->index);
    take_vars(e, r, s->value);
    take_vars(e, r, s->low);
    take_vars(e, r, s->high);
    for (int i = 0; i < s->args.count; i++) take_vars(e, r, s->args.at[i]);
    for (int i = 0; i < s->body.count; i++) take_vars_of(e, r, s->body.at[i]);
    for (int i = 0; i < s->otherwise.count; i++) take_vars_of(e, r, s->otherwise.at[i]);
}

/* What a statement of the region's outermost block needs from outside, and where locals are. */
static void find_all(EmitLlvm *e, Region *r, const LStmt *s, bool *used) {
    const LFunction *f = e->function;
    r->turn++;
    take_vars_of(e, r, s);
    memset(used, 0, (size_t)f->buffers.count * sizeof *used);
    live_stmt_buffers(f, s, used);
    for (int i = 0; i < f->buffers.count; i++) {
        if (!used[i] || !e->live.buffers[i]) continue;
        if (f->buffers.at[i].base == LB_ARG)
            e->buffers[i] = take(e, r, r->buffers[i], LLVMPointerTypeInContext(e->context, 0),
                                 f->buffers.at[i].name);
        else if (!e->buffers[i])
            e->buffers[i] = llvm_buffer(e, i);
    }
}

static void print_body(EmitLlvm *e, Region *r) {
    const LFunction *f = e->function;
    bool *used = ARENA_ARRAY(e->arena, f->buffers.count + 1, bool);
    r->at = LLVMGetParam(e->self, 0);
    e->thread = e->vars[r->stmt->var] = LLVMGetParam(e->self, 1);
    e->vars[r->stmt->var2] = LLVMGetParam(e->self, 2);
    if (r->pool >= 0) e->pool = field(e, r, r->pool);
    for (int i = 0; i < r->stmt->body.count; i++) {
        const LStmt *s = r->stmt->body.at[i];
        if (!live_stmt(&e->live, f, s)) continue;
        llvm_place(e, s->at);
        find_all(e, r, s, used);
        llvm_statement(e, s);
    }
    LLVMBuildRetVoid(e->builder);
}

/* Arrays of the function at hand are its own: what the region does with them ends with it. */
static LLVMValueRef define(EmitLlvm *e, Region *r, LLVMTypeRef type) {
    const LFunction *f = e->function;
    EmitLlvm outer = *e;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(e->builder);
    size_t length;
    const char *name = arena_printf(e->arena, "%s_region_%d", LLVMGetValueName2(e->self, &length),
                                    ++outer.region_count);
    e->self = LLVMAddFunction(e->out, name, type);
    LLVMSetLinkage(e->self, LLVMInternalLinkage);
    llvm_describe(e, e->self, e->target);
    e->vars = ARENA_ARRAY(e->arena, f->vars.count + 1, LLVMValueRef);
    e->lets = ARENA_ARRAY(e->arena, f->vars.count + 1, const LExpr *);
    e->buffers = ARENA_ARRAY(e->arena, f->buffers.count + 1, LLVMValueRef);
    e->after = NULL;
    e->loop = NULL;
    llvm_open_function(e);
    print_body(e, r);
    LLVMValueRef self = e->self;
    outer.memo = e->memo;
    outer.memo_room = e->memo_room;
    outer.statement = e->statement;
    *e = outer;
    LLVMPositionBuilderAtEnd(e->builder, here);
    llvm_place(e, r->stmt->at);
    return self;
}

/* ---- calls of the runtime ---- */

LLVMValueRef llvm_runtime(EmitLlvm *e, const char *name, LLVMTypeRef type) {
    LLVMValueRef known = LLVMGetNamedFunction(e->out, name);
    return known ? known : LLVMAddFunction(e->out, name, type);
}

/* Those who run the region: all threads, or none but the caller where that is faster. */
static LLVMValueRef choose(EmitLlvm *e, const LStmt *s, LLVMValueRef pool) {
    if (!s->low) return pool;
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0),
                integer = llvm_element(e, LT_I64);
    LLVMTypeRef given[] = {pointer, integer, integer};
    LLVMTypeRef type = LLVMFunctionType(pointer, given, 3, false);
    LLVMValueRef ns = llvm_expr(e, s->low);
    LLVMValueRef args[] = {pool, ns, llvm_expr(e, s->high)};
    return LLVMBuildCall2(e->builder, type, llvm_runtime(e, "rnn_rt_pool_for", type), args, 3,
                          "team");
}

void llvm_region(EmitLlvm *e, const LStmt *s) {
    LLVMTypeRef none = llvm_element(e, LT_VOID), integer = llvm_element(e, LT_I64);
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0);
    LLVMTypeRef taken[] = {pointer, integer, integer}, given[] = {pointer, pointer, pointer};
    LLVMTypeRef region_type = LLVMFunctionType(none, taken, 3, false);
    LLVMTypeRef run_type = LLVMFunctionType(none, given, 3, false);
    Region r = {.stmt = s, .in = live_region(e->arena, &e->live, e->function, s)};
    lay_out(e, &r);
    LLVMValueRef pool = choose(e, s, LLVMGetParam(e->self, (unsigned)loop_pool(e->function)));
    LLVMValueRef shared = r.at = llvm_room(e, r.type, "region");
    fill(e, &r, pool);
    LLVMValueRef args[] = {pool, define(e, &r, region_type), shared};
    LLVMBuildCall2(e->builder, run_type, llvm_runtime(e, "rnn_rt_pool_run", run_type), args, 3, "");
}

void llvm_barrier(EmitLlvm *e) {
    if (!e->pool) return; /* one thread */
    LLVMTypeRef pointer = LLVMPointerTypeInContext(e->context, 0);
    LLVMTypeRef given[] = {pointer, llvm_element(e, LT_I64)};
    LLVMTypeRef type = LLVMFunctionType(llvm_element(e, LT_VOID), given, 2, false);
    LLVMValueRef args[] = {LLVMBuildLoad2(e->builder, pointer, e->pool, ""), e->thread};
    LLVMBuildCall2(e->builder, type, llvm_runtime(e, "rnn_rt_pool_barrier", type), args, 2, "");
}
