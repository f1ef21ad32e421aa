/* check NAME=COMMAND ... - runs every part of `make check`, each as one cmocka test that passes when
 * the command's exit status is 0, and ends with cmocka's summary of them all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void run_part(void **state) {
    const char *command = *state;
    printf("+ %s\n", command);
    fflush(stdout);
    int status = system(command);
    if (status != 0) fail_msg("status %d from: %s", status, command);
}

int main(int argc, char **argv) {
    struct CMUnitTest *tests = calloc((size_t)argc, sizeof *tests);
    if (!tests || argc < 2) return 2;
    for (int i = 1; i < argc; i++) {
        char *command = strchr(argv[i], '=');
        if (!command) return 2;
        *command++ = '\0';
        tests[i - 1] = (struct CMUnitTest){argv[i], run_part, NULL, NULL, command};
    }
    int failed = _cmocka_run_group_tests("make check", tests, (size_t)argc - 1, NULL, NULL);
    free(tests);
    return failed != 0;
}
