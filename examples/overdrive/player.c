/*
 * player.c: plays a sound through a compiled model of an amplifier, one sample in, one out.
 *
 *     player IN.wav WEIGHTS.safetensors OUT.wav PICTURE.svg
 *            [--level=V] [--unit=volt] [--rate=HZ] [--title=TEXT]
 *            [--against=TEXT=SIGNAL.npy ...] [--target-sound=TARGET.wav]
 *
 * Full scale of IN.wav is `level` (default 0.5, the volts that circuit.c takes), in `unit`s.
 * IN may also be a [T, 1] .npy, taken as it is, at --rate. Each --against is a signal that the
 * output should be; TEXT names it in the report. The first is drawn beside the output, and written
 * as TARGET.wav, equally loud. Prints the errors and the real-time factor.
 *
 * Compile with the generated .c, wav.c, svg.c and the files of runtime/, and for another model
 * than the overdrive with -DMODEL=klon -DMODEL_CAPITALS=KLON -DMODEL_HEADER='"klon.h"' (the
 * --prefix given to rnnc).
 */
#ifndef MODEL
#define MODEL overdrive
#define MODEL_CAPITALS OVERDRIVE
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
#define M(name) JOIN(MODEL, name)                /* M(_step) is overdrive_step */
#define M_CAPITALS(name) JOIN(MODEL_CAPITALS, name) /* M_CAPITALS(_OK) is OVERDRIVE_OK */

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
    int64_t work_bytes;
} Player;

/* A status of the model other than OK is a defect of this program, so its number is enough. */
static void expect_ok(int32_t status, const char *function) {
    if (status != M_CAPITALS(_OK)) {
        fprintf(stderr, "player: %s returned status %d\n", function, (int)status);
        exit(1);
    }
}

/* Fills the flat parameter array by the model's own table, then packs it. */
static void player_open(Player *p, const char *weights_file, int64_t steps) {
    char error[512];
    RtTensorSet set;
    if (rt_safetensors_read(weights_file, &set, error, sizeof error) != RT_OK) {
        die(error);
    }
    float *params = aligned(M_CAPITALS(_PARAM_COUNT) * sizeof *params);
    for (int k = 0; k < M_CAPITALS(_PARAMS); k++) {
        const RtTensor *t = rt_set_find(&set, M(_params)[k].name);
        int same = t != NULL && t->rank == M(_params)[k].rank;
        for (int d = 0; same && d < t->rank; d++) {
            same = t->shape[d] == M(_params)[k].shape[d];
        }
        if (!same) {
            fprintf(stderr, "player: %s: %s is missing or has another shape\n", weights_file,
                    M(_params)[k].name);
            exit(1);
        }
        rt_tensor_to_f32(t, params + M(_params)[k].offset);
    }
    rt_set_free(&set);
    const int64_t forward = M(_forward_work_bytes)(1, steps), step = M(_step_work_bytes)(1);
    p->weights = aligned(M_CAPITALS(_WEIGHT_BYTES));
    p->state = aligned((size_t)M(_state_bytes)(1));
    p->work_bytes = forward > step ? forward : step;
    p->work = aligned((size_t)p->work_bytes);
    expect_ok(M(_pack)(params, p->weights), "pack");
}

static void player_reset(Player *p) {
    expect_ok(M(_reset)(p->weights, 1, 0, 1, p->state), "reset");
}

/* The whole sound in one call. */
static void player_forward(Player *p, int64_t steps, const float *in, float *out) {
    expect_ok(M(_forward)(p->weights, 1, steps, NULL, in, out, p->work, p->work_bytes), "forward");
}

/* One sample. */
static void player_step(Player *p, const float *in, float *out) {
    expect_ok(M(_step)(p->weights, 1, in, out, p->state, p->work, p->work_bytes), "step");
}

/* ---- End of the generated interface. */

static double seconds(clock_t since) {
    return (double)(clock() - since) / CLOCKS_PER_SEC;
}

/* Seconds of computing for a second of sound: the fastest run of half a second of runs. */
static double real_time(Player *p, int stepwise, long count, const float *in, float *out,
                        double rate) {
    double fastest = HUGE_VAL;
    const clock_t start = clock();
    do {
        const clock_t run = clock();
        if (stepwise) {
            player_reset(p);
            for (long i = 0; i < count; i++) {
                player_step(p, in + i, out + i);
            }
        } else {
            player_forward(p, count, in, out);
        }
        fastest = seconds(run) < fastest ? seconds(run) : fastest;
    } while (seconds(start) < 0.5);
    return fastest / ((double)count / rate);
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
                 const float *out, const float *target, const char *target_name, long count,
                 double rate, long middle) {
    const SvgLine input = {in, "input", "#7a8793", 1.0};
    const SvgLine output = {out, "compiled net", "#c8102e", 1.3};
    const SvgLine close_up[2] = {{target, target_name, "#9ec5e8", 5.0}, output};
    const long span = count < (long)(0.02 * rate) ? count : (long)(0.02 * rate);
    long first = middle - span / 2;
    first = first < 0 ? 0 : first > count - span ? count - span : first;
    FILE *f = fopen(name, "w");
    if (f == NULL) {
        die("the picture cannot be written");
    }
    svg_open(f, 3, title);
    svg_panel(f, 0, "input", unit, &input, 1, 0, count, rate);
    svg_panel(f, 1, "output of the compiled net", unit, &output, 1, 0, count, rate);
    svg_panel(f, 2, "output, the 20 ms around its peak", unit,
              target != NULL ? close_up : &output, target != NULL ? 2 : 1, first, span, rate);
    svg_close(f);
    if (fclose(f) != 0) {
        die("the picture cannot be written");
    }
}

