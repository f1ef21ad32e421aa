/* Brackets: positions in time (the first bracket of a variable), then entries of a tensor. */
#include "sema/elab.h"

static bool mentions_index(const Ctx *c, const Expr *expr) {
    if (expr == NULL) return false;
    Num num;
    if (expr->kind == EXPR_NAME)
        return find_index(c, expr->name) != NULL && !find_number(c, expr->name, &num);
    for (int i = 0; i < expr->entries.count; i++)
        if (mentions_index(c, expr->entries.at[i].a) || mentions_index(c, expr->entries.at[i].b))
            return true;
    for (int i = 0; i < expr->args.count; i++)
        if (mentions_index(c, expr->args.at[i].value)) return true;
    return mentions_index(c, expr->a) || mentions_index(c, expr->b) || mentions_index(c, expr->c);
}

/* A name that is no compile-time number, so that a slot made of it can only be a pointer. */
static bool run_time_name(const Ctx *c, const Expr *expr) {
    Num num;
    if (expr->kind == EXPR_INDEX || expr->kind == EXPR_CALL || expr->kind == EXPR_FIELD)
        return !(expr->kind == EXPR_CALL && expr->a != NULL && expr->a->kind == EXPR_NAME &&
                 is_function(expr->a->name) && strcmp(expr->a->name, "argmax") != 0);
    return expr->kind == EXPR_NAME && !find_number(c, expr->name, &num);
}

static bool constant_part(const Ctx *c, const Expr *expr, Linear *to) {
    Span none = {0}, last = find_name_in(expr, sema_name(c, "last"), none);
    if (run_time_name(c, expr) || last.source != NULL) return false;
    const Value *value = elab(c, expr);
    *to = (Linear){.index = -1};
    if (value->type.unknown || value->num.kind == NUM_OPEN) {
        to->open = true;
        return true;
    }
    if (value->num.kind != NUM_INT) return false;
    if (!num_int(&value->num, &to->offset)) to->open = true;
    return true;
}

bool linear_slot(const Ctx *c, const Expr *expr, Linear *to) {
    Linear a = {0}, b = {0};
    *to = (Linear){.index = -1};
    if (expr == NULL || expr->kind == EXPR_ERROR) return false;
    if (!mentions_index(c, expr)) return constant_part(c, expr, to);
    if (expr->kind == EXPR_NAME) {
        to->index = find_index(c, expr->name)->index;
        to->factor = 1;
        return true;
    }
    if (expr->kind != EXPR_BINARY || !linear_slot(c, expr->a, &a) || !linear_slot(c, expr->b, &b))
        return false;
    bool left = a.index >= 0;
    Linear *with = left ? &a : &b, *other = left ? &b : &a;
    if ((a.index >= 0 && b.index >= 0) || with->divide != 0) return false;
    *to = *with;
    to->open = a.open || b.open;
    int64_t by = other->offset;
    bool fine = true;
    if (expr->op == AST_ADD)
        fine = !__builtin_add_overflow(with->offset, by, &to->offset);
    else if (expr->op == AST_SUB && left)
        fine = !__builtin_sub_overflow(with->offset, by, &to->offset);
    else if (expr->op == AST_MUL)
        fine = !__builtin_mul_overflow(with->offset, by, &to->offset) &&
               !__builtin_mul_overflow(with->factor, by, &to->factor);
    else if (expr->op == AST_DIV && left && with->factor == 1 && with->offset == 0)
        to->divide = by;
    else
        return false;
    return fine;
}

static void slot_error(const Ctx *c, const Expr *slot, const Var *var, int axis) {
    Name name = c->e->graph->axes.at[axis].name;
    Diag *diag = sema_error(c, "E-TIME", slot->span,
                            "a time slot of '%s' takes an index of '%s', an "
                            "index ± constant, first, last or a pointer",
                            var->source, name);
    sema_note(c, diag, var->span, "'%s' is declared here", var->source);
}

static void wrong_axis(const Ctx *c, const Expr *slot, const Var *var, int axis, int index) {
    const Graph *graph = c->e->graph;
    Diag *diag = sema_error(c, "E-TIME", slot->span,
                            "'%s' runs over axis '%s' and is read at an "
                            "index of axis '%s'",
                            var->source, graph->axes.at[axis].name,
                            graph->axes.at[graph->indices.at[index].axis].name);
    sema_note(c, diag, var->span, "'%s' is declared here", var->source);
}

