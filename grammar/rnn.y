/* The grammar of the language, LALR(1) without conflicts. Actions only build the tree: what a name
 * or a bracket means is for sema. Errors recover at the end of the statement, and a block behind a
 * broken header is still read, so one run reports many errors. Depths travel beside the
 * expressions, so that no tree is built that a recursive walk could not survive. */
%define api.pure full
%define api.prefix {rnn_yy_}
%define api.token.prefix {TOK_}
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%expect 0
%param {struct Grammar *grammar}

%code requires {
#include "ast/ast.h"

typedef struct Grammar Grammar;

typedef struct NumberValue {
    double value;
    bool integer;
} NumberValue;

/* Things with the number of levels of the deepest expression in them. */
typedef struct ExprValue {
    Expr *at;
    int depth;
} ExprValue;
typedef struct EntryValue {
    Entry *at;
    int depth;
} EntryValue;
typedef struct EntriesValue {
    EntryList *at;
    int depth;
} EntriesValue;
typedef struct ArgValue {
    Arg *at;
    int depth;
} ArgValue;
typedef struct ArgsValue {
    ArgList *at;
    int depth;
} ArgsValue;
}

%union {
    NumberValue number;
    Name name;
    ExprValue expr;
    EntryValue entry;
    EntriesValue entries;
    ArgValue arg;
    ArgsValue args;
    ExprList exprs;
    Decl *decl;
    DeclList decls;
    TypeExpr *type;
    Bind *bind;
    BindList binds;
    Port *port;
    PortList ports;
    NameRefList names;
    Init init;
    Stmt *stmt;
    StmtList stmts;
    Item *item;
}

%code requires {
/* `= value`, `~ value`, or nothing, behind a param. */
typedef struct Init {
    InitKind kind;
    Expr *value;
} Init;
}

%code {
#include "filter.h"
#include "grammar.h"

/* Generated code is not held to our warnings. */
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"

/* The deepest stack that the limits on brackets, blocks and levels let pass needs fewer than 5,000
 * places (a level takes at most 8, a block 10); what goes beyond is an expression nested too deep.
 * The stack never grows, so nothing is allocated that a longjmp would leak. */
#define YYINITDEPTH 5000
#define YYMAXDEPTH 5000
#define YYMALLOC(size) ((void)(size), NULL)
#define YYFREE(block) ((void)(block))

#define YYLLOC_DEFAULT(current, rhs, n)                                                            \
    do {                                                                                           \
        (current) = YYRHSLOC(rhs, (n) ? 1 : 0);                                                    \
        if (n)                                                                                     \
            (current).end = YYRHSLOC(rhs, n).end;                                                  \
        else                                                                                       \
            (current).begin = (current).end;                                                       \
    } while (0)

static void yyerror(const Span *span, Grammar *grammar, const char *message);
static ExprValue leaf(Expr *expr);
static ExprValue level(Grammar *grammar, Expr *expr, int below);
static ExprValue binary(Grammar *grammar, Span span, AstOp op, ExprValue a, ExprValue b);
static ExprValue index_of(Grammar *grammar, Span span, ExprValue base, EntriesValue entries);
static ExprValue call_of(Grammar *grammar, Span span, ExprValue base, ArgsValue args);
static EntryValue entry_of(Grammar *grammar, Span span, EntryKind kind, ExprValue a, ExprValue b);
static int max_of(int a, int b);
static Bind *bind_of(Grammar *grammar, Span span, Name name, Span name_span, Expr *value);
static Decl *decl_of(Grammar *grammar, Span span, Name name, Span name_span);
static TypeExpr *type_of(Grammar *grammar, Span span, Name name, Span name_span, Expr *argument);
static Port *port_of(Grammar *grammar, Span span, Decl *decl, TypeExpr *type, Expr *value);
static void push_item(Grammar *grammar, Item *item);

#define AST (grammar->ast)
#define PUSH(list, ...) vec_push(grammar->arena, &(list), __VA_ARGS__)
}

%token YYEOF 0 "end of file"
%token EOL "end of line"
%token NEWLINE "newline"
%token <number> NUMBER "number"
%token <name> NAME "name" STRING "string"
%token FOR "'for'" IN "'in'" IF "'if'" THEN "'then'" ELSE "'else'"
%token AND "'and'" OR "'or'" NOT "'not'" EVERY "'every'" PER "'per'" WHEN "'when'"
%token MODEL "'model'" SIZE "'size'" CONST "'const'" IMPORT "'import'"
%token PARAM "'param'" STATE "'state'" TIME "'time'" USE "'use'" LOSS "'loss'" STOP "'stop'"
%token ARROW "'->'" LE "'<='" GE "'>='" EQ "'=='" NE "'!='"

