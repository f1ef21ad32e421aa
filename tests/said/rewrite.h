/* The same program said otherwise: source texts rewritten over the tree of their parser, by edits
 * of the text. NULL where there is nothing to rewrite in that way. */
#ifndef RNNC_TEST_SAID_REWRITE_H
#define RNNC_TEST_SAID_REWRITE_H

#include "ast/ast.h"
#include "said.h"

typedef struct Rewriting {
    Arena *arena;
    const Ast *ast;
    const char *model; /* the one that is looked at; renaming gives it its new name */
    Dice *dice;
    const Define *defines; /* names that the caller uses */
    int define_count;
} Rewriting;

/* Every name of the file that nothing else refers to gets another, in another order. */
const char *rewrite_rename(Rewriting *r);
/* The equations, states and draws of each model in another order. */
const char *rewrite_reorder(Rewriting *r);
/* A part of an equation becomes an equation. */
const char *rewrite_split(Rewriting *r);
/* An equation that is used once, at its own indices, goes into its reader. */
const char *rewrite_inline(Rewriting *r);
/* Equations that nothing reads: copies of others. */
const char *rewrite_dead(Rewriting *r);
/* A model `Said` that applies the model once, as `use said = MODIFIER MODEL`. */
const char *rewrite_apply(Rewriting *r, const Graph *graph, const char *modifier);

#endif
