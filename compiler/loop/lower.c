/* The module of a model: what its functions share, and the functions of a step. */
#include "loop/lower_internal.h"

static LPlace place_of(const Lower *lower, Span span) {
    while (span.within && span.source && strcmp(span.source->path, "<prelude>") == 0)
        span = *span.within;
    if (!span.source) return (LPlace){0};
    return (LPlace){name_of(lower->names, span.source->path),
                    source_place(span.source, span.begin).line};
}

void lower_at(Lower *lower, Span span) {
    if (!lower->options.places) return;
    LPlace at = place_of(lower, span);
    lower->module->at = at.line ? at : lower->module->home;
}

static void mark_axis(Lower *lower, int axis) {
    lower->axis_used[axis] = true;
    if (lower->graph->axes.at[axis].kind == AXIS_SLOW)
        mark_axis(lower, lower->graph->axes.at[axis].base);
}

static void find_axes(Lower *lower) {
    const Graph *graph = lower->graph;
    lower_label(lower);
    lower->axis_used = ARENA_ARRAY(lower->arena, graph->axes.count + 1, bool);
    for (int i = 0; i < lower->schedule->values.count; i++) {
        const Value *value = lower->schedule->values.at[i];
        if (!value->live) continue;
        for (int d = 0; d < value->domain_count; d++)
            mark_axis(lower, graph->indices.at[value->domain[d]].axis);
        if (value->kind == VALUE_LEAF && value->op == OP_LENGTH)
            mark_axis(lower, value->attr->slot);
        bool reduces = value->op == OP_TSUM || value->op == OP_TMAX || value->op == OP_TARGMAX ||
                       value->op == OP_TCONCAT;
        if (value->kind == VALUE_ROW && reduces)
            mark_axis(lower, graph->indices.at[value->attr->index].axis);
    }
    for (int i = 0; i < graph->outputs.count; i++)
        for (int d = 0; d < graph->outputs.at[i].index_count; d++)
            mark_axis(lower, graph->indices.at[graph->outputs.at[i].indices[d]].axis);
    for (int i = 0; i < graph->carries.count; i++) /* a position goes on, whatever is read of it */
        mark_axis(lower, graph->carries.at[i].axis);
}

static const char *step_doc(Lower *lower) {
    Text text = text_new(lower->arena);
    text_puts(&text,
              "Takes one step of `batch` sequences. Equal to forward bit for bit at batch 1");
    bool library = false;
    for (int i = 0; i < lower->schedule->families.count; i++) library |= lower->gemm[i];
    text_puts(&text, library ? ", but for\nthe products of forward that a library computes." : ".");
    if (lower->latency)
        text_printf(&text,
                    "\nStep n gives the outputs of position n - %lld: they read ahead. Behind the "
                    "end of a sequence,\nas many more steps with `ended` give the last of them.",
                    (long long)lower->latency);
    if (lower->period > 1)
        text_puts(&text, "\nWhat is over a slower axis is read, and written, in steps that have a "
                         "position of it.");
    return text_string(&text);
}

