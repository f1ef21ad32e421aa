/* The interpreter's door: one sequence after the other, then outputs, losses and states put
 * together. */
#include "graph/interpret_run.h"

#include <float.h>
#include <math.h>

/* What the sequences leave behind until all lengths are known. */
typedef struct Gathered {
    double **pieces;     /* [batch][outputs]: values at the valid positions */
    double **bounds;     /* the same; entries are NULL without bounds */
    int64_t *lengths;    /* [batch][axes] */
    Ball *losses, *pers; /* [losses][batch] */
} Gathered;

/* ---- One sequence ---- */

static void begin_sequence(Run *run, int64_t b) {
    const Graph *graph = run->graph;
    run->b = b;
    run->frame = NULL;
    run->top = 0;
    for (int i = 0; i < run->stack.count; i++) run->stack.at[i].used = 0;
    run->sequence = arena_new(&run->out);
    if (!run->sequence) longjmp(run->out, 1);
    for (int a = 0; a < graph->axes.count; a++) {
        run->bound[a] = run->length[a] = interp_given(run, a, b);
        run->length_state[a] = interp_has_stop(run, a) ? LENGTH_OPEN : LENGTH_KNOWN;
    }
    for (int c = 0; c < graph->carries.count; c++)
        run->carried[c] = run->positions[c] ? (int64_t)run->positions[c]->values[b] : 0;
    interp_store_begin(run);
}

/* Bounds of one value; what nothing bounds makes the call fragile. */
static void gather_bounds(Run *run, int node, const double *value, const int64_t *at,
                          double *bounds) {
    const Plan *plan = &run->plans[node];
    for (int64_t i = 0; i < plan->count; i++) {
        bounds[i] = interp_ball(run->rounding, plan, value, i).e;
        if (!isfinite(bounds[i])) interp_fragile(run, node, at, "its bound is infinite");
    }
}

/* All valid positions of an output, in the order of its port. */
static double *gather_output(Run *run, const GraphPort *port, double **bounds) {
    const Plan *plan = &run->plans[port->node];
    int64_t length[MAX_DOMAIN], at[MAX_DOMAIN] = {0}, positions = 1;
    for (int k = 0; k < port->index_count; k++) {
        length[k] = run->length[run->graph->indices.at[port->indices[k]].axis];
        if (length[k] > 0 && positions > ((int64_t)1 << 60) / length[k]) longjmp(run->out, 1);
        positions *= length[k];
    }
    if (plan->count > 0 && positions > ((int64_t)1 << 60) / plan->count) longjmp(run->out, 1);
    double *values = interp_alloc(run, run->work, positions * plan->count, sizeof *values);
    if (run->rounding)
        *bounds = interp_alloc(run, run->work, positions * plan->count, sizeof *values);
    for (int64_t p = 0; p < positions; p++) {
        int64_t own[MAX_DOMAIN] = {0};
        for (int k = 0; k < plan->node->domain_count; k++)
            for (int j = 0; j < port->index_count; j++)
                if (port->indices[j] == plan->node->domain[k]) own[k] = at[j];
        const double *value = interp_value(run, port->node, own);
        memcpy(values + p * plan->count, value, (size_t)plan->count * sizeof *values);
        if (run->rounding) gather_bounds(run, port->node, value, own, *bounds + p * plan->count);
        for (int k = port->index_count - 1; k >= 0 && ++at[k] == length[k]; k--) at[k] = 0;
    }
    return values;
}

static Ball scalar_value(Run *run, int node) {
    int64_t none[MAX_DOMAIN] = {0};
    Ball ball = {0};
    const double *value = interp_value(run, node, none);
    ball.v = value[0];
    if (run->rounding) gather_bounds(run, node, value, none, &ball.e);
    return ball;
}

