/* Statements, buffers, calls and names through the C backend, against the evaluator; the header as
 * C and as C++; what must not be emitted because nothing reads it. */
#include "backend_c_case.h"

#include "loop/evaluate.h"

enum { BATCH = 3, STEPS = 5, WIDTH = 32, STATE = 4096 };

static LExpr *I(Case *x, int64_t value) {
    return loop_int(x->m, value);
}

static LExpr *var(Case *x, int index) {
    return loop_var(x->m, x->f, index);
}

static int buffer(Case *x, const char *name, LoopType type, LBase base, int arg, LExpr *offset,
                  LExpr *count, bool written) {
    return loop_buffer(x->m, x->f,
                       (LBuffer){.name = name_of(x->names, name),
                                 .type = type,
                                 .base = base,
                                 .arg = arg,
                                 .offset = offset,
                                 .count = count,
                                 .align = base == LB_ARG && !offset ? 0 : 64,
                                 .written = written,
                                 .layout = "[batch][32] */ of a row"});
}

/* static void dot(const real *a, const real *w, int64 n, real *to): *to = sum of a*w, in one chain.
 */
static int dot_function(Case *x, LoopType real) {
    LoopModule *m = x->m;
    x->f = loop_function(m, "dot", LT_VOID, false);
    int a_arg = loop_arg_pointer(m, x->f, "a", real, false, false, NULL);
    int w_arg = loop_arg_pointer(m, x->f, "w", real, false, false, NULL);
    int n = loop_arg_scalar(m, x->f, "n", LT_I64, NULL);
    int to_arg = loop_arg_pointer(m, x->f, "to", real, true, false, NULL);
    int a = loop_buffer(
        m, x->f,
        (LBuffer){.name = name_of(x->names, "a"), .type = real, .arg = a_arg, .count = var(x, n)});
    int w = loop_buffer(
        m, x->f,
        (LBuffer){.name = name_of(x->names, "w"), .type = real, .arg = w_arg, .count = var(x, n)});
    int to = loop_buffer(m, x->f,
                         (LBuffer){.name = name_of(x->names, "to"),
                                   .type = real,
                                   .arg = to_arg,
                                   .count = I(x, 1),
                                   .written = true});
    int sum = loop_mutable(m, x->f, &x->f->body, "sum", loop_float(m, real, 0));
    LStmt *loop = loop_for(m, x->f, &x->f->body, "k", I(x, 0), var(x, n), 1);
    LExpr *k = var(x, loop->var);
    LExpr *l = loop_load(m, x->f, a, k, 1, false), *r = loop_load(m, x->f, w, k, 1, false);
    loop_set(m, &loop->body, sum,
             m->target.fma
                 ? loop_op(m, SOP_FMA, l, r, var(x, sum))
                 : loop_op(m, SOP_ADD, loop_op(m, SOP_MUL, l, r, NULL), var(x, sum), NULL));
    loop_store(m, &x->f->body, to, I(x, 0), var(x, sum), false);
    return 0;
}

/* forward(weights, state, x, lengths or NULL, y, batch): per sequence, rows of 32, the state
 * updated in place, the number of calls kept as an integer in the same state. */
