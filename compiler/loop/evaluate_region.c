/* Parallel regions in the Loop evaluator: threads in turn, each up to its next barrier, forwards
 * and backwards by turns; and whether two threads meet in memory. For each byte that was touched
 * since the last barrier a table knows who wrote it and who read it. */
#include "loop/evaluate_code.h"

enum { GRANULE = 8, MANY = 0xFFFF, MOST_THREADS = 1024 };

/* GRANULE bytes; threads count from 1, MANY are several readers. What they did last is kept as
 * function and instruction, for messages. */
typedef struct Touched {
    uintptr_t place; /* address by GRANULE, + 1; 0: free */
    uint32_t since;  /* the barrier that it was touched behind */
    uint16_t writer[GRANULE], reader[GRANULE];
    int write_function, write_at, read_function, read_at;
} Touched;

typedef struct EvShadow {
    Touched *at;
    size_t room, count;
    uint32_t barrier;
} EvShadow;

/* ---- what was touched ---- */

static Touched *slot_of(Touched *table, size_t room, uintptr_t place) {
    size_t i = (size_t)(place * 0x9e3779b97f4a7c15u >> 20) & (room - 1);
    while (table[i].place && table[i].place != place) i = (i + 1) & (room - 1);
    return &table[i];
}

static Touched *touched(EvRun *run, uintptr_t place) {
    EvShadow *s = run->program->shadow;
    if (2 * s->count >= s->room) {
        size_t room = s->room ? 2 * s->room : 1024;
        Touched *grown = ARENA_ARRAY(run->program->arena, room, Touched);
        for (size_t i = 0; i < s->room; i++)
            if (s->at[i].place) *slot_of(grown, room, s->at[i].place) = s->at[i];
        s->at = grown;
        s->room = room;
    }
    Touched *t = slot_of(s->at, s->room, place);
    if (!t->place) s->count++;
    if (!t->place || t->since != s->barrier) *t = (Touched){.place = place, .since = s->barrier};
    return t;
}

static void next_barrier(EvRun *run) {
    EvShadow *s = run->program->shadow;
    if (!s) s = run->program->shadow = ARENA_NEW(run->program->arena, EvShadow);
    s->barrier++;
    /* What was touched long ago is thrown away before the table grows. */
    if (4 * s->count < s->room) return;
    if (s->room) memset(s->at, 0, s->room * sizeof *s->at);
    s->count = 0;
}

static bool refuse(EvRun *run, const EvFunction *f, const EvIns *ins, int64_t element, bool writes,
                   const Touched *t, int byte, bool wrote) {
    int other = wrote ? t->writer[byte] - 1 : t->reader[byte] - 1;
    const EvFunction *functions = run->program->functions;
    Text where = text_new(run->arena), who = text_new(run->arena);
    eval_where(run, &functions[wrote ? t->write_function : t->read_function],
               wrote ? t->write_at : t->read_at, &where);
    where.at[where.length - 2] = '\0'; /* without the colon */
    if (!wrote && t->reader[byte] == MANY)
        text_puts(&who, "several threads have");
    else
        text_printf(&who, "thread %d has", other);
    run->message = arena_printf(
        run->arena, "thread %d %s %s[%lld], which %s %s since the last barrier (%s)", run->thread,
        writes ? "writes" : "reads", f->function->buffers.at[ins->b].name, (long long)element,
        text_string(&who), wrote ? "written" : "read", text_string(&where));
    return false;
}

bool eval_meet(EvRun *run, const EvFunction *f, const EvIns *ins, int64_t index, int lanes,
               bool writes) {
    const EvBuffer *b = &f->buffers[ins->b];
    uintptr_t begin = (uintptr_t)b->base + (uintptr_t)(index * b->size);
    uintptr_t end = begin + (uintptr_t)(lanes * b->size);
    uint16_t self = (uint16_t)(run->thread + 1);
    Touched *t = NULL;
    for (uintptr_t at = begin; at < end; at++) {
        int byte = (int)(at % GRANULE);
        if (!t || byte == 0) t = touched(run, at / GRANULE + 1);
        int64_t element = (int64_t)((at - (uintptr_t)b->base) / (uintptr_t)b->size);
        if (t->writer[byte] && t->writer[byte] != self)
            return refuse(run, f, ins, element, writes, t, byte, true);
        if (writes && t->reader[byte] && t->reader[byte] != self)
            return refuse(run, f, ins, element, writes, t, byte, false);
        uint16_t *who = writes ? &t->writer[byte] : &t->reader[byte];
        *who = *who && *who != self ? MANY : self;
        *(writes ? &t->write_function : &t->read_function) = (int)(f - run->program->functions);
        *(writes ? &t->write_at : &t->read_at) = (int)(ins - f->code.at);
    }
    return true;
}

