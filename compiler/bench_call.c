/* What `rnnc bench` and `rnnc tune` call: the functions of a compiled model, with random inputs of
 * the sizes that are asked for. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "verify_each.h"

static const double slice = 5e-4; /* seconds of a function in a round, or one call */

/* --lengths AXIS=N; without it 100 steps. */
bool bench_choose_sizes(Compilation *c, BenchSizes *to) {
    const Options *o = c->options;
    to->batch = o->train.batch;
    to->steps = 100;
    for (int i = 0; i < o->lengths.count; i++) {
        const Named *named = &o->lengths.at[i];
        char *end;
        long long n = strtoll(named->value, &end, 10);
        bool found = false;
        for (int a = 0; a < c->graph->axes.count; a++)
            found = found || strcmp(c->graph->axes.at[a].name, named->name) == 0;
        if (!found || *end || n < 1 || n > 100000000) {
            diag_error(c->diags, "E-RUN", (Span){0},
                       "--lengths %s=%s: '%s' wants an axis of the model and one number of "
                       "steps, at least 1",
                       named->name, named->value, o->command == COMMAND_TUNE ? "tune" : "bench");
            return false;
        }
        to->steps = n;
    }
    return true;
}

bool bench_draw(Compilation *c, const BenchSizes *sizes, RunData *data) {
    const Options *o = c->options;
    const VerifySize size = {sizes->batch, {sizes->steps, sizes->steps, sizes->steps}};
    VerifyCase drawn =
        verify_draw_sized(c->arena, c->graph, &size, false, false, HUGE_VAL, o->seed);
    if (drawn.large) {
        diag_error(c->diags, "E-RUN", (Span){0}, "inputs of these sizes cannot be drawn");
        return false;
    }
    *data = (RunData){.arena = c->arena,
                      .c = c,
                      .graph = c->graph,
                      .batched = true,
                      .batch = sizes->batch,
                      .lengths = drawn.call.lengths,
                      .inputs = (double **)(uintptr_t)drawn.call.inputs,
                      .params = (double **)(uintptr_t)drawn.call.params,
                      .kind = o->training ? RUN_GRAD : RUN_FORWARD,
                      .all_in_grads = true};
    data->extent = ARENA_ARRAY(c->arena, c->graph->axes.count + 1, int64_t);
    for (int a = 0; a < c->graph->axes.count; a++)
        data->extent[a] = c->graph->axes.at[a].fixed > 0 ? c->graph->axes.at[a].fixed : 0;
    data->extent = run_longest(data, data->lengths);
    for (int a = 0; a < c->graph->axes.count; a++) /* all sequences are as long as the arrays */
        if (!c->graph->axes.at[a].generated) data->lengths[a] = NULL;
    run_graph_states(data);
    data->upstream = ARENA_ARRAY(c->arena, c->graph->outputs.count + 1, double *);
    for (int i = 0; i <= c->graph->outputs.count; i++) data->upstream[i] = NULL;
    for (int i = 0; data->kind == RUN_GRAD && i < c->graph->outputs.count; i++) {
        const GraphPort *port = &c->graph->outputs.at[i];
        if (port->type.dtype != DT_FLOAT) continue;
        int64_t n =
            run_count(data, port->index_count, port->indices, data->extent, port->type.shape);
        data->upstream[i] = ARENA_ARRAY(c->arena, n + 1, double);
        for (int64_t e = 0; e < n; e++) data->upstream[i][e] = 0.01;
    }
    return true;
}

/* Arrays for all functions; a step reads and writes the first rows of the sequences. */
bool bench_lay_out(Compilation *c, Compiled *r, RunData *data, ExitStatus *status) {
    const Interface *in = c->interface_;
    Arena *arena = c->arena;
    bool training = c->options->training, step = !training && in->step >= 0;
    if (!compiled_begin(r, data, status)) return false;
    if (!r->weights && !compiled_pack(r, status)) return false; /* reset may read them */
    if (!compiled_space(r, training ? in->grad_work : in->forward_work,
                        in->state_bytes >= 0 && in->reset >= 0, status))
        return false;
    if (!step) return true;
    r->row_in = r->inputs;
    r->row_out = r->outputs;
    r->ended = compiled_aligned(arena, data->batch);
    memset(r->ended, 0, (size_t)data->batch);
    for (int a = 0; a < data->graph->axes.count; a++)
        r->at[a] = compiled_aligned(arena, data->batch * 8);
    int64_t bytes = in->step_work >= 0 ? compiled_call(r, in->step_work) : 0;
    if (bytes > r->work_bytes) {
        r->work = compiled_aligned(arena, bytes);
        r->work_bytes = bytes;
    }
    return true;
}

double bench_clock(const BenchClock *what) {
    double since = compilation_clock();
    for (int i = 0; i < what->turns; i++) what->call(what->args);
    return (compilation_clock() - since) / what->turns * 1e9;
}

bool bench_clock_new(Compiled *r, int symbol, int args, double *to, BenchClock *at) {
    void *found = compiled_symbol(r, symbol);
    if (!found) return false;
    *at = (BenchClock){.args = compiled_args(r, args), .turns = 1, .to = to};
    memcpy(&at->call, &found, sizeof at->call);
    double once = bench_clock(at); /* compiled, and in the caches, from now on */
    at->turns = once < slice * 1e9 ? (int)(slice * 1e9 / (once + 1)) + 1 : 1;
    return true;
}

const char *bench_time_text(Arena *arena, double ns) {
    if (ns < 1e3) return arena_printf(arena, "%.0f ns", ns);
    if (ns < 1e6) return arena_printf(arena, "%.2f us", ns / 1e3);
    return arena_printf(arena, "%.3f ms", ns / 1e6);
}
