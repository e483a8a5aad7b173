#include "evaluator/program/outcome.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "evaluator/program/outcome_documents.h"
#include "tests/support/support.h"

/* ---- result files, with ' for " ---- */

static char *unquoted(const char *text)
{
    char *made = mem_text(text);

    for (char *at = made; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    return made;
}

static struct outcome found(const char *file, const char *task, const char *metric)
{
    struct outcome outcome = {0};
    struct err err = {0};
    char *text = unquoted(file);

    if (outcome_parse(&outcome, text, strlen(text), task, metric, &err) != 0) {
        fail_msg("%s", err.text);
    }
    free(text);
    return outcome;
}

static void refuses(const char *file, const char *task, const char *metric, int code,
                    const char *why)
{
    struct outcome outcome = {0};
    struct err err = {0};
    char *text = unquoted(file);

    assert_int_equal(outcome_parse(&outcome, text, strlen(text), task, metric, &err), code);
    if (strstr(err.text, why) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", err.text, why);
    }
    free(text);
}

#define GSM                                                                              \
    "{'results': {'gsm8k': {'alias': 'gsm8k', 'exact_match,strict-match': 0.5,"          \
    " 'exact_match_stderr,strict-match': 0.05, 'exact_match,flexible-extract': '0.625'," \
    " 'exact_match_stderr,flexible-extract': 'N/A'}},"                                   \
    " 'higher_is_better': {'gsm8k': {'exact_match': true}},"                             \
    " 'n-samples': {'gsm8k': {'original': 1319, 'effective': 200}}}"

static void takes_value_error_direction_and_count_of_a_filter(void **state)
{
    const struct outcome outcome = found(GSM, "gsm8k", "exact_match,strict-match");

    (void)state;
    assert_true(outcome.value == 0.5 && outcome.error == 0.05);
    assert_int_equal(outcome.n, 200);
    assert_int_equal(outcome.better, OUTCOME_HIGHER);
    assert_string_equal(outcome.metric, "exact_match");
    assert_string_equal(outcome.filter, "strict-match");
}

static void takes_texts_that_are_numbers_and_no_error_where_there_is_none(void **state)
{
    const struct outcome outcome = found(GSM, "gsm8k", "exact_match,flexible-extract");

    (void)state;
    assert_true(outcome.value == 0.625);
    assert_true(isnan(outcome.error));
}

static void names_the_filters_where_there_are_several(void **state)
{
    (void)state;
    refuses(GSM, "gsm8k", "exact_match", ERR_FORMAT,
            "exact_match,strict-match, exact_match,flexible-extract");
}

static void takes_the_filter_none_or_the_only_one_where_none_is_named(void **state)
{
    (void)state;
    assert_true(
        found("{'results': {'t': {'acc,x': 0.1, 'acc,none': 0.2, 'acc,y': 0.3}}}", "t", "acc")
            .value == 0.2);
    assert_true(found("{'results': {'t': {'acc,x': 0.1, 'acc_norm,x': 0.2}}}", "t", "acc").value ==
                0.1);
    assert_true(found("{'results': {'t': {'score': 7}}}", "t", "score").value == 7.0);
}

static void takes_what_has_no_value_for_missing_and_never_for_zero(void **state)
{
    (void)state;
    refuses("{'results': {'t': {'acc,none': 'N/A'}}}", "t", "acc", ERR_MISSING, "it is N/A");
    refuses("{'results': {'t': {'acc,none': NaN}}}", "t", "acc", ERR_MISSING, "no value");
    refuses("{'results': {'t': {'acc,none': -Infinity}}}", "t", "acc", ERR_MISSING, "no value");
    refuses("{'results': {'t': {'acc,none': 'nan'}}}", "t", "acc", ERR_MISSING, "no value");
    refuses("{'results': {'t': {'acc,none': 'Infinity'}}}", "t", "acc", ERR_MISSING, "no value");
    refuses("{'results': {'t': {'acc,none': null}}}", "t", "acc", ERR_MISSING, "no value");
    refuses("{'results': {'t': {'acc,none': ''}}}", "t", "acc", ERR_MISSING, "no value");
    refuses("{'results': {'t': {'acc,none': [1]}}}", "t", "acc", ERR_MISSING, "no value");
}

static void leaves_bare_words_in_texts_alone(void **state)
{
    (void)state;
    assert_true(
        found("{'a': '\\'NaN', 'b': NaN, 'results': {'NaN': {'NaN,none': 2}}}", "NaN", "NaN")
            .value == 2.0);
}

static void looks_for_a_group_before_a_task(void **state)
{
    (void)state;
    assert_true(found("{'results': {'g': {'acc,none': 0.1}}, 'groups': {'g': {'acc,none': 0.9}}}",
                      "g", "acc")
                    .value == 0.9);
    assert_true(found("{'results': {}, 'groups': {'g': {'acc,none': 0.9}}}", "g", "acc").value ==
                0.9);
    assert_true(found("{'results': {'g': {'acc,none': 0.1}}, 'groups': {'g': {'f1,none': 0.9}}}",
                      "g", "acc")
                    .value == 0.1);
}

static void names_what_is_not_there(void **state)
{
    (void)state;
    refuses(GSM, "gsm", "exact_match,strict-match", ERR_MISSING, "no result of task gsm");
    refuses(GSM, "gsm8k", "exact_match,strict", ERR_MISSING, "exact_match,strict-match");
    refuses("{}", "t", "acc", ERR_MISSING, "no result of task t");
}

static void refuses_a_file_that_is_cut_off(void **state)
{
    char *text = unquoted(GSM);
    const size_t n = strlen(text);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct outcome outcome = {0};

        assert_int_equal(
            outcome_parse(&outcome, text, i, "gsm8k", "exact_match,strict-match", NULL),
            ERR_FORMAT);
    }
    free(text);
}

