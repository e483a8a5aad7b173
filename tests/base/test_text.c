#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"

static void is_empty_when_all_zero(void **state)
{
    struct text text = {0};

    (void)state;
    assert_string_equal(text_get(&text), "");
    char *taken = text_take(&text);
    assert_string_equal(taken, "");
    free(taken);
    text_clear(&text);
    text_release(&text);
}

static void grows_with_what_is_added(void **state)
{
    struct text text = {0};

    (void)state;
    for (int i = 0; i < 1000; i++) {
        text_add(&text, "ab");
        text_add_n(&text, "cde", 1);
        text_add_char(&text, 'd');
        text_printf(&text, "%d", i % 10);
    }
    assert_int_equal(text.size, 5000);
    assert_int_equal(strlen(text_get(&text)), 5000);
    assert_memory_equal(text_get(&text), "abcd0abcd1", 10);
    text_release(&text);
}

static void prints_more_than_it_has_room_for(void **state)
{
    struct text text = {0};
    char long_word[5000];

    (void)state;
    memset(long_word, 'w', sizeof long_word);
    long_word[sizeof long_word - 1] = '\0';
    text_printf(&text, "<%s>", long_word);
    assert_int_equal(text.size, sizeof long_word + 1);
    assert_int_equal(text.data[text.size - 1], '>');
    text_release(&text);
}

static void holds_zero_bytes(void **state)
{
    struct text text = {0};

    (void)state;
    text_add_n(&text, "a\0b", 3);
    assert_int_equal(text.size, 3);
    assert_memory_equal(text_get(&text), "a\0b", 4);
    text_release(&text);
}

static void hands_its_buffer_over(void **state)
{
    struct text text = {0};

    (void)state;
    text_add(&text, "mine");
    char *taken = text_take(&text);
    assert_string_equal(taken, "mine");
    assert_string_equal(text_get(&text), "");
    text_add(&text, "new");
    assert_string_equal(text_get(&text), "new");
    text_clear(&text);
    assert_string_equal(text_get(&text), "");
    assert_string_equal(taken, "mine");
    free(taken);
    text_release(&text);
}

static void assert_double(double value, const char *plain, const char *dotted)
{
    struct text text = {0};

    text_add_double(&text, value, false);
    assert_string_equal(text_get(&text), plain);
    text_clear(&text);
    text_add_double(&text, value, true);
    assert_string_equal(text_get(&text), dotted);
    text_release(&text);
}

static void prints_a_double_as_the_shortest_that_reads_back(void **state)
{
    (void)state;
    assert_double(0.5, "0.5", "0.5");
    assert_double(1.0, "1", "1.0");
    assert_double(-0.0, "-0", "-0.0");
    assert_double(0.1, "0.1", "0.1");
    assert_double(1e-5, "1e-05", "1.0e-05");
    assert_double(1.5e300, "1.5e+300", "1.5e+300");
    assert_double(1e22, "1e+22", "1.0e+22");
    assert_double(0.1 + 0.2, "0.30000000000000004", "0.30000000000000004");
    assert_double(2.0 / 3.0, "0.6666666666666666", "0.6666666666666666");
    assert_double(9007199254740992.0, "9007199254740992", "9007199254740992.0");
    assert_double(DBL_MAX, "1.7976931348623157e+308", "1.7976931348623157e+308");
    assert_double(DBL_MIN, "2.2250738585072014e-308", "2.2250738585072014e-308");
    assert_double(DBL_TRUE_MIN, "5e-324", "5.0e-324");
    assert_double(3e-320, "3e-320", "3.0e-320");
}

static void reads_back_any_double(void **state)
{
    struct text text = {0};
    struct rng64 rng;

    (void)state;
    rng64_seed(&rng, 1, 2);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng64_next(&rng);
        double value;

        memcpy(&value, &bits, sizeof value);
        if ((bits >> 52 & 0x7FF) == 0x7FF) {
            continue; /* infinity or NaN */
        }
        text_clear(&text);
        text_add_double(&text, value, true);
        assert_true(strtod(text_get(&text), NULL) == value);
        assert_non_null(strchr(text_get(&text), '.'));
    }
    text_release(&text);
}

static void counts_edits_between_words(void **state)
{
    (void)state;
    assert_int_equal(text_distance("", ""), 0);
    assert_int_equal(text_distance("", "abc"), 3);
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("density", "densty"), 1);
    assert_int_equal(text_distance("weight", "weight"), 0);
}

static void looks_at_64_bytes_of_long_words(void **state)
{
    char a[100], b[100];

    (void)state;
    memset(a, 'a', 99);
    memset(b, 'a', 99);
    a[99] = b[99] = '\0';
    b[80] = 'x';
    assert_int_equal(text_distance(a, b), 0);
    b[10] = 'x';
    assert_int_equal(text_distance(a, b), 1);
}

