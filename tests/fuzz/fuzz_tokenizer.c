/*
 * Tokenizer files: a first line of JSON and any text after it. What is accepted is a document too,
 * and cuts the text the same way twice, into ids that it knows and can make text of again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "base/text.h"
#include "evaluator/model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_text(struct tokenizer *tokenizer, const char *text, size_t n)
{
    struct tokens first = {0};
    struct tokens second = {0};
    struct text back = {0};
    struct err err = {0};

    const int rc = tokenizer_encode(tokenizer, text, n, TOKENIZER_WITH_SPECIAL, &first, &err);
    must(rc == 0 || (first.n == 0 && err.text[0] != '\0'));
    must(tokenizer_encode(tokenizer, text, n, TOKENIZER_WITH_SPECIAL, &second, NULL) == rc);
    must(first.n == second.n);
    must(first.n == 0 || memcmp(first.ids, second.ids, first.n * sizeof *first.ids) == 0);
    if (rc == 0 &&
        tokenizer_decode(tokenizer, first.ids, first.n, TOKENIZER_WITH_SPECIAL, &back, &err) == 0) {
        must(text_is_utf8(text_get(&back), back.size, NULL));
    }
    text_release(&back);
    tokens_release(&first);
    tokens_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const uint8_t *line = n > 0 ? memchr(bytes, '\n', n) : NULL;
    const size_t n_json = line != NULL ? (size_t)(line - bytes) : n;
    const size_t n_text = line != NULL ? n - n_json - 1 : 0;
    struct tokenizer *tokenizer = NULL;
    struct text report = {0};
    struct err err = {0};
    json_t *json = NULL;

    if (tokenizer_parse(&tokenizer, (const char *)bytes, n_json, &err) == 0) {
        must(doc_parse(&json, (const char *)bytes, n_json, NULL) == 0);
        check_text(tokenizer, (const char *)bytes + n - n_text, n_text);
        must(tokenizer_compare(tokenizer, tokenizer, &report) == 0);
        tokenizer_close(tokenizer);
    } else {
        must(tokenizer == NULL && err.text[0] != '\0');
    }
    json_decref(json);
    text_release(&report);
    return 0;
}
