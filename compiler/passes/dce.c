/* Drops what nobody asks for. Parameters stay in their table, and ports keep their places; an input
 * whose node is gone says so with -1. */
#include "passes/passes.h"
#include "passes/rewrite.h"

Graph *pass_dce(const Graph *graph, bool *changed) {
    Rewrite rewrite = rewrite_begin(graph);
    Graph *to = rewrite_end(&rewrite, true);
    *changed = to->nodes.count != graph->nodes.count;
    return *changed ? to : (Graph *)graph;
}
