/* Source texts rewritten without a change of meaning. Each rewriting collects edits of byte ranges,
 * found in the tree; what would be doubtful is left as it is. */
#include "rewrite.h"

typedef struct Edit {
    uint32_t begin, end;
    const char *text;
} Edit;

typedef VEC(Edit) Edits;

static int by_place(const void *a, const void *b) {
    const Edit *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static const char *apply(Rewriting *r, Edits *edits) {
    const Source *source = r->ast->source;
    Text out = text_new(r->arena);
    uint32_t at = 0;
    if (!edits->count) return NULL;
    qsort(edits->at, (size_t)edits->count, sizeof *edits->at, by_place);
    for (int i = 0; i < edits->count; i++) {
        const Edit *edit = &edits->at[i];
        if (edit->begin < at) return NULL; /* one inside of another */
        text_write(&out, source->text + at, edit->begin - at);
        text_puts(&out, edit->text);
        at = edit->end;
    }
    text_write(&out, source->text + at, source->length - at);
    return text_string(&out);
}

static const char *text_of(Rewriting *r, Span span) {
    return arena_strndup(r->arena, r->ast->source->text + span.begin, span.end - span.begin);
}

static const Item *model_of(const Rewriting *r) {
    for (int i = 0; i < r->ast->items.count; i++)
        if (r->ast->items.at[i]->kind == ITEM_MODEL &&
            strcmp(r->ast->items.at[i]->name, r->model) == 0)
            return r->ast->items.at[i];
    return NULL;
}

/* ---- sets of names ---- */

typedef VEC(const char *) NameSet;

static bool has(const NameSet *set, const char *name) {
    for (int i = 0; i < set->count; i++)
        if (strcmp(set->at[i], name) == 0) return true;
    return false;
}

static void put(Rewriting *r, NameSet *set, const char *name) {
    if (name && !has(set, name)) vec_push(r->arena, set, name);
}

typedef void (*Visit)(void *user, const Expr *expr);

static void walk(const Expr *expr, Visit visit, void *user) {
    if (!expr) return;
    visit(user, expr);
    walk(expr->a, visit, user);
    walk(expr->b, visit, user);
    walk(expr->c, visit, user);
    for (int i = 0; i < expr->entries.count; i++) {
        walk(expr->entries.at[i].a, visit, user);
        walk(expr->entries.at[i].b, visit, user);
    }
    for (int i = 0; i < expr->args.count; i++) walk(expr->args.at[i].value, visit, user);
}

static void walk_stmts(const StmtList *body, Visit visit, void *user) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        for (int d = 0; d < stmt->decls.count; d++)
            for (int k = 0; k < stmt->decls.at[d].indices.count; k++)
                walk(stmt->decls.at[d].indices.at[k], visit, user);
        for (int k = 0; stmt->type && k < stmt->type->shape.count; k++)
            walk(stmt->type->shape.at[k], visit, user);
        walk(stmt->value, visit, user);
        walk(stmt->every, visit, user);
        walk(stmt->per, visit, user);
        walk(stmt->low, visit, user);
        walk(stmt->high, visit, user);
        for (int k = 0; k < stmt->args.count; k++) walk(stmt->args.at[k].value, visit, user);
        walk_stmts(&stmt->body, visit, user);
    }
}

/* ---- renaming ---- */

typedef struct Naming {
    Rewriting *r;
    NameSet declared, kept;
    bool draws;
} Naming;

static bool draws(const StmtList *body) {
    for (int i = 0; i < body->count; i++)
        if (body->at[i]->kind == STMT_DRAW || draws(&body->at[i]->body)) return true;
    return false;
}

/* Arguments by name and parameters of instances may be names of other files. */
static void keep_foreign(void *user, const Expr *expr) {
    Naming *n = user;
    if (expr->kind == EXPR_FIELD) put(n->r, &n->kept, expr->name);
    for (int i = 0; i < expr->args.count; i++) put(n->r, &n->kept, expr->args.at[i].name);
}

