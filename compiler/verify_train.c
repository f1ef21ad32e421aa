/* The third part of `rnnc verify`: the compiled loss and gradient, against the interpreter within
 * its bound, and, in double precision, against central differences. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "differences.h"
#include "run_data.h"
#include "verify_compare.h"

enum { TRIES = 4, MOST_ELEMENTS = 6 };

/* Operations of the interpreter: for the bounds of a call, and for the differences of one. */
static const double most_work = 1.5e7, usual_work = 1e8;

static const VerifySize sizes[] = {{1, {1, 1, 1}}, {3, {5, 1, 3}}, {2, {0, 0, 0}}};

typedef struct Training {
    VerifyCheck check;
    Gradient gradient; /* as that of the compiled function */
} Training;

/* ---- Calls ---- */

static double *drawn(Arena *arena, int64_t count, uint64_t seed, int stream) {
    double *values = ARENA_ARRAY(arena, count + 1, double);
    for (int64_t e = 0; e < count; e++)
        values[e] = (double)(float)(2 * rt_uniform(seed, (uint64_t)(6000 + stream), 0, NULL, 0,
                                                   (uint64_t)e) -
                                    1);
    return values;
}

/* What the compiled gradient is of one call. */
static RunData data_of(const VerifyCheck *check, Arena *arena, const InterpCall *call) {
    RunData data = verify_data(check, arena, call);
    data.kind = RUN_GRAD;
    data.all_in_grads = true;
    data.keep_state = false;
    data.upstream = ARENA_ARRAY(arena, data.graph->outputs.count + 1, double *);
    return data;
}

static const double *of_port(const RunData *data, const GraphPort *port) {
    return port->kind == PORT_PARAM_GRAD   ? data->grads[port->of]
           : port->kind == PORT_INPUT_GRAD ? data->in_grads[port->of]
                                           : NULL;
}

static int64_t count_of(RunData *data, const GraphPort *port) {
    if (port->shared) return shape_count(port->type.shape);
    return run_count(data, port->index_count, port->indices, data->extent, port->type.shape);
}

/* ---- Against the interpreter ---- */

static void compare_gradients(Training *t, VerifyComparison *to, RunData *data,
                              const InterpResult *want) {
    const Graph *graph = t->gradient.graph;
    int64_t *reached = run_longest(data, want->lengths);
    if (data->graph->losses.count)
        verify_compare(&t->check, to, "the loss", 0, data->loss, want->loss, want->loss_bound);
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        const double *got = of_port(data, port), *values = want->outputs[o],
                     *bounds = want->bounds[o];
        if (!got) continue;
        int64_t n = count_of(data, port);
        if (!port->shared) {
            double *whole = ARENA_ARRAY(data->arena, n + 1, double),
                   *whole_bounds = ARENA_ARRAY(data->arena, n + 1, double);
            run_copy(data, port, values, reached, whole, data->extent);
            run_copy(data, port, bounds, reached, whole_bounds, data->extent);
            values = whole;
            bounds = whole_bounds;
        }
        const char *name = port->kind == PORT_PARAM_GRAD
                               ? arena_printf(data->arena, "the gradient of %s",
                                              data->graph->params.at[port->of].name)
                               : arena_printf(data->arena, "the gradient of input %s",
                                              data->graph->inputs.at[port->of].name);
        for (int64_t e = 0; e < n; e++)
            verify_compare(&t->check, to, name, e, got[e], values[e], bounds[e]);
    }
}

/* NULL, or why another draw may do. */
static const char *one_call(Training *t, VerifyComparison *to, Arena *arena, VerifyCase *drawn_case,
                            uint64_t seed) {
    RunData data = data_of(&t->check, arena, &drawn_case->call);
    ExitStatus status;
    for (int o = 0; o < data.graph->outputs.count; o++) {
        const GraphPort *port = &data.graph->outputs.at[o];
        if (port->type.dtype == DT_FLOAT)
            data.upstream[o] = drawn(arena, count_of(&data, port), seed, o);
    }
    bool wide = t->check.c->options->real == LT_F64;
    drawn_case->call.roundoff = wide ? INTERP_ROUNDOFF_F64 : INTERP_ROUNDOFF_F32;
    const InterpResult *want =
        gradient_interpret(arena, &t->gradient, &drawn_case->call, data.upstream);
    if (want->status != INTERP_OK) return want->message;
    if (want->fragile) return want->fragile_message;
    if (!run_c_forward(t->check.compiled, &data, &status))
        verify_refused(&t->check, to);
    else
        compare_gradients(t, to, &data, want);
    return NULL;
}

/* ---- Against differences ---- */

