/*
 * scores.h - a small good score for tests of the wire: one task, two documents with two requests
 * each.
 */
#ifndef TESTS_WEB_SCORES_H
#define TESTS_WEB_SCORES_H

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "study/score.h"

static inline struct score score_made(double value)
{
    const uint32_t first[] = {0, 2, 4};
    struct score score = {
        .path = mem_text("f32/test"), .wall_s = 1.5, .cpu_s = 1.25, .positions = 40, .n_tasks = 1};
    struct score_task *task = mem_array(1, sizeof(*task));

    memset(score.weights, 'a', DIGEST_HEX - 1);
    memset(task->digest, 'b', DIGEST_HEX - 1);
    task->name = mem_text("addition");
    task->n = 2;
    task->n_metrics = 1;
    task->metrics = mem_array(1, sizeof(char *));
    task->metrics[0] = mem_text("acc");
    task->values = mem_array(1, sizeof(double));
    task->values[0] = value;
    task->errors = mem_array(1, sizeof(double));
    task->errors[0] = (double)NAN;
    task->ids = mem_array(2, sizeof(char *));
    task->ids[0] = mem_text("0");
    task->ids[1] = mem_text("1");
    task->document_values = mem_array(2, sizeof(double));
    task->document_values[1] = value;
    task->first = mem_array(3, sizeof(uint32_t));
    memcpy(task->first, first, sizeof(first));
    task->loglikelihoods = mem_array(4, sizeof(double));
    task->loglikelihoods[2] = -value;
    task->greedy = mem_array(4, 1);
    task->greedy[3] = 1;
    score.tasks = task;
    return score;
}

#endif
