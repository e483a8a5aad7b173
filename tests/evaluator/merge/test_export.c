#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/blend.h"
#include "evaluator/merge/export.h"
#include "tests/evaluator/tiny_model.h"
#include "tests/support/support.h"

struct kitchen {
    char *folder;
    struct checkpoint *models[3]; /* base, a, b */
    char digests[3][DIGEST_HEX];
    struct recipe recipe;
    struct plan plan;
};

static void open_kitchen(struct kitchen *kitchen, const struct tiny_model models[3],
                         const char *method_name)
{
    static const char *const names[] = {"base", "a", "b"};
    struct plan_model named[3];
    const struct method *method;
    struct err err = {0};

    *kitchen = (struct kitchen){.folder = support_temp_dir()};
    for (size_t i = 0; i < 3; i++) {
        char *path = tiny_model_write(kitchen->folder, names[i], &models[i]);

        assert_int_equal(checkpoint_open(&kitchen->models[i], path, NULL), 0);
        assert_int_equal(checkpoint_digest(kitchen->models[i], kitchen->digests[i], NULL), 0);
        named[i] = (struct plan_model){kitchen->digests[i], kitchen->models[i]};
        free(path);
    }
    const char *const sources[] = {kitchen->digests[1], kitchen->digests[2]};
    assert_int_equal(method_find(&method, method_name, NULL), 0);
    recipe_init(&kitchen->recipe, method, RECIPE_BFLOAT16, 7, TINY_LAYERS, sources, 2,
                method->needs_base ? kitchen->digests[0] : NULL);
    if (plan_make(&kitchen->plan, &kitchen->recipe, named, 3, &err) != 0) {
        fail_msg("%s", err.text);
    }
}

static void close_kitchen(struct kitchen *kitchen)
{
    plan_release(&kitchen->plan);
    recipe_release(&kitchen->recipe);
    for (size_t i = 0; i < 3; i++) {
        checkpoint_close(kitchen->models[i]);
    }
    support_remove_dir(kitchen->folder);
}

static const struct tiny_model three[3] = {{.dtype = DTYPE_BF16, .seed = 1},
                                           {.dtype = DTYPE_BF16, .seed = 2},
                                           {.dtype = DTYPE_BF16, .seed = 3}};

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

        open_kitchen(&kitchen, three, methods[m]);
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
        close_kitchen(&kitchen);
    }
}

static void writes_shards_that_read_as_one(void **state)
{
    struct kitchen kitchen;
    struct checkpoint *exported = NULL;
    char measured[DIGEST_HEX];
    char read[DIGEST_HEX];

    (void)state;
    open_kitchen(&kitchen, three, "linear");
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
    close_kitchen(&kitchen);
}

static void writes_the_type_into_the_config(void **state)
{
    const struct tiny_model floats[3] = {{.seed = 1}, {.seed = 2}, {.seed = 3}};
    struct kitchen kitchen;
    char weights[DIGEST_HEX];

    (void)state;
    open_kitchen(&kitchen, floats, "linear");
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, NULL), 0);
    assert_holds(out, "config.json", "\"torch_dtype\": \"bfloat16\"");
    free(out);
    close_kitchen(&kitchen);
}

static void unties_when_a_source_has_a_head_of_its_own(void **state)
{
    const struct tiny_model models[3] = {
        {.seed = 1, .tied = 1}, {.seed = 2, .tied = 1}, {.seed = 3}};
    struct kitchen kitchen;
    struct checkpoint *exported = NULL;
    char weights[DIGEST_HEX];

    (void)state;
    open_kitchen(&kitchen, models, "task_arithmetic");
    assert_false(kitchen.plan.config.tied);
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, NULL), 0);
    assert_holds(out, "config.json", "\"tie_word_embeddings\": false");
    assert_int_equal(checkpoint_open(&exported, out, NULL), 0);
    assert_non_null(checkpoint_role(exported, TENSOR_HEAD, 0));
    checkpoint_close(exported);
    free(out);
    close_kitchen(&kitchen);
}

static void touches_nothing_that_exists(void **state)
{
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    open_kitchen(&kitchen, three, "linear");
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(file_make_dirs(out, NULL), 0);
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "out: exists already"));
    assert_int_equal(count_entries(out), 0);
    free(out);
    close_kitchen(&kitchen);
}

static void leaves_nothing_when_the_weights_are_not_those_measured(void **state)
{
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    char other[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    open_kitchen(&kitchen, three, "linear");
    char *out = file_join(kitchen.folder, "out");
    digest_hex_of("x", 1, other);
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, other, weights, &err),
                     ERR_CONFLICT);
    assert_non_null(strstr(err.text, "has a source changed?"));
    assert_int_equal(count_entries(kitchen.folder), 3);
    free(out);
    close_kitchen(&kitchen);
}

static void leaves_nothing_when_a_source_is_not_finite(void **state)
{
    const struct tiny_model models[3] = {
        {.seed = 1}, {.seed = 2, .with_nan = "model.norm.weight"}, {.seed = 3}};
    struct kitchen kitchen;
    char weights[DIGEST_HEX];
    struct err err = {0};

    (void)state;
    open_kitchen(&kitchen, models, "linear");
    char *out = file_join(kitchen.folder, "out");
    assert_int_equal(export_write(&kitchen.plan, out, NULL, 0, 0, NULL, weights, &err),
                     ERR_NUMERIC);
    assert_int_equal(count_entries(kitchen.folder), 3);
    free(out);
    close_kitchen(&kitchen);
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
