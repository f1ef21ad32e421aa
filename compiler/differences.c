/* The function that is differentiated is the loss plus the inner product of every output with a
 * random upstream gradient. Differences are taken output by output, so that what does not change
 * cancels exactly. The divisor of a loss has no gradient, so it is that of the point: such a loss
 * is an output more, with its reciprocal as the upstream gradient. */
#include "differences.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "rnn_rt.h"

enum { STENCIL = 4 };
static const double offsets[STENCIL] = {-2, -1, 1, 2};
static const double wide = 1e-4, narrow = 1.7e-5; /* steps of the two differences */
static const double tolerance = 1e-6, floor_share = 1e-3;

typedef struct Check {
    Arena *arena;
    const Graph *graph; /* the forward graph, with divided losses as outputs */
    const Gradient *gradient;
    InterpCall call;        /* inputs and params are ours, to be changed */
    const InterpResult *at; /* of the point itself */
    double **weights;       /* [outputs]: upstream gradients, laid out as outputs; NULL: none */
    int64_t *counts;        /* [outputs] */
    double **upstream;      /* the same, laid out as inputs */
    uint64_t seed;
    int most;
    double largest; /* of all gradients */
    /* With the bounds of rounding: of the point, of its gradients; NULL until they are asked for.
     */
    const InterpResult *fine_at, *fine_gradient;
    Differences *out;
} Check;

/* ---- Sizes ---- */

static int64_t extent(const Check *check, int64_t *const *lengths, int a) {
    const Axis *axis = &check->graph->axes.at[a];
    int64_t most = 0;
    if (axis->kind == AXIS_SLOW) {
        int64_t n = extent(check, lengths, axis->base);
        return n / axis->every + (n % axis->every != 0);
    }
    if (!lengths[a]) return axis->fixed;
    for (int64_t b = 0; b < check->call.batch; b++)
        if (lengths[a][b] > most) most = lengths[a][b];
    return most;
}

static int64_t count_of(const Check *check, const GraphPort *port, int64_t *const *lengths) {
    int64_t count = check->call.batch * shape_count(port->type.shape);
    for (int k = 0; k < port->index_count; k++)
        count *= extent(check, lengths, check->graph->indices.at[port->indices[k]].axis);
    return count;
}

static int64_t length_of(const Check *check, int64_t *const *lengths, int a, int64_t b) {
    const Axis *axis = &check->graph->axes.at[a];
    if (axis->kind != AXIS_SLOW) return lengths[a] ? lengths[a][b] : axis->fixed;
    int64_t n = length_of(check, lengths, axis->base, b);
    return n / axis->every + (n % axis->every != 0);
}

/* ---- Upstream gradients ---- */

/* A number for each element of an output, NaN behind the ends: the same whatever the extents of the
 * array. */
static double *draw_upstream(const Check *check, int o, int64_t *const *given,
                             int64_t *const *found) {
    const GraphPort *port = &check->graph->outputs.at[o];
    int64_t count = count_of(check, port, given), at[MAX_DOMAIN] = {0};
    int64_t elements = shape_count(port->type.shape);
    double *values = ARENA_ARRAY(check->arena, count + 1, double);
    for (int64_t e = 0; e < count; e++) {
        int64_t b = e / elements % check->call.batch, p = e / elements / check->call.batch;
        bool inside = true;
        for (int k = port->index_count; k-- > 0;) {
            int a = check->graph->indices.at[port->indices[k]].axis;
            int64_t n = extent(check, given, a);
            at[k] = p % n;
            p /= n;
            inside = inside && at[k] < length_of(check, found, a, b);
        }
        double u = rt_uniform(check->seed, (uint64_t)(3000 + o), (uint64_t)b, at, port->index_count,
                              (uint64_t)(e % elements));
        values[e] = inside ? 2 * u - 1 : NAN;
    }
    return values;
}

/* Elements that are infinite (the maximum of nothing) or NaN start nothing. */
static void mend_infinite(const Check *check, int o) {
    const double *values = check->at->outputs[o];
    for (int64_t e = 0; e < check->counts[o]; e++) {
        if (isnan(values[e])) check->out->undefined = true;
        if (!isfinite(values[e])) check->weights[o][e] = 0; /* which is upstream, too */
        if (!isfinite(values[e]) && check->upstream[o] != check->weights[o])
            check->out->words = "an output over a generated axis is not finite";
    }
}

/* The sums of the divisors at this point, as weights of the losses that they divide: these stand
 * behind the outputs of the model, each before its divisor. */