static void make_step(Lower *lower) {
    LoopModule *m = lower->module;
    Fn fn = lower_function(lower, "step", LT_I32, step_doc(lower), true);
    lower_arg(&fn, ROLE_WEIGHTS, 0);
    lower_arg(&fn, ROLE_BATCH, 0);
    lower_input_arguments(&fn);
    if (lower->latency) lower_arg(&fn, ROLE_ENDED, 0);
    for (int i = 0; i < lower->graph->outputs.count; i++)
        if (lower->graph->outputs.at[i].kind == PORT_MODEL) lower_arg(&fn, ROLE_OUTPUT, i);
    lower_at_arguments(&fn);
    lower_arg(&fn, ROLE_STATE, 0);
    lower_seed_argument(&fn, false);
    int work_arg = lower_arg(&fn, ROLE_WORK, 0), bytes_arg = lower_arg(&fn, ROLE_WORK_BYTES, 0);
    lower_pool_argument(&fn);
    lower_state_header(&fn);
    lower_kept_places(&fn);
    Size work = place_values(&fn, work_arg);
    LBlock *out = &fn.fn->body;
    int clock_buffer = fn.positions - 1;
    lower_checks(&fn, out);
    lower_work_check(&fn, out, bytes_arg, work);
    fn.clock =
        lower_let(&fn, out, "clock", loop_load(m, fn.fn, clock_buffer, loop_int(m, 0), 1, false));
    lower_lengths(&fn, out);
    lower_note_ends(&fn, out);
    lower_copy_inputs(&fn, out);
    lower_nests(&fn, out);
    lower_copy_outputs(&fn, out);
    lower_at(lower, (Span){0});
    lower_store_at(&fn, out);
    loop_store(m, out, clock_buffer, loop_int(m, 0), loop_add(m, fn.clock, loop_int(m, 1)), false);
    LStmt *each = loop_for(m, fn.fn, out, "b", loop_int(m, 0), fn.batch, 1);
    LExpr *b = loop_var(m, fn.fn, each->var);
    loop_store(m, &each->body, fn.positions, b,
               loop_add(m, loop_load(m, fn.fn, fn.positions, b, 1, false), loop_int(m, 1)), false);
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    lower->interface_->step = lower_finish(&fn);

    Fn size = lower_function(
        lower, "step_work_bytes", LT_I64,
        "Bytes of workspace that step needs; -1 when an argument is out of its range.", true);
    lower_arg(&size, ROLE_BATCH, 0);
    lower_return_size(&size, work);
    lower->interface_->step_work = lower_finish(&size);
}

/* Where an axis comes in that is one too many: the port that has it. */
static Span place_of_axes(const Graph *graph) {
    const GraphPort *ports[] = {graph->inputs.at, graph->outputs.at};
    int counts[] = {graph->inputs.count, graph->outputs.count};
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < counts[side]; i++)
            for (int k = 0; k < ports[side][i].index_count; k++)
                if (graph->indices.at[ports[side][i].indices[k]].axis >= MAX_SYMBOLS - 2)
                    return ports[side][i].span;
    return graph->outputs.count > 0 ? graph->outputs.at[0].span : (Span){0};
}

static Lower *begin(Arena *arena, Names *names, const Schedule *schedule,
                    const LowerOptions *options, Diags *diags) {
    Lower *lower = ARENA_NEW(arena, Lower);
    *lower = (Lower){.arena = arena,
                     .names = names,
                     .schedule = schedule,
                     .graph = schedule->graph,
                     .options = *options,
                     .diags = diags,
                     .real = options->real,
                     .integer = options->real == LT_F32 ? LT_I32 : LT_I64};
    lower->lanes = options->real == LT_F32     ? options->target.lanes
                   : options->target.lanes > 1 ? options->target.lanes / 2
                                               : 1;
    return lower;
}

/* What the operations of the schedule can be lowered to at all. */
static bool can_lower(const Lower *lower) {
    const Graph *graph = lower->graph;
    if (graph->axes.count >= MAX_SYMBOLS - 1) {
        diag_error(lower->diags, "E-LOWER", place_of_axes(graph),
                   "the model has %d axes, more than the %d that are compiled", graph->axes.count,
                   MAX_SYMBOLS - 2);
        return false;
    }
    return true;
}

static void find_layouts(Lower *lower) {
    lower_find_gemms(lower);
    lower_layout_weights(lower);
}

static Interface *new_interface(const Lower *lower, const Graph *graph) {
    Interface *in = ARENA_NEW(lower->arena, Interface);
    *in = (Interface){.model = graph->model,
                      .graph = graph,
                      .module = lower->module,
                      .pack = -1,
                      .forward = -1,
                      .step = -1,
                      .reset = -1,
                      .state_bytes = -1,
                      .forward_work = -1,
                      .step_work = -1,
                      .loss = -1,
                      .loss_work = -1,
                      .grad = -1,
                      .grad_work = -1,
                      .reset_work = -1,
                      .init = -1,
                      .init_work = -1,
                      .export_state = -1,
                      .import_state = -1};
    for (int i = 0; i < graph->params.count; i++) {
        vec_push(lower->arena, &in->param_offsets, in->param_count);
        in->param_count += shape_count(graph->params.at[i].shape);
    }
    return in;
}

