/* `rnnc bench`: every function of a model is called with random inputs of the sizes that are asked
 * for, and so is each of its beginnings, up to the end of one loop after the other: what a loop
 * takes is the difference. */
#include "bench.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { ROUNDS = 15, MOST_PARTS = 16 };

/* Some statements of a function's body, one after the other. */
typedef struct Part {
    int end; /* behind the last one */
    const char *label;
    int line;
    int upto; /* in functions of the interface: the function up to here; -1: all of it */
    BenchCount count;
    double ns, limit;
} Part;

typedef struct Timed {
    const char *name;
    int index; /* in functions of the interface */
    VEC(Part) parts;
    double ns;
} Timed;

typedef struct Bench {
    Compilation *c;
    Text *out;
    BenchSizes sizes;
    RunData *data;
    Compiled *compiled;
    BenchProbes probes;
    BenchMachine machine;
    VEC(Timed) timed;
} Bench;

/* ---- Parts of a function ---- */

static const char *comment_in(const LBlock *block) {
    for (int i = 0; i < block->count; i++) {
        const LStmt *s = block->at[i];
        if (s->kind == LS_COMMENT) return s->text;
        const char *within = comment_in(&s->body);
        if (!within) within = comment_in(&s->otherwise);
        if (within) return within;
    }
    return NULL;
}

static bool has_loop(const LStmt *s) {
    if (s->kind == LS_FOR || s->kind == LS_PARALLEL || s->kind == LS_CALL || s->kind == LS_GEMM)
        return true;
    for (int i = 0; i < s->body.count; i++)
        if (has_loop(s->body.at[i])) return true;
    for (int i = 0; i < s->otherwise.count; i++)
        if (has_loop(s->otherwise.at[i])) return true;
    return false;
}

static void add_count(Arena *arena, BenchCount *to, const BenchCount *from) {
    to->flops += from->flops;
    to->guessed = to->guessed || from->guessed;
    for (int i = 0; i < from->memory.count; i++) {
        bool found = false;
        for (int k = 0; k < to->memory.count && !found; k++)
            if (to->memory.at[k].buffer == from->memory.at[i].buffer) {
                BenchMemory *memory = &to->memory.at[k];
                memory->touched = fmax(memory->touched, from->memory.at[i].touched);
                memory->traffic += from->memory.at[i].traffic;
                found = true;
            }
        if (!found) vec_push(arena, &to->memory, from->memory.at[i]);
    }
}

static double memory_bytes(const BenchCount *count) {
    double all = 0;
    for (int i = 0; i < count->memory.count; i++) all += count->memory.at[i].traffic;
    return all;
}

static double weight(const BenchCount *count) {
    return count->flops + memory_bytes(count);
}

/* What the arguments of a function will be, for the counting: scalars, and which pointers there
 * are. */
static int64_t *scalars_of(Bench *b, int index) {
    const Interface *in = b->c->interface_;
    const InterfaceFunction *function = &in->functions.at[index];
    const RunData *data = b->data;
    int64_t *scalars = ARENA_ARRAY(b->c->arena, function->args.count + 1, int64_t);
    for (int i = 0; i < function->args.count; i++) {
        int slot = function->args.at[i].slot;
        scalars[i] = 1;
        switch (function->args.at[i].role) {
        case ROLE_BATCH:
        case ROLE_COUNT: scalars[i] = data->batch; break;
        case ROLE_STEPS: scalars[i] = data->extent[slot]; break;
        case ROLE_LENGTHS: scalars[i] = data->lengths[slot] != NULL; break;
        case ROLE_UPSTREAM: scalars[i] = data->upstream[slot] != NULL; break;
        case ROLE_INPUT_GRAD: scalars[i] = run_grad_wanted(data, slot); break;
        case ROLE_FIRST:
        case ROLE_SEED:
        case ROLE_POOL: scalars[i] = 0; break;
        case ROLE_WORK_BYTES: scalars[i] = INT64_MAX; break;
        case ROLE_PARAMS:
        case ROLE_WEIGHTS:
        case ROLE_OUT_LENGTHS:
        case ROLE_INPUT:
        case ROLE_OUTPUT:
        case ROLE_LOSS:
        case ROLE_GRADS:
        case ROLE_STATE:
        case ROLE_ENDED:
        case ROLE_AT:
        case ROLE_WORK: break;
        }
    }
    return scalars;
}

