/*
 * strings.c - an owned list of texts.
 */
#include "evaluator/task/strings.h"

#include <stdlib.h>

#include "base/mem.h"

void strings_add(struct strings *strings, char *text)
{
    /* Room doubles at powers of two, so that no capacity needs to be kept. */
    if ((strings->n & (strings->n - 1)) == 0) {
        const size_t capacity = strings->n == 0 ? 1 : strings->n * 2;

        strings->all = mem_resize(strings->all, capacity, sizeof *strings->all);
    }
    strings->all[strings->n++] = text;
}

void strings_release(struct strings *strings)
{
    for (size_t i = 0; i < strings->n; i++) {
        free(strings->all[i]);
    }
    free(strings->all);
    *strings = (struct strings){0};
}

json_t *strings_print(const struct strings *strings)
{
    json_t *list = json_array();

    for (size_t i = 0; i < strings->n; i++) {
        json_array_append_new(list, json_string(strings->all[i]));
    }
    return list;
}

int strings_read(struct strings *out, const json_t *object, const char *key, size_t max,
                 struct err *err)
{
    json_t *list = NULL;
    struct strings made = {0};

    int rc = doc_array(object, key, &list, err);
    if (rc != 0) {
        return rc;
    }
    if (json_array_size(list) > max) {
        return err_set(err, ERR_LIMIT, "%s: %zu entries, at most %zu", key, json_array_size(list),
                       max);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_string(item)) {
            strings_release(&made);
            return err_set(err, ERR_FORMAT, "%s: entry %zu: expected a text, got %s", key, i,
                           doc_kind(item));
        }
        strings_add(&made, mem_text_n(json_string_value(item), json_string_length(item)));
    }
    *out = made;
    return 0;
}
