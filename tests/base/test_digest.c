#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"

static void assert_digest(const char *text, const char *hex)
{
    char out[DIGEST_HEX];

    digest_hex_of(text, strlen(text), out);
    assert_string_equal(out, hex);
}

static void equals_the_published_vectors(void **state)
{
    (void)state; /* FIPS 180-2, appendix B */
    assert_digest("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void is_the_same_in_pieces(void **state)
{
    struct digest *digest = digest_new();
    char hex[DIGEST_HEX];

    (void)state;
    for (int i = 0; i < 100000; i++) {
        digest_add(digest, "aaaaaaaaaa", 10);
    }
    digest_end_hex(digest, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void takes_numbers_as_eight_bytes_smallest_first(void **state)
{
    const unsigned char bytes[] = {0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01};
    struct digest *digest = digest_new();
    unsigned char made[DIGEST_SIZE], expected[DIGEST_SIZE];

    (void)state;
    digest_add_u64(digest, 0x0123456789abcdef);
    digest_end(digest, made);
    digest_of(bytes, sizeof bytes, expected);
    assert_memory_equal(made, expected, DIGEST_SIZE);
}

static void keeps_texts_in_a_row_apart(void **state)
{
    struct digest *one = digest_new();
    struct digest *other = digest_new();
    char one_hex[DIGEST_HEX], other_hex[DIGEST_HEX];

    (void)state;
    digest_add_text(one, "ab");
    digest_add_text(one, "c");
    digest_add_text(other, "a");
    digest_add_text(other, "bc");
    digest_end_hex(one, one_hex);
    digest_end_hex(other, other_hex);
    assert_string_not_equal(one_hex, other_hex);
}

static void goes_to_hex_and_back(void **state)
{
    unsigned char bytes[DIGEST_SIZE], back[DIGEST_SIZE];
    char hex[DIGEST_HEX];

    (void)state;
    digest_of("x", 1, bytes);
    digest_to_hex(bytes, hex);
    assert_true(digest_is_hex(hex));
    assert_true(digest_from_hex(back, hex));
    assert_memory_equal(bytes, back, DIGEST_SIZE);
}

static void knows_what_is_no_digest(void **state)
{
    unsigned char out[DIGEST_SIZE] = {7};
    char hex[DIGEST_HEX + 1];

    (void)state;
    memset(hex, 'a', sizeof hex);
    hex[DIGEST_HEX - 1] = '\0';
    assert_true(digest_is_hex(hex));
    hex[DIGEST_HEX - 2] = '\0';
    assert_false(digest_is_hex(hex));
    hex[DIGEST_HEX - 2] = 'A';
    assert_false(digest_is_hex(hex));
    assert_false(digest_from_hex(out, hex));
    assert_int_equal(out[0], 7);
    hex[DIGEST_HEX - 2] = 'a';
    hex[DIGEST_HEX - 1] = 'a';
    hex[DIGEST_HEX] = '\0';
    assert_false(digest_is_hex(hex));
    assert_false(digest_is_hex(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_the_published_vectors),
        cmocka_unit_test(is_the_same_in_pieces),
        cmocka_unit_test(takes_numbers_as_eight_bytes_smallest_first),
        cmocka_unit_test(keeps_texts_in_a_row_apart),
        cmocka_unit_test(goes_to_hex_and_back),
        cmocka_unit_test(knows_what_is_no_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
