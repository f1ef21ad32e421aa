# Hostile input: docs/testing.md, section 6.
#
# make fuzz-input TARGET=source SECONDS=600     one target, with libFuzzer
# make torture SECONDS=600                      each target that long, one after the other
#
# New cases go to $(BUILD)/corpus, what was found to $(BUILD)/found; the stored corpus is read only.

FUZZ := $(call objects,$(filter-out tests/fuzz/driver.c tests/fuzz/replay.c,$(wildcard tests/fuzz/*.c)))
FUZZ_DRIVER := $(call objects,tests/fuzz/driver.c)
FUZZ_REPLAY := $(call objects,tests/fuzz/replay.c)
FUZZ_TARGETS := source format graph schedule loop npy safetensors line run
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_CC ?= clang
TARGET ?= source
SECONDS ?= 60

.PHONY: fuzz-program fuzz-input torture
check: $(BUILD)/fuzz-replay

$(BUILD)/fuzz-replay: $(FUZZ_REPLAY) $(FUZZ) $(LIBRARY) $(LIBRARY_RT)
	@echo '  TEST  $@'
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/fuzzer: $(FUZZ_DRIVER) $(FUZZ) $(LIBRARY) $(LIBRARY_RT)
	@echo '  TEST  $@'
	$(Q)$(CC) $(CFLAGS) $(FUZZ_SAN) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# Everything once more, with the counters of libFuzzer, which comes with clang, and sanitizers.
fuzz-program:
	$(Q)mkdir -p $(BUILD)/libfuzzer
	$(Q)echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void) { return 0; }' | \
	    $(FUZZ_CC) -fsanitize=fuzzer,address -x c -o $(BUILD)/libfuzzer/there - 2>/dev/null || \
	    { echo 'libFuzzer is missing: install clang and libclang-rt-14-dev' >&2; exit 1; }
	$(Q)+$(MAKE) --no-print-directory BUILD=$(BUILD)/libfuzzer CC=$(FUZZ_CC) CFLAGS='-O1 -g' SAN= \
	    SANFLAGS='$(FUZZ_SAN) -fsanitize=fuzzer-no-link' \
	    SANDEFS='-DRNNC_ARENA_MALLOC -DRNNC_VERIFY_EACH -DRNNC_MAX_EQUATIONS=1000' $(BUILD)/libfuzzer/fuzzer

fuzz-input: fuzz-program
	$(Q)mkdir -p $(BUILD)/corpus/$(TARGET) $(BUILD)/found
	FUZZ_TARGET=$(TARGET) $(BUILD)/libfuzzer/fuzzer -max_total_time=$(SECONDS) -timeout=5 \
	    -rss_limit_mb=4096 -max_len=8192 -print_final_stats=1 $(FUZZ_FLAGS) \
	    -artifact_prefix=$(BUILD)/found/$(TARGET)- $(BUILD)/corpus/$(TARGET) \
	    tests/fuzz/corpus/$(TARGET)

torture: fuzz-program
	$(Q)for target in $(FUZZ_TARGETS); do \
	    $(MAKE) --no-print-directory fuzz-input TARGET=$$target SECONDS=$(SECONDS) || exit 1; done

-include $(FUZZ:.o=.d) $(FUZZ_DRIVER:.o=.d) $(FUZZ_REPLAY:.o=.d)
