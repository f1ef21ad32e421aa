/* The text forms of Graph, Schedule and Loop: read, verified, printed, read back; what is sound
 * goes on through the stages behind. Here a verifier's report is an answer, not a finding: the text
 * may say anything. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "loop/evaluate.h"
#include "loop/lower.h"
#include "passes/passes.h"
#include "schedule/schedule.h"

static const Source *source_of(FuzzCase *c, const char *path, const char *text, size_t size) {
    Source *source = ARENA_NEW(c->arena, Source);
    *source = (Source){path, text, (uint32_t)size};
    return source;
}

/* One error at least where nothing was read; places in every case. */
static void check_read(FuzzCase *c, const void *made) {
    FUZZ_CHECK((made != NULL) == (c->diags->errors == 0), "%d errors:\n%s", c->diags->errors,
               fuzz_diags(c->arena, c->diags));
    fuzz_check_diags(c, c->diags);
}

static Graph *read_graph(FuzzCase *c, const char *text, size_t size) {
    Graph *graph = graph_parse(c->arena, c->names, source_of(c, "0.graph", text, size), c->diags);
    check_read(c, graph);
    return graph;
}

static const char *graph_text(FuzzCase *c, const Graph *graph) {
    Text text = text_new(c->arena);
    graph_print(graph, &text);
    return text_string(&text);
}

void fuzz_graph(FuzzCase *c) {
    Graph *graph = read_graph(c, c->text, c->size);
    if (!graph) return;
    Diags *verdict = diags_new(c->arena);
    bool sound = graph_verify(graph, "reading", verdict);
    FUZZ_CHECK(sound == (verdict->errors == 0), "%s", fuzz_diags(c->arena, verdict));
    if (!sound) return;
    const char *once = graph_text(c, graph);
    Graph *again = read_graph(c, once, strlen(once));
    FUZZ_CHECK(again && graph_verify(again, "reading", verdict), "%s\n%s", once,
               fuzz_diags(c->arena, verdict));
    FUZZ_CHECK(strcmp(once, graph_text(c, again)) == 0, "%s", once);
    Text dot = text_new(c->arena);
    graph_dot(graph, &dot);

    if (!schedule_causal(c->arena, graph, c->diags)) {
        fuzz_check_diags(c, c->diags);
        return;
    }
    PassOptions options = {.verify_each = true};
    const Graph *normal = passes_run(graph, &options, c->diags);
    fuzz_check_diags(c, c->diags);
    Schedule *schedule = normal ? schedule_build(c->arena, normal, c->diags) : NULL;
    if (schedule) schedule_verify(schedule, c->diags);
    fuzz_check_diags(c, c->diags);
}

static const char *schedule_text(FuzzCase *c, const Schedule *schedule) {
    Text text = text_new(c->arena);
    schedule_print(schedule, &text);
    return text_string(&text);
}

/* A case is a graph, a line of "----" and a schedule of it. */
void fuzz_schedule(FuzzCase *c) {
    static const char line[] = "\n----\n";
    const char *at = strstr(c->text, line);
    if (!at) return;
    const char *text = at + sizeof line - 1;
    Graph *graph = read_graph(c, c->text, (size_t)(at + 1 - c->text));
    Diags *verdict = diags_new(c->arena);
    if (!graph || !graph_verify(graph, "reading", verdict)) return;
    size_t size = c->size - (size_t)(text - c->text);
    const Source *source = source_of(c, "0.schedule", text, size);
    Schedule *schedule = schedule_parse(c->arena, graph, source, c->diags);
    check_read(c, schedule);
    if (!schedule || !schedule_verify(schedule, verdict)) return;
    const char *once = schedule_text(c, schedule);
    source = source_of(c, "0.schedule", once, strlen(once));
    Schedule *again = schedule_parse(c->arena, graph, source, c->diags);
    FUZZ_CHECK(again && schedule_verify(again, verdict), "%s\n%s\n%s", once,
               fuzz_diags(c->arena, verdict), fuzz_diags(c->arena, c->diags));
    FUZZ_CHECK(strcmp(once, schedule_text(c, again)) == 0, "%s", once);
}

/* ---- Loop ---- */

static const char *loop_text(FuzzCase *c, const LoopModule *module) {
    Text text = text_new(c->arena);
    loop_print(module, &text);
    return text_string(&text);
}

static LoopModule *read_loop(FuzzCase *c, const char *text, size_t size) {
    LoopModule *module =
        loop_parse(c->arena, c->names, source_of(c, "0.loop", text, size), c->diags);
    check_read(c, module);
    return module;
}

/* Each function once, on small numbers and on buffers that may be too short. */
static void evaluate(FuzzCase *c, const LoopModule *module) {
    enum { BYTES = 4096, STEPS = 100000 };
    const char *error = NULL;
    LoopProgram *program = loop_program_new(c->arena, module, &error);
    FUZZ_CHECK(program, "%s", error);
    loop_program_limit(program, STEPS);
    for (int i = 0; i < module->functions.count; i++) {
        const LFunction *function = module->functions.at[i];
        LoopValue *args = ARENA_ARRAY(c->arena, function->args.count + 1, LoopValue);
        void **blocks = ARENA_ARRAY(c->arena, function->args.count + 1, void *);
        for (int k = 0; k < function->args.count; k++) {
            if (!function->args.at[k].pointer || function->args.at[k].pool) {
                args[k].integer = (int64_t)(c->hash >> (k & 7)) & 7; /* of a pool, threads */
                continue;
            }
            blocks[k] = aligned_alloc(64, BYTES);
            if (!blocks[k]) continue;
            memset(blocks[k], (int)(c->hash >> (8 + (k & 7))) & 1, BYTES);
            args[k] = (LoopValue){.pointer = blocks[k], .bytes = BYTES};
        }
        bool good = loop_program_call(program, c->arena, function->name, args, function->args.count,
                                      NULL, &error);
        FUZZ_CHECK(good || error, "a call of %s fails without a word", function->name);
        for (int k = 0; k < function->args.count; k++) free(blocks[k]);
    }
}

void fuzz_loop(FuzzCase *c) {
    LoopModule *module = read_loop(c, c->text, c->size);
    if (!module) return;
    Diags *verdict = diags_new(c->arena);
    if (!loop_verify(module, false, "reading", verdict)) return;
    const char *once = loop_text(c, module);
    LoopModule *again = read_loop(c, once, strlen(once));
    FUZZ_CHECK(again && loop_verify(again, false, "reading", verdict), "%s\n%s", once,
               fuzz_diags(c->arena, verdict));
    FUZZ_CHECK(strcmp(once, loop_text(c, again)) == 0, "%s", once);
    evaluate(c, module);
    loop_expand_math(again);
    FUZZ_CHECK(loop_verify(again, true, "expand_math", verdict), "%s\n%s", once,
               fuzz_diags(c->arena, verdict));
    evaluate(c, again);
}
