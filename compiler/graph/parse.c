/* Reads the text form of a Graph. No recursion, one line at a time; an error skips to the end
 * of its line. Names of axes, indices, ports, parameters and carries are declared before their use,
 * nodes (%7) may be used before they come. What is checked here is what keeps readers of the arrays
 * safe: every number refers to something. All else is for graph_verify.
 *
 *   graph NAME infer|eval|train
 *   axis NAME run|slow AXIS every N [fixed N] [most N] [generated]
 *   index NAME in AXIS
 *   input NAME[t, …]: TYPE [= %n] [default %n]          output the same
 *   param NAME: f[…] = X | = [X, …] | ~ INITIAL [X [X]] [frozen]
 *   carry NAME in AXIS
 *   %n [NAME][[t, …]]: TYPE = OP operands attributes    see print.c for the attributes of each
 *   loss %n [per %n]        stop AXIS when %n            # comment */
#include "graph/reader.h"

#include <string.h>

static void parse_graph_line(Reader *p) {
    static const char *const modes[] = {"infer", "eval", "train"};
    p->graph->model = reader_name(p);
    p->graph->mode = (Mode)reader_choice(p, modes, 3, "expected infer, eval or train");
}

static void parse_axis_line(Reader *p) {
    Axis axis = {.name = reader_name(p)};
    if (reader_accept_word(p, "slow")) {
        axis.kind = AXIS_SLOW;
        axis.base = reader_axis(p);
        reader_expect_word(p, "every");
        axis.every = reader_int(p);
    } else {
        reader_expect_word(p, "run");
    }
    if (reader_accept_word(p, "fixed")) axis.fixed = reader_int(p);
    if (reader_accept_word(p, "most")) axis.most = reader_int(p);
    axis.generated = reader_accept_word(p, "generated");
    if (axis.fixed < 0 || axis.most < 0) reader_fail(p, "negative length");
    if (!p->failed) vec_push(p->arena, &p->graph->axes, axis);
}

static void parse_index_line(Reader *p) {
    Index index = {.name = reader_name(p)};
    reader_expect_word(p, "in");
    index.axis = reader_axis(p);
    if (!p->failed) vec_push(p->arena, &p->graph->indices, index);
}

static GraphPort parse_port(Reader *p) {
    GraphPort port = {.node = -1, .fallback = -1};
    port.name = reader_name(p);
    port.index_count = reader_indices(p, port.indices);
    reader_expect(p, ':');
    port.type = reader_type(p);
    if (!p->failed && reader_accept(p, '=')) port.node = reader_node(p);
    if (reader_accept_word(p, "default")) port.fallback = reader_node(p);
    if (reader_accept_word(p, "blank")) port.blank = 1 + reader_small(p);
    if (port.blank < 0) port.blank = 0; /* too large: no label has that number */
    port.shared = reader_accept_word(p, "shared");
    if (!reader_accept_word(p, "of")) return port;
    for (int kind = PORT_UPSTREAM; kind <= PORT_OUTPUT && port.kind == PORT_MODEL; kind++)
        if (reader_accept_word(p, graph_port_word((PortKind)kind))) port.kind = (PortKind)kind;
    if (port.kind == PORT_MODEL) reader_fail(p, "what the port is of");
    port.of = reader_small(p);
    return port;
}

static void parse_values(Reader *p, GraphParam *param) {
    VEC(double) values = {0};
    do {
        double value = reader_double(p);
        if (p->failed) return;
        vec_push(p->arena, &values, value);
    } while (reader_accept(p, ','));
    reader_expect(p, ']');
    if (values.count != shape_count(param->shape)) reader_fail(p, "number of values");
    param->values = values.at;
}

static void parse_param_line(Reader *p) {
    static const char *const initials[] = {"values", "glorot", "he", "orthogonal", "normal",
                                           "uniform"};
    GraphParam param = {.name = reader_name(p)};
    reader_expect(p, ':');
    param.shape = reader_type(p).shape;
    if (!p->failed && reader_accept(p, '~')) {
        param.initial = (InitialKind)reader_choice(p, initials, 6, "expected an initialiser");
        if (param.initial == INITIAL_NORMAL || param.initial == INITIAL_UNIFORM)
            param.a = reader_double(p);
        if (param.initial == INITIAL_UNIFORM) param.b = reader_double(p);
    } else {
        reader_expect(p, '=');
        if (!p->failed && reader_accept(p, '[')) parse_values(p, &param);
        else param.a = reader_double(p);
    }
    param.frozen = reader_accept_word(p, "frozen");
    if (!p->failed) vec_push(p->arena, &p->graph->params, param);
}

