/* The tokenizer section of mergekit's YAML. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/merge/export.h"
#include "evaluator/merge/mergekit_plan.h"
#include "evaluator/merge/mergekit_recipe.h"
#include "study/yaml.h"
#include "tests/evaluator/lora.h"
#include "tests/evaluator/tiny_model.h"
#include "tests/support/support.h"

#define HEAD "merge_method: linear\nbase_model: base\nmodels: [{model: base}, {model: a}]\n"

static int parse(struct mergekit_recipe *out, const char *head, const char *yaml, struct err *err)
{
    char *text = mem_printf("%s%s", head, yaml);
    json_t *doc = NULL;

    assert_int_equal(yaml_parse(&doc, text, strlen(text), err), 0);
    int rc = mergekit_recipe_parse(out, doc, err);
    json_decref(doc);
    free(text);
    return rc;
}

static struct mergekit_recipe good(const char *yaml)
{
    struct mergekit_recipe recipe = {0};
    struct err err = {0};

    if (parse(&recipe, HEAD, yaml, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_true(recipe.has_vocabulary);
    return recipe;
}

static void sources_are_a_union_a_word_or_a_model(void **state)
{
    struct mergekit_recipe recipe = good("tokenizer: {pad_to_multiple_of: 64}\n");

    (void)state;
    assert_int_equal(recipe.vocabulary.source, VOCABULARY_UNION);
    assert_int_equal(recipe.vocabulary.base, recipe.base);
    assert_int_equal(recipe.vocabulary.pad_to, 64);
    mergekit_recipe_release(&recipe);
    recipe = good("tokenizer_source: base\n");
    assert_int_equal(recipe.vocabulary.source, VOCABULARY_MODEL);
    assert_int_equal(recipe.vocabulary.model, recipe.base);
    mergekit_recipe_release(&recipe);
    recipe = good("tokenizer_source: a\n");
    assert_string_equal(recipe.models[recipe.vocabulary.model].name, "a");
    assert_int_equal(recipe.n_models, 2);
    mergekit_recipe_release(&recipe);
    recipe = good("tokenizer: {source: {model: c}}\n");
    assert_int_equal(recipe.vocabulary.model, 2);
    assert_int_equal(recipe.n_models, 3);
    assert_int_equal(recipe.n_inputs, 2); /* c lends its tokens only */
    mergekit_recipe_release(&recipe);
}

static void tokens_name_rows(void **state)
{
    struct mergekit_recipe recipe =
        good("tokenizer:\n"
             "  source: union\n"
             "  tokens:\n"
             "    w: {source: a, force: true}\n"
             "    x: {source: {kind: model_token, model: a, token: </s>}}\n"
             "    y: {source: {kind: model_token, model: base, token_id: 7}, force: false}\n"
             "    z: {source: {kind: zero}}\n"
             "    v:\n");
    const struct vocabulary_token *tokens = recipe.vocabulary.tokens;

    (void)state;
    assert_int_equal(recipe.vocabulary.n_tokens, 5);
    assert_string_equal(tokens[0].text, "w");
    assert_true(tokens[0].force && tokens[0].row == VOCABULARY_ROW_TOKEN);
    assert_null(tokens[0].token);
    assert_int_equal(tokens[0].model, 1);
    assert_string_equal(tokens[1].token, "</s>");
    assert_true(tokens[2].row == VOCABULARY_ROW_ID && tokens[2].id == 7 && !tokens[2].force);
    assert_int_equal(tokens[2].model, 0);
    assert_int_equal(tokens[3].row, VOCABULARY_ROW_ZERO);
    assert_int_equal(tokens[4].row, VOCABULARY_ROW_USUAL);
    mergekit_recipe_release(&recipe);
}

