/* What lower_family.c and lower_tile.c share. */
#ifndef RNNC_LOOP_LOWER_TILE_H
#define RNNC_LOOP_LOWER_TILE_H

#include "loop/lower_internal.h"

enum { MOST_ROWS = FORCE_MOST_ROWS };

typedef struct Tile {
    Fn *fn;
    const Block *block;
    const Family *family;
    int lanes, nb, rows;
    int packed;  /* blocks that lie side by side in the packed weights */
    bool chains; /* several k chains: batch 1 */
    LExpr *q;    /* first block of the tile */
    int *init;   /* by accumulator: term of its sum that starts it, or -1 */
} Tile;
int64_t tile_blocks_in(const Lower *lower,
                       const Family *family);              /* of units, the last one padded */
int tile_blocks(const Lower *lower, const Family *family); /* of a tile with several rows */
/* Those of batch 1, which is how they are packed, and why. */
int tile_blocks_why(const Lower *lower, const Block *block, const Family *family, const char **why);
int tile_rows(const Lower *lower, const Block *block, const Family *family, int nb);
/* tile->init of its family. */
void tile_start(Tile *tile);
/* The accumulators of a tile, complete; results[(row*nb + block)*accs + acc]. */
void tile_products(Tile *tile, LBlock *out, const Row *rows, LExpr **results);
/* Everything elementwise of one block of units of one row, all stores last. */
void tile_epilogue(Tile *tile, LBlock *out, const Row *row, LExpr *unit, LExpr **accumulator);

#endif
