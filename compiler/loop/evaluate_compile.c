/* From Loop functions to the evaluator's instructions. Shared expression nodes are computed once a
 * statement; temporaries live for one statement. The module has passed loop_verify. */
#include "loop/evaluate_code.h"

enum { REGISTER_ALIGN = 16 };

typedef struct Memo {
    const LExpr *expr;
    int32_t at;
    unsigned statement;
} Memo;

typedef struct Compiler {
    Arena *arena;
    const LoopModule *module;
    EvFunction *to;
    const LStmt *statement;
    int32_t base, top; /* temporaries of the statement: from base, next at top */
    Memo *memo;
    int memo_room, memo_count;
    unsigned number; /* of the statement: older memos are void */
    VEC(int) breaks; /* jumps to be sent to the end of the innermost loop */
} Compiler;

static int emit(Compiler *c, EvIns ins) {
    vec_push(c->arena, &c->to->code, ins);
    vec_push(c->arena, &c->to->where, c->statement);
    return c->to->code.count - 1;
}

static int32_t take(Compiler *c, LoopType type, int lanes) {
    int32_t at = c->top;
    int32_t bytes = loop_type_size(type) * lanes;
    c->top += (bytes + REGISTER_ALIGN - 1) / REGISTER_ALIGN * REGISTER_ALIGN;
    if (c->top > c->to->high) c->to->high = c->top;
    return at;
}

static void begin_statement(Compiler *c, const LStmt *s) {
    c->statement = s;
    c->top = c->base;
    c->number++;
    c->memo_count = 0;
}

/* ---- what was computed already ---- */

static Memo *memo_slot(Memo *memo, int room, unsigned number, const LExpr *e) {
    size_t mask = (size_t)room - 1, i = ((uintptr_t)e >> 4) * 0x9e3779b1u & mask;
    while (memo[i].statement == number && memo[i].expr != e) i = (i + 1) & mask;
    return &memo[i];
}

static void remember(Compiler *c, const LExpr *e, int32_t at) {
    if (2 * c->memo_count >= c->memo_room) {
        int room = c->memo_room ? 2 * c->memo_room : 64;
        Memo *grown = ARENA_ARRAY(c->arena, room, Memo);
        for (int i = 0; i < c->memo_room; i++)
            if (c->memo[i].statement == c->number)
                *memo_slot(grown, room, c->number, c->memo[i].expr) = c->memo[i];
        c->memo = grown;
        c->memo_room = room;
    }
    *memo_slot(c->memo, c->memo_room, c->number, e) = (Memo){e, at, c->number};
    c->memo_count++;
}

/* ---- expressions ---- */

static int32_t constant(Compiler *c, int lanes, int size, uint64_t bits) {
    EvFunction *f = c->to;
    for (int i = f->consts.count - 1, tries = 0; i >= 0 && tries < 64; i--, tries++) {
        EvConst *k = &f->consts.at[i];
        if (k->lanes == lanes && k->size == size && k->bits == bits) return k->at;
    }
    f->low -= (lanes * size + REGISTER_ALIGN - 1) / REGISTER_ALIGN * REGISTER_ALIGN;
    vec_push(c->arena, &f->consts, (EvConst){f->low, lanes, size, bits});
    return f->low;
}

static int32_t literal(Compiler *c, const LExpr *e, int lanes) {
    uint64_t bits = 0;
    float single = (float)e->number;
    int32_t narrow = (int32_t)e->integer;
    if (e->kind == LE_FLOAT && e->type == LT_F32)
        memcpy(&bits, &single, sizeof single);
    else if (e->kind == LE_FLOAT)
        memcpy(&bits, &e->number, sizeof bits);
    else if (e->type == LT_I32)
        memcpy(&bits, &narrow, sizeof narrow);
    else
        memcpy(&bits, &e->integer, sizeof bits);
    return constant(c, lanes, loop_type_size(e->type), bits);
}

/* The instruction for `type` among those of an operation that stand in the order F32, F64, I32,
 * I64. */
static uint16_t typed(EvCode first, LoopType type) {
    int offset = type == LT_F32 ? 0 : type == LT_F64 ? 1 : type == LT_I32 ? 2 : 3;
    return (uint16_t)((int)first + offset);
}

/* The same where there are only integers, or only masks and widths. */
static uint16_t wide(EvCode first, LoopType type) {
    return (uint16_t)((int)first + (loop_type_size(type) == 8));
}

