/* rt_threads.c - a pool of threads for compiled code: the same function on all of them, with a
 * barrier that spins. Threads that have nothing to do spin for a while, since the next region
 * usually comes at once, and then sleep. */
#define _GNU_SOURCE /* pthread_setaffinity_np, where there is one */

#include "rt_internal.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE = 128,                /* bytes that travel between cores together: pairs of cache lines */
    SPINS_BEFORE_YIELD = 2000, /* turns of a wait, where each thread has a core */
    SPINS_IF_CROWDED = 20,     /* where some have not: who is waited for may want this one */
    IDLE_NS = 200000,          /* an idle thread spins that long before it sleeps */
    WAKE_NS = 70000,           /* until one that sleeps has begun */
    MEASURE_NS = 10000000,     /* a barrier is measured as often */
    FAR_NS = 300               /* one between cores that share no cache */
};

/* The share of one thread's time that all may take and still be asked. */
#define MOST (15.0 / 16)

/* What one thread tells the others; nobody else writes here. */
typedef struct RtPoolLine {
    unsigned step; /* barriers reached */
    unsigned done; /* the last region that it is through with */
    unsigned char rest[LINE - 2 * sizeof(unsigned)];
} RtPoolLine;

typedef struct RtWorker {
    RtPool *pool;
    int thread;
    pthread_t id;
} RtWorker;

struct rnn_rt_pool {
    int threads;
    unsigned spins;    /* before a yield */
    RtPoolLine *lines; /* [threads], each on a line of its own */
    RtWorker *workers; /* [threads]; 0, the caller, has none */
    void *memory;      /* what the two lie in */
    /* The region: written by the caller before `round`, read by the others behind it. */
    RtPoolFunction *function;
    void *context;
    unsigned round; /* regions begun */
    bool ending;
    unsigned sleeping;
    /* Of the caller, to choose between one thread and all. */
    double barrier_ns;     /* the last that was measured; 0: none yet */
    int64_t measure_at;    /* not before */
    int64_t busy_until;    /* the end of the last piece of work, about */
    double lost_ns;        /* since others sleep, by pieces that were too small to wake them */
    pthread_mutex_t mutex; /* around sleep alone */
    pthread_cond_t wake;
#ifdef __linux__
    bool pinned;
    pthread_t caller;
    cpu_set_t before; /* where the caller might run */
#endif
};

/* ---- Waiting ------------------------------------------------------------------------------ */

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* One turn of a wait; after many, the core goes to somebody else for once. */
static void turn(const RtPool *pool, unsigned *turns) {
    if (++*turns < pool->spins)
        relax();
    else
        (void)sched_yield();
}

