/*
 * bpe.h - byte-pair encoding of one word.
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
#include "evaluator/model/merges.h"
#include "evaluator/model/tokens.h"
#include "evaluator/model/vocab.h"

struct bpe;

/*
 * The arrays of the views are kept until bpe_free. options: `model` of tokenizer.json, of which
 * vocab and merges are not looked at. ERR_FORMAT names dropout, and an unknown token that the
 * vocabulary lacks.
 */
int bpe_new(struct bpe **out, const struct vocab_view *vocab, const struct merges_view *merges,
            const json_t *options, struct err *err);
void bpe_free(struct bpe *bpe);

/* Append the ids of a word [n], valid UTF-8, n > 0. Remembers short words; one user at a time. */
void bpe_encode(struct bpe *bpe, const char *word, size_t n, struct tokens *out);

const struct vocab_view *bpe_vocab(const struct bpe *bpe);
const struct merges_view *bpe_merges(const struct bpe *bpe);

#endif