static void forward_function(Case *x, LoopType real, int own) {
    LoopModule *m = x->m;
    LFunction *f = x->f = loop_function(m, "forward", LT_I32, true);
    LBlock *top = &f->body;
    f->doc = "One pass.\nReturns a status; /* and */ so on.";
    int weights =
        loop_arg_pointer(m, f, "weights", LT_VOID, false, false, "packed, 64-byte aligned");
    int state =
        loop_arg_pointer(m, f, "net_forward", LT_VOID, true, false, "state, 64-byte aligned");
    int x_arg = loop_arg_pointer(m, f, "new", real, false, false, "[batch, steps, 32]");
    int lengths =
        loop_arg_pointer(m, f, "lengths", LT_I32, false, true, "[batch], or NULL: all steps");
    int y_arg = loop_arg_pointer(m, f, "y.0", real, true, false, "[batch, 32]");
    int batch = loop_arg_scalar(m, f, "batch", LT_I64, "number of sequences, 1 to 1000");
    loop_arg_scalar(m, f, "unused", LT_I32, "not read");
    int given = f->args.at[lengths].var;
    LExpr *b64 = loop_mul(m, var(x, batch), I(x, 64));
    int w = buffer(x, "w", real, LB_ARG, weights, I(x, 64), I(x, WIDTH), false);
    int h = buffer(x, "h", real, LB_ARG, state, b64, loop_mul(m, var(x, batch), I(x, WIDTH)), true);
    int calls = buffer(x, "calls", LT_I32, LB_ARG, state, I(x, 0), I(x, 1), true);
    int in = buffer(x, "x", real, LB_ARG, x_arg, NULL,
                    loop_mul(m, var(x, batch), I(x, STEPS * WIDTH)), false);
    int len = buffer(x, "lengths", LT_I32, LB_ARG, lengths, NULL, var(x, batch), false);
    int out =
        buffer(x, "y", real, LB_ARG, y_arg, NULL, loop_mul(m, var(x, batch), I(x, WIDTH)), true);
    int row = buffer(x, "row", real, LB_LOCAL, -1, NULL, I(x, WIDTH), true);
    int total = buffer(x, "total", real, LB_LOCAL, -1, NULL, I(x, 1), true);
    int never = buffer(x, "never", real, LB_LOCAL, -1, NULL, I(x, 8), true);
    static const double numbers[4] = {0.5, -0x1.555556p-2, 2, 0x1.062p-10};
    int table = loop_buffer(m, f,
                            (LBuffer){.name = name_of(x->names, "table"),
                                      .type = real,
                                      .base = LB_TABLE,
                                      .arg = -1,
                                      .count = I(x, 4),
                                      .align = 64,
                                      .table = numbers});

    LExpr *wrong = loop_op(m, SOP_MOR, loop_op(m, SOP_LT, var(x, batch), I(x, 1), NULL),
                           loop_op(m, SOP_GT, var(x, batch), I(x, 1000), NULL), NULL);
    loop_return(m, &loop_if(m, top, wrong)->body, loop_int_of(m, LT_I32, LOOP_BAD_LENGTH));
    loop_comment(
        m, top,
        "the sequences, one after the other; a comment with */ in it and of some length, to be "
        "broken where the line is full");
    LStmt *parallel = loop_parallel(m, f, top);
    LExpr *thread = var(x, parallel->var), *threads = var(x, parallel->var2);
    LStmt *rows =
        loop_for(m, f, &parallel->body, "i",
                 loop_op(m, SOP_DIV, loop_mul(m, var(x, batch), thread), threads, NULL),
                 loop_op(m, SOP_DIV, loop_mul(m, var(x, batch), loop_add(m, thread, I(x, 1))),
                         threads, NULL),
                 1);
    LBlock *body = &rows->body;
    LExpr *b = var(x, rows->var);
    int steps = loop_mutable(m, f, body, "steps", I(x, STEPS));
    LStmt *has =
        loop_if(m, body, loop_op(m, SOP_NE, var(x, given), loop_int_of(m, LT_I32, 0), NULL));
    loop_set(m, &has->body, steps,
             loop_convert(m, SOP_CONVERT, LT_I64, loop_load(m, f, len, b, 1, false)));
    loop_set(m, &has->otherwise, steps, I(x, STEPS - 1));
    LStmt *bad = loop_if(m, body, loop_op(m, SOP_GT, var(x, steps), I(x, STEPS), NULL));
    loop_break(m, &bad->body);
    LStmt *clear = loop_for(m, f, body, "i", I(x, 0), I(x, WIDTH), own);
    loop_store(m, &clear->body, row, var(x, clear->var),
               loop_splat(m, loop_float(m, real, 0.25), own), true);
    LStmt *time = loop_for(m, f, body, "t", I(x, 0), loop_min(m, var(x, steps), I(x, STEPS)), 1);
    time->rolled = true;
    int ignored = loop_mutable(m, f, &time->body, "ignored", loop_float(m, real, 1));
    loop_set(m, &time->body, ignored,
             loop_op(m, SOP_MUL, var(x, ignored), loop_float(m, real, 3), NULL));
    LStmt *units = loop_for(m, f, &time->body, "i", I(x, 0), I(x, WIDTH), own);
    LExpr *u = var(x, units->var);
    LExpr *x_index = loop_add(
        m, loop_mul(m, loop_add(m, loop_mul(m, b, I(x, STEPS)), var(x, time->var)), I(x, WIDTH)),
        u);
    LExpr *old = loop_load(m, f, row, u, own, true),
          *new_ = loop_load(m, f, in, x_index, own, false);
    LExpr *weight = loop_load(m, f, w, u, own, true);
    LExpr *step = loop_splat(
        m, loop_load(m, f, table, loop_op(m, SOP_MOD, var(x, time->var), I(x, 4), NULL), 1, false),
        own);
    LExpr *sum = m->target.fma
                     ? loop_op(m, SOP_FMA, old, weight, loop_op(m, SOP_MUL, new_, step, NULL))
                     : loop_op(m, SOP_ADD, loop_op(m, SOP_MUL, old, weight, NULL),
                               loop_op(m, SOP_MUL, new_, step, NULL), NULL);
    loop_store(m, &units->body, row, u, sum, true);
    loop_store(m, &units->body, never, I(x, 0), loop_float(m, real, 1), false);
    LExpr *args[] = {loop_load(m, f, row, I(x, 0), 1, false), loop_load(m, f, w, I(x, 0), 1, false),
                     I(x, WIDTH), loop_load(m, f, total, I(x, 0), 1, false)};
    loop_call(m, f, body, 0, args, 4);
    LStmt *copy = loop_for(m, f, body, "i", I(x, 0), I(x, WIDTH), own);
    LExpr *at = loop_add(m, loop_mul(m, b, I(x, WIDTH)), var(x, copy->var));
    LExpr *added = loop_op(m, SOP_ADD, loop_load(m, f, h, at, own, true),
                           loop_splat(m, loop_load(m, f, total, I(x, 0), 1, false), own), NULL);
    int kept = loop_let(
        m, f, &copy->body, "NET_OK",
        loop_op(m, SOP_ADD, added, loop_load(m, f, row, var(x, copy->var), own, true), NULL));
    loop_store(m, &copy->body, h, at, var(x, kept), true);
    loop_store(m, &copy->body, out, at, var(x, kept), false);
    loop_barrier(m, &parallel->body);
    loop_store(m, top, calls, I(x, 0),
               loop_op(m, SOP_ADD, loop_load(m, f, calls, I(x, 0), 1, false),
                       loop_int_of(m, LT_I32, 1), NULL),
               false);
    loop_return(m, top, loop_int_of(m, LT_I32, 0));
}

