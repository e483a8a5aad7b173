/*
 * Logs of lm-evaluation-harness: what is accepted has the shape that a task needs, whatever kind of
 * task reads it; what is not has a sentence why.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/task/samples.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check(const struct samples *samples, enum task_output output)
{
    must(samples->n >= 1);
    for (size_t i = 0; i < samples->n; i++) {
        const struct document *document = &samples->all[i].document;
        const bool choice = output == TASK_MULTIPLE_CHOICE;
        const bool rolling = output == TASK_LOGLIKELIHOOD_ROLLING;
        struct document back = {0};

        must(document->contexts.n >= 1 && (document->continuations.n == 0) == rolling);
        must(choice || document->n_golds == 0);
        must(document->n_golds <= document->choices.n &&
             (!choice || document->n_golds > 0 || samples->all[i].stray));
        for (size_t k = 0; k < document->n_golds; k++) {
            must(document->golds[k] < document_pairs(document));
        }
        must(rolling || document->choices.n == document_pairs(document));
        json_t *wire = document_print(document);

        must(document_read(&back, wire, NULL) == 0);
        json_decref(wire);
        document_release(&back);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct records records = {0};

    if (records_parse(&records, "log", (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    for (int output = 0; output < TASK_OUTPUTS; output++) {
        struct samples samples = {0};
        struct err err = {0};

        if (samples_read(&samples, &records, (enum task_output)output, " ", &err) == 0) {
            check(&samples, (enum task_output)output);
        } else {
            must(err.text[0] != '\0' && strchr(err.text, '\n') == NULL && samples.n == 0);
        }
        samples_release(&samples);
    }
    records_release(&records);
    return 0;
}
