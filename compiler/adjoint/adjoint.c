/* The transformation: which values need a gradient, then from the last node to the first the sum of
 * what its users contribute, handed on to its operands. */
#include "adjoint/internal.h"

#include <string.h>

/* Whether a gradient of the node goes on to operand k. */
static bool carries(const Adjoint *a, const Node *node, int k) {
    if (node->in[k] < 0 || node->type.dtype != DT_FLOAT) return false;
    if (adjoint_node(a, node->in[k])->type.dtype != DT_FLOAT) return false;
    switch (node->op) {
    case OP_DETACH:
    case OP_FLOAT:
    case OP_SIGN:
    case OP_FLOOR:
    case OP_DRAW: return false;
    case OP_SELECT: return k > 0;
    case OP_READ: return k < 2;
    default: return true;
    }
}

static bool is_target(const Adjoint *a, const Node *node, const AdjointOptions *o) {
    if (node->op == OP_PARAM) return o->of_params && !a->graph->params.at[node->attr.slot].frozen;
    return node->op == OP_INPUT && o->of_inputs && o->of_inputs[node->attr.slot];
}

/* Depends on a target, and reaches a root. */
static void find_wanted(Adjoint *a, const AdjointOptions *options, const Terms *roots) {
    int *stack = ARENA_ARRAY(a->arena, a->forward + 1, int), depth = 0;
    bool *depends = ARENA_ARRAY(a->arena, a->forward + 1, bool);
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < a->forward; i++) {
            const Node *node = adjoint_node(a, i);
            bool now = is_target(a, node, options);
            for (int k = 0; k < node->in_count && !now; k++)
                now = carries(a, node, k) && depends[node->in[k]];
            changed = changed || now != depends[i];
            depends[i] = now;
        }
    }
    for (int r = 0; r < roots->nodes.count; r++) {
        int root = roots->nodes.at[r];
        if (!depends[root] || a->wanted[root]) continue;
        a->wanted[root] = true;
        stack[depth++] = root;
        while (depth > 0) {
            const Node *node = adjoint_node(a, stack[--depth]);
            for (int k = 0; k < node->in_count; k++) {
                int to = node->in[k];
                if (!carries(a, node, k) || !depends[to] || a->wanted[to]) continue;
                a->wanted[to] = true;
                stack[depth++] = to;
            }
        }
    }
}

/* What stands under a select, and what may be infinite or NaN there. */
static void find_risks(Adjoint *a) {
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = a->forward - 1; i >= 0; i--) {
            const Node *node = adjoint_node(a, i);
            for (int k = 0; k < node->in_count; k++) {
                if (!carries(a, node, k) || a->under[node->in[k]]) continue;
                a->under[node->in[k]] = node->op == OP_SELECT || a->under[i];
                changed = changed || a->under[node->in[k]];
            }
        }
        for (int i = 0; i < a->forward; i++) {
            const Node *node = adjoint_node(a, i);
            bool now = a->risky[i];
            switch (node->op) {
            case OP_LOG:
            case OP_SQRT:
            case OP_DIV:
            case OP_POW:
            case OP_EXP:
            case OP_MOD:
            case OP_LOGADDEXP: now = true; break;
            case OP_SELECT: break; /* it has chosen */
            default:
                for (int k = 0; k < node->in_count && !now; k++)
                    now = node->in[k] >= 0 && a->risky[node->in[k]];
            }
            changed = changed || now != a->risky[i];
            a->risky[i] = now;
        }
    }
}

static void find_alone(Adjoint *a) {
    bool *batched = ARENA_ARRAY(a->arena, a->graph->nodes.count + 1, bool);
    graph_batched(a->graph, batched);
    for (int i = 0; i < a->forward; i++) a->alone[i] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < a->forward; i++) {
            const Node *node = adjoint_node(a, i);
            bool alone = a->alone[i] && !batched[i] && node->domain_count == 0;
            for (int k = 0; k < node->in_count && node->op != OP_BSUM; k++)
                alone = alone && (node->in[k] < 0 || a->alone[node->in[k]]);
            changed = changed || alone != a->alone[i];
            a->alone[i] = alone;
        }
    }
}

/* --- ports ---------------------------------------------------------------------------------------
 */

static int new_input(Adjoint *a, GraphPort port) {
    Attr attr = {.slot = a->graph->inputs.count};
    vec_push(a->arena, &a->graph->inputs, port);
    int id = adjoint_attr(a, OP_INPUT, -1, &attr);
    GraphPort *own = &a->graph->inputs.at[attr.slot];
    own->node = id;
    a->graph->nodes.at[id]->name = own->name;
    return id;
}

