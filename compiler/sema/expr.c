/* Expressions: names, operators, `if`. */
#include "sema/elab.h"

#include <math.h>

const char *elab_no_integer(const Ctx *c, const Expr *expr, double number) {
    bool written = expr != NULL && expr->kind == EXPR_NUMBER;
    double limit = written ? 9007199254740992.0 : 9223372036854775808.0;
    if (floor(number) == number && number >= limit)
        return arena_printf(c->e->arena, "%.17g when it should be below %.0f%s", number, limit,
                            written ? ", as every integer that is written" : "");
    return arena_printf(c->e->arena, "%g when it should be an integer", number);
}

const Poly *elab_size(const Ctx *c, const Expr *expr, const char *what) {
    const Value *value = elab(c, expr);
    if (value->type.unknown || value->num.kind == NUM_OPEN) return NULL;
    if (value->num.kind == NUM_INT) {
        if (value->num.integer == NULL && c->e->emit)
            sema_error(c, "E-LIMIT", expr->span, "%s is beyond 64 bits", what);
        return value->num.integer;
    }
    double number;
    if (value->num.kind == NUM_REAL && num_double(&value->num, &number))
        sema_error(c, "E-TYPE", expr->span, "%s is %s", what, elab_no_integer(c, expr, number));
    else
        sema_error(c, "E-TYPE", expr->span, "%s should be an integer known at compile time", what);
    return NULL;
}

bool elab_integer(const Ctx *c, const Expr *expr, const char *what, int64_t *value, bool *open) {
    int errors = c->e->diags->errors;
    const Poly *poly = elab_size(c, expr, what);
    if (poly_value(poly, value)) return true;
    *open = !c->e->emit && c->e->diags->errors == errors;
    return false;
}

static Op graph_op(AstOp op) {
    switch (op) {
    case AST_OR: return OP_OR;
    case AST_AND: return OP_AND;
    case AST_NOT: return OP_NOT;
    case AST_LT: return OP_LT;
    case AST_LE: return OP_LE;
    case AST_GT: return OP_GT;
    case AST_GE: return OP_GE;
    case AST_EQ: return OP_EQ;
    case AST_NE: return OP_NE;
    case AST_ADD: return OP_ADD;
    case AST_SUB: return OP_SUB;
    case AST_MUL: return OP_MUL;
    case AST_DIV: return OP_DIV;
    case AST_MOD: return OP_MOD;
    case AST_MATMUL: return OP_MATMUL;
    case AST_POW: return OP_POW;
    case AST_NEG: return OP_NEG;
    }
    return OP_ADD;
}

static const Value *shape_error(const Ctx *c, const char *op, const Value *a, const Value *b,
                                Span span) {
    sema_error(c, "E-SHAPE", span,
               "'%s' takes equal shapes (a dimension may be 1) or a scalar, not "
               "%s and %s",
               op, ty_shape_text(c->e->arena, &a->type), ty_shape_text(c->e->arena, &b->type));
    return unknown_value(c);
}

/* At a definition a bracket parameter is an unknown that may turn out to be a bool. */
static bool may_be_bool(const Ctx *c, const Value *value) {
    int64_t known;
    return !c->e->emit && value->num.kind == NUM_INT && !poly_value(value->num.integer, &known);
}

static const Value *logic(const Ctx *c, AstOp op, const Value *a, const Value *b, Span span) {
    const Value *sides[2] = {a, b};
    if (may_be_bool(c, a) || may_be_bool(c, b)) return unknown_value(c);
    for (int i = 0; i < 2; i++) {
        if (sides[i]->type.dtype != DT_BOOL &&
            !(sides[i]->num.kind == NUM_OPEN && !sides[i]->num.mode)) {
            sema_error(c, "E-TYPE", span, "'%s' takes bools, not %s", ast_op_text(op),
                       ty_text(c->e->arena, &sides[i]->type, c->e->graph));
            return unknown_value(c);
        }
    }
    bool mode = a->num.mode && b->num.mode;
    for (int i = 0; i < 2; i++) {
        const Value *known = sides[i], *other = sides[1 - i];
        if (known->num.kind != NUM_BOOL) continue;
        /* false and x, true or x: x does not matter, and the result has no shape of it. */
        if (known->num.truth == (op == AST_OR)) {
            Num num = known->num;
            num.mode = other->num.kind == NUM_NONE ? known->num.mode : mode || known->num.mode;
            return number_value(c, num);
        }
        if (other->num.kind != NUM_BOOL) return other;
        Num num = other->num;
        num.mode = known->num.mode || other->num.mode;
        return number_value(c, num);
    }
    if (a->num.kind == NUM_OPEN && b->num.kind == NUM_OPEN) {
        Num num = num_open();
        num.mode = a->num.mode || b->num.mode;
        return number_value(c, num);
    }
    /* A mode beside a run-time condition: the type is that of the condition. */
    if (a->num.kind == NUM_OPEN) return b;
    if (b->num.kind == NUM_OPEN) return a;
    Ty type = ty_bool();
    if (!ty_join_shape(&a->type, &b->type, &type))
        return shape_error(c, ast_op_text(op), a, b, span);
    return emit_op(c, graph_op(op), &type, 2, sides, NULL, span);
}

