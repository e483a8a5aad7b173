/*
 * place.h - where in a document an error is.
 *
 * The getters of base/doc.h begin their line with the key at fault. Each mapping around it puts its
 * own name in front, so that the person who wrote the file reads one path from its top:
 *
 *   "weight: expected a number, got a text"
 *   "sources[1].weight: expected a number, got a text"
 *   "groups[0].sources[1].weight: expected a number, got a text"
 */
#ifndef STUDY_PLACE_H
#define STUDY_PLACE_H

#include <jansson.h>

#include "base/err.h"

/*
 * Put the name of the value around ("merge", "tasks[3]") in front of err's line: with a dot when
 * `around` is a mapping, one of whose keys the line begins with; with a colon when it is anything
 * else, since the line then says what is wrong with the value itself. Returns the code that err
 * already holds.
 */
int place_within(struct err *err, const json_t *around, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
