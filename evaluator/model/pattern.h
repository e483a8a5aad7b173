/*
 * pattern.h - what Replace and Split look for: {"String": s} or {"Regex": r}.
 */
#ifndef MODEL_PATTERN_H
#define MODEL_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/doc.h"
#include "base/err.h"
#include "base/text.h"
#include "evaluator/model/regex.h"

/* Bytes that a text of n may become on its way to words. Steps of a hostile file in a row multiply;
 * the most that those in use do to a byte is to make three of it. */
#define PATTERN_GROWTH_MAX(n) (64 * (n) + ((size_t)64 << 10))

/* All zero matches nothing. */
struct pattern {
    char *string; /* literal text, or NULL */
    size_t size;
    struct regex *regex; /* else this */
};

/* `pattern` of a component of type `type`, as an object or, in old files, a bare string. */
int pattern_parse(struct pattern *out, const json_t *component, const char *type, struct err *err);
void pattern_release(struct pattern *pattern);

/* The next non-empty match at or after from, as regex_next. */
int pattern_next(const struct pattern *pattern, const char *text, size_t n, size_t from,
                 bool *found, size_t *begin, size_t *end, struct err *err);

/* Append text [n] with every match replaced by content, taken literally. ERR_LIMIT when out becomes
 * longer than PATTERN_GROWTH_MAX(n). */
int pattern_replace(const struct pattern *pattern, const char *text, size_t n, const char *content,
                    struct text *out, struct err *err);

#endif
