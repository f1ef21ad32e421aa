/* The stop watch, the random numbers and the limits of the machine: peak of multiply-adds, reading
 * from each level of memory, activations, a barrier. Plain loops over GNU vectors. */
#define _GNU_SOURCE

#include "bench.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float Vector __attribute__((vector_size(4 * LANES), may_alias));

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int64_t interruptions(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nivcsw;
}

/* ---- Time ---- */

enum { SAMPLES = 4096 };

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

double bench_time(BenchCall call, void *const *args, int64_t budget_ns, int64_t *calls,
                  int64_t *lost) {
    double good[SAMPLES], bad[SAMPLES], start = now();
    int goods = 0, bads = 0;
    *calls = *lost = 0;
    call(args);
    double once = now() - start;
    /* Short calls are timed many at a time, so that the clock is not what is measured. */
    int group = once < 10000 ? (int)(20000 / (once + 10)) + 1 : 1;
    for (start = now(); goods + bads < SAMPLES;) {
        int64_t before = interruptions();
        double from = now();
        for (int i = 0; i < group; i++) call(args);
        double took = (now() - from) / group;
        *calls += group;
        if (interruptions() > before) {
            bad[bads++] = took;
            *lost += group;
        } else {
            good[goods++] = took;
        }
        if (now() - start >= (double)budget_ns) break;
    }
    return goods ? median(good, goods) : median(bad, bads);
}

/* ---- Numbers ---- */

void bench_fill(float *to, int64_t count, uint64_t seed, float scale) {
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (int64_t i = 0; i < count; i++) { /* splitmix64 */
        uint64_t z = state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        to[i] = ((float)(z >> 40) / 8388608.0f - 1) * scale;
    }
}

double bench_error(const float *a, const float *b, int64_t count) {
    double worst = 0, largest = 1e-30;
    for (int64_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]), m = fabs((double)b[i]);
        if (!(d <= 1e30) || !(m <= 1e30)) return INFINITY;
        worst = d > worst ? d : worst;
        largest = m > largest ? m : largest;
    }
    return worst / largest;
}

/* ---- Limits ---- */

static Vector splat(float x) {
    Vector v;
    for (int i = 0; i < LANES; i++) v[i] = x;
    return v;
}

/* Chains are variables of their own: gcc keeps an array in memory. */
#define CHAIN_8(m, s) m(s##0) m(s##1) m(s##2) m(s##3) m(s##4) m(s##5) m(s##6) m(s##7)
#define CHAIN_ALL(m) CHAIN_8(m, a) CHAIN_8(m, b)
enum { CHAINS = 16 };

double bench_peak(void) {
    enum { TURNS = 6000 };
    double best = 0;
    for (int again = 0; again < 4; again++) {
        Vector x = splat(0.999f), y = splat(0.001f), all = splat(0);
#define BEGIN(s)                                                                                   \
    Vector s = splat(0.5f);                                                                        \
    __asm__("" : "+x"(s)); /* which is no other chain's number */
#define TURN(s) s = s * x + y;
#define ADD(s) all += s;
        CHAIN_ALL(BEGIN)
        double start = now();
        for (int turn = 0; turn < TURNS; turn++) {
            CHAIN_ALL(TURN)
        }
        double took = now() - start;
        CHAIN_ALL(ADD)
        __asm__ volatile("" : : "x"(all));
        double rate = 2.0 * TURNS * CHAINS * LANES / took;
        best = rate > best ? rate : best;
    }
    return best;
}

typedef struct Reader {
    const float *from;
    int64_t bytes;
    int core;
    atomic_int *ready;
    int turns, threads;
    double took;
} Reader;

static void read_once(const float *from, int64_t bytes) {
    const Vector *at = (const Vector *)from;
    int64_t count = bytes / (int64_t)sizeof(Vector);
    Vector a = splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    for (int64_t i = 0; i + 8 <= count; i += 8) {
        a += at[i], b += at[i + 1], c += at[i + 2], d += at[i + 3];
        e += at[i + 4], f += at[i + 5], g += at[i + 6], h += at[i + 7];
    }
    a += b + c + d + e + f + g + h;
    __asm__ volatile("" : : "x"(a));
}

