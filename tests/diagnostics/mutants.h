/* Programs with one token changed: deleted, doubled, swapped with the next, replaced or inserted.
 */
#ifndef RNNC_TESTS_DIAGNOSTICS_MUTANTS_H
#define RNNC_TESTS_DIAGNOSTICS_MUTANTS_H

#include <stdint.h>

#include "support/vec.h"

typedef struct Piece {
    const char *at;
    int length, line;
} Piece;

typedef VEC(Piece) Pieces;

typedef enum MutantKind {
    MUTANT_DELETE,
    MUTANT_DOUBLE,
    MUTANT_SWAP,
    MUTANT_REPLACE, /* by any token of any example */
    MUTANT_RENAME,  /* by one of its kind, of the same program: names by names */
    MUTANT_INSERT,
    MUTANT_KINDS
} MutantKind;

extern const char *const mutant_names[];

typedef struct Mutant {
    MutantKind kind;
    const char *text;
    int first, last; /* the lines of the change */
    const char *what;
} Mutant;

/* The tokens of a program, in order. They point into `text`. */
Pieces pieces_of(Arena *arena, const char *text);

/* The next random number, below `below`. */
uint32_t draw(uint64_t *seed, uint32_t below);

/* One change at token `at`; what is put in comes from `words`. */
Mutant mutate(Arena *arena, const char *text, const Pieces *pieces, int at, MutantKind kind,
              const Pieces *words, uint64_t *seed);

#endif
