/* --emit=schedule: loops, stages, families and storage, by name; no addresses and no lanes. parse.c
 * reads it back; the grammar stands at its head. What follows a # is for readers. */
#include "schedule/schedule.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

/* --- names and types --- */

/* Bare when it reads back as one name; words that mean a place on an axis are always quoted. */
static bool bare(const char *name) {
    if (!isalpha((unsigned char)name[0]) && name[0] != '_') return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.') return false;
    return strcmp(name, "first") != 0 && strcmp(name, "last") != 0;
}

static void put_name(Text *out, const char *name) {
    if (bare(name)) {
        text_puts(out, name);
        return;
    }
    text_puts(out, "\"");
    for (const char *c = name; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_printf(out, "\\%c", *c);
        else if ((unsigned char)*c < ' ' || *c == 0x7f)
            text_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        else
            text_write(out, c, 1);
    }
    text_puts(out, "\"");
}

static void put_index(const Schedule *schedule, int index, Text *out) {
    put_name(out, schedule->graph->indices.at[index].name);
}

/* `f.c.38`: name and number; `v38` and, of a constant, `c38` without a name. */
static void put_value(const Schedule *schedule, int id, Text *out) {
    const Value *value = schedule->values.at[id];
    if (!value->name) {
        text_printf(out, "%c%d", value->kind == VALUE_CONST ? 'c' : 'v', id);
        return;
    }
    put_name(out, value->name);
    text_printf(out, ".%d", id);
}

static void put_type(const Schedule *schedule, const Type *type, Text *out) {
    if (type->dtype == DT_FLOAT) {
        text_puts(out, "f");
    } else if (type->dtype == DT_BOOL) {
        text_puts(out, "bool");
    } else if (type->pointer != PTR_NONE) {
        text_puts(out, type->pointer == PTR_PAST ? "past(" : "pos(");
        put_name(out, schedule->graph->axes.at[type->axis].name);
        text_puts(out, ")");
    } else if (type->bound) {
        text_printf(out, "int(%" PRId64 ")", type->bound);
    } else {
        text_puts(out, "int");
    }
    text_puts(out, "[");
    for (int d = 0; d < type->shape.rank; d++)
        text_printf(out, "%s%" PRId64, d ? ", " : "", type->shape.dim[d]);
    text_puts(out, "]");
}

/* --- uses --- */

static void put_at(const Schedule *schedule, const At *at, Text *out) {
    switch (at->kind) {
    case AT_SCALE:
        text_printf(out, "%" PRId64 "*", at->factor);
        put_index(schedule, at->index, out);
        break;
    case AT_DIV:
        put_index(schedule, at->index, out);
        text_printf(out, "/%" PRId64, at->factor);
        break;
    case AT_INDEX: put_index(schedule, at->index, out); break;
    case AT_FIRST: text_puts(out, "first"); break;
    case AT_LAST: text_puts(out, "last"); break;
    case AT_POINTER: text_printf(out, "@%d", at->operand); break;
    case AT_MIRROR: text_puts(out, "?"); break; /* of draws only */
    }
    if (at->offset) text_printf(out, "%+" PRId64, at->offset);
}

static void put_use(const Schedule *schedule, Use use, Text *out) {
    put_value(schedule, use.value, out);
    if (use.access < 0) return;
    const Access *access = &schedule->accesses.at[use.access];
    text_puts(out, "[");
    for (int d = 0; d < access->at_count; d++) {
        if (d) text_puts(out, ", ");
        put_at(schedule, &access->at[d], out);
    }
    if (access->boundary >= 0) {
        text_puts(out, " else ");
        put_value(schedule, access->boundary, out);
    }
    if (access->carry) {
        const GraphCarry *carry = &schedule->graph->carries.at[access->carry - 1];
        text_puts(out, " carry ");
        put_name(out, carry->name);
        text_puts(out, " in ");
        put_name(out, schedule->graph->axes.at[carry->axis].name);
    }
    text_puts(out, "]");
}

static void put_view(const Schedule *schedule, const View *view, Text *out) {
    put_name(out, schedule->graph->params.at[view->param].name);
    if (view->offset) text_printf(out, "%+" PRId64, view->offset);
    text_puts(out, "(");
    for (int d = 0; d < view->rank; d++)
        text_printf(out, "%s%" PRId64 ":%" PRId64, d ? ", " : "", view->dim[d], view->stride[d]);
    text_puts(out, ")");
}

/* --- values --- */

static void put_bound(const Schedule *schedule, const Bound *bound, Text *out) {
    switch (bound->kind) {
    case BOUND_NONE: return;
    case BOUND_INDEX: put_index(schedule, bound->index, out); break;
    case BOUND_FIRST: text_puts(out, "0"); break;
    case BOUND_LAST: text_puts(out, "len"); break;
    }
    if (bound->offset) text_printf(out, "%+" PRId64, bound->offset);
}

