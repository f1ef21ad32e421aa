/* The arguments of generated functions, the checks at their entry, and lengths. */
#include "loop/lower_internal.h"

static const char *const role_doc[] = {
    [ROLE_PARAMS] = "parameters, one flat array in the order of the table",
    [ROLE_WEIGHTS] = "packed weights, aligned to 64 bytes, made by pack",
    [ROLE_BATCH] = "number of sequences, at least 1",
    [ROLE_STEPS] = "positions that the arrays have on this axis",
    [ROLE_LENGTHS] = "[batch]: length of each sequence, at most the steps; NULL: all have as many",
    [ROLE_OUT_LENGTHS] = "[batch]: written, where each sequence stopped; or NULL",
    [ROLE_INPUT] = "",
    [ROLE_OUTPUT] = "",
    [ROLE_UPSTREAM] = "",
    [ROLE_LOSS] = "the loss of the batch, written; or NULL",
    [ROLE_GRADS] =
        ("gradients of the parameters, laid out as these: added to what it holds; NULL: not "
         "wanted"),
    [ROLE_INPUT_GRAD] = "",
    [ROLE_STATE] = "state of `batch` sequences, aligned to 64 bytes",
    [ROLE_FIRST] = "first sequence to reset",
    [ROLE_COUNT] = "how many",
    [ROLE_ENDED] =
        ("[batch]: not 0 where the sequence is over: its inputs are not read, and what it "
         "still owes is given; NULL: nowhere"),
    [ROLE_AT] = "",
    [ROLE_SEED] = "seed of random draws",
    [ROLE_WORK] = "workspace, aligned to 64 bytes; its contents do not matter",
    [ROLE_WORK_BYTES] = "size of the workspace",
    [ROLE_POOL] = "threads, made by rnn_rt_pool_create and used by nobody else meanwhile; NULL: "
                  "one, the caller's"};

const char *lower_shape_text(Lower *lower, const GraphPort *port, bool step) {
    Text text = text_new(lower->arena);
    for (int d = 0; d < port->index_count && !step; d++)
        text_printf(&text, "[%s]", lower->graph->indices.at[port->indices[d]].name);
    text_puts(&text, "[batch]");
    for (int d = 0; d < port->type.shape.rank; d++)
        text_printf(&text, "[%lld]", (long long)port->type.shape.dim[d]);
    return text_string(&text);
}

Fn lower_part(Lower *lower, LFunction *function) {
    Fn fn = {.lower = lower,
             .fn = function,
             .weights = -1,
             .params = -1,
             .state = -1,
             .positions = -1,
             .start = -1,
             .ends = -1,
             .panel = -1,
             .panel_rows = -1,
             .panel_side = -1,
             .scratch = -1};
    int axes = lower->graph->axes.count, values = lower->schedule->values.count;
    fn.extent = ARENA_ARRAY(lower->arena, axes + 1, LExpr *);
    fn.longest = ARENA_ARRAY(lower->arena, axes + 1, LExpr *);
    fn.lengths = ARENA_ARRAY(lower->arena, axes + 1, int);
    fn.loop_position = ARENA_ARRAY(lower->arena, axes + 1, LExpr *);
    fn.map_position = ARENA_ARRAY(lower->arena, lower->graph->indices.count + 1, LExpr *);
    fn.places = ARENA_ARRAY(lower->arena, values + 1, RowPlace);
    fn.firsts = ARENA_ARRAY(lower->arena, values + 1, RowPlace);
    fn.runs = ARENA_ARRAY(lower->arena, values + 1, RowPlace);
    fn.window_at = ARENA_ARRAY(lower->arena, lower->graph->indices.count + 1, LExpr *);
    fn.inputs = ARENA_ARRAY(lower->arena, lower->graph->inputs.count + 1, RowPlace);
    fn.given = ARENA_ARRAY(lower->arena, lower->graph->inputs.count + 1, LExpr *);
    fn.summed = ARENA_ARRAY(lower->arena, values + 1, bool);
    fn.added = ARENA_ARRAY(lower->arena, values + 1, int64_t);
    fn.filled_pre = ARENA_ARRAY(lower->arena, values + 1, unsigned char);
    fn.filled_post = ARENA_ARRAY(lower->arena, values + 1, unsigned char);
    for (int v = 0; v < values; v++)
        fn.places[v].buffer = fn.firsts[v].buffer = fn.runs[v].buffer = -1;
    for (int i = 0; i < lower->graph->inputs.count; i++) fn.inputs[i].buffer = -1;
    for (int a = 0; a < axes; a++) {
        fn.lengths[a] = -1;
        fn.extent[a] = loop_int(lower->module, 1);
    }
    return fn;
}

