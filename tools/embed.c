/* embed NAME FILE - prints a C file that holds the bytes of FILE as `NAME_text`, with a NUL behind
 * them, and their number as `NAME_length`. Used while building, for the prelude. */
#include <stdio.h>

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: embed NAME FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[2], "rb");
    if (!file) {
        perror(argv[2]);
        return 1;
    }
    unsigned length = 0;
    printf("/* The bytes of %s. */\n#include \"%s.h\"\n\nconst char %s_text[] = {", argv[2],
           argv[1], argv[1]);
    for (int byte; (byte = getc(file)) != EOF; length++)
        printf("%s%d,", length % 20 ? " " : "\n    ", byte < 128 ? byte : byte - 256);
    printf("\n    0};\nconst unsigned %s_length = %u;\n", argv[1], length);
    int bad = ferror(file);
    fclose(file);
    if (bad || fflush(stdout) != 0 || ferror(stdout)) {
        perror(argv[2]);
        return 1;
    }
    return 0;
}
