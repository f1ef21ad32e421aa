# find_package(rnnc) in CMake: rnnc::rnn_rt, the runtime; and
#
#   rnnc_add_model(NAME FILE [OPTIONS ...])
#
# a static library NAME from a model, with its header; OPTIONS go to rnnc.
get_filename_component(_rnnc_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
find_program(RNNC_EXECUTABLE rnnc HINTS "${_rnnc_prefix}/bin" NO_DEFAULT_PATH)

if(NOT TARGET rnnc::rnn_rt)
    add_library(rnnc::rnn_rt STATIC IMPORTED)
    set_target_properties(rnnc::rnn_rt PROPERTIES
        IMPORTED_LOCATION "${_rnnc_prefix}/lib/librnn_rt.a"
        INTERFACE_INCLUDE_DIRECTORIES "${_rnnc_prefix}/include"
        INTERFACE_LINK_LIBRARIES "m;pthread")
endif()

# Products by CBLAS, where the runtime was built with one: for models with --gemm=blas.
if(EXISTS "${_rnnc_prefix}/lib/librnn_rt_blas.a" AND NOT TARGET rnnc::rnn_rt_blas)
    add_library(rnnc::rnn_rt_blas STATIC IMPORTED)
    set_target_properties(rnnc::rnn_rt_blas PROPERTIES
        IMPORTED_LOCATION "${_rnnc_prefix}/lib/librnn_rt_blas.a"
        INTERFACE_INCLUDE_DIRECTORIES "${_rnnc_prefix}/include"
        INTERFACE_LINK_LIBRARIES "openblas")
endif()

function(rnnc_add_model name file)
    get_filename_component(source "${file}" ABSOLUTE)
    set(folder "${CMAKE_CURRENT_BINARY_DIR}/${name}.rnnc")
    file(MAKE_DIRECTORY "${folder}")
    add_custom_command(
        OUTPUT "${folder}/${name}.c" "${folder}/${name}.h"
        COMMAND "${RNNC_EXECUTABLE}" "${source}" -o "${folder}/${name}.c" ${ARGN}
        DEPENDS "${source}" "${RNNC_EXECUTABLE}"
        VERBATIM)
    add_library(${name} STATIC "${folder}/${name}.c" "${folder}/${name}.h")
    target_include_directories(${name} PUBLIC "${folder}")
endfunction()
