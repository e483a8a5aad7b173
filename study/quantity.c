/*
 * quantity.c - a number and a unit.
 *
 * Whole numbers stay whole all the way; only "1.5h" goes through a double.
 */
#include "study/quantity.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct unit {
    const char *name;
    uint64_t factor;
};

/* Both from large to small, as printing tries them. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"min", 60000}, {"s", 1000}, {"ms", 1},
};
static const struct unit sizes[] = {
    {"TiB", UINT64_C(1) << 40},   {"TB", UINT64_C(1000000000000)}, {"GiB", UINT64_C(1) << 30},
    {"GB", UINT64_C(1000000000)}, {"MiB", UINT64_C(1) << 20},      {"MB", UINT64_C(1000000)},
    {"KiB", UINT64_C(1) << 10},   {"kB", UINT64_C(1000)},          {"B", 1},
};

static uint64_t factor_of(const struct unit *units, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(units[i].name, name) == 0) {
            return units[i].factor;
        }
    }
    return 0;
}

/* "1.5h" to a whole number of the smallest unit; false unless digits, perhaps a fraction, perhaps a
 * space, and a unit. Beyond 64 bits it is UINT64_MAX. */
static bool parse_quantity(uint64_t *out, const char *written, const struct unit *units, size_t n)
{
    size_t whole = strspn(written, "0123456789");
    size_t fraction = written[whole] == '.' ? 1 + strspn(written + whole + 1, "0123456789") : 0;
    const char *name = written + whole + fraction;
    uint64_t factor = factor_of(units, n, name + (*name == ' '));

    if (whole == 0 || fraction == 1 || factor == 0) {
        return false;
    }
    if (fraction > 0) {
        double value = round(strtod(written, NULL) * (double)factor);

        *out = value < 0x1p64 ? (uint64_t)value : UINT64_MAX;
    } else {
        uint64_t value = strtoull(written, NULL, 10);

        *out = value <= UINT64_MAX / factor ? value * factor : UINT64_MAX;
    }
    return true;
}

/* parse_quantity, and from 1 to max. */
static int read_quantity(uint64_t *out, const char *written, const struct unit *units, size_t n,
                         uint64_t max, const char *what, struct err *err)
{
    uint64_t value = 0;

    if (!parse_quantity(&value, written, units, n)) {
        return err_set(err, ERR_FORMAT, "'%s' is no %s", written, what);
    }
    if (value == 0 || value > max) {
        return err_set(err, ERR_LIMIT, "'%s' is too %s", written, value == 0 ? "small" : "large");
    }
    *out = value;
    return 0;
}

int quantity_duration(int64_t *ms, const char *written, struct err *err)
{
    uint64_t value = 0;
    int rc = read_quantity(&value, written, durations, COUNT(durations), QUANTITY_DURATION_MAX,
                           "duration; write 90s, 10m or 8h", err);

    if (rc == 0) {
        *ms = (int64_t)value;
    }
    return rc;
}

int quantity_size(uint64_t *bytes, const char *written, struct err *err)
{
    return read_quantity(bytes, written, sizes, COUNT(sizes), QUANTITY_SIZE_MAX,
                         "size; write 500MB or 8GiB", err);
}

int quantity_time_of_day(int *minute, const char *written, struct err *err)
{
    int at[4]; /* the digits of hh:mm */
    size_t n = 0;

    for (const char *c = written; *c != '\0' && n < 4; c++) {
        if (*c >= '0' && *c <= '9') {
            at[n++] = *c - '0';
        }
    }
    if (strlen(written) != 5 || written[2] != ':' || n != 4 || at[0] * 10 + at[1] > 23 ||
        at[2] > 5) {
        return err_set(err, ERR_FORMAT, "'%s' is no time of day; write \"07:00\"", written);
    }
    *minute = (at[0] * 10 + at[1]) * 60 + at[2] * 10 + at[3];
    return 0;
}

static void print_quantity(struct text *out, uint64_t value, const struct unit *units)
{
    while (value % units->factor != 0) {
        units++; /* the last divides everything */
    }
    text_printf(out, "%" PRIu64 "%s", value / units->factor, units->name);
}

void quantity_print_duration(struct text *out, int64_t ms)
{
    assert(ms > 0);
    print_quantity(out, (uint64_t)ms, durations);
}

void quantity_print_size(struct text *out, uint64_t bytes)
{
    assert(bytes > 0);
    print_quantity(out, bytes, sizes);
}

void quantity_print_time_of_day(struct text *out, int minute)
{
    assert(minute >= 0 && minute < 24 * 60);
    text_printf(out, "%02d:%02d", minute / 60, minute % 60);
}
