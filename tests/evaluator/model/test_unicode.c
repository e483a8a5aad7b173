#include "evaluator/model/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void reads_what_it_writes(void **state)
{
    static const uint32_t codes[] = {0,      0x7F,   0x80,   0x7FF,   0x800,
                                     0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        char bytes[4];
        uint32_t back = 1;
        const size_t n = unicode_put(bytes, codes[i]);

        assert_true(text_is_utf8(bytes, n, NULL));
        assert_int_equal(unicode_next(bytes, n, &back), n);
        assert_int_equal(back, codes[i]);
        assert_int_equal(unicode_last(bytes, n), 0);
        assert_int_equal(unicode_count(bytes, n), 1);
    }
}

static const char *lossy(const char *bytes, size_t n)
{
    static struct text out;

    text_clear(&out);
    unicode_add_lossy(&out, bytes, n);
    assert_true(text_is_utf8(text_get(&out), out.size, NULL));
    return text_get(&out);
}

#define BAD "\xEF\xBF\xBD"

/* Counts of replacements are those of the Unicode Standard's examples, table 3-8 and on. */
static void replaces_each_maximal_part_that_is_invalid(void **state)
{
    (void)state;
    assert_string_equal(lossy("a\xC3\xA9", 3), "a\xC3\xA9");
    assert_string_equal(lossy("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41", 9),
                        BAD BAD BAD BAD BAD BAD BAD BAD "A");
    assert_string_equal(lossy("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41", 9),
                        BAD BAD BAD BAD BAD BAD BAD BAD "A");
    assert_string_equal(lossy("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", 9),
                        BAD BAD BAD BAD BAD "A" BAD BAD "B");
    assert_string_equal(lossy("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 9), BAD BAD BAD BAD "A");
    assert_string_equal(lossy("\xF0\x9F\x98", 3), BAD);
}

static void tells_spaces_numbers_and_words(void **state)
{
    (void)state;
    assert_true(unicode_is_space(0x3000) && !unicode_is_space(0x180E) && !unicode_is_space(0x1C));
    assert_true(unicode_is_python_space(0x1C) && unicode_is_python_space(' '));
    assert_true(unicode_is_numeric('7') && unicode_is_numeric(0xBD) && unicode_is_numeric(0x2167));
    assert_false(unicode_is_numeric('a'));
    assert_true(unicode_is_word('_') && unicode_is_word(0x301) && unicode_is_word(0x24B6));
    assert_true(unicode_is_word(0x200D) && unicode_is_word(0x4E00));
    assert_true(unicode_is_punctuation('$') && unicode_is_punctuation('_') &&
                unicode_is_punctuation(0x2019) && unicode_is_punctuation(0x3002));
    assert_false(unicode_is_punctuation(0x20AC) || unicode_is_punctuation('a') ||
                 unicode_is_punctuation(' '));
    assert_false(unicode_is_word('-') || unicode_is_word(0xBD) || unicode_is_word(' '));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(replaces_each_maximal_part_that_is_invalid),
        cmocka_unit_test(tells_spaces_numbers_and_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
