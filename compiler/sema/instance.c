/* The two walks over a model: the check at its definition, with sizes as unknowns and no nodes, and
 * its instance with numbers, a Graph in one mode without what nothing reads. */
#include "sema/instance.h"

static Elab *elab_new(const Elab *from, const char *model, Mode mode, bool emit) {
    Elab *e = ARENA_NEW(from->arena, Elab);
    *e = (Elab){.arena = from->arena,
                .names = from->names,
                .diags = from->diags,
                .program = from->program,
                .emit = emit};
    e->graph = graph_new(e->arena, e->names, name_of(e->names, model), mode);
    return e;
}

static Ctx root_ctx(Elab *e, const Model *model) {
    Ctx c = {.e = e, .file = model->file};
    c.inst = inst_new(&c, model, name_of(e->names, ""), model->item->name_span);
    return c;
}

static void open_body(Ctx *c) {
    const Model *model = c->inst->model;
    c->body = body_new(c->e, c->inst, NULL, name_of(c->e->names, ""), model->item->name_span);
    for (int i = 0; i < model->item->params.count; i++)
        add_base(c, model->item->params.at[i].name, BASE_SIZE, model->item->params.at[i].name_span,
                 0);
    for (int i = 0; i < model->header.count; i++)
        add_base(c, model->header.at[i], BASE_SIZE, model->header_at.at[i], 0);
    body_times(c, NULL);
    header_types(c);
}

static Value *port_value(const Ctx *c, const Var *var) {
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->type = var->type;
    value->node = -1;
    for (int k = 0; k < var->count; k++) value_add_index(c, value, var->index[k], var->span);
    return value;
}

static void run_equations(Elab *e, const Body *body) {
    for (int i = 0; i < body->eqs.count; i++) elab_equation(e, body->eqs.at[i]);
}

void check_model(Elab *from, const Model *model) {
    if (model->models_in) return;
    Elab *e = elab_new(from, model->name, MODE_INFER, false);
    Ctx c = root_ctx(e, model);
    for (int i = 0; i < c.inst->sizes.count; i++) {
        Bound1 *size = &c.inst->sizes.at[i];
        size->bound = true;
        size->num = (Num){.kind = NUM_INT, .integer = poly_name(e->arena, size->name, false)};
    }
    for (int i = 0; i < model->item->params.count; i++)
        if (model->item->params.at[i].value != NULL) elab(&c, model->item->params.at[i].value);
    open_body(&c);
    for (int i = 0; i < c.body->all.count; i++) {
        Var *var = c.body->all.at[i];
        if (var->port == NULL || var->output) continue;
        var->input = port_value(&c, var);
    }
    declare_body(&c);
    for (int i = 0; i < c.body->all.count; i++) port_default(&c, c.body->all.at[i]);
    run_equations(e, c.body);
    for (int i = 0; i < c.body->all.count; i++) {
        Var *var = c.body->all.at[i];
        if (var->boundary != NULL && var->typed && !var->type.unknown) var_boundary(&c, var);
    }
}

/* Sizes of a model compiled by itself: `-D`, its file, its defaults. */
static bool root_sizes(Ctx *c) {
    const Model *model = c->inst->model;
    bool right = true;
    Program *program = c->e->program;
    for (int i = 0; i < c->inst->sizes.count; i++) {
        Bound1 *size = &c->inst->sizes.at[i];
        const Bind *bind = size->bracket ? &model->item->params.at[i] : NULL;
        size->span =
            bind != NULL ? bind->name_span : model->header_at.at[i - model->item->params.count];
        FileBind *given = map_get(&model->file->binds, size->name);
        for (int d = 0; d < program->define_count && !size->bound; d++)
            if (given == NULL && strcmp(program->defines[d].name, size->name) == 0) {
                size->num = num_of_define(c->e, &program->defines[d]);
                size->bound = true;
            }
        if (!size->bound && given != NULL) {
            size->num = file_number(c->e, model->file, given);
            size->bound = true;
        }
        const Model *named = NULL;
        if (!size->bound && bind != NULL && bind->value != NULL) {
            if (bind->value->kind == EXPR_NAME)
                named = find_model(c, bind->value->name, bind->value->span);
            const Value *value = named != NULL ? NULL : elab(c, bind->value);
            size->model = named;
            size->bound = named != NULL || value->num.kind != NUM_NONE;
            if (named == NULL) size->num = value->num;
        }
        if (size->bound) continue;
        sema_error(c, "E-SIZEARG", size->span,
                   "'%s' of model '%s' has no value; give it by 'size %s = …' "
                   "or -D %s=…",
                   size->name, model->name, size->name, size->name);
        right = false;
    }
    return right;
}

