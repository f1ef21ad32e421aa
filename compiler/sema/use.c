/* Instances: their modifiers, the values of their brackets, and what names them. */
#include "sema/elab.h"

Inst *inst_new(const Ctx *c, const Model *model, Name path, Span span) {
    for (const Inst *up = c->inst; up != NULL; up = up->up)
        if (up->model == model) {
            Diag *diag = sema_error(c, "E-LIMIT", span, "model '%s' would apply itself without end",
                                    model->name);
            sema_note(c, diag, model->item->name_span, "the model");
            return NULL;
        }
    if (c->inst != NULL && c->inst->depth >= MAX_INSTANCES) {
        sema_error(c, "E-LIMIT", span, "instances are more than %d deep", MAX_INSTANCES);
        return NULL;
    }
    if (strlen(path) > MAX_PATH) {
        sema_error(c, "E-LIMIT", span,
                   "the names of the instances around this one have %zu characters when they may "
                   "have at most %d",
                   strlen(path), MAX_PATH);
        return NULL;
    }
    Inst *inst = ARENA_NEW(c->e->arena, Inst);
    inst->model = model;
    inst->up = c->inst;
    inst->path = path;
    inst->span = span;
    inst->depth = c->inst == NULL ? 0 : c->inst->depth + 1;
    for (int i = 0; i < model->item->params.count; i++) {
        const Bind *bind = &model->item->params.at[i];
        vec_push(c->e->arena, &inst->sizes, (Bound1){.name = bind->name, .bracket = true});
    }
    for (int i = 0; i < model->header.count; i++)
        vec_push(c->e->arena, &inst->sizes, (Bound1){.name = model->header.at[i]});
    return inst;
}

/* The value of one bracket argument: a compile-time value, or a model. */
static bool bracket_value(const Ctx *c, const Expr *expr, Bound1 *to) {
    Num num;
    if (expr->kind == EXPR_NAME && !find_number(c, expr->name, &num)) {
        to->model = find_model(c, expr->name, expr->span);
        to->bound = to->model != NULL;
        if (to->bound) return true;
    }
    const Value *value = elab(c, expr);
    if (value->type.unknown) return false;
    if (value->num.kind == NUM_NONE) {
        sema_error(c, "E-SIZEARG", expr->span, "argument '%s' is no compile-time value", to->name);
        return false;
    }
    to->num = value->num;
    to->bound = true;
    return true;
}

bool bracket_values(const Ctx *c, Inst *inst, const ArgList *args, Span span) {
    const Item *item = inst->model->item;
    bool right = true;
    const Expr **given = ARENA_ARRAY(c->e->arena, item->params.count + 1, const Expr *);
    for (int i = 0; i < args->count; i++) {
        int place = args->at[i].name == NULL ? i : -1;
        for (int k = 0; k < item->params.count && args->at[i].name != NULL; k++)
            if (item->params.at[k].name == args->at[i].name) place = k;
        if (place < 0 || place >= item->params.count || given[place] != NULL) {
            Diag *diag =
                place < 0
                    ? sema_error(c, "E-SIZEARG", args->at[i].span,
                                 "model '%s' has no parameter '%s'", item->name, args->at[i].name)
                    : sema_error(c, "E-SIZEARG", args->at[i].span,
                                 "model '%s' takes %s in its bracket and is given %d", item->name,
                                 counted(c, item->params.count, "parameter", "parameters"),
                                 args->count);
            sema_note(c, diag, item->name_span, "the model");
            return false;
        }
        given[place] = args->at[i].value;
    }
    Ctx own = {.e = c->e, .file = inst->model->file, .inst = inst};
    for (int k = 0; k < item->params.count; k++) {
        const Bind *bind = &item->params.at[k];
        Bound1 *size = &inst->sizes.at[k];
        size->span = given[k] != NULL ? given[k]->span : bind->span;
        if (given[k] != NULL) {
            right = bracket_value(c, given[k], size) && right;
        } else if (bind->value != NULL) {
            right = bracket_value(&own, bind->value, size) && right;
        } else {
            Diag *diag = sema_error(c, "E-SIZEARG", span, "'%s' of model '%s' is not given",
                                    bind->name, item->name);
            sema_note(c, diag, bind->name_span, "declared here, without a default");
            right = false;
        }
    }
    return right;
}

