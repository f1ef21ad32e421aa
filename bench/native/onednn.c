/* One recurrent layer by oneDNN, 2 and 3 (the headers decide), as one call that can be timed:
 * forward, or forward and backward with what a training step needs. Weights come one matrix a
 * gate, [H][I], in the order of oneDNN's gates; they are laid out before the clock starts, but in
 * training, where they change each step, all reordering belongs to the call. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <oneapi/dnnl/dnnl.h>

enum { MAX_STEPS = 12, MAX_ARGS = 24 };
enum { CELL_LSTM, CELL_GRU, CELL_RNN };

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t Desc;
#else
typedef const dnnl_memory_desc_t *Desc;
#endif

typedef struct Step {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[MAX_ARGS];
    int count;
} Step;

typedef struct Layer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    Step steps[MAX_STEPS];
    int count;
    void *zero[4]; /* gradients that are added to */
    int64_t zero_bytes[4];
    int zeros;
    const float *y, *v, *d; /* a dense layer to one number, [H] and [1] */
    float *dense;
    int64_t rows, columns;
} Layer;

int64_t onednn_version(void);
Layer *onednn_open(int cell, const int64_t *sizes, int training, int plain, const float *const *w,
                   const float *const *u, const float *const *b, float *x, float *y, float *d_y,
                   float *d_x, float *d_w, float *d_u, float *d_b);
void onednn_dense(Layer *l, const float *y, const float *v, const float *d, float *out,
                  int64_t rows, int64_t columns);
int64_t onednn_run(void *const *args);

int64_t onednn_version(void) {
    const dnnl_version_t *v = dnnl_version();
    return v->major * 10000 + v->minor * 100 + v->patch;
}

static Desc plain_desc(int rank, const int64_t *sizes, dnnl_format_tag_t tag) {
    dnnl_dims_t dims = {0};
    memcpy(dims, sizes, (size_t)rank * sizeof *dims);
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_t desc;
    return dnnl_memory_desc_create_with_tag(&desc, rank, dims, dnnl_f32, tag) ? NULL : desc;
#else
    dnnl_memory_desc_t *desc = malloc(sizeof *desc);
    return dnnl_memory_desc_init_by_tag(desc, rank, dims, dnnl_f32, tag) ? NULL : desc;
#endif
}

static size_t desc_size(Desc desc) {
    return dnnl_memory_desc_get_size(desc);
}

static dnnl_memory_t memory(Layer *l, Desc desc, void *data) {
    dnnl_memory_t m = NULL;
    size_t bytes = (desc_size(desc) + 63) / 64 * 64;
    if (!data && bytes) {
        data = aligned_alloc(64, bytes);
        memset(data, 0, bytes);
    }
    return dnnl_memory_create(&m, desc, l->engine, data) ? NULL : m;
}

static void *memory_data(dnnl_memory_t m) {
    void *data = NULL;
    dnnl_memory_get_data_handle(m, &data);
    return data;
}

static void arg(Step *step, int name, dnnl_memory_t m) {
    step->args[step->count++] = (dnnl_exec_arg_t){.arg = name, .memory = m};
}

static Desc query(const_dnnl_primitive_desc_t pd, int name) {
    return (Desc)dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, name);
}

/* A step that copies between layouts; nothing where they are the same. */
static dnnl_memory_t reorder(Layer *l, dnnl_memory_t from, Desc from_desc, Desc to,
                             dnnl_memory_t into, int *good) {
    if (dnnl_memory_desc_equal(from_desc, to)) return into ? into : from;
    dnnl_memory_t m = into ? into : memory(l, to, NULL);
    dnnl_primitive_desc_t pd;
    Step *step = &l->steps[l->count++];
    if (dnnl_reorder_primitive_desc_create(&pd, from_desc, l->engine, to, l->engine, NULL) ||
        dnnl_primitive_create(&step->primitive, pd))
        *good = 0;
    arg(step, DNNL_ARG_FROM, from);
    arg(step, DNNL_ARG_TO, m);
    return m;
}

/* ---- The primitives of both versions ---- */

typedef struct Shapes {
    Desc x, w, u, b, y, h; /* h: the state before the first step; NULL: zero */
} Shapes;