/* One line: sum (out - want)^2 / sum want^2 in percent, and the largest difference. */
static void print_error(const char *name, const char *unit, const float *out, const float *want,
                        long count) {
    double error = 0.0, power = 0.0, worst = 0.0;
    for (long i = 0; i < count; i++) {
        const double d = fabs((double)out[i] - want[i]);
        error += d * d;
        power += (double)want[i] * want[i];
        worst = d <= worst ? worst : d; /* a NaN stays */
    }
    printf("  against %-23s %.2g %% error to signal; difference at most %.2g %s\n", name,
           100.0 * error / power, worst, unit);
}

static void print_speed(const char *name, double factor, double rate) {
    printf("  %-31s %-7.5f of real time (%.0f times faster); %.0f ns a sample\n", name, factor,
           1.0 / factor, 1e9 * factor / rate);
}

/* TEXT=SIGNAL.npy, cut at the last '=' into a name and the samples. */
static const float *read_against(char *argument, long count) {
    char *cut = strrchr(argument, '=');
    if (cut == NULL) {
        die("--against wants TEXT=SIGNAL.npy");
    }
    *cut = '\0';
    return read_signal(cut + 1, &count);
}

enum { MOST_AGAINST = 4 };

int main(int argc, char **argv) {
    char *against_text[MOST_AGAINST];
    const float *against[MOST_AGAINST];
    const char *title = "A compiled overdrive", *unit = "volt", *target_sound = NULL;
    double level = 0.5, rate = 0.0;
    long count = 0, where = 0;
    int against_count = 0;
    for (int i = 5; i < argc; i++) {
        if (strncmp(argv[i], "--level=", 8) == 0) {
            level = atof(argv[i] + 8);
        } else if (strncmp(argv[i], "--unit=", 7) == 0) {
            unit = argv[i] + 7;
        } else if (strncmp(argv[i], "--rate=", 7) == 0) {
            rate = atof(argv[i] + 7);
        } else if (strncmp(argv[i], "--title=", 8) == 0) {
            title = argv[i] + 8;
        } else if (strncmp(argv[i], "--target-sound=", 15) == 0) {
            target_sound = argv[i] + 15;
        } else if (strncmp(argv[i], "--against=", 10) == 0 && against_count < MOST_AGAINST) {
            against_text[against_count++] = argv[i] + 10;
        } else {
            argc = 0;
        }
    }
    if (argc < 5) {
        fprintf(stderr, "usage: player IN.wav WEIGHTS.safetensors OUT.wav PICTURE.svg [--level=V] "
                        "[--unit=volt] [--rate=HZ] [--title=TEXT] [--against=TEXT=SIGNAL.npy ...] "
                        "[--target-sound=TARGET.wav]\n");
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
    for (int k = 0; k < against_count; k++) {
        against[k] = read_against(against_text[k], count);
    }
    float *out = aligned((size_t)count * sizeof *out);
    float *stepped = aligned((size_t)count * sizeof *stepped);
    Player p;
    player_open(&p, argv[2], count);
    const double whole = real_time(&p, 0, count, in, out, rate);
    const double stepwise = real_time(&p, 1, count, in, stepped, rate);
    const int same = memcmp(out, stepped, (size_t)count * sizeof *out) == 0;

    for (int k = 0; k < against_count; k++) {
        print_error(against_text[k], unit, out, against[k], count);
    }
    print_speed("time, the whole in one call", whole, rate);
    print_speed("time, one sample a call", stepwise, rate);
    printf("  %-31s %s\n", "both give the same bits", same ? "yes" : "NO");

    const double peak = peak_of(out, count, &where);
    const double full = peak > 0.0 ? peak / 0.9 : 1.0;
    draw(argv[4], title, unit, in, out, against_count > 0 ? against[0] : NULL,
         against_count > 0 ? against_text[0] : NULL, count, rate, where);
    int written = wav_write(argv[3], out, full, count, rate);
    if (target_sound != NULL && against_count > 0) {
        written |= wav_write(target_sound, against[0], full, count, rate);
    }
    return same && written == 0 ? 0 : 1;
}
