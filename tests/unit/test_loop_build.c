/* Builders of the Loop IR: index arithmetic is folded, operands are never changed. */
#include "test_loop.h"

#include <string.h>

/* The text of a returned expression. */
static const char *text_of(Fixture *x, LExpr *e) {
    x->f->body.count = 0;
    loop_return(x->m, x->body, e);
    const char *all = printed(x, x->m), *begin = strstr(all, "return ") + strlen("return ");
    return arena_strndup(x->arena, begin, strcspn(begin, "\n"));
}

static void folding(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I64);
    int v = loop_arg_scalar(x->m, x->f, "n", LT_I64, NULL);
    LExpr *n = var(x, v), *zero = num(x, 0), *one = num(x, 1), *five = num(x, 5);
    LExpr *most = num(x, INT64_MAX), *least = num(x, INT64_MIN);
    struct {
        LExpr *e;
        const char *text;
    } cases[] = {
        {loop_add(x->m, n, zero), "n.0"},
        {loop_add(x->m, zero, n), "n.0"},
        {loop_sub(x->m, n, zero), "n.0"},
        {loop_mul(x->m, n, one), "n.0"},
        {loop_mul(x->m, one, n), "n.0"},
        {loop_mul(x->m, n, zero), "0"},
        {loop_add(x->m, five, n), "n.0 + 5"},
        {loop_mul(x->m, five, n), "n.0*5"},
        {loop_add(x->m, loop_add(x->m, n, five), five), "n.0 + 10"},
        {loop_sub(x->m, loop_add(x->m, n, five), num(x, 7)), "n.0 - 2"},
        {loop_add(x->m, loop_sub(x->m, n, five), five), "n.0"},
        {loop_sub(x->m, five, n), "5 - n.0"},
        {loop_mul(x->m, loop_mul(x->m, n, five), five), "n.0*25"},
        {loop_add(x->m, five, five), "10"},
        {loop_sub(x->m, five, num(x, 7)), "-2"},
        {loop_mul(x->m, five, num(x, -3)), "-15"},
        {loop_min(x->m, five, num(x, -3)), "-3"},
        {loop_op(x->m, SOP_MAX, five, num(x, -3), NULL), "5"},
        {loop_min(x->m, n, n), "n.0"},
        {loop_op(x->m, SOP_DIV, num(x, 7), num(x, 2), NULL), "3"},
        {loop_op(x->m, SOP_DIV, n, one, NULL), "n.0"},
        {loop_op(x->m, SOP_MOD, num(x, 7), num(x, 4), NULL), "3"},
        {loop_op(x->m, SOP_MOD, n, one, NULL), "0"},
        /* Not folded: what would overflow, and what the operations leave open. */
        {loop_add(x->m, most, one), "1 + 9223372036854775807"},
        {loop_add(x->m, loop_add(x->m, n, most), one), "n.0 + 9223372036854775807 + 1"},
        {loop_sub(x->m, n, least), "n.0 - -9223372036854775808"},
        {loop_add(x->m, n, least), "n.0 + -9223372036854775808"},
        {loop_mul(x->m, loop_mul(x->m, n, most), five), "n.0*9223372036854775807*5"},
        {loop_op(x->m, SOP_DIV, num(x, -7), num(x, 2), NULL), "div(-7, 2)"},
        {loop_op(x->m, SOP_DIV, five, zero, NULL), "div(5, 0)"},
        {loop_op(x->m, SOP_LT, one, five, NULL), "lt(1, 5)"},
        {loop_mul(x->m, loop_add(x->m, n, five), n), "(n.0 + 5)*n.0"},
        {loop_sub(x->m, n, loop_add(x->m, n, n)), "n.0 - (n.0 + n.0)"},
        {loop_op(x->m, SOP_ADD, loop_int_of(x->m, LT_I32, 1), loop_int_of(x->m, LT_I32, 2), NULL),
         "add(i32(1), i32(2))"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(text_of(x, cases[i].e), cases[i].text);
    done(x);
}

/* An operand that two expressions share is the same afterwards. */
static void operands_stay(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I64);
    int v = loop_arg_scalar(x->m, x->f, "n", LT_I64, NULL);
    LExpr *base = loop_add(x->m, loop_mul(x->m, var(x, v), num(x, 8)), num(x, 4));
    loop_add(x->m, base, num(x, 12));
    loop_mul(x->m, base, num(x, 2));
    loop_sub(x->m, base, num(x, 4));
    assert_string_equal(text_of(x, base), "n.0*8 + 4");
    done(x);
}

static void single_lanes(void **state) {
    (void)state;
    Fixture *x = fixture(4, true, LT_VOID);
    LExpr *a = flt(x, 0.1);
    assert_ptr_equal(loop_splat(x->m, a, 1), a);
    assert_ptr_equal(loop_lane(x->m, a, 0), a);
    assert_true(a->number == (double)0.1f && loop_float(x->m, LT_F64, 0.1)->number == 0.1);
    LExpr *v = loop_splat(x->m, a, 4);
    LExpr *m = OP(x, LT, v, v, NULL), *s = OP(x, SELECT, m, v, v);
    assert_true(m->type == LT_M32 && m->lanes == 4 && s->type == LT_F32 && s->lanes == 4);
    LExpr *wide = loop_convert(x->m, SOP_CONVERT, LT_F64, a);
    assert_true(OP(x, EQ, wide, wide, NULL)->type == LT_M64);
    done(x);
}

static void argument_places(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_VOID);
    assert_int_equal(loop_arg_pointer(x->m, x->f, "w", LT_F32, false, false, NULL), 0);
    assert_int_equal(loop_arg_pointer(x->m, x->f, "y", LT_F32, true, true, NULL), 1);
    int n = loop_arg_scalar(x->m, x->f, "n", LT_I64, NULL);
    const LArg *args = x->f->args.at;
    assert_true(args[0].var == -1 && x->f->vars.at[args[1].var].type == LT_I32 && args[2].var == n);
    done(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folding),
        cmocka_unit_test(operands_stay),
        cmocka_unit_test(single_lanes),
        cmocka_unit_test(argument_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
