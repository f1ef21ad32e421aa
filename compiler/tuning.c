/* Tuning files, read and written. */
#include "tuning.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "options_force.h"

typedef struct Reading {
    Compilation *c;
    const Source *source;
    uint32_t at;         /* next byte */
    uint32_t begin, end; /* of the last word */
    bool seen_model, seen_target;
} Reading;

/* ---- What a file is for ---- */

static uint64_t hash_of(const char *text) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* Of the equations with their sizes, in one mode, whatever the one that is compiled. */
static const char *model_key(Compilation *c) {
    const Graph *graph = c->graph;
    if (c->options->mode != MODE_INFER)
        graph = sema_graph_in(c->arena, c->program, c->model, MODE_INFER, diags_new(c->arena));
    Text text = text_new(c->arena);
    graph_print(graph, &text);
    return arena_printf(c->arena, "%016" PRIx64, hash_of(text_string(&text)));
}

static const char *target_key(const Compilation *c) {
    return arena_printf(c->arena, "%s %s threads=%d", c->target.target.name,
                        c->options->real == LT_F64 ? "f64" : "f32", c->options->threads);
}

/* ---- Reading ---- */

static bool refuse(Reading *r, const char *message) {
    diag_error(r->c->diags, "E-TUNING", (Span){r->source, r->begin, r->end, NULL}, "%s", message);
    return false;
}

/* The next word of the line; NULL at its end. */
static const char *word(Reading *r) {
    const char *text = r->source->text;
    while (r->at < r->source->length && strchr(" \t\r", text[r->at]) && text[r->at]) r->at++;
    r->begin = r->end = r->at;
    if (r->at >= r->source->length || text[r->at] == '\n' || text[r->at] == '#') return NULL;
    while (r->end < r->source->length && text[r->end] && !strchr(" \t\r\n#", text[r->end]))
        r->end++;
    if (r->end == r->begin) r->end++; /* a NUL is a word of its own */
    r->at = r->end;
    return arena_strndup(r->c->arena, text + r->begin, r->end - r->begin);
}

static bool expect(Reading *r, const char *wanted) {
    const char *found = word(r);
    if (found && strcmp(found, wanted) == 0) return true;
    return refuse(r, arena_printf(r->c->arena,
                                  "this is no tuning file that this rnnc reads: '%s' is "
                                  "expected here",
                                  wanted));
}

static bool read_model(Reading *r) {
    Compilation *c = r->c;
    const char *name = word(r);
    if (!name || strcmp(name, c->model) != 0)
        return refuse(r, arena_printf(c->arena, "the tuning is of model %s, this is model %s",
                                      name ? name : "''", c->model));
    const char *hash = word(r), *own = model_key(c);
    if (hash && strcmp(hash, own) == 0) return r->seen_model = true;
    return refuse(r, arena_printf(c->arena,
                                  "model %s is another one than was tuned: its equations and sizes "
                                  "have the mark %s; run 'rnnc tune' again",
                                  c->model, own));
}

static bool read_target(Reading *r) {
    Compilation *c = r->c;
    Text found = text_new(c->arena);
    uint32_t begin = r->at;
    for (const char *w; (w = word(r)) != NULL;)
        text_printf(&found, "%s%s", found.length ? " " : "", w);
    r->begin = begin + (begin < r->at);
    r->end = r->at;
    const char *own = target_key(c);
    if (strcmp(text_string(&found), own) == 0) return r->seen_target = true;
    return refuse(r, arena_printf(c->arena, "the tuning is for '%s', this compilation is for '%s'",
                                  text_string(&found), own));
}

static bool read_option(Reading *r, const char *text, Options *to, Choices *choices) {
    Compilation *c = r->c;
    const char *why = NULL, *equals = strchr(text, '=');
    const char *name = equals ? arena_strndup(c->arena, text, (size_t)(equals - text)) : text;
    if (equals && strcmp(name, "--disable-pass") == 0) {
        Choice choice = choice_named(equals + 1);
        if (choice == CHOICE_COUNT || choice_decides_bits(choice))
            return refuse(r, "only choices that change no bit can be tuned (see --list-passes)");
        return choices->off[choice] = true;
    }
    bool known = strcmp(name, "--tile") == 0 || strcmp(name, "--layout") == 0 ||
                 strcmp(name, "--unroll-time") == 0 || strcmp(name, "--threads") == 0;
    if (!equals || !known)
        return refuse(r, arena_printf(c->arena, "'%s' is no option of a tuning", text));
    if (!force_option(c->arena, to, name, equals + 1, &why)) return refuse(r, why);
    if (to->chains) return refuse(r, "chains decide bits, which a tuning does not");
    if (to->threads != c->options->threads)
        return refuse(r, arena_printf(c->arena,
                                      "the tuning is for %d threads, this compilation for %d",
                                      to->threads, c->options->threads));
    return true;
}