#define IN_FIVE(s) (s)->x, (s)->h, (s)->w, (s)->u, (s)->b, (s)->y, NULL
#define IN_LSTM(s) (s)->x, (s)->h, (s)->h, (s)->w, (s)->u, (s)->b, (s)->y, NULL, NULL
#define IN_LSTM_3(s) (s)->x, (s)->h, (s)->h, (s)->w, (s)->u, NULL, NULL, (s)->b, (s)->y, NULL, NULL
#define RIGHT dnnl_unidirectional_left2right

#if DNNL_VERSION_MAJOR >= 3
static int forward_desc(Layer *l, int cell, dnnl_prop_kind_t kind, const Shapes *s,
                        dnnl_primitive_desc_t *pd) {
    switch (cell) {
    case CELL_LSTM:
        return dnnl_lstm_forward_primitive_desc_create(pd, l->engine, kind, RIGHT, IN_LSTM_3(s), 0,
                                                       NULL);
    case CELL_GRU:
        return dnnl_lbr_gru_forward_primitive_desc_create(pd, l->engine, kind, RIGHT, IN_FIVE(s), 0,
                                                          NULL);
    case CELL_RNN:
        return dnnl_vanilla_rnn_forward_primitive_desc_create(
            pd, l->engine, kind, dnnl_eltwise_tanh, RIGHT, IN_FIVE(s), 0, 0, 0, NULL);
    }
    return 1;
}

static int backward_desc(Layer *l, int cell, const Shapes *s, const Shapes *d,
                         dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *pd) {
    unsigned flags = dnnl_rnn_flags_diff_weights_overwrite;
    dnnl_prop_kind_t kind = dnnl_backward;
    switch (cell) {
    case CELL_LSTM:
        return dnnl_lstm_backward_primitive_desc_create(pd, l->engine, kind, RIGHT, IN_LSTM_3(s),
                                                        IN_LSTM_3(d), flags, forward, NULL);
    case CELL_GRU:
        return dnnl_lbr_gru_backward_primitive_desc_create(pd, l->engine, kind, RIGHT, IN_FIVE(s),
                                                           IN_FIVE(d), flags, forward, NULL);
    case CELL_RNN:
        return dnnl_vanilla_rnn_backward_primitive_desc_create(
            pd, l->engine, kind, dnnl_eltwise_tanh, RIGHT, IN_FIVE(s), IN_FIVE(d), flags, 0, 0,
            forward, NULL);
    }
    return 1;
}
#else
static int forward_desc(Layer *l, int cell, dnnl_prop_kind_t kind, const Shapes *s,
                        dnnl_primitive_desc_t *pd) {
    dnnl_rnn_desc_t desc;
    int bad = 1;
    switch (cell) {
    case CELL_LSTM: bad = dnnl_lstm_forward_desc_init(&desc, kind, RIGHT, IN_LSTM(s), 0); break;
    case CELL_GRU: bad = dnnl_lbr_gru_forward_desc_init(&desc, kind, RIGHT, IN_FIVE(s), 0); break;
    case CELL_RNN:
        bad = dnnl_vanilla_rnn_forward_desc_init(&desc, kind, dnnl_eltwise_tanh, RIGHT, IN_FIVE(s),
                                                 0, 0, 0);
        break;
    }
    return bad || dnnl_primitive_desc_create(pd, &desc, NULL, l->engine, NULL);
}

static int backward_desc(Layer *l, int cell, const Shapes *s, const Shapes *d,
                         dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *pd) {
    dnnl_rnn_desc_t desc;
    dnnl_prop_kind_t kind = dnnl_backward;
    int bad = 1;
    switch (cell) {
    case CELL_LSTM:
        bad = dnnl_lstm_backward_desc_init(&desc, kind, RIGHT, IN_LSTM(s), IN_LSTM(d), 0);
        break;
    case CELL_GRU:
        bad = dnnl_lbr_gru_backward_desc_init(&desc, kind, RIGHT, IN_FIVE(s), IN_FIVE(d), 0);
        break;
    case CELL_RNN:
        bad = dnnl_vanilla_rnn_backward_desc_init(&desc, kind, dnnl_eltwise_tanh, RIGHT, IN_FIVE(s),
                                                  IN_FIVE(d), 0, 0, 0);
        break;
    }
    return bad || dnnl_primitive_desc_create(pd, &desc, NULL, l->engine, forward);
}
#endif

/* ---- The layer ---- */

