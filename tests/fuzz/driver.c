/* libFuzzer's side: the target is named by FUZZ_TARGET; half of all mutations are of tokens. */
#include <stdio.h>
#include <stdlib.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);

static const FuzzTarget *target;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    const char *name = getenv("FUZZ_TARGET");
    (void)argc, (void)argv;
    target = fuzz_target(name ? name : "");
    if (target) return 0;
    fputs("FUZZ_TARGET is one of:", stderr);
    for (int i = 0; i < fuzz_target_count; i++) fprintf(stderr, " %s", fuzz_targets[i].name);
    fputs("\n", stderr);
    exit(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    fuzz_one(target, bytes, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed) {
    if (!target->words || seed & 1) return LLVMFuzzerMutate(bytes, size, most);
    return fuzz_mutate_tokens(target, bytes, size, most, seed >> 1);
}
