/* A gradient that keeps one chunk of a sequence at a time: forward through all chunks, of which
 * only the rows before each stay; then, the last one first, each chunk again, and back through it.
 * The parts are schedules of their own (adjoint/cut.h), and
 * meet in the arrays of a Tape. */
#include "loop/lower_internal.h"

typedef struct Tape {
    Fn *host; /* the function: arguments, and lengths of whole sequences */
    int work_arg;
    LExpr *chunk, *chunks; /* positions of a chunk, and how many there are */
    Fn parts[TAPE_PARTS];
    int *rows, *d_rows, *totals, *d_totals; /* buffers */
} Tape;

static LowerTape *tape_of(const Tape *t) {
    return t->host->lower->tape;
}

/* Of rows and totals: an int is a scalar. */
static LoopType row_type(const Lower *lower, Type type) {
    return type.dtype == DT_FLOAT ? lower->real : LT_I64;
}

static int64_t row_stride(const Lower *lower, Type type) {
    int64_t count = shape_count(type.shape);
    int64_t line = 64 / loop_type_size(row_type(lower, type));
    return (count + line - 1) / line * line;
}

/* --- memory --- */

typedef struct Layout {
    LExpr *bytes;
    int work_arg;
} Layout;

/* An array of `count` numbers: whole lines; its buffer, where there is a function to have it. */
static int array(Fn *fn, Layout *layout, const char *name, LExpr *count, LoopType type) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int buffer = -1;
    if (layout->work_arg >= 0)
        buffer = loop_buffer(m, fn->fn,
                             (LBuffer){.name = name_of(lower->names, name),
                                       .type = type,
                                       .base = LB_ARG,
                                       .arg = layout->work_arg,
                                       .offset = layout->bytes,
                                       .count = count,
                                       .align = 64,
                                       .written = true});
    layout->bytes =
        loop_add(m, layout->bytes, loop_mul(m, count, loop_int(m, loop_type_size(type))));
    return buffer;
}

/* Rows of a type, so many for each sequence. */
static int rows_of(Fn *fn, Layout *layout, const char *name, int number, Type type, LExpr *rows) {
    LoopModule *m = fn->lower->module;
    LExpr *count =
        loop_mul(m, loop_mul(m, rows, fn->batch), loop_int(m, row_stride(fn->lower, type)));
    return array(fn, layout, arena_printf(fn->lower->arena, "%s_%d", name, number), count,
                 row_type(fn->lower, type));
}

/* The lengths of whole sequences, 8 numbers a sequence so that lines stay whole. */
static int length_array(Fn *fn, Layout *layout) {
    LoopModule *m = fn->lower->module;
    return array(fn, layout, "length", loop_mul(m, fn->batch, loop_int(m, 8)), LT_I64);
}

/* Whole lines. */
static LExpr *lines(LoopModule *m, LExpr *bytes) {
    LExpr *count = loop_op(m, SOP_DIV, loop_add(m, bytes, loop_int(m, 63)), loop_int(m, 64), NULL);
    return loop_mul(m, count, loop_int(m, 64));
}

/* All arrays, packed weights, and behind them the values of each part: no buffer lies over another
 * one, so that each pointer may be restrict. With `t` the buffers are made, and the parts; else
 * only the size is found. */
