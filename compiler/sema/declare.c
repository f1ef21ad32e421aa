/* What a body declares: one walk over its statements, loops unrolled, before any expression of an
 * equation is looked at; equations stand in any order. */
#include "sema/elab.h"

Var *find_var(const Ctx *c, Name key) {
    return map_get(&c->body->vars, key);
}

Ty declared_type(const Ctx *c, const TypeExpr *type) {
    Ty to = ty_float();
    if (type->name != NULL) {
        bool integer = strcmp(type->name, "int") == 0;
        bool past = strcmp(type->name, "past") == 0;
        to.dtype = DT_INT;
        if (strcmp(type->name, "bool") == 0 && type->argument == NULL) {
            to.dtype = DT_BOOL;
        } else if (integer && type->argument != NULL) {
            to.bound = elab_size(c, type->argument, "the bound of an int");
            int64_t bound;
            if (poly_value(to.bound, &bound) && (bound < 1 || bound > INT32_MAX)) {
                sema_error(c, "E-TYPE", type->argument->span,
                           "the bound of an int is %lld when it should be 1 to 2147483647",
                           (long long)bound);
                return ty_unknown();
            }
            if (to.bound == NULL) return ty_unknown();
        } else if ((past || strcmp(type->name, "pos") == 0) && type->argument != NULL) {
            const IndexName *index =
                type->argument->kind == EXPR_NAME ? find_index(c, type->argument->name) : NULL;
            if (index == NULL) {
                sema_error(c, "E-TYPE", type->argument->span, "%s takes a time index", type->name);
                return ty_unknown();
            }
            to.pointer = past ? PTR_PAST : PTR_POS;
            to.axis = c->e->graph->indices.at[index->index].axis;
        } else {
            sema_error(c, "E-TYPE", type->name_span,
                       "'%s' is no type; types are int(n), bool, past(t), pos(t) and shapes",
                       type->name);
            return ty_unknown();
        }
    }
    if (type->shape.count > MAX_RANK) {
        sema_error(c, "E-LIMIT", type->span,
                   "a tensor has %d dimensions when at most %d are allowed", type->shape.count,
                   MAX_RANK);
        return ty_unknown();
    }
    to.rank = type->shape.count;
    for (int d = 0; d < to.rank; d++) {
        to.dim[d] = elab_size(c, type->shape.at[d], "a dimension");
        if (to.dim[d] == NULL && c->e->emit) return ty_unknown();
    }
    return check_shape(c, &to, type->span) ? to : ty_unknown();
}

/* The time index in `t+1`, told to be alone on the left; NULL when the entry has none. */
static const IndexName *moved_index(const Ctx *c, const Decl *decl, const Expr *entry) {
    Linear form;
    if (entry->kind != EXPR_BINARY || !linear_slot(c, entry, &form) || form.index < 0) return NULL;
    for (const Expr *e = entry; e != NULL; e = e->a) {
        const Expr *side = e->b != NULL && e->b->kind == EXPR_NAME ? e->b : e;
        const IndexName *name = side->kind == EXPR_NAME ? find_index(c, side->name) : NULL;
        if (name == NULL) continue;
        sema_error(c, "E-TIME", decl->span,
                   "a time index stands alone on the left: write '%s[%s] = …', and on the right "
                   "read '%s[%s-1]' for the step before",
                   decl->name, name->name, decl->name, name->name);
        return name;
    }
    return NULL;
}

/* Splits a bracket: family indices, then time indices, which go to `index`. -1 after an error. */
static int split_entries(const Ctx *c, const Decl *decl, int index[MAX_DOMAIN], int *times) {
    int family = 0;
    *times = 0;
    for (int i = 0; i < decl->indices.count; i++) {
        const Expr *entry = decl->indices.at[i];
        const IndexName *name =
            entry->kind == EXPR_NAME ? find_index(c, entry->name) : moved_index(c, decl, entry);
        if (name != NULL) {
            for (int k = 0; k < *times; k++)
                if (index[k] == name->index) {
                    sema_error(c, "E-INDEX", entry->span,
                               "'%s' stands twice in the bracket of '%s'", entry->name, decl->name);
                    return -1;
                }
            if (*times == MAX_DOMAIN) {
                sema_error(c, "E-LIMIT", decl->span, "more than %d time indices", MAX_DOMAIN);
                return -1;
            }
            index[(*times)++] = name->index;
        } else if (*times > 0) {
            sema_error(c, "E-INDEX", entry->span,
                       "family indices of '%s' stand before its time indices", decl->name);
            return -1;
        } else {
            family++;
        }
    }
    return family;
}

