#include "study/score.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "tests/study/cases.h"

static const char digest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/* Two documents with two and one requests, two metrics; the second has no standard error. */
static char *metrics[] = {(char[]){"acc"}, (char[]){"choice_logprob"}};
static double values[] = {0.5, -0.1 - 0.2};
static double errors[] = {0.25, (double)NAN};
static char *ids[] = {(char[]){"d-0"}, (char[]){"d-1 \"\xc3\xa9\""}};
static double document_values[] = {1, -0.125, 0, -1.0 / 3};
static uint32_t first[] = {0, 2, 3};
static double loglikelihoods[] = {-1.5, -2.25, -5e-324};
static uint8_t greedy[] = {1, 0, 1};
static struct score_task task = {
    .name = (char[]){"addition"},
    .digest = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    .n = 2,
    .n_metrics = 2,
    .metrics = metrics,
    .values = values,
    .errors = errors,
    .ids = ids,
    .document_values = document_values,
    .first = first,
    .loglikelihoods = loglikelihoods,
    .greedy = greedy,
    .truncated = 1,
    .n_told = 7,
};
static const struct score plain = {
    .weights = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    .path = (char[]){"f32/openblas-Haswell"},
    .wall_s = 1.25,
    .cpu_s = 2,
    .positions = 12345,
    .n_tasks = 1,
    .tasks = &task,
};

static char *printed(const struct score *score)
{
    struct text text = {0};
    json_t *doc = score_print(score);

    doc_print(&text, doc);
    json_decref(doc);
    return text_take(&text);
}

static void check_same_bytes(const struct score *score)
{
    json_t *doc = score_print(score);
    struct score read = {0};
    struct err err = {0};
    char *before = printed(score);

    if (score_parse(&read, doc, &err) != 0) {
        fail_msg("%s", err.text);
    }
    char *after = printed(&read);

    assert_string_equal(after, before);
    free(before);
    free(after);
    score_release(&read);
    json_decref(doc);
}

/* score_parse of the plain score with a patch to it or to its task; either may be "". */
static int parse_with(const char *score_patch, const char *task_patch, struct err *err)
{
    json_t *doc = score_print(&plain);
    struct score read = {0};

    cases_patch_yaml(doc, score_patch);
    cases_patch_yaml(json_array_get(json_object_get(doc, "tasks"), 0), task_patch);
    int rc = score_parse(&read, doc, err);

    score_release(&read);
    json_decref(doc);
    return rc;
}

static void expect_refused(const char *score_patch, const char *task_patch, const char *expected)
{
    struct err err = {0};

    assert_int_not_equal(parse_with(score_patch, task_patch, &err), 0);
    assert_string_equal(err.text, expected);
}

static void what_is_printed_reads_back_to_the_same_bytes(void **state)
{
    (void)state;
    check_same_bytes(&plain);
}

static void every_bit_of_a_value_travels(void **state)
{
    json_t *doc = score_print(&plain);
    struct score read = {0};

    (void)state;
    assert_int_equal(score_parse(&read, doc, NULL), 0);
    const struct score_task *back = &read.tasks[0];

    assert_memory_equal(back->values, values, sizeof(values));
    assert_memory_equal(back->errors, errors, sizeof(errors));
    assert_memory_equal(back->document_values, document_values, sizeof(document_values));
    assert_memory_equal(back->loglikelihoods, loglikelihoods, sizeof(loglikelihoods));
    assert_memory_equal(back->greedy, greedy, sizeof(greedy));
    assert_string_equal(back->ids[1], ids[1]);
    assert_int_equal(back->truncated, 1);
    assert_int_equal(back->n_told, 7);
    score_release(&read);
    json_decref(doc);
}

static void a_failed_score_travels_without_tasks(void **state)
{
    const struct score failed = {.failure = SCORE_OOM, .detail = (char[]){"blend: no memory"}};

    (void)state;
    check_same_bytes(&failed);
}

static void a_task_without_documents_or_ids_travels(void **state)
{
    uint32_t none[] = {0};
    struct score_task empty = {.name = (char[]){"empty"}, .first = none};
    const struct score score = {.failure = SCORE_EXIT, .n_tasks = 1, .tasks = &empty};

    (void)state;
    memcpy(empty.digest, digest, DIGEST_HEX);
    check_same_bytes(&score);
}

static void a_detail_that_is_no_text_is_made_one(void **state)
{
    const struct score failed = {.failure = SCORE_EXIT, .detail = (char[]){"caf\xe9 \xc3\xa9"}};
    json_t *doc = score_print(&failed);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(doc, "detail")), "caf? \xc3\xa9");
    json_decref(doc);
}

