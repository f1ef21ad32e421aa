/* The invariants of a schedule: what lowering relies on, checked value by value. docs/internals,
 * section "Schedule", gives the rules in words. It must be safe on all that schedule_parse gives.
 */
#include "schedule/verify.h"

void verify_fail(Verify *verify, const Value *value, const char *what) {
    diag_error(verify->diags, "internal", value->span, "schedule: %s (%s, value %d)", what,
               value->name ? value->name : "unnamed", value->id);
    verify->good = false;
}

static void fail_all(Verify *verify, const char *what) {
    diag_error(verify->diags, "internal", (Span){0}, "schedule: %s", what);
    verify->good = false;
}

/* --- values --- */

static int64_t shape_of(const View *view) {
    int64_t count = 1;
    for (int d = 0; d < view->rank; d++) {
        if (view->dim[d] < 1 || view->dim[d] > INT32_MAX / count) return -1;
        count *= view->dim[d];
    }
    return count;
}

static bool view_inside(const Graph *graph, const View *view) {
    int64_t size = shape_count(graph->params.at[view->param].shape), last = view->offset;
    if (view->offset < 0 || shape_of(view) < 0) return false;
    for (int d = 0; d < view->rank; d++) {
        if (view->stride[d] < 0 || view->stride[d] > size) return false;
        last += (view->dim[d] - 1) * view->stride[d];
        if (last >= size) return false;
    }
    return last < size;
}

static bool same_indices(int a_count, const int *a, int b_count, const int *b) {
    for (int i = 0; i < a_count; i++) {
        bool found = false;
        for (int j = 0; j < b_count; j++) found = found || a[i] == b[j];
        if (!found) return false;
    }
    return a_count == b_count;
}

/* What an operation on rows rearranges has the shapes that the graph gave it. */
static bool row_fits(const Schedule *schedule, const Value *value) {
    const Graph *graph = schedule->graph;
    const Node *node = graph->nodes.at[value->id];
    if (!type_equal(node->type, value->type)) return false;
    if (value->op == OP_TSUM && value->uses.count == 2) { /* of outer products of two vectors */
        const Value *a = schedule->values.at[value->uses.at[0].value];
        const Value *b = schedule->values.at[value->uses.at[1].value];
        return value->type.shape.rank == 2 && a->count == value->type.shape.dim[0] &&
               b->count == value->type.shape.dim[1];
    }
    if (value->op == OP_READ) { /* the source and its pointers */
        const Value *source = schedule->values.at[value->uses.at[0].value];
        return value->uses.count + 1 == node->in_count &&
               shape_equal(source->type.shape, value->type.shape);
    }
    if (node->in_count != value->uses.count) return false;
    for (int i = 0; i < node->in_count; i++) {
        const Value *source = schedule->values.at[value->uses.at[i].value];
        if (!shape_equal(graph->nodes.at[node->in[i]]->type.shape, source->type.shape))
            return false;
    }
    return true;
}

static void check_value(Verify *verify, const Value *value) {
    const Graph *graph = verify->schedule->graph;
    const GraphPort *port;
    if (value->count != shape_count(value->type.shape))
        verify_fail(verify, value, "another number of elements than its type");
    switch (value->kind) {
    case VALUE_INPUT:
        port = &graph->inputs.at[value->slot];
        if (!type_equal(port->type, value->type) ||
            !same_indices(value->domain_count, value->domain, port->index_count, port->indices))
            verify_fail(verify, value, "not as its port");
        break;
    case VALUE_PARAM:
        if (!view_inside(graph, &value->view))
            verify_fail(verify, value, "a view beyond its parameter");
        else if (shape_of(&value->view) != value->count || value->domain_count)
            verify_fail(verify, value, "not as its view");
        break;
    case VALUE_PRODUCT:
        if (!view_inside(graph, &value->view))
            verify_fail(verify, value, "a view beyond its parameter");
        else if (value->view.rank != 2 || value->view.dim[0] != value->count)
            verify_fail(verify, value, "its length is not its view's number of rows");
        /* fall through */
    case VALUE_SUM:
        if (value->type.dtype != DT_FLOAT) verify_fail(verify, value, "a sum that is no float");
        break;
    case VALUE_ROW:
        if (!row_fits(verify->schedule, value))
            verify_fail(verify, value, "works on rows of other shapes than its node");
        break;
    case VALUE_CONST:
    case VALUE_LEAF:
    case VALUE_POINT: break;
    }
}

