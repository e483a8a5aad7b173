#include "evaluator/task/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define N 1000

static const double shares[3] = {0.5, 0.25, 0.25};

/* Documents "d0" ... in the order of the file, or backwards. */
static struct task task_of(size_t n, int backwards)
{
    struct task task = {.name = mem_text("t"), .n_documents = n};

    task.documents = mem_array(n, sizeof *task.documents);
    for (size_t i = 0; i < n; i++) {
        task.documents[backwards ? n - 1 - i : i].id = mem_printf("d%zu", i);
    }
    return task;
}

static size_t split(const struct task *task, size_t limit, enum split which, size_t **documents)
{
    size_t n = 0;

    assert_int_equal(dataset_split(task, 7, shares, limit, which, documents, &n, NULL), 0);
    return n;
}

static void splits_are_disjoint_and_cover_all(void **state)
{
    struct task task = task_of(N, 0);
    int seen[N] = {0};
    size_t sizes[4] = {0};

    (void)state;
    for (int which = SPLIT_SEARCH; which <= SPLIT_REPORT; which++) {
        size_t *documents = NULL;

        sizes[which] = split(&task, 0, (enum split)which, &documents);
        for (size_t i = 0; i < sizes[which]; i++) {
            seen[documents[i]]++;
        }
        free(documents);
    }
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_in_range(sizes[SPLIT_SEARCH], 450, 550);
    assert_in_range(sizes[SPLIT_SELECT], 200, 300);
    task_release(&task);
}

static void does_not_ask_where_a_line_stands(void **state)
{
    struct task forward = task_of(N, 0);
    struct task backward = task_of(N, 1);
    size_t *left = NULL;
    size_t *right = NULL;
    const size_t n = split(&forward, 300, SPLIT_SELECT, &left);

    (void)state;
    assert_int_equal(split(&backward, 300, SPLIT_SELECT, &right), n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(forward.documents[left[i]].id, backward.documents[right[i]].id);
    }
    free(left);
    free(right);
    task_release(&forward);
    task_release(&backward);
}

static void a_larger_limit_only_adds_documents(void **state)
{
    struct task task = task_of(N, 0);
    size_t *few = NULL;
    size_t *many = NULL;
    const size_t n_few = split(&task, 100, SPLIT_SEARCH, &few);
    const size_t n_many = split(&task, 400, SPLIT_SEARCH, &many);

    (void)state;
    assert_true(n_few < n_many);
    assert_memory_equal(few, many, n_few * sizeof *few);
    free(few);
    free(many);
    assert_int_equal(split(&task, 100, SPLIT_ALL, &few), 100);
    free(few);
    task_release(&task);
}

static void another_seed_gives_another_order(void **state)
{
    struct task task = task_of(N, 0);
    size_t *left = NULL;
    size_t *right = NULL;
    size_t n = 0;

    (void)state;
    split(&task, 0, SPLIT_ALL, &left);
    assert_int_equal(dataset_split(&task, 8, shares, 0, SPLIT_ALL, &right, &n, NULL), 0);
    assert_true(memcmp(left, right, n * sizeof *left) != 0);
    free(left);
    free(right);
    task_release(&task);
}

static void says_which_split_is_empty(void **state)
{
    const double all_search[3] = {1.0, 0.0, 0.0};
    struct task task = task_of(20, 0);
    struct err err = {0};
    size_t *documents = NULL;
    size_t n = 0;

    (void)state;
    assert_int_equal(dataset_split(&task, 7, all_search, 0, SPLIT_REPORT, &documents, &n, &err),
                     ERR_LIMIT);
    assert_string_equal(err.text, "task t: none of 20 documents is in the report split");
    task_release(&task);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_are_disjoint_and_cover_all),
        cmocka_unit_test(does_not_ask_where_a_line_stands),
        cmocka_unit_test(a_larger_limit_only_adds_documents),
        cmocka_unit_test(another_seed_gives_another_order),
        cmocka_unit_test(says_which_split_is_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
