/* The C backend against the Loop evaluator: every operation on every kind of number, compiled by
 * each compiler that is there at several levels and instruction sets, silent and with equal bits.
 */
#include "backend_c_case.h"

#include "loop/evaluate.h"

enum { COUNT = 256, SLOTS = 48 };

/* Function f(const real *x, const real *y, const real *z, real *out, int32 or int64 *bits): `SLOTS`
 * results of `COUNT` numbers each; the slot is the place of the call of `result`. */
typedef struct Ops {
    Case *x;
    LoopType real, whole;
    int lanes, out, bits, slot, whole_slot;
    LBlock *body;
    LExpr *i;
} Ops;

static int array(Case *x, const char *name, LoopType type, int64_t count, bool written) {
    int arg = loop_arg_pointer(x->m, x->f, name, type, written, false, "numbers");
    return loop_buffer(x->m, x->f,
                       (LBuffer){.name = name_of(x->names, name),
                                 .type = type,
                                 .base = LB_ARG,
                                 .arg = arg,
                                 .count = loop_int(x->m, count),
                                 .written = written});
}

static LExpr *let(Ops *o, const char *name, LExpr *value) {
    return loop_var(o->x->m, o->x->f, loop_let(o->x->m, o->x->f, o->body, name, value));
}

static void result(Ops *o, LExpr *value) {
    LoopModule *m = o->x->m;
    bool whole = value->type == o->whole;
    int slot = whole ? o->whole_slot++ : o->slot++;
    assert_true(slot < SLOTS);
    loop_store(m, o->body, whole ? o->bits : o->out,
               loop_add(m, o->i, loop_int(m, (int64_t)slot * COUNT)), value, false);
}

static LExpr *real_of(Ops *o, double value) {
    return loop_splat(o->x->m, loop_float(o->x->m, o->real, value), o->lanes);
}

static LExpr *whole_of(Ops *o, int64_t value) {
    return loop_splat(o->x->m, loop_int_of(o->x->m, o->whole, value), o->lanes);
}

static LExpr *op(Ops *o, ScalarOp code, LExpr *a, LExpr *b) {
    return loop_op(o->x->m, code, a, b, NULL);
}

