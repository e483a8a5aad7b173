#include "evaluator/task/answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define LLAMA TESTS_DIR "/../study/examples/models/base"
#define END 0u

/* A vocabulary made for the table: token 0 ends the sequence, the others write these texts. */
static const char *const texts[] = {"",     "8",   "2", "82", "\n", "\n\n",
                                    "82\n", "2\n", "3", "#",  "##"};
#define N_TEXTS (sizeof texts / sizeof *texts)

static struct answer_rules rules_with(const struct strings *stops, size_t max_new_tokens)
{
    struct answer_rules rules = {.stops = *stops, .max_new_tokens = max_new_tokens};
    struct answer_vocabulary *vocabulary = &rules.vocabulary;

    vocabulary->n = N_TEXTS;
    vocabulary->ends = mem_array(N_TEXTS, sizeof *vocabulary->ends);
    vocabulary->last = mem_array(N_TEXTS, sizeof *vocabulary->last);
    vocabulary->last[END] = 1;
    for (size_t i = 0; i < N_TEXTS; i++) {
        text_add(&vocabulary->texts, texts[i]);
        vocabulary->ends[i] = vocabulary->texts.size;
    }
    return rules;
}

static uint32_t token(const char *text)
{
    for (uint32_t i = 1; i < N_TEXTS; i++) {
        if (strcmp(texts[i], text) == 0) {
            return i;
        }
    }
    return END;
}

/* The verdicts after each of the tokens, as "o" open, "r" right, "w" wrong; the answer is 82.
 * Tokens are separated by '|', and "end" ends the sequence. */
static const char *verdicts(const char *stop_a, const char *stop_b, size_t max, const char *tokens)
{
    static char found[16];
    struct strings stops = {0};
    struct answer answer = {.wanted = "82"};
    size_t n = 0;

    strings_add(&stops, mem_text(stop_a));
    if (stop_b != NULL) {
        strings_add(&stops, mem_text(stop_b));
    }
    struct answer_rules rules = rules_with(&stops, max);
    char *list = mem_text(tokens);

    for (char *at = list, *next = NULL; at != NULL; at = next) {
        next = strchr(at, '|');
        if (next != NULL) {
            *next++ = '\0';
        }
        found[n++] = "wro"[answer_write(&answer, &rules, token(at))];
    }
    found[n] = '\0';
    free(list);
    answer_release(&answer);
    answer_vocabulary_release(&rules.vocabulary);
    strings_release(&stops);
    return found;
}

static void is_right_when_the_answer_is_ended(void **state)
{
    (void)state;
    assert_string_equal(verdicts("\n", NULL, 9, "8|2|\n"), "oor");
    assert_string_equal(verdicts("\n", NULL, 9, "8|2|end"), "oor");
    assert_string_equal(verdicts("\n", NULL, 9, "8|2|3"), "oow");
    assert_string_equal(verdicts("\n", NULL, 9, "8|3"), "ow");
    assert_string_equal(verdicts("\n", NULL, 9, "8|end"), "ow");
    assert_string_equal(verdicts("\n", NULL, 9, "8|\n"), "ow");
}

static void is_right_in_whatever_tokens_it_is_written(void **state)
{
    (void)state;
    assert_string_equal(verdicts("\n", NULL, 9, "82|\n"), "or");
    assert_string_equal(verdicts("\n", NULL, 9, "8|2\n"), "or");
    assert_string_equal(verdicts("\n", NULL, 9, "82\n"), "r");
    assert_string_equal(verdicts("\n", NULL, 9, "82|\n\n"), "or");
}

