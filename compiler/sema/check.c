/* Checks of whole models: what reaches no output (E-UNUSED, by name), models that apply themselves,
 * and what gets no gradient (E-GRAD, on the Graph). */
#include "sema/elab.h"

/* A name of a model and the names that its equations, boundary values and brackets read. */
typedef struct Used {
    Name name;
    VEC(Name) reads;
    bool live;
} Used;

typedef struct Usage {
    Arena *arena;
    Map names;
    VEC(Used *) work;
} Usage;

static Used *used(Usage *u, Name name) {
    Used *at = map_get(&u->names, name);
    if (at != NULL) return at;
    at = ARENA_NEW(u->arena, Used);
    at->name = name;
    map_put(u->arena, &u->names, name, at);
    return at;
}

static void read_names(Usage *u, Used *by, const Expr *expr) {
    if (expr == NULL) return;
    if (expr->kind == EXPR_NAME) vec_push(u->arena, &by->reads, expr->name);
    read_names(u, by, expr->a);
    read_names(u, by, expr->b);
    read_names(u, by, expr->c);
    for (int i = 0; i < expr->entries.count; i++) {
        read_names(u, by, expr->entries.at[i].a);
        read_names(u, by, expr->entries.at[i].b);
    }
    for (int i = 0; i < expr->args.count; i++) read_names(u, by, expr->args.at[i].value);
}

static void collect(Usage *u, const StmtList *body, Used *root) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        bool ends = stmt->kind == STMT_LOSS || stmt->kind == STMT_STOP || stmt->kind == STMT_ERROR;
        for (int k = 0; k < stmt->decls.count; k++) {
            if (stmt->decls.at[k].name == NULL) continue;
            Used *by = used(u, stmt->decls.at[k].name);
            read_names(u, by, stmt->value);
            read_names(u, by, stmt->every);
            for (int a = 0; a < stmt->args.count; a++) read_names(u, by, stmt->args.at[a].value);
        }
        if (ends) {
            read_names(u, root, stmt->value);
            read_names(u, root, stmt->per);
        }
        collect(u, &stmt->body, root);
    }
}

static void report(Elab *e, Usage *u, const StmtList *body) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        bool live = false;
        report(e, u, &stmt->body);
        bool joint = stmt->kind == STMT_EQUATION || stmt->kind == STMT_DRAW;
        if (!joint && stmt->kind != STMT_PARAM && stmt->kind != STMT_USE) continue;
        for (int k = 0; k < stmt->decls.count; k++)
            live |= stmt->decls.at[k].name == NULL || used(u, stmt->decls.at[k].name)->live;
        for (int k = 0; k < stmt->decls.count; k++) {
            const Decl *decl = &stmt->decls.at[k];
            if (decl->name == NULL || (joint ? live : used(u, decl->name)->live)) continue;
            diag_warning(e->diags, "E-UNUSED", decl->name_span,
                         "%s '%s' reaches no output and no loss",
                         stmt->kind == STMT_PARAM ? "parameter"
                         : stmt->kind == STMT_USE ? "instance"
                                                  : "equation of",
                         decl->name);
        }
    }
}

void check_unused(Elab *e, const Model *model) {
    Usage u = {.arena = e->arena};
    Used root = {0};
    const Item *item = model->item;
    for (int i = 0; i < item->outputs.count; i++)
        if (item->outputs.at[i].decl.name != NULL)
            vec_push(u.arena, &root.reads, item->outputs.at[i].decl.name);
    for (int i = 0; i < item->inputs.count; i++) read_names(&u, &root, item->inputs.at[i].value);
    collect(&u, &item->body, &root);
    vec_push(u.arena, &u.work, &root);
    while (u.work.count > 0) {
        const Used *at = u.work.at[--u.work.count];
        for (int i = 0; i < at->reads.count; i++) {
            Used *next = used(&u, at->reads.at[i]);
            if (!next->live) vec_push(u.arena, &u.work, next);
            next->live = true;
        }
    }
    report(e, &u, &item->body);
}

