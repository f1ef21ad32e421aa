/* The Loop verifier: each rule, broken once. Most programs are given as text: the parser takes what
 * is well formed, sound or not. */
#include "test_loop.h"

#include <string.h>

/* Two functions around the statements that a case brings. */
static const char frame[] = "module \"m\" f32 target \"test\" lanes 8%s registers 16 l2 0\n"
                            "function f(p: ptr f32, q: ptr f32 written, work: ptr void written, y: "
                            "ptr f32 written nullable has_y.0,\n"
                            "    n n.1: i64, s s.2: i32) -> i32 {\n"
                            "buffer p#0: f32[n.1] in p$0\n"
                            "buffer q#1: f32[16] in q$1 align 64 written\n"
                            "buffer w#2: i32[8] in work$2 at 64 align 64 written\n"
                            "buffer l#3: f64[4] local align 64 written\n"
                            "buffer t#4: f32[2] table [1, 2]\n"
                            "buffer h#5: u16[8] in work$2 at 0 written\n"
                            "%s\n" /* more buffers */
                            "let v.3: f32x8 = load.f32x8 p#0[n.1]\n"
                            "mutable acc.4: f32x8 = v.3\n"
                            "let d.5: f64 = load.f64 l#3[0]\n"
                            "let x.6: f32 = load.f32 t#4[1]\n"
                            "mutable i.7: i64 = n.1\n"
                            "%s\n"
                            "}\n"
                            "function g(n n.0: i64, at: ptr f32 written) -> i64 { return n.0 }\n"
                            "%s\n";

typedef struct Program {
    const char *fma, *buffers, *body, *more;
    bool final;
} Program;

/* The first message about a program, NULL: it is sound. */
static const char *verdict(Fixture *x, Program p) {
    const char *text = arena_printf(x->arena, frame, p.fma, p.buffers, p.body, p.more);
    Source source = {.path = "test.loop", .text = text, .length = (uint32_t)strlen(text)};
    Diags *diags = diags_new(x->arena);
    LoopModule *m = loop_parse(x->arena, x->names, &source, diags);
    if (!m) fail_msg("%s: %s", diags->list.at[0]->message, text + diags->list.at[0]->span.begin);
    bool fine = loop_verify(m, p.final, "test", diags);
    assert_int_equal(fine, diags->errors == 0);
    if (!fine) assert_string_equal(diags->list.at[0]->code, "internal");
    return fine ? NULL : diags->list.at[0]->message;
}

static void expect(Program p, const char *message) {
    Fixture *x = fixture(1, true, LT_VOID);
    const char *got = verdict(x, p);
    if (!message && got) fail_msg("%s", got);
    if (message && !got) fail_msg("taken: %s%s%s", p.buffers, p.body, p.more);
    if (message && !strstr(got, message)) fail_msg("%s instead of %s", got, message);
    done(x);
}

static void broken(const char *body, const char *message) {
    const char *whole = body;
    Fixture *x = fixture(1, true, LT_VOID);
    if (!strstr(body, "return")) whole = arena_printf(x->arena, "%s\nreturn i32(0)", body);
    expect((Program){.fma = " fma", .buffers = "", .body = whole, .more = ""}, message);
    done(x);
}

static void sound(void **state) {
    (void)state;
    broken("", NULL);
    broken("set acc.4 = fma(v.3, v.3, acc.4)", NULL);
    broken("let m.8: m32x8 = mand(lt(v.3, acc.4), mnot(gt(v.3, acc.4)))\nset acc.4 = select(m.8, "
           "v.3, acc.4)",
           NULL);
    broken("store h#5[0] = convert.u16(shr(bitcast.i32(v.3), splat(i32(16), 8)))", NULL);
    broken("set acc.4 = convert.f32(load.u16x8 h#5[0])", NULL);
    broken("parallel t.8 of m.9 { for k.10 in t.8 to n.1 { if lt(k.10, n.1) { break } } barrier }",
           NULL);
    broken("call r.8: i64 = g(n.1, load.f32 q#1[0])\ncall g(n.1, load.f32 q#1[0])", NULL);
    broken("if lt(n.1, 3) { return i32(1) } else { return i32(2) }", NULL);
    broken("set acc.4 = exp(v.3)", NULL);
    broken("return i32(0)\ncomment \"last\"", NULL);
    /* Integers may be multiplied and added; a product may be what fma adds to. */
    broken("set i.7 = i.7*3 + n.1", NULL);
    broken("set acc.4 = fma(v.3, v.3, mul(v.3, v.3))", NULL);
}

