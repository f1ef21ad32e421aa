# Machine code: a shared library beside rnnc, which loads it when it is asked for. It holds copies of
# the few files that it needs of the rest, so that it needs nothing of the program.
#
# LLVM=0     without it; nothing else changes
# LLVM=19    the version whose llvm-config is looked for

LLVM ?= 19
LLVM_CONFIG := $(if $(filter 0,$(LLVM)),,$(shell command -v llvm-config-$(LLVM)))
ifneq ($(LLVM_CONFIG),)
MACHINE := $(BUILD)/rnnc-llvm.so
else
# One of an earlier build would be taken.
$(shell rm -f $(BUILD)/rnnc-llvm.so)
endif

MACHINE_SOURCES := $(wildcard backends/llvm/*.c) backends/identifier.c backends/live.c \
    compiler/loop/scalar_ops.c $(addprefix compiler/graph/,graph.c types.c) $(wildcard compiler/support/*.c)
MACHINE_OBJECTS := $(patsubst %.c,$(BUILD)/machine/%.o,$(MACHINE_SOURCES))

$(BUILD)/machine/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C11) $(WARN) -fPIC -fvisibility=hidden -isystem $(shell $(LLVM_CONFIG) --includedir) -c -o $@ $<

$(BUILD)/rnnc-llvm.so: $(MACHINE_OBJECTS)
	@echo '  LINK  $@'
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) -shared $(if $(SAN),,-Wl$(comma)-z$(comma)defs) -o $@ $^ \
	    -L$(shell $(LLVM_CONFIG) --libdir) -lLLVM-$(LLVM) -lm
comma := ,

all: $(MACHINE)
-include $(MACHINE_OBJECTS:.o=.d)
