/* Names of the source as identifiers of C and C++, and the few pieces of layout that the header and
 * the C file share: types, prototypes, comments, line breaks. */
#include "identifier.h"

#include <ctype.h>
#include <string.h>

enum { COLUMNS = 100 };

/* Keywords of C99, C11, C23 and C++20, macros that compilers predefine in GNU mode, and what
 * <stdint.h>, <stddef.h> and the prelude define. */
static const char *const reserved[] = {
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "i386",
    "if",
    "inline",
    "int",
    "linux",
    "long",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "restrict",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "typeof",
    "union",
    "unix",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
    "NULL",
    "ptrdiff_t",
    "size_t",
    "max_align_t",
    "nullptr_t",
    "offsetof",
    "int8_t",
    "int16_t",
    "int32_t",
    "int64_t",
    "uint8_t",
    "uint16_t",
    "uint32_t",
    "uint64_t",
    "intptr_t",
    "uintptr_t",
    "intmax_t",
    "uintmax_t",
    "fma_f32",
    "fma_lanes_f32",
    "fma_lanes_f64",
    "fma_parts",
    "fma_f64",
    "f32_of_bits",
    "f64_of_bits",
    "bits_of_f32",
    "bits_of_f64",
    "abs_f32",
    "abs_f64",
    "rnn_rt_pool",
    "rnn_rt_pool_for",
    "rnn_rt_pool_run",
    "rnn_rt_pool_barrier",
    "rnn_rt_sgemm",
    "rnn_rt_dgemm",
};

static bool is_reserved(const char *name) {
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i], name) == 0) return true;
    /* f32x16, i64_any … and FMA_F32X16 are the prelude's. */
    if (*name && strchr("fiu", *name) && isdigit((unsigned char)name[1])) {
        size_t digits = strspn(name + 1, "0123456789");
        if (name[1 + digits] == 'x' || name[1 + digits] == '_') return true;
    }
    return strstr(name, "_F32") || strstr(name, "_F64") || strstr(name, "_I8") ||
           strstr(name, "_U16") || strstr(name, "_I32") || strstr(name, "_I64");
}

static char *letters_of(Arena *arena, const char *name) {
    char *word = arena_printf(arena, "%s%s", isdigit((unsigned char)name[0]) ? "v" : "", name);
    for (char *c = word; *c; c++)
        if (!isalnum((unsigned char)*c)) *c = '_';
    /* A leading underscore belongs to the implementation. */
    while (*word == '_') word++;
    return *word ? word : arena_printf(arena, "v");
}

const char *identifier_of(Arena *arena, const char *name) {
    const char *word = letters_of(arena, name ? name : "");
    if (isdigit((unsigned char)*word)) word = arena_printf(arena, "v%s", word);
    return is_reserved(word) ? arena_printf(arena, "%s_", word) : word;
}

const char *identifier_upper(Arena *arena, const char *name) {
    char *word = letters_of(arena, name);
    for (char *c = word; *c; c++) *c = (char)toupper((unsigned char)*c);
    return word;
}

const char *identifier_symbol(const LoopModule *module, Name function) {
    Arena *arena = module->arena;
    return arena_printf(arena, "%s_%s", identifier_of(arena, module->prefix),
                        letters_of(arena, function));
}

const char *identifier_type(LoopType type) {
    switch (type) {
    case LT_F32: return "float";
    case LT_F64: return "double";
    case LT_I8: return "int8_t";
    case LT_U16: return "uint16_t";
    case LT_I32: return "int32_t";
    case LT_I64: return "int64_t";
    case LT_M32:
    case LT_M64: return "int";
    case LT_VOID: return "void";
    }
    return "void";
}

const char *const *identifier_args(Arena *arena, const LFunction *function) {
    const char **names = ARENA_ARRAY(arena, function->args.count + 1, const char *);
    for (int i = 0; i < function->args.count; i++) {
        const char *name = identifier_of(arena, function->args.at[i].name);
        const char *unique = name;
        for (int j = 0, n = 2; j < i; j++)
            if (strcmp(names[j], unique) == 0) {
                unique = arena_printf(arena, "%s_%d", name, n++);
                j = -1;
            }
        names[i] = unique;
    }
    return names;
}

void identifier_prototype(const LoopModule *module, const LFunction *function,
                          const bool *restricted, const char *const *names, Text *out) {
    Arena *arena = module->arena;
    Text line = text_new(arena);
    text_printf(&line, "%s %s(", identifier_type(function->result),
                identifier_symbol(module, function->name));
    int indent = (int)line.length;
    for (int i = 0; i < function->args.count; i++) {
        const LArg *arg = &function->args.at[i];
        if (i) text_puts(&line, ", ");
        if (arg->pointer && !arg->written) text_puts(&line, "const ");
        text_puts(&line, arg->pool ? "struct rnn_rt_pool" : identifier_type(arg->type));
        text_puts(&line, arg->pointer ? " *" : " ");
        if (arg->pointer && restricted && restricted[i]) text_puts(&line, "restrict ");
        text_puts(&line, names[i]);
    }
    text_puts(&line, function->args.count ? ")" : "void)");
    identifier_wrap(out, text_string(&line), function->exported ? 0 : 7, indent > 60 ? 8 : indent);
}

/* Where to break a line that begins at `column`: after the last comma that fits, unless that leaves
 * more than a third of the line empty; else at the last blank, but not before a star: `float *x`
 * stays whole. */
static int cut_of(const char *text, int column) {
    int comma = -1, blank = -1;
    for (int i = 1; text[i] && (blank < 0 || column + i <= COLUMNS); i++) {
        if (text[i] != ' ' || text[i - 1] == ' ' || text[i + 1] == '*') continue;
        blank = i;
        if (text[i - 1] == ',') comma = i;
    }
    return 3 * (column + comma) > 2 * COLUMNS ? comma : blank;
}

void identifier_wrap(Text *out, const char *text, int column, int indent) {
    while (column + (int)strlen(text) > COLUMNS) {
        int cut = cut_of(text, column);
        if (cut < 0) break;
        text_write(out, text, (size_t)cut);
        text_puts(out, "\n");
        text_indent(out, indent);
        text += cut + 1;
        column = indent;
    }
    text_puts(out, text);
}

/* One line of a comment: what is continued gets a star too. */
static void put_comment_line(Text *out, const char *line, size_t length, int indent) {
    Text wrapped = text_new(out->arena);
    identifier_wrap(&wrapped, arena_strndup(out->arena, line, length), 0, 0);
    for (const char *c = text_string(&wrapped); *c; c++) {
        text_write(out, c, 1);
        if (*c != '\n') continue;
        text_indent(out, indent);
        text_puts(out, " * ");
    }
    text_puts(out, "\n");
}

void identifier_comment(Text *out, const char *text, int indent) {
    if (!text || !*text) return;
    Text clean = text_new(out->arena);
    text_indent(&clean, indent);
    text_puts(&clean, "/* ");
    for (const char *c = text; *c; c++) {
        text_write(&clean, c, 1);
        if ((c[0] == '*' && c[1] == '/') || (c[0] == '/' && c[1] == '*')) text_puts(&clean, " ");
        if (*c != '\n') continue;
        text_indent(&clean, indent);
        text_puts(&clean, c[1] == '\n' ? " *" : " * ");
    }
    text_puts(&clean, " */");
    const char *line = text_string(&clean);
    while (line) {
        const char *end = strchr(line, '\n');
        put_comment_line(out, line, end ? (size_t)(end - line) : strlen(line), indent);
        line = end ? end + 1 : NULL;
    }
}