static void says_what_cannot_be_meant(void **state)
{
    static const char *const cases[][2] = {
        {"tokenizer: {pad_to_multiple_of: 0}", "tokenizer.pad_to_multiple_of: expected a whole"},
        {"tokenizer: {pad_to_multiple_of: x}", "tokenizer.pad_to_multiple_of: expected a whole"},
        {"tokenizer: {source: 7}", "tokenizer.source"},
        {"tokenizer: {tokens: [a]}", "tokenizer.tokens: expected a mapping, got a list"},
        {"tokenizer: {tokens: {w: a}}", "tokenizer.tokens.w: expected a mapping, got a text"},
        {"tokenizer: {tokens: {\"\": {}}}", "tokenizer.tokens: a token without text"},
        {"tokenizer: {tokens: {w: {force: 2}}}", "tokenizer.tokens.w.force: expected true or"},
        {"tokenizer: {tokens: {w: {source: {kind: one}}}}",
         "tokenizer.tokens.w.source.kind: expected model_token or zero, got one"},
        {"tokenizer: {tokens: {w: {source: {kind: model_token, model: a}}}}",
         "tokenizer.tokens.w.source: expected either token or token_id"},
        {"tokenizer: {tokens: {w: {source: {kind: model_token, token: a}}}}",
         "tokenizer.tokens.w.source.model: missing"},
        {"tokenizer: {tokens: {w: {source: {kind: model_token, model: a, token_id: -1}}}}",
         "tokenizer.tokens.w.source.token_id: expected a token's number"},
        {"tokenizer: {tokens: {w: {source: {kind: model_token, model: a, token: 1}}}}",
         "tokenizer.tokens.w.source.token: expected a text"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mergekit_recipe recipe = {0};
        struct err err = {0};

        if (parse(&recipe, HEAD, cases[i][0], &err) != ERR_FORMAT ||
            strstr(err.text, cases[i][1]) == NULL) {
            fail_msg("%s: '%s' does not say '%s'", cases[i][0], err.text, cases[i][1]);
        }
    }
    struct mergekit_recipe recipe = {0};
    struct err err = {0};
    assert_int_equal(parse(&recipe, "merge_method: linear\nmodels: [{model: a}]\n",
                           "tokenizer_source: base\n", &err),
                     ERR_FORMAT);
    assert_non_null(strstr(err.text, "but the recipe has no base_model"));
}

/* ---- carried out ---- */

static void write_model(const char *folder, const char *name, uint32_t rows, const char *ids,
                        const char *tokenizer)
{
    char *path = tiny_model_write(folder, name, &(struct tiny_model){.seed = rows, .vocab = rows});
    char *config_path = file_join(path, "config.json");
    json_t *config = NULL;
    struct text text = {0};

    assert_int_equal(doc_load(&config, config_path, 1 << 20, NULL), 0);
    json_object_set_new(config, "eos_token_id", json_integer(ids[0] - '0'));
    doc_print(&text, config);
    support_write(path, "config.json", text_get(&text));
    support_write(path, "tokenizer.json", tokenizer);
    text_release(&text);
    json_decref(config);
    free(config_path);
    free(path);
}

/* base: a b c.  wide: c a d <x>, ends with 3. */
static char *write_models(void)
{
    char *folder = support_temp_dir();

    write_model(folder, "base", 3, "2", "{\"model\":{\"vocab\":{\"a\":0,\"b\":1,\"c\":2}}}");
    write_model(folder, "wide", 4, "3",
                "{\"added_tokens\":[{\"id\":3,\"content\":\"<x>\",\"special\":true}],"
                "\"model\":{\"vocab\":{\"c\":0,\"a\":1,\"d\":2}}}");
    return folder;
}

/* Merge in folder by a recipe, into folder/out. */
static void merge(const char *folder, const char *yaml)
{
    const struct plan_rules rules = {.strict = true};
    struct mergekit_recipe recipe = {0};
    struct mergekit_models models = {0};
    struct plan plan = {0};
    struct text warnings = {0};
    char weights[DIGEST_HEX];
    struct err err = {0};
    char *out = file_join(folder, "out");

    if (parse(&recipe, "merge_method: linear\n", yaml, &err) != 0 ||
        mergekit_models_open(&models, &recipe, folder, &warnings, &err) != 0 ||
        mergekit_plan_make(&plan, &recipe, &models, &rules, 0, &warnings, &err) != 0 ||
        export_write(&plan, out, NULL, 0, 0, NULL, weights, &err) != 0) {
        fail_msg("%s", err.text);
    }
    plan_release(&plan);
    mergekit_models_close(&models);
    mergekit_recipe_release(&recipe);
    text_release(&warnings);
    free(out);
}

static json_t *load(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    json_t *doc = NULL;

    assert_int_equal(doc_load(&doc, path, 1 << 20, NULL), 0);
    free(path);
    return doc;
}

static double number(const struct checkpoint *model, size_t row, size_t column)
{
    const struct checkpoint_tensor *tensor = checkpoint_role(model, TENSOR_EMBEDDING, 0);
    float value;

    assert_true(row < tensor->dims[0]);
    memcpy(&value, tensor->data + (row * TINY_WIDTH + column) * sizeof(float), sizeof(float));
    return (double)value;
}

static struct checkpoint *open_in(const char *folder, const char *name)
{
    struct checkpoint *model = NULL;
    char *path = file_join(folder, name);

    assert_int_equal(checkpoint_open(&model, path, NULL), 0);
    free(path);
    return model;
}

static void a_union_is_merged_and_written(void **state)
{
    char *folder = write_models();

    (void)state;
    merge(folder, "base_model: base\n"
                  "models: [{model: base, parameters: {weight: 0.5}},\n"
                  "         {model: wide, parameters: {weight: 0.5}}]\n"
                  "tokenizer: {source: union, pad_to_multiple_of: 4}\n"
                  "chat_template: chatml\n");
    struct checkpoint *base = open_in(folder, "base");
    struct checkpoint *wide = open_in(folder, "wide");
    struct checkpoint *out = open_in(folder, "out");
    assert_int_equal(checkpoint_config(out)->vocab, 8);
    assert_int_equal(checkpoint_config(out)->eos[0], 2);
    for (size_t c = 0; c < TINY_WIDTH; c++) {
        assert_true(number(out, 1, c) == number(base, 1, c)); /* b: one model alone has it */
        assert_true(number(out, 3, c) == number(wide, 2, c)); /* d */
        assert_true(number(out, 4, c) == number(wide, 3, c)); /* <x> */
        const double mean = (number(base, 2, c) + number(wide, 0, c)) / 2; /* c */
        assert_true(number(out, 2, c) - mean < 1e-8 && mean - number(out, 2, c) < 1e-8);
    }
    char *path = file_join(folder, "out");
    json_t *tokenizer = load(path, "tokenizer.json");
    json_t *config = load(path, "tokenizer_config.json");
    assert_int_equal(json_array_size(json_object_get(tokenizer, "added_tokens")), 2);
    assert_non_null(
        strstr(json_string_value(json_object_get(config, "chat_template")), "im_start"));
    json_decref(tokenizer);
    json_decref(config);
    free(path);
    checkpoint_close(base);
    checkpoint_close(wide);
    checkpoint_close(out);
    support_remove_dir(folder);
}

static void another_models_tokenizer_brings_its_ids(void **state)
{
    char *folder = write_models();

    (void)state;
    merge(folder, "base_model: base\n"
                  "models: [{model: base, parameters: {weight: 1}}]\n"
                  "tokenizer_source: wide\n");
    struct checkpoint *base = open_in(folder, "base");
    struct checkpoint *out = open_in(folder, "out");
    assert_int_equal(checkpoint_config(out)->vocab, 4);
    assert_int_equal(checkpoint_config(out)->eos[0], 3);
    for (size_t c = 0; c < TINY_WIDTH; c++) {
        assert_true(number(out, 0, c) == number(base, 2, c)); /* c */
        assert_true(number(out, 1, c) == number(base, 0, c)); /* a */
        assert_true(number(out, 2, c) == 0.0);                /* d: no input has it */
    }
    checkpoint_close(base);
    checkpoint_close(out);
    support_remove_dir(folder);
}

static void an_adapter_is_a_source_like_any(void **state)
{
    char *folder = write_models();
    float *numbers = lora_numbers(48 * 4, 1);
    const struct lora_tensor tensors[] = {
        {"model.layers.0.mlp.up_proj.lora_A.weight", 4, 32, numbers},
        {"model.layers.0.mlp.up_proj.lora_B.weight", 48, 4, numbers}};
    char *lora = lora_write(folder, "lora", "{\"peft_type\":\"LORA\",\"r\":4}", tensors, 2);
    char *sum_name = mem_printf("base+%s", lora);
    struct checkpoint *out;

    (void)state;
    merge(folder, "base_model: base\n"
                  "models: [{model: base+lora, parameters: {weight: 1}},\n"
                  "         {model: base, parameters: {weight: 0}}]\n");
    struct checkpoint *sum = open_in(folder, sum_name);
    out = open_in(folder, "out");
    const struct checkpoint_tensor *want = checkpoint_role(sum, TENSOR_UP, 0);
    const struct checkpoint_tensor *got = checkpoint_role(out, TENSOR_UP, 0);
    assert_memory_equal(got->data, want->data, want->n_bytes);
    checkpoint_close(sum);
    checkpoint_close(out);
    free(numbers);
    free(lora);
    free(sum_name);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_a_union_a_word_or_a_model),
        cmocka_unit_test(tokens_name_rows),
        cmocka_unit_test(says_what_cannot_be_meant),
        cmocka_unit_test(a_union_is_merged_and_written),
        cmocka_unit_test(another_models_tokenizer_brings_its_ids),
        cmocka_unit_test(an_adapter_is_a_source_like_any),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
