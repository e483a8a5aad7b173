/*
 * job.h - a recipe, the part of the documents to run it on, and its limits: what a worker is
 * handed.
 */
#ifndef STUDY_JOB_H
#define STUDY_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"

/* Which documents: the optimiser sees search, the winner is chosen on select, report is read once
 * at the end. */
enum split { SPLIT_ALL = 0, SPLIT_SEARCH = 1, SPLIT_SELECT = 2, SPLIT_REPORT = 3 };

/* "all", "search", "select", "report"; and back (false when unknown). */
const char *split_name(enum split split);
bool split_parse(const char *name, enum split *out);

struct job {
    uint64_t lease;
    uint64_t candidate;
    uint32_t attempt;
    enum split split;
    char *recipe;     /* canonical JSON (study/recipe.h) */
    int64_t ttl_ms;   /* the lease ends this long after the last beat */
    int64_t limit_ms; /* the evaluation may take this long */
};

void job_release(struct job *job);

/* The wire form; job_print gives a new reference. Parsing checks every field and the recipe's size
 * (at most 1 MiB). */
json_t *job_print(const struct job *job);
int job_parse(struct job *out, const json_t *doc, struct err *err);

#endif