Fn lower_function(Lower *lower, const char *name, LoopType result, const char *doc, bool step) {
    Fn fn = lower_part(lower, loop_function(lower->module, name, result, true));
    fn.step = step;
    fn.fn->doc = doc;
    vec_push(lower->arena, &lower->interface_->functions,
             (InterfaceFunction){.function = lower->module->functions.count - 1});
    return fn;
}

static InterfaceFunction *described(Fn *fn) {
    return &fn->lower->interface_->functions.at[fn->lower->interface_->functions.count - 1];
}

static LoopType input_type(const Lower *lower, Type type) {
    return type.dtype == DT_FLOAT ? lower->real : type.dtype == DT_INT ? LT_I32 : LT_I8;
}

/* The caller's tensor of an input: [positions…][batch][shape]. */
static void input_place(Fn *fn, int slot, int arg) {
    Lower *lower = fn->lower;
    const GraphPort *port = &lower->graph->inputs.at[slot];
    RowPlace *place = &fn->inputs[slot];
    *place = (RowPlace){.type = input_type(lower, port->type),
                        .stride = shape_count(port->type.shape),
                        .batched = true};
    Size rows = size_symbol(0);
    for (int d = 0; d < port->index_count && !fn->step; d++) {
        place->dims[place->dim_count++] = port->indices[d];
        rows = size_times(rows, size_symbol(1 + lower->graph->indices.at[port->indices[d]].axis));
    }
    place->buffer = loop_buffer(
        lower->module, fn->fn,
        (LBuffer){.name = port->name,
                  .type = place->type,
                  .base = LB_ARG,
                  .arg = arg,
                  .offset = loop_int(lower->module, 0),
                  .count = size_expr(fn, size_times(rows, size_constant(place->stride))),
                  .layout = lower_shape_text(lower, port, fn->step)});
}

/* A port that is called as one of our own arguments gets a tail. */
static const char *port_name(Fn *fn, const char *name, const char *tail) {
    Lower *lower = fn->lower;
    static const char *const own[] = {"params",   "weights", "batch", "state",      "first",
                                      "count",    "seed",    "work",  "work_bytes", "ended",
                                      "d_params", "loss",    "pool"};
    bool taken = false;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) taken = taken || !strcmp(name, own[i]);
    for (int a = 0; a < lower->graph->axes.count; a++) {
        static const char *const tails[] = {"steps", "lengths", "out_lengths", "at"};
        for (int t = 0; t < 4; t++)
            taken = taken || !strcmp(name, arena_printf(lower->arena, "%s_%s",
                                                        lower->graph->axes.at[a].name, tails[t]));
    }
    return taken ? arena_printf(lower->arena, "%s_%s", name, tail) : name;
}

bool lower_writes_state(const Fn *fn) {
    return strcmp(fn->fn->name, "export_state") != 0;
}

static int own_port(const GraphPort *ports, int count, PortKind kind, int of) {
    int i = 0;
    while (i + 1 < count && (ports[i].kind != kind || ports[i].of != of)) i++;
    return i;
}