/* Checks a linear slot against the axis of the variable, and makes it an At. */
static bool linear_at(const Ctx *c, const Expr *slot, const Linear *form, const Var *var, int axis,
                      At *at) {
    const Graph *graph = c->e->graph;
    int on = graph->indices.at[form->index].axis;
    const Axis *to = &graph->axes.at[axis], *from = &graph->axes.at[on];
    *at = (At){AT_INDEX, form->index, 1, form->offset, -1};
    bool fits = on == axis && form->divide == 0 && form->factor == 1;
    if (form->divide != 0) {
        at->kind = AT_DIV;
        at->factor = form->divide;
        at->offset = 0;
        fits = to->kind == AXIS_SLOW && to->base == on &&
               (to->every == form->divide || to->every == 0 || form->open);
    } else if (on != axis) {
        at->kind = AT_SCALE;
        at->factor = form->factor;
        fits = from->kind == AXIS_SLOW && from->base == axis &&
               (from->every == form->factor || from->every == 0 || form->open);
    }
    if (!fits && on != axis && form->factor == 1 && form->divide == 0) {
        wrong_axis(c, slot, var, axis, form->index);
        return false;
    }
    if (!fits) {
        slot_error(c, slot, var, axis);
        return false;
    }
    if (at->offset > MAX_LAG || at->offset < -MAX_LAG) {
        sema_error(c, "E-LIMIT", slot->span,
                   "'%s' is read %lld steps away when at most %d are allowed", var->source,
                   (long long)at->offset, MAX_LAG);
        return false;
    }
    return true;
}

typedef struct Slots {
    At at[MAX_DOMAIN];
    const Value *pointer[MAX_DOMAIN];
    int pointers;
    bool outside, open; /* may be out of range, so that a boundary is needed */
    bool own;           /* all at the variable's own indices */
} Slots;

static bool one_slot(const Ctx *c, Var *var, int k, const Expr *slot, Slots *slots) {
    Graph *graph = c->e->graph;
    int axis = graph->indices.at[var->index[k]].axis;
    bool mirrored = index_mirrored(c->body, var->index[k]);
    At *at = &slots->at[k];
    Linear form;
    bool first = slot->kind == EXPR_NAME && strcmp(slot->name, "first") == 0;
    if (first || (slot->kind == EXPR_NAME && strcmp(slot->name, "last") == 0)) {
        *at = (At){first != mirrored ? AT_FIRST : AT_LAST, -1, 1, 0, -1};
        slots->own = false;
        refuse_carry(c, slot->span, first ? "the first step is read" : "the last step is read");
        return true;
    }
    if (linear_slot(c, slot, &form) && form.index >= 0) {
        if (!linear_at(c, slot, &form, var, axis, at)) return false;
        slots->open |= form.open;
        if (index_mirrored(c->body, form.index)) at->offset = -at->offset;
        slots->outside |= at->offset != 0;
        slots->own &= at->kind == AT_INDEX && at->offset == 0 && at->index == var->index[k];
        if (at->offset > 0)
            refuse_carry(c, slot->span,
                         arena_printf(c->e->arena, "'%s' is read ahead", var->source));
        return true;
    }
    slots->own = false;
    if (form.open) {
        slots->open = true;
        return false;
    }
    if (form.index < 0 && !mentions_index(c, slot) && !run_time_name(c, slot)) {
        slot_error(c, slot, var, axis);
        return false;
    }
    const Value *value = elab(c, slot);
    if (value->type.unknown) return false;
    if (value->type.pointer == PTR_NONE || value->type.rank != 0) {
        slot_error(c, slot, var, axis);
        return false;
    }
    if (value->type.axis >= 0 && value->type.axis != axis) {
        Diag *diag = sema_error(c, "E-TIME", slot->span,
                                "'%s' runs over axis '%s' and the pointer "
                                "over '%s'",
                                var->source, graph->axes.at[axis].name,
                                graph->axes.at[value->type.axis].name);
        sema_note(c, diag, var->span, "'%s' is declared here", var->source);
        return false;
    }
    if (mirrored) sema_error(c, "E-TIME", slot->span, "a model with pointers cannot be reversed");
    refuse_carry(c, slot->span, "a pointer is read");
    slots->outside |= value->type.pointer == PTR_PAST;
    *at = (At){AT_POINTER, -1, 1, 0, 2 + slots->pointers};
    slots->pointer[slots->pointers++] = value;
    return true;
}

