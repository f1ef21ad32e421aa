# make coverage          branch coverage of compiler and runtime, from the tests of `make check` that
#                        call them (not those that compile for minutes what others have covered)
#                        BAR=85: below it, exit status 1

BAR ?= 85
COVERAGE_BUILD := $(BUILD)/coverage
COVERAGE_MAKE = $(MAKE) -s SAN= SANFLAGS= SANDEFS= CC=gcc BUILD=$(COVERAGE_BUILD) \
    CFLAGS='-O0 --coverage -fprofile-update=atomic'
# Sweeps of accuracy and of emitted C: minutes without a new branch.
COVERAGE_UNIT := $(filter-out test_backend_c_fma test_expand_accuracy,$(UNIT))
COVERAGE_NUMERIC := test_numeric_compilers test_numeric_stream test_numeric_windows
COVERAGE_TESTS := $(COVERAGE_UNIT:%=$(COVERAGE_BUILD)/unit/%) \
    $(COVERAGE_NUMERIC:%=$(COVERAGE_BUILD)/numeric/%) $(DIAGNOSTICS:%=$(COVERAGE_BUILD)/diagnostics/%)
COVERAGE_RNNC := $(COVERAGE_BUILD)/rnnc

.PHONY: coverage
coverage:
	@mkdir -p $(BUILD)
	@$(COVERAGE_MAKE) $(COVERAGE_RNNC) $(COVERAGE_TESTS) >$(BUILD)/coverage.log
	@find $(COVERAGE_BUILD) -name '*.gcda' -delete
	@printf '%s\n' $(COVERAGE_TESTS) 'python3 docs/check_errors.py $(COVERAGE_RNNC)' \
	    'RNNC=$(COVERAGE_RNNC) python3 tests/cli/test_cli.py' \
	    'python3 tests/diagnostics/check_commands.py $(COVERAGE_RNNC)' \
	    'python3 tests/models/convert.py $(COVERAGE_BUILD)/models && \
	        python3 tests/models/run.py --rnnc=$(COVERAGE_RNNC) --backend=interp $(COVERAGE_BUILD)/models tests/reference' | \
	    xargs -P 2 -I '{}' sh -c '{ {}; } >>$(BUILD)/coverage.log 2>&1 || echo "coverage: failed: {}"'
	@python3 tests/coverage/coverage.py --bar=$(BAR) --files=20 $(COVERAGE_BUILD)
