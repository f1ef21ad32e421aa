/* The line of a node: what stands behind its `=`, and types, which ports have too. */
#include "graph/reader.h"

#include <ctype.h>
#include <string.h>

#define FIND(list, wanted)                                                                         \
    for (int i = 0; i < (list).count; i++)                                                         \
        if ((list).at[i].name == (wanted)) return i

static int undeclared(Reader *p, const char *kind, Name name) {
    if (!p->failed)
        diag_error(p->diags, "E-SYNTAX", reader_spot(p, p->at), "there is no %s '%s'", kind, name);
    p->failed = true;
    return 0;
}

int reader_axis(Reader *p) {
    Name name = reader_name(p);
    if (!name) return 0;
    FIND(p->graph->axes, name);
    return undeclared(p, "axis", name);
}

int reader_index(Reader *p) {
    Name name = reader_name(p);
    if (!name) return 0;
    FIND(p->graph->indices, name);
    return undeclared(p, "index", name);
}

static int parse_input_name(Reader *p) {
    Name name = reader_name(p);
    if (!name) return 0;
    FIND(p->graph->inputs, name);
    return undeclared(p, "input", name);
}

static int parse_param_name(Reader *p) {
    Name name = reader_name(p);
    if (!name) return 0;
    FIND(p->graph->params, name);
    return undeclared(p, "parameter", name);
}

int reader_carry(Reader *p) {
    Name name = reader_name(p);
    reader_expect_word(p, "in");
    int axis = reader_axis(p);
    if (p->failed) return 0;
    for (int i = 0; i < p->graph->carries.count; i++)
        if (p->graph->carries.at[i].name == name && p->graph->carries.at[i].axis == axis)
            return i + 1;
    return undeclared(p, "carry", name);
}

/* `[t, s]`, or nothing. */
int reader_indices(Reader *p, int indices[MAX_DOMAIN]) {
    int count = 0;
    if (p->failed || !reader_accept(p, '[')) return 0;
    do {
        int index = reader_index(p);
        if (p->failed) return 0;
        if (count == MAX_DOMAIN) return reader_fail(p, "too many indices");
        indices[count++] = index;
    } while (reader_accept(p, ','));
    reader_expect(p, ']');
    return count;
}

Type reader_type(Reader *p) {
    Type type = {0};
    if (reader_accept_word(p, "bool")) {
        type.dtype = DT_BOOL;
    } else if (reader_accept_word(p, "int")) {
        type.dtype = DT_INT;
        if (reader_accept(p, '(')) {
            type.bound = reader_int(p);
            reader_expect(p, ')');
        }
    } else if (reader_accept_word(p, "past") || reader_accept_word(p, "pos")) {
        type.dtype = DT_INT;
        type.pointer = p->source->text[p->last - 1] == 't' ? PTR_PAST : PTR_POS;
        reader_expect(p, '(');
        type.axis = reader_axis(p);
        reader_expect(p, ')');
    } else {
        reader_expect_word(p, "f");
    }
    if (!reader_expect(p, '[') || reader_accept(p, ']')) return type;
    do {
        int64_t dim = reader_int(p);
        if (dim < 0 || dim > INT32_MAX) reader_fail(p, "dimension out of range");
        if (type.shape.rank == MAX_RANK) reader_fail(p, "too many dimensions");
        if (p->failed) return type;
        type.shape.dim[type.shape.rank++] = dim;
    } while (reader_accept(p, ','));
    reader_expect(p, ']');
    return type;
}

static int64_t parse_offset(Reader *p) {
    char c = reader_peek(p);
    return c == '+' || c == '-' ? reader_int(p) : 0;
}

