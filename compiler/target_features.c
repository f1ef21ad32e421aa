/* The table of features, and sets of them. */
#include "target_features.h"

#include <string.h>

typedef struct Feature {
    const char *arch, *name;
    const char *needs;  /* go with it where it is added; it goes where one of them is taken away */
    const char *brings; /* go with it where it is added, and no more */
    const char *flag;   /* of C compilers; NULL: none is needed */
    bool (*runs)(void); /* has this processor, and its system, got it? */
    /* 32-bit elements of the vectors that it makes, and registers for them; 0: changes nothing. */
    int lanes, registers;
    int most_lanes; /* longer vectors are not used; 0: they are */
    bool fma;
    bool fixed; /* part of every processor of the architecture */
    bool ours;  /* decides what is lowered; LLVM knows no such name */
    const char *about;
} Feature;

static bool runs_always(void) {
    return true;
}

#if defined(__x86_64__)
#define ASKS(function, name)                                                                       \
    static bool function(void) {                                                                   \
        __builtin_cpu_init();                                                                      \
        return __builtin_cpu_supports(name);                                                       \
    }
ASKS(has_sse41, "sse4.1")
ASKS(has_sse42, "sse4.2")
ASKS(has_popcnt, "popcnt")
ASKS(has_avx, "avx")
ASKS(has_avx2, "avx2")
ASKS(has_fma, "fma")
ASKS(has_avx512f, "avx512f")
ASKS(has_avx512vl, "avx512vl")
ASKS(has_avx512bw, "avx512bw")
ASKS(has_avx512dq, "avx512dq")
#define ON_X86_64(test) test
#else
#define ON_X86_64(test) NULL
#endif

#if defined(__aarch64__)
#define ON_ARM64(test) test
#else
#define ON_ARM64(test) NULL
#endif

