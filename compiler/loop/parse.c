/* Reads the text form that print.c writes: statements, functions, modules. It checks what it needs
 * to build; loop_verify checks the rest. The first error ends it. */
#include "loop/parse_text.h"

/* A call is joined to its function when all are known. */
typedef struct Pending {
    LStmt *call;
    Name callee;
    Token at;
} Pending;

typedef struct Reader {
    Parser p;
    VEC(Pending) calls;
    LPlace at; /* of the statements that follow */
} Reader;

static void read_block(Reader *r, LBlock *block);

/* ---- statements ---- */

static LStmt *new_stmt(Reader *r, LBlock *block, LStmtKind kind) {
    LStmt *s = ARENA_NEW(r->p.arena, LStmt);
    s->kind = kind;
    s->at = r->at;
    s->var = s->var2 = s->buffer = s->callee = -1;
    vec_push(r->p.arena, block, s);
    return s;
}

/* `name.id: type` */
static int read_declared(Reader *r, bool mutable_) {
    Parser *p = &r->p;
    int var = parse_new_var(p, LT_F32, 1, mutable_);
    parse_expect(p, ":");
    int lanes = 1;
    LoopType type = parse_type(p, &lanes);
    if (p->failed) return -1;
    p->function->vars.at[var].type = type;
    p->function->vars.at[var].lanes = lanes;
    return var;
}

static void read_let(Reader *r, LBlock *block, LStmtKind kind) {
    LStmt *s = new_stmt(r, block, kind);
    s->var = read_declared(r, kind == LS_MUTABLE);
    parse_expect(&r->p, "=");
    s->value = parse_expr(&r->p);
}

static void read_store(Reader *r, LBlock *block, bool aligned) {
    LStmt *s = new_stmt(r, block, LS_STORE);
    s->aligned = aligned;
    s->buffer = parse_buffer(&r->p);
    parse_expect(&r->p, "[");
    s->index = parse_expr(&r->p);
    parse_expect(&r->p, "]");
    parse_expect(&r->p, "=");
    s->value = parse_expr(&r->p);
}

static void read_for(Reader *r, LBlock *block) {
    Parser *p = &r->p;
    LStmt *s = new_stmt(r, block, LS_FOR);
    s->var = parse_new_var(p, LT_I64, 1, false);
    parse_expect(p, "in");
    s->low = parse_expr(p);
    parse_expect(p, "to");
    s->high = parse_expr(p);
    s->step = parse_accept(p, "step") ? parse_int(p, INT64_MIN, INT64_MAX) : 1;
    s->rolled = parse_accept(p, "rolled");
    read_block(r, &s->body);
}

static void read_if(Reader *r, LBlock *block) {
    LStmt *s = new_stmt(r, block, LS_IF);
    s->value = parse_expr(&r->p);
    read_block(r, &s->body);
    if (parse_accept(&r->p, "else")) read_block(r, &s->otherwise);
}

static void read_parallel(Reader *r, LBlock *block) {
    LStmt *s = new_stmt(r, block, LS_PARALLEL);
    s->var = parse_new_var(&r->p, LT_I64, 1, false);
    parse_expect(&r->p, "of");
    s->var2 = parse_new_var(&r->p, LT_I64, 1, false);
    if (parse_accept(&r->p, "for")) {
        s->low = parse_expr(&r->p);
        parse_expect(&r->p, "ns");
        parse_expect(&r->p, "with");
        s->high = parse_expr(&r->p);
        parse_expect(&r->p, "barriers");
    }
    read_block(r, &s->body);
}

/* `call g(…)` or `call result.5: i32 = g(…)` */
static void read_call(Reader *r, LBlock *block) {
    Parser *p = &r->p;
    LStmt *s = new_stmt(r, block, LS_CALL);
    Parser before = *p;
    parse_word(p);
    bool declares = parse_is(p, ":");
    if (!p->failed) {
        p->at = before.at;
        p->token = before.token;
    }
    if (declares) {
        s->var = read_declared(r, false);
        parse_expect(p, "=");
    }
    Token at = p->token;
    Name callee = parse_word(p);
    vec_push(p->arena, &r->calls, (Pending){s, callee, at});
    parse_expect(p, "(");
    while (!p->failed && !parse_is(p, ")")) {
        if (s->args.count) parse_expect(p, ",");
        LExpr *arg = parse_accept(p, "pool") ? NULL : parse_expr(p);
        vec_push(p->arena, &s->args, arg);
    }
    parse_expect(p, ")");
}

