/* loop_expand_math: walks all statements, puts straight-line code for each EXPANDED operation
 * before the statement that uses it, and then, for a target without fma, splits each fma in two.
 *
 * What is computed before the statement reads memory and variables where the statement would; both
 * sides of a select are evaluated anyway. So only the place of the code changes. */
#include "loop/expand.h"

/* Nodes may be shared within a statement; an operation that was expanded is not expanded again. */
typedef struct Done {
    const LExpr *from;
    LExpr *to;
} Done;

typedef struct Rewriter {
    Expander x;
    VEC(Done) done; /* of the statement at hand */
} Rewriter;

static LExpr *expand_op(Expander *x, ScalarOp op, LExpr *a, LExpr *b) {
    switch ((int)op) {
    case SOP_EXP: return expand_exp(x, a);
    case SOP_LOG: return expand_log(x, a);
    case SOP_SIGMOID: return expand_sigmoid(x, a);
    case SOP_TANH: return expand_tanh(x, a);
    case SOP_SOFTPLUS: return expand_softplus(x, a);
    case SOP_LOGADDEXP: return expand_logaddexp(x, a, b);
    case SOP_POW: return expand_pow(x, a, b);
    case SOP_SQRT: return expand_sqrt(x, a);
    case SOP_FLOOR: return expand_floor(x, a);
    case SOP_ERF: return expand_erf(x, a);
    case SOP_SIN: return expand_sin(x, a);
    case SOP_COS: return expand_cos(x, a);
    }
    return NULL; /* not an EXPANDED operation: the caller asks for none */
}

static bool is_expanded(const LExpr *e) {
    return e->kind == LE_OP && scalar_op_info[e->op].kind == SK_EXPANDED;
}

static bool contains_expanded(const LExpr *e) {
    if (!e) return false;
    return is_expanded(e) || contains_expanded(e->a) || contains_expanded(e->b) ||
           contains_expanded(e->c);
}

static LExpr *expand(Rewriter *w, const LExpr *e, LExpr *a, LExpr *b) {
    Expander *x = &w->x;
    /* Not the function's own name, which means something in C. */
    x->name = arena_printf(x->module->arena, "%s_v", scalar_op_info[e->op].text);
    x->type = e->type;
    x->wide = e->type == LT_F64;
    x->ints = x->wide ? LT_I64 : LT_I32;
    x->lanes = e->lanes;
    return expand_op(x, e->op, ex_keep(x, a), b ? ex_keep(x, b) : NULL);
}

/* e without EXPANDED operations. */
static LExpr *rewrite(Rewriter *w, LExpr *e) {
    if (!contains_expanded(e)) return e;
    for (int i = 0; i < w->done.count; i++)
        if (w->done.at[i].from == e) return w->done.at[i].to;
    LExpr *a = rewrite(w, e->a), *b = rewrite(w, e->b), *c = rewrite(w, e->c);
    LExpr *to;
    if (is_expanded(e)) {
        to = expand(w, e, a, b);
    } else {
        to = ARENA_NEW(w->x.module->arena, LExpr);
        *to = *e;
        to->a = a;
        to->b = b;
        to->c = c;
    }
    vec_push(w->x.module->arena, &w->done, (Done){e, to});
    return to;
}

static void rewrite_block(Rewriter *w, LBlock *block);

static void rewrite_stmt(Rewriter *w, LStmt *s) {
    w->done.count = 0;
    s->index = rewrite(w, s->index);
    s->value = rewrite(w, s->value);
    s->low = rewrite(w, s->low);
    s->high = rewrite(w, s->high);
    for (int i = 0; i < s->args.count; i++) s->args.at[i] = rewrite(w, s->args.at[i]);
    rewrite_block(w, &s->body);
    rewrite_block(w, &s->otherwise);
}

/* The block's statements move to a new list, each behind the code that it needs. */
static void rewrite_block(Rewriter *w, LBlock *block) {
    LBlock *outer = w->x.block, fresh = {0};
    int consts = w->x.consts.count;
    for (int i = 0; i < block->count; i++) {
        w->x.block = &fresh;
        w->x.module->at = block->at[i]->at;
        rewrite_stmt(w, block->at[i]);
        vec_push(w->x.module->arena, &fresh, block->at[i]);
    }
    *block = fresh;
    w->x.block = outer;
    w->x.consts.count = consts;
}

/* ---- targets without fma ---- */

/* In place: a shared node is split once, and for all that use it. */
static void split_fma(LoopModule *module, LExpr *e) {
    if (!e) return;
    split_fma(module, e->a);
    split_fma(module, e->b);
    split_fma(module, e->c);
    if (e->kind != LE_OP || e->op != SOP_FMA) return;
    LExpr *product = loop_op(module, SOP_MUL, e->a, e->b, NULL);
    e->op = SOP_ADD;
    e->a = product;
    e->b = e->c;
    e->c = NULL;
}

static void split_block(LoopModule *module, LBlock *block) {
    for (int i = 0; i < block->count; i++) {
        LStmt *s = block->at[i];
        split_fma(module, s->index);
        split_fma(module, s->value);
        split_fma(module, s->low);
        split_fma(module, s->high);
        for (int k = 0; k < s->args.count; k++) split_fma(module, s->args.at[k]);
        split_block(module, &s->body);
        split_block(module, &s->otherwise);
    }
}

void loop_expand_math(LoopModule *module) {
    for (int i = 0; i < module->functions.count; i++) {
        LFunction *function = module->functions.at[i];
        Rewriter w = {.x = {.module = module, .function = function, .fma = module->target.fma}};
        rewrite_block(&w, &function->body);
        if (!module->target.fma) split_block(module, &function->body);
    }
}
