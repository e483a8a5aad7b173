/* JSON: what is accepted prints, and what was printed parses and prints to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_round_trip(const json_t *doc, void (*print)(struct text *out, const json_t *doc))
{
    struct text first = {0};
    struct text second = {0};
    json_t *again = NULL;

    print(&first, doc);
    must(text_is_utf8(text_get(&first), first.size, NULL));
    must(doc_parse(&again, text_get(&first), first.size, NULL) == 0);
    must(json_equal(doc, again));
    print(&second, again);
    must(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
    json_decref(again);
    text_release(&first);
    text_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct err err = {0};
    json_t *doc = NULL;
    int rc = doc_parse(&doc, (const char *)bytes, n, &err);

    if (rc == 0) {
        check_round_trip(doc, doc_print);
        check_round_trip(doc, doc_print_pretty);
        json_decref(doc);
    } else {
        must(doc == NULL && err.code == (enum err_code)rc && err.text[0] != '\0');
    }
    return 0;
}
