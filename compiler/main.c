/* rnnc: reads the command line, lets the pipeline work, prints what it says, and exits. The only
 * file that prints and exits. */
#define _XOPEN_SOURCE 700

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/archive.h"
#include "bench.h"
#include "link.h"
#include "output.h"
#include "passes/passes.h"
#include "pipeline.h"
#include "run.h"
#include "train.h"
#include "tune.h"
#include "verify_model.h"

static bool use_color(ColorWish wish) {
    const char *refused = getenv("NO_COLOR");
    switch (wish) {
    case COLOR_ALWAYS: return true;
    case COLOR_NEVER: return false;
    case COLOR_AUTO: break;
    }
    return !(refused && *refused) && isatty(STDERR_FILENO);
}

static bool has_code(const Diags *diags, const char *code) {
    for (int i = 0; i < diags->list.count; i++)
        if (strcmp(diags->list.at[i]->code, code) == 0) return true;
    return false;
}

/* Prints the log and all diagnostics; the status that they mean. */
static ExitStatus report(Compilation *c) {
    Text text = text_new(c->arena);
    diags_render(c->diags, use_color(c->options->color), &text);
    fputs(text_string(&c->log), stderr);
    fputs(text_string(&text), stderr);
    if (has_code(c->diags, "internal")) {
        fputs("rnnc: this is a defect of rnnc, not of the file\n", stderr);
        return EXIT_DEFECT;
    }
    if (has_code(c->diags, "E-PASS")) return EXIT_USAGE;
    return c->diags->errors ? EXIT_INPUT : EXIT_DONE;
}

static ExitStatus write_outputs(Outputs *outputs) {
    const char *why;
    if (outputs_collide(outputs, &why)) {
        fprintf(stderr, "rnnc: error: two results go to %s\n", why);
        return EXIT_USAGE;
    }
    if (outputs_write(outputs, &why)) return EXIT_DONE;
    fprintf(stderr, "rnnc: error: %s\n", why);
    return EXIT_OUTSIDE;
}

static ExitStatus print_text(Arena *arena, const char *text, size_t length) {
    Outputs outputs = {.arena = arena};
    output_add(&outputs, "-", text, length);
    return write_outputs(&outputs);
}