/* The last values of a carried variable: computed here, carried in, or the boundary's. */
static void gather_variable(Run *run, const CarryVariable *variable, InterpState *state) {
    const Plan *plan = &run->plans[variable->source];
    int axis = run->graph->carries.at[variable->carry].axis;
    int64_t batch = run->call->batch, length = run->length[axis];
    for (int j = 0; j < variable->lags; j++) {
        int64_t place = (j * batch + run->b) * plan->count;
        double *to = state->values + place;
        double *bounds = state->bounds ? state->bounds + place : NULL;
        int64_t p = length - variable->lags + j;
        const InterpState *in = variable->in;
        int64_t at[MAX_DOMAIN] = {0};
        at[0] = p;
        if (p >= 0) {
            const double *value = interp_value(run, variable->source, at);
            memcpy(to, value, (size_t)plan->count * sizeof *to);
            if (bounds) gather_bounds(run, variable->source, value, at, bounds);
        } else if (in) {
            int64_t from = ((in->lags + p) * batch + run->b) * plan->count;
            memcpy(to, in->values + from, (size_t)plan->count * sizeof *to);
            if (bounds && in->bounds)
                memcpy(bounds, in->bounds + from, (size_t)plan->count * sizeof *to);
        } else if (variable->boundary >= 0 &&
                   run->graph->nodes.at[variable->boundary]->domain_count == 0) {
            const double *value = interp_value(run, variable->boundary, at);
            const Plan *boundary = &run->plans[variable->boundary];
            interp_spread(boundary, plan, value, to);
            for (int64_t i = 0; bounds && i < plan->count; i++)
                bounds[i] = interp_ball(run->rounding, boundary, value,
                                        interp_element(&boundary->node->type.shape,
                                                       &plan->node->type.shape, i))
                                .e;
        }
    }
}

static void run_sequence(Run *run, int64_t b, Gathered *to, InterpResult *result) {
    const Graph *graph = run->graph;
    int64_t batch = run->call->batch;
    begin_sequence(run, b);
    for (int a = 0; a < graph->axes.count; a++)
        to->lengths[b * graph->axes.count + a] = run->length[a] = interp_length(run, a);
    for (int i = 0; i < graph->outputs.count; i++)
        if (b == 0 || !graph->outputs.at[i].shared)
            to->pieces[b * graph->outputs.count + i] = gather_output(run, &graph->outputs.at[i], &to->bounds[b * graph->outputs.count + i]);
    for (int i = 0; i < graph->losses.count; i++) {
        const GraphLoss *loss = &graph->losses.at[i];
        to->losses[i * batch + b] = scalar_value(run, loss->node);
        if (loss->per >= 0) to->pers[i * batch + b] = scalar_value(run, loss->per);
    }
    for (int i = 0; i < result->state_count; i++) {
        InterpState *state = &result->state[i];
        int carry = i - run->variables.count;
        if (carry < 0)
            gather_variable(run, &run->variables.at[i], state);
        else
            state->values[b] =
                (double)(run->carried[carry] + run->length[graph->carries.at[carry].axis]);
    }
    arena_free(run->sequence);
    run->sequence = NULL;
}

/* ---- The whole batch ---- */

static void join_lengths(Arena *arena, const Run *run, const Gathered *from, InterpResult *result) {
    int axes = run->graph->axes.count;
    result->lengths = ARENA_ARRAY(arena, axes, int64_t *);
    for (int a = 0; a < axes; a++) {
        result->lengths[a] = ARENA_ARRAY(arena, run->call->batch, int64_t);
        for (int64_t b = 0; b < run->call->batch; b++)
            result->lengths[a][b] = from->lengths[b * axes + a];
    }
}

/* From each sequence's valid positions to [positions up to the longest, batch, shape]. */
static double *join_output(Arena *arena, const Run *run, double *const *pieces, int output,
                           int64_t *const *lengths) {
    const GraphPort *port = &run->graph->outputs.at[output];
    int64_t count = run->plans[port->node].count, batch = run->call->batch;
    int64_t longest[MAX_DOMAIN], positions = 1;
    for (int k = 0; k < port->index_count; k++) {
        longest[k] = 0;
        for (int64_t b = 0; b < batch; b++) {
            int64_t n = lengths[run->graph->indices.at[port->indices[k]].axis][b];
            if (n > longest[k]) longest[k] = n;
        }
        positions *= longest[k];
    }
    double *values = ARENA_ARRAY(arena, positions * batch * count, double);
    for (int64_t b = 0; b < batch; b++) {
        const double *piece = pieces[b * run->graph->outputs.count + output];
        for (int64_t p = 0; p < positions; p++) {
            int64_t rest = p;
            bool valid = true;
            for (int k = port->index_count; k-- > 0;) {
                int axis = run->graph->indices.at[port->indices[k]].axis;
                valid = valid && rest % longest[k] < lengths[axis][b];
                rest /= longest[k];
            }
            if (!valid) continue;
            memcpy(values + (p * batch + b) * count, piece, (size_t)count * sizeof *values);
            piece += count;
        }
    }
    return values;
}