/* The function's statements one by one. */
static BenchCount *count_statements(Bench *b, int index, const LFunction *function) {
    Arena *arena = b->c->arena;
    const LoopModule *module = b->c->interface_->module;
    BenchCounter *counter =
        bench_counter_new(arena, module, function, scalars_of(b, index), b->sizes.steps);
    BenchCount *counts = ARENA_ARRAY(arena, function->body.count + 1, BenchCount);
    for (int i = 0; i < function->body.count; i++) {
        counts[i] = (BenchCount){0};
        bench_count(counter, function->body.at[i], &counts[i]);
    }
    return counts;
}

/* The buffers of the caller that statements store to. */
static void stored_in(const LFunction *function, const LStmt *s, Text *out) {
    if (s->kind == LS_STORE) {
        const LBuffer *buffer = &function->buffers.at[s->buffer];
        const char *at = strstr(text_string(out), buffer->name);
        if (buffer->base == LB_ARG && !at && out->length < 60)
            text_printf(out, " %s", buffer->name);
    }
    for (int i = 0; i < s->body.count; i++) stored_in(function, s->body.at[i], out);
    for (int i = 0; i < s->otherwise.count; i++) stored_in(function, s->otherwise.at[i], out);
}

static void name_part(Arena *arena, Part *part, const LFunction *function, int statement) {
    const LStmt *s = function->body.at[statement];
    const char *comment = comment_in(&s->body);
    if (!comment && statement && function->body.at[statement - 1]->kind == LS_COMMENT)
        comment = function->body.at[statement - 1]->text;
    part->line = s->at.line;
    part->label = comment;
    if (comment) return;
    Text text = text_new(arena);
    text_puts(&text, "into");
    stored_in(function, s, &text);
    part->label = text_string(&text);
}

/* Loops that do a fiftieth of the work or more stand alone; what lies between them stands together.
 */
static void cut(Bench *b, Timed *timed, const LFunction *function) {
    Arena *arena = b->c->arena;
    BenchCount *counts = count_statements(b, timed->index, function);
    double all = 0;
    for (int i = 0; i < function->body.count; i++) all += weight(&counts[i]);
    Part part = {.upto = -1};
    for (int i = 0; i < function->body.count; i++) {
        bool large = has_loop(function->body.at[i]) && weight(&counts[i]) >= all / 50 &&
                     timed->parts.count < MOST_PARTS - 2;
        if (large && part.end && weight(&part.count) > 0) {
            vec_push(arena, &timed->parts, part);
            part = (Part){.upto = -1};
        }
        add_count(arena, &part.count, &counts[i]);
        part.end = i + 1;
        if (!large) continue;
        name_part(arena, &part, function, i);
        vec_push(arena, &timed->parts, part);
        part = (Part){.upto = -1};
    }
    if (part.end) vec_push(arena, &timed->parts, part);
    for (int i = 0; i < timed->parts.count; i++)
        if (!timed->parts.at[i].label) timed->parts.at[i].label = "small loops and checks";
}

/* The function up to the end of each part but the last, as functions of their own. */
static void add_beginnings(Bench *b, Timed *timed, const LFunction *function) {
    Interface *in = b->c->interface_;
    Arena *arena = in->module->arena;
    for (int i = 0; i + 1 < timed->parts.count; i++) {
        Part *part = &timed->parts.at[i];
        LFunction *made = arena_copy(arena, function, sizeof *function);
        const char *name = arena_printf(arena, "%s_upto_%d", function->name, i);
        made->name = name_of(in->module->names, name);
        made->body.at = ARENA_ARRAY(arena, part->end + 1, LStmt *);
        made->body.room = part->end + 1;
        made->body.count = part->end;
        memcpy(made->body.at, function->body.at, (size_t)part->end * sizeof *made->body.at);
        loop_return(in->module, &made->body, loop_int_of(in->module, LT_I32, LOOP_OK));
        vec_push(arena, &in->module->functions, made);
        InterfaceFunction entry = in->functions.at[timed->index];
        entry.function = in->module->functions.count - 1;
        vec_push(arena, &in->functions, entry);
        part->upto = in->functions.count - 1;
    }
}

