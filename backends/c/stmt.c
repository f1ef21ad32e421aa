/* Statements of the Loop IR as C: one case a node; and what stands around them: the pointers of
 * buffers, the head of a function. */
#include "c.h"

#include <inttypes.h>

/* ---- lines ---- */

static void print_line_directive(EmitC *c) {
    if (!c->at.line) return;
    text_printf(c->out, "#line %d ", c->at.line);
    c_string(c->at.file, c->out);
    text_puts(c->out, "\n");
}

void c_line(EmitC *c, Text *line) {
    print_line_directive(c);
    text_indent(c->out, 4 * c->depth);
    if (c->at.line) /* in one line, since a compiler counts on from the directive */
        text_puts(c->out, text_string(line));
    else
        identifier_wrap(c->out, text_string(line), 4 * c->depth, 4 * c->depth + 8);
    text_puts(c->out, "\n");
}

void c_put(EmitC *c, const char *text) {
    Text line = text_new(c->arena);
    text_puts(&line, text);
    c_line(c, &line);
}

/* ---- statements ---- */

static void print_declaration(EmitC *c, const LStmt *s) {
    const LVar *var = &c->function->vars.at[s->var];
    c_expr_begin(c);
    c_expr_count(c, s->value);
    c_expr_prepare(c, s->value, NULL);
    Text line = text_new(c->arena);
    /* Named after its value is printed: the value may speak of an outer one of the same hint. */
    const char *name = c_declare(c, var->name);
    text_printf(&line, "%s%s %s = ", var->mutable_ ? "" : "const ",
                c_type(c, var->type, var->lanes), name);
    c_expr(c, &line, s->value);
    text_puts(&line, ";");
    c_line(c, &line);
    c->vars[s->var] = name;
}

static void print_set(EmitC *c, const LStmt *s) {
    c_expr_begin(c);
    c_expr_count(c, s->value);
    c_expr_prepare(c, s->value, NULL);
    Text line = text_new(c->arena);
    text_printf(&line, "%s = ", c->vars[s->var]);
    c_expr(c, &line, s->value);
    text_puts(&line, ";");
    c_line(c, &line);
}

static void print_store(EmitC *c, const LStmt *s) {
    c_expr_begin(c);
    c_expr_count(c, s->index);
    c_expr_count(c, s->value);
    c_expr_prepare(c, s->index, NULL);
    c_expr_prepare(c, s->value, NULL);
    Text line = text_new(c->arena);
    c_element(c, &line, s->buffer, s->index, s->value->lanes, s->aligned, true);
    text_puts(&line, " = ");
    c_expr(c, &line, s->value);
    text_puts(&line, ";");
    c_line(c, &line);
}

/* Whether a bound may be evaluated again at every turn: no memory, nothing that is set, and cheap.
 */
static bool is_stable(const EmitC *c, const LExpr *e) {
    switch (e->kind) {
    case LE_INT: return true;
    case LE_VAR: return !c->function->vars.at[e->var].mutable_;
    case LE_OP:
        return (e->op == SOP_ADD || e->op == SOP_SUB || e->op == SOP_MUL) && is_stable(c, e->a) &&
               is_stable(c, e->b);
    case LE_FLOAT:
    case LE_LOAD:
    case LE_SPLAT:
    case LE_LANE: return false;
    }
    return false;
}

static void print_for(EmitC *c, const LStmt *s) {
    const char *hint = c->function->vars.at[s->var].name;
    c_expr_begin(c);
    c_expr_count(c, s->low);
    c_expr_count(c, s->high);
    c_expr_prepare(c, s->low, NULL);
    c_expr_prepare(c, s->high,
                   is_stable(c, s->high) ? NULL : arena_printf(c->arena, "%s_end", hint));
    int outside = c_visible(c);
    const char *name = c_declare(c, hint);
    Text line = text_new(c->arena);
    text_printf(&line, "for (int64_t %s = ", name);
    c_expr(c, &line, s->low);
    text_printf(&line, "; %s < ", name);
    c_expr(c, &line, s->high);
    if (s->step == 1)
        text_printf(&line, "; %s++) {", name);
    else
        text_printf(&line, "; %s += %" PRId64 ") {", name, s->step);
    if (s->rolled) text_puts(c->out, "#pragma GCC unroll 1\n");
    c_line(c, &line);
    c->vars[s->var] = name;
    c_block(c, &s->body);
    c_put(c, "}");
    /* Constants of the bounds stay visible to the end of the enclosing block. */
    c_leave(c, outside);
}

