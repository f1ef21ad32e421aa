/* The same said otherwise: programs of the other tests and random ones, rewritten in ways that
 * change nothing, give the same bits; so do other lanes, passes and choices that decide none, parts
 * of batches, prefixes, chunks, flipped sequences and poisoned padding.
 * SAID_SEEDS=FIRST:LAST tries other random programs; SAID_VERBOSE=1 prints what was not compiled.
 */
#include "rewrite.h"

#include <math.h>

#include "../numeric/list.h"
#include "../random/generate.h"
#include "grammar/grammar.h"
#include "input.h"

typedef enum Way {
    RENAMED,
    REORDERED,
    SPLIT,
    INLINED,
    DEAD,
    LANES,
    CHOICES,
    SINGLES,
    PREFIX,
    POISON,
    REVERSED,
    CHUNKS,
    WAY_COUNT
} Way;

static const char *const way_names[WAY_COUNT] = {
    "names changed",
    "equations in another order",
    "an equation split",
    "an equation inlined",
    "dead equations added",
    "4 and 16 lanes",
    "choices that decide no bits switched off",
    "a batch and its singles",
    "a longer sequence and its prefix",
    "NaN in the padding",
    "reverse, and flip around it",
    "chunks with carried state",
};

typedef struct Count {
    int programs, left_out, run[WAY_COUNT], refused[WAY_COUNT], failures;
} Count;

typedef struct Trial {
    Arena *arena;
    Count *count;
    Said said;
    const char *what;
    const Built *built;
    Data *batch, *single;
    Outcome *of_batch, *of_single;
    uint64_t seed;
} Trial;

enum { BATCH = 3, STEPS = 6 };

static Data *draw_data(Arena *arena, const Graph *graph, int64_t batch, uint64_t seed) {
    static const int64_t ragged[] = {STEPS, 2, 4};
    Data *data = data_new(arena, graph, batch, STEPS, ragged, batch > 1 ? 3 : 0, seed);
    for (int i = 0; i < graph->inputs.count; i++)
        for (int64_t k = 0; graph->inputs.at[i].type.pointer == PTR_PAST && data->inputs[i] &&
                            k < port_count(data, &graph->inputs.at[i]);
             k++)
            data->inputs[i][k] = -1;
    return data;
}

static void report(Trial *p, Way way, const char *text, const char *words) {
    p->count->run[way]++;
    if (!words) return;
    if (p->count->failures++ < 10)
        printf("FAIL %s: %s: %s\n%s\n", p->what, way_names[way], words,
               text && (!p->said.path || getenv("SAID_VERBOSE")) ? text : "");
}

/* ---- other texts ---- */

/* Whether parameter `at` is the same in both: whatever order equations are in, it has the same
 * place; the same name, too, behind that of an instance that was put around, unless names were
 * changed. */
static bool same_param(const Graph *from, const Graph *graph, int at, bool renamed) {
    const GraphParam *a = &from->params.at[at], *b = &graph->params.at[at];
    const char *name = strncmp(b->name, "said.", 5) == 0 ? b->name + 5 : b->name;
    return shape_equal(a->shape, b->shape) && (renamed || strcmp(a->name, name) == 0);
}

/* The place in `from` of an axis of another build: by its name; where names were changed, by its
 * place. */
static int axis_in(const Graph *from, const Graph *graph, int at, bool by_place) {
    if (by_place) return at < from->axes.count ? at : -1;
    for (int i = 0; i < from->axes.count; i++)
        if (strcmp(from->axes.at[i].name, graph->axes.at[at].name) == 0) return i;
    return -1;
}

/* The same data for another build of the same model; NULL: its interface is another. */
static Data *data_for(Arena *arena, const Data *data, const Graph *graph, bool by_place) {
    const Graph *from = data->graph;
    Data *other = arena_copy(arena, data, sizeof *data);
    other->graph = graph;
    other->params = ARENA_ARRAY(arena, graph->params.count + 1, double *);
    other->extent = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t);
    other->lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    if (graph->inputs.count != from->inputs.count || graph->params.count != from->params.count ||
        graph->outputs.count != from->outputs.count)
        return NULL;
    for (int i = 0; i < graph->params.count; i++) {
        if (!same_param(from, graph, i, by_place)) return NULL;
        other->params[i] = data->params[i];
    }
    for (int a = 0; a < graph->axes.count; a++) {
        int at = axis_in(from, graph, a, by_place);
        if (at < 0) return NULL;
        other->extent[a] = data->extent[at];
        other->lengths[a] = data->lengths[at];
    }
    return other;
}

