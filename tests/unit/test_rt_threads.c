/* test_rt_threads.c - pools of threads: every thread once a region, barriers that keep writes and
 * reads apart, sleep and waking, more threads than processors, refused calls;
 * test_threads_tsan.c runs the same under ThreadSanitizer. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../runtime/rnn_rt.h"

enum { MOST = 8 };
static const int counts[] = {1, 2, 3, 8};
enum { COUNTS = sizeof counts / sizeof *counts };

static RtPool *make(int threads) {
    RtPool *pool = NULL;
    char error[200] = "";
    if (rnn_rt_pool_create(&pool, threads, NULL, error, sizeof error) != RT_OK)
        fail_msg("%s", error);
    assert_int_equal(rnn_rt_pool_threads(pool), threads);
    return pool;
}

/* ---- Regions ---- */

typedef struct Calls {
    int64_t called[MOST], threads[MOST]; /* by thread, plain: the end of a region makes them seen */
    int64_t round;
} Calls;

static void count(void *context, int64_t thread, int64_t threads) {
    Calls *c = context;
    c->called[thread] += c->round;
    c->threads[thread] = threads;
}

static void each_thread_once(void **state) {
    (void)state;
    for (int k = 0; k < COUNTS; k++) {
        RtPool *pool = make(counts[k]);
        Calls c = {.round = 0};
        int64_t sum = 0;
        for (int round = 1; round <= 600; round++) {
            c.round = round; /* what the caller writes is seen by all */
            rnn_rt_pool_run(pool, count, &c);
            sum += round;
            for (int i = 0; i < counts[k]; i++) assert_int_equal(c.called[i], sum);
        }
        for (int i = 0; i < counts[k]; i++) assert_int_equal(c.threads[i], counts[k]);
        rnn_rt_pool_destroy(pool);
    }
}

/* ---- Barriers ---- */

typedef struct Steps {
    RtPool *pool;
    int64_t rows[2][MOST * 16]; /* each thread's number, 16 apart and side by side */
    int64_t apart, steps, wrong[MOST];
} Steps;

/* A step reads what all wrote in the step before, and writes the other row: as a recurrence does.
 */
static void recur(void *context, int64_t thread, int64_t threads) {
    Steps *s = context;
    for (int64_t t = 0; t < s->steps; t++) {
        const int64_t *from = s->rows[t % 2];
        int64_t sum = 0;
        for (int64_t i = 0; i < threads; i++) sum += from[i * s->apart];
        if (sum != threads * t) s->wrong[thread]++;
        s->rows[(t + 1) % 2][thread * s->apart] = t + 1;
        rnn_rt_pool_barrier(s->pool, thread);
    }
}

static void barriers_part_steps(void **state) {
    (void)state;
    for (int k = 0; k < COUNTS; k++) {
        RtPool *pool = make(counts[k]);
        for (int run = 0; run < 6; run++) {
            /* Numbers of steps that leave the barrier's count odd and even. */
            Steps s = {.pool = pool, .apart = run % 2 ? 16 : 1, .steps = 300 + run};
            rnn_rt_pool_run(pool, recur, &s);
            for (int i = 0; i < MOST; i++) assert_int_equal(s.wrong[i], 0);
            for (int i = 0; i < counts[k]; i++)
                assert_int_equal(s.rows[s.steps % 2][i * s.apart], s.steps);
        }
        rnn_rt_pool_destroy(pool);
    }
}

/* ---- Sleep ---- */

static int64_t thread_seconds(clockid_t which) {
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void rest(int milliseconds) {
    struct timespec time = {0, (long)milliseconds * 1000000};
    nanosleep(&time, NULL);
}

/* Threads that slept are woken, at any distance from the end of the spinning. */
static void wakes(void **state) {
    (void)state;
    RtPool *pool = make(3);
    Calls c = {.round = 1};
    int64_t runs = 0;
    for (int pause = 0; pause < 400; pause += 5) { /* microseconds: the spinning ends at 200 */
        struct timespec time = {0, pause * 1000};
        nanosleep(&time, NULL);
        rnn_rt_pool_run(pool, count, &c);
        runs++;
    }
    for (int i = 0; i < 3; i++) assert_int_equal(c.called[i], runs);
    rnn_rt_pool_destroy(pool);
}

/* The whole process uses next to no processor time while its pool has nothing to do. */
static void idle_costs_nothing(void **state) {
    (void)state;
    RtPool *pool = make(4);
    Calls c = {.round = 1};
    rnn_rt_pool_run(pool, count, &c);
    rest(60);
    int64_t before = thread_seconds(CLOCK_PROCESS_CPUTIME_ID);
    rest(100);
    int64_t used = thread_seconds(CLOCK_PROCESS_CPUTIME_ID) - before;
    assert_true(used < 5000000); /* three that spun would use a hundred times as much */
    rnn_rt_pool_destroy(pool);
}

/* ---- The rest ---- */

static void many_pools(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++) {
        RtPool *pool = make(1 + i % 4), *other = make(2);
        Calls c = {.round = 1};
        if (i % 3) rnn_rt_pool_run(pool, count, &c);
        if (i % 2) rnn_rt_pool_run(other, count, &c);
        rnn_rt_pool_destroy(pool);
        rnn_rt_pool_destroy(other);
    }
    rnn_rt_pool_destroy(NULL);
}

