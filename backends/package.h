/* Files by which build systems find an emitted library. */
#ifndef RNNC_BACKENDS_PACKAGE_H
#define RNNC_BACKENDS_PACKAGE_H

#include "backend.h"

extern const Backend pkg_config_backend, cmake_backend;

#endif
