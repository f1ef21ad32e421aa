# make            build/rnnc
# make check      everything that is tested: unit tests, command line, other people's models, lint
# make lint       who may include whom, no writable globals, no paths of a machine, size of files
# make demo       an overdrive pedal, from equations to sound
# make nightly    all longer runs: N= programs, SECONDS= for each fuzzer (HACKING.md, section 4)
# make install    DESTDIR= PREFIX=
#
# BUILD=folder    where everything that is made goes           (build)
# SAN=1           address and undefined-behaviour sanitizers   (then BUILD is build/san)
# CC=clang        gcc 12 and clang 14 are tested
# V=1             shows whole command lines
# LLVM=0          without machine code; 19 (Debian's llvm-19-dev) where it is installed
# BLAS=0          without products by a library (--gemm=blas); Debian's libopenblas-dev where it is
# RNNC_DATA=      where other people's models lie; what is absent is skipped

SAN ?=
ifeq ($(SAN),)
BUILD ?= build
else
BUILD ?= build/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANDEFS := -DRNNC_ARENA_MALLOC -DRNNC_VERIFY_EACH
endif
PREFIX ?= /usr/local
VERSION = $(shell sed -n 's/^#define RNNC_VERSION "\(.*\)"/\1/p' compiler/options.h)
export RNNC_DATA ?= ../shared/data

Q := $(if $(V),,@)
PRELUDE := grammar/prelude.rnn
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wmissing-prototypes \
        -Wstrict-prototypes -Wpedantic -Werror
INCLUDES := -Icompiler -Igrammar -Iruntime -I. -I$(BUILD)/gen
COMMON := $(CFLAGS) $(SANFLAGS) $(SANDEFS) -MMD -MP
C11 := -std=c11 $(COMMON) $(INCLUDES)
C99 := -std=c99 $(COMMON) -Iruntime
LIBS := -lm -lpthread -ldl
# tests/mutants makes shared objects of the libraries, so that its programs are linked once.
ARCHIVE ?= ar rcs