static void real_results(Ops *o, LExpr *x, LExpr *y, LExpr *z) {
    LoopModule *m = o->x->m;
    bool fma = m->target.fma;
    static const ScalarOp binary[] = {SOP_ADD, SOP_SUB, SOP_MUL, SOP_DIV, SOP_MIN, SOP_MAX};
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++) result(o, op(o, binary[i], x, y));
    result(o, op(o, SOP_NEG, x, NULL));
    result(o, op(o, SOP_NEG, op(o, SOP_NEG, real_of(o, -0.5), NULL), NULL));
    result(o, op(o, SOP_ABS, x, NULL));
    static const ScalarOp compares[] = {SOP_LT, SOP_LE, SOP_GT, SOP_GE, SOP_EQ, SOP_NE};
    for (size_t i = 0; i < sizeof compares / sizeof *compares; i++)
        result(o, loop_op(m, SOP_SELECT, op(o, compares[i], x, y), z, y));
    LExpr *low = op(o, SOP_LT, x, y), *high = op(o, SOP_GT, y, real_of(o, 0.1)),
          *odd = op(o, SOP_NE, z, z);
    result(o, loop_op(m, SOP_SELECT, op(o, SOP_MAND, low, op(o, SOP_MOR, high, odd)), x, z));
    result(o,
           loop_op(m, SOP_SELECT,
                   op(o, SOP_MOR, op(o, SOP_MAND, low, high), op(o, SOP_MNOT, odd, NULL)), y, z));
    result(o, loop_op(m, SOP_SELECT, op(o, SOP_MOR, odd, op(o, SOP_MAND, low, high)), y, z));
    result(o, loop_op(m, SOP_SELECT, op(o, SOP_MAND, op(o, SOP_MAND, low, high), odd), y, z));
    /* Order of operations: trees that parentheses must keep. */
    result(o, op(o, SOP_SUB, x, op(o, SOP_SUB, y, z)));
    result(o, op(o, SOP_ADD, x, op(o, SOP_ADD, y, z)));
    result(o, op(o, SOP_DIV, x, op(o, SOP_MUL, y, z)));
    result(o, op(o, SOP_MUL, op(o, SOP_ADD, x, y), op(o, SOP_SUB, y, z)));
    result(o, op(o, SOP_MIN, op(o, SOP_MAX, op(o, SOP_ADD, x, y), z), op(o, SOP_MUL, x, z)));
    LExpr *shared = op(o, SOP_DIV, x, z);
    result(o, op(o, SOP_MUL, shared, shared));
    if (fma) {
        result(o, loop_op(m, SOP_FMA, x, y, z));
        LExpr *inner =
            loop_op(m, SOP_FMA, op(o, SOP_NEG, x, NULL), real_of(o, 1.0 / 3), real_of(o, 1e-3));
        result(o,
               loop_op(m, SOP_FMA, inner, inner, loop_op(m, SOP_FMA, x, x, op(o, SOP_MUL, y, z))));
    } else {
        result(o, op(o, SOP_ADD, op(o, SOP_MUL, x, y), z)); /* not to be contracted */
        result(o, op(o, SOP_SUB, z, op(o, SOP_MUL, x, y)));
    }
    static const double numbers[] = {0.0,        -0.0,         1.0,   -87.0, 0.1,
                                     12583039.0, 0x1.62e43p-1, 1e-30, -1e30};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) result(o, real_of(o, numbers[i]));
    result(o, real_of(o, 1 / 0.0 * 1));
    result(o, real_of(o, -1 / 0.0));
    result(o, real_of(o, 0 / 0.0));
    result(o, loop_splat(m, loop_lane(m, x, o->lanes - 1), o->lanes));
}

static void whole_results(Ops *o, LExpr *x, LExpr *y) {
    LoopModule *m = o->x->m;
    LExpr *a = let(o, "a", loop_convert(m, SOP_BITCAST, o->whole, x));
    LExpr *b = let(o, "b", loop_convert(m, SOP_BITCAST, o->whole, y));
    static const ScalarOp binary[] = {SOP_ADD, SOP_SUB, SOP_MUL, SOP_MIN,
                                      SOP_MAX, SOP_AND, SOP_OR,  SOP_XOR};
    for (size_t i = 0; i < sizeof binary / sizeof *binary; i++) result(o, op(o, binary[i], a, b));
    if (o->whole == LT_I32) {
        result(o, op(o, SOP_MULHI, a, b));
        result(o, op(o, SOP_MULHI, op(o, SOP_XOR, a, b), whole_of(o, INT32_C(-766435501))));
    }
    result(o, op(o, SOP_NEG, a, NULL));
    result(o,
           op(o, SOP_XOR, op(o, SOP_SHL, a, whole_of(o, 13)), op(o, SOP_SHR, b, whole_of(o, 7))));
    result(o, op(o, SOP_AND, op(o, SOP_OR, a, b), op(o, SOP_MUL, b, whole_of(o, 0x5851f42d))));
    LExpr *positive = op(o, SOP_SHR, a, whole_of(o, 5));
    result(o, op(o, SOP_DIV, positive, whole_of(o, 7)));
    result(o, op(o, SOP_MOD, positive, whole_of(o, 1000)));
    result(o, loop_op(m, SOP_SELECT, op(o, SOP_LT, a, b), a, b));
    result(o, op(o, SOP_MUL, op(o, SOP_SUB, a, b), whole_of(o, -3)));
    result(o, loop_convert(m, SOP_BITCAST, o->real,
                           op(o, SOP_SHL, op(o, SOP_AND, a, whole_of(o, 511)), whole_of(o, 20))));
    result(o, loop_convert(m, SOP_CONVERT, o->real, op(o, SOP_SHR, a, whole_of(o, 1))));
    result(o, loop_convert(m, SOP_CONVERT, o->whole,
                           op(o, SOP_MIN, op(o, SOP_MAX, real_of(o, -1000), x), real_of(o, 1000))));
    /* The width of the other float and of the other integer. */
    LoopType other = o->real == LT_F32 ? LT_F64 : LT_F32,
             other_whole = o->whole == LT_I32 ? LT_I64 : LT_I32;
    result(o, loop_convert(m, SOP_CONVERT, o->real,
                           op(o, SOP_MUL, loop_convert(m, SOP_CONVERT, other, x),
                              loop_convert(m, SOP_CONVERT, other, y))));
    LExpr *small = op(o, SOP_AND, a, whole_of(o, 0xffff));
    result(o, loop_convert(m, SOP_CONVERT, o->whole,
                           op(o, SOP_MUL, loop_convert(m, SOP_CONVERT, other_whole, small),
                              loop_convert(m, SOP_CONVERT, other_whole, small))));
    result(o,
           loop_convert(m, SOP_CONVERT, o->real, loop_convert(m, SOP_CONVERT, other_whole, small)));
}

