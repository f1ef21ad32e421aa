/* rt_batch.c - which items come into which minibatch: permutations that are a function of a seed,
 * batches as ranges of them, and windows of a long text that is read as parallel streams. Index
 * arithmetic alone; no state, so a run that resumes asks for the same. */
#include "rt_internal.h"

#include "rt_exact.h"

void rt_permutation(uint64_t seed, const char *name, uint64_t round, size_t n, int64_t *order) {
    uint64_t const site = rt_hash_name(name);
    int64_t const position = (int64_t)(round & INT64_MAX);
    for (size_t i = 0; i < n; i++) order[i] = (int64_t)i;
    for (size_t i = n; i > 1; i--) {
        uint32_t words[4];
        rt_random_words(seed, site, 0, &position, 1, i - 1, words);
        size_t const other = (size_t)(((uint64_t)words[0] << 32 | words[1]) % i);
        int64_t const moved = order[i - 1];
        order[i - 1] = order[other];
        order[other] = moved;
    }
}

size_t rt_split_count(size_t n, double share) {
    if (n < 2 || !(share > 0)) return 0;
    if (share >= 1) return n - 1;
    size_t const count = (size_t)((double)n * share + 0.5);
    return count < 1 ? 1 : count > n - 1 ? n - 1 : count;
}

size_t rt_batch_count(size_t items, size_t size, bool drop_last) {
    if (size == 0) return 0;
    return items / size + (!drop_last && items % size > 0);
}

RtRange rt_batch_at(size_t items, size_t size, size_t batch) {
    RtRange range = {items, items};
    if (size == 0 || batch > items / size) return range;
    range.begin = batch * size;
    if (items - range.begin > size) range.end = range.begin + size;
    return range;
}

/* The tokens of one stream that have one behind them. */
static size_t stream_length(size_t tokens, size_t batch) {
    return tokens == 0 || batch == 0 ? 0 : (tokens - 1) / batch;
}

size_t rt_text_windows(size_t tokens, size_t batch, size_t steps) {
    return rt_batch_count(stream_length(tokens, batch), steps, false);
}

RtRange rt_text_window(size_t tokens, size_t batch, size_t steps, size_t window, size_t sequence) {
    size_t const length = stream_length(tokens, batch), offset = sequence * length;
    RtRange const within = rt_batch_at(length, steps, window);
    return (RtRange){offset + within.begin, offset + within.end};
}
