/* Cutting: which values stand before, inside of, and behind the chunks, and the three graphs. */
#include "adjoint/cut.h"

#include <string.h>

#include "passes/rewrite.h"

/* STILL: the same in all chunks. INSIDE: over time. BEHIND: made from sums over time. */
typedef enum Part { STILL, INSIDE, BEHIND } Part;

/* The rows of one value with one boundary value. */
typedef struct Kept {
    int source, boundary;
    int lags;
    int first; /* number of its row at lag 1 */
} Kept;

typedef struct Total {
    int node; /* TSUM over time, or a READ of the first or last position */
} Total;

typedef struct Cutter {
    const Graph *graph;
    Arena *arena;
    Cut *cut;
    Part *part; /* by node */
    VEC(Kept) kept;
    VEC(Total) totals;
    const char *why;
    const Node *where;
} Cutter;

static bool refuse(Cutter *c, const Node *node, const char *why) {
    if (!c->why) {
        c->why = why;
        c->where = node;
    }
    return false;
}

static const Node *node_at(const Cutter *c, int id) {
    return c->graph->nodes.at[id];
}

static bool over_time(const Cutter *c, const Node *node) {
    return node->domain_count > 0 && c->graph->indices.at[node->domain[0]].axis == c->cut->axis;
}

/* A sum over all positions, or the value at the first or last one. */
static bool is_total(const Cutter *c, const Node *node) {
    if (node->domain_count) return false;
    if (node->op == OP_TSUM) return c->graph->indices.at[node->attr.index].axis == c->cut->axis;
    return node->op == OP_READ && over_time(c, node_at(c, node->in[0]));
}

static bool find_parts(Cutter *c) {
    const Graph *graph = c->graph;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < graph->nodes.count; i++) {
            const Node *node = node_at(c, i);
            Part part = over_time(c, node) ? INSIDE : STILL;
            for (int k = 0; k < node->in_count; k++) {
                if (node->in[k] < 0) continue;
                if (c->part[node->in[k]] != STILL && part == STILL) part = BEHIND;
            }
            if (is_total(c, node)) part = BEHIND;
            changed = changed || part != c->part[i];
            c->part[i] = part;
        }
    }
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = node_at(c, i);
        for (int k = 0; k < node->in_count; k++)
            if (node->in[k] >= 0 && c->part[i] == INSIDE && c->part[node->in[k]] == BEHIND)
                return refuse(c, node, "needs all of the sequence inside of it");
        if (c->part[i] == INSIDE && node->domain_count > 1)
            return refuse(c, node, "is over two indices");
    }
    return true;
}

static void keep_rows(Cutter *c, const Node *read, int lag) {
    int i = 0, boundary = read->in[1];
    while (i < c->kept.count &&
           (c->kept.at[i].source != read->in[0] || c->kept.at[i].boundary != boundary))
        i++;
    if (i == c->kept.count) vec_push(c->arena, &c->kept, (Kept){read->in[0], boundary, 0, 0});
    if (c->kept.at[i].lags < lag) c->kept.at[i].lags = lag;
    if (c->cut->longest_lag < lag) c->cut->longest_lag = lag;
}

static bool check_read(Cutter *c, const Node *node) {
    const Node *source = node_at(c, node->in[0]);
    if (!over_time(c, source)) return true;
    const At *at = &node->attr.at[0];
    if (node->attr.carry) return refuse(c, node, "is carried from call to call");
    if (!node->domain_count) {
        if (at->kind != AT_FIRST && at->kind != AT_LAST)
            return refuse(c, node, "reads at a position that only the run knows");
        return source->type.dtype == DT_FLOAT || refuse(c, node, "reads an end that is no number");
    }
    if (at->kind != AT_INDEX) return refuse(c, node, "reads other positions than earlier ones");
    if (at->offset > 0) return refuse(c, node, "reads ahead");
    if (at->offset == 0) return true;
    if (at->offset < -64) return refuse(c, node, "reads back more than 64 positions");
    if (source->type.dtype != DT_FLOAT) return refuse(c, node, "reads back what is no number");
    if (node->in_count < 2 || node->in[1] < 0 || node_at(c, node->in[1])->domain_count)
        return refuse(c, node, "has a boundary value that depends on the position");
    keep_rows(c, node, (int)-at->offset);
    return true;
}