SOURCES := $(wildcard compiler/*.c compiler/*/*.c backends/*.c backends/c/*.c grammar/*.c)
# Products of matrices by CBLAS, for --gemm=blas: a file of the runtime, as a library for who links
# emitted code, and as one beside rnnc for what it runs at once.
BLAS ?= -lopenblas
BLAS_LIBS := $(if $(filter 0,$(BLAS)),,$(if $(filter /%,$(shell $(CC) -print-file-name=libopenblas.so)),$(BLAS)))
BLAS_MADE := $(if $(BLAS_LIBS),$(BUILD)/rnnc-blas.so $(BUILD)/librnn_rt_blas.a)
ifeq ($(BLAS_LIBS),)
$(shell rm -f $(BUILD)/rnnc-blas.so $(BUILD)/librnn_rt_blas.a)
endif
RUNTIME := $(filter-out runtime/rt_blas.c,$(wildcard runtime/*.c))
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
NUMERIC := $(patsubst tests/numeric/%.c,%,$(wildcard tests/numeric/test_*.c))

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
GENERATED := $(addprefix $(BUILD)/obj/gen/,rnn.tab.o rnn.lex.o prelude.o)
OBJECTS := $(call objects,$(filter-out compiler/main.c,$(SOURCES))) $(GENERATED)
MAIN := $(BUILD)/obj/compiler/main.o
LIBRARY := $(BUILD)/librnnc.a
LIBRARY_RT := $(BUILD)/librnn_rt.a
# Programs of tests/numeric share the other files of their folder.
SHARED := $(call objects,$(filter-out tests/numeric/test_%,$(wildcard tests/numeric/*.c)))
# Those of tests/said share these, and the other files of theirs.
SAID := $(patsubst tests/said/%.c,%,$(wildcard tests/said/test_*.c))
SHARED_SAID := $(call objects,$(filter-out tests/said/test_%,$(wildcard tests/said/*.c)))
SAID_RANDOM := $(call objects,$(filter-out tests/random/test_%,$(wildcard tests/random/*.c)))
TESTS := $(addprefix $(BUILD)/unit/,$(UNIT)) $(addprefix $(BUILD)/numeric/,$(NUMERIC)) \
    $(addprefix $(BUILD)/said/,$(SAID))
TESTS += $(BUILD)/failing/test_failing
DIAGNOSTICS := $(patsubst tests/diagnostics/%.c,%,$(wildcard tests/diagnostics/test_*.c))
SHARED_DIAGNOSTICS := $(call objects,$(filter-out tests/diagnostics/test_%,$(wildcard tests/diagnostics/*.c)))
TESTS += $(addprefix $(BUILD)/diagnostics/,$(DIAGNOSTICS))

.PHONY: all tests check lint demo install clean FORCE
.SECONDARY:
.DELETE_ON_ERROR:
all: $(BUILD)/rnnc $(BLAS_MADE)

include backends/llvm/llvm.mk

$(BUILD)/rnnc: $(MAIN) $(LIBRARY) $(LIBRARY_RT)
	@echo '  LINK  $@'
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) -o $@ $^ $(LIBS)

# ---- Libraries and objects ------------------------------------------------------------------

$(LIBRARY): $(OBJECTS)
	@echo '  AR    $@'
	$(Q)rm -f $@ && $(ARCHIVE) $@ $^

$(LIBRARY_RT): $(call objects,$(RUNTIME))
	@echo '  AR    $@'
	$(Q)rm -f $@ && $(ARCHIVE) $@ $^

$(BUILD)/rnnc-blas.so: runtime/rt_blas.c runtime/rnn_rt.h $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  LINK  $@'
	$(Q)$(CC) -std=c99 $(CFLAGS) $(WARN) -Iruntime -fPIC -shared -o $@ $< $(BLAS_LIBS)

$(BUILD)/librnn_rt_blas.a: $(BUILD)/obj/runtime/rt_blas.o
	@echo '  AR    $@'
	$(Q)rm -f $@ && $(ARCHIVE) $@ $^

# What everything was compiled with; changes when the flags do, and then all is compiled again.
FLAGS := $(CC) $(COMMON) $(WARN) $(BLAS_LIBS)
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

# The generated headers must be there before the dependencies of a first build are known.
$(BUILD)/obj/%.o: %.c $(BUILD)/flags | $(BUILD)/gen/rnn.tab.h
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C11) $(WARN) -c -o $@ $<

$(BUILD)/obj/runtime/%.o: runtime/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C99) $(WARN) -c -o $@ $<

# ---- The grammar and the prelude --------------------------------------------------------------

$(BUILD)/gen/rnn.tab.c $(BUILD)/gen/rnn.tab.h &: grammar/rnn.y
	@mkdir -p $(BUILD)/gen
	@echo '  BISON $@'
	$(Q)bison -Wall -Werror -Wno-other --header=$(BUILD)/gen/rnn.tab.h --output=$(BUILD)/gen/rnn.tab.c $<

$(BUILD)/gen/rnn.lex.c: grammar/rnn.l
	@mkdir -p $(@D)
	@echo '  FLEX  $@'
	$(Q)flex --outfile=$@ $<

$(BUILD)/gen/prelude.c: $(BUILD)/embed $(PRELUDE)
	$(Q)$(BUILD)/embed prelude $(PRELUDE) > $@

$(BUILD)/embed: tools/embed.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) -std=c11 $(CFLAGS) $(SANFLAGS) $(WARN) -o $@ $<

$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/flags $(BUILD)/gen/rnn.tab.h
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C11) -Wall -c -o $@ $<

include tests/random/random.mk
include tests/emitted/emitted.mk
include tests/coverage/coverage.mk
include tests/mutants/mutants.mk

# ---- Tests --------------------------------------------------------------------------------------

tests: $(TESTS)

$(BUILD)/unit/%: tests/unit/%.c $(LIBRARY) $(LIBRARY_RT) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  TEST  $@'
	$(Q)$(CC) $(C11) $(WARN) -MF $@.d -o $@ $< $(LIBRARY) $(LIBRARY_RT) -lcmocka $(LIBS)

$(BUILD)/numeric/%: tests/numeric/%.c $(SHARED) $(LIBRARY) $(LIBRARY_RT) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  TEST  $@'
	$(Q)$(CC) $(C11) $(WARN) -MF $@.d -o $@ $< $(SHARED) $(LIBRARY) $(LIBRARY_RT) -lcmocka $(LIBS)

$(BUILD)/said/%: tests/said/%.c $(SHARED_SAID) $(SAID_RANDOM) $(SHARED) $(LIBRARY) $(LIBRARY_RT) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  TEST  $@'
	$(Q)$(CC) $(C11) $(WARN) -MF $@.d -o $@ $< $(SHARED_SAID) $(SAID_RANDOM) $(SHARED) $(LIBRARY) \
	    $(LIBRARY_RT) -lcmocka $(LIBS)

# rnnc whose calls of the C library can fail, with an arena in which every object is an allocation.
FAILING := $(call objects,$(wildcard tests/failing/*.c)) $(BUILD)/failing/arena.o
FAILING_CALLS := malloc calloc realloc free open write close rename link fchmod realpath mkdtemp fopen \
    fdopen open_memstream fread fwrite fflush ferror fclose posix_spawnp waitpid dlopen dlclose pthread_create main

$(BUILD)/failing/arena.o: compiler/support/arena.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C11) $(WARN) -DRNNC_ARENA_MALLOC -c -o $@ $<

$(BUILD)/failing/test_failing: $(FAILING) $(MAIN) $(LIBRARY) $(LIBRARY_RT)
	@echo '  TEST  $@'
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) $(FAILING_CALLS:%=-Wl,--wrap=%) -o $@ $^ -lcmocka $(LIBS)

$(BUILD)/diagnostics/%: tests/diagnostics/%.c $(SHARED_DIAGNOSTICS) $(LIBRARY) $(LIBRARY_RT) $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  TEST  $@'
	$(Q)$(CC) $(C11) $(WARN) -MF $@.d -o $@ $< $(SHARED_DIAGNOSTICS) $(LIBRARY) $(LIBRARY_RT) -lcmocka $(LIBS)

$(BUILD)/check: tests/check.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  TEST  $@'
	$(Q)$(CC) $(C11) $(WARN) -MF $@.d -o $@ $< -lcmocka

# tests/check.c runs each part as one test, NAME=COMMAND, as many at a time as there are processors
# (JOBS=N: so many), and ends with the summary of all. Parts start in this order: what takes minutes
# first, then what takes ten seconds and more, so that no processor waits for the last one.
MODELS = python3 tests/models/run.py --rnnc=$(BUILD)/rnnc
GRADIENTS = python3 tests/reference/run_grads.py --rnnc=$(BUILD)/rnnc
DEAR := test_numeric_compilers test_numeric_training test_numeric_evaluate test_verify_each \
    test_backend_c test_numeric_arguments test_expand_accuracy
parts = $(foreach test,$(3),'$(1)$(test:test_%=%)=$(BUILD)/$(2)/$(test)')
# Memory that an arena gives back stays with the process (glibc): else each model of a test program
# faults all its pages in again, a quarter of the time.
check: export MALLOC_TRIM_THRESHOLD_ = 1073741824
check: export MALLOC_MMAP_THRESHOLD_ = 33554432
check: $(BUILD)/rnnc $(MACHINE) $(BLAS_MADE) $(TESTS) $(BUILD)/check
	$(BUILD)/check $(or $(JOBS),$$(nproc)) \
	    'random programs=$(RANDOM_TEST)' \
	    'command line=RNNC=$(BUILD)/rnnc python3 tests/cli/test_cli.py' \
	    'what is emitted=$(EMITTED)' \
	    $(call parts,,numeric,$(filter $(NUMERIC),$(DEAR))) \
	    'gradients by C=CC="$(CC) $(SANFLAGS) -O0"; export CC; \
	        $(GRADIENTS) --backend=c --dtype=f64 && $(GRADIENTS) --backend=c --dtype=f32' \
	    'models by C=python3 tests/models/convert.py $(BUILD)/models/c && \
	        CC="$(CC) $(SANFLAGS) -O1" $(MODELS) --backend=c $(BUILD)/models/c tests/reference' \
	    'valgrind=tests/cli/valgrind.sh $(BUILD)/rnnc' \
	    'failing resources=$(BUILD)/failing/test_failing' \
	    $(call parts,unit ,unit,$(filter $(UNIT),$(DEAR)) $(filter-out $(DEAR),$(UNIT))) \
	    $(call parts,,numeric,$(filter-out $(DEAR),$(NUMERIC))) \
	    $(call parts,,said,$(SAID)) \
	    $(call parts,,diagnostics,$(DIAGNOSTICS)) \
	    'random gradients=$(GRADIENT_TEST)' \
	    'models by the interpreter=python3 tests/models/convert.py $(BUILD)/models/interp && \
	        $(MODELS) --backend=interp $(BUILD)/models/interp tests/reference' \
	    'gradients by the interpreter=$(GRADIENTS) --dtype=f64 && $(GRADIENTS) --dtype=f32' \
	    'embedding=RNNC=$(abspath $(BUILD))/rnnc CC="$(CC)" examples/embed/build.sh' \
	    'installed=$(MAKE) --no-print-directory install DESTDIR= PREFIX=$(abspath $(BUILD))/installed >/dev/null && \
	        RNNC_PREFIX=$(BUILD)/installed CC="$(strip $(CC) $(SANFLAGS))" python3 tests/install/test_install.py' \
	    'hostile input=$(BUILD)/fuzz-replay tests/fuzz/corpus' \
	    'index of errors=python3 docs/check_errors.py $(BUILD)/rnnc' \
	    'messages of command lines=python3 tests/diagnostics/check_commands.py $(BUILD)/rnnc' \
	    'codes of errors=python3 tests/diagnostics/check_codes.py' \
	    'lint=tests/lint/lint.sh $(BUILD)'

include tests/fuzz/fuzz.mk

lint: $(LIBRARY) $(LIBRARY_RT) $(MAIN)
	tests/lint/lint.sh $(BUILD)

# Every single call fails; thousands of changed tokens a file.
.PHONY: torture-alloc torture-tokens
torture-alloc: $(BUILD)/failing/test_failing
	RNNC_TORTURE=1 RNNC_VERBOSE=1 $<
torture-tokens: $(BUILD)/diagnostics/test_mutants
	RNNC_MUTANTS=$(or $(MUTANTS),3000) $<

# So many random systems of equations, and random programs said otherwise.
.PHONY: fuzz-causal fuzz-said
fuzz-causal: $(BUILD)/said/test_said_causal
	CAUSAL_SEEDS=2000:$$((2000 + $(or $(N),100000))) $<

fuzz-said: $(BUILD)/said/test_said_otherwise
	SAID_SEEDS=150:$$((150 + $(or $(N),5000))) $<

# Everything that takes longer, one after the other; ends at the first that fails.
.PHONY: nightly
nightly: N ?= 2000
nightly: SECONDS ?= 120
nightly:
	$(MAKE) fuzz fuzz-said fuzz-gradient N=$(N)
	$(MAKE) fuzz-causal N=$$(( $(N) * 20 ))
	$(MAKE) torture SECONDS=$(SECONDS)
	$(MAKE) torture-tokens
	$(MAKE) torture-alloc
	$(MAKE) emitted ALL=1
	$(MAKE) coverage
	$(MAKE) mutants

# ---- The rest -----------------------------------------------------------------------------------

demo: $(BUILD)/rnnc
	$(Q)BUILD=$(BUILD) CC='$(strip $(CC) $(SANFLAGS))' sh examples/demo.sh

# rnnc beside its peers: bench/README.md. CASES= PEERS= words, THREADS=1,2, QUICK=1, ROUNDS=, SLICE= ms.
.PHONY: bench bench-peers bench-growth
bench: $(BUILD)/rnnc $(MACHINE)
	python3 bench/bench.py --rnnc=$(BUILD)/rnnc --build=$(BUILD) $(if $(CASES),--cases='$(CASES)') \
	    $(if $(PEERS),--peers='$(PEERS)') $(if $(THREADS),--threads=$(THREADS)) \
	    $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(SLICE),--slice=$(SLICE)) $(if $(QUICK),--quick)

bench-growth: $(BUILD)/rnnc $(MACHINE)
	python3 bench/grow.py --rnnc=$(BUILD)/rnnc --build=$(BUILD) $(if $(THREADS),--threads=$(THREADS)) \
	    $(if $(ONLY),--only=$(ONLY))

bench-peers:
	sh bench/install.sh $(BUILD)

install: $(BUILD)/rnnc $(MACHINE) $(BLAS_MADE) $(LIBRARY_RT)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib
	install -m 755 $(BUILD)/rnnc $(DESTDIR)$(PREFIX)/bin/rnnc
	$(if $(MACHINE),install -d $(DESTDIR)$(PREFIX)/lib/rnnc && \
	    install -m 755 $(MACHINE) $(DESTDIR)$(PREFIX)/lib/rnnc/rnnc-llvm.so)
	install -m 644 runtime/rnn_rt.h $(DESTDIR)$(PREFIX)/include/rnn_rt.h
	install -m 644 $(LIBRARY_RT) $(DESTDIR)$(PREFIX)/lib/librnn_rt.a
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/lib/cmake/rnnc
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' runtime/rnn_rt.pc.in \
	    > $(DESTDIR)$(PREFIX)/lib/pkgconfig/rnn_rt.pc
	$(if $(BLAS_MADE),install -d $(DESTDIR)$(PREFIX)/lib/rnnc && \
	    install -m 755 $(BUILD)/rnnc-blas.so $(DESTDIR)$(PREFIX)/lib/rnnc/rnnc-blas.so && \
	    install -m 644 $(BUILD)/librnn_rt_blas.a $(DESTDIR)$(PREFIX)/lib/librnn_rt_blas.a && \
	    sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@BLAS@|$(BLAS_LIBS)|' \
	    runtime/rnn_rt_blas.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/rnn_rt_blas.pc)
	install -m 644 runtime/rnncConfig.cmake $(DESTDIR)$(PREFIX)/lib/cmake/rnnc/rnncConfig.cmake

clean:
	rm -rf $(BUILD)/obj $(BUILD)/installed $(BUILD)/machine $(BUILD)/rnnc-llvm.so $(BUILD)/rnnc-blas.so $(BUILD)/gen $(BUILD)/unit $(BUILD)/numeric $(BUILD)/said $(BUILD)/models $(BUILD)/embed $(BUILD)/check \
	    $(BUILD)/flags $(BUILD)/rnnc $(LIBRARY) $(LIBRARY_RT) $(BUILD)/librnn_rt_blas.a

FORCE:
-include $(OBJECTS:.o=.d) $(MAIN:.o=.d) $(patsubst %.c,$(BUILD)/obj/%.d,$(RUNTIME) runtime/rt_blas.c) \
    $(SHARED:.o=.d) $(SHARED_SAID:.o=.d) $(TESTS:=.d) $(FAILING:.o=.d) $(SHARED_DIAGNOSTICS:.o=.d) $(BUILD)/check.d
