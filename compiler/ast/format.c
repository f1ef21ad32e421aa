/* `rnnc fmt`: the source again with canonical blanks, indents and comments. It works on the tokens
 * of the source and not on the tree, so it can neither lose a comment nor change the tree: tokens
 * stay as they are, in order, on the lines that the user gave them; only a ';' that separates
 * nothing goes. Sources with errors are safe to format, but the result means nothing. */
#include <stdbool.h>
#include <string.h>

#include "ast/ast.h"

typedef enum TokenKind { VALUE, NUMBER, KEYWORD, BINARY, UNARY, PUNCTUATION, COMMENT } TokenKind;

typedef struct Token {
    TokenKind kind;
    const char *text;
    uint32_t length;
    int newlines; /* before it, since the token before */
} Token;
typedef VEC(Token) TokenList;

/* One line of the result: code[begin, begin + length), then perhaps a comment. */
typedef struct Line {
    size_t begin, length;
    int indent;
    const Token *comment;
    bool blank; /* an empty line stands before it */
} Line;
typedef VEC(Line) LineList;

enum { INDENT = 4, COLUMNS = 100 };

typedef struct Format {
    Arena *arena;
    TokenList tokens;
    LineList lines;
    Text code;
    VEC(char) brackets; /* the open ones of ( [ { */
    int depth;          /* open ( and [ since the last { */
    int blocks;         /* open { */
    bool range;         /* between `for` and its block, where ':' and operators are tight */
} Format;

static bool is(const Token *token, const char *text) {
    return token && token->length == strlen(text) && memcmp(token->text, text, token->length) == 0;
}

static bool is_one_of(const Token *token, const char *const *words, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (is(token, words[i])) return true;
    return false;
}

#define ONE_OF(token, words) is_one_of((token), (words), sizeof(words) / sizeof *(words))

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The length of the token at `at`, which is no blank; comments without what trails them. */
static uint32_t token_length(const char *at, const char *end) {
    static const char *const two[] = {"->", "<=", ">=", "==", "!="};
    const char *p = at + 1;
    if (*at == '#') {
        while (p < end && *p != '\n') p++;
        while (p[-1] == ' ' || p[-1] == '\t' || p[-1] == '\r') p--;
    } else if (*at == '"') {
        while (p < end && *p != '"' && *p != '\n') p++;
        if (p < end && *p == '"') p++;
    } else if (is_letter(*at)) {
        while (p < end && (is_letter(*p) || is_digit(*p))) p++;
    } else if (is_digit(*at)) {
        while (p < end &&
               (is_letter(*p) || is_digit(*p) || *p == '.' ||
                ((*p == '+' || *p == '-') && (p[-1] == 'e' || p[-1] == 'E'))))
            p++;
    } else {
        for (size_t i = 0; i < sizeof two / sizeof *two; i++)
            if (end - at >= 2 && memcmp(at, two[i], 2) == 0) return 2;
    }
    return (uint32_t)(p - at);
}

/* Whether an operator behind `token` has a left operand. */
static bool ends_value(const Token *token) {
    return token && (token->kind == VALUE || token->kind == NUMBER || is(token, ")") ||
                     is(token, "]"));
}

static TokenKind kind_of(const Token *token, const Token *before) {
    static const char *const reserved[] = {"for", "in", "if",    "then", "else", "and",
                                           "or",  "not", "every", "per",  "when"};
    static const char *const binary[] = {"+", "*", "/",  "%",  "@",  "^",  "<", ">",
                                         "=", "~", "<=", ">=", "==", "!=", "->"};
    char c = *token->text;
    if (c == '#') return COMMENT;
    if (c == '"') return VALUE;
    if (is_digit(c)) return NUMBER;
    if (is_letter(c)) return ONE_OF(token, reserved) ? KEYWORD : VALUE;
    if (is(token, "-")) return ends_value(before) ? BINARY : UNARY;
    return ONE_OF(token, binary) ? BINARY : PUNCTUATION;
}

/* Whether a line that ends with `token` leaves its statement open. */
static bool leaves_open(const Token *token) {
    return token->kind == BINARY || token->kind == UNARY || is(token, ",") ||
           (token->kind == KEYWORD && !is(token, "for"));
}

/* Whether a line that begins with `token` goes on with the statement before it. */
static bool goes_on(const Token *token) {
    static const char *const words[] = {"and", "or", "then", "else", "every", "per", "when", "-",
                                        "{"};
    return (token->kind == BINARY && !is(token, "=") && !is(token, "~")) || ONE_OF(token, words);
}

