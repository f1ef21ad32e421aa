/* The rules of uses: whatever a value reads was computed before, by the order of loops, blocks,
 * stages and families, and lies where its reader can find it. */
#include "schedule/verify.h"

typedef struct UseCheck {
    Verify *verify;
    const Value *reader;
} UseCheck;

static bool has_index(const Value *value, int index) {
    for (int i = 0; i < value->domain_count; i++)
        if (value->domain[i] == index) return true;
    return false;
}

/* The reader's indices, and the one that a reduction over time binds. */
static bool knows_index(const Value *reader, int index) {
    bool reduces = reader->kind == VALUE_ROW && reader->op != OP_READ &&
                   op_info[reader->op].class_ == CLASS_TIME;
    return has_index(reader, index) || (reduces && reader->attr->index == index);
}

/* Every index of the source has a position that the reader knows. */
static bool positions_fit(const Schedule *schedule, const Value *reader, const Value *source,
                          const Access *access) {
    const Graph *graph = schedule->graph;
    for (int d = 0; d < source->domain_count; d++) {
        int axis = graph->indices.at[source->domain[d]].axis;
        const At *at = access ? &access->at[d] : NULL;
        if (!at) {
            if (!knows_index(reader, source->domain[d])) return false;
            continue;
        }
        switch (at->kind) {
        case AT_FIRST:
        case AT_LAST: break;
        case AT_INDEX:
            if (graph->indices.at[at->index].axis != axis || !knows_index(reader, at->index))
                return false;
            break;
        case AT_SCALE:
        case AT_DIV:
            if (graph->indices.at[at->index].axis == axis || !knows_index(reader, at->index))
                return false;
            break;
        case AT_POINTER:
            if (reader->kind != VALUE_ROW || reader->op != OP_READ || at->operand < 1 ||
                at->operand >= reader->uses.count)
                return false;
            break;
        case AT_MIRROR: return false;
        }
    }
    return true;
}

static bool sizes_fit(const Value *reader, const Value *source) {
    switch (reader->kind) {
    case VALUE_SUM:
    case VALUE_POINT: return source->count == 1 || source->count == reader->count;
    case VALUE_PRODUCT: return source->count == reader->view.dim[1];
    case VALUE_ROW:
    case VALUE_LEAF:
    case VALUE_INPUT:
    case VALUE_PARAM:
    case VALUE_CONST: return true;
    }
    return true;
}

/* --- order --- */

typedef enum Order { ORDER_BEFORE, ORDER_OPEN, ORDER_AFTER } Order;

/* What one loop around both says: the read position is of an earlier turn, may be of this one, or
 * not. */
static Order order_in_loop(const DepEdge *edge, const SNest *loop) {
    for (int l = 0; l < edge->label_count; l++) {
        const Label *label = &edge->labels[l];
        if (label->axis != loop->axis) continue;
        switch (label->kind) {
        case LABEL_OFFSET:
            if (!label->offset) return ORDER_OPEN;
            return (label->offset < 0) != loop->backward ? ORDER_BEFORE : ORDER_AFTER;
        case LABEL_LT: return loop->backward ? ORDER_AFTER : ORDER_BEFORE;
        case LABEL_LE: return loop->backward ? ORDER_AFTER : ORDER_OPEN;
        case LABEL_GT: return loop->backward ? ORDER_BEFORE : ORDER_AFTER;
        case LABEL_GE: return loop->backward ? ORDER_OPEN : ORDER_AFTER;
        case LABEL_ALL:
        case LABEL_RATE: return ORDER_AFTER;
        }
    }
    return ORDER_OPEN;
}

static bool same_map(const Schedule *schedule, const Value *a, const Value *b) {
    int x[MAX_DOMAIN], y[MAX_DOMAIN];
    int n = schedule_map_domain(schedule, a, x), m = schedule_map_domain(schedule, b, y);
    for (int i = 0; n == m && i < n; i++)
        if (x[i] != y[i]) return false;
    return n == m;
}

/* Both in one block, at one position of its loops. */
static void check_stage(UseCheck *check, const Value *source, const Use *use, bool boundary) {
    Verify *verify = check->verify;
    const Value *reader = check->reader;
    if (source->stage > reader->stage)
        verify_fail(verify, reader, "reads a value of a later stage");
    if (source->stage != reader->stage) return;
    bool before = verify->place[source->id] < verify->place[reader->id];
    if (source->family < 0) {
        if (!before) verify_fail(verify, reader, "reads a prologue that comes after it");
    } else if (reader->family < 0) {
        verify_fail(verify, reader, "a prologue reads what a family of its stage makes");
    } else if (reader->family != source->family) {
        verify_fail(verify, reader, "reads what another family of its stage makes");
    } else if (boundary || use->access >= 0 || reader->kind == VALUE_PRODUCT ||
               source->count != reader->count || !same_map(verify->schedule, reader, source)) {
        verify_fail(verify, reader, "reads in full what its own stage makes");
    } else if (!before) {
        verify_fail(verify, reader, "reads what comes after it");
    }
}

/* --- storage --- */