static bool check_node(Cutter *c, const Node *node) {
    if (node->attr.mirrored) return refuse(c, node, "is inside of a reverse");
    switch (op_info[node->op].class_) {
    case CLASS_TIME:
        if (node->op == OP_READ) return check_read(c, node);
        if (node->op == OP_HOLD) return true;
        if (node->op != OP_TSUM) return refuse(c, node, "is a reduction over time that is no sum");
        if (node->attr.low.kind != BOUND_NONE || node->attr.high.kind != BOUND_NONE)
            return refuse(c, node, "is a sum over a part of the positions");
        return true;
    case CLASS_LEAF:
        for (int k = 0; node->op == OP_DRAW && k < node->attr.at_count; k++)
            if (node->attr.at[k].kind == AT_MIRROR)
                return refuse(c, node, "is inside of a reverse");
        return true;
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_SELECTION:
    case CLASS_TENSOR:
    case CLASS_LOSS: return true;
    }
    return true;
}

static bool check_graph(Cutter *c) {
    const Graph *graph = c->graph;
    if (graph->axes.count != 1 || graph->axes.at[0].generated || graph->stops.count) {
        c->why = "it has more than one axis, or one that it ends itself";
        return false;
    }
    if (graph->carries.count) {
        c->why = "it carries a state, and so is cut already";
        return false;
    }
    if (!find_parts(c)) return false;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = node_at(c, i);
        if (!check_node(c, node)) return false;
        if (!is_total(c, node)) continue;
        if (node->type.dtype != DT_FLOAT && (node->type.dtype != DT_INT || node->type.shape.rank))
            return refuse(c, node, "is a sum over time of what is no number");
        vec_push(c->arena, &c->totals, (Total){i});
        vec_push(c->arena, &c->cut->totals, node->type);
    }
    for (int i = 0; i < c->kept.count; i++) {
        Kept *kept = &c->kept.at[i];
        kept->first = c->cut->rows.count;
        for (int lag = 1; lag <= kept->lags; lag++)
            vec_push(c->arena, &c->cut->rows, (CutRow){lag, node_at(c, kept->source)->type});
    }
    return true;
}

/* --- the three graphs ----------------------------------------------------------------------------
 */

typedef struct Piece {
    Rewrite rewrite;
    Graph *graph;
    Arena *arena;
    int index; /* of the chunk's time */
    Span span;
} Piece;

static Piece begin(const Graph *from) {
    Piece p = {.rewrite = rewrite_begin(from), .arena = from->arena};
    p.graph = p.rewrite.graph;
    size_t size = (size_t)from->inputs.count * sizeof *from->inputs.at;
    if (size) p.graph->inputs.at = arena_copy(p.arena, from->inputs.at, size);
    p.graph->inputs.room = p.graph->inputs.count;
    size = (size_t)from->indices.count * sizeof *from->indices.at;
    if (size) p.graph->indices.at = arena_copy(p.arena, from->indices.at, size);
    p.graph->indices.room = p.graph->indices.count;
    memset(&p.graph->outputs, 0, sizeof p.graph->outputs);
    return p;
}

static int op(Piece *p, Op op, int a, int b, int c) {
    int in[3] = {a, b, c};
    return rewrite_node(&p->rewrite, op, c >= 0 ? 3 : b >= 0 ? 2 : 1, in, NULL, p->span);
}

static int number(Piece *p, double value, DType dtype) {
    int id = graph_const(p->graph, value, dtype, (Shape){0}, p->span);
    vec_push(p->arena, &p->rewrite.as, id);
    return id;
}

static Name port_name(Piece *p, PortKind kind, int of) {
    return name_of(p->graph->names, arena_printf(p->arena, "%s.%d", graph_port_word(kind), of));
}

static int input(Piece *p, PortKind kind, int of, Type type) {
    type.bound = 0;
    GraphPort port = {.name = port_name(p, kind, of),
                      .type = type,
                      .kind = kind,
                      .of = of,
                      .fallback = -1,
                      .span = p->span};
    Attr attr = {.slot = p->graph->inputs.count};
    vec_push(p->arena, &p->graph->inputs, port);
    int id = rewrite_node(&p->rewrite, OP_INPUT, 0, NULL, &attr, p->span);
    p->graph->inputs.at[attr.slot].node = id;
    return id;
}

static void output(Piece *p, PortKind kind, int of, int node, const GraphPort *like) {
    GraphPort port = {.fallback = -1};
    if (like) port = *like;
    port.name = port_name(p, kind, of);
    port.type = p->graph->nodes.at[node]->type;
    port.kind = kind;
    port.of = of;
    port.node = node;
    vec_push(p->arena, &p->graph->outputs, port);
}

