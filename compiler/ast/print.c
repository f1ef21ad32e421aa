/* The tree as text: one node a line, children two blanks further in, no spans. */
#include "ast/ast.h"

static void print_expr(const Expr *expr, int indent, Text *out);

/* "label" on a line of its own, with the expression below it; nothing for NULL. */
static void print_labelled(const char *label, const Expr *expr, int indent, Text *out) {
    if (!expr) return;
    text_indent(out, indent);
    text_printf(out, "%s\n", label);
    print_expr(expr, indent + 2, out);
}

static void print_entry(const Entry *entry, int indent, Text *out) {
    switch (entry->kind) {
    case ENTRY_EXPR:
        print_expr(entry->a, indent, out);
        return;
    case ENTRY_SLICE:
        text_indent(out, indent);
        text_puts(out, "slice\n");
        break;
    case ENTRY_RANGE:
        text_indent(out, indent);
        text_printf(out, "range %s\n", entry->name);
        break;
    }
    print_labelled("from", entry->a, indent + 2, out);
    print_labelled("to", entry->b, indent + 2, out);
}

static void print_args(const ArgList *args, int indent, Text *out) {
    for (int i = 0; i < args->count; i++) {
        const Arg *arg = &args->at[i];
        if (arg->name)
            print_labelled(arg->name, arg->value, indent, out);
        else
            print_expr(arg->value, indent, out);
    }
}

static void print_expr(const Expr *expr, int indent, Text *out) {
    text_indent(out, indent);
    switch (expr->kind) {
    case EXPR_NUMBER:
        text_puts(out, "number ");
        if (expr->integer)
            text_printf(out, "%.0f", expr->number);
        else
            text_double(out, expr->number);
        text_puts(out, "\n");
        break;
    case EXPR_NAME:
        text_printf(out, "name %s\n", expr->name);
        break;
    case EXPR_UNARY:
        text_printf(out, "unary %s\n", ast_op_text(expr->op));
        print_expr(expr->a, indent + 2, out);
        break;
    case EXPR_BINARY:
        text_printf(out, "binary %s\n", ast_op_text(expr->op));
        print_expr(expr->a, indent + 2, out);
        print_expr(expr->b, indent + 2, out);
        break;
    case EXPR_IF:
        text_puts(out, "if\n");
        print_expr(expr->a, indent + 2, out);
        print_labelled("then", expr->b, indent + 2, out);
        print_labelled("else", expr->c, indent + 2, out);
        break;
    case EXPR_INDEX:
        text_puts(out, "index\n");
        print_expr(expr->a, indent + 2, out);
        for (int i = 0; i < expr->entries.count; i++)
            print_entry(&expr->entries.at[i], indent + 2, out);
        break;
    case EXPR_CALL:
        text_puts(out, "call\n");
        print_expr(expr->a, indent + 2, out);
        print_args(&expr->args, indent + 2, out);
        break;
    case EXPR_FIELD:
        text_printf(out, "field %s\n", expr->name);
        print_expr(expr->a, indent + 2, out);
        break;
    case EXPR_ERROR:
        text_puts(out, "error\n");
        break;
    }
}

static void print_decl(const char *label, const Decl *decl, int indent, Text *out) {
    text_indent(out, indent);
    text_printf(out, "%s %s\n", label, decl->name);
    for (int i = 0; i < decl->indices.count; i++)
        print_expr(decl->indices.at[i], indent + 2, out);
}

static void print_type(const TypeExpr *type, int indent, Text *out) {
    if (!type) return;
    text_indent(out, indent);
    text_printf(out, "type %s\n", type->name ? type->name : "float");
    if (type->argument) print_labelled("of", type->argument, indent + 2, out);
    if (!type->has_shape) return;
    text_indent(out, indent + 2);
    text_puts(out, "shape\n");
    for (int i = 0; i < type->shape.count; i++) print_expr(type->shape.at[i], indent + 4, out);
}