static const Built *build_text(Trial *p, Way way, const char *text, const char *model, bool must) {
    Said said = p->said;
    said.text = text;
    said.model = model;
    const Built *built = said_build(p->arena, &said);
    if (built->result == BUILT && data_for(p->arena, p->batch, built->graph, way == RENAMED))
        return built;
    p->count->refused[way]++;
    if (must || built->result == BROKEN)
        report(p, way, text, built->result == BUILT ? "another interface" : built->words);
    else if (getenv("SAID_VERBOSE"))
        printf("%s: %s: not compiled: %s\n", p->what, way_names[way], built->words);
    return NULL;
}

static void compare_built(Trial *p, Way way, const char *text, const Built *built) {
    Arena *arena = p->arena;
    Data *some = data_for(arena, p->batch, built->graph, way == RENAMED);
    Data *one = data_for(arena, p->single, built->graph, way == RENAMED);
    Outcome *batch = run_forward(&evaluator, arena, built, some, NULL);
    Outcome *single = run_forward(&evaluator, arena, built, one, NULL);
    const char *words = compare_exact(arena, p->batch, batch, p->of_batch);
    if (!words) words = compare_exact(arena, p->single, single, p->of_single);
    report(p, way, text, words);
}

static void rewritten(Trial *p, const Ast *ast, Way way) {
    static const char *(*const rewrites[])(Rewriting *) = {
        rewrite_rename, rewrite_reorder, rewrite_split, rewrite_inline, rewrite_dead};
    Dice dice_ = dice_new(p->seed * WAY_COUNT + (uint64_t)way);
    Rewriting r = {.arena = p->arena,
                   .ast = ast,
                   .model = p->said.model,
                   .dice = &dice_,
                   .defines = p->said.defines,
                   .define_count = p->said.define_count};
    const char *text = rewrites[way](&r);
    if (!text) return;
    const Built *built = build_text(p, way, text, r.model, way != SPLIT && way != INLINED);
    if (built) compare_built(p, way, text, built);
}

/* ---- other builds of the same text ---- */

static void other_builds(Trial *p) {
    const Target targets[] = {target_4, target_16};
    for (int i = 0; i < 2; i++) {
        Said said = p->said;
        said.target = targets[i];
        const Built *built = said_build(p->arena, &said);
        if (built->result == BUILT)
            compare_built(p, LANES, p->said.text, built);
        else
            report(p, LANES, p->said.text, built->words);
    }
    Said said = p->said;
    bool some = false;
    Dice dice_ = dice_new(p->seed);
    for (int c = 0; c < CHOICE_COUNT; c++)
        if (!choice_decides_bits((Choice)c)) some |= said.off[c] = dice_percent(&dice_, 70);
    if (!some) return;
    const Built *built = said_build(p->arena, &said);
    if (built->result == BUILT)
        compare_built(p, CHOICES, p->said.text, built);
    else
        report(p, CHOICES, p->said.text, built->words);
}

/* ---- other data ---- */

static bool has_op(const Graph *graph, Op op) {
    for (int i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.at[i]->op == op) return true;
    return false;
}

/* A batch differs from its singles in the chains of its products, no more: where bits differ, each
 * lies within its bound around the interpreter. */