static bool arithmetic_operand(const Ctx *c, const Value *a, AstOp op, Span span) {
    if (a->type.dtype != DT_INT || a->type.number || a->num.kind != NUM_NONE) return true;
    sema_error(c, "E-TYPE", span, "'%s' takes numbers, not %s; convert it with float(…)",
               ast_op_text(op), ty_text(c->e->arena, &a->type, c->e->graph));
    return false;
}

static const Value *comparison(const Ctx *c, AstOp op, const Value *a, const Value *b, Span span) {
    Ty type = ty_bool();
    bool bools = a->type.dtype == DT_BOOL && b->type.dtype == DT_BOOL;
    bool ints = a->type.dtype == DT_INT && b->type.dtype == DT_INT;
    if (!ty_join_shape(&a->type, &b->type, &type))
        return shape_error(c, ast_op_text(op), a, b, span);
    if (!bools && !ints &&
        !(arithmetic_operand(c, a, op, span) && arithmetic_operand(c, b, op, span)))
        return unknown_value(c);
    if (bools && op != AST_EQ && op != AST_NE) {
        sema_error(c, "E-TYPE", span, "bools have no order; '%s' takes numbers", ast_op_text(op));
        return unknown_value(c);
    }
    DType as = bools ? DT_BOOL : ints ? DT_INT : DT_FLOAT;
    const Value *in[2] = {value_as(c, a, as, span), value_as(c, b, as, span)};
    return emit_op(c, graph_op(op), &type, 2, in, NULL, span);
}

const Value *binary_op(const Ctx *c, AstOp op, const Value *a, const Value *b, Span span) {
    if (a->type.unknown || b->type.unknown) return unknown_value(c);
    if (op == AST_AND || op == AST_OR) return logic(c, op, a, b, span);
    if (a->num.kind != NUM_NONE && b->num.kind != NUM_NONE && a->type.pointer == PTR_NONE &&
        b->type.pointer == PTR_NONE) {
        Value *value = arena_copy(
            c->e->arena, number_value(c, num_binary(c, op, &a->num, &b->num, span)), sizeof *value);
        if (is_comparison(op)) value->type = ty_bool();
        value->num.mode = false;
        return value;
    }
    if (is_comparison(op)) return comparison(c, op, a, b, span);
    if (!arithmetic_operand(c, a, op, span) || !arithmetic_operand(c, b, op, span))
        return unknown_value(c);
    bool ints =
        a->type.dtype == DT_INT && b->type.dtype == DT_INT && op != AST_DIV && op != AST_POW;
    Ty type = {.dtype = ints ? DT_INT : DT_FLOAT, .number = ints};
    if (!ty_join_shape(&a->type, &b->type, &type))
        return shape_error(c, ast_op_text(op), a, b, span);
    /* A position modulo k is below k, and may pick from k entries. */
    int64_t divisor;
    if (op == AST_MOD && ints && b->num.kind == NUM_INT &&
        (!poly_value(b->num.integer, &divisor) || (divisor >= 1 && divisor <= INT32_MAX)))
        type.bound = b->num.integer;
    const Value *in[2] = {value_as(c, a, type.dtype, span), value_as(c, b, type.dtype, span)};
    return emit_op(c, graph_op(op), &type, 2, in, NULL, span);
}

/* Where an operand that is a parameter is declared. */
static void note_operand(const Ctx *c, Diag *diag, const Expr *expr) {
    while (expr != NULL && (expr->kind == EXPR_INDEX || expr->kind == EXPR_FIELD)) expr = expr->a;
    const Base *base = expr != NULL && expr->kind == EXPR_NAME ? find_base(c, expr->name) : NULL;
    if (base != NULL && base->kind == BASE_PARAM)
        sema_note(c, diag, base->span, "'%s' is declared here", base->name);
}

