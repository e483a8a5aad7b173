/*
 * What generated texts are measured by: a first line with a task's filter (an object) or options of
 * exact_match (in a list), and any text after it. What is accepted gives UTF-8, twice the same, and
 * a text always equals itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "evaluator/task/exact_match.h"
#include "evaluator/task/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_filter(const json_t *json, const char *text)
{
    struct filter filter = {0};
    struct text once = {0};
    struct text twice = {0};
    struct err err = {0};

    if (filter_read(&filter, json, &err) != 0) {
        must(err.text[0] != '\0' && filter.n_steps == 0);
        return;
    }
    const int rc = filter_apply(&filter, text, &once, &err);

    must(rc == 0 || rc == ERR_LIMIT);
    must(filter_apply(&filter, text, &twice, NULL) == rc);
    must(rc != 0 || (text_is_utf8(text_get(&once), once.size, NULL) &&
                     strcmp(text_get(&once), text_get(&twice)) == 0));
    text_release(&once);
    text_release(&twice);
    filter_release(&filter);
}

static void check_match(const json_t *json, const char *text)
{
    struct exact_match match = {0};
    struct err err = {0};
    bool equal = false;

    if (exact_match_read(&match, json, &err) != 0) {
        must(err.text[0] != '\0' && match.n_ignored == 0);
        return;
    }
    const int rc = exact_match_equal(&match, text, text, &equal, &err);

    must(rc == ERR_LIMIT || (rc == 0 && equal));
    exact_match_release(&match);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const uint8_t *line = n > 0 ? memchr(bytes, '\n', n) : NULL;
    json_t *json = NULL;

    if (line == NULL || memchr(bytes, '\0', n) != NULL ||
        !text_is_utf8((const char *)bytes, n, NULL) ||
        doc_parse(&json, (const char *)bytes, (size_t)(line - bytes), NULL) != 0) {
        return 0;
    }
    struct text text = {0};

    text_add_n(&text, (const char *)line + 1, n - (size_t)(line - bytes) - 1);
    if (json_is_array(json)) {
        check_match(json_array_get(json, 0), text_get(&text));
    } else {
        check_filter(json, text_get(&text));
    }
    text_release(&text);
    json_decref(json);
    return 0;
}
