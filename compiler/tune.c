/* `rnnc tune`: the choices that change no bit, tried one kind after the other.
 *
 * For inference `forward` decides, for training `grad`. A round compiles the best so far and all
 * values of one kind (vectors of a tile, rows, layout, steps a turn, …), lets them take turns on
 * the clock, and keeps the quickest if it is quicker by more than the clock's own doubt. Results of
 * all must have the same bits. In the end the best runs against what the rules give once more. */
#include "tune.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "bench.h"
#include "tuning.h"

enum { ROUNDS = 11, LAST_ROUNDS = 25, MOST_TRIES = 8 };
static const double doubt = 0.02; /* a share by which equal code may differ */

/* One compilation, ready to be called. */
typedef struct Try {
    Arena *arena;
    Made made;
    Compilation *c;
    const char *code; /* its loops, in c->arena */
    bool same;        /* as an earlier one: it need not run */
    Compiled *compiled;
    RunData data;
    BenchClock clock;
    double ns;
} Try;

typedef struct Tune {
    Compilation *c; /* the user's */
    Text *table;
    BenchSizes sizes;
    bool training;
    Made best;
    double gain; /* of the last comparison: time of the best over that of the rules */
    double ns;
    ExitStatus status;
} Tune;

/* ---- One try ---- */

static int function_of(const Tune *t, const Interface *in) {
    return t->training ? in->grad : in->forward;
}

static Compilation *compile(const Tune *t, Arena *arena, const Made *made) {
    const Compilation *outer = t->c;
    Options *options = arena_copy(arena, outer->options, sizeof *options);
    options->training = t->training;
    options->mode = t->training ? MODE_TRAIN : MODE_INFER;
    options->init = options->verify_each = options->time_passes = options->verbose = false;
    Compilation *c = compilation_new(arena, options);
    c->target = outer->target;
    c->read = outer->read;
    c->read_user = outer->read_user;
    c->pool = outer->pool;
    c->tried = *made;
    return c;
}

/* Whether the loops are those of one of the tries before this one. */
static bool same_code(const Try *tries, Try *try) {
    Text text = text_new(try->arena);
    loop_print(try->c->interface_->module, &text);
    try->code = text_string(&text);
    for (const Try *other = tries; other < try; other++)
        if (other->code && strcmp(other->code, try->code) == 0) return true;
    return false;
}

/* False: t->status says how it ended, and the user's diagnostics why. `tries`: those before it. */
static bool open_try(Tune *t, const Try *tries, Try *try, const Made *made) {
    *try = (Try){.arena = arena_new_in(t->c->arena), .made = *made, .ns = HUGE_VAL};
    Compilation *c = try->c = compile(t, try->arena, made);
    t->status = EXIT_INPUT;
    bool good = compilation_run(c, STAGE_LOOP);
    if (good && (try->same = same_code(tries, try))) return true;
    good = good && bench_draw(c, &t->sizes, &try->data);
    good = good && (try->compiled = run_c_open(c, &t->status)) &&
           bench_lay_out(c, try->compiled, &try->data, &t->status);
    int index = good ? function_of(t, c->interface_) : -1;
    good = good && compiled_checked(try->compiled, index, &t->status);
    if (good && !bench_clock_new(try->compiled, index, index, &try->ns, &try->clock)) {
        t->status = EXIT_OUTSIDE;
        good = false;
    }
    if (good) return true;
    text_puts(&t->c->log, text_string(&c->log));
    for (int i = 0; i < c->diags->list.count; i++) {
        const Diag *diag = c->diags->list.at[i];
        if (diag->kind == DIAG_ERROR)
            diag_error(t->c->diags, diag->code, (Span){0}, "%s", diag->message);
    }
    return false;
}

static void close_try(Try *try) {
    if (try->compiled) run_c_close(try->compiled);
    if (try->arena) arena_free(try->arena);
    *try = (Try){0};
}

/* The results, before the clock runs: both were called as often, so that gradients were added as
 * often, too. */
