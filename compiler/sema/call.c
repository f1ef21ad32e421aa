/* Calls: what stands before the parenthesis, arguments, and the elementwise functions. */
#include <math.h>

#include "sema/elab.h"

const Expr *call_arg(const Expr *call, int place, const char *name) {
    for (int i = 0; i < call->args.count; i++) {
        const Arg *arg = &call->args.at[i];
        if (arg->name == NULL ? i == place : name != NULL && strcmp(arg->name, name) == 0)
            return arg->value;
    }
    return NULL;
}

bool call_args(const Ctx *c, const Expr *call, int least, int most, const char *const *names) {
    const Expr *base = call->a->kind == EXPR_INDEX ? call->a->a : call->a;
    const char *function = base->name;
    int given = call->args.count;
    if (given < least || given > most) {
        if (least == most)
            sema_error(c, "E-SHAPE", call->span, "%s takes %d argument%s, not %d", function, least,
                       least == 1 ? "" : "s", given);
        else
            sema_error(c, "E-SHAPE", call->span, "%s takes %d to %d arguments, not %d", function,
                       least, most, given);
        return false;
    }
    for (int i = 1; i < given; i++)
        if (call->args.at[i].name == NULL && call->args.at[i - 1].name != NULL) {
            sema_error(c, "E-SHAPE", call->args.at[i].span,
                       "an argument by position stands behind a named one");
            return false;
        }
    for (int i = 0; i < given; i++) {
        const Arg *arg = &call->args.at[i];
        bool known = arg->name == NULL;
        for (int k = 0; !known && names != NULL && k < most; k++)
            known = names[k] != NULL && strcmp(names[k], arg->name) == 0 &&
                    (call_arg(call, k, NULL) == NULL || call->args.at[k].name != NULL);
        if (known) continue;
        sema_error(c, "E-NAME", arg->span, "%s has no further argument '%s'", function, arg->name);
        return false;
    }
    for (int k = 0; k < least; k++)
        if (call_arg(call, k, names == NULL ? NULL : names[k]) == NULL) {
            sema_error(c, "E-SHAPE", call->span, "argument %d of %s is not given", k + 1, function);
            return false;
        }
    return true;
}

const Value *float_operand(const Ctx *c, const Value *value, const char *name, Span span) {
    const Ty *type = &value->type;
    if (type->unknown) return value;
    if (type->dtype == DT_INT && !type->number && value->num.kind == NUM_NONE) {
        sema_error(c, "E-TYPE", span, "%s takes numbers, not %s; convert it with float(…)", name,
                   ty_text(c->e->arena, type, c->e->graph));
        return unknown_value(c);
    }
    return value_as(c, value, DT_FLOAT, span);
}

