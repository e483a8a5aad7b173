#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "evaluator/model/config.h"
#include "evaluator/model/config_differ.h"
#include "tests/support/support.h"

/* A llama of two layers; more members follow the comma. */
#define LLAMA                                                                                    \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_size\":64,"     \
    "\"intermediate_size\":96,\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":" \
    "100"

static int parse(struct config *out, const char *text, struct err *err)
{
    json_t *doc = NULL;
    int rc = doc_parse(&doc, text, strlen(text), err);

    if (rc == 0) {
        rc = config_parse(out, doc, NULL, err);
    }
    json_decref(doc);
    return rc;
}

static struct config must_parse(const char *text)
{
    struct config config = {0};
    struct err err = {0};

    if (parse(&config, text, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return config;
}

static void assert_refused(const char *text, const char *why)
{
    struct config config = {0};
    struct err err = {0};

    assert_int_not_equal(parse(&config, text, &err), 0);
    if (strstr(err.text, why) == NULL) {
        fail_msg("'%s' does not say '%s'", err.text, why);
    }
}

static void fills_in_what_a_llama_leaves_out(void **state)
{
    struct config config = must_parse(LLAMA "}");

    (void)state;
    assert_int_equal(config.family, CONFIG_LLAMA);
    assert_int_equal(config.n_kv_heads, 4);
    assert_int_equal(config.head_width, 16);
    assert_true(config.norm_eps == 1e-6);
    assert_true(config.rope.theta == 10000.0);
    assert_int_equal(config.rope.kind, CONFIG_ROPE_DEFAULT);
    assert_false(config.tied || config.qkv_bias || config.out_bias || config.mlp_bias);
    assert_int_equal(config.activation, CONFIG_SILU);
    assert_int_equal(config_window(&config, 0), 0);
    assert_false(config.has_dtype);
    assert_int_equal(config.bos, 1);
    assert_int_equal(config.n_eos, 1);
    assert_int_equal(config.eos[0], 2);
    assert_int_equal(config_runnable(&config, NULL), 0);
}

static void takes_null_as_absent(void **state)
{
    struct config config = must_parse(LLAMA ",\"num_key_value_heads\":null,\"head_dim\":null,"
                                            "\"rope_scaling\":null,\"bos_token_id\":null}");

    (void)state;
    assert_int_equal(config.n_kv_heads, 4);
    assert_int_equal(config.head_width, 16);
    assert_int_equal(config.bos, -1);
}

static void sizes_heads_from_head_dim_when_it_is_there(void **state)
{
    struct config config = must_parse(LLAMA ",\"num_key_value_heads\":2,\"head_dim\":24}");

    (void)state;
    assert_int_equal(config.head_width, 24);
    assert_int_equal(config.n_kv_heads, 2);
}

static void always_gives_qwen2_its_biases(void **state)
{
    struct config config = must_parse(
        "{\"architectures\":[\"Qwen2ForCausalLM\"],\"model_type\":\"qwen2\",\"hidden_size\":64,"
        "\"intermediate_size\":96,\"num_hidden_layers\":2,\"num_attention_heads\":4,"
        "\"vocab_size\":100,\"tie_word_embeddings\":true,\"use_sliding_window\":false,"
        "\"sliding_window\":32768}");

    (void)state;
    assert_int_equal(config.family, CONFIG_QWEN2);
    assert_true(config.qkv_bias && config.tied);
    assert_false(config.out_bias);
    assert_int_equal(config.window, 0);
    assert_int_equal(config.bos, -1);
}

/* Sizes of any family, with four layers. */
static struct config family(const char *architecture, const char *more)
{
    struct text text = {0};

    text_printf(&text,
                "{\"architectures\":[\"%s\"],\"model_type\":\"x\",\"hidden_size\":64,"
                "\"intermediate_size\":96,\"num_hidden_layers\":4,\"num_attention_heads\":4,"
                "\"vocab_size\":100%s}",
                architecture, more);
    struct config config = must_parse(text_get(&text));
    text_release(&text);
    return config;
}

static void fills_in_what_gemma2_leaves_out(void **state)
{
    struct config config = family("Gemma2ForCausalLM", "");

    (void)state;
    assert_int_equal(config.head_width, 256);
    assert_true(config.tied && config.sandwich && !config.qk_norm);
    assert_int_equal(config.activation, CONFIG_GELU_TANH);
    assert_true(config.norm_offset == 1.0F && config.embedding_scale == 8.0);
    assert_true(config.query_scalar == 256.0);
    assert_true(config.attention_cap == 50.0 && config.logit_cap == 30.0);
    assert_int_equal(config.window, 4096);
    assert_int_equal(config.bos, 2);
    assert_int_equal(config.eos[0], 1);
    config = family("Gemma2ForCausalLM",
                    ",\"attn_logit_softcapping\":null,\"final_logit_softcapping\":null");
    assert_true(config.attention_cap == 0.0 && config.logit_cap == 0.0);
}

/* A digit a layer: 1 slides. */
static void assert_slides(const char *architecture, const char *more, const char *layers)
{
    struct config config = family(architecture, more);

    for (uint32_t layer = 0; layer < 4; layer++) {
        if ((config_window(&config, layer) > 0) != (layers[layer] == '1')) {
            fail_msg("%s%s: layer %u", architecture, more, layer);
        }
    }
}

static void slides_the_layers_that_a_family_slides(void **state)
{
    const char *late = ",\"use_sliding_window\":true,\"max_window_layers\":2";
    const char *types = ",\"layer_types\":[\"full_attention\",\"sliding_attention\","
                        "\"sliding_attention\",\"full_attention\"]";

    (void)state;
    assert_slides("LlamaForCausalLM", ",\"sliding_window\":8", "0000");
    assert_slides("MistralForCausalLM", "", "1111"); /* 4096 */
    assert_slides("MistralForCausalLM", ",\"sliding_window\":null", "0000");
    assert_slides("Phi3ForCausalLM", "", "0000");
    assert_slides("Phi3ForCausalLM", ",\"sliding_window\":8", "1111");
    assert_slides("Qwen2ForCausalLM", ",\"sliding_window\":8", "0000");
    assert_slides("Qwen2ForCausalLM", late, "0011");
    assert_slides("Qwen3ForCausalLM", late, "0011");
    assert_slides("GemmaForCausalLM", ",\"sliding_window\":8", "0000");
    assert_slides("Gemma2ForCausalLM", "", "1010");
    assert_slides("Gemma2ForCausalLM", types, "0110");
    assert_slides("Gemma3ForCausalLM", "", "1111");
    assert_slides("Gemma3ForCausalLM", ",\"sliding_window_pattern\":2", "1010");
    assert_slides("Gemma3ForCausalLM", ",\"_sliding_window_pattern\":3", "1101");
    assert_slides("Gemma3ForCausalLM", types, "0110");
}

static void turns_sliding_layers_by_a_base_of_their_own(void **state)
{
    struct config config = family("Gemma3ForCausalLM", ",\"sliding_window_pattern\":2");

    (void)state;
    assert_true(config_rope_of(&config, 0)->theta == 10000.0);
    assert_true(config_rope_of(&config, 1)->theta == 1000000.0);
    config = family("Gemma2ForCausalLM", "");
    assert_ptr_equal(config_rope_of(&config, 0), config_rope_of(&config, 1));
}

static void reads_how_long_contexts_were_stretched(void **state)
{
    struct config config =
        family("LlamaForCausalLM", ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8.0}");
    const struct config_rope *rope = &config.rope;
    struct text warning = {0};

    (void)state;
    assert_int_equal(config_context(&config), config.positions);
    assert_false(config_context_warning(&config, &warning));
    assert_true(rope->beta_fast == 32.0 && rope->beta_slow == 1.0 && rope->whole_pairs);
    assert_true(rope->attention_factor > 1.2079 && rope->attention_factor < 1.208);
    assert_int_equal(config_positions_max(&config), 0);
    config = family("Phi3ForCausalLM",
                    ",\"max_position_embeddings\":4096,\"original_max_position_embeddings\":512,"
                    "\"partial_rotary_factor\":0.25,"
                    "\"rope_scaling\":{\"type\":\"su\",\"short_factor\":[1.0,2.0]}");
    assert_int_equal(config.rotary_width, 4);
    assert_int_equal(config_positions_max(&config), 512);
    assert_int_equal(config_context(&config), 512);
    assert_true(config_context_warning(&config, &warning));
    assert_non_null(strstr(text_get(&warning), "cut at 512 tokens, not 4096"));
    text_release(&warning);
    assert_true(rope->divisors[1] == 2.0);
    assert_true(rope->attention_factor > 1.1546 && rope->attention_factor < 1.1548);
}

static void gives_llama_biases_on_all_four_when_asked(void **state)
{
    struct config config = must_parse(LLAMA ",\"attention_bias\":true,\"mlp_bias\":true}");

    (void)state;
    assert_true(config.qkv_bias && config.out_bias && config.mlp_bias);
}

static void reads_both_spellings_of_rotary_settings_alike(void **state)
{
    const char *numbers = "\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                          "\"original_max_position_embeddings\":8192";
    struct text older = {0};
    struct text newer = {0};

    (void)state;
    text_printf(&older,
                "%s,\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",%s}}", LLAMA,
                numbers);
    text_printf(&newer,
                "%s,\"rope_theta\":1.0,\"rope_parameters\":{\"rope_type\":\"llama3\","
                "\"rope_theta\":500000.0,%s}}",
                LLAMA, numbers);
    struct config a = must_parse(text_get(&older));
    struct config b = must_parse(text_get(&newer));
    assert_memory_equal(&a.rope, &b.rope, sizeof a.rope);
    assert_int_equal(a.rope.kind, CONFIG_ROPE_LLAMA3);
    assert_true(a.rope.theta == 500000.0 && a.rope.factor == 8.0);
    text_release(&older);
    text_release(&newer);
}

