/* Expressions of the Loop IR as C: one case a node.
 *
 * Macros of the prelude use an operand more than once, so what is not a plain variable there becomes a
 * constant of its own before the statement; so does an expression that the statement uses twice. */
#include "c.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>

/* How strongly C binds; BITS asks for parentheses around every operator inside, as compilers do. */
typedef enum Binding { B_ANY, B_TERNARY, B_OR, B_AND, B_COMPARE, B_BITS, B_ADD, B_MUL, B_UNARY, B_POST } Binding;

/* ---- types ---- */

static bool is_float(LoopType type) {
    return type == LT_F32 || type == LT_F64;
}

static bool is_mask(LoopType type) {
    return type == LT_M32 || type == LT_M64;
}

void c_use(EmitC *c, LoopType type, int lanes, unsigned use) {
    int level = 0;
    while ((1 << level) < lanes) level++;
    if (type == LT_M32) type = LT_I32;
    if (type == LT_M64) type = LT_I64;
    c->uses.of[type][level] |= use | (lanes > 1 ? (unsigned)USE_VECTOR : 0);
}

/* The letters and width of a vector's element: f32, i64; masks are integers. */
static const char *element_name(LoopType type) {
    return type == LT_M32 ? "i32" : type == LT_M64 ? "i64" : loop_type_text(type);
}

static const char *element_upper(LoopType type) {
    switch (type) {
    case LT_F32: return "F32";
    case LT_F64: return "F64";
    case LT_I8: return "I8";
    case LT_U16: return "U16";
    case LT_I32:
    case LT_M32: return "I32";
    case LT_I64:
    case LT_M64: return "I64";
    case LT_VOID: break;
    }
    return "VOID";
}

const char *c_type(EmitC *c, LoopType type, int lanes) {
    if (lanes == 1) return identifier_type(type);
    c_use(c, type, lanes, USE_VECTOR);
    return arena_printf(c->arena, "%sx%d", element_name(type), lanes);
}

static const char *unsigned_type(EmitC *c, LoopType type, int lanes) {
    if (lanes == 1) return loop_type_size(type) == 8 ? "uint64_t" : "uint32_t";
    c_use(c, type, lanes, USE_UNSIGNED);
    return arena_printf(c->arena, "u%dx%d", 8 * loop_type_size(type), lanes);
}

static LoopType integer_of(LoopType type) {
    return loop_type_size(type) == 8 ? LT_I64 : LT_I32;
}

/* ---- constants ---- */

void c_number(Text *out, LoopType type, double value) {
    if (!is_float(type)) {
        c_integer(out, type, (int64_t)value);
        return;
    }
    const char *suffix = type == LT_F32 ? "f" : "";
    if (isnan(value)) {
        text_printf(out, "(0.0%s / 0.0%s)", suffix, suffix);
        return;
    }
    if (isinf(value)) {
        text_printf(out, "(%s1.0%s / 0.0%s)", value < 0 ? "-" : "", suffix, suffix);
        return;
    }
    /* A decimal of few digits that is exactly this number reads best; hexadecimal is exact always. */
    char decimal[40];
    if (fabs(value) < 1e9 && value == (double)(int64_t)value)
        snprintf(decimal, sizeof decimal, "%.1f", value);
    else
        snprintf(decimal, sizeof decimal, "%.6g", value);
    double back = type == LT_F32 ? (double)(float)strtod(decimal, NULL) : strtod(decimal, NULL);
    if (back == value && (value == 0 || (fabs(value) > 1e-5 && fabs(value) < 1e9))) {
        bool plain = strchr(decimal, '.') || strchr(decimal, 'e');
        text_printf(out, "%s%s%s", decimal, plain ? "" : ".0", suffix);
    } else {
        text_printf(out, "%a%s", value, suffix);
    }
}

void c_integer(Text *out, LoopType type, int64_t value) {
    if (value == INT64_MIN)
        text_puts(out, "INT64_MIN");
    else if (type == LT_I32 && value == INT32_MIN)
        text_puts(out, "INT32_MIN");
    else if (value > INT32_MAX || value < -INT32_MAX)
        text_printf(out, "%sINT64_C(%" PRId64 ")", value < 0 ? "-" : "", value < 0 ? -value : value);
    else
        text_printf(out, "%" PRId64, value);
}

/* ---- what stands before the statement ---- */

