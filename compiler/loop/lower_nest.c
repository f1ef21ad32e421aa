/* Loops, blocks and stages in order. Batch 1 has code of its own: its tiles and its chains differ.
 */
#include "loop/lower_internal.h"

/* A stop that is computed for all positions at once: the length of each sequence. */
static void find_stop(Fn *fn, LBlock *out, const Value *value, int axis) {
    LoopModule *m = fn->lower->module;
    int index = schedule_loop_index(fn->lower->schedule, value, axis);
    LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
    LExpr *b = loop_var(m, fn->fn, each->var);
    LExpr *length = lower_let(fn, &each->body, "length", lower_length(fn, NULL, axis, b));
    LStmt *steps = loop_for(m, fn->fn, &each->body, "u", loop_int(m, 0), length, 1);
    Row row = {.b = b};
    Use use = {value->id, -1};
    fn->map_position[index] = loop_var(m, fn->fn, steps->var);
    LExpr *ends = lower_element(fn, &steps->body, value, &use, &row, loop_int(m, 0), 1, WANT_INT);
    LStmt *test = loop_if(m, &steps->body, loop_op(m, SOP_NE, ends, loop_int(m, 0), NULL));
    loop_store(m, &test->body, fn->lengths[axis], b,
               loop_add(m, fn->map_position[index], loop_int(m, 1)), false);
    loop_break(m, &test->body);
    fn->map_position[index] = NULL;
}

/* The longest is shorter than it was. */
static void find_longest(Fn *fn, LBlock *out, int axis) {
    LoopModule *m = fn->lower->module;
    int most = fn->longest[axis]->var;
    loop_set(m, out, most, loop_int(m, 0));
    LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
    LExpr *length = lower_length(fn, NULL, axis, loop_var(m, fn->fn, each->var));
    loop_set(m, &each->body, most, lower_op(fn->lower, SOP_MAX, loop_var(m, fn->fn, most), length));
}

/* Stops of one stage of a block without loops around. */
static void stops_after(Fn *fn, LBlock *out, const Block *block, int stage) {
    const Schedule *schedule = fn->lower->schedule;
    for (int s = 0; s < schedule->stops.count && !fn->step && !block->loop_count; s++) {
        const Value *value = schedule->values.at[schedule->stops.at[s]];
        int axis = fn->lower->graph->stops.at[s].axis;
        if (value->block != block->number || value->stage != stage ||
            schedule_loop_index(schedule, value, axis) < 0)
            continue;
        find_stop(fn, out, value, axis);
        find_longest(fn, out, axis);
    }
}

/* What runs over a slower axis is computed in steps that have a position of it. */
static LBlock *step_block(Fn *fn, LBlock *out, const Value *value) {
    if (!fn->step || !value->domain_count) return out;
    return lower_on_tick(fn, out, value, value->domain[0]);
}

/* Of what no loop surrounds: inside of one the whole loop is wanted or not. */
static uint64_t own_wanted(const Fn *fn, const Block *block, const int *values, int count) {
    return block->loop_count ? WANTED_ALWAYS : lower_wanted(fn, values, count);
}

/* What was made for one thread, in its place. */
static void serially(Fn *fn, LBlock *out, LBlock *piece) {
    LBlock *into = piece->count ? lower_first_thread(fn, out, true) : out;
    for (int i = 0; i < piece->count; i++) vec_push(fn->lower->arena, into, piece->at[i]);
    if (piece->count && fn->thread) loop_barrier(fn->lower->module, out);
}

/* Row operations of one stage; threads have sequences of their own. */
static bool prologues(Fn *fn, LBlock *out, const Block *block, int stage) {
    const Schedule *schedule = fn->lower->schedule;
    bool any = false;
    if (fn->thread && !fn->own_low) out = lower_first_thread(fn, out, false);
    for (int i = 0; i < block->prologues.count; i++) {
        const Value *value = schedule->values.at[block->prologues.at[i]];
        if (value->stage != stage) continue;
        any = true;
        LBlock *into = lower_if_wanted(fn, out, own_wanted(fn, block, &value->id, 1));
        lower_prologue(fn, step_block(fn, into, value), block, value);
    }
    return any;
}

