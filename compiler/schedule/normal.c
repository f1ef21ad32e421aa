/* The normal form: values from the nodes of a Graph. It decides bits, so it always runs.
 *
 * N1  +, - and unary minus become one n-ary sum; a sum with one reader merges into it; a product of
 * two values whose only reader is a sum belongs to that sum as a pair, to be printed as its fma. N2
 * M @ concat(a, b) is a sum of products with column ranges of M; a row range of a product is a
 * product with a row range: one stacked matrix and several single ones give the same loops. */
#include "schedule/schedule.h"

#include <math.h>

Value *schedule_value(Schedule *schedule, ValueKind kind, Op op, Type type) {
    Value *value = ARENA_NEW(schedule->arena, Value);
    value->id = schedule->values.count;
    value->kind = kind;
    value->op = op;
    value->type = type;
    value->count = shape_count(type.shape);
    value->live = true;
    value->block = value->stage = value->family = value->nest = value->acc = -1;
    vec_push(schedule->arena, &schedule->values, value);
    return value;
}

static bool same_domain(const Value *a, const Value *b) {
    if (a->domain_count != b->domain_count) return false;
    for (int i = 0; i < a->domain_count; i++)
        if (a->domain[i] != b->domain[i]) return false;
    return true;
}

/* --- uses --- */

static bool own_position(const Graph *graph, const Node *read) {
    const Node *source = graph->nodes.at[read->in[0]];
    for (int d = 0; d < source->domain_count; d++) {
        const At *at = &read->attr.at[d];
        if (at->kind != AT_INDEX || at->index != source->domain[d] || at->offset) return false;
    }
    return true;
}

/* Follows copies: what a use of `value` at `access` really reads. A variable that a state carries
 * keeps its name: a copy of something that has another name stays. What works on rows (`rows`)
 * needs the shape of its operand, which a reshape gives; all others read element by element. */
static Use resolve(const Schedule *schedule, Use use, bool rows) {
    for (;;) {
        bool carried = use.access >= 0 && schedule->accesses.at[use.access].carry;
        const Value *value = schedule->values.at[use.value];
        if (value->kind != VALUE_POINT || value->op != OP_VAR) return use;
        Use inner = value->uses.at[0];
        const Value *source = schedule->values.at[inner.value];
        if (carried && source->name != value->name) return use;
        if (rows && !shape_equal(value->type.shape, source->type.shape)) return use;
        if (use.access < 0 && inner.access >= 0)
            use = inner;
        else if (inner.access < 0 && same_domain(value, source) && inner.value != use.value)
            use.value = inner.value;
        else
            return use;
    }
}

/* What computes a carried variable takes its name, unless it has one already. */
static void name_carried(Schedule *schedule) {
    const Graph *graph = schedule->graph;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (node->op != OP_READ || !node->attr.carry) continue;
        Value *value = schedule->values.at[node->in[0]];
        while (value->kind == VALUE_POINT && value->op == OP_VAR && value->uses.at[0].access < 0) {
            Value *source = schedule->values.at[value->uses.at[0].value];
            bool leaf = source->kind == VALUE_INPUT || source->kind == VALUE_PARAM ||
                        source->kind == VALUE_CONST || source->kind == VALUE_LEAF;
            if (leaf || source->name || !same_domain(value, source)) break;
            source->name = value->name;
            value = source;
        }
    }
}

static int add_access(Schedule *schedule, const Node *read) {
    const Node *source = schedule->graph->nodes.at[read->in[0]];
    Access access = {.at_count = source->domain_count,
                     .boundary = read->in_count > 1 ? read->in[1] : -1,
                     .carry = read->attr.carry};
    for (int d = 0; d < source->domain_count; d++) access.at[d] = read->attr.at[d];
    vec_push(schedule->arena, &schedule->accesses, access);
    return schedule->accesses.count - 1;
}

/* --- nodes to values --- */

static void fill(Schedule *schedule, Value *value, const Node *node, ValueKind kind) {
    value->kind = kind;
    for (int i = 0; i < node->in_count; i++)
        if (node->in[i] >= 0) vec_push(schedule->arena, &value->uses, (Use){node->in[i], -1});
}

