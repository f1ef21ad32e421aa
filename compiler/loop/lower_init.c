/* The function that gives parameters their first values: runtime/rt_init.c as Loop code. Parameters
 * of one kind are one loop over tables of them, so the code is as long for a hundred as for two.
 * Constants and uniform draws have the runtime's bits; normal ones, and orthogonal matrices made of
 * them, are computed in f64 by our own log and cos and differ from it by roundings. */
#include "loop/lower_internal.h"

#include "rnn_rt.h"

typedef struct First {
    const GraphParam *param;
    int64_t offset, count;
    double a, width;      /* uniform: from a, so wide; normal: the deviation a; constant: a */
    int64_t rows, length; /* orthogonal: so many vectors, and how long they are */
    int64_t along_rows, along_row;
} First;

typedef VEC(First) Firsts;

typedef enum Field {
    FIELD_OFFSET,
    FIELD_COUNT,
    FIELD_A,
    FIELD_WIDTH,
    FIELD_ROWS,
    FIELD_LENGTH,
    FIELD_ALONG_ROWS,
    FIELD_ALONG_ROW,
    FIELD_SITE_LOW,
    FIELD_SITE_HIGH
} Field;

typedef struct Init {
    Fn fn;
    int params, rows; /* buffers; rows: of orthogonal matrices, or -1 */
    Firsts kinds[RT_INIT_ORTHOGONAL + 1];
    const Firsts *firsts; /* those that the code at hand is for */
    LExpr *number;        /* which one of them */
} Init;

/* Rows of an orthogonal matrix are whole groups of so many numbers, and products of rows so many
 * sums. */
enum { CHAINS = 4 };

static int64_t padded(int64_t length) {
    return (length + CHAINS - 1) / CHAINS * CHAINS;
}

/* --- what there is --- */

static void collect(Init *init, const GraphParam *param, int64_t offset) {
    static const RtInitKind kinds[] = {
        [INITIAL_VALUES] = RT_INIT_CONSTANT, [INITIAL_GLOROT] = RT_INIT_GLOROT,
        [INITIAL_HE] = RT_INIT_HE,           [INITIAL_ORTHOGONAL] = RT_INIT_ORTHOGONAL,
        [INITIAL_NORMAL] = RT_INIT_NORMAL,   [INITIAL_UNIFORM] = RT_INIT_UNIFORM};
    First first = {.param = param, .offset = offset, .count = shape_count(param->shape)};
    RtInit how = {kinds[param->initial], param->a, param->b};
    how = rt_init_resolve(how, param->shape.rank, param->shape.dim);
    first.a = how.a;
    first.width = how.b - how.a;
    if (how.kind == RT_INIT_ORTHOGONAL) {
        int64_t m = param->shape.dim[0], n = first.count / m;
        bool wide = m < n;
        first.rows = wide ? m : n;
        first.length = wide ? n : m;
        first.along_rows = wide ? n : 1;
        first.along_row = wide ? 1 : n;
    }
    vec_push(init->fn.lower->arena, &init->kinds[how.kind], first);
}

static double field_number(const Lower *lower, const First *first, Field field) {
    uint64_t site = rt_hash_name(first->param->name);
    switch (field) {
    case FIELD_OFFSET: return (double)first->offset;
    case FIELD_COUNT: return (double)first->count;
    case FIELD_A:
        if (first->param->initial != INITIAL_VALUES || lower->real == LT_F64) return first->a;
        return (float)first->a;
    case FIELD_WIDTH: return first->width;
    case FIELD_ROWS: return (double)first->rows;
    case FIELD_LENGTH: return (double)first->length;
    case FIELD_ALONG_ROWS: return (double)first->along_rows;
    case FIELD_ALONG_ROW: return (double)first->along_row;
    case FIELD_SITE_LOW: return (int32_t)(uint32_t)site;
    case FIELD_SITE_HIGH: return (int32_t)(uint32_t)(site >> 32);
    }
    return 0;
}

