/* A static library: one object and the index of its symbols, in the form that System V's `ar` has.
 * No times, owners or modes of a machine, so that the same object gives the same bytes. */
#include "archive.h"

#include "identifier.h"

static void put_header(Text *out, const char *name, size_t size) {
    text_printf(out, "%-16s%-12d%-6d%-6d%-8s%-10zu`\n", name, 0, 0, 0, "644", size);
}

static void put_big_endian(Text *out, size_t value) {
    char bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (char)(unsigned char)(value >> (24 - 8 * i));
    text_write(out, bytes, 4);
}

static void pad(Text *out) {
    if (out->length % 2) text_puts(out, "\n");
}

void archive_write(const Interface *interface_, const Text *object, Text *out) {
    enum { MAGIC = 8, HEADER = 60 };
    const LoopModule *module = interface_->module;
    Text names = text_new(out->arena);
    size_t count = 0;
    for (int i = 0; i < module->functions.count; i++) {
        const LFunction *f = module->functions.at[i];
        if (!f->exported) continue;
        const char *symbol = identifier_symbol(module, f->name);
        text_write(&names, symbol, strlen(symbol) + 1);
        count++;
    }
    if (interface_->graph && interface_->graph->params.count) {
        const char *symbol =
            arena_printf(out->arena, "%s_params", identifier_of(out->arena, module->prefix));
        text_write(&names, symbol, strlen(symbol) + 1);
        count++;
    }
    size_t index = 4 + 4 * count + names.length, begin = MAGIC + HEADER + index + index % 2;
    text_puts(out, "!<arch>\n");
    put_header(out, "/", index);
    put_big_endian(out, count);
    for (size_t i = 0; i < count; i++) put_big_endian(out, begin);
    text_write(out, names.at, names.length);
    pad(out);
    put_header(out, "model.o/", object->length);
    text_write(out, object->at, object->length);
    pad(out);
}
