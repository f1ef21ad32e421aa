/* Rules of Loop modules, functions, buffers and statements. */
#include "loop/verify_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "loop/text_form.h"

enum { BUFFER_ALIGN = 64, MOST_LOCAL_BYTES = 1 << 20 };

void check_fail(Check *c, const char *format, ...) {
    Arena *arena = c->diags->arena;
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    Text head = text_new(arena);
    if (c->statement) loop_print_head(c->module, c->function, c->statement, &head);
    const char *line = text_string(&head);
    diag_error(c->diags, "internal", (Span){0}, "after %s: function %s: %.200s%s%s", c->after,
               c->function->name, line, *line ? ": " : "", message);
}

/* ---- variables ---- */

static bool has_type(const Check *c, int var, LoopType type, int lanes) {
    const LVar *v = &c->function->vars.at[var];
    return v->type == type && v->lanes == lanes;
}

static bool declare(Check *c, int var, LoopType type, int lanes, bool mutable_) {
    if (var < 0 || var >= c->function->vars.count) {
        check_fail(c, "there is no variable %d", var);
        return false;
    }
    const LVar *v = &c->function->vars.at[var];
    if (c->vars[var].scope != SCOPE_NOT_YET) {
        check_fail(c, "%s.%d is declared twice", v->name, var);
        return false;
    }
    c->vars[var].scope = SCOPE_VISIBLE;
    if (!has_type(c, var, type, lanes) || v->mutable_ != mutable_) {
        check_fail(c, "%s.%d is %s%sx%d and is declared as %s%sx%d", v->name, var,
                   v->mutable_ ? "mutable " : "", loop_type_text(v->type), v->lanes,
                   mutable_ ? "mutable " : "", loop_type_text(type), lanes);
        return false;
    }
    if (check_is_arith(type) || check_is_mask(type)) return true;
    check_fail(c, "%s.%d has the type %s, which is for storage", v->name, var,
               loop_type_text(type));
    return false;
}

static void leave_scope(Check *c, int var) {
    if (var >= 0 && var < c->function->vars.count) c->vars[var].scope = SCOPE_LEFT;
}

/* ---- which variables hold products ---- */

static bool mark_products(Check *c, const LBlock *block) {
    bool changed = false;
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        bool gives = s->kind == LS_LET || s->kind == LS_MUTABLE || s->kind == LS_SET;
        if (gives && s->var >= 0 && s->var < c->function->vars.count &&
            !c->vars[s->var].is_product && check_is_product(c, s->value))
            c->vars[s->var].is_product = changed = true;
        if (mark_products(c, &s->body)) changed = true;
        if (mark_products(c, &s->otherwise)) changed = true;
    }
    return changed;
}

/* ---- statements ---- */

static void check_block(Check *c, const LBlock *block);

static bool check_value(Check *c, const LExpr *e) {
    c->nodes = 0;
    return check_expr(c, e);
}

static void check_set(Check *c, const LStmt *s) {
    if (!check_value(c, s->value)) return;
    if (s->var < 0 || s->var >= c->function->vars.count) {
        check_fail(c, "there is no variable %d", s->var);
        return;
    }
    const LVar *v = &c->function->vars.at[s->var];
    const CheckVar *state = &c->vars[s->var];
    if (state->scope != SCOPE_VISIBLE)
        check_fail(c, "%s.%d is set where it is not declared", v->name, s->var);
    else if (!v->mutable_)
        check_fail(c, "%s.%d is set and not mutable", v->name, s->var);
    else if (!has_type(c, s->var, s->value->type, s->value->lanes))
        check_fail(c, "%s.%d is %sx%d and is set to %sx%d", v->name, s->var,
                   loop_type_text(v->type), v->lanes, loop_type_text(s->value->type),
                   s->value->lanes);
    else if (state->bounds)
        check_fail(c, "%s.%d is set in a loop whose bound it is", v->name, s->var);
    else if (state->from_outside)
        check_fail(c, "%s.%d is set by every thread", v->name, s->var);
}

