/*
 * scratch.h - data larger than memory ought to hold: written to a file without a name, then mapped.
 *
 *   struct scratch scratch = {0};
 *   struct file_map map = {0};
 *   scratch_open(&scratch, err);
 *   scratch_add(&scratch, rows, n, err);      again and again, in order
 *   scratch_map(&scratch, &map, err);         read-only; file_unmap ends it
 *   scratch_close(&scratch);
 *
 * The file is in TMPDIR, or /tmp. The system may drop its pages from memory and read them again; it
 * goes away with its map, however the process ends. A disk that is full is an error of scratch_add,
 * never a signal.
 */
#ifndef BASE_SCRATCH_H
#define BASE_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/file.h"

struct scratch {
    bool open;
    int fd;
    size_t size;
};

int scratch_open(struct scratch *out, struct err *err); /* ERR_IO */
int scratch_add(struct scratch *scratch, const void *bytes, size_t n, struct err *err);

/* Zeros up to the next multiple of `to`. */
int scratch_align(struct scratch *scratch, size_t to, struct err *err);

/* All that was added so far; the map outlives the scratch. */
int scratch_map(const struct scratch *scratch, struct file_map *out, struct err *err);
void scratch_close(struct scratch *scratch); /* all-zero is fine */

#endif
