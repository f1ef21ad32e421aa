/* Strongly connected components, peeled axis by axis, and the order of what comes out. */
#include "schedule/depend.h"

/* --- strongly connected components (Tarjan 1972), on a stack of its own --- */

typedef struct Adjacency {
    int *first, *edges; /* edges leaving node i: edges[first[i]] … edges[first[i+1]-1] */
} Adjacency;

typedef struct Work {
    Arena *arena;
    const DepEdges *edges;
    int axis_count;
    int *local; /* scratch: a node's number in the part at hand */
} Work;

/* The successors (readers) of the nodes in `members`, by the edges of `live`, in local numbering.
 */
static Adjacency adjacency(Arena *arena, int count, int edge_count, const int *from) {
    Adjacency a = {ARENA_ARRAY(arena, count + 1, int), ARENA_ARRAY(arena, edge_count, int)};
    for (int e = 0; e < edge_count; e++) a.first[from[e] + 1]++;
    for (int i = 0; i < count; i++) a.first[i + 1] += a.first[i];
    int *next = arena_copy(arena, a.first, ((size_t)count + 1) * sizeof(int));
    for (int e = 0; e < edge_count; e++) a.edges[next[from[e]]++] = e;
    return a;
}

/* Component number of each local node; components are numbered in reverse topological order. */
static int components(Arena *arena, int count, Adjacency adj, const int *to, int *component) {
    int *index = ARENA_ARRAY(arena, count, int), *low = ARENA_ARRAY(arena, count, int);
    int *stack = ARENA_ARRAY(arena, count, int), *call = ARENA_ARRAY(arena, count, int);
    int *next = ARENA_ARRAY(arena, count, int);
    int time = 0, found = 0, top = 0;
    for (int i = 0; i < count; i++) component[i] = -1;
    for (int root = 0; root < count; root++) {
        if (index[root]) continue;
        int depth = 0;
        call[depth++] = root;
        index[root] = low[root] = ++time;
        next[root] = adj.first[root];
        stack[top++] = root;
        while (depth) {
            int v = call[depth - 1];
            if (next[v] < adj.first[v + 1]) {
                int w = to[adj.edges[next[v]++]];
                if (!index[w]) {
                    index[w] = low[w] = ++time;
                    next[w] = adj.first[w];
                    stack[top++] = w;
                    call[depth++] = w;
                } else if (component[w] < 0 && index[w] < low[v]) {
                    low[v] = index[w];
                }
                continue;
            }
            depth--;
            if (depth && low[v] < low[call[depth - 1]]) low[call[depth - 1]] = low[v];
            if (low[v] == index[v]) {
                int w;
                do {
                    w = stack[--top];
                    component[w] = found;
                } while (w != v);
                found++;
            }
        }
    }
    return found;
}

/* --- labels --- */

static const Label *label_on(const DepEdge *edge, int axis) {
    for (int i = 0; i < edge->label_count; i++)
        if (edge->labels[i].axis == axis) return &edge->labels[i];
    return NULL;
}

/* -1: strictly back, 1: strictly ahead, 0: may be the same position. */
static int strict_sign(const Label *label) {
    if (!label) return 0;
    switch (label->kind) {
    case LABEL_OFFSET: return label->offset < 0 ? -1 : label->offset > 0 ? 1 : 0;
    case LABEL_LT: return -1;
    case LABEL_GT: return 1;
    case LABEL_LE:
    case LABEL_GE:
    case LABEL_ALL:
    case LABEL_RATE: return 0;
    }
    return 0;
}

bool depend_strict(const DepEdge *edge, int axis) {
    return strict_sign(label_on(edge, axis)) != 0;
}

/* The direction in which a label may point, for "both signs". */
static int loose_sign(const Label *label) {
    if (!label) return 0;
    switch (label->kind) {
    case LABEL_OFFSET: return label->offset < 0 ? -1 : label->offset > 0 ? 1 : 0;
    case LABEL_LT:
    case LABEL_LE: return -1;
    case LABEL_GT:
    case LABEL_GE: return 1;
    case LABEL_ALL:
    case LABEL_RATE: return 0;
    }
    return 0;
}

/* --- nesting --- */

typedef VEC(int) Ints;

typedef struct Part {
    Ints nodes;  /* global numbers */
    Ints locals; /* the same, in the numbering of the part around */
    Ints live;   /* edges inside */
} Part;

static bool nest_part(Work *work, const Part *part, unsigned char *used_axes, Nests *out,
                      DepResult *result);

static void explain(Work *work, const Part *part, const unsigned char *used_axes,
                    DepResult *result);

