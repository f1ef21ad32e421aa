/* How often each pass and each choice of the schedule changes a random program: what never fires is
 * not tested. A pass fires when it says that it changed the graph, a choice when the schedule, or
 * the loops, are other ones without it. */
#include "check.h"

#include "loop/lower.h"
#include "passes/passes.h"
#include "schedule/schedule.h"

static int passes(void) {
    int count;
    pass_table(&count);
    return count;
}

int firing_count(void) {
    return passes() + CHOICE_COUNT;
}

const char *firing_name(int i) {
    int count;
    const Pass *table = pass_table(&count);
    return i < count ? table[i].name : choice_name((Choice)(i - count));
}

typedef struct Fired {
    bool at[FIRINGS];
} Fired;

static void after(void *user, const Pass *pass, const Graph *graph, bool changed) {
    int count;
    const Pass *table = pass_table(&count);
    Fired *fired = user;
    (void)graph;
    for (int i = 0; i < count; i++)
        if (strcmp(table[i].name, pass->name) == 0 && changed) fired->at[i] = true;
}

/* The loops of a schedule as text, before math is expanded. */
static const char *loops(Arena *arena, const Built *built, const Schedule *schedule, Diags *diags) {
    bool *needed = ARENA_ARRAY(arena, built->graph->axes.count + 1, bool);
    passes_axes_needed(built->graph, needed);
    LowerOptions options = {.target = built->c->target.target,
                            .real = built->c->options->real,
                            .prefix = "m",
                            .axes_needed = needed};
    Interface *in = lower_schedule(arena, built->c->names, schedule, &options, diags);
    Text out = text_new(arena);
    if (in) loop_print(in->module, &out);
    return text_string(&out);
}

/* A schedule as text, without the line that names what is switched off. */
static const char *scheduled(Arena *arena, const Schedule *schedule) {
    Text out = text_new(arena);
    schedule_print(schedule, &out);
    return strchr(text_string(&out), '\n');
}

void count_firings(Arena *arena, const Built *built, Tally *tally) {
    Fired fired = {0};
    int first = passes();
    Diags *diags = diags_new(arena);
    PassOptions options = {.user = &fired, .after = after};
    passes_run(built->graph, &options, diags);
    const char *base = scheduled(arena, built->c->schedule), *base_loops = NULL;
    for (int i = 0; i < CHOICE_COUNT; i++) {
        Choices choices = {0};
        choices.off[i] = true;
        Schedule *other = schedule_build_with(arena, built->c->normal, &choices, NULL, diags);
        if (!other) continue;
        fired.at[first + i] = strcmp(scheduled(arena, other), base) != 0;
        if (fired.at[first + i]) continue;
        if (!base_loops) base_loops = loops(arena, built, built->c->schedule, diags);
        fired.at[first + i] = strcmp(loops(arena, built, other, diags), base_loops) != 0;
    }
    tally->counted++;
    for (int i = 0; i < firing_count(); i++) tally->fired[i] += fired.at[i];
}