int lower_arg(Fn *fn, ArgRole role, int slot) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Graph *graph = lower->graph;
    const char *doc = role_doc[role];
    const InterfaceFunction *known = described(fn);
    for (int i = 0; i < known->args.count; i++)
        if (known->args.at[i].role == role && known->args.at[i].slot == slot) return i;
    vec_push(lower->arena, &described(fn)->args, (InterfaceArg){role, slot});
    int arg = fn->fn->args.count; /* that which is made below */
    switch (role) {
    case ROLE_PARAMS: {
        bool written = strcmp(fn->fn->name, "init_params") == 0;
        if (written) doc = "written: one flat array in the order of the table";
        arg = loop_arg_pointer(m, fn->fn, "params", lower->real, written, false, doc);
        break;
    }
    case ROLE_WEIGHTS: {
        bool written = strcmp(fn->fn->name, "pack") == 0;
        arg = loop_arg_pointer(m, fn->fn, "weights", LT_VOID, written, false, doc);
        fn->weights = loop_buffer(m, fn->fn,
                                  (LBuffer){.name = name_of(lower->names, "weight"),
                                            .type = lower->real,
                                            .base = LB_ARG,
                                            .arg = arg,
                                            .offset = loop_int(m, 0),
                                            .align = 64,
                                            .written = written,
                                            .count = loop_int(m, lower->weight_count)});
        break;
    }
    case ROLE_BATCH:
        fn->batch = loop_var(m, fn->fn, loop_arg_scalar(m, fn->fn, "batch", LT_I64, doc));
        break;
    case ROLE_STEPS: {
        const Axis *axis = &graph->axes.at[slot];
        doc =
            axis->generated
                ? arena_printf(lower->arena,
                               "positions of %s that the arrays have: the most that are generated",
                               axis->name)
                : arena_printf(lower->arena, "positions of %s that the arrays have", axis->name);
        fn->extent[slot] =
            loop_var(m, fn->fn,
                     loop_arg_scalar(m, fn->fn, arena_printf(lower->arena, "%s_steps", axis->name),
                                     LT_I64, doc));
        break;
    }
    case ROLE_LENGTHS:
        arg = loop_arg_pointer(m, fn->fn,
                               arena_printf(lower->arena, "%s_lengths", graph->axes.at[slot].name),
                               LT_I32, false, true, doc);
        break;
    case ROLE_OUT_LENGTHS:
        arg = loop_arg_pointer(
            m, fn->fn, arena_printf(lower->arena, "%s_out_lengths", graph->axes.at[slot].name),
            LT_I32, true, true, doc);
        break;
    case ROLE_INPUT: {
        const GraphPort *port = &graph->inputs.at[slot];
        bool optional = port->fallback >= 0;
        doc = arena_printf(lower->arena, "input, %s%s", lower_shape_text(lower, port, fn->step),
                           optional ? "; NULL: its default" : "");
        arg = loop_arg_pointer(m, fn->fn, port_name(fn, port->name, "in"),
                               input_type(lower, port->type), false, optional, doc);
        input_place(fn, slot, arg);
        if (optional)
            fn->given[slot] = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                                      loop_int_of(m, LT_I32, 0), NULL);
        break;
    }
    case ROLE_OUTPUT: {
        const GraphPort *port = &graph->outputs.at[slot];
        doc = arena_printf(lower->arena, "output, %s%s; NULL: not wanted",
                           lower_shape_text(lower, port, fn->step),
                           port->index_count && !fn->step ? ", zero beyond each length" : "");
        arg = loop_arg_pointer(m, fn->fn, port_name(fn, port->name, "out"),
                               input_type(lower, port->type), true, true, doc);
        break;
    }
    case ROLE_UPSTREAM: {
        int own = own_port(graph->inputs.at, graph->inputs.count, PORT_UPSTREAM, slot);
        const GraphPort *port = &graph->inputs.at[own];
        doc = arena_printf(lower->arena, "upstream gradient of %s, %s; NULL: none",
                           lower->interface_->graph->outputs.at[slot].name,
                           lower_shape_text(lower, port, false));
        arg = loop_arg_pointer(m, fn->fn, port_name(fn, port->name, "in"),
                               input_type(lower, port->type), false, true, doc);
        input_place(fn, own, arg);
        fn->given[own] = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                                 loop_int_of(m, LT_I32, 0), NULL);
        break;
    }
    case ROLE_LOSS: arg = loop_arg_pointer(m, fn->fn, "loss", lower->real, true, true, doc); break;
    case ROLE_GRADS:
        arg = loop_arg_pointer(m, fn->fn, "d_params", lower->real, true, true, doc);
        break;
    case ROLE_INPUT_GRAD: {
        int own = own_port(graph->outputs.at, graph->outputs.count, PORT_INPUT_GRAD, slot);
        const GraphPort *port = &graph->outputs.at[own];
        doc = arena_printf(lower->arena,
                           "gradient of %s, %s: added to what it holds, at the positions of each "
                           "sequence; NULL: not wanted",
                           graph->inputs.at[slot].name, lower_shape_text(lower, port, false));
        arg = loop_arg_pointer(m, fn->fn, port_name(fn, port->name, "out"), lower->real, true, true,
                               doc);
        break;
    }
    case ROLE_STATE: {
        bool nullable = fn->sequence;
        arg = loop_arg_pointer(m, fn->fn, "state", LT_VOID, lower_writes_state(fn), nullable,
                               nullable ? "state of `batch` sequences, aligned to 64 bytes: read, "
                                          "and left as of the end; NULL: from the reset"
                                        : doc);
        fn->state = arg;
        break;
    }
    case ROLE_FIRST: loop_arg_scalar(m, fn->fn, "first", LT_I64, doc); break;
    case ROLE_COUNT: loop_arg_scalar(m, fn->fn, "count", LT_I64, doc); break;
    case ROLE_ENDED: arg = loop_arg_pointer(m, fn->fn, "ended", LT_I8, false, true, doc); break;
    case ROLE_AT: {
        const char *name = graph->axes.at[slot].name;
        doc = arena_printf(lower->arena,
                           "[batch]: written, the position on %s that the outputs are of, -1 where "
                           "there is none (they are 0 then); or NULL",
                           name);
        arg = loop_arg_pointer(m, fn->fn, arena_printf(lower->arena, "%s_at", name), LT_I64, true,
                               true, doc);
        break;
    }
    case ROLE_SEED: loop_arg_scalar(m, fn->fn, "seed", LT_I64, doc); break;
    case ROLE_WORK: arg = loop_arg_pointer(m, fn->fn, "work", LT_VOID, true, false, doc); break;
    case ROLE_WORK_BYTES: loop_arg_scalar(m, fn->fn, "work_bytes", LT_I64, doc); break;
    case ROLE_POOL: arg = loop_arg_pool(m, fn->fn, "pool", doc); break;
    }
    return arg;
}

