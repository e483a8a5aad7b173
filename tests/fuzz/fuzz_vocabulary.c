/* The tokens of tokenizer.json, as merging reads them: each id has one text and each text one id.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc.h"
#include "evaluator/merge/vocabulary_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check(const struct vocabulary_tokens *tokens)
{
    size_t n_known = 0;

    for (uint32_t id = 0; id < tokens->vocab.n; id++) {
        size_t n = 0;
        const char *text = vocab_text(&tokens->vocab, id, &n);
        uint32_t found;

        if (text != NULL) {
            must(vocab_find(&tokens->vocab, text, n, &found) && found == id);
            n_known++;
        }
        must(text != NULL || !vocabulary_is_added(tokens, id));
    }
    must(n_known == tokens->vocab.n_used && tokens->n_added <= tokens->vocab.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct vocabulary_tokens tokens = {0};
    json_t *doc = NULL;

    if (doc_parse(&doc, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    struct err err = {0};
    const int rc = vocabulary_tokens_parse(&tokens, doc, &err);
    json_decref(doc);
    if (rc != 0) {
        must(rc == ERR_FORMAT || rc == ERR_MISSING || rc == ERR_LIMIT);
        must(err.text[0] != '\0' && strchr(err.text, '\n') == NULL && tokens.added == NULL);
        return 0;
    }
    check(&tokens);
    vocabulary_tokens_release(&tokens);
    return 0;
}
