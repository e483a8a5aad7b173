/*
 * mergekit_setting.c - scalars, schedules and filters.
 */
#include "evaluator/merge/mergekit_setting.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"

#define ANY_TENSOR "*" /* a filter that takes in every name */

void mergekit_where(char out[MERGEKIT_WHERE_MAX], const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(out, MERGEKIT_WHERE_MAX, format, args);
    va_end(args);
}

/* ---- numbers ---- */

/* A number, a boolean, or a text that holds a number to its end. */
static bool number_of(const json_t *value, double *out)
{
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return isfinite(*out);
    }
    if (json_is_boolean(value)) {
        *out = json_is_true(value) ? 1.0 : 0.0;
        return true;
    }
    const char *text = json_string_value(value);
    char *end = NULL;

    if (text == NULL || text[0] == '\0') {
        return false;
    }
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static int check_number(const json_t *value, const char *where, struct err *err)
{
    double unused;

    if (number_of(value, &unused)) {
        return 0;
    }
    if (json_is_string(value)) {
        return err_set(err, ERR_FORMAT, "%s: expected a number, got '%s'", where,
                       json_string_value(value));
    }
    return err_set(err, ERR_FORMAT, "%s: expected a number, got %s", where, doc_kind(value));
}

/* ---- schedules ---- */

static int check_schedule(const json_t *list, const char *where, struct err *err)
{
    int rc = 0;

    if (json_array_size(list) == 0) {
        return err_set(err, ERR_FORMAT, "%s: an empty list has no value at any depth", where);
    }
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        char place[MERGEKIT_WHERE_MAX];

        mergekit_where(place, "%s[%zu]", where, i);
        rc = check_number(json_array_get(list, i), place, err);
    }
    return rc;
}

/* Points of a schedule are equally far apart, whatever the number of layers. */
static double schedule_value(const json_t *list, double position)
{
    size_t n = json_array_size(list);
    double at = position * (double)(n - 1);
    size_t left = (size_t)at;
    size_t right = left + 1 < n ? left + 1 : n - 1;
    double share = at - (double)left;
    double a = 0.0;
    double b = 0.0;

    number_of(json_array_get(list, left), &a);
    number_of(json_array_get(list, right), &b);
    return (1.0 - share) * a + share * b;
}

static int check_value(const json_t *value, const char *where, struct err *err)
{
    return json_is_array(value) ? check_schedule(value, where, err)
                                : check_number(value, where, err);
}

static double value_at(const json_t *value, double position)
{
    double number = 0.0;

    if (json_is_array(value)) {
        return schedule_value(value, position);
    }
    number_of(value, &number);
    return number;
}

/* ---- conditions ---- */

static int check_condition(const json_t *condition, const char *where, struct err *err)
{
    const json_t *filter = json_object_get(condition, "filter");
    const json_t *value = json_object_get(condition, "value");
    char place[MERGEKIT_WHERE_MAX];

    if (!json_is_object(condition)) {
        return err_set(err, ERR_FORMAT, "%s: expected {filter: ..., value: ...}, got %s", where,
                       doc_kind(condition));
    }
    if (filter != NULL && !json_is_string(filter) && !json_is_null(filter)) {
        return err_set(err, ERR_FORMAT, "%s.filter: expected a text, got %s", where,
                       doc_kind(filter));
    }
    if (value == NULL) {
        return err_set(err, ERR_FORMAT, "%s.value: missing", where);
    }
    mergekit_where(place, "%s.value", where);
    return check_value(value, place, err);
}

static bool takes(const json_t *condition, const char *tensor)
{
    const char *filter = json_string_value(json_object_get(condition, "filter"));

    return filter == NULL || strcmp(filter, ANY_TENSOR) == 0 || strstr(tensor, filter) != NULL;
}

static bool has_conditions(const json_t *setting)
{
    return json_is_object(setting) || json_is_object(json_array_get(setting, 0));
}

/* ---- the door ---- */

int mergekit_setting_check(const json_t *setting, const char *where, struct err *err)
{
    int rc = 0;

    if (!has_conditions(setting)) {
        return check_value(setting, where, err);
    }
    if (json_is_object(setting)) {
        return check_condition(setting, where, err);
    }
    for (size_t i = 0; i < json_array_size(setting) && rc == 0; i++) {
        char place[MERGEKIT_WHERE_MAX];

        mergekit_where(place, "%s[%zu]", where, i);
        rc = check_condition(json_array_get(setting, i), place, err);
    }
    return rc;
}

bool mergekit_setting_resolve(const json_t *setting, const char *tensor, double position,
                              double *out)
{
    if (setting == NULL) {
        return false;
    }
    if (!has_conditions(setting)) {
        *out = value_at(setting, position);
        return true;
    }
    size_t n = json_is_object(setting) ? 1 : json_array_size(setting);

    for (size_t i = 0; i < n; i++) {
        const json_t *condition = json_is_object(setting) ? setting : json_array_get(setting, i);

        if (takes(condition, tensor)) {
            *out = value_at(json_object_get(condition, "value"), position);
            return true;
        }
    }
    return false;
}