void made_merge(Made *made, const Force *force, const Choices *choices) {
    Force *to = &made->force;
    if (!to->rows) to->rows = force->rows;
    if (!to->vectors) to->vectors = force->vectors;
    if (!to->unroll) to->unroll = force->unroll;
    if (!to->layout) to->layout = force->layout;
    if (!to->split) to->split = force->split;
    for (int i = 0; i < CHOICE_COUNT; i++)
        made->choices.off[i] = made->choices.off[i] || choices->off[i];
}

static bool read_made(Reading *r, Made *made) {
    Options options = {.threads = r->c->options->threads};
    Choices choices = {.chains = 0};
    if (!r->seen_model || !r->seen_target)
        return refuse(r, "lines 'model' and 'target' come before what was chosen");
    for (const char *w; (w = word(r)) != NULL;)
        if (!read_option(r, w, &options, &choices)) return false;
    made_merge(made, &options.force, &choices);
    return true;
}

static bool read_line(Reading *r) {
    const char *first = word(r);
    if (!first) return true;
    bool good = strcmp(first, "model") == 0    ? read_model(r)
                : strcmp(first, "target") == 0 ? read_target(r)
                : strcmp(first, "infer") == 0  ? read_made(r, &r->c->made[0])
                : strcmp(first, "train") == 0
                    ? read_made(r, &r->c->made[1])
                    : refuse(r, arena_printf(r->c->arena,
                                             "'%s' is none of model, target, infer, train", first));
    return good && (!word(r) || refuse(r, "the line has a word too many"));
}

static void next_line(Reading *r) {
    while (r->at < r->source->length && r->source->text[r->at] != '\n') r->at++;
    if (r->at < r->source->length) r->at++;
}

bool tuning_read(Compilation *c) {
    const char *why = NULL, *path = c->options->tuning;
    if (!path) return true;
    if (c->target_count > 1) {
        diag_error(c->diags, "E-TUNING", (Span){0}, "a tuning is for one processor, not for %d",
                   c->target_count);
        return false;
    }
    const Source *source = input_source(c->arena, path, &why);
    if (!source) {
        diag_error(c->diags, "E-TUNING", (Span){0}, "cannot read %s: %s", path, why);
        return false;
    }
    vec_push(c->arena, &c->files, source->path);
    Reading r = {.c = c, .source = source};
    if (!expect(&r, "rnnc") || !expect(&r, "tuning") || !expect(&r, "1")) return false;
    for (next_line(&r); r.at < source->length; next_line(&r))
        if (!read_line(&r)) return false;
    r.begin = r.end = source->length;
    return (r.seen_model && r.seen_target) ||
           refuse(&r, "the file ends before 'model' and 'target'");
}

/* ---- Writing ---- */

void made_text(const Made *made, int threads, Text *out) {
    static const char *const splits[] = {NULL, "units", "sequences", "none"};
    force_text(&made->force, made->choices.chains, out);
    if (made->force.split) text_printf(out, " --threads=%d:%s", threads, splits[made->force.split]);
    for (int i = 0; i < CHOICE_COUNT; i++)
        if (made->choices.off[i]) text_printf(out, " --disable-pass=%s", choice_name((Choice)i));
}

void tuning_write(Compilation *c, const Made made[2], const char *const notes[2], Text *out) {
    static const char *const words[] = {"infer", "train"};
    text_printf(out, "rnnc tuning 1   # of rnnc %s\nmodel %s %s\ntarget %s\n", RNNC_VERSION,
                c->model, model_key(c), target_key(c));
    for (int m = 0; m < 2; m++) {
        if (!notes[m]) continue;
        text_puts(out, words[m]);
        made_text(&made[m], c->options->threads, out);
        text_printf(out, "   # %s\n", notes[m]);
    }
}
