/* The text form of the Loop IR; parse.c reads it back. A variable is spelled `name.id`, a buffer
 * `name#id`, a pointer argument `name$place`, so that the text says which of two equal names is
 * meant. Index arithmetic is infix, every other operation is a call:
 *
 *     let y.7: f32x8 = fma(load.f32x8.aligned w#0[g.3*256 + k.4*8], splat(h.5, 8), acc.6)
 *
 * Where a module has lines of the source, `place "gru.rnn" 12` stands before the first statement of
 * each; it holds until the next one, whatever the blocks.
 */
#include "loop/text_form.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Printer {
    const LoopModule *module;
    const LFunction *function;
    Text *out;
    size_t most; /* characters after which expressions end; 0: no limit */
    LPlace at;   /* as the text so far says */
} Printer;

/* A word of letters, digits, '_' and '.', beginning with a letter or '_': what parse.c takes as a
 * name. */
static void print_word(Text *out, const char *name) {
    if (!name || !*name) {
        text_puts(out, "_");
        return;
    }
    if (isdigit((unsigned char)*name)) text_puts(out, "_");
    for (const char *c = name; *c; c++) {
        bool fits = isalnum((unsigned char)*c) || *c == '_' || (*c == '.' && c != name);
        text_write(out, fits ? c : "_", 1);
    }
}

static void print_string(Text *out, const char *string) {
    text_puts(out, "\"");
    for (const char *c = string ? string : ""; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_printf(out, "\\%c", *c);
        else if (*c == '\n')
            text_puts(out, "\\n");
        else if ((unsigned char)*c < 32)
            text_printf(out, "\\x%02x", (unsigned)*c);
        else
            text_write(out, c, 1);
    }
    text_puts(out, "\"");
}

static void print_number(Text *out, double number) {
    if (isnan(number) && signbit(number)) text_puts(out, "-");
    text_double(out, number);
}

/* A float by the shortest decimal that rounds to it. */
static void print_float(Text *out, double number) {
    char digits[40];
    double decimal = number;
    for (int n = 1; n <= 9 && isfinite(number); n++) {
        snprintf(digits, sizeof digits, "%.*g", n, number);
        decimal = strtod(digits, NULL);
        if ((double)(float)decimal == number) break;
    }
    print_number(out, (double)(float)decimal == number ? decimal : number);
}

static void print_type(Text *out, LoopType type, int lanes) {
    text_puts(out, loop_type_text(type));
    if (lanes != 1) text_printf(out, "x%d", lanes);
}

static void print_var(Printer *p, int var) {
    bool known = var >= 0 && var < p->function->vars.count;
    print_word(p->out, known ? p->function->vars.at[var].name : "unknown");
    text_printf(p->out, ".%d", var);
}

static void print_buffer(Printer *p, int buffer) {
    bool known = buffer >= 0 && buffer < p->function->buffers.count;
    print_word(p->out, known ? p->function->buffers.at[buffer].name : "unknown");
    text_printf(p->out, "#%d", buffer);
}

/* ---- expressions ---- */

static void print_expr(Printer *p, const LExpr *e, int binding);

/* 1 for sums, 2 for products of indexes, 0 for what is printed as a call. */
static int infix_binding(const LExpr *e) {
    if (e->kind != LE_OP || e->type != LT_I64 || e->lanes != 1 || !e->a || !e->b || e->c) return 0;
    if (e->op == SOP_ADD || e->op == SOP_SUB) return 1;
    return e->op == SOP_MUL ? 2 : 0;
}

static void print_op(Printer *p, const LExpr *e, int binding) {
    int own = infix_binding(e);
    if (own) {
        if (own < binding) text_puts(p->out, "(");
        print_expr(p, e->a, own);
        text_puts(p->out, e->op == SOP_ADD ? " + " : e->op == SOP_SUB ? " - " : "*");
        print_expr(p, e->b, own + 1);
        if (own < binding) text_puts(p->out, ")");
        return;
    }
    text_puts(p->out, scalar_op_info[e->op].text);
    if (scalar_op_info[e->op].kind == SK_CONVERT)
        text_printf(p->out, ".%s", loop_type_text(e->type));
    const LExpr *operands[] = {e->a, e->b, e->c};
    for (int i = 0; i < 3 && operands[i]; i++) {
        text_puts(p->out, i ? ", " : "(");
        print_expr(p, operands[i], 0);
    }
    text_puts(p->out, ")");
}

