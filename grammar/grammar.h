/* The one door into the grammar. */
#ifndef RNNC_GRAMMAR_GRAMMAR_H
#define RNNC_GRAMMAR_GRAMMAR_H

#include "ast/ast.h"
#include "support/diag.h"

/* Parses one source. Never NULL: on errors the tree holds what could be recovered and `diags` says
 * what was wrong (E-SYNTAX; E-LIMIT beyond a nesting of 256, see filter.h, or 16 MiB). Reentrant:
 * two parses may interleave. */
Ast *grammar_parse(Arena *arena, Names *names, const Source *source, Diags *diags);

#endif
