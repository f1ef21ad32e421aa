/* `rnnc run --backend=llvm` and `=c`: the model compiled for this machine, and its functions called
 * by the roles that loop/interface.h gives to their arguments. A few lines of C behind the emitted
 * file, or their like in machine code, turn each function into one that takes an array of pointers,
 * so that no calling convention is guessed here. */
#define _XOPEN_SOURCE 700

#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/identifier.h"
#include "passes/passes.h"
#include "rnn_rt.h"
#include "run_compiled.h"

typedef int64_t (*Trampoline)(void *const *args);

static const LFunction *function_of(const Compiled *r, const InterfaceFunction *function) {
    return r->in->module->functions.at[function->function];
}

/* ---- Code ---- */

static void add_trampolines(const Interface *in, Text *out) {
    text_puts(out, "\n/* For rnnc run. */\n");
    for (int f = 0; f < in->functions.count; f++) {
        const LFunction *function = in->module->functions.at[in->functions.at[f].function];
        if (!function->exported) continue;
        text_printf(
            out, "int64_t rnnc_call_%d(void *const *a);\nint64_t rnnc_call_%d(void *const *a) {\n",
            f, f);
        text_printf(out, "    (void)a;\n    %s%s(", function->result == LT_VOID ? "" : "return ",
                    identifier_symbol(in->module, function->name));
        for (int i = 0; i < function->args.count; i++) {
            const LArg *arg = &function->args.at[i];
            text_puts(out, i ? ", " : "");
            if (arg->pointer)
                text_printf(out, "a[%d]", i);
            else
                text_printf(out, "(%s)*(const int64_t *)a[%d]", identifier_type(arg->type), i);
        }
        text_puts(out, ");\n");
        if (function->result == LT_VOID) text_puts(out, "    return 0;\n");
        text_puts(out, "}\n");
    }
}

/* By LLVM, in memory: each function when it is first called. */
static bool build_machine(Compiled *r, Compilation *c) {
    const char *why = "";
    MachineOptions options = compilation_machine(c, true);
    r->handle = r->machine->open(c->arena, r->in, &options, c->diags, &why);
    if (!r->handle) text_printf(&c->log, "rnnc: error: cannot load the compiled model: %s\n", why);
    return r->handle != NULL;
}

static bool build(Compiled *r, Compilation *c) {
    const char *why = "";
    double since = compilation_clock();
    if (c->options->backend != RUN_C && c->target.machine.triple)
        r->machine = machine_find(c->arena, &why);
    compilation_time(c, "llvm: library", &since);
    if (r->machine) return build_machine(r, c);
    if (c->options->backend == RUN_LLVM)
        text_printf(&c->log, "rnnc: note: %s, --backend=llvm runs as c\n", why);
    Text code = text_new(c->arena), header = text_new(c->arena);
    if (!compilation_emit(c, "c", "model.h", &code)) return false;
    if (!compilation_header(c, "model.h", &header)) return false;
    add_trampolines(r->in, &code);
    run_door(c, &code);
    r->handle = run_compile(c, &code, &header, "model.h");
    if (r->handle) run_open_door(c, r->handle);
    return r->handle != NULL;
}

/* ---- Memory ---- */

void *compiled_aligned(Arena *arena, int64_t bytes) {
    char *at = arena_alloc(arena, (bytes < 0 ? SIZE_MAX - 64 : (size_t)bytes) + 64);
    return at + (64 - (uintptr_t)at % 64) % 64;
}

/* Doubles as elements of another type. False when an integer does not fit. */
static bool narrow_to(LoopType type, const double *values, int64_t count, void *to) {
    bool fits = true;
    for (int64_t i = 0; i < count; i++) {
        double v = values[i];
        switch (type) {
        case LT_F32: ((float *)to)[i] = (float)v; break;
        case LT_F64: ((double *)to)[i] = v; break;
        case LT_I8:
            fits = fits && v >= -128 && v <= 127;
            if (fits) ((int8_t *)to)[i] = (int8_t)v;
            break;
        case LT_I32:
            fits = fits && v >= INT32_MIN && v <= INT32_MAX;
            if (fits) ((int32_t *)to)[i] = (int32_t)v;
            break;
        case LT_I64: ((int64_t *)to)[i] = (int64_t)v; break;
        case LT_U16:
        case LT_M32:
        case LT_M64:
        case LT_VOID: fits = false; break;
        }
    }
    return fits;
}

