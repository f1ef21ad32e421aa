/* --verify-each: all programs of the tests and the examples are sound under it; a pass that damages
 * a graph is named, with the output and the position; a text that is not read back to the same
 * bytes is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "pipeline.h"
#include "verify_each.h"

static jmp_buf oom;

static const char model[] = "size H = 3\n"
                            "model M(x[t]: [H]) -> h[t]: [H], s: [], k[t]: int(H) {\n"
                            "    param U: [H, H] ~ orthogonal\n"
                            "    param b: [H] = 0.5\n"
                            "    state h[t]: [H] = 1\n"
                            "    h[t] = tanh(U @ h[t-1] + x[t] - b * 2)\n"
                            "    s = sum[t](sum(softmax(h[t]) * x[t]))\n"
                            "    k[t] = argmax(x[t])\n"
                            "}\n";

static const Source *read_text(void *user, Arena *arena, const char *path, const char **why) {
    Source *source = ARENA_NEW(arena, Source);
    (void)why;
    *source = (Source){path, user, (uint32_t)strlen(user)};
    return source;
}

static Compilation *compile(Arena *arena, const char *file, const char *text, const char *name,
                            Mode mode, Stage stage) {
    Options *options = ARENA_NEW(arena, Options);
    options->file = file;
    options->model = name;
    options->mode = mode;
    options->real = LT_F32;
    options->optional_passes = options->verify_each = options->verbose = true;
    Compilation *c = compilation_new(arena, options);
    c->target.target = (Target){"x86-64-v3", 8, true, 16, 512 << 10};
    if (text) {
        c->read = read_text;
        c->read_user = (void *)(uintptr_t)text;
    }
    compilation_run(c, stage);
    return c;
}

static const char *words(Arena *arena, const Diags *diags) {
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    return text.length ? text_string(&text) : "";
}

/* ---- Everything that there is ---- */

static void try_file(const char *file, int *models, int *left_out) {
    Arena *arena = arena_new(&oom);
    Compilation *c = compile(arena, file, NULL, NULL, MODE_INFER, STAGE_TREE);
    for (int i = 0; i < c->ast->items.count; i++)
        for (int mode = MODE_INFER; mode <= MODE_TRAIN; mode++) {
            if (c->ast->items.at[i]->kind != ITEM_MODEL) continue;
            const char *name = c->ast->items.at[i]->name;
            Arena *own = arena_new(&oom);
            Compilation *one = compile(own, file, NULL, name, (Mode)mode, STAGE_LOOP);
            for (int k = 0; k < one->diags->list.count; k++)
                if (strcmp(one->diags->list.at[k]->code, "internal") == 0)
                    fail_msg("%s, %s: %s", file, name, words(own, one->diags));
            *models += one->verify != NULL;
            *left_out += one->log.at && strstr(one->log.at, "leaves out") != NULL;
            arena_free(own);
        }
    arena_free(arena);
}

static void all_programs(void **state) {
    static const char *const patterns[] = {"tests/golden/programs/*.rnn",
                                           "tests/numeric/programs/*.rnn",
                                           "tests/numeric/carried/*.rnn", "examples/*/*.rnn"};
    int models = 0, left_out = 0;
    (void)state;
    for (size_t p = 0; p < sizeof patterns / sizeof *patterns; p++) {
        glob_t files;
        assert_int_equal(glob(patterns[p], 0, NULL, &files), 0);
        for (size_t i = 0; i < files.gl_pathc; i++) try_file(files.gl_pathv[i], &models, &left_out);
        globfree(&files);
    }
    print_message("%d models, %d with a case left out\n", models, left_out);
    assert_true(models > 300);
    assert_true(left_out * 20 < models);
}

