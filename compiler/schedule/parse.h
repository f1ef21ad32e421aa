/* Inside of schedule_parse: the reader of graph texts, and what the lines so far have given.
 * Numbers of values may look ahead; each mention is kept with its place and checked when all lines
 * are read. */
#ifndef RNNC_SCHEDULE_PARSE_H
#define RNNC_SCHEDULE_PARSE_H

#include "graph/reader.h"
#include "schedule/schedule.h"

typedef struct Mention {
    int value;
    int access; /* of the use, or -1 */
    Name name;  /* as written, or NULL */
    Span span;
} Mention;

typedef struct ParseSchedule {
    Reader r; /* its graph is only read */
    Schedule *schedule;
    VEC(Mention) mentions;
    SNest *loops[MAX_DOMAIN];     /* open, outermost first, */
    uint32_t indents[MAX_DOMAIN]; /* with the blanks before them */
    int depth, loop_number;
    Block *block;
    int stage; /* -1: none was begun */
    Family *family;
    int *output, *stop; /* by number: 1 + value */
} ParseSchedule;

/* `f.c.38`, `v38`, `c4`: the number of a value; kept as a mention unless it is being defined (then
 * its name, or NULL, in *name). -1 after an error. */
int parse_value_name(ParseSchedule *p, Name *name);

/* `f.c.38` or `f.c.38[t-1 else c4 carry l1 in t]`. */
Use parse_use(ParseSchedule *p);

/* A whole value line behind its number. NULL after an error. */
Value *parse_value_line(ParseSchedule *p);

#endif
