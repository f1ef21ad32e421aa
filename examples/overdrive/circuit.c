/*
 * circuit.c: a diode-clipper overdrive, simulated from its circuit equations.
 *
 * This is the gain stage of the well-known green overdrive pedals followed by their fixed tone
 * filter: the non-inverting op-amp stage with two antiparallel diodes in the feedback, as analysed
 * by D. T. Yeh, J. Abel and J. O. Smith, "Simplified, physically-informed models of distortion and
 * overdrive guitar effects pedals", DAFx 2007, section 3. The op-amp is ideal and does not clip.
 *
 *     circuit IN.wav IN.npy OUT.npy [--level=V] [--drive=0..1]
 *
 * reads a mono 16-bit WAV of any rate and writes what went in and what came out, both [T, 1]
 * float32. Full scale of the file is `level` volts (default 0.5); the output is in volts too: the
 * diodes hold it within about one volt. With wav.c; only libc and libm.
 */
#include "wav.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The gain stage. Names as in the schematic that the paper prints. */
static const double R4 = 4.7e3;        /* ohm, from the inverting input to ... */
static const double C3 = 47e-9;        /* farad, ... ground: high-pass at 720 Hz */
static const double R6 = 51e3;         /* ohm, the fixed part of the feedback */
static const double DRIVE_POT = 500e3; /* ohm, the drive control in series with R6 */
static const double C4 = 51e-12;       /* farad, across the feedback */

/* The two diodes, 1N914, Shockley's law I = IS (exp(V / (n VT)) - 1) each. */
static const double DIODE_IS = 2.52e-9; /* ampere */
static const double DIODE_NVT = 45.3e-3; /* volt: ideality 1.752 times 25.85 mV at 300 K */

/* The tone filter behind it, control at the middle: 1 kohm into 0.22 uF, a low-pass at 723 Hz. */
static const double R7 = 1e3;
static const double C5 = 0.22e-6;
static const double TONE_MIX = 0.5; /* share of the unfiltered signal that the control lets by */

enum { OVERSAMPLING = 8, TAPS_PER_PHASE = 16, TAPS = OVERSAMPLING * TAPS_PER_PHASE };

typedef struct {
    double h;      /* seconds, one step of the oversampled simulation */
    double rf;     /* ohm, the whole feedback resistance */
    double vc3;    /* volt across C3 */
    double ic3;    /* ampere through it, last step */
    double v;      /* volt across the diodes (the feedback voltage) */
    double iv;     /* ampere into C4, last step */
    double vc5;    /* volt across C5 */
    double dvc5;   /* its derivative, last step */
    int newton;    /* most iterations that a step has needed */
} Circuit;

static void die(const char *what, const char *name) {
    fprintf(stderr, "circuit: %s: %s\n", name, what);
    exit(1);
}

static void circuit_init(Circuit *c, double rate, double drive) {
    memset(c, 0, sizeof *c);
    c->h = 1.0 / rate;
    c->rf = R6 + drive * DRIVE_POT;
}

/*
 * One oversampled step by the trapezoidal rule. The ideal op-amp holds its inverting input at vin,
 * so the current through R4 and C3 is that of the feedback:
 *     i = (vin - vc3) / R4,   C3 vc3' = i
 *     C4 v' = i - v / rf - 2 IS sinh(v / nVT)
 * and the stage gives vin + v. The first equation is linear; the second is solved by Newton's
 * method with steps damped to a few nVT, which converges from any start because the residual is
 * monotone in v.
 */
static double circuit_step(Circuit *c, double vin) {
    const double k = c->h / 2.0;
    const double vc3 = (c->vc3 + k / C3 * (c->ic3 + vin / R4)) / (1.0 + k / (C3 * R4));
    const double i = (vin - vc3) / R4;
    c->vc3 = vc3;
    c->ic3 = i;

    const double known = c->v + k / C4 * c->iv;
    double v = c->v;
    int n = 0;
    for (; n < 100; n++) {
        const double e = exp(v / DIODE_NVT), inverse = 1.0 / e;
        const double current = i - v / c->rf - DIODE_IS * (e - inverse);
        const double slope = -1.0 / c->rf - DIODE_IS / DIODE_NVT * (e + inverse);
        const double residual = v - known - k / C4 * current;
        double step = residual / (1.0 - k / C4 * slope);
        if (fabs(step) > 4.0 * DIODE_NVT) {
            step = copysign(4.0 * DIODE_NVT, step);
        }
        v -= step;
        if (fabs(step) < 1e-10) {
            break;
        }
    }
    c->newton = n > c->newton ? n : c->newton;
    const double e = exp(v / DIODE_NVT);
    c->v = v;
    c->iv = i - v / c->rf - DIODE_IS * (e - 1.0 / e);

    const double stage = vin + v;
    const double rc = R7 * C5;
    const double vc5 = (c->vc5 + k * (c->dvc5 + stage / rc)) / (1.0 + k / rc);
    c->dvc5 = (stage - vc5) / rc;
    c->vc5 = vc5;
    return TONE_MIX * stage + (1.0 - TONE_MIX) * vc5;
}

