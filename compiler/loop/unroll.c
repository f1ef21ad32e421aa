/* A loop with several of its turns in one: for `--unroll-time`.
 *
 *   for t from 0 below n by 1 { body(t) }
 *
 * becomes `whole = n - n % K`, a loop below `whole` by K whose body is body(t), body(t+1) …, and
 * one from `whole` below n. Each copy has variables of its own. What depends on t mod a divisor of
 * K is known in a copy: the parity of zig-zag, the ticks of a clock; a branch that cannot be taken
 * is left out. A break ends both loops. */
#include "loop/loop.h"

typedef struct Copy {
    LoopModule *m;
    LFunction *function;
    LExpr **value;   /* by variable of the original: what stands for it; NULL: itself */
    int *var;        /* by variable: the copy's own, or -1 */
    int counter;     /* of the loop */
    int64_t modulus; /* the counter's value is known modulo this; 1: it is not */
    int64_t residue;
    int ended; /* mutable, set before a break; -1: there is none */
} Copy;

/* ---- expressions ---- */

/* Whether e, which is not negative, is known modulo `by`, and what it is. */
static bool known_modulo(const Copy *c, const LExpr *e, int64_t by, int64_t *to) {
    int64_t rest;
    if (e->kind == LE_INT && e->integer >= 0) return *to = e->integer % by, true;
    if (e->kind == LE_VAR && e->var == c->counter && c->modulus % by == 0)
        return *to = c->residue % by, true;
    if (e->kind != LE_OP || e->op != SOP_ADD || e->b->kind != LE_INT || e->b->integer < 0)
        return false;
    if (!known_modulo(c, e->a, by, &rest)) return false;
    return *to = (rest + e->b->integer % by) % by, true;
}

/* The number that an operation of the original comes to in this copy. */
static bool known(const Copy *c, const LExpr *e, int64_t *to) {
    if (e->kind != LE_OP || e->type != LT_I64 || e->lanes > 1 || !e->b) return false;
    if (e->b->kind != LE_INT || e->b->integer < 1) return false;
    if (e->op == SOP_MOD) return known_modulo(c, e->a, e->b->integer, to);
    return e->op == SOP_AND && e->b->integer == 1 && known_modulo(c, e->a, 2, to);
}

/* A comparison of two numbers. */
static bool same_numbers(const LExpr *e, bool *holds) {
    if (e->kind != LE_OP || (e->op != SOP_EQ && e->op != SOP_NE)) return false;
    if (e->a->kind != LE_INT || e->b->kind != LE_INT) return false;
    *holds = (e->a->integer == e->b->integer) == (e->op == SOP_EQ);
    return true;
}

static LExpr *copy_expr(Copy *c, LExpr *e) {
    int64_t number;
    bool holds;
    if (!e) return NULL;
    if (e->kind == LE_VAR) return c->value[e->var] ? c->value[e->var] : e;
    if (known(c, e, &number)) return loop_int(c->m, number);
    LExpr *x = copy_expr(c, e->a), *y = copy_expr(c, e->b), *z = copy_expr(c, e->c);
    if (e->kind == LE_OP && e->op == SOP_SELECT && same_numbers(x, &holds)) return holds ? y : z;
    if (x == e->a && y == e->b && z == e->c) return e;
    if (e->kind == LE_OP && e->type == LT_I64 && scalar_op_info[e->op].kind == SK_ARITH)
        return loop_op(c->m, e->op, x, y, z);
    LExpr *made = arena_copy(c->m->arena, e, sizeof *e);
    made->a = x;
    made->b = y;
    made->c = z;
    return made;
}

/* ---- statements ---- */

static int new_var(Copy *c, int of) {
    const LVar var = c->function->vars.at[of];
    vec_push(c->m->arena, &c->function->vars, var);
    c->var[of] = c->function->vars.count - 1;
    c->value[of] = loop_var(c->m, c->function, c->var[of]);
    return c->var[of];
}

static bool leaves(const LBlock *block) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_BREAK) return true;
        if (s->kind != LS_FOR && (leaves(&s->body) || leaves(&s->otherwise))) return true;
    }
    return false;
}