static void declare(Naming *n, const Decl *decl) {
    put(n->r, &n->declared, decl->name);
    for (int k = 0; k < decl->indices.count; k++)
        if (decl->indices.at[k]->kind == EXPR_NAME)
            put(n->r, &n->declared, decl->indices.at[k]->name);
}

static void declare_body(Naming *n, const StmtList *body) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        for (int d = 0; d < stmt->decls.count; d++) {
            declare(n, &stmt->decls.at[d]);
            /* A draw is found by its name and those of its instances. */
            if (stmt->kind == STMT_DRAW || (n->draws && stmt->kind == STMT_USE))
                put(n->r, &n->kept, stmt->decls.at[d].name);
        }
        for (int k = 0; k < stmt->args.count; k++) put(n->r, &n->kept, stmt->args.at[k].name);
        put(n->r, &n->declared, stmt->name);
        declare_body(n, &stmt->body);
    }
}

static Naming naming(Rewriting *r) {
    Naming n = {.r = r};
    static const char *const own[] = {"first", "last", "inf", "training", "generating"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) put(r, &n.kept, own[i]);
    for (int i = 0; i < r->define_count; i++) put(r, &n.kept, r->defines[i].name);
    for (int i = 0; i < r->ast->items.count; i++)
        n.draws = n.draws || draws(&r->ast->items.at[i]->body);
    for (int i = 0; i < r->ast->items.count; i++) {
        const Item *item = r->ast->items.at[i];
        for (int b = 0; b < item->binds.count; b++) put(r, &n.declared, item->binds.at[b].name);
        if (item->kind != ITEM_MODEL) continue;
        put(r, &n.declared, item->name);
        for (int b = 0; b < item->params.count; b++) put(r, &n.declared, item->params.at[b].name);
        for (int p = 0; p < item->inputs.count; p++) declare(&n, &item->inputs.at[p].decl);
        for (int p = 0; p < item->outputs.count; p++) declare(&n, &item->outputs.at[p].decl);
        declare_body(&n, &item->body);
        walk_stmts(&item->body, keep_foreign, &n);
    }
    return n;
}

static bool is_name_byte(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Words that open statements are names elsewhere: such names stay. */
static bool is_word(const char *name) {
    static const char *const words[] = {"model", "size", "const", "import", "param",
                                        "state", "time", "use",   "loss",   "stop"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], name) == 0) return true;
    return false;
}

const char *rewrite_rename(Rewriting *r) {
    Naming n = naming(r);
    NameSet names = {0};
    Edits edits = {0};
    for (int i = 0; i < n.declared.count; i++)
        if (!has(&n.kept, n.declared.at[i]) && !is_word(n.declared.at[i]))
            vec_push(r->arena, &names, n.declared.at[i]);
    int shift = names.count ? dice(r->dice, names.count) : 0;
    const char *text = r->ast->source->text, *model = r->model;
    for (uint32_t i = 0; i < r->ast->source->length;) {
        uint32_t begin = i;
        if (text[i] == '#' || text[i] == '"') {
            char end = text[i] == '#' ? '\n' : '"';
            for (i++; i < r->ast->source->length && text[i] != end; i++) {
            }
            i++;
            continue;
        }
        while (is_name_byte(text[i])) i++;
        if (i == begin) {
            i++;
            continue;
        }
        const char *name = arena_strndup(r->arena, text + begin, i - begin);
        for (int k = 0; k < names.count; k++) {
            if (strcmp(names.at[k], name) != 0) continue;
            const char *to =
                arena_printf(r->arena, "n%03d_", (names.count - k + shift) % names.count);
            vec_push(r->arena, &edits, (Edit){begin, i, to});
            if (strcmp(name, r->model) == 0) model = to;
        }
    }
    r->model = model;
    return apply(r, &edits);
}

/* ---- order ---- */