static void parse_at(Reader *p) {
    At at = {.kind = AT_INDEX};
    char c = reader_peek(p);
    if (c == '%') {
        at.kind = AT_POINTER;
        at.operand = p->list.count;
        int id = reader_node(p);
        vec_push(p->arena, &p->list, id);
    } else if (reader_accept_word(p, "first")) {
        at.kind = AT_FIRST;
    } else if (reader_accept_word(p, "last")) {
        at.kind = AT_LAST;
    } else if (isdigit((unsigned char)c)) {
        at.kind = AT_SCALE;
        at.factor = reader_int(p);
        reader_expect(p, '*');
        at.index = reader_index(p);
    } else {
        if (reader_accept(p, '~')) at.kind = AT_MIRROR;
        at.index = reader_index(p);
        if (!p->failed && at.kind == AT_INDEX && reader_accept(p, '/')) {
            at.kind = AT_DIV;
            at.factor = reader_int(p);
        }
    }
    if (!p->failed) at.offset = parse_offset(p);
    vec_push(p->arena, &p->ats, at);
}

static void parse_ats(Reader *p, Attr *attr) {
    if (!reader_expect(p, '[')) return;
    if (!reader_accept(p, ']')) {
        do parse_at(p);
        while (!p->failed && reader_accept(p, ','));
        reader_expect(p, ']');
    }
    attr->at_count = p->ats.count;
    attr->at = p->ats.at; /* graph_add copies */
}

static Bound parse_bound(Reader *p) {
    Bound bound = {0};
    char c = reader_peek(p);
    if (p->failed || c == ',' || c == ')') return bound;
    if (reader_accept_word(p, "len")) {
        bound.kind = BOUND_LAST;
        bound.offset = parse_offset(p);
    } else if (isdigit((unsigned char)c) || c == '-') {
        bound.kind = BOUND_FIRST;
        bound.offset = reader_int(p);
    } else {
        bound.kind = BOUND_INDEX;
        bound.index = reader_index(p);
        if (!p->failed) bound.offset = parse_offset(p);
    }
    return bound;
}

static void parse_numbers(Reader *p, int64_t numbers[MAX_RANK]) {
    int count = 0;
    if (!reader_expect(p, '[') || reader_accept(p, ']')) return;
    do {
        int64_t number = reader_int(p);
        if (count == MAX_RANK) reader_fail(p, "too many numbers");
        if (p->failed) return;
        numbers[count++] = number;
    } while (reader_accept(p, ','));
    reader_expect(p, ']');
}

static void parse_slice(Reader *p, Attr *attr) {
    int d = 0;
    if (!reader_expect(p, '[')) return;
    do {
        if (d == MAX_RANK) reader_fail(p, "too many numbers");
        int64_t from = reader_int(p);
        if (from < 0 || from > INT32_MAX) reader_fail(p, "number out of range");
        if (p->failed) return;
        attr->dims[d] = from;
        attr->ends[d] = from + 1;
        if (reader_accept(p, ':'))
            attr->ends[d] = reader_int(p);
        else
            attr->drop |= 1u << d;
        d++;
    } while (reader_accept(p, ','));
    reader_expect(p, ']');
}

int reader_choice(Reader *p, const char *const *words, int count, const char *message) {
    for (int i = 0; i < count; i++)
        if (reader_accept_word(p, words[i])) return i;
    reader_fail(p, message);
    return 0;
}

static void parse_draw(Reader *p, Attr *attr) {
    static const char *const kinds[] = {"normal", "uniform", "bernoulli", "categorical"};
    attr->draw = (DrawKind)reader_choice(p, kinds, 4, "expected the kind of the draw");
    attr->site = reader_name(p);
    parse_ats(p, attr);
}

static void parse_over(Reader *p, Op op, Attr *attr) {
    reader_expect_word(p, "over");
    attr->index = reader_index(p);
    if (op == OP_CTC) {
        reader_expect(p, ',');
        attr->index2 = reader_index(p);
        reader_expect_word(p, "blank");
        attr->slot = reader_small(p);
    }
    if (!p->failed && reader_accept(p, '[')) {
        attr->low = parse_bound(p);
        reader_expect(p, ',');
        attr->high = parse_bound(p);
        reader_expect(p, ')');
    }
    if (op == OP_HOLD) {
        reader_expect_word(p, "every");
        attr->every = reader_int(p);
    }
}