static CNode *node_of(EmitC *c, const LExpr *e) {
    if (2 * c->node_count >= c->node_room) {
        int old_room = c->node_room;
        CNode *old = c->nodes;
        c->node_room = old_room ? 2 * old_room : 64;
        c->nodes = ARENA_ARRAY(c->arena, c->node_room, CNode);
        c->node_count = 0;
        for (int i = 0; i < old_room; i++)
            if (old[i].expr) *node_of(c, old[i].expr) = old[i];
    }
    size_t at = ((uintptr_t)e >> 4) * 2654435761u & (size_t)(c->node_room - 1);
    while (c->nodes[at].expr && c->nodes[at].expr != e) at = (at + 1) & (size_t)(c->node_room - 1);
    if (!c->nodes[at].expr) {
        c->nodes[at].expr = e;
        c->node_count++;
    }
    return &c->nodes[at];
}

void c_expr_begin(EmitC *c) {
    if (c->node_count) memset(c->nodes, 0, (size_t)c->node_room * sizeof *c->nodes);
    c->node_count = 0;
}

void c_expr_count(EmitC *c, const LExpr *e) {
    if (!e || e->kind == LE_INT || e->kind == LE_FLOAT || e->kind == LE_VAR) return;
    if (node_of(c, e)->uses++) return;
    c_expr_count(c, e->a);
    c_expr_count(c, e->b);
    c_expr_count(c, e->c);
}

static bool is_leaf(const LExpr *e) {
    return e->kind == LE_VAR || e->kind == LE_INT || e->kind == LE_FLOAT;
}

/* Cheap enough to be written more than once: an index of at most one operation. */
static bool is_plain(const LExpr *e) {
    if (e->lanes > 1) return e->kind == LE_VAR;
    if (is_leaf(e)) return true;
    return e->kind == LE_OP && e->type == LT_I64 && e->b && !e->c && scalar_op_info[e->op].kind == SK_ARITH &&
           e->op != SOP_MIN && e->op != SOP_MAX && is_leaf(e->a) && is_leaf(e->b);
}

static bool by_lane(const LExpr *e) {
    /* gcc 12 makes poor code of __builtin_convertvector from and to narrow types. */
    return e->lanes > 1 && e->op == SOP_CONVERT && (loop_type_size(e->type) < 4 || loop_type_size(e->a->type) < 4);
}

/* Whether operand `place` of `e` is printed more than once. */
static bool repeats(const LExpr *e, int place) {
    if (e->kind == LE_LANE) return true; /* not repeated, but a subscript wants a name before it */
    if (e->kind == LE_SPLAT) return !(e->a->kind == LE_LOAD && is_plain(e->a->a)) && e->a->kind != LE_LANE;
    if (e->kind != LE_OP) return false;
    if (e->op == SOP_MIN || e->op == SOP_MAX || by_lane(e)) return true;
    if (e->lanes == 1) return false;
    return e->op == SOP_FMA || (e->op == SOP_SELECT && place == 0);
}

static void print(EmitC *c, Text *out, const LExpr *e, Binding around);

/* What a constant that holds `e` is called. */
static const char *hint_of(const EmitC *c, const LExpr *e) {
    if (e->kind == LE_LOAD) return c->buffers[e->buffer];
    if (e->kind != LE_SPLAT) return "v";
    if (e->a->kind == LE_VAR) return c->vars[e->a->var];
    return e->a->kind == LE_LOAD ? c->buffers[e->a->buffer] : "k";
}

static void prepare(EmitC *c, const LExpr *e, const char *hint) {
    if (is_leaf(e)) return;
    if (!node_of(c, e)->prepared) {
        node_of(c, e)->prepared = true;
        const LExpr *operands[] = {e->a, e->b, e->c};
        for (int i = 0; i < 3 && operands[i]; i++)
            prepare(c, operands[i], repeats(e, i) && !is_plain(operands[i]) ? hint_of(c, operands[i]) : NULL);
    }
    CNode *node = node_of(c, e);
    if (!hint && node->uses > 1 && e->kind != LE_SPLAT && !is_plain(e)) hint = hint_of(c, e);
    if (!hint || node->name) return;
    Text line = text_new(c->arena);
    const char *name = c_declare(c, hint);
    text_printf(&line, "const %s %s = ", c_type(c, e->type, e->lanes), name);
    print(c, &line, e, B_ANY);
    text_puts(&line, ";");
    c_line(c, &line);
    node_of(c, e)->name = name;
}

