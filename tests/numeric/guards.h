/* Guards that may not even be read: the address sanitizer reports it, where there is one. */
#ifndef RNNC_TEST_NUMERIC_GUARDS_H
#define RNNC_TEST_NUMERIC_GUARDS_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GUARDS_ARE_WATCHED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define GUARDS_ARE_WATCHED
#endif

#ifdef GUARDS_ARE_WATCHED
#include <sanitizer/asan_interface.h>
#endif

/* From here on a read of the bytes from `base` to `at`, and of the others behind the array, is an
 * error, or is none again; `room` counts both. */
static inline void guard_close(const unsigned char *base, const unsigned char *at, size_t bytes,
                               size_t room, bool closed) {
    size_t before = (size_t)(at - base);
#ifdef GUARDS_ARE_WATCHED
    if (closed) {
        ASAN_POISON_MEMORY_REGION(base, before);
        ASAN_POISON_MEMORY_REGION(at + bytes, room - before);
    } else {
        ASAN_UNPOISON_MEMORY_REGION(base, room + bytes);
    }
#else
    (void)before, (void)bytes, (void)room, (void)closed;
#endif
}

#endif
