/* What whoever measures may force of the code that lowering makes; zeros: as the rules of
 * docs/internals say. None changes a bit; the chains, which do, are the schedule's (choices.h). */
#ifndef RNNC_LOOP_FORCE_H
#define RNNC_LOOP_FORCE_H

enum { FORCE_MOST_ROWS = 8, FORCE_MOST_VECTORS = 8, FORCE_MOST_UNROLL = 64 };

/* Values between loops that only families read: rows of their own, or side by side. */
typedef enum ForceLayout { LAYOUT_AUTO, LAYOUT_ROWS, LAYOUT_PANELS, LAYOUT_COUNT } ForceLayout;

/* What threads split in a loop over time. */
typedef enum ForceSplit {
    SPLIT_AUTO,
    SPLIT_UNITS,     /* groups of every family, with a barrier a stage */
    SPLIT_SEQUENCES, /* sequences: nobody waits, and one sequence has one thread */
    SPLIT_NONE,      /* nothing: loops run on one thread */
    SPLIT_COUNT
} ForceSplit;

typedef struct Force {
    int rows;    /* of a tile beyond batch 1, sequences or positions */
    int vectors; /* of units of a tile, at batch 1, too */
    int unroll;  /* steps of an innermost loop over time in one turn */
    ForceLayout layout;
    ForceSplit split;
} Force;

#endif
