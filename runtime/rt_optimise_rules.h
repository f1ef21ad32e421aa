/* rt_optimise_rules.h - the rules of the optimisers for one type of number, REAL; included by
 * rt_optimise.c once for each. Factors are computed in double and rounded to REAL once, the rest is
 * arithmetic in REAL, every operation rounded. */

static void NAME(sgd)(const RtOptimiser *o, size_t begin, size_t end, const REAL *grads,
                      REAL *params, REAL *momentum) {
    REAL const rate = (REAL)o->learning_rate, shrink = (REAL)o->weight_decay;
    REAL const keep = (REAL)o->momentum;
    for (size_t i = begin; i < end; i++) {
        REAL g = grads[i] + shrink * params[i];
        if (momentum != NULL) {
            momentum[i] = keep * momentum[i] + g;
            g = o->nesterov ? g + keep * momentum[i] : momentum[i];
        }
        params[i] -= rate * g;
    }
}

static void NAME(rmsprop)(const RtOptimiser *o, size_t begin, size_t end, const REAL *grads,
                          REAL *params, REAL *square, REAL *average, REAL *momentum) {
    REAL const rate = (REAL)o->learning_rate, shrink = (REAL)o->weight_decay;
    REAL const keep = (REAL)o->decay, take = (REAL)(1 - o->decay);
    REAL const push = (REAL)o->momentum, epsilon = (REAL)o->epsilon;
    for (size_t i = begin; i < end; i++) {
        REAL const g = grads[i] + shrink * params[i];
        square[i] = keep * square[i] + take * g * g;
        REAL spread = square[i];
        if (average != NULL) {
            average[i] = keep * average[i] + take * g;
            spread -= average[i] * average[i];
            /* The variance is not negative; its rounding may be. */
            if (spread < 0) spread = 0;
        }
        REAL change = g / (SQRT(spread) + epsilon);
        if (momentum != NULL) {
            momentum[i] = push * momentum[i] + change;
            change = momentum[i];
        }
        params[i] -= rate * change;
    }
}

static void NAME(adam)(const RtOptimiser *o, uint64_t step, size_t begin, size_t end,
                       const REAL *grads, REAL *params, REAL *first, REAL *second) {
    bool const decoupled = o->kind == RT_ADAMW;
    REAL const keep = (REAL)(decoupled ? 1 - o->learning_rate * o->weight_decay : 1);
    REAL const shrink = (REAL)(decoupled ? 0 : o->weight_decay);
    REAL const keep1 = (REAL)o->beta1, take1 = (REAL)(1 - o->beta1);
    REAL const keep2 = (REAL)o->beta2, take2 = (REAL)(1 - o->beta2);
    REAL const rate = (REAL)(o->learning_rate / (1 - power(o->beta1, step)));
    REAL const scale = (REAL)(1 / sqrt(1 - power(o->beta2, step)));
    REAL const epsilon = (REAL)o->epsilon;
    for (size_t i = begin; i < end; i++) {
        REAL const p = keep * params[i], g = grads[i] + shrink * params[i];
        first[i] = keep1 * first[i] + take1 * g;
        second[i] = keep2 * second[i] + take2 * g * g;
        params[i] = p - rate * first[i] / (SQRT(second[i]) * scale + epsilon);
    }
}

static void NAME(apply)(const RtOptimiser *o, uint64_t step, size_t n, RtRange range,
                        const REAL *grads, REAL *params, REAL *state) {
    REAL *next = state;
    switch (o->kind) {
    case RT_SGD:
        NAME(sgd)(o, range.begin, range.end, grads, params, o->momentum > 0 ? state : NULL);
        break;
    case RT_RMSPROP: {
        REAL *average = o->centred ? next += n : NULL;
        REAL *momentum = o->momentum > 0 ? next += n : NULL;
        NAME(rmsprop)(o, range.begin, range.end, grads, params, state, average, momentum);
        break;
    }
    case RT_ADAM:
    case RT_ADAMW:
        NAME(adam)(o, step, range.begin, range.end, grads, params, state, state + n);
        break;
    }
}

RtStatus NAME(rt_optimise)(const RtOptimiser *optimiser, uint64_t step, size_t n,
                           const RtRange *ranges, size_t range_count, const REAL *grads,
                           REAL *params, REAL *state, char *error, size_t error_size) {
    RtStatus const status = check_call(optimiser, step, n, ranges, range_count, grads, params,
                                       state, error, error_size);
    RtRange const all = {0, n};
    if (status != RT_OK || n == 0) return status;
    if (ranges == NULL) {
        ranges = &all;
        range_count = 1;
    }
    for (size_t i = 0; i < range_count; i++) {
        NAME(apply)(optimiser, step, n, ranges[i], grads, params, state);
    }
    return RT_OK;
}
