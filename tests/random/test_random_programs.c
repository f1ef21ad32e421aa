/* Random programs through every column of check.c, many to a compilation, two processes at a time.
 *
 *   PROGRAM_SEEDS=FIRST:LAST   other seeds, every column for each of them
 *   PROGRAM_SHARE=1            columns and gradients for the share of them that make check takes
 *   PROGRAM_COLUMNS=WORD       of the columns only those with this word in their names
 *   PROGRAM_WORKERS=N          processes at a time, 1 to 16
 *   PROGRAM_PLAIN=1            no C compilers: interpreter and Loop evaluator alone
 *   PROGRAM_SHRINK=SEED        makes a failing program small and prints it
 *   PROGRAM_FILE=FILE          that shrinks the program of a file, with the data of the seed
 *   PROGRAM_PRINT=SEED         prints a program
 */
#define _DEFAULT_SOURCE

#include "check.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "input.h"

enum { BATCH = 25, SEEDS = 500, WORKERS = 2, MOST_WORKERS = 16, SECONDS = 600 };

static const ProgramOptions everything = {0};

static void add(Tally *to, const Tally *from) {
    to->programs += from->programs;
    to->refused += from->refused;
    to->sets += from->sets;
    to->redrawn += from->redrawn;
    to->dropped += from->dropped;
    to->stepped += from->stepped;
    to->trained += from->trained;
    to->gradients += from->gradients;
    to->fragile_gradients += from->fragile_gradients;
    to->counted += from->counted;
    for (int c = 0; c < COLUMNS; c++) {
        to->run[c] += from->run[c];
        to->missing[c] |= from->missing[c];
    }
    for (int i = 0; i < FIRINGS; i++) to->fired[i] += from->fired[i];
    for (int i = 0; i < POLICY_COUNT; i++) to->policies[i] += from->policies[i];
    if (from->used > to->used) to->used = from->used;
    to->fault_count += from->fault_count;
}

/* A child that checks one batch; it may crash. */
typedef struct Job {
    pid_t child;
    uint64_t first;
    int count;
    Tally *tally; /* shared */
} Job;

static void child(uint64_t first, int count, const CheckOptions *options, Tally *tally) {
    jmp_buf oom;
    if (setjmp(oom)) _exit(3);
    Arena *arena = arena_new(&oom);
    const struct itimerval own = {.it_value.tv_sec = SECONDS}; /* compilers have their own time */
    setitimer(ITIMER_PROF, &own, NULL);
    alarm(6 * SECONDS);
    check_batch(arena, first, count, &everything, options, tally);
    arena_free(arena);
    _exit(0);
}

static void start(Job *job, uint64_t first, int count, const CheckOptions *options) {
    job->first = first;
    job->count = count;
    memset(job->tally, 0, sizeof *job->tally);
    fflush(NULL);
    job->child = fork();
    if (job->child == 0) child(first, count, options, job->tally);
    if (job->child < 0) fail_msg("cannot start a process");
}

static void print_fault(const Fault *fault) {
    print_error("FAIL program %llu, %s%s%s: %s\n    PROGRAM_SHRINK=%llu test_random_programs\n",
                (unsigned long long)fault->seed, fault_name(fault->kind),
                fault->column >= 0 ? ", " : "",
                fault->column >= 0 ? columns[fault->column].name : "", fault->words,
                (unsigned long long)fault->seed);
}

/* Waits for one job and takes what it counted. */
static void finish(Job *job, const CheckOptions *options, Tally *total) {
    int status;
    while (waitpid(job->child, &status, 0) < 0) {
    }
    job->child = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        for (int i = 0; i < job->tally->fault_count && i < 8; i++) {
            if (total->fault_count + i < 8)
                total->faults[total->fault_count + i] = job->tally->faults[i];
            print_fault(&job->tally->faults[i]);
        }
        add(total, job->tally);
        return;
    }
    if (job->count == 1) {
        Fault fault = {.kind = FAULT_CRASH, .seed = job->first, .column = -1};
        snprintf(fault.words, sizeof fault.words, "signal %d, status %d",
                 WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                 WIFEXITED(status) ? WEXITSTATUS(status) : 0);
        print_fault(&fault);
        if (total->fault_count < 8) total->faults[total->fault_count] = fault;
        total->fault_count++;
        total->programs++;
        return;
    }
    for (int i = 0, count = job->count; i < count; i++) { /* which one? */
        Job one = {.tally = job->tally};
        start(&one, job->first + (uint64_t)i, 1, options);
        finish(&one, options, total);
    }
}

static void *shared(size_t size) {
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) fail_msg("no memory");
    return at;
}

static void run(uint64_t first, uint64_t last, const CheckOptions *options, Tally *total) {
    Job jobs[MOST_WORKERS] = {0};
    uint64_t next = first;
    const char *wish = getenv("PROGRAM_WORKERS");
    const int workers = wish ? atoi(wish) : WORKERS;
    if (workers < 1 || workers > MOST_WORKERS) fail_msg("PROGRAM_WORKERS=1 to %d", MOST_WORKERS);
    for (int w = 0; w < workers; w++) jobs[w].tally = shared(sizeof(Tally));
    for (int w = 0;; w = (w + 1) % workers) {
        if (jobs[w].child) finish(&jobs[w], options, total);
        if (next < last && total->fault_count < 20) {
            int count = last - next < BATCH ? (int)(last - next) : BATCH;
            start(&jobs[w], next, count, options);
            next += (uint64_t)count;
        }
        bool busy = false;
        for (int k = 0; k < workers; k++) busy |= jobs[k].child != 0;
        if (!busy) break;
    }
    for (int w = 0; w < workers; w++) munmap(jobs[w].tally, sizeof(Tally));
}

