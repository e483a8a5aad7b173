/*
 * bpe.c - characters to symbols, symbols merged by rank, cheapest rank first, leftmost first.
 *
 *   word     l o w e r            heap of (rank, position) over adjacent pairs
 *   pop      (e r) rank 0         l o w er       push (w er)
 *   pop      (l o) rank 3         lo w er        push (lo w)
 *   pop      (w e) rank 7         stale: e is gone
 *
 * Symbols are a doubly linked list in an array; a merged symbol keeps its left part's place.
 */
#include "evaluator/model/bpe.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "evaluator/model/unicode.h"

#define NONE UINT32_MAX

/* Remembered words: one cache line each, direct-mapped, 512 KiB in all. */
#define CACHE_SLOTS 8192u
#define CACHE_WORD_MAX 30u
#define CACHE_IDS_MAX 8u

struct cached {
    uint8_t size, n;
    char word[CACHE_WORD_MAX];
    uint32_t ids[CACHE_IDS_MAX];
};

struct symbol {
    uint32_t id;         /* NONE: merged into the one before */
    uint32_t prev, next; /* NONE at the ends */
};

struct pair {
    uint32_t rank, at;    /* at: index of the left symbol */
    uint32_t left, right; /* what the pair was when pushed */
};

struct bpe {
    struct vocab vocab;
    struct bpe_merge *merges; /* [n_merges] by rank */
    size_t n_merges;
    uint32_t *slots; /* [n_slots] rank + 1, or 0: pairs by hash */
    size_t n_slots;
    char *prefix, *suffix; /* "" when there is none */
    bool has_unknown, fuse_unknown, byte_fallback, ignore_merges;
    uint32_t unknown;
    uint32_t bytes[256]; /* ids of <0x00> ... <0xFF>, NONE when absent */

    struct symbol *symbols;
    size_t n_symbols, symbols_capacity;
    struct pair *heap;
    size_t n_heap, heap_capacity;
    struct text scratch;
    struct cached *cache; /* [CACHE_SLOTS] */
};

/* ---- pairs by hash ---- */

static size_t pair_slot(const struct bpe *bpe, uint32_t left, uint32_t right)
{
    const size_t mask = bpe->n_slots - 1;
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    size_t slot = (size_t)(hash ^ hash >> 29) & mask;

    while (bpe->slots[slot] != 0) {
        const struct bpe_merge *merge = &bpe->merges[bpe->slots[slot] - 1];

        if (merge->left == left && merge->right == right) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* ---- the heap ---- */

static bool is_before(const struct pair *a, const struct pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct bpe *bpe, struct pair pair)
{
    if (bpe->n_heap == bpe->heap_capacity) {
        bpe->heap_capacity += bpe->heap_capacity / 2 + 64;
        bpe->heap = mem_resize(bpe->heap, bpe->heap_capacity, sizeof *bpe->heap);
    }
    size_t i = bpe->n_heap++;

    while (i > 0 && is_before(&pair, &bpe->heap[(i - 1) / 2])) {
        bpe->heap[i] = bpe->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    bpe->heap[i] = pair;
}

static struct pair heap_pop(struct bpe *bpe)
{
    const struct pair top = bpe->heap[0];
    const struct pair last = bpe->heap[--bpe->n_heap];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= bpe->n_heap) {
            break;
        }
        if (child + 1 < bpe->n_heap && is_before(&bpe->heap[child + 1], &bpe->heap[child])) {
            child++;
        }
        if (!is_before(&bpe->heap[child], &last)) {
            break;
        }
        bpe->heap[i] = bpe->heap[child];
        i = child;
    }
    bpe->heap[i] = last;
    return top;
}

/* ---- one word ---- */

static void symbol_add(struct bpe *bpe, uint32_t id)
{
    if (bpe->n_symbols == bpe->symbols_capacity) {
        bpe->symbols_capacity += bpe->symbols_capacity / 2 + 64;
        bpe->symbols = mem_resize(bpe->symbols, bpe->symbols_capacity, sizeof *bpe->symbols);
    }
    const uint32_t at = (uint32_t)bpe->n_symbols++;

    bpe->symbols[at] = (struct symbol){id, at == 0 ? NONE : at - 1, NONE};
    if (at > 0) {
        bpe->symbols[at - 1].next = at;
    }
}

/* True when every byte of text [n] has a token; they become symbols. */
static bool add_bytes(struct bpe *bpe, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bpe->bytes[(unsigned char)text[i]] == NONE) {
            return false;
        }
    }
    for (size_t i = 0; i < n; i++) {
        symbol_add(bpe, bpe->bytes[(unsigned char)text[i]]);
    }
    return true;
}

