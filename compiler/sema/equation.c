/* Equations: the value of a right-hand side into its variable, `every`, draws, losses and stops. */
#include "sema/elab.h"

/* The indices of a body at which a variable exists: the outer ones, then its own. */
static Value *var_value(const Ctx *c, const Var *var) {
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->type = var->type;
    value->node = var->node;
    for (int i = 0; i < c->body->outer_count; i++)
        value_add_index(c, value, c->body->outer[i], var->span);
    for (int k = 0; k < var->count; k++) value_add_index(c, value, var->index[k], var->span);
    return value;
}

int var_node(const Ctx *c, Var *var) {
    if (var->node >= 0 || !c->e->emit || var->type.unknown) return var->node;
    Value *value = var_value(c, var);
    int domain[MAX_DOMAIN], hole = -1;
    for (int i = 0; i < value->count; i++) {
        int at = i;
        for (; at > 0 && domain[at - 1] > value->index[i]; at--) domain[at] = domain[at - 1];
        domain[at] = value->index[i];
    }
    Type type = graph_type_of(c, &var->type, var->span);
    var->node = graph_add(c->e->graph, OP_VAR, type, value->count, domain, 1, &hole, NULL,
                          body_place(c, var->span));
    c->e->graph->nodes.at[var->node]->name = sema_join(c, c->body->path, var->key);
    return var->node;
}

bool var_need_type(const Ctx *c, Var *var, Span span) {
    if (var->typed) return !var->type.unknown;
    if (var->eq == NULL) return false;
    if (var->eq->state == EQ_ACTIVE) {
        Diag *diag = sema_error(c, "E-SHAPE", span, "'%s' is recursive and needs a declared shape",
                                var->source);
        sema_note(c, diag, var->span, "write it here, or in a 'state' or the header");
        var->typed = true;
        var->type = ty_unknown();
        return false;
    }
    if (!frame_enter(c, span)) return false;
    elab_equation(c->e, var->eq);
    frame_leave(c);
    return var->typed && !var->type.unknown;
}

const Value *var_boundary(const Ctx *c, Var *var) {
    if (var->boundary_value != NULL) return var->boundary_value;
    if (var->boundary_active) {
        sema_error(c, "E-CAUSAL", var->boundary->span,
                   "the boundary value of '%s' depends on itself", var->source);
        return unknown_value(c);
    }
    if (!frame_enter(c, var->boundary->span)) return unknown_value(c);
    var->boundary_active = true;
    Eq *eq = ARENA_NEW(c->e->arena, Eq);
    eq->label = sema_name(c, arena_printf(c->e->arena, "%s.init", var->key));
    eq->body = c->body;
    eq->env = var->boundary_env;
    eq->aside = var->boundary;
    Ctx inner = *c;
    inner.env = var->boundary_env;
    inner.eq = eq;
    const Value *value = elab(&inner, var->boundary);
    const char *what = arena_printf(c->e->arena, "the boundary value of '%s'", var->source);
    value = flow(c, value, &var->type, true, var->boundary->span, what, var->type_span);
    for (int i = 0; i < value->count && !value->type.unknown; i++) {
        bool own = false;
        for (int k = 0; k < var->count; k++) own |= var->index[k] == value->index[i];
        for (int k = 0; k < c->body->outer_count; k++) own |= c->body->outer[k] == value->index[i];
        if (own) continue;
        Name name = c->e->graph->indices.at[value->index[i]].name;
        sema_error(c, "E-TIME", find_name_in(var->boundary, name, var->boundary->span),
                   "the boundary value of '%s' depends on '%s', which is no index of it",
                   var->source, name);
        value = unknown_value(c);
    }
    var->boundary_active = false;
    var->boundary_value = value;
    frame_leave(c);
    return value;
}

