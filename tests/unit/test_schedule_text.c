/* The text form of Schedules: what was printed and read back prints the same bytes and is lowered
 * to the same Loop code; broken texts give located errors and never more. */
#include "schedule_case.h"

#include "loop/loop.h"
#include "loop/lower.h"

static const char *lowered(Case *c, const Schedule *schedule) {
    LowerOptions options = {.target = {.lanes = 16, .fma = true, .l2_bytes = 1 << 20},
                            .real = LT_F32,
                            .prefix = "m",
                            .axes_needed =
                                ARENA_ARRAY(c->arena, schedule->graph->axes.count + 1, bool)};
    Interface *interface_ = lower_schedule(c->arena, c->names, schedule, &options, c->diags);
    if (!interface_) return NULL;
    Text text = text_new(c->arena);
    loop_print(interface_->module, &text);
    return text_string(&text);
}

static void round_trip(Case *c, const char *what, const Schedule *schedule) {
    const char *first = schedule_text(c->arena, schedule);
    Schedule *again = schedule_read(c, schedule->graph, first);
    if (!again)
        fail_msg("%s\n%s\n%s", what, first, case_diags(c));
    else {
        const char *second = schedule_text(c->arena, again);
        if (strcmp(first, second) != 0) fail_msg("%s\n%s\nread back:\n%s", what, first, second);
        if (!schedule_verify(again, c->diags)) fail_msg("%s\n%s", what, case_diags(c));
        const char *code = lowered(c, schedule), *same = lowered(c, again);
        if ((code == NULL) != (same == NULL) || (code != NULL && strcmp(code, same) != 0))
            fail_msg("%s: other code\n%s", what, first);
    }
}

static void test_programs_round_trip(void **state) {
    Case files;
    (void)state;
    schedule_open(&files, "model M(x[t]: [2]) -> y[t]: [2] { y[t] = x[t] }\n");
    const char *names[64];
    int count = case_files(&files, "tests/golden/programs", names, 64), read = 0;
    for (int f = 0; f < count; f++)
        for (int mode = MODE_INFER; mode <= MODE_TRAIN; mode++) {
            Case c;
            const char *path = arena_printf(files.arena, "tests/golden/programs/%s", names[f]);
            schedule_open_file(&c, path);
            Schedule *schedule = schedule_case(&c, NULL, (Mode)mode);
            if (schedule) {
                round_trip(&c, path, schedule);
                read++;
            }
            case_close(&c);
        }
    assert_true(read >= 20);
    case_close(&files);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