static Graph *end(Piece *p) {
    return rewrite_end(&p->rewrite, true);
}

static int spread(Piece *p, int x, Shape shape) {
    const Node *node = p->graph->nodes.at[x];
    if (shape_equal(node->type.shape, shape)) return x;
    Type type = node->type;
    type.shape = shape;
    int id = graph_add(p->graph, OP_BROADCAST, type, node->domain_count, node->domain, 1, &x, NULL,
                       p->span);
    vec_push(p->arena, &p->rewrite.as, id);
    return id;
}

static Graph *make_before(Cutter *c) {
    Piece p = begin(c->graph);
    memset(&p.graph->losses, 0, sizeof p.graph->losses);
    for (int i = 0; i < c->kept.count; i++) {
        const Kept *kept = &c->kept.at[i];
        p.span = node_at(c, kept->source)->span;
        int value = spread(&p, kept->boundary, node_at(c, kept->source)->type.shape);
        for (int lag = 1; lag <= kept->lags; lag++)
            output(&p, PORT_ROW, kept->first + lag - 1, value, NULL);
    }
    return end(&p);
}

/* The position in the chunk, or with `whole` in the sequence. */
static int position(Piece *p, int index, bool whole) {
    Attr attr = {.index = index, .carry = whole};
    return rewrite_node(&p->rewrite, OP_INDEX, 0, NULL, &attr, p->span);
}

static int sum(Piece *p, int x, int index) {
    Attr attr = {.index = index};
    return rewrite_node(&p->rewrite, OP_TSUM, 1, &x, &attr, p->span);
}

/* The value at the positions of `mask` alone, summed over the chunk. */
static int pick(Piece *p, int x, int index, int mask) {
    const Node *node = p->graph->nodes.at[x];
    Shape shape = node->type.shape;
    int zero = number(p, 0, DT_FLOAT);
    if (shape.rank) {
        zero = spread(p, zero, shape);
        mask = spread(p, mask, shape);
    }
    return sum(p, op(p, OP_SELECT, mask, x, zero), index);
}

/* A READ at a lag. The first positions of a chunk find rows before it: row lag - t. What a boundary
 * stands for may not depend on the time that is read, so with several of them it is a choice. */
static void read_back(Piece *p, int read, const int *rows) {
    Node *node = p->graph->nodes.at[read];
    int lag = (int)-node->attr.at[0].offset, index = node->attr.at[0].index;
    int value = rows[lag - 1], in[2] = {node->in[0], node->in[1]};
    Shape shape = p->graph->nodes.at[value]->type.shape;
    if (lag == 1) {
        node->in[1] = value;
        return;
    }
    Attr attr = node->attr;
    in[1] = spread(p, number(p, 0, DT_FLOAT), shape);
    int inside = rewrite_node(&p->rewrite, OP_READ, 2, in, &attr, p->span);
    int at = position(p, index, false);
    for (int t = 1; t < lag; t++) {
        int here = op(p, OP_EQ, at, number(p, t, DT_INT), -1);
        value = op(p, OP_SELECT, spread(p, here, shape), rows[lag - 1 - t], value);
    }
    int before = op(p, OP_LT, at, number(p, lag, DT_INT), -1);
    rewrite_replace(&p->rewrite, read, op(p, OP_SELECT, spread(p, before, shape), value, inside));
}

static const Kept *kept_of(const Cutter *c, const Node *read, int *number) {
    for (*number = 0; *number < c->kept.count; ++*number)
        if (c->kept.at[*number].source == read->in[0] && read->in_count > 1 &&
            c->kept.at[*number].boundary == read->in[1])
            return &c->kept.at[*number];
    return NULL;
}

