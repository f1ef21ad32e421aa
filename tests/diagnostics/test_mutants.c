/* Every example with one token changed: accepted, or refused at a place within one line of the
 * change, in 95 of 100 cases that are refused. The place is that of the first error that is shown,
 * or of one of its notes. Never a crash, never the code `internal`; what is accepted is lowered.
 *
 * RNNC_MUTANTS=N tries N changes of each file. With 360 each kind has 1,600: 96 of 100 are near,
 * and fewer than 95 is chance in one of a hundred sets of examples. RNNC_VERBOSE=1 shows those that
 * are told far away; RNNC_MUTANTS_SEED=N draws others; RNNC_MUTANTS_SHOW=N prints N messages. */
#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mutants.h"
#include "pipeline.h"

typedef struct Tally {
    long accepted, refused, near, by_note;
} Tally;

static struct {
    Tally kinds[MUTANT_KINDS];
    char path[256]; /* of the mutant, which stays there when it crashes us */
    Pieces words;   /* of all examples */
    long shown, to_show, programs, skipped;
    uint64_t seed;
} all;

static long number_of(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text != NULL ? strtol(text, NULL, 10) : otherwise;
}

static char *read_text(Arena *arena, const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail_msg("cannot read %s", path);
    char *text = arena_alloc(arena, 1 << 18);
    size_t length = fread(text, 1, (1 << 18) - 1, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* `rnnc PATH`, or `rnnc check PATH`. */
static Compilation *open_file(Arena *arena, bool check, const char *path) {
    char *words[4] = {(char *)(uintptr_t) "rnnc"}, *last = arena_strndup(arena, path, strlen(path));
    const char *why = NULL;
    int count = 1;
    if (check) words[count++] = (char *)(uintptr_t) "check";
    words[count++] = last;
    const Options *options = options_parse(arena, count, words, &why);
    if (options == NULL) fail_msg("%s", why);
    Compilation *c = compilation_new(arena, options);
    if (!target_choose(arena, &options->target, false, &c->target, &why)) fail_msg("%s", why);
    return c;
}

/* ---- What is said of a mutant ---- */

/* The error that is shown first. */
static const Diag *first_error(const Diags *diags) {
    const Diag *first = NULL;
    for (int i = 0; i < diags->list.count; i++) {
        const Diag *d = diags->list.at[i];
        if (d->kind != DIAG_ERROR) continue;
        if (first == NULL ||
            (d->span.source == first->span.source && d->span.begin < first->span.begin))
            first = d;
    }
    return first;
}

static bool is_near(const Diag *diag, const Mutant *mutant) {
    if (diag->span.source == NULL || strcmp(diag->span.source->path, all.path) != 0) return false;
    int line = source_place(diag->span.source, diag->span.begin).line;
    return line >= mutant->first - 1 && line <= mutant->last + 1;
}

static const char *said(Compilation *c) {
    Text text = text_new(c->arena);
    diags_render(c->diags, false, &text);
    return text_string(&text);
}

static void never_internal(Compilation *c, const char *file, const Mutant *mutant) {
    for (int i = 0; i < c->diags->list.count; i++)
        if (strcmp(c->diags->list.at[i]->code, "internal") == 0)
            fail_msg("%s:%d: %s\n%s\n%s", file, mutant->first, mutant->what, said(c), mutant->text);
}

static void judge(Compilation *c, const char *file, const Mutant *mutant) {
    Tally *tally = &all.kinds[mutant->kind];
    const Diag *first = first_error(c->diags);
    never_internal(c, file, mutant);
    if (first == NULL) {
        tally->accepted++;
        return;
    }
    tally->refused++;
    bool near = is_near(first, mutant), note = false;
    for (int i = 0; i < first->notes.count; i++)
        note = note || is_near(&first->notes.at[i], mutant);
    tally->near += near || note;
    tally->by_note += !near && note;
    if ((!near && !note && getenv("RNNC_VERBOSE") != NULL) || all.shown < all.to_show) {
        printf("---- %s:%d %s: %s\n%s", file, mutant->first, mutant_names[mutant->kind],
               mutant->what, said(c));
        if (near || note) all.shown++;
    }
}

/* `rnnc check` of the mutant, or of an example that should be clean (`mutant` NULL). */
static bool check_file(const char *file, const Mutant *mutant) {
    jmp_buf oom;
    Arena *const arena = arena_new(&oom);
    if (arena == NULL || setjmp(oom)) fail_msg("%s: out of memory", file);
    Compilation *c = open_file(arena, true, all.path);
    bool good = compilation_check(c);
    if (mutant != NULL) judge(c, file, mutant);
    arena_free(arena);
    return good;
}

static void lower_file(const char *file, const Mutant *mutant) {
    jmp_buf oom;
    Arena *const arena = arena_new(&oom);
    if (arena == NULL || setjmp(oom)) fail_msg("%s: out of memory", file);
    Compilation *c = open_file(arena, false, all.path);
    compilation_run(c, STAGE_LOOP);
    never_internal(c, file, mutant);
    arena_free(arena);
}

/* ---- All mutants of a file ---- */

static void try_mutant(const char *file, const Mutant *mutant) {
    write_text(all.path, mutant->text);
    bool good = check_file(file, mutant);
    if (good && draw(&all.seed, 4) == 0) lower_file(file, mutant);
}

static void try_text(Arena *arena, const char *file, const char *text, long count) {
    Pieces pieces = pieces_of(arena, text);
    write_text(all.path, text);
    if (pieces.count < 10) return;
    if (!check_file(file, NULL)) {
        all.skipped++;
        if (getenv("RNNC_VERBOSE") != NULL)
            printf("---- %s is refused as it is\n%.200s\n", file, text);
        return;
    }
    all.programs++;
    for (long i = 0; i < count; i++) {
        int at = (int)draw(&all.seed, (uint32_t)pieces.count);
        MutantKind kind = (MutantKind)(i % MUTANT_KINDS);
        Mutant mutant = mutate(arena, text, &pieces, at, kind, &all.words, &all.seed);
        if (strcmp(mutant.text, text) != 0) try_mutant(file, &mutant);
    }
}

/* The programs between fences of a page. */
static void try_page(Arena *arena, const char *file, const char *page, long count) {
    for (const char *at = strstr(page, "\n```"); at != NULL; at = strstr(at, "\n```")) {
        const char *begin = strchr(at + 4, '\n'), *end = begin ? strstr(begin, "\n```") : NULL;
        if (end == NULL) return;
        char *text = arena_strndup(arena, begin + 1, (size_t)(end - begin));
        at = end + 4;
        if (strstr(text, "model ") == text || strstr(text, "\nmodel ") != NULL)
            try_text(arena, file, text, count);
    }
}

static const char *const patterns[] = {"tests/golden/programs/*.rnn",
                                       "tests/numeric/programs/*.rnn", "tests/golden/sema/*.rnn",
                                       "examples/*/*.rnn", "docs/*.md"};

static void test_mutants(void **state) {
    (void)state;
    jmp_buf oom;
    glob_t files = {0};
    Arena *const arena = arena_new(&oom);
    if (arena == NULL || setjmp(oom)) fail_msg("out of memory");
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        assert_int_equal(glob(patterns[i], i > 0 ? GLOB_APPEND : 0, NULL, &files), 0);
    all.seed = (uint64_t)number_of("RNNC_MUTANTS_SEED", 1);
    all.to_show = number_of("RNNC_MUTANTS_SHOW", 0);
    long count = number_of("RNNC_MUTANTS", 360);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        if (strstr(files.gl_pathv[i], ".md") != NULL) continue;
        Pieces words = pieces_of(arena, read_text(arena, files.gl_pathv[i]));
        for (int k = 0; k < words.count; k++) vec_push(arena, &all.words, words.at[k]);
    }
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const char *text = read_text(arena, files.gl_pathv[i]);
        if (strstr(files.gl_pathv[i], ".md") != NULL)
            try_page(arena, files.gl_pathv[i], text, count / 6);
        else
            try_text(arena, files.gl_pathv[i], text, count);
    }
    long refused = 0, near = 0;
    printf("%-8s %9s %9s %9s %9s\n", "", "accepted", "refused", "near", "by a note");
    for (int k = 0; k < MUTANT_KINDS; k++) {
        const Tally *t = &all.kinds[k];
        printf("%-8s %9ld %9ld %8.2f%% %9ld\n", mutant_names[k], t->accepted, t->refused,
               100.0 * (double)t->near / (double)(t->refused ? t->refused : 1), t->by_note);
        refused += t->refused;
        near += t->near;
    }
    printf("%ld programs, %ld others are refused as they are\n", all.programs, all.skipped);
    printf("refused near the change: %ld of %ld, %.2f%%\n", near, refused,
           100.0 * (double)near / (double)refused);
    for (int k = 0; k < MUTANT_KINDS; k++)
        assert_true(all.kinds[k].near * 100 >= all.kinds[k].refused * 95);
    globfree(&files);
    arena_free(arena);
}

/* The programs that others import lie beside the mutant. */
static void link_imports(const char *folder, bool make) {
    char root[2048], from[4096], to[4096];
    glob_t files = {0};
    if (getcwd(root, sizeof root) == NULL || glob(patterns[0], 0, NULL, &files) != 0) return;
    for (size_t i = 0; i < files.gl_pathc; i++) {
        snprintf(from, sizeof from, "%s/%s", root, files.gl_pathv[i]);
        snprintf(to, sizeof to, "%s%s", folder, strrchr(files.gl_pathv[i], '/'));
        if (!make)
            unlink(to);
        else if (symlink(from, to) != 0)
            fprintf(stderr, "cannot make %s\n", to);
    }
    globfree(&files);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutants)};
    char folder[] = P_tmpdir "/rnnc-mutants-XXXXXX";
    if (mkdtemp(folder) == NULL) return 1;
    snprintf(all.path, sizeof all.path, "%s/m.rnn", folder);
    link_imports(folder, true);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    link_imports(folder, false);
    unlink(all.path);
    rmdir(folder);
    return failed;
}
