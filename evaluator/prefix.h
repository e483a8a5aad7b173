/*
 * prefix.h - activations behind a layer, kept for candidates that agree up to there.
 *
 * Candidates whose first k layers have the same weights have the same residual stream behind layer
 * k (plan_digest.h says when). A worker that kept it starts the next candidate there. Walked depth
 * first, a set of candidates costs the edges of their trie of layers:
 *
 *   A0 A1 A2 A3        4 layers run
 *   A0 A1 A1 A2 A3     3 more: the stream behind A1 was kept
 *   A0 A1 B2 A3        2 more
 *
 * What is kept is bounded; what was not used for longest makes room. Where there is no room for a
 * candidate's every layer, layers at even distances are kept. And since most searches change every
 * layer of every candidate, nothing is kept while candidates in a row begin alike with none before.
 */
#ifndef EVALUATOR_PREFIX_H
#define EVALUATOR_PREFIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "evaluator/model/forward.h"
#include "evaluator/model/trie.h"

/* Candidates in a row that share no layer with one before, until nothing is kept. */
#define PREFIX_ALONE_MAX 8

struct prefix;

struct prefix *prefix_new(void);
void prefix_free(struct prefix *prefix); /* NULL is fine */

/* A candidate about to run. All is lent until the next prefix_begin; tries are told apart by
 * address, as long as the prefix lives. */
struct prefix_run {
    unsigned char (*digests)[DIGEST_SIZE]; /* [n_layers + 1], plan_digest_prefixes */
    uint32_t n_layers;
    size_t width;                    /* of the residual stream */
    const struct trie *const *tries; /* [n_tries] whose streams are worth keeping */
    size_t n_tries;
    uint64_t bytes; /* that may be kept, at most */
};

void prefix_begin(struct prefix *prefix, const struct prefix_run *run);

/* For forward_keep; its context is the prefix. */
struct forward_keeper prefix_keeper(struct prefix *prefix);

/* Bytes of what is kept now. */
uint64_t prefix_bytes(const struct prefix *prefix);

#endif
