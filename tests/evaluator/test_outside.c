#include "evaluator/outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/export.h"
#include "tests/evaluator/kitchen.h"
#include "tests/support/support.h"

/* A kitchen with a plan, and a place for what memory does not hold. */
struct yard {
    struct kitchen kitchen;
    struct outside outside;
    char *scratch;
};

static int set_up(void **state)
{
    struct yard *yard = mem_array(1, sizeof *yard);

    kitchen_open(&yard->kitchen, kitchen_brains);
    kitchen_plan(&yard->kitchen, "ties", RECIPE_BFLOAT16);
    yard->scratch = support_temp_dir();
    yard->outside = (struct outside){.scratch = yard->scratch, .memory = 1};
    unsetenv("TMPDIR");
    *state = yard;
    return 0;
}

static int tear_down(void **state)
{
    struct yard *yard = *state;

    outside_clear(&yard->outside);
    kitchen_close(&yard->kitchen);
    support_remove_dir(yard->scratch);
    free(yard);
    return 0;
}

static void write_it(struct yard *yard)
{
    struct err err = {0};

    if (outside_write(&yard->outside, &yard->kitchen.plan, "", &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static bool is_under(const char *path, const char *folder)
{
    return strncmp(path, folder, strlen(folder)) == 0;
}

static void assert_same_file(const char *one, const char *other, const char *name)
{
    char *paths[] = {file_join(one, name), file_join(other, name)};
    struct file_bytes bytes[2] = {0};

    for (int i = 0; i < 2; i++) {
        assert_int_equal(file_read(&bytes[i], paths[i], 1 << 24, NULL), 0);
        free(paths[i]);
    }
    assert_int_equal(bytes[0].size, bytes[1].size);
    assert_memory_equal(bytes[0].data, bytes[1].data, bytes[0].size);
    file_release(&bytes[0]);
    file_release(&bytes[1]);
}

static void a_candidate_is_what_export_writes_to_the_same_digest(void **state)
{
    struct yard *yard = *state;
    char *folder = file_join(yard->scratch, "exported");
    char weights[DIGEST_HEX];

    write_it(yard);
    assert_int_equal(export_write(&yard->kitchen.plan, folder, NULL, 0, 0, NULL, weights, NULL), 0);
    assert_string_equal(yard->outside.weights, weights);
    assert_same_file(yard->outside.model, folder, "model.safetensors");
    assert_same_file(yard->outside.model, folder, "config.json");
    assert_same_file(yard->outside.model, folder, "tokenizer.json");
    free(folder);
}

static void what_does_not_fit_memory_is_written_to_the_disk(void **state)
{
    struct yard *yard = *state;

    assert_false(outside_in_memory(&yard->outside, 2));
    write_it(yard);
    assert_true(is_under(yard->outside.model, yard->scratch));
    yard->outside.memory = 0;
    if (outside_in_memory(&yard->outside, plan_bytes(&yard->kitchen.plan))) {
        write_it(yard);
        assert_true(is_under(yard->outside.model, folder_in_memory()));
    }
}

static void nothing_stays_when_it_is_cleared_or_when_writing_fails(void **state)
{
    struct yard *yard = *state;
    char other[DIGEST_HEX];
    struct err err = {0};

    write_it(yard);
    char *path = mem_text(yard->outside.folder.path);

    assert_true(file_exists(path));
    outside_clear(&yard->outside);
    assert_false(file_exists(path));
    free(path);
    memset(other, 'a', DIGEST_HEX - 1);
    other[DIGEST_HEX - 1] = '\0';
    assert_int_equal(outside_write(&yard->outside, &yard->kitchen.plan, other, &err), ERR_CONFLICT);
    assert_null(yard->outside.model);
    yard->outside.scratch = "/no/such/place";
    assert_int_equal(outside_write(&yard->outside, &yard->kitchen.plan, "", &err), ERR_IO);
    assert_non_null(strstr(err.text, "/no/such/place"));
}

/* A task whose program is that line of shell, its score the last line. */
static int run_line(struct yard *yard, const char *line, struct score_task *out)
{
    json_t *config = json_pack("{s:s, s:s, s:[s, s, s]}", "task", "t", "output_type", "command",
                               "command", "sh", "-c", line);
    struct program_call call = {.candidate = "abc", .split = "all"};
    struct program program = {0};
    enum score_failure failure;
    struct err err = {0};
    int rc = program_parse(&program, config, "/", &err);

    json_decref(config);
    if (rc == 0) {
        rc = outside_run(&yard->outside, &program, &call, out, &failure, &err);
    }
    program_release(&program);
    return rc;
}

static void each_program_finds_the_candidate_and_an_empty_folder(void **state)
{
    static const char line[] = "test -s \"$BRAID_MODEL_DIR/model.safetensors\" && "
                               "test -d \"$BRAID_OUT_DIR\" && "
                               "test -z \"$(ls \"$BRAID_OUT_DIR\")\" && "
                               "echo left > \"$BRAID_OUT_DIR/results.json\" && "
                               "echo '{\"score\": 1}'";
    struct yard *yard = *state;

    write_it(yard);
    for (int i = 0; i < 2; i++) {
        struct score_task score = {0};

        assert_int_equal(run_line(yard, line, &score), 0);
        assert_true(score.values[0] == 1.0);
        score_task_release(&score);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_candidate_is_what_export_writes_to_the_same_digest),
        TEST(what_does_not_fit_memory_is_written_to_the_disk),
        TEST(nothing_stays_when_it_is_cleared_or_when_writing_fails),
        TEST(each_program_finds_the_candidate_and_an_empty_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