static LExpr *lay_out(Fn *fn, LowerTape *tape, LExpr *chunk, LExpr *chunks, int work_arg, Tape *t) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    Layout layout = {loop_int(m, 0), work_arg};
    LExpr *one = loop_int(m, 1);
    int lengths = length_array(fn, &layout);
    if (t) fn->lengths[tape->axis] = lengths;
    for (int r = 0; r < tape->row_count; r++) {
        int all = rows_of(fn, &layout, "rows", r, tape->rows[r], loop_add(m, chunks, one));
        int d = rows_of(fn, &layout, "d_rows", r, tape->rows[r], one);
        if (t) t->rows[r] = all;
        if (t) t->d_rows[r] = d;
    }
    for (int i = 0; i < tape->total_count; i++) {
        int all = rows_of(fn, &layout, "total", i, tape->totals[i], one);
        int d = rows_of(fn, &layout, "d_total", i, tape->totals[i], one);
        if (t) t->totals[i] = all;
        if (t) t->d_totals[i] = d;
    }
    LExpr *bases[TAPE_PARTS];
    for (int p = 0; p < TAPE_PARTS; p++) {
        Lower *own = tape->parts[p];
        bases[p] = layout.bytes;
        int64_t line = 64 / loop_type_size(lower->real);
        int64_t count = (own->weight_count + line - 1) / line * line;
        layout.bytes =
            loop_add(m, layout.bytes, loop_int(m, count * (int64_t)loop_type_size(lower->real)));
    }
    for (int p = 0; p < TAPE_PARTS; p++) {
        Lower *own = tape->parts[p];
        bool inside = p == PART_AHEAD || p == PART_BACK;
        Fn part = lower_part(own, fn->fn);
        part.sequence = true;
        part.batch = fn->batch;
        part.extent[tape->axis] = inside ? chunk : fn->extent[tape->axis];
        if (work_arg >= 0) {
            part.base = bases[p];
            lower_weights_in_work(&part, work_arg);
            part.before = size_constant(0);
        }
        part.base = layout.bytes;
        if (work_arg >= 0) tape->sizes[p] = place_values(&part, work_arg);
        layout.bytes = loop_add(m, layout.bytes, lines(m, size_expr(&part, tape->sizes[p])));
        if (t) t->parts[p] = part;
    }
    return layout.bytes;
}

/* --- what goes in --- */

static RowPlace row_place(const Tape *t, int buffer, Type type, LExpr *shift) {
    return (RowPlace){.buffer = buffer,
                      .type = row_type(t->host->lower, type),
                      .stride = row_stride(t->host->lower, type),
                      .padded = shape_count(type.shape) > 1,
                      .batched = true,
                      .shift = shift};
}

/* Elements from one row of all sequences to the next. */
static LExpr *row_size(const Tape *t, Type type) {
    LoopModule *m = t->host->lower->module;
    return loop_mul(m, t->host->batch, loop_int(m, row_stride(t->host->lower, type)));
}

/* The caller's tensor, from the beginning of the chunk on. */
static void model_input(Tape *t, Fn *part, int own, int host) {
    LoopModule *m = part->lower->module;
    part->inputs[own] = t->host->inputs[host];
    part->given[own] = t->host->given[host];
    RowPlace *place = &part->inputs[own];
    if (!part->begin || !part->lower->graph->inputs.at[own].index_count) return;
    place->shift = loop_mul(m, loop_mul(m, part->begin, part->batch), loop_int(m, place->stride));
    for (int d = 0; d < place->dim_count; d++)
        place->dims[d] = part->lower->graph->inputs.at[own].indices[d];
}

static int host_upstream(const Tape *t, int output) {
    const Graph *graph = t->host->lower->graph;
    for (int i = 0; i < graph->inputs.count; i++)
        if (graph->inputs.at[i].kind == PORT_UPSTREAM && graph->inputs.at[i].of == output) return i;
    return -1;
}

/* Where the part finds its inputs; `number`: of the chunk. */
static void connect(Tape *t, TapePart kind, LExpr *number) {
    const LowerTape *tape = tape_of(t);
    Fn *part = &t->parts[kind];
    LoopModule *m = part->lower->module;
    const Graph *graph = part->lower->graph;
    const Graph *cut = tape->graphs[kind];
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        PortKind what = port->kind;
        int of = port->of;
        bool gradient = what == PORT_UPSTREAM;
        if (gradient) { /* of an output of the graph that was cut */
            what = cut->outputs.at[port->of].kind;
            of = cut->outputs.at[port->of].of;
        }
        if (what == PORT_MODEL) {
            model_input(t, part, i, i);
        } else if (what == PORT_OUTPUT) {
            int from = host_upstream(t, of);
            if (from >= 0) model_input(t, part, i, from);
        } else if (what == PORT_ROW) {
            LExpr *shift =
                gradient || !number ? NULL : loop_mul(m, number, row_size(t, tape->rows[of]));
            part->inputs[i] =
                row_place(t, gradient ? t->d_rows[of] : t->rows[of], tape->rows[of], shift);
        } else if (what == PORT_TOTAL) {
            part->inputs[i] =
                row_place(t, gradient ? t->d_totals[of] : t->totals[of], tape->totals[of], NULL);
        } else if (what == PORT_LENGTH) {
            part->inputs[i] = (RowPlace){.buffer = t->host->lengths[tape->axis],
                                         .type = LT_I64,
                                         .stride = 1,
                                         .batched = true};
        }
    }
}