static bool same_results(const Tune *t, const Try *a, const Try *b) {
    const Interface *in = a->c->interface_;
    int index = function_of(t, in);
    if (t->training && in->param_count > 0 &&
        memcmp(a->compiled->grads, b->compiled->grads,
               (size_t)in->param_count * (size_t)loop_type_size(in->module->real)) != 0)
        return false;
    for (int i = 0; i < a->data.graph->outputs.count; i++) {
        const GraphPort *port = &a->data.graph->outputs.at[i];
        LoopType type = compiled_type(a->compiled, index, ROLE_OUTPUT, i);
        if (type == LT_VOID || !a->compiled->outputs[i]) continue;
        RunData data = a->data;
        int64_t n =
            run_count(&data, port->index_count, port->indices, data.extent, port->type.shape);
        if (memcmp(a->compiled->outputs[i], b->compiled->outputs[i],
                   (size_t)n * (size_t)loop_type_size(type)) != 0)
            return false;
    }
    return true;
}

/* ---- A comparison ---- */

/* ns 0: it did not run. */
static void put_row(Tune *t, const Made *made, double ns, double first, const char *word) {
    Text text = text_new(t->c->arena);
    made_text(made, t->c->options->threads, &text);
    const char *name = text.length ? text_string(&text) + 1 : "as the rules say";
    if (ns > 0)
        text_printf(t->table, "  %-58s %11s %6.2f%s%s\n", name, bench_time_text(t->c->arena, ns),
                    ns / first, *word ? "  " : "", word);
    else
        text_printf(t->table, "  %-58s the same code\n", name);
}

/* The quickest call of a slice; short ones together, for the clock's sake. Threads that others push
 * from their core make single calls long, not all of them. */
static double least(const BenchClock *what) {
    BenchClock one = *what;
    double ns = HUGE_VAL;
    one.turns = what->turns > 50 ? what->turns / 50 : 1;
    for (int i = 0; i < what->turns; i += one.turns) ns = fmin(ns, bench_clock(&one));
    return ns;
}

/* Opens all, and holds their results to those of the first. */
static bool open_all(Tune *t, Try *tries, const Made *made, int count) {
    for (int i = 0; i < count; i++) {
        if (!open_try(t, tries, &tries[i], &made[i])) return false;
        if (i && !tries[i].same && !same_results(t, &tries[0], &tries[i])) {
            Text text = text_new(t->c->arena);
            made_text(&made[i], t->c->options->threads, &text);
            diag_error(t->c->diags, "internal", (Span){0},
                       "results differ with%s, which must change no bit", text_string(&text));
            t->status = EXIT_DEFECT;
            return false;
        }
    }
    return true;
}

/* The quickest of them, each the minimum of some rounds in which all take turns; the first stays
 * where none is clearly quicker. -1: it failed. */
static int quickest(Tune *t, const Made *made, int count, int rounds) {
    Try *tries = ARENA_ARRAY(t->c->arena, count + 1, Try);
    int best = 0;
    bool good = open_all(t, tries, made, count);
    for (int round = 0; good && round < rounds; round++)
        for (int i = 0; i < count; i++)
            if (!tries[i].same) tries[i].ns = fmin(tries[i].ns, least(&tries[i].clock));
    for (int i = 1; good && i < count; i++)
        if (tries[i].ns < tries[best].ns) best = i;
    if (good && tries[best].ns > tries[0].ns * (1 - doubt)) best = 0;
    for (int i = 0; good && i < count; i++)
        put_row(t, &made[i], tries[i].same ? 0 : tries[i].ns, tries[0].ns,
                best && i == best ? "taken" : "");
    if (good) t->gain = tries[best].ns / tries[0].ns;
    if (good) t->ns = tries[best].ns;
    for (int i = 0; i < count; i++) close_try(&tries[i]);
    return good ? best : -1;
}

/* ---- What is tried ---- */

typedef enum Kind {
    KIND_VECTORS,
    KIND_ROWS,
    KIND_LAYOUT,
    KIND_UNROLL,
    KIND_ORDER,
    KIND_SPLIT,
    KIND_COUNT
} Kind;

static const char *const kind_names[] = {"vectors of units of a tile", "rows of a tile",
                                         "values between loops",       "steps a turn",
                                         "order of weights",           "what threads share"};

