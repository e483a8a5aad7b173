/*
 * stop.h - a signal asks long work to end, and it ends cleanly.
 *
 * SIGINT and SIGTERM would end the process where it stands, half-written folders and all. A command
 * that cleans up behind itself catches them; whatever runs long looks here between two steps and
 * returns ERR_STOPPED.
 */
#ifndef BASE_STOP_H
#define BASE_STOP_H

#include <stdbool.h>

void stop_on_signals(void);

/* True once one of them has come. */
bool stop_requested(void);

#endif
