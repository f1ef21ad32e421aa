/* Files: what each one declares, what it imports, and the values of its sizes and constants. */
#include "grammar/grammar.h"
#include "sema/elab.h"
#include "sema/instance.h"

typedef struct Loading {
    Elab *e;
    SemaLoad load;
    void *user;
} Loading;

/* `folder of from` + `path`, with "." and ".." folded, so that one file has one name. */
static Name resolve(Elab *e, Name from, const char *path) {
    const char *slash = strrchr(from, '/');
    char *whole = path[0] == '/' || slash == NULL
                      ? arena_printf(e->arena, "%s", path)
                      : arena_printf(e->arena, "%.*s/%s", (int)(slash - from), from, path);
    VEC(char *) parts = {0};
    bool rooted = whole[0] == '/';
    for (char *part = whole; part != NULL;) {
        char *end = strchr(part, '/');
        if (end != NULL) *end++ = '\0';
        bool up = strcmp(part, "..") == 0;
        if (up && parts.count > 0 && strcmp(parts.at[parts.count - 1], "..") != 0)
            parts.count--;
        else if (part[0] != '\0' && strcmp(part, ".") != 0)
            vec_push(e->arena, &parts, part);
        part = end;
    }
    Text text = text_new(e->arena);
    for (int i = 0; i < parts.count; i++)
        text_printf(&text, "%s%s", i > 0 || rooted ? "/" : "", parts.at[i]);
    return name_of(e->names, text_string(&text));
}

static bool is_bracket(const Item *item, Name name) {
    for (int i = 0; i < item->params.count; i++)
        if (item->params.at[i].name == name) return true;
    return false;
}

static bool in_expr(const Expr *expr, const Item *item);

static bool in_args(const ArgList *args, const Item *item) {
    for (int i = 0; i < args->count; i++)
        if (in_expr(args->at[i].value, item)) return true;
    return false;
}

/* Whether an expression applies a bracket parameter, which then is a model. */
static bool in_expr(const Expr *expr, const Item *item) {
    if (expr == NULL) return false;
    if (expr->kind == EXPR_CALL && expr->a != NULL && expr->a->kind == EXPR_NAME &&
        is_bracket(item, expr->a->name))
        return true;
    for (int i = 0; i < expr->entries.count; i++)
        if (in_expr(expr->entries.at[i].a, item) || in_expr(expr->entries.at[i].b, item))
            return true;
    return in_expr(expr->a, item) || in_expr(expr->b, item) || in_expr(expr->c, item) ||
           in_args(&expr->args, item);
}

static void scan_body(Model *model, const StmtList *body) {
    for (int i = 0; i < body->count; i++) {
        const Stmt *stmt = body->at[i];
        if (stmt->kind == STMT_PARAM || stmt->kind == STMT_USE) model->params_in = true;
        if (stmt->kind == STMT_USE && stmt->names.count > 0 &&
            is_bracket(model->item, stmt->names.at[stmt->names.count - 1].name))
            model->models_in = true;
        if (in_expr(stmt->value, model->item) || in_expr(stmt->per, model->item))
            model->models_in = true;
        scan_body(model, &stmt->body);
    }
}

/* Names of sizes in the types of the header, other than those in the bracket and constants. */
static void scan_size(Elab *e, Model *model, const Expr *expr) {
    if (expr == NULL) return;
    if (expr->kind == EXPR_NAME && !is_bracket(model->item, expr->name)) {
        const FileBind *bind = map_get(&model->file->binds, expr->name);
        if (bind != NULL && !bind->size) return;
        for (int i = 0; i < model->header.count; i++)
            if (model->header.at[i] == expr->name) return;
        vec_push(e->arena, &model->header, expr->name);
        vec_push(e->arena, &model->header_at, expr->span);
        return;
    }
    if (expr->kind != EXPR_CALL) scan_size(e, model, expr->a);
    scan_size(e, model, expr->b);
    scan_size(e, model, expr->c);
    for (int i = 0; i < expr->args.count; i++) scan_size(e, model, expr->args.at[i].value);
}

static void scan_ports(Elab *e, Model *model, const PortList *ports) {
    for (int i = 0; i < ports->count; i++) {
        const TypeExpr *type = ports->at[i].type;
        if (type == NULL) continue;
        for (int d = 0; d < type->shape.count; d++) scan_size(e, model, type->shape.at[d]);
        if (type->name != NULL && strcmp(type->name, "int") == 0)
            scan_size(e, model, type->argument);
    }
}

static void add_bind(Elab *e, File *file, const Bind *bind, bool size) {
    Ctx c = {.e = e};
    refuse_predefined(&c, bind->name, bind->name_span);
    FileBind *old = map_get(&file->binds, bind->name);
    if (old != NULL) {
        Diag *diag =
            diag_error(e->diags, "E-DUP", bind->name_span, "'%s' is declared twice", bind->name);
        diag_note(e->diags, diag, old->bind->name_span, "first here");
        return;
    }
    FileBind *to = ARENA_NEW(e->arena, FileBind);
    to->bind = bind;
    to->size = size;
    map_put(e->arena, &file->binds, bind->name, to);
}

