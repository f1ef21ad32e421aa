/* A failing program made small by machine: statements dropped, expressions replaced by their own
 * parts or by a constant, numbers lowered, ports dropped, as long as the same kind of fault stays.
 * Each candidate runs in a process of its own, which may crash or hang. */
#define _DEFAULT_SOURCE

#include "check.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "grammar/grammar.h"

enum { CHECK_SECONDS = 60 };

/* One way to change the text: bytes [begin, end) become `with`. */
typedef struct Cut {
    uint32_t begin, end;
    const char *with;
} Cut;

typedef VEC(Cut) CutList;

typedef struct Shrink {
    Arena *arena;
    const Source *source;
    CutList cuts;
} Shrink;

bool check_apart(const RandomProgram *program, uint64_t seed, const CheckOptions *options,
                 Tally *tally) {
    int status;
    Tally *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        jmp_buf oom;
        if (setjmp(oom)) _exit(3);
        Arena *arena = arena_new(&oom);
        alarm(CHECK_SECONDS);
        check_program(arena, program, seed, options, shared);
        _exit(0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0) {
    }
    *tally = *shared;
    munmap(shared, sizeof *shared);
    if (child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    tally->fault_count = 1;
    tally->faults[0] = (Fault){.kind = FAULT_CRASH, .seed = seed, .column = -1};
    return true;
}

/* ---- candidates ---- */

static void cut(Shrink *s, Span span, const char *with) {
    if (span.source && span.end > span.begin)
        vec_push(s->arena, &s->cuts, (Cut){span.begin, span.end, with});
}

static const char *spelt(Shrink *s, Span span) {
    return arena_strndup(s->arena, s->source->text + span.begin, span.end - span.begin);
}

static void expressions(Shrink *s, const Expr *e);

/* `e` may become its part. */
static void part(Shrink *s, const Expr *e, const Expr *inner) {
    if (!inner) return;
    cut(s, e->span, arena_printf(s->arena, "(%s)", spelt(s, inner->span)));
    expressions(s, inner);
}

static void expressions(Shrink *s, const Expr *e) {
    if (!e) return;
    if (e->parens && e->span.begin && s->source->text[e->span.begin - 1] == '(' &&
        s->source->text[e->span.end] == ')')
        cut(s, (Span){e->span.source, e->span.begin - 1, e->span.end + 1, NULL}, spelt(s, e->span));
    switch (e->kind) {
    case EXPR_NUMBER:
        if (e->integer && e->number > 1) {
            cut(s, e->span, "1");
            cut(s, e->span, arena_printf(s->arena, "%.0f", e->number - 1));
        }
        return;
    case EXPR_NAME:
    case EXPR_ERROR: return;
    case EXPR_UNARY: part(s, e, e->a); return;
    case EXPR_BINARY:
        part(s, e, e->a);
        part(s, e, e->b);
        break;
    case EXPR_IF:
        part(s, e, e->a);
        part(s, e, e->b);
        part(s, e, e->c);
        break;
    case EXPR_INDEX:
        for (int i = 0; i < e->entries.count; i++) {
            expressions(s, e->entries.at[i].a);
            expressions(s, e->entries.at[i].b);
        }
        part(s, e, e->a);
        break;
    case EXPR_CALL:
        for (int i = 0; i < e->args.count; i++) part(s, e, e->args.at[i].value);
        expressions(s, e->a);
        break;
    case EXPR_FIELD: part(s, e, e->a); return;
    }
    cut(s, e->span, "0.5");
    cut(s, e->span, "1");
}

static void statements(Shrink *s, const StmtList *list) {
    for (int i = 0; i < list->count; i++) cut(s, list->at[i]->span, "");
    for (int i = 0; i < list->count; i++) statements(s, &list->at[i]->body);
}

static void inside(Shrink *s, const StmtList *list) {
    for (int i = 0; i < list->count; i++) {
        const Stmt *stmt = list->at[i];
        if (stmt->every) cut(s, stmt->every->span, "1");
        expressions(s, stmt->value);
        expressions(s, stmt->low);
        expressions(s, stmt->high);
        if (stmt->type)
            for (int d = 0; d < stmt->type->shape.count; d++)
                expressions(s, stmt->type->shape.at[d]);
        inside(s, &stmt->body);
    }
}

/* A port with the comma beside it. */
static void ports(Shrink *s, const PortList *list) {
    for (int i = 0; i < list->count && list->count > 1; i++) {
        Span span = list->at[i].span;
        if (i)
            span.begin = list->at[i - 1].span.end;
        else
            span.end = list->at[1].span.begin;
        cut(s, span, "");
    }
}

/* A size in all its places: dimensions have to agree. */
static const char *resized(Shrink *s, int from, int to) {
    Text out = text_new(s->arena);
    const char *old = arena_printf(s->arena, "%d", from);
    size_t length = strlen(old);
    for (const char *at = s->source->text; *at;) {
        bool whole = strncmp(at, old, length) == 0 && !strchr("0123456789.", at[length]) &&
                     (at == s->source->text || strchr(" [,(:", at[-1]));
        if (!whole) {
            text_write(&out, at++, 1);
            continue;
        }
        text_printf(&out, "%d", to);
        at += length;
    }
    return text_string(&out);
}

static const char *applied(Shrink *s, Cut c) {
    Text out = text_new(s->arena);
    text_write(&out, s->source->text, c.begin);
    text_puts(&out, c.with);
    text_puts(&out, s->source->text + c.end);
    return text_string(&out);
}

static bool parse(Shrink *s, const char *text) {
    Source *source = ARENA_NEW(s->arena, Source);
    Diags *diags = diags_new(s->arena);
    *source = (Source){"<program>", text, (uint32_t)strlen(text)};
    s->source = source;
    s->cuts = (CutList){0};
    const Ast *ast = grammar_parse(s->arena, names_new(s->arena), source, diags);
    if (diags->errors) return false;
    for (int i = 0; i + 1 < ast->items.count; i++) cut(s, ast->items.at[i]->span, "");
    for (int i = ast->items.count - 1; i >= 0; i--) {
        const Item *item = ast->items.at[i];
        ports(s, &item->outputs);
        statements(s, &item->body);
        ports(s, &item->inputs);
    }
    for (int i = ast->items.count - 1; i >= 0; i--) inside(s, &ast->items.at[i]->body);
    return true;
}

/* Without empty lines, which dropped statements leave. */
static const char *tidy(Arena *arena, const char *text) {
    Text out = text_new(arena);
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (strspn(text, " ") < length) text_write(&out, text, length), text_puts(&out, "\n");
        text += length + (text[length] == '\n');
    }
    return text_string(&out);
}