/* `c#2[0] by 512`, `b#1[0] by 128 transposed` */
static void read_matrix(Reader *r, LStmt *s, GemmArg which, int transposed) {
    Parser *p = &r->p;
    int buffer = parse_buffer(p);
    parse_expect(p, "[");
    LExpr *index = parse_expr(p);
    parse_expect(p, "]");
    if (!p->failed) s->args.at[which] = loop_load(p->module, p->function, buffer, index, 1, false);
    parse_expect(p, "by");
    s->args.at[which + GEMM_C_STRIDE] = parse_expr(p);
    if (transposed && parse_accept(p, "transposed")) s->gemm |= transposed;
}

/* As print_gemm writes it. */
static void read_gemm(Reader *r, LBlock *block) {
    Parser *p = &r->p;
    LStmt *s = new_stmt(r, block, LS_GEMM);
    for (int i = 0; i < GEMM_ARGS; i++) vec_push(p->arena, &s->args, loop_int(p->module, 0));
    for (int i = GEMM_ROWS; i <= GEMM_DEPTH; i++) {
        s->args.at[i] = parse_expr(p);
        parse_expect(p, i < GEMM_DEPTH ? "," : ":");
    }
    read_matrix(r, s, GEMM_C, 0);
    if (parse_accept(p, "added"))
        s->gemm |= GEMM_ADD;
    else
        parse_expect(p, "=");
    if (parse_accept(p, "minus")) s->gemm |= GEMM_MINUS;
    read_matrix(r, s, GEMM_A, GEMM_A_TRANSPOSED);
    parse_expect(p, "times");
    read_matrix(r, s, GEMM_B, GEMM_B_TRANSPOSED);
}

static void read_set(Reader *r, LBlock *block) {
    LStmt *s = new_stmt(r, block, LS_SET);
    s->var = parse_var(&r->p);
    parse_expect(&r->p, "=");
    s->value = parse_expr(&r->p);
}

static void read_place(Reader *r) {
    r->at.file = name_of(r->p.names, parse_string(&r->p));
    r->at.line = (int)parse_int(&r->p, 0, INT32_MAX);
}

static void read_stmt(Reader *r, LBlock *block) {
    Parser *p = &r->p;
    if (parse_accept(p, "place"))
        read_place(r);
    else if (parse_accept(p, "let"))
        read_let(r, block, LS_LET);
    else if (parse_accept(p, "mutable"))
        read_let(r, block, LS_MUTABLE);
    else if (parse_accept(p, "set"))
        read_set(r, block);
    else if (parse_accept(p, "store"))
        read_store(r, block, false);
    else if (parse_accept(p, "store.aligned"))
        read_store(r, block, true);
    else if (parse_accept(p, "for"))
        read_for(r, block);
    else if (parse_accept(p, "if"))
        read_if(r, block);
    else if (parse_accept(p, "break"))
        new_stmt(r, block, LS_BREAK);
    else if (parse_accept(p, "return")) {
        LStmt *s = new_stmt(r, block, LS_RETURN);
        if (!p->token.first && !parse_is(p, "}")) s->value = parse_expr(p);
    } else if (parse_accept(p, "parallel"))
        read_parallel(r, block);
    else if (parse_accept(p, "barrier"))
        new_stmt(r, block, LS_BARRIER);
    else if (parse_accept(p, "call"))
        read_call(r, block);
    else if (parse_accept(p, "gemm"))
        read_gemm(r, block);
    else if (parse_accept(p, "comment"))
        new_stmt(r, block, LS_COMMENT)->text = parse_string(p);
    else
        parse_error(p, p->token, "this begins no statement");
}

static void read_statements(Reader *r, LBlock *block) {
    while (!parse_is(&r->p, "}") && r->p.token.kind != TK_END) read_stmt(r, block);
    parse_expect(&r->p, "}");
}

static void read_block(Reader *r, LBlock *block) {
    Parser *p = &r->p;
    if (++p->depth > PARSE_MOST_DEPTH)
        parse_error(p, p->token, "blocks nested more than %d deep", PARSE_MOST_DEPTH);
    parse_expect(p, "{");
    read_statements(r, block);
    p->depth--;
}

/* ---- functions ---- */

/* `w: ptr f32 written nullable has_w.0 "doc"`, `pool: pool "doc"` or `n n.1: i64 "doc"` */
static void read_arg(Reader *r) {
    Parser *p = &r->p;
    LArg arg = {.name = parse_word(p), .var = -1};
    arg.pointer = parse_accept(p, ":");
    if (arg.pointer && parse_accept(p, "pool")) {
        arg.written = arg.nullable = arg.pool = true;
        arg.type = LT_VOID;
    } else if (arg.pointer) {
        parse_expect(p, "ptr");
        arg.type = parse_type(p, NULL);
        arg.written = parse_accept(p, "written");
        arg.nullable = parse_accept(p, "nullable");
        if (arg.nullable && p->token.kind == TK_WORD) arg.var = parse_new_var(p, LT_I32, 1, false);
    } else {
        arg.var = read_declared(r, false);
        if (!p->failed) arg.type = p->function->vars.at[arg.var].type;
    }
    if (p->token.kind == TK_STRING) arg.doc = parse_string(p);
    vec_push(p->arena, &p->function->args, arg);
}

