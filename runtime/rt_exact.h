/* rt_exact.h - for files of the runtime whose results must have the same bits whatever compiler and
 * flags: refuses flags that change arithmetic, and keeps a product and a sum two roundings. Only
 * clang's -ffp-contract=fast can neither be seen nor overruled: it must not be given.
 * Included after everything else. */
#ifndef RT_EXACT_H
#define RT_EXACT_H

#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__)
#error "this file must be compiled without -ffast-math and its parts"
#endif
#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0
#error "this file must be compiled without -ffinite-math-only"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0 && __FLT_EVAL_METHOD__ != 16
#error "this file needs arithmetic without excess precision (x86: -msse2 -mfpmath=sse)"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#endif