void c_expr_prepare(EmitC *c, const LExpr *e, const char *hint) {
    if (e) prepare(c, e, hint);
}

/* ---- operations ---- */

static void open(Text *out, Binding own, Binding around) {
    if (own < around) text_puts(out, "(");
}

static void close(Text *out, Binding own, Binding around) {
    if (own < around) text_puts(out, ")");
}

static void infix(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding own, Binding left, Binding around) {
    open(out, own, around);
    print(c, out, e->a, left);
    text_printf(out, " %s ", sign);
    print(c, out, e->b, own == B_BITS || own == B_COMPARE ? left : (Binding)(own + 1));
    close(out, own, around);
}

/* A macro of the prelude on all operands: FMA_F32X16(a, b, c). */
static void macro(EmitC *c, Text *out, const LExpr *e, const char *name, unsigned use) {
    c_use(c, e->type, e->lanes, use);
    text_printf(out, "%s_%s", name, element_upper(e->type));
    if (e->lanes > 1) text_printf(out, "X%d", e->lanes);
    const LExpr *operands[] = {e->a, e->b, e->c};
    for (int i = 0; i < 3 && operands[i]; i++) {
        text_puts(out, i ? ", " : "(");
        print(c, out, operands[i], B_ANY);
    }
    text_puts(out, ")");
}

/* Integer arithmetic that may wrap goes through the unsigned type. */
static void wrapped(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    const char *type = unsigned_type(c, e->type, e->lanes);
    open(out, B_UNARY, around);
    text_printf(out, "(%s)(", c_type(c, e->type, e->lanes));
    if (e->b) {
        text_printf(out, "(%s)", type);
        print(c, out, e->a, B_UNARY);
    }
    text_printf(out, "%s%s%s(%s)", e->b ? " " : "", sign, e->b ? " " : "", type);
    print(c, out, e->b ? e->b : e->a, B_UNARY);
    text_puts(out, ")");
    close(out, B_UNARY, around);
}

static void arithmetic(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding own, Binding around) {
    bool unsigned_ = !is_float(e->type) && e->op != SOP_DIV && (e->type == LT_I32 || c_wraps(&c->live, e));
    if (unsigned_)
        wrapped(c, out, e, sign, around);
    else
        infix(c, out, e, sign, own, own, around);
}

/* a > b ? b : a, or with masks. */
static void extreme(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    if (e->lanes > 1) {
        macro(c, out, e, e->op == SOP_MIN ? "MIN" : "MAX", e->op == SOP_MIN ? USE_MIN : USE_MAX);
        return;
    }
    open(out, B_TERNARY, around);
    print(c, out, e->a, B_ADD);
    text_printf(out, " %s ", sign);
    print(c, out, e->b, B_ADD);
    text_puts(out, " ? ");
    print(c, out, e->b, B_OR);
    text_puts(out, " : ");
    print(c, out, e->a, B_OR);
    close(out, B_TERNARY, around);
}

static void shift(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    const LExpr *by = e->b->kind == LE_SPLAT ? e->b->a : e->b;
    open(out, B_UNARY, around);
    text_printf(out, "(%s)((%s)", c_type(c, e->type, e->lanes), unsigned_type(c, e->type, e->lanes));
    print(c, out, e->a, B_UNARY);
    text_printf(out, " %s ", sign);
    if (e->lanes > 1 && by->lanes == 1 && by->kind != LE_INT) {
        text_printf(out, "(%s)", unsigned_type(c, e->type, e->lanes));
        by = e->b;
    }
    print(c, out, by, B_UNARY);
    text_puts(out, ")");
    close(out, B_UNARY, around);
}

static void compare(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    if (e->lanes == 1) {
        infix(c, out, e, sign, B_COMPARE, B_ADD, around);
        return;
    }
    open(out, B_UNARY, around);
    text_printf(out, "(%s)(", c_type(c, e->type, e->lanes));
    infix(c, out, e, sign, B_COMPARE, B_ADD, B_ANY);
    text_puts(out, ")");
    close(out, B_UNARY, around);
}