static int table(Init *init, const char *name, LoopType type, const double *numbers,
                 int64_t count) {
    Lower *lower = init->fn.lower;
    return loop_buffer(lower->module, init->fn.fn,
                       (LBuffer){.name = name_of(lower->names, name),
                                 .type = type,
                                 .base = LB_TABLE,
                                 .count = loop_int(lower->module, count),
                                 .align = 64,
                                 .table = numbers});
}

/* This of the parameter at hand: from a table, or a constant where all have the same. */
static LExpr *field(Init *init, LBlock *out, const char *name, LoopType type, Field which) {
    Fn *fn = &init->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int count = init->firsts->count;
    double *numbers = ARENA_ARRAY(lower->arena, count, double);
    bool same = true;
    for (int i = 0; i < count; i++) {
        numbers[i] = field_number(lower, &init->firsts->at[i], which);
        same = same && numbers[i] == numbers[0];
    }
    bool is_float = type == LT_F32 || type == LT_F64;
    if (same && is_float) return loop_float(m, type, numbers[0]);
    if (same) return loop_int_of(m, type, (int64_t)numbers[0]);
    int from = table(init, arena_printf(lower->arena, "%ss", name), type, numbers, count);
    return lower_let(fn, out, name, loop_load(m, fn->fn, from, init->number, 1, false));
}

/* --- numbers --- */

/* Stores params[offset + index] := value, rounded to the model's type. */
static void store(Init *init, LBlock *out, LExpr *offset, LExpr *index, LExpr *value) {
    Lower *lower = init->fn.lower;
    LoopModule *m = lower->module;
    if (value->type != lower->real) value = loop_convert(m, SOP_CONVERT, lower->real, value);
    loop_store(m, out, init->params, loop_add(m, offset, index), value, false);
}

static void site_key(Init *init, LBlock *out, LExpr *key[2]) {
    LExpr *site[] = {field(init, out, "site_low", LT_I32, FIELD_SITE_LOW),
                     field(init, out, "site_high", LT_I32, FIELD_SITE_HIGH)};
    lower_draw_key(&init->fn, out, site, key);
}

/* Each of the kind, in turn. */
static LBlock *each_param(Init *init, RtInitKind kind, const char *what) {
    Fn *fn = &init->fn;
    LoopModule *m = fn->lower->module;
    init->firsts = &init->kinds[kind];
    loop_comment(m, &fn->fn->body, what);
    LStmt *each = loop_for(m, fn->fn, &fn->fn->body, "n", loop_int(m, 0),
                           loop_int(m, init->firsts->count), 1);
    init->number = loop_var(m, fn->fn, each->var);
    return &each->body;
}

static void fill_constants(Init *init) {
    Fn *fn = &init->fn;
    LoopModule *m = fn->lower->module;
    LBlock *out = each_param(init, RT_INIT_CONSTANT, "constants");
    LExpr *offset = field(init, out, "offset", LT_I64, FIELD_OFFSET);
    LExpr *count = field(init, out, "count", LT_I64, FIELD_COUNT);
    LExpr *value = field(init, out, "value", fn->lower->real, FIELD_A);
    LStmt *over = loop_for(m, fn->fn, out, "i", loop_int(m, 0), count, 1);
    store(init, &over->body, offset, loop_var(m, fn->fn, over->var), value);
}

/* A parameter whose numbers the source lists. */
static void fill_values(Init *init, const GraphParam *param, int64_t offset) {
    Fn *fn = &init->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int64_t count = shape_count(param->shape);
    double *numbers = ARENA_ARRAY(lower->arena, count + 1, double);
    for (int64_t i = 0; i < count; i++)
        numbers[i] = lower->real == LT_F64 ? param->values[i] : (float)param->values[i];
    int from = table(init, "values", lower->real, numbers, count);
    LStmt *over = loop_for(m, fn->fn, &fn->fn->body, "i", loop_int(m, 0), loop_int(m, count), 1);
    LExpr *i = loop_var(m, fn->fn, over->var);
    store(init, &over->body, loop_int(m, offset), i, loop_load(m, fn->fn, from, i, 1, false));
}

