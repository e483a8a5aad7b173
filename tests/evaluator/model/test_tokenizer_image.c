/*
 * Images of tokenizers: the same ids from where they lie, and no harm from damaged ones.
 */
#include "evaluator/model/tokenizer_image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/model/tokenizer.h"
#include "evaluator/model/tokenizer_files.h"
#include "tests/support/large_tokenizer.h"

#define LLAMA TESTS_DIR "/../study/examples/models/base"
#define QWEN TESTS_DIR "/golden/zoo/random-qwen2"

static struct text image_of(const char *folder)
{
    struct tokenizer_files files = {0};
    struct text image = {0};

    assert_int_equal(tokenizer_files_open(&files, folder, NULL), 0);
    assert_int_equal(tokenizer_compile(&image, &files.sources, NULL), 0);
    tokenizer_files_close(&files);
    return image;
}

static struct text copy_of(const struct text *image, size_t n)
{
    struct text copy = {0};

    text_add_n(&copy, text_get(image), n);
    return copy;
}

static struct text some_text(uint64_t seed)
{
    struct text text = {0};

    text_add(&text, "<s>spell 905: ");
    large_tokenizer_text(&text, 400, seed);
    return text;
}

/* True when both give the same ids to generated text, with special tokens and without. */
static bool agree(struct tokenizer *a, struct tokenizer *b)
{
    bool equal = true;

    for (uint64_t seed = 0; equal && seed < 20; seed++) {
        const enum tokenizer_special special =
            seed % 2 == 0 ? TOKENIZER_PLAIN : TOKENIZER_WITH_SPECIAL;
        struct text text = some_text(seed);
        struct tokens ids[2] = {0};

        assert_int_equal(tokenizer_encode(a, text_get(&text), text.size, special, &ids[0], NULL),
                         0);
        assert_int_equal(tokenizer_encode(b, text_get(&text), text.size, special, &ids[1], NULL),
                         0);
        equal = ids[0].n > 0 && ids[0].n == ids[1].n &&
                memcmp(ids[0].ids, ids[1].ids, ids[0].n * sizeof *ids[0].ids) == 0;
        tokens_release(&ids[0]);
        tokens_release(&ids[1]);
        text_release(&text);
    }
    return equal;
}

static void check_folder(const char *folder)
{
    struct tokenizer *opened = NULL;
    struct tokenizer *compiled = NULL;
    struct text image = image_of(folder);
    struct text report = {0};

    assert_int_equal(tokenizer_open(&opened, folder, NULL), 0);
    assert_int_equal(tokenizer_compiled(&compiled, &image, NULL), 0);
    assert_true(agree(opened, compiled));
    assert_int_equal(tokenizer_compare(opened, compiled, &report), 0);
    assert_int_equal(tokenizer_size(opened), tokenizer_size(compiled));
    text_release(&report);
    tokenizer_close(compiled);
    tokenizer_close(opened);
}

static void gives_the_ids_of_the_files_it_was_made_of(void **state)
{
    (void)state;
    check_folder(LLAMA);
    check_folder(QWEN);
}

static void is_the_same_bytes_each_time(void **state)
{
    struct text first = image_of(LLAMA);
    struct text second = image_of(LLAMA);

    (void)state;
    assert_int_equal(first.size, second.size);
    assert_memory_equal(text_get(&first), text_get(&second), first.size);
    text_release(&second);
    text_release(&first);
}

static void keeps_its_seal_under_its_own_name_only(void **state)
{
    struct text image = image_of(LLAMA);

    (void)state;
    assert_false(image_is_sealed(text_get(&image), image.size, "a"));
    image_seal(image.data, image.size, "a");
    assert_true(image_is_sealed(text_get(&image), image.size, "a"));
    assert_false(image_is_sealed(text_get(&image), image.size, "b"));
    assert_false(image_is_sealed(text_get(&image), image.size - 1, "a"));
    assert_false(image_is_sealed(text_get(&image), 8, "a"));
    text_release(&image);
}

static void loses_its_seal_with_any_bit(void **state)
{
    struct text image = image_of(LLAMA);

    (void)state;
    image_seal(image.data, image.size, "a");
    for (size_t at = 0; at < image.size; at += at < 256 ? 1 : 211) {
        const char bit = (char)(1u << at % 8);

        image.data[at] = (char)(image.data[at] ^ bit);
        assert_false(image_is_sealed(text_get(&image), image.size, "a"));
        image.data[at] = (char)(image.data[at] ^ bit);
    }
    assert_true(image_is_sealed(text_get(&image), image.size, "a"));
    text_release(&image);
}

/* Without its seal anything may be in it; what is accepted encodes and decodes without harm. */
static void use_damaged(struct text *image)
{
    struct tokenizer *tokenizer = NULL;
    struct text text = some_text(1);
    struct text back = {0};
    struct tokens ids = {0};
    struct err err = {0};

    if (tokenizer_compiled(&tokenizer, image, &err) == 0) {
        tokenizer_encode(tokenizer, text_get(&text), text.size, TOKENIZER_WITH_SPECIAL, &ids, NULL);
        tokenizer_decode(tokenizer, ids.ids, ids.n, TOKENIZER_WITH_SPECIAL, &back, NULL);
        tokenizer_close(tokenizer);
    } else {
        assert_true(err.text[0] != '\0' && tokenizer == NULL);
    }
    tokens_release(&ids);
    text_release(&back);
    text_release(&text);
}

static void does_no_harm_with_any_byte_changed(void **state)
{
    struct text image = image_of(LLAMA);

    (void)state;
    for (size_t at = 0; at < image.size; at += at < 160 ? 1 : 97) {
        struct text damaged = copy_of(&image, image.size);

        damaged.data[at] = (char)(damaged.data[at] ^ (char)(at % 3 == 0 ? 0xFF : 1 << at % 8));
        use_damaged(&damaged);
    }
    text_release(&image);
}

static void does_no_harm_when_cut_short(void **state)
{
    struct text image = image_of(LLAMA);

    (void)state;
    for (size_t n = 0; n < image.size; n += n < 200 ? 1 : 509) {
        struct text damaged = copy_of(&image, n);

        use_damaged(&damaged);
    }
    text_release(&image);
}

static void refuses_a_table_without_an_end(void **state)
{
    const uint32_t slots[2] = {1, 1};
    const struct vocab_token token = {0, 1};
    const struct vocab_view view = {"a", 1, &token, 1, slots, 2};
    const struct merge merge = {0, 0, 0};
    const struct merges_view merges = {&merge, 1, slots, 2};

    (void)state;
    assert_false(vocab_view_sound(&view));
    assert_false(merges_sound(&merges, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_ids_of_the_files_it_was_made_of),
        cmocka_unit_test(is_the_same_bytes_each_time),
        cmocka_unit_test(keeps_its_seal_under_its_own_name_only),
        cmocka_unit_test(loses_its_seal_with_any_bit),
        cmocka_unit_test(does_no_harm_with_any_byte_changed),
        cmocka_unit_test(does_no_harm_when_cut_short),
        cmocka_unit_test(refuses_a_table_without_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
