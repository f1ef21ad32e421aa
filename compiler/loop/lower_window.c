/* What a step reads of the past: reductions as running ones and as windows, and for every use the
 * positions that it reaches, counted from the current one.
 *
 * A value over one index is computed at the current position, whatever the index is called. One
 * over two indices (t, s) is there for the current t and for the s of a window, which follows from
 * the reductions over s that read it. */
#include "loop/lower_internal.h"

bool lower_over_time(const Value *value) {
    return value->kind == VALUE_ROW && (value->op == OP_TSUM || value->op == OP_TMAX ||
                                        value->op == OP_TARGMAX || value->op == OP_TCONCAT);
}

static Reduction none(const char *why) {
    return (Reduction){.kind = REDUCTION_NONE, .why = why};
}

static Reduction reduction_as_written(const Value *value) {
    const Attr *attr = value->attr;
    bool now = value->domain_count == 1; /* else its value is that of the sequence so far */
    Reduction r = {.kind = REDUCTION_RUNNING, .high = 1, .to = INT64_MAX};
    if (!lower_over_time(value)) return none(NULL);
    if (value->op == OP_TCONCAT) return none("joins all positions");
    if (value->op == OP_TARGMAX) return none("finds one position among all");
    if (attr->mirrored) return none("runs backwards");
    if (value->domain_count > 1) return none("is a reduction for each of two positions");
    switch (attr->high.kind) {
    case BOUND_NONE:
        if (now) return none("reduces over the whole sequence for each position");
        break;
    case BOUND_INDEX: r.high = attr->high.offset; break;
    case BOUND_FIRST:
        if (now) return none("reduces over fixed positions for each position");
        r.to = attr->high.offset;
        break;
    case BOUND_LAST:
        if (now) return none("reduces over the whole sequence for each position");
        r.high = attr->high.offset < 0 ? attr->high.offset + 1 : 1; /* clipped to the last */
        break;
    }
    if (r.high > MOST_WINDOW) return none("reduces over positions too far ahead");
    switch (attr->low.kind) {
    case BOUND_NONE: return r;
    case BOUND_FIRST: r.from = attr->low.offset; return r;
    case BOUND_INDEX: r.low = attr->low.offset; break;
    case BOUND_LAST:
        if (now) return none("reduces over the whole sequence for each position");
        r.low = attr->low.offset + 1;
        break;
    }
    if (attr->high.kind == BOUND_FIRST)
        return none("reduces over a window that is not of one width");
    if (r.low >= r.high) return none("reduces over a window that is empty");
    if (r.low < -MOST_WINDOW) return none("reduces over a window that is too wide");
    r.kind = REDUCTION_WINDOW;
    return r;
}

/* A reduction over all of the past that no accumulator can follow, since its operand differs from
 * position to position, is a window of all positions where the axis has a bound. */
Reduction lower_reduction(const Lower *lower, const Value *value) {
    Reduction r = reduction_as_written(value);
    if (r.kind != REDUCTION_RUNNING || value->domain_count != 1 || r.from) return r;
    bool differs = false;
    for (int i = 0; i < value->uses.count; i++)
        differs = differs || lower->schedule->values.at[value->uses.at[i].value]->domain_count == 2;
    const Axis *axis = &lower->graph->axes.at[lower->graph->indices.at[value->attr->index].axis];
    int64_t most = axis->fixed ? axis->fixed : axis->most;
    if (!differs || most < 1 || most > MOST_WINDOW) return r;
    r.kind = REDUCTION_WINDOW;
    r.low = 1 - most;
    return r;
}

/* x[2*v+1], m[t/2]: of one axis at both rates. Within a reduction or a window the positions are not
 * those of the reader. */
static Reach across_rates(const Lower *lower, const Value *reader, int index, const At *at) {
    int64_t own = lower_every(lower, at->index), source = lower_every(lower, index);
    bool fits = at->kind == AT_SCALE ? own == source * at->factor : source == own * at->factor;
    bool moved = lower_over_time(reader) && at->index == reader->attr->index;
    if (!fits || moved || reader->domain_count != 1) return (Reach){.kind = REACH_UNKNOWN};
    int64_t offset = at->kind == AT_SCALE ? at->offset : 0;
    return (Reach){REACH_RATE, offset, offset + 1};
}

Reach lower_reach(const Lower *lower, const Value *reader, const Use *use, int d) {
    const Value *source = lower->schedule->values.at[use->value];
    At at = {.kind = AT_INDEX, .index = source->domain[d]};
    if (use->access >= 0) at = lower->schedule->accesses.at[use->access].at[d];
    switch (at.kind) {
    case AT_FIRST: return (Reach){.kind = REACH_FIRST};
    case AT_LAST: return (Reach){.kind = REACH_LAST};
    case AT_SCALE:
    case AT_DIV: return across_rates(lower, reader, source->domain[d], &at);
    case AT_POINTER:
    case AT_MIRROR: return (Reach){.kind = REACH_UNKNOWN};
    case AT_INDEX: break;
    }
    Reach reach = {REACH_NOW, at.offset, at.offset + 1};
    if (lower_over_time(reader) && at.index == reader->attr->index) {
        Reduction r = lower_reduction(lower, reader);
        reach.kind = r.kind == REDUCTION_WINDOW    ? REACH_WINDOW
                     : r.kind == REDUCTION_RUNNING ? REACH_RUNNING
                                                   : REACH_UNKNOWN;
        reach.low += r.kind == REDUCTION_WINDOW ? r.low : r.high - 1;
        reach.high += r.high - 1;
    } else if (reader->domain_count == 2) {
        const Window *window = &lower->windows[reader->id];
        if (window->index < 0) return (Reach){.kind = REACH_UNKNOWN};
        if (at.index != window->index) return reach;
        reach.kind = REACH_WINDOW;
        reach.low += window->low;
        reach.high += window->high - 1;
    }
    return reach;
}

