/* Calls of the C library that fail on demand. The linker leads each of them to wrap.c
 * (-Wl,--wrap=NAME), which counts them, lets one fail, and keeps account of what is open. A fault
 * is set in a child process, so that nothing of it outlives the run. */
#ifndef RNNC_TESTS_FAILING_WRAP_H
#define RNNC_TESTS_FAILING_WRAP_H

#include <stdbool.h>

/* What can fail. Allocations are one kind, and so is opening for reading with fopen. */
#define WRAP_KINDS(X)                                                                              \
    X(memory)                                                                                      \
    X(open)                                                                                        \
    X(write)                                                                                       \
    X(close)                                                                                       \
    X(rename)                                                                                      \
    X(link)                                                                                        \
    X(fchmod)                                                                                      \
    X(realpath)                                                                                    \
    X(mkdtemp)                                                                                     \
    X(fopen)                                                                                       \
    X(fdopen)                                                                                      \
    X(open_memstream)                                                                              \
    X(fread)                                                                                       \
    X(fwrite)                                                                                      \
    X(fflush)                                                                                      \
    X(fclose)                                                                                      \
    X(posix_spawnp)                                                                                \
    X(waitpid)                                                                                     \
    X(dlopen)                                                                                      \
    X(pthread_create)

#define WRAP_ENUM(name) KIND_##name,
typedef enum Kind { WRAP_KINDS(WRAP_ENUM) KIND_COUNT } Kind;

enum { HOW_SHORT = -1, HOW_SIGNAL = -2 };

typedef struct Fault {
    Kind kind;
    int nth;  /* the first call that fails, from 1; 0: none */
    bool all; /* so do all that follow */
    int how; /* an errno, HOW_SHORT (half is written), HOW_SIGNAL (SIGTERM comes, the call works) */
} Fault;

/* What a child tells its parent, in memory that they share. */
typedef struct Account {
    int calls[KIND_COUNT];
    int fired;                            /* calls that failed */
    long blocks, streams, files, objects; /* still held when the run ended */
} Account;

/* From here on calls are counted into *account and *fault applies. `object`: where the shared
 * object of --backend=c is kept: a run without fault copies it there, later ones take it from there
 * instead of compiling. */
void wrap_begin(const Fault *fault, Account *account, const char *object);
void wrap_end(void);

#endif
