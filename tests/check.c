/* check JOBS NAME=COMMAND ... - runs every part of `make check`, each as one cmocka test that
 * passes when the command's exit status is 0, and ends with cmocka's summary of them all. JOBS
 * parts run at a time, started in the order given (the long ones first: the last ones fill the
 * gaps); what a part prints comes in that order, too, whole, with the processor time that it took.
 */
#define _DEFAULT_SOURCE

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct Check Check;

typedef struct Part {
    Check *check;
    const char *command;
    FILE *printed;
    pid_t child; /* 0: not started, or ended */
    int status;
    double wall, processor; /* seconds */
} Part;

struct Check {
    Part *parts;
    int count, started, running, jobs;
};

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static double seconds(const struct timeval *time) {
    return (double)time->tv_sec + 1e-6 * (double)time->tv_usec;
}

static void start(Part *part) {
    part->printed = tmpfile();
    if (!part->printed) fail_msg("no file for what is printed: %s", strerror(errno));
    fcntl(fileno(part->printed), F_SETFD, FD_CLOEXEC);
    part->wall = now();
    fflush(NULL);
    part->child = fork();
    if (part->child < 0) fail_msg("cannot start a process: %s", strerror(errno));
    if (part->child > 0) return;
    dup2(fileno(part->printed), STDOUT_FILENO);
    dup2(fileno(part->printed), STDERR_FILENO);
    execl("/bin/sh", "sh", "-c", part->command, (char *)NULL);
    _exit(127);
}

/* Takes the next part that ends, whichever it is. */
static void take_one(Check *check) {
    struct rusage used;
    int status;
    pid_t child = wait4(-1, &status, 0, &used);
    for (int i = 0; i < check->started; i++) {
        Part *part = &check->parts[i];
        if (child <= 0 || part->child != child) continue;
        part->child = 0;
        part->status = status;
        part->wall = now() - part->wall;
        part->processor = seconds(&used.ru_utime) + seconds(&used.ru_stime);
        check->running--;
    }
}

static void print_file(FILE *file) {
    char block[4096];
    rewind(file);
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;) fwrite(block, 1, n, stdout);
    fclose(file);
}

static void run_part(void **state) {
    Part *part = *state;
    Check *check = part->check;
    while (part >= check->parts + check->started || part->child) {
        while (check->running < check->jobs && check->started < check->count) {
            check->running++;
            start(&check->parts[check->started++]);
        }
        take_one(check);
    }
    printf("+ %s\n", part->command);
    print_file(part->printed);
    printf("= %.1f s of processor time in %.1f s\n", part->processor, part->wall);
    fflush(stdout);
    if (part->status != 0) fail_msg("status %d from: %s", part->status, part->command);
}

int main(int argc, char **argv) {
    Check check = {.count = argc - 2, .jobs = argc > 2 ? atoi(argv[1]) : 0};
    if (check.jobs < 1) return 2;
    struct CMUnitTest *tests = calloc((size_t)check.count, sizeof *tests);
    check.parts = calloc((size_t)check.count, sizeof *check.parts);
    if (!tests || !check.parts) return 2;
    for (int i = 0; i < check.count; i++) {
        char *command = strchr(argv[i + 2], '=');
        if (!command) return 2;
        *command++ = '\0';
        check.parts[i] = (Part){.check = &check, .command = command};
        tests[i] = (struct CMUnitTest){argv[i + 2], run_part, NULL, NULL, &check.parts[i]};
    }
    const double from = now();
    int failed = _cmocka_run_group_tests("make check", tests, (size_t)check.count, NULL, NULL);
    double processor = 0;
    for (int i = 0; i < check.count; i++) processor += check.parts[i].processor;
    printf("%.0f s of processor time in %.0f s, %d parts at a time\n", processor, now() - from,
           check.jobs);
    free(tests);
    free(check.parts);
    return failed != 0;
}
