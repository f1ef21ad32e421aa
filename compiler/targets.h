/* The processors that code is made for. */
#ifndef RNNC_TARGETS_H
#define RNNC_TARGETS_H

#include "backends/machine.h"
#include "target_features.h"
#include "loop/loop.h"
#include "support/text.h"

/* What --target, --cpu and --features ask for; NULL where not given. */
typedef struct TargetWish {
    const char *triple, *cpu, *features;
} TargetWish;

typedef struct TargetChoice {
    Target target;
    const char *const *flags; /* what a C compiler must be told to use it; NULL-terminated */
    MachineTarget machine;    /* the same for LLVM */
    FeatureSet features;
    int row; /* of the table; stronger ones of an architecture stand behind */
} TargetChoice;

enum { TARGET_MOST = 8 }; /* processors of one object */

/* Fills *choice. Without a wish: the fixed target of this architecture, or with `native` the
 * nearest one to this very processor. False with the reason in *why. */
bool target_choose(Arena *arena, const TargetWish *wish, bool native, TargetChoice *choice,
                   const char **why);

/* The same for `--cpu=A,B,C`: all of them, from weak to strong. One of no list is one. */
bool target_choose_all(Arena *arena, const TargetWish *wish, bool native, TargetChoice *choices,
                       int *count, const char **why);

/* A row by its name, as tests have it; NULL: there is none. */
const MachineTarget *target_machine(Arena *arena, const char *name);

/* What this very processor lacks to run it; NULL: nothing. */
const char *target_missing(const TargetChoice *choice);

/* One line a target, then one a feature, for --list-targets. */
void target_list(Text *out);

#endif
