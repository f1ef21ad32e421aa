/* What the interpreter refuses before it evaluates anything: lengths out of bounds, ints out of
 * range at valid positions, what is missing. Padding is never looked at. */
#include "graph/interpret_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *interp_position_name(Run *run, int carry) {
    const char *name = run->graph->carries.at[carry].name;
    return name && name[0] ? arena_printf(run->work, "%s.t", name) : "t";
}

bool interp_has_stop(const Run *run, int axis) {
    for (int i = 0; i < run->graph->stops.count; i++)
        if (run->graph->stops.at[i].axis == axis) return true;
    return false;
}

int64_t interp_given(const Run *run, int axis, int64_t b) {
    const Axis *a = &run->graph->axes.at[axis];
    if (a->kind == AXIS_SLOW) {
        int64_t n = interp_given(run, a->base, b);
        return n / a->every + (n % a->every != 0);
    }
    if (a->fixed > 0) return a->fixed;
    if (run->call->lengths && run->call->lengths[axis]) return run->call->lengths[axis][b];
    return a->generated ? a->most : 0;
}

static int axis_of(const Run *run, int index) {
    return run->graph->indices.at[index].axis;
}

static bool is_loop(const Node *node) {
    return op_info[node->op].class_ == CLASS_TIME && node->op != OP_READ && node->op != OP_HOLD;
}

static void mark_used(Run *run) {
    const Graph *graph = run->graph;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (!run->plans[i].live) continue;
        for (int k = 0; k < node->domain_count; k++)
            run->used[axis_of(run, node->domain[k])] = true;
        if (is_loop(node)) run->used[axis_of(run, node->attr.index)] = true;
        if (node->op == OP_CTC) run->used[axis_of(run, node->attr.index2)] = true;
        if (node->op == OP_LENGTH) run->used[node->attr.slot] = true;
    }
    for (int i = 0; i < graph->stops.count; i++) run->used[graph->stops.at[i].axis] = true;
    for (int a = 0; a < graph->axes.count; a++)
        if (run->used[a] && graph->axes.at[a].kind == AXIS_SLOW)
            run->used[graph->axes.at[a].base] = true;
}

static void check_axis(Run *run, int axis) {
    const Axis *a = &run->graph->axes.at[axis];
    const int64_t *lengths = run->call->lengths ? run->call->lengths[axis] : NULL;
    if (a->kind == AXIS_SLOW) return;
    if (!lengths && a->fixed == 0 && run->used[axis] && !(a->generated && a->most > 0))
        interp_fail(run, INTERP_MISSING, -1, "the length of axis %s is not given", a->name);
    for (int64_t b = 0; lengths && b < run->call->batch; b++) {
        if (a->fixed > 0 && lengths[b] != a->fixed)
            interp_fail(run, INTERP_LENGTH, -1,
                        "axis %s has length %" PRId64 " in sequence %" PRId64
                        " when it is fixed at %" PRId64,
                        a->name, lengths[b], b, a->fixed);
        if (lengths[b] < 0 || lengths[b] > (int64_t)1 << 52 ||
            (a->most > 0 && lengths[b] > a->most))
            interp_fail(run, INTERP_LENGTH, -1,
                        "axis %s has length %" PRId64 " in sequence %" PRId64
                        " when the bound is %" PRId64,
                        a->name, lengths[b], b, a->most);
    }
}

static void need_one(Run *run, int axis, const Node *node) {
    if (run->call->derived) return;
    for (int64_t b = 0; b < run->call->batch; b++)
        if (interp_given(run, axis, b) < 1)
            interp_fail(run, INTERP_LENGTH, node->id,
                        "axis %s has length 0 in sequence %" PRId64 " when %s needs at least 1",
                        run->graph->axes.at[axis].name, b,
                        node->op == OP_READ ? "a read at its first or last position"
                                            : op_info[node->op].text + 1); /* without the t */
}

/* `first`, `last` and unbounded mean, max, argmax, softmax have no meaning without a position. */
static void check_needs(Run *run, const Node *node) {
    if (node->op == OP_READ) {
        const Node *source = run->graph->nodes.at[node->in[0]];
        for (int k = 0; k < node->attr.at_count; k++)
            if (node->attr.at[k].kind == AT_FIRST || node->attr.at[k].kind == AT_LAST)
                need_one(run, axis_of(run, source->domain[k]), node);
    }
    if ((node->op == OP_TMEAN || node->op == OP_TMAX || node->op == OP_TARGMAX ||
         node->op == OP_TSOFTMAX) &&
        node->attr.low.kind == BOUND_NONE && node->attr.high.kind == BOUND_NONE)
        need_one(run, axis_of(run, node->attr.index), node);
}

/* Whether a value may stand in an int or bool of this type; `at`: position on a pointer's axis, or
 * -1. */
