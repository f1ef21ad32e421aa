/* Time indices of a body: those of its header, on new axes at the top and on the caller's indices
 * in an application, and those that its `time` statements make. */
#include "sema/elab.h"

Body *body_new(Elab *e, Inst *inst, Body *up, Name path, Span span) {
    Body *body = ARENA_NEW(e->arena, Body);
    body->inst = inst;
    body->up = up;
    body->path = path;
    body->span = span;
    if (up && up->up) body->span.within = &up->span;
    body->carry = up == NULL ? 0 : up->carry;
    body->reversed = inst->reverse != (up != NULL && up->reversed);
    return body;
}

static void put_index(const Ctx *c, Name name, int index, Span span) {
    IndexName *to = ARENA_NEW(c->e->arena, IndexName);
    *to = (IndexName){name, index, span};
    map_put(c->e->arena, &c->body->indices, name, to);
}

int index_new(const Ctx *c, Name name, int axis, bool mirrored) {
    Graph *graph = c->e->graph;
    int index = graph->indices.count;
    vec_push(c->e->arena, &graph->indices, (Index){sema_join(c, c->body->path, name), axis});
    vec_push(c->e->arena, &c->body->marks, (IndexMark){index, mirrored});
    return index;
}

static int axis_new(const Ctx *c, Name name, Span span) {
    Graph *graph = c->e->graph;
    int axis = graph->axes.count;
    vec_push(c->e->arena, &graph->axes,
             (Axis){.name = sema_join(c, c->body->path, name), .kind = AXIS_RUN, .span = span});
    return axis;
}

static const Stmt *time_in(const StmtList *body, Name name) {
    for (int i = 0; i < body->count; i++)
        if (body->at[i]->kind == STMT_TIME_IN && body->at[i]->name == name &&
            (body->at[i]->names.count == 0 || body->at[i]->names.at[0].name != name))
            return body->at[i];
    return NULL;
}

/* The index of the caller's equation that may stand for an index of the callee on `axis` (-1: any
 * run axis), other than those that the callee already uses. */
static int caller_index(const Ctx *c, const Eq *caller, int axis) {
    const Body *body = c->body;
    for (int v = 0; caller != NULL && v < caller->vars.count; v++)
        for (int k = 0; k < caller->vars.at[v]->count; k++) {
            int index = caller->vars.at[v]->index[k];
            int on = c->e->graph->indices.at[index].axis;
            bool used = false;
            for (int m = 0; m < body->marks.count; m++) used |= body->marks.at[m].index == index;
            bool right = axis >= 0 ? on == axis : c->e->graph->axes.at[on].kind == AXIS_RUN;
            if (!used && right) return index;
        }
    /* `sum[v](pool(x[t]))`: an index of the caller that is not on the left. */
    int least = -1;
    for (int m = 0; axis >= 0 && body->up != NULL && m < body->up->marks.count; m++) {
        int index = body->up->marks.at[m].index;
        bool used = c->e->graph->indices.at[index].axis != axis;
        for (int k = 0; k < body->marks.count; k++) used |= body->marks.at[k].index == index;
        if (!used && (least < 0 || index < least)) least = index;
    }
    return least;
}

/* Binds an index of a callee to one of its caller's. */
void bind_caller(const Ctx *c, Name name, int index, Span span) {
    bool mirrored = index_mirrored(c->body->up, index) != c->body->inst->reverse;
    vec_push(c->e->arena, &c->body->marks, (IndexMark){index, mirrored});
    put_index(c, name, index, span);
}

static bool is_header(const Ctx *c, Name name, bool outputs) {
    const PortList *ports =
        outputs ? &c->inst->model->item->outputs : &c->inst->model->item->inputs;
    for (int i = 0; i < ports->count; i++)
        for (int k = 0; k < ports->at[i].decl.indices.count; k++) {
            const Expr *entry = ports->at[i].decl.indices.at[k];
            if (entry->kind == EXPR_NAME && entry->name == name) return true;
        }
    return false;
}

