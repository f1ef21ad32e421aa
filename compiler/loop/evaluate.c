/* The doors of the Loop evaluator, and its slow path: which accesses are legal. */
#include "loop/evaluate_code.h"

#include "loop/text_form.h"

/* ---- accesses ---- */

/* The first buffer of a chain of aliases: those of one chain may overlap. */
static int alias_root(const LFunction *f, int buffer) {
    while (f->buffers.at[buffer].alias) buffer = f->buffers.at[buffer].alias - 1;
    return buffer;
}

/* An overlap that the program does not admit, with a buffer that was used in this call already; -1:
 * none. */
static int overlap(const EvFunction *f, int buffer) {
    const LFunction *function = f->function;
    const EvBuffer *b = &f->buffers[buffer];
    for (int i = 0; i < function->buffers.count; i++) {
        const EvBuffer *o = &f->buffers[i];
        if (i == buffer || function->buffers.at[i].base != LB_ARG || !o->limit) continue;
        if (!function->buffers.at[i].written && !function->buffers.at[buffer].written) continue;
        uintptr_t begin = (uintptr_t)b->base, end = begin + (uintptr_t)(b->count * b->size);
        uintptr_t o_begin = (uintptr_t)o->base, o_end = o_begin + (uintptr_t)(o->count * o->size);
        if (begin < o_end && o_begin < end &&
            alias_root(function, i) != alias_root(function, buffer))
            return i;
    }
    return -1;
}

bool eval_touch(EvRun *run, EvFunction *f, int buffer, int64_t index, int lanes) {
    const LBuffer *claim = &f->function->buffers.at[buffer];
    EvBuffer *b = &f->buffers[buffer];
    long long first = index, count = b->count;
    if (index < 0 || lanes > b->count || index > b->count - lanes) {
        run->message = arena_printf(
            run->arena, "index %lld with %d lanes is outside of %s, which has %lld elements", first,
            lanes, claim->name, count);
        return false;
    }
    if (b->limit) return true;
    /* The first use in this call: look at the claims of the whole buffer. */
    const char *arg = f->function->args.at[claim->arg].name;
    if (!b->base) {
        run->message =
            arena_printf(run->arena, "%s lies in %s, which is NULL or shorter than the offset",
                         claim->name, arg);
        return false;
    }
    if (b->count > b->room / b->size) {
        run->message = arena_printf(
            run->arena, "%s needs %lld elements of %d bytes, but %s has %lld bytes there",
            claim->name, count, b->size, arg, (long long)b->room);
        return false;
    }
    int align = claim->align ? claim->align : b->size;
    if ((uintptr_t)b->base % (uintptr_t)align) {
        run->message =
            arena_printf(run->arena, "%s is not aligned to %d bytes", claim->name, align);
        return false;
    }
    int other = overlap(f, buffer);
    if (other >= 0) {
        run->message = arena_printf(run->arena, "%s overlaps %s, which is not its alias",
                                    claim->name, f->function->buffers.at[other].name);
        return false;
    }
    b->limit = b->count;
    return true;
}

/* ---- calls ---- */

static bool take_args(EvRun *run, EvFunction *f, const LoopValue *args, int arg_count) {
    const LFunction *function = f->function;
    if (arg_count != function->args.count) {
        run->message =
            arena_printf(run->arena, "function %s: %d arguments are given where %d are wanted",
                         function->name, arg_count, function->args.count);
        return false;
    }
    f->args = args;
    for (int i = 0; i < arg_count; i++) {
        const LArg *arg = &function->args.at[i];
        int64_t value = arg->pointer ? args[i].pointer != NULL : args[i].integer;
        int32_t narrow = (int32_t)value;
        bool is_narrow = arg->pointer || arg->type == LT_I32;
        if (is_narrow && value != narrow) {
            run->message = arena_printf(run->arena, "function %s: argument %s is no i32",
                                        function->name, arg->name);
            return false;
        }
        if (arg->var < 0) continue;
        if (is_narrow)
            memcpy(f->regs + f->vars[arg->var], &narrow, 4);
        else
            memcpy(f->regs + f->vars[arg->var], &value, 8);
    }
    return true;
}

void eval_where(const EvRun *run, const EvFunction *f, int at, Text *out) {
    const LStmt *s = f->where.at[at];
    text_printf(out, "function %s: ", f->function->name);
    if (s) loop_print_head(run->program->module, f->function, s, out);
    if (s) text_puts(out, ": ");
}

bool eval_call(EvRun *run, int index, const LoopValue *args, int arg_count, int64_t *result) {
    EvFunction *f = &run->program->functions[index];
    int at = 0;
    if (!take_args(run, f, args, arg_count)) return false;
    if (eval_execute(run, f, 0, result, &at) == EV_RETURNED) return true;
    Text where = text_new(run->arena);
    eval_where(run, f, at, &where);
    run->message = arena_printf(run->arena, "%s%s", text_string(&where), run->message);
    return false;
}

LoopProgram *loop_program_new(Arena *arena, const LoopModule *module, const char **error) {
    Diags *diags = diags_new(arena);
    if (!loop_verify(module, false, "evaluate", diags)) {
        *error = diags->list.count ? diags->list.at[0]->message : "the module is not sound";
        return NULL;
    }
    LoopProgram *program = ARENA_NEW(arena, LoopProgram);
    program->arena = arena;
    program->module = module;
    program->steps = INT64_MAX;
    program->functions = ARENA_ARRAY(arena, module->functions.count, EvFunction);
    for (int i = 0; i < module->functions.count; i++) {
        program->functions[i].function = module->functions.at[i];
        eval_compile(arena, module, &program->functions[i]);
    }
    return program;
}

void loop_program_limit(LoopProgram *program, int64_t steps) {
    program->steps = steps;
}

bool loop_program_call(LoopProgram *program, Arena *arena, const char *function,
                       const LoopValue *args, int arg_count, int64_t *result, const char **error) {
    const LoopModule *module = program->module;
    EvRun run = {.program = program, .arena = arena, .steps = program->steps, .thread = -1};
    int64_t ignored = 0;
    for (int i = 0; i < module->functions.count; i++) {
        if (strcmp(module->functions.at[i]->name, function) != 0) continue;
        if (eval_call(&run, i, args, arg_count, result ? result : &ignored)) return true;
        *error = run.message;
        return false;
    }
    *error = arena_printf(arena, "there is no function %s", function);
    return false;
}

bool loop_evaluate(Arena *arena, const LoopModule *module, const char *function,
                   const LoopValue *args, int arg_count, int64_t *result, const char **error) {
    LoopProgram *program = loop_program_new(arena, module, error);
    return program && loop_program_call(program, arena, function, args, arg_count, result, error);
}
