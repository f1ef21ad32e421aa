/* A model inside of a program: the same file links with emitted C, an object or a library. Memory
 * is the program's; weights, state and workspace are aligned to 64 bytes. */
#include "smooth.h"

#include <stdio.h>
#include <stdlib.h>

/* Never less than one block, and whole blocks, as aligned_alloc asks. */
static void *block(int64_t bytes) {
    void *at = aligned_alloc(64, ((size_t)bytes / 64 + 1) * 64);
    if (!at) exit(3);
    return at;
}

int main(void) {
    const float params[SMOOTH_PARAM_COUNT] = {0.5f, -1.0f};
    const float x[] = {0, 1, 1, 1, -2, 0, 0, 0};
    const int64_t batch = 1;
    int64_t work_bytes = Smooth_step_work_bytes(batch), state_bytes = Smooth_state_bytes(batch);
    void *weights = block(SMOOTH_WEIGHT_BYTES), *state = block(state_bytes),
         *work = block(work_bytes);
    int32_t status = Smooth_pack(params, weights);
    if (status == SMOOTH_OK) status = Smooth_reset(weights, batch, 0, batch, state);
    for (size_t t = 0; status == SMOOTH_OK && t < sizeof x / sizeof *x; t++) {
        float y = 0;
        status = Smooth_step(weights, batch, &x[t], &y, state, work, work_bytes);
        printf("%5.2f -> %9.6f\n", (double)x[t], (double)y);
    }
    free(work);
    free(state);
    free(weights);
    return status;
}
