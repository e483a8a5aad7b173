/*
 * job.c - what a worker is handed, and its wire form:
 *
 *   {"attempt":1,"candidate":17,"lease":33,"limit_ms":600000,"recipe":"{...}","split":"search","ttl_ms":30000}
 */
#include "study/job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "study/recipe.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const split_names[] = {"all", "search", "select", "report"};

const char *split_name(enum split split)
{
    assert(split < COUNT(split_names));
    return split_names[split];
}

bool split_parse(const char *name, enum split *out)
{
    for (size_t i = 0; i < COUNT(split_names); i++) {
        if (strcmp(split_names[i], name) == 0) {
            *out = (enum split)i;
            return true;
        }
    }
    return false;
}

void job_release(struct job *job)
{
    free(job->recipe);
    *job = (struct job){0};
}

json_t *job_print(const struct job *job)
{
    return json_pack("{s:I, s:I, s:I, s:s, s:s, s:I, s:I}", "lease", (json_int_t)job->lease,
                     "candidate", (json_int_t)job->candidate, "attempt", (json_int_t)job->attempt,
                     "split", split_name(job->split), "recipe", job->recipe, "ttl_ms",
                     (json_int_t)job->ttl_ms, "limit_ms", (json_int_t)job->limit_ms);
}

int job_parse(struct job *out, const json_t *doc, struct err *err)
{
    static const char *const known[] = {"lease",  "candidate", "attempt", "split",
                                        "recipe", "ttl_ms",    "limit_ms"};
    int64_t lease;
    int64_t candidate;
    int64_t attempt;
    int64_t ttl_ms;
    int64_t limit_ms;
    const char *split_text;
    const char *recipe;
    enum split split;
    int rc;

    if ((rc = doc_only(doc, known, COUNT(known), err)) != 0 ||
        (rc = doc_integer(doc, "lease", 0, INT64_MAX, &lease, err)) != 0 ||
        (rc = doc_integer(doc, "candidate", 0, INT64_MAX, &candidate, err)) != 0 ||
        (rc = doc_integer(doc, "attempt", 0, UINT32_MAX, &attempt, err)) != 0 ||
        (rc = doc_integer(doc, "ttl_ms", 1, INT64_MAX, &ttl_ms, err)) != 0 ||
        (rc = doc_integer(doc, "limit_ms", 0, INT64_MAX, &limit_ms, err)) != 0 ||
        (rc = doc_text(doc, "split", &split_text, err)) != 0 ||
        (rc = doc_text(doc, "recipe", &recipe, err)) != 0) {
        return rc;
    }
    if (!split_parse(split_text, &split)) {
        return err_set(err, ERR_FORMAT, "split: no split '%s'; all, search, select or report",
                       split_text);
    }
    if (strlen(recipe) > RECIPE_SIZE_MAX) {
        return err_set(err, ERR_LIMIT, "recipe: larger than %zu bytes", RECIPE_SIZE_MAX);
    }
    *out = (struct job){.lease = (uint64_t)lease,
                        .candidate = (uint64_t)candidate,
                        .attempt = (uint32_t)attempt,
                        .split = split,
                        .recipe = mem_text(recipe),
                        .ttl_ms = ttl_ms,
                        .limit_ms = limit_ms};
    return 0;
}
