/* Expressions of the Loop IR as C: one case a node, and what stands before the statement.
 *
 * Macros of the prelude use an operand more than once, so what is not a plain variable there
 * becomes a constant of its own before the statement; so does an expression that the statement uses
 * twice. */
#include "c.h"

#include <inttypes.h>
#include <math.h>

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
    return e->kind == LE_OP && e->type == LT_I64 && e->b && !e->c &&
           scalar_op_info[e->op].kind == SK_ARITH && e->op != SOP_MIN && e->op != SOP_MAX &&
           is_leaf(e->a) && is_leaf(e->b);
}

bool c_by_lane(const LExpr *e) {
    /* gcc 12 makes poor code of __builtin_convertvector from and to narrow types. */
    return e->lanes > 1 && e->op == SOP_CONVERT &&
           (loop_type_size(e->type) < 4 || loop_type_size(e->a->type) < 4);
}

/* Whether operand `place` of `e` is printed more than once. */
static bool repeats(const LExpr *e, int place) {
    if (e->kind == LE_LANE) return true; /* not repeated, but a subscript wants a name before it */
    if (e->kind == LE_SPLAT)
        return !(e->a->kind == LE_LOAD && is_plain(e->a->a)) && e->a->kind != LE_LANE;
    if (e->kind == LE_LOAD) return e->integer != 0;
    if (e->kind != LE_OP) return false;
    if (e->op == SOP_MIN || e->op == SOP_MAX || c_by_lane(e)) return true;
    if (e->lanes == 1) return false;
    return e->op == SOP_FMA || e->op == SOP_MULHI || (e->op == SOP_SELECT && place == 0);
}

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
            prepare(c, operands[i],
                    repeats(e, i) && !is_plain(operands[i]) ? hint_of(c, operands[i]) : NULL);
    }
    CNode *node = node_of(c, e);
    if (!hint && node->uses > 1 && e->kind != LE_SPLAT && !is_plain(e)) hint = hint_of(c, e);
    if (!hint || node->name) return;
    Text line = text_new(c->arena);
    const char *name = c_declare(c, hint);
    text_printf(&line, "const %s %s = ", c_type(c, e->type, e->lanes), name);
    c_print(c, &line, e, B_ANY);
    text_puts(&line, ";");
    c_line(c, &line);
    node_of(c, e)->name = name;
}

void c_expr_prepare(EmitC *c, const LExpr *e, const char *hint) {
    if (e) prepare(c, e, hint);
}

/* ---- expressions ---- */

void c_element(EmitC *c, Text *out, int buffer, const LExpr *index, int lanes, bool aligned,
               bool written) {
    const char *name = c->buffers[buffer];
    LoopType type = c->function->buffers.at[buffer].type;
    if (lanes == 1) {
        text_printf(out, "%s[", name);
        c_print(c, out, index, B_ANY);
        text_puts(out, "]");
        return;
    }
    if (!aligned) c_use(c, type, lanes, USE_UNALIGNED);
    text_printf(out, "*(%s%s%s *)", written ? "" : "const ", c_type(c, type, lanes),
                aligned ? "" : "_any");
    bool start = index->kind == LE_INT && index->integer == 0;
    text_printf(out, start ? "%s" : "&%s[", name);
    if (start) return;
    c_print(c, out, index, B_ANY);
    text_puts(out, "]");
}

static void load_apart(EmitC *c, Text *out, const LExpr *e) {
    text_printf(out, "(%s){", c_type(c, e->type, e->lanes));
    for (int lane = 0; lane < e->lanes; lane++) {
        text_printf(out, "%s%s[", lane ? ", " : "", c->buffers[e->buffer]);
        c_print(c, out, e->a, lane ? B_ADD : B_ANY);
        if (lane) text_printf(out, " + %" PRId64, lane * e->integer);
        text_puts(out, "]");
    }
    text_puts(out, "}");
}

void c_print(EmitC *c, Text *out, const LExpr *e, Binding around) {
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
        c_open(out, negative ? B_UNARY : B_POST, around);
        c_number(out, e->type, e->number);
        c_close(out, negative ? B_UNARY : B_POST, around);
        return;
    }
    case LE_INT:
        c_open(out, e->integer < 0 ? B_UNARY : B_POST, around);
        c_integer(out, e->type, e->integer);
        c_close(out, e->integer < 0 ? B_UNARY : B_POST, around);
        return;
    case LE_VAR: text_puts(out, c->vars[e->var]); return;
    case LE_LOAD:
        if (e->integer) {
            load_apart(c, out, e);
            return;
        }
        c_open(out, e->lanes > 1 ? B_UNARY : B_POST, around);
        c_element(c, out, e->buffer, e->a, e->lanes, e->aligned, false);
        c_close(out, e->lanes > 1 ? B_UNARY : B_POST, around);
        return;
    case LE_OP: c_operation(c, out, e, around); return;
    case LE_SPLAT:
        c_use(c, e->type, e->lanes, USE_SPLAT);
        /* A mask of one lane is 0 or 1, in a vector 0 or all bits. */
        text_printf(out, "SPLAT_%sX%d(%s", c_element_upper(e->type), e->lanes,
                    c_is_mask(e->type) ? "-" : "");
        c_print(c, out, e->a, c_is_mask(e->type) ? B_POST : B_ANY);
        text_puts(out, ")");
        return;
    case LE_LANE:
        c_print(c, out, e->a, B_POST);
        if (e->a->lanes > 1) text_printf(out, "[%" PRId64 "]", e->integer);
        return;
    }
}

void c_expr(EmitC *c, Text *out, const LExpr *e) {
    c_print(c, out, e, B_ANY);
}