static void add_model(Elab *e, File *file, const Item *item) {
    Ctx c = {.e = e};
    refuse_predefined(&c, item->name, item->name_span);
    Model *old = map_get(&file->models, item->name);
    if (old != NULL) {
        Diag *diag = diag_error(e->diags, "E-DUP", item->name_span, "model '%s' is declared twice",
                                item->name);
        diag_note(e->diags, diag, old->item->name_span, "first here");
        return;
    }
    Model *model = ARENA_NEW(e->arena, Model);
    model->name = item->name;
    model->file = file;
    model->item = item;
    map_put(e->arena, &file->models, item->name, model);
    if (!file->prelude) vec_push(e->arena, &e->program->models, model);
}

static File *add_file(Loading *l, const Ast *ast, Name path, int depth, bool prelude);

static void import(Loading *l, File *file, const Item *item) {
    Elab *e = l->e;
    Name path = resolve(e, file->path, item->path);
    for (int i = 0; i < e->program->files.count; i++)
        if (e->program->files.at[i]->path == path) {
            vec_push(e->arena, &file->imports, e->program->files.at[i]);
            return;
        }
    if (file->depth >= MAX_IMPORTS) {
        diag_error(e->diags, "E-LIMIT", item->name_span, "imports are more than %d deep",
                   MAX_IMPORTS);
        return;
    }
    const char *why = "there is no reader of files";
    const Source *source = l->load == NULL ? NULL : l->load(l->user, e->arena, path, &why);
    if (source == NULL) {
        diag_error(e->diags, "E-IMPORT", item->name_span, "cannot read '%s': %s",
                   *path ? path : item->path, why);
        return;
    }
    const Ast *ast = grammar_parse(e->arena, e->names, source, e->diags);
    File *other = add_file(l, ast, path, file->depth + 1, false);
    vec_push(e->arena, &file->imports, other);
}

static File *add_file(Loading *l, const Ast *ast, Name path, int depth, bool prelude) {
    Elab *e = l->e;
    File *file = ARENA_NEW(e->arena, File);
    file->ast = ast;
    file->path = path;
    file->depth = depth;
    file->prelude = prelude;
    file->main = depth == 0 && !prelude;
    if (!prelude) vec_push(e->arena, &e->program->files, file);
    for (int i = 0; i < ast->items.count; i++) {
        const Item *item = ast->items.at[i];
        if (item->kind == ITEM_IMPORT && item->path != NULL) import(l, file, item);
        if (item->kind == ITEM_MODEL && item->name != NULL) add_model(e, file, item);
        if (item->kind == ITEM_SIZE || item->kind == ITEM_CONST)
            for (int k = 0; k < item->binds.count; k++)
                add_bind(e, file, &item->binds.at[k], item->kind == ITEM_SIZE);
    }
    for (int i = 0; i < file->models.room; i++) {
        Model *model = file->models.keys[i] == NULL ? NULL : file->models.values[i];
        if (model == NULL) continue;
        scan_ports(e, model, &model->item->inputs);
        scan_ports(e, model, &model->item->outputs);
        scan_body(model, &model->item->body);
    }
    return file;
}

static SemaDefine *find_define(Elab *e, const File *file, Name name) {
    for (int i = e->program->define_count - 1; file->main && i >= 0; i--)
        if (strcmp(e->program->defines[i].name, name) == 0) return &e->program->defines[i];
    return NULL;
}

Num file_number(Elab *e, File *file, FileBind *bind) {
    if (bind->done) return bind->value;
    Ctx c = {.e = e, .file = file};
    const Bind *at = bind->bind;
    bind->value = num_open();
    if (bind->active) {
        sema_error(&c, "E-NAME", at->name_span, "'%s' depends on itself", at->name);
        bind->done = true;
        return bind->value;
    }
    bind->active = true;
    const SemaDefine *define = find_define(e, file, at->name);
    if (define != NULL) {
        bind->value = num_of_define(e, define);
    } else {
        const Value *value = elab(&c, at->value);
        if (!value->type.unknown && value->num.kind == NUM_NONE)
            sema_error(&c, "E-TYPE", at->span, "'%s' is no compile-time value", at->name);
        else if (!value->type.unknown)
            bind->value = value->num;
    }
    int64_t size;
    bool known = bind->value.kind != NUM_OPEN;
    if (bind->size && known && !num_int(&bind->value, &size)) {
        double number = 0;
        if (num_double(&bind->value, &number))
            sema_error(&c, "E-SIZEARG", at->span, "size '%s' is %s", at->name,
                       elab_no_integer(&c, define ? NULL : at->value, number));
        else
            sema_error(&c, "E-SIZEARG", at->span, "size '%s' is no integer", at->name);
        bind->value = num_open();
    } else if (bind->size && known && size < 0) {
        sema_error(&c, "E-SIZEARG", at->span, "size '%s' is %lld when it should be at least 0",
                   at->name, (long long)size);
        bind->value = num_open();
    }
    bind->done = true;
    bind->active = false;
    return bind->value;
}

