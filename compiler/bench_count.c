/* What statements of the Loop IR do, counted without doing it: operations, and the memory that they
 * touch. Only integers are computed, as far as loops and conditions ask for them; a loop whose
 * turns are all alike is walked once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { MOST_DEPTH = 60, MOST_STORED = 1 << 20 };

/* A number where it is known; `depends`: on which loops, by depth. */
typedef struct Known {
    bool known;
    double number;
    uint64_t depends;
} Known;

typedef struct Frame {
    const LFunction *function;
    Known *vars;
    double **stored; /* by buffer: integers that were stored there; NAN: not known */
    int64_t *stored_count;
} Frame;

typedef struct Level {
    double trips;
    bool alike; /* walked once */
} Level;

typedef struct Seen {
    const void *node;
    int what;
} Seen;

struct BenchCounter {
    Arena *arena;
    const LoopModule *module;
    Frame *frame;
    Level levels[MOST_DEPTH];
    int depth;
    double usual; /* turns of a loop that ends when it will */
    double times; /* how often what is walked now runs */
    BenchCount *to;
    Seen *seen; /* accesses whose memory is counted, loops that are alike, branches */
    int seen_count, seen_room;
    bool ended; /* by a return */
    bool mute;  /* the memory of this branch is counted with the other one's */
};

/* ---- Nodes that were met ---- */

static Seen *seen_at(BenchCounter *c, const void *node) {
    size_t mask = (size_t)c->seen_room - 1, at = ((uintptr_t)node >> 4) * 0x9e3779b1u & mask;
    while (c->seen[at].node && c->seen[at].node != node) at = (at + 1) & mask;
    return &c->seen[at];
}

/* The entry of a node, made with `what` = -1 when it is new. */
static Seen *seen_of(BenchCounter *c, const void *node) {
    if (2 * c->seen_count >= c->seen_room) {
        Seen *old = c->seen;
        int room = c->seen_room;
        c->seen_room = room ? 2 * room : 1024;
        c->seen = ARENA_ARRAY(c->arena, c->seen_room, Seen);
        memset(c->seen, 0, (size_t)c->seen_room * sizeof *c->seen);
        for (int i = 0; i < room; i++)
            if (old[i].node) *seen_at(c, old[i].node) = old[i];
    }
    Seen *entry = seen_at(c, node);
    if (!entry->node) {
        *entry = (Seen){node, -1};
        c->seen_count++;
    }
    return entry;
}

/* ---- Memory ---- */

static BenchMemory *memory_of(BenchCounter *c, const LBuffer *buffer) {
    for (int i = 0; i < c->to->memory.count; i++)
        if (c->to->memory.at[i].buffer == buffer) return &c->to->memory.at[i];
    BenchMemory made = {.buffer = buffer};
    vec_push(c->arena, &c->to->memory, made);
    return &c->to->memory.at[c->to->memory.count - 1];
}

/* An access, the first time that it is met. */
static void touch(BenchCounter *c, const void *node, int buffer, uint64_t depends, double bytes) {
    const LBuffer *b = &c->frame->function->buffers.at[buffer];
    if (b->base != LB_ARG || c->mute || seen_of(c, node)->what >= 0) return;
    seen_of(c, node)->what = 1;
    double again = 1;
    for (int d = 0; d < c->depth; d++)
        if (depends >> d & 1)
            bytes *= c->levels[d].trips;
        else if (d == 0)
            again = c->levels[d].trips;
    BenchMemory *memory = memory_of(c, b);
    memory->touched += bytes;
    memory->traffic += bytes * again;
}

/* ---- Expressions ---- */

static Known number(double n) {
    return (Known){true, n, 0};
}

static Known load_stored(const BenchCounter *c, const LExpr *e, Known index) {
    double *stored = c->frame->stored[e->buffer];
    Known v = {false, 0, index.depends};
    if (!stored || !index.known || e->lanes != 1) return v;
    if (!(index.number >= 0 && index.number < (double)c->frame->stored_count[e->buffer])) return v;
    v.number = stored[(int64_t)index.number];
    v.known = !isnan(v.number);
    return v;
}

static int64_t whole(Known v) {
    return fabs(v.number) < 9e15 ? (int64_t)v.number : 0;
}

