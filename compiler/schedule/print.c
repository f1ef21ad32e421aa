/* --emit=schedule: loops, stages, families and storage, by name; no addresses and no lanes. */
#include "schedule/schedule.h"

static const char *name_of_value(const Schedule *schedule, int id) {
    const Value *value = schedule->values.at[id];
    if (value->kind == VALUE_PARAM) {
        const View *view = &value->view;
        Text text = text_new(schedule->arena);
        text_puts(&text, schedule->graph->params.at[view->param].name);
        if (view->offset) text_printf(&text, "+%lld", (long long)view->offset);
        return text_string(&text);
    }
    if (value->kind == VALUE_CONST) {
        Text text = text_new(schedule->arena);
        text_double(&text, value->number);
        return text_string(&text);
    }
    return value->name ? arena_printf(schedule->arena, "%s.%d", value->name, id)
                       : arena_printf(schedule->arena, "v%d", id);
}

static void print_at(const Schedule *schedule, const At *at, Text *out) {
    const char *name = at->kind == AT_INDEX || at->kind == AT_SCALE || at->kind == AT_DIV
                           ? schedule->graph->indices.at[at->index].name
                           : "";
    switch (at->kind) {
    case AT_INDEX:
        text_printf(out, "%s", name);
        if (at->offset) text_printf(out, "%+lld", (long long)at->offset);
        break;
    case AT_SCALE:
        text_printf(out, "%lld*%s%+lld", (long long)at->factor, name, (long long)at->offset);
        break;
    case AT_DIV: text_printf(out, "%s/%lld", name, (long long)at->factor); break;
    case AT_FIRST: text_puts(out, "first"); break;
    case AT_LAST: text_puts(out, "last"); break;
    case AT_POINTER: text_puts(out, "pointer"); break;
    case AT_MIRROR: text_puts(out, "mirror"); break;
    }
}

static void print_use(const Schedule *schedule, Use use, Text *out) {
    text_puts(out, name_of_value(schedule, use.value));
    if (use.access < 0) return;
    const Access *access = &schedule->accesses.at[use.access];
    text_puts(out, "[");
    for (int d = 0; d < access->at_count; d++) {
        if (d) text_puts(out, ",");
        print_at(schedule, &access->at[d], out);
    }
    text_puts(out, "]");
    if (access->boundary >= 0)
        text_printf(out, " else %s", name_of_value(schedule, access->boundary));
}

static void print_view(const Schedule *schedule, const View *view, Text *out) {
    text_puts(out, schedule->graph->params.at[view->param].name);
    if (view->offset) text_printf(out, "+%lld", (long long)view->offset);
    text_puts(out, "(");
    for (int d = 0; d < view->rank; d++)
        text_printf(out, "%s%lld:%lld", d ? ", " : "", (long long)view->dim[d],
                    (long long)view->stride[d]);
    text_puts(out, ")");
}

static void print_value(const Schedule *schedule, const Value *value, int indent, Text *out) {
    static const char *const storages[] = {"register", "single", "inplace", "history"};
    text_indent(out, indent);
    text_puts(out, name_of_value(schedule, value->id));
    if (value->domain_count) {
        text_puts(out, "[");
        for (int d = 0; d < value->domain_count; d++)
            text_printf(out, "%s%s", d ? "," : "",
                        schedule->graph->indices.at[value->domain[d]].name);
        text_puts(out, "]");
    }
    text_puts(out, " = ");
    switch (value->kind) {
    case VALUE_SUM:
        text_puts(out, "sum");
        for (int i = 0; i < value->terms.count; i++) {
            const Term *term = &value->terms.at[i];
            text_puts(out, term->sign < 0 ? " - " : i ? " + " : " ");
            print_use(schedule, term->a, out);
            if (term->pair) {
                text_puts(out, "*");
                print_use(schedule, term->b, out);
            }
        }
        break;
    case VALUE_PRODUCT:
        text_puts(out, "product ");
        print_view(schedule, &value->view, out);
        text_puts(out, " @ ");
        print_use(schedule, value->uses.at[0], out);
        break;
    case VALUE_POINT:
    case VALUE_ROW:
    case VALUE_INPUT:
    case VALUE_PARAM:
    case VALUE_CONST:
    case VALUE_LEAF:
        text_puts(out, op_info[value->op].text);
        for (int i = 0; i < value->uses.count; i++) {
            text_puts(out, i ? ", " : " ");
            print_use(schedule, value->uses.at[i], out);
        }
        break;
    }
    if (value->kind == VALUE_PRODUCT && value->acc != value->id)
        text_printf(out, "  # in %s\n", name_of_value(schedule, value->acc));
    else
        text_printf(out, "  # %s\n", storages[value->storage]);
}

static void print_block(const Schedule *schedule, const Block *block, int indent, Text *out) {
    for (int stage = 0; stage < block->stages; stage++) {
        text_indent(out, indent);
        text_printf(out, "stage %d\n", stage);
        for (int i = 0; i < block->prologues.count; i++) {
            const Value *value = schedule->values.at[block->prologues.at[i]];
            if (value->stage != stage) continue;
            text_indent(out, indent + 4);
            text_puts(out, "prologue ");
            print_value(schedule, value, 0, out);
        }
        for (int f = 0; f < block->families.count; f++) {
            const Family *family = schedule->families.at[block->families.at[f]];
            if (family->stage != stage) continue;
            text_indent(out, indent + 4);
            text_printf(out, "family n=%lld", (long long)family->count);
            for (int d = 0; d < family->domain_count; d++)
                text_printf(out, " %s", schedule->graph->indices.at[family->domain[d]].name);
            text_puts(out, family->batched ? "\n" : " once\n");
            for (int s = 0; s < family->segments.count; s++) {
                const Segment *segment = &family->segments.at[s];
                text_indent(out, indent + 8);
                text_puts(out, "segment ");
                print_use(schedule, segment->operand, out);
                text_printf(out, " K=%lld w=%d chains=%d\n", (long long)segment->length,
                            segment->products.count, segment->chains);
            }
            for (int v = 0; v < family->values.count; v++)
                print_value(schedule, schedule->values.at[family->values.at[v]], indent + 8, out);
        }
    }
}

static void print_nest(const Schedule *schedule, const SNest *nest, int indent, Text *out) {
    text_indent(out, indent);
    if (nest->kind == NEST_BLOCK) {
        text_puts(out, nest->block->loop_count ? "block\n" : "map\n");
        print_block(schedule, nest->block, indent + 4, out);
        return;
    }
    text_printf(out, "%s %s %s\n", nest->scan ? "scan" : "loop",
                schedule->graph->axes.at[nest->axis].name, nest->backward ? "backward" : "forward");
    for (int i = 0; i < nest->children.count; i++)
        print_nest(schedule, nest->children.at[i], indent + 4, out);
}

void schedule_print(const Schedule *schedule, Text *out) {
    text_printf(out, "schedule %s\n", schedule->graph->model);
    for (int i = 0; i < schedule->nests.count; i++)
        print_nest(schedule, schedule->nests.at[i], 0, out);
    for (int i = 0; i < schedule->outputs.count; i++)
        text_printf(out, "output %s = %s\n", schedule->graph->outputs.at[i].name,
                    name_of_value(schedule, schedule->outputs.at[i]));
}
