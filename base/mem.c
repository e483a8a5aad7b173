/*
 * mem.c - two kinds of allocation: one that ends the process, one that says no.
 *
 * Bookkeeping that does not fit in memory cannot be told to anyone, so it ends the process. Sizes
 * that come from outside can be absurd in an otherwise healthy process, so they fail as values.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_ALIGN 64              /* a cache line, and the widest vector */
#define HUGE_PAGE ((size_t)2 << 20) /* x86-64 and arm64 with 4 KiB pages */
#define HUGE_PAGES_ABOVE ((size_t)4 << 20)

/* Calls of mem_try until one fails; negative: none does. */
static long calls_until_failure = -1;

static void *checked(void *memory, size_t size)
{
    if (memory == NULL) {
        fprintf(stderr, "braid: out of memory (%zu bytes)\n", size);
        abort();
    }
    return memory;
}

static size_t product(size_t n, size_t size)
{
    size_t bytes;

    if (!mem_multiply(n, size, &bytes)) {
        checked(NULL, SIZE_MAX);
    }
    return bytes > 0 ? bytes : 1;
}

void *mem_alloc(size_t size)
{
    return mem_array(size, 1);
}

void *mem_array(size_t n, size_t size)
{
    size_t bytes = product(n, size);

    return checked(calloc(bytes, 1), bytes);
}

void *mem_resize(void *old, size_t n, size_t size)
{
    size_t bytes = product(n, size);

    return checked(realloc(old, bytes), bytes);
}

char *mem_text(const char *text)
{
    return mem_text_n(text, strlen(text));
}

char *mem_text_n(const char *text, size_t n)
{
    char *copy = mem_alloc(n + 1);

    if (n > 0) {
        memcpy(copy, text, n);
    }
    return copy;
}

char *mem_printf(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        checked(NULL, 0);
    }

    char *text = mem_alloc((size_t)length + 1);

    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

static bool fails_on_demand(void)
{
    if (calls_until_failure < 0) {
        return false;
    }
    return calls_until_failure-- == 0;
}

void *mem_try(size_t n, size_t size, const char *what, struct err *err)
{
    size_t bytes;

    if (!mem_multiply(n, size, &bytes)) {
        err_set(err, ERR_MEMORY, "%s: %zu times %zu bytes is more than there can be", what, n,
                size);
        return NULL;
    }
    void *memory = fails_on_demand() ? NULL : calloc(bytes > 0 ? bytes : 1, 1);

    if (memory == NULL) {
        err_set(err, ERR_MEMORY, "%s: no memory for %zu bytes", what, bytes);
    }
    return memory;
}

void *mem_try_block(size_t n, size_t size, const char *what, struct err *err)
{
    size_t bytes, padded;

    if (!mem_multiply(n, size, &bytes) || !mem_add(bytes, HUGE_PAGE, &padded)) {
        err_set(err, ERR_MEMORY, "%s: %zu times %zu bytes is more than there can be", what, n,
                size);
        return NULL;
    }
    bool huge = bytes > HUGE_PAGES_ABOVE;
    size_t align = huge ? HUGE_PAGE : BLOCK_ALIGN;
    void *memory = NULL;

    if (fails_on_demand() || posix_memalign(&memory, align, bytes > 0 ? bytes : 1) != 0) {
        err_set(err, ERR_MEMORY, "%s: no memory for %zu bytes", what, bytes);
        return NULL;
    }
    if (huge) {
        (void)madvise(memory, bytes, MADV_HUGEPAGE); /* advice: a kernel without them is no worse */
    }
    return memory;
}

bool mem_multiply(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b) {
        return false;
    }
    *out = a * b;
    return true;
}

bool mem_add(size_t a, size_t b, size_t *out)
{
    if (a > SIZE_MAX - b) {
        return false;
    }
    *out = a + b;
    return true;
}

void mem_fail_after(long n)
{
    calls_until_failure = n;
}