static void print_stmt(const Stmt *stmt, int indent, Text *out);

static void print_body(const StmtList *body, int indent, Text *out) {
    for (int i = 0; i < body->count; i++) print_stmt(body->at[i], indent, out);
}

/* "label name" with the names behind it. */
static void print_head(const char *label, const Stmt *stmt, Text *out) {
    text_puts(out, label);
    if (stmt->name) text_printf(out, " %s", stmt->name);
    for (int i = 0; i < stmt->names.count; i++) text_printf(out, " %s", stmt->names.at[i].name);
    text_puts(out, "\n");
}

static void print_stmt(const Stmt *stmt, int indent, Text *out) {
    const char *value = "value";
    text_indent(out, indent);
    switch (stmt->kind) {
    case STMT_PARAM:
        print_head("param", stmt, out);
        if (stmt->init == INIT_RANDOM) value = "random";
        break;
    case STMT_STATE:
        print_head("state", stmt, out);
        break;
    case STMT_TIME_IN:
        print_head("time-in", stmt, out);
        value = "every";
        break;
    case STMT_TIME_FIXED:
        print_head("time-fixed", stmt, out);
        break;
    case STMT_TIME_BOUND:
        print_head("time-bound", stmt, out);
        break;
    case STMT_USE:
        print_head("use", stmt, out);
        break;
    case STMT_EQUATION:
        print_head("equation", stmt, out);
        break;
    case STMT_DRAW:
        print_head("draw", stmt, out);
        break;
    case STMT_LOSS:
        print_head("loss", stmt, out);
        break;
    case STMT_STOP:
        print_head("stop", stmt, out);
        value = "when";
        break;
    case STMT_FOR:
        print_head("for", stmt, out);
        break;
    case STMT_ERROR:
        print_head("error", stmt, out);
        break;
    }
    indent += 2;
    for (int i = 0; i < stmt->decls.count; i++)
        print_decl("declare", &stmt->decls.at[i], indent, out);
    print_type(stmt->type, indent, out);
    print_labelled(value, stmt->value, indent, out);
    print_labelled("every", stmt->every, indent, out);
    print_labelled("per", stmt->per, indent, out);
    print_labelled("from", stmt->low, indent, out);
    print_labelled("to", stmt->high, indent, out);
    print_args(&stmt->args, indent, out);
    print_body(&stmt->body, indent, out);
}

static void print_binds(const char *label, const BindList *binds, int indent, Text *out) {
    for (int i = 0; i < binds->count; i++) {
        text_indent(out, indent);
        text_printf(out, "%s %s\n", label, binds->at[i].name);
        if (binds->at[i].value) print_expr(binds->at[i].value, indent + 2, out);
    }
}

static void print_ports(const char *label, const PortList *ports, Text *out) {
    for (int i = 0; i < ports->count; i++) {
        const Port *port = &ports->at[i];
        print_decl(label, &port->decl, 2, out);
        print_type(port->type, 4, out);
        print_labelled("value", port->value, 4, out);
    }
}

static void print_item(const Item *item, Text *out) {
    switch (item->kind) {
    case ITEM_SIZE:
        print_binds("size", &item->binds, 0, out);
        break;
    case ITEM_CONST:
        print_binds("const", &item->binds, 0, out);
        break;
    case ITEM_IMPORT:
        text_printf(out, "import \"%s\"\n", item->path);
        break;
    case ITEM_MODEL:
        text_printf(out, "model %s\n", item->name);
        print_binds("bracket", &item->params, 2, out);
        print_ports("input", &item->inputs, out);
        print_ports("output", &item->outputs, out);
        print_body(&item->body, 2, out);
        break;
    case ITEM_ERROR:
        text_puts(out, "error\n");
        break;
    }
}

void ast_print(const Ast *ast, Text *out) {
    for (int i = 0; i < ast->items.count; i++) print_item(ast->items.at[i], out);
}
