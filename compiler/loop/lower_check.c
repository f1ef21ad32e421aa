/* Integers that the caller gives are in range at every valid position: numbers below a bound,
 * labels that are no blank, pointers that name a position. */
#include "loop/lower_internal.h"

typedef struct Element {
    Fn *fn;
    const GraphPort *port;
    LExpr *value; /* i32 */
    LExpr *b;
    LExpr *own; /* the position on the axis of a pointer, where the port has one there; or NULL */
} Element;

static LExpr *either(Fn *fn, LExpr *a, LExpr *b) {
    return a ? loop_op(fn->lower->module, SOP_MOR, a, b, NULL) : b;
}

/* A position of the axis that it points into; one into the past, from -1 to before its own. */
static LExpr *bad_pointer(const Element *e) {
    Fn *fn = e->fn;
    LoopModule *m = fn->lower->module;
    const Type *type = &e->port->type;
    LExpr *p = loop_convert(m, SOP_CONVERT, LT_I64, e->value), *most = NULL;
    LExpr *bad = loop_op(m, SOP_LT, p, loop_int(m, type->pointer == PTR_PAST ? -1 : 0), NULL);
    if (type->pointer == PTR_PAST && e->own)
        most = e->own;
    else if (!fn->step && fn->lower->axis_used[type->axis])
        most = lower_length(fn, NULL, type->axis, e->b);
    return most ? either(fn, bad, loop_op(m, SOP_GE, p, most, NULL)) : bad;
}

static LExpr *bad_number(const Element *e) {
    LoopModule *m = e->fn->lower->module;
    LExpr *below = loop_op(m, SOP_LT, e->value, loop_int_of(m, LT_I32, 0), NULL);
    LExpr *bound = loop_int_of(m, LT_I32, e->port->type.bound);
    LExpr *bad = either(e->fn, below, loop_op(m, SOP_GE, e->value, bound, NULL));
    if (!e->port->blank) return bad;
    LExpr *blank = loop_int_of(m, LT_I32, e->port->blank - 1);
    return either(e->fn, bad, loop_op(m, SOP_EQ, e->value, blank, NULL));
}

/* The dim of a port that alone is on the axis of its pointers; -1. */
static int own_dim(const Graph *graph, const GraphPort *port) {
    int own = -1;
    for (int d = 0; d < port->index_count && port->type.pointer != PTR_NONE; d++)
        if (graph->indices.at[port->indices[d]].axis == port->type.axis) own = own == -1 ? d : -2;
    return own;
}

static void check_input(Fn *fn, LBlock *block, int slot) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Graph *graph = lower->graph;
    const GraphPort *port = &graph->inputs.at[slot];
    const RowPlace *place = &fn->inputs[slot];
    const Value *value = lower->schedule->values.at[port->node];
    int own = own_dim(graph, port);
    if (fn->step && port->index_count) block = lower_on_tick(fn, block, value, port->indices[0]);
    if (fn->given[slot]) block = &loop_if(m, block, fn->given[slot])->body;
    LStmt *each = loop_for(m, fn->fn, block, "b", loop_int(m, 0), fn->batch, 1);
    Element e = {.fn = fn, .port = port, .b = loop_var(m, fn->fn, each->var)};
    LExpr *index = loop_int(m, 0);
    block = &each->body;
    if (fn->step && port->index_count) block = lower_going_on(fn, block, e.b);
    if (fn->step && own == 0) e.own = lower_now(fn, value, e.b);
    for (int d = 0; d < place->dim_count; d++) {
        int axis = graph->indices.at[place->dims[d]].axis;
        LExpr *length = lower_let(fn, block, "length", lower_length(fn, NULL, axis, e.b));
        LStmt *loop = loop_for(m, fn->fn, block, "i", loop_int(m, 0), length, 1);
        LExpr *at = loop_var(m, fn->fn, loop->var);
        index = loop_add(m, d ? loop_mul(m, index, fn->extent[axis]) : index, at);
        if (d == own) e.own = at;
        block = &loop->body;
    }
    LStmt *elements =
        loop_for(m, fn->fn, block, "e", loop_int(m, 0), loop_int(m, place->stride), 1);
    index = loop_add(
        m, loop_mul(m, loop_add(m, loop_mul(m, index, fn->batch), e.b), loop_int(m, place->stride)),
        loop_var(m, fn->fn, elements->var));
    e.value =
        lower_let(fn, &elements->body, "v", loop_load(m, fn->fn, place->buffer, index, 1, false));
    LExpr *bad = port->type.pointer != PTR_NONE ? bad_pointer(&e) : bad_number(&e);
    loop_return(m, &loop_if(m, &elements->body, bad)->body, loop_int_of(m, LT_I32, LOOP_BAD_VALUE));
}

void lower_check_inputs(Fn *fn, LBlock *out) {
    const Graph *graph = fn->lower->graph;
    for (int i = 0; i < graph->inputs.count; i++) {
        const Type *type = &graph->inputs.at[i].type;
        bool ranged = type->dtype == DT_INT && (type->bound || type->pointer != PTR_NONE);
        if (ranged && fn->inputs[i].buffer >= 0 && fn->inputs[i].stride) check_input(fn, out, i);
    }
}
