/* replay FOLDER [FILE ...] - the stored cases of every target, FOLDER/TARGET/FILE, or those files
 * alone, each of the target that its folder names. A case that takes 5 seconds of
 * processor time, or 100 of any, is killed: a time-out is a finding, too. */
#define _XOPEN_SOURCE 700

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { SECONDS = 5, SLEEPING = 100, LONGEST_PATH = 1000 };

static char at_work[2 * LONGEST_PATH];

static void late(int number) {
    static const char words[] = ": no end after 5 seconds of processor time\n";
    ssize_t ignored = write(2, at_work, strlen(at_work));
    ignored = write(2, words, sizeof words - 1);
    (void)ignored, (void)number;
    _exit(1);
}

static void died(int number) {
    static const char words[] = ": this case\n";
    ssize_t ignored = write(2, at_work, strlen(at_work));
    ignored = write(2, words, sizeof words - 1);
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

static bool replay(const FuzzTarget *target, const char *path) {
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        perror(path);
        return false;
    }
    static uint8_t bytes[1 << 20];
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    snprintf(at_work, sizeof at_work, "%s", path);
    const struct itimerval limit = {.it_value.tv_sec = SECONDS}, none = {0};
    setitimer(ITIMER_PROF, &limit, NULL);
    alarm(SLEEPING);
    fuzz_one(target, bytes, size);
    alarm(0);
    setitimer(ITIMER_PROF, &none, NULL);
    return true;
}

/* Every file of a target's folder; the number of them, -1 if the folder cannot be read. */
static int replay_folder(const FuzzTarget *target, const char *folder) {
    struct dirent **entries;
    int found = scandir(folder, &entries, NULL, alphasort), count = 0;
    for (int i = 0; i < found; i++) {
        char path[2 * LONGEST_PATH];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        bool good = entries[i]->d_name[0] == '.' || replay(target, path);
        if (entries[i]->d_name[0] != '.') count++;
        free(entries[i]);
        if (!good) count = -1;
        if (!good) break;
    }
    if (found >= 0) free(entries);
    return found < 0 ? -1 : count;
}

static const FuzzTarget *target_of(const char *path) {
    char text[LONGEST_PATH];
    snprintf(text, sizeof text, "%s", path);
    char *slash = strrchr(text, '/');
    if (slash) *slash = '\0';
    slash = strrchr(text, '/');
    return fuzz_target(slash ? slash + 1 : text);
}

int main(int argc, char **argv) {
    int total = 0;
    if (argc < 2) return 2;
    signal(SIGALRM, late);
    signal(SIGPROF, late);
    signal(SIGABRT, died);
    signal(SIGSEGV, died);
    for (int i = 2; i < argc; i++) {
        const FuzzTarget *target = target_of(argv[i]);
        if (!target || !replay(target, argv[i])) return 1;
    }
    for (int i = 0; argc == 2 && i < fuzz_target_count; i++) {
        char folder[LONGEST_PATH];
        clock_t begin = clock();
        snprintf(folder, sizeof folder, "%s/%s", argv[1], fuzz_targets[i].name);
        int count = replay_folder(&fuzz_targets[i], folder);
        if (count < 1) {
            fprintf(stderr, "%s: no cases\n", folder);
            return 1;
        }
        printf("%-12s %4d cases %6.2f s\n", fuzz_targets[i].name, count,
               (double)(clock() - begin) / CLOCKS_PER_SEC);
        total += count;
    }
    if (argc == 2) printf("%d cases\n", total);
    return 0;
}
