/* Files of tensors: the readers alone, and what `rnnc run` makes of weights, inputs, lengths and
 * states that somebody else wrote. */
#define _GNU_SOURCE

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "rnn_rt.h"
#include "run.h"

/* What is read can be written, and reading that gives the same tensor. */
void fuzz_npy(FuzzCase *c) {
    char error[512] = "", *bytes = NULL;
    size_t size = 0;
    RtTensor tensor, again;
    RtStatus status = rt_npy_read_memory(c->text, c->size, "a.npy", &tensor, error, sizeof error);
    FUZZ_CHECK((status == RT_OK) == (tensor.data != NULL), "%s", error);
    FUZZ_CHECK(status == RT_OK || *error, "%s without a word", rt_status_name(status));
    if (status != RT_OK) return;
    FUZZ_CHECK(tensor.count * rt_dtype_size(tensor.dtype) <= c->size, "%zu elements", tensor.count);
    double *numbers = malloc(tensor.count * sizeof *numbers + 1);
    if (numbers) rt_tensor_to_f64(&tensor, numbers);
    free(numbers);
    FILE *stream = open_memstream(&bytes, &size);
    status = rt_npy_write_stream(stream, "b.npy", &tensor, error, sizeof error);
    FUZZ_CHECK(status == RT_OK, "%s", error);
    fclose(stream);
    status = rt_npy_read_memory(bytes, size, "b.npy", &again, error, sizeof error);
    FUZZ_CHECK(status == RT_OK, "%s", error);
    FUZZ_CHECK(again.count == tensor.count && again.dtype == tensor.dtype &&
                   again.rank == tensor.rank &&
                   memcmp(again.shape, tensor.shape, sizeof again.shape) == 0 &&
                   memcmp(again.data, tensor.data, tensor.count * rt_dtype_size(tensor.dtype)) == 0,
               "another tensor");
    rt_tensor_free(&again);
    rt_tensor_free(&tensor);
    free(bytes);
}

void fuzz_safetensors(FuzzCase *c) {
    char error[512] = "", *bytes = NULL, *second = NULL;
    size_t size = 0, second_size = 0;
    RtTensorSet set, again;
    RtStatus status =
        rt_safetensors_read_memory(c->text, c->size, "a.safetensors", &set, error, sizeof error);
    FUZZ_CHECK(status == RT_OK || (*error && set.count == 0 && set.at == NULL), "%s", error);
    if (status != RT_OK) return;
    FILE *stream = open_memstream(&bytes, &size);
    status = rt_safetensors_write_stream(stream, "b", &set, error, sizeof error);
    FUZZ_CHECK(status == RT_OK, "%s", error);
    fclose(stream);
    status = rt_safetensors_read_memory(bytes, size, "b", &again, error, sizeof error);
    FUZZ_CHECK(status == RT_OK && again.count == set.count, "%s", error);
    stream = open_memstream(&second, &second_size);
    status = rt_safetensors_write_stream(stream, "b", &again, error, sizeof error);
    fclose(stream);
    FUZZ_CHECK(status == RT_OK && size == second_size && memcmp(bytes, second, size) == 0,
               "other bytes");
    rt_set_free(&again);
    rt_set_free(&set);
    free(second);
    free(bytes);
}

/* ---- rnnc run ---- */

static const char *const models[] = {
    "size N = 2\n"
    "model M(x[t]: [N]) -> h[t]: [N] {\n"
    "    use f = carry LSTM[N]\n"
    "    h[t] = f(x[t])\n"
    "}\n",
    "model M(w[t]: int(3), m: bool, y[t]: [2] = 1) -> z: [2], v[t]: int(3) {\n"
    "    carry state n[t]: int(3) = 0\n"
    "    param E: [3, 2] ~ glorot\n"
    "    param d: []\n"
    "    n[t] = if m then w[t] else n[t-1]\n"
    "    v[t] = n[t-2 else 1]\n"
    "    z = mean[t](d * E[w[t]] * y[t])\n"
    "}\n",
    "model M(x[t]: [0], p[t]: past(t), q[u]: [1]) -> y[v]: [1], s[t,u]: [1] {\n"
    "    time v in t every 2\n"
    "    state a[t]: [1] = 1\n"
    "    a[t] = a[p[t]] + sum(x[t]) + 1\n"
    "    y[v] = a[2*v]\n"
    "    s[t,u] = a[t] * q[u]\n"
    "}\n",
};

