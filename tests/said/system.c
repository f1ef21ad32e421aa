/* Random systems of equations: variables over one or two indices of two axes and a slower one,
 * reads at offsets, reductions over ranges and windows, first and last, clocks, families, pointers
 * and applications, some of them mirrored. About half of them can be evaluated: what a variable
 * reads of those before it is free, what it reads of itself and of later ones mostly lies on one
 * side. */
#include "said.h"

enum { MOST = 10 };

typedef struct Variable {
    const char *name, *member; /* "h", "0," of a family; or "" */
    int slots;
    char index[2];
    bool boundary;
} Variable;

typedef struct System {
    Arena *arena;
    Dice dice;
    Text body, uses;
    Variable variables[MOST];
    int count, instances, every;
    int side[2]; /* of recurrences, on t and on u: -1 past, 1 future, 0 both */
    bool vector, slow, pointer;
} System;

static char axis_of(char index) {
    return index == 's' ? 't' : index == 'r' ? 'u' : index;
}

/* The index of `context` on an axis, one of two at random; 0: none. */
static char find_index(System *s, const char *context, char axis) {
    char found = 0;
    for (const char *c = context; *c; c++)
        if (axis_of(*c) == axis && (!found || dice_percent(&s->dice, 30))) found = *c;
    return found;
}

/* The name of an axis that `context` does not use yet; 0: none. */
static char free_index(const char *context, char axis) {
    const char *names = axis == 't' ? "st" : axis == 'u' ? "ru" : "v";
    for (const char *c = names; *c; c++)
        if (!strchr(context, *c)) return *c;
    return 0;
}

static int sign_of(System *s, char axis, bool strict) {
    int side = s->side[axis == 'u'];
    if (side == 0 || !dice_percent(&s->dice, strict ? 92 : 60)) side = dice(&s->dice, 3) - 1;
    if (!strict && dice_percent(&s->dice, 40)) side = 0;
    return side;
}

/* A position of one slot, where `context` names the indices at hand; a range that it needs is put
 * in front, and *closing counts its brackets. */
static void write_slot(System *s, char slot, char *context, bool strict, Text *before, Text *at,
                       int *closing) {
    static const char *const kinds[] = {"sum", "sum", "mean", "max", "min", "logsumexp"};
    char axis = axis_of(slot), own = find_index(s, context, axis);
    int sign = sign_of(s, axis, strict), distance = 1 + dice(&s->dice, 10) / 6;
    char other = free_index(context, axis);
    if (axis == 't' && !own && strchr(context, 'v') && dice_percent(&s->dice, 70)) {
        text_printf(at, "%d*v%+d", s->every, dice(&s->dice, 4) - 1);
        return;
    }
    if (axis == 'v' && !own && find_index(s, context, 't') && dice_percent(&s->dice, 80)) {
        text_printf(at, "%c/%d", find_index(s, context, 't'), s->every);
        return;
    }
    if (axis == 't' && s->pointer && strchr(context, 't') && dice_percent(&s->dice, 10)) {
        text_puts(at, "p[t]");
        return;
    }
    if (dice_percent(&s->dice, own ? 3 : 30) || (!own && !other)) {
        text_puts(at, dice_percent(&s->dice, 50) ? "first" : "last");
        return;
    }
    if (own && (!other || dice_percent(&s->dice, 70))) {
        if (sign)
            text_printf(at, "%c%+d", own, sign * distance);
        else
            text_printf(at, "%c", own);
        return;
    }
    text_puts(before, kinds[dice(&s->dice, 6)]);
    if (!own || dice_percent(&s->dice, strict ? 3 : 20)) {
        text_printf(before, "[%c](", other);
    } else if (dice_percent(&s->dice, 40)) {
        int low = sign > 0 ? dice(&s->dice, 2) + (strict ? 1 : 0) : -1 - dice(&s->dice, 3);
        int high = sign < 0 ? 1 - dice(&s->dice, 2) : low + 1 + dice(&s->dice, 3);
        if (sign < 0 && strict && dice_percent(&s->dice, 90)) high = 0;
        text_printf(before, "[%c in %c%+d:%c%+d](", other, own, low, own, high);
    } else {
        const char *relation = sign < 0 || (sign == 0 && dice_percent(&s->dice, 50)) ? "<" : ">";
        bool open = strict ? dice_percent(&s->dice, 10) : sign == 0;
        text_printf(before, "[%c %s%s %c", other, relation, open ? "=" : "", own);
        if (dice_percent(&s->dice, 10)) text_printf(before, "%+d", dice(&s->dice, 3) - 1);
        text_puts(before, "](");
    }
    ++*closing;
    context[strlen(context)] = other;
    text_printf(at, "%c", other);
    if (dice_percent(&s->dice, 12)) text_printf(at, "%+d", dice(&s->dice, 3) - 1);
}

