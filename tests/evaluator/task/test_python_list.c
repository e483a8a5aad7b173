#include "evaluator/task/python_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

/* The items with a bar behind each, or "no". */
static void check(const char *text, const char *wanted)
{
    struct strings items = {0};
    struct text joined = {0};

    if (!python_list_read(&items, text)) {
        text_add(&joined, "no");
    }
    for (size_t i = 0; i < items.n; i++) {
        text_printf(&joined, "%s|", items.all[i]);
    }
    assert_string_equal(text_get(&joined), wanted);
    text_release(&joined);
    strings_release(&items);
}

static void takes_numbers_as_they_stand(void **state)
{
    (void)state;
    check("[0, 2]", "0|2|");
    check("[-100]", "-100|");
    check("[1.5, True, None]", "1.5|True|None|");
}

static void takes_texts_out_of_their_quotes(void **state)
{
    (void)state;
    check("['a', 'b c']", "a|b c|");
    check("[\"it's\", 'say \"no\"']", "it's|say \"no\"|");
    check("['a, b', '[c]', '']", "a, b|[c]||");
    check("['\\'\"\\\\\\n\\t', '\\xe9\\u65e5\\U0001f600']", "'\"\\\n\t|é日😀|");
}

static void takes_nothing_else(void **state)
{
    (void)state;
    check("", "no");
    check("a", "no");
    check("[]", "no");
    check("[a", "no");
    check("['a", "no");
    check("['a'", "no");
    check("['a'] ", "no");
    check("['a','b']", "no");
    check("['a', ]", "no");
    check("[['a'], 'b']", "no");
    check("['\\q']", "no");
    check("['\\x4']", "no");
    check("['\\ud800']", "no");
    check("['\\x00']", "no");
    check("['\\", "no");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_numbers_as_they_stand),
        cmocka_unit_test(takes_texts_out_of_their_quotes),
        cmocka_unit_test(takes_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