static bool narrow(Arena *arena, LoopType type, const double *values, int64_t count, void **out) {
    *out = compiled_aligned(arena, count * 8);
    return narrow_to(type, values, count, *out);
}

double *compiled_widen(Arena *arena, LoopType type, const void *from, int64_t count) {
    double *values = ARENA_ARRAY(arena, count, double);
    for (int64_t i = 0; i < count; i++) {
        switch (type) {
        case LT_F32: values[i] = (double)((const float *)from)[i]; break;
        case LT_F64: values[i] = ((const double *)from)[i]; break;
        case LT_I8: values[i] = ((const int8_t *)from)[i]; break;
        case LT_I32: values[i] = ((const int32_t *)from)[i]; break;
        case LT_I64: values[i] = (double)((const int64_t *)from)[i]; break;
        case LT_U16:
        case LT_M32:
        case LT_M64:
        case LT_VOID: break;
        }
    }
    return values;
}

/* ---- Calls ---- */

static void *port_array(const Compiled *r, int index, ArgRole role, int slot) {
    if (index == r->in->import_state || index == r->in->export_state) return r->rows[slot];
    if (index == r->in->step) return role == ROLE_INPUT ? r->row_in[slot] : r->row_out[slot];
    return role == ROLE_INPUT ? r->inputs[slot] : r->outputs[slot];
}

void *compiled_symbol(const Compiled *r, int index) {
    if (r->machine) return r->machine->symbol(r->handle, index);
    return dlsym(r->handle, arena_printf(r->in->module->arena, "rnnc_call_%d", index));
}

void **compiled_args(Compiled *r, int index) {
    RunData *data = r->data;
    const InterfaceFunction *function = &r->in->functions.at[index];
    void **args = ARENA_ARRAY(data->arena, function->args.count + 1, void *);
    int64_t *scalars = ARENA_ARRAY(data->arena, function->args.count + 1, int64_t);
    for (int i = 0; i < function->args.count; i++) {
        const InterfaceArg *arg = &function->args.at[i];
        args[i] = &scalars[i];
        switch (arg->role) {
        case ROLE_PARAMS: args[i] = r->params; break;
        case ROLE_WEIGHTS: args[i] = r->weights; break;
        case ROLE_BATCH:
        case ROLE_COUNT: scalars[i] = data->batch; break;
        case ROLE_STEPS: scalars[i] = data->extent[arg->slot]; break;
        case ROLE_LENGTHS: args[i] = r->lengths[arg->slot]; break;
        case ROLE_OUT_LENGTHS: args[i] = r->found[arg->slot]; break;
        case ROLE_INPUT:
        case ROLE_OUTPUT: args[i] = port_array(r, index, arg->role, arg->slot); break;
        case ROLE_UPSTREAM: args[i] = r->upstream[arg->slot]; break;
        case ROLE_LOSS: args[i] = r->loss; break;
        case ROLE_GRADS: args[i] = r->grads; break;
        case ROLE_INPUT_GRAD: args[i] = r->in_grads[arg->slot]; break;
        case ROLE_STATE: args[i] = r->state; break;
        case ROLE_FIRST: scalars[i] = 0; break;
        case ROLE_ENDED: args[i] = r->ended; break;
        case ROLE_AT: args[i] = r->at[arg->slot]; break;
        case ROLE_SEED: memcpy(&scalars[i], &data->c->options->seed, sizeof scalars[i]); break;
        case ROLE_WORK: args[i] = r->work; break;
        case ROLE_WORK_BYTES: scalars[i] = r->work_bytes; break;
        case ROLE_POOL: args[i] = data->c->pool; break;
        }
    }
    return args;
}

int64_t compiled_call(Compiled *r, int index) {
    Trampoline trampoline;
    void *symbol = compiled_symbol(r, index);
    memcpy(&trampoline, &symbol, sizeof trampoline);
    if (!symbol) return -1; /* no status; c->diags has why */
    return trampoline(compiled_args(r, index));
}