static void add_term(Schedule *schedule, Value *sum, int sign, int operand) {
    vec_push(schedule->arena, &sum->terms, (Term){.sign = sign, .a = {operand, -1}});
}

static bool make_product(Schedule *schedule, Value *value, const Node *node) {
    const Graph *graph = schedule->graph;
    View view;
    const Node *a = graph->nodes.at[node->in[0]], *b = graph->nodes.at[node->in[1]];
    int operand;
    if (b->type.shape.rank == 1 && normal_view(graph, a->id, &view)) {
        operand = b->id;
    } else if (a->type.shape.rank == 1 && normal_view(graph, b->id, &view)) {
        int64_t d = view.dim[0], s = view.stride[0];
        view.dim[0] = view.dim[1];
        view.stride[0] = view.stride[1];
        view.dim[1] = d;
        view.stride[1] = s;
        operand = a->id;
    } else {
        return false;
    }
    View ignored;
    if (normal_view(graph, operand, &ignored) && graph->nodes.at[operand]->op != OP_PARAM)
        return false;
    value->kind = VALUE_PRODUCT;
    value->view = view;
    vec_push(schedule->arena, &value->uses, (Use){operand, -1});
    return true;
}

/* The vector that a matrix repeats, as its column (dim 0) or its row (dim 1); -1. */
static int repeated(const Graph *graph, int id, int dim) {
    const Node *whole = graph->nodes.at[id];
    if (whole->op != OP_BROADCAST || whole->type.shape.rank != 2) return -1;
    const Node *kept = graph->nodes.at[whole->in[0]];
    if (kept->op != OP_RESHAPE || kept->type.shape.rank != 2) return -1;
    if (kept->type.shape.dim[1 - dim] != 1 || whole->type.shape.dim[1 - dim] == 1) return -1;
    return graph->nodes.at[kept->in[0]]->type.shape.rank == 1 ? kept->in[0] : -1;
}

/* A sum over time of outer products reads the two vectors: the gradient of a matrix, and a memory
 * of keys and values. No product is stored for each position. */
static bool sum_of_outer(Schedule *schedule, Value *value, const Node *node) {
    const Graph *graph = schedule->graph;
    const Node *product = graph->nodes.at[node->in[0]];
    if (product->op != OP_MUL || product->type.shape.rank != 2) return false;
    for (int k = 0; k < 2; k++) {
        int column = repeated(graph, product->in[k], 0),
            row = repeated(graph, product->in[1 - k], 1);
        if (column < 0 || row < 0) continue;
        value->kind = VALUE_ROW;
        vec_push(schedule->arena, &value->uses, (Use){column, -1});
        vec_push(schedule->arena, &value->uses, (Use){row, -1});
        return true;
    }
    return false;
}

/* What reads through pointers works on a row, so that nobody else has to compute addresses: uses
 * are the source and the pointers, of which an access names each by its place among the uses. */
static bool read_through(Schedule *schedule, Value *value, const Node *node, int access) {
    bool pointers = false;
    for (int d = 0; access >= 0 && d < node->attr.at_count; d++) {
        At *at = &schedule->accesses.at[access].at[d];
        if (at->kind != AT_POINTER) continue;
        at->operand--; /* there is no use of the boundary */
        pointers = true;
    }
    if (!pointers) return false;
    value->kind = VALUE_ROW;
    vec_push(schedule->arena, &value->uses, (Use){node->in[0], access});
    for (int i = 2; i < node->in_count; i++)
        vec_push(schedule->arena, &value->uses, (Use){node->in[i], -1});
    return true;
}

