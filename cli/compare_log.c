/*
 * compare_log.c - numbers side by side.
 */
#include "cli/compare_log.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "evaluator/task/samples.h"

struct differences {
    size_t n;
    double largest, sum;
    const char *where; /* id of the document with the largest */
    size_t flipped;
};

static const struct sample *find(const struct samples *samples, const char *id)
{
    for (size_t i = 0; i < samples->n; i++) {
        if (strcmp(samples->all[i].document.id, id) == 0) {
            return &samples->all[i];
        }
    }
    return NULL;
}

static size_t argmax(const double *values, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++) {
        best = values[i] > values[best] ? i : best;
    }
    return best;
}

/* What is predicted: the best choice; of a single continuation, whether it is greedy. */
static size_t prediction(const double *loglikelihoods, const uint8_t *greedy, size_t n)
{
    return n > 1 ? argmax(loglikelihoods, n) : greedy[0];
}

static void compare_document(const struct score_task *task, size_t i, const struct sample *sample,
                             bool predicts, struct differences *found)
{
    const double *ours = task->loglikelihoods + task->first[i];
    const uint8_t *greedy = task->greedy + task->first[i];
    bool whole = true;

    for (size_t k = 0; k < sample->n; k++) {
        const double difference = fabs(ours[k] - sample->loglikelihoods[k]);

        if (!isfinite(difference)) {
            whole = false;
            continue;
        }
        if (found->n++ == 0 || difference > found->largest) {
            found->largest = difference;
            found->where = task->ids[i];
        }
        found->sum += difference;
    }
    if (!whole || !predicts) {
        return;
    }
    const size_t here = prediction(ours, greedy, sample->n);
    const size_t there = prediction(sample->loglikelihoods, sample->greedy, sample->n);

    if (here != there) {
        found->flipped++;
        fprintf(stderr, "document %s: %zu here, %zu in the log\n", task->ids[i], here, there);
    }
}

/* A rolling text in several windows has one number in the log and several here. */
static size_t numbers_of(const struct score_task *task, size_t i)
{
    return task->first[i + 1] - task->first[i];
}

int compare_log(const struct score_task *task, enum task_output output, const char *path,
                struct err *err)
{
    struct samples samples = {0};
    struct differences found = {0};

    const int rc = samples_load(&samples, path, output, " ", err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < task->n; i++) {
        const struct sample *sample = find(&samples, task->ids[i]);

        if (sample != NULL && sample->n > 0 && numbers_of(task, i) >= sample->n &&
            (sample->n > 1 || numbers_of(task, i) == 1)) {
            compare_document(task, i, sample, output != TASK_LOGLIKELIHOOD_ROLLING, &found);
        }
    }
    samples_release(&samples);
    if (found.n == 0) {
        return err_set(err, ERR_MISSING, "%s: no log-likelihoods of these documents", path);
    }
    fprintf(stderr,
            "%s: %zu log-likelihoods compared, mean difference %.2g, largest %.2g (document %s), "
            "%zu predictions differ\n",
            path, found.n, found.sum / (double)found.n, found.largest, found.where, found.flipped);
    return 0;
}
