/* What is computed only for outputs that the caller may leave out, and is left out with them. */
#include "loop/lower_internal.h"

enum { MOST_ARGUMENTS = 62 };

typedef struct Spread {
    Fn *fn;
    const Value *reader;
    bool changed;
} Spread;

static void spread(void *user, const Use *use, bool boundary) {
    Spread *r = user;
    uint64_t *to = &r->fn->wanted[use->value], all = *to | r->fn->wanted[r->reader->id];
    (void)boundary;
    r->changed = r->changed || all != *to;
    *to = all;
}

/* The bit of the argument that a port is given through; all of them: it is always wanted. */
static uint64_t bit_of(Fn *fn, const GraphPort *port, int output) {
    ArgRole role = ROLE_OUTPUT;
    int slot = output;
    switch (port->kind) {
    case PORT_MODEL: break;
    case PORT_PARAM_GRAD:
        role = ROLE_GRADS;
        slot = 0;
        break;
    case PORT_INPUT_GRAD:
        role = ROLE_INPUT_GRAD;
        slot = port->of;
        break;
    case PORT_UPSTREAM:
    case PORT_LOSS:
    case PORT_PER:
    case PORT_ROW:
    case PORT_TOTAL:
    case PORT_LENGTH:
    case PORT_OUTPUT: return WANTED_ALWAYS;
    }
    int arg = lower_arg(fn, role, slot), i = 0;
    while (i < fn->wanted_args.count && fn->wanted_args.at[i] != arg) i++;
    if (i == MOST_ARGUMENTS) return WANTED_ALWAYS;
    if (i == fn->wanted_args.count) vec_push(fn->lower->arena, &fn->wanted_args, arg);
    return (uint64_t)1 << i;
}

void lower_find_wanted(Fn *fn) {
    const Lower *lower = fn->lower;
    const Schedule *schedule = lower->schedule;
    fn->wanted = ARENA_ARRAY(lower->arena, schedule->values.count + 1, uint64_t);
    for (int o = 0; o < schedule->outputs.count; o++)
        fn->wanted[schedule->outputs.at[o]] |= bit_of(fn, &lower->graph->outputs.at[o], o);
    for (int s = 0; s < schedule->stops.count; s++)
        fn->wanted[schedule->stops.at[s]] = WANTED_ALWAYS;
    for (int k = 0; k < lower->kept.count && lower->carries; k++)
        fn->wanted[lower->kept.at[k].value] = WANTED_ALWAYS;
    Spread r = {fn, NULL, true};
    while (r.changed) {
        r.changed = false;
        for (int i = schedule->values.count - 1; i >= 0; i--) {
            r.reader = schedule->values.at[i];
            if (r.reader->live && fn->wanted[i]) schedule_uses(schedule, r.reader, spread, &r);
        }
    }
}

uint64_t lower_wanted(const Fn *fn, const int *values, int count) {
    uint64_t all = 0;
    for (int i = 0; i < count && fn->wanted; i++) all |= fn->wanted[values[i]];
    return fn->wanted ? all : WANTED_ALWAYS;
}

LBlock *lower_if_wanted(Fn *fn, LBlock *out, uint64_t wanted) {
    LoopModule *m = fn->lower->module;
    if (!wanted || wanted == WANTED_ALWAYS) return out;
    LExpr *any = NULL;
    for (int i = 0; i < fn->wanted_args.count; i++) {
        if (!(wanted >> i & 1)) continue;
        LExpr *given =
            loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[fn->wanted_args.at[i]].var),
                    loop_int_of(m, LT_I32, 0), NULL);
        any = any ? loop_op(m, SOP_MOR, any, given, NULL) : given;
    }
    return lower_if(fn, out, any);
}

static bool same(const LExpr *a, const LExpr *b) {
    if (!a || !b) return a == b;
    if (a->kind != b->kind || a->op != b->op) return false;
    if (a->kind == LE_VAR) return a->var == b->var;
    if (a->kind == LE_INT) return a->integer == b->integer;
    return a->kind == LE_OP && same(a->a, b->a) && same(a->b, b->b) && same(a->c, b->c);
}

LBlock *lower_if(Fn *fn, LBlock *out, LExpr *condition) {
    LStmt *last = out->count ? out->at[out->count - 1] : NULL;
    if (last && last->kind == LS_IF && !last->otherwise.count && same(last->value, condition))
        return &last->body;
    return &loop_if(fn->lower->module, out, condition)->body;
}