static void check_store(Check *c, const LStmt *s) {
    if (!check_value(c, s->value)) return;
    c->nodes = 0;
    if (!check_access(c, s->buffer, s->index, s->value->lanes, s->aligned)) return;
    const LBuffer *b = &c->function->buffers.at[s->buffer];
    if (b->type != s->value->type)
        check_fail(c, "store of %s to %s, which holds %s", loop_type_text(s->value->type), b->name,
                   loop_type_text(b->type));
    if (!b->written) check_fail(c, "store to %s, which is not marked as written", b->name);
}

/* Adds `by` to the count of each variable that the bound reads. */
static void hold_bound(Check *c, const LExpr *e, int by) {
    if (!e) return;
    if (e->kind == LE_VAR) c->vars[e->var].bounds += by;
    hold_bound(c, e->a, by);
    hold_bound(c, e->b, by);
    hold_bound(c, e->c, by);
}

static void check_for(Check *c, const LStmt *s) {
    c->nodes = 0;
    bool fine = check_index(c, s->low, "the lower bound");
    c->nodes = 0;
    c->in_bound = true;
    fine = check_index(c, s->high, "the upper bound") && fine;
    c->in_bound = false;
    if (s->step <= 0) check_fail(c, "the step %lld is not positive", (long long)s->step);
    declare(c, s->var, LT_I64, 1, false);
    if (fine) hold_bound(c, s->high, 1);
    c->loops++;
    check_block(c, &s->body);
    c->loops--;
    if (fine) hold_bound(c, s->high, -1);
    leave_scope(c, s->var);
}

static void check_parallel(Check *c, const LStmt *s) {
    int errors = c->diags->errors;
    if (c->in_parallel) check_fail(c, "a parallel region lies in another");
    if (s->low) (void)check_index(c, s->low, "the time of a region");
    if (s->low) (void)check_index(c, s->high, "the number of barriers");
    for (int i = 0; i < c->function->vars.count; i++)
        c->vars[i].from_outside = c->vars[i].scope == SCOPE_VISIBLE;
    declare(c, s->var, LT_I64, 1, false);
    declare(c, s->var2, LT_I64, 1, false);
    bool nested = c->in_parallel;
    int loops = c->loops;
    c->in_parallel = true;
    c->loops = 0;
    check_block(c, &s->body);
    c->loops = loops;
    c->in_parallel = nested;
    for (int i = 0; i < c->function->vars.count; i++) c->vars[i].from_outside = false;
    leave_scope(c, s->var);
    leave_scope(c, s->var2);
    if (c->diags->errors == errors) check_barriers(c, s);
}

static void check_call_arg(Check *c, const LExpr *e, const LArg *arg) {
    if (arg->pool) {
        if (e) check_fail(c, "argument %s wants a pool", arg->name);
        if (loop_pool(c->function) < 0)
            check_fail(c, "argument %s wants a pool, which there is none", arg->name);
        if (c->in_parallel) check_fail(c, "argument %s is given a pool that is at work", arg->name);
        return;
    }
    if (!check_value(c, e)) return;
    if (!arg->pointer) {
        if (e->type != arg->type || e->lanes != 1)
            check_fail(c, "argument %s is %s and gets %sx%d", arg->name, loop_type_text(arg->type),
                       loop_type_text(e->type), e->lanes);
        return;
    }
    if (e->kind != LE_LOAD || e->lanes != 1 || (arg->type != LT_VOID && e->type != arg->type)) {
        check_fail(c, "argument %s wants the address of an element of %s", arg->name,
                   loop_type_text(arg->type));
        return;
    }
    const LBuffer *b = &c->function->buffers.at[e->buffer];
    if (arg->written && !b->written)
        check_fail(c, "argument %s writes %s, which is not marked as written", arg->name, b->name);
}

static void check_call(Check *c, const LStmt *s) {
    if (s->callee < 0 || s->callee >= c->module->functions.count) {
        check_fail(c, "there is no function %d", s->callee);
        return;
    }
    const LFunction *callee = c->module->functions.at[s->callee];
    if (s->args.count != callee->args.count) {
        check_fail(c, "%d arguments where %s has %d", s->args.count, callee->name,
                   callee->args.count);
        return;
    }
    for (int i = 0; i < s->args.count; i++) check_call_arg(c, s->args.at[i], &callee->args.at[i]);
    if (s->var >= 0) declare(c, s->var, callee->result, 1, false);
}

