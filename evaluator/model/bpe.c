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

/* Characters whose ids are looked up once: all that stand for bytes in byte-level vocabularies. */
#define CODES 0x180u

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
    struct vocab_view vocab;
    struct merges_view merges;
    char *prefix, *suffix; /* "" when there is none */
    bool has_unknown, fuse_unknown, byte_fallback, ignore_merges;
    uint32_t unknown;
    uint32_t bytes[256];   /* ids of <0x00> ... <0xFF>, NONE when absent */
    uint32_t codes[CODES]; /* ids of single characters, NONE when absent */

    struct symbol *symbols;
    size_t n_symbols, symbols_capacity;
    struct pair *heap;
    size_t n_heap, heap_capacity;
    struct text scratch;
    struct cached *cache; /* [CACHE_SLOTS] */
};

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

/* The id of a character, code, spelled as it is there [n]. marked: with a prefix or suffix. */
static bool find_character(const struct bpe *bpe, uint32_t code, bool marked, const char *text,
                           size_t n, uint32_t *id)
{
    if (marked || code >= CODES) {
        return vocab_view_find(&bpe->vocab, text, n, id);
    }
    *id = bpe->codes[code];
    return *id != NONE;
}

static void split(struct bpe *bpe, const char *word, size_t n)
{
    bool in_unknown = false;

    bpe->n_symbols = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code = 0;
        uint32_t id = 0;
        size_t spelled_size = 0;
        const char *at = word + i;
        const size_t size = unicode_next(at, n - i, &code);
        const char *text = spelled(bpe, at, size, i == 0, i + size == n, &spelled_size);

        i += size;
        if (find_character(bpe, code, text != at, text, spelled_size, &id)) {
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

    if (left->next == NONE) {
        return;
    }
    const struct symbol *right = &bpe->symbols[left->next];
    const uint32_t rank = merges_find(&bpe->merges, left->id, right->id);

    if (rank != MERGES_NONE) {
        heap_push(bpe, (struct pair){rank, at, left->id, right->id});
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

        left->id = bpe->merges.all[pair.rank].merged;
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
    if (bpe->ignore_merges && vocab_view_find(&bpe->vocab, word, n, &whole)) {
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

/* ---- options ---- */

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
    made->has_unknown = vocab_view_find(&made->vocab, unknown, strlen(unknown), &made->unknown);
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

static void find_bytes(struct bpe *made)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];

        snprintf(name, sizeof name, "<0x%02X>", byte);
        if (!vocab_view_find(&made->vocab, name, strlen(name), &made->bytes[byte])) {
            made->bytes[byte] = NONE;
        }
    }
}

static void find_codes(struct bpe *made)
{
    for (uint32_t code = 0; code < CODES; code++) {
        char bytes[4];
        const size_t n = unicode_put(bytes, code);

        if (!vocab_view_find(&made->vocab, bytes, n, &made->codes[code])) {
            made->codes[code] = NONE;
        }
    }
}

int bpe_new(struct bpe **out, const struct vocab_view *vocab, const struct merges_view *merges,
            const json_t *options, struct err *err)
{
    struct bpe *made = mem_alloc(sizeof *made);

    made->vocab = *vocab;
    made->merges = *merges;
    int rc = parse_options(made, options, err);
    if (rc == 0) {
        rc = parse_unknown(made, options, err);
    }
    if (rc != 0) {
        bpe_free(made);
        return err_wrap(err, "model");
    }
    find_bytes(made);
    find_codes(made);
    made->cache = mem_array(CACHE_SLOTS, sizeof *made->cache);
    *out = made;
    return 0;
}

void bpe_free(struct bpe *bpe)
{
    if (bpe == NULL) {
        return;
    }
    free(bpe->prefix);
    free(bpe->suffix);
    free(bpe->symbols);
    free(bpe->heap);
    text_release(&bpe->scratch);
    free(bpe->cache);
    free(bpe);
}

const struct vocab_view *bpe_vocab(const struct bpe *bpe)
{
    return &bpe->vocab;
}

const struct merges_view *bpe_merges(const struct bpe *bpe)
{
    return &bpe->merges;
}