typedef struct Memory {
    _Alignas(64) char weights[64 + 8 * WIDTH], state[STATE], x[8 * BATCH * STEPS * WIDTH],
        y[8 * BATCH * WIDTH];
    int32_t lengths[BATCH];
} Memory;

static void fill(char *to, size_t count, LoopType real, unsigned seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        double value = (double)(int32_t)seed / 0x1p31;
        float narrow = (float)value;
        if (real == LT_F32)
            memcpy(to + 4 * i, &narrow, 4);
        else
            memcpy(to + 8 * i, &value, 8);
    }
}

static Memory *memory_new(LoopType real) {
    Memory *m = aligned_alloc(64, (sizeof *m + 63) / 64 * 64);
    assert_non_null(m);
    memset(m, 0, sizeof *m);
    fill(m->weights + 64, WIDTH, real, 1);
    fill(m->x, BATCH * STEPS * WIDTH, real, 2);
    fill(m->state + 64 * BATCH, BATCH * WIDTH, real, 3);
    for (int i = 0; i < BATCH; i++) m->lengths[i] = STEPS - i;
    return m;
}

typedef int32_t ForwardFunction(const void *, void *, const void *, const int32_t *, void *,
                                int64_t, int32_t);

static void check_forward(Case *x, LoopType real, const char *compiler, const char *const *flags,
                          bool strict) {
    compile_file(x, compiler, flags, strict, "m.c", "m.so");
    Library library = load(x, "net_forward");
    ForwardFunction *forward;
    memcpy(&forward, &library.function, sizeof forward);
    for (int with = 0; with < 2; with++) {
        Memory *want = memory_new(real), *got = memory_new(real);
        LoopValue args[] = {
            {.pointer = want->weights, .bytes = sizeof want->weights},
            {.pointer = want->state, .bytes = sizeof want->state},
            {.pointer = want->x, .bytes = sizeof want->x},
            {.pointer = with ? want->lengths : NULL, .bytes = with ? sizeof want->lengths : 0},
            {.pointer = want->y, .bytes = sizeof want->y},
            {.integer = BATCH},
            {.integer = 7}};
        for (int call = 0; call < 2; call++) {
            int64_t status = -1;
            const char *error = NULL;
            if (!loop_evaluate(x->arena, x->m, "forward", args, 7, &status, &error))
                fail_msg("%s", error);
            assert_int_equal(status, 0);
            assert_int_equal(forward(got->weights, got->state, got->x, with ? got->lengths : NULL,
                                     got->y, BATCH, 7),
                             0);
        }
        assert_memory_equal(want->state, got->state, sizeof want->state);
        assert_memory_equal(want->y, got->y, sizeof want->y);
        assert_int_equal(forward(got->weights, got->state, got->x, NULL, got->y, 0, 7),
                         LOOP_BAD_LENGTH);
        assert_int_equal(forward(got->weights, got->state, got->x, NULL, got->y, INT64_MAX, 7),
                         LOOP_BAD_LENGTH);
        assert_int_equal(forward(got->weights, got->state + 32, got->x, NULL, got->y, 1, 7),
                         LOOP_BAD_POINTER);
        assert_int_equal(forward(got->weights, got->state, got->x, NULL, NULL, 1, 7),
                         LOOP_BAD_POINTER);
        free(want);
        free(got);
    }
    dlclose(library.handle);
}