const char *rewrite_reorder(Rewriting *r) {
    Edits edits = {0};
    for (int i = 0; i < r->ast->items.count; i++) {
        const Item *item = r->ast->items.at[i];
        VEC(const Stmt *) moved = {0};
        for (int k = 0; item->kind == ITEM_MODEL && k < item->body.count; k++) {
            const Stmt *stmt = item->body.at[k];
            if (stmt->kind == STMT_EQUATION || stmt->kind == STMT_STATE || stmt->kind == STMT_DRAW)
                vec_push(r->arena, &moved, stmt);
        }
        int *place = ARENA_ARRAY(r->arena, moved.count + 1, int);
        for (int k = 0; k < moved.count; k++) place[k] = k;
        for (int k = moved.count - 1; k > 0; k--) {
            int j = dice(r->dice, k + 1), swap = place[k];
            place[k] = place[j];
            place[j] = swap;
        }
        for (int k = 0; k < moved.count; k++)
            if (place[k] != k)
                vec_push(r->arena, &edits,
                         (Edit){moved.at[k]->span.begin, moved.at[k]->span.end,
                                text_of(r, moved.at[place[k]]->span)});
    }
    return apply(r, &edits);
}

/* ---- parts of equations ---- */

typedef struct Part {
    Rewriting *r;
    const Item *model;
    NameSet times, own, uses; /* time indices; those on the left; instances */
    bool alien;
    VEC(const Expr *) parts;
    int depth;
} Part;

static void add_times(Part *p, const Decl *decl) {
    for (int k = 0; k < decl->indices.count; k++)
        if (decl->indices.at[k]->kind == EXPR_NAME) put(p->r, &p->times, decl->indices.at[k]->name);
}

static void add_body(Part *p, const StmtList *body) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        if (stmt->kind == STMT_TIME_IN || stmt->kind == STMT_TIME_FIXED || stmt->kind == STMT_FOR)
            put(p->r, &p->times, stmt->name);
        for (int d = 0; d < stmt->decls.count; d++) add_times(p, &stmt->decls.at[d]);
        if (stmt->kind == STMT_USE) put(p->r, &p->uses, stmt->decls.at[0].name);
        add_body(p, &stmt->body);
    }
}

static void see_alien(void *user, const Expr *expr) {
    Part *p = user;
    if (expr->kind == EXPR_NAME && has(&p->times, expr->name) && !has(&p->own, expr->name))
        p->alien = true;
    for (int i = 0; i < expr->entries.count; i++)
        if (expr->entries.at[i].kind == ENTRY_RANGE) p->alien = true;
}

static Part part_of(Rewriting *r) {
    Part p = {.r = r, .model = model_of(r)};
    for (int i = 0; i < p.model->inputs.count; i++) add_times(&p, &p.model->inputs.at[i].decl);
    for (int i = 0; i < p.model->outputs.count; i++) add_times(&p, &p.model->outputs.at[i].decl);
    add_body(&p, &p.model->body);
    return p;
}

/* Sets the indices of the left side; false when one of them is no plain time index. */
static bool set_left(Part *p, const Stmt *stmt) {
    p->own.count = 0;
    if (stmt->kind != STMT_EQUATION || stmt->decls.count != 1) return false;
    for (int k = 0; k < stmt->decls.at[0].indices.count; k++) {
        const Expr *index = stmt->decls.at[0].indices.at[k];
        if (index->kind != EXPR_NAME || !has(&p->times, index->name)) return false;
        put(p->r, &p->own, index->name);
    }
    return true;
}

static bool arithmetic(const Expr *e) {
    if (e->kind == EXPR_BINARY)
        return e->op == AST_ADD || e->op == AST_SUB || e->op == AST_MUL || e->op == AST_DIV ||
               e->op == AST_MATMUL;
    return e->kind == EXPR_CALL || e->kind == EXPR_IF;
}

/* Parts that stand for a value of their own: operands, not what stands in brackets of entries. */
static void collect_parts(Part *p, const Expr *e) {
    if (!e) return;
    if (arithmetic(e)) {
        p->alien = false;
        walk(e, see_alien, p);
        if (!p->alien) vec_push(p->r->arena, &p->parts, e);
    }
    if (e->kind == EXPR_BINARY || e->kind == EXPR_UNARY) {
        collect_parts(p, e->a);
        collect_parts(p, e->b);
    }
    for (int i = 0; e->kind == EXPR_CALL && e->a->kind == EXPR_NAME && i < e->args.count; i++)
        collect_parts(p, e->args.at[i].value);
}

