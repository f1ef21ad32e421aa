/* The top of an emitted C file: refusal of flags that change bits, vector types, and macros for
 * what C has no operator for. Macros, not functions: a function that takes a vector warns where the
 * instruction set is not enabled. Nothing here calls libm, whatever the flags. */
#include "c.h"

static const struct {
    LoopType type;
    const char *name, *upper, *c, *mask;
    int bytes;
} elements[] = {
    {LT_F32, "f32", "F32", "float", "i32", 4},   {LT_F64, "f64", "F64", "double", "i64", 8},
    {LT_I8, "i8", "I8", "int8_t", "i8", 1},      {LT_U16, "u16", "U16", "uint16_t", "u16", 2},
    {LT_I32, "i32", "I32", "int32_t", "i32", 4}, {LT_I64, "i64", "I64", "int64_t", "i64", 8},
};
enum { ELEMENTS = sizeof elements / sizeof *elements };

/* ---- flags ---- */

static void print_flags(const LoopModule *module, Text *out) {
    text_puts(out, "/* The numbers are IEEE 754, rounded to nearest at every operation: nothing "
                   "may be reordered,\n"
                   "   contracted or kept in more precision. */\n"
                   "#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || "
                   "defined(__RECIPROCAL_MATH__)\n"
                   "#error \"this file must be compiled without -ffast-math and its parts\"\n"
                   "#endif\n"
                   "#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0\n"
                   "#error \"this file must be compiled without -ffinite-math-only\"\n"
                   "#endif\n"
                   "#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && "
                   "__FLT_EVAL_METHOD__ != 16\n"
                   "#error \"this file needs arithmetic without excess precision (x86: -msse2 "
                   "-mfpmath=sse)\"\n"
                   "#endif\n"
                   "#if defined(__clang__)\n"
                   "#pragma STDC FP_CONTRACT OFF\n"
                   "#elif defined(__GNUC__)\n"
                   "/* Copying loops stay loops: else gcc calls memmove. */\n"
                   "#pragma GCC optimize(\"fp-contract=off,no-tree-loop-distribute-patterns\")\n");
    if (module->target.lanes == 16)
        text_puts(out, "#if defined(__x86_64__)\n"
                       "#pragma GCC target(\"prefer-vector-width=512\")\n"
                       "#endif\n");
    text_puts(out, "#endif\n");
}

/* ---- types ---- */

static void print_types(const CUses *uses, Text *out) {
    bool any = false;
    for (int i = 0; i < ELEMENTS; i++) any = any || (uses->of[elements[i].type][0] & USE_ALIAS);
    if (any) {
        text_puts(
            out, "\n/* Elements in memory that the caller may have declared with another type. */\n"
                 "#if defined(__GNUC__)\n");
        for (int i = 0; i < ELEMENTS; i++)
            if (uses->of[elements[i].type][0] & USE_ALIAS)
                text_printf(out, "typedef %s %s_any __attribute__((may_alias));\n", elements[i].c,
                            elements[i].name);
        text_puts(out, "#else\n");
        for (int i = 0; i < ELEMENTS; i++)
            if (uses->of[elements[i].type][0] & USE_ALIAS)
                text_printf(out, "typedef %s %s_any;\n", elements[i].c, elements[i].name);
        text_puts(out, "#endif\n");
    }
    any = false;
    for (int i = 0; i < ELEMENTS; i++)
        for (int level = 1; level < C_LANE_LEVELS; level++) {
            unsigned use = uses->of[elements[i].type][level];
            int lanes = 1 << level, bytes = elements[i].bytes * lanes;
            if (!(use & USE_VECTOR)) continue;
            if (!any)
                text_puts(out, "\n/* Vectors; an _any lies at the alignment of its element. */\n");
            any = true;
            text_printf(out, "typedef %s %sx%d __attribute__((vector_size(%d), may_alias));\n",
                        elements[i].c, elements[i].name, lanes, bytes);
            if (use & USE_UNALIGNED)
                text_printf(out,
                            "typedef %s %sx%d_any __attribute__((vector_size(%d), may_alias, "
                            "aligned(%d)));\n",
                            elements[i].c, elements[i].name, lanes, bytes, elements[i].bytes);
            if (use & USE_UNSIGNED)
                text_printf(
                    out, "typedef uint%d_t u%dx%d __attribute__((vector_size(%d), may_alias));\n",
                    8 * elements[i].bytes, 8 * elements[i].bytes, lanes, bytes);
        }
}

