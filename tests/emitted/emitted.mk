# What is emitted: tests/emitted.
#
# make emitted           what `make check` runs of it
# make emitted ALL=1     every file through every program, and rnnc from a second compiler; hours
#                        RANDOM=20 SEED=1: how many random programs, and from which seed

EMITTED_WRITER := $(BUILD)/emitted/write_random
TESTS += $(EMITTED_WRITER)

$(EMITTED_WRITER): tests/emitted/write_random.c $(SHARED_RANDOM) $(SHARED) $(LIBRARY) $(LIBRARY_RT) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  TEST  $@'
	$(Q)$(CC) $(C11) $(WARN) -MF $@.d -o $@ $< $(SHARED_RANDOM) $(SHARED) $(LIBRARY) $(LIBRARY_RT) \
	    -lcmocka $(LIBS)

# rnnc built in other ways, whose output must have the same bytes; `make check` has no jobs to share.
EMITTED_OTHER = env -u MAKEFLAGS -u MFLAGS $(MAKE) -s -j$$(nproc) all SAN= SANFLAGS= SANDEFS= \
    BUILD=$(BUILD)/emitted
EMITTED = rm -rf $(BUILD)/emitted/programs && mkdir -p $(BUILD)/emitted/programs && \
    $(EMITTED_WRITER) $(BUILD)/emitted/programs $(or $(RANDOM),20) $(or $(SEED),1) && \
    $(EMITTED_OTHER)/gcc CC=gcc CFLAGS=-O0 >$(BUILD)/emitted/log && \
    $(if $(ALL),$(EMITTED_OTHER)/clang CC=clang CFLAGS=-O3 >$(BUILD)/emitted/log &&) \
    python3 tests/emitted/emitted.py --rnnc=$(BUILD)/rnnc --other=$(BUILD)/emitted/gcc/rnnc \
        $(if $(ALL),--other=$(BUILD)/emitted/clang/rnnc --all) \
        --programs=$(BUILD)/emitted/programs $(BUILD)/emitted/files

.PHONY: emitted
emitted: $(BUILD)/rnnc $(EMITTED_WRITER)
	$(EMITTED)