static void says_which_way_is_better_only_where_the_file_does(void **state)
{
    (void)state;
    assert_int_equal(found("{'results': {'t': {'p,none': 3}},"
                           " 'higher_is_better': {'t': {'p': false}}}",
                           "t", "p")
                         .better,
                     OUTCOME_LOWER);
    assert_int_equal(found("{'results': {'t': {'p,none': 3}},"
                           " 'higher_is_better': {'t': {'p': null}}}",
                           "t", "p")
                         .better,
                     OUTCOME_UNSAID);
    assert_int_equal(found("{'results': {'t': {'p,none': 3}}}", "t", "p").better, OUTCOME_UNSAID);
}

/* ---- last lines ---- */

static void takes_the_score_of_the_last_line_that_is_not_blank(void **state)
{
    static const char text[] = "loading\n{\"score\": 1}\n{\"score\": 0.25, \"n\": 40, "
                               "\"stderr\": 0.125}\r\n\n";
    struct outcome outcome = {0};
    struct err err = {0};

    (void)state;
    assert_int_equal(outcome_line(&outcome, text, strlen(text), &err), 0);
    assert_true(outcome.value == 0.25 && outcome.error == 0.125);
    assert_int_equal(outcome.n, 40);
}

static void refuses_a_last_line_that_is_no_score(void **state)
{
    static const char *const lines[] = {"",
                                        "\n \n",
                                        "{\"score\": 1}\ndone",
                                        "{\"score\": NaN}",
                                        "{\"score\": \"N/A\"}",
                                        "{\"scores\": 1}",
                                        "0.5",
                                        "{\"score\": true}",
                                        "{\"score\": 1"};
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct outcome outcome = {0};
        struct err err = {0};

        assert_int_not_equal(outcome_line(&outcome, lines[i], strlen(lines[i]), &err), 0);
        assert_true(err.text[0] != '\0');
    }
}

/* ---- files ---- */

static void set_age(const char *folder, const char *name, long seconds)
{
    char *path = file_join(folder, name);
    const struct timespec times[2] = {{.tv_sec = 1000000 - seconds}, {.tv_sec = 1000000 - seconds}};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    free(path);
}

static void finds_the_newest_result_however_deep(void **state)
{
    char *folder = support_temp_dir();
    char *deep = file_join(folder, "a/b");
    char *path = NULL;

    (void)state;
    assert_int_equal(outcome_find(&path, folder, NULL), ERR_MISSING);
    file_make_dirs(deep, NULL);
    support_write(folder, "results.json", "{}");
    support_write(folder, "results_old.txt", "{}");
    support_write(folder, "myresults_1.json", "{}");
    support_write(deep, "results_2024.json", "{}");
    set_age(folder, "results.json", 10);
    set_age(folder, "myresults_1.json", 1);
    set_age(deep, "results_2024.json", 5);
    assert_int_equal(outcome_find(&path, folder, NULL), 0);
    assert_string_equal(file_name(path), "results_2024.json");
    free(path);
    set_age(deep, "results_2024.json", 15);
    assert_int_equal(outcome_find(&path, folder, NULL), 0);
    assert_string_equal(file_name(path), "results.json");
    free(path);
    free(deep);
    support_remove_dir(folder);
}

