/* The mechanics of a pass: replacing nodes in a copy, and putting what is left in order. Everything
 * here walks with stacks of its own: graphs have 100,000 nodes. */
#include "passes/rewrite.h"

#include <string.h>

Rewrite rewrite_begin(const Graph *from) {
    Arena *arena = from->arena;
    Graph *graph = ARENA_NEW(arena, Graph);
    Rewrite rewrite = {.graph = graph};
    *graph = *from;
    memset(&graph->nodes, 0, sizeof graph->nodes);
    for (int i = 0; i < from->nodes.count; i++) {
        const Node *old = from->nodes.at[i];
        Node *node = arena_copy(arena, old, sizeof *old);
        size_t size = (size_t)(old->in_count > 0 ? old->in_count : 0) * sizeof(int);
        node->in = size ? arena_copy(arena, old->in, size) : arena_alloc(arena, sizeof(int));
        vec_push(arena, &graph->nodes, node);
        vec_push(arena, &rewrite.as, i);
    }
    return rewrite;
}

int rewrite_find(Rewrite *rewrite, int id) {
    int *as = rewrite->as.at;
    if (id < 0) return id;
    while (as[id] != id) {
        as[id] = as[as[id]];
        id = as[id];
    }
    return id;
}

void rewrite_replace(Rewrite *rewrite, int id, int with) {
    with = rewrite_find(rewrite, with);
    if (with == id) return;
    Node *node = rewrite->graph->nodes.at[id], *target = rewrite->graph->nodes.at[with];
    if (node->name && !target->name && op_info[target->op].class_ != CLASS_LEAF)
        target->name = node->name;
    rewrite->as.at[id] = with;
    rewrite->changed = true;
}

static bool same_domain(const Node *a, const Node *b) {
    return a->domain_count == b->domain_count &&
           memcmp(a->domain, b->domain, (size_t)a->domain_count * sizeof(int)) == 0;
}

bool rewrite_become(Rewrite *rewrite, int id, int with) {
    with = rewrite_find(rewrite, with);
    Node *node = rewrite->graph->nodes.at[id], *target = rewrite->graph->nodes.at[with];
    if (with == id || !type_equal(node->type, target->type)) return false;
    if (same_domain(node, target)) {
        rewrite_replace(rewrite, id, with);
        return true;
    }
    if (node->op == OP_VAR) return false;
    node->op = OP_VAR;
    node->attr = (Attr){0};
    node->in_count = 1;
    node->in[0] = with;
    rewrite->changed = true;
    return true;
}

int rewrite_node(Rewrite *rewrite, Op op, int count, const int *in, const Attr *attr, Span span) {
    int id = graph_node(rewrite->graph, op, count, in, attr, span);
    vec_push(rewrite->graph->arena, &rewrite->as, id);
    rewrite->changed = true;
    return id;
}

typedef struct Walk {
    int node, next;
} Walk;

/* Marks everything that `root` reads, READ's sources too. */
static void mark(Rewrite *rewrite, int root, bool *live, int *work) {
    int waiting = 0;
    root = rewrite_find(rewrite, root);
    if (root < 0 || live[root]) return;
    live[root] = true;
    work[waiting++] = root;
    while (waiting > 0) {
        const Node *node = rewrite->graph->nodes.at[work[--waiting]];
        for (int k = 0; k < node->in_count; k++) {
            int to = rewrite_find(rewrite, node->in[k]);
            if (to < 0 || live[to]) continue;
            live[to] = true;
            work[waiting++] = to;
        }
    }
}

static void mark_live(Rewrite *rewrite, bool *live, int *work) {
    const Graph *graph = rewrite->graph;
    for (int i = 0; i < graph->outputs.count; i++)
        mark(rewrite, graph->outputs.at[i].node, live, work);
    for (int i = 0; i < graph->stops.count; i++) mark(rewrite, graph->stops.at[i].node, live, work);
    for (int i = 0; i < graph->losses.count; i++) {
        mark(rewrite, graph->losses.at[i].node, live, work);
        mark(rewrite, graph->losses.at[i].per, live, work);
    }
    for (int i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.at[i]->op == OP_READ && graph->nodes.at[i]->attr.carry &&
            rewrite->as.at[i] == i)
            mark(rewrite, i, live, work);
    /* A default is read when its input is, and may read another input that has one. */
    for (int round = 0; round < graph->inputs.count; round++)
        for (int i = 0; i < graph->inputs.count; i++) {
            int node = rewrite_find(rewrite, graph->inputs.at[i].node);
            if (node >= 0 && live[node]) mark(rewrite, graph->inputs.at[i].fallback, live, work);
        }
}

typedef struct Order {
    Rewrite *rewrite;
    const bool *live;
    int *place; /* new id; -1: not yet; -2: on the stack */
    int *order; /* old ids */
    int count;
    Walk *stack;
} Order;

/* Operands first. Sources of READ wait for their own turn: only through them can cycles run. */
static void emit(Order *o, int root) {
    int depth = 0;
    root = rewrite_find(o->rewrite, root);
    if (root < 0 || !o->live[root] || o->place[root] != -1) return;
    o->place[root] = -2;
    o->stack[depth++] = (Walk){root, 0};
    while (depth > 0) {
        Walk *top = &o->stack[depth - 1];
        const Node *node = o->rewrite->graph->nodes.at[top->node];
        if (top->next == node->in_count) {
            o->place[top->node] = o->count;
            o->order[o->count++] = top->node;
            depth--;
            continue;
        }
        int k = top->next++;
        int to = rewrite_find(o->rewrite, node->in[k]);
        if (to < 0 || (node->op == OP_READ && k == 0) || o->place[to] != -1) continue;
        o->place[to] = -2;
        o->stack[depth++] = (Walk){to, 0};
    }
}

