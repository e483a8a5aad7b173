#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/stop.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/export.h"
#include "tests/evaluator/kitchen.h"
#include "tests/support/support.h"

static void measure(const struct kitchen *kitchen, char weights[DIGEST_HEX])
{
    const struct blend_sink nowhere = {0};
    struct blend *blend = blend_new();

    assert_int_equal(blend_run(blend, &kitchen->plan, &nowhere, weights, NULL), 0);
    blend_free(blend);
}

/* How many entries, hidden ones too. */
static size_t count_entries(const char *folder)
{
    DIR *list = opendir(folder);
    size_t n = 0;

    while (readdir(list) != NULL) {
        n++;
    }
    closedir(list);
    return n - 2;
}

static void assert_holds(const char *folder, const char *name, const char *text)
{
    char *path = file_join(folder, name);
    struct file_bytes bytes = {0};

    assert_int_equal(file_read(&bytes, path, 1 << 20, NULL), 0);
    if (strstr(bytes.data, text) == NULL) {
        fail_msg("%s: no '%s' in: %s", name, text, bytes.data);
    }
    file_release(&bytes);
    free(path);
}

static void exports_what_was_measured(void **state)
{
    static const char *const methods[] = {"linear", "task_arithmetic", "ties"};
    const struct export_text texts[] = {{"README.md", "# card\n", 7}, {"search.json", "{}", 2}};

    (void)state;
    for (size_t m = 0; m < 3; m++) {
        struct kitchen kitchen;
        struct checkpoint *exported = NULL;
        char measured[DIGEST_HEX];
        char written[DIGEST_HEX];
        char read[DIGEST_HEX];
        struct err err = {0};

        kitchen_open(&kitchen, kitchen_brains);
        kitchen_plan(&kitchen, methods[m], RECIPE_BFLOAT16);
        char *out = file_join(kitchen.folder, "out");
        measure(&kitchen, measured);
        if (export_write(&kitchen.plan, out, texts, 2, 0, measured, written, &err) != 0) {
            fail_msg("%s", err.text);
        }
        assert_string_equal(written, measured);
        assert_int_equal(checkpoint_open(&exported, out, &err), 0);
        assert_int_equal(checkpoint_weights_digest(exported, read, NULL), 0);
        assert_string_equal(read, measured);
        assert_int_equal(checkpoint_count(exported), kitchen.plan.n_tensors);
        assert_holds(out, "README.md", "# card\n");
        assert_holds(out, "tokenizer.json", "{\"tokens\":[]}\n");
        assert_holds(out, "config.json", "\"unknown\": [");
        assert_int_equal(count_entries(out), 5);
        assert_int_equal(count_entries(kitchen.folder), 4); /* nothing temporary */
        checkpoint_close(exported);
        free(out);
        kitchen_close(&kitchen);
    }
}

static void writes_shards_that_read_as_one(void **state)
{
    struct kitchen kitchen;
    struct checkpoint *exported = NULL;
    char measured[DIGEST_HEX];
    char read[DIGEST_HEX];

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out/"); /* a slash at the end is no other name */
    measure(&kitchen, measured);
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 5000, NULL, read, NULL), 0);
    assert_string_equal(read, measured);
    assert_int_equal(checkpoint_open(&exported, out, NULL), 0);
    assert_int_equal(checkpoint_weights_digest(exported, read, NULL), 0);
    assert_string_equal(read, measured);
    assert_string_not_equal(checkpoint_at(exported, 0)->file, checkpoint_at(exported, 5)->file);
    checkpoint_close(exported);
    free(out);
    kitchen_close(&kitchen);
}

static void writes_the_type_into_the_config(void **state)
{
    struct kitchen kitchen;
    char weights[DIGEST_HEX];

    (void)state;
    kitchen_open(&kitchen, kitchen_floats);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, NULL), 0);
    assert_holds(out, "config.json", "\"torch_dtype\": \"bfloat16\"");
    free(out);
    kitchen_close(&kitchen);
}

static void unties_when_a_source_has_a_head_of_its_own(void **state)
{
    const struct tiny_model models[3] = {
        {.seed = 1, .tied = 1}, {.seed = 2, .tied = 1}, {.seed = 3}};
    struct kitchen kitchen;
    struct checkpoint *exported = NULL;
    char weights[DIGEST_HEX];

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_plan(&kitchen, "task_arithmetic", RECIPE_BFLOAT16);
    assert_false(kitchen.plan.config.tied);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, NULL), 0);
    assert_holds(out, "config.json", "\"tie_word_embeddings\": false");
    assert_int_equal(checkpoint_open(&exported, out, NULL), 0);
    assert_non_null(checkpoint_role(exported, TENSOR_HEAD, 0));
    checkpoint_close(exported);
    free(out);
    kitchen_close(&kitchen);
}

static void touches_nothing_that_exists(void **state)
{
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(file_make_dirs(out, NULL), 0);
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "out: exists already"));
    assert_int_equal(count_entries(out), 0);
    free(out);
    kitchen_close(&kitchen);
}

static void leaves_nothing_when_the_weights_are_not_those_measured(void **state)
{
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    char other[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out");
    digest_hex_of("x", 1, other);
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, other, weights, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "has a source changed?"));
    assert_int_equal(count_entries(kitchen.folder), 3);
    free(out);
    kitchen_close(&kitchen);
}

static void leaves_nothing_when_a_source_is_not_finite(void **state)
{
    const struct tiny_model models[3] = {
        {.seed = 1}, {.seed = 2, .with_nan = "model.norm.weight"}, {.seed = 3}};
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, models);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, &err),
                     ERR_NUMERIC);
    assert_int_equal(count_entries(kitchen.folder), 3);
    free(out);
    kitchen_close(&kitchen);
}

/* A disk that fills up, as far as a process can play it: no file may grow past this. */
static void leaves_nothing_when_the_disk_is_full(void **state)
{
    const struct rlimit small = {.rlim_cur = 20000, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(rc, ERR_IO);
    assert_non_null(strstr(err.text, "model.safetensors: File too large"));
    assert_int_equal(count_entries(kitchen.folder), 3);
    free(out);
    kitchen_close(&kitchen);
}

/* The last test: the flag stays. */
static void leaves_nothing_when_a_signal_stops_it(void **state)
{
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    kitchen_open(&kitchen, kitchen_brains);
    kitchen_plan(&kitchen, "linear", RECIPE_BFLOAT16);
    char *out = file_join(kitchen.folder, "out");
    stop_on_signals();
    raise(SIGTERM);
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, &err),
                     ERR_STOPPED);
    assert_non_null(strstr(err.text, "out: not written: stopped by a signal"));
    assert_int_equal(count_entries(kitchen.folder), 3);
    free(out);
    kitchen_close(&kitchen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exports_what_was_measured),
        cmocka_unit_test(writes_shards_that_read_as_one),
        cmocka_unit_test(writes_the_type_into_the_config),
        cmocka_unit_test(unties_when_a_source_has_a_head_of_its_own),
        cmocka_unit_test(touches_nothing_that_exists),
        cmocka_unit_test(leaves_nothing_when_the_weights_are_not_those_measured),
        cmocka_unit_test(leaves_nothing_when_a_source_is_not_finite),
        cmocka_unit_test(leaves_nothing_when_the_disk_is_full),
        cmocka_unit_test(leaves_nothing_when_a_signal_stops_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
