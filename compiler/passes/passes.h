/* Passes: Graph in, Graph out. A pass never changes the graph that it is given, keeps names and
 * spans, and leaves axes, indices, ports and parameters in their places; only ids of nodes move. */
#ifndef RNNC_PASSES_PASSES_H
#define RNNC_PASSES_PASSES_H

#include "graph/graph.h"

/* Forms of a graph that passes establish and later stages rely on. */
enum {
    FORM_PRIMITIVE = 1 /* only operations of op_primitive; operands of equal types and shapes */
};

typedef enum PassSwitch { PASS_FREE, PASS_BITS, PASS_ALWAYS } PassSwitch;

typedef enum PassNumbers { PASS_SAME, PASS_ROUNDED } PassNumbers;

/* A new graph in the arena of the old one, or `graph` itself with *changed false. */
typedef Graph *(*PassRun)(const Graph *graph, bool *changed);

typedef struct Pass {
    const char *name;
    PassRun run;
    unsigned gives; /* forms */
    PassSwitch switchable;
    PassNumbers numbers;
    const char *about;
} Pass;

#define PASS(name, gives, switchable, numbers, about)                                              \
    Graph *pass_##name(const Graph *graph, bool *changed);
#include "passes/passes.def"
#undef PASS

/* The table of passes.def; *count rows. */
const Pass *pass_table(int *count);

/* NULL when there is none of this name. */
const Pass *pass_named(const char *name);

/* One line a pass, for --list-passes. */
void pass_list(Text *out);

typedef struct PassOptions {
    const char *const *names; /* which, in order; NULL: all rows of the table in theirs */
    int name_count;
    const char *const *disabled;
    int disabled_count;
    unsigned needs; /* forms that what follows relies on */
    bool verify_each;
    void *user;
    /* Called after each pass that ran; each of these may be NULL. */
    void (*after)(void *user, const Pass *pass, const Graph *graph, bool changed);
    /* Called where a pass made another graph, behind the verifier; false: a defect, which it
     * reports to `diags`. */
    bool (*check)(void *user, const Pass *pass, const Graph *before, const Graph *after,
                  Diags *diags);
    double (*clock)(void *user); /* seconds */
    void (*timing)(void *user, const Pass *pass, double seconds);
} PassOptions;

/* Runs the passes one after the other. With `names` left NULL, rounds of simplify and cse follow
 * what a later pass laid open. NULL after an error: an unknown name, a pass that cannot be switched
 * off (code "E-PASS"), a form that is missing, or a defect that the verifier found (code
 * "internal"). A pass that decides bits and is switched off is a warning "W-BITS". */
Graph *passes_run(const Graph *graph, const PassOptions *options, Diags *diags);

/* Operations that may be left after `expand`: what schedule and lowering have to know. */
bool op_primitive(Op op);

/* For each axis whether the language needs its length to be 1 or more: it is read at `first` or
 * `last`, or has an unbounded mean, max, argmax or softmax. Ask before `expand`, which hides means.
 * `needed` has room for graph->axes.count entries. */
void passes_axes_needed(const Graph *graph, bool *needed);

#endif
