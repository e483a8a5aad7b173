/*
 * stop.c - a signal sets a flag.
 */
#include "base/stop.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t requested;

static void on_signal(int number)
{
    (void)number;
    requested = 1;
}

void stop_on_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};

    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}

bool stop_requested(void)
{
    return requested != 0;
}