static void absolute(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->lanes == 1) {
        c_use(c, e->type, 1, USE_ABS | USE_FROM_BITS | USE_TO_BITS);
        text_printf(out, "abs_%s(", element_name(e->type));
        print(c, out, e->a, B_ANY);
        text_puts(out, ")");
        return;
    }
    open(out, B_UNARY, around);
    text_printf(out, "(%s)((%s)", c_type(c, e->type, e->lanes), c_type(c, integer_of(e->type), e->lanes));
    print(c, out, e->a, B_UNARY);
    text_puts(out, e->type == LT_F32 ? " & 0x7fffffff)" : " & 0x7fffffffffffffff)");
    close(out, B_UNARY, around);
}

static void cast(EmitC *c, Text *out, const LExpr *e, Binding around) {
    open(out, B_UNARY, around);
    text_printf(out, "(%s)", c_type(c, e->type, e->lanes));
    print(c, out, e->a, B_UNARY);
    close(out, B_UNARY, around);
}

static void convert(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->type == e->a->type) {
        print(c, out, e->a, around);
    } else if (e->lanes == 1) {
        cast(c, out, e, around);
    } else if (by_lane(e)) {
        text_printf(out, "(%s){", c_type(c, e->type, e->lanes));
        for (int i = 0; i < e->lanes; i++) {
            text_printf(out, "%s(%s)", i ? ", " : "", identifier_type(e->type));
            print(c, out, e->a, B_POST);
            text_printf(out, "[%d]", i);
        }
        text_puts(out, "}");
    } else {
        text_puts(out, "__builtin_convertvector(");
        print(c, out, e->a, B_ANY);
        text_printf(out, ", %s)", c_type(c, e->type, e->lanes));
    }
}

static void bitcast(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->type == e->a->type) {
        print(c, out, e->a, around);
    } else if (e->lanes > 1) {
        cast(c, out, e, around);
    } else if (is_float(e->type) == is_float(e->a->type)) {
        cast(c, out, e, around);
    } else {
        LoopType real = is_float(e->type) ? e->type : e->a->type;
        c_use(c, real, 1, is_float(e->type) ? USE_FROM_BITS : USE_TO_BITS);
        text_printf(out, is_float(e->type) ? "%s_of_bits(" : "bits_of_%s(", element_name(real));
        print(c, out, e->a, B_ANY);
        text_puts(out, ")");
    }
}

static void choose(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (e->lanes > 1) {
        macro(c, out, e, "SELECT", USE_SELECT);
        return;
    }
    open(out, B_TERNARY, around);
    print(c, out, e->a, B_OR);
    text_puts(out, " ? ");
    print(c, out, e->b, B_OR);
    text_puts(out, " : ");
    print(c, out, e->c, B_OR);
    close(out, B_TERNARY, around);
}

static void prefix(EmitC *c, Text *out, const LExpr *e, const char *sign, Binding around) {
    open(out, B_UNARY, around);
    text_puts(out, sign);
    print(c, out, e->a, B_POST); /* -(-1.0f), never --1 */
    close(out, B_UNARY, around);
}

static void operation(EmitC *c, Text *out, const LExpr *e, Binding around) {
    bool vector = e->lanes > 1;
    switch (e->op) {
    case SOP_ADD: arithmetic(c, out, e, "+", B_ADD, around); return;
    case SOP_SUB: arithmetic(c, out, e, "-", B_ADD, around); return;
    case SOP_MUL: arithmetic(c, out, e, "*", B_MUL, around); return;
    case SOP_DIV: arithmetic(c, out, e, "/", B_MUL, around); return;
    case SOP_MOD: infix(c, out, e, "%", B_MUL, B_MUL, around); return;
    case SOP_NEG:
        if (is_float(e->type))
            prefix(c, out, e, "-", around);
        else
            wrapped(c, out, e, "-", around);
        return;
    case SOP_FMA: macro(c, out, e, "FMA", USE_FMA); return;
    case SOP_MIN: extreme(c, out, e, ">", around); return;
    case SOP_MAX: extreme(c, out, e, "<", around); return;
    case SOP_ABS: absolute(c, out, e, around); return;
    case SOP_AND: infix(c, out, e, "&", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY); return;
    case SOP_OR: infix(c, out, e, "|", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY); return;
    case SOP_XOR: infix(c, out, e, "^", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY); return;
    case SOP_SHL: shift(c, out, e, "<<", around); return;
    case SOP_SHR: shift(c, out, e, ">>", around); return;
    case SOP_LT: compare(c, out, e, "<", around); return;
    case SOP_LE: compare(c, out, e, "<=", around); return;
    case SOP_GT: compare(c, out, e, ">", around); return;
    case SOP_GE: compare(c, out, e, ">=", around); return;
    case SOP_EQ: compare(c, out, e, "==", around); return;
    case SOP_NE: compare(c, out, e, "!=", around); return;
    case SOP_MAND:
        if (vector)
            infix(c, out, e, "&", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY);
        else
            infix(c, out, e, "&&", B_AND, B_COMPARE, around == B_AND || around <= B_TERNARY ? around : B_POST);
        return;
    case SOP_MOR:
        if (vector)
            infix(c, out, e, "|", B_BITS, B_UNARY, around > B_ANY ? B_POST : B_ANY);
        else
            infix(c, out, e, "||", B_OR, B_COMPARE, around <= B_TERNARY ? around : B_POST);
        return;
    case SOP_MNOT: prefix(c, out, e, vector ? "~" : "!", around); return;
    case SOP_SELECT: choose(c, out, e, around); return;
    case SOP_CONVERT: convert(c, out, e, around); return;
    case SOP_BITCAST: bitcast(c, out, e, around); return;
    case SOP_EXP:
    case SOP_LOG:
    case SOP_SIGMOID:
    case SOP_TANH:
    case SOP_SOFTPLUS:
    case SOP_LOGADDEXP:
    case SOP_POW:
    case SOP_SQRT:
    case SOP_FLOOR:
    case SOP_ERF:
    case SOP_SIN:
    case SOP_COS:
    case SOP_COUNT:
        diag_error(c->diags, "internal", (Span){0}, "the C backend meets '%s', which expand_math must replace",
                   scalar_op_info[e->op].text);
        return;
    }
}

