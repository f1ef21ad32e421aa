/* Tokens and expressions of the Loop text form. */
#include "loop/parse_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- tokens ---- */

static char char_at(const Parser *p, uint32_t at) {
    return at < p->source->length ? p->source->text[at] : '\0';
}

static bool is_word_char(char c) {
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static uint32_t string_end(const Parser *p, uint32_t at) {
    while (at < p->source->length && char_at(p, at) != '"' && char_at(p, at) != '\n')
        at += char_at(p, at) == '\\' ? 2 : 1;
    if (at >= p->source->length) return p->source->length;
    return char_at(p, at) == '"' ? at + 1 : at;
}

static uint32_t number_end(const Parser *p, uint32_t at) {
    for (char last = '0';; last = char_at(p, at++)) {
        char c = char_at(p, at);
        bool sign = (c == '+' || c == '-') && (last == 'e' || last == 'E');
        if (!is_word_char(c) && !sign) return at;
    }
}

void parse_next(Parser *p) {
    Token t = {.first = p->at == 0};
    while (p->at < p->source->length && isspace((unsigned char)char_at(p, p->at)))
        if (char_at(p, p->at++) == '\n') t.first = true;
    t.begin = p->at;
    char c = char_at(p, p->at);
    if (p->failed || p->at >= p->source->length) {
        t.end = t.begin;
    } else if (isdigit((unsigned char)c)) {
        t.kind = TK_NUMBER;
        t.end = number_end(p, p->at);
    } else if (isalpha((unsigned char)c) || c == '_') {
        t.kind = TK_WORD;
        for (t.end = p->at; is_word_char(char_at(p, t.end)); t.end++) {
        }
    } else if (c == '"') {
        t.kind = TK_STRING;
        t.end = string_end(p, p->at + 1);
    } else {
        t.kind = TK_MARK;
        t.end = p->at + (c == '-' && char_at(p, p->at + 1) == '>' ? 2 : 1);
    }
    p->at = t.end;
    p->token = t;
}

void parse_error(Parser *p, Token at, const char *format, ...) {
    if (p->failed) return;
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    diag_error(p->diags, "E-LOOP", (Span){p->source, at.begin, at.end, NULL}, "%s", message);
    p->failed = true;
    p->at = p->source->length;
    p->token = (Token){.kind = TK_END, .begin = p->at, .end = p->at, .first = true};
}

static bool token_is(const Parser *p, Token t, const char *text) {
    size_t length = strlen(text);
    bool plain = t.kind == TK_WORD || t.kind == TK_MARK;
    return plain && t.end - t.begin == length &&
           memcmp(p->source->text + t.begin, text, length) == 0;
}

bool parse_is(const Parser *p, const char *text) {
    return token_is(p, p->token, text);
}

bool parse_accept(Parser *p, const char *text) {
    if (!parse_is(p, text)) return false;
    parse_next(p);
    return true;
}

/* The token for a message; long ones are cut. */
static const char *shown(const Parser *p) {
    Token t = p->token;
    if (t.kind == TK_END) return "the end";
    uint32_t length = t.end - t.begin < 40 ? t.end - t.begin : 40;
    char *text = arena_strndup(p->arena, p->source->text + t.begin, length);
    for (uint32_t i = 0; i < length; i++)
        if (!isprint((unsigned char)text[i])) text[i] = '?';
    return arena_printf(p->arena, "'%s'", text);
}

void parse_expect(Parser *p, const char *text) {
    if (!parse_accept(p, text))
        parse_error(p, p->token, "unexpected %s, expected '%s'", shown(p), text);
}

Name parse_word(Parser *p) {
    Token t = p->token;
    if (t.kind != TK_WORD) {
        parse_error(p, t, "unexpected %s, expected a name", shown(p));
        return name_of(p->names, "_");
    }
    parse_next(p);
    return name_of_length(p->names, p->source->text + t.begin, t.end - t.begin);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *parse_string(Parser *p) {
    Token t = p->token;
    const char *text = p->source->text;
    if (t.kind != TK_STRING) {
        parse_error(p, t, "unexpected %s, expected a string", shown(p));
        return "";
    }
    char *to = arena_alloc(p->arena, t.end - t.begin + 1);
    uint32_t n = 0, i = t.begin + 1;
    while (i < t.end && text[i] != '"') {
        char c = text[i++];
        if (c == '\\' && i < t.end) {
            char escape = text[i++];
            c = escape == 'n' ? '\n' : escape;
            if (escape == 'x' && i + 2 <= t.end) {
                int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
                c = high < 0 || low < 0 ? '\0' : (char)(16 * high + low);
                i += 2;
            } else if (escape != 'n' && escape != '"' && escape != '\\') {
                c = '\0';
            }
        }
        if (!c) {
            parse_error(p, t, "a string with an unknown escape or a NUL");
            return "";
        }
        to[n++] = c;
    }
    if (i >= t.end) parse_error(p, t, "a string without end");
    if (!p->failed) parse_next(p);
    return to;
}

int64_t parse_int(Parser *p, int64_t least, int64_t most) {
    bool negative = parse_accept(p, "-");
    Token t = p->token;
    uint64_t value = 0, limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    if (t.kind != TK_NUMBER) parse_error(p, t, "unexpected %s, expected an integer", shown(p));
    for (uint32_t i = t.begin; i < t.end && !p->failed; i++) {
        char c = p->source->text[i];
        uint64_t digit = (uint64_t)(unsigned char)c - '0';
        if (!isdigit((unsigned char)c) || value > (limit - digit) / 10)
            parse_error(p, t, "%s is no integer of 64 bits", shown(p));
        else
            value = 10 * value + digit;
    }
    int64_t result = negative ? (int64_t)(0 - value) : (int64_t)value;
    if (!p->failed && (result < least || result > most))
        parse_error(p, t, "%" PRId64 " is not between %" PRId64 " and %" PRId64, result, least,
                    most);
    if (p->failed) return least;
    parse_next(p);
    return result;
}

double parse_number(Parser *p) {
    bool negative = parse_accept(p, "-");
    Token t = p->token;
    double value = 0;
    if (parse_accept(p, "inf")) {
        value = INFINITY;
    } else if (parse_accept(p, "nan")) {
        value = NAN;
    } else {
        char text[64], *end = text;
        size_t length = t.end - t.begin;
        bool fits = t.kind == TK_NUMBER && length < sizeof text;
        if (fits) {
            memcpy(text, p->source->text + t.begin, length);
            text[length] = '\0';
            char *point = strchr(text, '.');
            if (point) *point = localeconv()->decimal_point[0];
            fits = !strpbrk(text, "xX"); /* decimal only */
            value = strtod(text, &end);
        }
        if (!fits || *end) parse_error(p, t, "unexpected %s, expected a number", shown(p));
        if (!p->failed) parse_next(p);
    }
    return negative ? -value : value;
}

/* ---- types and references ---- */

static bool type_of(const char *word, LoopType *type, int *lanes) {
    static const LoopType all[] = {LT_F32, LT_F64, LT_I8,  LT_U16, LT_I32,
                                   LT_I64, LT_M32, LT_M64, LT_VOID};
    *lanes = 1;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t length = strlen(loop_type_text(all[i]));
        if (strncmp(word, loop_type_text(all[i]), length) != 0) continue;
        *type = all[i];
        if (!word[length]) return true;
        if (word[length] != 'x' || !isdigit((unsigned char)word[length + 1])) return false;
        char *end;
        long n = strtol(word + length + 1, &end, 10);
        *lanes = (int)n;
        return !*end && n > 1 && n <= PARSE_MOST_LANES && word[length + 1] != '0';
    }
    return false;
}

LoopType parse_type(Parser *p, int *lanes) {
    Token t = p->token;
    Name word = parse_word(p);
    LoopType type = LT_F32;
    int n = 1;
    if ((!type_of(word, &type, &n) || (n != 1 && !lanes)) && !p->failed)
        parse_error(p, t, "%.40s is no type", word);
    if (lanes) *lanes = n;
    return type;
}

/* Splits `name.id`; false when the word has no such end. */
static bool split_id(Parser *p, const char *word, Name *name, int *id) {
    const char *dot = strrchr(word, '.');
    if (!dot || dot == word || !isdigit((unsigned char)dot[1]) || strlen(dot) > 9) return false;
    if (dot[1] == '0' && dot[2]) return false;
    char *end;
    *id = (int)strtol(dot + 1, &end, 10);
    *name = name_of_length(p->names, word, (size_t)(dot - word));
    return !*end;
}

int parse_new_var(Parser *p, LoopType type, int lanes, bool mutable_) {
    Token t = p->token;
    Name name = NULL, word = parse_word(p);
    int id = 0;
    LFunction *f = p->function;
    if (p->failed) return 0;
    if (!split_id(p, word, &name, &id)) {
        parse_error(p, t, "%.40s is no variable, which is spelled name.id", word);
        return 0;
    }
    /* Identifiers may have gaps, but not so many that a short text takes much memory. */
    if ((uint32_t)id > 64 + p->at - p->function_begin) {
        parse_error(p, t, "the identifier %d is larger than the function", id);
        return 0;
    }
    while (f->vars.count <= id)
        vec_push(p->arena, &f->vars, (LVar){.name = name_of(p->names, "_")});
    if (f->vars.at[id].lanes) parse_error(p, t, "%.40s is declared twice", word);
    f->vars.at[id] = (LVar){name, type, lanes, mutable_};
    return id;
}

static int known_var(Parser *p, Token t, Name word) {
    Name name = NULL;
    int id = 0;
    const LFunction *f = p->function;
    if (split_id(p, word, &name, &id) && id < f->vars.count && f->vars.at[id].lanes &&
        f->vars.at[id].name == name)
        return id;
    parse_error(p, t, "%.40s is not declared", word);
    return -1;
}

int parse_var(Parser *p) {
    Token t = p->token;
    Name word = parse_word(p);
    return p->failed ? -1 : known_var(p, t, word);
}

int parse_buffer(Parser *p) {
    Token t = p->token;
    Name name = parse_word(p);
    parse_expect(p, "#");
    int id = (int)parse_int(p, 0, INT32_MAX - 1);
    const LFunction *f = p->function;
    if (p->failed) return -1;
    if (id < f->buffers.count && f->buffers.at[id].name == name) return id;
    parse_error(p, t, "there is no buffer %.40s#%d", name, id);
    return -1;
}

int parse_place(Parser *p) {
    Token t = p->token;
    Name name = parse_word(p);
    parse_expect(p, "$");
    int place = (int)parse_int(p, 0, INT32_MAX - 1);
    const LFunction *f = p->function;
    if (p->failed) return -1;
    if (place < f->args.count && f->args.at[place].name == name) return place;
    parse_error(p, t, "there is no argument %.40s$%d", name, place);
    return -1;
}

/* ---- expressions ---- */

/* What was parsed, and how deep it is. */
typedef struct Part {
    LExpr *expr;
    int height;
} Part;

static Part parse_sum(Parser *p);

static Part part(Parser *p, Token at, LExpr *expr, int height) {
    if (height <= PARSE_MOST_DEPTH) return (Part){expr, height};
    parse_error(p, at, "an expression nested more than %d deep", PARSE_MOST_DEPTH);
    return (Part){loop_int(p->module, 0), 0};
}

/* As loop_op, but it keeps what is written. */
static LExpr *op_node(Parser *p, ScalarOp op, LExpr *a, LExpr *b, LExpr *c) {
    LExpr *e = loop_convert(p->module, op, a->type, a);
    e->b = b;
    e->c = c;
    if (scalar_op_info[op].kind == SK_COMPARE) e->type = loop_mask_of(a->type);
    if (scalar_op_info[op].kind == SK_SELECT) e->type = b->type;
    return e;
}

/* `(a, b, c)` behind the name of an operation; `to` is the type that it names, or NULL. */
static Part parse_call(Parser *p, Token at, ScalarOp op, const LoopType *to) {
    LExpr *operands[3] = {NULL, NULL, NULL};
    int height = 0;
    parse_expect(p, "(");
    for (int i = 0; i < scalar_op_info[op].operands; i++) {
        if (i) parse_expect(p, ",");
        Part x = parse_sum(p);
        operands[i] = x.expr;
        if (x.height > height) height = x.height;
    }
    parse_expect(p, ")");
    LExpr *e = to ? loop_convert(p->module, op, *to, operands[0])
                  : op_node(p, op, operands[0], operands[1], operands[2]);
    return part(p, at, e, height + 1);
}

/* `load.f32x8.aligned w#0[index]`, `load.f32x8.by100 w#0[index]`, the word being read. */
static Part parse_load(Parser *p, Token at, const char *word) {
    char type_word[16] = "";
    const char *rest = word + strlen("load.");
    size_t length = strcspn(rest, ".");
    bool aligned = strcmp(rest + length, ".aligned") == 0;
    char *end = NULL;
    int64_t apart =
        strncmp(rest + length, ".by", 3) == 0 ? strtoll(rest + length + 3, &end, 10) : 0;
    LoopType type = LT_F32;
    int lanes = 1;
    if (length < sizeof type_word) memcpy(type_word, rest, length);
    bool known = !rest[length] || aligned || (end && !*end && apart > 0);
    if (!type_of(type_word, &type, &lanes) || !known) parse_error(p, at, "%.40s is no load", word);
    int buffer = parse_buffer(p);
    parse_expect(p, "[");
    Part index = parse_sum(p);
    parse_expect(p, "]");
    if (p->failed) return (Part){loop_int(p->module, 0), 0};
    LExpr *e = loop_load(p->module, p->function, buffer, index.expr, lanes, aligned);
    e->integer = apart;
    if (e->type != type)
        parse_error(p, at, "load of %s from a buffer of %s", loop_type_text(type),
                    loop_type_text(e->type));
    return part(p, at, e, index.height + 1);
}

/* `splat(a, lanes)` or `lane(a, lane)`. */
static Part parse_lanes(Parser *p, Token at, bool splat) {
    parse_expect(p, "(");
    Part a = parse_sum(p);
    parse_expect(p, ",");
    int n = (int)parse_int(p, splat ? 2 : 0, splat ? PARSE_MOST_LANES : PARSE_MOST_LANES - 1);
    parse_expect(p, ")");
    LExpr *e = splat ? loop_splat(p->module, a.expr, n) : loop_lane(p->module, a.expr, n);
    return part(p, at, e, a.height + 1);
}

static Part parse_literal(Parser *p, LoopType type) {
    parse_expect(p, "(");
    LExpr *e = type == LT_F32 || type == LT_F64
                   ? loop_float(p->module, type, parse_number(p))
                   : loop_int_of(p->module, type, parse_int(p, INT64_MIN, INT64_MAX));
    parse_expect(p, ")");
    return (Part){e, 1};
}

static Part parse_named(Parser *p) {
    Token t = p->token;
    Name word = parse_word(p);
    LoopType type = LT_F32;
    int lanes = 1;
    if (!parse_is(p, "(")) {
        if (strncmp(word, "load.", 5) == 0 && !isdigit((unsigned char)word[5]))
            return parse_load(p, t, word);
        int var = known_var(p, t, word);
        return (Part){p->failed ? loop_int(p->module, 0) : loop_var(p->module, p->function, var),
                      1};
    }
    if (strcmp(word, "splat") == 0 || strcmp(word, "lane") == 0)
        return parse_lanes(p, t, *word == 's');
    if (type_of(word, &type, &lanes) && lanes == 1) return parse_literal(p, type);
    for (int op = 0; op < SOP_COUNT; op++) {
        size_t length = strlen(scalar_op_info[op].text);
        if (strncmp(word, scalar_op_info[op].text, length) != 0) continue;
        bool converts = scalar_op_info[op].kind == SK_CONVERT;
        if (!converts && !word[length]) return parse_call(p, t, (ScalarOp)op, NULL);
        if (converts && word[length] == '.' && type_of(word + length + 1, &type, &lanes) &&
            lanes == 1)
            return parse_call(p, t, (ScalarOp)op, &type);
    }
    parse_error(p, t, "%.40s is no operation", word);
    return (Part){loop_int(p->module, 0), 0};
}

static Part parse_primary(Parser *p) {
    Part result;
    if (++p->depth > PARSE_MOST_DEPTH)
        parse_error(p, p->token, "an expression nested more than %d deep", PARSE_MOST_DEPTH);
    if (p->token.kind == TK_NUMBER || parse_is(p, "-")) {
        result = (Part){loop_int(p->module, parse_int(p, INT64_MIN, INT64_MAX)), 1};
    } else if (parse_accept(p, "(")) {
        result = parse_sum(p);
        parse_expect(p, ")");
    } else if (p->token.kind == TK_WORD) {
        result = parse_named(p);
    } else {
        parse_error(p, p->token, "unexpected %s, expected an expression", shown(p));
        result = (Part){loop_int(p->module, 0), 0};
    }
    p->depth--;
    return result;
}

static Part join(Parser *p, Token at, ScalarOp op, Part a, Part b) {
    if (a.expr->type != LT_I64 || a.expr->lanes != 1)
        parse_error(p, at, "infix operators are for i64 with one lane");
    return part(p, at, op_node(p, op, a.expr, b.expr, NULL),
                (a.height > b.height ? a.height : b.height) + 1);
}

static Part parse_product(Parser *p) {
    Part a = parse_primary(p);
    for (Token t = p->token; parse_accept(p, "*"); t = p->token)
        a = join(p, t, SOP_MUL, a, parse_primary(p));
    return a;
}

static Part parse_sum(Parser *p) {
    Part a = parse_product(p);
    for (Token t = p->token; parse_is(p, "+") || parse_is(p, "-"); t = p->token) {
        ScalarOp op = parse_is(p, "+") ? SOP_ADD : SOP_SUB;
        parse_next(p);
        a = join(p, t, op, a, parse_product(p));
    }
    return a;
}

LExpr *parse_expr(Parser *p) {
    return parse_sum(p).expr;
}
