/* Graphviz text of a Graph: a box a node, an edge an operand; reads of other positions are
 * dashed. */
#include "graph/graph.h"

#include <inttypes.h>

static void put_escaped(Text *out, const char *text) {
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') text_puts(out, "\\");
        text_write(out, text, 1);
    }
}

static void put_box(const Graph *graph, Text *out, const Node *node) {
    static const char *const dtype_text[] = {"f", "int", "bool"};
    text_printf(out, "  n%d [label=\"", node->id);
    if (node->name) {
        put_escaped(out, node->name);
        text_puts(out, " = ");
    }
    text_puts(out, op_info[node->op].text);
    if (node->op == OP_CONST) {
        text_puts(out, " ");
        text_double(out, node->attr.number);
    }
    text_printf(out, "\\n%s[", dtype_text[node->type.dtype]);
    for (int d = 0; d < node->type.shape.rank; d++)
        text_printf(out, "%s%" PRId64, d ? ", " : "", node->type.shape.dim[d]);
    text_puts(out, "]");
    for (int i = 0; i < node->domain_count; i++) {
        text_puts(out, i ? ", " : " at ");
        put_escaped(out, graph->indices.at[node->domain[i]].name);
    }
    text_printf(out, "\"%s];\n", op_info[node->op].class_ == CLASS_LEAF ? ", shape=ellipse" : "");
}

/* "t-1" on the edge of a READ, so that recurrences show their lag. */
static void put_lag(const Graph *graph, Text *out, const Node *node) {
    text_puts(out, " [style=dashed, label=\"");
    for (int i = 0; i < node->attr.at_count; i++) {
        const At *at = &node->attr.at[i];
        if (i) text_puts(out, ", ");
        if (at->kind == AT_SCALE) text_printf(out, "%" PRId64 "*", at->factor);
        if (at->kind == AT_FIRST) text_puts(out, "first");
        else if (at->kind == AT_LAST) text_puts(out, "last");
        else if (at->kind == AT_POINTER) text_puts(out, "pointer");
        else put_escaped(out, graph->indices.at[at->index].name);
        if (at->kind == AT_DIV) text_printf(out, "/%" PRId64, at->factor);
        if (at->offset) text_printf(out, "%+" PRId64, at->offset);
    }
    text_puts(out, "\"]");
}

void graph_dot(const Graph *graph, Text *out) {
    text_puts(out, "digraph \"");
    put_escaped(out, graph->model ? graph->model : "");
    text_puts(out, "\" {\n  node [shape=box, fontname=\"monospace\"];\n");
    for (int i = 0; i < graph->nodes.count; i++) put_box(graph, out, graph->nodes.at[i]);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        for (int k = 0; k < node->in_count; k++) {
            if (node->in[k] < 0) continue;
            text_printf(out, "  n%d -> n%d", node->in[k], i);
            if (node->op == OP_READ && k == 0) put_lag(graph, out, node);
            text_puts(out, ";\n");
        }
    }
    for (int i = 0; i < graph->outputs.count; i++) {
        text_printf(out, "  o%d [shape=plaintext, label=\"", i);
        put_escaped(out, graph->outputs.at[i].name);
        text_printf(out, "\"];\n  n%d -> o%d;\n", graph->outputs.at[i].node, i);
    }
    text_puts(out, "}\n");
}
