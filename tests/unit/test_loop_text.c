/* The text form of the Loop IR: printed, read back, printed again; and what must not be read. */
#include "test_loop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char sample[] =
    "module \"lstm\" f32\n"
    "target \"x86-64-v3\" lanes 8 fma registers 16 l2 1048576\n"
    "\n"
    "function forward(\n"
    "    params: ptr f32 \"[n], row-major\\nof the caller\",\n"
    "    work: ptr void written,\n"
    "    y: ptr f32 written nullable has_y.0,\n"
    "    batch batch.1: i64 \"how many \\\"sequences\\\"\",\n"
    "    seed seed.2: i32) -> i32 exported \"all\\x01steps\" {\n"
    "    buffer l1.h#0: f32[batch.1*128] in params$0 layout \"[batch][128]\"\n"
    "    buffer tmp#1: f64[16] local align 64 written\n"
    "    buffer c#2: f32[9] table [0.5, -inf, 1e-10, 0.0, 0.0, 0.0, 0.0, 1.0,\n"
    "        7.0] align 64\n"
    "    buffer gates#3: f32[(batch.1 + 1)*8] in work$1 at batch.1*512 align 64 written\n"
    "    buffer again#4: f32[8] in work$1 at 64 align 64 alias 4 written\n"
    "    comment \"the recurrence\"\n"
    "    let load.3: f32x8 = load.f32x8.aligned gates#3[batch.1*8 - (batch.1 - -3)*2]\n"
    "    mutable acc.4: f32x8 = splat(f32(0.1), 8)\n"
    "    for k.5 in 0 to batch.1 step 2 rolled {\n"
    "        set acc.4 = fma(load.3, splat(load.f32 l1.h#0[k.5], 8), acc.4)\n"
    "        if mand(lt(k.5, 9223372036854775807), gt(k.5, -9223372036854775808)) {\n"
    "            store.aligned gates#3[k.5*8] = neg(acc.4)\n"
    "        } else {\n"
    "            break\n"
    "        }\n"
    "    }\n"
    "    let m.7: m32x8 = lt(acc.4, splat(f32(-nan), 8))\n"
    "    store again#4[0] = select(m.7, bitcast.f32(shl(bitcast.i32(acc.4), splat(i32(23), 8))), "
    "load.3)\n"
    "    store tmp#1[3] = convert.f64(lane(acc.4, 7))\n"
    "    store gates#3[0] = load.f32x8.by100 l1.h#0[batch.1*2]\n"
    "    parallel thread.8 of threads.9 {\n"
    "        barrier\n"
    "        call result.10: i64 = size(thread.8, load.f32 gates#3[8])\n"
    "        call size(thread.8, load.f32 gates#3[8])\n"
    "    }\n"
    "    parallel thread.11 of threads.12 for batch.1*3 ns with batch.1 + 1 barriers {\n"
    "        barrier\n"
    "    }\n"
    "    return i32(-2)\n"
    "}\n"
    "\n"
    "function size(\n"
    "    n n.0: i64,\n"
    "    at: ptr f32) -> i64 {\n"
    "    return n.0*n.0*4 + n.0*(n.0 + 1)\n"
    "}\n"
    "\n"
    "function nothing() -> void {\n"
    "    return\n"
    "}\n";

static Source source_of(const char *text, size_t length) {
    return (Source){.path = "test.loop", .text = text, .length = (uint32_t)length};
}

static void round_trip(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_VOID);
    Source source = source_of(sample, strlen(sample));
    Diags *diags = diags_new(x->arena);
    LoopModule *m = loop_parse(x->arena, x->names, &source, diags);
    if (!m) fail_msg("%s at %u", diags->list.at[0]->message, diags->list.at[0]->span.begin);
    assert_string_equal(printed(x, m), sample);
    assert_int_equal(m->functions.at[0]->vars.count, 13);
    assert_string_equal(m->functions.at[0]->doc, "all\x01steps");
    assert_true(m->functions.at[0]->body.at[6]->kind == LS_STORE);
    done(x);
}

