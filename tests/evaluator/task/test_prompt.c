/* Whole prompts, byte for byte, at every joint. */
#include "evaluator/task/prompt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/support/support.h"

/* Text with ' for " as JSON; the caller's to release. */
static json_t *json(const char *text)
{
    char *quoted = mem_text(text);
    json_t *made = NULL;
    struct err err = {0};

    for (char *at = quoted; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    if (doc_parse(&made, quoted, strlen(quoted), &err) != 0) {
        fail_msg("%s: %s", err.text, quoted);
    }
    free(quoted);
    return made;
}

/* A template that shows the turns: "[user 1+1=][assistant 2][assistant ". */
static struct chat *open_chat(void)
{
    char *folder = support_temp_dir();

    support_write(folder, "chat_template.jinja",
                  "{% for m in messages %}[{{ m.role }} {{ m.content }}]{% endfor %}"
                  "{% if add_generation_prompt %}[assistant {% endif %}");
    struct chat *chat = chat_open(folder);

    support_remove_dir(folder);
    return chat;
}

/* Render a record with examples [n]; the error's text is in err when it cannot be. */
static int render(struct document *out, const char *config_text, enum task_output output,
                  const char *record_text, const char *const *shot_texts, size_t n, struct err *err)
{
    json_t *config = json(config_text);
    json_t *record = json(record_text);
    const json_t *shots[4] = {0};
    struct prompt prompt = {0};
    struct chat *chat = open_chat();

    int rc = prompt_parse(&prompt, config, output, err);
    prompt.template = prompt.chat ? chat : NULL;
    for (size_t i = 0; i < n; i++) {
        shots[i] = json(shot_texts[i]);
    }
    if (rc == 0) {
        rc = prompt_render(&prompt, record, shots, n, out, err);
    }
    for (size_t i = 0; i < n; i++) {
        json_decref((json_t *)shots[i]);
    }
    prompt_release(&prompt);
    chat_close(chat);
    json_decref(record);
    json_decref(config);
    return rc;
}

static const char *const shots[] = {"{'q':'1+1=','a':'2'}", "{'q':'2+2=','a':['4','four']}",
                                    "{'q':'3+3=','a':6}"};

static void check_context(const char *config, size_t n, const char *wanted)
{
    struct document document = {0};
    struct err err = {0};

    if (render(&document, config, TASK_GENERATE_UNTIL, "{'q':'37+45=','a':'82'}", shots, n, &err) !=
        0) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(document.contexts.n, 1);
    assert_string_equal(document.contexts.all[0], wanted);
    document_release(&document);
}

static void refuses(const char *config, enum task_output output, const char *record,
                    const char *why)
{
    struct document document = {0};
    struct err err = {0};

    assert_true(render(&document, config, output, record, NULL, 0, &err) != 0);
    if (strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", err.text, why);
    }
}

static void writes_the_question_alone(void **state)
{
    (void)state;
    check_context("{'prompt':'Q: {q}\\nA:','gold':'a'}", 0, "Q: 37+45=\nA:");
    check_context("{'prompt':'{{{q}}}','gold':'a'}", 0, "{37+45=}");
}

static void puts_examples_between_description_and_question(void **state)
{
    (void)state;
    check_context("{'prompt':'{q}','gold':'a'}", 1, "1+1= 2\n\n37+45=");
    check_context("{'prompt':'{q}','gold':'a','description':'Add.\\n\\n'}", 3,
                  "Add.\n\n1+1= 2\n\n2+2= 4\n\n3+3= 6\n\n37+45=");
    check_context("{'prompt':'{q}','gold':'a','description':'Add.'}", 0, "Add.37+45=");
    check_context("{'prompt':'{q}','gold':'a','target_delimiter':'','fewshot_delimiter':'|'}", 2,
                  "1+1=2|2+2=4|37+45=");
}

static void joins_a_beginning_of_the_answer_where_no_whitespace_is(void **state)
{
    (void)state;
    check_context("{'prompt':'{q}','gold':'a','gen_prefix':'It is'}", 1,
                  "1+1= It is 2\n\n37+45= It is");
    check_context("{'prompt':'{q}\\n','gold':'a','gen_prefix':'It is '}", 1,
                  "1+1=\nIt is 2\n\n37+45=\nIt is ");
    check_context("{'prompt':'{q}','gold':'a','gen_prefix':'\\nIt is'}", 1,
                  "1+1=\nIt is 2\n\n37+45=\nIt is");
    check_context("{'prompt':'{q}','gold':'a','gen_prefix':'{q}:','target_delimiter':'->'}", 1,
                  "1+1=->1+1=: 2\n\n37+45=->37+45=:");
    check_context("{'prompt':'{q}','gold':'a','gen_prefix':''}", 1, "1+1= 2\n\n37+45=");
}

static void scores_each_choice_after_the_delimiter(void **state)
{
    struct document document = {0};
    struct err err = {0};
    const char *const shot[] = {"{'q':'one','c':['a','b'],'g':1}"};

    (void)state;
    assert_int_equal(render(&document, "{'prompt':'{q}:','choices':'{c}','gold':'g'}",
                            TASK_MULTIPLE_CHOICE, "{'q':'two','c':['x',7],'g':'x'}", shot, 1, &err),
                     0);
    assert_string_equal(document.contexts.all[0], "one: b\n\ntwo:");
    assert_int_equal(document.continuations.n, 2);
    assert_string_equal(document.continuations.all[0], " x");
    assert_string_equal(document.continuations.all[1], " 7");
    assert_string_equal(document.choices.all[1], "7");
    assert_int_equal(document.n_golds, 1);
    assert_int_equal(document.golds[0], 0);
    document_release(&document);
}

static void fills_a_literal_list_of_choices(void **state)
{
    struct document document = {0};

    (void)state;
    assert_int_equal(render(&document,
                            "{'prompt':'{q}','choices':['no {q}','yes'],'gold':'g',"
                            "'target_delimiter':''}",
                            TASK_MULTIPLE_CHOICE, "{'q':'Q','g':[1,'no Q']}", NULL, 0, NULL),
                     0);
    assert_string_equal(document.continuations.all[0], "no Q");
    assert_int_equal(document.n_golds, 2);
    assert_int_equal(document.golds[0], 1);
    assert_int_equal(document.golds[1], 0);
    document_release(&document);
}

static void puts_the_choice_into_the_prompt_when_it_goes_on_after_it(void **state)
{
    struct document document = {0};
    const char *const shot[] = {"{'q':'Sue and Al: ','c':['Sue','Al'],'g':0,'rest':'won.'}"};

    (void)state;
    assert_int_equal(render(&document,
                            "{'prompt':'{q}{choice}','choices':'{c}','gold':'g',"
                            "'continuation':'{rest}'}",
                            TASK_MULTIPLE_CHOICE,
                            "{'q':'Ann or Bob: ','c':['Ann','Bob'],'g':1,'rest':'lost.'}", shot, 1,
                            NULL),
                     0);
    assert_int_equal(document_pairs(&document), 2);
    assert_string_equal(document.contexts.all[0], "Sue and Al: Sue won.\n\nAnn or Bob: Ann");
    assert_string_equal(document.contexts.all[1], "Sue and Al: Sue won.\n\nAnn or Bob: Bob");
    assert_int_equal(document.continuations.n, 1);
    assert_string_equal(document.continuations.all[0], " lost.");
    document_release(&document);
}

static void asks_rolling_tasks_for_the_whole_text(void **state)
{
    struct document document = {0};

    (void)state;
    assert_int_equal(render(&document, "{'prompt':'{t}'}", TASK_LOGLIKELIHOOD_ROLLING,
                            "{'t':' a b'}", NULL, 0, NULL),
                     0);
    assert_string_equal(document.contexts.all[0], " a b");
    assert_int_equal(document.continuations.n, 0);
    document_release(&document);
}

static void joins_system_and_description_where_no_whitespace_is(void **state)
{
    (void)state;
    check_context("{'prompt':'{q}','gold':'a','system':'Be brief.'}", 0, "Be brief.37+45=");
    check_context("{'prompt':'{q}','gold':'a','system':'Be brief.','description':'Add.\\n'}", 1,
                  "Be brief.\n\nAdd.\n1+1= 2\n\n37+45=");
    check_context("{'prompt':'{q}','gold':'a','system':'Be brief. ','description':'Add.'}", 0,
                  "Be brief. Add.37+45=");
}

static void folds_examples_into_one_turn(void **state)
{
    (void)state;
    check_context("{'prompt':'{q}','gold':'a','chat':true}", 0, "[user 37+45=][assistant ");
    check_context("{'prompt':'{q}','gold':'a','chat':true,'description':'Add.\\n\\n'}", 2,
                  "[system Add.\n\n][user 1+1= 2\n\n2+2= 4\n\n37+45=][assistant ");
    check_context("{'prompt':'{q}','gold':'a','chat':true,'system':'S','description':'D'}", 0,
                  "[system S\n\nD][user 37+45=][assistant ");
}

static void gives_every_example_its_turns(void **state)
{
    (void)state;
    check_context("{'prompt':'{q}','gold':'a','chat':true,'fewshot_as_multiturn':true}", 3,
                  "[user 1+1=][assistant 2][user 2+2=][assistant 4][user 3+3=][assistant 6]"
                  "[user 37+45=][assistant ");
    check_context("{'prompt':'{q}','gold':'a','chat':true,'fewshot_as_multiturn':true,"
                  "'gen_prefix':'It is'}",
                  1, "[user 1+1=][assistant It is 2][user 37+45=][assistant It is");
}

static void goes_on_with_a_beginning_of_the_answer(void **state)
{
    (void)state;
    check_context("{'prompt':'{q}','gold':'a','chat':true,'gen_prefix':'It is'}", 0,
                  "[user 37+45=][assistant It is");
    check_context("{'prompt':'{q}','gold':'a','chat':true,'gen_prefix':'{q} '}", 1,
                  "[user 1+1= 1+1= 2\n\n37+45=][assistant 37+45= ");
}

static void check_continuations(const char *config, const char *first, const char *second)
{
    struct document document = {0};
    struct err err = {0};

    if (render(&document, config, TASK_MULTIPLE_CHOICE, "{'q':'Q','c':['x','y'],'g':0}", NULL, 0,
               &err) != 0) {
        fail_msg("%s", err.text);
    }
    assert_string_equal(document.continuations.all[0], first);
    assert_string_equal(document.continuations.all[1], second);
    document_release(&document);
}

static void puts_no_delimiter_before_an_answer_in_a_turn_of_its_own(void **state)
{
    (void)state;
    check_continuations("{'prompt':'{q}','choices':'{c}','gold':'g','chat':true}", "x", "y");
    check_continuations(
        "{'prompt':'{q}','choices':'{c}','gold':'g','chat':true,'gen_prefix':'It is'}", " x", " y");
    check_continuations(
        "{'prompt':'{q}','choices':'{c}','gold':'g','chat':true,'gen_prefix':'It is\\n'}", "x",
        "y");
}

static void asks_for_each_choice_inside_the_prompt_in_a_chat_of_its_own(void **state)
{
    struct document document = {0};

    (void)state;
    assert_int_equal(render(&document,
                            "{'prompt':'{q}{choice}','choices':'{c}','gold':'g',"
                            "'continuation':'{rest}','chat':true}",
                            TASK_MULTIPLE_CHOICE,
                            "{'q':'Ann or Bob: ','c':['Ann','Bob'],'g':1,'rest':'lost.'}", NULL, 0,
                            NULL),
                     0);
    assert_string_equal(document.contexts.all[0], "[user Ann or Bob: Ann][assistant ");
    assert_string_equal(document.contexts.all[1], "[user Ann or Bob: Bob][assistant ");
    assert_string_equal(document.continuations.all[0], "lost.");
    document_release(&document);
}

static void says_what_a_record_lacks(void **state)
{
    const char *choice = "{'prompt':'{q}','choices':'{c}','gold':'g'}";
    const char *answer = "{'prompt':'{q}','gold':'a'}";

    (void)state;
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'q':'x','c':['a','b']}", "no gold");
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'q':'x','c':['a','b'],'g':null}", "no gold");
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'q':'x','c':['a','b'],'g':[]}", "empty list");
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'q':'x','c':['a','b'],'g':1.5}", "gold: expected");
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'q':'x','c':['a',''],'g':0}", "choice 1 is empty");
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'q':'x','c':[],'g':0}", "0 choices");
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'q':'x','g':0}", "no member \"c\"");
    refuses(choice, TASK_MULTIPLE_CHOICE, "{'c':['a'],'g':0}", "no member \"q\"");
    refuses(answer, TASK_GENERATE_UNTIL, "{'q':['x'],'a':'b'}", "member \"q\": expected a text");
    refuses(answer, TASK_LOGLIKELIHOOD, "{'q':'x','a':''}", "gold is empty");
    refuses(answer, TASK_LOGLIKELIHOOD, "{'q':'x','a':['b','c']}", "2 entries");
}

