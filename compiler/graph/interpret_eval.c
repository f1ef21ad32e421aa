/* The machine of the interpreter: frames on a stack in the heap, operands asked for one by one,
 * reads at other positions, lengths of generated axes. */
#include "graph/interpret_run.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void interp_spell(const Run *run, int id, const int64_t *at, char *buffer, size_t size) {
    const Node *node = run->graph->nodes.at[id];
    size_t used = 0;
    int n = node->name ? snprintf(buffer, size, "%s", node->name)
                       : snprintf(buffer, size, "%s #%d", op_info[node->op].text, id);
    for (int k = 0; n >= 0 && at && k < node->domain_count && used + (size_t)n < size; k++) {
        used += (size_t)n;
        n = snprintf(buffer + used, size - used, "%s%s=%" PRId64 "%s", k ? ", " : "[",
                     run->graph->indices.at[node->domain[k]].name, at[k],
                     k + 1 == node->domain_count ? "]" : "");
    }
}

void interp_fail(Run *run, InterpStatus status, int node, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(run->message, sizeof run->message, format, args);
    va_end(args);
    run->status = status;
    run->span = node >= 0 ? run->graph->nodes.at[node]->span : (Span){0};
    longjmp(run->out, 2);
}

/* Names the values that ask for each other, from the first time that `frame` was asked for. */
static _Noreturn void fail_cycle(Run *run, int id, int64_t where) {
    char text[480], name[120];
    size_t used = 0;
    int shown = 0;
    text[0] = 0;
    for (const Frame *f = run->frame; f; f = f->below) {
        bool first = f->node == id && f->where == where;
        if (f->node < 0) {
            snprintf(name, sizeof name, "len(%s)", run->graph->axes.at[-1 - f->node].name);
        } else if (first || run->graph->nodes.at[f->node]->name) {
            interp_spell(run, f->node, f->at, name, sizeof name);
        } else {
            continue;
        }
        if (shown < 8 || first) {
            int n = snprintf(text + used, sizeof text - used, "%s%s", shown ? " <- " : "", name);
            if (n > 0 && used + (size_t)n < sizeof text) used += (size_t)n;
        } else if (shown == 8) {
            int n = snprintf(text + used, sizeof text - used, " <- ...");
            if (n > 0 && used + (size_t)n < sizeof text) used += (size_t)n;
        }
        shown++;
        if (first) break;
    }
    interp_fail(run, INTERP_CYCLE, id, "a value asks for itself: %s", text);
}

static Frame *push(Run *run, int node, int64_t where, int domain_count, int in_count) {
    size_t at = sizeof(Frame), in = at + (size_t)domain_count * sizeof(int64_t);
    size_t size = in + (size_t)in_count * sizeof(double *);
    char *base = interp_push_bytes(run, size);
    Frame *frame = (Frame *)(void *)base;
    *frame = (Frame){.below = run->frame,
                     .at = (int64_t *)(void *)(base + at),
                     .in = (const double **)(void *)(base + in),
                     .where = where,
                     .node = node,
                     .chunk = run->top};
    return run->frame = frame;
}

static void pop(Run *run) {
    Frame *frame = run->frame;
    StackChunk *chunk = &run->stack.at[frame->chunk];
    run->top = frame->chunk;
    chunk->used = (size_t)((char *)frame - chunk->base);
    run->frame = frame->below;
}

static void push_value(Run *run, Plan *plan, const int64_t *at, int64_t where) {
    const Node *node = plan->node;
    if (plan->keep == KEEP_ALL) {
        unsigned char *state = interp_state(run, plan, where);
        if (*state == VALUE_BUSY) fail_cycle(run, node->id, where);
        *state = VALUE_BUSY;
    }
    Frame *frame = push(run, node->id, where, node->domain_count, node->in_count);
    for (int k = 0; k < node->domain_count; k++) frame->at[k] = at[k];
    if (node->op == OP_READ) frame->next = frame->held = 2; /* pointers first */
}

static const double *find(Run *run, Plan *plan, int64_t where) {
    if (plan->node->op == OP_PARAM) return run->params[plan->node->attr.slot];
    if (plan->node->op == OP_BSUM) return run->sums[plan->node->id];
    return interp_find(run, plan, where);
}

