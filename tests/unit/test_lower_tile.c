/* How many blocks of units a tile holds, by the registers of a processor: results have the same
 * bits with any number, so no other test sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/lower_tile.h"

static int blocks_of(int registers, int accumulators, int units) {
    Lower lower = {.options.target.registers = registers};
    Family family = {.count = units, .accs.count = accumulators};
    return tile_blocks(&lower, &family);
}

static void test_registers(void **state) {
    (void)state;
    static const struct {
        int registers, blocks[4]; /* of families with 0 to 3 accumulators a unit */
    } rows[] = {{16, {1, 2, 1, 1}}, {31, {1, 2, 1, 1}}, {32, {1, 4, 2, 1}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int accs = 0; accs < 4; accs++) {
            assert_int_equal(blocks_of(rows[i].registers, accs, 64), rows[i].blocks[accs]);
            assert_int_equal(blocks_of(rows[i].registers, accs, 1), 1);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_registers)};
    return cmocka_run_group_tests_name("tiles", tests, NULL, NULL);
}