/* The key of a member. `open`: at a definition two loops may give two members one symbolic key. */
static Name key_of(const Ctx *c, const Decl *decl, int family, bool *open) {
    *open = false;
    return member_key(c, decl->name, &decl->indices, family, open);
}

/* The variable that a declaration names, new or old; NULL after an error. */
static Var *declare_var(const Ctx *c, const Decl *decl, bool *fresh) {
    int index[MAX_DOMAIN], times;
    if (decl->name == NULL) return NULL;
    int family = split_entries(c, decl, index, &times);
    if (family < 0 || !add_base(c, decl->name, BASE_VAR, decl->name_span, decl->indices.count)) {
        Base *other = find_base(c, decl->name);
        if (other != NULL) other->misread = true;
        return NULL;
    }
    Base *base = find_base(c, decl->name);
    if (base->declared && base->family != family) {
        for (int i = 0; i < family; i++) {
            const Expr *entry = decl->indices.at[i];
            Num num;
            if (entry->kind != EXPR_NAME || find_number(c, entry->name, &num)) continue;
            name_error(c, entry->name, entry->span);
            base->misread = true;
            return NULL;
        }
        Diag *diag =
            sema_error(c, "E-INDEX", decl->span, "'%s' has %s here and %d elsewhere", decl->name,
                       counted(c, family, "family index", "family indices"), base->family);
        sema_note(c, diag, base->span, "'%s' is declared here", decl->name);
        base->misread = true;
        return NULL;
    }
    base->family = family;
    base->declared = true;
    bool open;
    Name key = key_of(c, decl, family, &open);
    if (key == NULL) return NULL;
    Var *var = find_var(c, key);
    if (open && var != NULL && var->eq != NULL) {
        key = name_of(c->e->names, arena_printf(c->e->arena, "%s.%d", key, c->body->all.count));
        var = NULL;
    }
    *fresh = var == NULL;
    if (var != NULL) {
        for (int k = 0; k < times; k++) {
            const Graph *graph = c->e->graph;
            int a = graph->indices.at[var->index[k]].axis, b = graph->indices.at[index[k]].axis;
            if (a == b) continue;
            Diag *diag = sema_error(c, "E-TIME", decl->span,
                                    "'%s' runs over another axis elsewhere", decl->name);
            sema_note(c, diag, var->span, "'%s' is declared here", decl->name);
            return NULL;
        }
        return var;
    }
    base->members++;
    var = ARENA_NEW(c->e->arena, Var);
    var->key = key;
    var->source = decl->name;
    var->span = decl->span;
    var->count = times;
    memcpy(var->index, index, sizeof index);
    var->node = -1;
    map_put(c->e->arena, &c->body->vars, key, var);
    vec_push(c->e->arena, &c->body->all, var);
    return var;
}

/* `d: [H] ~ bernoulli(p)` declares a shape; the draw says of what. */
static DType drawn_type(const Stmt *stmt) {
    const Expr *call = stmt == NULL || stmt->kind != STMT_DRAW ? NULL : stmt->value;
    const Expr *name = call != NULL && call->kind == EXPR_CALL ? call->a : NULL;
    if (name == NULL || name->kind != EXPR_NAME) return DT_FLOAT;
    if (strcmp(name->name, "bernoulli") == 0) return DT_BOOL;
    return strcmp(name->name, "categorical") == 0 ? DT_INT : DT_FLOAT;
}