static void singles(Trial *p) {
    Arena *arena = p->arena;
    if (has_op(p->built->graph, OP_DRAW)) return; /* a draw knows its place in the batch */
    for (int64_t b = 0; b < BATCH; b++) {
        Data *part = data_part(arena, p->batch, b, 1, -1, 0, 0);
        Outcome *got = run_forward(&evaluator, arena, p->built, part, NULL);
        if (got->error || got->status != LOOP_OK) {
            report(p, SINGLES, p->said.text,
                   got->error ? got->error : "a sequence of a batch is refused alone");
            return;
        }
        const char *words = compare_part(arena, p->batch, p->of_batch, part, got, b, -1, 0, 0);
        double used = 0;
        if (words) {
            Outcome *want = run_bounded(arena, p->built, part, p->said.real);
            Outcome *all = run_bounded(arena, p->built, p->batch, p->said.real);
            words = compare_bound(arena, part, got, want, &used);
            if (!words) words = compare_bound(arena, p->batch, p->of_batch, all, &used);
        }
        report(p, SINGLES, p->said.text, words);
    }
}

/* Reads nothing that lies ahead on this axis, as written. */
static bool causal_on(const Graph *graph, int axis) {
    if (graph->axes.at[axis].kind != AXIS_RUN || graph->axes.at[axis].fixed ||
        graph->axes.at[axis].generated)
        return false;
    for (int i = 0; i < graph->axes.count; i++)
        if (graph->axes.at[i].kind == AXIS_SLOW) return false;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (node->op == OP_LENGTH || node->op == OP_CTC || node->op == OP_TCONCAT) return false;
        if (node->attr.mirrored) return false;
        if (node->op == OP_READ)
            for (int k = 0; k < node->attr.at_count; k++) {
                const At *at = &node->attr.at[k];
                const Node *source = graph->nodes.at[node->in[0]];
                if (graph->indices.at[source->domain[k]].axis != axis) continue;
                if (at->kind != AT_INDEX || at->offset > 0) return false;
                /* At another index: it may be the later one. */
                if (at->index != source->domain[k]) return false;
            }
        bool reduces = node->op == OP_TSUM || node->op == OP_TMEAN || node->op == OP_TMAX ||
                       node->op == OP_TLOGSUMEXP || node->op == OP_TARGMAX ||
                       node->op == OP_TSOFTMAX;
        if (reduces && graph->indices.at[node->attr.index].axis == axis &&
            (node->attr.high.kind != BOUND_INDEX || node->attr.high.offset > 1))
            return false;
    }
    for (int o = 0; o < graph->outputs.count; o++)
        for (int d = 0; d < graph->outputs.at[o].index_count; d++)
            if (graph->indices.at[graph->outputs.at[o].indices[d]].axis == axis) return true;
    return false;
}

static void prefixes(Trial *p) {
    const Graph *graph = p->built->graph;
    for (int a = 0; a < graph->axes.count; a++) {
        if (!causal_on(graph, a)) continue;
        for (int64_t steps = 1; steps < p->batch->extent[a]; steps += 2) {
            Data *part = data_part(p->arena, p->batch, 0, BATCH, a, 0, steps);
            Outcome *got = run_forward(&evaluator, p->arena, p->built, part, NULL);
            const char *words =
                got->error ? got->error
                : got->status != LOOP_OK
                    ? "a prefix is refused"
                    : compare_part(p->arena, p->batch, p->of_batch, part, got, 0, a, 0, 0);
            report(p, PREFIX, p->said.text, words);
        }
    }
}

static void poisoned(Trial *p) {
    Data *bad = data_poisoned(p->arena, p->batch);
    Outcome *got = run_forward(&evaluator, p->arena, p->built, bad, NULL);
    report(p, POISON, p->said.text, compare_exact(p->arena, p->batch, got, p->of_batch));
}

/* ---- applied: reversed, carried ---- */

/* The one axis that all ports with time run over, once each; -1. */
static int only_axis(const Graph *graph) {
    int axis = -1;
    const GraphPort *ports[] = {graph->inputs.at, graph->outputs.at};
    const int counts[] = {graph->inputs.count, graph->outputs.count};
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < counts[side]; i++) {
            const GraphPort *port = &ports[side][i];
            if (port->index_count > 1 || port->type.pointer) return -1;
            if (!port->index_count) continue;
            int own = graph->indices.at[port->indices[0]].axis;
            if (graph->axes.at[own].kind != AXIS_RUN || (axis >= 0 && own != axis)) return -1;
            axis = own;
        }
    return axis >= 0 && !graph->axes.at[axis].generated ? axis : -1;
}