static void parse_carry_line(Reader *p) {
    GraphCarry carry = {.name = reader_name(p)};
    reader_expect_word(p, "in");
    carry.axis = reader_axis(p);
    if (!p->failed) vec_push(p->arena, &p->graph->carries, carry);
}

static void parse_loss_line(Reader *p, uint32_t begin) {
    GraphLoss loss = {.node = reader_node(p), .per = -1};
    if (reader_accept_word(p, "per")) loss.per = reader_node(p);
    loss.span = (Span){p->source, begin, p->last, NULL};
    if (!p->failed) vec_push(p->arena, &p->graph->losses, loss);
}

static void parse_stop_line(Reader *p, uint32_t begin) {
    GraphStop stop = {.axis = reader_axis(p)};
    reader_expect_word(p, "when");
    stop.node = reader_node(p);
    stop.span = (Span){p->source, begin, p->last, NULL};
    if (!p->failed) vec_push(p->arena, &p->graph->stops, stop);
}

static void parse_line(Reader *p) {
    uint32_t begin = p->at;
    if (reader_peek(p) == '%') reader_node_line(p);
    else if (reader_accept_word(p, "graph")) parse_graph_line(p);
    else if (reader_accept_word(p, "axis")) parse_axis_line(p);
    else if (reader_accept_word(p, "index")) parse_index_line(p);
    else if (reader_accept_word(p, "param")) parse_param_line(p);
    else if (reader_accept_word(p, "carry")) parse_carry_line(p);
    else if (reader_accept_word(p, "loss")) parse_loss_line(p, begin);
    else if (reader_accept_word(p, "stop")) parse_stop_line(p, begin);
    else if (reader_accept_word(p, "input")) {
        GraphPort port = parse_port(p);
        port.span = (Span){p->source, begin, p->last, NULL};
        if (!p->failed) vec_push(p->arena, &p->graph->inputs, port);
    } else if (reader_accept_word(p, "output")) {
        GraphPort port = parse_port(p);
        port.span = (Span){p->source, begin, p->last, NULL};
        if (!p->failed) vec_push(p->arena, &p->graph->outputs, port);
    } else {
        reader_fail(p, "expected a line of a graph");
    }
    if (!p->failed && !reader_at_end(p)) reader_fail(p, "expected the end of the line");
    const char *text = p->source->text;
    while (p->at < p->source->length && text[p->at] != '\n') p->at++;
}

static void check_node(Reader *p, int id, bool optional, Span span) {
    if (id == -1 && optional) return;
    if (id < 0 || id >= p->graph->nodes.count)
        diag_error(p->diags, "E-SYNTAX", span, "there is no node %%%d", id);
}

/* References to nodes may look ahead, so they are checked when all are there. */
static void check_references(Reader *p) {
    const Graph *graph = p->graph;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        for (int k = 0; k < node->in_count; k++)
            check_node(p, node->in[k], node->op == OP_READ && k == 1, node->span);
    }
    for (int i = 0; i < graph->inputs.count; i++) {
        check_node(p, graph->inputs.at[i].node, true, graph->inputs.at[i].span);
        check_node(p, graph->inputs.at[i].fallback, true, graph->inputs.at[i].span);
    }
    for (int i = 0; i < graph->outputs.count; i++) {
        check_node(p, graph->outputs.at[i].node, false, graph->outputs.at[i].span);
        check_node(p, graph->outputs.at[i].fallback, true, graph->outputs.at[i].span);
    }
    for (int i = 0; i < graph->losses.count; i++) {
        check_node(p, graph->losses.at[i].node, false, graph->losses.at[i].span);
        check_node(p, graph->losses.at[i].per, true, graph->losses.at[i].span);
    }
    for (int i = 0; i < graph->stops.count; i++)
        check_node(p, graph->stops.at[i].node, false, graph->stops.at[i].span);
}

Graph *graph_parse(Arena *arena, Names *names, const Source *source, Diags *diags) {
    Reader reader = {.arena = arena, .names = names, .source = source, .diags = diags};
    int errors = diags->errors;
    reader.graph = graph_new(arena, names, NULL, MODE_INFER);
    while (reader.at < source->length && !diags->full) {
        reader.failed = false;
        if (!reader_at_end(&reader)) parse_line(&reader);
        if (reader.at < source->length) reader.at++;
    }
    if (!reader.graph->model && diags->errors == errors)
        diag_error(diags, "E-SYNTAX", reader_spot(&reader, 0), "no line 'graph NAME MODE'");
    if (diags->errors == errors) check_references(&reader);
    return diags->errors == errors ? reader.graph : NULL;
}
