/* The invariants of a schedule: what lowering relies on, checked value by value. */
#include "schedule/schedule.h"

typedef struct Check {
    const Schedule *schedule;
    const Value *reader;
    Diags *diags;
    bool good;
} Check;

static void fail(Check *check, const Value *value, const char *what) {
    diag_error(check->diags, "internal", value->span, "schedule: %s (%s, value %d)", what,
               value->name ? value->name : "unnamed", value->id);
    check->good = false;
}

static void check_use(void *user, const Use *use, bool boundary) {
    Check *check = user;
    const Schedule *schedule = check->schedule;
    const Value *reader = check->reader, *source = schedule->values.at[use->value];
    if (schedule_is_leaf(source)) return;
    if (source->block < 0) {
        fail(check, source, "read but computed in no block");
        return;
    }
    bool carried = !boundary && schedule_carried(schedule, reader, use);
    if (source->block > reader->block && !carried)
        fail(check, reader, "reads a value of a later block");
    if (source->block != reader->block || carried) {
        if (source->storage == STORE_NONE) fail(check, source, "read elsewhere but kept nowhere");
        return;
    }
    bool same_family = source->family == reader->family && source->family >= 0;
    if (source->stage > reader->stage) fail(check, reader, "reads a value of a later stage");
    bool full = reader->kind == VALUE_PRODUCT || reader->kind == VALUE_ROW || use->access >= 0;
    if (full && source->stage == reader->stage && source->family >= 0)
        fail(check, reader, "reads in full what its own stage makes");
    if (!same_family && source->storage == STORE_NONE &&
        !(source->kind == VALUE_PRODUCT && source->acc != source->id))
        fail(check, source, "read by another family but kept in registers");
    if (!same_family && source->stage == reader->stage && source->family >= 0 &&
        reader->family >= 0)
        fail(check, reader, "reads what another family of its stage makes");
}

bool schedule_verify(const Schedule *schedule, Diags *diags) {
    Check check = {schedule, NULL, diags, true};
    int *entries = ARENA_ARRAY(schedule->arena, schedule->values.count + 1, int);
    for (int f = 0; f < schedule->families.count; f++) {
        const Family *family = schedule->families.at[f];
        for (int s = 0; s < family->segments.count; s++)
            for (int p = 0; p < family->segments.at[s].products.count; p++) {
                const Value *product = schedule->values.at[family->segments.at[s].products.at[p]];
                entries[product->id]++;
                if (product->family != family->number)
                    fail(&check, product, "in a segment of another family");
                if (schedule->values.at[product->acc]->family != family->number)
                    fail(&check, product, "its accumulator is in another family");
                if (product->view.dim[1] != family->segments.at[s].length)
                    fail(&check, product, "its length is not its segment's");
                if (product->view.dim[0] != family->count)
                    fail(&check, product, "its rows are not its family's units");
            }
    }
    for (int i = 0; i < schedule->values.count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live || schedule_is_leaf(value)) continue;
        check.reader = value;
        if (value->block < 0) {
            fail(&check, value, "alive but in no block");
            continue;
        }
        if (value->kind == VALUE_PRODUCT && entries[i] != 1)
            fail(&check, value, "a product in no segment, or in two");
        if (value->storage == STORE_INPLACE && value->boundary < 0)
            fail(&check, value, "updated in place without a first value");
        schedule_uses(schedule, value, check_use, &check);
    }
    return check.good;
}
