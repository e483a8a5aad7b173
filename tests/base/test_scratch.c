#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/scratch.h"

static void maps_what_was_added_in_order(void **state)
{
    struct scratch scratch = {0};
    struct file_map map = {0};

    (void)state;
    assert_int_equal(scratch_open(&scratch, NULL), 0);
    assert_int_equal(scratch_add(&scratch, "abc", 3, NULL), 0);
    assert_int_equal(scratch_align(&scratch, 8, NULL), 0);
    assert_int_equal(scratch_align(&scratch, 8, NULL), 0);
    assert_int_equal(scratch.size, 8);
    assert_int_equal(scratch_add(&scratch, "def", 3, NULL), 0);
    assert_int_equal(scratch_map(&scratch, &map, NULL), 0);
    scratch_close(&scratch);
    assert_int_equal(map.size, 11);
    assert_memory_equal(map.data, "abc\0\0\0\0\0def", 11);
    file_unmap(&map);
    scratch_close(&scratch);
}

static void an_empty_one_has_an_empty_map(void **state)
{
    struct scratch scratch = {0};
    struct file_map map = {.size = 1};

    (void)state;
    assert_int_equal(scratch_open(&scratch, NULL), 0);
    assert_int_equal(scratch_map(&scratch, &map, NULL), 0);
    assert_null(map.data);
    assert_int_equal(map.size, 0);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_what_was_added_in_order),
        cmocka_unit_test(an_empty_one_has_an_empty_map),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
