/*
 * player.c: plays a sound through a compiled model of an amplifier, one sample in, one out.
 *
 *     player IN.wav WEIGHTS.safetensors OUT.wav PICTURE.svg
 *            [--level=V] [--unit=volt] [--rate=HZ] [--target=T.npy]
 *            [--reference=R.npy] [--title=TEXT]
 *
 * Full scale of IN.wav is `level` (default 0.5, the volts that circuit.c takes), in `unit`s.
 * --target is what the real thing answers, --reference what `rnnc run --backend=interp` computes,
 * both [T, 1]. IN may also be such a .npy, taken as it is, at --rate.
 * Prints the errors and the real-time factor; OUT.wav is scaled to just below full scale.
 *
 * Compile with the generated .c, wav.c, svg.c and the files of runtime/, and for another model
 * than the overdrive with -DMODEL=klon -DMODEL_HEADER='"klon.h"' (the --prefix given to rnnc).
 */
#ifndef MODEL
#define MODEL overdrive
#define MODEL_HEADER "overdrive.h"
#endif
#include MODEL_HEADER
#include "rnn_rt.h"
#include "svg.h"
#include "wav.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOIN2(a, b) a##b
#define JOIN(a, b) JOIN2(a, b)
#define M(name) JOIN(MODEL, name) /* M(_step) is overdrive_step */

static void die(const char *what) {
    fprintf(stderr, "player: %s\n", what);
    exit(1);
}

/* Memory aligned as packed weights, state and workspace want it; the system frees it at the end. */
static void *aligned(size_t bytes) {
    char *raw = malloc(bytes + 64);
    if (raw == NULL) {
        die("no memory left");
    }
    return raw + (64 - (uintptr_t)raw % 64);
}

/* ---- The generated interface: everything that the model's header declares is used here alone. */

typedef struct Player {
    void *weights, *state, *work;
    size_t work_bytes;
} Player;

/* Fills the flat parameter array by the model's own table, then packs it. */
static void player_open(Player *p, const char *weights_file, int64_t steps) {
    char error[512];
    RtTensorSet set;
    if (rt_safetensors_read(weights_file, &set, error, sizeof error) != RT_OK) {
        die(error);
    }
    float *params = aligned(M(_param_count)() * sizeof *params);
    for (int k = 0; k < M(_param_table_count); k++) {
        const RtTensor *t = rt_set_find(&set, M(_param_table)[k].name);
        int same = t != NULL && t->rank == M(_param_table)[k].rank;
        for (int d = 0; same && d < t->rank; d++) {
            same = t->shape[d] == M(_param_table)[k].shape[d];
        }
        if (!same) {
            fprintf(stderr, "player: %s: %s is missing or has another shape\n", weights_file,
                    M(_param_table)[k].name);
            exit(1);
        }
        rt_tensor_to_f32(t, params + M(_param_table)[k].offset);
    }
    rt_set_free(&set);
    const size_t forward = M(_forward_work_bytes)(1, steps), step = M(_step_work_bytes)(1);
    p->weights = aligned(M(_weight_bytes)());
    p->state = aligned(M(_state_bytes)(1));
    p->work_bytes = forward > step ? forward : step;
    p->work = aligned(p->work_bytes);
    if (M(_pack)(params, p->weights) != 0) {
        die("packing the weights failed");
    }
}

static void player_reset(Player *p) {
    if (M(_reset)(p->weights, p->state, 1, 0, 1) != 0) {
        die("reset failed");
    }
}

/* The whole sound in one call. */
static void player_forward(Player *p, int64_t steps, const float *in, float *out) {
    if (M(_forward)(p->weights, 1, steps, NULL, in, out, p->work, p->work_bytes) != 0) {
        die("forward failed");
    }
}

/* One sample. */
static void player_step(Player *p, const float *in, float *out) {
    if (M(_step)(p->weights, 1, in, out, p->state, p->work, p->work_bytes) != 0) {
        die("step failed");
    }
}

/* ---- End of the generated interface. */

static double seconds(clock_t since) {
    return (double)(clock() - since) / CLOCKS_PER_SEC;
}

/* Repeats until the clock can be trusted; returns seconds of computing a second of sound. */
static double real_time(Player *p, int stepwise, long count, const float *in, float *out,
                        double rate) {
    long runs = 0;
    const clock_t start = clock();
    do {
        if (stepwise) {
            player_reset(p);
            for (long i = 0; i < count; i++) {
                player_step(p, in + i, out + i);
            }
        } else {
            player_forward(p, count, in, out);
        }
        runs++;
    } while (seconds(start) < 0.5);
    return seconds(start) / (double)runs / ((double)count / rate);
}

/* A [T, 1] or [T] .npy of *count samples, or of any number if that is 0. */
static float *read_signal(const char *name, long *count) {
    char error[512];
    RtTensor t;
    if (rt_npy_read(name, &t, error, sizeof error) != RT_OK) {
        die(error);
    }
    if (*count != 0 && t.count != (size_t)*count) {
        fprintf(stderr, "player: %s has %zu samples, not %ld\n", name, t.count, *count);
        exit(1);
    }
    *count = (long)t.count;
    float *out = aligned(t.count * sizeof *out);
    rt_tensor_to_f32(&t, out);
    rt_tensor_free(&t);
    return out;
}