/* A function of a number known at compile time; false when it is left to the graph. */
static bool fold(Op op, double x, double *to) {
    if (op == OP_SQRT)
        *to = sqrt(x);
    else if (op == OP_RSQRT)
        *to = 1 / sqrt(x);
    else if (op == OP_EXP)
        *to = exp(x);
    else if (op == OP_LOG)
        *to = log(x);
    else if (op == OP_ABS)
        *to = fabs(x);
    else if (op == OP_FLOOR)
        *to = floor(x);
    else if (op == OP_SQUARE)
        *to = x * x;
    else if (op == OP_SIN)
        *to = sin(x);
    else if (op == OP_COS)
        *to = cos(x);
    else if (op == OP_SIGN)
        *to = x > 0 ? 1 : x < 0 ? -1 : 0;
    else if (op == OP_ERF)
        *to = erf(x);
    else if (op == OP_TANH)
        *to = tanh(x);
    else if (op == OP_SIGMOID)
        *to = 1 / (1 + exp(-x));
    else if (op == OP_SOFTPLUS)
        *to = (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    else if (op == OP_RELU)
        *to = x < 0 ? 0 : x;
    else
        return false;
    return true;
}

static const Value *number_or_integer(const Ctx *c, double x) {
    if (floor(x) == x && fabs(x) < 9007199254740992.0)
        return number_value(c, num_of_int(c->e->arena, (int64_t)x));
    return number_value(c, num_of_real(x));
}

static const Value *unary_function(const Ctx *c, const Expr *expr, Op op) {
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Value *value = elab(c, expr->args.at[0].value);
    double x, to;
    if (value->type.unknown) return value;
    if (op == OP_DETACH) {
        if (value->num.kind != NUM_NONE) return value;
        return emit_op(c, op, &value->type, 1, &value, NULL, expr->span);
    }
    if (op == OP_FLOAT) {
        Ty type = ty_shaped(ty_float(), &value->type);
        if (value->num.kind == NUM_INT || value->num.kind == NUM_REAL ||
            value->num.kind == NUM_OPEN)
            return value;
        if (value->num.kind == NUM_BOOL) return number_or_integer(c, value->num.truth ? 1 : 0);
        if (value->type.dtype == DT_FLOAT) return value;
        return emit_op(c, OP_FLOAT, &type, 1, &value, NULL, expr->span);
    }
    if (value->num.kind != NUM_NONE && value->type.pointer == PTR_NONE) {
        if (!num_double(&value->num, &x)) return number_value(c, num_open());
        if (fold(op, x, &to)) return number_or_integer(c, to);
    }
    value = float_operand(c, value, op_info[op].text, expr->args.at[0].span);
    Ty type = ty_shaped(ty_float(), &value->type);
    return emit_op(c, op, &type, 1, &value, NULL, expr->span);
}

const Value *pair_op(const Ctx *c, Op op, const Value *a, const Value *b, const char *name,
                     Span span) {
    if (a->type.unknown || b->type.unknown) return unknown_value(c);
    bool numbers = a->num.kind != NUM_NONE && b->num.kind != NUM_NONE;
    double x, y;
    if (numbers && (op == OP_MIN || op == OP_MAX)) {
        if (!num_double(&a->num, &x) || !num_double(&b->num, &y))
            return number_value(c, num_open());
        return (op == OP_MIN) == (x <= y) ? a : b;
    }
    if (numbers && op == OP_LOGADDEXP && a->type.pointer == PTR_NONE &&
        b->type.pointer == PTR_NONE && num_double(&a->num, &x) && num_double(&b->num, &y)) {
        double most = x > y ? x : y, gap = fabs(x - y);
        return number_or_integer(c, isfinite(gap) ? most + log1p(exp(-gap)) : most);
    }
    if (op == OP_ADD) return binary_op(c, AST_ADD, a, b, span);
    bool ints = a->type.dtype == DT_INT && b->type.dtype == DT_INT && op != OP_LOGADDEXP &&
                (a->type.number || a->num.kind != NUM_NONE) &&
                (b->type.number || b->num.kind != NUM_NONE);
    Ty type = {.dtype = ints ? DT_INT : DT_FLOAT, .number = ints};
    a = ints ? value_as(c, a, DT_INT, span) : float_operand(c, a, name, span);
    b = ints ? value_as(c, b, DT_INT, span) : float_operand(c, b, name, span);
    if (!ty_join_shape(&a->type, &b->type, &type)) {
        sema_error(c, "E-SHAPE", span,
                   "%s takes equal shapes (a dimension may be 1) or a scalar, not "
                   "%s and %s",
                   name, ty_shape_text(c->e->arena, &a->type),
                   ty_shape_text(c->e->arena, &b->type));
        return unknown_value(c);
    }
    const Value *in[2] = {a, b};
    return emit_op(c, op, &type, 2, in, NULL, span);
}

static const Value *slope_function(const Ctx *c, const Expr *expr, Op op) {
    static const char *const names[] = {"x", "a"};
    if (!call_args(c, expr, 1, 2, names)) return unknown_value(c);
    const Expr *slope = call_arg(expr, 1, "a");
    const Value *x = elab(c, call_arg(expr, 0, "x"));
    const Value *a =
        slope == NULL ? number_value(c, num_of_real(op == OP_ELU ? 1 : 0.01)) : elab(c, slope);
    if (x->num.kind != NUM_NONE) x = float_operand(c, x, op_info[op].text, expr->span);
    return pair_op(c, op, x, a, op_info[op].text, expr->span);
}

static const Value *clip(const Ctx *c, const Expr *expr) {
    static const char *const names[] = {"x", "lo", "hi"};
    if (!call_args(c, expr, 3, 3, names)) return unknown_value(c);
    const Value *in[3];
    Ty type = ty_float();
    bool numbers = true;
    double x[3] = {0};
    for (int i = 0; i < 3; i++) {
        in[i] = elab(c, call_arg(expr, i, names[i]));
        numbers &= in[i]->type.pointer == PTR_NONE && num_double(&in[i]->num, &x[i]);
    }
    if (numbers) return number_or_integer(c, x[0] < x[1] ? x[1] : x[0] > x[2] ? x[2] : x[0]);
    for (int i = 0; i < 3; i++) {
        const Expr *arg = call_arg(expr, i, names[i]);
        in[i] = float_operand(c, in[i], "clip", arg->span);
        if (in[i]->type.unknown) return in[i];
        if (i == 0)
            type = ty_shaped(type, &in[i]->type);
        else if (!ty_join_shape(&type, &in[i]->type, &type)) {
            sema_error(c, "E-SHAPE", arg->span, "clip of %s between bounds of shape %s",
                       ty_shape_text(c->e->arena, &in[0]->type),
                       ty_shape_text(c->e->arena, &in[i]->type));
            return unknown_value(c);
        }
    }
    return emit_op(c, OP_CLIP, &type, 3, in, NULL, expr->span);
}

static const Value *length_of(const Ctx *c, const Expr *expr) {
    if (!call_args(c, expr, 1, 1, NULL)) return unknown_value(c);
    const Expr *arg = expr->args.at[0].value;
    const IndexName *index = arg->kind == EXPR_NAME ? find_index(c, arg->name) : NULL;
    if (index == NULL) {
        sema_error(c, "E-TIME", arg->span, "len takes a time index");
        return unknown_value(c);
    }
    refuse_carry(c, expr->span, "the length of a sequence is read");
    Attr attr = {.slot = c->e->graph->indices.at[index->index].axis};
    if (c->e->graph->axes.at[attr.slot].fixed != 0)
        return number_value(c, (Num){.kind = NUM_INT, .integer = axis_length(c, attr.slot)});
    Ty type = {.dtype = DT_INT, .number = true};
    return emit_op(c, OP_LENGTH, &type, 0, NULL, &attr, expr->span);
}

static const struct {
    const char *name;
    Op op;
} unary_table[] = {{"sigmoid", OP_SIGMOID},
                   {"tanh", OP_TANH},
                   {"relu", OP_RELU},
                   {"gelu", OP_GELU},
                   {"silu", OP_SILU},
                   {"softplus", OP_SOFTPLUS},
                   {"softsign", OP_SOFTSIGN},
                   {"hard_sigmoid", OP_HARD_SIGMOID},
                   {"hard_tanh", OP_HARD_TANH},
                   {"exp", OP_EXP},
                   {"log", OP_LOG},
                   {"sqrt", OP_SQRT},
                   {"rsqrt", OP_RSQRT},
                   {"abs", OP_ABS},
                   {"sign", OP_SIGN},
                   {"floor", OP_FLOOR},
                   {"erf", OP_ERF},
                   {"sin", OP_SIN},
                   {"cos", OP_COS},
                   {"square", OP_SQUARE},
                   {"detach", OP_DETACH},
                   {"float", OP_FLOAT}};

static const Value *plain_function(const Ctx *c, const Expr *expr, Name name) {
    for (size_t i = 0; i < sizeof unary_table / sizeof *unary_table; i++)
        if (strcmp(unary_table[i].name, name) == 0)
            return unary_function(c, expr, unary_table[i].op);
    bool low = strcmp(name, "min") == 0;
    if ((low || strcmp(name, "max") == 0) && expr->args.count == 2 &&
        expr->args.at[1].name == NULL) {
        const Value *a = elab(c, expr->args.at[0].value), *b = elab(c, expr->args.at[1].value);
        return pair_op(c, low ? OP_MIN : OP_MAX, a, b, name, expr->span);
    }
    if (strcmp(name, "logaddexp") == 0) {
        if (!call_args(c, expr, 2, 2, NULL)) return unknown_value(c);
        const Value *a = elab(c, expr->args.at[0].value), *b = elab(c, expr->args.at[1].value);
        return pair_op(c, OP_LOGADDEXP, a, b, name, expr->span);
    }
    if (strcmp(name, "leaky_relu") == 0) return slope_function(c, expr, OP_LEAKY_RELU);
    if (strcmp(name, "elu") == 0) return slope_function(c, expr, OP_ELU);
    if (strcmp(name, "clip") == 0) return clip(c, expr);
    if (strcmp(name, "len") == 0) return length_of(c, expr);
    if (strcmp(name, "dropout") == 0) {
        if (c->body == NULL) {
            sema_error(c, "E-TYPE", expr->span, "dropout stands in an equation");
            return unknown_value(c);
        }
        return elab_dropout(c, expr);
    }
    return elab_tensor_call(c, expr, name, NULL);
}

const Value *elab_call(const Ctx *c, const Expr *expr) {
    const Expr *base = expr->a;
    const Expr *name = base != NULL && base->kind == EXPR_INDEX ? base->a : base;
    if (name == NULL || name->kind != EXPR_NAME) {
        if (name != NULL && name->kind != EXPR_ERROR)
            sema_error(c, "E-NAME", expr->span, "only instances, models and functions are applied");
        return unknown_value(c);
    }
    if (is_application(c, base)) {
        const Model *model = NULL;
        const Value *const *outputs = elab_application(c, expr, &model);
        return outputs == NULL ? unknown_value(c) : outputs[0];
    }
    if (!is_function(name->name)) {
        for (int i = 0; i < expr->args.count; i++) elab(c, expr->args.at[i].value);
        Num num;
        const Base *found = c->body == NULL ? NULL : find_base(c, name->name);
        if (found != NULL && found->kind == BASE_REFUSED) return unknown_value(c);
        bool known = found != NULL || find_number(c, name->name, &num);
        const Model *model =
            c->body == NULL || known ? NULL : find_model(c, name->name, name->span);
        if (model != NULL)
            refuse_uninstanced(c, expr, model);
        else if (c->body == NULL || known)
            sema_error(c, "E-NAME", name->span, "'%s' is no instance, model or function",
                       name->name);
        else
            name_error(c, name->name, name->span);
        return unknown_value(c);
    }
    if (base->kind == EXPR_INDEX) {
        bool sized = false;
        static const char *const sizes[] = {"conv", "maxpool", "avgpool", "reshape", "onehot"};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            sized |= strcmp(sizes[i], name->name) == 0;
        return sized ? elab_tensor_call(c, expr, name->name, &base->entries)
                     : elab_reduction(c, expr, name->name, &base->entries);
    }
    return plain_function(c, expr, name->name);
}