static void reads_the_oldest_spelling_of_scaling(void **state)
{
    struct config config =
        must_parse(LLAMA ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0}}");

    (void)state;
    assert_int_equal(config.rope.kind, CONFIG_ROPE_LINEAR);
    assert_true(config.rope.factor == 2.0);
}

static void collects_ends_of_sequence_from_both_files(void **state)
{
    struct config config = {0};
    json_t *doc = json_loads(LLAMA ",\"eos_token_id\":[7,9]}", 0, NULL);
    json_t *generation = json_loads("{\"eos_token_id\":[9,11]}", 0, NULL);

    (void)state;
    assert_int_equal(config_parse(&config, doc, generation, NULL), 0);
    assert_int_equal(config.n_eos, 3);
    assert_int_equal(config.eos[0], 7);
    assert_int_equal(config.eos[2], 11);
    json_decref(doc);
    json_decref(generation);
}

static void says_which_member_is_wrong(void **state)
{
    (void)state;
    assert_refused("[]", "object");
    assert_refused("{}", "architectures");
    assert_refused("{\"architectures\":[\"LlamaForCausalLM\"]}", "num_hidden_layers: missing");
    assert_refused(LLAMA ",\"num_key_value_heads\":3}", "num_key_value_heads 3");
    assert_refused(LLAMA ",\"head_dim\":15}", "head_dim: 15 is odd");
    assert_refused(LLAMA ",\"head_dim\":0}", "head_dim");
    assert_refused(LLAMA ",\"rms_norm_eps\":-1}", "rms_norm_eps");
    assert_refused(LLAMA ",\"rope_scaling\":{\"rope_type\":\"llama3\"}}", "factor: missing");
    assert_refused(LLAMA ",\"rope_scaling\":{\"type\":\"linear\"}}", "factor: missing");
    assert_refused(LLAMA ",\"rope_scaling\":[]}", "rope_scaling");
    assert_refused(LLAMA ",\"rope_scaling\":{\"type\":\"longrope\"}}", "short_factor");
    assert_refused(LLAMA ",\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1]}}",
                   "short_factor: 1 numbers for 8 rotary pairs");
    assert_refused(LLAMA ",\"rope_scaling\":{\"type\":\"longrope\","
                         "\"short_factor\":[1,1,1,1,1,1,1,0]}}",
                   "short_factor: entry 7");
    assert_refused(LLAMA ",\"partial_rotary_factor\":0.2}",
                   "partial_rotary_factor: 0.2 of 16 is 3");
    assert_refused(LLAMA ",\"tie_word_embeddings\":\"yes\"}", "tie_word_embeddings");
}