static Name gradient_name(const Adjoint *a, const char *name) {
    return name_of(a->graph->names, arena_printf(a->arena, "d_%s", name));
}

/* The same for a port: no other has it. */
static Name port_name(const Adjoint *a, const char *name) {
    const Graph *graph = a->graph;
    Name own = gradient_name(a, name);
    for (int i = 0; i < graph->inputs.count + graph->outputs.count; i++) {
        int o = i - graph->inputs.count;
        if ((o < 0 ? graph->inputs.at[i].name : graph->outputs.at[o].name) != own) continue;
        own = name_of(graph->names, arena_printf(a->arena, "%s_", own));
        i = -1;
    }
    return own;
}

/* The derivative of the loss of the batch by loss i of one sequence. */
static int share(Adjoint *a, const GraphLoss *loss, bool reduce_sum) {
    if (loss->per < 0 && (reduce_sum || a->alone[loss->node])) return adjoint_number(a, 1);
    int one = adjoint_number(a, 1), per = loss->per < 0 ? one : loss->per;
    if (adjoint_node(a, per)->type.dtype != DT_FLOAT) per = adjoint_op(a, OP_FLOAT, per, -1, -1);
    return adjoint_op(a, OP_DIV, one, adjoint_op(a, OP_BSUM, per, -1, -1), -1);
}

static void start(Adjoint *a, const AdjointOptions *options) {
    Graph *graph = a->graph;
    a->user = -1;
    for (int o = 0; options->upstream && o < graph->outputs.count; o++) {
        GraphPort port = graph->outputs.at[o];
        int value = port.node;
        if (!options->upstream[o] || port.type.dtype != DT_FLOAT) continue;
        port.name = port_name(a, port.name);
        port.kind = PORT_UPSTREAM;
        port.of = o;
        port.fallback = adjoint_zeros(a, port.type.shape);
        if (a->wanted[value]) adjoint_add(a, value, new_input(a, port));
    }
    for (int i = 0; options->losses && i < graph->losses.count; i++) {
        const GraphLoss *loss = &graph->losses.at[i];
        if (!a->wanted[loss->node]) continue;
        a->span = loss->span;
        a->user = loss->per < 0 ? loss->node : -1; /* one loss for all, or one each by the sum */
        adjoint_add(a, loss->node, share(a, loss, options->reduce_sum));
    }
}

/* Sum of the contributions to one node, over all of its indices. */
static int total(Adjoint *a, int id) {
    const Node *node = adjoint_node(a, id);
    for (int r = 0; r < a->reads[id].nodes.count; r++) {
        int read = a->reads[id].nodes.at[r];
        a->span = adjoint_node(a, read)->span;
        a->user = read;
        if (a->of_read[read] >= 0)
            adjoint_add(a, id, adjoint_of_source(a, adjoint_node(a, read), a->of_read[read]));
    }
    a->span = node->span;
    int sum = -1;
    for (int t = 0; t < a->terms[id].nodes.count; t++) {
        int term = a->terms[id].nodes.at[t];
        sum = sum < 0 ? term : adjoint_op(a, OP_ADD, sum, term, -1);
    }
    if (sum < 0) sum = adjoint_zeros(a, node->type.shape);
    sum = adjoint_widen(a, sum, node->domain_count, node->domain);
    Node *named = a->graph->nodes.at[sum];
    if (node->name && !named->name && op_info[named->op].class_ != CLASS_LEAF)
        named->name = gradient_name(a, node->name);
    return sum;
}

static void rule(Adjoint *a, const Node *node, int d) {
    switch (op_info[node->op].class_) {
    case CLASS_LEAF: break;
    case CLASS_TIME: adjoint_time(a, node, d); break;
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_SELECTION: adjoint_point(a, node, d); break;
    case CLASS_TENSOR: adjoint_tensor(a, node, d); break;
    case CLASS_LOSS: break; /* expanded */
    }
}

static void new_output(Adjoint *a, GraphPort port, int *totals, Op op, int slot) {
    int sum = -1;
    for (int i = 0; i < a->forward; i++) {
        const Node *node = adjoint_node(a, i);
        if (node->op != op || node->attr.slot != slot || totals[i] < 0) continue;
        sum = sum < 0 ? totals[i] : adjoint_op(a, OP_ADD, sum, totals[i], -1);
    }
    port.node = sum < 0 ? adjoint_zeros(a, port.type.shape) : sum;
    vec_push(a->arena, &a->graph->outputs, port);
}

