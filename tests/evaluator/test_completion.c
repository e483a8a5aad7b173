/*
 * The table tests/cases/completions.txt: requests, those of chats too, and what a recorded run
 * answered. Numbers are
 * compared within 1e-4, everything else exactly. What is not recorded is checked against the whole
 * logits.
 */
#include "evaluator/completion.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "evaluator/chat_completion.h"
#include "tests/evaluator/lora.h"
#include "tests/support/support.h"

#define ADDER TESTS_DIR "/../study/examples/models/adder"
#define TOLERANCE 1e-4

static int open_adder(void **state)
{
    struct served *served = mem_alloc(sizeof *served);
    struct err err = {0};

    if (served_open(served, ADDER, NUMERIC_F32, &err) != 0) {
        fail_msg("%s", err.text);
    }
    *state = served;
    return 0;
}

static int close_adder(void **state)
{
    served_close(*state);
    free(*state);
    return 0;
}

/* ---- documents that agree ---- */

static bool agree(const json_t *a, const json_t *b);

static bool members_agree(const json_t *a, const json_t *b)
{
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *)(uintptr_t)a, key, value)
    {
        if (!agree(value, json_object_get(b, key))) {
            return false;
        }
    }
    return json_object_size(a) == json_object_size(b);
}

static bool agree(const json_t *a, const json_t *b)
{
    if (json_is_real(a) || json_is_real(b)) {
        return json_is_number(a) && json_is_number(b) &&
               fabs(json_number_value(a) - json_number_value(b)) < TOLERANCE;
    }
    if (json_is_object(a)) {
        return json_is_object(b) && members_agree(a, b);
    }
    if (!json_is_array(a)) {
        return json_equal(a, b) != 0;
    }
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!agree(json_array_get(a, i), json_array_get(b, i))) {
            return false;
        }
    }
    return json_array_size(a) == json_array_size(b);
}

/* The answer to a request, as clients read it: printed and parsed again. Without its id, which
 * differs from run to run. */
static json_t *answer_of(int (*ask)(struct served *served, const json_t *body, int64_t created,
                                    json_t **out, struct err *err),
                         struct served *served, const char *request, struct err *err)
{
    json_t *body = NULL;
    json_t *answer = NULL;
    json_t *back = NULL;
    struct text text = {0};

    assert_int_equal(doc_parse(&body, request, strlen(request), err), 0);
    if (ask(served, body, 0, &answer, err) == 0) {
        doc_print(&text, answer);
        assert_int_equal(doc_parse(&back, text_get(&text), text.size, err), 0);
        json_object_del(back, "id");
    }
    text_release(&text);
    json_decref(answer);
    json_decref(body);
    return back;
}

static json_t *answer_to(struct served *served, const char *request, struct err *err)
{
    return answer_of(completion_answer, served, request, err);
}

/* ---- the table ---- */

/* Turns without marks, and no system among them. */
static struct chat *plain_chat(void)
{
    char *folder = support_temp_dir();

    support_write(folder, "tokenizer_config.json", "{\"bos_token\": \"<s>\"}");
    support_write(folder, "chat_template.jinja",
                  "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}"
                  "{{ raise_exception('no system turns here') }}{% endif %}{{ m.content }}"
                  "{% endfor %}");
    struct chat *chat = chat_open(folder);

    support_remove_dir(folder);
    return chat;
}

static bool check_case(struct served *served, const char *name, const char *request,
                       const char *expected)
{
    struct err err = {0};
    struct text got = {0};
    json_t *answer = request[1] == '>'
                         ? answer_of(chat_completion_answer, served, request + 3, &err)
                         : answer_to(served, request + 2, &err);
    bool good = false;

    if (answer == NULL) {
        text_printf(&got, "! %s", err.text);
        good = strcmp(text_get(&got), expected) == 0;
    } else {
        json_t *wanted = json_loads(expected + 1, JSON_REJECT_DUPLICATES, NULL);

        text_add(&got, "= ");
        doc_print(&got, answer);
        good = agree(wanted, answer);
        json_decref(wanted);
    }
    if (!good) {
        print_error("%s\n  wanted %s\n  got    %s\n", name, expected, text_get(&got));
    }
    text_release(&got);
    json_decref(answer);
    return good;
}

