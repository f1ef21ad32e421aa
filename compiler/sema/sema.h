/* From trees to Graphs: names, sizes, shapes, types, modes, instances.
 *
 * One elaborator walks a model in two ways: once with its sizes as rigid unknowns (the check at the
 * definition), and once with numbers, inlining applications and unrolling families into a Graph.
 * Causality (E-CAUSAL, E-CARRY) is decided on the Graph, by schedule/. */
#ifndef RNNC_SEMA_SEMA_H
#define RNNC_SEMA_SEMA_H

#include "ast/ast.h"
#include "graph/graph.h"

typedef struct Program Program;

/* Reads an import: `path` is as resolved from the folder of the importing file. NULL with a message
 * in *why when it cannot be read. The source lives in the arena. */
typedef const Source *(*SemaLoad)(void *user, Arena *arena, const char *path, const char **why);

/* `-D NAME=VALUE`: overrides a file-level size or const of the main file. */
typedef struct SemaDefine {
    const char *name;
    double value;
    bool used; /* set when it named something; the caller reports the others */
} SemaDefine;

/* Collects the items of the main file, of the prelude and of all imports, and checks every model of
 * the main file and of its imports at its definition. `prelude` may be NULL. Never NULL; diags says
 * what is wrong. */
Program *sema_program(Arena *arena, Names *names, const Ast *main, const Ast *prelude,
                      SemaLoad load, void *user, SemaDefine *defines, int define_count,
                      Diags *diags);

/* The model to compile: the one called `model`, or with NULL the last of the main file. NULL after
 * an error. */
const char *sema_model(const Program *program, const char *model, Diags *diags);

/* Where a model of the main file is defined: its name. */
Span sema_model_span(const Program *program, const char *model);

/* Instantiates a model in one mode. NULL after an error; warnings (E-UNUSED, E-GRAD) do not stop
 * it. */
Graph *sema_graph(Program *program, const char *model, Mode mode, Diags *diags);

/* The same, with the graph and all that it took in an arena that may end before the program's. */
Graph *sema_graph_in(Arena *arena, Program *program, const char *model, Mode mode, Diags *diags);

#endif
