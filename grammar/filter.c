/* The newline and bracket rules of the language, as a filter with two tokens of look-ahead.
 *
 * A newline ends the statement unless (a) a bracket is open, (b) the token before it leaves the
 * statement open, or (c) the token after it goes on with it. The words that open a statement are
 * names everywhere else. Brackets that are still open where a block ends or a statement obviously
 * begins are reported and given up, so that one of them does not swallow the file. */
#include "filter.h"

#include <string.h>

static const struct {
    const char *word;
    int kind;
} statement_words[] = {
    {"model", TOK_MODEL}, {"size", TOK_SIZE},   {"const", TOK_CONST}, {"import", TOK_IMPORT},
    {"param", TOK_PARAM}, {"state", TOK_STATE}, {"time", TOK_TIME},   {"use", TOK_USE},
    {"loss", TOK_LOSS},   {"stop", TOK_STOP},
};

/* The keyword that a name would be at the beginning of a statement, or 0. */
static int statement_word(const Token *token) {
    if (token->kind != TOK_NAME) return 0;
    for (size_t i = 0; i < sizeof statement_words / sizeof *statement_words; i++)
        if (strcmp(token->value.name, statement_words[i].word) == 0) return statement_words[i].kind;
    return 0;
}

static bool is_binary(int kind) {
    switch (kind) {
    case '+': case '-': case '*': case '/': case '%': case '@': case '^': case '<': case '>':
    case TOK_LE: case TOK_GE: case TOK_EQ: case TOK_NE: case TOK_AND: case TOK_OR:
        return true;
    default:
        return false;
    }
}

/* Rule (b). */
static bool leaves_open(int kind) {
    switch (kind) {
    case ',': case '=': case '~': case '{':
    case TOK_ARROW: case TOK_NOT: case TOK_IF: case TOK_THEN: case TOK_ELSE: case TOK_IN:
    case TOK_EVERY: case TOK_PER: case TOK_WHEN:
        return true;
    default:
        return is_binary(kind);
    }
}

/* Rule (c). */
static bool goes_on(int kind) {
    switch (kind) {
    case '{':
    case TOK_ARROW: case TOK_THEN: case TOK_ELSE: case TOK_EVERY: case TOK_PER: case TOK_WHEN:
        return true;
    default:
        return is_binary(kind);
    }
}

static const Token *peek(Grammar *grammar, int distance) {
    while (grammar->ahead_count <= distance) {
        Token *token = &grammar->ahead[grammar->ahead_count];
        token->kind = grammar_scan(&token->value, &token->span, grammar->scanner);
        if (token->kind <= 0) {
            uint32_t end = grammar->ast->source->length;
            *token = (Token){.kind = TOK_YYEOF, .span = {grammar->ast->source, end, end, NULL}};
        }
        if (token->kind == TOK_NEWLINE && grammar->last_scanned == TOK_NEWLINE) continue;
        grammar->last_scanned = token->kind;
        grammar->ahead_count++;
    }
    return &grammar->ahead[distance];
}

static void drop(Grammar *grammar) {
    grammar->ahead_count--;
    memmove(grammar->ahead, grammar->ahead + 1, (size_t)grammar->ahead_count * sizeof(Token));
}

/* Whether a statement begins at the front of the look-ahead, however many brackets are open. */
static bool surely_begins(Grammar *grammar) {
    int first = peek(grammar, 0)->kind;
    if (first == TOK_FOR) return peek(grammar, 1)->kind == TOK_NAME;
    int word = statement_word(peek(grammar, 0));
    if (!word) return false;
    int second = peek(grammar, 1)->kind;
    return second == TOK_NAME || (word == TOK_IMPORT && second == TOK_STRING);
}

static Diag *report_open(Grammar *grammar, Span span) {
    return diag_error(grammar->diags, "E-SYNTAX", span, "'%c' is not closed",
                      grammar->ast->source->text[span.begin]);
}

/* Reports the innermost open bracket and forgets all of them; the parser has to recover. */
static int give_up_brackets(Grammar *grammar) {
    report_open(grammar, grammar->brackets[grammar->bracket_count - 1]);
    grammar->bracket_count = 0;
    return TOK_ERROR;
}

static int stop(Grammar *grammar, Span span, const char *what) {
    diag_error(grammar->diags, "E-LIMIT", span, "more than %d open %s", GRAMMAR_NESTING, what);
    grammar->stopped = true;
    return TOK_YYEOF;
}

/* The end of the file: brackets and blocks that are still open are closed one after the other. */
static int end_of_file(Grammar *grammar) {
    if (grammar->bracket_count > 0) return give_up_brackets(grammar);
    if (grammar->block_count == 0) return TOK_YYEOF;
    grammar->block_count--;
    if (!grammar->block_reported) report_open(grammar, grammar->blocks[grammar->block_count]);
    grammar->block_reported = true;
    return '}';
}

