/*
 * vocabulary_internal.h - what the files of vocabulary share.
 */
#ifndef MERGE_VOCABULARY_INTERNAL_H
#define MERGE_VOCABULARY_INTERNAL_H

#include <jansson.h>

#include "base/text.h"
#include "evaluator/merge/vocabulary.h"
#include "evaluator/model/vocab.h"

#define VOCABULARY_NO_ROW UINT32_MAX

/* The tokens of one tokenizer.json. */
struct vocabulary_tokens {
    struct vocab vocab;
    size_t n_added;
    bool *added; /* [n_added] by id: of added_tokens */
};

/* Where the row of a token comes from, for models that do not have it. */
enum vocabulary_default_kind { VOCABULARY_ZEROS, VOCABULARY_ROW, VOCABULARY_MEAN };

struct vocabulary_default {
    enum vocabulary_default_kind kind;
    bool force; /* for all models */
    uint32_t id;
    size_t model;
};

struct vocabulary {
    const struct vocabulary_rules *rules; /* while it is made */
    size_t n_models;
    const struct vocabulary_model *models;
    json_t *doc;                      /* the donor's tokenizer.json */
    json_t **lists;                   /* [n_models] added_tokens, or NULL */
    struct vocabulary_tokens *tokens; /* [n_models] */
    size_t donor;
    struct vocab out;                    /* the merged model's tokens */
    size_t n_kept;                       /* ids below are the donor's */
    size_t rows;                         /* out.n and padding */
    uint32_t *ids;                       /* [n_models, out.n] own row, or VOCABULARY_NO_ROW */
    struct vocabulary_default *defaults; /* [out.n] */
    struct text warnings;
};

/* ERR_FORMAT, ERR_LIMIT: the member at fault. */
int vocabulary_tokens_parse(struct vocabulary_tokens *out, const json_t *tokenizer,
                            struct err *err);
void vocabulary_tokens_release(struct vocabulary_tokens *tokens);

/* Rows that a model's config promises; a family that calls the number otherwise has as many as ids.
 */
uint32_t vocabulary_rows_of(const struct vocabulary *vocabulary, size_t m);

bool vocabulary_is_added(const struct vocabulary_tokens *tokens, uint32_t id);

#endif