static void *reader(void *what) {
    Reader *r = what;
    if (r->threads > 1) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(r->core, &set);
        pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    }
    read_once(r->from, r->bytes);
    atomic_fetch_add(r->ready, 1);
    while (atomic_load(r->ready) < r->threads) {
    }
    double start = now();
    for (int i = 0; i < r->turns; i++) read_once(r->from, r->bytes);
    r->took = now() - start;
    return NULL;
}

double bench_read(int64_t bytes, int threads) {
    int64_t part = bytes / threads / 512 * 512;
    if (part < 512) part = 512;
    /* Large pages where there are some: the caches' own speed, whatever pages lie where. */
    size_t room = ((size_t)(part * threads) + (2 << 20) - 1) >> 21 << 21;
    float *buffer = aligned_alloc(2 << 20, room);
    madvise(buffer, room, MADV_HUGEPAGE);
    memset(buffer, 0, (size_t)(part * threads));
    double best = 0;
    for (int again = 0; again < 5; again++) {
        atomic_int ready = 0;
        Reader readers[2];
        pthread_t other;
        for (int i = 0; i < threads; i++)
            readers[i] = (Reader){.from = buffer + i * (part / 4),
                                  .bytes = part,
                                  .core = i,
                                  .ready = &ready,
                                  .threads = threads,
                                  .turns = (int)(60000000 / part / 10) + 2};
        if (threads > 1) pthread_create(&other, NULL, reader, &readers[1]);
        if (threads > 1) {
            pthread_t self;
            pthread_create(&self, NULL, reader, &readers[0]);
            pthread_join(self, NULL);
            pthread_join(other, NULL);
        } else {
            reader(&readers[0]);
        }
        double took = readers[0].took;
        if (threads > 1 && readers[1].took > took) took = readers[1].took;
        double rate = (double)(part * threads) * readers[0].turns / took;
        best = rate > best ? rate : best;
    }
    free(buffer);
    return best;
}

/* Degree 13 over degree 6, for its cost. */
static void tanh_vector(float *at) {
    Vector x = *(Vector *)at, y = x * x;
    Vector p = y * splat(-2.76076847742355e-16f) + splat(2.00018790482477e-13f);
    p = p * y + splat(-8.60467152213735e-11f);
    p = p * y + splat(5.12229709037114e-08f);
    p = p * y + splat(1.48572235717979e-05f);
    p = p * y + splat(6.37261928875436e-04f);
    p = p * y + splat(4.89352455891786e-03f);
    Vector q = y * splat(1.19825839466702e-06f) + splat(1.18534705686654e-04f);
    q = q * y + splat(2.26843463243900e-03f);
    q = q * y + splat(4.89352518554385e-03f);
    *(Vector *)at = x * p / q;
}

double bench_tanh(void) {
    enum { COUNT = 2048, TURNS = 40 };
    static const float start_value = 0.7f;
    _Alignas(64) float values[COUNT];
    double best = 0;
    for (int again = 0; again < 4; again++) {
        for (int i = 0; i < COUNT; i++) values[i] = start_value;
        double start = now();
        for (int turn = 0; turn < TURNS; turn++)
            for (int i = 0; i < COUNT; i += LANES) tanh_vector(values + i);
        double rate = (double)TURNS * COUNT / (now() - start);
        __asm__ volatile("" : : "m"(values));
        best = rate > best ? rate : best;
    }
    return best;
}

enum { MEETINGS = 2000 };
typedef struct Side {
    _Alignas(128) atomic_int step;
    int core;
    struct Side *other;
    double took;
} Side;

static void *meet(void *what) {
    Side *side = what;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(side->core, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    double start = 0;
    for (int i = 1; i <= MEETINGS; i++) {
        if (i == MEETINGS / 2) start = now();
        atomic_store_explicit(&side->step, i, memory_order_release);
        while (atomic_load_explicit(&side->other->step, memory_order_acquire) < i) {
        }
    }
    side->took = (now() - start) / (MEETINGS / 2);
    return NULL;
}

double bench_barrier(int first, int second) {
    Side a = {.core = first}, b = {.core = second, .other = &a};
    a.other = &b;
    pthread_t threads[2];
    pthread_create(&threads[0], NULL, meet, &a);
    pthread_create(&threads[1], NULL, meet, &b);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    return a.took < b.took ? a.took : b.took;
}
