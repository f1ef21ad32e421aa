/* Schedules in tests: from a program or from texts, to text, with an arena of their own. */
#ifndef RNNC_TESTS_SCHEDULE_CASE_H
#define RNNC_TESTS_SCHEDULE_CASE_H

#include "sema_case.h"

#include "graph/graph.h"
#include "passes/passes.h"
#include "schedule/schedule.h"

static inline const char *schedule_text(Arena *arena, const Schedule *schedule) {
    Text text = text_new(arena);
    schedule_print(schedule, &text);
    return text_string(&text);
}

static inline Schedule *schedule_read(Case *c, const Graph *graph, const char *text) {
    Source *source = ARENA_NEW(c->arena, Source);
    *source = (Source){"case.schedule", text, (uint32_t)strlen(text)};
    return schedule_parse(c->arena, graph, source, c->diags);
}

/* The graph of a program after the passes: the last model, or `model`. */
static inline Graph *schedule_graph(Case *c, const char *model, Mode mode) {
    model = sema_model(c->program, model, c->diags);
    Graph *graph = model ? sema_graph(c->program, model, mode, c->diags) : NULL;
    if (!graph || !graph_verify(graph, "sema", c->diags) ||
        !schedule_causal(c->arena, graph, c->diags))
        fail_msg("%s", case_diags(c));
    PassOptions options = {0};
    Graph *normal = passes_run(graph, &options, c->diags);
    if (!normal) fail_msg("%s", case_diags(c));
    return normal;
}

/* The schedule of an open case, verified. NULL where an operation is not lowered yet. */
static inline Schedule *schedule_case(Case *c, const char *model, Mode mode) {
    Graph *graph = schedule_graph(c, model, mode);
    Schedule *schedule = schedule_build(c->arena, graph, c->diags);
    if (!schedule) {
        for (int i = 0; i < c->diags->list.count; i++)
            if (c->diags->list.at[i]->kind == DIAG_ERROR &&
                strcmp(c->diags->list.at[i]->code, "E-LOWER") != 0)
                fail_msg("%s", case_diags(c));
        return NULL;
    }
    if (!schedule_verify(schedule, c->diags))
        fail_msg("%s\n%s", schedule_text(c->arena, schedule), case_diags(c));
    return schedule;
}

static inline void schedule_open(Case *c, const char *text) {
    case_open(c, case_text_source, text, "grammar/prelude.rnn", NULL, 0);
}

static inline void schedule_open_file(Case *c, const char *path) {
    case_open(c, case_file_source, path, "grammar/prelude.rnn", NULL, 0);
}

#endif
