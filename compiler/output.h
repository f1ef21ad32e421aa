/* Writing results: all files of one run of rnnc appear together, as a whole, or none does. */
#ifndef RNNC_OUTPUT_H
#define RNNC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "support/vec.h"

typedef struct OutputFile {
    const char *path; /* "-": standard output */
    const char *bytes;
    size_t size;
    /* while writing */
    const char *target;       /* where a rename leads; NULL: written in place */
    char *temporary, *backup; /* another name of the old file, until all new ones are in place */
    unsigned mode;            /* of the old file */
    bool exists, made, kept, named; /* old file; temporary; backup; the target is the new file */
} OutputFile;

typedef struct Outputs {
    Arena *arena;
    VEC(OutputFile) files;
} Outputs;

/* Adds one file; the bytes are not copied and must stay until outputs_write. */
void output_add(Outputs *outputs, const char *path, const void *bytes, size_t size);

/* Two of the files have one name, which is then in *path. */
bool outputs_collide(const Outputs *outputs, const char **path);

/* Writes all files under temporary names, then what is no regular file (standard output, devices,
 * pipes) in place, then renames. False with a message when anything fails; then the temporary files
 * are gone and the old files are what they were. */
bool outputs_write(Outputs *outputs, const char **why);

#endif