static void waits_for_a_stop_text_of_several_tokens(void **state)
{
    (void)state;
    assert_string_equal(verdicts("\n\n", NULL, 9, "82|\n|\n"), "oor");
    assert_string_equal(verdicts("\n\n", NULL, 9, "82|\n|3"), "oow");
    assert_string_equal(verdicts("\n\n", NULL, 9, "82|\n|end"), "oow");
    assert_string_equal(verdicts("\n\n", NULL, 9, "82\n|\n"), "or");
    assert_string_equal(verdicts("\n\n", NULL, 9, "82\n|\n\n"), "or");
    assert_string_equal(verdicts("\n##", "\n\n", 9, "82|\n|#|#"), "ooor");
    assert_string_equal(verdicts("\n##", "\n\n", 9, "82|\n|#|\n"), "ooow");
}

static void a_stop_text_within_what_is_wanted_cuts_it(void **state)
{
    (void)state;
    assert_string_equal(verdicts("2\n", NULL, 9, "82|\n"), "ow");
    assert_string_equal(verdicts("2\n", "\n", 9, "82|\n"), "ow");
}

static void the_last_token_allowed_ends_it(void **state)
{
    (void)state;
    assert_string_equal(verdicts("\n", NULL, 2, "8|2"), "or");
    assert_string_equal(verdicts("\n\n", NULL, 2, "82|\n"), "ow");
    assert_string_equal(verdicts("\n", NULL, 1, "8"), "w");
}

static void a_row_without_a_token_writes_nothing(void **state)
{
    struct strings stops = {0};
    struct answer answer = {.wanted = "82"};
    const struct answer_rules none = {.stops = stops, .max_new_tokens = 9};

    (void)state;
    assert_int_equal(answer_write(&answer, &none, 7), ANSWER_OPEN);
    assert_int_equal(answer.written.size, 0);
    answer_release(&answer);
}

/* Of the example tokenizer: <s> is 1, </s> 2, "\n" 13, " " 319, "7" 353. */
static void reads_what_tokens_write(void **state)
{
    struct answer_vocabulary vocabulary = {0};
    struct tokenizer *tokenizer = NULL;

    (void)state;
    assert_int_equal(tokenizer_open(&tokenizer, LLAMA, NULL), 0);
    assert_int_equal(answer_vocabulary_read(&vocabulary, tokenizer, NULL), 0);
    assert_int_equal(vocabulary.n, 364);
    assert_int_equal(vocabulary.last[2], 1);
    assert_int_equal(vocabulary.last[13], 0);
    assert_int_equal(vocabulary.ends[1], vocabulary.ends[0]); /* special: writes nothing */
    assert_memory_equal(text_get(&vocabulary.texts) + vocabulary.ends[12], "\n", 1);
    assert_memory_equal(text_get(&vocabulary.texts) + vocabulary.ends[318], " ", 1);
    assert_memory_equal(text_get(&vocabulary.texts) + vocabulary.ends[352], "7", 1);
    answer_vocabulary_release(&vocabulary);
    tokenizer_close(tokenizer);
}

/* "b" first leaves an "a" that no longer begins "ab". */
static void stops_cut_one_after_the_other(void **state)
{
    struct strings stops = {0};

    (void)state;
    strings_add(&stops, mem_text("b"));
    strings_add(&stops, mem_text("ab"));
    strings_add(&stops, mem_text("x"));
    assert_int_equal(answer_cut(&stops, "ab", 2), 1);
    assert_int_equal(answer_cut(&stops, "yxab", 4), 1);
    assert_int_equal(answer_cut(&stops, "none", 4), 4);
    assert_int_equal(answer_cut(&stops, "", 0), 0);
    strings_release(&stops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stops_cut_one_after_the_other),
        cmocka_unit_test(is_right_when_the_answer_is_ended),
        cmocka_unit_test(is_right_in_whatever_tokens_it_is_written),
        cmocka_unit_test(waits_for_a_stop_text_of_several_tokens),
        cmocka_unit_test(a_stop_text_within_what_is_wanted_cuts_it),
        cmocka_unit_test(the_last_token_allowed_ends_it),
        cmocka_unit_test(a_row_without_a_token_writes_nothing),
        cmocka_unit_test(reads_what_tokens_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
