/* Executes the evaluator's instructions. Every operation is an instruction of its own with its
 * result in memory, so nothing can be contracted or kept in excess precision. */
#include "loop/evaluate_code.h"

#include <math.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

/* One operation on lanes: D and T are the types of the result and of the operands. */
#define LANES(D, T, expr)                                                                          \
    do {                                                                                           \
        D *d = (D *)(void *)(r + i->d);                                                            \
        const T *a = (const T *)(const void *)(r + i->a);                                          \
        const T *b = (const T *)(const void *)(r + i->b);                                          \
        const T *c = (const T *)(const void *)(r + i->c);                                          \
        (void)b, (void)c;                                                                          \
        for (int n = 0; n < i->lanes; n++) d[n] = (D)(expr);                                       \
    } while (0)

#define BOTH_FLOATS(op, expr32, expr64)                                                            \
    case op##_F32: LANES(float, float, expr32); break;                                             \
    case op##_F64: LANES(double, double, expr64); break;

/* Integers wrap: computed without sign. */
#define BOTH_INTS(op, expr)                                                                        \
    case op##_I32: LANES(int32_t, uint32_t, expr); break;                                          \
    case op##_I64:                                                                                 \
        LANES(int64_t, uint64_t, expr);                                                            \
        break;

#define ALL_SIGNED(op, expr)                                                                       \
    BOTH_FLOATS(op, expr, expr)                                                                    \
    case op##_I32: LANES(int32_t, int32_t, expr); break;                                           \
    case op##_I64:                                                                                 \
        LANES(int64_t, int64_t, expr);                                                             \
        break;

#define COMPARISON(op, sign)                                                                       \
    case op##_F32: LANES(int32_t, float, a[n] sign b[n]); break;                                   \
    case op##_F64: LANES(int64_t, double, a[n] sign b[n]); break;                                  \
    case op##_I32: LANES(int32_t, int32_t, a[n] sign b[n]); break;                                 \
    case op##_I64:                                                                                 \
        LANES(int64_t, int64_t, a[n] sign b[n]);                                                   \
        break;

#define BOTH_MASKS(op, expr)                                                                       \
    case op##_M32: LANES(int32_t, int32_t, expr); break;                                           \
    case op##_M64: LANES(int64_t, int64_t, expr); break;

/* Divisor and dividend as the table of operations wants them. */
static bool divides(EvRun *run, const char *r, const EvIns *i, bool is_wide) {
    for (int n = 0; n < i->lanes; n++) {
        int64_t a, b;
        if (is_wide) {
            memcpy(&a, r + i->a + 8 * n, 8);
            memcpy(&b, r + i->b + 8 * n, 8);
        } else {
            int32_t narrow_a, narrow_b;
            memcpy(&narrow_a, r + i->a + 4 * n, 4);
            memcpy(&narrow_b, r + i->b + 4 * n, 4);
            a = narrow_a;
            b = narrow_b;
        }
        if (a < 0 || b <= 0) {
            run->message = arena_printf(run->arena, "integer division of %lld by %lld",
                                        (long long)a, (long long)b);
            return false;
        }
    }
    return true;
}

static bool load(EvRun *run, EvFunction *f, const EvIns *i, int64_t index) {
    EvBuffer *b = &f->buffers[i->b];
    if (index < 0 || index >= b->limit || b->limit - index < i->lanes)
        if (!eval_touch(run, f, i->b, index, i->lanes)) return false;
    const char *from = b->base + index * b->size;
    int64_t bytes = (int64_t)i->lanes * b->size;
    if (i->c && (index % i->lanes || (uintptr_t)from % (uintptr_t)(bytes < 64 ? bytes : 64))) {
        run->message =
            arena_printf(run->arena, "index %lld of an aligned load of %d lanes is not aligned",
                         (long long)index, i->lanes);
        return false;
    }
    if (b->written && memchr(b->written + index, 0, (size_t)i->lanes)) {
        run->message = arena_printf(run->arena, "read of %s[%lld], which was not written",
                                    f->function->buffers.at[i->b].name, (long long)index);
        return false;
    }
    if (run->thread >= 0 && b->shared && !eval_meet(run, f, i, index, i->lanes, false))
        return false;
    memcpy(f->regs + i->d, from, (size_t)bytes);
    return true;
}

