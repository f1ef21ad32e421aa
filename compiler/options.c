/* The command line: one table of options, one row each, and a loop that reads it. What the contract
 * names but is not built yet is a row, too, so that it is refused by name. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "options_force.h"
#include "rnn_rt.h"

typedef enum OptionId {
    ID_OUT,
    ID_EMIT,
    ID_MODEL,
    ID_DEFINE,
    ID_MODE,
    ID_DTYPE,
    ID_PREFIX,
    ID_TARGET,
    ID_CPU,
    ID_FEATURES,
    ID_LEVEL,
    ID_PASSES,
    ID_DISABLE,
    ID_PRINT_AFTER,
    ID_VERIFY_EACH,
    ID_TIME_PASSES,
    ID_LIST_PASSES,
    ID_LIST_TARGETS,
    ID_REMARKS,
    ID_VERBOSE,
    ID_COLOR,
    ID_MD,
    ID_MF,
    ID_HELP,
    ID_VERSION,
    ID_GEMM,
    ID_REDUCE,
    ID_BACKEND,
    ID_WEIGHTS,
    ID_IN,
    ID_OUT_TENSOR,
    ID_LENGTHS,
    ID_OUT_LENGTHS,
    ID_STATE_IN,
    ID_STATE_OUT,
    ID_LOSS,
    ID_BATCH_FIRST,
    ID_SEED,
    ID_GRADS,
    ID_IN_GRADS,
    ID_UPSTREAM,
    ID_TRAIN,
    ID_BUDGET,
    ID_PLACES,
    ID_FORCE,
    ID_TUNING
} OptionId;

enum { /* commands, as sets */
       C = 1 << COMMAND_COMPILE,
       K = 1 << COMMAND_CHECK,
       R = 1 << COMMAND_RUN,
       G = 1 << COMMAND_GRAD,
       T = 1 << COMMAND_TRAIN,
       V = 1 << COMMAND_VERIFY,
       B = 1 << COMMAND_BENCH,
       U = 1 << COMMAND_TUNE,
       F = 1 << COMMAND_FMT,
       RUN = R | G, /* reads and writes tensors */
       CODE = C | RUN | T | B | U,
       ALL = C | K | RUN | T | V | B | U | F
};

typedef enum OptionForm {
    FORM_FLAG,  /* --name */
    FORM_VALUE, /* --name=VALUE, --name VALUE; -o VALUE, -oVALUE */
    FORM_GLUED  /* -O2: the value must follow at once */
} OptionForm;

typedef struct OptionRow {
    const char *name;
    OptionId id;
    OptionForm form;
    unsigned commands;
} OptionRow;