/* bfloat16 and int8 in memory. */
static void narrow_results(Ops *o, LExpr *x) {
    LoopModule *m = o->x->m;
    LFunction *f = o->x->f;
    int half = loop_buffer(m, f,
                           (LBuffer){.name = name_of(m->names, "half"),
                                     .type = LT_U16,
                                     .base = LB_LOCAL,
                                     .arg = -1,
                                     .count = loop_int(m, 64),
                                     .align = 64,
                                     .written = true});
    int byte = loop_buffer(m, f,
                           (LBuffer){.name = name_of(m->names, "byte"),
                                     .type = LT_I8,
                                     .base = LB_LOCAL,
                                     .arg = -1,
                                     .count = loop_int(m, 64),
                                     .align = 64,
                                     .written = true});
    LExpr *zero = loop_int(m, 0);
    LExpr *bits = loop_convert(m, SOP_BITCAST, o->whole, x);
    LExpr *top = op(o, SOP_SHR, bits, whole_of(o, 16));
    loop_store(m, o->body, half, zero,
               loop_convert(m, SOP_CONVERT, LT_U16, op(o, SOP_AND, top, whole_of(o, 0xffff))),
               true);
    LExpr *back =
        loop_convert(m, SOP_CONVERT, o->whole, loop_load(m, f, half, zero, o->lanes, true));
    result(o, op(o, SOP_SHL, back, whole_of(o, 16)));
    LExpr *little = op(o, SOP_SUB, op(o, SOP_AND, bits, whole_of(o, 255)), whole_of(o, 128));
    loop_store(m, o->body, byte, zero, loop_convert(m, SOP_CONVERT, LT_I8, little), true);
    LExpr *weight =
        loop_convert(m, SOP_CONVERT, o->real, loop_load(m, f, byte, zero, o->lanes, false));
    result(o, op(o, SOP_MUL, weight, real_of(o, 0.25)));
}

static Case *operations(LoopType real, int lanes, bool fma) {
    Case *x = case_new("ops", lanes, fma, real);
    int own = real == LT_F64 && lanes > 1 ? lanes / 2 : lanes;
    x->f = loop_function(x->m, "f", LT_I32, true);
    x->f->doc = "Every operation.";
    Ops o = {.x = x, .real = real, .whole = real == LT_F32 ? LT_I32 : LT_I64, .lanes = own};
    int from[3];
    static const char *const names[] = {"x", "y", "while"};
    for (int i = 0; i < 3; i++) from[i] = array(x, names[i], real, COUNT, false);
    o.out = array(x, "out", real, (int64_t)SLOTS * COUNT, true);
    o.bits = array(x, "bits", o.whole, (int64_t)SLOTS * COUNT, true);
    LStmt *loop =
        loop_for(x->m, x->f, &x->f->body, "i", loop_int(x->m, 0), loop_int(x->m, COUNT), own);
    loop->rolled = true;
    o.body = &loop->body;
    o.i = loop_var(x->m, x->f, loop->var);
    LExpr *values[3];
    for (int i = 0; i < 3; i++)
        values[i] = let(&o, "v", loop_load(x->m, x->f, from[i], o.i, own, false));
    real_results(&o, values[0], values[1], values[2]);
    whole_results(&o, values[0], values[1]);
    narrow_results(&o, values[0]);
    let(&o, "unused", op(&o, SOP_ADD, values[0], values[1]));
    loop_return(x->m, &x->f->body, loop_int_of(x->m, LT_I32, 0));
    return x;
}