static int64_t clock_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Waits until there is a region that this thread has not done; its number. */
static unsigned next_round(RtPool *pool, unsigned seen) {
    int64_t since = clock_ns();
    unsigned turns = 0, round;
    do {
        for (int i = 0; i < 32; i++) {
            round = __atomic_load_n(&pool->round, __ATOMIC_ACQUIRE);
            if (round != seen) return round;
            turn(pool, &turns);
        }
    } while (clock_ns() - since < IDLE_NS);
    /* Either the caller sees that somebody sleeps, or this thread sees the new round: both look at
     * the one after writing the other, in one order for all. */
    pthread_mutex_lock(&pool->mutex);
    __atomic_add_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
    while ((round = __atomic_load_n(&pool->round, __ATOMIC_SEQ_CST)) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    __atomic_sub_fetch(&pool->sleeping, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
    return round;
}

static void begin_round(RtPool *pool) {
    __atomic_store_n(&pool->round, pool->round + 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&pool->sleeping, __ATOMIC_SEQ_CST)) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static void *work(void *of) {
    const RtWorker *worker = of;
    RtPool *pool = worker->pool;
    for (unsigned round = 0;;) {
        round = next_round(pool, round);
        if (pool->ending) return NULL;
        pool->function(pool->context, worker->thread, pool->threads);
        __atomic_store_n(&pool->lines[worker->thread].done, round, __ATOMIC_RELEASE);
    }
}

/* ---- Regions ------------------------------------------------------------------------------ */

int rnn_rt_pool_threads(const RtPool *pool) {
    return pool ? pool->threads : 1;
}

void rnn_rt_pool_run(RtPool *pool, RtPoolFunction *function, void *context) {
    int threads = rnn_rt_pool_threads(pool);
    if (threads > 1) {
        pool->function = function;
        pool->context = context;
        begin_round(pool);
    }
    function(context, 0, threads);
    for (int i = 1; i < threads; i++) {
        unsigned turns = 0;
        while (__atomic_load_n(&pool->lines[i].done, __ATOMIC_ACQUIRE) != pool->round)
            turn(pool, &turns);
    }
}

void rnn_rt_pool_barrier(RtPool *pool, int64_t thread) {
    if (!pool || pool->threads == 1) return;
    unsigned step = pool->lines[thread].step + 1;
    __atomic_store_n(&pool->lines[thread].step, step, __ATOMIC_RELEASE);
    for (int i = 0; i < pool->threads; i++) {
        unsigned turns = 0;
        /* Another thread may be one barrier ahead; the difference is right when numbers wrap. */
        while ((int)(__atomic_load_n(&pool->lines[i].step, __ATOMIC_ACQUIRE) - step) < 0)
            turn(pool, &turns);
    }
}

/* ---- The time of a barrier ---------------------------------------------------------------- */

enum { ROUNDS = 31, BARRIERS = 64 };

typedef struct Measure {
    RtPool *pool;
    double ns[ROUNDS];
    int rounds, most, barriers;
    bool enough;
} Measure;

static void measure(void *context, int64_t thread, int64_t threads) {
    Measure *m = context;
    int64_t begin = clock_ns();
    (void)threads;
    for (bool enough = false; !enough;) {
        int64_t since = clock_ns();
        for (int i = 0; i < m->barriers; i++) rnn_rt_pool_barrier(m->pool, thread);
        if (thread == 0) {
            int64_t now = clock_ns();
            m->ns[m->rounds++] = (double)(now - since) / m->barriers;
            m->enough = m->rounds == m->most || now - begin > 20000000;
        }
        rnn_rt_pool_barrier(m->pool, thread);
        enough = m->enough;
        rnn_rt_pool_barrier(m->pool, thread);
    }
}

double rnn_rt_pool_barrier_ns(RtPool *pool) {
    Measure m = {.pool = pool, .most = ROUNDS, .barriers = BARRIERS};
    if (rnn_rt_pool_threads(pool) == 1) return 0;
    rnn_rt_pool_run(pool, measure, &m);
    for (int i = 1; i < m.rounds; i++)
        for (int k = i; k > 0 && m.ns[k] < m.ns[k - 1]; k--) {
            double swap = m.ns[k];
            m.ns[k] = m.ns[k - 1];
            m.ns[k - 1] = swap;
        }
    return m.ns[m.rounds / 2];
}

/* ---- One thread or all -------------------------------------------------------------------- */

/* The least of a few pairs, which costs some microseconds: once all have met they do run, whatever
 * else wants their processors. */
static void measure_again(RtPool *pool, int64_t now) {
    Measure m = {.pool = pool, .most = 8, .barriers = 2};
    rnn_rt_pool_run(pool, measure, &m);
    pool->barrier_ns = m.ns[0];
    for (int i = 1; i < m.rounds; i++)
        if (m.ns[i] < pool->barrier_ns) pool->barrier_ns = m.ns[i];
    int64_t took = clock_ns() - now;
    pool->measure_at = now + (took < MEASURE_NS / 100  ? MEASURE_NS
                              : took < MEASURE_NS / 10 ? 100 * took
                                                       : 10 * MEASURE_NS);
}

/* What all take for what one does in `one`: begin and end are a meeting each, and at each what the
 * others wrote travels, too. */
static double time_of_all(const RtPool *pool, double one, int64_t barriers, double barrier_ns) {
    return one / pool->threads + 2.5 * barrier_ns * ((double)barriers + 2);
}

/* As with skis, which one rents until that has cost as much as a pair: those who sleep are woken
 * for what gains more than that costs, or when so much was lost without them. */
static bool worth_waking(RtPool *pool, double one, double all) {
    if (all + WAKE_NS < one) return true;
    pool->lost_ns += one - all;
    if (pool->lost_ns < WAKE_NS) return false;
    pool->lost_ns = 0;
    return true;
}

RtPool *rnn_rt_pool_for(RtPool *pool, int64_t ns, int64_t barriers) {
    if (rnn_rt_pool_threads(pool) == 1) return NULL;
    int64_t now = clock_ns();
    bool asleep = __atomic_load_n(&pool->sleeping, __ATOMIC_RELAXED) != 0;
    bool old = now >= pool->measure_at;
    if (now - pool->busy_until > IDLE_NS) pool->lost_ns = 0;
    pool->busy_until = now + ns;
    /* Nobody is woken for a measurement alone: as long as they sleep, better times are hoped for.
     */
    if (old && asleep) {
        double all = time_of_all(pool, (double)ns, barriers, FAR_NS);
        if (all > MOST * (double)ns || !worth_waking(pool, (double)ns, all)) return NULL;
    }
    if (old) measure_again(pool, now);
    double all = time_of_all(pool, (double)ns, barriers, pool->barrier_ns);
    if (all > MOST * (double)ns) return NULL;
    return old || !asleep || worth_waking(pool, (double)ns, all) ? pool : NULL;
}

/* ---- Pools -------------------------------------------------------------------------------- */

/* Processors that this process may use. */
static int processors(void) {
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > RT_MOST_THREADS ? RT_MOST_THREADS : (int)online;
}

#ifdef __linux__
static bool pin(pthread_t thread, int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (core < 0 || core >= CPU_SETSIZE) return false;
    CPU_SET((size_t)core, &set);
    return pthread_setaffinity_np(thread, sizeof set, &set) == 0;
}

static RtStatus pin_all(RtPool *pool, const int *cores, char *error, size_t error_size) {
    pool->caller = pthread_self();
    pool->pinned = pthread_getaffinity_np(pool->caller, sizeof pool->before, &pool->before) == 0;
    for (int i = 0; i < pool->threads; i++)
        if (!pin(i ? pool->workers[i].id : pool->caller, cores[i]))
            return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                           "thread pool: a thread cannot be put on processor %d", cores[i]);
    return RT_OK;
}
#else
static RtStatus pin_all(RtPool *pool, const int *cores, char *error, size_t error_size) {
    (void)pool;
    (void)cores;
    return rt_fail(error, error_size, RT_ERR_UNSUPPORTED,
                   "thread pool: threads cannot be put on processors here");
}
#endif

/* Memory of a pool without its threads; NULL when there is none. */
static RtPool *new_pool(int threads) {
    RtPool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    size_t count = (size_t)threads;
    pool->threads = threads;
    pool->memory = calloc(1, LINE + count * (sizeof(RtPoolLine) + sizeof(RtWorker)));
    if (pool->memory) {
        unsigned char *at = pool->memory;
        at += (LINE - (uintptr_t)at % LINE) % LINE;
        pool->lines = (RtPoolLine *)(void *)at;
        pool->workers = (RtWorker *)(void *)(at + count * sizeof(RtPoolLine));
        if (pthread_mutex_init(&pool->mutex, NULL) == 0) {
            if (pthread_cond_init(&pool->wake, NULL) == 0) return pool;
            pthread_mutex_destroy(&pool->mutex);
        }
    }
    free(pool->memory);
    free(pool);
    return NULL;
}

RtStatus rnn_rt_pool_create(RtPool **to, int threads, const int *cores, char *error,
                            size_t error_size) {
    *to = NULL;
    if (threads == 0 && !cores) threads = processors();
    if (threads < 1 || threads > RT_MOST_THREADS)
        return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                       "thread pool: %d threads, when 1 to %d are possible", threads,
                       RT_MOST_THREADS);
    RtPool *pool = new_pool(threads);
    if (!pool)
        return rt_fail(error, error_size, RT_ERR_NOMEM, "thread pool: there is no memory left");
    pool->spins = threads > processors() ? SPINS_IF_CROWDED : SPINS_BEFORE_YIELD;
    for (int i = 1; i < threads; i++) {
        pool->workers[i].pool = pool;
        pool->workers[i].thread = i;
        int why = pthread_create(&pool->workers[i].id, NULL, work, &pool->workers[i]);
        if (!why) continue;
        pool->threads = i; /* so many there are */
        rnn_rt_pool_destroy(pool);
        return rt_fail(error, error_size, RT_ERR_LIMIT, "thread pool: thread %d of %d: %s", i,
                       threads, strerror(why));
    }
    RtStatus status = cores ? pin_all(pool, cores, error, error_size) : RT_OK;
    if (status != RT_OK) {
        rnn_rt_pool_destroy(pool);
        return status;
    }
    *to = pool;
    return RT_OK;
}

void rnn_rt_pool_destroy(RtPool *pool) {
    if (!pool) return;
    pool->ending = true;
    begin_round(pool);
    for (int i = 1; i < pool->threads; i++) (void)pthread_join(pool->workers[i].id, NULL);
#ifdef __linux__
    if (pool->pinned)
        (void)pthread_setaffinity_np(pool->caller, sizeof pool->before, &pool->before);
#endif
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->memory);
    free(pool);
}
