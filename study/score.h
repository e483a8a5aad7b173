/*
 * score.h - what came back from evaluating one candidate: per task values, counts and per-document
 * results, or why it failed.
 *
 * A failed candidate is data, not an error: failure says how, detail says why in one line.
 */
#ifndef STUDY_SCORE_H
#define STUDY_SCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"

enum score_failure {
    SCORE_OK = 0,
    SCORE_NAN,        /* weights or logits not finite: final */
    SCORE_REFUSED,    /* the recipe cannot be built from these sources: final */
    SCORE_OOM,        /* memory ran out: tried again elsewhere */
    SCORE_TIMEOUT,    /* took longer than the limit */
    SCORE_EXIT,       /* the evaluator process ended with a status */
    SCORE_SIGNAL,     /* the evaluator process was killed by a signal */
    SCORE_BAD_OUTPUT, /* what it said could not be read */
    SCORE_FAILURES    /* how many there are */
};

/*
 * One task. Documents are in the task's own order for the split; N documents, M metrics.
 * Document i has requests first[i] .. first[i + 1] - 1.
 */
struct score_task {
    char *name;              /* the task's name */
    char digest[DIGEST_HEX]; /* of its rendered requests */
    size_t n;                /* N */
    size_t n_told; /* documents that an outside program counted but says no more of, then N = 0 */
    size_t n_metrics;        /* M */
    char **metrics;          /* [M] metric names */
    double *values;          /* [M] aggregate over documents */
    double *errors;          /* [M] standard error, NaN where the metric has none */
    char **ids;              /* [N] document ids, or NULL: they travel when they are there */
    double *document_values; /* [N, M] metric values, log-likelihoods for perplexities */
    uint32_t *first;         /* [N + 1] */
    double *loglikelihoods;  /* [first[N]] */
    uint8_t *greedy;         /* [first[N]] 0 or 1 */
    size_t truncated;        /* documents whose context was cut */
    char **texts;            /* [N] what was generated, or NULL; stays where it was made */
};

struct score {
    enum score_failure failure;
    char *detail;             /* one line when it failed, else NULL */
    char weights[DIGEST_HEX]; /* SHA-256 of the blended tensors (evaluator/merge/plan.h), or "" */
    char *path;               /* numeric path, as "f32/openblas-SkylakeX" */
    double wall_s, cpu_s;
    uint64_t positions; /* token positions computed */
    size_t n_tasks;
    struct score_task *tasks;
};

void score_release(struct score *score);
void score_task_release(struct score_task *task);

/* "nan", "refused", "oom", ...; and back (false when unknown). */
const char *score_failure_name(enum score_failure failure);
bool score_failure_parse(const char *name, enum score_failure *out);

/* True for failures that would only repeat: no other worker is tried. */
bool score_failure_final(enum score_failure failure);

/*
 * Per-document results of one task as bytes, little-endian, for the store and the wire:
 *   u32 version = 1, u32 N, u32 M, u32 R = first[N]; u32 first[N + 1]; f64 document_values[N * M];
 *   f64 loglikelihoods[R]; u8 greedy[R].
 * Ids are not part of it: a task's digest and split fix them. score_unpack fills n, n_metrics,
 * first, document_values, loglikelihoods, greedy of an all-zero task; anything else than exact size
 * and sane counts is ERR_FORMAT.
 */
void score_pack(const struct score_task *task, unsigned char **bytes, size_t *n);
int score_unpack(struct score_task *out, const unsigned char *bytes, size_t n, struct err *err);

/*
 * The wire form. Values are written twice: a decimal for people and 16 hex digits of the binary64
 * for us; reading uses the bits and refuses a decimal that disagrees. Documents travel as base64 of
 * score_pack. score_print gives a new reference; print(parse(print(s))) is the same bytes. A score
 * that did not fail is refused when a value, a document's value or a log-likelihood is not finite.
 */
json_t *score_print(const struct score *score);
int score_parse(struct score *out, const json_t *doc, struct err *err);

/* SHA-256 over what decides the search: failure kind, weights digest, numeric path, and for each
 * task its name, digest and the bits of values and packed documents. No times, no worker, no detail
 * text. Two evaluations agree iff equal. */
void score_digest(const struct score *score, char out[DIGEST_HEX]);

/* How many documents a task's values are over, 0 when nobody says. */
size_t score_documents(const struct score_task *task);

/* The task named, or NULL; the index of a metric in it, or SIZE_MAX. */
const struct score_task *score_find(const struct score *score, const char *task);
size_t score_metric(const struct score_task *task, const char *metric);

/*
 * What a unit of the mean of document values is worth in the metric, between two candidates: 1 for
 * an accuracy, which is that mean; for a perplexity, whose documents have log-likelihoods, the
 * slope of the secant, so that a mean difference becomes that of the metric and its error is right
 * to first order.
 */
double score_secant(double mean, double other_mean, double value, double other_value);

#endif