static Graph *make_chunk(Cutter *c) {
    const Graph *graph = c->graph;
    Piece p = begin(graph);
    int count = graph->nodes.count, number_;
    memset(&p.graph->losses, 0, sizeof p.graph->losses);
    memset(&p.graph->carries, 0, sizeof p.graph->carries);
    p.graph->axes.at =
        arena_copy(p.arena, graph->axes.at, (size_t)graph->axes.count * sizeof *graph->axes.at);
    p.graph->axes.at[c->cut->axis].fixed = 0; /* chunks are as long as they are */
    vec_push(p.arena, &p.graph->carries, (GraphCarry){name_of(p.graph->names, ""), c->cut->axis});
    int **rows = ARENA_ARRAY(p.arena, c->kept.count + 1, int *);
    for (int i = 0; i < c->kept.count; i++) {
        const Kept *kept = &c->kept.at[i];
        p.span = node_at(c, kept->source)->span;
        rows[i] = ARENA_ARRAY(p.arena, kept->lags, int);
        for (int lag = 1; lag <= kept->lags; lag++)
            rows[i][lag - 1] =
                input(&p, PORT_ROW, kept->first + lag - 1, node_at(c, kept->source)->type);
    }
    int whole = input(&p, PORT_LENGTH, 0, (Type){.dtype = DT_INT});
    for (int i = 0; i < count; i++) {
        Node *node = p.graph->nodes.at[i];
        p.span = node->span;
        if (node->op == OP_LENGTH) rewrite_replace(&p.rewrite, i, whole);
        if (node->op == OP_INDEX || node->op == OP_DRAW || node->op == OP_HOLD)
            node->attr.carry = 1;
        if (node->op != OP_READ || !node->domain_count || node->attr.at[0].offset >= 0) continue;
        const Kept *kept = kept_of(c, node_at(c, i), &number_);
        if (!kept) continue;
        read_back(&p, i, rows[number_]);
    }
    for (int i = 0; i < c->kept.count; i++) {
        const Kept *kept = &c->kept.at[i];
        const Node *source = node_at(c, kept->source);
        int index = source->domain[0];
        Attr axis = {.slot = c->cut->axis};
        p.span = source->span;
        for (int lag = 1; lag <= kept->lags; lag++) {
            int length = rewrite_node(&p.rewrite, OP_LENGTH, 0, NULL, &axis, p.span);
            int from_end = op(&p, OP_ADD, position(&p, index, false), number(&p, lag, DT_INT), -1);
            int mask = op(&p, OP_EQ, from_end, length, -1);
            output(&p, PORT_ROW, kept->first + lag - 1, pick(&p, kept->source, index, mask), NULL);
        }
    }
    for (int i = 0; i < c->totals.count; i++) {
        const Node *node = node_at(c, c->totals.at[i].node);
        p.span = node->span;
        int value = c->totals.at[i].node;
        if (node->op == OP_READ) {
            int index = node_at(c, node->in[0])->domain[0];
            bool last = node->attr.at[0].kind == AT_LAST;
            int at = position(&p, index, true);
            if (last) at = op(&p, OP_ADD, at, number(&p, 1, DT_INT), -1);
            int mask = op(&p, OP_EQ, at, last ? whole : number(&p, 0, DT_INT), -1);
            value = pick(&p, node->in[0], index, mask);
        }
        output(&p, PORT_TOTAL, i, value, NULL);
    }
    for (int o = 0; o < graph->outputs.count; o++)
        if (c->part[graph->outputs.at[o].node] == INSIDE || graph->outputs.at[o].index_count)
            output(&p, PORT_OUTPUT, o, graph->outputs.at[o].node, &graph->outputs.at[o]);
    return end(&p);
}

static Graph *make_after(Cutter *c) {
    const Graph *graph = c->graph;
    Piece p = begin(graph);
    for (int i = 0; i < c->totals.count; i++) {
        const Node *node = node_at(c, c->totals.at[i].node);
        p.span = node->span;
        rewrite_replace(&p.rewrite, c->totals.at[i].node, input(&p, PORT_TOTAL, i, node->type));
    }
    for (int o = 0; o < graph->outputs.count; o++)
        if (c->part[graph->outputs.at[o].node] != INSIDE && !graph->outputs.at[o].index_count)
            output(&p, PORT_OUTPUT, o, graph->outputs.at[o].node, &graph->outputs.at[o]);
    return end(&p);
}

Cut *cut_build(const Graph *graph, const char **why, Span *where) {
    Cut *cut = ARENA_NEW(graph->arena, Cut);
    Cutter c = {.graph = graph,
                .arena = graph->arena,
                .cut = cut,
                .part = ARENA_ARRAY(graph->arena, graph->nodes.count + 1, Part)};
    if (!check_graph(&c)) {
        *why = c.why;
        *where = c.where ? c.where->span : (Span){0};
        return NULL;
    }
    cut->before = make_before(&c);
    cut->chunk = make_chunk(&c);
    cut->after = make_after(&c);
    return cut;
}
