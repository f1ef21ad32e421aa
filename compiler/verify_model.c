/* The order of `rnnc verify`, and its first half: gradients. What is compared is bounded by the
 * operations that the interpreter needs, so the same elements are looked at on every machine. */
#include "verify_model.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "differences.h"
#include "verify_each.h"

enum { TRIES = 4, MOST_ELEMENTS = 24 };

/* Operations of the interpreter for one call's differences: what is aimed at, and what is borne
 * where one element of each tensor needs more. */
static const double usual_work = 4e8, most_work = 4e9;

static const VerifySize sizes[] = {{1, {1, 1, 1}}, {3, {5, 1, 3}}, {2, {0, 0, 0}}};
enum { SIZES = sizeof sizes / sizeof *sizes };

typedef struct Gradients {
    Compilation *c;
    VerifyFound *found;
    const Graph *graph; /* in train mode */
    VEC(DifferenceTensor) tensors;
    Text notes; /* what was left out */
    int most;   /* the least number of elements that a call looked at */
} Gradients;

const char *verify_size_text(Arena *arena, const VerifySize *size) {
    Text text = text_new(arena);
    text_printf(&text, "%" PRId64 " sequence%s of ", size->batch, size->batch == 1 ? "" : "s");
    for (int i = 0; i < 3 && i < size->batch; i++) {
        if (i && size->length[1] == size->length[0] && size->length[2] == size->length[0]) break;
        text_printf(&text, "%s%" PRId64, i ? ", " : "", size->length[i]);
    }
    return text_string(&text);
}

/* ---- One call ---- */

static void merge(Gradients *g, const Differences *one) {
    for (int i = 0; i < one->tensors.count; i++) {
        const DifferenceTensor *from = &one->tensors.at[i];
        int k = 0;
        while (k < g->tensors.count && (g->tensors.at[k].input != from->input ||
                                        strcmp(g->tensors.at[k].name, from->name) != 0))
            k++;
        if (k == g->tensors.count) {
            vec_push(g->c->arena, &g->tensors, *from);
            continue;
        }
        DifferenceTensor *to = &g->tensors.at[k];
        if (from->elements > to->elements) to->elements = from->elements;
        to->checked += from->checked;
        to->kinks += from->kinks;
        to->worst = fmax(to->worst, from->worst);
    }
    g->found->compared += one->checked;
}

static void left_out(Gradients *g, const char *what, const char *why) {
    text_printf(&g->notes, "  left out: %s: %s\n", what, why);
}

/* False after an error, in c->diags. */
static bool check_call(Gradients *g, const char *what, const InterpCall *call, double work,
                       uint64_t seed, bool last, Differences *result) {
    Arena *arena = g->c->arena;
    Gradient gradient;
    Diags *diags = diags_new(arena);
    const AdjointOptions how = differences_options(arena, g->graph, call);
    *result = (Differences){.result = DIFFERENCES_NONE};
    if (!gradient_build(g->graph, &how, g->c->options->verify_each, &gradient, diags)) {
        for (int i = 0; i < diags->list.count; i++) {
            const Diag *diag = diags->list.at[i];
            if (diag->kind != DIAG_ERROR) continue;
            diag_error(g->c->diags, diag->code, diag->span, "%s", diag->message);
        }
        return false;
    }
    double one = 4 * work * (double)(gradient.graph->outputs.count + 1);
    if (one > most_work) {
        left_out(g, what, "the model is too large");
        return true;
    }
    int most = (int)fmin(MOST_ELEMENTS, fmax(1, usual_work / one));
    *result = differences_check(arena, &gradient, call, most, seed);
    if (result->undefined && !last) result->result = DIFFERENCES_REFUSED;
    if (result->result == DIFFERENCES_SAME || result->result == DIFFERENCES_WRONG) {
        if (most < g->most) g->most = most;
        merge(g, result);
    }
    if (result->result == DIFFERENCES_WRONG && !g->found->differs)
        g->found->differs = arena_printf(arena, "%s: %s", what, result->words);
    return true;
}

/* With carried state the sequences go on, from the state of a call before. */
static bool check_size(Gradients *g, const VerifySize *size, bool again) {
    Compilation *c = g->c;
    Differences result = {0};
    const char *what = verify_size_text(c->arena, size);
    if (again) what = arena_printf(c->arena, "%s, from a state", what);
    for (int try = 0; try < TRIES; try++) {
        uint64_t seed = c->options->seed * 1000 + (uint64_t)(10 * (size - sizes) + try);
        VerifyCase drawn = verify_draw_sized(c->arena, g->graph, size, try % 2 != 0,
                                             try >= TRIES / 2, most_work, seed);
        drawn.call.seed = c->options->seed;
        if (drawn.large) {
            left_out(g, what, "the model is too large");
            return true;
        }
        if (again) {
            InterpResult *before = interpret(c->arena, g->graph, &drawn.call);
            if (before->status != INTERP_OK) continue;
            drawn.call.state = before->state;
            drawn.call.state_count = before->state_count;
        }
        if (!check_call(g, what, &drawn.call, drawn.work, seed, try + 1 == TRIES, &result))
            return false;
        if (result.result != DIFFERENCES_REFUSED) return true;
    }
    /* Few models have no empty sequences; no other draw changes that. */
    if (size->length[0] > 0) left_out(g, what, result.words ? result.words : "refused");
    return true;
}