/* The values of one kind, the best so far first. */
static int values_of(const Tune *t, Kind kind, Made *made) {
    static const int vectors[] = {1, 2, 3, 4, 6}, rows[] = {2, 3, 4, 6, 8}, turns[] = {2, 4, 8};
    const Force *best = &t->best.force;
    int count = 1;
    made[0] = t->best;
    for (int i = 1; i < MOST_TRIES; i++) made[i] = t->best;
    switch (kind) {
    case KIND_VECTORS:
        for (int i = 0; i < 5; i++)
            if (vectors[i] != best->vectors) made[count++].force.vectors = vectors[i];
        break;
    case KIND_ROWS:
        for (int i = 0; i < 5; i++)
            if (rows[i] != best->rows) made[count++].force.rows = rows[i];
        break;
    case KIND_LAYOUT:
        if (best->layout != LAYOUT_ROWS) made[count++].force.layout = LAYOUT_ROWS;
        break;
    case KIND_UNROLL:
        for (int i = 0; i < 3; i++)
            if (turns[i] != best->unroll) made[count++].force.unroll = turns[i];
        break;
    case KIND_ORDER:
        if (!t->best.choices.off[CHOICE_zigzag]) made[count++].choices.off[CHOICE_zigzag] = true;
        if (!t->best.choices.off[CHOICE_fuse]) made[count++].choices.off[CHOICE_fuse] = true;
        break;
    case KIND_COUNT: break;
    case KIND_SPLIT:
        if (t->c->options->threads < 2) break;
        for (int split = SPLIT_UNITS; split < SPLIT_COUNT; split++)
            if ((ForceSplit)split != best->split) made[count++].force.split = (ForceSplit)split;
        break;
    }
    return count;
}

static bool search(Tune *t) {
    const Made rules = {.force = {0}};
    for (Kind kind = KIND_VECTORS; kind < KIND_COUNT; kind++) {
        Made made[MOST_TRIES];
        int count = values_of(t, kind, made);
        if (count < 2) continue;
        text_printf(t->table, " %s\n", kind_names[kind]);
        int best = quickest(t, made, count, ROUNDS);
        if (best < 0) return false;
        t->best = made[best];
    }
    text_puts(t->table, " the rules and the best\n");
    const Made both[] = {rules, t->best};
    Text text = text_new(t->c->arena);
    made_text(&t->best, t->c->options->threads, &text);
    int best = quickest(t, both, text.length ? 2 : 1, LAST_ROUNDS);
    if (best < 0) return false;
    t->best = both[best];
    return true;
}

/* ---- The order of things ---- */

/* Whether the model has the function at all: one without a gradient has no training to tune. */
static bool tune_mode(Tune *t, const char **note) {
    Arena *arena = arena_new_in(t->c->arena);
    Compilation *c = compile(t, arena, &t->best);
    bool built = compilation_run(c, STAGE_LOOP);
    bool there = built && function_of(t, c->interface_) >= 0;
    const char *why = !built && c->diags->list.count
                          ? arena_printf(t->c->arena, "%s", c->diags->list.at[0]->message)
                          : "the model has none";
    arena_free(arena);
    const char *name = t->training ? "grad" : "forward";
    if (!there) {
        text_printf(t->table, "%s: %s\n", name, why);
        return true;
    }
    text_printf(t->table, "%-60s %11s %6s\n", name, "time", "ratio");
    if (!search(t)) return false;
    *note = arena_printf(
        t->c->arena, "%s %s, %.2f of what the rules give, %" PRId64 " steps, batch %" PRId64, name,
        bench_time_text(t->c->arena, t->ns), t->gain, t->sizes.steps, t->sizes.batch);
    return true;
}

ExitStatus tune_model(Compilation *c, Text *table, Text *file) {
    Tune t = {.c = c, .table = table};
    if (!compilation_run(c, STAGE_GRAPH) || !bench_choose_sizes(c, &t.sizes)) return EXIT_INPUT;
    if (!compiled_pool(c)) return EXIT_OUTSIDE;
    text_printf(table,
                "model %s, %" PRId64 " steps, batch %" PRId64 ", --dtype=%s, %s, %d thread%s\n",
                c->model, t.sizes.steps, t.sizes.batch, c->options->real == LT_F64 ? "f64" : "f32",
                c->target.target.name, c->options->threads, c->options->threads > 1 ? "s" : "");
    Made best[2] = {{.force = {0}}, {.force = {0}}};
    const char *notes[2] = {NULL, NULL};
    for (int m = 0; m < 2; m++) {
        if (!c->options->tuned[m]) continue;
        t.training = m;
        t.best = (Made){.force = {0}};
        if (!tune_mode(&t, &notes[m])) return t.status;
        best[m] = t.best;
    }
    tuning_write(c, best, notes, file);
    return EXIT_DONE;
}
