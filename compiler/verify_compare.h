/* What the comparisons of compiled code in `rnnc verify` share: verify_backend.c has it. */
#ifndef RNNC_VERIFY_COMPARE_H
#define RNNC_VERIFY_COMPARE_H

#include "run_data.h"
#include "verify_each.h"
#include "verify_model.h"

typedef struct VerifyCheck {
    Compilation *c;
    Compiled *compiled;
    VerifyFound *found;
} VerifyCheck;

typedef struct VerifyComparison {
    const char *what;    /* "3 sequences of 5, 1, 3" */
    bool slopes;         /* against differences */
    double share;        /* the largest share of a bound, or relative error */
    const char *differs; /* the first element that differs */
    int64_t compared;
} VerifyComparison;

/* Element `i` of `name`. */
void verify_compare(VerifyCheck *check, VerifyComparison *to, const char *name, int64_t i,
                    double got, double want, double bound);

/* What compiled code said when it refused. */
const char *verify_refusal(const VerifyCheck *check);
void verify_refused(VerifyCheck *check, VerifyComparison *to);

/* A call as compiled code takes it. */
RunData verify_data(const VerifyCheck *check, Arena *arena, const InterpCall *call);

/* A line of the table; `why`: it was left out. */
void verify_report(VerifyCheck *check, const char *how, const VerifyComparison *to,
                   const char *why);

#endif
