/* The table of targets, and how a command line chooses a row. */
#include "targets.h"

#include <string.h>

typedef struct TargetRow {
    Target target;
    const char *arch;     /* first parts of its triples, blanks between; NULL: any processor */
    bool usual;           /* what its architecture gets unless another is asked for */
    bool (*runs)(void);   /* can this processor, and its system, run it? */
    const char *flags[8]; /* NULL-terminated */
    MachineTarget machine;
    const char *about;
} TargetRow;

#define ARCH_X86_64 "x86_64"
#define ARCH_ARM64 "aarch64 arm64"
#define X86_64 "x86_64-unknown-linux-gnu"
#define ARM64 "aarch64-unknown-linux-gnu"

static bool runs_always(void) {
    return true;
}

#if defined(__x86_64__)
#define HOST_ARCH ARCH_X86_64
#define HOST_TRIPLE X86_64

static bool runs_v2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
}

static bool runs_v3(void) {
    return runs_v2() && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_v4(void) {
    return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}
#define RUNS_X86_64(test) test
#else
#define RUNS_X86_64(test) NULL
#endif

#if defined(__aarch64__)
#define HOST_ARCH ARCH_ARM64
#define HOST_TRIPLE ARM64
#define RUNS_ARM64(test) test
#else
#define RUNS_ARM64(test) NULL
#endif

#if !defined(HOST_ARCH)
#define HOST_ARCH NULL
#define HOST_TRIPLE NULL
#endif

/* One row a target: everything else follows from it. From weak to strong within an architecture. */
static const TargetRow rows[] = {
    {{"generic", 1, false, 16, 256 << 10},
     NULL,
     true,
     runs_always,
     {NULL},
     {HOST_TRIPLE, "", "", 0},
     "any C99 compiler: one lane, no fma"},
    {{"x86-64", 4, false, 16, 256 << 10},
     ARCH_X86_64,
     false,
     RUNS_X86_64(runs_always),
     {"-msse2", NULL},
     {X86_64, "x86-64", "", 1},
     "SSE2: 4 lanes, no fma"},
    {{"x86-64-v2", 4, false, 16, 256 << 10},
     ARCH_X86_64,
     false,
     RUNS_X86_64(runs_v2),
     {"-msse4.2", "-mpopcnt", NULL},
     {X86_64, "x86-64", "+sse4.2,+popcnt", 2},
     "SSE4.2: 4 lanes, no fma"},
    {{"x86-64-v3", 8, true, 16, 512 << 10},
     ARCH_X86_64,
     true,
     RUNS_X86_64(runs_v3),
     {"-mavx2", "-mfma", NULL},
     {X86_64, "x86-64", "+avx2,+fma", 3},
     "AVX2: 8 lanes, fma; the default on x86-64"},
    {{"x86-64-v4", 16, true, 32, 1 << 20},
     ARCH_X86_64,
     false,
     RUNS_X86_64(runs_v4),
     {"-mavx2", "-mfma", "-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", NULL},
     {X86_64, "x86-64", "+avx2,+fma,+avx512f,+avx512vl,+avx512bw,+avx512dq", 4},
     "AVX-512: 16 lanes, fma, 32 registers"},
    {{"armv8-a", 4, true, 32, 512 << 10},
     ARCH_ARM64,
     true,
     RUNS_ARM64(runs_always),
     {NULL},
     {ARM64, "generic", "+neon", 0},
     "NEON: 4 lanes, fma, 32 registers; the default on 64-bit ARM"},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

static const TargetRow *row_named(const char *name) {
    for (int i = 0; i < ROW_COUNT; i++)
        if (strcmp(rows[i].target.name, name) == 0) return &rows[i];
    return NULL;
}

static bool same_arch(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static const TargetRow *row_default(const char *arch) {
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].usual && same_arch(rows[i].arch, arch)) return &rows[i];
    return &rows[0];
}

/* The strongest row that this processor (and its system) can run. */
static const TargetRow *row_native(void) {
    const TargetRow *row = &rows[0];
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].runs && rows[i].runs()) row = &rows[i];
    return row;
}

/* Whose triples begin as this one does: `x86_64-linux-gnu`. */
static bool arch_of_triple(const char *triple, const char **arch) {
    size_t length = strcspn(triple, "-");
    for (int i = 0; i < ROW_COUNT; i++) {
        *arch = rows[i].arch;
        for (const char *word = *arch; word; word = strchr(word, ' ')) {
            if (*word == ' ') word++;
            if (strcspn(word, " ") == length && strncmp(triple, word, length) == 0) return true;
        }
    }
    return false;
}

