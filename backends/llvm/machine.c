/* From a module to text, assembly or an object: the processor, LLVM's passes, its code generator.
 *
 * Tiles, lanes, unrolling and the order of loops are in the Loop IR already, so few passes are left
 * to run. Without flags on the floating operations none of them may change a bit. */
#include "llvm.h"

#include <llvm-c/Error.h>
#include <llvm-c/Support.h>
#include <llvm-c/Transforms/PassBuilder.h>

/* What LLVM made; the arena ends it where memory runs out before we do. */
typedef struct Held {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMTargetMachineRef machine;
    LLVMMemoryBufferRef buffer;
} Held;

static void end(void *what) {
    Held *held = what;
    if (held->buffer) LLVMDisposeMemoryBuffer(held->buffer);
    if (held->machine) LLVMDisposeTargetMachine(held->machine);
    if (held->module) LLVMDisposeModule(held->module);
    if (held->context) LLVMContextDispose(held->context);
    *held = (Held){0};
}

/* Loop strength reduction is a quarter of the time of the code generator, and finds nothing: what
 * it would make of addresses, llvm_address has made. What is moved out of a loop belongs to the
 * line before it, not to line 0. LLVM offers both as options of its whole library alone, to be
 * given once, so when ours is loaded. */
static void __attribute__((constructor)) give_options(void) {
    static const char *const words[] = {"rnnc", "-disable-lsr", "-use-unknown-locations=Disable"};
    LLVMParseCommandLineOptions(sizeof words / sizeof *words, words, "");
}

LLVMTargetMachineRef llvm_target(const MachineOptions *options, Arena *arena, const char **why) {
    static const LLVMCodeGenOptLevel levels[] = {LLVMCodeGenLevelNone, LLVMCodeGenLevelLess,
                                                 LLVMCodeGenLevelDefault,
                                                 LLVMCodeGenLevelAggressive};
    char *message = NULL;
    LLVMTargetRef target;
    LLVMInitializeAllTargetInfos();
    LLVMInitializeAllTargets();
    LLVMInitializeAllTargetMCs();
    LLVMInitializeAllAsmPrinters();
    if (options->version_count) LLVMInitializeAllAsmParsers(); /* for the choice */
    if (!options->target.triple) {
        *why = "there is no machine code for this target";
        return NULL;
    }
    if (LLVMGetTargetFromTriple(options->target.triple, &target, &message)) {
        *why = arena_printf(arena, "%s", message);
        LLVMDisposeMessage(message);
        return NULL;
    }
    LLVMTargetMachineOptionsRef wish = LLVMCreateTargetMachineOptions();
    LLVMTargetMachineOptionsSetCPU(wish, options->target.cpu);
    LLVMTargetMachineOptionsSetFeatures(wish, options->target.features);
    LLVMTargetMachineOptionsSetCodeGenOptLevel(wish, levels[options->level & 3]);
    LLVMTargetMachineOptionsSetRelocMode(wish, LLVMRelocPIC);
    LLVMTargetMachineRef machine =
        LLVMCreateTargetMachineWithOptions(target, options->target.triple, wish);
    LLVMDisposeTargetMachineOptions(wish);
    if (!machine) *why = "LLVM has no such machine";
    return machine;
}

static bool optimise(Held *held, const MachineOptions *options, Diags *diags) {
    /* Registers, common values, what a loop need not compute: measured to be all that matters, and
     * a fifth of the time of default<O2>. */
    static const char usual[] = "function(sroa,early-cse<memssa>,simplifycfg,loop-mssa(licm),"
                                "early-cse<memssa>)";
    static const char *const pipelines[] = {NULL, usual, usual, "default<O3>"};
    if (!pipelines[options->level & 3]) return true;
    LLVMPassBuilderOptionsRef how = LLVMCreatePassBuilderOptions();
    LLVMPassBuilderOptionsSetLoopVectorization(how, false);
    LLVMPassBuilderOptionsSetSLPVectorization(how, false);
    LLVMPassBuilderOptionsSetLoopInterleaving(how, false);
    LLVMErrorRef error =
        LLVMRunPasses(held->module, pipelines[options->level & 3], held->machine, how);
    LLVMDisposePassBuilderOptions(how);
    if (!error) return true;
    char *message = LLVMGetErrorMessage(error);
    diag_error(diags, "internal", (Span){0}, "LLVM's passes fail: %s", message);
    LLVMDisposeErrorMessage(message);
    return false;
}

static bool make_code(Held *held, MachineKind kind, Text *out, Diags *diags) {
    char *message = NULL;
    LLVMCodeGenFileType type = kind == MACHINE_OBJECT ? LLVMObjectFile : LLVMAssemblyFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(held->machine, held->module, type, &message,
                                            &held->buffer)) {
        diag_error(diags, "internal", (Span){0}, "LLVM makes no code: %s", message);
        LLVMDisposeMessage(message);
        return false;
    }
    text_write(out, LLVMGetBufferStart(held->buffer), LLVMGetBufferSize(held->buffer));
    return true;
}

static void tell(const MachineOptions *options, const char *stage) {
    if (options->stage) options->stage(options->user, stage);
}

bool llvm_emit(const Interface *interface_, const MachineOptions *options, MachineKind kind,
               Text *out, Diags *diags) {
    return llvm_emit_part(interface_, options, -1, kind, out, diags);
}

bool llvm_emit_part(const Interface *interface_, const MachineOptions *options, int only,
                    MachineKind kind, Text *out, Diags *diags) {
    const char *why = NULL;
    Held *held = ARENA_NEW(out->arena, Held);
    arena_own(out->arena, end, held);
    held->machine = llvm_target(options, out->arena, &why);
    if (!held->machine) {
        diag_error(diags, "internal", (Span){0}, "%s", why);
        return false;
    }
    held->context = LLVMContextCreate();
    held->module = llvm_module(held->context, interface_, options, only, out->arena, diags);
    bool good = held->module != NULL;
    if (good) {
        LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(held->machine);
        LLVMSetModuleDataLayout(held->module, layout);
        LLVMDisposeTargetData(layout);
        LLVMSetTarget(held->module, options->target.triple);
    }
    if (good && kind == MACHINE_TEXT) {
        char *text = LLVMPrintModuleToString(held->module);
        text_puts(out, text);
        LLVMDisposeMessage(text);
    } else if (good) {
        tell(options, "llvm: module");
        good = optimise(held, options, diags);
        tell(options, "llvm: passes");
        good = good && make_code(held, kind, out, diags);
        tell(options, "llvm: code");
    }
    end(held);
    return good;
}
