/* The rows of a port, one after the other, and which of them lie in their sequences. */
#ifndef RNNC_TEST_NUMERIC_WALK_H
#define RNNC_TEST_NUMERIC_WALK_H

#include "numeric.h"

/* Walks over the rows of a port: position by position, sequence by sequence. */
typedef struct Walk {
    const Data *data;
    const GraphPort *port;
    int64_t at[MAX_DOMAIN], b, row;
    bool done;
} Walk;

static inline int walk_axis(const Walk *w, int d) {
    return w->data->graph->indices.at[w->port->indices[d]].axis;
}

static inline Walk walk_first(const Data *data, const GraphPort *port) {
    Walk w = {.data = data, .port = port};
    w.done = port_count(data, port) == 0;
    return w;
}

static inline void walk_next(Walk *w) {
    w->row++;
    if (++w->b < w->data->batch) return;
    w->b = 0;
    for (int d = w->port->index_count - 1; d >= 0; d--) {
        if (++w->at[d] < w->data->extent[walk_axis(w, d)]) return;
        w->at[d] = 0;
    }
    w->done = true;
}

static inline int64_t length_on(const Data *data, int a, int64_t b) {
    const Axis *axis = &data->graph->axes.at[a];
    if (data->lengths[a]) return data->lengths[a][b];
    if (axis->kind == AXIS_SLOW)
        return (length_on(data, axis->base, b) + axis->every - 1) / axis->every;
    return data->extent[a];
}

static inline bool walk_inside(const Walk *w, const Data *data) {
    for (int d = 0; d < w->port->index_count; d++)
        if (w->at[d] >= length_on(data, walk_axis(w, d), w->b)) return false;
    return true;
}

#endif