/* ---- bits ---- */

static void print_bits(const CUses *uses, Text *out) {
    for (int i = 0; i < 2; i++) { /* f32, f64 */
        unsigned use = uses->of[elements[i].type][0];
        const char *name = elements[i].name, *real = elements[i].c,
                   *mask = i ? "int64_t" : "int32_t";
        if (use & USE_FROM_BITS)
            text_printf(out,
                        "\nstatic %s %s_of_bits(%s bits)\n{\n"
                        "    union { %s bits; %s value; } both;\n"
                        "    both.bits = bits;\n    return both.value;\n}\n",
                        real, name, mask, mask, real);
        if (use & USE_TO_BITS)
            text_printf(out,
                        "\nstatic %s bits_of_%s(%s value)\n{\n"
                        "    union { %s bits; %s value; } both;\n"
                        "    both.value = value;\n    return both.bits;\n}\n",
                        mask, name, real, mask, real);
        if (use & USE_ABS)
            text_printf(out,
                        "\nstatic %s abs_%s(%s value)\n{\n"
                        "    return %s_of_bits(bits_of_%s(value) & %s);\n}\n",
                        real, name, real, name, name, i ? "INT64_MAX" : "INT32_MAX");
    }
}

/* ---- macros on lanes ---- */

/* `{format(0), format(1), …}` for all lanes, '#' being the lane, wrapped by backslashes. */
static void print_lanes(Text *out, int lanes, const char *format) {
    int column = 8;
    text_puts(out, "{ \\\n       ");
    for (int lane = 0; lane < lanes; lane++) {
        int length = (int)strlen(format) + 4;
        if (column + length > 96) {
            text_puts(out, " \\\n       ");
            column = 8;
        }
        column += length;
        text_puts(out, " ");
        for (const char *f = format; *f; f++) {
            if (*f == '#')
                text_printf(out, "%d", lane);
            else
                text_write(out, f, 1);
        }
        text_puts(out, lane + 1 < lanes ? "," : "})\n");
    }
}

/* min and max by masks, as clang knows to be one instruction. gcc 12 does not: it gets the builtin
 * of x86, which gives its second operand where either is NaN, so the operands change places. */
static void print_extreme(Text *out, int element, int lanes, bool least) {
    const char *name = elements[element].name, *upper = elements[element].upper;
    const char *word = least ? "MIN" : "MAX", *suffix = element == 0 ? "ps" : "pd";
    int bytes = elements[element].bytes * lanes;
    bool x86 = element < 2 && (bytes == 16 || bytes == 32 || bytes == 64);
    if (x86) {
        text_printf(out,
                    "#if defined(__GNUC__) && !defined(__clang__) && defined(%s)\n"
                    "#define %s_%sX%d(a, b) \\\n    ((%sx%d)__builtin_ia32_%s%s",
                    bytes == 64   ? "__AVX512F__"
                    : bytes == 32 ? "__AVX__"
                                  : "__SSE2__",
                    word, upper, lanes, name, lanes, least ? "min" : "max", suffix);
        if (bytes == 64)
            text_printf(out, "512_mask((b), (a), (a), %s, 4))\n", element == 0 ? "-1" : "255");
        else
            text_printf(out, "%s((b), (a)))\n", bytes == 32 ? "256" : "");
        text_puts(out, "#else\n");
    }
    text_printf(out, "#define %s_%sX%d(a, b) SELECT_%sX%d((%sx%d)((a) %s (b)), (b), (a))\n", word,
                upper, lanes, upper, lanes, elements[element].mask, lanes, least ? ">" : "<");
    if (x86) text_puts(out, "#endif\n");
}

static void print_simple_macros(const CUses *uses, Text *out) {
    for (int i = 0; i < ELEMENTS; i++)
        for (int level = 1; level < C_LANE_LEVELS; level++) {
            unsigned use = uses->of[elements[i].type][level];
            const char *name = elements[i].name, *upper = elements[i].upper,
                       *mask = elements[i].mask;
            int lanes = 1 << level;
            if (use & (USE_SPLAT | USE_SELECT | USE_MIN | USE_MAX)) text_puts(out, "\n");
            if (use & USE_SPLAT) {
                text_printf(out, "#define SPLAT_%sX%d(x) ((%sx%d)", upper, lanes, name, lanes);
                print_lanes(out, lanes, "(x)");
            }
            if (use & (USE_SELECT | USE_MIN | USE_MAX))
                text_printf(out,
                            "#define SELECT_%sX%d(mask, a, b) \\\n"
                            "    ((%sx%d)(((mask) & (%sx%d)(a)) | (~(mask) & (%sx%d)(b))))\n",
                            upper, lanes, name, lanes, mask, lanes, mask, lanes);
            if (use & USE_MIN) print_extreme(out, i, lanes, true);
            if (use & USE_MAX) print_extreme(out, i, lanes, false);
        }
}