/* [inputs][gates][H] from a matrix [H][inputs] a gate. */
static void interleave(float *to, const float *const *from, int64_t gates, int64_t H, int64_t I) {
    for (int64_t g = 0; g < gates; g++)
        for (int64_t o = 0; o < H; o++)
            for (int64_t i = 0; i < I; i++) to[(i * gates + g) * H + o] = from[g][o * I + i];
}

static void run_steps(Layer *l, int from) {
    for (int i = from; i < l->count; i++)
        dnnl_primitive_execute(l->steps[i].primitive, l->stream, l->steps[i].count,
                               l->steps[i].args);
    dnnl_stream_wait(l->stream);
}

/* sizes: T, B, I, H, gates, biases. d_w and d_u: [inputs][gates][H]. */
Layer *onednn_open(int cell, const int64_t *sizes, int training, int plain, const float *const *w,
                   const float *const *u, const float *const *b, float *x, float *y, float *d_y,
                   float *d_x, float *d_w, float *d_u, float *d_b) {
    int64_t T = sizes[0], B = sizes[1], I = sizes[2], H = sizes[3], gates = sizes[4];
    Layer *l = calloc(1, sizeof *l);
    if (dnnl_engine_create(&l->engine, dnnl_cpu, 0) ||
        dnnl_stream_create(&l->stream, l->engine, dnnl_stream_default_flags))
        return NULL;
    int64_t xs[] = {T, B, I}, ys[] = {T, B, H}, ws[] = {1, 1, I, gates, H},
            us[] = {1, 1, H, gates, H}, bs[] = {1, 1, sizes[5], H}, hs[] = {1, 1, B, H};
    Desc user_w = plain_desc(5, ws, dnnl_ldigo), user_u = plain_desc(5, us, dnnl_ldigo);
    Desc any_w = plain_desc(5, ws, dnnl_format_tag_any),
         any_u = plain_desc(5, us, dnnl_format_tag_any);
    Shapes s = {plain_desc(3, xs, dnnl_tnc), plain ? user_w : any_w,
                plain ? user_u : any_u,      plain_desc(4, bs, dnnl_ldgo),
                plain_desc(3, ys, dnnl_tnc), training ? plain_desc(4, hs, dnnl_ldnc) : NULL};
    dnnl_primitive_desc_t forward;
    if (forward_desc(l, cell, training ? dnnl_forward_training : dnnl_forward_inference, &s,
                     &forward))
        return NULL;

    int good = 1;
    dnnl_memory_t plain_w = memory(l, user_w, NULL), plain_u = memory(l, user_u, NULL);
    interleave(memory_data(plain_w), w, gates, H, I);
    interleave(memory_data(plain_u), u, gates, H, H);
    dnnl_memory_t bias = memory(l, s.b, NULL);
    for (int64_t i = 0; i < sizes[5]; i++)
        memcpy((float *)memory_data(bias) + i * H, b[i], (size_t)H * sizeof(float));
    dnnl_memory_t mx = memory(l, s.x, x), my = memory(l, s.y, y);
    Desc fw = query(forward, DNNL_ARG_WEIGHTS_LAYER), fu = query(forward, DNNL_ARG_WEIGHTS_ITER);
    dnnl_memory_t mw = reorder(l, plain_w, user_w, fw, NULL, &good);
    dnnl_memory_t mu = reorder(l, plain_u, user_u, fu, NULL, &good);
    if (!good) return NULL;
    if (!training) { /* once, for all calls */
        run_steps(l, 0);
        l->count = 0;
        memset(l->steps, 0, sizeof l->steps);
    }
    Step *step = &l->steps[l->count++];
    if (dnnl_primitive_create(&step->primitive, forward)) return NULL;
    arg(step, DNNL_ARG_SRC_LAYER, mx);
    arg(step, DNNL_ARG_WEIGHTS_LAYER, mw);
    arg(step, DNNL_ARG_WEIGHTS_ITER, mu);
    arg(step, DNNL_ARG_BIAS, bias);
    arg(step, DNNL_ARG_DST_LAYER, my);
    if (!training) return l;

    dnnl_memory_t space = memory(l, query(forward, DNNL_ARG_WORKSPACE), NULL);
    arg(step, DNNL_ARG_WORKSPACE, space);
    /* Zero, but given: without it the gradient of U comes out wrong (2.6 and 3.2). */
    dnnl_memory_t mh = memory(l, s.h, NULL), mc = memory(l, s.h, NULL);
    arg(step, DNNL_ARG_SRC_ITER, mh);
    if (cell == CELL_LSTM) arg(step, DNNL_ARG_SRC_ITER_C, mc);
    Shapes back = s, d = s;
    back.w = any_w, back.u = any_u;
    if (plain) back.w = plain_desc(5, ws, dnnl_ldgoi), back.u = plain_desc(5, us, dnnl_ldgoi);
    dnnl_primitive_desc_t backward;
    if (backward_desc(l, cell, &back, &d, forward, &backward)) return NULL;
    Desc bw = query(backward, DNNL_ARG_WEIGHTS_LAYER), bu = query(backward, DNNL_ARG_WEIGHTS_ITER);
    dnnl_memory_t back_w = reorder(l, plain_w, user_w, bw, NULL, &good);
    dnnl_memory_t back_u = reorder(l, plain_u, user_u, bu, NULL, &good);
    Desc dw = query(backward, DNNL_ARG_DIFF_WEIGHTS_LAYER);
    Desc du = query(backward, DNNL_ARG_DIFF_WEIGHTS_ITER);
    dnnl_memory_t user_dw = memory(l, user_w, d_w), user_du = memory(l, user_u, d_u);
    dnnl_memory_t mdw = dnnl_memory_desc_equal(dw, user_w) ? user_dw : memory(l, dw, NULL);
    dnnl_memory_t mdu = dnnl_memory_desc_equal(du, user_u) ? user_du : memory(l, du, NULL);
    dnnl_memory_t mdb = memory(l, s.b, d_b);
    if (DNNL_VERSION_MAJOR < 3) { /* it adds */
        l->zero[0] = memory_data(mdw), l->zero_bytes[0] = (int64_t)desc_size(dw);
        l->zero[1] = memory_data(mdu), l->zero_bytes[1] = (int64_t)desc_size(du);
        l->zero[2] = memory_data(mdb), l->zero_bytes[2] = (int64_t)desc_size(s.b);
        l->zeros = 3;
    }
    step = &l->steps[l->count++];
    if (dnnl_primitive_create(&step->primitive, backward)) return NULL;
    arg(step, DNNL_ARG_SRC_LAYER, mx);
    arg(step, DNNL_ARG_WEIGHTS_LAYER, back_w);
    arg(step, DNNL_ARG_WEIGHTS_ITER, back_u);
    arg(step, DNNL_ARG_BIAS, bias);
    arg(step, DNNL_ARG_DST_LAYER, my);
    arg(step, DNNL_ARG_WORKSPACE, space);
    arg(step, DNNL_ARG_DIFF_SRC_LAYER, memory(l, s.x, d_x));
    arg(step, DNNL_ARG_SRC_ITER, mh);
    if (cell == CELL_LSTM) arg(step, DNNL_ARG_SRC_ITER_C, mc);
    arg(step, DNNL_ARG_DIFF_SRC_ITER, memory(l, s.h, NULL));
    if (cell == CELL_LSTM) arg(step, DNNL_ARG_DIFF_SRC_ITER_C, memory(l, s.h, NULL));
    arg(step, DNNL_ARG_DIFF_WEIGHTS_LAYER, mdw);
    arg(step, DNNL_ARG_DIFF_WEIGHTS_ITER, mdu);
    arg(step, DNNL_ARG_DIFF_BIAS, mdb);
    arg(step, DNNL_ARG_DIFF_DST_LAYER, memory(l, s.y, d_y));
    reorder(l, mdw, dw, user_w, user_dw, &good);
    reorder(l, mdu, du, user_u, user_du, &good);
    return good ? l : NULL;
}

void onednn_dense(Layer *l, const float *y, const float *v, const float *d, float *out,
                  int64_t rows, int64_t columns) {
    l->y = y, l->v = v, l->d = d, l->dense = out, l->rows = rows, l->columns = columns;
}

int64_t onednn_run(void *const *args) {
    Layer *l = args[0];
    for (int i = 0; i < l->zeros; i++) memset(l->zero[i], 0, (size_t)l->zero_bytes[i]);
    run_steps(l, 0);
    for (int64_t row = 0; row < l->rows; row++) {
        float sums[8] = {l->d[0]};
        for (int64_t i = 0; i < l->columns; i++)
            sums[i % 8] += l->v[i] * l->y[row * l->columns + i];
        l->dense[row] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
                        ((sums[4] + sums[5]) + (sums[6] + sums[7]));
    }
    return 0;
}