static int placed(const Order *o, int id) {
    id = rewrite_find(o->rewrite, id);
    return id < 0 || o->place[id] < 0 ? -1 : o->place[id];
}

static void *copy_list(Arena *arena, const void *at, int count, size_t size) {
    return count > 0 ? arena_copy(arena, at, (size_t)count * size) : NULL;
}

static void renumber_ends(const Order *o, Graph *to) {
    Arena *arena = to->arena;
    to->inputs.at = copy_list(arena, to->inputs.at, to->inputs.count, sizeof *to->inputs.at);
    to->outputs.at = copy_list(arena, to->outputs.at, to->outputs.count, sizeof *to->outputs.at);
    to->losses.at = copy_list(arena, to->losses.at, to->losses.count, sizeof *to->losses.at);
    to->stops.at = copy_list(arena, to->stops.at, to->stops.count, sizeof *to->stops.at);
    to->inputs.room = to->inputs.count;
    to->outputs.room = to->outputs.count;
    to->losses.room = to->losses.count;
    to->stops.room = to->stops.count;
    for (int i = 0; i < to->inputs.count; i++) {
        to->inputs.at[i].node = placed(o, to->inputs.at[i].node);
        to->inputs.at[i].fallback =
            to->inputs.at[i].node < 0 ? -1 : placed(o, to->inputs.at[i].fallback);
    }
    for (int i = 0; i < to->outputs.count; i++)
        to->outputs.at[i].node = placed(o, to->outputs.at[i].node);
    for (int i = 0; i < to->losses.count; i++) {
        to->losses.at[i].node = placed(o, to->losses.at[i].node);
        to->losses.at[i].per = placed(o, to->losses.at[i].per);
    }
    for (int i = 0; i < to->stops.count; i++)
        to->stops.at[i].node = placed(o, to->stops.at[i].node);
}

Graph *rewrite_end(Rewrite *rewrite, bool live_only) {
    Graph *from = rewrite->graph;
    Arena *arena = from->arena;
    int count = from->nodes.count;
    bool *live = ARENA_ARRAY(arena, count + 1, bool);
    Order o = {.rewrite = rewrite,
               .live = live,
               .place = ARENA_ARRAY(arena, count + 1, int),
               .order = ARENA_ARRAY(arena, count + 1, int),
               .stack = ARENA_ARRAY(arena, count + 1, Walk)};
    for (int i = 0; i < count; i++) {
        o.place[i] = -1;
        if (!live_only) live[i] = true;
    }
    if (live_only) mark_live(rewrite, live, ARENA_ARRAY(arena, count + 1, int));
    for (int i = 0; i < count; i++) emit(&o, i);
    Graph *to = arena_copy(arena, from, sizeof *from);
    memset(&to->nodes, 0, sizeof to->nodes);
    for (int i = 0; i < o.count; i++) {
        Node *node = from->nodes.at[o.order[i]]; /* the copy is ours */
        for (int k = 0; k < node->in_count; k++) node->in[k] = placed(&o, node->in[k]);
        node->id = i;
        vec_push(arena, &to->nodes, node);
    }
    renumber_ends(&o, to);
    return to;
}

typedef struct Tarjan {
    const Graph *graph;
    int *number, *low, *component;
    int *open;
    Walk *stack;
    int numbers, open_count, components;
} Tarjan;

static void close_component(Tarjan *t, int root) {
    int node;
    do {
        node = t->open[--t->open_count];
        t->component[node] = t->components;
    } while (node != root);
    t->components++;
}

static void tarjan(Tarjan *t, int root) {
    int depth = 0;
    t->number[root] = t->low[root] = ++t->numbers;
    t->open[t->open_count++] = root;
    t->stack[depth++] = (Walk){root, 0};
    while (depth > 0) {
        Walk *top = &t->stack[depth - 1];
        int id = top->node;
        const Node *node = t->graph->nodes.at[id];
        if (top->next < node->in_count) {
            int to = node->in[top->next++];
            if (to < 0) continue;
            if (t->number[to] == 0) {
                t->number[to] = t->low[to] = ++t->numbers;
                t->open[t->open_count++] = to;
                t->stack[depth++] = (Walk){to, 0};
            } else if (t->component[to] < 0 && t->number[to] < t->low[id]) {
                t->low[id] = t->number[to];
            }
            continue;
        }
        depth--;
        if (t->low[id] == t->number[id]) close_component(t, id);
        if (depth > 0 && t->low[id] < t->low[t->stack[depth - 1].node])
            t->low[t->stack[depth - 1].node] = t->low[id];
    }
}

void graph_components(const Graph *graph, int *component) {
    int count = graph->nodes.count;
    Tarjan t = {.graph = graph,
                .component = component,
                .number = ARENA_ARRAY(graph->arena, count, int),
                .low = ARENA_ARRAY(graph->arena, count, int),
                .open = ARENA_ARRAY(graph->arena, count, int),
                .stack = ARENA_ARRAY(graph->arena, count, Walk)};
    for (int i = 0; i < count; i++) component[i] = -1;
    for (int i = 0; i < count; i++)
        if (t.number[i] == 0) tarjan(&t, i);
}
