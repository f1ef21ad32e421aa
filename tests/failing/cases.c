/* What is made to fail: every command and every kind of output, on a model with all that a command
 * line can ask for (a state, a batch, lengths, integers, an import), and the runtime's own files.
 */
#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "rnn_rt.h"

static const char model[] = "import \"cell.rnn\"\n"
                            "size I = 2, H = 3\n"
                            "model Net(x[t]: [I], w[t]: int(4)) -> y[t]: [H], n: [H] {\n"
                            "    param E: [4, H] ~ normal(0.1)\n"
                            "    use cell = carry Cell[H]\n"
                            "    y[t] = cell(x[t]) + E[w[t]]\n"
                            "    n = y[last]\n"
                            "}\n";
static const char cell[] = "model Cell[H](x[t]: [I]) -> h[t]: [H] {  # a comment\n"
                           "    param W: [H, I] ~ glorot\n"
                           "    param U: [H, H] ~ glorot\n"
                           "    state h[t] = 0\n"
                           "    h[t] = tanh(W @ x[t] + U @ h[t-1])\n"
                           "}\n";
static const char wrong[] = "model Bad(x[t]: [2]) -> y[t]: [3] {\n"
                            "    y[t] = x[t] + z[t]\n"
                            "    q[t] = (x[t] every\n"
                            "}\n";

static const char learns[] = "model Learns(x[t]: [2]) -> y[t]: [1] {\n"
                             "    param W: [1, 2] ~ glorot\n"
                             "    y[t] = W @ x[t]\n"
                             "    loss sum[t](sum(square(y[t] - 1)))\n"
                             "}\n";

static bool put_text(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) return false;
    bool good = fputs(text, file) >= 0;
    return fclose(file) == 0 && good;
}

static bool make(RtTensor *tensor, const char *name, RtDtype dtype, int rank,
                 const int64_t *shape) {
    char error[256];
    if (rt_tensor_init(tensor, name, dtype, rank, shape, error, sizeof error) != RT_OK)
        return false;
    for (size_t i = 0; i < tensor->count; i++) {
        if (dtype == RT_F32) ((float *)tensor->data)[i] = (float)(i % 7) * 0.25f - 0.5f;
        if (dtype == RT_I32) ((int32_t *)tensor->data)[i] = (int32_t)(i % 4);
        if (dtype == RT_I64) ((int64_t *)tensor->data)[i] = (int64_t)i + 1;
    }
    return true;
}

static bool put_npy(const char *path, RtDtype dtype, int rank, const int64_t *shape) {
    RtTensor tensor;
    char error[256];
    if (!make(&tensor, NULL, dtype, rank, shape)) return false;
    bool good = rt_npy_write(path, &tensor, error, sizeof error) == RT_OK;
    rt_tensor_free(&tensor);
    return good;
}

typedef struct Entry {
    const char *name;
    RtDtype dtype;
    int rank;
    int64_t shape[2];
} Entry;

static bool put_set(const char *path, const Entry *entries, int count) {
    RtTensorSet set = {0};
    char error[256];
    bool good = true;
    for (int i = 0; good && i < count; i++) {
        RtTensor tensor;
        good =
            make(&tensor, entries[i].name, entries[i].dtype, entries[i].rank, entries[i].shape) &&
            rt_set_add(&set, &tensor, error, sizeof error) == RT_OK;
    }
    good = good && rt_set_add_metadata(&set, "made", "here", error, sizeof error) == RT_OK &&
           rt_safetensors_write(path, &set, error, sizeof error) == RT_OK;
    rt_set_free(&set);
    return good;
}

bool cases_prepare(void) {
    static const Entry weights[] = {
        {"E", RT_F32, 2, {4, 3}}, {"cell.W", RT_F32, 2, {3, 2}}, {"cell.U", RT_F32, 2, {3, 3}}};
    static const Entry state[] = {{"cell.h", RT_F32, 2, {2, 3}}, {"cell.t", RT_I64, 1, {2}}};
    static const int64_t x[] = {5, 2, 2}, w[] = {5, 2}, lengths[] = {2};
    return mkdir("in", 0777) == 0 && put_text("in/m.rnn", model) && put_text("in/cell.rnn", cell) &&
           put_text("in/wrong.rnn", wrong) && put_text("in/learns.rnn", learns) &&
           put_npy("in/x.npy", RT_F32, 3, x) && put_npy("in/w.npy", RT_I32, 2, w) &&
           put_npy("in/l.npy", RT_I64, 1, lengths) && put_set("in/weights.st", weights, 3) &&
           put_set("in/state.st", state, 2);
}

/* ---- The runtime alone ---- */

static int told(RtStatus status, const char *error) {
    if (status == RT_OK) return 0;
    fprintf(stderr, "runtime: error: %s\n", error);
    /* What cannot be read is the input's, as for rnnc. */
    return status == RT_ERR_NOMEM ? 3
           : status == RT_ERR_IO && !strstr(error, "cannot read") && !strstr(error, "cannot open")
               ? 3
               : 1;
}

static int copy_npy(void) {
    RtTensor tensor = {0};
    char error[256] = "";
    RtStatus status = rt_npy_read("in/x.npy", &tensor, error, sizeof error);
    if (status == RT_OK) status = rt_npy_write("out/x.npy", &tensor, error, sizeof error);
    rt_tensor_free(&tensor);
    return told(status, error);
}

