/* Source texts compiled in process, with the graph between sema and causality laid open. */
#include "said.h"

#include "grammar/grammar.h"
#include "input.h"
#include "loop/lower.h"
#include "passes/passes.h"
#include "prelude.h"

Dice dice_new(uint64_t seed) {
    return (Dice){seed * 0x9E3779B97F4A7C15u + 0x1234567};
}

int dice(Dice *dice, int count) { /* splitmix64 (Steele, Lea and Flood 2014) */
    uint64_t z = dice->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (int)((z ^ (z >> 31)) % (uint64_t)count);
}

bool dice_percent(Dice *d, int percent) {
    return dice(d, 100) < percent;
}

void dice_range(const char *name, int *first, int *last) {
    const char *wish = getenv(name);
    if (wish && sscanf(wish, "%d:%d", first, last) != 2) fail_msg("%s=FIRST:LAST", name);
}

static const Source *load(void *user, Arena *arena, const char *path, const char **why) {
    (void)user;
    return input_source(arena, path, why);
}

static void first_error(Arena *arena, const Diags *diags, Verdict *verdict) {
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    *verdict = (Verdict){false, "internal", text_string(&text)};
    for (int i = diags->list.count; i-- > 0;)
        if (diags->list.at[i]->kind == DIAG_ERROR) verdict->code = diags->list.at[i]->code;
}

const Graph *said_graph(Arena *arena, Names *names, const Said *said, Verdict *verdict) {
    Source *source = ARENA_NEW(arena, Source);
    *source =
        (Source){said->path ? said->path : "said.rnn", said->text, (uint32_t)strlen(said->text)};
    Source *library = ARENA_NEW(arena, Source);
    *library = (Source){"<prelude>", prelude_text, prelude_length};
    Diags *diags = diags_new(arena);
    SemaDefine *defines = ARENA_ARRAY(arena, said->define_count + 1, SemaDefine);
    for (int i = 0; i < said->define_count; i++)
        defines[i] = (SemaDefine){said->defines[i].name, said->defines[i].value, false};
    const Ast *ast = grammar_parse(arena, names, source, diags);
    const Ast *prelude = said->with_prelude ? grammar_parse(arena, names, library, diags) : NULL;
    const Graph *graph = NULL;
    if (!diags->errors) {
        Program *program = sema_program(arena, names, ast, prelude, load, NULL, defines,
                                        said->define_count, diags);
        const char *model = sema_model(program, said->model, diags);
        if (!diags->errors) graph = sema_graph(program, model, said->mode, diags);
        if (!diags->errors) graph_verify(graph, "sema", diags);
    }
    *verdict = (Verdict){.accepted = diags->errors == 0};
    if (verdict->accepted) return graph;
    first_error(arena, diags, verdict);
    return NULL;
}

static Built *lower(Arena *arena, Names *names, const Graph *graph, const Said *said,
                    Diags *diags) {
    Built *built = ARENA_NEW(arena, Built);
    *built = (Built){.result = BROKEN, .words = "", .graph = graph};
    bool *needed = ARENA_ARRAY(arena, graph->axes.count + 1, bool);
    passes_axes_needed(graph, needed);
    const PassOptions passes = {
        .names = said->passes, .name_count = said->pass_count, .verify_each = true};
    Choices choices = {0};
    memcpy(choices.off, said->off, sizeof choices.off);
    LowerOptions how = {
        .target = said->target, .real = said->real, .prefix = "said", .axes_needed = needed};
    const Graph *normal = passes_run(graph, &passes, diags);
    if (!normal || !graph_verify(normal, "passes", diags)) return built;
    Schedule *schedule = schedule_build_with(arena, normal, &choices, NULL, diags);
    if (!schedule || !schedule_verify(schedule, diags)) return built;
    Interface *in = lower_schedule(arena, names, schedule, &how, diags);
    if (!in || !loop_verify(in->module, false, "lower", diags)) return built;
    loop_expand_math(in->module);
    if (!loop_verify(in->module, true, "expand_math", diags)) return built;
    built->program = loop_program_new(arena, in->module, &built->words);
    if (!built->program) return built;
    built->in = in;
    built->result = BUILT;
    return built;
}

static bool only_refusals(const Diags *diags) {
    bool only = diags->errors > 0;
    for (int i = 0; i < diags->list.count; i++) {
        const Diag *diag = diags->list.at[i];
        if (diag->kind == DIAG_ERROR && (strcmp(diag->code, "E-LOWER") != 0 || !diag->span.source))
            only = false;
    }
    return only;
}

Built *said_lower(Arena *arena, Names *names, const Graph *graph, const Said *said) {
    Diags *diags = diags_new(arena);
    Built *built = lower(arena, names, graph, said, diags);
    if (built->result == BUILT || !diags->errors) return built;
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    built->words = text_string(&text);
    if (only_refusals(diags)) built->result = NOT_LOWERED;
    return built;
}

Built *said_build(Arena *arena, const Said *said) {
    Names *names = names_new(arena);
    Verdict verdict;
    Diags *diags = diags_new(arena);
    const Graph *graph = said_graph(arena, names, said, &verdict);
    if (graph && schedule_causal(arena, graph, diags)) return said_lower(arena, names, graph, said);
    if (graph) first_error(arena, diags, &verdict);
    Built *built = ARENA_NEW(arena, Built);
    *built = (Built){.words = verdict.words, .graph = graph};
    built->result = strcmp(verdict.code, "internal") == 0 ? BROKEN : NOT_CHECKED;
    return built;
}
