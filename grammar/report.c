/* The words of a syntax error: what was met and what could have stood there, with the long lists
 * (all operators, all statements) named as one thing. */
#include <string.h>

#include "filter.h"

enum { MOST_SHOWN = 6, LONGEST_SHOWN = 40 };

static bool is_among(const char *word, const char *const *list, int count) {
    for (int i = 0; i < count; i++)
        if (strcmp(word, list[i]) == 0) return true;
    return false;
}

#define AMONG(word, list) is_among((word), (list), (int)(sizeof(list) / sizeof *(list)))

/* Whether the token is covered by a word for its group. */
static bool is_covered(const char *token, bool value, bool operators, bool statement, bool line) {
    static const char *const values[] = {"number", "name", "'('", "'-'", "'not'", "'if'"};
    static const char *const postfix[] = {"'('", "'['", "'.'"};
    static const char *const binary[] = {"'or'", "'and'", "'<'", "'>'", "'<='", "'>='",
                                         "'=='", "'!='",  "'+'", "'-'", "'*'",  "'/'",
                                         "'%'",  "'@'",   "'^'"};
    static const char *const statements[] = {"'param'", "'state'", "'time'", "'use'",
                                             "'loss'",  "'stop'",  "'for'",  "name"};
    static const char *const behind_line[] = {"'}'", "end of file"};
    return (value && AMONG(token, values)) ||
           (operators && (AMONG(token, postfix) || AMONG(token, binary))) ||
           (statement && (AMONG(token, statements) || strcmp(token, "end of line") == 0)) ||
           (line && !statement && AMONG(token, behind_line));
}

/* The words for the expected tokens, into `words`, which has room for count + 4. */
static int words_for(const char *const *expected, int count, const char **words) {
    bool value = is_among("number", expected, count);
    bool operators = is_among("'@'", expected, count);
    bool statement = is_among("'param'", expected, count);
    bool line = is_among("end of line", expected, count);
    bool begins = statement || is_among("'model'", expected, count);
    int n = 0;
    if (statement) words[n++] = "statement";
    if (value) {
        words[n++] = "number";
        words[n++] = "name";
        words[n++] = "'('";
    }
    if (operators) words[n++] = "operator";
    for (int i = 0; i < count; i++)
        if (!is_covered(expected[i], value, operators, statement, line) &&
            strcmp(expected[i], "end of line") != 0)
            words[n++] = expected[i];
    if (line && !begins) words[n++] = "end of line";
    return n;
}

static void write_met(Grammar *grammar, Span span, const char *met, Text *out) {
    const char *text = grammar->ast->source->text + span.begin;
    int length = (int)(span.end - span.begin);
    text_puts(out, "unexpected ");
    if (length == 0 && strcmp(met, "end of line") != 0) {
        text_puts(out, "end of file");
    } else if (length > 0 && text[0] == ';') {
        text_puts(out, "';'");
    } else if (strcmp(met, "name") == 0 || strcmp(met, "number") == 0) {
        bool cut = length > LONGEST_SHOWN;
        text_printf(out, "%s '%.*s%s'", met, cut ? LONGEST_SHOWN : length, text, cut ? "..." : "");
    } else {
        text_puts(out, met);
    }
}

/* What other languages write: `//` begins no comment and `**` is no operator here. */
static const char *foreign(const Grammar *grammar, Span span) {
    const char *text = grammar->ast->source->text + span.begin;
    if (span.end != span.begin + 1) return "";
    bool first = text[1] == text[0], second = span.begin > 0 && text[-1] == text[0];
    if (!first && !second) return "";
    if (text[0] == '/') return "; a comment begins with '#'";
    return text[0] == '*' ? "; a power is written '^'" : "";
}

void grammar_report(Grammar *grammar, Span span, const char *met, const char *const *expected,
                    int count) {
    /* A header without '{' would make an error of each line of its body. */
    bool item = is_among("'model'", expected, count);
    grammar->lost_loop = item && grammar->lost && strcmp(met, "'for'") == 0;
    if (grammar->stopped || (item && grammar->lost)) return;
    grammar->told = true;
    grammar->lost |= item || grammar->block_count == 0;
    const char **words = ARENA_ARRAY(grammar->arena, count + 4, const char *);
    int n = words_for(expected, count, words);
    Text message = text_new(grammar->arena);
    write_met(grammar, span, met, &message);
    if (n > MOST_SHOWN) n = MOST_SHOWN;
    for (int i = 0; i < n; i++) {
        text_puts(&message, i == 0 ? ", expected " : i == n - 1 ? " or " : ", ");
        text_puts(&message, words[i]);
    }
    diag_error(grammar->diags, "E-SYNTAX", span, "%s%s", text_string(&message),
               foreign(grammar, span));
}