static void copy_block(Copy *c, LBlock *out, const LBlock *block, bool inner);

static void copy_statement(Copy *c, LBlock *out, const LStmt *s, bool inner) {
    Arena *arena = c->m->arena;
    bool taken;
    LExpr *value = copy_expr(c, s->value);
    if (s->kind == LS_LET && value->kind == LE_INT) {
        c->value[s->var] = value;
        return;
    }
    if (s->kind == LS_IF && same_numbers(value, &taken) &&
        !leaves(taken ? &s->body : &s->otherwise)) {
        copy_block(c, out, taken ? &s->body : &s->otherwise, inner);
        return;
    }
    if (s->kind == LS_BREAK && !inner && c->ended >= 0)
        loop_set(c->m, out, c->ended, loop_int(c->m, 1));
    LStmt *made = arena_copy(arena, s, sizeof *s);
    vec_push(arena, out, made);
    made->value = value;
    made->index = copy_expr(c, s->index);
    made->low = copy_expr(c, s->low);
    made->high = copy_expr(c, s->high);
    made->args.at = NULL;
    made->args.count = made->args.room = 0;
    for (int i = 0; i < s->args.count; i++)
        vec_push(arena, &made->args, copy_expr(c, s->args.at[i]));
    if (s->kind == LS_SET)
        made->var = c->var[s->var] >= 0 ? c->var[s->var] : s->var;
    else if (s->var >= 0)
        made->var = new_var(c, s->var);
    if (s->var2 >= 0) made->var2 = new_var(c, s->var2);
    made->body = made->otherwise = (LBlock){0};
    copy_block(c, &made->body, &s->body, inner || s->kind == LS_FOR);
    copy_block(c, &made->otherwise, &s->otherwise, inner);
}

static void copy_block(Copy *c, LBlock *out, const LBlock *block, bool inner) {
    for (int i = 0; i < block->count; i++) copy_statement(c, out, block->at[i], inner);
}

/* The body at `counter`, which is `residue` modulo `modulus`. */
static void copy_turn(LoopModule *m, LFunction *function, LBlock *out, const LStmt *loop,
                      LExpr *counter, int64_t modulus, int64_t residue, int ended) {
    int count = function->vars.count;
    Copy c = {.m = m,
              .function = function,
              .value = ARENA_ARRAY(m->arena, count + 1, LExpr *),
              .var = ARENA_ARRAY(m->arena, count + 1, int),
              .counter = loop->var,
              .modulus = modulus,
              .residue = residue,
              .ended = ended};
    for (int i = 0; i < count; i++) c.var[i] = -1;
    c.value[loop->var] = counter;
    copy_block(&c, out, &loop->body, false);
}

void loop_unroll(LoopModule *m, LFunction *function, LBlock *block, int times) {
    if (times < 2) return;
    LStmt *loop = block->at[--block->count];
    const char *name = function->vars.at[loop->var].name;
    LPlace place = m->at;
    m->at = loop->at;
    LExpr *high = loop->high, *left = loop_op(m, SOP_MOD, high, loop_int(m, times), NULL);
    LExpr *whole =
        loop_var(m, function, loop_let(m, function, block, "whole", loop_sub(m, high, left)));
    int ended = -1;
    if (leaves(&loop->body)) ended = loop_mutable(m, function, block, "ended", loop_int(m, 0));
    LStmt *many = loop_for(m, function, block, name, loop->low, whole, times);
    LExpr *t = loop_var(m, function, many->var);
    for (int j = 0; j < times; j++)
        copy_turn(m, function, &many->body, loop, loop_add(m, t, loop_int(m, j)), times, j, ended);
    LBlock *rest = block;
    if (ended >= 0) {
        LExpr *open = loop_op(m, SOP_EQ, loop_var(m, function, ended), loop_int(m, 0), NULL);
        rest = &loop_if(m, block, open)->body;
    }
    LStmt *few = loop_for(m, function, rest, name, whole, high, 1);
    copy_turn(m, function, &few->body, loop, loop_var(m, function, few->var), 1, 0, -1);
    m->at = place;
}