/* A read of variable `w`; `own` is the place of the reader. */
static void write_read(System *s, int w, int own, const char *indices, bool plain, Text *out) {
    const Variable *v = &s->variables[w];
    char context[8] = {0};
    Text before = text_new(s->arena), at = text_new(s->arena);
    int closing = 0, strict = w >= own && v->slots ? dice(&s->dice, v->slots) : -1;
    memcpy(context, indices, strlen(indices));
    for (int k = 0; k < v->slots; k++) {
        if (k) text_puts(&at, ",");
        char direct = plain ? find_index(s, context, axis_of(v->index[k])) : 0;
        int sign = sign_of(s, axis_of(v->index[k]), k == strict);
        if (direct && sign)
            text_printf(&at, "%c%+d", direct, sign);
        else if (direct)
            text_printf(&at, "%c", direct);
        else if (plain)
            text_puts(&at, "last");
        else
            write_slot(s, v->index[k], context, k == strict, &before, &at, &closing);
    }
    text_puts(out, text_string(&before));
    text_puts(out, v->name);
    if (v->slots || *v->member) text_printf(out, "[%s%s]", v->member, text_string(&at));
    while (closing--) text_puts(out, ")");
}

/* A variable to read: one before `own`, or one that shares an axis with its indices, mostly. */
static int choose(System *s, int own, const char *indices) {
    for (int tries = 0; tries < 4; tries++) {
        int w = dice(&s->dice, s->count);
        const Variable *v = &s->variables[w];
        if (w < own) return w;
        for (int k = 0; k < v->slots; k++)
            if (find_index(s, indices, axis_of(v->index[k]))) return w;
    }
    return dice(&s->dice, s->count);
}

/* What a variable over these indices reads of the inputs. */
static void write_input(System *s, const char *indices, Text *out) {
    const char *k = s->side[0] < 0 ? "-1" : s->side[0] > 0 ? "+1" : "";
    if (strchr(indices, 't'))
        text_printf(out, "x[t%s]", dice_percent(&s->dice, 20) ? k : "");
    else if (strchr(indices, 's'))
        text_puts(out, "x[s]");
    else if (strchr(indices, 'u'))
        text_puts(out, "y[u]");
    else if (strchr(indices, 'v'))
        text_printf(out, "x[%d*v]", s->every);
    else
        text_puts(out, "x[last]");
}

static void write_application(System *s, int own, const char *indices, Text *out) {
    static const char *const models[] = {"Leak",  "Leak",  "Point", "Point", "Past",  "Lag2",
                                         "Range", "Total", "Ticks", "Start", "Place", "Deep"};
    const char *model = models[dice(&s->dice, 12)];
    int w = choose(s, own, indices);
    text_printf(&s->uses, "    use m%d = %s%s\n", s->instances,
                dice_percent(&s->dice, 45) ? "reverse " : "", model);
    text_printf(out, "m%d(", s->instances++);
    if (s->variables[w].slots && dice_percent(&s->dice, 90) &&
        find_index(s, indices, axis_of(s->variables[w].index[s->variables[w].slots - 1])))
        write_read(s, w, own, indices, true, out);
    else
        write_input(s, indices, out);
    text_puts(out, ")");
}