/* Indices on the right that are neither on the left nor outer. */
static bool check_indices(const Ctx *c, const Value *value, const Var *var, const Expr *expr) {
    for (int i = 0; i < value->count; i++) {
        bool known = false;
        for (int k = 0; k < var->count; k++) known |= var->index[k] == value->index[i];
        for (int k = 0; k < c->body->outer_count; k++)
            known |= c->body->outer[k] == value->index[i];
        if (known) continue;
        Name name = c->e->graph->indices.at[value->index[i]].name;
        const char *dot = strrchr(name, '.');
        Name local = sema_name(c, dot == NULL ? name : dot + 1);
        Diag *diag = sema_error(c, "E-TIME", find_name_in(expr, local, expr->span),
                                "'%s' is used on the right and is no index of '%s'; reduce over it "
                                "or read a position",
                                local, var->source);
        sema_note(c, diag, var->span, "the left-hand side");
        return false;
    }
    return true;
}

/* `every P`: the value at the ticks, and between them the variable's own last value. */
static const Value *hold(const Ctx *c, Var *var, const Value *value) {
    const Expr *every = c->eq->stmt->every;
    bool open = false;
    int64_t period = 0;
    const Value *p = elab(c, every);
    if (p->type.unknown) return value;
    open = !c->e->emit && !num_int(&p->num, &period) &&
           (p->num.kind == NUM_INT || p->num.kind == NUM_OPEN);
    if (!open && (!num_int(&p->num, &period) || period < 1)) {
        double number;
        bool known = p->num.kind != NUM_BOOL && num_double(&p->num, &number);
        if (known && number >= 9007199254740992.0)
            sema_error(c, "E-CLOCK", every->span, "the period of 'every' is %s",
                       elab_no_integer(c, every, number));
        else if (known)
            sema_error(c, "E-CLOCK", every->span, "'every' takes an integer of at least 1, not %g",
                       number);
        else
            sema_error(c, "E-CLOCK", every->span,
                       "'every' takes an integer that is known at compile time");
        return value;
    }
    if (period == 1 && !open) return value;
    if (var->count != 1) {
        sema_error(c, "E-CLOCK", every->span,
                   "'every' needs one time index on the left, '%s' has %d", var->source,
                   var->count);
        return value;
    }
    if (var->boundary == NULL) {
        Diag *diag = sema_error(c, "E-CLOCK", every->span,
                                "'every' holds the last value, and '%s' "
                                "has no boundary value",
                                var->source);
        sema_note(c, diag, var->span, "declare it by 'state'");
        return value;
    }
    if (index_mirrored(c->body, var->index[0]))
        refuse_carry(c, every->span, "'every' counts from the end");
    const Value *boundary = var_boundary(c, var);
    if (open || !c->e->emit || c->e->diags->errors > 0) return value;
    bool mirrored = index_mirrored(c->body, var->index[0]);
    Value *source = var_value(c, var);
    source->node = var_node(c, var);
    const Node *node = c->e->graph->nodes.at[source->node];
    At at[MAX_DOMAIN];
    for (int i = 0; i < node->domain_count; i++)
        at[i] = (At){AT_INDEX, node->domain[i], 1,
                     node->domain[i] != var->index[0] ? 0
                     : mirrored                       ? 1
                                                      : -1,
                     -1};
    Attr read = {.at_count = node->domain_count, .at = at, .carry = c->body->carry};
    const Value *operands[2] = {source, boundary};
    const Value *last = emit_op(c, OP_READ, &var->type, 2, operands, &read, every->span);
    Attr attr = {
        .every = period, .index = var->index[0], .mirrored = mirrored, .carry = c->body->carry};
    const Value *both[2] = {value, last};
    return emit_op(c, OP_HOLD, &var->type, 2, both, &attr, every->span);
}

static void finish(const Ctx *c, Var *var, const Value *value, const Expr *expr) {
    if (value->type.unknown) {
        if (!var->typed) var->type = ty_unknown();
        var->typed = true;
        return;
    }
    if (!var->typed && value->type.pointer != PTR_NONE && value->type.axis < 0) {
        sema_error(c, "E-TYPE", expr->span,
                   "'%s' needs a type, %s: pos(t), to say into which axis "
                   "it points",
                   var->source, var->source);
        value = unknown_value(c);
        var->type = value->type;
        var->typed = true;
        return;
    }
    if (!var->typed) {
        var->type = value->type;
        if (value->num.kind != NUM_NONE && value->type.dtype == DT_INT &&
            value->type.pointer == PTR_NONE)
            var->type = ty_float();
        var->type_span = var->span;
        var->typed = true;
    }
    const char *what = arena_printf(c->e->arena, "'%s'", var->source);
    Span at = var->type_span.begin == var->span.begin && var->type_span.source == var->span.source
                  ? (Span){0}
                  : var->type_span;
    value = flow(c, value, &var->type, false, expr->span, what, at);
    if (value->type.unknown || !check_indices(c, value, var, expr)) return;
    if (c->eq->stmt->every != NULL) value = hold(c, var, value);
    if (!c->e->emit || c->e->diags->errors > 0 || value->node < 0) return;
    int node = var_node(c, var);
    c->e->graph->nodes.at[node]->in[0] = value->node;
}

