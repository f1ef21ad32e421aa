/* What the interpreter has to know of a graph before it starts: which nodes are live, whose values
 * are kept at all positions, how a node's position gives those of its operands, and what `carry`
 * keeps.
 *
 * A value that is read at other positions is kept, so that every cycle of requests meets a kept
 * value: there the marks of values in progress find it. A cycle within one position has a back edge
 * in a depth-first walk; the node that it ends in is kept, too. */
#include "graph/interpret_run.h"

/* Whether operand `j` is read at the node's own position. */
static bool same_position(const Node *node, int j) {
    if (node->op == OP_READ) return j > 0;
    return op_info[node->op].class_ != CLASS_TIME || node->op == OP_HOLD;
}

/* The default that stands for an input that was not given; -1 otherwise. */
static int fallback_of(const Run *run, const Node *node) {
    if (node->op != OP_INPUT || interp_input(run, node->attr.slot)) return -1;
    return run->graph->inputs.at[node->attr.slot].fallback;
}

/* Operands, and behind them the default of an input. A sum over the batch is made of other
 * sequences, before this one (interpret_batch.c). */
static int edges(const Run *run, const Node *node) {
    if (node->op == OP_BSUM) return 0;
    return node->in_count + (fallback_of(run, node) >= 0);
}

static int edge(const Run *run, const Node *node, int j) {
    return j < node->in_count ? node->in[j] : fallback_of(run, node);
}

typedef struct Walk {
    int node, next;
} Walk;

typedef struct Marking {
    Walk *stack;
    unsigned char *open; /* on the stack */
    int *roots;          /* to walk from, still */
    int root_count;
    unsigned char *queued;
} Marking;

static void add_root(Marking *marking, int node) {
    if (node < 0 || marking->queued[node]) return;
    marking->queued[node] = 1;
    marking->roots[marking->root_count++] = node;
}

/* Depth first along operands at the same position: marks what is live, keeps the nodes in which
 * back edges end, and queues what is read at other positions. */
static void walk(Run *run, int root, Marking *marking) {
    int depth = 0;
    if (run->plans[root].live) return;
    run->plans[root].live = true;
    marking->open[root] = 1;
    marking->stack[depth++] = (Walk){root, 0};
    while (depth > 0) {
        Walk *top = &marking->stack[depth - 1];
        const Node *node = run->graph->nodes.at[top->node];
        if (top->next == edges(run, node)) {
            marking->open[top->node] = 0;
            depth--;
            continue;
        }
        int j = top->next++, to = edge(run, node, j);
        if (to < 0) continue;
        if (j < node->in_count && !same_position(node, j)) {
            add_root(marking, to);
        } else if (run->plans[to].live) {
            if (marking->open[to]) run->plans[to].keep = KEEP_ALL;
        } else {
            run->plans[to].live = true;
            marking->open[to] = 1;
            marking->stack[depth++] = (Walk){to, 0};
        }
    }
}

static void mark_live(Run *run) {
    const Graph *graph = run->graph;
    int64_t count = graph->nodes.count;
    Marking marking = {.stack = interp_alloc(run, run->work, count, sizeof(Walk)),
                       .open = interp_alloc(run, run->work, count, 1),
                       .roots = interp_alloc(run, run->work, count, sizeof(int)),
                       .queued = interp_alloc(run, run->work, count, 1)};
    for (int i = 0; i < graph->outputs.count; i++) add_root(&marking, graph->outputs.at[i].node);
    for (int i = 0; i < graph->stops.count; i++) add_root(&marking, graph->stops.at[i].node);
    for (int i = 0; i < graph->losses.count; i++) {
        add_root(&marking, graph->losses.at[i].node);
        add_root(&marking, graph->losses.at[i].per);
    }
    while (marking.root_count > 0) walk(run, marking.roots[--marking.root_count], &marking);
}

static int64_t power_below(int64_t most, int64_t ceiling) {
    int64_t power = 1;
    while (power * 2 <= most && power * 2 <= ceiling) power *= 2;
    return power;
}

static void keep_operands(Run *run, const Node *node) {
    for (int j = 0; j < node->in_count; j++) {
        if (node->in[j] < 0) continue;
        Plan *operand = &run->plans[node->in[j]];
        /* A value over fewer indices is read again and again while the others move. */
        if (!same_position(node, j) || operand->node->domain_count < node->domain_count)
            operand->keep = KEEP_ALL;
    }
}

static void project(Run *run, Plan *plan) {
    const Node *node = plan->node;
    plan->from = interp_alloc(run, run->work, node->in_count, sizeof *plan->from);
    for (int j = 0; j < node->in_count; j++) {
        if (node->in[j] < 0 || (node->op == OP_READ && j == 0)) continue;
        const Node *operand = run->graph->nodes.at[node->in[j]];
        plan->from[j] = interp_alloc(run, run->work, operand->domain_count, sizeof(int));
        for (int k = 0; k < operand->domain_count; k++) {
            int place = -1;
            for (int i = 0; i < node->domain_count; i++)
                if (node->domain[i] == operand->domain[k]) place = i;
            if (!same_position(node, j)) {
                if (operand->domain[k] == node->attr.index)
                    place = -1;
                else if (node->op == OP_CTC && operand->domain[k] == node->attr.index2)
                    place = -2;
                else if (place < 0)
                    place = -3;
            } else if (place < 0) {
                place = -3;
            }
            if (place == -3)
                interp_fail(run, INTERP_VALUE, node->id, "internal: operand %d is not on its axes",
                            j);
            plan->from[j][k] = place;
        }
    }
}

