/* Builders of the Loop IR: expressions (with the folding of index arithmetic), statements,
 * arguments and buffers. They trust their caller; loop_verify finds what does not fit. Nodes may be
 * shared: no builder changes an operand. */
#include "loop/loop.h"

#include <limits.h>

LoopModule *loop_module_new(Arena *arena, Names *names, Name prefix, Target target, LoopType real) {
    LoopModule *module = ARENA_NEW(arena, LoopModule);
    module->arena = arena;
    module->names = names;
    module->prefix = prefix;
    module->target = target;
    module->real = real;
    return module;
}

LFunction *loop_function(LoopModule *module, const char *name, LoopType result, bool exported) {
    LFunction *function = ARENA_NEW(module->arena, LFunction);
    module->at = module->home;
    function->name = name_of(module->names, name);
    function->result = result;
    function->exported = exported;
    vec_push(module->arena, &module->functions, function);
    return function;
}

/* ---- expressions ---- */

static LExpr *new_expr(LoopModule *module, LExprKind kind, LoopType type, int lanes) {
    LExpr *e = ARENA_NEW(module->arena, LExpr);
    e->kind = kind;
    e->type = type;
    e->lanes = lanes;
    e->var = e->buffer = -1;
    return e;
}

LExpr *loop_float(LoopModule *module, LoopType type, double value) {
    LExpr *e = new_expr(module, LE_FLOAT, type, 1);
    e->number = type == LT_F32 ? (double)(float)value : value;
    return e;
}

LExpr *loop_int_of(LoopModule *module, LoopType type, int64_t value) {
    LExpr *e = new_expr(module, LE_INT, type, 1);
    e->integer = value;
    return e;
}

LExpr *loop_int(LoopModule *module, int64_t value) {
    return loop_int_of(module, LT_I64, value);
}

LExpr *loop_var(LoopModule *module, const LFunction *function, int var) {
    const LVar *v = &function->vars.at[var];
    LExpr *e = new_expr(module, LE_VAR, v->type, v->lanes);
    e->var = var;
    return e;
}

LExpr *loop_load(LoopModule *module, const LFunction *function, int buffer, LExpr *index, int lanes,
                 bool aligned) {
    LExpr *e = new_expr(module, LE_LOAD, function->buffers.at[buffer].type, lanes);
    e->buffer = buffer;
    e->a = index;
    e->aligned = aligned;
    return e;
}

LExpr *loop_load_apart(LoopModule *module, const LFunction *function, int buffer, LExpr *index,
                       int lanes, int64_t apart) {
    LExpr *e = loop_load(module, function, buffer, index, lanes, false);
    e->integer = apart;
    return e;
}

LExpr *loop_convert(LoopModule *module, ScalarOp op, LoopType to, LExpr *a) {
    LExpr *e = new_expr(module, LE_OP, to, a->lanes);
    e->op = op;
    e->a = a;
    return e;
}

LExpr *loop_splat(LoopModule *module, LExpr *a, int lanes) {
    if (lanes == 1) return a;
    LExpr *e = new_expr(module, LE_SPLAT, a->type, lanes);
    e->a = a;
    return e;
}

LExpr *loop_lane(LoopModule *module, LExpr *a, int lane) {
    if (a->lanes == 1 && lane == 0) return a;
    LExpr *e = new_expr(module, LE_LANE, a->type, 1);
    e->a = a;
    e->integer = lane;
    return e;
}

static LExpr *raw_op(LoopModule *module, ScalarOp op, LExpr *a, LExpr *b, LExpr *c) {
    LoopType type = a->type;
    switch (scalar_op_info[op].kind) {
    case SK_COMPARE: type = loop_mask_of(a->type); break;
    case SK_SELECT: type = b->type; break;
    case SK_ARITH:
    case SK_BITS:
    case SK_MASK:
    case SK_CONVERT:
    case SK_EXPANDED: break;
    }
    LExpr *e = new_expr(module, LE_OP, type, a->lanes);
    e->op = op;
    e->a = a;
    e->b = b;
    e->c = c;
    return e;
}

/* ---- folding of I64 ---- */

static bool is_int(const LExpr *e, int64_t value) {
    return e->kind == LE_INT && e->integer == value;
}

static bool fold_constants(ScalarOp op, int64_t a, int64_t b, int64_t *to) {
    switch ((int)op) {
    case SOP_ADD: return !__builtin_add_overflow(a, b, to);
    case SOP_SUB: return !__builtin_sub_overflow(a, b, to);
    case SOP_MUL: return !__builtin_mul_overflow(a, b, to);
    case SOP_MIN: *to = a > b ? b : a; return true;
    case SOP_MAX: *to = a < b ? b : a; return true;
    case SOP_DIV:
        if (a < 0 || b <= 0) return false;
        *to = a / b;
        return true;
    case SOP_MOD:
        if (a < 0 || b <= 0) return false;
        *to = a % b;
        return true;
    }
    return false;
}

