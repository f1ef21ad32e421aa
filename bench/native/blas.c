/* The plain program over a BLAS: the input product for all steps at once, then a step at a time,
 * products by sgemm and sgemv, activations in loops that the compiler makes vectors of. Gates are
 * stacked rows of one matrix. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

enum { CELL_LSTM, CELL_GRU, CELL_RNN };

typedef struct Layer {
    int cell;
    int64_t T, B, N, H, rows; /* rows: gates · H */
    float *w, *u, *b, *c;     /* c: the bias within a GRU's reset */
    const float *x;
    float *y, *gates, *part, *state, *zero;
} Layer;

Layer *blas_open(int cell, const int64_t *sizes, const float *const *w, const float *const *u,
                 const float *const *b, const float *x, float *y);
int64_t blas_run(void *const *args);

static float *floats(int64_t count) {
    size_t bytes = ((size_t)count * sizeof(float) + 63) / 64 * 64;
    return memset(aligned_alloc(64, bytes), 0, bytes);
}

/* sizes: T, B, N, H, gates, biases */
Layer *blas_open(int cell, const int64_t *sizes, const float *const *w, const float *const *u,
                 const float *const *b, const float *x, float *y) {
    Layer *l = calloc(1, sizeof *l);
    int64_t T = sizes[0], B = sizes[1], N = sizes[2], H = sizes[3], gates = sizes[4];
    *l = (Layer){.cell = cell, .T = T, .B = B, .N = N, .H = H, .rows = gates * H, .x = x, .y = y};
    l->w = floats(gates * H * N), l->u = floats(gates * H * H), l->b = floats(gates * H);
    l->c = floats(H), l->state = floats(B * H), l->zero = floats(B * H);
    l->gates = floats(T * B * gates * H), l->part = floats(B * gates * H);
    for (int64_t g = 0; g < gates; g++) {
        memcpy(l->w + g * H * N, w[g], (size_t)(H * N) * sizeof(float));
        memcpy(l->u + g * H * H, u[g], (size_t)(H * H) * sizeof(float));
        memcpy(l->b + g * H, b[g], (size_t)H * sizeof(float));
    }
    if (sizes[5] > gates) memcpy(l->c, b[gates], (size_t)H * sizeof(float));
    return l;
}

static float sigmoid(float x) {
    return 1 / (1 + expf(-x));
}

/* to += from · matrixᵀ */
static void product(int64_t rows, int64_t columns, int64_t inner, const float *from,
                    const float *matrix, float *to) {
    if (rows == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)columns, (int)inner, 1, matrix, (int)inner,
                    from, 1, 1, to, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, (int)columns, (int)inner, 1,
                    from, (int)inner, matrix, (int)inner, 1, to, (int)columns);
}

static void step(const Layer *l, const float *restrict g, const float *restrict p,
                 const float *restrict before, float *restrict state, float *restrict h) {
    int64_t H = l->H;
    switch (l->cell) {
    case CELL_LSTM: /* i f g o */
        for (int64_t k = 0; k < H; k++) {
            state[k] = sigmoid(g[H + k]) * state[k] + sigmoid(g[k]) * tanhf(g[2 * H + k]);
            h[k] = sigmoid(g[3 * H + k]) * tanhf(state[k]);
        }
        break;
    case CELL_GRU: /* z r n */
        for (int64_t k = 0; k < H; k++) {
            float z = sigmoid(g[k] + p[k]), r = sigmoid(g[H + k] + p[H + k]);
            float n = tanhf(g[2 * H + k] + r * (p[2 * H + k] + l->c[k]));
            h[k] = (1 - z) * n + z * before[k];
        }
        break;
    case CELL_RNN:
        for (int64_t k = 0; k < H; k++) h[k] = tanhf(g[k]);
        break;
    }
}

int64_t blas_run(void *const *args) {
    Layer *l = args[0];
    int64_t T = l->T, B = l->B, H = l->H, rows = l->rows;
    memset(l->state, 0, (size_t)(B * H) * sizeof(float));
    for (int64_t n = 0; n < T * B; n++)
        memcpy(l->gates + n * rows, l->b, (size_t)rows * sizeof(float));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)(T * B), (int)rows, (int)l->N, 1,
                l->x, (int)l->N, l->w, (int)l->N, 1, l->gates, (int)rows);
    for (int64_t t = 0; t < T; t++) {
        float *gates = l->gates + t * B * rows, *to = gates;
        const float *before = t ? l->y + (t - 1) * B * H : l->zero;
        if (l->cell == CELL_GRU) { /* its products stay apart */
            to = l->part;
            memset(to, 0, (size_t)(B * rows) * sizeof(float));
        }
        product(B, rows, H, before, l->u, to);
        for (int64_t b = 0; b < B; b++)
            step(l, gates + b * rows, to + b * rows, before + b * H, l->state + b * H,
                 l->y + (t * B + b) * H);
    }
    return 0;
}
