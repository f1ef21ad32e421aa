/* One boundary a value: the last step of the normal form. */
#include "schedule/schedule.h"

static bool same_boundary(const Schedule *schedule, int a, int b) {
    if (a == b || a < 0 || b < 0) return true;
    const Value *x = schedule->values.at[a], *y = schedule->values.at[b];
    return x->kind == VALUE_CONST && y->kind == VALUE_CONST && x->number == y->number;
}

/* Rows beyond a sequence hold one boundary value; a source that is read with another one (two names
 * of one value, each with a boundary of its own) is read through a copy. */
void normal_boundaries(Schedule *schedule) {
    Arena *arena = schedule->arena;
    int count = schedule->values.count;
    int *first = ARENA_ARRAY(arena, count, int); /* 1 + access that gave a source its boundary */
    VEC(int) copies = {0};
    for (int i = 0; i < count; i++) {
        Value *value = schedule->values.at[i];
        if (!value->live) continue;
        for (int j = 0; j < value->uses.count + 2 * value->terms.count; j++) {
            Use *use;
            if (j < value->uses.count) {
                use = &value->uses.at[j];
            } else {
                Term *term = &value->terms.at[(j - value->uses.count) / 2];
                if ((j - value->uses.count) % 2 && !term->pair) continue;
                use = (j - value->uses.count) % 2 ? &term->b : &term->a;
            }
            if (use->access < 0) continue;
            int boundary = schedule->accesses.at[use->access].boundary;
            if (boundary < 0) continue;
            if (!first[use->value]) {
                first[use->value] = use->access + 1;
                continue;
            }
            if (same_boundary(schedule, boundary,
                              schedule->accesses.at[first[use->value] - 1].boundary))
                continue;
            int copy = -1;
            for (int k = 0; k + 1 < copies.count && copy < 0; k += 2) {
                const Value *c = schedule->values.at[copies.at[k]];
                if (c->uses.at[0].value == use->value &&
                    same_boundary(schedule, copies.at[k + 1], boundary))
                    copy = c->id;
            }
            if (copy < 0) {
                const Value *source = schedule->values.at[use->value];
                Value *c = schedule_value(schedule, VALUE_POINT, OP_VAR, source->type);
                c->domain_count = source->domain_count;
                memcpy(c->domain, source->domain, sizeof c->domain);
                c->batched = source->batched;
                c->span = source->span;
                vec_push(arena, &c->uses, (Use){use->value, -1});
                vec_push(arena, &copies, c->id);
                vec_push(arena, &copies, boundary);
                copy = c->id;
            }
            use->value = copy;
        }
    }
}
