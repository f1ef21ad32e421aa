/* rt_json.c - a strict reader of JSON (RFC 8259) that is pulled: the caller says what must come
 * next, so there is no tree and no recursion. Only what headers of tensors need: objects and
 * arrays by their punctuation, strings, whole numbers. And the writer of one string. */
#include "rt_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

bool rt_json_fail(RtJson *json, RtStatus status, const char *format, ...) {
    char what[256];
    va_list arguments;
    if (json->status != RT_OK) return false;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    json->status = rt_fail(json->error, json->error_size, status, "%s: %s (header, byte %llu)",
                           json->file, what,
                           RT_LLU(json->offset + (size_t)(json->at - json->begin)));
    return false;
}

static void skip_space(RtJson *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' ||
                                    *json->at == '\r')) {
        json->at++;
    }
}

bool rt_json_accept(RtJson *json, char character) {
    if (json->status != RT_OK) return false;
    skip_space(json);
    if (json->at >= json->end || *json->at != (unsigned char)character) return false;
    json->at++;
    return true;
}

bool rt_json_expect(RtJson *json, char character) {
    if (rt_json_accept(json, character)) return true;
    return rt_json_fail(json, RT_ERR_FORMAT, "expected '%c'", character);
}

bool rt_json_finish(RtJson *json) {
    if (json->status != RT_OK) return false;
    skip_space(json);
    if (json->at == json->end) return true;
    return rt_json_fail(json, RT_ERR_FORMAT, "unexpected text behind the last '}'");
}

bool rt_json_number(RtJson *json, int64_t *number) {
    int64_t value = 0;
    if (json->status != RT_OK) return false;
    skip_space(json);
    const unsigned char *start = json->at;
    while (json->at < json->end && *json->at >= '0' && *json->at <= '9') {
        int64_t const digit = *json->at - '0';
        if (value > (INT64_MAX - digit) / 10) {
            return rt_json_fail(json, RT_ERR_FORMAT, "number above 2^63 - 1");
        }
        value = value * 10 + digit;
        json->at++;
    }
    if (json->at == start || (*start == '0' && json->at - start > 1)) {
        return rt_json_fail(json, RT_ERR_FORMAT, "expected a whole number from 0");
    }
    if (json->at < json->end && (*json->at == '.' || *json->at == 'e' || *json->at == 'E')) {
        return rt_json_fail(json, RT_ERR_FORMAT, "expected a whole number from 0");
    }
    *number = value;
    return true;
}

/* ---- Strings -------------------------------------------------------------- */

static bool parse_hex4(RtJson *json, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        unsigned char const c = json->at < json->end ? *json->at : 0;
        uint32_t digit;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (uint32_t)(c - 'a' + 10);
        } else if (c >= 'A' && c <= 'F') {
            digit = (uint32_t)(c - 'A' + 10);
        } else {
            return rt_json_fail(json, RT_ERR_FORMAT, "\\u needs four hexadecimal digits");
        }
        *code = *code << 4 | digit;
    }
    return true;
}

/* Behind "\u": one code point, of two escapes where the first is an upper surrogate. */
static bool parse_code(RtJson *json, uint32_t *code) {
    uint32_t low;
    if (!parse_hex4(json, code)) return false;
    if (*code == 0) return rt_json_fail(json, RT_ERR_FORMAT, "a string holds a NUL");
    if (*code < 0xd800 || *code > 0xdfff) return true;
    bool pair = *code < 0xdc00 && json->end - json->at >= 6 && json->at[0] == '\\' &&
                json->at[1] == 'u';
    if (!pair) return rt_json_fail(json, RT_ERR_FORMAT, "half a surrogate pair");
    json->at += 2;
    if (!parse_hex4(json, &low)) return false;
    if (low < 0xdc00 || low > 0xdfff) {
        return rt_json_fail(json, RT_ERR_FORMAT, "half a surrogate pair");
    }
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static size_t put_utf8(char *to, uint32_t code) {
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    size_t const length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--, code >>= 6) to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)((0xf00u >> length & 0xf0) | code);
    return length;
}

/* Behind a backslash: writes what it stands for, returns the length, 0 on failure. */
static size_t parse_escape(RtJson *json, char *to) {
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    unsigned char const c = json->at < json->end ? *json->at : 0;
    const char *simple = c != 0 ? strchr(from, c) : NULL;
    if (simple != NULL) {
        json->at++;
        *to = into[simple - from];
        return 1;
    }
    if (c == 'u') {
        uint32_t code;
        json->at++;
        return parse_code(json, &code) ? put_utf8(to, code) : 0;
    }
    rt_json_fail(json, RT_ERR_FORMAT, "unknown escape");
    return 0;
}

static bool parse_characters(RtJson *json, char *to) {
    for (;;) {
        size_t length;
        if (json->at < json->end && *json->at == '"') break;
        if (json->at < json->end && *json->at == '\\') {
            json->at++;
            length = parse_escape(json, to);
            if (length == 0) return false;
        } else {
            if (json->at < json->end && *json->at < ' ') {
                return rt_json_fail(json, RT_ERR_FORMAT, "control character in a string");
            }
            length = rt_utf8_length(json->at, json->end);
            if (length == 0) return rt_json_fail(json, RT_ERR_FORMAT, "a string is not UTF-8");
            memcpy(to, json->at, length);
            json->at += length;
        }
        to += length;
    }
    json->at++;
    *to = 0;
    return true;
}

bool rt_json_string(RtJson *json, char **text) {
    *text = NULL;
    if (!rt_json_expect(json, '"')) return false;
    /* No escape is shorter than what it stands for, so the length as written is enough. */
    size_t const most = (size_t)(json->end - json->at);
    size_t length = 0;
    while (length < most && json->at[length] != '"') length += json->at[length] == '\\' ? 2 : 1;
    if (length >= most) return rt_json_fail(json, RT_ERR_FORMAT, "string without end");
    *text = rt_budget_alloc(json->budget, length + 1, 1);
    if (*text == NULL) {
        json->status = rt_budget_fail(json->budget, json->file, json->error, json->error_size);
        return false;
    }
    if (parse_characters(json, *text)) return true;
    free(*text);
    *text = NULL;
    return false;
}

size_t rt_json_quote(char *to, const char *text) {
    size_t length = 1;
    char piece[8];
    if (to != NULL) to[0] = '"';
    for (; *text != 0; text++) {
        unsigned char const c = (unsigned char)*text;
        int const written = c == '"' || c == '\\' ? snprintf(piece, sizeof piece, "\\%c", c)
                            : c < ' ' ? snprintf(piece, sizeof piece, "\\u%04x", (unsigned)c)
                                      : snprintf(piece, sizeof piece, "%c", c);
        size_t const more = (size_t)written;
        if (to != NULL) memcpy(to + length, piece, more);
        length += more;
    }
    if (to != NULL) to[length] = '"';
    return length + 1;
}