/* Lengths of the part: of whole sequences, or of what a chunk has of them; and the longest. */
static void lengths_of(Tape *t, TapePart kind, LBlock *out) {
    Fn *fn = t->host, *part = &t->parts[kind];
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int axis = tape_of(t)->axis;
    int most = loop_mutable(m, fn->fn, out, "longest", loop_int(m, 0));
    LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
    LExpr *b = loop_var(m, fn->fn, each->var);
    LExpr *length = loop_load(m, fn->fn, fn->lengths[axis], b, 1, false);
    if (part->begin) {
        length = loop_sub(m, length, part->begin);
        length = lower_op(lower, SOP_MAX, length, loop_int(m, 0));
        length = loop_min(m, length, t->chunk);
    }
    length = lower_let(fn, &each->body, "length", length);
    if (part->lengths[axis] >= 0) loop_store(m, &each->body, part->lengths[axis], b, length, false);
    loop_set(m, &each->body, most, lower_op(lower, SOP_MAX, loop_var(m, fn->fn, most), length));
    if (part->start >= 0) loop_store(m, &each->body, part->start, b, part->begin, false);
    part->longest[axis] = loop_var(m, fn->fn, most);
    for (int i = 0; i < part->lower->schedule->values.count; i++)
        part->filled_pre[i] = part->filled_post[i] = 0;
}

/* --- what comes out --- */

/* All rows of an array := 0. */
static void clear(Tape *t, LBlock *out, int buffer, Type type) {
    Fn *fn = t->host;
    LoopModule *m = fn->lower->module;
    LStmt *all = loop_for(m, fn->fn, out, "i", loop_int(m, 0), row_size(t, type), 1);
    LExpr *zero = type.dtype == DT_FLOAT ? lower_real(fn->lower, 0, 1) : loop_int_of(m, LT_I64, 0);
    loop_store(m, &all->body, buffer, loop_var(m, fn->fn, all->var), zero, false);
}

/* A value without time into an array of ours, from `shift` on; or added to what is there. */
static void put(Tape *t, TapePart kind, LBlock *out, const Value *value, int buffer, LExpr *shift,
                bool add) {
    Fn *part = &t->parts[kind];
    LoopModule *m = part->lower->module;
    LStmt *each = loop_for(m, part->fn, out, "b", loop_int(m, 0), part->batch, 1);
    Row row = {.b = loop_var(m, part->fn, each->var)};
    LBlock *body = &each->body;
    LExpr *i = loop_int(m, 0);
    if (value->count > 1) {
        LStmt *loop = loop_for(m, part->fn, body, "i", i, loop_int(m, value->count), 1);
        i = loop_var(m, part->fn, loop->var);
        body = &loop->body;
    }
    LExpr *at = loop_mul(m, row.b, loop_int(m, row_stride(part->lower, value->type)));
    at = loop_add(m, at, i);
    if (shift) at = loop_add(m, shift, at);
    at = lower_let(part, body, "at", at);
    Use use = {value->id, -1};
    LoopType type = row_type(part->lower, value->type);
    LExpr *e =
        lower_element(part, body, value, &use, &row, i, 1, type == LT_I64 ? WANT_INT : WANT_REAL);
    if (e->type != type) e = loop_convert(m, SOP_CONVERT, type, e);
    if (add) {
        LExpr *so_far =
            lower_let(part, body, "so_far", loop_load(m, part->fn, buffer, at, 1, false));
        e = lower_op(part->lower, SOP_ADD, so_far, e);
    }
    loop_store(m, body, buffer, at, e, false);
}

/* Rows go where chunk `number` begins; totals are added up; gradients of either take the place of
 * what they were made from. */
static void keep(Tape *t, TapePart kind, LBlock *out, LExpr *number) {
    const LowerTape *tape = tape_of(t);
    Fn *part = &t->parts[kind];
    LoopModule *m = part->lower->module;
    const Graph *graph = part->lower->graph, *cut = tape->graphs[kind];
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        const Value *value = part->lower->schedule->values.at[part->lower->schedule->outputs.at[o]];
        if (port->kind == PORT_ROW && number) {
            LExpr *shift = loop_mul(m, number, row_size(t, tape->rows[port->of]));
            put(t, kind, out, value, t->rows[port->of], shift, false);
        } else if (port->kind == PORT_TOTAL && kind == PART_AHEAD) {
            put(t, kind, out, value, t->totals[port->of], NULL, true);
        } else if (port->kind == PORT_INPUT_GRAD) {
            const GraphPort *of = &cut->inputs.at[port->of];
            if (of->kind == PORT_ROW)
                put(t, kind, out, value, t->d_rows[of->of], NULL, false);
            else if (of->kind == PORT_TOTAL)
                put(t, kind, out, value, t->d_totals[of->of], NULL, false);
        }
    }
}

