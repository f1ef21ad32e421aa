/* What of a function a backend prints. Compilers warn of what is computed and never read, so a
 * variable that no store, return, branch or call depends on is left out, and so is a local array
 * that is only written. The same walk finds the integer variables that hold bits rather than
 * counts: they may wrap. */
#include "live.h"

bool live_wraps(const Live *live, const LExpr *e) {
    if (!e) return false;
    switch (e->kind) {
    case LE_FLOAT:
    case LE_LOAD: return false;
    case LE_INT: return e->integer > INT32_MAX || e->integer < INT32_MIN;
    case LE_VAR: return live->wraps[e->var];
    case LE_SPLAT:
    case LE_LANE: return live_wraps(live, e->a);
    case LE_OP: break;
    }
    if (scalar_op_info[e->op].kind == SK_CONVERT)
        return e->op == SOP_BITCAST || live_wraps(live, e->a);
    if (scalar_op_info[e->op].kind == SK_BITS && e->op != SOP_MOD) return true;
    if (scalar_op_info[e->op].kind == SK_COMPARE) return false;
    return live_wraps(live, e->a) || live_wraps(live, e->b) || live_wraps(live, e->c);
}

/* ---- marks ---- */

typedef struct Marker {
    Live *live;
    const LFunction *function;
    bool changed;
} Marker;

static void mark(bool *flag, Marker *m) {
    if (!*flag) m->changed = true;
    *flag = true;
}

static void mark_expr(Marker *m, const LExpr *e) {
    if (!e) return;
    if (e->kind == LE_VAR) mark(&m->live->vars[e->var], m);
    if (e->kind == LE_LOAD) mark(&m->live->buffers[e->buffer], m);
    mark_expr(m, e->a);
    mark_expr(m, e->b);
    mark_expr(m, e->c);
}

bool live_stmt(const Live *live, const LFunction *function, const LStmt *s) {
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE:
    case LS_SET: return live->vars[s->var];
    case LS_STORE:
        return function->buffers.at[s->buffer].base != LB_LOCAL || live->buffers[s->buffer];
    case LS_FOR:
    case LS_IF:
    case LS_BREAK:
    case LS_RETURN:
    case LS_PARALLEL:
    case LS_CALL:
    case LS_COMMENT: return true;
    case LS_BARRIER: return false;
    }
    return true;
}

static void mark_block(Marker *m, const LBlock *block) {
    /* From the end, so that a use is met before its definition and one round does nearly all. */
    for (int i = block->count - 1; i >= 0; i--) {
        const LStmt *s = block->at[i];
        if (!live_stmt(m->live, m->function, s)) continue;
        if (s->kind == LS_STORE) mark(&m->live->buffers[s->buffer], m);
        if ((s->kind == LS_LET || s->kind == LS_MUTABLE || s->kind == LS_SET) &&
            !m->live->wraps[s->var] && live_wraps(m->live, s->value))
            mark(&m->live->wraps[s->var], m);
        mark_block(m, &s->otherwise);
        mark_block(m, &s->body);
        mark_expr(m, s->index);
        mark_expr(m, s->value);
        mark_expr(m, s->low);
        mark_expr(m, s->high);
        for (int j = 0; j < s->args.count; j++) mark_expr(m, s->args.at[j]);
    }
}

Live live_of(Arena *arena, const LFunction *function) {
    Live live = {.vars = ARENA_ARRAY(arena, function->vars.count + 1, bool),
                 .buffers = ARENA_ARRAY(arena, function->buffers.count + 1, bool),
                 .wraps = ARENA_ARRAY(arena, function->vars.count + 1, bool)};
    Marker m = {.live = &live, .function = function};
    do {
        m.changed = false;
        mark_block(&m, &function->body);
        for (int i = 0; i < function->buffers.count; i++)
            if (live.buffers[i]) mark_expr(&m, function->buffers.at[i].offset);
    } while (m.changed);
    return live;
}

/* ---- where a buffer is used ---- */

static void expr_buffers(const LExpr *e, bool *used) {
    if (!e) return;
    if (e->kind == LE_LOAD) used[e->buffer] = true;
    expr_buffers(e->a, used);
    expr_buffers(e->b, used);
    expr_buffers(e->c, used);
}

static void block_buffers(const LBlock *block, bool *used) {
    for (int i = 0; i < block->count; i++) live_stmt_buffers(block->at[i], used);
}

void live_stmt_buffers(const LStmt *s, bool *used) {
    if (s->kind == LS_STORE) used[s->buffer] = true;
    for (int i = 0; i < s->args.count; i++) expr_buffers(s->args.at[i], used);
    expr_buffers(s->index, used);
    expr_buffers(s->value, used);
    expr_buffers(s->low, used);
    expr_buffers(s->high, used);
    block_buffers(&s->body, used);
    block_buffers(&s->otherwise, used);
}

/* ---- arguments ---- */

LiveArg live_arg(const Live *live, const LFunction *function, int arg) {
    const LArg *argument = &function->args.at[arg];
    LiveArg is = {.used = !argument->pointer && live->vars[argument->var]};
    /* Our own arrays always are, whatever this function keeps in them. */
    bool aligned = argument->type == LT_VOID;
    for (int i = 0; argument->pointer && i < function->buffers.count; i++) {
        const LBuffer *buffer = &function->buffers.at[i];
        if (buffer->base != LB_ARG || buffer->arg != arg) continue;
        is.used = is.used || live->buffers[i];
        aligned = aligned || buffer->align == 64;
    }
    is.not_null = argument->pointer && is.used && !argument->nullable;
    is.aligned = argument->pointer && is.used && aligned;
    return is;
}

bool live_checks(const LFunction *function) {
    return function->exported && function->result == LT_I32;
}

bool *live_overlaps(Arena *arena, const LFunction *f) {
    bool *overlaps = ARENA_ARRAY(arena, f->buffers.count + 1, bool);
    for (int i = 0; i < f->buffers.count; i++)
        if (f->buffers.at[i].alias) overlaps[i] = overlaps[f->buffers.at[i].alias - 1] = true;
    return overlaps;
}