/* One step back in the direction of the one loop around, everything else at its own position. */
static bool one_back(const Verify *verify, const Value *reader, const Value *source,
                     const Use *use) {
    const Block *block = verify->schedule->blocks.at[source->block];
    if (block->loop_count != 1 || use->access < 0) return false;
    const Access *access = &verify->schedule->accesses.at[use->access];
    const SNest *loop = verify->loops[source->block][0];
    int own = schedule_loop_index(verify->schedule, source, loop->axis);
    int reading = schedule_loop_index(verify->schedule, reader, loop->axis);
    for (int d = 0; d < access->at_count; d++) {
        const At *at = &access->at[d];
        bool loops = source->domain[d] == own;
        if (at->kind != AT_INDEX || at->index != (loops ? reading : source->domain[d]))
            return false;
        if (at->offset != (loops ? (loop->backward ? 1 : -1) : 0)) return false;
    }
    return !access->carry;
}

/* A row that is updated in place still holds the value of the last turn when this reader looks. */
static void check_in_place(UseCheck *check, const Value *source, const Use *use) {
    const Value *reader = check->reader;
    bool earlier = reader->stage < source->stage ||
                   (reader->stage == source->stage && reader->family < 0 && source->family >= 0);
    bool same =
        source->family >= 0 && reader->family == source->family && reader->kind != VALUE_PRODUCT;
    if (!earlier && !same)
        verify_fail(check->verify, source, "updated in place before its last old read");
    if (!one_back(check->verify, reader, source, use))
        verify_fail(check->verify, source, "updated in place but read further back than one step");
}

static bool same_boundary(const Schedule *schedule, int a, int b) {
    if (a == b) return true;
    if (a < 0 || b < 0) return false;
    const Value *x = schedule->values.at[a], *y = schedule->values.at[b];
    return x->kind == VALUE_CONST && y->kind == VALUE_CONST && x->number == y->number;
}

/* Rows before and behind the sequence are there, and hold what this use wants to find. */
static void check_rows(UseCheck *check, const Value *source, const Access *access) {
    bool beyond = false;
    for (int d = 0; d < access->at_count; d++) {
        const At *at = &access->at[d];
        if (at->kind == AT_POINTER && access->boundary >= 0 && !source->pre[d]) beyond = true;
        if (at->kind != AT_INDEX && at->kind != AT_SCALE) continue;
        if (at->offset < -source->pre[d] || at->offset > source->post[d]) beyond = true;
    }
    if (beyond) verify_fail(check->verify, source, "read beyond its rows");
    if (access->boundary >= 0 &&
        !same_boundary(check->verify->schedule, access->boundary, source->boundary))
        verify_fail(check->verify, source, "read with a boundary value that its rows do not hold");
}

static void check_kept(UseCheck *check, const Value *source, bool history) {
    if (history ? source->storage != STORE_HISTORY : source->storage == STORE_NONE)
        verify_fail(check->verify, source,
                    history ? "read at other positions but not kept for them"
                            : "read elsewhere but kept in registers");
}

/* At other positions of the loops around than the reader's own. */
static bool elsewhere(const DepEdge *edge, const Block *block) {
    for (int l = 0; l < edge->label_count; l++)
        for (int i = 0; i < block->loop_count; i++)
            if (edge->labels[l].axis == block->loops[i] &&
                (edge->labels[l].kind != LABEL_OFFSET || edge->labels[l].offset))
                return true;
    return false;
}

/* --- one use --- */

static void check_use(void *user, const Use *use, bool boundary) {
    UseCheck *check = user;
    Verify *verify = check->verify;
    const Schedule *schedule = verify->schedule;
    const Value *reader = check->reader, *source = schedule->values.at[use->value];
    const Access *access = use->access >= 0 ? &schedule->accesses.at[use->access] : NULL;

    if (!positions_fit(schedule, reader, source, access)) {
        verify_fail(verify, reader, "reads at positions that it does not have");
        return;
    }
    if (source->batched && !reader->batched && !schedule_over_batch(reader))
        verify_fail(verify, reader, "once for all sequences, but reads one's own");
    if (!boundary && !sizes_fit(reader, source))
        verify_fail(verify, reader, "reads a value of another length");
    if (access) check_rows(check, source, access);
    if (schedule_is_leaf(source)) return;
    if (source->block < 0) {
        verify_fail(verify, source, "read but computed in no block");
        return;
    }

    DepEdge edge = schedule_edge(schedule, reader, use);
    const Block *mine = schedule->blocks.at[reader->block];
    const Block *theirs = schedule->blocks.at[source->block];
    Order order = ORDER_OPEN;
    for (int i = 0; order == ORDER_OPEN && i < mine->loop_count && i < theirs->loop_count; i++) {
        if (verify->loops[mine->number][i] != verify->loops[theirs->number][i]) break;
        order = order_in_loop(&edge, verify->loops[mine->number][i]);
    }
    if (order == ORDER_AFTER) {
        verify_fail(verify, reader, "reads what its loop has not reached");
    } else if (source->block != reader->block) {
        if (order == ORDER_OPEN && source->block > reader->block)
            verify_fail(verify, reader, "reads a value of a later block");
        check_kept(check, source, true);
    } else if (order == ORDER_BEFORE) {
        if (source->storage == STORE_INPLACE)
            check_in_place(check, source, use);
        else
            check_kept(check, source, true);
    } else {
        check_stage(check, source, use, boundary);
        if (source->kind == VALUE_PRODUCT && source->acc != source->id) {
            if (source->acc != reader->id)
                verify_fail(verify, source, "read by another value than its accumulator");
        } else if (boundary || access || elsewhere(&edge, mine)) {
            check_kept(check, source, true);
        } else if (source->family < 0 || reader->family != source->family) {
            check_kept(check, source, false);
        }
    }
}

void verify_uses(Verify *verify, const Value *reader) {
    UseCheck check = {verify, reader};
    schedule_uses(verify->schedule, reader, check_use, &check);
}
