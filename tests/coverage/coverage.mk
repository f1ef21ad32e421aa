# make coverage          branch coverage of compiler and runtime, from the tests of `make check` that
#                        call them (not those that compile for minutes what others have covered)
#                        BAR=85: below it, exit status 1

BAR ?= 85
COVERAGE_BUILD := $(BUILD)/coverage
COVERAGE_MAKE = $(MAKE) -s SAN= SANFLAGS= SANDEFS= CC=gcc BUILD=$(COVERAGE_BUILD) \
    CFLAGS='-O0 --coverage -fprofile-update=atomic'
# Sweeps that take minutes without a new branch, and what replaces the C library's calls.
COVERAGE_LESS := $(BUILD)/unit/test_backend_c_fma $(BUILD)/unit/test_expand_accuracy $(BUILD)/numeric/test_numeric_compilers \
    $(BUILD)/failing/% $(BUILD)/random/% $(EMITTED_WRITER)
COVERAGE_TESTS = $(patsubst $(BUILD)/%,$(COVERAGE_BUILD)/%,$(filter-out $(COVERAGE_LESS),$(TESTS)))
COVERAGE_RNNC := $(COVERAGE_BUILD)/rnnc
COVERAGE_MODELS = python3 tests/models/convert.py $(COVERAGE_BUILD)/models && \
    python3 tests/models/run.py --rnnc=$(COVERAGE_RNNC) --backend=interp $(COVERAGE_BUILD)/models tests/reference

.PHONY: coverage
coverage:
	@mkdir -p $(BUILD)
	@$(COVERAGE_MAKE) $(COVERAGE_RNNC) $(COVERAGE_TESTS) >$(BUILD)/coverage.log
	@find $(COVERAGE_BUILD) -name '*.gcda' -delete
	@printf '%s\n' $(COVERAGE_TESTS) 'python3 docs/check_errors.py $(COVERAGE_RNNC)' \
	    'RNNC=$(COVERAGE_RNNC) python3 tests/cli/test_cli.py' \
	    'python3 tests/diagnostics/check_commands.py $(COVERAGE_RNNC)' \
	    'python3 tests/emitted/emitted.py --rnnc=$(COVERAGE_RNNC) --only=bytes $(COVERAGE_BUILD)/emitted' \
	    '$(COVERAGE_MODELS)' | NUMERIC_FEW=1 \
	    xargs -P $(or $(JOBS),2) -I '{}' sh -c '{ {}; } >>$(BUILD)/coverage.log 2>&1 || echo "coverage: failed: {}"'
	@python3 tests/coverage/coverage.py --bar=$(BAR) --files=20 $(COVERAGE_BUILD)