/* `binding`: how strongly the operator around it binds. */
static void print_expr(Printer *p, const LExpr *e, int binding) {
    Text *out = p->out;
    if (p->most && out->length >= p->most) return;
    if (!e) {
        text_puts(out, "missing");
        return;
    }
    switch (e->kind) {
    case LE_FLOAT:
        text_printf(out, "%s(", loop_type_text(e->type));
        if (e->type == LT_F32)
            print_float(out, e->number);
        else
            print_number(out, e->number);
        text_puts(out, ")");
        return;
    case LE_INT:
        if (e->type == LT_I64)
            text_printf(out, "%" PRId64, e->integer);
        else
            text_printf(out, "%s(%" PRId64 ")", loop_type_text(e->type), e->integer);
        return;
    case LE_VAR: print_var(p, e->var); return;
    case LE_LOAD:
        text_puts(out, "load.");
        print_type(out, e->type, e->lanes);
        if (e->integer) text_printf(out, ".by%" PRId64, e->integer);
        text_puts(out, e->aligned ? ".aligned " : " ");
        print_buffer(p, e->buffer);
        text_puts(out, "[");
        print_expr(p, e->a, 0);
        text_puts(out, "]");
        return;
    case LE_OP: print_op(p, e, binding); return;
    case LE_SPLAT:
        text_puts(out, "splat(");
        print_expr(p, e->a, 0);
        text_printf(out, ", %d)", e->lanes);
        return;
    case LE_LANE:
        text_puts(out, "lane(");
        print_expr(p, e->a, 0);
        text_printf(out, ", %" PRId64 ")", e->integer);
        return;
    }
}

/* ---- statements ---- */

static void print_block(Printer *p, const LBlock *block, int depth);

static void print_body(Printer *p, const LBlock *block, int depth) {
    text_puts(p->out, "{\n");
    print_block(p, block, depth + 1);
    text_indent(p->out, 4 * depth);
    text_puts(p->out, "}");
}

static void print_declared(Printer *p, int var) {
    print_var(p, var);
    text_puts(p->out, ": ");
    if (var >= 0 && var < p->function->vars.count)
        print_type(p->out, p->function->vars.at[var].type, p->function->vars.at[var].lanes);
}

static void print_for(Printer *p, const LStmt *s, int depth) {
    text_puts(p->out, "for ");
    print_var(p, s->var);
    text_puts(p->out, " in ");
    print_expr(p, s->low, 0);
    text_puts(p->out, " to ");
    print_expr(p, s->high, 0);
    if (s->step != 1) text_printf(p->out, " step %" PRId64, s->step);
    text_puts(p->out, s->rolled ? " rolled " : " ");
    print_body(p, &s->body, depth);
}

static void print_call(Printer *p, const LStmt *s) {
    text_puts(p->out, "call ");
    if (s->var >= 0) {
        print_declared(p, s->var);
        text_puts(p->out, " = ");
    }
    bool known = s->callee >= 0 && s->callee < p->module->functions.count;
    print_word(p->out, known ? p->module->functions.at[s->callee]->name : "unknown");
    text_puts(p->out, "(");
    for (int i = 0; i < s->args.count; i++) {
        if (i) text_puts(p->out, ", ");
        if (s->args.at[i])
            print_expr(p, s->args.at[i], 0);
        else
            text_puts(p->out, "pool");
    }
    text_puts(p->out, ")");
}

/* One matrix: its first element, and how far it is from row to row. */
static void print_matrix(Printer *p, const LStmt *s, GemmArg which, bool transposed) {
    const LExpr *first = s->args.at[which];
    if (first->kind != LE_LOAD) { /* a defect, which is being reported */
        print_expr(p, first, 0);
        return;
    }
    print_buffer(p, first->buffer);
    text_puts(p->out, "[");
    print_expr(p, first->a, 0);
    text_puts(p->out, "] by ");
    print_expr(p, s->args.at[which + GEMM_C_STRIDE], 0);
    if (transposed) text_puts(p->out, " transposed");
}