const Value *matmul(const Ctx *c, const Value *a, const Value *b, const Expr *at, bool quiet) {
    Span span = at->span;
    Ty type = ty_float();
    const Ty *x = &a->type, *y = &b->type;
    if (x->unknown || y->unknown) return unknown_value(c);
    bool ranks =
        x->rank >= 1 && x->rank <= 2 && y->rank >= 1 && y->rank <= 2 && x->rank + y->rank > 2;
    bool right = ranks && poly_compare(x->dim[x->rank - 1], y->dim[0]) != POLY_DIFFERENT;
    if (!right && !quiet) {
        Diag *diag =
            sema_error(c, "E-SHAPE", span,
                       ranks ? "'@' of %s and %s: inner dimensions differ"
                             : "'@' takes [m,k]@[k], [m,k]@[k,n] or [k]@[k,n], not %s and %s",
                       shape_values(c, x), shape_values(c, y));
        Ty inner[2] = {{.rank = 1, .dim = {x->dim[ranks ? x->rank - 1 : 0]}},
                       {.rank = 1, .dim = {y->dim[0]}}};
        if (ranks) note_free_size(c, diag, &inner[0], &inner[1]);
        note_operand(c, diag, at->a);
        note_operand(c, diag, at->b);
    }
    if (!right) return quiet ? NULL : unknown_value(c);
    if (x->rank == 2) type.dim[type.rank++] = x->dim[0];
    if (y->rank == 2) type.dim[type.rank++] = y->dim[1];
    if (quiet) return unknown_value(c);
    if (!arithmetic_operand(c, a, AST_MATMUL, span) || !arithmetic_operand(c, b, AST_MATMUL, span))
        return unknown_value(c);
    const Value *in[2] = {value_as(c, a, DT_FLOAT, span), value_as(c, b, DT_FLOAT, span)};
    return emit_op(c, OP_MATMUL, &type, 2, in, NULL, span);
}

/* `a * B @ c` is a * (B @ c); where (a * B) @ c has a type too, the reader may be misled. */
static const Value *product(const Ctx *c, const Expr *expr) {
    const Expr *right = expr->b;
    const Value *a = elab(c, expr->a);
    bool bare = right->kind == EXPR_BINARY && right->op == AST_MATMUL && right->parens == 0;
    if (!bare) return binary_op(c, AST_MUL, a, elab(c, right), expr->span);
    const Value *b = elab(c, right->a), *v = elab(c, right->b);
    const Value *m = matmul(c, b, v, right, false);
    Value joined = *b;
    Ty type = ty_float();
    bool other = !a->type.unknown && !b->type.unknown && !v->type.unknown && a->type.rank > 0 &&
                 ty_join_shape(&a->type, &b->type, &joined.type) &&
                 matmul(c, &joined, v, expr, true) != NULL;
    if (!other || m->type.unknown) return binary_op(c, AST_MUL, a, m, expr->span);
    if (!ty_join_shape(&a->type, &m->type, &type)) {
        Diag *diag =
            sema_error(c, "E-SHAPE", expr->span, "'*' of %s and %s: '@' binds tighter than '*'",
                       ty_shape_text(c->e->arena, &a->type), ty_shape_text(c->e->arena, &m->type));
        sema_note(c, diag, right->span,
                  "this is computed first; the other reading needs parentheses");
        return unknown_value(c);
    }
    diag_warning(
        c->e->diags, "W-PREC", expr->span,
        "'@' binds tighter than '*', and here both readings have a type; write parentheses");
    return binary_op(c, AST_MUL, a, m, expr->span);
}

static const Value *unary(const Ctx *c, const Expr *expr) {
    const Value *a = elab(c, expr->a);
    if (a->type.unknown) return a;
    if (expr->op == AST_NOT && may_be_bool(c, a)) return unknown_value(c);
    if (expr->op == AST_NOT) {
        if (a->type.dtype != DT_BOOL) {
            sema_error(c, "E-TYPE", expr->span, "'not' takes a bool, not %s",
                       ty_text(c->e->arena, &a->type, c->e->graph));
            return unknown_value(c);
        }
        Num num = a->num;
        num.truth = !num.truth;
        if (a->num.kind != NUM_NONE) {
            Value *value = arena_copy(c->e->arena, number_value(c, num), sizeof *value);
            value->type = ty_bool();
            return value;
        }
        return emit_op(c, OP_NOT, &a->type, 1, &a, NULL, expr->span);
    }
    if (a->num.kind != NUM_NONE && a->type.pointer == PTR_NONE) {
        Num zero = num_of_int(c->e->arena, 0);
        if (a->num.kind == NUM_REAL) return number_value(c, num_of_real(-a->num.real));
        return number_value(c, num_binary(c, AST_SUB, &zero, &a->num, expr->span));
    }
    if (!arithmetic_operand(c, a, AST_NEG, expr->span)) return unknown_value(c);
    Ty type = ty_shaped(ty_float(), &a->type);
    if (a->type.dtype == DT_INT) type.dtype = DT_INT, type.number = true;
    a = value_as(c, a, type.dtype, expr->span);
    return emit_op(c, OP_NEG, &type, 1, &a, NULL, expr->span);
}

