/* Code in memory: each function becomes an object when it is first asked for, which ORC links into
 * this process. */
#define _GNU_SOURCE

#include "llvm.h"

#include <dlfcn.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/LLJITUtils.h>

typedef struct Opened {
    LLVMOrcLLJITRef jit;
    Arena *arena;
    const Interface *interface_;
    MachineOptions options;
    Diags *diags;
    void **symbols; /* [interface_->functions]; NULL: not yet */
} Opened;

void llvm_close(void *what) {
    Opened *opened = what;
    if (!opened->jit) return;
    LLVMErrorRef error = LLVMOrcDisposeLLJIT(opened->jit);
    if (error) LLVMConsumeError(error);
    opened->jit = NULL;
}

static bool failed(LLVMErrorRef error, Arena *arena, const char **why) {
    if (!error) return false;
    char *message = LLVMGetErrorMessage(error);
    *why = arena_printf(arena, "%s", message);
    LLVMDisposeErrorMessage(message);
    return true;
}

static LLVMErrorRef add_symbols(Opened *opened) {
    const MachineSymbol *symbols = opened->options.symbols;
    size_t count = 0;
    while (symbols && symbols[count].name) count++;
    if (!count) return NULL;
    LLVMOrcCSymbolMapPair *pairs = ARENA_ARRAY(opened->arena, count, LLVMOrcCSymbolMapPair);
    for (size_t i = 0; i < count; i++) {
        pairs[i].Name = LLVMOrcLLJITMangleAndIntern(opened->jit, symbols[i].name);
        pairs[i].Sym.Address = symbols[i].address;
        pairs[i].Sym.Flags.GenericFlags =
            LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable;
    }
    return LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(opened->jit),
                                 LLVMOrcAbsoluteSymbols(pairs, count));
}

/* With -g a debugger is told of what is loaded. LLVM looks for its own function that does so among
 * what the whole process sees, and the loader was asked to keep its library to us. */
static LLVMErrorRef tell_debugger(const Opened *opened) {
    Dl_info library;
    if (!opened->interface_->module->home.line) return NULL;
    if (dladdr((void *)(uintptr_t)LLVMOrcLLJITEnableDebugSupport, &library))
        dlopen(library.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL);
    return LLVMOrcLLJITEnableDebugSupport(opened->jit);
}

void *llvm_open(Arena *arena, const Interface *interface_, const MachineOptions *options,
                Diags *diags, const char **why) {
    Opened *opened = ARENA_NEW(arena, Opened);
    *opened = (Opened){.arena = arena,
                       .interface_ = interface_,
                       .options = *options,
                       .diags = diags,
                       .symbols = ARENA_ARRAY(arena, interface_->functions.count + 1, void *)};
    arena_own(arena, llvm_close, opened);
    LLVMTargetMachineRef machine = llvm_target(options, arena, why);
    if (!machine) return NULL;
    LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
    LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(
        builder, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(machine));
    if (failed(LLVMOrcCreateLLJIT(&opened->jit, builder), arena, why)) {
        opened->jit = NULL;
        return NULL;
    }
    /* For memcpy and memset. */
    LLVMOrcDefinitionGeneratorRef process;
    if (failed(LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
                   &process, LLVMOrcLLJITGetGlobalPrefix(opened->jit), NULL, NULL),
               arena, why)) {
        llvm_close(opened);
        return NULL;
    }
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(opened->jit), process);
    if (failed(add_symbols(opened), arena, why) || failed(tell_debugger(opened), arena, why)) {
        llvm_close(opened);
        return NULL;
    }
    return opened;
}

void *llvm_symbol(void *what, int function) {
    Opened *opened = what;
    Text object = text_new(opened->arena);
    const char *why = "";
    LLVMOrcExecutorAddress address = 0;
    if (opened->symbols[function]) return opened->symbols[function];
    if (!llvm_emit_part(opened->interface_, &opened->options, function, MACHINE_OBJECT, &object,
                        opened->diags))
        return NULL;
    const char *name = arena_printf(opened->arena, "%s_call_%d", opened->options.calls, function);
    LLVMErrorRef error = LLVMOrcLLJITAddObjectFile(
        opened->jit, LLVMOrcLLJITGetMainJITDylib(opened->jit),
        LLVMCreateMemoryBufferWithMemoryRangeCopy(object.at, object.length, name));
    if (!error) error = LLVMOrcLLJITLookup(opened->jit, &address, name);
    if (failed(error, opened->arena, &why)) {
        diag_error(opened->diags, "internal", (Span){0}, "cannot link %s: %s", name, why);
        return NULL;
    }
    if (opened->options.stage) opened->options.stage(opened->options.user, "llvm: link");
    return opened->symbols[function] = (void *)(uintptr_t)address;
}
