/* What was written, with spans: the tree that the grammar builds and sema reads.
 *
 * Nothing here is resolved: `a[b](c)` is an application of an index of a name, and what it means
 * (instance, model, function, reduction) is for sema to say. Grammar actions call ast_* only.
 * All nodes live in the arena of the Ast; names are interned in its table. */
#ifndef RNNC_AST_AST_H
#define RNNC_AST_AST_H

#include <stdbool.h>
#include <stdint.h>

#include "support/names.h"
#include "support/source.h"
#include "support/text.h"
#include "support/vec.h"

typedef struct Expr Expr;
typedef struct Stmt Stmt;
typedef VEC(Expr *) ExprList;
typedef VEC(Stmt *) StmtList;

typedef enum ExprKind {
    EXPR_NUMBER, /* number */
    EXPR_NAME,   /* name */
    EXPR_UNARY,  /* op, a */
    EXPR_BINARY, /* op, a, b */
    EXPR_IF,     /* a: condition, b: then, c: else */
    EXPR_INDEX,  /* a[entries] */
    EXPR_CALL,   /* a(args) */
    EXPR_FIELD,  /* a.name */
    EXPR_ERROR   /* stands where the grammar recovered */
} ExprKind;

typedef enum AstOp {
    AST_OR, AST_AND, AST_NOT, AST_LT, AST_LE, AST_GT, AST_GE, AST_EQ, AST_NE,
    AST_ADD, AST_SUB, AST_MUL, AST_DIV, AST_MOD, AST_MATMUL, AST_POW, AST_NEG
} AstOp;

/* An entry of a bracket: `a`, `a:b` (either side may be NULL), or `name in a:b`. */
typedef enum EntryKind { ENTRY_EXPR, ENTRY_SLICE, ENTRY_RANGE } EntryKind;
typedef struct Entry {
    EntryKind kind;
    Span span;
    Name name; /* ENTRY_RANGE */
    Expr *a, *b;
} Entry;
typedef VEC(Entry) EntryList;

/* An argument, `value` or `name = value` (name NULL when by position). */
typedef struct Arg {
    Span span;
    Name name;
    Expr *value;
} Arg;
typedef VEC(Arg) ArgList;

struct Expr {
    ExprKind kind;
    Span span;
    int parens; /* pairs of parentheses written around it; W-PREC and fmt want them */
    AstOp op;
    double number;
    bool integer; /* the number was written without point and exponent and fits 53 bits */
    Name name;
    Expr *a, *b, *c;
    EntryList entries;
    ArgList args;
};

/* `name[indices]` on the left of an equation, in a port, a param, a state or a use. */
typedef struct Decl {
    Span span, name_span;
    Name name;
    ExprList indices;
} Decl;
typedef VEC(Decl) DeclList;

/* A shape `[a, b]`, or a named type `int(n)`, `bool`, `past(t)`, `pos(t)`, each with an optional
 * shape behind it. */
typedef struct TypeExpr {
    Span span;
    Name name; /* NULL: float */
    Span name_span;
    Expr *argument; /* int(n): n; past(t), pos(t): the axis */
    bool has_shape;
    ExprList shape;
} TypeExpr;

typedef enum InitKind { INIT_NONE, INIT_VALUE, INIT_RANDOM } InitKind; /* nothing, `=`, `~` */

/* `NAME = expr` of size, const and bracket parameters (value NULL: no default). */
typedef struct Bind {
    Span span;
    Name name;
    Span name_span;
    Expr *value;
} Bind;
typedef VEC(Bind) BindList;

typedef struct NameRef {
    Span span;
    Name name;
} NameRef;
typedef VEC(NameRef) NameRefList;

typedef enum StmtKind {
    STMT_PARAM,      /* decls, type, init, value, names (attributes: frozen) */
    STMT_STATE,      /* decls, type?, value */
    STMT_TIME_IN,    /* name, axis (names.at[0]), value: every, or NULL */
    STMT_TIME_FIXED, /* name, value */
    STMT_TIME_BOUND, /* name, value */
    STMT_USE,        /* decls (one), names (modifiers, then the model), args */
    STMT_EQUATION,   /* decls, type?, value, every? */
    STMT_DRAW,       /* decls, type?, value */
    STMT_LOSS,       /* value, per? */
    STMT_STOP,       /* name, value */
    STMT_FOR,        /* name, low, high, body */
    STMT_ERROR
} StmtKind;

struct Stmt {
    StmtKind kind;
    Span span;
    Span name_span;
    Name name;
    DeclList decls;
    TypeExpr *type; /* NULL when not written */
    InitKind init;
    Expr *value, *every, *per, *low, *high;
    NameRefList names;
    ArgList args;
    StmtList body;
};

/* `decl : type [= value]` in a header. */
typedef struct Port {
    Span span;
    Decl decl;
    TypeExpr *type;
    Expr *value; /* boundary value of a stream, default of an input without time; or NULL */
} Port;
typedef VEC(Port) PortList;

typedef enum ItemKind { ITEM_SIZE, ITEM_CONST, ITEM_IMPORT, ITEM_MODEL, ITEM_ERROR } ItemKind;
typedef struct Item {
    ItemKind kind;
    Span span;
    BindList binds; /* size, const */
    Name path;      /* import: the string between the quotes */
    Span name_span; /* model: its name; import: the string */
    Name name;      /* model */
    BindList params;
    bool has_params; /* `[...]` was written */
    PortList inputs, outputs;
    StmtList body;
} Item;
typedef VEC(Item *) ItemList;

typedef struct Comment {
    Span span; /* from '#' to the end of the line, the newline left out */
    bool alone; /* nothing but blanks stands before it on its line */
} Comment;

/* One parsed file. */
typedef struct Ast {
    Arena *arena;
    Names *names;
    const Source *source;
    ItemList items;
    VEC(Comment) comments; /* in order of position; fmt puts them back */
} Ast;

/* Constructors used by the grammar: each allocates and fills the fields that its kind names. */
Expr *ast_number(Ast *ast, Span span, double value, bool integer);
Expr *ast_name(Ast *ast, Span span, Name name);
Expr *ast_unary(Ast *ast, Span span, AstOp op, Expr *a);
Expr *ast_binary(Ast *ast, Span span, AstOp op, Expr *a, Expr *b);
Expr *ast_if(Ast *ast, Span span, Expr *condition, Expr *then, Expr *otherwise);
Expr *ast_index(Ast *ast, Span span, Expr *base, EntryList entries);
Expr *ast_call(Ast *ast, Span span, Expr *base, ArgList args);
Expr *ast_field(Ast *ast, Span span, Expr *base, Name name);
Stmt *ast_stmt(Ast *ast, StmtKind kind, Span span);
Item *ast_item(Ast *ast, ItemKind kind, Span span);

/* "+", "@", "or" ... as written. */
const char *ast_op_text(AstOp op);

/* --emit=ast: an indented tree, one node a line, with kinds, names and numbers; no spans. */
void ast_print(const Ast *ast, Text *out);

/* The canonical layout of `rnnc fmt`. Formatting its own output changes no byte; every comment of
 * the source survives in its place, and so does every pair of parentheses that changes the tree or
 * that the user wrote around an operand of '@' or '*'. */
void ast_format(const Ast *ast, Text *out);

/* Two trees are equal but for spans, comments and parentheses. */
bool ast_equal(const Ast *a, const Ast *b);

#endif