/* `gemm rows, columns, depth: c#2[0] by 512 added a#0[0] by 128 times b#1[0] by 128 transposed` */
static void print_gemm(Printer *p, const LStmt *s) {
    text_puts(p->out, "gemm ");
    if (s->args.count != GEMM_ARGS) return;
    for (int i = GEMM_ROWS; i <= GEMM_DEPTH; i++) {
        print_expr(p, s->args.at[i], 0);
        text_puts(p->out, i < GEMM_DEPTH ? ", " : ": ");
    }
    print_matrix(p, s, GEMM_C, false);
    text_puts(p->out, s->gemm & GEMM_ADD ? " added " : " = ");
    if (s->gemm & GEMM_MINUS) text_puts(p->out, "minus ");
    print_matrix(p, s, GEMM_A, s->gemm & GEMM_A_TRANSPOSED);
    text_puts(p->out, " times ");
    print_matrix(p, s, GEMM_B, s->gemm & GEMM_B_TRANSPOSED);
}

static void print_stmt(Printer *p, const LStmt *s, int depth) {
    Text *out = p->out;
    text_indent(out, 4 * depth);
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE:
        text_puts(out, s->kind == LS_LET ? "let " : "mutable ");
        print_declared(p, s->var);
        text_puts(out, " = ");
        print_expr(p, s->value, 0);
        break;
    case LS_SET:
        text_puts(out, "set ");
        print_var(p, s->var);
        text_puts(out, " = ");
        print_expr(p, s->value, 0);
        break;
    case LS_STORE:
        text_puts(out, s->aligned ? "store.aligned " : "store ");
        print_buffer(p, s->buffer);
        text_puts(out, "[");
        print_expr(p, s->index, 0);
        text_puts(out, "] = ");
        print_expr(p, s->value, 0);
        break;
    case LS_FOR: print_for(p, s, depth); break;
    case LS_IF:
        text_puts(out, "if ");
        print_expr(p, s->value, 0);
        text_puts(out, " ");
        print_body(p, &s->body, depth);
        if (s->otherwise.count) {
            text_puts(out, " else ");
            print_body(p, &s->otherwise, depth);
        }
        break;
    case LS_BREAK: text_puts(out, "break"); break;
    case LS_RETURN:
        text_puts(out, "return");
        if (s->value) {
            text_puts(out, " ");
            print_expr(p, s->value, 0);
        }
        break;
    case LS_PARALLEL:
        text_puts(out, "parallel ");
        print_var(p, s->var);
        text_puts(out, " of ");
        print_var(p, s->var2);
        if (s->low) {
            text_puts(out, " for ");
            print_expr(p, s->low, 0);
            text_puts(out, " ns with ");
            print_expr(p, s->high, 0);
            text_puts(out, " barriers");
        }
        text_puts(out, " ");
        print_body(p, &s->body, depth);
        break;
    case LS_BARRIER: text_puts(out, "barrier"); break;
    case LS_CALL: print_call(p, s); break;
    case LS_GEMM: print_gemm(p, s); break;
    case LS_COMMENT:
        text_puts(out, "comment ");
        print_string(out, s->text);
        break;
    }
    text_puts(out, "\n");
}

static void print_block(Printer *p, const LBlock *block, int depth) {
    for (int i = 0; i < block->count; i++) {
        LPlace at = block->at[i]->at;
        if (at.line != p->at.line || at.file != p->at.file) {
            text_indent(p->out, 4 * depth);
            text_puts(p->out, "place ");
            print_string(p->out, at.file);
            text_printf(p->out, " %d\n", at.line);
            p->at = at;
        }
        print_stmt(p, block->at[i], depth);
    }
}

void loop_print_head(const LoopModule *module, const LFunction *function, const LStmt *stmt,
                     Text *out) {
    LStmt head = *stmt;
    head.body.count = head.otherwise.count = 0;
    Text text = text_new(out->arena);
    /* An expression that shares nodes may be of any size when written out. */
    Printer p = {.module = module, .function = function, .out = &text, .most = 200};
    print_stmt(&p, &head, 0);
    const char *line = text_string(&text);
    text_write(out, line, strcspn(line, "\n{"));
    while (out->length && out->at[out->length - 1] == ' ') out->at[--out->length] = '\0';
}