/* ---- All of it ---- */

static void print_tensors(Gradients *g) {
    Text *out = g->found->out;
    int widest = 9;
    for (int i = 0; i < g->tensors.count; i++) {
        int length = (int)strlen(g->tensors.at[i].name) + 6 * g->tensors.at[i].input;
        if (length > widest) widest = length;
    }
    text_printf(out, "gradients against differences, in double precision\n");
    text_printf(out, "  %-*s  elements  checked  at kinks  worst relative error, over all calls\n",
                widest, "");
    for (int i = 0; i < g->tensors.count; i++) {
        const DifferenceTensor *t = &g->tensors.at[i];
        const char *name = t->input ? arena_printf(g->c->arena, "input %s", t->name) : t->name;
        text_printf(out, "  %-*s  %8" PRId64 "  %7d  %8d  %.1e\n", widest, name, t->elements,
                    t->checked, t->kinks, t->worst);
    }
    if (!g->tensors.count)
        text_puts(out, "  none: no parameter and no real input has a gradient\n");
    for (int i = 0; i < g->tensors.count; i++)
        if (g->tensors.at[i].elements > g->most) {
            text_printf(out, "  sampled: %d elements of each larger tensor in a call\n", g->most);
            break;
        }
    text_puts(out, text_string(&g->notes));
}

/* Whether the only thing wrong is an operation without gradient; `words` says which. */
static bool no_gradient(Compilation *c, const Diags *diags, const char **words) {
    for (int i = 0; i < diags->list.count; i++) {
        const Diag *diag = diags->list.at[i];
        if (diag->kind != DIAG_ERROR) continue;
        if (strcmp(diag->code, "E-GRAD") != 0) return false;
        *words = arena_printf(c->arena, "%s", diag->message);
    }
    return *words != NULL;
}

static bool verify_gradients(Compilation *c, VerifyFound *found) {
    Gradients g = {.c = c, .found = found, .notes = text_new(c->arena), .most = MOST_ELEMENTS};
    g.graph = sema_graph(c->program, c->model, MODE_TRAIN, c->diags);
    if (!g.graph || c->diags->errors || !graph_verify(g.graph, "sema", c->diags) ||
        !schedule_causal(c->arena, g.graph, c->diags))
        return false;
    const Diags before = *c->diags;
    bool good = true;
    for (int s = 0; s < SIZES && good; s++) good = check_size(&g, &sizes[s], false);
    if (good && g.graph->carries.count) good = check_size(&g, &sizes[1], true);
    const char *words = NULL;
    if (!good && no_gradient(c, c->diags, &words)) {
        *c->diags = before;
        text_printf(found->out, "gradients: none, %s\n", words);
        found->nothing = words;
        return true;
    }
    if (good) print_tensors(&g);
    return good;
}

/* Another compilation of the same file, down to code, `train`: of the functions of training. What
 * is refused there is no error here. */
static bool verify_compiled(Compilation *c, bool train, VerifyFound *found, ExitStatus *status) {
    Options *options = arena_copy(c->arena, c->options, sizeof *options);
    if (train) options->mode = MODE_TRAIN;
    options->training = train;
    Compilation *code = compilation_new(c->arena, options);
    code->target = c->target;
    code->read = c->read;
    code->read_user = c->read_user;
    if (!compilation_run(code, STAGE_LOOP)) {
        const char *words = NULL;
        for (int i = 0; i < code->diags->list.count; i++) {
            const Diag *diag = code->diags->list.at[i];
            if (diag->kind != DIAG_ERROR) continue;
            if (strcmp(diag->code, "E-LOWER") != 0) break;
            words = diag->message;
        }
        if (!words) {
            *c->diags = *code->diags;
            *status = EXIT_INPUT;
            return false;
        }
        text_printf(found->out, "%s: none, %s\n", train ? "code for training" : "code", words);
        return true;
    }
    bool good = train ? verify_train(code, found, status) : verify_backend(code, found, status);
    text_puts(&c->log, text_string(&code->log));
    return good;
}

ExitStatus verify_model(Compilation *c, Text *out) {
    VerifyFound found = {.out = out};
    ExitStatus status = EXIT_INPUT;
    if (!compilation_run(c, STAGE_GRAPH)) return EXIT_INPUT;
    text_printf(out, "model %s, seed %" PRIu64 "\n", c->model, c->options->seed);
    if (!verify_gradients(c, &found)) return EXIT_INPUT;
    bool compiled = c->options->backend != RUN_INTERP;
    if (compiled && !verify_compiled(c, false, &found, &status)) return status;
    if (compiled && !found.nothing && !verify_compiled(c, true, &found, &status)) return status;
    if (found.differs) {
        text_printf(out, "verdict: differs: %s\n", found.differs);
        return EXIT_DEFECT;
    }
    if (!found.compared) {
        diag_error(c->diags, "E-RUN", (Span){0}, "nothing could be compared of model %s%s%s",
                   c->model, found.nothing ? ": " : "", found.nothing ? found.nothing : "");
        return EXIT_INPUT;
    }
    text_puts(out, "verdict: all agree\n");
    return EXIT_DONE;
}
