/* Remarks of the schedule, in the names of the model's source: `Ui` is a parameter, `h[t-1]` what
 * was written, U' a transposed matrix. Who decides calls these; nothing is decided here. */
#include "schedule/remark.h"

#include <inttypes.h>
#include <string.h>

enum { MOST_NAMES = 8, DEEPEST = 4 };

static void put_at(const Schedule *schedule, const At *at, Text *out) {
    const char *index = at->index >= 0 && at->index < schedule->graph->indices.count
                            ? schedule->graph->indices.at[at->index].name
                            : "?";
    switch (at->kind) {
    case AT_SCALE: text_printf(out, "%" PRId64 "*%s", at->factor, index); break;
    case AT_DIV: text_printf(out, "%s/%" PRId64, index, at->factor); break;
    case AT_INDEX: text_puts(out, index); break;
    case AT_FIRST: text_puts(out, "first"); break;
    case AT_LAST: text_puts(out, "last"); break;
    case AT_POINTER: text_puts(out, "a pointer"); break;
    case AT_MIRROR: text_puts(out, "from the end"); break;
    }
    if (at->offset) text_printf(out, "%+" PRId64, at->offset);
}

static void put_value(const Schedule *schedule, const Value *value, int depth, Text *out);

typedef struct Reader {
    int value;
    bool found;
} Reader;

static void reads(void *user, const Use *use, bool boundary) {
    Reader *reader = user;
    reader->found = reader->found || (!boundary && use->access < 0 && use->value == reader->value);
}

/* The first value that reads this one at its own position, with a name or without; NULL: there is
 * none. */
static const Value *read_by(const Schedule *schedule, const Value *value, bool named) {
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *other = schedule->values.at[i];
        Reader reader = {value->id, false};
        if ((other->name != NULL) != named || !other->live || other->count != value->count)
            continue;
        schedule_uses(schedule, other, reads, &reader);
        if (reader.found) return other;
    }
    return NULL;
}

/* What a value without a name is of: "i's sum", "i's stream"; false: nobody with a name is near. */
static bool put_unnamed(const Schedule *schedule, const Value *value, Text *out) {
    const char *what = value->kind == VALUE_SUM ? "sum" : "operand";
    const Value *reader = read_by(schedule, value, true);
    if (!reader && (reader = read_by(schedule, value, false)) != NULL) {
        what = "stream";
        reader = reader->kind == VALUE_SUM ? read_by(schedule, reader, true) : NULL;
    }
    if (reader) text_printf(out, "%s's %s", reader->name, what);
    return reader != NULL;
}

static void put_use(const Schedule *schedule, const Use *use, int depth, Text *out) {
    const Value *source = schedule->values.at[use->value];
    bool point =
        use->access >= 0 && !source->name && source->kind == VALUE_POINT && source->op == OP_MUL;
    text_puts(out, point ? "(" : "");
    put_value(schedule, source, depth, out);
    text_puts(out, point ? ")" : "");
    if (use->access < 0) return;
    const Access *access = &schedule->accesses.at[use->access];
    for (int d = 0; d < access->at_count; d++) {
        text_puts(out, d ? ", " : "[");
        put_at(schedule, &access->at[d], out);
    }
    if (access->at_count) text_puts(out, "]");
}

static void put_matrix(const Schedule *schedule, const View *view, Text *out) {
    const GraphParam *param = &schedule->graph->params.at[view->param];
    bool turned = view->rank == 2 && view->dim[0] > 1 && view->dim[1] > 1 && view->stride[0] == 1;
    text_printf(out, "%s%s", param->name, turned ? "'" : "");
}

static void put_sum(const Schedule *schedule, const Value *sum, int depth, Text *out) {
    text_puts(out, depth > 1 ? "(" : "");
    for (int i = 0; i < sum->terms.count; i++) {
        const Term *term = &sum->terms.at[i];
        text_puts(out, term->sign < 0 ? i ? " - " : "-" : i ? " + " : "");
        put_use(schedule, &term->a, depth, out);
        if (term->pair) text_puts(out, "*");
        if (term->pair) put_use(schedule, &term->b, depth, out);
    }
    text_puts(out, depth > 1 ? ")" : "");
}

static void put_point(const Schedule *schedule, const Value *value, int depth, Text *out) {
    bool times = value->op == OP_MUL;
    if (!times) text_printf(out, "%s(", op_info[value->op].text);
    for (int i = 0; i < value->uses.count; i++) {
        text_puts(out, !i ? "" : times ? "*" : ", ");
        put_use(schedule, &value->uses.at[i], depth, out);
    }
    if (!times) text_puts(out, ")");
}

static void put_value(const Schedule *schedule, const Value *value, int depth, Text *out) {
    if (value->kind == VALUE_PARAM) {
        put_matrix(schedule, &value->view, out);
    } else if (value->kind == VALUE_PRODUCT && depth < DEEPEST) {
        put_matrix(schedule, &value->view, out);
        text_puts(out, " @ ");
        put_use(schedule, &value->uses.at[0], depth + 1, out);
    } else if (value->name) {
        text_puts(out, value->name);
    } else if (value->kind == VALUE_CONST) {
        text_printf(out, "%g", value->number);
    } else if ((value->kind == VALUE_POINT || value->kind == VALUE_ROW) && depth < DEEPEST - 1 &&
               value->uses.count < 4) {
        put_point(schedule, value, depth + 1, out);
    } else if (put_unnamed(schedule, value, out)) {
        return;
    } else if (value->kind == VALUE_SUM && depth < DEEPEST - 1 && value->terms.count < 4) {
        put_sum(schedule, value, depth + 1, out);
    } else {
        text_puts(out, value->kind == VALUE_SUM ? "a sum" : "a value");
    }
}

