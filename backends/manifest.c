/* The manifest: model, parameters, ports, axes, states and functions with the roles of their
 * arguments, as JSON. */
#include "manifest.h"

#include <inttypes.h>

#include "identifier.h"

static void print_string(Text *out, const char *string) {
    text_puts(out, "\"");
    for (const char *c = string ? string : ""; *c; c++) {
        if (*c == '"' || *c == '\\')
            text_printf(out, "\\%c", *c);
        else if ((unsigned char)*c < 32)
            text_printf(out, "\\u%04x", (unsigned)*c);
        else
            text_write(out, c, 1);
    }
    text_puts(out, "\"");
}

/* `"key": "value"` and the like, after a comma where one is due. */
static void print_key(Text *out, const char *before, const char *key) {
    text_printf(out, "%s\"%s\": ", before, key);
}

static void print_shape(Text *out, const Shape *shape) {
    text_puts(out, "[");
    for (int i = 0; i < shape->rank; i++)
        text_printf(out, "%s%" PRId64, i ? ", " : "", shape->dim[i]);
    text_puts(out, "]");
}

/* A number of JSON: infinities and NaN, which it has not, as strings. */
static void print_number(Text *out, double value) {
    if (value - value == 0) {
        text_printf(out, "%.17g", value);
    } else {
        text_puts(out, "\"");
        text_double(out, value);
        text_puts(out, "\"");
    }
}

static const char *dtype_text(DType dtype) {
    switch (dtype) {
    case DT_FLOAT: return "float";
    case DT_INT: return "int";
    case DT_BOOL: return "bool";
    }
    return "";
}