/* `m.c` and `.h`: `m.h`. */
static const char *with_ending(Arena *arena, const char *path, const char *ending) {
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    size_t length = dot && dot != name ? (size_t)(dot - path) : strlen(path);
    return arena_printf(arena, "%.*s%s", (int)length, path, ending);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A path as make reads it. */
static void depend_path(Text *out, const char *path) {
    for (; *path; path++) {
        if (strchr(" \t#\\", *path)) text_puts(out, "\\");
        if (*path == '$') text_puts(out, "$");
        text_write(out, path, 1);
    }
}

static void depend_text(const Compilation *c, const char *const *made, int made_count, Text *out) {
    for (int i = 0; i < made_count; i++) {
        if (i) text_puts(out, " ");
        depend_path(out, made[i]);
    }
    text_puts(out, ":");
    for (int i = 0; i < c->files.count; i++) {
        text_puts(out, " ");
        depend_path(out, c->files.at[i]);
    }
    text_puts(out, "\n");
    /* A file that is gone must not stop make. */
    for (int i = 1; i < c->files.count; i++) {
        depend_path(out, c->files.at[i]);
        text_puts(out, ":\n");
    }
}

/* The code in one text, header included, for standard output. */
static bool emit_whole(Compilation *c, Text *out) {
    Text code = text_new(c->arena);
    if (!compilation_emit(c, "c", "rnnc_model.h", &code)) return false;
    static const char include[] = "#include \"rnnc_model.h\"\n";
    const char *text = text_string(&code), *at = strstr(text, include);
    text_write(out, text, at ? (size_t)(at - text) : 0);
    if (!compilation_header(c, "rnnc_model.h", out)) return false;
    text_puts(out, at ? at + sizeof include - 1 : text);
    return true;
}

/* What each --emit is: how far to compile, the backend that prints it, whether a header belongs to
 * it, and how its file begins and ends without -o; NULL: it goes to standard output. */
typedef struct Product {
    Stage last;
    const char *backend;
    bool header, machine;
    const char *beginning, *ending;
} Product;

static const Product products[] = {
    [EMIT_C] = {STAGE_LOOP, "c", true, false, "", ".c"},
    [EMIT_MANIFEST] = {STAGE_LOOP, "manifest", false, false, NULL, NULL},
    [EMIT_AST] = {STAGE_TREE, NULL, false, false, NULL, NULL},
    [EMIT_GRAPH] = {STAGE_NORMAL, NULL, false, false, NULL, NULL},
    [EMIT_SCHEDULE] = {STAGE_SCHEDULE, NULL, false, false, NULL, NULL},
    [EMIT_LOOP] = {STAGE_LOOP, NULL, false, false, NULL, NULL},
    [EMIT_DOT] = {STAGE_NORMAL, NULL, false, false, NULL, NULL},
    [EMIT_REMARKS] = {STAGE_LOOP, NULL, false, false, NULL, NULL},
    [EMIT_OBJECT] = {STAGE_LOOP, "obj", true, true, "", ".o"},
    [EMIT_ASSEMBLY] = {STAGE_LOOP, "asm", true, true, "", ".s"},
    [EMIT_LLVM] = {STAGE_LOOP, "llvm", false, true, NULL, NULL},
    [EMIT_LIBRARY] = {STAGE_LOOP, "obj", true, true, "lib", ".a"},
    [EMIT_SHARED] = {STAGE_LOOP, "obj", true, true, "lib", ".so"},
    [EMIT_PKG_CONFIG] = {STAGE_LOOP, "pc", false, false, "", ".pc"},
    [EMIT_CMAKE] = {STAGE_LOOP, "cmake", false, false, "", "Config.cmake"},
};

/* `libm.a` and `m.o`: `m.h`. */
static const char *header_of(Arena *arena, const char *out, const Product *product) {
    const char *path = with_ending(arena, out, ".h"), *name = base_name(path);
    size_t length = strlen(product->beginning);
    if (!length || strncmp(name, product->beginning, length) != 0 || name[length] == '.')
        return path;
    return arena_printf(arena, "%.*s%s", (int)(name - path), path, name + length);
}

/* `out/mConfig.cmake`: the header of the library that it is of, `m.h`. */
static const char *packaged_header(const Compilation *c, const char *out, const Product *product) {
    const char *name = base_name(strcmp(out, "-") == 0 ? c->options->file : out);
    size_t length = strlen(name), ending = strlen(product->ending);
    if (length > ending && strcmp(name + length - ending, product->ending) == 0)
        return arena_printf(c->arena, "%.*s.h", (int)(length - ending), name);
    return with_ending(c->arena, name, ".h");
}

/* Whether machine code can be made; else says why not. */
static bool can_make_code(const Compilation *c, const char *emit) {
    const char *why = "there is none for this processor";
    bool can = machine_find(c->arena, &why) && c->target.machine.triple;
    if (!can) fprintf(stderr, "rnnc: error: --emit=%s needs LLVM: %s\n", emit, why);
    return can;
}

/* The library that holds an object, or the object itself. */
static bool wrap_object(Compilation *c, const char *out, Text *text) {
    const Text object = *text;
    if (c->options->emit != EMIT_LIBRARY && c->options->emit != EMIT_SHARED) return true;
    *text = text_new(c->arena);
    if (c->options->emit == EMIT_LIBRARY) archive_write(c->interface_, &object, text);
    return c->options->emit == EMIT_LIBRARY || link_shared(c, base_name(out), &object, text);
}

static ExitStatus compile(Compilation *c) {
    const Options *o = c->options;
    const Product *product = &products[o->emit];
    Text main_text = text_new(c->arena), header = text_new(c->arena), depend = text_new(c->arena);
    const char *out = o->out, *header_path = NULL, *header_name;
    if (!out) {
        bool file = product->ending && strcmp(o->file, "-") != 0;
        out = file ? arena_printf(c->arena, "%s%s", product->beginning,
                                  with_ending(c->arena, base_name(o->file), product->ending))
                   : "-";
    }
    if (o->depend && strcmp(out, "-") == 0 && !o->depend_file) {
        fputs("rnnc: error: -MD needs -MF when the output is standard output\n", stderr);
        return EXIT_USAGE;
    }
    Stage stage = product->last;
    if (product->machine && !can_make_code(c, product->backend)) return EXIT_OUTSIDE;
    if (o->remarks && stage < STAGE_LOOP) stage = STAGE_LOOP;
    if (!compilation_run(c, stage)) return report(c);

    bool good = true;
    if (product->header && strcmp(out, "-") != 0) {
        header_path = header_of(c->arena, out, product);
        good = compilation_header(c, base_name(header_path), &header);
    }
    switch (o->emit) {
    case EMIT_C:
        good = good && (header_path ? compilation_emit(c, "c", base_name(header_path), &main_text)
                                    : emit_whole(c, &main_text));
        break;
    case EMIT_OBJECT:
    case EMIT_ASSEMBLY:
    case EMIT_LLVM:
    case EMIT_LIBRARY:
    case EMIT_SHARED:
        good = good && compilation_emit(c, product->backend, NULL, &main_text);
        if (good && !wrap_object(c, out, &main_text)) {
            report(c);
            return EXIT_OUTSIDE;
        }
        break;
    case EMIT_MANIFEST:
        header_name = strcmp(o->file, "-") == 0 ? c->model : base_name(o->file);
        good =
            compilation_emit(c, "manifest", with_ending(c->arena, header_name, ".h"), &main_text);
        break;
    case EMIT_PKG_CONFIG:
    case EMIT_CMAKE:
        good = compilation_emit(c, product->backend, packaged_header(c, out, product), &main_text);
        break;
    case EMIT_AST: ast_print(c->ast, &main_text); break;
    case EMIT_GRAPH: graph_print(c->normal, &main_text); break;
    case EMIT_SCHEDULE: schedule_print(c->schedule, &main_text); break;
    case EMIT_LOOP: loop_print(c->interface_->module, &main_text); break;
    case EMIT_DOT: graph_dot(c->normal, &main_text); break;
    case EMIT_REMARKS: remarks_print(c, &main_text); break;
    }
    if (o->remarks && c->interface_) remarks_print(c, &c->log);
    ExitStatus status = report(c);
    if (status != EXIT_DONE || !good) return status != EXIT_DONE ? status : EXIT_DEFECT;

    Outputs outputs = {.arena = c->arena};
    output_add(&outputs, out, text_string(&main_text), main_text.length);
    if (header_path) output_add(&outputs, header_path, text_string(&header), header.length);
    if (o->depend) {
        const char *made[] = {out, header_path};
        depend_text(c, made, header_path ? 2 : 1, &depend);
        output_add(&outputs, o->depend_file ? o->depend_file : with_ending(c->arena, out, ".d"),
                   text_string(&depend), depend.length);
    }
    return write_outputs(&outputs);
}

static ExitStatus format(Compilation *c) {
    Text text = text_new(c->arena);
    if (!compilation_run(c, STAGE_TREE)) return report(c);
    ast_format(c->ast, &text);
    ExitStatus status = report(c);
    if (status != EXIT_DONE) return status;
    Outputs outputs = {.arena = c->arena};
    output_add(&outputs, c->options->out ? c->options->out : "-", text_string(&text), text.length);
    return write_outputs(&outputs);
}

static ExitStatus run(Compilation *c) {
    Outputs outputs = {.arena = c->arena};
    ExitStatus status = run_model(c, &outputs);
    ExitStatus reported = report(c);
    if (reported != EXIT_DONE) return reported;
    return status == EXIT_DONE ? write_outputs(&outputs) : status;
}

/* A line of training on standard error; a passing one stays open, to be written over. */
typedef struct Progress {
    bool open;
} Progress;

static void say_progress(void *user, const char *line, bool passing) {
    Progress *progress = user;
    fprintf(stderr, passing ? "\r%s\033[K" : progress->open ? "\r\033[K%s\n" : "%s\n", line);
    fflush(stderr);
    progress->open = passing;
}

static ExitStatus train(Compilation *c) {
    Progress progress = {false};
    TrainWatch watch = {&progress, isatty(STDERR_FILENO) == 1, say_progress};
    ExitStatus status = train_model(c, &watch);
    if (progress.open) fputs("\n", stderr);
    ExitStatus reported = report(c);
    return reported != EXIT_DONE ? reported : status;
}

/* The table is printed whatever the verdict. */
static ExitStatus verify(Compilation *c) {
    Text text = text_new(c->arena);
    ExitStatus status = verify_model(c, &text), reported = report(c);
    if (reported != EXIT_DONE) return reported;
    if (status != EXIT_DONE && status != EXIT_DEFECT) return status;
    ExitStatus printed = print_text(c->arena, text_string(&text), text.length);
    return status != EXIT_DONE ? status : printed;
}

/* Several processors are for machine code that is written. */
static bool one_target_where_one(const Compilation *c, const char **why) {
    *why = "--cpu: several processors are for --emit=obj, asm, llvm, lib and so";
    Emit emit = c->options->emit;
    return c->target_count < 2 ||
           (c->options->command == COMMAND_COMPILE &&
            (products[emit].machine || emit == EMIT_PKG_CONFIG || emit == EMIT_CMAKE));
}

static ExitStatus bench(Compilation *c) {
    Text text = text_new(c->arena);
    ExitStatus status = bench_model(c, &text), reported = report(c);
    if (reported != EXIT_DONE) return reported;
    return status == EXIT_DONE ? print_text(c->arena, text_string(&text), text.length) : status;
}

/* The table is printed once the file is there; with -o - on standard error. */
static ExitStatus tune(Compilation *c) {
    const Options *o = c->options;
    Text table = text_new(c->arena), file = text_new(c->arena);
    ExitStatus status = tune_model(c, &table, &file), reported = report(c);
    if (reported != EXIT_DONE) return reported;
    if (status != EXIT_DONE) return status;
    const char *path = o->out ? o->out : with_ending(c->arena, o->file, ".tune");
    Outputs outputs = {.arena = c->arena};
    output_add(&outputs, path, text_string(&file), file.length);
    status = write_outputs(&outputs);
    if (status != EXIT_DONE) return status;
    if (strcmp(path, "-") == 0) {
        fputs(text_string(&table), stderr);
        return status;
    }
    text_printf(&table, "written: %s\n", path);
    return print_text(c->arena, text_string(&table), table.length);
}

static ExitStatus dispatch(Arena *arena, int argc, char **argv) {
    const char *why = NULL;
    const Options *options = options_parse(arena, argc, argv, &why);
    Text text = text_new(arena);
    if (!options) {
        fprintf(stderr, "rnnc: error: %s\n", why);
        return EXIT_USAGE;
    }
    Compilation *c = compilation_new(arena, options);
    bool native = options->command == COMMAND_RUN || options->command == COMMAND_GRAD ||
                  options->command == COMMAND_TRAIN || options->command == COMMAND_VERIFY ||
                  options->command == COMMAND_BENCH || options->command == COMMAND_TUNE;
    if (!target_choose_all(arena, &options->target, native, c->targets, &c->target_count, &why) ||
        !one_target_where_one(c, &why)) {
        fprintf(stderr, "rnnc: error: %s\n", why);
        return EXIT_USAGE;
    }
    c->target = c->targets[0];
    const char *lacks =
        native && options->backend != RUN_INTERP ? target_missing(&c->target) : NULL;
    if (lacks) {
        fprintf(stderr, "rnnc: error: %s: this processor has no %s\n", c->target.target.name,
                lacks);
        return EXIT_USAGE;
    }
    switch (options->command) {
    case COMMAND_COMPILE: return compile(c);
    case COMMAND_CHECK: compilation_check(c); return report(c);
    case COMMAND_RUN:
    case COMMAND_GRAD: return run(c);
    case COMMAND_TRAIN: return train(c);
    case COMMAND_VERIFY: return verify(c);
    case COMMAND_BENCH: return bench(c);
    case COMMAND_TUNE: return tune(c);
    case COMMAND_FMT: return format(c);
    case COMMAND_HELP:
        for (int i = 0; options_help[i]; i++) text_puts(&text, options_help[i]);
        break;
    case COMMAND_VERSION: text_printf(&text, "rnnc %s\n", RNNC_VERSION); break;
    case COMMAND_LIST_PASSES:
        pass_list(&text);
        choice_list(&text);
        break;
    case COMMAND_LIST_TARGETS: target_list(&text); break;
    }
    return print_text(arena, text_string(&text), text.length);
}

/* A file opened where a standard stream is closed would be taken for it: /dev/null, to be read
 * only, stands there instead, so that writing to it fails. */
static void keep_standard_streams(void) {
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++)
        if (fcntl(file, F_GETFD) < 0 && open("/dev/null", O_RDONLY) != file) return;
}

int main(int argc, char **argv) {
    jmp_buf no_memory;
    keep_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write, with a message */
    Arena *const arena = arena_new(&no_memory);
    if (!arena || setjmp(no_memory)) {
        arena_free(arena);
        fputs("rnnc: error: no memory left\n", stderr);
        return EXIT_OUTSIDE;
    }
    ExitStatus status = dispatch(arena, argc, argv);
    arena_free(arena);
    return (int)status;
}