/* Lanes in pairs are numbers of 64 bits. gcc 12 does not see that their upper halves are zero, and
 * gets the instruction of x86, which looks at the lower ones alone. */
static void print_upper_product(const CUses *uses, Text *out) {
    static const char *const needs[] = {"__SSE2__", "__AVX2__", "__AVX512F__"};
    for (int level = 1; level < C_LANE_LEVELS; level++) {
        int lanes = 1 << level, half = lanes / 2;
        if (!(uses->of[LT_I32][level] & USE_MULHI)) continue;
        text_puts(out, "\n/* The upper halves of products of unsigned integers. */\n");
        if (lanes == 2) {
            text_puts(out, "#define MULHI_I32X2(a, b) ((i32x2)");
            print_lanes(out, 2, "(int32_t)((uint64_t)(uint32_t)(a)[#] * (uint32_t)(b)[#] >> 32)");
            continue;
        }
        bool x86 = lanes <= 16;
        if (x86) {
            text_printf(out,
                        "#if defined(__GNUC__) && !defined(__clang__) && defined(%s)\n"
                        "#define MUL_U64X%d(a, b) ((u64x%d)__builtin_ia32_pmuludq%d%s(",
                        needs[level - 2], half, half, 32 * lanes, lanes == 16 ? "_mask" : "");
            text_printf(out, "(i32x%d)(a), (i32x%d)(b)%s))\n#else\n", lanes, lanes,
                        lanes == 16 ? ", (__attribute__((vector_size(64))) long long){0}, 255"
                                    : "");
        }
        text_printf(out, "#define MUL_U64X%d(a, b) (((a) & 0xffffffffu) * ((b) & 0xffffffffu))\n",
                    half);
        if (x86) text_puts(out, "#endif\n");
        text_printf(out,
                    "#define MULHI_I32X%d(a, b) \\\n"
                    "    ((i32x%d)((MUL_U64X%d((u64x%d)(a), (u64x%d)(b)) >> 32) | \\\n"
                    "              (MUL_U64X%d((u64x%d)(a) >> 32, (u64x%d)(b) >> 32) & \\\n"
                    "               UINT64_C(0xffffffff00000000))))\n",
                    lanes, lanes, half, half, half, half, half, half);
    }
}

/* ---- fma ---- */

static bool any_fma(const CUses *uses, LoopType type, int least) {
    for (int level = least; level < C_LANE_LEVELS; level++)
        if (uses->of[type][level] & USE_FMA) return true;
    return false;
}

/* The three-operand builtin of gcc and clang for this width: condition and macro body; NULL where
 * x86 has none. That of 64 bytes has a mask of another type in clang; 32 and 16 bytes by lanes are
 * put together again by clang 14, but cost it twice the time. */
static const char *x86_condition(int bytes) {
    return bytes == 64                  ? "!defined(__clang__) && defined(__AVX512F__)"
           : bytes == 32 || bytes == 16 ? "defined(__FMA__)"
                                        : NULL;
}

static void print_x86_fma(Text *out, int element, int lanes) {
    const char *suffix = element == 0 ? "ps" : "pd", *name = elements[element].name;
    int bytes = elements[element].bytes * lanes;
    if (bytes == 64)
        text_printf(out, "    ((%sx%d)__builtin_ia32_vfmadd%s512_mask((a), (b), (c), %s, 4))\n",
                    name, lanes, suffix, element == 0 ? "-1" : "255");
    else
        text_printf(out, "    ((%sx%d)__builtin_ia32_vfmadd%s%s((a), (b), (c)))\n", name, lanes,
                    suffix, bytes == 32 ? "256" : "");
}

