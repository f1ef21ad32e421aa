/* --verify-each: every pass is interpreted before and after on random inputs, and every text is
 * read back. What differs is a defect of ours and named by the pass or the text: code "internal".
 * The rooms know nothing of this. */
#ifndef RNNC_VERIFY_EACH_H
#define RNNC_VERIFY_EACH_H

#include "graph/interpret.h"
#include "loop/loop.h"
#include "schedule/schedule.h"

/* Inputs for the graphs of one model, and what the last graph made of them. */
typedef struct VerifyEach VerifyEach;

/* Draws inputs for `graph`. What cannot be drawn, or would take too long, is left out, and said in
 * `notes` (NULL: not said). All lives in `arena`. */
VerifyEach *verify_each_new(Arena *arena, const Graph *graph, Text *notes);

/* Whether `after`, made from `before` by `pass`, gives the same values: the same bits, or, where
 * the pass `rounds` otherwise, within the bound of double precision. */
bool verify_each_pass(VerifyEach *verify, const char *pass, bool rounds, const Graph *before,
                      const Graph *after, Diags *diags);

/* Whether the text is read back to the same bytes. `where` names the stage that made it. */
bool verify_graph_text(Arena *arena, const Graph *graph, const char *where, Diags *diags);
bool verify_schedule_text(Arena *arena, const Schedule *schedule, Diags *diags);
bool verify_loop_text(Arena *arena, Names *names, const LoopModule *module, const char *where,
                      Diags *diags);
/* The comparison that they share: `again` is the text of what was read from `text`. */
bool verify_same_text(Arena *arena, const char *what, const Text *text, const Text *again,
                      Diags *diags);

/* ---- verify_draw.c ---- */

/* One call: random inputs in the ranges of their types, and their lengths. */
typedef struct VerifyCase {
    InterpCall call;
    bool carries; /* followed by a second chunk with the state of the first */
    double work;  /* operations of the interpreter, nearly */
    bool large;   /* more than may be: nothing was drawn but lengths */
} VerifyCase;

/* How many sequences, and their lengths in turn, shifted by the axis; cut to what an axis may have.
 */
typedef struct VerifySize {
    int64_t batch;
    int64_t length[3];
} VerifySize;

enum { VERIFY_CASES = 4 };

/* Draws case `which` with a seed. */
VerifyCase verify_draw(Arena *arena, const Graph *graph, int which, uint64_t seed);

/* A case of its own size; every other input that has a default is left to it, the first one where
 * `even`; parameters with a range or value to begin with are drawn from there where `initial`.
 * Numbers are those that single precision has; real inputs behind the end of a sequence are NaN. */
VerifyCase verify_draw_sized(Arena *arena, const Graph *graph, const VerifySize *size, bool even,
                             bool initial, double most_work, uint64_t seed);

#endif
