/* The options of `rnnc train`: numbers, and small languages for optimiser, schedule and clipping,
 * NAME:key=value,key=value. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train_options.h"

typedef struct Taking {
    Arena *arena;
    const char *name; /* of the option */
    const char **why;
} Taking;

static bool fail(const Taking *taking, const char *what, const char *value) {
    *taking->why = arena_printf(taking->arena, "%s: '%s' is %s", taking->name, value, what);
    return false;
}

TrainOptions train_options(void) {
    TrainOptions options = {.batch = 32, .epochs = -1, .steps = -1};
    options.optimiser = rt_optimiser(RT_ADAM);
    options.schedule = rt_schedule(RT_SCHEDULE_CONSTANT, 0, 0);
    options.clip_norm = options.clip_value = -1;
    return options;
}

/* ---- Numbers ---- */

static bool take_whole(const Taking *taking, const char *value, int64_t least, int64_t *to) {
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    bool good = *value && !*end && errno == 0 && strspn(value, "0123456789") == strlen(value);
    if (!good || number < least || number > INT64_C(1) << 40)
        return fail(
            taking,
            arena_printf(taking->arena, "no whole number from %lld to 2^40", (long long)least),
            value);
    *to = number;
    return true;
}

static bool take_real(const Taking *taking, const char *value, double *to) {
    char *end;
    double number = strtod(value, &end);
    if (!*value || *end || !isfinite(number) || number < 0 || strpbrk(value, "xXpP \t+"))
        return fail(taking, "no number of 0 or more", value);
    *to = number;
    return true;
}

static bool take_path(const Taking *taking, const char *value, const char **to) {
    if (*to) {
        *taking->why = arena_printf(taking->arena, "%s is given twice", taking->name);
        return false;
    }
    if (!*value) return fail(taking, "no file", value);
    *to = value;
    return true;
}

/* ---- NAME:key=value,key=value ---- */

typedef struct Key {
    const char *name;
    double *real;
    uint64_t *whole;
    bool *truth; /* a word without value */
} Key;

/* Takes "key=value,word" behind the name; `keys` ends with a name of NULL. */
static bool take_keys(const Taking *taking, const char *value, const Key *keys) {
    while (*value) {
        size_t length = strcspn(value, ",");
        char *item = arena_strndup(taking->arena, value, length), *equals = strchr(item, '=');
        const Key *key = keys;
        if (equals) *equals = '\0';
        while (key->name && strcmp(key->name, item) != 0) key++;
        if (!key->name) return fail(taking, "nothing that can be set here", item);
        if (key->truth ? equals != NULL : equals == NULL)
            return fail(taking, key->truth ? "a word without value" : "without a value", item);
        if (key->truth) *key->truth = true;
        if (key->real && !take_real(taking, equals + 1, key->real)) return false;
        if (key->whole) {
            int64_t number;
            if (!take_whole(taking, equals + 1, 0, &number)) return false;
            *key->whole = (uint64_t)number;
        }
        value += length;
        if (*value == ',') value++;
    }
    return true;
}

/* The name before ':', and what stands behind it. */
static const char *split_name(const Taking *taking, const char *value, const char **rest) {
    size_t length = strcspn(value, ":");
    *rest = value[length] ? value + length + 1 : "";
    return arena_strndup(taking->arena, value, length);
}