%precedence IFX
%left OR
%left AND
%precedence NOT
%nonassoc '<' '>' LE GE EQ NE
%left '+' '-'
%left '*' '/' '%'
%left '@'
%precedence UMINUS
%right '^'

%type <item> item item_opt
%type <binds> binds sparams_opt sparams
%type <bind> bind sparam
%type <ports> ports_opt ports
%type <port> port
%type <stmts> block stmts
%type <stmt> stmt stmt_opt
%type <decls> decls
%type <decl> decl
%type <exprs> exprs
%type <type> type type_opt type_name shape
%type <init> init_opt
%type <names> attrs names
%type <args> sargs_opt args_opt args
%type <arg> arg
%type <expr> every_opt per_opt expr postfix
%type <entries> indices
%type <entry> index

%initial-action { @$ = (Span){grammar->ast->source, 0, 0, NULL}; }

%%

file: items ;
items: item_opt             { push_item(grammar, $1); }
    | items eol item_opt    { push_item(grammar, $3); } ;
eol: EOL                    { yyerrok; } ;
item_opt: %empty            { $$ = NULL; }
    | item                  { grammar->lost = false; }
    | error                 { $$ = ast_item(AST, ITEM_ERROR, @$); }
    | error block
        { $$ = ast_item(AST, ITEM_ERROR, @$); grammar->lost &= grammar->lost_loop; } ;
item: SIZE binds            { $$ = ast_item(AST, ITEM_SIZE, @$); $$->binds = $2; }
    | CONST binds           { $$ = ast_item(AST, ITEM_CONST, @$); $$->binds = $2; }
    | IMPORT STRING
        { $$ = ast_item(AST, ITEM_IMPORT, @$); $$->path = $2; $$->name_span = @2; }
    | MODEL NAME sparams_opt '(' ports_opt ')' ARROW ports block
        {
            $$ = ast_item(AST, ITEM_MODEL, @$);
            $$->name = $2;
            $$->name_span = @2;
            $$->params = $3;
            $$->has_params = $3.count > 0;
            $$->inputs = $5;
            $$->outputs = $8;
            $$->body = $9;
        } ;
binds: bind                 { $$ = (BindList){0}; PUSH($$, *$1); }
    | binds ',' bind        { $$ = $1; PUSH($$, *$3); } ;
bind: NAME '=' expr         { $$ = bind_of(grammar, @$, $1, @1, $3.at); } ;
sparams_opt: %empty         { $$ = (BindList){0}; }
    | '[' sparams ']'       { $$ = $2; } ;
sparams: sparam             { $$ = (BindList){0}; PUSH($$, *$1); }
    | sparams ',' sparam    { $$ = $1; PUSH($$, *$3); } ;
sparam: NAME                { $$ = bind_of(grammar, @$, $1, @1, NULL); }
    | bind ;
ports_opt: %empty           { $$ = (PortList){0}; }
    | ports ;
ports: port                 { $$ = (PortList){0}; PUSH($$, *$1); }
    | ports ',' port        { $$ = $1; PUSH($$, *$3); } ;
port: decl ':' type         { $$ = port_of(grammar, @$, $1, $3, NULL); }
    | decl ':' type '=' expr    { $$ = port_of(grammar, @$, $1, $3, $5.at); } ;

block: '{' stmts '}'        { $$ = $2; } ;
stmts: stmt_opt             { $$ = (StmtList){0}; if ($1) PUSH($$, $1); }
    | stmts eol stmt_opt    { $$ = $1; if ($3) PUSH($$, $3); } ;
stmt_opt: %empty            { $$ = NULL; }
    | stmt
    | error                 { $$ = ast_stmt(AST, STMT_ERROR, @$); }
    | error block           { $$ = ast_stmt(AST, STMT_ERROR, @$); $$->body = $2; } ;
