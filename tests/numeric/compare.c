/* What two runs gave, compared. */
#include <float.h>
#include <math.h>

#include "walk.h"

const char *compare_padding(Arena *arena, const Data *data, const Outcome *a) {
    const Graph *graph = data->graph;
    Data found = *data;
    found.lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    for (int x = 0; x < graph->axes.count; x++)
        found.lengths[x] = a->lengths && a->lengths[x] ? a->lengths[x] : data->lengths[x];
    for (int k = 0; k < graph->outputs.count + graph->inputs.count; k++) {
        int i = k - graph->outputs.count; /* of an input, when it is one */
        const GraphPort *port = i < 0 ? &graph->outputs.at[k] : &graph->inputs.at[i];
        const double *values = i < 0 ? a->outputs[k] : a->in_grads ? a->in_grads[i] : NULL;
        int64_t n = shape_count(port->type.shape);
        for (Walk w = walk_first(data, port); values && !w.done; walk_next(&w))
            for (int64_t e = 0; !walk_inside(&w, &found) && e < n; e++) {
                int64_t at = w.row * n + e;
                double held = i < 0 ? 0 : data->d_inputs[i][at];
                if (values[at] != held)
                    return arena_printf(arena,
                                        "%s%s is %g, not %g, behind the end of sequence %lld",
                                        i < 0 ? "" : "the gradient of ", port->name, values[at],
                                        held, (long long)w.b);
            }
    }
    return NULL;
}

/* Whether two numbers are equal, or nearer than a tolerance or bound allows. */
static bool alike(double x, double y, double within) {
    if (memcmp(&x, &y, sizeof x) == 0 || (isnan(x) && isnan(y))) return true;
    return within > 0 && (x == y || fabs(x - y) <= within);
}

typedef struct Part {
    const Data *whole, *part;
    int64_t first; /* sequence */
    int axis;
    int64_t from; /* position on it */
} Part;

/* `bounds`: of the whole; NULL: bits. */
static const char *compare_rows(Arena *arena, const Part *p, const GraphPort *port,
                                const double *whole, const double *part, const double *bounds) {
    int64_t n = shape_count(port->type.shape);
    for (Walk w = walk_first(p->part, port); !w.done; walk_next(&w)) {
        int64_t row = 0;
        for (int d = 0; d < port->index_count; d++) {
            int a = walk_axis(&w, d);
            row = row * p->whole->extent[a] + w.at[d] + (a == p->axis ? p->from : 0);
        }
        row = row * p->whole->batch + p->first + w.b;
        for (int64_t e = 0; walk_inside(&w, p->part) && e < n; e++) {
            double x = part[w.row * n + e], y = whole[row * n + e];
            /* Twice the bound: each of the two may use it. */
            double within = bounds ? 2 * bounds[row * n + e] + DBL_MIN : 0;
            if (!alike(x, y, within))
                return arena_printf(
                    arena, "%s row %lld (sequence %lld), element %lld: %.9g, and %.9g in the whole",
                    port->name, (long long)w.row, (long long)(p->first + w.b), (long long)e, x, y);
        }
    }
    return NULL;
}

const char *compare_part(Arena *arena, const Data *whole_data, const Outcome *whole,
                         const Data *part_data, const Outcome *part, int64_t first, int axis,
                         int64_t from, const Outcome *bounded) {
    const Graph *graph = whole_data->graph;
    const Part p = {whole_data, part_data, first, axis, from};
    const char *words = NULL;
    if (bounded && bounded->fragile) return NULL;
    for (int o = 0; o < graph->outputs.count && !words; o++)
        words = compare_rows(arena, &p, &graph->outputs.at[o], whole->outputs[o], part->outputs[o],
                             bounded ? bounded->bounds[o] : NULL);
    for (int i = 0; i < graph->inputs.count && whole->in_grads && part->in_grads && !words; i++)
        if (whole->in_grads[i])
            words = compare_rows(arena, &p, &graph->inputs.at[i], whole->in_grads[i],
                                 part->in_grads[i], bounded ? bounded->in_grad_bounds[i] : NULL);
    return words;
}

/* ---- whole outcomes ---- */

