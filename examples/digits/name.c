/* name.c: names digits that are drawn with characters, by the net of digits.rnn.
 *
 *     name WEIGHTS.safetensors [--image=X.npy] DRAWING...
 *
 * In a drawing whatever is no space is ink, and two characters are a pixel (they are twice as high
 * as wide). It is fitted into 20 by 20 pixels, and its centre of mass put into the middle of 28 by
 * 28, as the images were that the net has learnt. --image writes the last one for `rnnc run --in
 * x=X.npy`. With digits.c (rnnc digits.rnn --model=ByGRU --prefix=digits -o digits.c) and the
 * runtime.
 */
#include "digits.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rnn_rt.h"

enum { SIDE = DIGITS_X_SIZE, BOX = 20, FINE = 8, LINES = 200, COLUMNS = 400 };

typedef struct {
    float *params;
    void *weights, *work;
    int64_t work_bytes;
} Net;

static void die(const char *name, const char *what) {
    fprintf(stderr, "name: %s: %s\n", name, what);
    exit(1);
}

/* Whole blocks of 64 bytes, at such an address; the system frees them in the end. */
static void *block(size_t bytes) {
    char *at = malloc(bytes + 64);
    if (at == NULL) die("memory", "exhausted");
    return at + (64 - (uintptr_t)at % 64) % 64;
}

static Net open_net(const char *file) {
    Net net;
    RtTensorSet set;
    char error[512];
    net.params = block(DIGITS_PARAM_COUNT * sizeof *net.params);
    net.weights = block(DIGITS_WEIGHT_BYTES);
    net.work_bytes = digits_forward_work_bytes(1, SIDE);
    net.work = block((size_t)net.work_bytes);
    if (rt_safetensors_read(file, &set, error, sizeof error) != RT_OK) die(file, error);
    for (int k = 0; k < DIGITS_PARAMS; k++) {
        const digits_param *param = &digits_params[k];
        const RtTensor *t = rt_set_find(&set, param->name);
        int64_t count = 1;
        for (int d = 0; t != NULL && d < t->rank; d++) count *= t->shape[d];
        if (t == NULL || count != param->count) die(file, param->name);
        rt_tensor_to_f32(t, net.params + param->offset);
    }
    rt_set_free(&set);
    if (digits_pack(net.params, net.weights) != DIGITS_OK) die(file, "cannot be packed");
    return net;
}

/* Ink by character; how many lines. */
static int read_drawing(const char *name, char ink[LINES][COLUMNS]) {
    FILE *file = fopen(name, "r");
    int line = 0, column = 0, c;
    if (file == NULL) die(name, "cannot be opened");
    memset(ink, 0, (size_t)LINES * COLUMNS);
    while ((c = getc(file)) != EOF) {
        if (c == '\n') {
            line++;
            column = 0;
        } else {
            if (line == LINES || column == COLUMNS) die(name, "the drawing is too large");
            ink[line][column++] = c > ' ';
        }
    }
    fclose(file);
    return line < LINES ? line + 1 : LINES;
}

/* The drawing as the net was shown its images, [row][column], 0 to 1. */
static void fit(const char *name, float *image) {
    static char ink[LINES][COLUMNS];
    int lines = read_drawing(name, ink), top = LINES, bottom = -1, left = COLUMNS, right = -1;
    for (int i = 0; i < lines; i++) {
        for (int j = 0; j < COLUMNS; j++) {
            if (!ink[i][j]) continue;
            if (i < top) top = i;
            if (j < left) left = j;
            if (j > right) right = j;
            bottom = i;
        }
    }
    if (bottom < 0) die(name, "nothing is drawn");
    const double height = bottom + 1 - top, width = (right + 1 - left) / 2.0;
    const double scale = BOX / (height > width ? height : width); /* pixels of a line */
    double box[BOX][BOX] = {{0}}, mass = 0, down = 0, across = 0;
    for (int i = 0; i < BOX * FINE; i++) {
        for (int j = 0; j < BOX * FINE; j++) { /* the share of each pixel that is ink */
            const int line = top + (int)((i + 0.5) / FINE / scale);
            const int column = left + (int)((j + 0.5) / FINE / scale * 2);
            if (line <= bottom && column <= right && ink[line][column])
                box[i / FINE][j / FINE] += 1.0 / (FINE * FINE);
        }
    }
    for (int i = 0; i < BOX; i++) {
        for (int j = 0; j < BOX; j++) {
            mass += box[i][j];
            down += box[i][j] * (i + 0.5);
            across += box[i][j] * (j + 0.5);
        }
    }
    const int first_row = (int)floor(SIDE / 2.0 - down / mass + 0.5);
    const int first_column = (int)floor(SIDE / 2.0 - across / mass + 0.5);
    memset(image, 0, SIDE * SIDE * sizeof *image);
    for (int i = 0; i < BOX; i++) {
        for (int j = 0; j < BOX; j++) {
            const int row = first_row + i, column = first_column + j;
            if (row >= 0 && row < SIDE && column >= 0 && column < SIDE)
                image[row * SIDE + column] = (float)box[i][j];
        }
    }
}

/* The most probable digit, and how probable. */
static int most_probable(const float *z, double *share) {
    int best = 0;
    double sum = 0;
    for (int o = 1; o < DIGITS_Z_SIZE; o++) {
        if (z[o] > z[best]) best = o;
    }
    for (int o = 0; o < DIGITS_Z_SIZE; o++) sum += exp((double)z[o] - (double)z[best]);
    *share = 1 / sum;
    return best;
}

int main(int argc, char **argv) {
    float image[SIDE * SIDE], z[DIGITS_Z_SIZE];
    const char *to = NULL;
    char error[512];
    double share;
    if (argc < 3) {
        fprintf(stderr, "usage: name WEIGHTS.safetensors [--image=X.npy] DRAWING...\n");
        return 2;
    }
    static Net net;
    net = open_net(argv[1]);
    for (int k = 2; k < argc; k++) {
        if (strncmp(argv[k], "--image=", 8) == 0) {
            to = argv[k] + 8;
            continue;
        }
        fit(argv[k], image);
        if (digits_forward(net.weights, 1, SIDE, NULL, image, z, net.work, net.work_bytes))
            die(argv[k], "forward refused it");
        int digit = most_probable(z, &share);
        printf("%s: %d (%.1f %%)\n", argv[k], digit, 100 * share);
    }
    const RtTensor tensor = {
        .dtype = RT_F32, .rank = 2, .shape = {SIDE, SIDE}, .count = SIDE * SIDE, .data = image};
    if (to != NULL && rt_npy_write(to, &tensor, error, sizeof error) != RT_OK) die(to, error);
    return 0;
}