/* What the graph's node of this number says beside its operands. */
static void put_note(const Schedule *schedule, const Value *value, Text *out) {
    const Attr *attr = value->attr;
    const int64_t *low, *high;
    switch (value->op) {
    case OP_TSUM:
    case OP_TMAX:
    case OP_TARGMAX:
    case OP_TCONCAT:
        text_puts(out, " # over ");
        put_index(schedule, attr->index, out);
        if (attr->low.kind != BOUND_NONE || attr->high.kind != BOUND_NONE) {
            if (attr->low.kind != BOUND_NONE) text_puts(out, " from ");
            put_bound(schedule, &attr->low, out);
            if (attr->high.kind != BOUND_NONE) text_puts(out, " below ");
            put_bound(schedule, &attr->high, out);
        }
        break;
    case OP_DRAW:
        text_printf(out, " # %s of %s", graph_draw_text(attr->draw), attr->site);
        for (int k = 0; k < attr->at_count; k++) {
            text_puts(out, k ? ", " : " at ");
            put_index(schedule, attr->at[k].index, out);
            if (attr->at[k].kind == AT_MIRROR) text_puts(out, " from the end");
            if (attr->at[k].offset) text_printf(out, "%+" PRId64, attr->at[k].offset);
        }
        break;
    case OP_HOLD: text_printf(out, " # every %" PRId64, attr->every); break;
    case OP_INDEX:
        text_puts(out, " # of ");
        put_index(schedule, attr->index, out);
        break;
    case OP_GIVEN:
        text_puts(out, " # ");
        put_name(out, schedule->graph->inputs.at[attr->slot].name);
        break;
    case OP_LENGTH:
        text_puts(out, " # of ");
        put_name(out, schedule->graph->axes.at[attr->slot].name);
        break;
    case OP_SUM:
    case OP_RMAX:
    case OP_RMIN:
        if (attr->dim >= 0) text_printf(out, " # dim %d", attr->dim);
        break;
    case OP_SLICE:
        low = attr->dims;
        high = attr->ends;
        text_puts(out, " # [");
        for (int d = 0; d < schedule->values.at[value->uses.at[0].value]->type.shape.rank; d++)
            text_printf(out, "%s%" PRId64 ":%" PRId64, d ? ", " : "", low[d], high[d]);
        text_puts(out, "]");
        break;
    default: /* nothing that its operands do not say */ return;
    }
}

static void put_terms(const Schedule *schedule, const Value *value, Text *out) {
    for (int i = 0; i < value->terms.count; i++) {
        const Term *term = &value->terms.at[i];
        text_puts(out, term->sign < 0 ? " - " : i ? " + " : " ");
        put_use(schedule, term->a, out);
        if (!term->pair) continue;
        text_puts(out, "*");
        put_use(schedule, term->b, out);
    }
}

static void put_storage(const Schedule *schedule, const Value *value, Text *out) {
    static const char *const words[] = {"register", "single", "inplace", "history"};
    if (value->kind == VALUE_PRODUCT && value->acc >= 0 && value->acc != value->id) {
        text_puts(out, " -> in ");
        put_value(schedule, value->acc, out);
        return;
    }
    bool rows = false;
    for (int d = 0; d < value->domain_count; d++) rows = rows || value->pre[d] || value->post[d];
    if (schedule_is_leaf(value) && !rows && value->boundary < 0) return;
    text_printf(out, " -> %s", schedule_is_leaf(value) ? "rows" : words[value->storage]);
    if (rows) {
        text_puts(out, "[");
        for (int d = 0; d < value->domain_count; d++)
            text_printf(out, "%s%" PRId64 ":%" PRId64, d ? ", " : "", value->pre[d],
                        value->post[d]);
        text_puts(out, "]");
    }
    if (value->boundary >= 0) {
        text_puts(out, " else ");
        put_value(schedule, value->boundary, out);
    }
}

static void put_line(const Schedule *schedule, const Value *value, Text *out) {
    put_value(schedule, value->id, out);
    if (value->domain_count) {
        text_puts(out, "[");
        for (int d = 0; d < value->domain_count; d++) {
            if (d) text_puts(out, ", ");
            put_index(schedule, value->domain[d], out);
        }
        text_puts(out, "]");
    }
    text_puts(out, ": ");
    put_type(schedule, &value->type, out);
    if (!value->batched && value->kind != VALUE_PARAM && value->kind != VALUE_CONST)
        text_puts(out, value->over_batch ? " once summed" : " once");
    text_puts(out, " =");
    switch (value->kind) {
    case VALUE_INPUT:
        text_puts(out, " input ");
        put_name(out, schedule->graph->inputs.at[value->slot].name);
        break;
    case VALUE_PARAM:
        text_puts(out, " param ");
        put_view(schedule, &value->view, out);
        break;
    case VALUE_CONST:
        text_puts(out, " const ");
        text_double(out, value->number);
        break;
    case VALUE_SUM: put_terms(schedule, value, out); break;
    case VALUE_PRODUCT:
        text_puts(out, " product ");
        put_view(schedule, &value->view, out);
        text_puts(out, " @ ");
        put_use(schedule, value->uses.at[0], out);
        break;
    case VALUE_LEAF:
    case VALUE_POINT:
    case VALUE_ROW:
        text_printf(out, " %s", op_info[value->op].text);
        for (int i = 0; i < value->uses.count; i++) {
            text_puts(out, i ? ", " : " ");
            put_use(schedule, value->uses.at[i], out);
        }
        break;
    }
    put_storage(schedule, value, out);
    bool operation =
        value->kind == VALUE_LEAF || value->kind == VALUE_POINT || value->kind == VALUE_ROW;
    if (value->attr && operation) put_note(schedule, value, out);
    text_puts(out, "\n");
}

