/* Parallel regions as C: the body becomes a function, what it takes from outside a struct that all
 * threads read, and the region a call of the runtime.
 *
 * Pointers in the function are `restrict` only to memory that the region leaves as it is, or that
 * no thread may read after another wrote it: without barriers two threads touch no element in
 * common that one of them writes, so each sees its own accesses alone. With barriers they may, and
 * a compiler that trusts `restrict` could carry what it has read past a barrier. */
#include "c.h"

#include <inttypes.h>

static void put_field(Text *line, const char *type, const char *name) {
    bool star = type[strlen(type) - 1] == '*';
    text_printf(line, "%s%s%s", type, star ? "" : " ", name);
}

/* One thing that is taken along: its field, how the function reads it, what the caller puts there.
 */
static void take(EmitC *c, Text *fields, Text *values, const char *type, const char *own_type,
                 const char *region, const char *name, const char *value) {
    Text *out = c->out, field = text_new(c->arena), own = text_new(c->arena);
    put_field(&field, type, name);
    text_puts(&field, ";");
    c->out = fields;
    c_line(c, &field);
    c->out = out;
    put_field(&own, own_type, name);
    text_printf(&own, " = %s->%s;", region, name);
    c_line(c, &own);
    text_printf(values, "%s%s", values->length ? ", " : "", value);
}

/* The head of the function: everything from outside under the name that it has there. */
static void take_all(EmitC *c, const LiveRegion *in, const char *region, const char *pool,
                     Text *fields, Text *values) {
    const LFunction *f = c->function;
    if (in->barriers)
        take(c, fields, values, "struct rnn_rt_pool *", "struct rnn_rt_pool *const", region,
             c->pool, pool);
    for (int v = 0; v < f->vars.count; v++) {
        if (!in->vars[v]) continue;
        const char *type = c_type(c, f->vars.at[v].type, f->vars.at[v].lanes);
        take(c, fields, values, type, arena_printf(c->arena, "const %s", type), region, c->vars[v],
             c->vars[v]);
    }
    for (int b = 0; b < f->buffers.count; b++) {
        if (!in->buffers[b]) continue;
        bool parted = !(in->barriers && f->buffers.at[b].written);
        take(c, fields, values, c_buffer_type(c, b, false), c_buffer_type(c, b, parted), region,
             c->buffers[b], c->buffers[b]);
    }
}

/* Locals and tables that the body uses are the function's own. */
static void declare_own(EmitC *c, const LStmt *s, bool declare) {
    const LFunction *f = c->function;
    bool *used = ARENA_ARRAY(c->arena, f->buffers.count + 1, bool);
    const bool *loads = live_loads(c->arena, f, &s->body);
    for (int i = 0; i < s->body.count; i++) live_stmt_buffers(f, s->body.at[i], used);
    for (int b = 0; b < f->buffers.count; b++) {
        if (!used[b] || !c->live.buffers[b] || f->buffers.at[b].base == LB_ARG) continue;
        c->buffers[b] = NULL;
        if (!declare) continue;
        c_buffer(c, b);
        if (!loads[b]) c_put(c, arena_printf(c->arena, "(void)%s;", c->buffers[b]));
    }
}