/* Operands that may be evicted while others are computed move to the stack. */
static void hold(Run *run, Frame *frame) {
    if (frame->node < 0) return;
    const Node *node = run->graph->nodes.at[frame->node];
    for (; frame->held < frame->next; frame->held++) {
        const Plan *plan = &run->plans[node->in[frame->held]];
        if (plan->keep != KEEP_RECENT || plan->node->op == OP_PARAM) continue;
        double *copy = interp_push_bytes(run, (size_t)plan->width * sizeof *copy);
        memcpy(copy, frame->in[frame->held], (size_t)plan->width * sizeof *copy);
        frame->in[frame->held] = copy;
    }
}

const double *interp_ask(Run *run, Frame *frame, int id, const int64_t *at) {
    Plan *plan = &run->plans[id];
    int64_t where = interp_where(plan, at);
    const double *value = find(run, plan, where);
    if (value) return value;
    hold(run, frame);
    push_value(run, plan, at, where);
    return NULL;
}

const double *interp_operand(Run *run, Frame *frame, int j, int64_t reduced, int64_t reduced2) {
    const Plan *plan = &run->plans[frame->node];
    const Node *operand = run->graph->nodes.at[plan->node->in[j]];
    int64_t at[MAX_DOMAIN];
    for (int k = 0; k < operand->domain_count; k++) {
        int from = plan->from[j][k];
        at[k] = from >= 0 ? frame->at[from] : from == -1 ? reduced : reduced2;
    }
    return interp_ask(run, frame, operand->id, at);
}

double *interp_out(Run *run, Frame *frame) {
    return interp_room(run, &run->plans[frame->node], frame->where);
}

void interp_finish(Run *run, Frame *frame) {
    interp_done(run, &run->plans[frame->node], frame->where);
    pop(run);
}

/* ---- Lengths ---- */

bool interp_ask_length(Run *run, Frame *frame, int axis, int64_t *length) {
    const Axis *a = &run->graph->axes.at[axis];
    int64_t every = 1;
    if (a->kind == AXIS_SLOW) {
        every = a->every;
        axis = a->base;
    }
    if (run->length_state[axis] == LENGTH_KNOWN) {
        int64_t n = run->length[axis];
        *length = n / every + (n % every != 0);
        return true;
    }
    if (run->length_state[axis] == LENGTH_BUSY) fail_cycle(run, -1 - axis, 0);
    if (frame) hold(run, frame);
    run->length_state[axis] = LENGTH_BUSY;
    Frame *child = push(run, -1 - axis, 0, 0, 0);
    child->loop = interp_push_bytes(run, sizeof(Loop));
    *child->loop = (Loop){0};
    return false;
}

/* Evaluates the stop conditions of an axis at 0, 1, … until one holds. */
static void step_length(Run *run, Frame *frame) {
    int axis = -1 - frame->node;
    Loop *loop = frame->loop;
    for (; loop->done < run->bound[axis]; loop->done++, loop->pass = 0) {
        for (; loop->pass < run->graph->stops.count; loop->pass++) {
            const GraphStop *stop = &run->graph->stops.at[loop->pass];
            if (stop->axis != axis) continue;
            int64_t at[MAX_DOMAIN];
            for (int k = 0; k < MAX_DOMAIN; k++) at[k] = loop->done;
            const double *value = interp_ask(run, frame, stop->node, at);
            if (!value) return;
            if (value[0] != 0) goto found;
        }
    }
    loop->done = run->bound[axis] - 1;
found:
    run->length[axis] = loop->done + 1;
    run->length_state[axis] = LENGTH_KNOWN;
    pop(run);
}

/* ---- Reads ---- */

static int64_t position_of(const Frame *frame, const Node *node, int index) {
    for (int k = 0; k < node->domain_count; k++)
        if (node->domain[k] == index) return frame->at[k];
    return 0;
}

/* A pointer operand as a position; false when it names none. Those of the caller were checked, so
 * it was computed: an argmax over no positions. */
static bool pointer(Run *run, const Frame *frame, const Node *node, const At *at, int64_t extent,
                    int64_t *place) {
    double value = frame->in[at->operand][0];
    bool past = run->graph->nodes.at[node->in[at->operand]]->type.pointer != PTR_POS;
    bool names = value >= (past ? -1.0 : 0.0) && value < (double)extent;
    *place = names ? (int64_t)value : 0;
    return names;
}

