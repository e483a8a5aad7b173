/*
 * Images of tokenizers as a damaged file might hold them: a sound one, cut to a size and with bytes
 * changed as the input says: (size, then place and value again and again), then a text. What is
 * accepted gives ids and text without leaving the image.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/tokenizer_compile.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define TOKENIZER                                                                                \
    "{\"added_tokens\":[{\"id\":9,\"content\":\"<s>\",\"special\":true},{\"id\":10,"             \
    "\"content\":\"xy\",\"lstrip\":true}],\"normalizer\":{\"type\":\"Lowercase\"},"              \
    "\"pre_tokenizer\":{\"type\":\"Digits\"},\"decoder\":{\"type\":\"ByteFallback\"},"           \
    "\"model\":{\"unk_token\":\"?\",\"byte_fallback\":true,\"vocab\":{\"a\":0,\"b\":1,\"c\":2,"  \
    "\"ab\":3,\" \":4,\"?\":5,\"abc\":6,\"\xC3\xA9\":7,\"<0xC3>\":8},\"merges\":[[\"a\",\"b\"]," \
    "[\"ab\",\"c\"]]}}"
#define CHANGES_MAX 32

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const struct text *sound_image(void)
{
    static struct text image;
    const struct tokenizer_sources sources = {.tokenizer = TOKENIZER,
                                              .n_tokenizer = strlen(TOKENIZER)};

    if (image.size == 0) {
        must(tokenizer_compile(&image, &sources, NULL) == 0);
    }
    return &image;
}

static void use(struct tokenizer *tokenizer, const char *text, size_t n)
{
    struct tokens ids = {0};
    struct text back = {0};
    struct text report = {0};

    if (tokenizer_encode(tokenizer, text, n, TOKENIZER_WITH_SPECIAL, &ids, NULL) == 0 &&
        tokenizer_decode(tokenizer, ids.ids, ids.n, TOKENIZER_WITH_SPECIAL, &back, NULL) == 0) {
        must(text_is_utf8(text_get(&back), back.size, NULL));
    }
    must(tokenizer_compare(tokenizer, tokenizer, &report) == 0);
    text_release(&report);
    text_release(&back);
    tokens_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct text *sound = sound_image();
    struct tokenizer *tokenizer = NULL;
    struct text image = {0};
    struct err err = {0};
    size_t at = 3;

    if (n < at) {
        return 0;
    }
    const size_t size = ((size_t)bytes[0] << 8 | bytes[1]) % (sound->size + 1);
    const size_t changes = bytes[2] % CHANGES_MAX;

    text_add_n(&image, text_get(sound), size > 0 ? size : sound->size);
    for (size_t i = 0; i < changes && n - at >= 3; i++, at += 3) {
        image.data[((size_t)bytes[at] << 8 | bytes[at + 1]) % image.size] = (char)bytes[at + 2];
    }
    if (tokenizer_compiled(&tokenizer, &image, &err) == 0) {
        use(tokenizer, (const char *)bytes + at, n - at);
        tokenizer_close(tokenizer);
    } else {
        must(tokenizer == NULL && err.text[0] != '\0');
    }
    must(image.data == NULL);
    return 0;
}