static uint16_t code_of(const LExpr *e) {
    LoopType type = e->a->type;
    switch (e->op) {
    case SOP_ADD: return typed(EV_ADD_F32, type);
    case SOP_SUB: return typed(EV_SUB_F32, type);
    case SOP_MUL: return typed(EV_MUL_F32, type);
    case SOP_DIV: return typed(EV_DIV_F32, type);
    case SOP_NEG: return typed(EV_NEG_F32, type);
    case SOP_MIN: return typed(EV_MIN_F32, type);
    case SOP_MAX: return typed(EV_MAX_F32, type);
    case SOP_LT: return typed(EV_LT_F32, type);
    case SOP_LE: return typed(EV_LE_F32, type);
    case SOP_GT: return typed(EV_GT_F32, type);
    case SOP_GE: return typed(EV_GE_F32, type);
    case SOP_EQ: return typed(EV_EQ_F32, type);
    case SOP_NE: return typed(EV_NE_F32, type);
    case SOP_FMA: return typed(EV_FMA_F32, type);
    case SOP_ABS: return typed(EV_ABS_F32, type);
    case SOP_MOD: return wide(EV_MOD_I32, type);
    case SOP_MULHI: return EV_MULHI;
    case SOP_AND: return wide(EV_AND_I32, type);
    case SOP_OR: return wide(EV_OR_I32, type);
    case SOP_XOR: return wide(EV_XOR_I32, type);
    case SOP_SHL: return wide(EV_SHL_I32, type);
    case SOP_SHR: return wide(EV_SHR_I32, type);
    case SOP_MAND: return wide(EV_MAND_M32, type);
    case SOP_MOR: return wide(EV_MOR_M32, type);
    case SOP_MNOT: return wide(EV_MNOT_M32, type);
    case SOP_SELECT: return wide(EV_SELECT_M32, type);
    case SOP_CONVERT: return EV_CONVERT;
    case SOP_BITCAST: return EV_MOVE;
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
    case SOP_COS: return EV_MATH;
    case SOP_COUNT: break;
    }
    return EV_END;
}

static int32_t compile_expr(Compiler *c, const LExpr *e, int32_t dst);

static int32_t operand(Compiler *c, const LExpr *e) {
    return e ? compile_expr(c, e, EV_NONE) : EV_NONE;
}

static EvIns op_instruction(Compiler *c, const LExpr *e) {
    EvIns ins = {.code = code_of(e), .type = (uint16_t)e->type, .lanes = e->lanes};
    ins.a = operand(c, e->a);
    ins.b = operand(c, e->b);
    ins.c = operand(c, e->c);
    if (ins.code == EV_CONVERT) ins.c = (int32_t)e->a->type;
    if (ins.code == EV_MOVE) ins.c = e->lanes * loop_type_size(e->type);
    if (ins.code == EV_MATH) ins.c = (int32_t)e->op;
    return ins;
}

static int32_t move(Compiler *c, int32_t from, int32_t to, const LExpr *e) {
    if (to == EV_NONE || to == from) return from;
    emit(c, (EvIns){.code = EV_MOVE,
                    .lanes = 1,
                    .d = to,
                    .a = from,
                    .c = e->lanes * loop_type_size(e->type)});
    return to;
}

/* The register with the value of e: `dst` where one is given. */
static int32_t compile_expr(Compiler *c, const LExpr *e, int32_t dst) {
    if (c->memo_count) {
        Memo *m = memo_slot(c->memo, c->memo_room, c->number, e);
        if (m->statement == c->number) return move(c, m->at, dst, e);
    }
    EvIns ins = {.type = (uint16_t)e->type, .lanes = e->lanes};
    switch (e->kind) {
    case LE_FLOAT:
    case LE_INT: return move(c, literal(c, e, 1), dst, e);
    case LE_VAR: return move(c, c->to->vars[e->var], dst, e);
    case LE_LOAD:
        ins.code = EV_LOAD;
        ins.a = operand(c, e->a);
        ins.b = e->buffer;
        ins.c = e->integer ? -(int32_t)e->integer : e->aligned;
        break;
    case LE_OP: ins = op_instruction(c, e); break;
    case LE_SPLAT:
        if (e->a->kind == LE_FLOAT || e->a->kind == LE_INT)
            return move(c, literal(c, e->a, e->lanes), dst, e);
        ins.code = EV_SPLAT;
        ins.a = operand(c, e->a);
        ins.c = loop_type_size(e->type);
        break;
    case LE_LANE:
        return move(c, operand(c, e->a) + (int32_t)e->integer * loop_type_size(e->type), dst, e);
    }
    ins.d = dst != EV_NONE ? dst : take(c, e->type, e->lanes);
    emit(c, ins);
    if (dst == EV_NONE) remember(c, e, ins.d);
    return ins.d;
}