/* A rate that was given before stays. */
static bool take_optimiser(const Taking *taking, const char *value, RtOptimiser *to) {
    const char *rest, *name = split_name(taking, value, &rest);
    RtOptimiserKind kind;
    if (!rt_optimiser_find(name, &kind))
        return fail(taking, "none of sgd, rmsprop, adam, adamw", name);
    double rate = to->learning_rate;
    RtOptimiser usual = rt_optimiser(to->kind);
    bool given = rate < usual.learning_rate || rate > usual.learning_rate;
    *to = rt_optimiser(kind);
    if (given) to->learning_rate = rate;
    bool momentum = kind == RT_SGD || kind == RT_RMSPROP,
         adam = kind == RT_ADAM || kind == RT_ADAMW;
    Key keys[9] = {{.name = "weight-decay", .real = &to->weight_decay}};
    int n = 1;
    if (momentum) keys[n++] = (Key){.name = "momentum", .real = &to->momentum};
    if (kind == RT_SGD) keys[n++] = (Key){.name = "nesterov", .truth = &to->nesterov};
    if (kind == RT_RMSPROP) keys[n++] = (Key){.name = "centred", .truth = &to->centred};
    if (kind == RT_RMSPROP) keys[n++] = (Key){.name = "decay", .real = &to->decay};
    if (kind != RT_SGD) keys[n++] = (Key){.name = "epsilon", .real = &to->epsilon};
    if (adam) keys[n++] = (Key){.name = "beta1", .real = &to->beta1};
    if (adam) keys[n++] = (Key){.name = "beta2", .real = &to->beta2};
    keys[n] = (Key){.name = NULL};
    if (!take_keys(taking, rest, keys)) return false;
    char error[256];
    if (rt_optimiser_check(to, error, sizeof error) == RT_OK) return true;
    *taking->why = arena_printf(taking->arena, "%s: %s", taking->name, error);
    return false;
}

static bool take_schedule(const Taking *taking, const char *value, TrainOptions *o) {
    static const char *const names[] = {"constant", "step", "exponential", "cosine", "one-cycle"};
    const char *rest, *name = split_name(taking, value, &rest);
    uint64_t warmup = o->schedule.warmup;
    if (strcmp(name, "plateau") == 0) {
        RtPlateau *rule = &o->plateau_rule;
        *rule = rt_plateau(false);
        rule->patience = 2;
        o->plateau = true;
        const Key keys[] = {{.name = "factor", .real = &rule->factor},
                            {.name = "patience", .whole = &rule->patience},
                            {.name = "threshold", .real = &rule->threshold},
                            {.name = "least", .real = &rule->least},
                            {.name = NULL}};
        return take_keys(taking, rest, keys);
    }
    int kind = 0;
    while (kind < 5 && strcmp(names[kind], name) != 0) kind++;
    if (kind == 5)
        return fail(taking, "none of constant, step, exponential, cosine, one-cycle, plateau",
                    name);
    o->schedule = rt_schedule((RtScheduleKind)kind, 0, 0);
    o->schedule.warmup = warmup;
    RtSchedule *s = &o->schedule;
    o->schedule_epochs = kind == RT_SCHEDULE_STEP || kind == RT_SCHEDULE_EXPONENTIAL;
    Key keys[5] = {{.name = NULL}};
    switch ((RtScheduleKind)kind) {
    case RT_SCHEDULE_CONSTANT: break;
    case RT_SCHEDULE_STEP:
        s->period = 10;
        keys[0] = (Key){.name = "period", .whole = &s->period};
        keys[1] = (Key){.name = "factor", .real = &s->factor};
        break;
    case RT_SCHEDULE_EXPONENTIAL:
        s->factor = 0.95;
        keys[0] = (Key){.name = "factor", .real = &s->factor};
        break;
    case RT_SCHEDULE_COSINE:
        keys[0] = (Key){.name = "period", .whole = &s->period};
        keys[1] = (Key){.name = "last", .real = &s->last};
        break;
    case RT_SCHEDULE_ONE_CYCLE:
        keys[0] = (Key){.name = "period", .whole = &s->period};
        keys[1] = (Key){.name = "rise", .real = &s->rise};
        keys[2] = (Key){.name = "start-divisor", .real = &s->start_divisor};
        keys[3] = (Key){.name = "end-divisor", .real = &s->end_divisor};
        break;
    }
    return take_keys(taking, rest, keys);
}

static bool take_clip(const Taking *taking, const char *value, TrainOptions *o) {
    const char *rest, *name = split_name(taking, value, &rest);
    if (!strchr(value, ':')) return take_real(taking, value, &o->clip_norm);
    if (strcmp(name, "norm") == 0) return take_real(taking, rest, &o->clip_norm);
    if (strcmp(name, "value") == 0) return take_real(taking, rest, &o->clip_value);
    return fail(taking, "neither norm:NUMBER nor value:NUMBER", value);
}