/* --- checks
 * ------------------------------------------------------------------------------------------------------
 */

static void refuse_if(Fn *fn, LBlock *out, LExpr *mask, LoopStatus status) {
    LoopModule *m = fn->lower->module;
    loop_return(m, &loop_if(m, out, mask)->body, loop_int_of(m, LT_I32, status));
}

static LExpr *either(Fn *fn, LExpr *a, LExpr *b) {
    return loop_op(fn->lower->module, SOP_MOR, a, b, NULL);
}

/* Axes that `first`, `last` or an unbounded maximum need not to be empty: a slower one is empty
 * when its run axis is. */
typedef struct NeedsSearch {
    const Lower *lower;
    int axis;
    bool found;
} NeedsSearch;

static void visit_needs(void *user, const Use *use, bool boundary) {
    NeedsSearch *search = user;
    const Schedule *schedule = search->lower->schedule;
    const Value *source = schedule->values.at[use->value];
    if (boundary || use->access < 0) return;
    const Access *access = &schedule->accesses.at[use->access];
    for (int d = 0; d < access->at_count; d++)
        if ((access->at[d].kind == AT_LAST || access->at[d].kind == AT_FIRST) &&
            lower_run_axis(search->lower,
                           search->lower->graph->indices.at[source->domain[d]].axis) ==
                search->axis)
            search->found = true;
}

static bool needs_one(const Lower *lower, int axis) {
    for (int a = 0; a < lower->graph->axes.count && lower->options.axes_needed; a++)
        if (lower->options.axes_needed[a] && lower_run_axis(lower, a) == axis) return true;
    const Schedule *schedule = lower->schedule;
    NeedsSearch search = {lower, axis, false};
    for (int i = 0; i < schedule->values.count && !search.found; i++)
        if (schedule->values.at[i]->live)
            schedule_uses(schedule, schedule->values.at[i], visit_needs, &search);
    return search.found;
}

static LExpr *batch_out_of_range(Fn *fn) {
    LoopModule *m = fn->lower->module;
    return either(fn, loop_op(m, SOP_LT, fn->batch, loop_int(m, 1), NULL),
                  loop_op(m, SOP_GT, fn->batch, loop_int(m, INT32_MAX), NULL));
}

void lower_check_batch(Fn *fn, LBlock *out) {
    refuse_if(fn, out, batch_out_of_range(fn), LOOP_BAD_LENGTH);
}