/* x + c or x - c as x and a signed constant; INT64_MIN has no negative and stays as it is. */
static LExpr *split_offset(LExpr *e, int64_t *offset) {
    *offset = 0;
    if (e->kind != LE_OP || (e->op != SOP_ADD && e->op != SOP_SUB)) return e;
    if (e->b->kind != LE_INT || e->b->integer == INT64_MIN) return e;
    *offset = e->op == SOP_ADD ? e->b->integer : -e->b->integer;
    return e->a;
}

/* a + constant, with the constants of a chain gathered in one. */
static LExpr *fold_offset(LoopModule *module, LExpr *a, int64_t constant) {
    int64_t inner, sum;
    LExpr *base = split_offset(a, &inner);
    if (__builtin_add_overflow(inner, constant, &sum) || sum == INT64_MIN) return NULL;
    if (sum == 0) return base;
    return sum > 0 ? raw_op(module, SOP_ADD, base, loop_int(module, sum), NULL)
                   : raw_op(module, SOP_SUB, base, loop_int(module, -sum), NULL);
}

/* The simpler form of an operation on I64, or NULL. */
static LExpr *fold(LoopModule *module, ScalarOp op, LExpr *a, LExpr *b) {
    int64_t value;
    if (a->kind == LE_INT && b->kind == LE_INT &&
        fold_constants(op, a->integer, b->integer, &value))
        return loop_int(module, value);
    if (a->kind == LE_INT && (op == SOP_ADD || op == SOP_MUL)) {
        LExpr *swap = a;
        a = b;
        b = swap;
    }
    switch ((int)op) {
    case SOP_ADD: return b->kind == LE_INT ? fold_offset(module, a, b->integer) : NULL;
    case SOP_SUB:
        if (b->kind == LE_INT && b->integer != INT64_MIN)
            return fold_offset(module, a, -b->integer);
        return NULL;
    case SOP_MUL:
        if (is_int(b, 0)) return b;
        if (is_int(b, 1)) return a;
        if (b->kind == LE_INT && a->kind == LE_OP && a->op == SOP_MUL && a->b->kind == LE_INT &&
            fold_constants(op, a->b->integer, b->integer, &value))
            return raw_op(module, op, a->a, loop_int(module, value), NULL);
        return b->kind == LE_INT ? raw_op(module, op, a, b, NULL) : NULL;
    case SOP_DIV: return is_int(b, 1) ? a : NULL;
    case SOP_MOD: return is_int(b, 1) ? loop_int(module, 0) : NULL;
    case SOP_MIN:
    case SOP_MAX: return a == b ? a : NULL;
    }
    return NULL;
}

LExpr *loop_op(LoopModule *module, ScalarOp op, LExpr *a, LExpr *b, LExpr *c) {
    if (a->type == LT_I64 && a->lanes == 1 && b && !c && b->type == LT_I64 && b->lanes == 1) {
        LExpr *folded = fold(module, op, a, b);
        if (folded) return folded;
    }
    return raw_op(module, op, a, b, c);
}

LExpr *loop_add(LoopModule *module, LExpr *a, LExpr *b) {
    return loop_op(module, SOP_ADD, a, b, NULL);
}

LExpr *loop_sub(LoopModule *module, LExpr *a, LExpr *b) {
    return loop_op(module, SOP_SUB, a, b, NULL);
}

LExpr *loop_mul(LoopModule *module, LExpr *a, LExpr *b) {
    return loop_op(module, SOP_MUL, a, b, NULL);
}

LExpr *loop_min(LoopModule *module, LExpr *a, LExpr *b) {
    return loop_op(module, SOP_MIN, a, b, NULL);
}

/* ---- statements ---- */

static LStmt *new_stmt(LoopModule *module, LBlock *block, LStmtKind kind) {
    LStmt *s = ARENA_NEW(module->arena, LStmt);
    s->kind = kind;
    s->at = module->at;
    s->var = s->var2 = s->buffer = s->callee = -1;
    vec_push(module->arena, block, s);
    return s;
}

static int new_var(LoopModule *module, LFunction *function, const char *name, LoopType type,
                   int lanes, bool mutable_) {
    vec_push(module->arena, &function->vars,
             (LVar){.name = name_of(module->names, name),
                    .type = type,
                    .lanes = lanes,
                    .mutable_ = mutable_});
    return function->vars.count - 1;
}

static int declare(LoopModule *module, LFunction *function, LBlock *block, const char *name,
                   LExpr *value, LStmtKind kind) {
    int var = new_var(module, function, name, value->type, value->lanes, kind == LS_MUTABLE);
    LStmt *s = new_stmt(module, block, kind);
    s->var = var;
    s->value = value;
    return var;
}

int loop_let(LoopModule *module, LFunction *function, LBlock *block, const char *name,
             LExpr *value) {
    return declare(module, function, block, name, value, LS_LET);
}