static void scan(Format *format, const Source *source) {
    const char *at = source->text, *end = at + source->length;
    const Token *before = NULL;
    int newlines = 0;
    if (source->length >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0) at += 3;
    while (at < end) {
        if (*at == '\n') newlines++;
        if (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n') {
            at++;
            continue;
        }
        Token token = {.text = at, .length = token_length(at, end), .newlines = newlines};
        token.kind = kind_of(&token, before);
        at += token.length;
        newlines = 0;
        vec_push(format->arena, &format->tokens, token);
        /* The array may have moved, and a comment is nobody's operand. */
        if (token.kind != COMMENT) before = &format->tokens.at[format->tokens.count - 1];
    }
}

/* A ';' stays only between two statements of one line. */
static void drop_semicolons(Format *format) {
    TokenList *tokens = &format->tokens;
    int kept = 0, newlines = 0;
    for (int i = 0; i < tokens->count; i++) {
        Token token = tokens->at[i];
        const Token *next = i + 1 < tokens->count ? &tokens->at[i + 1] : NULL;
        const Token *last = kept > 0 ? &tokens->at[kept - 1] : NULL;
        token.newlines += newlines;
        newlines = 0;
        bool useless = !next || next->newlines > 0 || next->kind == COMMENT || is(next, ";") ||
                       is(next, "}") || !last || token.newlines > 0 || is(last, "{") ||
                       is(last, ";");
        if (is(&token, ";") && useless)
            newlines = token.newlines;
        else
            tokens->at[kept++] = token;
    }
    tokens->count = kept;
}

/* A word that opens a statement, as the token filter of the grammar sees it. */
static void mark_statement_word(Token *token, const Token *next) {
    static const char *const words[] = {"model", "size", "const", "import", "param",
                                        "state", "time", "use",   "loss",   "stop"};
    static const char *const not_before[] = {"=", ":", "[", ",", "~"};
    if (ONE_OF(token, words) && !(next && ONE_OF(next, not_before))) token->kind = KEYWORD;
}

static bool is_tight(const Format *format) {
    int n = format->brackets.count;
    return (n > 0 && format->brackets.at[n - 1] == '[') || (format->range && format->depth == 0);
}

/* Whether an operator stands without blanks: a power, and arithmetic inside of `[...]`. */
static bool is_tight_operator(const Format *format, const Token *token) {
    static const char *const arithmetic[] = {"+", "-", "*", "/", "%", "@"};
    if (token->kind != BINARY) return false;
    return is(token, "^") || (is_tight(format) && ONE_OF(token, arithmetic));
}

static bool blank_between(const Format *format, const Token *a, const Token *b) {
    static const char *const closing[] = {",", ";", ")", "]"};
    if (is(a, "{") || is(b, "}")) return !(is(a, "{") && is(b, "}"));
    if (ONE_OF(b, closing) || is(a, "(") || is(a, "[")) return false;
    if (is(b, ":")) return is(a, ",");
    if (is(b, ".")) return a->kind == NUMBER; /* or it would be a decimal point */
    if (is(a, ".") || a->kind == UNARY) return false;
    if (is(a, ":")) return !is_tight(format);
    if (is_tight_operator(format, a) || is_tight_operator(format, b)) return false;
    if (is(b, "(") || is(b, "[")) return !ends_value(a);
    return true;
}

/* Keeps the brackets up to date behind `token`. */
static void follow(Format *format, const Token *token) {
    if (is(token, "(") || is(token, "[") || is(token, "{")) {
        vec_push(format->arena, &format->brackets, *token->text);
        format->depth++;
    } else if (is(token, ")") || is(token, "]") || is(token, "}")) {
        if (format->brackets.count > 0) format->brackets.count--;
        if (format->depth > 0) format->depth--;
    }
    if (is(token, "{")) {
        format->blocks++;
        format->depth = 0;
        format->range = false;
    }
    if (is(token, "}")) {
        if (format->blocks > 0) format->blocks--;
        format->depth = 0;
    }
}

/* The indent of a line whose tokens begin at `first`; brackets that it closes at once count as
 * closed. `inside` gets the indent of a comment above it, which does not see that. */