static double computed(const LExpr *e, Known a, Known b, Known d) {
    switch (e->op) {
    case SOP_ADD: return a.number + b.number;
    case SOP_SUB: return a.number - b.number;
    case SOP_MUL: return a.number * b.number;
    case SOP_DIV: return floor(a.number / b.number);
    case SOP_MOD: return fmod(a.number, b.number);
    case SOP_NEG: return -a.number;
    case SOP_MIN: return a.number > b.number ? b.number : a.number;
    case SOP_MAX: return a.number < b.number ? b.number : a.number;
    case SOP_ABS: return fabs(a.number);
    case SOP_AND: return (double)(whole(a) & whole(b));
    case SOP_OR: return (double)(whole(a) | whole(b));
    case SOP_XOR: return (double)(whole(a) ^ whole(b));
    case SOP_SHL: return ldexp(a.number, (int)whole(b) & 63);
    case SOP_SHR: return floor(ldexp(a.number, -((int)whole(b) & 63)));
    case SOP_LT: return a.number < b.number;
    case SOP_LE: return a.number <= b.number;
    case SOP_GT: return a.number > b.number;
    case SOP_GE: return a.number >= b.number;
    case SOP_EQ: return a.number == b.number;
    case SOP_NE: return a.number != b.number;
    case SOP_MAND: return a.number != 0 && b.number != 0;
    case SOP_MOR: return a.number != 0 || b.number != 0;
    case SOP_MNOT: return a.number == 0;
    case SOP_SELECT: return a.number != 0 ? b.number : d.number;
    case SOP_CONVERT: return e->type == LT_F32 || e->type == LT_F64 ? a.number : trunc(a.number);
    case SOP_FMA:
    case SOP_MULHI:
    case SOP_BITCAST:
    case SOP_EXP:
    case SOP_LOG:
    case SOP_SIGMOID:
    case SOP_TANH:
    case SOP_SOFTPLUS:
    case SOP_LOGADDEXP:
    case SOP_POW:
    case SOP_SQRT:
    case SOP_FLOOR:
    case SOP_ERF:
    case SOP_SIN:
    case SOP_COS:
    case SOP_COUNT: break;
    }
    return NAN;
}

static bool is_float(LoopType type) {
    return type == LT_F32 || type == LT_F64;
}

static Known walk(BenchCounter *c, const LExpr *e) {
    if (!e) return number(0);
    switch (e->kind) {
    case LE_FLOAT: return number(e->number);
    case LE_INT: return number((double)e->integer);
    case LE_VAR: return c->frame->vars[e->var];
    case LE_LOAD: {
        Known index = walk(c, e->a);
        touch(c, e, e->buffer, index.depends, (double)(e->lanes * loop_type_size(e->type)));
        return load_stored(c, e, index);
    }
    case LE_OP: {
        Known a = walk(c, e->a), b = walk(c, e->b), d = walk(c, e->c), v;
        int operands = scalar_op_info[e->op].operands;
        if (is_float(e->type) && scalar_op_info[e->op].kind == SK_ARITH)
            c->to->flops += c->times * e->lanes * (e->op == SOP_FMA ? 2 : 1);
        v.known = a.known && (operands < 2 || b.known) && (operands < 3 || d.known);
        v.number = v.known ? computed(e, a, b, d) : 0;
        v.known = v.known && !isnan(v.number);
        v.depends = a.depends | b.depends | d.depends;
        /* What is chosen is what may be touched: a zig-zag goes through all of it each time. */
        if (e->op == SOP_SELECT) v.depends = b.depends | d.depends;
        if (v.known && (e->op == SOP_MAND || e->op == SOP_MOR)) return v;
        /* One side may decide alone. */
        if (e->op == SOP_MAND && ((a.known && a.number == 0) || (b.known && b.number == 0)))
            return (Known){true, 0, v.depends};
        if (e->op == SOP_MOR && ((a.known && a.number != 0) || (b.known && b.number != 0)))
            return (Known){true, 1, v.depends};
        return v;
    }
    case LE_SPLAT:
    case LE_LANE: return walk(c, e->a);
    }
    return number(0);
}

/* ---- Loops whose turns are alike ---- */

static bool mentions(const LExpr *e, const bool *tainted) {
    if (!e) return false;
    if (e->kind == LE_VAR) return tainted[e->var];
    return mentions(e->a, tainted) || mentions(e->b, tainted) || mentions(e->c, tainted);
}