static void fill_draws(Init *init, RtInitKind kind) {
    Fn *fn = &init->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    bool uniform = kind == RT_INIT_UNIFORM;
    LExpr *key[2], *words[2], *value;
    LBlock *out = each_param(init, kind, uniform ? "uniform draws" : "normal draws");
    LExpr *offset = field(init, out, "offset", LT_I64, FIELD_OFFSET);
    LExpr *count = field(init, out, "count", LT_I64, FIELD_COUNT);
    LExpr *a = field(init, out, uniform ? "low" : "deviation", LT_F64, FIELD_A);
    LExpr *width = uniform ? field(init, out, "width", LT_F64, FIELD_WIDTH) : NULL;
    site_key(init, out, key);
    LStmt *over = loop_for(m, fn->fn, out, "i", loop_int(m, 0), count, 1);
    LExpr *i = loop_var(m, fn->fn, over->var);
    lower_draw_words(fn, &over->body, key, i, words);
    if (uniform) {
        value = lower_product(lower, lower_draw_uniform(fn, &over->body, words), width);
        value = lower_op(lower, SOP_ADD, a, lower_let(fn, &over->body, "part", value));
    } else {
        value = lower_op(lower, SOP_MUL, a, lower_draw_normal(fn, &over->body, words));
    }
    store(init, &over->body, offset, i, value);
}

/* --- orthogonal matrices --- */

static int lanes_of(const Init *init) {
    int lanes = init->fn.lower->module->target.lanes / 2;
    return lanes < 1 ? 1 : lanes > CHAINS ? CHAINS : lanes;
}

static LExpr *row_load(Init *init, LExpr *row, LExpr *k, int lanes) {
    LoopModule *m = init->fn.lower->module;
    return loop_load(m, init->fn.fn, init->rows, loop_add(m, row, k), lanes, lanes > 1);
}

/* The product of two rows: CHAINS sums, whatever the lanes. */
static LExpr *dot(Init *init, LBlock *out, LExpr *x, LExpr *y, LExpr *length) {
    Fn *fn = &init->fn;
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    int lanes = lanes_of(init), sums[CHAINS];
    LExpr *zero = loop_splat(m, loop_float(m, LT_F64, 0), lanes), *parts[CHAINS];
    for (int c = 0; c < CHAINS / lanes; c++) sums[c] = loop_mutable(m, fn->fn, out, "sum", zero);
    LStmt *over = loop_for(m, fn->fn, out, "k", loop_int(m, 0), length, CHAINS);
    LExpr *k = loop_var(m, fn->fn, over->var);
    for (int c = 0; c < CHAINS / lanes; c++) {
        LExpr *at = loop_add(m, k, loop_int(m, c * lanes));
        LExpr *sum = loop_op(m, SOP_FMA, row_load(init, x, at, lanes), row_load(init, y, at, lanes),
                             loop_var(m, fn->fn, sums[c]));
        loop_set(m, &over->body, sums[c], sum);
    }
    for (int c = 0; c < CHAINS; c++) {
        LExpr *sum = loop_var(m, fn->fn, sums[c / lanes]);
        parts[c] = lanes > 1 ? loop_lane(m, sum, c % lanes) : sum;
    }
    LExpr *low = lower_op(lower, SOP_ADD, parts[0], parts[1]);
    return lower_let(fn, out, "dot",
                     lower_op(lower, SOP_ADD, low, lower_op(lower, SOP_ADD, parts[2], parts[3])));
}

/* row := row / divisor + other * times, either of which may be NULL. */
static void combine(Init *init, LBlock *out, LExpr *row, LExpr *length, LExpr *divisor,
                    LExpr *other, LExpr *times) {
    Fn *fn = &init->fn;
    LoopModule *m = fn->lower->module;
    int lanes = lanes_of(init);
    LStmt *over = loop_for(m, fn->fn, out, "k", loop_int(m, 0), length, lanes);
    LExpr *k = loop_var(m, fn->fn, over->var), *value = row_load(init, row, k, lanes);
    if (divisor) value = lower_op(fn->lower, SOP_DIV, value, loop_splat(m, divisor, lanes));
    if (other)
        value = loop_op(m, SOP_FMA, loop_splat(m, times, lanes), row_load(init, other, k, lanes),
                        value);
    loop_store(m, &over->body, init->rows, loop_add(m, row, k), value, lanes > 1);
}