static double *flip_port(Arena *arena, const Data *data, const GraphPort *port, double *from) {
    if (!from || !port->index_count) return from;
    int axis = data->graph->indices.at[port->indices[0]].axis;
    int64_t n = shape_count(port->type.shape);
    double *to = arena_copy(arena, from, (size_t)port_count(data, port) * sizeof *from);
    for (int64_t b = 0; b < data->batch; b++) {
        int64_t length = data->lengths[axis] ? data->lengths[axis][b] : data->extent[axis];
        for (int64_t t = 0; t < length; t++)
            memcpy(to + (t * data->batch + b) * n, from + ((length - 1 - t) * data->batch + b) * n,
                   (size_t)n * sizeof *to);
    }
    return to;
}

static Data *flipped(Arena *arena, const Data *data) {
    Data *other = arena_copy(arena, data, sizeof *data);
    other->inputs = ARENA_ARRAY(arena, data->graph->inputs.count + 1, double *);
    for (int i = 0; i < data->graph->inputs.count; i++)
        other->inputs[i] = flip_port(arena, data, &data->graph->inputs.at[i], data->inputs[i]);
    return other;
}

static const Built *applied(Trial *p, const Ast *ast, Way way, const char *modifier,
                            const char **text) {
    Rewriting r = {.arena = p->arena, .ast = ast, .model = p->said.model};
    if (has_op(p->built->graph, OP_DRAW)) return NULL; /* its name has its instance in it */
    *text = rewrite_apply(&r, p->built->graph, modifier);
    return *text ? build_text(p, way, *text, "Said", false) : NULL;
}

static void reversed(Trial *p, const Ast *ast) {
    const char *text;
    if (only_axis(p->built->graph) < 0) return;
    const Built *built = applied(p, ast, REVERSED, "reverse", &text);
    if (!built) return;
    Data *data = data_for(p->arena, flipped(p->arena, p->batch), built->graph, false);
    Outcome *got = run_forward(&evaluator, p->arena, built, data, NULL);
    if (!got->error && got->status == LOOP_OK)
        for (int o = 0; o < built->graph->outputs.count; o++)
            got->outputs[o] =
                flip_port(p->arena, data, &built->graph->outputs.at[o], got->outputs[o]);
    report(p, REVERSED, text, compare_exact(p->arena, p->batch, got, p->of_batch));
}

static void chunked(Trial *p, const Ast *ast) {
    const char *text, *words;
    int axis = only_axis(p->built->graph);
    if (axis < 0 || p->built->graph->axes.at[axis].fixed) return;
    const Built *built = applied(p, ast, CHUNKS, "carry", &text);
    if (!built || built->in->import_state < 0) return;
    const CallOptions first = {.fill = 0x55, .with_state = true};
    Data *whole = data_for(p->arena, p->batch, built->graph, false);
    Outcome *all = run_forward(&evaluator, p->arena, built, whole, &first);
    if (all->error) {
        report(p, CHUNKS, text, all->error);
        return;
    }
    for (int64_t cut = 0; cut <= STEPS; cut += 2) {
        Data *one = data_part(p->arena, whole, 0, BATCH, axis, 0, cut);
        Data *two = data_part(p->arena, whole, 0, BATCH, axis, cut, STEPS - cut);
        Outcome *head = run_forward(&evaluator, p->arena, built, one, &first);
        if (head->error || head->status != LOOP_OK) {
            report(p, CHUNKS, text, head->error ? head->error : "a chunk is refused");
            return;
        }
        CallOptions then = first;
        then.states = (const double *const *)head->states;
        Outcome *tail = run_forward(&evaluator, p->arena, built, two, &then);
        words = tail->error ? tail->error : tail->status != LOOP_OK ? "a chunk is refused" : NULL;
        if (!words) words = compare_part(p->arena, whole, all, one, head, 0, axis, 0, 0);
        if (!words) words = compare_part(p->arena, whole, all, two, tail, 0, axis, cut, 0);
        report(p, CHUNKS, text, words);
    }
}