/* The type of a branch; a literal may be int or real. */
static const char *branch_text(const Ctx *c, const Value *value) {
    bool number = value->num.kind == NUM_INT || value->num.kind == NUM_REAL;
    return number && value->type.pointer == PTR_NONE
               ? "a number"
               : ty_text(c->e->arena, &value->type, c->e->graph);
}

static const Value *branch_error(const Ctx *c, const char *code, const Expr *expr, const Value *a,
                                 const Value *b) {
    Diag *diag = sema_error(c, code, expr->span, "the branches of 'if' are %s and %s",
                            branch_text(c, a), branch_text(c, b));
    sema_note(c, diag, expr->b->span, "then");
    sema_note(c, diag, expr->c->span, "else");
    return unknown_value(c);
}

static const Value *mode_choice(const Ctx *c, const Expr *expr, const Value *condition) {
    const Value *a = elab(c, expr->b), *b = elab(c, expr->c);
    Ty type;
    if (!a->type.unknown && !b->type.unknown &&
        (!join_types(c, a, b, &type) || !ty_same_shape(&a->type, &b->type)))
        return branch_error(c, "E-MODE", expr, a, b);
    if (condition->num.kind == NUM_BOOL) return condition->num.truth ? a : b;
    if (a->type.unknown || b->type.unknown) return unknown_value(c);
    Value *value = arena_copy(c->e->arena, a, sizeof *value);
    value->type = ty_shaped(type, &a->type);
    value->num =
        (Num){.kind = a->num.kind != NUM_NONE && b->num.kind != NUM_NONE ? NUM_OPEN : NUM_NONE};
    for (int i = 0; i < b->count; i++) value_add_index(c, value, b->index[i], expr->span);
    return value;
}

static const Value *choice(const Ctx *c, const Expr *expr) {
    const Value *condition = elab(c, expr->a);
    if (condition->type.unknown) return condition;
    if (may_be_bool(c, condition)) return unknown_value(c);
    bool compile_time = condition->num.kind != NUM_NONE;
    if (condition->type.dtype != DT_BOOL && condition->num.kind != NUM_OPEN) {
        sema_error(c, "E-TYPE", expr->a->span, "a condition is bool, not %s",
                   ty_text(c->e->arena, &condition->type, c->e->graph));
        return unknown_value(c);
    }
    if (compile_time && condition->num.mode) return mode_choice(c, expr, condition);
    if (condition->num.kind == NUM_BOOL) return elab(c, condition->num.truth ? expr->b : expr->c);
    if (compile_time) return unknown_value(c); /* which branch counts is for the instance to say */
    const Value *a = elab(c, expr->b), *b = elab(c, expr->c);
    if (a->type.unknown || b->type.unknown) return unknown_value(c);
    Ty type, joined;
    if (!join_types(c, a, b, &type)) return branch_error(c, "E-TYPE", expr, a, b);
    joined = type;
    if (!ty_join_shape(&a->type, &b->type, &joined) ||
        !ty_join_shape(&joined, &condition->type, &joined))
        return branch_error(c, "E-SHAPE", expr, a, b);
    Ty left = ty_shaped(type, &a->type), right = ty_shaped(type, &b->type);
    const Value *in[3] = {condition, flow(c, a, &left, false, expr->b->span, "a branch", (Span){0}),
                          flow(c, b, &right, false, expr->c->span, "a branch", (Span){0})};
    return emit_op(c, OP_SELECT, &joined, 3, in, NULL, expr->span);
}

static const Value *index_value(const Ctx *c, const IndexName *name, Span span) {
    const Graph *graph = c->e->graph;
    Ty type = {.dtype = DT_INT, .number = true};
    type.bound = axis_length(c, graph->indices.at[name->index].axis);
    Attr attr = {.index = name->index,
                 .mirrored = index_mirrored(c->body, name->index),
                 .carry = c->body->carry};
    if (attr.mirrored) refuse_carry(c, span, "a position from the end is read");
    Value *value =
        arena_copy(c->e->arena, emit_op(c, OP_INDEX, &type, 0, NULL, &attr, span), sizeof *value);
    value_add_index(c, value, name->index, span);
    return value;
}