static void parse_attr(Reader *p, Op op, Attr *attr) {
    if (op == OP_INPUT || op == OP_GIVEN) attr->slot = parse_input_name(p);
    if (op == OP_PARAM) attr->slot = parse_param_name(p);
    if (op == OP_LENGTH) attr->slot = reader_axis(p);
    if (op == OP_CONST) attr->number = reader_double(p);
    if (op == OP_INDEX) attr->index = reader_index(p);
    if (op == OP_DRAW) parse_draw(p, attr);
    if (op_info[op].class_ == CLASS_TIME && op != OP_READ) parse_over(p, op, attr);
    if (op == OP_CONV) {
        reader_expect_word(p, "strides");
        parse_numbers(p, attr->dims);
        reader_expect_word(p, "pads");
        parse_numbers(p, attr->pads);
    }
    if (op == OP_MAXPOOL || op == OP_AVGPOOL) {
        reader_expect_word(p, "window");
        parse_numbers(p, attr->dims);
    }
    if (op == OP_SLICE) parse_slice(p, attr);
    if (op == OP_SUM || op == OP_MEAN || op == OP_RMAX || op == OP_RMIN)
        attr->dim = reader_accept_word(p, "dim") ? reader_small(p) : -1;
    attr->mirrored = reader_accept_word(p, "mirrored");
    if (reader_accept_word(p, "carry")) attr->carry = reader_carry(p);
}

static Op parse_op(Reader *p) {
    for (int op = 0; op < OP_COUNT; op++)
        if (reader_accept_word(p, op_info[op].text)) return (Op)op;
    reader_fail(p, "expected an operation");
    return OP_CONST;
}

static void parse_operand(Reader *p) {
    int id = reader_node(p);
    vec_push(p->arena, &p->list, id);
}

/* Source, boundary or -1, pointers; without boundary and pointers the source alone. */
static void parse_read(Reader *p, Attr *attr) {
    parse_operand(p);
    vec_push(p->arena, &p->list, -1);
    parse_ats(p, attr);
    if (reader_accept_word(p, "else"))
        p->list.at[1] = reader_node(p);
    else if (p->list.count == 2)
        p->list.count = 1;
}

void reader_node_line(Reader *p) {
    uint32_t begin = p->at;
    Attr attr = {0};
    int domain[MAX_DOMAIN] = {0};
    Name name = NULL;
    p->list.count = p->ats.count = 0;
    int id = reader_node(p);
    if (!p->failed && id != p->graph->nodes.count) {
        diag_error(p->diags, "E-SYNTAX", reader_spot(p, begin),
                   "node %%%d stands where %%%d should", id, p->graph->nodes.count);
        p->failed = true;
    }
    char c = reader_peek(p);
    if (c != '[' && c != ':') name = reader_name(p);
    int domain_count = reader_indices(p, domain);
    reader_expect(p, ':');
    Type type = reader_type(p);
    reader_expect(p, '=');
    Op op = parse_op(p);
    if (op == OP_READ) {
        parse_read(p, &attr);
    } else if (!p->failed && reader_peek(p) == '%') {
        do parse_operand(p);
        while (!p->failed && reader_accept(p, ','));
    }
    if (!p->failed && (p->list.count < op_info[op].least || p->list.count > op_info[op].most)) {
        diag_error(p->diags, "E-SYNTAX", reader_spot(p, begin),
                   "%s has %d operands, it takes %d to %d", op_info[op].text, p->list.count,
                   op_info[op].least, op_info[op].most);
        p->failed = true;
    }
    parse_attr(p, op, &attr);
    /* A bad line leaves a node behind, so that the numbers of those after it stay right. */
    int added = graph_add(p->graph, p->failed ? OP_CONST : op, type, p->failed ? 0 : domain_count,
                          domain, p->failed ? 0 : p->list.count, p->list.at,
                          p->failed ? NULL : &attr, (Span){p->source, begin, p->last, NULL});
    p->graph->nodes.at[added]->name = name;
}