static Case *net(LoopType real, int lanes, bool fma) {
    Case *x = case_new("net", lanes, fma, real);
    dot_function(x, real);
    forward_function(x, real, real == LT_F64 && lanes > 1 ? lanes / 2 : lanes);
    return x;
}

static void statements(void **state) {
    (void)state;
    static const char *const plain[] = {"-shared", "-fPIC", "-std=c99", "-O0", NULL};
    static const char *const fast[] = {"-shared", "-fPIC", "-std=c99", "-O3",
                                       "-mavx2",  "-mfma", NULL};
    static const char *const checked[] = {
        "-shared", "-fPIC", "-std=c99", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all",
        NULL};
    static const char *const tcc[] = {"-shared", NULL};
    static const int lane_counts[] = {1, 4, 8, 16};
    for (int i = 0; i < 4; i++)
        for (int fma = 0; fma < 2; fma++) {
            LoopType real = i % 2 == fma ? LT_F32 : LT_F64;
            Case *x = net(real, lane_counts[i], fma);
            emit(x);
            if (has_program(x, "gcc")) {
                check_forward(x, real, "gcc", plain, true);
                check_forward(x, real, "gcc", checked, true);
                if (machine_has(1)) check_forward(x, real, "gcc", fast, true);
            }
            if (has_program(x, "clang")) {
                check_forward(x, real, "clang", plain, true);
                if (machine_has(1)) check_forward(x, real, "clang", fast, true);
            }
            if (lane_counts[i] == 1 && has_program(x, "tcc"))
                check_forward(x, real, "tcc", tcc, false);
            case_done(x);
        }
}