#define GEMMA                                                                                 \
    "{\"architectures\":[\"Gemma2ForCausalLM\"],\"hidden_size\":64,\"intermediate_size\":96," \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":100"

/* As published: what the text model has in common with others of its size is not said. */
static void finds_the_text_model_of_one_with_images(void **state)
{
    struct config config = must_parse(
        "{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"model_type\":"
        "\"gemma3\",\"eos_token_id\":[1,106],\"text_config\":{\"hidden_size\":2560,"
        "\"intermediate_size\":10240,\"model_type\":\"gemma3_text\","
        "\"num_hidden_layers\":34,\"rope_scaling\":{\"factor\":8.0,\"rope_type\":"
        "\"linear\"},\"sliding_window\":1024},\"vision_config\":{\"hidden_size\":1152}}");

    (void)state;
    assert_int_equal(config.family, CONFIG_GEMMA3);
    assert_int_equal(config.nesting, CONFIG_NESTED);
    assert_int_equal(config.n_layers, 34);
    assert_int_equal(config.n_heads, 8);
    assert_int_equal(config.n_kv_heads, 4);
    assert_int_equal(config.head_width, 256);
    assert_int_equal(config.vocab, 262208);
    assert_int_equal(config.positions, 131072);
    assert_int_equal(config.window, 1024);
    assert_true(config_slides(&config, 4) && !config_slides(&config, 5));
    assert_true(config.rope.factor == 8.0 && config.local_rope.theta == 10000.0);
    assert_int_equal(config.n_eos, 2);
    assert_true(config.tied);
    assert_refused("{\"architectures\":[\"Gemma3ForConditionalGeneration\"]}",
                   "text_config: missing");
    assert_refused("{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":{}}",
                   "text_config: num_hidden_layers: missing");
}

