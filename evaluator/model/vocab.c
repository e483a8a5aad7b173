/*
 * vocab.c - one buffer of texts, an array by id, a hash table by text.
 *
 *   slot    | 9 bits of the hash | 23 bits: id + 1 |
 *
 * The bits of the hash tell nearly all other texts apart before their bytes are fetched.
 */
#include "evaluator/model/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SLOT_ID_BITS 23 /* VOCAB_IDS_MAX and 0 for an empty slot */
#define SLOT_ID_MASK ((UINT32_C(1) << SLOT_ID_BITS) - 1)

/* Eight bytes at a time, each multiplied in and folded: the low bits choose the slot, the top ones
 * are kept in it. */
static uint64_t hash_of(const char *text, size_t n)
{
    uint64_t hash = n;

    while (n > 0) {
        const size_t size = n < 8 ? n : 8;
        uint64_t bytes = 0;

        memcpy(&bytes, text, size);
        hash = (hash ^ bytes) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 32;
        text += size;
        n -= size;
    }
    return hash * 0xD6E8FEB86659FD93u;
}

/* The slot that holds text, or the empty one where it belongs. *tag: the bits kept in it. */
static size_t slot_of(const struct vocab_view *view, const char *text, size_t n, uint32_t *tag)
{
    const size_t mask = view->n_slots - 1;
    const uint64_t hash = hash_of(text, n);
    size_t slot = (size_t)(hash >> 24) & mask;

    *tag = (uint32_t)(hash >> 32) & ~SLOT_ID_MASK;
    for (; view->slots[slot] != 0; slot = (slot + 1) & mask) {
        if ((view->slots[slot] & ~SLOT_ID_MASK) != *tag) {
            continue;
        }
        const struct vocab_token *token = &view->tokens[(view->slots[slot] & SLOT_ID_MASK) - 1];

        if (token->size == n && memcmp(view->texts + token->at, text, n) == 0) {
            break;
        }
    }
    return slot;
}

/* ---- growing ---- */

/* Twice the slots, at least 1024; the table stays at most half full. */
static void rehash(struct vocab *vocab)
{
    vocab->n_slots = vocab->n_slots == 0 ? 1024 : vocab->n_slots * 2;
    free(vocab->slots);
    vocab->slots = mem_array(vocab->n_slots, sizeof *vocab->slots);
    const struct vocab_view view = vocab_view(vocab);

    for (uint32_t id = 0; id < vocab->n; id++) {
        const struct vocab_token *token = &vocab->tokens[id];
        uint32_t tag = 0;

        if (token->size != VOCAB_UNKNOWN) {
            const size_t slot = slot_of(&view, view.texts + token->at, token->size, &tag);

            vocab->slots[slot] = tag | (id + 1);
        }
    }
}

static void reach(struct vocab *vocab, uint32_t id)
{
    if (id >= vocab->capacity) {
        size_t capacity = vocab->capacity + vocab->capacity / 2 + 256;

        if (capacity <= id) {
            capacity = (size_t)id + 1;
        }
        vocab->tokens = mem_resize(vocab->tokens, capacity, sizeof *vocab->tokens);
        vocab->capacity = capacity;
    }
    while (vocab->n <= id) {
        vocab->tokens[vocab->n++] = (struct vocab_token){0, VOCAB_UNKNOWN};
    }
}