static void message_names_the_place(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_VOID);
    Program p = {.fma = " fma",
                 .buffers = "",
                 .body = "for k.8 in 0 to 4 { store q#1[17] = x.6 }\nreturn i32(0)",
                 .more = ""};
    assert_string_equal(
        verdict(x, p),
        "after test: function f: store q#1[17] = x.6: index 17 with 1 lanes is outside of q");
    done(x);
}

static void variables(void **state) {
    (void)state;
    broken("set v.3 = v.3", "v.3 is set and not mutable");
    broken("set n.1 = 4", "n.1 is set and not mutable");
    broken("set acc.4 = x.6", "acc.4 is f32x8 and is set to f32x1");
    broken("set i.7 = convert.i32(i.7)", "i.7 is i64x1 and is set to i32x1");
    broken("if lt(n.1, 3) { let a.8: i64 = 1 }\nset i.7 = a.8", "a.8 is read outside of its block");
    broken("for k.8 in 0 to 4 { }\nset i.7 = k.8", "k.8 is read outside of its block");
    broken("parallel t.8 of m.9 { }\nset i.7 = t.8", "t.8 is read outside of its block");
    broken("if lt(n.1, 3) { mutable a.8: i64 = 1 }\nset a.8 = 2",
           "a.8 is set where it is not declared");
    broken("let a.8: f32 = d.5", "a.8 is f32x1 and is declared as f64x1");
    broken("let a.8: u16x8 = load.u16x8 h#5[0]", "a.8 has the type u16, which is for storage");
    broken("for k.8 in 0 to 4 { set k.8 = 2 }", "k.8 is set and not mutable");
    broken("for k.8 in 0 to i.7 + 2 { set i.7 = 2 }", "i.7 is set in a loop whose bound it is");
    broken("for k.8 in i.7 to 9 { set i.7 = 2 }", NULL);
    broken("for k.8 in 0 to convert.i64(load.i32 w#2[0]) { }",
           "the bound of a loop reads w, which is written");
    broken("for k.8 in 0 to convert.i64(load.f32 p#0[0]) { }", NULL);
    broken("parallel t.8 of m.9 { set i.7 = 1 }", "i.7 is set by every thread");
    broken("parallel t.8 of m.9 { mutable a.10: i64 = 1\nset a.10 = 2 }", NULL);
}

static void types(void **state) {
    (void)state;
    broken("set acc.4 = add(v.3, splat(d.5, 8))", "add does not give f32 from f32, f64");
    broken("set i.7 = add(i.7, convert.i32(i.7))", "add does not give i64 from i64, i32");
    broken("set i.7 = fma(i.7, i.7, i.7)", "fma does not give i64");
    broken("set i.7 = abs(i.7)", "abs does not give i64");
    broken("let a.8: f32 = and(x.6, x.6)", "and does not give f32");
    broken("let a.8: i64 = mulhi(i.7, i.7)", "mulhi does not give i64");
    broken("let a.8: f32 = mod(x.6, x.6)", "mod does not give f32");
    broken("let a.8: f32 = add(x.6, v.3)", "add of 1 lanes has an operand of 8");
    broken("let a.8: m32 = lt(x.6, d.5)", "lt does not give m32 from f32, f64");
    broken("let a.8: m32 = mand(lt(x.6, x.6), lt(d.5, d.5))",
           "mand does not give m32 from m32, m64");
    broken("let a.8: f32 = select(lt(d.5, d.5), x.6, x.6)",
           "select does not give f32 from m64, f32");
    broken("let a.8: f32 = select(x.6, x.6, x.6)", "select does not give f32 from f32, f32");
    broken("let a.8: f64 = bitcast.f64(x.6)", "bitcast does not give f64 from f32");
    broken("let a.8: i32 = bitcast.i32(lt(x.6, x.6))", "bitcast does not give i32 from m32");
    broken("let a.8: f32 = convert.f32(lt(x.6, x.6))", "convert does not give f32 from m32");
    broken("let a.8: i64 = exp(i.7)", "exp does not give i64");
    broken("let a.8: i64 = shl(i.7, 64)", "shl by what is no constant below the width");
    broken("let a.8: i64 = shr(i.7, n.1)", "shr by what is no constant below the width");
    broken("let a.8: i64 = shr(i.7, 63)", NULL);
    broken("let a.8: f32 = splat(v.3, 8)", "splat of f32x8 to f32x8");
    broken("let a.8: f32 = lane(v.3, 8)", "lane 8 of f32x8");
    broken("let a.8: f32x16 = load.f32x16 p#0[0]", "16 lanes on a target with 8");
    broken("let a.8: f32x3 = load.f32x3 p#0[0]", "3 lanes on a target with 8");
    broken("set i.7 = convert.i64(i32(2147483648))", "a constant that i32 does not hold");
    broken("let a.8: m64 = lt(add(load.u16 h#5[0], load.u16 h#5[0]), i32(1))",
           "add does not give u16");
}