static void add_input(const Ctx *c, Var *var) {
    Graph *graph = c->e->graph;
    GraphPort port = {.name = var->source,
                      .index_count = var->count,
                      .node = -1,
                      .fallback = -1,
                      .span = var->span};
    if (var->type.unknown) return;
    port.type = graph_type_of(c, &var->type, var->span);
    memcpy(port.indices, var->index, sizeof port.indices);
    Attr attr = {.slot = graph->inputs.count};
    vec_push(c->e->arena, &graph->inputs, port);
    Value *value = port_value(c, var);
    value->node = emit_op(c, OP_INPUT, &var->type, 0, NULL, &attr, var->span)->node;
    if (value->node >= 0)
        graph->nodes.at[value->node]->name = sema_join(c, c->body->path, var->key);
    var->input = value;
    graph->inputs.at[attr.slot].node = value->node;
}

/* Whether a default needs, by way of others, the input that it is the default of. */
static bool default_cycles(const Ctx *c, int slot) {
    const Graph *graph = c->e->graph;
    bool *seen = ARENA_ARRAY(c->e->arena, graph->nodes.count + 1, bool);
    VEC(int) work = {0};
    vec_push(c->e->arena, &work, graph->inputs.at[slot].fallback);
    while (work.count > 0) {
        int id = work.at[--work.count];
        if (id < 0 || seen[id]) continue;
        const Node *node = graph->nodes.at[id];
        seen[id] = true;
        for (int i = 0; i < node->in_count; i++) vec_push(c->e->arena, &work, node->in[i]);
        if (node->op != OP_INPUT) continue;
        if (node->attr.slot == slot) return true;
        vec_push(c->e->arena, &work, graph->inputs.at[node->attr.slot].fallback);
    }
    return false;
}

/* Defaults of the inputs without time, made of whatever the body declares. */
static void add_defaults(const Ctx *c) {
    Graph *graph = c->e->graph;
    int slot = 0;
    for (int i = 0; i < c->body->all.count && slot < graph->inputs.count; i++) {
        Var *var = c->body->all.at[i];
        if (var->port == NULL || var->output || var->input == NULL) continue;
        const Value *fallback = port_default(c, var);
        if (fallback != NULL) graph->inputs.at[slot].fallback = fallback->node;
        slot++;
    }
}

static void add_output(const Ctx *c, const Var *var) {
    GraphPort port = {.name = var->source,
                      .index_count = var->count,
                      .node = var->node,
                      .fallback = -1,
                      .span = var->span};
    port.type = graph_type_of(c, &var->type, var->span);
    memcpy(port.indices, var->index, sizeof port.indices);
    vec_push(c->e->arena, &c->e->graph->outputs, port);
}

static void mark(const Graph *graph, int root, bool *live, int *work) {
    int count = 0;
    if (root >= 0 && !live[root]) live[work[count++] = root] = true;
    while (count > 0) {
        const Node *node = graph->nodes.at[work[--count]];
        for (int i = 0; i < node->in_count; i++)
            if (node->in[i] >= 0 && !live[node->in[i]]) live[work[count++] = node->in[i]] = true;
    }
}

