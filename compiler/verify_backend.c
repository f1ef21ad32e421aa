/* The second half of `rnnc verify`: compiled C against the interpreter, which computes in double
 * precision and says how far compiled code may be from each value. */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "verify_compare.h"

enum { TRIES = 4 };

static const double most_work = 3e7; /* of the interpreter, with bounds some seconds */

static const VerifySize calls[] = {
    {1, {1, 1, 1}}, {1, {7, 7, 7}}, {3, {5, 1, 3}}, {9, {4, 6, 2}}, {2, {0, 0, 0}}};
static const VerifySize streams[] = {{1, {6, 6, 6}}, {3, {6, 6, 6}}};

typedef VerifyCheck Check;
typedef VerifyComparison Comparison;

/* ---- Numbers ---- */

void verify_compare(VerifyCheck *check, VerifyComparison *to, const char *name, int64_t i, double c,
                    double want, double bound) {
    double within = bound > 0 ? bound : DBL_MIN; /* a zero may have another sign */
    to->compared++;
    if (c == want || (isnan(c) && isnan(want))) return;
    if (isfinite(within)) to->share = fmax(to->share, fabs(c - want) / within);
    if (fabs(c - want) <= within || to->differs) return;
    to->differs = arena_printf(check->c->arena,
                               "%s, element %" PRId64
                               ", is %.9g by %s when the interpreter has %.9g, bound %.3g",
                               name, i, c, run_c_name(check->compiled), want, bound);
}

static void compare_outputs(Check *check, Comparison *to, RunData *data, const InterpResult *want) {
    int64_t *reached = run_longest(data, want->lengths);
    for (int o = 0; o < data->graph->outputs.count; o++) {
        const GraphPort *port = &data->graph->outputs.at[o];
        int64_t n =
            run_count(data, port->index_count, port->indices, data->extent, port->type.shape);
        double *values = ARENA_ARRAY(data->arena, n, double);
        double *bounds = ARENA_ARRAY(data->arena, n, double);
        run_copy(data, port, want->outputs[o], reached, values, data->extent);
        run_copy(data, port, want->bounds[o], reached, bounds, data->extent);
        const char *name = arena_printf(data->arena, "output %s", port->name);
        for (int64_t e = 0; e < n; e++)
            verify_compare(check, to, name, e, data->outputs[o][e], values[e], bounds[e]);
    }
}

static void compare_lengths(Check *check, Comparison *to, const RunData *data,
                            const InterpResult *want) {
    for (int a = 0; a < data->graph->axes.count; a++)
        for (int64_t b = 0; data->graph->axes.at[a].generated && data->found[a] && b < data->batch;
             b++)
            verify_compare(
                check, to,
                arena_printf(data->arena, "the length of %s", data->graph->axes.at[a].name), b,
                (double)data->found[a][b], (double)want->lengths[a][b], 0);
}

static void compare_states(Check *check, Comparison *to, const RunData *data,
                           const InterpResult *want) {
    for (int i = 0; i < data->states.count; i++)
        for (int k = 0; k < want->state_count; k++) {
            const InterpState *state = &want->state[k];
            if (strcmp(data->states.at[i].name, state->name) != 0) continue;
            const char *name = arena_printf(data->arena, "state %s", state->name);
            for (int64_t e = 0; e < state->lags * data->batch * state->count; e++)
                verify_compare(check, to, name, e, data->state_out[i][e], state->values[e],
                               state->bounds ? state->bounds[e] : 0);
        }
}

/* ---- Calls ---- */

RunData verify_data(const VerifyCheck *check, Arena *arena, const InterpCall *call) {
    const Graph *graph = check->c->graph;
    RunData data = {.arena = arena,
                    .c = check->c,
                    .graph = graph,
                    .batched = true,
                    .batch = call->batch,
                    .extent = ARENA_ARRAY(arena, graph->axes.count, int64_t),
                    .lengths = call->lengths,
                    .inputs = (double **)(uintptr_t)call->inputs,
                    .params = (double **)(uintptr_t)call->params};
    for (int a = 0; a < graph->axes.count; a++)
        data.extent[a] = graph->axes.at[a].fixed > 0 ? graph->axes.at[a].fixed : 0;
    data.extent = run_longest(&data, data.lengths);
    run_graph_states(&data);
    data.keep_state = graph->carries.count > 0;
    return data;
}

const char *verify_refusal(const VerifyCheck *check) {
    const Diags *diags = check->c->diags;
    return diags->list.count ? diags->list.at[diags->list.count - 1]->message : "no reason";
}

void verify_refused(VerifyCheck *check, VerifyComparison *to) {
    to->differs = arena_printf(check->c->arena, "%s refuses: %s", run_c_name(check->compiled),
                               verify_refusal(check));
}

typedef bool Run(Compiled *compiled, RunData *data, ExitStatus *status);

/* One call of both; false: C refused what the interpreter takes. */
static bool compare_call(Check *check, Comparison *to, Run *run, RunData *data,
                         const InterpResult *want) {
    ExitStatus status;
    if (!run(check->compiled, data, &status)) {
        verify_refused(check, to);
        return false;
    }
    compare_outputs(check, to, data, want);
    if (run != run_c_forward) return true;
    compare_lengths(check, to, data, want);
    if (data->keep_state) compare_states(check, to, data, want);
    return true;
}

