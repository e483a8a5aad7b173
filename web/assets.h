/*
 * assets.h - the files of the page, compressed, inside the program. The table is made by
 * embed.cmake.
 */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include <stddef.h>

struct asset {
    const char *path;                 /* "/", "/page.js", "/page.css" */
    const char *type;                 /* Content-Type */
    const char *etag;                 /* in quotes: changes when the bytes do */
    const unsigned char *bytes, *end; /* gzip */
};

/* All of them. */
const struct asset *asset_list(size_t *n);

#endif
