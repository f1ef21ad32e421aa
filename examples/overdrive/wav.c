/* wav.c: see wav.h. The byte order of the machine does not matter. */
#include "wav.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t little(const unsigned char *p, int bytes) {
    uint32_t v = 0;
    for (int i = bytes; i-- > 0;) {
        v = v << 8 | p[i];
    }
    return v;
}

static void put(unsigned char *p, uint32_t v, int bytes) {
    for (int i = 0; i < bytes; i++) {
        p[i] = (unsigned char)(v >> 8 * i & 255);
    }
}

/* Moves to the samples; their bytes, or 0 with a reason. */
static uint32_t find_data(FILE *f, double *rate, const char **why) {
    unsigned char head[12], chunk[8], format[16] = {0};
    *why = "is not a WAV file";
    if (fread(head, 1, 12, f) != 12 || memcmp(head, "RIFF", 4) != 0 ||
        memcmp(head + 8, "WAVE", 4) != 0) {
        return 0;
    }
    while (fread(chunk, 1, 8, f) == 8) {
        uint32_t size = little(chunk + 4, 4);
        if (memcmp(chunk, "data", 4) == 0) {
            const int pcm = little(format, 2) == 1 && little(format + 2, 2) == 1 &&
                            little(format + 14, 2) == 16;
            *why = pcm ? "has no samples" : "is not mono 16-bit PCM";
            *rate = little(format + 4, 4);
            return pcm ? size : 0;
        }
        if (memcmp(chunk, "fmt ", 4) == 0 && size >= sizeof format) {
            if (fread(format, 1, sizeof format, f) != sizeof format) {
                break;
            }
            size -= (uint32_t)sizeof format;
        }
        if (fseek(f, (long)(size + size % 2), SEEK_CUR) != 0) {
            break;
        }
    }
    *why = "ends before its samples";
    return 0;
}

float *wav_read(const char *name, double level, long *count, double *rate) {
    const char *why = "cannot be opened";
    float *samples = NULL;
    unsigned char *raw = NULL;
    FILE *f = fopen(name, "rb");
    const uint32_t size = f != NULL ? find_data(f, rate, &why) : 0;
    if (size > 0) {
        why = "does not fit into memory";
        raw = malloc(size);
        samples = malloc(sizeof *samples * (size / 2 + 1));
    }
    if (raw != NULL && samples != NULL) {
        *count = (long)(fread(raw, 1, size, f) / 2);
        for (long i = 0; i < *count; i++) {
            const int v = (int)little(raw + 2 * i, 2);
            samples[i] = (float)(level / 32768.0 * (v < 32768 ? v : v - 65536));
        }
    } else {
        fprintf(stderr, "%s: %s\n", name, why);
        free(samples);
        samples = NULL;
    }
    free(raw);
    if (f != NULL) {
        fclose(f);
    }
    return samples;
}

int wav_write(const char *name, const float *samples, double level, long count, double rate) {
    unsigned char head[44] = "RIFF....WAVEfmt ";
    const uint32_t bytes = (uint32_t)(2 * count), hertz = (uint32_t)rate;
    put(head + 4, 36 + bytes, 4);
    put(head + 16, 16, 4);
    put(head + 20, 1, 2); /* PCM */
    put(head + 22, 1, 2); /* channels */
    put(head + 24, hertz, 4);
    put(head + 28, 2 * hertz, 4);
    put(head + 32, 2, 2);
    put(head + 34, 16, 2);
    memcpy(head + 36, "data", 4);
    put(head + 40, bytes, 4);
    FILE *f = fopen(name, "wb");
    int good = f != NULL && fwrite(head, 1, sizeof head, f) == sizeof head;
    for (long i = 0; good && i < count; i++) {
        unsigned char two[2];
        const double v = floor(samples[i] / level * 32767.0 + 0.5);
        put(two, (uint32_t)(int32_t)(v > 32767.0 ? 32767.0 : v < -32768.0 ? -32768.0 : v), 2);
        good = fwrite(two, 1, 2, f) == 2;
    }
    if (f != NULL && fclose(f) != 0) {
        good = 0;
    }
    if (!good) {
        fprintf(stderr, "%s: cannot be written\n", name);
    }
    return good ? 0 : -1;
}