/* --- the order of things --- */

static void run_part(Tape *t, TapePart kind, LBlock *out, LExpr *number) {
    Fn *part = &t->parts[kind];
    connect(t, kind, number);
    lengths_of(t, kind, out);
    lower_copy_inputs(part, out);
    lower_nests(part, out);
}

static LBlock *over_chunks(Tape *t, LBlock *out, bool backward, TapePart kind, LExpr **number) {
    Fn *fn = t->host, *part = &t->parts[kind];
    LoopModule *m = fn->lower->module;
    LStmt *over = loop_for(m, fn->fn, out, "n", loop_int(m, 0), t->chunks, 1);
    LExpr *n = loop_var(m, fn->fn, over->var);
    if (backward) n = loop_sub(m, loop_sub(m, t->chunks, loop_int(m, 1)), n);
    *number = lower_let(fn, &over->body, "chunk", n);
    part->begin = lower_let(fn, &over->body, "begin", loop_mul(m, *number, t->chunk));
    part->steps = fn->extent[tape_of(t)->axis];
    return &over->body;
}

static void pack(Tape *t, TapePart kind, LBlock *out, int params) {
    lower_pack_into(&t->parts[kind], out, params);
}

static void run_tape(Tape *t, LBlock *out, int params) {
    const LowerTape *tape = tape_of(t);
    LoopModule *m = t->host->lower->module;
    LExpr *number, *zero = loop_int(m, 0);
    for (int i = 0; i < tape->total_count; i++) clear(t, out, t->totals[i], tape->totals[i]);
    for (int p = 0; p < TAPE_PARTS; p++) pack(t, (TapePart)p, out, params);
    run_part(t, PART_BEFORE, out, NULL);
    keep(t, PART_BEFORE, out, zero);
    LBlock *body = over_chunks(t, out, false, PART_AHEAD, &number);
    run_part(t, PART_AHEAD, body, number);
    keep(t, PART_AHEAD, body, loop_add(m, number, loop_int(m, 1)));
    run_part(t, PART_AFTER, out, NULL);
    lower_store_loss(&t->parts[PART_AFTER], out);
    lower_copy_outputs(&t->parts[PART_AFTER], out);
    lower_add_gradients(&t->parts[PART_AFTER], out);
    keep(t, PART_AFTER, out, NULL);
    for (int r = 0; r < tape->row_count; r++) clear(t, out, t->d_rows[r], tape->rows[r]);
    body = over_chunks(t, out, true, PART_BACK, &number);
    run_part(t, PART_BACK, body, number);
    lower_copy_outputs(&t->parts[PART_BACK], body);
    lower_add_gradients(&t->parts[PART_BACK], body);
    keep(t, PART_BACK, body, NULL);
    run_part(t, PART_START, out, NULL);
    lower_add_gradients(&t->parts[PART_START], out);
}

/* --- how many chunks --- */

/* Bytes for `chunks` chunks, and their length into *chunk. */
static LExpr *bytes_for(Fn *fn, LBlock *out, LExpr *chunks, LExpr **chunk) {
    LoopModule *m = fn->lower->module;
    LExpr *steps = fn->extent[fn->lower->tape->axis];
    LExpr *up = loop_add(m, steps, loop_sub(m, chunks, loop_int(m, 1)));
    LExpr *length = loop_op(m, SOP_DIV, up, chunks, NULL);
    length = lower_op(fn->lower, SOP_MAX, length, loop_int(m, 1));
    *chunk = lower_let(fn, out, "chunk", length);
    return lower_let(fn, out, "bytes", lay_out(fn, fn->lower->tape, *chunk, chunks, -1, NULL));
}

typedef struct Chosen {
    int chunk, chunks, found, least; /* variables */
} Chosen;

