/* Lines and columns of byte offsets. Only diagnostics ask, so there is no table of lines. */
#include "support/source.h"

Place source_place(const Source *source, uint32_t offset) {
    Place place = {1, 1};
    if (offset > source->length) offset = source->length;
    for (uint32_t i = 0; i < offset; i++) {
        if (source->text[i] == '\n') {
            place.line++;
            place.column = 1;
        } else {
            place.column++;
        }
    }
    return place;
}

void source_line(const Source *source, uint32_t offset, uint32_t *begin, uint32_t *end) {
    if (offset > source->length) offset = source->length;
    uint32_t b = offset, e = offset;
    while (b > 0 && source->text[b - 1] != '\n') b--;
    while (e < source->length && source->text[e] != '\n') e++;
    *begin = b;
    *end = e;
}

Span span_join(Span a, Span b) {
    if (!a.source) return b;
    if (!b.source || b.source != a.source || b.end < a.begin) return a;
    a.end = b.end;
    return a;
}
