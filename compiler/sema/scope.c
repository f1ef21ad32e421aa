/* Names: maps, what a name means where, and errors that say through which instances they came. */
#include <stdarg.h>
#include <stdio.h>

#include "sema/elab.h"

static size_t slot_of(const Map *map, Name key) {
    size_t mask = (size_t)map->room - 1;
    size_t at = ((uintptr_t)key >> 4) * (size_t)0x9E3779B1u & mask;
    while (map->keys[at] != NULL && map->keys[at] != key) at = (at + 1) & mask;
    return at;
}

void *map_get(const Map *map, Name key) {
    if (map->count == 0 || key == NULL) return NULL;
    return map->values[slot_of(map, key)];
}

void map_put(Arena *arena, Map *map, Name key, void *value) {
    if (map->count * 2 >= map->room) {
        Map old = *map;
        map->room = old.room == 0 ? 16 : old.room * 2;
        map->keys = ARENA_ARRAY(arena, map->room, Name);
        map->values = ARENA_ARRAY(arena, map->room, void *);
        for (int i = 0; i < old.room; i++)
            if (old.keys[i] != NULL) {
                size_t at = slot_of(map, old.keys[i]);
                map->keys[at] = old.keys[i];
                map->values[at] = old.values[i];
            }
    }
    size_t at = slot_of(map, key);
    if (map->keys[at] == NULL) map->count++;
    map->keys[at] = key;
    map->values[at] = value;
}

