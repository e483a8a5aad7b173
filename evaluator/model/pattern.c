/*
 * pattern.c - literal or regular search.
 */
#include "evaluator/model/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

int pattern_parse(struct pattern *out, const json_t *component, const char *type, struct err *err)
{
    const json_t *json = json_object_get(component, "pattern");
    const json_t *string = json_is_string(json) ? json : json_object_get(json, "String");
    const json_t *regex = json_object_get(json, "Regex");
    struct pattern made = {0};

    if (json_is_string(string)) {
        made.size = json_string_length(string);
        made.string = mem_text_n(json_string_value(string), made.size);
    } else if (!json_is_string(regex)) {
        return err_set(err, ERR_FORMAT, "%s: pattern is neither String nor Regex", type);
    } else if (regex_compile(&made.regex, json_string_value(regex), err) != 0) {
        return err_wrap(err, "%s", type);
    }
    *out = made;
    return 0;
}

void pattern_release(struct pattern *pattern)
{
    free(pattern->string);
    regex_free(pattern->regex);
    *pattern = (struct pattern){0};
}

static const char *find(const char *text, size_t n, const char *string, size_t size)
{
    while (n >= size) {
        const char *at = memchr(text, string[0], n - size + 1);

        if (at == NULL) {
            return NULL;
        }
        if (memcmp(at, string, size) == 0) {
            return at;
        }
        n -= (size_t)(at - text) + 1;
        text = at + 1;
    }
    return NULL;
}

int pattern_next(const struct pattern *pattern, const char *text, size_t n, size_t from,
                 bool *found, size_t *begin, size_t *end, struct err *err)
{
    if (pattern->regex != NULL) {
        return regex_next(pattern->regex, text, n, from, found, begin, end, err);
    }
    const char *at =
        pattern->size == 0 ? NULL : find(text + from, n - from, pattern->string, pattern->size);

    *found = at != NULL;
    if (at != NULL) {
        *begin = (size_t)(at - text);
        *end = *begin + pattern->size;
    }
    return 0;
}

int pattern_replace(const struct pattern *pattern, const char *text, size_t n, const char *content,
                    struct text *out, struct err *err)
{
    size_t done = 0;

    while (done < n) {
        bool found = false;
        size_t begin = n;
        size_t end = n;

        const int rc = pattern_next(pattern, text, n, done, &found, &begin, &end, err);
        if (rc != 0) {
            return rc;
        }
        text_add_n(out, text + done, begin - done);
        if (found) {
            text_add(out, content);
        }
        if (out->size > PATTERN_GROWTH_MAX(n)) {
            return err_set(err, ERR_LIMIT, "replacing makes %zu bytes of %zu", out->size, n);
        }
        done = end;
    }
    return 0;
}
