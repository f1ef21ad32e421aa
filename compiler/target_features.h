/* What a processor has beyond another one of its architecture, by the names that clang and llc use:
 * `--features=+avx2,-fma`. Lanes, registers and fma of a target follow from its features, and so
 * does what LLVM and C compilers are told. */
#ifndef RNNC_TARGET_FEATURES_H
#define RNNC_TARGET_FEATURES_H

#include "loop/loop.h"
#include "support/text.h"

#define ARCH_X86_64 "x86_64"
#define ARCH_ARM64 "aarch64 arm64"

typedef uint32_t FeatureSet; /* a bit for each row of the table */

/* Those in a list of a table, separated by blanks, with what they need; arch NULL: none. */
FeatureSet features_of(const char *arch, const char *names);

/* Carries out `+NAME,-NAME,…` in this order. `target` is for messages. False with the reason in
 * *why, the names that are known in it. */
bool features_change(Arena *arena, const char *arch, const char *target, const char *list,
                     FeatureSet *set, const char **why);

/* Lanes, registers and fma of a target. */
void features_describe(FeatureSet set, Target *target);

/* "NAME,+avx512f,-fma": what makes the second of the first. */
const char *features_name(Arena *arena, const char *name, FeatureSet from, FeatureSet to);

/* "+avx2,+fma", as LLVM reads it. */
const char *features_llvm(Arena *arena, FeatureSet set);

/* "-mavx2", "-mfma", NULL: what a C compiler must be told. */
const char *const *features_flags(Arena *arena, FeatureSet set);

/* One that this very processor, or its system, has not; NULL: it has all of them. */
const char *features_missing(FeatureSet set);

/* One line each, for --list-targets. */
void features_list(Text *out);

#endif