static void block(Fn *fn, LBlock *out, const Block *block, bool single) {
    const Schedule *schedule = fn->lower->schedule;
    LoopModule *m = fn->lower->module;
    for (int stage = 0; stage < block->stages; stage++) {
        LBlock before = {0}, behind = {0};
        LExpr *own = fn->own_low;
        fn->own_low = NULL; /* what one thread does, it does for all sequences */
        for (int i = 0; i < block->values.count; i++) {
            const Value *value = schedule->values.at[block->values.at[i]];
            if (!schedule_is_leaf(value) && value->stage == stage)
                lower_fill_uses(fn, &before, value, block->number + 1, NULL);
            if (fn->step && !schedule_is_leaf(value) && value->stage == stage)
                lower_keep_first(fn, &before, value);
        }
        fn->own_low = own;
        serially(fn, out, &before);
        if (prologues(fn, out, block, stage)) lower_meet(fn, out);
        for (int i = 0; i < block->families.count; i++) {
            const Family *family = schedule->families.at[block->families.at[i]];
            if (family->stage != stage) continue;
            Text text = text_new(fn->lower->arena);
            text_printf(&text, "%lld units:", (long long)family->count);
            for (int v = 0; v < family->values.count && text.length < 80; v++) {
                const Value *value = schedule->values.at[family->values.at[v]];
                if (value->name || value->acc < 0 || value->acc == value->id)
                    text_printf(&text, " %s", lower_name(fn->lower, value));
            }
            LBlock *into = lower_if_wanted(
                fn, out, own_wanted(fn, block, family->values.at, family->values.count));
            lower_at(fn->lower, schedule->values.at[family->values.at[0]]->span);
            loop_comment(m, into, text_string(&text));
            lower_family(fn, step_block(fn, into, schedule->values.at[family->values.at[0]]), block,
                         family, single);
        }
        fn->own_low = NULL;
        /* As does a loop inside of another one, see there. */
        for (int i = 0; i < block->values.count && block->loop_count && !fn->step; i++) {
            const Value *value = schedule->values.at[block->values.at[i]];
            if (schedule_is_leaf(value) || value->stage != stage) continue;
            lower_fill_again(fn, &behind, value);
            lower_fill_late(fn, &behind, value);
        }
        fn->own_low = own;
        lower_meet(fn, out);
        serially(fn, out, &behind);
        lower_hold_outside(fn, out, block->number, stage);
        stops_after(fn, out, block, stage);
    }
}

static int first_block(const SNest *nest) {
    while (nest->kind == NEST_LOOP) nest = nest->children.at[0];
    return nest->block->number;
}

static bool holds(const SNest *nest, int value) {
    for (int i = 0; nest->kind == NEST_LOOP && i < nest->members.count; i++)
        if (nest->members.at[i] == value) return true;
    return false;
}

static void fill_before(Fn *fn, LBlock *out, const SNest *nest) {
    for (int i = 0; i < nest->members.count; i++)
        lower_fill_uses(fn, out, fn->lower->schedule->values.at[nest->members.at[i]],
                        first_block(nest), nest);
}

/* A stop inside of the loop over its axis: sequences end, and with the last of them the loop. */
static void stop_inside(Fn *fn, LBlock *out, const SNest *nest, LExpr *at) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    for (int s = 0; s < lower->schedule->stops.count; s++) {
        const GraphStop *stop = &lower->graph->stops.at[s];
        if (stop->axis != nest->axis || !holds(nest, lower->schedule->stops.at[s])) continue;
        const Value *value = lower->schedule->values.at[lower->schedule->stops.at[s]];
        int alive = loop_mutable(m, fn->fn, out, "alive", loop_int(m, 0));
        LStmt *each = loop_for(m, fn->fn, out, "b", loop_int(m, 0), fn->batch, 1);
        LExpr *b = loop_var(m, fn->fn, each->var);
        Row row = {.b = b};
        Use use = {value->id, -1};
        LExpr *next = loop_add(m, at, loop_int(m, 1));
        LExpr *ends =
            lower_element(fn, &each->body, value, &use, &row, loop_int(m, 0), 1, WANT_INT);
        LExpr *longer = loop_op(m, SOP_GT, lower_length(fn, NULL, stop->axis, b), next, NULL);
        LStmt *run = loop_if(m, &each->body, longer);
        LStmt *test = loop_if(m, &run->body, loop_op(m, SOP_NE, ends, loop_int(m, 0), NULL));
        loop_store(m, &test->body, fn->lengths[stop->axis], b, next, false);
        loop_set(m, &test->otherwise, alive, loop_int(m, 1));
        loop_break(m, &loop_if(m, out,
                               loop_op(m, SOP_EQ, loop_var(m, fn->fn, alive), loop_int(m, 0), NULL))
                           ->body);
    }
}

/* The period of a block that does nothing between ticks: all that it keeps is held by clocks of one
 * period. 0: it has work at every step. */