static bool declares_use(const StmtList *body, Name name) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        if (stmt->kind == STMT_USE && stmt->decls.count > 0 && stmt->decls.at[0].name == name)
            return true;
        if (declares_use(&stmt->body, name)) return true;
    }
    return false;
}

/* Models that a body uses: names of `use` and names that are called. */
static void visit(Elab *e, Program *program, Model *model, int depth);

static void visit_name(Elab *e, Program *program, const Model *model, Name name, Span span,
                       int depth) {
    Ctx c = {.e = e, .file = model->file};
    for (int i = 0; i < model->item->params.count; i++)
        if (model->item->params.at[i].name == name) return;
    /* An instance may be called like a model; then the call is not the model's. */
    Model *other =
        declares_use(&model->item->body, name) ? NULL : (Model *)find_model(&c, name, span);
    if (other == NULL || other->color == 2 || program->recursive) return;
    if (other->color == 1 || depth >= MAX_INSTANCES) {
        Diag *diag =
            other->color == 1
                ? sema_error(&c, "E-LIMIT", span, "model '%s' applies itself without end",
                             other->name)
                : sema_error(&c, "E-LIMIT", span, "models are more than %d deep", MAX_INSTANCES);
        sema_note(&c, diag, other->item->name_span, "the model");
        program->recursive = true;
        return;
    }
    visit(e, program, other, depth + 1);
}

static void visit_expr(Elab *e, Program *program, const Model *model, const Expr *expr, int depth) {
    if (expr == NULL) return;
    if (expr->kind == EXPR_CALL && expr->a != NULL && expr->a->kind == EXPR_NAME &&
        !is_function(expr->a->name))
        visit_name(e, program, model, expr->a->name, expr->a->span, depth);
    visit_expr(e, program, model, expr->a, depth);
    visit_expr(e, program, model, expr->b, depth);
    visit_expr(e, program, model, expr->c, depth);
    for (int i = 0; i < expr->entries.count; i++) {
        visit_expr(e, program, model, expr->entries.at[i].a, depth);
        visit_expr(e, program, model, expr->entries.at[i].b, depth);
    }
    for (int i = 0; i < expr->args.count; i++)
        visit_expr(e, program, model, expr->args.at[i].value, depth);
}

static void visit_body(Elab *e, Program *program, const Model *model, const StmtList *body,
                       int depth) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        if (stmt->kind == STMT_USE && stmt->names.count > 0) {
            const NameRef *name = &stmt->names.at[stmt->names.count - 1];
            visit_name(e, program, model, name->name, name->span, depth);
        }
        visit_expr(e, program, model, stmt->value, depth);
        visit_expr(e, program, model, stmt->per, depth);
        visit_body(e, program, model, &stmt->body, depth);
    }
}

static void visit(Elab *e, Program *program, Model *model, int depth) {
    model->color = 1;
    visit_body(e, program, model, &model->item->body, depth);
    model->color = 2;
}

void check_recursion(Elab *e, Program *program) {
    for (int i = 0; i < program->models.count && !program->recursive; i++)
        if (program->models.at[i]->color == 0) visit(e, program, program->models.at[i], 0);
}