/* A character as the vocabulary spells it there: with the prefix unless first, the suffix when
 * last. */
static const char *spelled(struct bpe *bpe, const char *at, size_t size, bool first, bool last,
                           size_t *n)
{
    if ((first || *bpe->prefix == '\0') && (!last || *bpe->suffix == '\0')) {
        *n = size;
        return at;
    }
    text_clear(&bpe->scratch);
    if (!first) {
        text_add(&bpe->scratch, bpe->prefix);
    }
    text_add_n(&bpe->scratch, at, size);
    if (last) {
        text_add(&bpe->scratch, bpe->suffix);
    }
    *n = bpe->scratch.size;
    return text_get(&bpe->scratch);
}

static void split(struct bpe *bpe, const char *word, size_t n)
{
    bool in_unknown = false;

    bpe->n_symbols = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        uint32_t id = 0;
        size_t spelled_size = 0;
        const size_t size = unicode_next(word + i, n - i, &code);
        const char *text = spelled(bpe, word + i, size, i == 0, i + size == n, &spelled_size);

        i += size;
        if (vocab_find(&bpe->vocab, text, spelled_size, &id)) {
            symbol_add(bpe, id);
            in_unknown = false;
        } else if (bpe->byte_fallback && add_bytes(bpe, text, spelled_size)) {
            in_unknown = false;
        } else if (bpe->has_unknown && !(in_unknown && bpe->fuse_unknown)) {
            symbol_add(bpe, bpe->unknown);
            in_unknown = true;
        }
    }
}

static void consider(struct bpe *bpe, uint32_t at)
{
    const struct symbol *left = &bpe->symbols[at];

    if (left->next == NONE || bpe->n_slots == 0) {
        return;
    }
    const struct symbol *right = &bpe->symbols[left->next];
    const uint32_t found = bpe->slots[pair_slot(bpe, left->id, right->id)];

    if (found != 0) {
        heap_push(bpe, (struct pair){found - 1, at, left->id, right->id});
    }
}

static bool is_stale(const struct bpe *bpe, const struct pair *pair)
{
    const struct symbol *left = &bpe->symbols[pair->at];

    return left->id != pair->left || left->next == NONE ||
           bpe->symbols[left->next].id != pair->right;
}

static void merge(struct bpe *bpe)
{
    bpe->n_heap = 0;
    for (size_t i = 0; i + 1 < bpe->n_symbols; i++) {
        consider(bpe, (uint32_t)i);
    }
    while (bpe->n_heap > 0) {
        const struct pair pair = heap_pop(bpe);

        if (is_stale(bpe, &pair)) {
            continue;
        }
        struct symbol *left = &bpe->symbols[pair.at];
        struct symbol *right = &bpe->symbols[left->next];

        left->id = bpe->merges[pair.rank].merged;
        left->next = right->next;
        right->id = NONE;
        if (left->next != NONE) {
            bpe->symbols[left->next].prev = pair.at;
        }
        consider(bpe, pair.at);
        if (left->prev != NONE) {
            consider(bpe, left->prev);
        }
    }
}

static struct cached *cache_slot(struct bpe *bpe, const char *word, size_t n)
{
    uint64_t hash = n;

    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (unsigned char)word[i]) * 0x9E3779B97F4A7C15u;
    }
    return &bpe->cache[(hash >> 32) % CACHE_SLOTS];
}

void bpe_encode(struct bpe *bpe, const char *word, size_t n, struct tokens *out)
{
    struct cached *cached = n <= CACHE_WORD_MAX ? cache_slot(bpe, word, n) : NULL;
    const size_t first = out->n;
    uint32_t whole = 0;

    assert(n > 0 && n < NONE);
    if (cached != NULL && cached->size == n && memcmp(cached->word, word, n) == 0) {
        tokens_add_n(out, cached->ids, cached->n);
        return;
    }
    if (bpe->ignore_merges && vocab_find(&bpe->vocab, word, n, &whole)) {
        tokens_add(out, whole);
    } else {
        split(bpe, word, n);
        merge(bpe);
        for (size_t i = 0; i < bpe->n_symbols; i++) {
            if (bpe->symbols[i].id != NONE) {
                tokens_add(out, bpe->symbols[i].id);
            }
        }
    }
    if (cached != NULL && out->n - first <= CACHE_IDS_MAX) {
        cached->size = (uint8_t)n;
        cached->n = (uint8_t)(out->n - first);
        memcpy(cached->word, word, n);
        for (size_t i = 0; i < cached->n; i++) {
            cached->ids[i] = out->ids[first + i];
        }
    }
}