void remark_use(const Schedule *schedule, const Use *use, Text *out) {
    put_use(schedule, use, 0, out);
}

const char *remark_value(const Schedule *schedule, const Value *value) {
    Text text = text_new(schedule->arena);
    put_value(schedule, value, 0, &text);
    return text_string(&text);
}

const char *remark_matrices(const Schedule *schedule, const int *products, int count) {
    Text text = text_new(schedule->arena);
    int shown = 0, left = 0;
    for (int i = 0; i < count; i++) {
        const View *view = &schedule->values.at[products[i]]->view;
        int same = 0;
        bool before = false;
        for (int j = 0; j < count; j++) {
            if (schedule->values.at[products[j]]->view.param != view->param) continue;
            before = before || j < i;
            same++;
        }
        if (before) continue;
        if (shown == MOST_NAMES) {
            left++;
            continue;
        }
        text_puts(&text, shown++ ? ", " : "");
        put_matrix(schedule, view, &text);
        if (same > 1) text_printf(&text, " (%d parts)", same);
    }
    if (left) text_printf(&text, " and %d more", left);
    return text_string(&text);
}

const char *remark_names(const Schedule *schedule, const int *values, int count) {
    Text text = text_new(schedule->arena);
    int shown = 0, left = 0;
    for (int i = 0; i < count; i++) {
        const Value *value = schedule->values.at[values[i]];
        Text name = text_new(schedule->arena);
        bool nameless =
            !value->name && value->kind != VALUE_PRODUCT && !put_unnamed(schedule, value, &name);
        if (nameless || shown == MOST_NAMES) {
            left++;
            continue;
        }
        text_puts(&text, shown++ ? ", " : "");
        put_value(schedule, value, DEEPEST - 1, &text);
    }
    if (left)
        text_printf(&text, "%s%d %s%s", shown ? " and " : "", left, shown ? "other" : "value",
                    left > 1 ? "s" : "");
    return text_string(&text);
}

/* Products of one accumulator with several vectors. */
static void remark_added(const Schedule *schedule, const Family *family) {
    for (int a = 0; a < family->accs.count; a++) {
        const Value *acc = schedule->values.at[family->accs.at[a]];
        int segments = 0;
        for (int s = 0; s < family->segments.count; s++) {
            const Segment *segment = &family->segments.at[s];
            bool mine = false;
            for (int p = 0; p < segment->products.count; p++)
                mine = mine || schedule->values.at[segment->products.at[p]]->acc == acc->id;
            segments += mine;
        }
        if (segments > 1)
            remark_done(schedule->remarks, REMARK_FUSED, acc->span,
                        "%s: products with %d vectors add up in one accumulator, loop after loop",
                        remark_value(schedule, acc), segments);
    }
}

void remark_segments(const Schedule *schedule, const Block *block, const Family *family) {
    Remarks *remarks = schedule->remarks;
    if (remarks) remark_added(schedule, family);
    for (int s = 0; remarks && s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        const Value *first = schedule->values.at[segment->products.at[0]];
        const char *names =
            remark_matrices(schedule, segment->products.at, segment->products.count);
        Text with = text_new(schedule->arena);
        put_use(schedule, &segment->operand, 1, &with);
        Text where = text_new(schedule->arena);
        if (!block->loop_count) {
            for (int d = 0; d < family->domain_count; d++)
                text_printf(&where, "%s%s", d ? " and " : ", for all positions of ",
                            schedule->graph->indices.at[family->domain[d]].name);
        } else {
            text_printf(&where, ", in the loop over %s",
                        schedule->graph->axes.at[block->loops[block->loop_count - 1]].name);
            if (segment->chains > 1)
                text_printf(&where, "; at batch 1 in %d chains", segment->chains);
        }
        int count = segment->products.count;
        if (count > 1)
            remark_done(remarks, REMARK_FUSED, first->span,
                        "%s @ %s: %d products in one loop over k = %" PRId64 "%s", names,
                        text_string(&with), count, segment->length, text_string(&where));
        else
            remark_missed(remarks, REMARK_FUSED, first->span, "%s @ %s: %s, k = %" PRId64 "%s",
                          names, text_string(&with),
                          schedule->choices.off[CHOICE_fuse]
                              ? "'fuse' is switched off"
                              : "no other product of this stage reads that",
                          segment->length, text_string(&where));
    }
}

void remark_outside(const Schedule *schedule, const Value *sum, const Value *out, int small) {
    Remarks *remarks = schedule->remarks;
    if (!remarks) return;
    Text terms = text_new(schedule->arena);
    for (int i = 0, shown = 0; out && i < out->terms.count; i++) {
        const Term *term = &out->terms.at[i];
        text_puts(&terms, shown++ ? ", " : "");
        remark_use(schedule, &term->a, &terms);
        if (term->pair) {
            text_puts(&terms, " * ");
            remark_use(schedule, &term->b, &terms);
        }
    }
    if (out)
        remark_done(remarks, REMARK_HOISTED, sum->span, "%s: computed before the loop, not in it",
                    text_string(&terms));
    else if (small)
        remark_missed(
            remarks, REMARK_HOISTED, sum->span,
            "%d product%s with at most %d columns: the loop computes %s, which costs less "
            "than a pass over memory",
            small, small > 1 ? "s" : "", SMALL_PRODUCT, small > 1 ? "them" : "it");
}