/* A place holds until the next one, in whatever block; a function begins without. */
static void places(void **state) {
    static const char text[] = "module \"m\" f32\n"
                               "target \"generic\" lanes 1 registers 16 l2 0\n"
                               "\n"
                               "function one() -> void {\n"
                               "    place \"a \\\"b\\\".rnn\" 3\n"
                               "    for i.0 in 0 to 4 {\n"
                               "        let x.1: i64 = i.0\n"
                               "        place \"c.rnn\" 7\n"
                               "        let y.2: i64 = x.1\n"
                               "    }\n"
                               "    let z.3: i64 = 0\n"
                               "    place \"\" 0\n"
                               "    return\n"
                               "}\n"
                               "\n"
                               "function two() -> void {\n"
                               "    return\n"
                               "}\n";
    (void)state;
    Fixture *x = fixture(1, true, LT_VOID);
    Source source = source_of(text, strlen(text));
    Diags *diags = diags_new(x->arena);
    LoopModule *m = loop_parse(x->arena, x->names, &source, diags);
    if (!m) fail_msg("%s at %u", diags->list.at[0]->message, diags->list.at[0]->span.begin);
    assert_string_equal(printed(x, m), text);
    const LBlock *body = &m->functions.at[0]->body;
    assert_int_equal(body->at[0]->at.line, 3);
    assert_string_equal(body->at[0]->at.file, "a \"b\".rnn");
    assert_int_equal(body->at[1]->at.line, 7);
    assert_int_equal(body->at[2]->at.line, 0);
    assert_int_equal(m->functions.at[1]->body.at[0]->at.line, 0);
    done(x);
}

/* Names that are no words, and every float that is hard to print, survive two rounds. */
static void odd_names_and_numbers(void **state) {
    (void)state;
    Fixture *x = fixture(8, true, LT_VOID);
    const double numbers[] = {0.1,   -0.0,          1.0 / 3,  3.4028234663852886e38,
                              1e-45, 0x1.fffffep-2, INFINITY, NAN};
    for (int i = 0; i < 8; i++) {
        loop_let(x->m, x->f, x->body, i % 2 ? "a b*é" : "7.x", flt(x, numbers[i]));
        loop_let(x->m, x->f, x->body, "", loop_float(x->m, LT_F64, numbers[i]));
    }
    const char *first = printed(x, x->m);
    Source source = source_of(first, strlen(first));
    Diags *diags = diags_new(x->arena);
    LoopModule *m = loop_parse(x->arena, x->names, &source, diags);
    if (!m) fail_msg("%s", diags->list.at[0]->message);
    assert_string_equal(printed(x, m), first);
    for (int i = 0; i < 16; i++) {
        double got = m->functions.at[0]->body.at[i]->value->number;
        double want = i % 2 ? numbers[i / 2] : (double)(float)numbers[i / 2];
        assert_true(memcmp(&got, &want, 8) == 0 || (isnan(got) && isnan(want)));
    }
    done(x);
}

/* Puts `text` in the place of `old` in the sample; the error must begin at `where` within it. */
static void refused(const char *old, const char *text, const char *where, const char *message) {
    Fixture *x = fixture(1, true, LT_VOID);
    const char *at = strstr(sample, old);
    assert_non_null(at);
    char *changed =
        arena_printf(x->arena, "%.*s%s%s", (int)(at - sample), sample, text, at + strlen(old));
    Source source = source_of(changed, strlen(changed));
    Diags *diags = diags_new(x->arena);
    LoopModule *m = loop_parse(x->arena, x->names, &source, diags);
    if (m || diags->errors != 1) fail_msg("'%s' is taken, or %d errors", text, diags->errors);
    if (!strstr(diags->list.at[0]->message, message))
        fail_msg("'%s': %s", text, diags->list.at[0]->message);
    const char *place = *where ? strstr(changed + (at - sample), where) : changed + strlen(changed);
    assert_int_equal(diags->list.at[0]->span.begin, place - changed);
    done(x);
}

