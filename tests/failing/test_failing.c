/* Failing resources: every allocation and every call of the system that can fail does so, one after
 * the other, in a run of rnnc of its own. Each must end with the exit status of the contract and a
 * message, hold nothing, leave no file behind and the old files as they were.
 *
 * RNNC_TORTURE=1 tries every single call; otherwise long counts are sampled, both ends in full.
 * RNNC_FAILING=NAME runs the cases that begin so. */
#define _XOPEN_SOURCE 700
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cases.h"
#include "wrap.h"

/* rnnc's own main; the linker gives its name to the one at the end of this file. */
int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv);

#define WRAP_NAME(name) #name,
static const char *const kind_names[] = {WRAP_KINDS(WRAP_NAME)};

static const char OLD[] = "an older file\n";

enum { KILLED = -1 };

/* What ended a run. */
typedef struct Ended {
    int status; /* exit status; KILLED: by the signal that was asked for */
    const char *said;
} Ended;

static Account *account; /* shared with the children */
static long runs;

/* ---- Files ---- */

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at) {
    (void)about;
    (void)kind;
    (void)at;
    return remove(path);
}

static size_t read_text(const char *path, char *to, size_t size) {
    FILE *file = fopen(path, "rb");
    size_t length = file != NULL ? fread(to, 1, size - 1, file) : 0;
    if (file != NULL) fclose(file);
    to[length] = '\0';
    return length;
}

static bool same_file(const char *path, const char *other) {
    static char one[1 << 20], two[1 << 20];
    size_t length = read_text(path, one, sizeof one);
    return read_text(other, two, sizeof two) == length && memcmp(one, two, length) == 0;
}

/* A name in `folder` that is not among `names`, or NULL. */
static const char *stranger(const char *folder, const char *const *names) {
    static char found[300];
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    found[0] = '\0';
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        bool known = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        for (int i = 0; names != NULL && names[i] != NULL; i++)
            known = known || strcmp(entry->d_name, names[i]) == 0;
        if (!known) snprintf(found, sizeof found, "%s/%s", folder, entry->d_name);
    }
    closedir(dir);
    return found[0] ? found : NULL;
}

/* out/ before a run: older files under the names of the outputs, or nothing. */
static void set_outputs(const FailingCase *one, bool older) {
    char path[300];
    for (const char *left; (left = stranger("out", one->outputs)) != NULL;)
        assert_int_equal(unlink(left), 0);
    for (int i = 0; one->outputs[i] != NULL; i++) {
        snprintf(path, sizeof path, "out/%s", one->outputs[i]);
        unlink(path);
        if (!older) continue;
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fputs(OLD, file);
        assert_int_equal(fclose(file), 0);
    }
}

/* ---- One run ---- */

static int call_case(const FailingCase *one) {
    char *words[CASE_WORDS + 2] = {(char *)(uintptr_t) "rnnc"};
    int count = 1;
    if (one->call != NULL) return one->call();
    for (; one->words[count - 1] != NULL; count++)
        words[count] = (char *)(uintptr_t)one->words[count - 1];
    return __real_main(count, words);
}

static void redirect(const char *path, int flags, int to) {
    int file = open(path, flags, 0600);
    if (file < 0 || dup2(file, to) < 0) _exit(99);
    close(file);
}

static Ended run_case(const FailingCase *one, const Fault *fault, const char *object) {
    Ended ended = {0};
    int status = 0;
    memset(account, 0, sizeof *account);
    runs++;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        redirect(one->input != NULL ? one->input : "/dev/null", O_RDONLY, STDIN_FILENO);
        redirect("stdout", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
        redirect("stderr", O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
        wrap_begin(fault, account, object);
        int code = call_case(one);
        wrap_end();
        _exit(code);
    }
    assert_true(child > 0);
    while (waitpid(child, &status, 0) < 0) assert_int_equal(errno, EINTR);
    static char said[1 << 18];
    read_text("stderr", said, sizeof said);
    ended.said = said;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM && fault->how == HOW_SIGNAL)
        ended.status = KILLED;
    else
        ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ended;
}

/* ---- What is asked of a run ---- */

static void wrong(const FailingCase *one, const Fault *fault, const Ended *ended,
                  const char *format, ...) {
    char what[512];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    fail_msg("%s, %s %d%s (%d): %s; status %d, it said\n%s", one->name, kind_names[fault->kind],
             fault->nth, fault->all ? " and all after" : "", fault->how, what, ended->status,
             ended->said);
}

/* Whether outputs get their names one after the other, each when it is whole. */
static bool one_by_one(const FailingCase *one) {
    return strcmp(one->name, "train") == 0;
}

/* All outputs are as before the run, or (`done`) all are as a run without fault leaves them; or
 * each is one or the other. */
