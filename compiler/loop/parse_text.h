/* Inside the parser of the Loop text form: tokens and expressions, used by parse.c. After the first
 * error every token is the end of the text, so that all loops come to their end. */
#ifndef RNNC_LOOP_PARSE_TEXT_H
#define RNNC_LOOP_PARSE_TEXT_H

#include "loop/loop.h"

typedef enum TokenKind { TK_END, TK_WORD, TK_NUMBER, TK_STRING, TK_MARK } TokenKind;

typedef struct Token {
    TokenKind kind;
    uint32_t begin, end;
    bool first; /* on its line */
} Token;

typedef struct Parser {
    Arena *arena;
    Names *names;
    const Source *source;
    Diags *diags;
    bool failed;
    uint32_t at; /* behind the token */
    Token token;
    LoopModule *module;
    LFunction *function;
    uint32_t function_begin;
    int depth; /* of nested expressions and blocks */
} Parser;

enum { PARSE_MOST_DEPTH = 500, PARSE_MOST_LANES = 64 };

void parse_next(Parser *p);
void parse_error(Parser *p, Token at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether the token is this word or mark; `accept` steps over it, `expect` insists. */
bool parse_is(const Parser *p, const char *text);
bool parse_accept(Parser *p, const char *text);
void parse_expect(Parser *p, const char *text);

/* The token as a name, as a string, as an integer with its sign, as a number with its sign. */
Name parse_word(Parser *p);
const char *parse_string(Parser *p);
int64_t parse_int(Parser *p, int64_t least, int64_t most);
double parse_number(Parser *p);

/* "f32", with lanes "f32x8" where `lanes` is not NULL. */
LoopType parse_type(Parser *p, int *lanes);

/* `name.id`: a new variable of the function. The type is filled in by the caller. */
int parse_new_var(Parser *p, LoopType type, int lanes, bool mutable_);

/* The same for one that exists, and `name#id`, `name$place`. */
int parse_var(Parser *p);
int parse_buffer(Parser *p);
int parse_place(Parser *p);

/* Never NULL. */
LExpr *parse_expr(Parser *p);

#endif
