/* The text of grammar/prelude.rnn, put into the program while it is built (tools/embed.c). */
#ifndef RNNC_PRELUDE_H
#define RNNC_PRELUDE_H

extern const char prelude_text[]; /* NUL-terminated */
extern const unsigned prelude_length;

#endif