static void answers_as_recorded(void **state)
{
    FILE *file = fopen(TESTS_DIR "/cases/completions.txt", "r");
    char *line = NULL;
    size_t capacity = 0;
    char *name = mem_text("");
    char *request = mem_text("");
    size_t n = 0;
    size_t failed = 0;
    struct served *served = *state;
    struct chat *own = served->chat;

    served->chat = plain_chat();
    assert_non_null(file);
    while (getline(&line, &capacity, file) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '>') {
            free(request);
            request = mem_text(line);
        } else if (line[0] == '=' || line[0] == '!') {
            failed += !check_case(served, name, request, line);
            n++;
        } else if (line[0] != '#' && line[0] != '\0') {
            free(name);
            name = mem_text(line);
        }
    }
    free(line);
    free(name);
    free(request);
    fclose(file);
    chat_close(served->chat);
    served->chat = own;
    assert_true(n > 50);
    assert_int_equal(failed, 0);
}

static void a_model_without_a_template_does_not_chat(void **state)
{
    struct err err = {0};
    json_t *answer = answer_of(chat_completion_answer, *state,
                               "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}", &err);

    assert_null(answer);
    assert_int_equal(err.code, ERR_MISSING);
    assert_non_null(strstr(err.text, "no chat template"));
}

/* ---- what holds for every answer ---- */

static double log_softmax(const float *logits, size_t n, size_t at)
{
    double largest = -(double)INFINITY;
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        largest = fmax(largest, (double)logits[i]);
    }
    for (size_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - largest);
    }
    return (double)logits[at] - largest - log(sum);
}

static void log_probabilities_are_those_of_the_whole_logits(void **state)
{
    struct served *served = *state;
    const uint32_t ids[] = {1, 319, 349, 353, 356, 350};
    const size_t n = sizeof ids / sizeof *ids;
    const size_t vocab = served->config.vocab;
    float *logits = mem_array(n * vocab, sizeof *logits);
    struct err err = {0};

    assert_int_equal(forward_logits(served->forward, served->weights, ids, n, logits, &err), 0);
    json_t *answer = answer_to(served,
                               "{\"prompt\": [1, 319, 349, 353, 356, 350], \"max_tokens\": 1, "
                               "\"logprobs\": 1, \"echo\": true}",
                               &err);
    const json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
    const json_t *found = json_object_get(json_object_get(choice, "logprobs"), "token_logprobs");

    assert_int_equal(json_array_size(found), n + 1);
    for (size_t i = 1; i < n; i++) {
        const double wanted = log_softmax(logits + (i - 1) * vocab, vocab, ids[i]);

        assert_true(fabs(json_number_value(json_array_get(found, i)) - wanted) < 1e-5);
    }
    json_decref(answer);
    free(logits);
}

/* The client's own arithmetic: greedy when each number equals the largest at its place. */
static void the_most_likely_token_has_the_very_same_number_twice(void **state)
{
    struct err err = {0};
    json_t *written = answer_to(*state, "{\"prompt\": \"<s>37+45=\", \"max_tokens\": 3}", &err);
    const json_t *first = json_array_get(json_object_get(written, "choices"), 0);
    char *request = mem_printf("{\"prompt\": \"<s>37+45=%s\", \"max_tokens\": 1, "
                               "\"logprobs\": 1, \"echo\": true}",
                               json_string_value(json_object_get(first, "text")));
    json_t *scored = answer_to(*state, request, &err);
    const json_t *choice = json_array_get(json_object_get(scored, "choices"), 0);
    const json_t *found = json_object_get(choice, "logprobs");
    const json_t *numbers = json_object_get(found, "token_logprobs");
    const json_t *best = json_object_get(found, "top_logprobs");
    const size_t n = json_array_size(numbers);

    assert_true(n > 9);
    for (size_t i = 8; i < n; i++) { /* the answer: "<s> 37+45=" has eight tokens */
        json_t *place = json_array_get(best, i);
        const json_t *largest = json_object_iter_value(json_object_iter(place));

        assert_true(json_number_value(json_array_get(numbers, i)) == json_number_value(largest));
    }
    free(request);
    json_decref(scored);
    json_decref(written);
}

static void generating_goes_on_as_scoring_says(void **state)
{
    struct err err = {0};
    json_t *together =
        answer_to(*state, "{\"prompt\": [\"<s>37+45=\", \"<s>abc:\"], \"max_tokens\": 6}", &err);
    json_t *alone = answer_to(*state, "{\"prompt\": \"<s>abc:\", \"max_tokens\": 6}", &err);

    assert_string_equal(json_string_value(json_object_get(
                            json_array_get(json_object_get(together, "choices"), 1), "text")),
                        json_string_value(json_object_get(
                            json_array_get(json_object_get(alone, "choices"), 0), "text")));
    json_decref(alone);
    json_decref(together);
}

/* ---- the tokenizer's questions ---- */

