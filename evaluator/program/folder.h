/*
 * folder.h - a temporary folder that does not outlive its process for long.
 *
 *   WHERE/braid-eval-XXXXXX      locked (flock) by whoever uses it
 *
 * A process that is killed cannot remove its folder, but its lock ends with it: the next one to
 * start finds what nobody holds, and removes it.
 */
#ifndef PROGRAM_FOLDER_H
#define PROGRAM_FOLDER_H

#include <stdint.h>

#include "base/err.h"

struct folder {
    char *path; /* NULL: none */
    int lock;
};

/* Where files are kept in memory; NULL when this system has no such place. */
const char *folder_in_memory(void);

/* Bytes that fit into a place now: of its file system, and in memory also of the machine. */
uint64_t folder_room(const char *where);

/* A new one, for our eyes alone. ERR_IO. */
int folder_open(struct folder *out, const char *where, struct err *err);
void folder_close(struct folder *folder); /* all-zero is fine */

/* Remove those of ours that nobody holds, and end whatever still works in them. What cannot be
 * removed stays. */
void folder_sweep(const char *where);

#endif