static void write_term(System *s, int own, const char *indices, Text *out) {
    int w = choose(s, own, indices);
    const Variable *v = &s->variables[own];
    if (dice_percent(&s->dice, 12) && *indices) {
        write_application(s, own, indices, out);
    } else if (v->slots == 2 && v->index[0] == 't' && v->index[1] == 's' &&
               dice_percent(&s->dice, 20)) {
        static const char *const ranges[] = {"s <= t", "s < t", "s in t-2:t+1", "s", "s > t"};
        text_printf(out, "softmax[%s](x[s] + ", ranges[dice(&s->dice, 5)]);
        write_read(s, w, own, indices, false, out);
        text_puts(out, ")");
    } else if (dice_percent(&s->dice, 4) && strchr(indices, 't')) {
        text_puts(out, "(if t % 2 == 0 then ");
        write_read(s, w, own, indices, false, out);
        text_puts(out, " else ");
        write_read(s, choose(s, own, indices), own, indices, false, out);
        text_puts(out, ")");
    } else {
        text_puts(out, s->vector && dice_percent(&s->dice, 40) ? "W @ tanh(" : "tanh(");
        write_read(s, w, own, indices, false, out);
        text_puts(out, ")");
    }
}

/* A number, the start of an input, or what another variable or input has over one of two indices.
 */
static void write_boundary(System *s, const Variable *v) {
    int kept = dice(&s->dice, 2), w = dice(&s->dice, s->count);
    const Variable *other = &s->variables[w];
    if (v->slots == 2 && dice_percent(&s->dice, 12) && other->slots == 1 && !*other->member &&
        axis_of(other->index[0]) == axis_of(v->index[kept]))
        text_printf(&s->body, "0.5 * %s[%c]\n", other->name, v->index[kept]);
    else if (v->slots == 2 && v->index[1] == 'u' && dice_percent(&s->dice, 3))
        text_puts(&s->body, "0.5 * y[u]\n");
    else if (dice_percent(&s->dice, 12))
        text_puts(&s->body, "tanh(x[first])\n");
    else
        text_printf(&s->body, "0.%d\n", dice(&s->dice, 3));
}

static void write_equation(System *s, int own) {
    Variable *v = &s->variables[own];
    char indices[3] = {0};
    memcpy(indices, v->index, (size_t)v->slots);
    const char *shape = s->vector ? "[3]" : "[]";
    Text left = text_new(s->arena);
    text_puts(&left, v->name);
    for (int k = 0; k < v->slots; k++)
        text_printf(&left, "%s%s%c", k ? "," : "[", k ? "" : v->member, v->index[k]);
    if (v->slots) text_puts(&left, "]");
    if (v->boundary) {
        text_printf(&s->body, "    state %s: %s = ", text_string(&left), shape);
        write_boundary(s, v);
    }
    text_printf(&s->body, "    %s: %s = 0.%d * ", text_string(&left), shape, 3 + dice(&s->dice, 5));
    write_input(s, indices, &s->body);
    for (int terms = 1 + dice(&s->dice, 10) / 5 + dice(&s->dice, 10) / 8; terms--;) {
        text_printf(&s->body, " + 0.%d * ", 2 + dice(&s->dice, 4));
        write_term(s, own, indices, &s->body);
    }
    if (v->slots == 1 && v->boundary && dice_percent(&s->dice, 10))
        text_printf(&s->body, " every %d", 2 + dice(&s->dice, 2));
    text_puts(&s->body, "\n");
}

static void draw_variables(System *s) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "g", "k", "l", "n", "o"};
    bool family = false;
    s->count = 2 + dice(&s->dice, 5);
    for (int i = 0; i < s->count; i++) {
        Variable *v = &s->variables[i];
        int kind = dice(&s->dice, 100);
        v->name = names[i];
        v->member = "";
        v->boundary = dice_percent(&s->dice, 98);
        const char *index = kind < 50   ? "t"
                            : kind < 58 ? "u"
                            : kind < 72 ? "tu"
                            : kind < 80 ? "ts"
                            : kind < 84 ? "s"
                            : kind < 87 ? "ut"
                            : kind < 95 ? (s->slow ? "v" : "t")
                                        : "";
        v->slots = (int)strlen(index);
        memcpy(v->index, index, (size_t)v->slots);
        if (v->slots && !family && i + 1 < s->count &&
            dice_percent(&s->dice, 8)) { /* a family of two */
            v->name = "h";
            v->member = "0,";
            v->boundary = family = true;
            s->variables[++i] = *v;
            s->variables[i].member = "1,";
            continue;
        }
        v->boundary = v->boundary && v->slots;
    }
}

