/* svg.h: a picture of waveforms, panels one below the other. C99, libc only. */
#ifndef SVG_H
#define SVG_H

#include <stdio.h>

typedef struct SvgLine {
    const float *data; /* the samples of the whole sound */
    const char *name;  /* for the legend */
    const char *colour;
    double width; /* of the stroke, in pixels */
} SvgLine;

/* Starts a picture of `panels` panels. */
void svg_open(FILE *f, int panels, const char *title);

/* Draws panel `index` (from 0): samples first .. first + count of every line, against time in
 * seconds, or milliseconds when the panel is short; `unit` is that of the samples. */
void svg_panel(FILE *f, int index, const char *title, const char *unit, const SvgLine *lines,
               int line_count, long first, long count, double rate);

void svg_close(FILE *f);

#endif