static void none_is_one(void **state) {
    (void)state;
    Calls c = {.round = 5};
    Steps s = {.apart = 1, .steps = 10};
    rnn_rt_pool_run(NULL, count, &c);
    assert_int_equal(c.called[0], 5);
    assert_int_equal(c.threads[0], 1);
    assert_int_equal(c.called[1], 0);
    rnn_rt_pool_run(NULL, recur, &s);
    assert_int_equal(s.rows[0][0], 10);
    assert_int_equal(s.wrong[0], 0);
    assert_int_equal(rnn_rt_pool_threads(NULL), 1);
    assert_true(rnn_rt_pool_barrier_ns(NULL) == 0);
}

static void measures(void **state) {
    (void)state;
    for (int k = 0; k < COUNTS; k++) {
        RtPool *pool = make(counts[k]);
        double ns = rnn_rt_pool_barrier_ns(pool);
        if (getenv("RNNC_VERBOSE")) print_message("%d threads: %.0f ns a barrier\n", counts[k], ns);
        assert_true(counts[k] == 1 ? ns == 0 : ns > 1 && ns < 1e9);
        rnn_rt_pool_destroy(pool);
    }
}

/* Much work on all threads, little and such that meets often on one; none without a pool. */
static void chooses(void **state) {
    (void)state;
    RtPool *pool = make(3), *one = make(1);
    for (int i = 0; i < 200; i++) {
        assert_ptr_equal(rnn_rt_pool_for(pool, INT64_C(1) << 50, 1), pool);
        assert_null(rnn_rt_pool_for(pool, INT64_C(1) << 50, INT64_C(1) << 50));
        assert_null(rnn_rt_pool_for(pool, 1, 0));
        assert_null(rnn_rt_pool_for(one, INT64_C(1) << 50, 0));
        assert_null(rnn_rt_pool_for(NULL, INT64_C(1) << 50, 0));
        if (i % 20 == 0) rest(1);
    }
    /* Who runs alone meets nobody. */
    Steps s = {.pool = rnn_rt_pool_for(pool, 1, 10), .apart = 1, .steps = 10};
    rnn_rt_pool_run(s.pool, recur, &s);
    assert_int_equal(s.wrong[0], 0);
    assert_int_equal(s.rows[0][0], 10);
    rnn_rt_pool_destroy(pool);
    rnn_rt_pool_destroy(one);
}

static void refuses(void **state) {
    (void)state;
    RtPool *pool = (RtPool *)state;
    char error[200] = "";
    assert_int_equal(rnn_rt_pool_create(&pool, -1, NULL, error, sizeof error), RT_ERR_ARGUMENT);
    assert_null(pool);
    assert_string_equal(error, "thread pool: -1 threads, when 1 to 1024 are possible");
    assert_int_equal(rnn_rt_pool_create(&pool, RT_MOST_THREADS + 1, NULL, NULL, 0),
                     RT_ERR_ARGUMENT);
    int cores[] = {-1, -1};
    assert_true(rnn_rt_pool_create(&pool, 0, cores, error, sizeof error) == RT_ERR_ARGUMENT);
    assert_true(rnn_rt_pool_create(&pool, 2, cores, error, sizeof error) != RT_OK);
    assert_null(pool);
    assert_int_equal(rnn_rt_pool_create(&pool, 0, NULL, error, sizeof error), RT_OK);
    assert_true(rnn_rt_pool_threads(pool) >= 1);
    rnn_rt_pool_destroy(pool);
}

#ifdef __linux__
typedef struct Cores {
    int of[MOST];
} Cores;

static void look(void *context, int64_t thread, int64_t threads) {
    Cores *c = context;
    (void)threads;
    c->of[thread] = sched_getcpu();
}

/* All threads on one processor, and the caller where it was afterwards. */
static void stays_on_cores(void **state) {
    (void)state;
    cpu_set_t before, after;
    char error[200] = "";
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int core = 0;
    while (!CPU_ISSET((size_t)core, &before)) core++;
    const int cores[] = {core, core, core};
    RtPool *pool;
    Cores c = {{0}};
    assert_int_equal(rnn_rt_pool_create(&pool, 3, cores, error, sizeof error), RT_OK);
    for (int i = 0; i < 20; i++) {
        rnn_rt_pool_run(pool, look, &c);
        for (int k = 0; k < 3; k++) assert_int_equal(c.of[k], core);
    }
    rnn_rt_pool_destroy(pool);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_thread_once),
        cmocka_unit_test(barriers_part_steps),
        cmocka_unit_test(wakes),
        cmocka_unit_test(idle_costs_nothing),
        cmocka_unit_test(many_pools),
        cmocka_unit_test(none_is_one),
        cmocka_unit_test(measures),
        cmocka_unit_test(chooses),
        cmocka_unit_test(refuses),
#ifdef __linux__
        cmocka_unit_test(stays_on_cores),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
