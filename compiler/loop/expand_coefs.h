/* Polynomials and constants of loop_expand_math, not written by hand: printed by
 * tools/math_coefficients.py. Behind each colon: the error relative to the function. */
#ifndef RNNC_LOOP_EXPAND_COEFS_H
#define RNNC_LOOP_EXPAND_COEFS_H

/* (expm1(r) - r) / r^2, |r| <= ln(2)/2: 2^-25.9 */
static const double expm1_f32[] = {
    0x1.fffffe0000000p-2,
    0x1.5554ae0000000p-3,
    0x1.5556760000000p-5,
    0x1.1228860000000p-7,
    0x1.6bebde0000000p-10,
};

/* (expm1(r) - r) / r^2, |r| <= ln(2)/2: 2^-58.3 */
static const double expm1_f64[] = {
    0x1.0000000000000p-1,
    0x1.5555555555559p-3,
    0x1.555555555555ap-5,
    0x1.111111110f6e3p-7,
    0x1.6c16c16c14d2fp-10,
    0x1.a01a01af56b7cp-13,
    0x1.a01a01a2c13cbp-16,
    0x1.71ddfbc52ee16p-19,
    0x1.27e507bdcb130p-22,
    0x1.af548070f7f8fp-26,
    0x1.1eef62d3493c0p-29,
};

/* (2 atanh(s) / s - 2) / z in z = s^2, |s| <= 1/5: 2^-35.2 */
static const double log_rest_f32[] = {
    0x1.5555540000000p-1,
    0x1.999c0c0000000p-2,
    0x1.23e0440000000p-2,
    0x1.ee9f1c0000000p-3,
};

/* (2 atanh(s) / s - 2) / z in z = s^2, |s| <= 1/5: 2^-62.7 */
static const double log_rest_f64[] = {
    0x1.555555555554fp-1,
    0x1.999999999c17ap-2,
    0x1.24924921e43cep-2,
    0x1.c71c748fd25a0p-3,
    0x1.745c4ad5b11f8p-3,
    0x1.3b35c1ca3225dp-3,
    0x1.0dcb80a250b28p-3,
    0x1.1b824093e39c0p-3,
};

/* 2/3 in parts of 24, 24 bits */
static const double two_thirds_f32[] = {
    0x1.5555560000000p-1,
    -0x1.5555560000000p-26,
};

/* 2/3 in parts of 53, 53 bits */
static const double two_thirds_f64[] = {
    0x1.5555555555555p-1,
    0x1.5555555555555p-55,
};

/* (2 atanh(s) / s - 2 - 2/3 z) / z^2 in z = s^2, |s| <= 0.1716: 2^-43.7 */
static const double pow_rest_f32[] = {
    0x1.9999980000000p-2,
    0x1.2493b60000000p-2,
    0x1.c63dae0000000p-3,
    0x1.9082d00000000p-3,
};

/* (2 atanh(s) / s - 2 - 2/3 z) / z^2 in z = s^2, |s| <= 0.1716: 2^-77.0 */
static const double pow_rest_f64[] = {
    0x1.999999999999ap-2,
    0x1.2492492492363p-2,
    0x1.c71c71c747ea4p-3,
    0x1.745d172bc8918p-3,
    0x1.3b13ba5a99c89p-3,
    0x1.110f1c371fa08p-3,
    0x1.e2657e5e15644p-4,
    0x1.a508f417a8934p-4,
    0x1.eca17e43adce4p-4,
};

/* ln 2, for |n| < 2^9 in parts of 15, 24 bits */
static const double ln2_f32[] = {
    0x1.62e4000000000p-1,
    0x1.7f7d1c0000000p-20,
};

/* ln 2, for |n| < 2^12 in parts of 41, 53 bits */
static const double ln2_f64[] = {
    0x1.62e42fefa4000p-1,
    -0x1.8432a1b0e2634p-43,
};

/* pi/2 in parts of 24, 24, 24 bits */
static const double half_pi_f32[] = {
    0x1.921fb60000000p+0,
    -0x1.777a5c0000000p-25,
    -0x1.ee59da0000000p-50,
};

