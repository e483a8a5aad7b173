/*
 * bpe.h - the `model` of tokenizer.json: byte-pair encoding of one word.
 *
 * Sennrich, Haddow, Birch 2016 (arXiv:1508.07909), with the options of the files in use: byte
 * fallback, unknown token, prefix and suffix marks, whole words first. Merging keeps a heap of
 * adjacent pairs, so a word of n characters takes O(n log n) whatever is in it.
 */
#ifndef MODEL_BPE_H
#define MODEL_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/doc.h"
#include "base/err.h"
#include "evaluator/model/tokens.h"
#include "evaluator/model/vocab.h"

struct bpe;

/* One merge, in rank order: left then right become merged. */
struct bpe_merge {
    uint32_t left, right, merged;
};

/* ERR_FORMAT names the other model types, dropout, and merges whose tokens the vocabulary lacks. */
int bpe_parse(struct bpe **out, const json_t *model, struct err *err);
void bpe_free(struct bpe *bpe);

/* Append the ids of a word [n], valid UTF-8, n > 0. Remembers short words; one user at a time. */
void bpe_encode(struct bpe *bpe, const char *word, size_t n, struct tokens *out);

const struct vocab *bpe_vocab(const struct bpe *bpe);
const struct bpe_merge *bpe_merges(const struct bpe *bpe, size_t *n);

#endif