/* Lanes that lie apart (c is negative: by how much), one after the other. */
static bool load_lanes(EvRun *run, EvFunction *f, const EvIns *i) {
    EvIns one = *i;
    int64_t index;
    memcpy(&index, f->regs + i->a, 8);
    if (i->c >= 0) return load(run, f, i, index);
    one.lanes = 1;
    one.c = 0;
    for (int lane = 0; lane < i->lanes; lane++, index -= i->c) {
        if (!load(run, f, &one, index)) return false;
        one.d += (int32_t)f->buffers[i->b].size;
    }
    return true;
}

static bool store(EvRun *run, EvFunction *f, const EvIns *i) {
    EvBuffer *b = &f->buffers[i->b];
    int64_t index;
    memcpy(&index, f->regs + i->a, 8);
    if (index < 0 || index >= b->limit || b->limit - index < i->lanes)
        if (!eval_touch(run, f, i->b, index, i->lanes)) return false;
    char *to = b->base + index * b->size;
    int64_t bytes = (int64_t)i->lanes * b->size;
    if (i->c && (index % i->lanes || (uintptr_t)to % (uintptr_t)(bytes < 64 ? bytes : 64))) {
        run->message =
            arena_printf(run->arena, "index %lld of an aligned store of %d lanes is not aligned",
                         (long long)index, i->lanes);
        return false;
    }
    if (run->thread >= 0 && b->shared && !eval_meet(run, f, i, index, i->lanes, true)) return false;
    if (b->written) memset(b->written + index, 1, (size_t)i->lanes);
    memcpy(to, f->regs + i->d, (size_t)bytes);
    return true;
}

/* Where buffer i->b lies in this call; locals begin unwritten. */
static void set_up_buffer(EvRun *run, EvFunction *f, const EvIns *i) {
    EvBuffer *b = &f->buffers[i->b];
    const LBuffer *buffer = &f->function->buffers.at[i->b];
    if (b->written) {
        memset(b->written, 0, (size_t)b->count);
        if (run->thread >= 0) eval_forget(run, b->base, b->room);
    }
    if (buffer->base != LB_ARG) return;
    const LoopValue *arg = &f->args[buffer->arg];
    int64_t offset = 0;
    if (i->a != EV_NONE) memcpy(&offset, f->regs + i->a, 8);
    memcpy(&b->count, f->regs + i->c, 8);
    b->limit = 0;
    /* What is wrong with offset or count is told by eval_touch, if the buffer is used at all: a
     * function that refuses its arguments must be able to do so. */
    bool inside = arg->pointer && offset >= 0 && (uint64_t)offset <= arg->bytes;
    b->base = inside ? (char *)arg->pointer + offset : NULL;
    b->room = inside ? (int64_t)(arg->bytes - (size_t)offset) : 0;
}

/* Counts a turn of a loop or a call against the limit. */
static bool turn(EvRun *run) {
    if (run->steps-- > 0) return true;
    run->message = "the limit of steps is reached";
    return false;
}