static void print_function(EmitC *c, const LStmt *s, const LiveRegion *in, const char *name,
                           const char *pool, Text *values) {
    Text *outer = c->out, body = text_new(c->arena), fields = text_new(c->arena);
    int depth = c->depth, visible = c_visible(c);
    const char **buffers =
        arena_copy(c->arena, c->buffers, (size_t)c->function->buffers.count * sizeof *c->buffers);
    const char *shared = c_declare(c, "shared"), *region = c_declare(c, "region");
    const char *thread = c_declare(c, c->function->vars.at[s->var].name),
               *threads = c_declare(c, c->function->vars.at[s->var2].name);
    c->vars[s->var] = c->thread = thread;
    c->vars[s->var2] = threads;
    c->out = &body;
    c->depth = 1;
    take_all(c, in, region, pool, &fields, values);
    if (!c->live.vars[s->var] && !in->barriers)
        c_put(c, arena_printf(c->arena, "(void)%s;", thread));
    if (!c->live.vars[s->var2]) c_put(c, arena_printf(c->arena, "(void)%s;", threads));
    if (!values->length) c_put(c, arena_printf(c->arena, "(void)%s;", shared));
    declare_own(c, s, true);
    c->depth = 0;
    c_block(c, &s->body);
    declare_own(c, s, false);
    memcpy(c->buffers, buffers, (size_t)c->function->buffers.count * sizeof *buffers);
    c->out = c->regions;
    c->depth = 0;
    if (values->length)
        text_printf(c->regions, "\n/* What the threads of a region share. */\nstruct %s {\n%s};\n",
                    name, text_string(&fields));
    text_puts(c->regions, "\n");
    c_put(c, arena_printf(c->arena, "static void %s(void *%s, int64_t %s, int64_t %s)", name,
                          shared, thread, threads));
    c_put(c, "{");
    c->depth = 1;
    if (values->length)
        c_put(c, arena_printf(c->arena, "const struct %s *const %s = (const struct %s *)%s;", name,
                              region, name, shared));
    text_printf(c->regions, "%s}\n", text_string(&body));
    c->out = outer;
    c->depth = depth;
    c_leave(c, visible);
}

/* Those who run the region: all threads, or none but the caller where that is faster. */
static void choose(EmitC *c, const LStmt *s, const char *pool) {
    c_expr_begin(c);
    c_expr_count(c, s->low);
    c_expr_count(c, s->high);
    c_expr_prepare(c, s->low, NULL);
    c_expr_prepare(c, s->high, NULL);
    Text line = text_new(c->arena);
    text_printf(&line, "struct rnn_rt_pool *const %s = rnn_rt_pool_for(%s, ", pool, c->pool);
    c_expr(c, &line, s->low);
    text_puts(&line, ", ");
    c_expr(c, &line, s->high);
    text_puts(&line, ");");
    c_line(c, &line);
}

void c_region(EmitC *c, const LStmt *s) {
    LiveRegion in = live_region(c->arena, &c->live, c->function, s);
    Text values = text_new(c->arena);
    const char *name =
        arena_printf(c->arena, "%s_region_%d", identifier_symbol(c->module, c->function->name),
                     ++c->region_count);
    int visible = c_visible(c);
    const char *pool = s->low ? c_declare(c, "team") : c->pool;
    c->any_region = true;
    c->any_choice |= s->low != NULL;
    print_function(c, s, &in, name, pool, &values);
    const char *region = values.length ? c_declare(c, "region") : NULL;
    if (region || s->low) c_put(c, "{");
    c->depth += region || s->low;
    if (s->low) choose(c, s, pool);
    if (region)
        c_put(c,
              arena_printf(c->arena, "struct %s %s = {%s};", name, region, text_string(&values)));
    c_put(c, arena_printf(c->arena, "rnn_rt_pool_run(%s, %s, %s%s);", pool, name, region ? "&" : "",
                          region ? region : "NULL"));
    c->depth -= region || s->low;
    if (region || s->low) c_put(c, "}");
    c_leave(c, visible);
}

void c_barrier(EmitC *c) {
    c_put(c, arena_printf(c->arena, "rnn_rt_pool_barrier(%s, %s);", c->pool, c->thread));
}

void c_pool_prototypes(Text *out, bool choices) {
    text_puts(out, "\n/* Of the runtime, librnn_rt. */\nstruct rnn_rt_pool;\n");
    if (choices)
        text_puts(out, "struct rnn_rt_pool *rnn_rt_pool_for(struct rnn_rt_pool *pool, int64_t ns,\n"
                       "                                    int64_t barriers);\n");
    text_puts(out, "void rnn_rt_pool_run(struct rnn_rt_pool *pool,\n"
                   "                     void (*function)(void *context, int64_t thread, int64_t "
                   "threads),\n"
                   "                     void *context);\n"
                   "void rnn_rt_pool_barrier(struct rnn_rt_pool *pool, int64_t thread);\n");
}