/* The components that wait for nothing else once `part` is done. */
static void release(Arena *arena, const Part *part, Adjacency adj, const int *to,
                    const int *component, int *waiting, const Part *parts, Ints *singles,
                    Ints *loops) {
    for (int k = 0; k < part->locals.count; k++) {
        int v = part->locals.at[k];
        for (int j = adj.first[v]; j < adj.first[v + 1]; j++) {
            int d = component[to[adj.edges[j]]];
            if (d == component[v] || --waiting[d]) continue;
            if (parts[d].live.count)
                vec_push(arena, loops, d);
            else
                vec_push(arena, singles, d);
        }
    }
}

/* Splits into components and emits them in order: blocks as large and as early as they can be, then
 * the loops that became ready. */
static bool order_part(Work *work, const Part *part, unsigned char *used_axes, Nests *out,
                       DepResult *result) {
    Arena *arena = work->arena;
    int n = part->nodes.count, m = part->live.count;
    int *local = work->local;
    for (int i = 0; i < n; i++) local[part->nodes.at[i]] = i;
    int *from = ARENA_ARRAY(arena, m, int), *to = ARENA_ARRAY(arena, m, int);
    for (int e = 0; e < m; e++) {
        const DepEdge *edge = &work->edges->at[part->live.at[e]];
        from[e] = local[edge->from];
        to[e] = local[edge->to];
    }
    Adjacency adj = adjacency(arena, n, m, from);
    int *component = ARENA_ARRAY(arena, n, int);
    int found = components(arena, n, adj, to, component);

    Part *parts = ARENA_ARRAY(arena, found, Part);
    int *waiting = ARENA_ARRAY(arena, found, int);
    for (int i = 0; i < n; i++) {
        vec_push(arena, &parts[component[i]].nodes, part->nodes.at[i]);
        vec_push(arena, &parts[component[i]].locals, i);
    }
    for (int e = 0; e < m; e++) {
        if (component[from[e]] == component[to[e]])
            vec_push(arena, &parts[component[from[e]]].live, part->live.at[e]);
        else
            waiting[component[to[e]]]++;
    }

    /* Kahn's algorithm over the components: all that is ready without a loop joins the block, then
     * come the loops that are ready, then the next block. */
    Ints singles = {0}, loops = {0};
    for (int c = found - 1; c >= 0; c--) {
        if (waiting[c]) continue;
        if (parts[c].live.count)
            vec_push(arena, &loops, c);
        else
            vec_push(arena, &singles, c);
    }
    int next_single = 0, next_loop = 0, done = 0;
    while (done < found) {
        Nest *block = NULL;
        while (next_single < singles.count) {
            int c = singles.at[next_single++];
            if (!block) {
                block = ARENA_NEW(arena, Nest);
                block->kind = NEST_BLOCK;
                vec_push(arena, out, block);
            }
            vec_push(arena, &block->members, parts[c].nodes.at[0]);
            done++;
            release(arena, &parts[c], adj, to, component, waiting, parts, &singles, &loops);
        }
        while (next_loop < loops.count) {
            int c = loops.at[next_loop++];
            if (!nest_part(work, &parts[c], used_axes, out, result)) return false;
            done++;
            release(arena, &parts[c], adj, to, component, waiting, parts, &singles, &loops);
        }
    }
    return true;
}

/* One strongly connected component with internal edges: the first axis that peels it. */
static bool nest_part(Work *work, const Part *part, unsigned char *used_axes, Nests *out,
                      DepResult *result) {
    Arena *arena = work->arena;
    for (int axis = 0; axis < work->axis_count; axis++) {
        if (used_axes[axis]) continue;
        bool blocked = false, strict = false, back = false, ahead = false;
        for (int e = 0; e < part->live.count && !blocked; e++) {
            const Label *label = label_on(&work->edges->at[part->live.at[e]], axis);
            if (!label) continue;
            if (label->kind == LABEL_ALL || label->kind == LABEL_RATE) blocked = true;
            if (loose_sign(label) < 0) back = true;
            if (loose_sign(label) > 0) ahead = true;
            if (strict_sign(label)) strict = true;
        }
        if (blocked || !strict || (back && ahead)) continue;
        Part rest = {0};
        for (int i = 0; i < part->nodes.count; i++) vec_push(arena, &rest.nodes, part->nodes.at[i]);
        for (int e = 0; e < part->live.count; e++)
            if (!strict_sign(label_on(&work->edges->at[part->live.at[e]], axis)))
                vec_push(arena, &rest.live, part->live.at[e]);
        Nest *loop = ARENA_NEW(arena, Nest);
        loop->kind = NEST_LOOP;
        loop->axis = axis;
        loop->backward = ahead;
        used_axes[axis] = 1;
        DepResult inner = {0};
        Nests children = {0};
        bool good = order_part(work, &rest, used_axes, &children, &inner);
        used_axes[axis] = 0;
        if (!good) continue;
        for (int i = 0; i < part->nodes.count; i++)
            vec_push(arena, &loop->members, part->nodes.at[i]);
        for (int i = 0; i < children.count; i++) vec_push(arena, &loop->children, children.at[i]);
        vec_push(arena, out, loop);
        return true;
    }
    if (result->failure == DEP_OK) explain(work, part, used_axes, result);
    return false;
}

