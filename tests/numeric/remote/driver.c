/* Runs under an emulator: reads calls from standard input, makes them, and writes back what they
 * changed. tests/numeric/remote.c is the other end; the table of functions comes from there. Both
 * ends are little-endian. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t Function(void *const *args);
extern Function *const functions[];

enum { ARGS = 64, GUARD = 256 };
enum { SCALAR, POINTER, NONE };

typedef struct Arg {
    int32_t kind, shift; /* bytes that a pointer lies behind a multiple of 64 */
    int64_t value;       /* of a scalar; bytes behind a pointer */
    unsigned char *base, *at;
} Arg;

static void get(void *to, size_t size) {
    if (size && fread(to, size, 1, stdin) != 1) exit(0);
}

static void get_block(Arg *arg) {
    size_t bytes = (size_t)arg->value;
    arg->base = malloc(bytes + 2 * GUARD + 128);
    if (!arg->base) exit(3);
    memset(arg->base, 0xA5, bytes + 2 * GUARD + 128);
    arg->at = arg->base + GUARD;
    arg->at += (64 - (uintptr_t)arg->at % 64) % 64 + (size_t)arg->shift;
    get(arg->at, bytes);
}

/* Whether a byte around the block was written. */
static int spoilt(const Arg *arg) {
    size_t bytes = (size_t)arg->value, low = (size_t)(arg->at - arg->base);
    for (size_t i = 0; i < bytes + 2 * GUARD + 128; i++)
        if ((i < low || i >= low + bytes) && arg->base[i] != 0xA5) return 1;
    return 0;
}

int main(void) {
    static Arg args[ARGS];
    for (;;) {
        int32_t head[2], bad = 0;
        void *list[ARGS];
        get(head, sizeof head);
        if (head[1] > ARGS) return 3;
        for (int i = 0; i < head[1]; i++) {
            get(&args[i].kind, sizeof args[i].kind);
            get(&args[i].shift, sizeof args[i].shift);
            get(&args[i].value, sizeof args[i].value);
            list[i] = args[i].kind == NONE ? NULL : (void *)&args[i].value;
            if (args[i].kind != POINTER) continue;
            get_block(&args[i]);
            list[i] = args[i].at;
        }
        int64_t result = functions[head[0]](list);
        for (int i = 0; i < head[1]; i++)
            if (args[i].kind == POINTER && spoilt(&args[i])) bad = i + 1;
        fwrite(&result, sizeof result, 1, stdout);
        fwrite(&bad, sizeof bad, 1, stdout);
        for (int i = 0; i < head[1]; i++) {
            if (args[i].kind != POINTER) continue;
            fwrite(args[i].at, 1, (size_t)args[i].value, stdout);
            free(args[i].base);
        }
        fflush(stdout);
    }
}