/* Which length the compiled code refused: the driver has checked all but those of 0. */
static const char *refused_length(const Compiled *r) {
    const RunData *data = r->data;
    const Graph *graph = data->graph;
    bool *needed = ARENA_ARRAY(data->arena, graph->axes.count + 1, bool);
    passes_axes_needed(graph, needed);
    for (int a = 0; a < graph->axes.count; a++)
        for (int64_t b = 0; needed[a] && data->lengths[a] && b < data->batch; b++)
            if (data->lengths[a][b] < 1)
                return arena_printf(data->arena,
                                    "axis %s has length 0 in sequence %" PRId64
                                    " when the model needs at least 1",
                                    graph->axes.at[a].name, b);
    return "a length is out of its range";
}

bool compiled_checked(Compiled *r, int index, ExitStatus *status) {
    static const char *const words[] = {[LOOP_OK] = "",
                                        [LOOP_BAD_LENGTH] = "a length is out of its range",
                                        [LOOP_BAD_VALUE] = "an integer input is out of its range",
                                        [LOOP_BAD_SPACE] = "the workspace is too small",
                                        [LOOP_BAD_POINTER] = "an array is missing or not aligned",
                                        [LOOP_BAD_LOSS] = "the divisor of a loss is 0"};
    Diags *diags = r->data->c->diags;
    int64_t got = compiled_call(r, index);
    const char *name = function_of(r, &r->in->functions.at[index])->name;
    *status = EXIT_INPUT;
    if (got == LOOP_OK) return true;
    if (got == LOOP_BAD_LENGTH)
        diag_error(diags, "E-RUN", (Span){0}, "%s", refused_length(r));
    else if (got == LOOP_BAD_VALUE || got == LOOP_BAD_LOSS)
        diag_error(diags, "E-RUN", (Span){0}, "%s", words[got]);
    else
        diag_error(diags, "internal", (Span){0}, "%s returned %" PRId64 ": %s", name, got,
                   got > 0 && got <= LOOP_BAD_LOSS ? words[got] : "no status that is known");
    return false;
}

/* ---- Arrays ---- */

static bool make_params(Compiled *r) {
    RunData *data = r->data;
    LoopType real = r->in->module->real;
    char *flat = compiled_aligned(data->arena, r->in->param_count * loop_type_size(real));
    bool fits = true;
    r->params = flat;
    for (int i = 0; i < data->graph->params.count; i++)
        fits &= narrow_to(real, data->params[i], shape_count(data->graph->params.at[i].shape),
                          flat + r->in->param_offsets.at[i] * loop_type_size(real));
    return fits;
}

/* Functions of training take the parameters as they are; what keeps a state may not. */
static bool wants_weights(const Compiled *r) {
    const InterfaceFunction *function = &r->in->functions.at[r->function];
    bool wants = r->in->states.count > 0;
    for (int i = 0; i < function->args.count; i++)
        wants |= function->args.at[i].role == ROLE_WEIGHTS;
    return wants;
}

static int64_t port_count(RunData *data, const GraphPort *port) {
    return run_count(data, port->index_count, port->indices, data->extent, port->type.shape);
}

static bool fill_port(Compiled *r, const GraphPort *port, LoopType type, const double *values,
                      void **out) {
    RunData *data = r->data;
    if (narrow(data->arena, type, values, port_count(data, port), out)) return true;
    diag_error(data->c->diags, "E-RUN", (Span){0}, "%s holds a number that is out of its range",
               port->name);
    return false;
}

static bool fill_lengths(Compiled *r, int axis) {
    RunData *data = r->data;
    r->lengths[axis] = ARENA_ARRAY(data->arena, data->batch, int32_t);
    for (int64_t b = 0; b < data->batch; b++) {
        if (data->lengths[axis][b] > INT32_MAX) {
            diag_error(data->c->diags, "E-RUN", (Span){0}, "%s has more than 2^31-1 positions",
                       data->graph->axes.at[axis].name);
            return false;
        }
        r->lengths[axis][b] = (int32_t)data->lengths[axis][b];
    }
    return true;
}