static bool make_value(Schedule *schedule, Value *value, const Node *node, Diags *diags) {
    const Graph *graph = schedule->graph;
    bool is_float = node->type.dtype == DT_FLOAT;
    View view;
    if (node->op != OP_VAR && normal_view(graph, node->id, &view)) {
        value->kind = VALUE_PARAM;
        value->view = view;
        return true;
    }
    switch (node->op) {
    case OP_INPUT:
        value->kind = VALUE_INPUT;
        value->slot = node->attr.slot;
        return true;
    case OP_CONST:
        value->kind = VALUE_CONST;
        value->number = isnan(node->attr.number) ? NAN : node->attr.number; /* one is all */
        return true;
    case OP_PARAM:
    case OP_GIVEN:
    case OP_IOTA:
    case OP_INDEX:
    case OP_LENGTH: value->kind = VALUE_LEAF; return true;
    case OP_READ: {
        int access = own_position(graph, node) ? -1 : add_access(schedule, node);
        if (read_through(schedule, value, node, access)) return true;
        value->kind = VALUE_POINT;
        value->op = OP_VAR;
        vec_push(schedule->arena, &value->uses, (Use){node->in[0], access});
        return true;
    }
    case OP_VAR:
    case OP_DETACH:
    case OP_RESHAPE:
        fill(schedule, value, node, VALUE_POINT);
        value->op = OP_VAR;
        return true;
    case OP_ADD:
    case OP_SUB:
        if (!is_float) break;
        value->kind = VALUE_SUM;
        add_term(schedule, value, 1, node->in[0]);
        add_term(schedule, value, node->op == OP_ADD ? 1 : -1, node->in[1]);
        return true;
    case OP_NEG:
        if (!is_float) break;
        value->kind = VALUE_SUM;
        add_term(schedule, value, -1, node->in[0]);
        return true;
    case OP_MATMUL:
        if (!make_product(schedule, value, node)) fill(schedule, value, node, VALUE_ROW);
        return true;
    case OP_TSUM:
        if (!is_float || !sum_of_outer(schedule, value, node))
            fill(schedule, value, node, VALUE_ROW);
        return true;
    case OP_TMAX:
    case OP_TARGMAX:
    case OP_TCONCAT:
    case OP_TRANSPOSE:
    case OP_BROADCAST:
    case OP_CONCAT:
    case OP_SLICE:
    case OP_GATHER:
    case OP_ARGMAX:
    case OP_SUM:
    case OP_RMAX:
    case OP_RMIN:
    case OP_BSUM:
    case OP_ONEHOT:
    case OP_DRAW: fill(schedule, value, node, VALUE_ROW); return true;
    case OP_CONV:
    case OP_MAXPOOL:
    case OP_AVGPOOL:
    case OP_CTC:
    case OP_TMEAN:
    case OP_TLOGSUMEXP:
    case OP_TSOFTMAX:
    case OP_GELU:
    case OP_SILU:
    case OP_SOFTSIGN:
    case OP_HARD_SIGMOID:
    case OP_HARD_TANH:
    case OP_RSQRT:
    case OP_LEAKY_RELU:
    case OP_ELU:
    case OP_DOT:
    case OP_OUTER:
    case OP_SOFTMAX:
    case OP_LOG_SOFTMAX:
    case OP_LOGSUMEXP:
    case OP_LAYERNORM:
    case OP_MEAN:
    case OP_XENT:
    case OP_NLL:
    case OP_MSE:
    case OP_BCE:
    case OP_SQUARE:
        diag_error(diags, "internal", node->span, "%s was not expanded before scheduling",
                   op_info[node->op].text);
        return false;
    case OP_HOLD:
    case OP_FLOAT:
    case OP_NOT:
    case OP_SIGMOID:
    case OP_TANH:
    case OP_RELU:
    case OP_SOFTPLUS:
    case OP_EXP:
    case OP_LOG:
    case OP_SQRT:
    case OP_ABS:
    case OP_SIGN:
    case OP_FLOOR:
    case OP_ERF:
    case OP_SIN:
    case OP_COS:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
    case OP_POW:
    case OP_MIN:
    case OP_MAX:
    case OP_LOGADDEXP:
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_EQ:
    case OP_NE:
    case OP_AND:
    case OP_OR:
    case OP_SELECT:
    case OP_CLIP: break;
    case OP_COUNT: return false;
    }
    fill(schedule, value, node, VALUE_POINT);
    for (int i = 0; i < node->in_count; i++) {
        int64_t n = shape_count(graph->nodes.at[node->in[i]]->type.shape);
        if (n != 1 && n != value->count) {
            diag_error(diags, "internal", node->span,
                       "a broadcast was not made explicit before scheduling");
            return false;
        }
    }
    return true;
}