static bool in_range(const Run *run, const Type *type, double value, int64_t at, int64_t b) {
    if (!(fabs(value) <= 0x1p53) || value != floor(value)) return false;
    if (type->dtype == DT_BOOL) return value == 0 || value == 1;
    if (type->pointer == PTR_NONE)
        return type->bound == 0 || (value >= 0 && value < (double)type->bound);
    double length = (double)interp_given(run, type->axis, b);
    if (type->pointer == PTR_POS) return value >= 0 && value < length;
    return value >= -1 && value < (at >= 0 ? (double)at : length);
}

static void check_values(Run *run, const GraphPort *port, const double *values, int64_t b) {
    int64_t length[MAX_DOMAIN], at[MAX_DOMAIN] = {0}, count = shape_count(port->type.shape);
    int own = -1; /* the one index on the pointer's axis */
    for (int k = 0; k < port->index_count; k++) {
        length[k] = interp_given(run, axis_of(run, port->indices[k]), b);
        if (length[k] == 0) return;
        if (port->type.pointer != PTR_NONE && axis_of(run, port->indices[k]) == port->type.axis)
            own = own == -1 ? k : -2;
    }
    for (;;) {
        int64_t place = 0;
        for (int k = 0; k < port->index_count; k++)
            place = place * run->longest[axis_of(run, port->indices[k])] + at[k];
        for (int64_t i = 0; i < count; i++) {
            double value = values[(place * run->call->batch + b) * count + i];
            if (port->blank && value == (double)(port->blank - 1))
                interp_fail(run, INTERP_VALUE, port->node,
                            "label %" PRId64 " of sequence %" PRId64 " is the blank (%d)",
                            port->index_count ? at[0] : 0, b, port->blank - 1);
            if (!in_range(run, &port->type, value, own >= 0 ? at[own] : -1, b)) {
                char text[200];
                int used = 0;
                text[0] = 0;
                for (int k = 0; k < port->index_count && used >= 0 && used < 150; k++)
                    used += snprintf(text + used, sizeof text - (size_t)used, "%s%" PRId64 "%s",
                                     k ? ", " : "[", at[k], k + 1 == port->index_count ? "]" : "");
                interp_fail(run, INTERP_VALUE, port->node,
                            "input %s%s of sequence %" PRId64 " is %.17g, out of range", port->name,
                            text, b, value);
            }
        }
        int k = port->index_count - 1;
        while (k >= 0 && ++at[k] == length[k]) at[k--] = 0;
        if (k < 0) return;
    }
}

static void check_input(Run *run, const Node *node) {
    const GraphPort *port = &run->graph->inputs.at[node->attr.slot];
    const double *values = interp_input(run, node->attr.slot);
    if (!values && port->fallback < 0)
        interp_fail(run, INTERP_MISSING, node->id, "input %s is not given", port->name);
    if (!values || port->type.dtype == DT_FLOAT) return;
    for (int64_t b = 0; b < run->call->batch; b++) check_values(run, port, values, b);
}

static const InterpState *find_state(Run *run, const char *name, int lags, int64_t count) {
    for (int i = 0; i < run->call->state_count; i++) {
        const InterpState *state = &run->call->state[i];
        if (strcmp(state->name, name) != 0) continue;
        /* Older values may be there: what remains of a graph need not read them. */
        if (state->lags < lags || state->count != count)
            interp_fail(run, INTERP_VALUE, -1,
                        "state %s has %d values of %" PRId64
                        " elements when it should have %d of %" PRId64,
                        name, state->lags, state->count, lags, count);
        return state;
    }
    interp_fail(run, INTERP_MISSING, -1, "the state holds no %s", name);
}

static void check_state(Run *run) {
    if (!run->call->state) return;
    for (int i = 0; i < run->variables.count; i++) {
        CarryVariable *variable = &run->variables.at[i];
        variable->in =
            find_state(run, variable->name, variable->lags, run->plans[variable->source].count);
    }
    for (int i = 0; i < run->graph->carries.count; i++)
        run->positions[i] = find_state(run, interp_position_name(run, i), 1, 1);
}

void interp_check(Run *run) {
    const Graph *graph = run->graph;
    if (run->call->batch < 1) interp_fail(run, INTERP_LENGTH, -1, "the batch is empty");
    mark_used(run);
    for (int a = 0; a < graph->axes.count; a++) check_axis(run, a);
    for (int a = 0; a < graph->axes.count; a++)
        for (int64_t b = 0; b < run->call->batch; b++)
            if (interp_given(run, a, b) > run->longest[a])
                run->longest[a] = interp_given(run, a, b);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (!run->plans[i].live) continue;
        check_needs(run, node);
        if (node->op == OP_INPUT) check_input(run, node);
        if (node->op == OP_PARAM && !(run->call->params && run->call->params[node->attr.slot]))
            interp_fail(run, INTERP_MISSING, i, "parameter %s is not given",
                        graph->params.at[node->attr.slot].name);
    }
    check_state(run);
}