stmt: PARAM decls ':' type init_opt attrs
        {
            $$ = ast_stmt(AST, STMT_PARAM, @$);
            $$->decls = $2;
            $$->type = $4;
            $$->init = $5.kind;
            $$->value = $5.value;
            $$->names = $6;
        }
    | STATE decls type_opt '=' expr
        {
            $$ = ast_stmt(AST, STMT_STATE, @$);
            $$->decls = $2;
            $$->type = $3;
            $$->value = $5.at;
        }
    | TIME NAME IN NAME every_opt
        {
            $$ = ast_stmt(AST, STMT_TIME_IN, @$);
            $$->name = $2;
            $$->name_span = @2;
            PUSH($$->names, (NameRef){@4, $4});
            $$->value = $5.at;
        }
    | TIME NAME '=' expr
        {
            $$ = ast_stmt(AST, STMT_TIME_FIXED, @$);
            $$->name = $2;
            $$->name_span = @2;
            $$->value = $4.at;
        }
    | TIME NAME LE expr
        {
            $$ = ast_stmt(AST, STMT_TIME_BOUND, @$);
            $$->name = $2;
            $$->name_span = @2;
            $$->value = $4.at;
        }
    | USE decl '=' names sargs_opt
        {
            $$ = ast_stmt(AST, STMT_USE, @$);
            PUSH($$->decls, *$2);
            $$->names = $4;
            if ($5.at) $$->args = *$5.at;
        }
    | decls type_opt '=' expr every_opt
        {
            $$ = ast_stmt(AST, STMT_EQUATION, @$);
            $$->decls = $1;
            $$->type = $2;
            $$->value = $4.at;
            $$->every = $5.at;
        }
    | decls type_opt '~' expr
        {
            $$ = ast_stmt(AST, STMT_DRAW, @$);
            $$->decls = $1;
            $$->type = $2;
            $$->value = $4.at;
        }
    | LOSS expr per_opt
        { $$ = ast_stmt(AST, STMT_LOSS, @$); $$->value = $2.at; $$->per = $3.at; }
    | STOP NAME WHEN expr
        {
            $$ = ast_stmt(AST, STMT_STOP, @$);
            $$->name = $2;
            $$->name_span = @2;
            $$->value = $4.at;
        }
    | FOR NAME IN expr ':' expr block
        {
            $$ = ast_stmt(AST, STMT_FOR, @$);
            $$->name = $2;
            $$->name_span = @2;
            $$->low = $4.at;
            $$->high = $6.at;
            $$->body = $7;
        } ;
decls: decl                 { $$ = (DeclList){0}; PUSH($$, *$1); }
    | decls ',' decl        { $$ = $1; PUSH($$, *$3); } ;
decl: NAME                  { $$ = decl_of(grammar, @$, $1, @1); }
    | NAME '[' exprs ']'    { $$ = decl_of(grammar, @$, $1, @1); $$->indices = $3; } ;
exprs: expr                 { $$ = (ExprList){0}; PUSH($$, $1.at); }
    | exprs ',' expr        { $$ = $1; PUSH($$, $3.at); } ;
type_opt: %empty            { $$ = NULL; }
    | ':' type              { $$ = $2; } ;
type: shape
    | type_name
    | type_name shape
        { $$ = $1; $$->span = @$; $$->has_shape = true; $$->shape = $2->shape; } ;
type_name: NAME             { $$ = type_of(grammar, @$, $1, @1, NULL); }
    | NAME '(' expr ')'     { $$ = type_of(grammar, @$, $1, @1, $3.at); } ;
shape: '[' ']'              { $$ = type_of(grammar, @$, NULL, @$, NULL); $$->has_shape = true; }
    | '[' exprs ']'
        {
            $$ = type_of(grammar, @$, NULL, @$, NULL);
            $$->has_shape = true;
            $$->shape = $2;
        } ;
init_opt: %empty            { $$ = (Init){INIT_NONE, NULL}; }
    | '=' expr              { $$ = (Init){INIT_VALUE, $2.at}; }
    | '~' expr              { $$ = (Init){INIT_RANDOM, $2.at}; } ;
attrs: %empty               { $$ = (NameRefList){0}; }
    | attrs NAME            { $$ = $1; PUSH($$, (NameRef){@2, $2}); } ;
names: NAME                 { $$ = (NameRefList){0}; PUSH($$, (NameRef){@1, $1}); }
    | names NAME            { $$ = $1; PUSH($$, (NameRef){@2, $2}); } ;
sargs_opt: %empty           { $$ = (ArgsValue){NULL, 0}; }
    | '[' args ']'          { $$ = $2; } ;
every_opt: %empty           { $$ = (ExprValue){NULL, 0}; }
    | EVERY expr            { $$ = $2; } ;
per_opt: %empty             { $$ = (ExprValue){NULL, 0}; }
    | PER expr              { $$ = $2; } ;

