/* What the tests of the grammar and of fmt share: parsing bytes, reading and listing files. */
#ifndef RNNC_TESTS_GRAMMAR_CASE_H
#define RNNC_TESTS_GRAMMAR_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "grammar.h"

/* A parse with all that belongs to it; case_free frees it. */
typedef struct Case {
    Arena *arena;
    Source source;
    Diags *diags;
    Ast *ast;
} Case;

static jmp_buf case_oom;

/* Parses a copy of `length` bytes. */
static inline Case case_parse(const char *path, const char *bytes, size_t length) {
    Case c = {.arena = arena_new(&case_oom)};
    assert_non_null(c.arena);
    c.source = (Source){path, arena_strndup(c.arena, bytes, length), (uint32_t)length};
    c.diags = diags_new(c.arena);
    Source *source = arena_copy(c.arena, &c.source, sizeof c.source);
    c.ast = grammar_parse(c.arena, names_new(c.arena), source, c.diags);
    assert_non_null(c.ast);
    return c;
}

static inline Case case_string(const char *text) {
    return case_parse("test.rnn", text, strlen(text));
}

static inline void case_free(Case *c) {
    arena_free(c->arena);
}

/* The diagnostics, one a line: CODE LINE:COLUMN MESSAGE. */
static inline const char *case_errors(Case *c) {
    Text text = text_new(c->arena);
    for (int i = 0; i < c->diags->list.count; i++) {
        const Diag *d = c->diags->list.at[i];
        Place place = source_place(d->span.source, d->span.begin);
        text_printf(&text, "%s %d:%d %s\n", d->code, place.line, place.column, d->message);
    }
    return text_string(&text);
}

static inline const char *case_tree(Case *c) {
    Text text = text_new(c->arena);
    ast_print(c->ast, &text);
    return text_string(&text);
}

/* A whole file with a NUL behind it, to be freed; fails the test when it cannot be read. */
static inline char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("cannot read %s", path);
    char *bytes = NULL;
    size_t room = 0;
    *length = 0;
    do {
        room = room ? room * 2 : 4096;
        bytes = realloc(bytes, room + 1);
        assert_non_null(bytes);
        *length += fread(bytes + *length, 1, room - *length, file);
    } while (*length == room);
    fclose(file);
    bytes[*length] = '\0';
    return bytes;
}

/* Calls `visit` with the path of each file of `folder`, under RNNC_TESTS or ./tests, whose name
 * ends in `ending`; the number of them. */
static inline int for_each_file(const char *folder, const char *ending,
                                void (*visit)(const char *path)) {
    const char *root = getenv("RNNC_TESTS");
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", root ? root : "tests", folder);
    DIR *dir = opendir(path);
    if (!dir) fail_msg("cannot open %s", path);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t n = strlen(entry->d_name), m = strlen(ending);
        if (n < m || strcmp(entry->d_name + n - m, ending) != 0) continue;
        snprintf(path, sizeof path, "%s/%s/%s", root ? root : "tests", folder, entry->d_name);
        visit(path);
        count++;
    }
    closedir(dir);
    return count;
}

#endif
