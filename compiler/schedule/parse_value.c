/* The line of a value in the text of a Schedule, and the uses that other lines share with it. */
#include "schedule/parse.h"

#include <ctype.h>
#include <string.h>

enum { MOST_VALUES = 1 << 22 };

static Span span_from(const ParseSchedule *p, uint32_t begin) {
    return (Span){p->r.source, begin, p->r.last, NULL};
}

/* Digits with nothing else: their number; -1. */
static int digits(const char *text) {
    int number = 0;
    if (!*text) return -1;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text)) return -1;
        number = number * 10 + (*text - '0');
        if (number >= MOST_VALUES) return -1;
    }
    return number;
}

int parse_value_name(ParseSchedule *p, Name *defined) {
    Reader *r = &p->r;
    bool quoted = reader_peek(r) == '"';
    uint32_t begin = r->at;
    Name word = reader_name(r), name = NULL;
    int id = -1;
    if (!word) return -1;
    if (quoted) {
        name = word;
        reader_expect(r, '.');
        id = reader_small(r);
        if (id >= MOST_VALUES) id = -1;
    } else {
        const char *dot = strrchr(word, '.');
        if (dot && dot != word) name = name_of_length(r->names, word, (size_t)(dot - word));
        if (dot)
            id = digits(dot + 1);
        else if (*word == 'v' || *word == 'c')
            id = digits(word + 1);
    }
    if (id < 0) {
        r->at = begin;
        reader_fail(r, "expected a value, such as v7 or f.h.7");
        return -1;
    }
    if (r->failed) return -1;
    if (defined)
        *defined = name;
    else
        vec_push(r->arena, &p->mentions, (Mention){id, -1, name, span_from(p, begin)});
    return id;
}

static int64_t offset(Reader *r) {
    char c = reader_peek(r);
    return c == '+' || c == '-' ? reader_int(r) : 0;
}

static At parse_at(Reader *r) {
    At at = {.kind = AT_INDEX};
    if (reader_accept_word(r, "first")) {
        at.kind = AT_FIRST;
    } else if (reader_accept_word(r, "last")) {
        at.kind = AT_LAST;
    } else if (reader_accept(r, '@')) {
        at.kind = AT_POINTER;
        at.operand = reader_small(r);
    } else if (isdigit((unsigned char)reader_peek(r))) {
        at.kind = AT_SCALE;
        at.factor = reader_int(r);
        reader_expect(r, '*');
        at.index = reader_index(r);
    } else {
        at.index = reader_index(r);
        if (!r->failed && reader_accept(r, '/')) {
            at.kind = AT_DIV;
            at.factor = reader_int(r);
        }
    }
    if (!r->failed && (at.kind == AT_SCALE || at.kind == AT_DIV) && at.factor < 1)
        reader_fail(r, "factor below 1");
    if (!r->failed) at.offset = offset(r);
    if (at.offset > INT32_MAX || at.offset < -INT32_MAX) reader_fail(r, "offset too large");
    return at;
}

Use parse_use(ParseSchedule *p) {
    Reader *r = &p->r;
    reader_peek(r);
    uint32_t begin = r->at;
    Use use = {parse_value_name(p, NULL), -1};
    if (r->failed || !reader_accept(r, '[')) return use;
    int mention = p->mentions.count - 1;
    Access access = {.boundary = -1};
    bool bare = reader_accept(r, ']');
    if (!bare && !reader_accept_word(r, "else")) {
        do {
            if (access.at_count == MAX_DOMAIN) reader_fail(r, "too many positions");
            if (r->failed) return use;
            access.at[access.at_count++] = parse_at(r);
        } while (!r->failed && reader_accept(r, ','));
        if (!r->failed && reader_accept_word(r, "else"))
            access.boundary = parse_value_name(p, NULL);
    } else if (!bare) {
        access.boundary = parse_value_name(p, NULL);
    }
    if (!bare) {
        if (reader_accept_word(r, "carry")) access.carry = reader_carry(r);
        reader_expect(r, ']');
    }
    if (r->failed) return use;
    use.access = p->schedule->accesses.count;
    vec_push(r->arena, &p->schedule->accesses, access);
    p->mentions.at[mention].access = use.access;
    p->mentions.at[mention].span = span_from(p, begin);
    return use;
}

/* --- right-hand sides --- */

