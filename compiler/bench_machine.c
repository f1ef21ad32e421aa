/* The limits of the machine for `rnnc bench`: multiply-adds in registers, and reading working sets
 * of rising size, as functions of the module that is measured, through the same backend. */
#define _XOPEN_SOURCE 700

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { CHAINS = 12, READS = 8 };
static const int64_t first_size = 16 << 10; /* and four times as much each time */

typedef int64_t (*Call)(void *const *args);

static int lanes_of(const LoopModule *module) {
    int lanes = module->real == LT_F64 ? module->target.lanes / 2 : module->target.lanes;
    return lanes ? lanes : 1;
}

static int probe_buffer(LoopModule *m, LFunction *f, const char *name, int arg, LExpr *count,
                        bool written) {
    return loop_buffer(m, f,
                       (LBuffer){.name = name_of(m->names, name),
                                 .type = m->real,
                                 .base = LB_ARG,
                                 .arg = arg,
                                 .offset = loop_int(m, 0),
                                 .count = count,
                                 .align = 64,
                                 .written = written});
}

static LExpr *multiply_add(LoopModule *m, LExpr *a, LExpr *b, LExpr *c) {
    if (m->target.fma) return loop_op(m, SOP_FMA, a, b, c);
    return loop_op(m, SOP_ADD, loop_op(m, SOP_MUL, a, b, NULL), c, NULL);
}

static int add_function(Interface *in, const ArgRole *roles, int count) {
    InterfaceFunction made = {.function = in->module->functions.count - 1};
    for (int i = 0; i < count; i++) {
        InterfaceArg arg = {.role = roles[i]};
        vec_push(in->module->arena, &made.args, arg);
    }
    vec_push(in->module->arena, &in->functions, made);
    return in->functions.count - 1;
}

/* Chains that start apart, so that none is another one's. */
static int add_peak(Interface *in) {
    LoopModule *m = in->module;
    int lanes = lanes_of(m), sums[CHAINS];
    LFunction *f = loop_function(m, "probe_peak", LT_I32, true);
    f->doc = "Multiply-adds in registers.";
    int turns = loop_arg_scalar(m, f, "turns", LT_I64, "turns of the loop");
    int from_arg = loop_arg_pointer(m, f, "from", m->real, false, false, "numbers");
    int to_arg = loop_arg_pointer(m, f, "to", m->real, true, false, "sums");
    LExpr *count = loop_int(m, (CHAINS + 2) * lanes);
    int from = probe_buffer(m, f, "from", from_arg, count, false);
    int to = probe_buffer(m, f, "to", to_arg, count, true);
    LExpr *of[CHAINS + 2];
    for (int i = 0; i < CHAINS + 2; i++)
        of[i] = loop_load(m, f, from, loop_int(m, i * lanes), lanes, true);
    for (int i = 0; i < CHAINS; i++) sums[i] = loop_mutable(m, f, &f->body, "sum", of[i]);
    int a = loop_let(m, f, &f->body, "a", of[CHAINS]);
    int b = loop_let(m, f, &f->body, "b", of[CHAINS + 1]);
    LStmt *loop = loop_for(m, f, &f->body, "turn", loop_int(m, 0), loop_var(m, f, turns), 1);
    for (int i = 0; i < CHAINS; i++)
        loop_set(m, &loop->body, sums[i],
                 multiply_add(m, loop_var(m, f, sums[i]), loop_var(m, f, a), loop_var(m, f, b)));
    for (int i = 0; i < CHAINS; i++)
        loop_store(m, &f->body, to, loop_int(m, i * lanes), loop_var(m, f, sums[i]), true);
    loop_return(m, &f->body, loop_int_of(m, LT_I32, LOOP_OK));
    static const ArgRole roles[] = {ROLE_STEPS, ROLE_INPUT, ROLE_OUTPUT};
    return add_function(in, roles, 3);
}

