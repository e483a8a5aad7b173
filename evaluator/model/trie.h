/*
 * trie.h - token sequences that share prefixes, laid out for the forward pass.
 *
 * Few-shot headers and question stems occur in many sequences. Each distinct prefix is one node and
 * is computed once. Nodes are numbered depth first, so a node's ancestors come before it, and
 * tokens and depths alone describe the tree: the parent of a node is the nearest one before it that
 * is one level up.
 *
 *   sequences  "q a b c"  "q a d"  "q e"      node   0 1 2   (c, d and e are only predicted:
 *                                             token  q a b    they need no node)
 *                                             depth  0 1 2
 *
 * What is asked at a node are targets: tokens whose log-probability some sequence needs. Equal
 * questions are one target, whichever sequences ask. Built once a task, used for every candidate.
 *
 *   struct trie *trie = trie_new();
 *   trie_add(trie, tokens, n, n_context, false, err);
 *   trie_finish(trie, err);
 *   forward_score(forward, weights, trie, results, err);
 */
#ifndef MODEL_TRIE_H
#define MODEL_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TRIE_NONE UINT32_MAX

/* Tokens of all sequences together. */
#define TRIE_TOKENS_MAX ((size_t)1 << 30)

struct trie_target {
    uint32_t scored; /* index into scored */
    uint32_t token;
};

/* What the forward pass reads. */
struct trie_nodes {
    size_t n;
    uint32_t *tokens; /* [n] */
    uint32_t *depths; /* [n] place in the sequence, from 0 */
    size_t depth_max; /* longest path, in nodes */

    size_t n_scored;
    uint32_t *scored; /* [n_scored] nodes whose logits are needed, ascending */
    size_t n_targets;
    struct trie_target *targets; /* [n_targets], ascending by scored */
    uint32_t token_max;          /* largest token that occurs */

    size_t n_sequences;
    size_t *asked_from; /* [n_sequences + 1] sequence s asks for asked[asked_from[s] ..) */
    uint32_t *asked;    /* indices into targets, in the order of the sequence's tokens */
    uint32_t *next;     /* [n_sequences] index into scored, or TRIE_NONE */
};

struct trie;

struct trie *trie_new(void);

/*
 * Add a sequence; sequences are numbered as they come.
 *
 *   tokens      [n]  copied, n >= 1
 *   score_from       tokens[score_from .. n) are scored given all before them; in [1, n]
 *   want_next        also ask for the most likely token after the last
 *
 * ERR_LIMIT past TRIE_TOKENS_MAX, ERR_MEMORY; the trie is as it was.
 */
int trie_add(struct trie *trie, const uint32_t *tokens, size_t n, size_t score_from, bool want_next,
             struct err *err);

/* Lay out the nodes; then nothing can be added. ERR_MEMORY: the trie can only be freed. */
int trie_finish(struct trie *trie, struct err *err);

/* After trie_finish: lent, valid until trie_free. */
const struct trie_nodes *trie_nodes(const struct trie *trie);

/* After trie_finish: sequences added, and positions a forward pass computes for them. */
size_t trie_sequences(const struct trie *trie);
size_t trie_positions(const struct trie *trie);

void trie_free(struct trie *trie); /* NULL is fine */

#endif
