/* svg.c: see svg.h. Long sounds are drawn as the least and greatest sample of each column. */
#include "svg.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 960, HEIGHT = 240, LEFT = 76, RIGHT = 20, TOP = 40, BOTTOM = 50, TITLE = 36 };

static const int PLOT_W = WIDTH - LEFT - RIGHT;
static const int PLOT_H = HEIGHT - TOP - BOTTOM;

void svg_open(FILE *f, int panels, const char *title) {
    const int height = TITLE + panels * HEIGHT;
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
               "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n",
            WIDTH, height, WIDTH, height);
    fprintf(f, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", WIDTH, height);
    fprintf(f, "<text x=\"%d\" y=\"25\" font-size=\"17\" font-weight=\"bold\">%s</text>\n", LEFT,
            title);
}

void svg_close(FILE *f) {
    fprintf(f, "</svg>\n");
}

/* A step of 1, 2 or 5 times a power of ten that cuts `range` in at most `most` parts. */
static double nice_step(double range, int most) {
    const double power = pow(10.0, floor(log10(range / most)));
    const double part = range / most / power;
    return power * (part <= 1.0 ? 1.0 : part <= 2.0 ? 2.0 : part <= 5.0 ? 5.0 : 10.0);
}

static void grid(FILE *f, double top, double peak, double from, double to, const char *unit,
                 const char *time_unit) {
    const double step_y = nice_step(2.0 * peak, 6), step_x = nice_step(to - from, 10);
    fprintf(f, "<g stroke=\"#d8d8d8\" fill=\"none\">\n");
    fprintf(f, "<rect x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%d\" stroke=\"#888\"/>\n",
            LEFT, top, PLOT_W, PLOT_H);
    for (double v = -floor(peak / step_y) * step_y; v <= peak * 1.001; v += step_y) {
        const double y = top + PLOT_H * (0.5 - 0.5 * v / peak);
        fprintf(f, "<path d=\"M%d %.1fh%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\" "
                   "stroke=\"none\" fill=\"black\">%.3g</text>\n",
                LEFT, y, PLOT_W, LEFT - 6, y + 4.5, fabs(v) < step_y / 2.0 ? 0.0 : v);
    }
    for (double v = ceil(from / step_x - 1e-9) * step_x; v <= to; v += step_x) {
        const double x = LEFT + PLOT_W * (v - from) / (to - from);
        fprintf(f, "<path d=\"M%.1f %.1fv%d\"/><text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
                   "stroke=\"none\" fill=\"black\">%.5g</text>\n",
                x, top, PLOT_H, x, top + PLOT_H + 17.0, fabs(v) < step_x / 2.0 ? 0.0 : v);
    }
    fprintf(f, "</g>\n<text x=\"%d\" y=\"%.1f\" text-anchor=\"middle\">time (%s)</text>\n",
            LEFT + PLOT_W / 2, top + PLOT_H + 36.0, time_unit);
    fprintf(f, "<text transform=\"translate(20 %.1f) rotate(-90)\" text-anchor=\"middle\">%s"
               "</text>\n", top + PLOT_H / 2.0, unit);
}

/* The samples as one path; twice the plot's width in samples or more are drawn as an envelope. */
static void wave(FILE *f, const SvgLine *line, double top, double peak, long first, long count) {
    const int envelope = count >= 2 * PLOT_W;
    const long points = envelope ? PLOT_W : count;
    fprintf(f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" "
               "stroke-linejoin=\"round\" d=\"", line->colour, envelope ? 1.0 : line->width);
    for (long p = 0; p < points; p++) {
        const long a = first + p * count / points, b = first + (p + 1) * count / points;
        float low = line->data[a], high = low;
        for (long i = a > first ? a - 1 : a; envelope && i < b; i++) { /* columns join */
            low = line->data[i] < low ? line->data[i] : low;
            high = line->data[i] > high ? line->data[i] : high;
        }
        const double x = LEFT + (double)PLOT_W * (double)p / (double)(points > 1 ? points - 1 : 1);
        const double y0 = top + PLOT_H * (0.5 - 0.5 * high / peak);
        const double y1 = top + PLOT_H * (0.5 - 0.5 * low / peak);
        if (envelope) {
            fprintf(f, "M%.1f %.1fV%.1f", x, y0, y1 + 0.5);
        } else {
            fprintf(f, "%c%.1f %.1f", p == 0 ? 'M' : 'L', x, y0);
        }
    }
    fprintf(f, "\"/>\n");
}

void svg_panel(FILE *f, int index, const char *title, const char *unit, const SvgLine *lines,
               int line_count, long first, long count, double rate) {
    const double top = TITLE + index * HEIGHT + TOP;
    const int short_time = (double)count / rate < 0.5;
    const double scale = short_time ? 1000.0 / rate : 1.0 / rate;
    double peak = 1e-6;
    for (int k = 0; k < line_count; k++) {
        for (long i = first; i < first + count; i++) {
            const double v = fabs((double)lines[k].data[i]);
            peak = v > peak ? v : peak;
        }
    }
    peak *= 1.08;
    grid(f, top, peak, (double)first * scale, (double)(first + count) * scale, unit,
         short_time ? "ms" : "s");
    fprintf(f, "<text x=\"%d\" y=\"%.1f\" font-weight=\"bold\">%s</text>\n", LEFT, top - 10.0,
            title);
    double x = WIDTH - RIGHT;
    for (int k = line_count; k-- > 0 && line_count > 1;) {
        fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>"
                   "<path d=\"M%.1f %.1fh22\" stroke=\"%s\" stroke-width=\"%.1f\"/>\n",
                x - 28.0, top - 10.0, lines[k].name, x - 22.0, top - 14.5, lines[k].colour,
                lines[k].width);
        x -= 56.0 + 7.2 * (double)strlen(lines[k].name); /* about as wide as the text */
    }
    for (int k = 0; k < line_count; k++) {
        wave(f, &lines[k], top, peak, first, count);
    }
}