int vocab_add(struct vocab *vocab, const char *text, size_t n, uint32_t id, struct err *err)
{
    if (id >= VOCAB_IDS_MAX) {
        return err_set(err, ERR_LIMIT, "token id %u is above %zu", id, VOCAB_IDS_MAX - 1);
    }
    if (n >= VOCAB_UNKNOWN - vocab->texts.size) {
        return err_set(err, ERR_LIMIT, "tokens of more than %u bytes in all", VOCAB_UNKNOWN);
    }
    if (id < vocab->n && vocab->tokens[id].size != VOCAB_UNKNOWN) {
        return err_set(err, ERR_FORMAT, "token id %u occurs twice", id);
    }
    if (vocab->n_used * 2 >= vocab->n_slots) {
        rehash(vocab);
    }
    const struct vocab_view view = vocab_view(vocab);
    uint32_t tag = 0;
    const size_t slot = slot_of(&view, text, n, &tag);

    if (vocab->slots[slot] != 0) {
        return err_set(err, ERR_FORMAT, "token \"%.*s\" occurs twice", (int)(n < 64 ? n : 64),
                       text);
    }
    reach(vocab, id);
    vocab->tokens[id] = (struct vocab_token){(uint32_t)vocab->texts.size, (uint32_t)n};
    text_add_n(&vocab->texts, text, n);
    vocab->slots[slot] = tag | (id + 1);
    vocab->n_used++;
    return 0;
}

void vocab_release(struct vocab *vocab)
{
    text_release(&vocab->texts);
    free(vocab->tokens);
    free(vocab->slots);
    *vocab = (struct vocab){0};
}

bool vocab_find(const struct vocab *vocab, const char *text, size_t n, uint32_t *id)
{
    const struct vocab_view view = vocab_view(vocab);

    return vocab_view_find(&view, text, n, id);
}

const char *vocab_text(const struct vocab *vocab, uint32_t id, size_t *n)
{
    const struct vocab_view view = vocab_view(vocab);

    return vocab_view_text(&view, id, n);
}

/* ---- looking up ---- */

struct vocab_view vocab_view(const struct vocab *vocab)
{
    return (struct vocab_view){
        text_get(&vocab->texts), vocab->texts.size, vocab->tokens, vocab->n, vocab->slots,
        vocab->n_slots};
}

static bool is_inside_character(const struct vocab_view *view, size_t at)
{
    return at < view->n_texts && ((unsigned char)view->texts[at] & 0xC0u) == 0x80u;
}

static bool is_sound_token(const struct vocab_view *view, const struct vocab_token *token)
{
    return token->size == VOCAB_UNKNOWN ||
           (token->at <= view->n_texts && token->size <= view->n_texts - token->at &&
            !is_inside_character(view, token->at) &&
            !is_inside_character(view, (size_t)token->at + token->size));
}

bool vocab_view_sound(const struct vocab_view *view)
{
    size_t empty = 0;

    if ((view->n_slots & (view->n_slots - 1)) != 0 || view->n > VOCAB_IDS_MAX ||
        !text_is_utf8(view->texts, view->n_texts, NULL)) {
        return false;
    }
    for (size_t id = 0; id < view->n; id++) {
        if (!is_sound_token(view, &view->tokens[id])) {
            return false;
        }
    }
    for (size_t i = 0; i < view->n_slots; i++) {
        const uint32_t next = view->slots[i] & SLOT_ID_MASK; /* id + 1 */

        empty += view->slots[i] == 0;
        if (next > view->n || (next == 0) != (view->slots[i] == 0) ||
            (next > 0 && view->tokens[next - 1].size == VOCAB_UNKNOWN)) {
            return false;
        }
    }
    return view->n_slots == 0 || empty > 0;
}

bool vocab_view_find(const struct vocab_view *view, const char *text, size_t n, uint32_t *id)
{
    uint32_t tag = 0;

    if (view->n_slots == 0) {
        return false;
    }
    const uint32_t found = view->slots[slot_of(view, text, n, &tag)];

    if (found == 0) {
        return false;
    }
    *id = (found & SLOT_ID_MASK) - 1;
    return true;
}

const char *vocab_view_text(const struct vocab_view *view, uint32_t id, size_t *n)
{
    if (id >= view->n || view->tokens[id].size == VOCAB_UNKNOWN) {
        return NULL;
    }
    *n = view->tokens[id].size;
    return view->texts + view->tokens[id].at;
}
