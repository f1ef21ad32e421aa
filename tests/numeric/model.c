/* Models of the numeric tests: through the pipeline, for the target and type that a test asks for.
 */
#include "numeric.h"

#include "grammar/grammar.h"
#include "input.h"

const Target target_generic = {"generic", 1, false, 16, 256 << 10};
const Target target_4 = {"lanes-4", 4, true, 32, 512 << 10};
const Target target_8 = {"x86-64-v3", 8, true, 16, 512 << 10};
const Target target_v2 = {"x86-64-v2", 4, false, 16, 256 << 10};
const Target target_arm = {"armv8-a", 4, true, 32, 512 << 10};
const Target target_16 = {"x86-64-v4", 16, true, 32, 1 << 20};

static Buildable judge(const Diags *diags) {
    bool sizes = diags->errors > 0, lower = diags->errors > 0;
    for (int i = 0; i < diags->list.count; i++) {
        const Diag *diag = diags->list.at[i];
        if (diag->kind != DIAG_ERROR) continue;
        if (strcmp(diag->code, "E-SIZEARG") != 0) sizes = false;
        bool known = strcmp(diag->code, "E-LOWER") == 0 || strcmp(diag->code, "E-GRAD") == 0;
        if (!known || !diag->span.source) lower = false;
    }
    return sizes ? NOT_CHECKED : lower ? NOT_LOWERED : BROKEN;
}

/* What the function `grad` gives, for the interpreter. */
static const Gradient *gradient_of(Arena *arena, Compilation *c) {
    const Graph *graph = c->graph;
    bool *upstream = ARENA_ARRAY(arena, graph->outputs.count + 1, bool);
    bool *of_inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, bool);
    for (int o = 0; o < graph->outputs.count; o++)
        upstream[o] = graph->outputs.at[o].type.dtype == DT_FLOAT;
    for (int i = 0; i < graph->inputs.count; i++)
        of_inputs[i] = graph->inputs.at[i].node >= 0 && graph->inputs.at[i].type.dtype == DT_FLOAT;
    const AdjointOptions how = {.losses = graph->losses.count > 0,
                                .reduce_sum = c->options->reduce_sum,
                                .upstream = upstream,
                                .of_inputs = of_inputs,
                                .outputs = true,
                                .of_params = true};
    Gradient *gradient = ARENA_NEW(arena, Gradient);
    Diags *diags = diags_new(arena);
    return gradient_build(graph, &how, false, gradient, diags) ? gradient : NULL;
}

/* Shapes that no rule would take; as often as not none. */
static Force forced(const Spec *spec) {
    static const Force forces[] = {
        {.rows = 3, .vectors = 2, .unroll = 2, .layout = LAYOUT_ROWS, .split = SPLIT_UNITS},
        {.rows = 1, .vectors = 1, .unroll = 3, .split = SPLIT_SEQUENCES},
        {.rows = 8, .vectors = 3, .unroll = 4, .layout = LAYOUT_PANELS},
        {.vectors = 8, .unroll = 5, .split = SPLIT_NONE},
        {.rows = 5, .layout = LAYOUT_ROWS, .unroll = 2, .split = SPLIT_UNITS}};
    enum { FORCES = sizeof forces / sizeof *forces };
    unsigned mark = (unsigned)spec->target.lanes + 7 * (unsigned)spec->real;
    for (const char *at = spec->model; at && *at; at++) mark = mark * 33 + (unsigned char)*at;
    for (int i = 0; i < spec->define_count; i++)
        mark = mark * 33 + (unsigned)spec->defines[i].value;
    mark = mark >> 4 ^ mark;
    return mark % 2 ? forces[mark / 2 % FORCES] : (Force){0};
}