static void check_gemm(Check *c, const LStmt *s) {
    static const char *const words[GEMM_ARGS] = {
        "C",         "A",          "B",          "the number of rows", "the number of columns",
        "the depth", "C's stride", "A's stride", "B's stride"};
    if (s->args.count != GEMM_ARGS) {
        check_fail(c, "%d arguments of a product of matrices", s->args.count);
        return;
    }
    for (int i = 0; i < GEMM_ARGS; i++) {
        const LExpr *e = s->args.at[i];
        if (i >= GEMM_ROWS) {
            c->nodes = 0;
            if (!check_index(c, e, words[i])) return;
            continue;
        }
        if (!check_value(c, e)) return;
        if (e->kind != LE_LOAD || e->lanes != 1 || (e->type != LT_F32 && e->type != LT_F64) ||
            e->type != s->args.at[GEMM_C]->type) {
            check_fail(c, "%s is no element of a matrix of the type of C", words[i]);
            return;
        }
        if (i != GEMM_C && e->buffer == s->args.at[GEMM_C]->buffer)
            check_fail(c, "%s lies in %s, as C does", words[i],
                       c->function->buffers.at[e->buffer].name);
    }
    const LBuffer *to = &c->function->buffers.at[s->args.at[GEMM_C]->buffer];
    if (!to->written) check_fail(c, "C lies in %s, which is not marked as written", to->name);
    const LExpr *rows = s->args.at[GEMM_ROWS], *columns = s->args.at[GEMM_COLUMNS];
    const LExpr *depth = s->args.at[GEMM_DEPTH];
    bool turned[3] = {false, s->gemm & GEMM_A_TRANSPOSED, s->gemm & GEMM_B_TRANSPOSED};
    const LExpr *width[3] = {columns, turned[1] ? rows : depth, turned[2] ? depth : columns};
    for (int i = 0; i < 3; i++) {
        const LExpr *stride = s->args.at[GEMM_C_STRIDE + i];
        if (stride->kind == LE_INT && width[i]->kind == LE_INT &&
            stride->integer < width[i]->integer)
            check_fail(c, "rows of %s have %lld elements and lie %lld apart", words[i],
                       (long long)width[i]->integer, (long long)stride->integer);
    }
}

static void check_return(Check *c, const LStmt *s) {
    LoopType result = c->function->result;
    if (c->in_parallel) check_fail(c, "return from a parallel region");
    if (!s->value) {
        if (result != LT_VOID) check_fail(c, "return without a value");
        return;
    }
    if (!check_value(c, s->value)) return;
    if (s->value->type != result || s->value->lanes != 1)
        check_fail(c, "return of %sx%d where %s is wanted", loop_type_text(s->value->type),
                   s->value->lanes, loop_type_text(result));
}

static void check_stmt(Check *c, const LStmt *s) {
    c->statement = s;
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE:
        if (check_value(c, s->value))
            declare(c, s->var, s->value->type, s->value->lanes, s->kind == LS_MUTABLE);
        return;
    case LS_SET: check_set(c, s); return;
    case LS_STORE: check_store(c, s); return;
    case LS_FOR: check_for(c, s); return;
    case LS_IF:
        if (check_value(c, s->value) && !(check_is_mask(s->value->type) && s->value->lanes == 1))
            check_fail(c, "the condition is %sx%d and should be one mask",
                       loop_type_text(s->value->type), s->value->lanes);
        check_block(c, &s->body);
        check_block(c, &s->otherwise);
        return;
    case LS_BREAK:
        if (!c->loops) check_fail(c, "break outside of a loop");
        return;
    case LS_RETURN: check_return(c, s); return;
    case LS_PARALLEL: check_parallel(c, s); return;
    case LS_BARRIER:
        if (!c->in_parallel) check_fail(c, "barrier outside of a parallel region");
        return;
    case LS_CALL: check_call(c, s); return;
    case LS_GEMM: check_gemm(c, s); return;
    case LS_COMMENT:
        if (!s->text) check_fail(c, "a comment without text");
        return;
    }
    check_fail(c, "there is no kind %d of statements", (int)s->kind);
}