/* The boundary value where the reader stands: an index of it has to be read in place. */
static const Value *boundary_at(const Ctx *c, Var *var, const Slots *slots, Span span) {
    const Value *boundary = var_boundary(c, var);
    bool own = true;
    At at[MAX_DOMAIN];
    for (int i = 0; i < boundary->count; i++) {
        at[i] = (At){AT_INDEX, boundary->index[i], 1, 0, -1};
        for (int k = 0; k < var->count; k++) {
            if (var->index[k] != boundary->index[i]) continue;
            at[i] = slots->at[k];
            own &= at[i].kind == AT_INDEX && at[i].offset == 0 && at[i].index == var->index[k];
            if (at[i].kind == AT_INDEX && at[i].offset == 0) continue;
            sema_error(c, "E-INIT", span,
                       "the boundary value of '%s' depends on '%s', which is read "
                       "at another position here",
                       var->source, c->e->graph->indices.at[var->index[k]].name);
            return unknown_value(c);
        }
    }
    if (own) return boundary;
    Value *value = arena_copy(c->e->arena, boundary, sizeof *value);
    value->count = 0;
    value->node = -1;
    for (int k = 0; k < boundary->count; k++) value_add_index(c, value, at[k].index, span);
    if (!c->e->emit || c->e->diags->errors > 0 || boundary->node < 0) return value;
    const Node *node = c->e->graph->nodes.at[boundary->node];
    At sorted[MAX_DOMAIN];
    for (int i = 0; i < node->domain_count; i++)
        for (int k = 0; k < boundary->count; k++)
            if (boundary->index[k] == node->domain[i]) sorted[i] = at[k];
    Attr attr = {.at_count = node->domain_count, .at = sorted};
    const Value *in[2] = {boundary, NULL};
    value->node = emit_op(c, OP_READ, &boundary->type, 2, in, &attr, span)->node;
    return value;
}

static const Value *source_of(const Ctx *c, Var *var) {
    take_default(c, var);
    if (var->input != NULL) return var->input;
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->type = var->type;
    value->node = c->e->emit ? var_node(c, var) : -1;
    for (int i = 0; i < c->body->outer_count; i++)
        value_add_index(c, value, c->body->outer[i], var->span);
    for (int k = 0; k < var->count; k++) value_add_index(c, value, var->index[k], var->span);
    return value;
}

const Value *read_var(const Ctx *c, Var *var, int count, const Expr *const *slots_at, Span span) {
    Slots slots = {.own = true};
    bool right = true;
    for (int k = 0; k < count; k++) right = one_slot(c, var, k, slots_at[k], &slots) && right;
    if (!right || !var_need_type(c, var, span)) return unknown_value(c);
    const Value *source = source_of(c, var);
    if (source->type.unknown) return source;
    if (slots.own) return source;
    if (slots.outside && !slots.open && var->boundary == NULL) {
        bool input = var->port != NULL && !var->output;
        Diag *diag = sema_error(c, "E-INIT", span,
                                "'%s' is read outside of its sequence and has no "
                                "boundary value",
                                var->source);
        sema_note(c, diag, var->span,
                  input ? "give the input one: '= value' in the header"
                        : "declare one: 'state %s = value'",
                  var->source);
        return unknown_value(c);
    }
    const Value *boundary =
        slots.outside && var->boundary != NULL ? boundary_at(c, var, &slots, span) : NULL;
    if (boundary != NULL && boundary->type.unknown) return boundary;
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->type = source->type;
    value->node = -1;
    for (int i = 0; i < source->count; i++) {
        int index = source->index[i];
        for (int k = 0; k < count; k++)
            if (source->index[i] == var->index[k]) index = slots.at[k].index;
        if (index >= 0) value_add_index(c, value, index, span);
    }
    const Value *in[2 + MAX_DOMAIN] = {source, boundary};
    for (int i = 0; i < slots.pointers; i++) in[2 + i] = slots.pointer[i];
    for (int i = 1; i < 2 + slots.pointers; i++)
        for (int k = 0; in[i] != NULL && k < in[i]->count; k++)
            value_add_index(c, value, in[i]->index[k], span);
    if (!c->e->emit || c->e->diags->errors > 0 || source->node < 0) return value;
    const Node *node = c->e->graph->nodes.at[source->node];
    Attr attr = {.at_count = node->domain_count, .carry = c->body->carry};
    At at[MAX_DOMAIN];
    for (int i = 0; i < node->domain_count; i++) {
        at[i] = (At){AT_INDEX, node->domain[i], 1, 0, -1};
        for (int k = 0; k < count; k++)
            if (var->index[k] == node->domain[i]) at[i] = slots.at[k];
    }
    attr.at = at;
    value->node = emit_op(c, OP_READ, &value->type, 2 + slots.pointers, in, &attr, span)->node;
    return value;
}