/* ---- values a document ---- */

#define LOG                                                              \
    "{'doc_id': 10, 'filter': 'strict', 'exact_match': 1.0, 'x': NaN}\n" \
    "{'doc_id': 10, 'filter': 'loose', 'exact_match': 1.0}\n"            \
    "{'doc_id': 9, 'filter': 'strict', 'exact_match': 0.0}\n"            \
    "{'doc_id': 9, 'filter': 'loose', 'exact_match': 1.0}\n"

static struct outcome_documents documents_of(const char *log, double value)
{
    struct outcome_documents documents = {0};
    const struct outcome outcome = {.value = value, .metric = "exact_match", .filter = "strict"};
    char *text = unquoted(log);

    outcome_documents_parse(&documents, text, strlen(text), &outcome);
    free(text);
    return documents;
}

static void takes_a_value_a_document_of_the_filter_in_order(void **state)
{
    struct outcome_documents documents = documents_of(LOG, 0.5);

    (void)state;
    assert_int_equal(documents.n, 2);
    assert_string_equal(documents.ids[0], "9");
    assert_string_equal(documents.ids[1], "10");
    assert_true(documents.values[0] == 0.0 && documents.values[1] == 1.0);
    outcome_documents_release(&documents);
}

static void takes_none_that_do_not_account_for_the_value(void **state)
{
    static const char *const logs[] = {
        "",
        "{'doc_id': 1, 'filter': 'loose', 'exact_match': 0.5}\n",
        "{'doc_id': 1, 'filter': 'strict', 'exact_match': 0.75}\n",
        "{'doc_id': 1, 'filter': 'strict', 'exact_match': [0.5]}\n",
        "{'doc_id': 'a', 'filter': 'strict', 'exact_match': 0.5}\n",
        ("{'doc_id': 1, 'filter': 'strict', 'exact_match': 0.5}\n"
         "{'doc_id': 1, 'filter': 'strict', 'exact_match': 0.5}\n"),
        "{'doc_id': 1, 'filter': 'strict', 'exact_match': 0.5}\n{'doc_id': 2, 'filt"};

    (void)state;
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++) {
        assert_int_equal(documents_of(logs[i], 0.5).n, 0);
    }
}

static void reads_the_log_of_the_task_and_of_no_longer_name(void **state)
{
    char *folder = support_temp_dir();
    char *log = unquoted("{'doc_id': 1, 'filter': 'none', 'acc': true}\n");
    const struct outcome outcome = {.value = 1.0, .metric = "acc", .filter = "none"};
    struct outcome_documents documents = {0};

    (void)state;
    support_write(folder, "samples_arc_easy_2024-05-01T10-00-00.jsonl", log);
    outcome_documents_read(&documents, folder, "arc", &outcome);
    assert_int_equal(documents.n, 0);
    outcome_documents_read(&documents, folder, "arc_easy", &outcome);
    assert_int_equal(documents.n, 1);
    outcome_documents_release(&documents);
    free(log);
    support_remove_dir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_value_error_direction_and_count_of_a_filter),
        cmocka_unit_test(takes_texts_that_are_numbers_and_no_error_where_there_is_none),
        cmocka_unit_test(names_the_filters_where_there_are_several),
        cmocka_unit_test(takes_the_filter_none_or_the_only_one_where_none_is_named),
        cmocka_unit_test(takes_what_has_no_value_for_missing_and_never_for_zero),
        cmocka_unit_test(leaves_bare_words_in_texts_alone),
        cmocka_unit_test(looks_for_a_group_before_a_task),
        cmocka_unit_test(names_what_is_not_there),
        cmocka_unit_test(refuses_a_file_that_is_cut_off),
        cmocka_unit_test(says_which_way_is_better_only_where_the_file_does),
        cmocka_unit_test(takes_the_score_of_the_last_line_that_is_not_blank),
        cmocka_unit_test(refuses_a_last_line_that_is_no_score),
        cmocka_unit_test(finds_the_newest_result_however_deep),
        cmocka_unit_test(takes_a_value_a_document_of_the_filter_in_order),
        cmocka_unit_test(takes_none_that_do_not_account_for_the_value),
        cmocka_unit_test(reads_the_log_of_the_task_and_of_no_longer_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