/* Header indices without a `time … in`: new axes at the top, else the caller's on the left. */
static void header_axes(const Ctx *c, const PortList *ports, const Eq *caller) {
    const Item *item = c->inst->model->item;
    for (int i = 0; i < ports->count; i++)
        for (int k = 0; k < ports->at[i].decl.indices.count; k++) {
            const Expr *entry = ports->at[i].decl.indices.at[k];
            if (entry->kind != EXPR_NAME) continue;
            const Bound1 *size = inst_size(c->inst, entry->name);
            if (size != NULL && size->bracket) continue;
            if (!add_base(c, entry->name, BASE_INDEX, entry->span, 0)) continue;
            if (find_index(c, entry->name) != NULL || time_in(&item->body, entry->name) != NULL)
                continue;
            int index = c->body->up == NULL ? -1 : caller_index(c, caller, -1);
            if (index >= 0) {
                bind_caller(c, entry->name, index, entry->span);
                continue;
            }
            int axis = axis_new(c, entry->name, entry->span);
            put_index(c, entry->name, index_new(c, entry->name, axis, c->body->reversed),
                      entry->span);
        }
}

/* The axis of every `every`-th position of `base`; every 0 when the definition leaves it open. */
static int slow_axis(const Ctx *c, Name name, int base, int64_t every, Span span) {
    Graph *graph = c->e->graph;
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *axis = &graph->axes.at[a];
        if (axis->kind == AXIS_SLOW && axis->base == base && axis->every == every) return a;
    }
    int axis = axis_new(c, name, span);
    graph->axes.at[axis].kind = AXIS_SLOW;
    graph->axes.at[axis].base = base;
    graph->axes.at[axis].every = every;
    return axis;
}

static void slow_index(const Ctx *c, const Stmt *stmt, const IndexName *base, const Eq *caller) {
    Graph *graph = c->e->graph;
    bool open = false;
    int64_t every = 0;
    if (!elab_integer(c, stmt->value, "the rate of an axis", &every, &open) && !open) every = 1;
    if (!open && every < 1) {
        sema_error(c, "E-TIME", stmt->value->span,
                   "an axis every %lld steps; it should be at least 1", (long long)every);
        every = 1;
    }
    if (c->body->reversed)
        sema_error(c, "E-TIME", stmt->span, "a model with a slower axis cannot be reversed");
    if (c->body->carry)
        sema_error(c, "E-CARRY", stmt->span, "a model with a slower axis cannot carry its state");
    int on = graph->indices.at[base->index].axis;
    const IndexName *old = find_index(c, stmt->name);
    if (old != NULL) {
        const Axis *axis = &graph->axes.at[graph->indices.at[old->index].axis];
        bool same = axis->kind == AXIS_SLOW && axis->base == on &&
                    (open || axis->every == 0 || axis->every == every);
        if (same) return;
        Diag *diag =
            sema_error(c, "E-TIME", c->body->span,
                       "'%s' is a slower axis, 'in %s every %lld', and is bound to another",
                       stmt->name, base->name, (long long)every);
        sema_note(c, diag, stmt->span, "model '%s' declares it here", c->inst->model->name);
        return;
    }
    int axis = slow_axis(c, stmt->name, on, every, stmt->span);
    int index = is_header(c, stmt->name, true) ? caller_index(c, caller, axis) : -1;
    if (index >= 0 && c->body->up != NULL)
        bind_caller(c, stmt->name, index, stmt->span);
    else
        put_index(c, stmt->name, index_new(c, stmt->name, axis, false), stmt->span);
}

static void second_index(const Ctx *c, const Stmt *stmt, const IndexName *base, const Eq *caller) {
    int axis = c->e->graph->indices.at[base->index].axis;
    if (find_index(c, stmt->name) != NULL) return;
    int index =
        c->body->up != NULL && is_header(c, stmt->name, true) ? caller_index(c, caller, axis) : -1;
    if (index >= 0)
        bind_caller(c, stmt->name, index, stmt->span);
    else
        put_index(c, stmt->name,
                  index_new(c, stmt->name, axis, index_mirrored(c->body, base->index)), stmt->span);
}

static void put_length(const Ctx *c, int axis, const Poly *length) {
    while (c->e->lengths.count <= axis) vec_push(c->e->arena, &c->e->lengths, NULL);
    c->e->lengths.at[axis] = length;
}

const Poly *axis_length(const Ctx *c, int axis) {
    const Axis *a = &c->e->graph->axes.at[axis];
    if (a->fixed > 0) return poly_constant(c->e->arena, a->fixed);
    if (a->most > 0) return poly_constant(c->e->arena, a->most);
    return axis < c->e->lengths.count ? c->e->lengths.at[axis] : NULL;
}

