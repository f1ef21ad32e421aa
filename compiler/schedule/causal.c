/* E-CAUSAL: the words for a graph that no order of loops can evaluate. */
#include "schedule/depend.h"

static const char *name_for(Arena *arena, const Graph *graph, int id) {
    const Node *node = graph->nodes.at[id];
    if (!node->name) return NULL;
    Text text = text_new(arena);
    text_puts(&text, node->name);
    if (node->domain_count) {
        text_puts(&text, "[");
        for (int d = 0; d < node->domain_count; d++)
            text_printf(&text, "%s%s", d ? "," : "", graph->indices.at[node->domain[d]].name);
        text_puts(&text, "]");
    }
    return text_string(&text);
}

/* The named nodes along the cycle, the first again at the end; the span of the first in *span. */
static const char *cycle_text(Arena *arena, const Graph *graph, const DepResult *result,
                              Span *span) {
    Text text = text_new(arena);
    const char *first = NULL;
    *span = graph->nodes.at[result->cycle.at[0]]->span;
    for (int i = 0; i < result->cycle.count; i++) {
        const char *name = name_for(arena, graph, result->cycle.at[i]);
        if (!name || graph->nodes.at[result->cycle.at[i]]->op == OP_READ) continue;
        if (!first) {
            first = name;
            *span = graph->nodes.at[result->cycle.at[i]]->span;
            text_puts(&text, name);
        } else {
            text_printf(&text, " -> %s", name);
        }
    }
    if (!first) return "(unnamed)";
    text_printf(&text, " -> %s", first);
    return text_string(&text);
}

/* A note at the first read of something in the cycle at an earlier (-1) or a later (1) position. */
static void note_read(const Graph *graph, const DepResult *result, int sign, Diags *diags,
                      Diag *diag) {
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        bool inside = false, there = false;
        for (int k = 0; node->op == OP_READ && k < result->cycle.count; k++)
            inside = inside || result->cycle.at[k] == node->in[0];
        for (int k = 0; inside && k < node->attr.at_count; k++)
            there =
                there || (node->attr.at[k].kind == AT_INDEX && node->attr.at[k].offset * sign > 0);
        if (!there) continue;
        diag_note(diags, diag, node->span,
                  sign > 0 ? "a later position is read here" : "an earlier one is read here");
        return;
    }
}

bool schedule_causal(Arena *arena, const Graph *graph, Diags *diags) {
    DepEdges edges = depend_graph(arena, graph, INDEX_FIRST);
    if (depend_nests(arena, graph->nodes.count, &edges, graph->axes.count).failure == DEP_OK)
        return true;
    edges = depend_graph(arena, graph, INDEX_FREE);
    DepResult result = depend_nests(arena, graph->nodes.count, &edges, graph->axes.count);
    Span span = {0};
    switch (result.failure) {
    case DEP_OK: return true;
    case DEP_INSTANT: {
        const char *cycle = cycle_text(arena, graph, &result, &span);
        Diag *diag = diag_error(diags, "E-CAUSAL", span, "instantaneous cycle: %s", cycle);
        diag_note(diags, diag, span,
                  "a value may read itself at an earlier or a later position only");
        return false;
    }
    case DEP_ALL: {
        const Node *reader = graph->nodes.at[result.edge.to];
        const Node *source = graph->nodes.at[result.edge.from];
        const char *name = source->op == OP_READ && !source->name
                               ? name_for(arena, graph, source->in[0])
                               : name_for(arena, graph, result.edge.from);
        Diag *diag = diag_error(diags, "E-CAUSAL", reader->span, "%s needs its own whole sequence",
                                name ? name : "this value");
        diag_note(diags, diag, source->span, "the recurrence passes through here");
        return false;
    }
    case DEP_RATE: {
        const Node *reader = graph->nodes.at[result.edge.to];
        Diag *diag =
            diag_error(diags, "E-CAUSAL", reader->span,
                       "a recurrence crosses rates; `every` on an equation holds a value instead");
        diag_note(diags, diag, graph->nodes.at[result.edge.from]->span,
                  "the recurrence passes through here");
        return false;
    }
    case DEP_BOTH: {
        const char *cycle = cycle_text(arena, graph, &result, &span);
        Diag *diag = diag_error(diags, "E-CAUSAL", span,
                                "past and future of a sequence in one recurrence: %s", cycle);
        note_read(graph, &result, 1, diags, diag);
        note_read(graph, &result, -1, diags, diag);
        return false;
    }
    }
    return true;
}