static const Value *elab_name(const Ctx *c, const Expr *expr) {
    Num num;
    if (find_number(c, expr->name, &num)) return number_value(c, num);
    const IndexName *index = find_index(c, expr->name);
    if (index != NULL) return index_value(c, index, expr->span);
    const Base *base = find_base(c, expr->name);
    if (base != NULL && base->kind == BASE_REFUSED) return unknown_value(c);
    if (base == NULL && strcmp(expr->name, "first") == 0) {
        Value *value =
            arena_copy(c->e->arena, number_value(c, num_of_int(c->e->arena, 0)), sizeof *value);
        value->type = (Ty){.dtype = DT_INT, .pointer = PTR_POS, .axis = -1};
        return value;
    }
    if (base == NULL || base->kind == BASE_LOOP || base->kind == BASE_SIZE ||
        base->kind == BASE_INDEX) {
        if (c->file != NULL && find_model(c, expr->name, expr->span) != NULL)
            sema_error(c, "E-NAME", expr->span, "'%s' is a model and stands for no value",
                       expr->name);
        else if (is_function(expr->name) && base == NULL)
            sema_error(c, "E-NAME", expr->span, "'%s' is a function and takes arguments",
                       expr->name);
        else if (strcmp(expr->name, "last") == 0)
            sema_error(c, "E-TIME", expr->span, "'last' stands in a time slot only");
        else
            name_error(c, expr->name, expr->span);
        return unknown_value(c);
    }
    if (base->kind == BASE_USE) {
        Diag *diag = sema_error(c, "E-NAME", expr->span,
                                "'%s' is an instance; apply it to its inputs", expr->name);
        sema_note(c, diag, base->span, "declared here");
        return unknown_value(c);
    }
    if (base->entries > 0) {
        Diag *diag = sema_error(c, "E-INDEX", expr->span, "'%s' is read with %s, not without",
                                expr->name, counted(c, base->entries, "index", "indices"));
        sema_note(c, diag, base->span, "declared here");
        return unknown_value(c);
    }
    const ParamDecl *param = map_get(&c->body->params, expr->name);
    if (param != NULL) return param_value(c, param->param, expr->span);
    Var *var = find_var(c, expr->name);
    return var == NULL ? unknown_value(c) : read_var(c, var, 0, NULL, expr->span);
}

static const Value *elab_field(const Ctx *c, const Expr *expr) {
    const Expr *base = expr->a->kind == EXPR_INDEX ? expr->a->a : expr->a;
    if (base != NULL && base->kind == EXPR_NAME) {
        const Base *known = find_base(c, base->name);
        if (known != NULL && known->kind == BASE_USE) return instance_param(c, expr, NULL);
    }
    const Value *a = elab(c, expr->a);
    if (a->type.unknown) return a;
    if (strcmp(expr->name, "T") != 0) {
        sema_error(c, "E-NAME", expr->span, "a value has no field '%s'; '.T' transposes",
                   expr->name);
        return unknown_value(c);
    }
    if (a->type.rank != 2) {
        sema_error(c, "E-SHAPE", expr->span, "'.T' takes a matrix, not %s",
                   ty_shape_text(c->e->arena, &a->type));
        return unknown_value(c);
    }
    Ty type = a->type;
    type.dim[0] = a->type.dim[1];
    type.dim[1] = a->type.dim[0];
    return emit_op(c, OP_TRANSPOSE, &type, 1, &a, NULL, expr->span);
}

const Value *elab(const Ctx *c, const Expr *expr) {
    if (expr == NULL || !frame_enter(c, expr->span)) return unknown_value(c);
    const Value *value = NULL;
    switch (expr->kind) {
    case EXPR_NUMBER:
        value = number_value(c, expr->integer ? num_of_int(c->e->arena, (int64_t)expr->number)
                                              : num_of_real(expr->number));
        break;
    case EXPR_NAME: value = elab_name(c, expr); break;
    case EXPR_UNARY: value = unary(c, expr); break;
    case EXPR_BINARY:
        if (expr->op == AST_MUL)
            value = product(c, expr);
        else {
            const Value *a = elab(c, expr->a), *b = elab(c, expr->b);
            value = expr->op == AST_MATMUL ? matmul(c, a, b, expr, false)
                                           : binary_op(c, expr->op, a, b, expr->span);
        }
        break;
    case EXPR_IF: value = choice(c, expr); break;
    case EXPR_INDEX: value = elab_index(c, expr); break;
    case EXPR_CALL: value = elab_call(c, expr); break;
    case EXPR_FIELD: value = elab_field(c, expr); break;
    case EXPR_ERROR: break;
    }
    frame_leave(c);
    return value == NULL ? unknown_value(c) : value;
}