/* What expand_math makes of the functions, the printed polynomials included. */
static Case *functions(LoopType real, int lanes, bool fma) {
    Case *x = case_new("ops", lanes, fma, real);
    int own = real == LT_F64 && lanes > 1 ? lanes / 2 : lanes;
    x->f = loop_function(x->m, "f", LT_I32, true);
    Ops o = {.x = x, .real = real, .whole = real == LT_F32 ? LT_I32 : LT_I64, .lanes = own};
    static const char *const names[] = {"x", "y", "z"};
    int from[3];
    for (int i = 0; i < 3; i++) from[i] = array(x, names[i], real, COUNT, false);
    o.out = array(x, "out", real, (int64_t)SLOTS * COUNT, true);
    o.bits = array(x, "bits", o.whole, (int64_t)SLOTS * COUNT, true);
    LStmt *loop =
        loop_for(x->m, x->f, &x->f->body, "i", loop_int(x->m, 0), loop_int(x->m, COUNT), own);
    o.body = &loop->body;
    o.i = loop_var(x->m, x->f, loop->var);
    LExpr *values[3];
    for (int i = 0; i < 3; i++)
        values[i] = let(&o, "v", loop_load(x->m, x->f, from[i], o.i, own, false));
    for (int code = 0; code < SOP_COUNT; code++)
        if (scalar_op_info[code].kind == SK_EXPANDED)
            result(&o, op(&o, (ScalarOp)code, values[0],
                          scalar_op_info[code].operands == 2 ? values[1] : NULL));
    loop_store(x->m, o.body, o.bits, o.i, loop_convert(x->m, SOP_BITCAST, o.whole, values[2]),
               false);
    loop_return(x->m, &x->f->body, loop_int_of(x->m, LT_I32, 0));
    loop_expand_math(x->m);
    return x;
}

/* ---- numbers to run on ---- */