static json_t *asked(struct served *served, const char *request,
                     int (*ask)(struct served *, const json_t *, json_t **, struct err *))
{
    json_t *body = json_loads(request, 0, NULL);
    json_t *answer = NULL;
    struct err err = {0};

    if (ask(served, body, &answer, &err) != 0) {
        answer = json_pack("{s:s}", "error", err.text);
    }
    json_decref(body);
    return answer;
}

static void expect(json_t *answer, const char *wanted)
{
    struct text text = {0};

    doc_print(&text, answer);
    assert_string_equal(text_get(&text), wanted);
    text_release(&text);
    json_decref(answer);
}

static void tokenizes_with_special_tokens_and_without(void **state)
{
    expect(asked(*state, "{\"prompt\": \"37\"}", served_tokenize),
           "{\"count\":4,\"max_model_len\":256,\"tokens\":[1,319,349,353]}");
    expect(asked(*state, "{\"prompt\": \"37\", \"add_special_tokens\": false}", served_tokenize),
           "{\"count\":3,\"max_model_len\":256,\"tokens\":[319,349,353]}");
    expect(asked(*state, "{\"prompt\": \"<s>\", \"add_special_tokens\": false}", served_tokenize),
           "{\"count\":1,\"max_model_len\":256,\"tokens\":[1]}");
    expect(asked(*state, "{}", served_tokenize), "{\"error\":\"prompt: missing\"}");
}

static void detokenizes(void **state)
{
    expect(asked(*state, "{\"tokens\": [1, 319, 349, 353]}", served_detokenize),
           "{\"prompt\":\"<s> 37\"}");
    expect(asked(*state, "{\"tokens\": []}", served_detokenize), "{\"prompt\":\"\"}");
    expect(asked(*state, "{\"tokens\": [99999]}", served_detokenize),
           "{\"error\":\"token 0: id 99999 is outside the model's vocabulary of 364\"}");
}

static void names_its_special_tokens(void **state)
{
    json_t *info = NULL;

    assert_int_equal(served_tokenizer_info(*state, &info, NULL), 0);
    expect(info, "{\"bos_token\":\"<s>\",\"chat_template\":null,\"eos_token\":\"</s>\",\"pad_"
                 "token\":null}");
}

static void copy_adder(const char *folder)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *from = file_join(ADDER, names[i]);
        char *to = file_join(folder, names[i]);
        struct file_bytes bytes = {0};

        assert_int_equal(file_read(&bytes, from, (size_t)1 << 24, NULL), 0);
        assert_int_equal(file_write(to, bytes.data, bytes.size, 0666, NULL), 0);
        file_release(&bytes);
        free(to);
        free(from);
    }
    support_write(folder, "tokenizer_config.json",
                  "{\"bos_token\": \"<s>\", \"pad_token\": \"<pad>\"}");
    support_write(folder, "chat_template.jinja", "{{ bos_token }}");
}

/* The tokenizer of base+adapter is the base's, and so is what goes with it. */
static void an_adapter_has_its_bases_template(void **state)
{
    char *folder = support_temp_dir();
    float *a = lora_numbers((size_t)2 * 64, 1);
    float *b = lora_numbers((size_t)64 * 2, 2);
    const struct lora_tensor tensors[] = {
        {"model.layers.0.self_attn.q_proj.lora_A.weight", 2, 64, a},
        {"model.layers.0.self_attn.q_proj.lora_B.weight", 64, 2, b}};
    struct served served = {0};
    struct err err = {0};
    json_t *info = NULL;

    (void)state;
    copy_adder(folder);
    char *adapter = lora_write(folder, "lora",
                               "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,"
                               "\"target_modules\":[\"q_proj\"]}",
                               tensors, 2);
    char *name = mem_printf("%s+%s", folder, adapter);

    if (served_open(&served, name, NUMERIC_F32, &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(served_tokenizer_info(&served, &info, NULL), 0);
    expect(info, "{\"bos_token\":\"<s>\",\"chat_template\":\"{{ bos_token }}\",\"eos_token\":"
                 "\"</s>\",\"pad_token\":\"<pad>\"}");
    served_close(&served);
    free(name);
    free(adapter);
    free(a);
    free(b);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_recorded),
        cmocka_unit_test(a_model_without_a_template_does_not_chat),
        cmocka_unit_test(log_probabilities_are_those_of_the_whole_logits),
        cmocka_unit_test(the_most_likely_token_has_the_very_same_number_twice),
        cmocka_unit_test(generating_goes_on_as_scoring_says),
        cmocka_unit_test(tokenizes_with_special_tokens_and_without),
        cmocka_unit_test(detokenizes),
        cmocka_unit_test(names_its_special_tokens),
        cmocka_unit_test(an_adapter_has_its_bases_template),
    };

    return cmocka_run_group_tests(tests, open_adder, close_adder);
}