/* --- N1, N2 --- */

static void resolve_all(Schedule *schedule) {
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        for (int j = 0; j < value->uses.count; j++)
            value->uses.at[j] = resolve(schedule, value->uses.at[j], value->kind == VALUE_ROW);
        for (int j = 0; j < value->terms.count; j++) {
            value->terms.at[j].a = resolve(schedule, value->terms.at[j].a, false);
            if (value->terms.at[j].pair)
                value->terms.at[j].b = resolve(schedule, value->terms.at[j].b, false);
        }
    }
    for (int i = 0; i < schedule->accesses.count; i++) {
        Access *access = &schedule->accesses.at[i];
        if (access->boundary < 0) continue;
        Use use = resolve(schedule, (Use){access->boundary, -1}, false);
        if (use.access < 0) access->boundary = use.value;
    }
    for (int i = 0; i < schedule->outputs.count; i++) {
        Use use = resolve(schedule, (Use){schedule->outputs.at[i], -1}, false);
        const Value *from = schedule->values.at[schedule->outputs.at[i]];
        if (use.access < 0 && same_domain(from, schedule->values.at[use.value]))
            schedule->outputs.at[i] = use.value;
    }
    for (int i = 0; i < schedule->stops.count; i++) {
        Use use = resolve(schedule, (Use){schedule->stops.at[i], -1}, false);
        if (use.access < 0) schedule->stops.at[i] = use.value;
    }
}

/* Splits M @ concat(a, b, …) into a sum of products with column ranges. */
static void split_concat(Schedule *schedule, Value *value) {
    if (value->kind != VALUE_PRODUCT || value->uses.at[0].access >= 0) return;
    const Value *operand = schedule->values.at[value->uses.at[0].value];
    if (operand->kind != VALUE_ROW || operand->op != OP_CONCAT || operand->type.shape.rank != 1)
        return;
    View view = value->view;
    value->kind = VALUE_SUM;
    value->uses.count = 0;
    int64_t column = 0;
    for (int i = 0; i < operand->uses.count; i++) {
        Use part = operand->uses.at[i];
        int64_t n = schedule->values.at[part.value]->count;
        Value *product = schedule_value(schedule, VALUE_PRODUCT, OP_MATMUL, value->type);
        product->domain_count = value->domain_count;
        memcpy(product->domain, value->domain, sizeof value->domain);
        product->batched = value->batched;
        product->span = value->span;
        product->view = view;
        product->view.offset += column * view.stride[1];
        product->view.dim[1] = n;
        vec_push(schedule->arena, &product->uses, part);
        vec_push(schedule->arena, &value->terms, (Term){.sign = 1, .a = {product->id, -1}});
        column += n;
    }
}