void eval_forget(EvRun *run, const char *from, int64_t bytes) {
    EvShadow *s = run->program->shadow;
    uintptr_t begin = (uintptr_t)from, end = begin + (uintptr_t)bytes;
    for (uintptr_t at = begin; s->room && at < end; at++) {
        Touched *t = slot_of(s->at, s->room, at / GRANULE + 1);
        t->writer[at % GRANULE] = t->reader[at % GRANULE] = 0;
    }
}

/* ---- threads ---- */

static char *aligned(Arena *arena, int64_t bytes) {
    char *at = arena_alloc(arena, (size_t)bytes + 64);
    return at + (64 - (uintptr_t)at % 64) % 64;
}

static void make_team(EvRun *run, EvFunction *f, int threads) {
    Arena *arena = run->program->arena;
    if (f->team_count >= threads) return;
    f->team = ARENA_ARRAY(arena, threads, EvThread);
    f->team_count = threads;
    int count = f->function->buffers.count;
    for (int t = 0; t < threads; t++) {
        f->team[t].regs = aligned(arena, f->high - f->low) - f->low;
        f->team[t].buffers = ARENA_ARRAY(arena, count + 1, EvBuffer);
        for (int i = 0; i < count; i++) {
            if (f->function->buffers.at[i].base != LB_LOCAL) continue;
            f->team[t].buffers[i].base = aligned(arena, f->buffers[i].room);
            f->team[t].buffers[i].written = arena_alloc(arena, (size_t)f->buffers[i].count);
        }
    }
}

/* Registers as they are, locals of its own, which hold nothing yet. */
static void begin(EvRun *run, const EvFunction *f, EvThread *thread, const EvIns *region,
                  int64_t number, int64_t threads) {
    memcpy(thread->regs + f->low, f->regs + f->low, (size_t)(f->high - f->low));
    for (int i = 0; i < f->function->buffers.count; i++) {
        EvBuffer *b = &thread->buffers[i];
        char *base = b->base;
        unsigned char *written = b->written;
        *b = f->buffers[i];
        if (f->function->buffers.at[i].base != LB_LOCAL) continue;
        b->base = base;
        b->written = written;
        memset(written, 0, (size_t)b->count);
        if (run->thread >= 0) eval_forget(run, base, b->room);
    }
    memcpy(thread->regs + region->d, &number, sizeof number);
    memcpy(thread->regs + region->a, &threads, sizeof threads);
    thread->next = (int)(region - f->code.at) + 1;
}

/* All of them wait at the same place. */
static bool together(EvRun *run, const EvFunction *f, int threads, int *at) {
    for (int t = 1; t < threads; t++) {
        if (f->team[t].met == f->team[0].met) continue;
        bool ended[2] = {f->code.at[f->team[0].met].code == EV_REGION_END,
                         f->code.at[f->team[t].met].code == EV_REGION_END};
        static const char *const words[] = {"waits at a barrier", "waits at another one",
                                            "is at the end of the region"};
        *at = f->team[t].met;
        run->message = arena_printf(run->arena, "thread %d %s when thread %d %s", 0,
                                    words[ended[0] ? 2 : 0], t,
                                    words[ended[1]   ? 2
                                          : ended[0] ? 0
                                                     : 1]);
        return false;
    }
    return true;
}

static bool run_team(EvRun *run, EvFunction *f, int threads, int *at) {
    int64_t ignored;
    for (int turn = 0;; turn++) {
        for (int k = 0; k < threads; k++) {
            int t = turn % 2 ? threads - 1 - k : k;
            EvThread *thread = &f->team[t];
            f->regs = thread->regs;
            f->buffers = thread->buffers;
            if (threads > 1) run->thread = t;
            if (eval_execute(run, f, thread->next, &ignored, at) != EV_MET) return false;
            thread->met = *at;
            thread->next = *at + 1;
        }
        if (!together(run, f, threads, at)) return false;
        if (f->code.at[*at].code == EV_REGION_END) return true;
        if (threads > 1) next_barrier(run);
    }
}

bool eval_region(EvRun *run, EvFunction *f, const EvIns *region, int *at) {
    int pool = loop_pool(f->function);
    int64_t wanted = pool >= 0 ? f->args[pool].integer : 1;
    if (wanted > MOST_THREADS) {
        run->message = arena_printf(run->arena, "a pool of %lld threads", (long long)wanted);
        return false;
    }
    int threads = wanted > 1 ? (int)wanted : 1, outer = run->thread;
    char *regs = f->regs;
    EvBuffer *buffers = f->buffers;
    make_team(run, f, threads);
    if (threads > 1) next_barrier(run);
    for (int t = 0; t < threads; t++) begin(run, f, &f->team[t], region, t, threads);
    bool good = run_team(run, f, threads, at);
    f->regs = regs;
    f->buffers = buffers;
    run->thread = outer;
    /* Which buffers were looked at. */
    for (int i = 0; i < f->function->buffers.count; i++)
        for (int t = 0; t < threads; t++)
            if (f->team[t].buffers[i].limit > buffers[i].limit)
                buffers[i].limit = f->team[t].buffers[i].limit;
    return good;
}