static void elab_assign(const Ctx *c, Eq *eq) {
    const Expr *expr = eq->stmt->value;
    if (eq->stmt->decls.count == 1) {
        if (eq->vars.count == 1) finish(c, eq->vars.at[0], elab(c, expr), expr);
        return;
    }
    const Model *model = NULL;
    const Value *const *outputs = NULL;
    if (expr->kind != EXPR_CALL || expr->a == NULL || !is_application(c, expr->a))
        sema_error(c, "E-SHAPE", expr->span,
                   "several names on the left take the outputs of one application");
    else
        outputs = elab_application(c, expr, &model);
    for (int i = 0; i < eq->vars.count; i++) {
        Var *var = eq->vars.at[i];
        /* A name that failed to declare itself leaves a gap; its place counts all the same. */
        int place = 0;
        while (place < eq->stmt->decls.count &&
               eq->stmt->decls.at[place].span.begin != var->span.begin)
            place++;
        if (outputs != NULL && place >= model->item->outputs.count) {
            Diag *diag = sema_error(
                c, "E-SHAPE", var->span, "model '%s' has %s, not %d", model->name,
                counted(c, model->item->outputs.count, "output", "outputs"), eq->stmt->decls.count);
            sema_note(c, diag, model->item->name_span, "the model");
            outputs = NULL;
        }
        finish(c, var, outputs == NULL ? unknown_value(c) : outputs[place], expr);
    }
}

/* A DRAW at the positions of `value`: the outer indices, those of the equation, then the rest. */
static const Value *draw(const Ctx *c, DrawKind kind, const Ty *type, const Value *where, int count,
                         const Value *const *in, Span span) {
    Attr attr = {.draw = kind, .carry = c->body->carry};
    At at[MAX_DOMAIN];
    int order[3 * MAX_DOMAIN], room = 0;
    for (int i = 0; i < c->body->outer_count; i++) order[room++] = c->body->outer[i];
    for (int v = 0; c->eq != NULL && v < c->eq->vars.count && v < 1; v++)
        for (int k = 0; k < c->eq->vars.at[v]->count; k++)
            order[room++] = c->eq->vars.at[v]->index[k];
    for (int i = 0; i < where->count; i++) order[room++] = where->index[i];
    for (int i = 0; i < room; i++) {
        bool known = !value_has(where, order[i]);
        for (int k = 0; k < attr.at_count; k++) known |= at[k].index == order[i];
        if (known) continue;
        AtKind place = index_mirrored(c->body, order[i]) ? AT_MIRROR : AT_INDEX;
        if (place == AT_MIRROR) refuse_carry(c, span, "a draw counts from the end");
        at[attr.at_count++] = (At){place, order[i], 1, 0, -1};
    }
    attr.at = at;
    int number = c->eq == NULL ? 0 : c->eq->draws++;
    Name label = sema_join(c, c->body->path, c->eq == NULL ? "" : c->eq->label);
    attr.site = sema_name(c, arena_printf(c->e->arena, "%s#%d", label, number));
    const Value *value = emit_op(c, OP_DRAW, type, count, in, &attr, span);
    Value *full = arena_copy(c->e->arena, value, sizeof *value);
    for (int i = 0; i < where->count; i++) value_add_index(c, full, where->index[i], span);
    return full;
}

