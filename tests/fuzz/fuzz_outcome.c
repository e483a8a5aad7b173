/*
 * What programs leave: a number is finite, a name fits, documents account for the value, and what
 * is refused has a sentence why; whether bytes are a result file, a last line, or a log.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evaluator/program/outcome_documents.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check(int rc, const struct outcome *outcome, const struct err *err)
{
    if (rc != 0) {
        must(err->text[0] != '\0' && strchr(err->text, '\n') == NULL);
        return;
    }
    must(isfinite(outcome->value) && outcome->n <= OUTCOME_DOCUMENTS_MAX);
    must(isnan(outcome->error) || (isfinite(outcome->error) && outcome->error >= 0));
    must(memchr(outcome->metric, '\0', OUTCOME_NAME_MAX) != NULL && outcome->metric[0] != '\0');
}

static void check_documents(const char *bytes, size_t n, double value)
{
    const struct outcome outcome = {.value = value, .metric = "acc", .filter = "none"};
    struct outcome_documents documents = {0};
    double sum = 0;

    outcome_documents_parse(&documents, bytes, n, &outcome);
    for (size_t i = 0; i < documents.n; i++) {
        must(isfinite(documents.values[i]) && documents.ids[i] != NULL);
        sum += documents.values[i];
    }
    must(documents.n == 0 ||
         fabs(sum / (double)documents.n - value) <= 1e-5 * fmax(1, fabs(value)));
    outcome_documents_release(&documents);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const char *const metrics[] = {"acc", "acc,none", "exact_match,strict-match"};
    const char *text = (const char *)bytes;

    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        struct outcome outcome = {0};
        struct err err = {0};
        const int rc = outcome_parse(&outcome, text, n, "t", metrics[i], &err);

        check(rc, &outcome, &err);
    }
    struct outcome line = {0};
    struct err err = {0};
    const int rc = outcome_line(&line, text, n, &err);

    check(rc, &line, &err);
    check_documents(text, n, 0.5);
    check_documents(text, n, 1.0);
    return 0;
}