static void check_files(const FailingCase *one, const Fault *fault, const Ended *ended, bool older,
                        bool done) {
    char path[300], good[300], text[64];
    for (int i = 0; one->outputs[i] != NULL; i++) {
        snprintf(path, sizeof path, "out/%s", one->outputs[i]);
        snprintf(good, sizeof good, "good/%s", one->outputs[i]);
        if (!done && one_by_one(one) && access(path, F_OK) == 0 && same_file(path, good)) continue;
        if (done) {
            if (!same_file(path, good)) wrong(one, fault, ended, "%s is not as it should be", path);
        } else if (!older) {
            if (access(path, F_OK) == 0) wrong(one, fault, ended, "%s was left", path);
        } else {
            read_text(path, text, sizeof text);
            if (strcmp(text, OLD) != 0) wrong(one, fault, ended, "the old %s is gone", path);
        }
    }
    const char *left = stranger("out", one->outputs);
    if (left == NULL) left = stranger("tmp", NULL);
    if (left == NULL)
        left = stranger("in", (const char *const[]){"m.rnn", "cell.rnn", "wrong.rnn", "x.npy",
                                                    "w.npy", "l.npy", "weights.st", "state.st",
                                                    "learns.rnn", NULL});
    if (left != NULL) wrong(one, fault, ended, "%s was left", left);
}

static void check_account(const FailingCase *one, const Fault *fault, const Ended *ended) {
    if (account->blocks != 0 || account->streams != 0 || account->files != 0 ||
        account->objects != 0)
        wrong(one, fault, ended, "held at the end: %ld blocks, %ld streams, %ld files, %ld objects",
              account->blocks, account->streams, account->files, account->objects);
}

/* With --verify-each a pass whose interpretation finds no memory is not interpreted. */
static bool verifies(const FailingCase *one) {
#ifdef RNNC_VERIFY_EACH
    return one->call == NULL;
#else
    bool asked = false;
    for (int i = 0; one->words[i] != NULL; i++)
        asked = asked || strcmp(one->words[i], "--verify-each") == 0;
    return asked;
#endif
}

/* Runs a case with a fault; `expected` is the status where the fault is one that must be told. */
static void try_fault(const FailingCase *one, const Fault *fault, int expected, bool older) {
    set_outputs(one, older);
    Ended ended = run_case(one, fault, "object.so");
    bool done = ended.status == one->status;
    if (ended.status != KILLED) {
        if (account->fired == 0) wrong(one, fault, &ended, "the fault did not happen");
        bool left_out = done && fault->kind == KIND_memory && verifies(one);
        if (ended.status != expected && !left_out)
            wrong(one, fault, &ended, "the status should be %d", expected);
        if (!done && strstr(ended.said, "error: ") == NULL)
            wrong(one, fault, &ended, "there is no message");
        if (strstr(ended.said, "internal") != NULL || strstr(ended.said, "defect") != NULL)
            wrong(one, fault, &ended, "the fault is taken for a defect");
        check_account(one, fault, &ended);
        check_files(one, fault, &ended, older, done);
        return;
    }
    /* A signal comes before the outputs are named or after: all of them are old, or all new. */
    char path[300] = "", text[64];
    if (one->outputs[0] != NULL) snprintf(path, sizeof path, "out/%s", one->outputs[0]);
    read_text(path, text, sizeof text);
    bool is_new = !one_by_one(one) && one->outputs[0] != NULL && access(path, F_OK) == 0 &&
                  strcmp(text, OLD) != 0;
    check_files(one, fault, &ended, older, is_new);
}

/* ---- All faults of a case ---- */

/* Calls of a case without fault, where no outputs exist yet and where older ones do. */
typedef struct Calls {
    int of[2][KIND_COUNT];
} Calls;

/* Counts the calls; the outputs go to good/. */
static void count_calls(const FailingCase *one, Calls *calls) {
    Fault none = {.nth = 0};
    char from[300], to[300];
    unlink("object.so");
    for (int older = 0; older <= 1; older++) {
        set_outputs(one, older);
        Ended ended = run_case(one, &none, "object.so");
        if (ended.status != one->status) wrong(one, &none, &ended, "without a fault");
        for (int i = 0; !older && one->outputs[i] != NULL; i++) {
            snprintf(from, sizeof from, "out/%s", one->outputs[i]);
            snprintf(to, sizeof to, "good/%s", one->outputs[i]);
            assert_int_equal(rename(from, to), 0);
        }
        if (!older && one->call == NULL && strcmp(one->name, "run by C") == 0) {
            /* Once more: from now on the shared object is there. */
            assert_int_equal(access("object.so", R_OK), 0);
            ended = run_case(one, &none, "object.so");
        }
        check_account(one, &none, &ended);
        if (older) check_files(one, &none, &ended, true, true);
        memcpy(calls->of[older], account->calls, sizeof account->calls);
    }
}

/* The call to try behind `nth`: all where they are few or asked for, else both ends and a sample.
 */
static int next_call(int nth, int count, int most) {
    if (getenv("RNNC_TORTURE") != NULL || count <= most || nth < most / 4 ||
        nth >= count - most / 4)
        return nth + 1;
    int step = (count - most / 2) / (most / 2) + 1;
    return nth + step < count - most / 4 ? nth + step : count - most / 4;
}

