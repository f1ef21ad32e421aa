/* Applications: sizes by matching, time indices by position, then the body inlined. */
#include "sema/elab.h"

static const Stmt *find_loss(const StmtList *body) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        if (stmt->kind == STMT_LOSS || stmt->kind == STMT_STOP) return stmt;
        const Stmt *inner = find_loss(&stmt->body);
        if (inner != NULL) return inner;
    }
    return NULL;
}

/* One argument of an application, by port. */
typedef struct Given {
    const Expr *expr;
    const Value *value;
} Given;

static const char *written(const Ctx *c, Span span) {
    return arena_strndup(c->e->arena, span.source->text + span.begin, span.end - span.begin);
}

/* `f(x)` where x is a sequence: E-INDEX with what to write; false when the argument is none. */
static bool refuse_sequence(const Ctx *c, const Expr *call, const Expr *arg, const Port *port) {
    Num num;
    const Base *base = arg->kind == EXPR_NAME ? find_base(c, arg->name) : NULL;
    if (base == NULL || base->kind != BASE_VAR || base->entries == 0) return false;
    const Var *var = NULL;
    for (int i = 0; i < c->body->all.count && var == NULL; i++)
        if (c->body->all.at[i]->source == arg->name) var = c->body->all.at[i];
    if (var == NULL || find_number(c, arg->name, &num)) return false;
    Diag *diag = sema_error(c, "E-INDEX", arg->span, "'%s' is given to '%s' with its %s: write %s",
                            arg->name, written(c, call->a->span),
                            base->entries == 1 ? "index" : "indices", written(c, var->span));
    sema_note(c, diag, var->span, "'%s' is declared here", arg->name);
    sema_note(c, diag, port->span, "the input that takes it");
    return true;
}

static bool match_args(const Ctx *c, const Expr *call, const Model *model, Given *given) {
    const PortList *ports = &model->item->inputs;
    for (int i = 0; i < call->args.count; i++) {
        const Arg *arg = &call->args.at[i];
        int place = arg->name == NULL ? i : -1;
        for (int k = 0; k < ports->count && arg->name != NULL; k++)
            if (ports->at[k].decl.name == arg->name) place = k;
        if (place < 0 || place >= ports->count || given[place].expr != NULL) {
            Diag *diag;
            if (place < 0)
                diag = sema_error(c, "E-NAME", arg->span, "model '%s' has no input '%s'",
                                  model->name, arg->name);
            else if (place >= ports->count)
                diag = sema_error(c, "E-SHAPE", arg->span, "model '%s' has %s, not %d", model->name,
                                  counted(c, ports->count, "input", "inputs"), call->args.count);
            else
                diag = sema_error(c, "E-DUP", arg->span, "input '%s' is given twice",
                                  ports->at[place].decl.name);
            sema_note(c, diag, model->item->name_span, "the model");
            return false;
        }
        given[place].expr = arg->value;
        given[place].value = refuse_sequence(c, call, arg->value, &ports->at[place])
                                 ? unknown_value(c)
                                 : elab(c, arg->value);
    }
    for (int k = 0; k < ports->count; k++) {
        if (given[k].expr != NULL) continue;
        if (ports->at[k].value != NULL && ports->at[k].decl.indices.count == 0) continue;
        Diag *diag = sema_error(c, "E-SHAPE", call->span, "input '%s' of '%s' is not given",
                                ports->at[k].decl.name, model->name);
        sema_note(c, diag, ports->at[k].span, "the input");
        return false;
    }
    return true;
}

/* Time indices: the last of the argument's go to the port, the earlier ones are outer. */
static bool bind_indices(const Ctx *c, const Ctx *own, const Port *port, const Given *given) {
    Body *body = own->body;
    int times = 0;
    for (int k = 0; k < port->decl.indices.count; k++) {
        const Expr *entry = port->decl.indices.at[k];
        if (entry->kind == EXPR_NAME &&
            !(inst_size(own->inst, entry->name) && inst_size(own->inst, entry->name)->bracket))
            times++;
    }
    const Value *value = given->value;
    if (value->type.unknown) return true;
    if (value->count < times) {
        Text sort = text_new(c->e->arena);
        ty_print(&value->type, c->e->graph, &sort);
        const char *have = value->count == 0 ? "one step of" : "too few time indices on";
        Diag *diag = sema_error(
            c, "E-SHAPE", given->expr->span, "'%s' expects a sequence %s and is given %s %s %s",
            own->called, written(c, port->span), have,
            value->type.dtype == DT_FLOAT ? "shape" : "type", text_string(&sort));
        sema_note(c, diag, port->span, "the input of model '%s'", own->inst->model->name);
        return false;
    }
    int outer = value->count - times, at = outer;
    for (int i = 0; i < outer; i++) {
        bool known = false;
        for (int k = 0; k < body->outer_count; k++) known |= body->outer[k] == value->index[i];
        if (!known && body->outer_count < MAX_DOMAIN)
            body->outer[body->outer_count++] = value->index[i];
    }
    for (int k = 0; k < port->decl.indices.count; k++) {
        const Expr *entry = port->decl.indices.at[k];
        const Bound1 *size = entry->kind == EXPR_NAME ? inst_size(own->inst, entry->name) : NULL;
        if (entry->kind != EXPR_NAME || (size != NULL && size->bracket)) continue;
        int index = value->index[at++];
        const IndexName *old = find_index(own, entry->name);
        if (old == NULL) {
            bind_caller(own, entry->name, index, entry->span);
        } else if (old->index != index) {
            Diag *diag = sema_error(c, "E-TIME", given->expr->span,
                                    "'%s' of '%s' is bound to '%s' and to '%s'", entry->name,
                                    own->called, c->e->graph->indices.at[old->index].name,
                                    c->e->graph->indices.at[index].name);
            sema_note(c, diag, port->span, "the input of model '%s'", own->inst->model->name);
            return false;
        }
    }
    return true;
}

