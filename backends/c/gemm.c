/* Products of matrices as C: calls of the runtime. */
#include "c.h"

#include <inttypes.h>

/* In the order of the runtime's function: rows, columns, depth, A, B, C, each with its stride. */
static const GemmArg order[] = {GEMM_ROWS, GEMM_COLUMNS,  GEMM_DEPTH, GEMM_A,       GEMM_A_STRIDE,
                                GEMM_B,    GEMM_B_STRIDE, GEMM_C,     GEMM_C_STRIDE};

void c_gemm(EmitC *c, const LStmt *s) {
    c_expr_begin(c);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < GEMM_ARGS; i++) {
            const LExpr *e = i < GEMM_ROWS ? s->args.at[i]->a : s->args.at[i];
            if (pass)
                c_expr_prepare(c, e, NULL);
            else
                c_expr_count(c, e);
        }
    Text line = text_new(c->arena);
    text_printf(&line, "%s(%d", loop_gemm_symbol(s->args.at[GEMM_C]->type), s->gemm);
    for (int i = 0; i < GEMM_ARGS; i++) {
        const LExpr *e = s->args.at[order[i]];
        text_puts(&line, ", ");
        if (order[i] >= GEMM_ROWS) {
            c_expr(c, &line, e);
            continue;
        }
        text_puts(&line, "&");
        c_element(c, &line, e->buffer, e->a, 1, true, order[i] == GEMM_C);
    }
    text_puts(&line, ");");
    c_line(c, &line);
    c->any_gemm = true;
}

void c_gemm_prototype(LoopType type, Text *out) {
    const char *symbol = loop_gemm_symbol(type), *real = identifier_type(type);
    int blanks = (int)strlen(symbol) + 6;
    text_printf(
        out,
        "\n/* Of the runtime, librnn_rt_blas. flags: 1 adds to c, 2 subtracts, 4 and 8: a and "
        "b lie\n * as their transposes. */\n"
        "void %s(int flags, int64_t rows, int64_t columns, int64_t depth,\n"
        "%*sconst %s *a, int64_t a_stride, const %s *b, int64_t b_stride,\n"
        "%*s%s *c, int64_t c_stride);\n",
        symbol, blanks, "", real, real, blanks, "", real);
}