/* ---- reading ---- */

static int parse_vocab(struct bpe *made, const json_t *model, struct err *err)
{
    json_t *vocab = NULL;
    const char *text = NULL;
    json_t *id = NULL;

    int rc = doc_object(model, "vocab", &vocab, err);
    json_object_foreach(vocab, text, id)
    {
        if (rc != 0) {
            break;
        }
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) >= (json_int_t)VOCAB_IDS_MAX) {
            rc = err_set(err, ERR_FORMAT, "vocab: token \"%.64s\" has no usable id", text);
        } else {
            rc = vocab_add(&made->vocab, text, strlen(text), (uint32_t)json_integer_value(id), err);
        }
    }
    return rc;
}

/* The two sides of a merge, spelled ["a", "b"] or "a b". */
static bool merge_sides(const json_t *json, const char *sides[2], size_t sizes[2])
{
    if (json_is_string(json)) {
        const char *text = json_string_value(json);
        const char *space = strchr(text, ' ');

        if (space == NULL || strchr(space + 1, ' ') != NULL) {
            return false;
        }
        sides[0] = text;
        sizes[0] = (size_t)(space - text);
        sides[1] = space + 1;
        sizes[1] = strlen(space + 1);
        return true;
    }
    if (json_array_size(json) != 2) {
        return false;
    }
    for (size_t i = 0; i < 2; i++) {
        const json_t *side = json_array_get(json, i);

        if (!json_is_string(side)) {
            return false;
        }
        sides[i] = json_string_value(side);
        sizes[i] = json_string_length(side);
    }
    return true;
}

static int parse_merge(struct bpe *made, const json_t *json, size_t rank, struct err *err)
{
    const char *sides[2];
    size_t sizes[2];
    struct bpe_merge *merge = &made->merges[rank];
    const size_t prefix = strlen(made->prefix);

    if (!merge_sides(json, sides, sizes)) {
        return err_set(err, ERR_FORMAT, "merge %zu is not a pair of tokens", rank);
    }
    const bool marked = sizes[1] >= prefix && memcmp(sides[1], made->prefix, prefix) == 0;
    const size_t skip = marked ? prefix : 0;

    text_clear(&made->scratch);
    text_add_n(&made->scratch, sides[0], sizes[0]);
    text_add_n(&made->scratch, sides[1] + skip, sizes[1] - skip);
    if (!vocab_find(&made->vocab, sides[0], sizes[0], &merge->left) ||
        !vocab_find(&made->vocab, sides[1], sizes[1], &merge->right) ||
        !vocab_find(&made->vocab, text_get(&made->scratch), made->scratch.size, &merge->merged)) {
        return err_set(err, ERR_FORMAT, "merge %zu: \"%.64s\" is not made of tokens in vocab", rank,
                       text_get(&made->scratch));
    }
    return 0;
}

static int parse_merges(struct bpe *made, const json_t *model, struct err *err)
{
    json_t *merges = NULL;

    int rc = doc_array(model, "merges", &merges, err);
    const size_t n = json_array_size(merges);

    if (rc != 0 || n == 0) {
        return rc;
    }
    if (n > VOCAB_IDS_MAX) {
        return err_set(err, ERR_LIMIT, "more than %zu merges", VOCAB_IDS_MAX);
    }
    made->merges = mem_array(n, sizeof *made->merges);
    made->n_slots = 1024;
    while (made->n_slots < 2 * n) {
        made->n_slots *= 2;
    }
    made->slots = mem_array(made->n_slots, sizeof *made->slots);
    for (size_t rank = 0; rc == 0 && rank < n; rank++) {
        rc = parse_merge(made, json_array_get(merges, rank), rank, err);
        if (rc == 0) { /* of two equal pairs the later counts, as in the reference */
            const struct bpe_merge *merge = &made->merges[rank];

            made->slots[pair_slot(made, merge->left, merge->right)] = (uint32_t)rank + 1;
        }
    }
    made->n_merges = n;
    return rc;
}