static const OptionRow rows[] = {
    {"-o", ID_OUT, FORM_VALUE, C | T | U | F},
    {"--emit", ID_EMIT, FORM_VALUE, C},
    {"--model", ID_MODEL, FORM_VALUE, C | K | RUN | T | V | B | U},
    {"-D", ID_DEFINE, FORM_VALUE, C | K | RUN | T | V | B | U},
    {"--mode", ID_MODE, FORM_VALUE, C | RUN | U},
    {"--dtype", ID_DTYPE, FORM_VALUE, CODE | V},
    {"--prefix", ID_PREFIX, FORM_VALUE, C},
    {"--target", ID_TARGET, FORM_VALUE, CODE},
    {"--cpu", ID_CPU, FORM_VALUE, CODE},
    {"--features", ID_FEATURES, FORM_VALUE, CODE},
    {"-O", ID_LEVEL, FORM_GLUED, CODE},
    {"--passes", ID_PASSES, FORM_VALUE, CODE},
    {"--disable-pass", ID_DISABLE, FORM_VALUE, CODE},
    {"--print-after", ID_PRINT_AFTER, FORM_VALUE, CODE},
    {"--verify-each", ID_VERIFY_EACH, FORM_FLAG, CODE},
    {"--time-passes", ID_TIME_PASSES, FORM_FLAG, CODE},
    {"--list-passes", ID_LIST_PASSES, FORM_FLAG, ALL},
    {"--list-targets", ID_LIST_TARGETS, FORM_FLAG, ALL},
    {"-R", ID_REMARKS, FORM_FLAG, C},
    {"-v", ID_VERBOSE, FORM_FLAG, ALL},
    {"--color", ID_COLOR, FORM_VALUE, ALL},
    {"-MD", ID_MD, FORM_FLAG, C},
    {"-MF", ID_MF, FORM_VALUE, C},
    {"--help", ID_HELP, FORM_FLAG, ALL},
    {"-h", ID_HELP, FORM_FLAG, ALL},
    {"--version", ID_VERSION, FORM_FLAG, ALL},
    {"--gemm", ID_GEMM, FORM_VALUE, CODE | V | U},
    {"--threads", ID_FORCE, FORM_VALUE, CODE | V},
    {"--reduce", ID_REDUCE, FORM_VALUE, CODE},
    {"--backend", ID_BACKEND, FORM_VALUE, RUN | T | V | B | U},
    {"--weights", ID_WEIGHTS, FORM_VALUE, RUN | T},
    {"--in", ID_IN, FORM_VALUE, RUN | T},
    {"--out", ID_OUT_TENSOR, FORM_VALUE, RUN},
    {"--lengths", ID_LENGTHS, FORM_VALUE, RUN | T | B | U},
    {"--out-lengths", ID_OUT_LENGTHS, FORM_VALUE, RUN},
    {"--state-in", ID_STATE_IN, FORM_VALUE, RUN},
    {"--state-out", ID_STATE_OUT, FORM_VALUE, RUN},
    {"--loss", ID_LOSS, FORM_VALUE, RUN},
    {"--batch-first", ID_BATCH_FIRST, FORM_FLAG, RUN | T},
    {"--seed", ID_SEED, FORM_VALUE, RUN | T | V | B | U},
    {"--grads", ID_GRADS, FORM_VALUE, G},
    {"--in-grads", ID_IN_GRADS, FORM_VALUE, G},
    {"--upstream", ID_UPSTREAM, FORM_VALUE, G},
    {"--text", ID_TRAIN, FORM_VALUE, T},
    {"--valid", ID_TRAIN, FORM_VALUE, T},
    {"--split", ID_TRAIN, FORM_VALUE, T},
    {"--batch", ID_TRAIN, FORM_VALUE, T | B | U},
    {"--window", ID_TRAIN, FORM_VALUE, T},
    {"--epochs", ID_TRAIN, FORM_VALUE, T},
    {"--steps", ID_TRAIN, FORM_VALUE, T},
    {"--eval-every", ID_TRAIN, FORM_VALUE, T},
    {"--patience", ID_TRAIN, FORM_VALUE, T},
    {"--optimizer", ID_TRAIN, FORM_VALUE, T},
    {"--lr", ID_TRAIN, FORM_VALUE, T},
    {"--schedule", ID_TRAIN, FORM_VALUE, T},
    {"--warmup", ID_TRAIN, FORM_VALUE, T},
    {"--clip", ID_TRAIN, FORM_VALUE, T},
    {"--checkpoint", ID_TRAIN, FORM_VALUE, T},
    {"--log", ID_TRAIN, FORM_VALUE, T},
    {"--curve", ID_TRAIN, FORM_VALUE, T},
    {"--resume", ID_TRAIN, FORM_FLAG, T},
    {"-g", ID_PLACES, FORM_FLAG, CODE | V},
    {"--unroll-time", ID_FORCE, FORM_VALUE, CODE | V},
    {"--layout", ID_FORCE, FORM_VALUE, CODE | V},
    {"--tile", ID_FORCE, FORM_VALUE, CODE | V},
    {"--tuning", ID_TUNING, FORM_VALUE, (CODE & ~U) | V},
    {"--memory-budget", ID_BUDGET, FORM_VALUE, C | G | T},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

typedef struct Parser {
    Arena *arena;
    Options *options;
    const char **why;
    bool emit_given, mode_given;
    VEC(const OptionRow *) used;
} Parser;

static bool fail(Parser *p, const char *message) {
    *p->why = message;
    return false;
}

static const char *nearest_option(Arena *arena, const char *name) {
    const char *names[ROW_COUNT];
    for (int i = 0; i < ROW_COUNT; i++) names[i] = rows[i].name;
    const char *near = strlen(name) > 2 ? name_nearest(name, names, ROW_COUNT) : NULL;
    return near ? arena_printf(arena, ", did you mean '%s'?", near) : "";
}

/* A value out of a list of words; -1 with a message when it is none of them. */
static int choose(Parser *p, const OptionRow *row, const char *value, const char *const *words) {
    int count = 0;
    Text list = text_new(p->arena);
    for (; words[count]; count++) {
        if (strcmp(words[count], value) == 0) return count;
        text_printf(&list, "%s%s", count ? ", " : "", words[count]);
    }
    const char *near = name_nearest(value, words, count);
    fail(p, near ? arena_printf(p->arena, "%s: '%s' is not known, did you mean '%s'?", row->name,
                                value, near)
                 : arena_printf(p->arena, "%s: '%s' is none of %s", row->name, value,
                                text_string(&list)));
    return -1;
}

static bool later(Parser *p, const char *what) {
    return fail(p, arena_printf(p->arena, "%s is not built yet", what));
}

static bool take_define(Parser *p, const char *value) {
    const char *equals = strchr(value, '=');
    if (!equals || equals == value)
        return fail(p, arena_printf(p->arena, "-D: '%s' is not NAME=VALUE", value));
    char *end;
    double number = strtod(equals + 1, &end);
    if (end == equals + 1 || *end || isnan(number) || strpbrk(equals + 1, "xX \t"))
        return fail(p, arena_printf(p->arena, "-D: '%s' is not a number", equals + 1));
    const char *name = arena_strndup(p->arena, value, (size_t)(equals - value));
    for (int i = 0; i < p->options->defines.count; i++)
        if (strcmp(p->options->defines.at[i].name, name) == 0)
            return fail(p, arena_printf(p->arena, "-D: %s is defined twice", name));
    vec_push(p->arena, &p->options->defines, (SemaDefine){.name = name, .value = number});
    return true;
}

static bool take_named(Parser *p, const OptionRow *row, const char *value, NamedList *list) {
    const char *equals = strchr(value, '=');
    if (!equals || equals == value || !equals[1])
        return fail(p, arena_printf(p->arena, "%s: '%s' is not NAME=FILE", row->name, value));
    const char *name = arena_strndup(p->arena, value, (size_t)(equals - value));
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->at[i].name, name) == 0)
            return fail(p, arena_printf(p->arena, "%s: %s is given twice", row->name, name));
    vec_push(p->arena, list, (Named){name, equals + 1});
    return true;
}

