/* Parameters and their initialisers. A constant initialiser is elaborated like any expression into
 * a graph of its own, which the reference interpreter evaluates once. */
#include <math.h>

#include "graph/interpret.h"
#include "sema/elab.h"

const Value *param_value(const Ctx *c, Param *param, Span span) {
    if (param->type.unknown) return unknown_value(c);
    Value *value = ARENA_NEW(c->e->arena, Value);
    value->type = param->type;
    value->node = -1;
    if (c->e->emit && param->node < 0) {
        Attr attr = {.slot = param->slot};
        param->node = emit_op(c, OP_PARAM, &param->type, 0, NULL, &attr, span)->node;
        if (param->node >= 0) c->e->graph->nodes.at[param->node]->name = param->name;
    }
    value->node = param->node;
    return value;
}

/* `glorot`, `normal(0.1)`, … */
static void random_initial(const Ctx *c, const Expr *expr, GraphParam *to) {
    static const char *const names[] = {"", "glorot", "he", "orthogonal", "normal", "uniform"};
    static const int arguments[] = {0, 0, 0, 0, 1, 2};
    const Expr *name = expr->kind == EXPR_CALL ? expr->a : expr;
    int kind = 6;
    if (expr->kind == EXPR_ERROR) return;
    if (name != NULL && name->kind == EXPR_NAME)
        for (kind = 1; kind < 6 && strcmp(names[kind], name->name) != 0;) kind++;
    if (kind == 6) {
        sema_error(c, "E-NAME", expr->span,
                   "an initialiser is glorot, he, orthogonal, normal(s) or "
                   "uniform(a, b)");
        return;
    }
    int given = expr->kind == EXPR_CALL ? expr->args.count : 0;
    if (given != arguments[kind]) {
        sema_error(c, "E-SHAPE", expr->span, "%s takes %s, not %d", names[kind],
                   counted(c, arguments[kind], "argument", "arguments"), given);
        return;
    }
    to->initial = (InitialKind)kind;
    if (kind == INITIAL_ORTHOGONAL && to->shape.rank < 2)
        sema_error(c, "E-SHAPE", expr->span, "orthogonal needs a matrix, not %s",
                   to->shape.rank == 1 ? "a vector" : "a scalar");
    for (int i = 0; i < given; i++) {
        const Value *value = elab(c, expr->args.at[i].value);
        if (!num_double(&value->num, i == 0 ? &to->a : &to->b) && !value->type.unknown &&
            value->num.kind != NUM_OPEN && c->e->emit)
            sema_error(c, "E-TYPE", expr->args.at[i].span,
                       "an argument of %s is no compile-time number", names[kind]);
    }
}

static bool constant_graph(const Graph *graph) {
    for (int i = 0; i < graph->nodes.count; i++) {
        Op op = graph->nodes.at[i]->op;
        if (op == OP_INPUT || op == OP_PARAM || op == OP_DRAW || op == OP_INDEX ||
            op == OP_LENGTH || op == OP_READ || op_info[op].class_ == CLASS_TIME)
            return false;
    }
    return true; /* no body was in sight, so nothing of it can be in the graph */
}

/* The values of a constant expression that is no single number. */
static const double *evaluate(const Ctx *c, const Value *value, Span span) {
    Graph *graph = c->e->graph;
    if (!constant_graph(graph)) {
        sema_error(c, "E-TYPE", span, "an initial value is made of constants, sizes and iota");
        return NULL;
    }
    vec_push(c->e->arena, &graph->outputs,
             (GraphPort){.name = name_of(c->e->names, "value"),
                         .type = graph->nodes.at[value->node]->type,
                         .node = value->node,
                         .fallback = -1,
                         .span = span});
    int64_t *lengths = NULL;
    InterpCall call = {.batch = 1, .lengths = &lengths};
    InterpResult *result = interpret(c->e->arena, graph, &call);
    if (result->status != INTERP_OK) {
        sema_error(c, "E-TYPE", span, "the initial value cannot be computed: %s",
                   result->message == NULL ? "unknown cause" : result->message);
        return NULL;
    }
    return result->outputs[0];
}

