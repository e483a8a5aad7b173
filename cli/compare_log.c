/*
 * compare_log.c - numbers side by side.
 */
#include "cli/compare_log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
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

static void add_difference(struct differences *found, double difference, const char *where)
{
    if (found->n++ == 0 || difference > found->largest) {
        found->largest = difference;
        found->where = where;
    }
    found->sum += difference;
}

/* A rolling text in several windows has one number in the log, the sum of ours. */
static void compare_rolling(const struct score_task *task, size_t i, const struct sample *sample,
                            struct differences *found)
{
    double ours = 0.0;

    for (size_t k = task->first[i]; k < task->first[i + 1]; k++) {
        ours += task->loglikelihoods[k];
    }
    if (sample->n == 1 && isfinite(sample->loglikelihoods[0])) {
        add_difference(found, fabs(ours - sample->loglikelihoods[0]), task->ids[i]);
    }
}

static void compare_document(const struct score_task *task, size_t i, const struct sample *sample,
                             struct differences *found)
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
        add_difference(found, difference, task->ids[i]);
    }
    if (!whole) {
        return;
    }
    const size_t here = prediction(ours, greedy, sample->n);
    const size_t there = prediction(sample->loglikelihoods, sample->greedy, sample->n);

    if (here != there) {
        found->flipped++;
        fprintf(stderr, "document %s: %zu here, %zu in the log\n", task->ids[i], here, there);
    }
}

static size_t numbers_of(const struct score_task *task, size_t i)
{
    return task->first[i + 1] - task->first[i];
}

/* ---- generated texts ---- */

struct text_differences {
    size_t texts, other_texts;
    size_t verdicts, flipped;
};

/* The column of a filter; without filters there is one. */
static size_t column_of(const struct score_task *task, const char *filter)
{
    char *name = mem_printf("exact_match,%s", filter);
    size_t column = score_metric(task, name);

    free(name);
    return column == SIZE_MAX && strcmp(filter, "none") == 0 ? score_metric(task, "exact_match")
                                                             : column;
}

static void compare_texts(const struct score_task *task, size_t i, const struct sample *sample,
                          struct text_differences *found)
{
    if (task->texts != NULL && sample->text != NULL) {
        found->texts++;
        found->other_texts += strcmp(task->texts[i], sample->text) != 0;
    }
    for (size_t v = 0; v < sample->n_verdicts; v++) {
        const struct sample_verdict *theirs = &sample->verdicts[v];
        const size_t column = column_of(task, theirs->filter);

        if (column == SIZE_MAX) {
            continue;
        }
        const double ours = task->document_values[i * task->n_metrics + column];

        found->verdicts++;
        if (ours != theirs->exact_match) {
            found->flipped++;
            fprintf(stderr, "document %s, filter %s: %g here, %g in the log\n", task->ids[i],
                    theirs->filter, ours, theirs->exact_match);
        }
    }
}

static int compare_generations(const struct score_task *task, const struct samples *samples,
                               const char *path, struct err *err)
{
    struct text_differences found = {0};

    for (size_t i = 0; i < task->n; i++) {
        const struct sample *sample = find(samples, task->ids[i]);

        if (sample != NULL) {
            compare_texts(task, i, sample, &found);
        }
    }
    if (found.texts + found.verdicts == 0) {
        return err_set(err, ERR_MISSING, "%s: no texts or verdicts of these documents", path);
    }
    fprintf(stderr, "%s: %zu texts compared, %zu differ; %zu verdicts compared, %zu differ\n", path,
            found.texts, found.other_texts, found.verdicts, found.flipped);
    return 0;
}

int compare_log(const struct score_task *task, enum task_output output, const char *path,
                struct err *err)
{
    struct samples samples = {0};
    struct differences found = {0};

    int rc = samples_load(&samples, path, output, " ", err);
    if (rc == 0 && output == TASK_GENERATE_UNTIL) {
        rc = compare_generations(task, &samples, path, err);
        samples_release(&samples);
        return rc;
    }
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < task->n; i++) {
        const struct sample *sample = find(&samples, task->ids[i]);

        if (sample != NULL && output == TASK_LOGLIKELIHOOD_ROLLING) {
            compare_rolling(task, i, sample, &found);
        } else if (sample != NULL && sample->n > 0 && numbers_of(task, i) >= sample->n) {
            compare_document(task, i, sample, &found);
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