static void check_storage(Verify *verify, const Value *value) {
    bool looped = verify->schedule->blocks.at[value->block]->loop_count > 0, rows = false;
    for (int d = 0; d < value->domain_count; d++) rows = rows || value->pre[d] || value->post[d];
    if (value->inplace != (value->storage == STORE_INPLACE))
        verify_fail(verify, value, "in place by one word and not by the other");
    switch (value->storage) {
    case STORE_NONE:
        if (value->family < 0) verify_fail(verify, value, "a prologue that is kept nowhere");
        break;
    case STORE_SINGLE:
        if (!looped) verify_fail(verify, value, "one row outside of all loops");
        if (rows) verify_fail(verify, value, "one row with others before or behind");
        break;
    case STORE_INPLACE:
        if (value->boundary < 0)
            verify_fail(verify, value, "updated in place without a first value");
        if (!looped) verify_fail(verify, value, "updated in place outside of all loops");
        break;
    case STORE_HISTORY: break;
    }
}

/* --- families --- */

static bool lists(const int *at, int count, int value) {
    for (int i = 0; i < count; i++)
        if (at[i] == value) return true;
    return false;
}

static void check_product(Verify *verify, const Family *family, const Value *product) {
    const Schedule *schedule = verify->schedule;
    const Value *acc = schedule->values.at[product->acc];
    if (!lists(family->accs.at, family->accs.count, product->acc))
        verify_fail(verify, product, "its accumulator is not one of its family");
    if (acc == product) return;
    int terms = 0;
    for (int i = 0; acc->kind == VALUE_SUM && i < acc->terms.count; i++) {
        const Term *term = &acc->terms.at[i];
        if (!term->pair && term->a.access < 0 && term->a.value == product->id) terms++;
    }
    if (terms != 1 || acc->family != product->family)
        verify_fail(verify, product, "not a term of its accumulator");
    if (product->storage != STORE_NONE)
        verify_fail(verify, product, "in an accumulator and kept too");
}

/* Products of a family that read what a segment reads. */
static int stacked(const Schedule *schedule, const Family *family, const Segment *segment) {
    int count = 0;
    for (int s = 0; s < family->segments.count; s++)
        if (schedule_same_use(schedule, segment->operand, family->segments.at[s].operand))
            count += family->segments.at[s].products.count;
    return count;
}

static void check_segments(Verify *verify, const Block *block, const Family *family, int *entries) {
    const Schedule *schedule = verify->schedule;
    for (int s = 0; s < family->segments.count; s++) {
        const Segment *segment = &family->segments.at[s];
        const Value *operand = schedule->values.at[segment->operand.value];
        if (!segment->products.count) verify_fail(verify, operand, "a segment without products");
        if (segment->length != operand->count)
            verify_fail(verify, operand, "the length of a segment is not its operand's");
        /* A researcher may have unstacked the products. */
        const bool *off = schedule->choices.off;
        int width = off[CHOICE_fuse] ? stacked(schedule, family, segment) : segment->products.count;
        int chains = schedule_chains(schedule, block, family, width);
        if (segment->chains != chains)
            verify_fail(verify, operand,
                        "a segment with another number of chains than its shape gives");
        for (int o = 0; o < s; o++)
            if (!off[CHOICE_fuse] &&
                schedule_same_use(schedule, segment->operand, family->segments.at[o].operand))
                verify_fail(verify, operand, "two segments of a family read it at one place");
        for (int p = 0; p < segment->products.count; p++) {
            const Value *product = schedule->values.at[segment->products.at[p]];
            entries[segment->products.at[p]]++;
            if (product->kind != VALUE_PRODUCT || product->family != family->number)
                verify_fail(verify, product, "in a segment, but no product of its family");
            else if (!schedule_same_use(schedule, segment->operand, product->uses.at[0]))
                verify_fail(verify, product, "reads another vector than its segment");
        }
    }
}