static void length(const Ctx *c, const Stmt *stmt) {
    Graph *graph = c->e->graph;
    IndexName *name = find_index(c, stmt->name);
    int64_t value = 0;
    if (name == NULL) {
        if (!add_base(c, stmt->name, BASE_INDEX, stmt->name_span, 0)) return;
        int axis = axis_new(c, stmt->name, stmt->span);
        put_index(c, stmt->name, index_new(c, stmt->name, axis, c->body->reversed),
                  stmt->name_span);
        name = find_index(c, stmt->name);
    }
    const Poly *symbolic = elab_size(c, stmt->value, "the length of an axis");
    if (!poly_value(symbolic, &value)) {
        int axis = graph->indices.at[name->index].axis;
        /* A length left open still makes the axis one of fixed length: `concat[t]` asks. */
        if (stmt->kind == STMT_TIME_FIXED) graph->axes.at[axis].fixed = -1;
        put_length(c, axis, symbolic);
        return;
    }
    if (value < 1 || value > INT32_MAX) {
        sema_error(c, "E-TIME", stmt->value->span,
                   "the length of an axis is %lld when it should be 1 to 2147483647",
                   (long long)value);
        return;
    }
    Axis *axis = &graph->axes.at[graph->indices.at[name->index].axis];
    if (axis->kind == AXIS_SLOW) {
        sema_error(c, "E-TIME", stmt->span, "the length of '%s' follows from its base axis",
                   stmt->name);
        return;
    }
    if (stmt->kind == STMT_TIME_BOUND) {
        if (axis->most == 0 || value < axis->most) axis->most = value;
    } else if (axis->fixed > 0 && axis->fixed != value) {
        Diag *diag = sema_error(c, "E-TIME", stmt->span,
                                "the length of '%s' is %lld here and %lld "
                                "elsewhere",
                                stmt->name, (long long)value, (long long)axis->fixed);
        sema_note(c, diag, axis->span, "the axis is declared here");
    } else {
        axis->fixed = value;
    }
    if (axis->fixed > 0 && axis->most > 0 && axis->fixed > axis->most)
        sema_error(c, "E-TIME", stmt->span, "the length of '%s' is %lld and at most %lld",
                   stmt->name, (long long)axis->fixed, (long long)axis->most);
}

void body_times(const Ctx *c, const Eq *caller) {
    const Item *item = c->inst->model->item;
    header_axes(c, &item->inputs, caller);
    header_axes(c, &item->outputs, caller);
    for (int i = 0; i < item->body.count; i++) {
        const Stmt *stmt = item->body.at[i];
        if (stmt->kind == STMT_TIME_FIXED || stmt->kind == STMT_TIME_BOUND) length(c, stmt);
    }
    /* `time v in t` may stand before the statement that makes t. */
    bool *done = ARENA_ARRAY(c->e->arena, item->body.count + 1, bool);
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < item->body.count; i++) {
            const Stmt *stmt = item->body.at[i];
            if (stmt->kind != STMT_TIME_IN || done[i] || stmt->names.count == 0) continue;
            const IndexName *base = find_index(c, stmt->names.at[0].name);
            if (base == NULL) continue;
            if (base->name == stmt->name) {
                sema_error(c, "E-TIME", stmt->span, "'%s' is made an index of its own axis",
                           stmt->name);
                done[i] = true;
                continue;
            }
            const Base *old = find_base(c, stmt->name);
            if (old != NULL && !is_header(c, stmt->name, false) &&
                !is_header(c, stmt->name, true)) {
                Diag *diag =
                    sema_error(c, "E-DUP", stmt->name_span, "'%s' is declared twice", stmt->name);
                sema_note(c, diag, old->span, "first here");
            } else if (add_base(c, stmt->name, BASE_INDEX, stmt->name_span, 0)) {
                if (stmt->value != NULL)
                    slow_index(c, stmt, base, caller);
                else
                    second_index(c, stmt, base, caller);
            }
            done[i] = moved = true;
        }
    }
    for (int i = 0; i < item->body.count; i++) {
        const Stmt *stmt = item->body.at[i];
        if (stmt->kind == STMT_TIME_IN && !done[i] && stmt->names.count > 0)
            sema_error(c, "E-NAME", stmt->names.at[0].span, "no time index is called '%s'",
                       stmt->names.at[0].name);
    }
}