/* The first bracket of a declared name: family indices, then time slots. */
static const Value *first_bracket(const Ctx *c, const Expr *expr, const Base *base) {
    const EntryList *entries = &expr->entries;
    ExprList list = {0};
    for (int i = 0; i < entries->count; i++) {
        if (entries->at[i].kind != ENTRY_EXPR) {
            sema_error(c, "E-INDEX", entries->at[i].span,
                       "the first bracket of '%s' takes its %s; "
                       "a slice stands in a second bracket",
                       base->name, counted(c, base->entries, "index", "indices"));
            return unknown_value(c);
        }
        vec_push(c->e->arena, &list, entries->at[i].a);
    }
    if (list.count != base->entries) {
        Diag *diag =
            sema_error(c, "E-INDEX", expr->span,
                       "'%s' has %s, not %d; tensor entries stand in a "
                       "second bracket",
                       base->name, counted(c, base->entries, "index", "indices"), list.count);
        sema_note(c, diag, base->span, "'%s' is declared here", base->name);
        return unknown_value(c);
    }
    int family = base->kind == BASE_PARAM ? base->entries : base->family;
    bool open = false;
    Name key = member_key(c, base->name, &list, family, &open);
    if (key == NULL) return unknown_value(c);
    /* A range may take in members of several declarations; one alone stands for all of its own. */
    if (open && c->e->reducing > 0 && base->members != 1) return unknown_value(c);
    const ParamDecl *param = map_get(&c->body->params, key);
    Var *var = find_var(c, key);
    if (param != NULL) return param_value(c, param->param, expr->span);
    if (var != NULL)
        return read_var(c, var, list.count - family, (const Expr *const *)list.at + family,
                        expr->span);
    if (c->e->emit || family == 0) {
        Diag *diag = sema_error(c, "E-UNDEF", expr->span, "there is no member '%s' of '%s'", key,
                                base->name);
        sema_note(c, diag, base->span, "'%s' is declared here", base->name);
    }
    return unknown_value(c);
}

/* Family indices of a parameter of a model. */
static int param_family(const StmtList *body, Name name) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        for (int k = 0; stmt->kind == STMT_PARAM && k < stmt->decls.count; k++)
            if (stmt->decls.at[k].name == name) return stmt->decls.at[k].indices.count;
        int inner = param_family(&stmt->body, name);
        if (inner > 0) return inner;
    }
    return 0;
}

const Value *elab_index(const Ctx *c, const Expr *expr) {
    const Expr *base = expr->a;
    if (base == NULL) return unknown_value(c);
    if (base->kind == EXPR_NAME) {
        Num num;
        const Base *known = find_base(c, base->name);
        if (known != NULL && known->kind == BASE_REFUSED) return unknown_value(c);
        if (known != NULL && known->entries > 0 && !find_number(c, base->name, &num) &&
            (known->kind == BASE_VAR || known->kind == BASE_PARAM))
            return first_bracket(c, expr, known);
        bool bracketed = strcmp(base->name, "zeros") == 0 || strcmp(base->name, "ones") == 0 ||
                         strcmp(base->name, "iota") == 0;
        if (known == NULL && bracketed && !find_number(c, base->name, &num))
            return elab_tensor_call(c, expr, base->name, &expr->entries);
    }
    if (base->kind == EXPR_FIELD && base->a != NULL) {
        const Expr *name = base->a->kind == EXPR_INDEX ? base->a->a : base->a;
        const Base *known = name->kind == EXPR_NAME ? find_base(c, name->name) : NULL;
        UseDecl *use = known != NULL && known->kind == BASE_USE ? find_instance(c, base->a) : NULL;
        if (use != NULL && use->inst != NULL &&
            param_family(&use->inst->model->item->body, base->name) > 0)
            return instance_param(c, base, &expr->entries);
    }
    return tensor_entries(c, elab(c, base), &expr->entries, expr->span);
}