static void errors_have_places(void **state) {
    (void)state;
    refused("module", "modul", "modul", "unexpected 'modul', expected 'module'");
    refused("lanes 8", "lanes 99", "99", "99 is not between 1 and 64");
    refused("fma(load.3", "fms(load.3", "fms", "fms is no operation");
    refused("fma(load.3, splat", "neg(load.3, splat", ", splat", "unexpected ',', expected ')'");
    refused("set acc.4", "set acc.3", "acc.3", "acc.3 is not declared");
    refused("set acc.4", "set acc.11", "acc.11", "acc.11 is not declared");
    refused("mutable acc.4", "mutable acc.3", "acc.3", "acc.3 is declared twice");
    refused("mutable acc.4", "mutable acc.99999999", "acc.99999999", "larger than the function");
    refused("mutable acc.4", "mutable acc", "acc", "acc is no variable");
    refused("gates#3[k.5*8] = neg", "gates#2[k.5*8] = neg", "gates#2",
            "there is no buffer gates#2");
    refused("in work$1 at batch", "in work$0 at batch", "work$0", "there is no argument work$0");
    refused("f32x8 = splat", "f32x = splat", "f32x =", "f32x is no type");
    refused("f32x8 = splat", "f32x08 = splat", "f32x08", "is no type");
    refused("f32(0.1)", "f32(0.1.2)", "0.1.2", "expected a number");
    refused("f32(0.1)", "f32(0x12)", "0x12", "expected a number");
    refused("9223372036854775807", "9223372036854775808", "9223372036854775808",
            "no integer of 64 bits");
    refused("\"the recurrence\"", "\"the recurrence\\", "\"the", "a string");
    refused("\"the recurrence\"", "\"a\\q\"", "\"a", "unknown escape");
    refused("\"the recurrence\"", "\"a\\x00\"", "\"a", "NUL");
    refused("table [0.5,", "table [", "[", "a table of 8 numbers with another count");
    refused("= size(thread.8", "= sizes(thread.8", "sizes", "there is no function sizes");
    refused("function nothing", "function size", "size()", "the second function size");
    refused("load.f32x8.aligned gates", "load.f64x8.aligned gates", "load.f64x8",
            "load of f64 from a buffer of f32");
    refused("load.f32x8.aligned gates", "load.f32x8.algned gates", "load.f32x8", "is no load");
    refused("load.f32x8.by100", "load.f32x8.by", "load.f32x8", "is no load");
    refused("load.f32x8.by100", "load.f32x8.by-7", "load.f32x8", "is no load");
    refused("acc.4, splat(f32(-nan), 8))", "acc.4 + splat(f32(-nan), 8))", "+",
            "infix operators are for i64");
    refused("            break\n", "            brake\n", "brake", "begins no statement");
    refused("    return\n}\n", "    return\n", "", "unexpected the end, expected '}'");
}

/* Deep nesting of any kind is refused, not followed. */
static void depth_is_bounded(void **state) {
    (void)state;
    const char *pieces[][2] = {{"(", ""}, {"neg(", ""}, {"1 + ", "1"}, {"1 * ", "1"}};
    for (int kind = 0; kind < 5; kind++) {
        Fixture *x = fixture(1, true, LT_VOID);
        Text text = text_new(x->arena);
        text_puts(&text,
                  "module \"\" f32 target \"\" lanes 1 registers 0 l2 0 function f() -> i64 {");
        text_puts(&text, kind < 4 ? "return " : "");
        for (int i = 0; i < 100000; i++) text_puts(&text, kind < 4 ? pieces[kind][0] : "if 1 {");
        text_puts(&text, kind < 4 ? pieces[kind][1] : "");
        text_puts(&text, "}");
        Source source = source_of(text_string(&text), text.length);
        Diags *diags = diags_new(x->arena);
        assert_null(loop_parse(x->arena, x->names, &source, diags));
        assert_non_null(strstr(diags->list.at[0]->message, "nested more than 500 deep"));
        done(x);
    }
}

/* Whatever is read prints to what reads and prints the same; whatever is not gives one error. */
static void try_text(const char *text, size_t length) {
    Fixture *x = fixture(1, true, LT_VOID);
    /* A copy of the exact length, so that a sanitizer sees a step beyond it. */
    char *copy = malloc(length + 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    copy[length] = '\0';
    Source source = source_of(copy, length);
    Diags *diags = diags_new(x->arena);
    LoopModule *m = loop_parse(x->arena, x->names, &source, diags);
    assert_int_equal(diags->errors, m == NULL);
    if (m) {
        const char *first = printed(x, m);
        Source again = source_of(first, strlen(first));
        LoopModule *m2 = loop_parse(x->arena, x->names, &again, diags);
        if (!m2) fail_msg("%s in %s", diags->list.at[0]->message, first);
        assert_string_equal(printed(x, m2), first);
        loop_verify(m, false, "fuzz", diags); /* any answer will do, a crash will not */
    }
    free(copy);
    done(x);
}

static void damaged_texts(void **state) {
    (void)state;
    static const char bytes[] = "0123456789.#$,()[]{}-+*=:\"\\ \nexfi\0\xff";
    size_t length = strlen(sample);
    char *changed = malloc(length + 1);
    assert_non_null(changed);
    for (size_t n = 0; n < length; n++) try_text(sample, n);
    srand(7);
    for (int round = 0; round < 1000; round++) {
        memcpy(changed, sample, length + 1);
        for (int k = rand() % 3; k >= 0; k--)
            changed[(size_t)rand() % length] = bytes[(size_t)rand() % (sizeof bytes - 1)];
        try_text(changed, length);
    }
    free(changed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(places),
        cmocka_unit_test(odd_names_and_numbers),
        cmocka_unit_test(errors_have_places),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(damaged_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