/* ---- statements ---- */

static void compile_block(Compiler *c, const LBlock *block);

static void patch(Compiler *c, int jump) {
    c->to->code.at[jump].c = c->to->code.count;
}

static void compile_for(Compiler *c, const LStmt *s) {
    int32_t var = c->to->vars[s->var], base = c->base;
    /* The bound outlives the statement's temporaries: it is taken from below them. */
    int32_t high = take(c, LT_I64, 1);
    c->base = c->top;
    compile_expr(c, s->high, high);
    compile_expr(c, s->low, var);
    int32_t step = constant(c, 1, 8, (uint64_t)s->step);
    int test = emit(c, (EvIns){.code = EV_FOR_TEST, .d = var, .a = high});
    int outer = c->breaks.count;
    compile_block(c, &s->body);
    c->statement = s;
    emit(c, (EvIns){.code = EV_FOR_NEXT, .d = var, .a = high, .b = step, .c = test + 1});
    patch(c, test);
    while (c->breaks.count > outer) patch(c, c->breaks.at[--c->breaks.count]);
    c->base = base;
}

static void compile_if(Compiler *c, const LStmt *s) {
    int32_t condition = compile_expr(c, s->value, EV_NONE);
    int skip = emit(c, (EvIns){.code = wide(EV_JUMP_UNLESS_M32, s->value->type), .a = condition});
    compile_block(c, &s->body);
    if (!s->otherwise.count) {
        patch(c, skip);
        return;
    }
    int end = emit(c, (EvIns){.code = EV_JUMP});
    patch(c, skip);
    compile_block(c, &s->otherwise);
    patch(c, end);
}

/* Always on all threads: what the region may cost is evaluated for its checks alone. */
static void compile_region(Compiler *c, const LStmt *s) {
    if (s->low) compile_expr(c, s->low, EV_NONE);
    if (s->low) compile_expr(c, s->high, EV_NONE);
    int begin =
        emit(c, (EvIns){.code = EV_REGION, .d = c->to->vars[s->var], .a = c->to->vars[s->var2]});
    compile_block(c, &s->body);
    c->statement = s;
    emit(c, (EvIns){.code = EV_REGION_END});
    patch(c, begin);
}

static void compile_call(Compiler *c, const LStmt *s) {
    int count = s->args.count;
    EvCall call = {.callee = s->callee, .result = s->var >= 0 ? c->to->vars[s->var] : EV_NONE};
    call.values = ARENA_ARRAY(c->arena, count, int32_t);
    call.buffers = ARENA_ARRAY(c->arena, count, int);
    call.args = ARENA_ARRAY(c->arena, count, LoopValue);
    const LFunction *callee = c->module->functions.at[s->callee];
    for (int i = 0; i < count; i++) {
        const LExpr *arg = s->args.at[i];
        if (callee->args.at[i].pool) {
            call.buffers[i] = EV_POOL;
            continue;
        }
        bool pointer = callee->args.at[i].pointer;
        call.buffers[i] = pointer ? arg->buffer : -1;
        call.values[i] = operand(c, pointer ? arg->a : arg);
    }
    vec_push(c->arena, &c->to->calls, call);
    emit(c, (EvIns){.code = EV_CALL, .c = c->to->calls.count - 1});
}

static void compile_gemm(Compiler *c, const LStmt *s) {
    EvIns parts[1 + EV_MATRICES] = {{.code = EV_GEMM,
                                     .type = (uint16_t)s->args.at[GEMM_C]->type,
                                     .lanes = 1,
                                     .d = s->gemm,
                                     .a = operand(c, s->args.at[GEMM_ROWS]),
                                     .b = operand(c, s->args.at[GEMM_COLUMNS]),
                                     .c = operand(c, s->args.at[GEMM_DEPTH])}};
    for (int i = 0; i < EV_MATRICES; i++)
        parts[1 + i] = (EvIns){.code = EV_MATRIX,
                               .lanes = 1,
                               .a = operand(c, s->args.at[GEMM_C + i]->a),
                               .b = s->args.at[GEMM_C + i]->buffer,
                               .c = operand(c, s->args.at[GEMM_C_STRIDE + i])};
    for (int i = 0; i < 1 + EV_MATRICES; i++) emit(c, parts[i]);
}