/* A READ of a carried instance: the variable and how far back it is read. */
static void add_variable(Run *run, Plan *plan) {
    const Graph *graph = run->graph;
    const Node *node = plan->node, *source = graph->nodes.at[node->in[0]];
    int carry = node->attr.carry - 1;
    int axis = run->graph->carries.at[carry].axis;
    int lag = 0, others = 0;
    for (int k = 0; k < node->attr.at_count; k++) {
        const At *at = &node->attr.at[k];
        if (at->kind == AT_INDEX && run->graph->indices.at[source->domain[k]].axis == axis) {
            if (at->offset < 0 && at->offset > -INT32_MAX) lag = (int)-at->offset;
        } else {
            others++;
        }
    }
    if (lag == 0) return; /* at its own position: nothing is carried */
    if (others) interp_fail(run, INTERP_VALUE, node->id, "carry over more than its own time axis");
    int i = 0;
    while (i < run->variables.count && run->variables.at[i].source != source->id) i++;
    if (i == run->variables.count) {
        const char *name = source->name;
        if (!name)
            name = arena_printf(run->work, "%s.#%d", graph->carries.at[carry].name, source->id);
        CarryVariable new = {.source = source->id, .carry = carry, .name = name, .boundary = -1};
        vec_push(run->work, &run->variables, new);
    }
    CarryVariable *variable = &run->variables.at[i];
    plan->variable = i;
    if (lag > variable->lags) variable->lags = lag;
    if (node->in_count > 1 && node->in[1] >= 0) variable->boundary = node->in[1];
}

void interp_plan(Run *run) {
    const Graph *graph = run->graph;
    run->plans = interp_alloc(run, run->work, graph->nodes.count, sizeof *run->plans);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        run->plans[i] = (Plan){.node = node,
                               .count = shape_count(node->type.shape),
                               .keep = KEEP_RECENT,
                               .variable = -1};
        run->plans[i].width = (run->rounding ? PLANES : 1) * run->plans[i].count;
        run->plans[i].narrow = run->call->single && node->type.dtype == DT_FLOAT;
    }
    mark_live(run);
    for (int i = 0; i < graph->outputs.count; i++)
        run->plans[graph->outputs.at[i].node].keep = KEEP_ALL;
    for (int i = 0; i < graph->nodes.count; i++)
        if (run->plans[i].live) keep_operands(run, graph->nodes.at[i]);
    for (int i = 0; i < graph->nodes.count; i++) {
        Plan *plan = &run->plans[i];
        if (!plan->live) continue;
        if (plan->node->domain_count == 0 || plan->node->op == OP_TSOFTMAX) plan->keep = KEEP_ALL;
        int64_t count = plan->count > 0 ? plan->count : 1;
        int64_t size = power_below(512 / count, 64);
        while (plan->node->domain_count > 0 && (int64_t)2 << plan->shift <= size) plan->shift++;
        plan->slots = plan->node->op == OP_TSOFTMAX ? power_below(4096 / count, 256)
                                                    : power_below(65536 / count, 8);
        project(run, plan);
        if (plan->node->op == OP_READ && plan->node->attr.carry > 0) add_variable(run, plan);
    }
}

static bool differs_by_itself(const Run *run, const Node *node) {
    if (node->op == OP_DRAW) return true;
    if (node->op == OP_INPUT) return fallback_of(run, node) < 0;
    int axis = -1;
    if (node->op == OP_LENGTH)
        axis = node->attr.slot;
    else if (op_info[node->op].class_ == CLASS_TIME && node->op != OP_READ && node->op != OP_HOLD)
        axis = run->graph->indices.at[node->attr.index].axis;
    if (axis >= 0) {
        if (run->graph->axes.at[axis].kind == AXIS_SLOW) axis = run->graph->axes.at[axis].base;
        if (run->graph->axes.at[axis].fixed == 0 || run->graph->axes.at[axis].generated)
            return true;
    }
    /* Reads at `last` and past the end see the length. */
    if (node->op == OP_READ)
        for (int k = 0; k < node->attr.at_count; k++)
            if (node->attr.at[k].kind != AT_FIRST && node->attr.carry == 0) {
                const Node *source = run->graph->nodes.at[node->in[0]];
                const Axis *a =
                    &run->graph->axes.at[run->graph->indices.at[source->domain[k]].axis];
                if (a->kind == AXIS_SLOW) a = &run->graph->axes.at[a->base];
                if (a->fixed == 0 || a->generated) return true;
            }
    return node->attr.carry > 0 || (node->op == OP_INDEX && node->attr.mirrored);
}

bool interp_batched(Run *run, int root) {
    const Graph *graph = run->graph;
    int *stack = interp_alloc(run, run->work, graph->nodes.count, sizeof *stack);
    unsigned char *seen = interp_alloc(run, run->work, graph->nodes.count, 1);
    int depth = 0;
    seen[root] = 1;
    stack[depth++] = root;
    while (depth > 0) {
        const Node *node = graph->nodes.at[stack[--depth]];
        if (differs_by_itself(run, node)) return true;
        for (int j = 0; j < edges(run, node); j++) {
            int to = edge(run, node, j);
            if (to < 0 || seen[to]) continue;
            seen[to] = 1;
            stack[depth++] = to;
        }
    }
    return false;
}