static int copy_set(void) {
    RtTensorSet set = {0};
    char error[256] = "";
    RtStatus status = rt_safetensors_read("in/weights.st", &set, error, sizeof error);
    if (status == RT_OK) status = rt_set_add_metadata(&set, "a", "b", error, sizeof error);
    if (status == RT_OK) status = rt_safetensors_write("out/w.st", &set, error, sizeof error);
    rt_set_free(&set);
    return told(status, error);
}

static int copy_bytes(void) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    char error[256] = "";
    RtStatus status = rt_file_read("in/m.rnn", &bytes, &size, error, sizeof error);
    if (status == RT_OK) status = rt_file_write("out/m.rnn", bytes, size, error, sizeof error);
    free(bytes);
    return told(status, error);
}

static int initialise(void) {
    static const int64_t shape[] = {4, 3};
    RtTensor tensor = {0};
    char error[256] = "";
    RtStatus status = rt_tensor_init(&tensor, "W", RT_F32, 2, shape, error, sizeof error);
    if (status == RT_OK)
        status = rt_init_f32((RtInit){.kind = RT_INIT_ORTHOGONAL}, 1, "W", 2, shape, tensor.data,
                             error, sizeof error);
    rt_tensor_free(&tensor);
    return told(status, error);
}

static void add_up(void *context, int64_t thread, int64_t threads) {
    (void)threads;
    ((int64_t *)context)[thread] += thread + 1;
}

static int run_on_threads(void) {
    RtPool *pool = NULL;
    int64_t sums[3] = {0};
    char error[256] = "";
    if (rnn_rt_pool_create(&pool, 3, NULL, error, sizeof error) != RT_OK) {
        fprintf(stderr, "runtime: error: %s\n", error);
        return 3;
    }
    rnn_rt_pool_run(pool, add_up, sums);
    rnn_rt_pool_destroy(pool);
    return sums[0] + sums[1] * 10 + sums[2] * 100 == 321 ? 0 : 1;
}

/* ---- Command lines ---- */

#define RUN                                                                                        \
    "run", "in/m.rnn", "--weights", "in/weights.st", "--in", "x=in/x.npy", "--in", "w=in/w.npy",   \
        "--lengths", "t=in/l.npy", "--state-in", "in/state.st", "--state-out", "out/s.st",         \
        "--out", "y=out/y.npy", "--out", "n=out/n.npy", "--out-lengths", "t=out/t.npy"
#define RUN_OUTPUTS                                                                                \
    { "s.st", "y.npy", "n.npy", "t.npy" }

const FailingCase failing_cases[] = {
    {"c", {"in/m.rnn", "-o", "out/m.c", "-MD"}, {"m.c", "m.h", "m.d"}, NULL, 0, NULL},
    {"c to standard output",
     {"in/m.rnn", "-o", "-", "-MD", "-MF", "out/m.d"},
     {"m.d"},
     NULL,
     0,
     NULL},
    {"manifest", {"in/m.rnn", "--emit=manifest", "-o", "out/m.json"}, {"m.json"}, NULL, 0, NULL},
    {"ast", {"in/m.rnn", "--emit=ast", "-o", "out/m.ast"}, {"m.ast"}, NULL, 0, NULL},
    {"graph", {"in/m.rnn", "--emit=graph", "-o", "out/m.graph"}, {"m.graph"}, NULL, 0, NULL},
    {"schedule", {"in/m.rnn", "--emit=schedule", "-o", "out/m.s"}, {"m.s"}, NULL, 0, NULL},
    {"loop", {"in/m.rnn", "--emit=loop", "-o", "out/m.loop"}, {"m.loop"}, NULL, 0, NULL},
    {"dot", {"in/m.rnn", "--emit=dot", "-o", "out/m.dot"}, {"m.dot"}, NULL, 0, NULL},
    {"remarks",
     {"in/m.rnn", "-R", "-v", "--time-passes", "--print-after=all", "--verify-each", "-o",
      "out/m.c"},
     {"m.c", "m.h"},
     NULL,
     0,
     NULL},
    {"check", {"check", "in/m.rnn"}, {NULL}, NULL, 0, NULL},
    {"check of errors", {"check", "in/wrong.rnn"}, {NULL}, NULL, 1, NULL},
    {"fmt", {"fmt", "in/cell.rnn", "-o", "out/cell.rnn"}, {"cell.rnn"}, NULL, 0, NULL},
    {"fmt of standard input", {"fmt", "-"}, {NULL}, NULL, 0, "in/cell.rnn"},
    {"run by the interpreter", {RUN, "--backend=interp"}, RUN_OUTPUTS, NULL, 0, NULL},
    {"run by C", {RUN, "--backend=c"}, RUN_OUTPUTS, NULL, 0, NULL},
    {"train",
     {"train", "in/learns.rnn", "--in", "x=in/x.npy", "--backend=interp", "--epochs=1", "--batch=1",
      "--valid=0.5", "-o", "out/w.st"},
     {"w.st", "w.st.checkpoint"},
     NULL,
     0,
     NULL},
    {"help", {"--help"}, {NULL}, NULL, 0, NULL},
    {"passes", {"--list-passes"}, {NULL}, NULL, 0, NULL},
    {"runtime: .npy", {NULL}, {"x.npy"}, copy_npy, 0, NULL},
    {"runtime: .safetensors", {NULL}, {"w.st"}, copy_set, 0, NULL},
    {"runtime: bytes", {NULL}, {"m.rnn"}, copy_bytes, 0, NULL},
    {"runtime: initialisers", {NULL}, {NULL}, initialise, 0, NULL},
    {"runtime: threads", {NULL}, {NULL}, run_on_threads, 0, NULL},
};
const int failing_case_count = (int)(sizeof failing_cases / sizeof *failing_cases);