Diag *sema_error(const Ctx *c, const char *code, Span span, const char *format, ...) {
    char message[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    Diag *diag = diag_error(c->e->diags, code, span, "%s", message);
    int most = 4;
    for (const Body *body = c->body; c->e->emit && body != NULL && body->up != NULL && most-- > 0;
         body = body->up)
        diag_note(c->e->diags, diag, body->span, "in '%.60s%s', an application of model %s",
                  body->path, strlen(body->path) > 60 ? "…" : "", body->inst->model->name);
    return diag;
}

void sema_note(const Ctx *c, Diag *diag, Span span, const char *format, ...) {
    char message[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    diag_note(c->e->diags, diag, span, "%s", message);
}

const char *counted(const Ctx *c, int count, const char *one, const char *many) {
    return arena_printf(c->e->arena, "%d %s", count, count == 1 ? one : many);
}

Name sema_name(const Ctx *c, const char *text) {
    return name_of(c->e->names, text);
}

Name sema_join(const Ctx *c, Name path, Name key) {
    if (path[0] == '\0') return key;
    return name_of(c->e->names, arena_printf(c->e->arena, "%s.%s", path, key));
}

Bound1 *inst_size(const Inst *inst, Name name) {
    for (int i = 0; inst != NULL && i < inst->sizes.count; i++)
        if (inst->sizes.at[i].name == name) return &inst->sizes.at[i];
    return NULL;
}

Base *find_base(const Ctx *c, Name name) {
    return c->body == NULL ? NULL : map_get(&c->body->bases, name);
}

IndexName *find_index(const Ctx *c, Name name) {
    return c->body == NULL ? NULL : map_get(&c->body->indices, name);
}

static bool mode_number(const Ctx *c, Name name, Num *num) {
    bool training = strcmp(name, "training") == 0;
    if (!training && strcmp(name, "generating") != 0) return false;
    Mode mode = c->e->graph->mode;
    *num = c->e->emit ? num_of_bool(mode == (training ? MODE_TRAIN : MODE_INFER)) : num_open();
    num->mode = true;
    return true;
}

bool find_number(const Ctx *c, Name name, Num *num) {
    for (const Env *env = c->env; env != NULL; env = env->up)
        if (env->name == name) {
            *num = env->num;
            return true;
        }
    const Base *base = find_base(c, name);
    if (base != NULL && base->kind != BASE_SIZE && base->kind != BASE_LOOP) return false;
    const Bound1 *size = inst_size(c->inst, name);
    if (size != NULL) {
        if (size->model != NULL) return false;
        *num = size->bound ? size->num : num_open();
        return true;
    }
    FileBind *bind = c->file == NULL ? NULL : map_get(&c->file->binds, name);
    if (bind != NULL) {
        *num = file_number(c->e, c->file, bind);
        return true;
    }
    if (strcmp(name, "inf") == 0) {
        *num = num_of_real(1.0 / 0.0);
        return true;
    }
    return c->body != NULL && mode_number(c, name, num);
}

const Model *find_model(const Ctx *c, Name name, Span span) {
    const Bound1 *size = inst_size(c->inst, name);
    if (size != NULL && size->model != NULL) return size->model;
    const Model *own = map_get(&c->file->models, name);
    if (own != NULL) return own;
    const Model *found = NULL;
    for (int i = 0; i < c->file->imports.count; i++) {
        const Model *other = map_get(&c->file->imports.at[i]->models, name);
        if (other != NULL && found != NULL && other != found) {
            Diag *diag = sema_error(c, "E-DUP", span, "model '%s' comes from two imports", name);
            sema_note(c, diag, found->item->name_span, "one is here");
            sema_note(c, diag, other->item->name_span, "the other here");
            return found;
        }
        if (other != NULL) found = other;
    }
    const File *prelude = c->e->program->prelude;
    if (found == NULL && prelude != NULL) found = map_get(&prelude->models, name);
    return found;
}

static void add_keys(Arena *arena, const Map *map, const char **to, int *count) {
    (void)arena;
    for (int i = 0; i < map->room; i++)
        if (map->keys[i] != NULL) to[(*count)++] = map->keys[i];
}

/* The functions, then the other names that are always there. */
static const char *const known[] = {
    "sigmoid",    "tanh",     "relu",         "leaky_relu",  "elu",       "gelu",   "silu",
    "softplus",   "softsign", "hard_sigmoid", "hard_tanh",   "exp",       "log",    "sqrt",
    "rsqrt",      "abs",      "sign",         "floor",       "erf",       "sin",    "cos",
    "square",     "min",      "max",          "clip",        "logaddexp", "detach", "float",
    "sum",        "mean",     "softmax",      "log_softmax", "logsumexp", "argmax", "layernorm",
    "concat",     "reshape",  "conv",         "maxpool",     "avgpool",   "dot",    "outer",
    "col",        "row",      "xent",         "nll",         "mse",       "bce",    "ctc",
    "zeros",      "ones",     "iota",         "onehot",      "dropout",   "len",    "training",
    "generating", "first",    "last"};

bool is_function(Name name) {
    for (size_t i = 0; i + 4 < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) == 0) return true;
    return false;
}

static char small(char letter) {
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

/* `lstm` and `LSTM`; of one letter `h` and `H` are two names, not a slip. */
static bool same_letters(const char *a, const char *b) {
    size_t i = 0;
    while (a[i] != '\0' && small(a[i]) == small(b[i])) i++;
    return i > 1 && a[i] == b[i];
}

void name_error(const Ctx *c, Name name, Span span) {
    int room = (int)(sizeof known / sizeof *known) + 8;
    const Map *maps[6] = {0};
    int used = 0;
    if (c->body != NULL) maps[used++] = &c->body->bases;
    if (c->file != NULL) {
        maps[used++] = &c->file->binds;
        maps[used++] = &c->file->models;
    }
    if (c->e->program->prelude != NULL) maps[used++] = &c->e->program->prelude->models;
    for (int i = 0; i < used; i++) room += maps[i]->room;
    const char **names = ARENA_ARRAY(c->e->arena, room, const char *);
    int count = 0;
    for (int i = 0; i < used; i++) add_keys(c->e->arena, maps[i], names, &count);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], name) != 0) names[count++] = known[i]; /* not where it would stand */
    const char *near = NULL;
    for (int i = 0; i < count; i++) /* another case is nearer than any edit */
        if (same_letters(names[i], name) && (near == NULL || strcmp(names[i], near) < 0))
            near = names[i];
    if (near == NULL) near = name_nearest(name, names, count);
    if (near != NULL)
        sema_error(c, "E-NAME", span, "nothing is called '%s'; did you mean '%s'?", name, near);
    else
        sema_error(c, "E-NAME", span, "nothing is called '%s'", name);
}

static const char *base_kind(BaseKind kind) {
    switch (kind) {
    case BASE_VAR: return "a variable";
    case BASE_PARAM: return "a parameter";
    case BASE_USE: return "an instance";
    case BASE_INDEX: return "a time index";
    case BASE_LOOP: return "a loop variable";
    case BASE_SIZE: return "a size";
    case BASE_REFUSED: break;
    }
    return "a name";
}

