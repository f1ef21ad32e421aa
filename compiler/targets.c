/* The table of targets, and how a command line chooses a row. */
#include "targets.h"

#include <string.h>

typedef struct TargetRow {
    const char *name;
    const char *arch;     /* first parts of its triples, blanks between; NULL: any processor */
    bool usual;           /* what its architecture gets unless another is asked for */
    const char *features; /* rows of target_features.c, beyond those of all its architecture */
    int64_t l2_bytes;
    const char *triple, *cpu; /* LLVM's; NULL: no machine code for this one */
    int level;                /* see MachineTarget */
    const char *about;
} TargetRow;

#define X86_64 "x86_64-unknown-linux-gnu"
#define ARM64 "aarch64-unknown-linux-gnu"

#if defined(__x86_64__)
#define HOST_ARCH ARCH_X86_64
#define HOST_TRIPLE X86_64
#elif defined(__aarch64__)
#define HOST_ARCH ARCH_ARM64
#define HOST_TRIPLE ARM64
#else
#define HOST_ARCH NULL
#define HOST_TRIPLE NULL
#endif

/* One row a target: everything else follows from it. From weak to strong within an architecture. */
static const TargetRow rows[] = {
    {"generic", NULL, true, NULL, 256 << 10, HOST_TRIPLE, "", 0,
     "any C99 compiler: one lane, no fma"},
    {"x86-64", ARCH_X86_64, false, NULL, 256 << 10, X86_64, "x86-64", 1, "SSE2: 4 lanes, no fma"},
    {"x86-64-v2", ARCH_X86_64, false, "sse4.2 popcnt", 256 << 10, X86_64, "x86-64", 2,
     "SSE4.2: 4 lanes, no fma"},
    {"x86-64-v3", ARCH_X86_64, true, "avx2 fma", 512 << 10, X86_64, "x86-64", 3,
     "AVX2: 8 lanes, fma; the default on x86-64"},
    {"x86-64-v4", ARCH_X86_64, false, "avx512vl avx512bw avx512dq", 1 << 20, X86_64, "x86-64", 4,
     "AVX-512: 16 lanes, fma, 32 registers"},
    {"armv8-a", ARCH_ARM64, true, "fma", 512 << 10, ARM64, "generic", 0,
     "NEON: 4 lanes, fma, 32 registers; the default on 64-bit ARM"},
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

static const TargetRow *row_named(const char *name) {
    for (int i = 0; i < ROW_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
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
        if ((!rows[i].arch || same_arch(rows[i].arch, HOST_ARCH)) &&
            !features_missing(features_of(rows[i].arch, rows[i].features)))
            row = &rows[i];
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
    for (int i = 0; i < ROW_COUNT; i++) names[i] = rows[i].name;
    const char *near = name_nearest(name, names, ROW_COUNT);
    return near ? arena_printf(arena, ", did you mean '%s'?", near) : " (see --list-targets)";
}

/* The row as it is, or with other features. */
static TargetChoice choice_of(Arena *arena, const TargetRow *row, FeatureSet set) {
    TargetChoice choice = {.features = set, .row = (int)(row - rows)};
    FeatureSet own = features_of(row->arch, row->features);
    choice.target =
        (Target){.name = features_name(arena, row->name, own, set), .l2_bytes = row->l2_bytes};
    features_describe(set, &choice.target);
    choice.flags = features_flags(arena, set);
    choice.machine = (MachineTarget){row->triple, row->cpu, features_llvm(arena, set), row->level};
    return choice;
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
    FeatureSet set = features_of(row->arch, row->features);
    if (wish->features && !features_change(arena, row->arch, row->name, wish->features, &set, why))
        return false;
    *choice = choice_of(arena, row, set);
    return true;
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
    else if (choice->features & ~features_of(rows[choice->row].arch, rows[choice->row].features))
        *why = "--features: of several processors, which are told apart by their levels, features "
               "can only be taken away";
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

const MachineTarget *target_machine(Arena *arena, const char *name) {
    const TargetRow *row = row_named(name);
    if (!row) return NULL;
    MachineTarget *machine = ARENA_NEW(arena, MachineTarget);
    *machine = choice_of(arena, row, features_of(row->arch, row->features)).machine;
    return machine;
}

const char *target_missing(const TargetChoice *choice) {
    const TargetRow *row = &rows[choice->row];
    if (row->arch && !same_arch(row->arch, HOST_ARCH)) return row->name;
    return features_missing(choice->features);
}

void target_list(Text *out) {
    for (int i = 0; i < ROW_COUNT; i++) text_printf(out, "%-10s %s\n", rows[i].name, rows[i].about);
    text_printf(out, "--cpu=native is %s here\n", row_native()->name);
    features_list(out);
}