static void print_if(EmitC *c, const LStmt *s) {
    c_expr_begin(c);
    c_expr_count(c, s->value);
    c_expr_prepare(c, s->value, NULL);
    Text line = text_new(c->arena);
    text_puts(&line, "if (");
    c_expr(c, &line, s->value);
    text_puts(&line, ") {");
    c_line(c, &line);
    c_block(c, &s->body);
    if (s->otherwise.count) {
        c_put(c, "} else {");
        c_block(c, &s->otherwise);
    }
    c_put(c, "}");
}

/* Without a pool: the body once, as thread 0 of 1. */
static void print_parallel(EmitC *c, const LStmt *s) {
    int scope = c_visible(c);
    c_put(c, "{");
    c->depth++;
    for (int i = 0; i < 2; i++) {
        int var = i ? s->var2 : s->var;
        if (var < 0 || !c->live.vars[var]) continue;
        c->vars[var] = c_declare(c, c->function->vars.at[var].name);
        c_put(c, arena_printf(c->arena, "const int64_t %s = %d;", c->vars[var], i));
    }
    c->depth--;
    c_block(c, &s->body);
    c_put(c, "}");
    c_leave(c, scope);
}

/* What is computed for an argument. */
static const LExpr *argument(const LFunction *callee, const LStmt *s, int i) {
    if (callee->args.at[i].pool) return NULL;
    return callee->args.at[i].pointer ? s->args.at[i]->a : s->args.at[i];
}

/* A pointer argument is a load: the address of that element is meant. */
static void print_call(EmitC *c, const LStmt *s) {
    const LFunction *callee = c->module->functions.at[s->callee];
    c_expr_begin(c);
    for (int i = 0; i < s->args.count; i++) c_expr_count(c, argument(callee, s, i));
    for (int i = 0; i < s->args.count; i++) c_expr_prepare(c, argument(callee, s, i), NULL);
    Text line = text_new(c->arena);
    if (s->var >= 0 && c->live.vars[s->var]) {
        c->vars[s->var] = c_declare(c, c->function->vars.at[s->var].name);
        text_printf(&line, "const %s %s = ", identifier_type(callee->result), c->vars[s->var]);
    }
    text_printf(&line, "%s(", identifier_symbol(c->module, callee->name));
    for (int i = 0; i < s->args.count; i++) {
        const LExpr *arg = s->args.at[i];
        if (i) text_puts(&line, ", ");
        if (callee->args.at[i].pool) {
            text_puts(&line, c->pool);
            continue;
        }
        bool start = callee->args.at[i].pointer && arg->a->kind == LE_INT && !arg->a->integer;
        if (start) { /* an argument that is passed on may be NULL */
            text_puts(&line, c->buffers[arg->buffer]);
        } else if (callee->args.at[i].pointer) {
            text_puts(&line, "&");
            c_element(c, &line, arg->buffer, arg->a, 1, true, callee->args.at[i].written);
        } else {
            c_expr(c, &line, arg);
        }
    }
    text_puts(&line, ");");
    c_line(c, &line);
}

/* The header's name of a status, or NULL where `value` is no constant status of an exported
 * function. */
static const char *status_of(const EmitC *c, const LExpr *value) {
    static const char *const names[] = {"OK",        "BAD_LENGTH",  "BAD_VALUE",
                                        "BAD_SPACE", "BAD_POINTER", "BAD_LOSS"};
    if (!c->function->exported || value->type != LT_I32 || value->kind != LE_INT) return NULL;
    return value->integer >= LOOP_OK && value->integer <= LOOP_BAD_LOSS ? names[value->integer]
                                                                        : NULL;
}

static void print_return(EmitC *c, const LStmt *s) {
    c_expr_begin(c);
    c_expr_count(c, s->value);
    c_expr_prepare(c, s->value, NULL);
    Text line = text_new(c->arena);
    text_puts(&line, s->value ? "return " : "return");
    const char *status = s->value ? status_of(c, s->value) : NULL;
    if (status)
        text_printf(&line, "%s_%s",
                    identifier_upper(c->arena, identifier_of(c->arena, c->module->prefix)), status);
    else if (s->value)
        c_expr(c, &line, s->value);
    text_puts(&line, ";");
    c_line(c, &line);
}

static void print_stmt(EmitC *c, const LStmt *s) {
    if (!live_stmt(&c->live, c->function, s)) return;
    c->at = s->at;
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE: print_declaration(c, s); return;
    case LS_SET: print_set(c, s); return;
    case LS_STORE: print_store(c, s); return;
    case LS_FOR: print_for(c, s); return;
    case LS_IF: print_if(c, s); return;
    case LS_BREAK: c_put(c, "break;"); return;
    case LS_RETURN: print_return(c, s); return;
    case LS_PARALLEL:
        if (live_is_outlined(c->function, s))
            c_region(c, s);
        else
            print_parallel(c, s);
        return;
    case LS_BARRIER:
        if (c->pool) c_barrier(c);
        return;
    case LS_CALL: print_call(c, s); return;
    case LS_GEMM: c_gemm(c, s); return;
    case LS_COMMENT: identifier_comment(c->out, s->text, 4 * c->depth); return;
    }
}

