/* Interpretation before and after a pass, and texts that are read back. */
#include "verify_each.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { TRIES = 4, CHUNKS = 2 };

struct VerifyEach {
    Arena *arena;
    Text *notes;
    VerifyCase cases[VERIFY_CASES];
    bool used[VERIFY_CASES];
    const Graph *last;                           /* whose results these are */
    InterpResult *results[VERIFY_CASES][CHUNKS]; /* the second chunk only with carried state */
};

static void note(VerifyEach *v, int which, const char *why) {
    if (v->notes)
        text_printf(v->notes, "rnnc: note: --verify-each leaves out case %d: %s\n", which, why);
}

/* ---- Runs ---- */

/* Lengths are checked on the first graph, as it was written. */
static void run_case(VerifyEach *v, const Graph *graph, int which, double roundoff,
                     InterpResult *results[CHUNKS]) {
    InterpCall call = v->cases[which].call;
    call.roundoff = roundoff;
    call.derived = v->last != NULL;
    results[0] = interpret(v->arena, graph, &call);
    results[1] = NULL;
    if (results[0]->status != INTERP_OK || !v->cases[which].carries) return;
    call.state = results[0]->state;
    call.state_count = results[0]->state_count;
    results[1] = interpret(v->arena, graph, &call);
}

/* A status that another draw may not give. */
static bool refused(InterpStatus status) {
    return status == INTERP_VALUE || status == INTERP_PER || status == INTERP_LENGTH;
}

static bool draw_case(VerifyEach *v, const Graph *graph, int which) {
    for (int try = 0; try < TRIES; try++) {
        uint64_t seed = (uint64_t)(which + 1) * 1000 + (uint64_t)try;
        v->cases[which] = verify_draw(v->arena, graph, which, seed);
        if (v->cases[which].large) {
            note(v, which, "the model is too large");
            return false;
        }
        run_case(v, graph, which, 0, v->results[which]);
        InterpResult *result = v->results[which][0];
        if (result->status == INTERP_OK && v->results[which][1]) result = v->results[which][1];
        if (result->status == INTERP_LENGTH && which == 0) return false; /* no empty sequences */
        if (!refused(result->status)) {
            if (result->status != INTERP_MEMORY) return true;
            note(v, which, result->message);
            return false;
        }
        if (try + 1 == TRIES) note(v, which, result->message);
    }
    return false;
}

VerifyEach *verify_each_new(Arena *arena, const Graph *graph, Text *notes) {
    VerifyEach *v = ARENA_NEW(arena, VerifyEach);
    v->arena = arena;
    v->notes = notes;
    for (int i = 0; i < VERIFY_CASES; i++) v->used[i] = draw_case(v, graph, i);
    v->last = graph;
    return v;
}

/* ---- Comparison ---- */

/* Names the element: `h[t=3, u=0], sequence 1, element 7`. */
static const char *spell(VerifyEach *v, const Graph *graph, const GraphPort *port,
                         const InterpResult *result, int64_t batch, int64_t e) {
    int64_t count = shape_count(port->type.shape), at[MAX_DOMAIN] = {0};
    int64_t element = e % count, b = e / count % batch, p = e / count / batch;
    Text text = text_new(v->arena);
    for (int k = port->index_count; k-- > 0;) {
        int64_t longest = 1;
        for (int64_t s = 0; s < batch; s++) {
            int64_t n = result->lengths[graph->indices.at[port->indices[k]].axis][s];
            if (n > longest) longest = n;
        }
        at[k] = p % longest;
        p /= longest;
    }
    text_puts(&text, port->name);
    for (int k = 0; k < port->index_count; k++)
        text_printf(&text, "%s%s=%" PRId64 "%s", k ? ", " : "[",
                    graph->indices.at[port->indices[k]].name, at[k],
                    k + 1 == port->index_count ? "]" : "");
    text_printf(&text, ", sequence %" PRId64 ", element %" PRId64, b, element);
    return text_string(&text);
}

static bool alike(double a, double b, double bound) {
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= bound || isinf(bound);
}