/* False where a turn decides what another one does. */
static bool block_alike(const LFunction *f, const LBlock *block, bool *tainted, bool *own) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        switch (s->kind) {
        case LS_LET:
        case LS_MUTABLE:
            own[s->var] = true;
            tainted[s->var] = mentions(s->value, tainted);
            break;
        case LS_SET:
            if (!own[s->var] && !is_float(f->vars.at[s->var].type)) return false;
            tainted[s->var] = tainted[s->var] || mentions(s->value, tainted);
            break;
        case LS_STORE:
            if (!is_float(f->buffers.at[s->buffer].type)) return false;
            break;
        case LS_FOR:
            if (mentions(s->low, tainted) || mentions(s->high, tainted)) return false;
            own[s->var] = true;
            if (!block_alike(f, &s->body, tainted, own)) return false;
            break;
        case LS_IF:
            if (mentions(s->value, tainted)) return false;
            if (!block_alike(f, &s->body, tainted, own)) return false;
            if (!block_alike(f, &s->otherwise, tainted, own)) return false;
            break;
        case LS_PARALLEL: return false;
        case LS_GEMM:
        case LS_CALL:
            for (int a = 0; a < s->args.count; a++)
                if (mentions(s->args.at[a], tainted)) return false;
            break;
        case LS_BREAK:
        case LS_RETURN:
        case LS_BARRIER:
        case LS_COMMENT: break;
        }
    }
    return true;
}

static bool turns_alike(BenchCounter *c, const LStmt *s) {
    Seen *entry = seen_of(c, &s->body);
    if (entry->what < 0) {
        const LFunction *f = c->frame->function;
        bool *tainted = ARENA_ARRAY(c->arena, f->vars.count + 1, bool);
        bool *own = ARENA_ARRAY(c->arena, f->vars.count + 1, bool);
        memset(tainted, 0, (size_t)f->vars.count + 1);
        memset(own, 0, (size_t)f->vars.count + 1);
        tainted[s->var] = true;
        entry->what = block_alike(f, &s->body, tainted, own);
    }
    return entry->what != 0;
}

/* ---- Statements ---- */

static void walk_block(BenchCounter *c, const LBlock *block);

static void walk_for(BenchCounter *c, const LStmt *s) {
    Known low = walk(c, s->low), high = walk(c, s->high);
    double trips = c->usual, times = c->times;
    if (low.known && high.known)
        trips = fmax(0, ceil((high.number - low.number) / (double)s->step));
    else
        c->to->guessed = true;
    if (trips < 1 || c->depth >= MOST_DEPTH) return;
    Level *level = &c->levels[c->depth];
    *level = (Level){trips, turns_alike(c, s) || !low.known || !high.known};
    Known *var = &c->frame->vars[s->var];
    uint64_t depends = low.depends | (UINT64_C(1) << c->depth);
    c->depth++;
    if (level->alike) c->times *= trips;
    for (double i = 0; i < (level->alike ? 1 : trips); i++) {
        *var = (Known){low.known, low.number + i * (double)s->step, depends};
        walk_block(c, &s->body);
    }
    c->depth--;
    c->times = times;
}

static bool returns(const LBlock *block) {
    return block->count && (block->at[block->count - 1]->kind == LS_RETURN ||
                            block->at[block->count - 1]->kind == LS_BREAK);
}

/* What is known when it runs is taken as what usually is: no error, and the first branch. The
 * memory of one branch stands for that of both where turns take different ones. */
static void walk_if(BenchCounter *c, const LStmt *s) {
    Known condition = walk(c, s->value);
    if (!condition.known) {
        if (returns(&s->body)) {
            walk_block(c, &s->otherwise);
            return;
        }
        c->to->guessed = true;
        condition.number = 1;
    }
    bool mute = c->mute;
    int branch = condition.number != 0;
    Seen *entry = seen_of(c, s);
    if (entry->what < 0) entry->what = branch;
    c->mute = mute || entry->what != branch;
    walk_block(c, branch ? &s->body : &s->otherwise);
    c->mute = mute;
}

static void store(BenchCounter *c, const LStmt *s) {
    Known index = walk(c, s->index), value = walk(c, s->value);
    const LBuffer *b = &c->frame->function->buffers.at[s->buffer];
    touch(c, s, s->buffer, index.depends,
          (double)((s->value->lanes ? s->value->lanes : 1) * loop_type_size(b->type)));
    if (is_float(b->type) || !index.known) return;
    Frame *f = c->frame;
    int64_t at = whole(index);
    if (at < 0 || at >= MOST_STORED) return;
    if (at >= f->stored_count[s->buffer]) {
        int64_t room = at < 64 ? 128 : 2 * at;
        double *grown = ARENA_ARRAY(c->arena, room, double);
        for (int64_t i = 0; i < room; i++)
            grown[i] = i < f->stored_count[s->buffer] ? f->stored[s->buffer][i] : NAN;
        f->stored[s->buffer] = grown;
        f->stored_count[s->buffer] = room;
    }
    f->stored[s->buffer][at] = value.known ? value.number : NAN;
}