int loop_mutable(LoopModule *module, LFunction *function, LBlock *block, const char *name,
                 LExpr *value) {
    return declare(module, function, block, name, value, LS_MUTABLE);
}

void loop_set(LoopModule *module, LBlock *block, int var, LExpr *value) {
    LStmt *s = new_stmt(module, block, LS_SET);
    s->var = var;
    s->value = value;
}

void loop_store(LoopModule *module, LBlock *block, int buffer, LExpr *index, LExpr *value,
                bool aligned) {
    LStmt *s = new_stmt(module, block, LS_STORE);
    s->buffer = buffer;
    s->index = index;
    s->value = value;
    s->aligned = aligned;
}

LStmt *loop_for(LoopModule *module, LFunction *function, LBlock *block, const char *name,
                LExpr *low, LExpr *high, int64_t step) {
    LStmt *s = new_stmt(module, block, LS_FOR);
    s->var = new_var(module, function, name, LT_I64, 1, false);
    s->low = low;
    s->high = high;
    s->step = step;
    return s;
}

LStmt *loop_if(LoopModule *module, LBlock *block, LExpr *condition) {
    LStmt *s = new_stmt(module, block, LS_IF);
    s->value = condition;
    return s;
}

void loop_return(LoopModule *module, LBlock *block, LExpr *value) {
    new_stmt(module, block, LS_RETURN)->value = value;
}

void loop_break(LoopModule *module, LBlock *block) {
    new_stmt(module, block, LS_BREAK);
}

void loop_comment(LoopModule *module, LBlock *block, const char *text) {
    LStmt *s = new_stmt(module, block, LS_COMMENT);
    s->text = arena_strndup(module->arena, text, strlen(text));
}

LStmt *loop_parallel(LoopModule *module, LFunction *function, LBlock *block) {
    LStmt *s = new_stmt(module, block, LS_PARALLEL);
    s->var = new_var(module, function, "thread", LT_I64, 1, false);
    s->var2 = new_var(module, function, "threads", LT_I64, 1, false);
    return s;
}

void loop_barrier(LoopModule *module, LBlock *block) {
    new_stmt(module, block, LS_BARRIER);
}

int loop_call(LoopModule *module, LFunction *function, LBlock *block, int callee,
              LExpr *const *args, int count) {
    LStmt *s = new_stmt(module, block, LS_CALL);
    LoopType result = module->functions.at[callee]->result;
    s->callee = callee;
    for (int i = 0; i < count; i++) vec_push(module->arena, &s->args, args[i]);
    if (result != LT_VOID) s->var = new_var(module, function, "result", result, 1, false);
    return s->var;
}

void loop_gemm(LoopModule *module, LBlock *block, int flags, LExpr *const args[GEMM_ARGS]) {
    LStmt *s = new_stmt(module, block, LS_GEMM);
    s->gemm = flags;
    for (int i = 0; i < GEMM_ARGS; i++) vec_push(module->arena, &s->args, args[i]);
}

static bool has_gemm(const LBlock *block) {
    for (int i = 0; i < block->count; i++)
        if (block->at[i]->kind == LS_GEMM || has_gemm(&block->at[i]->body) ||
            has_gemm(&block->at[i]->otherwise))
            return true;
    return false;
}

bool loop_has_gemm(const LoopModule *module) {
    for (int i = 0; i < module->functions.count; i++)
        if (has_gemm(&module->functions.at[i]->body)) return true;
    return false;
}

/* ---- arguments and buffers ---- */

int loop_arg_scalar(LoopModule *module, LFunction *function, const char *name, LoopType type,
                    const char *doc) {
    int var = new_var(module, function, name, type, 1, false);
    vec_push(module->arena, &function->args,
             (LArg){.name = name_of(module->names, name), .type = type, .var = var, .doc = doc});
    return var;
}

int loop_arg_pointer(LoopModule *module, LFunction *function, const char *name, LoopType type,
                     bool written, bool nullable, const char *doc) {
    int var = -1;
    if (nullable)
        var = new_var(module, function, arena_printf(module->arena, "has_%s", name), LT_I32, 1,
                      false);
    vec_push(module->arena, &function->args,
             (LArg){.name = name_of(module->names, name),
                    .type = type,
                    .pointer = true,
                    .written = written,
                    .nullable = nullable,
                    .var = var,
                    .doc = doc});
    return function->args.count - 1;
}

int loop_arg_pool(LoopModule *module, LFunction *function, const char *name, const char *doc) {
    int arg = loop_arg_pointer(module, function, name, LT_VOID, true, false, doc);
    function->args.at[arg].nullable = function->args.at[arg].pool = true;
    return arg;
}

int loop_buffer(LoopModule *module, LFunction *function, LBuffer buffer) {
    vec_push(module->arena, &function->buffers, buffer);
    return function->buffers.count - 1;
}
