/*
 * vocabulary.h - one vocabulary for models that have several, and embeddings that agree with it.
 *
 *   struct vocabulary *vocabulary = NULL;
 *   vocabulary_make(&vocabulary, &rules, models, n_models, err);
 *   vocabulary_align(&aligned, vocabulary, m, matrices, DTYPE_BF16, err);    each input's embedding
 *   ... merge aligned.tensor as any tensor ...
 *   vocabulary_write(vocabulary, folder, err);                               its tokenizer.json
 *
 * Every input's matrix gets one row a token of the new vocabulary:
 *
 *   the model has the token, and it is not forced      its own row
 *   else the rules name a row for the token             that row, or zeros
 *   else one input alone has the token                  that input's row
 *   else the base has it                                the base's row
 *   else several inputs have it                         the mean of their rows
 *   else                                                zeros, with a warning
 *
 * Rows up to a multiple of pad_to, and ids that no token has, hold the mean of the matrix's rows.
 * A token that one model alone has thus gets the same row in every input, and the merge method sees
 * equal rows. The same as mergekit's tokenizer section does.
 */
#ifndef MERGE_VOCABULARY_H
#define MERGE_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "evaluator/model/checkpoint.h"

#define VOCABULARY_NONE SIZE_MAX /* no model */

/* A model, by the name that messages use. */
struct vocabulary_model {
    const char *name;
    const struct checkpoint *checkpoint;
    bool input; /* its rows are merged; else it only lends tokens and rows */
};

enum vocabulary_row {
    VOCABULARY_ROW_USUAL, /* as if the token were not named */
    VOCABULARY_ROW_TOKEN, /* the row of a token of a model */
    VOCABULARY_ROW_ID,    /* the row of an id of a model */
    VOCABULARY_ROW_ZERO
};

/* What is said of one token. */
struct vocabulary_token {
    const char *text;
    enum vocabulary_row row;
    size_t model;      /* of the row */
    const char *token; /* of that model; NULL: the same text */
    uint32_t id;
    bool force; /* for models that have the token too */
};

enum vocabulary_source { VOCABULARY_UNION, VOCABULARY_MODEL };

struct vocabulary_rules {
    enum vocabulary_source source;
    size_t model; /* whose tokens, unless a union */
    size_t base;  /* the recipe's base, first in a union; VOCABULARY_NONE: the first model */
    size_t n_tokens;
    const struct vocabulary_token *tokens;
    uint32_t pad_to; /* 0: no padding */
};

struct vocabulary;

/*
 * Reads the models' tokenizer.json; rules are read in the call, models [n_models] are kept until
 * vocabulary_free.
 *
 * The union takes the base's tokens with their ids, then model by model, base first, its ordinary
 * tokens not yet there by id, then in the same order the added ones; then tokens that the rules
 * name and nobody has. Tokens whose id is not below their model's vocab_size do not count.
 *
 * ERR_MISSING: no tokenizer.json, or a token or id that a rule wants and the model does not have;
 * ERR_FORMAT, ERR_LIMIT: a tokenizer.json that cannot be read.
 */
int vocabulary_make(struct vocabulary **out, const struct vocabulary_rules *rules,
                    const struct vocabulary_model *models, size_t n_models, struct err *err);
void vocabulary_free(struct vocabulary *vocabulary); /* NULL is fine */

/* Rows of every aligned matrix: vocab_size of the merged model. */
size_t vocabulary_rows(const struct vocabulary *vocabulary);

/* The folder whose tokenizer files, and token ids in configs, are the merged model's, but for what
 * vocabulary_write writes. */
const char *vocabulary_folder(const struct vocabulary *vocabulary);

/* Lines of warning, "" when there are none. Lent. */
const char *vocabulary_warnings(const struct vocabulary *vocabulary);

/* The row of token `id` in model m's aligned matrix: true and where it is, when it is the row of
 * one model; false when it is a mean or zeros. */
bool vocabulary_row_of(const struct vocabulary *vocabulary, size_t m, uint32_t id, size_t *model,
                       uint32_t *row);

/* An aligned matrix. tensor is the input itself, or a prefix of it, when its rows stand as they
 * should; else its data lie in a temporary file (base/scratch.h). */
struct vocabulary_matrix {
    struct checkpoint_tensor tensor;
    struct file_map map;
};

/*
 * Model m's matrix with the vocabulary's rows. matrices [n_models] are the same tensor of every
 * model, NULL for those that do not take part and lend nothing; a matrix that is made holds dtype,
 * F32, F16 or BF16. ERR_CONFLICT: matrices of different widths, or fewer rows than ids; ERR_IO: no
 * room.
 */
int vocabulary_align(struct vocabulary_matrix *out, const struct vocabulary *vocabulary, size_t m,
                     const struct checkpoint_tensor *const *matrices, enum dtype dtype,
                     struct err *err);
void vocabulary_matrix_release(struct vocabulary_matrix *matrix);

/*
 * Write tokenizer.json, and those of tokenizer_config.json and added_tokens.json that list tokens,
 * into folder: the donor's with the new tokens as added tokens. Nothing when there are none: then
 * the donor's files are right as they are.
 */
int vocabulary_write(const struct vocabulary *vocabulary, const char *folder, struct err *err);

#endif
