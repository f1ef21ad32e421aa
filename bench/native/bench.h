/* What the native parts of the bench share: a callable piece of work and how it is timed, random
 * numbers that every contender makes alike, and the limits of the machine. */
#ifndef RNNC_BENCH_H
#define RNNC_BENCH_H

#include <stdint.h>

/* One call of the work that is timed. */
typedef int64_t (*BenchCall)(void *const *args);

/* Calls until `budget_ns` have passed, at least once; the median time of a call in ns. *calls: how
 * many there were. *lost: how many of them the kernel interrupted; those do not count where there
 * are others. */
double bench_time(BenchCall call, void *const *args, int64_t budget_ns, int64_t *calls,
                  int64_t *lost);

/* Numbers of [-scale, scale) that depend on `seed` alone. */
void bench_fill(float *to, int64_t count, uint64_t seed, float scale);
/* The largest |a - b| over the largest |b|; infinite where a number is none. */
double bench_error(const float *a, const float *b, int64_t count);

/* Multiply-adds: GFLOP/s of one core. */
double bench_peak(void);
/* GB/s of reading `bytes` again and again, split between `threads` cores. */
double bench_read(int64_t bytes, int threads);
/* Rational tanh: elements a ns of one core. */
double bench_tanh(void);
/* Time in ns of a barrier between two cores. */
double bench_barrier(int first, int second);

#endif
