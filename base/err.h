/*
 * err.h - how a failure travels: a code and one line for a person.
 *
 * The first function to notice a failure calls err_set; a layer that knows more puts its context in
 * front once with err_wrap. Only cli/ and web/ show the line to anyone. `struct err *` may be NULL
 * everywhere: then the code alone is returned.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

enum err_code {
    ERR_NONE = 0,
    ERR_IO = -1,       /* the system said no: open, read, write, fsync, connect */
    ERR_FORMAT = -2,   /* bytes from outside that are not what they should be */
    ERR_MISSING = -3,  /* something named is not there */
    ERR_CONFLICT = -4, /* it exists already, or disagrees with what is stored */
    ERR_LIMIT = -5,    /* larger than a named maximum */
    ERR_MEMORY = -6,   /* a data-sized allocation failed */
    ERR_NUMERIC = -7,  /* not finite, not positive definite, did not converge */
    ERR_STOPPED = -8   /* a signal asked to stop (stop.h) */
};

#define ERR_TEXT_MAX 512

struct err {
    enum err_code code;
    char text[ERR_TEXT_MAX]; /* one line, the thing first: "m/a.safetensors: tensor 12: end past
                                file" */
};

/* Fill err and return code. Text beyond ERR_TEXT_MAX is cut; line breaks become spaces. */
int err_set(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set, followed by ": " and the text of errno as it was at the call. */
int err_set_errno(struct err *err, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Put "context: " in front of the text; returns the code that err already holds. */
int err_wrap(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The lower-case name of a code: "io", "format", "missing", ... */
const char *err_code_name(enum err_code code);

#endif