static void a_rotary_scaling_it_does_not_know_can_be_merged_but_not_run(void **state)
{
    struct config config = must_parse(LLAMA ",\"rope_scaling\":{\"rope_type\":\"odd\"}}");
    struct err err = {0};

    (void)state;
    assert_int_equal(config_runnable(&config, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "rope_type odd"));
}

static void says_which_layer_is_of_no_known_type(void **state)
{
    (void)state;
    assert_refused(GEMMA ",\"layer_types\":\"full\"}", "layer_types: 0 entries for 2 layers");
    assert_refused(GEMMA ",\"layer_types\":[\"full_attention\"]}", "1 entries for 2 layers");
    assert_refused(GEMMA ",\"layer_types\":[\"full_attention\",\"chunked_attention\"]}",
                   "layer 1: 'chunked_attention' is not known");
    assert_refused(GEMMA ",\"layer_types\":[7,8]}", "layer 0");
    assert_refused(GEMMA ",\"sliding_window\":-4}", "sliding_window");
    assert_refused(GEMMA ",\"query_pre_attn_scalar\":0}", "query_pre_attn_scalar");
}

static void reads_a_family_it_does_not_know_for_merging(void **state)
{
    struct config config = must_parse(
        "{\"architectures\":[\"OddForCausalLM\"],\"model_type\":\"odd\",\"hidden_size\":64,"
        "\"intermediate_size\":[1,2],\"rope_parameters\":{\"full_attention\":{}}}");
    struct err err = {0};

    (void)state;
    assert_int_equal(config.family, CONFIG_OTHER);
    assert_int_equal(config.width, 64);
    assert_int_equal(config.mlp_width, 0);
    assert_int_equal(config_runnable(&config, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "OddForCausalLM"));
}