static bool take_once(Parser *p, const OptionRow *row, const char *value, const char **to) {
    if (*to) return fail(p, arena_printf(p->arena, "%s is given twice", row->name));
    if (!*value) return fail(p, arena_printf(p->arena, "%s: the value is empty", row->name));
    *to = value;
    return true;
}

static bool take_emit(Parser *p, const OptionRow *row, const char *value) {
    static const char *const words[] = {"c",   "manifest", "ast",   "graph", "schedule", "loop",
                                        "dot", "remarks",  "obj",   "asm",   "llvm",     "lib",
                                        "so",  "pc",       "cmake", NULL};
    int i = choose(p, row, value, words);
    if (i < 0) return false;
    p->emit_given = true;
    p->options->emit = (Emit)i;
    return true;
}

static bool take_dtype(Parser *p, const OptionRow *row, const char *value) {
    static const char *const words[] = {"f32", "f64", "bf16", "f16", "i8", NULL};
    int i = choose(p, row, value, words);
    if (i < 0) return false;
    if (i > 1) return later(p, arena_printf(p->arena, "--dtype=%s", value));
    p->options->real = i ? LT_F64 : LT_F32;
    return true;
}

static bool take_prefix(Parser *p, const OptionRow *row, const char *value) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    if (!*value || strspn(value, letters) != strlen(value) || strchr("_0123456789", value[0]))
        return fail(p, arena_printf(p->arena, "--prefix: '%s' cannot begin a symbol of C", value));
    return take_once(p, row, value, &p->options->prefix);
}

