/* Inside of graph_parse: a position in the text, and what the lines read so far have given.
 * Every function does nothing once the line has failed; an error is reported once a line, at the
 * place. */
#ifndef RNNC_GRAPH_READER_H
#define RNNC_GRAPH_READER_H

#include "graph/graph.h"

typedef struct Reader {
    Graph *graph;
    Arena *arena;
    Names *names;
    const Source *source;
    Diags *diags;
    uint32_t at;   /* next byte */
    uint32_t last; /* end of the last token */
    bool failed;   /* in this line */
    VEC(int) list; /* operands of the line */
    VEC(At) ats;   /* its `at` */
} Reader;

/* The byte at `begin`. */
Span reader_spot(const Reader *p, uint32_t begin);

/* Reports `message` here; false. */
bool reader_fail(Reader *p, const char *message);

/* The next byte that is neither blank nor comment; NUL at the end. */
char reader_peek(Reader *p);

/* At the end of the line or of the text. */
bool reader_at_end(Reader *p);

/* Steps over this character or word if it stands here. */
bool reader_accept(Reader *p, char c);
bool reader_accept_word(Reader *p, const char *word);

/* The same, or an error. */
bool reader_expect(Reader *p, char c);
bool reader_expect_word(Reader *p, const char *word);

/* A name, bare or quoted; NULL after an error. The others give 0 after one. */
Name reader_name(Reader *p);
int64_t reader_int(Reader *p);
int reader_small(Reader *p); /* 0 … 2^31-1 */
double reader_double(Reader *p);
int reader_node(Reader *p); /* `%7`; checked against the number of nodes at the end of the text */

/* The place of something declared. */
int reader_axis(Reader *p);
int reader_index(Reader *p);
int reader_carry(Reader *p); /* `NAME in AXIS`; 1 + place */

/* `[t, s]` or nothing; the number of indices. */
int reader_indices(Reader *p, int indices[MAX_DOMAIN]);

Type reader_type(Reader *p);

/* The first of `words` that stands here. */
int reader_choice(Reader *p, const char *const *words, int count, const char *message);

/* A whole node line, from its `%`. */
void reader_node_line(Reader *p);

#endif
