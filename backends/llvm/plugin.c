/* What backends/machine.c looks for in the library. */
#include "llvm.h"

extern const Machine rnnc_machine __attribute__((visibility("default")));
const Machine rnnc_machine = {MACHINE_LAYOUT, arena_is_single, llvm_emit,
                              llvm_open,      llvm_symbol,     llvm_close};