/* A mask: no number of bytes that is computed here has more than 63 bits. */
static LExpr *small_enough(Fn *fn) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    const LowerTape *tape = lower->tape;
    double most = 64;
    for (int r = 0; r < tape->row_count; r++)
        most += 2.0 * 8.0 * (double)row_stride(lower, tape->rows[r]);
    for (int i = 0; i < tape->total_count; i++)
        most += 2.0 * 8.0 * (double)row_stride(lower, tape->totals[i]);
    for (int p = 0; p < TAPE_PARTS; p++) {
        most += 8.0 * (double)(tape->parts[p]->weight_count + 64);
        for (int i = 0; i < tape->sizes[p].count; i++)
            most += (double)tape->sizes[p].terms[i].coefficient;
    }
    LExpr *steps = loop_add(m, fn->extent[tape->axis], loop_int(m, 2));
    LExpr *product = loop_op(m, SOP_MUL, loop_convert(m, SOP_CONVERT, LT_F64, steps),
                             loop_convert(m, SOP_CONVERT, LT_F64, fn->batch), NULL);
    product = loop_op(m, SOP_MUL, product, loop_float(m, LT_F64, most), NULL);
    return loop_op(m, SOP_LT, product, loop_float(m, LT_F64, 0x1p57), NULL);
}

/* The fewest chunks for which `limit` is enough, and the least that any number of them needs. */
static Chosen choose(Fn *fn, LBlock *out, LExpr *limit) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *steps = fn->extent[lower->tape->axis];
    Chosen c = {loop_mutable(m, fn->fn, out, "best", loop_int(m, 1)),
                loop_mutable(m, fn->fn, out, "chunks", loop_int(m, 1)),
                loop_mutable(m, fn->fn, out, "found", loop_int(m, -1)),
                loop_mutable(m, fn->fn, out, "least", loop_int(m, INT64_MAX))};
    LBlock *possible = &loop_if(m, out, small_enough(fn))->body;
    out = possible;
    LExpr *most = lower_op(lower, SOP_MAX, steps, loop_int(m, 1));
    LStmt *over = loop_for(m, fn->fn, out, "n", loop_int(m, 1),
                           loop_add(m, lower_let(fn, out, "most", most), loop_int(m, 1)), 1);
    LExpr *n = loop_var(m, fn->fn, over->var), *chunk;
    LExpr *bytes = bytes_for(fn, &over->body, n, &chunk);
    /* What a chunk reads back must lie in the one before. */
    LExpr *short_ =
        loop_op(m, SOP_MAND, loop_op(m, SOP_LT, chunk, loop_int(m, lower->tape->longest_lag), NULL),
                loop_op(m, SOP_GT, n, loop_int(m, 1), NULL), NULL);
    loop_break(m, &loop_if(m, &over->body, short_)->body);
    loop_set(m, &over->body, c.least, loop_min(m, loop_var(m, fn->fn, c.least), bytes));
    LBlock *fits = &loop_if(m, &over->body, loop_op(m, SOP_LE, bytes, limit, NULL))->body;
    loop_set(m, fits, c.found, bytes);
    loop_set(m, fits, c.chunk, chunk);
    loop_set(m, fits, c.chunks, n);
    loop_break(m, fits);
    return c;
}

static LExpr *is_negative(Fn *fn, int var) {
    LoopModule *m = fn->lower->module;
    return loop_op(m, SOP_LT, loop_var(m, fn->fn, var), loop_int(m, 0), NULL);
}

/* The function that `grad` calls: its arguments, and behind them the length of a chunk and the
 * number of chunks. */