static bool take_text(const Taking *taking, const char *value, TrainOptions *o) {
    const char *comma = strchr(value, ','), *equals = strchr(value, '=');
    if (!comma || !equals || comma > equals || comma == value || equals == comma + 1 || !equals[1])
        return fail(taking, "not INPUT,TARGET=FILE", value);
    if (o->text_file) {
        *taking->why = arena_printf(taking->arena, "%s is given twice", taking->name);
        return false;
    }
    o->text_input = arena_strndup(taking->arena, value, (size_t)(comma - value));
    o->text_target = arena_strndup(taking->arena, comma + 1, (size_t)(equals - comma - 1));
    o->text_file = equals + 1;
    return true;
}

static bool take_split(const Taking *taking, const char *value, TrainOptions *o) {
    o->valid_last = strcmp(value, "last") == 0;
    return o->valid_last || strcmp(value, "random") == 0 ||
           fail(taking, "neither random nor last", value);
}

bool train_option(Arena *arena, TrainOptions *o, const char *name, const char *value,
                  const char **why) {
    const Taking taking = {arena, name, why};
    const struct {
        const char *name;
        int64_t *to, least;
    } wholes[] = {{"--batch", &o->batch, 1},           {"--epochs", &o->epochs, 0},
                  {"--steps", &o->steps, 0},           {"--window", &o->window, 1},
                  {"--eval-every", &o->eval_every, 1}, {"--patience", &o->patience, 1}};
    for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
        if (strcmp(wholes[i].name, name) == 0)
            return take_whole(&taking, value, wholes[i].least, wholes[i].to);
    if (strcmp(name, "--text") == 0) return take_text(&taking, value, o);
    if (strcmp(name, "--split") == 0) return take_split(&taking, value, o);
    if (strcmp(name, "--optimizer") == 0) return take_optimiser(&taking, value, &o->optimiser);
    if (strcmp(name, "--schedule") == 0) return take_schedule(&taking, value, o);
    if (strcmp(name, "--clip") == 0) return take_clip(&taking, value, o);
    if (strcmp(name, "--checkpoint") == 0) return take_path(&taking, value, &o->checkpoint);
    if (strcmp(name, "--log") == 0) return take_path(&taking, value, &o->log);
    if (strcmp(name, "--curve") == 0) return take_path(&taking, value, &o->curve);
    if (strcmp(name, "--lr") == 0) return take_real(&taking, value, &o->optimiser.learning_rate);
    if (strcmp(name, "--valid") == 0) {
        if (!take_real(&taking, value, &o->valid)) return false;
        return o->valid < 1 || fail(&taking, "no share: it must be below 1", value);
    }
    if (strcmp(name, "--warmup") == 0) {
        int64_t steps;
        if (!take_whole(&taking, value, 0, &steps)) return false;
        o->schedule.warmup = (uint64_t)steps;
        return true;
    }
    o->resume = true; /* --resume */
    return true;
}

bool train_options_check(Arena *arena, const TrainOptions *o, bool in, const char *out,
                         const char **why) {
    (void)arena;
    const char *wrong = NULL;
    RtSchedule schedule = o->schedule;
    schedule.base = o->optimiser.learning_rate;
    if (schedule.period == 0) schedule.period = 1; /* the whole run, not known yet */
    char error[256];
    if (!out)
        wrong = "nothing to write: give -o";
    else if (strcmp(out, "-") == 0)
        wrong = "-o: the weights go to a file";
    else if (o->text_file && in)
        wrong = "--text gives the inputs: --in and --lengths do not go with it";
    else if (!o->text_file && !in)
        wrong = "nothing to read: give --in or --text";
    else if (o->schedule_epochs && o->schedule.warmup)
        wrong = "--warmup does not go with a schedule of epochs";
    else if (o->schedule.kind == RT_SCHEDULE_ONE_CYCLE && o->schedule.warmup)
        wrong = "--warmup: one-cycle has a rise of its own";
    else if ((o->plateau || o->patience) && !(o->valid > 0))
        wrong = o->patience ? "--patience needs --valid" : "--schedule=plateau needs --valid";
    else if (rt_schedule_check(&schedule, error, sizeof error) != RT_OK)
        wrong = arena_printf(arena, "--schedule: %s", error);
    if (wrong) *why = wrong;
    return wrong == NULL;
}
