/*
 * layered.h - "folder+other": one folder with another laid over it, as model references write it.
 *
 * A '+' is also a letter of names. The one that joins is the first whose left side is a folder,
 * unless the whole is a folder itself; a path without such a '+' is a path like any other.
 */
#ifndef BASE_LAYERED_H
#define BASE_LAYERED_H

#include "base/err.h"

/* The '+' that joins, pointing into path; NULL when there is none. Looks at the disk. */
const char *layered_plus(const char *path);

/* New strings, free() them. Each side resolved against folder as by file_resolve; each side in its
 * absolute form as by file_absolute (ERR_MISSING names the side that is absent). */
char *layered_resolve(const char *folder, const char *path);
int layered_absolute(char **out, const char *path, struct err *err);

#endif