/* The array of one argument of the function, if it has one. */
static bool make_array(Compiled *r, const InterfaceArg *arg, LoopType type) {
    RunData *data = r->data;
    const Graph *graph = data->graph;
    int64_t size = loop_type_size(type);
    switch (arg->role) {
    case ROLE_INPUT:
        return !data->inputs[arg->slot] ||
               fill_port(r, &graph->inputs.at[arg->slot], type, data->inputs[arg->slot],
                         &r->inputs[arg->slot]);
    case ROLE_UPSTREAM:
        return !data->upstream || !data->upstream[arg->slot] ||
               fill_port(r, &graph->outputs.at[arg->slot], type, data->upstream[arg->slot],
                         &r->upstream[arg->slot]);
    case ROLE_OUTPUT:
        r->outputs[arg->slot] =
            compiled_aligned(data->arena, port_count(data, &graph->outputs.at[arg->slot]) * size);
        return true;
    case ROLE_LOSS: r->loss = compiled_aligned(data->arena, size); return true;
    case ROLE_GRADS:
        r->grads = compiled_aligned(data->arena, r->in->param_count * size);
        return true;
    case ROLE_INPUT_GRAD:
        if (run_grad_wanted(data, arg->slot))
            r->in_grads[arg->slot] = compiled_aligned(
                data->arena, port_count(data, &graph->inputs.at[arg->slot]) * size);
        return true;
    case ROLE_LENGTHS: return !data->lengths[arg->slot] || fill_lengths(r, arg->slot);
    case ROLE_OUT_LENGTHS:
        r->found[arg->slot] = ARENA_ARRAY(data->arena, data->batch, int32_t);
        return true;
    case ROLE_PARAMS:
    case ROLE_WEIGHTS:
    case ROLE_BATCH:
    case ROLE_STEPS:
    case ROLE_STATE:
    case ROLE_FIRST:
    case ROLE_COUNT:
    case ROLE_ENDED:
    case ROLE_AT:
    case ROLE_SEED:
    case ROLE_WORK:
    case ROLE_WORK_BYTES:
    case ROLE_POOL: break;
    }
    return true;
}

static bool make_arrays(Compiled *r) {
    RunData *data = r->data;
    const Graph *graph = data->graph;
    const InterfaceFunction *function = &r->in->functions.at[r->function];
    r->inputs = ARENA_ARRAY(data->arena, graph->inputs.count, void *);
    r->in_grads = ARENA_ARRAY(data->arena, graph->inputs.count, void *);
    r->outputs = ARENA_ARRAY(data->arena, graph->outputs.count, void *);
    r->upstream = ARENA_ARRAY(data->arena, graph->outputs.count, void *);
    r->lengths = ARENA_ARRAY(data->arena, graph->axes.count, int32_t *);
    r->found = ARENA_ARRAY(data->arena, graph->axes.count, int32_t *);
    for (int i = 0; i < function->args.count; i++)
        if (!make_array(r, &function->args.at[i], function_of(r, function)->args.at[i].type))
            return false;
    return true;
}

/* ---- State ---- */

static const RunState *state_named(const RunData *data, const char *name, int *place) {
    for (int i = 0; i < data->states.count; i++)
        if (strcmp(data->states.at[i].name, name) == 0) {
            *place = i;
            return &data->states.at[i];
        }
    return NULL;
}

LoopType compiled_type(const Compiled *r, int index, ArgRole role, int slot) {
    const InterfaceFunction *function = &r->in->functions.at[index];
    for (int i = 0; i < function->args.count; i++)
        if (function->args.at[i].role == role && function->args.at[i].slot == slot)
            return function_of(r, function)->args.at[i].type;
    return LT_VOID;
}

static int64_t row_count(const RunData *data, const InterfaceState *state) {
    return state->lags * data->batch * state->count;
}

/* The compiled model and the graph must carry the same. */
static bool match_states(Compiled *r) {
    RunData *data = r->data;
    bool same = r->in->states.count == data->states.count;
    for (int i = 0; same && i < r->in->states.count; i++) {
        int place = 0;
        const RunState *state = state_named(data, r->in->states.at[i].name, &place);
        same = state && state->lags == r->in->states.at[i].lags &&
               shape_count(state->shape) == r->in->states.at[i].count;
    }
    if (!same)
        diag_error(data->c->diags, "internal", (Span){0},
                   "the compiled model carries another state than its equations");
    return same;
}