static void check_block(Check *c, const LBlock *block) {
    bool left = false;
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        check_stmt(c, s);
        c->statement = s;
        if (left && s->kind != LS_COMMENT) check_fail(c, "follows a return or a break");
        left = left || s->kind == LS_RETURN || s->kind == LS_BREAK;
    }
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_LET || s->kind == LS_MUTABLE || s->kind == LS_CALL)
            leave_scope(c, s->var);
    }
}

/* ---- functions ---- */

static bool table_fits(const LBuffer *b) {
    for (int64_t i = 0; i < b->count->integer; i++) {
        double number = b->table[i], least = 0, most = 65535;
        if (b->type == LT_F64 || (b->type == LT_F32 && isnan(number))) continue;
        if (b->type == LT_F32) {
            if ((double)(float)number != number) return false;
            continue;
        }
        if (b->type == LT_I8) least = -128, most = 127;
        if (b->type == LT_I32) least = INT32_MIN, most = INT32_MAX;
        if (b->type == LT_I64) least = -9007199254740992.0, most = 9007199254740992.0;
        if (!(number >= least && number <= most && number == floor(number))) return false;
    }
    return true;
}

static void check_constant_buffer(Check *c, const LBuffer *b) {
    if (b->offset || b->alias)
        check_fail(c, "buffer %s has an offset or an alias and is no argument", b->name);
    if (b->count->kind != LE_INT || b->count->integer <= 0) {
        check_fail(c, "buffer %s has no constant, positive count", b->name);
        return;
    }
    int64_t size = loop_type_size(b->type);
    if (b->base == LB_LOCAL && b->count->integer > MOST_LOCAL_BYTES / size)
        check_fail(c, "buffer %s is too large for the stack", b->name);
    if (b->base != LB_TABLE) return;
    if (b->written) check_fail(c, "table %s is marked as written", b->name);
    if (!b->table || !table_fits(b))
        check_fail(c, "table %s has numbers that %s does not hold", b->name,
                   loop_type_text(b->type));
}

static void check_buffer(Check *c, int buffer) {
    const LFunction *f = c->function;
    const LBuffer *b = &f->buffers.at[buffer];
    if (b->type == LT_VOID || check_is_mask(b->type)) {
        check_fail(c, "buffer %s holds %s", b->name, loop_type_text(b->type));
        return;
    }
    if (b->align != 0 && b->align != BUFFER_ALIGN)
        check_fail(c, "buffer %s is aligned to %d", b->name, b->align);
    c->nodes = 0;
    if (!check_index(c, b->count, "the count of a buffer")) return;
    if (b->base != LB_ARG) {
        check_constant_buffer(c, b);
        return;
    }
    if (b->arg < 0 || b->arg >= f->args.count || !f->args.at[b->arg].pointer) {
        check_fail(c, "buffer %s lies behind argument %d, which is no pointer", b->name, b->arg);
        return;
    }
    const LArg *arg = &f->args.at[b->arg];
    if (arg->pool) check_fail(c, "buffer %s lies behind a pool", b->name);
    if (arg->type != LT_VOID && arg->type != b->type)
        check_fail(c, "buffer %s holds %s and its argument %s", b->name, loop_type_text(b->type),
                   loop_type_text(arg->type));
    if (b->written && !arg->written)
        check_fail(c, "buffer %s is written and its argument is not", b->name);
    if (b->alias < 0 || b->alias > buffer)
        check_fail(c, "buffer %s has the alias %d, which is no earlier buffer", b->name,
                   b->alias - 1);
    c->nodes = 0;
    if (!b->offset || !check_index(c, b->offset, "the offset of a buffer")) return;
    int64_t align = b->align ? b->align : loop_type_size(b->type);
    if (b->offset->kind == LE_INT && (b->offset->integer < 0 || b->offset->integer % align))
        check_fail(c, "buffer %s has the offset %lld, which its alignment forbids", b->name,
                   (long long)b->offset->integer);
}

