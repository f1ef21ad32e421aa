/* Inside the room: pieces of the text form, for messages. */
#ifndef RNNC_LOOP_TEXT_FORM_H
#define RNNC_LOOP_TEXT_FORM_H

#include "loop/loop.h"

/* The first line of a statement, without indent and newline. */
void loop_print_head(const LoopModule *module, const LFunction *function, const LStmt *stmt,
                     Text *out);

#endif
