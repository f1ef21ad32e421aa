/* The order of an emitted C file: what it is, its header, the prelude, the table of parameters, the
 * functions. The functions are printed first, since they tell what the prelude must hold. */
#include "c.h"

#include <inttypes.h>

/* The numbers of parameters whose initial values the model spells out. */
static void print_values(const Graph *graph, const char *prefix, int param, Text *out) {
    const GraphParam *p = &graph->params.at[param];
    int64_t count = shape_count(p->shape);
    Text line = text_new(out->arena);
    text_printf(&line, "static const double %s_values_%d[%" PRId64 "] = {", prefix, param, count);
    for (int64_t i = 0; i < count; i++) {
        if (i) text_puts(&line, ", ");
        c_number(&line, LT_F64, p->values[i]);
    }
    text_puts(&line, "};\n");
    identifier_wrap(out, text_string(&line), 0, 4);
}

static const char *initial_text(InitialKind kind) {
    switch (kind) {
    case INITIAL_VALUES: return "values";
    case INITIAL_GLOROT: return "glorot";
    case INITIAL_HE: return "he";
    case INITIAL_ORTHOGONAL: return "orthogonal";
    case INITIAL_NORMAL: return "normal";
    case INITIAL_UNIFORM: return "uniform";
    }
    return "";
}

void c_string(const char *string, Text *out) {
    text_puts(out, "\"");
    for (const char *c = string; *c; c++) {
        if (*c == '"' || *c == '\\') text_puts(out, "\\");
        if ((unsigned char)*c < 32)
            text_printf(out, "\\%03o", (unsigned)(unsigned char)*c);
        else
            text_write(out, c, 1);
    }
    text_puts(out, "\"");
}

/* The table that the header declares. */
static void print_params(const Interface *interface_, Text *out) {
    const Graph *graph = interface_->graph;
    if (!graph || graph->params.count == 0) return;
    const char *prefix = identifier_of(out->arena, interface_->module->prefix);
    text_puts(out, "\n");
    for (int i = 0; i < graph->params.count; i++)
        if (graph->params.at[i].values) print_values(graph, prefix, i, out);
    text_printf(out, "const %s_param %s_params[%s_PARAMS] = {\n", prefix, prefix,
                identifier_upper(out->arena, prefix));
    for (int i = 0; i < graph->params.count; i++) {
        const GraphParam *p = &graph->params.at[i];
        text_puts(out, "    {");
        c_string(p->name, out);
        text_printf(out, ", %d, {", p->shape.rank);
        for (int d = 0; d < p->shape.rank; d++)
            text_printf(out, "%s%" PRId64, d ? ", " : "", p->shape.dim[d]);
        text_printf(out, "%s}, %" PRId64 ", %" PRId64 ", \"%s\", ", p->shape.rank ? "" : "0",
                    interface_->param_offsets.at[i], shape_count(p->shape),
                    initial_text(p->initial));
        c_number(out, LT_F64, p->a);
        text_puts(out, ", ");
        c_number(out, LT_F64, p->b);
        if (p->values)
            text_printf(out, ", %s_values_%d", prefix, i);
        else
            text_puts(out, ", NULL");
        text_printf(out, ", %d},\n", p->frozen ? 1 : 0);
    }
    text_puts(out, "};\n");
}

static void print_static_prototypes(const LoopModule *module, Text *out) {
    for (int i = 0; i < module->functions.count; i++) {
        const LFunction *f = module->functions.at[i];
        if (f->exported) continue;
        text_puts(out, "\nstatic ");
        identifier_prototype(module, f, NULL, identifier_args(module->arena, f), out);
        text_puts(out, ";\n");
    }
}

static void print_top(const Interface *interface_, const BackendOptions *options, Text *out) {
    const Target *target = &interface_->module->target;
    Text top = text_new(out->arena);
    text_printf(&top, "%s, compiled by rnnc %s for %s. The header says how to use it.",
                interface_->model, options->version, target->name);
    if (options->flags && *options->flags)
        text_printf(&top,
                    "\nCompile it with -O2 and for that target (gcc and clang: %s): without, the "
                    "same numbers, slower.",
                    options->flags);
    identifier_comment(out, text_string(&top), 0);
}

static bool emit(const Interface *interface_, const BackendOptions *options, Text *out,
                 Diags *diags) {
    const LoopModule *module = interface_->module;
    Text functions = text_new(out->arena);
    EmitC c = {.module = module, .arena = out->arena, .out = &functions, .diags = diags};
    c.prefix = identifier_of(out->arena, module->prefix);
    c.upper = identifier_upper(out->arena, c.prefix);
    int errors = diags->errors;
    for (int i = 0; i < module->functions.count; i++) c_function(&c, module->functions.at[i]);
    print_top(interface_, options, out);
    text_printf(out, "#include \"%s\"\n\n", options->header_name);
    c_prelude(&c.uses, module, out);
    print_params(interface_, out);
    if (c.any_region) c_pool_prototypes(out, c.any_choice);
    if (c.any_gemm) c_gemm_prototype(module->real, out);
    print_static_prototypes(module, out);
    text_puts(out, text_string(&functions));
    return diags->errors == errors;
}

const Backend c_backend = {"c", "a C99 file that stands alone, and its header", emit};
