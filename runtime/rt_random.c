/* rt_random.c - random numbers as a function of their place: Philox4x32-10 over (seed, site, batch,
 * positions, element), as rnn_rt.h defines it. No state, so no schedule can change a draw. */
#include "rt_internal.h"

#include <math.h>

void rt_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t const left = (uint64_t)0xD2511F53u * c0, right = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(right >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)right;
        c2 = (uint32_t)(left >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)left;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

static uint64_t hash_more(uint64_t hash, const char *text) {
    for (; *text != 0; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return hash;
}

uint64_t rt_hash_name(const char *name) { return hash_more(0xcbf29ce484222325u, name); }

uint64_t rt_draw_site(const char *name, unsigned number) {
    char suffix[16];
    snprintf(suffix, sizeof suffix, "#%u", number);
    return hash_more(rt_hash_name(name), suffix);
}

static uint32_t lo(uint64_t value) { return (uint32_t)value; }

static uint32_t hi(uint64_t value) { return (uint32_t)(value >> 32); }

/* The key becomes words 0 and 1 of P(counter, key). */
static void absorb(uint32_t key[2], uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
    uint32_t const counter[4] = {c0, c1, c2, c3};
    uint32_t words[4];
    rt_philox4x32(counter, key, words);
    key[0] = words[0];
    key[1] = words[1];
}

void rt_random_words(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                     uint64_t element, uint32_t out[4]) {
    uint64_t const p0 = npos > 0 ? (uint64_t)pos[0] : 0, p1 = npos > 1 ? (uint64_t)pos[1] : 0;
    uint32_t key[2] = {lo(seed), hi(seed)};
    absorb(key, lo(site), hi(site), 0, 0);
    for (int i = 2; i < npos; i++) {
        absorb(key, lo((uint64_t)pos[i]), hi((uint64_t)pos[i]), (uint32_t)i, 0);
    }
    if ((hi(element) | hi(p0) | hi(batch) | hi(p1)) != 0) {
        absorb(key, hi(element), hi(p0), hi(batch), hi(p1));
    }
    uint32_t const counter[4] = {lo(element), lo(p0), lo(batch), lo(p1)};
    rt_philox4x32(counter, key, out);
}

double rt_uniform(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                  uint64_t element) {
    uint32_t words[4];
    rt_random_words(seed, site, batch, pos, npos, element, words);
    uint64_t const bits = (uint64_t)words[0] << 21 | words[1] >> 11;
    return (double)bits * 0x1p-53;
}

float rt_uniform24(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                   uint64_t element) {
    uint32_t words[4];
    rt_random_words(seed, site, batch, pos, npos, element, words);
    return (float)(words[0] >> 8) * 0x1p-24f;
}

double rt_normal(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                 uint64_t element) {
    double const two_pi = 6.283185307179586476925286766559;
    uint32_t words[4];
    rt_random_words(seed, site, batch, pos, npos, element, words);
    double const turn = words[1] < 0x80000000u ? (double)words[1] : (double)words[1] - 0x1p32;
    double const radius = sqrt(-2.0 * log(((double)words[0] + 0.5) * 0x1p-32));
    return radius * cos(two_pi * (turn * 0x1p-32));
}
