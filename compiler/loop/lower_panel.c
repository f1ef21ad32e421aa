/* Panels: values that one family writes and the same families read, element by element, lie side by
 * side, a vector of each in turn: [t][block of units][batch][value][lanes]. What a tile takes is
 * one run of memory then, in the order in which it takes it, for any batch.
 *
 * Values with rows before or behind the sequence, operands of products, and what goes to the caller
 * keep rows of their own. */
#include "loop/lower_internal.h"

typedef struct PanelScan {
    Fn *fn;
    const Value *reader;
    bool *fits;
    uint64_t *seen; /* by value: of which families its readers are */
} PanelScan;

static bool by_family(const Value *value) {
    return value->family >= 0 && value->op != OP_HOLD &&
           (value->kind == VALUE_SUM || value->kind == VALUE_POINT);
}

/* A number that tells families apart, near enough: who shares a panel wrongly shares lines. */
static uint64_t family_mark(int family) {
    return (uint64_t)(family + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static void note_reader(void *user, const Use *use, bool boundary) {
    PanelScan *scan = user;
    const Value *source = scan->fn->lower->schedule->values.at[use->value];
    if (boundary || !by_family(scan->reader) || scan->reader->count != source->count ||
        (use->access >= 0 && scan->fn->lower->schedule->accesses.at[use->access].boundary >= 0))
        scan->fits[source->id] = false;
    scan->seen[source->id] ^= family_mark(scan->reader->family);
}

static bool may_lie(const Fn *fn, const Value *value) {
    const Schedule *schedule = fn->lower->schedule;
    if (!value->live || value->storage != STORE_HISTORY || !by_family(value)) return false;
    const Family *family = schedule->families.at[value->family];
    return value->type.dtype == DT_FLOAT && value->batched && value->domain_count == 1 &&
           !value->pre[0] && !value->post[0] && value->count >= fn->lower->lanes &&
           fn->lower->lanes > 1 && family->count == value->count &&
           fn->places[value->id].buffer < 0 && !fn->lower->gemm_home[value->id];
}

void lower_find_panels(Fn *fn) {
    const Schedule *schedule = fn->lower->schedule;
    Arena *arena = fn->lower->arena;
    int count = schedule->values.count;
    PanelScan scan = {.fn = fn,
                      .fits = ARENA_ARRAY(arena, count, bool),
                      .seen = ARENA_ARRAY(arena, count, uint64_t)};
    fn->panel_of = ARENA_ARRAY(arena, count + 1, int);
    if (fn->step) return;
    if (fn->lower->options.force.layout == LAYOUT_ROWS) {
        lower_remark_panel(fn, -1);
        return;
    }
    for (int i = 0; i < count; i++) scan.fits[i] = may_lie(fn, schedule->values.at[i]);
    for (int i = 0; i < schedule->outputs.count; i++) scan.fits[schedule->outputs.at[i]] = false;
    for (int i = 0; i < schedule->stops.count; i++) scan.fits[schedule->stops.at[i]] = false;
    for (int i = 0; i < count; i++) {
        scan.reader = schedule->values.at[i];
        if (scan.reader->live) schedule_uses(schedule, scan.reader, note_reader, &scan);
    }
    VEC(int) first = {0}; /* of each panel */
    for (int i = 0; i < count; i++) {
        if (!scan.fits[i]) continue;
        const Value *value = schedule->values.at[i];
        int panel = 0;
        for (; panel < first.count; panel++) {
            const Value *other = schedule->values.at[first.at[panel]];
            if (other->family == value->family && scan.seen[other->id] == scan.seen[i] &&
                other->domain[0] == value->domain[0] &&
                lower_type(fn->lower, other) == lower_type(fn->lower, value))
                break;
        }
        if (panel == first.count) {
            vec_push(arena, &first, i);
            vec_push(arena, &fn->panels, ((Panel){.buffer = -1}));
        }
        fn->panel_of[i] = panel + 1;
        fn->places[i].slot = fn->panels.at[panel].count++;
    }
    for (int panel = 0; panel < first.count; panel++) lower_remark_panel(fn, panel);
}

bool lower_in_panel(const Fn *fn, const Value *value) {
    return fn->panel_of && fn->panel_of[value->id] > 0 && fn->places[value->id].buffer >= 0;
}

static void panel_use(void *user, const Use *use, bool boundary) {
    PanelScan *scan = user;
    (void)boundary;
    if (lower_in_panel(scan->fn, scan->fn->lower->schedule->values.at[use->value]))
        scan->fits[0] = true;
}

bool lower_panels_in(Fn *fn, const Family *family) {
    bool any = false;
    PanelScan scan = {.fn = fn, .fits = &any};
    for (int i = 0; i < family->values.count; i++) {
        scan.reader = fn->lower->schedule->values.at[family->values.at[i]];
        any = any || lower_in_panel(fn, scan.reader);
        schedule_uses(fn->lower->schedule, scan.reader, panel_use, &scan);
    }
    return any;
}
