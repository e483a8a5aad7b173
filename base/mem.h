/*
 * mem.h - small allocations that abort, data-sized ones that fail as values.
 *
 * Small things (names, nodes, bookkeeping) use mem_alloc: when it fails the process ends with one
 * line. Anything whose size comes from a file, a request or a recipe uses mem_try. All memory is
 * freed with free(). A test can make the k-th allocation of mem_try fail.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* size zero bytes; never NULL (ends the process when memory is gone). size 0 gives one byte. */
void *mem_alloc(size_t size);

/* n elements of size bytes, zeroed; never NULL. */
void *mem_array(size_t n, size_t size);

/* Grow or shrink to n elements of size bytes; new bytes are not cleared; never NULL. */
void *mem_resize(void *old, size_t n, size_t size);

/* Copies; never NULL. mem_text_n copies n bytes and adds the terminator. */
char *mem_text(const char *text);
char *mem_text_n(const char *text, size_t n);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* n elements of size bytes, zeroed, or NULL with ERR_MEMORY and a line naming `what`. */
void *mem_try(size_t n, size_t size, const char *what, struct err *err);

/* As mem_try, 64-byte aligned, not cleared, huge pages advised above 4 MiB. free() it. */
void *mem_try_block(size_t n, size_t size, const char *what, struct err *err);

/* *out = a * b (a + b) unless it overflows; true when it fits. */
bool mem_multiply(size_t a, size_t b, size_t *out);
bool mem_add(size_t a, size_t b, size_t *out);

/* Tests: let the next n calls of mem_try succeed, then fail one, then succeed again; negative:
 * never fail. */
void mem_fail_after(long n);

#endif
