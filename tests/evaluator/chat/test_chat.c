/* Templates found in folders, and messages made into prompts. */
#include "evaluator/chat/chat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/support/support.h"

#define SHAPE                                                                         \
    "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}<end>" \
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"

/* The prompt of messages (JSON with ' for ") for a folder with these files, or the error's text. */
static char *prompt_of(const char *config, const char *jinja, const char *messages,
                       enum chat_end end)
{
    char *folder = support_temp_dir();
    char *quoted = mem_text(messages);
    struct text prompt = {0};
    struct err err = {0};

    for (char *at = quoted; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    json_t *list = json_loads(quoted, 0, NULL);

    assert_non_null(list);
    if (config != NULL) {
        support_write(folder, "tokenizer_config.json", config);
    }
    if (jinja != NULL) {
        support_write(folder, "chat_template.jinja", jinja);
    }
    struct chat *chat = chat_open(folder);
    const int rc = chat_render(chat, list, end, &prompt, &err);
    char *made = mem_text(rc == 0 ? text_get(&prompt) : err.text);

    text_release(&prompt);
    chat_close(chat);
    json_decref(list);
    free(quoted);
    support_remove_dir(folder);
    return made;
}

static void check(const char *config, const char *jinja, const char *messages, enum chat_end end,
                  const char *expected)
{
    char *made = prompt_of(config, jinja, messages, end);

    assert_string_equal(made, expected);
    free(made);
}

static void check_refused(const char *config, const char *jinja, const char *messages,
                          enum chat_end end, const char *why)
{
    char *made = prompt_of(config, jinja, messages, end);

    if (strstr(made, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", made, why);
    }
    free(made);
}

static void opens_the_turn_of_the_answer(void **state)
{
    (void)state;
    check("{\"bos_token\":\"<s>\"}", SHAPE, "[{'role':'user','content':' 1+1= '}]", CHAT_ANSWER,
          "<s><user>1+1=<end><assistant>");
    check("{\"bos_token\":{\"content\":\"<b>\"},\"chat_template\":\"{{ bos_token }}{{ eos_token }}"
          "{{ tools is none }}\"}",
          NULL, "[]", CHAT_ANSWER, "<b>True");
}

static void prefers_the_newer_place_and_the_default_of_several(void **state)
{
    (void)state;
    check("{\"chat_template\":\"old\"}", "new", "[]", CHAT_ANSWER, "new");
    check("{\"chat_template\":[{\"name\":\"rag\",\"template\":\"r\"},"
          "{\"name\":\"default\",\"template\":\"d\"}]}",
          NULL, "[]", CHAT_ANSWER, "d");
}

static void leaves_a_begun_answer_open(void **state)
{
    (void)state;
    check("{}", SHAPE, "[{'role':'user','content':'q'},{'role':'assistant','content':'It is'}]",
          CHAT_CONTINUE, "<user>q<end><assistant>It is");
    /* The template strips it: nothing is put back. */
    check("{}", SHAPE, "[{'role':'user','content':'q'},{'role':'assistant','content':'It is '}]",
          CHAT_CONTINUE, "<user>q<end><assistant>It is");
    check("{}", "{% for m in messages %}[{{ m.content }}]{% endfor %}",
          "[{'role':'user','content':'It is'},{'role':'assistant','content':'It is '}]",
          CHAT_CONTINUE, "[It is][It is ");
    check_refused("{}", "nothing", "[{'role':'assistant','content':'It is'}]", CHAT_CONTINUE,
                  "leaves the beginning of the answer out");
    check_refused("{}", SHAPE, "[{'role':'assistant','content':' '}]", CHAT_CONTINUE,
                  "leaves the beginning of the answer out");
}

static void says_why_there_is_no_prompt(void **state)
{
    (void)state;
    check_refused("{}", NULL, "[]", CHAT_ANSWER,
                  "no chat template, neither in chat_template.jinja nor in tokenizer_config.json");
    check_refused("{}", "\n{{ x|wordwrap }}", "[]", CHAT_ANSWER,
                  "/chat_template.jinja: chat template: line 2: the filter wordwrap is not "
                  "supported");
    check_refused("{\"chat_template\":\"{% import 'x' %}\"}", NULL, "[]", CHAT_ANSWER,
                  "/tokenizer_config.json: chat template: line 1: the statement import");
    check_refused("{}", "{{ raise_exception('no system turns') }}", "[]", CHAT_ANSWER,
                  "chat template: line 1: the template refuses: no system turns");
    check_refused("{", NULL, "[]", CHAT_ANSWER, "tokenizer_config.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_the_turn_of_the_answer),
        cmocka_unit_test(prefers_the_newer_place_and_the_default_of_several),
        cmocka_unit_test(leaves_a_begun_answer_open),
        cmocka_unit_test(says_why_there_is_no_prompt),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
