/* The table of backends: one row for each --emit= that starts from a Loop module. */
#include "backend.h"

#include <string.h>

#include "c/c.h"
#include "manifest.h"
#include "package.h"

const Backend *const backends[] = {
    &c_backend,      &manifest_backend,   &llvm_backend,  &assembly_backend,
    &object_backend, &pkg_config_backend, &cmake_backend, NULL};

const Backend *backend_find(const char *name) {
    for (int i = 0; backends[i]; i++)
        if (strcmp(backends[i]->name, name) == 0) return backends[i];
    return NULL;
}