static bool take_seed(Parser *p, const char *value) {
    char *end;
    errno = 0;
    unsigned long long seed = strtoull(value, &end, 10);
    if (!*value || *end || errno || strspn(value, "0123456789") != strlen(value))
        return fail(p, arena_printf(p->arena, "--seed: '%s' is no whole number below 2^64", value));
    p->options->seed = seed;
    return true;
}

/* Bytes, or with a letter thousands, millions, thousands of millions of them. */
static bool take_budget(Parser *p, const char *value) {
    char *end;
    errno = 0;
    long long bytes = strtoll(value, &end, 10);
    int64_t unit = *end == 'k' || *end == 'K' ? 1000
                   : *end == 'M'              ? 1000000
                   : *end == 'G'              ? 1000000000
                                              : 1;
    if (unit > 1) end++;
    if (!isdigit((unsigned char)*value) || *end || errno || bytes < 1 || bytes > INT64_MAX / unit)
        return fail(
            p, arena_printf(p->arena, "--memory-budget=%s: a number of bytes, such as 64M", value));
    p->options->memory_budget = bytes * unit;
    return true;
}

/* Names separated by commas. */
static bool take_list(Parser *p, const char *value, bool disabled) {
    while (*value) {
        size_t length = strcspn(value, ",");
        const char *name = arena_strndup(p->arena, value, length);
        if (disabled)
            vec_push(p->arena, &p->options->disabled, name);
        else
            vec_push(p->arena, &p->options->passes, name);
        value += length;
        if (*value == ',') value++;
    }
    return true;
}

