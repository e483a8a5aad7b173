/*
 * place.c - the path of a key in front of what is wrong with it.
 */
#include "study/place.h"

#include <stdio.h>

int place_within(struct err *err, const json_t *around, const char *format, ...)
{
    char name[128];
    char text[ERR_TEXT_MAX];
    va_list args;

    if (err == NULL) {
        return err_wrap(NULL, "%s", format); /* the code alone */
    }
    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    snprintf(text, sizeof(text), "%s", err->text);
    return err_set(err, err->code, "%s%s%s", name, json_is_object(around) ? "." : ": ", text);
}