static void print_table(const Tally *t) {
    print_message(
        "%d programs, %d of them not compiled yet; %d data sets, %d redrawn, %d left "
        "fragile; %d by steps; %d gradients of %d programs, %d fragile; at most %.2f of a "
        "bound used\n",
        t->programs, t->refused, t->sets, t->redrawn, t->dropped, t->stepped, t->gradients,
        t->trained, t->fragile_gradients, t->used);
    for (int c = 0; c < COLUMNS; c++)
        print_message("    %-28s %d%s\n", columns[c].name, t->run[c],
                      t->missing[c] ? " (not on this machine)" : "");
    for (int i = 0; t->counted && i < firing_count(); i++)
        print_message("    %-10s fires in %5.1f %%\n", firing_name(i),
                      100.0 * t->fired[i] / t->counted);
    for (int i = 0; i < POLICY_COUNT; i++)
        print_message("    %-10s %5.1f %% of programs\n", policy_name((Policy)i),
                      100.0 * t->policies[i] / (t->programs ? t->programs : 1));
}

/* Columns that PROGRAM_COLUMNS names, bits; 0: all. */
static unsigned wished_columns(void) {
    const char *word = getenv("PROGRAM_COLUMNS");
    unsigned only = 0;
    for (int c = 0; word && c < COLUMNS; c++)
        if (strstr(columns[c].name, word)) only |= 1u << c;
    if (word && !only) fail_msg("PROGRAM_COLUMNS: no column is called %s", word);
    return only;
}

static void programs(void **state) {
    unsigned long long first = 0, last = SEEDS;
    const char *wish = getenv("PROGRAM_SEEDS");
    CheckOptions options = {.all = wish && !getenv("PROGRAM_SHARE"),
                            .no_columns = getenv("PROGRAM_PLAIN") != NULL,
                            .count_firings = true};
    options.only = wished_columns();
    Tally *total = shared(sizeof(Tally));
    (void)state;
    if (wish && sscanf(wish, "%llu:%llu", &first, &last) != 2) fail_msg("PROGRAM_SEEDS=FIRST:LAST");
    run(first, last, &options, total);
    print_table(total);
    assert_int_equal(total->fault_count, 0);
    assert_true(total->refused * 10 <= total->programs);
    for (int i = 0; total->counted >= 200 && i < firing_count(); i++)
        if (total->fired[i] * 50 < total->counted)
            fail_msg("%s fires in under 2 %% of programs: it needs a policy", firing_name(i));
    munmap(total, sizeof(Tally));
}

/* Programs that failed once, with the seed of their data in the first line: "# seed N, what". */
static void found(void **state) {
    const CheckOptions options = {.all = true, .no_columns = getenv("PROGRAM_PLAIN") != NULL};
    jmp_buf oom;
    DIR *folder = opendir("tests/random/found");
    int count = 0, faults = 0;
    (void)state;
    if (!folder) fail_msg("cannot open tests/random/found (the tests run from the root)");
    if (setjmp(oom)) fail_msg("out of memory");
    Arena *arena = arena_new(&oom);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *why, *path = arena_printf(arena, "tests/random/found/%s", entry->d_name);
        unsigned long long seed = 0;
        if (entry->d_name[0] == '.') continue;
        const Source *source = input_source(arena, path, &why);
        if (!source || sscanf(source->text, "# seed %llu", &seed) != 1) fail_msg("%s", path);
        RandomProgram program = {.text = source->text, .lag = 2, .axes = 2};
        Tally *tally = ARENA_NEW(arena, Tally);
        check_apart(&program, seed, &options, tally);
        count++;
        faults += tally->fault_count;
        if (tally->fault_count)
            print_error("FAIL %s, %s: %s\n", path, fault_name(tally->faults[0].kind),
                        tally->faults[0].words);
    }
    closedir(folder);
    arena_free(arena);
    assert_int_equal(faults, 0);
    assert_true(count > 0);
}

static int print_program(uint64_t seed) {
    jmp_buf oom;
    if (setjmp(oom)) return 3;
    Arena *arena = arena_new(&oom);
    fputs(program_generate(arena, seed, &everything).text, stdout);
    arena_free(arena);
    return 0;
}

/* What is the matter with this program, and the smallest one that has it. */
static int shrink_program(uint64_t seed) {
    jmp_buf oom;
    if (setjmp(oom)) return 3;
    Arena *arena = arena_new(&oom);
    const CheckOptions options = {.all = true, .no_columns = getenv("PROGRAM_PLAIN") != NULL};
    RandomProgram program = program_generate(arena, seed, &everything);
    const char *why, *file = getenv("PROGRAM_FILE");
    const Source *source = file ? input_source(arena, file, &why) : NULL;
    if (source) program = (RandomProgram){.text = source->text, .lag = 2, .axes = 2};
    Tally *tally = ARENA_NEW(arena, Tally);
    if (!check_apart(&program, seed, &options, tally) || !tally->fault_count) {
        printf("program %llu has no fault\n", (unsigned long long)seed);
        return 0;
    }
    Fault fault = tally->faults[0];
    print_fault(&fault);
    program = shrink(arena, program, &fault, SECONDS);
    printf("# seed %llu, %s\n%s", (unsigned long long)seed, fault_name(fault.kind), program.text);
    arena_free(arena);
    return 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(found), cmocka_unit_test(programs)};
    if (getenv("PROGRAM_PRINT")) return print_program(strtoull(getenv("PROGRAM_PRINT"), NULL, 10));
    if (getenv("PROGRAM_SHRINK"))
        return shrink_program(strtoull(getenv("PROGRAM_SHRINK"), NULL, 10));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
