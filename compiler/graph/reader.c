/* The words and numbers of the text form of a Graph. */
#include "graph/reader.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Span reader_spot(const Reader *p, uint32_t begin) {
    uint32_t end = begin < p->source->length ? begin + 1 : begin;
    return (Span){p->source, begin, end, NULL};
}

bool reader_fail(Reader *p, const char *message) {
    if (!p->failed) diag_error(p->diags, "E-SYNTAX", reader_spot(p, p->at), "%s", message);
    p->failed = true;
    return false;
}

char reader_peek(Reader *p) {
    const char *text = p->source->text;
    while (p->at < p->source->length && (text[p->at] == ' ' || text[p->at] == '\t')) p->at++;
    if (p->at < p->source->length && text[p->at] == '#')
        while (p->at < p->source->length && text[p->at] != '\n') p->at++;
    return p->at < p->source->length ? text[p->at] : '\0';
}

bool reader_at_end(Reader *p) {
    char c = reader_peek(p);
    return p->at >= p->source->length || c == '\n';
}

bool reader_accept(Reader *p, char c) {
    if (reader_peek(p) != c || p->at >= p->source->length) return false;
    p->last = ++p->at;
    return true;
}

bool reader_expect(Reader *p, char c) {
    if (p->failed) return false;
    if (reader_accept(p, c)) return true;
    char message[] = "expected '?'";
    message[10] = c;
    return reader_fail(p, message);
}

static uint32_t word_length(Reader *p) {
    const char *text = p->source->text;
    char c = reader_peek(p);
    uint32_t end = p->at;
    if (!isalpha((unsigned char)c) && c != '_') return 0;
    while (end < p->source->length &&
           (isalnum((unsigned char)text[end]) || text[end] == '_' || text[end] == '.'))
        end++;
    return end - p->at;
}

bool reader_accept_word(Reader *p, const char *word) {
    uint32_t length = word_length(p);
    if (p->failed || length == 0 || length != strlen(word) ||
        memcmp(p->source->text + p->at, word, length) != 0)
        return false;
    p->last = p->at += length;
    return true;
}

bool reader_expect_word(Reader *p, const char *word) {
    if (p->failed) return false;
    if (reader_accept_word(p, word)) return true;
    diag_error(p->diags, "E-SYNTAX", reader_spot(p, p->at), "expected '%s'", word);
    p->failed = true;
    return false;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static Name quoted(Reader *p) {
    const char *text = p->source->text;
    Text name = text_new(p->arena);
    p->at++;
    while (p->at < p->source->length && text[p->at] != '"' && text[p->at] != '\n') {
        char c = text[p->at++];
        if (c == '\0') break;
        if (c == '\\' && p->at < p->source->length) {
            c = text[p->at++];
            if (c == 'x' && p->at + 1 < p->source->length) {
                int high = hex_digit(text[p->at]), low = hex_digit(text[p->at + 1]);
                if (high < 0 || low < 0 || high + low == 0) break;
                c = (char)(high * 16 + low);
                p->at += 2;
            } else if (c != '"' && c != '\\') {
                break;
            }
        }
        text_write(&name, &c, 1);
    }
    if (p->at >= p->source->length || text[p->at] != '"') {
        reader_fail(p, "quoted name without its end");
        return NULL;
    }
    p->last = ++p->at;
    return name_of(p->names, text_string(&name));
}

/* NULL after an error. */
Name reader_name(Reader *p) {
    if (p->failed) return NULL;
    if (reader_peek(p) == '"') return quoted(p);
    uint32_t length = word_length(p);
    if (length == 0) {
        reader_fail(p, "expected a name");
        return NULL;
    }
    Name name = name_of_length(p->names, p->source->text + p->at, length);
    p->last = p->at += length;
    return name;
}

int64_t reader_int(Reader *p) {
    if (p->failed) return 0;
    reader_peek(p);
    const char *text = p->source->text;
    uint32_t at = p->at;
    bool negative = false;
    if (at < p->source->length && (text[at] == '-' || text[at] == '+'))
        negative = text[at++] == '-';
    uint32_t begin = at;
    int64_t value = 0;
    while (at < p->source->length && isdigit((unsigned char)text[at])) {
        int digit = text[at++] - '0';
        if (value > (INT64_MAX - digit) / 10) {
            reader_fail(p, "number too large");
            return 0;
        }
        value = value * 10 + digit;
    }
    if (at == begin) {
        reader_fail(p, "expected a whole number");
        return 0;
    }
    p->last = p->at = at;
    return negative ? -value : value;
}

int reader_small(Reader *p) {
    int64_t value = reader_int(p);
    if (value < 0 || value > INT32_MAX) {
        reader_fail(p, "number out of range");
        return 0;
    }
    return (int)value;
}

/* Decimal as text_double writes it; also inf and nan. */
double reader_double(Reader *p) {
    char buffer[64];
    size_t n = 0;
    if (p->failed) return 0;
    bool negative = reader_accept(p, '-');
    if (reader_accept_word(p, "inf")) return negative ? -(double)INFINITY : (double)INFINITY;
    if (reader_accept_word(p, "nan")) return (double)NAN;
    reader_peek(p);
    const char *text = p->source->text;
    uint32_t at = p->at;
    while (at < p->source->length && n + 1 < sizeof buffer &&
           (isdigit((unsigned char)text[at]) || text[at] == '.' || text[at] == 'e' ||
            ((text[at] == '-' || text[at] == '+') && n > 0 && buffer[n - 1] == 'e')))
        buffer[n++] = text[at++];
    buffer[n] = '\0';
    char *end = buffer;
    double value = n > 0 && isdigit((unsigned char)buffer[0]) ? strtod(buffer, &end) : 0;
    if (end == buffer || *end) {
        reader_fail(p, "expected a number");
        return 0;
    }
    p->last = p->at = at;
    return negative ? -value : value;
}

int reader_node(Reader *p) {
    if (!reader_expect(p, '%')) return 0;
    if (p->at >= p->source->length || !isdigit((unsigned char)p->source->text[p->at])) {
        reader_fail(p, "expected the number of a node");
        return 0;
    }
    return reader_small(p);
}