static Frame *frame_new(Arena *arena, const LFunction *function) {
    Frame *f = ARENA_NEW(arena, Frame);
    size_t buffers = (size_t)function->buffers.count + 1;
    *f = (Frame){.function = function,
                 .vars = ARENA_ARRAY(arena, function->vars.count + 1, Known),
                 .stored = ARENA_ARRAY(arena, function->buffers.count + 1, double *),
                 .stored_count = ARENA_ARRAY(arena, function->buffers.count + 1, int64_t)};
    for (int i = 0; i <= function->vars.count; i++) f->vars[i] = (Known){0};
    for (size_t i = 0; i < buffers; i++) {
        f->stored[i] = NULL;
        f->stored_count[i] = 0;
    }
    return f;
}

static void walk_call(BenchCounter *c, const LStmt *s) {
    const LFunction *callee = c->module->functions.at[s->callee];
    Frame *frame = frame_new(c->arena, callee), *outer = c->frame;
    for (int i = 0; i < callee->args.count && i < s->args.count; i++) {
        const LArg *arg = &callee->args.at[i];
        const LExpr *given = s->args.at[i];
        if (arg->var < 0) continue;
        Known v = number(1);
        if (!arg->pointer)
            v = walk(c, given);
        else if (given && given->kind == LE_LOAD) {
            const LBuffer *b = &outer->function->buffers.at[given->buffer];
            int null = b->base == LB_ARG ? outer->function->args.at[b->arg].var : -1;
            if (null >= 0) v = outer->vars[null];
        }
        frame->vars[arg->var] = v;
    }
    c->frame = frame;
    walk_block(c, &callee->body);
    c->frame = outer;
    c->ended = false;
    if (s->var >= 0) outer->vars[s->var] = (Known){0};
}

/* Each element of A, B and C once, and a multiply-add for each term. */
static void walk_gemm(BenchCounter *c, const LStmt *s) {
    double sizes[3];
    for (int i = 0; i < 3; i++) {
        Known size = walk(c, s->args.at[GEMM_ROWS + i]);
        sizes[i] = size.known ? fmax(0, size.number) : c->usual;
        if (!size.known) c->to->guessed = true;
    }
    const double counts[3] = {sizes[0] * sizes[1], sizes[0] * sizes[2], sizes[2] * sizes[1]};
    for (int i = 0; i < 3; i++) {
        const LExpr *first = s->args.at[GEMM_C + i];
        uint64_t depends = walk(c, first->a).depends;
        touch(c, first, first->buffer, depends, counts[i] * loop_type_size(first->type));
    }
    c->to->flops += c->times * 2 * sizes[0] * sizes[1] * sizes[2];
}

static void walk_statement(BenchCounter *c, const LStmt *s) {
    switch (s->kind) {
    case LS_LET:
    case LS_MUTABLE:
    case LS_SET: c->frame->vars[s->var] = walk(c, s->value); break;
    case LS_STORE: store(c, s); break;
    case LS_FOR: walk_for(c, s); break;
    case LS_IF: walk_if(c, s); break;
    case LS_RETURN: c->ended = true; break;
    case LS_PARALLEL: /* the work of all, as one thread does it */
        c->frame->vars[s->var] = number(0);
        c->frame->vars[s->var2] = number(1);
        walk_block(c, &s->body);
        break;
    case LS_CALL: walk_call(c, s); break;
    case LS_GEMM: walk_gemm(c, s); break;
    case LS_BREAK:
    case LS_BARRIER:
    case LS_COMMENT: break;
    }
}

static void walk_block(BenchCounter *c, const LBlock *block) {
    for (int i = 0; i < block->count && !c->ended; i++) walk_statement(c, block->at[i]);
}

BenchCounter *bench_counter_new(Arena *arena, const LoopModule *module, const LFunction *function,
                                const int64_t *scalars, int64_t usual) {
    BenchCounter *c = ARENA_NEW(arena, BenchCounter);
    *c = (BenchCounter){.arena = arena, .module = module, .usual = (double)usual, .times = 1};
    c->frame = frame_new(arena, function);
    for (int i = 0; i < function->args.count; i++)
        if (function->args.at[i].var >= 0)
            c->frame->vars[function->args.at[i].var] = number((double)scalars[i]);
    return c;
}

void bench_count(BenchCounter *counter, const LStmt *statement, BenchCount *to) {
    counter->to = to;
    if (!counter->ended) walk_statement(counter, statement);
}
