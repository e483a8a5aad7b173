/* YAML: what is accepted prints, and what was printed parses and prints to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "study/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_round_trip(const json_t *doc)
{
    struct text first = {0};
    struct text second = {0};
    json_t *again = NULL;

    yaml_print(&first, doc);
    if (first.size <= YAML_SIZE_MAX) { /* escapes make a text longer */
        must(yaml_parse(&again, text_get(&first), first.size, NULL) == 0);
        must(json_equal(doc, again));
        yaml_print(&second, again);
        must(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    }
    json_decref(again);
    text_release(&first);
    text_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct err err = {0};
    json_t *doc = NULL;
    int rc = yaml_parse(&doc, (const char *)bytes, n, &err);

    if (rc == 0) {
        check_round_trip(doc);
        json_decref(doc);
    } else {
        must(doc == NULL && err.code == (enum err_code)rc && err.text[0] != '\0');
    }
    return 0;
}