static void set_type(const Ctx *c, Var *var, const TypeExpr *type, const Stmt *stmt) {
    if (type == NULL) return;
    Ty declared = declared_type(c, type);
    if (type->name == NULL && !declared.unknown) {
        declared.dtype = drawn_type(stmt);
        if (declared.dtype == DT_INT) return; /* its bound comes from the logits */
    }
    if (var->typed && !declared.unknown && !var->type.unknown) {
        bool same = declared.dtype == var->type.dtype && ty_same_shape(&declared, &var->type) &&
                    declared.pointer == var->type.pointer &&
                    poly_compare(declared.bound, var->type.bound) != POLY_DIFFERENT;
        if (!same) {
            Diag *diag = sema_error(c, "E-SHAPE", type->span, "'%s' is %s here and %s elsewhere",
                                    var->source, ty_text(c->e->arena, &declared, c->e->graph),
                                    ty_text(c->e->arena, &var->type, c->e->graph));
            sema_note(c, diag, var->type_span, "declared here");
        }
        return;
    }
    var->typed = true;
    var->type = declared;
    var->type_span = type->span;
}

/* `x[t]: [t]`: a name of the header is an index or a size; that it is both was reported. */
static bool size_as_index(const Ctx *c, const Decl *decl) {
    const Model *model = c->inst->model;
    for (int i = 0; i < decl->indices.count; i++)
        for (int h = 0; h < model->header.count; h++)
            if (decl->indices.at[i]->kind == EXPR_NAME &&
                decl->indices.at[i]->name == model->header.at[h])
                return true;
    return false;
}

static void declare_ports(const Ctx *c, const PortList *ports, bool output) {
    for (int i = 0; i < ports->count; i++) {
        const Port *port = &ports->at[i];
        bool fresh;
        int index[MAX_DOMAIN], times;
        if (port->decl.name != NULL && size_as_index(c, &port->decl)) continue;
        if (port->decl.name != NULL && split_entries(c, &port->decl, index, &times) > 0) {
            sema_error(c, "E-INDEX", port->decl.span,
                       "'%s' has a family index in the header, where only time indices stand; give "
                       "each member a name of its own",
                       port->decl.name);
            continue;
        }
        Var *var = declare_var(c, &port->decl, &fresh);
        if (var == NULL || port->type == NULL) continue;
        if (!fresh) {
            Diag *diag =
                sema_error(c, "E-DUP", port->decl.span, "'%s' is declared twice", port->decl.name);
            sema_note(c, diag, var->span, "first here");
            continue;
        }
        set_type(c, var, port->type, NULL);
        var->port = port;
        var->output = output;
        if (port->value == NULL) continue;
        if (var->count > 0) {
            var->boundary = port->value;
        } else if (output) {
            sema_error(c, "E-INIT", port->value->span,
                       "an output without time has neither a boundary value nor a default");
        }
    }
}

static Eq *new_eq(const Ctx *c, const Stmt *stmt, Name label) {
    Eq *eq = ARENA_NEW(c->e->arena, Eq);
    eq->stmt = stmt;
    eq->env = c->env;
    eq->body = c->body;
    eq->label = label;
    vec_push(c->e->arena, &c->body->eqs, eq);
    return eq;
}

static void declare_equation(const Ctx *c, const Stmt *stmt) {
    Eq *eq = NULL;
    for (int i = 0; i < stmt->decls.count; i++) {
        const Decl *decl = &stmt->decls.at[i];
        bool fresh;
        Var *var = declare_var(c, decl, &fresh);
        if (var == NULL) {
            c->body->refused = true;
            continue;
        }
        bool input = var->port != NULL && !var->output;
        if (var->eq != NULL || input) {
            c->body->surplus = decl;
            Diag *diag =
                sema_error(c, "E-DUP", decl->span, "'%s' %s", var->key,
                           input ? "is an input and has no equation" : "has two equations");
            sema_note(c, diag, input ? var->span : var->eq->stmt->span, "%s",
                      input ? "the input" : "the first");
            continue;
        }
        set_type(c, var, stmt->type, stmt);
        if (eq == NULL) eq = new_eq(c, stmt, var->key);
        var->eq = eq;
        var->place = eq->vars.count;
        var->span = decl->span;
        /* The indices of the equation are those that its right-hand side uses. */
        int times, index[MAX_DOMAIN];
        if (split_entries(c, decl, index, &times) >= 0) memcpy(var->index, index, sizeof index);
        vec_push(c->e->arena, &eq->vars, var);
        c->e->equations++;
    }
}

