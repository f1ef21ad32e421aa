/* An object in memory, linked by ORC into this process. */
#include "llvm.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>

typedef struct Loaded {
    LLVMOrcLLJITRef jit;
} Loaded;

void llvm_unload(void *what) {
    Loaded *loaded = what;
    if (!loaded->jit) return;
    LLVMErrorRef error = LLVMOrcDisposeLLJIT(loaded->jit);
    if (error) LLVMConsumeError(error);
    loaded->jit = NULL;
}

static bool failed(LLVMErrorRef error, Arena *arena, const char **why) {
    if (!error) return false;
    char *message = LLVMGetErrorMessage(error);
    *why = arena_printf(arena, "%s", message);
    LLVMDisposeErrorMessage(message);
    return true;
}

void *llvm_load(Arena *arena, const MachineOptions *options, const char *object, size_t size,
                const char **why) {
    Loaded *loaded = ARENA_NEW(arena, Loaded);
    arena_own(arena, llvm_unload, loaded);
    LLVMTargetMachineRef machine = llvm_target(options, arena, why);
    if (!machine) return NULL;
    LLVMOrcLLJITBuilderRef builder = LLVMOrcCreateLLJITBuilder();
    LLVMOrcLLJITBuilderSetJITTargetMachineBuilder(
        builder, LLVMOrcJITTargetMachineBuilderCreateFromTargetMachine(machine));
    if (failed(LLVMOrcCreateLLJIT(&loaded->jit, builder), arena, why)) {
        loaded->jit = NULL;
        return NULL;
    }
    LLVMOrcJITDylibRef library = LLVMOrcLLJITGetMainJITDylib(loaded->jit);
    /* For memcpy and memset. */
    LLVMOrcDefinitionGeneratorRef process;
    LLVMErrorRef error = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
        &process, LLVMOrcLLJITGetGlobalPrefix(loaded->jit), NULL, NULL);
    if (!error) LLVMOrcJITDylibAddGenerator(library, process);
    if (!error)
        error = LLVMOrcLLJITAddObjectFile(
            loaded->jit, library,
            LLVMCreateMemoryBufferWithMemoryRangeCopy(object, size, "model.o"));
    if (!failed(error, arena, why)) return loaded;
    llvm_unload(loaded);
    return NULL;
}

void *llvm_symbol(void *what, const char *name) {
    Loaded *loaded = what;
    LLVMOrcExecutorAddress address = 0;
    LLVMErrorRef error = LLVMOrcLLJITLookup(loaded->jit, &address, name);
    if (error) LLVMConsumeError(error);
    return error ? NULL : (void *)(uintptr_t)address;
}