static void finish(Adjoint *a, int inputs, const AdjointOptions *options, int *totals) {
    Graph *graph = a->graph;
    if (!options->outputs) memset(&graph->outputs, 0, sizeof graph->outputs);
    for (int p = 0; p < graph->params.count && options->of_params; p++) {
        const GraphParam *param = &graph->params.at[p];
        GraphPort port = {.name = port_name(a, param->name),
                          .kind = PORT_PARAM_GRAD,
                          .of = p,
                          .type = {.dtype = DT_FLOAT, .shape = param->shape},
                          .fallback = -1,
                          .shared = true,
                          .span = param->span};
        if (!param->frozen) new_output(a, port, totals, OP_PARAM, p);
    }
    for (int i = 0; i < inputs && options->of_inputs; i++) {
        GraphPort port = graph->inputs.at[i];
        if (!options->of_inputs[i] || port.type.dtype != DT_FLOAT) continue;
        port.name = port_name(a, port.name);
        port.kind = PORT_INPUT_GRAD;
        port.of = i;
        port.fallback = -1;
        new_output(a, port, totals, OP_INPUT, i);
    }
}

/* Lists that grow are ours. */
static void own_lists(Graph *graph) {
    Arena *arena = graph->arena;
    size_t inputs = (size_t)graph->inputs.count * sizeof *graph->inputs.at;
    size_t outputs = (size_t)graph->outputs.count * sizeof *graph->outputs.at;
    size_t indices = (size_t)graph->indices.count * sizeof *graph->indices.at;
    if (inputs) graph->inputs.at = arena_copy(arena, graph->inputs.at, inputs);
    if (outputs) graph->outputs.at = arena_copy(arena, graph->outputs.at, outputs);
    if (indices) graph->indices.at = arena_copy(arena, graph->indices.at, indices);
    graph->inputs.room = graph->inputs.count;
    graph->outputs.room = graph->outputs.count;
    graph->indices.room = graph->indices.count;
}

static void find_roots(const Adjoint *a, const AdjointOptions *options, Terms *roots) {
    const Graph *graph = a->graph;
    for (int o = 0; options->upstream && o < graph->outputs.count; o++)
        if (options->upstream[o] && graph->outputs.at[o].type.dtype == DT_FLOAT)
            vec_push(a->arena, &roots->nodes, graph->outputs.at[o].node);
    for (int i = 0; options->losses && i < graph->losses.count; i++)
        vec_push(a->arena, &roots->nodes, graph->losses.at[i].node);
}

Graph *adjoint_build(const Graph *graph, const AdjointOptions *options, Diags *diags) {
    Arena *arena = graph->arena;
    Rewrite ordered = rewrite_begin(graph);
    graph = rewrite_end(&ordered, false); /* operands before their users */
    int count = graph->nodes.count;
    Adjoint a = {.rewrite = rewrite_begin(graph),
                 .forward = count,
                 .arena = arena,
                 .diags = diags,
                 .wanted = ARENA_ARRAY(arena, count + 1, bool),
                 .terms = ARENA_ARRAY(arena, count + 1, Terms),
                 .of_read = ARENA_ARRAY(arena, count + 1, int),
                 .alone = ARENA_ARRAY(arena, count + 1, bool),
                 .under = ARENA_ARRAY(arena, count + 1, bool),
                 .risky = ARENA_ARRAY(arena, count + 1, bool),
                 .relations = relation_graph(arena, graph),
                 .reads = ARENA_ARRAY(arena, count + 1, Terms)};
    int *totals = ARENA_ARRAY(arena, count + 1, int);
    Terms roots = {0};
    a.graph = a.rewrite.graph;
    own_lists(a.graph);
    find_roots(&a, options, &roots);
    find_wanted(&a, options, &roots);
    find_risks(&a);
    find_alone(&a);
    for (int i = 0; i < count; i++) {
        const Node *node = adjoint_node(&a, i);
        totals[i] = a.of_read[i] = -1;
        if (node->op != OP_READ || !a.wanted[i]) continue;
        int hole = adjoint_zeros(&a, node->type.shape);
        a.of_read[i] = graph_add(a.graph, OP_VAR, node->type, node->domain_count, node->domain, 1,
                                 &hole, NULL, node->span);
        vec_push(arena, &a.rewrite.as, a.of_read[i]);
        vec_push(arena, &a.reads[node->in[0]].nodes, i);
    }
    start(&a, options);
    for (int i = count - 1; i >= 0 && !a.failed; i--) {
        if (!a.wanted[i]) continue;
        const Node *node = adjoint_node(&a, i);
        totals[i] = total(&a, i);
        if (a.of_read[i] >= 0) a.graph->nodes.at[a.of_read[i]]->in[0] = totals[i];
        a.current = node;
        a.user = i;
        rule(&a, node, totals[i]);
        a.current = NULL;
    }
    if (a.failed) return NULL;
    finish(&a, graph->inputs.count, options, totals);
    return rewrite_end(&a.rewrite, true);
}