static void check_family(Verify *verify, const Block *block, const Family *family, int *entries) {
    const Schedule *schedule = verify->schedule;
    if (!family->values.count) fail_all(verify, "a family without values");
    for (int i = 0; i < family->values.count; i++) {
        const Value *value = schedule->values.at[family->values.at[i]];
        int map[MAX_DOMAIN];
        int maps = schedule_map_domain(schedule, value, map);
        bool same = maps == family->domain_count;
        for (int d = 0; same && d < maps; d++) same = map[d] == family->domain[d];
        if (!same) verify_fail(verify, value, "walks over other indices than its family");
        if (value->count != family->count)
            verify_fail(verify, value, "another length than its family's");
        if (value->batched != family->batched)
            verify_fail(verify, value, "batched or not, unlike its family");
        if (value->stage != family->stage || value->family != family->number)
            verify_fail(verify, value, "in a family of another stage or number");
        if (value->kind == VALUE_ROW || value->kind == VALUE_LEAF)
            verify_fail(verify, value, "works on whole rows, but is no prologue");
        if (value->kind == VALUE_PRODUCT) check_product(verify, family, value);
    }
    for (int i = 0; i < family->accs.count; i++) {
        const Value *acc = schedule->values.at[family->accs.at[i]];
        bool used = false;
        for (int v = 0; v < family->values.count; v++) {
            const Value *value = schedule->values.at[family->values.at[v]];
            used = used || (value->kind == VALUE_PRODUCT && value->acc == acc->id);
        }
        if (!used || lists(family->accs.at, i, acc->id))
            verify_fail(verify, acc, "an accumulator of no product, or named twice");
    }
    check_segments(verify, block, family, entries);
}

static void check_block(Verify *verify, const Block *block, int *entries, int *placed) {
    const Schedule *schedule = verify->schedule;
    for (int i = 0; i < block->values.count; i++) {
        const Value *value = schedule->values.at[block->values.at[i]];
        placed[value->id]++;
        if (value->block != block->number || value->stage < 0 || value->stage >= block->stages)
            verify_fail(verify, value, "in another block or stage than it says");
        if (value->family >= 0 && !lists(block->families.at, block->families.count, value->family))
            verify_fail(verify, value, "in a family of another block");
        if (value->family < 0 && !lists(block->prologues.at, block->prologues.count, value->id))
            verify_fail(verify, value, "in no family, but no prologue");
    }
    for (int i = 0; i < block->prologues.count; i++) {
        const Value *value = schedule->values.at[block->prologues.at[i]];
        bool scalar = value->count == 1 && value->kind != VALUE_PRODUCT;
        if (value->family >= 0) verify_fail(verify, value, "a prologue in a family");
        if (value->kind != VALUE_ROW && value->kind != VALUE_LEAF && !scalar)
            verify_fail(verify, value, "a prologue of many elements that is no operation on rows");
    }
    for (int i = 0; i < block->families.count; i++)
        check_family(verify, block, schedule->families.at[block->families.at[i]], entries);
}

/* --- loops --- */

/* Blocks in the order of their numbers, each with the loops that it says. */
static void check_nest(Verify *verify, SNest *nest, SNest **loops, int depth, int *next) {
    const Schedule *schedule = verify->schedule;
    if (nest->kind == NEST_BLOCK) {
        const Block *block = nest->block;
        bool same = block->number == (*next)++ && block->loop_count == depth;
        for (int i = 0; same && i < depth; i++) {
            same = block->loops[i] == loops[i]->axis;
            verify->loops[block->number][i] = loops[i];
        }
        if (!same) fail_all(verify, "a block that is not where it says");
        return;
    }
    if (depth == MAX_DOMAIN) {
        fail_all(verify, "too many loops in each other");
        return;
    }
    for (int i = 0; i < nest->members.count; i++) {
        const Value *value = schedule->values.at[nest->members.at[i]];
        if (schedule_loop_index(schedule, value, nest->axis) < 0)
            verify_fail(verify, value, "in a loop over an axis that it does not have");
    }
    bool flat = nest->children.count == 1 && nest->children.at[0]->kind == NEST_BLOCK;
    if (nest->scan && !(flat && schedule_linear(schedule, nest->members.at, nest->members.count)))
        fail_all(verify, "a scan that is not linear");
    loops[depth] = nest;
    for (int i = 0; i < nest->children.count; i++)
        check_nest(verify, nest->children.at[i], loops, depth + 1, next);
}

