/*
 * strays.h - programs that outlived all who could have ended them.
 *
 * Whoever kills an evaluator and its guard (guard.h) with -9 leaves what the program started. Its
 * environment still says on what it works: BRAID_MODEL_DIR lies in a folder that nobody holds.
 */
#ifndef PROGRAM_STRAYS_H
#define PROGRAM_STRAYS_H

/* Kill our user's processes that work on a candidate in folder. */
void strays_kill(const char *folder);

#endif