/* A model begins where blocks are open: they are closed one after the other. */
static int close_blocks(Grammar *grammar) {
    grammar->block_count--;
    grammar->closing = grammar->block_count > 0;
    grammar->line_ends = !grammar->closing;
    return '}';
}

static int item_in_block(Grammar *grammar, Span span) {
    Diag *diag = report_open(grammar, grammar->blocks[grammar->block_count - 1]);
    diag_note(grammar->diags, diag, span, "a model begins here, which stands in no block");
    return close_blocks(grammar);
}

/* Whether a '{' at the front of the look-ahead is none of a body: those stand behind a header or a
 * 'for', or are the last of their line. */
static bool is_stray(Grammar *grammar) {
    int next = peek(grammar, 1)->kind;
    bool body = grammar->statement == TOK_FOR && !grammar->begins;
    return grammar->block_count > 0 && !body && next != TOK_NEWLINE;
}

static int stray_block(Grammar *grammar, const Token *token) {
    if (grammar->bracket_count > 0)
        give_up_brackets(grammar);
    else if (!grammar->told)
        diag_error(grammar->diags, "E-SYNTAX", token->span,
                   "unexpected '{'; a block stands behind 'for' or the header of a model");
    grammar->stray++;
    drop(grammar);
    return TOK_ERROR;
}

static int open_or_close(Grammar *grammar, const Token *token) {
    switch (token->kind) {
    case '(': case '[':
        if (grammar->bracket_count == GRAMMAR_NESTING)
            return stop(grammar, token->span, "brackets");
        grammar->brackets[grammar->bracket_count++] = token->span;
        break;
    case ')': case ']':
        if (grammar->bracket_count > 0) grammar->bracket_count--;
        break;
    case '{':
        if (grammar->block_count == GRAMMAR_NESTING) return stop(grammar, token->span, "blocks");
        grammar->blocks[grammar->block_count++] = token->span;
        break;
    case '}':
        if (grammar->block_count > 0) grammar->block_count--;
        break;
    }
    return token->kind;
}

/* What the front of the look-ahead, a newline, stands for: TOK_EOL, TOK_ERROR, or nothing. */
static int newline(Grammar *grammar) {
    drop(grammar);
    if (grammar->bracket_count > 0) {
        if (!surely_begins(grammar)) return TOK_NEWLINE;
        grammar->line_ends = true;
        return give_up_brackets(grammar);
    }
    if (grammar->begins || leaves_open(grammar->previous) || goes_on(peek(grammar, 0)->kind))
        return TOK_NEWLINE;
    return TOK_EOL;
}

static int next(Grammar *grammar, RNN_YY_STYPE *value, Span *span) {
    for (;;) {
        Token token = *peek(grammar, 0);
        *span = token.span;
        *value = token.value;
        if (grammar->stopped) return TOK_YYEOF;
        if (grammar->closing) return close_blocks(grammar);
        if (grammar->line_ends) {
            grammar->line_ends = false;
            span->end = span->begin;
            return TOK_EOL;
        }
        switch (token.kind) {
        case TOK_YYEOF:
            return end_of_file(grammar);
        case TOK_NEWLINE: {
            int kind = newline(grammar);
            if (kind != TOK_NEWLINE) return kind;
            continue;
        }
        case '{': case '}':
            if (token.kind == '{' && is_stray(grammar)) return stray_block(grammar, &token);
            if (grammar->bracket_count > 0) return give_up_brackets(grammar);
            if (token.kind == '}' && grammar->stray > 0) {
                grammar->stray--;
                drop(grammar);
                continue;
            }
            break;
        case TOK_EOL:
            if (grammar->bracket_count == 0) break;
            drop(grammar);
            diag_error(grammar->diags, "E-SYNTAX", token.span, "unexpected ';' inside of brackets");
            return TOK_ERROR;
        case TOK_NAME:
            if (!grammar->begins || !statement_word(&token)) break;
            switch (peek(grammar, 1)->kind) {
            case '=': case ':': case '[': case ',': case '~':
                break;
            default:
                token.kind = statement_word(&token);
            }
            if (token.kind == TOK_MODEL && grammar->block_count > 0 &&
                peek(grammar, 1)->kind == TOK_NAME)
                return item_in_block(grammar, token.span);
            break;
        }
        drop(grammar);
        return open_or_close(grammar, &token);
    }
}

int rnn_yy_lex(RNN_YY_STYPE *value, Span *span, Grammar *grammar) {
    int kind = next(grammar, value, span);
    if (grammar->begins) grammar->statement = kind;
    if (kind == TOK_EOL) {
        grammar->stray = 0;
        grammar->told = false;
    }
    grammar->previous = kind;
    grammar->begins = kind == TOK_EOL || kind == '{';
    return kind;
}
