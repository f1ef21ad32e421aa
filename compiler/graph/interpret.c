/* The interpreter's door: one sequence after the other, then outputs, losses and states put
 * together. */
#include "graph/interpret_run.h"

/* What the sequences leave behind until all lengths are known. */
typedef struct Gathered {
    double **pieces;  /* [batch][outputs]: values at the valid positions */
    int64_t *lengths; /* [batch][axes] */
    double *losses, *pers; /* [losses][batch] */
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

/* All valid positions of an output, in the order of its port. */
static double *gather_output(Run *run, const GraphPort *port) {
    const Plan *plan = &run->plans[port->node];
    int64_t length[MAX_DOMAIN], at[MAX_DOMAIN] = {0}, positions = 1;
    for (int k = 0; k < port->index_count; k++) {
        length[k] = run->length[run->graph->indices.at[port->indices[k]].axis];
        if (length[k] > 0 && positions > ((int64_t)1 << 60) / length[k]) longjmp(run->out, 1);
        positions *= length[k];
    }
    if (plan->count > 0 && positions > ((int64_t)1 << 60) / plan->count) longjmp(run->out, 1);
    double *values = interp_alloc(run, run->work, positions * plan->count, sizeof *values);
    for (int64_t p = 0; p < positions; p++) {
        int64_t own[MAX_DOMAIN] = {0};
        for (int k = 0; k < plan->node->domain_count; k++)
            for (int j = 0; j < port->index_count; j++)
                if (port->indices[j] == plan->node->domain[k]) own[k] = at[j];
        memcpy(values + p * plan->count, interp_value(run, port->node, own),
               (size_t)plan->count * sizeof *values);
        for (int k = port->index_count - 1; k >= 0 && ++at[k] == length[k]; k--) at[k] = 0;
    }
    return values;
}

static double scalar_value(Run *run, int node) {
    int64_t none[MAX_DOMAIN] = {0};
    return interp_value(run, node, none)[0];
}

/* The last values of a carried variable: computed here, carried in, or the boundary's. */
static void gather_variable(Run *run, const CarryVariable *variable, InterpState *state) {
    const Plan *plan = &run->plans[variable->source];
    int axis = run->graph->carries.at[variable->carry].axis;
    int64_t batch = run->call->batch, length = run->length[axis];
    for (int j = 0; j < variable->lags; j++) {
        double *to = state->values + (j * batch + run->b) * plan->count;
        int64_t p = length - variable->lags + j;
        const InterpState *in = variable->in;
        int64_t at[MAX_DOMAIN] = {0};
        at[0] = p;
        if (p >= 0) {
            memcpy(to, interp_value(run, variable->source, at), (size_t)plan->count * sizeof *to);
        } else if (in) {
            memcpy(to, in->values + ((in->lags + p) * batch + run->b) * plan->count,
                   (size_t)plan->count * sizeof *to);
        } else if (variable->boundary >= 0 &&
                   run->graph->nodes.at[variable->boundary]->domain_count == 0) {
            const double *value = interp_value(run, variable->boundary, at);
            interp_spread(&run->plans[variable->boundary], plan, value, to);
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
        to->pieces[b * graph->outputs.count + i] = gather_output(run, &graph->outputs.at[i]);
    for (int i = 0; i < graph->losses.count; i++) {
        const GraphLoss *loss = &graph->losses.at[i];
        to->losses[i * batch + b] = scalar_value(run, loss->node);
        to->pers[i * batch + b] = loss->per >= 0 ? scalar_value(run, loss->per) : 0;
    }
    for (int i = 0; i < result->state_count; i++) {
        InterpState *state = &result->state[i];
        int carry = i - run->variables.count;
        if (carry < 0) gather_variable(run, &run->variables.at[i], state);
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
static double *join_output(Arena *arena, const Run *run, const Gathered *from, int output,
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
        const double *piece = from->pieces[b * run->graph->outputs.count + output];
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

/* Losses without `per` add up sequence by sequence; the others are quotients of sums. */
static void join_losses(Arena *arena, Run *run, const Gathered *from, InterpResult *result) {
    int64_t batch = run->call->batch;
    result->loss_of = ARENA_ARRAY(arena, batch, double);
    for (int i = 0; i < run->graph->losses.count; i++) {
        const GraphLoss *loss = &run->graph->losses.at[i];
        double sum = 0, per = 0;
        for (int64_t b = 0; b < batch; b++) {
            sum += from->losses[i * batch + b];
            per += from->pers[i * batch + b];
            if (loss->per < 0) result->loss_of[b] += from->losses[i * batch + b];
        }
        if (loss->per >= 0) {
            if (per == 0) interp_fail(run, INTERP_PER, loss->per, "the divisor of a loss is 0");
            result->loss += sum / per;
        } else if (!interp_batched(run, loss->node)) {
            result->loss += from->losses[i * batch];
        } else {
            result->loss += run->call->reduce_sum ? sum : sum / (double)batch;
        }
    }
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
        run->params[slot] = interp_alloc(run, run->work, count, sizeof(double));
        for (int64_t e = 0; e < count; e++)
            run->params[slot][e] = interp_round(run->call->single, run->call->params[slot][e]);
    }
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
    }
}

static void run_batch(Arena *arena, Run *run, InterpResult *result) {
    const Graph *graph = run->graph;
    int64_t batch = run->call->batch;
    prepare(run);
    prepare_state(arena, run, result);
    Gathered gathered = {
        .pieces = interp_alloc(run, run->work, batch * graph->outputs.count, sizeof(double *)),
        .lengths = interp_alloc(run, run->work, batch * graph->axes.count, sizeof(int64_t)),
        .losses = interp_alloc(run, run->work, batch * graph->losses.count, sizeof(double)),
        .pers = interp_alloc(run, run->work, batch * graph->losses.count, sizeof(double))};
    for (int64_t b = 0; b < batch; b++) run_sequence(run, b, &gathered, result);
    join_lengths(arena, run, &gathered, result);
    result->outputs = ARENA_ARRAY(arena, graph->outputs.count, double *);
    for (int i = 0; i < graph->outputs.count; i++)
        result->outputs[i] = join_output(arena, run, &gathered, i, result->lengths);
    join_losses(arena, run, &gathered, result);
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
