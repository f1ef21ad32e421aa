/* rt_file.c - whole files in, whole files out. Output goes to a temporary name in the folder of
 * the file and is renamed at the end, so that a failure leaves nothing behind and a reader never
 * sees half a file. */
#define _XOPEN_SOURCE 700 /* POSIX 2008 with realpath */

#include "rt_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static RtStatus read_all(FILE *stream, const char *name, size_t expected, unsigned char **bytes,
                         size_t *size, char *error, size_t error_size) {
    /* One byte more than expected, so that the end shows without growing. */
    size_t capacity = expected < SIZE_MAX ? expected + 1 : expected, used = 0;
    unsigned char *block = malloc(capacity);
    while (block != NULL) {
        used += fread(block + used, 1, capacity - used, stream);
        if (used < capacity) break;
        unsigned char *grown = capacity > SIZE_MAX / 2 ? NULL : realloc(block, capacity * 2);
        if (grown == NULL) free(block);
        block = grown;
        capacity *= 2;
    }
    if (block == NULL) {
        return rt_fail(error, error_size, RT_ERR_NOMEM, "%s: no memory for %llu bytes", name,
                       RT_LLU(capacity));
    }
    if (ferror(stream)) {
        int why = errno;
        free(block);
        return rt_fail(error, error_size, RT_ERR_IO, "%s: cannot read: %s", name, strerror(why));
    }
    *bytes = block;
    *size = used;
    return RT_OK;
}

RtStatus rt_file_read_stream(FILE *stream, const char *name, unsigned char **bytes, size_t *size,
                             char *error, size_t error_size) {
    *bytes = NULL;
    *size = 0;
    return read_all(stream, name, 65535, bytes, size, error, error_size);
}

RtStatus rt_file_read(const char *path, unsigned char **bytes, size_t *size, char *error,
                      size_t error_size) {
    struct stat about;
    size_t expected = 65535;
    *bytes = NULL;
    *size = 0;
    FILE *stream = fopen(path, "rb");
    if (stream == NULL) {
        return rt_fail(error, error_size, RT_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    }
    if (fstat(fileno(stream), &about) == 0 && S_ISREG(about.st_mode) && about.st_size >= 0 &&
        (uintmax_t)about.st_size < SIZE_MAX) {
        expected = (size_t)about.st_size;
    }
    RtStatus status = read_all(stream, path, expected, bytes, size, error, error_size);
    fclose(stream);
    return status;
}

/* ---- Output --------------------------------------------------------------- */

/* Opens "FOLDER/.rt-PID-N.tmp" for a number N that is free, and keeps its name. */
static FILE *open_temporary(const char *path, char **temporary) {
    const char *slash = strrchr(path, '/');
    size_t folder = slash != NULL ? (size_t)(slash - path) + 1 : 0, size = folder + 64;
    char *name = malloc(size);
    *temporary = NULL;
    if (name == NULL) return NULL;
    for (unsigned number = 0; number < 1000; number++) {
        snprintf(name, size, "%.*s.rt-%ld-%u.tmp", (int)folder, path, (long)getpid(), number);
        int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file < 0 && errno == EEXIST) continue;
        if (file < 0) break;
        FILE *stream = fdopen(file, "wb");
        if (stream == NULL) {
            int why = errno;
            close(file);
            unlink(name);
            errno = why;
            break;
        }
        *temporary = name;
        return stream;
    }
    int why = errno;
    free(name);
    errno = why;
    return NULL;
}

static RtStatus fail_open(const char *path, char *error, size_t error_size) {
    RtStatus status = errno == ENOMEM ? RT_ERR_NOMEM : RT_ERR_IO;
    return rt_fail(error, error_size, status, "%s: cannot write: %s", path, strerror(errno));
}

RtStatus rt_output_open(RtOutput *output, const char *path, char *error, size_t error_size) {
    struct stat about;
    memset(output, 0, sizeof *output);
    if (strlen(path) > 1 << 16) {
        errno = ENAMETOOLONG;
        return fail_open("path", error, error_size);
    }
    bool exists = stat(path, &about) == 0;
    if (exists && !S_ISREG(about.st_mode)) {
        /* A device or a pipe is no file that a rename may replace; fopen refuses a folder. */
        output->stream = fopen(path, "wb");
    } else {
        /* Through a symbolic link the file behind it is replaced, not the link. */
        output->path = exists ? realpath(path, NULL) : NULL;
        if (!exists) {
            output->path = malloc(strlen(path) + 1);
            if (output->path != NULL) memcpy(output->path, path, strlen(path) + 1);
        }
        if (output->path != NULL) {
            output->stream = open_temporary(output->path, &output->temporary);
        }
        if (output->stream != NULL && exists) {
            /* Who may read the old file may read the new one, and nobody else. */
            (void)fchmod(fileno(output->stream), about.st_mode & 07777);
        }
    }
    if (output->stream == NULL) {
        RtStatus status = fail_open(path, error, error_size);
        free(output->path);
        memset(output, 0, sizeof *output);
        return status;
    }
    return RT_OK;
}

RtStatus rt_output_close(RtOutput *output, RtStatus status, char *error, size_t error_size) {
    const char *shown = output->path != NULL ? output->path : "output";
    bool failed = ferror(output->stream) != 0;
    errno = 0;
    failed = fclose(output->stream) != 0 || failed;
    if (status == RT_OK && failed) {
        status = rt_fail(error, error_size, RT_ERR_IO, "%s: cannot write: %s", shown,
                         errno != 0 ? strerror(errno) : "the stream failed");
    }
    if (output->temporary != NULL) {
        if (status == RT_OK && rename(output->temporary, output->path) != 0) {
            status = rt_fail(error, error_size, RT_ERR_IO,
                             "%s: cannot rename the finished file: %s", shown,
                             strerror(errno));
        }
        if (status != RT_OK) unlink(output->temporary);
    }
    free(output->path);
    free(output->temporary);
    memset(output, 0, sizeof *output);
    return status;
}

RtStatus rt_file_write(const char *path, const void *bytes, size_t size, char *error,
                       size_t error_size) {
    RtOutput output;
    RtStatus status = rt_output_open(&output, path, error, error_size);
    if (status != RT_OK) return status;
    if (size > 0 && fwrite(bytes, 1, size, output.stream) != size) {
        status = rt_fail(error, error_size, RT_ERR_IO, "%s: cannot write: %s", path,
                         strerror(errno));
    }
    return rt_output_close(&output, status, error, error_size);
}