typedef enum Reach {
    REACH_INSIDE,
    REACH_OUTSIDE, /* a boundary value */
    REACH_NOTHING, /* through a pointer that names no position */
} Reach;

/* Where index `k` of the source is read; false when a length had to be asked for. */
static bool read_place(Run *run, Frame *frame, const Node *node, int k, int64_t *place,
                       Reach *reach) {
    const At *at = &node->attr.at[k];
    const Graph *graph = run->graph;
    int axis = graph->indices.at[graph->nodes.at[node->in[0]]->domain[k]].axis;
    int from =
        at->kind <= AT_DIV || at->kind == AT_MIRROR ? graph->indices.at[at->index].axis : axis;
    const Axis *own = &graph->axes.at[axis], *other = &graph->axes.at[from];
    int64_t length = run->bound[axis], p = 0;
    /* Whether the length matters: the reader's own position may imply that p is below it. */
    bool needs = at->offset > 0;
    switch (at->kind) {
    case AT_INDEX:
        p = position_of(frame, node, at->index) + at->offset;
        needs = needs || from != axis;
        break;
    case AT_SCALE:
        p = position_of(frame, node, at->index) * at->factor + at->offset;
        needs =
            needs || other->kind != AXIS_SLOW || other->base != axis || other->every != at->factor;
        break;
    case AT_DIV:
        p = position_of(frame, node, at->index) / at->factor + at->offset;
        needs = needs || own->kind != AXIS_SLOW || own->base != from || own->every != at->factor;
        break;
    case AT_FIRST: needs = false; break;
    case AT_LAST: needs = true; break;
    case AT_POINTER:
        needs = graph->nodes.at[node->in[at->operand]]->type.pointer != PTR_PAST;
        break;
    case AT_MIRROR: needs = true; break;
    }
    if (needs && !interp_ask_length(run, frame, axis, &length)) return false;
    if (at->kind == AT_LAST) p = length - 1;
    if (at->kind == AT_MIRROR) p = length - 1 - position_of(frame, node, at->index);
    bool names = at->kind != AT_POINTER || pointer(run, frame, node, at, length, &p);
    *place = p;
    *reach = !names ? REACH_NOTHING : p >= 0 && p < length ? REACH_INSIDE : REACH_OUTSIDE;
    return true;
}

void interp_spread(const Plan *from, const Plan *to, const double *value, double *out) {
    const Shape *a = &from->node->type.shape, *b = &to->node->type.shape;
    for (int64_t i = 0; i < to->count; i++) out[i] = value[interp_element(a, b, i)];
}

/* The value that an earlier chunk left, or NULL: then it is the boundary's. */
static const double *carried_value(Run *run, const Plan *plan, int64_t p) {
    if (plan->variable < 0 || p >= 0) return NULL;
    const CarryVariable *variable = &run->variables.at[plan->variable];
    const InterpState *in = variable->in;
    if (!in || p < -variable->lags) return NULL;
    /* Before the reset a boundary that depends on the position is not in the state. */
    if (variable->boundary >= 0 && run->graph->nodes.at[variable->boundary]->domain_count > 0 &&
        run->carried[variable->carry] + p < 0)
        return NULL;
    return in->values + ((in->lags + p) * run->call->batch + run->b) * in->count;
}

static void carried_bounds(const Run *run, const Plan *plan, const double *value, double *out) {
    const InterpState *in = run->variables.at[plan->variable].in;
    for (int64_t i = 0; i < plan->count; i++)
        interp_put_bound(plan, out, i, in->bounds ? in->bounds[value - in->values + i] : 0);
}

/* What is read through a pointer that names no position: NaN, of integers 0. */
static void read_nothing(Run *run, Frame *frame) {
    const Plan *plan = &run->plans[frame->node];
    double *out = interp_out(run, frame);
    for (int64_t i = 0; i < plan->count; i++) {
        out[i] = plan->node->type.dtype == DT_FLOAT ? (double)NAN : 0;
        if (run->rounding) interp_put_bound(plan, out, i, 0);
    }
    interp_finish(run, frame);
}