/* ---- functions ---- */

static void print_arg(Printer *p, const LArg *arg) {
    Text *out = p->out;
    if (arg->pool) {
        print_word(out, arg->name);
        text_puts(out, ": pool");
    } else if (arg->pointer) {
        print_word(out, arg->name);
        text_printf(out, ": ptr %s", loop_type_text(arg->type));
        if (arg->written) text_puts(out, " written");
        if (arg->nullable) text_puts(out, " nullable");
        if (arg->nullable && arg->var >= 0) {
            text_puts(out, " ");
            print_var(p, arg->var);
        }
    } else {
        /* The argument's own name is another thing than its variable's: it is what callers see. */
        print_word(out, arg->name);
        text_puts(out, " ");
        print_declared(p, arg->var);
    }
    if (arg->doc) {
        text_puts(out, " ");
        print_string(out, arg->doc);
    }
}

static void print_table(Text *out, const LBuffer *b) {
    int64_t count = b->count && b->count->kind == LE_INT && b->table ? b->count->integer : 0;
    text_puts(out, " table [");
    for (int64_t i = 0; i < count; i++) {
        if (i) text_puts(out, i % 8 ? ", " : ",\n        ");
        print_number(out, b->table[i]);
    }
    text_puts(out, "]");
}

static void print_declaration(Printer *p, int buffer) {
    Text *out = p->out;
    const LBuffer *b = &p->function->buffers.at[buffer];
    text_puts(out, "    buffer ");
    print_buffer(p, buffer);
    text_printf(out, ": %s[", loop_type_text(b->type));
    print_expr(p, b->count, 0);
    text_puts(out, "]");
    switch (b->base) {
    case LB_ARG:
        text_puts(out, " in ");
        print_word(out, b->arg >= 0 && b->arg < p->function->args.count
                            ? p->function->args.at[b->arg].name
                            : "unknown");
        text_printf(out, "$%d", b->arg);
        if (b->offset) {
            text_puts(out, " at ");
            print_expr(p, b->offset, 0);
        }
        break;
    case LB_LOCAL: text_puts(out, " local"); break;
    case LB_TABLE: print_table(out, b); break;
    }
    if (b->align) text_printf(out, " align %d", b->align);
    if (b->alias) text_printf(out, " alias %d", b->alias);
    if (b->written) text_puts(out, " written");
    if (b->layout) {
        text_puts(out, " layout ");
        print_string(out, b->layout);
    }
    text_puts(out, "\n");
}

static void print_function(Printer *p, const LFunction *f) {
    Text *out = p->out;
    text_puts(out, "\nfunction ");
    print_word(out, f->name);
    text_puts(out, "(");
    for (int i = 0; i < f->args.count; i++) {
        text_puts(out, i ? ",\n    " : "\n    ");
        print_arg(p, &f->args.at[i]);
    }
    text_printf(out, ") -> %s%s", loop_type_text(f->result), f->exported ? " exported" : "");
    if (f->doc) {
        text_puts(out, " ");
        print_string(out, f->doc);
    }
    text_puts(out, " {\n");
    for (int i = 0; i < f->buffers.count; i++) print_declaration(p, i);
    print_block(p, &f->body, 1);
    text_puts(out, "}\n");
}

void loop_print(const LoopModule *module, Text *out) {
    const Target *target = &module->target;
    text_puts(out, "module ");
    print_string(out, module->prefix);
    text_printf(out, " %s\ntarget ", loop_type_text(module->real));
    print_string(out, target->name);
    text_printf(out, " lanes %d%s registers %d l2 %" PRId64 "\n", target->lanes,
                target->fma ? " fma" : "", target->registers, target->l2_bytes);
    for (int i = 0; i < module->functions.count; i++) {
        Printer p = {.module = module, .function = module->functions.at[i], .out = out};
        print_function(&p, p.function);
    }
}