/* A model that no machine holds is left out before anything is drawn. */
static void large_models(void **state) {
    static const char large[] = "model M(x[t]: [40000]) -> y[t]: [40000] {\n"
                                "    param W: [40000, 40000] ~ glorot\n"
                                "    y[t] = W @ x[t]\n"
                                "}\n";
    (void)state;
    Arena *arena = arena_new(&oom);
    Compilation *c = compile(arena, "m.rnn", large, NULL, MODE_INFER, STAGE_NORMAL);
    if (c->diags->errors) fail_msg("%s", words(arena, c->diags));
    assert_non_null(strstr(c->log.at, "leaves out case 3: the model is too large"));
    assert_true(arena_used(arena) < (size_t)64 << 20);
    arena_free(arena);
}

/* ---- Damaged passes ---- */

typedef struct Damage {
    Arena *arena;
    Compilation *c;
    VerifyEach *verify;
    Diags *diags;
} Damage;

static Damage damage_open(const char *text, Stage stage) {
    Damage d = {.arena = arena_new(&oom)};
    d.c = compile(d.arena, "m.rnn", text, NULL, MODE_INFER, stage);
    if (d.c->diags->errors) fail_msg("%s", words(d.arena, d.c->diags));
    d.verify = verify_each_new(d.arena, d.c->graph, NULL);
    d.diags = diags_new(d.arena);
    return d;
}

static Graph *copy(const Graph *graph) {
    bool changed_ = false;
    /* dce makes a graph of its own, or none; cse of a copy through text. */
    Text text = text_new(graph->arena);
    (void)changed_;
    graph_print(graph, &text);
    Source *source = ARENA_NEW(graph->arena, Source);
    *source = (Source){"copy", text.at, (uint32_t)text.length};
    Diags *diags = diags_new(graph->arena);
    Graph *to = graph_parse(graph->arena, graph->names, source, diags);
    assert_non_null(to);
    return to;
}

static Node *find(const Graph *graph, Op op, int nth) {
    for (int i = 0; i < graph->nodes.count; i++)
        if (graph->nodes.at[i]->op == op && nth-- == 0) return graph->nodes.at[i];
    fail_msg("no %s in the graph", op_info[op].text);
    return NULL;
}

/* Passes that are wrong, each in its own way. */
static void sub_for_add(Graph *g) {
    find(g, OP_ADD, 0)->op = OP_SUB;
}
static void other_factor(Graph *g) {
    for (int i = 0; i < g->nodes.count; i++)
        if (g->nodes.at[i]->op == OP_CONST && g->nodes.at[i]->attr.number == 2)
            g->nodes.at[i]->attr.number = 2 + 0x1p-40;
}
static void other_boundary(Graph *g) {
    const Node *read = find(g, OP_READ, 0);
    g->nodes.at[read->in[1]]->attr.number = 0.9375;
}
static void other_offset(Graph *g) {
    find(g, OP_READ, 0)->attr.at[0].offset = -2;
}
static void shorter_sum(Graph *g) {
    find(g, OP_TSUM, 0)->attr.high = (Bound){.kind = BOUND_LAST, .offset = -1};
}
static void other_output(Graph *g) {
    g->outputs.at[0].node = find(g, OP_INPUT, 0)->id;
}
static void swapped(Graph *g) {
    Node *add = find(g, OP_ADD, 0), *sub = find(g, OP_SUB, 0);
    /* (U h + x) - 2b becomes (U h - 2b) + x. */
    int x = add->in[1];
    add->in[1] = sub->in[1];
    add->op = OP_SUB;
    sub->in[1] = x;
    sub->op = OP_ADD;
}

typedef struct Bad {
    void (*damage)(Graph *g);
    const char *part; /* of the message */
} Bad;

