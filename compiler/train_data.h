/* All that a run trains on: sequences side by side, in the types of the engine, and batches and
 * windows of them. */
#ifndef RNNC_TRAIN_DATA_H
#define RNNC_TRAIN_DATA_H

#include "train_engine.h"

/* One input, sequence after sequence: [count][positions][element]. */
typedef struct TrainStream {
    const GraphPort *port;
    size_t bytes;      /* of the element at one position */
    int64_t positions; /* over all its axes */
    unsigned char *at; /* NULL: not given, not read */
} TrainStream;

typedef struct TrainData {
    const Graph *graph; /* in train mode */
    int64_t count;      /* sequences */
    int64_t *extent;    /* [axis] positions of the arrays */
    int64_t **lengths;  /* [axis][count]; NULL for fixed and slow axes */
    TrainStream *inputs;
} TrainData;

/* Some of the sequences, in an order. */
typedef struct TrainSet {
    const TrainData *data;
    int64_t *items;
    int64_t count;
} TrainSet;

/* What the command line's --in and --lengths hold. NULL with the reason in c->diags. */
TrainData *train_data_read(TrainEngine *engine);

/* A text as `batch` streams: sets for training and for validation, of shares of the text, and the
 * characters of the classes, UTF-8, in *vocabulary (NULL: bytes). False with the reason in c->diags
 * or, for *status, in c->log. */
bool train_text_read(TrainEngine *engine, TrainSet *train, TrainSet *valid, const char **vocabulary,
                     ExitStatus *status);

/* Room for one batch of any of these sets. */
typedef struct TrainGather {
    TrainBatch batch;
    int64_t *extent;
    int64_t **lengths;
    void **inputs;
} TrainGather;

TrainGather *train_gather_new(Arena *arena, const TrainData *data, int64_t batch);

/* Items begin … end - 1 of the set; of axis `axis` the positions from `from` on, at most `most`
 * (axis -1: all). The positions of that axis over all sequences, 0: the window is empty. */
int64_t train_gather(TrainGather *gather, const TrainSet *set, RtRange items, int axis,
                     int64_t from, int64_t most);

#endif
