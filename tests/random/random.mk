# Random programs: tests/random, which shares the files of tests/numeric.
#
# make fuzz N=20000      so many programs through every column, from seed FIRST (100000) on
# make fuzz-gradient N=  gradients of so many against differences

SHARED_RANDOM := $(call objects,$(filter-out tests/random/test_%,$(wildcard tests/random/*.c)))
RANDOM_TEST := $(BUILD)/random/test_random_programs
GRADIENT_TEST := $(BUILD)/random/test_random_gradient
TESTS += $(RANDOM_TEST) $(GRADIENT_TEST)

$(BUILD)/random/%: tests/random/%.c $(SHARED_RANDOM) $(SHARED) $(LIBRARY) $(LIBRARY_RT) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  TEST  $@'
	$(Q)$(CC) $(C11) $(WARN) -MF $@.d -o $@ $< $(SHARED_RANDOM) $(SHARED) $(LIBRARY) $(LIBRARY_RT) \
	    -lcmocka $(LIBS)
-include $(SHARED_RANDOM:.o=.d)

N ?= 2000
FIRST ?= 100000
.PHONY: fuzz fuzz-gradient
fuzz: $(RANDOM_TEST)
	PROGRAM_SEEDS=$(FIRST):$$(($(FIRST) + $(N))) $(RANDOM_TEST)
fuzz-gradient: $(GRADIENT_TEST)
	GRADIENT_SEEDS=$(FIRST):$$(($(FIRST) + $(N))) $(GRADIENT_TEST)