static void try_all(const FailingCase *one, const Calls *calls, Kind kind, int how, int expected,
                    bool all_after) {
    int fresh = calls->of[0][kind], over = calls->of[1][kind], count = over > fresh ? over : fresh;
    for (int nth = 1; nth <= count; nth = next_call(nth, count, 40))
        for (int all = 0; all <= all_after; all++) {
            bool older = (nth + all) % 2 == 0;
            if (nth > calls->of[older][kind]) older = !older;
            try_fault(one, &(Fault){kind, nth, all, how}, expected, older);
        }
}

/* What must be told, by its status. 0: as if nothing had happened. */
static void test_case(void **state) {
    const FailingCase *one = *state;
    Calls calls;
    int same = one->status;
    count_calls(one, &calls);
    try_all(one, &calls, KIND_memory, ENOMEM, 3, true);
    static const struct {
        Kind kind;
        int how, status; /* -1: that of the case */
    } faults[] = {
        {KIND_open, ENOSPC, 3},         {KIND_open, EMFILE, 3},
        {KIND_write, ENOSPC, 3},        {KIND_write, EPIPE, 3},
        {KIND_write, EIO, 3},           {KIND_write, EINTR, -1},
        {KIND_write, HOW_SHORT, -1},    {KIND_close, EIO, 3},
        {KIND_close, ENOSPC, 3},        {KIND_rename, EIO, 3},
        {KIND_rename, EACCES, 3},       {KIND_link, EPERM, -1},
        {KIND_fchmod, EPERM, -1},       {KIND_realpath, ENOMEM, 3},
        {KIND_mkdtemp, ENOSPC, 3},      {KIND_mkdtemp, EACCES, 3},
        {KIND_fopen, EACCES, 1},        {KIND_fopen, EMFILE, 1},
        {KIND_fdopen, ENOMEM, 3},       {KIND_open_memstream, ENOMEM, 3},
        {KIND_fread, EIO, 1},           {KIND_fwrite, ENOSPC, 3},
        {KIND_fflush, ENOSPC, 3},       {KIND_fclose, ENOSPC, 3},
        {KIND_posix_spawnp, EAGAIN, 3}, {KIND_posix_spawnp, ENOMEM, 3},
        {KIND_waitpid, ECHILD, 3},      {KIND_waitpid, EINTR, -1},
        {KIND_dlopen, ENOENT, 3},       {KIND_pthread_create, EAGAIN, 3},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        /* Progress that cannot be shown ends no training. */
        if (one_by_one(one) && faults[i].kind == KIND_fflush) continue;
        /* Where no rename works at all, the old file cannot get its name back either. */
        bool once =
            faults[i].how == EINTR || faults[i].status == 1 || faults[i].kind == KIND_rename;
        try_all(one, &calls, faults[i].kind, faults[i].how,
                faults[i].status < 0 ? same : faults[i].status, !once);
    }
    static const Kind moments[] = {KIND_open,    KIND_write,        KIND_close,  KIND_rename,
                                   KIND_mkdtemp, KIND_posix_spawnp, KIND_dlopen, KIND_fopen};
    if (one->call == NULL)
        for (size_t i = 0; i < sizeof moments / sizeof *moments; i++)
            try_all(one, &calls, moments[i], HOW_SIGNAL, same, false);
    if (getenv("RNNC_VERBOSE") != NULL)
        printf("%-28s %6d allocations, %3d opens, %3d writes; %ld runs so far\n", one->name,
               calls.of[1][KIND_memory], calls.of[1][KIND_open], calls.of[1][KIND_write], runs);
}

int __wrap_main(int argc, char **argv) {
    (void)argc;
    (void)argv;
    static struct CMUnitTest tests[64];
    const char *only = getenv("RNNC_FAILING");
    char folder[] = P_tmpdir "/rnnc-failing-XXXXXX";
    int count = 0;
    account =
        mmap(NULL, sizeof *account, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (account == MAP_FAILED || mkdtemp(folder) == NULL || chdir(folder) != 0 ||
        mkdir("out", 0777) != 0 || mkdir("good", 0777) != 0 || mkdir("tmp", 0777) != 0 ||
        setenv("TMPDIR", "tmp", 1) != 0 || setenv("NO_COLOR", "1", 1) != 0 || !cases_prepare()) {
        fprintf(stderr, "cannot prepare %s: %s\n", folder, strerror(errno));
        return 1;
    }
    for (int i = 0; i < failing_case_count; i++)
        if (only == NULL || strncmp(failing_cases[i].name, only, strlen(only)) == 0)
            tests[count++] = (struct CMUnitTest){failing_cases[i].name, test_case, NULL, NULL,
                                                 (void *)(uintptr_t)&failing_cases[i]};
    int failed = _cmocka_run_group_tests("failing resources", tests, (size_t)count, NULL, NULL);
    printf("%ld runs\n", runs);
    if (chdir("/") != 0 || nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "cannot remove %s\n", folder);
    return failed;
}