static void says_what_it_cannot_run(void **state)
{
    struct config config = must_parse(LLAMA ",\"hidden_act\":\"gelu\"}");
    struct err err = {0};

    (void)state;
    assert_int_equal(config_runnable(&config, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "hidden_act"));
}

static void names_the_file_when_loading(void **state)
{
    char *folder = support_temp_dir();
    struct config config;
    struct err err = {0};

    (void)state;
    assert_int_equal(config_load(&config, folder, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "config.json"));
    support_write(folder, "config.json", "{\"architectures\":[]}");
    assert_int_equal(config_load(&config, folder, &err), ERR_MISSING);
    assert_non_null(strstr(err.text, "config.json: architectures"));
    support_write(folder, "config.json", LLAMA ",\"eos_token_id\":5}");
    support_write(folder, "generation_config.json", "{\"eos_token_id\":[6]}");
    assert_int_equal(config_load(&config, folder, &err), 0);
    assert_int_equal(config.n_eos, 2);
    support_remove_dir(folder);
}

/* ---- edits ---- */

static void assert_edited(const char *before, struct config_edit edit, const char *after)
{
    json_t *donor = json_loads(before, 0, NULL);
    json_t *edited = NULL;

    assert_int_equal(config_apply(&edited, donor, &edit, NULL), 0);
    char *text = json_dumps(edited, JSON_COMPACT | JSON_PRESERVE_ORDER);
    assert_string_equal(text, after);
    free(text);
    json_decref(donor);
    json_decref(edited);
}

static void keeps_unknown_members_and_their_order(void **state)
{
    (void)state;
    assert_edited(
        "{\"z\":1,\"torch_dtype\":\"float32\",\"a\":{\"q\":[]},\"num_hidden_layers\":4}",
        (struct config_edit){.n_layers = 6, .dtype = "bfloat16"},
        "{\"z\":1,\"torch_dtype\":\"bfloat16\",\"a\":{\"q\":[]},\"num_hidden_layers\":6}");
    assert_edited("{\"b\":1,\"a\":2}", (struct config_edit){0}, "{\"b\":1,\"a\":2}");
}

static void writes_the_dtype_as_the_donor_spells_it(void **state)
{
    (void)state;
    assert_edited("{\"dtype\":\"float32\"}", (struct config_edit){.dtype = "float16"},
                  "{\"dtype\":\"float16\"}");
    assert_edited("{}", (struct config_edit){.dtype = "float16"}, "{\"torch_dtype\":\"float16\"}");
}

static void cuts_layer_types_and_refuses_to_invent_them(void **state)
{
    json_t *donor = json_loads("{\"layer_types\":[\"a\",\"b\",\"c\"]}", 0, NULL);
    json_t *edited = NULL;

    (void)state;
    assert_edited("{\"layer_types\":[\"a\",\"b\",\"c\"],\"num_hidden_layers\":3}",
                  (struct config_edit){.n_layers = 2},
                  "{\"layer_types\":[\"a\",\"b\"],\"num_hidden_layers\":2}");
    assert_edited("{\"layer_types\":[\"a\",\"b\",\"c\"],\"num_hidden_layers\":3}",
                  (struct config_edit){.n_layers = 4, .layers = (const uint32_t[]){2, 0, 0, 1}},
                  "{\"layer_types\":[\"c\",\"a\",\"a\",\"b\"],\"num_hidden_layers\":4}");
    assert_int_equal(config_apply(&edited, donor, &(struct config_edit){.n_layers = 4}, NULL),
                     ERR_FORMAT);
    assert_null(edited);
    json_decref(donor);
}

