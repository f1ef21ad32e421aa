/* Sources of the language: through the whole compiler, through `check`, and through `fmt`. */
#include <string.h>

#include "fuzz.h"
#include "grammar.h"
#include "loop/loop.h"

/* A case may hold several files, parted by form feeds: 0.rnn, which is compiled, 1.rnn, 2.rnn … */
static const Source *file_of(void *user, Arena *arena, const char *path, const char **why) {
    const FuzzCase *c = user;
    const char *at = c->text, *end = c->text + c->size;
    for (int number = 0; number < 100; number++) {
        const char *stop = memchr(at, '\f', (size_t)(end - at));
        if (!stop) stop = end;
        if (strcmp(path, arena_printf(arena, "%d.rnn", number)) == 0) {
            Source *source = ARENA_NEW(arena, Source);
            *source = (Source){path, arena_strndup(arena, at, (size_t)(stop - at)),
                               (uint32_t)(stop - at)};
            return source;
        }
        if (stop == end) break;
        at = stop + 1;
    }
    *why = "there is no such file";
    return NULL;
}

static Compilation *compilation(const FuzzCase *c, int count, char **words) {
    const char *why = NULL;
    const Options *options = options_parse(c->arena, count, words, &why);
    FUZZ_CHECK(options, "%s", why);
    Compilation *made = compilation_new(c->arena, options);
    made->read = file_of;
    made->read_user = (void *)(uintptr_t)c;
    FUZZ_CHECK(target_choose(c->arena, &options->target, false, &made->target, &why), "%s", why);
    return made;
}

void fuzz_source(FuzzCase *c) {
    static char *const targets[] = {"--target=generic", "--target=x86-64-v3", "--target=x86-64-v4",
                                    "--target=armv8-a"};
    static char *const modes[] = {"--mode=infer", "--mode=infer", "--mode=eval", "--mode=train"};
    static char *const types[] = {"--dtype=f32", "--dtype=f64"};
    static char *const levels[] = {"-O2", "-O0"};
    char *check[] = {"rnnc", "check", "0.rnn"};
    char *compile[] = {"rnnc",
                       "0.rnn",
                       "--emit=loop",
                       targets[c->hash & 3],
                       modes[c->hash >> 2 & 3],
                       types[c->hash >> 4 & 1],
                       levels[c->hash >> 5 & 1]};
    Compilation *checked = compilation(c, 3, check);
    bool good = compilation_check(checked);
    fuzz_check_diags(c, checked->diags);
    FUZZ_CHECK(good == (checked->diags->errors == 0), "%d errors", checked->diags->errors);

    Compilation *made = compilation(c, 7, compile);
    good = compilation_run(made, STAGE_LOOP);
    fuzz_check_diags(c, made->diags);
    FUZZ_CHECK(good == (made->diags->errors == 0), "%d errors:\n%s", made->diags->errors,
               fuzz_diags(c->arena, made->diags));
    if (!good) return;
    Text code = text_new(c->arena), header = text_new(c->arena), words = text_new(c->arena);
    loop_print(made->interface_->module, &code);
    FUZZ_CHECK(compilation_header(made, "m.h", &header), "%s", text_string(&code));
    FUZZ_CHECK(compilation_emit(made, "c", "m.h", &code), "%s", text_string(&code));
    FUZZ_CHECK(compilation_emit(made, "manifest", "m.h", &code), "%s", text_string(&code));
    remarks_print(made, &words);
    fuzz_check_diags(c, made->diags);
}

static Ast *parse(FuzzCase *c, const char *text, size_t size, Diags *diags) {
    Source *source = ARENA_NEW(c->arena, Source);
    *source = (Source){"0.rnn", text, (uint32_t)size};
    return grammar_parse(c->arena, c->names, source, diags);
}

/* What is formatted is the same tree, and formatting it again changes nothing. */
void fuzz_format(FuzzCase *c) {
    Diags *diags = diags_new(c->arena);
    const Ast *ast = parse(c, c->text, c->size, c->diags);
    Text tree = text_new(c->arena), once = text_new(c->arena), twice = text_new(c->arena);
    ast_print(ast, &tree);
    fuzz_check_diags(c, c->diags);
    if (c->diags->errors) return;
    ast_format(ast, &once);
    const Ast *again = parse(c, text_string(&once), once.length, diags);
    FUZZ_CHECK(!diags->errors, "%s\n%s", text_string(&once), fuzz_diags(c->arena, diags));
    FUZZ_CHECK(ast_equal(ast, again), "%s", text_string(&once));
    ast_format(again, &twice);
    FUZZ_CHECK(strcmp(text_string(&once), text_string(&twice)) == 0, "once\n%s\ntwice\n%s",
               text_string(&once), text_string(&twice));
}
