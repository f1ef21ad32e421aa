/* Memory of the interpreter: pages of values, caches of recent values, and the stack of frames.
 *
 * Pages and caches live in run->sequence and go with it; the chunks of the stack live in run->work
 * and are used again by the next sequence. */
#include "graph/interpret_run.h"

void *interp_alloc(Run *run, Arena *arena, int64_t count, size_t size) {
    size_t limit = run->call->memory_limit;
    if (count < 0 || (uint64_t)count > SIZE_MAX / 2 / (size ? size : 1)) longjmp(run->out, 1);
    size_t used = arena_used(run->work) + (run->sequence ? arena_used(run->sequence) : 0);
    if (limit && (used > limit || (size_t)count * size > limit - used)) longjmp(run->out, 1);
    return arena_array(arena, (size_t)count, size);
}

enum { STACK_CHUNK = 1 << 20 };

/* Room on the stack; it goes when the frame below it is popped. Not zeroed. */
void *interp_push_bytes(Run *run, size_t size) {
    size = (size + 15) / 16 * 16;
    while (run->top >= run->stack.count ||
           run->stack.at[run->top].size - run->stack.at[run->top].used < size) {
        if (run->top + 1 < run->stack.count) {
            StackChunk *next = &run->stack.at[++run->top];
            next->used = 0;
            if (next->size >= size) continue;
            next->base = interp_alloc(run, run->work, (int64_t)size, 1);
            next->size = size;
        } else {
            size_t room = size > STACK_CHUNK ? size : (size_t)STACK_CHUNK;
            char *base = interp_alloc(run, run->work, (int64_t)room, 1);
            vec_push(run->work, &run->stack, (StackChunk){base, room, 0});
            run->top = run->stack.count - 1;
        }
    }
    StackChunk *chunk = &run->stack.at[run->top];
    void *at = chunk->base + chunk->used;
    chunk->used += size;
    return at;
}

void interp_store_begin(Run *run) {
    for (int i = 0; i < run->graph->nodes.count; i++) {
        Plan *plan = &run->plans[i];
        if (!plan->live) continue;
        const Node *node = plan->node;
        int64_t positions = 1;
        for (int k = node->domain_count; k-- > 0;) {
            int64_t extent = run->bound[run->graph->indices.at[node->domain[k]].axis];
            plan->stride[k] = positions;
            if (extent > 0 && positions > ((int64_t)1 << 60) / extent) longjmp(run->out, 1);
            if (extent > 0) positions *= extent;
        }
        plan->pages = NULL;
        plan->page_room = plan->page_count = 0;
        plan->last = NULL;
        plan->tags = NULL;
        plan->recent = NULL;
    }
}

int64_t interp_where(const Plan *plan, const int64_t *at) {
    int64_t where = 0;
    for (int k = 0; k < plan->node->domain_count; k++) where += at[k] * plan->stride[k];
    return where;
}

static Page **page_slot(Page **pages, int64_t room, int64_t number) {
    uint64_t hash = (uint64_t)number * 0x9E3779B97F4A7C15u;
    int64_t i = (int64_t)(hash >> 20) & (room - 1);
    while (pages[i] && pages[i]->number != number) i = (i + 1) & (room - 1);
    return &pages[i];
}

static void grow_pages(Run *run, Plan *plan) {
    int64_t room = plan->page_room ? plan->page_room * 2 : 4;
    Page **pages = interp_alloc(run, run->sequence, room, sizeof *pages);
    for (int64_t i = 0; i < plan->page_room; i++)
        if (plan->pages[i]) *page_slot(pages, room, plan->pages[i]->number) = plan->pages[i];
    plan->pages = pages;
    plan->page_room = room;
}

/* The page that holds a position, or NULL when there is none and it is not to be made. */
static Page *page_of(Run *run, Plan *plan, int64_t where, bool make) {
    int64_t number = where >> plan->shift;
    if (plan->last && plan->last->number == number) return plan->last;
    if (make && plan->page_count * 2 >= plan->page_room) grow_pages(run, plan);
    if (!plan->page_room) return NULL;
    Page **slot = page_slot(plan->pages, plan->page_room, number);
    if (!*slot) {
        if (!make) return NULL;
        int64_t size = (int64_t)1 << plan->shift;
        Page *page = interp_alloc(run, run->sequence, 1, sizeof *page);
        page->number = number;
        page->state = interp_alloc(run, run->sequence, size, 1);
        page->values = interp_alloc(run, run->sequence, size * plan->width, sizeof(double));
        *slot = page;
        plan->page_count++;
    }
    return plan->last = *slot;
}

const double *interp_find(Run *run, Plan *plan, int64_t where) {
    if (plan->keep == KEEP_RECENT) {
        int64_t slot = where & (plan->slots - 1);
        if (!plan->tags || plan->tags[slot] != where + 1) return NULL;
        return plan->recent + slot * plan->width;
    }
    Page *page = page_of(run, plan, where, false);
    int64_t i = where & (((int64_t)1 << plan->shift) - 1);
    return page && page->state[i] == VALUE_DONE ? page->values + i * plan->width : NULL;
}

double *interp_room(Run *run, Plan *plan, int64_t where) {
    if (plan->keep == KEEP_RECENT) {
        if (!plan->tags) {
            plan->tags = interp_alloc(run, run->sequence, plan->slots, sizeof *plan->tags);
            plan->recent =
                interp_alloc(run, run->sequence, plan->slots * plan->width, sizeof(double));
        }
        int64_t slot = where & (plan->slots - 1);
        plan->tags[slot] = 0;
        return plan->recent + slot * plan->width;
    }
    Page *page = page_of(run, plan, where, true);
    return page->values + (where & (((int64_t)1 << plan->shift) - 1)) * plan->width;
}

unsigned char *interp_state(Run *run, Plan *plan, int64_t where) {
    return page_of(run, plan, where, true)->state + (where & (((int64_t)1 << plan->shift) - 1));
}

void interp_done(Run *run, Plan *plan, int64_t where) {
    if (plan->keep == KEEP_RECENT)
        plan->tags[where & (plan->slots - 1)] = where + 1;
    else
        *interp_state(run, plan, where) = VALUE_DONE;
}