static void constant_initial(const Ctx *c, const Expr *expr, const Ty *type, Name name, Span at,
                             GraphParam *to) {
    Elab inner = *c->e;
    inner.graph = graph_new(c->e->arena, c->e->names, name, c->e->graph->mode);
    Ctx own = *c;
    own.e = &inner;
    own.body = NULL; /* variables and parameters are not in sight */
    const char *what = arena_printf(c->e->arena, "the initial value of '%s'", name);
    const Value *value = elab(&own, expr);
    to->initial = INITIAL_VALUES;
    if (value->type.rank == 0 && num_double(&value->num, &to->a)) {
        if (value->type.dtype == DT_BOOL) flow(&own, value, type, true, expr->span, what, at);
        return;
    }
    if (value->type.dtype == DT_INT && value->num.kind == NUM_NONE)
        value = value_as(&own, value, DT_FLOAT, expr->span);
    value = flow(&own, value, type, true, expr->span, what, at);
    if (value->type.unknown || !c->e->emit || c->e->diags->errors > 0) return;
    if (value->count > 0 || value->node < 0) {
        sema_error(c, "E-TYPE", expr->span, "%s depends on time", what);
        return;
    }
    to->values = evaluate(&own, value, expr->span);
}

void declare_param(const Ctx *c, ParamDecl *decl) {
    const Stmt *stmt = decl->stmt;
    Param *param = ARENA_NEW(c->e->arena, Param);
    decl->param = param;
    param->span = decl->decl->span;
    param->node = -1;
    param->type = stmt->type == NULL ? ty_unknown() : declared_type(c, stmt->type);
    if (!param->type.unknown && param->type.dtype != DT_FLOAT) {
        sema_error(c, "E-TYPE", stmt->type->span, "a parameter is float, not %s",
                   ty_text(c->e->arena, &param->type, c->e->graph));
        param->type = ty_unknown();
    }
    bool open = false;
    Name key =
        member_key(c, decl->decl->name, &decl->decl->indices, decl->decl->indices.count, &open);
    param->name = sema_join(c, c->inst->path, key == NULL ? decl->decl->name : key);
    GraphParam to = {.name = param->name, .span = param->span};
    if (!param->type.unknown && c->e->emit)
        to.shape = graph_type_of(c, &param->type, param->span).shape;
    to.shape.rank = param->type.rank;
    for (int i = 0; i < stmt->names.count; i++) {
        if (strcmp(stmt->names.at[i].name, "frozen") == 0)
            to.frozen = true;
        else
            sema_error(c, "E-NAME", stmt->names.at[i].span,
                       "'%s' is no attribute of a parameter; there is frozen",
                       stmt->names.at[i].name);
    }
    if (stmt->init == INIT_RANDOM && !param->type.unknown) random_initial(c, stmt->value, &to);
    if (stmt->init == INIT_VALUE)
        constant_initial(c, stmt->value, &param->type, param->name,
                         stmt->type == NULL ? param->span : stmt->type->span, &to);
    if (!c->e->emit) return;
    param->slot = c->e->graph->params.count;
    vec_push(c->e->arena, &c->e->graph->params, to);
}

static void collect_params(const Inst *inst, int *place, int *next) {
    for (int i = 0; i < inst->members.count; i++) {
        const Member *member = &inst->members.at[i];
        if (member->inst != NULL) /* no deeper than MAX_INSTANCES */
            collect_params(member->inst, place, next);
        else
            place[member->param->slot] = (*next)++;
    }
}

void order_params(Elab *e, const Inst *root) {
    Graph *graph = e->graph;
    int count = graph->params.count, next = 0;
    int *place = ARENA_ARRAY(e->arena, count + 1, int);
    collect_params(root, place, &next);
    const GraphParam *old = arena_copy(e->arena, graph->params.at, (size_t)count * sizeof *old);
    for (int i = 0; i < count; i++) graph->params.at[place[i]] = old[i];
    for (int i = 0; i < graph->nodes.count; i++) {
        Node *node = graph->nodes.at[i];
        if (node->op == OP_PARAM) node->attr.slot = place[node->attr.slot];
    }
}