/* --- all --- */

static void check_outputs(Verify *verify) {
    const Schedule *schedule = verify->schedule;
    for (int i = 0; i < schedule->outputs.count; i++) {
        const GraphPort *port = &schedule->graph->outputs.at[i];
        const Value *value = schedule->values.at[schedule->outputs.at[i]];
        if (!schedule_is_leaf(value) && value->storage != STORE_HISTORY)
            verify_fail(verify, value, "an output that is not kept");
        if (value->count != shape_count(port->type.shape) || value->type.dtype != port->type.dtype)
            verify_fail(verify, value, "an output of another type than its port");
        for (int d = 0; d < value->domain_count; d++)
            if (!lists(port->indices, port->index_count, value->domain[d]))
                verify_fail(verify, value, "an output over an index that its port has not");
    }
    for (int i = 0; i < schedule->stops.count; i++) {
        const Value *value = schedule->values.at[schedule->stops.at[i]];
        if (!schedule_is_leaf(value) && value->storage != STORE_HISTORY)
            verify_fail(verify, value, "a stop that is not kept");
        if (value->count != 1 || value->type.dtype != DT_BOOL)
            verify_fail(verify, value, "a stop that is no bool");
    }
}

static void count_reader(void *user, const Use *use, bool boundary) {
    int *readers = user;
    (void)boundary;
    readers[use->value]++;
}

bool schedule_verify(const Schedule *schedule, Diags *diags) {
    Arena *arena = schedule->arena;
    int count = schedule->values.count;
    Verify verify = {.schedule = schedule, .diags = diags, .good = true};
    int *entries = ARENA_ARRAY(arena, count + 1, int), *placed = ARENA_ARRAY(arena, count + 1, int);
    int *readers = ARENA_ARRAY(arena, count + 1, int);
    verify.place = ARENA_ARRAY(arena, count + 1, int);
    verify.loops = arena_array(arena, (size_t)schedule->blocks.count + 1, sizeof *verify.loops);

    SNest *around[MAX_DOMAIN];
    int next = 0, place = 0;
    for (int i = 0; i < schedule->nests.count; i++)
        check_nest(&verify, schedule->nests.at[i], around, 0, &next);
    if (next != schedule->blocks.count) fail_all(&verify, "a block in no loop and outside of all");
    for (int i = 0; i < schedule->blocks.count; i++) {
        const Block *block = schedule->blocks.at[i];
        for (int v = 0; v < block->values.count; v++) verify.place[block->values.at[v]] = place++;
        check_block(&verify, block, entries, placed);
    }
    if (!verify.good) return false; /* what follows relies on the lists */

    for (int i = 0; i < count; i++)
        if (schedule->values.at[i]->live)
            schedule_uses(schedule, schedule->values.at[i], count_reader, readers);
    for (int i = 0; i < schedule->outputs.count; i++) readers[schedule->outputs.at[i]]++;
    for (int i = 0; i < schedule->stops.count; i++) readers[schedule->stops.at[i]]++;
    for (int i = 0; i < count; i++) {
        const Value *value = schedule->values.at[i];
        if (!value->live) continue;
        check_value(&verify, value);
        if (!readers[i]) verify_fail(&verify, value, "computed for nobody");
        if (schedule_is_leaf(value)) continue;
        if (placed[i] != 1) {
            verify_fail(&verify, value, "in no block, or in two");
            continue;
        }
        if (value->kind == VALUE_PRODUCT && entries[i] != 1)
            verify_fail(&verify, value, "a product in no segment, or in two");
        check_storage(&verify, value);
        verify_uses(&verify, value);
    }
    check_outputs(&verify);
    return verify.good;
}