/* pi/2 in parts of 53, 53, 53 bits */
static const double half_pi_f64[] = {
    0x1.921fb54442d18p+0,
    0x1.1a62633145c07p-54,
    -0x1.f1976b7ed8fbcp-110,
};

/* (sin(r) - r) / r^3 in r^2: 2^-32.2 */
static const double sin_rest_f32[] = {
    -0x1.5555560000000p-3,
    0x1.1111620000000p-7,
    -0x1.a042880000000p-13,
    0x1.759a940000000p-19,
};

/* (sin(r) - r) / r^3 in r^2: 2^-63.2 */
static const double sin_rest_f64[] = {
    -0x1.5555555555555p-3,
    0x1.1111111111069p-7,
    -0x1.a01a019ffe522p-13,
    0x1.71de3a33a546cp-19,
    -0x1.ae642c51229b3p-26,
    0x1.6109bce1dd72ap-33,
    -0x1.9ffd098cccdc9p-41,
};

/* (cos(r) - 1 + r^2/2) / r^4 in r^2: 2^-31.7 */
static const double cos_rest_f32[] = {
    0x1.5555420000000p-5,
    -0x1.6c07a60000000p-10,
    0x1.98b6520000000p-16,
};

/* (cos(r) - 1 + r^2/2) / r^4 in r^2: 2^-63.9 */
static const double cos_rest_f64[] = {
    0x1.555555555554bp-5,
    -0x1.6c16c16c15000p-10,
    0x1.a01a019c8bab8p-16,
    -0x1.27e4f7ee48645p-22,
    0x1.1ee9d9287a968p-29,
    -0x1.8fa4f7727d5f8p-37,
};

/* erf(x) / x - 1 in x^2, |x| <= 1: 2^-29.4 */
static const double erf_near_f32[] = {
    0x1.06eba80000000p-3,
    -0x1.81273e0000000p-2,
    0x1.ce2ce60000000p-4,
    -0x1.b7f71a0000000p-6,
    0x1.53f2240000000p-8,
    -0x1.a3515e0000000p-11,
    0x1.4771fe0000000p-14,
};

/* erf(x) / x - 1 in x^2, |x| <= 1: 2^-56.3 */
static const double erf_near_f64[] = {
    0x1.06eba8214db69p-3,
    -0x1.812746b037a25p-2,
    0x1.ce2f21a0458d9p-4,
    -0x1.b82ce31354d83p-6,
    0x1.565bcd2c6507ap-8,
    -0x1.c02db93391767p-11,
    0x1.f9a3b96343ae4p-14,
    -0x1.f4dcf2c14afe5p-17,
    0x1.ba692975c03a0p-20,
    -0x1.6391901f84e75p-23,
    0x1.132578751ad40p-26,
    -0x1.c4db45f92a976p-30,
    0x1.3bd276ecd1a33p-33,
};

/* exp(x^2) erfc(x) in 1 / (x + 2), 1 <= x <= 4, relative to erf(x): 2^-33.3 */
static const double erf_far_f32[] = {
    0x1.dc93700000000p-10,
    0x1.09f9220000000p-1,
    0x1.9630360000000p+0,
    -0x1.0716e60000000p-1,
    0x1.45e1240000000p+3,
    -0x1.d88b5a0000000p+2,
};

/* exp(x^2) erfc(x) in 1 / (x + 2), 1 <= x <= 6, relative to erf(x): 2^-62.8 */
static const double erf_far_f64[] = {
    -0x1.ebe37154a6fb1p-18,
    0x1.21112f3bd3650p-1,
    0x1.1e5b29f34d16dp+0,
    0x1.0fc4da34d8350p+1,
    0x1.4a53392dd4860p+0,
    0x1.bf49a25c2f10bp+3,
    -0x1.ebb9bec8f7981p+5,
    0x1.d9ddefbacc4bfp+7,
    -0x1.68bea666adb25p+9,
    0x1.64f3cff7a93c2p+10,
    -0x1.c008f66e638f7p+10,
    0x1.5b5cce7eefccdp+10,
    -0x1.2e423b1857a3ep+9,
    0x1.ba00723fc9f77p+6,
};

#endif