static bool call(EvRun *run, EvFunction *f, const EvCall *call) {
    const LFunction *callee = run->program->functions[call->callee].function;
    for (int k = 0; k < callee->args.count; k++) {
        LoopValue *to = &call->args[k];
        if (call->buffers[k] == EV_POOL) {
            *to = f->args[loop_pool(f->function)];
            continue;
        }
        int64_t value = 0;
        bool narrow = !callee->args.at[k].pointer && callee->args.at[k].type == LT_I32;
        int32_t value32;
        if (narrow) {
            memcpy(&value32, f->regs + call->values[k], 4);
            value = value32;
        } else {
            memcpy(&value, f->regs + call->values[k], 8);
        }
        *to = (LoopValue){.integer = value};
        if (call->buffers[k] < 0) continue;
        EvBuffer *b = &f->buffers[call->buffers[k]];
        const LBuffer *from = &f->function->buffers.at[call->buffers[k]];
        bool start = !from->offset || (from->offset->kind == LE_INT && !from->offset->integer);
        if (from->base == LB_ARG && start && value == 0) { /* passed on, NULL or not */
            *to = f->args[from->arg];
            continue;
        }
        if (!eval_touch(run, f, call->buffers[k], value, 1)) return false;
        *to = (LoopValue){.pointer = b->base + value * b->size,
                          .bytes = (size_t)((b->limit - value) * b->size)};
        /* What the callee writes there is not followed. */
        if (b->written && callee->args.at[k].written)
            memset(b->written + value, 1, (size_t)(b->limit - value));
    }
    int64_t result = 0;
    if (!eval_call(run, call->callee, call->args, callee->args.count, &result)) return false;
    int32_t narrow_result = (int32_t)result;
    if (call->result == EV_NONE) return true;
    if (callee->result == LT_I32)
        memcpy(f->regs + call->result, &narrow_result, 4);
    else
        memcpy(f->regs + call->result, &result, 8);
    return true;
}

static void splat(char *r, const EvIns *i) {
    char element[8]; /* it may lie inside of the result */
    memcpy(element, r + i->a, (size_t)i->c);
    for (int n = 0; n < i->lanes; n++) memcpy(r + i->d + n * i->c, element, (size_t)i->c);
}

static int64_t at64(const char *r, int32_t at) {
    int64_t value;
    memcpy(&value, r + at, 8);
    return value;
}

static int64_t at32(const char *r, int32_t at) {
    int32_t value;
    memcpy(&value, r + at, 4);
    return value;
}

