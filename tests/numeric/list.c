/* The models of a folder. */
#include "list.h"

#include <dirent.h>

#include "input.h"

static int order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add(Arena *arena, Case *list, int *count, int most, Case entry, const char *detail) {
    if (*count == most) fail_msg("more than %d models", most);
    const char *base = strrchr(entry.file, '/');
    entry.what = arena_printf(arena, "%s:%s%s", base ? base + 1 : entry.file, entry.model, detail);
    list[(*count)++] = entry;
}

int list_folder(Arena *arena, const char *folder, bool may_refuse, Case *list, int most) {
    static const int swept[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 40};
    static const char *const modes[] = {"", " eval", " train"};
    DIR *dir = opendir(folder);
    VEC(const char *) files = {0};
    int count = 0;
    if (!dir) fail_msg("cannot open %s (the tests run from the root of the project)", folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".rnn") == 0)
            vec_push(arena, &files, arena_printf(arena, "%s/%s", folder, entry->d_name));
    }
    closedir(dir);
    if (files.count) qsort(files.at, (size_t)files.count, sizeof *files.at, order);
    for (int f = 0; f < files.count; f++) {
        const char *why, *names[200], *file = files.at[f];
        const Source *source = input_source(arena, file, &why);
        if (!source) fail_msg("%s: %s", file, why);
        int models = model_names(arena, file, names, 200);
        const char *sweep = strncmp(source->text, "# sizes ", 8) == 0 ? source->text + 8 : NULL;
        bool all_modes = strstr(source->text, "# modes") != NULL;
        Define *sizes = ARENA_ARRAY(arena, 16, Define);
        int size_count = may_refuse ? model_small_sizes(arena, file, sizes, 16) : 0;
        for (int m = 0; m < models; m++) {
            Case entry = {.file = file,
                          .model = names[m],
                          .defines = sizes,
                          .define_count = size_count,
                          .may_refuse = may_refuse};
            if (sweep) {
                for (size_t s = 0; s < sizeof swept / sizeof *swept; s++) {
                    Define *define = ARENA_NEW(arena, Define);
                    *define = (Define){arena_strndup(arena, sweep, strcspn(sweep, "\n")), swept[s]};
                    entry.defines = define;
                    entry.define_count = 1;
                    entry.swept = true;
                    add(arena, list, &count, most, entry,
                        arena_printf(arena, " %s=%d", define->name, swept[s]));
                }
                continue;
            }
            for (int mode = MODE_INFER; mode <= (may_refuse  ? MODE_EVAL
                                                 : all_modes ? MODE_TRAIN
                                                             : MODE_INFER);
                 mode++) {
                entry.mode = (Mode)mode;
                add(arena, list, &count, most, entry, modes[mode]);
            }
        }
    }
    return count;
}