static void weigh_divided(Check *check) {
    for (int o = check->gradient->forward->outputs.count; o < check->graph->outputs.count; o += 2) {
        int64_t batch = check->call.batch;
        double sum = 0;
        for (int64_t b = 0; b < batch; b++) sum += check->at->outputs[o + 1][b];
        if (sum == 0) check->out->words = "the divisor of a loss is 0";
        check->counts[o] = batch;
        check->weights[o] = ARENA_ARRAY(check->arena, batch, double);
        for (int64_t b = 0; b < batch; b++) check->weights[o][b] = 1 / sum;
    }
}

/* False where no gradient starts; `words` then says if that is for a NaN. */
static bool draw_all(Check *check) {
    const Graph *graph = check->graph, *forward = check->gradient->forward;
    bool any = forward->losses.count > 0;
    check->weights = ARENA_ARRAY(check->arena, graph->outputs.count + 1, double *);
    check->upstream = ARENA_ARRAY(check->arena, graph->outputs.count + 1, double *);
    check->counts = ARENA_ARRAY(check->arena, graph->outputs.count + 1, int64_t);
    for (int o = 0; o < forward->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        int64_t *const *found = check->at->lengths;
        if (port->type.dtype != DT_FLOAT) continue;
        check->counts[o] = count_of(check, port, found);
        check->weights[o] = draw_upstream(check, o, found, found);
        check->upstream[o] = check->weights[o];
        any = any || check->counts[o] > 0;
        bool same = true; /* the extents of inputs, on generated axes bounds */
        for (int k = 0; k < port->index_count; k++) {
            int a = graph->indices.at[port->indices[k]].axis;
            same = same && extent(check, found, a) == extent(check, check->call.lengths, a);
        }
        if (!same) check->upstream[o] = draw_upstream(check, o, check->call.lengths, found);
        mend_infinite(check, o);
    }
    weigh_divided(check);
    if (!isfinite(check->at->loss)) check->out->words = "the loss is not finite";
    return any && !check->out->words;
}

/* ---- Differences ---- */

typedef struct Stencil {
    bool good;       /* all points were evaluated, and are finite */
    double n;        /* the difference */
    double rounding; /* how far n may be off by it; with fine_at */
    double bend; /* second differences of two widths, over the step: 0 but for rounding, unless the
                slope jumps at the point itself */
} Stencil;

static bool same_lengths(const Check *check, const InterpResult *r) {
    for (int a = 0; a < check->graph->axes.count; a++)
        for (int64_t b = 0; check->call.lengths[a] && b < check->call.batch; b++)
            if (r->lengths[a][b] != check->at->lengths[a][b]) return false;
    return true;
}

static double fourth(const double f[STENCIL]) {
    return 8 * (f[2] - f[1]) - (f[3] - f[0]); /* 0 where nothing changes */
}

static double bend_of(const double f[STENCIL], double middle) {
    double outer = (f[0] - middle) + (f[3] - middle), inner = (f[1] - middle) + (f[2] - middle);
    return outer - 4 * inner;
}

static Stencil stencil(Check *check, double *x, double h) {
    Arena *arena = arena_new_in(check->arena);
    Stencil s = {.good = true};
    double at = *x, f[STENCIL];
    InterpResult *r[STENCIL];
    for (int i = 0; i < STENCIL && s.good; i++) {
        *x = at + offsets[i] * h;
        r[i] = interpret(arena, check->graph, &check->call);
        s.good = r[i]->status == INTERP_OK && same_lengths(check, r[i]);
        if (s.good) f[i] = r[i]->loss;
    }
    *x = at;
    if (s.good) {
        s.n = fourth(f);
        s.bend = bend_of(f, check->at->loss);
        if (check->fine_at) s.rounding = 18 * check->fine_at->loss_bound;
    }
    for (int o = 0; s.good && o < check->graph->outputs.count; o++)
        for (int64_t e = 0; check->weights[o] && e < check->counts[o]; e++) {
            double weight = check->weights[o][e];
            if (isnan(weight) || weight == 0) continue;
            for (int i = 0; i < STENCIL; i++) f[i] = r[i]->outputs[o][e];
            s.n += weight * fourth(f);
            if (check->fine_at && (f[0] != f[1] || f[1] != f[2] || f[2] != f[3]))
                s.rounding += fabs(weight) * 18 * check->fine_at->bounds[o][e];
            s.bend += weight * bend_of(f, check->at->outputs[o][e]);
        }
    arena_free(arena);
    s.n /= 12 * h;
    s.rounding /= 12 * h;
    s.bend /= 2 * h;
    s.good = s.good && isfinite(s.n);
    return s;
}