static bool outer_indices(const Ctx *c, const Ctx *own, Span span) {
    Body *body = own->body;
    for (int i = 0; i < body->outer_count; i++) {
        for (int m = 0; m < body->marks.count; m++)
            if (body->marks.at[m].index == body->outer[i]) {
                Name name = c->e->graph->indices.at[body->outer[i]].name;
                sema_error(c, "E-TIME", span,
                           "'%s' is a sequence to '%s' in one argument and outer "
                           "in another; use a second index, 'time s in %s'",
                           name, own->called, name);
                return false;
            }
    }
    for (int i = 0; i < body->outer_count; i++)
        vec_push(c->e->arena, &body->marks,
                 (IndexMark){body->outer[i], index_mirrored(c->body, body->outer[i])});
    return true;
}

static void bind_size(const Ctx *own, const Expr *dim, const Poly *value, Span span) {
    if (dim->kind != EXPR_NAME || value == NULL) return;
    Bound1 *size = inst_size(own->inst, dim->name);
    if (size == NULL || size->bound) return;
    size->num = (Num){.kind = NUM_INT, .integer = value};
    size->span = span;
    size->bound = true;
}

/* Lone names of the header take their values from the arguments; the rest from the model's file. */
static bool bind_sizes(const Ctx *c, const Ctx *own, const Given *given, Span span) {
    const PortList *ports = &own->inst->model->item->inputs;
    bool open = false;
    for (int k = 0; k < ports->count; k++) {
        const Value *value = given[k].value;
        const TypeExpr *type = ports->at[k].type;
        if (value == NULL || type == NULL) continue;
        if (value->type.unknown) {
            open = true;
            continue;
        }
        if (type->shape.count != value->type.rank) {
            Diag *diag = sema_error(
                c, "E-SHAPE", given[k].expr->span,
                "argument '%s' of '%s' has shape %s when it should be %s", ports->at[k].decl.name,
                own->called, ty_shape_text(c->e->arena, &value->type), written(c, type->span));
            sema_note(c, diag, ports->at[k].span, "declared here");
            return false;
        }
        for (int d = 0; d < value->type.rank; d++) {
            bind_size(own, type->shape.at[d], value->type.dim[d], given[k].expr->span);
            open |= value->type.dim[d] == NULL;
        }
        if (type->name != NULL && type->argument != NULL && value->type.dtype == DT_INT)
            bind_size(own, type->argument, value->type.bound, given[k].expr->span);
    }
    for (int i = 0; i < own->inst->sizes.count; i++) {
        Bound1 *size = &own->inst->sizes.at[i];
        if (size->bound || open) continue;
        FileBind *bind = map_get(&own->file->binds, size->name);
        if (bind != NULL) {
            size->num = file_number(c->e, own->file, bind);
            size->span = bind->bind->span;
            size->bound = true;
            continue;
        }
        Diag *diag = sema_error(c, "E-SIZEARG", span,
                                "size '%s' of model '%s' does not follow from "
                                "the arguments",
                                size->name, own->inst->model->name);
        const Model *model = own->inst->model;
        for (int h = 0; h < model->header.count; h++)
            if (model->header.at[h] == size->name)
                sema_note(c, diag, model->header_at.at[h], "'%s' stands here", size->name);
        return false;
    }
    return true;
}

