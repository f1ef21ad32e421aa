/* Constructors of the tree. */
#include "ast/ast.h"

static Expr *new_expr(Ast *ast, ExprKind kind, Span span) {
    Expr *expr = ARENA_NEW(ast->arena, Expr);
    expr->kind = kind;
    expr->span = span;
    return expr;
}

Expr *ast_number(Ast *ast, Span span, double value, bool integer) {
    Expr *expr = new_expr(ast, EXPR_NUMBER, span);
    expr->number = value;
    expr->integer = integer;
    return expr;
}

Expr *ast_name(Ast *ast, Span span, Name name) {
    Expr *expr = new_expr(ast, EXPR_NAME, span);
    expr->name = name;
    return expr;
}

Expr *ast_unary(Ast *ast, Span span, AstOp op, Expr *a) {
    Expr *expr = new_expr(ast, EXPR_UNARY, span);
    expr->op = op;
    expr->a = a;
    return expr;
}

Expr *ast_binary(Ast *ast, Span span, AstOp op, Expr *a, Expr *b) {
    Expr *expr = new_expr(ast, EXPR_BINARY, span);
    expr->op = op;
    expr->a = a;
    expr->b = b;
    return expr;
}

Expr *ast_if(Ast *ast, Span span, Expr *condition, Expr *then, Expr *otherwise) {
    Expr *expr = new_expr(ast, EXPR_IF, span);
    expr->a = condition;
    expr->b = then;
    expr->c = otherwise;
    return expr;
}

Expr *ast_index(Ast *ast, Span span, Expr *base, EntryList entries) {
    Expr *expr = new_expr(ast, EXPR_INDEX, span);
    expr->a = base;
    expr->entries = entries;
    return expr;
}

Expr *ast_call(Ast *ast, Span span, Expr *base, ArgList args) {
    Expr *expr = new_expr(ast, EXPR_CALL, span);
    expr->a = base;
    expr->args = args;
    return expr;
}

Expr *ast_field(Ast *ast, Span span, Expr *base, Name name) {
    Expr *expr = new_expr(ast, EXPR_FIELD, span);
    expr->a = base;
    expr->name = name;
    return expr;
}

Stmt *ast_stmt(Ast *ast, StmtKind kind, Span span) {
    Stmt *stmt = ARENA_NEW(ast->arena, Stmt);
    stmt->kind = kind;
    stmt->span = span;
    return stmt;
}

Item *ast_item(Ast *ast, ItemKind kind, Span span) {
    Item *item = ARENA_NEW(ast->arena, Item);
    item->kind = kind;
    item->span = span;
    return item;
}

const char *ast_op_text(AstOp op) {
    switch (op) {
    case AST_OR: return "or";
    case AST_AND: return "and";
    case AST_NOT: return "not";
    case AST_LT: return "<";
    case AST_LE: return "<=";
    case AST_GT: return ">";
    case AST_GE: return ">=";
    case AST_EQ: return "==";
    case AST_NE: return "!=";
    case AST_ADD: return "+";
    case AST_SUB: return "-";
    case AST_MUL: return "*";
    case AST_DIV: return "/";
    case AST_MOD: return "%";
    case AST_MATMUL: return "@";
    case AST_POW: return "^";
    case AST_NEG: return "-";
    }
    return "?";
}