static const Source *model_of(void *user, Arena *arena, const char *path, const char **why) {
    const char *text = user;
    Source *source = ARENA_NEW(arena, Source);
    (void)why;
    *source = (Source){path, text, (uint32_t)strlen(text)};
    return source;
}

/* The bytes as a file without a folder; the path opens it anew. */
static char *file_of(FuzzCase *c, const char *bytes, size_t size, int *handle) {
    *handle = memfd_create("case", 0);
    FUZZ_CHECK(*handle >= 0, "no memory file");
    for (size_t done = 0; done < size;) {
        ssize_t count = write(*handle, bytes + done, size - done);
        FUZZ_CHECK(count > 0, "a memory file cannot be written");
        done += (size_t)count;
    }
    return arena_printf(c->arena, "/proc/self/fd/%d", *handle);
}

/* A case: one byte that chooses model and options, then files, parted by a line of "====". */
void fuzz_run(FuzzCase *c) {
    static const char line[] = "\n====\n";
    enum { FILES = 5, WORDS = 24 };
    static const char *const names[][FILES] = {
        {"--weights=", "--in=x=", "--state-in=", "--lengths=t=", NULL},
        {"--weights=", "--in=w=", "--in=m=", "--in=y=", "--state-in="},
        {"--in=x=", "--in=p=", "--in=q=", "--lengths=t=", "--lengths=u="}};
    static char *const results[][4] = {{"--out=h=1", "--state-out=2", NULL},
                                       {"--out=z=1", "--out=v=2", "--state-out=3", NULL},
                                       {"--out=y=1", "--out=s=2", "--out-lengths=v=3", NULL}};
    char *words[WORDS] = {"rnnc", "run", "--backend=interp", "0.rnn"};
    int handles[FILES], handle_count = 0, count = 4;
    if (c->size < 1) return;
    unsigned flags = (unsigned char)c->text[0], model = flags % 3;
    const char *at = c->text + 1, *end = c->text + c->size;
    for (int i = 0; i < FILES && at && names[model][i]; i++) {
        const char *stop = memmem(at, (size_t)(end - at), line, sizeof line - 1);
        size_t size = (size_t)((stop ? stop : end) - at);
        if (size > 0) {
            const char *path = file_of(c, at, size, &handles[handle_count++]);
            words[count++] = arena_printf(c->arena, "%s%s", names[model][i], path);
        }
        at = stop ? stop + sizeof line - 1 : NULL;
    }
    for (int i = 0; results[model][i]; i++) words[count++] = results[model][i];
    if (flags & 64) words[count++] = "--batch-first";
    if (flags & 128) words[count++] = "--dtype=f64";

    const char *why = NULL;
    const Options *options = options_parse(c->arena, count, words, &why);
    FUZZ_CHECK(options, "%s", why);
    Compilation *made = compilation_new(c->arena, options);
    made->read = model_of;
    made->read_user = (void *)(uintptr_t)models[model];
    FUZZ_CHECK(target_choose(c->arena, &options->target, false, &made->target, &why), "%s", why);
    Outputs outputs = {.arena = c->arena};
    ExitStatus status = run_model(made, &outputs);
    fuzz_check_diags(c, made->diags);
    FUZZ_CHECK(status != EXIT_DONE || !made->diags->errors, "errors, and status 0");
    FUZZ_CHECK(status == EXIT_DONE || made->diags->errors || made->log.length, "without a word");
    for (int i = 0; status == EXIT_DONE && i < outputs.files.count; i++) {
        const OutputFile *file = &outputs.files.at[i];
        char error[512];
        RtTensor tensor;
        RtTensorSet set;
        if (memcmp(file->bytes, "\x93NUMPY", 6) == 0) {
            FUZZ_CHECK(rt_npy_read_memory(file->bytes, file->size, file->path, &tensor, error,
                                          sizeof error) == RT_OK,
                       "%s", error);
            rt_tensor_free(&tensor);
        } else {
            FUZZ_CHECK(rt_safetensors_read_memory(file->bytes, file->size, file->path, &set, error,
                                                  sizeof error) == RT_OK,
                       "%s", error);
            rt_set_free(&set);
        }
    }
    while (handle_count > 0) close(handles[--handle_count]);
}
