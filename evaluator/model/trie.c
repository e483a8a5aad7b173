/*
 * trie.c - sequences sorted, then walked once: what a sequence shares with the one before it in
 * that order is not repeated.
 *
 *   sorted        new nodes     path after it
 *   q a b | c     q a b         0 1 2
 *   q a | d                     0 1          shares "q a" with the line above
 *   q | e                       0
 *
 * The last token of a sequence is only predicted; it becomes a node when what follows it is asked
 * for. Sorting puts every sequence beside the one it shares most with, and a prefix before its
 * extensions, so the walk numbers nodes depth first.
 */
#include "evaluator/model/trie.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct sequence {
    const uint32_t *tokens; /* in the pool, while sorting */
    size_t at, n;           /* tokens [at, at + n) of the pool */
    size_t score_from;
    size_t number;
    bool want_next;
};

struct trie {
    bool finished;
    struct trie_nodes nodes;
    uint32_t *pool; /* tokens of all sequences; dropped when finished, like the sequences */
    size_t n_tokens, tokens_room;
    struct sequence *sequences;
    size_t n_sequences, sequences_room;
};

struct trie *trie_new(void)
{
    return mem_array(1, sizeof(struct trie));
}

static void drop_sequences(struct trie *trie)
{
    free(trie->pool);
    free(trie->sequences);
    trie->pool = NULL;
    trie->sequences = NULL;
}

void trie_free(struct trie *trie)
{
    if (trie == NULL) {
        return;
    }
    drop_sequences(trie);
    free(trie->nodes.tokens);
    free(trie->nodes.depths);
    free(trie->nodes.scored);
    free(trie->nodes.targets);
    free(trie->nodes.asked_from);
    free(trie->nodes.asked);
    free(trie->nodes.next);
    free(trie);
}

/* Make room for `more` elements after n, at least doubling. */
static int make_room(void **array, size_t *room, size_t n, size_t more, size_t size,
                     struct err *err)
{
    if (n + more <= *room) {
        return 0;
    }
    size_t wanted = n + more > 2 * *room ? n + more : 2 * *room;
    void *grown = mem_try(wanted, size, "token sequences", err);
    if (grown == NULL) {
        return ERR_MEMORY;
    }
    if (n > 0) {
        memcpy(grown, *array, n * size);
    }
    free(*array);
    *array = grown;
    *room = wanted;
    return 0;
}

int trie_add(struct trie *trie, const uint32_t *tokens, size_t n, size_t score_from, bool want_next,
             struct err *err)
{
    assert(!trie->finished && n >= 1 && score_from >= 1 && score_from <= n);
    if (n > TRIE_TOKENS_MAX - trie->n_tokens) {
        return err_set(err, ERR_LIMIT, "sequences to score: more than %zu tokens", TRIE_TOKENS_MAX);
    }
    void *pool = trie->pool;
    void *sequences = trie->sequences;
    int rc = make_room(&pool, &trie->tokens_room, trie->n_tokens, n, sizeof(uint32_t), err);
    if (rc == 0) {
        rc = make_room(&sequences, &trie->sequences_room, trie->n_sequences, 1,
                       sizeof(struct sequence), err);
    }
    trie->pool = pool;
    trie->sequences = sequences;
    if (rc != 0) {
        return rc;
    }
    memcpy(trie->pool + trie->n_tokens, tokens, n * sizeof(uint32_t));
    trie->sequences[trie->n_sequences] = (struct sequence){.at = trie->n_tokens,
                                                           .n = n,
                                                           .score_from = score_from,
                                                           .number = trie->n_sequences,
                                                           .want_next = want_next};
    trie->n_tokens += n;
    trie->n_sequences++;
    return 0;
}

/* ---- laying out ---- */

/* Tokens that become nodes. */
static size_t node_count(const struct sequence *sequence)
{
    return sequence->want_next ? sequence->n : sequence->n - 1;
}

static size_t shared_prefix(const struct sequence *a, const struct sequence *b)
{
    size_t n = node_count(a) < node_count(b) ? node_count(a) : node_count(b);
    size_t i = 0;

    while (i < n && a->tokens[i] == b->tokens[i]) {
        i++;
    }
    return i;
}

static int by_tokens(const void *x, const void *y)
{
    const struct sequence *a = x;
    const struct sequence *b = y;
    size_t i = shared_prefix(a, b);

    if (i < node_count(a) && i < node_count(b)) {
        return a->tokens[i] < b->tokens[i] ? -1 : 1;
    }
    if (node_count(a) != node_count(b)) {
        return node_count(a) < node_count(b) ? -1 : 1;
    }
    return a->number < b->number ? -1 : a->number > b->number;
}

/* One token asked for at one node by one sequence; TRIE_NONE asks for the most likely one. */
struct question {
    uint32_t node, token;
    size_t place; /* in asked, or the sequence's number when the token is TRIE_NONE */
};

static int by_node_and_token(const void *x, const void *y)
{
    const struct question *a = x;
    const struct question *b = y;

    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    if (a->token != b->token) {
        return a->token < b->token ? -1 : 1;
    }
    return a->place < b->place ? -1 : a->place > b->place;
}

/* Where each sequence's answers will stand. */
static size_t count_asked(const struct trie *trie, size_t *asked_from)
{
    size_t n = 0;

    for (size_t s = 0; s < trie->n_sequences; s++) {
        asked_from[s] = n;
        n += trie->sequences[s].n - trie->sequences[s].score_from;
    }
    asked_from[trie->n_sequences] = n;
    return n;
}