static void says_what_a_configuration_lacks(void **state)
{
    (void)state;
    refuses("{'gold':'a'}", TASK_GENERATE_UNTIL, "{}", "prompt");
    refuses("{'prompt':'x'}", TASK_GENERATE_UNTIL, "{}", "gold");
    refuses("{'prompt':'x','gold':'a'}", TASK_MULTIPLE_CHOICE, "{}", "choices");
    refuses("{'prompt':'x','gold':'a','choices':'c'}", TASK_MULTIPLE_CHOICE, "{}", "{member}");
    refuses("{'prompt':'{x','gold':'a'}", TASK_GENERATE_UNTIL, "{}", "brace");
    refuses("{'prompt':'x}','gold':'a'}", TASK_GENERATE_UNTIL, "{}", "brace");
    refuses("{'prompt':'{}','gold':'a'}", TASK_GENERATE_UNTIL, "{}", "brace");
    refuses("{'prompt':'x','gold':'a'}", TASK_LOGLIKELIHOOD_ROLLING, "{}", "rolling");
    refuses("{'prompt':'x','gold':'a','choices':['y']}", TASK_GENERATE_UNTIL, "{}",
            "multiple_choice");
    refuses("{'prompt':'x','chat':true}", TASK_LOGLIKELIHOOD_ROLLING, "{}", "no turns");
    refuses("{'prompt':'x','gold':'a','chat':1}", TASK_GENERATE_UNTIL, "{}", "chat");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_question_alone),
        cmocka_unit_test(puts_examples_between_description_and_question),
        cmocka_unit_test(joins_a_beginning_of_the_answer_where_no_whitespace_is),
        cmocka_unit_test(scores_each_choice_after_the_delimiter),
        cmocka_unit_test(fills_a_literal_list_of_choices),
        cmocka_unit_test(puts_the_choice_into_the_prompt_when_it_goes_on_after_it),
        cmocka_unit_test(asks_rolling_tasks_for_the_whole_text),
        cmocka_unit_test(joins_system_and_description_where_no_whitespace_is),
        cmocka_unit_test(folds_examples_into_one_turn),
        cmocka_unit_test(gives_every_example_its_turns),
        cmocka_unit_test(goes_on_with_a_beginning_of_the_answer),
        cmocka_unit_test(puts_no_delimiter_before_an_answer_in_a_turn_of_its_own),
        cmocka_unit_test(asks_for_each_choice_inside_the_prompt_in_a_chat_of_its_own),
        cmocka_unit_test(says_what_a_record_lacks),
        cmocka_unit_test(says_what_a_configuration_lacks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