/* Whether the gradient of the result reaches operand `place`. */
static bool passes(Op op, int place) {
    switch (op) {
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_EQ:
    case OP_NE:
    case OP_AND:
    case OP_OR:
    case OP_NOT:
    case OP_ARGMAX:
    case OP_TARGMAX:
    case OP_ONEHOT:
    case OP_DETACH:
    case OP_FLOOR:
    case OP_SIGN:
    case OP_DRAW:
    case OP_FLOAT:
    case OP_INPUT:
    case OP_GIVEN:
    case OP_PARAM:
    case OP_CONST:
    case OP_IOTA:
    case OP_INDEX:
    case OP_LENGTH: return false;
    case OP_SELECT: return place > 0;
    case OP_GATHER:
    case OP_XENT:
    case OP_NLL:
    case OP_CTC: return place == 0;
    case OP_READ: return place < 2;
    case OP_TSUM:
    case OP_TMEAN:
    case OP_TMAX:
    case OP_TLOGSUMEXP:
    case OP_TSOFTMAX:
    case OP_TCONCAT:
    case OP_HOLD:
    case OP_VAR:
    case OP_NEG:
    case OP_SIGMOID:
    case OP_TANH:
    case OP_RELU:
    case OP_GELU:
    case OP_SILU:
    case OP_SOFTPLUS:
    case OP_SOFTSIGN:
    case OP_HARD_SIGMOID:
    case OP_HARD_TANH:
    case OP_EXP:
    case OP_LOG:
    case OP_SQRT:
    case OP_RSQRT:
    case OP_ABS:
    case OP_ERF:
    case OP_SIN:
    case OP_COS:
    case OP_SQUARE:
    case OP_LEAKY_RELU:
    case OP_ELU:
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_MOD:
    case OP_POW:
    case OP_MIN:
    case OP_MAX:
    case OP_LOGADDEXP:
    case OP_CLIP:
    case OP_MATMUL:
    case OP_CONV:
    case OP_MAXPOOL:
    case OP_AVGPOOL:
    case OP_TRANSPOSE:
    case OP_RESHAPE:
    case OP_BROADCAST:
    case OP_CONCAT:
    case OP_SLICE:
    case OP_DOT:
    case OP_OUTER:
    case OP_SOFTMAX:
    case OP_LOG_SOFTMAX:
    case OP_LOGSUMEXP:
    case OP_LAYERNORM:
    case OP_BSUM:
    case OP_SUM:
    case OP_MEAN:
    case OP_RMAX:
    case OP_RMIN:
    case OP_MSE:
    case OP_BCE: return true;
    case OP_COUNT: break;
    }
    return false;
}

static void reach(const Graph *graph, int root, bool all, bool *seen, int *work) {
    int count = 0;
    if (!seen[root]) seen[work[count++] = root] = true;
    while (count > 0) {
        const Node *node = graph->nodes.at[work[--count]];
        for (int i = 0; i < node->in_count; i++)
            if (node->in[i] >= 0 && !seen[node->in[i]] && (all || passes(node->op, i)))
                seen[work[count++] = node->in[i]] = true;
        int fallback = node->op == OP_INPUT ? graph->inputs.at[node->attr.slot].fallback : -1;
        if (fallback >= 0 && !seen[fallback]) seen[work[count++] = fallback] = true;
    }
}

void check_gradients(Elab *e) {
    const Graph *graph = e->graph;
    int count = graph->nodes.count;
    bool *trained = ARENA_ARRAY(e->arena, count + 1, bool);
    int *work = ARENA_ARRAY(e->arena, count + 1, int);
    if (graph->losses.count == 0) return;
    for (int l = 0; l < graph->losses.count; l++) {
        bool *all = ARENA_ARRAY(e->arena, count + 1, bool),
             *some = ARENA_ARRAY(e->arena, count + 1, bool);
        int given = 0, reached = 0;
        reach(graph, graph->losses.at[l].node, true, all, work);
        reach(graph, graph->losses.at[l].node, false, some, work);
        for (int i = 0; i < count; i++) {
            trained[i] |= some[i];
            if (graph->nodes.at[i]->op != OP_PARAM) continue;
            given += all[i];
            reached += some[i];
        }
        if (given > 0 && reached == 0)
            diag_warning(
                e->diags, "E-GRAD", graph->losses.at[l].span,
                "this loss passes only through argmax, comparisons or detach; it trains nothing");
    }
    for (int i = 0; i < count; i++) {
        const Node *node = graph->nodes.at[i];
        if (node->op != OP_PARAM || trained[i] || graph->params.at[node->attr.slot].frozen)
            continue;
        const GraphParam *param = &graph->params.at[node->attr.slot];
        diag_warning(e->diags, "E-GRAD", param->span, "parameter '%s' gets no gradient",
                     param->name);
    }
}