expr: IF expr THEN expr ELSE expr %prec IFX
        {
            $$ = level(grammar, ast_if(AST, @$, $2.at, $4.at, $6.at),
                       max_of($2.depth, max_of($4.depth, $6.depth)));
        }
    | expr OR expr          { $$ = binary(grammar, @$, AST_OR, $1, $3); }
    | expr AND expr         { $$ = binary(grammar, @$, AST_AND, $1, $3); }
    | NOT expr              { $$ = level(grammar, ast_unary(AST, @$, AST_NOT, $2.at), $2.depth); }
    | expr '<' expr         { $$ = binary(grammar, @$, AST_LT, $1, $3); }
    | expr '>' expr         { $$ = binary(grammar, @$, AST_GT, $1, $3); }
    | expr LE expr          { $$ = binary(grammar, @$, AST_LE, $1, $3); }
    | expr GE expr          { $$ = binary(grammar, @$, AST_GE, $1, $3); }
    | expr EQ expr          { $$ = binary(grammar, @$, AST_EQ, $1, $3); }
    | expr NE expr          { $$ = binary(grammar, @$, AST_NE, $1, $3); }
    | expr '+' expr         { $$ = binary(grammar, @$, AST_ADD, $1, $3); }
    | expr '-' expr         { $$ = binary(grammar, @$, AST_SUB, $1, $3); }
    | expr '*' expr         { $$ = binary(grammar, @$, AST_MUL, $1, $3); }
    | expr '/' expr         { $$ = binary(grammar, @$, AST_DIV, $1, $3); }
    | expr '%' expr         { $$ = binary(grammar, @$, AST_MOD, $1, $3); }
    | expr '@' expr         { $$ = binary(grammar, @$, AST_MATMUL, $1, $3); }
    | expr '^' expr         { $$ = binary(grammar, @$, AST_POW, $1, $3); }
    | '-' expr %prec UMINUS
        { $$ = level(grammar, ast_unary(AST, @$, AST_NEG, $2.at), $2.depth); }
    | postfix ;
postfix: NUMBER             { $$ = leaf(ast_number(AST, @$, $1.value, $1.integer)); }
    | NAME                  { $$ = leaf(ast_name(AST, @$, $1)); }
    | '(' expr ')'          { $$ = $2; $$.at->parens++; }
    | postfix '[' indices ']'   { $$ = index_of(grammar, @$, $1, $3); }
    | postfix '(' args_opt ')'  { $$ = call_of(grammar, @$, $1, $3); }
    | postfix '.' NAME      { $$ = level(grammar, ast_field(AST, @$, $1.at, $3), $1.depth); } ;
indices: index
        {
            $$ = (EntriesValue){ARENA_NEW(grammar->arena, EntryList), $1.depth};
            PUSH(*$$.at, *$1.at);
        }
    | indices ',' index
        {
            $$ = $1;
            PUSH(*$$.at, *$3.at);
            $$.depth = max_of($1.depth, $3.depth);
        } ;
index: expr                 { $$ = entry_of(grammar, @$, ENTRY_EXPR, $1, leaf(NULL)); }
    | expr ':' expr         { $$ = entry_of(grammar, @$, ENTRY_SLICE, $1, $3); }
    | expr ':'              { $$ = entry_of(grammar, @$, ENTRY_SLICE, $1, leaf(NULL)); }
    | ':' expr              { $$ = entry_of(grammar, @$, ENTRY_SLICE, leaf(NULL), $2); }
    | ':'                   { $$ = entry_of(grammar, @$, ENTRY_SLICE, leaf(NULL), leaf(NULL)); }
    | NAME IN expr ':' expr
        { $$ = entry_of(grammar, @$, ENTRY_RANGE, $3, $5); $$.at->name = $1; } ;
args_opt: %empty            { $$ = (ArgsValue){NULL, 0}; }
    | args ;
args: arg
        {
            $$ = (ArgsValue){ARENA_NEW(grammar->arena, ArgList), $1.depth};
            PUSH(*$$.at, *$1.at);
        }
    | args ',' arg
        {
            $$ = $1;
            PUSH(*$$.at, *$3.at);
            $$.depth = max_of($1.depth, $3.depth);
        } ;
arg: expr
        {
            $$ = (ArgValue){ARENA_NEW(grammar->arena, Arg), $1.depth};
            *$$.at = (Arg){.span = @$, .value = $1.at};
        }
    | NAME '=' expr
        {
            $$ = (ArgValue){ARENA_NEW(grammar->arena, Arg), $3.depth};
            *$$.at = (Arg){.span = @$, .name = $1, .value = $3.at};
        } ;

%%

static int max_of(int a, int b) {
    return a > b ? a : b;
}

static ExprValue leaf(Expr *expr) {
    return (ExprValue){expr, expr ? 1 : 0};
}

/* An expression above others of depth `below`. One too deep is reported and an error instead, and
 * so is, without another word, all that stands above it. */