static int add_read(Interface *in) {
    LoopModule *m = in->module;
    int lanes = lanes_of(m), sums[READS];
    LFunction *f = loop_function(m, "probe_read", LT_I32, true);
    f->doc = "Reads numbers again and again.";
    int turns = loop_arg_scalar(m, f, "turns", LT_I64, "how often");
    int count = loop_arg_scalar(m, f, "count", LT_I64, "numbers");
    int from_arg = loop_arg_pointer(m, f, "from", m->real, false, false, "numbers");
    int to_arg = loop_arg_pointer(m, f, "to", m->real, true, false, "sums");
    int from = probe_buffer(m, f, "from", from_arg, loop_var(m, f, count), false);
    int to = probe_buffer(m, f, "to", to_arg, loop_int(m, READS * lanes), true);
    for (int i = 0; i < READS; i++)
        sums[i] =
            loop_mutable(m, f, &f->body, "sum", loop_splat(m, loop_float(m, m->real, 0), lanes));
    LStmt *again = loop_for(m, f, &f->body, "turn", loop_int(m, 0), loop_var(m, f, turns), 1);
    LStmt *loop = loop_for(m, f, &again->body, "i", loop_int(m, 0), loop_var(m, f, count),
                           (int64_t)READS * lanes);
    for (int i = 0; i < READS; i++) {
        LExpr *at = loop_add(m, loop_var(m, f, loop->var), loop_int(m, i * lanes));
        LExpr *value = loop_load(m, f, from, at, lanes, true);
        loop_set(m, &loop->body, sums[i],
                 loop_op(m, SOP_ADD, loop_var(m, f, sums[i]), value, NULL));
    }
    for (int i = 0; i < READS; i++)
        loop_store(m, &f->body, to, loop_int(m, i * lanes), loop_var(m, f, sums[i]), true);
    loop_return(m, &f->body, loop_int_of(m, LT_I32, LOOP_OK));
    static const ArgRole roles[] = {ROLE_STEPS, ROLE_COUNT, ROLE_INPUT, ROLE_OUTPUT};
    return add_function(in, roles, 4);
}

BenchProbes bench_probes_add(Interface *in) {
    BenchProbes probes = {.peak = add_peak(in)};
    probes.read = add_read(in);
    return probes;
}

double bench_size(int place) {
    return (double)first_size * pow(4, place);
}

static Call as_call(void *symbol) {
    Call call;
    memcpy(&call, &symbol, sizeof call);
    return call;
}

/* The best of some: what disturbs a probe only makes it slower. */
static double quickest(Call call, void *const *args) {
    double best = HUGE_VAL;
    for (int i = 0; i < 20; i++) {
        double since = compilation_clock();
        call(args);
        best = fmin(best, compilation_clock() - since);
    }
    return best * 1e9;
}

static void fill(void *at, int64_t bytes, LoopType real) {
    for (int64_t i = 0; i < bytes / loop_type_size(real); i++)
        if (real == LT_F64)
            ((double *)at)[i] = 0.5;
        else
            ((float *)at)[i] = 0.5f;
}

bool bench_machine_measure(const Interface *in, void *peak, void *read, BenchMachine *to) {
    const LoopModule *m = in->module;
    int64_t most = (int64_t)bench_size(BENCH_SIZES - 1), turns = 4000, count;
    size_t size = (size_t)most;
    void *from = aligned_alloc(64, size), *sums = aligned_alloc(64, 4096);
    bool good = from && sums && peak && read;
    if (good) {
        fill(from, most, m->real);
        void *const args[] = {&turns, from, sums};
        to->flops = 2.0 * CHAINS * lanes_of(m) * (double)turns / quickest(as_call(peak), args);
    }
    for (int i = 0; good && i < BENCH_SIZES; i++) {
        int64_t bytes = (int64_t)bench_size(i);
        turns = (1 << 17) / bytes + 1;
        count = bytes / loop_type_size(m->real);
        void *const args[] = {&turns, &count, from, sums};
        to->bytes[i] = (double)(bytes * turns) / quickest(as_call(read), args);
    }
    free(from);
    free(sums);
    return good;
}

double bench_machine_bytes(const BenchMachine *machine, double size) {
    double place = log2(fmax(size, (double)first_size) / (double)first_size) / 2;
    int below = (int)place;
    if (below >= BENCH_SIZES - 1) return machine->bytes[BENCH_SIZES - 1];
    double part = place - below;
    return machine->bytes[below] * (1 - part) + machine->bytes[below + 1] * part;
}