/* Leaves out what reaches no output, loss or stop; dead inputs have no node then. */
static void prune(Elab *e) {
    Graph *graph = e->graph;
    int count = graph->nodes.count, kept = 0;
    bool *live = ARENA_ARRAY(e->arena, count + 1, bool);
    int *work = ARENA_ARRAY(e->arena, count + 1, int), *to = ARENA_ARRAY(e->arena, count + 1, int);
    for (int i = 0; i < graph->outputs.count; i++)
        mark(graph, graph->outputs.at[i].node, live, work);
    for (int i = 0; i < graph->losses.count; i++) {
        mark(graph, graph->losses.at[i].node, live, work);
        mark(graph, graph->losses.at[i].per, live, work);
    }
    for (int i = 0; i < graph->stops.count; i++) mark(graph, graph->stops.at[i].node, live, work);
    /* A default may read another input that has one. */
    for (int round = 0; round < graph->inputs.count; round++)
        for (int i = 0; i < graph->inputs.count; i++) {
            const GraphPort *port = &graph->inputs.at[i];
            if (port->node >= 0 && live[port->node]) mark(graph, port->fallback, live, work);
        }
    for (int i = 0; i < graph->inputs.count; i++) {
        GraphPort *port = &graph->inputs.at[i];
        if (port->node < 0 || !live[port->node]) port->node = port->fallback = -1;
    }
    for (int i = 0; i < count; i++) {
        to[i] = live[i] ? kept : -1;
        if (live[i]) graph->nodes.at[kept++] = graph->nodes.at[i];
    }
    graph->nodes.count = kept;
    for (int i = 0; i < kept; i++) {
        Node *node = graph->nodes.at[i];
        node->id = i;
        for (int k = 0; k < node->in_count; k++)
            if (node->in[k] >= 0) node->in[k] = to[node->in[k]];
    }
#define MOVED(id) ((id) < 0 ? -1 : to[id])
    for (int i = 0; i < graph->outputs.count; i++)
        graph->outputs.at[i].node = MOVED(graph->outputs.at[i].node);
    for (int i = 0; i < graph->inputs.count; i++) {
        graph->inputs.at[i].node = MOVED(graph->inputs.at[i].node);
        graph->inputs.at[i].fallback = MOVED(graph->inputs.at[i].fallback);
    }
    for (int i = 0; i < graph->losses.count; i++) {
        graph->losses.at[i].node = MOVED(graph->losses.at[i].node);
        graph->losses.at[i].per = MOVED(graph->losses.at[i].per);
    }
    for (int i = 0; i < graph->stops.count; i++)
        graph->stops.at[i].node = MOVED(graph->stops.at[i].node);
#undef MOVED
}

/* Axes whose length no input of this mode gives. */
static void find_generated(const Elab *e) {
    Graph *graph = e->graph;
    for (int a = 0; a < graph->axes.count; a++) {
        Axis *axis = &graph->axes.at[a];
        axis->generated = axis->kind == AXIS_RUN && axis->fixed == 0;
        for (int i = 0; i < graph->inputs.count; i++)
            for (int k = 0; k < graph->inputs.at[i].index_count; k++) {
                bool on = graph->indices.at[graph->inputs.at[i].indices[k]].axis == a;
                if (on && graph->inputs.at[i].node >= 0) axis->generated = false;
            }
    }
}

Graph *sema_graph(Program *program, const char *name, Mode mode, Diags *diags) {
    return sema_graph_in(program->arena, program, name, mode, diags);
}

Graph *sema_graph_in(Arena *arena, Program *program, const char *name, Mode mode, Diags *diags) {
    const Model *model = map_get(&program->main->models, name_of(program->names, name));
    if (model == NULL || diags->errors > 0) return NULL;
    Elab from = {.arena = arena, .names = program->names, .diags = diags, .program = program};
    Elab *e = elab_new(&from, model->name, mode, true);
    Ctx c = root_ctx(e, model);
    if (!root_sizes(&c)) return NULL;
    open_body(&c);
    for (int i = 0; i < c.body->all.count; i++)
        if (c.body->all.at[i]->port != NULL && !c.body->all.at[i]->output)
            add_input(&c, c.body->all.at[i]);
    declare_body(&c);
    if (e->limited) return NULL;
    add_defaults(&c);
    run_equations(e, c.body);
    /* Bodies of applications join the queue while it is worked off. */
    for (int i = 0; i < e->queue.count && !e->limited; i++) run_equations(e, e->queue.at[i]);
    for (int i = 0; i < e->graph->inputs.count && diags->errors == 0; i++)
        if (default_cycles(&c, i))
            sema_error(&c, "E-CAUSAL", e->graph->inputs.at[i].span,
                       "the default of '%s' depends on itself", e->graph->inputs.at[i].name);
    if (diags->errors > 0) return NULL;
    for (int i = 0; i < c.body->all.count; i++)
        if (c.body->all.at[i]->output) add_output(&c, c.body->all.at[i]);
    order_params(e, c.inst);
    prune(e);
    find_generated(e);
    if (mode == MODE_TRAIN) check_gradients(e);
    return e->graph;
}