static int indent_of(const Format *format, int first, bool goes, int *inside) {
    int blocks = format->blocks, depth = format->depth;
    *inside = (blocks + (depth > 0 ? depth : goes ? 1 : 0)) * INDENT;
    for (int i = first; i < format->tokens.count; i++) {
        const Token *token = &format->tokens.at[i];
        if (i > first && token->newlines > 0) break;
        if (is(token, "}") && blocks > 0)
            blocks--;
        else if ((is(token, ")") || is(token, "]")) && depth > 0)
            depth--;
        else
            break;
    }
    const Token *token = &format->tokens.at[first];
    bool own = depth == 0 && ((!goes && format->depth == 0) || is(token, "{") || is(token, ")") ||
                              is(token, "]"));
    return (blocks + (depth > 0 ? depth : own ? 0 : 1)) * INDENT;
}

static void lay_out(Format *format) {
    const Token *before = NULL; /* the last token that is no comment */
    int pending = 0; /* lines above that hold a comment alone and wait for their indent */
    for (int i = 0; i < format->tokens.count; i++) {
        Token *token = &format->tokens.at[i];
        bool fresh = i == 0 || token->newlines > 0;
        const Token *next = i + 1 < format->tokens.count ? token + 1 : NULL;
        if (fresh) {
            bool after_block = before && is(before, "{") &&
                               format->lines.at[format->lines.count - 1].length > 0;
            Line line = {.begin = format->code.length,
                         .blank = i > 0 && token->newlines > 1 && !after_block && !is(token, "}")};
            vec_push(format->arena, &format->lines, line);
        }
        Line *line = &format->lines.at[format->lines.count - 1];
        if (token->kind == COMMENT) {
            line->comment = token;
            if (fresh) pending++;
            continue;
        }
        bool statement = format->depth == 0 && (!before || is(before, "{") || is(before, ";"));
        if (fresh) {
            bool goes = format->depth == 0 && before && !is(before, "{") &&
                        (leaves_open(before) || goes_on(token));
            int inside;
            line->indent = indent_of(format, i, goes, &inside);
            for (; pending > 0; pending--)
                format->lines.at[format->lines.count - 1 - pending].indent = inside;
            statement = statement || (format->depth == 0 && !goes);
        } else if (blank_between(format, before, token)) {
            text_puts(&format->code, " ");
        }
        if (statement) {
            format->range = is(token, "for");
            mark_statement_word(token, next);
        }
        /* `loss -x`: the word before is known to be no operand only now. */
        if (is(token, "-")) token->kind = ends_value(before) && !statement ? BINARY : UNARY;
        text_write(&format->code, token->text, token->length);
        line->length = format->code.length - line->begin;
        follow(format, token);
        before = token;
    }
    for (; pending > 0; pending--)
        format->lines.at[format->lines.count - pending].indent = format->blocks * INDENT;
}

/* The column of the comments of a run of lines [from, to), or 0 when they do not fit one column. */
static size_t comment_column(const Format *format, int from, int to) {
    size_t widest = 0, longest = 0;
    for (int i = from; i < to; i++) {
        const Line *line = &format->lines.at[i];
        size_t width = (size_t)line->indent + line->length;
        if (width > widest) widest = width;
        if (line->comment->length > longest) longest = line->comment->length;
    }
    return widest + 2 + longest <= COLUMNS ? widest + 2 : 0;
}

static bool has_trailing_comment(const Line *line) {
    return line->length > 0 && line->comment;
}

static void write_lines(const Format *format, Text *out) {
    int run_end = 0;
    size_t column = 0;
    for (int i = 0; i < format->lines.count; i++) {
        const Line *line = &format->lines.at[i];
        if (i >= run_end && has_trailing_comment(line)) {
            run_end = i + 1;
            while (run_end < format->lines.count && !format->lines.at[run_end].blank &&
                   has_trailing_comment(&format->lines.at[run_end]))
                run_end++;
            column = comment_column(format, i, run_end);
        }
        if (line->blank) text_puts(out, "\n");
        text_indent(out, line->indent);
        text_write(out, text_string(&format->code) + line->begin, line->length);
        if (line->comment) {
            size_t width = (size_t)line->indent + line->length;
            if (line->length > 0) text_indent(out, column > width ? (int)(column - width) : 2);
            text_write(out, line->comment->text, line->comment->length);
        }
        text_puts(out, "\n");
    }
}

void ast_format(const Ast *ast, Text *out) {
    Format format = {.arena = ast->arena, .code = text_new(ast->arena)};
    scan(&format, ast->source);
    drop_semicolons(&format);
    lay_out(&format);
    write_lines(&format, out);
}
