/* Holding back signals: blocked, not handled, so that nothing has to be global. */
#define _XOPEN_SOURCE 700

#include "signals.h"

#include <stddef.h>

static const int ending[] = {SIGINT, SIGTERM, SIGHUP};

void signals_hold(sigset_t *old) {
    sigset_t held;
    sigemptyset(&held);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        struct sigaction action;
        if (sigaction(ending[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&held, ending[i]);
    }
    sigprocmask(SIG_BLOCK, &held, old);
}

bool signals_pending(void) {
    sigset_t come;
    bool pending = false;
    if (sigpending(&come) != 0) return false;
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        pending = pending || sigismember(&come, ending[i]) == 1;
    return pending;
}

void signals_release(const sigset_t *old) {
    sigprocmask(SIG_SETMASK, old, NULL);
}
