/* --text: the characters of a file as classes, the next ones as targets, cut into streams that are
 * read side by side. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "train_data.h"

/* The text as classes; `classes` of them in all. */
typedef struct Tokens {
    int32_t *at;
    int64_t count;
    const char *vocabulary; /* NULL: bytes */
} Tokens;

static int find_input(const Graph *graph, const char *name) {
    for (int i = 0; i < graph->inputs.count; i++)
        if (strcmp(graph->inputs.at[i].name, name) == 0) return i;
    return -1;
}

/* ---- Characters ---- */

/* The bytes of the character at `at`; 0 where it is no UTF-8. */
static int character(const unsigned char *at, size_t left, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = at[0] < 0x80   ? 1
                 : at[0] < 0xc2 ? 0
                 : at[0] < 0xe0 ? 2
                 : at[0] < 0xf0 ? 3
                 : at[0] < 0xf5 ? 4
                                : 0;
    if (length == 0 || (size_t)length > left) return 0;
    *code = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (int i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (at[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

enum { CODES = 0x110000 };

/* Every code point of the text gets a class, in ascending order of code points. */
static bool take_characters(TrainEngine *engine, const unsigned char *bytes, size_t size,
                            int64_t bound, Tokens *tokens) {
    Compilation *c = engine->c;
    const char *path = c->options->train.text_file;
    int32_t *class_of = ARENA_ARRAY(c->arena, CODES, int32_t), classes = 0;
    uint32_t code = 0;
    tokens->at = ARENA_ARRAY(c->arena, size + 1, int32_t);
    for (size_t i = 0; i < size;) {
        int length = character(bytes + i, size - i, &code);
        if (length == 0 || code == 0) {
            diag_error(c->diags, "E-TENSOR", (Span){0},
                       "%s is no UTF-8 text at byte %zu; a model of bytes has 256 classes", path,
                       i);
            return false;
        }
        class_of[code] = 1;
        tokens->at[tokens->count++] = (int32_t)code;
        i += (size_t)length;
    }
    Text vocabulary = text_new(c->arena);
    for (uint32_t k = 0; k < CODES; k++) {
        if (!class_of[k]) continue;
        class_of[k] = classes++;
        char utf8[4];
        int n = 1;
        if (k < 0x80) {
            utf8[0] = (char)k;
        } else if (k < 0x800) {
            utf8[0] = (char)(0xc0 | k >> 6);
            n = 2;
        } else if (k < 0x10000) {
            utf8[0] = (char)(0xe0 | k >> 12);
            utf8[1] = (char)(0x80 | (k >> 6 & 0x3f));
            n = 3;
        } else {
            utf8[0] = (char)(0xf0 | k >> 18);
            utf8[1] = (char)(0x80 | (k >> 12 & 0x3f));
            utf8[2] = (char)(0x80 | (k >> 6 & 0x3f));
            n = 4;
        }
        if (n > 1) utf8[n - 1] = (char)(0x80 | (k & 0x3f));
        text_write(&vocabulary, utf8, (size_t)n);
    }
    if (classes > bound) {
        diag_error(c->diags, "E-TENSOR", (Span){0},
                   "%s has %d different characters when input %s has %" PRId64 " classes", path,
                   classes, c->options->train.text_input, bound);
        return false;
    }
    if (classes < bound)
        text_printf(&c->log,
                    "rnnc: note: %s has %d different characters, %" PRId64
                    " classes are never used\n",
                    path, classes, bound - classes);
    for (int64_t i = 0; i < tokens->count; i++) tokens->at[i] = class_of[tokens->at[i]];
    tokens->vocabulary = text_string(&vocabulary);
    return true;
}

typedef struct FileBytes {
    unsigned char *at;
} FileBytes;

static void end_bytes(void *what) {
    free(((FileBytes *)what)->at);
    ((FileBytes *)what)->at = NULL;
}

static bool read_tokens(TrainEngine *engine, int64_t bound, Tokens *tokens) {
    Compilation *c = engine->c;
    FileBytes *bytes = ARENA_NEW(c->arena, FileBytes);
    arena_own(c->arena, end_bytes, bytes);
    size_t size;
    char error[512];
    RtStatus read =
        rt_file_read(c->options->train.text_file, &bytes->at, &size, error, sizeof error);
    if (read == RT_ERR_NOMEM) arena_exhausted(c->arena);
    if (read != RT_OK) {
        diag_error(c->diags, "E-TENSOR", (Span){0}, "%s", error);
        return false;
    }
    bool good = true;
    if (bound == 256) {
        tokens->at = ARENA_ARRAY(c->arena, size + 1, int32_t);
        tokens->count = (int64_t)size;
        for (size_t i = 0; i < size; i++) tokens->at[i] = bytes->at[i];
    } else {
        good = take_characters(engine, bytes->at, size, bound, tokens);
    }
    end_bytes(bytes);
    return good;
}

/* ---- Streams ---- */

/* What --text asks of the model: two inputs of classes on one axis of time, and no other. */
static bool check_ports(TrainEngine *engine, int *input, int *target) {
    const TrainOptions *o = &engine->c->options->train;
    const Graph *graph = engine->train;
    Diags *diags = engine->c->diags;
    const char *names[] = {o->text_input, o->text_target};
    int *slots[] = {input, target};
    bool good = true;
    for (int k = 0; k < 2; k++) {
        *slots[k] = find_input(graph, names[k]);
        if (*slots[k] < 0) {
            diag_error(diags, "E-TENSOR", (Span){0}, "--text: model %s has no input %s",
                       graph->model, names[k]);
            good = false;
            continue;
        }
        const GraphPort *port = &graph->inputs.at[*slots[k]];
        bool fits = port->type.dtype == DT_INT && port->type.bound > 0 &&
                    port->type.shape.rank == 0 && port->index_count == 1 &&
                    graph->axes.at[graph->indices.at[port->indices[0]].axis].kind == AXIS_RUN;
        if (fits) continue;
        diag_error(diags, "E-TENSOR", (Span){0},
                   "--text: input %s is no stream of classes, %s[t]: int(V)", port->name,
                   port->name);
        good = false;
    }
    if (!good) return false;
    const GraphPort *a = &graph->inputs.at[*input], *b = &graph->inputs.at[*target];
    if (*input == *target || a->indices[0] != b->indices[0] || a->type.bound != b->type.bound) {
        diag_error(diags, "E-TENSOR", (Span){0},
                   "--text: %s and %s are not two inputs of one axis and as many classes", a->name,
                   b->name);
        return false;
    }
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        bool read = port->node >= 0 || engine->eval->inputs.at[i].node >= 0;
        if (i == *input || i == *target || !read || port->fallback >= 0) continue;
        diag_error(diags, "E-TENSOR", (Span){0}, "--text: input %s is missing", port->name);
        good = false;
    }
    for (int x = 0; x < graph->axes.count; x++)
        if (graph->axes.at[x].kind == AXIS_RUN && x != graph->indices.at[a->indices[0]].axis) {
            diag_error(diags, "E-TENSOR", (Span){0}, "--text: model %s has another time axis, %s",
                       graph->model, graph->axes.at[x].name);
            good = false;
        }
    return good;
}

/* Tokens begin … begin + count - 1 as `batch` streams. */
static TrainSet make_streams(TrainEngine *engine, const Tokens *tokens, int64_t begin,
                             int64_t count, int64_t batch, int input, int target) {
    Arena *arena = engine->c->arena;
    const Graph *graph = engine->train;
    TrainData *data = ARENA_NEW(arena, TrainData);
    TrainSet set = {.data = data, .items = ARENA_ARRAY(arena, batch, int64_t), .count = batch};
    int64_t length = count > 0 ? (count - 1) / batch : 0;
    int axis = graph->indices.at[graph->inputs.at[input].indices[0]].axis;
    data->graph = graph;
    data->count = batch;
    data->extent = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t);
    data->lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    data->inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, TrainStream);
    /* A fixed axis takes whole windows alone. */
    int64_t fixed = graph->axes.at[axis].fixed;
    if (fixed > 0) length = length / fixed * fixed;
    data->extent[axis] = length;
    if (fixed <= 0) data->lengths[axis] = ARENA_ARRAY(arena, batch, int64_t);
    for (int i = 0; i < graph->inputs.count; i++) data->inputs[i].port = &graph->inputs.at[i];
    for (int side = 0; side < 2; side++) {
        TrainStream *stream = &data->inputs[side ? target : input];
        stream->bytes = sizeof(int32_t);
        stream->positions = length;
        stream->at = arena_alloc(arena, (size_t)(batch * length) * sizeof(int32_t) + 1);
    }
    for (int64_t b = 0; b < batch; b++) {
        /* The streams stand where the runtime's windows would put them. */
        RtRange whole = rt_text_window((size_t)count, (size_t)batch,
                                       (size_t)(length > 0 ? length : 1), 0, (size_t)b);
        size_t bytes = (size_t)length * sizeof(int32_t);
        const int32_t *from = tokens->at + begin + (int64_t)whole.begin;
        set.items[b] = b;
        if (data->lengths[axis]) data->lengths[axis][b] = length;
        if (bytes == 0) continue;
        memcpy(data->inputs[input].at + (size_t)b * bytes, from, bytes);
        memcpy(data->inputs[target].at + (size_t)b * bytes, from + 1, bytes);
    }
    return set;
}

bool train_text_read(TrainEngine *engine, TrainSet *train, TrainSet *valid, const char **vocabulary,
                     ExitStatus *status) {
    const TrainOptions *o = &engine->c->options->train;
    int input, target;
    Tokens tokens = {0};
    *status = EXIT_INPUT;
    if (!check_ports(engine, &input, &target)) return false;
    const GraphPort *port = &engine->train->inputs.at[input];
    if (!read_tokens(engine, port->type.bound, &tokens)) return false;
    int64_t held = (int64_t)rt_split_count((size_t)tokens.count, o->valid);
    *train = make_streams(engine, &tokens, 0, tokens.count - held, o->batch, input, target);
    *valid = (TrainSet){.data = train->data};
    if (held > 0)
        *valid = make_streams(engine, &tokens, tokens.count - held, held, o->batch, input, target);
    int axis = engine->train->indices.at[port->indices[0]].axis;
    if (train->data->extent[axis] < 1 || (held > 0 && valid->data->extent[axis] < 1)) {
        diag_error(engine->c->diags, "E-TENSOR", (Span){0},
                   "%s has %" PRId64 " characters, too few for %" PRId64 " streams%s", o->text_file,
                   tokens.count, o->batch, o->valid > 0 ? " of each of the two parts" : "");
        return false;
    }
    *vocabulary = tokens.vocabulary;
    return true;
}
