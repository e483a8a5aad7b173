/*
 * err.c - one line of text and a code, cut and cleaned where they are made.
 *
 * Every text is built in a local buffer first, so that a caller may pass err->text itself as an
 * argument. What comes from outside can hold anything: control characters become spaces, so that a
 * message stays one line and cannot steer a terminal, and a cut never leaves half a character.
 */
#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* err_wrap without an err still owes its caller a code: it is the one set last. */
static _Thread_local enum err_code last_code = ERR_IO;

/* Drop the bytes of a UTF-8 character that the end of a full buffer cut in two. */
static void drop_half_character(char *text)
{
    size_t size = strlen(text);
    size_t tail = 0;

    while (tail < size && tail < 3 && ((unsigned char)text[size - 1 - tail] & 0xC0) == 0x80) {
        tail++;
    }
    if (tail == size) {
        return;
    }
    unsigned char lead = (unsigned char)text[size - 1 - tail];
    size_t follow = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;

    if (tail < follow) {
        text[size - 1 - tail] = '\0';
    }
}

static void clean(char *text)
{
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7F) {
            *c = ' ';
        }
    }
    if (strlen(text) == ERR_TEXT_MAX - 1) {
        drop_half_character(text);
    }
}

static void fill(struct err *err, enum err_code code, const char *text, const char *more)
{
    char line[ERR_TEXT_MAX];
    int length = snprintf(line, sizeof line, more != NULL ? "%s: %s" : "%s", text, more);

    assert(length >= 0);
    clean(line);
    err->code = code;
    memcpy(err->text, line, sizeof line);
}

int err_set(struct err *err, enum err_code code, const char *format, ...)
{
    assert(code != ERR_NONE);
    last_code = code;
    if (err != NULL) {
        char text[ERR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        fill(err, code, text, NULL);
    }
    return code;
}

int err_set_errno(struct err *err, enum err_code code, const char *format, ...)
{
    int reason = errno;

    assert(code != ERR_NONE);
    last_code = code;
    if (err != NULL) {
        char text[ERR_TEXT_MAX];
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        fill(err, code, text, strerror(reason));
    }
    return code;
}

int err_wrap(struct err *err, const char *format, ...)
{
    if (err == NULL) {
        return last_code;
    }
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fill(err, err->code, text, err->text);
    return err->code;
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case ERR_NONE:
        return "none";
    case ERR_IO:
        return "io";
    case ERR_FORMAT:
        return "format";
    case ERR_MISSING:
        return "missing";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_LIMIT:
        return "limit";
    case ERR_MEMORY:
        return "memory";
    case ERR_NUMERIC:
        return "numeric";
    case ERR_STOPPED:
        return "stopped";
    }
    return "unknown";
}
