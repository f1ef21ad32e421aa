/* --emit=remarks and -R: what became of a model and why, one fact a line, for people and for grep:
 *
 *   FUNCTION:
 *     FILE:LINE: WORD: what was done, or not, and why
 *
 * What is said about equations was noted where it was decided (support/remark.h). */
#include <inttypes.h>
#include <string.h>

#include "pipeline.h"

static const char *axis_name(const Schedule *schedule, int axis) {
    return schedule->graph->axes.at[axis].name;
}

static void remark_nest(const Schedule *schedule, const SNest *nest, int depth, Text *out) {
    if (nest->kind == NEST_BLOCK) return;
    int stages = 0, operations = 0;
    for (int i = 0; i < nest->children.count; i++)
        if (nest->children.at[i]->kind == NEST_BLOCK) stages += nest->children.at[i]->block->stages;
    for (int i = 0; i < nest->members.count; i++)
        operations += schedule->values.at[nest->members.at[i]]->kind == VALUE_PRODUCT;
    text_indent(out, 2 * depth);
    text_printf(out, "loop over %s %s%s: %d values, %d product%s, %d stage%s a step",
                axis_name(schedule, nest->axis), nest->backward ? "backward" : "forward",
                nest->scan ? ", a scan" : "", nest->members.count, operations,
                operations == 1 ? "" : "s", stages, stages == 1 ? "" : "s");
    const char *between = " (";
    for (int i = 0; i < nest->members.count; i++) {
        const Value *value = schedule->values.at[nest->members.at[i]];
        if (!value->name) continue;
        text_printf(out, "%s%s", between, value->name);
        between = ", ";
    }
    text_puts(out, *between == ',' ? ")\n" : "\n");
    for (int i = 0; i < nest->children.count; i++)
        remark_nest(schedule, nest->children.at[i], depth + 1, out);
}

/* Products are what costs: which of them are outside of every loop. */
static void remark_products(const Schedule *schedule, Text *out) {
    int inside = 0, outside = 0;
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live || value->kind != VALUE_PRODUCT) continue;
        if (value->nest >= 0)
            inside++;
        else
            outside++;
    }
    text_printf(out, "  products: %d in loops, %d for all positions at once\n", inside, outside);
}

static void remark_loops(const Schedule *schedule, Text *out) {
    for (int i = 0; i < schedule->nests.count; i++)
        remark_nest(schedule, schedule->nests.at[i], 1, out);
    remark_products(schedule, out);
}

/* The line of the user's file: of the application, where an equation is the prelude's. */
static void put_place(Span span, Text *out) {
    while (span.within && span.source && strcmp(span.source->path, "<prelude>") == 0)
        span = *span.within;
    if (span.source)
        text_printf(out, "%s:%d: ", span.source->path, source_place(span.source, span.begin).line);
}

static void put_remarks(const Remarks *remarks, const char *function, Text *out) {
    for (int i = 0; i < remarks->list.count; i++) {
        const Remark *remark = &remarks->list.at[i];
        if (strcmp(remark->function, function) != 0) continue;
        text_puts(out, "  ");
        put_place(remark->span, out);
        text_printf(out, "%s: %s\n", remark_word(remark), remark->text);
    }
}

/* A function's: its loops, and what was noted of it. */
static void put_function(const Compilation *c, const char *name, const Schedule *schedule,
                         Text *out) {
    text_printf(out, "%s:\n", name);
    if (schedule) remark_loops(schedule, out);
    if (c->remarks) put_remarks(c->remarks, name, out);
}

/* Those of several processors, and of chunks, which have no schedule of their own here. */
static void put_others(const Compilation *c, Text *out) {
    static const char *const told[] = {"pack", "forward", "loss", "grad"};
    for (int i = 0; c->remarks && i < c->remarks->list.count; i++) {
        const char *name = c->remarks->list.at[i].function;
        bool said = false;
        for (int k = 0; k < 4; k++) said = said || strcmp(told[k], name) == 0;
        for (int k = 0; k < i; k++)
            said = said || strcmp(c->remarks->list.at[k].function, name) == 0;
        if (!said) put_function(c, name, NULL, out);
    }
}

static void put_step(const Interface *in, Text *out) {
    if (in->step < 0) {
        text_printf(out, "step: none, %s\n", in->no_step ? in->no_step : "not built");
        return;
    }
    text_puts(out, "step: tiles and packing of forward, on one thread");
    if (in->latency) text_printf(out, ", outputs are %" PRId64 " steps late", in->latency);
    text_puts(out, "\n");
}

void remarks_print(const Compilation *c, Text *out) {
    const Interface *in = c->interface_;
    text_printf(out, "model %s\n", c->model);
    if (in) {
        const Target *target = &in->module->target;
        text_printf(out, "target: %s, %d lanes%s, %d registers, second cache %" PRId64 " KB\n",
                    target->name, target->lanes, target->fma ? ", fma" : "", target->registers,
                    target->l2_bytes >> 10);
        text_printf(out, "parameters: %" PRId64 " numbers, packed into %" PRId64 " bytes\n",
                    in->param_count, in->weight_bytes);
        put_function(c, "pack", NULL, out);
    }
    put_function(c, "forward", c->schedule, out);
    if (in) put_step(in, out);
    if (c->loss) put_function(c, "loss", c->loss, out);
    if (c->grad) put_function(c, "grad", c->grad, out);
    put_others(c, out);
}
