/* Between the scanner and the parser: what a parse carries along, and the token filter that decides
 * where a line ends a statement, which word opens one, and where an unclosed bracket stops.
 * Only the files of the grammar include this header. */
#ifndef RNNC_GRAMMAR_FILTER_H
#define RNNC_GRAMMAR_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "ast/ast.h"
#include "rnn.tab.h"
#include "support/diag.h"

/* E-LIMIT: open brackets, open blocks, and levels of an expression's tree, each; bytes of a file.
 * A chain of operators that lean to the left, `a + b + c`, has one level an operator, so a sum that
 * is written out ends at 256 operators: no walk over a tree can then run out of stack. */
enum { GRAMMAR_NESTING = 256, GRAMMAR_BYTES = 16 << 20 };

/* E-LIMIT, too: the bytes of a name, since every value that a loop or an instance makes has it. */
enum { GRAMMAR_NAME = 255 };

/* What the scanner returns for what cannot be a token and was reported: the parser recovers. */
#define TOK_ERROR TOK_RNN_YY_error

/* A token as the scanner gives it. */
typedef struct Token {
    int kind;
    Span span;
    RNN_YY_STYPE value;
} Token;

/* One parse, from grammar_parse to its return. */
struct Grammar {
    Arena *arena;
    Ast *ast;
    Diags *diags;
    void *scanner;
    uint32_t offset; /* bytes scanned */

    Token ahead[3]; /* scanned and not yet given out, oldest first */
    int ahead_count;
    int last_scanned; /* kind of the newest token of `ahead`: a run of newlines is one newline */

    Span brackets[GRAMMAR_NESTING], blocks[GRAMMAR_NESTING]; /* where the open ones stand */
    int bracket_count, block_count;
    int previous;     /* kind of the token given out last */
    int statement;    /* kind of the first token of the statement */
    int stray;        /* '{' of the statement that open no block */
    bool begins;      /* a statement begins with the next token */
    bool line_ends;   /* an EOL is owed to the parser */
    bool block_reported; /* one block that the end of the file leaves open was reported */
    bool closing;     /* open blocks are being closed, for a model that begins */
    bool told;        /* a syntax error of the statement was reported */
    bool lost;        /* an item went wrong: what follows is reported when one begins again */
    bool lost_loop;   /* and a 'for' of its body was met, whose block ends no item */
    bool stopped;     /* a limit was met: only the end of the file comes, without complaint */
};

/* Readies the scanner for the source of grammar->ast. */
void grammar_scan_begin(Grammar *grammar);

/* The scanner's next token; `scanner` is grammar->scanner. */
int grammar_scan(RNN_YY_STYPE *value, Span *span, void *scanner);

/* The parser's next token. */
int rnn_yy_lex(RNN_YY_STYPE *value, Span *span, Grammar *grammar);

/* Reports a syntax error at `span`: the token met and the tokens possible there, by the names that
 * rnn.y gives them. */
void grammar_report(Grammar *grammar, Span span, const char *met, const char *const *expected,
                    int count);

#endif
