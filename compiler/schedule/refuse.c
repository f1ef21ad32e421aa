/* Where the file of the model asks for what is not compiled yet. */
#include "schedule/refuse.h"

bool schedule_refuse(Refusals *to, const Node *node, const char *what) {
    int i = 0;
    while (i < to->kinds.count && strcmp(to->kinds.at[i].what, what) != 0) i++;
    if (i == to->kinds.count) vec_push(to->diags->arena, &to->kinds, (Refused){what, node, 0});
    Refused *kind = &to->kinds.at[i];
    kind->times++;
    if (kind->node->span.source != to->main && node->span.source == to->main) kind->node = node;
    return false;
}

/* Where the file of the model reads what stands in another one. `equation`: what needs it there. */
static Span place_in(const Refusals *refusals, const Graph *graph, const Node *node,
                     Name *equation) {
    bool *reached = ARENA_ARRAY(refusals->diags->arena, graph->nodes.count, bool);
    bool more = reached[node->id] = true;
    for (*equation = node->name; more;) {
        more = false;
        for (int i = 0; i < graph->nodes.count; i++) {
            const Node *reader = graph->nodes.at[i];
            bool reads = false;
            for (int k = 0; k < reader->in_count; k++)
                reads |= reader->in[k] >= 0 && reached[reader->in[k]];
            if (!reads || reached[i]) continue;
            if (*equation == NULL) *equation = reader->name;
            if (reader->span.source == refusals->main) return reader->span;
            reached[i] = more = true;
        }
    }
    for (int i = 0; i < graph->outputs.count; i++)
        if (reached[graph->outputs.at[i].node]) return graph->outputs.at[i].span;
    for (int i = 0; i < graph->stops.count; i++)
        if (reached[graph->stops.at[i].node]) return graph->stops.at[i].span;
    for (int i = 0; i < graph->losses.count; i++)
        if (reached[graph->losses.at[i].node]) return graph->losses.at[i].span;
    return node->span;
}

void schedule_refusals(const Refusals *refusals, const Graph *graph) {
    for (int i = 0; i < refusals->kinds.count; i++) {
        const Refused *kind = &refusals->kinds.at[i];
        Name in = NULL;
        Span from = kind->node->span, at = from;
        if (from.source != refusals->main) at = place_in(refusals, graph, kind->node, &in);
        Diag *diag = diag_error(refusals->diags, "E-LOWER", at,
                                "%s is not compiled yet; run it with --backend=interp", kind->what);
        if (at.source != from.source)
            diag_note(refusals->diags, diag, from, "'%s' needs %s here, one of %d in all",
                      in ? in : "the model", kind->what, kind->times);
    }
}