static void memory(void **state) {
    (void)state;
    broken("store q#1[0] = d.5", "store of f64 to q, which holds f32");
    broken("store p#0[0] = x.6", "store to p, which is not marked as written");
    broken("store t#4[0] = x.6", "store to t, which is not marked as written");
    broken("store q#1[s.2] = x.6", "the index is i32x1 and should be one i64");
    broken("store q#1[9] = v.3", "index 9 with 8 lanes is outside of q");
    broken("store q#1[8] = v.3", NULL);
    broken("store q#1[-1] = x.6", "index -1 with 1 lanes is outside of q");
    broken("store p#0[-1] = x.6", "index -1 with 1 lanes is outside of p");
    broken("let a.8: f32x8 = load.f32x8.aligned p#0[0]",
           "aligned access of 8 lanes to p, which is not aligned so far");
    broken("let a.8: f32x8 = load.f32x8.aligned q#1[4]",
           "aligned access at 4, not a multiple of 8 lanes");
    broken("let a.8: f32x8 = load.f32x8.by2 q#1[1]", NULL);
    broken("let a.8: f32x8 = load.f32x8.by2 q#1[2]", "index 2 with 15 lanes is outside of q");
    broken("let a.8: f32x8 = load.f32x8.by1 q#1[0]", "load of 8 lanes that are 1 elements apart");
    broken("let a.8: f32 = load.f32.by2 q#1[0]", "load of 1 lanes that are 2 elements apart");
    broken("store.aligned q#1[4] = v.3", "aligned access at 4, not a multiple of 8 lanes");
    broken("let a.8: f64 = load.f64 l#3[4]", "index 4 with 1 lanes is outside of l");
}

static void control(void **state) {
    (void)state;
    broken("break", "break outside of a loop");
    broken("for k.8 in 0 to 4 { parallel t.9 of m.10 { break } }", "break outside of a loop");
    broken("for k.8 in 0 to s.2 { }", "the upper bound is i32x1");
    broken("for k.8 in x.6 to 4 { }", "the lower bound is f32x1");
    broken("for k.8 in 0 to 4 step 0 { }", "the step 0 is not positive");
    broken("if n.1 { }", "the condition is i64x1 and should be one mask");
    broken("if lt(v.3, v.3) { }", "the condition is m32x8 and should be one mask");
    broken("barrier", "barrier outside of a parallel region");
    broken("parallel a.8 of b.9 { parallel c.10 of d.11 { } }",
           "a parallel region lies in another");
    broken("parallel a.8 of b.9 { return i32(0) }\nreturn i32(0)", "return from a parallel region");
    broken("return", "return without a value");
    broken("return 0", "return of i64x1 where i32 is wanted");
    broken("if lt(n.1, 3) { return i32(1) }", "the end is reached without a return");
    broken("return i32(0)\nset i.7 = 1", "follows a return or a break");
    broken("call g(n.1)", "1 arguments where g has 2");
    broken("call g(s.2, load.f32 q#1[0])", "argument n is i64 and gets i32x1");
    broken("call g(n.1, x.6)", "argument at wants the address of an element of f32");
    broken("call g(n.1, load.f64 l#3[0])", "argument at wants the address of an element of f32");
    broken("call g(n.1, load.f32 p#0[0])", "argument at writes p, which is not marked as written");
    broken("call r.8: i32 = g(n.1, load.f32 q#1[0])", "r.8 is i32x1 and is declared as i64x1");
}

