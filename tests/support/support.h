/*
 * support.h - what many tests need: temporary folders, files made on the spot, error text checks.
 */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <stddef.h>

/* A fresh folder under TMPDIR or /tmp; remove it with support_remove_dir, which also frees the
 * name. */
char *support_temp_dir(void);
void support_remove_dir(char *path);

/* Write text into folder/name. */
void support_write(const char *folder, const char *name, const char *text);
void support_write_bytes(const char *folder, const char *name, const void *bytes, size_t size);

#endif