static void elab_draw(const Ctx *c, Eq *eq) {
    static const char *const names[] = {"normal", "uniform", "bernoulli", "categorical"};
    static const int arguments[] = {1, 2, 1, 1};
    const Expr *expr = eq->stmt->value;
    int kind = 0;
    if (expr->kind == EXPR_CALL && expr->a != NULL && expr->a->kind == EXPR_NAME)
        while (kind < 4 && strcmp(expr->a->name, names[kind]) != 0) kind++;
    else
        kind = 4;
    if (kind == 4) {
        if (expr->kind != EXPR_ERROR)
            sema_error(c, "E-NAME", expr->span,
                       "a draw is normal(s), uniform(a, b), bernoulli(p) or "
                       "categorical(z)");
        for (int i = 0; i < eq->vars.count; i++) finish(c, eq->vars.at[i], unknown_value(c), expr);
        return;
    }
    if (!call_args(c, expr, arguments[kind], arguments[kind], NULL)) return;
    for (int v = 0; v < eq->vars.count; v++) {
        Var *var = eq->vars.at[v];
        const Value *in[2];
        Ty type = ty_float(), got = kind == DRAW_BERNOULLI ? ty_bool() : ty_float();
        bool unknown = false;
        for (int i = 0; i < arguments[kind]; i++) {
            const Value *value = elab(c, expr->args.at[i].value);
            Span at = expr->args.at[i].span;
            if (kind == DRAW_CATEGORICAL)
                type = ty_shaped(type, &value->type);
            else if (var->typed && value->type.rank > 0)
                type = ty_shaped(type, &var->type);
            in[i] = flow(c, value, &type, false, at, "an argument of the draw", var->span);
            unknown |= in[i]->type.unknown || !check_indices(c, in[i], var, expr);
            if (kind != DRAW_CATEGORICAL || unknown) continue;
            got = (Ty){.dtype = DT_INT, .bound = value->type.rank == 1 ? value->type.dim[0] : NULL};
            if (value->type.rank == 1) continue;
            sema_error(c, "E-SHAPE", at, "categorical takes logits [V], not %s",
                       ty_shape_text(c->e->arena, &value->type));
            unknown = true;
        }
        if (var->typed) got = ty_shaped(got, &var->type);
        if (unknown)
            finish(c, var, unknown_value(c), expr);
        else
            finish(
                c, var,
                draw(c, (DrawKind)kind, &got, var_value(c, var), arguments[kind], in, expr->span),
                expr);
    }
}

const Value *elab_dropout(const Ctx *c, const Expr *call) {
    if (!call_args(c, call, 2, 2, NULL)) return unknown_value(c);
    const Value *x = elab(c, call->args.at[0].value), *p = elab(c, call->args.at[1].value);
    Span span = call->span;
    Ty scalar = ty_float();
    p = p->num.kind == NUM_NONE
            ? flow(c, p, &scalar, false, call->args.at[1].span, "the rate of dropout", (Span){0})
            : p;
    double rate;
    if (num_double(&p->num, &rate) && !(rate >= 0 && rate < 1)) {
        sema_error(c, "E-TYPE", call->args.at[1].span,
                   "the rate of dropout is %g when it should be from 0 to below 1", rate);
        return unknown_value(c);
    }
    Ty type = ty_shaped(ty_float(), &x->type);
    x = flow(c, x, &type, false, call->args.at[0].span, "the operand of dropout", (Span){0});
    if (x->type.unknown || p->type.unknown) return unknown_value(c);
    if (!c->e->emit || c->e->graph->mode != MODE_TRAIN) return x;
    if (num_double(&p->num, &rate) && rate == 0) {
        if (c->eq != NULL) c->eq->draws++; /* the next one keeps its number */
        return x;
    }
    const Value *one = number_value(c, num_of_int(c->e->arena, 1));
    const Value *keep = value_as(c, binary_op(c, AST_SUB, one, p, span), DT_FLOAT, span);
    Ty mask = ty_shaped(ty_bool(), &x->type);
    const Value *drawn = draw(c, DRAW_BERNOULLI, &mask, x, 1, &keep, span);
    const Value *pair[2] = {x, keep};
    const Value *scaled = emit_op(c, OP_DIV, &type, 2, pair, NULL, span);
    const Value *three[3] = {drawn, scaled, emit_constant(c, 0, &scalar, span)};
    return emit_op(c, OP_SELECT, &type, 3, three, NULL, span);
}

