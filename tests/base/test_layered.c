#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/layered.h"
#include "base/mem.h"
#include "tests/support/support.h"

static void make(const char *folder, const char *name)
{
    char *path = file_join(folder, name);

    assert_int_equal(file_make_dirs(path, NULL), 0);
    free(path);
}

static void splits_at_the_plus_behind_a_folder(void **state)
{
    char *folder = support_temp_dir();
    static const char *const cases[][2] = {
        {"a", NULL},    {"none", NULL},    {"none+b", NULL},
        {"a+b", "+b"},  {"a+x+y", "+x+y"}, {"c+d", NULL}, /* a folder with a plus in its name */
        {"c+d+e", "+e"}};

    (void)state;
    make(folder, "a");
    make(folder, "c+d");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *path = file_join(folder, cases[i][0]);
        const char *plus = layered_plus(path);

        assert_int_equal(plus == NULL, cases[i][1] == NULL);
        assert_true(plus == NULL || strcmp(plus, cases[i][1]) == 0);
        free(path);
    }
    support_remove_dir(folder);
}

static void resolves_both_sides(void **state)
{
    char *folder = support_temp_dir();
    char *b = file_join(folder, "b");
    char *want = mem_printf("%s/a+%s/b", folder, folder);
    char *mixed = mem_printf("a+%s", b);
    char *made = NULL;
    struct err err = {0};

    (void)state;
    make(folder, "a");
    char *resolved = layered_resolve(folder, "a+b");
    assert_string_equal(resolved, want);
    assert_int_equal(layered_absolute(&made, resolved, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "/b: "));
    free(resolved);
    resolved = layered_resolve(folder, mixed);
    assert_string_equal(resolved, want);
    make(folder, "b");
    assert_int_equal(layered_absolute(&made, resolved, &err), 0);
    assert_non_null(strstr(made, "/a+/"));
    free(made);
    assert_int_equal(layered_absolute(&made, b, &err), 0);
    assert_null(strchr(made, '+'));
    free(made);
    free(resolved);
    resolved = layered_resolve(folder, "x+y");
    assert_null(strstr(resolved, "+/"));
    free(resolved);
    free(mixed);
    free(want);
    free(b);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_at_the_plus_behind_a_folder),
        cmocka_unit_test(resolves_both_sides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