/* A contiguous range of rows of `from` as a value of its own, or -1 when that needs a copy. */
static int row_range(Schedule *schedule, int from, int64_t row, int64_t rows, Type type) {
    Value *source = schedule->values.at[from];
    if (source->type.shape.rank != 1) return -1;
    if (source->kind == VALUE_PRODUCT || source->kind == VALUE_PARAM) {
        Value *part = schedule_value(schedule, source->kind, source->op, type);
        part->domain_count = source->domain_count;
        memcpy(part->domain, source->domain, sizeof source->domain);
        part->batched = source->batched;
        part->span = source->span;
        part->view = source->view;
        part->view.offset += row * source->view.stride[0];
        part->view.dim[0] = rows;
        for (int i = 0; i < source->uses.count; i++)
            vec_push(schedule->arena, &part->uses, source->uses.at[i]);
        return part->id;
    }
    if (source->kind == VALUE_SUM) {
        for (int i = 0; i < source->terms.count; i++) {
            const Term *term = &source->terms.at[i];
            const Value *a = schedule->values.at[term->a.value];
            if (term->pair || term->a.access >= 0) return -1;
            if (a->kind != VALUE_PRODUCT && a->kind != VALUE_PARAM && a->kind != VALUE_SUM &&
                a->count != 1)
                return -1;
            if (a->kind == VALUE_SUM && a->count != 1)
                return -1; /* merged sums only: N1 ran before */
        }
        Value *sum = schedule_value(schedule, VALUE_SUM, OP_ADD, type);
        sum->domain_count = source->domain_count;
        memcpy(sum->domain, source->domain, sizeof source->domain);
        sum->batched = source->batched;
        sum->span = source->span;
        for (int i = 0; i < source->terms.count; i++) {
            Term term = source->terms.at[i];
            if (schedule->values.at[term.a.value]->count != 1)
                term.a.value = row_range(schedule, term.a.value, row, rows, type);
            vec_push(schedule->arena, &sum->terms, term);
        }
        return sum->id;
    }
    return -1;
}

static void push_slice(Schedule *schedule, Value *value) {
    if (value->kind != VALUE_ROW || value->op != OP_SLICE || value->type.shape.rank > 1) return;
    Use use = value->uses.at[0];
    if (use.access >= 0 || schedule->values.at[use.value]->type.shape.rank != 1) return;
    int part = row_range(schedule, use.value, value->attr->dims[0], value->count, value->type);
    if (part < 0) return;
    value->kind = VALUE_POINT;
    value->op = OP_VAR;
    value->uses.at[0] = (Use){part, -1};
}

static bool has_product(const Schedule *schedule, const Value *sum) {
    for (int i = 0; i < sum->terms.count; i++)
        if (schedule->values.at[sum->terms.at[i].a.value]->kind == VALUE_PRODUCT) return true;
    return false;
}

/* Whether a sum is an elementwise product, negated say, and nothing else. */
static bool is_product(const Schedule *schedule, const Value *sum) {
    const Term *term = &sum->terms.at[0];
    if (sum->terms.count != 1) return false;
    if (term->pair) return true;
    const Value *inner = schedule->values.at[term->a.value];
    return term->a.access < 0 && inner->kind == VALUE_POINT && inner->op == OP_MUL &&
           inner->count == sum->count && same_domain(inner, sum);
}

/* Merges sums into the sums that read them, and products of two values into pairs, also those that
 * are the same for all sequences: whether they are depends on `reverse`, where positions count from
 * the end of each, and must decide no bits. (Sums with products of matrices that no sequence and no
 * position changes are left alone: they are worth being computed once.) What is merged may be as
 * deep as the program is long, so what is still to be looked at waits on a stack. */
void normal_merge(Schedule *schedule, Value *sum) {
    if (sum->kind != VALUE_SUM) return;
    Arena *arena = schedule->arena;
    VEC(Term) terms = {0}, open = {0};
    for (int i = sum->terms.count - 1; i >= 0; i--) vec_push(arena, &open, sum->terms.at[i]);
    while (open.count > 0) {
        Term term = open.at[--open.count];
        Value *inner = schedule->values.at[term.a.value];
        bool same = !term.pair && term.a.access < 0 && inner->count == sum->count &&
                    same_domain(inner, sum) && inner != sum;
        if (same && inner->kind == VALUE_SUM &&
            (is_product(schedule, inner) ||
             (inner->readers == 1 &&
              (inner->batched == sum->batched || !has_product(schedule, inner))))) {
            for (int j = inner->terms.count - 1; j >= 0; j--) {
                Term t = inner->terms.at[j];
                t.sign *= term.sign;
                vec_push(arena, &open, t);
            }
            if (inner->readers > 1) continue; /* whoever else reads a product computes it, too */
            inner->live = false;
            inner->readers = 0;
        } else if (same && inner->kind == VALUE_POINT && inner->op == OP_MUL) {
            /* A sum never takes a rounded product. */
            vec_push(arena, &terms,
                     (Term){.sign = term.sign,
                            .a = inner->uses.at[0],
                            .b = inner->uses.at[1],
                            .pair = true});
        } else {
            vec_push(arena, &terms, term);
        }
    }
    sum->terms.at = terms.at;
    sum->terms.count = terms.count;
    sum->terms.room = terms.room;
}

