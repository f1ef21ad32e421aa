/* The whole compiler as one function, compilation_run. Nothing else decides the order of stages. */
#define _XOPEN_SOURCE 700

#include "pipeline.h"

#include <string.h>
#include <time.h>

#include "backends/backend.h"
#include "backends/identifier.h"
#include "chunks.h"
#include "gradient.h"
#include "grammar.h"
#include "input.h"
#include "loop/lower.h"
#include "prelude.h"
#include "rnn_rt.h"
#include "tuning.h"
#include "verify_each.h"

Compilation *compilation_new(Arena *arena, const Options *options) {
    Compilation *c = ARENA_NEW(arena, Compilation);
    c->arena = arena;
    c->options = options;
    c->names = names_new(arena);
    c->diags = diags_new(arena);
    c->log = text_new(arena);
    c->prefix = options->prefix;
    return c;
}

static double seconds(void *user) {
    struct timespec now;
    (void)user;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void log_time(Compilation *c, const char *what, double time) {
    if (c->options->time_passes) text_printf(&c->log, "%-16s %9.3f ms\n", what, time * 1e3);
}

void compilation_time(Compilation *c, const char *what, double *since) {
    double now = seconds(NULL);
    log_time(c, what, now - *since);
    *since = now;
}

double compilation_clock(void) {
    return seconds(NULL);
}

/* ---- Reading ---- */

static const Source *load(void *user, Arena *arena, const char *path, const char **why) {
    Compilation *c = user;
    const Source *source =
        c->read ? c->read(c->read_user, arena, path, why) : input_source(arena, path, why);
    if (source) vec_push(c->arena, &c->files, source->path);
    return source;
}

static Ast *parse_file(Compilation *c) {
    const char *why = NULL;
    const Source *source = load(c, c->arena, c->options->file, &why);
    if (!source) {
        diag_error(c->diags, "E-IMPORT", (Span){0}, "cannot read %s: %s", c->options->file, why);
        return NULL;
    }
    return grammar_parse(c->arena, c->names, source, c->diags);
}

static Ast *parse_prelude(Compilation *c) {
    Source *source = ARENA_NEW(c->arena, Source);
    *source = (Source){"<prelude>", prelude_text, prelude_length};
    return grammar_parse(c->arena, c->names, source, c->diags);
}

/* A define that named nothing is a mistake of the caller. */
static void check_defines(Compilation *c) {
    for (int i = 0; i < c->options->defines.count; i++)
        if (!c->options->defines.at[i].used)
            diag_error(c->diags, "E-NAME", (Span){0},
                       "-D %s: the file has no such size or constant",
                       c->options->defines.at[i].name);
}

static Program *read_program(Compilation *c) {
    Ast *prelude = parse_prelude(c);
    Program *program = sema_program(c->arena, c->names, c->ast, prelude, load, c,
                                    c->options->defines.at, c->options->defines.count, c->diags);
    check_defines(c);
    return program;
}

/* ---- Passes ---- */

static void after_pass(void *user, const Pass *pass, const Graph *graph, bool changed) {
    Compilation *c = user;
    const char *wanted = c->options->print_after;
    if (!wanted || (strcmp(wanted, "all") != 0 && strcmp(wanted, pass->name) != 0)) return;
    text_printf(&c->log, "# after %s%s\n", pass->name, changed ? "" : ", which changed nothing");
    graph_print(graph, &c->log);
}

static bool check_pass(void *user, const Pass *pass, const Graph *before, const Graph *after,
                       Diags *diags) {
    Compilation *c = user;
    return verify_each_pass(c->verify, pass->name, pass->numbers == PASS_ROUNDED, before, after,
                            diags) &&
           verify_graph_text(c->arena, after, pass->name, diags);
}

static void pass_timing(void *user, const Pass *pass, double time) {
    log_time(user, pass->name, time);
}

static bool known_pass(Compilation *c, const char *option, const char *name) {
    if (pass_named(name)) return true;
    int count;
    const Pass *table = pass_table(&count);
    const char **names = ARENA_ARRAY(c->arena, count + CHOICE_COUNT, const char *);
    for (int i = 0; i < count; i++) names[i] = table[i].name;
    for (int i = 0; i < CHOICE_COUNT; i++) names[count + i] = choice_name((Choice)i);
    const char *near = name_nearest(name, names, count + CHOICE_COUNT);
    diag_error(c->diags, "E-PASS", (Span){0}, "%s: there is no pass '%s'%s%s%s", option, name,
               near ? ", did you mean '" : " (see --list-passes)", near ? near : "",
               near ? "'?" : "");
    return false;
}

/* What --passes, --disable-pass, -O0 and the like ask for. */
static bool pass_options(Compilation *c, PassOptions *options) {
    const Options *o = c->options;
    int count;
    const Pass *table = pass_table(&count);
    VEC(const char *) disabled = {0};
    Choices choices = {.chains = 0};
    for (int i = 0; i < o->passes.count; i++)
        if (!known_pass(c, "--passes", o->passes.at[i])) return false;
    for (int i = 0; i < o->disabled.count; i++) {
        Choice choice = choice_named(o->disabled.at[i]);
        if (choice < CHOICE_COUNT) {
            choices.off[choice] = true;
            if (choice_decides_bits(choice))
                diag_warning(c->diags, "W-BITS", (Span){0},
                             "without '%s' results differ in their last bits", o->disabled.at[i]);
            continue;
        }
        if (!known_pass(c, "--disable-pass", o->disabled.at[i])) return false;
        vec_push(c->arena, &disabled, o->disabled.at[i]);
    }
    if (o->print_after && strcmp(o->print_after, "all") != 0 &&
        !known_pass(c, "--print-after", o->print_after))
        return false;
    /* Those that decide bits are no option of speed: -O0 leaves them. */
    for (int i = 0; i < count; i++)
        if (!o->optional_passes && table[i].switchable == PASS_FREE)
            vec_push(c->arena, &disabled, table[i].name);
    choices.chains = o->chains;
    for (int m = 0; m < 2; m++) {
        c->made[m] = (Made){o->force, choices};
        made_merge(&c->made[m], &c->tried.force, &c->tried.choices);
    }
    if (o->chains)
        diag_warning(c->diags, "W-BITS", (Span){0},
                     "with the chains of --tile results differ in their last bits");
    static const char *const none[] = {NULL};
    *options =
        (PassOptions){.names = o->passes_given ? (o->passes.count ? o->passes.at : none) : NULL,
                      .name_count = o->passes.count,
                      .disabled = disabled.at,
                      .disabled_count = disabled.count,
                      .verify_each = o->verify_each,
                      .user = c,
                      .after = after_pass,
                      .clock = seconds,
                      .timing = pass_timing};
#ifdef RNNC_VERIFY_EACH
    options->verify_each = true;
#endif
    return true;
}

static Graph *run_passes(Compilation *c, const Graph *graph, const char *from) {
    PassOptions options = c->passes;
    if (c->options->verify_each) {
        c->verify = verify_each_new(c->arena, graph, c->options->verbose ? &c->log : NULL);
        if (!verify_graph_text(c->arena, graph, from, c->diags)) return NULL;
        options.check = check_pass;
    }
    Graph *after = passes_run(graph, &options, c->diags);
    return after && graph_verify(after, "passes", c->diags) ? after : NULL;
}

/* ---- Schedules ---- */

static Schedule *run_schedule(Compilation *c, const Graph *graph, const char *function) {
    const Made *made = &c->made[strcmp(function, "forward") != 0];
    if (c->remarks) c->remarks->function = function;
    Schedule *schedule = schedule_build_with(c->arena, graph, &made->choices, c->remarks, c->diags);
    if (!schedule || !schedule_verify(schedule, c->diags)) return NULL;
    if (c->options->verify_each && !verify_schedule_text(c->arena, schedule, c->diags)) return NULL;
    return schedule;
}

/* The gradient of everything that has one: the losses, all outputs, all inputs. */
static const Graph *gradient_graph(Compilation *c) {
    const Graph *graph = c->graph;
    bool *upstream = ARENA_ARRAY(c->arena, graph->outputs.count + 1, bool);
    bool *of_inputs = ARENA_ARRAY(c->arena, graph->inputs.count + 1, bool);
    bool all = c->options->command != COMMAND_TRAIN; /* which asks for parameters alone */
    for (int o = 0; all && o < graph->outputs.count; o++)
        upstream[o] = graph->outputs.at[o].type.dtype == DT_FLOAT;
    for (int i = 0; all && i < graph->inputs.count; i++)
        of_inputs[i] = graph->inputs.at[i].node >= 0 && graph->inputs.at[i].type.dtype == DT_FLOAT;
    const AdjointOptions how = {.losses = graph->losses.count > 0,
                                .reduce_sum = c->options->reduce_sum,
                                .upstream = upstream,
                                .of_inputs = of_inputs,
                                .outputs = all,
                                .of_params = true};
    const Graph *adjoint = gradient_adjoint(graph, &how, c->passes.verify_each, c->diags);
    const Graph *normal = adjoint ? run_passes(c, adjoint, "adjoint") : NULL;
    return normal ? gradient_with_losses(normal) : NULL;
}

static const Graph *part_passes(void *user, const Graph *graph) {
    return run_passes(user, graph, "cut");
}

static Schedule *part_schedule(void *user, const Graph *graph) {
    return run_schedule(user, graph, "grad, in chunks");
}

/* The functions of training have schedules of their own. A state goes through all of them: what a
 * loss alone reads of it, forward keeps, too. */
static bool run_training(Compilation *c) {
    const Graph *losses = c->normal->losses.count ? gradient_with_losses(c->normal) : NULL;
    if (losses && !(c->loss = run_schedule(c, losses, "loss"))) return false;
    if (losses && losses->carries.count) c->schedule = c->loss;
    const Graph *gradient = gradient_graph(c);
    if (!gradient || !(c->grad = run_schedule(c, gradient, "grad"))) return false;
    if (!c->options->memory_budget) return true;
    const ChunkMaker maker = {.user = c,
                              .passes = part_passes,
                              .schedule = part_schedule,
                              .reduce_sum = c->options->reduce_sum,
                              .verify = c->passes.verify_each,
                              .diags = c->diags};
    c->chunks = chunks_build(c->graph, c->options->memory_budget, &maker);
    return c->chunks != NULL;
}

/* ---- The way through ---- */

/* Ends a stage: its time, and whether anything was wrong so far. */
static bool done(Compilation *c, const char *stage, double *since) {
    double now = seconds(NULL);
    log_time(c, stage, now - *since);
    if (c->options->verbose) text_printf(&c->log, "rnnc: %s\n", stage);
    *since = now;
    return c->diags->errors == 0;
}

/* The module for one processor. NULL after an error. */
static Interface *lower_for(Compilation *c, const Target *target, double *since) {
    bool *axes_needed = ARENA_ARRAY(c->arena, c->graph->axes.count + 1, bool);
    passes_axes_needed(c->graph, axes_needed);
    LowerOptions lower = {.target = *target,
                          .real = c->options->real,
                          .prefix = c->prefix ? c->prefix : c->model,
                          .places = c->options->places,
                          .home = sema_model_span(c->program, c->model),
                          .threads = c->options->threads,
                          .eager = c->options->eager,
                          .blas = c->options->blas,
                          .remarks = c->remarks,
                          .force = c->made[0].force,
                          .force_training = c->made[1].force,
                          .init = c->options->init,
                          .reduce_sum = c->options->reduce_sum,
                          .axes_needed = axes_needed};
    const LowerSchedules schedules = {c->normal, c->schedule, c->loss, c->grad, c->chunks};
    Interface *interface_ = lower_schedules(c->arena, c->names, &schedules, &lower, c->diags);
    if (!done(c, "lower", since)) return NULL;
    LoopModule *module = interface_->module;
    if (!loop_verify(module, false, "lower", c->diags)) return NULL;
    bool texts = c->options->verify_each;
    if (texts && !verify_loop_text(c->arena, c->names, module, "lower", c->diags)) return NULL;

    loop_expand_math(module);
    if (!loop_verify(module, true, "expand_math", c->diags)) return NULL;
    if (texts && !verify_loop_text(c->arena, c->names, module, "expand_math", c->diags))
        return NULL;
    return done(c, "expand_math", since) ? interface_ : NULL;
}

/* The same for each of several processors, and what they are together: a caller that has room for
 * all has room for each. */
static bool lower_versions(Compilation *c, double *since) {
    Text names = text_new(c->arena);
    Interface *whole = ARENA_NEW(c->arena, Interface);
    LoopModule *module = ARENA_NEW(c->arena, LoopModule);
    for (int i = 0; i < c->target_count; i++) {
        const TargetChoice *choice = &c->targets[i];
        if (c->remarks) c->remarks->target = i ? choice->target.name : NULL;
        const Interface *own = i ? lower_for(c, &choice->target, since) : c->interface_;
        if (!own) return false;
        c->versions[i] =
            (MachineVersion){identifier_of(c->arena, choice->target.name), own, choice->machine};
        if (i == 0) *whole = *own;
        if (own->weight_bytes > whole->weight_bytes) whole->weight_bytes = own->weight_bytes;
        const char *comma = i == 0 ? "" : i + 1 < c->target_count ? ", " : " and ";
        text_printf(&names, "%s%s", comma, choice->target.name);
    }
    *module = *whole->module;
    module->target.name = text_string(&names);
    whole->module = module;
    c->interface_ = whole;
    return true;
}

bool compilation_run(Compilation *c, Stage last) {
    double since = seconds(NULL);

    if (!c->ast) c->ast = parse_file(c);
    if (!done(c, "parse", &since) || last == STAGE_TREE) return c->diags->errors == 0;

    if (!c->program) c->program = read_program(c);
    c->model = sema_model(c->program, c->options->model, c->diags);
    if (!done(c, "check", &since)) return false;

    if (!c->graph) c->graph = sema_graph(c->program, c->model, c->options->mode, c->diags);
    if (!done(c, "graph", &since)) return false;
    if (!graph_verify(c->graph, "sema", c->diags)) return false;
    if (!schedule_causal(c->arena, c->graph, c->diags)) return false;
    if (!done(c, "causality", &since) || last == STAGE_GRAPH) return c->diags->errors == 0;

    if (!pass_options(c, &c->passes) || !tuning_read(c)) return false;
    c->passes.needs = last == STAGE_NORMAL ? 0 : FORM_PRIMITIVE;
    c->normal = run_passes(c, c->graph, "sema");
    if (!done(c, "passes", &since) || !c->normal) return false;
    if (last == STAGE_NORMAL) return true;

    if (c->options->remarks || c->options->emit == EMIT_REMARKS) c->remarks = remarks_new(c->arena);
    c->schedule = run_schedule(c, c->normal, "forward");
    if (!c->schedule || (c->options->training && !run_training(c))) return false;
    if (!done(c, "schedule", &since) || last == STAGE_SCHEDULE) return c->diags->errors == 0;

    c->interface_ = lower_for(c, &c->target.target, &since);
    return c->interface_ && (c->target_count < 2 || lower_versions(c, &since));
}

static void end_stage(void *user, const char *what) {
    Compilation *c = user;
    compilation_time(c, what, &c->stage_since);
}

MachineOptions compilation_machine(Compilation *c, bool calls) {
    MachineSymbol *symbols = ARENA_ARRAY(c->arena, 6, MachineSymbol);
    symbols[0] = (MachineSymbol){"rnn_rt_pool_run", (uintptr_t)rnn_rt_pool_run};
    symbols[1] = (MachineSymbol){"rnn_rt_pool_barrier", (uintptr_t)rnn_rt_pool_barrier};
    symbols[2] = (MachineSymbol){"rnn_rt_pool_for", (uintptr_t)rnn_rt_pool_for};
    memcpy(symbols + 3, c->blas, sizeof c->blas);
    c->stage_since = seconds(NULL);
    return (MachineOptions){.target = c->target.machine,
                            .level = c->options->level,
                            .versions = c->versions,
                            .version_count = c->target_count > 1 ? c->target_count : 0,
                            .calls = calls ? "rnnc" : NULL,
                            .symbols = symbols,
                            .version = RNNC_VERSION,
                            .user = c,
                            .stage = end_stage};
}

bool compilation_emit(Compilation *c, const char *backend, const char *header_name, Text *out) {
    double since = seconds(NULL);
    MachineOptions machine = compilation_machine(c, false);
    Text flags = text_new(c->arena);
    for (int i = 0; c->target_count == 1 && c->target.flags[i]; i++)
        text_printf(&flags, "%s%s", i ? " " : "", c->target.flags[i]);
    BackendOptions options = {.header_name = header_name,
                              .version = RNNC_VERSION,
                              .flags = text_string(&flags),
                              .machine = &machine};
    return backend_find(backend)->emit(c->interface_, &options, out, c->diags) &&
           done(c, "emit", &since);
}

bool compilation_header(Compilation *c, const char *header_name, Text *out) {
    BackendOptions options = {.header_name = header_name, .version = RNNC_VERSION};
    return backend_header(c->interface_, &options, out, c->diags) && c->diags->errors == 0;
}

/* ---- rnnc check ---- */

/* Adds what `from` holds to the compilation's diagnostics, once. */
static void merge(Compilation *c, const Diags *from) {
    for (int i = 0; i < from->list.count; i++) {
        const Diag *old = from->list.at[i];
        Diag *diag = old->kind == DIAG_ERROR
                         ? diag_error(c->diags, old->code, old->span, "%s", old->message)
                         : diag_warning(c->diags, old->code, old->span, "%s", old->message);
        diag->notes.at = old->notes.at;
        diag->notes.count = diag->notes.room = old->notes.count;
    }
}

/* A model without sizes of its own cannot be compiled by itself; it was checked where it is
 * defined. */
static bool only_sizes_missing(const Diags *diags) {
    for (int i = 0; i < diags->list.count; i++)
        if (diags->list.at[i]->kind == DIAG_ERROR &&
            strcmp(diags->list.at[i]->code, "E-SIZEARG") != 0)
            return false;
    return diags->errors > 0;
}

static void check_model(Compilation *c, const char *model, bool asked_for) {
    for (int mode = MODE_INFER; mode <= MODE_TRAIN; mode++) {
        Diags *diags = diags_new(c->arena);
        /* One graph after the other: a file may have many models. */
        Arena *arena = arena_new_in(c->arena);
        Graph *graph = sema_graph_in(arena, c->program, model, (Mode)mode, diags);
        if (graph && graph_verify(graph, "sema", diags)) schedule_causal(arena, graph, diags);
        arena_free(arena);
        if (!asked_for && only_sizes_missing(diags)) return;
        merge(c, diags);
    }
}

bool compilation_check(Compilation *c) {
    c->ast = parse_file(c);
    if (c->diags->errors) return false;
    c->program = read_program(c);
    const char *asked = c->options->model;
    if (asked) asked = sema_model(c->program, asked, c->diags);
    if (c->diags->errors) return false;
    for (int i = 0; i < c->ast->items.count; i++) {
        const Item *item = c->ast->items.at[i];
        if (item->kind == ITEM_MODEL && (!asked || strcmp(asked, item->name) == 0))
            check_model(c, item->name, asked != NULL);
    }
    return c->diags->errors == 0;
}