/* --- values over two positions -------------------------------------------------------------------
 */

typedef struct Spread {
    Lower *lower;
    const Value *reader, *where;
    bool changed;
    const char *why;
} Spread;

static bool extend(Window *window, int index, int64_t low, int64_t high) {
    Window before = *window;
    if (window->index < 0) *window = (Window){index, low, high};
    if (low < window->low) window->low = low;
    if (high > window->high) window->high = high;
    return before.index != window->index || before.low != window->low ||
           before.high != window->high;
}

static void spread(void *user, const Use *use, bool boundary) {
    Spread *s = user;
    Lower *lower = s->lower;
    const Value *source = lower->schedule->values.at[use->value];
    if (boundary || source->domain_count != 2 || s->why) return;
    if (s->reader->domain_count == 2 && lower->windows[s->reader->id].index < 0) return;
    Reach reach[2] = {lower_reach(lower, s->reader, use, 0), lower_reach(lower, s->reader, use, 1)};
    int d = reach[0].kind == REACH_NOW ? 1 : 0;
    const Reach *now = &reach[1 - d], *over = &reach[d];
    s->where = s->reader;
    if (over->kind == REACH_RUNNING ||
        (over->kind == REACH_UNKNOWN && lower_over_time(s->reader))) {
        s->why = "needs all of the past for each position";
        return;
    }
    s->where = source;
    if (now->kind != REACH_NOW || now->low || over->kind != REACH_WINDOW) {
        s->why = "runs over two positions and is read at others";
        return;
    }
    Window *window = &lower->windows[source->id];
    if (window->index >= 0 && window->index != source->domain[d])
        s->why = "is read over windows of both of its positions";
    else
        s->changed = extend(window, source->domain[d], over->low, over->high) || s->changed;
}

/* The values of a family are computed over the same positions. */
static const Value *join_families(Lower *lower, bool *changed) {
    const Schedule *schedule = lower->schedule;
    for (int f = 0; f < schedule->families.count; f++) {
        const Family *family = schedule->families.at[f];
        Window all = {.index = -1};
        for (int i = 0; i < family->values.count; i++) {
            const Window *window = &lower->windows[family->values.at[i]];
            if (window->index < 0) continue;
            if (all.index >= 0 && all.index != window->index)
                return schedule->values.at[family->values.at[i]];
            extend(&all, window->index, window->low, window->high);
        }
        for (int i = 0; i < family->values.count && all.index >= 0; i++)
            if (extend(&lower->windows[family->values.at[i]], all.index, all.low, all.high))
                *changed = true;
    }
    return NULL;
}

const char *lower_find_windows(Lower *lower, const Value **where) {
    const Schedule *schedule = lower->schedule;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = schedule->values.count - 1; i >= 0; i--) {
            Spread s = {.lower = lower, .reader = schedule->values.at[i]};
            if (!s.reader->live) continue;
            schedule_uses(schedule, s.reader, spread, &s);
            *where = s.where;
            if (s.why) return s.why;
            changed = changed || s.changed;
        }
        *where = join_families(lower, &changed);
        if (*where) return "is computed with others over another position";
    }
    for (int i = 0; i < schedule->outputs.count; i++) {
        *where = schedule->values.at[schedule->outputs.at[i]];
        if ((*where)->domain_count > 1) return "is an output over two positions";
    }
    for (int i = 0; i < schedule->values.count; i++) {
        *where = schedule->values.at[i];
        if (!(*where)->live || (*where)->domain_count < 2) continue;
        if ((*where)->domain_count > 2) return "runs over more than two positions";
        if (lower->windows[i].index < 0 || (*where)->kind == VALUE_INPUT)
            return "runs over two positions";
    }
    return NULL;
}

LBlock *lower_window_loop(Fn *fn, LBlock *out, const Value *value) {
    LoopModule *m = fn->lower->module;
    const Window *window = &fn->lower->windows[value->id];
    if (window->index < 0) return out;
    LStmt *loop = loop_for(m, fn->fn, out, fn->lower->graph->indices.at[window->index].name,
                           loop_int(m, window->low), loop_int(m, window->high), 1);
    fn->window_at[window->index] = loop_var(m, fn->fn, loop->var);
    return &loop->body;
}

void lower_leave_window(Fn *fn, const Value *value) {
    int index = fn->step ? fn->lower->windows[value->id].index : -1;
    if (index >= 0) fn->window_at[index] = NULL;
}

/* --- the number of positions so far --------------------------------------------------------------
 */

bool lower_counts_past(const Schedule *schedule, const Value *value, int64_t *k) {
    if (value->kind != VALUE_POINT || value->op != OP_MIN) return false;
    for (int i = 0; i < 2; i++) {
        const Value *length = schedule->values.at[value->uses.at[i].value];
        const Value *end = schedule->values.at[value->uses.at[1 - i].value];
        if (length->kind != VALUE_LEAF || length->op != OP_LENGTH) continue;
        const Value *index = end;
        double offset = 0;
        if (end->kind == VALUE_POINT && end->op == OP_ADD)
            for (int j = 0; j < 2; j++) {
                const Value *constant = schedule->values.at[end->uses.at[j].value];
                if (constant->kind != VALUE_CONST || end->uses.at[1 - j].access >= 0) continue;
                offset = constant->number;
                index = schedule->values.at[end->uses.at[1 - j].value];
            }
        *k = (int64_t)offset;
        if (index->kind == VALUE_LEAF && index->op == OP_INDEX && !index->attr->mirrored &&
            value->uses.at[1 - i].access < 0 && offset <= MOST_WINDOW)
            return true;
    }
    return false;
}