static bool load_state(Compiled *r, ExitStatus *status) {
    RunData *data = r->data;
    r->rows = ARENA_ARRAY(data->arena, r->in->states.count, void *);
    for (int i = 0; i < r->in->states.count; i++) {
        int place = 0;
        const InterfaceState *row = &r->in->states.at[i];
        const RunState *state = state_named(data, row->name, &place);
        LoopType type = compiled_type(r, r->in->import_state, ROLE_INPUT, i);
        if (!narrow(data->arena, type, state->values, row_count(data, row), &r->rows[i])) {
            diag_error(data->c->diags, "E-RUN", (Span){0}, "state %s is out of its range",
                       row->name);
            return false;
        }
    }
    return compiled_checked(r, r->in->import_state, status);
}

static bool save_state(Compiled *r, ExitStatus *status) {
    RunData *data = r->data;
    r->rows = ARENA_ARRAY(data->arena, r->in->states.count, void *);
    data->state_out = ARENA_ARRAY(data->arena, data->states.count, double *);
    for (int i = 0; i < r->in->states.count; i++)
        r->rows[i] = compiled_aligned(data->arena, row_count(data, &r->in->states.at[i]) * 8);
    if (!compiled_checked(r, r->in->export_state, status)) return false;
    for (int i = 0; i < r->in->states.count; i++) {
        int place = 0;
        const InterfaceState *row = &r->in->states.at[i];
        (void)state_named(data, row->name, &place);
        data->state_out[place] =
            compiled_widen(data->arena, compiled_type(r, r->in->export_state, ROLE_OUTPUT, i),
                           r->rows[i], row_count(data, row));
    }
    return true;
}

/* ---- The order of things ---- */

static void take_results(Compiled *r) {
    RunData *data = r->data;
    const Graph *graph = data->graph;
    const InterfaceFunction *function = &r->in->functions.at[r->function];
    LoopType real = r->in->module->real;
    data->outputs = ARENA_ARRAY(data->arena, graph->outputs.count, double *);
    data->found = ARENA_ARRAY(data->arena, graph->axes.count, int64_t *);
    for (int a = 0; a < graph->axes.count; a++) {
        data->found[a] = data->lengths[a];
        if (!r->found[a]) continue;
        data->found[a] = ARENA_ARRAY(data->arena, data->batch, int64_t);
        for (int64_t b = 0; b < data->batch; b++) data->found[a][b] = r->found[a][b];
    }
    for (int i = 0; i < function->args.count; i++) {
        const InterfaceArg *arg = &function->args.at[i];
        if (arg->role != ROLE_OUTPUT || !r->outputs[arg->slot]) continue;
        data->outputs[arg->slot] =
            compiled_widen(data->arena, function_of(r, function)->args.at[i].type,
                           r->outputs[arg->slot], port_count(data, &graph->outputs.at[arg->slot]));
    }
    if (r->loss) data->loss = compiled_widen(data->arena, real, r->loss, 1)[0];
    if (!r->grads) return;
    double *flat = compiled_widen(data->arena, real, r->grads, r->in->param_count);
    data->grads = ARENA_ARRAY(data->arena, graph->params.count, double *);
    for (int i = 0; i < graph->params.count; i++)
        data->grads[i] = flat + r->in->param_offsets.at[i];
    data->in_grads = ARENA_ARRAY(data->arena, graph->inputs.count, double *);
    for (int i = 0; i < graph->inputs.count; i++)
        if (r->in_grads[i])
            data->in_grads[i] = compiled_widen(data->arena, real, r->in_grads[i],
                                               port_count(data, &graph->inputs.at[i]));
}

bool compiled_begin(Compiled *r, RunData *data, ExitStatus *status) {
    *r = (Compiled){.data = data,
                    .in = r->in,
                    .handle = r->handle,
                    .machine = r->machine,
                    .function = r->in->forward,
                    .size = r->in->forward_work};
    if (data->kind == RUN_LOSS) {
        r->function = r->in->loss;
        r->size = r->in->loss_work;
    } else if (data->kind == RUN_GRAD) {
        r->function = r->in->grad;
        r->size = r->in->grad_work;
    }
    *status = EXIT_INPUT;
    r->at = ARENA_ARRAY(data->arena, data->graph->axes.count, int64_t *);
    if (!make_params(r) || !make_arrays(r)) return false;
    return !wants_weights(r) || compiled_pack(r, status);
}