/* ---- one program ---- */

static void try_program(Trial *p) {
    Diags *diags = diags_new(p->arena);
    Source *source = ARENA_NEW(p->arena, Source);
    *source = (Source){"said.rnn", p->said.text, (uint32_t)strlen(p->said.text)};
    const Ast *ast = grammar_parse(p->arena, names_new(p->arena), source, diags);
    p->built = said_build(p->arena, &p->said);
    if (p->built->result != BUILT) {
        p->count->left_out++;
        return;
    }
    p->batch = draw_data(p->arena, p->built->graph, BATCH, p->seed);
    p->single = draw_data(p->arena, p->built->graph, 1, p->seed + 1);
    p->of_batch = run_forward(&evaluator, p->arena, p->built, p->batch, NULL);
    p->of_single = run_forward(&evaluator, p->arena, p->built, p->single, NULL);
    if (p->of_batch->error || p->of_single->error || p->of_batch->status != LOOP_OK ||
        p->of_single->status != LOOP_OK) {
        p->count->left_out++;
        return;
    }
    p->count->programs++;
    for (Way way = RENAMED; way <= DEAD; way++) rewritten(p, ast, way);
    other_builds(p);
    singles(p);
    prefixes(p);
    poisoned(p);
    reversed(p, ast);
    chunked(p, ast);
}

static void open_random(int seed, Count *count) {
    Test test;
    TEST_OPEN(&test);
    RandomProgram random = program_generate(
        test.arena, (uint64_t)seed, &(ProgramOptions){.lowered = true, .small = seed % 2 == 0});
    Trial p = {.arena = test.arena,
               .count = count,
               .said = {.text = random.text,
                        .model = random.model,
                        .real = LT_F32,
                        .target = target_8,
                        .with_prelude = true},
               .what = arena_printf(test.arena, "seed %d", seed),
               .seed = (uint64_t)seed};
    try_program(&p);
    arena_free(test.arena);
}

static void open_case(const Case *entry, int number, Count *count) {
    Test test;
    TEST_OPEN(&test);
    const char *why;
    const Source *source = input_source(test.arena, entry->file, &why);
    Trial p = {.arena = test.arena,
               .count = count,
               .said = {.text = source->text,
                        .model = entry->model,
                        .real = LT_F32,
                        .target = target_8,
                        .defines = entry->defines,
                        .define_count = entry->define_count,
                        .with_prelude = true,
                        .path = entry->file},
               .what = entry->what,
               .seed = (uint64_t)number};
    try_program(&p);
    arena_free(test.arena);
}

static void print_count(const Count *count) {
    printf("%d programs; %d not compiled or refused at the call\n", count->programs,
           count->left_out);
    for (int w = 0; w < WAY_COUNT; w++)
        printf("%7d %s; %d rewritten so were not compiled\n", count->run[w], way_names[w],
               count->refused[w]);
}

static void programs_of_other_tests(void **state) {
    static const char *const folders[] = {"tests/numeric/programs", "tests/golden/programs"};
    Test test;
    Count count = {0};
    int taken = 0;
    (void)state;
    TEST_OPEN(&test);
    Case *list = ARENA_ARRAY(test.arena, 2000, Case);
    for (int f = 0; f < 2; f++) {
        int cases = list_folder(test.arena, folders[f], f == 1, list, 2000);
        for (int i = 0; i < cases; i++)
            if (list[i].mode == MODE_INFER && (!list[i].swept || list[i].defines[0].value == 9))
                open_case(&list[i], taken++, &count);
    }
    arena_free(test.arena);
    print_count(&count);
    assert_int_equal(count.failures, 0);
}

static void random_programs(void **state) {
    int first = 0, last = 150;
    Count count = {0};
    (void)state;
    dice_range("SAID_SEEDS", &first, &last);
    for (int seed = first; seed < last; seed++) open_random(seed, &count);
    print_count(&count);
    assert_int_equal(count.failures, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs_of_other_tests),
                                       cmocka_unit_test(random_programs)};
    setvbuf(stdout, NULL, _IOLBF, 0); /* a run that is cut off has told what it found */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
