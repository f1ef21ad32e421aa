/* rt_blas.c - products of matrices for code that `rnnc --gemm=blas` emits, by CBLAS. The one file
 * of the runtime that needs a library (OpenBLAS): who calls nothing of it need not link it. */
#include "rnn_rt.h"

#include <cblas.h>

/* OpenBLAS's own; another CBLAS has neither. */
void openblas_set_num_threads(int threads) __attribute__((weak));
int openblas_get_num_threads(void) __attribute__((weak));

/* CBLAS counts in int: longer matrices go in pieces of so many rows, or terms. */
enum { PIECE = 1 << 30 };

/* A call is one thread's share already, and its threads would be at odds with the pool's. */
static void stay_alone(void) {
    if (openblas_get_num_threads && openblas_set_num_threads && openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
}

static int64_t piece(int64_t left) {
    return left < PIECE ? left : PIECE;
}

#define GEMM(name, real, cblas)                                                                    \
    void name(int flags, int64_t rows, int64_t columns, int64_t depth, const real *a,              \
              int64_t a_stride, const real *b, int64_t b_stride, real *c, int64_t c_stride) {      \
        const int a_turned = flags & RT_GEMM_A_TRANSPOSED;                                         \
        const int b_turned = flags & RT_GEMM_B_TRANSPOSED;                                         \
        const real sign = flags & RT_GEMM_MINUS ? (real)-1 : (real)1;                              \
        if (rows <= 0 || columns <= 0) return;                                                     \
        stay_alone();                                                                              \
        for (int64_t i = 0; i < rows; i += PIECE) {                                                \
            int64_t k = 0;                                                                         \
            do { /* once without terms, too: C becomes 0 */                                        \
                const real keep = (flags & RT_GEMM_ADD) || k > 0 ? (real)1 : (real)0;              \
                const int64_t terms = depth > k ? piece(depth - k) : 0;                            \
                cblas(CblasRowMajor, a_turned ? CblasTrans : CblasNoTrans,                         \
                      b_turned ? CblasTrans : CblasNoTrans, (int)piece(rows - i), (int)columns,    \
                      (int)terms, sign, a_turned ? a + k *a_stride + i : a + i * a_stride + k,     \
                      (int)a_stride, b_turned ? b + k : b + k * b_stride, (int)b_stride, keep,     \
                      c + i * c_stride, (int)c_stride);                                            \
                k += PIECE;                                                                        \
            } while (k < depth);                                                                   \
        }                                                                                          \
    }

GEMM(rnn_rt_sgemm, float, cblas_sgemm)
GEMM(rnn_rt_dgemm, double, cblas_dgemm)