static int named(Reader *r, const char *what, Name name, Name (*get)(const Graph *, int),
                 int count) {
    for (int i = 0; i < count; i++)
        if (get(r->graph, i) == name) return i;
    if (!r->failed)
        diag_error(r->diags, "E-SYNTAX", reader_spot(r, r->last - 1), "there is no %s '%s'", what,
                   name ? name : "");
    r->failed = true;
    return 0;
}

static Name input_name(const Graph *graph, int i) {
    return graph->inputs.at[i].name;
}

static Name param_name(const Graph *graph, int i) {
    return graph->params.at[i].name;
}

static View parse_view(Reader *r) {
    View view = {0};
    Name name = reader_name(r);
    if (r->failed) return view;
    view.param = named(r, "parameter", name, param_name, r->graph->params.count);
    if (!r->failed) view.offset = offset(r);
    reader_expect(r, '(');
    if (r->failed || reader_accept(r, ')')) return view;
    do {
        if (view.rank == MAX_RANK) reader_fail(r, "too many dimensions");
        int64_t dim = reader_int(r);
        reader_expect(r, ':');
        int64_t stride = reader_int(r);
        if (r->failed) return view;
        view.dim[view.rank] = dim;
        view.stride[view.rank++] = stride;
    } while (reader_accept(r, ','));
    reader_expect(r, ')');
    return view;
}

/* At `->`, or at the end of the line: nothing more on the right-hand side. */
static bool side_ends(Reader *r) {
    if (reader_at_end(r)) return true;
    return reader_peek(r) == '-' && r->at + 1 < r->source->length &&
           r->source->text[r->at + 1] == '>';
}

static void parse_terms(ParseSchedule *p, Value *value) {
    Reader *r = &p->r;
    value->kind = VALUE_SUM;
    value->op = OP_ADD;
    bool first = true;
    while (!r->failed && (first || !side_ends(r))) {
        Term term = {.sign = 1, .b = {0, -1}};
        if (reader_accept(r, '-'))
            term.sign = -1;
        else if (!first)
            reader_expect(r, '+');
        term.a = parse_use(p);
        if (!r->failed && reader_accept(r, '*')) {
            term.pair = true;
            term.b = parse_use(p);
        }
        vec_push(r->arena, &value->terms, term);
        first = false;
    }
}

static ValueKind kind_of(Op op) {
    switch (op_info[op].class_) {
    case CLASS_LEAF: return op == OP_DRAW ? VALUE_ROW : VALUE_LEAF;
    case CLASS_TIME: return op == OP_HOLD ? VALUE_POINT : VALUE_ROW;
    case CLASS_UNARY:
    case CLASS_BINARY:
    case CLASS_SELECTION: return VALUE_POINT;
    case CLASS_TENSOR:
    case CLASS_LOSS: return VALUE_ROW;
    }
    return VALUE_ROW;
}

static void parse_operation(ParseSchedule *p, Value *value, Op op) {
    Reader *r = &p->r;
    const OpInfo *info = &op_info[op];
    value->op = op;
    value->kind = kind_of(op);
    if (!side_ends(r)) {
        do {
            vec_push(r->arena, &value->uses, parse_use(p));
        } while (!r->failed && reader_accept(r, ','));
    }
    if (r->failed) return;
    if (value->uses.count < info->least || value->uses.count > info->most + (value->op == OP_TSUM)) {
        diag_error(r->diags, "E-SYNTAX", span_from(p, r->at), "%s takes %d operands, not %d",
                   info->text, info->least, value->uses.count);
        r->failed = true;
    }
    /* What an operation needs beside its operands is the graph's. */
    bool needs = value->kind != VALUE_POINT || op == OP_HOLD;
    if (needs && (value->id >= r->graph->nodes.count || r->graph->nodes.at[value->id]->op != op))
        reader_fail(r, "the graph's node of this number is another operation");
}

static void parse_side(ParseSchedule *p, Value *value) {
    Reader *r = &p->r;
    if (reader_accept_word(r, "input")) {
        Name name = reader_name(r);
        value->kind = VALUE_INPUT;
        value->op = OP_INPUT;
        if (!r->failed) value->slot = named(r, "input", name, input_name, r->graph->inputs.count);
    } else if (reader_accept_word(r, "param")) {
        value->kind = VALUE_PARAM;
        value->op = OP_PARAM;
        value->view = parse_view(r);
    } else if (reader_accept_word(r, "const")) {
        value->kind = VALUE_CONST;
        value->op = OP_CONST;
        value->number = reader_double(r);
    } else if (reader_accept_word(r, "product")) {
        value->kind = VALUE_PRODUCT;
        value->op = OP_MATMUL;
        value->view = parse_view(r);
        if (!r->failed && value->view.rank != 2) reader_fail(r, "a product needs rows and columns");
        reader_expect(r, '@');
        if (!r->failed) vec_push(r->arena, &value->uses, parse_use(p));
    } else {
        for (int op = 0; op < OP_COUNT; op++)
            if (reader_accept_word(r, op_info[op].text)) {
                parse_operation(p, value, (Op)op);
                return;
            }
        parse_terms(p, value);
    }
}

