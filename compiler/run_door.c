/* What compiled code that runs at once calls: the runtime, which is in this program, and a library
 * of products of matrices, which is loaded when a model has some. Emitted C speaks of both, and the
 * linker sees neither: a few lines behind it take addresses instead. */
#define _XOPEN_SOURCE 700

#include <dlfcn.h>
#include <string.h>

#include "run_compiled.h"

static const char pool_door[] =
    "\n/* For rnnc run. */\n"
    "void (*rnnc_pool_run)(struct rnn_rt_pool *, void (*)(void *, int64_t, int64_t), void *);\n"
    "void (*rnnc_pool_barrier)(struct rnn_rt_pool *, int64_t);\n"
    "struct rnn_rt_pool *(*rnnc_pool_for)(struct rnn_rt_pool *, int64_t, int64_t);\n"
    "struct rnn_rt_pool *rnn_rt_pool_for(struct rnn_rt_pool *pool, int64_t ns, int64_t barriers) "
    "{\n"
    "    return rnnc_pool_for(pool, ns, barriers);\n"
    "}\n"
    "void rnn_rt_pool_run(struct rnn_rt_pool *pool,\n"
    "                     void (*function)(void *context, int64_t thread, int64_t threads),\n"
    "                     void *context) {\n"
    "    rnnc_pool_run(pool, function, context);\n"
    "}\n"
    "void rnn_rt_pool_barrier(struct rnn_rt_pool *pool, int64_t thread) {\n"
    "    rnnc_pool_barrier(pool, thread);\n"
    "}\n";

static bool is_double(const Compilation *c) {
    return c->interface_->module->real == LT_F64;
}

bool run_find_blas(Compilation *c) {
    const char *why;
    if (!loop_has_gemm(c->interface_->module) || machine_blas(c->arena, c->blas, &why)) return true;
    text_printf(&c->log, "rnnc: error: --gemm=blas: %s\n", why);
    return false;
}

static void gemm_door(const char *symbol, const char *real, Text *code) {
    text_printf(code,
                "\n/* For rnnc run. */\n"
                "void (*rnnc_gemm)(int, int64_t, int64_t, int64_t, const %s *, int64_t,\n"
                "                  const %s *, int64_t, %s *, int64_t);\n"
                "void %s(int flags, int64_t rows, int64_t columns, int64_t depth, const %s *a,\n"
                "        int64_t a_stride, const %s *b, int64_t b_stride, %s *c,\n"
                "        int64_t c_stride) {\n",
                real, real, real, symbol, real, real, real);
    text_puts(code, "    rnnc_gemm(flags, rows, columns, depth, a, a_stride, b, b_stride, c,\n"
                    "              c_stride);\n"
                    "}\n");
}

void run_door(const Compilation *c, Text *code) {
    const LoopModule *module = c->interface_->module;
    if (c->options->threads > 1) text_puts(code, pool_door);
    if (loop_has_gemm(module))
        gemm_door(loop_gemm_symbol(module->real), is_double(c) ? "double" : "float", code);
}

void run_open_door(const Compilation *c, void *handle) {
    void (*run)(RtPool *, RtPoolFunction *, void *) = rnn_rt_pool_run;
    void (*barrier)(RtPool *, int64_t) = rnn_rt_pool_barrier;
    RtPool *(*choose)(RtPool *, int64_t, int64_t) = rnn_rt_pool_for;
    uintptr_t gemm = (uintptr_t)c->blas[is_double(c)].address;
    void *run_at = dlsym(handle, "rnnc_pool_run"), *barrier_at = dlsym(handle, "rnnc_pool_barrier");
    void *gemm_at = dlsym(handle, "rnnc_gemm"), *for_at = dlsym(handle, "rnnc_pool_for");
    if (for_at) memcpy(for_at, &choose, sizeof choose);
    if (run_at) memcpy(run_at, &run, sizeof run);
    if (barrier_at) memcpy(barrier_at, &barrier, sizeof barrier);
    if (gemm_at) memcpy(gemm_at, &gemm, sizeof gemm);
}
