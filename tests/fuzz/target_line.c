/* Command lines: a case is one word a line, as argv without argv[0]. Only reading is tried, no file
 * is opened. */
#include <string.h>

#include "fuzz.h"

void fuzz_line(FuzzCase *c) {
    VEC(char *) words = {0};
    char *text = arena_strndup(c->arena, c->text, c->size);
    vec_push(c->arena, &words, "rnnc");
    for (char *at = text, *end = text + c->size; at < end; at += strlen(at) + 1) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop) *stop = '\0';
        vec_push(c->arena, &words, at);
    }
    vec_push(c->arena, &words, NULL);
    const char *why = NULL;
    const Options *options = options_parse(c->arena, words.count - 1, words.at, &why);
    FUZZ_CHECK((options == NULL) == (why != NULL), "%s", why ? why : "without a word");
    if (!options) {
        FUZZ_CHECK(*why, "an empty message");
        return;
    }
    TargetChoice choice;
    bool native = options->command == COMMAND_RUN;
    if (!target_choose(c->arena, &options->target, native, &choice, &why))
        FUZZ_CHECK(why && *why, "an empty message");
}