typedef struct Comparison {
    Arena *arena;
    double tolerance; /* of real numbers, or */
    double *used;     /* the bounds of the second outcome */
} Comparison;

/* `count` numbers of two arrays; one that was not wanted is not compared. */
static const char *compare_array(const Comparison *c, const char *of, const char *name,
                                 const double *a, const double *b, const double *bounds,
                                 int64_t count, double tolerance) {
    int64_t wrong = 0, where = -1;
    if (!a || !b) return NULL;
    for (int64_t e = 0; e < count; e++) {
        double x = a[e], y = b[e], within = tolerance * fmax(1, fabs(y));
        /* A zero may have another sign. */
        if (c->used) within = bounds[e] > 0 ? bounds[e] : DBL_MIN;
        if (c->used && x != y && fabs(x - y) > *c->used * within) *c->used = fabs(x - y) / within;
        if (alike(x, y, within)) continue;
        wrong++;
        if (where < 0) where = e;
    }
    if (!wrong) return NULL;
    return arena_printf(
        c->arena, "%s%s differs at %lld of %lld, first element %lld: %.17g, should be %.17g%s%g",
        of, name, (long long)wrong, (long long)count, (long long)where, a[where], b[where],
        c->used ? ", bound " : ", tolerance ", c->used ? bounds[where] : tolerance);
}

static const char *compare_trained(const Comparison *c, const Data *data, const Outcome *a,
                                   const Outcome *b) {
    const Graph *graph = data->graph;
    const char *words =
        compare_array(c, "the loss", "", a->loss, b->loss, &b->loss_bound, 1, c->tolerance);
    for (int p = 0; p < graph->params.count && a->grads && b->grads && !words; p++)
        words = compare_array(c, "the gradient of ", graph->params.at[p].name, a->grads[p],
                              b->grads[p], c->used ? b->grad_bounds[p] : NULL,
                              shape_count(graph->params.at[p].shape), c->tolerance);
    for (int i = 0; i < graph->inputs.count && a->in_grads && b->in_grads && !words; i++)
        words = compare_array(c, "the gradient of input ", graph->inputs.at[i].name, a->in_grads[i],
                              b->in_grads[i], c->used ? b->in_grad_bounds[i] : NULL,
                              port_count(data, &graph->inputs.at[i]), c->tolerance);
    return words;
}

static const char *compare(const Comparison *c, const Data *data, const Outcome *a,
                           const Outcome *b) {
    const Graph *graph = data->graph;
    if (a->error) return a->error;
    if (b->error) return b->error;
    if (a->status != b->status)
        return arena_printf(c->arena, "status %lld, should be %lld", (long long)a->status,
                            (long long)b->status);
    if (a->status != LOOP_OK) return NULL;
    for (int x = 0; x < graph->axes.count; x++)
        for (int64_t s = 0; a->lengths[x] && b->lengths[x] && s < data->batch; s++)
            if (a->lengths[x][s] != b->lengths[x][s])
                return arena_printf(c->arena, "sequence %lld stops at %lld, should be %lld",
                                    (long long)s, (long long)a->lengths[x][s],
                                    (long long)b->lengths[x][s]);
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        const char *words = compare_array(c, "", port->name, a->outputs[o], b->outputs[o],
                                          c->used ? b->bounds[o] : NULL, port_count(data, port),
                                          port->type.dtype == DT_FLOAT ? c->tolerance : 0);
        if (words) return words;
    }
    return compare_trained(c, data, a, b);
}

const char *compare_exact(Arena *arena, const Data *data, const Outcome *a, const Outcome *b) {
    return compare(&(Comparison){.arena = arena}, data, a, b);
}

const char *compare_near(Arena *arena, const Data *data, const Outcome *a, const Outcome *b,
                         double tolerance) {
    return compare(&(Comparison){.arena = arena, .tolerance = tolerance}, data, a, b);
}

const char *compare_bound(Arena *arena, const Data *data, const Outcome *a, const Outcome *b,
                          double *used) {
    if (b->fragile && !a->error) return NULL;
    return compare(&(Comparison){.arena = arena, .used = used}, data, a, b);
}