static bool carry_state(const Ctx *c, const Ctx *own, Span span) {
    Body *body = own->body;
    if (!own->inst->carry || body->carry != 0) return true;
    const Graph *graph = c->e->graph;
    int axis = -1;
    bool several = false;
    for (int m = 0; m < body->marks.count; m++) {
        bool outer = false;
        for (int i = 0; i < body->outer_count; i++)
            outer |= body->outer[i] == body->marks.at[m].index;
        int on = graph->indices.at[body->marks.at[m].index].axis;
        several |= outer || (axis >= 0 && axis != on);
        if (!outer) axis = on;
    }
    if (axis < 0 || several) {
        Diag *diag = sema_error(c, "E-CARRY", span, "'%s' cannot carry its state over %s",
                                own->inst->path, several ? "several time axes" : "no time axis");
        sema_note(c, diag, own->inst->span, "'carry' is here");
        return false;
    }
    vec_push(c->e->arena, &c->e->graph->carries, (GraphCarry){body->path, axis});
    body->carry = c->e->graph->carries.count;
    return true;
}

const Value *port_default(const Ctx *c, Var *var) {
    if (var->port == NULL || var->port->value == NULL || var->count > 0 || var->output) return NULL;
    const Expr *expr = var->port->value;
    const char *what = arena_printf(c->e->arena, "the default of '%s'", var->source);
    if (var->boundary_active) {
        sema_error(c, "E-CAUSAL", expr->span, "%s depends on itself", what);
        return unknown_value(c);
    }
    if (!frame_enter(c, expr->span)) return unknown_value(c);
    var->boundary_active = true;
    Eq *eq = ARENA_NEW(c->e->arena, Eq);
    eq->label = sema_name(c, arena_printf(c->e->arena, "%s.init", var->key));
    eq->body = c->body;
    eq->env = c->env;
    eq->aside = expr;
    Ctx own = *c;
    own.eq = eq;
    const Value *value =
        flow(c, elab(&own, expr), &var->type, true, expr->span, what, var->port->span);
    for (int i = 0; i < value->count && !value->type.unknown; i++) {
        bool outer = false;
        for (int k = 0; k < c->body->outer_count; k++)
            outer |= c->body->outer[k] == value->index[i];
        if (outer) continue;
        Name name = c->e->graph->indices.at[value->index[i]].name;
        sema_error(c, "E-TIME", find_name_in(expr, name, expr->span),
                   "%s has no time and depends on '%s'", what, name);
        value = unknown_value(c);
    }
    var->boundary_active = false;
    frame_leave(c);
    return value;
}

void take_default(const Ctx *c, Var *var) {
    if (!var->waits) return;
    const Value *value = port_default(c, var);
    var->input = value;
    var->waits = false;
}

/* Inputs of the body, with their types checked. A default waits for what the body declares. */
static bool take_inputs(const Ctx *c, const Ctx *own, const Given *given) {
    const PortList *ports = &own->inst->model->item->inputs;
    for (int i = 0; i < own->body->all.count; i++) {
        Var *var = own->body->all.at[i];
        if (var->port == NULL || var->output) continue;
        const Given *g = &given[var->port - ports->at];
        const char *what =
            arena_printf(c->e->arena, "argument '%s' of '%s'", var->source, own->called);
        var->waits = g->value == NULL;
        if (var->waits) continue;
        var->input = flow(c, g->value, &var->type, false, g->expr->span, what, var->port->span);
        if (var->type.unknown || var->input->type.unknown) var->input = unknown_value(c);
        /* What is read at t-k under `carry` is kept between calls, by each instance under a name of
         * its own: another one may read the same value beyond another boundary. */
        const Value *input = var->input;
        if (!own->body->carry || var->boundary == NULL || input->node < 0) continue;
        input = emit_op(c, OP_VAR, &input->type, 1, &input, NULL, var->port->span);
        if (input->node >= 0)
            c->e->graph->nodes.at[input->node]->name = sema_join(own, own->body->path, var->source);
        var->input = input;
    }
    return true;
}

static const Value *output_value(const Ctx *own, Var *var) {
    if (var->type.unknown) return unknown_value(own);
    Value *value = ARENA_NEW(own->e->arena, Value);
    value->type = var->type;
    value->node = own->e->emit ? var_node(own, var) : -1;
    for (int i = 0; i < own->body->outer_count; i++)
        value_add_index(own, value, own->body->outer[i], var->span);
    for (int k = 0; k < var->count; k++) value_add_index(own, value, var->index[k], var->span);
    return value;
}

/* The text of a place for a message, where it is one short line. */
static const char *short_text(const Ctx *c, Span span) {
    const char *text = written(c, span);
    return strlen(text) > 40 || strchr(text, '\n') != NULL ? "…" : text;
}