/* ---- expressions ---- */

void c_element(EmitC *c, Text *out, int buffer, const LExpr *index, int lanes, bool aligned, bool written) {
    const char *name = c->buffers[buffer];
    LoopType type = c->function->buffers.at[buffer].type;
    if (lanes == 1) {
        text_printf(out, "%s[", name);
        print(c, out, index, B_ANY);
        text_puts(out, "]");
        return;
    }
    if (!aligned) c_use(c, type, lanes, USE_UNALIGNED);
    text_printf(out, "*(%s%s%s *)", written ? "" : "const ", c_type(c, type, lanes), aligned ? "" : "_any");
    bool start = index->kind == LE_INT && index->integer == 0;
    text_printf(out, start ? "%s" : "(%s + ", name);
    if (start) return;
    print(c, out, index, B_MUL);
    text_puts(out, ")");
}

static void print(EmitC *c, Text *out, const LExpr *e, Binding around) {
    if (!is_leaf(e)) {
        const char *name = node_of(c, e)->name;
        if (name) {
            text_puts(out, name);
            return;
        }
    }
    switch (e->kind) {
    case LE_FLOAT: {
        bool negative = signbit(e->number) && isfinite(e->number);
        open(out, negative ? B_UNARY : B_POST, around);
        c_number(out, e->type, e->number);
        close(out, negative ? B_UNARY : B_POST, around);
        return;
    }
    case LE_INT:
        open(out, e->integer < 0 ? B_UNARY : B_POST, around);
        c_integer(out, e->type, e->integer);
        close(out, e->integer < 0 ? B_UNARY : B_POST, around);
        return;
    case LE_VAR: text_puts(out, c->vars[e->var]); return;
    case LE_LOAD:
        open(out, e->lanes > 1 ? B_UNARY : B_POST, around);
        c_element(c, out, e->buffer, e->a, e->lanes, e->aligned, false);
        close(out, e->lanes > 1 ? B_UNARY : B_POST, around);
        return;
    case LE_OP: operation(c, out, e, around); return;
    case LE_SPLAT:
        c_use(c, e->type, e->lanes, USE_SPLAT);
        /* A mask of one lane is 0 or 1, in a vector 0 or all bits. */
        text_printf(out, "SPLAT_%sX%d(%s", element_upper(e->type), e->lanes, is_mask(e->type) ? "-" : "");
        print(c, out, e->a, is_mask(e->type) ? B_POST : B_ANY);
        text_puts(out, ")");
        return;
    case LE_LANE:
        print(c, out, e->a, B_POST);
        if (e->a->lanes > 1) text_printf(out, "[%" PRId64 "]", e->integer);
        return;
    }
}

void c_expr(EmitC *c, Text *out, const LExpr *e) {
    print(c, out, e, B_ANY);
}