bool compiled_pack(Compiled *r, ExitStatus *status) {
    r->weights = compiled_aligned(r->data->arena, r->in->weight_bytes);
    return r->in->pack < 0 || compiled_checked(r, r->in->pack, status);
}

bool compiled_within(Compilation *c, const Interface *in, int size, int64_t bytes) {
    int64_t budget = c->options->memory_budget;
    if (!budget || size < 0 || size != in->grad_work || bytes <= budget) return true;
    diag_error(c->diags, "E-RUN", (Span){0},
               "the gradient needs a workspace of %" PRId64 " bytes at least, when "
               "--memory-budget allows %" PRId64,
               bytes, budget);
    return false;
}

bool compiled_space(Compiled *r, int work_size, bool state, ExitStatus *status) {
    const Interface *in = r->in;
    if (work_size >= 0) r->work_bytes = compiled_call(r, work_size);
    *status = EXIT_INPUT;
    if (!compiled_within(r->data->c, in, work_size, r->work_bytes)) return false;
    int64_t reset_work = state && in->reset_work >= 0 ? compiled_call(r, in->reset_work) : 0;
    if (r->work_bytes < reset_work) r->work_bytes = reset_work;
    if (r->work_bytes < 0) r->work_bytes = 0; /* the call says what is out of range */
    r->work = compiled_aligned(r->data->arena, r->work_bytes);
    if (!state) return true;
    r->state_bytes = compiled_call(r, in->state_bytes);
    r->state = compiled_aligned(r->data->arena, r->state_bytes);
    return in->reset < 0 || compiled_checked(r, in->reset, status);
}

bool run_c_forward(Compiled *r, RunData *data, ExitStatus *status) {
    const Interface *in = r->in;
    /* Without `carry` the state is only what a step function needs. */
    bool carries = in->state_bytes >= 0 && data->graph->carries.count > 0;
    if (!compiled_begin(r, data, status)) return false;
    if (!compiled_space(r, r->size, carries, status)) return false;
    if (carries && !match_states(r)) return false;
    if (data->load_state && !load_state(r, status)) return false;
    if (!compiled_checked(r, r->function, status)) return false;
    take_results(r);
    return !data->keep_state || save_state(r, status);
}

const char *run_c_name(const Compiled *r) {
    return r->machine ? "LLVM" : "C";
}

void run_c_close(Compiled *r) {
    if (r->handle && r->machine) r->machine->close(r->handle);
    if (r->handle && !r->machine) dlclose(r->handle);
    r->handle = NULL;
}

static void end_compiled(void *what) {
    run_c_close(what);
}

static void end_pool(void *what) {
    Compilation *c = what;
    rnn_rt_pool_destroy(c->pool);
    c->pool = NULL;
}

bool compiled_pool(Compilation *c) {
    char why[200];
    if (c->options->threads <= 1 || c->pool) return true;
    arena_own(c->arena, end_pool, c);
    if (rnn_rt_pool_create(&c->pool, c->options->threads, NULL, why, sizeof why) == RT_OK)
        return true;
    text_printf(&c->log, "rnnc: error: %s\n", why);
    return false;
}

Compiled *run_c_open(Compilation *c, ExitStatus *status) {
    Compiled *r = ARENA_NEW(c->arena, Compiled);
    *r = (Compiled){.in = c->interface_};
    arena_own(c->arena, end_compiled, r);
    *status = EXIT_OUTSIDE;
    return compiled_pool(c) && run_find_blas(c) && build(r, c) ? r : NULL;
}

bool run_c(RunData *data, ExitStatus *status) {
    const Options *o = data->c->options;
    if (o->command == COMMAND_GRAD)
        data->kind = RUN_GRAD;
    else if (o->loss)
        data->kind = RUN_LOSS;
    Compiled *r = run_c_open(data->c, status);
    bool good = r && run_c_forward(r, data, status);
    if (r) run_c_close(r);
    return good;
}
