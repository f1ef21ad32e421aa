/* What remarks about a schedule share: values and products in the words of a reader of the model.
 */
#ifndef RNNC_SCHEDULE_REMARK_H
#define RNNC_SCHEDULE_REMARK_H

#include "schedule/schedule.h"

/* `h[t-1]`, `x`, `1.5`. */
void remark_use(const Schedule *schedule, const Use *use, Text *out);
/* `U @ h[t-1]`, a name, or what kind of thing it is. */
const char *remark_value(const Schedule *schedule, const Value *value);
/* The matrices of products, `Ui, Uf' and 2 of U`. */
const char *remark_matrices(const Schedule *schedule, const int *products, int count);
/* The names of some values; those without are counted. */
const char *remark_names(const Schedule *schedule, const int *values, int count);

/* The segments of a family, once they are found. */
void remark_segments(const Schedule *schedule, const Block *block, const Family *family);
/* Terms of `sum` that have left its loop for `out`, or stay: `small` of them since they are
 * products with few columns. */
void remark_outside(const Schedule *schedule, const Value *sum, const Value *out, int small);

#endif
