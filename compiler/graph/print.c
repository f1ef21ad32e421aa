/* The text form of a Graph: a header of axes, indices, ports and parameters, then one line a node,
 * then what leaves the graph. parse.c reads it back; the grammar stands at its head. */
#include "graph/graph.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const char *const mode_text[] = {"infer", "eval", "train"};
const char *graph_draw_text(DrawKind draw) {
    static const char *const words[] = {"normal", "uniform", "bernoulli", "categorical"};
    return words[draw];
}
static const char *const initial_text[] = {"values",     "glorot", "he",
                                           "orthogonal", "normal", "uniform"};

/* Bare when it reads back as one name; words that mean a place on an axis are always quoted. */
static bool bare(const char *name) {
    if (!isalpha((unsigned char)name[0]) && name[0] != '_') return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.') return false;
    return strcmp(name, "first") != 0 && strcmp(name, "last") != 0 && strcmp(name, "len") != 0;
}

static void put_name(Text *out, Name name) {
    if (name && bare(name)) {
        text_puts(out, name);
        return;
    }
    text_puts(out, "\"");
    for (const char *c = name ? name : ""; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_printf(out, "\\%c", *c);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            text_printf(out, "\\x%02x", (unsigned char)*c);
        else
            text_write(out, c, 1);
    }
    text_puts(out, "\"");
}

static void put_index(const Graph *graph, Text *out, int index) {
    if (index < 0 || index >= graph->indices.count)
        text_printf(out, "?%d", index);
    else
        put_name(out, graph->indices.at[index].name);
}

static void put_axis(const Graph *graph, Text *out, int axis) {
    if (axis < 0 || axis >= graph->axes.count)
        text_printf(out, "?%d", axis);
    else
        put_name(out, graph->axes.at[axis].name);
}

static void put_indices(const Graph *graph, Text *out, int count, const int *indices) {
    if (count <= 0) return;
    text_puts(out, "[");
    for (int i = 0; i < count && i < MAX_DOMAIN; i++) {
        if (i) text_puts(out, ", ");
        put_index(graph, out, indices[i]);
    }
    text_puts(out, "]");
}

static void put_type(const Graph *graph, Text *out, const Type *type) {
    if (type->dtype == DT_FLOAT) {
        text_puts(out, "f");
    } else if (type->dtype == DT_BOOL) {
        text_puts(out, "bool");
    } else if (type->pointer != PTR_NONE) {
        text_puts(out, type->pointer == PTR_PAST ? "past(" : "pos(");
        put_axis(graph, out, type->axis);
        text_puts(out, ")");
    } else if (type->bound) {
        text_printf(out, "int(%" PRId64 ")", type->bound);
    } else {
        text_puts(out, "int");
    }
    text_puts(out, "[");
    for (int d = 0; d < type->shape.rank && d < MAX_RANK; d++)
        text_printf(out, "%s%" PRId64, d ? ", " : "", type->shape.dim[d]);
    text_puts(out, "]");
}

static void put_offset(Text *out, int64_t offset) {
    if (offset) text_printf(out, "%+" PRId64, offset);
}

static void put_at(const Graph *graph, Text *out, const Node *node, const At *at) {
    switch (at->kind) {
    case AT_SCALE:
        text_printf(out, "%" PRId64 "*", at->factor);
        put_index(graph, out, at->index);
        break;
    case AT_DIV:
        put_index(graph, out, at->index);
        text_printf(out, "/%" PRId64, at->factor);
        break;
    case AT_MIRROR:
        text_puts(out, "~");
        put_index(graph, out, at->index);
        break;
    case AT_INDEX: put_index(graph, out, at->index); break;
    case AT_FIRST: text_puts(out, "first"); break;
    case AT_LAST: text_puts(out, "last"); break;
    case AT_POINTER:
        text_printf(out, "%%%d",
                    at->operand >= 0 && at->operand < node->in_count ? node->in[at->operand] : -1);
        break;
    }
    put_offset(out, at->offset);
}

static void put_ats(const Graph *graph, Text *out, const Node *node) {
    text_puts(out, " [");
    for (int i = 0; i < node->attr.at_count; i++) {
        if (i) text_puts(out, ", ");
        put_at(graph, out, node, &node->attr.at[i]);
    }
    text_puts(out, "]");
}

static void put_bound(const Graph *graph, Text *out, const Bound *bound) {
    switch (bound->kind) {
    case BOUND_NONE: break;
    case BOUND_INDEX:
        put_index(graph, out, bound->index);
        put_offset(out, bound->offset);
        break;
    case BOUND_FIRST: text_printf(out, "%" PRId64, bound->offset); break;
    case BOUND_LAST:
        text_puts(out, "len");
        put_offset(out, bound->offset);
        break;
    }
}

