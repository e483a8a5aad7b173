/*
 * candidate.c - a candidate as commands name it, and what is known of it.
 */
#include "cli/candidate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/notes.h"
#include "store/views.h"

int candidate_find(struct store *store, const char *word, uint64_t *out, struct err *err)
{
    json_t *summary = NULL;
    char *end;

    if (strcmp(word, "best") != 0) {
        *out = strtoull(word, &end, 10);
        return *word >= '0' && *word <= '9' && *end == '\0'
                   ? 0
                   : err_set(err, ERR_FORMAT, "'%s' is no candidate; give best or a number", word);
    }
    int rc = store_view_summary(store, &summary, err);
    if (rc != 0) {
        return rc;
    }
    const json_t *winner = json_object_get(summary, "winner");
    if (!json_is_object(winner)) {
        winner = json_object_get(summary, "best");
    }
    json_int_t number = json_integer_value(json_object_get(winner, "candidate"));
    json_decref(summary);
    if (number <= 0) {
        return err_set(err, ERR_MISSING, "no candidate has been scored yet");
    }
    *out = (uint64_t)number;
    return 0;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *candidate_count(const struct score_task *task)
{
    const size_t n = score_documents(task);

    return n > 0 ? json_integer((json_int_t)n) : json_null();
}

json_t *candidate_metrics(const struct score_task *task)
{
    json_t *doc = json_object();

    for (size_t m = 0; m < task->n_metrics; m++) {
        json_object_set_new(doc, task->metrics[m],
                            json_pack("{s:o, s:o}", "value", number_or_null(task->values[m]),
                                      "stderr", number_or_null(task->errors[m])));
    }
    return doc;
}

json_t *candidate_document(const struct score_task *task, size_t i, const char *id)
{
    json_t *loglikelihoods = json_array();
    json_t *greedy = json_array();
    json_t *metrics = json_object();

    for (uint32_t r = task->first[i]; r < task->first[i + 1]; r++) {
        json_array_append_new(loglikelihoods, number_or_null(task->loglikelihoods[r]));
        json_array_append_new(greedy, json_boolean(task->greedy[r]));
    }
    for (size_t m = 0; m < task->n_metrics; m++) {
        json_object_set_new(metrics, task->metrics[m],
                            number_or_null(task->document_values[i * task->n_metrics + m]));
    }
    json_t *made =
        json_pack("{s:o, s:o, s:o, s:o}", "id", id != NULL ? json_string(id) : json_null(),
                  "loglikelihoods", loglikelihoods, "greedy", greedy, "metrics", metrics);

    if (task->texts != NULL) {
        json_object_set_new(made, "text", json_string(task->texts[i]));
    }
    return made;
}

static void add_scores(json_t *scores, const struct score *score, enum split split,
                       const json_t *notes, int documents)
{
    for (size_t t = 0; t < score->n_tasks; t++) {
        const struct score_task *task = &score->tasks[t];
        const json_t *ids = json_object_get(
            json_object_get(json_object_get(notes, "documents"), task->name), split_name(split));
        json_t *doc =
            json_pack("{s:s, s:s, s:o, s:o}", "task", task->name, "split", split_name(split), "n",
                      candidate_count(task), "metrics", candidate_metrics(task));

        if (documents) {
            json_t *list = json_array();

            for (size_t i = 0; i < task->n; i++) {
                json_array_append_new(
                    list, candidate_document(task, i, json_string_value(json_array_get(ids, i))));
            }
            json_object_set_new(doc, "documents", list);
        }
        json_array_append_new(scores, doc);
    }
}

/* Every split the recipe was measured on, whichever candidate that was. */
static int collect_scores(struct store *store, const char *recipe_digest, int documents,
                          json_t *scores, struct err *err)
{
    json_t *notes = NULL;
    int rc = notes_read(store, &notes, err);

    for (int split = SPLIT_SEARCH; split <= SPLIT_REPORT && rc == 0; split++) {
        struct score score = {0};
        uint64_t candidate = 0;

        rc = store_find_candidate(store, recipe_digest, (enum split)split, &candidate, err);
        if (rc != 0 || candidate == 0) {
            continue;
        }
        rc = store_score(store, candidate, &score, err);
        if (rc == 0) {
            add_scores(scores, &score, (enum split)split, notes, documents);
        } else if (rc == ERR_MISSING) {
            rc = 0; /* not scored yet, or failed */
        }
        score_release(&score);
    }
    json_decref(notes);
    return rc;
}

int candidate_doc(struct store *store, uint64_t candidate, int documents, json_t **out,
                  struct err *err)
{
    json_t *doc = NULL;
    json_t *scores = json_array();
    int rc = store_view_candidate(store, candidate, &doc, err);

    if (rc == 0) {
        rc = collect_scores(store, json_string_value(json_object_get(doc, "recipe_digest")),
                            documents, scores, err);
    }
    if (rc != 0) {
        json_decref(scores);
        json_decref(doc);
        return rc;
    }
    json_object_set_new(doc, "scores", scores);
    *out = doc;
    return 0;
}
