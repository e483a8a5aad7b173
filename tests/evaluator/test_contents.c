#include "evaluator/contents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void key_of(uint64_t i, unsigned char out[DIGEST_SIZE])
{
    digest_of(&i, sizeof i, out);
}

static void add(struct contents *contents, uint64_t i)
{
    unsigned char key[DIGEST_SIZE];
    unsigned char content[DIGEST_SIZE];

    key_of(i, key);
    key_of(~i, content);
    contents_add(contents, key, content);
}

static int has(const struct contents *contents, uint64_t i)
{
    unsigned char key[DIGEST_SIZE];
    unsigned char content[DIGEST_SIZE];

    key_of(i, key);
    key_of(~i, content);
    const unsigned char *found = contents_find(contents, key);
    return found != NULL && memcmp(found, content, DIGEST_SIZE) == 0;
}

static void finds_what_was_added_however_much_it_is(void **state)
{
    struct contents *contents = contents_new();

    (void)state;
    for (uint64_t i = 0; i < 5000; i++) {
        assert_false(has(contents, i));
        add(contents, i);
        assert_true(has(contents, i));
    }
    contents_trim(contents); /* not too much yet */
    for (uint64_t i = 0; i < 5000; i++) {
        assert_true(has(contents, i));
    }
    assert_null(contents_find(contents, (const unsigned char[DIGEST_SIZE]){0}));
    contents_free(contents);
}

static void forgets_between_candidates_when_it_is_too_much(void **state)
{
    struct contents *contents = contents_new();

    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        add(contents, i);
    }
    assert_true(has(contents, 0) && has(contents, 19999));
    contents_trim(contents);
    assert_false(has(contents, 0) || has(contents, 19999));
    add(contents, 0);
    assert_true(has(contents, 0));
    contents_free(contents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_added_however_much_it_is),
        cmocka_unit_test(forgets_between_candidates_when_it_is_too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