/* ---- the search ---- */

/* The beginning of the words, up to the first number: what kind of fault it is. */
static bool alike(const Fault *a, const Fault *b) {
    if (a->kind != b->kind || a->column != b->column) return false;
    if (a->kind != FAULT_INTERNAL && a->kind != FAULT_REFUSED) return true;
    const char *x = strrchr(a->words, ':'), *y = strrchr(b->words, ':');
    return x && y && strncmp(x, y, 12) == 0;
}

static bool still(const char *text, RandomProgram program, const Fault *fault) {
    Tally tally;
    CheckOptions options = {.all = true, .no_columns = fault->column < 0};
    if (fault->column >= 0) options.only = 1u << fault->column;
    if (fault->kind == FAULT_CRASH) options.no_columns = false;
    program.text = text;
    return check_apart(&program, fault->seed, &options, &tally) && tally.fault_count &&
           alike(&tally.faults[0], fault);
}

RandomProgram shrink(Arena *arena, RandomProgram program, const Fault *fault, int seconds) {
    Shrink s = {.arena = arena};
    time_t end = time(NULL) + seconds;
    bool smaller = true;
    while (smaller && time(NULL) < end) {
        smaller = false;
        for (int i = 0; parse(&s, program.text) && i < s.cuts.count && time(NULL) < end; i++) {
            const char *text = applied(&s, s.cuts.at[i]);
            if (strlen(text) >= strlen(program.text) || !still(text, program, fault)) continue;
            program.text = text;
            smaller = true;
            i--; /* the next one stands in its place */
        }
        static const int sizes[] = {70, 40, 33, 31, 9, 8, 3, 2};
        for (int i = 0; i < 8 && parse(&s, program.text) && time(NULL) < end; i++)
            for (int to = 1; to < 4; to++) {
                const char *text = resized(&s, sizes[i], to);
                if (to >= sizes[i] || strcmp(text, program.text) == 0 ||
                    !still(text, program, fault))
                    continue;
                program.text = text;
                smaller = true;
                break;
            }
    }
    program.text = tidy(arena, program.text);
    return program;
}
