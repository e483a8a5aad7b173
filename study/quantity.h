/*
 * quantity.h - what people write for times and sizes, and back.
 *
 *   a duration      "90s", "10m", "1.5h"      milliseconds; units ms s m min h d
 *   a size          "500MB", "8GiB"           bytes; units B kB MB GB TB KiB MiB GiB TiB
 *   a time of day   "07:00"                   minutes after midnight
 *
 * A number without a unit is refused, so is zero. Printing picks the largest unit that fits without
 * a rest; reading that gives the same number again.
 */
#ifndef STUDY_QUANTITY_H
#define STUDY_QUANTITY_H

#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define QUANTITY_DURATION_MAX INT64_C(315360000000) /* ms: ten years */
#define QUANTITY_SIZE_MAX (UINT64_C(1) << 60)       /* bytes */

/* ERR_FORMAT with an example of what to write; ERR_LIMIT beyond the maximum. */
int quantity_duration(int64_t *ms, const char *written, struct err *err);
int quantity_size(uint64_t *bytes, const char *written, struct err *err);
int quantity_time_of_day(int *minute, const char *written, struct err *err);

void quantity_print_duration(struct text *out, int64_t ms);
void quantity_print_size(struct text *out, uint64_t bytes);
void quantity_print_time_of_day(struct text *out, int minute);

#endif
