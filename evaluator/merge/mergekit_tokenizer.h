/*
 * mergekit_tokenizer.h - the tokenizer section of a mergekit recipe, as rules of a vocabulary.
 *
 *   tokenizer:
 *     source: union                     or base, or a model
 *     tokens:
 *       <|im_start|>:
 *         source: {kind: model_token, model: org/a, token: <s>}     or token_id: 7
 *         force: true
 *       <|pad|>: {source: {kind: zero}}
 *       word: {source: org/b}           org/b's row of the same token
 *     pad_to_multiple_of: 64
 */
#ifndef MERGE_MERGEKIT_TOKENIZER_H
#define MERGE_MERGEKIT_TOKENIZER_H

#include <jansson.h>

#include "base/err.h"
#include "evaluator/merge/vocabulary.h"

struct mergekit_recipe;

/* Models it names join the recipe's. Texts point into tokenizer; out->tokens is to be freed.
 * ERR_FORMAT with the place in the recipe. */
int mergekit_tokenizer_read(struct vocabulary_rules *out, struct mergekit_recipe *recipe,
                            const json_t *tokenizer, struct err *err);

#endif
