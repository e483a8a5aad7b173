#include "evaluator/task/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

#define LLAMA TESTS_DIR "/../study/examples/models/base"

/* Of the example tokenizer: </s> is 2, "\n" 13, " " 319, "7" 353. */
static struct answer_ends ends_for(const char *stop)
{
    struct answer_ends ends = {0};
    struct tokenizer *tokenizer = NULL;
    struct strings stops = {0};

    assert_int_equal(tokenizer_open(&tokenizer, LLAMA, NULL), 0);
    strings_add(&stops, mem_text(stop));
    assert_int_equal(answer_ends_find(&ends, tokenizer, &stops, NULL), 0);
    strings_release(&stops);
    tokenizer_close(tokenizer);
    return ends;
}

static void ends_at_an_end_of_sequence_or_a_stop_text(void **state)
{
    struct answer_ends ends = ends_for("\n");

    (void)state;
    assert_int_equal(ends.n, 364);
    assert_true(ends.ends[2] != 0);
    assert_true(ends.ends[13] != 0);
    assert_true(ends.ends[319] == 0);
    assert_true(ends.ends[353] == 0);
    answer_ends_release(&ends);
}

static void does_not_end_at_the_beginning_of_a_longer_stop_text(void **state)
{
    struct answer_ends ends = ends_for("\n\n");

    (void)state;
    assert_true(ends.ends[2] != 0);
    assert_true(ends.ends[13] == 0);
    answer_ends_release(&ends);
}

static void matches_only_when_greedy_and_ended_and_within_reach(void **state)
{
    struct answer_ends ends = ends_for("\n");
    const struct request asks = {.wants_next = true};
    const struct request full = {.wants_next = false};
    const struct request far = {.out_of_reach = true};

    (void)state;
    assert_true(answer_matches(&ends, &asks, true, 13));
    assert_false(answer_matches(&ends, &asks, false, 13));
    assert_false(answer_matches(&ends, &asks, true, 353));
    assert_false(answer_matches(&ends, &asks, true, UINT32_MAX));
    assert_true(answer_matches(&ends, &full, true, UINT32_MAX));
    assert_false(answer_matches(&ends, &far, true, 13));
    answer_ends_release(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_at_an_end_of_sequence_or_a_stop_text),
        cmocka_unit_test(does_not_end_at_the_beginning_of_a_longer_stop_text),
        cmocka_unit_test(matches_only_when_greedy_and_ended_and_within_reach),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