/* What one loss adds to the bounds of the whole. */
static void bound_loss(const Run *run, const GraphLoss *loss, const Ball *losses, const Ball *pers,
                       bool once, InterpResult *result) {
    const Rounding *r = run->rounding;
    int64_t batch = run->call->batch;
    double n = (double)batch, e = 0, mass = 0, sum = 0, per = 0, per_e = 0;
    for (int64_t b = 0; b < (once ? 1 : batch); b++) {
        sum += losses[b].v;
        e += losses[b].e;
        mass += fabs(losses[b].v) + losses[b].e;
        per += pers[b].v;
        per_e += pers[b].e;
    }
    for (int64_t b = 0; loss->per < 0 && b < batch; b++)
        result->loss_bounds[b] +=
            losses[b].e + (double)run->graph->losses.count * r->unit * fabs(losses[b].v);
    Ball total = {sum, e + n * r->unit * mass};
    Ball divisor = {per, per_e + n * r->unit * fabs(per)};
    if (loss->per >= 0)
        total = ball_div(r, total, divisor);
    else if (!once && !run->call->reduce_sum)
        total = ball_div(r, total, (Ball){n, 0});
    result->loss_bound +=
        total.e + (double)run->graph->losses.count * r->unit * (fabs(total.v) + total.e);
}

static double *whole_output(Arena *arena, const Run *run, double *const *pieces, int output,
                            int64_t *const *lengths) {
    const GraphPort *port = &run->graph->outputs.at[output];
    if (!port->shared) return join_output(arena, run, pieces, output, lengths);
    return arena_copy(arena, pieces[output], (size_t)run->plans[port->node].count * sizeof(double));
}

/* Losses without `per` add up sequence by sequence; the others are quotients of sums. */
static void join_losses(Arena *arena, Run *run, const Gathered *from, InterpResult *result) {
    int64_t batch = run->call->batch;
    result->loss_of = ARENA_ARRAY(arena, batch, double);
    for (int i = 0; i < run->graph->losses.count; i++) {
        const GraphLoss *loss = &run->graph->losses.at[i];
        const Ball *losses = from->losses + i * batch, *pers = from->pers + i * batch;
        double sum = 0, per = 0;
        for (int64_t b = 0; b < batch; b++) {
            sum += losses[b].v;
            per += pers[b].v;
            if (loss->per < 0) result->loss_of[b] += losses[b].v;
        }
        bool once = loss->per < 0 && !interp_batched(run, loss->node);
        if (loss->per >= 0) {
            if (per == 0) interp_fail(run, INTERP_PER, loss->per, "the divisor of a loss is 0");
            result->loss += sum / per;
        } else if (once) {
            result->loss += losses[0].v;
        } else {
            result->loss += run->call->reduce_sum ? sum : sum / (double)batch;
        }
        if (run->rounding) bound_loss(run, loss, losses, pers, once, result);
    }
    if (run->rounding && !isfinite(result->loss_bound) && !run->fragile)
        run->fragile = arena_printf(run->work, "the bound of the loss is infinite");
}

static void prepare(Run *run) {
    const Graph *graph = run->graph;
    int axes = graph->axes.count;
    run->used = interp_alloc(run, run->work, axes, sizeof *run->used);
    run->longest = interp_alloc(run, run->work, axes, sizeof *run->longest);
    run->length = interp_alloc(run, run->work, axes, sizeof *run->length);
    run->bound = interp_alloc(run, run->work, axes, sizeof *run->bound);
    run->length_state = interp_alloc(run, run->work, axes, sizeof *run->length_state);
    run->carried = interp_alloc(run, run->work, graph->carries.count, sizeof *run->carried);
    run->positions = interp_alloc(run, run->work, graph->carries.count, sizeof *run->positions);
    interp_plan(run);
    interp_check(run);
    run->params = interp_alloc(run, run->work, graph->params.count, sizeof *run->params);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        int slot = node->attr.slot;
        if (node->op != OP_PARAM || !run->plans[i].live || run->params[slot]) continue;
        int64_t count = run->plans[i].count;
        run->params[slot] = interp_alloc(run, run->work, run->plans[i].width, sizeof(double));
        for (int64_t e = 0; e < count; e++)
            run->params[slot][e] = interp_round(run->call->single, run->call->params[slot][e]);
        if (run->rounding) interp_bound_leaf(run, &run->plans[i], run->params[slot]);
    }
    interp_sums(run);
}