void c_block(EmitC *c, const LBlock *block) {
    int scope = c_visible(c);
    const LPlace around = c->at;
    c->depth++;
    for (int i = 0; i < block->count; i++) print_stmt(c, block->at[i]);
    c->depth--;
    c->at = around;
    c_leave(c, scope);
}

/* ---- buffers ---- */

static bool is_start(const LBuffer *b) {
    return !b->offset || (b->offset->kind == LE_INT && b->offset->integer == 0);
}

/* The argument itself serves where it has the buffer's type and no other buffer lies behind it. */
static bool is_argument(const LFunction *f, int buffer, const int *buffers_of_arg) {
    const LBuffer *b = &f->buffers.at[buffer];
    return b->base == LB_ARG && is_start(b) && f->args.at[b->arg].type == b->type &&
           buffers_of_arg[b->arg] == 1;
}

static void print_table(Text *line, const LBuffer *b) {
    text_puts(line, " = {");
    for (int64_t i = 0; i < b->count->integer; i++) {
        if (i) text_puts(line, ", ");
        c_number(line, b->type, b->table[i]);
    }
    text_puts(line, "};");
}

const char *c_buffer_type(EmitC *c, int buffer, bool wanted) {
    const LBuffer *b = &c->function->buffers.at[buffer];
    /* Memory behind another type than its own is reached through a type that may alias. */
    bool other = c->function->args.at[b->arg].type != b->type;
    if (other) c_use(c, b->type, 1, USE_ALIAS);
    return arena_printf(c->arena, "%s%s%s *%s", b->written ? "" : "const ",
                        other ? loop_type_text(b->type) : identifier_type(b->type),
                        other ? "_any" : "", wanted && !c->overlaps[buffer] ? "restrict" : "");
}

static void print_pointer(EmitC *c, Text *line, int buffer, const char *name) {
    const LBuffer *b = &c->function->buffers.at[buffer];
    const char *arg = c->args[b->arg], *type = c_buffer_type(c, buffer, true);
    text_printf(line, "%s%s%s = ", type, c->overlaps[buffer] ? "" : " ", name);
    type = c_buffer_type(c, buffer, false);
    if (is_start(b)) {
        text_printf(line, "(%s)%s;", type, arg);
        return;
    }
    text_printf(line, "(%s)&((%sunsigned char *)%s)[", type,
                c->function->args.at[b->arg].written ? "" : "const ", arg);
    c_expr_begin(c);
    c_expr_count(c, b->offset);
    c_expr_prepare(c, b->offset,
                   b->offset->kind == LE_OP && b->offset->op != SOP_ADD &&
                           b->offset->op != SOP_MUL && b->offset->op != SOP_SUB
                       ? "offset"
                       : NULL);
    c_expr(c, line, b->offset);
    text_puts(line, "];");
}

void c_buffer(EmitC *c, int buffer) {
    const LBuffer *b = &c->function->buffers.at[buffer];
    Text line = text_new(c->arena);
    const char *name = c_declare(c, b->name);
    const char *aligned = c->module->target.lanes > 1 ? " __attribute__((aligned(64)))" : "";
    if (b->layout && *b->layout)
        identifier_comment(c->out, arena_printf(c->arena, "%s: %s", name, b->layout), 4 * c->depth);
    switch (b->base) {
    case LB_ARG: print_pointer(c, &line, buffer, name); break;
    case LB_LOCAL:
        text_printf(&line, "%s %s[%" PRId64 "]%s;", identifier_type(b->type), name,
                    b->count->integer, aligned);
        break;
    case LB_TABLE:
        text_printf(&line, "static const %s %s[%" PRId64 "]%s", identifier_type(b->type), name,
                    b->count->integer, aligned);
        print_table(&line, b);
        break;
    }
    c_line(c, &line);
    c->buffers[buffer] = name;
}

/* Declares what `s` uses first. Late, so that the checks at the top of a function come before any
 * arithmetic on a pointer that may turn out to be none. */
static void print_buffers_of(EmitC *c, const LStmt *s) {
    int count = c->function->buffers.count;
    bool *used = c->used;
    memset(used, 0, (size_t)count * sizeof *used);
    live_stmt_buffers(c->function, s, used);
    for (int i = 0; i < count; i++) {
        if (!used[i] || !c->live.buffers[i] || c->buffers[i]) continue;
        c_buffer(c, i);
        if (c->loads && !c->loads[i]) c_put(c, arena_printf(c->arena, "(void)%s;", c->buffers[i]));
    }
}

/* ---- functions ---- */