/* The sum over the batch of a sum over time that nothing else reads is one sum. */
static void sum_batches(Schedule *schedule) {
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        if (value->kind != VALUE_ROW || value->op != OP_BSUM || !value->live) continue;
        Value *inner = schedule->values.at[value->uses.at[0].value];
        if (inner->kind != VALUE_ROW || inner->op != OP_TSUM || inner->readers != 1) continue;
        inner->over_batch = true;
        inner->batched = false;
        value->kind = VALUE_POINT;
        value->op = OP_VAR;
    }
}

bool normal_values(Schedule *schedule, Diags *diags) {
    const Graph *graph = schedule->graph;
    int n = graph->nodes.count;
    bool *batched = ARENA_ARRAY(schedule->arena, n, bool);
    graph_batched(graph, batched);
    for (int i = 0; i < n; i++) {
        const Node *node = graph->nodes.at[i];
        Value *value = schedule_value(schedule, VALUE_LEAF, node->op, node->type);
        value->domain_count = node->domain_count;
        memcpy(value->domain, node->domain, sizeof value->domain);
        value->batched = batched[i];
        value->attr = &node->attr;
        value->name = node->name;
        value->span = node->span;
    }
    for (int i = 0; i < graph->outputs.count; i++)
        vec_push(schedule->arena, &schedule->outputs, graph->outputs.at[i].node);
    for (int i = 0; i < graph->stops.count; i++)
        vec_push(schedule->arena, &schedule->stops, graph->stops.at[i].node);
    bool good = true;
    for (int i = 0; i < n; i++)
        good &= make_value(schedule, schedule->values.at[i], graph->nodes.at[i], diags);
    if (!good) return false;

    name_carried(schedule);
    resolve_all(schedule);
    /* Whether a product over time is the same for all sequences depends on `reverse`, and decides
     * where it is rounded: it is each sequence's own. */
    for (int i = 0; i < n; i++) {
        Value *value = schedule->values.at[i];
        if (value->kind == VALUE_PRODUCT && value->domain_count > 0) value->batched = true;
    }
    schedule_liveness(schedule);
    sum_batches(schedule);
    resolve_all(schedule);
    normal_sequences(schedule);
    schedule_liveness(schedule);
    /* Readers stand behind what they read: so each chain is taken at once. */
    for (int i = n - 1; i >= 0; i--)
        if (schedule->values.at[i]->live) normal_merge(schedule, schedule->values.at[i]);
    bool split = !schedule->choices.off[CHOICE_concat];
    for (int i = 0; split && i < schedule->values.count; i++)
        split_concat(schedule, schedule->values.at[i]);
    for (int i = 0; split && i < n; i++) push_slice(schedule, schedule->values.at[i]);
    resolve_all(schedule);
    schedule_liveness(schedule);
    for (int i = schedule->values.count - 1; i >= 0; i--)
        normal_merge(schedule, schedule->values.at[i]);
    /* Names of variables move to what computes them. */
    for (int i = 0; i < n; i++) {
        Value *value = schedule->values.at[i];
        if (value->kind != VALUE_POINT || value->op != OP_VAR || !value->name) continue;
        Use use = resolve(schedule, (Use){i, -1}, false);
        Value *source = schedule->values.at[use.value];
        if (use.access < 0 && !source->name) source->name = value->name;
    }
    for (int i = 0; i < schedule->values.count; i++) {
        Value *value = schedule->values.at[i];
        if (value->kind == VALUE_PARAM && !value->name)
            value->name = graph->params.at[value->view.param].name;
    }
    schedule_liveness(schedule);
    normal_boundaries(schedule);
    schedule_liveness(schedule);
    return true;
}
