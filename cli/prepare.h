/*
 * prepare.h - a study with everything it names opened and checked: models, tokenizers, tasks.
 *
 * What search, serve and check share. After it, nothing that could have been known beforehand can
 * still go wrong: shapes and vocabularies agree, every document has an answer, every split has
 * documents.
 */
#ifndef CLI_PREPARE_H
#define CLI_PREPARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"
#include "evaluator/bundle.h"
#include "evaluator/model/checkpoint.h"
#include "search/coordinator.h"
#include "search/phases.h"
#include "study/study.h"

struct prepared {
    struct study study;
    struct checkpoint **models;  /* [study.n_models] */
    char (*digests)[DIGEST_HEX]; /* [study.n_models] manifest digests */
    const char **digest_texts;   /* the same, as the coordinator takes them */
    uint32_t *model_layers;      /* [study.n_models] */
    size_t host; /* the model as which a merge runs, or whose embeddings and head a route has */
    struct bundle bundle;
    struct text bundle_text;        /* its wire form */
    struct text notes;              /* lines on what is allowed, and may not be meant */
    struct coordinator_task *tasks; /* [study.n_tasks] */
    size_t n_baselines;
    struct coordinator_baseline *baselines;
    struct store_candidate *earlier;    /* [past.n] of the study that warm_start names */
    struct phase_past past;             /* the same, as a search takes it */
    struct coordinator_options options; /* points into the above */
};

/* Read the study at path and open all it names. One line names the thing at fault. */
int prepare_study(struct prepared *out, const char *path, struct err *err);
void prepare_release(struct prepared *prepared);

/* ERR_CONFLICT when the study would search on what seems to be a published benchmark's test data
 * and does not say that it may. Checking such a study is fine: a note says so. */
int prepare_benchmarks(const struct prepared *prepared, struct err *err);

/* Have workers score in another arithmetic than the study's or this machine's. */
int prepare_numeric(struct prepared *prepared, enum numeric numeric, struct err *err);

/* "<study folder>/<study file without .yaml>.db", free() it. */
char *prepare_database_path(const char *study_path);

#endif