static int64_t output_count(const Graph *graph, const GraphPort *port, const InterpResult *result,
                            int64_t batch) {
    int64_t count = shape_count(port->type.shape) * (port->shared ? 1 : batch);
    for (int k = 0; k < port->index_count; k++) {
        int64_t longest = 0;
        for (int64_t s = 0; s < batch; s++) {
            int64_t n = result->lengths[graph->indices.at[port->indices[k]].axis][s];
            if (n > longest) longest = n;
        }
        count *= longest;
    }
    return count;
}

static bool changed(Diags *diags, const char *pass, const char *what, double is, double was) {
    diag_error(diags, "internal", (Span){0}, "pass %s changed %s: %.17g when it was %.17g", pass,
               what, is, was);
    return false;
}

static bool same_outputs(VerifyEach *v, const char *pass, const Graph *graph, int64_t batch,
                         const InterpResult *was, const InterpResult *is, Diags *diags) {
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        int64_t count = output_count(graph, port, was, batch);
        for (int64_t e = 0; e < count; e++) {
            double a = is->outputs[o][e], b = was->outputs[o][e];
            if (alike(a, b, was->bounds ? was->bounds[o][e] : 0)) continue;
            const char *where = spell(v, graph, port, was, batch, e);
            return changed(diags, pass, arena_printf(v->arena, "output %s", where), a, b);
        }
    }
    return true;
}

static bool same_states(VerifyEach *v, const char *pass, int64_t batch, const InterpResult *was,
                        const InterpResult *is, Diags *diags) {
    if (was->state_count != is->state_count) {
        diag_error(diags, "internal", (Span){0},
                   "pass %s changed the state: %d variables when there were %d", pass,
                   is->state_count, was->state_count);
        return false;
    }
    for (int i = 0; i < was->state_count; i++) {
        const InterpState *a = NULL, *b = &was->state[i];
        for (int k = 0; k < is->state_count; k++)
            if (strcmp(is->state[k].name, b->name) == 0) a = &is->state[k];
        if (!a || a->lags != b->lags || a->count != b->count) {
            diag_error(diags, "internal", (Span){0}, "pass %s changed the state %s", pass, b->name);
            return false;
        }
        for (int64_t e = 0; e < b->lags * batch * b->count; e++)
            if (!alike(a->values[e], b->values[e], b->bounds ? b->bounds[e] : 0))
                return changed(diags, pass,
                               arena_printf(v->arena, "state %s, element %" PRId64, b->name, e),
                               a->values[e], b->values[e]);
    }
    return true;
}

static bool same_result(VerifyEach *v, const char *pass, const Graph *graph, int64_t batch,
                        const InterpResult *was, const InterpResult *is, Diags *diags) {
    if (is->status != INTERP_OK) {
        diag_error(diags, "internal", is->span, "after pass %s: %s", pass, is->message);
        return false;
    }
    for (int a = 0; a < graph->axes.count; a++)
        for (int64_t b = 0; b < batch; b++)
            if (graph->axes.at[a].generated && was->lengths[a][b] != is->lengths[a][b])
                return changed(diags, pass,
                               arena_printf(v->arena, "length of %s, sequence %" PRId64,
                                            graph->axes.at[a].name, b),
                               (double)is->lengths[a][b], (double)was->lengths[a][b]);
    if (!same_outputs(v, pass, graph, batch, was, is, diags)) return false;
    if (!alike(is->loss, was->loss, was->bounds ? was->loss_bound : 0))
        return changed(diags, pass, "the loss", is->loss, was->loss);
    return same_states(v, pass, batch, was, is, diags);
}

/* Of a case that finds no memory nothing is known: it is left out from here on. */
static bool no_memory(VerifyEach *v, int which, InterpResult *const results[CHUNKS]) {
    for (int c = 0; c < CHUNKS && results[c]; c++)
        if (results[c]->status == INTERP_MEMORY) {
            note(v, which, results[c]->message);
            v->used[which] = false;
            return true;
        }
    return false;
}

