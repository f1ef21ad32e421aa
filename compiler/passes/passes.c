/* The table of passes and the one loop that runs them. */
#include "passes/passes.h"

#include <string.h>

static const Pass table[] = {
#define PASS(name, gives, switchable, numbers, about)                                              \
    {#name, pass_##name, gives, PASS_##switchable, PASS_##numbers, about},
#include "passes/passes.def"
#undef PASS
};

enum { PASS_COUNT = (int)(sizeof table / sizeof *table) };

/* What expand lays open is simplified and merged once more; dce comes when nothing else drops
 * nodes. */
static const char *const default_order[] = {"simplify", "cse", "expand", "simplify", "cse", "dce"};

static const Span nowhere = {0};

const Pass *pass_table(int *count) {
    *count = PASS_COUNT;
    return table;
}

const Pass *pass_named(const char *name) {
    for (int i = 0; i < PASS_COUNT; i++)
        if (strcmp(table[i].name, name) == 0) return &table[i];
    return NULL;
}

void pass_list(Text *out) {
    static const char *const switch_text[] = {"optional", "decides bits", "always"};
    for (int i = 0; i < PASS_COUNT; i++)
        text_printf(out, "%-10s  %-12s  %s\n", table[i].name, switch_text[table[i].switchable],
                    table[i].about);
}

static const Pass *find(const char *name, Diags *diags) {
    const char *names[PASS_COUNT];
    const Pass *pass = pass_named(name);
    if (pass) return pass;
    for (int i = 0; i < PASS_COUNT; i++) names[i] = table[i].name;
    const char *near = name_nearest(name, names, PASS_COUNT);
    if (near)
        diag_error(diags, "E-PASS", nowhere, "there is no pass '%s'; did you mean '%s'", name,
                   near);
    else
        diag_error(diags, "E-PASS", nowhere, "there is no pass '%s'", name);
    return NULL;
}

static bool check_disabled(const PassOptions *options, bool *off, Diags *diags) {
    bool good = true;
    for (int i = 0; i < options->disabled_count; i++) {
        const Pass *pass = find(options->disabled[i], diags);
        if (!pass) {
            good = false;
        } else if (pass->switchable == PASS_ALWAYS) {
            diag_error(diags, "E-PASS", nowhere, "pass '%s' cannot be switched off", pass->name);
            good = false;
        } else {
            if (pass->switchable == PASS_BITS && !off[pass - table])
                diag_warning(diags, "W-BITS", nowhere,
                             "without pass '%s' results differ in their last bits", pass->name);
            off[pass - table] = true;
        }
    }
    return good;
}

static Graph *run_one(const Graph *graph, const Pass *pass, const PassOptions *options,
                      Diags *diags) {
    bool changed = false;
    double begin = options->clock ? options->clock(options->user) : 0;
    Graph *to = pass->run(graph, &changed);
    if (options->clock && options->timing)
        options->timing(options->user, pass, options->clock(options->user) - begin);
    if (options->after) options->after(options->user, pass, to, changed);
    if (options->verify_each && !graph_verify(to, pass->name, diags)) return NULL;
    if (options->check && to != graph && !options->check(options->user, pass, graph, to, diags))
        return NULL;
    return to;
}

Graph *passes_run(const Graph *graph, const PassOptions *options, Diags *diags) {
    static const PassOptions none = {0};
    bool off[PASS_COUNT] = {false};
    unsigned forms = 0;
    if (!options) options = &none;
    const char *const *names = options->names ? options->names : default_order;
    int count =
        options->names ? options->name_count : (int)(sizeof default_order / sizeof *default_order);
    if (!check_disabled(options, off, diags)) return NULL;
    Graph *to = (Graph *)graph;
    for (int i = 0; i < count; i++) {
        const Pass *pass = find(names[i], diags);
        if (!pass) return NULL;
        if (off[pass - table]) continue;
        to = run_one(to, pass, options, diags);
        if (!to) return NULL;
        forms |= pass->gives;
    }
    for (int i = 0; i < PASS_COUNT; i++)
        if (options->needs & table[i].gives & ~forms) {
            diag_error(diags, "E-PASS", nowhere, "pass '%s' cannot be left out", table[i].name);
            return NULL;
        }
    return to;
}