static void put_numbers(Text *out, const char *word, const int64_t *number, int count) {
    text_printf(out, " %s [", word);
    for (int d = 0; d < count && d < MAX_RANK; d++)
        text_printf(out, "%s%" PRId64, d ? ", " : "", number[d]);
    text_puts(out, "]");
}

static void put_slice(const Graph *graph, Text *out, const Node *node) {
    const Attr *attr = &node->attr;
    int rank = graph->nodes.at[node->in[0]]->type.shape.rank;
    text_puts(out, " [");
    for (int d = 0; d < rank && d < MAX_RANK; d++) {
        text_printf(out, "%s%" PRId64, d ? ", " : "", attr->dims[d]);
        if (!(attr->drop >> d & 1u)) text_printf(out, ":%" PRId64, attr->ends[d]);
    }
    text_puts(out, "]");
}

static void put_slot(const Graph *graph, Text *out, const Node *node) {
    int slot = node->attr.slot;
    text_puts(out, " ");
    if ((node->op == OP_INPUT || node->op == OP_GIVEN) && slot >= 0 && slot < graph->inputs.count)
        put_name(out, graph->inputs.at[slot].name);
    else if (node->op == OP_PARAM && slot >= 0 && slot < graph->params.count)
        put_name(out, graph->params.at[slot].name);
    else if (node->op == OP_LENGTH)
        put_axis(graph, out, slot);
    else
        text_printf(out, "?%d", slot);
}

/* What of `attr` the operation reads, behind its operands. */
static void put_attr(const Graph *graph, Text *out, const Node *node) {
    const Attr *attr = &node->attr;
    int spatial = node->type.shape.rank - 1;
    OpClass class_ = op_info[node->op].class_;
    if (node->op == OP_INPUT || node->op == OP_GIVEN || node->op == OP_PARAM ||
        node->op == OP_LENGTH)
        put_slot(graph, out, node);
    if (node->op == OP_CONST) {
        text_puts(out, " ");
        text_double(out, attr->number);
    }
    if (node->op == OP_DRAW) {
        text_printf(out, " %s ", graph_draw_text(attr->draw));
        put_name(out, attr->site);
        put_ats(graph, out, node);
    }
    if (node->op == OP_INDEX) {
        text_puts(out, " ");
        put_index(graph, out, attr->index);
    }
    if (class_ == CLASS_TIME && node->op != OP_READ) {
        text_puts(out, " over ");
        put_index(graph, out, attr->index);
        if (node->op == OP_CTC) {
            text_puts(out, ", ");
            put_index(graph, out, attr->index2);
            text_printf(out, " blank %d", attr->slot);
        }
        if (attr->low.kind != BOUND_NONE || attr->high.kind != BOUND_NONE) {
            text_puts(out, " [");
            put_bound(graph, out, &attr->low);
            text_puts(out, ", ");
            put_bound(graph, out, &attr->high);
            text_puts(out, ")");
        }
        if (node->op == OP_HOLD) text_printf(out, " every %" PRId64, attr->every);
    }
    if (node->op == OP_CONV) {
        put_numbers(out, "strides", attr->dims, spatial);
        put_numbers(out, "pads", attr->pads, spatial);
    }
    if (node->op == OP_MAXPOOL || node->op == OP_AVGPOOL)
        put_numbers(out, "window", attr->dims, spatial);
    if (node->op == OP_SLICE) put_slice(graph, out, node);
    if ((node->op == OP_SUM || node->op == OP_MEAN || node->op == OP_RMAX || node->op == OP_RMIN) &&
        attr->dim >= 0)
        text_printf(out, " dim %d", attr->dim);
    if (attr->mirrored) text_puts(out, " mirrored");
    if (attr->carry > 0) {
        text_puts(out, " carry ");
        if (attr->carry <= graph->carries.count) {
            put_name(out, graph->carries.at[attr->carry - 1].name);
            text_puts(out, " in ");
            put_axis(graph, out, graph->carries.at[attr->carry - 1].axis);
        } else {
            text_printf(out, "?%d", attr->carry);
        }
    }
}

static void put_node(const Graph *graph, Text *out, const Node *node) {
    text_printf(out, "%%%d", node->id);
    if (node->name || node->domain_count > 0) text_puts(out, " ");
    if (node->name) put_name(out, node->name);
    put_indices(graph, out, node->domain_count, node->domain);
    text_puts(out, ": ");
    put_type(graph, out, &node->type);
    text_printf(out, " = %s", op_info[node->op].text);
    if (node->op == OP_READ) {
        text_printf(out, " %%%d", node->in[0]);
        put_ats(graph, out, node);
        if (node->in_count > 1 && node->in[1] >= 0) text_printf(out, " else %%%d", node->in[1]);
    } else {
        for (int i = 0; i < node->in_count; i++)
            text_printf(out, "%s%%%d", i ? ", " : " ", node->in[i]);
    }
    put_attr(graph, out, node);
    text_puts(out, "\n");
}

