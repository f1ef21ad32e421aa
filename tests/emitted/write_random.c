/* write_random FOLDER COUNT SEED - random programs as files, for what looks at emitted C: pN.rnn, N
 * from SEED on, of the kind that the compiler takes. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../random/generate.h"

static bool write_program(const char *folder, uint64_t seed) {
    jmp_buf oom;
    if (setjmp(oom)) return false;
    Arena *arena = arena_new(&oom);
    ProgramOptions options = {.lowered = true, .small = seed % 2 == 0};
    RandomProgram program = program_generate(arena, seed, &options);
    char *path = arena_printf(arena, "%s/p%llu.rnn", folder, (unsigned long long)seed);
    FILE *file = fopen(path, "wb");
    bool good = file && fputs(program.text, file) >= 0;
    if (file) good = fclose(file) == 0 && good;
    if (!good) fprintf(stderr, "write_random: cannot write %s\n", path);
    arena_free(arena);
    return good;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fputs("usage: write_random FOLDER COUNT SEED\n", stderr);
        return 2;
    }
    uint64_t count = strtoull(argv[2], NULL, 10), first = strtoull(argv[3], NULL, 10);
    for (uint64_t i = 0; i < count; i++)
        if (!write_program(argv[1], first + i)) return 3;
    return 0;
}