static void a_decimal_that_disagrees_with_its_bits_is_refused(void **state)
{
    (void)state;
    expect_refused("{}",
                   "metrics: [{name: acc, value: {bits: 3fe0000000000000, value: 0.25}, error: "
                   "{bits: 7ff8000000000000}}]",
                   "tasks[0].metrics[0].value.value: 0.25 disagrees with bits 3fe0000000000000");
    expect_refused("{}",
                   "metrics: [{name: acc, value: {bits: 3fe0000000000000}, error: {bits: "
                   "7ff8000000000000}}]",
                   "tasks[0].metrics[0].value.value: missing");
    expect_refused("{}",
                   "metrics: [{name: acc, value: {bits: 3fe0000000000000, value: 0.5}, error: "
                   "{bits: 7ff8000000000000, value: 0}}]",
                   "tasks[0].metrics[0].error.value: bits 7ff8000000000000 are not finite");
    expect_refused("{}", "metrics: [{name: acc, value: {bits: 3fe}, error: {}}]",
                   "tasks[0].metrics[0].value.bits: 3fe: expected 16 hex digits");
}

static void a_success_with_a_value_that_is_not_finite_is_refused(void **state)
{
    (void)state;
    const char *not_a_number = "metrics: [{name: acc, value: {bits: 7ff8000000000000}, error: "
                               "{bits: 7ff8000000000000}}, {name: b, value: {bits: "
                               "'0000000000000000', value: 0}, error: {bits: 7ff8000000000000}}]";

    expect_refused("{}", not_a_number, "tasks[0]: addition has a value that is not finite");
    assert_int_equal(parse_with("{failure: nan}", not_a_number, NULL), 0);

    double kept = loglikelihoods[1];
    loglikelihoods[1] = -(double)INFINITY;
    expect_refused("{}", "{}", "tasks[0]: addition has a value that is not finite");
    loglikelihoods[1] = kept;
}

static void fields_of_another_kind_are_refused_with_their_place(void **state)
{
    (void)state;
    expect_refused("{failure: broken}", "{}", "failure: no such kind 'broken'");
    expect_refused("{weights: abc}", "{}", "weights: expected 64 hex digits or nothing");
    expect_refused("{positions: -1}", "{}", "positions: -1 is outside 0 to 9223372036854775807");
    expect_refused("{wall_s: long}", "{}", "wall_s: expected a number, got a text");
    expect_refused("{walls: 1}", "{}", "walls: unknown key, did you mean wall_s?");
    expect_refused("{}", "{digest: abc}", "tasks[0].digest: expected 64 hex digits");
    expect_refused("{}", "{name: ~}", "tasks[0].name: missing");
    expect_refused("{}", "{n: 3}", "tasks[0].documents: 2 with 2 metrics, the task has 3 with 2");
    expect_refused("{}", "{ids: [x]}", "tasks[0].ids: 1 for 2 documents");
    expect_refused("{}", "{ids: [x, 7]}", "tasks[0].ids[1]: expected a text, got a number");
    expect_refused("{}", "{documents: '***'}", "tasks[0].documents: not base64");
    expect_refused("{}", "{documents: AAAA}", "tasks[0].documents: 3 bytes are too few");
    expect_refused("{}", "{metrics: [acc]}", "tasks[0].metrics[0]: expected an object, got a text");
}

static void packing_follows_the_described_bytes(void **state)
{
    unsigned char *bytes;
    size_t n;
    const uint32_t head[] = {1, 2, 2, 3, 0, 2, 3};

    (void)state;
    score_pack(&task, &bytes, &n);
    assert_int_equal(n, 28 + 4 * 8 + 3 * 8 + 3);
    assert_memory_equal(bytes, head, sizeof(head));
    assert_memory_equal(bytes + 28, document_values, 32);
    assert_memory_equal(bytes + 60, loglikelihoods, 24);
    assert_memory_equal(bytes + 84, greedy, 3);
    free(bytes);
}

/* Cut anywhere, with any byte added, and with any byte of head and counts changed. */
static void a_packed_form_of_another_size_is_refused(void **state)
{
    unsigned char *bytes;
    size_t n;
    struct score_task out = {0};

    (void)state;
    score_pack(&task, &bytes, &n);
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(score_unpack(&out, bytes, cut, NULL), ERR_FORMAT);
    }
    bytes = mem_resize(bytes, n + 1, 1);
    bytes[n] = 0;
    assert_int_equal(score_unpack(&out, bytes, n + 1, NULL), ERR_FORMAT);
    for (size_t at = 0; at < 28; at++) {
        bytes[at] ^= 0x40;
        assert_int_equal(score_unpack(&out, bytes, n, NULL), ERR_FORMAT);
        bytes[at] ^= 0x40;
    }
    bytes[n - 1] = 2; /* a greedy flag */
    assert_int_equal(score_unpack(&out, bytes, n, NULL), ERR_FORMAT);
    assert_null(out.first);
    free(bytes);
}