/* `table [1, 2, 3]`, as many as the count says. */
static const double *read_table(Reader *r, const LExpr *count) {
    Parser *p = &r->p;
    VEC(double) numbers = {0};
    Token at = p->token;
    parse_expect(p, "[");
    while (!p->failed && !parse_is(p, "]")) {
        if (numbers.count) parse_expect(p, ",");
        double number = parse_number(p);
        vec_push(p->arena, &numbers, number);
    }
    parse_expect(p, "]");
    if (count->kind != LE_INT || count->integer != numbers.count)
        parse_error(p, at, "a table of %d numbers with another count", numbers.count);
    return numbers.at;
}

/* `buffer w#0: f32[n.1] in w$0 at 64 align 64 alias 1 written layout "…"` */
static void read_buffer(Reader *r) {
    Parser *p = &r->p;
    LBuffer b = {.name = parse_word(p), .arg = -1};
    parse_expect(p, "#");
    int count = p->function->buffers.count;
    parse_int(p, count, count);
    parse_expect(p, ":");
    b.type = parse_type(p, NULL);
    parse_expect(p, "[");
    b.count = parse_expr(p);
    parse_expect(p, "]");
    if (parse_accept(p, "local")) {
        b.base = LB_LOCAL;
    } else if (parse_accept(p, "table")) {
        b.base = LB_TABLE;
        b.table = read_table(r, b.count);
    } else {
        parse_expect(p, "in");
        b.base = LB_ARG;
        b.arg = parse_place(p);
        if (parse_accept(p, "at")) b.offset = parse_expr(p);
    }
    if (parse_accept(p, "align")) b.align = (int)parse_int(p, 0, 4096);
    if (parse_accept(p, "alias")) b.alias = (int)parse_int(p, 0, count);
    b.written = parse_accept(p, "written");
    if (parse_accept(p, "layout")) b.layout = parse_string(p);
    loop_buffer(p->module, p->function, b);
}

static void read_function(Reader *r) {
    Parser *p = &r->p;
    p->function_begin = p->token.begin;
    r->at = (LPlace){0};
    parse_expect(p, "function");
    Token at = p->token;
    Name name = parse_word(p);
    for (int i = 0; i < p->module->functions.count; i++)
        if (p->module->functions.at[i]->name == name)
            parse_error(p, at, "the second function %.40s", name);
    LFunction *f = p->function = loop_function(p->module, name, LT_VOID, false);
    parse_expect(p, "(");
    while (!p->failed && !parse_is(p, ")")) {
        if (f->args.count) parse_expect(p, ",");
        read_arg(r);
    }
    parse_expect(p, ")");
    parse_expect(p, "->");
    f->result = parse_type(p, NULL);
    f->exported = parse_accept(p, "exported");
    if (p->token.kind == TK_STRING) f->doc = parse_string(p);
    parse_expect(p, "{");
    while (parse_accept(p, "buffer")) read_buffer(r);
    read_statements(r, &f->body);
}

static void join_calls(Reader *r) {
    Parser *p = &r->p;
    for (int i = 0; i < r->calls.count && !p->failed; i++) {
        Pending *c = &r->calls.at[i];
        for (int k = 0; k < p->module->functions.count; k++)
            if (p->module->functions.at[k]->name == c->callee) c->call->callee = k;
        if (c->call->callee < 0) parse_error(p, c->at, "there is no function %.40s", c->callee);
    }
}

LoopModule *loop_parse(Arena *arena, Names *names, const Source *source, Diags *diags) {
    Reader r = {.p = {.arena = arena, .names = names, .source = source, .diags = diags}};
    Parser *p = &r.p;
    parse_next(p);
    parse_expect(p, "module");
    Name prefix = name_of(names, parse_string(p));
    LoopType real = parse_type(p, NULL);
    Target target = {0};
    parse_expect(p, "target");
    target.name = parse_string(p);
    parse_expect(p, "lanes");
    target.lanes = (int)parse_int(p, 1, PARSE_MOST_LANES);
    target.fma = parse_accept(p, "fma");
    parse_expect(p, "registers");
    target.registers = (int)parse_int(p, 0, 1024);
    parse_expect(p, "l2");
    target.l2_bytes = parse_int(p, 0, INT64_MAX);
    p->module = loop_module_new(arena, names, prefix, target, real);
    while (!p->failed && p->token.kind != TK_END) read_function(&r);
    join_calls(&r);
    return p->failed ? NULL : p->module;
}