static void unties(void **state)
{
    (void)state;
    assert_edited("{\"tie_word_embeddings\":true,\"vocab_size\":9}",
                  (struct config_edit){.untie = true, .vocab = 8},
                  "{\"tie_word_embeddings\":false,\"vocab_size\":8}");
}

/* ---- what sets models of equal shapes apart ---- */

static void assert_differs(const char *more, const char *against, const char *words)
{
    struct text a = {0}, b = {0}, out = {0};

    text_printf(&a, LLAMA "%s}", more);
    text_printf(&b, LLAMA "%s}", against);
    struct config model = must_parse(text_get(&a)), other = must_parse(text_get(&b));
    size_t n = config_differences(&model, &other, &out);
    assert_string_equal(text_get(&out), words);
    assert_int_equal(n > 0, words[0] != '\0');
    text_release(&a);
    text_release(&b);
    text_release(&out);
}

static void names_what_acts_on_equal_tensors_otherwise(void **state)
{
    (void)state;
    assert_differs("", "", "");
    assert_differs(",\"rope_theta\":1000000,\"rms_norm_eps\":1e-5", "",
                   "norm epsilon 1e-05 against 1e-06, rope theta 1000000 against 10000");
    assert_differs(",\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}", "",
                   "rope scaling linear against default");
    assert_differs("", ",\"hidden_act\":\"gelu_pytorch_tanh\"",
                   "activation silu against gelu_tanh");
    /* Stored types, vocabulary and longest context say nothing about the same tokens. */
    assert_differs(",\"torch_dtype\":\"float16\",\"max_position_embeddings\":512", "", "");
}

static void names_the_first_layer_whose_window_differs(void **state)
{
    struct config a = family("Gemma2ForCausalLM", ",\"sliding_window\":16");
    struct config b = family("Gemma2ForCausalLM", ",\"sliding_window\":8");
    struct text out = {0};

    (void)state;
    assert_int_equal(config_differences(&a, &b, &out), 1);
    assert_string_equal(text_get(&out), "window of layer 0 16 against 8");
    text_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_what_a_llama_leaves_out),
        cmocka_unit_test(takes_null_as_absent),
        cmocka_unit_test(sizes_heads_from_head_dim_when_it_is_there),
        cmocka_unit_test(always_gives_qwen2_its_biases),
        cmocka_unit_test(fills_in_what_gemma2_leaves_out),
        cmocka_unit_test(slides_the_layers_that_a_family_slides),
        cmocka_unit_test(turns_sliding_layers_by_a_base_of_their_own),
        cmocka_unit_test(reads_how_long_contexts_were_stretched),
        cmocka_unit_test(finds_the_text_model_of_one_with_images),
        cmocka_unit_test(a_rotary_scaling_it_does_not_know_can_be_merged_but_not_run),
        cmocka_unit_test(says_which_layer_is_of_no_known_type),
        cmocka_unit_test(gives_llama_biases_on_all_four_when_asked),
        cmocka_unit_test(reads_both_spellings_of_rotary_settings_alike),
        cmocka_unit_test(reads_the_oldest_spelling_of_scaling),
        cmocka_unit_test(collects_ends_of_sequence_from_both_files),
        cmocka_unit_test(says_which_member_is_wrong),
        cmocka_unit_test(reads_a_family_it_does_not_know_for_merging),
        cmocka_unit_test(says_what_it_cannot_run),
        cmocka_unit_test(names_the_file_when_loading),
        cmocka_unit_test(keeps_unknown_members_and_their_order),
        cmocka_unit_test(writes_the_dtype_as_the_donor_spells_it),
        cmocka_unit_test(cuts_layer_types_and_refuses_to_invent_them),
        cmocka_unit_test(unties),
        cmocka_unit_test(names_what_acts_on_equal_tensors_otherwise),
        cmocka_unit_test(names_the_first_layer_whose_window_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
