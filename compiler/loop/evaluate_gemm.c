/* Products of matrices in the Loop evaluator, by plain loops: one chain a sum. The runtime's
 * library takes another order, so who compares compares within a bound. */
#include "loop/evaluate_code.h"

#include <math.h>

typedef struct Matrix {
    EvBuffer *buffer;
    const char *name;
    int64_t first, stride, rows, columns; /* as it lies in memory */
} Matrix;

static int64_t integer_at(const EvFunction *f, int32_t at) {
    int64_t value;
    memcpy(&value, f->regs + at, sizeof value);
    return value;
}

/* Each row is inside of its buffer, was written where that is followed, and is met by no other
 * thread. */
static bool touch(EvRun *run, EvFunction *f, const EvIns *ins, const Matrix *m, bool reads,
                  bool writes) {
    if (m->rows > 1 && m->stride < m->columns) {
        run->message = arena_printf(run->arena, "rows of %s have %lld elements and lie %lld apart",
                                    m->name, (long long)m->columns, (long long)m->stride);
        return false;
    }
    for (int64_t r = 0; r < m->rows; r++) {
        int64_t index = m->first + r * m->stride;
        bool inside = index >= 0 && m->columns <= INT32_MAX && index < m->buffer->count;
        int lanes = inside ? (int)m->columns : 1;
        if (!eval_touch(run, f, ins->b, index, lanes)) return false;
        unsigned char *written = m->buffer->written;
        if (reads && written && memchr(written + index, 0, (size_t)lanes)) {
            run->message = arena_printf(run->arena, "read of %s from %lld on, not all written",
                                        m->name, (long long)index);
            return false;
        }
        if (writes && written) memset(written + index, 1, (size_t)lanes);
        if (run->thread < 0 || !m->buffer->shared) continue;
        if (reads && !eval_meet(run, f, ins, index, lanes, false)) return false;
        if (writes && !eval_meet(run, f, ins, index, lanes, true)) return false;
    }
    return true;
}

static char *element(const Matrix *m, int64_t row, int64_t column, bool transposed) {
    int64_t index = m->first + (transposed ? column * m->stride + row : row * m->stride + column);
    return m->buffer->base + index * m->buffer->size;
}

static double number(const char *from, LoopType type) {
    float narrow;
    double wide;
    if (type == LT_F64) {
        memcpy(&wide, from, sizeof wide);
        return wide;
    }
    memcpy(&narrow, from, sizeof narrow);
    return (double)narrow;
}

static void multiply(const Matrix m[EV_MATRICES], int flags, int64_t depth, LoopType type) {
    for (int64_t i = 0; i < m[0].rows; i++)
        for (int64_t j = 0; j < m[0].columns; j++) {
            double sum = 0;
            for (int64_t k = 0; k < depth; k++) {
                double a = number(element(&m[1], i, k, flags & GEMM_A_TRANSPOSED), type);
                double b = number(element(&m[2], k, j, flags & GEMM_B_TRANSPOSED), type);
                sum =
                    type == LT_F64 ? fma(a, b, sum) : (double)fmaf((float)a, (float)b, (float)sum);
            }
            char *to = element(&m[0], i, j, false);
            if (flags & GEMM_MINUS) sum = -sum;
            if (flags & GEMM_ADD) sum += number(to, type);
            float narrow = (float)sum;
            if (type == LT_F64)
                memcpy(to, &sum, sizeof sum);
            else
                memcpy(to, &narrow, sizeof narrow);
        }
}

bool eval_gemm(EvRun *run, EvFunction *f, const EvIns *ins) {
    int flags = ins->d;
    int64_t rows = integer_at(f, ins->a), columns = integer_at(f, ins->b);
    int64_t depth = integer_at(f, ins->c);
    if (rows <= 0 || columns <= 0) return true;
    if (depth < 0) depth = 0;
    bool turned[EV_MATRICES] = {false, flags & GEMM_A_TRANSPOSED, flags & GEMM_B_TRANSPOSED};
    int64_t high[EV_MATRICES] = {rows, rows, depth}, wide[EV_MATRICES] = {columns, depth, columns};
    Matrix m[EV_MATRICES];
    for (int i = 0; i < EV_MATRICES; i++) {
        const EvIns *of = ins + 1 + i;
        m[i] = (Matrix){.buffer = &f->buffers[of->b],
                        .name = f->function->buffers.at[of->b].name,
                        .first = integer_at(f, of->a),
                        .stride = integer_at(f, of->c),
                        .rows = turned[i] ? wide[i] : high[i],
                        .columns = turned[i] ? high[i] : wide[i]};
        if (!depth && i) continue;
        if (!touch(run, f, of, &m[i], i > 0 || (flags & GEMM_ADD), i == 0)) return false;
    }
    multiply(m, flags, depth, (LoopType)ins->type);
    return true;
}
