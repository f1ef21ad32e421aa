/* Programs with parallel regions, as text, for the tests of them. */
#ifndef RNNC_TEST_REGION_CASE_H
#define RNNC_TEST_REGION_CASE_H

#include "backend_c_case.h"
#include "loop/evaluate.h"
#include "rnn_rt.h"

/* A recurrence whose units are split over threads, twice: what a region can hold is in it. Outside:
 * scalars, a vector, masks, a variable that is set; buffers behind one argument, one that may be
 * NULL; locals, tables, a call. %s are the two barriers of a step. */
static const char region_program[] =
    "module \"net\" f32 target \"test\" lanes 8 fma registers 16 l2 0\n"
    "function shift(n n.0: i64, by: ptr f32, row: ptr f32 written) -> i64 {\n"
    "    buffer by#0: f32[n.0] in by$1 at 0\n"
    "    buffer row#1: f32[n.0] in row$2 at 0 written\n"
    "    for i.1 in 0 to n.0 {\n"
    "        store row#1[i.1] = add(load.f32 row#1[i.1], load.f32 by#0[i.1])\n"
    "    }\n"
    "    return n.0\n"
    "}\n"
    "function forward(x: ptr f32, y: ptr f32 written, work: ptr void written,\n"
    "    units units.0: i64, steps steps.1: i64, bias: ptr f32 nullable has_bias.2,\n"
    "    pool: pool \"threads\") -> i32 exported \"Runs.\" {\n"
    "    buffer x#0: f32[units.0*steps.1] in x$0 at 0\n"
    "    buffer y#1: f32[units.0*steps.1] in y$1 at 0 written\n"
    "    buffer old#2: f32[units.0] in work$2 at 0 align 64 written\n"
    "    buffer new#3: f32[units.0] in work$2 at units.0*4 align 64 written\n"
    "    buffer bias#4: f32[units.0] in bias$5 at 0\n"
    "    buffer row#5: f32[8] local align 64 written\n"
    "    buffer taps#6: f32[4] table [0.5, -0.25, 0.125, 1]\n"
    "    mutable blocks.3: i64 = 0\n"
    "    set blocks.3 = div(units.0, 8)\n"
    "    if lt(steps.1, 1) {\n"
    "        return i32(1)\n"
    "    }\n"
    "    let lift.4: f32x8 = load.f32x8 x#0[0]\n"
    "    let up.5: m32x8 = gt(lift.4, splat(f32(0), 8))\n"
    "    let many.6: m64 = gt(units.0, 16)\n"
    "    for again.7 in 0 to 2 {\n"
    "        parallel thread.8 of threads.9 {\n"
    "            for u.10 in div(blocks.3*thread.8, threads.9) to "
    "div(blocks.3*(thread.8 + 1), threads.9) {\n"
    "                store.aligned old#2[u.10*8] = select(up.5, lift.4, splat(f32(0.5), 8))\n"
    "            }\n"
    "        }\n"
    "        parallel thread.11 of threads.12 for units.0*steps.1 ns with steps.1*2 barriers {\n"
    "            let from.13: i64 = div(blocks.3*thread.11, threads.12)*8\n"
    "            let to.14: i64 = div(blocks.3*(thread.11 + 1), threads.12)*8\n"
    "            for s.15 in 0 to steps.1 {\n"
    "                mutable sum.16: f32 = f32(0)\n"
    "                for k.17 in 0 to units.0 {\n"
    "                    set sum.16 = fma(load.f32 old#2[k.17], load.f32 taps#6[mod(k.17, 4)], "
    "sum.16)\n"
    "                }\n"
    "                if many.6 {\n"
    "                    set sum.16 = neg(sum.16)\n"
    "                }\n"
    "                store row#5[0] = sum.16\n"
    "                for u.18 in from.13 to to.14 step 8 {\n"
    "                    let v.19: f32x8 = fma(splat(load.f32 row#5[0], 8), load.f32x8 "
    "x#0[s.15*units.0 + u.18], load.f32x8.aligned old#2[u.18])\n"
    "                    store.aligned new#3[u.18] = max(min(v.19, splat(f32(1), 8)), "
    "splat(f32(-1), 8))\n"
    "                }\n"
    "                %s\n"
    "                for u.20 in from.13 to to.14 step 8 {\n"
    "                    store.aligned old#2[u.20] = load.f32x8.aligned new#3[u.20]\n"
    "                    store y#1[s.15*units.0 + u.20] = load.f32x8.aligned new#3[u.20]\n"
    "                    if ne(has_bias.2, i32(0)) {\n"
    "                        call done.21: i64 = shift(8, load.f32 bias#4[u.20], load.f32 "
    "y#1[s.15*units.0 + u.20])\n"
    "                        if gt(done.21, 8) {\n"
    "                            break\n"
    "                        }\n"
    "                    }\n"
    "                }\n"
    "                %s\n"
    "            }\n"
    "        }\n"
    "    }\n"
    "    return i32(0)\n"
    "}\n";

enum { UNITS = 48, STEPS = 9, COUNT = UNITS * STEPS };

typedef int32_t Forward(const float *x, float *y, void *work, int64_t units, int64_t steps,
                        const float *bias, RtPool *pool);

static inline Case *parsed(const char *text) {
    Case *x = case_new("net", 8, true, LT_F32);
    Source source = {.path = "test.loop", .text = text, .length = (uint32_t)strlen(text)};
    x->m = loop_parse(x->arena, x->names, &source, x->diags);
    show_diags(x);
    assert_non_null(x->m);
    x->interface_->module = x->m;
    return x;
}

static inline const char *program(void) {
    static char text[sizeof region_program + 100];
    snprintf(text, sizeof text, region_program, "barrier", "barrier");
    return text;
}

/* All of it comes from line 3 of m.rnn. */
static inline void place_block(LBlock *block, LPlace at) {
    for (int i = 0; i < block->count; i++) {
        block->at[i]->at = at;
        place_block(&block->at[i]->body, at);
        place_block(&block->at[i]->otherwise, at);
    }
}

static inline void place(Case *x) {
    x->m->home = (LPlace){name_of(x->names, "m.rnn"), 3};
    for (int i = 0; i < x->m->functions.count; i++)
        place_block(&x->m->functions.at[i]->body, x->m->home);
}

static inline void fill(float *x, float *bias) {
    unsigned seed = 5;
    for (int i = 0; i < COUNT + UNITS; i++) {
        seed = seed * 1664525u + 1013904223u;
        float value = (float)(int32_t)seed * 0x1p-31f;
        if (i < COUNT)
            x[i] = value;
        else
            bias[i - COUNT] = value;
    }
}

/* `threads` of them, by the Loop evaluator. */
static inline void evaluate(Case *x, float *in, float *bias, int threads, float *want) {
    _Alignas(64) float work[2 * UNITS];
    int64_t status = -1;
    const char *error = NULL;
    LoopValue args[] = {{.pointer = in, .bytes = COUNT * sizeof *in},
                        {.pointer = want, .bytes = COUNT * sizeof *want},
                        {.pointer = work, .bytes = sizeof work},
                        {.integer = UNITS},
                        {.integer = STEPS},
                        {.pointer = bias, .bytes = bias ? UNITS * sizeof *bias : 0},
                        {.integer = threads}};
    if (!loop_evaluate(x->arena, x->m, "forward", args, 7, &status, &error)) fail_msg("%s", error);
    assert_int_equal(status, 0);
}

#endif