static int64_t period_of(Fn *fn, const SNest *nest, const Block *block, bool single) {
    const Schedule *schedule = fn->lower->schedule;
    int64_t period = 0;
    if (fn->step && !single) return 0; /* each sequence has its own position */
    for (int i = 0; i < block->values.count; i++) {
        const Value *value = schedule->values.at[block->values.at[i]];
        if (fn->step && lower_over_time(value)) return 0; /* what runs takes every step */
        if (schedule_is_leaf(value) || value->storage == STORE_NONE ||
            value->storage == STORE_SINGLE)
            continue;
        if (value->kind != VALUE_POINT || value->op != OP_HOLD || value->attr->mirrored) return 0;
        if (!fn->step && value->attr->carry && fn->start >= 0) return 0;
        if (schedule_loop_index(schedule, value, nest->axis) != value->attr->index) return 0;
        if (schedule->values.at[value->uses.at[1].value] != value) return 0;
        if (period && period != value->attr->every) return 0;
        period = value->attr->every;
    }
    return period > 1 ? period : 0;
}

/* Between ticks: the row of the step before. */
static void hold_rows(Fn *fn, LBlock *out, const Block *block) {
    LoopModule *m = fn->lower->module;
    const Schedule *schedule = fn->lower->schedule;
    for (int i = 0; i < block->values.count; i++) {
        const Value *value = schedule->values.at[block->values.at[i]];
        const RowPlace *place = &fn->places[value->id];
        if (value->op != OP_HOLD || place->buffer < 0) continue;
        if (fn->step ? !place->ring : value->storage == STORE_INPLACE) continue; /* it is there */
        Row row;
        LBlock *body = lower_rows(fn, out, value, &row);
        LExpr *from = lower_row(fn, value, value, value->uses.at[1].access, &row);
        from = lower_let(fn, body, "from", from);
        LExpr *to = lower_let(fn, body, "to", lower_row(fn, value, value, -1, &row));
        LStmt *each = loop_for(m, fn->fn, body, "i", loop_int(m, 0), loop_int(m, value->count), 1);
        LExpr *j = loop_var(m, fn->fn, each->var);
        loop_store(m, &each->body, place->buffer, loop_add(m, to, j),
                   loop_load(m, fn->fn, place->buffer, loop_add(m, from, j), 1, false), false);
        int map[MAX_DOMAIN];
        int maps = schedule_map_domain(schedule, value, map);
        for (int d = 0; d < maps; d++) fn->map_position[map[d]] = NULL;
    }
}

/* A value of the block that is held. */
static const Value *held_value(const Fn *fn, const Block *block) {
    const Value *value = NULL;
    for (int i = 0; i < block->values.count && !(value && value->op == OP_HOLD); i++)
        value = fn->lower->schedule->values.at[block->values.at[i]];
    return value;
}

/* A block inside of a loop; one that is held between ticks is skipped there. */
static void clocked_block(Fn *fn, LBlock *out, const SNest *nest, const Block *inner, bool single) {
    LoopModule *m = fn->lower->module;
    int64_t period = period_of(fn, nest, inner, single);
    if (!period) {
        block(fn, out, inner, single);
        return;
    }
    Row first = {.b = loop_int(m, 0)};
    const Value *held = held_value(fn, inner);
    lower_remark_clock(fn, held, period);
    LExpr *rest = lower_since_tick(fn, held, &first);
    out = step_block(fn, out, held);
    LStmt *test = loop_if(m, out, loop_op(m, SOP_EQ, rest, loop_int(m, 0), NULL));
    block(fn, &test->body, inner, single);
    LBlock *held_rows = &test->otherwise;
    if (fn->thread && !fn->own_low) held_rows = lower_first_thread(fn, held_rows, false);
    hold_rows(fn, held_rows, inner);
    lower_meet(fn, &test->otherwise);
    for (int stage = 0; stage < inner->stages; stage++)
        lower_hold_outside(fn, &test->otherwise, inner->number, stage);
}

static bool innermost(const SNest *nest) {
    for (int i = 0; i < nest->children.count; i++)
        if (nest->children.at[i]->kind == NEST_LOOP) return false;
    return true;
}