/* Takes from row `i` what lies along those before it, and makes it of length 1; again while that
 * takes much of it away. */
static void orthonormalise(Init *init, LBlock *out, LExpr *i, LExpr *row, LExpr *length) {
    Fn *fn = &init->fn;
    LoopModule *m = fn->lower->module;
    int after = loop_mutable(m, fn->fn, out, "square", dot(init, out, row, row, length));
    LExpr *now = loop_var(m, fn->fn, after);
    LStmt *again = loop_for(m, fn->fn, out, "turn", loop_int(m, 0), loop_int(m, 1 << 12), 1);
    int kept = loop_mutable(m, fn->fn, &again->body, "before", now);
    LExpr *before = loop_var(m, fn->fn, kept);
    LStmt *over = loop_for(m, fn->fn, &again->body, "j", loop_int(m, 0), i, 1);
    LExpr *other = loop_mul(m, loop_var(m, fn->fn, over->var), length);
    other = lower_let(fn, &over->body, "other", other);
    LExpr *along = dot(init, &over->body, row, other, length);
    along = lower_let(fn, &over->body, "along", loop_op(m, SOP_NEG, along, NULL, NULL));
    combine(init, &over->body, row, length, NULL, other, along);
    loop_set(m, &again->body, after, dot(init, &again->body, row, row, length));
    LExpr *most = lower_op(fn->lower, SOP_MUL, before, loop_float(m, LT_F64, 0.5));
    LStmt *enough = loop_if(m, &again->body, lower_op(fn->lower, SOP_LT, now, most));
    loop_break(m, &enough->otherwise);
    LStmt *good = loop_if(m, out, lower_op(fn->lower, SOP_GT, now, loop_float(m, LT_F64, 0)));
    loop_return(m, &good->otherwise, loop_int_of(m, LT_I32, LOOP_BAD_VALUE));
    LExpr *norm = lower_let(fn, out, "norm", loop_op(m, SOP_SQRT, now, NULL, NULL));
    combine(init, out, row, length, norm, NULL, NULL);
}

/* Over the numbers of row `i`: the place of each in the parameter. */
static LStmt *along_row(Init *init, LBlock *out, LExpr *i, LExpr *const strides[2], LExpr *length,
                        LExpr **at) {
    Fn *fn = &init->fn;
    LoopModule *m = fn->lower->module;
    LStmt *over = loop_for(m, fn->fn, out, "k", loop_int(m, 0), length, 1);
    LExpr *k = loop_var(m, fn->fn, over->var);
    *at = loop_add(m, loop_mul(m, i, strides[0]), loop_mul(m, k, strides[1]));
    *at = lower_let(fn, &over->body, "at", *at);
    return over;
}

static void fill_orthogonal(Init *init) {
    Fn *fn = &init->fn;
    LoopModule *m = fn->lower->module;
    LExpr *key[2], *words[2], *at, *zero = loop_int(m, 0);
    LBlock *out = each_param(init, RT_INIT_ORTHOGONAL,
                             "orthogonal matrices: normal draws, each row made orthogonal to those "
                             "before it");
    LExpr *offset = field(init, out, "offset", LT_I64, FIELD_OFFSET);
    LExpr *count = field(init, out, "rows", LT_I64, FIELD_ROWS);
    LExpr *length = field(init, out, "length", LT_I64, FIELD_LENGTH);
    LExpr *stride = loop_add(m, length, loop_int(m, CHAINS - 1));
    stride = loop_op(m, SOP_DIV, stride, loop_int(m, CHAINS), NULL);
    stride = lower_let(fn, out, "stride", loop_mul(m, stride, loop_int(m, CHAINS)));
    LExpr *strides[] = {field(init, out, "down", LT_I64, FIELD_ALONG_ROWS),
                        field(init, out, "along", LT_I64, FIELD_ALONG_ROW)};
    site_key(init, out, key);
    LStmt *each = loop_for(m, fn->fn, out, "i", zero, count, 1);
    LExpr *i = loop_var(m, fn->fn, each->var);
    LExpr *row = lower_let(fn, &each->body, "row", loop_mul(m, i, stride));
    LStmt *over = along_row(init, &each->body, i, strides, length, &at);
    lower_draw_words(fn, &over->body, key, at, words);
    LExpr *to = loop_add(m, row, loop_var(m, fn->fn, over->var));
    loop_store(m, &over->body, init->rows, to, lower_draw_normal(fn, &over->body, words), false);
    LStmt *rest = loop_for(m, fn->fn, &each->body, "k", length, stride, 1);
    to = loop_add(m, row, loop_var(m, fn->fn, rest->var));
    loop_store(m, &rest->body, init->rows, to, loop_float(m, LT_F64, 0), false);
    orthonormalise(init, &each->body, i, row, stride);
    over = along_row(init, &each->body, i, strides, length, &at);
    LExpr *k = loop_var(m, fn->fn, over->var);
    store(init, &over->body, offset, at, row_load(init, row, k, 1));
}