static double scale(double a, double n, double largest) {
    return fmax(fmax(fabs(a), fabs(n)), floor_share * largest);
}

/* Whether rounding alone explains that gradient `o` is so far off the differences. */
static bool rounding_explains(Check *check, int o, int64_t i, double *x, double off) {
    if (!check->fine_at) {
        InterpCall call = check->call;
        call.roundoff = INTERP_ROUNDOFF_F64;
        check->fine_at = interpret(check->arena, check->graph, &call);
        check->fine_gradient =
            gradient_interpret(check->arena, check->gradient, &call, check->upstream);
    }
    if (check->fine_at->status != INTERP_OK || check->fine_gradient->status != INTERP_OK)
        return false;
    double most = stencil(check, x, wide).rounding + check->fine_gradient->bounds[o][i];
    return isfinite(most) && off <= most;
}

static void compare_element(Check *check, DifferenceTensor *tensor, int o, double *x, int64_t i,
                            const double *gradient, double largest) {
    double a = gradient[i];
    Stencil s = stencil(check, &x[i], wide);
    double off = fabs(a - s.n), most = tolerance * scale(a, s.n, largest);
    if (s.good && isfinite(a) && off <= most) {
        tensor->checked++;
        if (off > 0) tensor->worst = fmax(tensor->worst, off / scale(a, s.n, largest));
        return;
    }
    /* At a kink the differences disagree; but they need not agree as well as they should with an a
     * that is wrong by far more than they disagree. */
    Stencil again = stencil(check, &x[i], narrow);
    double apart = fmax(fabs(s.n - again.n), fabs(s.bend));
    bool smooth = apart <= tolerance * scale(s.n, again.n, largest) || off > 100 * apart;
    bool lost = isnan(a) && check->out->undefined; /* 0 times the slope of what is NaN */
    if (!s.good || !again.good || lost || (isfinite(a) && !smooth) ||
        rounding_explains(check, o, i, &x[i], off)) {
        tensor->kinks++;
        return;
    }
    tensor->checked++;
    tensor->worst = INFINITY;
    if (check->out->words) return;
    check->out->result = DIFFERENCES_WRONG;
    check->out->words = arena_printf(
        check->arena,
        "the gradient of %s %s, element %" PRId64 ", is %.12g when differences say %.12g",
        tensor->input ? "input" : "parameter", tensor->name, i, a, s.n);
}

/* Element k of those that are looked at: the largest gradient, then others at random, every other
 * one with a gradient. */
static int64_t choose(const Check *check, int64_t count, const double *gradient, int site, int k) {
    int64_t i = 0;
    if (count <= check->most) return k;
    if (k == 0) {
        for (int64_t e = 0; e < count; e++)
            if (fabs(gradient[e]) > fabs(gradient[i])) i = e;
        return i;
    }
    double u = rt_uniform(check->seed, (uint64_t)(4000 + site), 0, NULL, 0, (uint64_t)k);
    i = (int64_t)(u * (double)count);
    for (int64_t tries = 0; k % 2 && gradient[i] == 0 && tries < count; tries++)
        i = (i + 1) % count;
    return i;
}

static int64_t size_of(const Check *check, const GraphPort *port) {
    return port->shared ? shape_count(port->type.shape) : count_of(check, port, check->at->lengths);
}

/* The values that the gradient is of, laid out as it by the lengths found. */
static double *own_values(Check *check, const GraphPort *port) {
    const double *values =
        port->kind == PORT_PARAM_GRAD ? check->call.params[port->of] : check->call.inputs[port->of];
    return (double *)(uintptr_t)values;
}

static Name own_name(const Check *check, const GraphPort *port) {
    return port->kind == PORT_PARAM_GRAD ? check->graph->params.at[port->of].name
                                         : check->graph->inputs.at[port->of].name;
}

static void compare_tensor(Check *check, int o, const double *gradient) {
    const GraphPort *port = &check->gradient->graph->outputs.at[o];
    double *x = own_values(check, port);
    DifferenceTensor tensor = {.name = own_name(check, port),
                               .input = port->kind == PORT_INPUT_GRAD,
                               .elements = size_of(check, port)};
    double largest = tolerance * check->largest;
    for (int64_t i = 0; i < tensor.elements; i++) largest = fmax(largest, fabs(gradient[i]));
    for (int k = 0; x && k < check->most && k < tensor.elements; k++)
        compare_element(check, &tensor, o, x, choose(check, tensor.elements, gradient, o, k),
                        gradient, largest);
    check->out->checked += tensor.checked;
    check->out->kinks += tensor.kinks;
    vec_push(check->arena, &check->out->tensors, tensor);
}