EvStop eval_execute(EvRun *run, EvFunction *f, int from, int64_t *result, int *at) {
    char *r = f->regs;
    const EvIns *code = f->code.at;
    for (const EvIns *i = code + from;; i++) {
        *at = (int)(i - code);
        switch ((EvCode)i->code) {
            BOTH_FLOATS(EV_ADD, a[n] + b[n], a[n] + b[n])
            BOTH_FLOATS(EV_SUB, a[n] - b[n], a[n] - b[n])
            BOTH_FLOATS(EV_MUL, a[n] * b[n], a[n] * b[n])
            BOTH_FLOATS(EV_DIV, a[n] / b[n], a[n] / b[n])
            BOTH_FLOATS(EV_NEG, -a[n], -a[n])
            BOTH_FLOATS(EV_FMA, fmaf(a[n], b[n], c[n]), fma(a[n], b[n], c[n]))
            BOTH_FLOATS(EV_ABS, fabsf(a[n]), fabs(a[n]))
            BOTH_INTS(EV_ADD, a[n] + b[n])
            BOTH_INTS(EV_SUB, a[n] - b[n])
            BOTH_INTS(EV_MUL, a[n] * b[n])
            BOTH_INTS(EV_NEG, 0 - a[n])
            BOTH_INTS(EV_AND, a[n] & b[n])
            BOTH_INTS(EV_OR, a[n] | b[n])
            BOTH_INTS(EV_XOR, a[n] ^ b[n])
            BOTH_INTS(EV_SHL, a[n] << b[n])
            BOTH_INTS(EV_SHR, a[n] >> b[n])
            ALL_SIGNED(EV_MIN, a[n] > b[n] ? b[n] : a[n])
            ALL_SIGNED(EV_MAX, a[n] < b[n] ? b[n] : a[n])
            COMPARISON(EV_LT, <)
            COMPARISON(EV_LE, <=)
            COMPARISON(EV_GT, >)
            COMPARISON(EV_GE, >=)
            COMPARISON(EV_EQ, ==)
            COMPARISON(EV_NE, !=)
            BOTH_MASKS(EV_MAND, a[n] & b[n])
            BOTH_MASKS(EV_MOR, a[n] | b[n])
            BOTH_MASKS(EV_MNOT, !a[n])
            BOTH_MASKS(EV_SELECT, a[n] ? b[n] : c[n])
        case EV_DIV_I32:
        case EV_MOD_I32:
            if (!divides(run, r, i, false)) return EV_FAILED;
            if (i->code == EV_DIV_I32)
                LANES(int32_t, int32_t, a[n] / b[n]);
            else
                LANES(int32_t, int32_t, a[n] % b[n]);
            break;
        case EV_DIV_I64:
        case EV_MOD_I64:
            if (!divides(run, r, i, true)) return EV_FAILED;
            if (i->code == EV_DIV_I64)
                LANES(int64_t, int64_t, a[n] / b[n]);
            else
                LANES(int64_t, int64_t, a[n] % b[n]);
            break;
        case EV_MULHI: LANES(int32_t, uint32_t, (uint64_t)a[n] * b[n] >> 32); break;
        case EV_MATH:
            eval_math((ScalarOp)i->c, (LoopType)i->type, i->lanes, r + i->d, r + i->a,
                      i->b == EV_NONE ? NULL : r + i->b);
            break;
        case EV_CONVERT:
            if (!eval_convert((LoopType)i->c, (LoopType)i->type, i->lanes, r + i->d, r + i->a)) {
                run->message =
                    arena_printf(run->arena, "conversion of a number that %s does not hold",
                                 loop_type_text((LoopType)i->type));
                return EV_FAILED;
            }
            break;
        case EV_MOVE: memmove(r + i->d, r + i->a, (size_t)i->c); break;
        case EV_SPLAT: splat(r, i); break;
        case EV_LOAD:
            if (!load_lanes(run, f, i)) return EV_FAILED;
            break;
        case EV_STORE:
            if (!store(run, f, i)) return EV_FAILED;
            break;
        case EV_BUFFER: set_up_buffer(run, f, i); break;
        case EV_JUMP: i = code + i->c - 1; break;
        case EV_JUMP_UNLESS_M32:
            if (!at32(r, i->a)) i = code + i->c - 1;
            break;
        case EV_JUMP_UNLESS_M64:
            if (!at64(r, i->a)) i = code + i->c - 1;
            break;
        case EV_FOR_TEST:
            if (at64(r, i->d) >= at64(r, i->a)) i = code + i->c - 1;
            break;
        case EV_FOR_NEXT: {
            int64_t next;
            if (!turn(run)) return EV_FAILED;
            if (__builtin_add_overflow(at64(r, i->d), at64(r, i->b), &next)) break;
            memcpy(r + i->d, &next, 8);
            if (next < at64(r, i->a)) i = code + i->c - 1;
            break;
        }
        case EV_CALL:
            if (!turn(run) || !call(run, f, &f->calls.at[i->c])) return EV_FAILED;
            break;
        case EV_GEMM:
            if (!turn(run) || !eval_gemm(run, f, i)) return EV_FAILED;
            i += EV_MATRICES;
            break;
        case EV_REGION:
            if (!turn(run) || !eval_region(run, f, i, at)) return EV_FAILED;
            i = code + i->c - 1;
            break;
        case EV_MATRIX: break; /* stepped over */
        case EV_BARRIER:
        case EV_REGION_END: return EV_MET;
        case EV_RETURN:
            if (i->type == LT_I32)
                *result = at32(r, i->a);
            else if (i->type == LT_I64)
                *result = at64(r, i->a);
            return EV_RETURNED;
        case EV_END: run->message = "the end is reached without a result"; return EV_FAILED;
        }
    }
}