/* --- the function --- */

/* Bytes of the largest matrix. */
static Size place_rows(Init *init, int work_arg) {
    Lower *lower = init->fn.lower;
    const Firsts *matrices = &init->kinds[RT_INIT_ORTHOGONAL];
    int64_t most = 0;
    for (int i = 0; i < matrices->count; i++) {
        int64_t count = matrices->at[i].rows * padded(matrices->at[i].length);
        most = count > most ? count : most;
    }
    init->rows = loop_buffer(lower->module, init->fn.fn,
                             (LBuffer){.name = name_of(lower->names, "rows"),
                                       .type = LT_F64,
                                       .base = LB_ARG,
                                       .arg = work_arg,
                                       .offset = loop_int(lower->module, 0),
                                       .align = 64,
                                       .written = true,
                                       .count = loop_int(lower->module, most)});
    return size_constant(most * (int64_t)sizeof(double));
}

static void make_size(Lower *lower, Size work) {
    Fn size = lower_function(lower, "init_params_work_bytes", LT_I64,
                             "Bytes of workspace that init_params needs.", false);
    lower_describe_size(&size, work);
    loop_return(lower->module, &size.fn->body, size_expr(&size, work));
    lower->interface_->init_work = lower_finish(&size);
}

void lower_init(Lower *lower) {
    const Graph *graph = lower->interface_->graph;
    LoopModule *m = lower->module;
    if (lower->interface_->param_count == 0) return;
    Init init = {.fn = lower_function(
                     lower, "init_params", LT_I32,
                     "Gives the parameters their first values: constants, and draws that depend on "
                     "seed, name and\nindex alone. Pack them after it.",
                     false),
                 .rows = -1};
    for (int i = 0; i < graph->params.count; i++)
        if (!graph->params.at[i].values)
            collect(&init, &graph->params.at[i], lower->interface_->param_offsets.at[i]);
    bool matrices = init.kinds[RT_INIT_ORTHOGONAL].count > 0;
    init.params = lower_params_buffer(&init.fn);
    lower_arg(&init.fn, ROLE_SEED, 0);
    Size work = size_constant(0);
    if (matrices) {
        int work_arg = lower_arg(&init.fn, ROLE_WORK, 0);
        int bytes_arg = lower_arg(&init.fn, ROLE_WORK_BYTES, 0);
        work = place_rows(&init, work_arg);
        lower_work_check(&init.fn, &init.fn.fn->body, bytes_arg, work);
    }
    if (init.kinds[RT_INIT_CONSTANT].count > 0) fill_constants(&init);
    for (int i = 0; i < graph->params.count; i++)
        if (graph->params.at[i].values)
            fill_values(&init, &graph->params.at[i], lower->interface_->param_offsets.at[i]);
    if (init.kinds[RT_INIT_UNIFORM].count > 0) fill_draws(&init, RT_INIT_UNIFORM);
    if (init.kinds[RT_INIT_NORMAL].count > 0) fill_draws(&init, RT_INIT_NORMAL);
    if (matrices) fill_orthogonal(&init);
    loop_return(m, &init.fn.fn->body, loop_int_of(m, LT_I32, LOOP_OK));
    lower->interface_->init = lower_finish(&init.fn);
    if (matrices) make_size(lower, work);
}