/* ---- The order of things ---- */

AdjointOptions differences_options(Arena *arena, const Graph *graph, const InterpCall *call) {
    bool *upstream = ARENA_ARRAY(arena, graph->outputs.count + 1, bool);
    bool *of_inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, bool);
    for (int o = 0; o < graph->outputs.count; o++)
        upstream[o] = graph->outputs.at[o].type.dtype == DT_FLOAT;
    for (int i = 0; i < graph->inputs.count; i++)
        of_inputs[i] = graph->inputs.at[i].node >= 0 && call->inputs[i] &&
                       graph->inputs.at[i].type.dtype == DT_FLOAT;
    return (AdjointOptions){.reduce_sum = call->reduce_sum,
                            .losses = true,
                            .upstream = upstream,
                            .of_inputs = of_inputs,
                            .of_params = true};
}

static bool refused(Check *check, const InterpResult *r) {
    if (r->status == INTERP_OK) return false;
    check->out->result = DIFFERENCES_REFUSED;
    check->out->words = r->message;
    return true;
}

static const double *own(Check *check, const double *values, int64_t count) {
    double *to = ARENA_ARRAY(check->arena, count + 1, double);
    if (!values) return NULL;
    if (count > 0) memcpy(to, values, (size_t)count * sizeof *to);
    return to;
}

/* All that is moved. */
static void own_arrays(Check *check, const InterpCall *call) {
    const Graph *graph = check->graph;
    const double **inputs = ARENA_ARRAY(check->arena, graph->inputs.count + 1, const double *);
    const double **params = ARENA_ARRAY(check->arena, graph->params.count + 1, const double *);
    for (int i = 0; i < graph->inputs.count; i++)
        inputs[i] =
            own(check, call->inputs[i], count_of(check, &graph->inputs.at[i], call->lengths));
    for (int i = 0; i < graph->params.count; i++)
        params[i] = own(check, call->params[i], shape_count(graph->params.at[i].shape));
    check->call.inputs = inputs;
    check->call.params = params;
    check->call.want_state = false;
    check->call.single = false;
}

static InterpResult *by_interpreter(void *user, Arena *arena, const Gradient *gradient,
                                    const InterpCall *call, double *const *upstream) {
    (void)user;
    return gradient_interpret(arena, gradient, call, upstream);
}

Differences differences_check(Arena *arena, const Gradient *gradient, const InterpCall *call,
                              int most, uint64_t seed) {
    return differences_check_by(arena, gradient, call, most, seed, by_interpreter, NULL);
}

Differences differences_check_by(Arena *arena, const Gradient *gradient, const InterpCall *call,
                                 int most, uint64_t seed, GradientSource *source, void *user) {
    Differences out = {.result = DIFFERENCES_SAME};
    Check check = {.arena = arena,
                   .graph = differences_undivided(arena, gradient->forward),
                   .gradient = gradient,
                   .call = *call,
                   .seed = seed,
                   .most = most,
                   .out = &out};
    own_arrays(&check, call);
    check.graph = differences_detached(arena, check.graph, &check.call, &out.words);
    if (!check.graph) {
        out.result = DIFFERENCES_REFUSED;
        return out;
    }
    out.words = NULL;
    const InterpResult *at = interpret(arena, check.graph, &check.call);
    check.at = at;
    if (refused(&check, at)) {
        if (at->status == INTERP_CYCLE) out.result = DIFFERENCES_WRONG;
        return out;
    }
    if (!draw_all(&check)) {
        out.result = out.words ? DIFFERENCES_REFUSED : DIFFERENCES_NONE;
        return out;
    }
    const InterpResult *r = source(user, arena, gradient, &check.call, check.upstream);
    if (refused(&check, r)) {
        /* What the forward graph takes, its gradient takes. */
        if (r->status != INTERP_MEMORY) out.result = DIFFERENCES_WRONG;
        out.words = arena_printf(arena, "the gradient is refused: %s", r->message);
        return out;
    }
    const Graph *graph = gradient->graph;
    for (int o = 0; o < graph->outputs.count; o++)
        for (int64_t e = 0; r->outputs[o] && e < size_of(&check, &graph->outputs.at[o]); e++)
            check.largest = fmax(check.largest, fabs(r->outputs[o][e]));
    for (int o = 0; o < graph->outputs.count; o++)
        if (r->outputs[o]) compare_tensor(&check, o, r->outputs[o]);
    return out;
}