static void loop(Fn *fn, LBlock *out, const SNest *nest, bool single) {
    Lower *lower = fn->lower;
    LoopModule *m = lower->module;
    LBlock *body = out;
    LExpr *saved_parity = fn->parity;
    lower_at(lower, lower->schedule->values.at[nest->members.at[0]]->span);
    if (fn->step) {
        fn->parity = fn->clock ? lower_op(lower, SOP_AND, fn->clock, loop_int(m, 1)) : NULL;
    } else {
        const char *name = lower->graph->axes.at[nest->axis].name;
        /* `longest` may shrink inside (a stop); the bound is read once. */
        LExpr *bound =
            lower_let(fn, out, "last", loop_add(m, fn->longest[nest->axis], loop_int(m, 0)));
        if (bound->kind == LE_VAR && bound->var == fn->longest[nest->axis]->var &&
            lower->schedule->stops.count)
            bound = loop_var(m, fn->fn, loop_let(m, fn->fn, out, "bound", bound));
        LStmt *over = loop_for(m, fn->fn, out, name, loop_int(m, 0), bound, 1);
        body = &over->body;
        LExpr *at = loop_var(m, fn->fn, over->var);
        if (nest->backward)
            at = lower_let(fn, body, name, loop_sub(m, loop_sub(m, bound, loop_int(m, 1)), at));
        fn->loop_position[nest->axis] = at;
        fn->parity = lower_op(lower, SOP_AND, at, loop_int(m, 1));
    }
    for (int i = 0; i < nest->children.count; i++) {
        const SNest *child = nest->children.at[i];
        if (child->kind == NEST_BLOCK) {
            clocked_block(fn, body, nest, child->block, single);
        } else {
            fill_before(fn, body, child);
            loop(fn, body, child, single);
            /* It has written over what lies behind the shorter sequences. */
            for (int j = 0; j < child->members.count && !fn->step; j++) {
                const Value *value = lower->schedule->values.at[child->members.at[j]];
                if (!schedule_is_leaf(value)) lower_fill_again(fn, body, value);
            }
        }
    }
    if (!fn->step) {
        LExpr *at = fn->loop_position[nest->axis];
        for (int i = 0; i < nest->members.count; i++) {
            const Value *value = lower->schedule->values.at[nest->members.at[i]];
            if (schedule_is_leaf(value)) continue;
            if (nest->backward && !single) lower_hold_behind(fn, body, value, nest->axis, at);
        }
        if (nest->backward && !single) lower_meet(fn, body);
        stop_inside(fn, body, nest, at);
        fn->loop_position[nest->axis] = NULL;
        if (innermost(nest)) loop_unroll(m, fn->fn, out, lower->options.force.unroll);
        lower_remark_unrolled(fn, nest, innermost(nest));
    }
    fn->parity = saved_parity;
}

void lower_nests(Fn *fn, LBlock *out) {
    const Schedule *schedule = fn->lower->schedule;
    LoopModule *m = fn->lower->module;
    LExpr *one = loop_op(m, SOP_EQ, fn->batch, loop_int(m, 1), NULL);
    if (fn->step) {
        LStmt *test = loop_if(m, out, one);
        for (int variant = 0; variant < 2; variant++) {
            memset(fn->filled_pre, 0, (size_t)schedule->values.count);
            for (int i = 0; i < schedule->nests.count; i++) {
                const SNest *nest = schedule->nests.at[i];
                LBlock *into = variant ? &test->otherwise : &test->body;
                if (nest->kind == NEST_BLOCK)
                    block(fn, into, nest->block, !variant);
                else
                    loop(fn, into, nest, !variant);
            }
        }
        return;
    }
    int count = schedule->values.count;
    for (int i = 0; i < schedule->nests.count; i++) {
        const SNest *nest = schedule->nests.at[i];
        if (nest->kind == NEST_BLOCK) {
            block(fn, out, nest->block, false);
        } else {
            fill_before(fn, out, nest);
            LBlock *into =
                lower_if_wanted(fn, out, lower_wanted(fn, nest->members.at, nest->members.count));
            LStmt *test = loop_if(m, into, one);
            unsigned char *pre = arena_copy(fn->lower->arena, fn->filled_pre, (size_t)count);
            unsigned char *post = arena_copy(fn->lower->arena, fn->filled_post, (size_t)count);
            loop(fn, lower_loop_region(fn, &test->body, nest, true), nest, true);
            lower_end_region(fn);
            memcpy(fn->filled_pre, pre, (size_t)count);
            memcpy(fn->filled_post, post, (size_t)count);
            loop(fn, lower_loop_region(fn, &test->otherwise, nest, false), nest, false);
            lower_end_region(fn);
            if (into != out) { /* what it has filled may not be there */
                fn->filled_pre = pre;
                fn->filled_post = post;
            }
            for (int s = 0; s < schedule->stops.count; s++)
                if (holds(nest, schedule->stops.at[s]))
                    find_longest(fn, out, fn->lower->graph->stops.at[s].axis);
        }
    }
}
