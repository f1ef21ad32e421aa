/* The picture of a training run: the losses of its rounds over the updates, as SVG. */
#include <float.h>
#include <math.h>

#include "train_run.h"

enum { WIDTH = 640, HEIGHT = 360, LEFT = 64, RIGHT = 16, TOP = 40, BOTTOM = 44 };

/* What is shown, from 0 on along x. */
typedef struct Frame {
    double most, low, high;
} Frame;

static double x_of(const Frame *frame, double step) {
    return LEFT + (WIDTH - LEFT - RIGHT) * step / frame->most;
}

static double y_of(const Frame *frame, double loss) {
    return TOP + (HEIGHT - TOP - BOTTOM) * (frame->high - loss) / (frame->high - frame->low);
}

/* The distance of some five marks over a span: 1, 2 or 5 times a power of ten. */
static double distance(double span) {
    double unit = pow(10, floor(log10(span / 5)));
    while (span / unit > 5) unit *= span / (unit * 2) <= 5 ? 2 : span / (unit * 5) <= 5 ? 5 : 10;
    return unit;
}

static void take(Frame *frame, double loss) {
    if (!isfinite(loss)) return;
    frame->low = fmin(frame->low, loss);
    frame->high = fmax(frame->high, loss);
}

static void put_marks(const Frame *frame, Text *out) {
    double step = distance(frame->high - frame->low);
    for (double y = ceil(frame->low / step) * step; y <= frame->high; y += step) {
        double at = y_of(frame, y);
        double shown = fabs(y) < step / 2 ? 0 : y;
        text_printf(out,
                    "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n"
                    "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
                    LEFT, at, WIDTH - RIGHT, LEFT - 8, at + 4, shown);
    }
    step = fmax(1, distance(frame->most));
    for (double x = 0; x <= frame->most; x += step)
        text_printf(out,
                    "<path d=\"M%.1f %dv4\" stroke=\"#888\"/>\n"
                    "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.0f</text>\n",
                    x_of(frame, x), HEIGHT - BOTTOM, x_of(frame, x), HEIGHT - BOTTOM + 18, x);
}

/* One line; interrupted where there is no number. */
static void put_line(const TrainRun *run, const Frame *frame, bool valid, const char *color,
                     Text *out) {
    bool pen = false;
    text_puts(out, "<path d=\"");
    for (int i = 0; i < run->rounds.count; i++) {
        const TrainRound *round = &run->rounds.at[i];
        double loss = valid ? round->valid : round->loss;
        if (isfinite(loss))
            text_printf(out, "%s%.1f %.1f", pen ? "L" : "M", x_of(frame, round->step),
                        y_of(frame, loss));
        pen = isfinite(loss);
    }
    text_printf(out, "\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", color);
}

void train_curve(const TrainRun *run, Text *out) {
    Frame frame = {1, DBL_MAX, -DBL_MAX};
    bool valid = run->valid.count > 0;
    for (int i = 0; i < run->rounds.count; i++) {
        const TrainRound *round = &run->rounds.at[i];
        frame.most = fmax(frame.most, round->step);
        take(&frame, round->loss);
        take(&frame, round->valid);
    }
    if (frame.low > frame.high) frame.low = 0, frame.high = 1;
    double room = fmax((frame.high - frame.low) * 0.05, fabs(frame.high) * 1e-3 + 1e-9);
    frame.low -= room;
    frame.high += room;
    text_printf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\" "
                "fill=\"#333\">\n<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n",
                WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    put_marks(&frame, out);
    text_printf(out,
                "<path d=\"M%d %dV%dH%d\" fill=\"none\" stroke=\"#888\"/>\n"
                "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">updates</text>\n",
                LEFT, TOP, HEIGHT - BOTTOM, WIDTH - RIGHT, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    put_line(run, &frame, false, "#1f77b4", out);
    if (valid) put_line(run, &frame, true, "#d62728", out);
    text_printf(out,
                "<text x=\"%d\" y=\"22\" font-size=\"14\">%s</text>\n"
                "<text x=\"%d\" y=\"22\" text-anchor=\"end\" fill=\"#1f77b4\">training</text>\n",
                LEFT, run->engine->train->model, WIDTH - RIGHT - (valid ? 80 : 0));
    if (valid)
        text_printf(out,
                    "<text x=\"%d\" y=\"22\" text-anchor=\"end\" fill=\"#d62728\">validation"
                    "</text>\n",
                    WIDTH - RIGHT);
    text_puts(out, "</svg>\n");
}
