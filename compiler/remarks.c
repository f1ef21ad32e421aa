/* --emit=remarks and -R: what became of a model, one fact a line, for people and for grep. */
#include <inttypes.h>

#include "pipeline.h"

static const char *axis_name(const Compilation *c, int axis) {
    return c->schedule->graph->axes.at[axis].name;
}

static void remark_nest(const Compilation *c, const SNest *nest, int depth, Text *out) {
    if (nest->kind == NEST_BLOCK) return;
    text_indent(out, 2 * depth);
    text_printf(out, "loop over %s %s%s: %d values", axis_name(c, nest->axis),
                nest->backward ? "backward" : "forward", nest->scan ? ", a scan" : "",
                nest->members.count);
    const char *between = " (";
    for (int i = 0; i < nest->members.count; i++) {
        const Value *value = c->schedule->values.at[nest->members.at[i]];
        if (!value->name) continue;
        text_printf(out, "%s%s", between, value->name);
        between = ", ";
    }
    text_puts(out, *between == ',' ? ")\n" : "\n");
    for (int i = 0; i < nest->children.count; i++)
        remark_nest(c, nest->children.at[i], depth + 1, out);
}

/* Products are what costs: which of them are outside of every loop. */
static void remark_products(const Compilation *c, Text *out) {
    int inside = 0, outside = 0;
    for (int i = 0; i < c->schedule->values.count; i++) {
        const Value *value = c->schedule->values.at[i];
        if (!value->live || value->kind != VALUE_PRODUCT) continue;
        if (value->nest >= 0)
            inside++;
        else
            outside++;
    }
    text_printf(out, "products: %d in loops, %d for all positions at once\n", inside, outside);
}

void remarks_print(const Compilation *c, Text *out) {
    text_printf(out, "model %s\n", c->model);
    for (int i = 0; i < c->schedule->nests.count; i++)
        remark_nest(c, c->schedule->nests.at[i], 0, out);
    remark_products(c, out);
    const Interface *in = c->interface_;
    if (!in) return;
    text_printf(out, "parameters: %" PRId64 " numbers, packed into %" PRId64 " bytes\n",
                in->param_count, in->weight_bytes);
    text_printf(out, "target: %s, %d lanes%s\n", in->module->target.name, in->module->target.lanes,
                in->module->target.fma ? ", fma" : "");
    if (in->step >= 0 && in->latency)
        text_printf(out, "step: yes, outputs are %" PRId64 " steps late\n", in->latency);
    else if (in->step >= 0)
        text_puts(out, "step: yes\n");
    else
        text_printf(out, "step: none, %s\n", in->no_step ? in->no_step : "not built");
}