static void add_nodes(struct trie_nodes *nodes, const struct sequence *sequence, size_t shared,
                      uint32_t *path)
{
    for (size_t i = shared; i < node_count(sequence); i++) {
        path[i] = (uint32_t)nodes->n;
        nodes->tokens[nodes->n] = sequence->tokens[i];
        nodes->depths[nodes->n] = (uint32_t)i;
        nodes->n++;
    }
    if (node_count(sequence) > nodes->depth_max) {
        nodes->depth_max = node_count(sequence);
    }
}

/* path[i] is the node of the sequence's token i. Returns the questions written. */
static size_t add_questions(struct question *questions, const struct sequence *sequence,
                            const uint32_t *path, size_t asked_from)
{
    size_t n = 0;

    for (size_t t = sequence->score_from; t < sequence->n; t++) {
        questions[n++] = (struct question){.node = path[t - 1],
                                           .token = sequence->tokens[t],
                                           .place = asked_from + t - sequence->score_from};
    }
    if (sequence->want_next) {
        questions[n++] = (struct question){
            .node = path[sequence->n - 1], .token = TRIE_NONE, .place = sequence->number};
    }
    return n;
}

/* Sorted questions become scored nodes and distinct targets. */
static void settle_questions(struct trie_nodes *nodes, const struct question *questions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct question *q = &questions[i];
        bool new_node = i == 0 || q->node != questions[i - 1].node;

        if (new_node) {
            nodes->scored[nodes->n_scored++] = q->node;
        }
        if (q->token == TRIE_NONE) {
            nodes->next[q->place] = (uint32_t)nodes->n_scored - 1;
            continue;
        }
        if (new_node || q->token != questions[i - 1].token) {
            nodes->targets[nodes->n_targets++] =
                (struct trie_target){.scored = (uint32_t)nodes->n_scored - 1, .token = q->token};
        }
        nodes->asked[q->place] = (uint32_t)nodes->n_targets - 1;
    }
}

/* Walk the sorted sequences. path [longest sequence]; returns the questions written. */
static size_t walk(struct trie *trie, uint32_t *path, struct question *questions)
{
    struct trie_nodes *nodes = &trie->nodes;
    size_t n = 0;

    for (size_t i = 0; i < trie->n_sequences; i++) {
        const struct sequence *sequence = &trie->sequences[i];
        size_t shared = i == 0 ? 0 : shared_prefix(sequence - 1, sequence);

        add_nodes(nodes, sequence, shared, path);
        n += add_questions(questions + n, sequence, path, nodes->asked_from[sequence->number]);
    }
    return n;
}

static uint32_t largest_token(const struct trie *trie)
{
    uint32_t largest = 0;

    for (size_t i = 0; i < trie->n_tokens; i++) {
        largest = trie->pool[i] > largest ? trie->pool[i] : largest;
    }
    return largest;
}

int trie_finish(struct trie *trie, struct err *err)
{
    assert(!trie->finished);
    const char *what = "trie of token sequences";
    struct trie_nodes *nodes = &trie->nodes;
    size_t n = trie->n_sequences;
    int rc = ERR_MEMORY;
    uint32_t *path = mem_try(trie->n_tokens, sizeof(uint32_t), what, err);
    struct question *questions = NULL;

    nodes->asked_from = mem_try(n + 1, sizeof(size_t), what, err);
    nodes->next = mem_try(n, sizeof(uint32_t), what, err);
    nodes->tokens = mem_try(trie->n_tokens, sizeof(uint32_t), what, err);
    nodes->depths = mem_try(trie->n_tokens, sizeof(uint32_t), what, err);
    if (path == NULL || nodes->asked_from == NULL || nodes->next == NULL || nodes->tokens == NULL ||
        nodes->depths == NULL) {
        goto out;
    }
    size_t n_asked = count_asked(trie, nodes->asked_from);
    questions = mem_try(n_asked + n, sizeof(struct question), what, err);
    nodes->asked = mem_try(n_asked, sizeof(uint32_t), what, err);
    nodes->scored = mem_try(n_asked + n, sizeof(uint32_t), what, err);
    nodes->targets = mem_try(n_asked, sizeof(struct trie_target), what, err);
    if (questions == NULL || nodes->asked == NULL || nodes->scored == NULL ||
        nodes->targets == NULL) {
        goto out;
    }
    for (size_t s = 0; s < n; s++) {
        trie->sequences[s].tokens = trie->pool + trie->sequences[s].at;
        nodes->next[s] = TRIE_NONE;
    }
    if (n > 0) {
        qsort(trie->sequences, n, sizeof(struct sequence), by_tokens);
    }
    size_t n_questions = walk(trie, path, questions);
    qsort(questions, n_questions, sizeof(struct question), by_node_and_token);
    settle_questions(nodes, questions, n_questions);
    nodes->n_sequences = n;
    nodes->token_max = largest_token(trie);
    trie->finished = true;
    rc = 0;

out:
    drop_sequences(trie);
    free(path);
    free(questions);
    return rc;
}

const struct trie_nodes *trie_nodes(const struct trie *trie)
{
    assert(trie->finished);
    return &trie->nodes;
}

size_t trie_sequences(const struct trie *trie)
{
    return trie_nodes(trie)->n_sequences;
}

size_t trie_positions(const struct trie *trie)
{
    return trie_nodes(trie)->n;
}