Built *model_build(Arena *arena, const Spec *spec) {
    Built *built = ARENA_NEW(arena, Built);
    Options *options = ARENA_NEW(arena, Options);
    options->file = spec->file;
    options->model = spec->model;
    options->mode = spec->mode;
    options->real = spec->real;
    options->prefix = spec->prefix;
    options->optional_passes = true;
    options->verify_each = spec->verify;
    options->training = spec->training;
    options->init = spec->init;
    options->blas = spec->blas || getenv("NUMERIC_BLAS");
    options->reduce_sum = spec->reduce_sum;
    const char *threads = getenv("NUMERIC_THREADS");
    options->threads = spec->threads ? spec->threads : threads ? atoi(threads) : 1;
    options->eager = true; /* small models, too */
    if (spec->forced) options->force = forced(spec);
    options->chains = spec->chains;
    for (int i = 0; i < spec->define_count; i++)
        vec_push(arena, &options->defines,
                 (SemaDefine){spec->defines[i].name, spec->defines[i].value, false});
    Compilation *c = compilation_new(arena, options);
    c->target.target = spec->target;
    built->c = c;
    bool good = compilation_run(c, STAGE_LOOP);
    Text text = text_new(arena);
    diags_render(c->diags, false, &text);
    built->words = text_string(&text);
    if (!good) {
        built->result = judge(c->diags);
        return built;
    }
    built->graph = c->graph;
    built->in = c->interface_;
    const Graph *normal = built->in->graph;
    if (normal->axes.count != c->graph->axes.count ||
        normal->inputs.count != c->graph->inputs.count ||
        normal->outputs.count != c->graph->outputs.count ||
        normal->params.count != c->graph->params.count) {
        built->result = BROKEN;
        built->words = "the passes have changed axes, ports or parameters";
        return built;
    }
    if (spec->training && !(built->gradient = gradient_of(arena, c))) {
        built->result = BROKEN;
        built->words = "the interpreter gets no gradient";
        return built;
    }
    const char *error = NULL;
    built->program = loop_program_new(arena, built->in->module, &error);
    if (!built->program) {
        built->result = BROKEN;
        built->words = error;
    }
    return built;
}

static int block_statements(const LBlock *block) {
    int count = block->count;
    for (int i = 0; i < block->count; i++)
        count += block_statements(&block->at[i]->body) + block_statements(&block->at[i]->otherwise);
    return count;
}

int model_statements(const Built *built) {
    const LoopModule *module = built->in->module;
    int count = 0;
    for (int f = 0; f < module->functions.count; f++)
        count += block_statements(&module->functions.at[f]->body);
    return count;
}

static const Ast *parse(Arena *arena, const char *file) {
    const char *why = NULL;
    const Source *source = input_source(arena, file, &why);
    Diags *diags = diags_new(arena);
    if (!source) fail_msg("%s: %s", file, why);
    const Ast *ast = grammar_parse(arena, names_new(arena), source, diags);
    if (diags->errors) {
        Text text = text_new(arena);
        diags_render(diags, false, &text);
        fail_msg("%s", text_string(&text));
    }
    return ast;
}

int model_small_sizes(Arena *arena, const char *file, Define *defines, int most) {
    const Ast *ast = parse(arena, file);
    const char *why;
    const Source *source = input_source(arena, file, &why);
    bool images = source && strstr(source->text, "conv("); /* two sizes multiply */
    int count = 0;
    for (int i = 0; i < ast->items.count; i++) {
        const Item *item = ast->items.at[i];
        for (int b = 0; item->kind == ITEM_SIZE && b < item->binds.count && count < most; b++) {
            const Bind *bind = &item->binds.at[b];
            if (bind->value->kind == EXPR_NUMBER && bind->value->number > (images ? 4 : 24))
                defines[count++] = (Define){bind->name, images ? 4 : 18};
        }
    }
    return count;
}

int model_names(Arena *arena, const char *file, const char **names, int most) {
    const Ast *ast = parse(arena, file);
    int count = 0;
    for (int i = 0; i < ast->items.count && count < most; i++)
        if (ast->items.at[i]->kind == ITEM_MODEL) names[count++] = ast->items.at[i]->name;
    return count;
}

bool test_expect(Test *test, const char *what, const char *message) {
    test->checks++;
    if (!message) return true;
    test->failures++;
    print_error("FAIL %s: %s\n", what, message);
    return false;
}

void test_close(Test *test) {
    int failures = test->failures, checks = test->checks;
    arena_free(test->arena);
    if (failures) fail_msg("%d of %d checks failed", failures, checks);
    assert_true(checks > 0);
}