/* --- storage --- */

static void parse_rows(Reader *r, Value *value) {
    int d = 0;
    do {
        int64_t pre = reader_int(r);
        reader_expect(r, ':');
        int64_t post = reader_int(r);
        if (d == value->domain_count)
            reader_fail(r, "more rows than indices");
        else if (pre < 0 || post < 0 || pre > INT32_MAX || post > INT32_MAX)
            reader_fail(r, "number of rows out of range");
        if (r->failed) return;
        value->pre[d] = pre;
        value->post[d++] = post;
    } while (reader_accept(r, ','));
    if (d != value->domain_count) reader_fail(r, "fewer rows than indices");
    reader_expect(r, ']');
}

static void parse_storage(ParseSchedule *p, Value *value) {
    static const char *const words[] = {"register", "single", "inplace", "history", "rows", "in"};
    Reader *r = &p->r;
    bool leaf = schedule_is_leaf(value);
    if (side_ends(r) && reader_at_end(r)) {
        if (!leaf) reader_fail(r, "expected '->' and where the value is kept");
        return;
    }
    reader_expect(r, '-');
    reader_expect(r, '>');
    if (r->failed) return;
    int word =
        reader_choice(r, words, 6, "expected register, single, inplace, history, rows or in");
    if (r->failed) return;
    if (word == 5) {
        if (value->kind != VALUE_PRODUCT)
            reader_fail(r, "only a product is in an accumulator");
        else
            value->acc = parse_value_name(p, NULL);
        return;
    }
    if (leaf != (word == 4)) {
        reader_fail(r, leaf ? "inputs and constants have rows, no storage"
                            : "only inputs and constants have rows");
        return;
    }
    value->storage = leaf ? STORE_NONE : (Storage)word;
    value->inplace = value->storage == STORE_INPLACE;
    if (reader_accept(r, '[')) parse_rows(r, value);
    if (!r->failed && reader_accept_word(r, "else")) value->boundary = parse_value_name(p, NULL);
}

/* --- the line --- */

Value *parse_value_line(ParseSchedule *p) {
    Reader *r = &p->r;
    Schedule *schedule = p->schedule;
    reader_peek(r);
    uint32_t begin = r->at;
    Name name = NULL;
    int id = parse_value_name(p, &name);
    if (r->failed) return NULL;
    if (id < schedule->values.count && schedule->values.at[id]) {
        diag_error(r->diags, "E-SYNTAX", span_from(p, begin), "value %d is defined twice", id);
        r->failed = true;
        return NULL;
    }
    Value *value = ARENA_NEW(r->arena, Value);
    value->id = id;
    value->name = name;
    value->live = true;
    value->block = value->stage = value->family = value->nest = value->acc = value->boundary = -1;
    if (id < r->graph->nodes.count) value->attr = &r->graph->nodes.at[id]->attr;
    value->domain_count = reader_indices(r, value->domain);
    for (int d = 1; d < value->domain_count; d++)
        if (value->domain[d] <= value->domain[d - 1]) reader_fail(r, "indices out of order");
    reader_expect(r, ':');
    value->type = reader_type(r);
    value->count = shape_count(value->type.shape);
    if (value->count > INT32_MAX) reader_fail(r, "too many elements");
    bool once = !r->failed && reader_accept_word(r, "once");
    value->over_batch = once && reader_accept_word(r, "summed");
    reader_expect(r, '=');
    if (!r->failed) parse_side(p, value);
    if (value->over_batch && (value->kind != VALUE_ROW || value->op != OP_TSUM))
        reader_fail(r, "only a sum over time is summed over the batch");
    value->batched = !once && value->kind != VALUE_PARAM && value->kind != VALUE_CONST;
    if (value->kind == VALUE_PRODUCT) value->acc = id;
    if (!r->failed) parse_storage(p, value);
    value->span = span_from(p, begin);
    if (r->failed) return NULL;
    while (schedule->values.count <= id) vec_push(r->arena, &schedule->values, NULL);
    schedule->values.at[id] = value;
    return value;
}