static bool take(Parser *p, const OptionRow *row, const char *value) {
    static const char *const modes[] = {"infer", "eval", "train", NULL};
    static const char *const colors[] = {"auto", "always", "never", NULL};
    static const char *const levels[] = {"0", "1", "2", "3", NULL};
    static const char *const gemms[] = {"builtin", "blas", NULL};
    static const char *const reduces[] = {"mean", "sum", NULL};
    static const char *const backends[] = {"interp", "c", "llvm", NULL};
    Options *o = p->options;
    int word;
    switch (row->id) {
    case ID_OUT: return take_once(p, row, value, &o->out);
    case ID_EMIT: return take_emit(p, row, value);
    case ID_MODEL: return take_once(p, row, value, &o->model);
    case ID_DEFINE: return take_define(p, value);
    case ID_MODE:
        if ((word = choose(p, row, value, modes)) < 0) return false;
        o->mode = (Mode)word;
        p->mode_given = true;
        return true;
    case ID_DTYPE: return take_dtype(p, row, value);
    case ID_PREFIX: return take_prefix(p, row, value);
    case ID_TARGET: return take_once(p, row, value, &o->target.triple);
    case ID_CPU: return take_once(p, row, value, &o->target.cpu);
    case ID_FEATURES: return take_once(p, row, value, &o->target.features);
    case ID_LEVEL:
        if ((word = choose(p, row, value, levels)) < 0) return false;
        o->level = word;
        o->optional_passes = word > 0;
        return true;
    case ID_PASSES: o->passes_given = true; return take_list(p, value, false);
    case ID_DISABLE: return take_list(p, value, true);
    case ID_PRINT_AFTER: return take_once(p, row, value, &o->print_after);
    case ID_VERIFY_EACH: o->verify_each = true; return true;
    case ID_TIME_PASSES: o->time_passes = true; return true;
    case ID_LIST_PASSES: o->command = COMMAND_LIST_PASSES; return true;
    case ID_LIST_TARGETS: o->command = COMMAND_LIST_TARGETS; return true;
    case ID_HELP: o->command = COMMAND_HELP; return true;
    case ID_VERSION: o->command = COMMAND_VERSION; return true;
    case ID_REMARKS: o->remarks = true; return true;
    case ID_VERBOSE: o->verbose = true; return true;
    case ID_COLOR:
        if ((word = choose(p, row, value, colors)) < 0) return false;
        o->color = (ColorWish)word;
        return true;
    case ID_MD: o->depend = true; return true;
    case ID_MF: return take_once(p, row, value, &o->depend_file);
    case ID_GEMM:
        if ((word = choose(p, row, value, gemms)) < 0) return false;
        o->blas = word == 1;
        return true;
    case ID_REDUCE:
        if ((word = choose(p, row, value, reduces)) < 0) return false;
        o->reduce_sum = word == 1;
        return true;
    case ID_BACKEND:
        if ((word = choose(p, row, value, backends)) < 0) return false;
        o->backend = word == 0 ? RUN_INTERP : word == 1 ? RUN_C : RUN_LLVM;
        return true;
    case ID_WEIGHTS: return take_once(p, row, value, &o->weights);
    case ID_IN: return take_named(p, row, value, &o->in);
    case ID_OUT_TENSOR: return take_named(p, row, value, &o->out_tensors);
    case ID_LENGTHS: return take_named(p, row, value, &o->lengths);
    case ID_OUT_LENGTHS: return take_named(p, row, value, &o->out_lengths);
    case ID_STATE_IN: return take_once(p, row, value, &o->state_in);
    case ID_STATE_OUT: return take_once(p, row, value, &o->state_out);
    case ID_GRADS: return take_once(p, row, value, &o->grads);
    case ID_IN_GRADS: return take_once(p, row, value, &o->in_grads);
    case ID_UPSTREAM: return take_named(p, row, value, &o->upstream);
    case ID_LOSS: return take_once(p, row, value, &o->loss);
    case ID_BATCH_FIRST: o->batch_first = true; return true;
    case ID_SEED: return take_seed(p, value);
    case ID_TRAIN: return train_option(p->arena, &o->train, row->name, value, p->why);
    case ID_BUDGET: return take_budget(p, value);
    case ID_PLACES: o->places = true; return true;
    case ID_TUNING: return take_once(p, row, value, &o->tuning);
    case ID_FORCE: return force_option(p->arena, o, row->name, value, p->why);
    }
    return false;
}

/* The row of `argument`, and its value when that is in the same argument. */
static const OptionRow *find_row(const char *argument, const char **value) {
    *value = NULL;
    for (int i = 0; i < ROW_COUNT; i++) {
        const OptionRow *row = &rows[i];
        size_t length = strlen(row->name);
        if (strcmp(argument, row->name) == 0 && row->form != FORM_GLUED) return row;
        if (strncmp(argument, row->name, length) != 0) continue;
        if (row->name[1] == '-' && argument[length] == '=') {
            *value = argument + length + 1;
            return row;
        }
        /* -oOUT, -DH=3, -O2; but -MD is an option of its own. */
        if (row->name[1] != '-' && row->form != FORM_FLAG && length == 2) {
            *value = argument + length;
            return row;
        }
    }
    return NULL;
}

static bool take_command(Parser *p, const char *word, bool *is_command) {
    static const char *const built[] = {"compile", "check", "run",  "grad", "train",
                                        "verify",  "bench", "tune", "fmt"};
    static const char *const not_yet[] = {"import"};
    *is_command = true;
    for (int i = COMMAND_CHECK; i <= COMMAND_FMT; i++)
        if (strcmp(word, built[i]) == 0) {
            p->options->command = (Command)i;
            return true;
        }
    for (size_t i = 0; i < sizeof not_yet / sizeof *not_yet; i++)
        if (strcmp(word, not_yet[i]) == 0)
            return fail(p, arena_printf(p->arena, "the command '%s' is not built yet", word));
    *is_command = false;
    return true;
}