static void damage_is_named(void **state) {
    static const Bad bad[] = {{sub_for_add, "pass bad changed output h[t="},
                              {other_factor, "pass bad changed output h[t="},
                              {other_boundary, "pass bad changed output h[t=0], sequence 0"},
                              {other_offset, "pass bad changed output h[t=1], sequence 0"},
                              {shorter_sum, "pass bad changed output s, sequence 0"},
                              {other_output, "pass bad changed output h[t=0]"}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (int rounds = 0; rounds < 2; rounds++) {
            Damage d = damage_open(model, STAGE_GRAPH);
            Graph *after = copy(d.c->graph);
            assert_true(verify_each_pass(d.verify, "copy", false, d.c->graph, after, d.diags));
            Graph *broken = copy(after);
            bad[i].damage(broken);
            assert_false(verify_each_pass(d.verify, "bad", rounds != 0, after, broken, d.diags));
            const char *said = words(d.arena, d.diags);
            if (!strstr(said, bad[i].part)) fail_msg("\"%s\" without \"%s\"", said, bad[i].part);
            assert_non_null(strstr(said, "[internal]"));
            arena_free(d.arena);
        }
}

/* Sums in another order are only for passes that may round. Of few sums all may be the same in
 * another order, whatever is drawn; of 64 at each step not. */
static void another_order(void **state) {
    (void)state;
    for (int rounds = 0; rounds < 2; rounds++) {
        const char *narrow = strchr(model, '\n');
        char wide[512];
        snprintf(wide, sizeof wide, "size H = 64%s", narrow);
        Damage d = damage_open(wide, STAGE_GRAPH);
        Graph *after = copy(d.c->graph);
        swapped(after);
        assert_int_equal(
            verify_each_pass(d.verify, "order", rounds != 0, d.c->graph, after, d.diags), rounds);
        arena_free(d.arena);
    }
}

/* Through the compiler: a pass of the table must be blamed by its own name. */
static bool blame(void *user, const Pass *pass, const Graph *before, const Graph *after,
                  Diags *diags) {
    Damage *d = user;
    Graph *broken = copy(after);
    if (strcmp(pass->name, "expand") == 0) sub_for_add(broken);
    return verify_each_pass(d->verify, pass->name, pass->numbers == PASS_ROUNDED, before, broken,
                            diags);
}

static void the_first_bad_pass(void **state) {
    (void)state;
    Damage d = damage_open(model, STAGE_GRAPH);
    PassOptions options = {.verify_each = true, .user = &d, .check = blame};
    assert_null(passes_run(d.c->graph, &options, d.diags));
    assert_non_null(strstr(words(d.arena, d.diags), "pass expand changed output "));
    arena_free(d.arena);
}

/* ---- Texts ---- */

static void damaged_texts(void **state) {
    (void)state;
    Damage d = damage_open(model, STAGE_LOOP);
    Text a = text_new(d.arena), b = text_new(d.arena);
    text_puts(&a, "one\ntwo\nthree\n");
    text_puts(&b, "one\ntwo\nthree\n");
    assert_true(verify_same_text(d.arena, "graph", &a, &b, d.diags));
    text_puts(&b, "four\n");
    assert_false(verify_same_text(d.arena, "graph", &a, &b, d.diags));
    text_puts(&a, "for\n");
    assert_false(verify_same_text(d.arena, "graph", &a, &b, d.diags));
    assert_non_null(strstr(words(d.arena, d.diags), "text of the graph"));
    assert_non_null(strstr(words(d.arena, d.diags), "differs in line 4: for"));

    assert_true(verify_graph_text(d.arena, d.c->normal, "dce", diags_new(d.arena)));
    assert_true(verify_schedule_text(d.arena, d.c->schedule, diags_new(d.arena)));
    assert_true(verify_loop_text(d.arena, d.c->names, d.c->interface_->module, "lower",
                                 diags_new(d.arena)));
    /* An operand that is no node. */
    Diags *diags = diags_new(d.arena);
    Graph *broken = copy(d.c->normal);
    find(broken, OP_ADD, 0)->in[1] = broken->nodes.count;
    assert_false(verify_graph_text(d.arena, broken, "dce", diags));
    assert_non_null(strstr(words(d.arena, diags), "graph after dce"));

    arena_free(d.arena);
}

int main(void) {
    if (setjmp(oom)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_programs),       cmocka_unit_test(large_models),
        cmocka_unit_test(damage_is_named),    cmocka_unit_test(another_order),
        cmocka_unit_test(the_first_bad_pass), cmocka_unit_test(damaged_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
