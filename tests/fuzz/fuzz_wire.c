/* What workers and coordinator send each other: a job or a score that is accepted prints to a form
 * that is accepted and prints the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "study/job.h"
#include "study/score.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_score(const struct score *score)
{
    json_t *first = score_print(score);
    struct score again = {0};
    char before[DIGEST_HEX];
    char after[DIGEST_HEX];

    must(first != NULL && score_parse(&again, first, NULL) == 0);
    json_t *second = score_print(&again);

    must(json_equal(first, second));
    score_digest(score, before);
    score_digest(&again, after);
    must(strcmp(before, after) == 0);
    score_release(&again);
    json_decref(first);
    json_decref(second);
}

static void check_job(const struct job *job)
{
    json_t *first = job_print(job);
    struct job again = {0};

    must(first != NULL && job_parse(&again, first, NULL) == 0);
    json_t *second = job_print(&again);

    must(json_equal(first, second));
    job_release(&again);
    json_decref(first);
    json_decref(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct score score = {0};
    struct job job = {0};
    struct err err = {0};
    json_t *doc = NULL;

    if (doc_parse(&doc, (const char *)bytes, n, NULL) != 0) {
        return 0;
    }
    if (score_parse(&score, doc, &err) == 0) {
        check_score(&score);
        score_release(&score);
    } else {
        must(err.text[0] != '\0');
    }
    if (job_parse(&job, doc, &err) == 0) {
        check_job(&job);
        job_release(&job);
    }
    json_decref(doc);
    return 0;
}
