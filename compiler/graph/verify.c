/* The rules that every Graph keeps, from whatever pass it comes. Structure is checked first
 * (numbers that refer to something), and only a node that is sound so far is asked for its type and
 * domain. */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct Verifier {
    const Graph *graph;
    const char *after;
    Diags *diags;
    const Node *node; /* NULL: about the header */
    int defects;
} Verifier;

static bool defect(Verifier *v, Span span, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool defect(Verifier *v, Span span, const char *format, ...) {
    char message[400];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    const char *after = v->after ? v->after : "building the graph";
    v->defects++;
    if (v->node)
        diag_error(v->diags, "internal", v->node->span, "after %s: node %%%d (%s%s%s): %s", after,
                   v->node->id, op_info[v->node->op].text, v->node->name ? " " : "",
                   v->node->name ? v->node->name : "", message);
    else
        diag_error(v->diags, "internal", span, "after %s: %s", after, message);
    return false;
}

static const Span nowhere = {0};

static bool is_index(const Graph *graph, int index) {
    return index >= 0 && index < graph->indices.count;
}

static bool is_axis(const Graph *graph, int axis) {
    return axis >= 0 && axis < graph->axes.count;
}

static bool is_node(const Graph *graph, int id) {
    return id >= 0 && id < graph->nodes.count;
}

static int axis_of(const Graph *graph, int index) {
    return graph->indices.at[index].axis;
}

static bool check_shape(Verifier *v, Shape shape, Span span) {
    if (shape.rank < 0 || shape.rank > MAX_RANK) return defect(v, span, "rank is %d", shape.rank);
    for (int d = 0; d < shape.rank; d++)
        if (shape.dim[d] < 1) return defect(v, span, "dim %d is %lld", d, (long long)shape.dim[d]);
    if (shape_count(shape) > INT32_MAX)
        return defect(v, span, "%lld elements", (long long)shape_count(shape));
    return true;
}

static bool check_type(Verifier *v, const Type *type, Span span) {
    if (type->dtype > DT_BOOL || type->pointer > PTR_POS) return defect(v, span, "no such type");
    if (type->dtype != DT_INT && (type->bound != 0 || type->pointer != PTR_NONE))
        return defect(v, span, "bound or pointer on a type that is no int");
    if (type->bound < 0) return defect(v, span, "negative bound");
    if (type->pointer != PTR_NONE && (type->bound != 0 || !is_axis(v->graph, type->axis)))
        return defect(v, span, "pointer with a bound, or into no axis");
    return check_shape(v, type->shape, span);
}

static bool check_indices(Verifier *v, int count, const int *indices, bool ascending, Span span) {
    if (count < 0 || count > MAX_DOMAIN) return defect(v, span, "%d indices", count);
    for (int i = 0; i < count; i++) {
        if (!is_index(v->graph, indices[i])) return defect(v, span, "no index %d", indices[i]);
        if (ascending && i > 0 && indices[i] <= indices[i - 1])
            return defect(v, span, "domain is not ascending");
        for (int k = 0; k < i; k++)
            if (indices[k] == indices[i]) return defect(v, span, "index %d twice", indices[i]);
    }
    return true;
}

static bool subset(int count, const int *indices, int of_count, const int *of) {
    for (int i = 0; i < count; i++) {
        bool found = false;
        for (int k = 0; k < of_count; k++) found = found || of[k] == indices[i];
        if (!found) return false;
    }
    return true;
}

static bool check_operands(Verifier *v, const Node *node) {
    if (node->in_count < op_info[node->op].least || node->in_count > op_info[node->op].most)
        return defect(v, nowhere, "%d operands", node->in_count);
    for (int k = 0; k < node->in_count; k++) {
        if (node->op == OP_READ && k == 1 && node->in[k] == -1) continue;
        if (!is_node(v->graph, node->in[k]))
            return defect(v, nowhere, "operand %d is %%%d, there are %d nodes", k, node->in[k],
                          v->graph->nodes.count);
    }
    return true;
}

static bool check_bound(Verifier *v, const Bound *bound, int over) {
    if (bound->kind != BOUND_INDEX) return true;
    if (!is_index(v->graph, bound->index)) return defect(v, nowhere, "no index %d", bound->index);
    if (bound->index == over) return defect(v, nowhere, "an index bounds itself");
    if (axis_of(v->graph, bound->index) != axis_of(v->graph, over))
        return defect(v, nowhere, "bound on another axis");
    return true;
}

static bool check_draw(Verifier *v, const Node *node) {
    if (node->attr.draw > DRAW_CATEGORICAL) return defect(v, nowhere, "no such draw");
    if (!node->attr.site) return defect(v, nowhere, "draw without a site");
    for (int i = 0; i < node->attr.at_count; i++) {
        const At *at = &node->attr.at[i];
        if (at->kind != AT_INDEX && at->kind != AT_MIRROR)
            return defect(v, nowhere, "a draw is at an index or at its mirror");
        if (!is_index(v->graph, at->index)) return defect(v, nowhere, "no index %d", at->index);
    }
    return true;
}

/* The fields of attr that refer to something. */
static bool check_attr(Verifier *v, const Node *node) {
    const Graph *graph = v->graph;
    const Attr *attr = &node->attr;
    Op op = node->op;
    bool over = op == OP_INDEX || (op_info[op].class_ == CLASS_TIME && op != OP_READ);
    if (over && !is_index(graph, attr->index))
        return defect(v, nowhere, "no index %d", attr->index);
    if (op == OP_CTC && (!is_index(graph, attr->index2) || attr->index2 == attr->index))
        return defect(v, nowhere, "ctc over two indices");
    if (over && op != OP_INDEX && op != OP_HOLD && op != OP_CTC && op != OP_TCONCAT &&
        !(check_bound(v, &attr->low, attr->index) && check_bound(v, &attr->high, attr->index)))
        return false;
    if (op == OP_LENGTH && !is_axis(graph, attr->slot)) return defect(v, nowhere, "no such axis");
    if (op == OP_HOLD && attr->every < 1) return defect(v, nowhere, "every is less than 1");
    bool may_carry = op == OP_READ || op == OP_INDEX || op == OP_HOLD || op == OP_DRAW;
    if (attr->carry < 0 || attr->carry > graph->carries.count || (attr->carry && !may_carry))
        return defect(v, nowhere, "carry %d of %d", attr->carry, graph->carries.count);
    if (attr->mirrored && !over) return defect(v, nowhere, "mirrored without an index");
    if (attr->at_count < 0 || (attr->at_count > 0 && op != OP_READ && op != OP_DRAW))
        return defect(v, nowhere, "positions on an operation that reads none");
    return op != OP_DRAW || check_draw(v, node);
}

/* One position of a READ against the index of the source that it stands for. */
static bool check_at(Verifier *v, const Node *node, const At *at, int index, bool *outside) {
    const Graph *graph = v->graph;
    int axis = axis_of(graph, index);
    bool indexed = at->kind == AT_INDEX || at->kind == AT_SCALE || at->kind == AT_DIV;
    if (indexed && !is_index(graph, at->index)) return defect(v, nowhere, "no index %d", at->index);
    int from = indexed ? axis_of(graph, at->index) : axis;
    switch (at->kind) {
    case AT_INDEX:
        if (from != axis) return defect(v, nowhere, "read at an index of another axis");
        *outside = *outside || at->offset != 0;
        return true;
    case AT_SCALE:
        if (graph->axes.at[from].kind != AXIS_SLOW || graph->axes.at[from].base != axis ||
            graph->axes.at[from].every != at->factor)
            return defect(v, nowhere, "factor %lld is not that of a slower axis",
                          (long long)at->factor);
        *outside = *outside || at->offset != 0;
        return true;
    case AT_DIV:
        if (graph->axes.at[axis].kind != AXIS_SLOW || graph->axes.at[axis].base != from ||
            graph->axes.at[axis].every != at->factor)
            return defect(v, nowhere, "divisor %lld is not that of a slower axis",
                          (long long)at->factor);
        break;
    case AT_FIRST:
    case AT_LAST: break;
    case AT_POINTER: {
        if (at->operand < 2 || at->operand >= node->in_count)
            return defect(v, nowhere, "pointer is operand %d of %d", at->operand, node->in_count);
        const Type *type = &graph->nodes.at[node->in[at->operand]]->type;
        if (type->dtype != DT_INT || type->pointer == PTR_NONE || type->axis != axis ||
            type->shape.rank != 0)
            return defect(v, nowhere, "no pointer into the axis that it reads");
        *outside = *outside || type->pointer == PTR_PAST;
        break;
    }
    case AT_MIRROR: return defect(v, nowhere, "a read at a mirror");
    }
    return at->offset == 0 || defect(v, nowhere, "offset on a position that has none");
}

static bool check_read(Verifier *v, const Node *node) {
    const Node *source = v->graph->nodes.at[node->in[0]];
    bool outside = false;
    if (node->attr.at_count != source->domain_count)
        return defect(v, nowhere, "%d positions for a source over %d indices", node->attr.at_count,
                      source->domain_count);
    for (int i = 0; i < node->attr.at_count; i++)
        if (!check_at(v, node, &node->attr.at[i], source->domain[i], &outside)) return false;
    if (outside && (node->in_count < 2 || node->in[1] < 0))
        return defect(v, nowhere, "a read that can miss has no boundary value");
    return true;
}

static bool check_node(Verifier *v, const Node *node) {
    const char *why = "";
    Type type = node->type;
    int domain[MAX_DOMAIN];
    if (!check_operands(v, node) || !check_attr(v, node)) return false;
    if (node->op == OP_READ && !check_read(v, node)) return false;
    if (!graph_type(v->graph, node->op, node->in_count, node->in, &node->attr, &type, &why))
        return defect(v, nowhere, "%s", why);
    if (!type_equal(type, node->type)) {
        Text text = text_new(v->diags->arena);
        for (int d = 0; d < type.shape.rank; d++)
            text_printf(&text, " %lld", (long long)type.shape.dim[d]);
        return defect(v, nowhere, "type is not that of its operands (dtype %d, bound %lld, dims%s)",
                      (int)type.dtype, (long long)type.bound, text_string(&text));
    }
    int count = graph_domain(v->graph, node->op, node->in_count, node->in, &node->attr, domain);
    if (count < 0) return defect(v, nowhere, "domain of more than %d indices", MAX_DOMAIN);
    if (!subset(count, domain, node->domain_count, node->domain))
        return defect(v, nowhere, "domain lacks an index of its operands");
    /* A variable may be declared over more indices than its value depends on. */
    if (node->op != OP_VAR && count != node->domain_count)
        return defect(v, nowhere, "domain has %d indices, its operands %d", node->domain_count,
                      count);
    return true;
}

static bool check_axes(Verifier *v) {
    const Graph *graph = v->graph;
    for (int i = 0; i < graph->axes.count; i++) {
        const Axis *axis = &graph->axes.at[i];
        if (!axis->name) return defect(v, axis->span, "axis without a name");
        for (int k = 0; k < i; k++)
            if (graph->axes.at[k].name == axis->name)
                return defect(v, axis->span, "axis '%s' twice", axis->name);
        if (axis->kind == AXIS_SLOW && (axis->base < 0 || axis->base >= i || axis->every < 1))
            return defect(v, axis->span, "axis '%s': base or rate", axis->name);
        if (axis->fixed < 0 || axis->most < 0 ||
            (axis->fixed > 0 && axis->most > 0 && axis->fixed > axis->most))
            return defect(v, axis->span, "axis '%s': lengths", axis->name);
    }
    for (int i = 0; i < graph->indices.count; i++) {
        const Index *index = &graph->indices.at[i];
        if (!index->name || !is_axis(graph, index->axis))
            return defect(v, nowhere, "index %d: name or axis", i);
        for (int k = 0; k < i; k++)
            if (graph->indices.at[k].name == index->name)
                return defect(v, nowhere, "index '%s' twice", index->name);
    }
    for (int i = 0; i < graph->carries.count; i++) {
        const GraphCarry *carry = &graph->carries.at[i];
        if (!carry->name || !is_axis(graph, carry->axis))
            return defect(v, nowhere, "carry %d: name or axis", i);
        for (int k = 0; k < i; k++)
            if (graph->carries.at[k].name == carry->name &&
                graph->carries.at[k].axis == carry->axis)
                return defect(v, nowhere, "carry '%s' twice", carry->name);
    }
    return true;
}

static bool check_params(Verifier *v) {
    const Graph *graph = v->graph;
    for (int i = 0; i < graph->params.count; i++) {
        const GraphParam *param = &graph->params.at[i];
        if (!param->name) return defect(v, param->span, "parameter without a name");
        if (!check_shape(v, param->shape, param->span)) return false;
        if (param->initial > INITIAL_UNIFORM) return defect(v, param->span, "no such initialiser");
    }
    return true;
}

/* Parameters can be many: their names go into a table. */
static bool check_param_names(Verifier *v) {
    const Graph *graph = v->graph;
    int count = graph->params.count, room = 1;
    while (room < count * 2) room *= 2;
    Name *seen = ARENA_ARRAY(v->diags->arena, room, Name);
    for (int i = 0; i < count; i++) {
        Name name = graph->params.at[i].name;
        unsigned place = (unsigned)((uintptr_t)name / 16u) & (unsigned)(room - 1);
        for (; seen[place]; place = (place + 1) & (unsigned)(room - 1))
            if (seen[place] == name)
                return defect(v, graph->params.at[i].span, "parameter '%s' twice", name);
        seen[place] = name;
    }
    return true;
}

static bool check_port(Verifier *v, const GraphPort *port) {
    if (!port->name) return defect(v, port->span, "port without a name");
    if (port->of < 0) return defect(v, port->span, "port '%s' of a negative number", port->name);
    return check_type(v, &port->type, port->span) &&
           check_indices(v, port->index_count, port->indices, false, port->span);
}

static bool check_inputs(Verifier *v) {
    const Graph *graph = v->graph;
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        if (!check_port(v, port)) return false;
        for (int k = 0; k < i; k++)
            if (graph->inputs.at[k].name == port->name)
                return defect(v, port->span, "input '%s' twice", port->name);
        if (port->node != -1 &&
            (!is_node(graph, port->node) || graph->nodes.at[port->node]->op != OP_INPUT ||
             graph->nodes.at[port->node]->attr.slot != i))
            return defect(v, port->span, "input '%s' has another node", port->name);
        if (port->blank && (port->blank < 0 || port->type.dtype != DT_INT ||
                            (port->type.bound && port->blank > port->type.bound)))
            return defect(v, port->span, "input '%s' has no such blank", port->name);
        if (port->fallback == -1) continue;
        if (!is_node(graph, port->fallback))
            return defect(v, port->span, "input '%s': default", port->name);
        const Node *value = graph->nodes.at[port->fallback];
        if (value->domain_count > 0 || value->type.dtype != port->type.dtype ||
            (value->type.shape.rank > 0 && !shape_equal(value->type.shape, port->type.shape)))
            return defect(v, port->span, "input '%s': type or domain of the default", port->name);
    }
    return true;
}