static void prepare_state(Arena *arena, Run *run, InterpResult *result) {
    if (!run->call->want_state) return;
    int64_t batch = run->call->batch;
    result->state_count = run->variables.count + run->graph->carries.count;
    result->state = ARENA_ARRAY(arena, result->state_count, InterpState);
    for (int i = 0; i < result->state_count; i++) {
        InterpState *state = &result->state[i];
        int carry = i - run->variables.count;
        const char *name = carry < 0 ? run->variables.at[i].name : interp_position_name(run, carry);
        state->name = name_of(run->graph->names, name);
        state->lags = carry < 0 ? run->variables.at[i].lags : 1;
        state->count = carry < 0 ? run->plans[run->variables.at[i].source].count : 1;
        state->values = ARENA_ARRAY(arena, state->lags * batch * state->count, double);
        if (run->rounding)
            state->bounds = ARENA_ARRAY(arena, state->lags * batch * state->count, double);
    }
}

static void run_batch(Arena *arena, Run *run, InterpResult *result) {
    const Graph *graph = run->graph;
    int64_t batch = run->call->batch;
    prepare(run);
    prepare_state(arena, run, result);
    Gathered gathered = {
        .pieces = interp_alloc(run, run->work, batch * graph->outputs.count, sizeof(double *)),
        .bounds = interp_alloc(run, run->work, batch * graph->outputs.count, sizeof(double *)),
        .lengths = interp_alloc(run, run->work, batch * graph->axes.count, sizeof(int64_t)),
        .losses = interp_alloc(run, run->work, batch * graph->losses.count, sizeof(Ball)),
        .pers = interp_alloc(run, run->work, batch * graph->losses.count, sizeof(Ball))};
    if (run->rounding) {
        result->bounds = ARENA_ARRAY(arena, graph->outputs.count, double *);
        result->loss_bounds = ARENA_ARRAY(arena, batch, double);
    }
    for (int64_t b = 0; b < batch; b++) run_sequence(run, b, &gathered, result);
    join_lengths(arena, run, &gathered, result);
    result->outputs = ARENA_ARRAY(arena, graph->outputs.count, double *);
    for (int i = 0; i < graph->outputs.count; i++)
        result->outputs[i] = whole_output(arena, run, gathered.pieces, i, result->lengths);
    for (int i = 0; run->rounding && i < graph->outputs.count; i++)
        result->bounds[i] = whole_output(arena, run, gathered.bounds, i, result->lengths);
    join_losses(arena, run, &gathered, result);
    result->fragile = run->fragile != NULL;
    if (run->fragile)
        result->fragile_message = arena_strndup(arena, run->fragile, strlen(run->fragile));
}

/* Runs what may leave by run->out; the value of setjmp. */
static int guarded(Arena *arena, Run *run, InterpResult *result) {
    int thrown = setjmp(run->out);
    if (thrown == 0) {
        run->work = arena_new(&run->out);
        if (!run->work) return 1;
        run_batch(arena, run, result);
    }
    return thrown;
}

static void end_run(void *what) {
    Run *run = what;
    arena_free(run->sequence);
    arena_free(run->work);
    run->sequence = run->work = NULL;
}

InterpResult *interpret(Arena *arena, const Graph *graph, const InterpCall *call) {
    InterpResult *result = ARENA_NEW(arena, InterpResult);
    Run *run = ARENA_NEW(arena, Run);
    run->graph = graph;
    run->call = call;
    Rounding rounding = {.single = call->roundoff > 0x1p-50,
                         .unit = call->roundoff + 0x1p-53,
                         .tiny = call->roundoff > 0x1p-50 ? 0x1p-149 : 0x1p-1074,
                         .limit = call->roundoff > 0x1p-50 ? (double)FLT_MAX : DBL_MAX};
    if (call->roundoff > 0) run->rounding = &rounding;
    arena_own(arena, end_run, run);
    int thrown = guarded(arena, run, result);
    end_run(run);
    if (thrown == 0) return result;
    *result = (InterpResult){.status = thrown == 1 ? INTERP_MEMORY : run->status};
    result->span = run->span;
    result->message = thrown == 1 ? "the values need more memory than there is or is allowed"
                                  : arena_strndup(arena, run->message, strlen(run->message));
    return result;
}