/* The batch, or the steps of an axis, outside of their ranges. */
static LExpr *out_of_range(Fn *fn) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Graph *graph = lower->graph;
    LExpr *most = loop_int(m, INT32_MAX), *bad = batch_out_of_range(fn);
    for (int a = 0; a < graph->axes.count && !fn->step; a++) {
        const Axis *axis = &graph->axes.at[a];
        if (!lower->axis_used[a] || axis->kind != AXIS_RUN || axis->fixed) continue;
        LExpr *high = axis->most && axis->most < INT32_MAX ? loop_int(m, axis->most) : most;
        LExpr *low = loop_int(m, needs_one(lower, a));
        bad = either(fn, bad, loop_op(m, SOP_LT, fn->extent[a], low, NULL));
        bad = either(fn, bad, loop_op(m, SOP_GT, fn->extent[a], high, NULL));
    }
    return bad;
}

static int ended_buffer(Fn *fn) {
    int arg = lower_arg(fn, ROLE_ENDED, 0);
    return lower_caller_buffer(fn, (LBuffer){.name = fn->fn->args.at[arg].name,
                                             .type = LT_I8,
                                             .base = LB_ARG,
                                             .arg = arg,
                                             .offset = loop_int(fn->lower->module, 0),
                                             .count = fn->batch,
                                             .layout = "[batch]"});
}

/* For sequences that take inputs in this step. */
LBlock *lower_going_on(Fn *fn, LBlock *out, LExpr *b) {
    LoopModule *m = fn->lower->module;
    if (!fn->step || fn->ends < 0) return out;
    int arg = lower_arg(fn, ROLE_ENDED, 0);
    int goes_on = loop_mutable(m, fn->fn, out, "goes_on", loop_int(m, 1));
    LExpr *given = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                           loop_int_of(m, LT_I32, 0), NULL);
    LExpr *ended = loop_load(m, fn->fn, ended_buffer(fn), b, 1, false);
    LExpr *not_zero =
        loop_op(m, SOP_NE, loop_convert(m, SOP_CONVERT, LT_I64, ended), loop_int(m, 0), NULL);
    LStmt *test = loop_if(m, &loop_if(m, out, given)->body, not_zero);
    loop_set(m, &test->body, goes_on, loop_int(m, 0));
    return &loop_if(m, out, loop_op(m, SOP_NE, loop_var(m, fn->fn, goes_on), loop_int(m, 0), NULL))
                ->body;
}

void lower_checks(Fn *fn, LBlock *out) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    refuse_if(fn, out, out_of_range(fn), LOOP_BAD_LENGTH);
    for (int a = 0; a < lower->graph->axes.count && fn->step; a++) {
        const Axis *axis = &lower->graph->axes.at[a];
        int64_t most = axis->fixed ? axis->fixed : axis->most;
        if (!lower->axis_used[a] || axis->kind != AXIS_RUN || !most) continue;
        LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        LExpr *b = loop_var(m, fn->fn, each->var);
        LExpr *at = loop_load(m, fn->fn, fn->positions, b, 1, false);
        refuse_if(fn, lower_going_on(fn, &each->body, b),
                  loop_op(m, SOP_GE, at, loop_int(m, most), NULL), LOOP_BAD_LENGTH);
    }
    if (!fn->step || fn->ends < 0) return;
    LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
    LExpr *b = loop_var(m, fn->fn, each->var);
    LExpr *end = loop_load(m, fn->fn, fn->ends, b, 1, false);
    refuse_if(fn, lower_going_on(fn, &each->body, b),
              loop_op(m, SOP_NE, end, loop_int(m, NO_END), NULL), LOOP_BAD_LENGTH);
}

