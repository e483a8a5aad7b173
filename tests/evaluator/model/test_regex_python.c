/*
 * Patterns of Python's re. What is expected is what CPython 3.11 gives: every match of re.finditer
 * with its groups.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "evaluator/model/regex.h"

static const struct {
    const char *pattern, *text;
    const char *found; /* match/group/group|match/..; a group that took no part is - */
} cases[] = {
    {"#### (\\-?[0-9\\.\\,]+)", "so\012#### 1,234.50 or #### -7",
     "#### 1,234.50/1,234.50|#### -7/-7"},
    {"(-?[$0-9.,]{2,})|(-?[0-9]+)", "He has $1,200.50 and 3 apples, -12.",
     "$1,200.50/$1,200.50/-|3/-/3|-12./-12./-"},
    {"a*", "baac", "|aa||"},
    {"", "ab", "||"},
    {"\\b", "a bc", "|||"},
    {"\\bw?", "\303\251 w_1 w\303\251", "||w||w|"},
    {"x{,2}", "xxxxx", "xx|xx|x|"},
    {"x{,}y", "xxy y", "xxy|y"},
    {"x{1,}", "xx{1,}", "xx"},
    {"x{}", "x{}", "x{}"},
    {"x{a}", "x{a}", "x{a}"},
    {"q{2}", "qqq", "qq"},
    {"(?s).*#### ", "a\012b#### 72", "a\012b#### "},
    {".*#### ", "a\012b#### 72", "b#### "},
    {"\\.$", "12.\012", "."},
    {"\\.\\Z", "12.\012", ""},
    {"(?i)answer: (\\w+)", "ANSWER: Gr\303\266\303\237e answer: b2",
     "ANSWER: Gr\303\266\303\237e/Gr\303\266\303\237e|answer: b2/b2"},
    {"(?i:a)B", "aB AB ab", "aB|AB"},
    {"(?m)^(\\d+)$", "1\01222\012x3", "1/1|22/22"},
    {"[\\s\\S]+", "a\302\240b\012", "a\302\240b\012"},
    {"\\s+", "a\034\343\200\200b\341\240\216c\342\200\250", "\034\343\200\200|\342\200\250"},
    {"[^\\s]+", "a\034b c", "a|b|c"},
    {"\\w+", "a\314\201b \302\262x _\342\205\247\346\227\245\346\234\254",
     "a|b|\302\262x|_\342\205\247\346\227\245\346\234\254"},
    {"\\d+", "12\331\243 \302\262", "12\331\243"},
    {"[[:alpha:]]", "a:] [p", ":]"},
    {"[]a]+", "]a]b", "]a]"},
    {"[^]a]+", "]a]bc", "bc"},
    {"(a)|(b)", "ab", "a/a/-|b/-/b"},
    {"(a)(b)?", "aab", "a/a/-|ab/a/b"},
    {"(?P<n>a)(?P=n)", "aab", "aa/a"},
    {"(a)\\1", "aab", "aa/a"},
    {"(?<=\\$)\\d+", "$5 6 $77", "5|77"},
    {"(?<!\\$)\\b\\d+", "$5 6 $77", "6"},
    {"a(?#no)b", "ab", "ab"},
    {"(?#a[)b", "ab", "b"},
    {"\\x41\\u0042\\t", "AB\011", "AB\011"},
    {"[\\x41-\\x43]+", "ABCD", "ABC"},
    {"a\\vb", "a\013b", "a\013b"},
    {"\\bThe (?:best )?answer is \\(?([A-J])\\)?", "The best answer is (C). The answer is D",
     "The best answer is (C)/C|The answer is D/D"},
    {"[\\b]", "a\010", "\010"},
    {"\\B.", "ab c", "b"},
    {"\\A\\w", "ab", "a"},
    {"a|ab", "ab", "a"},
    {"(?>a+)b", "aab", "aab"},
    {"\\-\\#\\ ", "-# ", "-# "},
    {"\\\303\251", "\303\251", "\303\251"},
    {"\\U0001F600", "x\360\237\230\200", "\360\237\230\200"},
    {"(\\d)(?(1)x|y)", "1x2y", "1x/1"},
};

static void add_match(struct text *out, const struct regex *regex, const char *text)
{
    for (size_t g = 0; g <= regex_groups(regex); g++) {
        size_t begin = 0;
        size_t end = 0;

        text_add(out, g > 0 ? "/" : "");
        if (regex_group(regex, g, &begin, &end)) {
            text_add_n(out, text + begin, end - begin);
        } else {
            text_add(out, "-");
        }
    }
}

static void finds_what_python_finds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct regex *regex = NULL;
        struct regex_place place = {0};
        struct text all = {0};
        struct err err = {0};
        bool found = true;

        if (regex_compile_python(&regex, cases[i].pattern, &err) != 0) {
            fail_msg("%s: %s", cases[i].pattern, err.text);
        }
        for (size_t n = 0; found; n++) {
            assert_int_equal(
                regex_walk(regex, cases[i].text, strlen(cases[i].text), &place, &found, &err), 0);
            if (found) {
                text_add(&all, n > 0 ? "|" : "");
                add_match(&all, regex, cases[i].text);
            }
        }
        if (strcmp(text_get(&all), cases[i].found) != 0) {
            fail_msg("%s in %s: %s, expected %s", cases[i].pattern, cases[i].text, text_get(&all),
                     cases[i].found);
        }
        text_release(&all);
        regex_free(regex);
    }
}

static void refuses_what_python_does_not_have_or_means_otherwise(void **state)
{
    static const char *const patterns[] = {
        "\\K",     "\\h",   "\\R",     "\\p{L}",  "\\Qa\\E", "\\G",   "\\X",    "\\N",
        "\\z",     "\\e",   "\\x4",    "\\u12",   "\\0",     "\\012", "\\123",  "a\\",
        "(?R)",    "(?1)",  "(?|a)",   "(?<n>a)", "(*FAIL)", "(?&n)", "a(?i)b", "(?x)a b",
        "(?a)\\w", "(?L)a", "(?P>n)",  "(?'n'a)", "(a",      "a)",    "[a",     "[\\B]",
        "*a",      "(?C1)", "(?i-m)a", "[\\1]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct regex *regex = NULL;
        struct err err = {0};

        if (regex_compile_python(&regex, patterns[i], &err) == 0) {
            fail_msg("%s was accepted", patterns[i]);
        }
        assert_int_equal(err.code, ERR_FORMAT);
        assert_non_null(strstr(err.text, "regular expression"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_python_finds),
        cmocka_unit_test(refuses_what_python_does_not_have_or_means_otherwise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