static void declare_state(const Ctx *c, const Stmt *stmt) {
    for (int i = 0; i < stmt->decls.count; i++) {
        bool fresh;
        const Decl *decl = &stmt->decls.at[i];
        Var *var = declare_var(c, decl, &fresh);
        if (var == NULL) continue;
        if (var->boundary != NULL || (var->port != NULL && !var->output)) {
            Diag *diag = sema_error(c, "E-DUP", decl->span, "'%s' %s", var->key,
                                    var->boundary != NULL ? "has two boundary values"
                                                          : "is an input; write its boundary value "
                                                            "in the header");
            sema_note(c, diag, var->boundary != NULL ? var->boundary->span : var->span, "here");
            continue;
        }
        set_type(c, var, stmt->type, stmt);
        var->boundary = stmt->value;
        var->boundary_env = c->env;
        if (var->count == 0)
            sema_error(c, "E-INIT", decl->span, "state '%s' has no time index", decl->name);
    }
}

static void declare_params(const Ctx *c, const Stmt *stmt) {
    for (int i = 0; i < stmt->decls.count; i++) {
        const Decl *decl = &stmt->decls.at[i];
        int index[MAX_DOMAIN], times;
        int family = decl->name == NULL ? -1 : split_entries(c, decl, index, &times);
        if (family < 0) continue;
        if (times > 0) {
            sema_error(c, "E-TIME", decl->span, "parameter '%s' has a time index", decl->name);
            refuse_base(c, decl->name, decl->name_span);
            continue;
        }
        if (!add_base(c, decl->name, BASE_PARAM, decl->name_span, family)) continue;
        bool open;
        Name key = key_of(c, decl, family, &open);
        const ParamDecl *old = map_get(&c->body->params, key);
        if (key == NULL || (open && old != NULL)) continue;
        if (old != NULL) {
            Diag *diag =
                sema_error(c, "E-DUP", decl->span, "parameter '%s' is declared twice", key);
            sema_note(c, diag, old->decl->span, "first here");
            continue;
        }
        find_base(c, decl->name)->members++;
        ParamDecl *to = ARENA_NEW(c->e->arena, ParamDecl);
        *to = (ParamDecl){stmt, decl, c->env, map_get(&c->inst->params, key)};
        map_put(c->e->arena, &c->body->params, key, to);
        if (to->param == NULL) {
            declare_param(c, to);
            map_put(c->e->arena, &c->inst->params, key, to->param);
            vec_push(c->e->arena, &c->inst->members, (Member){.param = to->param});
        }
        c->e->equations++;
    }
}

static void declare_use(const Ctx *c, const Stmt *stmt) {
    if (stmt->decls.count != 1 || stmt->decls.at[0].name == NULL) return;
    const Decl *decl = &stmt->decls.at[0];
    int index[MAX_DOMAIN], times;
    int family = split_entries(c, decl, index, &times);
    if (family < 0) return;
    if (times > 0) {
        sema_error(c, "E-TIME", decl->span, "instance '%s' has a time index", decl->name);
        refuse_base(c, decl->name, decl->name_span);
        return;
    }
    if (!add_base(c, decl->name, BASE_USE, decl->name_span, family)) return;
    bool open;
    Name key = key_of(c, decl, family, &open);
    const UseDecl *old = map_get(&c->body->uses, key);
    if (key == NULL || (open && old != NULL)) return;
    if (old != NULL) {
        Diag *diag = sema_error(c, "E-DUP", decl->span, "instance '%s' is declared twice", key);
        sema_note(c, diag, old->stmt->span, "first here");
        return;
    }
    UseDecl *to = ARENA_NEW(c->e->arena, UseDecl);
    *to = (UseDecl){.stmt = stmt, .env = c->env, .inst = map_get(&c->inst->instances, key)};
    to->key = key;
    map_put(c->e->arena, &c->body->uses, key, to);
    if (to->inst == NULL) {
        to->inst = inst_of_use(c, stmt, key);
        if (to->inst != NULL) {
            map_put(c->e->arena, &c->inst->instances, key, to->inst);
            vec_push(c->e->arena, &c->inst->members, (Member){.inst = to->inst});
        }
    }
    c->e->equations++;
}

static void declare_block(const Ctx *c, const StmtList *block, bool top);