bool verify_each_pass(VerifyEach *v, const char *pass, bool rounds, const Graph *before,
                      const Graph *after, Diags *diags) {
    for (int i = 0; i < VERIFY_CASES; i++) {
        InterpResult *was[CHUNKS], *is[CHUNKS];
        if (!v->used[i]) continue;
        memcpy(was, v->results[i], sizeof was);
        if (rounds || v->last != before)
            run_case(v, before, i, rounds ? INTERP_ROUNDOFF_F64 : 0, was);
        run_case(v, after, i, 0, is);
        if (no_memory(v, i, was) || no_memory(v, i, is)) continue;
        for (int c = 0; c < CHUNKS && was[c]; c++) {
            if (was[c]->status != INTERP_OK) {
                diag_error(diags, "internal", was[c]->span, "before pass %s: %s", pass,
                           was[c]->message);
                return false;
            }
            /* After another way was taken, the chunks that follow have another state. */
            if (was[c]->fragile) {
                note(v, i, arena_printf(v->arena, "pass %s: %s", pass, was[c]->fragile_message));
                break;
            }
            if (!same_result(v, pass, before, v->cases[i].call.batch, was[c], is[c], diags))
                return false;
        }
        memcpy(v->results[i], is, sizeof is);
    }
    v->last = after;
    return true;
}

/* ---- Texts ---- */

bool verify_same_text(Arena *arena, const char *what, const Text *text, const Text *again,
                      Diags *diags) {
    size_t line = 1, begin = 0, i = 0;
    if (text->length == again->length && memcmp(text->at, again->at, text->length) == 0)
        return true;
    for (; i < text->length && i < again->length && text->at[i] == again->at[i]; i++)
        if (text->at[i] == '\n') {
            line++;
            begin = i + 1;
        }
    size_t end = i;
    while (end < text->length && text->at[end] != '\n') end++;
    diag_error(diags, "internal", (Span){0},
               "the text of the %s, read back and printed again, differs in line %zu: %s", what,
               line, arena_strndup(arena, text->at + begin, end - begin));
    return false;
}

static Source *source_of(Arena *arena, const char *what, const Text *text) {
    Source *source = ARENA_NEW(arena, Source);
    *source = (Source){what, arena_strndup(arena, text->at, text->length), (uint32_t)text->length};
    return source;
}

/* What its own parser refuses. */
static bool unread(Arena *arena, const char *what, const Diags *from, Diags *diags) {
    Text words = text_new(arena);
    diags_render(from, false, &words);
    diag_error(diags, "internal", (Span){0}, "the text of the %s is not read back: %s", what,
               text_string(&words));
    return false;
}

bool verify_graph_text(Arena *arena, const Graph *graph, const char *where, Diags *diags) {
    const char *what = arena_printf(arena, "graph after %s", where);
    Text text = text_new(arena), again = text_new(arena);
    Diags *own = diags_new(arena);
    graph_print(graph, &text);
    Graph *read = graph_parse(arena, names_new(arena), source_of(arena, what, &text), own);
    if (!read || own->errors) return unread(arena, what, own, diags);
    graph_print(read, &again);
    return verify_same_text(arena, what, &text, &again, diags);
}

bool verify_schedule_text(Arena *arena, const Schedule *schedule, Diags *diags) {
    Text text = text_new(arena), again = text_new(arena);
    Diags *own = diags_new(arena);
    schedule_print(schedule, &text);
    Schedule *read =
        schedule_parse(arena, schedule->graph, source_of(arena, "schedule", &text), own);
    if (!read || own->errors) return unread(arena, "schedule", own, diags);
    schedule_print(read, &again);
    return verify_same_text(arena, "schedule", &text, &again, diags);
}

bool verify_loop_text(Arena *arena, Names *names, const LoopModule *module, const char *where,
                      Diags *diags) {
    const char *what = arena_printf(arena, "loop module after %s", where);
    Text text = text_new(arena), again = text_new(arena);
    Diags *own = diags_new(arena);
    loop_print(module, &text);
    LoopModule *read = loop_parse(arena, names, source_of(arena, what, &text), own);
    if (!read || own->errors) return unread(arena, what, own, diags);
    loop_print(read, &again);
    return verify_same_text(arena, what, &text, &again, diags);
}