static const char *mode_text(Mode mode) {
    switch (mode) {
    case MODE_INFER: return "infer";
    case MODE_EVAL: return "eval";
    case MODE_TRAIN: return "train";
    }
    return "";
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

static const char *role_text(ArgRole role) {
    switch (role) {
    case ROLE_PARAMS: return "params";
    case ROLE_WEIGHTS: return "weights";
    case ROLE_BATCH: return "batch";
    case ROLE_STEPS: return "steps";
    case ROLE_LENGTHS: return "lengths";
    case ROLE_OUT_LENGTHS: return "out_lengths";
    case ROLE_INPUT: return "input";
    case ROLE_OUTPUT: return "output";
    case ROLE_UPSTREAM: return "upstream";
    case ROLE_LOSS: return "loss";
    case ROLE_GRADS: return "d_params";
    case ROLE_INPUT_GRAD: return "d_input";
    case ROLE_STATE: return "state";
    case ROLE_FIRST: return "first";
    case ROLE_COUNT: return "count";
    case ROLE_ENDED: return "ended";
    case ROLE_AT: return "at";
    case ROLE_SEED: return "seed";
    case ROLE_WORK: return "work";
    case ROLE_WORK_BYTES: return "work_bytes";
    case ROLE_POOL: return "pool";
    }
    return "";
}

static void print_params(const Interface *in, Text *out) {
    const Graph *graph = in->graph;
    text_puts(out, ",\n  \"params\": [");
    for (int i = 0; i < graph->params.count; i++) {
        const GraphParam *p = &graph->params.at[i];
        print_key(out, i ? ",\n    {" : "\n    {", "name");
        print_string(out, p->name);
        print_key(out, ", ", "shape");
        print_shape(out, &p->shape);
        print_key(out, ", ", "offset");
        text_printf(out, "%" PRId64, in->param_offsets.at[i]);
        print_key(out, ", ", "initial");
        print_string(out, initial_text(p->initial));
        print_key(out, ", ", "a");
        print_number(out, p->a);
        print_key(out, ", ", "b");
        print_number(out, p->b);
        text_printf(out, ", \"frozen\": %s}", p->frozen ? "true" : "false");
    }
    text_puts(out, "]");
}

static void print_axes(const Graph *graph, Text *out) {
    text_puts(out, ",\n  \"axes\": [");
    for (int i = 0; i < graph->axes.count; i++) {
        const Axis *axis = &graph->axes.at[i];
        print_key(out, i ? ",\n    {" : "\n    {", "name");
        print_string(out, axis->name);
        if (axis->kind == AXIS_SLOW) {
            print_key(out, ", ", "base");
            text_printf(out, "%d, \"every\": %" PRId64, axis->base, axis->every);
        }
        if (axis->fixed > 0) text_printf(out, ", \"fixed\": %" PRId64, axis->fixed);
        if (axis->most > 0) text_printf(out, ", \"most\": %" PRId64, axis->most);
        text_printf(out, ", \"generated\": %s}", axis->generated ? "true" : "false");
    }
    text_puts(out, "]");
}

static void print_port(const Graph *graph, const GraphPort *port, Text *out) {
    print_key(out, "{", "name");
    print_string(out, port->name);
    print_key(out, ", ", "type");
    print_string(out, dtype_text(port->type.dtype));
    if (port->type.bound > 0) text_printf(out, ", \"bound\": %" PRId64, port->type.bound);
    print_key(out, ", ", "axes");
    text_puts(out, "[");
    for (int i = 0; i < port->index_count; i++) {
        if (i) text_puts(out, ", ");
        print_string(out, graph->axes.at[graph->indices.at[port->indices[i]].axis].name);
    }
    text_puts(out, "]");
    print_key(out, ", ", "shape");
    print_shape(out, &port->type.shape);
    text_puts(out, "}");
}

/* What a size is made of: each term a product of the batch and of steps. */
static void print_bytes(const Graph *graph, const InterfaceFunction *entry, Text *out) {
    text_puts(out, ", \"bytes\": [");
    for (int i = 0; i < entry->bytes.count; i++) {
        const InterfaceTerm *term = &entry->bytes.at[i];
        text_printf(out, "%s{\"coefficient\": %" PRId64 ", \"of\": [", i ? ", " : "",
                    term->coefficient);
        bool first = true;
        for (int s = 0; s < INTERFACE_SYMBOLS; s++)
            for (int p = 0; p < term->powers[s]; p++) {
                text_puts(out, first ? "" : ", ");
                print_string(out, s ? graph->axes.at[s - 1].name : "batch");
                first = false;
            }
        text_puts(out, "]}");
    }
    text_puts(out, "]");
}

static void print_function(const Interface *in, const InterfaceFunction *entry, Text *out) {
    const LFunction *f = in->module->functions.at[entry->function];
    const char *const *names = identifier_args(out->arena, f);
    print_key(out, "{", "name");
    print_string(out, f->name);
    print_key(out, ", ", "symbol");
    print_string(out, identifier_symbol(in->module, f->name));
    print_key(out, ", ", "result");
    print_string(out, loop_type_text(f->result));
    text_puts(out, ", \"args\": [");
    for (int i = 0; i < f->args.count; i++) {
        const LArg *arg = &f->args.at[i];
        print_key(out, i ? ",\n      {" : "\n      {", "name");
        print_string(out, names[i]);
        if (i < entry->args.count) {
            print_key(out, ", ", "role");
            print_string(out, role_text(entry->args.at[i].role));
            text_printf(out, ", \"slot\": %d", entry->args.at[i].slot);
        }
        print_key(out, ", ", "type");
        print_string(out, loop_type_text(arg->type));
        text_printf(out, ", \"pointer\": %s, \"written\": %s, \"nullable\": %s}",
                    arg->pointer ? "true" : "false", arg->written ? "true" : "false",
                    arg->nullable ? "true" : "false");
    }
    text_puts(out, "]");
    if (f->result == LT_I64) print_bytes(in->graph, entry, out); /* a size, that may be 0 */
    text_puts(out, "}");
}

static bool emit(const Interface *in, const BackendOptions *options, Text *out, Diags *diags) {
    (void)diags;
    const Graph *graph = in->graph;
    print_key(out, "{\n  ", "model");
    print_string(out, in->model);
    print_key(out, ",\n  ", "rnnc");
    print_string(out, options->version);
    print_key(out, ",\n  ", "header");
    print_string(out, options->header_name);
    print_key(out, ",\n  ", "prefix");
    print_string(out, identifier_of(out->arena, in->module->prefix));
    print_key(out, ",\n  ", "mode");
    print_string(out, mode_text(graph->mode));
    print_key(out, ",\n  ", "dtype");
    print_string(out, loop_type_text(in->module->real));
    print_key(out, ",\n  ", "target");
    print_string(out, in->module->target.name);
    print_key(out, ",\n  ", "cflags");
    print_string(out, options->flags ? options->flags : "");
    text_printf(out,
                ",\n  \"lanes\": %d,\n  \"fma\": %s,\n  \"param_count\": %" PRId64
                ",\n  \"weight_bytes\": %" PRId64,
                in->module->target.lanes, in->module->target.fma ? "true" : "false",
                in->param_count, in->weight_bytes);
    if (loop_has_gemm(in->module))
        text_puts(out, ",\n  \"gemm\": \"blas\",\n  \"requires\": [\"rnn_rt_blas\"]");
    if (in->step >= 0)
        text_printf(out, ",\n  \"latency\": %" PRId64 ",\n  \"period\": %" PRId64, in->latency,
                    in->period);
    print_params(in, out);
    print_axes(graph, out);
    for (int side = 0; side < 2; side++) {
        text_puts(out, side ? ",\n  \"outputs\": [" : ",\n  \"inputs\": [");
        int count = side ? graph->outputs.count : graph->inputs.count;
        for (int i = 0; i < count; i++) {
            text_puts(out, i ? ",\n    " : "\n    ");
            print_port(graph, side ? &graph->outputs.at[i] : &graph->inputs.at[i], out);
        }
        text_puts(out, "]");
    }
    text_puts(out, ",\n  \"states\": [");
    for (int i = 0; i < in->states.count; i++) {
        print_key(out, i ? ",\n    {" : "\n    {", "name");
        print_string(out, in->states.at[i].name);
        text_printf(out,
                    ", \"lags\": %d, \"count\": %" PRId64 ", \"type\": ", in->states.at[i].lags,
                    in->states.at[i].count);
        print_string(out, dtype_text(in->states.at[i].type.dtype));
        text_puts(out, "}");
    }
    text_puts(out, "],\n  \"functions\": [");
    for (int i = 0; i < in->functions.count; i++) {
        text_puts(out, i ? ",\n    " : "\n    ");
        print_function(in, &in->functions.at[i], out);
    }
    text_puts(out, "]\n}\n");
    return true;
}

const Backend manifest_backend = {"manifest", "what the compiled model offers, as JSON", emit};