static LowerTape *new_tape(const Lower *of, const LowerChunks *chunks) {
    LowerTape *tape = ARENA_NEW(of->arena, LowerTape);
    *tape = (LowerTape){.axis = chunks->axis,
                        .longest_lag = chunks->longest_lag,
                        .budget = chunks->budget,
                        .row_count = chunks->row_count,
                        .total_count = chunks->total_count,
                        .rows = chunks->rows,
                        .totals = chunks->totals};
    for (int p = 0; p < TAPE_PARTS; p++) {
        Lower *part = begin(of->arena, of->names, chunks->parts[p], &of->options, of->diags);
        part->kind = SEQUENCE_GRAD;
        part->module = of->module;
        part->interface_ = of->interface_;
        if (!can_lower(part)) return NULL;
        find_axes(part);
        find_layouts(part);
        part->carries = part->graph->carries.count > 0;
        lower_carry_places(part);
        tape->parts[p] = part;
        tape->graphs[p] = chunks->graphs[p];
    }
    return tape;
}

/* One function of training, on a schedule of its own. */
static bool lower_training(const Lower *main, const Schedule *schedule, SequenceKind kind,
                           const LowerChunks *chunks) {
    if (!schedule) return true;
    LowerOptions options = main->options;
    options.force = options.force_training;
    Lower *lower = begin(main->arena, main->names, schedule, &options, main->diags);
    lower->kind = kind;
    lower->layout = main;
    lower->module = main->module;
    lower->interface_ = main->interface_;
    if (!can_lower(lower)) return false;
    find_axes(lower);
    find_layouts(lower);
    (void)lower_no_step(lower); /* finds what is late, which the layout of the state asks for */
    lower->latency = 0;
    lower_state_layout(lower, false);
    if (chunks && !(lower->tape = new_tape(lower, chunks))) return false;
    lower_sequence(lower);
    return true;
}

Interface *lower_schedules(Arena *arena, Names *names, const LowerSchedules *schedules,
                           const LowerOptions *options, Diags *diags) {
    Lower *lower = begin(arena, names, schedules->forward, options, diags);
    lower->module = loop_module_new(arena, names, name_of(names, options->prefix), options->target,
                                    options->real);
    if (options->places) lower->module->home = place_of(lower, options->home);
    Interface *interface_ = lower->interface_ = new_interface(lower, schedules->graph);
    if (!can_lower(lower)) return NULL;
    find_axes(lower);
    interface_->no_step = lower_no_step(lower);
    lower->steps = !interface_->no_step;
    find_layouts(lower);
    int64_t line = 64 / loop_type_size(lower->real);
    interface_->weight_bytes =
        (lower->weight_count ? lower->weight_count : line) * loop_type_size(lower->real);
    if (interface_->no_step) lower->latency = 0; /* there are no steps that could be late */
    interface_->step_axis = lower->step_axis;
    interface_->latency = lower->latency;
    interface_->period = lower->period;
    lower_state_layout(lower, !interface_->no_step);
    lower_pack(lower);
    lower_sequence(lower);
    if (!interface_->no_step) make_step(lower);
    if (!lower_training(lower, schedules->loss, SEQUENCE_LOSS, NULL) ||
        !lower_training(lower, schedules->grad, SEQUENCE_GRAD, schedules->chunks))
        return NULL;
    lower_state_functions(lower);
    if (options->init) lower_init(lower);
    return interface_;
}

Interface *lower_schedule(Arena *arena, Names *names, const Schedule *schedule,
                          const LowerOptions *options, Diags *diags) {
    const LowerSchedules only = {.graph = schedule->graph, .forward = schedule};
    return lower_schedules(arena, names, &only, options, diags);
}