static void finds_the_name_that_was_meant(void **state)
{
    const char *const names[] = {"weight", "density", "normalize", "lambda"};

    (void)state;
    assert_string_equal(text_nearest("wieght", names, 4), "weight");
    assert_string_equal(text_nearest("density", names, 4), "density");
    assert_string_equal(text_nearest("normalise", names, 4), "normalize");
    assert_null(text_nearest("normalisation", names, 4));
    assert_null(text_nearest("temperature", names, 4));
    assert_null(text_nearest("weight", names, 0));
}

static void assert_utf8(const char *bytes, size_t n, size_t bad_at)
{
    size_t at = SIZE_MAX;

    assert_int_equal(text_is_utf8(bytes, n, &at), bad_at == SIZE_MAX);
    assert_true(at == bad_at);
    assert_int_equal(text_is_utf8(bytes, n, NULL), bad_at == SIZE_MAX);
}

static void knows_well_formed_utf8(void **state)
{
    (void)state;
    assert_utf8("", 0, SIZE_MAX);
    assert_utf8("a\0b", 3, SIZE_MAX);
    assert_utf8("\u00e9\u0800\uffff\U00010000\U0010ffff", 16, SIZE_MAX);
    assert_utf8("\xed\x9f\xbf\xee\x80\x80", 6, SIZE_MAX); /* around the surrogates */
}

static void says_where_utf8_breaks(void **state)
{
    (void)state;
    assert_utf8("ab\xff", 3, 2);
    assert_utf8("ab\x80", 3, 2);
    assert_utf8("\xc0\x80", 2, 0); /* overlong */
    assert_utf8("\xc1\xbf", 2, 0);
    assert_utf8("\xe0\x9f\xbf", 3, 0);
    assert_utf8("\xf0\x8f\xbf\xbf", 4, 0);
    assert_utf8("\xed\xa0\x80", 3, 0); /* a surrogate */
    assert_utf8("\xed\xbf\xbf", 3, 0);
    assert_utf8("\xf4\x90\x80\x80", 4, 0); /* above U+10FFFF */
    assert_utf8("\xf5\x80\x80\x80", 4, 0);
    assert_utf8("a\xe2\x82", 3, 1); /* cut short */
    assert_utf8("a\xe2\x82\xac\xe2(\x82", 7, 4);
}

static void assert_base64(const char *bytes, size_t n, const char *coded)
{
    struct text text = {0};
    char back[64];

    text_add_base64(&text, bytes, n);
    assert_string_equal(text_get(&text), coded);
    assert_int_equal(text_from_base64(back, coded, strlen(coded)), n);
    assert_memory_equal(back, bytes, n);
    text_release(&text);
}

static void codes_base64_both_ways(void **state)
{
    (void)state;
    assert_base64("", 0, ""); /* RFC 4648, section 10 */
    assert_base64("f", 1, "Zg==");
    assert_base64("fo", 2, "Zm8=");
    assert_base64("foo", 3, "Zm9v");
    assert_base64("foob", 4, "Zm9vYg==");
    assert_base64("fooba", 5, "Zm9vYmE=");
    assert_base64("foobar", 6, "Zm9vYmFy");
    assert_base64("\xfb\xff\xfe\0", 4, "+//+AA==");
}

static void refuses_malformed_base64(void **state)
{
    const char *const bad[] = {"Z",    "Zg",   "Zg=",  "Zg=a",     "Z===",      "====",
                               "Zh==", "Zm9=", "Zm 9", "Zg==Zg==", "Zm9v\nZ==", "Zm-v"};
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_true(text_from_base64(out, bad[i], strlen(bad[i])) == SIZE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_empty_when_all_zero),
        cmocka_unit_test(grows_with_what_is_added),
        cmocka_unit_test(prints_more_than_it_has_room_for),
        cmocka_unit_test(holds_zero_bytes),
        cmocka_unit_test(hands_its_buffer_over),
        cmocka_unit_test(prints_a_double_as_the_shortest_that_reads_back),
        cmocka_unit_test(reads_back_any_double),
        cmocka_unit_test(counts_edits_between_words),
        cmocka_unit_test(looks_at_64_bytes_of_long_words),
        cmocka_unit_test(finds_the_name_that_was_meant),
        cmocka_unit_test(knows_well_formed_utf8),
        cmocka_unit_test(says_where_utf8_breaks),
        cmocka_unit_test(codes_base64_both_ways),
        cmocka_unit_test(refuses_malformed_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