static uint64_t random_bits(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = (*state ^ (*state >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Random bits, ordinary numbers, and the corners: zeros, infinities, NaN, subnormals. */
static void fill(void *to, LoopType real, uint64_t seed) {
    for (int i = 0; i < COUNT; i++) {
        uint64_t bits = random_bits(&seed);
        double plain = (double)(int64_t)bits / 0x1p61;
        if (real == LT_F32) {
            uint32_t narrow = (uint32_t)(bits >> 20);
            float value = (float)plain;
            static const uint32_t corners[] = {0,          0x80000000, 0x7f800000, 0xff800000,
                                               0x7fc00000, 1,          0x807fffff, 0x7f7fffff};
            if (i % 4 == 0) memcpy(&value, &narrow, 4);
            if (i % 16 == 1) memcpy(&value, &corners[bits >> 61], 4);
            memcpy((char *)to + 4 * i, &value, 4);
        } else {
            static const uint64_t corners[] = {
                0, 1ull << 63,       0x7ffull << 52,      0xfffull << 52, 0x7ff8ull << 48,
                1, (1ull << 63) + 5, (0x7ffull << 52) - 1};
            if (i % 4 == 0) memcpy(&plain, &bits, 8);
            if (i % 16 == 1) memcpy(&plain, &corners[bits >> 61], 8);
            memcpy((char *)to + 8 * i, &plain, 8);
        }
    }
}

typedef int32_t OpsFunction(const void *, const void *, const void *, void *, void *);

typedef struct Numbers {
    size_t size; /* of an element */
    _Alignas(64) char in[3][8 * COUNT];
    _Alignas(64) char want[2][8 * COUNT * SLOTS], got[2][8 * COUNT * SLOTS];
} Numbers;

static double number_at(const char *at, size_t size) {
    if (size == 8) {
        double value;
        memcpy(&value, at, 8);
        return value;
    }
    float value;
    memcpy(&value, at, 4);
    return (double)value;
}

/* Equal bits; any NaN equals any NaN among floats. */
static void compare(const Numbers *n, const char *what) {
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < (size_t)COUNT * SLOTS; i++) {
            const char *want = n->want[side] + i * n->size, *got = n->got[side] + i * n->size;
            if (memcmp(want, got, n->size) == 0) continue;
            double a = number_at(want, n->size), b = number_at(got, n->size);
            if (side == 0 && a != a && b != b) continue;
            fail_msg("%s: %s %zu of %zu is %a when it should be %a", what, side ? "bits" : "number",
                     i % COUNT, i / COUNT, b, a);
        }
}

static Numbers *numbers_new(Case *x, LoopType real) {
    Numbers *n = aligned_alloc(64, (sizeof *n + 63) / 64 * 64);
    assert_non_null(n);
    memset(n, 0, sizeof *n);
    n->size = real == LT_F32 ? 4 : 8;
    for (int i = 0; i < 3; i++) fill(n->in[i], real, 17 + (uint64_t)i);
    LoopValue args[5];
    for (int i = 0; i < 5; i++)
        args[i] = (LoopValue){.pointer = i < 3 ? n->in[i] : n->want[i - 3],
                              .bytes = n->size * (i < 3 ? COUNT : COUNT * SLOTS)};
    int64_t status = -1;
    const char *error = NULL;
    if (!loop_evaluate(x->arena, x->m, "f", args, 5, &status, &error)) fail_msg("%s", error);
    assert_int_equal(status, 0);
    return n;
}

/* ---- compilers and flags ---- */

typedef struct Build {
    const char *compiler;
    const char *flags[6];
    bool all;  /* only where RNNC_TEST_ALL is set */
    int needs; /* 1: fma, 2: avx512f */
} Build;

/* clang then heeds no pragma: harmless where fma is explicit, and left out where the target has
 * none. */
#define CONTRACT "-ffp-contract=fast"

static const Build builds[] = {
    {"gcc", {"-std=c99", "-O0", NULL}, false, 0},
    {"gcc", {"-std=c99", "-O3", "-mavx2", "-mfma", NULL}, false, 1},
    {"gcc", {"-std=gnu17", "-O2", "-mavx512f", "-fno-builtin", NULL}, false, 2},
    {"clang", {"-std=c99", "-O3", NULL}, false, 0},
    {"clang", {"-std=gnu17", "-O0", "-mavx512f", NULL}, false, 2},
    {"clang-19", {"-std=c99", "-O2", "-mavx2", "-mfma", NULL}, false, 1},
    {"gcc", {"-std=c99", "-O3", NULL}, true, 0},
    {"gcc", {"-std=c99", "-O0", "-mavx2", "-mfma", NULL}, true, 1},
    {"gcc", {"-std=gnu17", "-O1", "-march=sapphirerapids", NULL}, true, 2},
    {"gcc", {"-std=c99", "-O0", "-mavx512f", NULL}, true, 2},
    {"gcc", {"-std=c99", "-O3", "-mavx512f", NULL}, true, 2},
    {"clang", {"-std=c99", "-O0", NULL}, true, 0},
    {"clang", {"-std=c99", "-O3", "-mavx512f", CONTRACT, NULL}, true, 2},
    {"clang", {"-std=c99", "-O3", "-mavx2", "-mfma", NULL}, true, 1},
    {"clang-19", {"-std=c99", "-O0", NULL}, true, 0},
    {"clang-19", {"-std=c99", "-O3", "-mavx512f", CONTRACT, NULL}, true, 2},
    {"clang-19", {"-std=c99", "-O0", "-mavx512f", "-fno-builtin", NULL}, true, 2},
};

static bool all(void) {
    return getenv("RNNC_TEST_ALL") != NULL;
}

static void check_build(Case *x, Numbers *n, const char *compiler, const char *const *flags,
                        bool strict) {
    /* Without libm, and nothing undefined: no operation may become a call of it. */
    const char *with[16] = {"-shared", "-fPIC", "-Wl,-z,defs", "-nostdlib", "-lc"};
    int count = strict ? 5 : 1;
    for (int i = 0; flags[i]; i++) with[count++] = flags[i];
    with[count] = NULL;
    compile_file(x, compiler, with, strict, "m.c", "m.so");
    Library library = load(x, "ops_f");
    OpsFunction *function;
    memcpy(&function, &library.function, sizeof function);
    memset(n->got, 0, sizeof n->got);
    assert_int_equal(function(n->in[0], n->in[1], n->in[2], n->got[0], n->got[1]), 0);
    compare(n, arena_printf(x->arena, "%s %s %s, %d lanes", compiler, flags[0],
                            flags[0] ? flags[1] : "", x->m->target.lanes));
    assert_int_equal(function(NULL, n->in[1], n->in[2], n->got[0], n->got[1]), LOOP_BAD_POINTER);
    dlclose(library.handle);
}

static void check_case(Case *x, LoopType real, int lanes) {
    emit(x);
    Numbers *n = numbers_new(x, real);
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++) {
        if ((builds[i].all && !all()) || !machine_has(builds[i].needs)) continue;
        bool contracts = builds[i].flags[3] && strcmp(builds[i].flags[3], CONTRACT) == 0;
        if (contracts && !x->m->target.fma) continue;
        if (has_program(x, builds[i].compiler))
            check_build(x, n, builds[i].compiler, builds[i].flags, true);
    }
    static const char *const none[] = {NULL};
    if (lanes == 1 && has_program(x, "tcc")) check_build(x, n, "tcc", none, false);
    free(n);
    case_done(x);
}

static void check_operations(LoopType real, int lanes, bool fma) {
    check_case(operations(real, lanes, fma), real, lanes);
}

static void expanded(void **state) {
    (void)state;
    static const int lanes[] = {1, 4, 8, 16};
    for (int i = 0; i < 4; i++)
        for (int fma = 0; fma < 2; fma++)
            for (int wide = 0; wide < 2; wide++) {
                LoopType real = wide ? LT_F64 : LT_F32;
                if (all() || (fma == i % 2 && wide == i / 2))
                    check_case(functions(real, lanes[i], fma), real, lanes[i]);
            }
}

static void one_lane(void **state) {
    (void)state;
    check_operations(LT_F32, 1, true);
    check_operations(LT_F64, 1, true);
    check_operations(LT_F32, 1, false);
    check_operations(LT_F64, 1, false);
}

static void four_lanes(void **state) {
    (void)state;
    check_operations(LT_F32, 4, true);
    if (all()) check_operations(LT_F64, 4, true);
    if (all()) check_operations(LT_F64, 4, false);
    check_operations(LT_F32, 4, false);
}

static void eight_lanes(void **state) {
    (void)state;
    check_operations(LT_F32, 8, true);
    check_operations(LT_F64, 8, false);
    if (all()) check_operations(LT_F64, 8, true);
    if (all()) check_operations(LT_F32, 8, false);
}

static void sixteen_lanes(void **state) {
    (void)state;
    check_operations(LT_F32, 16, true);
    check_operations(LT_F64, 16, true);
    if (all()) check_operations(LT_F32, 16, false);
    if (all()) check_operations(LT_F64, 16, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(expanded), cmocka_unit_test(one_lane),
                                       cmocka_unit_test(four_lanes), cmocka_unit_test(eight_lanes),
                                       cmocka_unit_test(sixteen_lanes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
