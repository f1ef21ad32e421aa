/* Lines of the source in machine code: one subprogram a function, one place a statement. Names are
 * those of the command line and no folder is told, so that bytes depend on neither. */
#include "llvm.h"

#include <stdio.h>

static LLVMMetadataRef file_of(EmitLlvm *e, Name file) {
    /* LLVM keeps equal ones once. */
    return LLVMDIBuilderCreateFile(e->places, file, strlen(file), "", 0);
}

static void add_flag(EmitLlvm *e, const char *name, unsigned value) {
    LLVMTypeRef integer = llvm_element(e, LT_I32);
    LLVMAddModuleFlag(e->out, LLVMModuleFlagBehaviorWarning, name, strlen(name),
                      LLVMValueAsMetadata(LLVMConstInt(integer, value, false)));
}

void llvm_debug_begin(EmitLlvm *e, const char *version) {
    enum { DWARF = 4 }; /* what all tools of the last ten years read */
    if (!e->module->home.line) return;
    const char *producer = arena_printf(e->arena, "rnnc %s", version);
    add_flag(e, "Debug Info Version", LLVMDebugMetadataVersion());
    add_flag(e, "Dwarf Version", DWARF);
    e->places = LLVMCreateDIBuilder(e->out);
    e->unit = LLVMDIBuilderCreateCompileUnit(e->places, LLVMDWARFSourceLanguageC99,
                                             file_of(e, e->module->home.file), producer,
                                             strlen(producer), true, "", 0, 0, "", 0,
                                             LLVMDWARFEmissionFull, 0, false, false, "", 0, "", 0);
}

void llvm_debug_function(EmitLlvm *e) {
    if (!e->places) return;
    LLVMMetadataRef file = file_of(e, e->module->home.file);
    LLVMMetadataRef type = LLVMDIBuilderCreateSubroutineType(e->places, file, NULL, 0, 0);
    unsigned line = (unsigned)e->module->home.line;
    size_t length;
    const char *name = LLVMGetValueName2(e->self, &length);
    e->subprogram = LLVMDIBuilderCreateFunction(e->places, e->unit, name, length, "", 0, file, line,
                                                type, !e->function->exported, true, line, 0, true);
    LLVMSetSubprogram(e->self, e->subprogram);
    llvm_place(e, e->module->home);
}

void llvm_place(EmitLlvm *e, LPlace at) {
    if (!e->places) return;
    LLVMMetadataRef scope = e->subprogram;
    if (!at.line) at = e->module->home;
    /* Code of an imported file, inside of a function of this one. */
    if (at.file != e->module->home.file)
        scope = LLVMDIBuilderCreateLexicalBlockFile(e->places, scope, file_of(e, at.file), 0);
    LLVMSetCurrentDebugLocation2(e->builder, LLVMDIBuilderCreateDebugLocation(
                                                 e->context, (unsigned)at.line, 0, scope, NULL));
}

void llvm_debug_end(EmitLlvm *e) {
    if (!e->places) return;
    LLVMSetCurrentDebugLocation2(e->builder, NULL);
    LLVMDIBuilderFinalize(e->places);
    LLVMDisposeDIBuilder(e->places);
    e->places = NULL;
}