void lower_note_ends(Fn *fn, LBlock *out) {
    LoopModule *m = fn->lower->module;
    if (fn->ends < 0) return;
    int arg = lower_arg(fn, ROLE_ENDED, 0);
    LExpr *given = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                           loop_int_of(m, LT_I32, 0), NULL);
    LStmt *each =
        loop_for(m, fn->fn, &loop_if(m, out, given)->body, "b", loop_int(m, 0), fn->batch, 1);
    LExpr *b = loop_var(m, fn->fn, each->var);
    LExpr *ended = loop_load(m, fn->fn, ended_buffer(fn), b, 1, false);
    LBlock *body = &loop_if(m, &each->body,
                            loop_op(m, SOP_NE, loop_convert(m, SOP_CONVERT, LT_I64, ended),
                                    loop_int(m, 0), NULL))
                        ->body;
    LExpr *end = loop_load(m, fn->fn, fn->ends, b, 1, false);
    LExpr *at = loop_load(m, fn->fn, fn->positions, b, 1, false);
    loop_store(m, body, fn->ends, b, loop_min(m, end, at), false);
}

/* --- where the outputs of a step are
 * ------------------------------------------------------------------------------------------------
 */

/* The axes whose position in a step the caller cannot take for granted. */
static bool told(const Lower *lower, int axis) {
    if (lower->graph->axes.at[axis].kind == AXIS_RUN)
        return lower->latency > 0 && lower->axis_used[axis];
    for (int o = 0; o < lower->graph->outputs.count; o++)
        for (int d = 0; d < lower->graph->outputs.at[o].index_count; d++)
            if (lower->graph->indices.at[lower->graph->outputs.at[o].indices[d]].axis == axis)
                return true;
    return false;
}

void lower_at_arguments(Fn *fn) {
    for (int a = 0; a < fn->lower->graph->axes.count; a++)
        if (told(fn->lower, a)) lower_arg(fn, ROLE_AT, a);
}

void lower_store_at(Fn *fn, LBlock *start) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    Value reader = lower_output_reader(lower, &(Value){0});
    for (int a = 0; a < lower->graph->axes.count; a++) {
        if (!told(lower, a)) continue;
        int arg = lower_arg(fn, ROLE_AT, a), index = 0;
        while (lower->graph->indices.at[index].axis != a) index++;
        int64_t every = lower_every(lower, index);
        int buffer = loop_buffer(m, fn->fn,
                                 (LBuffer){.name = fn->fn->args.at[arg].name,
                                           .type = LT_I64,
                                           .base = LB_ARG,
                                           .arg = arg,
                                           .offset = loop_int(m, 0),
                                           .count = fn->batch,
                                           .written = true});
        LExpr *wanted = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[arg].var),
                                loop_int_of(m, LT_I32, 0), NULL);
        LStmt *each = loop_for(m, fn->fn, &loop_if(m, start, wanted)->body, "b", loop_int(m, 0),
                               fn->batch, 1);
        LExpr *b = loop_var(m, fn->fn, each->var);
        loop_store(m, &each->body, buffer, b, loop_int(m, -1), false);
        LBlock *into = lower_on_tick(fn, &each->body, &reader, index);
        LExpr *inside = lower_inside(fn, &reader, b);
        if (inside) into = &loop_if(m, into, inside)->body;
        LExpr *at = lower_now(fn, &reader, b);
        loop_store(m, into, buffer, b, loop_op(m, SOP_DIV, at, loop_int(m, every), NULL), false);
    }
}