/* What a row needs stands before it. */
static const Feature rows[] = {
    {.arch = ARCH_X86_64,
     .name = "sse2",
     .runs = ON_X86_64(runs_always),
     .lanes = 4,
     .registers = 16,
     .fixed = true,
     .about = "4 lanes; of every x86-64"},
    {.arch = ARCH_X86_64,
     .name = "sse4.1",
     .needs = "sse2",
     .flag = "-msse4.1",
     .runs = ON_X86_64(has_sse41),
     .about = "rounding, blends"},
    {.arch = ARCH_X86_64,
     .name = "sse4.2",
     .needs = "sse4.1",
     .flag = "-msse4.2",
     .runs = ON_X86_64(has_sse42),
     .about = "comparisons of 64 bits"},
    {.arch = ARCH_X86_64,
     .name = "popcnt",
     .flag = "-mpopcnt",
     .runs = ON_X86_64(has_popcnt),
     .about = "no difference here"},
    {.arch = ARCH_X86_64,
     .name = "avx",
     .needs = "sse4.2",
     .flag = "-mavx",
     .runs = ON_X86_64(has_avx),
     .lanes = 8,
     .registers = 16,
     .about = "8 lanes, those of integers in halves"},
    {.arch = ARCH_X86_64,
     .name = "avx2",
     .needs = "avx",
     .flag = "-mavx2",
     .runs = ON_X86_64(has_avx2),
     .about = "8 lanes of integers, too"},
    {.arch = ARCH_X86_64,
     .name = "fma",
     .needs = "avx",
     .flag = "-mfma",
     .runs = ON_X86_64(has_fma),
     .fma = true,
     .about = "products and sums with one rounding: other bits"},
    {.arch = ARCH_X86_64,
     .name = "avx512f",
     .needs = "avx2",
     .brings = "fma",
     .flag = "-mavx512f",
     .runs = ON_X86_64(has_avx512f),
     .lanes = 16,
     .registers = 32,
     .about = "16 lanes, 32 registers"},
    {.arch = ARCH_X86_64,
     .name = "avx512vl",
     .needs = "avx512f",
     .flag = "-mavx512vl",
     .runs = ON_X86_64(has_avx512vl),
     .about = "the same for 4 and 8 lanes"},
    {.arch = ARCH_X86_64,
     .name = "avx512bw",
     .needs = "avx512f",
     .flag = "-mavx512bw",
     .runs = ON_X86_64(has_avx512bw),
     .about = "integers of 8 and 16 bits"},
    {.arch = ARCH_X86_64,
     .name = "avx512dq",
     .needs = "avx512f",
     .flag = "-mavx512dq",
     .runs = ON_X86_64(has_avx512dq),
     .about = "integers of 64 bits"},
    {.arch = ARCH_X86_64,
     .name = "prefer-256-bit",
     .flag = "-mprefer-vector-width=256",
     .runs = ON_X86_64(runs_always),
     .most_lanes = 8,
     .about = "8 lanes where there could be 16"},
    {.arch = ARCH_ARM64,
     .name = "neon",
     .runs = ON_ARM64(runs_always),
     .lanes = 4,
     .registers = 32,
     .fixed = true,
     .about = "4 lanes, 32 registers; of every one"},
    {.arch = ARCH_ARM64,
     .name = "fma",
     .runs = ON_ARM64(runs_always),
     .fma = true,
     .ours = true,
     .about = "products and sums with one rounding: other bits"},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

static bool same_arch(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* -1: there is none. */
static int find(const char *arch, const char *name, size_t length) {
    for (int i = 0; i < ROW_COUNT; i++)
        if (same_arch(rows[i].arch, arch) && strlen(rows[i].name) == length &&
            strncmp(rows[i].name, name, length) == 0)
            return i;
    return -1;
}

static FeatureSet bit(int row) {
    return (FeatureSet)1 << row;
}

/* Those of a list of the table, alone. */
static FeatureSet named(const char *arch, const char *names) {
    FeatureSet set = 0;
    for (const char *at = names; at && *at;) {
        size_t length = strcspn(at, " ");
        int row = find(arch, at, length);
        if (row >= 0) set |= bit(row);
        at += length + (at[length] == ' ');
    }
    return set;
}

static FeatureSet needs(int row) {
    return named(rows[row].arch, rows[row].needs);
}

static FeatureSet add(FeatureSet set, int row) {
    FeatureSet wanted = bit(row);
    /* A row needs rows before it, but may bring any: until nothing comes any more. */
    for (FeatureSet known = 0; known != wanted;) {
        known = wanted;
        for (int i = 0; i < ROW_COUNT; i++)
            if (known & bit(i)) wanted |= needs(i) | named(rows[i].arch, rows[i].brings);
    }
    return set | wanted;
}

static FeatureSet take(FeatureSet set, int row) {
    set &= ~bit(row);
    for (int i = 0; i < ROW_COUNT; i++)
        if ((needs(i) & set) != needs(i)) set &= ~bit(i);
    return set;
}

FeatureSet features_of(const char *arch, const char *names) {
    FeatureSet set = 0, wanted = named(arch, names);
    for (int i = 0; arch && i < ROW_COUNT; i++)
        if ((wanted & bit(i)) || (rows[i].fixed && same_arch(rows[i].arch, arch)))
            set = add(set, i);
    return set;
}

static bool refuse(Arena *arena, const char *arch, const char *target, const char *name,
                   const char **why) {
    const char *names[ROW_COUNT];
    int count = 0;
    Text list = text_new(arena);
    for (int i = 0; i < ROW_COUNT; i++) {
        if (!same_arch(rows[i].arch, arch) || rows[i].fixed) continue;
        text_printf(&list, "%s%s", count ? ", " : "", rows[i].name);
        names[count++] = rows[i].name;
    }
    const char *near = count ? name_nearest(name, names, count) : NULL;
    const char *known = count ? arena_printf(arena, ", which knows %s", text_string(&list)) : "";
    *why = near ? arena_printf(arena, "--features: %s has no %s, did you mean '%s'?", target, name,
                               near)
                : arena_printf(arena, "--features: %s has no %s%s", target, name, known);
    return false;
}

bool features_change(Arena *arena, const char *arch, const char *target, const char *list,
                     FeatureSet *set, const char **why) {
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        const char *word = arena_strndup(arena, at, length);
        if ((*word != '+' && *word != '-') || !word[1]) {
            *why = arena_printf(arena, "--features: '%s' is neither +NAME nor -NAME", word);
            return false;
        }
        int row = find(arch, word + 1, length - 1);
        if (row < 0) return refuse(arena, arch, target, word + 1, why);
        if (*word == '-' && rows[row].fixed) {
            *why = arena_printf(arena, "--features: there is no %s without %s", target, word + 1);
            return false;
        }
        *set = *word == '+' ? add(*set, row) : take(*set, row);
        at += length + (at[length] == ',');
    }
    return true;
}

void features_describe(FeatureSet set, Target *target) {
    int most = 0;
    target->lanes = 1;
    target->registers = 16;
    target->fma = false;
    for (int i = 0; i < ROW_COUNT; i++) {
        if (!(set & bit(i))) continue;
        const Feature *row = &rows[i];
        if (row->lanes > target->lanes) target->lanes = row->lanes;
        if (row->registers > target->registers) target->registers = row->registers;
        if (row->most_lanes) most = row->most_lanes;
        target->fma |= row->fma;
    }
    if (most && target->lanes > most) target->lanes = most;
}

/* Without those that come with another one. */
static FeatureSet shortest(FeatureSet set) {
    FeatureSet least = set;
    for (int i = 0; i < ROW_COUNT; i++)
        if (set & bit(i)) least &= ~needs(i);
    return least;
}

const char *features_name(Arena *arena, const char *name, FeatureSet from, FeatureSet to) {
    Text text = text_new(arena);
    FeatureSet more = shortest(to & ~from), less = from & ~to;
    text_puts(&text, name);
    for (int i = 0; i < ROW_COUNT; i++) {
        if (more & bit(i)) text_printf(&text, ",+%s", rows[i].name);
        if ((less & bit(i)) && !(less & needs(i))) text_printf(&text, ",-%s", rows[i].name);
    }
    return text_string(&text);
}

const char *features_llvm(Arena *arena, FeatureSet set) {
    Text text = text_new(arena);
    FeatureSet least = shortest(set);
    for (int i = 0; i < ROW_COUNT; i++)
        if ((least & bit(i)) && !rows[i].ours && !rows[i].fixed)
            text_printf(&text, "%s+%s", text.length ? "," : "", rows[i].name);
    return text_string(&text);
}

const char *const *features_flags(Arena *arena, FeatureSet set) {
    const char **flags = ARENA_ARRAY(arena, ROW_COUNT + 1, const char *);
    FeatureSet least = shortest(set);
    int count = 0;
    for (int i = 0; i < ROW_COUNT; i++)
        if ((least & bit(i)) && rows[i].flag) flags[count++] = rows[i].flag;
    return flags;
}

const char *features_missing(FeatureSet set) {
    for (int i = 0; i < ROW_COUNT; i++)
        if ((set & bit(i)) && !(rows[i].runs && rows[i].runs())) return rows[i].name;
    return NULL;
}

void features_list(Text *out) {
    const char *arch = NULL;
    for (int i = 0; i < ROW_COUNT; i++) {
        if (!same_arch(rows[i].arch, arch))
            text_printf(out, "--features=+NAME,-NAME of %.*s\n", (int)strcspn(rows[i].arch, " "),
                        rows[i].arch);
        arch = rows[i].arch;
        text_printf(out, "  %-14s %s\n", rows[i].name, rows[i].about);
    }
}