void refuse_uninstanced(const Ctx *c, const Expr *call, const Model *model) {
    Text bracket = text_new(c->e->arena);
    bool given = call->a->kind == EXPR_INDEX, any = false;
    for (int i = 0; !given && i < model->item->params.count; i++) {
        if (model->item->params.at[i].value != NULL) continue;
        text_printf(&bracket, "%s%s", any ? ", " : "[", model->item->params.at[i].name);
        any = true;
    }
    if (any) text_puts(&bracket, "]");
    const char *arguments = "";
    int count = call->args.count;
    if (count > 0)
        arguments = short_text(c, span_join(call->args.at[0].span, call->args.at[count - 1].span));
    Diag *diag = sema_error(c, "E-NAME", call->a->span,
                            "model '%s' is made an instance first: 'use f = %s%s', then 'f(%s)'",
                            model->name, given ? short_text(c, call->a->span) : model->name,
                            text_string(&bracket), arguments);
    sema_note(c, diag, model->item->name_span, "the model");
}

static Inst *applied_instance(const Ctx *c, const Expr *call, Name *path) {
    UseDecl *use = find_instance(c, call->a);
    if (use != NULL) {
        if (use->inst == NULL) return NULL;
        *path = sema_join(c, c->body->path, use->key);
        if (use->applied++ > 0)
            *path = sema_name(c, arena_printf(c->e->arena, "%s#%d", *path, use->applied - 1));
        return use->inst;
    }
    const Base *known = call->a->kind == EXPR_NAME ? find_base(c, call->a->name) : NULL;
    if (call->a->kind != EXPR_NAME || (known != NULL && known->kind == BASE_USE)) return NULL;
    const Model *model = find_model(c, call->a->name, call->a->span);
    if (model->params_in) {
        refuse_uninstanced(c, call, model);
        return NULL;
    }
    int number = c->eq == NULL ? 0 : c->eq->applications++;
    Name label = sema_join(c, c->eq == NULL ? "" : c->eq->label, model->name);
    if (number > 0) label = sema_name(c, arena_printf(c->e->arena, "%s#%d", label, number));
    *path = sema_join(c, c->body->path, label);
    Inst *inst = inst_new(c, model, *path, call->span);
    ArgList none = {0};
    return inst != NULL && bracket_values(c, inst, &none, call->span) ? inst : NULL;
}

const Value *const *elab_application(const Ctx *c, const Expr *call, const Model **model) {
    Name path = NULL;
    for (int i = 0; c->eq != NULL && i < c->eq->early.count; i++) {
        Early *early = &c->eq->early.at[i];
        if (early->call != call || early->model == NULL || early->taken) continue;
        early->taken = true;
        *model = early->model;
        return early->outputs;
    }
    Inst *inst = applied_instance(c, call, &path);
    if (inst == NULL) {
        for (int i = 0; i < call->args.count; i++) elab(c, call->args.at[i].value);
        return NULL;
    }
    const Item *item = inst->model->item;
    *model = inst->model;
    const Stmt *loss = find_loss(&item->body);
    if (loss != NULL) {
        Diag *diag = sema_error(c, "E-LOSS", call->span,
                                "model '%s' has a %s and cannot be applied; "
                                "return it as an output",
                                item->name, loss->kind == STMT_LOSS ? "loss" : "stop");
        sema_note(c, diag, loss->span, "it is here");
        return NULL;
    }
    Given *given = ARENA_ARRAY(c->e->arena, item->inputs.count + 1, Given);
    if (!match_args(c, call, inst->model, given)) return NULL;
    Body *body = body_new(c->e, inst, c->body, path, call->span);
    Ctx own = {.e = c->e, .file = inst->model->file, .inst = inst, .body = body};
    own.called = written(c, call->a->span);
    for (int i = 0; i < inst->sizes.count; i++)
        add_base(&own, inst->sizes.at[i].name, BASE_SIZE, item->name_span, 0);
    bool unknown = false;
    for (int k = 0; k < item->inputs.count; k++) {
        if (given[k].value == NULL) continue;
        unknown |= given[k].value->type.unknown;
        if (!bind_indices(c, &own, &item->inputs.at[k], &given[k])) return NULL;
    }
    if (unknown || !outer_indices(c, &own, call->span)) return NULL;
    body_times(&own, c->eq);
    if (!carry_state(c, &own, call->span) || !bind_sizes(c, &own, given, call->span)) return NULL;
    header_types(&own);
    take_inputs(c, &own, given);
    const Value **outputs = ARENA_ARRAY(c->e->arena, item->outputs.count + 1, const Value *);
    for (int i = 0; i < item->outputs.count; i++) outputs[i] = unknown_value(c);
    for (int i = 0; i < body->all.count; i++) {
        Var *var = body->all.at[i];
        if (var->output) outputs[var->port - item->outputs.at] = output_value(&own, var);
    }
    if (c->e->emit) {
        declare_body(&own);
        for (int i = 0; i < body->all.count; i++) take_default(&own, body->all.at[i]);
        vec_push(c->e->arena, &c->e->queue, body);
    }
    return outputs;
}