/* Lengths of the caller are checked; then those of slow axes, and the longest of each axis. */
void lower_lengths(Fn *fn, LBlock *out) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const Graph *graph = lower->graph;
    InterfaceFunction *described_fn = described(fn);
    for (int pass = 0; pass < 2 && !fn->step;
         pass++) /* all checks first: a call that is refused writes nothing but workspace */
        for (int a = 0; a < graph->axes.count; a++) {
            const Axis *axis = &graph->axes.at[a];
            if (!lower->axis_used[a] || axis->kind != AXIS_RUN) continue;
            int given = -1;
            for (int i = 0; i < described_fn->args.count; i++)
                if (described_fn->args.at[i].role == ROLE_LENGTHS &&
                    described_fn->args.at[i].slot == a)
                    given = i;
            LBlock *into = out, *otherwise = NULL;
            LExpr *length = fn->extent[a];
            int buffer = -1;
            if (given >= 0) {
                LExpr *has = loop_op(m, SOP_NE, loop_var(m, fn->fn, fn->fn->args.at[given].var),
                                     loop_int_of(m, LT_I32, 0), NULL);
                LStmt *test = loop_if(m, out, has);
                into = &test->body;
                otherwise = &test->otherwise;
                buffer = lower_caller_buffer(fn, (LBuffer){.name = fn->fn->args.at[given].name,
                                                           .type = LT_I32,
                                                           .base = LB_ARG,
                                                           .arg = given,
                                                           .offset = loop_int(m, 0),
                                                           .count = fn->batch});
            }
            for (int part = 0; part < 2; part++) {
                LBlock *block = part ? otherwise : into;
                if (!block || (pass == 0 && (part || given < 0))) continue;
                LStmt *loop = loop_for(m, fn->fn, block, "b", loop_int(m, 0), fn->batch, 1);
                LExpr *b = loop_var(m, fn->fn, loop->var);
                LExpr *value = length;
                if (given >= 0 && part == 0)
                    value = loop_convert(m, SOP_CONVERT, LT_I64,
                                         loop_load(m, fn->fn, buffer, b, 1, false));
                if (pass == 0) {
                    value = lower_let(fn, &loop->body, "length", value);
                    refuse_if(
                        fn, &loop->body,
                        either(fn,
                               loop_op(m, SOP_LT, value, loop_int(m, needs_one(lower, a)), NULL),
                               loop_op(m, SOP_GT, value, length, NULL)),
                        LOOP_BAD_LENGTH);
                } else {
                    loop_store(m, &loop->body, fn->lengths[a], b, value, false);
                }
            }
        }
    for (int a = 0; a < graph->axes.count && !fn->step; a++) {
        const Axis *axis = &graph->axes.at[a];
        if (!lower->axis_used[a]) continue;
        if (axis->kind == AXIS_SLOW) {
            LStmt *loop = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
            LExpr *b = loop_var(m, fn->fn, loop->var);
            LExpr *up =
                loop_add(m, lower_length(fn, NULL, axis->base, b), loop_int(m, axis->every - 1));
            loop_store(m, &loop->body, fn->lengths[a], b,
                       loop_op(m, SOP_DIV, up, loop_int(m, axis->every), NULL), false);
        }
        int most = loop_mutable(
            m, fn->fn, out, arena_printf(lower->arena, "%s_longest", axis->name), loop_int(m, 0));
        LStmt *loop = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        LExpr *length = lower_length(fn, NULL, a, loop_var(m, fn->fn, loop->var));
        loop_set(m, &loop->body, most, lower_op(lower, SOP_MAX, loop_var(m, fn->fn, most), length));
        fn->longest[a] = loop_var(m, fn->fn, most);
    }
    lower_check_inputs(fn, out);
}

/* In double and term by term: with it a size that does not fit is found before it is computed in
 * integers. */
LExpr *lower_too_large(Fn *fn, Size size) {
    LoopModule *m = fn->lower->module;
    LExpr *large = NULL;
    for (int i = 0; i < size.count; i++) {
        LExpr *product = loop_float(m, LT_F64, (double)size.terms[i].coefficient);
        int symbols = 0;
        for (int s = 0; s < MAX_SYMBOLS; s++)
            for (int p = 0; p < size.terms[i].power[s]; p++) {
                LExpr *symbol = s ? fn->extent[s - 1] : fn->batch;
                product = loop_op(m, SOP_MUL, product, loop_convert(m, SOP_CONVERT, LT_F64, symbol),
                                  NULL);
                symbols++;
            }
        if (symbols < 2) continue; /* a coefficient below 2^31 times one symbol below 2^31 fits */
        LExpr *test = loop_op(m, SOP_GE, product, loop_float(m, LT_F64, 0x1p57), NULL);
        large = large ? either(fn, large, test) : test;
    }
    return large;
}

void lower_refuse_size(Fn *fn) {
    LoopModule *m = fn->lower->module;
    loop_return(m, &loop_if(m, &fn->fn->body, out_of_range(fn))->body, loop_int(m, -1));
}

void lower_return_size(Fn *fn, Size size) {
    LoopModule *m = fn->lower->module;
    LBlock *out = &fn->fn->body;
    lower_describe_size(fn, size);
    lower_refuse_size(fn);
    LExpr *large = lower_too_large(fn, size);
    if (large) loop_return(m, &loop_if(m, out, large)->body, loop_int(m, -1));
    loop_return(m, out, size_expr(fn, size));
}

int lower_finish(Fn *fn) {
    return fn->lower->interface_->functions.count - 1;
}