static const char models[] =
    "model Leak(a[t]: D) -> b[t]: D { state b[t] = 0.1; b[t] = 0.5 * b[t-1] + a[t] }\n"
    "model Point(a[t]: D) -> b[t]: D { b[t] = tanh(a[t]) }\n"
    "model Past(a[t]: D = 0.2) -> b[t]: D { b[t] = a[t-1] }\n"
    "model Lag2(a[t]: D = 0.2) -> b[t]: D { b[t] = a[t-2] + 0.1 * a[t-1] }\n"
    "model Range(a[t]: D) -> b[t]: D { time s in t; b[t] = sum[s in t-3:t](a[s]) }\n"
    "model Total(a[t]: D) -> b[t]: D { time s in t; b[t] = tanh(sum[s < t](a[s])) }\n"
    "model Ticks(a[t]: D) -> b[t]: D { state b[t] = 0.3; b[t] = a[t] every 2 }\n"
    "model Start(a[t]: D) -> b[t]: D { b[t] = 0.5 * a[first] }\n"
    "model Place(a[t]: D) -> b[t]: D { b[t] = a[t] * (0.1 * float(t % 3)) }\n"
    "model Deep(a[t]: D) -> b[t]: D { state b[t], c[t]: D = 0; c[t] = 0.5 * b[t-1]; "
    "b[t] = tanh(c[t] + a[t]) }\n";

static void replace_shape(Text *out, const char *from, const char *shape) {
    for (; *from; from++)
        if (*from == 'D' && from[-1] == ' ' && from[1] != 'e')
            text_puts(out, shape);
        else
            text_write(out, from, 1);
}

const char *system_text(Arena *arena, uint64_t seed) {
    System s = {.arena = arena, .dice = dice_new(seed)};
    const char *shape;
    s.body = text_new(arena);
    s.uses = text_new(arena);
    s.vector = dice_percent(&s.dice, 30);
    s.slow = dice_percent(&s.dice, 30);
    s.pointer = dice_percent(&s.dice, 15);
    s.every = 2 + dice(&s.dice, 2);
    for (int i = 0; i < 2; i++) s.side[i] = dice_percent(&s.dice, 60) ? -1 : dice(&s.dice, 3) - 1;
    shape = s.vector ? "[3]" : "[]";
    draw_variables(&s);
    for (int i = 0; i < s.count; i++) write_equation(&s, i);
    Text out = text_new(arena);
    replace_shape(&out, models, shape);
    text_printf(&out, "model System(x[t]: %s = 0.3, y[u]: %s = 0.4%s) -> ", shape, shape,
                s.pointer ? ", p[t]: past(t)" : "");
    int shown = 0;
    for (int i = 0; i < s.count; i++) {
        const Variable *v = &s.variables[i];
        bool two = v->slots == 2 && axis_of(v->index[0]) == axis_of(v->index[1]);
        if (*v->member || !dice_percent(&s.dice, two ? 30 : 70)) continue;
        text_printf(&out, "%s%s", shown++ ? ", " : "", v->name);
        for (int k = 0; k < v->slots; k++) text_printf(&out, "%s%c", k ? "," : "[", v->index[k]);
        text_printf(&out, "%s: %s", v->slots ? "]" : "", shape);
    }
    text_printf(&out, "%sz: %s {\n", shown ? ", " : "", shape);
    text_puts(&out, "    time s in t\n    time r in u\n");
    if (s.slow) text_printf(&out, "    time v in t every %d\n", s.every);
    if (s.vector) text_puts(&out, "    param W: [3, 3] ~ glorot\n");
    text_puts(&out, text_string(&s.uses));
    text_puts(&out, text_string(&s.body));
    text_puts(&out, "    z = ");
    int wanted = 0;
    for (int i = 0; i < s.count; i++) {
        if (dice_percent(&s.dice, 30) && (i + 1 < s.count || wanted)) continue;
        if (wanted++) text_puts(&out, " + ");
        write_read(&s, i, s.count, "", false, &out);
    }
    text_puts(&out, "\n}\n");
    return text_string(&out);
}
