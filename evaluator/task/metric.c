/*
 * metric.c - one table of metrics.
 */
#include "evaluator/task/metric.h"

#include <string.h>

#include "base/text.h"

#define BIT(output) (1u << (output))

static const char *const output_names[TASK_OUTPUTS] = {"multiple_choice", "loglikelihood",
                                                       "loglikelihood_rolling", "generate_until"};

static const struct {
    const char *name;
    unsigned outputs; /* kinds of task that have it */
    bool higher;
} metrics[METRICS] = {
    [METRIC_ACC] = {"acc", BIT(TASK_MULTIPLE_CHOICE) | BIT(TASK_LOGLIKELIHOOD), true},
    [METRIC_ACC_NORM] = {"acc_norm", BIT(TASK_MULTIPLE_CHOICE), true},
    [METRIC_ACC_BYTES] = {"acc_bytes", BIT(TASK_MULTIPLE_CHOICE), true},
    [METRIC_ACC_MUTUAL_INFO] = {"acc_mutual_info", BIT(TASK_MULTIPLE_CHOICE), true},
    [METRIC_EXACT_MATCH] = {"exact_match", BIT(TASK_MULTIPLE_CHOICE) | BIT(TASK_GENERATE_UNTIL),
                            true},
    [METRIC_BRIER_SCORE] = {"brier_score", BIT(TASK_MULTIPLE_CHOICE), false},
    [METRIC_CHOICE_LOGPROB] = {"choice_logprob", BIT(TASK_MULTIPLE_CHOICE), true},
    [METRIC_CHOICE_LOGPROB_NORM] = {"choice_logprob_norm", BIT(TASK_MULTIPLE_CHOICE), true},
    [METRIC_PERPLEXITY] = {"perplexity", BIT(TASK_LOGLIKELIHOOD), false},
    [METRIC_WORD_PERPLEXITY] = {"word_perplexity", BIT(TASK_LOGLIKELIHOOD_ROLLING), false},
    [METRIC_BYTE_PERPLEXITY] = {"byte_perplexity", BIT(TASK_LOGLIKELIHOOD_ROLLING), false},
    [METRIC_BITS_PER_BYTE] = {"bits_per_byte", BIT(TASK_LOGLIKELIHOOD_ROLLING), false},
};

const char *task_output_name(enum task_output output)
{
    return output_names[output];
}

bool task_output_parse(const char *name, enum task_output *out)
{
    for (int i = 0; i < TASK_OUTPUTS; i++) {
        if (strcmp(name, output_names[i]) == 0) {
            *out = (enum task_output)i;
            return true;
        }
    }
    return false;
}

const char *metric_name(enum metric metric)
{
    return metrics[metric].name;
}

bool metric_higher_is_better(enum metric metric)
{
    return metrics[metric].higher;
}

bool metric_is_perplexity(enum metric metric)
{
    return metric >= METRIC_PERPLEXITY;
}

enum metric metric_first(enum task_output output)
{
    int first = 0;

    while ((metrics[first].outputs & BIT(output)) == 0) {
        first++;
    }
    return (enum metric)first;
}

int metric_parse(enum metric *out, const char *name, enum task_output output, struct err *err)
{
    const char *names[METRICS];
    size_t n = 0;

    for (int i = 0; i < METRICS; i++) {
        const bool fits = (metrics[i].outputs & BIT(output)) != 0;

        if (fits && strcmp(name, metrics[i].name) == 0) {
            *out = (enum metric)i;
            return 0;
        }
        if (fits) {
            names[n++] = metrics[i].name;
        }
    }
    const char *nearest = text_nearest(name, names, n);

    return err_set(err, ERR_FORMAT, "metric \"%.64s\" is not one of a %s task; %s \"%s\"", name,
                   output_names[output], nearest != NULL ? "did you mean" : "it has for example",
                   nearest != NULL ? nearest : names[0]);
}
