/* The calls of rnnc and of the runtime that are made to fail, and the files that they read. */
#ifndef RNNC_TESTS_FAILING_CASES_H
#define RNNC_TESTS_FAILING_CASES_H

#include <stdbool.h>

enum { CASE_WORDS = 24, CASE_OUTPUTS = 8 };

typedef struct FailingCase {
    const char *name;
    const char *words[CASE_WORDS];     /* the command line behind `rnnc` */
    const char *outputs[CASE_OUTPUTS]; /* names of the files that appear in out/ */
    int (*call)(void);                 /* instead of rnnc: a function of the runtime */
    int status;                        /* without a fault */
    const char *input;                 /* standard input, or NULL */
} FailingCase;

extern const FailingCase failing_cases[];
extern const int failing_case_count;

/* Writes in/ in the current folder; false when that fails. */
bool cases_prepare(void);

#endif