/* A text member that may be null. */
static int parse_text(const json_t *json, const char *key, const char **out, struct err *err)
{
    *out = NULL;
    return json_is_null(json_object_get(json, key)) ? 0 : doc_text_or(json, key, NULL, out, err);
}

static int parse_unknown(struct bpe *made, const json_t *model, struct err *err)
{
    const char *unknown = NULL;

    int rc = parse_text(model, "unk_token", &unknown, err);
    if (rc == 0) {
        rc = doc_bool_or(model, "fuse_unk", false, &made->fuse_unknown, err);
    }
    if (rc == 0) {
        rc = doc_bool_or(model, "byte_fallback", false, &made->byte_fallback, err);
    }
    if (rc != 0 || unknown == NULL) {
        return rc;
    }
    made->has_unknown = vocab_find(&made->vocab, unknown, strlen(unknown), &made->unknown);
    return made->has_unknown
               ? 0
               : err_set(err, ERR_FORMAT, "unk_token \"%.64s\" is not in vocab", unknown);
}

static int parse_options(struct bpe *made, const json_t *model, struct err *err)
{
    const json_t *dropout = json_object_get(model, "dropout");
    const char *prefix = NULL;
    const char *suffix = NULL;

    if (dropout != NULL && !json_is_null(dropout) &&
        !(json_is_number(dropout) && json_number_value(dropout) == 0.0)) {
        return err_set(err, ERR_FORMAT, "dropout is not supported");
    }
    int rc = parse_text(model, "continuing_subword_prefix", &prefix, err);
    if (rc == 0) {
        rc = parse_text(model, "end_of_word_suffix", &suffix, err);
    }
    if (rc == 0) {
        rc = doc_bool_or(model, "ignore_merges", false, &made->ignore_merges, err);
    }
    if (rc == 0) {
        made->prefix = mem_text(prefix != NULL ? prefix : "");
        made->suffix = mem_text(suffix != NULL ? suffix : "");
    }
    return rc;
}

/* The type may be missing in old files: a list of merges is what only this model has. */
static int check_type(const json_t *model, struct err *err)
{
    const char *type = NULL;
    const char *fallback = json_object_get(model, "merges") != NULL ? "BPE" : "without merges";
    const int rc = doc_text_or(model, "type", fallback, &type, err);

    if (rc != 0) {
        return rc;
    }
    return strcmp(type, "BPE") == 0
               ? 0
               : err_set(err, ERR_FORMAT, "type %s is not supported, only BPE", type);
}

static void find_bytes(struct bpe *made)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];

        snprintf(name, sizeof name, "<0x%02X>", byte);
        if (!vocab_find(&made->vocab, name, strlen(name), &made->bytes[byte])) {
            made->bytes[byte] = NONE;
        }
    }
}

int bpe_parse(struct bpe **out, const json_t *model, struct err *err)
{
    struct bpe *made = mem_alloc(sizeof *made);

    int rc = check_type(model, err);
    if (rc == 0) {
        rc = parse_vocab(made, model, err);
    }
    if (rc == 0) {
        rc = parse_options(made, model, err);
    }
    if (rc == 0) {
        rc = parse_unknown(made, model, err);
    }
    if (rc == 0) {
        rc = parse_merges(made, model, err);
    }
    if (rc != 0) {
        bpe_free(made);
        return err_wrap(err, "model");
    }
    find_bytes(made);
    made->cache = mem_array(CACHE_SLOTS, sizeof *made->cache);
    *out = made;
    return 0;
}

void bpe_free(struct bpe *bpe)
{
    if (bpe == NULL) {
        return;
    }
    vocab_release(&bpe->vocab);
    free(bpe->merges);
    free(bpe->slots);
    free(bpe->prefix);
    free(bpe->suffix);
    free(bpe->symbols);
    free(bpe->heap);
    text_release(&bpe->scratch);
    free(bpe->cache);
    free(bpe);
}

const struct vocab *bpe_vocab(const struct bpe *bpe)
{
    return &bpe->vocab;
}

const struct bpe_merge *bpe_merges(const struct bpe *bpe, size_t *n)
{
    *n = bpe->n_merges;
    return bpe->merges;
}
