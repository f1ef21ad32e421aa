/* Signals that end the process wait while something is there that must not stay behind. */
#ifndef RNNC_SIGNALS_H
#define RNNC_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* Holds back SIGINT, SIGTERM and SIGHUP, where they are not ignored; *old is the mask of before,
 * for signals_release. */
void signals_hold(sigset_t *old);

/* One that is held back has come. */
bool signals_pending(void);

/* What has come meanwhile ends the process here. */
void signals_release(const sigset_t *old);

#endif