/* Steps of one sequence are forward bit for bit, where no library computes a part of that. */
static void compare_bits(Check *check, Comparison *to, RunData *data) {
    double **steps = data->outputs;
    ExitStatus status;
    if (loop_has_gemm(check->c->interface_->module)) return;
    if (data->batch != 1 || !run_c_forward(check->compiled, data, &status)) return;
    for (int o = 0; o < data->graph->outputs.count; o++) {
        const GraphPort *port = &data->graph->outputs.at[o];
        int64_t n =
            run_count(data, port->index_count, port->indices, data->extent, port->type.shape);
        for (int64_t e = 0; e < n && !to->differs; e++) {
            double step = steps[o][e], forward = data->outputs[o][e];
            if (step == forward || (isnan(step) && isnan(forward))) continue;
            to->differs = arena_printf(check->c->arena,
                                       "output %s, element %" PRId64
                                       ", is %.9g by steps when forward gives %.9g",
                                       port->name, e, step, forward);
        }
    }
}

/* The call, and with carried state another one that goes on from it. NULL, or why it was left out:
 * then another draw may do. */
static const char *compare_drawn(Check *check, Comparison *to, Run *run, Arena *arena,
                                 VerifyCase *drawn) {
    const Graph *graph = check->c->graph;
    RunData data = verify_data(check, arena, &drawn->call);
    bool wide = check->c->options->real == LT_F64;
    drawn->call.roundoff = wide ? INTERP_ROUNDOFF_F64 : INTERP_ROUNDOFF_F32;
    for (int chunk = 0; chunk < 1 + (drawn->carries && run == run_c_forward); chunk++) {
        const InterpResult *want = interpret(arena, graph, &drawn->call);
        if (want->status != INTERP_OK) return want->message;
        if (want->fragile) return chunk ? NULL : want->fragile_message;
        if (!compare_call(check, to, run, &data, want)) return NULL;
        drawn->call.state = want->state;
        drawn->call.state_count = want->state_count;
        data.load_state = data.keep_state;
        for (int i = 0; data.keep_state && i < data.states.count && run == run_c_forward; i++)
            data.states.at[i].values = data.state_out[i];
    }
    data.load_state = data.keep_state = false;
    if (run == run_c_steps) compare_bits(check, to, &data);
    return NULL;
}

void verify_report(VerifyCheck *check, const char *how, const VerifyComparison *to,
                   const char *why) {
    Text *out = check->found->out;
    if (!why && to->slopes)
        text_printf(out, "  %-8s %-26s  %8" PRId64 " numbers, worst relative error %.1e\n", how,
                    to->what, to->compared, to->share);
    else if (why)
        text_printf(out, "  left out: %s, %s: %s\n", how, to->what, why);
    else
        text_printf(out, "  %-8s %-26s  %8" PRId64 " numbers, worst share of the bound %.3f\n", how,
                    to->what, to->compared, to->share);
    check->found->compared += to->compared > 0;
    if (to->differs && !check->found->differs)
        check->found->differs =
            arena_printf(check->c->arena, "%s, %s: %s", how, to->what, to->differs);
}

static void check_size(Check *check, const char *how, Run *run, const VerifySize *size) {
    Compilation *c = check->c;
    Comparison to = {.what = verify_size_text(c->arena, size)};
    const char *why = NULL;
    for (int try = 0; try < TRIES; try++) {
        Arena *arena = arena_new_in(c->arena);
        uint64_t seed = c->options->seed * 1000 + 500 + (uint64_t)try;
        VerifyCase drawn = verify_draw_sized(arena, c->graph, size, try % 2 != 0, try >= TRIES / 2,
                                             most_work, seed);
        drawn.call.seed = c->options->seed;
        why =
            drawn.large ? "the model is too large" : compare_drawn(check, &to, run, arena, &drawn);
        if (why) why = arena_strndup(c->arena, why, strlen(why));
        bool last = !why || drawn.large;
        arena_free(arena);
        if (last) break;
    }
    if (why && size->length[0] == 0) return; /* a model that has no empty sequences */
    verify_report(check, how, &to, why);
}

bool verify_backend(Compilation *c, VerifyFound *found, ExitStatus *status) {
    Check check = {.c = c, .found = found};
    check.compiled = run_c_open(c, status);
    if (!check.compiled) return false;
    text_printf(found->out, "%s against the interpreter, --dtype=%s, %s\n",
                run_c_name(check.compiled), c->options->real == LT_F64 ? "f64" : "f32",
                c->interface_->module->target.name);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        check_size(&check, "forward", run_c_forward, &calls[i]);
    for (size_t i = 0; c->interface_->step >= 0 && i < sizeof streams / sizeof *streams; i++)
        check_size(&check, "step", run_c_steps, &streams[i]);
    if (c->interface_->step < 0)
        text_printf(found->out, "  step: none, %s\n",
                    c->interface_->no_step ? c->interface_->no_step : "not built");
    run_c_close(check.compiled);
    return true;
}