/* `if (!x || ((uintptr_t)work) % 64 != 0) return LSTM_BAD_POINTER;` */
static void print_pointer_checks(EmitC *c, const char *const *names) {
    const LFunction *f = c->function;
    Text missing = text_new(c->arena), bits = text_new(c->arena);
    for (int i = 0; i < f->args.count; i++) {
        LiveArg is = live_arg(&c->live, f, i);
        if (is.not_null) text_printf(&missing, "%s!%s", missing.length ? " || " : "", names[i]);
        if (is.aligned) text_printf(&bits, "%s(uintptr_t)%s", bits.length ? " | " : "", names[i]);
    }
    if (!missing.length && !bits.length) return;
    Text line = text_new(c->arena);
    text_printf(&line, "if (%s", text_string(&missing));
    if (bits.length)
        text_printf(&line, "%s((%s) & 63u) != 0u", missing.length ? " || " : "",
                    text_string(&bits));
    text_puts(&line, ") {");
    c_line(c, &line);
    c_put(c, arena_printf(c->arena, "    return %s_BAD_POINTER;",
                          identifier_upper(c->arena, identifier_of(c->arena, c->module->prefix))));
    c_put(c, "}");
}

static void print_arguments(EmitC *c, const char *const *names) {
    const LFunction *f = c->function;
    for (int i = 0; i < f->args.count; i++) {
        const LArg *arg = &f->args.at[i];
        bool used = live_arg(&c->live, f, i).used;
        if (arg->pointer && arg->var >= 0 && c->live.vars[arg->var]) {
            used = true;
            c->vars[arg->var] = c_declare(c, arena_printf(c->arena, "has_%s", names[i]));
            c_put(c, arena_printf(c->arena, "const int32_t %s = %s != NULL;", c->vars[arg->var],
                                  names[i]));
        }
        if (!used) c_put(c, arena_printf(c->arena, "(void)%s;", names[i]));
    }
}

void c_function(EmitC *c, const LFunction *f) {
    c->function = f;
    c->live = live_of(c->arena, f);
    c_leave(c, 0);
    c->depth = 0;
    c->vars = ARENA_ARRAY(c->arena, f->vars.count + 1, const char *);
    c->buffers = ARENA_ARRAY(c->arena, f->buffers.count + 1, const char *);
    c->used = ARENA_ARRAY(c->arena, f->buffers.count + 1, bool);
    const char **names = ARENA_ARRAY(c->arena, f->args.count + 1, const char *);
    bool *restricted = ARENA_ARRAY(c->arena, f->args.count + 1, bool);
    c->args = names;
    for (int i = 0; i < f->args.count; i++) {
        names[i] = c_declare(c, f->args.at[i].name);
        if (!f->args.at[i].pointer) c->vars[f->args.at[i].var] = names[i];
    }
    int *buffers_of_arg = ARENA_ARRAY(c->arena, f->args.count + 1, int);
    for (int i = 0; i < f->buffers.count; i++)
        if (c->live.buffers[i] && f->buffers.at[i].base == LB_ARG)
            buffers_of_arg[f->buffers.at[i].arg]++;
    c->overlaps = live_overlaps(c->arena, f);
    for (int i = 0; i < f->buffers.count; i++)
        if (c->live.buffers[i] && is_argument(f, i, buffers_of_arg)) {
            c->buffers[i] = names[f->buffers.at[i].arg];
            restricted[f->buffers.at[i].arg] = !c->overlaps[i];
        }
    c->at = c->module->home;
    int pool = loop_pool(f);
    c->pool = pool < 0 ? NULL : names[pool];
    c->loads = pool < 0 ? NULL : live_loads(c->arena, f, &f->body);
    c->region_count = 0;
    /* What a region becomes stands before the function, and is known behind it. */
    Text *out = c->out, regions = text_new(c->arena), own = text_new(c->arena);
    c->regions = &regions;
    c->out = &own;
    text_puts(c->out, "\n");
    identifier_comment(c->out, f->doc, 0);
    print_line_directive(c);
    if (!f->exported) text_puts(c->out, "static ");
    identifier_prototype(c->module, f, restricted, names, c->out);
    text_puts(c->out, "\n{\n");
    c->depth = 1;
    print_arguments(c, names);
    if (live_checks(f)) print_pointer_checks(c, names);
    for (int i = 0; i < f->body.count; i++) {
        if (!live_stmt(&c->live, f, f->body.at[i])) continue;
        c->at = f->body.at[i]->at;
        print_buffers_of(c, f->body.at[i]);
        print_stmt(c, f->body.at[i]);
    }
    text_puts(c->out, "}\n");
    c->out = out;
    text_puts(c->out, text_string(&regions));
    text_puts(c->out, text_string(&own));
}