static bool check_grad(Parser *p) {
    Options *o = p->options;
    o->training = o->backend != RUN_INTERP;
    if (!p->mode_given) o->mode = MODE_TRAIN;
    if (o->mode == MODE_INFER) return fail(p, "'grad' needs --mode=train or --mode=eval");
    if (!o->grads && !o->in_grads && !o->loss)
        return fail(p, "nothing to write: give --grads, --in-grads or --loss");
    return true;
}

static bool check_train(Parser *p) {
    Options *o = p->options;
    o->training = o->backend != RUN_INTERP;
    o->mode = MODE_TRAIN;
    if (o->train.resume && o->weights)
        return fail(p, "--resume goes on with the checkpoint's parameters: --weights is too much");
    if (o->train.text_file && o->batch_first)
        return fail(p, "--batch-first has no meaning for a text");
    return train_options_check(p->arena, &o->train, o->in.count || o->lengths.count, o->out,
                               p->why);
}

static bool check_bench(Parser *p) {
    bool batch = false;
    for (int i = 0; i < p->used.count; i++)
        batch = batch || strcmp(p->used.at[i]->name, "--batch") == 0;
    if (!batch) p->options->train.batch = 1;
    if (p->options->backend != RUN_INTERP) return true;
    return fail(p, p->options->command == COMMAND_TUNE ? "'tune' times compiled code alone"
                                                       : "'bench' times compiled code alone");
}

static bool check_tune(Parser *p) {
    Options *o = p->options;
    if (p->mode_given && o->mode == MODE_EVAL)
        return fail(p, "'tune' looks at --mode=infer or --mode=train, or at both without it");
    o->tuned[0] = !p->mode_given || o->mode == MODE_INFER;
    o->tuned[1] = !p->mode_given || o->mode == MODE_TRAIN;
    o->mode = MODE_INFER;
    if (!o->out && strcmp(o->file, "-") == 0)
        return fail(p, "-o says where the tuning of a model from standard input goes");
    return check_bench(p);
}

/* What only the whole line shows to be wrong. */
static bool check_whole(Parser *p) {
    static const char *const names[] = {"compiling", "'check'", "'run'",  "'grad'", "'train'",
                                        "'verify'",  "'bench'", "'tune'", "'fmt'"};
    Options *o = p->options;
    if (o->command > COMMAND_FMT) return true;
    for (int i = 0; i < p->used.count; i++)
        if (!(p->used.at[i]->commands & (1u << o->command)))
            return fail(p, arena_printf(p->arena, "%s has no meaning for %s", p->used.at[i]->name,
                                        names[o->command]));
    if (!o->file) return fail(p, "no file is given (see --help)");
    if (o->command == COMMAND_COMPILE && o->out && !p->emit_given) {
        static const char *const endings[][2] = {{".o", "obj"},   {".s", "asm"},
                                                 {".ll", "llvm"}, {".a", "lib"},
                                                 {".so", "so"},   {".json", "manifest"}};
        const char *dot = strrchr(o->out, '.');
        for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
            if (strcmp(dot, endings[i][0]) == 0)
                return fail(p, arena_printf(p->arena, "-o %s: say --emit=%s (the default is c)",
                                            o->out, endings[i][1]));
    }
    bool makes = o->command == COMMAND_COMPILE || o->command == COMMAND_TUNE;
    if (makes && o->out && strcmp(o->out, "-") != 0 && strcmp(o->out, o->file) == 0)
        return fail(p, arena_printf(p->arena, "-o %s would overwrite the source", o->out));
    o->training = o->command == COMMAND_COMPILE && o->mode != MODE_INFER;
    if (o->depend_file) o->depend = true;
    if (o->command == COMMAND_RUN && o->loss) {
        if (o->mode == MODE_INFER)
            return fail(p, "--loss: a loss needs --mode=eval or --mode=train");
        o->training = o->backend != RUN_INTERP;
    }
    if (o->command == COMMAND_GRAD && !check_grad(p)) return false;
    if (o->command == COMMAND_TRAIN && !check_train(p)) return false;
    if (o->command == COMMAND_VERIFY) o->mode = MODE_INFER;
    if (o->command == COMMAND_BENCH && !check_bench(p)) return false;
    if (o->command == COMMAND_TUNE && !check_tune(p)) return false;
    if (o->command == COMMAND_RUN && !o->out_tensors.count && !o->out_lengths.count && !o->loss &&
        !o->state_out)
        return fail(p, "nothing to write: give --out, --out-lengths, --state-out or --loss");
    int from_stdin = strcmp(o->file, "-") == 0;
    for (int i = 0; i < o->in.count; i++) from_stdin += strcmp(o->in.at[i].value, "-") == 0;
    for (int i = 0; i < o->upstream.count; i++)
        from_stdin += strcmp(o->upstream.at[i].value, "-") == 0;
    for (int i = 0; i < o->lengths.count; i++)
        from_stdin += strcmp(o->lengths.at[i].value, "-") == 0;
    if (o->weights) from_stdin += strcmp(o->weights, "-") == 0;
    if (o->state_in) from_stdin += strcmp(o->state_in, "-") == 0;
    if (from_stdin > 1) return fail(p, "standard input is read more than once");
    return true;
}

