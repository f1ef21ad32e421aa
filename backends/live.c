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
    case LS_BARRIER:
    case LS_CALL:
    case LS_GEMM:
    case LS_COMMENT: return true;
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

bool live_is_outlined(const LFunction *function, const LStmt *s) {
    return s->kind == LS_PARALLEL && loop_pool(function) >= 0;
}

typedef struct Finder {
    const LFunction *function;
    bool *used;    /* buffers */
    bool outlined; /* in a region that becomes a function */
    bool loads;    /* stores do not count */
} Finder;

static void use_buffer(const Finder *f, int buffer) {
    if (!f->outlined || f->function->buffers.at[buffer].base == LB_ARG) f->used[buffer] = true;
}

static void expr_buffers(const Finder *f, const LExpr *e) {
    if (!e) return;
    if (e->kind == LE_LOAD) use_buffer(f, e->buffer);
    expr_buffers(f, e->a);
    expr_buffers(f, e->b);
    expr_buffers(f, e->c);
}

static void stmt_buffers(Finder f, const LStmt *s) {
    if (s->kind == LS_STORE && !f.loads) use_buffer(&f, s->buffer);
    for (int i = 0; i < s->args.count; i++) expr_buffers(&f, s->args.at[i]);
    expr_buffers(&f, s->index);
    expr_buffers(&f, s->value);
    expr_buffers(&f, s->low);
    expr_buffers(&f, s->high);
    f.outlined = f.outlined || live_is_outlined(f.function, s);
    for (int i = 0; i < s->body.count; i++) stmt_buffers(f, s->body.at[i]);
    for (int i = 0; i < s->otherwise.count; i++) stmt_buffers(f, s->otherwise.at[i]);
}

void live_stmt_buffers(const LFunction *function, const LStmt *s, bool *used) {
    stmt_buffers((Finder){.function = function, .used = used}, s);
}

bool *live_loads(Arena *arena, const LFunction *function, const LBlock *block) {
    bool *used = ARENA_ARRAY(arena, function->buffers.count + 1, bool);
    const Finder f = {.function = function, .used = used, .loads = true};
    for (int i = 0; i < block->count; i++) stmt_buffers(f, block->at[i]);
    return used;
}

/* ---- regions ---- */

typedef struct Captor {
    const Live *live;
    const LFunction *function;
    LiveRegion *to;
    bool *own; /* [vars]: declared inside */
} Captor;

static void capture_expr(const Captor *c, const LExpr *e) {
    if (!e) return;
    if (e->kind == LE_VAR) c->to->vars[e->var] = true;
    if (e->kind == LE_LOAD) c->to->buffers[e->buffer] = true;
    capture_expr(c, e->a);
    capture_expr(c, e->b);
    capture_expr(c, e->c);
}

static void capture_block(const Captor *c, const LBlock *block) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (!live_stmt(c->live, c->function, s)) continue;
        if (s->kind == LS_BARRIER) c->to->barriers = true;
        if (s->var >= 0 && s->kind != LS_SET) c->own[s->var] = true;
        if (s->kind == LS_STORE) c->to->buffers[s->buffer] = true;
        for (int k = 0; k < s->args.count; k++) capture_expr(c, s->args.at[k]);
        capture_expr(c, s->index);
        capture_expr(c, s->value);
        capture_expr(c, s->low);
        capture_expr(c, s->high);
        capture_block(c, &s->body);
        capture_block(c, &s->otherwise);
    }
}

LiveRegion live_region(Arena *arena, const Live *live, const LFunction *function,
                       const LStmt *region) {
    LiveRegion to = {.vars = ARENA_ARRAY(arena, function->vars.count + 1, bool),
                     .buffers = ARENA_ARRAY(arena, function->buffers.count + 1, bool)};
    Captor c = {live, function, &to, ARENA_ARRAY(arena, function->vars.count + 1, bool)};
    capture_block(&c, &region->body);
    c.own[region->var] = c.own[region->var2] = true;
    for (int i = 0; i < function->vars.count; i++) to.vars[i] = to.vars[i] && !c.own[i];
    for (int i = 0; i < function->buffers.count; i++)
        to.buffers[i] = to.buffers[i] && live->buffers[i] && function->buffers.at[i].base == LB_ARG;
    return to;
}

static bool uses_pool(const LBlock *block) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_PARALLEL || uses_pool(&s->body) || uses_pool(&s->otherwise)) return true;
        for (int k = 0; k < s->args.count; k++)
            if (!s->args.at[k]) return true; /* passed on */
    }
    return false;
}

/* ---- arguments ---- */

LiveArg live_arg(const Live *live, const LFunction *function, int arg) {
    const LArg *argument = &function->args.at[arg];
    LiveArg is = {.used = !argument->pointer && live->vars[argument->var]};
    if (argument->pool) return (LiveArg){.used = uses_pool(&function->body)};
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