static int scalar_node(const Ctx *c, const Expr *expr, const char *what) {
    const Value *value = elab(c, expr);
    Ty scalar = ty_float();
    if (value->type.unknown) return -1;
    if (value->type.rank != 0) {
        sema_error(c, "E-SHAPE", expr->span, "%s has shape %s when it should be a scalar", what,
                   ty_shape_text(c->e->arena, &value->type));
        return -1;
    }
    if (value->type.dtype == DT_BOOL && value->num.kind == NUM_NONE)
        value = value_as(c, value, DT_FLOAT, expr->span);
    value = flow(c, value, &scalar, false, expr->span, what, (Span){0});
    if (value->count > 0 && !value->type.unknown) {
        Name name = c->e->graph->indices.at[value->index[0]].name;
        sema_error(c, "E-TIME", find_name_in(expr, name, expr->span),
                   "%s is one number a sequence and depends on '%s'; reduce it, say by mean[%s](…)",
                   what, name, name);
        return -1;
    }
    return value->node;
}

static void elab_loss(const Ctx *c, const Stmt *stmt) {
    Graph *graph = c->e->graph;
    GraphLoss loss = {.per = -1, .span = stmt->span};
    loss.node = scalar_node(c, stmt->value, "a loss");
    if (stmt->per != NULL) loss.per = scalar_node(c, stmt->per, "the divisor of a loss");
    bool right = loss.node >= 0 && (stmt->per == NULL || loss.per >= 0);
    if (c->e->emit && right && graph->mode != MODE_INFER)
        vec_push(c->e->arena, &graph->losses, loss);
}

static void elab_stop(const Ctx *c, const Stmt *stmt) {
    const IndexName *name = stmt->name == NULL ? NULL : find_index(c, stmt->name);
    if (name == NULL) {
        sema_error(c, "E-NAME", stmt->name_span, "no time index is called '%s'",
                   stmt->name == NULL ? "" : stmt->name);
        return;
    }
    const Value *value = elab(c, stmt->value);
    Ty type = ty_bool();
    int axis = c->e->graph->indices.at[name->index].axis;
    value = flow(c, value, &type, false, stmt->value->span, "the condition of a stop", (Span){0});
    if (value->type.unknown) return;
    const Axis *over = &c->e->graph->axes.at[axis];
    bool on = value->count == 1 && c->e->graph->indices.at[value->index[0]].axis == axis;
    if (!on || over->kind == AXIS_SLOW || over->fixed != 0)
        sema_error(c, "E-TIME", stmt->span,
                   over->kind == AXIS_SLOW || over->fixed != 0
                       ? "the length of '%s' does not depend on data"
                       : "the condition should depend on '%s' alone",
                   stmt->name);
    if (c->e->emit && c->e->graph->mode == MODE_INFER && value->node >= 0)
        vec_push(c->e->arena, &c->e->graph->stops, (GraphStop){axis, value->node, stmt->span});
}

void elab_equation(Elab *e, Eq *eq) {
    if (eq->state != EQ_WAITING) return;
    eq->state = EQ_ACTIVE;
    Body *body = eq->body;
    Ctx c = {.e = e,
             .file = body->inst->model->file,
             .inst = body->inst,
             .body = body,
             .env = eq->env,
             .eq = eq};
    switch (eq->stmt->kind) {
    case STMT_EQUATION: elab_assign(&c, eq); break;
    case STMT_DRAW: elab_draw(&c, eq); break;
    case STMT_LOSS: elab_loss(&c, eq->stmt); break;
    case STMT_STOP: elab_stop(&c, eq->stmt); break;
    case STMT_PARAM:
    case STMT_STATE:
    case STMT_TIME_IN:
    case STMT_TIME_FIXED:
    case STMT_TIME_BOUND:
    case STMT_USE:
    case STMT_FOR:
    case STMT_ERROR: break;
    }
    for (int i = 0; i < eq->vars.count; i++)
        if (!eq->vars.at[i]->typed) {
            eq->vars.at[i]->typed = true;
            eq->vars.at[i]->type = ty_unknown();
        }
    eq->state = EQ_DONE;
}