int lower_tape_function(Lower *lower) {
    LoopModule *m = lower->module;
    LowerTape *tape = lower->tape;
    const InterfaceFunction of =
        lower->interface_->functions.at[lower->interface_->functions.count - 1];
    Fn fn = lower_function(lower, "grad_chunks", LT_I32, "", false);
    fn.fn->exported = false;
    int params = -1, work_arg = -1;
    int64_t fixed = lower->graph->axes.at[tape->axis].fixed;
    if (fixed) fn.extent[tape->axis] = loop_int(m, fixed); /* the size of arrays goes by it */
    for (int i = 0; i < of.args.count; i++) {
        const InterfaceArg *arg = &of.args.at[i];
        int at = lower_arg(&fn, arg->role, arg->slot);
        if (arg->role == ROLE_PARAMS) params = lower_params_buffer(&fn);
        if (arg->role == ROLE_WORK) work_arg = at;
    }
    LExpr *chunk = loop_var(
        m, fn.fn, loop_arg_scalar(m, fn.fn, "chunk_steps", LT_I64, "positions of a chunk"));
    LExpr *chunks =
        loop_var(m, fn.fn, loop_arg_scalar(m, fn.fn, "chunk_count", LT_I64, "how many of them"));
    Tape t = {.host = &fn,
              .work_arg = work_arg,
              .chunk = chunk,
              .chunks = chunks,
              .rows = ARENA_ARRAY(lower->arena, tape->row_count + 1, int),
              .d_rows = ARENA_ARRAY(lower->arena, tape->row_count + 1, int),
              .totals = ARENA_ARRAY(lower->arena, tape->total_count + 1, int),
              .d_totals = ARENA_ARRAY(lower->arena, tape->total_count + 1, int)};
    LBlock *out = &fn.fn->body;
    (void)lay_out(&fn, tape, chunk, chunks, work_arg, &t);
    lower_lengths(&fn, out);
    run_tape(&t, out, params);
    loop_return(m, out, loop_int_of(m, LT_I32, LOOP_OK));
    int index = m->functions.count - 1;
    lower->interface_->functions.count--; /* nobody outside calls it */
    return index;
}

/* In `grad`, where the workspace is too small for the whole tape. */
void lower_tape_call(Fn *fn, LBlock *out, int callee, int bytes_arg) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LExpr *given = loop_var(m, fn->fn, fn->fn->args.at[bytes_arg].var);
    Chosen c = choose(fn, out, given);
    loop_return(m, &loop_if(m, out, is_negative(fn, c.found))->body,
                loop_int_of(m, LT_I32, LOOP_BAD_SPACE));
    VEC(LExpr *) args = {0};
    const LFunction *called = m->functions.at[callee];
    const InterfaceFunction *own =
        &lower->interface_->functions.at[lower->interface_->functions.count - 1];
    for (int i = 0; i < fn->fn->args.count; i++) {
        const LArg *arg = &fn->fn->args.at[i];
        if (arg->pool) {
            vec_push(lower->arena, &args, NULL);
            continue;
        }
        if (!arg->pointer) {
            vec_push(lower->arena, &args, loop_var(m, fn->fn, arg->var));
            continue;
        }
        int buffer = loop_buffer(
            m, fn->fn,
            (LBuffer){.name = arg->name,
                      .type = arg->type == LT_VOID ? LT_I8 : arg->type,
                      .base = LB_ARG,
                      .arg = i,
                      .offset = loop_int(m, 0),
                      .count = own->args.at[i].role == ROLE_LENGTHS ? fn->batch : loop_int(m, 1),
                      .written = called->args.at[i].written});
        vec_push(lower->arena, &args, loop_load(m, fn->fn, buffer, loop_int(m, 0), 1, false));
    }
    vec_push(lower->arena, &args, loop_var(m, fn->fn, c.chunk));
    vec_push(lower->arena, &args, loop_var(m, fn->fn, c.chunks));
    int status = loop_call(m, fn->fn, out, callee, args.at, args.count);
    loop_return(m, out, loop_var(m, fn->fn, status));
}

void lower_tape_sizes(Fn *fn, Size whole, int64_t budget) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LBlock *out = &fn->fn->body;
    lower_describe_size(fn, whole);
    lower_refuse_size(fn);
    LExpr *large = lower_too_large(fn, whole);
    LBlock *fits = large ? &loop_if(m, out, loop_op(m, SOP_MNOT, large, NULL, NULL))->body : out;
    LExpr *size = lower_let(fn, fits, "whole", size_expr(fn, whole));
    LExpr *limit = loop_int(m, budget < 0 ? 0 : budget);
    loop_return(m, &loop_if(m, fits, loop_op(m, SOP_LE, size, limit, NULL))->body, size);
    Chosen c = choose(fn, out, limit);
    LStmt *test = loop_if(m, out, is_negative(fn, c.found));
    LExpr *least = loop_var(m, fn->fn, c.least);
    LStmt *none = loop_if(m, &test->body, loop_op(m, SOP_EQ, least, loop_int(m, INT64_MAX), NULL));
    loop_return(m, &none->body, loop_int(m, -1));
    loop_return(m, &test->body, least);
    loop_return(m, out, loop_var(m, fn->fn, c.found));
}