static const char *indices_text(Rewriting *r, const Decl *decl) {
    Text text = text_new(r->arena);
    for (int k = 0; k < decl->indices.count; k++)
        text_printf(&text, "%s%s", k ? "," : "[", text_of(r, decl->indices.at[k]->span));
    if (decl->indices.count) text_puts(&text, "]");
    return text_string(&text);
}

/* The end of the model's last statement. */
static uint32_t end_of_body(const Item *model) {
    return model->body.at[model->body.count - 1]->span.end;
}

const char *rewrite_split(Rewriting *r) {
    Part p = part_of(r);
    Edits edits = {0};
    for (int tries = 0; tries < 8 && p.model->body.count; tries++) {
        const Stmt *stmt = p.model->body.at[dice(r->dice, p.model->body.count)];
        if (!set_left(&p, stmt)) continue;
        p.parts.count = 0;
        collect_parts(&p, stmt->value);
        if (!p.parts.count) continue;
        const Expr *part = p.parts.at[dice(r->dice, p.parts.count)];
        const char *name =
            arena_printf(r->arena, "said_part%s", indices_text(r, &stmt->decls.at[0]));
        vec_push(r->arena, &edits, (Edit){part->span.begin, part->span.end, name});
        const char *equation =
            arena_printf(r->arena, "\n    %s = %s", name, text_of(r, part->span));
        uint32_t end = end_of_body(p.model);
        vec_push(r->arena, &edits, (Edit){end, end, equation});
        break;
    }
    return apply(r, &edits);
}

/* ---- inlining ---- */

typedef struct Readers {
    const char *name;
    int count;
    const Expr *reader; /* the name, with its bracket */
} Readers;

static void count_reader(void *user, const Expr *expr) {
    Readers *readers = user;
    if (expr->kind == EXPR_INDEX && expr->a->kind == EXPR_NAME &&
        strcmp(expr->a->name, readers->name) == 0)
        readers->reader = expr;
    if (expr->kind == EXPR_NAME && strcmp(expr->name, readers->name) == 0) readers->count++;
}

static void see_use(void *user, const Expr *expr) {
    Part *p = user;
    if (expr->kind == EXPR_CALL && expr->a->kind == EXPR_NAME && has(&p->uses, expr->a->name))
        p->alien = true;
    /* A model may be applied by its own name. */
    if (expr->kind == EXPR_CALL && expr->a->kind == EXPR_NAME && expr->a->name[0] < 'a')
        p->alien = true;
}

static bool same_indices(const Expr *reader, const Decl *decl) {
    if (reader->entries.count != decl->indices.count) return false;
    for (int k = 0; k < reader->entries.count; k++) {
        const Entry *entry = &reader->entries.at[k];
        if (entry->kind != ENTRY_EXPR || entry->a->kind != EXPR_NAME ||
            decl->indices.at[k]->kind != EXPR_NAME ||
            strcmp(entry->a->name, decl->indices.at[k]->name) != 0)
            return false;
    }
    return true;
}

/* States, outputs and second equations (families) hold a name fast. */
static int mentions(const Item *model, const char *name) {
    int count = 0;
    for (int i = 0; i < model->outputs.count; i++)
        count += strcmp(model->outputs.at[i].decl.name, name) == 0;
    for (int i = 0; i < model->body.count; i++)
        for (int d = 0; d < model->body.at[i]->decls.count; d++)
            count += strcmp(model->body.at[i]->decls.at[d].name, name) == 0;
    return count;
}