/* --- why not --- */

/* A shortest cycle through `start` by the edges that `keep` lets pass; empty when there is none. */
static bool find_cycle(Work *work, const Part *part, const unsigned char *keep, DepResult *result) {
    Arena *arena = work->arena;
    int n = part->nodes.count, m = part->live.count;
    int *local = work->local;
    for (int i = 0; i < n; i++) local[part->nodes.at[i]] = i;
    int *from = ARENA_ARRAY(arena, m, int), *to = ARENA_ARRAY(arena, m, int);
    int used = 0;
    for (int e = 0; e < m; e++) {
        if (!keep[e]) continue;
        const DepEdge *edge = &work->edges->at[part->live.at[e]];
        from[used] = local[edge->from];
        to[used++] = local[edge->to];
    }
    Adjacency adj = adjacency(arena, n, used, from);
    int *component = ARENA_ARRAY(arena, n, int);
    int found = components(arena, n, adj, to, component);
    int *size = ARENA_ARRAY(arena, found, int);
    for (int i = 0; i < n; i++) size[component[i]]++;
    int start = -1;
    for (int e = 0; e < used && start < 0; e++)
        if (component[from[e]] == component[to[e]] &&
            (size[component[from[e]]] > 1 || from[e] == to[e]))
            start = from[e];
    if (start < 0) return false;
    int *parent = ARENA_ARRAY(arena, n, int), *queue = ARENA_ARRAY(arena, n + 1, int);
    for (int i = 0; i < n; i++) parent[i] = -1;
    int head = 0, tail = 0;
    queue[tail++] = start;
    while (head < tail) {
        int v = queue[head++];
        for (int j = adj.first[v]; j < adj.first[v + 1]; j++) {
            int w = to[adj.edges[j]];
            if (w == start) {
                VEC(int) path = {0};
                for (int x = v; x != start; x = parent[x]) vec_push(arena, &path, x);
                vec_push(arena, &result->cycle, part->nodes.at[start]);
                for (int i = path.count - 1; i >= 0; i--)
                    vec_push(arena, &result->cycle, part->nodes.at[path.at[i]]);
                return true;
            }
            if (parent[w] < 0 && w != start) {
                parent[w] = v;
                queue[tail++] = w;
            }
        }
    }
    return false;
}

static bool can_be_zero(const DepEdge *edge) {
    for (int i = 0; i < edge->label_count; i++)
        if (strict_sign(&edge->labels[i])) return false;
    return true;
}

static void explain(Work *work, const Part *part, const unsigned char *used_axes,
                    DepResult *result) {
    (void)used_axes;
    unsigned char *keep = ARENA_ARRAY(work->arena, part->live.count, unsigned char);
    LabelKind kinds[] = {LABEL_ALL, LABEL_RATE};
    for (int e = 0; e < part->live.count; e++) {
        const DepEdge *edge = &work->edges->at[part->live.at[e]];
        bool wide = false;
        for (int i = 0; i < edge->label_count; i++)
            if (edge->labels[i].kind == LABEL_ALL || edge->labels[i].kind == LABEL_RATE)
                wide = true;
        keep[e] = can_be_zero(edge) && !wide;
    }
    if (find_cycle(work, part, keep, result)) {
        result->failure = DEP_INSTANT;
        return;
    }
    for (int k = 0; k < 2; k++)
        for (int e = 0; e < part->live.count; e++) {
            const DepEdge *edge = &work->edges->at[part->live.at[e]];
            for (int i = 0; i < edge->label_count; i++)
                if (edge->labels[i].kind == kinds[k]) {
                    result->failure = k ? DEP_RATE : DEP_ALL;
                    result->edge = *edge;
                    return;
                }
        }
    for (int e = 0; e < part->live.count; e++) keep[e] = 1;
    result->failure = DEP_BOTH;
    find_cycle(work, part, keep, result);
}

DepResult depend_nests(Arena *arena, int count, const DepEdges *edges, int axis_count) {
    Work work = {arena, edges, axis_count, ARENA_ARRAY(arena, count, int)};
    DepResult result = {0};
    Part all = {0};
    for (int i = 0; i < count; i++) vec_push(arena, &all.nodes, i);
    for (int e = 0; e < edges->count; e++) vec_push(arena, &all.live, e);
    unsigned char *used = ARENA_ARRAY(arena, axis_count + 1, unsigned char);
    order_part(&work, &all, used, &result.nests, &result);
    return result;
}