Inst *inst_of_use(const Ctx *c, const Stmt *stmt, Name key) {
    bool reverse = false, carry = false;
    for (int i = 0; i + 1 < stmt->names.count; i++) {
        const NameRef *word = &stmt->names.at[i];
        if (strcmp(word->name, "reverse") == 0)
            reverse = !reverse;
        else if (strcmp(word->name, "carry") == 0)
            carry = true;
        else {
            sema_error(c, "E-NAME", word->span, "'%s' is no modifier; there are reverse and carry",
                       word->name);
            return NULL;
        }
    }
    if (stmt->names.count == 0) return NULL;
    const NameRef *name = &stmt->names.at[stmt->names.count - 1];
    const Model *model = find_model(c, name->name, name->span);
    if (model == NULL) {
        const Bound1 *size = inst_size(c->inst, name->name);
        if (size != NULL && size->bound)
            sema_error(c, "E-TYPE", name->span, "'%s' is a number where a model is needed",
                       name->name);
        else
            name_error(c, name->name, name->span);
        return NULL;
    }
    Inst *inst = inst_new(c, model, sema_join(c, c->inst->path, key), stmt->span);
    if (inst == NULL || !bracket_values(c, inst, &stmt->args, stmt->span)) return NULL;
    inst->reverse = reverse;
    inst->carry = carry;
    return inst;
}

UseDecl *find_instance(const Ctx *c, const Expr *base) {
    const Expr *name = base->kind == EXPR_INDEX ? base->a : base;
    if (name == NULL || name->kind != EXPR_NAME) return NULL;
    const Base *known = find_base(c, name->name);
    if (known == NULL || known->kind != BASE_USE) return NULL;
    ExprList entries = {0};
    for (int i = 0; base->kind == EXPR_INDEX && i < base->entries.count; i++) {
        if (base->entries.at[i].kind != ENTRY_EXPR) {
            sema_error(c, "E-INDEX", base->entries.at[i].span, "a member has no range of indices");
            return NULL;
        }
        vec_push(c->e->arena, &entries, base->entries.at[i].a);
    }
    if (entries.count != known->entries) {
        Diag *diag =
            sema_error(c, "E-INDEX", base->span, "instance '%s' has %s, not %d", name->name,
                       counted(c, known->entries, "index", "indices"), entries.count);
        sema_note(c, diag, known->span, "declared here");
        return NULL;
    }
    bool open = false;
    Name key = member_key(c, name->name, &entries, entries.count, &open);
    UseDecl *use = map_get(&c->body->uses, key);
    if (use == NULL && key != NULL && c->e->emit)
        sema_error(c, "E-UNDEF", base->span, "there is no instance '%s'", key);
    return use;
}

bool is_application(const Ctx *c, const Expr *base) {
    const Expr *name = base->kind == EXPR_INDEX ? base->a : base;
    if (c->body == NULL || name == NULL || name->kind != EXPR_NAME) return false;
    const Base *known = find_base(c, name->name);
    if (known != NULL && known->kind == BASE_USE) return true;
    if (base->kind == EXPR_INDEX) return false;
    const Model *model = find_model(c, name->name, name->span);
    return model != NULL && !(is_function(name->name) && model->params_in);
}

static bool mentions(const Expr *expr, Name name) {
    if (expr == NULL) return false;
    Span none = {0}, found = find_name_in(expr, name, none);
    return found.source != NULL;
}

/* The first application of an instance in an expression that needs no variable of a range. */
static const Expr *find_application(const Ctx *c, const Expr *expr, Name name, const UseDecl *use) {
    if (expr == NULL || !mentions(expr, name)) return NULL;
    const Expr *base = expr->kind == EXPR_CALL ? expr->a : NULL;
    Name range = NULL;
    if (base != NULL && base->kind == EXPR_INDEX) {
        if (base->entries.count > 0) range = base->entries.at[0].name;
        base = base->a;
    }
    if (base != NULL && base->kind == EXPR_NAME && base->name == name &&
        find_instance(c, expr->a) == use)
        return expr;
    const Expr *parts[3] = {expr->a, expr->b, expr->c}, *found = NULL;
    for (int i = 0; i < 3 && found == NULL; i++) found = find_application(c, parts[i], name, use);
    for (int i = 0; i < expr->args.count && found == NULL; i++)
        found = find_application(c, expr->args.at[i].value, name, use);
    return found != NULL && range != NULL && mentions(found, range) ? NULL : found;
}

