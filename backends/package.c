/* What finds an emitted library that lies beside this file, with its header: a pkg-config file, and
 * a package of CMake. Neither names a folder, so all of them may be moved together. */
#include "package.h"

#include <string.h>

/* `m.h`: `m` */
static const char *library_name(const BackendOptions *options, Arena *arena) {
    size_t length = strlen(options->header_name);
    return arena_strndup(arena, options->header_name, length < 2 ? length : length - 2);
}

/* Whether a function takes a pool of threads, which is the runtime's. */
static bool needs_runtime(const LoopModule *module) {
    for (int i = 0; i < module->functions.count; i++)
        if (loop_pool(module->functions.at[i]) >= 0) return true;
    return false;
}

static bool emit_pkg_config(const Interface *in, const BackendOptions *options, Text *out,
                            Diags *diags) {
    const char *name = library_name(options, out->arena);
    (void)diags;
    text_printf(out,
                "folder=${pcfiledir}\n\n"
                "Name: %s\n"
                "Description: %s, a recurrent model compiled for %s\n"
                "Version: %s\n"
                "Cflags: -I${folder}\n"
                "Libs: -L${folder} -l%s\n",
                name, in->model, in->module->target.name, options->version, name);
    bool runtime = needs_runtime(in->module), gemm = loop_has_gemm(in->module);
    if (runtime || gemm)
        text_printf(out, "Requires:%s%s\n", runtime ? " rnn_rt" : "", gemm ? " rnn_rt_blas" : "");
    return true;
}

static bool emit_cmake(const Interface *in, const BackendOptions *options, Text *out,
                       Diags *diags) {
    const char *name = library_name(options, out->arena);
    (void)diags;
    text_printf(out,
                "# find_package(%s): %s::%s, the model %s compiled by rnnc %s for %s.\n"
                "# The library lies beside this file.\n"
                "if(TARGET %s::%s)\n"
                "    return()\n"
                "endif()\n",
                name, name, name, in->model, options->version, in->module->target.name, name, name);
    bool runtime = needs_runtime(in->module), gemm = loop_has_gemm(in->module);
    const char *libraries = runtime && gemm ? "\"rnnc::rnn_rt;rnnc::rnn_rt_blas\""
                            : gemm          ? "rnnc::rnn_rt_blas"
                                            : "rnnc::rnn_rt";
    if (runtime || gemm)
        text_puts(out, "include(CMakeFindDependencyMacro)\nfind_dependency(rnnc)\n");
    text_printf(
        out,
        "foreach(_library lib%s.a lib%s.so)\n"
        "    if(EXISTS \"${CMAKE_CURRENT_LIST_DIR}/${_library}\" AND NOT TARGET %s::%s)\n"
        "        add_library(%s::%s UNKNOWN IMPORTED)\n"
        "        set_target_properties(%s::%s PROPERTIES\n"
        "            IMPORTED_LOCATION \"${CMAKE_CURRENT_LIST_DIR}/${_library}\"\n"
        "            INTERFACE_INCLUDE_DIRECTORIES \"${CMAKE_CURRENT_LIST_DIR}\"%s)\n"
        "    endif()\n"
        "endforeach()\n"
        "if(NOT TARGET %s::%s)\n"
        "    set(%s_FOUND FALSE)\n"
        "    set(%s_NOT_FOUND_MESSAGE \"there is no lib%s.a or lib%s.so beside this file\")\n"
        "endif()\n",
        name, name, name, name, name, name, name, name,
        runtime || gemm
            ? arena_printf(out->arena, "\n            INTERFACE_LINK_LIBRARIES %s", libraries)
            : "",
        name, name, name, name, name, name);
    return true;
}

const Backend pkg_config_backend = {"pc", "a pkg-config file of the library", emit_pkg_config};
const Backend cmake_backend = {"cmake", "a CMake package of the library", emit_cmake};
