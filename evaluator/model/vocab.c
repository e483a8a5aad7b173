/*
 * vocab.c - one buffer of texts, an array by id, a hash table by text.
 */
#include "evaluator/model/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* FNV-1a, 64 bits (Fowler, Noll, Vo), folded: its low bits alone are weak for short keys. */
static size_t hash_of(const char *text, size_t n)
{
    uint64_t hash = 0xCBF29CE484222325u;

    for (size_t i = 0; i < n; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
    }
    return (size_t)(hash ^ hash >> 32);
}

/* The slot that holds text, or the empty one where it belongs. */
static size_t slot_of(const struct vocab *vocab, const char *text, size_t n)
{
    const size_t mask = vocab->n_slots - 1;
    size_t slot = hash_of(text, n) & mask;

    while (vocab->slots[slot] != 0) {
        const struct vocab_token *token = &vocab->tokens[vocab->slots[slot] - 1];

        if (token->size == n && memcmp(text_get(&vocab->texts) + token->at, text, n) == 0) {
            break;
        }
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* Twice the slots, at least 1024; the table stays at most half full. */
static void rehash(struct vocab *vocab)
{
    vocab->n_slots = vocab->n_slots == 0 ? 1024 : vocab->n_slots * 2;
    free(vocab->slots);
    vocab->slots = mem_array(vocab->n_slots, sizeof *vocab->slots);
    for (size_t id = 0; id < vocab->n; id++) {
        const struct vocab_token *token = &vocab->tokens[id];

        if (token->known) {
            const size_t slot = slot_of(vocab, text_get(&vocab->texts) + token->at, token->size);

            vocab->slots[slot] = (uint32_t)id + 1;
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
        memset(vocab->tokens + vocab->capacity, 0,
               (capacity - vocab->capacity) * sizeof *vocab->tokens);
        vocab->capacity = capacity;
    }
    if (id >= vocab->n) {
        vocab->n = (size_t)id + 1;
    }
}

int vocab_add(struct vocab *vocab, const char *text, size_t n, uint32_t id, struct err *err)
{
    if (id >= VOCAB_IDS_MAX || n > UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "token id %u is above %zu", id, VOCAB_IDS_MAX - 1);
    }
    if (id < vocab->n && vocab->tokens[id].known) {
        return err_set(err, ERR_FORMAT, "token id %u occurs twice", id);
    }
    if (vocab->n_used * 2 >= vocab->n_slots) {
        rehash(vocab);
    }
    const size_t slot = slot_of(vocab, text, n);

    if (vocab->slots[slot] != 0) {
        return err_set(err, ERR_FORMAT, "token \"%.*s\" occurs twice", (int)(n < 64 ? n : 64),
                       text);
    }
    reach(vocab, id);
    vocab->tokens[id] = (struct vocab_token){vocab->texts.size, (uint32_t)n, true};
    text_add_n(&vocab->texts, text, n);
    vocab->slots[slot] = id + 1;
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
    if (vocab->n_slots == 0) {
        return false;
    }
    const uint32_t found = vocab->slots[slot_of(vocab, text, n)];

    if (found == 0) {
        return false;
    }
    *id = found - 1;
    return true;
}

const char *vocab_text(const struct vocab *vocab, uint32_t id, size_t *n)
{
    if (id >= vocab->n || !vocab->tokens[id].known) {
        return NULL;
    }
    *n = vocab->tokens[id].size;
    return text_get(&vocab->texts) + vocab->tokens[id].at;
}
