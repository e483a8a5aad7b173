/*
 * rows.h - a store with a small study in it, for tests of the store.
 */
#ifndef TESTS_STORE_ROWS_H
#define TESTS_STORE_ROWS_H

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/store.h"

#define ROWS_DOCUMENTS 3

/* One transaction around what a test writes; a failure ends the test's program. */
static inline void rows_must(int rc, const struct err *err)
{
    if (rc != 0) {
        fprintf(stderr, "store: %s\n", err->text);
    }
    assert(rc == 0);
}

/* The caller releases it. */
static inline struct store_study rows_study(void)
{
    struct store_study study = {
        .name = mem_text("night"),
        .form = mem_text("{\"seed\":7}"),
        .version = mem_text("0"),
        .n_layers = 2,
        .epoch = 1,
        .stage = mem_text("baseline"),
        .state = mem_text("running"),
        .reason = mem_text(""),
        .ending = mem_text(""),
        .evaluations_max = 40,
        .verdict = mem_text("[]"),
    };

    memset(study.identity, 'a', DIGEST_HEX - 1);
    memset(study.trajectory, 'b', DIGEST_HEX - 1);
    return study;
}

/* In a transaction: a study with one model and two tasks. */
static inline void rows_add_study(struct store *store)
{
    struct store_study study = rows_study();
    const struct store_model model = {"adder", "models/adder", study.identity};
    const struct store_task tasks[] = {
        {"count", study.identity, "acc", true, 1.0, {9, 3, 3, 3}},
        {"spell", study.identity, "acc", true, 1.0, {9, 3, 3, 3}},
    };
    struct err err = {0};

    rows_must(store_add_study(store, &study, &err), &err);
    rows_must(store_add_model(store, 0, &model, &err), &err);
    rows_must(store_add_task(store, 0, &tasks[0], &err), &err);
    rows_must(store_add_task(store, 1, &tasks[1], &err), &err);
    store_study_release(&study);
}

/* In a transaction. */
static inline void rows_add_generation(struct store *store, uint64_t number, const char *stage)
{
    double mean[] = {0.25, 0.5};
    unsigned char optimiser[] = {1, 2, 3};
    char name[16];
    struct store_generation generation = {
        .number = number,
        .stage = name,
        .generation = number > 0 ? number - 1 : 0,
        .sigma = 0.25,
        .mean = mean,
        .n_mean = 2,
        .optimiser = optimiser,
        .n_optimiser = sizeof(optimiser),
    };
    struct err err = {0};

    snprintf(name, sizeof(name), "%s", stage);
    rows_must(store_add_generation(store, &generation, &err), &err);
}

/* In a transaction: a candidate whose recipe is told from others by one letter. */
static inline void rows_add_candidate(struct store *store, uint64_t candidate, uint64_t generation,
                                      size_t number, char letter)
{
    double point[] = {0.125, 1.0 / 3.0};
    char recipe[] = "{\"recipe\":\"?\"}";
    char label[] = "";
    struct store_candidate row = {
        .candidate = candidate,
        .generation = generation,
        .number = number,
        .recipe = recipe,
        .split = SPLIT_SEARCH,
        .label = label,
        .point = point,
        .n_point = 2,
        .value = (double)NAN,
    };
    struct err err = {0};

    recipe[11] = letter;
    digest_hex_of(recipe, strlen(recipe), row.recipe_digest);
    rows_must(store_add_candidate(store, &row, &err), &err);
}

/* A score of both tasks; the caller releases it. */
static inline struct score rows_score(double value)
{
    struct score score = {
        .path = mem_text("f32/test"),
        .wall_s = 1.5,
        .cpu_s = 1.25,
        .positions = 40,
        .n_tasks = 2,
        .tasks = mem_array(2, sizeof(struct score_task)),
    };

    memset(score.weights, 'c', DIGEST_HEX - 1);
    for (size_t t = 0; t < 2; t++) {
        struct score_task *task = &score.tasks[t];

        task->name = mem_text(t == 0 ? "count" : "spell");
        memset(task->digest, 'a', DIGEST_HEX - 1);
        task->n = ROWS_DOCUMENTS;
        task->n_metrics = 2;
        task->metrics = mem_array(2, sizeof(char *));
        task->metrics[0] = mem_text("bits"); /* not in the order of the alphabet */
        task->metrics[1] = mem_text("acc");
        task->values = mem_array(2, sizeof(double));
        task->values[0] = 1.0 / 3.0;
        task->values[1] = value + (double)t / 8.0;
        task->errors = mem_array(2, sizeof(double));
        task->errors[0] = (double)NAN;
        task->errors[1] = 0.125;
        task->truncated = t;
        task->document_values = mem_array(2 * ROWS_DOCUMENTS, sizeof(double));
        task->document_values[3] = value;
        task->first = mem_array(ROWS_DOCUMENTS + 1, sizeof(uint32_t));
        for (uint32_t i = 0; i <= ROWS_DOCUMENTS; i++) {
            task->first[i] = 2 * i;
        }
        task->loglikelihoods = mem_array(2 * ROWS_DOCUMENTS, sizeof(double));
        task->loglikelihoods[5] = -value;
        task->greedy = mem_array(2 * ROWS_DOCUMENTS, 1);
        task->greedy[2] = 1;
    }
    return score;
}

/* In a transaction: the candidate is done with this value. */
static inline void rows_add_result(struct store *store, uint64_t candidate, double value)
{
    struct score score = rows_score(value);
    struct store_candidate row = {.candidate = candidate, .status = STORE_DONE, .value = value};
    char digest[DIGEST_HEX];
    const struct store_evaluation evaluation = {candidate, 1, 0, &score, digest};
    const struct store_event event = {"result", candidate, digest};
    struct err err = {0};

    score_digest(&score, digest);
    rows_must(store_add_evaluation(store, &evaluation, &err), &err);
    rows_must(store_set_candidate(store, &row, &err), &err);
    rows_must(store_add_event(store, &event, &err, "candidate %d", (int)candidate), &err);
    score_release(&score);
}

#endif