/* Elaborates an application in what has begun, out of its turn. */
static void apply_early(const Ctx *c, Eq *eq, const Expr *expr, const UseDecl *use, Name name) {
    Ctx own = *c;
    own.env = eq->env;
    own.eq = eq;
    const Expr *call = find_application(&own, expr, name, use);
    if (call == NULL) return;
    for (int k = 0; k < eq->early.count; k++)
        if (eq->early.at[k].call == call) return;
    Early early = {.call = call};
    int place = eq->early.count;
    vec_push(c->e->arena, &eq->early, early);
    early.outputs = elab_application(&own, call, &early.model);
    eq->early.at[place] = early;
}

/* Elaborates the equation that applies the instance, or the application alone where the equation
 * has begun: the sizes of the parameters come from there. */
static void apply_first(const Ctx *c, const UseDecl *use, Name name) {
    if (use->inst->params.count == 0 && c->eq != NULL && c->eq->aside != NULL)
        apply_early(c, c->eq, c->eq->aside, use, name);
    for (int i = 0; use->inst->params.count == 0 && i < c->body->eqs.count; i++) {
        Eq *eq = c->body->eqs.at[i];
        if (eq->state == EQ_WAITING && mentions(eq->stmt->value, name)) elab_equation(c->e, eq);
        if (eq->state != EQ_ACTIVE) continue;
        apply_early(c, eq, eq->stmt->value, use, name);
        if (use->inst->params.count == 0) apply_early(c, eq, eq->stmt->per, use, name);
    }
}

static bool declares_param(const StmtList *body, Name name) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        for (int k = 0; stmt->kind == STMT_PARAM && k < stmt->decls.count; k++)
            if (stmt->decls.at[k].name == name) return true;
        if (declares_param(&stmt->body, name)) return true;
    }
    return false;
}

const Value *instance_param(const Ctx *c, const Expr *field, const EntryList *entries) {
    const Expr *base = field->a->kind == EXPR_INDEX ? field->a->a : field->a;
    UseDecl *use = find_instance(c, field->a);
    if (use == NULL || use->inst == NULL || !c->e->emit) return unknown_value(c);
    apply_first(c, use, base->name);
    ExprList members = {0};
    for (int i = 0; entries != NULL && i < entries->count; i++)
        if (entries->at[i].kind == ENTRY_EXPR) vec_push(c->e->arena, &members, entries->at[i].a);
    bool open = false;
    Name key = member_key(c, field->name, &members, members.count, &open);
    Param *param = map_get(&use->inst->params, key);
    if (param != NULL) return param_value(c, param, field->span);
    if (use->inst->params.count == 0 &&
        declares_param(&use->inst->model->item->body, field->name)) {
        Diag *diag =
            sema_error(c, "E-NAME", field->span,
                       "the sizes of instance '%s' follow from its application, and none is "
                       "found before this",
                       use->inst->path);
        sema_note(c, diag, use->stmt->span, "the instance");
        return unknown_value(c);
    }
    VEC(const char *) names = {0};
    for (int i = 0; i < use->inst->params.room; i++)
        if (use->inst->params.keys[i] != NULL)
            vec_push(c->e->arena, &names, use->inst->params.keys[i]);
    const char *near = key == NULL ? NULL : name_nearest(key, names.at, names.count);
    Diag *diag = sema_error(c, "E-NAME", field->span, "instance '%s' has no parameter '%s'%s%s%s",
                            use->inst->path, field->name, near ? "; did you mean '" : "",
                            near ? near : "", near ? "'?" : "");
    sema_note(c, diag, use->stmt->span, "the instance");
    return unknown_value(c);
}