static ExprValue level(Grammar *grammar, Expr *expr, int below) {
    if (below < GRAMMAR_NESTING) return (ExprValue){expr, below + 1};
    if (below == GRAMMAR_NESTING)
        diag_error(grammar->diags, "E-LIMIT", expr->span,
                   "expression has more than %d levels of operators, name a part of it",
                   GRAMMAR_NESTING);
    Expr *instead = ARENA_NEW(grammar->arena, Expr);
    instead->kind = EXPR_ERROR;
    instead->span = expr->span;
    return (ExprValue){instead, GRAMMAR_NESTING + 1};
}

static ExprValue binary(Grammar *grammar, Span span, AstOp op, ExprValue a, ExprValue b) {
    return level(grammar, ast_binary(grammar->ast, span, op, a.at, b.at), max_of(a.depth, b.depth));
}

static ExprValue index_of(Grammar *grammar, Span span, ExprValue base, EntriesValue entries) {
    return level(grammar, ast_index(grammar->ast, span, base.at, *entries.at),
                 max_of(base.depth, entries.depth));
}

static ExprValue call_of(Grammar *grammar, Span span, ExprValue base, ArgsValue args) {
    ArgList list = {0};
    if (args.at) list = *args.at;
    return level(grammar, ast_call(grammar->ast, span, base.at, list),
                 max_of(base.depth, args.depth));
}

static EntryValue entry_of(Grammar *grammar, Span span, EntryKind kind, ExprValue a, ExprValue b) {
    Entry *entry = ARENA_NEW(grammar->arena, Entry);
    *entry = (Entry){.kind = kind, .span = span, .a = a.at, .b = b.at};
    return (EntryValue){entry, max_of(a.depth, b.depth)};
}

static Bind *bind_of(Grammar *grammar, Span span, Name name, Span name_span, Expr *value) {
    Bind *bind = ARENA_NEW(grammar->arena, Bind);
    *bind = (Bind){.span = span, .name = name, .name_span = name_span, .value = value};
    return bind;
}

static Decl *decl_of(Grammar *grammar, Span span, Name name, Span name_span) {
    Decl *decl = ARENA_NEW(grammar->arena, Decl);
    *decl = (Decl){.span = span, .name = name, .name_span = name_span};
    return decl;
}

static TypeExpr *type_of(Grammar *grammar, Span span, Name name, Span name_span, Expr *argument) {
    TypeExpr *type = ARENA_NEW(grammar->arena, TypeExpr);
    *type = (TypeExpr){.span = span, .name = name, .name_span = name_span, .argument = argument};
    return type;
}

static Port *port_of(Grammar *grammar, Span span, Decl *decl, TypeExpr *type, Expr *value) {
    Port *port = ARENA_NEW(grammar->arena, Port);
    *port = (Port){.span = span, .decl = *decl, .type = type, .value = value};
    return port;
}

static void push_item(Grammar *grammar, Item *item) {
    if (item) vec_push(grammar->arena, &grammar->ast->items, item);
}

/* Bison calls this for one reason only, a full stack: syntax errors go through the other one. */
static void yyerror(const Span *span, Grammar *grammar, const char *message) {
    (void)message;
    diag_error(grammar->diags, "E-LIMIT", *span, "nesting is deeper than %d levels",
               GRAMMAR_NESTING);
}

static int yyreport_syntax_error(const yypcontext_t *context, Grammar *grammar) {
    yysymbol_kind_t kinds[YYNTOKENS];
    const char *expected[YYNTOKENS];
    int count = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
    for (int i = 0; i < count; i++) expected[i] = yysymbol_name(kinds[i]);
    yysymbol_kind_t met = yypcontext_token(context);
    grammar_report(grammar, *yypcontext_location(context),
                   yysymbol_name(met == YYSYMBOL_YYEMPTY ? YYSYMBOL_YYEOF : met), expected, count);
    return 0;
}

Ast *grammar_parse(Arena *arena, Names *names, const Source *source, Diags *diags) {
    Ast *ast = ARENA_NEW(arena, Ast);
    *ast = (Ast){.arena = arena, .names = names, .source = source};
    if (source->length > GRAMMAR_BYTES) {
        diag_error(diags, "E-LIMIT", (Span){source, 0, 0, NULL}, "file has more than %d bytes",
                   GRAMMAR_BYTES);
        return ast;
    }
    Grammar *grammar = ARENA_NEW(arena, Grammar);
    grammar->arena = arena;
    grammar->ast = ast;
    grammar->diags = diags;
    grammar->begins = true;
    grammar_scan_begin(grammar);
    yyparse(grammar);
    return ast;
}