Num num_of_define(Elab *e, const SemaDefine *define) {
    double value = define->value;
    bool integer = value >= -9007199254740992.0 && value <= 9007199254740992.0 &&
                   (double)(int64_t)value == value;
    return integer ? num_of_int(e->arena, (int64_t)value) : num_of_real(value);
}

static void mark_defines(Elab *e) {
    for (int i = 0; i < e->program->define_count; i++) {
        SemaDefine *define = &e->program->defines[i];
        Name name = name_of(e->names, define->name);
        define->used = map_get(&e->program->main->binds, name) != NULL;
        for (int m = 0; m < e->program->models.count; m++) {
            const Model *model = e->program->models.at[m];
            if (!model->file->main) continue;
            if (is_bracket(model->item, name)) define->used = true;
            for (int k = 0; k < model->header.count; k++)
                if (model->header.at[k] == name) define->used = true;
        }
    }
}

Program *sema_program(Arena *arena, Names *names, const Ast *main, const Ast *prelude,
                      SemaLoad load, void *user, SemaDefine *defines, int define_count,
                      Diags *diags) {
    Program *program = ARENA_NEW(arena, Program);
    *program =
        (Program){.arena = arena, .names = names, .defines = defines, .define_count = define_count};
    Elab e = {.arena = arena, .names = names, .diags = diags, .program = program};
    e.graph = graph_new(arena, names, name_of(names, ""), MODE_INFER);
    Loading loading = {&e, load, user};
    if (prelude != NULL)
        program->prelude = add_file(&loading, prelude, name_of(names, "<prelude>"), 0, true);
    Name path = resolve(&e, "", main->source == NULL ? "" : main->source->path);
    program->main = add_file(&loading, main, path, 0, false);
    mark_defines(&e);
    for (int i = 0; i < program->files.count; i++) {
        const Ast *ast = program->files.at[i]->ast;
        for (int k = 0; k < ast->items.count; k++)
            for (int b = 0; b < ast->items.at[k]->binds.count; b++) {
                FileBind *bind =
                    map_get(&program->files.at[i]->binds, ast->items.at[k]->binds.at[b].name);
                if (bind != NULL) file_number(&e, program->files.at[i], bind);
            }
    }
    check_recursion(&e, program);
    if (program->recursive) return program;
    int syntax = diags->errors;
    for (int i = 0; i < program->models.count; i++) {
        int errors = diags->errors;
        check_model(&e, program->models.at[i]);
        /* What an error left unread is not worth a warning. */
        if (syntax == 0 && errors == diags->errors) check_unused(&e, program->models.at[i]);
    }
    return program;
}

/* E-NAME: `model` is none of the main file; one of another file is reached by `use`. */
static void no_model(const Program *program, const char *model, const char *near, Span at,
                     Diags *diags) {
    Name name = name_of(program->names, model);
    for (int i = 0; i <= program->main->imports.count; i++) {
        const File *file =
            i < program->main->imports.count ? program->main->imports.at[i] : program->prelude;
        const Model *other = file == NULL ? NULL : map_get(&file->models, name);
        if (other == NULL) continue;
        Diag *diag = diag_error(diags, "E-NAME", at,
                                "the file has no model '%s' of its own; write one that has "
                                "'use f = %s%s', and name that one",
                                model, model, other->item->params.count > 0 ? "[…]" : "");
        diag_note(diags, diag, other->item->name_span, "'%s' is here", model);
        return;
    }
    diag_error(diags, "E-NAME", at, "the file has no model '%s'%s%s%s", model,
               near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

const char *sema_model(const Program *program, const char *model, Diags *diags) {
    const Model *last = NULL;
    VEC(const char *) names = {0};
    for (int i = 0; i < program->models.count; i++) {
        const Model *at = program->models.at[i];
        if (!at->file->main) continue;
        last = at;
        vec_push(program->arena, &names, at->name);
        if (model != NULL && strcmp(at->name, model) == 0) return at->name;
    }
    Span none = {.source = program->main->ast->source};
    if (model == NULL && last != NULL) return last->name;
    if (model == NULL) {
        diag_error(diags, "E-NAME", none, "the file has no model");
        return NULL;
    }
    no_model(program, model, name_nearest(model, names.at, names.count), none, diags);
    return NULL;
}

Span sema_model_span(const Program *program, const char *model) {
    const Model *found = map_get(&program->main->models, name_of(program->names, model));
    return found ? found->item->name_span : (Span){0};
}