/* A low-pass below the old Nyquist frequency (windowed sinc, Blackman), unit gain at 0 Hz. */
static void lowpass(double taps[TAPS]) {
    const double pi = 3.14159265358979323846, cut = 0.45 / OVERSAMPLING;
    double total = 0.0;
    for (int n = 0; n < TAPS; n++) {
        const double x = n - (TAPS - 1) / 2.0;
        const double window = 0.42 - 0.5 * cos(2.0 * pi * (n + 0.5) / TAPS) +
                              0.08 * cos(4.0 * pi * (n + 0.5) / TAPS);
        taps[n] = window * sin(2.0 * pi * cut * x) / (pi * x);
        total += taps[n];
    }
    for (int n = 0; n < TAPS; n++) {
        taps[n] /= total;
    }
}

/*
 * Simulates `count` samples. Up and down go through the same linear-phase filter; the output of
 * step t leaves after its last phase, so the two delay it by TAPS - OVERSAMPLING fine steps, a
 * whole number of samples, which is taken back: output and input are aligned.
 */
static void simulate(const float *in, float *out, long count, double rate, double drive) {
    const long ahead = TAPS_PER_PHASE - 1;
    double taps[TAPS], high[TAPS] = {0};
    Circuit c;
    int at = 0;
    lowpass(taps);
    circuit_init(&c, rate * OVERSAMPLING, drive);
    for (long t = 0; t < count + ahead; t++) {
        double sum = 0.0;
        for (int phase = 0; phase < OVERSAMPLING; phase++) {
            double v = 0.0;
            for (int k = 0; k < TAPS_PER_PHASE; k++) {
                const long from = t - k;
                v += from >= 0 && from < count ? taps[phase + k * OVERSAMPLING] * in[from] : 0.0;
            }
            high[at] = circuit_step(&c, OVERSAMPLING * v);
            at = (at + 1) % TAPS;
        }
        for (int k = 0; k < TAPS; k++) {
            sum += taps[k] * high[(at + k) % TAPS];
        }
        if (t >= ahead) {
            out[t - ahead] = (float)sum;
        }
    }
    fprintf(stderr, "circuit: %ld samples at %g Hz, at most %d Newton steps\n", count, rate,
            c.newton);
}

/* Writes [count, 1] float32; little-endian machines only. */
static void write_npy(const char *name, const float *data, long count) {
    char head[128];
    int used = snprintf(head + 10, sizeof head - 10,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (%ld, 1), }", count);
    memset(head + 10 + used, ' ', sizeof head - 10 - (size_t)used);
    head[127] = '\n';
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    FILE *f = fopen(name, "wb");
    if (f == NULL || fwrite(head, 1, sizeof head, f) != sizeof head ||
        fwrite(data, sizeof *data, (size_t)count, f) != (size_t)count || fclose(f) != 0) {
        die("cannot be written", name);
    }
}

int main(int argc, char **argv) {
    double level = 0.5, drive = 0.5, rate = 0.0;
    long count = 0;
    if (argc < 4) {
        fprintf(stderr, "usage: circuit IN.wav IN.npy OUT.npy [--level=V] [--drive=0..1]\n");
        return 2;
    }
    for (int i = 4; i < argc; i++) {
        if (strncmp(argv[i], "--level=", 8) == 0) {
            level = atof(argv[i] + 8);
        } else if (strncmp(argv[i], "--drive=", 8) == 0) {
            drive = atof(argv[i] + 8);
        } else {
            fprintf(stderr, "circuit: unknown option '%s'\n", argv[i]);
            return 2;
        }
    }
    float *in = wav_read(argv[1], level, &count, &rate);
    if (in == NULL) {
        return 1;
    }
    float *out = malloc((size_t)count * sizeof *out + 1);
    if (out == NULL) {
        die("does not fit into memory", argv[1]);
    }
    simulate(in, out, count, rate, drive);
    write_npy(argv[2], in, count);
    write_npy(argv[3], out, count);
    free(in);
    free(out);
    return 0;
}
