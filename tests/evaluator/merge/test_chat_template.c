#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/file.h"
#include "evaluator/merge/chat_template.h"
#include "tests/evaluator/tiny_model.h"
#include "tests/support/support.h"

#define MODELS 4

/* Models whose templates are x, y, x again, and none. */
struct fixture {
    char *folder;
    struct checkpoint *opened[MODELS];
};

static void open_models(struct fixture *out)
{
    static const char *const names[MODELS] = {"a", "b", "c", "d"};

    *out = (struct fixture){.folder = support_temp_dir()};
    for (size_t m = 0; m < MODELS; m++) {
        char *path = tiny_model_write(out->folder, names[m], &(struct tiny_model){.seed = m});

        if (m == 0) {
            support_write(path, "tokenizer_config.json", "{\"chat_template\":\"{{ x }}\"}");
        } else if (m == 1) {
            support_write(path, "tokenizer_config.json", "{\"chat_template\":\"{{ y }}\"}");
        } else if (m == 2) {
            support_write(path, "tokenizer_config.json", "{\"chat_template\":\"{{ z }}\"}");
            support_write(path, "chat_template.jinja", "{{ x }}");
        }
        assert_int_equal(checkpoint_open(&out->opened[m], path, NULL), 0);
        free(path);
    }
}

static void close_models(struct fixture *fixture)
{
    for (size_t m = 0; m < MODELS; m++) {
        checkpoint_close(fixture->opened[m]);
    }
    support_remove_dir(fixture->folder);
}

static void assert_chosen(const struct fixture *fixture, const char *wanted, size_t first, size_t n,
                          const char *expected, const char *warning)
{
    const struct checkpoint *const *models =
        (const struct checkpoint *const *)(void *)(fixture->opened + first);
    struct text made = {0};
    struct text warnings = {0};

    assert_int_equal(chat_template_choose(&made, wanted, models, n, &warnings, NULL), 0);
    assert_string_equal(text_get(&made), expected);
    assert_string_equal(text_get(&warnings), warning);
    text_release(&made);
    text_release(&warnings);
}

static void auto_takes_the_most_frequent_one(void **state)
{
    struct fixture fixture;

    (void)state;
    open_models(&fixture);
    assert_chosen(&fixture, "auto", 0, 4, "{{ x }}", "");
    assert_chosen(&fixture, "auto", 1, 3, "{{ y }}", ""); /* the first of two */
    assert_chosen(&fixture, "auto", 3, 1, "",
                  "chat_template: auto, but no model has one; none is written\n");
    close_models(&fixture);
}

static void names_and_texts_are_told_apart(void **state)
{
    static const char *const names[] = {"alpaca", "chatml", "exaone", "llama3", "mistral"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct text made = {0};

        assert_int_equal(chat_template_choose(&made, names[i], NULL, 0, NULL, NULL), 0);
        assert_non_null(strstr(text_get(&made), "{% for message in messages %}"));
        assert_null(strchr(text_get(&made), '\n'));
        text_release(&made);
    }
    struct text made = {0};
    struct err err = {0};
    assert_int_equal(chat_template_choose(&made, "{{ messages[0].content }}", NULL, 0, NULL, NULL),
                     0);
    assert_string_equal(text_get(&made), "{{ messages[0].content }}");
    text_release(&made);
    assert_int_equal(chat_template_choose(&made, "chatmk", NULL, 0, NULL, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "chat_template: 'chatmk' is neither a name"));
    assert_non_null(strstr(err.text, "did you mean chatml?"));
    assert_int_equal(chat_template_choose(&made, "{{ x }}", NULL, 0, NULL, &err), ERR_FORMAT);
}

static void writes_where_loaders_look(void **state)
{
    char *folder = support_temp_dir();
    char *config_path = file_join(folder, "tokenizer_config.json");
    char *jinja_path = file_join(folder, "chat_template.jinja");
    struct file_bytes bytes = {0};
    json_t *config = NULL;

    (void)state;
    assert_int_equal(chat_template_write(folder, "{{ one }}", NULL), 0);
    assert_false(file_exists(jinja_path));
    support_write(folder, "tokenizer_config.json", "{\"chat_template\":\"old\",\"kept\":1}");
    support_write(folder, "chat_template.jinja", "old");
    assert_int_equal(chat_template_write(folder, "{{ two }}", NULL), 0);
    assert_int_equal(doc_load(&config, config_path, 1000, NULL), 0);
    assert_string_equal(json_string_value(json_object_get(config, "chat_template")), "{{ two }}");
    assert_int_equal(json_integer_value(json_object_get(config, "kept")), 1);
    assert_int_equal(file_read(&bytes, jinja_path, 1000, NULL), 0);
    assert_string_equal(bytes.data, "{{ two }}");
    file_release(&bytes);
    json_decref(config);
    assert_int_equal(chat_template_write(folder, "\xff", NULL), ERR_FORMAT);
    support_write(folder, "tokenizer_config.json", "{");
    assert_int_equal(chat_template_write(folder, "{{ three }}", NULL), ERR_FORMAT);
    free(config_path);
    free(jinja_path);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(auto_takes_the_most_frequent_one),
        cmocka_unit_test(names_and_texts_are_told_apart),
        cmocka_unit_test(writes_where_loaders_look),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