static void products_and_sums(void **state) {
    (void)state;
    const char *const bodies[] = {
        "set acc.4 = add(mul(v.3, v.3), acc.4)",
        "set acc.4 = sub(acc.4, mul(v.3, v.3))",
        "set acc.4 = add(acc.4, neg(mul(v.3, v.3)))",
        "let a.8: f32x8 = mul(v.3, v.3)\nset acc.4 = add(a.8, acc.4)",
        "let a.8: f32x8 = mul(v.3, v.3)\nlet b.9: f32x8 = a.8\nset acc.4 = add(b.9, acc.4)",
        "let a.8: f32 = add(x.6, lane(mul(v.3, v.3), 1))",
        "let a.8: f32x8 = add(v.3, splat(mul(x.6, x.6), 8))",
        /* Around a loop: the product is set below its use. */
        "for k.8 in 0 to 4 { let a.9: f32x8 = add(acc.4, v.3)\nset acc.4 = mul(a.9, v.3) }",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        Fixture *x = fixture(1, true, LT_VOID);
        broken(bodies[i], "a product feeds ");
        /* Without fma there is no other way to say it. */
        const char *body = arena_printf(x->arena, "%s\nreturn i32(0)", bodies[i]);
        expect((Program){.fma = "", .buffers = "", .body = body, .more = "", .final = true}, NULL);
        done(x);
    }
}

static void final_form(void **state) {
    (void)state;
    Program p = {
        .fma = " fma", .buffers = "", .body = "set acc.4 = tanh(v.3)\nreturn i32(0)", .more = ""};
    expect(p, NULL);
    p.final = true;
    expect(p, "tanh should have been expanded");
    p.body = "set acc.4 = fma(v.3, v.3, v.3)\nreturn i32(0)";
    expect(p, NULL);
    p.fma = "";
    expect(p, "fma on a target without");
    p.final = false;
    expect(p, NULL);
}

