/* Hostile input: one function a target takes any bytes and must not crash, hang, ask for memory
 * beyond its bound, or report a defect of rnnc itself. The same functions stand behind libFuzzer
 * (driver.c) and behind the replay of the stored corpora in `make check` (replay.c). */
#ifndef RNNC_TESTS_FUZZ_H
#define RNNC_TESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline.h"

/* An oracle that does not hold ends the process with a message: that is what a fuzzer looks for. */
#define FUZZ_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) fuzz_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                  \
    } while (0)

void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

/* The bytes of one case and the arena that they are tried in. */
typedef struct FuzzCase {
    Arena *arena;
    Names *names;
    Diags *diags;
    const char *text; /* NUL-terminated copy of the bytes */
    size_t size;
    uint32_t hash; /* of the bytes: chooses options, so that a case needs no head */
} FuzzCase;

typedef struct FuzzTarget {
    const char *name;
    void (*one)(FuzzCase *c);
    const char *const *words; /* what the mutator puts in, NULL-terminated; NULL: bytes only */
    size_t base, each;        /* at most base + each * size bytes of arena */
} FuzzTarget;

extern const FuzzTarget fuzz_targets[];
extern const int fuzz_target_count;

/* The target of this name, or NULL. */
const FuzzTarget *fuzz_target(const char *name);

/* Runs one case; returns if every oracle holds. */
void fuzz_one(const FuzzTarget *target, const uint8_t *bytes, size_t size);

/* The diagnostics must hold no code "internal", and each error a place inside of its source. */
void fuzz_check_diags(const FuzzCase *c, const Diags *diags);

const char *fuzz_diags(Arena *arena, const Diags *diags);

/* The words of the targets' languages, NULL-terminated. */
extern const char *const fuzz_words_source[], *const fuzz_words_graph[];
extern const char *const fuzz_words_schedule[], *const fuzz_words_loop[];
extern const char *const fuzz_words_line[], *const fuzz_words_header[];

void fuzz_source(FuzzCase *c);
void fuzz_format(FuzzCase *c);
void fuzz_graph(FuzzCase *c);
void fuzz_schedule(FuzzCase *c);
void fuzz_loop(FuzzCase *c);
void fuzz_npy(FuzzCase *c);
void fuzz_safetensors(FuzzCase *c);
void fuzz_line(FuzzCase *c);
void fuzz_run(FuzzCase *c);

/* Changes a text by its tokens: the custom mutator of libFuzzer calls it; returns the new size. */
size_t fuzz_mutate_tokens(const FuzzTarget *target, uint8_t *bytes, size_t size, size_t most,
                          uint32_t seed);

#endif
