/* The header that goes with the code of any backend: what the model is, sizes, parameters, every
 * exported function with what its arguments hold. C99, callable from C++. */
#include "backend.h"

#include <inttypes.h>

#include "identifier.h"

typedef struct Header {
    const Interface *in;
    Text *out;
    const char *prefix, *upper; /* lstm, LSTM */
    VEC(const char *) macros;   /* so far, so that no two are equal */
} Header;

static const char *mode_text(Mode mode) {
    switch (mode) {
    case MODE_INFER: return "inference";
    case MODE_EVAL: return "evaluation";
    case MODE_TRAIN: return "training";
    }
    return "";
}

/* ---- what it is ---- */

static const LFunction *function_at(const Header *h, int index) {
    return index < 0 ? NULL : h->in->module->functions.at[index];
}

static const InterfaceFunction *roles_of(const Header *h, int function) {
    for (int i = 0; i < h->in->functions.count; i++)
        if (h->in->functions.at[i].function == function) return &h->in->functions.at[i];
    return NULL;
}

/* `lstm_forward(weights, batch, …)`, the names of the arguments as in the prototype. */
static void print_example_call(Header *h, int index, const char *before, Text *text) {
    const LFunction *f = function_at(h, index);
    if (!f) return;
    const char *const *names = identifier_args(h->out->arena, f);
    const InterfaceFunction *roles = roles_of(h, index);
    text_printf(text, "    %s%s(", before, identifier_symbol(h->in->module, f->name));
    for (int i = 0; i < f->args.count; i++) {
        bool null =
            roles && i < roles->args.count &&
            (roles->args.at[i].role == ROLE_LENGTHS || roles->args.at[i].role == ROLE_ENDED);
        text_printf(text, "%s%s", i ? ", " : "", null ? "NULL" : names[i]);
    }
    text_puts(text, ");\n");
}

static void print_example(Header *h, Text *text) {
    const Interface *in = h->in;
    const LFunction *forward = function_at(h, in->forward), *pack = function_at(h, in->pack);
    if (!forward && in->step < 0) return;
    text_puts(text, "\n\nUse (memory is the caller's; weights, state and workspace are aligned to "
                    "64 bytes):\n");
    if (pack)
        text_printf(text, "    void *weights = aligned_alloc(64, %s_WEIGHT_BYTES);\n", h->upper);
    print_example_call(h, in->pack, "int32_t status = ", text);
    print_example_call(h, in->forward_work, "int64_t work_bytes = ", text);
    text_puts(text, "    void *work = ...; of work_bytes\n");
    print_example_call(h, in->forward, pack ? "status = " : "int32_t status = ", text);
    if (in->step >= 0) {
        text_puts(text, "or, a step at a time:\n");
        print_example_call(h, in->state_bytes, "int64_t state_bytes = ", text);
        print_example_call(h, in->step_work, "int64_t work_bytes = ", text);
        text_puts(text, "    int64_t first = 0, count = batch;\n");
        print_example_call(h, in->reset, "status = ", text);
        print_example_call(h, in->step, "status = ", text);
    }
    text->at[--text->length] = '\0'; /* the comment ends the last line itself */
}

static bool pools(const Interface *in) {
    for (int i = 0; i < in->module->functions.count; i++)
        if (in->module->functions.at[i]->exported && loop_pool(in->module->functions.at[i]) >= 0)
            return true;
    return false;
}

static void print_top(Header *h, const BackendOptions *options) {
    const Interface *in = h->in;
    Text text = text_new(h->out->arena);
    text_printf(&text, "%s: a recurrent model, compiled by rnnc %s for %s in %s precision",
                in->model, options->version, in->module->target.name,
                in->module->real == LT_F32 ? "single" : "double");
    if (in->graph) text_printf(&text, ", for %s", mode_text(in->graph->mode));
    text_puts(&text, ".\nIt allocates nothing, has no writable globals and calls nothing");
    bool pool = pools(in), gemm = loop_has_gemm(in->module);
    text_puts(&text, pool ? " but the pool of threads that\nit is given "
                            "(rnn_rt_pool_for, _run and _barrier of librnn_rt)"
                          : "");
    if (gemm)
        text_printf(&text, "%sproducts of matrices\n(%s of librnn_rt_blas, which calls CBLAS)",
                    pool ? " and " : " but ", loop_gemm_symbol(in->module->real));
    text_puts(&text, ". Arrays are row-major.");
    if (in->step < 0 && in->no_step)
        text_printf(&text, "\nThere is no step function: %s.", in->no_step);
    print_example(h, &text);
    identifier_comment(h->out, text_string(&text), 0);
}

/* ---- macros ---- */

/* `#define LSTM_WORD value  / * doc * /`; a name that is taken gets a number. */
static void print_macro(Header *h, const char *word, int64_t value, const char *doc) {
    Arena *arena = h->out->arena;
    const char *base = arena_printf(arena, "%s_%s", h->upper, identifier_upper(arena, word)),
               *name = base;
    for (int i = 0, n = 2; i < h->macros.count; i++)
        if (strcmp(h->macros.at[i], name) == 0) {
            name = arena_printf(arena, "%s_%d", base, n++);
            i = -1;
        }
    vec_push(arena, &h->macros, name);
    const char *line = value > INT32_MAX
                           ? arena_printf(arena, "#define %s INT64_C(%" PRId64 ")", name, value)
                           : arena_printf(arena, "#define %s %" PRId64, name, value);
    text_puts(h->out, line);
    if (doc) {
        text_indent(h->out, strlen(line) < 40 ? 40 - (int)strlen(line) : 1);
        identifier_comment(h->out, doc, 0);
    } else {
        text_puts(h->out, "\n");
    }
}