/* What nothing reads is not in the text; names stay themselves where they can. */
static void text_of_code(void **state) {
    (void)state;
    Case *x = net(LT_F32, 8, true);
    const char *code = emit(x);
    assert_null(strstr(code, "ignored"));
    assert_null(strstr(code, "never"));
    assert_non_null(strstr(code, "(void)unused;"));
    assert_non_null(strstr(code, "const float *restrict new_"));
    assert_non_null(strstr(code, "void *v_net_forward"));
    assert_non_null(strstr(code, "for (int64_t t = 0; t < t_end; t++) {"));
    assert_null(strstr(code, "i_3"));
    assert_non_null(strstr(code, "return NET_BAD_LENGTH;"));
    for (const char *line = code; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        const char *end = strchr(line, '\n');
        assert_true((end ? (size_t)(end - line) : strlen(line)) <= 104);
    }
    case_done(x);
}

/* What expand_math should have replaced is refused, not printed as a call of libm. */
static void unexpanded(void **state) {
    (void)state;
    Case *x = case_new("odd", 1, false, LT_F32);
    LFunction *f = loop_function(x->m, "f", LT_I32, true);
    LExpr *one = loop_float(x->m, LT_F32, 1);
    LExpr *bad = loop_op(x->m, SOP_GT, loop_op(x->m, SOP_TANH, one, NULL, NULL), one, NULL);
    loop_return(x->m, &loop_if(x->m, &f->body, bad)->body, loop_int_of(x->m, LT_I32, 1));
    loop_return(x->m, &f->body, loop_int_of(x->m, LT_I32, 0));
    BackendOptions options = {.header_name = "m.h", .version = "0"};
    Text code = text_new(x->arena);
    assert_false(backend_find("c")->emit(x->interface_, &options, &code, x->diags));
    assert_int_equal(x->diags->errors, 1);
    assert_null(backend_find("fortran"));
    case_done(x);
}

/* Flags that change numbers are refused. */
static void fast_math(void **state) {
    (void)state;
    Case *x = net(LT_F32, 1, false);
    emit(x);
    const char *flags[] = {"-ffast-math", "-Ofast", "-ffinite-math-only"};
    for (size_t i = 0; i < 3 && has_program(x, "gcc"); i++) {
        const char *argv[] = {"gcc", "-c", flags[i], "-o", path_of(x, "m.o"), path_of(x, "m.c"),
                              NULL};
        assert_int_not_equal(run_program(x, (char *const *)(uintptr_t)argv), 0);
    }
    case_done(x);
}

/* ---- the header ---- */

static void with_model(Case *x) {
    Graph *graph = ARENA_NEW(x->arena, Graph);
    *graph = *x->interface_->graph;
    static const double values[3] = {1, -0.5, 1e300};
    vec_push(x->arena, &graph->params,
             (GraphParam){.name = name_of(x->names, "enc.f.\"W"),
                          .initial = INITIAL_GLOROT,
                          .shape = {.rank = 2, .dim = {4, 3}}});
    vec_push(x->arena, &graph->params,
             (GraphParam){.name = name_of(x->names, "b"),
                          .initial = INITIAL_VALUES,
                          .shape = {.rank = 1, .dim = {3}},
                          .values = values,
                          .frozen = true});
    vec_push(
        x->arena, &graph->params,
        (GraphParam){
            .name = name_of(x->names, "s"), .initial = INITIAL_UNIFORM, .a = -1 / 0.0, .b = 0.1});
    vec_push(x->arena, &graph->axes, (Axis){.name = name_of(x->names, "t"), .most = 100});
    vec_push(x->arena, &graph->indices, (Index){.name = name_of(x->names, "t"), .axis = 0});
    GraphPort port = {.name = name_of(x->names, "x"),
                      .type = {.dtype = DT_FLOAT, .shape = {.rank = 2, .dim = {2, 5}}},
                      .index_count = 1};
    vec_push(x->arena, &graph->inputs, port);
    port.name = name_of(x->names, "X");
    port.type = (Type){.dtype = DT_INT, .bound = 9};
    vec_push(x->arena, &graph->outputs, port);
    Interface *in = x->interface_;
    in->graph = graph;
    in->param_count = 16;
    in->weight_bytes = INT64_C(5000000000);
    vec_push(x->arena, &in->param_offsets, 0);
    vec_push(x->arena, &in->param_offsets, 12);
    vec_push(x->arena, &in->param_offsets, 15);
    in->forward = 1;
    InterfaceFunction forward = {.function = 1};
    static const ArgRole roles[] = {ROLE_WEIGHTS, ROLE_STATE, ROLE_INPUT, ROLE_LENGTHS,
                                    ROLE_OUTPUT,  ROLE_BATCH, ROLE_SEED};
    for (int i = 0; i < 7; i++) vec_push(x->arena, &forward.args, (InterfaceArg){.role = roles[i]});
    vec_push(x->arena, &in->functions, forward);
    in->no_step = "output 'X' needs the future";
}