static void buffers(void **state) {
    (void)state;
    struct {
        const char *buffer, *message;
    } cases[] = {
        {"buffer b#6: f32[n.1*4] in work$2 at n.1*64 + 64 align 64", NULL},
        {"buffer b#6: m32[4] in work$2", "buffer b holds m32"},
        {"buffer b#6: f32[4] in n$4", "lies behind argument 4, which is no pointer"},
        {"buffer b#6: i32[4] in p$0", "buffer b holds i32 and its argument f32"},
        {"buffer b#6: f32[4] in p$0 written", "buffer b is written and its argument is not"},
        {"buffer b#6: f32[s.2] in p$0", "the count of a buffer is i32x1"},
        {"buffer b#6: f32[4] in p$0 at s.2", "the offset of a buffer is i32x1"},
        {"buffer b#6: f32[convert.i64(has_y.0)] in p$0",
         "reads has_y.0, which is no scalar argument"},
        {"buffer b#6: f32[convert.i64(load.f32 p#0[0])] in p$0",
         "the extent of a buffer reads memory"},
        {"buffer b#6: f32[4] in work$2 at 32 align 64",
         "has the offset 32, which its alignment forbids"},
        {"buffer b#6: f32[4] in work$2 at 2", "has the offset 2, which its alignment forbids"},
        {"buffer b#6: f32[4] in work$2 align 32", "buffer b is aligned to 32"},
        {"buffer b#6: f32[n.1] local", "buffer b has no constant, positive count"},
        {"buffer b#6: f32[0] local", "buffer b has no constant, positive count"},
        {"buffer b#6: f32[300000] local", "buffer b is too large for the stack"},
        {"buffer b#6: f32[4] local alias 1", "has an offset or an alias and is no argument"},
        {"buffer b#6: f32[1] table [1] written", "table b is marked as written"},
        {"buffer b#6: f32[1] table [0.1]", "table b has numbers that f32 does not hold"},
        {"buffer b#6: i8[1] table [128]", "table b has numbers that i8 does not hold"},
        {"buffer b#6: i64[1] table [0.5]", "table b has numbers that i64 does not hold"},
        {"buffer b#6: u16[2] table [0, 65535]", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(
            (Program){.fma = "", .buffers = cases[i].buffer, .body = "return i32(0)", .more = ""},
            cases[i].message);
}

static void functions(void **state) {
    (void)state;
    struct {
        const char *function, *message;
    } cases[] = {
        {"function h(a: ptr f32, a: ptr f32) -> void { }", "function h: two arguments a"},
        {"function h(a a.0: f32) -> void { }", "function h: scalar argument a is f32"},
        {"function h(a: ptr m32) -> void { }", "function h: argument a points to masks"},
        {"function h() -> f32 { return f32(1) }", "function h: the result is f32"},
        {"function h() -> void { call h() }", "function h: calls itself"},
        {"function h() -> void { call k() }\nfunction k() -> void { if lt(1, 2) { call h() } }",
         "calls itself"},
        {"function h() -> void { call k() call k() }\nfunction k() -> void { }", NULL},
        {"function h() -> void { call r.0: void = k() }\nfunction k() -> void { }",
         "r.0 has the type void"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(
            (Program){.fma = "", .buffers = "", .body = "return i32(0)", .more = cases[i].function},
            cases[i].message);
}

/* What no text can say: the nodes themselves are wrong. */
static void broken_nodes(void **state) {
    (void)state;
    for (int i = 0; i < 14; i++) {
        Fixture *x = fixture(4, true, LT_VOID);
        const char *want = NULL;
        LExpr *a = flt(x, 1);
        int v = loop_let(x->m, x->f, x->body, "v", a);
        LStmt *s = x->body->at[0];
        switch (i) {
        case 0: s->value = NULL; want = "an expression is missing"; break;
        case 1: s->value = OP(x, ADD, a, NULL, NULL); want = "add has not 2 operands"; break;
        case 2: s->value = OP(x, NEG, a, a, NULL); want = "neg has not 1 operands"; break;
        case 3: a->number = 0.1; want = "a constant that f32 does not hold"; break;
        case 4: vec_push(x->arena, x->body, s); want = "v.0 is declared twice"; break;
        case 5: s->var = 7; want = "there is no variable 7"; break;
        case 6: loop_set(x->m, x->body, 7, a); want = "there is no variable 7"; break;
        case 7:
            loop_store(x->m, x->body, 0, num(x, 0), a, false);
            want = "there is no buffer 0";
            break;
        case 8: s->value = var(x, v); want = "v.0 is read before it is declared"; break;
        case 9:
            s = loop_for(x->m, x->f, x->body, "k", num(x, 0), num(x, 1), 1);
            loop_set(x->m, &s->body, v, a);
            x->f->vars.at[v].mutable_ = true;
            want = "v.0 is mutable f32x1 and is declared as f32x1";
            break;
        case 10:
            for (int k = 0; k < 40; k++) a = OP(x, MAX, a, a, NULL);
            s->value = a;
            want = "an expression is too large";
            break;
        case 11:
            for (int k = 0; k < 2000; k++) a = OP(x, NEG, a, NULL, NULL);
            s->value = a;
            want = "an expression is too large";
            break;
        case 12:
            loop_function(x->m, "f", LT_VOID, false);
            want = "two functions of this name";
            break;
        case 13:
            a = loop_var(x->m, x->f, v);
            a->type = LT_I32;
            loop_let(x->m, x->f, x->body, "w", a);
            want = "v.0 is read as i32x1 and is f32x1";
            break;
        }
        Diags *diags = diags_new(x->arena);
        assert_false(loop_verify(x->m, false, "test", diags));
        if (!strstr(diags->list.at[0]->message, want)) fail_msg("%s", diags->list.at[0]->message);
        done(x);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),
        cmocka_unit_test(message_names_the_place),
        cmocka_unit_test(variables),
        cmocka_unit_test(types),
        cmocka_unit_test(memory),
        cmocka_unit_test(control),
        cmocka_unit_test(products_and_sums),
        cmocka_unit_test(final_form),
        cmocka_unit_test(buffers),
        cmocka_unit_test(functions),
        cmocka_unit_test(broken_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