static void print_vector_fma(Text *out, int element, int lanes) {
    const char *name = elements[element].name, *upper = elements[element].upper;
    const char *x86 = x86_condition(elements[element].bytes * lanes);
    text_printf(out,
                "#if defined(FMA_BY_ELEMENT)\n#define FMA_%sX%d(a, b, c) "
                "__builtin_elementwise_fma((a), (b), (c))\n",
                upper, lanes);
    if (x86) {
        text_printf(out, "#elif defined(__GNUC__) && %s\n#define FMA_%sX%d(a, b, c) \\\n", x86,
                    upper, lanes);
        print_x86_fma(out, element, lanes);
    }
    /* Operands are variables (expr.c sees to it), so that they have addresses. */
    text_printf(out,
                "#elif defined(FMA_IN_SOFTWARE)\n#define FMA_%sX%d(a, b, c) __extension__ ({ \\\n"
                "    %sx%d %s_sum; \\\n"
                "    fma_lanes_%s(&(a), &(b), &(c), &%s_sum, %d); \\\n"
                "    %s_sum; })\n",
                upper, lanes, name, lanes, name, name, name, lanes, name);
    text_printf(out, "#else\n#define FMA_%sX%d(a, b, c) ((%sx%d)", upper, lanes, name, lanes);
    print_lanes(out, lanes,
                element == 0 ? "FMA_F32((a)[#], (b)[#], (c)[#])"
                             : "FMA_F64((a)[#], (b)[#], (c)[#])");
    text_puts(out, "#endif\n");
}

/* All lanes of a vector by the software fma, through pointers. */
static void print_soft_lanes(Text *out, int element) {
    const char *name = elements[element].name, *real = elements[element].c;
    text_printf(out,
                "\nFMA_ALONE static void fma_lanes_%s(const void *a, const void *b, const void *c, "
                "void *sum,\n                                      int lanes)\n{\n"
                "    typedef %s lane __attribute__((may_alias));\n"
                "    const lane *x = (const lane *)a, *y = (const lane *)b, *z = (const lane *)c;\n"
                "    lane *to = (lane *)sum;\n"
                "    for (int i = 0; i < lanes; i++) { to[i] = fma_%s(x[i], y[i], z[i]); }\n}\n",
                name, real, name);
}

static void print_fma(const CUses *uses, Text *out) {
    bool single = any_fma(uses, LT_F32, 0), real = any_fma(uses, LT_F64, 0);
    if (!single && !real) return;
    text_puts(out,
              "\n/* a*b + c, rounded once: by an instruction where the target has one, else in "
              "software. */\n"
              "#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA) || \\\n"
              "    (defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF))\n");
    if (single) text_puts(out, "#define FMA_F32(a, b, c) __builtin_fmaf((a), (b), (c))\n");
    if (real) text_puts(out, "#define FMA_F64(a, b, c) __builtin_fma((a), (b), (c))\n");
    if (any_fma(uses, LT_F32, 1) || any_fma(uses, LT_F64, 1))
        text_puts(out, "#if defined(__has_builtin)\n"
                       "#if __has_builtin(__builtin_elementwise_fma)\n"
                       "#define FMA_BY_ELEMENT\n"
                       "#endif\n"
                       "#endif\n");
    /* Not inlined: sixteen copies for each vector would take gcc half a minute. */
    text_puts(out, "#else\n"
                   "#define FMA_IN_SOFTWARE\n"
                   "#if defined(__GNUC__)\n"
                   "#define FMA_ALONE __attribute__((noinline))\n"
                   "#else\n"
                   "#define FMA_ALONE\n"
                   "#endif\n");
    if (single) {
        text_puts(out, "#define FMA_F32(a, b, c) fma_f32((a), (b), (c))\n");
        c_soft_fma(LT_F32, out);
        if (any_fma(uses, LT_F32, 1)) print_soft_lanes(out, 0);
    }
    if (real) {
        text_puts(out, "#define FMA_F64(a, b, c) fma_f64((a), (b), (c))\n");
        c_soft_fma(LT_F64, out);
        if (any_fma(uses, LT_F64, 1)) print_soft_lanes(out, 1);
    }
    text_puts(out, "#endif\n");
    for (int element = 0; element < 2; element++)
        for (int level = 1; level < C_LANE_LEVELS; level++)
            if (uses->of[elements[element].type][level] & USE_FMA)
                print_vector_fma(out, element, 1 << level);
}

void c_prelude(const CUses *uses, const LoopModule *module, Text *out) {
    print_flags(module, out);
    print_types(uses, out);
    print_bits(uses, out);
    print_simple_macros(uses, out);
    print_upper_product(uses, out);
    print_fma(uses, out);
}