static bool check_outputs(Verifier *v) {
    const Graph *graph = v->graph;
    bool *batched = ARENA_ARRAY(graph->arena, graph->nodes.count + 1, bool);
    graph_batched(graph, batched);
    for (int i = 0; i < graph->outputs.count; i++) {
        const GraphPort *port = &graph->outputs.at[i];
        if (!check_port(v, port)) return false;
        for (int k = 0; k < i; k++)
            if (graph->outputs.at[k].name == port->name)
                return defect(v, port->span, "output '%s' twice", port->name);
        if (!is_node(graph, port->node))
            return defect(v, port->span, "output '%s' without a node", port->name);
        if (port->shared && (port->index_count || batched[port->node]))
            return defect(v, port->span, "output '%s' is shared and differs by sequence",
                          port->name);
        const Node *value = graph->nodes.at[port->node];
        if (!type_equal(value->type, port->type))
            return defect(v, port->span, "output '%s' has another type", port->name);
        if (!subset(value->domain_count, value->domain, port->index_count, port->indices))
            return defect(v, port->span, "output '%s' lacks an index of its value", port->name);
    }
    return true;
}

static bool check_ends(Verifier *v) {
    const Graph *graph = v->graph;
    for (int i = 0; i < graph->losses.count; i++) {
        const GraphLoss *loss = &graph->losses.at[i];
        if (!is_node(graph, loss->node) || (loss->per != -1 && !is_node(graph, loss->per)))
            return defect(v, loss->span, "loss without a node");
        const Node *value = graph->nodes.at[loss->node];
        const Node *per = graph->nodes.at[loss->per < 0 ? loss->node : loss->per];
        if (value->type.shape.rank || value->domain_count || value->type.dtype != DT_FLOAT)
            return defect(v, loss->span, "loss is no scalar without time");
        if (per->type.shape.rank || per->domain_count)
            return defect(v, loss->span, "divisor of a loss is no scalar without time");
    }
    for (int i = 0; i < graph->stops.count; i++) {
        const GraphStop *stop = &graph->stops.at[i];
        if (!is_node(graph, stop->node) || !is_axis(graph, stop->axis))
            return defect(v, stop->span, "stop without a node or an axis");
        const Node *value = graph->nodes.at[stop->node];
        if (value->type.shape.rank || value->type.dtype != DT_BOOL || value->domain_count > 1 ||
            (value->domain_count && axis_of(graph, value->domain[0]) != stop->axis))
            return defect(v, stop->span, "stop is no bool over its axis");
    }
    return true;
}

bool graph_verify(const Graph *graph, const char *after, Diags *diags) {
    Verifier v = {.graph = graph, .after = after, .diags = diags};
    if (!check_axes(&v) || !check_params(&v) || !check_param_names(&v)) return false;
    /* Types and domains of all nodes first: the rules of one node look at its operands'. */
    for (int i = 0; i < graph->nodes.count; i++) {
        v.node = graph->nodes.at[i];
        if (v.node->id != i) return defect(&v, nowhere, "stands in place %d", i);
        if ((unsigned)v.node->op >= OP_COUNT) {
            v.node = NULL;
            return defect(&v, nowhere, "node %%%d has no operation", i);
        }
        check_type(&v, &v.node->type, v.node->span);
        check_indices(&v, v.node->domain_count, v.node->domain, true, v.node->span);
    }
    v.node = NULL;
    if (v.defects || !check_inputs(&v)) return false;
    for (int i = 0; i < graph->nodes.count; i++) {
        v.node = graph->nodes.at[i];
        check_node(&v, v.node);
    }
    v.node = NULL;
    return v.defects == 0 && check_outputs(&v) && check_ends(&v);
}