const char *rewrite_inline(Rewriting *r) {
    Part p = part_of(r);
    Edits edits = {0};
    int count = p.model->body.count, start = count ? dice(r->dice, count) : 0;
    for (int k = 0; k < count && !edits.count; k++) {
        const Stmt *stmt = p.model->body.at[(start + k) % count];
        if (!set_left(&p, stmt) || stmt->every || (stmt->type && stmt->type->name)) continue;
        if (!stmt->decls.at[0].indices.count) continue;
        Readers readers = {.name = stmt->decls.at[0].name};
        p.alien = false;
        walk(stmt->value, see_use, &p);
        walk_stmts(&p.model->body, count_reader, &readers);
        if (p.alien || readers.count != 1 || !readers.reader ||
            mentions(p.model, readers.name) != 1 ||
            !same_indices(readers.reader, &stmt->decls.at[0]))
            continue;
        vec_push(r->arena, &edits,
                 (Edit){readers.reader->span.begin, readers.reader->span.end,
                        arena_printf(r->arena, "(%s)", text_of(r, stmt->value->span))});
        vec_push(r->arena, &edits, (Edit){stmt->span.begin, stmt->span.end, ""});
    }
    return apply(r, &edits);
}

/* ---- dead equations ---- */

const char *rewrite_dead(Rewriting *r) {
    Part p = part_of(r);
    Edits edits = {0};
    Text text = text_new(r->arena);
    int made = 0;
    for (int k = 0; k < p.model->body.count; k++) {
        const Stmt *stmt = p.model->body.at[k];
        if (!set_left(&p, stmt) || stmt->every || dice_percent(r->dice, 40)) continue;
        text_printf(&text, "\n    said_dead%d%s", made++, indices_text(r, &stmt->decls.at[0]));
        if (stmt->type) text_printf(&text, ": %s", text_of(r, stmt->type->span));
        text_printf(&text, " = %s", text_of(r, stmt->value->span));
    }
    uint32_t end = made ? end_of_body(p.model) : 0;
    if (made) vec_push(r->arena, &edits, (Edit){end, end, text_string(&text)});
    return apply(r, &edits);
}

/* ---- applications ---- */

/* The type with the sizes that the graph found; the header's may be names that only the model's own
 * parameters give. */
static const char *type_text(Rewriting *r, Type type) {
    Text text = text_new(r->arena);
    if (type.dtype == DT_INT) text_printf(&text, "int(%lld)", (long long)type.bound);
    if (type.dtype == DT_BOOL) text_puts(&text, "bool");
    text_puts(&text, "[");
    for (int d = 0; d < type.shape.rank; d++)
        text_printf(&text, "%s%lld", d ? ", " : "", (long long)type.shape.dim[d]);
    text_puts(&text, "]");
    return text_string(&text);
}

const char *rewrite_apply(Rewriting *r, const Graph *graph, const char *modifier) {
    const Item *model = model_of(r);
    Text out = text_new(r->arena), left = text_new(r->arena), args = text_new(r->arena);
    if (model->has_params) return NULL;
    text_write(&out, r->ast->source->text, r->ast->source->length);
    text_puts(&out, "\nmodel Said(");
    for (int i = 0; i < model->inputs.count; i++) {
        const Port *port = &model->inputs.at[i];
        const char *decl = text_of(r, port->decl.span);
        text_printf(&out, "%s%s: %s", i ? ", " : "", decl, type_text(r, graph->inputs.at[i].type));
        text_printf(&args, "%s", i ? ", " : "");
        if (!port->decl.indices.count) text_printf(&args, "%s = ", port->decl.name);
        text_puts(&args, decl);
    }
    text_puts(&out, ") -> ");
    for (int i = 0; i < model->outputs.count; i++) {
        const char *decl = text_of(r, model->outputs.at[i].decl.span);
        text_printf(&out, "%s%s: %s", i ? ", " : "", decl, type_text(r, graph->outputs.at[i].type));
        text_printf(&left, "%s%s", i ? ", " : "", decl);
    }
    text_printf(&out, " {\n    use said = %s %s\n    %s = said(%s)\n}\n", modifier, model->name,
                text_string(&left), text_string(&args));
    return text_string(&out);
}