static void step_read(Run *run, Frame *frame) {
    Plan *plan = &run->plans[frame->node];
    const Node *node = plan->node;
    for (; frame->next < node->in_count; frame->next++)
        if (!(frame->in[frame->next] = interp_operand(run, frame, frame->next, 0, 0))) return;
    int64_t at[MAX_DOMAIN], before = 0;
    Reach reach = REACH_INSIDE;
    for (int k = 0; k < node->attr.at_count; k++) {
        Reach here;
        if (!read_place(run, frame, node, k, &at[k], &here)) return;
        if (here == REACH_OUTSIDE && at[k] < 0) before = at[k];
        if (here > reach) reach = here;
    }
    if (reach == REACH_NOTHING) {
        read_nothing(run, frame);
        return;
    }
    const double *value;
    if (reach == REACH_INSIDE) {
        if (!(value = interp_ask(run, frame, node->in[0], at))) return;
        double *out = interp_out(run, frame);
        memcpy(out, value, (size_t)plan->count * sizeof *value);
        if (run->rounding) interp_bound_copy(run, &run->plans[node->in[0]], value, plan, out);
    } else if ((value = carried_value(run, plan, before))) {
        double *out = interp_out(run, frame);
        for (int64_t i = 0; i < plan->count; i++) out[i] = interp_round(plan->narrow, value[i]);
        if (run->rounding) carried_bounds(run, plan, value, out);
    } else {
        if (node->in_count < 2 || node->in[1] < 0) {
            char name[120];
            interp_spell(run, node->in[0], at, name, sizeof name);
            interp_fail(run, INTERP_VALUE, node->id, "%s is read and has no boundary value", name);
        }
        if (!(value = interp_operand(run, frame, 1, 0, 0))) return;
        double *out = interp_out(run, frame);
        interp_spread(&run->plans[node->in[1]], plan, value, out);
        if (run->rounding) interp_bound_copy(run, &run->plans[node->in[1]], value, plan, out);
    }
    interp_finish(run, frame);
}

/* ---- Leaves, HOLD ---- */

/* The position as the language counts it; false when a length had to be asked for. */
static bool counted(Run *run, Frame *frame, const Node *node, int64_t *position) {
    int64_t p = position_of(frame, node, node->attr.index), length;
    if (node->attr.mirrored) {
        if (!interp_ask_length(run, frame, run->graph->indices.at[node->attr.index].axis, &length))
            return false;
        p = length - 1 - p;
    }
    *position = p + (node->attr.carry > 0 ? run->carried[node->attr.carry - 1] : 0);
    return true;
}

static void step_hold(Run *run, Frame *frame) {
    Plan *plan = &run->plans[frame->node];
    int64_t position;
    if (!counted(run, frame, plan->node, &position)) return;
    const double *value =
        interp_operand(run, frame, position % plan->node->attr.every == 0 ? 0 : 1, 0, 0);
    if (!value) return;
    double *out = interp_out(run, frame);
    memcpy(out, value, (size_t)plan->count * sizeof *value);
    const Plan *from = &run->plans[plan->node->in[position % plan->node->attr.every == 0 ? 0 : 1]];
    if (run->rounding) interp_bound_copy(run, from, value, plan, out);
    interp_finish(run, frame);
}

/* An input's value, or that of its default; NULL when the default had to be asked for. */
static const double *input_value(Run *run, Frame *frame, const Plan *plan) {
    const GraphPort *port = &run->graph->inputs.at[plan->node->attr.slot];
    const double *values = interp_input(run, plan->node->attr.slot);
    if (!values) return interp_ask(run, frame, port->fallback, frame->at);
    int64_t place = 0;
    for (int k = 0; k < port->index_count; k++)
        place = place * run->longest[run->graph->indices.at[port->indices[k]].axis] +
                position_of(frame, plan->node, port->indices[k]);
    return values + (place * run->call->batch + run->b) * plan->count;
}