static void add_timed(Bench *b, const char *name, int index) {
    Interface *in = b->c->interface_;
    if (index < 0) return;
    Timed timed = {.name = name, .index = index};
    const LFunction *function = in->module->functions.at[in->functions.at[index].function];
    cut(b, &timed, function);
    add_beginnings(b, &timed, function);
    vec_push(b->c->arena, &b->timed, timed);
}

/* ---- Time ---- */

/* All functions in turn, ROUNDS times; the quickest of each, as whatever else runs on this machine
 * only adds to it, and differences of what it added would say nothing. */
static bool take_times(Bench *b, ExitStatus *status) {
    for (int i = 0; i < b->timed.count; i++)
        if (!compiled_checked(b->compiled, b->timed.at[i].index, status)) return false;
    *status = EXIT_OUTSIDE;
    int count = 0, most = 0;
    for (int i = 0; i < b->timed.count; i++) most += b->timed.at[i].parts.count + 1;
    BenchClock *all = ARENA_ARRAY(b->c->arena, most + 1, BenchClock);
    for (int i = 0; i < b->timed.count; i++) {
        Timed *timed = &b->timed.at[i];
        if (!bench_clock_new(b->compiled, timed->index, timed->index, &timed->ns, &all[count++]))
            return false;
        for (int p = 0; p < timed->parts.count; p++) {
            Part *part = &timed->parts.at[p];
            if (part->upto >= 0 &&
                !bench_clock_new(b->compiled, part->upto, timed->index, &part->ns, &all[count++]))
                return false;
        }
    }
    for (int i = 0; i < count; i++) *all[i].to = bench_clock(&all[i]);
    for (int round = 1; round < ROUNDS; round++)
        for (int i = 0; i < count; i++) *all[i].to = fmin(*all[i].to, bench_clock(&all[i]));
    return true;
}

/* ---- Report ---- */

/* Arithmetic, or reading and writing what it touches, whichever is slower. */
static double limit_of(const Bench *b, const BenchCount *count) {
    double bytes = 0, threads = b->c->options->threads > 1 ? b->c->options->threads : 1;
    for (int i = 0; i < count->memory.count; i++)
        bytes += count->memory.at[i].traffic /
                 bench_machine_bytes(&b->machine, count->memory.at[i].touched / threads);
    return fmax(count->flops / b->machine.flops, bytes) / threads;
}

static void print_row(Bench *b, const char *name, double ns, double limit, double of,
                      const BenchCount *count) {
    Arena *arena = b->c->arena;
    text_printf(b->out, "  %-48.48s %11s %11s", name, bench_time_text(arena, ns),
                bench_time_text(arena, limit));
    text_printf(b->out, ns > 0 ? " %5.0f%%" : "      ", ns > 0 ? 100 * limit / ns : 0);
    text_printf(b->out, of > 0 ? " %5.0f%%" : "      ", of > 0 ? 100 * ns / of : 0);
    text_printf(b->out, " %10.3f %10.3f%s\n", count->flops / 1e6, memory_bytes(count) / 1e6,
                count->guessed ? " *" : "");
}

static void print_timed(Bench *b, Timed *timed) {
    Arena *arena = b->c->arena;
    BenchCount all = {0};
    double limit = 0, before = 0;
    bool guessed = false;
    for (int i = 0; i < timed->parts.count; i++) {
        Part *part = &timed->parts.at[i];
        double until = part->upto >= 0 ? part->ns : timed->ns;
        part->ns = fmax(0, until - before);
        before = fmax(before, until);
        part->limit = limit_of(b, &part->count);
        limit += part->limit;
        add_count(arena, &all, &part->count);
        guessed = guessed || part->count.guessed;
    }
    print_row(b, timed->name, timed->ns, limit, 0, &all);
    for (int i = 0; timed->parts.count > 1 && i < timed->parts.count; i++) {
        const Part *part = &timed->parts.at[i];
        const char *line = part->line ? arena_printf(arena, "line %d: ", part->line) : "";
        const char *name = arena_printf(arena, "  %s%s", line, part->label);
        print_row(b, name, part->ns, part->limit, timed->ns, &part->count);
    }
    if (guessed)
        text_puts(b->out, "  * counted with a length or a condition that only running tells\n");
}