static const char *suggestion(Arena *arena, const char *name) {
    const char *names[ROW_COUNT];
    for (int i = 0; i < ROW_COUNT; i++) names[i] = rows[i].target.name;
    const char *near = name_nearest(name, names, ROW_COUNT);
    return near ? arena_printf(arena, ", did you mean '%s'?", near) : " (see --list-targets)";
}

/* `+fma,-fma`: the one feature that can be told apart from the processor's level. */
static bool apply_features(Arena *arena, const char *features, Target *target, const char **why) {
    for (const char *at = features; *at;) {
        size_t length = strcspn(at, ",");
        if (length == 4 && (strncmp(at, "+fma", 4) == 0 || strncmp(at, "-fma", 4) == 0)) {
            bool fma = *at == '+';
            if (fma && !target->fma) {
                *why = arena_printf(arena, "--features: %s has no fma", target->name);
                return false;
            }
            if (!fma && target->fma) target->name = arena_printf(arena, "%s,-fma", target->name);
            target->fma = fma;
        } else {
            *why = arena_printf(arena, "--features: '%.*s' is not known; '-fma' and '+fma' are",
                                (int)length, at);
            return false;
        }
        at += length;
        if (*at == ',') at++;
    }
    return true;
}

bool target_choose(Arena *arena, const TargetWish *wish, bool native, TargetChoice *choice,
                   const char **why) {
    const char *arch = HOST_ARCH;
    const TargetRow *row = NULL;
    if (wish->triple) {
        row = row_named(wish->triple);
        if (row)
            arch = row->arch;
        else if (!arch_of_triple(wish->triple, &arch)) {
            *why = arena_printf(arena, "--target: '%s' is not known%s", wish->triple,
                                suggestion(arena, wish->triple));
            return false;
        }
    }
    if (wish->cpu) {
        bool this_one = strcmp(wish->cpu, "native") == 0;
        const TargetRow *cpu = this_one ? row_native() : row_named(wish->cpu);
        if (!cpu) {
            *why = arena_printf(arena, "--cpu: '%s' is not known%s", wish->cpu,
                                suggestion(arena, wish->cpu));
            return false;
        }
        if (wish->triple && (!same_arch(cpu->arch, arch) || (row && row != cpu))) {
            *why = arena_printf(arena, "--cpu=%s is not of --target=%s", wish->cpu, wish->triple);
            return false;
        }
        row = cpu;
    }
    if (!row) row = native && !wish->triple ? row_native() : row_default(arch);
    choice->target = row->target;
    choice->flags = row->flags;
    choice->machine = row->machine;
    choice->row = (int)(row - rows);
    return !wish->features || apply_features(arena, wish->features, &choice->target, why);
}

/* Puts a processor at its place in the list. */
static bool add_choice(Arena *arena, const TargetChoice *choice, TargetChoice *choices, int *count,
                       const char **why) {
    int at = (*count)++;
    for (; at > 0 && choices[at - 1].row > choice->row; at--) choices[at] = choices[at - 1];
    choices[at] = *choice;
    if (!choice->machine.level)
        *why = arena_printf(arena, "--cpu: %s cannot be one of several", choice->target.name);
    else if (at > 0 && choices[at - 1].row == choice->row)
        *why = arena_printf(arena, "--cpu: %s is given twice", choice->target.name);
    else
        return true;
    return false;
}

bool target_choose_all(Arena *arena, const TargetWish *wish, bool native, TargetChoice *choices,
                       int *count, const char **why) {
    *count = 1;
    if (!wish->cpu || !strchr(wish->cpu, ','))
        return target_choose(arena, wish, native, choices, why);
    *count = 0;
    for (const char *at = wish->cpu; at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        TargetWish one = *wish;
        TargetChoice choice;
        one.cpu = arena_strndup(arena, at, strcspn(at, ","));
        if (*count == TARGET_MOST) {
            *why = arena_printf(arena, "--cpu: more than %d", TARGET_MOST);
            return false;
        }
        if (!target_choose(arena, &one, native, &choice, why) ||
            !add_choice(arena, &choice, choices, count, why))
            return false;
    }
    return true;
}

const MachineTarget *target_machine(const char *name) {
    const TargetRow *row = row_named(name);
    return row ? &row->machine : NULL;
}

void target_list(Text *out) {
    for (int i = 0; i < ROW_COUNT; i++)
        text_printf(out, "%-10s %s\n", rows[i].target.name, rows[i].about);
    text_printf(out, "--cpu=native is %s here\n", row_native()->target.name);
}