static void step_leaf(Run *run, Frame *frame) {
    Plan *plan = &run->plans[frame->node];
    const Node *node = plan->node;
    int64_t number = 0;
    if (node->op == OP_INPUT) {
        const double *value = input_value(run, frame, plan);
        if (!value) return;
        double *out = interp_out(run, frame);
        for (int64_t i = 0; i < plan->count; i++) out[i] = interp_round(plan->narrow, value[i]);
        if (run->rounding) {
            const GraphPort *port = &run->graph->inputs.at[node->attr.slot];
            if (interp_input(run, node->attr.slot))
                interp_bound_leaf(run, plan, out);
            else
                interp_bound_copy(run, &run->plans[port->fallback], value, plan, out);
        }
        interp_finish(run, frame);
        return;
    }
    if (node->op == OP_INDEX && !counted(run, frame, node, &number)) return;
    if (node->op == OP_GIVEN) number = interp_input(run, node->attr.slot) != NULL;
    if (node->op == OP_LENGTH && !interp_ask_length(run, frame, node->attr.slot, &number)) return;
    double *out = interp_out(run, frame);
    for (int64_t i = 0; i < plan->count; i++)
        out[i] = node->op == OP_CONST  ? interp_round(plan->narrow, node->attr.number)
                 : node->op == OP_IOTA ? interp_round(plan->narrow, (double)i)
                                       : (double)number;
    if (run->rounding) interp_bound_leaf(run, plan, out);
    interp_finish(run, frame);
}

static void step_draw(Run *run, Frame *frame) {
    Plan *plan = &run->plans[frame->node];
    const Node *node = plan->node;
    for (; frame->next < node->in_count; frame->next++)
        if (!(frame->in[frame->next] = interp_operand(run, frame, frame->next, 0, 0))) return;
    int64_t at[MAX_DOMAIN];
    for (int k = 0; k < node->attr.at_count; k++) {
        const At *place = &node->attr.at[k];
        int axis = run->graph->indices.at[place->index].axis;
        at[k] = position_of(frame, node, place->index) + place->offset;
        if (place->kind == AT_MIRROR) {
            int64_t length;
            if (!interp_ask_length(run, frame, axis, &length)) return;
            at[k] = length - 1 - position_of(frame, node, place->index);
        }
        int carry = node->attr.carry - 1;
        if (carry >= 0 && run->graph->carries.at[carry].axis == axis) at[k] += run->carried[carry];
    }
    double *out = interp_out(run, frame);
    interp_draw(run, plan, at, frame->in, out);
    if (run->rounding) interp_bound(run, plan, frame->in, out);
    interp_finish(run, frame);
}

/* ---- The machine ---- */

static void step_plain(Run *run, Frame *frame) {
    Plan *plan = &run->plans[frame->node];
    const Node *node = plan->node;
    for (; frame->next < node->in_count; frame->next++)
        if (!(frame->in[frame->next] = interp_operand(run, frame, frame->next, 0, 0))) return;
    double *out = interp_out(run, frame);
    OpClass class_ = op_info[node->op].class_;
    bool tensor = class_ == CLASS_TENSOR || class_ == CLASS_LOSS;
    if (tensor)
        interp_tensor(run, plan, frame->in, out);
    else
        interp_elementwise(run, plan, frame->in, out);
    if (run->rounding && tensor)
        interp_bound_tensor(run, plan, frame->in, out);
    else if (run->rounding)
        interp_bound(run, plan, frame->in, out);
    interp_finish(run, frame);
}

static void step(Run *run) {
    Frame *frame = run->frame;
    if (frame->node < 0) {
        step_length(run, frame);
        return;
    }
    const Node *node = run->plans[frame->node].node;
    switch (op_info[node->op].class_) {
    case CLASS_LEAF:
        if (node->op == OP_DRAW)
            step_draw(run, frame);
        else
            step_leaf(run, frame);
        break;
    case CLASS_TIME:
        if (node->op == OP_READ)
            step_read(run, frame);
        else if (node->op == OP_HOLD)
            step_hold(run, frame);
        else
            interp_step_loop(run, frame);
        break;
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_SELECTION:
    case CLASS_TENSOR:
    case CLASS_LOSS: step_plain(run, frame); break;
    }
}

const double *interp_value(Run *run, int id, const int64_t *at) {
    Plan *plan = &run->plans[id];
    int64_t where = interp_where(plan, at);
    const double *value;
    while (!(value = find(run, plan, where))) {
        push_value(run, plan, at, where);
        while (run->frame) step(run);
    }
    return value;
}

int64_t interp_length(Run *run, int axis) {
    int64_t length;
    while (!interp_ask_length(run, NULL, axis, &length))
        while (run->frame) step(run);
    return length;
}
