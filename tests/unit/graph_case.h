/* Graphs in tests: from text, to text, with an arena of their own. */
#ifndef RNNC_TESTS_GRAPH_CASE_H
#define RNNC_TESTS_GRAPH_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"

typedef struct GraphCase {
    Arena *arena;
    Names *names;
    Diags *diags;
    Graph *graph; /* NULL when the text did not parse */
} GraphCase;

static jmp_buf graph_case_oom;

/* Memory out ends the test program: no test asks for much. */
static inline GraphCase graph_case_bytes(const char *text, size_t length) {
    GraphCase c = {0};
    if (setjmp(graph_case_oom)) abort();
    c.arena = arena_new(&graph_case_oom);
    c.names = names_new(c.arena);
    c.diags = diags_new(c.arena);
    Source *source = ARENA_NEW(c.arena, Source);
    source->path = "<test>";
    source->text = arena_strndup(c.arena, text, length);
    memcpy((char *)(uintptr_t)source->text, text, length);
    source->length = (uint32_t)length;
    c.graph = graph_parse(c.arena, c.names, source, c.diags);
    return c;
}

static inline const char *graph_case_errors(const GraphCase *c) {
    Text text = text_new(c->arena);
    diags_render(c->diags, false, &text);
    return text_string(&text);
}

static inline const char *graph_case_text(const GraphCase *c, const Graph *graph) {
    Text text = text_new(c->arena);
    graph_print(graph, &text);
    return text_string(&text);
}

/* A graph that parses and verifies, or the test fails. */
static inline GraphCase graph_case(const char *text) {
    GraphCase c = graph_case_bytes(text, strlen(text));
    if (!c.graph || !graph_verify(c.graph, NULL, c.diags))
        fail_msg("%s\n%s", text, graph_case_errors(&c));
    return c;
}

static inline void graph_case_free(GraphCase *c) {
    arena_free(c->arena);
}

static inline char *graph_case_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot open %s", path);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    size_t length = fread(text, 1, (1 << 20) - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static inline int graph_case_count(const Graph *graph, Op op) {
    int count = 0;
    for (int i = 0; i < graph->nodes.count; i++) count += graph->nodes.at[i]->op == op;
    return count;
}

#endif