const char *graph_port_word(PortKind kind) {
    switch (kind) {
    case PORT_MODEL: return "";
    case PORT_UPSTREAM: return "output";
    case PORT_PARAM_GRAD: return "param";
    case PORT_INPUT_GRAD: return "input";
    case PORT_LOSS: return "loss";
    case PORT_PER: return "per";
    case PORT_ROW: return "row";
    case PORT_TOTAL: return "total";
    case PORT_LENGTH: return "length";
    case PORT_OUTPUT: return "model";
    }
    return "";
}

static void put_port(const Graph *graph, Text *out, const char *word, const GraphPort *port) {
    text_printf(out, "%s ", word);
    put_name(out, port->name);
    put_indices(graph, out, port->index_count, port->indices);
    text_puts(out, ": ");
    put_type(graph, out, &port->type);
    if (port->node >= 0) text_printf(out, " = %%%d", port->node);
    if (port->fallback >= 0) text_printf(out, " default %%%d", port->fallback);
    if (port->blank) text_printf(out, " blank %d", port->blank - 1);
    if (port->shared) text_puts(out, " shared");
    if (port->kind != PORT_MODEL)
        text_printf(out, " of %s %d", graph_port_word(port->kind), port->of);
    text_puts(out, "\n");
}

static void put_param(const Graph *graph, Text *out, const GraphParam *param) {
    Type type = {.shape = param->shape};
    text_puts(out, "param ");
    put_name(out, param->name);
    text_puts(out, ": ");
    put_type(graph, out, &type);
    if (param->initial != INITIAL_VALUES) {
        text_printf(out, " ~ %s", initial_text[param->initial]);
        if (param->initial == INITIAL_NORMAL || param->initial == INITIAL_UNIFORM) {
            text_puts(out, " ");
            text_double(out, param->a);
        }
        if (param->initial == INITIAL_UNIFORM) {
            text_puts(out, " ");
            text_double(out, param->b);
        }
    } else if (!param->values) {
        text_puts(out, " = ");
        text_double(out, param->a);
    } else {
        int64_t count = shape_count(param->shape);
        text_puts(out, " = [");
        for (int64_t i = 0; i < count; i++) {
            if (i) text_puts(out, ", ");
            text_double(out, param->values[i]);
        }
        text_puts(out, "]");
    }
    text_puts(out, param->frozen ? " frozen\n" : "\n");
}

static void put_axis_line(const Graph *graph, Text *out, const Axis *axis) {
    text_puts(out, "axis ");
    put_name(out, axis->name);
    if (axis->kind == AXIS_SLOW) {
        text_puts(out, " slow ");
        put_axis(graph, out, axis->base);
        text_printf(out, " every %" PRId64, axis->every);
    } else {
        text_puts(out, " run");
    }
    if (axis->fixed) text_printf(out, " fixed %" PRId64, axis->fixed);
    if (axis->most) text_printf(out, " most %" PRId64, axis->most);
    text_puts(out, axis->generated ? " generated\n" : "\n");
}

void graph_print(const Graph *graph, Text *out) {
    text_puts(out, "graph ");
    put_name(out, graph->model);
    text_printf(out, " %s\n", mode_text[graph->mode]);
    for (int i = 0; i < graph->axes.count; i++) put_axis_line(graph, out, &graph->axes.at[i]);
    for (int i = 0; i < graph->indices.count; i++) {
        text_puts(out, "index ");
        put_name(out, graph->indices.at[i].name);
        text_puts(out, " in ");
        put_axis(graph, out, graph->indices.at[i].axis);
        text_puts(out, "\n");
    }
    for (int i = 0; i < graph->inputs.count; i++)
        put_port(graph, out, "input", &graph->inputs.at[i]);
    for (int i = 0; i < graph->params.count; i++) put_param(graph, out, &graph->params.at[i]);
    for (int i = 0; i < graph->carries.count; i++) {
        text_puts(out, "carry ");
        put_name(out, graph->carries.at[i].name);
        text_puts(out, " in ");
        put_axis(graph, out, graph->carries.at[i].axis);
        text_puts(out, "\n");
    }
    for (int i = 0; i < graph->nodes.count; i++) put_node(graph, out, graph->nodes.at[i]);
    for (int i = 0; i < graph->outputs.count; i++)
        put_port(graph, out, "output", &graph->outputs.at[i]);
    for (int i = 0; i < graph->losses.count; i++) {
        text_printf(out, "loss %%%d", graph->losses.at[i].node);
        if (graph->losses.at[i].per >= 0) text_printf(out, " per %%%d", graph->losses.at[i].per);
        text_puts(out, "\n");
    }
    for (int i = 0; i < graph->stops.count; i++) {
        text_puts(out, "stop ");
        put_axis(graph, out, graph->stops.at[i].axis);
        text_printf(out, " when %%%d\n", graph->stops.at[i].node);
    }
}