/* --- blocks and loops --- */

static void put_family(const Schedule *schedule, const Family *family, int indent, Text *out) {
    text_indent(out, indent);
    text_printf(out, "family n=%" PRId64, family->count);
    for (int d = 0; d < family->domain_count; d++) {
        text_puts(out, " ");
        put_index(schedule, family->domain[d], out);
    }
    text_puts(out, "\n");
    if (family->accs.count) {
        text_indent(out, indent + 4);
        text_puts(out, "acc");
        for (int i = 0; i < family->accs.count; i++) {
            text_puts(out, " ");
            put_value(schedule, family->accs.at[i], out);
        }
        text_puts(out, "\n");
    }
    for (int s = 0; s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        text_indent(out, indent + 4);
        text_puts(out, "segment ");
        put_use(schedule, segment->operand, out);
        text_printf(out, " K=%" PRId64 " chains=%d:", segment->length, segment->chains);
        for (int p = 0; p < segment->products.count; p++) {
            text_puts(out, " ");
            put_value(schedule, segment->products.at[p], out);
        }
        text_puts(out, "\n");
    }
    for (int v = 0; v < family->values.count; v++) {
        text_indent(out, indent + 4);
        put_line(schedule, schedule->values.at[family->values.at[v]], out);
    }
}

static void put_block(const Schedule *schedule, const Block *block, int indent, Text *out) {
    for (int stage = 0; stage < block->stages; stage++) {
        text_indent(out, indent);
        text_printf(out, "stage %d\n", stage);
        for (int i = 0; i < block->prologues.count; i++) {
            const Value *value = schedule->values.at[block->prologues.at[i]];
            if (value->stage != stage) continue;
            text_indent(out, indent + 4);
            text_puts(out, "prologue ");
            put_line(schedule, value, out);
        }
        for (int f = 0; f < block->families.count; f++) {
            const Family *family = schedule->families.at[block->families.at[f]];
            if (family->stage == stage) put_family(schedule, family, indent + 4, out);
        }
    }
}

static void put_nest(const Schedule *schedule, const SNest *nest, int indent, Text *out) {
    text_indent(out, indent);
    if (nest->kind == NEST_BLOCK) {
        text_puts(out, nest->block->loop_count ? "block\n" : "map\n");
        put_block(schedule, nest->block, indent + 4, out);
        return;
    }
    text_puts(out, nest->scan ? "scan " : "loop ");
    put_name(out, schedule->graph->axes.at[nest->axis].name);
    text_puts(out, nest->backward ? " backward\n" : " forward\n");
    for (int i = 0; i < nest->children.count; i++)
        put_nest(schedule, nest->children.at[i], indent + 4, out);
}

void schedule_print(const Schedule *schedule, Text *out) {
    text_puts(out, "schedule ");
    put_name(out, schedule->graph->model);
    if (schedule->rule == INDEX_FIRST) text_puts(out, " first");
    if (schedule->rule == INDEX_LAST) text_puts(out, " last");
    if (schedule->rule == INDEX_MIXED) text_puts(out, " mixed");
    if (schedule->choices.chains) text_printf(out, " chains=%d", schedule->choices.chains);
    for (int i = 0, shown = 0; i < CHOICE_COUNT; i++)
        if (schedule->choices.off[i])
            text_printf(out, "%s %s", shown++ ? "" : " without", choice_name((Choice)i));
    text_puts(out, "\n");
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (value->live && schedule_is_leaf(value)) put_line(schedule, value, out);
    }
    for (int i = 0; i < schedule->nests.count; i++)
        put_nest(schedule, schedule->nests.at[i], 0, out);
    for (int i = 0; i < schedule->outputs.count; i++) {
        text_puts(out, "output ");
        put_name(out, schedule->graph->outputs.at[i].name);
        text_puts(out, " = ");
        put_value(schedule, schedule->outputs.at[i], out);
        text_puts(out, "\n");
    }
    for (int i = 0; i < schedule->stops.count; i++) {
        text_puts(out, "stop ");
        put_name(out, schedule->graph->axes.at[schedule->graph->stops.at[i].axis].name);
        text_puts(out, " when ");
        put_value(schedule, schedule->stops.at[i], out);
        text_puts(out, "\n");
    }
}
