/*
 * layered.c - the two sides of "folder+other".
 */
#include "base/layered.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

const char *layered_plus(const char *path)
{
    if (file_is_dir(path)) {
        return NULL;
    }
    for (const char *plus = strchr(path, '+'); plus != NULL; plus = strchr(plus + 1, '+')) {
        char *left = mem_text_n(path, (size_t)(plus - path));
        const bool joins = file_is_dir(left);

        free(left);
        if (joins) {
            return plus;
        }
    }
    return NULL;
}

char *layered_resolve(const char *folder, const char *path)
{
    char *whole = file_resolve(folder, path);
    const char *plus = layered_plus(whole);

    if (plus == NULL) {
        return whole;
    }
    char *right = file_resolve(folder, plus + 1);
    char *made = mem_printf("%.*s+%s", (int)(plus - whole), whole, right);

    free(right);
    free(whole);
    return made;
}

int layered_absolute(char **out, const char *path, struct err *err)
{
    const char *plus = layered_plus(path);
    char *left = NULL;
    char *right = NULL;

    if (plus == NULL) {
        return file_absolute(out, path, err);
    }
    char *given = mem_text_n(path, (size_t)(plus - path));
    int rc = file_absolute(&left, given, err);
    if (rc == 0) {
        rc = file_absolute(&right, plus + 1, err);
    }
    if (rc == 0) {
        *out = mem_printf("%s+%s", left, right);
    }
    free(given);
    free(left);
    free(right);
    return rc;
}