static void check_arg(Check *c, int index) {
    const LFunction *f = c->function;
    const LArg *arg = &f->args.at[index];
    for (int i = 0; i < index; i++)
        if (f->args.at[i].name == arg->name) check_fail(c, "two arguments %s", arg->name);
    if (!arg->pointer) {
        if (arg->type != LT_I32 && arg->type != LT_I64)
            check_fail(c, "scalar argument %s is %s", arg->name, loop_type_text(arg->type));
        else
            declare(c, arg->var, arg->type, 1, false);
        return;
    }
    if (arg->pool && (arg->type != LT_VOID || !arg->nullable || arg->var >= 0))
        check_fail(c, "pool %s is no pointer that may be NULL", arg->name);
    if (arg->pool && loop_pool(f) < index) check_fail(c, "a second pool %s", arg->name);
    if (check_is_mask(arg->type)) check_fail(c, "argument %s points to masks", arg->name);
    if (arg->nullable && arg->var >= 0) declare(c, arg->var, LT_I32, 1, false);
    if (!arg->nullable && arg->var >= 0)
        check_fail(c, "argument %s has a variable and cannot be NULL", arg->name);
}

static bool always_returns(const LBlock *block) {
    for (int i = block->count - 1; i >= 0; i--) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_COMMENT) continue;
        if (s->kind == LS_IF) return always_returns(&s->body) && always_returns(&s->otherwise);
        return s->kind == LS_RETURN;
    }
    return false;
}

static void check_function(Check *c, int index) {
    const LFunction *f = c->function;
    for (int i = 0; i < index; i++)
        if (c->module->functions.at[i]->name == f->name)
            check_fail(c, "two functions of this name");
    if (f->result != LT_I32 && f->result != LT_I64 && f->result != LT_VOID)
        check_fail(c, "the result is %s", loop_type_text(f->result));
    for (int i = 0; i < f->args.count; i++) check_arg(c, i);
    c->args_only = true;
    for (int i = 0; i < f->buffers.count; i++) check_buffer(c, i);
    c->args_only = false;
    while (mark_products(c, &f->body)) {
    }
    check_block(c, &f->body);
    c->statement = NULL;
    if (f->result != LT_VOID && !always_returns(&f->body))
        check_fail(c, "the end is reached without a return");
}

/* ---- calls form no cycle ---- */

enum { CALLS_UNSEEN, CALLS_OPEN, CALLS_DONE };

static bool calls_end(const LoopModule *m, int function, char *state);

static bool block_ends(const LoopModule *m, const LBlock *block, char *state) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_CALL && s->callee >= 0 && s->callee < m->functions.count &&
            !calls_end(m, s->callee, state))
            return false;
        if (!block_ends(m, &s->body, state) || !block_ends(m, &s->otherwise, state)) return false;
    }
    return true;
}

static bool calls_end(const LoopModule *m, int function, char *state) {
    if (state[function] == CALLS_OPEN) return false;
    if (state[function] == CALLS_DONE) return true;
    state[function] = CALLS_OPEN;
    bool ends = block_ends(m, &m->functions.at[function]->body, state);
    state[function] = CALLS_DONE;
    return ends;
}

bool loop_verify(const LoopModule *module, bool final, const char *after, Diags *diags) {
    int errors = diags->errors;
    char *state = arena_alloc(diags->arena, (size_t)module->functions.count);
    for (int i = 0; i < module->functions.count; i++) {
        Check c = {.module = module,
                   .function = module->functions.at[i],
                   .final = final,
                   .after = after,
                   .diags = diags};
        c.vars = ARENA_ARRAY(diags->arena, c.function->vars.count, CheckVar);
        check_function(&c, i);
        if (!calls_end(module, i, state)) check_fail(&c, "calls itself");
    }
    return diags->errors == errors;
}
