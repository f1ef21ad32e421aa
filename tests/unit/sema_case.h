/* What the tests of sema share: a source through parser and elaborator to Graphs and diagnostics.
 * Tests run from the root of the project. */
#ifndef RNNC_TEST_SEMA_CASE_H
#define RNNC_TEST_SEMA_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "grammar/grammar.h"
#include "sema/sema.h"

typedef struct Case {
    jmp_buf oom;
    Arena *arena;
    Names *names;
    Diags *diags;
    const Ast *ast;
    Program *program;
} Case;

static const Source *case_load(void *user, Arena *arena, const char *path, const char **why) {
    (void)user;
    FILE *file = fopen(path, "rb");
    Text text = text_new(arena);
    char buffer[4096];
    size_t count;
    *why = "no such file";
    if (file == NULL) return NULL;
    while ((count = fread(buffer, 1, sizeof buffer, file)) > 0) text_write(&text, buffer, count);
    fclose(file);
    Source *source = ARENA_NEW(arena, Source);
    *source = (Source){arena_strndup(arena, path, strlen(path)), text_string(&text),
                       (uint32_t)text.length};
    return source;
}

/* Parses and checks; `prelude` NULL: none. */
static void case_open(Case *c, const Source *(*get)(Case *, const void *), const void *what,
                      const char *prelude, SemaDefine *defines, int define_count) {
    memset(c, 0, sizeof *c);
    if (setjmp(c->oom)) fail_msg("out of memory");
    c->arena = arena_new(&c->oom);
    c->names = names_new(c->arena);
    c->diags = diags_new(c->arena);
    const char *why;
    const Ast *library = NULL;
    if (prelude != NULL) {
        Source *source =
            arena_copy(c->arena, case_load(NULL, c->arena, prelude, &why), sizeof *source);
        source->path = "<prelude>";
        library = grammar_parse(c->arena, c->names, source, c->diags);
    }
    c->ast = grammar_parse(c->arena, c->names, get(c, what), c->diags);
    c->program = sema_program(c->arena, c->names, c->ast, library, case_load, NULL, defines,
                              define_count, c->diags);
}

static inline const Source *case_text_source(Case *c, const void *text) {
    Source *source = ARENA_NEW(c->arena, Source);
    *source = (Source){"case.rnn", text, (uint32_t)strlen(text)};
    return source;
}

static inline const Source *case_file_source(Case *c, const void *path) {
    const char *why;
    const Source *source = case_load(NULL, c->arena, path, &why);
    if (source == NULL) fail_msg("cannot read %s", (const char *)path);
    return source;
}

static inline void case_close(Case *c) {
    arena_free(c->arena);
}

static inline const char *case_diags(Case *c) {
    Text text = text_new(c->arena);
    diags_render(c->diags, false, &text);
    return text_string(&text);
}

/* Compares with a file; RNNC_UPDATE=1 writes it. */
static inline void case_golden(Case *c, const char *path, const char *text) {
    const char *why;
    if (getenv("RNNC_UPDATE") != NULL) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        fputs(text, file);
        fclose(file);
        return;
    }
    const Source *want = case_load(NULL, c->arena, path, &why);
    if (want == NULL)
        fail_msg("%s: %s", path, why);
    else if (strcmp(want->text, text) != 0)
        fail_msg("%s differs; it should be\n%s\nand is\n%s", path, want->text, text);
}

static inline int case_order(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the files of a folder that end in `.rnn`, sorted. */
static inline int case_files(Case *c, const char *folder, const char **to, int most) {
    DIR *dir = opendir(folder);
    int count = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && count < most;) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".rnn") == 0)
            to[count++] = arena_strndup(c->arena, entry->d_name, length);
    }
    closedir(dir);
    qsort(to, (size_t)count, sizeof *to, case_order);
    return count;
}

#endif