/* Two words that are no options: two files, or a command that is misspelt. */
static bool second_word(Parser *p, const char *argument) {
    static const char *const commands[] = {"check",  "run",   "fmt",  "grad",  "train",
                                           "verify", "bench", "tune", "import"};
    const char *first = p->options->file;
    const char *near =
        strpbrk(first, "./")
            ? NULL
            : name_nearest(first, commands, (int)(sizeof commands / sizeof *commands));
    if (near && p->options->command == COMMAND_COMPILE)
        return fail(
            p, arena_printf(p->arena, "there is no command '%s', did you mean '%s'?", first, near));
    return fail(p, arena_printf(p->arena, "two files are given, '%s' and '%s'", first, argument));
}

const Options *options_parse(Arena *arena, int argc, char **argv, const char **why) {
    Options *o = ARENA_NEW(arena, Options);
    Parser p = {.arena = arena, .options = o, .why = why};
    o->real = LT_F32;
    o->train = train_options();
    o->level = 2;
    o->threads = 1;
    o->optional_passes = o->init = true;
    bool command_open = true, options_open = true;
    for (int i = 1; i < argc && o->command <= COMMAND_FMT; i++) {
        const char *argument = argv[i];
        if (!options_open || argument[0] != '-' || strcmp(argument, "-") == 0) {
            bool is_command = false;
            if (command_open && options_open && !take_command(&p, argument, &is_command))
                return NULL;
            command_open = false;
            if (is_command) continue;
            if (o->file) return second_word(&p, argument), NULL;
            o->file = argument;
            continue;
        }
        if (strcmp(argument, "--") == 0) {
            options_open = false;
            continue;
        }
        const char *value;
        const OptionRow *row = find_row(argument, &value);
        if (!row) {
            const char *name = arena_strndup(arena, argument, strcspn(argument, "="));
            return fail(&p, arena_printf(arena, "unknown option '%s'%s", name,
                                         nearest_option(arena, name))),
                   NULL;
        }
        if (row->form == FORM_FLAG && value)
            return fail(&p, arena_printf(arena, "%s takes no value", row->name)), NULL;
        if (row->form == FORM_VALUE && !value) {
            if (i + 1 == argc)
                return fail(&p, arena_printf(arena, "%s needs a value", row->name)), NULL;
            value = argv[++i];
        }
        if (!take(&p, row, value ? value : "")) return NULL;
        vec_push(arena, &p.used, row);
    }
    return check_whole(&p) ? o : NULL;
}
