#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "evaluator/model/adapter_config.h"

static int parse(struct adapter_config *out, const char *text, struct err *err)
{
    json_t *doc = NULL;
    int rc = doc_parse(&doc, text, strlen(text), err);

    if (rc == 0) {
        rc = adapter_config_parse(out, doc, err);
    }
    json_decref(doc);
    return rc;
}

static void reads_a_file_as_its_usual_writer_leaves_it(void **state)
{
    static const char text[] =
        "{\"alpha_pattern\":{},\"auto_mapping\":null,\"base_model_name_or_path\":\"org/base\","
        "\"bias\":\"none\",\"fan_in_fan_out\":false,\"inference_mode\":true,"
        "\"init_lora_weights\":true,\"layer_replication\":null,\"layers_pattern\":null,"
        "\"layers_to_transform\":null,\"loftq_config\":{},\"lora_alpha\":32,\"lora_bias\":false,"
        "\"lora_dropout\":0.05,\"megatron_config\":null,\"modules_to_save\":null,"
        "\"peft_type\":\"LORA\",\"r\":16,\"rank_pattern\":{},\"revision\":null,"
        "\"target_modules\":[\"q_proj\",\"v_proj\"],\"task_type\":\"CAUSAL_LM\","
        "\"trainable_token_indices\":null,\"use_dora\":false,\"use_rslora\":false}";
    struct adapter_config config = {0};
    double scale = 0;

    (void)state;
    assert_int_equal(parse(&config, text, NULL), 0);
    assert_int_equal(adapter_config_scale(&config, "a.q_proj", 16, &scale, NULL), 0);
    assert_true(scale == 2.0);
    assert_true(adapter_config_targets(&config, "a.q_proj"));
    assert_true(adapter_config_targets(&config, "v_proj"));
    assert_false(adapter_config_targets(&config, "a.xq_proj"));
    adapter_config_release(&config);
}

static void lets_the_first_pattern_that_names_a_module_decide(void **state)
{
    struct adapter_config config = {0};
    double scale = 0;

    (void)state;
    assert_int_equal(parse(&config,
                           "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":4,"
                           "\"rank_pattern\":{\"layers\\\\.[0-9]+\\\\.up\":2,\"up\":8},"
                           "\"alpha_pattern\":{\"up\":16}}",
                           NULL),
                     0);
    assert_int_equal(adapter_config_scale(&config, "model.layers.12.up", 2, &scale, NULL), 0);
    assert_true(scale == 8.0);
    assert_int_equal(adapter_config_scale(&config, "up", 8, &scale, NULL), 0);
    assert_true(scale == 2.0);
    assert_int_equal(adapter_config_scale(&config, "setup", 4, &scale, NULL), 0);
    assert_true(scale == 1.0);
    assert_int_equal(adapter_config_scale(&config, "up", 4, &scale, NULL), ERR_CONFLICT);
    adapter_config_release(&config);
}

static void asks_no_expression_that_only_python_reads(void **state)
{
    struct adapter_config config = {0};

    (void)state;
    assert_int_equal(parse(&config,
                           "{\"peft_type\":\"LORA\",\"r\":4,"
                           "\"target_modules\":\"(?P<x>\\\\bmodel).*\"}",
                           NULL),
                     0);
    assert_true(adapter_config_targets(&config, "anything"));
    adapter_config_release(&config);
    assert_int_equal(
        parse(&config, "{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":\".*up\"}", NULL), 0);
    assert_true(adapter_config_targets(&config, "mlp.up"));
    assert_false(adapter_config_targets(&config, "mlp.up.x"));
    adapter_config_release(&config);
}

static void refuses_by_name_what_is_not_folded(void **state)
{
    static const char *const cases[][2] = {
        {"{}", "peft_type"},
        {"{\"peft_type\":\"LOHA\",\"r\":4}", "peft_type: 'LOHA' is not folded, LORA is"},
        {"{\"peft_type\":\"LORA\"}", "r"},
        {"{\"peft_type\":\"LORA\",\"r\":0}", "r: "},
        {"{\"peft_type\":\"LORA\",\"r\":\"8\"}", "r: "},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":null}", "lora_alpha"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"use_dora\":true}", "use_dora: DoRA"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_bias\":true}", "lora_bias: "},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"trainable_token_indices\":[1]}",
         "trainable_token_indices: "},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"target_parameters\":[\"x\"]}", "target_parameters: "},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"layer_replication\":[[0,4]]}", "layer_replication: "},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"init_lora_weights\":\"pissa\"}",
         "init_lora_weights: 'pissa' changes the base"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"init_lora_weights\":7}",
         "init_lora_weights: 'a number'"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":7}",
         "target_modules: expected a list"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"target_modules\":[7]}", "target_modules[0]: expected"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"alpha_pattern\":[]}", "alpha_pattern: expected"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"alpha_pattern\":{\"x\":\"y\"}}",
         "alpha_pattern: x: expected a number"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"alpha_pattern\":{\"x(\":1}}", "alpha_pattern: x(: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct adapter_config config = {0};
        struct err err = {0};

        if (parse(&config, cases[i][0], &err) == 0 || strstr(err.text, cases[i][1]) != err.text) {
            fail_msg("%s: '%s' is not '%s'", cases[i][0], err.text, cases[i][1]);
        }
        assert_null(config.alphas);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_file_as_its_usual_writer_leaves_it),
        cmocka_unit_test(lets_the_first_pattern_that_names_a_module_decide),
        cmocka_unit_test(asks_no_expression_that_only_python_reads),
        cmocka_unit_test(refuses_by_name_what_is_not_folded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