static void header(void **state) {
    (void)state;
    Case *x = net(LT_F32, 8, true);
    with_model(x);
    emit(x);
    static const char *const user =
        "#include \"m.h\"\n#include \"m.h\"\n"
        "int main(void) {\n"
        "    if (NET_PARAMS != 3 || net_params[1].offset != 12 || net_params[1].values[1] != -0.5) "
        "return 1;\n"
        "    if (net_params[0].name[6] != '\"' || net_params[0].shape[1] != 3) return 2;\n"
        "    if (NET_X_SIZE != 10 || NET_X_DIM1 != 5 || NET_X_SIZE_2 != 1 || NET_X_BOUND != 9) "
        "return 3;\n"
        "    return net_forward(0, 0, 0, 0, 0, 1, 0) == NET_BAD_POINTER ? 0 : 4;\n}\n";
    write_file(path_of(x, "u.c"), user);
    write_file(path_of(x, "u.cc"), user);
    static const char *const object[] = {"-c", "-std=c99", NULL};
    static const char *const compilers[][2] = {{"gcc", "g++"}, {"clang", "clang++"}};
    for (int i = 0; i < 2; i++) {
        if (!has_program(x, compilers[i][0])) continue;
        compile_file(x, compilers[i][0], object, true, "m.c", "m.o");
        const char *const c[] = {path_of(x, "m.o"), "-std=c99", NULL};
        compile_file(x, compilers[i][0], c, true, "u.c", "u");
        char *program[] = {(char *)(uintptr_t)path_of(x, "u"), NULL};
        assert_int_equal(run_program(x, program), 0);
        if (!has_program(x, compilers[i][1])) continue;
        const char *const cc[] = {
            path_of(x, "m.o"),   "-std=c++11", "-Wall",   "-Wextra", "-Wpedantic", "-Wconversion",
            "-Wsign-conversion", "-Wshadow",   "-Wundef", "-Werror", NULL};
        compile_file(x, compilers[i][1], cc, false, "u.cc", "u");
        assert_int_equal(run_program(x, program), 0);
    }
    case_done(x);
}

static void manifest(void **state) {
    (void)state;
    Case *x = net(LT_F32, 8, true);
    with_model(x);
    BackendOptions options = {.header_name = "m.h", .version = "0"};
    Text json = text_new(x->arena);
    assert_true(backend_find("manifest")->emit(x->interface_, &options, &json, x->diags));
    write_file(path_of(x, "m.json"), text_string(&json));
    char *argv[] = {(char *)(uintptr_t) "python3", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t) "import json, sys\n"
                                        "m = json.load(open(sys.argv[1]))\n"
                                        "assert m['params'][1]['offset'] == 12 and "
                                        "m['params'][0]['name'] == 'enc.f.\"W'\n"
                                        "assert m['functions'][0]['args'][3]['role'] == 'lengths'\n"
                                        "assert m['inputs'][0]['shape'] == [2, 5] and "
                                        "m['inputs'][0]['axes'] == ['t']\n"
                                        "assert m['weight_bytes'] == 5000000000 and "
                                        "m['functions'][0]['symbol'] == 'net_forward'\n",
                    (char *)(uintptr_t)path_of(x, "m.json"), NULL};
    if (has_program(x, "python3")) {
        int status = run_program(x, argv);
        if (status) show_log(x);
        assert_int_equal(status, 0);
    }
    case_done(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(statements), cmocka_unit_test(text_of_code),
                                       cmocka_unit_test(unexpanded), cmocka_unit_test(fast_math),
                                       cmocka_unit_test(header),     cmocka_unit_test(manifest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