void refuse_predefined(const Ctx *c, Name name, Span span) {
    static const char *const predefined[] = {"int",        "bool",  "past",   "pos",
                                             "reverse",    "carry", "frozen", "training",
                                             "generating", "first", "last",   "inf"};
    for (size_t i = 0; name != NULL && i < sizeof predefined / sizeof *predefined; i++)
        if (strcmp(name, predefined[i]) == 0)
            sema_error(c, "E-DUP", span, "'%s' is predefined and cannot be declared", name);
}

bool add_base(const Ctx *c, Name name, BaseKind kind, Span span, int entries) {
    /* Declared all the same, so that its uses give no errors of their own. */
    refuse_predefined(c, name, span);
    Base *old = map_get(&c->body->bases, name);
    if (old == NULL) {
        Base *base = ARENA_NEW(c->e->arena, Base);
        *base = (Base){.name = name, .kind = kind, .span = span, .entries = entries};
        map_put(c->e->arena, &c->body->bases, name, base);
        return true;
    }
    if (old->kind == BASE_REFUSED) return false;
    if (old->kind != kind) {
        Diag *diag = sema_error(c, "E-DUP", span, "'%s' is %s here and %s elsewhere", name,
                                base_kind(kind), base_kind(old->kind));
        sema_note(c, diag, old->span, "'%s' is declared here", name);
        return false;
    }
    if (old->entries != entries) {
        Diag *diag = sema_error(c, "E-INDEX", span, "'%s' has %s here and %d elsewhere", name,
                                counted(c, entries, "index", "indices"), old->entries);
        sema_note(c, diag, old->span, "'%s' is declared here", name);
        return false;
    }
    return true;
}

void refuse_base(const Ctx *c, Name name, Span span) {
    if (map_get(&c->body->bases, name) == NULL) add_base(c, name, BASE_REFUSED, span, 0);
}

Name member_key(const Ctx *c, Name name, const ExprList *entries, int count, bool *open) {
    Text text = text_new(c->e->arena);
    text_puts(&text, name);
    bool right = true;
    for (int i = 0; i < count; i++) {
        const Poly *entry = elab_size(c, entries->at[i], "a family index");
        text_puts(&text, ".");
        int64_t value;
        if (entry == NULL)
            right = false;
        else if (!poly_value(entry, &value))
            *open = true;
        poly_print(entry, &text);
    }
    return right ? name_of(c->e->names, text_string(&text)) : NULL;
}

Span find_name_in(const Expr *expr, Name name, Span otherwise) {
    if (expr == NULL) return otherwise;
    if (expr->kind == EXPR_NAME) return expr->name == name ? expr->span : otherwise;
    Span found = find_name_in(expr->a, name, otherwise);
    if (found.begin == otherwise.begin && found.end == otherwise.end)
        found = find_name_in(expr->b, name, otherwise);
    if (found.begin == otherwise.begin && found.end == otherwise.end)
        found = find_name_in(expr->c, name, otherwise);
    for (int i = 0; i < expr->entries.count; i++) {
        if (found.begin != otherwise.begin || found.end != otherwise.end) return found;
        found = find_name_in(expr->entries.at[i].a, name, otherwise);
        if (found.begin == otherwise.begin && found.end == otherwise.end)
            found = find_name_in(expr->entries.at[i].b, name, otherwise);
    }
    for (int i = 0; i < expr->args.count; i++) {
        if (found.begin != otherwise.begin || found.end != otherwise.end) return found;
        found = find_name_in(expr->args.at[i].value, name, otherwise);
    }
    return found;
}

bool frame_enter(const Ctx *c, Span span) {
    if (c->e->depth < MAX_FRAMES) {
        c->e->depth++;
        return true;
    }
    sema_error(c, "E-LIMIT", span,
               "more than %d expressions and equations wait for each other; declare the shape of "
               "this variable to break the chain",
               MAX_FRAMES);
    return false;
}

void frame_leave(const Ctx *c) {
    c->e->depth--;
}

void refuse_carry(const Ctx *c, Span span, const char *what) {
    if (c->body != NULL && c->body->carry)
        sema_error(c, "E-CARRY", span, "%s where the state is carried from chunk to chunk", what);
}