static void print_head(Bench *b) {
    text_printf(b->out, "\n%s, %s, peak %.0f GFLOP/s, GB/s",
                b->c->options->training ? "training" : "inference", run_c_name(b->compiled),
                b->machine.flops);
    for (int i = 0; i < BENCH_SIZES; i++)
        text_printf(b->out, "%s %.0f of %.0f%s", i ? "," : "", b->machine.bytes[i],
                    bench_size(i) / (bench_size(i) < 1 << 20 ? 1 << 10 : 1 << 20),
                    bench_size(i) < 1 << 20 ? "K" : "M");
    text_printf(b->out, "\n  %-48s %11s %11s %6s %6s %10s %10s\n", "", "time", "limit", "share",
                "part", "MFLOP", "MB");
}

/* ---- The order of things ---- */

/* Functions, their beginnings and the probes, compiled, with what they are called with. */
static bool prepare(Bench *b, ExitStatus *status) {
    Interface *in = b->c->interface_;
    if (b->c->options->training) {
        add_timed(b, "grad", in->grad);
    } else {
        add_timed(b, "pack", in->pack);
        add_timed(b, "forward", in->forward);
        add_timed(b, "step", in->step);
    }
    b->probes = bench_probes_add(in);
    b->compiled = run_c_open(b->c, status);
    return b->compiled && bench_lay_out(b->c, b->compiled, b->data, status);
}

static bool one_mode(Bench *b, bool training, ExitStatus *status) {
    Compilation *outer = b->c;
    Options *options = arena_copy(outer->arena, outer->options, sizeof *options);
    options->training = training;
    options->mode = training ? MODE_TRAIN : MODE_INFER;
    Bench mode = {.c = compilation_new(outer->arena, options), .out = b->out, .sizes = b->sizes};
    Compilation *c = mode.c;
    c->target = outer->target;
    c->read = outer->read;
    c->read_user = outer->read_user;
    RunData data;
    *status = EXIT_INPUT;
    bool good = compilation_run(c, STAGE_LOOP) && bench_draw(c, &mode.sizes, &data);
    if (good && (training ? c->interface_->grad : c->interface_->forward) < 0) return true;
    mode.data = &data;
    good = good && prepare(&mode, status);
    if (good &&
        !bench_machine_measure(c->interface_, compiled_symbol(mode.compiled, mode.probes.peak),
                               compiled_symbol(mode.compiled, mode.probes.read), &mode.machine)) {
        text_puts(&c->log, "rnnc: error: no memory to measure this machine with\n");
        *status = EXIT_OUTSIDE;
        good = false;
    }
    good = good && take_times(&mode, status);
    if (good) {
        print_head(&mode);
        for (int i = 0; i < mode.timed.count; i++) print_timed(&mode, &mode.timed.at[i]);
    }
    if (mode.compiled) run_c_close(mode.compiled);
    text_puts(&outer->log, text_string(&c->log));
    if (!good) *outer->diags = *c->diags;
    return good;
}

ExitStatus bench_model(Compilation *c, Text *out) {
    Bench b = {.c = c, .out = out};
    ExitStatus status = EXIT_INPUT;
    if (!compilation_run(c, STAGE_GRAPH) || !bench_choose_sizes(c, &b.sizes)) return EXIT_INPUT;
    text_printf(out, "model %s, %" PRId64 " steps, batch %" PRId64 ", --dtype=%s, %s\n", c->model,
                b.sizes.steps, b.sizes.batch, c->options->real == LT_F64 ? "f64" : "f32",
                c->target.target.name);
    if (!one_mode(&b, false, &status)) return status;
    return one_mode(&b, true, &status) ? EXIT_DONE : status;
}
