/* Do all threads of a region reach the same barriers? What may differ from thread to thread is
 * followed through variables and locals, from the number of the thread on; memory that threads
 * share holds the same for all of them, since nobody may write what another reads before the next
 * barrier. */
#include "loop/verify_check.h"

typedef struct Region {
    Check *c;
    bool *vars;   /* [vars]: may differ */
    bool *locals; /* [buffers]: what they hold may */
    bool *loops;  /* of the region, in order: some threads may leave them earlier */
    int next_loop, loop;
    bool changed, report;
} Region;

static bool differs(const Region *r, const LExpr *e) {
    if (!e) return false;
    if (e->kind == LE_VAR && r->vars[e->var]) return true;
    if (e->kind == LE_LOAD && r->locals[e->buffer]) return true;
    return differs(r, e->a) || differs(r, e->b) || differs(r, e->c);
}

static void mark(Region *r, bool *flag, bool value) {
    if (!value || *flag) return;
    *flag = r->changed = true;
}

static bool is_local(const Region *r, int buffer) {
    return r->c->function->buffers.at[buffer].base == LB_LOCAL;
}

static void walk(Region *r, const LBlock *block, bool apart);

static void walk_for(Region *r, const LStmt *s, bool apart) {
    int outer = r->loop, own = r->loop = r->next_loop++;
    apart = apart || differs(r, s->low) || differs(r, s->high) || r->loops[own];
    mark(r, &r->vars[s->var], apart);
    walk(r, &s->body, apart);
    r->loop = outer;
}

/* What a function gives follows from its arguments; it may write to locals that it is given. */
static void walk_call(Region *r, const LStmt *s, bool apart) {
    const LFunction *callee = r->c->module->functions.at[s->callee];
    for (int i = 0; i < s->args.count; i++) apart = apart || differs(r, s->args.at[i]);
    if (s->var >= 0) mark(r, &r->vars[s->var], apart);
    for (int i = 0; i < s->args.count; i++)
        if (callee->args.at[i].written && s->args.at[i] && is_local(r, s->args.at[i]->buffer))
            mark(r, &r->locals[s->args.at[i]->buffer], apart);
}

static void walk_gemm(Region *r, const LStmt *s, bool apart) {
    for (int i = 0; i < s->args.count; i++) apart = apart || differs(r, s->args.at[i]);
    if (is_local(r, s->args.at[GEMM_C]->buffer))
        mark(r, &r->locals[s->args.at[GEMM_C]->buffer], apart);
}

/* `apart`: some threads may not be here. */
static void walk_stmt(Region *r, const LStmt *s, bool apart) {
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE:
    case LS_SET: mark(r, &r->vars[s->var], apart || differs(r, s->value)); return;
    case LS_STORE:
        if (is_local(r, s->buffer))
            mark(r, &r->locals[s->buffer], apart || differs(r, s->index) || differs(r, s->value));
        return;
    case LS_FOR: walk_for(r, s, apart); return;
    case LS_IF:
        apart = apart || differs(r, s->value);
        walk(r, &s->body, apart);
        walk(r, &s->otherwise, apart);
        return;
    case LS_BREAK:
        if (r->loop >= 0) mark(r, &r->loops[r->loop], apart);
        return;
    case LS_BARRIER:
        r->c->statement = s;
        if (apart && r->report) check_fail(r->c, "a barrier that not all threads may reach");
        return;
    case LS_CALL: walk_call(r, s, apart); return;
    case LS_GEMM: walk_gemm(r, s, apart); return;
    case LS_RETURN:
    case LS_PARALLEL:
    case LS_COMMENT: return;
    }
}

static void walk(Region *r, const LBlock *block, bool apart) {
    for (int i = 0; i < block->count; i++) walk_stmt(r, block->at[i], apart);
}

static int count_loops(const LBlock *block, bool *barrier) {
    int count = 0;
    for (int i = 0; i < block->count; i++) {
        *barrier = *barrier || block->at[i]->kind == LS_BARRIER;
        count += (block->at[i]->kind == LS_FOR) + count_loops(&block->at[i]->body, barrier) +
                 count_loops(&block->at[i]->otherwise, barrier);
    }
    return count;
}

void check_barriers(Check *c, const LStmt *region) {
    bool barrier = false;
    int loops = count_loops(&region->body, &barrier);
    if (!barrier) return;
    Arena *arena = c->diags->arena;
    Region r = {.c = c,
                .vars = ARENA_ARRAY(arena, c->function->vars.count + 1, bool),
                .locals = ARENA_ARRAY(arena, c->function->buffers.count + 1, bool),
                .loops = ARENA_ARRAY(arena, loops + 1, bool),
                .loop = -1};
    r.vars[region->var] = true;
    for (r.changed = true; r.changed || !r.report;) {
        r.report = !r.changed;
        r.changed = false;
        r.next_loop = 0;
        walk(&r, &region->body, false);
    }
}
