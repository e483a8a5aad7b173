#include "study/benchmark.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void knows_published_names_by_their_beginning(void **state)
{
    static const char *const names[][2] = {
        {"mmlu", "mmlu"},         {"MMLU-Pro", "mmlu"},
        {"arc_easy", "arc"},      {"arc-challenge", "arc"},
        {"ARC", "arc"},           {"gsm8k_cot", "gsm8k"},
        {"math_algebra", "math"}, {"leaderboard_bbh", "leaderboard"},
        {"drop", "drop"},         {"minerva_math", "minerva"},
        {"race2", "race"},        {"wikitext", "wikitext"}};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_non_null(benchmark_of(names[i][0]));
        assert_string_equal(benchmark_of(names[i][0]), names[i][1]);
    }
}

static void lets_training_parts_and_other_names_be(void **state)
{
    static const char *const names[] = {"gsm8k_train",   "mmlu_dev",  "hellaswag_validation",
                                        "ARC_Train",     "archive",   "maths",
                                        "dropout_tests", "racehorse", "addition",
                                        "my_mmlu",       ""};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_null(benchmark_of(names[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_published_names_by_their_beginning),
        cmocka_unit_test(lets_training_parts_and_other_names_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