static bool in_limit(const Ctx *c, Span span) {
    if (c->e->equations <= MAX_EQUATIONS) return true;
    if (c->e->limited) return false;
    c->e->limited = true;
    sema_error(c, "E-LIMIT", span, "more than %d equations after unrolling", MAX_EQUATIONS);
    return false;
}

static void declare_for(const Ctx *c, const Stmt *stmt) {
    const Poly *low = elab_size(c, stmt->low, "the range of a loop");
    const Poly *high = elab_size(c, stmt->high, "the range of a loop");
    if (stmt->name == NULL) return;
    for (const Env *env = c->env; env != NULL; env = env->up)
        if (env->name == stmt->name) {
            sema_error(c, "E-DUP", stmt->name_span, "loop variable '%s' is in use by an outer loop",
                       stmt->name);
            declare_block(c, &stmt->body, false);
            return;
        }
    if (!add_base(c, stmt->name, BASE_LOOP, stmt->name_span, 0)) return;
    Ctx inner = *c;
    if (!c->e->emit) {
        Env env = {c->env, stmt->name, {.kind = NUM_INT}};
        /* Two loops over one name are two unknowns, or members of one would pass for the other's.
         */
        const char *symbol = stmt->name;
        Base *base = find_base(c, stmt->name);
        for (int i = 0; i < base->members && i < 20; i++)
            symbol = arena_printf(c->e->arena, "%s'", symbol);
        base->members++;
        env.num.integer = poly_name(c->e->arena, sema_name(c, symbol), false);
        inner.env = arena_copy(c->e->arena, &env, sizeof env);
        declare_block(&inner, &stmt->body, false);
        return;
    }
    int64_t from, to;
    if (!poly_value(low, &from) || !poly_value(high, &to)) return;
    for (int64_t i = from; i < to; i++) {
        Env env = {c->env, stmt->name, num_of_int(c->e->arena, i)};
        inner.env = arena_copy(c->e->arena, &env, sizeof env);
        c->e->equations++;
        if (!in_limit(c, stmt->span)) return;
        declare_block(&inner, &stmt->body, false);
    }
}

static void declare_block(const Ctx *c, const StmtList *block, bool top) {
    for (int i = 0; i < block->count; i++) {
        const Stmt *stmt = block->at[i];
        switch (stmt->kind) {
        case STMT_PARAM: declare_params(c, stmt); break;
        case STMT_STATE: declare_state(c, stmt); break;
        case STMT_USE: declare_use(c, stmt); break;
        case STMT_EQUATION:
        case STMT_DRAW: declare_equation(c, stmt); break;
        case STMT_LOSS: new_eq(c, stmt, sema_name(c, "loss")); break;
        case STMT_STOP: new_eq(c, stmt, sema_name(c, "stop")); break;
        case STMT_FOR: declare_for(c, stmt); break;
        case STMT_TIME_IN:
        case STMT_TIME_FIXED:
        case STMT_TIME_BOUND:
            if (!top) sema_error(c, "E-TIME", stmt->span, "'time' stands outside of loops");
            break;
        case STMT_ERROR: break;
        }
        if (!in_limit(c, stmt->span)) return;
    }
}

void header_types(const Ctx *c) {
    declare_ports(c, &c->inst->model->item->inputs, false);
    declare_ports(c, &c->inst->model->item->outputs, true);
}

void declare_body(const Ctx *c) {
    declare_block(c, &c->inst->model->item->body, true);
    for (int i = 0; i < c->body->all.count; i++) {
        Var *var = c->body->all.at[i];
        bool input = var->port != NULL && !var->output;
        if (var->eq != NULL || input) continue;
        /* A definition cannot tell whether `h[0]` is among the members that a loop defines. */
        if (!c->e->emit && var->key != var->source) continue;
        if (c->e->diags->errors > 0 && c->e->emit) continue;
        const Base *base = find_base(c, var->source);
        if (base != NULL && base->misread) continue;
        /* The equation may be the one with a name that cannot be. */
        if (c->body->refused) continue;
        const Decl *surplus = c->body->surplus;
        Diag *diag = sema_error(c, "E-UNDEF", var->span, "'%s' has no equation", var->key);
        if (surplus != NULL)
            sema_note(c, diag, surplus->span, "and this equation of '%s' is one too many",
                      surplus->name);
        var->typed = true;
    }
}
