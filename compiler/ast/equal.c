/* Equality of trees. Their names may come from different tables, so strings are compared. */
#include <string.h>

#include "ast/ast.h"

static bool same_name(Name a, Name b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_expr(const Expr *a, const Expr *b);

static bool same_entries(const EntryList *a, const EntryList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++) {
        const Entry *x = &a->at[i], *y = &b->at[i];
        if (x->kind != y->kind || !same_name(x->name, y->name) || !same_expr(x->a, y->a) ||
            !same_expr(x->b, y->b))
            return false;
    }
    return true;
}

static bool same_args(const ArgList *a, const ArgList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (!same_name(a->at[i].name, b->at[i].name) ||
            !same_expr(a->at[i].value, b->at[i].value))
            return false;
    return true;
}

/* Every field counts: those that a kind does not use are zero in both. */
static bool same_expr(const Expr *a, const Expr *b) {
    if (!a || !b) return a == b;
    return a->kind == b->kind && a->op == b->op && a->number == b->number &&
           a->integer == b->integer && same_name(a->name, b->name) && same_expr(a->a, b->a) &&
           same_expr(a->b, b->b) && same_expr(a->c, b->c) &&
           same_entries(&a->entries, &b->entries) && same_args(&a->args, &b->args);
}

static bool same_exprs(const ExprList *a, const ExprList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (!same_expr(a->at[i], b->at[i])) return false;
    return true;
}

static bool same_decl(const Decl *a, const Decl *b) {
    return same_name(a->name, b->name) && same_exprs(&a->indices, &b->indices);
}

static bool same_decls(const DeclList *a, const DeclList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (!same_decl(&a->at[i], &b->at[i])) return false;
    return true;
}

static bool same_type(const TypeExpr *a, const TypeExpr *b) {
    if (!a || !b) return a == b;
    return same_name(a->name, b->name) && same_expr(a->argument, b->argument) &&
           a->has_shape == b->has_shape && same_exprs(&a->shape, &b->shape);
}

static bool same_names(const NameRefList *a, const NameRefList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (!same_name(a->at[i].name, b->at[i].name)) return false;
    return true;
}

static bool same_binds(const BindList *a, const BindList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (!same_name(a->at[i].name, b->at[i].name) ||
            !same_expr(a->at[i].value, b->at[i].value))
            return false;
    return true;
}

static bool same_ports(const PortList *a, const PortList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++) {
        const Port *x = &a->at[i], *y = &b->at[i];
        if (!same_decl(&x->decl, &y->decl) || !same_type(x->type, y->type) ||
            !same_expr(x->value, y->value))
            return false;
    }
    return true;
}

static bool same_body(const StmtList *a, const StmtList *b);

static bool same_stmt(const Stmt *a, const Stmt *b) {
    return a->kind == b->kind && a->init == b->init && same_name(a->name, b->name) &&
           same_decls(&a->decls, &b->decls) && same_type(a->type, b->type) &&
           same_expr(a->value, b->value) && same_expr(a->every, b->every) &&
           same_expr(a->per, b->per) && same_expr(a->low, b->low) &&
           same_expr(a->high, b->high) && same_names(&a->names, &b->names) &&
           same_args(&a->args, &b->args) && same_body(&a->body, &b->body);
}

static bool same_body(const StmtList *a, const StmtList *b) {
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++)
        if (!same_stmt(a->at[i], b->at[i])) return false;
    return true;
}

static bool same_item(const Item *a, const Item *b) {
    return a->kind == b->kind && same_name(a->name, b->name) && same_name(a->path, b->path) &&
           a->has_params == b->has_params && same_binds(&a->binds, &b->binds) &&
           same_binds(&a->params, &b->params) && same_ports(&a->inputs, &b->inputs) &&
           same_ports(&a->outputs, &b->outputs) && same_body(&a->body, &b->body);
}

bool ast_equal(const Ast *a, const Ast *b) {
    if (a->items.count != b->items.count) return false;
    for (int i = 0; i < a->items.count; i++)
        if (!same_item(a->items.at[i], b->items.at[i])) return false;
    return true;
}