static void print_statuses(Header *h) {
    text_puts(h->out, "\n/* What functions return. */\n");
    print_macro(h, "OK", LOOP_OK, NULL);
    print_macro(h, "BAD_LENGTH", LOOP_BAD_LENGTH, "a length, steps or batch out of its range");
    print_macro(h, "BAD_VALUE", LOOP_BAD_VALUE, "an int input or label out of its range");
    print_macro(h, "BAD_SPACE", LOOP_BAD_SPACE, "workspace or state too small");
    print_macro(h, "BAD_POINTER", LOOP_BAD_POINTER,
                "NULL, or not aligned to 64 bytes where it must be");
    print_macro(h, "BAD_LOSS", LOOP_BAD_LOSS, "the divisor of a loss is 0");
}

static void print_port(Header *h, const GraphPort *port, const char *what) {
    Arena *arena = h->out->arena;
    const Shape *shape = &port->type.shape;
    print_macro(
        h, arena_printf(arena, "%s_SIZE", port->name), shape_count(*shape),
        arena_printf(arena, "elements of %s %s at one position of one sequence", what, port->name));
    for (int d = 0; shape->rank > 1 && d < shape->rank; d++)
        print_macro(h, arena_printf(arena, "%s_DIM%d", port->name, d), shape->dim[d], NULL);
    if (port->type.dtype == DT_INT && port->type.bound > 0)
        print_macro(h, arena_printf(arena, "%s_BOUND", port->name), port->type.bound,
                    arena_printf(arena, "values of %s are 0 to this less 1", port->name));
}

static void print_sizes(Header *h) {
    const Interface *in = h->in;
    const Graph *graph = in->graph;
    text_puts(h->out, "\n");
    print_macro(h, "PARAMS", graph ? graph->params.count : 0, "parameter tensors");
    print_macro(h, "PARAM_COUNT", in->param_count, "numbers in the flat parameter array");
    print_macro(h, "WEIGHT_BYTES", in->weight_bytes, "of packed weights");
    if (in->step >= 0 && in->latency)
        print_macro(h, "LATENCY", in->latency, "steps before the first outputs of step");
    if (in->step >= 0 && in->period > 1)
        print_macro(h, "PERIOD", in->period,
                    "steps: one sequence alone is reset after whole periods only");
    if (!graph) return;
    for (int i = 0; i < graph->axes.count; i++) {
        const Axis *axis = &graph->axes.at[i];
        if (axis->fixed > 0)
            print_macro(h, arena_printf(h->out->arena, "%s_STEPS", axis->name), axis->fixed,
                        arena_printf(h->out->arena, "length of axis %s, always", axis->name));
        if (axis->most > 0)
            print_macro(h, arena_printf(h->out->arena, "%s_MOST", axis->name), axis->most,
                        arena_printf(h->out->arena, "largest length of axis %s", axis->name));
    }
    for (int i = 0; i < graph->inputs.count; i++) print_port(h, &graph->inputs.at[i], "input");
    for (int i = 0; i < graph->outputs.count; i++) print_port(h, &graph->outputs.at[i], "output");
}

/* ---- parameters and functions ---- */

static void print_param_table(Header *h) {
    if (!h->in->graph || h->in->graph->params.count == 0) return;
    text_printf(
        h->out,
        "\n/* A parameter: a row-major tensor at `offset` of the flat array. `initial` is glorot, "
        "he,\n"
        "   orthogonal, normal (a: deviation), uniform (from a to b), or values (`values`, or a\n"
        "   everywhere where that is NULL). A frozen one has no gradient. */\n"
        "typedef struct %s_param {\n"
        "    const char *name;\n"
        "    int32_t rank;\n"
        "    int64_t shape[%d];\n"
        "    int64_t offset, count; /* in numbers */\n"
        "    const char *initial;\n"
        "    double a, b;\n"
        "    const double *values;\n"
        "    int32_t frozen;\n"
        "} %s_param;\n\n"
        "extern const %s_param %s_params[%s_PARAMS];\n",
        h->prefix, MAX_RANK, h->prefix, h->prefix, h->prefix, h->upper);
}

static void print_function(Header *h, const LFunction *f) {
    Arena *arena = h->out->arena;
    const char *const *names = identifier_args(arena, f);
    Text doc = text_new(arena);
    text_puts(&doc, f->doc && *f->doc ? f->doc : identifier_symbol(h->in->module, f->name));
    for (int i = 0; i < f->args.count; i++)
        if (f->args.at[i].doc && *f->args.at[i].doc)
            text_printf(&doc, "\n  %s: %s", names[i], f->args.at[i].doc);
    text_puts(h->out, "\n");
    identifier_comment(h->out, text_string(&doc), 0);
    identifier_prototype(h->in->module, f, NULL, names, h->out);
    text_puts(h->out, ";\n");
}

bool backend_header(const Interface *interface_, const BackendOptions *options, Text *out,
                    Diags *diags) {
    (void)diags;
    const LoopModule *module = interface_->module;
    const char *prefix = identifier_of(out->arena, module->prefix);
    Header h = {.in = interface_,
                .out = out,
                .prefix = prefix,
                .upper = identifier_upper(out->arena, prefix)};
    print_top(&h, options);
    text_printf(out, "#ifndef %s_H\n#define %s_H\n\n#include <stddef.h>\n#include <stdint.h>\n",
                h.upper, h.upper);
    text_puts(out, "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    if (pools(interface_)) text_puts(out, "\nstruct rnn_rt_pool;\n");
    print_statuses(&h);
    print_sizes(&h);
    print_param_table(&h);
    for (int i = 0; i < module->functions.count; i++)
        if (module->functions.at[i]->exported) print_function(&h, module->functions.at[i]);
    text_puts(out, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    return true;
}