static void requests_out_of_order_are_refused(void **state)
{
    uint32_t crossed[] = {0, 4, 3};
    struct score_task wrong = task;
    struct score_task out = {0};
    struct err err = {0};
    unsigned char *bytes;
    size_t n;

    (void)state;
    wrong.first = crossed;
    score_pack(&wrong, &bytes, &n);
    assert_int_equal(score_unpack(&out, bytes, n, &err), ERR_FORMAT);
    assert_string_equal(err.text, "documents: requests out of order at document 1");
    free(bytes);
}

static void memory_that_runs_out_is_an_error_and_nothing_leaks(void **state)
{
    json_t *doc = score_print(&plain);
    struct score read = {0};
    int rc = ERR_MEMORY;
    long k;

    (void)state;
    for (k = 0; rc != 0; k++) {
        mem_fail_after(k);
        rc = score_parse(&read, doc, NULL);
        assert_true(rc == 0 || rc == ERR_MEMORY);
    }
    mem_fail_after(-1);
    assert_int_equal(k, 6); /* the decoded bytes and four arrays */
    score_release(&read);
    json_decref(doc);
}

static void the_digest_covers_what_decides_the_search_and_nothing_else(void **state)
{
    char before[DIGEST_HEX];
    char after[DIGEST_HEX];
    struct score other = plain;

    (void)state;
    score_digest(&plain, before);
    other.wall_s = 99;
    other.positions = 1;
    other.detail = (char[]){"slow"};
    task.ids = NULL;
    score_digest(&other, after);
    task.ids = ids;
    assert_string_equal(after, before);

    other = plain;
    other.path = (char[]){"amx2"};
    score_digest(&other, after);
    assert_string_not_equal(after, before);

    other = plain;
    other.weights[0] = 'b';
    score_digest(&other, after);
    assert_string_not_equal(after, before);

    loglikelihoods[2] = -1e-323;
    score_digest(&plain, after);
    loglikelihoods[2] = -5e-324;
    assert_string_not_equal(after, before);

    values[0] = nextafter(0.5, 1);
    score_digest(&plain, after);
    values[0] = 0.5;
    assert_string_not_equal(after, before);
}

static void tasks_and_metrics_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(score_find(&plain, "addition"), &task);
    assert_null(score_find(&plain, "reversal"));
    assert_int_equal(score_metric(&task, "choice_logprob"), 1);
    assert_int_equal(score_metric(&task, "acc_norm"), SIZE_MAX);
}

static void failures_have_names_and_two_are_final(void **state)
{
    enum score_failure failure;
    size_t n_final = 0;

    (void)state;
    for (int i = SCORE_OK; i < SCORE_FAILURES; i++) {
        assert_true(score_failure_parse(score_failure_name((enum score_failure)i), &failure));
        assert_int_equal(failure, i);
        n_final += score_failure_final(failure);
    }
    assert_int_equal(n_final, 2);
    assert_true(score_failure_final(SCORE_NAN) && score_failure_final(SCORE_REFUSED));
    assert_false(score_failure_parse("broken", &failure));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_reads_back_to_the_same_bytes),
        cmocka_unit_test(every_bit_of_a_value_travels),
        cmocka_unit_test(a_failed_score_travels_without_tasks),
        cmocka_unit_test(a_task_without_documents_or_ids_travels),
        cmocka_unit_test(a_detail_that_is_no_text_is_made_one),
        cmocka_unit_test(a_decimal_that_disagrees_with_its_bits_is_refused),
        cmocka_unit_test(a_success_with_a_value_that_is_not_finite_is_refused),
        cmocka_unit_test(fields_of_another_kind_are_refused_with_their_place),
        cmocka_unit_test(packing_follows_the_described_bytes),
        cmocka_unit_test(a_packed_form_of_another_size_is_refused),
        cmocka_unit_test(requests_out_of_order_are_refused),
        cmocka_unit_test(memory_that_runs_out_is_an_error_and_nothing_leaks),
        cmocka_unit_test(the_digest_covers_what_decides_the_search_and_nothing_else),
        cmocka_unit_test(tasks_and_metrics_are_found_by_name),
        cmocka_unit_test(failures_have_names_and_two_are_final),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
