/* Remarks: what was decided of a model, and why, as it is decided; for whoever asks by -R. */
#ifndef RNNC_SUPPORT_REMARK_H
#define RNNC_SUPPORT_REMARK_H

#include <stdbool.h>

#include "support/source.h"
#include "support/text.h"
#include "support/vec.h"

typedef enum RemarkKind {
    REMARK_HOISTED,  /* left its loop */
    REMARK_PUSHED,   /* computed at the position where it is read */
    REMARK_ADOPTED,  /* computed in the loop that alone reads it */
    REMARK_FUSED,    /* products in one loop over k */
    REMARK_PACKED,   /* parameters in the order of the loop that reads them */
    REMARK_KEPT,     /* values with a row for each position */
    REMARK_PANEL,    /* values side by side */
    REMARK_TILED,    /* what one turn of a loop over units holds in registers */
    REMARK_ZIGZAG,   /* blocks walked up and down in turn */
    REMARK_UNROLLED, /* several steps in one turn */
    REMARK_SKIPPED,  /* work that a clock leaves out */
    REMARK_SUMMED,   /* sums of outer products as one product of matrices */
    REMARK_THREADS   /* what threads share */
} RemarkKind;

typedef struct Remark {
    RemarkKind kind;
    bool missed;          /* it was not done: why */
    Span span;            /* the equation */
    const char *function; /* that it is about */
    const char *text;     /* one line */
} Remark;

typedef struct Remarks {
    Arena *arena;
    const char *function; /* that the next ones are about */
    const char *target;   /* with several processors, the one at hand; else NULL */
    VEC(Remark) list;     /* in order of decision; none twice */
} Remarks;

Remarks *remarks_new(Arena *arena);

/* Adds one. `remarks` NULL: nobody asked. */
void remark_done(Remarks *remarks, RemarkKind kind, Span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void remark_missed(Remarks *remarks, RemarkKind kind, Span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "hoisted", "not hoisted". */
const char *remark_word(const Remark *remark);

#endif