static double peak_of(const float *v, long count, long *where) {
    double peak = 0.0;
    for (long i = 0; i < count; i++) {
        if (fabs((double)v[i]) > peak) {
            peak = fabs((double)v[i]);
            *where = i;
        }
    }
    return peak;
}

static void draw(const char *name, const char *title, const char *unit, const float *in,
                 const float *out, const float *target, long count, double rate, long middle) {
    const SvgLine input = {in, "input", "#3465a4"};
    const SvgLine both[2] = {{out, "compiled net", "#cc0000"}, {target, "target", "#555753"}};
    const SvgLine close_up[2] = {both[1], both[0]}; /* the net on top */
    const long span = count < (long)(0.02 * rate) ? count : (long)(0.02 * rate);
    long first = middle - span / 2;
    first = first < 0 ? 0 : first > count - span ? count - span : first;
    FILE *f = fopen(name, "w");
    if (f == NULL) {
        die("the picture cannot be written");
    }
    svg_open(f, 3, title);
    svg_panel(f, 0, "input", unit, &input, 1, 0, count, rate);
    svg_panel(f, 1, "output of the compiled net", unit, both, 1, 0, count, rate);
    if (target != NULL) {
        svg_panel(f, 2, "output, 20 ms", unit, close_up, 2, first, span, rate);
    } else {
        svg_panel(f, 2, "output, 20 ms", unit, both, 1, first, span, rate);
    }
    svg_close(f);
    if (fclose(f) != 0) {
        die("the picture cannot be written");
    }
}

static void print_errors(const float *out, const float *target, const float *reference,
                         long count) {
    double error = 0.0, power = 0.0, worst = 0.0;
    for (long i = 0; i < count && target != NULL; i++) {
        error += ((double)out[i] - target[i]) * ((double)out[i] - target[i]);
        power += (double)target[i] * target[i];
    }
    for (long i = 0; i < count && reference != NULL; i++) {
        const double d = fabs((double)out[i] - reference[i]);
        worst = d <= worst ? worst : d; /* a NaN stays */
    }
    if (target != NULL) {
        printf("error to signal, against the target:         %.3f %%\n", 100.0 * error / power);
    }
    if (reference != NULL) {
        printf("largest difference from the interpreter:     %.1e\n", worst);
    }
}

int main(int argc, char **argv) {
    const char *target_file = NULL, *reference_file = NULL, *title = "A compiled overdrive";
    const char *unit = "volt";
    double level = 0.5, rate = 0.0;
    long count = 0, where = 0;
    for (int i = 5; i < argc; i++) {
        if (strncmp(argv[i], "--level=", 8) == 0) {
            level = atof(argv[i] + 8);
        } else if (strncmp(argv[i], "--unit=", 7) == 0) {
            unit = argv[i] + 7;
        } else if (strncmp(argv[i], "--rate=", 7) == 0) {
            rate = atof(argv[i] + 7);
        } else if (strncmp(argv[i], "--target=", 9) == 0) {
            target_file = argv[i] + 9;
        } else if (strncmp(argv[i], "--reference=", 12) == 0) {
            reference_file = argv[i] + 12;
        } else if (strncmp(argv[i], "--title=", 8) == 0) {
            title = argv[i] + 8;
        } else {
            argc = 0;
        }
    }
    if (argc < 5) {
        fprintf(stderr, "usage: player IN.wav WEIGHTS.safetensors OUT.wav PICTURE.svg [--level=V] "
                        "[--unit=volt] [--rate=HZ] [--target=T.npy] [--reference=R.npy] "
                        "[--title=TEXT]\n");
        return 2;
    }
    const size_t length = strlen(argv[1]);
    const int npy = length > 4 && strcmp(argv[1] + length - 4, ".npy") == 0;
    const float *in = npy ? read_signal(argv[1], &count) : wav_read(argv[1], level, &count, &rate);
    if (in == NULL) {
        return 1;
    }
    if (!(rate > 0.0) || count < 1) {
        die("the sound has no samples or no rate (--rate=HZ with a .npy)");
    }
    float *out = aligned((size_t)count * sizeof *out);
    float *stepped = aligned((size_t)count * sizeof *stepped);
    const float *target = target_file != NULL ? read_signal(target_file, &count) : NULL;
    const float *reference = reference_file != NULL ? read_signal(reference_file, &count) : NULL;
    Player p;
    player_open(&p, argv[2], count);
    const double whole = real_time(&p, 0, count, in, out, rate);
    const double stepwise = real_time(&p, 1, count, in, stepped, rate);
    const int same = memcmp(out, stepped, (size_t)count * sizeof *out) == 0;

    printf("%ld samples at %g Hz (%.2f s)\n", count, rate, (double)count / rate);
    print_errors(out, target, reference, count);
    printf("real-time factor, whole sound in one call:   %.5f (%.0f times faster than it plays)\n",
           whole, 1.0 / whole);
    printf("real-time factor, one sample a call:         %.5f (%.0f times faster than it plays)\n",
           stepwise, 1.0 / stepwise);
    printf("sample by sample gives the same bits:        %s\n", same ? "yes" : "NO");
    const double peak = peak_of(out, count, &where);
    draw(argv[4], title, unit, in, out, target, count, rate, where);
    if (wav_write(argv[3], out, peak > 0.0 ? peak / 0.9 : 1.0, count, rate) != 0) {
        return 1;
    }
    return same ? 0 : 1;
}