/* The compiled gradient as the interpreter would give it. */
static InterpResult *compiled_result(void *user, Arena *arena, const Gradient *gradient,
                                     const InterpCall *call, double *const *upstream) {
    Training *t = user;
    RunData data = data_of(&t->check, arena, call);
    InterpResult *result = ARENA_NEW(arena, InterpResult);
    ExitStatus status;
    for (int o = 0; o < data.graph->outputs.count; o++) data.upstream[o] = upstream[o];
    if (!run_c_forward(t->check.compiled, &data, &status)) {
        *result = (InterpResult){.status = INTERP_VALUE, .message = verify_refusal(&t->check)};
        return result;
    }
    *result = (InterpResult){.lengths = data.found, .loss = data.loss};
    int64_t *reached = run_longest(&data, data.found);
    result->outputs = ARENA_ARRAY(arena, gradient->graph->outputs.count + 1, double *);
    for (int o = 0; o < gradient->graph->outputs.count; o++) {
        const GraphPort *port = &gradient->graph->outputs.at[o];
        const double *got = of_port(&data, port);
        result->outputs[o] =
            !got || port->shared ? (double *)(uintptr_t)got : run_cut(&data, port, got, reached);
    }
    return result;
}

static const char *one_difference(Training *t, VerifyComparison *to, Arena *arena,
                                  const VerifyCase *drawn_case, uint64_t seed) {
    double one = 8 * drawn_case->work * (double)(t->gradient.graph->outputs.count + 1);
    int most = (int)fmin(MOST_ELEMENTS, usual_work / fmax(one, 1));
    if (most < 1) return "the model is too large";
    Differences found = differences_check_by(arena, &t->gradient, &drawn_case->call, most, seed,
                                             compiled_result, t);
    if (found.result == DIFFERENCES_REFUSED || found.undefined) return found.words;
    for (int i = 0; i < found.tensors.count; i++)
        if (isfinite(found.tensors.at[i].worst))
            to->share = fmax(to->share, found.tensors.at[i].worst);
    to->compared += found.checked;
    if (found.result == DIFFERENCES_WRONG)
        to->differs = arena_strndup(t->check.c->arena, found.words, strlen(found.words));
    return NULL;
}

/* ---- The order of things ---- */

static void check_size(Training *t, const VerifySize *size, bool differences) {
    Compilation *c = t->check.c;
    VerifyComparison to = {.what = verify_size_text(c->arena, size), .slopes = differences};
    const char *why = NULL;
    for (int try = 0; try < TRIES; try++) {
        Arena *arena = arena_new_in(c->arena);
        uint64_t seed = c->options->seed * 1000 + 700 + (uint64_t)try;
        VerifyCase one = verify_draw_sized(arena, c->graph, size, try % 2 != 0, try >= TRIES / 2,
                                           most_work, seed);
        one.call.seed = c->options->seed;
        why = one.large     ? "the model is too large"
              : differences ? one_difference(t, &to, arena, &one, seed)
                            : one_call(t, &to, arena, &one, seed);
        if (why) why = arena_strndup(c->arena, why, strlen(why));
        bool last = !why || one.large;
        arena_free(arena);
        if (last) break;
    }
    if (why && size->length[0] == 0) return; /* a model that has no empty sequences */
    verify_report(&t->check, differences ? "slopes" : "grad", &to, why);
}

bool verify_train(Compilation *c, VerifyFound *found, ExitStatus *status) {
    const Graph *graph = c->graph;
    bool *upstream = ARENA_ARRAY(c->arena, graph->outputs.count + 1, bool);
    bool *of_inputs = ARENA_ARRAY(c->arena, graph->inputs.count + 1, bool);
    for (int o = 0; o < graph->outputs.count; o++)
        upstream[o] = graph->outputs.at[o].type.dtype == DT_FLOAT;
    for (int i = 0; i < graph->inputs.count; i++)
        of_inputs[i] = graph->inputs.at[i].node >= 0 && graph->inputs.at[i].type.dtype == DT_FLOAT;
    const AdjointOptions how = {.losses = graph->losses.count > 0,
                                .upstream = upstream,
                                .of_inputs = of_inputs,
                                .of_params = true};
    Training t = {.check = {.c = c, .found = found}};
    if (!gradient_build(graph, &how, false, &t.gradient, c->diags)) return false;
    t.check.compiled = run_c_open(c, status);
    if (!t.check.compiled) return false;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_size(&t, &sizes[i], false);
    for (size_t i = 0; i < 2 && c->options->real == LT_F64; i++) check_size(&t, &sizes[i], true);
    run_c_close(t.check.compiled);
    return true;
}