static void compile_stmt(Compiler *c, const LStmt *s) {
    EvIns ins = {.lanes = 1};
    begin_statement(c, s);
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE:
    case LS_SET: compile_expr(c, s->value, c->to->vars[s->var]); return;
    case LS_STORE:
        ins.code = EV_STORE;
        ins.a = compile_expr(c, s->index, EV_NONE);
        ins.d = compile_expr(c, s->value, EV_NONE);
        ins.b = s->buffer;
        ins.c = s->aligned;
        ins.lanes = s->value->lanes;
        emit(c, ins);
        return;
    case LS_FOR: compile_for(c, s); return;
    case LS_IF: compile_if(c, s); return;
    case LS_BREAK: {
        int jump = emit(c, (EvIns){.code = EV_JUMP});
        vec_push(c->arena, &c->breaks, jump);
        return;
    }
    case LS_RETURN:
        ins.code = EV_RETURN;
        ins.type = s->value ? (uint16_t)s->value->type : LT_VOID;
        ins.a = operand(c, s->value);
        emit(c, ins);
        return;
    case LS_PARALLEL: compile_region(c, s); return;
    case LS_CALL: compile_call(c, s); return;
    case LS_GEMM: compile_gemm(c, s); return;
    case LS_BARRIER: emit(c, (EvIns){.code = EV_BARRIER}); return;
    case LS_COMMENT: return;
    }
}

static void compile_block(Compiler *c, const LBlock *block) {
    for (int i = 0; i < block->count; i++) compile_stmt(c, block->at[i]);
}

/* ---- functions ---- */

static void fill_table(const LBuffer *b, char *to) {
    for (int64_t i = 0; i < b->count->integer; i++) {
        double number = b->table[i];
        int64_t integer = b->type == LT_F32 || b->type == LT_F64 ? 0 : (int64_t)number;
        if (b->type == LT_F64)
            memcpy(to + 8 * i, &number, 8);
        else if (b->type == LT_F32)
            (void)eval_convert(LT_F64, LT_F32, 1, to + 4 * i, &number);
        else
            (void)eval_convert(LT_I64, b->type, 1, to + loop_type_size(b->type) * i, &integer);
    }
}

static char *aligned_room(Arena *arena, size_t bytes) {
    char *at = arena_alloc(arena, bytes + 64);
    return at + (64 - (uintptr_t)at % 64) % 64;
}

/* Prologue: where each buffer lies, and how long it is, in this call. */
static void compile_buffers(Compiler *c) {
    const LFunction *f = c->to->function;
    c->to->buffers = ARENA_ARRAY(c->arena, f->buffers.count, EvBuffer);
    for (int i = 0; i < f->buffers.count; i++) {
        const LBuffer *b = &f->buffers.at[i];
        EvBuffer *to = &c->to->buffers[i];
        to->size = loop_type_size(b->type);
        to->shared = b->base == LB_ARG;
        if (b->base != LB_ARG) {
            to->count = b->count->integer;
            to->room = to->count * to->size;
            to->base = aligned_room(c->arena, (size_t)to->room);
            to->limit = to->count;
            if (b->base == LB_TABLE) fill_table(b, to->base);
            if (b->base == LB_LOCAL) to->written = arena_alloc(c->arena, (size_t)to->count);
        }
        begin_statement(c, NULL);
        EvIns ins = {.code = EV_BUFFER, .b = i};
        ins.a = operand(c, b->base == LB_ARG ? b->offset : NULL);
        ins.c = operand(c, b->count);
        emit(c, ins);
    }
}

void eval_compile(Arena *arena, const LoopModule *module, EvFunction *to) {
    const LFunction *f = to->function;
    Compiler c = {.arena = arena, .module = module, .to = to};
    to->vars = ARENA_ARRAY(arena, f->vars.count, int32_t);
    for (int i = 0; i < f->vars.count; i++)
        to->vars[i] = take(&c, f->vars.at[i].type, f->vars.at[i].lanes);
    c.base = c.top;
    compile_buffers(&c);
    compile_block(&c, &f->body);
    c.statement = NULL;
    emit(&c, (EvIns){.code = f->result == LT_VOID ? EV_RETURN : EV_END, .type = LT_VOID});
    to->regs = aligned_room(arena, (size_t)(to->high - to->low)) - to->low;
    for (int i = 0; i < to->consts.count; i++)
        for (int lane = 0; lane < to->consts.at[i].lanes; lane++) {
            const EvConst *k = &to->consts.at[i];
            memcpy(to->regs + k->at + lane * k->size, &k->bits, (size_t)k->size);
        }
}
